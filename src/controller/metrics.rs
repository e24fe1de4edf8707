//! Metrics in Prometheus' text form: Flux's names, and ours beside them.
//!
//! Labels are closed words, or the kind, name and namespace of an object; the series of an object go
//! with it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::object::Kind;
use crate::config::ObjectKey;

/// The bounds of Flux's histogram: ten, from 0.01 s to 1800 s, each 3.8 times the one before.
const SECONDS: [f64; 10] = [
    0.01,
    0.038_366,
    0.147_195,
    0.564_73,
    2.166_627,
    8.312_409,
    31.891_04,
    122.352_463,
    469.413_53,
    1800.0,
];

/// Name, help and type.
type Family = (&'static str, &'static str, &'static str);

const RECONCILE_DURATION: Family = (
    "gotk_reconcile_duration_seconds",
    "How long reconciliations took.",
    "histogram",
);
const CONDITION: Family = (
    "gotk_reconcile_condition",
    "Whether a condition of an object is what the label says.",
    "gauge",
);
const SUSPEND: Family = (
    "gotk_suspend_status",
    "Whether an object is suspended.",
    "gauge",
);
const SCAN_DURATION: Family = (
    "tagwright_scan_duration_seconds",
    "How long scans took.",
    "histogram",
);
const SCANS: Family = (
    "tagwright_scans_total",
    "Scans by how they ended.",
    "counter",
);
const TAGS: Family = (
    "tagwright_tags",
    "How many tags the last scan found, exclusions left out.",
    "gauge",
);
const VERDICTS: Family = (
    "tagwright_policy_verdicts_total",
    "What policies said.",
    "counter",
);
const RUNS: Family = (
    "tagwright_automation_runs_total",
    "Runs of automations by how they ended.",
    "counter",
);
const LAG: Family = (
    "tagwright_tag_to_commit_seconds",
    "From the scan that brought a new choice until its commit was pushed.",
    "histogram",
);
const HELD: Family = (
    "tagwright_held_values",
    "Marked values that stay although their policy says otherwise.",
    "gauge",
);
const WRITES: Family = (
    "tagwright_status_writes_total",
    "Statuses written, by kind.",
    "counter",
);
const PANICS: Family = (
    "tagwright_panics_total",
    "Reconciliations that were caught in the panic fence.",
    "counter",
);
const DROPPED: Family = (
    "tagwright_events_dropped_total",
    "Events that nobody took in time.",
    "counter",
);
const LEADER: Family = (
    "tagwright_leader",
    "Whether this replica does the work.",
    "gauge",
);

/// The families that have series for each object.
const OF_OBJECTS: [Family; 5] = [RECONCILE_DURATION, CONDITION, SUSPEND, TAGS, HELD];

const STATUSES: [(&str, Status); 3] = [
    ("True", Status::True),
    ("False", Status::False),
    ("Unknown", Status::Unknown),
];

/// Labels as they are printed, without braces.
type Labels = String;

#[derive(Debug, Default)]
struct Histogram {
    counts: [u64; SECONDS.len()],
    count: u64,
    sum: f64,
}

#[derive(Debug, Default)]
struct Series {
    values: BTreeMap<(Family, Labels), f64>,
    histograms: BTreeMap<(Family, Labels), Histogram>,
    objects: BTreeMap<(Kind, ObjectKey), Own>,
}

/// What is known of one object. There may be very many of them: their labels are made when somebody
/// asks, and not kept.
#[derive(Debug, Default)]
struct Own {
    took: Histogram,
    /// The status of the condition Ready, and whether the object is suspended.
    condition: Option<(Status, bool)>,
    tags: Option<f64>,
    held: Option<f64>,
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    True,
    False,
    Unknown,
}

/// Every metric of the process.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    series: Mutex<Series>,
}

impl Metrics {
    pub(super) fn reconciled(&self, kind: Kind, key: &ObjectKey, took: Duration) {
        self.of(kind, key, |own| own.took.observe(took.as_secs_f64()));
    }

