//! What `lint` tells.

use std::{collections::BTreeSet, fmt::Write as _};

use schemars::JsonSchema;
use serde::Serialize;

use super::{AdviceReport, FindingReport, SkippedReport, VERSION, ValueReport, text::excerpted};
use crate::{
    policy::PolicyName,
    printable::printable,
    update::{
        PolicyKey,
        git::Skipped,
        plan::{ChangeSet, Fate},
    },
};

/// What `lint` found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LintReport {
    /// The version of this form: `tagwright.dev/v1`.
    pub version: &'static str,
    /// The folder.
    pub folder: String,
    /// How many files were looked at.
    pub files: usize,
    /// Every marked value.
    pub values: Vec<ValueReport>,
    /// Markers that do nothing, and files that cannot be read.
    pub findings: Vec<FindingReport>,
    /// What should be changed in policies that markers name.
    pub advice: Vec<AdviceReport>,
    /// Entries that were passed over although their name fits.
    pub skipped: Vec<SkippedReport>,
    /// Policies that no marker names, as `namespace:name`.
    pub unused_policies: Vec<String>,
    /// How many of all these should be mended.
    pub problems: usize,
}

impl LintReport {
    /// Tells what became of the markers of `folder`; `policies` are all there are.
    pub fn new<'a>(
        folder: &str,
        changes: &ChangeSet,
        policies: impl Iterator<Item = &'a PolicyName>,
    ) -> Self {
        let used = changes
            .values
            .iter()
            .filter_map(|value| match &value.policy {
                PolicyKey::Named(name) => Some(name),
                PolicyKey::Inline { .. } => None,
            });
        let used = used.collect::<BTreeSet<_>>();
        let unused = policies
            .filter(|name| !used.contains(name))
            .map(ToString::to_string);
        let unused_policies = unused.collect::<Vec<_>>();
        let faults = changes
            .findings
            .iter()
            .filter(|finding| !finding.finding.problem.is_note())
            .count();
        let wrong = changes
            .values
            .iter()
            .filter(|value| is_problem(&value.fate))
            .count();
        Self {
            version: VERSION,
            folder: folder.to_owned(),
            files: 0,
            skipped: Vec::new(),
            problems: wrong + faults + changes.advice.len() + unused_policies.len(),
            values: changes.values.iter().map(ValueReport::new).collect(),
            findings: changes.findings.iter().map(FindingReport::new).collect(),
            advice: changes.advice.iter().map(AdviceReport::new).collect(),
            unused_policies,
        }
    }

    /// Adds what is known of the folder itself.
    pub fn add_tree(&mut self, files: usize, skipped: Vec<Skipped>) {
        self.files = files;
        // A link is passed over on purpose; a file that is too large was not checked.
        let unread = skipped.iter().filter(|it| !it.reason.contains("link"));
        self.problems += unread.count();
        self.skipped = skipped.into_iter().map(SkippedReport::from).collect();
    }

    /// One line for each marker, finding and unused policy, and the counts.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for value in &self.values {
            let place = format!("{}:{}:{}", value.file, value.line, value.column);
            let words = match (value.fate, &value.new, &value.reason) {
                ("current", ..) => "current".to_owned(),
                ("update", Some(new), _) => format!("would be updated to {new}"),
                ("unchecked", ..) => "well-formed".to_owned(),
                (fate, _, reason) => {
                    let fate = match fate {
                        "held" => "held",
                        "nothingMatched" => "nothing matched",
                        "unknownPolicy" => "unknown policy",
                        "suspended" => "suspended",
                        _ => "cannot decide",
                    };
                    format!("{fate}: {}", reason.as_deref().unwrap_or_default())
                }
            };
            let origin = match value.origin.kind {
                "marker" => String::new(),
                _ => format!(" (by {})", value.origin.text),
            };
            let line = format!("{place}: {}{origin}: {words}", value.value);
            let _ = writeln!(text, "{}", printable(&line));
        }
        for finding in &self.findings {
            let FindingReport {
                file,
                line,
                column,
                message,
            } = finding;
            let (message, excerpt) = excerpted(message);
            let line = format!("{file}:{line}:{column}: {message}");
            let _ = writeln!(text, "{}{excerpt}", printable(&line));
        }
        for skipped in &self.skipped {
            let line = format!("{}: not read: {}", skipped.file, skipped.reason);
            let _ = writeln!(text, "{}", printable(&line));
        }
        for AdviceReport { policy, message } in &self.advice {
            let line = format!("policy {policy}: {message}");
            let _ = writeln!(text, "{}", printable(&line));
        }
        for policy in &self.unused_policies {
            let _ = writeln!(text, "policy {policy}: no marker uses it");
        }
        let count = |count: usize, noun: &str| match count {
            1 => format!("1 {noun}"),
            count => format!("{count} {noun}s"),
        };
        let (files, markers) = (
            count(self.files, "file"),
            count(self.values.len(), "marker"),
        );
        let _ = writeln!(
            text,
            "{files}, {markers}, {}",
            count(self.problems, "problem")
        );
        text
    }
}

/// A newer image is no problem of the file; a marker that does nothing is.
fn is_problem(fate: &Fate) -> bool {
    match fate {
        Fate::Current
        | Fate::Update { .. }
        | Fate::Held { .. }
        | Fate::Suspended { .. }
        | Fate::Unchecked => false,
        Fate::NothingMatched { .. }
        | Fate::Unavailable { .. }
        | Fate::UnknownPolicy { .. }
        | Fate::Refused { .. } => true,
    }
}
