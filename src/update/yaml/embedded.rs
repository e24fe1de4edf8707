//! YAML inside YAML: a literal block that holds a manifest.
//!
//! The text of a `|` block is its lines without their indentation. It is parsed as a file of its
//! own, and spans are carried from one to the other line by line.

use std::ops::Range;

use super::{
    Style,
    tree::{Content, Node, Tree},
};
use crate::update::marker;

/// A literal block with the word of a marker in it.
pub(super) struct Embedded<'t> {
    /// The text of the block.
    pub(super) text: &'t str,
    lines: Vec<Line>,
}

/// Where one line of the block's text stands.
struct Line {
    /// Its bytes in the block's text.
    inner: Range<usize>,
    /// Where it begins in the file, after the indentation.
    outer: usize,
    /// Its number in the file.
    number: usize,
    /// How many spaces stand before it.
    indentation: usize,
}

impl<'t> Embedded<'t> {
    /// Returns the block `node`, if it can hold marked YAML.
    pub(super) fn find(tree: &'t Tree<'_>, node: &'t Node<'_>) -> Option<Self> {
        let Content::Scalar {
            text,
            style: Style::Literal,
        } = &node.content
        else {
            return None;
        };
        if !marker::mentions_marker(text.as_bytes()) {
            return None;
        }
        let lines = lines(text, tree.text.get(node.span.clone())?, node)?;
        Some(Self { text, lines })
    }

    /// Parses the text, if it is YAML: a mapping or a sequence, and not a sentence or a script.
    pub(super) fn parse(&self) -> Option<Tree<'t>> {
        let tree = Tree::parse(self.text.as_bytes()).ok()?;
        let is_collection = matches!(
            tree.nodes.first()?.content,
            Content::Sequence(_) | Content::Mapping(_)
        );
        is_collection.then_some(tree)
    }

    /// Carries bytes of one line out into the file.
    pub(super) fn outward(&self, inner: &Range<usize>) -> Option<Range<usize>> {
        let next = self
            .lines
            .partition_point(|line| line.inner.end < inner.start);
        let line = self.lines.get(next)?;
        if inner.start < line.inner.start || inner.end > line.inner.end {
            return None;
        }
        let start = line.outer + (inner.start - line.inner.start);
        Some(start..start + inner.len())
    }

    /// Carries bytes of one line of the file in.
    pub(super) fn inward(&self, outer: &Range<usize>) -> Option<Range<usize>> {
        let next = self.lines.partition_point(|line| line.outer <= outer.start);
        let line = self.lines.get(next.checked_sub(1)?)?;
        let start = line.inner.start + (outer.start - line.outer);
        let inner = start..start + outer.len();
        (inner.end <= line.inner.end).then_some(inner)
    }

    /// Carries line and column, both from 1, out into the file.
    pub(super) fn place(&self, line: usize, column: usize) -> (usize, usize) {
        let first = self.lines.first().map_or(0, |line| line.inner.start);
        let found = line
            .checked_sub(1 + first)
            .and_then(|line| self.lines.get(line));
        found.map_or((line, column), |found| {
            (found.number, column + found.indentation)
        })
    }
}

/// Sets the lines of the block's text beside those of the file, `written`.
///
/// The parser's span begins with the first line that has text, or before it.
fn lines(text: &str, written: &str, node: &Node<'_>) -> Option<Vec<Line>> {
    let is_blank = |line: &&str| line.trim().is_empty();
    let above: usize = written
        .split_inclusive('\n')
        .take_while(is_blank)
        .map(str::len)
        .sum();
    let first = node.line + written.get(..above)?.matches('\n').count();
    let mut outer = node.span.start + above;
    let mut inner = text.len() - text.trim_start_matches('\n').len();
    let mut lines = Vec::new();
    let beside = written.get(above..)?.split('\n').zip(first..);
    for (said, (line, number)) in text.get(inner..)?.split('\n').zip(beside) {
        let content = line.strip_suffix('\r').unwrap_or(line);
        let indentation = content.strip_suffix(said)?.len();
        lines.push(Line {
            inner: inner..inner + said.len(),
            outer: outer + indentation,
            number,
            indentation,
        });
        inner += said.len() + 1;
        outer += line.len() + 1;
    }
    Some(lines)
}
