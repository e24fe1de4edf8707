//! What `explain` tells.

use std::fmt::Write as _;

use anstyle::Style;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    VERSION, ValueReport,
    replay::{Replay, ReplayError},
};
use crate::{
    image::Tag,
    policy::{self, Explanation, Policy, Situation, Stages, Verdict},
    scan::Scan,
    update::{Origin, plan::MarkedValue, targets::Targets},
};

/// How many rejected tags are shown where not all are wanted.
const SHOWN_REJECTIONS: usize = 20;

/// Why policies choose what they choose.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExplainReport {
    /// The version of this form: `tagwright.dev/v1`.
    pub version: &'static str,
    /// One entry for each policy.
    pub policies: Vec<PolicyReport>,
}

/// Why one policy chooses what it chooses.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReport {
    /// `namespace:name`, or the words of the rule.
    pub policy: String,
    /// What the policy's preset stands for, in the words of a marker.
    pub preset: Option<String>,
    /// Whether the policy, or its ImageRepository, is to be left alone, and so writes nothing.
    pub suspended: bool,
    /// The image.
    pub image: String,
    /// The tag that was chosen, if any.
    pub chosen: Option<String>,
    /// The key that signed its image, where the policy wants it signed.
    pub signed_by: Option<String>,
    /// The tag that was given as the one in Git.
    pub current: Option<String>,
    /// Why the chosen tag would not be written in its place.
    pub held: Option<String>,
    /// Tags that compare equal to the chosen one and lost by their bytes; at most a hundred.
    pub ties: Vec<String>,
    /// How many they are.
    pub tied: usize,
    /// How many tags came how far.
    pub stages: StagesReport,
    /// The best candidates, best first, at most ten.
    pub candidates: Vec<CandidateReport>,
    /// Every tag that is no candidate, with the first rule it failed.
    pub rejections: Vec<RejectionReport>,
    /// What would be chosen without each of the constraints, where that is something else.
    pub without: Vec<WithoutReport>,
    /// What a person may want to change in the policy.
    pub advice: Vec<String>,
    /// The values of a folder, or of Git, that follow the policy, where these were looked at.
    pub values: Vec<FollowerReport>,
    /// What all this came from; `explain --replay` gives it again.
    pub replay: Replay,
}

/// A value that follows a policy, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowerReport {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The path of keys in the document.
    pub path: String,
    /// The value.
    pub value: String,
    /// Who says that it follows the policy: its marker, a rule with its place, or a strategy.
    pub origin: String,
    /// What a run would make of it, for a value in Git: `current`, `update`, `held` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<String>,
    /// Why, for everything but `current` and `update`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl FollowerReport {
    /// Tells of a value that `targets` found.
    pub fn new(value: &MarkedValue, targets: &Targets) -> Self {
        let origin = match &value.origin {
            Origin::Marker(text) => format!("its marker `{text}`"),
            Origin::Rule(name) => {
                let rule = targets.rules.iter().find(|rule| rule.name == *name);
                let line = rule.map_or_else(String::new, |it| format!(", line {}", it.place.line));
                format!("{name}{line}")
            }
            Origin::Discovered(strategy) => format!("the strategy {strategy}"),
        };
        Self {
            file: value.file.clone(),
            line: value.line,
            column: value.column,
            path: value.path.clone(),
            value: value.value.clone(),
            origin,
            fate: None,
            reason: None,
        }
    }

    /// Tells of a value that a plan is about.
    pub fn of(value: &ValueReport) -> Self {
        let text = &value.origin.text;
        Self {
            file: value.file.clone(),
            line: value.line,
            column: value.column,
            path: value.path.clone(),
            value: value.value.clone(),
            origin: match value.origin.kind {
                "marker" => format!("its marker `{text}`"),
                "discovery" => format!("the strategy {text}"),
                _ => text.clone(),
            },
            fate: Some(value.fate.to_owned()),
            reason: value.reason.clone(),
        }
    }
}

/// What one constraint costs.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WithoutReport {
    /// The constraint, by its field: `update`, `deny`.
    pub constraint: &'static str,
    /// What would be chosen without it.
    pub tag: String,
}

