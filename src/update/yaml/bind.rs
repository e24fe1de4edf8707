//! Which value a marker governs.
//!
//! The rules are Flux's, restated by position in the text. A comment at the end of a line belongs
//! to the scalar that ends there. A comment on its own line belongs to the sequence item, or to the
//! value of the key above, that begins on the next line; it gives way to any comment at the end of
//! that value's line. Whatever else carries a marker is reported and left alone. A literal block
//! that holds YAML is bound by the same rules.

use std::collections::HashMap;

use super::{
    Finding, Origin, Problem, Reading, Setter, Style,
    embedded::Embedded,
    object::{objects, path},
    scalar::{Target, header_before},
    sops::Sops,
    tree::{Comment, Content, Node, Place, Tree},
};
use crate::update::{
    ObjectId,
    marker::{self, MarkerReading, RawMarker},
};

/// How many markers, good and misspelt, a file may hold.
pub const MAX_MARKERS: usize = 10_000;

/// What kind of text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A file.
    Whole,
    /// A file with its template blocks covered: a key may stand in both arms of a condition.
    Lines,
    /// The text of a literal block.
    Embedded,
}

/// Binds every marker of a file.
pub(super) fn bind(tree: &Tree<'_>, mode: Mode) -> Reading {
    let mut reading = Reading::default();
    let mut binder = None;
    let mut markers = 0_usize;
    for (position, comment) in tree.comments.iter().enumerate() {
        let bound = match marker::parse(&comment.text) {
            MarkerReading::NoMarker => continue,
            MarkerReading::Misspelt(reason) => Err(Problem::Misspelt(reason)),
            MarkerReading::Marker(raw) => binder
                .get_or_insert_with(|| Binder::new(tree, mode))
                .setter(position, comment, raw),
        };
        markers += 1;
        if markers > MAX_MARKERS {
            return over_limit(comment.line, comment.column);
        }
        match bound {
            Ok(setter) => reading.setters.push(setter),
            Err(problem) => reading.findings.push(finding(comment, problem)),
        }
    }
    if mode != Mode::Embedded {
        bind_embedded(tree, mode, &mut reading);
    }
    reading
}

/// Binds the markers in literal blocks that hold YAML.
fn bind_embedded(tree: &Tree<'_>, mode: Mode, reading: &mut Reading) {
    let mut binder_of_tree = None;
    let mut group = tree.nodes.len();
    for node in tree.leaves.iter().filter_map(|leaf| tree.nodes.get(*leaf)) {
        let Some(embedded) = Embedded::find(tree, node) else {
            continue;
        };
        let Some(inner) = embedded.parse() else {
            continue;
        };
        let binder = binder_of_tree.get_or_insert_with(|| Binder::new(tree, mode));
        let Reading {
            setters, findings, ..
        } = bind(&inner, Mode::Embedded);
        for setter in setters {
            match binder.carry_out(node, &embedded, setter, group) {
                Ok(setter) => reading.setters.push(setter),
                Err(finding) => reading.findings.push(finding),
            }
        }
        for mut finding in findings {
            (finding.line, finding.column) = embedded.place(finding.line, finding.column);
            reading.findings.push(finding);
        }
        group += inner.nodes.len();
        if reading.setters.len() + reading.findings.len() > MAX_MARKERS {
            *reading = over_limit(node.line, node.column);
            return;
        }
    }
    if binder_of_tree.is_some() {
        reading.setters.sort_by_key(|setter| setter.span.start);
        reading
            .findings
            .sort_by_key(|finding| (finding.line, finding.column));
    }
}

fn over_limit(line: usize, column: usize) -> Reading {
    let detail = format!("more than {MAX_MARKERS} markers");
    Reading {
        setters: Vec::new(),
        findings: vec![Finding {
            line,
            column,
            problem: Problem::OverLimit(detail),
        }],
        ..Reading::default()
    }
}

fn finding(comment: &Comment<'_>, problem: Problem) -> Finding {
    Finding {
        line: comment.line,
        column: comment.column,
        problem,
    }
}

