//! TOML: the scanner of the bracketed languages, and a real parser as second opinion.

use ::toml::{Table, Value, de::Error};

use super::{
    code,
    page::{Page, Unreadable},
};

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

fn parse(text: &str) -> Result<Table, Error> {
    text.parse()
}

/// Whether the parser sees `count` strings that differ, and nothing else.
pub(super) fn differ_by(before: &str, after: &str, count: usize) -> bool {
    let (Ok(before), Ok(after)) = (parse(before), parse(after)) else {
        return false;
    };
    let (before, after) = (Value::Table(before), Value::Table(after));
    let mut differences = 0;
    let mut pairs = vec![(&before, &after)];
    while let Some(pair) = pairs.pop() {
        match pair {
            (Value::Table(before), Value::Table(after)) if before.keys().eq(after.keys()) => {
                pairs.extend(before.values().zip(after.values()));
            }
            (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
                pairs.extend(before.iter().zip(after));
            }
            (Value::String(before), Value::String(after)) => {
                differences += usize::from(before != after);
            }
            (before, after) if before == after => {}
            _ => return false,
        }
    }
    differences == count
}
