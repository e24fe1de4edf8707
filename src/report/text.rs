//! Reports in plain words.
//!
//! One line for each automation and for each image, a summary at the end. Colours are ANSI codes;
//! whoever prints decides whether they survive.

use std::{collections::BTreeMap, fmt::Write as _};

use anstyle::{AnsiColor, Style};

use crate::printable::printable;

use super::{
    AdviceReport, AutomationReport, ErrorReport, PullRequestReport, ResultKind, RunReport, Summary,
    ValueReport,
};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const ATTENTION: Style = AnsiColor::Yellow.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// How much a report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What changes, and what a person should look at.
    Brief,
    /// The diff and the commit message too.
    Plan,
}

/// A run in plain words.
pub fn run(report: &RunReport, detail: Detail) -> String {
    let mut text = String::new();
    for automation in &report.automations {
        write_automation(&mut text, automation, detail);
        text.push('\n');
    }
    let is_plan = report
        .automations
        .iter()
        .any(|it| it.result == ResultKind::Planned);
    text.push_str(&summary(&report.summary, is_plan));
    text
}

/// An error, its causes and what to do about it.
pub fn error(report: &ErrorReport) -> String {
    let mut text = format!("{BAD}error{BAD:#}: {}\n", report.message);
    for cause in &report.causes {
        let _ = writeln!(text, "cause: {cause}");
    }
    if let Some(hint) = &report.hint {
        let _ = writeln!(text, "hint:  {hint}");
    }
    text
}

fn write_automation(text: &mut String, report: &AutomationReport, detail: Detail) {
    let branch = report
        .branch
        .as_ref()
        .map(|it| format!(" ({it})"))
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "{BOLD}{}{BOLD:#}  {}{branch}",
        report.automation, report.remote
    );
    for row in rows(report) {
        let Row { mark, style, words } = row;
        let _ = writeln!(text, "  {style}{mark}{style:#} {words}");
    }
    for value in &report.values {
        if let Some(words) = followed(value) {
            let _ = writeln!(text, "  {DIM}- {words}{DIM:#}");
        }
    }
    for finding in &report.findings {
        let file = printable(&finding.file);
        let place = format!("{file}:{}:{}", finding.line, finding.column);
        let (message, excerpt) = excerpted(&finding.message);
        let _ = writeln!(
            text,
            "  {ATTENTION}!{ATTENTION:#} {place}: {}{excerpt}",
            printable(message)
        );
    }
    for AdviceReport { policy, message } in &report.advice {
        let words = format!("{policy}: advice: {message}");
        let words = printable(&words);
        let _ = writeln!(text, "  {ATTENTION}!{ATTENTION:#} {words}");
    }
    for skipped in &report.skipped {
        let _ = writeln!(
            text,
            "  {DIM}- {} was not read: {}{DIM:#}",
            printable(&skipped.file),
            skipped.reason
        );
    }
    let _ = writeln!(text, "  {}", conclusion(report));
    if let Some(request) = &report.pull_request {
        write_request(text, request);
    }
    if let Some(report) = &report.error {
        for line in error(report).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    if detail == Detail::Plan && !report.diff.is_empty() {
        let _ = write!(text, "\n{}", coloured(&report.diff));
        if let Some(commit) = &report.commit {
            let _ = writeln!(text, "\n{DIM}commit by {}{DIM:#}", commit.author);
            for line in commit.message.lines() {
                let _ = writeln!(text, "{}", format!("    {line}").trim_end());
            }
        }
    }
}

/// The request's number and page, and what the forge did not take.
fn write_request(text: &mut String, report: &PullRequestReport) {
    if let (Some(number), Some(url), Some(state)) = (report.number, &report.url, report.state) {
        let url = printable(url);
        let _ = writeln!(
            text,
            "  {BOLD}pull request #{number}{BOLD:#} ({state})  {url}"
        );
    }
    for remark in &report.remarks {
        let _ = writeln!(text, "  {ATTENTION}!{ATTENTION:#} {}", printable(remark));
    }
}

