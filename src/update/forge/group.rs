//! Which changes go into one request.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::update::{PolicyKey, git::Branch};

/// How long the part of a branch name may be that says the group.
const MAX_SLUG: usize = 60;
/// The group that everything is in which is not told apart.
pub const ALL: &str = "all";

/// What changes are told apart by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// Nothing: one request for everything.
    #[default]
    All,
    /// The policy that chose.
    Policy,
    /// The image.
    Image,
    /// The folder of the file.
    Directory,
    /// The value that a label of the policy has; policies without it are one group.
    Label(BTreeMap<String, String>),
}

impl Grouping {
    /// The group of a value: the file, the policy, and the image where it is known.
    pub fn group(&self, file: &str, policy: &PolicyKey, image: Option<&str>) -> String {
        let policy = policy.to_string();
        match self {
            Self::All => ALL.to_owned(),
            Self::Image => image.map_or(policy, str::to_owned),
            Self::Policy => policy,
            Self::Directory => match file.rsplit_once('/') {
                Some((folder, _)) => folder.to_owned(),
                None => ".".to_owned(),
            },
            Self::Label(values) => values
                .get(&policy)
                .cloned()
                .unwrap_or_else(|| ALL.to_owned()),
        }
    }

    /// The branch of a group: the push branch itself where there is one group, else one beside it.
    ///
    /// The names are readable, and different for different groups.
    pub fn branch(&self, push_branch: &Branch, group: &str) -> Branch {
        if *self == Self::All {
            return push_branch.clone();
        }
        let name = format!("{push_branch}-{}", slug(group));
        // What a slug holds is allowed anywhere in a branch name but at its very end, where `.lock`
        // is not; a slug has no dot there.
        Branch::new(&name).unwrap_or_else(|_| push_branch.clone())
    }
}

/// A group's name as part of a branch name: what is odd becomes `-`, and a digest keeps such names
/// apart.
fn slug(group: &str) -> String {
    let fits = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, '-' | '_');
    let mut text = group
        .chars()
        .map(|it| if fits(it) { it } else { '-' })
        .take(MAX_SLUG)
        .collect::<String>();
    if text != group {
        let digest = Sha256::digest(group.as_bytes());
        let digits = digest.iter().take(4).map(|it| format!("{it:02x}"));
        text = format!("{}-{}", text.trim_matches('-'), digits.collect::<String>());
    }
    text.trim_start_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::PolicyName;

    fn policy(name: &str) -> PolicyKey {
        PolicyKey::Named(PolicyName {
            namespace: "apps".to_owned(),
            name: name.to_owned(),
        })
    }

    #[test]
    fn changes_are_told_apart_by_what_was_asked_for() {
        let labels = BTreeMap::from([("apps:web".to_owned(), "front".to_owned())]);
        let check = |grouping: Grouping, name: &str, expected: &str| {
            let group = grouping.group("apps/prod/web.yaml", &policy(name), Some("ghcr.io/a/web"));
            assert_eq!(group, expected);
        };
        check(Grouping::All, "web", "all");
        check(Grouping::Policy, "web", "apps:web");
        check(Grouping::Image, "web", "ghcr.io/a/web");
        check(Grouping::Directory, "web", "apps/prod");
        check(Grouping::Label(labels.clone()), "web", "front");
        check(Grouping::Label(labels), "api", "all");
    }

    #[test]
    fn a_group_has_a_branch_beside_the_push_branch() {
        let push = Branch::new("bot/images").expect("a branch");
        let check = |grouping: Grouping, group: &str, expected: &str| {
            assert_eq!(grouping.branch(&push, group).as_str(), expected);
        };
        check(Grouping::All, "all", "bot/images");
        check(Grouping::Policy, "web", "bot/images-web");
        check(Grouping::Policy, "apps:web", "bot/images-apps-web-b6c3c19a");
    }

    proptest! {
        #[test]
        fn two_groups_have_two_valid_branches(one in ".{1,80}", other in ".{1,80}") {
            let push = Branch::new("bot").expect("a branch");
            let (first, second) = (Grouping::Image.branch(&push, &one), Grouping::Image.branch(&push, &other));
            prop_assert_eq!(one == other, first == second);
            prop_assert!(first != push);
        }
    }
}
