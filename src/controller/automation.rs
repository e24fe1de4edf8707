//! `ImageUpdateAutomation`: one run of the pipeline, and what came of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{
    Context, acl,
    condition::End,
    object::{Kind, Object},
    policy::opened,
    reconcile::{Next, Report},
    repository::words,
    told, world,
};
use crate::{
    config::{Automation, Config, ObjectKey, Reading, duration, object_name},
    crd::{
        AccessFrom, HeldValue, ImagePolicyStatus, ImageRef, ImageUpdateAutomationStatus,
        SkippedPlace,
    },
    error::Class,
    pipeline::{self, End as RunEnd, Failure, Intent, Listings, Outcome},
    policy::PolicyName,
    update::{
        PolicyKey,
        git::Checkout,
        plan::{Fate, MarkedValue},
        template::{self, ErrorKind},
    },
};

/// How many held values, and how many passed-over places, the status names.
const MAX_PLACES: usize = 20;
/// The shortest time between two runs.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait for scans that have not been tried yet.
const UNTIL_SCANNED: Duration = Duration::from_secs(1);

/// Runs the automation once.
pub(super) async fn reconcile(context: &Context, object: &Arc<Object>) -> Report {
    let mut status = object.status::<ImageUpdateAutomationStatus>();
    let started = told::time(super::now());
    let world = match observe(context, object).await {
        Ok(observed) => observed,
        Err((end, next)) => return Report::new(&status, end, next),
    };
    let Some(automation) = world.config.automations.first() else {
        let end = End::stalled("InvalidSourceConfiguration", "the automation says nothing");
        return Report::new(&status, end, Next::Never);
    };
    if automation.pull_request.is_some() {
        let message = "`spec.git.push.pullRequest`: the controller opens no pull requests yet; \
                       run `tagwright run` on a schedule for this one";
        let end = End::stalled("InvalidSourceConfiguration", message);
        return Report::new(&status, end, Next::Never);
    }
    if !world.is_scanned {
        return Report::new(&status, End::Left, Next::After(UNTIL_SCANNED));
    }
    let listings = Listings::default();
    for source in world.config.images.values() {
        let known = context.known(&source.key);
        let known =
            known.filter(|it| it.image == source.image && it.connection == source.connection);
        if let Some(known) = known {
            listings.know(source.listed(), &source.connection, known.listing);
        }
    }
    let (config, ports) = (&world.config, &context.ports);
    let outcomes = pipeline::run(config, &[automation], ports, &listings, Intent::Apply).await;
    let Some(outcome) = outcomes.into_iter().next() else {
        return Report::new(&status, End::Left, Next::Retry(Class::Bug));
    };
    status.last_automation_run_time = Some(started);
    let report = conclude(&mut status, object, automation, &world.choices, &outcome);
    context
        .metrics
        .run(&object.key, end_word(&outcome.end), status.held.len());
    if let RunEnd::Applied(_) = outcome.end {
        context.measure_lag(&outcome);
    }
    report
}

/// What a run works with.
struct Observed {
    config: Config,
    /// What each policy that takes part chose last.
    choices: BTreeMap<String, ImageRef>,
    /// Whether every scan that the run needs was tried.
    is_scanned: bool,
}

