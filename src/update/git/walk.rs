//! Walking down to the update path and below it, and reading what the screen keeps.

use std::{
    collections::HashSet,
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use bstr::{BStr, BString, ByteSlice as _};
use gix::{ObjectId, objs::Kind};

use super::{
    RemoteError, Screen, Skipped, SourceFile, UpdatePath,
    objects::Objects,
    tree::{self, Entry, EntryKind},
};

/// How large a file may be to be read.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// How many entries are walked over.
const MAX_ENTRIES: usize = 500_000;
/// How many folders deep a file may lie, counted from the root.
const MAX_DEPTH: usize = 64;
/// How long the path of a file may be, in bytes.
const MAX_PATH: usize = 4096;
/// How many files a thread takes at a time; below that, one thread does it all.
const BATCH: usize = 256;

/// What was found below the update path.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<SourceFile>,
    pub(super) looked_at: usize,
    pub(super) skipped: Vec<Skipped>,
}

/// Reads the files below `path` in the tree `root` that `screen` keeps, in the order of their paths.
///
/// Symbolic links and submodules are never followed. Nothing is kept of a walk that was cancelled.
pub(super) fn read(
    objects: &Objects,
    root: ObjectId,
    path: &UpdatePath,
    screen: Screen,
    cancelled: &AtomicBool,
) -> Result<Found, RemoteError> {
    let mut listing = Listing {
        objects,
        screen,
        files: Vec::new(),
        skipped: Vec::new(),
        entries: 0,
    };
    match descend(objects, root, path)? {
        Start::Folder(id) => listing.walk(id, path, cancelled)?,
        Start::File(id) => listing.single(id, path),
    }
    let mut found = inflate(objects, &mut listing.files, screen, cancelled)?;
    found.skipped.append(&mut listing.skipped);
    found
        .files
        .sort_by(|left, right| left.path.cmp(&right.path));
    found
        .skipped
        .sort_by(|left, right| left.path.cmp(&right.path));
    Ok(found)
}

enum Start {
    Folder(ObjectId),
    File(ObjectId),
}

/// Finds the update path, going through folders only.
fn descend(objects: &Objects, root: ObjectId, path: &UpdatePath) -> Result<Start, RemoteError> {
    let refused = |reason| RemoteError::NoPath {
        remote: objects.remote().to_owned(),
        path: path.as_str().escape_debug().to_string(),
        reason,
    };
    let mut folder = root;
    let mut parts = path.parts().peekable();
    let mut buffer = Vec::new();
    while let Some(part) = parts.next() {
        let bytes = objects.read(&folder, Kind::Tree, &mut buffer)?;
        let mut fitting = None;
        for entry in tree::entries(bytes, objects.hash()) {
            let entry = entry.map_err(|_| objects.incomplete(&folder))?;
            if entry.name != part {
                continue;
            }
            if let Some(reason) = tree::unsafe_name(entry.name) {
                return Err(unsafe_tree(objects, path.as_str().as_bytes(), reason));
            }
            if fitting.replace((entry.kind, entry.id)).is_some() {
                let reason = "a name stands in it twice";
                return Err(unsafe_tree(objects, path.as_str().as_bytes(), reason));
            }
        }
        match fitting {
            None => return Err(refused("it does not exist")),
            Some((EntryKind::Folder, id)) => folder = id,
            Some((EntryKind::File, id)) if parts.peek().is_none() => return Ok(Start::File(id)),
            Some((EntryKind::File, _)) => return Err(refused("a part of it is a file")),
            Some((EntryKind::SymbolicLink, _)) => {
                return Err(refused("a part of it is a symbolic link"));
            }
            Some((EntryKind::Submodule, _)) => return Err(refused("a part of it is a submodule")),
            Some((EntryKind::Unknown, _)) => {
                return Err(refused("a part of it is neither file nor folder"));
            }
        }
    }
    Ok(Start::Folder(folder))
}

struct Listing<'a> {
    objects: &'a Objects,
    screen: Screen,
    files: Vec<(String, ObjectId)>,
    skipped: Vec<Skipped>,
    entries: usize,
}

