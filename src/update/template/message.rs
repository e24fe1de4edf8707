//! What a commit-message template can read: Flux's data model.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use super::{
    Template, TemplateError,
    value::{Field, List, Map, Struct, Value},
};
use crate::update::ObjectId;

/// What one commit changes, for its message.
#[derive(Clone, Copy, Debug)]
pub struct MessageData<'a> {
    /// The namespace and name of the automation.
    pub automation: (&'a str, &'a str),
    /// The changes, in the order of files and of documents and lines within them.
    pub changes: &'a [FileObjectChange],
    /// The template values of the configuration.
    pub values: &'a BTreeMap<String, String>,
}

/// One changed value, with the file and the object it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileObjectChange {
    /// The file, from the update path.
    pub file: String,
    /// The object.
    pub object: ObjectId,
    /// The value before.
    pub old: String,
    /// The value after.
    pub new: String,
    /// The marker's text, such as `apps:web:tag`.
    pub setter: String,
}

/// Builds the data of a message: `.AutomationObject`, `.Changed` and `.Values`.
///
/// ```
/// use std::collections::BTreeMap;
/// use tagwright::update::template::{MessageData, Template, message_value};
///
/// let data = message_value(&MessageData {
///     automation: ("flux-system", "apps"),
///     changes: &[],
///     values: &BTreeMap::new(),
/// });
/// let template = Template::parse("update by {{ .AutomationObject }}").unwrap();
/// assert_eq!(template.render(&data).unwrap(), "update by flux-system/apps");
/// ```
pub fn message_value(data: &MessageData<'_>) -> Value {
    let values = data.values.iter();
    let values = values.map(|(key, value)| (Arc::from(key.as_str()), Value::from(value.as_str())));
    let values = Map::of_texts("map[string]string", Value::from(""), values);
    let (namespace, name) = data.automation;
    let full_name = format!("{namespace}/{name}");
    let automation = Struct {
        type_name: "types.NamespacedName",
        fields: vec![text("Namespace", namespace), text("Name", name)],
        methods: vec![("String", Value::from(full_name.as_str()))],
        text: Some(full_name.into()),
    };
    structure(Struct {
        type_name: "source.TemplateData",
        fields: vec![
            Field::new("AutomationObject", structure(automation)),
            Field::new("Changed", changed(data.changes)),
            Field::new("Values", Value::Map(values)),
        ],
        ..Struct::default()
    })
}

/// Tries a template at configuration load: reads it, and renders it on sample data.
///
/// See [`check_with`]; here, the template has no values.
pub fn check(source: &str) -> Result<(), TemplateError> {
    check_with(source, &BTreeMap::new())
}

/// Tries a template at configuration load, with the values that it will have.
///
/// A real commit changes other things than the sample does, so only faults that no data can mend
/// are reported: of grammar, unknown functions and fields, removed fields, and limits.
pub fn check_with(source: &str, values: &BTreeMap<String, String>) -> Result<(), TemplateError> {
    let template = Template::parse(source)?;
    let data = message_value(&MessageData {
        automation: ("flux-system", "sample"),
        changes: &sample(),
        values,
    });
    match template.render(&data) {
        Err(error) if error.is_certain() => Err(error),
        _ => Ok(()),
    }
}

/// Two changes in two objects of two files: enough for every loop to turn.
fn sample() -> [FileObjectChange; 2] {
    ["web", "worker"].map(|name| FileObjectChange {
        file: format!("apps/{name}.yaml"),
        object: ObjectId {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: "apps".to_owned(),
            name: name.to_owned(),
        },
        old: format!("registry.test/{name}:1.0.0"),
        new: format!("registry.test/{name}:1.1.0"),
        setter: format!("apps:{name}"),
    })
}

fn changed(changes: &[FileObjectChange]) -> Value {
    let mut files: BTreeMap<&str, Vec<&FileObjectChange>> = BTreeMap::new();
    for change in changes {
        files.entry(&change.file).or_default().push(change);
    }
    let in_order = files.values().flatten().copied().collect::<Vec<_>>();
    let files = files
        .iter()
        .map(|(file, changes)| (Arc::from(*file), by_object(changes)));
    let files = Map::of_texts("map[string]update.ObjectChanges", by_object(&[]), files);
    structure(Struct {
        type_name: "update.Result",
        fields: vec![Field::new("FileChanges", Value::Map(files))],
        // Methods in Flux: they can be read, but `{{ .Changed }}` does not print them.
        methods: vec![
            ("Objects", by_object(&in_order)),
            ("Changes", distinct(&in_order)),
        ],
        text: None,
    })
}

/// Groups changes by their object; the groups are ordered as Go orders the keys of a map.
fn by_object(changes: &[&FileObjectChange]) -> Value {
    let mut objects: BTreeMap<&ObjectId, Vec<Value>> = BTreeMap::new();
    for change in changes {
        objects.entry(&change.object).or_default().push(one(change));
    }
    let objects = objects
        .into_iter()
        .map(|(id, changes)| (Rc::new(object(id)), list(changes)));
    Value::Map(Map::of_structs(
        "update.ObjectChanges",
        list(Vec::new()),
        objects,
    ))
}

