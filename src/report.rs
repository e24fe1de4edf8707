//! [`Outcome`]s → what people and machines read.
//!
//! [`RunReport`] is the JSON form, with the schema in `docs/schema/run.json`; [`text`] says the
//! same facts in plain words. Both are made from outcomes alone, so they cannot disagree with what
//! was done.

pub mod action;
pub mod diff;
pub mod explain;
pub mod init;
pub mod lint;
pub mod replay;
pub mod scan;
pub mod text;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    error::Class,
    pipeline::{End, Failure, Outcome, Proposal},
    update::{
        Field, Finding, Origin, PolicyKey,
        forge::State,
        git::Skipped,
        message::Step,
        plan::{Fate, FileFinding, MarkedValue},
    },
};

/// The version of every JSON form.
pub const VERSION: &str = "tagwright.dev/v1";

/// What a run did, or would do.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// The version of this form: `tagwright.dev/v1`.
    pub version: &'static str,
    /// One entry for each automation, by name.
    pub automations: Vec<AutomationReport>,
    /// The counts.
    pub summary: Summary,
}

/// What became of one automation.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutomationReport {
    /// `namespace/name`; the folder for `--in-place`.
    pub automation: String,
    /// The Git remote's address, or the folder.
    pub remote: String,
    /// The branch that is pushed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// How it ended.
    pub result: ResultKind,
    /// The commit that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The commit that was pushed, or would be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitReport>,
    /// The pull request, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequestReport>,
    /// The images that change.
    pub images: Vec<ImageReport>,
    /// Every marked value.
    pub values: Vec<ValueReport>,
    /// What a person should know about the files.
    pub findings: Vec<FindingReport>,
    /// What a person may want to change in the policies.
    pub advice: Vec<AdviceReport>,
    /// Files that were not read although their name fits.
    pub skipped: Vec<SkippedReport>,
    /// The change as a unified diff; empty where nothing changes.
    pub diff: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

/// How an automation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ResultKind {
    /// Everything is as the policies want it.
    Unchanged,
    /// It is to be left alone.
    Suspended,
    /// There is something to do, and it was not to be done.
    Planned,
    /// Something newer stands in Git, and nothing else changes.
    Held,
    /// The push branch holds the commit already; it waits for somebody to merge it.
    Pending,
    /// Nothing was offered: a person refused it, or a limit or a window of time says so.
    Waiting,
    /// A request was taken back, or what a merged one left was removed.
    Withdrawn,
    /// A commit was pushed, or files were written.
    Applied,
    /// It could not be done, and nothing was pushed.
    Failed,
}

/// A pull request.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestReport {
    /// The group of changes, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its number, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The page that people look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `open`, `merged` or `closed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// Why nothing is offered, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// What the forge did not take: labels, reviewers, and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// A commit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitReport {
    /// The commit's id, once it is pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `name <email>`.
    pub author: String,
    /// The message.
    pub message: String,
}

/// One image's step.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// The image.
    pub image: String,
    /// The policy that chose.
    pub policy: String,
    /// What stood there.
    pub old: String,
    /// What stands there now, or would.
    pub new: String,
    /// Why the policy chose it.
    pub why: String,
    /// The values that say it, as `file:line`, and who says so where it is no marker.
    pub places: Vec<String>,
}

/// A value that follows a policy.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueReport {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The path of keys in the document.
    pub path: String,
    /// The policy.
    pub policy: String,
    /// The image, where the policy is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// `image`, `tag`, `name` or `digest`.
    pub field: &'static str,
    /// Who says that the value follows the policy.
    pub origin: OriginReport,
    /// The value now.
    pub value: String,
    /// What becomes of it: `current`, `update`, `held`, `nothingMatched`, `unavailable`,
    /// `suspended`, `unknownPolicy`, `unchecked` or `refused`.
    pub fate: &'static str,
    /// The new value, for `update`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// Why, for everything but `current` and `update`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The lines of the aliases that repeat the value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<usize>,
}

/// Who says that a value follows a policy.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OriginReport {
    /// `marker`, `rule` or `discovery`.
    pub kind: &'static str,
    /// The marker's text, the place of the rule, or the name of the strategy.
    pub text: String,
}

/// Something about a file that a person should know.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingReport {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is the matter.
    pub message: String,
}

