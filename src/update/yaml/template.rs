//! Line mode: files with template blocks, which only their template engine can read.
//!
//! The blocks, `{{ … }}`, are covered, byte for byte, with text that a YAML parser accepts. What is
//! left has its lines and columns, so markers are bound in it, and edits are proved in it, as in
//! any other file. No value that a block takes part in is edited.

use std::ops::Range;

use super::{Finding, Problem, Reading, bind, outline, tree::Tree};
use crate::update::{
    marker,
    view::{Content, View},
};

/// What a block is covered with, where it is not alone on its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    /// With letters: `{{ .name }}: {{ .value }}` becomes a key and a value.
    Letters,
    /// With letters, but with nothing at the end of a line: `labels: {{ include … }}` may be
    /// followed by more labels.
    LettersBeforeText,
}

/// A file whose template blocks are covered.
pub(super) struct Covered {
    /// The text, in which every other byte is where it was.
    pub(super) text: String,
    /// How it was covered.
    pub(super) cover: Cover,
    /// The blocks, in the order of the text.
    blocks: Vec<Range<usize>>,
}

impl Covered {
    /// Covers the blocks of a file that does not parse, so that it does.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let blocks = blocks(text)?;
        // A block that does not end where it should takes lines with it that somebody marked.
        let hides_marker = |block: &Range<usize>| {
            let block = text.get(block.clone()).unwrap_or_default();
            !is_comment(block) && marker::mentions_marker(block.as_bytes())
        };
        if blocks.iter().any(hides_marker) {
            return None;
        }
        [Cover::Letters, Cover::LettersBeforeText]
            .into_iter()
            .map(|cover| Self::new(text, cover, blocks.clone()))
            .find(|covered| Tree::parse(covered.text.as_bytes()).is_ok())
    }

    /// Covers the blocks of `text` in a given way.
    pub(super) fn with(text: &str, cover: Cover) -> Option<Self> {
        Some(Self::new(text, cover, blocks(text)?))
    }

    fn new(text: &str, cover: Cover, blocks: Vec<Range<usize>>) -> Self {
        let mut covered = text.as_bytes().to_vec();
        for block in &blocks {
            for byte in covered.get_mut(block.clone()).into_iter().flatten() {
                if !matches!(*byte, b'\n' | b'\r') {
                    *byte = PLACEHOLDER;
                }
            }
        }
        for line in covered.split_mut(|byte| matches!(byte, b'\n' | b'\r')) {
            settle(line, cover);
        }
        Self {
            text: String::from_utf8(covered)
                .expect("whole blocks were replaced, and blocks begin and end with ASCII"),
            cover,
            blocks,
        }
    }

    /// Whether a block stands in these bytes.
    pub(super) fn has_block_in(&self, span: &Range<usize>) -> bool {
        let next = self.blocks.partition_point(|block| block.end <= span.start);
        self.blocks
            .get(next)
            .is_some_and(|block| block.start < span.end)
    }
}

/// Stands in blocks until their line is settled; it is no text of any YAML file.
const PLACEHOLDER: u8 = 0;

/// Gives the placeholders of one line their final form.
fn settle(line: &mut [u8], cover: Cover) {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == PLACEHOLDER;
    let text_end = line
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(0, |at| at + 1);
    for (at, byte) in line.iter_mut().enumerate() {
        if *byte == PLACEHOLDER {
            let is_blank = match cover {
                Cover::Letters => text_end == 0,
                Cover::LettersBeforeText => at >= text_end,
            };
            *byte = if is_blank { b' ' } else { b'x' };
        }
    }
}

/// Finds the template blocks; none where there are none, or where one does not end.
fn blocks(text: &str) -> Option<Vec<Range<usize>>> {
    if text.contains(char::from(PLACEHOLDER)) {
        return None;
    }
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some(start) = text.get(from..)?.find("{{") {
        let start = from + start;
        from = start + block_length(text.get(start..)?)?;
        blocks.push(start..from);
    }
    (!blocks.is_empty()).then_some(blocks)
}

/// Whether a block is a comment, `{{/* … */}}`.
fn is_comment(block: &str) -> bool {
    let inside = block.trim_start_matches('{').trim_start_matches('-');
    inside.trim_start().starts_with("/*")
}

