//! Which credential a repository is read with.

/// Credentials for registries, each for its own place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keychain {}
