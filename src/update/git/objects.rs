//! Reading and writing objects of one repository.

use std::{io, path::Path};

use bstr::ByteSlice as _;
use chrono::{DateTime, Utc};
use gix::{
    ObjectId,
    hash::Kind as Hash,
    objs::{Exists as _, Find as _, Kind, Write as _},
    odb::Header as _,
};

use super::{
    RemoteError,
    cache::PackCache,
    commit::{AUTOMATION, STACKED},
    stamp,
};

/// The trailer of our default message, which stays where a commit is squashed or rebased.
const TRAILER: &[u8] = b"Tagwright-Automation: ";

/// How large one object may be when inflated.
pub(super) const MAX_OBJECT: usize = 64 * 1024 * 1024;

/// The objects of one repository; a clone is for another thread.
#[derive(Clone)]
pub(super) struct Objects {
    handle: gix::odb::Handle,
    hash: Hash,
    remote: String,
}

/// What matters about a commit.
pub(super) struct CommitFacts {
    pub(super) tree: ObjectId,
    pub(super) parents: Vec<ObjectId>,
    pub(super) time: DateTime<Utc>,
    pub(super) author_email: String,
    pub(super) message: String,
    pub(super) automation: Option<String>,
    /// Whether it is one of our own, whatever became of its headers.
    pub(super) is_ours: bool,
}

impl Objects {
    /// Opens the `objects` folder of a repository.
    pub(super) fn open(folder: &Path, hash: Hash, remote: &str) -> Result<Self, RemoteError> {
        let options = gix::odb::store::init::Options {
            alloc_limit_bytes: Some(MAX_OBJECT),
            ..Default::default()
        };
        let mut handle = gix::odb::at_opts(folder, hash, None, options).map_err(|source| {
            RemoteError::Store {
                remote: remote.to_owned(),
                attempt: "open the objects",
                source,
            }
        })?;
        // Places in packs are only told while packs stay where they are.
        handle.prevent_pack_unload();
        Ok(Self {
            handle: handle.with_pack_cache(|| Box::new(PackCache::new())),
            hash,
            remote: remote.to_owned(),
        })
    }

    /// The same objects for somebody who knows that none will be added while they are open: what is
    /// missing is not looked for again.
    pub(super) fn settled(mut self) -> Self {
        self.handle.refresh_never();
        self
    }

    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// The address that the objects come from, for messages.
    pub(super) fn remote(&self) -> &str {
        &self.remote
    }

    /// Every object there is, for the fuzz target.
    #[cfg(fuzzing)]
    pub(super) fn ids(&self) -> Vec<ObjectId> {
        let all = self.handle.iter().into_iter().flatten();
        all.filter_map(Result::ok).collect()
    }

    pub(super) fn contains(&self, id: &ObjectId) -> bool {
        self.handle.exists(id)
    }

    /// The size of an object; for a delta that is the size of its result.
    pub(super) fn size(&self, id: &ObjectId) -> Result<u64, RemoteError> {
        match self.handle.try_header(id) {
            Ok(Some(header)) => Ok(header.size()),
            Ok(None) | Err(_) => Err(self.incomplete(id)),
        }
    }

    /// Where an object stands among all packs; reading in this order meets each chain of deltas once.
    pub(super) fn place(&self, id: &ObjectId) -> Option<u64> {
        let found = gix_pack::Find::location_by_oid(&self.handle, id, &mut Vec::new());
        let location = found.ok().flatten()?;
        // No pack is as large as a tebibyte.
        Some(u64::from(location.pack_id) << 40 | location.pack_offset)
    }

    /// Reads an object of `kind` into `buffer`.
    pub(super) fn read<'a>(
        &self,
        id: &ObjectId,
        kind: Kind,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], RemoteError> {
        match self.handle.try_find(id, buffer) {
            Ok(Some(object)) if object.kind == kind => Ok(object.data),
            Ok(_) | Err(_) => Err(self.incomplete(id)),
        }
    }

    pub(super) fn commit(&self, id: &ObjectId) -> Result<CommitFacts, RemoteError> {
        let mut buffer = Vec::new();
        let bytes = self.read(id, Kind::Commit, &mut buffer)?;
        let commit =
            gix::objs::CommitRef::from_bytes(bytes, self.hash).map_err(|_| self.incomplete(id))?;
        let email = commit.author().map(|author| author.email.to_string());
        let header = |name| commit.extra_headers().find(name).map(ToString::to_string);
        let parents = commit.parents().map(|id| id.to_string());
        let stamped = || {
            let message = commit.message.to_str_lossy();
            let tree = commit.tree().to_string();
            stamp::automation(&message, &parents.collect::<Vec<_>>(), &tree)
        };
        let automation = header(AUTOMATION).or_else(stamped);
        let is_own_line = |line: &[u8]| line.starts_with(TRAILER) || stamp::is_stamp(line);
        let is_ours = automation.is_some()
            || header(STACKED).is_some()
            || commit.message.lines().any(is_own_line);
        let seconds = commit.committer().map(|committer| committer.seconds());
        Ok(CommitFacts {
            tree: commit.tree(),
            parents: commit.parents().collect(),
            time: DateTime::from_timestamp(seconds.unwrap_or_default(), 0).unwrap_or_default(),
            author_email: email.unwrap_or_default(),
            message: commit.message.to_string(),
            automation,
            is_ours,
        })
    }

    /// Writes a loose object.
    pub(super) fn write(&self, kind: Kind, bytes: &[u8]) -> Result<ObjectId, RemoteError> {
        self.handle
            .write_buf(kind, bytes)
            .map_err(|error| RemoteError::Store {
                remote: self.remote.clone(),
                attempt: "write an object",
                source: io::Error::other(error),
            })
    }

    pub(super) fn incomplete(&self, id: &ObjectId) -> RemoteError {
        RemoteError::Incomplete {
            remote: self.remote.clone(),
            id: id.to_string(),
        }
    }
}
