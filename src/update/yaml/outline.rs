//! The tree of a YAML file as a [`View`].

use super::{
    bind::{Binder, Mode},
    tree::{self, Place, Tree},
};
use crate::update::view::{Content, Node, Step, Text, View};

pub(super) fn view(tree: &Tree<'_>, mode: Mode) -> View {
    let binder = Binder::new(tree, mode);
    let mut nodes = Vec::new();
    // Keys are no nodes of a view, so numbers differ; a collection as key has no view at all.
    let mut numbers = vec![None; tree.nodes.len()];
    for (number, node) in tree.nodes.iter().enumerate() {
        let step = match node.place {
            Place::Key => continue,
            Place::Root => Step::Root,
            Place::Item { position } => Step::Item(position),
            Place::Value { key } => match tree.scalar(key) {
                Some(key) => Step::Key(key.to_owned()),
                None => continue,
            },
        };
        let parent = node
            .parent
            .and_then(|it| numbers.get(it).copied().flatten());
        if parent.is_none() && step != Step::Root {
            continue;
        }
        if let Some(own) = numbers.get_mut(number) {
            *own = Some(nodes.len());
        }
        nodes.push(Node {
            parent,
            step,
            content: content(&binder, number, node),
            document: node.document,
            line: node.line,
            column: node.column,
        });
    }
    View {
        nodes,
        objects: binder.objects,
    }
}

fn content<'a>(binder: &Binder<'_, 'a>, number: usize, node: &tree::Node<'a>) -> Content {
    let (value, style) = match &node.content {
        tree::Content::Mapping(_) => return Content::Mapping,
        tree::Content::Sequence(_) => return Content::Sequence,
        tree::Content::Alias(_) => return Content::Alias,
        tree::Content::Scalar { text, style } => (text.clone().into_owned(), *style),
    };
    let (span, refusal) = match binder.target(number, node) {
        Ok(target) => (target.span, None),
        Err(problem) => (node.span.clone(), Some(problem)),
    };
    Content::Text(Text {
        value,
        span,
        style,
        group: node.parent.unwrap_or(number),
        aliases: binder.aliases_of(node),
        refusal,
    })
}
