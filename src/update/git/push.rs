//! Pushing commits that were made: a refspec's reference first, then the push branches together.
//!
//! In this order a refspec that failed is tried again by the next run, which finds the push branch
//! where it was and decides the same commit once more.

use std::{collections::BTreeMap, slice, time::Duration};

use gix::ObjectId;
use tokio::{task, time::sleep};

use super::{
    NewCommit, Refspec, RemoteError, Source,
    commit::{Ground, Made, signature},
    fetch::Upload,
    http::Session,
    reference::Overwrites,
    report::{Report, Verdict},
    send::{Move, Receive},
    store::Store,
    work::{Cancel, joined},
};

/// How long to wait before a reference is read back once more, when the server said that it moved:
/// some servers answer from a replica.
const READ_BACK_DELAYS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// One push branch and the commits for it.
pub(super) struct Change<'a> {
    pub(super) source: &'a Source,
    pub(super) ground: Ground,
    /// Where the push branch must be for the push to go ahead.
    pub(super) expected: Option<ObjectId>,
    pub(super) commits: &'a [NewCommit],
    pub(super) made: Made,
}

impl Change<'_> {
    fn branch(&self) -> String {
        self.source.push_branch.reference()
    }
}

/// Commits on their way to one remote.
pub(super) struct Push<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) store: &'a Store,
    pub(super) receive: Receive<'a>,
}

/// What is left to do for a change once its refspec is where it belongs.
enum Left {
    Nothing,
    Branch,
}

