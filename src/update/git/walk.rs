//! Walking down to the update path and below it: which files there are, and which objects are
//! missing to know it.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use bstr::{BStr, BString, ByteSlice as _};
use gix::{ObjectId, objs::Kind};

use super::{
    Interest, RemoteError, Screen, Skipped, UpdatePath,
    files::Files,
    folders::{self, Record},
    memory::{Memory, Survey},
    objects::Objects,
    tree::{self, Entry, EntryKind},
    unmarked,
};

/// How many entries are walked over.
const MAX_ENTRIES: usize = 1_000_000;
/// How many folders deep a file may lie, counted from the root.
const MAX_DEPTH: usize = 64;
/// How long the path of a file may be, in bytes.
const MAX_PATH: usize = 4096;

/// The files below the update path.
pub(super) struct Listing {
    /// The folder or file at the update path.
    pub(super) root: ObjectId,
    /// The files whose path the screen keeps, and of whose bytes nothing is known.
    pub(super) files: Files,
    pub(super) skipped: Vec<Skipped>,
    /// How many files are known to hold no markers.
    pub(super) known: usize,
    /// How many entries were walked over.
    pub(super) entries: usize,
    /// The folders that were walked through.
    pub(super) survey: Survey,
}

/// How far a walk came.
pub(super) enum Walked {
    /// To the end.
    All(Listing),
    /// Not even to the update path: this folder is not here.
    Above(ObjectId),
    /// These folders at or below the update path are not here; others below it may be.
    Below {
        missing: Vec<ObjectId>,
        is_root: bool,
        some_are_here: bool,
    },
}

impl Walked {
    /// The listing of a walk for which everything should be here.
    pub(super) fn complete(self, objects: &Objects) -> Result<Listing, RemoteError> {
        match self {
            Self::All(listing) => Ok(listing),
            Self::Above(id) => Err(objects.incomplete(&id)),
            Self::Below { missing, .. } => {
                let first = missing.first().copied();
                let id = first.unwrap_or_else(|| objects.hash().null());
                Err(objects.incomplete(&id))
            }
        }
    }
}

/// Lists the files below `path` in the tree `root`.
///
/// Symbolic links and submodules are never followed. Nothing is kept of a walk that was cancelled.
pub(super) fn walk(
    objects: &Objects,
    root: ObjectId,
    path: &UpdatePath,
    screen: &dyn Screen,
    memory: &Memory,
    cancelled: &AtomicBool,
) -> Result<Walked, RemoteError> {
    let start = match descend(objects, root, path)? {
        Ok(start) => start,
        Err(missing) => return Ok(Walked::Above(missing)),
    };
    let (Start::Folder(root) | Start::File(root)) = start;
    let mut walk = Walk {
        objects,
        screen,
        memory,
        listing: Listing {
            root,
            files: Files::default(),
            skipped: Vec::new(),
            known: 0,
            entries: 0,
            survey: Survey::default(),
        },
        missing: Vec::new(),
    };
    let mut folders = 0;
    match start {
        Start::Folder(root) => folders = walk.folders(root, path, cancelled)?,
        Start::File(id) => walk.single(id, path),
    }
    if walk.missing.is_empty() {
        return Ok(Walked::All(walk.listing));
    }
    Ok(Walked::Below {
        is_root: walk.missing == [root],
        missing: walk.missing,
        // The root itself is one of those that are here.
        some_are_here: folders > 1,
    })
}

enum Start {
    Folder(ObjectId),
    File(ObjectId),
}

/// Reads a folder; nothing where it is not here.
fn folder<'a>(
    objects: &Objects,
    id: &ObjectId,
    buffer: &'a mut Vec<u8>,
) -> Result<Option<&'a [u8]>, RemoteError> {
    match objects.read(id, Kind::Tree, buffer) {
        Err(RemoteError::Incomplete { .. }) if !objects.contains(id) => Ok(None),
        result => result.map(Some),
    }
}

