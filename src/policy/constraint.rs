//! What a candidate must be besides being in order: [`Constraints`].
//!
//! They hold under any order. Those that look at the tag in Git are measured once for it
//! ([`Measure`]); those that need facts which a listing does not have say so, and never guess.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    error::{Place, PolicyError, Wanted},
    loose::Loose,
    order::{Clock, Key, Order},
    range::Range,
    shape::Shape,
};
use crate::{
    image::{Digest, Tag},
    scan::{Signature, TagFacts},
};

/// What a candidate must be, besides being in order. The default asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct Constraints {
    /// The greatest step away from the tag in Git.
    pub update: Option<UpdateLevel>,
    /// Whether the suffix of the tag in Git is kept: `-alpine` stays `-alpine`.
    pub suffix: Keep,
    /// Whether the number of parts of the tag in Git is kept: `1.2` stays `1.2`.
    pub precision: Keep,
    /// Whether pre-releases take part.
    pub prereleases: Prereleases,
    /// The only tags that take part; all where it is empty.
    pub allow: Vec<TagRule>,
    /// Tags that take no part.
    pub deny: Vec<Denial>,
    /// How old a tag must be.
    pub minimum_age: Option<MinimumAge>,
    /// What a tag must run on.
    pub platforms: Vec<Platform>,
    /// Whether a tag's image must be signed.
    pub signing: Signing,
}

/// The greatest step away from the tag in Git.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UpdateLevel {
    /// The first two numbers stay.
    Patch,
    /// The first number stays.
    Minor,
    /// Every number may change.
    Major,
}

/// Whether something of the tag in Git is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// It may change.
    #[default]
    No,
    /// It stays.
    Yes,
}

/// Whether pre-releases take part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prereleases {
    /// As the range says; orders without a range take them.
    #[default]
    AsRange,
    /// They do, as if every part of the range named one.
    Include,
    /// They do not, whatever the range says.
    Exclude,
}

/// Whether an image must be signed. By which keys is known to who looks at its signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signing {
    /// It need not be.
    #[default]
    Free,
    /// It must be, by a key of the policy.
    Required,
}

/// Which tags an entry of `allow` or `deny` means.
#[derive(Clone, Debug)]
pub enum TagRule {
    /// This one.
    Tag(Tag),
    /// Those whose version lies in a range.
    Range(Range),
    /// Those that name this manifest.
    Digest(Digest),
}

/// An entry of `deny`.
#[derive(Clone, Debug)]
pub struct Denial {
    /// Which tags.
    pub rule: TagRule,
    /// Why; it is told with every rejection.
    pub reason: Option<String>,
    /// When the entry ends; never where it is missing.
    pub until: Option<DateTime<Utc>>,
}

/// How old a tag must be, and by which clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinimumAge {
    /// The age.
    pub age: Duration,
    /// The clock.
    pub clock: Clock,
}

/// What an image runs on: `linux/arm64`, `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform(Box<str>);

/// What a policy has to know of a tag and the scan does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fact {
    /// When the image was built, by its configuration.
    Created,
    /// When the image was built, by its annotation.
    Annotated,
    /// When the tag was first seen.
    FirstSeen,
    /// What it runs on.
    Platforms,
    /// Which manifest it names.
    Digest,
    /// Who signed it.
    Signature,
}

/// The parts of the tag in Git that constraints look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Measure<'a> {
    level: Option<(UpdateLevel, [u64; 3])>,
    suffix: Option<&'a str>,
    parts: Option<usize>,
    /// What the tag in Git does not have although a constraint looks at it.
    pub(super) missing: Option<&'static str>,
}

