//! The real remote: which way to go for an address, and the order of the steps.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use gix::ObjectId;
use tokio::{
    task::{self, JoinError},
    time::{Instant, timeout_at},
};

use crate::egress::{self, Egress};

use super::{
    Checkout, NewCommit, Pushed, Remote, RemoteError, Screen, Snapshot, Source,
    commit::{self, Made},
    fetch::Upload,
    http::Session,
    local::Local,
    objects::Objects,
    push::Push,
    read::{Attempt, Tips, snapshot},
    store::Store,
};

/// How many existing branches a message names where the wanted one does not exist.
const NAMED_BRANCHES: usize = 5;
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
    async fn read(
        &self,
        source: &Source,
        screen: Arc<dyn Screen>,
    ) -> Result<Snapshot, RemoteError> {
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
        screen: Arc<dyn Screen>,
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
            cancelled: &cancel.0,
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
        let push = Push {
            session,
            store: &store,
            base,
            expected: expected(source, snapshot),
            commit,
            made: &made,
        };
        let previous = push.run().await?;
        let commit = made.commit;
        let kept = task::spawn_blocking(move || keep(&store, base, &made));
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

async fn smart_tips(upload: &Upload<'_>, session: &Session<'_>) -> Result<Tips, RemoteError> {
    let source = session.source;
    let pushed = source.push_branch.reference();
    let read = source.checkout.reference();
    let wanted: Vec<_> = read.iter().chain([&pushed]).cloned().collect();
    let references = upload.references(&wanted).await?;
    let find = |name: &str| {
        let peeled = references.get(&format!("{name}^{{}}"));
        peeled.or_else(|| references.get(name)).copied()
    };
    let base = match (&source.checkout, &read) {
        (Checkout::Commit(id), _) => Some(id.object()).filter(|id| id.kind() == upload.hash),
        (_, Some(name)) => find(name),
        (_, None) => None,
    };
    let Some(base) = base else {
        let all = upload.references(&["refs/heads/".to_owned()]).await?;
        let others = all.keys().take(NAMED_BRANCHES);
        let others = others.filter_map(|name| name.strip_prefix("refs/heads/"));
        let others = others.map(|name| name.escape_debug().to_string()).collect();
        return Err(nothing_to_read(&session.remote, &source.checkout, others));
    };
    Ok(Tips {
        base,
        push: references
            .get(&pushed)
            .copied()
            .filter(|_| !source.checkout.is_branch(&source.push_branch)),
    })
}

fn nothing_to_read(remote: &str, checkout: &Checkout, others: Vec<String>) -> RemoteError {
    let remote = remote.to_owned();
    match checkout {
        Checkout::Branch(_) if others.is_empty() => RemoteError::EmptyRepository { remote },
        Checkout::Branch(branch) => RemoteError::NoBranch {
            remote,
            branch: branch.to_string(),
            others,
        },
        Checkout::Reference(_) | Checkout::Commit(_) => RemoteError::NoReference {
            remote,
            reference: checkout.to_string(),
        },
    }
}
/// Where the push branch must be for the push to go ahead.
fn expected(source: &Source, snapshot: &Snapshot) -> Option<ObjectId> {
    if source.checkout.is_branch(&source.push_branch) {
        return Some(snapshot.base.object());
    }
    let tip = snapshot.push_tip.as_ref();
    tip.map(|tip| tip.commit.object())
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
fn keep(store: &Store, base: ObjectId, made: &Made) -> Result<(), RemoteError> {
    let objects = store.open()?;
    for object in &made.objects {
        objects.write(object.kind, &object.bytes)?;
    }
    // Of a base that is here in part only, the new commit is not the missing part.
    if store.tips().contains(&base) {
        store.remember(&[made.commit])?;
    }
    Ok(())
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
    screen: Arc<dyn Screen>,
    remote: String,
    cancel: &Cancel,
) -> Result<Snapshot, RemoteError> {
    let cancelled = Arc::clone(&cancel.0);
    let shown = remote.clone();
    let reading = task::spawn_blocking(move || {
        let local = Local::open(&source.url, &shown)?;
        let base = match (&source.checkout, source.checkout.reference()) {
            (Checkout::Commit(id), _) => Some(id.object()),
            (_, Some(name)) => local.commit_of(&name)?,
            (_, None) => None,
        };
        let objects = local.objects()?;
        let Some(base) = base.filter(|id| objects.contains(id)) else {
            let others = local.some_branches(NAMED_BRANCHES)?;
            return Err(nothing_to_read(&shown, &source.checkout, others));
        };
        let push = if source.checkout.is_branch(&source.push_branch) {
            None
        } else {
            local.tip(&source.push_branch.reference())?
        };
        let tips = Tips { base, push };
        snapshot(&objects, tips, &source, &*screen, &cancelled)
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
        if !source.push.options.is_empty() {
            return Err(RemoteError::Unsupported {
                remote: shown,
                reason: "no hook runs on a repository on this machine, so nobody would see the \
                         push options"
                    .to_owned(),
            });
        }
        let local = Local::open(&source.url, &shown)?;
        let made = commit::make(&local.objects()?, base, &source.path, &commit)?;
        let branch = source.push_branch.reference();
        let current = local.tip(&branch)?;
        let allowed = [base].into_iter().chain(expected).collect::<Vec<_>>();
        if let Some(refspec) = &source.push.refspec
            && refspec.destination() != branch
            && (current == expected || current == Some(made.commit))
        {
            local.push_also(refspec, &allowed, &made, &committer)?;
        }
        if current == Some(made.commit) {
            return Ok(pushed(&source, made.commit, Some(made.commit)));
        }
        local.push(&branch, expected, &made, &committer)?;
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
pub(super) struct Cancel(pub(super) Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
