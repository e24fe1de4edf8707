//! `ImagePolicy`: decide over the listing of its `ImageRepository`.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::{Value, json};

use super::{
    Context, acl,
    condition::End,
    object::{Kind, Object},
    reconcile::{Next, Report},
    repository::{self, words},
    told,
};
use crate::{
    access::{self, AccessError},
    config::{Config, ObjectKey, Reading, duration, object_name},
    crd::{AccessFrom, ImagePolicyStatus, ImageRef},
    error::Class,
    image::Tag,
    pipeline::{Place, Question, choose},
    policy::{self, Advice, DigestReflection, PolicyName, Signing, Verdict},
    scan::{Registry as _, Scan, ScanError},
};

/// How often a digest is looked up where nothing is said, as in Flux.
const DIGEST_INTERVAL: Duration = Duration::from_mins(10);
/// The least time between two looks.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Decides, and says what came of it.
pub(super) async fn reconcile(context: &Context, object: &Arc<Object>) -> Report {
    let mut status = object.status::<ImagePolicyStatus>();
    let decided = decide(context, object, &mut status).await;
    let (end, next) = decided.unwrap_or_else(|Refusal { end, next }| (end, next));
    Report::new(&status, end, next)
}

/// Why there is no choice.
struct Refusal {
    end: End,
    next: Next,
}

impl Refusal {
    fn failed(reason: &'static str, message: impl Into<String>, next: Next) -> Self {
        let end = End::failed(reason, message);
        Self { end, next }
    }

    fn stalled(reason: &'static str, message: impl Into<String>) -> Self {
        let end = End::stalled(reason, message);
        Self {
            end,
            next: Next::Never,
        }
    }
}

async fn decide(
    context: &Context,
    object: &Arc<Object>,
    status: &mut ImagePolicyStatus,
) -> Result<(End, Next), Refusal> {
    let repository = followed(context, object).await?;
    let question = question(object, &repository)?;
    let scan = listing(context, object, &question, &repository.key, status)?;
    let name = repository.text("/spec/image").unwrap_or_default();
    let (verdict, scan) = verdict(context, &question, &scan).await?;
    let (tag, held) = match &verdict {
        Verdict::Selected(selection) => {
            context.metrics.verdict("selected");
            (selection.tag.clone(), None)
        }
        Verdict::Held { selection, reason } => {
            context.metrics.verdict("held");
            let held = format!("{} is held: {reason}", selection.tag);
            let Some(latest) = &status.latest_ref else {
                let next = next_look(&question, &repository);
                return Err(Refusal::failed("Failure", held, next));
            };
            let message = ready_message(latest, status.observed_previous_ref.as_ref());
            let held = Some(held);
            let next = next(object, &question, &repository);
            return Ok((End::Ready { message, held }, next));
        }
        Verdict::NothingMatched(stages) => {
            context.metrics.verdict("nothing_matched");
            let advice = policy::advise(&question.policy, &scan, (&verdict, *stages));
            let unsigned = advice.into_iter().find(Advice::is_about_signatures);
            let unsigned = unsigned.map_or_else(String::new, |it| format!("; {it}"));
            let message = format!("no tag satisfies the policy: {stages}{unsigned}");
            let next = next_look(&question, &repository);
            return Err(Refusal::failed("Failure", message, next));
        }
    };
    let digest = digest(context, &question, &tag, &scan, name, status).await?;
    let chosen = ImageRef {
        name: name.to_owned(),
        tag: tag.as_str().to_owned(),
        digest,
    };
    if status.latest_ref.as_ref() != Some(&chosen) {
        status.observed_previous_ref = status.latest_ref.replace(chosen.clone());
    }
    context.chose(object, &chosen);
    let message = ready_message(&chosen, status.observed_previous_ref.as_ref());
    let next = next(object, &question, &repository);
    Ok((End::Ready { message, held }, next))
}

