//! YAML documents as trees that remember where everything stands.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;

/// How many nodes a file may have once its aliases are followed.
const MAX_NODES: usize = 200_000;
/// How deep a document may nest.
const MAX_DEPTH: usize = 64;

/// A place in a file: line and column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) tree: Tree,
}

/// The three shapes of YAML.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Place, Node)>),
}

/// Trouble with the text itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxTrouble {
    pub(super) place: Place,
    pub(super) message: String,
}

/// Reads every document of `text`; empty ones are left out.
pub(super) fn read(text: &str) -> Result<Vec<Node>, SyntaxTrouble> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| SyntaxTrouble {
            place: place_of(error.marker()),
            message: error.info(),
        })?;
        reader.take(event, span)?;
    }
    Ok(reader.documents)
}

impl Node {
    /// A value that was never text: everything stands nowhere.
    pub(super) fn of(value: &Value) -> Self {
        let place = Place { line: 0, column: 0 };
        let tree = match value {
            Value::Array(items) => Tree::Sequence(items.iter().map(Self::of).collect()),
            Value::Object(fields) => {
                let entries = fields.iter();
                let entries = entries.map(|(key, field)| (key.clone(), place, Self::of(field)));
                Tree::Mapping(entries.collect())
            }
            scalar => Tree::Scalar(scalar.clone()),
        };
        Self { place, tree }
    }

    /// Where the value at a JSON pointer stands; where it is missing, its nearest ancestor.
    pub(super) fn place_at(&self, pointer: &str) -> Place {
        let mut node = self;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            match node.child(&step) {
                Some((_, child)) => node = child,
                None => break,
            }
        }
        node.place
    }

    /// Where the key `name` of the mapping at `pointer` stands.
    pub(super) fn place_of_key(&self, pointer: &str, name: &str) -> Place {
        let name = name.replace('~', "~0").replace('/', "~1");
        let mut node = self;
        let mut place = self.place;
        for step in format!("{pointer}/{name}").split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let Some((key_place, child)) = node.child(&step) else {
                break;
            };
            (place, node) = (key_place, child);
        }
        place
    }

    /// The scalar text under `key`, if this is a mapping that has one.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.child(key)?.1.tree {
            Tree::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The value as JSON; of duplicate keys the last one counts.
    pub(super) fn to_json(&self) -> Value {
        match &self.tree {
            Tree::Scalar(value) => value.clone(),
            Tree::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Tree::Mapping(entries) => {
                let pairs = entries
                    .iter()
                    .map(|(key, _, value)| (key.clone(), value.to_json()));
                Value::Object(pairs.collect())
            }
        }
    }

    /// The keys that stand more than once in their mapping, with the later place.
    pub(super) fn duplicate_keys(&self) -> Vec<(String, Place)> {
        let mut found = Vec::new();
        self.collect_duplicates(&mut found);
        found
    }

    fn collect_duplicates(&self, found: &mut Vec<(String, Place)>) {
        match &self.tree {
            Tree::Scalar(_) => {}
            Tree::Sequence(items) => items.iter().for_each(|it| it.collect_duplicates(found)),
            Tree::Mapping(entries) => {
                let mut seen = std::collections::HashSet::new();
                for (key, place, value) in entries {
                    if !seen.insert(key) {
                        found.push((key.clone(), *place));
                    }
                    value.collect_duplicates(found);
                }
            }
        }
    }

    fn child(&self, step: &str) -> Option<(Place, &Self)> {
        match &self.tree {
            Tree::Scalar(_) => None,
            Tree::Sequence(items) => items
                .get(step.parse::<usize>().ok()?)
                .map(|item| (item.place, item)),
            Tree::Mapping(entries) => entries
                .iter()
                .rev()
                .find(|(key, ..)| key == step)
                .map(|(_, place, value)| (*place, value)),
        }
    }
}

/// A collection that is being read.
struct Open {
    place: Place,
    anchor: usize,
    tree: Tree,
    /// The key that waits for its value.
    key: Option<(String, Place)>,
}

