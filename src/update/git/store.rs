//! The bare store that fetched objects are kept in: safe to delete at any time.
#![expect(
    clippy::disallowed_methods,
    reason = "the store is where fetched objects touch the disk"
)]

use std::{
    fs,
    hash::{Hash as _, Hasher},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use base64::Engine as _;
use bytes::{Buf as _, Bytes};
use gix::{ObjectId, hash::Kind as Hash};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::egress::one_line;

use super::{
    RemoteError, Source,
    folders::Folders,
    objects::{MAX_OBJECT, Objects},
    unmarked::Unmarked,
};

/// How many packs are collected before the store starts over; each fetch adds one.
const MAX_PACKS: usize = 50;
/// How large the packs together may be.
const MAX_SIZE: u64 = 2 * 1024 * 1024 * 1024;
/// How many stores there may be in one place.
const MAX_STORES: usize = 100;
/// What the folder of a damaged store ends with.
const DAMAGED: &str = ".damaged";
/// How many complete commits are remembered.
const MAX_TIPS: usize = 16;

/// The objects of one remote, as one credential sees it by one route.
#[derive(Clone)]
pub(super) struct Store {
    folder: PathBuf,
    hash: Hash,
    remote: String,
}

impl Store {
    /// The store below `root` for a source.
    ///
    /// Credential and route are part of its name: who can make us talk to a server of their own
    /// under somebody else's address must not be shown what that somebody has fetched.
    pub(super) fn of(root: &Path, source: &Source, hash: Hash, remote: &str) -> Self {
        let mut name = NameHasher(Sha256::new());
        (&source.url, &source.login, &source.route).hash(&mut name);
        let digest = name.0.finalize();
        let name = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
        Self {
            folder: root.join(format!("{name}-{hash}")),
            hash,
            remote: remote.to_owned(),
        }
    }

    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// The address that the objects come from, for messages.
    pub(super) fn remote(&self) -> &str {
        &self.remote
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens the objects, in a new and empty store where there is none.
    pub(super) fn open(&self) -> Result<Objects, RemoteError> {
        fs::create_dir_all(self.packs()).map_err(|error| self.failed("make the store", error))?;
        let objects = Objects::open(&self.folder.join("objects"), self.hash, &self.remote)?;
        Ok(objects.settled())
    }

    /// The commits of which everything is here, the newest last.
    pub(super) fn tips(&self) -> Vec<ObjectId> {
        // A list that is missing or garbled only means that more is fetched.
        let text = fs::read_to_string(self.tips_file()).unwrap_or_default();
        text.lines()
            .filter_map(|line| ObjectId::from_hex(line.as_bytes()).ok())
            .collect()
    }

    /// Remembers that everything of these commits is here.
    pub(super) fn remember(&self, ids: &[ObjectId]) -> Result<(), RemoteError> {
        let mut tips = self.tips();
        tips.retain(|tip| !ids.contains(tip));
        tips.extend_from_slice(ids);
        let kept = tips.len().saturating_sub(MAX_TIPS);
        let lines: Vec<String> = tips.iter().skip(kept).map(ToString::to_string).collect();
        self.replace(&self.tips_file(), lines.join("\n").as_bytes())
    }

    /// What is known of the blobs, as a version of the screen found them.
    pub(super) fn unmarked(&self, screen: &str) -> Unmarked {
        let bytes = fs::read(self.memory("unmarked", screen)).unwrap_or_default();
        Unmarked::parse(&bytes, screen)
    }

    /// Remembers which blobs hold no markers.
    pub(super) fn note_unmarked(
        &self,
        unmarked: &Unmarked,
        screen: &str,
    ) -> Result<(), RemoteError> {
        self.replace(&self.memory("unmarked", screen), &unmarked.print())
    }

    /// What is known of the folders, as a version of the screen found them.
    pub(super) fn folders(&self, screen: &str) -> Folders {
        let bytes = fs::read(self.memory("folders", screen)).unwrap_or_default();
        Folders::parse(bytes, screen)
    }

    /// Remembers what there is to see in folders.
    pub(super) fn note_folders(&self, folders: &Folders, screen: &str) -> Result<(), RemoteError> {
        self.replace(&self.memory("folders", screen), &folders.print())
    }

    /// Writes a file, all of it or nothing.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), RemoteError> {
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            io::Write::write_all(&mut file, bytes)?;
            file.persist(path)?;
            Ok(())
        };
        write().map_err(|error| self.failed("note what was fetched", error))
    }

    /// Whether the store has grown so much that starting over is cheaper.
    pub(super) fn is_crowded(&self) -> bool {
        let Ok(files) = fs::read_dir(self.packs()) else {
            return false;
        };
        let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
        let (count, size) = sizes.fold((0, 0), |(count, sum), size| (count + 1, sum + size));
        count > 2 * MAX_PACKS || size > MAX_SIZE
    }

    /// Starts over.
    pub(super) fn clear(&self) -> Result<(), RemoteError> {
        remove(&self.folder).map_err(|error| self.failed("clear the store", error))
    }

    /// Starts over and keeps what is damaged for whoever wants to know why, in place of what was
    /// damaged before.
    pub(super) fn set_aside(&self) -> Result<(), RemoteError> {
        let mut aside = self.folder.clone().into_os_string();
        aside.push(DAMAGED);
        remove(Path::new(&aside))
            .and_then(|()| fs::rename(&self.folder, &aside))
            .or_else(|_| remove(&self.folder))
            .map_err(|error| self.failed("set the store aside", error))
    }

    /// The stores beside a new one that are too many, those first that were written longest ago.
    pub(super) fn superfluous(&self) -> Vec<PathBuf> {
        let Some(root) = self.folder.parent().filter(|_| !self.folder.exists()) else {
            return Vec::new();
        };
        let stores = fs::read_dir(root).into_iter().flatten();
        let stores = stores.filter_map(|store| {
            let store = store.ok()?;
            let metadata = store.metadata().ok().filter(fs::Metadata::is_dir)?;
            Some((metadata.modified().ok()?, store.path()))
        });
        let mut stores: Vec<_> = stores.collect();
        stores.sort();
        let count = (stores.len() + 1).saturating_sub(MAX_STORES);
        stores
            .into_iter()
            .take(count)
            .map(|(_, path)| path)
            .collect()
    }

    /// Writes a pack with its index, both of them or none; blocks until `feed` has ended.
    pub(super) fn write_pack(&self, feed: Feed, cancelled: &AtomicBool) -> Result<(), RemoteError> {
        let options = gix_pack::bundle::write::Options {
            alloc_limit_bytes: Some(MAX_OBJECT),
            ..Default::default()
        };
        let written = gix_pack::Bundle::write_to_directory(
            &mut io::BufReader::with_capacity(64 * 1024, feed),
            Some(&self.packs()),
            &mut gix::progress::Discard,
            cancelled,
            None::<gix::odb::Handle>,
            self.hash,
            options,
        )
        .map_err(|error| RemoteError::Protocol {
            remote: self.remote.clone(),
            detail: format!(
                "its pack is unusable: {}",
                one_line(format!("{error:#}").as_bytes())
            ),
        })?;
        if let Some(keep) = written.keep_path {
            fs::remove_file(keep).map_err(|error| self.failed("finish a pack", error))?;
        }
        Ok(())
    }

    fn packs(&self) -> PathBuf {
        self.folder.join("objects/pack")
    }

    /// Automations that look for different things remember different things.
    fn memory(&self, name: &str, screen: &str) -> PathBuf {
        let digest = Sha256::digest(screen);
        let word = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
        let word = word.get(..8).unwrap_or_default();
        self.folder.join(format!("{name}-{word}"))
    }

    fn tips_file(&self) -> PathBuf {
        self.folder.join("tips")
    }

    fn failed(&self, attempt: &'static str, source: io::Error) -> RemoteError {
        RemoteError::Store {
            remote: self.remote.clone(),
            attempt,
            source,
        }
    }
}

/// Removes a folder, if there is one.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The bytes of a pack on their way from the network to the thread that indexes it.
pub(super) struct Feed {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Feed {
    /// A feed that ends when all senders are gone.
    pub(super) fn new(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self {
            receiver,
            current: Bytes::new(),
        }
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(bytes) => self.current = bytes,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Feeds what `derive(Hash)` says about a value into SHA-256: a folder's name must not collide on
/// purpose.
struct NameHasher(Sha256);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
