//! How candidates are compared: the [`Order`] of a policy.
//!
//! Every order is total up to equal keys; those are settled by the bytes of the tags.

use std::{borrow::Cow, cmp::Ordering, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    calver::{Calver, CalverFormat},
    constraint::Fact,
    error::{Place, PolicyError, Wanted},
    keys::{KeyKind, Keys},
    loose::Loose,
    natural,
    number::{Number, NumberFault},
    range::Range,
    version::{Version, VersionFault},
};
use crate::scan::TagFacts;

/// How candidates are compared.
#[derive(Clone, Debug)]
pub enum Order {
    /// Semantic versions, as far as they lie in a range; the greatest is selected.
    Semver(Range),
    /// Texts, byte by byte.
    Alphabetical(Direction),
    /// Numbers, exactly.
    Numerical(Direction, Strictness),
    /// Texts in which runs of digits count as numbers. Flux has no such order.
    Natural(Direction),
    /// Calendar versions; the latest is selected. Flux has no such order.
    Calver(CalverFormat),
    /// Versions of one to four parts, as far as they lie in a range; the greatest is selected. Flux
    /// has no such order.
    Loose(Range),
    /// Several groups of the filter, one after the other. Flux has no such order.
    Keys(Keys),
    /// Times, by a clock that is part of the scan; the latest is selected. Flux has no such order.
    Newest(Clock),
}

/// What a tag does that the numerical order cannot read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// It is rejected, and the others are compared.
    #[default]
    Lenient,
    /// It holds the policy, as in Flux.
    Strict,
}

/// By which clock a tag has its age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Clock {
    /// When the image was built, by its configuration.
    #[default]
    Created,
    /// When the image was built, by its annotation `org.opencontainers.image.created`.
    Annotation,
    /// When the tag was first seen.
    FirstSeen,
}

/// Which end of an order is selected.
///
/// ```
/// use tagwright::policy::Direction;
///
/// assert_eq!("asc".parse(), Ok(Direction::Ascending));
/// assert_eq!("DESC".parse(), Ok(Direction::Descending));
/// assert!("up".parse::<Direction>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The last in ascending order: the greatest.
    #[default]
    Ascending,
    /// The last in descending order: the smallest.
    Descending,
}