/// The constraint that a tag fails.
#[derive(Clone, Debug)]
pub(super) enum Breach<'a> {
    Level(UpdateLevel),
    Unversioned,
    Suffix(&'a str),
    Parts(usize),
    Prerelease,
    NotAllowed,
    Denied(&'a Denial),
    Young(MinimumAge),
    Platform(&'a Platform),
    Signature(&'a Signature),
}

/// A tag that passes, as far as is known.
pub(super) type Passed = Option<Fact>;

impl Constraints {
    /// Whether any of them looks at the tag in Git.
    pub fn are_relative(&self) -> bool {
        self.update.is_some() || self.suffix == Keep::Yes || self.precision == Keep::Yes
    }

    /// Looks at the tag in Git, whose value for the order is `value`.
    pub(super) fn measure<'a>(&self, order: &Order, tag: &'a str, value: &str) -> Measure<'a> {
        let mut measure = Measure::default();
        if let Some(level) = self.update {
            let key = order.read(value).ok();
            match numbers(key.as_ref(), value) {
                Some(numbers) => measure.level = Some((level, numbers)),
                None => measure.missing = Some("version"),
            }
        }
        if self.suffix == Keep::Yes || self.precision == Keep::Yes {
            match Shape::read(tag) {
                Some(shape) => {
                    measure.suffix = (self.suffix == Keep::Yes).then_some(shape.suffix);
                    measure.parts = (self.precision == Keep::Yes).then_some(shape.parts);
                }
                None => measure.missing = Some("number"),
            }
        }
        measure
    }

    /// Judges a tag that the order has read, at the time `now`.
    pub(super) fn judge<'a>(
        &'a self,
        measure: &Measure<'a>,
        (tag, value, key): (&Tag, &str, &Key<'_>),
        facts: Option<&TagFacts>,
        now: DateTime<Utc>,
    ) -> Result<Passed, Breach<'a>> {
        if let Some((level, old)) = measure.level {
            let new = numbers(Some(key), value).ok_or(Breach::Unversioned)?;
            let kept = level.kept();
            if new[..kept] != old[..kept] {
                return Err(Breach::Level(level));
            }
        }
        measure.judge(tag)?;
        if self.prereleases == Prereleases::Exclude {
            // The suffix that is kept makes no pre-release of what carries it.
            let is_prerelease = match measure.suffix {
                Some(_) => Shape::read(tag.as_str()).is_some_and(|shape| shape.is_prerelease),
                None => is_prerelease(key, value),
            };
            if is_prerelease {
                return Err(Breach::Prerelease);
            }
        }
        let listed = self.judge_lists((tag, value, key), facts, now)?;
        let aged = self.judge_age(facts, now)?;
        let placed = self.judge_platforms(facts)?;
        Ok(listed.or(aged).or(placed))
    }

    fn judge_lists<'a>(
        &'a self,
        subject: (&Tag, &str, &Key<'_>),
        facts: Option<&TagFacts>,
        now: DateTime<Utc>,
    ) -> Result<Passed, Breach<'a>> {
        let mut missing = None;
        let mut is_allowed = self.allow.is_empty();
        for rule in &self.allow {
            match rule.means(subject, facts, Prereleases::AsRange) {
                Ok(means) => is_allowed |= means,
                Err(fact) => missing = Some(fact),
            }
        }
        if is_allowed {
            missing = None;
        } else if missing.is_none() {
            return Err(Breach::NotAllowed);
        }
        for denial in self.deny.iter().filter(|denial| denial.holds_at(now)) {
            match denial.rule.means(subject, facts, Prereleases::Include) {
                Ok(true) => return Err(Breach::Denied(denial)),
                Ok(false) => {}
                Err(fact) => missing = Some(fact),
            }
        }
        Ok(missing)
    }

    fn judge_age(
        &self,
        facts: Option<&TagFacts>,
        now: DateTime<Utc>,
    ) -> Result<Passed, Breach<'static>> {
        let Some(minimum) = self.minimum_age else {
            return Ok(None);
        };
        let Some(since) = facts.and_then(|facts| minimum.clock.read(facts)) else {
            return Ok(Some(minimum.clock.fact()));
        };
        // A time in the future is no age.
        let age = now.signed_duration_since(since).to_std();
        if age.is_ok_and(|age| age >= minimum.age) {
            Ok(None)
        } else {
            Err(Breach::Young(minimum))
        }
    }

    /// Judges who signed a tag's image. That comes last, since it is the most to ask for.
    pub(super) fn judge_signature<'a>(
        &self,
        facts: Option<&'a TagFacts>,
    ) -> Result<Passed, Breach<'a>> {
        if self.signing == Signing::Free {
            return Ok(None);
        }
        match facts.and_then(|facts| facts.signature.as_ref()) {
            Some(Signature::By(_)) => Ok(None),
            None | Some(Signature::Unknown(_)) => Ok(Some(Fact::Signature)),
            Some(signature) => Err(Breach::Signature(signature)),
        }
    }

    fn judge_platforms(&self, facts: Option<&TagFacts>) -> Result<Passed, Breach<'_>> {
        if self.platforms.is_empty() {
            return Ok(None);
        }
        let Some(found) = facts.and_then(|facts| facts.platforms.as_ref()) else {
            return Ok(Some(Fact::Platforms));
        };
        let mut wanted = self.platforms.iter();
        match wanted.find(|platform| !found.iter().any(|it| **it == *platform.0)) {
            Some(platform) => Err(Breach::Platform(platform)),
            None => Ok(None),
        }
    }
}

