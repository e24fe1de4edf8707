//! The loops that take objects from the queues, each behind a fence that a panic does not cross.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::watch::Receiver,
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    Context, GRACE, mend,
    object::Kind,
    queue::pause,
    reconcile::{self, Next},
    watch,
};
use crate::{config::ObjectKey, error::Class};

/// How often a loop shows that it is alive when there is nothing to do.
const BEAT: Duration = Duration::from_secs(2);

/// Watches and works until `stopped`; what was begun is ended, or abandoned after a while.
pub(super) async fn run(context: Arc<Context>, stopped: Receiver<bool>) {
    let mut watches = JoinSet::new();
    for kind in Kind::ALL {
        watches.spawn(watch::watch(Arc::clone(&context), kind));
    }
    watches.spawn(mend::look(Arc::clone(&context)));
    let mut loops = JoinSet::new();
    for kind in Kind::OURS {
        loops.spawn(work(Arc::clone(&context), kind, stopped.clone()));
    }
    while loops.join_next().await.is_some() {}
    watches.abort_all();
}

/// Works on the objects of one kind.
async fn work(context: Arc<Context>, kind: Kind, mut stopped: Receiver<bool>) {
    let Some(line) = context.queues.get(&kind) else {
        return;
    };
    let mut tasks = JoinSet::new();
    let mut keys = HashMap::<Id, ObjectKey>::new();
    while !*stopped.borrow() {
        context.health.beat(kind);
        let due = || line.lock().pop(Instant::now().into_std());
        while let Some(key) = due() {
            let (context, own) = (Arc::clone(&context), key.clone());
            let task = async move { reconcile::reconcile(&context, kind, &own).await };
            let task = tasks.spawn(task);
            keys.insert(task.id(), key);
        }
        let now = Instant::now();
        let beat = now + BEAT;
        // What is due already and was not taken waits for something to end, not for a time.
        let next = line.lock().next().map(Instant::from_std);
        let until = next
            .filter(|next| *next > now)
            .map_or(beat, |next| next.min(beat));
        tokio::select! {
            Some(ended) = tasks.join_next_with_id() => {
                finish(&context, kind, &mut keys, ended);
            }
            () = sleep_until(until) => {}
            () = line.bell.notified() => {}
            _ = stopped.changed() => {}
        }
    }
    // A push that is cut off here is a push that the server did or did not take: both are fine.
    let rest = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, rest).await.is_err() {
        tracing::warn!(%kind, "abandoned what was still at work");
    }
}

/// Puts an object back where it belongs.
fn finish(
    context: &Context,
    kind: Kind,
    keys: &mut HashMap<Id, ObjectKey>,
    ended: Result<(Id, Next), JoinError>,
) {
    let (id, next) = match ended {
        Ok(ended) => ended,
        Err(error) => {
            // The hook has printed where; the object is quarantined, and everything else goes on.
            context.metrics.panicked(kind);
            tracing::error!(%kind, object = ?keys.get(&error.id()).map(ToString::to_string),
                "a reconciliation panicked; the object is set aside for a while");
            (error.id(), Next::Retry(Class::Bug))
        }
    };
    let (Some(key), Some(line)) = (keys.remove(&id), context.queues.get(&kind)) else {
        return;
    };
    let trigger = (kind, key.clone());
    match next {
        Next::Retry(Class::Denied) => context.memory().denied.insert(trigger),
        _ => context.memory().denied.remove(&trigger),
    }
    let mut queue = line.lock();
    let now = Instant::now().into_std();
    let at = match next {
        Next::After(wait) => {
            queue.succeeded(&key);
            Some(now + wait)
        }
        Next::Never => {
            queue.succeeded(&key);
            None
        }
        Next::Retry(class) => {
            let failures = queue.failed(&key);
            Some(now + pause(class, failures, context.pauses(), fastrand::f64()))
        }
    };
    queue.done(&key, at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{CrossNamespace, Identity, Options, event::Events, metrics::Metrics};

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            namespace: "apps".to_owned(),
            name: name.to_owned(),
        }
    }

    /// A context whose API server nobody has to ask.
    fn context() -> Arc<Context> {
        let client = kube::Client::new(axum::Router::new(), "apps");
        let metrics = Arc::new(Metrics::default());
        let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options {
            namespace: None,
            shard: crate::crd::LabelSelector::default(),
            cross_namespace: CrossNamespace::Refuse,
            identity: Identity::Nobody,
            concurrent: 4,
            min_retry_delay: Duration::from_millis(750),
            max_retry_delay: Duration::from_mins(15),
            requeue_dependency: Duration::from_secs(30),
            events_address: None,
            metrics_address: loopback,
            health_address: loopback,
            cache: std::path::PathBuf::new(),
            instance: "test".to_owned(),
            election: None,
        };
        let (events, _) = Events::start(
            client.clone(),
            None,
            options.instance.clone(),
            Arc::clone(&metrics),
        );
        Arc::new(Context::new(client, options, events, metrics))
    }

    /// K03: it is set aside for longer and longer, and its neighbour is not.
    #[tokio::test]
    async fn an_object_that_panics_is_set_aside_and_nothing_else_is() {
        let context = context();
        let line = context.queues.get(&Kind::Policy).expect("it is ours");
        let mut now = Instant::now().into_std();
        let (mut tasks, mut keys) = (JoinSet::new(), HashMap::new());
        let mut pauses = Vec::new();
        for _ in 0..3 {
            line.lock().push(key("bomb"), now);
            line.lock().push(key("web"), now);
            while let Some(key) = line.lock().pop(now) {
                let is_bomb = key.name == "bomb";
                let task = tasks.spawn(async move {
                    assert!(!is_bomb, "what an object must not be able to do");
                    Next::Never
                });
                keys.insert(task.id(), key);
            }
            while let Some(ended) = tasks.join_next_with_id().await {
                finish(&context, Kind::Policy, &mut keys, ended);
            }
            let next = line.lock().next().expect("the bomb is tried again");
            assert_eq!(line.lock().at_work(), 0);
            pauses.push(next.duration_since(Instant::now().into_std()));
            now = next + Duration::from_millis(1);
            assert_eq!(line.lock().backlog(now), 1, "the neighbour is content");
        }
        assert!(
            pauses.iter().all(|it| *it >= Duration::from_secs(14)),
            "{pauses:?}"
        );
        assert!(pauses.is_sorted(), "{pauses:?}");
        let panics = context.metrics.text(&[]);
        assert!(
            panics.contains(r#"tagwright_panics_total{kind="ImagePolicy"} 3"#),
            "{panics}"
        );
    }
}
