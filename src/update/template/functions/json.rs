//! JSON, written as Go writes it: keys sorted, `<`, `>` and `&` escaped unless raw.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    super::{
        limits::{Bounded, Limit, VALUE_DEPTH},
        numerals::{self, Digits},
        value::{Struct, Value},
    },
    Call, DICT, Fault, Function, Outcome, failed,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("fromJson", 1, 1, |call| or(call, read, Value::Nil)),
    Function::new("mustFromJson", 1, 1, read),
    Function::new("toJson", 1, 1, |call| {
        or(call, |call| write(call, Style::ESCAPED), Value::from(""))
    }),
    Function::new("mustToJson", 1, 1, |call| write(call, Style::ESCAPED)),
    Function::new("toPrettyJson", 1, 1, |call| {
        or(call, |call| write(call, Style::PRETTY), Value::from(""))
    }),
    Function::new("mustToPrettyJson", 1, 1, |call| write(call, Style::PRETTY)),
    Function::new("toRawJson", 1, 1, |call| write(call, Style::RAW)),
    Function::new("mustToRawJson", 1, 1, |call| write(call, Style::RAW)),
];

/// Gives `otherwise` where the call fails on its data; a limit is met all the same.
fn or(call: &mut Call<'_>, run: fn(&mut Call<'_>) -> Outcome, otherwise: Value) -> Outcome {
    match run(call) {
        Err(Fault::Failed(_)) => Ok(otherwise),
        outcome => outcome,
    }
}

fn read(call: &mut Call<'_>) -> Outcome {
    let text = call.text(0)?;
    call.meter.spend_text(text.len())?;
    let parsed = serde_json::from_str::<serde_json::Value>(&text);
    let parsed = parsed.map_err(|error| failed(error.to_string()))?;
    from_json(call, parsed)
}

fn from_json(call: &mut Call<'_>, json: serde_json::Value) -> Outcome {
    call.meter.spend(1)?;
    Ok(match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => call.give(text)?,
        serde_json::Value::Array(array) => {
            let mut items = Vec::with_capacity(array.len());
            for item in array {
                items.push(from_json(call, item)?);
            }
            call.items(items)?
        }
        serde_json::Value::Object(object) => {
            let mut entries = BTreeMap::new();
            for (key, item) in object {
                entries.insert(key.into(), from_json(call, item)?);
            }
            Value::Map(call.meter.dict(DICT, Value::Nil, entries)?)
        }
    })
}

#[derive(Clone, Copy)]
struct Style {
    escapes_markup: bool,
    indents: bool,
}

impl Style {
    const ESCAPED: Self = Self {
        escapes_markup: true,
        indents: false,
    };
    const PRETTY: Self = Self {
        escapes_markup: true,
        indents: true,
    };
    const RAW: Self = Self {
        escapes_markup: false,
        indents: false,
    };
}

fn write(call: &mut Call<'_>, style: Style) -> Outcome {
    let mut writer = Writer {
        out: Bounded::default(),
        style,
    };
    writer.value(&call.value(0), 0)?;
    call.give(writer.out.as_str())
}

struct Writer {
    out: Bounded,
    style: Style,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Fault> {
        if depth > VALUE_DEPTH {
            return Err(Limit::ValueDepth.into());
        }
        match value {
            Value::Nil => self.out.push_str("null"),
            Value::Bool(truth) => self.out.push_str(if *truth { "true" } else { "false" }),
            Value::Str(text) => self.text(text),
            Value::Float(number) => self.float(*number),
            Value::List(list) => {
                let items = list.items().iter().map(|item| (None, item.clone()));
                self.all('[', items.collect(), ']', depth)
            }
            Value::Map(map) => {
                if map.has_struct_keys() {
                    let name = value.type_name();
                    return Err(failed(format!("json: unsupported type: {name}")));
                }
                let entries = map.entries().into_iter().map(|(key, item)| match key {
                    Value::Str(key) => (Some(key.to_string()), item),
                    _ => (None, item),
                });
                self.all('{', entries.collect(), '}', depth)
            }
            Value::Struct(fields) => match &fields.text {
                Some(text) if fields.type_name.starts_with('*') => self.text(text),
                _ => {
                    let mut members = Vec::new();
                    collect(fields, &mut members);
                    self.all('{', members, '}', depth)
                }
            },
            number => {
                let number = number.as_whole().unwrap_or_default();
                self.out.push_str(&number.to_string())
            }
        }
    }

