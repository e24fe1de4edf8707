//! What an explanation came from, in a form that gives the same explanation again: without a
//! registry, and at any later time.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    image::{Repository, Tag},
    policy::{
        Constraints, Denial, DigestReflection, Downgrade, Exclusions, Keep, MinimumAge, Order,
        Policy, PolicyError, Prereleases, Preset, Signing, Strictness, TagFilter, TagRule,
        TagRuleKind,
    },
    scan::{Scan, Signature, TagFacts, hash::sha256},
};

/// Everything that an explanation came from.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// The hash of the tags in the order of their bytes, each on a line.
    pub revision: String,
    /// The time of the scan, which is the time of the verdict.
    pub now: String,
    /// Every tag, as it was listed.
    pub tags: Vec<String>,
    /// How many entries of the listing were no tags.
    pub refused: usize,
    /// What is known of single tags.
    pub facts: Vec<FactsRecord>,
    /// The policy.
    pub definition: PolicyRecord,
}

/// What is known of one tag.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FactsRecord {
    /// The tag.
    pub tag: String,
    /// When the image was built, by its configuration.
    pub created: Option<String>,
    /// When the image was built, by its annotation.
    pub annotated: Option<String>,
    /// When the tag was first seen.
    pub first_seen: Option<String>,
    /// What it runs on.
    pub platforms: Option<Vec<String>>,
    /// Its digest.
    pub digest: Option<String>,
    /// Where its source code is.
    #[serde(default)]
    pub source: Option<String>,
    /// Which commit it was built from.
    #[serde(default)]
    pub revision: Option<String>,
    /// Which version it says it is.
    #[serde(default)]
    pub version: Option<String>,
    /// The bytes of its layers, as they are pulled.
    #[serde(default)]
    pub size: Option<u64>,
    /// Who signed its image.
    #[serde(default)]
    pub signature: Option<SignatureRecord>,
}

/// What the signatures of an image come to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignatureRecord {
    /// `by`, `missing`, `stranger`, `unreadable`, `unfit`, `foreign` or `unknown`.
    pub state: String,
    /// The key, or the reason.
    pub detail: Option<String>,
}

/// A policy in words.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "it is the form of a document, whose switches these are"
)]
pub struct PolicyRecord {
    /// The order, by the name of its field.
    pub order: String,
    /// Its range, direction, format, clock or keys.
    pub argument: String,
    /// Whether a tag that is no number holds the policy.
    pub strict: bool,
    /// The exclusions.
    pub exclusions: Vec<String>,
    /// The filter's pattern.
    pub pattern: String,
    /// What is compared.
    pub extract: String,
    /// The greatest step.
    pub update: Option<String>,
    /// Whether the suffix stays.
    pub keep_suffix: bool,
    /// Whether the number of parts stays.
    pub keep_precision: bool,
    /// Whether pre-releases take part.
    pub prereleases: Option<bool>,
    /// The only tags that take part.
    pub allow: Vec<RuleRecord>,
    /// The tags that take no part.
    pub deny: Vec<RuleRecord>,
    /// How old a tag must be.
    pub minimum_age: Option<AgeRecord>,
    /// What a tag must run on.
    pub platforms: Vec<String>,
    /// Whether a tag's image must be signed.
    #[serde(default)]
    pub verify: bool,
    /// The guards that are switched off.
    pub guards_off: Vec<String>,
    /// Whether a value may be replaced by an older one.
    pub allow_downgrade: bool,
    /// The preset that all this was made from.
    pub preset: Option<String>,
}

/// An entry of `allow` or `deny`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleRecord {
    /// `tag`, `range` or `digest`.
    pub kind: String,
    /// Its text.
    pub text: String,
    /// Why.
    pub reason: Option<String>,
    /// When it ends.
    pub until: Option<String>,
}

/// How old a tag must be.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgeRecord {
    /// The seconds.
    pub seconds: u64,
    /// The rest, in nanoseconds.
    pub nanoseconds: u32,
    /// The clock.
    pub clock: String,
}

/// Why a record cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A part of the policy cannot be read.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The tags are not those that the revision was made of.
    #[error("the tags have the revision {found}, and {recorded} was recorded")]
    Revision {
        /// What the tags hash to.
        found: String,
        /// What the record says.
        recorded: String,
    },
    /// A field holds something else than it must.
    #[error("`{field}` cannot be read: `{text}`")]
    Field {
        /// The field.
        field: &'static str,
        /// Its text.
        text: String,
    },
}

