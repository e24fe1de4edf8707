//! Why a policy cannot be compiled.

use std::{fmt, ops::Range};

use super::{
    calver::CalverProblem,
    mend,
    pattern::{self, PatternProblem},
    range::RangeProblem,
};
use crate::{error::Class, nearest::nearest};

/// Why a policy cannot be compiled; [`place`](Self::place) says where the trouble is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A regular expression that Go, and so Flux, does not take.
    #[error("invalid regular expression pattern '{}' in `{}`: {problem}", .place.shown(), .place.field)]
    Pattern {
        /// Where.
        place: Place,
        /// What is wrong there.
        problem: PatternProblem,
    },
    /// A version range outside the grammar.
    #[error("improper constraint '{}' in `{}`: {problem}", .place.shown(), .place.field)]
    Range {
        /// Where.
        place: Place,
        /// What is wrong there.
        problem: RangeProblem,
    },
    /// A calendar format outside the grammar.
    #[error("invalid calendar format '{}' in `{}`: {problem}", .place.shown(), .place.field)]
    Calver {
        /// Where.
        place: Place,
        /// What is wrong there.
        problem: CalverProblem,
    },
    /// A direction that is neither `asc` nor `desc`.
    #[error("invalid order '{}' in `{}`: it must be asc or desc", .place.shown(), .place.field)]
    Direction {
        /// Where.
        place: Place,
    },
    /// A word that is none of those that may stand there.
    #[error("`{}` in `{}` is not {wanted}", .wanted.subject(.place), .place.field)]
    Word {
        /// Where.
        place: Place,
        /// What may stand there.
        wanted: Wanted,
    },
    /// A key names a group that the pattern does not have.
    #[error("the pattern in `{}` has no group `{group}`", .place.field)]
    Group {
        /// The pattern.
        place: Place,
        /// The group.
        group: String,
        /// The group that may be meant.
        near: Option<String>,
    },
    /// A text that is longer than it may be.
    #[error("`{}` is {} bytes long; the limit is {limit}", .place.field, .place.text.len())]
    TooLong {
        /// Where; the span is what stands past the limit.
        place: Place,
        /// The greatest length, in bytes.
        limit: usize,
    },
    /// A pattern that needs too much memory once it is compiled.
    #[error("the pattern in `{}` needs more than {limit} bytes when compiled", .place.field)]
    TooLarge {
        /// Where.
        place: Place,
        /// The greatest size, in bytes.
        limit: usize,
    },
}

/// What may stand where something else stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// Something of this form.
    Form(&'static str),
}

impl Wanted {
    /// What is not as it should be: one word of a text, or the text.
    fn subject(self, place: &Place) -> String {
        match self {
            Self::OneOf(_) => shown(place.fault()),
            Self::Form(_) => place.shown(),
        }
    }

    /// The word that may be meant.
    fn hint(self, found: &str) -> Option<String> {
        let Self::OneOf(words) = self else {
            return None;
        };
        let near = nearest(found, words.iter().copied())?;
        Some(format!("did you mean `{near}`?"))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(words) => write!(formatter, "one of {}", words.join(", ")),
            Self::Form(form) => formatter.write_str(form),
        }
    }
}

/// The trouble's place: a field, its text, and the bytes of the text that are at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The field, such as `semver.range` or `exclusionList[2]`.
    pub field: String,
    /// The field's whole text.
    pub text: String,
    /// The bytes at fault, on character boundaries; empty at the end of a text that stops short.
    pub span: Range<usize>,
}