/// A tree with what is needed to bind its markers.
pub(super) struct Binder<'t, 'a> {
    tree: &'t Tree<'a>,
    pub(super) objects: Vec<ObjectId>,
    /// The first key of each name in each mapping.
    first_keys: HashMap<(usize, &'t str), usize>,
    /// The lines of the aliases of each anchor.
    aliases: HashMap<usize, Vec<usize>>,
    sops: Option<Sops>,
    mode: Mode,
}

impl<'t, 'a> Binder<'t, 'a> {
    pub(super) fn new(tree: &'t Tree<'a>, mode: Mode) -> Self {
        let mut first_keys = HashMap::new();
        let mut aliases = HashMap::<_, Vec<_>>::new();
        for (number, node) in tree.nodes.iter().enumerate() {
            if let (Place::Key, Some(mapping), Some(key)) =
                (node.place, node.parent, tree.scalar(number))
            {
                first_keys.entry((mapping, key)).or_insert(number);
            }
            if let Content::Alias(anchor) = node.content {
                aliases.entry(anchor).or_default().push(node.line);
            }
        }
        Self {
            tree,
            objects: objects(tree),
            first_keys,
            aliases,
            sops: Sops::of(tree),
            mode,
        }
    }

    fn setter(
        &self,
        position: usize,
        comment: &Comment<'a>,
        raw: RawMarker,
    ) -> Result<Setter, Problem> {
        let (number, node) = self.governed(position, comment)?;
        let Content::Scalar { text, .. } = &node.content else {
            return Err(Problem::OnAlias);
        };
        let target = self.target(number, node)?;
        let marker = raw.bind(text).map_err(Problem::Misspelt)?;
        Ok(Setter {
            policy: marker.policy,
            field: marker.field,
            origin: Origin::Marker(marker.text),
            span: target.span,
            style: target.style,
            value: text.clone().into_owned(),
            line: node.line,
            column: node.column,
            object: self.objects.get(node.document).cloned().unwrap_or_default(),
            group: node.parent.unwrap_or(number),
            path: path(self.tree, node),
            aliases: self.aliases_of(node),
        })
    }