struct Row {
    mark: char,
    style: Style,
    words: String,
}

/// One row for each image and what becomes of it; equal rows are one, with the number of places.
fn rows(report: &AutomationReport) -> Vec<Row> {
    let updates = report.images.iter().map(|step| {
        let words = format!(
            "{}: {} → {}  ({})",
            step.image, step.old, step.new, step.why
        );
        row('✔', GOOD, &words, &step.places)
    });
    let mut others = BTreeMap::<(u8, String), Vec<String>>::new();
    for value in report.values.iter().filter(|value| value.fate != "update") {
        let place = place(value);
        others
            .entry((rank(value), sentence(value)))
            .or_default()
            .push(place);
    }
    let others = others
        .into_iter()
        .map(|((rank, sentence), places)| match rank {
            0 => row('=', DIM, &sentence, &places),
            1 => row('!', ATTENTION, &sentence, &places),
            _ => row('✗', BAD, &sentence, &places),
        });
    updates.chain(others).collect()
}

fn row(mark: char, style: Style, words: &str, places: &[String]) -> Row {
    let place = match places {
        [] => String::new(),
        [only] => only.clone(),
        [first, ..] => format!("{} places, first {first}", places.len()),
    };
    let (words, excerpt) = excerpted(words);
    let (words, place) = (printable(words), printable(&place));
    Row {
        mark,
        style,
        words: format!("{words}  {DIM}{place}{DIM:#}{excerpt}"),
    }
}

/// The first line of a message, and the excerpt with a mark below it on lines of its own.
pub(super) fn excerpted(message: &str) -> (&str, String) {
    let (words, excerpt) = message.split_once('\n').unwrap_or((message, ""));
    let lines = excerpt
        .lines()
        .map(|line| format!("\n      {}", printable(line)));
    (words, lines.collect())
}

/// Where a value stands, and who says that it follows a policy where it is no marker.
fn place(value: &ValueReport) -> String {
    let place = format!("{}:{}", value.file, value.line);
    match value.origin.kind {
        "marker" => place,
        _ => format!("{place} by {}", value.origin.text),
    }
}

fn rank(value: &ValueReport) -> u8 {
    match value.fate {
        "current" => 0,
        "held" | "nothingMatched" | "suspended" | "unknownPolicy" => 1,
        _ => 2,
    }
}

fn sentence(value: &ValueReport) -> String {
    let image = value.image.as_deref().unwrap_or(&value.policy);
    let reason = value.reason.as_deref().unwrap_or_default();
    // A line break in a value is its own, and not the beginning of an excerpt.
    let text = printable(&value.value);
    let tail = tail(&text, image);
    match value.fate {
        "current" if value.field == "name" => format!("{image}: the name is current"),
        "current" => format!("{image}: {tail} is current"),
        "suspended" => format!("{}: left alone: {reason}", value.policy),
        "unknownPolicy" => format!("{text} follows nothing: {reason}"),
        "unavailable" => format!("{}: cannot decide: {reason}", value.policy),
        _ => format!("{image}: {tail} stays: {reason}"),
    }
}

/// A value without the image's name in front.
fn tail<'a>(value: &'a str, image: &str) -> &'a str {
    let tail = value
        .strip_prefix(image)
        .and_then(|rest| rest.strip_prefix([':', '@']));
    tail.unwrap_or(value)
}

/// Which other places change with a value, where aliases repeat it.
fn followed(value: &ValueReport) -> Option<String> {
    let (first, rest) = value.aliases.split_first()?;
    if value.fate != "update" {
        return None;
    }
    let (file, line) = (&value.file, value.line);
    Some(match rest {
        [] => format!("{file}:{line}: an alias on line {first} changes with it"),
        _ => format!(
            "{file}:{line}: {} aliases change with it, the first on line {first}",
            rest.len() + 1
        ),
    })
}

