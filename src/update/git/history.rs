//! What our own commits among the last ones did to some files: what people made of it afterwards is
//! the difference to what stands there now.

use std::{
    collections::{BTreeSet, BinaryHeap},
    sync::Arc,
};

use bstr::BStr;
use chrono::{DateTime, Utc};
use gix::{ObjectId, objs::Kind};
use tokio::task;

use super::{
    FileStep, OwnCommit, RemoteError,
    fetch::{Extent, HISTORY, Upload, Wish},
    http::Session,
    objects::Objects,
    store::Store,
    tree::{self, EntryKind},
    work::{Cancel, joined},
};

/// How many of our own commits are looked into, the newest first.
const MAX_OWN: usize = 20;

/// How far the history could be read.
enum Past {
    /// To the end, or as far back as we look.
    Known(Vec<OwnCommit>),
    /// The commits below one that is here are not.
    Shallow,
    /// These folders and files are not here.
    Missing(BTreeSet<ObjectId>),
}

/// Whether a commit that is not here is fetched, or the end of what there is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Here,
    Fetched,
}

/// Reads the past of `base` in a repository of which everything is here.
pub(super) fn history(
    objects: &Objects,
    base: ObjectId,
    paths: &BTreeSet<String>,
) -> Result<Vec<OwnCommit>, RemoteError> {
    match past(objects, base, paths, Reach::Fetched)? {
        Past::Known(commits) => Ok(commits),
        Past::Shallow => Ok(Vec::new()),
        Past::Missing(ids) => {
            let first = ids.first().copied();
            Err(objects.incomplete(&first.unwrap_or(base)))
        }
    }
}

/// Reads the past of `base`, and fetches what is missing to know it.
pub(super) async fn fetch_history(
    session: &Session<'_>,
    store: &Store,
    base: ObjectId,
    paths: &BTreeSet<String>,
) -> Result<Vec<OwnCommit>, RemoteError> {
    let paths = Arc::new(paths.clone());
    let mut reach = Reach::Here;
    let mut asked = BTreeSet::new();
    let mut upload = None;
    loop {
        let (reader, paths) = (store.clone(), Arc::clone(&paths));
        let reading = task::spawn_blocking(move || past(&reader.open()?, base, &paths, reach));
        let past = joined(reading.await, &session.remote)?;
        if let Past::Known(commits) = past {
            return Ok(commits);
        }
        let upload = match &mut upload {
            Some(upload) => upload,
            none => none.insert(Upload::open(session).await?),
        };
        let wish = match past {
            Past::Missing(ids) => {
                if let Some(id) = ids.iter().find(|id| !asked.insert(**id)) {
                    return Err(RemoteError::Incomplete {
                        remote: session.remote.clone(),
                        id: id.to_string(),
                    });
                }
                Wish::anew(ids, Extent::Bare)
            }
            _ if upload.is_partial() => {
                reach = Reach::Fetched;
                Wish::anew([base].into(), Extent::BareHistory)
            }
            _ => {
                reach = Reach::Fetched;
                let is_complete = store.tips().contains(&base);
                let known: Vec<_> = is_complete.then_some(base).into_iter().collect();
                Wish {
                    wants: vec![base],
                    haves: known.clone(),
                    shallow: known,
                    extent: Extent::History,
                }
            }
        };
        let cancel = Cancel::default();
        upload.fetch(&wish, store, &cancel.0).await?;
    }
}

fn past(
    objects: &Objects,
    base: ObjectId,
    paths: &BTreeSet<String>,
    reach: Reach,
) -> Result<Past, RemoteError> {
    let mut heap = BinaryHeap::from([(DateTime::<Utc>::MAX_UTC, base)]);
    let mut met = BTreeSet::from([base]);
    let mut own = Vec::new();
    let mut missing = BTreeSet::new();
    let mut count = 0;
    while let Some((_, id)) = heap
        .pop()
        .filter(|_| count < HISTORY && own.len() < MAX_OWN)
    {
        count += 1;
        let commit = objects.commit(&id)?;
        for parent in &commit.parents {
            if objects.contains(parent) {
                if met.insert(*parent) {
                    heap.push((objects.commit(parent)?.time, *parent));
                }
            } else if reach == Reach::Here {
                return Ok(Past::Shallow);
            }
        }
        let parent = commit.parents.first().filter(|it| objects.contains(it));
        let Some(parent) = parent.filter(|_| commit.is_ours) else {
            continue;
        };
        let trees = (objects.commit(parent)?.tree, commit.tree);
        let mut files = Vec::new();
        for path in paths {
            if let Some(step) = step(objects, trees, path, &mut missing)? {
                files.push(step);
            }
        }
        let id = id.into();
        own.push(OwnCommit { id, files });
    }
    if missing.is_empty() {
        own.retain(|commit| !commit.files.is_empty());
        Ok(Past::Known(own))
    } else {
        Ok(Past::Missing(missing))
    }
}

/// What a file was in one tree and is in another, where that is not the same.
fn step(
    objects: &Objects,
    trees: (ObjectId, ObjectId),
    path: &str,
    missing: &mut BTreeSet<ObjectId>,
) -> Result<Option<FileStep>, RemoteError> {
    let (mut before, mut after) = trees;
    for part in path.split('/') {
        if before == after {
            return Ok(None);
        }
        let old = below(objects, before, part.into(), missing)?;
        let new = below(objects, after, part.into(), missing)?;
        let (Some(old), Some(new)) = (old, new) else {
            return Ok(None);
        };
        (before, after) = (old, new);
    }
    if before == after {
        return Ok(None);
    }
    let mut absent = [before, after]
        .into_iter()
        .filter(|id| !objects.contains(id));
    if let Some(id) = absent.next() {
        missing.insert(id);
        missing.extend(absent);
        return Ok(None);
    }
    let read = |id| -> Result<Vec<u8>, RemoteError> {
        let mut buffer = Vec::new();
        Ok(objects.read(&id, Kind::Blob, &mut buffer)?.to_vec())
    };
    Ok(Some(FileStep {
        path: path.to_owned(),
        before: read(before)?,
        after: read(after)?,
    }))
}

/// The file or folder of a name; nothing where there is none, or where the folder is not here.
fn below(
    objects: &Objects,
    folder: ObjectId,
    name: &BStr,
    missing: &mut BTreeSet<ObjectId>,
) -> Result<Option<ObjectId>, RemoteError> {
    if !objects.contains(&folder) {
        missing.insert(folder);
        return Ok(None);
    }
    let mut buffer = Vec::new();
    // A file may have stood where a folder is now.
    let Ok(bytes) = objects.read(&folder, Kind::Tree, &mut buffer) else {
        return Ok(None);
    };
    for entry in tree::entries(bytes, objects.hash()) {
        let entry = entry.map_err(|_| objects.incomplete(&folder))?;
        if entry.name == name && matches!(entry.kind, EntryKind::Folder | EntryKind::File) {
            return Ok(Some(entry.id));
        }
    }
    Ok(None)
}