    /// What is to be replaced of the scalar `node`, or why it cannot be.
    pub(super) fn target(&self, number: usize, node: &Node<'a>) -> Result<Target<'a>, Problem> {
        self.refuse_keys(node)?;
        self.refuse_encrypted(node)?;
        let target = Target::find(self.tree, number, node).map_err(Problem::NotEditable)?;
        if self.mode != Mode::Whole && is_block(node) {
            let reason = "it is a block; here only values on one line are edited";
            return Err(Problem::NotEditable(reason.to_owned()));
        }
        Ok(target)
    }

    /// The lines of the aliases that repeat `node`.
    pub(super) fn aliases_of(&self, node: &Node<'a>) -> Vec<usize> {
        self.aliases.get(&node.anchor).cloned().unwrap_or_default()
    }

    /// Returns a setter of the text in the block `node` as one of the file.
    fn carry_out(
        &self,
        node: &Node<'a>,
        embedded: &Embedded<'_>,
        setter: Setter,
        group: usize,
    ) -> Result<Setter, Finding> {
        let (line, column) = embedded.place(setter.line, setter.column);
        let at_value = |problem| Finding {
            line,
            column,
            problem,
        };
        self.refuse_keys(node)
            .and_then(|()| self.refuse_encrypted(node))
            .map_err(at_value)?;
        let span = embedded.outward(&setter.span).ok_or_else(|| {
            at_value(Problem::NotEditable(
                "it runs over several lines".to_owned(),
            ))
        })?;
        let outer = self.objects.get(node.document).cloned().unwrap_or_default();
        let aliases = setter.aliases.iter();
        Ok(Setter {
            span,
            line,
            column,
            aliases: aliases.map(|line| embedded.place(*line, 1).0).collect(),
            group: group + setter.group,
            path: format!("{}|{}", path(self.tree, node), setter.path),
            object: if setter.object == ObjectId::default() {
                outer
            } else {
                setter.object
            },
            ..setter
        })
    }

    /// Refuses a value that the authentication code of SOPS covers.
    fn refuse_encrypted(&self, node: &Node<'a>) -> Result<(), Problem> {
        let refusal = self.sops.as_ref().and_then(|sops| match self.mode {
            Mode::Whole | Mode::Lines => sops.refuses(self.tree, node),
            // Rules are compiled once a file, and not once a block.
            Mode::Embedded => Some("a block with a code (`sops.mac`) is left alone".to_owned()),
        });
        refusal.map_or(Ok(()), |reason| Err(Problem::Encrypted(reason)))
    }

    /// Returns the scalar or the alias that the comment at `position` governs.
    fn governed(
        &self,
        position: usize,
        comment: &Comment<'a>,
    ) -> Result<(usize, &'t Node<'a>), Problem> {
        let before = self.line_before(comment.span.start);
        let bound = match before {
            _ if before.trim_start_matches('\u{FEFF}').trim().is_empty() => self
                .above_item(position, comment)
                .or_else(|| self.above_value(position, comment)),
            _ if before
                .trim()
                .chars()
                .all(|character| "- \t".contains(character)) =>
            {
                self.after_dash(comment)
            }
            _ => return self.on_line_of(comment).ok_or(Problem::Unbound),
        };
        let (number, node) = bound.ok_or(Problem::Unbound)?;
        if self.has_line_comment(number, node) {
            return Err(Problem::Hidden);
        }
        Ok((number, node))
    }

    /// `value # marker`, `value, # marker` in a flow collection, and `| # marker`.
    fn on_line_of(&self, comment: &Comment<'a>) -> Option<(usize, &'t Node<'a>)> {
        let (leaves, start) = (&self.tree.leaves, comment.span.start);
        let after = leaves.partition_point(|leaf| self.ends_by(*leaf, start));
        let block = leaves.get(after).copied().and_then(|leaf| self.value(leaf));
        if let Some((number, node)) = block
            && self.header_line_holds(node, comment)
        {
            return Some((number, node));
        }
        let leaf = *leaves.get(after.checked_sub(1)?)?;
        let (number, node) = self.value(leaf)?;
        if is_block(node) || node.span.end < start - self.line_before(start).len() {
            return None;
        }
        let gap = self.tree.text.get(node.span.end..start)?;
        matches!(gap.trim(), "" | ",").then_some((number, node))
    }

    /// `# marker` and, on the next line, `- value`, or an item of a flow sequence on its own line.
    fn above_item(&self, position: usize, comment: &Comment<'a>) -> Option<(usize, &'t Node<'a>)> {
        let (number, node, before) = self.begins_below(position, comment)?;
        let dash = if self.tree.is_in_flow(node) { "" } else { "-" };
        let is_item = matches!(node.place, Place::Item { .. });
        (is_item && before == dash).then_some((number, node))
    }

    /// `key:`, `# marker` on the next line, and the value on the one after.
    fn above_value(&self, position: usize, comment: &Comment<'a>) -> Option<(usize, &'t Node<'a>)> {
        let (number, node, before) = self.begins_below(position, comment)?;
        let Place::Value { key } = node.place else {
            return None;
        };
        let key = self.tree.nodes.get(key)?;
        (before.is_empty() && key.span.end <= comment.span.start).then_some((number, node))
    }

    /// `- # marker` and the value on the next line.
    fn after_dash(&self, comment: &Comment<'a>) -> Option<(usize, &'t Node<'a>)> {
        let (number, node, before) = self.next_below(comment)?;
        let is_item = matches!(node.place, Place::Item { .. });
        (is_item && before.is_empty()).then_some((number, node))
    }

    /// Like [`Self::next_below`], for a comment that stands alone: of two, neither is a marker.
    fn begins_below(
        &self,
        position: usize,
        comment: &Comment<'a>,
    ) -> Option<(usize, &'t Node<'a>, &'t str)> {
        let above = position
            .checked_sub(1)
            .and_then(|above| self.tree.comments.get(above));
        let continues = above.is_some_and(|above| {
            above.line + 1 == comment.line && self.line_before(above.span.start).trim().is_empty()
        });
        if continues {
            return None;
        }
        self.next_below(comment)
    }

    /// The value that begins on the line after `comment`, and what stands before it there.
    fn next_below(&self, comment: &Comment<'a>) -> Option<(usize, &'t Node<'a>, &'t str)> {
        let leaves = &self.tree.leaves;
        let next = leaves.partition_point(|leaf| self.ends_by(*leaf, comment.span.end));
        let (number, node) = self.value(*leaves.get(next)?)?;
        // A block that can be edited has its header on the line above its text; one with an empty
        // line between the two is not looked at.
        let line = node.line - usize::from(is_block(node) && node.line > 1);
        if line != comment.line + 1 {
            return None;
        }
        let start = self.header(node).unwrap_or(node.span.start);
        Some((number, node, without_properties(self.line_before(start))))
    }

    /// Whether any comment stands at the end of the line of `node`.
    fn has_line_comment(&self, number: usize, node: &Node<'a>) -> bool {
        let comments = &self.tree.comments;
        let start = self.header(node).unwrap_or(node.span.end);
        let next = comments.partition_point(|comment| comment.span.start < start);
        comments
            .get(next)
            .and_then(|comment| self.on_line_of(comment))
            .is_some_and(|(governed, _)| governed == number)
    }

    fn header_line_holds(&self, node: &Node<'a>, comment: &Comment<'a>) -> bool {
        node.line == comment.line + 1
            && self
                .header(node)
                .is_some_and(|header| header < comment.span.start)
    }

    /// Where the header of a block begins.
    fn header(&self, node: &Node<'a>) -> Option<usize> {
        if !is_block(node) {
            return None;
        }
        header_before(self.tree, node.span.start).map(|header| header.start)
    }

    /// Refuses a value inside a key, and the value of a key that stood in the mapping before.
    fn refuse_keys(&self, node: &Node<'a>) -> Result<(), Problem> {
        if self
            .tree
            .ancestors(node)
            .any(|ancestor| ancestor.place == Place::Key)
        {
            return Err(Problem::NotEditable(
                "it is part of a mapping's key".to_owned(),
            ));
        }
        let (Place::Value { key }, Some(mapping)) = (node.place, node.parent) else {
            return Ok(());
        };
        let Some(name) = self.tree.scalar(key) else {
            return Ok(());
        };
        let is_second = self
            .first_keys
            .get(&(mapping, name))
            .is_some_and(|first| *first != key);
        if is_second && self.mode != Mode::Lines {
            let reason = "its key stands twice in the mapping, and the first one counts";
            return Err(Problem::NotEditable(reason.to_owned()));
        }
        Ok(())
    }

    /// The leaf with this number, unless it is a key.
    fn value(&self, leaf: usize) -> Option<(usize, &'t Node<'a>)> {
        let node = self.tree.nodes.get(leaf)?;
        (node.place != Place::Key).then_some((leaf, node))
    }

    fn ends_by(&self, leaf: usize, position: usize) -> bool {
        self.tree
            .nodes
            .get(leaf)
            .is_some_and(|node| node.span.end <= position)
    }

    /// The text between the beginning of the line and `position`.
    fn line_before(&self, position: usize) -> &'t str {
        let before = self.tree.text.get(..position).unwrap_or_default();
        let start = before.rfind(['\n', '\r']).map_or(0, |at| at + 1);
        before.get(start..).unwrap_or_default()
    }
}

fn is_block(node: &Node<'_>) -> bool {
    matches!(
        node.content,
        Content::Scalar {
            style: Style::Literal | Style::Folded,
            ..
        }
    )
}

/// Takes anchor and tag off the end of what stands before a value.
fn without_properties(before: &str) -> &str {
    let mut rest = before.trim();
    while let Some(word) = rest.split_whitespace().next_back()
        && word.starts_with(['&', '!'])
    {
        rest = rest.strip_suffix(word).unwrap_or_default().trim_end();
    }
    rest
}
