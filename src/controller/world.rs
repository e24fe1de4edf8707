//! Everything that is watched, and what has to be looked at again when a part of it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::object::{Kind, Object, Packed};
use crate::{config::ObjectKey, crd::LabelSelector};

/// The watched objects.
#[derive(Debug, Default)]
pub(super) struct World {
    objects: BTreeMap<Kind, BTreeMap<ObjectKey, Packed>>,
    /// What a list that is being read has not named yet.
    unlisted: BTreeMap<Kind, BTreeSet<ObjectKey>>,
    /// The kinds that were listed to the end at least once.
    listed: BTreeSet<Kind>,
    /// The policies of each `ImageRepository`.
    policies: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
}

/// An object that has to be looked at again.
pub(super) type Trigger = (Kind, ObjectKey);

impl World {
    /// One object.
    pub(super) fn get(&self, kind: Kind, key: &ObjectKey) -> Option<Arc<Object>> {
        Some(self.objects.get(&kind)?.get(key)?.open())
    }

    /// How many objects of a kind there are.
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.objects.get(&kind).map_or(0, BTreeMap::len)
    }

    /// Every object of a kind.
    pub(super) fn all(&self, kind: Kind) -> impl Iterator<Item = Arc<Object>> {
        let objects = self.objects.get(&kind);
        let objects = objects.into_iter().flat_map(BTreeMap::values);
        objects.map(Packed::open)
    }

    /// The objects of a kind in one namespace.
    pub(super) fn within<'a>(
        &'a self,
        kind: Kind,
        namespace: &'a str,
    ) -> impl Iterator<Item = Arc<Object>> + 'a {
        let first = ObjectKey {
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        let objects = self.objects.get(&kind);
        let from_here = objects
            .into_iter()
            .flat_map(move |it| it.range(first.clone()..));
        let here = from_here.take_while(move |(key, _)| key.namespace == namespace);
        here.map(|(_, object)| object.open())
    }

    /// The policies of an `ImageRepository`.
    pub(super) fn policies_of(&self, repository: &ObjectKey) -> BTreeSet<ObjectKey> {
        self.policies.get(repository).cloned().unwrap_or_default()
    }

    /// Whether every kind was listed to the end; the kind that somebody else defines may be absent.
    pub(super) fn is_listed(&self) -> bool {
        Kind::OURS.iter().all(|kind| self.listed.contains(kind))
    }

    /// A list begins: what it does not name is gone.
    pub(super) fn begin_list(&mut self, kind: Kind) {
        let known = self.objects.get(&kind);
        let known = known.into_iter().flat_map(BTreeMap::keys).cloned();
        self.unlisted.insert(kind, known.collect());
    }

    /// A list is complete.
    pub(super) fn end_list(&mut self, kind: Kind) -> Vec<Trigger> {
        self.listed.insert(kind);
        let gone = self.unlisted.remove(&kind).unwrap_or_default();
        gone.iter().flat_map(|key| self.remove(kind, key)).collect()
    }

    /// An object is new or has changed.
    pub(super) fn apply(&mut self, object: Object) -> Vec<Trigger> {
        let (kind, key) = (object.kind, object.key.clone());
        if let Some(unlisted) = self.unlisted.get_mut(&kind) {
            unlisted.remove(&key);
        }
        let old = self.get(kind, &key);
        if old.as_deref().is_some_and(|old| is_older(&object, old)) {
            return Vec::new();
        }
        let triggers = self.triggers(old.as_deref(), Some(&object));
        self.index(old.as_deref(), Some(&object));
        let objects = self.objects.entry(kind).or_default();
        objects.insert(key, Packed::new(object));
        triggers
    }

    /// What the server answered to a write of ours; an object that is gone meanwhile stays gone.
    pub(super) fn take_over(&mut self, object: Object) -> Vec<Trigger> {
        match self.get(object.kind, &object.key) {
            Some(known) if known.uid == object.uid => self.apply(object),
            _ => Vec::new(),
        }
    }

    /// An object is gone.
    pub(super) fn remove(&mut self, kind: Kind, key: &ObjectKey) -> Vec<Trigger> {
        let Some(old) = self.objects.get_mut(&kind).and_then(|it| it.remove(key)) else {
            return Vec::new();
        };
        let old = old.open();
        self.index(Some(&old), None);
        self.triggers(Some(&old), None)
    }

    /// The automations that a policy takes part in.
    pub(super) fn automations_of(&self, policy: &Object) -> Vec<Trigger> {
        let labels = policy.labels();
        let here = self.within(Kind::Automation, &policy.key.namespace);
        let selecting = here.filter(|automation| selects(automation, &labels));
        selecting
            .map(|automation| (Kind::Automation, automation.key.clone()))
            .collect()
    }

    fn index(&mut self, old: Option<&Object>, new: Option<&Object>) {
        let reference = |object: &Object| object.reference("/spec/imageRepositoryRef");
        for object in old.into_iter().filter(|it| it.kind == Kind::Policy) {
            if let Some(repository) = reference(object)
                && let Some(policies) = self.policies.get_mut(&repository)
            {
                policies.remove(&object.key);
            }
        }
        for object in new.into_iter().filter(|it| it.kind == Kind::Policy) {
            if let Some(repository) = reference(object) {
                let policies = self.policies.entry(repository).or_default();
                policies.insert(object.key.clone());
            }
        }
    }

    /// What follows from a change of an object; a change of our own status is none.
    fn triggers(&self, old: Option<&Object>, new: Option<&Object>) -> Vec<Trigger> {
        let Some(object) = new.or(old) else {
            return Vec::new();
        };
        let differs = |view: fn(&Object) -> String| old.map(view) != new.map(view);
        let is_changed = differs(|it| format!("{} {}", it.uid, it.generation))
            || differs(|it| it.json["metadata"]["labels"].to_string());
        let is_touched = is_changed
            || differs(|it| it.requested_at().unwrap_or_default().to_owned())
            || differs(|it| it.is_deleted.to_string());
        let mut triggers = Vec::new();
        if is_touched && object.kind != Kind::Source {
            triggers.push((object.kind, object.key.clone()));
        }
        match object.kind {
            Kind::Repository if is_changed => {
                let policies = self.policies_of(&object.key).into_iter();
                triggers.extend(policies.map(|key| (Kind::Policy, key)));
            }
            // An old label may have been what an automation selected by.
            Kind::Policy if is_changed => {
                for object in old.into_iter().chain(new) {
                    triggers.extend(self.automations_of(object));
                }
            }
            Kind::Source if is_changed || differs(revision) => {
                let automations = self.all(Kind::Automation).filter(|automation| {
                    automation.reference("/spec/sourceRef").as_ref() == Some(&object.key)
                });
                triggers.extend(automations.map(|it| (Kind::Automation, it.key.clone())));
            }
            _ => {}
        }
        triggers.sort();
        triggers.dedup();
        triggers
    }
}

