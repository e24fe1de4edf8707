//! From readings and decisions to a [`ChangeSet`]: what every marked value is, and what it is to
//! be.
//!
//! Values that belong together (the fields of one collection that follow one policy) change
//! together or not at all: when one is held, all are; when one cannot be proven, none is written.

mod written;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use self::written::{current_text, kept_digest, new_value, reflection};
use super::{
    Edit, Field, Finding, ObjectId, Origin, PolicyKey, Setter, Style, formats, git::SourceFile,
    rejected::Rejections, yaml::Reading,
};
use crate::{
    image::{Digest, ImageReference, Repository, Tag},
    parallel,
    policy::{DigestReflection, Policy, Stages, Verdict},
};

/// How many files one commit may change.
pub const MAX_FILES: usize = 5_000;

/// A file of the snapshot and what was found in it.
#[derive(Clone, Debug)]
pub struct ReadFile {
    /// The file.
    pub file: SourceFile,
    /// Its setters and findings.
    pub reading: Reading,
}

/// What was decided about one policy.
#[derive(Clone, Debug)]
pub enum Decision {
    /// The policy looked at a complete scan.
    Decided(Box<Decided>),
    /// The policy could not be asked; the text says why.
    Unavailable(String),
    /// The policy, or its `ImageRepository`, is to be left alone; the text says which.
    Suspended(String),
    /// The policy is not one of this automation's, or there is none of that name.
    Unknown(String),
    /// The policy is well-formed, and nobody was asked.
    Unchecked,
}

/// What a policy said.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The image, as it is written into Git.
    pub image: Repository,
    /// The policy.
    pub policy: Policy,
    /// Its verdict over the scan for each tag that is in Git, and for none.
    pub choices: BTreeMap<Option<String>, Choice>,
    /// The digests of the selected tags, where they were needed.
    pub digests: BTreeMap<Tag, Digest>,
    /// What a person may want to change in the policy, in sentences.
    pub advice: Vec<String>,
}

/// What a policy said for one tag in Git.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The verdict.
    pub verdict: Verdict,
    /// How many tags came how far.
    pub stages: Stages,
    /// Why, in a few words: the order and how many tags took part.
    pub why: String,
}

impl Decided {
    /// What the policy said for the tag that stands in Git for `setter`; where several do, what
    /// holds one of them holds the value.
    fn choice(&self, group: &Group<'_>, setter: &Setter) -> Option<&Choice> {
        let currents = group.current_tags(setter, &self.image);
        let mut choices = currents
            .iter()
            .filter_map(|current| self.choices.get(current));
        let first = choices.clone().next();
        let held = choices.find(|choice| matches!(choice.verdict, Verdict::Held { .. }));
        held.or(first)
    }
}

/// Everything that was found, and everything that changes.
#[derive(Clone, Debug, Default)]
pub struct ChangeSet {
    /// The files to be replaced, by path.
    pub files: Vec<SourceFile>,
    /// Every value that follows a policy, by file and place.
    pub values: Vec<MarkedValue>,
    /// What a person should know about the files.
    pub findings: Vec<FileFinding>,
    /// What a person may want to change in the policies, in sentences.
    pub advice: Vec<(PolicyKey, String)>,
}

/// A finding and its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileFinding {
    /// The path of the file.
    pub file: String,
    /// What and where.
    #[serde(flatten)]
    pub finding: Finding,
}

/// A value that follows a policy, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkedValue {
    /// The path of the file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The path of keys in the document.
    pub path: String,
    /// The object of the document.
    pub object: ObjectId,
    /// Who says that the value follows the policy.
    pub origin: Origin,
    /// The policy.
    #[serde(serialize_with = "as_text")]
    pub policy: PolicyKey,
    /// The image, where the policy is known.
    pub image: Option<Repository>,
    /// Why the policy chose what it chose, where it chose.
    pub why: Option<String>,
    /// Which part of the image the value is.
    pub field: Field,
    /// The value now.
    pub value: String,
    /// What becomes of it.
    pub fate: Fate,
    /// The lines of the aliases that repeat the value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<usize>,
    /// Values of one file with one group change together.
    #[serde(skip)]
    pub group: usize,
}

