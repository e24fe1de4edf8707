//! What keeps a selection from being written: the reasons of [`Hold`], and when each of them holds.

use std::{fmt, str::FromStr};

use serde::Serialize;

use super::{
    Downgrade, Policy,
    constraint::Fact,
    error::{PolicyError, Wanted},
    filter::Scratch,
    order::{Order, Strictness},
    select::{self, Situation, Survey},
    shape::{Scheme, is_hash_or_count},
    verdict::Selection,
};
use crate::{
    image::Tag,
    scan::{Scan, Signature},
};

/// A guard that a policy can switch off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// Against lists that lost almost everything, the tag in Git included.
    ShrunkList,
    /// Against dates beside versions.
    MixedSchemes,
    /// Against commits and counts that read as versions.
    DigitTags,
    /// Against writing again what somebody took back.
    TakenBack,
}

/// Why a selection is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Hold {
    /// It is older than what is in Git.
    Older {
        /// The tag that would be written.
        selected: Tag,
        /// The tag that is in Git.
        current: Tag,
    },
    /// The tag in Git is no longer listed, and nothing else but the selection is left.
    ShrunkList {
        /// The tag that would be written.
        selected: Tag,
        /// The tag that is in Git.
        current: Tag,
    },
    /// The selection is a date where Git has a version, or the other way round.
    MixedSchemes {
        /// The tag that would be written.
        selected: Tag,
        /// What it looks like.
        looks_like: &'static str,
        /// The tag that is in Git.
        current: Tag,
    },
    /// The selection may be a commit or a count, and there are real versions beside it.
    DigitTag {
        /// The tag that would be written.
        selected: Tag,
        /// A real version.
        beside: Tag,
    },
    /// The policy needs a fact that the scan does not hold.
    MissingFact {
        /// The tag of which it is not known.
        selected: Tag,
        /// What is not known.
        fact: Fact,
    },
    /// The policy wants signed images, and whether this one is could not be found out.
    Unverified {
        /// The tag.
        selected: Tag,
        /// Why not.
        reason: String,
    },
    /// The order is strict, and cannot read every tag.
    Strict {
        /// A tag that it cannot read.
        unreadable: Tag,
    },
    /// A constraint measures by something that the tag in Git does not have.
    Unmeasured {
        /// The tag that is in Git.
        current: String,
        /// What it does not have.
        lacks: &'static str,
    },
}

/// The first reason to hold `selection`.
pub(super) fn hold(
    policy: &Policy,
    scan: &Scan,
    situation: Situation<'_>,
    survey: &Survey,
    selection: &Selection,
    missing: Option<Fact>,
) -> Option<Hold> {
    if let Some(fact) = missing {
        let selected = selection.tag.clone();
        let facts = scan.facts.get(&selected);
        return Some(match facts.and_then(|facts| facts.signature.as_ref()) {
            Some(Signature::Unknown(reason)) => Hold::Unverified {
                selected,
                reason: reason.clone(),
            },
            _ => Hold::MissingFact { selected, fact },
        });
    }
    if let (Order::Numerical(_, Strictness::Strict), Some(unreadable)) =
        (&policy.order, &survey.unreadable)
    {
        let unreadable = unreadable.clone();
        return Some(Hold::Strict { unreadable });
    }
    if let (Some(lacks), Some(current)) = (survey.unmeasured, situation.current) {
        let current = current.to_owned();
        return Some(Hold::Unmeasured { current, lacks });
    }
    let current = situation.current.and_then(|it| it.parse::<Tag>().ok());
    if current.as_ref() == Some(&selection.tag) {
        return None;
    }
    let look = Look {
        policy,
        scan,
        situation,
        selection,
    };
    look.digit_tag().or_else(|| {
        let current = current?;
        look.shrunk_list(survey, &current)
            .or_else(|| look.mixed_schemes(&current))
            .or_else(|| older(policy, scan, &selection.tag, &current))
    })
}

/// The guard that cannot be switched off but by allowing downgrades.
pub(super) fn older(policy: &Policy, scan: &Scan, selected: &Tag, current: &Tag) -> Option<Hold> {
    let is_older =
        policy.downgrade == Downgrade::Refuse && is_older(policy, scan, selected, current);
    is_older.then(|| Hold::Older {
        selected: selected.clone(),
        current: current.clone(),
    })
}

/// Whether `selected` stands before `current`.
///
/// Older is what `policy` itself orders before: `current` goes through its filter, its extract and
/// its order as a tag of the registry would. It need not lie in the range and may be excluded by
/// now, since a narrowed policy must not roll a service back by the way. What cannot be compared,
/// and what compares equal, never holds.
fn is_older(policy: &Policy, scan: &Scan, selected: &Tag, current: &Tag) -> bool {
    if let Order::Newest(clock) = policy.order {
        let time = |tag| scan.facts.get(tag).and_then(|facts| clock.read(facts));
        return matches!((time(selected), time(current)), (Some(new), Some(old)) if new < old);
    }
    policy.puts_before(selected, current)
}

impl Policy {
    /// Whether the order puts `one` before `other` by what it reads in the tags themselves.
    pub fn puts_before(&self, one: &Tag, other: &Tag) -> bool {
        let (mut first, mut second) = (Scratch::default(), Scratch::default());
        let one = self.filter.value(one.as_str(), &mut first);
        let other = self.filter.value(other.as_str(), &mut second);
        let (Some(one), Some(other)) = (one, other) else {
            return false;
        };
        match (self.order.read(one), self.order.read(other)) {
            (Ok(one), Ok(other)) => self.order.compare(&one, &other).is_lt(),
            _ => false,
        }
    }
}