/// What source-controller last read, which tells that somebody pushed.
fn revision(source: &Object) -> String {
    let revision = source.text("/status/artifact/revision");
    revision.unwrap_or_default().to_owned()
}

/// Whether a watch brings what a patch of ours has replaced already. The versions are numbers on
/// every server there is; where they are not, the later message counts.
fn is_older(new: &Object, old: &Object) -> bool {
    let version = |object: &Object| object.resource_version.parse::<u64>();
    match (version(new), version(old)) {
        (Ok(new_version), Ok(old_version)) => new.uid == old.uid && new_version < old_version,
        _ => false,
    }
}

/// Whether an automation's selector lets labels through; one that cannot be read lets all through,
/// so that the automation is looked at and says what is wrong.
pub(super) fn selects(automation: &Object, labels: &BTreeMap<String, String>) -> bool {
    match automation.json["spec"].get("policySelector") {
        None | Some(serde_json::Value::Null) => true,
        Some(selector) => serde_json::from_value::<LabelSelector>(selector.clone())
            .map_or(true, |selector| selector.matches(labels)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::DynamicObject;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn object(kind: Kind, name: &str, version: u64, change: &Value) -> Object {
        let mut json = json!({
            "metadata": {"name": name, "namespace": "apps", "uid": name, "generation": 1,
                "resourceVersion": version.to_string(), "labels": {}, "annotations": {}},
            "spec": {}, "status": {},
        });
        merge(&mut json, change);
        let object = serde_json::from_value::<DynamicObject>(json).unwrap();
        Object::new(kind, object).unwrap()
    }

    fn merge(into: &mut Value, from: &Value) {
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                for (key, value) in from {
                    merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
            (into, from) => *into = from.clone(),
        }
    }

    fn world() -> World {
        let mut world = World::default();
        world.apply(object(Kind::Repository, "web", 1, &json!({})));
        let reference = json!({"spec": {"imageRepositoryRef": {"name": "web"}},
            "metadata": {"labels": {"team": "a"}}});
        world.apply(object(Kind::Policy, "web", 1, &reference));
        let selector = |team: &str| {
            json!({"spec": {"policySelector": {"matchLabels": {"team": team}},
                "sourceRef": {"name": "fleet"}}})
        };
        world.apply(object(Kind::Automation, "a", 1, &selector("a")));
        world.apply(object(Kind::Automation, "b", 1, &selector("b")));
        world
    }

    fn check(kind: Kind, change: &Value, expected: &[(Kind, &str)]) {
        let mut world = world();
        let name = if kind == Kind::Source { "fleet" } else { "web" };
        let own = match world.get(kind, &key(name)) {
            Some(old) => {
                let mut json = old.json.clone();
                json["metadata"]["generation"] = 1.into();
                json["metadata"]["uid"] = name.into();
                json["metadata"]["resourceVersion"] = "2".into();
                merge(&mut json, change);
                Object::new(kind, serde_json::from_value(json).unwrap()).unwrap()
            }
            None => object(kind, name, 2, change),
        };
        let triggers = world.apply(own);
        let expected = expected.iter().map(|(kind, name)| (*kind, key(name)));
        assert_eq!(triggers, expected.collect::<Vec<_>>(), "{kind} {change}");
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            namespace: "apps".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_change_triggers_what_it_concerns_and_nothing_else() {
        let spec = json!({"metadata": {"generation": 2}});
        let status = json!({"status": {"lastScanResult": {"revision": "x"}}});
        let asked =
            json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}});
        let label = json!({"metadata": {"labels": {"team": "b"}}});
        let pushed = json!({"status": {"artifact": {"revision": "main@sha1:1"}}});

        let (repository, policy) = ((Kind::Repository, "web"), (Kind::Policy, "web"));
        check(Kind::Repository, &spec, &[repository, policy]);
        check(Kind::Repository, &status, &[]);
        check(Kind::Repository, &asked, &[repository]);
        check(Kind::Policy, &spec, &[policy, (Kind::Automation, "a")]);
        check(Kind::Policy, &status, &[]);
        let both = [policy, (Kind::Automation, "a"), (Kind::Automation, "b")];
        check(Kind::Policy, &label, &both);
        let fleet = [(Kind::Automation, "a"), (Kind::Automation, "b")];
        check(Kind::Source, &pushed, &fleet);
    }

    #[test]
    fn what_a_new_list_does_not_name_is_gone() {
        let mut world = world();
        world.begin_list(Kind::Policy);
        let triggers = world.end_list(Kind::Policy);
        let expected = [(Kind::Policy, key("web")), (Kind::Automation, key("a"))];
        assert_eq!(triggers, expected);
        assert!(world.policies_of(&key("web")).is_empty());
        assert!(!world.is_listed());
    }

    #[test]
    fn a_late_answer_brings_no_deleted_object_back() {
        let written = || object(Kind::Repository, "web", 9, &json!({"status": {"x": 2}}));
        let mut world = world();
        world.take_over(written());
        let found = world.get(Kind::Repository, &key("web")).unwrap();
        assert_eq!(found.json["status"]["x"], 2);
        world.remove(Kind::Repository, &key("web"));
        assert_eq!(world.take_over(written()), []);
        assert!(world.get(Kind::Repository, &key("web")).is_none());
    }

    #[test]
    fn a_late_message_does_not_bring_an_old_object_back() {
        let mut world = World::default();
        world.apply(object(
            Kind::Repository,
            "web",
            5,
            &json!({"status": {"x": 2}}),
        ));
        world.apply(object(
            Kind::Repository,
            "web",
            4,
            &json!({"status": {"x": 1}}),
        ));
        let found = world.get(Kind::Repository, &key("web")).unwrap();
        assert_eq!(found.json["status"]["x"], 2);
    }

    /// What a watch may bring: an object at one of its versions, or its end.
    fn messages() -> impl Strategy<Value = Vec<(String, u64, bool)>> {
        let message = ("[abc]", 1_u64..9, any::<bool>());
        proptest::collection::vec(message, 0..30)
    }

    proptest! {
        /// K15: duplicates, reordering, a watch that begins anew (410): what the next list says counts.
        #[test]
        fn whatever_a_watch_brings_the_next_list_counts(noise in messages(), late in messages()) {
            let at = |name: &str, version: u64| {
                let reference = json!({"spec": {"imageRepositoryRef": {"name": version.to_string()}}});
                object(Kind::Policy, name, version, &reference)
            };
            let mut world = World::default();
            for (name, version, is_gone) in noise {
                if is_gone {
                    world.remove(Kind::Policy, &key(&name));
                } else {
                    world.apply(at(&name, version));
                }
            }
            world.begin_list(Kind::Policy);
            world.apply(at("a", 20));
            world.apply(at("b", 21));
            world.end_list(Kind::Policy);
            // Of what is there, older messages say nothing new.
            for (name, version, _) in late {
                if name != "c" {
                    world.apply(at(&name, version));
                }
            }
            let mut clean = World::default();
            clean.apply(at("a", 20));
            clean.apply(at("b", 21));
            let all = |world: &World| world.all(Kind::Policy).collect::<Vec<_>>();
            prop_assert_eq!(all(&world), all(&clean));
            for version in 1..30_u64 {
                let repository = key(&version.to_string());
                let found = world.policies_of(&repository);
                prop_assert_eq!(found, clean.policies_of(&repository));
            }
        }
    }
}
