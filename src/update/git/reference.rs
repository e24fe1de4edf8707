//! What a push does besides moving its branch: one more reference, and options for the server.

use std::fmt;

use serde::Serialize;

use super::{
    Branch, NameError,
    name::{branch_fault, escaped},
};

/// How long an option may be; it has to fit into one packet line with room to spare.
const MAX_OPTION: usize = 8 * 1024;

/// What a push does besides moving its branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushSettings {
    /// What becomes of a push branch that exists already.
    pub mode: PushMode,
    /// One more reference for the commit.
    pub refspec: Option<Refspec>,
    /// What the server's hooks are told.
    pub options: Vec<PushOption>,
}

/// What becomes of a push branch that is not what was read, and exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PushMode {
    /// It is made anew on what was read, unless somebody else's commit would be lost.
    #[default]
    Rebuild,
    /// It is what is read, and commits are added to it.
    Stack,
}

/// One more reference that the commit is pushed to, in Git's notation `source:destination`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refspec {
    destination: String,
    overwrites: Overwrites,
}

/// Whether somebody else's commit may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Overwrites {
    Own,
    Any,
}

impl Refspec {
    /// Reads a refspec whose source is the push branch, which is all there is to push.
    ///
    /// ```
    /// use tagwright::update::git::{Branch, Refspec};
    ///
    /// let branch = Branch::new("bot").unwrap();
    /// assert!(Refspec::new("refs/heads/bot:refs/for/main", &branch).is_ok());
    /// assert!(Refspec::new("refs/heads/*:refs/heads/*", &branch).is_err());
    /// ```
    pub fn new(text: &str, push_branch: &Branch) -> Result<Self, NameError> {
        let refused = |reason| NameError::Refspec {
            text: escaped(text),
            reason,
        };
        let (overwrites, rest) = match text.strip_prefix('+') {
            Some(rest) => (Overwrites::Any, rest),
            None => (Overwrites::Own, text),
        };
        let (source, destination) = rest.split_once(':').unwrap_or((rest, rest));
        let own = push_branch.reference();
        if ![own.as_str(), push_branch.as_str(), "HEAD", "@"].contains(&source) {
            return Err(refused("its left side has to be the push branch"));
        }
        let destination = match destination {
            "HEAD" | "@" => own,
            name if name.starts_with("refs/") => name.to_owned(),
            name => format!("refs/heads/{name}"),
        };
        let below = destination.strip_prefix("refs/").unwrap_or_default();
        if below.starts_with("tags/") {
            return Err(refused("tags are never moved"));
        }
        if !below.contains('/') {
            return Err(refused("its right side is no full reference name"));
        }
        let branch = below.strip_prefix("heads/").unwrap_or(below);
        match branch_fault(branch) {
            Some(reason) => Err(refused(reason)),
            None => Ok(Self {
                destination,
                overwrites,
            }),
        }
    }

    /// The full name of the reference that is moved.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    pub(super) fn overwrites(&self) -> Overwrites {
        self.overwrites
    }

    /// Whether the reference stands for an action of the server (`refs/for/main`), so that it can
    /// never be read back.
    pub(super) fn is_magic(&self) -> bool {
        !self.destination.starts_with("refs/heads/")
    }
}

impl fmt::Display for Refspec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.destination)
    }
}

/// An option for the server and its hooks (`git push -o`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushOption(String);

impl PushOption {
    /// Makes `key=value`, or the key alone where the value is empty.
    pub fn new(key: &str, value: &str) -> Result<Self, NameError> {
        let refused = |reason| NameError::PushOption {
            key: escaped(key),
            reason,
        };
        if key.is_empty() {
            return Err(refused("it has no name"));
        }
        if key.contains(char::is_control) || value.contains(['\n', '\r', '\0']) {
            return Err(refused("an option is one line"));
        }
        if key.len() + value.len() > MAX_OPTION {
            return Err(refused("it is longer than 8 KiB"));
        }
        Ok(Self(if value.is_empty() {
            key.to_owned()
        } else {
            format!("{key}={value}")
        }))
    }

    /// The option as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refspec_pushes_the_push_branch_somewhere_else() {
        let branch = Branch::new("bot/images").expect("a branch");
        let check = |text: &str, expected: Option<&str>| {
            let refspec = Refspec::new(text, &branch).ok();
            assert_eq!(
                refspec.as_ref().map(Refspec::destination),
                expected,
                "{text}"
            );
        };
        check(
            "refs/heads/bot/images:refs/heads/main",
            Some("refs/heads/main"),
        );
        check("+bot/images:staging", Some("refs/heads/staging"));
        check(
            "HEAD:refs/for/main%topic=images",
            Some("refs/for/main%topic=images"),
        );
        check("refs/heads/bot/images", Some("refs/heads/bot/images"));
        check("bot/images", Some("refs/heads/bot/images"));
        check("main:refs/heads/other", None);
        check(":refs/heads/main", None);
        check("", None);
        check("bot/images:", None);
        check("bot/images:refs/tags/v1", None);
        check("bot/images:refs/main", None);
        check("bot/images:refs/heads/a..b", None);
        check("refs/heads/*:refs/heads/*", None);
        check("bot/images:refs/heads/a b", None);
    }

    #[test]
    fn an_option_is_one_line() {
        let check = |key: &str, value: &str, expected: Option<&str>| {
            let option = PushOption::new(key, value).ok();
            assert_eq!(option.as_ref().map(PushOption::as_str), expected, "{key}");
        };
        check("ci.skip", "", Some("ci.skip"));
        check(
            "merge_request.title",
            "Update: a=b",
            Some("merge_request.title=Update: a=b"),
        );
        check("", "x", None);
        check("a", "b\nc", None);
        check("a\0", "b", None);
        check("a", &"x".repeat(MAX_OPTION), None);
    }
}
