//! One object, looked at once: what every kind has in common.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::{
    Api,
    api::{Patch, PatchParams},
    core::DynamicObject,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{
    Context, automation,
    condition::{self, End},
    event::Event,
    object::{FINALIZER, Kind, Object},
    policy, repository, status, told,
};
use crate::{config::ObjectKey, crd::Condition, error::Class};

/// How our writes are signed.
pub(super) const FIELD_MANAGER: &str = "tagwright";
/// How long an object may take before its status says that it is being worked on.
const QUIET: Duration = Duration::from_secs(1);
/// How long an object may take at all; every connection has shorter limits of its own.
const LIMIT: Duration = Duration::from_mins(30);

/// When an object is looked at again, if nothing triggers that before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// After this time.
    After(Duration),
    /// When it was changed, or what it refers to.
    Never,
    /// After a pause that fits the trouble.
    Retry(Class),
}

/// What came of an object.
pub(super) struct Report {
    /// The new status, without what is common to all kinds.
    status: Value,
    /// How it ended.
    end: End,
    /// When it is looked at again.
    next: Next,
    /// The fields of the status that move with every run.
    times: &'static [&'static str],
    /// What was done, in place of the condition's message in the event, and what belongs to it.
    pub(super) news: Option<(String, BTreeMap<String, String>)>,
}

impl Report {
    pub(super) fn new(status: &impl Serialize, end: End, next: Next) -> Self {
        Self {
            status: serde_json::to_value(status)
                .expect("a status has text keys and no failing serializers"),
            end,
            next,
            times: &[],
            news: None,
        }
    }

    pub(super) fn with_times(mut self, times: &'static [&'static str]) -> Self {
        self.times = times;
        self
    }
}

/// Looks at one object, and says when to look again.
pub(super) async fn reconcile(context: &Arc<Context>, kind: Kind, key: &ObjectKey) -> Next {
    let object = match prepared(context, kind, key).await {
        Ok(object) => object,
        Err(next) => return next,
    };
    let start = Instant::now();
    let report = if object.is_suspended() {
        suspended(&object)
    } else {
        let work = work(context, kind, &object);
        timeout(LIMIT, work).await.unwrap_or_else(|_| {
            let message = format!("it took longer than {} minutes", LIMIT.as_secs() / 60);
            let status = object.json["status"].clone();
            Report::new(
                &status,
                End::failed("Failed", message),
                Next::Retry(Class::Transient),
            )
        })
    };
    context.mark_tried(kind, key);
    context.metrics.reconciled(kind, key, start.elapsed());
    conclude(context, &object, report).await
}

/// The object, if there is something to do with it; it carries our finalizer from then on.
async fn prepared(
    context: &Arc<Context>,
    kind: Kind,
    key: &ObjectKey,
) -> Result<Arc<Object>, Next> {
    let Some(object) = context.get(kind, key) else {
        context.forget(kind, key);
        return Err(Next::Never);
    };
    if !context.is_ours(&object) {
        return Err(Next::Never);
    }
    let has_finalizer = object.finalizers.iter().any(|it| it == FINALIZER);
    if object.is_deleted {
        context.forget(kind, key);
        if !has_finalizer {
            return Err(Next::Never);
        }
        let left = object.finalizers.iter().filter(|it| *it != FINALIZER);
        let left = left.cloned().collect::<Vec<_>>();
        return Err(match context.set_finalizers(&object, left).await {
            Ok(_) => Next::Never,
            // Gone is gone; everything else is tried again.
            Err(kube::Error::Api(status)) if status.code == 404 => Next::Never,
            Err(error) => failed_write(&object, &error),
        });
    }
    if has_finalizer {
        return Ok(object);
    }
    let mut finalizers = object.finalizers.clone();
    finalizers.push(FINALIZER.to_owned());
    let written = context.set_finalizers(&object, finalizers).await;
    match written {
        Ok(Some(object)) => Ok(object),
        Ok(None) => Err(Next::Never),
        Err(error) => Err(failed_write(&object, &error)),
    }
}

/// A suspended object answers requests, except an automation, as in Flux.
fn suspended(object: &Object) -> Report {
    let status = object.json["status"].clone();
    Report::new(&status, End::Left, Next::Never)
}

