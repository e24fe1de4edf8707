//! Checks a document against the schema of its kind, and says every trouble at its place.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::{
    JsonType, ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use super::{document::Node, fault::Faults};
use crate::nearest::nearest;

/// How many rounds of mending a document gets.
const MAX_MENDINGS: usize = 16;

/// The schema of one kind, compiled.
pub(super) struct Schema {
    text: Value,
    validator: Validator,
}

impl Schema {
    /// Derives the schema of a wire kind.
    pub(super) fn of<T: JsonSchema>() -> Self {
        let generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
        let text = generator.into_root_schema_for::<T>().to_value();
        let validator = jsonschema::validator_for(&text)
            .expect("a schema derived from our own types is valid: tests load every kind");
        Self { text, validator }
    }

    /// Reports everything about `node` that the schema does not allow.
    pub(super) fn check(&self, node: &Node, value: &Value, faults: &mut Faults<'_>) {
        for (key, place) in node.duplicate_keys() {
            let message = format!("the key `{key}` stands twice");
            faults.push(place, message, Some("remove one of them".to_owned()));
        }
        // Errors arrive in schema order; a person reads from the top of the file.
        let mut troubles = BTreeMap::new();
        for error in self.validator.iter_errors(value) {
            self.explain(&error, node, &mut troubles);
        }
        for ((place, message), hint) in troubles {
            faults.push(place, message, hint);
        }
    }

    /// Takes the fields out that the schema does not know, as an API server does.
    pub(super) fn prune(&self, value: &mut Value) {
        for _ in 0..MAX_MENDINGS {
            let unknown = self
                .validator
                .iter_errors(value)
                .flat_map(|it| unknown(&it));
            let unknown = unknown.collect::<Vec<_>>();
            if unknown.is_empty() {
                return;
            }
            for mending in unknown {
                mending.carry_out(value);
            }
        }
    }

    /// The value with everything that the schema does not allow taken out, and everything that it
    /// requires put in; the pointers say where. Nothing where that does not come to an end.
    ///
    /// What is left is checked further, so that a person sees every fault at once and not one after
    /// the other. Nothing of it is ever run.
    pub(super) fn mended(&self, mut value: Value) -> Option<(Value, BTreeSet<String>)> {
        let mut pointers = BTreeSet::new();
        for _ in 0..MAX_MENDINGS {
            let mendings = self
                .validator
                .iter_errors(&value)
                .flat_map(|it| mendings(&it))
                .collect::<Vec<_>>();
            if mendings.is_empty() {
                return Some((value, pointers));
            }
            for mending in mendings {
                pointers.insert(mending.carry_out(&mut value)?);
            }
        }
        None
    }

    fn explain(&self, error: &ValidationError<'_>, node: &Node, troubles: &mut Troubles) {
        let pointer = error.instance_path().as_str();
        let field = field_name(pointer);
        let mut add = |place, message: String, hint: Option<String>| {
            troubles.insert((place, message), hint);
        };
        let here = node.place_at(pointer);
        match error.kind() {
            // An optional field is "the value or null": only the value's errors tell anything.
            ValidationErrorKind::AnyOf { context } => {
                for inner in context.first().into_iter().flatten() {
                    self.explain(inner, node, troubles);
                }
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                for name in unexpected {
                    let known = self.siblings(error.schema_path().as_str());
                    let known = known.iter().map(String::as_str);
                    let hint = nearest(name, known.clone()).map_or_else(
                        || format!("known are: {}", known.collect::<Vec<_>>().join(", ")),
                        |near| format!("did you mean `{near}`?"),
                    );
                    let message = format!("unknown field `{}`", join(&field, name));
                    add(node.place_of_key(pointer, name), message, Some(hint));
                }
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                add(
                    here,
                    format!("missing field `{}`", join(&field, name)),
                    None,
                );
            }
            ValidationErrorKind::Enum { options } => {
                let options = options.as_array().into_iter().flatten();
                let (message, hint) = choice(&field, error.instance(), options.cloned());
                add(here, message, hint);
            }
            // An enum whose variants are documented one by one.
            ValidationErrorKind::OneOfNotValid { context } => {
                let options = context.iter().flatten().filter_map(|it| match it.kind() {
                    ValidationErrorKind::Constant { expected_value } => {
                        Some((**expected_value).clone())
                    }
                    _ => None,
                });
                let (message, hint) = choice(&field, error.instance(), options);
                add(here, message, hint);
            }
            ValidationErrorKind::Pattern { .. } => {
                let found = error.instance().as_str().unwrap_or_default();
                let hint = "write it like `30s`, `5m` or `1h30m`".to_owned();
                add(
                    here,
                    format!("`{field}` is `{found}`, which is no duration"),
                    Some(hint),
                );
            }
            ValidationErrorKind::Type { kind } => {
                let (wanted, found) = (type_names(kind), shape(error.instance()));
                let hint = (wanted == "a text" && found != "a mapping" && found != "a list")
                    .then(|| "put it in quotes".to_owned());
                add(
                    here,
                    format!("`{field}` is {found}, and must be {wanted}"),
                    hint,
                );
            }
            ValidationErrorKind::MaxItems { limit } => {
                add(
                    here,
                    format!("`{field}` has more than {limit} entries"),
                    None,
                );
            }
            ValidationErrorKind::MaxLength { limit } => {
                add(
                    here,
                    format!("`{field}` is longer than {limit} characters"),
                    None,
                );
            }
            ValidationErrorKind::MinLength { .. } => {
                add(here, format!("`{field}` is empty"), None);
            }
            _ => add(
                here,
                format!("`{field}` is not valid: {}", error.masked()),
                None,
            ),
        }
    }

