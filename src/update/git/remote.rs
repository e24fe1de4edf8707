//! The real remote: which way to go for an address, and the order of the steps.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gix::ObjectId;
use tokio::{
    task::{self, JoinError},
    time::{Instant, sleep, timeout_at},
};

use crate::egress::{self, Egress};

use super::{
    Branch, NewCommit, PushTip, Pushed, Remote, RemoteError, Screen, Snapshot, Source,
    commit::{self, Made},
    fetch::{Upload, Wish},
    http::Session,
    local::Local,
    objects::Objects,
    report::Verdict,
    send::{Sent, send},
    store::Store,
    walk,
};

/// How many existing branches a message names where the wanted one does not exist.
const NAMED_BRANCHES: usize = 5;
/// How long to wait before a branch is read back once more, when the server said that it moved:
/// some servers answer from a replica.
const READ_BACK_DELAYS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// Reads and pushes over smart HTTP, and to repositories on this machine.
#[derive(Debug)]
pub struct GitRemote {
    egress: Egress,
    store: PathBuf,
    locks: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
}

impl GitRemote {
    /// A remote that keeps what it fetches in folders below `store`, which may be deleted whenever
    /// nothing is running.
    pub fn new(egress: Egress, store: PathBuf) -> Self {
        Self {
            egress,
            store,
            locks: Mutex::default(),
        }
    }
}

impl Remote for GitRemote {
    async fn read(&self, source: &Source, screen: Screen) -> Result<Snapshot, RemoteError> {
        let remote = egress::shown(&source.url);
        let deadline = Instant::now() + source.timeout;
        let cancel = Cancel::default();
        let reading = async {
            if source.url.scheme() == "file" {
                read_local(source.clone(), screen, remote.clone(), &cancel).await
            } else {
                let session = Session::new(&self.egress, source, remote.clone(), deadline);
                self.read_smart(&session, screen, &cancel).await
            }
        };
        match timeout_at(deadline, reading).await {
            Ok(result) => result,
            Err(_) => Err(RemoteError::Timeout { remote }),
        }
    }

    async fn push(
        &self,
        source: &Source,
        snapshot: &Snapshot,
        commit: &NewCommit,
    ) -> Result<Pushed, RemoteError> {
        let remote = egress::shown(&source.url);
        let deadline = Instant::now() + source.timeout;
        let pushing = async {
            if source.url.scheme() == "file" {
                push_local(source, snapshot, commit, remote.clone()).await
            } else {
                let session = Session::new(&self.egress, source, remote.clone(), deadline);
                self.push_smart(&session, snapshot, commit).await
            }
        };
        match timeout_at(deadline, pushing).await {
            Ok(result) => result,
            Err(_) => Err(RemoteError::Timeout { remote }),
        }
    }
}

impl GitRemote {
    async fn read_smart(
        &self,
        session: &Session<'_>,
        screen: Screen,
        cancel: &Cancel,
    ) -> Result<Snapshot, RemoteError> {
        let upload = Upload::open(session).await?;
        let tips = smart_tips(&upload, session).await?;
        let store = Store::of(&self.store, session.source, upload.hash, &session.remote);
        let _held = self.lock(store.folder()).await;
        let attempt = Attempt {
            session,
            upload: &upload,
            store: &store,
            tips,
            screen,
            cancel,
        };
        match attempt.run().await {
            // The store may have been cut short or damaged; an empty one shows whether it was that.
            Err(RemoteError::Incomplete { .. } | RemoteError::Store { .. }) => {
                store.clear()?;
                attempt.run().await
            }
            result => result,
        }
    }

    async fn push_smart(
        &self,
        session: &Session<'_>,
        snapshot: &Snapshot,
        commit: &NewCommit,
    ) -> Result<Pushed, RemoteError> {
        let source = session.source;
        let base = snapshot.base.object();
        let store = Store::of(&self.store, source, base.kind(), &session.remote);
        let _held = self.lock(store.folder()).await;
        let made = make(
            {
                let store = store.clone();
                move || store.open()
            },
            base,
            source,
            commit,
            &session.remote,
        )
        .await?;
        let expected = expected(source, snapshot);
        let sent = send(session, expected, &made, base.kind()).await;
        let previous = match sent {
            Ok(Sent::Already) => Some(made.commit),
            Err(error @ (RemoteError::Moved { .. } | RemoteError::Renamed { .. })) => {
                return Err(error);
            }
            sent => {
                confirm(session, expected, made.commit, sent).await?;
                expected
            }
        };
        let commit = made.commit;
        let kept = task::spawn_blocking(move || keep(&store, &made));
        if let Err(error) = joined(kept.await, &session.remote) {
            tracing::debug!(%error, "could not keep the pushed objects; they will be fetched");
        }
        Ok(pushed(source, commit, previous))
    }

