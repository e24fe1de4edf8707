//! One-shot: documents from files, secrets from documents, every automation once, then the exit.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the edge to configuration files and the environment"
)]

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use url::Url;

use crate::{
    access::{Vault, VaultError},
    config::{Config, ConfigError, ConfigFile, ObjectKey, SecretSource, SecretValue},
    image::Repository,
    pipeline::{self, Intent, Listings, Outcome, Ports},
    scan::{Keychain, Registry, user_config::from_user_config},
    secret::{Authority, Credential, Proof, Secret, SecretRecord},
    update::git::Remote,
};

/// How large a configuration file may be.
const MAX_CONFIG_FILE: u64 = 16 * 1024 * 1024;
/// The variables that open a Git remote which no Secret describes.
pub const GIT_USERNAME: &str = "TAGWRIGHT_GIT_USERNAME";
/// The password or token that goes with [`GIT_USERNAME`].
pub const GIT_PASSWORD: &str = "TAGWRIGHT_GIT_PASSWORD";

/// Why no configuration could be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or folder cannot be read.
    #[error("cannot read configuration `{path}`")]
    Read {
        /// The path.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// The documents are faulty.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Reads and checks the documents of files and folders.
///
/// In folders, files ending in `.yaml` and `.yml` are read, in the order of their paths; symbolic
/// links and `.git` are not entered.
///
/// # Errors
///
/// The first path that cannot be read, or every fault of the documents.
pub fn load(paths: &[PathBuf], namespace: &str) -> Result<Config, LoadError> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, true, &mut files)?;
    }
    Ok(Config::read(&files, namespace)?)
}

fn collect(path: &Path, is_given: bool, files: &mut Vec<ConfigFile>) -> Result<(), LoadError> {
    let failed = |source| LoadError::Read {
        path: path.display().to_string(),
        source,
    };
    let metadata = if is_given {
        fs::metadata(path)
    } else {
        fs::symlink_metadata(path)
    };
    let metadata = metadata.map_err(failed)?;
    if metadata.is_dir() {
        let entries = fs::read_dir(path).map_err(failed)?;
        let mut entries = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        entries.sort();
        for entry in entries.iter().filter(|entry| !entry.ends_with(".git")) {
            collect(entry, false, files)?;
        }
        return Ok(());
    }
    let is_yaml = path
        .extension()
        .is_some_and(|it| it == "yaml" || it == "yml");
    if !metadata.is_file() || !(is_given || is_yaml) {
        return Ok(());
    }
    if metadata.len() > MAX_CONFIG_FILE {
        return Err(failed(io::Error::other("it is larger than 16 MiB")));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    files.push(ConfigFile {
        name: path.display().to_string(),
        text,
    });
    Ok(())
}

/// Takes every automation through the pipeline, one after the other, by name.
pub async fn run<R: Registry, G: Remote, V: Vault>(
    config: &Config,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    intent: Intent,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for automation in &config.automations {
        outcomes.push(pipeline::run(config, automation, ports, listings, intent).await);
    }
    outcomes
}

/// A vault over the `v1/Secret` documents of the configuration.
#[derive(Debug)]
pub struct DocumentVault<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The docker configuration of the user, for images that name no Secret; nothing where it is
    /// not to be used.
    pub docker_config: Option<PathBuf>,
}

impl Vault for DocumentVault<'_> {
    async fn open(&self, key: &ObjectKey) -> Result<SecretRecord, VaultError> {
        let source = self.config.secrets.get(key);
        open(key, source.ok_or_else(|| VaultError::Missing(key.clone()))?)
    }

    fn ambient_keychain(&self, image: &Repository) -> Result<Keychain, VaultError> {
        let Some(path) = &self.docker_config else {
            return Ok(Keychain::default());
        };
        from_user_config(path, std::slice::from_ref(image)).map_err(|error| VaultError::Ambient {
            image: image.clone(),
            source: error.into(),
        })
    }

    fn ambient_git_credential(&self, url: &Url) -> Option<Credential> {
        let password = std::env::var(GIT_PASSWORD)
            .ok()
            .filter(|it| !it.is_empty())?;
        // Every large forge takes a token as password of any user but an empty one.
        let username = std::env::var(GIT_USERNAME).unwrap_or_else(|_| "git".to_owned());
        let proof = Proof::Basic {
            username: Secret::new(username),
            password: Secret::new(password),
        };
        Some(Credential::new(proof, Authority::of(url)?))
    }
}

fn open(key: &ObjectKey, source: &SecretSource) -> Result<SecretRecord, VaultError> {
    let mut record = SecretRecord {
        kind: source.kind.clone(),
        values: std::collections::BTreeMap::new(),
    };
    for (name, value) in &source.values {
        let unreadable = |place: String, source| VaultError::Unreadable {
            key: key.clone(),
            value: name.clone(),
            place,
            source,
        };
        let value = match value {
            SecretValue::Inline(value) => value.clone(),
            SecretValue::Environment(variable) => {
                let value = std::env::var(variable).map_err(|source| {
                    unreadable(format!("environment variable `{variable}`"), source.into())
                })?;
                Secret::new(value.into_bytes())
            }
            SecretValue::File(path) => {
                let folder = Path::new(&source.file).parent().unwrap_or(Path::new(""));
                let path = folder.join(path);
                let mut bytes = fs::read(&path).map_err(|source| {
                    unreadable(format!("file `{}`", path.display()), source.into())
                })?;
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
                Secret::new(bytes)
            }
        };
        record.values.insert(name.clone(), value);
    }
    Ok(record)
}
