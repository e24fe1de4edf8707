//! Conditions as kstatus reads them, with Flux's reasons; and which event a change of them is.

use crate::crd::Condition;

/// How long a message may be, as in Flux.
const MAX_MESSAGE: usize = 32_768;

/// How a reconciliation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Everything that the object asks for is so.
    Ready {
        /// What is so.
        message: String,
        /// What is not written although a policy chose it; nothing where all is.
        held: Option<String>,
    },
    /// It is not so, and is tried again.
    Failed {
        /// Why, in one word.
        reason: &'static str,
        /// Why, for a person.
        message: String,
    },
    /// It will not be so before somebody changes the object, or what it refers to.
    Stalled {
        /// Why, in one word.
        reason: &'static str,
        /// Why, for a person.
        message: String,
    },
    /// Nothing is said: the object is suspended, or waits for another one.
    Left,
}

impl End {
    pub(super) fn ready(message: impl Into<String>) -> Self {
        Self::Ready {
            message: message.into(),
            held: None,
        }
    }

    pub(super) fn failed(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Failed {
            reason,
            message: message.into(),
        }
    }

    pub(super) fn stalled(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Stalled {
            reason,
            message: message.into(),
        }
    }
}

/// What an object's status says from now on: its conditions, and the generation that was observed
/// where it is to be written.
pub(super) fn settle(
    old: &[Condition],
    end: &End,
    generation: i64,
    now: &str,
) -> (Vec<Condition>, Option<i64>) {
    let (wanted, is_observed) = match end {
        End::Left => return (old.to_vec(), None),
        End::Ready { message, held } => {
            let mut wanted = vec![("Ready", "True", "Succeeded", message.as_str())];
            if let Some(held) = held {
                wanted.push(("Held", "True", "PolicyHeld", held));
            }
            (wanted, true)
        }
        End::Failed { reason, message } => {
            let wanted = vec![
                (
                    "Reconciling",
                    "True",
                    "ProgressingWithRetry",
                    message.as_str(),
                ),
                ("Ready", "False", *reason, message),
            ];
            (wanted, false)
        }
        End::Stalled { reason, message } => {
            let wanted = vec![
                ("Stalled", "True", *reason, message.as_str()),
                ("Ready", "False", *reason, message),
            ];
            (wanted, true)
        }
    };
    let conditions = wanted.into_iter().map(|(kind, status, reason, message)| {
        condition(old, (kind, status, reason, message), generation, now)
    });
    let conditions = conditions.collect();
    (conditions, is_observed.then_some(generation))
}

/// The conditions of an object that is being worked on for the first time since it was changed.
pub(super) fn progressing(old: &[Condition], generation: i64, now: &str) -> Vec<Condition> {
    let message = "reconciliation in progress";
    let working = ("Reconciling", "True", "Progressing", message);
    let mut conditions = vec![condition(old, working, generation, now)];
    match old.iter().find(|it| it.kind == "Ready") {
        Some(ready) if ready.status != "Unknown" => conditions.push(ready.clone()),
        _ => {
            let unknown = ("Ready", "Unknown", "Progressing", message);
            conditions.push(condition(old, unknown, generation, now));
        }
    }
    conditions
}

/// A condition that keeps its time where it says what it said before.
fn condition(
    old: &[Condition],
    (kind, status, reason, message): (&str, &str, &str, &str),
    generation: i64,
    now: &str,
) -> Condition {
    let mut condition = Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        observed_generation: Some(generation),
        last_transition_time: now.to_owned(),
        reason: reason.to_owned(),
        message: shortened(message),
    };
    let before = old.iter().find(|it| it.kind == kind);
    if let Some(before) = before.filter(|it| {
        (&it.status, &it.reason, &it.message)
            == (&condition.status, &condition.reason, &condition.message)
    }) {
        condition
            .last_transition_time
            .clone_from(&before.last_transition_time);
    }
    condition
}

fn shortened(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let mut end = MAX_MESSAGE - '…'.len_utf8();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &message[..end])
}

/// How important an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Severity {
    /// Something is well now, or was done.
    Info,
    /// Something is not well.
    Error,
}