/// Gathers what the automation refers to.
async fn observe(context: &Context, object: &Object) -> Result<Observed, (End, Next)> {
    let stalled = |reason, words: String| (End::stalled(reason, words), Next::Never);
    let own = &object.key.namespace;
    if object.json["spec"]["git"].is_null() {
        let message = "failed configuring source manager: spec.git is not set: invalid source \
                       configuration";
        return Err(stalled("InvalidSourceConfiguration", message.to_owned()));
    }
    let source = source(context, object)?;
    let policies = context.policies_within(own);
    let selected = policies
        .iter()
        .filter(|policy| world::selects(object, &policy.labels()));
    let selected = selected.cloned().collect::<Vec<_>>();
    let repositories = repositories(context, own, &selected).await;
    let objects = std::iter::once(object).chain(source.as_deref());
    let objects = objects.chain(policies.iter().map(AsRef::as_ref));
    let objects = objects.map(|it| &it.json);
    let Reading { mut config, faults } = Config::of_objects(objects.chain(repositories.values()));
    let name = object_name(&object.json);
    let (own, others) = faults
        .into_iter()
        .partition::<Vec<_>, _>(|it| it.file == name);
    if !own.is_empty() {
        return Err(stalled(reason(object), words(&own, object)));
    }
    let of_source = |source: &Arc<Object>| {
        let name = object_name(&source.json);
        let own = others.iter().filter(|it| it.file == name).cloned();
        let own = own.collect::<Vec<_>>();
        (!own.is_empty()).then(|| words(&own, source))
    };
    if let Some(words) = source.as_ref().and_then(of_source) {
        return Err(stalled("InvalidSourceConfiguration", words));
    }
    // What is faulty decides nothing, not even with the part of it that is well.
    let is_faulty = |kind: Kind, key: &ObjectKey| {
        let name = format!("{kind} {key}");
        others.iter().any(|it| it.file == name)
    };
    config
        .images
        .retain(|key, _| !is_faulty(Kind::Repository, key));
    config
        .policies
        .retain(|name, _| !is_faulty(Kind::Policy, &key_of(name)));
    let is_scanned = config
        .images
        .values()
        .filter(|it| !it.suspended)
        .all(|it| context.was_tried(&it.key));
    let choices = selected.iter().filter_map(|policy| {
        let chosen = context
            .choice(&policy.key)
            .or_else(|| policy.status::<ImagePolicyStatus>().latest_ref);
        Some((policy.key.name.clone(), chosen?))
    });
    Ok(Observed {
        choices: choices.collect(),
        config,
        is_scanned,
    })
}

/// The GitRepository, which must exist; nothing where the automation says itself where Git is.
fn source(context: &Context, object: &Object) -> Result<Option<Arc<Object>>, (End, Next)> {
    if object.text("/spec/git/url").is_some() && object.json["spec"]["sourceRef"].is_null() {
        return Ok(None);
    }
    let Some(key) = object.reference("/spec/sourceRef") else {
        let message = "missing field `spec.sourceRef.name`: invalid source configuration";
        let end = End::stalled("InvalidSourceConfiguration", message);
        return Err((end, Next::Never));
    };
    let rule = context.options.cross_namespace;
    acl::may_leave("GitRepository", &key, &object.key.namespace, rule)
        .map_err(|words| (End::stalled("AccessDenied", words), Next::Never))?;
    if let Some(source) = context.get(Kind::Source, &key) {
        return Ok(Some(source));
    }
    let message = format!("failed configuring source manager: GitRepository '{key}' not found");
    let end = End::failed("SourceManagerFailed", message);
    // Its creation is a trigger.
    Err((end, Next::Retry(Class::Config)))
}

/// The repositories of policies, those that let the namespace in.
async fn repositories(
    context: &Context,
    own: &str,
    policies: &[Arc<Object>],
) -> BTreeMap<ObjectKey, Value> {
    let keys = policies
        .iter()
        .filter_map(|policy| policy.reference("/spec/imageRepositoryRef"));
    let keys = keys.collect::<BTreeSet<_>>();
    let is_abroad = keys.iter().any(|key| key.namespace != own);
    let labels = if is_abroad {
        context.namespace_labels(own).await.unwrap_or_default()
    } else {
        BTreeMap::new()
    };
    let mut found = BTreeMap::new();
    for key in keys {
        let rule = context.options.cross_namespace;
        let Some(repository) = context.get(Kind::Repository, &key) else {
            continue;
        };
        let rules = repository.json["spec"]["accessFrom"].clone();
        let rules = serde_json::from_value::<AccessFrom>(rules).ok();
        let is_open = acl::may_leave("ImageRepository", &key, own, rule)
            .and_then(|()| acl::may_enter(&key, rules.as_ref(), own, &labels));
        if is_open.is_ok() {
            found.insert(key, opened(&repository.json));
        }
    }
    found
}

