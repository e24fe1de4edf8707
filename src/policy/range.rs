//! Version ranges in the grammar of Masterminds/semver v3, the one that Flux and Helm read.
//!
//! ```text
//! range      = group { "||" group }
//! group      = comparator { ( spaces | [spaces] "," [spaces] ) comparator }
//! comparator = [ "=" "!=" ">" "<" ">=" "=>" "<=" "=<" "~" "~>" "^" ] [spaces] partial
//!            | partial spaces "-" spaces partial
//! partial    = ["v"] number [ "." number ] [ "." number ] [ "-" pre ] [ "+" build ]
//! number     = digits | "x" | "X" | "*"
//! ```
//!
//! The quirks are kept, because a range must mean here what it means there: `^*` is `0.0.0` only,
//! `<=*` is `0.0.z`, `~0.0.0` is everything, and one pre-release anywhere in a group opens the
//! whole group to pre-releases. `A - B` is rewritten to `>=A, <=B` in the text before anything else
//! is looked at; that is why `1 3 - 4` is an error and `1, 3 - 4` is none.

mod parse;

use std::{cmp::Ordering, fmt};

use super::{constraint::Prereleases, error::PolicyError, version::Version};

pub use self::parse::RangeProblem;

/// The longest range in bytes.
pub const RANGE_LIMIT: usize = 256;

/// A set of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    text: String,
    groups: Vec<Group>,
}

/// Comparators that must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    comparators: Vec<Comparator>,
    /// Whether one of the comparators names a pre-release, which opens the group to all of them.
    prereleases: bool,
}

/// An operator and the version it compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparator {
    operator: Operator,
    base: Version<'static>,
    width: Width,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Tilde,
    Caret,
}

/// How much of a version a partial leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    /// Nothing: `1.2.3`.
    Exact,
    /// The patch: `1.2`, `1.2.x`.
    Patch,
    /// Minor and patch: `1`, `1.x`.
    Minor,
    /// Everything: `*`.
    Any,
}

/// Why a group of a range does not admit a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// The version is a pre-release and the group names none.
    Prerelease,
    /// A comparator, in its own words, does not hold.
    Fails(String),
}

impl Range {
    /// Compiles the `semver.range` of a policy.
    pub fn new(text: &str) -> Result<Self, PolicyError> {
        let groups = parse::groups("semver.range", text)?;
        Ok(Self {
            text: text.to_owned(),
            groups,
        })
    }

    /// The range as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the version that `text` says lies in the range; nothing where it says none.
    ///
    /// Read as Masterminds/semver reads it: `v1` and `1.2` are versions, and a pre-release lies only
    /// in a range that names one.
    ///
    /// ```
    /// use tagwright::policy::Range;
    ///
    /// let range = Range::new("1.x").unwrap();
    /// assert_eq!(range.contains("v1.4"), Some(true));
    /// assert_eq!(range.contains("latest"), None);
    /// ```
    pub fn contains(&self, text: &str) -> Option<bool> {
        let version = Version::coerce(text).ok()?;
        Some(self.admits(&version, Prereleases::AsRange))
    }

