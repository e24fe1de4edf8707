//! Proposals as documents, in YAML that a person would have written.

use std::collections::{BTreeMap, BTreeSet};

use super::propose::{Proposal, Rule, Shape};
use crate::{
    config::Config,
    egress::PlainHttp,
    image::Repository,
    policy::{DigestReflection, PolicyName},
};

/// The longest name of an object that is made up here.
const MAX_NAME: usize = 63;

/// The names that are taken, and those of the `ImageRepository` documents by image.
#[derive(Clone, Debug)]
pub struct Names {
    namespace: String,
    taken: BTreeSet<String>,
    sources: BTreeMap<Repository, String>,
}

impl Names {
    /// The names of a configuration; new objects will stand in `namespace`.
    pub fn new(config: &Config, namespace: &str) -> Self {
        let policies = config.policies.keys();
        let policies = policies.filter(|it| it.namespace == namespace);
        let images = config.images.keys();
        let images = images.filter(|it| it.namespace == namespace);
        let taken = policies
            .map(|it| it.name.clone())
            .chain(images.map(|it| it.name.clone()));
        Self {
            namespace: namespace.to_owned(),
            taken: taken.collect(),
            sources: BTreeMap::new(),
        }
    }

    /// A free name for a policy about tags of `shape` in `repository`.
    pub(super) fn policy(&self, repository: &Repository, shape: &Shape) -> PolicyName {
        let word = shape.word();
        let base = self.base(repository);
        let candidates = [base.clone(), format!("{base}-{word}")];
        let is_free = |name: &&String| !self.taken.contains(*name) && !name.ends_with('-');
        let free = candidates.iter().find(is_free).cloned();
        PolicyName {
            namespace: self.namespace.clone(),
            name: free.unwrap_or_else(|| self.counted(&base)),
        }
    }

    /// Takes the name of a policy that is to be kept; the `ImageRepository` of its image has the name
    /// of the first one.
    pub(super) fn take(&mut self, repository: &Repository, name: PolicyName) {
        self.taken.insert(name.name.clone());
        self.sources.entry(repository.clone()).or_insert(name.name);
    }

    /// The last part of the image's path, as far as it can stand in a name.
    fn base(&self, repository: &Repository) -> String {
        if let Some(name) = self.sources.get(repository) {
            return name.clone();
        }
        let last = repository.path().rsplit('/').next().unwrap_or_default();
        let is_word = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit();
        let words = last
            .split(|it| !is_word(it))
            .filter(|word| !word.is_empty());
        let mut name = words.collect::<Vec<_>>().join("-");
        name.truncate(MAX_NAME);
        let name = name.trim_end_matches('-');
        if name.is_empty() {
            "image".to_owned()
        } else {
            name.to_owned()
        }
    }

    fn counted(&self, base: &str) -> String {
        (2..=self.taken.len() + 2)
            .map(|count| format!("{base}-{count}"))
            .find(|name| !self.taken.contains(name))
            .expect("fewer names are taken than there are numbers")
    }
}

/// What is said about one policy.
#[derive(Clone, Copy)]
pub(super) struct Wording<'a> {
    pub(super) repository: &'a Repository,
    pub(super) name: &'a PolicyName,
    pub(super) proposal: &'a Proposal,
    pub(super) digest: DigestReflection,
    pub(super) plain_http: PlainHttp,
}

/// The documents of one policy.
pub(super) struct Documents {
    /// Those that are not there yet.
    pub(super) new: String,
    /// The `ImageRepository`, where it was written for another policy.
    known: String,
}

impl Documents {
    /// All documents that the policy needs.
    pub(super) fn complete(&self) -> String {
        format!("{}{}", self.known, self.new)
    }
}

impl Wording<'_> {
    pub(super) fn documents(&self, names: &Names) -> Documents {
        let known = names.sources.get(self.repository);
        let source = known.unwrap_or(&self.name.name);
        let repository = self.image_repository(source);
        let policy = self.image_policy(source);
        match known {
            Some(_) => Documents {
                new: policy,
                known: repository,
            },
            None => Documents {
                new: format!("{repository}{policy}"),
                known: String::new(),
            },
        }
    }

    fn image_repository(&self, name: &str) -> String {
        let insecure = match self.plain_http {
            PlainHttp::Refuse => "",
            PlainHttp::Allow => "  insecure: true\n",
        };
        let head = self.head("ImageRepository", name);
        let image = scalar(&self.repository.to_string());
        format!("{head}spec:\n  image: {image}\n  interval: 10m\n{insecure}")
    }

    fn image_policy(&self, source: &str) -> String {
        let Proposal {
            rule,
            filter,
            constraints,
            ..
        } = self.proposal;
        let mut text = self.head("ImagePolicy", &self.name.name);
        text.push_str(&format!(
            "spec:\n  imageRepositoryRef:\n    name: {}\n",
            scalar(source)
        ));
        if let Some((pattern, extract)) = filter {
            let (pattern, extract) = (quoted(pattern), quoted(extract));
            text.push_str(&format!(
                "  filterTags:\n    pattern: {pattern}\n    extract: {extract}\n"
            ));
        }
        text.push_str("  policy:\n");
        match rule {
            Rule::Preset(name) => text.push_str(&format!("    preset: {name}\n")),
            Rule::Order(order, key, argument) => {
                let argument = match *order {
                    "numerical" => argument.clone(),
                    _ => quoted(argument),
                };
                text.push_str(&format!("    {order}:\n      {key}: {argument}\n"));
            }
        }
        if !constraints.is_empty() {
            text.push_str("  constraints:\n");
            for (field, value) in constraints {
                text.push_str(&format!("    {field}: {value}\n"));
            }
        }
        if self.digest != DigestReflection::Never {
            text.push_str("  digestReflectionPolicy: IfNotPresent\n");
        }
        text
    }

    fn head(&self, kind: &str, name: &str) -> String {
        let (name, namespace) = (scalar(name), scalar(&self.name.namespace));
        format!(
            "---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
        )
    }
}

/// A text as a YAML value: plain where no reader takes it for something else.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = text.starts_with(|it: char| it.is_ascii_lowercase())
        && text
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || "-_./:".contains(it))
        && !text.ends_with(':')
        && !WORDS.contains(&text);
    if is_plain {
        text.to_owned()
    } else {
        quoted(text)
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
