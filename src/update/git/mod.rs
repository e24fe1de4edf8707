//! Git without a work tree and without a child process.
//!
//! [`Remote::read`] fetches the tip of a branch into a bare store and gives the files that a screen
//! lets through; [`Remote::push`] writes blobs, trees and a commit and moves the branch by
//! compare-and-swap. What several automations read of one remote, and push to it, goes in one
//! conversation. [`GitRemote`] is the real one: smart HTTP and SSH over [`crate::egress`], and
//! `file:` for a repository on this machine.

mod checkout;
mod name;
mod reference;

mod cache;
mod error;
mod objects;
mod tree;

mod openpgp;
mod signing;

mod stamp;

mod commit;
mod files;
mod folders;
mod inflate;
mod memory;
mod pack;
mod unmarked;
mod verify;
mod walk;

mod advertisement;
mod packet;
mod report;

mod store;

mod fetch;
mod history;
mod http;
mod login;
mod newest;
mod send;
mod ssh;

mod local;
mod point;
mod push;
mod read;
mod remote;
mod settings;
mod work;

#[cfg(fuzzing)]
pub mod fuzz;

use std::{borrow::Cow, collections::BTreeSet, fmt, future::Future, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;
use url::Url;

use crate::egress::Route;

pub use self::{
    checkout::{Checkout, ReferenceName},
    error::RemoteError,
    login::{Ask, Asking, GitProvider, Login, Provided, ProviderError, Token},
    name::{Branch, CommitId, NameError, UpdatePath, remote_url},
    openpgp::OpenPgpError,
    reference::{PushMode, PushOption, PushSettings, Refspec},
    remote::GitRemote,
    signing::{Signer, SignerError},
    stamp::Stamp,
    verify::{Signers, SignersError, Subject, Verify},
};

/// How long one read, and one push, may take where nothing else was said.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// A Git remote, real or simulated.
pub trait Remote: Sync {
    /// Reads what is checked out once, for sources that differ in nothing but their path and what
    /// they push: the files below each path that its screen keeps, or why that path cannot be read.
    fn read_all(
        &self,
        requests: &[Request],
    ) -> impl Future<Output = Result<Vec<Result<Snapshot, RemoteError>>, RemoteError>> + Send;

    /// Writes the commits of each chain on its snapshot's base and moves its push branch to the
    /// last one, all branches in one push; tells for each chain what became of it.
    ///
    /// The sources are those of one [`Remote::read_all`], and no two chains push the same branch.
    fn push_all(
        &self,
        chains: &[Chain<'_>],
    ) -> impl Future<Output = Result<Vec<Result<Vec<Pushed>, RemoteError>>, RemoteError>> + Send;

    /// Tells what our own commits among the last ones below a snapshot did to some files, the newest
    /// first.
    fn history(
        &self,
        source: &Source,
        snapshot: &Snapshot,
        paths: &BTreeSet<String>,
    ) -> impl Future<Output = Result<Vec<OwnCommit>, RemoteError>> + Send;

    /// Reads for one source.
    fn read(
        &self,
        source: &Source,
        screen: Arc<dyn Screen>,
    ) -> impl Future<Output = Result<Snapshot, RemoteError>> + Send {
        async move {
            let source = source.clone();
            let request = Request { source, screen };
            let snapshots = self.read_all(std::slice::from_ref(&request)).await?;
            only(snapshots, &request.source)
        }
    }

    /// Pushes one commit.
    fn push(
        &self,
        source: &Source,
        snapshot: &Snapshot,
        commit: &NewCommit,
    ) -> impl Future<Output = Result<Pushed, RemoteError>> + Send {
        async move {
            let commits = std::slice::from_ref(commit);
            let chain = Chain {
                source,
                snapshot,
                commits,
            };
            let pushed = only(self.push_all(&[chain]).await?, source)?;
            only(pushed.into_iter().map(Ok).collect(), source)
        }
    }

    /// The branches whose names begin like the push branch's.
    fn branches(
        &self,
        source: &Source,
    ) -> impl Future<Output = Result<BTreeSet<Branch>, RemoteError>> + Send;

    /// The tree that the last commit of a chain would hold; writes nothing.
    fn tree(&self, chain: &Chain<'_>) -> impl Future<Output = Result<String, RemoteError>> + Send;

    /// Moves the push branch from `expected` to a commit that the remote has already; nothing stands
    /// for a branch that is not there.
    fn point(
        &self,
        source: &Source,
        expected: Option<&CommitId>,
        commit: &CommitId,
    ) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// Removes the push branch while it ends in `tip`; a branch that is not there is no error.
    fn remove(
        &self,
        source: &Source,
        tip: &CommitId,
    ) -> impl Future<Output = Result<(), RemoteError>> + Send;
}

/// The answer to the only question.
fn only<T>(answers: Vec<Result<T, RemoteError>>, source: &Source) -> Result<T, RemoteError> {
    answers.into_iter().next().unwrap_or_else(|| {
        Err(RemoteError::Refused {
            remote: crate::egress::shown(&source.url),
            reason: "there is no commit to push".to_owned(),
        })
    })
}

/// Commits for one push branch, each of them the parent of the next one.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// Where to push; the sources of all commits differ in their path alone.
    pub source: &'a Source,
    /// What the first commit stands on.
    pub snapshot: &'a Snapshot,
    /// The commits, the oldest first.
    pub commits: &'a [NewCommit],
}

/// What decides which files of a repository are read.
///
/// Two questions, because the first one is free: a file whose path is of no interest is never
/// inflated.
pub trait Screen: fmt::Debug + Send + Sync {
    /// What a file of this path is to us.
    fn interest(&self, path: &str) -> Interest;

    /// Whether a file with these bytes is kept, where its path is [`Interest::Searched`].
    ///
    /// Of the path it may regard the file name's ending alone: the answer for one blob is
    /// remembered for all files of the same ending.
    fn keeps(&self, path: &str, bytes: &[u8]) -> bool;

    /// A word that changes whenever an answer of [`Screen::interest`] or [`Screen::keeps`] may: what
    /// was remembered under another word is not believed.
    fn version(&self) -> Cow<'_, str>;

    /// The name of a file at the root of the repository that has a say in what is of interest.
    fn settings(&self) -> Option<&'static str> {
        None
    }

    /// The screen of a repository with these settings; nothing where they do not matter.
    fn with_settings(&self, _settings: &SourceFile) -> Option<Arc<dyn Screen>> {
        None
    }
}

/// What a file is to a [`Screen`], by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// It is passed over.
    Nothing,
    /// Its bytes decide; once they were of no interest, they are not looked at again.
    Searched,
    /// It is kept, whatever its bytes are, and nothing is remembered about them.
    Kept,
}