    pub(super) fn conditions(&self, kind: Kind, key: &ObjectKey, ready: &str, is_suspended: bool) {
        let known = STATUSES.iter().find(|(word, _)| *word == ready);
        let status = known.map_or(Status::Unknown, |(_, status)| *status);
        self.of(kind, key, |own| {
            own.condition = Some((status, is_suspended));
        });
    }

    pub(super) fn scanned(&self, key: &ObjectKey, took: Duration, tags: usize) {
        self.add(SCANS, r#"result="success""#.to_owned());
        self.observe(SCAN_DURATION, Labels::new(), took);
        self.of(Kind::Repository, key, |own| own.tags = Some(count(tags)));
    }

    pub(super) fn scan_failed(&self, class: &'static str) {
        self.add(SCANS, format!(r#"result="{class}""#));
    }

    pub(super) fn verdict(&self, verdict: &'static str) {
        self.add(VERDICTS, format!(r#"verdict="{verdict}""#));
    }

    pub(super) fn run(&self, key: &ObjectKey, end: &'static str, held: usize) {
        self.add(RUNS, format!(r#"result="{end}""#));
        self.of(Kind::Automation, key, |own| own.held = Some(count(held)));
    }

    pub(super) fn lag(&self, lag: Duration) {
        self.observe(LAG, Labels::new(), lag);
    }

    pub(super) fn status_written(&self, kind: Kind) {
        self.add(WRITES, format!(r#"kind="{kind}""#));
    }

    pub(super) fn panicked(&self, kind: Kind) {
        self.add(PANICS, format!(r#"kind="{kind}""#));
    }

    pub(super) fn event_dropped(&self) {
        self.add(DROPPED, Labels::new());
    }

    pub(super) fn leader(&self, is_leader: bool) {
        self.set(LEADER, Labels::new(), f64::from(u8::from(is_leader)));
    }

    /// Forgets an object.
    pub(super) fn forget(&self, kind: Kind, key: &ObjectKey) {
        self.locked().objects.remove(&(kind, key.clone()));
    }

    /// Everything, as `/metrics` answers it; `gauges` are read at this moment.
    pub(super) fn text(&self, gauges: &[(&'static str, Labels, usize)]) -> String {
        let series = self.locked();
        let mut text = String::new();
        let mut head = None;
        let mut family = |text: &mut String, (name, help, kind): Family| {
            if head.replace(name) != Some(name) {
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            }
        };
        for ((of, labels), value) in &series.values {
            family(&mut text, *of);
            let _ = writeln!(text, "{}{} {value}", of.0, braced(labels, ""));
        }
        for ((of, labels), histogram) in &series.histograms {
            family(&mut text, *of);
            histogram.print(of.0, labels, &mut text);
        }
        for of in OF_OBJECTS {
            for ((kind, key), own) in &series.objects {
                let labels = object(*kind, key);
                let lines = own.lines(of, &labels);
                if !lines.is_empty() {
                    family(&mut text, of);
                    text.push_str(&lines);
                }
            }
        }
        for (name, labels, value) in gauges {
            family(&mut text, (name, "Work of this replica.", "gauge"));
            let _ = writeln!(text, "{name}{} {value}", braced(labels, ""));
        }
        text
    }

    fn of(&self, kind: Kind, key: &ObjectKey, note: impl FnOnce(&mut Own)) {
        note(
            self.locked()
                .objects
                .entry((kind, key.clone()))
                .or_default(),
        );
    }

    fn add(&self, family: Family, labels: Labels) {
        *self.locked().values.entry((family, labels)).or_default() += 1.0;
    }

    fn set(&self, family: Family, labels: Labels, value: f64) {
        self.locked().values.insert((family, labels), value);
    }

    fn observe(&self, family: Family, labels: Labels, took: Duration) {
        let mut series = self.locked();
        let histogram = series.histograms.entry((family, labels)).or_default();
        histogram.observe(took.as_secs_f64());
    }

    /// A panic while the lock is held leaves whole numbers: a poisoned lock is usable.
    fn locked(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Own {
    /// The series of one family.
    fn lines(&self, of: Family, labels: &Labels) -> String {
        let mut text = String::new();
        let gauge = |value: f64| format!("{}{{{labels}}} {value}\n", of.0);
        if of == RECONCILE_DURATION && self.took.count > 0 {
            self.took.print(of.0, labels, &mut text);
        } else if of == TAGS {
            text.extend(self.tags.map(gauge));
        } else if of == HELD {
            text.extend(self.held.map(gauge));
        } else if let Some((ready, is_suspended)) = self.condition {
            if of == SUSPEND {
                text.push_str(&gauge(f64::from(u8::from(is_suspended))));
            } else if of == CONDITION {
                let name = of.0;
                for (word, status) in STATUSES {
                    let is_so = u8::from(status == ready);
                    let labels = format!(r#"{labels},type="Ready",status="{word}""#);
                    let _ = writeln!(text, "{name}{{{labels}}} {is_so}");
                }
            }
        }
        text
    }
}

impl Histogram {
    fn observe(&mut self, seconds: f64) {
        for (bound, count) in SECONDS.iter().zip(&mut self.counts) {
            *count += u64::from(seconds <= *bound);
        }
        self.count += 1;
        self.sum += seconds;
    }

    fn print(&self, name: &str, labels: &Labels, text: &mut String) {
        for (bound, count) in SECONDS.iter().zip(self.counts) {
            let labels = braced(labels, &format!(r#"le="{bound}""#));
            let _ = writeln!(text, "{name}_bucket{labels} {count}");
        }
        let all = braced(labels, r#"le="+Inf""#);
        let _ = writeln!(text, "{name}_bucket{all} {}", self.count);
        let _ = writeln!(text, "{name}_sum{} {}", braced(labels, ""), self.sum);
        let _ = writeln!(text, "{name}_count{} {}", braced(labels, ""), self.count);
    }
}

/// The labels of an object; names and namespaces of objects need no escapes.
fn object(kind: Kind, ObjectKey { namespace, name }: &ObjectKey) -> Labels {
    format!(r#"kind="{kind}",name="{name}",namespace="{namespace}""#)
}

fn braced(labels: &str, more: &str) -> String {
    match (labels.is_empty(), more.is_empty()) {
        (true, true) => String::new(),
        (false, false) => format!("{{{labels},{more}}}"),
        _ => format!("{{{labels}{more}}}"),
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_printed_by_family_and_go_with_their_object() {
        let key = |name: &str| ObjectKey {
            namespace: "apps".to_owned(),
            name: name.to_owned(),
        };
        let metrics = Metrics::default();
        metrics.scanned(&key("web"), Duration::from_millis(20), 3);
        metrics.scanned(&key("api"), Duration::from_secs(2), 4);
        metrics.conditions(Kind::Repository, &key("web"), "True", false);
        metrics.reconciled(Kind::Repository, &key("web"), Duration::from_secs(1));
        let text = metrics.text(&[("tagwright_queue", r#"kind="x""#.to_owned(), 2)]);
        for line in [
            r#"gotk_reconcile_condition{kind="ImageRepository",name="web",namespace="apps",type="Ready",status="True"} 1"#,
            r#"gotk_suspend_status{kind="ImageRepository",name="web",namespace="apps"} 0"#,
            r#"tagwright_tags{kind="ImageRepository",name="api",namespace="apps"} 4"#,
            r#"tagwright_scans_total{result="success"} 2"#,
            r#"tagwright_scan_duration_seconds_bucket{le="0.038366"} 1"#,
            r#"tagwright_scan_duration_seconds_bucket{le="+Inf"} 2"#,
            "tagwright_scan_duration_seconds_count 2",
            r#"gotk_reconcile_duration_seconds_count{kind="ImageRepository",name="web",namespace="apps"} 1"#,
            r#"tagwright_queue{kind="x"} 2"#,
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert_eq!(text.matches("# TYPE tagwright_tags gauge").count(), 1);
        metrics.forget(Kind::Repository, &key("web"));
        assert!(!metrics.text(&[]).contains(r#"name="web""#));
    }
}
