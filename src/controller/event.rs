//! Events: to Kubernetes, and to the address of a notification-controller.
//!
//! The same words about the same object are told once and then counted: a failure that repeats for
//! hours is a handful of writes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::Event as CoreEvent;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};
use url::Url;

use super::{
    condition::Severity,
    metrics::Metrics,
    object::Object,
    told::{self, sentence},
};
use crate::egress::{Call, Egress, PlainHttp, Route};

/// How long the same words about the same object are only counted.
const REPEAT_EVERY: Duration = Duration::from_mins(10);
/// How many different words are remembered; beyond that everything is new again.
const MAX_REMEMBERED: usize = 10_000;
/// How many events may wait to be told.
const MAX_WAITING: usize = 256;
/// How often a notification is tried.
const ATTEMPTS: u32 = 3;
/// How long one attempt may take, as in Flux.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a message Kubernetes keeps.
const MAX_MESSAGE: usize = 1024;
/// What events say they come from.
const REPORTER: &str = "tagwright";
/// The annotations of an object that its events carry along.
const CARRIED: &str = "event.toolkit.fluxcd.io/";

/// Something worth telling.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) severity: Severity,
    pub(super) reason: String,
    pub(super) message: String,
    /// What a machine may want to know: revision and commit.
    pub(super) metadata: BTreeMap<String, String>,
}

/// The way to whoever listens.
#[derive(Clone)]
pub(super) struct Events {
    sender: mpsc::Sender<(Arc<Object>, Event, DateTime<Utc>)>,
    metrics: Arc<Metrics>,
}

impl Events {
    /// Starts to tell; the task ends when the last sender is dropped.
    pub(super) fn start(
        client: Client,
        address: Option<Url>,
        instance: String,
        metrics: Arc<Metrics>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let teller = Teller {
            client,
            address,
            instance,
            egress: Egress::new(),
            memory: Memory::default(),
        };
        let task = tokio::spawn(teller.tell_all(receiver));
        (Self { sender, metrics }, task)
    }

    /// Tells an event, without waiting for anybody: a listener that is gone must not hold up work.
    pub(super) fn tell(&self, object: &Arc<Object>, event: Event, now: DateTime<Utc>) {
        match event.severity {
            Severity::Info => tracing::info!(
                kind = %object.kind, object = %object.key, reason = event.reason,
                message = event.message, "event"
            ),
            Severity::Error => tracing::warn!(
                kind = %object.kind, object = %object.key, reason = event.reason,
                message = event.message, "event"
            ),
        }
        if self
            .sender
            .try_send((Arc::clone(object), event, now))
            .is_err()
        {
            self.metrics.event_dropped();
        }
    }
}

struct Teller {
    client: Client,
    address: Option<Url>,
    instance: String,
    egress: Egress,
    memory: Memory,
}

impl Teller {
    async fn tell_all(mut self, mut receiver: mpsc::Receiver<(Arc<Object>, Event, DateTime<Utc>)>) {
        while let Some((object, event, now)) = receiver.recv().await {
            let words = format!("{} {} {}", object.uid, event.reason, event.message);
            match self.memory.hear(words, &object.key.name, Instant::now()) {
                Heard::First { name } => {
                    self.create(&name, &object, &event, now).await;
                    self.notify(&object, &event, now).await;
                }
                Heard::Again { name, count } => {
                    self.count(&name, count, &object, now).await;
                    self.notify(&object, &event, now).await;
                }
                Heard::Repeated => {}
            }
        }
    }

    async fn create(&self, name: &str, object: &Object, event: &Event, now: DateTime<Utc>) {
        let body = core_event(name, object, event, &self.instance, now);
        let body = match serde_json::from_value::<CoreEvent>(body) {
            Ok(body) => body,
            Err(error) => {
                tracing::debug!(%error, "an event cannot be written");
                return;
            }
        };
        let api = Api::<CoreEvent>::namespaced(self.client.clone(), &object.key.namespace);
        if let Err(error) = api.create(&PostParams::default(), &body).await {
            tracing::debug!(object = %object.key, %error, "cannot create an event");
        }
    }

    async fn count(&self, name: &str, count: u64, object: &Object, now: DateTime<Utc>) {
        let api = Api::<CoreEvent>::namespaced(self.client.clone(), &object.key.namespace);
        let patch = Patch::Merge(json!({"count": count, "lastTimestamp": told::time(now)}));
        // The first one may have been swept away meanwhile; the next new words are told again.
        if let Err(error) = api.patch(name, &PatchParams::default(), &patch).await {
            tracing::debug!(object = %object.key, %error, "cannot count an event");
        }
    }

    async fn notify(&self, object: &Object, event: &Event, now: DateTime<Utc>) {
        let Some(address) = &self.address else { return };
        let body = notification(object, event, &self.instance, now).to_string();
        let route = Route {
            plain_http: PlainHttp::Allow,
            ..Route::default()
        };
        for attempt in 1..=ATTEMPTS {
            let call = Call {
                method: Method::POST,
                url: address.clone(),
                headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
                credential: None,
                body: body.clone().into(),
                deadline: Instant::now() + NOTIFY_TIMEOUT,
            };
            match self.egress.send(&route, call).await {
                // 429 means that the receiver has heard it already.
                Ok(answer) if answer.status.is_server_error() => {
                    tracing::debug!(status = %answer.status, attempt, "a notification was refused");
                }
                Ok(_) => return,
                Err(error) => {
                    let error = sentence(&error, None);
                    tracing::debug!(error, attempt, "cannot send a notification");
                }
            }
            tokio::time::sleep(Duration::from_millis(200) * attempt).await;
        }
    }
}