/// Something about a policy that is allowed and probably not meant.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdviceReport {
    /// The policy.
    pub policy: String,
    /// What is the matter.
    pub message: String,
}

/// A file that was not read.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkippedReport {
    /// The file.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// An error as a person reads it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorReport {
    /// `config`, `denied`, `transient`, `conflict` or `bug`.
    pub class: &'static str,
    /// What was tried, on which thing.
    pub message: String,
    /// The causes, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The counts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Automations, or folders.
    pub automations: usize,
    /// Images that change.
    pub images: usize,
    /// Values that change.
    pub updated: usize,
    /// Values that change once somebody merges the push branch.
    pub pending: usize,
    /// Values that are as they should be.
    pub current: usize,
    /// Values that stay, because something newer stands in Git.
    pub held: usize,
    /// Values that stay for another reason.
    pub left: usize,
    /// Findings about files and markers.
    pub findings: usize,
    /// Automations that failed, and values whose registry could not be asked.
    pub failed: usize,
}

impl RunReport {
    /// Tells what became of the automations.
    pub fn new(outcomes: &[Outcome]) -> Self {
        let automations = outcomes
            .iter()
            .map(AutomationReport::new)
            .collect::<Vec<_>>();
        let mut summary = Summary {
            automations: automations.len(),
            ..Summary::default()
        };
        for automation in &automations {
            summary.count(automation);
        }
        Self {
            version: VERSION,
            automations,
            summary,
        }
    }

    /// Whether something changed, or would change.
    pub fn has_changes(&self) -> bool {
        let changes = [ResultKind::Planned, ResultKind::Applied];
        self.automations
            .iter()
            .any(|it| changes.contains(&it.result))
    }
}

impl Summary {
    fn count(&mut self, automation: &AutomationReport) {
        self.failed += usize::from(automation.error.is_some());
        self.findings += automation.findings.len();
        let is_written = matches!(automation.result, ResultKind::Planned | ResultKind::Applied);
        if is_written {
            let images = automation.images.iter().map(|step| &step.image);
            self.images += images.collect::<BTreeSet<_>>().len();
        }
        for value in &automation.values {
            match value.fate {
                "update" if is_written => self.updated += 1,
                "update" if automation.result == ResultKind::Pending => self.pending += 1,
                // What failed was not written, and is counted with the automation.
                "update" => {}
                "current" => self.current += 1,
                "held" => self.held += 1,
                "unavailable" | "refused" => self.failed += 1,
                _ => self.left += 1,
            }
        }
    }
}

impl AutomationReport {
    fn new(outcome: &Outcome) -> Self {
        let plan = outcome.plan.as_ref();
        let changes = plan.map(|plan| &plan.changes);
        let pushed = match &outcome.end {
            End::Applied(pushed) => Some(pushed.commit.to_string()),
            End::Pending(commit) => Some(commit.to_string()),
            _ => None,
        };
        let commit = plan
            .and_then(|plan| plan.commit.as_ref())
            .map(|commit| CommitReport {
                id: pushed,
                author: format!("{} <{}>", commit.author.name, commit.author.email),
                message: commit.message.clone(),
            });
        let observed = outcome.observed.clone().unwrap_or_default();
        Self {
            automation: outcome.automation.to_string(),
            remote: outcome.remote.clone(),
            branch: outcome.branch.as_ref().map(ToString::to_string),
            result: ResultKind::of(&outcome.end),
            base: observed.base.map(|base| base.to_string()),
            commit,
            pull_request: outcome
                .proposal
                .as_ref()
                .map(|it| PullRequestReport::new(it, &outcome.end)),
            images: plan
                .iter()
                .flat_map(|plan| &plan.steps)
                .map(ImageReport::new)
                .collect(),
            values: changes
                .iter()
                .flat_map(|it| &it.values)
                .map(ValueReport::new)
                .collect(),
            findings: changes
                .iter()
                .flat_map(|changes| &changes.findings)
                .map(FindingReport::new)
                .collect(),
            advice: changes
                .iter()
                .flat_map(|changes| &changes.advice)
                .map(AdviceReport::new)
                .collect(),
            skipped: observed
                .skipped
                .into_iter()
                .map(SkippedReport::from)
                .collect(),
            diff: plan
                .map(|plan| diff::unified(&plan.before, &plan.changes.files))
                .unwrap_or_default(),
            error: match &outcome.end {
                End::Failed(failure) => Some(ErrorReport::new(failure)),
                _ => None,
            },
        }
    }
}

