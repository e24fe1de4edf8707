//! When which object is looked at: one entry an object, never two at work on the same one, and no
//! namespace that takes every place.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use crate::{config::ObjectKey, error::Class};

/// How often a failure doubles the pause at most.
const MAX_DOUBLINGS: u32 = 16;

/// The objects that wait, and those at work.
#[derive(Debug)]
pub(super) struct Queue {
    /// How many objects may be at work.
    limit: usize,
    waiting: BTreeSet<(Instant, ObjectKey)>,
    due: HashMap<ObjectKey, Instant>,
    /// Objects at work, and when they are to be looked at again because something changed meanwhile.
    at_work: HashMap<ObjectKey, Option<Instant>>,
    failures: HashMap<ObjectKey, u32>,
}

impl Queue {
    /// An empty queue with room for `limit` objects at work.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            waiting: BTreeSet::new(),
            due: HashMap::new(),
            at_work: HashMap::new(),
            failures: HashMap::new(),
        }
    }

    /// Asks for an object to be looked at; of two times the earlier one counts.
    pub(super) fn push(&mut self, key: ObjectKey, at: Instant) {
        if let Some(again) = self.at_work.get_mut(&key) {
            *again = Some(again.map_or(at, |it| it.min(at)));
            return;
        }
        if let Some(known) = self.due.get(&key).copied() {
            if known <= at {
                return;
            }
            self.waiting.remove(&(known, key.clone()));
        }
        self.waiting.insert((at, key.clone()));
        self.due.insert(key, at);
    }

    /// Takes the object that is due longest; one namespace leaves a place for the others.
    pub(super) fn pop(&mut self, now: Instant) -> Option<ObjectKey> {
        if self.at_work.len() >= self.limit {
            return None;
        }
        let share = if self.limit > 1 { self.limit - 1 } else { 1 };
        let mut due = self.waiting.iter().take_while(|(at, _)| *at <= now);
        let chosen = due.find(|(_, key)| self.of_namespace(&key.namespace) < share);
        let (at, key) = chosen.cloned()?;
        self.waiting.remove(&(at, key.clone()));
        self.due.remove(&key);
        self.at_work.insert(key.clone(), None);
        Some(key)
    }

    /// When the next object is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Gives an object back, to be looked at again at a time, or when something changes.
    pub(super) fn done(&mut self, key: &ObjectKey, next: Option<Instant>) {
        let again = self.at_work.remove(key).flatten();
        let at = match (again, next) {
            (Some(again), Some(next)) => Some(again.min(next)),
            (again, next) => again.or(next),
        };
        if let Some(at) = at {
            self.push(key.clone(), at);
        }
    }

    /// Notes that an object failed, and says how often it has in a row.
    pub(super) fn failed(&mut self, key: &ObjectKey) -> u32 {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures = failures.saturating_add(1);
        *failures
    }

    /// Notes that an object did not fail.
    pub(super) fn succeeded(&mut self, key: &ObjectKey) {
        self.failures.remove(key);
    }

    /// How many objects wait that are due.
    pub(super) fn backlog(&self, now: Instant) -> usize {
        self.waiting.iter().take_while(|(at, _)| *at <= now).count()
    }

    /// How many objects are at work.
    pub(super) fn at_work(&self) -> usize {
        self.at_work.len()
    }

    fn of_namespace(&self, namespace: &str) -> usize {
        let keys = self.at_work.keys();
        keys.filter(|key| key.namespace == namespace).count()
    }
}

/// The shortest and the longest pause of `--min-retry-delay` and `--max-retry-delay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pauses {
    pub(super) min: Duration,
    pub(super) max: Duration,
}

/// How long to wait after the `failures`-th failure in a row, before `jitter` (0 to 1) is added to
/// the second half of it.
///
/// What may pass by itself is tried soon. What somebody has to change is tried seldom, because the
/// change itself is a trigger; Secrets are the exception, which nobody watches.
pub(super) fn pause(class: Class, failures: u32, pauses: Pauses, jitter: f64) -> Duration {
    let (first, last) = match class {
        Class::Transient | Class::Conflict => (pauses.min, pauses.max),
        Class::Denied => (pauses.min.max(Duration::from_secs(5)), pauses.max),
        Class::Config => (
            pauses.min.max(Duration::from_secs(15)),
            pauses.max.max(Duration::from_mins(10)),
        ),
        Class::Bug => (Duration::from_secs(30), Duration::from_hours(1)),
    };
    let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
    let pause = first.saturating_mul(1 << doublings).min(last.max(first));
    pause / 2 + (pause / 2).mul_f64(jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        let (namespace, name) = text.split_once('/').expect("namespace/name");
        ObjectKey {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn an_object_is_never_at_work_twice_and_never_forgotten() {
        let start = Instant::now();
        let mut queue = Queue::new(4);
        queue.push(key("a/x"), start);
        queue.push(key("a/x"), start + Duration::from_secs(9));
        assert_eq!(queue.pop(start), Some(key("a/x")));
        assert_eq!(queue.pop(start), None);
        queue.push(key("a/x"), start);
        assert_eq!(queue.pop(start), None, "it is at work");
        queue.done(&key("a/x"), None);
        assert_eq!(queue.pop(start), Some(key("a/x")), "it changed meanwhile");
        queue.done(&key("a/x"), Some(start + Duration::from_secs(5)));
        assert_eq!(queue.pop(start), None);
        assert_eq!(queue.next(), Some(start + Duration::from_secs(5)));
        queue.push(key("a/x"), start + Duration::from_secs(1));
        assert_eq!(queue.next(), Some(start + Duration::from_secs(1)));
    }

    #[test]
    fn a_thousand_requests_are_one() {
        let start = Instant::now();
        let mut queue = Queue::new(4);
        for _ in 0..1000 {
            queue.push(key("a/x"), start);
        }
        assert_eq!(queue.backlog(start), 1);
    }

    #[test]
    fn one_namespace_leaves_a_place_for_the_others() {
        let start = Instant::now();
        let mut queue = Queue::new(2);
        for name in ["a/1", "a/2", "a/3"] {
            queue.push(key(name), start);
        }
        queue.push(key("b/1"), start + Duration::from_secs(1));
        let now = start + Duration::from_secs(2);
        assert_eq!(queue.pop(now), Some(key("a/1")));
        assert_eq!(queue.pop(now), Some(key("b/1")));
        assert_eq!(queue.pop(now), None);
        queue.done(&key("a/1"), None);
        assert_eq!(queue.pop(now), Some(key("a/2")));
    }

    #[test]
    fn pauses_follow_the_class_of_the_error() {
        let pauses = Pauses {
            min: Duration::from_millis(750),
            max: Duration::from_mins(15),
        };
        let check = |class, failures, seconds: f64| {
            let found = pause(class, failures, pauses, 1.0).as_secs_f64();
            assert!(
                (found - seconds).abs() < 0.001,
                "{class:?} {failures}: {found}"
            );
        };
        check(Class::Transient, 1, 0.75);
        check(Class::Transient, 2, 1.5);
        check(Class::Transient, 40, 900.0);
        check(Class::Denied, 1, 5.0);
        check(Class::Config, 1, 15.0);
        check(Class::Config, u32::MAX, 900.0);
        check(Class::Bug, 1, 30.0);
        check(Class::Bug, 20, 3600.0);
        let least = pause(Class::Transient, 1, pauses, 0.0);
        assert_eq!(least, Duration::from_millis(375));
    }
}
