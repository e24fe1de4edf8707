//! Images without markers: where the well-known kinds of files keep them.
//!
//! [`find`] gives every image of a file with the fields that say it, each as bytes that can be
//! replaced. It decides nothing: which policy an image follows is settled later, by the image's name
//! alone. Only what says a tag or a digest is found, unless somebody asks for [`Missing::Add`].

mod compose;
mod helm;
mod index;
mod kubernetes;
mod kustomize;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt, ops::Range, str::FromStr};

use serde::Serialize;

use self::index::Index;
use super::{
    Finding, Problem, Style,
    addition::Addition,
    object::path,
    scalar::Target,
    sops::Sops,
    template::Covered,
    tree::{Content, Tree},
};
use crate::{
    image::{Digest, ImageReference, Repository, Tag},
    update::{Field, ObjectId},
};

pub use self::index::{FieldPath, FieldPathError};

/// How many images are found in one file.
pub const MAX_IMAGES: usize = 10_000;

/// A kind of file whose images are known without markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "PascalCase")]
pub enum Strategy {
    /// The containers of workloads: `Deployment`, `CronJob` and the like.
    Kubernetes,
    /// The `images` of a kustomization.
    Kustomize,
    /// `image: {repository, tag}` and its relatives, in a values file or a `HelmRelease`.
    HelmValues,
    /// The services of a Compose file.
    Compose,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 4] = [
        Self::Kubernetes,
        Self::Kustomize,
        Self::HelmValues,
        Self::Compose,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "Kubernetes",
            Self::Kustomize => "Kustomize",
            Self::HelmValues => "HelmValues",
            Self::Compose => "Compose",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let same = |it: &Self| it.name().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(same).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is none of: {names}")
        })
    }
}

/// Where to look for images that carry no marker; nowhere, unless somebody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The kinds of files.
    pub strategies: BTreeSet<Strategy>,
    /// Image fields of further Kubernetes kinds, such as a `Rollout`.
    pub resources: Vec<ResourceField>,
    /// What becomes of fields that an entry of a kustomization does not have.
    pub missing: Missing,
}

/// What becomes of a `newTag` or a `digest` that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Nothing.
    #[default]
    Leave,
    /// It is a field of the image, and is added with its first value.
    Add,
}

/// A field of a Kubernetes kind that holds a whole image reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceField {
    /// The kind, such as `Rollout`, or `Rollout.argoproj.io` where the group matters.
    pub kind: String,
    /// Where in such an object the references stand.
    pub path: FieldPath,
}

impl Search {
    /// Looks everywhere it knows of.
    pub fn everywhere() -> Self {
        Self {
            strategies: Strategy::ALL.into(),
            ..Self::default()
        }
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.strategies.is_empty() && self.resources.is_empty()
    }
}

/// One image of a file and the fields that say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundImage {
    /// How it was found.
    pub strategy: Strategy,
    /// The image that the fields together name.
    pub repository: Repository,
    /// The tag that stands there now.
    pub tag: Option<Tag>,
    /// The fields that have to change with the tag, in the order of the text.
    pub fields: Vec<FoundField>,
    /// Why the fields cannot be edited, where one of them cannot.
    pub obstacle: Option<String>,
    /// The Kubernetes object of the document.
    pub object: ObjectId,
}

impl FoundImage {
    /// Whether a digest stands beside the tag, or in its place.
    pub fn is_pinned(&self) -> bool {
        self.fields.iter().any(|field| match field.field {
            Field::Image => field.value.contains('@'),
            Field::Digest => !field.value.is_empty(),
            Field::Tag | Field::Name => false,
        })
    }
}

/// A field of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundField {
    /// Which part of the image it is.
    pub field: Field,
    /// The bytes of the value, quotes included.
    pub span: Range<usize>,
    /// How the value is written.
    pub style: Style,
    /// The value, decoded.
    pub value: String,
    /// The line of the value, from 1.
    pub line: usize,
    /// The column of the value, from 1, in characters.
    pub column: usize,
    /// The path from the document's root.
    pub path: String,
    /// The lines of the aliases that repeat the value.
    pub aliases: Vec<usize>,
    /// The number of the value in its file; of a field that is missing, that of its mapping.
    pub(in crate::update) node: usize,
}

/// The images of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// In the order of the text.
    pub images: Vec<FoundImage>,
    /// What kept the file from being searched.
    pub findings: Vec<Finding>,
}

/// Whether a file is worth parsing for images.
pub fn screen(bytes: &[u8]) -> bool {
    ["image", "Image", "repository"]
        .iter()
        .any(|word| memchr::memmem::find(bytes, word.as_bytes()).is_some())
}