impl PullRequestReport {
    fn new(proposal: &Proposal, end: &End) -> Self {
        let request = proposal.request.as_ref();
        Self {
            group: proposal.group.clone(),
            number: request.map(|it| it.number),
            url: request.map(|it| it.url.clone()),
            state: request.map(|it| match it.state {
                State::Open => "open",
                State::Merged => "merged",
                State::Closed => "closed",
            }),
            waiting: match end {
                End::Waiting(reason) => Some(reason.clone()),
                _ => None,
            },
            remarks: proposal.remarks.clone(),
        }
    }
}

impl ResultKind {
    fn of(end: &End) -> Self {
        match end {
            End::Unchanged => Self::Unchanged,
            End::Suspended => Self::Suspended,
            End::Planned => Self::Planned,
            End::Held => Self::Held,
            End::Pending(_) => Self::Pending,
            End::Applied(_) | End::Written => Self::Applied,
            End::Waiting(_) => Self::Waiting,
            End::Withdrawn => Self::Withdrawn,
            End::Failed(_) => Self::Failed,
        }
    }
}

impl ImageReport {
    fn new(step: &Step) -> Self {
        let Step {
            image,
            policy,
            old,
            new,
            why,
            places,
        } = step.clone();
        Self {
            image,
            policy,
            old,
            new,
            why,
            places,
        }
    }
}

impl FindingReport {
    /// Tells a finding.
    pub fn new(finding: &FileFinding) -> Self {
        let Finding {
            line,
            column,
            problem,
        } = &finding.finding;
        let (file, message) = (finding.file.clone(), problem.to_string());
        Self {
            file,
            line: *line,
            column: *column,
            message,
        }
    }
}

impl AdviceReport {
    /// Tells what was found about a policy.
    pub fn new((policy, message): &(PolicyKey, String)) -> Self {
        Self {
            policy: policy.to_string(),
            message: message.clone(),
        }
    }
}

impl From<Skipped> for SkippedReport {
    fn from(skipped: Skipped) -> Self {
        Self {
            file: skipped.path,
            reason: skipped.reason,
        }
    }
}

impl ValueReport {
    /// Tells a marked value.
    pub fn new(value: &MarkedValue) -> Self {
        let (fate, new, reason) = match &value.fate {
            Fate::Current => ("current", None, None),
            Fate::Update { new } => ("update", Some(new.clone()), None),
            Fate::Held { reason, .. } => ("held", None, Some(reason.clone())),
            Fate::NothingMatched { reason } => ("nothingMatched", None, Some(reason.clone())),
            Fate::Unavailable { reason } => ("unavailable", None, Some(reason.clone())),
            Fate::Suspended { reason } => ("suspended", None, Some(reason.clone())),
            Fate::UnknownPolicy { reason } => ("unknownPolicy", None, Some(reason.clone())),
            Fate::Unchecked => ("unchecked", None, None),
            Fate::Refused { reason } => ("refused", None, Some(reason.clone())),
        };
        Self {
            file: value.file.clone(),
            line: value.line,
            column: value.column,
            path: value.path.clone(),
            policy: value.policy.to_string(),
            image: value.image.as_ref().map(ToString::to_string),
            field: match value.field {
                Field::Image => "image",
                Field::Tag => "tag",
                Field::Name => "name",
                Field::Digest => "digest",
            },
            origin: OriginReport {
                kind: match &value.origin {
                    Origin::Marker(_) => "marker",
                    Origin::Rule(_) => "rule",
                    Origin::Discovered(_) => "discovery",
                },
                text: value.origin.to_string(),
            },
            value: value.value.clone(),
            fate,
            new,
            reason,
            aliases: value.aliases.clone(),
        }
    }
}

impl ErrorReport {
    fn new(failure: &Failure) -> Self {
        Self::of(failure, failure.class(), failure.hint())
    }

    /// Tells any error, cause by cause.
    pub fn of(error: &dyn std::error::Error, class: Class, hint: Option<String>) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        causes.dedup();
        let class = match class {
            Class::Config => "config",
            Class::Denied => "denied",
            Class::Transient => "transient",
            Class::Conflict => "conflict",
            Class::Bug => "bug",
        };
        Self {
            class,
            message: error.to_string(),
            causes,
            hint,
        }
    }
}
