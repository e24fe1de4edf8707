//! One-shot: documents from files, secrets from documents, every automation once, then the exit.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the edge to configuration files and the environment"
)]

mod ambient;

use std::{
    collections::BTreeMap,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use chrono::Utc;
use futures_util::{StreamExt as _, stream};
use url::Url;

pub use self::ambient::{GIT_PASSWORD, GIT_USERNAME};
use crate::{
    access::{Vault, VaultError},
    config::{
        Automation, Config, ConfigError, ConfigFile, Connection, ObjectKey, Origin, SecretSource,
        SecretValue,
    },
    egress::{self, Egress},
    image::Repository,
    pipeline::{self, Doors, Intent, Listings, Outcome, Ports},
    scan::{
        Keychain, Registry,
        user_config::{UserConfigError, from_user_config, github_keychain},
    },
    secret::{Authority, Secret, SecretRecord},
    update::{
        forge::AnyForge,
        git::{Login, Remote},
    },
};

/// How large a configuration file may be.
const MAX_CONFIG_FILE: u64 = 16 * 1024 * 1024;
/// How large a file may be that a Secret refers to.
const MAX_SECRET_FILE: u64 = 1024 * 1024;
/// How many Git remotes are worked on at the same time.
const CONCURRENT_REMOTES: usize = 8;
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
/// In folders, files ending in `.yaml` and `.yml` are read, in the order of their paths; links to
/// folders and `.git` are not entered.
///
/// # Errors
///
/// The first path that cannot be read, or every fault of the documents.
pub fn load(paths: &[PathBuf], namespace: &str) -> Result<Config, LoadError> {
    Ok(Config::read(&documents(paths)?, namespace)?)
}

/// Reads the documents of files and folders, and checks nothing yet.
///
/// # Errors
///
/// The first path that cannot be read.
pub fn documents(paths: &[PathBuf]) -> Result<Vec<ConfigFile>, LoadError> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, true, &mut files)?;
    }
    Ok(files)
}

fn collect(path: &Path, is_given: bool, files: &mut Vec<ConfigFile>) -> Result<(), LoadError> {
    let failed = |source| LoadError::Read {
        path: path.display().to_string(),
        source,
    };
    let is_link = fs::symlink_metadata(path).map_err(failed)?.is_symlink();
    let metadata = match fs::metadata(path) {
        Err(_) if is_link && !is_given => return Ok(()),
        metadata => metadata.map_err(failed)?,
    };
    if metadata.is_dir() {
        if is_link && !is_given {
            return Ok(());
        }
        let entries = fs::read_dir(path).map_err(failed)?;
        let entries = entries.map(|entry| entry.map(|entry| entry.path()));
        let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        entries.sort();
        for entry in entries.iter().filter(|entry| !is_passed_over(entry)) {
            collect(entry, false, files)?;
        }
        return Ok(());
    }
    let is_yaml = path
        .extension()
        .is_some_and(|it| it == "yaml" || it == "yml");
    // What was given by name may be a pipe, such as a shell's `<(…)`.
    let is_wanted = is_given || is_yaml && metadata.is_file();
    if !is_wanted {
        return Ok(());
    }
    let bytes = read_bounded(path, MAX_CONFIG_FILE).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| failed(io::Error::other("it is not UTF-8")))?;
    let origin = if is_given {
        Origin::Given
    } else {
        Origin::Found
    };
    files.push(ConfigFile {
        name: path.display().to_string(),
        text,
        origin,
    });
    Ok(())
}

/// `.git`, and what a mounted `ConfigMap` keeps beside its links (`..data`).
fn is_passed_over(entry: &Path) -> bool {
    let name = entry.file_name().unwrap_or_default().as_encoded_bytes();
    name == b".git" || name.starts_with(b"..")
}

/// Takes every automation through the pipeline, those of one remote together and those of different
/// remotes beside each other; tells what became of each, by name.
pub async fn run<R: Registry, G: Remote, V: Vault>(
    config: &Config,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    intent: Intent,
) -> Vec<Outcome> {
    let mut outcomes = stream::iter(pipeline::groups(&config.automations))
        .map(async |group| run_group(config, group, ports, listings, intent).await)
        .buffer_unordered(CONCURRENT_REMOTES)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    outcomes.sort_by(|left, right| left.automation.cmp(&right.automation));
    outcomes
}

