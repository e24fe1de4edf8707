//! What the controller asked the API server for, by the server's own record.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{apply::deployed, world::World};

/// What the life of objects has no use for: accounts are read where an object names one, and events are
/// counted when the same words were said ten minutes ago.
const USED_ELSEWHERE: [&str; 2] = ["get serviceaccounts", "patch events"];

/// K25: nothing was denied, nothing is granted that is not used, and no Secret is listed.
pub(crate) fn the_shipped_rights_are_those_that_are_used(world: &World) {
    let path = world.cluster.folder().join("audit.log");
    let text = fs::read_to_string(path).expect("the server keeps a record");
    let calls = text.lines().map(serde_json::from_str::<Value>);
    let calls = calls
        .collect::<Result<Vec<_>, _>>()
        .expect("a line is JSON");
    assert!(!calls.is_empty(), "somebody was there");
    for call in &calls {
        assert_ne!(
            call["responseStatus"]["code"], 403,
            "it is denied: {call:#}"
        );
    }
    let used = calls.iter().map(used).collect::<BTreeSet<_>>();
    assert!(!used.contains("list secrets") && !used.contains("watch secrets"));
    let granted = granted();
    let idle = granted.difference(&used).map(String::as_str);
    assert_eq!(idle.collect::<Vec<_>>(), USED_ELSEWHERE, "of {used:#?}");
}

fn used(call: &Value) -> String {
    let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
    let object = &call["objectRef"];
    let (verb, resource) = (text(&call["verb"]), text(&object["resource"]));
    match object["subresource"].as_str() {
        Some(subresource) => format!("{verb} {resource}/{subresource}"),
        None => format!("{verb} {resource}"),
    }
}

/// What the two roles grant that every installation needs.
fn granted() -> BTreeSet<String> {
    let needed = deployed("rbac.yaml").into_iter().filter(|it| {
        it["kind"] == "ClusterRole" && it["metadata"]["name"] != "tagwright-identities"
    });
    let rules = needed.flat_map(|it| it["rules"].as_array().cloned().unwrap_or_default());
    let texts = |value: &Value| {
        let texts = value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        texts.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut granted = BTreeSet::new();
    for rule in rules {
        for verb in texts(&rule["verbs"]) {
            for resource in texts(&rule["resources"]) {
                granted.insert(format!("{verb} {resource}"));
            }
        }
    }
    granted
}