/// How many tags came how far.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StagesReport {
    /// Tags in the listing.
    pub listed: usize,
    /// Entries of the listing that were no tags.
    pub refused: usize,
    /// Tags that an exclusion took out.
    pub excluded: usize,
    /// Tags that are left behind exclusions and filter.
    pub filtered: usize,
    /// Tags of these that the order can read.
    pub parsed: usize,
    /// Tags of these in the range.
    pub in_range: usize,
    /// Tags of these that no constraint refuses: the candidates.
    pub candidates: usize,
}

/// A tag that may be chosen.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateReport {
    /// The tag.
    pub tag: String,
    /// What the order compares.
    pub key: String,
}

/// A tag that may not be chosen.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectionReport {
    /// The tag.
    pub tag: String,
    /// The first rule it failed, in words that continue the tag.
    pub reason: String,
}

impl ExplainReport {
    /// Puts the policies together.
    pub fn new(policies: Vec<PolicyReport>) -> Self {
        Self {
            version: VERSION,
            policies,
        }
    }

    /// Every policy in plain words; `shows_all` rejected tags, or the first few.
    pub fn text(&self, shows_all: bool) -> String {
        let texts = self.policies.iter().map(|it| it.text(shows_all));
        texts.collect::<Vec<_>>().join("\n")
    }
}

/// The parts of a written [`ExplainReport`] that it came from.
#[derive(Debug, Deserialize)]
pub struct RecordedReport {
    policies: Vec<RecordedPolicy>,
}

#[derive(Debug, Deserialize)]
struct RecordedPolicy {
    policy: String,
    image: String,
    /// Missing where an older version wrote the file.
    #[serde(default)]
    suspended: bool,
    current: Option<String>,
    /// Missing where an older version wrote the file.
    #[serde(default)]
    values: Vec<FollowerReport>,
    replay: Replay,
}

impl RecordedReport {
    /// Explains again what was explained then.
    ///
    /// # Errors
    ///
    /// A part of the record that cannot be read, or that was changed since.
    pub fn replay(&self) -> Result<ExplainReport, ReplayError> {
        let policies = self.policies.iter().map(|recorded| {
            let unreadable = |field, text: &str| ReplayError::Field {
                field,
                text: text.to_owned(),
            };
            let image = &recorded.image;
            let repository = image.parse().map_err(|_| unreadable("image", image))?;
            let current = recorded.current.as_deref();
            let current = current.map(|it| it.parse().map_err(|_| unreadable("current", it)));
            let (policy, scan) = recorded.replay.restore(repository)?;
            let name = recorded.policy.clone();
            let current = current.transpose()?;
            let mut report = PolicyReport::new(name, &policy, &scan, current.as_ref());
            report.suspended = recorded.suspended;
            report.values.clone_from(&recorded.values);
            Ok(report)
        });
        let policies = policies.collect::<Result<_, ReplayError>>()?;
        Ok(ExplainReport::new(policies))
    }
}

impl PolicyReport {
    /// Explains what `policy` says of `scan`, and whether it would replace `current`.
    pub fn new(name: String, policy: &Policy, scan: &Scan, current: Option<&Tag>) -> Self {
        let situation = Situation {
            current: current.map(Tag::as_str),
            now: scan.finished,
        };
        let Explanation {
            verdict,
            stages,
            candidates,
            rejections,
            without,
            advice,
        } = policy::explain_in(policy, scan, situation);
        let held = match &verdict {
            Verdict::Held { reason, .. } => Some(reason.to_string()),
            Verdict::Selected(_) | Verdict::NothingMatched(_) => None,
        };
        let ties = verdict.selection().into_iter().flat_map(|it| &it.ties);
        Self {
            policy: name,
            preset: policy
                .preset
                .map(|preset| format!("{} = {}", preset.name, preset.rule())),
            suspended: false,
            image: scan.repository.to_string(),
            chosen: verdict.selection().map(|it| it.tag.to_string()),
            signed_by: policy::signer(policy, scan, &verdict).map(str::to_owned),
            current: current.map(Tag::to_string),
            held,
            ties: ties.map(Tag::to_string).collect(),
            tied: verdict.selection().map_or(0, |it| it.tied),
            stages: StagesReport::new(stages),
            candidates: candidates
                .into_iter()
                .map(|it| CandidateReport {
                    tag: it.tag.to_string(),
                    key: it.key,
                })
                .collect(),
            rejections: rejections
                .into_iter()
                .map(|it| RejectionReport {
                    tag: it.tag.to_string(),
                    reason: it.rule.to_string(),
                })
                .collect(),
            without: without
                .into_iter()
                .map(|it| WithoutReport {
                    constraint: it.constraint,
                    tag: it.tag.to_string(),
                })
                .collect(),
            advice: advice.iter().map(ToString::to_string).collect(),
            values: Vec::new(),
            replay: Replay::new(policy, scan),
        }
    }

