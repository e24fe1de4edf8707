//! Replacing values: the bytes of each span change, all others are copied.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Range,
};

use super::{
    Edit, Finding, Problem, Style,
    addition::Addition,
    embedded::Embedded,
    proof::{self, Added, Disproof},
    scalar::Target,
    template,
    tree::{Node, Tree},
};
use crate::error::Class;

/// Why a file's edits were not made.
#[derive(Debug, thiserror::Error)]
pub enum SpliceError {
    /// The file to be edited does not parse.
    #[error("cannot edit line {line} of a file that does not parse: {problem}")]
    Unparsable {
        /// The line, from 1.
        line: usize,
        /// What the parser found there.
        problem: Problem,
    },
    /// No value stands at the span, in the given style, with the given old value.
    #[error("cannot replace bytes {start} to {end}: the value `{old}` does not stand there")]
    Stale {
        /// Where the edit begins.
        start: usize,
        /// Where the edit ends.
        end: usize,
        /// The value that the edit expects.
        old: String,
    },
    /// Two edits want the same bytes.
    #[error("cannot replace bytes {start} to {end} twice")]
    Overlap {
        /// Where the second edit begins.
        start: usize,
        /// Where the second edit ends.
        end: usize,
    },
    /// The new value cannot be written in the style of the old one.
    #[error("cannot write the new value on line {line}: {reason}")]
    Unwritable {
        /// The line, from 1.
        line: usize,
        /// What is in the way.
        reason: &'static str,
    },
    /// The edited file would not say what it should; nothing was changed.
    #[error("cannot prove the edit on line {line}: {what}")]
    Proof {
        /// The line of the first difference, from 1.
        line: usize,
        /// The difference.
        what: String,
    },
}

impl SpliceError {
    /// What kind of trouble it is.
    pub fn class(&self) -> Class {
        match self {
            Self::Unparsable { .. } | Self::Unwritable { .. } => Class::Config,
            Self::Stale { .. } | Self::Overlap { .. } | Self::Proof { .. } => Class::Bug,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unwritable { .. } => Some("write the value on the line of its key".to_owned()),
            Self::Unparsable { .. } => {
                Some("correct the file; its marked values stay as they are until then".to_owned())
            }
            Self::Stale { .. } | Self::Overlap { .. } | Self::Proof { .. } => None,
        }
    }
}

/// Replaces the values at the edits' spans, and proves the result.
///
/// The edits may come in any order. An edit to the value that already stands there changes no
/// byte, and a file without edits is not parsed. If one edit fails, none is made.
///
/// ```
/// use tagwright::update::{Edit, Style, yaml::splice};
///
/// let edit = Edit { span: 5..7, style: Style::Plain, old: "v1".into(), new: "1.0".into() };
/// let edited = splice(b"tag: v1 # why\n", &[edit]).unwrap();
/// assert_eq!(edited, b"tag: \"1.0\" # why\n");
/// ```
pub fn splice(bytes: &[u8], edits: &[Edit]) -> Result<Vec<u8>, SpliceError> {
    if edits.is_empty() {
        return Ok(bytes.to_vec());
    }
    match Tree::parse(bytes) {
        Ok(tree) => {
            let changes = Changes::resolve(&tree, edits)?;
            let spliced = changes.apply(tree.text);
            changes.prove(&tree, &spliced)?;
            Ok(spliced.into_bytes())
        }
        Err(finding) => splice_lines(bytes, edits, finding),
    }
}

/// Splices in line mode: template blocks are covered before and after in the same way.
fn splice_lines(bytes: &[u8], edits: &[Edit], finding: Finding) -> Result<Vec<u8>, SpliceError> {
    let covered = template::Covered::parse(bytes);
    let (Ok(text), Some(covered)) = (std::str::from_utf8(bytes), covered) else {
        return Err(unparsable(finding));
    };
    if let Some(edit) = edits.iter().find(|edit| edit.new.contains(['{', '}'])) {
        let before = text.get(..edit.span.start).unwrap_or_default();
        return Err(SpliceError::Unwritable {
            line: before.matches('\n').count() + 1,
            reason: "a template engine would read its braces",
        });
    }
    let tree = Tree::parse(covered.text.as_bytes()).map_err(unparsable)?;
    let changes = Changes::resolve(&tree, edits)?;
    let spliced = changes.apply(text);
    let covered = template::Covered::with(&spliced, covered.cover).ok_or(SpliceError::Proof {
        line: 1,
        what: "the template blocks are not the same".to_owned(),
    })?;
    changes.prove(&tree, &covered.text)?;
    Ok(spliced.into_bytes())
}

/// The blocks that hold YAML, by node, and the edits to their text.
type Blocks<'t> = BTreeMap<usize, (Embedded<'t>, Vec<Edit>)>;

/// What is written where, and what the file says then.
#[derive(Default)]
struct Changes {
    /// Bytes and what replaces them, in the order of the text.
    written: Vec<(Range<usize>, String)>,
    /// Nodes and their new text, in the order of the text.
    expected: Vec<(usize, String)>,
    /// What is added to mappings, in the order of the text.
    added: Vec<Added>,
}