/// Finds the update path, going through folders only; else the first folder that is not here.
fn descend(
    objects: &Objects,
    root: ObjectId,
    path: &UpdatePath,
) -> Result<Result<Start, ObjectId>, RemoteError> {
    let refused = |reason| RemoteError::NoPath {
        remote: objects.remote().to_owned(),
        path: path.as_str().escape_debug().to_string(),
        reason,
    };
    let mut id = root;
    let mut parts = path.parts().peekable();
    let mut buffer = Vec::new();
    while let Some(part) = parts.next() {
        let Some(bytes) = folder(objects, &id, &mut buffer)? else {
            return Ok(Err(id));
        };
        let mut fitting = None;
        for entry in tree::entries(bytes, objects.hash()) {
            let entry = entry.map_err(|_| objects.incomplete(&id))?;
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
            Some((EntryKind::Folder, below)) => id = below,
            Some((EntryKind::File, id)) if parts.peek().is_none() => {
                return Ok(Ok(Start::File(id)));
            }
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
    Ok(Ok(Start::Folder(id)))
}

/// A folder that is still to be looked into.
struct Pending {
    path: BString,
    id: ObjectId,
    depth: usize,
    /// Its folder's number in the survey.
    above: Option<usize>,
}

struct Walk<'a> {
    objects: &'a Objects,
    screen: &'a dyn Screen,
    memory: &'a Memory,
    listing: Listing,
    missing: Vec<ObjectId>,
}

impl Walk<'_> {
    fn single(&mut self, id: ObjectId, path: &UpdatePath) {
        match self.screen.interest(path.as_str()) {
            // Somebody named this very file, so passing over it in silence would puzzle them.
            Interest::Nothing => {
                self.skip(path.as_str().into(), "its name is not that of a YAML file");
            }
            interest => self.file(path.as_str(), id, interest),
        }
    }

    /// Walks over all folders from `root` on that are here or known, and tells how many these were.
    fn folders(
        &mut self,
        root: ObjectId,
        path: &UpdatePath,
        cancelled: &AtomicBool,
    ) -> Result<usize, RemoteError> {
        let mut read = 0;
        let mut pending = vec![Pending {
            path: path.as_str().into(),
            id: root,
            depth: path.parts().count(),
            above: None,
        }];
        let mut buffer = Vec::new();
        while let Some(next) = pending.pop() {
            check_cancelled(self.objects, cancelled)?;
            let key = folders::key(next.path.as_bstr(), &next.id);
            if let Some(record) = self.memory.folder(&key) {
                read += 1;
                self.recall(&next, key, record, &mut pending)?;
                continue;
            }
            let Some(bytes) = folder(self.objects, &next.id, &mut buffer)? else {
                self.missing.push(next.id);
                continue;
            };
            read += 1;
            let node = self
                .listing
                .survey
                .walked(next.above, next.path.as_bstr(), next.id, key);
            let mut names = HashSet::new();
            for entry in tree::entries(bytes, self.objects.hash()) {
                let entry = entry.map_err(|_| self.objects.incomplete(&next.id))?;
                self.count(1)?;
                self.listing.survey.count(node, 1);
                if let Some(reason) = tree::unsafe_name(entry.name) {
                    return Err(unsafe_tree(self.objects, &next.path, reason));
                }
                if !names.insert(entry.name) {
                    let reason = "a name stands in it twice";
                    return Err(unsafe_tree(self.objects, &next.path, reason));
                }
                let path = join(next.path.as_bstr(), entry.name);
                if entry.kind != EntryKind::Folder {
                    self.take(path, entry, node);
                } else if next.depth >= MAX_DEPTH {
                    let reason = "more than 64 folders deep";
                    self.listing.survey.skipped(node, entry.name, reason);
                    self.skip(path.as_bstr(), reason);
                } else {
                    pending.push(Pending {
                        path,
                        id: entry.id,
                        depth: next.depth + 1,
                        above: Some(node),
                    });
                }
            }
        }
        Ok(read)
    }

    /// Takes over what is known of a folder.
    fn recall(
        &mut self,
        folder: &Pending,
        key: folders::Key,
        record: Record,
        pending: &mut Vec<Pending>,
    ) -> Result<(), RemoteError> {
        self.count(usize::try_from(record.entries).unwrap_or(usize::MAX))?;
        self.listing.known += usize::try_from(record.known).unwrap_or(usize::MAX);
        let below = |name: &str| join(folder.path.as_bstr(), name.into());
        for (name, id) in &record.files {
            let path = below(name).to_string();
            self.listing.files.push(&path, *id);
        }
        for (name, reason) in &record.skipped {
            self.skip(below(name).as_bstr(), reason);
        }
        let folders = record.folders.clone();
        let survey = &mut self.listing.survey;
        let node = survey.recalled(folder.above, folder.path.as_bstr(), folder.id, key, record);
        pending.extend(folders.into_iter().map(|(name, id)| Pending {
            path: below(&name),
            id,
            depth: folder.depth + 1,
            above: Some(node),
        }));
        Ok(())
    }

    fn count(&mut self, entries: usize) -> Result<(), RemoteError> {
        self.listing.entries = self.listing.entries.saturating_add(entries);
        if self.listing.entries > MAX_ENTRIES {
            return Err(over(self.objects, "more than 1,000,000 entries"));
        }
        Ok(())
    }

    fn take(&mut self, path: BString, entry: Entry<'_>, node: usize) {
        let reason = match entry.kind {
            EntryKind::File if path.len() > MAX_PATH => "its path is longer than 4,096 bytes",
            EntryKind::File => match String::from_utf8(path.into()) {
                Ok(path) => {
                    match self.screen.interest(&path) {
                        Interest::Nothing => {}
                        interest => {
                            self.listing.survey.file(node);
                            self.file(&path, entry.id, interest);
                        }
                    }
                    return;
                }
                Err(error) => {
                    let path = BString::from(error.into_bytes());
                    return self.skip_fitting(path.as_bstr(), entry, node, "its path is not UTF-8");
                }
            },
            EntryKind::SymbolicLink => "symbolic link",
            EntryKind::Submodule => "submodule",
            EntryKind::Folder | EntryKind::Unknown => "neither file nor folder",
        };
        self.skip_fitting(path.as_bstr(), entry, node, reason);
    }

    fn file(&mut self, path: &str, id: ObjectId, interest: Interest) {
        let is_searched = interest == Interest::Searched;
        if is_searched && self.memory.unmarked().holds(&unmarked::entry(&id, path)) {
            self.listing.known += 1;
        } else {
            self.listing.files.push(path, id);
        }
    }

    fn skip_fitting(&mut self, path: &BStr, entry: Entry<'_>, node: usize, reason: &str) {
        if self.screen.interest(&path.to_str_lossy()) != Interest::Nothing {
            self.listing.survey.skipped(node, entry.name, reason);
            self.skip(path, reason);
        }
    }

    fn skip(&mut self, path: &BStr, reason: &str) {
        self.listing.skipped.push(skipped(path, reason));
    }
}

pub(super) fn check_cancelled(
    objects: &Objects,
    cancelled: &AtomicBool,
) -> Result<(), RemoteError> {
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

pub(super) fn skipped(path: &BStr, reason: &str) -> Skipped {
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
