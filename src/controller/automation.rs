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
    crew,
    object::{Kind, Object},
    outcome,
    policy::opened,
    reconcile::{Next, Report},
    repository::words,
    told, world,
};
use crate::{
    config::{Automation, Config, ObjectKey, Reading, object_name},
    crd::{AccessFrom, ImagePolicyStatus, ImageRef, ImageUpdateAutomationStatus},
    error::Class,
    pipeline::{self, Doors, End as RunEnd, Intent, Listings, Outcome},
    policy::PolicyName,
    update::{
        PolicyKey,
        forge::AnyForge,
        template::{self, ErrorKind},
    },
};

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
    let world = crew::gather(context, object, world).await;
    let automations = &world.config.automations;
    let Some(automation) = automations.iter().find(|it| it.key == object.key) else {
        let end = End::stalled("InvalidSourceConfiguration", "the automation says nothing");
        return Report::new(&status, end, Next::Never);
    };
    if !world.is_scanned {
        return Report::new(&status, End::Left, Next::After(UNTIL_SCANNED));
    }
    let outcomes = run(context, &world.config, automation).await;
    let outcomes = crew::part(context, object, outcomes);
    status.last_automation_run_time = Some(started);
    let report = outcome::conclude(&mut status, object, automation, &world.choices, &outcomes);
    let end = outcome::foremost(&outcomes);
    context.metrics.run(&object.key, end, status.held.len());
    for outcome in &outcomes {
        if let RunEnd::Applied(_) = outcome.end {
            context.measure_lag(outcome);
        }
    }
    report
}

/// Takes the automation through the pipeline, to a push together with its crew, or to pull requests.
async fn run(context: &Context, config: &Config, automation: &Automation) -> Vec<Outcome> {
    let listings = Listings::default();
    for source in config.images.values() {
        let known = context.known(&source.key);
        let known =
            known.filter(|it| it.image == source.image && it.connection == source.connection);
        if let Some(known) = known {
            listings.know(source.listed(), &source.connection, known.listing);
        }
    }
    let (ports, intent) = (&context.ports, Intent::Apply);
    let Some(settings) = &automation.pull_request else {
        let crew = config.automations.iter().collect::<Vec<_>>();
        let run = pipeline::run(config, &crew, ports, &listings, intent);
        return Box::pin(run).await;
    };
    let doors = Doors {
        settings,
        open: |access| AnyForge::new(context.egress.clone(), access),
        now: super::now(),
    };
    let proposed = pipeline::propose(config, automation, ports, &doors, &listings, intent);
    Box::pin(proposed).await
}

/// What a run works with.
pub(super) struct Observed {
    /// What the automation says, and those that share its push branch.
    pub(super) config: Config,
    /// What each policy that takes part chose last.
    choices: BTreeMap<String, ImageRef>,
    /// Whether every scan that the run needs was tried.
    pub(super) is_scanned: bool,
}

/// Gathers what the automation refers to.
pub(super) async fn observe(context: &Context, object: &Object) -> Result<Observed, (End, Next)> {
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

fn key_of(name: &PolicyName) -> ObjectKey {
    ObjectKey {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
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
