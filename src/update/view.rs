//! A file as a tree of keys and values, whatever its format: what rules look at.
//!
//! A [`View`] is flat: a list of nodes, parents before their children. It says where each value
//! stands and why one cannot be replaced; [`View::setter`] binds one to a policy.

use std::{borrow::Cow, ops::Range};

use super::{Field, Finding, ObjectId, Origin, PolicyKey, Problem, Setter, Style};

/// The longest path that is kept whole, in bytes.
const MAX_PATH: usize = 1024;

/// A parsed file.
#[derive(Debug, Default)]
pub struct View {
    /// The nodes: parents before their children, and what stands in one collection together.
    pub nodes: Vec<Node>,
    /// What each document says it is.
    pub objects: Vec<ObjectId>,
}

/// A mapping, a list or a value.
#[derive(Debug)]
pub struct Node {
    /// The collection that it stands in; nothing for the root of a document.
    pub parent: Option<usize>,
    /// Where it stands there.
    pub step: Step,
    /// What it is.
    pub content: Content,
    /// The number of its document, from 0.
    pub document: usize,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

/// Where a node stands in its collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is the root of a document.
    Root,
    /// Under this key.
    Key(String),
    /// At this position, from 0.
    Item(usize),
}

/// What a node is.
#[derive(Debug)]
pub enum Content {
    /// Keys and their values.
    Mapping,
    /// A list.
    Sequence,
    /// A value.
    Text(Text),
    /// Another name for a value that stands elsewhere.
    Alias,
}

/// A value, and what is needed to replace it.
#[derive(Debug)]
pub struct Text {
    /// The value, decoded.
    pub value: String,
    /// The bytes, quotes included.
    pub span: Range<usize>,
    /// How it is written.
    pub style: Style,
    /// Values with one group in one file are siblings.
    pub group: usize,
    /// The lines of the aliases that repeat it.
    pub aliases: Vec<usize>,
    /// Why it cannot be replaced.
    pub refusal: Option<Problem>,
}

impl View {
    /// The value of a node, where it is one.
    pub fn text(&self, node: usize) -> Option<&Text> {
        match &self.nodes.get(node)?.content {
            Content::Text(text) => Some(text),
            Content::Mapping | Content::Sequence | Content::Alias => None,
        }
    }

    /// The nodes that stand directly in `node`, in the order of the text.
    pub fn children(&self, node: usize) -> impl Iterator<Item = (usize, &Node)> {
        let below = self.nodes.iter().enumerate().skip(node + 1);
        let mut ended = false;
        below
            .take_while(move |(_, it)| {
                // What follows the last descendant stands in a collection above.
                ended |= it.parent.is_none_or(|parent| parent < node);
                !ended
            })
            .filter(move |(_, it)| it.parent == Some(node))
    }

    /// The node under `key` in the mapping `node`; of two equal keys the first.
    pub fn get(&self, node: usize, key: &str) -> Option<usize> {
        let mut children = self.children(node);
        let is_key = |step: &Step| matches!(step, Step::Key(found) if found == key);
        children
            .find(|(_, it)| is_key(&it.step))
            .map(|(number, _)| number)
    }

    /// Which values a node is a sibling of.
    pub fn group(&self, node: usize) -> usize {
        self.text(node).map_or(node, |text| text.group)
    }

    /// The document's object that a node stands in.
    pub fn object(&self, node: usize) -> ObjectId {
        let document = self.nodes.get(node).map(|it| it.document);
        let object = document.and_then(|it| self.objects.get(it));
        object.cloned().unwrap_or_default()
    }

    /// The path from the document's root, such as `spec.containers[0].image`.
    pub fn path(&self, node: usize) -> String {
        let above = |node: &usize| self.nodes.get(*node)?.parent;
        let mut segments = Vec::new();
        let mut length = 0;
        for node in std::iter::successors(Some(node), above) {
            let segment = match self.nodes.get(node).map(|it| &it.step) {
                Some(Step::Key(key)) => key_segment(key),
                Some(Step::Item(position)) => Cow::from(format!("[{position}]")),
                Some(Step::Root) | None => continue,
            };
            length += segment.len() + 1;
            if length > MAX_PATH {
                segments.push(Cow::from("…"));
                break;
            }
            segments.push(segment);
        }
        join(segments)
    }