    /// Those of some tags that stand highest in the range: more than one where versions differ in
    /// their build metadata alone, none where no tag lies in it.
    ///
    /// Of a tag, unlike of [`Range::contains`], all three numbers are asked for.
    ///
    /// ```
    /// use tagwright::policy::Range;
    ///
    /// let range = Range::new("1.x").unwrap();
    /// assert_eq!(range.newest(["v1.4.0", "1.3.9", "1.5", "2.0.0"]), ["v1.4.0"]);
    /// ```
    pub fn newest<'t>(&self, tags: impl IntoIterator<Item = &'t str>) -> Vec<&'t str> {
        let mut highest = None;
        let mut newest = Vec::new();
        for tag in tags {
            let Ok(version) = Version::read(tag) else {
                continue;
            };
            if !self.admits(&version, Prereleases::AsRange) {
                continue;
            }
            let order = highest
                .as_ref()
                .map_or(Ordering::Greater, |it| version.cmp(it));
            if order.is_gt() {
                newest.clear();
                highest = Some(version);
            }
            if order.is_ge() {
                newest.push(tag);
            }
        }
        newest
    }

    /// Whether `version` lies in the range.
    pub(super) fn admits(&self, version: &Version<'_>, prereleases: Prereleases) -> bool {
        self.groups
            .iter()
            .any(|group| group.fault(version, prereleases).is_none())
    }

    /// The first thing that each group holds against `version`; empty if one group admits it.
    pub(super) fn objections(
        &self,
        version: &Version<'_>,
        prereleases: Prereleases,
    ) -> Vec<Objection> {
        let objections = self.groups.iter().map(|group| {
            group.fault(version, prereleases).map(|fault| match fault {
                Fault::Prerelease => Objection::Prerelease,
                Fault::Fails(comparator) => Objection::Fails(comparator.text.clone()),
            })
        });
        objections.collect::<Option<_>>().unwrap_or_default()
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prerelease => formatter.write_str("is a pre-release, and none is named there"),
            Self::Fails(comparator) => write!(formatter, "fails `{comparator}`"),
        }
    }
}

/// What stands between a version and a group.
enum Fault<'r> {
    Prerelease,
    Fails(&'r Comparator),
}

impl Group {
    fn fault(&self, version: &Version<'_>, prereleases: Prereleases) -> Option<Fault<'_>> {
        let opened = version.is_prerelease() && !self.prereleases;
        if opened && prereleases != Prereleases::Include {
            return Some(Fault::Prerelease);
        }
        self.comparators
            .iter()
            .find(|comparator| !comparator.holds(version) || opened && comparator.ends_at(version))
            .map(Fault::Fails)
    }
}

impl Comparator {
    fn holds(&self, version: &Version<'_>) -> bool {
        let base = &self.base;
        match self.operator {
            Operator::Equal if self.width == Width::Exact => version == base,
            Operator::Equal | Operator::Tilde => self.tilde(version),
            Operator::NotEqual => self.differs(version),
            Operator::Greater => match self.width {
                Width::Exact | Width::Any => version > base,
                Width::Minor => version.core[0] > base.core[0],
                Width::Patch => version.core[..2] > base.core[..2],
            },
            Operator::GreaterOrEqual => version >= base,
            Operator::Less => version < base,
            Operator::LessOrEqual => match self.width {
                Width::Exact => version <= base,
                Width::Minor => version.core[0] <= base.core[0],
                // For `*` this is Masterminds' arithmetic on a base of 0.0.0: only 0.0.z is left.
                Width::Patch | Width::Any => version.core[..2] <= base.core[..2],
            },
            Operator::Caret => self.caret(version),
        }
    }

    /// Whether `version` is a pre-release of the very version that a `<` shuts out: whoever writes
    /// `<2` and switches pre-releases on does not mean `2.0.0-rc.1`.
    fn ends_at(&self, version: &Version<'_>) -> bool {
        self.operator == Operator::Less && version.core == self.base.core
    }

    fn differs(&self, version: &Version<'_>) -> bool {
        let [major, minor, _] = version.core;
        match self.width {
            Width::Exact | Width::Any => version != &self.base,
            Width::Minor => major != self.base.core[0],
            Width::Patch => [major, minor] != self.base.core[..2] || version.pre != self.base.pre,
        }
    }

    fn tilde(&self, version: &Version<'_>) -> bool {
        if version < &self.base {
            return false;
        }
        let open = matches!(self.width, Width::Exact | Width::Any);
        if open && self.base.core == [0, 0, 0] {
            return true;
        }
        match self.width {
            Width::Minor => version.core[0] == self.base.core[0],
            Width::Exact | Width::Patch | Width::Any => version.core[..2] == self.base.core[..2],
        }
    }

    fn caret(&self, version: &Version<'_>) -> bool {
        if version < &self.base {
            return false;
        }
        let base = self.base.core;
        let kept = if self.width == Width::Minor || base[0] > 0 {
            1
        } else if self.width == Width::Patch || base[1] > 0 {
            2
        } else {
            3
        };
        version.core[..kept] == base[..kept]
    }
}

#[cfg(test)]
mod tests;
