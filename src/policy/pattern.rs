//! Regular expressions as Go writes them, matched by the `regex` crate.
//!
//! Flux compiles patterns with Go's RE2. The two engines agree on what a match is (the leftmost,
//! by preference of the first alternative) and both run in linear time, but not on the writing:
//! Go takes `\Q…\E`, `x{foo}`, `[a&&b]` and `\101` by the letter and refuses `a++`, `(?x)` and
//! `a{1001}`. So a pattern is read by Go's rules, byte by byte, and written again in a spelling that
//! the crate cannot take otherwise.
//!
//! Only tags are matched, and tags are ASCII; that is why the engine works on bytes, and only the
//! classes that need Unicode (`\pL`, `é`) switch it on.

mod translate;

mod class;
mod problem;
mod source;

use std::fmt;

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

use super::error::{Place, PolicyError};

pub use self::problem::PatternProblem;
pub(super) use self::problem::advice;

/// The longest pattern in bytes.
pub const PATTERN_LIMIT: usize = 1024;

/// The most memory that a compiled pattern may take, in bytes.
pub const COMPILED_LIMIT: usize = 1 << 20;

/// A compiled regular expression.
#[derive(Clone)]
pub(super) struct Pattern {
    text: Box<str>,
    regex: Regex,
    names: Vec<Option<Box<str>>>,
    /// What a tag must end in, where that is all that is asked.
    suffix: Option<Box<str>>,
    /// What a tag must begin with, whatever else is asked.
    prefix: Box<str>,
}

impl Pattern {
    /// Compiles `text`, which stands in `field`.
    pub(super) fn new(field: &str, text: &str) -> Result<Self, PolicyError> {
        let place = |span| Place::new(field, text, span);
        if text.len() > PATTERN_LIMIT {
            return Err(PolicyError::TooLong {
                place: place(PATTERN_LIMIT..text.len()),
                limit: PATTERN_LIMIT,
            });
        }
        let translated =
            translate::translate(text).map_err(|(problem, span)| PolicyError::Pattern {
                place: place(span),
                problem,
            })?;
        let regex = RegexBuilder::new(&translated.text)
            .unicode(false)
            .size_limit(COMPILED_LIMIT)
            .nest_limit(1024)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(limit) => PolicyError::TooLarge {
                    place: place(0..text.len()),
                    limit,
                },
                other => PolicyError::Pattern {
                    place: place(0..text.len()),
                    problem: PatternProblem::Engine(other.to_string()),
                },
            })?;
        Ok(Self {
            text: text.into(),
            regex,
            names: translated.names,
            suffix: literal_suffix(text).map(String::into_boxed_str),
            prefix: literal_prefix(text).into(),
        })
    }

    /// The pattern as it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the groups; the whole match is the first and has none.
    pub(super) fn names(&self) -> &[Option<Box<str>>] {
        &self.names
    }

    /// Whether `tag` holds a match, anywhere.
    pub(super) fn is_match(&self, tag: &str) -> bool {
        match &self.suffix {
            Some(suffix) => tag.ends_with(&**suffix),
            None => tag.starts_with(&*self.prefix) && self.regex.is_match(tag.as_bytes()),
        }
    }

    /// Room for the groups of one match.
    pub(super) fn locations(&self) -> CaptureLocations {
        self.regex.capture_locations()
    }

    /// Finds the first match in `tag` and its groups.
    pub(super) fn capture(&self, tag: &str, locations: &mut CaptureLocations) -> bool {
        let begins = tag.starts_with(&*self.prefix);
        begins
            && self
                .regex
                .captures_read(locations, tag.as_bytes())
                .is_some()
    }
}

/// The text that `^.*\.sig$` and the like ask for at the end of a tag.
///
/// Flux's default exclusion is one of them, so every tag of every policy is asked.
fn literal_suffix(text: &str) -> Option<String> {
    let text = text.strip_suffix('$')?;
    let suffix = text.strip_prefix("^.*").unwrap_or(text);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let letters = suffix.replace("\\.", "");
    letters
        .bytes()
        .all(is_plain)
        .then(|| suffix.replace("\\.", "."))
}

/// The text that `^release-(.*)$` and the like ask for at the beginning of a tag: most tags of a long
/// list are refused by it.
fn literal_prefix(text: &str) -> &str {
    let Some(rest) = text.strip_prefix('^').filter(|it| !it.contains('|')) else {
        return "";
    };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    let end = rest.find(|letter| !is_plain(letter)).unwrap_or(rest.len());
    let (prefix, after) = rest.split_at(end);
    if after.starts_with(['?', '*', '{']) {
        // The last letter may be missing.
        &prefix[..prefix.len().saturating_sub(1)]
    } else {
        prefix
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pattern({:?})", self.text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
