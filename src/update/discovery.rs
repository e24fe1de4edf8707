//! Images that nobody marked: opt-in strategies that know where each kind of file keeps them.
//!
//! [`discover`] matches the images of a file to policies, by the image's name alone, and gives
//! setters with [`Origin::Discovered`]. An image that two policies are about is a finding and never
//! a guess; an image of which a marker or a rule governs one field is theirs altogether.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Finding, Origin, PolicyKey, Problem, Setter, Style,
    formats::Format,
    yaml::{Reading, discover as yaml},
};
use crate::{image::Repository, policy::PolicyName};

pub use super::yaml::discover::{
    Discovered, FieldPath, FieldPathError, FoundField, FoundImage, MAX_IMAGES, Missing,
    ResourceField, Search, Strategy,
};

/// Changes with every change of what [`Discovery::keeps`] says.
const WORD: &str = "images-1";

/// Where an automation looks for images, and which policies they may follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Where to look; nowhere, unless somebody asks.
    pub search: Search,
    /// The policies by image.
    pub policies: Assignments,
}

/// Which policies are about which image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignments(BTreeMap<Repository, BTreeSet<PolicyName>>);

impl FromIterator<(Repository, PolicyName)> for Assignments {
    fn from_iter<I: IntoIterator<Item = (Repository, PolicyName)>>(pairs: I) -> Self {
        let mut policies = BTreeMap::<_, BTreeSet<_>>::new();
        for (image, policy) in pairs {
            policies.entry(image).or_default().insert(policy);
        }
        Self(policies)
    }
}

/// Which policy an image follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment<'p> {
    /// No policy is about it.
    None,
    /// One is.
    Policy(&'p PolicyName),
    /// Several are, and nothing tells them apart.
    Ambiguous(&'p BTreeSet<PolicyName>),
}

impl Assignments {
    /// Which policy `image` follows.
    pub fn of(&self, image: &Repository) -> Assignment<'_> {
        let Some(policies) = self.0.get(image) else {
            return Assignment::None;
        };
        match (policies.first(), policies.len()) {
            (Some(policy), 1) => Assignment::Policy(policy),
            (Some(_), _) => Assignment::Ambiguous(policies),
            (None, _) => Assignment::None,
        }
    }
}

impl Discovery {
    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.search.is_empty()
    }

    /// Whether a file of this path, with these bytes, is worth parsing. Of the path it regards the
    /// file name's ending alone.
    pub fn keeps(&self, path: &str, bytes: &[u8]) -> bool {
        !self.is_empty() && Format::of(path) == Some(Format::Yaml) && yaml::screen(bytes)
    }

    /// A word that changes whenever an answer of [`Self::keeps`] may.
    pub fn word(&self) -> Cow<'_, str> {
        Cow::Borrowed(if self.is_empty() { "" } else { WORD })
    }
}

/// Finds the values of the file `path` that follow a policy by their image's name, besides those in
/// `governed`.
pub fn discover(discovery: &Discovery, path: &str, bytes: &[u8], governed: &Reading) -> Reading {
    if !discovery.keeps(path, bytes) {
        return Reading::default();
    }
    let found = ungoverned(&discovery.search, path, bytes, governed);
    let mut reading = Reading {
        setters: Vec::new(),
        findings: found.findings,
        ..Reading::default()
    };
    for image in found.images {
        match discovery.policies.of(&image.repository) {
            Assignment::None => {}
            Assignment::Policy(policy) => match &image.obstacle {
                Some(obstacle) => {
                    let problem = Problem::NotEditable(obstacle.clone());
                    reading.findings.push(at(&image, problem));
                }
                None => reading.setters.extend(setters(image, policy)),
            },
            Assignment::Ambiguous(policies) => {
                let names = policies.iter().map(ToString::to_string);
                let names = names.collect::<Vec<_>>().join(", ");
                let detail = format!("{names} are about `{}`; mark the value", image.repository);
                reading
                    .findings
                    .push(at(&image, Problem::Ambiguous(detail)));
            }
        }
    }
    reading
}

