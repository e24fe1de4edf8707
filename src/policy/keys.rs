//! Several keys, one after the other: named groups of the filter, each compared in its own way.
//!
//! The filter writes the groups with a space between them, which no tag can hold; so a key is one
//! text, as every other key, and nothing is allocated for a tag.

use std::{cmp::Ordering, fmt};

use super::{
    error::{Place, PolicyError, Wanted},
    natural,
    number::Number,
    order::Direction,
    version::Version,
};
use crate::nearest::nearest;

/// The most keys of one policy.
pub const KEYS_LIMIT: usize = 8;

/// Several keys; the first that differs decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(Vec<SortKey>);

/// One of several keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The group of the filter's pattern.
    pub group: String,
    /// How it is compared.
    pub kind: KeyKind,
    /// Which end is preferred.
    pub direction: Direction,
}

/// How a key is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// As a number, exactly.
    Number,
    /// As a version of one to three parts.
    Semver,
    /// Byte by byte.
    Text,
    /// With runs of digits as numbers.
    Natural,
}

impl Keys {
    /// Takes one to eight keys.
    ///
    /// ```
    /// use tagwright::policy::{Direction, Keys};
    ///
    /// let keys = Keys::parse("date:number build:number:desc")?;
    /// assert_eq!(keys.keys()[1].direction, Direction::Descending);
    /// assert!(Keys::parse("date:nmber").is_err());
    /// # Ok::<(), tagwright::policy::PolicyError>(())
    /// ```
    pub fn new(keys: Vec<SortKey>) -> Result<Self, PolicyError> {
        if keys.is_empty() || keys.len() > KEYS_LIMIT {
            let text = Self(keys).to_string();
            return Err(PolicyError::word(
                "policy.keys",
                &text,
                Wanted::Form("one to eight keys such as `date:number build:number`"),
            ));
        }
        Ok(Self(keys))
    }

    /// Reads the words of a marker: `group:kind` or `group:kind:direction`, with spaces between.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let keys = text.split_whitespace().map(|word| {
            let mut parts = word.splitn(3, ':');
            let group = parts.next().unwrap_or_default().to_owned();
            let kind = parts.next().unwrap_or("text");
            let direction = parts.next().unwrap_or("asc");
            let at = word.as_ptr() as usize - text.as_ptr() as usize;
            let wrong = |start: usize, part: &str, words| PolicyError::Word {
                place: Place::new("policy.keys", text, start..start + part.len()),
                wanted: Wanted::OneOf(words),
            };
            let kind_at = at + group.len() + 1;
            let direction_at = kind_at + kind.len() + 1;
            Ok(SortKey {
                kind: KeyKind::read(kind).ok_or_else(|| {
                    wrong(kind_at, kind, &["number", "semver", "text", "natural"])
                })?,
                direction: direction
                    .parse()
                    .map_err(|_| wrong(direction_at, direction, &["asc", "desc"]))?,
                group,
            })
        });
        Self::new(keys.collect::<Result<_, PolicyError>>()?)
    }

    /// The keys, the first to be compared first.
    pub fn keys(&self) -> &[SortKey] {
        &self.0
    }

    /// What the filter has to extract.
    pub fn extract(&self) -> String {
        let groups = self.0.iter().map(|key| format!("${{{}}}", key.group));
        groups.collect::<Vec<_>>().join(" ")
    }

    /// Checks that each key names a group of `known`.
    pub(super) fn check<'a>(
        &self,
        pattern: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), PolicyError> {
        let unknown = |key: &&SortKey| !known.clone().any(|name| name == key.group);
        let Some(key) = self.0.iter().find(unknown) else {
            return Ok(());
        };
        Err(PolicyError::Group {
            place: Place::new("filterTags.pattern", pattern, 0..pattern.len()),
            group: key.group.clone(),
            near: nearest(&key.group, known).map(str::to_owned),
        })
    }

    /// The first key that cannot be read in `text`, as its group and its kind.
    pub(super) fn unreadable(&self, text: &str) -> Option<KeyKind> {
        let mut keys = self.0.iter().zip(text.split(' '));
        keys.find(|(key, text)| !key.kind.reads(text))
            .map(|(key, _)| key.kind)
    }

    /// Compares two texts that [`unreadable`](Self::unreadable) found nothing against.
    pub(super) fn compare(&self, left: &str, right: &str) -> Ordering {
        let pairs = left.split(' ').zip(right.split(' '));
        self.0
            .iter()
            .zip(pairs)
            .map(|(key, (left, right))| match key.direction {
                Direction::Ascending => key.kind.compare(left, right),
                Direction::Descending => key.kind.compare(right, left),
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl KeyKind {
    const WORDS: [(&'static str, Self); 4] = [
        ("number", Self::Number),
        ("semver", Self::Semver),
        ("text", Self::Text),
        ("natural", Self::Natural),
    ];

    fn read(word: &str) -> Option<Self> {
        let mut words = Self::WORDS.iter();
        words
            .find(|(known, _)| *known == word)
            .map(|(_, kind)| *kind)
    }

    fn reads(self, text: &str) -> bool {
        match self {
            Self::Number => Number::read(text).is_ok(),
            Self::Semver => Version::coerce(text).is_ok(),
            Self::Text | Self::Natural => true,
        }
    }

    fn compare(self, left: &str, right: &str) -> Ordering {
        match self {
            Self::Number => Number::read(left).ok().cmp(&Number::read(right).ok()),
            Self::Semver => Version::coerce(left).ok().cmp(&Version::coerce(right).ok()),
            Self::Text => left.cmp(right),
            Self::Natural => natural::compare(left, right),
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Self::WORDS.iter();
        let word = words.find(|(_, kind)| kind == self).map(|(word, _)| *word);
        formatter.write_str(word.unwrap_or_default())
    }
}

impl fmt::Display for Keys {
    /// The words that [`Keys::parse`] reads.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, key) in self.0.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(formatter, "{space}{}:{}", key.group, key.kind)?;
            if key.direction == Direction::Descending {
                formatter.write_str(":desc")?;
            }
        }
        Ok(())
    }
}
