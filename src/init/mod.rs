//! A tree that knows no markers yet: its images, a policy for each, and the markers that tie them
//! together.
//!
//! [`survey`] finds the images that nothing governs, [`propose`] reads a policy out of the tags that
//! stand in Git, [`documents`] words it, and [`draft`] tries it on what the registry lists. Nothing
//! here asks a registry or writes a file.

pub mod documents;
pub mod propose;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    documents::{Names, Wording},
    propose::{Proposal, Shape},
};
use crate::{
    config::{Config, ConfigFile, Origin},
    egress::PlainHttp,
    image::{Repository, Tag},
    policy::{self, DigestReflection, PolicyName, Situation, Verdict},
    scan::Scan,
    update::{
        discovery::{self, FoundImage, Search},
        formats,
        git::SourceFile,
        plan::FileFinding,
        targets::Targets,
    },
};

/// A file and those of its images that nothing governs.
#[derive(Clone, Debug)]
pub struct Surveyed {
    /// The file.
    pub file: SourceFile,
    /// Its images without a marker.
    pub images: Vec<FoundImage>,
    /// How many values have a marker.
    pub marked: usize,
    /// What kept it from being searched.
    pub findings: Vec<FileFinding>,
}

/// Finds the images of every file that nothing governs.
pub fn survey(files: Vec<SourceFile>) -> Vec<Surveyed> {
    let search = Search::everywhere();
    let surveyed = files.into_iter().map(|file| {
        let governed = formats::read(&file.path, &file.bytes, &Targets::default());
        let found = discovery::ungoverned(&search, &file.path, &file.bytes, &governed);
        let findings = found.findings.into_iter().map(|finding| FileFinding {
            file: file.path.clone(),
            finding,
        });
        Surveyed {
            findings: findings.collect(),
            images: found.images,
            marked: governed.setters.len(),
            file,
        }
    });
    surveyed.collect()
}

/// An image and the shape of its tag: what one policy can be about.
pub type Subject = (Repository, Shape);

/// What an image needs a policy for, or why no policy could follow it.
pub fn subject(image: &FoundImage) -> Result<Subject, String> {
    if let Some(obstacle) = &image.obstacle {
        return Err(obstacle.clone());
    }
    let Some(tag) = &image.tag else {
        return Err("no tag stands beside its digest".to_owned());
    };
    let shape = Shape::read(tag.as_str()).ok_or_else(|| {
        format!("`{tag}` names no version; write one, or a policy that says what is wanted")
    })?;
    Ok((image.repository.clone(), shape))
}

/// The tags that stand in Git for one subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// The tags.
    pub tags: BTreeSet<Tag>,
    /// Whether one of the values is pinned to a digest.
    pub is_pinned: bool,
}

/// What stands in Git, by subject.
pub fn currents<'s>(images: impl Iterator<Item = &'s FoundImage>) -> BTreeMap<Subject, Current> {
    let mut currents = BTreeMap::<_, Current>::new();
    for image in images {
        let (Ok(subject), Some(tag)) = (subject(image), &image.tag) else {
            continue;
        };
        let current = currents.entry(subject).or_default();
        current.tags.insert(tag.clone());
        current.is_pinned |= image.is_pinned();
    }
    currents
}

/// A policy that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its name.
    pub policy: PolicyName,
    /// Whether it gives a digest.
    pub digest: DigestReflection,
    /// Why it is this one.
    pub why: String,
    /// For each tag in Git, the one that it chooses.
    pub choices: BTreeMap<Tag, Tag>,
    /// Its documents, in YAML.
    pub documents: String,
}

/// Words a policy for one subject and tries it on what the registry lists; by a preset, where one
/// chooses the same of the same candidates.
///
/// # Errors
///
/// Why the policy would not do, in a sentence.
pub fn draft(
    subject: &Subject,
    current: &Current,
    scan: &Scan,
    plain_http: PlainHttp,
    names: &mut Names,
) -> Result<Draft, String> {
    let (repository, shape) = subject;
    let name = names.policy(repository, shape);
    let proposal = Proposal::of(shape, &current.tags);
    let wording = Wording {
        repository,
        name: &name,
        proposal: &proposal,
        digest: if current.is_pinned {
            DigestReflection::IfNotPresent
        } else {
            DigestReflection::Never
        },
        plain_http,
    };
    let trial = Trial::of(&wording, current, scan, names)?;
    let by_preset = proposal.presets(shape).find_map(|proposal| {
        let wording = Wording {
            proposal: &proposal,
            ..wording
        };
        let same = Trial::of(&wording, current, scan, names).ok();
        same.filter(|same| same.choices == trial.choices)
    });
    let Trial { documents, choices } = by_preset.unwrap_or(trial);
    let digest = wording.digest;
    names.take(repository, name.clone());
    let choices = choices.into_iter();
    Ok(Draft {
        documents,
        why: proposal.why,
        policy: name,
        digest,
        choices: choices
            .map(|(current, (chosen, _))| (current, chosen))
            .collect(),
    })
}

/// A policy that was written down, read back, and asked.
struct Trial {
    documents: String,
    /// For each tag in Git, the one that is chosen, and of how many candidates.
    choices: BTreeMap<Tag, (Tag, usize)>,
}

impl Trial {
    fn of(
        wording: &Wording<'_>,
        current: &Current,
        scan: &Scan,
        names: &Names,
    ) -> Result<Self, String> {
        let name = wording.name;
        let documents = wording.documents(names);
        let file = ConfigFile {
            name: "the proposal".to_owned(),
            text: documents.complete(),
            origin: Origin::Given,
        };
        let config = Config::read(&[file], &name.namespace).map_err(|error| error.to_string())?;
        let policy = config.policies.get(name);
        let policy = policy.ok_or_else(|| format!("`{name}` could not be read back"))?;
        let mut choices = BTreeMap::new();
        for tag in &current.tags {
            let situation = Situation {
                current: Some(tag.as_str()),
                now: scan.finished,
            };
            let (verdict, stages) = policy::select_in(&policy.policy, scan, situation);
            let chosen = match verdict {
                Verdict::Selected(selection) => selection.tag,
                Verdict::Held { reason, .. } => return Err(reason.to_string()),
                Verdict::NothingMatched(stages) => return Err(stages.to_string()),
            };
            choices.insert(tag.clone(), (chosen, stages.candidates));
        }
        Ok(Self {
            documents: documents.new,
            choices,
        })
    }
}

#[cfg(test)]
mod tests;
