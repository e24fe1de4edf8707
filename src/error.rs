//! What every room's error has in common: its [`Class`].

use serde::Serialize;

/// What kind of trouble an error is; this alone decides retry, condition and exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Class {
    /// Somebody has to change a document, a marker or a command line.
    Config,
    /// A server knows us and says no, or does not know us.
    Denied,
    /// The same call may succeed later.
    Transient,
    /// Somebody else was faster: observe and decide again.
    Conflict,
    /// The other side broke its protocol, or we did.
    Bug,
}