impl MarkedValue {
    /// Where the value stands, `file:line`, and who says so where it is no marker.
    pub fn place(&self) -> String {
        let place = format!("{}:{}", self.file, self.line);
        match &self.origin {
            Origin::Marker(_) => place,
            origin @ (Origin::Rule(_) | Origin::Discovered(_)) => format!("{place} by {origin}"),
        }
    }

    /// What Flux's message templates call the setter: a marker's text, or what one would say.
    pub fn setter(&self) -> String {
        let field = match self.field {
            Field::Image => "",
            Field::Tag => ":tag",
            Field::Name => ":name",
            Field::Digest => ":digest",
        };
        match &self.origin {
            Origin::Marker(text) => text.clone(),
            Origin::Rule(_) | Origin::Discovered(_) => format!("{}{field}", self.policy),
        }
    }
}

/// What becomes of a marked value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "fate")]
pub enum Fate {
    /// It is what the policy chose.
    Current,
    /// It is replaced.
    Update {
        /// The new value.
        new: String,
    },
    /// It stays, because a guard of the policy holds the choice.
    Held {
        /// The tag that was chosen.
        chosen: Tag,
        /// Why it stays.
        reason: String,
    },
    /// It stays, because nothing matched the policy.
    NothingMatched {
        /// Which stage let nothing through.
        reason: String,
    },
    /// It stays, because the policy could not be asked.
    Unavailable {
        /// Why.
        reason: String,
    },
    /// It stays, because somebody suspended the policy or its `ImageRepository`.
    Suspended {
        /// Which of them.
        reason: String,
    },
    /// It stays, because there is no such policy here.
    UnknownPolicy {
        /// Why, and which name may have been meant.
        reason: String,
    },
    /// It was not looked at: only markers were checked.
    Unchecked,
    /// It stays, because the edited file could not be proven right.
    Refused {
        /// What the proof found.
        reason: String,
    },
}

impl ChangeSet {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The values that change.
    pub fn updates(&self) -> impl Iterator<Item = (&MarkedValue, &str)> {
        self.values.iter().filter_map(|value| match &value.fate {
            Fate::Update { new } => Some((value, new.as_str())),
            _ => None,
        })
    }
}

/// The tags that stand in Git for `image` where a marker names the policy `key`.
pub fn current_tags(
    files: &[ReadFile],
    key: &PolicyKey,
    image: &Repository,
) -> BTreeSet<Option<String>> {
    let groups = files.iter().flat_map(|file| groups(&file.reading.setters));
    let governed = groups.filter(|group| group.policy == key);
    governed
        .flat_map(|group| {
            let tags = group
                .setters
                .iter()
                .flat_map(|setter| group.current_tags(setter, image));
            tags.collect::<Vec<_>>()
        })
        .collect()
}

/// The tags whose digest is needed to write what `decided` says.
///
/// A digest is needed where the policy reflects digests and some value does not have a digest of
/// this very tag already; with [`DigestReflection::Always`], wherever a digest is written at all.
pub fn wanted_digests(files: &[ReadFile], key: &PolicyKey, decided: &Decided) -> BTreeSet<Tag> {
    let writes_digest = |setter: &&Setter| matches!(setter.field, Field::Image | Field::Digest);
    let groups = files.iter().flat_map(|file| groups(&file.reading.setters));
    let mut wanted = BTreeSet::new();
    for group in groups.filter(|group| group.policy == key) {
        for setter in group.setters.iter().copied().filter(writes_digest) {
            let choice = decided.choice(&group, setter);
            let Some(selection) = choice.and_then(|choice| choice.verdict.selection()) else {
                continue;
            };
            let is_wanted = match reflection(setter, decided) {
                DigestReflection::Never => false,
                DigestReflection::Always => true,
                DigestReflection::IfNotPresent => {
                    kept_digest(setter, &group, decided, selection).is_none()
                }
            };
            if is_wanted {
                wanted.insert(selection.tag.clone());
            }
        }
    }
    wanted
}

