//! The proof of an edit: both trees side by side.

use super::{
    Style,
    scalar::reads_as_string,
    tree::{Content, Node, Tree},
};

/// The first thing that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disproof {
    /// The line in the new file, from 1.
    pub(super) line: usize,
    /// What differs.
    pub(super) what: String,
}

/// Proves that `new` is `old` with the values `expected`, each the number of a node and its text.
///
/// Documents, nesting, keys, tags, anchors, aliases, styles and comments are the same. Every other
/// scalar has the same text and the same style, and so means the same to readers of YAML 1.1 and
/// 1.2. Every edited one is, to both, the string that was asked for. The numbers rise.
pub(super) fn prove(
    old: &Tree<'_>,
    new: &Tree<'_>,
    expected: &[(usize, &str)],
) -> Result<(), Disproof> {
    let whole = |what: &str| Disproof {
        line: 1,
        what: what.to_owned(),
    };
    if old.documents != new.documents {
        return Err(whole("the documents are not the same"));
    }
    if old.nodes.len() != new.nodes.len() {
        return Err(whole("the file has another number of nodes"));
    }
    let mut expected = expected.iter().copied().peekable();
    for (number, (before, after)) in old.nodes.iter().zip(&new.nodes).enumerate() {
        let edited = expected.next_if(|(node, _)| *node == number);
        let what = if !stands_alike(before, after) {
            "a node's place, tag or anchor changed"
        } else if let Some((_, text)) = edited {
            if says(after, text) {
                continue;
            }
            "an edited value is not the string that was asked for"
        } else if before.content != after.content {
            "a value changed that was not edited"
        } else {
            continue;
        };
        return Err(Disproof {
            line: after.line,
            what: what.to_owned(),
        });
    }
    let texts = |tree| {
        let tree: &Tree<'_> = tree;
        tree.comments
            .iter()
            .map(|comment| comment.text.clone().into_owned())
            .collect::<Vec<_>>()
    };
    if expected.next().is_some() || texts(old) != texts(new) {
        return Err(whole("the comments are not the same"));
    }
    Ok(())
}

/// Whether both files have the same nodes, whatever their comments are.
pub(super) fn says_the_same(old: &Tree<'_>, new: &Tree<'_>) -> bool {
    let mut pairs = old.nodes.iter().zip(&new.nodes);
    old.documents == new.documents
        && old.nodes.len() == new.nodes.len()
        && pairs.all(|(old, new)| stands_alike(old, new) && old.content == new.content)
}

fn stands_alike(before: &Node<'_>, after: &Node<'_>) -> bool {
    before.parent == after.parent
        && before.place == after.place
        && before.document == after.document
        && before.tag == after.tag
        && before.anchor == after.anchor
}

/// Whether `node` is the string `text` to every reader.
fn says(node: &Node<'_>, text: &str) -> bool {
    match &node.content {
        Content::Scalar { text: found, style } => {
            found == text && (*style != Style::Plain || reads_as_string(found))
        }
        Content::Sequence(_) | Content::Mapping(_) | Content::Alias(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "a: &x v1 # c\nb: [*x, !t w, 'q']\n--- # d\ne: 7\n";

    /// Checks what is said of `OLD` with `from` replaced by `to`, where `v1` should become `asked`.
    fn check(from: &str, to: &str, asked: &str, what: Option<&str>) {
        assert!(OLD.contains(from), "{from}");
        let new = OLD.replacen(from, to, 1);
        let trees = (
            Tree::parse(OLD.as_bytes()).unwrap(),
            Tree::parse(new.as_bytes()).unwrap(),
        );
        let node = trees.0.leaves[1];
        let found = prove(&trees.0, &trees.1, &[(node, asked)]).err();
        assert_eq!(
            found.map(|disproof| disproof.what).as_deref(),
            what,
            "{new}"
        );
    }

    #[test]
    fn only_the_change_that_was_asked_for_is_proved() {
        const VALUE: Option<&str> = Some("an edited value is not the string that was asked for");
        const OTHER: Option<&str> = Some("a value changed that was not edited");
        const SHAPE: Option<&str> = Some("a node's place, tag or anchor changed");
        const COUNT: Option<&str> = Some("the file has another number of nodes");
        const COMMENTS: Option<&str> = Some("the comments are not the same");
        const DOCUMENTS: Option<&str> = Some("the documents are not the same");
        check("v1", "v2", "v2", None);
        check("v1", "\"1.0\"", "1.0", None);
        check("v1", "1.0", "1.0", VALUE);
        check("v1", "12:30", "12:30", VALUE);
        check("v1", "12e4567", "12e4567", VALUE);
        check("v1", "v3", "v2", VALUE);
        check("v1", "[]", "v2", VALUE);
        check("v1", "[v2]", "v2", COUNT);
        check("&x v1", "!!str &x v2", "v2", SHAPE);
        check("&x v1 # c\nb: [*x", "v2 # c\nb: [&x v", "v2", SHAPE);
        check("v1 # c\nb", "v2 # c\nB", "v2", OTHER);
        check(
            "v1 # c\nb: [*x, !t w, 'q'",
            "v2 # c\nb: [*x, !t w, \"q\"",
            "v2",
            OTHER,
        );
        check("v1 # c\nb: [*x, !t w", "v2 # c\nb: [*x, !u w", "v2", SHAPE);
        check("v1 # c\nb: [*x", "v2 # c\nb: [w", "v2", OTHER);
        check("v1 # c", "v2", "v2", COMMENTS);
        check("v1 # c", "v2 # C", "v2", COMMENTS);
        check("a: &x v1", "---\na: &x v2", "v2", DOCUMENTS);
        check("a: &x v1", "%YAML 1.1\n---\na: &x v2", "v2", DOCUMENTS);
    }
}
