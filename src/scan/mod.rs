//! Observing registries: a [`Scan`] is one complete listing of a repository's tags.
//!
//! A listing that could not be read to its end is a [`ScanError`], never a short list. This room
//! knows nothing of policies, YAML, git or Kubernetes.

pub mod error;
pub mod keychain;
pub mod limits;
pub mod user_config;
mod wire;

pub(crate) mod hash;
pub(crate) mod manifest;
pub(crate) mod metadata;
pub(crate) mod signed;

mod budget;
mod caller;
mod collect;
mod header;
mod inspect;
mod listing;
mod oci;
mod page;
mod place;
mod reader;
mod referrers;
mod schedule;
mod session;
mod signature;
mod store;
mod token;

use std::{collections::BTreeMap, fmt, future::Future, time::Duration};

use chrono::{DateTime, Utc};

use crate::{
    egress::Route,
    image::{Digest, Repository, Tag},
};

pub use self::{
    budget::Allowance,
    error::{Complaint, RealmFault, ScanError, Who},
    keychain::{Keychain, KeychainError},
    limits::Limits,
    oci::OciRegistry,
    referrers::Referrer,
    schedule::next_scan,
    signature::{KeyFault, Signature, TrustedKeys},
    store::Store,
};

/// A registry, real or simulated.
pub trait Registry: Sync {
    /// Lists every tag of `repository`.
    fn scan(
        &self,
        repository: &Repository,
        access: &Access,
    ) -> impl Future<Output = Result<Scan, ScanError>> + Send;

    /// Lists `repository`, and keeps of a very long listing only what `sieve` keeps.
    ///
    /// What it lets go is counted in [`Scan::sifted`].
    fn sift(
        &self,
        repository: &Repository,
        access: &Access,
        sieve: &Sieve<'_>,
    ) -> impl Future<Output = Result<Scan, ScanError>> + Send {
        let _ = sieve;
        self.scan(repository, access)
    }

    /// What is known of `tag` beside its name, as deep as `depth` goes.
    ///
    /// A field that nobody can tell stays missing; a manifest that cannot be read is an error.
    fn facts(
        &self,
        repository: &Repository,
        tag: &Tag,
        depth: Depth,
        access: &Access,
    ) -> impl Future<Output = Result<TagFacts, ScanError>> + Send;

    /// Resolves `tag` to the digest of its manifest or index.
    fn digest(
        &self,
        repository: &Repository,
        tag: &Tag,
        access: &Access,
    ) -> impl Future<Output = Result<Digest, ScanError>> + Send;

    /// Whether one of `keys` signed the manifest `digest`.
    ///
    /// What keeps it from being looked at, and may pass, is an error; anything else that is wrong is
    /// an answer, and none of these is [`Signature::By`].
    fn signature(
        &self,
        repository: &Repository,
        digest: &Digest,
        keys: &TrustedKeys,
        access: &Access,
    ) -> impl Future<Output = Result<Signature, ScanError>> + Send;
}

/// One complete listing at one instant.
#[derive(Clone, Debug)]
pub struct Scan {
    /// What was listed.
    pub repository: Repository,
    /// Every tag, without duplicates, in descending byte order.
    pub tags: Vec<Tag>,
    /// How many entries of the listing were no tags by the grammar; they are dropped unseen.
    pub refused: usize,
    /// How many tags more were listed, and not kept, because no policy takes them by their names.
    pub sifted: usize,
    /// When the last page arrived.
    pub finished: DateTime<Utc>,
    /// How long the listing took.
    pub took: Duration,
    /// What is known of single tags beside their names; a listing alone knows nothing.
    pub facts: BTreeMap<Tag, TagFacts>,
}

/// What is known of one tag; each field is missing where nobody asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagFacts {
    /// When the image was built, by its configuration.
    pub created: Option<DateTime<Utc>>,
    /// When the image was built, by its annotation `org.opencontainers.image.created`.
    pub annotated: Option<DateTime<Utc>>,
    /// When the tag was first seen in a listing.
    pub first_seen: Option<DateTime<Utc>>,
    /// What it runs on, such as `linux/arm64`.
    pub platforms: Option<Vec<String>>,
    /// The digest of its manifest or index.
    pub digest: Option<Digest>,
    /// Where its source code is: `org.opencontainers.image.source`.
    pub source: Option<String>,
    /// Which commit it was built from: `org.opencontainers.image.revision`.
    pub revision: Option<String>,
    /// Which version it says it is: `org.opencontainers.image.version`.
    pub version: Option<String>,
    /// The bytes of its layers, as they are pulled; of an index, those of its first image.
    pub size: Option<u64>,
    /// Who signed the manifest of this digest.
    pub signature: Option<Signature>,
}

/// How much of a tag is to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Which manifest it names, and since when: one request, which counts as no pull.
    Digest,
    /// What the manifest and the configuration say too.
    Image,
}

/// Which tags of a very long listing are kept.
#[derive(Clone, Copy)]
pub struct Sieve<'s>(Option<&'s (dyn Fn(&str) -> bool + Sync)>);

impl<'s> Sieve<'s> {
    /// Keeps the tags that `keeps` says yes to.
    pub const fn new(keeps: &'s (dyn Fn(&str) -> bool + Sync)) -> Self {
        Self(Some(keeps))
    }

    /// Keeps every tag.
    pub const fn open() -> Self {
        Self(None)
    }

    fn is_open(&self) -> bool {
        self.0.is_none()
    }

    fn keeps(&self, tag: &str) -> bool {
        self.0.is_none_or(|keeps| keeps(tag))
    }
}

impl fmt::Debug for Sieve<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_open() {
            "Sieve(open)"
        } else {
            "Sieve(..)"
        })
    }
}

/// With which rights, and by which way, a repository is read.
#[derive(Clone, Debug)]
pub struct Access {
    /// The credentials at hand, each for its own place.
    pub keychain: Keychain,
    /// TLS, proxy and whether `http:` is acceptable.
    pub route: Route,
    /// How long one scan or one digest look-up may take, from the first byte to the last.
    pub timeout: Duration,
    /// How often a listing is read from its beginning, where it is enough to ask in between for the
    /// tags after the last one that is known; nothing to always read all of it.
    pub whole_every: Option<Duration>,
}
