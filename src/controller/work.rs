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
