//! What one message may cost: bounds of source, output, steps, depth and single values.
//!
//! There is no clock here. Work is counted instead: a node, a call, an element and every 64 bytes
//! of text are one step each, so that the same template stops at the same place on every machine.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{
    error::ErrorKind,
    functions::Pattern,
    value::{List, Map, Value},
};

/// How many bytes a template may have.
pub const SOURCE_BYTES: usize = 16 * 1024;
/// How many bytes a rendered message, and any text on the way to it, may have.
pub const OUTPUT_BYTES: usize = 64 * 1024;
/// How many steps rendering may take.
pub const STEPS: usize = 100_000;
/// How deep actions, parentheses and template calls may nest.
pub const DEPTH: usize = 100;
/// How deep a list may hold lists, or printing follow values into values.
pub const VALUE_DEPTH: usize = 64;

/// How many bytes of text are worth one step.
const BYTES_A_STEP: usize = 64;

/// The bound that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`SOURCE_BYTES`].
    Source,
    /// [`OUTPUT_BYTES`].
    Output,
    /// [`STEPS`].
    Steps,
    /// [`DEPTH`].
    Depth,
    /// [`VALUE_DEPTH`].
    ValueDepth,
}

/// Why something failed, before it is known where.
pub(super) type Fault = ErrorKind;

/// A text that refuses to grow beyond [`OUTPUT_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Bounded(String);

/// What one rendering has spent, and what it must take back at its end.
pub(super) struct Meter {
    left: usize,
    dicts: Vec<Map>,
    pub(super) patterns: BTreeMap<String, Pattern>,
}

impl Limit {
    /// Advice for the template's author.
    pub(super) fn hint(self) -> String {
        match self {
            Self::Source => "shorten the template".to_owned(),
            Self::Output => "print fewer changes, or cut the text with `trunc`".to_owned(),
            Self::Steps => "look for a loop within a loop".to_owned(),
            Self::Depth => "look for a template that calls itself".to_owned(),
            Self::ValueDepth => "look for a value that holds itself".to_owned(),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => write!(
                formatter,
                "the template is larger than {SOURCE_BYTES} bytes"
            ),
            Self::Output => write!(formatter, "the text is larger than {OUTPUT_BYTES} bytes"),
            Self::Steps => write!(formatter, "the template takes more than {STEPS} steps"),
            Self::Depth => write!(formatter, "the template nests deeper than {DEPTH}"),
            Self::ValueDepth => write!(formatter, "a value nests deeper than {VALUE_DEPTH}"),
        }
    }
}

impl From<Limit> for Fault {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl Bounded {
    pub(super) fn push_str(&mut self, text: &str) -> Result<(), Fault> {
        if self.0.len() + text.len() > OUTPUT_BYTES {
            return Err(Limit::Output.into());
        }
        self.0.push_str(text);
        Ok(())
    }

    pub(super) fn push(&mut self, character: char) -> Result<(), Fault> {
        self.push_str(character.encode_utf8(&mut [0; 4]))
    }

    /// Pushes `count` copies of `text`.
    pub(super) fn push_times(&mut self, text: &str, count: usize) -> Result<(), Fault> {
        let room = OUTPUT_BYTES - self.0.len();
        match text.len().checked_mul(count) {
            Some(length) if length <= room => self.0.push_str(&text.repeat(count)),
            _ => return Err(Limit::Output.into()),
        }
        Ok(())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            left: STEPS,
            dicts: Vec::new(),
            patterns: BTreeMap::new(),
        }
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        let left = self.left.checked_sub(steps);
        self.left = left.unwrap_or(0);
        match left {
            Some(_) => Ok(()),
            None => Err(Limit::Steps.into()),
        }
    }

    /// Pays for reading `bytes` of text.
    pub(super) fn spend_text(&mut self, bytes: usize) -> Result<(), Fault> {
        self.spend(bytes / BYTES_A_STEP)
    }

    /// Makes a text value, within bounds.
    pub(super) fn text(&mut self, text: impl AsRef<str>) -> Result<Value, Fault> {
        let text = text.as_ref();
        if text.len() > OUTPUT_BYTES {
            return Err(Limit::Output.into());
        }
        self.spend_text(text.len())?;
        Ok(Value::from(text))
    }

    /// Makes a list value, within bounds.
    pub(super) fn list(
        &mut self,
        type_name: &'static str,
        items: Vec<Value>,
    ) -> Result<Value, Fault> {
        self.spend(items.len())?;
        let list = List::new(type_name, items);
        if list.depth() > VALUE_DEPTH {
            return Err(Limit::ValueDepth.into());
        }
        Ok(Value::List(list))
    }

    /// Makes a list of texts.
    pub(super) fn texts<T: AsRef<str>>(
        &mut self,
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Value, Fault> {
        let mut items = Vec::new();
        for text in texts {
            self.spend(1)?;
            items.push(self.text(text)?);
        }
        self.list("[]string", items)
    }

    /// Makes a map that `set` may change.
    pub(super) fn dict(
        &mut self,
        type_name: &'static str,
        zero: Value,
        entries: BTreeMap<Arc<str>, Value>,
    ) -> Result<Map, Fault> {
        self.spend(entries.len() + 1)?;
        let map = Map::writable(type_name, zero, entries);
        self.dicts.push(map.clone());
        Ok(map)
    }
}

/// Empties every map that the template made.
///
/// `set` can put a map into itself, or build a chain so long that dropping it link by link would
/// overflow the stack; each map is therefore held here until the end, and then emptied alone.
impl Drop for Meter {
    fn drop(&mut self) {
        for dict in &self.dicts {
            dict.clear();
        }
    }
}
