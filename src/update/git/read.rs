//! Reading a snapshot out of the store, and fetching what it lacks.
//!
//! Where the whole repository is read, one commit is fetched with all of its files. Where a path is
//! read and the server can leave things out, only the folders on the way down, the folders below
//! the path and the files that may hold markers are fetched; what is in the store is not asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool},
};

use gix::ObjectId;
use tokio::task;

use super::{
    Checkout, PushMode, PushTip, RemoteError, Request, Screen, Snapshot, Source, SourceFile,
    fetch::{Extent, Upload, Wish},
    http::Session,
    inflate::{Found, inflate},
    memory::Memory,
    objects::Objects,
    settings,
    store::Store,
    verify::{Verify, verify},
    walk::{Listing, Walked, walk},
    work::joined,
};

/// How many files are asked for one by one without a second thought.
const FEW_FILES: usize = 2_000;
/// To look for one file by its id costs a server as much as to send so many files with their folder.
const FILE_BY_ID: usize = 12;

/// Where the two branches of a source point to.
#[derive(Clone, Copy)]
pub(super) struct Tips {
    pub(super) base: ObjectId,
    pub(super) checkout: ObjectId,
    /// The tag that leads to the checkout, where its signature is looked at.
    pub(super) tag: Option<ObjectId>,
    pub(super) push: Option<ObjectId>,
}

impl Tips {
    /// What is read for a source: the checked-out commit, which something named leads to, or the
    /// push branch that commits are stacked on.
    pub(super) fn of(
        source: &Source,
        (checkout, named): (ObjectId, Option<ObjectId>),
        push: Option<ObjectId>,
    ) -> Self {
        let push = push.filter(|_| !source.checkout.is_branch(&source.push_branch));
        let base = match source.push.mode {
            PushMode::Rebuild => checkout,
            PushMode::Stack => push.unwrap_or(checkout),
        };
        Self {
            base,
            checkout,
            tag: named.filter(|_| source.verify.as_ref().is_some_and(Verify::looks_at_tag)),
            push,
        }
    }
}

/// One try to fetch and read.
pub(super) struct Attempt<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) upload: &'a Upload<'a>,
    pub(super) store: &'a Store,
    pub(super) checkout: &'a Checkout,
    /// What is read, and where it stands.
    pub(super) sources: &'a [(&'a Request, Tips)],
    pub(super) cancelled: &'a Arc<AtomicBool>,
}

/// What was read for each source.
pub(super) type Snapshots = Vec<Result<Snapshot, RemoteError>>;

impl Attempt<'_> {
    pub(super) async fn run(&self) -> Result<Snapshots, RemoteError> {
        if self.store.is_crowded() {
            self.store.clear()?;
        }
        for (_, tips) in self.sources {
            self.tag(tips).await?;
        }
        let mut sources = self.sources.iter();
        if self.upload.is_partial() && sources.all(|(it, _)| !it.source.path.as_str().is_empty()) {
            match self.parts().await {
                // A server may offer filters in general and refuse one in particular.
                Err(RemoteError::Unavailable { reason, .. }) => {
                    tracing::debug!(reason, "cannot fetch a part, fetching the whole commit");
                }
                result => return result,
            }
        }
        self.whole().await
    }

    /// Fetches a tag itself.
    async fn tag(&self, tips: &Tips) -> Result<(), RemoteError> {
        let Some(tag) = tips.tag.filter(|tag| *tag != tips.checkout) else {
            return Ok(());
        };
        let (store, cancelled) = (self.store, self.cancelled);
        self.upload.fetch_bare([tag].into(), store, cancelled).await
    }

    async fn parts(&self) -> Result<Snapshots, RemoteError> {
        let mut asked = BTreeSet::new();
        let mut settled = BTreeMap::new();
        while settled.len() < self.sources.len() {
            let mut wishes = BTreeMap::<Extent, BTreeSet<ObjectId>>::new();
            for (index, (source, tips)) in self.sources.iter().enumerate() {
                if settled.contains_key(&index) {
                    continue;
                }
                let read = match self.on_store(source, *tips, part).await {
                    Ok(Step::Fetch(extent, wants)) => {
                        wishes.entry(extent).or_default().extend(wants);
                        continue;
                    }
                    Ok(Step::Done(snapshot)) => Ok(*snapshot),
                    Err(error) => Err(of_the_path(error)?),
                };
                settled.insert(index, read);
            }
            for (extent, wants) in wishes {
                if let Some(id) = wants.iter().find(|it| !asked.insert((**it, extent))) {
                    return Err(RemoteError::Incomplete {
                        remote: self.session.remote.clone(),
                        id: id.to_string(),
                    });
                }
                let wish = Wish::anew(wants, extent);
                self.upload.fetch(&wish, self.store, self.cancelled).await?;
            }
        }
        Ok(settled.into_values().collect())
    }

    async fn whole(&self) -> Result<Snapshots, RemoteError> {
        let Some((first, any)) = self.sources.first() else {
            return Ok(Vec::new());
        };
        let tips = self.sources.iter().map(|(_, tips)| *tips);
        let tips = tips.collect::<Vec<_>>();
        let wish = self.on_store(first, *any, move |reading| wish(&reading, &tips));
        let wish = wish.await?;
        if !wish.wants.is_empty() {
            self.upload.fetch(&wish, self.store, self.cancelled).await?;
        }
        let mut snapshots = Vec::new();
        for (source, tips) in self.sources {
            let read = self.on_store(source, *tips, Reading::snapshot);
            snapshots.push(match read.await {
                Ok(snapshot) => Ok(snapshot),
                Err(error) => Err(of_the_path(error)?),
            });
        }
        if !wish.wants.is_empty() {
            self.store.remember(&wish.wants)?;
        }
        Ok(snapshots)
    }

    async fn on_store<T: Send + 'static>(
        &self,
        request: &Request,
        tips: Tips,
        work: impl FnOnce(Reading) -> Result<T, RemoteError> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let reading = Reading {
            store: self.store.clone(),
            source: request.source.clone(),
            checkout: self.checkout.clone(),
            tips,
            screen: Arc::clone(&request.screen),
            settings: None,
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
    checkout: Checkout,
    tips: Tips,
    screen: Arc<dyn Screen>,
    settings: Option<SourceFile>,
    cancelled: Arc<AtomicBool>,
}

