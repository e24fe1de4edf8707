//! TOML: the scanner of the bracketed languages, and `toml_edit` as the parser beside it.

use toml_edit::{Document, Item, Table, TomlError, Value};

use super::{
    code,
    page::{Page, Unreadable},
    views::{Grower, Kind},
};
use crate::update::view::{Content, Step};

pub(super) fn scan(text: &str) -> Result<Page<'_>, Unreadable> {
    if let Err(error) = parse(text) {
        let at = error.span().map_or(0, |span| span.start);
        return Err(Unreadable {
            at: at.min(text.len()),
            what: "it is no TOML",
        });
    }
    code::scan(text, code::Language::Toml)
}

fn parse(text: &str) -> Result<Document<&str>, TomlError> {
    Document::parse(text)
}

/// Grows the view of a file.
pub(super) fn grow(text: &str, grower: &mut Grower<'_>) -> Result<(), (usize, String)> {
    let document = parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (at, error.message().to_owned())
    })?;
    let root = grower.add(None, Step::Root, Content::Mapping, 0);
    table(document.as_table(), root, grower);
    Ok(())
}

fn table(table: &Table, node: usize, grower: &mut Grower<'_>) {
    for (key, item) in table {
        let step = Step::Key(key.to_owned());
        let at = item.span().map_or(0, |span| span.start);
        match item {
            Item::None => {}
            Item::Value(value) => self::value(value, node, step, grower),
            Item::Table(inner) => {
                let node = grower.add(Some(node), step, Content::Mapping, at);
                self::table(inner, node, grower);
            }
            Item::ArrayOfTables(tables) => {
                let node = grower.add(Some(node), step, Content::Sequence, at);
                for (position, inner) in tables.iter().enumerate() {
                    let at = inner.span().map_or(at, |span| span.start);
                    let step = Step::Item(position);
                    let node = grower.add(Some(node), step, Content::Mapping, at);
                    self::table(inner, node, grower);
                }
            }
        }
    }
}

fn value(value: &Value, parent: usize, step: Step, grower: &mut Grower<'_>) {
    let span = value.span().unwrap_or_default();
    match value {
        Value::String(string) => {
            grower.text(Some(parent), step, span, Kind::String(string.value()));
        }
        Value::Array(array) => {
            let node = grower.add(Some(parent), step, Content::Sequence, span.start);
            for (position, value) in array.iter().enumerate() {
                self::value(value, node, Step::Item(position), grower);
            }
        }
        Value::InlineTable(table) => {
            let node = grower.add(Some(parent), step, Content::Mapping, span.start);
            for (key, value) in table {
                self::value(value, node, Step::Key(key.to_owned()), grower);
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            grower.text(Some(parent), step, span, Kind::Other);
        }
    }
}
