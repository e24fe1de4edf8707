//! What is read: a branch, another reference, the newest tag of a range, or one commit.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::policy::Range;

use super::{
    Branch, CommitId, NameError,
    name::{branch_fault, escaped},
};

/// What is read of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkout {
    /// The tip of a branch.
    Branch(Branch),
    /// What another reference points to: a tag, or a name such as `refs/pull/1/head`.
    Reference(ReferenceName),
    /// What the newest tag whose version lies in a range points to.
    Newest(Range),
    /// A commit, wherever it stands.
    Commit(CommitId),
}

/// The full name of a reference that is no branch, without a trailing `^{}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceName(String);

impl Checkout {
    /// Reads a full reference name; one below `refs/heads/` is a branch.
    ///
    /// ```
    /// use tagwright::update::git::Checkout;
    ///
    /// assert!(matches!(Checkout::named("refs/heads/main"), Ok(Checkout::Branch(_))));
    /// assert_eq!(Checkout::named("refs/tags/v1^{}"), Checkout::tag("v1"));
    /// assert!(Checkout::named("main").is_err());
    /// ```
    pub fn named(name: &str) -> Result<Self, NameError> {
        if let Some(branch) = name.strip_prefix("refs/heads/") {
            return Branch::new(branch).map(Self::Branch);
        }
        // Tags are always followed to the commit, so saying so adds nothing.
        let name = name.strip_suffix("^{}").unwrap_or(name);
        let refused = |reason| NameError::Reference {
            text: escaped(name),
            reason,
        };
        let Some(below) = name.strip_prefix("refs/") else {
            return Err(refused("it does not begin with `refs/`"));
        };
        match branch_fault(below) {
            Some(reason) => Err(refused(reason)),
            None => Ok(Self::Reference(ReferenceName(name.to_owned()))),
        }
    }

    /// Reads the name of a tag.
    pub fn tag(name: &str) -> Result<Self, NameError> {
        Self::named(&format!("refs/tags/{name}"))
    }

    /// Whether this is a tag, or leads to one.
    pub fn is_tag(&self) -> bool {
        match self {
            Self::Newest(_) => true,
            Self::Reference(name) => name.0.starts_with("refs/tags/"),
            Self::Branch(_) | Self::Commit(_) => false,
        }
    }

    /// Whether this is what `branch` points to, so that a push moves what was read.
    pub fn is_branch(&self, branch: &Branch) -> bool {
        matches!(self, Self::Branch(own) if own == branch)
    }

    /// The reference's full name, where there is one.
    pub(super) fn reference(&self) -> Option<String> {
        match self {
            Self::Branch(branch) => Some(branch.reference()),
            Self::Reference(name) => Some(name.0.clone()),
            Self::Newest(_) | Self::Commit(_) => None,
        }
    }
}

impl fmt::Display for Checkout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(branch) => formatter.write_str(branch.as_str()),
            Self::Reference(name) => formatter.write_str(&name.0),
            Self::Newest(range) => write!(formatter, "the newest tag in `{range}`"),
            Self::Commit(id) => formatter.write_str(id.as_str()),
        }
    }
}

impl Serialize for Checkout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_full_and_valid_name() {
        let check = |name: &str, expected: Option<&str>| {
            let checkout = Checkout::named(name).ok();
            let shown = checkout.map(|it| it.to_string());
            assert_eq!(shown.as_deref(), expected, "{name}");
        };
        check("refs/heads/release/1.x", Some("release/1.x"));
        check("refs/tags/v1", Some("refs/tags/v1"));
        check("refs/tags/v1^{}", Some("refs/tags/v1"));
        check("refs/pull/1/head", Some("refs/pull/1/head"));
        check("refs/heads/", None);
        check("refs/", None);
        check("main", None);
        check("HEAD", None);
        check("refs/pull/../head", None);
        check("refs/tags/v 1", None);
    }
}