/// Does the work of the kind; where it takes a while, the status says so.
async fn work(context: &Arc<Context>, kind: Kind, object: &Arc<Object>) -> Report {
    let work = async {
        match kind {
            Kind::Repository => repository::reconcile(context, object).await,
            Kind::Policy => policy::reconcile(context, object).await,
            Kind::Automation | Kind::Source => automation::reconcile(context, object).await,
        }
    };
    tokio::pin!(work);
    if let Ok(report) = timeout(QUIET, &mut work).await {
        return report;
    }
    let observed = object.json["status"]["observedGeneration"].as_i64();
    if observed != Some(object.generation) || object.is_requested() {
        let conditions = conditions(object);
        let now = told::time(super::now());
        let progressing = condition::progressing(&conditions, object.generation, &now);
        let patch = json!({"conditions": progressing});
        if let Err(error) = context.patch_status(object, patch).await {
            tracing::debug!(object = %object.key, %error, "cannot say that work goes on");
        }
    }
    work.await
}

/// Writes what came of an object, and tells it.
async fn conclude(context: &Arc<Context>, object: &Arc<Object>, report: Report) -> Next {
    let Report {
        status: mut new,
        end,
        next,
        times,
        news,
    } = report;
    // What was written meanwhile ("work goes on") is what this status replaces.
    let current = context.get(object.kind, &object.key);
    let current = current
        .filter(|it| it.uid == object.uid)
        .unwrap_or_else(|| Arc::clone(object));
    let before = conditions(&current);
    let now = super::now();
    let (conditions, generation) =
        condition::settle(&before, &end, object.generation, &told::time(now));
    if !new.is_object() {
        new = json!({});
    }
    new["conditions"] = json!(conditions);
    if let Some(generation) = generation {
        new["observedGeneration"] = generation.into();
    }
    let is_answered = match end {
        // A suspended automation does not answer, as in Flux; neither does what still waits.
        End::Left => object.is_suspended() && object.kind != Kind::Automation,
        _ => true,
    };
    if is_answered && let Some(requested) = object.requested_at() {
        new["lastHandledReconcileAt"] = requested.into();
    }
    let ready = conditions.iter().find(|it| it.kind == "Ready");
    let ready = ready.map_or("Unknown", |it| it.status.as_str());
    let is_suspended = object.is_suspended();
    context
        .metrics
        .conditions(object.kind, &object.key, ready, is_suspended);

    let old = match &current.json["status"] {
        Value::Object(_) => current.json["status"].clone(),
        _ => json!({}),
    };
    let mut next = next;
    if let Some(patch) = status::patch(&old, &new, times)
        && let Err(error) = context.patch_status(&current, patch).await
        && !matches!(&error, kube::Error::Api(status) if status.code == 404)
    {
        // Git is the record: the work is done, and only the words are still to be written.
        next = failed_write(&current, &error);
    }
    let words = news.as_ref().map(|(words, _)| words.as_str());
    if let Some((severity, reason, message)) = condition::event(&before, &conditions, &end, words) {
        let event = Event {
            severity,
            reason,
            message,
            metadata: news.map(|(_, metadata)| metadata).unwrap_or_default(),
        };
        context.events.tell(&current, event, now);
    }
    next
}

fn conditions(object: &Object) -> Vec<Condition> {
    let conditions = object.json["status"]["conditions"].clone();
    serde_json::from_value(conditions).unwrap_or_default()
}

fn failed_write(object: &Object, error: &kube::Error) -> Next {
    let words = told::sentence(error, None);
    tracing::warn!(kind = %object.kind, object = %object.key, error = words, "cannot write an object");
    // A conflict is over as soon as the watch has brought the newer object.
    Next::Retry(match told::class(error) {
        Class::Config | Class::Denied => Class::Denied,
        _ => Class::Transient,
    })
}

impl Context {
    fn api(&self, object: &Object) -> Api<DynamicObject> {
        let (namespace, resource) = (&object.key.namespace, object.kind.resource());
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    async fn patch_status(&self, object: &Object, status: Value) -> Result<(), kube::Error> {
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        // Another object of the same name is none of this one's business.
        let patch = Patch::Merge(json!({"metadata": {"uid": object.uid}, "status": status}));
        let api = self.api(object);
        let written = api
            .patch_status(&object.key.name, &parameters, &patch)
            .await?;
        self.metrics.status_written(object.kind);
        self.take_over(object.kind, written);
        Ok(())
    }

    /// Replaces the finalizers, unless somebody changed the object meanwhile.
    async fn set_finalizers(
        &self,
        object: &Object,
        finalizers: Vec<String>,
    ) -> Result<Option<Arc<Object>>, kube::Error> {
        let patch = Patch::Merge(json!({"metadata": {
            "finalizers": finalizers,
            "resourceVersion": object.resource_version,
        }}));
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api(object);
        let written = api.patch(&object.key.name, &parameters, &patch).await?;
        self.take_over(object.kind, written);
        Ok(self.get(object.kind, &object.key))
    }
}
