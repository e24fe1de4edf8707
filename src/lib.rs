//! tagwright keeps image references in Git current.

pub mod error;
pub mod image;
pub mod secret;

pub mod egress;
pub mod fixture;
pub mod policy;
pub mod scan;
pub mod update;
