//! Observing registries: a [`Scan`] is one complete listing of a repository's tags.
//!
//! A listing that could not be read to its end is a [`ScanError`], never a short list. This room
//! knows nothing of policies, YAML, git or Kubernetes.

pub mod error;
pub mod keychain;
pub mod limits;
pub mod user_config;

pub(crate) mod hash;

mod caller;
mod header;
mod listing;
mod oci;
mod page;
mod place;
mod session;
mod token;

use std::{collections::BTreeMap, future::Future, time::Duration};

use chrono::{DateTime, Utc};

use crate::{
    egress::Route,
    image::{Digest, Repository, Tag},
};

pub use self::{
    error::{Complaint, RealmFault, ScanError, Who},
    keychain::{Keychain, KeychainError},
    limits::Limits,
    oci::OciRegistry,
};

/// A registry, real or simulated.
pub trait Registry: Sync {
    /// Lists every tag of `repository`.
    fn scan(
        &self,
        repository: &Repository,
        access: &Access,
    ) -> impl Future<Output = Result<Scan, ScanError>> + Send;

    /// Resolves `tag` to the digest of its manifest or index.
    fn digest(
        &self,
        repository: &Repository,
        tag: &Tag,
        access: &Access,
    ) -> impl Future<Output = Result<Digest, ScanError>> + Send;
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
}
