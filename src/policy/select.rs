//! One pass over a scan: every tag is judged once, by the same rules for [`select`] and
//! [`explain`](super::explain).

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use super::{
    Policy,
    constraint::{Breach, Fact, Measure},
    filter::Scratch,
    guard,
    order::{Key, Order, Unreadable},
    range::Range,
    verdict::{Selection, Stages, Verdict},
    version::Version,
};
use crate::{image::Tag, scan::Scan};

/// How many of the tags that compare equal to the selection are named.
const SHOWN_TIES: usize = 100;

/// Selects the tag that stands highest; nothing is known of Git, and it is the time of the scan.
///
/// ```
/// # use tagwright::policy::{Order, Policy, Verdict, select};
/// # let tags = ["1.2.0", "1.10.0", "2.0.0", "latest"].map(|tag| tag.parse().unwrap()).to_vec();
/// # let scan = tagwright::scan::Scan { repository: "nginx".parse().unwrap(), tags, refused: 0,
/// #     sifted: 0, finished: Default::default(), took: Default::default(), facts: Default::default() };
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
    select_in(policy, scan, Situation::of(scan))
}

/// Selects in a situation: for what is in Git, and at a time.
pub fn select_in(policy: &Policy, scan: &Scan, situation: Situation<'_>) -> (Verdict, Stages) {
    let survey = survey(policy, scan, situation, |_, _| {});
    (survey.verdict(policy, scan, situation), survey.stages)
}

/// What a verdict depends on beside the policy and the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation<'a> {
    /// The tag that is in Git.
    pub current: Option<&'a str>,
    /// The time.
    pub now: DateTime<Utc>,
}

impl Situation<'_> {
    /// Nothing is known of Git, and it is the time of the scan.
    pub fn of(scan: &Scan) -> Self {
        Self {
            current: None,
            now: scan.finished,
        }
    }
}

/// Verdicts of one policy over one scan for many values in Git.
///
/// The scan is gone through once for all of them, unless the policy's constraints look at the value.
#[derive(Debug)]
pub struct Decider<'a> {
    policy: &'a Policy,
    scan: &'a Scan,
    now: DateTime<Utc>,
    shared: Option<Survey>,
}

impl<'a> Decider<'a> {
    /// Prepares verdicts at the time `now`.
    pub fn new(policy: &'a Policy, scan: &'a Scan, now: DateTime<Utc>) -> Self {
        let situation = Situation { current: None, now };
        let shared = (!policy.constraints.are_relative())
            .then(|| survey(policy, scan, situation, |_, _| {}));
        Self {
            policy,
            scan,
            now,
            shared,
        }
    }

    /// The verdict where `current` is in Git.
    pub fn verdict(&self, current: Option<&str>) -> (Verdict, Stages) {
        let now = self.now;
        let situation = Situation { current, now };
        match &self.shared {
            Some(survey) => (
                survey.verdict(self.policy, self.scan, situation),
                survey.stages,
            ),
            None => select_in(self.policy, self.scan, situation),
        }
    }
}

/// A tag that is a candidate.
pub(super) struct Fit<'a> {
    /// The tag, or what `extract` made of it.
    pub(super) value: &'a str,
    /// What the order reads in it.
    pub(super) key: Key<'a>,
    /// What would have to be known to be sure.
    pub(super) missing: Option<Fact>,
}

/// Why a tag is no candidate; nothing is allocated until somebody asks for the words.
pub(super) enum Refusal<'a> {
    Excluded(&'a str),
    Unmatched,
    Unreadable(&'a str, Unreadable),
    Outside(&'a Range, Version<'a>),
    Constrained(Breach<'a>),
}

/// What one pass over a scan found.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) stages: Stages,
    /// What stands highest of the tags that are candidates for sure.
    best: Option<Selection>,
    /// What stands highest of those of which something is not known, where that is above `best`.
    unsure: Option<(Selection, Fact)>,
    /// The first tag that the order cannot read.
    pub(super) unreadable: Option<Tag>,
    /// What the tag in Git does not have although a constraint looks at it.
    pub(super) unmeasured: Option<&'static str>,
}

impl Survey {
    /// What this comes to where `situation` holds.
    pub(super) fn verdict(
        &self,
        policy: &Policy,
        scan: &Scan,
        situation: Situation<'_>,
    ) -> Verdict {
        let selection = match (&self.unsure, &self.best) {
            (Some((selection, _)), _) | (None, Some(selection)) => selection.clone(),
            (None, None) => return Verdict::NothingMatched(self.stages),
        };
        let missing = self.unsure.as_ref().map(|(_, fact)| *fact);
        match guard::hold(policy, scan, situation, self, &selection, missing) {
            Some(reason) => Verdict::Held { selection, reason },
            None => Verdict::Selected(selection),
        }
    }
}

/// Judges every tag, shows each judgement to `witness`, and says what stands highest.
pub(super) fn survey<'s>(
    policy: &Policy,
    scan: &'s Scan,
    situation: Situation<'_>,
    mut witness: impl FnMut(&'s Tag, &Result<Fit<'_>, Refusal<'_>>),
) -> Survey {
    let mut scratch = Scratch::default();
    let (judge, unmeasured) = Judge::new(policy, scan, situation, &mut scratch);
    let mut stages = Stages {
        listed: scan.sifted,
        refused: scan.refused,
        ..Stages::default()
    };
    let mut best: Option<Leader<'_>> = None;
    let mut unsure: Option<(Leader<'_>, Fact)> = None;
    let mut unreadable = None;
    for tag in &scan.tags {
        let judgement = judge.judge(tag, &mut scratch);
        stages.count(judgement.as_ref().err());
        witness(tag, &judgement);
        match judgement {
            Err(Refusal::Unreadable(..)) => unreadable = unreadable.max(Some(tag)),
            Err(_) => {}
            Ok(Fit {
                key, missing: None, ..
            }) => match &mut best {
                Some(leader) => leader.meet(policy, tag, key),
                None => best = Some(Leader::new(tag, key)),
            },
            Ok(Fit {
                key,
                missing: Some(fact),
                ..
            }) => match &mut unsure {
                Some((leader, least)) => {
                    leader.meet(policy, tag, key);
                    *least = (*least).min(fact);
                }
                None => unsure = Some((Leader::new(tag, key), fact)),
            },
        }
    }
    if let (Some((unsure_one, _)), Some(sure)) = (&unsure, &best)
        && policy.order.compare(&unsure_one.key, &sure.key).is_lt()
    {
        unsure = None;
    }
    Survey {
        stages,
        best: best.map(|leader| leader.selection(policy, &mut scratch)),
        unsure: unsure.map(|(leader, fact)| (leader.selection(policy, &mut scratch), fact)),
        unreadable: unreadable.cloned(),
        unmeasured,
    }
}

/// Whether `policy` would take `tag` if it were listed.
pub(super) fn takes(policy: &Policy, scan: &Scan, situation: Situation<'_>, tag: &Tag) -> bool {
    let mut scratch = Scratch::default();
    let (judge, _) = Judge::new(policy, scan, situation, &mut scratch);
    judge.judge(tag, &mut scratch).is_ok()
}

/// The greatest tag of the scan, by bytes, whose value is a candidate and has the look of `wanted`.
pub(super) fn find<'s>(
    policy: &Policy,
    scan: &'s Scan,
    situation: Situation<'_>,
    wanted: fn(&str) -> bool,
) -> Option<&'s Tag> {
    let mut scratch = Scratch::default();
    let (judge, _) = Judge::new(policy, scan, situation, &mut scratch);
    let tags = scan.tags.iter().filter(|tag| {
        judge
            .judge(tag, &mut scratch)
            .is_ok_and(|fit| wanted(fit.value))
    });
    tags.max()
}