/// Takes the automations of one remote through the pipeline: those that push together, and those that
/// open pull requests one by one.
async fn run_group<R: Registry, G: Remote, V: Vault>(
    config: &Config,
    group: Vec<&Automation>,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    intent: Intent,
) -> Vec<Outcome> {
    let (plain, proposing): (Vec<_>, Vec<_>) =
        group.into_iter().partition(|it| it.pull_request.is_none());
    let mut outcomes = pipeline::run(config, &plain, ports, listings, intent).await;
    for automation in proposing {
        let Some(settings) = &automation.pull_request else {
            continue;
        };
        let egress = Egress::new();
        let doors = Doors {
            settings,
            open: |access| AnyForge::new(egress.clone(), access),
            now: Utc::now(),
        };
        let proposed = pipeline::propose(config, automation, ports, &doors, listings, intent);
        outcomes.extend(Box::pin(proposed).await);
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
    /// The Git remote that was named on the command line: the only place that the credential of the
    /// environment is for.
    pub named_remote: Option<Authority>,
}

impl Vault for DocumentVault<'_> {
    async fn open(&self, key: &ObjectKey) -> Result<SecretRecord, VaultError> {
        let source = self.config.secrets.get(key);
        open(key, source.ok_or_else(|| VaultError::Missing(key.clone()))?)
    }

    async fn pull_secrets(&self, account: &ObjectKey) -> Result<Vec<ObjectKey>, VaultError> {
        Err(VaultError::NoAccount(account.clone()))
    }

    fn ambient_keychain(&self, image: &Repository) -> Result<Keychain, VaultError> {
        let Some(path) = &self.docker_config else {
            return Ok(Keychain::default());
        };
        ambient_keychain(Some(path), image).map_err(|error| VaultError::Ambient {
            image: image.clone(),
            source: error.into(),
        })
    }

    async fn ambient_git_login(&self, url: &Url) -> Result<Login, VaultError> {
        let (to, named) = (url.clone(), self.named_remote.clone());
        // A credential helper is a program, and may wait for its user.
        let found = tokio::task::spawn_blocking(move || ambient::login(&to, named.as_ref())).await;
        let found = found.unwrap_or_else(|error| Err(error.into()));
        found.map_err(|source| VaultError::AmbientGit {
            remote: egress::shown(url),
            source,
        })
    }
}

/// The credentials of the user who runs tagwright: those of the docker configuration, and for images
/// on ghcr.io that it does not mention, the token of the GitHub workflow.
///
/// # Errors
///
/// When the docker configuration or one of its helpers cannot be used.
pub fn ambient_keychain(
    docker_config: Option<&Path>,
    image: &Repository,
) -> Result<Keychain, UserConfigError> {
    let keychain = match docker_config {
        Some(path) => from_user_config(path, std::slice::from_ref(image))?,
        None => Keychain::default(),
    };
    if !keychain.candidates(image).is_empty() {
        return Ok(keychain);
    }
    let variable = |name| std::env::var(name).ok().filter(|it| !it.is_empty());
    Ok(match variable("GITHUB_TOKEN") {
        Some(token) => github_keychain(variable("GITHUB_ACTOR"), Secret::new(token)),
        None => keychain,
    })
}

fn open(key: &ObjectKey, source: &SecretSource) -> Result<SecretRecord, VaultError> {
    let mut record = SecretRecord {
        kind: source.kind.clone(),
        values: BTreeMap::new(),
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
                let place = format!("environment variable `{variable}`");
                // The value itself must not reach the message, as it would in the library's error.
                let value = std::env::var_os(variable)
                    .ok_or_else(|| unreadable(place.clone(), "it is not set".into()))?
                    .into_string()
                    .map_err(|_| unreadable(place, "it is not UTF-8".into()))?;
                Secret::new(value.into_bytes())
            }
            SecretValue::File(path) => {
                let folder = Path::new(&source.file).parent().unwrap_or(Path::new(""));
                let path = folder.join(path);
                let place = format!("file `{}`", path.display());
                let bytes = read_bounded(&path, MAX_SECRET_FILE);
                let mut bytes = bytes.map_err(|error| unreadable(place, error.into()))?;
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

/// Reads a file of at most `limit` bytes.
///
/// # Errors
///
/// What the operating system says, or that the file is larger.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(limit + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!(
            "it is larger than {} KiB",
            limit / 1024
        )));
    }
    Ok(bytes)
}

/// Opens every secret that a run will need, so that a missing variable is told before anything is
/// pushed.
///
/// # Errors
///
/// The first secret that cannot be opened.
pub async fn check_secrets(config: &Config, vault: &impl Vault) -> Result<(), VaultError> {
    let images = config
        .images
        .values()
        .filter(|it| !it.suspended)
        .flat_map(|it| {
            let Connection {
                credentials,
                certificates,
                proxy,
                ..
            } = &it.connection;
            [credentials, certificates, proxy].map(Option::as_ref)
        });
    let remotes = config.automations.iter().filter(|it| !it.suspended);
    let remotes = remotes.flat_map(|it| {
        let signing = it.remote.signing_key.as_ref().map(|it| &it.secret);
        let verify = it.remote.verify.as_ref().map(|(_, secret)| secret);
        let (credentials, proxy) = (it.remote.credentials.as_ref(), it.remote.proxy.as_ref());
        let token = it.pull_request.as_ref();
        let token = token.and_then(|it| it.credentials.as_ref());
        [credentials, proxy, signing, verify, token]
    });
    for key in images.flatten().chain(remotes.flatten()) {
        vault.open(key).await?;
    }
    Ok(())
}