    /// The properties that stand beside the failing keyword in the schema.
    fn siblings(&self, schema_path: &str) -> Vec<String> {
        let parent = schema_path
            .rsplit_once('/')
            .map_or("", |(parent, _)| parent);
        let properties = self
            .text
            .pointer(parent)
            .and_then(|it| it.get("properties"));
        let properties = properties.and_then(Value::as_object);
        properties
            .map(|it| it.keys().cloned().collect())
            .unwrap_or_default()
    }
}

/// What to say of a value that is none of the options.
fn choice(
    field: &str,
    found: &Value,
    options: impl Iterator<Item = Value>,
) -> (String, Option<String>) {
    let options = options
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect::<Vec<_>>();
    let found = found
        .as_str()
        .map_or_else(|| found.to_string(), str::to_owned);
    let near = nearest(&found, options.iter().map(String::as_str));
    let hint = near.map(|near| format!("did you mean `{near}`?"));
    (
        format!(
            "`{field}` is `{found}`, and must be one of: {}",
            options.join(", ")
        ),
        hint,
    )
}

/// The fields that the schema does not know at an error's place.
fn unknown(error: &ValidationError<'_>) -> Vec<Mending> {
    match error.kind() {
        ValidationErrorKind::AnyOf { context } => context
            .first()
            .into_iter()
            .flatten()
            .flat_map(unknown)
            .collect(),
        ValidationErrorKind::AdditionalProperties { .. } => mendings(error),
        _ => Vec::new(),
    }
}

/// One step towards a value that the schema allows.
enum Mending {
    Remove { parent: String, name: String },
    Insert { parent: String, name: String },
}

fn mendings(error: &ValidationError<'_>) -> Vec<Mending> {
    let pointer = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::AnyOf { context } => context
            .first()
            .into_iter()
            .flatten()
            .flat_map(mendings)
            .collect(),
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| Mending::Remove {
                parent: pointer.to_owned(),
                name: name.clone(),
            })
            .collect(),
        ValidationErrorKind::Required { property } => property
            .as_str()
            .map(|name| Mending::Insert {
                parent: pointer.to_owned(),
                name: name.to_owned(),
            })
            .into_iter()
            .collect(),
        _ => {
            let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
            let name = name.replace("~1", "/").replace("~0", "~");
            vec![Mending::Remove {
                parent: parent.to_owned(),
                name,
            }]
        }
    }
}

impl Mending {
    /// Changes `value`, and returns the pointer to what was changed.
    fn carry_out(self, value: &mut Value) -> Option<String> {
        let (Self::Remove { parent, name } | Self::Insert { parent, name }) = &self;
        let pointer = format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"));
        match (value.pointer_mut(parent)?, &self) {
            (Value::Object(fields), Self::Insert { .. }) => {
                fields.insert(name.clone(), stand_in(name));
            }
            (Value::Object(fields), Self::Remove { .. }) => {
                fields.remove(name);
            }
            (Value::Array(items), Self::Remove { .. }) => {
                let index = name
                    .parse::<usize>()
                    .ok()
                    .filter(|index| *index < items.len());
                // A later mending of the same round may point past what an earlier one left.
                index.map(|index| items.remove(index));
            }
            _ => return None,
        }
        Some(pointer)
    }
}

/// A value that a required field accepts.
fn stand_in(name: &str) -> Value {
    match name {
        "interval" => "1m".into(),
        "url" => "https://stand-in.invalid/x".into(),
        "range" => "*".into(),
        "kind" => "GitRepository".into(),
        "operator" => "Exists".into(),
        "apiVersion" | "name" | "image" | "email" | "key" => "stand-in".into(),
        "namespaceSelectors" => Value::Array(Vec::new()),
        _ => Value::Object(serde_json::Map::new()),
    }
}

/// Trouble by place and message, with its hint.
type Troubles = BTreeMap<(super::document::Place, String), Option<String>>;

/// `/spec/git/0/x` as a person writes it: `spec.git[0].x`.
fn field_name(pointer: &str) -> String {
    let mut name = String::new();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            name.push_str(&format!("[{step}]"));
        } else {
            name = join(&name, &step);
        }
    }
    name
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

fn type_names(kind: &TypeKind) -> String {
    let types = match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(set) => set.iter().collect(),
    };
    let names = types
        .into_iter()
        .filter(|it| *it != JsonType::Null)
        .map(|it| match it {
            JsonType::Array => "a list",
            JsonType::Boolean => "true or false",
            JsonType::Integer | JsonType::Number => "a number",
            JsonType::Object => "a mapping",
            JsonType::String => "a text",
            JsonType::Null => "empty",
        });
    names.collect::<Vec<_>>().join(" or ")
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
