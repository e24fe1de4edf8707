//! What a run of the pipeline came to, in the words of its object: status, conditions, and the event
//! of a push.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    condition::End,
    object::Object,
    reconcile::{Next, Report},
    told,
};
use crate::{
    config::{Automation, duration},
    crd::{HeldValue, ImageRef, ImageUpdateAutomationStatus, PullRequestStatus, SkippedPlace},
    error::Class,
    pipeline::{End as RunEnd, Failure, Outcome, Proposal},
    printable::printable,
    update::{
        PolicyKey,
        forge::{Request, State},
        git::{Checkout, Pushed},
        plan::{Fate, MarkedValue},
    },
};

/// How many held values, and how many passed-over places, the status names.
const MAX_PLACES: usize = 20;
/// How many pull requests it names.
const MAX_REQUESTS: usize = 100;
/// The shortest time between two runs.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The fields of the status that move with every run.
const TIMES: [&str; 1] = ["/lastAutomationRunTime"];

/// Writes what came of a run into the status: of one outcome, or of one for each pull request.
pub(super) fn conclude(
    status: &mut ImageUpdateAutomationStatus,
    object: &Arc<Object>,
    automation: &Automation,
    observed: &BTreeMap<String, ImageRef>,
    outcomes: &[Outcome],
) -> Report {
    if outcomes.iter().any(|it| it.plan.is_some()) {
        status.held = held(outcomes);
        status.skipped = skipped(outcomes);
    }
    status.pull_requests = pull_requests(&status.pull_requests, outcomes);
    let news = pushes(status, automation, outcomes);
    let failure = outcomes.iter().find_map(|outcome| match &outcome.end {
        RunEnd::Failed(failure) => Some((failure, outcome.observed.is_some())),
        _ => None,
    });
    if let Some((failure, was_read)) = failure {
        let (reason, message) = failed(failure, was_read);
        let next = Next::Retry(match failure {
            // A Secret may be mended without a word to us.
            Failure::Access(error) if error.class() == Class::Config => Class::Denied,
            _ => failure.class(),
        });
        return Report::new(status, End::failed(reason, message), next).with_times(&TIMES);
    }
    status.observed_policies.clone_from(observed);
    status.observed_source_revision = source_revision(automation, outcomes);
    let end = End::Ready {
        message: ready(&status.pull_requests),
        held: left(status),
    };
    let mut report = Report::new(status, end, next(object)).with_times(&TIMES);
    report.news = news;
    report
}

/// The outcome that stands for the run in the metrics: a failure before news, and news before rest.
pub(super) fn foremost(outcomes: &[Outcome]) -> &'static str {
    let rank = |outcome: &&Outcome| match outcome.end {
        RunEnd::Failed(_) => 0,
        RunEnd::Applied(_) | RunEnd::Written | RunEnd::Withdrawn => 1,
        RunEnd::Waiting(_) => 2,
        RunEnd::Pending(_) | RunEnd::Planned => 3,
        RunEnd::Held => 4,
        RunEnd::Unchanged => 5,
        RunEnd::Suspended => 6,
    };
    let foremost = outcomes.iter().min_by_key(rank);
    foremost.map_or("suspended", |outcome| match outcome.end {
        RunEnd::Unchanged => "unchanged",
        RunEnd::Suspended => "suspended",
        RunEnd::Planned => "planned",
        RunEnd::Held => "held",
        RunEnd::Pending(_) => "pending",
        RunEnd::Applied(_) | RunEnd::Written => "applied",
        RunEnd::Waiting(_) => "waiting",
        RunEnd::Withdrawn => "withdrawn",
        RunEnd::Failed(_) => "failed",
    })
}

/// Notes the pushes of a run in the status, and tells them: the words of the event, and what belongs
/// to the newest of them.
fn pushes(
    status: &mut ImageUpdateAutomationStatus,
    automation: &Automation,
    outcomes: &[Outcome],
) -> Option<(String, BTreeMap<String, String>)> {
    let pushed = outcomes.iter().filter_map(|outcome| match &outcome.end {
        RunEnd::Applied(pushed) => Some((outcome, pushed)),
        _ => None,
    });
    let (mut paragraphs, mut metadata) = (Vec::new(), BTreeMap::new());
    for (outcome, pushed) in pushed {
        let commit = pushed.commit.as_str().to_owned();
        paragraphs.push(words(automation, outcome, pushed));
        metadata.insert(
            "image.toolkit.fluxcd.io/revision".to_owned(),
            pushed_revision(pushed),
        );
        metadata.insert("image.toolkit.fluxcd.io/commit".to_owned(), commit.clone());
        if let Some(request) = outcome.proposal.as_ref().and_then(open) {
            let url = printable(&request.url).into_owned();
            metadata.insert("image.toolkit.fluxcd.io/pull-request".to_owned(), url);
        }
        status.last_push_commit = Some(commit);
        status.last_push_time = Some(told::time(super::now()));
    }
    (!paragraphs.is_empty()).then(|| (paragraphs.join("\n\n"), metadata))
}

