//! What a GitHub runner reads: outputs, workflow commands, and the job's summary.
//!
//! Everything that is not ours is escaped for the place that it goes to; a value of an output is
//! framed by a word that nobody can know before.

use std::fmt::Write as _;

use super::{
    AutomationReport, FindingReport, ResultKind, RunReport, SkippedReport, ValueReport,
    lint::LintReport,
};
use crate::update::forge::markdown::{code, escape, link};

/// How much of a summary a runner takes, with room to spare.
const MAX_SUMMARY: usize = 1_000_000;
/// How much of a diff the summary shows.
const MAX_DIFF: usize = 100_000;
/// How many annotations of one kind a runner shows for one step.
const MAX_ANNOTATIONS: usize = 10;

/// How loud an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something does not work as written.
    Error,
    /// Something that a person should look at.
    Warning,
}

/// The outputs of a run: names, and values of any length.
pub fn outputs(report: &RunReport) -> Vec<(&'static str, String)> {
    let first = |text: fn(&AutomationReport) -> Option<String>| {
        report.automations.iter().find_map(text).unwrap_or_default()
    };
    let images = report.automations.iter().flat_map(|it| &it.images);
    let images = images.collect::<Vec<_>>();
    vec![
        ("changed", report.has_changes().to_string()),
        ("plan", json(report)),
        ("images", json(&images)),
        (
            "commit",
            first(|it| it.commit.as_ref().and_then(|commit| commit.id.clone())),
        ),
        (
            "pull-request-number",
            first(|it| Some(it.pull_request.as_ref()?.number?.to_string())),
        ),
        (
            "pull-request-url",
            first(|it| it.pull_request.as_ref()?.url.clone()),
        ),
    ]
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("reports have text keys and no failing serializers")
}

/// The text that sets outputs; `frame` is a word that stands in no value.
pub fn output_file(outputs: &[(&str, String)], frame: &str) -> String {
    let mut text = String::new();
    for (name, value) in outputs {
        let _ = writeln!(text, "{name}<<{frame}\n{value}\n{frame}");
    }
    text
}

/// A workflow command; nothing in its values can end it or begin another.
///
/// ```
/// use tagwright::report::action::command;
///
/// let line = command("warning", &[("file", "a,b.yaml")], "50%\n::error::no");
/// assert_eq!(line, "::warning file=a%2Cb.yaml::50%25%0A::error::no\n");
/// ```
pub fn command(name: &str, properties: &[(&str, &str)], message: &str) -> String {
    let message = message
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A");
    let mut text = format!("::{name}");
    for (index, (key, value)) in properties.iter().enumerate() {
        let value = value
            .replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A");
        let value = value.replace(':', "%3A").replace(',', "%2C");
        let separator = if index == 0 { ' ' } else { ',' };
        let _ = write!(text, "{separator}{key}={value}");
    }
    format!("{text}::{message}\n")
}

/// The annotations of a run: what could not be decided or edited, each at its line.
pub fn run_annotations(report: &RunReport) -> String {
    let mut notes = Vec::new();
    for automation in &report.automations {
        notes.extend(automation.values.iter().filter_map(value_note));
        notes.extend(automation.findings.iter().map(finding_note));
        if let Some(error) = &automation.error {
            let message = format!("{}: {}", automation.automation, error.message);
            notes.push((Level::Error, String::new(), 0, 0, message));
        }
    }
    annotated(&notes)
}

/// The annotations of `lint`.
pub fn lint_annotations(report: &LintReport) -> String {
    let values = report.values.iter().filter_map(value_note);
    let findings = report.findings.iter().map(finding_note);
    let skipped = report.skipped.iter().map(|SkippedReport { file, reason }| {
        let message = format!("not read: {reason}");
        (Level::Warning, file.clone(), 1, 1, message)
    });
    annotated(&values.chain(findings).chain(skipped).collect::<Vec<_>>())
}

type Note = (Level, String, usize, usize, String);

fn value_note(value: &ValueReport) -> Option<Note> {
    let level = match value.fate {
        "unavailable" | "refused" | "unknownPolicy" => Level::Error,
        "held" | "nothingMatched" => Level::Warning,
        _ => return None,
    };
    let reason = value.reason.clone().unwrap_or_default();
    let message = format!("{}: {reason}", value.policy);
    Some((level, value.file.clone(), value.line, value.column, message))
}

fn finding_note(finding: &FindingReport) -> Note {
    let FindingReport {
        file,
        line,
        column,
        message,
    } = finding;
    (
        Level::Warning,
        file.clone(),
        *line,
        *column,
        message.clone(),
    )
}

fn annotated(notes: &[Note]) -> String {
    let mut text = String::new();
    for level in [Level::Error, Level::Warning] {
        let name = match level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let own = notes.iter().filter(|it| it.0 == level);
        for (_, file, line, column, message) in own.take(MAX_ANNOTATIONS) {
            let (line, column) = (line.to_string(), column.to_string());
            let place = [("file", file.as_str()), ("line", &line), ("col", &column)];
            let properties = if file.is_empty() {
                &place[..0]
            } else {
                &place[..]
            };
            text.push_str(&command(name, properties, message));
        }
    }
    text
}

/// The job's summary of a run, in Markdown.
pub fn run_summary(report: &RunReport) -> String {
    let mut text = String::new();
    for automation in &report.automations {
        write_automation(&mut text, automation);
    }
    cut(text, MAX_SUMMARY)
}

