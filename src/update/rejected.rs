//! Values that somebody moved away from what we wrote: people's work wins until there is something
//! newer than what they turned down.
//!
//! Only Git is asked: what our own commits did to a value, and what it is now.

use std::collections::{BTreeMap, HashMap};

use super::{
    Field, ObjectId, PolicyKey, Setter, formats,
    git::{CommitId, OwnCommit, SourceFile},
    plan::{Decided, Fate, MarkedValue},
    targets::Targets,
};
use crate::{
    image::{ImageReference, Tag},
    policy::{Guard, Policy},
};

/// What people turned down, by file, line and column of the value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections(BTreeMap<(String, usize, usize), Rejection>);

/// A value that we wrote, and that is not there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What we wrote.
    pub value: String,
    /// The commit that did.
    pub commit: CommitId,
}

impl Rejections {
    /// Finds out which of `updates` would write again what somebody took back.
    ///
    /// `files` are those that the updates stand in; `history` is told from the newest commit on.
    pub fn find<'a>(
        updates: impl Iterator<Item = &'a MarkedValue>,
        files: &[SourceFile],
        history: &[OwnCommit],
        targets: &Targets,
    ) -> Self {
        let mut versions = Versions {
            targets,
            read: HashMap::new(),
        };
        let mut found = BTreeMap::new();
        for value in updates {
            let Some(file) = files.iter().find(|file| file.path == value.file) else {
                continue;
            };
            let (line, column) = (value.line, value.column);
            let Some(place) = versions.place(&file.path, &file.bytes, line, column) else {
                continue;
            };
            if let Some(rejection) = versions.last_step(&place, value, history) {
                found.insert((value.file.clone(), line, column), rejection);
            }
        }
        Self(found)
    }

    /// Whether nobody turned anything down.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Holds the values of one collection, where one of them would become again what somebody took
    /// back; `chosen` tells which tag the policy chose for a value.
    pub(super) fn hold(
        &self,
        path: &str,
        setters: &[&Setter],
        policy: &Policy,
        chosen: impl Fn(&Setter) -> Option<Tag>,
        fates: &mut [Fate],
    ) {
        let held = setters.iter().zip(fates.iter()).find_map(|(setter, fate)| {
            let Fate::Update { new } = fate else {
                return None;
            };
            Some(Fate::Held {
                reason: self.reason(path, setter, policy, new)?,
                chosen: chosen(setter)?,
            })
        });
        let Some(held) = held else {
            return;
        };
        let updates = fates.iter_mut();
        for fate in updates.filter(|fate| matches!(fate, Fate::Update { .. })) {
            *fate = held.clone();
        }
    }

    /// Why `new` is not written over a value, where it is not newer than what was turned down.
    fn reason(&self, path: &str, setter: &Setter, policy: &Policy, new: &str) -> Option<String> {
        let place = (path.to_owned(), setter.line, setter.column);
        let Rejection { value, commit } = self.0.get(&place)?;
        let (chosen, rejected) = (tag(setter.field, new), tag(setter.field, value));
        let is_older = match (&chosen, &rejected) {
            (Some(chosen), Some(rejected)) => policy.puts_before(chosen, rejected),
            _ => false,
        };
        if new != value && !is_older {
            return None;
        }
        let rejected = rejected.map_or_else(|| value.clone(), |tag| tag.to_string());
        let commit = commit.as_str().get(..7).unwrap_or_default();
        Some(format!(
            "somebody took {rejected} back after commit {commit} wrote it, and nothing newer is there"
        ))
    }
}

/// Whether a policy wants to know what people turned down.
pub fn is_guarded(decided: &Decided) -> bool {
    !decided.policy.guards_off.contains(&Guard::TakenBack)
}

/// The tag in a value.
fn tag(field: Field, value: &str) -> Option<Tag> {
    match field {
        Field::Tag => value.trim_end().parse().ok(),
        Field::Image => {
            let reference = value.trim_end().parse::<ImageReference>().ok()?;
            reference.tag().cloned()
        }
        Field::Name | Field::Digest => None,
    }
}

/// What a value is known by in any version of its file: lines move.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    policy: PolicyKey,
    field: Field,
    object: ObjectId,
    path: String,
    /// Which one of several that are alike.
    number: usize,
}

/// A file's path and its bytes.
type Version = (String, Vec<u8>);

/// Files as they were, each read once.
struct Versions<'a> {
    targets: &'a Targets,
    read: HashMap<Version, Vec<(Place, Setter)>>,
}