/// What comes next when a part of a commit is read.
enum Step {
    Fetch(Extent, BTreeSet<ObjectId>),
    Done(Box<Snapshot>),
}

/// An error that is about one path, and leaves the others as they are; any other ends the read.
fn of_the_path(error: RemoteError) -> Result<RemoteError, RemoteError> {
    match error {
        RemoteError::NoPath { .. }
        | RemoteError::UnsafeTree { .. }
        | RemoteError::Unverified { .. }
        | RemoteError::Limit { .. } => Ok(error),
        _ => Err(error),
    }
}

impl Reading {
    fn snapshot(mut self) -> Result<Snapshot, RemoteError> {
        let objects = self.store.open()?;
        if let Some(missing) = self.settle(&objects)? {
            return Err(objects.incomplete(&missing));
        }
        let memory = Memory::of(&self.store, &*self.screen);
        let listing = self.walk(&objects, &memory)?.complete(&objects)?;
        self.finish(&objects, memory, listing)
    }

    /// Reads the repository's own settings; the object that is missing for that.
    fn settle(&mut self, objects: &Objects) -> Result<Option<ObjectId>, RemoteError> {
        let root = objects.commit(&self.tips.base)?.tree;
        let settled = settle(objects, root, &mut self.screen)?;
        Ok(settled.map(|settings| self.settings = settings).err())
    }

    fn walk(&self, objects: &Objects, memory: &Memory) -> Result<Walked, RemoteError> {
        let root = objects.commit(&self.tips.base)?.tree;
        let (path, cancelled) = (&self.source.path, &self.cancelled);
        walk(objects, root, path, &*self.screen, memory, cancelled)
    }

    fn finish(
        &self,
        objects: &Objects,
        memory: Memory,
        mut listing: Listing,
    ) -> Result<Snapshot, RemoteError> {
        verified(objects, self.tips, &self.source)?;
        let survey = std::mem::take(&mut listing.survey);
        let mut found = inflate(objects, listing, &*self.screen, &self.cancelled)?;
        memory.learn(survey, &mut found)?;
        let snapshot = assemble(objects, self.checkout.clone(), self.tips, found)?;
        Ok(Snapshot {
            settings: self.settings.clone(),
            ..snapshot
        })
    }
}

