//! Pushing a commit that was made: the refspec's reference first, then the push branch.
//!
//! In this order a refspec that failed is tried again by the next run, which finds the push branch
//! where it was and decides the same commit once more.

use std::time::Duration;

use gix::ObjectId;
use tokio::{task, time::sleep};

use super::{
    NewCommit, Refspec, RemoteError,
    commit::{Made, signature},
    fetch::{Extent, Upload, Wish},
    http::Session,
    reference::Overwrites,
    remote::{Cancel, joined},
    report::{Report, Verdict},
    send::Receive,
    store::Store,
};

/// How long to wait before a reference is read back once more, when the server said that it moved:
/// some servers answer from a replica.
const READ_BACK_DELAYS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// One commit on its way to one remote.
pub(super) struct Push<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) store: &'a Store,
    pub(super) base: ObjectId,
    /// Where the push branch must be for the push to go ahead.
    pub(super) expected: Option<ObjectId>,
    pub(super) commit: &'a NewCommit,
    pub(super) made: &'a Made,
}

impl Push<'_> {
    /// Moves the references, and tells where the push branch was before.
    ///
    /// Nothing is sent unless the server's own list says that the branch is where we expect it.
    pub(super) async fn run(&self) -> Result<Option<ObjectId>, RemoteError> {
        let receive = Receive::open(self.session, self.base.kind()).await?;
        let branch = self.session.source.push_branch.reference();
        let new = self.made.commit;
        let current = receive.tip(&branch);
        if current != Some(new) && current != self.expected {
            return Err(self.moved(&branch));
        }
        if let Some(refspec) = &self.session.source.push.refspec
            && refspec.destination() != branch
        {
            self.also(&receive, refspec, current == Some(new)).await?;
        }
        if current == Some(new) {
            return Ok(current);
        }
        let sent = receive.push(&branch, self.expected, self.made).await;
        self.confirm(&branch, self.expected, sent).await?;
        Ok(self.expected)
    }

    async fn also(
        &self,
        receive: &Receive<'_>,
        refspec: &Refspec,
        is_repeated: bool,
    ) -> Result<(), RemoteError> {
        let reference = refspec.destination();
        let current = receive.tip(reference);
        if refspec.is_magic() {
            // The branch went last, so the server has acted on this commit already.
            if is_repeated {
                return Ok(());
            }
            let report = receive.push(reference, current, self.made).await?;
            return match report.result {
                Verdict::Accepted => Ok(()),
                Verdict::Refused(_) | Verdict::Silent => Err(self.rejected(reference, &report)),
            };
        }
        if current == Some(self.made.commit) {
            return Ok(());
        }
        if let (Some(tip), Overwrites::Own) = (current, refspec.overwrites()) {
            self.refuse_foreign(reference, tip).await?;
        }
        let sent = receive.push(reference, current, self.made).await;
        self.confirm(reference, current, sent).await
    }

    /// Refuses to lose a commit that is neither ours nor below our own one.
    async fn refuse_foreign(&self, reference: &str, tip: ObjectId) -> Result<(), RemoteError> {
        if tip == self.base || Some(tip) == self.expected {
            return Ok(());
        }
        if !self.store.open()?.contains(&tip) {
            let upload = Upload::open(self.session).await?;
            let extent = if upload.is_partial() {
                Extent::BareCommits
            } else {
                Extent::Commits
            };
            let wish = Wish::anew([tip].into(), extent);
            let cancel = Cancel::default();
            upload.fetch(&wish, self.store, &cancel.0).await?;
        }
        let store = self.store.clone();
        let reading = task::spawn_blocking(move || store.open()?.commit(&tip));
        let author = joined(reading.await, &self.session.remote)?.author_email;
        let own = signature(&self.commit.author, self.commit.time).email;
        if own == author.as_bytes() {
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
            if now == Some(self.made.commit) {
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

/// A reference as a person calls it.
pub(super) fn short(reference: &str) -> &str {
    reference.strip_prefix("refs/heads/").unwrap_or(reference)
}