/// What an order compares.
#[derive(Clone, Debug)]
pub(super) enum Key<'t> {
    Text(Cow<'t, str>),
    Version(Version<'t>),
    Number(Number<'t>),
    Calver(Calver),
    Loose(Loose<'t>),
    /// The groups, with a space between them.
    Keys(Cow<'t, str>),
    /// Unknown stands above every known time: it may be later than any of them.
    Time(Option<DateTime<Utc>>),
}

/// Why an order cannot read a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Version(VersionFault),
    Number(NumberFault),
    Calver,
    Loose,
    Key(KeyKind),
}

impl Order {
    /// Semantic versions in `range`, read as Masterminds/semver v3 reads it.
    pub fn semver(range: &str) -> Result<Self, PolicyError> {
        Range::new(range).map(Self::Semver)
    }

    /// Texts, byte by byte.
    pub fn alphabetical(direction: Direction) -> Self {
        Self::Alphabetical(direction)
    }

    /// Numbers, exactly; what is no number is rejected.
    pub fn numerical(direction: Direction) -> Self {
        Self::Numerical(direction, Strictness::Lenient)
    }

    /// Numbers, exactly; what is no number holds the policy, as in Flux.
    pub fn strict_numerical(direction: Direction) -> Self {
        Self::Numerical(direction, Strictness::Strict)
    }

    /// Texts in natural order: `1.0.100` stands above `1.0.90`.
    pub fn natural(direction: Direction) -> Self {
        Self::Natural(direction)
    }

    /// Calendar versions in `format`, such as `YYYY.0M.MICRO`.
    pub fn calver(format: &str) -> Result<Self, PolicyError> {
        CalverFormat::new(format).map(Self::Calver)
    }

    /// Versions of one to four parts with optional packaging revisions, in `range`; the range applies
    /// to the first three numbers and the pre-release.
    pub fn loose(range: &str) -> Result<Self, PolicyError> {
        let range = Range::new(range).map_err(|error| error.in_field("policy.loose.range"));
        range.map(Self::Loose)
    }

    /// The order that a marker calls `word`, with its argument; `None` where there is no such word.
    pub fn of(word: &str, argument: &str) -> Result<Option<Self>, PolicyError> {
        Ok(Some(match word {
            "semver" => Self::semver(argument)?,
            "loose" => Self::loose(argument)?,
            "calver" => Self::calver(argument)?,
            "keys" => Self::Keys(Keys::parse(argument)?),
            "newest" => Self::Newest(argument.parse()?),
            "alphabetical" => Self::alphabetical(argument.parse()?),
            "natural" => Self::natural(argument.parse()?),
            "numerical" => Self::numerical(argument.parse()?),
            _ => return Ok(None),
        }))
    }

    /// What this order compares of `text`.
    pub(super) fn read<'t>(&self, text: &'t str) -> Result<Key<'t>, Unreadable> {
        match self {
            Self::Semver(_) => Version::read(text)
                .map(Key::Version)
                .map_err(Unreadable::Version),
            Self::Alphabetical(_) | Self::Natural(_) => Ok(Key::Text(Cow::Borrowed(text))),
            Self::Keys(keys) => match keys.unreadable(text) {
                Some(kind) => Err(Unreadable::Key(kind)),
                None => Ok(Key::Keys(Cow::Borrowed(text))),
            },
            Self::Newest(_) => Ok(Key::Time(None)),
            Self::Numerical(..) => Number::read(text)
                .map(Key::Number)
                .map_err(Unreadable::Number),
            Self::Calver(format) => format.read(text).map(Key::Calver).ok_or(Unreadable::Calver),
            Self::Loose(_) => Loose::read(text).map(Key::Loose).ok_or(Unreadable::Loose),
        }
    }

    /// The range that a key must lie in, and the version that lies in it or not.
    pub(super) fn limits<'o, 'k, 't>(
        &'o self,
        key: &'k Key<'t>,
    ) -> Option<(&'o Range, &'k Version<'t>)> {
        match (self, key) {
            (Self::Semver(range), Key::Version(version)) => Some((range, version)),
            (Self::Loose(range), Key::Loose(loose)) => Some((range, &loose.version)),
            _ => None,
        }
    }

    /// Compares two keys of this order; the greater is preferred.
    pub(super) fn compare(&self, left: &Key<'_>, right: &Key<'_>) -> Ordering {
        let ascending = match (left, right) {
            (Key::Version(left), Key::Version(right)) => left.cmp(right),
            (Key::Number(left), Key::Number(right)) => left.cmp(right),
            (Key::Text(left), Key::Text(right)) => match self {
                Self::Natural(_) => natural::compare(left, right),
                _ => left.cmp(right),
            },
            (Key::Calver(left), Key::Calver(right)) => left.cmp(right),
            (Key::Loose(left), Key::Loose(right)) => left.compare(right),
            (Key::Keys(left), Key::Keys(right)) => match self {
                Self::Keys(keys) => keys.compare(left, right),
                _ => Ordering::Equal,
            },
            (Key::Time(left), Key::Time(right)) => {
                (left.is_none(), left).cmp(&(right.is_none(), right))
            }
            // One order reads one kind of key.
            _ => Ordering::Equal,
        };
        match self.direction() {
            Direction::Ascending => ascending,
            Direction::Descending => ascending.reverse(),
        }
    }

    fn direction(&self) -> Direction {
        match self {
            Self::Semver(_)
            | Self::Calver(_)
            | Self::Loose(_)
            | Self::Keys(_)
            | Self::Newest(_) => Direction::Ascending,
            Self::Alphabetical(direction)
            | Self::Numerical(direction, _)
            | Self::Natural(direction) => *direction,
        }
    }
}

