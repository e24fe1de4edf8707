//! The three image kinds as `CustomResourceDefinition`s.
//!
//! The schemas are derived from the wire kinds, so what the API server accepts and what
//! [`crate::config`] reads cannot drift apart. What a schema cannot say (defaults, rules in CEL,
//! columns) stands in the tables here, as Flux has it.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    ImagePolicySpec, ImagePolicyStatus, ImageRepositorySpec, ImageRepositoryStatus,
    ImageUpdateAutomationSpec, ImageUpdateAutomationStatus,
};

const GROUP: &str = "image.toolkit.fluxcd.io";
const READY: [Column; 2] = [
    Column::new("Ready", r#".status.conditions[?(@.type=="Ready")].status"#),
    Column::new(
        "Status",
        r#".status.conditions[?(@.type=="Ready")].message"#,
    ),
];
const AGE: Column = Column {
    kind: "date",
    ..Column::new("Age", ".metadata.creationTimestamp")
};

/// A column of `kubectl get`.
#[derive(Clone, Copy)]
struct Column {
    name: &'static str,
    path: &'static str,
    kind: &'static str,
    priority: u8,
}

impl Column {
    const fn new(name: &'static str, path: &'static str) -> Self {
        Self {
            name,
            path,
            kind: "string",
            priority: 0,
        }
    }

    const fn wide(self) -> Self {
        Self {
            priority: 1,
            ..self
        }
    }

    fn to_json(self) -> Value {
        let mut column = json!({"jsonPath": self.path, "name": self.name, "type": self.kind});
        if self.priority > 0 {
            column["priority"] = self.priority.into();
        }
        column
    }
}

/// What tells one kind from another.
struct Kind {
    name: &'static str,
    plural: &'static str,
    singular: &'static str,
    short_names: &'static [&'static str],
    columns: Vec<Column>,
    spec: Value,
    status: Value,
    /// Values that the server fills in, by the pointer to the property in the spec.
    defaults: Vec<(&'static str, Value)>,
}

/// The definitions, in the order in which they are applied.
pub fn definitions() -> Vec<Value> {
    [repository(), policy(), automation()]
        .into_iter()
        .map(definition)
        .collect()
}

fn repository() -> Kind {
    Kind {
        name: "ImageRepository",
        plural: "imagerepositories",
        singular: "imagerepository",
        short_names: &["imgrepo", "imagerepo"],
        columns: vec![
            Column::new("Image", ".spec.image"),
            Column::new("Tags", ".status.lastScanResult.tagCount"),
            READY[0],
            READY[1],
            Column::new("Last scan", ".status.lastScanResult.scanTime").wide(),
            AGE,
        ],
        spec: schema_of::<ImageRepositorySpec>(),
        status: schema_of::<ImageRepositoryStatus>(),
        defaults: vec![
            ("/exclusionList", json!([r"^.*\.sig$"])),
            ("/provider", json!("generic")),
        ],
    }
}

fn policy() -> Kind {
    let mut spec = schema_of::<ImagePolicySpec>();
    let rule = |rule: &str, message: &str| json!({"rule": rule, "message": message});
    spec["x-kubernetes-validations"] = json!([
        rule(
            "!has(self.interval) || (has(self.digestReflectionPolicy) && self.digestReflectionPolicy == 'Always')",
            "spec.interval is only accepted when spec.digestReflectionPolicy is set to 'Always'",
        ),
        rule(
            "has(self.interval) || !has(self.digestReflectionPolicy) || self.digestReflectionPolicy != 'Always'",
            "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'",
        ),
    ]);
    Kind {
        name: "ImagePolicy",
        plural: "imagepolicies",
        singular: "imagepolicy",
        short_names: &["imgpol", "imagepol"],
        columns: vec![
            Column::new("Image", ".status.latestRef.name"),
            Column::new("Tag", ".status.latestRef.tag"),
            READY[0],
            READY[1],
            AGE,
        ],
        spec,
        status: schema_of::<ImagePolicyStatus>(),
        defaults: vec![
            ("/digestReflectionPolicy", json!("Never")),
            ("/policy/alphabetical/order", json!("asc")),
            ("/policy/numerical/order", json!("asc")),
        ],
    }
}

fn automation() -> Kind {
    Kind {
        name: "ImageUpdateAutomation",
        plural: "imageupdateautomations",
        singular: "imageupdateautomation",
        short_names: &["iua", "imgupd", "imgauto"],
        columns: vec![
            READY[0],
            READY[1],
            Column::new("Last run", ".status.lastAutomationRunTime").wide(),
            AGE,
        ],
        spec: schema_of::<ImageUpdateAutomationSpec>(),
        status: schema_of::<ImageUpdateAutomationStatus>(),
        defaults: vec![
            ("/sourceRef/kind", json!("GitRepository")),
            ("/update", json!({"strategy": "Setters"})),
            ("/update/strategy", json!("Setters")),
        ],
    }
}

fn definition(mut kind: Kind) -> Value {
    for (pointer, default) in &kind.defaults {
        let pointer = pointer.replace('/', "/properties/");
        let property = kind.spec.pointer_mut(&pointer);
        let property =
            property.expect("the defaults name properties of the spec: a test walks them");
        property["default"] = default.clone();
    }
    kind.status["default"] = json!({"observedGeneration": -1});
    let mut metadata = json!({
        "labels": {"app.kubernetes.io/part-of": "tagwright"},
        "name": format!("{}.{GROUP}", kind.plural),
    });
    if kind.name == "ImageUpdateAutomation" {
        // A message template may hold `${…}`, which is not for Flux's kustomize-controller.
        metadata["annotations"] = json!({"kustomize.toolkit.fluxcd.io/substitute": "disabled"});
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": GROUP,
            "names": {
                "categories": ["all", "fluxcd", "fluxcd-images"],
                "kind": kind.name,
                "listKind": format!("{}List", kind.name),
                "plural": kind.plural,
                "shortNames": kind.short_names,
                "singular": kind.singular,
            },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "additionalPrinterColumns":
                    kind.columns.iter().map(|it| it.to_json()).collect::<Vec<_>>(),
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "description": format!("`{}` of Flux, with tagwright's fields beside it.", kind.name),
                    "type": "object",
                    "properties": {
                        "apiVersion": {"type": "string"},
                        "kind": {"type": "string"},
                        "metadata": {"type": "object"},
                        "spec": kind.spec,
                        "status": kind.status,
                    },
                }},
            }],
        },
    })
}