/// An event as Kubernetes keeps it.
fn core_event(
    name: &str,
    object: &Object,
    event: &Event,
    instance: &str,
    now: DateTime<Utc>,
) -> Value {
    let kind = match event.severity {
        Severity::Info => "Normal",
        Severity::Error => "Warning",
    };
    let end = event
        .message
        .char_indices()
        .map(|(at, _)| at)
        .nth(MAX_MESSAGE);
    let message = &event.message[..end.unwrap_or(event.message.len())];
    let now = told::time(now);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": name,
            "namespace": object.key.namespace,
            "annotations": metadata(object, event),
        },
        "involvedObject": involved(object),
        "type": kind,
        "reason": event.reason,
        "message": message,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "source": {"component": REPORTER},
        "reportingComponent": REPORTER,
        "reportingInstance": instance,
    })
}

/// An event as a notification-controller takes it.
fn notification(object: &Object, event: &Event, instance: &str, now: DateTime<Utc>) -> Value {
    let severity = match event.severity {
        Severity::Info => "info",
        Severity::Error => "error",
    };
    json!({
        "involvedObject": involved(object),
        "severity": severity,
        "timestamp": told::time(now),
        "message": event.message,
        "reason": event.reason,
        "metadata": metadata(object, event),
        "reportingController": REPORTER,
        "reportingInstance": instance,
    })
}

fn involved(object: &Object) -> Value {
    json!({
        "apiVersion": object.kind.api_version(),
        "kind": object.kind.name(),
        "namespace": object.key.namespace,
        "name": object.key.name,
        "uid": object.uid,
        "resourceVersion": object.resource_version,
    })
}

fn metadata(object: &Object, event: &Event) -> BTreeMap<String, String> {
    let annotations = object.annotations().into_iter();
    let carried = annotations.filter(|(key, _)| key.starts_with(CARRIED));
    carried.chain(event.metadata.clone()).collect()
}

/// What was told before.
#[derive(Default)]
struct Memory {
    told: HashMap<String, Told>,
    names: u64,
}

struct Told {
    name: String,
    count: u64,
    written: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    First { name: String },
    Again { name: String, count: u64 },
    Repeated,
}

impl Memory {
    fn hear(&mut self, words: String, object: &str, now: Instant) -> Heard {
        if let Some(told) = self.told.get_mut(&words) {
            told.count += 1;
            if now.duration_since(told.written) < REPEAT_EVERY {
                return Heard::Repeated;
            }
            told.written = now;
            let (name, count) = (told.name.clone(), told.count);
            return Heard::Again { name, count };
        }
        if self.told.len() >= MAX_REMEMBERED {
            self.told.clear();
        }
        self.names += 1;
        let mut stem = object.to_owned();
        stem.truncate(200);
        let name = format!("{stem}.{:x}{:x}", fastrand::u64(..), self.names);
        let told = Told {
            name: name.clone(),
            count: 1,
            written: now,
        };
        self.told.insert(words, told);
        Heard::First { name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::object::Kind;

    /// K18.
    #[test]
    fn the_same_failure_ten_thousand_times_is_a_handful_of_writes() {
        let mut memory = Memory::default();
        let start = Instant::now();
        let mut writes = 0;
        let mut last = 0;
        for second in (0..3600).flat_map(|second| [second; 3]) {
            let now = start + Duration::from_secs(second);
            match memory.hear("u Failure no".to_owned(), "web", now) {
                Heard::First { .. } => writes += 1,
                Heard::Again { count, .. } => {
                    assert!(count > last, "the counter increases");
                    (writes, last) = (writes + 1, count);
                }
                Heard::Repeated => {}
            }
        }
        assert!(writes <= 6, "{writes}");
    }

    #[test]
    fn other_words_are_told_at_once() {
        let mut memory = Memory::default();
        let now = Instant::now();
        for words in ["u Succeeded a", "u Succeeded b", "v Succeeded a"] {
            let heard = memory.hear(words.to_owned(), "web", now);
            assert!(matches!(heard, Heard::First { .. }), "{words}");
        }
    }

    #[test]
    fn a_notification_has_the_shape_that_flux_sends() {
        let object = serde_json::from_value(json!({"metadata": {
            "name": "fleet", "namespace": "apps", "uid": "u", "resourceVersion": "7",
            "annotations": {"event.toolkit.fluxcd.io/team": "web", "other": "x"}}}))
        .expect("an object");
        let object = Object::new(Kind::Automation, object).expect("with a name");
        let event = Event {
            severity: Severity::Info,
            reason: "Succeeded".to_owned(),
            message: "pushed commit '0123456' to branch 'main'".to_owned(),
            metadata: BTreeMap::from([("image.toolkit.fluxcd.io/commit".into(), "0123".into())]),
        };
        let found = notification(&object, &event, "pod-1", DateTime::UNIX_EPOCH);
        let expected = json!({
            "involvedObject": {
                "apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageUpdateAutomation",
                "namespace": "apps", "name": "fleet", "uid": "u", "resourceVersion": "7"},
            "severity": "info",
            "timestamp": "1970-01-01T00:00:00Z",
            "message": "pushed commit '0123456' to branch 'main'",
            "reason": "Succeeded",
            "metadata": {"event.toolkit.fluxcd.io/team": "web",
                "image.toolkit.fluxcd.io/commit": "0123"},
            "reportingController": "tagwright",
            "reportingInstance": "pod-1",
        });
        assert_eq!(found, expected);
    }
}