/// What the guards look at.
struct Look<'a> {
    policy: &'a Policy,
    scan: &'a Scan,
    situation: Situation<'a>,
    selection: &'a Selection,
}

impl Look<'_> {
    fn is_on(&self, guard: Guard) -> bool {
        !self.policy.guards_off.contains(&guard)
    }

    /// Orders that take digits as they come cannot tell a commit from a version.
    fn digit_tag(&self) -> Option<Hold> {
        let takes_digits = matches!(self.policy.order, Order::Loose(_) | Order::Natural(_));
        if !takes_digits || !self.is_on(Guard::DigitTags) || !is_hash_or_count(&self.selection.key)
        {
            return None;
        }
        let is_version = |value: &str| Scheme::read(value) == Some(Scheme::Version);
        let beside = select::find(self.policy, self.scan, self.situation, is_version)?;
        Some(Hold::DigitTag {
            selected: self.selection.tag.clone(),
            beside: beside.clone(),
        })
    }

    /// A repository that was emptied and made anew lists one tag that the filter and the order take,
    /// and not the one in Git.
    fn shrunk_list(&self, survey: &Survey, current: &Tag) -> Option<Hold> {
        // A value without a number above zero is there to be replaced: `0.0.0`.
        let counts = |byte: u8| byte.is_ascii_digit() && byte != b'0';
        let is_shrunk = self.is_on(Guard::ShrunkList)
            && survey.stages.parsed == 1
            && current.as_str().bytes().any(counts)
            && !self.scan.tags.contains(current)
            && select::takes(self.policy, self.scan, self.situation, current);
        is_shrunk.then(|| Hold::ShrunkList {
            selected: self.selection.tag.clone(),
            current: current.clone(),
        })
    }

    /// Where a policy takes dates and versions, every date stands above every version.
    fn mixed_schemes(&self, current: &Tag) -> Option<Hold> {
        let by_number = matches!(
            self.policy.order,
            Order::Semver(_) | Order::Loose(_) | Order::Natural(_)
        );
        if !by_number || !self.is_on(Guard::MixedSchemes) {
            return None;
        }
        let mut scratch = Scratch::default();
        let value = self.policy.filter.value(current.as_str(), &mut scratch)?;
        let (old, new) = (Scheme::read(value)?, Scheme::read(&self.selection.key)?);
        // Who narrows the policy to the other scheme means to change it.
        let is_mixed = old != new && select::takes(self.policy, self.scan, self.situation, current);
        is_mixed.then(|| Hold::MixedSchemes {
            selected: self.selection.tag.clone(),
            looks_like: new.words(),
            current: current.clone(),
        })
    }
}

impl Guard {
    /// Every guard and its word.
    pub const ALL: [(&'static str, Self); 4] = [
        ("digitTags", Self::DigitTags),
        ("mixedSchemes", Self::MixedSchemes),
        ("shrunkList", Self::ShrunkList),
        ("takenBack", Self::TakenBack),
    ];
}

impl FromStr for Guard {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut known = Self::ALL.iter();
        let found = known.find(|(word, _)| *word == text);
        found.map(|(_, guard)| *guard).ok_or_else(|| {
            PolicyError::word(
                "guardsOff",
                text,
                Wanted::OneOf(&["digitTags", "mixedSchemes", "shrunkList", "takenBack"]),
            )
        })
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut known = Self::ALL.iter();
        let word = known.find(|(_, guard)| guard == self);
        formatter.write_str(word.map_or("", |(word, _)| word))
    }
}

impl Hold {
    /// Advice for the reader.
    pub fn hint(&self) -> String {
        match self {
            Self::Older { selected, .. } => format!(
                "allow downgrades in the policy to move to {selected}, or write it to git yourself"
            ),
            Self::ShrunkList { selected, .. } => format!(
                "look into the repository; write {selected} to git yourself, or switch `shrunkList` \
                 off in the policy, if that is how it is kept"
            ),
            Self::MixedSchemes { .. } => {
                "say which scheme is meant, by a range or a filter".to_owned()
            }
            Self::DigitTag { .. } => "keep such tags out by a filter or an exclusion".to_owned(),
            Self::MissingFact { .. } => {
                "the registry's listing does not say it; drop what needs it from the policy"
                    .to_owned()
            }
            Self::Unverified { .. } => {
                "the next run asks again; nothing is written until there is an answer".to_owned()
            }
            Self::Strict { .. } => "filter such tags out, or drop `strict`".to_owned(),
            Self::Unmeasured { .. } => {
                "write a tag to git that has one, or drop the constraint".to_owned()
            }
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older { selected, current } => write!(
                formatter,
                "{selected} is older than {current}, which is in git"
            ),
            Self::ShrunkList { selected, current } => write!(
                formatter,
                "{current}, which is in git, is no longer listed, and {selected} is all that is left"
            ),
            Self::MixedSchemes {
                selected,
                looks_like,
                current,
            } => write!(
                formatter,
                "{selected} looks like {looks_like}, unlike {current}, which is in git"
            ),
            Self::DigitTag { selected, beside } => write!(
                formatter,
                "{selected} may be a commit or a count, beside versions such as {beside}"
            ),
            Self::MissingFact { selected, fact } => write!(
                formatter,
                "it is not known of {selected} {fact}, and the policy needs it"
            ),
            Self::Unverified { selected, reason } => write!(
                formatter,
                "whether {selected} is signed could not be found out: {reason}"
            ),
            Self::Strict { unreadable } => write!(
                formatter,
                "{unreadable} is not a number, and the policy is strict"
            ),
            Self::Unmeasured { current, lacks } => write!(
                formatter,
                "{current}, which is in git, has no {lacks} to measure by"
            ),
        }
    }
}