impl Replay {
    /// Records what `policy` was asked.
    pub fn new(policy: &Policy, scan: &Scan) -> Self {
        let facts = scan.facts.iter().map(|(tag, facts)| FactsRecord {
            tag: tag.to_string(),
            created: facts.created.map(written),
            annotated: facts.annotated.map(written),
            first_seen: facts.first_seen.map(written),
            platforms: facts.platforms.clone(),
            digest: facts.digest.as_ref().map(ToString::to_string),
            source: facts.source.clone(),
            revision: facts.revision.clone(),
            version: facts.version.clone(),
            size: facts.size,
            signature: facts.signature.as_ref().map(SignatureRecord::new),
        });
        Self {
            revision: revision(&scan.tags),
            now: written(scan.finished),
            tags: scan.tags.iter().map(Tag::to_string).collect(),
            refused: scan.refused,
            facts: facts.collect(),
            definition: PolicyRecord::new(policy),
        }
    }

    /// The policy and the scan that were recorded.
    ///
    /// # Errors
    ///
    /// The first part that cannot be read, or that was changed since.
    pub fn restore(&self, repository: Repository) -> Result<(Policy, Scan), ReplayError> {
        let tags = self.tags.iter().map(|tag| parsed("tags", tag));
        let tags = tags.collect::<Result<Vec<Tag>, _>>()?;
        let found = revision(&tags);
        if found != self.revision {
            let recorded = self.revision.clone();
            return Err(ReplayError::Revision { found, recorded });
        }
        let facts = self.facts.iter().map(FactsRecord::restore);
        let scan = Scan {
            repository,
            tags,
            refused: self.refused,
            sifted: 0,
            finished: parsed("now", &self.now)?,
            took: Duration::ZERO,
            facts: facts.collect::<Result<_, _>>()?,
        };
        Ok((self.definition.restore()?, scan))
    }
}