#[derive(Default)]
struct Reader {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxTrouble> {
        let place = place_of(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().and_then(granit_parser::Tag::core_suffix);
                let tree = Tree::Scalar(resolve(&text, style, tag));
                self.close(Node { place, tree }, anchor, 1)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(place, anchor, Tree::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(place, anchor, Tree::Mapping(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let node = Node {
                    place: open.place,
                    tree: open.tree,
                };
                let size = if open.anchor > 0 { size(&node) } else { 1 };
                self.close(node, open.anchor, size)
            }
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let (mut node, size) = known.ok_or_else(|| SyntaxTrouble {
                    place,
                    message: "the alias points to nothing that is complete".to_owned(),
                })?;
                node.place = place;
                self.close(node, 0, size)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, place: Place, anchor: usize, tree: Tree) -> Result<(), SyntaxTrouble> {
        if self.open.len() >= MAX_DEPTH {
            let message = format!("the document nests deeper than {MAX_DEPTH} levels");
            return Err(SyntaxTrouble { place, message });
        }
        self.open.push(Open {
            place,
            anchor,
            tree,
            key: None,
        });
        Ok(())
    }

    fn close(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), SyntaxTrouble> {
        self.nodes += size;
        if self.nodes > MAX_NODES {
            let message = format!("the file has more than {MAX_NODES} values");
            return Err(SyntaxTrouble {
                place: node.place,
                message,
            });
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(parent) = self.open.last_mut() else {
            if !matches!(node.tree, Tree::Scalar(Value::Null)) {
                self.documents.push(node);
            }
            return Ok(());
        };
        match (&mut parent.tree, parent.key.take()) {
            (Tree::Sequence(items), _) => items.push(node),
            (Tree::Mapping(entries), Some((key, place))) => entries.push((key, place, node)),
            (Tree::Mapping(_), None) => {
                let Tree::Scalar(key) = node.tree else {
                    let message = "a key must be a plain text".to_owned();
                    return Err(SyntaxTrouble {
                        place: node.place,
                        message,
                    });
                };
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                parent.key = Some((key, node.place));
            }
            (Tree::Scalar(_), _) => {}
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    match &node.tree {
        Tree::Scalar(_) => 1,
        Tree::Sequence(items) => 1 + items.iter().map(size).sum::<usize>(),
        Tree::Mapping(entries) => 1 + entries.iter().map(|(.., it)| size(it)).sum::<usize>(),
    }
}

fn place_of(marker: &granit_parser::Marker) -> Place {
    Place {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

/// Gives a scalar its type by the YAML 1.2 core schema.
fn resolve(text: &str, style: ScalarStyle, tag: Option<&str>) -> Value {
    match tag {
        Some("str") => return Value::String(text.to_owned()),
        None if style != ScalarStyle::Plain => return Value::String(text.to_owned()),
        _ => {}
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    let looks_numeric = text.starts_with(|it: char| it.is_ascii_digit() || "+-.".contains(it))
        && text.bytes().any(|byte| byte.is_ascii_digit());
    match text
        .parse::<f64>()
        .ok()
        .and_then(serde_json::Number::from_f64)
    {
        Some(number) if looks_numeric => Value::Number(number),
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_keep_their_types_and_places() {
        let documents = read("a: 1\n---\nb: ['x', 1.10, \"2\", yes, ~]\n---\n---\n").unwrap();
        let values = documents.iter().map(Node::to_json).collect::<Vec<_>>();
        assert_eq!(
            values,
            [json!({"a": 1}), json!({"b": ["x", 1.1, "2", "yes", null]})]
        );
        assert_eq!(
            documents[1].place_at("/b/1"),
            Place {
                line: 3,
                column: 10
            }
        );
        assert_eq!(
            documents[1].place_of_key("", "b"),
            Place { line: 3, column: 1 }
        );
        assert_eq!(
            documents[1].place_at("/missing"),
            Place { line: 3, column: 1 }
        );
    }

    #[test]
    fn aliases_are_followed_within_a_bound() {
        let documents = read("a: &x {k: v}\nb: *x\n").unwrap();
        assert_eq!(
            documents[0].to_json(),
            json!({"a": {"k": "v"}, "b": {"k": "v"}})
        );
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let uses = vec![format!("*a{}", level - 1); 10].join(",");
            bomb += &format!("a{level}: &a{level} [{uses}]\n");
        }
        assert!(read(&bomb).unwrap_err().message.contains("more than"));
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&format!("{}1{}", "[".repeat(70), "]".repeat(70))).is_err());
    }

    #[test]
    fn duplicate_keys_are_named() {
        let documents = read("a: 1\nb: {c: 1, c: 2}\na: 2\n").unwrap();
        let names = documents[0]
            .duplicate_keys()
            .into_iter()
            .map(|(key, _)| key)
            .collect::<Vec<_>>();
        assert_eq!(names, ["c", "a"]);
    }
}