/// A source, and which of its files are kept.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to read.
    pub source: Source,
    /// What decides.
    pub screen: Arc<dyn Screen>,
}

/// Where to read and where to push.
#[derive(Clone, Debug)]
pub struct Source {
    /// `https://`, `http://`, `ssh://` or `file://`; without user information, but for the user of ssh.
    pub url: Url,
    /// What is read.
    pub checkout: Checkout,
    /// The branch that is pushed to; the same one, or one of our own.
    pub push_branch: Branch,
    /// What a push does besides moving the push branch.
    pub push: PushSettings,
    /// The folder or file, from the root, that is read and never left.
    pub path: UpdatePath,
    /// What proves who we are.
    pub login: Login,
    /// What signs our commits.
    pub signer: Option<Signer>,
    /// Whose signature what we build on must have.
    pub verify: Option<Verify>,
    /// TLS, proxy and whether `http:` is acceptable.
    pub route: Route,
    /// How long one read, and one push, may take.
    pub timeout: Duration,
}

impl Source {
    /// The whole of one branch, read and pushed without credential, by the usual way out.
    pub fn new(url: Url, branch: Branch) -> Self {
        Self {
            url,
            push_branch: branch.clone(),
            checkout: Checkout::Branch(branch),
            push: PushSettings::default(),
            path: UpdatePath::default(),
            login: Login::Anonymous,
            signer: None,
            verify: None,
            route: Route::default(),
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

/// One commit's files, as far as they matter.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What was checked out; for a range, its newest tag.
    pub checkout: Checkout,
    /// The commit that was read: the tip of the checkout branch, unless something else was named or
    /// commits are stacked on the push branch.
    pub base: CommitId,
    /// The committer time of the base.
    pub base_time: DateTime<Utc>,
    /// The push branch's tip, where it is not what was read and exists on the remote.
    pub push_tip: Option<PushTip>,
    /// The file that [`Screen::settings`] names, wherever the update path leads.
    pub settings: Option<SourceFile>,
    /// The files that the screen kept, by path.
    pub files: Vec<SourceFile>,
    /// How many files below the path were looked at.
    pub looked_at: usize,
    /// Entries that were passed over although their name fits, with the reason.
    pub skipped: Vec<Skipped>,
}

/// The tip of a push branch that already exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushTip {
    /// The commit.
    pub commit: CommitId,
    /// Its first parent, if any.
    pub parent: Option<CommitId>,
    /// Its tree's id, in hex.
    pub tree: String,
    /// Its committer time.
    pub time: DateTime<Utc>,
    /// Its author's email address.
    pub author_email: String,
    /// Its message.
    pub message: String,
    /// The automation that made it, from a header that editing the commit by hand takes away, or
    /// from a [`Stamp`] that is true; nothing for everybody else's commits.
    pub automation: Option<String>,
}

/// A file that the screen kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path from the root of the repository.
    pub path: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// An entry that was not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The path from the root of the repository, escaped where it is not UTF-8.
    pub path: String,
    /// Why, in a few words: `symbolic link`, `submodule`, `larger than 4 MiB`.
    pub reason: String,
}

/// A commit that was made by us, whoever brought it to where it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCommit {
    /// The commit.
    pub id: CommitId,
    /// Those of the files in question that it changed.
    pub files: Vec<FileStep>,
}

/// What one commit made of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStep {
    /// The path from the root of the repository.
    pub path: String,
    /// The bytes before.
    pub before: Vec<u8>,
    /// The bytes after.
    pub after: Vec<u8>,
}

/// A commit to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommit {
    /// Whose commit it is, `namespace/name`: the branch may be rebuilt while it ends in one of these.
    pub automation: String,
    /// The folder or file that the commit is confined to.
    pub path: UpdatePath,
    /// The files to be replaced; each must exist in the base as a regular file, and keeps its mode.
    pub files: Vec<SourceFile>,
    /// The message, as it stands in the commit.
    pub message: String,
    /// The author, who is also the committer.
    pub author: Author,
    /// The author's and committer's time.
    pub time: DateTime<Utc>,
    /// What signs it.
    pub signer: Option<Signer>,
}

/// Who commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Author {
    /// The name; may be empty.
    pub name: String,
    /// The email address.
    pub email: String,
}

/// A push that the remote has confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    /// The new commit.
    pub commit: CommitId,
    /// The branch that now points to it.
    pub branch: Branch,
    /// What the branch pointed to before; nothing where it was created.
    pub previous: Option<CommitId>,
}
