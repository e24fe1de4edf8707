//! The real remote: which way to go for an address, and the order of the steps.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    slice,
    sync::{Arc, Mutex, PoisonError},
};

use gix::ObjectId;
use tokio::{
    task,
    time::{Instant, timeout_at},
};

use crate::egress::{self, Egress};

use super::{
    Branch, Chain, Checkout, CommitId, OwnCommit, PushMode, Pushed, Remote, RemoteError, Request,
    Snapshot, Source,
    commit::{self, Ground, GroundKind, Made},
    fetch::Upload,
    history,
    http::Session,
    local::Local,
    login::Tokens,
    newest,
    objects::Objects,
    point,
    push::{self, Change, Push},
    read::{Attempt, Snapshots, Tips, snapshot},
    store::{self, Store},
    work::{Cancel, joined},
};

/// How many existing branches a message names where the wanted one does not exist.
const NAMED_BRANCHES: usize = 5;

/// Reads and pushes over smart HTTP and SSH, and to repositories on this machine.
#[derive(Debug)]
pub struct GitRemote {
    egress: Egress,
    tokens: Tokens,
    store: PathBuf,
    locks: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
}

impl GitRemote {
    /// A remote that keeps what it fetches in folders below `store`, which may be deleted whenever
    /// nothing is running.
    pub fn new(egress: Egress, store: PathBuf) -> Self {
        Self {
            egress,
            tokens: Tokens::default(),
            store,
            locks: Mutex::default(),
        }
    }
}

impl Remote for GitRemote {
    async fn read_all(&self, requests: &[Request]) -> Result<Snapshots, RemoteError> {
        let Some(Request { source, .. }) = requests.first() else {
            return Ok(Vec::new());
        };
        let remote = egress::shown(&source.url);
        let deadline = Instant::now() + source.timeout;
        let cancel = Cancel::default();
        let reading = async {
            if source.url.scheme() == "file" {
                read_local(requests.to_vec(), remote.clone(), &cancel).await
            } else {
                let session =
                    Session::new(&self.egress, &self.tokens, source, remote.clone(), deadline);
                session.outcome(Box::pin(self.read_smart(&session, requests, &cancel)).await)
            }
        };
        within(deadline, &remote, reading).await
    }

    async fn history(
        &self,
        source: &Source,
        snapshot: &Snapshot,
        paths: &BTreeSet<String>,
    ) -> Result<Vec<OwnCommit>, RemoteError> {
        let remote = egress::shown(&source.url);
        let deadline = Instant::now() + source.timeout;
        let base = snapshot.base.object();
        let reading = async {
            if source.url.scheme() == "file" {
                let (url, paths, shown) = (source.url.clone(), paths.clone(), remote.clone());
                let reading = task::spawn_blocking(move || {
                    history::history(&Local::open(&url, &shown)?.objects()?, base, &paths)
                });
                joined(reading.await, &remote)
            } else {
                let session =
                    Session::new(&self.egress, &self.tokens, source, remote.clone(), deadline);
                let store = Store::of(&self.store, source, base.kind(), &remote);
                let _held = self.lock(store.folder()).await;
                let fetched = history::fetch_history(&session, &store, base, paths).await;
                session.outcome(fetched)
            }
        };
        within(deadline, &remote, reading).await
    }