impl<'a> Push<'a> {
    pub(super) async fn open(
        session: &'a Session<'a>,
        store: &'a Store,
        changes: &[&Change<'_>],
    ) -> Result<Self, RemoteError> {
        let hash = changes.first().map(|it| it.ground.base.kind());
        let hash = hash.unwrap_or(gix::hash::Kind::Sha1);
        Ok(Self {
            session,
            store,
            receive: Receive::open(session, hash).await?,
        })
    }

    /// Moves the references, and tells for each change in order where its branch was before.
    ///
    /// Nothing is sent for a branch unless the server's own list says that it is where we expect it.
    pub(super) async fn run(
        &self,
        changes: &[&Change<'_>],
    ) -> Vec<Result<Option<ObjectId>, RemoteError>> {
        let mut results = BTreeMap::new();
        let mut batches: Vec<Vec<usize>> = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            let settled = match self.prepare(change).await {
                Err(error) => Err(error),
                Ok(Left::Nothing) => Ok(Some(change.made.tip)),
                Ok(Left::Branch) => {
                    // What hooks are told holds for a whole push.
                    let is_told_the_same = |other: &usize| {
                        let other = changes.get(*other).map(|it| &it.source.push.options);
                        other == Some(&change.source.push.options)
                    };
                    let mut fitting = batches.iter_mut();
                    match fitting.find(|batch| batch.iter().all(is_told_the_same)) {
                        Some(batch) => batch.push(index),
                        None => batches.push(vec![index]),
                    }
                    continue;
                }
            };
            results.insert(index, settled);
        }
        for batch in batches {
            let sent: Vec<_> = batch.iter().filter_map(|it| changes.get(*it)).collect();
            let confirmed = self.branches(&sent).await;
            for ((index, change), result) in batch.iter().zip(&sent).zip(confirmed) {
                results.insert(*index, result.map(|()| change.expected));
            }
        }
        results.into_values().collect()
    }

    /// Checks that the branch is where we expect it, and pushes the refspec.
    async fn prepare(&self, change: &Change<'_>) -> Result<Left, RemoteError> {
        self.receive.takes(&change.source.push.options)?;
        let branch = change.branch();
        let current = self.receive.tip(&branch);
        let is_repeated = current == Some(change.made.tip);
        if !is_repeated && current != change.expected {
            return Err(self.moved(&branch));
        }
        if let Some(refspec) = &change.source.push.refspec
            && refspec.destination() != branch
        {
            self.also(change, refspec, is_repeated).await?;
        }
        Ok(if is_repeated {
            Left::Nothing
        } else {
            Left::Branch
        })
    }

    /// Moves the branches in one push; one that was not moved with the others, because a server
    /// moves all or none, is pushed alone.
    async fn branches(&self, changes: &[&&Change<'_>]) -> Vec<Result<(), RemoteError>> {
        if changes.len() > 1 {
            let branches: Vec<_> = changes.iter().map(|it| it.branch()).collect();
            let moves = changes.iter().zip(&branches);
            let moves: Vec<_> = moves
                .map(|(change, branch)| Move::new(branch, change.expected, &change.made))
                .collect();
            let options = changes.first().map(|it| it.source.push.options.as_slice());
            let sent = self.receive.push(&moves, options.unwrap_or_default());
            if let Err(error) = sent.await {
                tracing::debug!(%error, "could not push several branches at once");
            }
        }
        let mut results = Vec::new();
        for change in changes {
            results.push(self.branch(change, changes.len() > 1).await);
        }
        results
    }

    /// Moves one branch, unless it was moved already.
    async fn branch(&self, change: &Change<'_>, was_sent: bool) -> Result<(), RemoteError> {
        let branch = change.branch();
        if was_sent {
            match self.tip(&branch).await? {
                now if now == Some(change.made.tip) => return Ok(()),
                now if now != change.expected => return Err(self.moved(&branch)),
                _ => {}
            }
        }
        self.single(change, &branch, change.expected).await
    }

    async fn single(
        &self,
        change: &Change<'_>,
        reference: &str,
        expected: Option<ObjectId>,
    ) -> Result<(), RemoteError> {
        let (made, options) = (&change.made, &change.source.push.options);
        let only = Move::new(reference, expected, made);
        let sent = self.receive.push(&[only], options).await;
        let sent = sent.map(|reports| reports.into_iter().next().unwrap_or_default());
        self.confirm(reference, expected, made.tip, sent).await
    }

    async fn also(
        &self,
        change: &Change<'_>,
        refspec: &Refspec,
        is_repeated: bool,
    ) -> Result<(), RemoteError> {
        let reference = refspec.destination();
        let current = self.receive.tip(reference);
        if refspec.is_magic() {
            // The branch went last, so the server has acted on this commit already.
            if is_repeated {
                return Ok(());
            }
            let only = [Move::new(reference, current, &change.made)];
            let reports = self.receive.push(&only, &change.source.push.options);
            let report = reports.await?.into_iter().next().unwrap_or_default();
            return match report.result {
                Verdict::Accepted => Ok(()),
                Verdict::Refused(_) | Verdict::Silent => Err(self.rejected(reference, &report)),
            };
        }
        if current == Some(change.made.tip) {
            return Ok(());
        }
        if let (Some(tip), Overwrites::Own) = (current, refspec.overwrites()) {
            self.refuse_foreign(change, reference, tip).await?;
        }
        self.single(change, reference, current).await
    }

    /// Refuses to lose a commit that is neither ours nor below our own one.
    async fn refuse_foreign(
        &self,
        change: &Change<'_>,
        reference: &str,
        tip: ObjectId,
    ) -> Result<(), RemoteError> {
        if tip == change.ground.base || Some(tip) == change.expected {
            return Ok(());
        }
        if !self.store.open()?.contains(&tip) {
            let upload = Upload::open(self.session).await?;
            let (ids, cancel) = ([tip].into(), Cancel::default());
            upload.fetch_bare(ids, self.store, &cancel.0).await?;
        }
        let store = self.store.clone();
        let reading = task::spawn_blocking(move || store.open()?.commit(&tip));
        let author = joined(reading.await, &self.session.remote)?.author_email;
        if is_author(&author, change.commits) {
            return Ok(());
        }
        Err(RemoteError::Foreign {
            remote: self.session.remote.clone(),
            reference: reference.to_owned(),
            author,
        })
    }

    /// Reads a reference back, and only believes that.
    ///
    /// If it moved elsewhere we were too late, whatever words the server has for it; and a push whose
    /// answer was lost has succeeded if the reference is where we wanted it.
    async fn confirm(
        &self,
        reference: &str,
        expected: Option<ObjectId>,
        new: ObjectId,
        sent: Result<Report, RemoteError>,
    ) -> Result<(), RemoteError> {
        let is_accepted = matches!(&sent, Ok(report) if report.result == Verdict::Accepted);
        let mut delays = READ_BACK_DELAYS.iter().filter(|_| is_accepted);
        loop {
            let now = match self.tip(reference).await {
                Ok(now) => now,
                // What went wrong first is the better story.
                Err(error) => return Err(sent.err().unwrap_or(error)),
            };
            if now == Some(new) {
                return Ok(());
            }
            if now != expected {
                return Err(self.moved(reference));
            }
            match delays.next() {
                Some(delay) => sleep(*delay).await,
                None => break,
            }
        }
        Err(self.rejected(reference, &sent?))
    }

    async fn tip(&self, reference: &str) -> Result<Option<ObjectId>, RemoteError> {
        let upload = Upload::open(self.session).await?;
        let references = upload.references(&[reference.to_owned()]).await?;
        Ok(references.get(reference).copied())
    }

    fn moved(&self, reference: &str) -> RemoteError {
        RemoteError::Moved {
            remote: self.session.remote.clone(),
            branch: short(reference).to_owned(),
        }
    }

    fn rejected(&self, reference: &str, report: &Report) -> RemoteError {
        RemoteError::Rejected {
            remote: self.session.remote.clone(),
            branch: short(reference).to_owned(),
            reason: report.reason(),
        }
    }
}

/// Whether an address is that of the author of one of our commits.
pub(super) fn is_author(email: &str, commits: &[NewCommit]) -> bool {
    commits.iter().any(|commit| {
        let own = signature(&commit.author, commit.time).email;
        own == email.as_bytes()
    })
}

/// Removes the push branch, if it ends in `expected`, and reads back that it is gone.
pub(super) async fn remove(session: &Session<'_>, expected: ObjectId) -> Result<(), RemoteError> {
    let branch = session.source.push_branch.reference();
    let receive = Receive::open(session, expected.kind()).await?;
    let moved = || RemoteError::Moved {
        remote: session.remote.clone(),
        branch: short(&branch).to_owned(),
    };
    match receive.tip(&branch) {
        None => return Ok(()),
        Some(tip) if tip != expected => return Err(moved()),
        Some(_) => {}
    }
    let sent = receive.remove(&branch, expected).await;
    let upload = Upload::open(session).await?;
    let references = upload.references(slice::from_ref(&branch)).await?;
    match references.get(&branch) {
        None => Ok(()),
        Some(tip) if *tip != expected => Err(moved()),
        Some(_) => Err(RemoteError::Rejected {
            remote: session.remote.clone(),
            branch: short(&branch).to_owned(),
            reason: sent?.reason(),
        }),
    }
}

/// A reference as a person calls it.
pub(super) fn short(reference: &str) -> &str {
    reference.strip_prefix("refs/heads/").unwrap_or(reference)
}