/// The plan as a comment on the pull request that it was made for, in at most `limit` bytes.
pub fn plan_comment(report: &RunReport, limit: usize) -> String {
    let mut text = "**What tagwright would do after this change**\n\n".to_owned();
    for automation in &report.automations {
        write_automation(&mut text, automation);
    }
    if text.len() <= limit {
        return text;
    }
    // A diff that is cut would not be one; the job's log has all of it.
    let mut brief = String::new();
    for automation in &report.automations {
        let told = AutomationReport {
            diff: String::new(),
            ..automation.clone()
        };
        write_automation(&mut brief, &told);
    }
    cut(brief, limit)
}

fn write_automation(text: &mut String, report: &AutomationReport) {
    let _ = writeln!(text, "### {}\n", code(&report.automation));
    let words = match report.result {
        ResultKind::Applied => "Updated.",
        ResultKind::Planned => "Would be updated.",
        ResultKind::Pending => "Waits for somebody to merge it.",
        ResultKind::Unchanged => "Everything is current.",
        ResultKind::Held => "Held.",
        ResultKind::Suspended => "Suspended.",
        ResultKind::Waiting => "Nothing was offered.",
        ResultKind::Withdrawn => "No longer needed.",
        ResultKind::Failed => "**Failed.**",
    };
    let _ = write!(text, "{words}");
    if let Some(request) = &report.pull_request {
        if let (Some(number), Some(url)) = (request.number, &request.url) {
            let _ = write!(text, " {}", link(&format!("Pull request {number}"), url));
        }
        if let Some(reason) = &request.waiting {
            let _ = write!(text, " {}", escape(reason));
        }
    }
    text.push_str("\n\n");
    if let Some(error) = &report.error {
        let causes = error.causes.iter().map(|it| format!(": {}", escape(it)));
        let causes = causes.collect::<String>();
        let hint = error.hint.as_deref().map(|it| format!(" ({})", escape(it)));
        let _ = writeln!(
            text,
            "{}{causes}{}\n",
            escape(&error.message),
            hint.unwrap_or_default()
        );
    }
    if !report.images.is_empty() {
        text.push_str("| Image | From | To | Why | Where |\n|---|---|---|---|---|\n");
        for image in &report.images {
            let places = image
                .places
                .iter()
                .map(|it| code(it))
                .collect::<Vec<_>>()
                .join(", ");
            let (image, old, new, why) = (
                code(&image.image),
                code(&image.old),
                code(&image.new),
                escape(&image.why),
            );
            let _ = writeln!(text, "| {image} | {old} | {new} | {why} | {places} |");
        }
        text.push('\n');
    }
    let stays = report.values.iter().filter(|it| it.reason.is_some());
    for value in stays {
        let place = code(&format!("{}:{}", value.file, value.line));
        let reason = escape(value.reason.as_deref().unwrap_or_default());
        let _ = writeln!(text, "- {place} {}: {reason}", code(&value.value));
    }
    for finding in &report.findings {
        let place = code(&format!("{}:{}", finding.file, finding.line));
        let _ = writeln!(text, "- {place}: {}", escape(&finding.message));
    }
    if !report.diff.is_empty() {
        let diff = cut(report.diff.clone(), MAX_DIFF);
        let _ = writeln!(
            text,
            "\n<details><summary>Diff</summary>\n\n{}\n</details>\n",
            fenced(&diff)
        );
    }
}

/// The job's summary of `lint`, in Markdown.
pub fn lint_summary(report: &LintReport) -> String {
    let mut text = format!("### Markers of {}\n\n", code(&report.folder));
    let _ = writeln!(text, "{}\n", fenced(&cut(report.text(), MAX_DIFF)));
    cut(text, MAX_SUMMARY)
}

/// Text in a fence that is longer than any row of backticks in it.
fn fenced(text: &str) -> String {
    let mut longest = 2;
    let mut row = 0;
    for character in text.chars() {
        row = if character == '`' { row + 1 } else { 0 };
        longest = longest.max(row);
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence}diff\n{}\n{fence}", text.trim_end_matches('\n'))
}

fn cut(mut text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push_str("\n…\n");
    text
}

/// A frame that stands in none of the values.
pub fn frame(outputs: &[(&str, String)], mut draw: impl FnMut() -> u64) -> String {
    loop {
        let frame = format!("tagwright-{:016x}{:016x}", draw(), draw());
        if !outputs.iter().any(|(_, value)| value.contains(&frame)) {
            return frame;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_command_is_one_line_whatever_it_says(file in "(?s).{0,30}", message in "(?s).{0,60}") {
            let line = command("error", &[("file", &file)], &message);
            prop_assert_eq!(line.lines().count(), 1);
            let rest = line.strip_prefix("::error file=").expect("its beginning");
            let (value, _) = rest.split_once("::").expect("its end");
            prop_assert!(!value.contains([',', ':']));
        }

        #[test]
        fn an_output_is_read_back_whatever_it_holds(value in "(?s).{0,80}") {
            let outputs = [("plan", value.clone())];
            let mut number = 0;
            let frame = frame(&outputs, || { number += 1; number });
            let text = output_file(&outputs, &frame);
            let inner = text.strip_prefix(&format!("plan<<{frame}\n")).expect("its beginning");
            prop_assert_eq!(inner.strip_suffix(&format!("\n{frame}\n")), Some(value.as_str()));
        }

        #[test]
        fn a_fence_holds_what_is_in_it(text in "[`a\n]{0,40}") {
            let shown = fenced(&text);
            let fence = shown.lines().next().expect("a line").trim_end_matches("diff").to_owned();
            let inside = shown.lines().skip(1).collect::<Vec<_>>();
            let (last, inside) = inside.split_last().expect("an end");
            prop_assert_eq!(*last, fence.as_str());
            prop_assert!(!inside.iter().any(|it| it.contains(&fence)));
        }
    }
}