    fn text(&self, shows_all: bool) -> String {
        const BOLD: Style = Style::new().bold();
        const DIM: Style = Style::new().dimmed();
        let mut text = format!("{BOLD}{}{BOLD:#}  {}\n", self.policy, self.image);
        if self.suspended {
            text.push_str("suspended: it writes nothing\n");
        }
        if let Some(preset) = &self.preset {
            let _ = writeln!(text, "preset: {preset}");
        }
        text.push('\n');
        for (count, words) in self.stages.rows() {
            let _ = writeln!(text, "{count:>9}  {words}");
        }
        match &self.chosen {
            Some(chosen) => {
                let _ = writeln!(text, "\nchosen: {BOLD}{chosen}{BOLD:#}");
            }
            None => text.push_str("\nchosen: nothing\n"),
        }
        if let Some(key) = &self.signed_by {
            let _ = writeln!(text, "signed: by `{key}`");
        }
        if let Some(held) = &self.held {
            let _ = writeln!(text, "held:   {held}");
        }
        for WithoutReport { constraint, tag } in &self.without {
            let _ = writeln!(text, "without {constraint}: {tag}");
        }
        for advice in &self.advice {
            let _ = writeln!(text, "advice: {advice}");
        }
        if !self.values.is_empty() {
            text.push_str("\nvalues that follow it:\n");
        }
        for value in &self.values {
            let FollowerReport {
                file,
                line,
                column,
                path,
                value,
                origin,
                fate,
                reason,
            } = value;
            let _ = writeln!(
                text,
                "  {file}:{line}:{column}  {value}  {DIM}{path}, by {origin}{DIM:#}"
            );
            if let (Some(fate), Some(reason)) = (fate, reason) {
                let _ = writeln!(text, "    {fate}: {reason}");
            }
        }
        if !self.candidates.is_empty() {
            text.push_str("\nbest candidates:\n");
        }
        for candidate in &self.candidates {
            let key = match &candidate.key {
                key if *key == candidate.tag => String::new(),
                key => format!("  {DIM}compared as {key}{DIM:#}"),
            };
            let _ = writeln!(text, "  {}{key}", candidate.tag);
        }
        let shown = if shows_all {
            usize::MAX
        } else {
            SHOWN_REJECTIONS
        };
        if !self.rejections.is_empty() {
            text.push_str("\nrejected:\n");
        }
        let width = self
            .rejections
            .iter()
            .take(shown)
            .map(|it| it.tag.len())
            .max()
            .unwrap_or(0);
        for RejectionReport { tag, reason } in self.rejections.iter().take(shown) {
            let _ = writeln!(text, "  {tag:width$}  {DIM}{reason}{DIM:#}");
        }
        let more = self.rejections.len().saturating_sub(shown);
        if more > 0 {
            let _ = writeln!(text, "  {DIM}and {more} more; --all shows them{DIM:#}");
        }
        text
    }
}

impl StagesReport {
    fn new(stages: Stages) -> Self {
        let Stages {
            listed,
            refused,
            excluded,
            filtered,
            parsed,
            in_range,
            candidates,
        } = stages;
        Self {
            listed,
            refused,
            excluded,
            filtered,
            parsed,
            in_range,
            candidates,
        }
    }

    fn rows(&self) -> Vec<(usize, &'static str)> {
        let Self {
            listed,
            refused,
            excluded,
            filtered,
            parsed,
            in_range,
            candidates,
        } = *self;
        let kept = listed.saturating_sub(excluded);
        let mut rows = vec![(listed, "listed")];
        let losses = [
            (refused, "more entries were no tags"),
            (excluded, "excluded by the exclusion list"),
            (kept.saturating_sub(filtered), "do not match the filter"),
            (
                filtered.saturating_sub(parsed),
                "cannot be read by the order",
            ),
            (parsed.saturating_sub(in_range), "are out of range"),
            (
                in_range.saturating_sub(candidates),
                "are refused by constraints",
            ),
        ];
        rows.extend(losses.into_iter().filter(|(count, _)| *count > 0));
        rows.push((candidates, "candidates"));
        rows
    }
}
