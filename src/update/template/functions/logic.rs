//! Defaults, choices, and what a value is.

use super::{super::value::Value, Call, Fault, Function, MANY, Outcome, failed, wrong_type};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("default", 1, MANY, |call| {
        let given = call.arguments.get(1).filter(|given| given.is_true());
        Ok(given.cloned().unwrap_or_else(|| call.value(0)))
    }),
    Function::new("empty", 1, 1, |call| {
        Ok(Value::Bool(!call.value(0).is_true()))
    }),
    Function::new("coalesce", 0, MANY, |call| {
        let mut given = call.arguments.iter();
        Ok(given
            .find(|value| value.is_true())
            .cloned()
            .unwrap_or_default())
    }),
    Function::new("all", 0, MANY, |call| {
        Ok(Value::Bool(call.arguments.iter().all(Value::is_true)))
    }),
    Function::new("any", 0, MANY, |call| {
        Ok(Value::Bool(call.arguments.iter().any(Value::is_true)))
    }),
    Function::new("ternary", 3, 3, |call| {
        Ok(call.value(usize::from(!truth(call, 2)?)))
    }),
    Function::new("fail", 1, 1, |call| Err(failed(&*call.text(0)?))),
    Function::new("typeOf", 1, 1, |call| call.give(call.value(0).type_name())),
    Function::new("typeIs", 2, 2, |call| {
        Ok(Value::Bool(*call.text(0)? == *call.value(1).type_name()))
    }),
    Function::new("typeIsLike", 2, 2, |call| {
        let (target, value) = (call.text(0)?, call.value(1));
        let name = value.type_name();
        let pointee = name.strip_prefix('*').unwrap_or(name);
        Ok(Value::Bool(*target == *name || *target == *pointee))
    }),
    Function::new("kindOf", 1, 1, kind_of),
    Function::new("kindIs", 2, 2, |call| {
        Ok(Value::Bool(*call.text(0)? == *call.value(1).kind_name()))
    }),
];

fn truth(call: &Call<'_>, index: usize) -> Result<bool, Fault> {
    match call.arguments.get(index) {
        Some(Value::Bool(truth)) => Ok(*truth),
        other => Err(wrong_type("bool", other)),
    }
}

fn kind_of(call: &mut Call<'_>) -> Outcome {
    call.give(call.value(0).kind_name())
}