/// A push, as Flux tells it, and for which request it was.
fn words(automation: &Automation, outcome: &Outcome, pushed: &Pushed) -> String {
    let short = pushed.commit.as_str().get(..7).unwrap_or_default();
    let mut words = format!("pushed commit '{short}' to branch '{}'", pushed.branch);
    if let Some(refspec) = &automation.remote.push.refspec {
        words.push_str(&format!(" and refspecs '{refspec}'"));
    }
    if let Some(request) = outcome.proposal.as_ref().and_then(open) {
        let url = printable(&request.url);
        words.push_str(&format!(" for pull request {} ({url})", request.number));
    }
    let message = outcome.plan.as_ref().and_then(|it| it.commit.as_ref());
    let message = message.map(|it| it.message.trim_end()).unwrap_or_default();
    if !message.is_empty() {
        words.push_str(&format!("\n{message}"));
    }
    for remark in outcome.proposal.iter().flat_map(|it| &it.remarks) {
        words.push_str(&format!("\nthe forge did not take: {}", printable(remark)));
    }
    words
}

fn pushed_revision(pushed: &Pushed) -> String {
    format!("{}@sha1:{}", pushed.branch, pushed.commit.as_str())
}

/// What was read, or what was pushed where that is the branch that is read.
fn source_revision(automation: &Automation, outcomes: &[Outcome]) -> Option<String> {
    let push_branch = &automation.remote.push_branch;
    let pushes_elsewhere = automation.remote.checkout != Checkout::Branch(push_branch.clone());
    let pushed = outcomes.iter().find_map(|outcome| match &outcome.end {
        RunEnd::Applied(pushed) if !pushes_elsewhere => Some(pushed_revision(pushed)),
        _ => None,
    });
    let read = outcomes.iter().find_map(|outcome| {
        let observed = outcome.observed.as_ref()?;
        let (checkout, base) = (observed.checkout.as_ref()?, observed.base.as_ref()?);
        Some(revision(checkout, base.as_str()))
    });
    pushed.or(read)
}

/// `main@sha1:…`, as Flux writes it: the reference without its first two parts.
fn revision(checkout: &Checkout, commit: &str) -> String {
    let reference = match checkout {
        Checkout::Branch(branch) => branch.as_str().to_owned(),
        Checkout::Commit(_) => return format!("sha1:{commit}"),
        Checkout::Newest(range) => range.to_string(),
        Checkout::Reference(_) => checkout.to_string().splitn(3, '/').skip(2).collect(),
    };
    format!("{reference}@sha1:{commit}")
}

/// The words of an object that is well.
fn ready(requests: &[PullRequestStatus]) -> String {
    let open = requests
        .iter()
        .filter_map(|it| Some((it.number?, it.url.as_ref()?)));
    match open.collect::<Vec<_>>().as_slice() {
        [] => "repository up-to-date".to_owned(),
        [(number, url)] => format!("pull request {number} is open: {url}"),
        several => format!(
            "{} pull requests are open; see status.pullRequests",
            several.len()
        ),
    }
}

/// What is left undone, and why; nothing where nothing is.
fn left(status: &ImageUpdateAutomationStatus) -> Option<String> {
    let waiting = status.pull_requests.iter().filter_map(|request| {
        let waiting = request.waiting.as_ref()?;
        Some(format!(
            "nothing new is offered from '{}': {waiting}",
            request.branch
        ))
    });
    let mut reasons = waiting.collect::<Vec<_>>();
    let is_held = |value: &&HeldValue| !value.reason.is_empty();
    let count = status.held.iter().filter(is_held).count();
    if count > 0 {
        let noun = if count == 1 { "value is" } else { "values are" };
        reasons.push(format!(
            "{count} marked {noun} left as they are; see status.held"
        ));
    }
    (!reasons.is_empty()).then(|| reasons.join("\n"))
}

fn next(object: &Object) -> Next {
    let interval = object.text("/spec/interval").and_then(duration::parse);
    match interval.filter(|it| !it.is_zero()) {
        Some(interval) => Next::After(interval.max(MIN_INTERVAL)),
        None => Next::Never,
    }
}

