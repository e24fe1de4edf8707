//! The whole story behind a verdict, for people and for `--output json`.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{
    Policy, Prereleases,
    constraint::{Constraints, Keep, Signing},
    natural,
    order::{Key, Order},
    range::Objection,
    select::{Fit, Refusal, Situation, select_in, survey},
    shape::Scheme,
    verdict::{Stages, Verdict},
};
use crate::{
    image::Tag,
    scan::{Scan, Signature},
};

/// How many candidates an explanation shows.
const SHOWN_CANDIDATES: usize = 10;

/// Everything that a policy has to say of a scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What the policy says.
    pub verdict: Verdict,
    /// How many tags came how far.
    pub stages: Stages,
    /// The ten candidates that stand highest, the best first.
    pub candidates: Vec<Candidate>,
    /// Every tag that is no candidate, in the order of the listing, with the first rule it failed.
    pub rejections: Vec<Rejection>,
    /// What would be chosen without each of the constraints, where that is something else.
    pub without: Vec<Without>,
    /// What a person may want to change in the policy.
    pub advice: Vec<Advice>,
}

/// What one constraint costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Without {
    /// The constraint, by its field: `update`, `deny`.
    pub constraint: &'static str,
    /// What would be chosen without it.
    pub tag: Tag,
}

/// A tag that may be selected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The tag as the registry lists it.
    pub tag: Tag,
    /// What the order compares: the tag itself, or what `extract` made of it.
    pub key: String,
}

/// A tag that is no candidate. Serialised with the rule's kind as `rule` and its words as `reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The tag as the registry lists it.
    pub tag: Tag,
    /// The first rule that it failed.
    pub rule: Rule,
}

/// A rule that a tag failed; [`fmt::Display`] says it in words that continue the tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// An exclusion matches.
    Excluded {
        /// The exclusion's pattern.
        pattern: String,
    },
    /// The filter does not match.
    Unmatched {
        /// The filter's pattern.
        pattern: String,
    },
    /// The order cannot read the tag, or what `extract` made of it.
    Unreadable {
        /// What the order was given, where that is not the tag itself.
        value: Option<String>,
        /// Why it cannot be read.
        reason: String,
    },
    /// The version is not in the range.
    OutOfRange {
        /// The range.
        range: String,
        /// What each alternative of the range holds against it.
        objections: Vec<String>,
    },
    /// A constraint refuses the tag.
    Constrained {
        /// Why, in words that continue the tag.
        reason: String,
    },
}

/// Something about a policy that is allowed and probably not meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Advice {
    /// `extract` names a group that the pattern does not have, so that it is always empty.
    UnknownGroup {
        /// The name or number behind the dollar.
        name: String,
    },
    /// The order is alphabetical, and counting the numbers in the tags would select another one.
    NaturalDiffers {
        /// What the natural order would select.
        tag: Tag,
    },
    /// The filter, or the exclusions, keep nothing of a list that is not empty.
    NothingKept,
    /// Dates and versions are candidates side by side, and every date stands above every version.
    MixedSchemes {
        /// A date.
        date: Tag,
        /// A version.
        version: Tag,
    },
    /// A tag stands above the chosen one, and its image is not signed as the policy wants it.
    NotSigned {
        /// The tag.
        tag: Tag,
        /// What is wrong, in words that continue the tag.
        reason: String,
    },
    /// Several tags compare equal, and only their bytes decide between them.
    Ties {
        /// How many tags lost by their bytes.
        count: usize,
    },
}

/// Explains what `policy` says of `scan`; the verdict is the one that [`select`](super::select) gives.
pub fn explain(policy: &Policy, scan: &Scan) -> Explanation {
    explain_in(policy, scan, Situation::of(scan))
}

/// What a person may want to change in a policy, as far as a verdict shows it: less than
/// [`explain`] finds, and for no more than the verdict cost.
pub fn advise(policy: &Policy, scan: &Scan, (verdict, stages): (&Verdict, Stages)) -> Vec<Advice> {
    let mut advice = advice(policy, scan, verdict);
    if stages.listed > 0 && stages.filtered == 0 {
        advice.push(Advice::NothingKept);
    }
    advice
}

/// The key that signed what was chosen, where `policy` wants it signed.
pub fn signer<'s>(policy: &Policy, scan: &'s Scan, verdict: &Verdict) -> Option<&'s str> {
    let facts = scan.facts.get(&verdict.selection()?.tag)?;
    match (policy.constraints.signing, &facts.signature) {
        (Signing::Required, Some(Signature::By(key))) => Some(key),
        _ => None,
    }
}