impl Place {
    pub(super) fn new(field: &str, text: &str, span: Range<usize>) -> Self {
        let mut end = span.end.min(text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let mut start = span.start.min(end);
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        Self {
            field: field.to_owned(),
            text: text.to_owned(),
            span: start..end,
        }
    }

    /// The bytes at fault.
    pub fn fault(&self) -> &str {
        self.text.get(self.span.clone()).unwrap_or_default()
    }

    /// The line of the text that is at fault, and a `^` below each byte.
    pub fn caret(&self) -> String {
        const WIDEST: usize = 160;
        let start = self.text[..self.span.start]
            .rfind('\n')
            .map_or(0, |at| at + 1);
        let line = self.text[start..]
            .split(['\n', '\r'])
            .next()
            .unwrap_or_default();
        let before = self.text[start..self.span.start].chars();
        // A tab before the place stays a tab, so that the mark stands below it on any terminal.
        let indent = before.map(|character| if character == '\t' { '\t' } else { ' ' });
        let indent = indent.collect::<String>();
        let marks = "^".repeat(
            self.fault()
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .count()
                .max(1),
        );
        if line.chars().count() <= WIDEST {
            return format!("{line}\n{indent}{marks}");
        }
        // Of a long line, what stands around the place.
        let skipped = indent.chars().count().saturating_sub(WIDEST / 2);
        let shown = line.chars().skip(skipped).take(WIDEST).collect::<String>();
        let indent = indent.chars().skip(skipped).collect::<String>();
        let marks = marks.chars().take(WIDEST / 2).collect::<String>();
        format!("{shown}\n{indent}{marks}")
    }

    /// The field's text for a message.
    fn shown(&self) -> String {
        shown(&self.text)
    }
}

/// A text for a message: one line, and not too long.
fn shown(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut shown = text.escape_debug().collect::<String>();
    if let Some((cut, _)) = shown.char_indices().nth(LONGEST) {
        shown.truncate(cut);
        shown.push('…');
    }
    shown
}

impl PolicyError {
    /// The kind of trouble: a document has to change.
    pub fn class(&self) -> Class {
        Class::Config
    }

    /// The field, its text and the bytes at fault.
    pub fn place(&self) -> &Place {
        match self {
            Self::Pattern { place, .. }
            | Self::Range { place, .. }
            | Self::Calver { place, .. }
            | Self::Direction { place }
            | Self::Word { place, .. }
            | Self::Group { place, .. }
            | Self::TooLong { place, .. }
            | Self::TooLarge { place, .. } => place,
        }
    }

    /// The same error in the field `field`, for a caller that knows the document better.
    ///
    /// ```
    /// use tagwright::policy::Direction;
    ///
    /// let error = "up".parse::<Direction>().unwrap_err().in_field("policy.numerical.order");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "invalid order 'up' in `policy.numerical.order`: it must be asc or desc",
    /// );
    /// ```
    #[must_use]
    pub fn in_field(mut self, field: &str) -> Self {
        match &mut self {
            Self::Pattern { place, .. }
            | Self::Range { place, .. }
            | Self::Calver { place, .. }
            | Self::Direction { place }
            | Self::Word { place, .. }
            | Self::Group { place, .. }
            | Self::TooLong { place, .. }
            | Self::TooLarge { place, .. } => field.clone_into(&mut place.field),
        }
        self
    }

    /// Advice for the reader, with the nearest valid form where there is one.
    pub fn hint(&self) -> Option<String> {
        let advice = self.advice()?;
        Some(match mend::nearest_form(self) {
            Some(form) => format!("{advice}; the nearest valid form is `{form}`"),
            None => advice,
        })
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Pattern { place, problem } => {
                Some(pattern::advice(problem, place.fault()).to_owned())
            }
            Self::Range { place, problem } => Some(problem.advice(place.fault()).to_owned()),
            Self::Calver { problem, .. } => Some(problem.hint()),
            Self::Direction { .. } => {
                Some("asc selects the greatest tag, desc the smallest".to_owned())
            }
            Self::Group { group, near, .. } => Some(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write `(?P<{group}>…)` around what is compared"),
            }),
            Self::Word { place, wanted } => wanted.hint(place.fault()),
            Self::TooLong { .. } => Some("cut it at the mark".to_owned()),
            Self::TooLarge { .. } => Some("repeat less, or narrow the classes".to_owned()),
        }
    }
}
