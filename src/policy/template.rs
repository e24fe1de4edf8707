//! What `extract` makes of a match: Go's `Expand`.
//!
//! `$1`, `${1}`, `$name` and `${name}` stand for groups, `$$` for a dollar. A name is the longest run
//! of letters, digits and underscores, so `$1x` is the group `1x`; a group that there is not, or
//! that took no part in the match, is empty. A dollar that begins none of these is a dollar.

use std::ops::Range;

use regex::bytes::CaptureLocations;

use super::pattern::Pattern;

/// A compiled template.
#[derive(Clone, Debug)]
pub(super) struct Template {
    text: Box<str>,
    pieces: Vec<Piece>,
    unknown: Vec<String>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    /// The groups that share a name; the first that took part counts.
    Group(Vec<usize>),
}

impl Template {
    /// Compiles `text` for the groups of `pattern`.
    pub(super) fn new(text: &str, pattern: &Pattern) -> Self {
        let mut template = Self {
            text: text.into(),
            pieces: Vec::new(),
            unknown: Vec::new(),
        };
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            template.push_text(before);
            if let Some(after) = after.strip_prefix('$') {
                template.push_text("$");
                rest = after;
            } else if let Some((name, after)) = split_name(after) {
                template.push_group(name, pattern);
                rest = after;
            } else {
                template.push_text("$");
                rest = after;
            }
        }
        template.push_text(rest);
        template
    }

    /// The template as it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The names in the template that no group of the pattern has.
    pub(super) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Writes the template for one match in `tag`; `buffer` holds it unless it is a piece of `tag`.
    pub(super) fn expand<'t>(
        &self,
        tag: &'t str,
        locations: &CaptureLocations,
        buffer: &'t mut String,
    ) -> &'t str {
        if let [Piece::Group(groups)] = self.pieces.as_slice() {
            return group(tag, groups, locations);
        }
        buffer.clear();
        for piece in &self.pieces {
            buffer.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Group(groups) => group(tag, groups, locations),
            });
        }
        buffer
    }

    fn push_text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    fn push_group(&mut self, name: &str, pattern: &Pattern) {
        let names = pattern.names();
        let groups: Vec<usize> = match number(name) {
            Some(number) => (number < names.len())
                .then_some(number)
                .into_iter()
                .collect(),
            None => (0..names.len())
                .filter(|&group| names[group].as_deref() == Some(name))
                .collect(),
        };
        if groups.is_empty() {
            self.unknown.push(name.to_owned());
        } else {
            self.pieces.push(Piece::Group(groups));
        }
    }
}

/// The text of the first of `groups` that took part in the match.
fn group<'t>(tag: &'t str, groups: &[usize], locations: &CaptureLocations) -> &'t str {
    let span = groups.iter().find_map(|&group| locations.get(group));
    span.and_then(|(start, end)| tag.get(Range { start, end }))
        .unwrap_or_default()
}

/// The name behind a dollar, and what follows.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (braced, text) = match text.strip_prefix('{') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let in_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let end = text.find(|letter| !in_name(letter)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = if braced {
        rest.strip_prefix('}')?
    } else {
        rest
    };
    (!name.is_empty()).then_some((name, rest))
}

/// A group's number; with a zero in front, or more than nine digits, it is a name to Go.
fn number(name: &str) -> Option<usize> {
    let padded = name.len() > 1 && name.starts_with('0');
    let plain = name.len() <= 9 && name.bytes().all(|byte| byte.is_ascii_digit());
    if plain && !padded {
        name.parse().ok()
    } else {
        None
    }
}
