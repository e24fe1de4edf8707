//! The user's own docker configuration, with its credential helpers.
//!
//! A helper is a program, and this is the one place where a program is started: by the command
//! line, because the configuration of the user who typed the command names it. The controller
//! never comes here; a configuration from a secret goes to [`Keychain::from_secret`], which knows
//! no helpers.

#![expect(
    clippy::disallowed_methods,
    reason = "an edge file: the configuration is a file of the user's"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use serde::Deserialize;

use super::{
    Keychain,
    keychain::{KeychainError, governs},
};
use crate::{
    error::Class,
    image::Repository,
    secret::{Proof, Secret},
};

/// Why the user's docker configuration gave no keychain.
#[derive(Debug, thiserror::Error)]
pub enum UserConfigError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is no docker configuration.
    #[error("cannot use `{}`", path.display())]
    Keychain {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: KeychainError,
    },
    /// The name of a helper is none.
    #[error("`{0}` is not the name of a credential helper")]
    HelperName(String),
    /// A helper did not give a credential. What it printed is not shown: it may be the credential.
    #[error("the credential helper `{helper}` gave no credential for `{key}`")]
    Helper {
        /// The helper, as the configuration names it.
        helper: String,
        /// What it was asked for.
        key: String,
    },
}

impl UserConfigError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        Class::Config
    }
}

#[derive(Deserialize)]
struct HelperConfig {
    #[serde(default)]
    auths: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

/// The keychain of a GitHub workflow, whose token opens ghcr.io and nothing else.
pub fn github_keychain(actor: Option<String>, token: Secret<String>) -> Keychain {
    let proof = Proof::Basic {
        // GitHub looks at the token alone.
        username: Secret::new(actor.unwrap_or_else(|| "github".to_owned())),
        password: token,
    };
    Keychain::single("ghcr.io", proof).unwrap_or_default()
}

/// Reads the docker configuration at `path`, and asks its helpers for what `wanted` needs.
///
/// A missing file is an empty keychain. A helper that knows no credential for a key leaves that key
/// out; one that fails is an error.
pub fn from_user_config(path: &Path, wanted: &[Repository]) -> Result<Keychain, UserConfigError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Secret::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Keychain::default()),
        Err(source) => {
            return Err(UserConfigError::File {
                path: path.to_owned(),
                source,
            });
        }
    };
    let unusable = |source| UserConfigError::Keychain {
        path: path.to_owned(),
        source,
    };
    let mut keychain = Keychain::from_docker_config(bytes.expose(), &[]).map_err(unusable)?;
    let helpers: HelperConfig = serde_json::from_slice(bytes.expose()).map_err(|error| {
        unusable(KeychainError::NotJson {
            line: error.line(),
            column: error.column(),
        })
    })?;
    for (key, helper) in helpers.wanted(wanted)? {
        let asked = get_credential_from_reader(bytes.expose().as_slice(), &key);
        let proof = match asked {
            Ok(DockerCredential::IdentityToken(token)) => Proof::Refresh(Secret::new(token)),
            Ok(DockerCredential::UsernamePassword(username, password)) => Proof::Basic {
                username: Secret::new(username),
                password: Secret::new(password),
            },
            Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if is_absence(&stdout) => {
                continue;
            }
            Err(_) => return Err(UserConfigError::Helper { helper, key }),
        };
        // What a helper says wins over what stands in the file, as in docker.
        keychain = Keychain::single(&key, proof)
            .map_err(unusable)?
            .merge(keychain);
    }
    Ok(keychain)
}

impl HelperConfig {
    /// The keys that a helper must be asked for, with its name.
    fn wanted(self, wanted: &[Repository]) -> Result<BTreeSet<(String, String)>, UserConfigError> {
        let mut asked = BTreeSet::new();
        // `docker login` leaves an empty entry for what it put into the store.
        let stored = self.auths.iter().filter(|(_, auth)| auth.is_empty());
        let store = self.store.iter().flat_map(|store| {
            let keys = stored
                .clone()
                .filter(|(key, _)| !self.helpers.contains_key(*key));
            keys.map(move |(key, _)| (key, store))
        });
        for (key, helper) in self.helpers.iter().chain(store) {
            if !wanted.iter().any(|repository| governs(key, repository)) {
                continue;
            }
            let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if helper.is_empty() || !helper.bytes().all(in_name) {
                let shown = crate::egress::one_line(helper.as_bytes());
                return Err(UserConfigError::HelperName(shown));
            }
            asked.insert((key.clone(), helper.clone()));
        }
        Ok(asked)
    }
}

/// How every helper says that it has nothing: the one text that its protocol fixes.
fn is_absence(stdout: &str) -> bool {
    stdout.trim() == "credentials not found in native keychain"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &str, wanted: &str, expected: Result<&[(&str, &str)], &str>) {
        let helpers: HelperConfig = serde_json::from_str(config).expect("a configuration");
        let wanted = wanted.parse().expect("a repository");
        let found = helpers.wanted(&[wanted]).map_err(|error| error.to_string());
        let expected = expected.map(|pairs| {
            let owned = |(key, helper): &(&str, &str)| ((*key).to_owned(), (*helper).to_owned());
            pairs.iter().map(owned).collect()
        });
        assert_eq!(found, expected.map_err(str::to_owned), "{config}");
    }

    #[test]
    fn a_helper_is_asked_only_for_what_is_wanted() {
        let helper = r#"{"credHelpers": {"r.test": "pass", "other.test": "ecr-login"}}"#;
        check(helper, "r.test/web", Ok(&[("r.test", "pass")]));
        check(helper, "third.test/web", Ok(&[]));
        let store = r#"{"auths": {"https://index.docker.io/v1/": {}}, "credsStore": "osx"}"#;
        check(
            store,
            "nginx",
            Ok(&[("https://index.docker.io/v1/", "osx")]),
        );
        check(store, "r.test/web", Ok(&[]));
        let filled = r#"{"auths": {"r.test": {"auth": "dTpw"}}, "credsStore": "osx"}"#;
        check(filled, "r.test/web", Ok(&[]));
        let both =
            r#"{"auths": {"r.test": {}}, "credsStore": "osx", "credHelpers": {"r.test": "pass"}}"#;
        check(both, "r.test/web", Ok(&[("r.test", "pass")]));
        check(
            r#"{"credHelpers": {"r.test": "../evil"}}"#,
            "r.test/web",
            Err("`../evil` is not the name of a credential helper"),
        );
    }

    #[test]
    fn a_missing_file_is_an_empty_keychain() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        assert!(from_user_config(&path, &[]).expect("a keychain").is_empty());
        std::fs::write(&path, r#"{"auths": {"r.test": {"auth": "dTpw"}}}"#).expect("written");
        assert!(!from_user_config(&path, &[]).expect("a keychain").is_empty());
        std::fs::write(&path, "canary").expect("written");
        let error = from_user_config(&path, &[]).expect_err("no configuration");
        assert!(!error.to_string().contains("canary"));
    }

    #[test]
    fn a_workflows_token_opens_ghcr_and_nothing_else() {
        let keychain = github_keychain(None, Secret::new("canary".to_owned()));
        let check = |image: &str, count: usize| {
            let image = image.parse().expect("a repository");
            assert_eq!(keychain.candidates(&image).len(), count, "{image}");
        };
        check("ghcr.io/acme/web", 1);
        check("ghcr.io.evil.test/acme/web", 0);
        check("eghcr.io/acme/web", 0);
        check("docker.io/acme/web", 0);
    }
}
