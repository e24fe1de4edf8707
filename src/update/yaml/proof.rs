//! The proof of an edit: both trees side by side.

use super::{
    Style,
    scalar::reads_as_string,
    tree::{Content, Node, Place, Tree},
};

/// The first thing that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disproof {
    /// The line in the new file, from 1.
    pub(super) line: usize,
    /// What differs.
    pub(super) what: String,
}

/// A key and its value that were added to a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Added {
    /// The value of the mapping that they stand behind, as a node of the old tree.
    pub(super) behind: usize,
    /// The key.
    pub(super) key: &'static str,
    /// The value.
    pub(super) text: String,
}

/// How many nodes stand in the new tree for one [`Added`].
const ADDED_NODES: usize = 2;

/// Proves that `new` is `old` with the values `expected`, each the number of a node and its text, and
/// with what was added.
///
/// Documents, nesting, keys, tags, anchors, aliases, styles and comments are the same. Every other
/// scalar has the same text and the same style, and so means the same to readers of YAML 1.1 and
/// 1.2. Every edited one is, to both, the string that was asked for. The numbers rise.
pub(super) fn prove(
    old: &Tree<'_>,
    new: &Tree<'_>,
    (expected, added): (&[(usize, &str)], &[Added]),
) -> Result<(), Disproof> {
    let whole = |what: &str| Disproof {
        line: 1,
        what: what.to_owned(),
    };
    if old.documents != new.documents {
        return Err(whole("the documents are not the same"));
    }
    if old.nodes.len() + ADDED_NODES * added.len() != new.nodes.len() {
        return Err(whole("the file has another number of nodes"));
    }
    let moved = |number| number + ADDED_NODES * added.partition_point(|it| it.behind < number);
    let mut expected = expected.iter().copied().peekable();
    let mut rest = added.iter().peekable();
    let mut found = new.nodes.iter().enumerate();
    for (number, before) in old.nodes.iter().enumerate() {
        let Some((_, after)) = found.next() else {
            break;
        };
        let edited = expected.next_if(|(node, _)| *node == number);
        let what = if !stands_alike(before, after, moved) {
            Some("a node's place, tag or anchor changed")
        } else if let Some((_, text)) = edited {
            (!says(after, text)).then_some("an edited value is not the string that was asked for")
        } else {
            (before.content != after.content).then_some("a value changed that was not edited")
        };
        if let Some(what) = what {
            return Err(Disproof {
                line: after.line,
                what: what.to_owned(),
            });
        }
        while let Some(added) = rest.next_if(|it| it.behind == number) {
            let mapping = before.parent.map(moved);
            let (Some(key), Some((_, value))) = (found.next(), found.next()) else {
                break;
            };
            if !is_added(added, mapping, key, value) {
                return Err(Disproof {
                    line: value.line,
                    what: "an added value is not what was asked for".to_owned(),
                });
            }
        }
    }
    let texts = |tree| {
        let tree: &Tree<'_> = tree;
        tree.comments
            .iter()
            .map(|comment| comment.text.clone().into_owned())
            .collect::<Vec<_>>()
    };
    if rest.next().is_some() {
        return Err(whole("a value was not added"));
    }
    if expected.next().is_some() || texts(old) != texts(new) {
        return Err(whole("the comments are not the same"));
    }
    Ok(())
}

/// Whether both files have the same nodes, whatever their comments are.
pub(super) fn says_the_same(old: &Tree<'_>, new: &Tree<'_>) -> bool {
    let mut pairs = old.nodes.iter().zip(&new.nodes);
    let is_same = |(old, new): (&Node<'_>, &Node<'_>)| {
        stands_alike(old, new, |number| number) && old.content == new.content
    };
    old.documents == new.documents && old.nodes.len() == new.nodes.len() && pairs.all(is_same)
}

/// Whether a node is where it was; `moved` tells the new number of an old node.
fn stands_alike(before: &Node<'_>, after: &Node<'_>, moved: impl Fn(usize) -> usize) -> bool {
    let place = match before.place {
        Place::Value { key } => Place::Value { key: moved(key) },
        place @ (Place::Root | Place::Key | Place::Item { .. }) => place,
    };
    before.parent.map(moved) == after.parent
        && place == after.place
        && before.document == after.document
        && before.tag == after.tag
        && before.anchor == after.anchor
}

/// Whether a key, which comes with its number, and a value are what was added to a mapping.
fn is_added(
    added: &Added,
    mapping: Option<usize>,
    (number, key): (usize, &Node<'_>),
    value: &Node<'_>,
) -> bool {
    let is_bare =
        |node: &Node<'_>| node.parent == mapping && node.tag.is_none() && node.anchor == 0;
    is_bare(key)
        && is_bare(value)
        && key.place == Place::Key
        && value.place == Place::Value { key: number }
        && says(key, added.key)
        && says(value, &added.text)
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
        let found = prove(&trees.0, &trees.1, (&[(node, asked)], &[])).err();
        assert_eq!(
            found.map(|disproof| disproof.what).as_deref(),
            what,
            "{new}"
        );
    }

    /// Checks whether `new` is proved to be `OLD` with `k: w` behind its first value.
    fn check_added(new: &str, what: Option<&str>) {
        let trees = (
            Tree::parse(OLD.as_bytes()).unwrap(),
            Tree::parse(new.as_bytes()).unwrap(),
        );
        let added = Added {
            behind: trees.0.leaves[1],
            key: "k",
            text: "w".to_owned(),
        };
        let found = prove(&trees.0, &trees.1, (&[], &[added])).err();
        let found = found.map(|disproof| disproof.what);
        assert_eq!(found.as_deref(), what, "{new}");
    }

    #[test]
    fn only_what_was_asked_for_is_added() {
        const ADDED: Option<&str> = Some("an added value is not what was asked for");
        const OTHER: Option<&str> = Some("a value changed that was not edited");
        let with = |added: &str| OLD.replacen("# c\n", &format!("# c\n{added}"), 1);
        check_added(&with("k: w\n"), None);
        check_added(&with("\"k\": 'w'\n"), None);
        check_added(&with("k: x\n"), ADDED);
        check_added(&with("l: w\n"), ADDED);
        check_added(&with("k: !t w\n"), ADDED);
        check_added(&with("&y k: w\n"), ADDED);
        check_added(&with(""), Some("the file has another number of nodes"));
        check_added(
            &OLD.replacen("&x v1", "&x v2", 1)
                .replace("# c\n", "# c\nk: w\n"),
            OTHER,
        );
        check_added(&OLD.replacen("a: &x", "k: w\na: &x", 1), OTHER);
        check_added(&OLD.replacen("'q']\n", "'q']\nk: w\n", 1), ADDED);
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