/// Plans every marked value of every file, as if nobody had ever turned anything down.
pub fn plan(files: &[ReadFile], decisions: &BTreeMap<PolicyKey, Decision>) -> ChangeSet {
    plan_with(files, decisions, &Rejections::default())
}

/// Plans every marked value of every file, and leaves what people turned down.
pub fn plan_with(
    files: &[ReadFile],
    decisions: &BTreeMap<PolicyKey, Decision>,
    rejections: &Rejections,
) -> ChangeSet {
    let mut changes = ChangeSet::default();
    let planned = parallel::map(files, |file| plan_file(file, decisions, rejections));
    for part in planned {
        changes.files.extend(part.files);
        changes.values.extend(part.values);
        changes.findings.extend(part.findings);
    }
    changes
        .values
        .sort_by(|left, right| place(left).cmp(&place(right)));
    changes.findings.sort();
    changes
}

fn place(value: &MarkedValue) -> (&str, usize, usize) {
    (&value.file, value.line, value.column)
}

fn plan_file(
    read: &ReadFile,
    decisions: &BTreeMap<PolicyKey, Decision>,
    rejections: &Rejections,
) -> ChangeSet {
    let path = &read.file.path;
    let mut files = Vec::new();

    let mut values = Vec::new();
    let mut edits = Vec::new();
    for group in groups(&read.reading.setters) {
        let decision = decisions.get(group.policy);
        let fates = group
            .setters
            .iter()
            .map(|setter| fate(setter, &group, decision));
        let mut fates = together(fates.collect());
        if let Some(Decision::Decided(decided)) = decision {
            let chosen = |setter: &Setter| {
                let choice = decided.choice(&group, setter)?;
                Some(choice.verdict.selection()?.tag.clone())
            };
            rejections.hold(path, &group.setters, &decided.policy, chosen, &mut fates);
        }
        for (fate, setter) in fates.into_iter().zip(&group.setters) {
            if let Fate::Update { new } = &fate {
                edits.push(edit(setter, new));
            } else if fate == Fate::Current && matches!(setter.style, Style::Missing(_)) {
                // It is not there, and the policy has nothing to put there.
                continue;
            }
            values.push(marked(path, setter, &group, decision, fate));
        }
    }
    edits.sort_by_key(|edit| edit.span.start);
    if !edits.is_empty() {
        match formats::splice(path, &read.file.bytes, &edits, &read.reading.patterns) {
            Ok(bytes) => files.push(SourceFile {
                path: path.clone(),
                bytes,
            }),
            Err(error) => refuse(&mut values, &error.to_string()),
        }
    }
    let findings = read.reading.findings.iter().cloned();
    let findings = findings.map(|finding| FileFinding {
        file: path.clone(),
        finding,
    });
    ChangeSet {
        findings: findings.collect(),
        files,
        values,
        advice: Vec::new(),
    }
}

/// One field of an image that cannot be written keeps its siblings from being written.
fn together(mut fates: Vec<Fate>) -> Vec<Fate> {
    let failed = fates
        .iter()
        .find(|fate| matches!(fate, Fate::Unavailable { .. }))
        .cloned();
    if let Some(failed) = failed {
        for fate in fates
            .iter_mut()
            .filter(|fate| matches!(fate, Fate::Update { .. }))
        {
            *fate = failed.clone();
        }
    }
    fates
}

fn refuse(values: &mut [MarkedValue], reason: &str) {
    for value in values {
        if matches!(value.fate, Fate::Update { .. }) {
            value.fate = Fate::Refused {
                reason: reason.to_owned(),
            };
        }
    }
}

/// The setters of one collection that follow one policy.
struct Group<'a> {
    policy: &'a PolicyKey,
    setters: Vec<&'a Setter>,
}

