//! Files of `KEY=value` lines.
//!
//! Readers of such files differ in what they take after a value for a comment; all of them know a
//! comment on a line of its own.

use super::page::{Comment, Page, Unreadable, Value};
use crate::update::Style;

const VARIABLE: &str = "a variable or an escape is part of it";
const NO_ROOM: &str = "there is no space between it and the comment";

pub(super) fn scan(text: &str) -> Result<Page<'_>, Unreadable> {
    let mut page = Page::default();
    let mut start = 0;
    let mut open_quote = None;
    for line in text.split_inclusive('\n') {
        if let Some((_, quote)) = open_quote {
            if line.contains(quote) {
                open_quote = None;
            }
        } else {
            open_quote = scan_line(line, start, &mut page);
        }
        start += line.len();
    }
    match open_quote {
        Some((at, _)) => Err(Unreadable {
            at,
            what: "a quote is not closed",
        }),
        None => Ok(page),
    }
}

/// Scans one line, and returns the quote that it leaves open.
fn scan_line<'a>(line: &'a str, start: usize, page: &mut Page<'a>) -> Option<(usize, char)> {
    let line = line.trim_end();
    let mut comment = |at: usize| {
        page.comments.push(Comment {
            start: start + at,
            text: line.get(at..).unwrap_or_default(),
            refusal: None,
        });
    };
    let indentation = line.len() - line.trim_start_matches(['\u{FEFF}', ' ', '\t']).len();
    if line.get(indentation..)?.starts_with('#') {
        comment(indentation);
        return None;
    }
    let (key, rest) = line.split_once('=')?;
    let name = key.trim_start_matches('\u{FEFF}').trim();
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    if name == "sops_mac" {
        page.sealed = Some("its code (`sops_mac`) covers every value");
    }
    // Before a comment, an empty value stands at the `=`: written at the `#`, it would swallow it.
    let is_empty = rest.trim_start().starts_with('#');
    let value_start = line.len() - if is_empty { rest } else { rest.trim_start() }.len();
    let value = line.get(value_start..)?;
    let no_room = is_empty && value.starts_with('#');
    let quote = value.chars().next().filter(|it| matches!(it, '"' | '\''));
    let (style, length, inside) = if let Some(quote) = quote {
        let inside = value.get(1..)?;
        let Some(end) = inside.find(quote) else {
            return Some((start + value_start, quote));
        };
        let style = match quote {
            '"' => Style::Double,
            _ => Style::Single,
        };
        (style, end + 2, inside.get(..end)?)
    } else {
        let end = comment_in(value).unwrap_or(value.len());
        let inside = value.get(..end)?.trim_end();
        (Style::Plain, inside.len(), inside)
    };
    // What stands behind quotes is read as a comment, so that a marker there is not passed over.
    let behind = value.get(length..)?;
    if !behind.is_empty() {
        comment(value_start + length + comment_in(behind).unwrap_or_default());
    }
    let has_variable = inside.contains(['$', '`', '\\']) && style != Style::Single;
    page.values.push(Value {
        span: start + value_start..start + value_start + length,
        style,
        text: inside,
        name: name.to_owned(),
        group: 0,
        refusal: has_variable
            .then_some(VARIABLE)
            .or_else(|| no_room.then_some(NO_ROOM)),
    });
    None
}

/// Where a comment begins: `#` at the beginning or after white space.
fn comment_in(text: &str) -> Option<usize> {
    text.match_indices('#').map(|(at, _)| at).find(|at| {
        text.get(..*at)
            .is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t']))
    })
}
