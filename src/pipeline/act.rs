//! Acting on what was decided: all branches of a remote in one push.

use std::sync::Arc;

use super::{End, Failure, Intent, Member, end_without_change};
use crate::{
    config::Automation,
    printable::printable,
    update::git::{Chain, CommitId, NewCommit, PushTip, Pushed, Remote, RemoteError},
};

/// The members that push to one branch, in order, and their commits.
struct Crew {
    members: Vec<usize>,
    commits: Vec<NewCommit>,
}

/// Pushes the members' commits, or says what a push would do.
pub(super) async fn act<G: Remote>(
    group: &[&Automation],
    members: &mut [Member<'_>],
    remote: &G,
    intent: Intent,
) {
    let crews = crews(group, members);
    if intent == Intent::Plan {
        for crew in &crews {
            foresee(crew, members);
        }
        return;
    }
    let chains = crews.iter().filter_map(|crew| {
        let first = members.get(*crew.members.first()?)?.stage.as_ref()?;
        Some(Chain {
            source: &first.source,
            snapshot: &first.snapshot,
            commits: &crew.commits,
        })
    });
    let chains = chains.collect::<Vec<_>>();
    match remote.push_all(&chains).await {
        Ok(results) => {
            for (crew, result) in crews.iter().zip(results) {
                match result {
                    Ok(pushed) => rejoice(crew, pushed, members),
                    Err(error) => fail(crew, &Arc::new(error), members),
                }
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for crew in &crews {
                fail(crew, &error, members);
            }
        }
    }
}

/// Settles the members that have nothing to push, and puts the others together by branch.
fn crews(group: &[&Automation], members: &mut [Member<'_>]) -> Vec<Crew> {
    let mut crews: Vec<(&Automation, Crew)> = Vec::new();
    for (index, member) in members.iter_mut().enumerate() {
        let (Some(_), Some(plan)) = (&member.stage, &member.outcome.plan) else {
            continue;
        };
        let Some(commit) = plan.commit.clone() else {
            member.outcome.end = end_without_change(&plan.changes);
            continue;
        };
        if let Err(failure) = may_replace(group, member) {
            member.fail(failure);
            continue;
        }
        let branch = &member.automation.remote.push_branch;
        let mut known = crews.iter_mut();
        match known.find(|(other, _)| other.remote.push_branch == *branch) {
            Some((_, crew)) => {
                crew.members.push(index);
                crew.commits.push(commit);
            }
            None => crews.push((
                member.automation,
                Crew {
                    members: vec![index],
                    commits: vec![commit],
                },
            )),
        }
    }
    crews.into_iter().map(|(_, crew)| crew).collect()
}

/// A push branch of our own is rebuilt on the checkout branch's tip, while it ends in a commit that
/// one of its automations made: such a commit stands on the checkout branch itself, so nobody's work
/// is lost with it.
fn may_replace(group: &[&Automation], member: &Member<'_>) -> Result<(), Failure> {
    let branch = &member.automation.remote.push_branch;
    let Some((stage, tip)) = member
        .stage
        .as_ref()
        .and_then(|stage| Some((stage, stage.snapshot.push_tip.as_ref()?)))
    else {
        return Ok(());
    };
    let mut owners = group.iter().filter(|it| it.remote.push_branch == *branch);
    let is_ours = tip
        .automation
        .as_ref()
        .is_some_and(|automation| owners.any(|owner| owner.key.to_string() == *automation));
    if is_ours || tip.commit == stage.snapshot.base {
        return Ok(());
    }
    Err(Failure::ForeignCommits {
        branch: branch.clone(),
        author: match &tip.automation {
            Some(other) => format!("automation {}", printable(other)),
            None => printable(&tip.author_email).into_owned(),
        },
    })
}

/// Says what a push would do.
fn foresee(crew: &Crew, members: &mut [Member<'_>]) {
    let pending = pending(crew, members);
    for index in &crew.members {
        if let Some(member) = members.get_mut(*index) {
            member.outcome.end = match &pending {
                Some(commit) => End::Pending(commit.clone()),
                None => End::Planned,
            };
        }
    }
}

/// The push branch's tip, where it is what would be pushed: the default message names every step,
/// so the same words at the same time on the same base are the same commit.
fn pending(crew: &Crew, members: &[Member<'_>]) -> Option<CommitId> {
    let member = members.get(*crew.members.last()?)?;
    let snapshot = &member.stage.as_ref()?.snapshot;
    let tip = snapshot.push_tip.as_ref()?;
    let commit = crew.commits.last()?;
    let is_on_base = crew.commits.len() > 1 || tip.parent.as_ref() == Some(&snapshot.base);
    let is_same = member.automation.message.is_none()
        && tip.message == commit.message
        && tip.time == commit.time
        && is_on_base;
    is_same.then(|| tip.commit.clone())
}

fn rejoice(crew: &Crew, pushed: Vec<Pushed>, members: &mut [Member<'_>]) {
    let first = crew.members.first().and_then(|it| members.get(*it));
    let stage = first.and_then(|it| it.stage.as_ref());
    let tip: Option<PushTip> = stage.and_then(|it| it.snapshot.push_tip.clone());
    // A push branch that holds these very commits already was not touched.
    let kept = pushed
        .iter()
        .position(|pushed| tip.as_ref().is_some_and(|tip| tip.commit == pushed.commit));
    for (place, (index, pushed)) in crew.members.iter().zip(pushed).enumerate() {
        let Some(member) = members.get_mut(*index) else {
            continue;
        };
        tracing::info!(
            automation = %member.automation.key, branch = %pushed.branch,
            commit = %pushed.commit, "pushed"
        );
        member.outcome.end = if kept.is_some_and(|kept| place <= kept) {
            End::Pending(pushed.commit)
        } else {
            End::Applied(pushed)
        };
    }
}

fn fail(crew: &Crew, error: &Arc<RemoteError>, members: &mut [Member<'_>]) {
    for index in &crew.members {
        if let Some(member) = members.get_mut(*index) {
            member.fail(Failure::Remote(Arc::clone(error)));
        }
    }
}
