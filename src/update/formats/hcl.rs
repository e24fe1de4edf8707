//! HCL, as `hcl-edit` reads it: blocks and their labels are keys, objects are mappings.

use hcl_edit::{
    Span as _,
    expr::{Expression, ObjectKey},
    structure::{Block, BlockLabel, Body, Structure},
};

use super::views::{Grower, Kind};
use crate::update::view::{Content, Step};

/// Grows the view of a file.
pub(super) fn grow(text: &str, grower: &mut Grower<'_>) -> Result<(), (usize, String)> {
    let parsed = hcl_edit::parser::parse_body(text);
    let file = parsed.map_err(|error| {
        let location = error.location();
        (location.offset(), error.message().to_owned())
    })?;
    let root = grower.add(None, Step::Root, Content::Mapping, 0);
    body(&file, root, grower);
    Ok(())
}

fn body(body: &Body, node: usize, grower: &mut Grower<'_>) {
    for structure in body {
        match structure {
            Structure::Attribute(attribute) => {
                let step = Step::Key(attribute.key.as_str().to_owned());
                expression(&attribute.value, node, step, grower);
            }
            Structure::Block(inner) => block(inner, node, grower),
        }
    }
}

/// `resource "aws_ecs" "web" {…}` is `resource.aws_ecs.web`; several of one name stand side by side.
fn block(block: &Block, mut node: usize, grower: &mut Grower<'_>) {
    let at = block.span().map_or(0, |span| span.start);
    let labels = block.labels.iter().map(BlockLabel::as_str);
    for key in std::iter::once(block.ident.as_str()).chain(labels) {
        let step = Step::Key(key.to_owned());
        node = grower.add(Some(node), step, Content::Mapping, at);
    }
    body(&block.body, node, grower);
}

fn expression(expression: &Expression, parent: usize, step: Step, grower: &mut Grower<'_>) {
    let span = expression.span().unwrap_or_default();
    match expression {
        Expression::String(string) => {
            grower.text(Some(parent), step, span, Kind::String(string.as_str()));
        }
        Expression::Array(array) => {
            let node = grower.add(Some(parent), step, Content::Sequence, span.start);
            for (position, value) in array.iter().enumerate() {
                self::expression(value, node, Step::Item(position), grower);
            }
        }
        Expression::Object(object) => {
            let node = grower.add(Some(parent), step, Content::Mapping, span.start);
            for (key, value) in object {
                let key = match key {
                    ObjectKey::Ident(name) => name.as_str(),
                    ObjectKey::Expression(Expression::String(name)) => name.as_str(),
                    // Nobody can name it in a path; what it holds is compared all the same.
                    ObjectKey::Expression(_) => "",
                };
                self::expression(value.expr(), node, Step::Key(key.to_owned()), grower);
            }
        }
        // Templates, calls and the like are compared as the text that they are.
        _ => grower.text(Some(parent), step, span, Kind::Other),
    }
}
