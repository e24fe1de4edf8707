//! Replacing values: the bytes of each span change, all others are copied.

use super::{
    Edit, Finding, Problem,
    proof::{self, Disproof},
    scalar::Target,
    tree::Tree,
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
    let tree = Tree::parse(bytes).map_err(unparsable)?;
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let mut spliced = String::with_capacity(tree.text.len() + 64 * edits.len());
    let mut expected = Vec::with_capacity(edits.len());
    let mut copied = 0;
    for edit in edits {
        let (start, end) = (edit.span.start, edit.span.end);
        let stale = || SpliceError::Stale {
            start,
            end,
            old: edit.old.clone(),
        };
        if start < copied {
            return Err(SpliceError::Overlap { start, end });
        }
        let target = target_of(&tree, edit).ok_or_else(stale)?;
        spliced.push_str(tree.text.get(copied..start).ok_or_else(stale)?);
        if edit.old == edit.new {
            spliced.push_str(target.written);
        } else {
            let line = tree.nodes.get(target.node).map_or(1, |node| node.line);
            let written = target
                .write(&edit.new)
                .map_err(|reason| SpliceError::Unwritable { line, reason })?;
            spliced.push_str(&written);
            expected.push((target.node, edit.new.as_str()));
        }
        copied = end;
    }
    spliced.push_str(tree.text.get(copied..).unwrap_or_default());
    let spliced = spliced.into_bytes();
    prove(&tree, &spliced, &expected)?;
    Ok(spliced)
}

fn prove(old: &Tree<'_>, spliced: &[u8], expected: &[(usize, &str)]) -> Result<(), SpliceError> {
    let new = Tree::parse(spliced).map_err(|finding| SpliceError::Proof {
        line: finding.line,
        what: finding.problem.to_string(),
    })?;
    proof::prove(old, &new, expected)
        .map_err(|Disproof { line, what }| SpliceError::Proof { line, what })
}

fn unparsable(finding: Finding) -> SpliceError {
    SpliceError::Unparsable {
        line: finding.line,
        problem: finding.problem,
    }
}

/// Returns the scalar that `edit` speaks of, if it stands there as the edit says.
fn target_of<'a>(tree: &Tree<'a>, edit: &Edit) -> Option<Target<'a>> {
    let ends_before = |leaf: &usize| {
        tree.nodes
            .get(*leaf)
            .is_some_and(|node| node.span.end < edit.span.end)
    };
    let leaf = *tree.leaves.get(tree.leaves.partition_point(ends_before))?;
    let node = tree.nodes.get(leaf)?;
    let target = Target::find(tree, leaf, node).ok()?;
    let stands = target.span == edit.span
        && target.style == edit.style
        && tree.scalar(leaf) == Some(edit.old.as_str());
    stands.then_some(target)
}
