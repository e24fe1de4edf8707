//! A tree as it is asked for by key.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
};

use super::super::{
    Style,
    object::objects,
    tree::{Content, Place, Tree},
};
use crate::update::ObjectId;

/// The children of every node.
pub(super) struct Index<'t, 'a> {
    pub(super) tree: &'t Tree<'a>,
    children: Vec<Vec<usize>>,
    /// The value of each key of each mapping; nothing where the key stands twice.
    values: HashMap<(usize, &'t str), Option<usize>>,
    /// The lines of the aliases of each anchor.
    aliases: HashMap<usize, Vec<usize>>,
    objects: Vec<ObjectId>,
}

impl<'t, 'a> Index<'t, 'a> {
    pub(super) fn new(tree: &'t Tree<'a>) -> Self {
        let mut children = vec![Vec::new(); tree.nodes.len()];
        let mut values = HashMap::new();
        let mut aliases = HashMap::<_, Vec<_>>::new();
        for (number, node) in tree.nodes.iter().enumerate() {
            if let Content::Alias(anchor) = node.content {
                aliases.entry(anchor).or_default().push(node.line);
            }
            let Some(parent) = node.parent.filter(|_| node.place != Place::Key) else {
                continue;
            };
            if let Some(siblings) = children.get_mut(parent) {
                siblings.push(number);
            }
            if let Place::Value { key } = node.place
                && let Some(key) = tree.scalar(key)
            {
                match values.entry((parent, key)) {
                    Entry::Vacant(entry) => drop(entry.insert(Some(number))),
                    Entry::Occupied(mut entry) => drop(entry.insert(None)),
                }
            }
        }
        Self {
            tree,
            children,
            values,
            aliases,
            objects: objects(tree),
        }
    }

    /// The root of each document.
    pub(super) fn roots(&self) -> Vec<usize> {
        let nodes = self.tree.nodes.iter().enumerate();
        let roots = nodes.filter(|(_, node)| node.place == Place::Root);
        roots.map(|(number, _)| number).collect()
    }

    /// The text of a scalar; nothing for an empty plain one and other spellings of null.
    pub(super) fn text(&self, node: usize) -> Option<&'t str> {
        match &self.tree.nodes.get(node)?.content {
            Content::Scalar {
                text,
                style: Style::Plain,
            } if matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL") => None,
            Content::Scalar { text, .. } => Some(text),
            Content::Sequence(_) | Content::Mapping(_) | Content::Alias(_) => None,
        }
    }

    /// The keys and values of a mapping.
    pub(super) fn entries(&self, mapping: usize) -> impl Iterator<Item = (&'t str, usize)> {
        self.children(mapping).filter_map(|child| {
            let Place::Value { key } = self.tree.nodes.get(child)?.place else {
                return None;
            };
            Some((self.tree.scalar(key)?, child))
        })
    }

    /// The value of a key; nothing where the key stands twice, for readers do not agree on it.
    pub(super) fn value(&self, mapping: usize, key: &str) -> Option<usize> {
        self.values.get(&(mapping, key)).copied().flatten()
    }

    /// The text of the value of a key.
    pub(super) fn text_of(&self, mapping: usize, key: &str) -> Option<&'t str> {
        self.text(self.value(mapping, key)?)
    }

    /// What `path` leads to from `node`: each step is a key, or `[]` for every item.
    pub(super) fn follow(&self, node: usize, path: &[&str]) -> Vec<usize> {
        let mut reached = vec![node];
        for step in path {
            reached = match *step {
                "[]" => reached.iter().flat_map(|node| self.items(*node)).collect(),
                key => reached
                    .iter()
                    .filter_map(|node| self.value(*node, key))
                    .collect(),
            };
        }
        reached
    }

    /// The items of a sequence.
    pub(super) fn items(&self, sequence: usize) -> impl Iterator<Item = usize> {
        self.children(sequence).filter(|child| {
            let node = self.tree.nodes.get(*child);
            node.is_some_and(|node| matches!(node.place, Place::Item { .. }))
        })
    }

    pub(super) fn is_mapping(&self, node: usize) -> bool {
        let node = self.tree.nodes.get(node);
        node.is_some_and(|node| matches!(node.content, Content::Mapping(_)))
    }

    pub(super) fn document(&self, node: usize) -> usize {
        self.tree.nodes.get(node).map_or(0, |node| node.document)
    }

    pub(super) fn object(&self, document: usize) -> ObjectId {
        self.objects.get(document).cloned().unwrap_or_default()
    }

    pub(super) fn aliases_of(&self, anchor: usize) -> Vec<usize> {
        self.aliases.get(&anchor).cloned().unwrap_or_default()
    }

    fn children(&self, node: usize) -> impl Iterator<Item = usize> {
        self.children.get(node).into_iter().flatten().copied()
    }
}

/// A path of keys, in which `[]` after a key means every item: `spec.containers[].image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    written: String,
    steps: Vec<String>,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no path such as `spec.template.spec.containers[].image`")]
pub struct FieldPathError(String);

impl std::str::FromStr for FieldPath {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<Self, FieldPathError> {
        let refused = || FieldPathError(text.escape_debug().to_string());
        let mut steps = Vec::new();
        for part in text.split('.') {
            let key = part.trim_end_matches("[]");
            if key.is_empty() || key.contains(['[', ']']) || text.len() > MAX_PATH {
                return Err(refused());
            }
            steps.push(key.to_owned());
            let items = (part.len() - key.len()) / "[]".len();
            steps.extend(std::iter::repeat_n("[]".to_owned(), items));
        }
        Ok(Self {
            written: text.to_owned(),
            steps,
        })
    }
}

/// The longest path, in bytes.
const MAX_PATH: usize = 1024;

impl FieldPath {
    pub(super) fn steps(&self) -> Vec<&str> {
        self.steps.iter().map(String::as_str).collect()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}
