//! Secrets from the API server: one `get` each, when it is needed, and never a list.

use k8s_openapi::api::core::v1::{Secret as SecretObject, ServiceAccount};
use kube::{Api, Client};
use url::Url;

use super::told;
use crate::{
    access::{Vault, VaultError},
    config::ObjectKey,
    image::Repository,
    scan::Keychain,
    secret::{Secret, SecretRecord},
    update::git::Login,
};

/// The secrets of a cluster.
#[derive(Clone)]
pub(super) struct ClusterVault {
    client: Client,
}

impl ClusterVault {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Vault for ClusterVault {
    async fn open(&self, key: &ObjectKey) -> Result<SecretRecord, VaultError> {
        let api = Api::<SecretObject>::namespaced(self.client.clone(), &key.namespace);
        let secret = api.get_opt(&key.name).await;
        let secret = secret.map_err(|error| unavailable("Secret", key, error))?;
        let secret = secret.ok_or_else(|| VaultError::Missing(key.clone()))?;
        let values = secret.data.unwrap_or_default().into_iter();
        Ok(SecretRecord {
            kind: secret.type_.unwrap_or_else(|| "Opaque".to_owned()),
            values: values
                .map(|(name, value)| (name, Secret::new(value.0)))
                .collect(),
        })
    }

    async fn pull_secrets(&self, account: &ObjectKey) -> Result<Vec<ObjectKey>, VaultError> {
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), &account.namespace);
        let found = api.get_opt(&account.name).await;
        let found = found.map_err(|error| unavailable("ServiceAccount", account, error))?;
        let found = found.ok_or_else(|| VaultError::NoAccount(account.clone()))?;
        let secrets = found.image_pull_secrets.unwrap_or_default().into_iter();
        let secrets = secrets.filter(|it| !it.name.is_empty());
        Ok(secrets
            .map(|secret| ObjectKey {
                namespace: account.namespace.clone(),
                name: secret.name,
            })
            .collect())
    }

    /// Nobody's: what the machine or the pod has is not a tenant's.
    fn ambient_keychain(&self, _: &Repository) -> Result<Keychain, VaultError> {
        Ok(Keychain::default())
    }

    async fn ambient_git_login(&self, _: &Url) -> Result<Login, VaultError> {
        Ok(Login::Anonymous)
    }
}

/// An answer that is no answer must never be read as "there is none".
fn unavailable(kind: &'static str, key: &ObjectKey, error: kube::Error) -> VaultError {
    VaultError::Unavailable {
        kind,
        key: key.clone(),
        class: told::class(&error),
        source: error.into(),
    }
}