/// The `ImageRepository`, which must exist and let us in.
async fn followed(context: &Context, object: &Object) -> Result<Arc<Object>, Refusal> {
    let own = &object.key.namespace;
    let Some(key) = object.reference("/spec/imageRepositoryRef") else {
        let message = "missing field `spec.imageRepositoryRef.name`";
        return Err(Refusal::stalled("InvalidPolicy", message));
    };
    let denied = |words| Refusal::failed("AccessDenied", words, Next::Retry(Class::Config));
    acl::may_leave(
        "ImageRepository",
        &key,
        own,
        context.options.cross_namespace,
    )
    .map_err(denied)?;
    let found = context.get(Kind::Repository, &key);
    if key.namespace != *own {
        // An object that does not exist lets nobody in: the words are the same.
        let labels = context.namespace_labels(own).await.map_err(|error| {
            let words = told::sentence(&error, None);
            let next = Next::Retry(told::class(&error));
            Refusal::failed(
                "AccessDenied",
                format!("cannot read namespace '{own}': {words}"),
                next,
            )
        })?;
        let rules = found
            .as_ref()
            .map(|it| it.json["spec"]["accessFrom"].clone());
        let rules = rules.and_then(|it| serde_json::from_value::<AccessFrom>(it).ok());
        acl::may_enter(&key, rules.as_ref(), own, &labels).map_err(denied)?;
    }
    found.ok_or_else(|| {
        let message = format!(
            "failed to get the referred ImageRepository: referenced ImageRepository does not \
             exist: '{key}' not found"
        );
        // Its creation is a trigger.
        Refusal::failed("DependencyNotReady", message, Next::Never)
    })
}

/// The checked policy and its image.
fn question(object: &Object, repository: &Object) -> Result<Question, Refusal> {
    let policy = name(&object.key);
    // Whether the namespace may read the repository has been asked already.
    let open = opened(&repository.json);
    let Reading { mut config, faults } = Config::of_objects([&open, &object.json]);
    let of_repository = object_name(&repository.json);
    if faults.iter().any(|it| it.file == of_repository) {
        let message = words(&faults, repository);
        return Err(match repository::reason(repository) {
            "ImageURLInvalid" => Refusal::stalled("ImageURLInvalid", message),
            // Its correction is a trigger.
            _ => Refusal::failed("DependencyNotReady", message, Next::Never),
        });
    }
    if !faults.is_empty() {
        let always = object.text("/spec/digestReflectionPolicy") == Some("Always");
        let reason = if always && object.text("/spec/interval").is_none() {
            "IntervalNotConfigured"
        } else {
            "InvalidPolicy"
        };
        let message = format!("invalid policy: {}", words(&faults, object));
        return Err(Refusal::stalled(reason, message));
    }
    let image = config.images.remove(&repository.key);
    let policy = config.policies.remove(&policy);
    match (image, policy) {
        (Some(image), Some(policy)) => Ok(Question {
            image: image.image,
            connection: image.connection,
            policy: policy.policy,
            verify: policy.verify,
            // Who is suspended is left alone before anybody asks what it wants.
            suspended: None,
        }),
        _ => Err(Refusal::stalled("InvalidPolicy", words(&faults, object))),
    }
}

/// The last listing; while there is none, the object that was well says nothing new.
fn listing(
    context: &Context,
    object: &Object,
    question: &Question,
    repository: &ObjectKey,
    status: &ImagePolicyStatus,
) -> Result<Arc<Scan>, Refusal> {
    // The listing of another image is none.
    let known = context.known(repository);
    let failure = match known.filter(|known| known.image == question.image) {
        Some(known) => match known.listing {
            Ok(scan) => return Ok(scan),
            Err(error) => Some(told::sentence(error.as_ref(), None)),
        },
        None => None,
    };
    // The end of the scan is a trigger; the time is for an object of another shard.
    let next = Next::After(context.options.requeue_dependency);
    let is_known = status.observed_generation == Some(object.generation);
    if failure.is_none() && is_known && !object.is_requested() {
        let end = End::Left;
        return Err(Refusal { end, next });
    }
    let seconds = context.options.requeue_dependency.as_secs();
    let why = failure.unwrap_or_else(|| "no tags in database".to_owned());
    let message = format!("retrying in {seconds}s error: {why}");
    Err(Refusal::failed("DependencyNotReady", message, next))
}

