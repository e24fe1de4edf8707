//! `ImagePolicy.spec.constraints`.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::{Document, Documents, policy_fault};
use crate::{
    config::duration,
    crd::{ClockName, ConstraintsSpec, DenialSpec, ImagePolicy, TagRuleSpec, UpdateLevelName},
    policy::{
        Clock, Constraints, Denial, Keep, MinimumAge, Prereleases, Signing, TagRule, TagRuleKind,
        UpdateLevel,
    },
};

/// Reads every constraint, and tells every fault at its place.
pub(super) fn constraints(
    documents: &mut Documents,
    document: &Document<ImagePolicy>,
) -> Option<Constraints> {
    let default = ConstraintsSpec::default();
    let spec = document.value.spec.constraints.as_ref().unwrap_or(&default);
    let allow =
        spec.allow.iter().enumerate().map(|(position, entry)| {
            rule(documents, document, &format!("allow/{position}"), entry)
        });
    let allow = allow.collect::<Vec<_>>();
    let deny = spec.deny.iter().enumerate();
    let deny = deny.map(|(position, entry)| denial(documents, document, position, entry));
    let deny = deny.collect::<Vec<_>>();
    let mut platforms = Vec::new();
    for (position, platform) in spec.platforms.iter().enumerate() {
        let pointer = format!("/spec/constraints/platforms/{position}");
        let platform = platform.parse();
        platforms.push(
            platform
                .inspect_err(|error| policy_fault(documents, document, &pointer, error))
                .ok(),
        );
    }
    let minimum_age = spec.minimum_age.as_ref().map(|minimum| {
        duration::parse(&minimum.age).map(|age| MinimumAge {
            age,
            clock: clock(minimum.clock),
        })
    });
    Some(Constraints {
        update: spec.update.map(|level| match level {
            UpdateLevelName::Patch => UpdateLevel::Patch,
            UpdateLevelName::Minor => UpdateLevel::Minor,
            UpdateLevelName::Major => UpdateLevel::Major,
        }),
        suffix: keep(spec.keep_suffix),
        precision: keep(spec.keep_precision),
        prereleases: match spec.prereleases {
            None => Prereleases::AsRange,
            Some(true) => Prereleases::Include,
            Some(false) => Prereleases::Exclude,
        },
        allow: allow.into_iter().collect::<Option<_>>()?,
        deny: deny.into_iter().collect::<Option<_>>()?,
        // A duration that does not fit its pattern is a fault of the schema already.
        minimum_age: match minimum_age {
            Some(minimum_age) => Some(minimum_age?),
            None => None,
        },
        platforms: platforms.into_iter().collect::<Option<_>>()?,
        // It stands beside the constraints.
        signing: Signing::Free,
    })
}

pub(super) fn clock(name: ClockName) -> Clock {
    match name {
        ClockName::Created => Clock::Created,
        ClockName::Annotation => Clock::Annotation,
        ClockName::FirstSeen => Clock::FirstSeen,
    }
}

fn keep(is_kept: bool) -> Keep {
    if is_kept { Keep::Yes } else { Keep::No }
}

fn denial(
    documents: &mut Documents,
    document: &Document<ImagePolicy>,
    position: usize,
    entry: &DenialSpec,
) -> Option<Denial> {
    let place = format!("deny/{position}");
    let DenialSpec {
        tag,
        range,
        digest,
        reason,
        until,
    } = entry.clone();
    let rule = rule(
        documents,
        document,
        &place,
        &TagRuleSpec { tag, range, digest },
    );
    let until = match until.as_deref().map(instant) {
        Some(None) => {
            let pointer = format!("/spec/constraints/{place}/until");
            let until = until.as_deref().unwrap_or_default().escape_debug();
            let message = format!("`{until}` is neither a day nor a time");
            let hint = "write it like `2026-03-01` or `2026-03-01T12:00:00Z`";
            document.fault(&mut documents.faults, &pointer, message, Some(hint));
            return None;
        }
        Some(until) => until,
        None => None,
    };
    Some(Denial {
        rule: rule?,
        reason,
        until,
    })
}

/// The one rule of an entry.
fn rule(
    documents: &mut Documents,
    document: &Document<ImagePolicy>,
    place: &str,
    entry: &TagRuleSpec,
) -> Option<TagRule> {
    let given = [
        ("tag", TagRuleKind::Tag, &entry.tag),
        ("range", TagRuleKind::Range, &entry.range),
        ("digest", TagRuleKind::Digest, &entry.digest),
    ];
    let mut given = given
        .into_iter()
        .filter_map(|(field, kind, text)| Some((field, kind, text.as_ref()?)));
    let (Some((field, kind, text)), None) = (given.next(), given.next()) else {
        let pointer = format!("/spec/constraints/{place}");
        let message = "an entry has one of `tag`, `range` and `digest`".to_owned();
        let hint = "write one entry for each";
        document.fault(&mut documents.faults, &pointer, message, Some(hint));
        return None;
    };
    let pointer = format!("/spec/constraints/{place}/{field}");
    let name = format!("constraints.{}.{field}", place.replace('/', "."));
    TagRule::new(&name, kind, text)
        .inspect_err(|error| policy_fault(documents, document, &pointer, error))
        .ok()
}

/// A time, or the beginning of a day in UTC.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(day.and_time(NaiveTime::MIN).and_utc());
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.to_utc())
}