/// Finds the images of which nothing in `governed` says what they follow.
pub fn ungoverned(search: &Search, path: &str, bytes: &[u8], governed: &Reading) -> Discovered {
    if Format::of(path) != Some(Format::Yaml) {
        return Discovered::default();
    }
    let mut found = yaml::find(path, bytes, search);
    let taken = governed.setters.iter().map(|setter| setter.span.start);
    let taken = taken.collect::<BTreeSet<_>>();
    // Where somebody meant a marker, it is not for us to say what the value follows.
    let meant = governed.findings.iter().filter(|it| !it.problem.is_note());
    let meant = meant.map(|finding| finding.line).collect::<BTreeSet<_>>();
    let groups = governed.setters.iter().map(|setter| setter.group);
    let groups = groups.collect::<BTreeSet<_>>();
    let is_free = |field: &FoundField| match field.style {
        // Who governs one field of a mapping does not want another one added to it.
        Style::Missing(_) => !groups.contains(&field.node) && !meant.contains(&field.line),
        _ => !taken.contains(&field.span.start) && !meant.contains(&field.line),
    };
    found
        .images
        .retain(|image| image.fields.iter().all(is_free));
    found
}

fn at(image: &FoundImage, problem: Problem) -> Finding {
    let (line, column) = image
        .fields
        .first()
        .map_or((1, 1), |field| (field.line, field.column));
    Finding {
        line,
        column,
        problem,
    }
}

/// The fields of one image, as siblings.
fn setters(image: FoundImage, policy: &PolicyName) -> Vec<Setter> {
    let FoundImage {
        strategy,
        fields,
        object,
        ..
    } = image;
    // A value is no collection, so no marker's group has its number.
    let group = fields.first().map_or(0, |field| field.node);
    let setter = |field: FoundField| Setter {
        policy: PolicyKey::Named(policy.clone()),
        field: field.field,
        origin: Origin::Discovered(strategy),
        span: field.span,
        style: field.style,
        value: field.value,
        line: field.line,
        column: field.column,
        object: object.clone(),
        group,
        path: field.path,
        aliases: field.aliases,
    };
    fields.into_iter().map(setter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::formats;
    use crate::update::targets::Targets;

    const POD: &str = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n";

    fn targets(policies: &[(&str, &str)]) -> Targets {
        let policy = |(image, name): &(&str, &str)| {
            let namespace = "apps".to_owned();
            let name = (*name).to_owned();
            (image.parse().unwrap(), PolicyName { namespace, name })
        };
        Targets {
            discovery: Discovery {
                search: Search::everywhere(),
                policies: policies.iter().map(policy).collect(),
            },
            ..Targets::default()
        }
    }

    /// Checks who governs which value, and what is found to be the matter.
    fn check(policies: &[(&str, &str)], containers: &str, expected: &[&str]) {
        let text = format!("{POD}{containers}");
        let reading = formats::read("pod.yaml", text.as_bytes(), &targets(policies));
        let setters = reading.setters.iter();
        let setters = setters.map(|it| format!("{} {} by {}", it.policy, it.value, it.origin));
        let findings = reading.findings.iter().map(|it| it.problem.to_string());
        assert_eq!(
            setters.chain(findings).collect::<Vec<_>>(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn images_follow_the_one_policy_about_them() {
        let policies = &[("acme/web", "web"), ("nginx", "proxy")];
        check(
            policies,
            "  - image: acme/web:1\n",
            &["apps:web acme/web:1 by Kubernetes"],
        );
        check(
            policies,
            "  - image: docker.io/library/nginx:1\n",
            &["apps:proxy docker.io/library/nginx:1 by Kubernetes"],
        );
        check(policies, "  - image: acme/api:1\n", &[]);
        check(policies, "  - image: acme/web\n", &[]);
    }

    #[test]
    fn two_policies_about_one_image_are_a_finding() {
        check(
            &[("nginx", "a"), ("docker.io/library/nginx", "b")],
            "  - image: nginx:1\n",
            &["no policy is chosen: apps:a, apps:b are about `nginx`; mark the value"],
        );
    }

    #[test]
    fn a_marked_value_is_the_markers() {
        let policies = &[("acme/web", "web")];
        check(
            policies,
            "  - image: acme/web:1 # {\"$imagepolicy\": \"apps:other\"}\n",
            &["apps:other acme/web:1 by apps:other"],
        );
        check(
            policies,
            "  - image: acme/web:1 # {'$imagepolicy': 'apps:other'}\n",
            &[
                "the marker is misspelt: JSON needs double quotes; write `{\"$imagepolicy\": \"NAMESPACE:POLICY\"}`",
            ],
        );
    }

    #[test]
    fn what_cannot_be_edited_is_said_where_a_policy_is_about_it() {
        let value = "  - image: !!int acme/web:1\n";
        check(
            &[("acme/web", "web")],
            value,
            &["the value cannot be edited: its tag `!!int` says that it is no string"],
        );
        check(&[], value, &[]);
    }
}