/// What the policy says where nothing is known of Git, and the scan with what it had to know for that.
async fn verdict<'s>(
    context: &Context,
    question: &Question,
    scan: &'s Scan,
) -> Result<(Verdict, Cow<'s, Scan>), Refusal> {
    let (vault, listed) = (&context.ports.vault, question.listed());
    let shut = |error: AccessError| {
        let message = told::sentence(&error, None);
        Refusal::failed("Failed", message, Next::Retry(Class::Denied))
    };
    let access = access::registry(vault, &question.connection, listed).await;
    let access = access.map_err(shut)?;
    let keys = access::trusted_keys(vault, question.verify.as_ref()).await;
    let keys = keys.map_err(shut)?;
    let nothing_in_git = BTreeSet::from([None]);
    let registry = &context.ports.registry;
    let place = Place {
        repository: listed,
        access: &access,
        keys: keys.as_ref(),
    };
    let chosen = choose(registry, place, &question.policy, scan, &nothing_in_git).await;
    let (scan, mut choices) = chosen.map_err(|error| {
        let words = told::sentence(&error, error.hint());
        let message = format!("failed looking up what the policy has to know: {words}");
        Refusal::failed("Failed", message, Next::Retry(error.class()))
    })?;
    let choice = choices.remove(&None).ok_or_else(|| {
        Refusal::failed("Failed", "the policy said nothing", Next::Retry(Class::Bug))
    })?;
    Ok((choice.verdict, scan))
}

async fn digest(
    context: &Context,
    question: &Question,
    tag: &Tag,
    scan: &Scan,
    name: &str,
    status: &ImagePolicyStatus,
) -> Result<Option<String>, Refusal> {
    let latest = status.latest_ref.as_ref();
    let kept = latest.filter(|latest| latest.name == name && latest.tag == tag.as_str());
    let kept = kept.and_then(|latest| latest.digest.clone());
    // What was kept may be from before the policy asked for signatures.
    let is_verified = question.policy.constraints.signing == Signing::Required;
    match (question.policy.digest, kept.filter(|_| !is_verified)) {
        (DigestReflection::Never, _) => return Ok(None),
        (DigestReflection::IfNotPresent, Some(digest)) => return Ok(Some(digest)),
        (DigestReflection::IfNotPresent | DigestReflection::Always, _) => {}
    }
    let known = scan.facts.get(tag).and_then(|facts| facts.digest.clone());
    if let Some(digest) = known {
        return Ok(Some(digest.as_str().to_owned()));
    }
    let of = format!("{name}:{tag}");
    let listed = question.listed();
    let access = access::registry(&context.ports.vault, &question.connection, listed).await;
    let access = access.map_err(|error| {
        let message = format!(
            "failed fetching digest of {of}: {}",
            told::sentence(&error, error.hint())
        );
        Refusal::failed("Failed", message, Next::Retry(Class::Denied))
    })?;
    let digest = context.ports.registry.digest(listed, tag, &access).await;
    let digest = digest.map_err(|error| lookup_failed(&of, &error))?;
    Ok(Some(digest.as_str().to_owned()))
}

fn lookup_failed(of: &str, error: &ScanError) -> Refusal {
    let words = told::sentence(error, error.hint());
    let message = format!("failed fetching digest of {of}: {words}");
    Refusal::failed("Failed", message, Next::Retry(error.class()))
}

