//! Which values follow a policy: those with a marker, those that a rule names, and those that a
//! strategy finds.

use std::borrow::Cow;

use super::{
    discovery::{self, Discovery},
    git::{Interest, Screen},
    marker::{self, SCREEN_VERSION},
    yaml::Reading,
};

/// What governs values besides markers; nothing of it where an automation does not say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// The strategies.
    pub discovery: Discovery,
}

impl Targets {
    /// Adds to `reading`, which holds what is marked in the file `path`, what follows a policy
    /// without a marker.
    pub fn add(&self, path: &str, bytes: &[u8], reading: &mut Reading) {
        if self.discovery.is_empty() {
            return;
        }
        let found = discovery::discover(&self.discovery, path, bytes, reading);
        reading.setters.extend(found.setters);
        reading.setters.sort_by_key(|setter| setter.span.start);
        reading.findings.extend(found.findings);
        // A file that cannot be parsed is told once.
        reading.findings.sort();
        reading.findings.dedup();
    }
}

impl Screen for Targets {
    fn interest(&self, path: &str) -> Interest {
        if marker::screen_path(path) {
            Interest::Searched
        } else {
            Interest::Nothing
        }
    }

    fn keeps(&self, path: &str, bytes: &[u8]) -> bool {
        marker::screen(path, bytes) || self.discovery.keeps(path, bytes)
    }

    fn version(&self) -> Cow<'_, str> {
        match self.discovery.word() {
            Cow::Borrowed("") => Cow::Borrowed(SCREEN_VERSION),
            word => Cow::Owned(format!("{SCREEN_VERSION}-{word}")),
        }
    }
}