    /// Binds the value of `node` to a policy; a finding at its place where that cannot be.
    pub fn setter(
        &self,
        node: usize,
        (policy, field): (PolicyKey, Field),
        origin: Origin,
    ) -> Result<Setter, Finding> {
        let (line, column) = self
            .nodes
            .get(node)
            .map_or((1, 1), |it| (it.line, it.column));
        let failed = |problem| {
            Err(Finding {
                line,
                column,
                problem,
            })
        };
        let text = match self.nodes.get(node).map(|it| &it.content) {
            Some(Content::Text(text)) => text,
            Some(Content::Alias) => return failed(Problem::OnAlias),
            Some(Content::Mapping | Content::Sequence) | None => {
                return failed(Problem::NotEditable("it is no single value".to_owned()));
            }
        };
        if let Some(problem) = &text.refusal {
            return failed(problem.clone());
        }
        Ok(Setter {
            policy,
            field,
            origin,
            span: text.span.clone(),
            style: text.style,
            value: text.value.clone(),
            line,
            column,
            object: self.object(node),
            group: text.group,
            path: self.path(node),
            aliases: text.aliases.clone(),
        })
    }
}

/// A replacement of bytes, as it was made.
pub(super) struct Made<'a> {
    /// The bytes that were replaced.
    pub(super) span: Range<usize>,
    /// What was written.
    pub(super) written: &'a str,
    /// The value that a reader is to find, where the bytes are the whole of one.
    pub(super) value: Option<&'a str>,
}

impl View {
    /// Proves that `new` is this view but for the replacements, which stand in the order of the
    /// text; else the line of the first difference and what it is. Each view comes with its text.
    pub(super) fn prove(
        &self,
        old_text: &str,
        (new, new_text): (&View, &str),
        made: &[Made<'_>],
    ) -> Result<(), (usize, &'static str)> {
        if self.nodes.len() != new.nodes.len() || self.objects.len() != new.objects.len() {
            return Err((1, "another parser sees another number of values"));
        }
        for (was, is) in self.nodes.iter().zip(&new.nodes) {
            let failed = Err((
                is.line,
                "another parser sees a change that was not asked for",
            ));
            if (was.parent, &was.step, was.document) != (is.parent, &is.step, is.document) {
                return failed;
            }
            let (was, is) = match (&was.content, &is.content) {
                (Content::Text(was), Content::Text(is)) => (was, is),
                (Content::Mapping, Content::Mapping)
                | (Content::Sequence, Content::Sequence)
                | (Content::Alias, Content::Alias) => continue,
                _ => return failed,
            };
            let expected = replaced(old_text, &was.span, made);
            let found = new_text.get(is.span.clone()).unwrap_or_default();
            let first = made.partition_point(|it| it.span.start < was.span.start);
            let whole = made.get(first).filter(|it| it.span == was.span);
            let value = whole.and_then(|it| it.value);
            if expected.as_deref() != Some(found) || value.is_some_and(|value| value != is.value) {
                return failed;
            }
        }
        Ok(())
    }
}

/// The bytes of `span` with the replacements that stand in it.
fn replaced(text: &str, span: &Range<usize>, made: &[Made<'_>]) -> Option<String> {
    let mut written = String::new();
    let mut copied = span.start;
    let first = made.partition_point(|it| it.span.start < span.start);
    let inside = made.get(first..).unwrap_or_default().iter();
    for it in inside.take_while(|it| it.span.end <= span.end) {
        written.push_str(text.get(copied..it.span.start)?);
        written.push_str(it.written);
        copied = it.span.end;
    }
    written.push_str(text.get(copied..span.end)?);
    Some(written)
}

/// Sets the segments of a path, the last one first, one behind the other.
pub(super) fn join(segments: Vec<Cow<'_, str>>) -> String {
    let mut path = String::new();
    for segment in segments.into_iter().rev() {
        if !path.is_empty() && !segment.starts_with('[') {
            path.push('.');
        }
        path.push_str(&segment);
    }
    path
}

/// A key as it stands in a path: in `["…"]` where it could be read as something else.
pub(super) fn key_segment(key: &str) -> Cow<'_, str> {
    let is_word = |character: char| character.is_alphanumeric() || "_-/$".contains(character);
    if !key.is_empty() && key.chars().all(is_word) {
        Cow::from(key)
    } else {
        let quoted = key.escape_debug().to_string().replace("\\'", "'");
        Cow::from(format!("[\"{quoted}\"]"))
    }
}
