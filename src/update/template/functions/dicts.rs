//! Maps: made, read, changed and merged.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        limits::{Limit, Meter, VALUE_DEPTH},
        value::{Map, Value},
    },
    Call, DICT, Fault, Function, MANY, Outcome, failed, strings,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("dict", 0, MANY, dict),
    Function::new("get", 2, 2, |call| {
        let (map, key) = (call.map(0)?, call.text(1)?);
        Ok(map.get(&key).unwrap_or_else(|| Value::from("")))
    }),
    Function::new("set", 3, 3, |call| {
        let map = call.own_map(0)?;
        map.insert(call.text(1)?, call.value(2));
        Ok(Value::Map(map))
    }),
    Function::new("unset", 2, 2, |call| {
        let map = call.own_map(0)?;
        map.remove(&call.text(1)?);
        Ok(Value::Map(map))
    }),
    Function::new("hasKey", 2, 2, |call| {
        let key = call.text(1)?;
        Ok(Value::Bool(call.map(0)?.get(&key).is_some()))
    }),
    Function::new("pluck", 1, MANY, |call| {
        let key = call.text(0)?;
        let mut found = Vec::new();
        for index in 1..call.arguments.len() {
            found.extend(call.map(index)?.get(&key));
        }
        call.items(found)
    }),
    Function::new("keys", 0, MANY, |call| {
        let mut keys = Vec::new();
        for index in 0..call.arguments.len() {
            for (key, _) in call.map(index)?.entries() {
                call.meter.spend(1)?;
                keys.push(key);
            }
        }
        call.meter.list("[]string", keys)
    }),
    Function::new("values", 1, 1, |call| {
        let entries = call.map(0)?.entries();
        call.items(entries.into_iter().map(|(_, value)| value).collect())
    }),
    Function::new("pick", 1, MANY, |call| {
        let (map, names) = (call.map(0)?, call.texts(1)?);
        let found = names
            .into_iter()
            .filter_map(|name| map.get(&name).map(|value| (name, value)));
        call.give_map(found)
    }),
    Function::new("omit", 1, MANY, |call| {
        let (map, names) = (call.map(0)?, call.texts(1)?);
        let kept = texts(&map).filter(|(key, _)| !names.contains(key));
        call.give_map(kept)
    }),
    Function::new("merge", 1, MANY, |call| merge_all(call, Priority::First)),
    Function::new("mustMerge", 1, MANY, |call| {
        merge_all(call, Priority::First)
    }),
    Function::new("mergeOverwrite", 1, MANY, |call| {
        merge_all(call, Priority::Last)
    }),
    Function::new("mustMergeOverwrite", 1, MANY, |call| {
        merge_all(call, Priority::Last)
    }),
    Function::new("dig", 3, MANY, dig),
    Function::new("deepCopy", 1, 1, |call| {
        let value = call.value(0);
        copy(&value, call.meter, 0)
    }),
    Function::new("mustDeepCopy", 1, 1, |call| {
        let value = call.value(0);
        copy(&value, call.meter, 0)
    }),
];

/// The entries of a map from texts.
fn texts(map: &Map) -> impl Iterator<Item = (Arc<str>, Value)> {
    map.entries()
        .into_iter()
        .filter_map(|(key, value)| match key {
            Value::Str(key) => Some((key, value)),
            _ => None,
        })
}

/// Makes a map of keys and values in turn; the last value may be missing, and is empty then.
fn dict(call: &mut Call<'_>) -> Outcome {
    let mut entries = BTreeMap::new();
    for pair in call.arguments.chunks(2) {
        let key = pair.first().map(strings::to_text).transpose()?;
        let value = pair.get(1).cloned().unwrap_or_else(|| Value::from(""));
        entries.insert(key.unwrap_or_default().into(), value);
    }
    call.give_map(entries)
}

/// Follows keys into maps: `dig "a" "b" "otherwise" map`.
fn dig(call: &mut Call<'_>) -> Outcome {
    let count = call.arguments.len();
    let otherwise = call.value(count - 2);
    let mut value = Value::Map(call.map(count - 1)?);
    for index in 0..count - 2 {
        let key = call.text(index)?;
        let Value::Map(map) = &value else {
            let got = value.type_name();
            return Err(failed(format!("interface conversion: {got} is not {DICT}")));
        };
        match map.get(&key) {
            Some(inner) => value = inner,
            None => return Ok(otherwise),
        }
    }
    Ok(value)
}

/// Whose value stays where two maps have one key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Priority {
    First,
    Last,
}

fn merge_all(call: &mut Call<'_>, priority: Priority) -> Outcome {
    let target = call.own_map(0)?;
    for index in 1..call.arguments.len() {
        let source = call.map(index)?;
        merge(&target, &source, priority, call.meter, 0)?;
    }
    Ok(Value::Map(target))
}

