//! The views of every format but YAML, and the proof that rests on them.

use std::ops::Range;

use super::{
    Format, dockerfile, dotenv, hcl, is_sealed,
    json::{self, Dialect},
    page::{self, Lines, Page, Unreadable, Value},
    toml,
};
use crate::update::{
    Finding, ObjectId, Problem, Style,
    view::{Content, Made, Node, Step, Text, View},
    yaml::SpliceError,
};

/// Where the groups of views begin: a scanner's own are never as many as a file has bytes.
const GROUPS: usize = 1 << 24;
const NO_STRING: &str = "it is no string in quotes";
const ESCAPE: &str = "an escape is part of it";
const LONG: &str = "it may run over several lines";

/// What a value is to its parser.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    /// A string, decoded.
    String(&'a str),
    /// Something else: it is compared, and never edited.
    Other,
}

/// The file as a tree of keys and values.
pub(super) fn read(format: Format, bytes: &[u8]) -> Result<View, Finding> {
    let text = page::text_of(bytes).map_err(|problem| Finding {
        line: 1,
        column: 1,
        problem,
    })?;
    view(format, text)
}

/// The text of a file as a tree of keys and values.
pub(super) fn view(format: Format, text: &str) -> Result<View, Finding> {
    grown(format, text).map_err(|(at, what)| {
        let (line, column) = Lines::new(text).place(at);
        Finding {
            line,
            column,
            problem: Problem::Unparsable(what),
        }
    })
}

fn grown(format: Format, text: &str) -> Result<View, (usize, String)> {
    let body = text.trim_start_matches('\u{FEFF}');
    let mut grower = Grower::new(text, text.len() - body.len());
    let grown = match format {
        Format::Toml => toml::grow(body, &mut grower),
        Format::Hcl => hcl::grow(body, &mut grower),
        Format::Json => json::grow(body, Dialect::Strict, &mut grower),
        Format::Jsonc => json::grow(body, Dialect::Loose, &mut grower),
        Format::Dockerfile => flat(dockerfile::scan(text), &mut grower, dockerfile_step),
        Format::Dotenv => flat(dotenv::scan(text), &mut grower, dotenv_step),
        Format::Yaml => Ok(()),
    };
    let before = text.len() - body.len();
    grown.map_err(|(at, what)| ((at + before).min(text.len()), what))?;
    let mut view = grower.view;
    view.objects.push(ObjectId::default());
    if is_sealed(text) {
        for node in &mut view.nodes {
            if let Content::Text(text) = &mut node.content {
                let reason = "a code of SOPS covers every value".to_owned();
                text.refusal = Some(Problem::Encrypted(reason));
            }
        }
    }
    Ok(view)
}

/// Proves with another parser that nothing but the replacements changed.
pub(super) fn prove(
    format: Format,
    before: &str,
    after: &str,
    made: &[Made<'_>],
) -> Result<(), SpliceError> {
    let read = |text: &str| {
        view(format, text).map_err(|finding| SpliceError::Proof {
            line: finding.line,
            what: format!("another parser cannot read the file: {}", finding.problem),
        })
    };
    let (old, new) = (read(before)?, read(after)?);
    old.prove(before, (&new, after), made)
        .map_err(|(line, what)| SpliceError::Proof {
            line,
            what: what.to_owned(),
        })
}

/// A view that grows from its root.
pub(super) struct Grower<'a> {
    text: &'a str,
    lines: Lines<'a>,
    /// How many bytes stand before the text that a parser saw.
    before: usize,
    view: View,
}

impl<'a> Grower<'a> {
    fn new(text: &'a str, before: usize) -> Self {
        Self {
            text,
            lines: Lines::new(text),
            before,
            view: View::default(),
        }
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.view.nodes.len()
    }

    /// Adds a node and returns its number; `at` is where a parser saw it.
    pub(super) fn add(
        &mut self,
        parent: Option<usize>,
        step: Step,
        content: Content,
        at: usize,
    ) -> usize {
        let (line, column) = self.lines.place(at + self.before);
        self.view.nodes.push(Node {
            parent,
            step,
            content,
            document: 0,
            line,
            column,
        });
        self.view.nodes.len() - 1
    }

