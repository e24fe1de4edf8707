//! What a policy says: [`Verdict`].

use std::fmt;

use serde::Serialize;

use super::guard::Hold;
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
    /// Other tags that compared equal and lost by their bytes alone: the greatest hundred.
    pub ties: Vec<Tag>,
    /// How many they are.
    pub tied: usize,
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
    /// Tags of these that lie in the range.
    pub in_range: usize,
    /// Tags of these that no constraint refuses: the candidates.
    pub candidates: usize,
}

impl Verdict {
    /// The tag to be written, if one is.
    pub fn selected(&self) -> Option<&Selection> {
        match self {
            Self::Selected(selection) => Some(selection),
            Self::Held { .. } | Self::NothingMatched(_) => None,
        }
    }

    /// The tag that stands highest, whether it is written or held.
    pub fn selection(&self) -> Option<&Selection> {
        match self {
            Self::Selected(selection) | Self::Held { selection, .. } => Some(selection),
            Self::NothingMatched(_) => None,
        }
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
            (self.in_range - self.candidates, "refused by constraints"),
        ];
        let tags = if self.listed == 1 { "tag" } else { "tags" };
        write!(
            formatter,
            "{} of {} {tags} matched",
            self.candidates, self.listed
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
