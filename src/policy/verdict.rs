//! What a policy says: [`Verdict`], and the guard against older images.

use std::fmt;

use serde::Serialize;

use super::{Downgrade, Policy, filter::Scratch};
use crate::image::Tag;

/// What a policy says of a scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "verdict")]
pub enum Verdict {
    /// This tag it is.
    Selected(Selection),
    /// This tag it would be, but it must not be written.
    Held {
        /// The tag that stands highest.
        selection: Selection,
        /// Why it is not written.
        reason: Hold,
    },
    /// No tag is a candidate.
    NothingMatched(Stages),
}

/// The tag that a policy chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Selection {
    /// The tag as the registry lists it.
    pub tag: Tag,
    /// What the order compared: the tag itself, or what `extract` made of it.
    pub key: String,
    /// Other tags that compared equal and lost by their bytes alone.
    pub ties: Vec<Tag>,
}

/// Why a selection is held: it is older than what is in Git.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// The tag that would be written.
    pub selected: Tag,
    /// The tag that is in Git now.
    pub current: Tag,
}

/// How many tags came how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stages {
    /// Tags in the listing.
    pub listed: usize,
    /// Entries of the listing that were no tags; they are not counted in `listed`.
    pub refused: usize,
    /// Tags that an exclusion took out.
    pub excluded: usize,
    /// Tags that are left behind the exclusions and the filter.
    pub filtered: usize,
    /// Tags of these that the order can read.
    pub parsed: usize,
    /// Tags of these that lie in the range: the candidates.
    pub in_range: usize,
}

impl Verdict {
    /// The tag to be written, if one is.
    pub fn selected(&self) -> Option<&Selection> {
        match self {
            Self::Selected(selection) => Some(selection),
            Self::Held { .. } | Self::NothingMatched(_) => None,
        }
    }

    /// The verdict in the face of `current`, the tag that is in Git now: a selection that is older
    /// becomes `Held`.
    ///
    /// Older is what `policy` itself orders before: `current` goes through its filter, its extract
    /// and its order as a tag of the registry would. It need not lie in the range and may be excluded
    /// by now, since a narrowed policy must not roll a service back by the way. What cannot be compared, and
    /// what compares equal, never holds.
    #[must_use]
    pub fn against(&self, policy: &Policy, current: Option<&str>) -> Self {
        let (Self::Selected(selection), Downgrade::Refuse) = (self, policy.downgrade) else {
            return self.clone();
        };
        let current = current.and_then(|current| current.parse::<Tag>().ok());
        match current {
            Some(current) if is_older(policy, &selection.tag, &current) => Self::Held {
                selection: selection.clone(),
                reason: Hold {
                    selected: selection.tag.clone(),
                    current,
                },
            },
            _ => self.clone(),
        }
    }
}

/// Whether `selected` stands before `current`.
fn is_older(policy: &Policy, selected: &Tag, current: &Tag) -> bool {
    let (mut one, mut other) = (Scratch::default(), Scratch::default());
    let selected = policy.filter.value(selected.as_str(), &mut one);
    let current = policy.filter.value(current.as_str(), &mut other);
    let (Some(selected), Some(current)) = (selected, current) else {
        return false;
    };
    match (policy.order.read(selected), policy.order.read(current)) {
        (Ok(selected), Ok(current)) => policy.order.compare(&selected, &current).is_lt(),
        _ => false,
    }
}

impl Hold {
    /// Advice for the reader.
    pub fn hint(&self) -> String {
        format!(
            "allow downgrades in the policy to move to {}, or write it to git yourself",
            self.selected
        )
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { selected, current } = self;
        write!(
            formatter,
            "{selected} is older than {current}, which is in git"
        )
    }
}

impl fmt::Display for Stages {
    /// Says in one sentence where the tags were lost.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unmatched = self.listed - self.excluded - self.filtered;
        let losses = [
            (self.excluded, "excluded"),
            (unmatched, "refused by the filter"),
            (self.filtered - self.parsed, "unreadable to the order"),
            (self.parsed - self.in_range, "outside the range"),
        ];
        let tags = if self.listed == 1 { "tag" } else { "tags" };
        write!(
            formatter,
            "{} of {} {tags} matched",
            self.in_range, self.listed
        )?;
        let mut separator = ": ";
        for (count, loss) in losses {
            if count > 0 {
                write!(formatter, "{separator}{count} {loss}")?;
                separator = ", ";
            }
        }
        if self.refused > 0 {
            write!(formatter, "; {} entries were no tags", self.refused)?;
        }
        Ok(())
    }
}