    fn all(
        &mut self,
        open: char,
        items: Vec<(Option<String>, Value)>,
        close: char,
        depth: usize,
    ) -> Result<(), Fault> {
        self.out.push(open)?;
        let is_empty = items.is_empty();
        for (index, (name, item)) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.push(',')?;
            }
            self.line(depth + 1)?;
            if let Some(name) = name {
                self.text(&name)?;
                self.out
                    .push_str(if self.style.indents { ": " } else { ":" })?;
            }
            self.value(&item, depth + 1)?;
        }
        if !is_empty {
            self.line(depth)?;
        }
        self.out.push(close)
    }

    fn line(&mut self, depth: usize) -> Result<(), Fault> {
        if self.style.indents {
            self.out.push('\n')?;
            self.out.push_times("  ", depth)?;
        }
        Ok(())
    }

    fn float(&mut self, number: f64) -> Result<(), Fault> {
        if !number.is_finite() {
            return Err(failed("json: unsupported value"));
        }
        let magnitude = number.abs();
        let is_plain = magnitude == 0.0 || (1e-6..1e21).contains(&magnitude);
        let text = if is_plain {
            numerals::float(magnitude, 'f', Digits::Shortest)
        } else {
            let text = numerals::float(magnitude, 'e', Digits::Shortest);
            text.replace("e-0", "e-")
        };
        let sign = if number.is_sign_negative() { "-" } else { "" };
        self.out.push_str(sign)?;
        self.out.push_str(&text)
    }

    fn text(&mut self, text: &str) -> Result<(), Fault> {
        self.out.push('"')?;
        for character in text.chars() {
            let code = u32::from(character);
            match character {
                '"' => self.out.push_str("\\\"")?,
                '\\' => self.out.push_str("\\\\")?,
                '\n' => self.out.push_str("\\n")?,
                '\r' => self.out.push_str("\\r")?,
                '\t' => self.out.push_str("\\t")?,
                '<' | '>' | '&' if !self.style.escapes_markup => self.out.push(character)?,
                '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    self.out.push_str(&format!("\\u{code:04x}"))?;
                }
                character => self.out.push(character)?,
            }
        }
        self.out.push('"')
    }
}

/// The members of a struct's JSON object: embedded structs flat, tagged fields only if filled.
fn collect(fields: &Rc<Struct>, members: &mut Vec<(Option<String>, Value)>) {
    for field in &fields.fields {
        match &field.value {
            Value::Struct(inner) if field.embedded => collect(inner, members),
            value if field.json.is_some() && !value.is_true() => {}
            value => {
                let name = field.json.unwrap_or(field.name);
                members.push((Some(name.to_owned()), value.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn json_is_written_as_by_go() {
        check(
            r#"toJson (dict "b" 1 "a" "x<y>&z" "c" (list 1 2.5 nil true))"#,
            r#"{"a":"x\u003cy\u003e\u0026z","b":1,"c":[1,2.5,null,true]}"#,
        );
        check(r#"toRawJson (dict "a" "<&>")"#, r#"{"a":"<&>"}"#);
        check(
            r#"toPrettyJson (dict "a" (list 1 2) "b" (dict) "c" (list) "d" (dict "x" 1))"#,
            "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {},\n  \"c\": [],\n  \"d\": {\n    \"x\": 1\n  }\n}",
        );
        check(
            r#"toJson "é\n\t\"\\\u0001\u007f\u2028""#,
            r#""é\n\t\"\\\u0001\u2028""#,
        );
        check(
            "toJson (list 1e21 1e20 1e-7 0.000001 100.0)",
            "[1e+21,100000000000000000000,1e-7,0.000001,100]",
        );
        check(
            "toJson .AutomationObject",
            r#"{"Namespace":"flux-system","Name":"apps"}"#,
        );
        check(
            "toJson .Changed.Changes",
            r#"[{"OldValue":"web:1.0","NewValue":"web:1.1","Setter":"apps:web"},{"OldValue":"1.0","NewValue":"1.1","Setter":"apps:web:tag"},{"OldValue":"db:5","NewValue":"db:6","Setter":"apps:db"}]"#,
        );
        check("toJson .Values", r#"{"cluster":"prod","n":"3"}"#);
        check("toJson .Changed", "");
    }

    #[test]
    fn json_is_read() {
        check(
            r#"(fromJson "{\"a\":{\"b\":[1,\"x\",null,true,1.5]}}").a.b"#,
            "[1 x <nil> true 1.5]",
        );
        check(r#"fromJson "{\"b\":1,\"a\":2}""#, "map[a:2 b:1]");
        check(r#"fromJson "12345678""#, "1.2345678e+07");
        check(r#"fromJson "nonsense""#, "<no value>");
        check(r#"fromJson "null""#, "<no value>");
    }
}