impl fmt::Display for Order {
    /// The words of a marker: `semver=1.x`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Semver(range) => write!(formatter, "semver={range}"),
            Self::Loose(range) => write!(formatter, "loose={range}"),
            Self::Calver(format) => write!(formatter, "calver={}", format.as_str()),
            Self::Alphabetical(direction) => write!(formatter, "alphabetical={direction}"),
            Self::Numerical(direction, Strictness::Lenient) => {
                write!(formatter, "numerical={direction}")
            }
            Self::Numerical(direction, Strictness::Strict) => {
                write!(formatter, "numerical={direction} strict=true")
            }
            Self::Keys(keys) => write!(formatter, "keys=\"{keys}\""),
            Self::Newest(clock) => write!(formatter, "newest={clock}"),
            Self::Natural(direction) => write!(formatter, "natural={direction}"),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        })
    }
}

impl FromStr for Direction {
    type Err = PolicyError;

    /// Reads `asc` or `desc` in any case; an empty text is `asc`.
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        if text.is_empty() || text.eq_ignore_ascii_case("asc") {
            Ok(Self::Ascending)
        } else if text.eq_ignore_ascii_case("desc") {
            Ok(Self::Descending)
        } else {
            Err(PolicyError::Direction {
                place: Place::new("order", text, 0..text.len()),
            })
        }
    }
}

impl Clock {
    /// What the clock says of a tag.
    pub(super) fn read(self, facts: &TagFacts) -> Option<DateTime<Utc>> {
        match self {
            Self::Created => facts.created,
            Self::Annotation => facts.annotated,
            Self::FirstSeen => facts.first_seen,
        }
    }

    /// What is missing where the clock says nothing.
    pub fn fact(self) -> Fact {
        match self {
            Self::Created => Fact::Created,
            Self::Annotation => Fact::Annotated,
            Self::FirstSeen => Fact::FirstSeen,
        }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Created => "created",
            Self::Annotation => "annotation",
            Self::FirstSeen => "firstSeen",
        })
    }
}

impl FromStr for Clock {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        match text {
            "created" => Ok(Self::Created),
            "annotation" => Ok(Self::Annotation),
            "firstSeen" => Ok(Self::FirstSeen),
            _ => Err(PolicyError::word(
                "policy.newest.clock",
                text,
                Wanted::OneOf(&["created", "annotation", "firstSeen"]),
            )),
        }
    }
}

impl Key<'_> {
    /// The same key, free of the text that it was read from.
    pub(super) fn into_owned(self) -> Key<'static> {
        match self {
            Self::Text(text) => Key::Text(Cow::Owned(text.into_owned())),
            Self::Version(version) => Key::Version(version.into_owned()),
            Self::Number(number) => Key::Number(number.into_owned()),
            Self::Calver(fields) => Key::Calver(fields),
            Self::Keys(text) => Key::Keys(Cow::Owned(text.into_owned())),
            Self::Time(time) => Key::Time(time),
            Self::Loose(loose) => Key::Loose(loose.into_owned()),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(fault) => write!(formatter, "is not a semantic version: {fault}"),
            Self::Number(NumberFault::Shape) => formatter.write_str("is not a number"),
            Self::Number(NumberFault::Nan) => {
                formatter.write_str("is not a number: `nan` has no place in an order")
            }
            Self::Number(NumberFault::TooBig) => {
                formatter.write_str("is not a number: it is out of range")
            }
            Self::Calver => formatter.write_str("is not a version in the calendar format"),
            Self::Loose => formatter.write_str("is not a version of one to four parts"),
            Self::Key(kind) => write!(formatter, "has a key that is not a {kind}"),
        }
    }
}