/// Everything that is the same for each tag of a pass.
struct Judge<'a> {
    policy: &'a Policy,
    scan: &'a Scan,
    measure: Measure<'a>,
    now: DateTime<Utc>,
}

impl<'a> Judge<'a> {
    /// Looks at the tag in Git; also says what it does not have although a constraint asks for it,
    /// in which case no tag is measured against it.
    fn new(
        policy: &'a Policy,
        scan: &'a Scan,
        situation: Situation<'a>,
        scratch: &mut Scratch,
    ) -> (Self, Option<&'static str>) {
        let current = situation
            .current
            .filter(|current| current.parse::<Tag>().is_ok());
        let measure = match current {
            Some(current) if policy.constraints.are_relative() => {
                // What the filter refuses, such as a tag of an older naming, is measured as it is.
                let value = policy.filter.value(current, scratch).unwrap_or(current);
                policy.constraints.measure(&policy.order, current, value)
            }
            _ => Measure::default(),
        };
        let missing = measure.missing;
        let judge = Self {
            policy,
            scan,
            measure: if missing.is_some() {
                Measure::default()
            } else {
                measure
            },
            now: situation.now,
        };
        (judge, missing)
    }

    /// What the policy compares of `tag`, or the first rule that the tag fails.
    fn judge<'t>(&'t self, tag: &'t Tag, scratch: &'t mut Scratch) -> Result<Fit<'t>, Refusal<'t>> {
        let policy = self.policy;
        let text = tag.as_str();
        if let Some(pattern) = policy.exclusions.excludes(text) {
            return Err(Refusal::Excluded(pattern));
        }
        let Some(value) = policy.filter.value(text, scratch) else {
            return Err(Refusal::Unmatched);
        };
        let unreadable = |why| Refusal::Unreadable(value, why);
        let mut key = policy.order.read(value).map_err(unreadable)?;
        let constraints = &policy.constraints;
        if let Some((range, version)) = policy.order.limits(&key)
            && !range.admits(version, constraints.prereleases)
        {
            return Err(Refusal::Outside(range, version.clone()));
        }
        // Most scans have no facts, and an empty map is asked for nothing.
        let facts = self.scan.facts.get(tag);
        let passed = constraints.judge(&self.measure, (tag, value, &key), facts, self.now);
        let mut missing = passed.map_err(Refusal::Constrained)?;
        if let Order::Newest(clock) = policy.order {
            let time = facts.and_then(|facts| clock.read(facts));
            missing = missing.or(time.is_none().then(|| clock.fact()));
            key = Key::Time(time);
        }
        let signed = constraints.judge_signature(facts);
        missing = missing.or(signed.map_err(Refusal::Constrained)?);
        Ok(Fit {
            value,
            key,
            missing,
        })
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
            Some(Refusal::Constrained(_)) => 3,
            None => 4,
        };
        self.listed += 1;
        self.filtered += usize::from(passed > 0);
        self.parsed += usize::from(passed > 1);
        self.in_range += usize::from(passed > 2);
        self.candidates += usize::from(passed > 3);
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
        let key = if let Key::Time(Some(time)) = &self.key {
            time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        } else {
            let value = policy.filter.value(self.tag.as_str(), scratch);
            value.unwrap_or_default().to_owned()
        };
        Selection {
            tag: self.tag.clone(),
            key,
            tied: self.ties.len(),
            ties: self.ties.into_iter().take(SHOWN_TIES).cloned().collect(),
        }
    }
}
