//! From secrets to what opens a door: registry [`Access`], Git [`Source`](crate::update::git::Source)
//! and forge [`Access`](crate::update::forge::Access).
//!
//! The formats are Flux's (`kubernetes.io/dockerconfigjson`, `username` and `password`,
//! `bearerToken`, `identity` and `known_hosts`, `githubAppID` and its kin, `ca.crt`, `tls.crt`, `tls.key`, `address`,
//! `*.pub`). A missing or unfit value is an error that names the Secret and the key, never the value.

#[cfg(feature = "clouds")]
mod cloud;
mod forge;
mod git;
mod github_app;
mod keys;

use std::future::Future;

use url::Url;

#[cfg(feature = "clouds")]
use crate::{
    cloud::{Caller, CloudError},
    config::CloudLogin,
};
use crate::{
    config::{Connection, ObjectKey},
    egress::{Route, RouteError},
    error::Class,
    image::Repository,
    scan::{Access, Keychain, keychain::KeychainError},
    secret::SecretRecord,
    update::git::Login,
};

#[cfg(feature = "clouds")]
pub use self::cloud::cloud_keychain;
pub use self::{
    forge::{forge, forge_with_token},
    git::remote,
    keys::trusted_keys,
};

/// Opens secrets by name.
pub trait Vault: Sync {
    /// Reads one secret.
    fn open(
        &self,
        key: &ObjectKey,
    ) -> impl Future<Output = Result<SecretRecord, VaultError>> + Send;

    /// The pull secrets of a ServiceAccount, which is known to a cluster only.
    fn pull_secrets(
        &self,
        account: &ObjectKey,
    ) -> impl Future<Output = Result<Vec<ObjectKey>, VaultError>> + Send;

    /// Who asks a cloud: the ServiceAccount of a log-in, or where it names none, whoever tagwright
    /// runs as.
    #[cfg(feature = "clouds")]
    fn caller(
        &self,
        login: &CloudLogin,
    ) -> impl Future<Output = Result<Caller, VaultError>> + Send {
        let account = login.account.clone().map(|name| ObjectKey {
            namespace: login.namespace.clone(),
            name,
        });
        async { account.map_or(Ok(Caller::Ambient), |it| Err(VaultError::NoAccount(it))) }
    }

    /// The credentials for an image that names none: those of the user who runs tagwright, or none.
    ///
    /// # Errors
    ///
    /// When there should be some, and they cannot be read.
    fn ambient_keychain(&self, image: &Repository) -> Result<Keychain, VaultError>;

    /// How to log in to a Git remote that names no Secret: as the user who runs tagwright, or not
    /// at all.
    ///
    /// # Errors
    ///
    /// When there should be a way, and it cannot be read.
    fn ambient_git_login(
        &self,
        url: &Url,
    ) -> impl Future<Output = Result<Login, VaultError>> + Send;
}

