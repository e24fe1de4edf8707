//! Markers: comments that say which policy a value follows.

use crate::{image::Repository, policy::PolicyName};

/// What a marker comment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The policy that governs the value.
    pub policy: PolicyKey,
    /// Which part of the chosen image the value is.
    pub field: Field,
    /// The marker's own text: `ns:name:tag`, or the words after `tagwright:`.
    pub text: String,
}

/// Which policy governs a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyKey {
    /// An `ImagePolicy` document.
    Named(PolicyName),
    /// A policy that stands in the comment itself.
    Inline {
        /// The image it is about, from the value or from `image=`.
        repository: Repository,
        /// The policy's words in a canonical spelling, so that equal policies are one.
        rule: String,
    },
}

/// Which part of the chosen image a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The whole reference, with its digest where the policy reflects digests (`ns:name`).
    Image,
    /// The tag (`ns:name:tag`).
    Tag,
    /// The repository (`ns:name:name`).
    Name,
    /// The digest, or nothing where there is none (`ns:name:digest`).
    Digest,
}