/// When signatures have to be looked at again: as often as the image is listed, since one may arrive
/// late. Otherwise a new listing is a trigger, and nothing else changes what a policy says.
fn next_look(question: &Question, repository: &Object) -> Next {
    let interval = repository.text("/spec/interval").and_then(duration::parse);
    match (question.policy.constraints.signing, interval) {
        (Signing::Required, Some(interval)) => Next::After(interval.max(SHORTEST_INTERVAL)),
        _ => Next::Never,
    }
}

/// When the digest or the signatures have to be looked up again.
fn next(object: &Object, question: &Question, repository: &Object) -> Next {
    if question.policy.digest != DigestReflection::Always {
        return next_look(question, repository);
    }
    let interval = object.text("/spec/interval").and_then(duration::parse);
    let interval = interval
        .filter(|it| !it.is_zero())
        .unwrap_or(DIGEST_INTERVAL);
    Next::After(interval.max(SHORTEST_INTERVAL))
}

/// Flux's words for what was chosen.
fn ready_message(chosen: &ImageRef, previous: Option<&ImageRef>) -> String {
    let mut message = format!(
        "Latest image tag for {} resolved to {}",
        chosen.name, chosen.tag
    );
    if let Some(digest) = &chosen.digest {
        message.push_str(&format!(" with digest {digest}"));
    }
    if let Some(previous) = previous.filter(|it| *it != chosen) {
        message.push_str(&format!(" (previously {previous})"));
    }
    message
}

/// A policy's name as markers have it.
pub(super) fn name(key: &ObjectKey) -> PolicyName {
    PolicyName {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

impl Context {
    /// The labels of a namespace.
    pub(super) async fn namespace_labels(
        &self,
        namespace: &str,
    ) -> Result<std::collections::BTreeMap<String, String>, kube::Error> {
        let api = Api::<Namespace>::all(self.client.clone());
        let found = api.get_metadata_opt(namespace).await?;
        Ok(found.and_then(|it| it.metadata.labels).unwrap_or_default())
    }

    /// Notes what a policy chose, and wakes the automations that it concerns where that is new.
    fn chose(&self, object: &Arc<Object>, chosen: &ImageRef) {
        let before = self.remember_choice(&object.key, chosen);
        // What a process of before wrote is as good: it was acted upon, or will be.
        let written = || object.status::<ImagePolicyStatus>().latest_ref;
        if before.or_else(written).as_ref() != Some(chosen) {
            self.wake_automations_of(object);
        }
    }
}

/// An `ImageRepository` that lets every namespace in, for policies that were let in already.
pub(super) fn opened(repository: &Value) -> Value {
    let mut open = repository.clone();
    open["spec"]["accessFrom"] = json!({"namespaceSelectors": [{}]});
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, tag: &str, digest: Option<&str>) -> ImageRef {
        ImageRef {
            name: name.to_owned(),
            tag: tag.to_owned(),
            digest: digest.map(str::to_owned),
        }
    }

    #[test]
    fn the_message_names_what_was_and_what_is() {
        let check = |chosen: ImageRef, previous: Option<ImageRef>, expected: &str| {
            assert_eq!(ready_message(&chosen, previous.as_ref()), expected);
        };
        let bar = |tag| image("foo/bar", tag, None);
        check(
            bar("1.0.0"),
            None,
            "Latest image tag for foo/bar resolved to 1.0.0",
        );
        check(
            bar("1.1.0"),
            Some(bar("1.0.0")),
            "Latest image tag for foo/bar resolved to 1.1.0 (previously foo/bar:1.0.0)",
        );
        let same = "Latest image tag for foo/bar resolved to 1.0.0";
        check(bar("1.0.0"), Some(bar("1.0.0")), same);
        check(
            image("foo/bar", "1.0.0", Some("sha256:12")),
            Some(image("foo/bar", "1.0.0", Some("sha256:ab"))),
            "Latest image tag for foo/bar resolved to 1.0.0 with digest sha256:12 \
             (previously foo/bar:1.0.0@sha256:ab)",
        );
    }
}
