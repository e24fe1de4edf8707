//! Objects as an API server holds them, untyped: a field of the wrong type is found by
//! [`crate::config`] in this one object, and never stops a list or a watch of the others.

use std::{collections::BTreeMap, fmt, sync::Arc};

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::ObjectKey;

/// The annotation that asks for a reconciliation now.
pub(super) const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";
/// What `kubectl apply` notes: the whole object once more, which nobody here reads.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What keeps an object until we have let go of it, as in Flux.
pub(super) const FINALIZER: &str = "finalizers.fluxcd.io";

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// `ImageRepository`
    Repository,
    /// `ImagePolicy`
    Policy,
    /// `ImageUpdateAutomation`
    Automation,
    /// `GitRepository`, which is read only.
    Source,
}

impl Kind {
    /// Every kind.
    pub(super) const ALL: [Self; 4] = [
        Self::Repository,
        Self::Policy,
        Self::Automation,
        Self::Source,
    ];
    /// The kinds that are reconciled.
    pub(super) const OURS: [Self; 3] = [Self::Repository, Self::Policy, Self::Automation];

    /// The name of the kind.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Repository => "ImageRepository",
            Self::Policy => "ImagePolicy",
            Self::Automation => "ImageUpdateAutomation",
            Self::Source => "GitRepository",
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::Source => "source.toolkit.fluxcd.io",
            _ => "image.toolkit.fluxcd.io",
        }
    }

    /// Group and version.
    pub(super) fn api_version(self) -> String {
        format!("{}/v1", self.group())
    }

    /// How the kind is addressed.
    pub(super) fn resource(self) -> ApiResource {
        let plural = match self {
            Self::Repository => "imagerepositories",
            Self::Policy => "imagepolicies",
            Self::Automation => "imageupdateautomations",
            Self::Source => "gitrepositories",
        };
        let kind = GroupVersionKind::gvk(self.group(), "v1", self.name());
        ApiResource::from_gvk_with_plural(&kind, plural)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One object at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    /// Its kind.
    pub(super) kind: Kind,
    /// Its name.
    pub(super) key: ObjectKey,
    /// What tells it from an earlier object of the same name.
    pub(super) uid: String,
    /// How often the spec was changed.
    pub(super) generation: i64,
    /// The version that a change is based on.
    pub(super) resource_version: String,
    /// What must be gone before the object is.
    pub(super) finalizers: Vec<String>,
    /// Whether somebody deleted it.
    pub(super) is_deleted: bool,
    /// `apiVersion`, `kind`, `metadata` (name, namespace, labels, annotations), `spec` and `status`.
    pub(super) json: Value,
}

impl Object {
    /// Takes over what a watch or a patch gave; nothing where it has no name.
    pub(super) fn new(kind: Kind, object: DynamicObject) -> Option<Self> {
        let metadata = object.metadata;
        let key = ObjectKey {
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name?,
        };
        let mut data = object.data;
        let mut annotations = metadata.annotations.unwrap_or_default();
        annotations.remove(LAST_APPLIED);
        let json = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.name(),
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "labels": metadata.labels.unwrap_or_default(),
                "annotations": annotations,
            },
            "spec": data["spec"].take(),
            "status": data["status"].take(),
        });
        Some(Self {
            kind,
            key,
            uid: metadata.uid.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            resource_version: metadata.resource_version.unwrap_or_default(),
            finalizers: metadata.finalizers.unwrap_or_default(),
            is_deleted: metadata.deletion_timestamp.is_some(),
            json,
        })
    }

    /// The text at a JSON pointer.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer)?.as_str()
    }

    /// The labels.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        texts(&self.json["metadata"]["labels"])
    }

    /// The annotations.
    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        texts(&self.json["metadata"]["annotations"])
    }

    /// The value of the annotation that asks for a reconciliation.
    pub(super) fn requested_at(&self) -> Option<&str> {
        self.json["metadata"]["annotations"][REQUESTED_AT].as_str()
    }

    /// Whether somebody asked for a reconciliation that was not answered yet.
    pub(super) fn is_requested(&self) -> bool {
        let handled = self.text("/status/lastHandledReconcileAt");
        self.requested_at().is_some_and(|it| Some(it) != handled)
    }

    /// Whether it is to be left alone.
    pub(super) fn is_suspended(&self) -> bool {
        self.json["spec"]["suspend"].as_bool() == Some(true)
    }

    /// The status as it was last written; the default where somebody made nonsense of it, because
    /// it is never decided by.
    pub(super) fn status<S: DeserializeOwned + Default>(&self) -> S {
        serde_json::from_value(self.json["status"].clone()).unwrap_or_default()
    }

    /// The name at `pointer` in the namespace at `/namespace` beside it, or in our own.
    pub(super) fn reference(&self, pointer: &str) -> Option<ObjectKey> {
        let name = self.text(&format!("{pointer}/name"))?;
        let namespace = self.text(&format!("{pointer}/namespace"));
        let namespace = namespace.filter(|it| !it.is_empty());
        Some(ObjectKey {
            namespace: namespace.unwrap_or(&self.key.namespace).to_owned(),
            name: name.to_owned(),
        })
    }
}

/// An object as it is kept: printed, in a fifth of the room that its fields take one by one.
#[derive(Debug)]
pub(super) struct Packed {
    /// All but the fields.
    bare: Object,
    json: Box<str>,
}

impl Packed {
    /// Packs an object.
    pub(super) fn new(mut object: Object) -> Self {
        let json = object.json.take().to_string().into_boxed_str();
        Self { bare: object, json }
    }

    /// The object, as it was packed.
    pub(super) fn open(&self) -> Arc<Object> {
        let json = serde_json::from_str(&self.json);
        Arc::new(Object {
            json: json.expect("it was printed from what was read, and no deeper"),
            ..self.bare.clone()
        })
    }
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let fields = value.as_object().into_iter().flatten();
    let texts = fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    texts.collect()
}
