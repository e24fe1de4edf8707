//! The watches that keep the world current.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use kube::{
    Api,
    core::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};

use super::{
    Context,
    object::{Kind, Object},
    told,
};

/// How long to wait for a kind that nobody has defined.
const UNTIL_DEFINED: Duration = Duration::from_secs(30);

/// Watches one kind for ever; the stream lists again by itself after every trouble.
pub(super) async fn watch(context: Arc<Context>, kind: Kind) {
    let resource = kind.resource();
    let client = context.client.clone();
    let api = match &context.options.namespace {
        Some(namespace) => Api::<DynamicObject>::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    // Page by page from the database: a whole list at once, as the server's cache would give it, takes
    // many times the room that is kept of it, and may be older than what was seen before.
    let events = watcher::watcher(api, watcher::Config::default());
    let events = events.default_backoff();
    tokio::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => take(&context, kind, event),
            Err(error) => {
                let is_undefined = is_undefined(&error);
                let words = told::sentence(&error, None);
                if is_undefined && kind == Kind::Source {
                    // Without Flux there are no GitRepository objects, and that is fine.
                    tracing::debug!(%kind, "the kind is not defined");
                    tokio::time::sleep(UNTIL_DEFINED).await;
                } else {
                    tracing::warn!(%kind, error = words, "cannot watch");
                }
            }
        }
    }
}

fn take(context: &Context, kind: Kind, event: Event<DynamicObject>) {
    let triggers = match event {
        Event::Init => {
            context.world().begin_list(kind);
            return;
        }
        Event::InitDone => {
            let triggers = context.world().end_list(kind);
            tracing::debug!(%kind, objects = context.world().count(kind), "listed");
            triggers
        }
        Event::Apply(object) | Event::InitApply(object) => {
            let Some(object) = Object::new(kind, object) else {
                return;
            };
            context.world().apply(object)
        }
        Event::Delete(object) => match Object::new(kind, object) {
            Some(object) => {
                let triggers = context.world().remove(kind, &object.key);
                context.forget(kind, &object.key);
                triggers
            }
            None => return,
        },
    };
    context.wake(triggers);
}

fn is_undefined(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}
