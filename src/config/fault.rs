//! Troubles of a configuration, each at its place.

use std::fmt;

use serde::Serialize;

use super::document::Place;

/// One trouble.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )?;
        match &self.hint {
            Some(hint) => write!(formatter, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration; nothing runs while there is anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The troubles, by file and place.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        let noun = if count == 1 { "fault" } else { "faults" };
        write!(
            formatter,
            "the configuration has {count} {noun}; nothing was run"
        )
    }
}

/// Collects the troubles of one file.
pub(super) struct Faults<'a> {
    pub(super) file: &'a str,
    pub(super) found: &'a mut Vec<Fault>,
}

impl Faults<'_> {
    pub(super) fn push(&mut self, place: Place, message: String, hint: Option<String>) {
        let Place { line, column } = place;
        self.found.push(Fault {
            file: self.file.to_owned(),
            line,
            column,
            message,
            hint,
        });
    }
}
