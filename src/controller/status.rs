//! What of a status has to be written, if anything.

use serde_json::{Map, Value};

/// The merge patch that makes `new` of `old`; nothing where they say the same.
///
/// `times` are fields (JSON pointers) that move with every run. They are written along with
/// something else, or when somebody asked for this run, but are no reason to write: an object at
/// rest costs the API server nothing.
pub(super) fn patch(old: &Value, new: &Value, times: &[&str]) -> Option<Value> {
    let mut at_rest = new.clone();
    for pointer in times {
        if let (Some(new), Some(old)) = (at_rest.pointer_mut(pointer), old.pointer(pointer)) {
            *new = old.clone();
        }
    }
    difference(old, &at_rest)?;
    difference(old, new)
}

/// RFC 7386, with lists as a whole. Fields that `new` does not have are taken away, unless nobody
/// here knows them.
fn difference(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(old_fields), Value::Object(new_fields)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let mut patch = Map::new();
    for (key, new) in new_fields {
        match old_fields.get(key) {
            Some(old) => {
                if let Some(changed) = difference(old, new) {
                    patch.insert(key.clone(), changed);
                }
            }
            None => {
                patch.insert(key.clone(), new.clone());
            }
        }
    }
    for key in old_fields
        .keys()
        .filter(|key| !new_fields.contains_key(*key))
    {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn only_what_changed_is_written() {
        let check = |old: Value, new: Value, expected: Option<Value>| {
            assert_eq!(patch(&old, &new, &["/scan/time"]), expected, "{old} {new}");
        };
        check(json!({"a": 1}), json!({"a": 1}), None);
        check(json!({"a": 1}), json!({"a": 2}), Some(json!({"a": 2})));
        check(json!({"a": 1}), json!({}), Some(json!({"a": null})));
        check(Value::Null, json!({"a": 1}), Some(json!({"a": 1})));
        check(
            json!({"list": [1], "deep": {"x": 1, "y": 2}}),
            json!({"list": [1, 2], "deep": {"x": 1, "y": 3}}),
            Some(json!({"list": [1, 2], "deep": {"y": 3}})),
        );
        let scan = |time: &str, tags: u8| json!({"scan": {"time": time, "tags": tags}});
        check(scan("10:00", 1), scan("11:00", 1), None);
        let both = json!({"scan": {"time": "11:00", "tags": 2}});
        check(scan("10:00", 1), scan("11:00", 2), Some(both));
        check(json!({}), scan("10:00", 1), Some(scan("10:00", 1)));
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<u8>().prop_map(Value::from),
            "[a-c]".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            proptest::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect()))
        })
        .prop_map(|inner| json!({ "top": inner }))
    }

    fn merge(into: &mut Value, patch: &Value) {
        let Value::Object(fields) = patch else {
            *into = patch.clone();
            return;
        };
        if !into.is_object() {
            *into = json!({});
        }
        for (key, field) in fields {
            if field.is_null() {
                into.as_object_mut().expect("made above").shift_remove(key);
            } else {
                merge(&mut into[key], field);
            }
        }
    }

    proptest! {
        #[test]
        fn the_patch_makes_the_new_of_the_old(old in documents(), new in documents()) {
            let mut merged = old.clone();
            if let Some(patch) = patch(&old, &new, &[]) {
                merge(&mut merged, &patch);
            }
            prop_assert_eq!(merged, new);
        }
    }
}
