//! Lists: made, cut, and put together.

use super::{
    super::value::{List, Value},
    Call, Function, MANY, Outcome, compare, failed, numbers,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("list", 0, MANY, |call| call.items(call.values(0))),
    Function::new("tuple", 0, MANY, |call| call.items(call.values(0))),
    Function::new("first", 1, 1, first),
    Function::new("mustFirst", 1, 1, first),
    Function::new("last", 1, 1, last),
    Function::new("mustLast", 1, 1, last),
    Function::new("rest", 1, 1, rest),
    Function::new("mustRest", 1, 1, rest),
    Function::new("initial", 1, 1, initial),
    Function::new("mustInitial", 1, 1, initial),
    Function::new("reverse", 1, 1, reverse),
    Function::new("mustReverse", 1, 1, reverse),
    Function::new("append", 2, 2, append),
    Function::new("mustAppend", 2, 2, append),
    Function::new("push", 2, 2, append),
    Function::new("mustPush", 2, 2, append),
    Function::new("prepend", 2, 2, prepend),
    Function::new("mustPrepend", 2, 2, prepend),
    Function::new("concat", 0, MANY, concat),
    Function::new("uniq", 1, 1, uniq),
    Function::new("mustUniq", 1, 1, uniq),
    Function::new("without", 1, MANY, without),
    Function::new("mustWithout", 1, MANY, without),
    Function::new("has", 2, 2, has),
    Function::new("mustHas", 2, 2, has),
    Function::new("compact", 1, 1, compact),
    Function::new("mustCompact", 1, 1, compact),
    Function::new("slice", 1, MANY, slice),
    Function::new("mustSlice", 1, MANY, slice),
    Function::new("chunk", 2, 2, chunk),
    Function::new("mustChunk", 2, 2, chunk),
];

fn first(call: &mut Call<'_>) -> Outcome {
    Ok(call.list(0)?.items().first().cloned().unwrap_or_default())
}

fn last(call: &mut Call<'_>) -> Outcome {
    Ok(call.list(0)?.items().last().cloned().unwrap_or_default())
}

fn rest(call: &mut Call<'_>) -> Outcome {
    let list = call.list(0)?;
    call.items(list.items().iter().skip(1).cloned().collect())
}

fn initial(call: &mut Call<'_>) -> Outcome {
    let list = call.list(0)?;
    let most = list.items().len().saturating_sub(1);
    call.items(list.items().iter().take(most).cloned().collect())
}

fn reverse(call: &mut Call<'_>) -> Outcome {
    let list = call.list(0)?;
    call.items(list.items().iter().rev().cloned().collect())
}

fn append(call: &mut Call<'_>) -> Outcome {
    let mut items = call.list(0)?.items().to_vec();
    items.push(call.value(1));
    call.items(items)
}

fn prepend(call: &mut Call<'_>) -> Outcome {
    let list = call.list(0)?;
    let mut items = vec![call.value(1)];
    items.extend_from_slice(list.items());
    call.items(items)
}

fn concat(call: &mut Call<'_>) -> Outcome {
    let mut items = Vec::new();
    for index in 0..call.arguments.len() {
        let list = call.list(index)?;
        call.meter.spend(list.items().len())?;
        items.extend_from_slice(list.items());
    }
    call.items(items)
}