/// Finds the images of the YAML file `path` that `search` asks for.
///
/// Template blocks are covered as in line mode; an image that a block takes part in is not found.
///
/// ```
/// use tagwright::update::yaml::discover::{Search, find};
///
/// let file = b"services:\n  web:\n    image: acme/web:1.4.2\n";
/// let found = find("compose.yaml", file, &Search::everywhere());
/// assert_eq!(found.images[0].repository.to_string(), "acme/web");
/// ```
pub fn find(path: &str, bytes: &[u8], search: &Search) -> Discovered {
    if search.is_empty() || !screen(bytes) {
        return Discovered::default();
    }
    match Tree::parse(bytes) {
        Ok(tree) => in_tree(path, &tree, search),
        Err(finding) => in_template(path, bytes, search, finding),
    }
}

fn in_template(path: &str, bytes: &[u8], search: &Search, unparsable: Finding) -> Discovered {
    let covered = matches!(unparsable.problem, Problem::Unparsable(_))
        .then(|| Covered::parse(bytes))
        .flatten();
    let tree = covered
        .as_ref()
        .and_then(|covered| Tree::parse(covered.text.as_bytes()).ok());
    let (Some(covered), Some(tree)) = (&covered, tree) else {
        return Discovered {
            images: Vec::new(),
            findings: vec![unparsable],
        };
    };
    // Where keys would be added between blocks, nobody can tell which of them they stand in.
    let search = Search {
        missing: Missing::Leave,
        ..search.clone()
    };
    let mut found = in_tree(path, &tree, &search);
    let is_text = |field: &FoundField| !covered.has_block_in(&field.span);
    found
        .images
        .retain(|image| image.fields.iter().all(is_text));
    found
}

fn in_tree(path: &str, tree: &Tree<'_>, search: &Search) -> Discovered {
    let mut finder = Finder::new(tree);
    let has = |strategy| search.strategies.contains(&strategy);
    if has(Strategy::Kubernetes) || !search.resources.is_empty() {
        kubernetes::find(&mut finder, search);
    }
    if has(Strategy::Kustomize) {
        kustomize::find(&mut finder, path, search.missing);
    }
    if has(Strategy::HelmValues) {
        helm::find(&mut finder, path);
    }
    if has(Strategy::Compose) {
        compose::find(&mut finder, path);
    }
    let mut images = finder.images;
    let place = |image: &FoundImage| image.fields.first().map_or(0, |field| field.span.start);
    images.sort_by_key(|image| (place(image), image.strategy));
    // A field belongs to the first strategy that found it.
    images.dedup_by_key(|image| place(image));
    let mut findings = Vec::new();
    if images.len() > MAX_IMAGES {
        images.clear();
        findings.push(Finding {
            line: 1,
            column: 1,
            problem: Problem::OverLimit(format!("more than {MAX_IMAGES} images")),
        });
    }
    Discovered { images, findings }
}

/// A tree with what was found in it so far.
struct Finder<'t, 'a> {
    index: Index<'t, 'a>,
    sops: Option<Sops>,
    images: Vec<FoundImage>,
}

/// What the parts of an image say, as they stand in separate fields.
#[derive(Clone, Copy)]
struct Parts<'s> {
    /// `ghcr.io`, where it stands apart from the repository.
    registry: Option<&'s str>,
    repository: &'s str,
    /// The node of the tag.
    tag: Option<usize>,
    /// The node of the digest.
    digest: Option<usize>,
    /// What is to be added.
    missing: &'s [MissingField],
}

/// A field that an image does not have yet.
struct MissingField {
    field: Field,
    key: &'static str,
    /// The node behind which it would stand.
    behind: usize,
}

impl<'t, 'a> Finder<'t, 'a> {
    fn new(tree: &'t Tree<'a>) -> Self {
        Self {
            index: Index::new(tree),
            sops: Sops::of(tree),
            images: Vec::new(),
        }
    }

    /// Adds the whole reference at `node`, if it is one that names a tag or a digest.
    fn add_reference(&mut self, strategy: Strategy, node: usize) {
        let Some(text) = self.index.text(node) else {
            return;
        };
        let Ok(reference) = text.trim_end().parse::<ImageReference>() else {
            return;
        };
        if reference.tag().is_none() && reference.digest().is_none() {
            return;
        }
        let repository = reference.repository().clone();
        let tag = reference.tag().cloned();
        let fields = Fields {
            there: &[(Field::Image, node)],
            missing: &[],
        };
        self.add(strategy, repository, tag, &fields, None);
    }

