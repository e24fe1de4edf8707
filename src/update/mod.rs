//! Acting on Git: the pure half finds markers and plans byte-exact edits, the effect half reads
//! snapshots and pushes commits.
//!
//! The pure half is synchronous and touches nothing: [`read`](formats::read) finds the [`Setter`]s
//! of one file, [`splice`](formats::splice) replaces their bytes and proves it. The effect half is
//! [`git`] and [`forge`].

pub mod formats;
pub mod marker;
pub mod view;
pub mod yaml;

pub mod annotate;
pub mod discovery;
pub mod targets;

pub mod plan;
pub mod rejected;

pub mod message;
pub mod template;

pub mod forge;
pub mod git;
pub mod local;

use std::{fmt, ops::Range};

use serde::Serialize;

use self::discovery::Strategy;
pub use self::marker::{Field, Marker, PolicyKey};

/// A value that follows a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setter {
    /// The policy that governs the value.
    pub policy: PolicyKey,
    /// Which part of the chosen image the value is.
    pub field: Field,
    /// Who says so.
    pub origin: Origin,
    /// The bytes of the value in the file, quotes included, anchor and tag excluded.
    pub span: Range<usize>,
    /// How the value is written.
    pub style: Style,
    /// The value, decoded.
    pub value: String,
    /// The line of the value, from 1.
    pub line: usize,
    /// The column of the value, from 1, in characters.
    pub column: usize,
    /// The Kubernetes object of the document that the value stands in.
    pub object: ObjectId,
    /// The collection that the value stands in: setters with one `group` in one file are
    /// siblings, which change together or not at all.
    pub group: usize,
    /// The path of keys and positions from the document's root, such as
    /// `spec.containers[0].image` or `data["app.tag"]`; only the end of a path over 1,024 bytes,
    /// after `…`. In YAML inside YAML, the block's path, `|`, and the path in it.
    pub path: String,
    /// The lines of the aliases that repeat the value, where an anchor stands on it.
    pub aliases: Vec<usize>,
}

/// Who says that a value follows a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "text")]
pub enum Origin {
    /// A comment at the value: `ns:name:tag`, or the words after `tagwright:`.
    Marker(String),
    /// A rule; what it is called, such as `rules[0] of .tagwright.yaml`.
    Rule(String),
    /// A strategy that found the value.
    Discovered(Strategy),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marker(text) | Self::Rule(text) => formatter.write_str(text),
            Self::Discovered(strategy) => strategy.fmt(formatter),
        }
    }
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In `'…'`.
    Single,
    /// In `"…"`.
    Double,
    /// As a `|` block; the span goes from the header to the last character of the text.
    Literal,
    /// As a `>` block; the span goes from the header to the last character of the text.
    Folded,
    /// As a part of a text, which a pattern found.
    Part,
    /// Not at all, yet: the key is to be added to a mapping, behind the value that ends at the span,
    /// which is empty.
    Missing(&'static str),
}

/// What a document says it is; empty strings where it says nothing, as in a Helm values file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectId {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// One value to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The bytes to be replaced, quotes included.
    pub span: Range<usize>,
    /// How the value is written, and stays written.
    pub style: Style,
    /// The value now, decoded.
    pub old: String,
    /// The value to be, decoded.
    pub new: String,
}

/// Something about a file that a person should know: a marker that does nothing, a file that could
/// not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is the matter.
    pub problem: Problem,
}

/// What can be the matter with a file or a marker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", tag = "reason", content = "detail")]
pub enum Problem {
    /// No parser accepts the file; nothing in it was changed.
    Unparsable(String),
    /// The file is larger than 4 MiB, holds more than 10,000 markers, or is nested more than 255
    /// collections deep.
    OverLimit(String),
    /// The file is not UTF-8.
    NotUtf8,
    /// The comment looks like a marker and is none; the text says what is wrong with it.
    Misspelt(String),
    /// The comment stands where no value is bound to it: above a key, on a collection, on an
    /// empty value.
    Unbound,
    /// The value is an alias; the marker belongs on the anchor.
    OnAlias,
    /// Another comment stands closer to the value and is the one that counts.
    Hidden,
    /// The value is written in a way that cannot be replaced byte by byte; the text says which.
    NotEditable(String),
    /// SOPS would not decrypt the file after the edit; the text says why.
    Encrypted(String),
    /// Several policies are about the image, and nothing says which one it follows; the text names
    /// them.
    Ambiguous(String),
    /// A rule names a value that has a marker, and the marker says something else; the text says
    /// which rule. This is a note, and no fault of the file.
    MarkerWins(String),
    /// Rules disagree about the value; the text says which ones.
    Disagree(String),
    /// A rule does not find what it is about; the text says which one.
    NoValue(String),
    /// A rule cannot be used; the text says why, and may go on with an excerpt on new lines.
    Rule(String),
    /// Beside the tag of a kustomization stands a digest that nothing keeps current.
    StaleDigest,
    /// Template blocks keep the file from being parsed; its values were looked for line by line.
    /// This is a note, and no fault of the file.
    LineMode,
}

impl Problem {
    /// Whether it only tells how the file was read, and there is nothing to mend.
    pub fn is_note(&self) -> bool {
        matches!(self, Self::LineMode | Self::MarkerWins(_))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unparsable(detail) => write!(formatter, "the file cannot be parsed: {detail}"),
            Self::OverLimit(detail) => write!(formatter, "the file is over a limit: {detail}"),
            Self::NotUtf8 => formatter.write_str("the file is not UTF-8"),
            Self::Misspelt(detail) => write!(formatter, "the marker is misspelt: {detail}"),
            Self::Unbound => formatter.write_str("the marker is bound to no value"),
            Self::OnAlias => {
                formatter.write_str("the marker stands on an alias; put it on the anchor")
            }
            Self::Hidden => {
                formatter.write_str("the marker is hidden by the comment on the value's line")
            }
            Self::NotEditable(detail) => write!(formatter, "the value cannot be edited: {detail}"),
            Self::Encrypted(detail) => write!(
                formatter,
                "the edit would keep SOPS from decrypting the file: {detail}"
            ),
            Self::Ambiguous(detail) => write!(formatter, "no policy is chosen: {detail}"),
            Self::MarkerWins(rule) => {
                write!(formatter, "the value's marker wins over {rule}, which says something else")
            }
            Self::Disagree(rules) => {
                write!(formatter, "the value stays, because rules disagree about it: {rules}")
            }
            Self::NoValue(detail) => formatter.write_str(detail),
            Self::Rule(detail) => write!(formatter, "the rules cannot be used: {detail}"),
            Self::StaleDigest => formatter.write_str(
                "kustomize takes this digest before the tag, and nothing keeps it current; mark it too, or remove it; the tag stays",
            ),
            Self::LineMode => formatter.write_str(
                "line mode: no YAML parser accepts the template blocks; values on one line are edited around them",
            ),
        }
    }
}