    async fn push_all(
        &self,
        chains: &[Chain<'_>],
    ) -> Result<Vec<Result<Vec<Pushed>, RemoteError>>, RemoteError> {
        let Some(Chain { source, .. }) = chains.first() else {
            return Ok(Vec::new());
        };
        let remote = egress::shown(&source.url);
        let deadline = Instant::now() + source.timeout;
        let pushing = async {
            if source.url.scheme() == "file" {
                let mut results = Vec::new();
                for chain in chains {
                    results.push(push_local(chain, remote.clone()).await);
                }
                Ok(results)
            } else {
                let session =
                    Session::new(&self.egress, &self.tokens, source, remote.clone(), deadline);
                let pushed = session.outcome(Box::pin(self.push_smart(&session, chains)).await)?;
                let each = pushed.into_iter().map(|it| session.outcome(it));
                Ok(each.collect())
            }
        };
        within(deadline, &remote, pushing).await
    }

    async fn branches(&self, source: &Source) -> Result<BTreeSet<Branch>, RemoteError> {
        let remote = egress::shown(&source.url);
        let deadline = Instant::now() + source.timeout;
        let beginning = source.push_branch.reference();
        let listing = async {
            if source.url.scheme() == "file" {
                let (url, shown) = (source.url.clone(), remote.clone());
                let listing = task::spawn_blocking(move || {
                    Local::open(&url, &shown)?.some_branches(usize::MAX)
                });
                joined(listing.await, &remote)
            } else {
                let session =
                    Session::new(&self.egress, &self.tokens, source, remote.clone(), deadline);
                let upload = session.outcome(Upload::open(&session).await)?;
                let found = upload.references(slice::from_ref(&beginning)).await;
                let found = session.outcome(found)?;
                let names = found.keys();
                let names = names.filter_map(|name| name.strip_prefix("refs/heads/"));
                Ok(names.map(str::to_owned).collect())
            }
        };
        let names = match timeout_at(deadline, listing).await {
            Ok(result) => result?,
            Err(_) => return Err(RemoteError::Timeout { remote }),
        };
        let alike = names
            .iter()
            .filter(|it| it.starts_with(source.push_branch.as_str()));
        Ok(alike.filter_map(|it| Branch::new(it).ok()).collect())
    }

    async fn tree(&self, chain: &Chain<'_>) -> Result<String, RemoteError> {
        let source = chain.source;
        let remote = egress::shown(&source.url);
        let deadline = Instant::now() + source.timeout;
        let making = async {
            let made = if source.url.scheme() == "file" {
                let (url, shown) = (source.url.clone(), remote.clone());
                make(move || Local::open(&url, &shown)?.objects(), chain, &remote).await?
            } else {
                let hash = chain.snapshot.base.object().kind();
                let store = Store::of(&self.store, source, hash, &remote);
                let _held = self.lock(store.folder()).await;
                make(move || store.open(), chain, &remote).await?
            };
            Ok(made.tree.to_string())
        };
        within(deadline, &remote, making).await
    }

    async fn point(
        &self,
        source: &Source,
        expected: Option<&CommitId>,
        commit: &CommitId,
    ) -> Result<(), RemoteError> {
        let remote = egress::shown(&source.url);
        let deadline = Instant::now() + source.timeout;
        let expected = expected.map(CommitId::object);
        let pointing = async {
            if source.url.scheme() == "file" {
                point::here(source, expected, commit.object(), remote.clone()).await
            } else {
                let session =
                    Session::new(&self.egress, &self.tokens, source, remote.clone(), deadline);
                let pointed = point::there(&session, &self.store, expected, commit.object());
                session.outcome(pointed.await)
            }
        };
        within(deadline, &remote, pointing).await
    }

    async fn remove(&self, source: &Source, tip: &CommitId) -> Result<(), RemoteError> {
        let remote = egress::shown(&source.url);
        let deadline = Instant::now() + source.timeout;
        let removing = async {
            if source.url.scheme() == "file" {
                remove_local(source, tip, remote.clone()).await
            } else {
                let session =
                    Session::new(&self.egress, &self.tokens, source, remote.clone(), deadline);
                session.outcome(push::remove(&session, tip.object()).await)
            }
        };
        match timeout_at(deadline, removing).await {
            Ok(result) => result,
            Err(_) => Err(RemoteError::Timeout { remote }),
        }
    }
}

impl GitRemote {
    async fn read_smart(
        &self,
        session: &Session<'_>,
        requests: &[Request],
        cancel: &Cancel,
    ) -> Result<Snapshots, RemoteError> {
        let upload = Upload::open(session).await?;
        let store = Store::of(&self.store, session.source, upload.hash, &session.remote);
        let checkout = match &session.source.checkout {
            Checkout::Newest(range) => {
                let _held = self.lock(store.folder()).await;
                newest::of_server(&upload, &store, range, cancel).await?
            }
            named => named.clone(),
        };
        let sources = smart_tips(&upload, session, requests, &checkout).await?;
        let _held = self.lock(store.folder()).await;
        self.make_room(&store);
        let attempt = Attempt {
            session,
            upload: &upload,
            store: &store,
            checkout: &checkout,
            sources: &sources,
            cancelled: &cancel.0,
        };
        match attempt.run().await {
            // The store may have been cut short or damaged; an empty one shows whether it was that.
            Err(RemoteError::Incomplete { .. } | RemoteError::Store { .. }) => {
                store.set_aside()?;
                attempt.run().await
            }
            result => result,
        }
    }