/// As [`explain`], in a situation; the verdict is the one that [`select_in`] gives.
pub fn explain_in(policy: &Policy, scan: &Scan, situation: Situation<'_>) -> Explanation {
    let mut best = Best::default();
    let mut rejections = Vec::new();
    let mut schemes = Schemes::default();
    let survey = survey(policy, scan, situation, |tag, judgement| match judgement {
        Ok(fit) => {
            schemes.see(tag, fit.value);
            best.offer(policy, tag, fit);
        }
        Err(refusal) => rejections.push(Rejection {
            tag: tag.clone(),
            rule: Rule::new(policy, tag, refusal),
        }),
    });
    let verdict = survey.verdict(policy, scan, situation);
    let mut advice = advise(policy, scan, (&verdict, survey.stages));
    advice.extend(schemes.advice(policy));
    Explanation {
        advice,
        without: without(policy, scan, situation, &verdict),
        verdict,
        stages: survey.stages,
        candidates: best.candidates(),
        rejections,
    }
}

/// A constraint: its field, whether it is set, and how it is lifted.
type Lifted = (&'static str, bool, fn(&mut Constraints));

/// What would be chosen without each of the constraints.
fn without(
    policy: &Policy,
    scan: &Scan,
    situation: Situation<'_>,
    verdict: &Verdict,
) -> Vec<Without> {
    let constraints = &policy.constraints;
    let lifted: [Lifted; 9] = [
        ("update", constraints.update.is_some(), |it| {
            it.update = None;
        }),
        ("suffix", constraints.suffix == Keep::Yes, |it| {
            it.suffix = Keep::No;
        }),
        ("precision", constraints.precision == Keep::Yes, |it| {
            it.precision = Keep::No;
        }),
        (
            "prereleases",
            constraints.prereleases != Prereleases::AsRange,
            |it| it.prereleases = Prereleases::AsRange,
        ),
        ("allow", !constraints.allow.is_empty(), |it| {
            it.allow.clear();
        }),
        ("deny", !constraints.deny.is_empty(), |it| it.deny.clear()),
        ("minimumAge", constraints.minimum_age.is_some(), |it| {
            it.minimum_age = None;
        }),
        ("platforms", !constraints.platforms.is_empty(), |it| {
            it.platforms.clear();
        }),
        ("verify", constraints.signing == Signing::Required, |it| {
            it.signing = Signing::Free;
        }),
    ];
    let mut found = Vec::new();
    for (constraint, _, lift) in lifted.into_iter().filter(|(_, is_set, _)| *is_set) {
        let mut freer = policy.clone();
        lift(&mut freer.constraints);
        let (freer, _) = select_in(&freer, scan, situation);
        let chosen = freer.selection().map(|it| &it.tag);
        if let Some(tag) = chosen
            && chosen != verdict.selection().map(|it| &it.tag)
        {
            let tag = tag.clone();
            found.push(Without { constraint, tag });
        }
    }
    found
}

/// The first date and the first version among the candidates.
#[derive(Default)]
struct Schemes<'s> {
    date: Option<&'s Tag>,
    version: Option<&'s Tag>,
}

impl Advice {
    /// Whether it tells only how a choice was made, and there is nothing to mend.
    pub fn is_note(&self) -> bool {
        matches!(self, Self::Ties { .. })
    }

    /// Whether it tells of an image that is not signed as it should be.
    pub fn is_about_signatures(&self) -> bool {
        matches!(self, Self::NotSigned { .. })
    }
}

impl<'s> Schemes<'s> {
    fn see(&mut self, tag: &'s Tag, value: &str) {
        match Scheme::read(value) {
            Some(Scheme::Date) => self.date = self.date.max(Some(tag)),
            Some(Scheme::Version) => self.version = self.version.max(Some(tag)),
            None => {}
        }
    }

    fn advice(self, policy: &Policy) -> Option<Advice> {
        let by_number = matches!(
            policy.order,
            Order::Semver(_) | Order::Loose(_) | Order::Natural(_)
        );
        match (self.date, self.version) {
            (Some(date), Some(version)) if by_number => Some(Advice::MixedSchemes {
                date: date.clone(),
                version: version.clone(),
            }),
            _ => None,
        }
    }
}