    /// Adds a value that a parser saw at `span`.
    pub(super) fn text(
        &mut self,
        parent: Option<usize>,
        step: Step,
        span: Range<usize>,
        kind: Kind<'_>,
    ) {
        let at = span.start;
        let span = span.start + self.before..span.end + self.before;
        let written = self.text.get(span.clone()).unwrap_or_default();
        let quoted = |quote: char| written.strip_prefix(quote)?.strip_suffix(quote);
        let (style, inside) = match (quoted('"'), quoted('\'')) {
            (Some(inside), _) => (Style::Double, inside),
            (_, Some(inside)) => (Style::Single, inside),
            _ => (Style::Plain, written),
        };
        let is_long = written.starts_with("\"\"\"") || written.starts_with("'''");
        let (value, refusal) = match kind {
            Kind::Other => (written, Some(NO_STRING)),
            Kind::String(value) if style == Style::Plain => (value, Some(NO_STRING)),
            Kind::String(value) if is_long => (value, Some(LONG)),
            Kind::String(value) if value != inside => (value, Some(ESCAPE)),
            Kind::String(value) => (value, None),
        };
        let text = Text {
            value: value.to_owned(),
            span,
            style,
            group: GROUPS + parent.map_or(0, |parent| parent + 1),
            aliases: Vec::new(),
            refusal: refusal.map(|reason| Problem::NotEditable(reason.to_owned())),
        };
        self.add(parent, step, Content::Text(text), at);
    }

    /// Refuses every value from the node `first` on.
    pub(super) fn refuse(&mut self, first: usize, reason: &str) {
        for node in self.view.nodes.iter_mut().skip(first) {
            if let Content::Text(text) = &mut node.content {
                text.refusal = Some(Problem::NotEditable(reason.to_owned()));
            }
        }
    }
}

/// Makes a tree of a page: what `step` names, in a mapping of its own.
fn flat(
    page: Result<Page<'_>, Unreadable>,
    grower: &mut Grower<'_>,
    step: fn(&Value<'_>) -> (&'static str, Option<String>),
) -> Result<(), (usize, String)> {
    // A page counts from the beginning of the file.
    let before = std::mem::take(&mut grower.before);
    let page = page.map_err(|error| (error.at.saturating_sub(before), error.what.to_owned()))?;
    let root = grower.add(None, Step::Root, Content::Mapping, 0);
    let mut sections = Vec::<(&'static str, Vec<_>)>::new();
    for value in &page.values {
        let (section, key) = step(value);
        match sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, values)) => values.push((value, key)),
            None => sections.push((section, vec![(value, key)])),
        }
    }
    for (section, values) in sections {
        let mut node = root;
        if !section.is_empty() {
            let is_list = values.iter().all(|(_, key)| key.is_none());
            let content = if is_list {
                Content::Sequence
            } else {
                Content::Mapping
            };
            node = grower.add(Some(root), Step::Key(section.to_owned()), content, 0);
        }
        for (position, (value, key)) in values.into_iter().enumerate() {
            let step = key.map_or(Step::Item(position), Step::Key);
            let refusal = page.sealed.map(|it| Problem::Encrypted(it.to_owned()));
            let refused = value.refusal.map(|it| Problem::NotEditable(it.to_owned()));
            let text = Text {
                value: value.text.to_owned(),
                span: value.span.clone(),
                style: value.style,
                group: value.group,
                aliases: Vec::new(),
                refusal: refusal.or(refused),
            };
            grower.add(Some(node), step, Content::Text(text), value.span.start);
        }
    }
    Ok(())
}

/// `FROM[0]` in the order of the text, `ARG.NAME`.
fn dockerfile_step(value: &Value<'_>) -> (&'static str, Option<String>) {
    match value.name.split_once(' ') {
        Some(("ARG", name)) => ("ARG", Some(name.to_owned())),
        _ => ("FROM", None),
    }
}

/// `NAME`.
fn dotenv_step(value: &Value<'_>) -> (&'static str, Option<String>) {
    ("", Some(value.name.clone()))
}
