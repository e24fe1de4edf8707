//! Where a value stands: its object and its path.

use std::borrow::Cow;

use super::tree::{Content, Node, Place, Tree};
use crate::update::{
    ObjectId,
    view::{join, key_segment},
};

/// The longest path that is kept whole, in bytes.
const MAX_PATH: usize = 1024;
/// The longest part of an object's name that is kept, in bytes; Kubernetes allows 253.
const MAX_NAME: usize = 512;

/// Returns what each document of the file says it is.
///
/// Of two equal keys the first counts.
pub(super) fn objects(tree: &Tree<'_>) -> Vec<ObjectId> {
    let mut objects = vec![ObjectId::default(); tree.documents.len()];
    let mut roots = vec![None; objects.len()];
    let mut metadata = vec![None; objects.len()];
    for (number, node) in tree.nodes.iter().enumerate() {
        let document = node.document;
        let (Some(object), Some(root), Some(metadata)) = (
            objects.get_mut(document),
            roots.get_mut(document),
            metadata.get_mut(document),
        ) else {
            continue;
        };
        let Place::Value { key } = node.place else {
            if node.place == Place::Root {
                *root = Some(number);
            }
            continue;
        };
        let is_in = |collection: Option<usize>| collection.is_some() && node.parent == collection;
        let (is_in_root, is_in_metadata) = (is_in(*root), is_in(*metadata));
        let field = match tree.scalar(key) {
            Some("apiVersion") if is_in_root => &mut object.api_version,
            Some("kind") if is_in_root => &mut object.kind,
            Some("namespace") if is_in_metadata => &mut object.namespace,
            Some("name") if is_in_metadata => &mut object.name,
            Some("metadata") if is_in_root => {
                metadata.get_or_insert(number);
                continue;
            }
            _ => continue,
        };
        if let (true, Content::Scalar { text, .. }) = (field.is_empty(), &node.content) {
            text.get(..text.floor_char_boundary(MAX_NAME))
                .unwrap_or_default()
                .clone_into(field);
        }
    }
    objects
}

/// Returns the path from the document's root, such as `spec.containers[0].image`.
pub(super) fn path<'a>(tree: &Tree<'a>, node: &Node<'a>) -> String {
    let mut segments = Vec::new();
    let mut length = 0;
    for node in std::iter::once(node).chain(tree.ancestors(node)) {
        let segment = match node.place {
            Place::Root => continue,
            Place::Item { position } => Cow::from(format!("[{position}]")),
            Place::Value { key } => match tree.scalar(key) {
                Some(key) => key_segment(key),
                None => Cow::from("[?]"),
            },
            Place::Key => Cow::from("[?]"),
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