    async fn push_smart(
        &self,
        session: &Session<'_>,
        chains: &[Chain<'_>],
    ) -> Result<Vec<Result<Vec<Pushed>, RemoteError>>, RemoteError> {
        let hash = chains.first().map(|it| it.snapshot.base.object().kind());
        let hash = hash.unwrap_or(gix::hash::Kind::Sha1);
        let store = Store::of(&self.store, session.source, hash, &session.remote);
        let _held = self.lock(store.folder()).await;
        let mut changes = Vec::new();
        for chain in chains {
            let opened = store.clone();
            let made = make(move || opened.open(), chain, &session.remote).await;
            if let Err(RemoteError::Incomplete { .. }) = &made {
                // What was read is not here any more: the next read finds an empty store.
                store.set_aside()?;
            }
            changes.push(made.map(|made| change(chain, made)));
        }
        let ready: Vec<_> = changes.iter().filter_map(|it| it.as_ref().ok()).collect();
        let push = Push::open(session, &store, &ready).await?;
        let mut results = push.run(&ready).await.into_iter();
        let mut all = Vec::new();
        for change in changes {
            let change = match change {
                Ok(change) => change,
                Err(error) => {
                    all.push(Err(error));
                    continue;
                }
            };
            let Some(result) = results.next() else {
                break;
            };
            let Ok(previous) = result else {
                all.push(result.map(|_| Vec::new()));
                continue;
            };
            all.push(Ok(pushed(&change, previous)));
            let (store, base, made) = (store.clone(), change.ground.base, change.made);
            let kept = task::spawn_blocking(move || keep(&store, base, &made));
            if let Err(error) = joined(kept.await, &session.remote) {
                tracing::debug!(%error, "could not keep the pushed objects; they will be fetched");
            }
        }
        Ok(all)
    }

    /// Removes stores that were not written for long, but for those in use, before one more is made.
    fn make_room(&self, store: &Store) {
        for folder in store.superfluous() {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            let lock = Arc::clone(locks.entry(folder.clone()).or_default());
            if let Ok(_held) = lock.try_lock() {
                locks.remove(&folder);
                if let Err(error) = store::remove(&folder) {
                    tracing::debug!(%error, "could not remove an old store");
                }
            }
        }
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

/// What comes of `work`, if it comes in time; nothing is begun when the time is up already.
async fn within<T>(
    deadline: Instant,
    remote: &str,
    work: impl Future<Output = Result<T, RemoteError>>,
) -> Result<T, RemoteError> {
    if Instant::now() < deadline
        && let Ok(result) = timeout_at(deadline, work).await
    {
        return result;
    }
    let remote = remote.to_owned();
    Err(RemoteError::Timeout { remote })
}

async fn smart_tips<'a>(
    upload: &Upload<'_>,
    session: &Session<'_>,
    requests: &'a [Request],
    checkout: &Checkout,
) -> Result<Vec<(&'a Request, Tips)>, RemoteError> {
    let read = checkout.reference();
    let pushed = requests.iter().map(|it| it.source.push_branch.reference());
    let wanted: BTreeSet<_> = read.iter().cloned().chain(pushed).collect();
    let wanted: Vec<_> = wanted.into_iter().collect();
    let references = upload.references(&wanted).await?;
    let find = |name: &str| {
        let peeled = references.get(&format!("{name}^{{}}"));
        peeled.or_else(|| references.get(name)).copied()
    };
    let base = match (checkout, &read) {
        (Checkout::Commit(id), _) => Some(id.object()).filter(|id| id.kind() == upload.hash),
        (_, Some(name)) => find(name),
        (_, None) => None,
    };
    let Some(base) = base else {
        let all = upload.references(&["refs/heads/".to_owned()]).await?;
        let others = all.keys().take(NAMED_BRANCHES);
        let others = others.filter_map(|name| name.strip_prefix("refs/heads/"));
        let others = others.map(|name| name.escape_debug().to_string()).collect();
        return Err(nothing_to_read(&session.remote, checkout, others));
    };
    let named = read.and_then(|name| references.get(&name).copied());
    let sources = requests.iter().map(|request| {
        let source = &request.source;
        let push = references.get(&source.push_branch.reference()).copied();
        (request, Tips::of(source, (base, named), push))
    });
    Ok(sources.collect())
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
        Checkout::Reference(_) | Checkout::Newest(_) | Checkout::Commit(_) => {
            RemoteError::NoReference {
                remote,
                reference: checkout.to_string(),
            }
        }
    }
}

/// What the first commit of a chain stands on.
fn ground(chain: &Chain<'_>) -> Ground {
    let base = chain.snapshot.base.object();
    let tip = chain.snapshot.push_tip.as_ref();
    let is_stacked = chain.source.push.mode == PushMode::Stack
        && tip.is_some_and(|tip| tip.commit.object() == base);
    let kind = if is_stacked {
        GroundKind::PushBranch
    } else {
        GroundKind::Checkout
    };
    Ground { base, kind }
}

/// Where the push branch must be for the push to go ahead.
fn expected(
    Chain {
        source, snapshot, ..
    }: &Chain<'_>,
) -> Option<ObjectId> {
    if source.checkout.is_branch(&source.push_branch) {
        return Some(snapshot.base.object());
    }
    let tip = snapshot.push_tip.as_ref();
    tip.map(|tip| tip.commit.object())
}

fn change<'a>(chain: &Chain<'a>, made: Made) -> Change<'a> {
    Change {
        source: chain.source,
        ground: ground(chain),
        expected: expected(chain),
        commits: chain.commits,
        made,
    }
}