/// Which of Flux's reasons a faulty automation has.
fn reason(object: &Object) -> &'static str {
    let spec = &object.json["spec"];
    let selector = &spec["policySelector"];
    let is_selector_unfit = !selector.is_null()
        && serde_json::from_value::<crate::crd::LabelSelector>(selector.clone()).is_err();
    if is_selector_unfit {
        return "InvalidPolicySelector";
    }
    let strategy = &spec["update"]["strategy"];
    if !strategy.is_null() && strategy != "Setters" {
        return "InvalidUpdateStrategy";
    }
    let commit = &spec["git"]["commit"];
    let values = serde_json::from_value(commit["messageTemplateValues"].clone());
    let template = commit["messageTemplate"].as_str().unwrap_or_default();
    match template::check_with(template, &values.unwrap_or_default()) {
        Err(error) if matches!(error.kind, ErrorKind::RemovedField(_)) => "RemovedTemplateField",
        _ => "InvalidSourceConfiguration",
    }
}

/// Writes what came of a run into the status.
fn conclude(
    status: &mut ImageUpdateAutomationStatus,
    object: &Object,
    automation: &Automation,
    observed: &BTreeMap<String, ImageRef>,
    outcome: &Outcome,
) -> Report {
    const TIMES: [&str; 1] = ["/lastAutomationRunTime"];
    if let Some(plan) = &outcome.plan {
        status.held = held(&plan.changes.values);
        status.skipped = skipped(outcome);
    }
    if let RunEnd::Failed(failure) = &outcome.end {
        let (reason, message) = failed(failure, outcome.observed.is_some());
        let next = Next::Retry(match failure {
            // A Secret may be mended without a word to us.
            Failure::Access(error) if error.class() == Class::Config => Class::Denied,
            _ => failure.class(),
        });
        return Report::new(status, End::failed(reason, message), next).with_times(&TIMES);
    }
    let read = outcome.observed.as_ref();
    let read = read.and_then(|it| Some((it.checkout.as_ref()?, it.base.as_ref()?)));
    let pushes_elsewhere =
        automation.remote.checkout != Checkout::Branch(automation.remote.push_branch.clone());
    status.observed_policies.clone_from(observed);
    status.observed_source_revision =
        read.map(|(checkout, base)| revision(checkout, base.as_str()));
    let mut news = None;
    if let RunEnd::Applied(pushed) = &outcome.end {
        status.last_push_commit = Some(pushed.commit.as_str().to_owned());
        status.last_push_time = Some(told::time(super::now()));
        let pushed_revision = format!("{}@sha1:{}", pushed.branch, pushed.commit.as_str());
        if !pushes_elsewhere {
            status.observed_source_revision = Some(pushed_revision.clone());
        }
        let message = outcome.plan.as_ref().and_then(|it| it.commit.as_ref());
        let message = message.map(|it| it.message.trim_end()).unwrap_or_default();
        let short = pushed.commit.as_str().get(..7).unwrap_or_default();
        let mut words = format!("pushed commit '{short}' to branch '{}'", pushed.branch);
        if let Some(refspec) = &automation.remote.push.refspec {
            words.push_str(&format!(" and refspecs '{refspec}'"));
        }
        if !message.is_empty() {
            words.push_str(&format!("\n{message}"));
        }
        let metadata = BTreeMap::from([
            (
                "image.toolkit.fluxcd.io/revision".to_owned(),
                pushed_revision,
            ),
            (
                "image.toolkit.fluxcd.io/commit".to_owned(),
                pushed.commit.as_str().to_owned(),
            ),
        ]);
        news = Some((words, metadata));
    }
    let is_held = |value: &&HeldValue| !value.reason.is_empty();
    let count = status.held.iter().filter(is_held).count();
    let end = End::Ready {
        message: "repository up-to-date".to_owned(),
        held: (count > 0).then(|| {
            let noun = if count == 1 { "value is" } else { "values are" };
            format!("{count} marked {noun} left as they are; see status.held")
        }),
    };
    let mut report = Report::new(status, end, next(object)).with_times(&TIMES);
    report.news = news;
    report
}

