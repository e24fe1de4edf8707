//! JSON and its relatives, as `jsonc-parser` reads them; plain JSON as `serde_json` does too.

use std::collections::HashMap;

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{Object, Value},
    common::Ranged as _,
};

use super::views::{Grower, Kind};
use crate::update::view::{Content, Step};

/// How much more than JSON is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Nothing.
    Strict,
    /// Comments, and all that JSON5 adds.
    Loose,
}

const TWICE: &str = "a key on the way to it stands twice, and readers differ in which one counts";

/// Grows the view of a file.
pub(super) fn grow(
    text: &str,
    dialect: Dialect,
    grower: &mut Grower<'_>,
) -> Result<(), (usize, String)> {
    let is_loose = dialect == Dialect::Loose;
    let options = ParseOptions {
        allow_comments: is_loose,
        allow_loose_object_property_names: is_loose,
        allow_trailing_commas: is_loose,
        allow_missing_commas: false,
        allow_single_quoted_strings: is_loose,
        allow_hexadecimal_numbers: is_loose,
        allow_unary_plus_numbers: is_loose,
        allow_bare_decimal_point_numbers: is_loose,
        allow_non_finite_numbers: is_loose,
        allow_extended_string_escapes: is_loose,
    };
    let parsed = jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &options);
    let parsed = parsed.map_err(|error| (error.range().start, error.kind().to_string()))?;
    let Some(root) = parsed.value else {
        return Err((0, "the file is empty".to_owned()));
    };
    if dialect == Dialect::Strict {
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| {
            (
                offset(text, error.line(), error.column()),
                error.to_string(),
            )
        })?;
    }
    value(&root, None, Step::Root, grower);
    Ok(())
}

fn offset(text: &str, line: usize, column: usize) -> usize {
    let above = text.split_inclusive('\n').take(line.saturating_sub(1));
    let start = above.map(str::len).sum::<usize>();
    text.floor_char_boundary((start + column.saturating_sub(1)).min(text.len()))
}

fn value(value: &Value<'_>, parent: Option<usize>, step: Step, grower: &mut Grower<'_>) {
    let range = value.range();
    let span = range.start..range.end;
    match value {
        Value::StringLit(string) => grower.text(parent, step, span, Kind::String(&string.value)),
        Value::NumberLit(_) | Value::BooleanLit(_) | Value::NullKeyword(_) => {
            grower.text(parent, step, span, Kind::Other);
        }
        Value::Array(array) => {
            let node = grower.add(parent, step, Content::Sequence, span.start);
            for (position, value) in array.elements.iter().enumerate() {
                self::value(value, Some(node), Step::Item(position), grower);
            }
        }
        Value::Object(object) => {
            let node = grower.add(parent, step, Content::Mapping, span.start);
            self::object(object, node, grower);
        }
    }
}

fn object(object: &Object<'_>, node: usize, grower: &mut Grower<'_>) {
    let mut counts = HashMap::<_, usize>::new();
    for property in &object.properties {
        *counts.entry(property.name.as_str()).or_default() += 1;
    }
    for property in &object.properties {
        let key = property.name.as_str();
        let first = grower.len();
        value(
            &property.value,
            Some(node),
            Step::Key(key.to_owned()),
            grower,
        );
        if counts.get(key).is_some_and(|count| *count > 1) {
            grower.refuse(first, TWICE);
        }
    }
}
