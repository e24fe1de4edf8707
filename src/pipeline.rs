//! The order of things: observe, decide, act.
//!
//! [`run`] takes one automation through it, again from the start when somebody else was faster;
//! [`decide_files`] is the part that a local folder shares with a Git remote. Nothing here prints,
//! reads the environment or knows Kubernetes.

mod decide;
mod listings;

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

pub use self::{
    decide::{Question, Scope, check_files, decide_files, inline_policy, question},
    listings::Listings,
};
use crate::{
    access::{self, AccessError, Vault},
    config::{Automation, Config, ObjectKey},
    error::Class,
    printable::printable,
    scan::Registry,
    update::{
        git::{
            Branch, CommitId, NewCommit, Pushed, Remote, RemoteError, Skipped, Snapshot, Source,
            SourceFile,
        },
        message::{self, Step},
        plan::{self, ChangeSet},
        template::TemplateError,
    },
};

/// How often a lost race is run again.
const MAX_ATTEMPTS: u32 = 5;
/// The longest pause before the first new attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The doors to the world.
#[derive(Debug)]
pub struct Ports<R, G, V> {
    /// Where images are listed.
    pub registry: R,
    /// Where Git is read and pushed.
    pub remote: G,
    /// Where secrets are opened.
    pub vault: V,
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Say what would be done.
    Plan,
    /// Do it.
    Apply,
}

/// What became of one automation.
#[derive(Debug)]
pub struct Outcome {
    /// The automation.
    pub automation: ObjectKey,
    /// The Git remote's address, or the folder.
    pub remote: String,
    /// The branch that is pushed to; nothing for a folder.
    pub branch: Option<Branch>,
    /// What was looked at, as far as it went.
    pub observed: Option<Observed>,
    /// What was decided, as far as it went.
    pub plan: Option<Plan>,
    /// How it ended.
    pub end: End,
}

/// What was looked at.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// The commit that was read; nothing for a folder.
    pub base: Option<CommitId>,
    /// How many files were looked at.
    pub files: usize,
    /// How many of them hold markers.
    pub marked_files: usize,
    /// Entries that were passed over although their name fits.
    pub skipped: Vec<Skipped>,
}

/// A commit that was decided on, and everything it was decided from.
#[derive(Debug)]
pub struct Plan {
    /// What every marked value is and is to be.
    pub changes: ChangeSet,
    /// The images' steps.
    pub steps: Vec<Step>,
    /// The files as they are now, for the diff.
    pub before: Vec<SourceFile>,
    /// The commit; nothing where nothing changes, and for a folder.
    pub commit: Option<NewCommit>,
}

/// How an automation ended.
#[derive(Debug)]
pub enum End {
    /// Everything is as the policies want it.
    Unchanged,
    /// It is to be left alone.
    Suspended,
    /// There is something to do, and it was not to be done.
    Planned,
    /// Something newer stands in Git than what the policies chose, and nothing else changes.
    Held,
    /// The push branch holds this very commit already; it waits for somebody to merge it.
    Pending(CommitId),
    /// It was done.
    Applied(Pushed),
    /// It was done, in a folder.
    Written,
    /// It could not be done; nothing was written.
    Failed(Failure),
}

/// Why an automation failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A secret could not be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Git could not be read or written.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The commit message could not be rendered.
    #[error("cannot render the commit message")]
    Template(#[from] TemplateError),
    /// The push branch carries somebody else's commit.
    #[error("branch `{branch}` ends in a commit by {author}, which is not overwritten")]
    ForeignCommits {
        /// The branch.
        branch: Branch,
        /// The email address of the commit's author, or the automation that made it.
        author: String,
    },
    /// More files would change than one commit may hold.
    #[error("the commit would change {0} files, and {limit} is the limit", limit = plan::MAX_FILES)]
    TooManyFiles(usize),
    /// A folder could not be read or written.
    #[error(transparent)]
    Local(#[from] crate::update::local::LocalError),
}

impl Failure {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Access(error) => error.class(),
            Self::Remote(error) => error.class(),
            Self::Local(error) => error.class(),
            Self::Template(_) | Self::ForeignCommits { .. } | Self::TooManyFiles(_) => {
                Class::Config
            }
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Remote(error) => error.hint(),
            Self::Template(error) => error.hint(),
            Self::ForeignCommits { branch, .. } => Some(format!(
                "merge or delete `{branch}`, or choose another push branch"
            )),
            Self::Access(_) | Self::TooManyFiles(_) | Self::Local(_) => None,
        }
    }
}

/// Takes one automation from observation to action, again when a race was lost.
pub async fn run<R: Registry, G: Remote, V: Vault>(
    config: &Config,
    automation: &Automation,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    intent: Intent,
) -> Outcome {
    let mut outcome = Outcome {
        automation: automation.key.clone(),
        remote: automation.remote.url.to_string(),
        branch: Some(automation.remote.push_branch.clone()),
        observed: None,
        plan: None,
        end: End::Suspended,
    };
    if automation.suspended {
        return outcome;
    }
    for attempt in 1.. {
        let end = attempt_once(config, automation, ports, listings, intent, &mut outcome).await;
        outcome.end = match end {
            Err(Failure::Remote(error))
                if error.class() == Class::Conflict && attempt < MAX_ATTEMPTS =>
            {
                tracing::info!(automation = %automation.key, attempt, "lost a race, deciding again");
                let longest = FIRST_PAUSE * 2_u32.pow(attempt - 1);
                tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
                continue;
            }
            Ok(end) => end,
            Err(failure) => End::Failed(failure),
        };
        break;
    }
    outcome
}