/// Why a secret stays closed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no such secret.
    #[error("there is no Secret `{0}`")]
    Missing(ObjectKey),
    /// There is no such ServiceAccount.
    #[error("there is no ServiceAccount `{0}`")]
    NoAccount(ObjectKey),
    /// The identity of the process is not a tenant's.
    #[error("namespace `{0}` names no ServiceAccount for a log-in to a cloud")]
    NoCaller(String),
    /// Whoever keeps the secrets did not answer, or did not let us read this one.
    #[error("cannot read {kind} `{key}`")]
    Unavailable {
        /// `Secret` or `ServiceAccount`.
        kind: &'static str,
        /// Its name.
        key: ObjectKey,
        /// What kind of trouble this is.
        class: Class,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The place that a value is kept in cannot be read.
    #[error("cannot read key `{value}` of Secret `{key}` from {place}")]
    Unreadable {
        /// The secret.
        key: ObjectKey,
        /// The key within it.
        value: String,
        /// The variable or file.
        place: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The user's own way to a Git remote cannot be used.
    #[error("cannot find a log-in for `{remote}`")]
    AmbientGit {
        /// The remote's address.
        remote: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The docker configuration of the user cannot be used.
    #[error("cannot find credentials for `{image}`")]
    Ambient {
        /// The image.
        image: Repository,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl VaultError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Unavailable { class, .. } => *class,
            Self::Missing(_)
            | Self::NoAccount(_)
            | Self::NoCaller(_)
            | Self::Unreadable { .. }
            | Self::AmbientGit { .. }
            | Self::Ambient { .. } => Class::Config,
        }
    }
}

/// Why a door stays shut.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The secret cannot be read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The secret is not what it has to be.
    #[error("cannot use Secret `{key}`: {reason}")]
    Unfit {
        /// The secret.
        key: ObjectKey,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificates or the proxy in the secret are not what they have to be.
    #[error("cannot use Secret `{key}`")]
    Route {
        /// The secret.
        key: ObjectKey,
        /// The cause.
        source: RouteError,
    },
    /// The cloud gives no log-in.
    #[cfg(feature = "clouds")]
    #[error("cannot log in to `{host}`")]
    Cloud {
        /// The registry.
        host: String,
        /// The cause.
        source: Box<CloudError>,
    },
    /// The docker configuration in the secret is not what it has to be.
    #[error("cannot use Secret `{key}`")]
    Keychain {
        /// The secret.
        key: ObjectKey,
        /// The cause.
        source: KeychainError,
    },
}

impl AccessError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Vault(error) => error.class(),
            #[cfg(feature = "clouds")]
            Self::Cloud { source, .. } => source.class(),
            Self::Unfit { .. } | Self::Route { .. } | Self::Keychain { .. } => Class::Config,
        }
    }

    /// What a person may do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            #[cfg(feature = "clouds")]
            Self::Cloud { source, .. } => source.hint(),
            Self::Vault(VaultError::NoCaller(_)) => Some(
                "name one in `spec.serviceAccountName`, or start with `--default-service-account`"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// What opens a registry.
///
/// # Errors
///
/// When a secret is missing or unfit.
pub async fn registry(
    vault: &impl Vault,
    connection: &Connection,
    image: &Repository,
) -> Result<Access, AccessError> {
    let mut route = Route {
        plain_http: connection.plain_http,
        ..Route::default()
    };
    if let Some(key) = &connection.certificates {
        route = certificates(key, &vault.open(key).await?, route)?;
    }
    route = proxy(vault, connection.proxy.as_ref(), route).await?;
    let keychain = match &connection.cloud {
        #[cfg(feature = "clouds")]
        Some(login) => {
            let caller = vault.caller(login).await?;
            let timeout = connection.timeout;
            cloud_keychain(login.cloud, image, &caller, &route, timeout).await?
        }
        _ => keychain(vault, connection, image).await?,
    };
    Ok(Access {
        keychain,
        route,
        timeout: connection.timeout,
        whole_every: connection.whole_every,
    })
}

/// The credentials that Secrets hold, or else those of the user who runs tagwright.
async fn keychain(
    vault: &impl Vault,
    connection: &Connection,
    image: &Repository,
) -> Result<Keychain, AccessError> {
    let mut secrets = Vec::from_iter(connection.credentials.clone());
    if let Some(account) = &connection.pull_account {
        secrets.extend(vault.pull_secrets(account).await?);
    }
    let mut keychain = if secrets.is_empty() {
        vault.ambient_keychain(image)?
    } else {
        Keychain::default()
    };
    for key in secrets {
        let record = vault.open(&key).await?;
        let found = Keychain::from_secret(&record, &connection.token_realms);
        let found = found.map_err(|source| AccessError::Keychain { key, source })?;
        keychain = keychain.merge(found);
    }
    Ok(keychain)
}

/// The route with the certificates of a secret, where it has any.
fn certificates(
    key: &ObjectKey,
    record: &SecretRecord,
    route: Route,
) -> Result<Route, AccessError> {
    route
        .with_certificates(record)
        .map_err(|source| AccessError::Route {
            key: key.clone(),
            source,
        })
}

async fn proxy(
    vault: &impl Vault,
    key: Option<&ObjectKey>,
    route: Route,
) -> Result<Route, AccessError> {
    let Some(key) = key else { return Ok(route) };
    let record = vault.open(key).await?;
    route
        .with_proxy(&record)
        .map_err(|source| AccessError::Route {
            key: key.clone(),
            source,
        })
}

fn text<'a>(
    key: &ObjectKey,
    record: &'a SecretRecord,
    name: &str,
) -> Result<Option<&'a str>, AccessError> {
    if !record.values.contains_key(name) {
        return Ok(None);
    }
    let text = record
        .text(name)
        .ok_or_else(|| unfit(key, &format!("`{name}` is not UTF-8")))?;
    Ok(Some(text))
}

fn unfit(key: &ObjectKey, reason: &str) -> AccessError {
    AccessError::Unfit {
        key: key.clone(),
        reason: reason.to_owned(),
    }
}
