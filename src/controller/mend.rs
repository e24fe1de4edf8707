//! Secrets that an object failed with. Nobody watches Secrets here, so those few are looked at every
//! few seconds, by name and without their contents, until one of them changes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::{
    Context,
    object::{Kind, Object},
    world::Trigger,
};
use crate::config::ObjectKey;

/// The time between two looks.
const PERIOD: Duration = Duration::from_secs(5);
/// How many objects are looked after; the others have their pauses.
const MAX_OBJECTS: usize = 100;

/// The objects that failed with their Secrets, and the versions of those that were seen.
#[derive(Debug, Default)]
pub(super) struct Denied {
    seen: HashMap<Trigger, Option<Versions>>,
}

/// The version of each Secret; nothing for one that does not exist.
type Versions = Vec<Option<String>>;

impl Denied {
    /// An object was refused.
    pub(super) fn insert(&mut self, object: Trigger) {
        if self.seen.len() < MAX_OBJECTS {
            self.seen.entry(object).or_insert(None);
        }
    }

    /// An object is well, or gone.
    pub(super) fn remove(&mut self, object: &Trigger) {
        self.seen.remove(object);
    }

    /// Notes what was seen, and says whether it is something new.
    fn note(&mut self, object: &Trigger, versions: Versions) -> bool {
        let Some(seen) = self.seen.get_mut(object) else {
            return false;
        };
        let is_news = seen.as_ref().is_some_and(|before| *before != versions);
        *seen = Some(versions);
        is_news
    }
}

/// Looks after them for ever.
pub(super) async fn look(context: Arc<Context>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let denied = context
            .memory()
            .denied
            .seen
            .keys()
            .cloned()
            .collect::<Vec<_>>();
        for trigger in denied {
            let Some(versions) = versions(&context, &trigger).await else {
                continue;
            };
            if context.memory().denied.note(&trigger, versions) {
                tracing::debug!(kind = %trigger.0, object = %trigger.1, "a Secret has changed");
                context.wake([trigger]);
            }
        }
    }
}

/// The versions of an object's Secrets; nothing where they could not all be asked for.
async fn versions(context: &Context, (kind, key): &Trigger) -> Option<Versions> {
    let object = context.get(*kind, key)?;
    let mut versions = Versions::new();
    for secret in secrets(context, &object) {
        let api = Api::<Secret>::namespaced(context.client.clone(), &secret.namespace);
        let found = api.get_metadata_opt(&secret.name).await.ok()?;
        versions.push(found.and_then(|it| it.metadata.resource_version));
    }
    Some(versions)
}

fn secrets(context: &Context, object: &Object) -> Vec<ObjectKey> {
    let source = object.reference("/spec/sourceRef");
    let source = source.and_then(|key| context.get(Kind::Source, &key));
    let of = |object: &Object, fields: &[&str]| {
        let names = fields
            .iter()
            .filter_map(|field| object.text(&format!("/spec/{field}/name")));
        let keys = names.map(|name| ObjectKey {
            namespace: object.key.namespace.clone(),
            name: name.to_owned(),
        });
        keys.collect::<Vec<_>>()
    };
    match object.kind {
        Kind::Repository => of(object, &["secretRef", "certSecretRef", "proxySecretRef"]),
        Kind::Automation => {
            let fields = [
                "git/secretRef",
                "git/proxySecretRef",
                "git/push/pullRequest/secretRef",
            ];
            let mut own = of(object, &fields);
            if let Some(source) = source {
                own.extend(of(&source, &["secretRef", "proxySecretRef"]));
            }
            own
        }
        Kind::Policy | Kind::Source => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_news() {
        let object = || {
            let key = ObjectKey {
                namespace: "apps".to_owned(),
                name: "web".to_owned(),
            };
            (Kind::Repository, key)
        };
        let mut denied = Denied::default();
        let version = |text: &str| vec![Some(text.to_owned())];
        assert!(!denied.note(&object(), version("1")), "it is well");
        denied.insert(object());
        assert!(!denied.note(&object(), vec![None]));
        assert!(denied.note(&object(), version("1")), "it was created");
        assert!(!denied.note(&object(), version("1")));
        assert!(denied.note(&object(), version("2")), "it was changed");
        denied.remove(&object());
        assert!(!denied.note(&object(), version("3")));
    }
}
