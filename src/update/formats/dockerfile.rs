//! Dockerfiles: the image of `FROM` and the defaults of `ARG`.
//!
//! A Dockerfile has comments on lines of their own only, so markers stand above what they govern.

use std::collections::VecDeque;

use super::page::{Comment, Page, Unreadable, Value};
use crate::update::{Style, marker};

const VARIABLE: &str = "a variable or an escape is part of it";
const AT_END: &str =
    "a Dockerfile has no comments at the end of a line; put the marker on the line above";

/// A text for `RUN` or `COPY` that ends at a line of its own.
struct HereDocument<'a> {
    at: usize,
    end: &'a str,
    /// Whether tabs may stand before its end, as after `<<-`.
    tabs: bool,
}

pub(super) fn scan(text: &str) -> Result<Page<'_>, Unreadable> {
    let mut page = Page::default();
    let mut waiting = VecDeque::<HereDocument<'_>>::new();
    let escape = escape_of(text);
    let (mut start, mut continues) = (0, false);
    for line in text.split_inclusive('\n') {
        let content = line.trim_end().trim_start_matches('\u{FEFF}');
        let offset = start + line.find(content).unwrap_or_default();
        start += line.len();
        let begin = offset + content.len() - content.trim_start().len();
        let content = content.trim_start();
        if !continues && let Some(document) = waiting.front() {
            let line = line.trim_end_matches(['\r', '\n']);
            let tabs = if document.tabs { "\t" } else { "" };
            if line.trim_start_matches(|it| tabs.contains(it)) == document.end {
                waiting.pop_front();
            }
            continue;
        }
        if content.starts_with('#') {
            page.comments.push(Comment {
                start: begin,
                text: content,
                refusal: None,
            });
            continue;
        }
        if !continues {
            scan_instruction(content, begin, &mut page);
        }
        here_documents(content, begin, &mut waiting);
        continues = content.ends_with(escape) || continues && content.is_empty();
    }
    match waiting.front() {
        Some(document) => Err(Unreadable {
            at: document.at,
            what: "a here-document is not closed",
        }),
        None => Ok(page),
    }
}

/// The character that continues a line, which a directive at the top may set.
fn escape_of(text: &str) -> char {
    let mut directives = text
        .trim_start_matches('\u{FEFF}')
        .lines()
        .map_while(|line| line.trim().strip_prefix('#')?.split_once('='));
    let escape = directives.find(|(name, _)| name.trim().eq_ignore_ascii_case("escape"));
    match escape {
        Some((_, character)) if character.trim() == "`" => '`',
        _ => '\\',
    }
}

/// Scans the first line of an instruction.
fn scan_instruction<'a>(line: &'a str, start: usize, page: &mut Page<'a>) {
    let mut words = words(line);
    let Some((_, instruction)) = words.next() else {
        return;
    };
    if instruction.eq_ignore_ascii_case("FROM") {
        let mut words = words.skip_while(|(_, word)| word.starts_with("--"));
        if let Some((at, image)) = words.next() {
            let stage = words.nth(1).map_or("", |(_, stage)| stage);
            let name = format!("FROM {stage}");
            let value = value(start + at, image, name.trim_end());
            page.values.extend(value);
        }
    } else if instruction.eq_ignore_ascii_case("ARG") {
        for (at, word) in words {
            if word.starts_with('#') {
                break;
            }
            if let Some((name, default)) = word.split_once('=') {
                let at = start + at + name.len() + 1;
                page.values
                    .extend(value(at, default, &format!("ARG {name}")));
            }
        }
    } else {
        return;
    }
    let end = line.match_indices('#').find(|(at, _)| {
        let (before, after) = line.split_at(*at);
        before.ends_with([' ', '\t']) && marker::mentions_marker(after.as_bytes())
    });
    if let Some((at, _)) = end {
        page.comments.push(Comment {
            start: start + at,
            text: line.get(at..).unwrap_or_default(),
            refusal: Some(AT_END),
        });
    }
}

fn value<'a>(start: usize, word: &'a str, name: &str) -> Option<Value<'a>> {
    let quoted = |quote| word.strip_prefix(quote)?.strip_suffix(quote);
    let (style, text) = match (quoted('"'), quoted('\'')) {
        (Some(text), _) => (Style::Double, text),
        (_, Some(text)) => (Style::Single, text),
        _ => (Style::Plain, word),
    };
    let is_bare = !text.is_empty() && !text.contains(['$', '\\', '`', '"', '\'']);
    (!word.is_empty()).then(|| Value {
        span: start..start + word.len(),
        style,
        text,
        name: name.to_owned(),
        group: 0,
        refusal: (!is_bare).then_some(VARIABLE),
    })
}

/// Finds `<<END` and `<<-END` in an instruction that takes them.
fn here_documents<'a>(line: &'a str, start: usize, waiting: &mut VecDeque<HereDocument<'a>>) {
    if !line.contains("<<") {
        return;
    }
    let documents = words(line).filter_map(|(at, word)| {
        let end = word
            .trim_start_matches(|character: char| character.is_ascii_digit())
            .strip_prefix("<<")?;
        let tabs = end.starts_with('-');
        let end = end.trim_start_matches('-').trim_matches(['"', '\'']);
        let is_name = end.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && end
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || "_-.".contains(character));
        is_name.then_some(HereDocument {
            at: start + at,
            end,
            tabs,
        })
    });
    waiting.extend(documents);
}

/// The words of a line and where they begin.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    line.split([' ', '\t']).filter_map(move |word| {
        let start = at;
        at += word.len() + 1;
        (!word.is_empty()).then_some((start, word))
    })
}