async fn attempt_once<R: Registry, G: Remote, V: Vault>(
    config: &Config,
    automation: &Automation,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    intent: Intent,
    outcome: &mut Outcome,
) -> Result<End, Failure> {
    let source = access::remote(&ports.vault, &automation.remote).await?;
    let snapshot = ports
        .remote
        .read(&source, automation.targets.clone())
        .await?;
    tracing::info!(
        automation = %automation.key, commit = %snapshot.base, files = snapshot.looked_at,
        marked = snapshot.files.len(), "read"
    );
    outcome.observed = Some(Observed {
        base: Some(snapshot.base.clone()),
        files: snapshot.looked_at,
        marked_files: snapshot.files.len(),
        skipped: snapshot.skipped.clone(),
    });
    let scope = Scope {
        config,
        policies: Some(&automation.policies),
        targets: &automation.targets,
        namespace: &automation.key.namespace,
    };
    let changes = decide_files(&scope, ports, listings, snapshot.files.clone()).await;
    let plan = plan_commit(automation, &snapshot, changes)?;
    let end = act(automation, ports, &source, &snapshot, &plan, intent).await;
    outcome.plan = Some(plan);
    end
}

async fn act<R, G: Remote, V>(
    automation: &Automation,
    ports: &Ports<R, G, V>,
    source: &Source,
    snapshot: &Snapshot,
    plan: &Plan,
    intent: Intent,
) -> Result<End, Failure> {
    let Some(commit) = &plan.commit else {
        return Ok(end_without_change(&plan.changes));
    };
    may_replace(automation, snapshot)?;
    match (intent, &snapshot.push_tip) {
        // The default message names every step: the same words on the same base are the same commit.
        (Intent::Plan, Some(tip))
            if automation.message.is_none()
                && tip.message == commit.message
                && tip.parent.as_ref() == Some(&snapshot.base) =>
        {
            Ok(End::Pending(tip.commit.clone()))
        }
        (Intent::Plan, _) => Ok(End::Planned),
        (Intent::Apply, tip) => {
            let pushed = ports.remote.push(source, snapshot, commit).await?;
            tracing::info!(
                automation = %automation.key, branch = %pushed.branch, commit = %pushed.commit, "pushed"
            );
            // A push branch that holds this very commit already was not touched.
            match tip {
                Some(tip) if tip.commit == pushed.commit => Ok(End::Pending(pushed.commit)),
                _ => Ok(End::Applied(pushed)),
            }
        }
    }
}

/// How a run ends that has nothing to write.
pub fn end_without_change(changes: &ChangeSet) -> End {
    let held = changes
        .values
        .iter()
        .any(|value| matches!(value.fate, plan::Fate::Held { .. }));
    if held { End::Held } else { End::Unchanged }
}

/// A push branch of our own is rebuilt on the checkout branch's tip, while it ends in a commit that
/// this automation made: such a commit stands on the checkout branch itself, so nobody's work is
/// lost with it.
fn may_replace(automation: &Automation, snapshot: &Snapshot) -> Result<(), Failure> {
    let key = automation.key.to_string();
    match &snapshot.push_tip {
        Some(tip) if tip.commit != snapshot.base && tip.automation.as_ref() != Some(&key) => {
            Err(Failure::ForeignCommits {
                branch: automation.remote.push_branch.clone(),
                author: match &tip.automation {
                    Some(other) => format!("automation {}", printable(other)),
                    None => printable(&tip.author_email).into_owned(),
                },
            })
        }
        _ => Ok(()),
    }
}

fn plan_commit(
    automation: &Automation,
    snapshot: &Snapshot,
    changes: ChangeSet,
) -> Result<Plan, Failure> {
    if changes.files.len() > plan::MAX_FILES {
        return Err(Failure::TooManyFiles(changes.files.len()));
    }
    let key = &automation.key;
    let mut commit = None;
    if !changes.is_empty() {
        let message = message::message(
            (&key.namespace, &key.name),
            automation.message.as_ref(),
            &automation.message_values,
            &automation.trailers,
            &automation.remote.path,
            &changes,
        )?;
        commit = Some(NewCommit {
            automation: key.to_string(),
            files: changes.files.clone(),
            message,
            author: automation.author.clone(),
            time: commit_time(snapshot.base_time),
        });
    }
    let paths = changes
        .files
        .iter()
        .map(|file| &file.path)
        .collect::<BTreeSet<_>>();
    let before = snapshot
        .files
        .iter()
        .filter(|file| paths.contains(&file.path))
        .cloned();
    Ok(Plan {
        steps: message::steps(&changes),
        before: before.collect(),
        commit,
        changes,
    })
}

/// One second after the base: the same plan on the same base is the same commit, whoever makes it
/// and whenever, so that two racing runs are harmless.
fn commit_time(base: DateTime<Utc>) -> DateTime<Utc> {
    base.checked_add_signed(TimeDelta::seconds(1))
        .unwrap_or(base)
}