/// The length of the block at the beginning of `text`; its strings may hold `}}`.
fn block_length(text: &str) -> Option<usize> {
    let inside = text
        .strip_prefix("{{")?
        .trim_start_matches('-')
        .trim_start();
    let begin = text.len() - inside.len();
    if inside.starts_with("/*") {
        let end = begin + inside.find("*/")? + 2;
        return Some(end + text.get(end..)?.find("}}")? + 2);
    }
    let mut rest = inside.char_indices();
    while let Some((at, character)) = rest.next() {
        match character {
            '}' if inside.get(at..)?.starts_with("}}") => return Some(begin + at + 2),
            '`' => rest.find(|(_, character)| *character == '`').map(drop)?,
            '"' | '\'' => loop {
                match rest.next()?.1 {
                    '\\' => rest.next().map(drop)?,
                    found if found == character => break,
                    _ => {}
                }
            },
            _ => {}
        }
    }
    None
}

/// Finds the marked values of a file that does not parse, for the reason in `unparsable`.
pub(super) fn read(bytes: &[u8], unparsable: Finding) -> Reading {
    let Some(covered) = matches!(unparsable.problem, Problem::Unparsable(_))
        .then(|| Covered::parse(bytes))
        .flatten()
    else {
        return Reading {
            setters: Vec::new(),
            findings: vec![unparsable],
            ..Reading::default()
        };
    };
    let Ok(tree) = Tree::parse(covered.text.as_bytes()) else {
        return Reading::default();
    };
    let mut reading = bind::bind(&tree, bind::Mode::Lines);
    let Reading {
        setters, findings, ..
    } = &mut reading;
    setters.retain(|setter| {
        let is_text = !covered.has_block_in(&setter.span);
        if !is_text {
            findings.push(Finding {
                line: setter.line,
                column: setter.column,
                problem: Problem::NotEditable("a template block is part of it".to_owned()),
            });
        }
        is_text
    });
    if !(setters.is_empty() && findings.is_empty()) {
        findings.push(Finding {
            problem: Problem::LineMode,
            ..unparsable
        });
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    reading
}

/// What a parser sees beside the template blocks; a value that a block takes part in is refused.
pub(super) fn view(bytes: &[u8], unparsable: Finding) -> Result<View, Finding> {
    let covered = matches!(unparsable.problem, Problem::Unparsable(_))
        .then(|| Covered::parse(bytes))
        .flatten();
    let Some(covered) = covered else {
        return Err(unparsable);
    };
    let Ok(tree) = Tree::parse(covered.text.as_bytes()) else {
        return Err(unparsable);
    };
    let mut view = outline::view(&tree, bind::Mode::Lines);
    for node in &mut view.nodes {
        if let Content::Text(text) = &mut node.content
            && covered.has_block_in(&text.span)
        {
            let reason = "a template block is part of it".to_owned();
            text.refusal = Some(Problem::NotEditable(reason));
        }
    }
    Ok(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, cover: Cover, expected: &str) {
        let covered = Covered::with(text, cover).unwrap();
        assert_eq!(covered.text, expected, "{text}");
    }

    #[test]
    fn blocks_are_covered_and_nothing_else() {
        use Cover::{Letters, LettersBeforeText};
        check("{{- if .a }}\nb: c\n", Letters, "            \nb: c\n");
        check("a: {{ .b }}\r\n", Letters, "a: xxxxxxxx\r\n");
        check("a: {{ .b }}\n", LettersBeforeText, "a:         \n");
        check(
            "{{ .a }}: {{ .b }}",
            LettersBeforeText,
            "xxxxxxxx:         ",
        );
        check("a: {{ .b }}-c", LettersBeforeText, "a: xxxxxxxx-c");
        check("a: {{ \"}}\" }}", Letters, "a: xxxxxxxxxx");
        check("a: {{ \"\\\"}}\" }}", Letters, "a: xxxxxxxxxxxx");
        check("a: {{ `}}` }}", Letters, "a: xxxxxxxxxx");
        check(
            "{{/* it's }}\n */ -}}\na",
            Letters,
            "            \n       \na",
        );
        check("é: {{ 'é' }}", Letters, "é: xxxxxxxxxx");
    }

    #[test]
    fn a_block_without_an_end_is_no_block() {
        for text in ["a: b", "a: {{ b", "a: {{ \"}}", "{{/* }}", "{{", "{{ `"] {
            assert_eq!(blocks(text), None, "{text}");
        }
    }
}