impl<'a> Measure<'a> {
    fn judge(&self, tag: &Tag) -> Result<(), Breach<'a>> {
        if self.suffix.is_none() && self.parts.is_none() {
            return Ok(());
        }
        let shape = Shape::read(tag.as_str());
        if let Some(suffix) = self.suffix
            && shape.is_none_or(|shape| shape.suffix != suffix)
        {
            return Err(Breach::Suffix(suffix));
        }
        if let Some(parts) = self.parts
            && shape.is_none_or(|shape| shape.parts != parts)
        {
            return Err(Breach::Parts(parts));
        }
        Ok(())
    }
}

impl TagRule {
    /// Whether the rule means a tag; the fact that is missing where nobody can tell.
    fn means(
        &self,
        (tag, value, key): (&Tag, &str, &Key<'_>),
        facts: Option<&TagFacts>,
        prereleases: Prereleases,
    ) -> Result<bool, Fact> {
        match self {
            Self::Tag(this) => Ok(this == tag),
            Self::Range(range) => Ok(match key {
                Key::Version(version) => range.admits(version, prereleases),
                Key::Loose(loose) => range.admits(&loose.version, prereleases),
                _ => Loose::read(value)
                    .is_some_and(|loose| range.admits(&loose.version, prereleases)),
            }),
            Self::Digest(digest) => facts
                .and_then(|facts| facts.digest.as_ref())
                .map(|found| found == digest)
                .ok_or(Fact::Digest),
        }
    }
}

impl Denial {
    fn holds_at(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl UpdateLevel {
    /// How many of the leading numbers stay.
    fn kept(self) -> usize {
        match self {
            Self::Patch => 2,
            Self::Minor => 1,
            Self::Major => 0,
        }
    }
}

/// The first three numbers of a version.
fn numbers(key: Option<&Key<'_>>, value: &str) -> Option<[u64; 3]> {
    match key {
        Some(Key::Version(version)) => Some(version.core),
        Some(Key::Loose(loose)) => Some(loose.version.core),
        Some(Key::Calver([first, second, third, ..])) => Some([*first, *second, *third]),
        _ => Loose::read(value).map(|loose| loose.version.core),
    }
}

fn is_prerelease(key: &Key<'_>, value: &str) -> bool {
    match key {
        Key::Version(version) => version.is_prerelease(),
        Key::Loose(loose) => loose.version.is_prerelease(),
        _ => Loose::read(value).is_some_and(|loose| loose.version.is_prerelease()),
    }
}

impl FromStr for UpdateLevel {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        match text {
            "patch" => Ok(Self::Patch),
            "minor" => Ok(Self::Minor),
            "major" => Ok(Self::Major),
            _ => Err(PolicyError::word(
                "constraints.update",
                text,
                Wanted::OneOf(&["patch", "minor", "major"]),
            )),
        }
    }
}

impl FromStr for Platform {
    type Err = PolicyError;