impl Changes {
    /// Finds the value of each edit and how the new one is written there.
    fn resolve(tree: &Tree<'_>, edits: &[Edit]) -> Result<Self, SpliceError> {
        let mut edits: Vec<&Edit> = edits.iter().collect();
        edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
        let mut changes = Self::default();
        let mut blocks = Blocks::new();
        let mut end_of_last = 0;
        for edit in edits {
            let (start, end) = (edit.span.start, edit.span.end);
            if start < end_of_last {
                return Err(SpliceError::Overlap { start, end });
            }
            end_of_last = end;
            if let Style::Missing(key) = edit.style {
                changes
                    .add_key(tree, key, edit)
                    .ok_or_else(|| stale(edit))?;
            } else if let Some(target) = target_of(tree, edit) {
                changes.add(tree, &target, edit)?;
            } else {
                add_to_block(&mut blocks, tree, edit).ok_or_else(|| stale(edit))?;
            }
        }
        for (node, (embedded, edits)) in &blocks {
            changes.add_block(*node, embedded, edits)?;
        }
        changes.written.sort_by_key(|(span, _)| span.start);
        changes.expected.sort_by_key(|(node, _)| *node);
        Ok(changes)
    }

    fn add(
        &mut self,
        tree: &Tree<'_>,
        target: &Target<'_>,
        edit: &Edit,
    ) -> Result<(), SpliceError> {
        if edit.old == edit.new {
            return Ok(());
        }
        let line = tree.nodes.get(target.node).map_or(1, |node| node.line);
        let written = target
            .write(&edit.new)
            .map_err(|reason| SpliceError::Unwritable { line, reason })?;
        self.written.push((edit.span.clone(), written));
        self.expected.push((target.node, edit.new.clone()));
        Ok(())
    }

    /// Adds a key to the mapping of the value that ends where the edit is.
    fn add_key(&mut self, tree: &Tree<'_>, key: &'static str, edit: &Edit) -> Option<()> {
        let (leaf, _) = leaf_at(tree, edit)?;
        let addition = Addition::find(tree, leaf, key).ok()?;
        if edit.span != (addition.end..addition.end) || !edit.old.is_empty() {
            return None;
        }
        if edit.new.is_empty() {
            return Some(());
        }
        let written = addition.write(&edit.new);
        self.written.push((addition.at..addition.at, written));
        self.added.push(Added {
            behind: addition.behind,
            key,
            text: edit.new.clone(),
        });
        Some(())
    }

    /// Adds the changes to the text of one block, which is proved like a file.
    fn add_block(
        &mut self,
        node: usize,
        embedded: &Embedded<'_>,
        edits: &[Edit],
    ) -> Result<(), SpliceError> {
        let unreadable = || SpliceError::Proof {
            line: 1,
            what: "the block is no YAML".to_owned(),
        };
        let tree = embedded.parse().ok_or_else(unreadable)?;
        let inner = Self::resolve(&tree, edits)?;
        if inner.written.is_empty() {
            return Ok(());
        }
        let spliced = inner.apply(tree.text);
        inner.prove(&tree, &spliced)?;
        for (span, written) in inner.written {
            let span = embedded.outward(&span).ok_or_else(unreadable)?;
            self.written.push((span, written));
        }
        self.expected.push((node, spliced));
        Ok(())
    }

    /// Writes the changes into `text`; every other byte is copied.
    fn apply(&self, text: &str) -> String {
        let mut spliced = String::with_capacity(text.len() + 64 * self.written.len());
        let mut copied = 0;
        for (span, written) in &self.written {
            spliced.push_str(text.get(copied..span.start).unwrap_or_default());
            spliced.push_str(written);
            copied = span.end;
        }
        spliced.push_str(text.get(copied..).unwrap_or_default());
        spliced
    }

    fn prove(&self, old: &Tree<'_>, spliced: &str) -> Result<(), SpliceError> {
        let new = Tree::parse(spliced.as_bytes()).map_err(|finding| SpliceError::Proof {
            line: finding.line,
            what: finding.problem.to_string(),
        })?;
        let expected = self.expected.iter();
        let expected: Vec<_> = expected
            .map(|(node, text)| (*node, text.as_str()))
            .collect();
        proof::prove(old, &new, (&expected, &self.added))
            .map_err(|Disproof { line, what }| SpliceError::Proof { line, what })
    }
}

fn stale(edit: &Edit) -> SpliceError {
    SpliceError::Stale {
        start: edit.span.start,
        end: edit.span.end,
        old: edit.old.clone(),
    }
}

fn unparsable(finding: Finding) -> SpliceError {
    SpliceError::Unparsable {
        line: finding.line,
        problem: finding.problem,
    }
}

/// Returns the scalar that `edit` speaks of, if it stands there as the edit says.
fn target_of<'a>(tree: &Tree<'a>, edit: &Edit) -> Option<Target<'a>> {
    let (leaf, node) = leaf_at(tree, edit)?;
    let target = Target::find(tree, leaf, node).ok()?;
    let stands = target.span == edit.span
        && target.style == edit.style
        && tree.scalar(leaf) == Some(edit.old.as_str());
    stands.then_some(target)
}

/// Adds `edit` to those of the block that its value stands in, if it stands in one.
fn add_to_block<'t>(blocks: &mut Blocks<'t>, tree: &'t Tree<'_>, edit: &Edit) -> Option<()> {
    let (leaf, node) = leaf_at(tree, edit)?;
    let (embedded, edits) = match blocks.entry(leaf) {
        Entry::Occupied(block) => block.into_mut(),
        Entry::Vacant(block) => block.insert((Embedded::find(tree, node)?, Vec::new())),
    };
    let span = embedded.inward(&edit.span)?;
    edits.push(Edit {
        span,
        ..edit.clone()
    });
    Some(())
}

fn leaf_at<'t, 'a>(tree: &'t Tree<'a>, edit: &Edit) -> Option<(usize, &'t Node<'a>)> {
    let ends_before = |leaf: &usize| {
        tree.nodes
            .get(*leaf)
            .is_some_and(|node| node.span.end < edit.span.end)
    };
    let leaf = *tree.leaves.get(tree.leaves.partition_point(ends_before))?;
    Some((leaf, tree.nodes.get(leaf)?))
}