fn conclusion(report: &AutomationReport) -> String {
    let branch = report.branch.as_deref().unwrap_or("the folder");
    let id = report
        .commit
        .as_ref()
        .and_then(|commit| commit.id.as_deref());
    match (report.result, id) {
        (ResultKind::Applied, Some(id)) => {
            format!(
                "{GOOD}pushed commit {} to {branch}{GOOD:#}",
                &id[..id.len().min(7)]
            )
        }
        (ResultKind::Pending, _) => {
            format!("{DIM}{branch} holds this commit already{DIM:#}")
        }
        (ResultKind::Applied, None) => format!("{GOOD}written{GOOD:#}"),
        (ResultKind::Planned, _) => format!("{ATTENTION}would change {branch}{ATTENTION:#}"),
        (ResultKind::Waiting, _) => {
            let reason = report
                .pull_request
                .as_ref()
                .and_then(|it| it.waiting.as_deref());
            let reason = printable(reason.unwrap_or_default());
            format!("{ATTENTION}nothing was offered: {reason}{ATTENTION:#}")
        }
        (ResultKind::Withdrawn, _) => format!("{GOOD}{branch} is no longer needed{GOOD:#}"),
        (ResultKind::Held, _) => format!("{ATTENTION}nothing was changed{ATTENTION:#}"),
        (ResultKind::Suspended, _) => format!("{DIM}suspended{DIM:#}"),
        (ResultKind::Unchanged, _) if report.values.is_empty() => {
            format!("{DIM}no markers found{DIM:#}")
        }
        (ResultKind::Unchanged, _) if report.values.iter().any(|it| rank(it) > 0) => {
            format!("{BAD}nothing was changed{BAD:#}")
        }
        (ResultKind::Unchanged, _) => format!("{DIM}nothing to do{DIM:#}"),
        (ResultKind::Failed, _) => {
            if report.branch.is_some() && report.pull_request.is_none() {
                format!("{BAD}failed; nothing was pushed{BAD:#}")
            } else {
                format!("{BAD}failed{BAD:#}")
            }
        }
    }
}

/// The last line: the counts that are not nothing.
fn summary(summary: &Summary, is_plan: bool) -> String {
    let would = if is_plan { "would be " } else { "" };
    let mut parts = Vec::new();
    if summary.updated > 0 {
        let (images, places) = (
            count(summary.images, "image"),
            count(summary.updated, "place"),
        );
        parts.push(format!("{images} {would}updated in {places}"));
    } else {
        parts.push("nothing updated".to_owned());
    }
    let more = [
        (summary.pending, "waiting for a merge"),
        (summary.current, "current"),
        (summary.held, "held"),
        (summary.left, "left alone"),
        (
            summary.findings,
            if summary.findings == 1 {
                "finding"
            } else {
                "findings"
            },
        ),
        (summary.failed, "failed"),
    ];
    let more = more.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(more.map(|(count, word)| format!("{count} {word}")));
    format!(
        "{}: {}\n",
        count(summary.automations, "automation"),
        parts.join(", ")
    )
}

fn count(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

/// A unified diff in colours.
pub fn coloured(diff: &str) -> String {
    let mut text = String::new();
    for line in diff.split_inclusive('\n') {
        let style = match line.as_bytes().first() {
            Some(b'+') if !line.starts_with("+++ ") => GOOD,
            Some(b'-') if !line.starts_with("--- ") => BAD,
            Some(b'@') => DIM,
            _ => Style::new(),
        };
        let (body, end) = line
            .strip_suffix('\n')
            .map_or((line, ""), |body| (body, "\n"));
        let body = body
            .split('\t')
            .map(printable)
            .collect::<Vec<_>>()
            .join("\t");
        let _ = write!(text, "{style}{body}{style:#}{end}");
    }
    text
}