    /// Reads `os/architecture`, with a variant behind another slash where there is one.
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let is_word = |word: &str| {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            !word.is_empty() && word.bytes().all(fits)
        };
        let parts = text.split('/').count();
        if (2..=3).contains(&parts) && text.split('/').all(is_word) {
            Ok(Self(text.into()))
        } else {
            Err(PolicyError::word(
                "constraints.platforms",
                text,
                Wanted::Form("a platform such as linux/arm64 or linux/arm/v7"),
            ))
        }
    }
}

impl TagRule {
    /// Reads `tag`, `range` or `digest` of an entry that stands in `field`.
    pub fn new(field: &str, kind: TagRuleKind, text: &str) -> Result<Self, PolicyError> {
        let wrong = |form| PolicyError::word(field, text, Wanted::Form(form));
        match kind {
            TagRuleKind::Tag => text.parse().map(Self::Tag).map_err(|_| {
                let is_strange =
                    |letter: char| !letter.is_ascii_alphanumeric() && !"_.-".contains(letter);
                let strange = text.char_indices().find(|(_, letter)| is_strange(*letter));
                let span = match strange {
                    Some((at, letter)) => at..at + letter.len_utf8(),
                    None => 0..text.len(),
                };
                PolicyError::Word {
                    place: Place::new(field, text, span),
                    wanted: Wanted::Form("a tag: up to 128 letters, digits, `_`, `.` and `-`"),
                }
            }),
            TagRuleKind::Range => Range::new(text)
                .map(Self::Range)
                .map_err(|error| error.in_field(field)),
            TagRuleKind::Digest => text
                .parse()
                .map(Self::Digest)
                .map_err(|_| wrong("a digest such as sha256:…")),
        }
    }

    /// Which kind it is, and its text.
    pub fn parts(&self) -> (TagRuleKind, String) {
        match self {
            Self::Tag(tag) => (TagRuleKind::Tag, tag.to_string()),
            Self::Range(range) => (TagRuleKind::Range, range.to_string()),
            Self::Digest(digest) => (TagRuleKind::Digest, digest.to_string()),
        }
    }
}

/// The kinds of [`TagRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagRuleKind {
    /// An exact tag.
    Tag,
    /// A range of versions.
    Range,
    /// A digest.
    Digest,
}

impl fmt::Display for UpdateLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for TagRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.parts().1)
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Created => "when it was created",
            Self::Annotated => "what its annotation says of its creation",
            Self::FirstSeen => "when it was first seen",
            Self::Platforms => "what it runs on",
            Self::Digest => "its digest",
            Self::Signature => "who signed it",
        })
    }
}

impl fmt::Display for Breach<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => write!(formatter, "is more than a {level} update"),
            Self::Unversioned => formatter.write_str("has no version to measure an update by"),
            Self::Suffix("") => formatter.write_str("has a suffix, and the tag in git has none"),
            Self::Suffix(suffix) => write!(formatter, "has not the suffix `{suffix}`"),
            Self::Parts(1) => formatter.write_str("has more than one number"),
            Self::Parts(parts) => write!(formatter, "has not {parts} numbers"),
            Self::Prerelease => formatter.write_str("is a pre-release"),
            Self::NotAllowed => formatter.write_str("is not allowed by any entry"),
            Self::Denied(Denial { rule, reason, .. }) => {
                write!(formatter, "is denied by `{rule}`")?;
                match reason {
                    Some(reason) => write!(formatter, ": {reason}"),
                    None => Ok(()),
                }
            }
            Self::Young(MinimumAge { age, .. }) => {
                write!(formatter, "is younger than {}", span(*age))
            }
            Self::Platform(platform) => write!(formatter, "does not run on {platform}"),
            Self::Signature(signature) => write!(formatter, "{signature}"),
        }
    }
}

/// A duration as it is written in a document.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (hours, 0, 0) if hours > 0 => format!("{hours}h"),
        (0, minutes, 0) if minutes > 0 => format!("{minutes}m"),
        (0, 0, seconds) => format!("{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

impl PolicyError {
    /// A word that is none of those that may stand in `field`.
    pub(super) fn word(field: &str, text: &str, wanted: Wanted) -> Self {
        Self::Word {
            place: Place::new(field, text, 0..text.len()),
            wanted,
        }
    }
}
