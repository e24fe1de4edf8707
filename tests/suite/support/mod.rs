//! What the modules of this binary share.

pub(crate) mod conformance;
