//! Images that nobody marked: opt-in strategies that know where each kind of file keeps them.
//!
//! [`discover`] gives setters with [`Origin::Discovered`](super::Origin::Discovered). What a marker
//! or a rule governs already is taken out by the caller.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::Serialize;

use super::yaml::Reading;

/// How images are found that nobody marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {}

impl fmt::Display for Strategy {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// Which strategies an automation uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The strategies.
    pub strategies: BTreeSet<Strategy>,
}

impl Discovery {
    /// Whether a file of this path, with these bytes, is worth parsing. Of the path it regards the
    /// file name's ending alone.
    pub fn keeps(&self, _path: &str, _bytes: &[u8]) -> bool {
        !self.strategies.is_empty()
    }

    /// A word that changes whenever an answer of [`Self::keeps`] may.
    pub fn word(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
}

/// Finds the values of the file `path` that the strategies know.
pub fn discover(_discovery: &Discovery, _path: &str, _bytes: &[u8]) -> Reading {
    Reading::default()
}