fn holds(call: &mut Call<'_>, items: &[Value], wanted: &Value) -> Result<bool, super::Fault> {
    for item in items {
        if compare::deep_equal(item, wanted, call.meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(call: &mut Call<'_>) -> Outcome {
    let list = call.list(0)?;
    let mut kept: Vec<Value> = Vec::new();
    for item in list.items() {
        if !holds(call, &kept, item)? {
            kept.push(item.clone());
        }
    }
    call.items(kept)
}

fn without(call: &mut Call<'_>) -> Outcome {
    let list = call.list(0)?;
    let dropped = call.values(1);
    let mut kept = Vec::new();
    for item in list.items() {
        if !holds(call, &dropped, item)? {
            kept.push(item.clone());
        }
    }
    call.items(kept)
}

fn has(call: &mut Call<'_>) -> Outcome {
    if matches!(call.value(1), Value::Nil) {
        return Ok(Value::Bool(false));
    }
    let (wanted, list) = (call.value(0), call.list(1)?);
    Ok(Value::Bool(holds(call, list.items(), &wanted)?))
}

fn compact(call: &mut Call<'_>) -> Outcome {
    let list = call.list(0)?;
    let filled = list.items().iter().filter(|item| item.is_true());
    call.items(filled.cloned().collect())
}

/// Cuts a list from one position to before another; a text, as Go's own `slice` does.
fn slice(call: &mut Call<'_>) -> Outcome {
    let whole = call.value(0);
    let length = match &whole {
        Value::List(list) => list.items().len(),
        Value::Str(text) => text.len(),
        other => {
            let got = other.kind_name();
            let text = format!("list should be type of slice or array but {got}");
            return Err(failed(text));
        }
    };
    let position = |index: usize, default: usize| match call.arguments.get(index) {
        Some(value) => usize::try_from(numbers::cast(value)).unwrap_or(usize::MAX),
        None => default,
    };
    let range = position(1, 0)..position(2, length);
    match &whole {
        Value::List(list) if list.items().is_empty() => Ok(Value::Nil),
        Value::List(list) => match list.items().get(range) {
            Some(items) => call.meter.list(whole.type_name(), items.to_vec()),
            None => Err(failed("slice bounds out of range")),
        },
        Value::Str(text) => match text.get(range) {
            Some(text) => call.give(text),
            None => Err(failed("slice bounds out of range")),
        },
        _ => Ok(Value::Nil),
    }
}

fn chunk(call: &mut Call<'_>) -> Outcome {
    let (size, list) = (call.count(0)?, call.list(1)?);
    if size == 0 {
        return Err(failed("a chunk holds at least one item"));
    }
    let mut chunks = Vec::new();
    for items in list.items().chunks(size) {
        chunks.push(call.items(items.to_vec())?);
    }
    Ok(Value::List(List::new("[][]interface {}", chunks)))
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn lists_are_made_and_cut() {
        check(r#"list 1 "a""#, "[1 a]");
        check("tuple 1 2", "[1 2]");
        check("first (list 1 2)", "1");
        check("first (list)", "<no value>");
        check("last (list 1 2)", "2");
        check("rest (list 1 2 3)", "[2 3]");
        check("rest (list)", "[]");
        check("initial (list 1 2 3)", "[1 2]");
        check("reverse (list 1 2 3)", "[3 2 1]");
        check("append (list 1 2) 3", "[1 2 3]");
        check(r#"push (list 1) "a""#, "[1 a]");
        check("prepend (list 1 2) 0", "[0 1 2]");
        check(
            r#"concat (list 1) (list 2 3) (splitList "," "a,b")"#,
            "[1 2 3 a b]",
        );
        check(r#"uniq (list 1 2 1 "a" "a" "1")"#, "[1 2 a 1]");
        check("without (list 1 2 3) 1 3", "[2]");
        check("has 1 (list 1 2)", "true");
        check(r#"has "1" (list 1)"#, "false");
        check("has 1 nil", "false");
        check(r#"compact (list 1 0 "" "a" nil)"#, "[1 a]");
        check("chunk 2 (list 1 2 3)", "[[1 2] [3]]");
        check("chunk 3 (list 1 2 3)", "[[1 2 3]]");
        check("slice (list 1 2 3 4) 1 3", "[2 3]");
        check("slice (list 1 2 3) 1", "[2 3]");
        check("slice (list) 1 2", "<no value>");
        check(r#"slice (list 1 2 3) "1""#, "[2 3]");
        check("(first .Changed.Changes).NewValue", "web:1.1");
    }
}
