//! Objects as an API server takes them, and waiting for what becomes of them.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < PATIENCE, "not yet: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn condition(object: &Value, kind: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions
        .into_iter()
        .flatten()
        .find(|it| it["type"] == kind);
    found.cloned().unwrap_or_default()
}

/// Puts the fields of `from` into a document.
pub(crate) fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Takes the rules out of a definition that a server of this age does not know.
pub(crate) fn without_cel(definition: &mut Value) {
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let spec = definition.pointer_mut(spec).and_then(Value::as_object_mut);
    spec.expect("every kind has a spec")
        .remove("x-kubernetes-validations");
}

/// Lets a definition take anything at all as a spec.
pub(crate) fn open_schema(definition: &mut Value) {
    let pointer = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let spec = definition.pointer_mut(pointer);
    *spec.expect("every kind has a spec") = json!({"x-kubernetes-preserve-unknown-fields": true});
    let required = "/spec/versions/0/schema/openAPIV3Schema";
    let schema = definition
        .pointer_mut(required)
        .and_then(Value::as_object_mut);
    schema.expect("a schema is an object").remove("required");
}

/// Applies an object on the server's side, whatever its kind.
pub(crate) async fn apply(client: &Client, object: Value) {
    apply_with(client, object, &PatchParams::apply("tests").force()).await;
}

/// Lets the server say whether it would take an object, and what it would keep of it.
pub(crate) async fn dry_run(client: &Client, object: Value) -> Value {
    let parameters = PatchParams::apply("tests").force().dry_run();
    apply_with(client, object, &parameters).await
}

async fn apply_with(client: &Client, object: Value, parameters: &PatchParams) -> Value {
    let kind = object["kind"].as_str().expect("a kind").to_owned();
    let version = object["apiVersion"].as_str().expect("a version").to_owned();
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let resource = resource(group, version, &kind);
    let name = object["metadata"]["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    let api = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => {
            Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource)
        }
        None => Api::all_with(client.clone(), &resource),
    };
    let mut kept = Value::Null;
    // A kind that was defined a moment ago takes a moment to be served.
    until(&format!("{kind} {name} is applied"), async || {
        let applied = api.patch(&name, parameters, &Patch::Apply(&object)).await;
        match applied {
            Ok(object) => kept = serde_json::to_value(object).expect("it is JSON"),
            Err(kube::Error::Api(status)) if status.code == 404 => return false,
            Err(error) => panic!("{kind} {name}: {error}"),
        }
        true
    })
    .await;
    kept
}

pub(crate) fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    let plural = match kind {
        "ImageRepository" => "imagerepositories".to_owned(),
        "ImagePolicy" => "imagepolicies".to_owned(),
        "GitRepository" => "gitrepositories".to_owned(),
        "NetworkPolicy" => "networkpolicies".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    };
    let kind = GroupVersionKind::gvk(group, version, kind);
    ApiResource::from_gvk_with_plural(&kind, &plural)
}

/// The objects of a file of `deploy/base`.
pub(crate) fn deployed(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy/base")
        .join(file);
    documents(&fs::read_to_string(path).expect("it is deployed"))
}

/// The documents of a YAML file.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let documents = yaml_rust2::YamlLoader::load_from_str(text).expect("it is YAML");
    documents.iter().map(to_json).collect()
}

fn to_json(yaml: &yaml_rust2::Yaml) -> Value {
    use yaml_rust2::Yaml;
    match yaml {
        Yaml::String(text) => text.as_str().into(),
        Yaml::Integer(number) => (*number).into(),
        Yaml::Boolean(flag) => (*flag).into(),
        Yaml::Array(items) => items.iter().map(to_json).collect(),
        Yaml::Hash(fields) => {
            let fields = fields.iter().map(|(key, value)| {
                let key = key.as_str().expect("keys are texts");
                (key.to_owned(), to_json(value))
            });
            Value::Object(fields.collect())
        }
        _ => Value::Null,
    }
}

/// Flux's kind, as far as a server has to know it.
pub(crate) fn git_repository_definition() -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gitrepositories.source.toolkit.fluxcd.io"},
        "spec": {
            "group": "source.toolkit.fluxcd.io", "scope": "Namespaced",
            "names": {"kind": "GitRepository", "listKind": "GitRepositoryList",
                "plural": "gitrepositories", "singular": "gitrepository"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object",
                    "properties": {"spec": open, "status": open}}}}],
        },
    })
}
