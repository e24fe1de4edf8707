//! Finding out what a policy has to know of single tags, and of no others.

use std::{borrow::Cow, collections::BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::decide::told;
use crate::{
    error::Class,
    image::{Repository, Tag},
    policy::{Fact, Need, Order, Policy, Situation, needs},
    scan::{Access, Depth, Registry, Scan, ScanError, Signature, TagFacts, TrustedKeys},
};

/// How many tags are looked into to find one that a policy takes.
pub const MAX_LOOKUPS: usize = 50;
/// How many tags are looked into to find the newest of them.
pub const MAX_NEWEST: usize = 500;
/// How many tags are looked into at the same time.
const CONCURRENT: usize = 8;
/// How many tags are looked into before one of them was taken; it doubles.
const FIRST_BATCH: usize = 2;

/// Why what has to be known is not.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// A tag could not be looked into.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// To find the newest tag, every one has to be looked into, and they are too many.
    #[error(
        "{count} tags would have to be looked into to find the newest, and {MAX_NEWEST} is the limit"
    )]
    TooMany {
        /// How many they are.
        count: usize,
    },
}

impl FactsError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Scan(error) => error.class(),
            Self::TooMany { .. } => Class::Config,
        }
    }

    /// What a person may do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Scan(error) => error.hint(),
            Self::TooMany { .. } => {
                Some("narrow `filterTags`, or order by the names of the tags".to_owned())
            }
        }
    }
}

/// Where tags are looked into, with which rights, and by whom they have to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The image, or its mirror.
    pub repository: &'a Repository,
    /// With which rights and by which way.
    pub access: &'a Access,
    /// The keys that an image must be signed by one of, where the policy wants it signed.
    pub keys: Option<&'a TrustedKeys>,
}

/// Adds to `scan` what `policy` has to know to decide for each of `currents`, the values in Git.
///
/// It asks from the top: a tag that stands below one that is taken is never looked into. Where too
/// many would have to be, the rest stays unknown, and the policy says so.
pub async fn complete<'s, R: Registry>(
    registry: &R,
    place: Place<'_>,
    policy: &Policy,
    scan: &'s Scan,
    currents: &BTreeSet<Option<String>>,
) -> Result<Cow<'s, Scan>, FactsError> {
    let mut scan = Cow::Borrowed(scan);
    let mut looked = BTreeSet::<(Look, Tag)>::new();
    let mut batch = FIRST_BATCH;
    loop {
        let mut wanted = wanted(policy, &scan, currents, &looked);
        let Some(look) = wanted.first().map(|need| Look::of(need.fact)) else {
            return Ok(scan);
        };
        // Whether to look at signatures further down depends on what those above come to.
        wanted.retain(|need| Look::of(need.fact) == look);
        let is_newest = matches!(policy.order, Order::Newest(_)) && look == Look::Image;
        if is_newest && wanted.len() > MAX_NEWEST {
            let count = wanted.len();
            return Err(FactsError::TooMany { count });
        }
        let (size, most) = if is_newest {
            (MAX_NEWEST, MAX_NEWEST)
        } else {
            (batch, MAX_LOOKUPS)
        };
        let done = looked.iter().filter(|(done, _)| *done == look).count();
        let size = size.min(most.saturating_sub(done));
        let wanted = wanted.into_iter().take(size).collect::<Vec<_>>();
        if wanted.is_empty() {
            return Ok(scan);
        }
        let known = &scan.facts;
        let found = stream::iter(wanted)
            .map(async |Need { tag, fact }| {
                let facts = match look {
                    Look::Image => {
                        let depth = depth(fact, policy);
                        let Place {
                            repository, access, ..
                        } = place;
                        registry.facts(repository, &tag, depth, access).await?
                    }
                    Look::Signature => signed(registry, place, &tag, known.get(&tag)).await?,
                };
                Ok::<_, ScanError>((tag, facts))
            })
            .buffer_unordered(CONCURRENT)
            .try_collect::<Vec<_>>()
            .await?;
        for (tag, facts) in found {
            looked.insert((look, tag.clone()));
            scan.to_mut().facts.insert(tag, facts);
        }
        batch *= 2;
    }
}

/// What is looked at in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    /// The manifest and what is behind it.
    Image,
    /// Who signed the manifest.
    Signature,
}

impl Look {
    fn of(fact: Fact) -> Self {
        match fact {
            Fact::Signature => Self::Signature,
            Fact::Created | Fact::Annotated | Fact::FirstSeen | Fact::Platforms | Fact::Digest => {
                Self::Image
            }
        }
    }
}

/// Adds to what is known of `tag` who signed the manifest that it names. The digest that is verified
/// is the one that is known from now on, so that no other one is written.
async fn signed<R: Registry>(
    registry: &R,
    place: Place<'_>,
    tag: &Tag,
    known: Option<&TagFacts>,
) -> Result<TagFacts, ScanError> {
    let Place {
        repository,
        access,
        keys,
    } = place;
    let mut facts = known.cloned().unwrap_or_default();
    let Some(keys) = keys else {
        return Ok(facts);
    };
    let digest = match facts.digest {
        Some(digest) => digest,
        None => registry.digest(repository, tag, access).await?,
    };
    let signature = registry.signature(repository, &digest, keys, access).await;
    facts.digest = Some(digest);
    facts.signature = Some(signature.unwrap_or_else(|error| {
        tracing::debug!(repository = %repository, tag = %tag, %error, "signature unknown");
        Signature::Unknown(told(&error, error.hint()))
    }));
    Ok(facts)
}

/// What is to be found out, the highest first; nothing where the highest is a tag that was looked
/// into in vain, since no other one would change the verdict.
fn wanted(
    policy: &Policy,
    scan: &Scan,
    currents: &BTreeSet<Option<String>>,
    looked: &BTreeSet<(Look, Tag)>,
) -> Vec<Need> {
    let is_done = |need: &Need| looked.contains(&(Look::of(need.fact), need.tag.clone()));
    let mut wanted: Vec<Need> = Vec::new();
    // Most policies do not look at the value in Git: one pass stands for all values.
    let is_relative = policy.constraints.are_relative();
    let currents = currents
        .iter()
        .take(if is_relative { usize::MAX } else { 1 });
    for current in currents {
        let situation = Situation {
            current: current.as_deref(),
            now: scan.finished,
        };
        let needs = needs(policy, scan, situation);
        if needs.first().is_some_and(is_done) {
            continue;
        }
        for need in needs {
            if !is_done(&need) && !wanted.contains(&need) {
                wanted.push(need);
            }
        }
    }
    wanted
}

/// How deep a tag is looked into: a policy that needs more than the first fact asks once.
fn depth(fact: Fact, policy: &Policy) -> Depth {
    let constraints = &policy.constraints;
    let needs_image = |fact| matches!(fact, Fact::Created | Fact::Annotated | Fact::Platforms);
    let clock = match policy.order {
        Order::Newest(clock) => Some(clock.fact()),
        _ => None,
    };
    let age = constraints.minimum_age.map(|minimum| minimum.clock.fact());
    let is_deep = needs_image(fact)
        || !constraints.platforms.is_empty()
        || clock.into_iter().chain(age).any(needs_image);
    if is_deep { Depth::Image } else { Depth::Digest }
}
