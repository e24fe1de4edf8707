//! Reading a snapshot out of the store, and fetching what it lacks.
//!
//! Where the whole repository is read, one commit is fetched with all of its files. Where a path is
//! read and the server can leave things out, only the folders on the way down, the folders below
//! the path and the files that may hold markers are fetched; what is in the store is not asked for.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicBool},
};

use gix::ObjectId;
use tokio::task;

use super::{
    PushTip, RemoteError, Screen, Snapshot, Source,
    fetch::{Extent, Upload, Wish},
    http::Session,
    inflate::{Found, inflate},
    objects::Objects,
    remote::joined,
    store::Store,
    unmarked::{Findings, Unmarked},
    walk::{Listing, Walked, walk},
};

/// How many files are asked for one by one without a second thought.
const FEW_FILES: usize = 2_000;
/// To look for one file by its id costs a server as much as to send so many files with their folder.
const FILE_BY_ID: usize = 12;

/// Where the two branches of a source point to.
#[derive(Clone, Copy)]
pub(super) struct Tips {
    pub(super) base: ObjectId,
    pub(super) push: Option<ObjectId>,
}

/// One try to fetch and read.
pub(super) struct Attempt<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) upload: &'a Upload<'a>,
    pub(super) store: &'a Store,
    pub(super) tips: Tips,
    pub(super) screen: Arc<dyn Screen>,
    pub(super) cancelled: &'a Arc<AtomicBool>,
}

impl Attempt<'_> {
    pub(super) async fn run(&self) -> Result<Snapshot, RemoteError> {
        if self.store.is_crowded() {
            self.store.clear()?;
        }
        if self.upload.is_partial() && !self.session.source.path.as_str().is_empty() {
            match self.part().await {
                // A server may offer filters in general and refuse one in particular.
                Err(RemoteError::Unavailable { reason, .. }) => {
                    tracing::debug!(reason, "cannot fetch a part, fetching the whole commit");
                }
                result => return result,
            }
        }
        self.whole().await
    }

    async fn part(&self) -> Result<Snapshot, RemoteError> {
        let mut asked = BTreeSet::new();
        loop {
            match self.on_store(|reading| part(&reading)).await? {
                Step::Done(snapshot) => return Ok(snapshot),
                Step::Fetch(wish) => {
                    let again = wish
                        .wants
                        .iter()
                        .find(|it| !asked.insert((**it, wish.extent)));
                    if let Some(id) = again {
                        return Err(RemoteError::Incomplete {
                            remote: self.session.remote.clone(),
                            id: id.to_string(),
                        });
                    }
                    self.upload.fetch(&wish, self.store, self.cancelled).await?;
                }
            }
        }
    }

    async fn whole(&self) -> Result<Snapshot, RemoteError> {
        let wish = self.on_store(|reading| wish(&reading)).await?;
        if !wish.wants.is_empty() {
            self.upload.fetch(&wish, self.store, self.cancelled).await?;
        }
        self.on_store(move |reading| {
            let snapshot = reading.snapshot()?;
            if !wish.wants.is_empty() {
                reading.store.remember(&wish.wants)?;
            }
            Ok(snapshot)
        })
        .await
    }

    async fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(Reading) -> Result<T, RemoteError> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let reading = Reading {
            store: self.store.clone(),
            source: self.session.source.clone(),
            tips: self.tips,
            screen: Arc::clone(&self.screen),
            cancelled: Arc::clone(self.cancelled),
        };
        joined(
            task::spawn_blocking(move || work(reading)).await,
            &self.session.remote,
        )
    }
}

/// Everything that work on the store needs, for another thread.
struct Reading {
    store: Store,
    source: Source,
    tips: Tips,
    screen: Arc<dyn Screen>,
    cancelled: Arc<AtomicBool>,
}

/// What comes next when a part of a commit is read.
enum Step {
    Fetch(Wish),
    Done(Snapshot),
}

impl Reading {
    fn snapshot(&self) -> Result<Snapshot, RemoteError> {
        let objects = self.store.open()?;
        let unmarked = self.store.unmarked(&self.screen.version());
        let listing = self.walk(&objects, &unmarked)?.complete(&objects)?;
        self.finish(&objects, unmarked, listing)
    }

    fn walk(&self, objects: &Objects, unmarked: &Unmarked) -> Result<Walked, RemoteError> {
        let root = objects.commit(&self.tips.base)?.tree;
        let (path, cancelled) = (&self.source.path, &self.cancelled);
        walk(objects, root, path, &*self.screen, unmarked, cancelled)
    }