    /// One store is used by one read or push at a time.
    async fn lock(&self, folder: &Path) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            // The map is complete whenever the lock is free, even after a panic.
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(folder.to_owned()).or_default())
        };
        lock.lock_owned().await
    }
}

/// Where the two branches of a source point to.
#[derive(Clone, Copy)]
struct Tips {
    base: ObjectId,
    push: Option<ObjectId>,
}

/// One try to fetch and read.
struct Attempt<'a> {
    session: &'a Session<'a>,
    upload: &'a Upload<'a>,
    store: &'a Store,
    tips: Tips,
    screen: Screen,
    cancel: &'a Cancel,
}

impl Attempt<'_> {
    async fn run(&self) -> Result<Snapshot, RemoteError> {
        let remote = &self.session.remote;
        let (store, tips) = (self.store.clone(), self.tips);
        let wish = task::spawn_blocking(move || wish(&store, tips));
        let wish = joined(wish.await, remote)?;
        if !wish.wants.is_empty() {
            self.upload.fetch(&wish, self.store, &self.cancel.0).await?;
        }
        let (store, source) = (self.store.clone(), self.session.source.clone());
        let (screen, cancelled) = (self.screen, Arc::clone(&self.cancel.0));
        let reading = task::spawn_blocking(move || {
            let snapshot = snapshot(&store.open()?, tips, &source, screen, &cancelled)?;
            if !wish.wants.is_empty() {
                store.remember(&wish.wants)?;
            }
            Ok(snapshot)
        });
        joined(reading.await, remote)
    }
}

/// Tells what is missing in the store.
fn wish(store: &Store, tips: Tips) -> Result<Wish, RemoteError> {
    if store.is_crowded() {
        store.clear()?;
    }
    let objects = store.open()?;
    let mut haves = store.tips();
    haves.retain(|tip| objects.contains(tip));
    let mut wants: Vec<ObjectId> = [Some(tips.base), tips.push].into_iter().flatten().collect();
    wants.dedup();
    wants.retain(|want| !haves.contains(want));
    let mut shallow = Vec::new();
    if !wants.is_empty() {
        let mut pending = haves.clone();
        let mut seen = Vec::new();
        while let Some(id) = pending.pop() {
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            let parents = objects.commit(&id)?.parents;
            if parents.iter().all(|parent| objects.contains(parent)) {
                pending.extend(parents);
            } else {
                shallow.push(id);
            }
        }
    }
    Ok(Wish {
        wants,
        haves,
        shallow,
    })
}

async fn smart_tips(upload: &Upload<'_>, session: &Session<'_>) -> Result<Tips, RemoteError> {
    let source = session.source;
    let wanted = [source.branch.reference(), source.push_branch.reference()];
    let branches = upload.branches(&wanted).await?;
    let Some(base) = branches.get(&wanted[0]).copied() else {
        let all = upload.branches(&["refs/heads/".to_owned()]).await?;
        let others = all.keys().take(NAMED_BRANCHES);
        let others = others.filter_map(|name| name.strip_prefix("refs/heads/"));
        let others = others.map(|name| name.escape_debug().to_string()).collect();
        return Err(no_branch(&session.remote, &source.branch, others));
    };
    let push = branches.get(&wanted[1]).copied();
    Ok(Tips {
        base,
        push: push.filter(|_| source.push_branch != source.branch),
    })
}

fn no_branch(remote: &str, branch: &Branch, others: Vec<String>) -> RemoteError {
    let remote = remote.to_owned();
    if others.is_empty() {
        return RemoteError::EmptyRepository { remote };
    }
    RemoteError::NoBranch {
        remote,
        branch: branch.to_string(),
        others,
    }
}

fn snapshot(
    objects: &Objects,
    tips: Tips,
    source: &Source,
    screen: Screen,
    cancelled: &AtomicBool,
) -> Result<Snapshot, RemoteError> {
    let base = objects.commit(&tips.base)?;
    let push_tip = match tips.push {
        Some(id) => {
            let commit = objects.commit(&id)?;
            Some(PushTip {
                commit: id.into(),
                parent: commit.parents.first().copied().map(Into::into),
                tree: commit.tree.to_string(),
                author_email: commit.author_email,
                message: commit.message,
                automation: commit.automation,
            })
        }
        None => None,
    };
    let found = walk::read(objects, base.tree, &source.path, screen, cancelled)?;
    Ok(Snapshot {
        base: tips.base.into(),
        base_time: base.time,
        push_tip,
        files: found.files,
        looked_at: found.looked_at,
        skipped: found.skipped,
    })
}

/// Where the push branch must be for the push to go ahead.
fn expected(source: &Source, snapshot: &Snapshot) -> Option<ObjectId> {
    if source.push_branch == source.branch {
        return Some(snapshot.base.object());
    }
    let tip = snapshot.push_tip.as_ref();
    tip.map(|tip| tip.commit.object())
}

