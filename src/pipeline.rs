//! The order of things: observe, decide, act.
//!
//! [`run`] takes automations of one remote through it together, again from the start when somebody
//! else was faster; [`groups`] says which ones these are. [`decide_files`] is the part that a local
//! folder shares with a Git remote. Nothing here prints, reads the environment or knows Kubernetes.

mod act;
mod decide;
mod facts;
mod groups;
mod listings;
mod propose;
mod settings;
mod story;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

pub use self::{
    decide::{
        Deliberation, Question, Scope, check_files, choose, decide_files, deliberate, described,
        inline_policy, question,
    },
    facts::{FactsError, MAX_LOOKUPS, MAX_NEWEST, Place, complete},
    groups::groups,
    listings::{Asked, Listing, Listings},
    propose::{Doors, propose},
    settings::with_settings,
};
use crate::{
    access::{self, AccessError, Vault},
    config::{Automation, Config, ObjectKey},
    error::Class,
    scan::Registry,
    update::{
        forge::{self, ForgeError},
        git::{
            Branch, Checkout, CommitId, NewCommit, Pushed, Remote, RemoteError, Request, Signer,
            Skipped, Snapshot, Source, SourceFile,
        },
        message::{self, Step},
        plan::{self, ChangeSet},
        rejected::Rejections,
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
    /// The request that offers it, where one was asked for.
    pub proposal: Option<Proposal>,
    /// How it ended.
    pub end: End,
}

/// A pull request, and what there is to say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The group of changes, where there are several.
    pub group: Option<String>,
    /// The request, where there is one.
    pub request: Option<forge::Request>,
    /// What the forge did not take, in words.
    pub remarks: Vec<String>,
}

/// What was looked at.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// What was checked out; nothing for a folder.
    pub checkout: Option<Checkout>,
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
    /// Nothing was offered, for this reason; the next run asks again.
    Waiting(String),
    /// The request was taken back, or what a merged one left was removed.
    Withdrawn,
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
    /// Git could not be read or written; the reason may be that of others in the same conversation.
    #[error(transparent)]
    Remote(Arc<RemoteError>),
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
    /// A forge did not do what it was asked.
    #[error(transparent)]
    Forge(#[from] ForgeError),
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
            Self::Forge(error) => error.class(),
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
            Self::Forge(error) => error.hint(),
            Self::Template(error) => error.hint(),
            Self::ForeignCommits { branch, .. } => Some(format!(
                "merge or delete `{branch}`, or choose another push branch"
            )),
            Self::Access(_) | Self::TooManyFiles(_) | Self::Local(_) => None,
        }
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        Self::Remote(Arc::new(error))
    }
}

/// Takes automations of one of the [`groups`] from observation to pushed commits, again when a race was
/// lost; tells what became of each, in order.
///
/// They are read and pushed in one conversation. Where several push one branch, each decides on
/// what those before it made, and its commit stands on theirs; whatever happens to one of them
/// leaves the other branches alone. An automation that wants requests goes through [`propose`].
pub async fn run<R: Registry, G: Remote, V: Vault>(
    config: &Config,
    group: &[&Automation],
    ports: &Ports<R, G, V>,
    listings: &Listings,
    intent: Intent,
) -> Vec<Outcome> {
    let mut outcomes: Vec<_> = group.iter().map(|it| Outcome::suspended(it)).collect();
    let mut waiting: Vec<usize> = (0..group.len()).collect();
    waiting.retain(|index| group.get(*index).is_some_and(|it| !it.suspended));
    for attempt in 1.. {
        let members = waiting
            .iter()
            .filter_map(|index| group.get(*index).copied());
        let members = members.collect::<Vec<_>>();
        let settled = attempt_once(config, group, &members, ports, listings, intent).await;
        for (index, outcome) in waiting.iter().zip(settled) {
            if let Some(place) = outcomes.get_mut(*index) {
                *place = outcome;
            }
        }
        let lost = outcomes.iter().filter(|it| it.has_lost_a_race());
        // Who shares a branch with the loser stands below or above it.
        let branches: BTreeSet<_> = lost.filter_map(|it| it.branch.clone()).collect();
        waiting.retain(|index| {
            let branch = outcomes.get(*index).and_then(|it| it.branch.as_ref());
            branch.is_some_and(|branch| branches.contains(branch))
        });
        if waiting.is_empty() || attempt >= MAX_ATTEMPTS {
            break;
        }
        tracing::info!(
            automations = waiting.len(),
            attempt,
            "lost a race, deciding again"
        );
        let longest = FIRST_PAUSE * 2_u32.pow(attempt - 1);
        tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
    }
    outcomes
}

impl Outcome {
    /// How an automation ends that nobody has looked at.
    fn suspended(automation: &Automation) -> Self {
        Self {
            automation: automation.key.clone(),
            remote: automation.remote.url.to_string(),
            branch: Some(automation.remote.push_branch.clone()),
            observed: None,
            plan: None,
            proposal: None,
            end: End::Suspended,
        }
    }

    fn has_lost_a_race(&self) -> bool {
        matches!(&self.end, End::Failed(Failure::Remote(error)) if error.class() == Class::Conflict)
    }
}

/// An automation on its way, as far as it has come.
struct Member<'a> {
    automation: &'a Automation,
    outcome: Outcome,
    stage: Option<Stage>,
}

/// What one automation reads, and what came of it.
struct Stage {
    source: Source,
    snapshot: Snapshot,
}

impl Member<'_> {
    fn fail(&mut self, failure: impl Into<Failure>) {
        self.outcome.end = End::Failed(failure.into());
        self.stage = None;
    }

    fn commit(&self) -> Option<&NewCommit> {
        self.outcome.plan.as_ref()?.commit.as_ref()
    }
}