/// The schema of a wire type in the form that an API server takes.
fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    structural(schema.to_value())
}

/// Rewrites a JSON schema as a structural one: every node has one type, nothing is null, nothing is
/// forbidden by name (the server prunes what it does not know).
fn structural(node: Value) -> Value {
    let Value::Object(fields) = node else {
        return json!({"x-kubernetes-preserve-unknown-fields": true});
    };
    let fields = unwrapped(fields);
    let mut structural = Map::new();
    for (key, value) in fields {
        match key.as_str() {
            // Defaults are those of Flux, from the tables above.
            "$schema" | "title" | "default" => {}
            "format" if !matches!(value.as_str(), Some("int32" | "int64")) => {}
            "const" => {
                structural.insert("enum".to_owned(), json!([value]));
            }
            "description" => {
                let text = value.as_str().unwrap_or_default();
                let text = text.replace("[`", "`").replace("`]", "`");
                structural.insert(key, text.into());
            }
            "type" => {
                structural.insert(key, one_type(value));
            }
            "additionalProperties" if value == Value::Bool(false) => {}
            "additionalProperties" | "items" => {
                structural.insert(key, self::structural(value));
            }
            "properties" => {
                let Value::Object(properties) = value else {
                    continue;
                };
                let properties = properties
                    .into_iter()
                    .map(|(name, property)| (name, self::structural(property)));
                structural.insert(key, Value::Object(properties.collect()));
            }
            _ => {
                structural.insert(key, value);
            }
        }
    }
    if !structural.contains_key("type") {
        structural.insert(
            "x-kubernetes-preserve-unknown-fields".to_owned(),
            true.into(),
        );
    }
    Value::Object(structural)
}