/// A hash that is the same for the same tags, in whatever order they are listed.
fn revision(tags: &[Tag]) -> String {
    let mut tags = tags.iter().map(Tag::as_str).collect::<Vec<_>>();
    tags.sort_unstable();
    let mut lines = tags.join("\n");
    lines.push('\n');
    sha256(lines.as_bytes()).to_string()
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn parsed<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, ReplayError> {
    text.parse().map_err(|_| ReplayError::Field {
        field,
        text: text.to_owned(),
    })
}

fn optional<T: std::str::FromStr>(
    field: &'static str,
    text: Option<&String>,
) -> Result<Option<T>, ReplayError> {
    text.map(|text| parsed(field, text)).transpose()
}

impl FactsRecord {
    fn restore(&self) -> Result<(Tag, TagFacts), ReplayError> {
        let facts = TagFacts {
            created: optional("created", self.created.as_ref())?,
            annotated: optional("annotated", self.annotated.as_ref())?,
            first_seen: optional("firstSeen", self.first_seen.as_ref())?,
            platforms: self.platforms.clone(),
            digest: optional("digest", self.digest.as_ref())?,
            source: self.source.clone(),
            revision: self.revision.clone(),
            version: self.version.clone(),
            size: self.size,
            signature: self
                .signature
                .as_ref()
                .map(SignatureRecord::restore)
                .transpose()?,
        };
        Ok((parsed("tag", &self.tag)?, facts))
    }
}

impl SignatureRecord {
    fn new(signature: &Signature) -> Self {
        let (state, detail) = signature.parts();
        Self {
            state: state.to_owned(),
            detail: detail.map(str::to_owned),
        }
    }

    fn restore(&self) -> Result<Signature, ReplayError> {
        let signature = Signature::of_parts(&self.state, self.detail.as_deref());
        signature.ok_or_else(|| ReplayError::Field {
            field: "signature",
            text: self.state.clone(),
        })
    }
}

impl PolicyRecord {
    fn new(policy: &Policy) -> Self {
        let (order, argument) = match &policy.order {
            Order::Semver(range) => ("semver", range.to_string()),
            Order::Loose(range) => ("loose", range.to_string()),
            Order::Calver(format) => ("calver", format.to_string()),
            Order::Keys(keys) => ("keys", keys.to_string()),
            Order::Newest(clock) => ("newest", clock.to_string()),
            Order::Alphabetical(direction) => ("alphabetical", direction.to_string()),
            Order::Natural(direction) => ("natural", direction.to_string()),
            Order::Numerical(direction, _) => ("numerical", direction.to_string()),
        };
        let constraints = &policy.constraints;
        let denied = constraints.deny.iter().map(|denial| RuleRecord {
            reason: denial.reason.clone(),
            until: denial.until.map(written),
            ..RuleRecord::new(&denial.rule)
        });
        Self {
            order: order.to_owned(),
            argument,
            strict: matches!(policy.order, Order::Numerical(_, Strictness::Strict)),
            exclusions: policy.exclusions.patterns().map(str::to_owned).collect(),
            pattern: policy.filter.pattern().to_owned(),
            extract: match policy.order {
                Order::Keys(_) => String::new(),
                _ => policy.filter.extract().to_owned(),
            },
            update: constraints.update.map(|level| level.to_string()),
            keep_suffix: constraints.suffix == Keep::Yes,
            keep_precision: constraints.precision == Keep::Yes,
            prereleases: match constraints.prereleases {
                Prereleases::AsRange => None,
                Prereleases::Include => Some(true),
                Prereleases::Exclude => Some(false),
            },
            allow: constraints.allow.iter().map(RuleRecord::new).collect(),
            deny: denied.collect(),
            minimum_age: constraints.minimum_age.map(|minimum| AgeRecord {
                seconds: minimum.age.as_secs(),
                nanoseconds: minimum.age.subsec_nanos(),
                clock: minimum.clock.to_string(),
            }),
            platforms: constraints
                .platforms
                .iter()
                .map(ToString::to_string)
                .collect(),
            verify: constraints.signing == Signing::Required,
            guards_off: policy.guards_off.iter().map(ToString::to_string).collect(),
            allow_downgrade: policy.downgrade == Downgrade::Allow,
            preset: policy.preset.map(|preset| preset.name.to_owned()),
        }
    }

    fn restore(&self) -> Result<Policy, ReplayError> {
        let order = self.order()?;
        let filter = match &order {
            Order::Keys(keys) => TagFilter::with_keys(&self.pattern, keys)?,
            _ => TagFilter::new(&self.pattern, &self.extract)?,
        };
        let guards_off = self.guards_off.iter().map(|guard| guard.parse());
        Ok(Policy {
            exclusions: Exclusions::new(&self.exclusions)?,
            filter,
            order,
            constraints: self.constraints()?,
            guards_off: guards_off.collect::<Result<_, _>>()?,
            downgrade: if self.allow_downgrade {
                Downgrade::Allow
            } else {
                Downgrade::Refuse
            },
            // It has no part in the verdict.
            digest: DigestReflection::Never,
            preset: self.preset.as_deref().map(Preset::named).transpose()?,
        })
    }

    fn order(&self) -> Result<Order, ReplayError> {
        match Order::of(&self.order, &self.argument)? {
            Some(Order::Numerical(direction, _)) if self.strict => {
                Ok(Order::strict_numerical(direction))
            }
            Some(order) => Ok(order),
            None => Err(ReplayError::Field {
                field: "order",
                text: self.order.clone(),
            }),
        }
    }

    fn constraints(&self) -> Result<Constraints, ReplayError> {
        let keep = |is_kept| if is_kept { Keep::Yes } else { Keep::No };
        let allow = self.allow.iter().map(RuleRecord::rule);
        let deny = self.deny.iter().map(|record| {
            Ok(Denial {
                rule: record.rule()?,
                reason: record.reason.clone(),
                until: optional("until", record.until.as_ref())?,
            })
        });
        let minimum_age = self.minimum_age.as_ref().map(|record| {
            Ok::<_, ReplayError>(MinimumAge {
                age: Duration::from_secs(record.seconds)
                    .saturating_add(Duration::from_nanos(record.nanoseconds.into())),
                clock: record.clock.parse()?,
            })
        });
        let platforms = self.platforms.iter().map(|platform| platform.parse());
        Ok(Constraints {
            update: self.update.as_deref().map(str::parse).transpose()?,
            suffix: keep(self.keep_suffix),
            precision: keep(self.keep_precision),
            prereleases: match self.prereleases {
                None => Prereleases::AsRange,
                Some(true) => Prereleases::Include,
                Some(false) => Prereleases::Exclude,
            },
            allow: allow.collect::<Result<_, _>>()?,
            deny: deny.collect::<Result<_, ReplayError>>()?,
            minimum_age: minimum_age.transpose()?,
            platforms: platforms.collect::<Result<_, _>>()?,
            signing: if self.verify {
                Signing::Required
            } else {
                Signing::Free
            },
        })
    }
}

impl RuleRecord {
    const KINDS: [(&'static str, TagRuleKind); 3] = [
        ("tag", TagRuleKind::Tag),
        ("range", TagRuleKind::Range),
        ("digest", TagRuleKind::Digest),
    ];

    fn new(rule: &TagRule) -> Self {
        let (kind, text) = rule.parts();
        let word = Self::KINDS.iter().find(|(_, known)| *known == kind);
        Self {
            kind: word.map_or("", |(word, _)| word).to_owned(),
            text,
            reason: None,
            until: None,
        }
    }

    fn rule(&self) -> Result<TagRule, ReplayError> {
        let kind = Self::KINDS.iter().find(|(word, _)| *word == self.kind);
        let Some((_, kind)) = kind else {
            let text = self.kind.clone();
            return Err(ReplayError::Field {
                field: "kind",
                text,
            });
        };
        Ok(TagRule::new("constraints", *kind, &self.text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Clock, Direction},
        report::explain::{ExplainReport, PolicyReport, RecordedReport},
    };

    fn scan() -> Scan {
        let tags = ["1.4.0", "1.5.0", "2.0.0-rc.1", "latest"];
        let mut scan = Scan {
            repository: "registry.test/acme/web".parse().unwrap(),
            tags: tags.map(|tag| tag.parse().unwrap()).to_vec(),
            refused: 1,
            sifted: 0,
            finished: DateTime::from_timestamp(1_767_323_045, 120_000_000).unwrap(),
            took: Duration::from_secs(1),
            facts: std::collections::BTreeMap::default(),
        };
        let facts = TagFacts {
            created: Some(DateTime::UNIX_EPOCH),
            platforms: Some(vec!["linux/amd64".to_owned()]),
            signature: Some(Signature::By("cosign.pub".to_owned())),
            ..TagFacts::default()
        };
        scan.facts.insert("1.5.0".parse().unwrap(), facts);
        let facts = TagFacts {
            signature: Some(Signature::Unreadable("it is no bundle".to_owned())),
            ..TagFacts::default()
        };
        scan.facts.insert("2.0.0-rc.1".parse().unwrap(), facts);
        scan
    }

    fn policy() -> Policy {
        let mut policy = Policy::new(Order::semver(">=1.0.0 <3").unwrap());
        policy.constraints.update = "minor".parse().ok();
        policy.constraints.prereleases = Prereleases::Include;
        policy.constraints.deny = vec![Denial {
            rule: TagRule::new("deny", TagRuleKind::Tag, "1.4.0").unwrap(),
            reason: Some("it loses mail".to_owned()),
            until: Some(scan().finished + chrono::TimeDelta::days(1)),
        }];
        policy.constraints.platforms = vec!["linux/amd64".parse().unwrap()];
        policy.constraints.signing = Signing::Required;
        policy
    }

    #[test]
    fn what_was_explained_is_explained_again_byte_for_byte() {
        let orders = [
            Order::loose("*").unwrap(),
            Order::calver("YYYY.0M").unwrap(),
            Order::strict_numerical(Direction::Descending),
            Order::natural(Direction::Ascending),
            Order::alphabetical(Direction::Ascending),
            Order::Newest(Clock::Created),
        ];
        let others = orders.into_iter().map(Policy::new);
        let presets = Preset::NAMES.map(|name| Preset::named(name).unwrap().policy());
        for policy in others.chain(presets).chain([policy()]) {
            let current = "1.3.0".parse().unwrap();
            let report = PolicyReport::new("apps:web".into(), &policy, &scan(), Some(&current));
            let then = serde_json::to_string(&ExplainReport::new(vec![report])).unwrap();
            let recorded = serde_json::from_str::<RecordedReport>(&then).unwrap();
            let again = serde_json::to_string(&recorded.replay().unwrap()).unwrap();
            assert_eq!(again, then);
        }
    }

    #[test]
    fn tags_that_were_changed_since_are_refused() {
        let mut replay = Replay::new(&policy(), &scan());
        let repository = scan().repository;
        assert!(replay.restore(repository.clone()).is_ok());
        replay.tags.reverse();
        assert!(replay.restore(repository.clone()).is_ok(), "the same tags");
        replay.tags.pop();
        let error = replay.restore(repository).unwrap_err();
        assert!(error.to_string().contains("revision"), "{error}");
    }
}