    /// Adds an image whose repository and tag or digest stand in separate fields.
    fn add_parts(&mut self, strategy: Strategy, parts: Parts<'_>) {
        let Parts {
            registry,
            repository,
            ..
        } = parts;
        let written = match registry.filter(|it| !it.is_empty()) {
            Some(registry) => format!("{}/{repository}", registry.trim_end_matches('/')),
            None => repository.to_owned(),
        };
        let Ok(repository) = written.parse::<Repository>() else {
            return;
        };
        let says = |node: &usize| self.index.text(*node).is_some();
        let (tag, digest) = (parts.tag.filter(says), parts.digest.filter(says));
        let text = |node: Option<usize>| node.and_then(|it| self.index.text(it)).unwrap_or("");
        let (tag_text, digest_text) = (text(tag), text(digest));
        let mut obstacle = None;
        if !tag_text.is_empty() && tag_text.parse::<Tag>().is_err() {
            obstacle = Some(match tag_text.split_once('@') {
                Some(_) => "a digest stands in the field of the tag".to_owned(),
                None => "the field of the tag holds no tag".to_owned(),
            });
        } else if !digest_text.is_empty() && digest_text.parse::<Digest>().is_err() {
            obstacle = Some("the field of the digest holds no digest".to_owned());
        } else if tag_text.is_empty() && digest_text.is_empty() && parts.missing.is_empty() {
            // Whoever leaves both empty means the chart's own default.
            return;
        }
        let parsed = tag_text.parse().ok();
        // An empty tag stays empty: the digest beside it is what counts.
        let tag = tag.filter(|_| !tag_text.is_empty());
        let fields = tag.map(|node| (Field::Tag, node));
        let fields = fields
            .into_iter()
            .chain(digest.map(|it| (Field::Digest, it)));
        let fields = fields.collect::<Vec<_>>();
        let fields = Fields {
            there: &fields,
            missing: parts.missing,
        };
        self.add(strategy, repository, parsed, &fields, obstacle);
    }

    fn add(
        &mut self,
        strategy: Strategy,
        repository: Repository,
        tag: Option<Tag>,
        fields: &Fields<'_>,
        obstacle: Option<String>,
    ) {
        let mut obstacle = obstacle;
        let mut found = Vec::new();
        let there = fields.there.iter();
        let there = there.map(|(field, number)| self.field(*field, *number));
        let missing = fields.missing.iter().map(|it| self.missing_field(it));
        for field in there.chain(missing) {
            match field {
                Ok((field, refusal)) => {
                    found.push(field);
                    obstacle = obstacle.or(refusal);
                }
                Err(NotThere) => return,
            }
        }
        let document = found.first().map(|field| self.index.document(field.node));
        found.sort_by_key(|field| field.span.start);
        self.images.push(FoundImage {
            strategy,
            repository,
            tag,
            fields: found,
            obstacle,
            object: document.map(|it| self.index.object(it)).unwrap_or_default(),
        });
    }

    /// A field as bytes, and why they cannot be replaced, where they cannot.
    fn field(&self, field: Field, number: usize) -> Result<(FoundField, Option<String>), NotThere> {
        let tree = self.index.tree;
        let node = tree.nodes.get(number).ok_or(NotThere)?;
        let Content::Scalar { text, style } = &node.content else {
            return Err(NotThere);
        };
        let (span, refusal) = match Target::find(tree, number, node) {
            Ok(target) => (target.span, None),
            Err(reason) => (node.span.clone(), Some(reason)),
        };
        // A value without a byte, such as the one of `tag:`, has no place of its own.
        if span.is_empty() {
            return Err(NotThere);
        }
        let encrypted = self.sops.as_ref().and_then(|sops| sops.refuses(tree, node));
        let found = FoundField {
            field,
            span,
            style: *style,
            value: text.clone().into_owned(),
            line: node.line,
            column: node.column,
            path: path(tree, node),
            aliases: self.index.aliases_of(node.anchor),
            node: number,
        };
        Ok((found, encrypted.or(refusal)))
    }

    /// A field that has no bytes yet, as the place where it would stand.
    fn missing_field(
        &self,
        MissingField { field, key, behind }: &MissingField,
    ) -> Result<(FoundField, Option<String>), NotThere> {
        let tree = self.index.tree;
        let node = tree.nodes.get(*behind).ok_or(NotThere)?;
        let number = node.parent.ok_or(NotThere)?;
        let mapping = tree.nodes.get(number).ok_or(NotThere)?;
        let refusal = Addition::find(tree, *behind, key).err();
        let encrypted = self.sops.as_ref();
        let encrypted = encrypted.and_then(|sops| sops.refuses_beside(tree, node, key));
        let written = tree.text.get(node.span.clone()).unwrap_or_default();
        let found = FoundField {
            field: *field,
            span: node.span.end..node.span.end,
            style: Style::Missing(key),
            value: String::new(),
            line: node.line,
            column: node.column + written.chars().count(),
            path: format!("{}.{key}", path(tree, mapping)),
            aliases: self.index.aliases_of(mapping.anchor),
            node: number,
        };
        Ok((found, encrypted.or(refusal.map(str::to_owned))))
    }
}

/// The fields of an image: nodes, and what is to be added.
struct Fields<'s> {
    there: &'s [(Field, usize)],
    missing: &'s [MissingField],
}

/// The field has no bytes.
struct NotThere;
