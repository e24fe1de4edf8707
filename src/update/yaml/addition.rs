//! A key and its value, added to a mapping behind a value that stands there.

use super::{
    Style,
    scalar::{in_double_quotes, is_plain, reads_as_string},
    tree::{Content, Place, Tree},
};

/// Where a key can be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addition {
    /// The value behind which it is added, as a node of its tree.
    pub(super) behind: usize,
    /// The mapping, as a node of its tree.
    pub(super) mapping: usize,
    /// The byte at which that value ends.
    pub(super) end: usize,
    /// The byte at which the key is written.
    pub(super) at: usize,
    key: &'static str,
    /// What separates it from what stands before.
    separator: String,
    in_flow: bool,
    is_quoted: bool,
}

const UNCLEAR: &str = "nothing can be added byte by byte where it stands";

impl Addition {
    /// Returns how `key` is added behind the value `behind`, or why it cannot be.
    pub(super) fn find(
        tree: &Tree<'_>,
        behind: usize,
        key: &'static str,
    ) -> Result<Self, &'static str> {
        let node = tree.nodes.get(behind).ok_or(UNCLEAR)?;
        let (Content::Scalar { style, .. }, Place::Value { key: name }, Some(mapping)) =
            (&node.content, node.place, node.parent)
        else {
            return Err(UNCLEAR);
        };
        let name = tree.nodes.get(name).ok_or(UNCLEAR)?;
        let written = tree.text.get(node.span.clone()).unwrap_or_default();
        let is_one_line = name.line == node.line && !written.contains(['\n', '\r']);
        if !is_one_line || written.is_empty() || matches!(style, Style::Literal | Style::Folded) {
            return Err(UNCLEAR);
        }
        let end = node.span.end;
        let in_flow = tree.is_in_flow(node);
        let (at, separator) = if in_flow {
            (end, ", ".to_owned())
        } else {
            below(tree.text, name.span.start, end).ok_or(UNCLEAR)?
        };
        Ok(Self {
            behind,
            mapping,
            end,
            at,
            key,
            separator,
            in_flow,
            is_quoted: matches!(
                name.content,
                Content::Scalar {
                    style: Style::Double,
                    ..
                }
            ),
        })
    }

    /// The bytes that add the key with this value.
    pub(super) fn write(&self, new: &str) -> String {
        let is_bare = !self.is_quoted && is_plain(new, self.in_flow) && reads_as_string(new);
        let value = if is_bare {
            new.to_owned()
        } else {
            in_double_quotes(new)
        };
        let quote = if self.is_quoted { "\"" } else { "" };
        format!("{}{quote}{}{quote}: {value}", self.separator, self.key)
    }
}

/// The end of the line that a value ends on, and the line break and the indentation of a key below the
/// one that begins at `key`.
fn below(text: &str, key: usize, end: usize) -> Option<(usize, String)> {
    let before = text.get(..key)?;
    let line = before.rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let indentation = before.get(line..)?.trim_start_matches('\u{FEFF}');
    // An anchor or a tag before the key would not count as indentation.
    if !indentation.bytes().all(|byte| matches!(byte, b' ' | b'-')) {
        return None;
    }
    let rest = text.get(end..)?;
    let at = end + rest.find(['\n', '\r']).unwrap_or(rest.len());
    let broken = |text: &'_ str| {
        ["\r\n", "\n", "\r"]
            .into_iter()
            .find(|it| text.starts_with(it))
    };
    let first = || {
        text.find(['\n', '\r'])
            .and_then(|it| broken(text.get(it..)?))
    };
    let line_break = broken(text.get(at..)?).or_else(first).unwrap_or("\n");
    Some((at, format!("{line_break}{}", " ".repeat(indentation.len()))))
}