/// Each change once, where it first appears; Flux gives them in a random order.
fn distinct(changes: &[&FileObjectChange]) -> Value {
    let mut seen = BTreeSet::new();
    let first = changes
        .iter()
        .filter(|change| seen.insert((&change.old, &change.new, &change.setter)));
    list(first.map(|change| one(change)).collect())
}

fn list(changes: Vec<Value>) -> Value {
    Value::List(List::new("[]update.Change", changes))
}

fn one(change: &FileObjectChange) -> Value {
    structure(Struct {
        type_name: "update.Change",
        fields: vec![
            text("OldValue", &change.old),
            text("NewValue", &change.new),
            text("Setter", &change.setter),
        ],
        ..Struct::default()
    })
}

/// An object, nested as Flux's types are: `%v` shows the nesting.
fn object(object: &ObjectId) -> Struct {
    let kind = Struct {
        type_name: "yaml.TypeMeta",
        fields: vec![
            text("APIVersion", &object.api_version).tagged("apiVersion"),
            text("Kind", &object.kind).tagged("kind"),
        ],
        ..Struct::default()
    };
    let name = Struct {
        type_name: "yaml.NameMeta",
        fields: vec![
            text("Name", &object.name).tagged("name"),
            text("Namespace", &object.namespace).tagged("namespace"),
        ],
        ..Struct::default()
    };
    let identifier = Struct {
        type_name: "yaml.ResourceIdentifier",
        fields: vec![
            Field::embedded("TypeMeta", kind),
            Field::embedded("NameMeta", name),
        ],
        ..Struct::default()
    };
    Struct {
        type_name: "update.ObjectIdentifier",
        fields: vec![Field::embedded("ResourceIdentifier", identifier)],
        ..Struct::default()
    }
}

fn structure(value: Struct) -> Value {
    Value::Struct(Rc::new(value))
}

