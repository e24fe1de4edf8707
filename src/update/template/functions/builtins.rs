//! Go's own functions, except for the comparisons.

use super::{
    super::{limits::Bounded, printf, quoting, value::Value},
    Call, Fault, Function, MANY, Outcome, Special, failed, length,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        special: Some(Special::And),
        ..Function::new("and", 1, MANY, |call| Ok(call.value(0)))
    },
    Function {
        special: Some(Special::Or),
        ..Function::new("or", 1, MANY, |call| Ok(call.value(0)))
    },
    Function::new("not", 1, 1, |call| {
        Ok(Value::Bool(!call.value(0).is_true()))
    }),
    Function::new("len", 1, 1, len),
    Function::new("index", 1, MANY, index),
    Function::new("print", 0, MANY, |call| {
        let text = printf::print(&call.arguments)?;
        call.give(text)
    }),
    Function::new("println", 0, MANY, |call| {
        let text = printf::println(&call.arguments)?;
        call.give(text)
    }),
    Function::new("printf", 1, MANY, |call| {
        let text = printf::format(&call.text(0)?, &call.values(1))?;
        call.give(text)
    }),
    Function::new("html", 0, MANY, |call| escape(call, html)),
    Function::new("js", 0, MANY, |call| escape(call, js)),
    Function::new("urlquery", 0, MANY, |call| escape(call, query)),
];

fn len(call: &mut Call<'_>) -> Outcome {
    match call.value(0) {
        Value::Str(text) => Ok(length(text.len())),
        Value::List(list) => Ok(length(list.items().len())),
        Value::Map(map) => Ok(length(map.len())),
        Value::Nil => Err(failed("len of nil pointer")),
        other => Err(failed(format!("len of type {}", other.type_name()))),
    }
}

/// Follows keys and positions into a value.
fn index(call: &mut Call<'_>) -> Outcome {
    let mut value = call.value(0);
    if matches!(value, Value::Nil) {
        return Err(failed("index of untyped nil"));
    }
    for position in call.values(1) {
        call.meter.spend(1)?;
        value = match &value {
            Value::List(list) => {
                let items = list.items();
                let position = place(&position, items.len())?;
                items.get(position).cloned().unwrap_or_default()
            }
            Value::Str(text) => {
                let position = place(&position, text.len())?;
                Value::Byte(text.as_bytes().get(position).copied().unwrap_or_default())
            }
            Value::Map(map) => {
                let found = match position {
                    Value::Str(key) => map.get(&key),
                    Value::Struct(key) => map.get_struct(&key),
                    Value::Nil => return Err(failed("value is nil; should be of type string")),
                    other => {
                        let got = other.type_name();
                        return Err(failed(format!("value has type {got}; should be string")));
                    }
                };
                found.unwrap_or_else(|| map.zero().clone())
            }
            Value::Nil => return Err(failed("index of untyped nil")),
            other => {
                let got = other.type_name();
                return Err(failed(format!("can't index item of type {got}")));
            }
        };
    }
    Ok(value)
}

fn place(position: &Value, count: usize) -> Result<usize, Fault> {
    let Some(whole) = position.as_whole() else {
        let got = position.type_name();
        return Err(failed(format!("cannot index slice/array with type {got}")));
    };
    match usize::try_from(whole) {
        Ok(position) if position < count => Ok(position),
        _ => Err(failed(format!("index out of range: {whole}"))),
    }
}

/// Prints the arguments and replaces what `replacement` has an answer for.
fn escape(call: &mut Call<'_>, replacement: fn(char) -> Option<String>) -> Outcome {
    let missing = |value: &Value| match value {
        Value::Nil => Value::from("<no value>"),
        value => value.clone(),
    };
    let values = call.arguments.iter().map(missing).collect::<Vec<_>>();
    let text = printf::print(&values)?;
    let mut escaped = Bounded::default();
    for character in text.chars() {
        match replacement(character) {
            Some(text) => escaped.push_str(&text)?,
            None => escaped.push(character)?,
        }
    }
    call.give(escaped.as_str())
}

fn html(character: char) -> Option<String> {
    let entity = match character {
        '\0' => "\u{fffd}",
        '"' => "&#34;",
        '\'' => "&#39;",
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        _ => return None,
    };
    Some(entity.to_owned())
}

fn js(character: char) -> Option<String> {
    let code = u32::from(character);
    match character {
        '\\' => Some("\\\\".to_owned()),
        '\'' => Some("\\'".to_owned()),
        '"' => Some("\\\"".to_owned()),
        '<' | '>' | '&' | '=' | '\0'..' ' => Some(format!("\\u{code:04X}")),
        _ if quoting::is_printable(character) => None,
        _ => Some(format!("\\u{code:04X}")),
    }
}

fn query(character: char) -> Option<String> {
    if character.is_ascii_alphanumeric() || "-_.~".contains(character) {
        return None;
    }
    if character == ' ' {
        return Some("+".to_owned());
    }
    let text = character.to_string();
    let bytes = text.bytes().map(|byte| format!("%{byte:02X}"));
    Some(bytes.collect())
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn values_are_followed_and_measured() {
        check(r#"len "é""#, "2");
        check("len (list 1 2)", "2");
        check("len .Changed.Objects", "3");
        check("index (list 1 2) 1", "2");
        check(r#"index (dict "a" (list 1 2 3)) "a" 1"#, "2");
        check(r#"index "abc" 0"#, "97");
        check(r#"index .Values "cluster""#, "prod");
        check(r#"index .Values "nope""#, "");
        check(r#"index (dict) "x""#, "<no value>");
        check(r#"index .Changed.FileChanges "nope""#, "map[]");
        check("not 0", "true");
        check(r#"not "a""#, "false");
        check(
            r#"html "<a href='x'>&\"""#,
            "&lt;a href=&#39;x&#39;&gt;&amp;&#34;",
        );
        check("html .Values.nope", "&lt;no value&gt;");
        check(
            r#"js "it's \"x\" <b> & = \n\t é""#,
            r#"it\'s \"x\" \u003Cb\u003E \u0026 \u003D \u000A\u0009 é"#,
        );
        check(r#"urlquery "a b&c=d/é~-_.""#, "a+b%26c%3Dd%2F%C3%A9~-_.");
        check(r#"urlquery 1 "a""#, "1a");
    }
}