impl Listing<'_> {
    fn single(&mut self, id: ObjectId, path: &UpdatePath) {
        if (self.screen.path)(path.as_str()) {
            self.files.push((path.as_str().to_owned(), id));
        } else {
            // Somebody named this very file, so passing over it in silence would puzzle them.
            self.skip(path.as_str().into(), "its name is not that of a YAML file");
        }
    }

    fn walk(
        &mut self,
        root: ObjectId,
        path: &UpdatePath,
        cancelled: &AtomicBool,
    ) -> Result<(), RemoteError> {
        let mut pending = vec![(BString::from(path.as_str()), root, path.parts().count())];
        let mut buffer = Vec::new();
        while let Some((folder, id, depth)) = pending.pop() {
            check_cancelled(self.objects, cancelled)?;
            let bytes = self.objects.read(&id, Kind::Tree, &mut buffer)?;
            let mut names = HashSet::new();
            for entry in tree::entries(bytes, self.objects.hash()) {
                let entry = entry.map_err(|_| self.objects.incomplete(&id))?;
                self.entries += 1;
                if self.entries > MAX_ENTRIES {
                    return Err(over(self.objects, "more than 500,000 entries"));
                }
                if let Some(reason) = tree::unsafe_name(entry.name) {
                    return Err(unsafe_tree(self.objects, &folder, reason));
                }
                if !names.insert(entry.name) {
                    let reason = "a name stands in it twice";
                    return Err(unsafe_tree(self.objects, &folder, reason));
                }
                let path = join(folder.as_bstr(), entry.name);
                if entry.kind != EntryKind::Folder {
                    self.take(path, entry);
                } else if depth >= MAX_DEPTH {
                    self.skip(path.as_bstr(), "more than 64 folders deep");
                } else {
                    pending.push((path, entry.id, depth + 1));
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, path: BString, entry: Entry<'_>) {
        let reason = match entry.kind {
            EntryKind::File if path.len() > MAX_PATH => "its path is longer than 4,096 bytes",
            EntryKind::File => match String::from_utf8(path.into()) {
                Ok(path) => {
                    if (self.screen.path)(&path) {
                        self.files.push((path, entry.id));
                    }
                    return;
                }
                Err(error) => {
                    let path = BString::from(error.into_bytes());
                    return self.skip_fitting(path.as_bstr(), "its path is not UTF-8");
                }
            },
            EntryKind::SymbolicLink => "symbolic link",
            EntryKind::Submodule => "submodule",
            EntryKind::Folder | EntryKind::Unknown => "neither file nor folder",
        };
        self.skip_fitting(path.as_bstr(), reason);
    }

    fn skip_fitting(&mut self, path: &BStr, reason: &str) {
        if (self.screen.path)(&path.to_str_lossy()) {
            self.skip(path, reason);
        }
    }

    fn skip(&mut self, path: &BStr, reason: &str) {
        self.skipped.push(skipped(path, reason));
    }
}

/// Inflates the files on all cores and asks the screen about their bytes.
fn inflate(
    objects: &Objects,
    files: &mut [(String, ObjectId)],
    screen: Screen,
    cancelled: &AtomicBool,
) -> Result<Found, RemoteError> {
    if files.len() > BATCH {
        // In the order of their paths, 100,000 files take three times as long.
        files.sort_by_cached_key(|(_, id)| objects.place(id));
    }
    let batches: Vec<&[(String, ObjectId)]> = files.chunks(BATCH).collect();
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Found::default());
    let work = |objects: Objects| -> Result<(), RemoteError> {
        let mut mine = Found::default();
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            check_cancelled(&objects, cancelled)?;
            inflate_batch(&objects, batch, screen, &mut mine)?;
        }
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.files.append(&mut mine.files);
        all.skipped.append(&mut mine.skipped);
        all.looked_at += mine.looked_at;
        Ok(())
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..cores.min(batches.len()))
            .map(|_| {
                let objects = objects.clone();
                scope.spawn(|| work(objects))
            })
            .collect();
        let own = work(objects.clone());
        helpers
            .into_iter()
            .map(|helper| {
                helper
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .fold(own, Result::and)
    })?;
    Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn inflate_batch(
    objects: &Objects,
    batch: &[(String, ObjectId)],
    screen: Screen,
    found: &mut Found,
) -> Result<(), RemoteError> {
    let mut buffer = Vec::new();
    for (path, id) in batch {
        if objects.size(id)? > MAX_FILE {
            let skipped = skipped(path.as_str().into(), "larger than 4 MiB");
            found.skipped.push(skipped);
            continue;
        }
        let bytes = objects.read(id, Kind::Blob, &mut buffer)?;
        found.looked_at += 1;
        if (screen.bytes)(path, bytes) {
            found.files.push(SourceFile {
                path: path.clone(),
                bytes: bytes.to_vec(),
            });
        }
    }
    Ok(())
}

fn check_cancelled(objects: &Objects, cancelled: &AtomicBool) -> Result<(), RemoteError> {
    if cancelled.load(Ordering::Relaxed) {
        return Err(RemoteError::Timeout {
            remote: objects.remote().to_owned(),
        });
    }
    Ok(())
}

fn join(folder: &BStr, name: &BStr) -> BString {
    let mut path = folder.to_owned();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

fn skipped(path: &BStr, reason: &str) -> Skipped {
    let path = match path.to_str() {
        Ok(path) => path.to_owned(),
        Err(_) => path.escape_bytes().to_string(),
    };
    Skipped {
        path,
        reason: reason.to_owned(),
    }
}

fn over(objects: &Objects, limit: &'static str) -> RemoteError {
    RemoteError::Limit {
        remote: objects.remote().to_owned(),
        limit,
    }
}

pub(super) fn unsafe_tree(objects: &Objects, path: &[u8], reason: &'static str) -> RemoteError {
    RemoteError::UnsafeTree {
        remote: objects.remote().to_owned(),
        path: path.escape_bytes().to_string(),
        reason,
    }
}
