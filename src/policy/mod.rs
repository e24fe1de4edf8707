//! Deciding: a [`Policy`] looks at a complete [`Scan`](crate::scan::Scan) and gives a [`Verdict`].
//!
//! Pure: no clock, no input or output, no async, no floats. The answer does not depend on the
//! order in which a registry listed its tags: every [`Order`] is total, and tags that compare
//! equal are settled by their bytes (the greatest wins).

mod explain;
mod guard;
mod needs;
mod select;
mod verdict;

mod constraint;
mod filter;
mod pattern;
mod template;

mod calver;
mod keys;
mod loose;
mod mend;
mod natural;
mod number;
mod order;
mod preset;
mod range;
mod shape;
mod version;

mod error;

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

pub use self::{
    calver::{CalverFormat, CalverProblem},
    constraint::{
        Constraints, Denial, Fact, Keep, MinimumAge, Platform, Prereleases, Signing, TagRule,
        TagRuleKind, UpdateLevel,
    },
    error::{Place, PolicyError, Wanted},
    explain::{
        Advice, Candidate, Explanation, Rejection, Rule, Without, advise, explain, explain_in,
        signer,
    },
    filter::{Exclusions, TagFilter},
    guard::{Guard, Hold},
    keys::{KEYS_LIMIT, KeyKind, Keys, SortKey},
    needs::{Need, needs},
    order::{Clock, Direction, Order, Strictness},
    pattern::{COMPILED_LIMIT, PATTERN_LIMIT, PatternProblem},
    preset::Preset,
    range::{RANGE_LIMIT, Range, RangeProblem},
    select::{Decider, Situation, select, select_counted, select_in},
    verdict::{Selection, Stages, Verdict},
};

/// Which tag of a repository is to run. It is compiled once and evaluated often.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Which tags take no part.
    pub exclusions: Exclusions,
    /// Which tags are candidates, and which part of them is compared.
    pub filter: TagFilter,
    /// How the candidates are compared.
    pub order: Order,
    /// What a candidate must be besides being in order.
    pub constraints: Constraints,
    /// The guards that are switched off.
    pub guards_off: BTreeSet<Guard>,
    /// What happens when the selection is older than what is in Git.
    pub downgrade: Downgrade,
    /// Whether the digest is written beside the tag.
    pub digest: DigestReflection,
    /// The preset that the policy was made from, if one was named.
    pub preset: Option<&'static Preset>,
}

/// What happens when the selection is older than what is in Git.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Downgrade {
    /// It is held.
    #[default]
    Refuse,
    /// It is written, as Flux does.
    Allow,
}

/// Whether and when a tag's digest is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum DigestReflection {
    /// There is none.
    #[default]
    Never,
    /// When the tag changes, or has none yet.
    IfNotPresent,
    /// Every time.
    Always,
}

/// The name that a marker calls a policy by: `namespace:name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName {
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The Kubernetes name.
    pub name: String,
}

impl fmt::Display for PolicyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.namespace, self.name)
    }
}

impl Serialize for PolicyName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Policy {
    /// Whether `tag` takes part by its name: no exclusion means it, and the filter lets it through.
    pub fn considers(&self, tag: &str) -> bool {
        self.filter.takes(tag) && self.exclusions.excludes(tag).is_none()
    }

    /// The policy of `order` alone: Flux's default exclusion, every other tag, no downgrade, no
    /// digest.
    pub fn new(order: Order) -> Self {
        Self {
            exclusions: Exclusions::default(),
            filter: TagFilter::default(),
            order,
            constraints: Constraints::default(),
            guards_off: BTreeSet::new(),
            downgrade: Downgrade::default(),
            digest: DigestReflection::default(),
            preset: None,
        }
    }
}

#[cfg(test)]
mod tests;