/// Reads the push branch back, and only believes that.
///
/// If the branch moved elsewhere we were too late, whatever words the server has for it; and a push
/// whose answer was lost has succeeded if the branch is where we wanted it.
async fn confirm(
    session: &Session<'_>,
    expected: Option<ObjectId>,
    new: ObjectId,
    sent: Result<Sent, RemoteError>,
) -> Result<(), RemoteError> {
    let branch = &session.source.push_branch;
    let is_accepted =
        matches!(&sent, Ok(Sent::Reported(report)) if report.result == Verdict::Accepted);
    let mut delays = READ_BACK_DELAYS.iter().filter(|_| is_accepted);
    loop {
        let now = match tip(session, branch).await {
            Ok(now) => now,
            // What went wrong first is the better story.
            Err(error) => return Err(sent.err().unwrap_or(error)),
        };
        if now == Some(new) {
            return Ok(());
        }
        if now != expected {
            return Err(RemoteError::Moved {
                remote: session.remote.clone(),
                branch: branch.to_string(),
            });
        }
        match delays.next() {
            Some(delay) => sleep(*delay).await,
            None => break,
        }
    }
    match sent? {
        Sent::Reported(report) => Err(RemoteError::Rejected {
            remote: session.remote.clone(),
            branch: branch.to_string(),
            reason: report.reason(),
        }),
        Sent::Already => Ok(()),
    }
}

async fn tip(session: &Session<'_>, branch: &Branch) -> Result<Option<ObjectId>, RemoteError> {
    let upload = Upload::open(session).await?;
    let reference = branch.reference();
    let branches = upload.branches(std::slice::from_ref(&reference)).await?;
    Ok(branches.get(&reference).copied())
}

async fn make(
    open: impl FnOnce() -> Result<Objects, RemoteError> + Send + 'static,
    base: ObjectId,
    source: &Source,
    commit: &NewCommit,
    remote: &str,
) -> Result<Made, RemoteError> {
    let (path, commit) = (source.path.clone(), commit.clone());
    let making = task::spawn_blocking(move || commit::make(&open()?, base, &path, &commit));
    joined(making.await, remote)
}

/// Keeps what was pushed, so that the next read fetches nothing.
fn keep(store: &Store, made: &Made) -> Result<(), RemoteError> {
    let objects = store.open()?;
    for object in &made.objects {
        objects.write(object.kind, &object.bytes)?;
    }
    store.remember(&[made.commit])
}

fn pushed(source: &Source, commit: ObjectId, previous: Option<ObjectId>) -> Pushed {
    Pushed {
        commit: commit.into(),
        branch: source.push_branch.clone(),
        previous: previous.map(Into::into),
    }
}

async fn read_local(
    source: Source,
    screen: Screen,
    remote: String,
    cancel: &Cancel,
) -> Result<Snapshot, RemoteError> {
    let cancelled = Arc::clone(&cancel.0);
    let shown = remote.clone();
    let reading = task::spawn_blocking(move || {
        let local = Local::open(&source.url, &shown)?;
        let Some(base) = local.tip(&source.branch)? else {
            let others = local.some_branches(NAMED_BRANCHES)?;
            return Err(no_branch(&shown, &source.branch, others));
        };
        let push = if source.push_branch == source.branch {
            None
        } else {
            local.tip(&source.push_branch)?
        };
        let tips = Tips { base, push };
        snapshot(&local.objects()?, tips, &source, screen, &cancelled)
    });
    joined(reading.await, &remote)
}

async fn push_local(
    source: &Source,
    snapshot: &Snapshot,
    commit: &NewCommit,
    remote: String,
) -> Result<Pushed, RemoteError> {
    let base = snapshot.base.object();
    let expected = expected(source, snapshot);
    let committer = commit::signature(&commit.author, commit.time);
    let (source, commit, shown) = (source.clone(), commit.clone(), remote.clone());
    let pushing = task::spawn_blocking(move || {
        let local = Local::open(&source.url, &shown)?;
        let made = commit::make(&local.objects()?, base, &source.path, &commit)?;
        if local.tip(&source.push_branch)? == Some(made.commit) {
            return Ok(pushed(&source, made.commit, Some(made.commit)));
        }
        local.push(&source.push_branch, expected, &made, &committer)?;
        Ok(pushed(&source, made.commit, expected))
    });
    joined(pushing.await, &remote)
}

/// The result of work on another thread; a panic there goes on here.
pub(super) fn joined<T>(
    result: Result<Result<T, RemoteError>, JoinError>,
    remote: &str,
) -> Result<T, RemoteError> {
    match result {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(RemoteError::Store {
                remote: remote.to_owned(),
                attempt: "finish the work on the objects",
                source: io::Error::other(error),
            }),
        },
    }
}

/// Tells work on other threads to stop once nobody waits for it.
#[derive(Default)]
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
