//! Equality and order: Go's `eq`, `lt` and their kin, and what Sprig calls deep equality.

use std::cmp::Ordering;

use super::{
    super::{
        limits::{Limit, Meter, VALUE_DEPTH},
        value::{Struct, Value},
    },
    Call, Fault, Function, MANY, Outcome, failed,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("eq", 1, MANY, |call| {
        let first = call.value(0);
        if call.arguments.len() < 2 {
            return Err(failed("missing argument for comparison"));
        }
        for other in call.values(1) {
            if equal(&first, &other)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }),
    Function::new("ne", 2, 2, |call| {
        Ok(Value::Bool(!equal(&call.value(0), &call.value(1))?))
    }),
    Function::new("lt", 2, 2, |call| ordered(call, Ordering::is_lt)),
    Function::new("le", 2, 2, |call| ordered(call, Ordering::is_le)),
    Function::new("gt", 2, 2, |call| ordered(call, Ordering::is_gt)),
    Function::new("ge", 2, 2, |call| ordered(call, Ordering::is_ge)),
    Function::new("deepEqual", 2, 2, |call| {
        let (left, right) = (call.value(0), call.value(1));
        Ok(Value::Bool(deep_equal(&left, &right, call.meter)?))
    }),
];

/// Go's `==` between values of one kind; whole numbers compare whatever their size.
fn equal(left: &Value, right: &Value) -> Result<bool, Fault> {
    if let (Some(left), Some(right)) = (left.as_whole(), right.as_whole()) {
        return Ok(left == right);
    }
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Str(left), Value::Str(right)) => Ok(left == right),
        #[expect(clippy::float_cmp, reason = "this is the language's own `==`")]
        (Value::Float(left), Value::Float(right)) => Ok(left == right),
        (Value::List(_) | Value::Map(_), _) => Err(uncomparable(left)),
        (Value::Nil, _) | (_, Value::Nil) => Ok(matches!((left, right), (Value::Nil, Value::Nil))),
        (_, Value::List(_) | Value::Map(_)) => Err(uncomparable(right)),
        (Value::Struct(left), Value::Struct(right)) => {
            let same = left.type_name == right.type_name;
            Ok(same && left.texts() == right.texts())
        }
        _ => Err(failed("incompatible types for comparison")),
    }
}

fn uncomparable(value: &Value) -> Fault {
    failed(format!("non-comparable type {}", value.type_name()))
}

fn ordered(call: &mut Call<'_>, holds: fn(Ordering) -> bool) -> Outcome {
    let (left, right) = (call.value(0), call.value(1));
    let order = match (left.as_whole(), right.as_whole()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => match (&left, &right) {
            (Value::Str(left), Value::Str(right)) => Some(left.cmp(right)),
            (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
            _ => {
                let basic = |value: &Value| {
                    value.as_whole().is_some()
                        || matches!(value, Value::Str(_) | Value::Float(_) | Value::Bool(_))
                };
                let text = if basic(&left) && basic(&right) && left.kind_name() != "bool" {
                    "incompatible types for comparison"
                } else {
                    "invalid type for comparison"
                };
                return Err(failed(text));
            }
        },
    };
    Ok(Value::Bool(order.is_some_and(holds)))
}

/// Whether two values are alike in type and in all that they hold.
pub(super) fn deep_equal(left: &Value, right: &Value, meter: &mut Meter) -> Result<bool, Fault> {
    alike(left, right, meter, 0)
}

fn alike(left: &Value, right: &Value, meter: &mut Meter, depth: usize) -> Result<bool, Fault> {
    meter.spend(1)?;
    if depth > VALUE_DEPTH {
        return Err(Limit::ValueDepth.into());
    }
    if left.type_name() != right.type_name() {
        return Ok(false);
    }
    if let (Some(left), Some(right)) = (left.as_whole(), right.as_whole()) {
        return Ok(left == right);
    }
    match (left, right) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Str(left), Value::Str(right)) => {
            meter.spend_text(left.len().min(right.len()))?;
            Ok(left == right)
        }
        #[expect(clippy::float_cmp, reason = "this is the language's own `==`")]
        (Value::Float(left), Value::Float(right)) => Ok(left == right),
        (Value::List(left), Value::List(right)) => {
            let (left, right) = (left.items(), right.items());
            let mut same = left.len() == right.len();
            for (left, right) in left.iter().zip(right) {
                same = same && alike(left, right, meter, depth + 1)?;
            }
            Ok(same)
        }
        (Value::Map(left), Value::Map(right)) => {
            if left.is_same(right) {
                return Ok(true);
            }
            let mut same = left.len() == right.len();
            meter.spend(left.len())?;
            // Both are in order, so equal maps are equal key by key.
            for ((key, value), (other_key, other)) in left.entries().iter().zip(&right.entries()) {
                same = same
                    && alike(key, other_key, meter, depth + 1)?
                    && alike(value, other, meter, depth + 1)?;
            }
            Ok(same)
        }
        (Value::Struct(left), Value::Struct(right)) => structs_alike(left, right, meter, depth),
        _ => Ok(false),
    }
}

fn structs_alike(
    left: &Struct,
    right: &Struct,
    meter: &mut Meter,
    depth: usize,
) -> Result<bool, Fault> {
    let mut same = true;
    for (left, right) in left.fields.iter().zip(&right.fields) {
        same = same && alike(&left.value, &right.value, meter, depth + 1)?;
    }
    Ok(same)
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn comparisons_are_gos() {
        check("eq 1 1", "true");
        check("eq 1 2 1", "true");
        check(r#"eq "a" "b""#, "false");
        check("eq true true", "true");
        check("eq 1.5 1.5", "true");
        check("eq (add 1 2) 3", "true");
        check(r#"eq (index "a" 0) 97"#, "true");
        check("eq nil nil", "true");
        check("eq nil (list)", "false");
        check(r#"eq .Values.nope "a""#, "false");
        check("eq .AutomationObject .AutomationObject", "true");
        check(
            "eq (index .Changed.Changes 0) (index .Changed.Changes 1)",
            "false",
        );
        check("ne 1 2", "true");
        check("lt 1 2", "true");
        check("le 2 2", "true");
        check(r#"gt "a" "b""#, "false");
        check("ge 1.5 1.0", "true");
        check("deepEqual (list 1) (list 1)", "true");
        check(r#"deepEqual (list 1) (list "1")"#, "false");
        check("deepEqual 1 (add 1)", "false");
        check(
            r#"deepEqual (dict "a" (list 1)) (dict "a" (list 1))"#,
            "true",
        );
        check(r#"deepEqual (dict "a" 1) (dict "b" 1)"#, "false");
    }
}
