//! One group's way from a look to rest, step by step.

use std::time::Duration;

use tokio::time::sleep;

use super::{super::end_without_change, Run};
use crate::{
    access::Vault,
    pipeline::{End, Failure, Intent, Outcome, Plan},
    printable::printable,
    scan::Registry,
    update::{
        forge::{
            Committer, Forge, ForgeError, NewRequest, Request, State,
            life::{self, Armed, Done, Head, Next, Rest, Situation, Step, Wish},
            note::Key,
        },
        git::{Pushed, Remote, Snapshot, Source},
    },
};

/// How many steps one group may take in one run; an honest forge needs ten.
const MAX_STEPS: usize = 40;
/// How long to wait before a request that should be there is looked for once more: lists lag behind.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// What was seen of one group, kept true by every step.
struct Walk<'a> {
    key: Key,
    source: &'a Source,
    snapshot: Snapshot,
    plan: Plan,
    wish: Option<Wish>,
    requests: Vec<Request>,
    head: Head,
    done: Done,
    pushed: Option<Pushed>,
    /// Whether anything but a branch that was right already was written.
    has_written: bool,
    remarks: Vec<String>,
}

impl<R: Registry, G: Remote, V: Vault, F: Forge> Run<'_, R, G, V, F> {
    /// Goes from one look at a group's branch to rest.
    pub(super) async fn walk(
        &mut self,
        group: &str,
        source: &Source,
        snapshot: Snapshot,
        outcome: &mut Outcome,
    ) -> Result<End, Failure> {
        outcome.observed = Some(super::observed(&snapshot));
        let (changes, undecided) = self.wanted(group);
        let plan = self.plan(&snapshot, changes)?;
        let key = Key {
            automation: self.automation.key.to_string(),
            group: group.to_owned(),
        };
        let wish = match &plan.commit {
            None => None,
            Some(commit) => Some(self.wish(&plan, &commit.message).await?),
        };
        let requests = self.requests(&key, source).await?;
        let below = wish.as_ref().map(|wish| self.below(&key, wish, &requests));
        let gate = self.gate();
        let mut walk = Walk {
            head: head(&key, &snapshot),
            key,
            source,
            snapshot,
            plan,
            wish,
            requests,
            done: Done::default(),
            pushed: None,
            has_written: false,
            remarks: Vec::new(),
        };
        let mut end = Ok(End::Waiting(
            "the forge does not keep what it is told".to_owned(),
        ));
        for _ in 0..MAX_STEPS {
            let next = life::next(&Situation {
                key: &walk.key,
                wish: walk.wish.as_ref(),
                below: below.as_deref().unwrap_or_default(),
                undecided: &undecided,
                branch: &walk.head,
                requests: &walk.requests,
                gate: &gate,
                done: walk.done,
            });
            let step = match next {
                Next::Rest(rest) => {
                    end = walk.end(rest);
                    break;
                }
                Next::Do(_) if self.intent == Intent::Plan => {
                    end = Ok(match &walk.plan.commit {
                        Some(_) => End::Planned,
                        None => end_without_change(&walk.plan.changes),
                    });
                    break;
                }
                Next::Do(step) => step,
            };
            if let Err(failure) = self.take(&step, &mut walk).await {
                end = Err(failure);
                break;
            }
        }
        if let Some(proposal) = &mut outcome.proposal {
            proposal.request = newest(&walk.key, &walk.requests).cloned();
            proposal.remarks = walk.remarks;
        }
        outcome.plan = Some(walk.plan);
        end
    }

    /// The requests from the group's branch: the open one where it is known already, else all.
    async fn requests(&self, key: &Key, source: &Source) -> Result<Vec<Request>, Failure> {
        let known = self.open.iter().filter(|it| is_of(key, it));
        let known = known.cloned().collect::<Vec<_>>();
        if known.is_empty() {
            Ok(self.forge.of_branch(&source.push_branch).await?)
        } else {
            Ok(known)
        }
    }

    /// Takes one step, and enters what it did into what was seen.
    async fn take(&mut self, step: &Step, walk: &mut Walk<'_>) -> Result<(), Failure> {
        tracing::debug!(group = walk.key.group, ?step, "next step of a request");
        walk.has_written |= *step != Step::Push;
        match step {
            Step::Push => self.push(walk).await?,
            Step::RemoveBranch(tip) => {
                self.ports.remote.remove(walk.source, tip).await?;
                self.branches.remove(&walk.source.push_branch);
                walk.head = Head::Absent;
            }
            Step::Create(text) => {
                let proposal = NewRequest {
                    head: walk.source.push_branch.clone(),
                    base: self.settings.base.clone(),
                    text: text.clone(),
                    readiness: self.settings.readiness,
                };
                let request = self.create(&walk.key, &proposal).await?;
                tracing::info!(
                    number = request.number,
                    head = request.head,
                    "opened a request"
                );
                self.open.push(request.clone());
                walk.requests.insert(0, request);
            }
            Step::Edit(number, text) => {
                let request = walk.request(*number)?;
                self.forge.edit(request, text).await?;
                request.title.clone_from(&text.title);
                request.body.clone_from(&text.body);
            }
            Step::Decorate(number) => {
                let request = walk.request(*number)?;
                let wish = &self.settings.decoration;
                let refused = self.forge.decorate(request, wish).await?;
                walk.remarks.extend(refused);
                walk.done.decorated = true;
            }
            Step::Arm(number, commit) => {
                let request = walk.request(*number)?;
                walk.done.armed = match self.forge.arm(request, self.settings.merge, commit).await {
                    Ok(()) => Armed::Agreed,
                    // Checks that have not begun, a rule of the branch: the next run asks again.
                    Err(error @ (ForgeError::Refused { .. } | ForgeError::Denied { .. })) => {
                        walk.remarks.push(error.to_string());
                        Armed::Declined
                    }
                    Err(error) => return Err(error.into()),
                };
            }
            Step::Comment(number, text) => {
                self.forge.comment(*number, text).await?;
                walk.done.said = true;
            }
            Step::Close(number) => {
                let request = walk.request(*number)?;
                self.forge.close(request).await?;
                request.state = State::Closed;
                self.open.retain(|it| it.number != *number);
                walk.done = Done::default();
            }
        }
        Ok(())
    }

    async fn push(&mut self, walk: &mut Walk<'_>) -> Result<(), Failure> {
        let Some(commit) = &walk.plan.commit else {
            return Ok(());
        };
        let pushed = match self.settings.committer {
            Committer::Git => {
                let remote = &self.ports.remote;
                remote.push(walk.source, &walk.snapshot, commit).await?
            }
            Committer::Forge => {
                let (snapshot, remarks) = (&walk.snapshot, &mut walk.remarks);
                Box::pin(self.stage(walk.source, snapshot, commit, remarks)).await?
            }
        };
        let before = walk.snapshot.push_tip.as_ref().map(|it| &it.commit);
        walk.has_written |= before != Some(&pushed.commit);
        self.branches.insert(pushed.branch.clone());
        walk.head = Head::Current(pushed.commit.clone());
        walk.pushed = Some(pushed);
        Ok(())
    }

    /// Opens a request; where it is not sure that none was opened, looks for it.
    async fn create(&self, key: &Key, proposal: &NewRequest) -> Result<Request, Failure> {
        let error = match self.forge.create(proposal).await {
            Ok(request) => return Ok(request),
            Err(error) if error.may_have_been_done() => error,
            Err(error) => return Err(error.into()),
        };
        for pause in LOOK_AGAIN {
            let known = self.forge.of_branch(&proposal.head).await?;
            let mut open = known.into_iter().filter(|it| it.state == State::Open);
            if let Some(found) = open.find(|it| is_of(key, it)) {
                tracing::info!(number = found.number, %error, "the request is there already");
                return Ok(found);
            }
            sleep(pause).await;
        }
        Err(error.into())
    }
}

