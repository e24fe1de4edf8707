//! TOML, HCL, and JSON with comments: strings in quotes, comments, brackets.

use super::page::{Comment, Page, Unreadable, Value};
use crate::update::Style;

/// The languages of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// Its tables open with `[name]`, and its strings may have three quotes.
    Toml,
    /// Its strings hold `${…}`, and `<<END` opens a text.
    Hcl,
    /// With comments, and with all that JSON5 adds to strings and keys.
    Json,
}

impl Language {
    /// What opens a comment that ends with its line.
    fn line_comments(self) -> &'static [&'static str] {
        match self {
            Self::Toml => &["#"],
            Self::Hcl => &["#", "//"],
            Self::Json => &["//"],
        }
    }

    fn has_block_comments(self) -> bool {
        matches!(self, Self::Hcl | Self::Json)
    }

    fn has_single_quotes(self) -> bool {
        matches!(self, Self::Toml | Self::Json)
    }

    /// What stands before a string that is a value.
    fn before(self) -> &'static str {
        match self {
            Self::Toml => "=[,",
            Self::Hcl => "=[,(:?",
            Self::Json => ":[,",
        }
    }

    /// What stands behind a string that is a key.
    fn separators(self) -> &'static str {
        match self {
            Self::Toml => "=.",
            Self::Hcl => "=:",
            Self::Json => ":",
        }
    }
}

/// How far before a value its name is looked for, in bytes.
const MAX_NAME: usize = 256;
const TEMPLATE: &str = "a template is part of it";
const ESCAPE: &str = "an escape is part of it";
const LONG: &str = "it may run over several lines";

pub(super) fn scan(text: &str, language: Language) -> Result<Page<'_>, Unreadable> {
    let mut scanner = Scanner {
        text,
        language,
        at: text.len() - text.trim_start_matches('\u{FEFF}').len(),
        page: Page::default(),
        open: Vec::new(),
        groups: 0,
        table: 0,
        last: None,
    };
    while scanner.at < text.len() {
        scanner.step()?;
    }
    Ok(scanner.page)
}

struct Scanner<'a> {
    text: &'a str,
    language: Language,
    at: usize,
    page: Page<'a>,
    /// The groups of the brackets that are open.
    open: Vec<usize>,
    groups: usize,
    /// The group outside of brackets.
    table: usize,
    /// The last character that is neither white space nor comment.
    last: Option<char>,
}