/// The candidates that stand highest so far, the best first.
#[derive(Default)]
struct Best(Vec<(Key<'static>, Candidate)>);

impl Best {
    fn offer(&mut self, policy: &Policy, tag: &Tag, fit: &Fit<'_>) {
        let place = self.0.partition_point(|(key, candidate)| {
            let by_key = policy.order.compare(key, &fit.key);
            by_key.then_with(|| candidate.tag.cmp(tag)).is_gt()
        });
        let is_same = |(_, candidate): &(Key<'_>, Candidate)| &candidate.tag == tag;
        if place >= SHOWN_CANDIDATES || self.0.get(place).is_some_and(is_same) {
            return;
        }
        let candidate = Candidate {
            tag: tag.clone(),
            key: fit.value.to_owned(),
        };
        self.0
            .insert(place, (fit.key.clone().into_owned(), candidate));
        self.0.truncate(SHOWN_CANDIDATES);
    }

    fn candidates(self) -> Vec<Candidate> {
        self.0.into_iter().map(|(_, candidate)| candidate).collect()
    }
}

impl Rule {
    fn new(policy: &Policy, tag: &Tag, refusal: &Refusal<'_>) -> Self {
        match refusal {
            Refusal::Excluded(pattern) => Self::Excluded {
                pattern: (*pattern).to_owned(),
            },
            Refusal::Unmatched => Self::Unmatched {
                pattern: policy.filter.pattern().to_owned(),
            },
            Refusal::Unreadable(value, why) => Self::Unreadable {
                value: (*value != tag.as_str()).then(|| (*value).to_owned()),
                reason: why.to_string(),
            },
            Refusal::Outside(range, version) => {
                let objections = range.objections(version, policy.constraints.prereleases);
                Self::OutOfRange {
                    range: range.to_string(),
                    objections: objections.iter().map(Objection::to_string).collect(),
                }
            }
            Refusal::Constrained(breach) => Self::Constrained {
                reason: breach.to_string(),
            },
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Excluded { .. } => "excluded",
            Self::Unmatched { .. } => "unmatched",
            Self::Unreadable { .. } => "unreadable",
            Self::OutOfRange { .. } => "outOfRange",
            Self::Constrained { .. } => "constrained",
        }
    }
}

fn advice(policy: &Policy, scan: &Scan, verdict: &Verdict) -> Vec<Advice> {
    let unknown = policy.filter.unknown_groups().iter();
    let mut advice = unknown
        .map(|name| Advice::UnknownGroup { name: name.clone() })
        .collect::<Vec<_>>();
    advice.extend(counted_otherwise(policy, scan, verdict));
    advice.extend(not_signed(policy, scan, verdict));
    let tied = verdict.selection().map_or(0, |selection| selection.tied);
    if tied > 0 {
        advice.push(Advice::Ties { count: tied });
    }
    advice
}

/// What to say where a newer tag is passed over for what its signatures come to: whoever pushed it may
/// be waiting for it, or should not have pushed it.
fn not_signed(policy: &Policy, scan: &Scan, verdict: &Verdict) -> Option<Advice> {
    if policy.constraints.signing == Signing::Free {
        return None;
    }
    let chosen = verdict.selection().map(|it| &it.tag);
    let refused = scan.facts.iter().filter_map(|(tag, facts)| {
        let signature = facts.signature.as_ref()?;
        let is_refused = !matches!(signature, Signature::By(_) | Signature::Unknown(_));
        let is_above = chosen.is_none_or(|chosen| policy.puts_before(chosen, tag));
        (is_refused && is_above).then_some((tag, signature))
    });
    let highest = refused.reduce(|best, other| {
        if policy.puts_before(best.0, other.0) {
            other
        } else {
            best
        }
    });
    highest.map(|(tag, signature)| Advice::NotSigned {
        tag: tag.clone(),
        reason: signature.to_string(),
    })
}

/// What to say where an alphabetical order selects a tag that stands lower once numbers count.
fn counted_otherwise(policy: &Policy, scan: &Scan, verdict: &Verdict) -> Option<Advice> {
    let Order::Alphabetical(direction) = policy.order else {
        return None;
    };
    let natural = Policy {
        order: Order::Natural(direction),
        ..policy.clone()
    };
    let (natural, _) = select_in(&natural, scan, Situation::of(scan));
    let counted = natural.selection()?;
    let spelt = verdict.selection()?;
    let differs = natural::compare(&counted.key, &spelt.key).is_ne();
    differs.then(|| Advice::NaturalDiffers {
        tag: counted.tag.clone(),
    })
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded { pattern } => write!(formatter, "excluded by `{pattern}`"),
            Self::Unmatched { pattern } => write!(formatter, "does not match `{pattern}`"),
            Self::Unreadable {
                value: None,
                reason,
            }
            | Self::Constrained { reason } => formatter.write_str(reason),
            Self::Unreadable {
                value: Some(value),
                reason,
            } => {
                write!(formatter, "gives `{value}`, which {reason}")
            }
            Self::OutOfRange { range, objections } => {
                write!(formatter, "is outside `{range}`: {}", objections.join("; "))
            }
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownGroup { name } => write!(
                formatter,
                "extract names the group `{name}`, which the pattern does not have: it is empty"
            ),
            Self::NaturalDiffers { tag } => write!(
                formatter,
                "alphabetical order compares letter by letter; counting numbers would select `{tag}`"
            ),
            Self::NothingKept => {
                formatter.write_str("exclusions and filter keep nothing of the list")
            }
            Self::MixedSchemes { date, version } => write!(
                formatter,
                "dates such as `{date}` stand above versions such as `{version}`: say which is meant"
            ),
            Self::NotSigned { tag, reason } => {
                write!(formatter, "`{tag}` is passed over: it {reason}")
            }
            Self::Ties { count } => write!(
                formatter,
                "{count} more compare equal to the selection; only the bytes of the tags decide"
            ),
        }
    }
}

impl Serialize for Rejection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Rejection", 3)?;
        fields.serialize_field("tag", &self.tag)?;
        fields.serialize_field("rule", self.rule.kind())?;
        fields.serialize_field("reason", &self.rule.to_string())?;
        fields.end()
    }
}
