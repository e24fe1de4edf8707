//! What the tables of this room share, one commit's data and a check; and the tests of the whole.
//!
//! The expected texts of the tables were printed by Go 1.19 with Sprig 3.2.3 on the same data.

mod documentation;
mod faults;
mod flux;
mod language;
mod limits;
mod robustness;

use std::collections::BTreeMap;

use super::{FileObjectChange, MessageData, Template, TemplateError, Value, message_value};
use crate::update::ObjectId;

/// The data of a commit that changes three objects in two files.
pub(super) fn data() -> Value {
    let web = object("apps/v1", "Deployment", "default", "web");
    let database = object("apps/v1", "StatefulSet", "", "db");
    let pod = object("v1", "Pod", "z", "a");
    let changes = [
        change("a.yaml", &web, ["web:1.0", "web:1.1", "apps:web"]),
        change("a.yaml", &web, ["1.0", "1.1", "apps:web:tag"]),
        change("a.yaml", &pod, ["web:1.0", "web:1.1", "apps:web"]),
        change("b.yaml", &database, ["db:5", "db:6", "apps:db"]),
        change("b.yaml", &web, ["db:5", "db:6", "apps:db"]),
    ];
    let values = [("cluster", "prod"), ("n", "3")];
    let values = values.map(|(key, value)| (key.to_owned(), value.to_owned()));
    message_value(&MessageData {
        automation: ("flux-system", "apps"),
        changes: &changes,
        values: &BTreeMap::from(values),
    })
}

fn object(api_version: &str, kind: &str, namespace: &str, name: &str) -> ObjectId {
    ObjectId {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn change(file: &str, object: &ObjectId, [old, new, setter]: [&str; 3]) -> FileObjectChange {
    FileObjectChange {
        file: file.to_owned(),
        object: object.clone(),
        old: old.to_owned(),
        new: new.to_owned(),
        setter: setter.to_owned(),
    }
}

/// Renders a whole template.
pub(super) fn render(source: &str) -> Result<String, TemplateError> {
    Template::parse(source)?.render(&data())
}

/// Checks what one action prints.
pub(super) fn check(action: &str, expected: &str) {
    check_template(&format!("{{{{ {action} }}}}"), expected);
}

/// Checks what a whole template renders to.
pub(super) fn check_template(source: &str, expected: &str) {
    assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
}

/// Checks what a template that fails says, and at which line and column.
pub(super) fn check_fault(source: &str, place: (usize, usize), expected: &str) {
    let error = render(source).expect_err(source);
    assert_eq!((error.line, error.column), place, "{source}");
    assert_eq!(error.kind.to_string(), expected, "{source}");
}
