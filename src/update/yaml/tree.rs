//! One file as a flat list of nodes and a list of comments, both with their bytes.
//!
//! Aliases are kept as aliases and never expanded, so hostile files cost what their length costs.

use std::{borrow::Cow, ops::Range};

use granit_parser::{
    ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag, YamlVersion,
    options,
};

use super::{Finding, Problem, Style};

/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 4 * 1024 * 1024;
/// How many collections of one kind, block or flow, may stand in one another.
pub const MAX_DEPTH: usize = 255;

/// A parsed file; nodes and comments stand in the order of the text.
pub(super) struct Tree<'a> {
    pub(super) text: &'a str,
    pub(super) documents: Vec<Document>,
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) comments: Vec<Comment<'a>>,
    /// The nodes that stand for themselves in the text: scalars with at least one byte, aliases.
    pub(super) leaves: Vec<usize>,
}

/// How a document begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) explicit: bool,
    pub(super) version: Option<YamlVersion>,
}

/// A scalar, a collection or an alias.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) content: Content<'a>,
    pub(super) tag: Option<Cow<'a, Tag>>,
    /// The number of the anchor on this node, from 1 in the whole file; 0 is none.
    pub(super) anchor: usize,
    /// The bytes of a scalar or an alias without anchor and tag; of a block scalar its lines
    /// without the header; of a collection where it begins.
    pub(super) span: Range<usize>,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) document: usize,
    pub(super) parent: Option<usize>,
    pub(super) place: Place,
}

/// What a node is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Scalar { text: Cow<'a, str>, style: Style },
    Sequence(StructureStyle),
    Mapping(StructureStyle),
    Alias(usize),
}

/// Where a node stands in its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    Key,
    Value { key: usize },
    Item { position: usize },
}

/// A comment, from its first `#` to the end of the line.
pub(super) struct Comment<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) span: Range<usize>,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl<'a> Tree<'a> {
    /// Parses a whole file; one document that does not parse spoils it.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Finding> {
        let at_start = |problem| Finding {
            line: 1,
            column: 1,
            problem,
        };
        if bytes.len() > MAX_FILE {
            let detail = format!("{} bytes; the limit is {MAX_FILE}", bytes.len());
            return Err(at_start(Problem::OverLimit(detail)));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| at_start(Problem::NotUtf8))?;
        let options = options! {
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
            max_buffered_comment_events: MAX_FILE,
        };
        let mut builder = Builder::new(text);
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| finding(&error))?;
            builder.take(event, span);
        }
        let mut tree = builder.tree;
        // The parser learns of a comment in a block's header after it has read the block.
        tree.comments.sort_by_key(|comment| comment.span.start);
        Ok(tree)
    }

    /// The scalar text of a node, where it is a scalar.
    pub(super) fn scalar(&self, node: usize) -> Option<&str> {
        match &self.nodes.get(node)?.content {
            Content::Scalar { text, .. } => Some(text),
            Content::Sequence(_) | Content::Mapping(_) | Content::Alias(_) => None,
        }
    }

    /// The nodes around `node`, the nearest first.
    pub(super) fn ancestors(&self, node: &Node<'a>) -> impl Iterator<Item = &Node<'a>> {
        std::iter::successors(self.parent(node), |node| self.parent(node))
    }

    /// Whether `node` stands between `[]` or `{}`.
    pub(super) fn is_in_flow(&self, node: &Node<'a>) -> bool {
        self.parent(node).is_some_and(|parent| {
            matches!(
                parent.content,
                Content::Sequence(StructureStyle::Flow) | Content::Mapping(StructureStyle::Flow)
            )
        })
    }

    fn parent(&self, node: &Node<'a>) -> Option<&Node<'a>> {
        self.nodes.get(node.parent?)
    }
}

fn finding(error: &ScanError) -> Finding {
    let problem = match error.kind() {
        ErrorKind::RecursionLimitExceeded => {
            Problem::OverLimit(format!("collections are nested more than {MAX_DEPTH} deep"))
        }
        _ => Problem::Unparsable(error.info()),
    };
    Finding {
        line: error.marker().line(),
        column: error.marker().col() + 1,
        problem,
    }
}

/// Turns the parser's events into a [`Tree`].
struct Builder<'a> {
    tree: Tree<'a>,
    open: Vec<Frame>,
}

/// A collection that has not ended yet.
struct Frame {
    node: usize,
    next: Next,
}

/// What the next node in a collection is.
enum Next {
    Key,
    Value { key: usize },
    Item { position: usize },
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        let tree = Tree {
            text,
            documents: Vec::new(),
            nodes: Vec::new(),
            comments: Vec::new(),
            leaves: Vec::new(),
        };
        Self {
            tree,
            open: Vec::new(),
        }
    }

    fn take(&mut self, event: Event<'a>, span: Span) {
        match event {
            Event::DocumentStart(explicit, version) => {
                self.tree.documents.push(Document { explicit, version });
            }
            Event::Comment(text, _) => self.tree.comments.push(Comment {
                text,
                span: span.byte_range().unwrap_or_default(),
                line: span.start.line(),
                column: span.start.col() + 1,
            }),
            Event::Scalar(text, style, anchor, tag) => {
                let content = Content::Scalar {
                    text,
                    style: style_of(style),
                };
                let node = self.add(content, anchor, tag, span);
                self.tree.leaves.extend(node);
            }
            Event::Alias(anchor) => {
                let node = self.add(Content::Alias(anchor), 0, None, span);
                self.tree.leaves.extend(node);
            }
            Event::SequenceStart(style, anchor, tag) => {
                let node = self.tree.nodes.len();
                self.add(Content::Sequence(style), anchor, tag, span);
                self.open.push(Frame {
                    node,
                    next: Next::Item { position: 0 },
                });
            }
            Event::MappingStart(style, anchor, tag) => {
                let node = self.tree.nodes.len();
                self.add(Content::Mapping(style), anchor, tag, span);
                self.open.push(Frame {
                    node,
                    next: Next::Key,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
            }
            // The stream's ends, a document's end, and events that are switched off; the enum is
            // a foreign one.
            _ => {}
        }
    }

    /// Adds a node and returns its number where it has bytes of its own.
    fn add(
        &mut self,
        content: Content<'a>,
        anchor: usize,
        tag: Option<Cow<'a, Tag>>,
        span: Span,
    ) -> Option<usize> {
        let number = self.tree.nodes.len();
        let (parent, place) = match self.open.last_mut() {
            Some(frame) => (Some(frame.node), frame.seat(number)),
            None => (None, Place::Root),
        };
        let bytes = span.byte_range().unwrap_or_default();
        let has_bytes = !bytes.is_empty();
        self.tree.nodes.push(Node {
            content,
            tag,
            anchor,
            span: bytes,
            line: span.start.line(),
            column: span.start.col() + 1,
            document: self.tree.documents.len().saturating_sub(1),
            parent,
            place,
        });
        has_bytes.then_some(number)
    }
}

impl Frame {
    /// Gives the next node, which will be `number`, its place.
    fn seat(&mut self, number: usize) -> Place {
        let (place, next) = match self.next {
            Next::Key => (Place::Key, Next::Value { key: number }),
            Next::Value { key } => (Place::Value { key }, Next::Key),
            Next::Item { position } => (
                Place::Item { position },
                Next::Item {
                    position: position + 1,
                },
            ),
        };
        self.next = next;
        place
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}
