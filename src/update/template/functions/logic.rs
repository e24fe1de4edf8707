//! Defaults, choices, and what a value is.

use super::{super::value::Value, Call, Fault, Function, MANY, Outcome, failed};

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
        _ => Err(call.wrong_type(index, "bool")),
    }
}

fn kind_of(call: &mut Call<'_>) -> Outcome {
    call.give(call.value(0).kind_name())
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn what_is_empty_gives_way() {
        check(r#"default "x" """#, "x");
        check(r#"default "x" .Values.nope"#, "x");
        check(r#"default "x" .Values.cluster"#, "prod");
        check(r#"default "x""#, "x");
        check("default 1 (list)", "1");
        check(r#"coalesce 0 "" nil "a" "b""#, "a");
        check(r#"coalesce 0 """#, "<no value>");
        check(r#"all 1 "a""#, "true");
        check("all 1 0", "false");
        check("any 0 1", "true");
        check("any", "false");
        check("empty .AutomationObject", "false");
        check("empty (dict)", "true");
        check(r#"ternary "y" "n" true"#, "y");
        check(r#"false | ternary "y" "n""#, "n");
    }

    #[test]
    fn types_have_gos_names() {
        check("typeOf nil", "<nil>");
        check("typeOf 1", "int");
        check("typeOf (add 1)", "int64");
        check("typeOf 1.5", "float64");
        check("typeOf (list)", "[]interface {}");
        check("typeOf (dict)", "map[string]interface {}");
        check("typeOf (until 1)", "[]int");
        check(r#"typeOf (split "," "a")"#, "map[string]string");
        check(
            "typeOf .Changed.FileChanges",
            "map[string]update.ObjectChanges",
        );
        check("typeOf .Changed.Changes", "[]update.Change");
        check(r#"typeOf (index "a" 0)"#, "uint8");
        check("kindOf nil", "invalid");
        check("kindOf (list)", "slice");
        check("kindOf (dict)", "map");
        check("kindOf .AutomationObject", "struct");
        check(r#"kindOf (semver "1.0.0")"#, "ptr");
        check(r#"kindIs "string" "a""#, "true");
        check(r#"typeIs "int" 1"#, "true");
        check(r#"typeIsLike "int" 1"#, "true");
        check(r#"typeIsLike "semver.Version" (semver "1.0.0")"#, "true");
    }
}
