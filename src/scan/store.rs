//! What is remembered between scans: metadata by digest, when a tag was first seen, and the last
//! listing of each reader.
//!
//! Losing it costs requests and the ages of first sights, which then hold; it changes no decision.
//! So nothing here is an error: what cannot be read was never there.

mod packed;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    backends::InMemoryBackend,
};

use self::packed::{pack, unpack};
use super::{metadata::Metadata, reader::Key};
use crate::image::{Digest, Tag};

/// The form of what is kept; another number is another form.
const FORMAT: u64 = 2;
/// How much of the file is held in memory.
const CACHE: usize = 16 * 1024 * 1024;
/// The name of the file in its folder.
const FILE: &str = "tags.redb";

const FORMATS: TableDefinition<'_, &str, u64> = TableDefinition::new("format");
const METADATA: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("metadata");
const SIGHTS: TableDefinition<'_, &[u8], i64> = TableDefinition::new("sights");
const LISTINGS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("listings");
const WHOLE: TableDefinition<'_, &[u8], i64> = TableDefinition::new("whole");

/// What is remembered between scans.
pub struct Store {
    database: Option<Database>,
    place: Place,
}

/// Where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Memory,
    File(PathBuf),
}

/// The last listing that a reader got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Saved {
    /// How it was served, where that can be asked for again page by page.
    pub(super) pages: Vec<SavedPage>,
    /// The tags, in descending byte order.
    pub(super) tags: Vec<Tag>,
    /// How many entries were no tags.
    pub(super) refused: usize,
    /// How many tags were not kept; such a listing is not saved.
    pub(super) sifted: usize,
}

/// A page of a listing that was saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SavedPage {
    /// The path and query that it was asked for by.
    pub(super) target: String,
    /// What the registry calls this state of it; empty where it has no name.
    pub(super) etag: String,
    /// How many tags it has.
    pub(super) tags: usize,
}

impl Saved {
    /// The state, the tags and the successor of the page with this `number`, where it was asked
    /// for at `target` and its state has a name.
    pub(super) fn page(&self, number: usize, target: &str) -> Option<Known<'_>> {
        let page = self.pages.get(number)?;
        let is_known = page.target == target && !page.etag.is_empty();
        // The first page has the last tags.
        let later: usize = self.pages[number + 1..].iter().map(|it| it.tags).sum();
        let tags = self.tags.get(later..later + page.tags)?;
        is_known.then(|| Known {
            etag: &page.etag,
            tags,
            next: self.pages.get(number + 1).map(|it| it.target.as_str()),
        })
    }
}

/// What is known of a page that is about to be asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'s> {
    pub(super) etag: &'s str,
    /// Its tags in descending byte order.
    pub(super) tags: &'s [Tag],
    /// Where the next page was asked for.
    pub(super) next: Option<&'s str>,
}

/// Why a file is no store of ours.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error(transparent)]
    Database(#[from] redb::Error),
    #[error("it has the form {0}, and this program writes {FORMAT}")]
    Form(u64),
    #[error("its checksums do not fit")]
    Damaged,
}

impl Store {
    /// A store for one run.
    pub fn in_memory() -> Self {
        let database = builder().create_with_backend(InMemoryBackend::new());
        Self {
            database: database.ok(),
            place: Place::Memory,
        }
    }

    /// The store in `folder`.
    ///
    /// A file that is damaged, or of another form, is set aside, and a new one is begun. One that
    /// another process has open is left to it; this process remembers for itself then.
    pub fn open(folder: &Path) -> Self {
        let path = folder.join(FILE);
        match attempt(&path) {
            Ok(database) => return Self::file(database, path),
            Err(Unfit::Database(redb::Error::DatabaseAlreadyOpen)) => {
                tracing::info!(path = %path.display(), "another process has the store open");
                return Self::in_memory();
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the store is set aside");
            }
        }
        let aside = path.with_extension("redb.set-aside");
        let fresh = std::fs::rename(&path, &aside)
            .is_ok()
            .then(|| attempt(&path));
        match fresh {
            Some(Ok(database)) => Self::file(database, path),
            _ => Self::in_memory(),
        }
    }

    /// Whether what is remembered outlives the process.
    pub fn is_lasting(&self) -> bool {
        self.place != Place::Memory
    }

    pub(super) fn metadata(&self, digest: &Digest) -> Option<Metadata> {
        let bytes = self.read(|transaction| {
            let table = transaction.open_table(METADATA)?;
            Ok(table.get(digest.as_str())?.map(|it| it.value().to_vec()))
        })?;
        serde_json::from_slice(&bytes).ok()
    }