fn text(name: &'static str, value: &str) -> Field {
    Field::new(name, Value::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::template::{ErrorKind, RemovedField};

    /// The change of the Flux controller's own tests.
    fn hello(file: &str, kind: &str, new: &str, setter: &str) -> FileObjectChange {
        FileObjectChange {
            file: file.to_owned(),
            object: ObjectId {
                api_version: "apps/v1".to_owned(),
                kind: kind.to_owned(),
                namespace: String::new(),
                name: "test".to_owned(),
            },
            old: "helloworld:1.0.0".to_owned(),
            new: new.to_owned(),
            setter: setter.to_owned(),
        }
    }

    fn check_message(source: &str, changes: &[FileObjectChange], expected: &str) {
        let values = [("cluster", "prod"), ("testing", "value")];
        let values = values.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let data = message_value(&MessageData {
            automation: ("test-ns", "test-update"),
            changes,
            values: &BTreeMap::from(values),
        });
        let rendered = Template::parse(source).unwrap().render(&data);
        assert_eq!(rendered.as_deref(), Ok(expected), "{source}");
    }

    #[test]
    fn the_messages_of_flux_come_out_letter_by_letter() {
        let change = hello(
            "deploy.yaml",
            "Deployment",
            "helloworld:1.0.1",
            "test-ns:policy",
        );
        check_message(
            "Update from image update automation",
            std::slice::from_ref(&change),
            "Update from image update automation",
        );
        check_message(
            "Commit summary with ResultV2

Automation: {{ .AutomationObject }}
{{ range $file, $objects := .Changed.FileChanges }}
- File: {{ $file }}
{{- range $object, $changes := $objects }}
  - Object: {{ $object.Kind }}/{{ $object.Namespace }}/{{ $object.Name }}
    Changes:
{{- range $changes }}
    - {{ .OldValue }} -> {{ .NewValue }}
{{ end -}}
{{ end -}}
{{ end -}}
",
            std::slice::from_ref(&change),
            "Commit summary with ResultV2\n\nAutomation: test-ns/test-update\n\n- File: deploy.yaml\n  \
             - Object: Deployment//test\n    Changes:\n    - helloworld:1.0.0 -> helloworld:1.0.1\n",
        );
        check_message(
            "Commit summary

Automation: {{ .AutomationObject }}

Files:
{{ range $file, $_ := .Changed.FileChanges -}}
- {{ $file }}
{{ end -}}
Objects:
{{ range $object, $_ := .Changed.Objects -}}
{{ if eq $object.Kind \"Deployment\" -}}
- {{ $object.Kind | lower }} {{ $object.Name }}
{{ else -}}
- {{ $object.Kind }} {{ $object.Name }}
{{ end -}}
{{ end -}}
Images:
{{ range .Changed.Changes -}}
- {{ .NewValue }} ({{ .Setter }})
{{ end -}}
",
            &[hello(
                "deploy.yaml",
                "Deployment",
                "helloworld:v1.0.0",
                "test-ns:policy",
            )],
            "Commit summary\n\nAutomation: test-ns/test-update\n\nFiles:\n- deploy.yaml\nObjects:\n\
             - deployment test\nImages:\n- helloworld:v1.0.0 (test-ns:policy)\n",
        );
        check_message(
            "Cluster: {{ index .Values \"cluster\" }}\nTesting: {{ .Values.testing }}\n",
            &[],
            "Cluster: prod\nTesting: value\n",
        );
        check_message(
            "{{ .Values.nope }}|{{ index .Values \"nope\" }}",
            &[],
            "<no value>|",
        );
        check_message("{{ .Changed }} {{ .Changed.Changes }}", &[], "{map[]} []");
    }

    #[test]
    fn changes_are_merged_over_files_and_listed_once() {
        let changes = [
            hello("b.yaml", "Deployment", "helloworld:1.0.1", "ns:a"),
            hello("a.yaml", "Deployment", "helloworld:1.0.2", "ns:b"),
            hello("a.yaml", "CronJob", "helloworld:1.0.1", "ns:a"),
            hello("a.yaml", "Deployment", "helloworld:1.0.1", "ns:a"),
        ];
        check_message(
            "{{ range $object, $changes := .Changed.Objects }}{{ $object.Kind }}\
             {{ range $changes }} {{ .NewValue }}{{ end }};{{ end }}",
            &changes,
            "CronJob helloworld:1.0.1;Deployment helloworld:1.0.2 helloworld:1.0.1 helloworld:1.0.1;",
        );
        check_message(
            "{{ range .Changed.Changes }}{{ .NewValue }} {{ end }}",
            &changes,
            "helloworld:1.0.2 helloworld:1.0.1 ",
        );
        check_message(
            "{{ range $file, $_ := .Changed.FileChanges }}{{ $file }} {{ end }}",
            &changes,
            "a.yaml b.yaml ",
        );
    }

    #[test]
    fn objects_are_ordered_by_version_kind_name_and_namespace() {
        let object = |api_version: &str, kind: &str, name: &str, namespace: &str| {
            let object = ObjectId {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            };
            FileObjectChange {
                object,
                ..hello("a.yaml", "", "new", "ns:a")
            }
        };
        check_message(
            "{{ range $object, $_ := .Changed.Objects }}{{ $object }}{{ end }}",
            &[
                object("v1", "Pod", "a", "b"),
                object("apps/v1", "Deployment", "b", "a"),
                object("apps/v1", "Deployment", "a", "b"),
                object("apps/v1", "CronJob", "z", "z"),
            ],
            "{{{apps/v1 CronJob} {z z}}}{{{apps/v1 Deployment} {a b}}}\
             {{{apps/v1 Deployment} {b a}}}{{{v1 Pod} {a b}}}",
        );
    }

    #[test]
    fn removed_fields_give_the_advice_of_flux() {
        let advice = |source: &str, field: RemovedField, expected: &str| {
            let error = check(source).expect_err(source);
            assert_eq!(error.kind, ErrorKind::RemovedField(field), "{source}");
            assert_eq!(error.to_string(), expected, "{source}");
            assert!(error.hint().is_some(), "{source}");
        };
        let updated = "template uses removed '.Updated' field. Please use '.Changed' instead. See: \
             https://fluxcd.io/flux/components/image/imageupdateautomations/#message-template";
        let image_result = "template uses removed '.Changed.ImageResult' field. Please use \
             '.Changed.FileChanges' or '.Changed.Objects' instead. See: \
             https://fluxcd.io/flux/components/image/imageupdateautomations/#message-template";
        advice(
            "{{ range .Updated.Images }}{{ . }}{{ end }}",
            RemovedField::Updated,
            updated,
        );
        advice("{{ $.Updated.Files }}", RemovedField::Updated, updated);
        advice(
            "{{ .Changed.ImageResult.Objects }}",
            RemovedField::ImageResult,
            image_result,
        );
        advice(
            "{{ with .Changed }}{{ .ImageResult }}{{ end }}",
            RemovedField::ImageResult,
            image_result,
        );
    }

    #[test]
    fn only_what_no_data_can_mend_is_found_at_load() {
        let found = |source: &str, expected: bool| {
            assert_eq!(check(source).is_err(), expected, "{source}");
        };
        found("", false);
        found(
            "{{ range .Changed.Changes }}{{ .NewValue }}{{ end }}",
            false,
        );
        found("{{ index .Changed.Changes 7 }}", false);
        found("{{ .Values.cluster | upper }}", false);
        found("{{ fail \"not today\" }}", false);
        found("{{", true);
        found("{{ nope }}", true);
        found("{{ range .Changed.Changes }}{{ .New }}{{ end }}", true);
        found(
            "{{ range $k, $v := .Changed.Objects }}{{ $k.Title }}{{ end }}",
            true,
        );
        found("{{ template \"nope\" }}", true);
        found("{{ upper }}", true);
        found("{{ now }}", true);
        found("{{ repeat 1000000000 \"x\" }}", true);
    }

    #[test]
    fn a_check_with_values_takes_the_branches_that_they_open() {
        let source = "{{ if .Values.verbose }}{{ .Updated }}{{ end }}";
        let verbose = BTreeMap::from([("verbose".to_owned(), "yes".to_owned())]);
        assert!(check(source).is_ok());
        assert!(check_with(source, &verbose).is_err());
    }
}