/// Merges `source` into `target`, maps within maps included.
///
/// What is empty never stays, and a list or a map never takes the place of something else, unless
/// it is a list that has priority.
fn merge(
    target: &Map,
    source: &Map,
    priority: Priority,
    meter: &mut Meter,
    depth: usize,
) -> Result<(), Fault> {
    if depth > VALUE_DEPTH {
        return Err(Limit::ValueDepth.into());
    }
    if target.is_same(source) {
        return Ok(());
    }
    for (key, value) in texts(source) {
        meter.spend(1)?;
        match (target.get(&key), &value) {
            (Some(Value::Map(inner)), Value::Map(other)) if inner.is_writable() => {
                merge(&inner, other, priority, meter, depth + 1)?;
            }
            (_, Value::Nil) if priority == Priority::First => {}
            (Some(known), Value::Map(_)) if known.is_true() => {}
            (Some(known), _) if known.is_true() && priority == Priority::First => {}
            _ => target.insert(key, value),
        }
    }
    Ok(())
}

/// Copies a value, so that `set` on the copy leaves the original alone.
fn copy(value: &Value, meter: &mut Meter, depth: usize) -> Outcome {
    meter.spend(1)?;
    if depth > VALUE_DEPTH {
        return Err(Limit::ValueDepth.into());
    }
    match value {
        Value::List(list) => {
            let mut items = Vec::with_capacity(list.items().len());
            for item in list.items() {
                items.push(copy(item, meter, depth + 1)?);
            }
            meter.list(value.type_name(), items)
        }
        Value::Map(map) if map.is_writable() => {
            let mut entries = BTreeMap::new();
            for (key, item) in texts(map) {
                entries.insert(key, copy(&item, meter, depth + 1)?);
            }
            let copied = meter.dict(value.type_name(), map.zero().clone(), entries)?;
            Ok(Value::Map(copied))
        }
        value => Ok(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn maps_are_made_and_read() {
        check(r#"dict "a" 1 "b""#, "map[a:1 b:]");
        check("dict 1 2", "map[1:2]");
        check(r#"get (dict "a" 1) "a""#, "1");
        check(r#"get (dict) "a""#, "");
        check(r#"get .Values.nope "a""#, "");
        check("keys nil", "[]");
        check(r#"hasKey (dict "a" 1) "a""#, "true");
        check(r#"hasKey (dict "a" 1) "b""#, "false");
        check(
            r#"pluck "a" (dict "a" 1) (dict "b" 2) (dict "a" 3)"#,
            "[1 3]",
        );
        check(r#"keys (dict "a" 1)"#, "[a]");
        check(r#"values (dict "a" 1)"#, "[1]");
        check(r#"pick (dict "a" 1 "b" 2) "a" "z""#, "map[a:1]");
        check(r#"omit (dict "a" 1 "b" 2) "a" "z""#, "map[b:2]");
        check(r#"dig "a" "b" "none" (dict "a" (dict "b" 5))"#, "5");
        check(r#"dig "a" "z" "none" (dict "a" (dict "b" 5))"#, "none");
        check(r#"set (dict "a" 1) "b" 2"#, "map[a:1 b:2]");
        check(r#"unset (dict "a" 1) "a""#, "map[]");
        check(r#"deepCopy (dict "a" (list 1))"#, "map[a:[1]]");
    }

    #[test]
    fn maps_are_merged() {
        check(r#"merge (dict "a" 1) (dict "a" 2 "b" 3)"#, "map[a:1 b:3]");
        check(
            r#"mergeOverwrite (dict "a" 1) (dict "a" 2 "b" 3)"#,
            "map[a:2 b:3]",
        );
        check(
            r#"merge (dict "a" (dict "x" 1)) (dict "a" (dict "y" 2))"#,
            "map[a:map[x:1 y:2]]",
        );
        check(r#"merge (dict "a" "") (dict "a" 2)"#, "map[a:2]");
        check(r#"merge (dict "a" 1) (dict "a" (dict "b" 2))"#, "map[a:1]");
        check(r#"merge (dict) (dict "a" nil)"#, "map[]");
        check(r#"merge nil (dict "a" 1)"#, "map[a:1]");
        check(r#"mergeOverwrite (dict "a" 1) (dict "a" "")"#, "map[a:]");
        check(
            r#"mergeOverwrite (dict "a" 1) (dict "a" nil)"#,
            "map[a:<nil>]",
        );
        check(
            r#"mergeOverwrite (dict "a" 1) (dict "a" (dict "b" 2))"#,
            "map[a:1]",
        );
        check(
            r#"mergeOverwrite (dict "a" 1) (dict "a" (list 2))"#,
            "map[a:[2]]",
        );
        check(
            r#"mergeOverwrite (dict "a" (list 1)) (dict "a" (list))"#,
            "map[a:[]]",
        );
    }
}