    pub(super) fn keep_metadata(&self, digest: &Digest, metadata: &Metadata) {
        let Ok(bytes) = serde_json::to_vec(metadata) else {
            return;
        };
        self.write(|transaction| {
            let mut table = transaction.open_table(METADATA)?;
            table.insert(digest.as_str(), bytes.as_slice())?;
            Ok(())
        });
    }

    /// When something was first seen: `now`, where it was not seen before.
    pub(super) fn first_sight(&self, key: Key, now: DateTime<Utc>) -> DateTime<Utc> {
        let known = self.read(|transaction| {
            let table = transaction.open_table(SIGHTS)?;
            Ok(table.get(key.0.as_slice())?.map(|it| it.value()))
        });
        if let Some(known) = known.and_then(DateTime::from_timestamp_micros) {
            // A clock that was set back since does not make a tag seen in the future.
            return known.min(now);
        }
        let micros = now.timestamp_micros();
        self.write(|transaction| {
            let mut table = transaction.open_table(SIGHTS)?;
            table.insert(key.0.as_slice(), micros)?;
            Ok(())
        });
        // As exact as it is kept.
        DateTime::from_timestamp_micros(micros).unwrap_or(now)
    }

    pub(super) fn listing(&self, key: Key) -> Option<Saved> {
        let bytes = self.read(|transaction| {
            let table = transaction.open_table(LISTINGS)?;
            Ok(table.get(key.0.as_slice())?.map(|it| it.value().to_vec()))
        })?;
        unpack(&bytes)
    }

    pub(super) fn keep_listing(&self, key: Key, listing: &Saved) {
        let bytes = pack(listing);
        self.write(|transaction| {
            let mut table = transaction.open_table(LISTINGS)?;
            table.insert(key.0.as_slice(), bytes.as_slice())?;
            Ok(())
        });
    }

    /// When a listing was last read from its beginning.
    pub(super) fn whole_at(&self, key: Key) -> Option<DateTime<Utc>> {
        let micros = self.read(|transaction| {
            let table = transaction.open_table(WHOLE)?;
            Ok(table.get(key.0.as_slice())?.map(|it| it.value()))
        })?;
        DateTime::from_timestamp_micros(micros)
    }

    pub(super) fn keep_whole_at(&self, key: Key, now: DateTime<Utc>) {
        self.write(|transaction| {
            let mut table = transaction.open_table(WHOLE)?;
            table.insert(key.0.as_slice(), now.timestamp_micros())?;
            Ok(())
        });
    }

    fn file(database: Database, path: PathBuf) -> Self {
        Self {
            database: Some(database),
            place: Place::File(path),
        }
    }

    fn read<T>(
        &self,
        look: impl FnOnce(&redb::ReadTransaction) -> Result<Option<T>, redb::Error>,
    ) -> Option<T> {
        let transaction = self.database.as_ref()?.begin_read().ok()?;
        look(&transaction).ok().flatten()
    }

    fn write(&self, change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>) {
        let Some(database) = &self.database else {
            return;
        };
        let written = database
            .begin_write()
            .map_err(redb::Error::from)
            .and_then(|transaction| {
                change(&transaction)?;
                Ok(transaction.commit()?)
            });
        if let Err(error) = written {
            tracing::debug!(%error, "the store could not be written");
        }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

fn attempt(path: &Path) -> Result<Database, Unfit> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(redb::Error::Io)?;
    }
    let mut database = builder()
        .create(path)
        .map_err(|error: DatabaseError| redb::Error::from(error))?;
    if !database.check_integrity().map_err(redb::Error::from)? {
        return Err(Unfit::Damaged);
    }
    let transaction = database.begin_write().map_err(redb::Error::from)?;
    let found = {
        let mut formats = transaction.open_table(FORMATS).map_err(redb::Error::from)?;
        let found = formats
            .get("format")
            .map_err(redb::Error::from)?
            .map_or(FORMAT, |it| it.value());
        formats.insert("format", found).map_err(redb::Error::from)?;
        found
    };
    transaction.commit().map_err(redb::Error::from)?;
    if found == FORMAT {
        Ok(database)
    } else {
        Err(Unfit::Form(found))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Store({:?})", self.place)
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::in_memory()
    }
}

#[cfg(test)]
mod tests;