impl Walk<'_> {
    fn request(&mut self, number: u64) -> Result<&mut Request, ForgeError> {
        let found = self.requests.iter_mut().find(|it| it.number == number);
        found.ok_or_else(|| ForgeError::NotFound {
            attempt: format!("find request {number} again"),
        })
    }

    /// How it ends that there is nothing more to be done.
    fn end(&self, rest: Rest) -> Result<End, Failure> {
        Ok(match rest {
            Rest::Nothing if self.has_written => End::Withdrawn,
            Rest::Nothing => end_without_change(&self.plan.changes),
            Rest::Offered(_) => match (&self.pushed, &self.head) {
                (Some(pushed), _) if self.has_written => End::Applied(pushed.clone()),
                (_, Head::Current(commit)) => End::Pending(commit.clone()),
                _ => End::Unchanged,
            },
            Rest::Refused(number) => End::Waiting(format!(
                "request {number} was closed by hand, and there is nothing newer"
            )),
            Rest::Waiting(reason) => End::Waiting(reason),
            Rest::Undecided(policy) => End::Waiting(format!(
                "it is not known what {} chooses, so the open request stays as it is",
                printable(&policy)
            )),
            Rest::Foreign if self.plan.commit.is_none() => end_without_change(&self.plan.changes),
            Rest::Foreign => {
                let tip = self.snapshot.push_tip.as_ref();
                let author = tip.map(|tip| match &tip.automation {
                    Some(other) => format!("automation {}", printable(other)),
                    None => printable(&tip.author_email).into_owned(),
                });
                return Err(Failure::ForeignCommits {
                    branch: self.source.push_branch.clone(),
                    author: author.unwrap_or_default(),
                });
            }
        })
    }
}

/// What the branch is: one that points to the base itself holds nothing of anybody's.
fn head(key: &Key, snapshot: &Snapshot) -> Head {
    match &snapshot.push_tip {
        Some(tip) if tip.automation.as_ref() == Some(&key.automation) => {
            Head::Ours(tip.commit.clone())
        }
        Some(tip) if tip.commit != snapshot.base => Head::Foreign,
        Some(_) | None => Head::Absent,
    }
}

fn is_of(key: &Key, request: &Request) -> bool {
    request.note().is_some_and(|note| note.key == *key)
}

/// The newest request of a key.
pub(super) fn newest<'a>(key: &Key, requests: &'a [Request]) -> Option<&'a Request> {
    requests.iter().find(|it| is_of(key, it))
}