impl Versions<'_> {
    fn places(&mut self, path: &str, bytes: &[u8]) -> &[(Place, Setter)] {
        let targets = self.targets;
        let known = self.read.entry((path.to_owned(), bytes.to_vec()));
        known.or_insert_with(|| {
            let mut counts = HashMap::new();
            let setters = formats::read(path, bytes, targets).setters.into_iter();
            let places = setters.map(|setter| {
                let mut place = Place {
                    policy: setter.policy.clone(),
                    field: setter.field,
                    object: setter.object.clone(),
                    path: setter.path.clone(),
                    number: 0,
                };
                let count = counts.entry(place.clone()).or_insert(0);
                place.number = *count;
                *count += 1;
                (place, setter)
            });
            places.collect()
        })
    }

    fn place(&mut self, path: &str, bytes: &[u8], line: usize, column: usize) -> Option<Place> {
        let places = self.places(path, bytes).iter();
        let mut fitting = places.filter(|(_, it)| it.line == line && it.column == column);
        fitting.next().map(|(place, _)| place.clone())
    }

    fn value(&mut self, path: &str, bytes: &[u8], place: &Place) -> Option<String> {
        let mut places = self.places(path, bytes).iter();
        let found = places.find(|(it, _)| it == place);
        found.map(|(_, setter)| setter.value.clone())
    }

    /// What our newest commit that changed a value made of it, where that is not what it is now.
    fn last_step(
        &mut self,
        place: &Place,
        value: &MarkedValue,
        history: &[OwnCommit],
    ) -> Option<Rejection> {
        for commit in history {
            let steps = commit.files.iter().filter(|step| step.path == value.file);
            for step in steps {
                let before = self.value(&step.path, &step.before, place);
                let after = self.value(&step.path, &step.after, place);
                if let (Some(before), Some(after)) = (before, after)
                    && before != after
                {
                    let commit = commit.id.clone();
                    let rejection = Rejection {
                        value: after,
                        commit,
                    };
                    return (rejection.value != value.value).then_some(rejection);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Order, PolicyName, Selection, Stages, Verdict},
        update::{
            git::FileStep,
            plan::{self, Choice, Decision, ReadFile},
        },
    };

    const FILE: &str = "web.yaml";

    fn text(above: &str, tag: &str) -> Vec<u8> {
        format!("{above}image: acme/web:{tag} # {{\"$imagepolicy\": \"apps:web\"}}\n").into_bytes()
    }

    fn commit(before: &str, after: &str) -> OwnCommit {
        OwnCommit {
            id: CommitId::new(&"a".repeat(40)).expect("an id"),
            files: vec![FileStep {
                path: FILE.to_owned(),
                before: text("", before),
                after: text("", after),
            }],
        }
    }

    /// What becomes of `now` where the policy chooses `chosen`.
    fn fate(history: &[OwnCommit], now: &str, chosen: &str) -> Fate {
        let targets = Targets::default();
        // Lines have moved since.
        let file = SourceFile {
            path: FILE.to_owned(),
            bytes: text("# by hand\nreplicas: 2\n", now),
        };
        let reading = formats::read(FILE, &file.bytes, &targets);
        let tag: Tag = chosen.parse().expect("a tag");
        let decided = Decided {
            image: "acme/web".parse().expect("a repository"),
            policy: Policy::new(Order::semver("*").expect("a range")),
            choices: [(
                Some(now.to_owned()),
                Choice {
                    verdict: Verdict::Selected(Selection {
                        key: tag.to_string(),
                        tag,
                        ties: Vec::new(),
                        tied: 0,
                    }),
                    stages: Stages::default(),
                    why: String::new(),
                },
            )]
            .into(),
            digests: BTreeMap::new(),
            advice: Vec::new(),
        };
        let policy = PolicyKey::Named(PolicyName {
            namespace: "apps".to_owned(),
            name: "web".to_owned(),
        });
        let decisions = [(policy, Decision::Decided(Box::new(decided)))].into();
        let files = [ReadFile {
            file: file.clone(),
            reading,
        }];
        let changes = plan::plan(&files, &decisions);
        let updates = changes.updates().map(|(value, _)| value);
        let rejections = Rejections::find(updates, &[file], history, &targets);
        let changes = plan::plan_with(&files, &decisions, &rejections);
        changes.values[0].fate.clone()
    }

    #[test]
    fn what_was_taken_back_waits_for_something_newer() {
        let check = |history: &[(&str, &str)], now: &str, chosen: &str, is_held: bool| {
            let history = history.iter().map(|(before, after)| commit(before, after));
            let fate = fate(&history.collect::<Vec<_>>(), now, chosen);
            let found = matches!(fate, Fate::Held { .. });
            assert_eq!(found, is_held, "{now} → {chosen}: {fate:?}");
        };
        let step = [("1.0.0", "1.1.0")];
        check(&step, "1.0.0", "1.1.0", true);
        check(&step, "0.9.0", "1.1.0", true);
        check(&step, "1.0.0", "1.0.5", true);
        check(&step, "1.0.0", "1.2.0", false);
        check(&[], "1.0.0", "1.1.0", false);
        // Nobody took it back; somebody went further; we went back ourselves.
        check(&step, "1.1.0", "1.2.0", false);
        check(&step, "1.4.0", "1.5.0", false);
        check(&[("1.1.0", "1.0.0"), step[0]], "1.0.0", "1.1.0", false);
        // A commit about something else in the same file says nothing about this value.
        check(&[("1.0.0", "1.0.0"), step[0]], "1.0.0", "1.1.0", true);
    }

    #[test]
    fn the_reason_names_what_was_taken_back_and_the_commit() {
        let Fate::Held { reason, .. } = fate(&[commit("1.0.0", "1.1.0")], "1.0.0", "1.1.0") else {
            panic!("it is held");
        };
        assert_eq!(
            reason,
            "somebody took 1.1.0 back after commit aaaaaaa wrote it, and nothing newer is there"
        );
    }
}