/// Reads a part of a commit, or tells what is to be fetched before that is possible.
fn part(mut reading: Reading) -> Result<Step, RemoteError> {
    let objects = reading.store.open()?;
    let tips = [Some(reading.tips.base), reading.tips.push];
    let commits = tips
        .into_iter()
        .flatten()
        .filter(|it| !objects.contains(it));
    let commits = commits.collect::<BTreeSet<_>>();
    if !commits.is_empty() {
        return Ok(Step::Fetch(Extent::BareCommits, commits));
    }
    if let Some(missing) = reading.settle(&objects)? {
        return Ok(Step::Fetch(Extent::Bare, [missing].into()));
    }
    let memory = Memory::of(&reading.store, &*reading.screen);
    let listing = match reading.walk(&objects, &memory)? {
        Walked::All(listing) => listing,
        Walked::Above(id) => {
            return Ok(Step::Fetch(Extent::Bare, [id].into()));
        }
        Walked::Below {
            missing,
            is_root,
            some_are_here,
        } => {
            // Where we have been before, most folders are the ones that we know.
            let is_known = if is_root {
                !memory.unmarked().is_empty()
            } else {
                some_are_here
            };
            let extent = if is_known {
                Extent::Bare
            } else {
                Extent::Trees
            };
            return Ok(Step::Fetch(extent, missing.into_iter().collect()));
        }
    };
    let files = listing.files.entries().iter().map(|file| file.id);
    let missing: BTreeSet<_> = files.filter(|id| !objects.contains(id)).collect();
    if missing.is_empty() {
        let snapshot = reading.finish(&objects, memory, listing)?;
        return Ok(Step::Done(Box::new(snapshot)));
    }
    let are_few =
        missing.len() <= FEW_FILES || missing.len().saturating_mul(FILE_BY_ID) < listing.entries;
    Ok(if are_few {
        Step::Fetch(Extent::Bare, missing)
    } else {
        Step::Fetch(Extent::All, [listing.root].into())
    })
}

/// Tells what is missing to have the whole of the commits.
fn wish(reading: &Reading, tips: &[Tips]) -> Result<Wish, RemoteError> {
    let objects = reading.store.open()?;
    let mut haves = reading.store.tips();
    haves.retain(|tip| objects.contains(tip));
    let tips = tips.iter().flat_map(|it| [Some(it.base), it.push]);
    let mut wants: Vec<ObjectId> = tips.flatten().collect();
    wants.sort_unstable();
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
    checkout: Checkout,
    tips: Tips,
    source: &Source,
    mut screen: Arc<dyn Screen>,
    cancelled: &AtomicBool,
) -> Result<Snapshot, RemoteError> {
    verified(objects, tips, source)?;
    let root = objects.commit(&tips.base)?.tree;
    let settings = settle(objects, root, &mut screen)?.map_err(|it| objects.incomplete(&it))?;
    let memory = Memory::none(objects.hash());
    let walked = walk(objects, root, &source.path, &*screen, &memory, cancelled)?;
    let found = inflate(objects, walked.complete(objects)?, &*screen, cancelled)?;
    let snapshot = assemble(objects, checkout, tips, found)?;
    Ok(Snapshot {
        settings,
        ..snapshot
    })
}

/// Reads the settings that the screen asks for and gives them to it, or tells what is missing.
fn settle(
    objects: &Objects,
    root: ObjectId,
    screen: &mut Arc<dyn Screen>,
) -> Result<Result<Option<SourceFile>, ObjectId>, RemoteError> {
    let Some(name) = screen.settings() else {
        return Ok(Ok(None));
    };
    let found = match settings::find(objects, root, name)? {
        settings::Found::All(found) => found,
        settings::Found::Missing(id) => return Ok(Err(id)),
    };
    let settled = found.as_ref().and_then(|it| screen.with_settings(it));
    if let Some(settled) = settled {
        *screen = settled;
    }
    Ok(Ok(found))
}

/// Refuses to hand on what is not signed as it has to be.
fn verified(objects: &Objects, tips: Tips, source: &Source) -> Result<(), RemoteError> {
    match &source.verify {
        Some(wanted) => verify(wanted, objects, tips),
        None => Ok(()),
    }
}

fn assemble(
    objects: &Objects,
    checkout: Checkout,
    tips: Tips,
    found: Found,
) -> Result<Snapshot, RemoteError> {
    let base = objects.commit(&tips.base)?;
    let push_tip = match tips.push {
        Some(id) => {
            let commit = objects.commit(&id)?;
            Some(PushTip {
                commit: id.into(),
                parent: commit.parents.first().copied().map(Into::into),
                tree: commit.tree.to_string(),
                time: commit.time,
                author_email: commit.author_email,
                message: commit.message,
                automation: commit.automation,
            })
        }
        None => None,
    };
    Ok(Snapshot {
        checkout,
        base: tips.base.into(),
        base_time: base.time,
        push_tip,
        settings: None,
        files: found.files,
        looked_at: found.looked_at,
        skipped: found.skipped,
    })
}
