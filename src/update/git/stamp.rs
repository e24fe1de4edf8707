//! The line of a message that says whose commit it is, where somebody else makes the commit for us.
//!
//! A forge that commits in our place keeps no header of ours, so the message has to tell. The line
//! names what the commit stands on and what it holds: a person who amends or rebases the commit keeps
//! the line, and it is true no more.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::CommitId;

/// How the line begins.
const BEGIN: &str = "Tagwright-Commit: ";

/// The line, as a trailer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(String);

impl Stamp {
    /// The stamp of an automation's commit with this message, which stands on `parent` and holds
    /// `tree`.
    pub fn new(automation: &str, parent: &CommitId, tree: &str, message: &str) -> Self {
        let ground = ground(parent.as_str(), tree);
        let words = digest(&[message.trim_end()]);
        Self(format!("{BEGIN}{automation} {ground} {words}"))
    }

    /// Whether a message holds this very stamp.
    pub fn is_in(&self, message: &str) -> bool {
        message.lines().any(|line| line == self.0)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The automation that a message's stamp names, while the stamp is true.
pub(super) fn automation(message: &str, parents: &[String], tree: &str) -> Option<String> {
    let [parent] = parents else {
        return None;
    };
    let line = message
        .lines()
        .rev()
        .find_map(|it| it.strip_prefix(BEGIN))?;
    let mut words = line.split(' ');
    let (automation, known) = (words.next()?, words.next()?);
    (known == ground(parent, tree)).then(|| automation.to_owned())
}

/// Whether a line is a stamp, true or not.
pub(super) fn is_stamp(line: &[u8]) -> bool {
    line.starts_with(BEGIN.as_bytes())
}

fn ground(parent: &str, tree: &str) -> String {
    digest(&[parent, tree])
}

/// Sixteen digits: enough to tell commits apart, and short enough to be read past.
fn digest(texts: &[&str]) -> String {
    let digest = Sha256::digest(texts.join("\0"));
    let digits = digest.iter().take(8).map(|it| format!("{it:02x}"));
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_true_of_one_parent_and_one_tree() {
        let parent = CommitId::new(&"1".repeat(40)).expect("an id");
        let (tree, other) = ("2".repeat(40), "3".repeat(40));
        let stamp = Stamp::new("apps/fleet", &parent, &tree, "Update web\n");
        let message = format!("Update web\n\n{stamp}\n");
        let check = |parents: &[&str], tree: &str, message: &str, expected: Option<&str>| {
            let parents = parents.iter().map(ToString::to_string).collect::<Vec<_>>();
            let found = automation(message, &parents, tree);
            assert_eq!(found.as_deref(), expected, "{parents:?} {tree} {message}");
        };
        check(&[parent.as_str()], &tree, &message, Some("apps/fleet"));
        check(&[parent.as_str()], &other, &message, None);
        check(&[&other], &tree, &message, None);
        check(&[parent.as_str(), &other], &tree, &message, None);
        check(&[], &tree, &message, None);
        check(&[parent.as_str()], &tree, "Update web\n", None);
        assert!(stamp.is_in(&message));
        assert!(!Stamp::new("apps/fleet", &parent, &tree, "Other").is_in(&message));
    }
}
