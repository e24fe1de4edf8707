//! Rules: values that follow a policy although no comment says so.

use super::{Glob, Pattern, Selector};
use crate::{policy::PolicyName, update::Field};

/// How many rules one list may hold.
pub const MAX_RULES: usize = 100;
/// How many globs one rule may hold.
pub const MAX_GLOBS: usize = 20;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What a report calls it: `rules[0] of .tagwright.yaml`.
    pub name: String,
    /// Where it stands.
    pub place: RulePlace,
    /// The files that it is about; any of these.
    pub files: Vec<Glob>,
    /// The values.
    pub find: Find,
    /// The policy that governs them.
    pub policy: PolicyName,
    /// Which part of the chosen image they are.
    pub field: Field,
}

/// How a rule finds values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Find {
    /// By their paths in a document.
    Path(Selector),
    /// By what stands around them in the text.
    Pattern(Pattern),
}

/// Where a rule stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulePlace {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl Rule {
    /// Whether the file of this path is one of the rule's.
    pub fn governs(&self, path: &str) -> bool {
        self.files.iter().any(|glob| glob.matches(path))
    }
}

/// Why a part of a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct RuleError {
    what: String,
    text: String,
    at: usize,
}

/// How many characters of a faulty text are shown.
const SHOWN: usize = 120;

impl RuleError {
    pub(super) fn new(text: &str, at: usize, what: &str) -> Self {
        Self {
            what: what.to_owned(),
            text: text.to_owned(),
            at,
        }
    }

    /// The text, and a mark below the place where it is wrong.
    pub fn caret(&self) -> String {
        let at = self.text.floor_char_boundary(self.at);
        let column = self.text.get(..at).map_or(0, |it| it.chars().count());
        let shown = self.text.chars().take(SHOWN).collect::<String>();
        format!("{shown}\n{}^", " ".repeat(column.min(SHOWN)))
    }
}
