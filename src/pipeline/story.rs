//! What a request is told about: the user's templates, and what registries know of the images.

use std::collections::BTreeMap;

use super::{Asked, Listings, Plan, Ports, Scope, question};
use crate::{
    access::{self, Vault},
    config::{Automation, PullRequestSettings},
    image::{ImageReference, Tag},
    policy::{self, Situation},
    scan::{Depth, Registry, TagFacts},
    update::{
        PolicyKey,
        forge::{
            body::{self, Held, Image, Story},
            markdown::escape,
        },
        message::Step,
        plan::{Fate, MarkedValue},
        template::{FileObjectChange, MessageData, TemplateError, message_value},
    },
};

/// The title that the user's template gives, if there is one.
pub(super) fn title(
    automation: &Automation,
    settings: &PullRequestSettings,
    plan: &Plan,
) -> Result<Option<String>, TemplateError> {
    let Some(template) = &settings.title else {
        return Ok(None);
    };
    let text = rendered(automation, template, plan, str::to_owned)?;
    Ok(Some(text).filter(|it| !it.trim().is_empty()))
}

/// The body: the user's words, where there are some, and the story of the images.
pub(super) fn body(
    automation: &Automation,
    settings: &PullRequestSettings,
    plan: &Plan,
    images: Vec<Image>,
) -> Result<String, TemplateError> {
    let template = settings.body.as_ref();
    // The template is the user's Markdown; what stands in files and registries is not.
    let preface = template.map(|it| rendered(automation, it, plan, escape));
    let mut held = plan
        .changes
        .values
        .iter()
        .filter_map(held)
        .collect::<Vec<_>>();
    held.sort();
    held.dedup();
    Ok(body::render(&Story {
        automation: automation.key.to_string(),
        base: settings.base.to_string(),
        preface: preface.transpose()?,
        images,
        held,
        merge: settings.merge,
        limit: settings.place.kind.body_limit(),
    }))
}

fn rendered(
    automation: &Automation,
    template: &crate::update::template::Template,
    plan: &Plan,
    shown: impl Fn(&str) -> String,
) -> Result<String, TemplateError> {
    let changes = plan.changes.updates().map(|(value, new)| FileObjectChange {
        file: shown(automation.remote.path.relative(&value.file)),
        object: value.object.clone(),
        old: shown(&value.value),
        new: shown(new),
        setter: shown(&value.setter()),
    });
    let key = &automation.key;
    template.render(&message_value(&MessageData {
        automation: (&key.namespace, &key.name),
        changes: &changes.collect::<Vec<_>>(),
        values: &automation.message_values,
    }))
}

fn held(value: &MarkedValue) -> Option<Held> {
    let reason = match &value.fate {
        Fate::Held { reason, .. }
        | Fate::NothingMatched { reason }
        | Fate::Unavailable { reason }
        | Fate::UnknownPolicy { reason }
        | Fate::Refused { reason } => reason,
        Fate::Current | Fate::Update { .. } | Fate::Suspended { .. } | Fate::Unchecked => {
            return None;
        }
    };
    let image = value.image.as_ref().map(ToString::to_string);
    Some(Held {
        image: image.unwrap_or_else(|| value.policy.to_string()),
        value: value.value.trim_end().to_owned(),
        reason: reason.lines().next().unwrap_or_default().to_owned(),
    })
}

/// What is known of the images that change; what cannot be asked now is left out.
pub(super) async fn images<R: Registry, G, V: Vault>(
    scope: &Scope<'_>,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    plan: &Plan,
) -> Vec<Image> {
    let updates = plan.changes.updates();
    let keys = updates
        .map(|(value, _)| (value.policy.to_string(), &value.policy))
        .collect::<BTreeMap<_, _>>();
    let mut images = Vec::new();
    for step in &plan.steps {
        let mut image = told(step);
        if let Some(key) = keys.get(&step.policy) {
            look(scope, ports, listings, key, &mut image).await;
        }
        images.push(image);
    }
    images
}

fn told(step: &Step) -> Image {
    Image {
        image: step.image.clone(),
        policy: step.policy.clone(),
        old: step.old.clone(),
        new: step.new.clone(),
        why: step.why.clone(),
        places: step.places.clone(),
        ..Image::default()
    }
}

/// Adds what the registry knows: the digest, when and of which source it was built, and what the
/// constraints held back.
async fn look<R: Registry, G, V: Vault>(
    scope: &Scope<'_>,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    key: &PolicyKey,
    image: &mut Image,
) {
    let Ok(question) = question(scope, key) else {
        return;
    };
    let (repository, connection) = (question.listed(), &question.connection);
    let Ok(access) = access::registry(&ports.vault, connection, repository).await else {
        return;
    };
    let asked = Asked {
        repository,
        connection,
        access: &access,
        company: &[],
    };
    let listing = listings.scan(&ports.registry, &asked);
    let (Some(tag), Ok(scan)) = (tag(&image.new), listing.await) else {
        return;
    };
    let old = self::tag(&image.old);
    let ask = async |tag: Option<&Tag>| {
        let registry = &ports.registry;
        match tag {
            Some(tag) => registry.facts(repository, tag, Depth::Image, &access).await,
            None => Ok(TagFacts::default()),
        }
    };
    let (new, old) = tokio::join!(ask(Some(&tag)), ask(old.as_ref()));
    let (new, old) = (new.unwrap_or_default(), old.unwrap_or_default());
    let digest = match new.digest {
        Some(digest) => Some(digest),
        None => ports.registry.digest(repository, &tag, &access).await.ok(),
    };
    image.digest = digest.map(|it| it.to_string());
    image.created = new.created.or(new.annotated);
    image.replaced = old.created.or(old.annotated);
    image.source = new.source.or(old.source);
    image.revisions = (old.revision, new.revision);
    let current = tag_text(&image.old);
    let situation = Situation {
        current: current.as_deref(),
        now: scan.finished,
    };
    let explanation = policy::explain_in(&question.policy, &scan, situation);
    let without = explanation.without.iter();
    image.passed_over = without
        .map(|it| {
            (
                it.tag.to_string(),
                format!("held back by `{}`", it.constraint),
            )
        })
        .collect();
}

/// The tag of a step's text: `1.5.0`, `1.5.0@sha256:…`, or `name:1.5.0`.
fn tag(text: &str) -> Option<Tag> {
    tag_text(text)?.parse().ok()
}

fn tag_text(text: &str) -> Option<String> {
    let text = text.split('@').next()?;
    match text.parse::<ImageReference>() {
        Ok(reference) if text.contains(':') => reference.tag().map(ToString::to_string),
        _ => Some(text.to_owned()),
    }
}
