//! Deciding: a [`Policy`] looks at a complete [`Scan`] and gives a [`Verdict`].
//!
//! Pure: no clock, no input or output, no async, no floats. The answer does not depend on the
//! order in which a registry listed its tags: every [`Order`] is total, and tags that compare
//! equal are settled by their bytes (the greatest wins).

use std::fmt;

use serde::Serialize;

use crate::image::Tag;

/// The name that a marker calls a policy by: `namespace:name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName {
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The Kubernetes name.
    pub name: String,
}

impl fmt::Display for PolicyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.namespace, self.name)
    }
}

impl Serialize for PolicyName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The tag that a policy chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Selection {
    /// The tag as the registry lists it.
    pub tag: Tag,
    /// What the order compared: the tag itself, or what `extract` made of it.
    pub key: String,
    /// Other tags that compared equal and lost by their bytes alone.
    pub ties: Vec<Tag>,
}