/// Flux's reason for a failure, and the words.
fn failed(failure: &Failure, was_read: bool) -> (&'static str, String) {
    let words = told::sentence(failure, failure.hint());
    match failure {
        Failure::Access(_) => (
            "SourceManagerFailed",
            format!("failed configuring source manager: {words}"),
        ),
        Failure::TooManyFiles(_) => ("UpdateFailed", format!("failed to apply policies: {words}")),
        Failure::Forge(_) => (
            "GitOperationFailed",
            format!("failed to offer a pull request: {words}"),
        ),
        _ if was_read => (
            "GitOperationFailed",
            format!("failed to update source: {words}"),
        ),
        _ => (
            "GitOperationFailed",
            format!("failed to checkout source: {words}"),
        ),
    }
}

/// The requests that are open and the groups that wait; what was known of a group stays where the run
/// did not get that far.
fn pull_requests(before: &[PullRequestStatus], outcomes: &[Outcome]) -> Vec<PullRequestStatus> {
    let (failed, ended): (Vec<_>, Vec<_>) = outcomes
        .iter()
        .partition(|it| matches!(it.end, RunEnd::Failed(_)));
    let is_settled = |branch: &str| {
        let mut branches = ended.iter().filter_map(|it| it.branch.as_ref());
        branches.any(|it| it.as_str() == branch)
    };
    let kept = before.iter().filter(|_| !failed.is_empty());
    let kept = kept.filter(|it| !is_settled(&it.branch)).cloned();
    let mut requests = kept
        .chain(ended.iter().filter_map(|it| pull_request(it)))
        .collect::<Vec<_>>();
    requests.sort_by(|one, other| one.branch.cmp(&other.branch));
    requests.truncate(MAX_REQUESTS);
    requests
}

fn pull_request(outcome: &Outcome) -> Option<PullRequestStatus> {
    let (proposal, branch) = (outcome.proposal.as_ref()?, outcome.branch.as_ref()?);
    let request = open(proposal);
    let waiting = match &outcome.end {
        RunEnd::Waiting(reason) => Some(reason.clone()),
        _ => None,
    };
    (request.is_some() || waiting.is_some()).then(|| PullRequestStatus {
        branch: branch.as_str().to_owned(),
        group: proposal.group.clone(),
        number: request.and_then(|it| i64::try_from(it.number).ok()),
        url: request.map(|it| printable(&it.url).into_owned()),
        waiting,
        remarks: proposal.remarks.clone(),
    })
}

fn open(proposal: &Proposal) -> Option<&Request> {
    let request = proposal.request.as_ref();
    request.filter(|it| it.state == State::Open)
}

/// The values that stay although they might not have to; the first ones of them.
fn held(outcomes: &[Outcome]) -> Vec<HeldValue> {
    let plans = outcomes.iter().filter_map(|it| it.plan.as_ref());
    let values = plans.flat_map(|it| &it.changes.values);
    let held = values.filter_map(|value| {
        Some(HeldValue {
            place: format!("{}:{}", value.file, value.line),
            policy: match &value.policy {
                PolicyKey::Named(name) => name.to_string(),
                PolicyKey::Inline { .. } => value.policy.to_string(),
            },
            value: value.value.clone(),
            reason: why_held(value)?,
        })
    });
    held.take(MAX_PLACES).collect()
}

fn why_held(value: &MarkedValue) -> Option<String> {
    match &value.fate {
        Fate::Current | Fate::Update { .. } | Fate::Unchecked => None,
        Fate::Held { chosen, reason } => Some(format!("{chosen}: {reason}")),
        Fate::NothingMatched { reason }
        | Fate::Unavailable { reason }
        | Fate::Suspended { reason }
        | Fate::UnknownPolicy { reason }
        | Fate::Refused { reason } => Some(reason.clone()),
    }
}

/// The markers and files that were passed over; the first ones of them.
fn skipped(outcomes: &[Outcome]) -> Vec<SkippedPlace> {
    let plans = outcomes.iter().filter_map(|it| it.plan.as_ref());
    let findings = plans.flat_map(|it| &it.changes.findings);
    let findings = findings.map(|found| SkippedPlace {
        place: format!("{}:{}", found.file, found.finding.line),
        reason: found.finding.problem.to_string(),
    });
    let entries = outcomes.iter().filter_map(|it| it.observed.as_ref());
    let entries = entries.flat_map(|it| &it.skipped);
    let entries = entries.map(|skipped| SkippedPlace {
        place: skipped.path.clone(),
        reason: skipped.reason.clone(),
    });
    let mut places = Vec::new();
    // Every pull request of a run is decided on the same files.
    for place in findings.chain(entries) {
        if places.len() < MAX_PLACES && !places.contains(&place) {
            places.push(place);
        }
    }
    places
}