async fn make(
    open: impl FnOnce() -> Result<Objects, RemoteError> + Send + 'static,
    chain: &Chain<'_>,
    remote: &str,
) -> Result<Made, RemoteError> {
    let (ground, commits) = (ground(chain), chain.commits.to_vec());
    let making = task::spawn_blocking(move || commit::make(&open()?, ground, &commits));
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
        store.remember(&made.commits)?;
    }
    Ok(())
}

/// One push for each commit, the branch going through all of them.
fn pushed(change: &Change<'_>, mut previous: Option<ObjectId>) -> Vec<Pushed> {
    let is_repeated = previous == Some(change.made.tip);
    let commits = change.made.commits.iter().map(|commit| {
        let before = if is_repeated {
            Some(*commit)
        } else {
            previous.replace(*commit)
        };
        Pushed {
            commit: (*commit).into(),
            branch: change.source.push_branch.clone(),
            previous: before.map(Into::into),
        }
    });
    commits.collect()
}

async fn read_local(
    requests: Vec<Request>,
    remote: String,
    cancel: &Cancel,
) -> Result<Snapshots, RemoteError> {
    let cancelled = Arc::clone(&cancel.0);
    let shown = remote.clone();
    let reading = task::spawn_blocking(move || {
        let Some(Request { source, .. }) = requests.first() else {
            return Ok(Vec::new());
        };
        let local = Local::open(&source.url, &shown)?;
        let objects = local.objects()?;
        let checkout = match &source.checkout {
            Checkout::Newest(range) => newest::of_repository(&objects, &local.tags()?, range)?,
            named => named.clone(),
        };
        let base = match (&checkout, checkout.reference()) {
            (Checkout::Commit(id), _) => Some(id.object()),
            (_, Some(name)) => local.commit_of(&name)?,
            (_, None) => None,
        };
        let Some(base) = base.filter(|id| objects.contains(id)) else {
            let others = local.some_branches(NAMED_BRANCHES)?;
            return Err(nothing_to_read(&shown, &checkout, others));
        };
        let named = match checkout.reference() {
            Some(name) => local.tip(&name)?,
            None => None,
        };
        let snapshots = requests.iter().map(|Request { source, screen }| {
            let push = if source.checkout.is_branch(&source.push_branch) {
                None
            } else {
                local.tip(&source.push_branch.reference())?
            };
            let tips = Tips::of(source, (base, named), push);
            let checkout = checkout.clone();
            snapshot(
                &objects,
                checkout,
                tips,
                source,
                Arc::clone(screen),
                &cancelled,
            )
        });
        Ok(snapshots.collect())
    });
    joined(reading.await, &remote)
}

async fn push_local(chain: &Chain<'_>, remote: String) -> Result<Vec<Pushed>, RemoteError> {
    let (ground, expected) = (ground(chain), expected(chain));
    let (source, commits, shown) = (chain.source.clone(), chain.commits.to_vec(), remote.clone());
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
        let made = commit::make(&local.objects()?, ground, &commits)?;
        let branch = source.push_branch.reference();
        let current = local.tip(&branch)?;
        let allowed = [ground.base]
            .into_iter()
            .chain(expected)
            .collect::<Vec<_>>();
        if let Some(refspec) = &source.push.refspec
            && refspec.destination() != branch
            && (current == expected || current == Some(made.tip))
        {
            local.push_also(refspec, &allowed, &made, &commits)?;
        }
        let previous = if current == Some(made.tip) {
            current
        } else {
            local.push(&branch, expected, &made, &commits)?;
            expected
        };
        let change = Change {
            source: &source,
            ground,
            expected,
            commits: &commits,
            made,
        };
        Ok(pushed(&change, previous))
    });
    joined(pushing.await, &remote)
}

async fn remove_local(source: &Source, tip: &CommitId, remote: String) -> Result<(), RemoteError> {
    let (source, tip, shown) = (source.clone(), tip.object(), remote.clone());
    let removing = task::spawn_blocking(move || {
        Local::open(&source.url, &shown)?.remove(&source.push_branch.reference(), tip)
    });
    joined(removing.await, &remote)
}