/// `main@sha1:…`, as Flux writes it: the reference without its first two parts.
fn revision(checkout: &Checkout, commit: &str) -> String {
    let reference = match checkout {
        Checkout::Branch(branch) => branch.as_str().to_owned(),
        Checkout::Commit(_) => return format!("sha1:{commit}"),
        Checkout::Newest(range) => range.to_string(),
        Checkout::Reference(_) => checkout.to_string().splitn(3, '/').skip(2).collect(),
    };
    format!("{reference}@sha1:{commit}")
}

fn next(object: &Object) -> Next {
    let interval = object.text("/spec/interval").and_then(duration::parse);
    match interval.filter(|it| !it.is_zero()) {
        Some(interval) => Next::After(interval.max(MIN_INTERVAL)),
        None => Next::Never,
    }
}

/// Flux's reason for a failure, and the words.
fn failed(failure: &Failure, was_read: bool) -> (&'static str, String) {
    let words = told::sentence(failure, failure.hint());
    match failure {
        Failure::Access(_) => (
            "SourceManagerFailed",
            format!("failed configuring source manager: {words}"),
        ),
        Failure::TooManyFiles(_) => ("UpdateFailed", format!("failed to apply policies: {words}")),
        _ if was_read => (
            "GitOperationFailed",
            format!("failed to update source: {words}"),
        ),
        _ => (
            "GitOperationFailed",
            format!("failed to checkout source: {words}"),
        ),
    }
}

/// The values that stay although they might not have to; the first ones of them.
fn held(values: &[MarkedValue]) -> Vec<HeldValue> {
    let held = values.iter().filter_map(|value| {
        let reason = match &value.fate {
            Fate::Current | Fate::Update { .. } | Fate::Unchecked => return None,
            Fate::Held { chosen, reason } => format!("{chosen}: {reason}"),
            Fate::NothingMatched { reason }
            | Fate::Unavailable { reason }
            | Fate::Suspended { reason }
            | Fate::UnknownPolicy { reason }
            | Fate::Refused { reason } => reason.clone(),
        };
        let policy = match &value.policy {
            PolicyKey::Named(name) => name.to_string(),
            PolicyKey::Inline { .. } => value.policy.to_string(),
        };
        Some(HeldValue {
            place: format!("{}:{}", value.file, value.line),
            policy,
            value: value.value.clone(),
            reason,
        })
    });
    held.take(MAX_PLACES).collect()
}

/// The markers and files that were passed over; the first ones of them.
fn skipped(outcome: &Outcome) -> Vec<SkippedPlace> {
    let findings = outcome.plan.iter().flat_map(|it| &it.changes.findings);
    let findings = findings.map(|found| SkippedPlace {
        place: format!("{}:{}", found.file, found.finding.line),
        reason: found.finding.problem.to_string(),
    });
    let entries = outcome.observed.iter().flat_map(|it| &it.skipped);
    let entries = entries.map(|skipped| SkippedPlace {
        place: skipped.path.clone(),
        reason: skipped.reason.clone(),
    });
    findings.chain(entries).take(MAX_PLACES).collect()
}

fn key_of(name: &PolicyName) -> ObjectKey {
    ObjectKey {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
    }
}

fn end_word(end: &RunEnd) -> &'static str {
    match end {
        RunEnd::Unchanged => "unchanged",
        RunEnd::Suspended => "suspended",
        RunEnd::Planned => "planned",
        RunEnd::Held => "held",
        RunEnd::Pending(_) => "pending",
        RunEnd::Applied(_) | RunEnd::Written => "applied",
        RunEnd::Waiting(_) => "waiting",
        RunEnd::Withdrawn => "withdrawn",
        RunEnd::Failed(_) => "failed",
    }
}

impl Context {
    fn measure_lag(&self, outcome: &Outcome) {
        let updates = outcome.plan.iter().flat_map(|it| it.changes.updates());
        let policies = updates.filter_map(|(value, _)| match &value.policy {
            PolicyKey::Named(name) => Some(key_of(name)),
            PolicyKey::Inline { .. } => None,
        });
        let policies = policies.collect::<BTreeSet<_>>();
        if let Some(lag) = policies.iter().filter_map(|it| self.since_choice(it)).max() {
            self.metrics.lag(lag);
        }
    }
}
