//! Reading the files of a listing, on all cores.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use gix::{ObjectId, objs::Kind};

use super::{
    Interest, RemoteError, Screen, Skipped, SourceFile,
    files::{Entry, Files},
    objects::Objects,
    unmarked::{self, Findings},
    walk::{Listing, check_cancelled, skipped},
};

/// How large a file may be to be read.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// How many bytes all files together may have that are kept.
const MAX_KEPT: u64 = 256 * 1024 * 1024;
/// How many files a thread takes at a time; below that, one thread does it all.
const BATCH: usize = 256;

/// What was found below the update path.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<SourceFile>,
    pub(super) looked_at: usize,
    pub(super) skipped: Vec<Skipped>,
    /// The files that hold no markers.
    pub(super) unmarked: Findings,
    /// Every other file that was looked at, by path.
    pub(super) seen: Vec<(String, Seen)>,
}

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is kept.
    Kept(ObjectId),
    /// It is passed over, for this reason.
    Passed(&'static str),
}

const TOO_LARGE: &str = "larger than 4 MiB";

/// Inflates the files of a listing on all cores and keeps those that the screen keeps, in the order
/// of their paths.
pub(super) fn inflate(
    objects: &Objects,
    mut listing: Listing,
    screen: &dyn Screen,
    cancelled: &AtomicBool,
) -> Result<Found, RemoteError> {
    if listing.files.len() > BATCH {
        // In the order of their paths, 100,000 files take three times as long.
        let place = |file: &Entry| objects.place(&file.id);
        listing.files.sort_by_cached_key(place);
    }
    let files = &listing.files;
    let batches = files.entries().chunks(BATCH).collect::<Vec<_>>();
    let next = AtomicUsize::new(0);
    let kept = AtomicU64::new(0);
    let all = Mutex::new(Found {
        skipped: std::mem::take(&mut listing.skipped),
        looked_at: listing.known,
        // Most files hold no markers; a list that grows would leave holes as large as itself.
        unmarked: Findings::with_capacity(listing.files.len()),
        ..Found::default()
    });
    let work = |objects: Objects| -> Result<(), RemoteError> {
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            check_cancelled(&objects, cancelled)?;
            let mut mine = inflate_batch(&objects, files, batch, screen)?;
            let new = mine.files.iter().map(|file| file.bytes.len() as u64);
            let new = new.sum::<u64>();
            if kept.fetch_add(new, Ordering::Relaxed) + new > MAX_KEPT {
                return Err(RemoteError::Limit {
                    remote: objects.remote().to_owned(),
                    limit: "more than 256 MiB in files that markers or rules name",
                });
            }
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.files.append(&mut mine.files);
            all.skipped.append(&mut mine.skipped);
            all.looked_at += mine.looked_at;
            all.seen.append(&mut mine.seen);
            all.unmarked.append(&mut mine.unmarked);
        }
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
    let mut found = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    found
        .files
        .sort_by(|left, right| left.path.cmp(&right.path));
    found
        .skipped
        .sort_by(|left, right| left.path.cmp(&right.path));
    Ok(found)
}

fn inflate_batch(
    objects: &Objects,
    files: &Files,
    batch: &[Entry],
    screen: &dyn Screen,
) -> Result<Found, RemoteError> {
    let mut found = Found::default();
    let mut buffer = Vec::new();
    for file in batch {
        let (path, id) = (files.path(file), &file.id);
        if objects.size(id)? > MAX_FILE {
            found.skipped.push(skipped(path.as_str().into(), TOO_LARGE));
            found.seen.push((path, Seen::Passed(TOO_LARGE)));
            continue;
        }
        let bytes = objects.read(id, Kind::Blob, &mut buffer)?;
        found.looked_at += 1;
        let is_searched = screen.interest(&path) == Interest::Searched;
        if !is_searched || screen.keeps(&path, bytes) {
            found.seen.push((path.clone(), Seen::Kept(*id)));
            found.files.push(SourceFile {
                path,
                bytes: bytes.to_vec(),
            });
        } else {
            found.unmarked.push(unmarked::entry(id, &path));
        }
    }
    Ok(found)
}