/// The fields of a node with "this or null" replaced by this, and "one of these words" by an enum.
fn unwrapped(mut fields: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Array(choices)) = fields.shift_remove("anyOf") {
        let chosen = choices.into_iter().find(|it| it["type"] != "null");
        if let Some(Value::Object(chosen)) = chosen {
            for (key, value) in unwrapped(chosen) {
                fields.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Value::Array(words)) = fields.shift_remove("oneOf") {
        let words = words.into_iter().map(|mut word| word["const"].take());
        fields.insert("enum".to_owned(), words.collect());
        fields.insert("type".to_owned(), "string".into());
    }
    fields
}

fn one_type(value: Value) -> Value {
    match value {
        Value::Array(types) => types
            .into_iter()
            .find(|it| it != "null")
            .unwrap_or_else(|| "object".into()),
        one => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: &str) -> Value {
        let found = definitions()
            .into_iter()
            .find(|it| it["spec"]["names"]["kind"] == kind);
        found.expect("the kind is defined")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            ["properties"]["spec"]
            .clone()
    }

    #[test]
    fn defaults_are_those_that_flux_exports_and_no_others() {
        fn collect(node: &Value, path: &str, found: &mut Vec<String>) {
            if let Some(default) = node.get("default") {
                found.push(format!("{path} = {default}"));
            }
            for (name, property) in node["properties"].as_object().into_iter().flatten() {
                collect(property, &format!("{path}/{name}"), found);
            }
        }
        let check = |kind: &str, expected: &[&str]| {
            let mut found = Vec::new();
            collect(&spec(kind), "", &mut found);
            found.sort();
            assert_eq!(found, expected, "{kind}");
        };
        check(
            "ImageRepository",
            &[
                r#"/exclusionList = ["^.*\\.sig$"]"#,
                r#"/provider = "generic""#,
            ],
        );
        check(
            "ImagePolicy",
            &[
                r#"/digestReflectionPolicy = "Never""#,
                r#"/policy/alphabetical/order = "asc""#,
                r#"/policy/numerical/order = "asc""#,
            ],
        );
        check(
            "ImageUpdateAutomation",
            &[
                r#"/sourceRef/kind = "GitRepository""#,
                r#"/update = {"strategy":"Setters"}"#,
                r#"/update/strategy = "Setters""#,
            ],
        );
    }

    #[test]
    fn schemas_are_structural() {
        fn check(node: &Value, path: &str) {
            for word in ["anyOf", "oneOf", "$ref", "$defs", "const", "nullable"] {
                assert!(node.get(word).is_none(), "{path} has {word}");
            }
            assert_ne!(node["additionalProperties"], false, "{path}");
            let is_open = node["x-kubernetes-preserve-unknown-fields"] == true;
            assert!(node["type"].is_string() || is_open, "{path} has no type");
            for (name, property) in node["properties"].as_object().into_iter().flatten() {
                check(property, &format!("{path}/{name}"));
            }
            for word in ["items", "additionalProperties"] {
                if let Some(inner) = node.get(word) {
                    check(inner, &format!("{path}/{word}"));
                }
            }
        }
        for definition in definitions() {
            let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            check(
                schema,
                definition["spec"]["names"]["kind"].as_str().unwrap(),
            );
        }
    }

    #[test]
    fn every_field_of_flux_is_there_with_its_pattern() {
        const HOURS: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$";
        const MINUTES: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$";
        let check = |kind: &str, pointer: &str, word: &str, expected: Value| {
            let spec = spec(kind);
            let found = spec.pointer(&pointer.replace('/', "/properties/"));
            let found = found.unwrap_or_else(|| panic!("{kind} lacks {pointer}"));
            assert_eq!(found[word], expected, "{kind} {pointer}");
        };
        let text = |kind: &str, pointer: &str| check(kind, pointer, "type", json!("string"));
        for field in [
            "/image",
            "/secretRef/name",
            "/proxySecretRef/name",
            "/certSecretRef/name",
        ] {
            text("ImageRepository", field);
        }
        check("ImageRepository", "/interval", "pattern", json!(HOURS));
        check("ImageRepository", "/timeout", "pattern", json!(MINUTES));
        check(
            "ImageRepository",
            "/serviceAccountName",
            "maxLength",
            json!(253),
        );
        check("ImageRepository", "/exclusionList", "maxItems", json!(25));
        let providers = json!(["generic", "aws", "azure", "gcp"]);
        check("ImageRepository", "/provider", "enum", providers);
        check("ImageRepository", "/suspend", "type", json!("boolean"));
        check("ImageRepository", "/insecure", "type", json!("boolean"));
        check(
            "ImageRepository",
            "/accessFrom",
            "required",
            json!(["namespaceSelectors"]),
        );

        text("ImagePolicy", "/imageRepositoryRef/namespace");
        text("ImagePolicy", "/policy/semver/range");
        check(
            "ImagePolicy",
            "/policy/numerical/order",
            "enum",
            json!(["asc", "desc"]),
        );
        text("ImagePolicy", "/filterTags/pattern");
        text("ImagePolicy", "/filterTags/extract");
        check("ImagePolicy", "/interval", "pattern", json!(HOURS));

        let kind = "ImageUpdateAutomation";
        for field in [
            "/sourceRef/apiVersion",
            "/sourceRef/name",
            "/sourceRef/namespace",
            "/git/checkout/ref/branch",
            "/git/checkout/ref/semver",
            "/git/checkout/ref/commit",
            "/git/commit/author/email",
            "/git/commit/signingKey/secretRef/name",
            "/git/commit/messageTemplate",
            "/git/push/branch",
            "/git/push/refspec",
            "/update/path",
        ] {
            text(kind, field);
        }
        check(
            kind,
            "/git/commit/signingKey/type",
            "enum",
            json!(["gpg", "ssh"]),
        );
        check(kind, "/git/push/options", "type", json!("object"));
        check(
            kind,
            "/git/commit/messageTemplateValues",
            "type",
            json!("object"),
        );
        check(kind, "/policySelector/matchLabels", "type", json!("object"));
        check(kind, "/interval", "pattern", json!(HOURS));
        check(kind, "/update/strategy", "enum", json!(["Setters"]));
    }
}