/// Which event a reconciliation is: its severity, reason and message; nothing where nothing
/// happened. `news` replaces the message of the condition, as a push does.
pub(super) fn event(
    old: &[Condition],
    new: &[Condition],
    end: &End,
    news: Option<&str>,
) -> Option<(Severity, String, String)> {
    if *end == End::Left {
        return None;
    }
    let ready = |conditions: &[Condition]| conditions.iter().find(|it| it.kind == "Ready").cloned();
    let now = ready(new)?;
    if now.status != "True" {
        return Some((Severity::Error, now.reason, now.message));
    }
    let before = ready(old);
    let was_ready = before.as_ref().is_some_and(|it| it.status == "True");
    let is_new = !was_ready || before.is_some_and(|it| it.message != now.message);
    if news.is_none() && !is_new {
        return None;
    }
    let message = news.map_or(now.message, str::to_owned);
    Some((Severity::Info, now.reason, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: &str = "2026-01-01T00:00:00Z";
    const NOW: &str = "2026-01-02T00:00:00Z";

    fn said(conditions: &[Condition]) -> Vec<String> {
        let said = conditions
            .iter()
            .map(|it| format!("{}={} {}", it.kind, it.status, it.reason));
        said.collect()
    }

    #[test]
    fn each_end_has_its_conditions() {
        let check = |end: &End, expected: &[&str], observed: Option<i64>| {
            let stalled = settle(&[], &End::stalled("InvalidPolicy", "x"), 1, THEN).0;
            let (conditions, generation) = settle(&stalled, end, 2, NOW);
            assert_eq!(said(&conditions), expected);
            assert_eq!(generation, observed);
        };
        check(&End::ready("fine"), &["Ready=True Succeeded"], Some(2));
        check(
            &End::failed("Failure", "no"),
            &[
                "Reconciling=True ProgressingWithRetry",
                "Ready=False Failure",
            ],
            None,
        );
        check(
            &End::stalled("InvalidPolicy", "no"),
            &["Stalled=True InvalidPolicy", "Ready=False InvalidPolicy"],
            Some(2),
        );
        let left = ["Stalled=True InvalidPolicy", "Ready=False InvalidPolicy"];
        check(&End::Left, &left, None);
        let held = End::Ready {
            message: "fine".into(),
            held: Some("1.1.0 is older".into()),
        };
        check(
            &held,
            &["Ready=True Succeeded", "Held=True PolicyHeld"],
            Some(2),
        );
    }

    #[test]
    fn the_time_stays_while_the_words_do() {
        let (old, _) = settle(&[], &End::ready("fine"), 1, THEN);
        let (same, _) = settle(&old, &End::ready("fine"), 1, NOW);
        assert_eq!(same, old);
        let (other, _) = settle(&old, &End::ready("finer"), 1, NOW);
        assert_eq!(other[0].last_transition_time, NOW);
    }

    #[test]
    fn an_object_at_work_keeps_what_it_was() {
        let (old, _) = settle(&[], &End::failed("Failure", "no"), 1, THEN);
        let expected = ["Reconciling=True Progressing", "Ready=False Failure"];
        assert_eq!(said(&progressing(&old, 2, NOW)), expected);
        let expected = ["Reconciling=True Progressing", "Ready=Unknown Progressing"];
        assert_eq!(said(&progressing(&[], 1, NOW)), expected);
    }

    #[test]
    fn events_follow_the_table_of_flux() {
        let check = |old: &End, new: &End, news: Option<&str>, expected: Option<&str>| {
            let (old, _) = settle(&[], old, 1, THEN);
            let (conditions, _) = settle(&old, new, 1, NOW);
            let event = event(&old, &conditions, new, news);
            let event =
                event.map(|(severity, reason, message)| format!("{severity:?} {reason} {message}"));
            assert_eq!(event.as_deref(), expected, "{new:?}");
        };
        let (ready, failed) = (End::ready("fine"), End::failed("Failure", "no"));
        check(&End::Left, &ready, None, Some("Info Succeeded fine"));
        check(&ready, &ready, None, None);
        check(
            &ready,
            &End::ready("finer"),
            None,
            Some("Info Succeeded finer"),
        );
        let pushed = Some("Info Succeeded pushed commit 'abc'");
        check(&ready, &ready, Some("pushed commit 'abc'"), pushed);
        check(&failed, &ready, None, Some("Info Succeeded fine"));
        check(&ready, &failed, None, Some("Error Failure no"));
        check(&failed, &failed, None, Some("Error Failure no"));
        check(&failed, &End::Left, None, None);
    }

    #[test]
    fn a_message_ends_at_its_limit() {
        let long = "ä".repeat(MAX_MESSAGE);
        let (conditions, _) = settle(&[], &End::ready(long), 1, NOW);
        assert!(conditions[0].message.len() <= MAX_MESSAGE);
        assert!(conditions[0].message.ends_with("ä…"));
    }
}