async fn attempt_once<R: Registry, G: Remote, V: Vault>(
    config: &Config,
    group: &[&Automation],
    automations: &[&Automation],
    ports: &Ports<R, G, V>,
    listings: &Listings,
    intent: Intent,
) -> Vec<Outcome> {
    let members = automations.iter().map(|automation| Member {
        automation,
        outcome: Outcome::suspended(automation),
        stage: None,
    });
    let mut members = members.collect::<Vec<_>>();
    observe(&mut members, ports).await;
    for index in 0..members.len() {
        let Some((before, [member, ..])) = members.split_at_mut_checked(index) else {
            continue;
        };
        decide(config, before, member, ports, listings).await;
    }
    act::act(group, &mut members, &ports.remote, intent).await;
    members.into_iter().map(|member| member.outcome).collect()
}

/// Reads what all members need, at once.
async fn observe<R, G: Remote, V: Vault>(members: &mut [Member<'_>], ports: &Ports<R, G, V>) {
    let mut readers = Vec::new();
    let mut requests = Vec::new();
    for member in members {
        match access::remote(&ports.vault, &member.automation.remote).await {
            Ok(source) => {
                let screen = settings::Sought {
                    targets: Arc::clone(&member.automation.targets),
                    namespace: member.automation.key.namespace.clone(),
                };
                let screen = Arc::new(screen);
                requests.push(Request { source, screen });
                readers.push(member);
            }
            Err(error) => member.fail(error),
        }
    }
    let snapshots = match ports.remote.read_all(&requests).await {
        Ok(snapshots) => snapshots,
        Err(error) => {
            let error = Arc::new(error);
            for member in readers {
                member.fail(Failure::Remote(Arc::clone(&error)));
            }
            return;
        }
    };
    for ((member, request), snapshot) in readers.into_iter().zip(requests).zip(snapshots) {
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(error) => {
                member.fail(error);
                continue;
            }
        };
        tracing::info!(
            automation = %member.automation.key, commit = %snapshot.base,
            files = snapshot.looked_at, marked = snapshot.files.len(), "read"
        );
        member.outcome.observed = Some(Observed {
            checkout: Some(snapshot.checkout.clone()),
            base: Some(snapshot.base.clone()),
            files: snapshot.looked_at,
            marked_files: snapshot.files.len(),
            skipped: snapshot.skipped.clone(),
        });
        let source = request.source;
        member.stage = Some(Stage { source, snapshot });
    }
}

/// Decides for one member, on what those before it will have pushed to the same branch.
async fn decide<R: Registry, G: Remote, V: Vault>(
    config: &Config,
    before: &[Member<'_>],
    member: &mut Member<'_>,
    ports: &Ports<R, G, V>,
    listings: &Listings,
) {
    let automation = member.automation;
    let Some(Stage { source, snapshot }) = &member.stage else {
        return;
    };
    let branch = &automation.remote.push_branch;
    let below = before
        .iter()
        .filter(|it| it.automation.remote.push_branch == *branch)
        .filter_map(Member::commit);
    let (mut files, mut time) = (snapshot.files.clone(), snapshot.base_time);
    for commit in below {
        time = commit.time;
        for new in &commit.files {
            let old = files.iter_mut().find(|file| file.path == new.path);
            if let Some(old) = old {
                old.bytes.clone_from(&new.bytes);
            }
        }
    }
    let namespace = &automation.key.namespace;
    let settings = snapshot.settings.as_ref().map(|it| it.bytes.as_slice());
    let targets = with_settings(&automation.targets, settings, namespace);
    let scope = Scope {
        config,
        policies: Some(&automation.policies),
        targets: &targets,
        namespace,
    };
    let deliberation = deliberate(&scope, ports, listings, files.clone()).await;
    let mut changes = deliberation.plan();
    // Nobody asks for the history while nothing is about to change.
    let updates = changes.updates().map(|(value, _)| value);
    let guarded = updates.filter(|value| deliberation.is_guarded(&value.policy));
    let guarded = guarded.collect::<Vec<_>>();
    if !guarded.is_empty() {
        let paths = guarded.iter().map(|value| value.file.clone()).collect();
        let history = match ports.remote.history(source, snapshot, &paths).await {
            Ok(history) => history,
            Err(error) => return member.fail(error),
        };
        let guarded = guarded.into_iter();
        let rejections = Rejections::find(guarded, &files, &history, &targets);
        if !rejections.is_empty() {
            changes = deliberation.plan_with(&rejections);
        }
    }
    let signer = source.signer.clone();
    match plan_commit(automation, &files, time, changes, signer) {
        Ok(plan) => member.outcome.plan = Some(plan),
        Err(failure) => member.fail(failure),
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

fn plan_commit(
    automation: &Automation,
    files: &[SourceFile],
    below: DateTime<Utc>,
    changes: ChangeSet,
    signer: Option<Signer>,
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
            path: automation.remote.path.clone(),
            files: changes.files.clone(),
            message,
            author: automation.author.clone(),
            time: commit_time(below),
            signer,
        });
    }
    let paths = changes
        .files
        .iter()
        .map(|file| &file.path)
        .collect::<BTreeSet<_>>();
    let before = files.iter().filter(|file| paths.contains(&file.path));
    Ok(Plan {
        steps: message::steps(&changes),
        before: before.cloned().collect(),
        commit,
        changes,
    })
}

/// One second after the commit below: the same plan on the same base is the same commit, whoever
/// makes it and whenever, so that two racing runs are harmless.
fn commit_time(below: DateTime<Utc>) -> DateTime<Utc> {
    below
        .checked_add_signed(TimeDelta::seconds(1))
        .unwrap_or(below)
}