fn groups(setters: &[Setter]) -> impl Iterator<Item = Group<'_>> {
    let mut groups = BTreeMap::<(usize, &PolicyKey), Vec<&Setter>>::new();
    for setter in setters {
        groups
            .entry((setter.group, &setter.policy))
            .or_default()
            .push(setter);
    }
    groups
        .into_iter()
        .map(|((_, policy), setters)| Group { policy, setters })
}

impl Group<'_> {
    /// The tags that stand in Git for `setter`, as far as they are `image`'s: its own, and for a
    /// name or digest those beside it; never empty, `None` where there is no such tag.
    fn current_tags(&self, setter: &Setter, image: &Repository) -> Vec<Option<String>> {
        match setter.field {
            Field::Image | Field::Tag => vec![own_tag(setter, image)],
            Field::Name | Field::Digest => {
                let is_tag = |it: &&&Setter| it.field == Field::Tag;
                let beside = self.setters.iter().filter(is_tag);
                let tags = beside.map(|it| own_tag(it, image)).collect::<Vec<_>>();
                if tags.is_empty() { vec![None] } else { tags }
            }
        }
    }
}

/// The tag that a value holds. A block scalar ends in a line break that is no part of it.
fn own_tag(setter: &Setter, image: &Repository) -> Option<String> {
    let value = setter.value.trim_end();
    match setter.field {
        Field::Tag => (!value.is_empty()).then(|| value.to_owned()),
        Field::Image => {
            let reference = value.parse::<ImageReference>().ok()?;
            let is_same = reference.repository() == image;
            reference.tag().filter(|_| is_same).map(Tag::to_string)
        }
        Field::Name | Field::Digest => None,
    }
}

fn fate(setter: &Setter, group: &Group<'_>, decision: Option<&Decision>) -> Fate {
    let decided = match decision {
        Some(Decision::Decided(decided)) => decided,
        Some(Decision::Unavailable(reason)) => {
            return Fate::Unavailable {
                reason: reason.clone(),
            };
        }
        Some(Decision::Suspended(reason)) => {
            return Fate::Suspended {
                reason: reason.clone(),
            };
        }
        Some(Decision::Unknown(reason)) => {
            return Fate::UnknownPolicy {
                reason: reason.clone(),
            };
        }
        Some(Decision::Unchecked) | None => return Fate::Unchecked,
    };
    let Some(choice) = decided.choice(group, setter) else {
        return Fate::Unchecked;
    };
    match &choice.verdict {
        Verdict::Held { selection, reason } => Fate::Held {
            chosen: selection.tag.clone(),
            reason: reason.to_string(),
        },
        Verdict::NothingMatched(stages) => Fate::NothingMatched {
            reason: stages.to_string(),
        },
        Verdict::Selected(selection) => match new_value(setter, group, decided, selection) {
            Err(reason) => Fate::Unavailable { reason },
            Ok(new) if new == current_text(setter) => Fate::Current,
            Ok(new) => Fate::Update { new },
        },
    }
}

fn edit(setter: &Setter, new: &str) -> Edit {
    Edit {
        span: setter.span.clone(),
        style: setter.style,
        old: setter.value.clone(),
        new: new.to_owned(),
    }
}

fn marked(
    path: &str,
    setter: &Setter,
    group: &Group<'_>,
    decision: Option<&Decision>,
    fate: Fate,
) -> MarkedValue {
    let decided = match decision {
        Some(Decision::Decided(decided)) => Some(decided),
        _ => None,
    };
    let choice = decided.and_then(|it| it.choice(group, setter));
    MarkedValue {
        file: path.to_owned(),
        line: setter.line,
        column: setter.column,
        path: setter.path.clone(),
        object: setter.object.clone(),
        origin: setter.origin.clone(),
        policy: setter.policy.clone(),
        image: decided.map(|it| it.image.clone()),
        why: choice.map(|it| it.why.clone()),
        field: setter.field,
        value: setter.value.clone(),
        fate,
        aliases: setter.aliases.clone(),
        group: setter.group,
    }
}

fn as_text<T: std::fmt::Display, S: serde::Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