    fn finish(
        &self,
        objects: &Objects,
        mut unmarked: Unmarked,
        listing: Listing,
    ) -> Result<Snapshot, RemoteError> {
        let found = inflate(objects, listing, &*self.screen, &self.cancelled)?;
        let (snapshot, findings) = assemble(objects, self.tips, found)?;
        if !findings.is_empty() {
            unmarked.learn(findings);
            self.store.note(&unmarked)?;
        }
        Ok(snapshot)
    }
}

/// Reads a part of a commit, or tells what is to be fetched before that is possible.
fn part(reading: &Reading) -> Result<Step, RemoteError> {
    let objects = reading.store.open()?;
    let tips = [Some(reading.tips.base), reading.tips.push];
    let commits = tips
        .into_iter()
        .flatten()
        .filter(|it| !objects.contains(it));
    let commits = commits.collect::<BTreeSet<_>>();
    if !commits.is_empty() {
        return Ok(Step::Fetch(Wish::anew(commits, Extent::BareCommits)));
    }
    let unmarked = reading.store.unmarked(&reading.screen.version());
    let listing = match reading.walk(&objects, &unmarked)? {
        Walked::All(listing) => listing,
        Walked::Above(id) => {
            return Ok(Step::Fetch(Wish::anew([id].into(), Extent::Bare)));
        }
        Walked::Below {
            missing,
            is_root,
            some_are_here,
        } => {
            // Where we have been before, most folders are the ones that we know.
            let is_known = if is_root {
                !unmarked.is_empty()
            } else {
                some_are_here
            };
            let extent = if is_known {
                Extent::Bare
            } else {
                Extent::Trees
            };
            let missing = missing.into_iter().collect();
            return Ok(Step::Fetch(Wish::anew(missing, extent)));
        }
    };
    let files = listing.files.iter().map(|(_, id)| *id);
    let missing: BTreeSet<_> = files.filter(|id| !objects.contains(id)).collect();
    if missing.is_empty() {
        return reading.finish(&objects, unmarked, listing).map(Step::Done);
    }
    let are_few =
        missing.len() <= FEW_FILES || missing.len().saturating_mul(FILE_BY_ID) < listing.entries;
    let wish = if are_few {
        Wish::anew(missing, Extent::Bare)
    } else {
        Wish::anew([listing.root].into(), Extent::All)
    };
    Ok(Step::Fetch(wish))
}

/// Tells what is missing to have the whole of the commits.
fn wish(reading: &Reading) -> Result<Wish, RemoteError> {
    let objects = reading.store.open()?;
    let mut haves = reading.store.tips();
    haves.retain(|tip| objects.contains(tip));
    let tips = [Some(reading.tips.base), reading.tips.push];
    let mut wants: Vec<ObjectId> = tips.into_iter().flatten().collect();
    wants.dedup();
    wants.retain(|want| !haves.contains(want));
    let mut shallow = Vec::new();
    if !wants.is_empty() {
        for id in &haves {
            // A parent may be here in part only.
            let parents = objects.commit(id)?.parents;
            if !parents.iter().all(|parent| haves.contains(parent)) {
                shallow.push(*id);
            }
        }
    }
    Ok(Wish {
        wants,
        haves,
        shallow,
        extent: Extent::Commits,
    })
}

/// Reads a snapshot of a repository of which everything is here.
pub(super) fn snapshot(
    objects: &Objects,
    tips: Tips,
    source: &Source,
    screen: &dyn Screen,
    cancelled: &AtomicBool,
) -> Result<Snapshot, RemoteError> {
    let root = objects.commit(&tips.base)?.tree;
    let unmarked = Unmarked::default();
    let walked = walk(objects, root, &source.path, screen, &unmarked, cancelled)?;
    let found = inflate(objects, walked.complete(objects)?, screen, cancelled)?;
    Ok(assemble(objects, tips, found)?.0)
}

fn assemble(
    objects: &Objects,
    tips: Tips,
    found: Found,
) -> Result<(Snapshot, Findings), RemoteError> {
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
    let snapshot = Snapshot {
        base: tips.base.into(),
        base_time: base.time,
        push_tip,
        files: found.files,
        looked_at: found.looked_at,
        skipped: found.skipped,
    };
    Ok((snapshot, found.unmarked))
}
