//! One pass over a scan: every tag is judged once, by the same rules for [`select`] and
//! [`explain`](super::explain).

use std::cmp::Ordering;

use super::{
    Policy,
    filter::Scratch,
    order::{Key, Unreadable},
    range::Range,
    verdict::{Selection, Stages, Verdict},
    version::Version,
};
use crate::{image::Tag, scan::Scan};

/// Selects the tag that stands highest.
///
/// ```
/// # use tagwright::policy::{Order, Policy, Verdict, select};
/// # let tags = ["1.2.0", "1.10.0", "2.0.0", "latest"].map(|tag| tag.parse().unwrap()).to_vec();
/// # let scan = tagwright::scan::Scan { repository: "nginx".parse().unwrap(), tags, refused: 0,
/// #     finished: Default::default(), took: Default::default() };
/// let policy = Policy::new(Order::semver("1.x")?);
/// let verdict = select(&policy, &scan);
/// assert_eq!(verdict.selected().unwrap().tag.as_str(), "1.10.0");
/// # Ok::<(), tagwright::policy::PolicyError>(())
/// ```
pub fn select(policy: &Policy, scan: &Scan) -> Verdict {
    select_counted(policy, scan).0
}

/// As [`select`], and says how many tags came how far.
pub fn select_counted(policy: &Policy, scan: &Scan) -> (Verdict, Stages) {
    survey(policy, scan, |_, _| {})
}

/// A tag that is a candidate.
pub(super) struct Fit<'a> {
    /// The tag, or what `extract` made of it.
    pub(super) value: &'a str,
    /// What the order reads in it.
    pub(super) key: Key<'a>,
}

/// Why a tag is no candidate; nothing is allocated until somebody asks for the words.
pub(super) enum Refusal<'a> {
    Excluded(&'a str),
    Unmatched,
    Unreadable(&'a str, Unreadable),
    Outside(&'a Range, Version<'a>),
}

/// Judges every tag, shows each judgement to `witness`, and says what stands highest.
pub(super) fn survey<'s>(
    policy: &Policy,
    scan: &'s Scan,
    mut witness: impl FnMut(&'s Tag, &Result<Fit<'_>, Refusal<'_>>),
) -> (Verdict, Stages) {
    let mut scratch = Scratch::default();
    let mut stages = Stages {
        refused: scan.refused,
        ..Stages::default()
    };
    let mut leader: Option<Leader<'_>> = None;
    for tag in &scan.tags {
        let judgement = judge(policy, tag, &mut scratch);
        stages.count(judgement.as_ref().err());
        witness(tag, &judgement);
        let Ok(Fit { key, .. }) = judgement else {
            continue;
        };
        match &mut leader {
            Some(leader) => leader.meet(policy, tag, key),
            None => leader = Some(Leader::new(tag, key)),
        }
    }
    let verdict = match leader {
        Some(leader) => Verdict::Selected(leader.selection(policy, &mut scratch)),
        None => Verdict::NothingMatched(stages),
    };
    (verdict, stages)
}

/// What `policy` compares of `tag`, or the first rule that the tag fails.
fn judge<'a>(
    policy: &'a Policy,
    tag: &'a Tag,
    scratch: &'a mut Scratch,
) -> Result<Fit<'a>, Refusal<'a>> {
    let tag = tag.as_str();
    if let Some(pattern) = policy.exclusions.excludes(tag) {
        return Err(Refusal::Excluded(pattern));
    }
    let Some(value) = policy.filter.value(tag, scratch) else {
        return Err(Refusal::Unmatched);
    };
    let unreadable = |why| Refusal::Unreadable(value, why);
    let key = policy.order.read(value).map_err(unreadable)?;
    match policy.order.limits(&key) {
        Some((range, version)) if !range.admits(version) => {
            Err(Refusal::Outside(range, version.clone()))
        }
        _ => Ok(Fit { value, key }),
    }
}

impl Stages {
    fn count(&mut self, refusal: Option<&Refusal<'_>>) {
        let passed = match refusal {
            Some(Refusal::Excluded(_)) => {
                self.excluded += 1;
                0
            }
            Some(Refusal::Unmatched) => 0,
            Some(Refusal::Unreadable(..)) => 1,
            Some(Refusal::Outside(..)) => 2,
            None => 3,
        };
        self.listed += 1;
        self.filtered += usize::from(passed > 0);
        self.parsed += usize::from(passed > 1);
        self.in_range += usize::from(passed > 2);
    }
}

/// The tag that stands highest so far.
struct Leader<'s> {
    tag: &'s Tag,
    key: Key<'static>,
    ties: Vec<&'s Tag>,
}

impl<'s> Leader<'s> {
    fn new(tag: &'s Tag, key: Key<'_>) -> Self {
        Self {
            tag,
            key: key.into_owned(),
            ties: Vec::new(),
        }
    }

    fn meet(&mut self, policy: &Policy, tag: &'s Tag, key: Key<'_>) {
        match policy.order.compare(&key, &self.key) {
            Ordering::Greater => *self = Self::new(tag, key),
            Ordering::Less => {}
            // The same tag twice is no tie.
            Ordering::Equal => match tag.cmp(self.tag) {
                Ordering::Greater => self.ties.push(std::mem::replace(&mut self.tag, tag)),
                Ordering::Less => self.ties.push(tag),
                Ordering::Equal => {}
            },
        }
    }

    fn selection(mut self, policy: &Policy, scratch: &mut Scratch) -> Selection {
        self.ties.sort_unstable_by(|left, right| right.cmp(left));
        self.ties.dedup();
        let key = policy.filter.value(self.tag.as_str(), scratch);
        Selection {
            tag: self.tag.clone(),
            key: key.unwrap_or_default().to_owned(),
            ties: self.ties.into_iter().cloned().collect(),
        }
    }
}
