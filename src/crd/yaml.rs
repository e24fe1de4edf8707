//! Prints the definitions as YAML: for standard output, never into a user's file.

use serde_json::Value;

/// Prints documents in block style, each behind `---`.
pub fn print(documents: &[Value]) -> String {
    let mut text = String::new();
    for document in documents {
        text.push_str("---\n");
        block(document, 0, &mut text);
    }
    text
}

/// Writes a value that starts a line of its own.
fn block(value: &Value, indent: usize, text: &mut String) {
    let margin = " ".repeat(indent);
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                text.push_str(&format!("{margin}{}:", scalar(key)));
                inner(field, indent + 2, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                text.push_str(&format!("{margin}-"));
                match item {
                    Value::Object(fields) if !fields.is_empty() => {
                        // The first key stands behind the dash.
                        let mut item_text = String::new();
                        block(item, indent + 2, &mut item_text);
                        text.push_str(&format!(" {}", item_text.trim_start()));
                    }
                    _ => inner(item, indent + 2, text),
                }
            }
        }
        _ => text.push_str(&format!("{margin}{}\n", leaf(value))),
    }
}

/// Writes a value that follows a key or a dash.
fn inner(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            block(value, indent, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(value, indent, text);
        }
        _ => text.push_str(&format!(" {}\n", leaf(value))),
    }
}

fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        // Empty collections, numbers, true and false are written as in JSON.
        other => other.to_string(),
    }
}

/// A text, in JSON's quotes wherever YAML might read anything else in it.
fn scalar(text: &str) -> String {
    let is_plain_byte = |byte: u8| byte.is_ascii_alphanumeric() || b" -_./`,;()'".contains(&byte);
    let starts_as_word = text.starts_with(|it: char| it.is_ascii_alphabetic() || it == '.');
    let is_ambiguous = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    let is_plain = starts_as_word
        && !is_ambiguous
        && !text.ends_with(' ')
        && !text.starts_with("...")
        && !text.starts_with(|it: char| {
            it == '.' && text[1..].starts_with(|it: char| it.is_ascii_digit())
        })
        && text.bytes().all(is_plain_byte);
    if is_plain {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_reads_back_as_what_was_printed() {
        let value = json!({
            "plain": "words and `code`", "quoted": "a: b # c", "number": 1, "yes": "yes",
            "empty": {}, "none": [], "lines": "a\nb", "pattern": r"^.*\.sig$", "dot": ".5",
            "list": ["x", {"a": 1, "b": {"c": [true]}}, ["y"], {}], "-1": "12", "": ".spec.x[?(@)]",
        });
        let printed = print(std::slice::from_ref(&value));
        let read = yaml_rust2::YamlLoader::load_from_str(&printed).expect("it is YAML");
        assert_eq!(to_json(&read[0]), value, "{printed}");
    }

    fn to_json(yaml: &yaml_rust2::Yaml) -> Value {
        use yaml_rust2::Yaml;
        match yaml {
            Yaml::String(text) => text.as_str().into(),
            Yaml::Integer(number) => (*number).into(),
            Yaml::Boolean(flag) => (*flag).into(),
            Yaml::Array(items) => items.iter().map(to_json).collect(),
            Yaml::Hash(fields) => {
                let fields = fields.iter().map(|(key, value)| {
                    let key = key.as_str().expect("keys are texts");
                    (key.to_owned(), to_json(value))
                });
                Value::Object(fields.collect())
            }
            other => panic!("{other:?}"),
        }
    }
}
