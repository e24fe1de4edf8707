//! What the process was started with, as far as clouds look at it.

#![expect(
    clippy::disallowed_methods,
    reason = "an edge file: variables and token files are how clouds hand out identities"
)]

use std::{collections::BTreeMap, io, path::Path};

use crate::secret::Secret;

/// The longest token or credential file that is read.
const MAX_FILE: u64 = 256 * 1024;
/// The variables that are looked at. The AWS SDK reads its own.
const VARIABLES: [&str; 13] = [
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_ENVIRONMENT_FILEPATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_TENANT_ID",
    "CLOUDSDK_CONFIG",
    "GCE_METADATA_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "HOME",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
];

/// The variables that name identities, as they were at one moment.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, Secret<String>>);

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        VARIABLES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect()
    }

    /// A variable that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(|value| value.expose().as_str());
        value.filter(|value| !value.is_empty())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        let variables = variables.into_iter();
        Self(
            variables
                .map(|(name, it)| (name, Secret::new(it)))
                .collect(),
        )
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// Reads a file that holds a token or a credential; whoever made it renews it in place.
pub(super) fn read(path: &Path) -> io::Result<Secret<String>> {
    use io::Read as _;
    let file = std::fs::File::open(path)?;
    let mut text = Secret::new(String::new());
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_FILE {
        return Err(io::Error::other("it is too long"));
    }
    if let Ok(read) = String::from_utf8(bytes) {
        text = Secret::new(read);
    }
    Ok(text)
}

/// Whether there is such a file.
pub(super) fn exists(path: &Path) -> bool {
    path.is_file()
}