impl<'a> Scanner<'a> {
    fn step(&mut self) -> Result<(), Unreadable> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(character) = rest.chars().next() else {
            return Ok(());
        };
        let opening = self.language.line_comments().iter();
        if let Some(opening) = opening.copied().find(|opening| rest.starts_with(opening)) {
            let line = rest.split('\n').next().unwrap_or_default();
            self.comment(line.get(opening.len()..).unwrap_or_default());
            self.at += line.len();
        } else if self.language.has_block_comments() && rest.starts_with("/*") {
            let end = self.find("*/", 2, "a comment is not closed")?;
            let inside = rest.get(2..end - 2).unwrap_or_default();
            let behind = rest.get(end..).unwrap_or_default();
            let behind = behind.trim_start_matches([' ', '\t', '\r']);
            let ends_line = behind.is_empty() || behind.starts_with('\n');
            if ends_line && !inside.contains('\n') {
                self.comment(inside);
            }
            self.at += end;
        } else if character == '"' || character == '\'' && self.language.has_single_quotes() {
            self.string(character)?;
        } else if self.language == Language::Hcl
            && rest.starts_with("<<")
            && self.here_document()?
        {
            self.last = Some('"');
        } else {
            self.mark(character);
            self.at += character.len_utf8();
        }
        Ok(())
    }

    /// The bytes from here to the end of `end`, which is looked for after `from` bytes.
    fn find(&self, end: &str, from: usize, what: &'static str) -> Result<usize, Unreadable> {
        let rest = self.text.get(self.at + from..).unwrap_or_default();
        let found = rest.find(end).ok_or(Unreadable { at: self.at, what })?;
        Ok(from + found + end.len())
    }

    fn comment(&mut self, text: &'a str) {
        self.page.comments.push(Comment {
            start: self.at,
            text: text.trim(),
            refusal: None,
        });
    }

    /// Notes a character that stands for itself.
    fn mark(&mut self, character: char) {
        match character {
            '[' if self.opens_table() => {
                self.groups += 1;
                self.table = self.groups;
                // A table's name is no value: nothing in `before` stands in front of its strings.
                self.last = Some('.');
                return;
            }
            '[' | '{' | '(' => {
                self.groups += 1;
                self.open.push(self.groups);
            }
            ']' | '}' | ')' => {
                self.open.pop();
            }
            _ => {}
        }
        if !character.is_whitespace() {
            self.last = Some(character);
        }
    }

    fn opens_table(&self) -> bool {
        self.language == Language::Toml && self.open.is_empty() && self.last != Some('=')
    }

    fn string(&mut self, quote: char) -> Result<(), Unreadable> {
        const UNCLOSED: &str = "a string is not closed";
        let (start, before) = (self.at, self.last);
        let rest = self.text.get(start..).unwrap_or_default();
        let long = if quote == '"' { "\"\"\"" } else { "'''" };
        let (end, mut refusal) = if self.language == Language::Toml && rest.starts_with(long) {
            (self.find(long, 3, UNCLOSED)?, Some(LONG))
        } else {
            let end = self.end_of_string(rest, quote).ok_or(Unreadable {
                at: start,
                what: UNCLOSED,
            })?;
            (end, None)
        };
        self.at += end;
        self.last = Some('"');
        let text = rest.get(1..end - 1).unwrap_or_default();
        if text.contains('\\') && !(self.language == Language::Toml && quote == '\'') {
            refusal = refusal.or(Some(ESCAPE));
        }
        if self.language == Language::Hcl && (text.contains("${") || text.contains("%{")) {
            refusal = refusal.or(Some(TEMPLATE));
        }
        if self.is_value(before) {
            self.page.values.push(Value {
                span: start..start + end,
                style: if quote == '"' {
                    Style::Double
                } else {
                    Style::Single
                },
                text,
                name: self.name(start),
                group: self.open.last().copied().unwrap_or(self.table),
                refusal,
            });
        }
        Ok(())
    }

    /// The length of the string at the beginning of `rest`, quotes included.
    fn end_of_string(&self, rest: &str, quote: char) -> Option<usize> {
        let is_literal = self.language == Language::Toml && quote == '\'';
        // What is open inside of a template: its braces and the strings in them.
        let mut open = vec![quote];
        let mut characters = rest.char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            let in_string = open.last() == Some(&quote);
            match character {
                '\\' if in_string && !is_literal => {
                    characters.next();
                }
                '\n' if in_string => return None,
                '$' | '%' if in_string && self.language == Language::Hcl => {
                    // `$${` is text.
                    let is_text = characters.next_if(|(_, next)| *next == character).is_some();
                    if characters.next_if(|(_, next)| *next == '{').is_some() && !is_text {
                        open.push('{');
                    }
                }
                '{' if !in_string => open.push('{'),
                '}' if !in_string => {
                    open.pop();
                }
                _ if character == quote && in_string => {
                    open.pop();
                    if open.is_empty() {
                        return Some(at + 1);
                    }
                }
                _ if character == quote => open.push(quote),
                _ => {}
            }
        }
        None
    }

    /// Whether the string that was just passed is a value, by what stands around it.
    fn is_value(&self, before: Option<char>) -> bool {
        let follows = before.is_none_or(|before| self.language.before().contains(before));
        let rest = self.text.get(self.at..).unwrap_or_default().trim_start();
        follows && !rest.starts_with(|next| self.language.separators().contains(next))
    }

    /// What stands before a value on its line, without brackets and signs.
    fn name(&self, start: usize) -> String {
        // Not the whole line: a file may be one line with a million strings.
        let from = self
            .text
            .floor_char_boundary(start.saturating_sub(MAX_NAME));
        let before = self.text.get(from..start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let is_sign = |character: char| !character.is_alphanumeric() && !"_-".contains(character);
        let word = line.trim_end_matches(is_sign);
        let word = word
            .rsplit([' ', '\t', ',', '{'])
            .next()
            .unwrap_or_default();
        word.trim_matches(is_sign).to_owned()
    }

    /// Passes `<<END`, `<<-END` and the lines down to `END`, if they stand here.
    fn here_document(&mut self) -> Result<bool, Unreadable> {
        let rest = self.text.get(self.at + 2..).unwrap_or_default();
        let mut lines = rest.split_inclusive('\n');
        let first = lines.next().unwrap_or_default();
        let end = first.trim();
        let end = end.strip_prefix('-').unwrap_or(end);
        let is_name = |character: char| character.is_alphanumeric() || "_-".contains(character);
        if end.is_empty() || !end.chars().all(is_name) {
            return Ok(false);
        }
        let mut length = 2 + first.len();
        for line in lines {
            length += line.len();
            if line.trim() == end {
                self.at += length;
                return Ok(true);
            }
        }
        Err(Unreadable {
            at: self.at,
            what: "a here-document is not closed",
        })
    }
}
