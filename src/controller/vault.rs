//! Secrets from the API server: one `get` each, when it is needed, and never a list.

#[cfg(feature = "clouds")]
use std::sync::Arc;

#[cfg(feature = "clouds")]
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret as SecretObject, ServiceAccount};
#[cfg(feature = "clouds")]
use kube::api::PostParams;
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
#[cfg(feature = "clouds")]
use crate::{
    cloud::{Account, Caller, CloudError, Issuer, Issuing},
    config::CloudLogin,
};

/// How long a token of a ServiceAccount is good for: the shortest time that an API server gives.
#[cfg(feature = "clouds")]
const TOKEN_SECONDS: i64 = 600;

/// The secrets of a cluster.
#[derive(Clone)]
pub(super) struct ClusterVault {
    client: Client,
    #[cfg_attr(
        not(feature = "clouds"),
        expect(dead_code, reason = "only clouds are shown it")
    )]
    identity: Identity,
}

/// Whose identity is shown to a cloud where an object names no ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The process's own.
    Process,
    /// That of a ServiceAccount of this name, in the object's namespace.
    Account(String),
    /// Nobody's: who may use it is a tenant.
    Nobody,
}

impl ClusterVault {
    pub(super) fn new(client: Client, identity: Identity) -> Self {
        Self { client, identity }
    }

    async fn account(&self, key: &ObjectKey) -> Result<ServiceAccount, VaultError> {
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), &key.namespace);
        let found = api.get_opt(&key.name).await;
        let found = found.map_err(|error| unavailable("ServiceAccount", key, error))?;
        found.ok_or_else(|| VaultError::NoAccount(key.clone()))
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
        let found = self.account(account).await?;
        let secrets = found.image_pull_secrets.unwrap_or_default().into_iter();
        let secrets = secrets.filter(|it| !it.name.is_empty());
        Ok(secrets
            .map(|secret| ObjectKey {
                namespace: account.namespace.clone(),
                name: secret.name,
            })
            .collect())
    }

    #[cfg(feature = "clouds")]
    async fn caller(&self, login: &CloudLogin) -> Result<Caller, VaultError> {
        let name = match (&login.account, &self.identity) {
            (Some(name), _) | (None, Identity::Account(name)) => name.clone(),
            (None, Identity::Process) => return Ok(Caller::Ambient),
            (None, Identity::Nobody) => {
                return Err(VaultError::NoCaller(login.namespace.clone()));
            }
        };
        let key = ObjectKey {
            namespace: login.namespace.clone(),
            name,
        };
        let annotations = self.account(&key).await?.metadata.annotations;
        Ok(Caller::Account(Account {
            namespace: key.namespace,
            name: key.name,
            annotations: annotations.unwrap_or_default(),
            issuer: Arc::new(self.clone()),
        }))
    }

    /// Nobody's: what the machine or the pod has is not a tenant's.
    fn ambient_keychain(&self, _: &Repository) -> Result<Keychain, VaultError> {
        Ok(Keychain::default())
    }

    async fn ambient_git_login(&self, _: &Url) -> Result<Login, VaultError> {
        Ok(Login::Anonymous)
    }
}

#[cfg(feature = "clouds")]
impl Issuer for ClusterVault {
    /// A token of a few minutes, for one audience: it is exchanged at once, and kept nowhere.
    fn token<'a>(&'a self, account: &'a Account, audience: &'a str) -> Issuing<'a> {
        Box::pin(async move {
            let api = Api::<ServiceAccount>::namespaced(self.client.clone(), &account.namespace);
            let request = TokenRequest {
                spec: Some(TokenRequestSpec {
                    audiences: Some(vec![audience.to_owned()]),
                    expiration_seconds: Some(TOKEN_SECONDS),
                    ..TokenRequestSpec::default()
                }),
                ..TokenRequest::default()
            };
            let parameters = PostParams::default();
            let issued = api.create_token_request(&account.name, &parameters, &request);
            let issued = issued.await.map_err(|error| CloudError::NotIssued {
                account: account.to_string(),
                class: told::class(&error),
                source: error.into(),
            })?;
            let token = issued.status.and_then(|status| status.token);
            Ok(Secret::new(token.unwrap_or_default()))
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;
    use axum::{Router, http::StatusCode, routing::get};

    /// K28: only the server's own word says that there is none.
    #[tokio::test]
    async fn an_answer_that_is_no_answer_is_not_absence() {
        let check = async |status: u16, is_missing: bool, class: Class| {
            let status = StatusCode::from_u16(status).unwrap();
            let reason = if is_missing { "NotFound" } else { "Trouble" };
            let body = format!(
                r#"{{"kind": "Status", "status": "Failure", "reason": "{reason}", "message": "", "code": {}}}"#,
                status.as_u16()
            );
            let path = "/api/v1/namespaces/{namespace}/secrets/{name}";
            let server = Router::new().route(path, get(async move || (status, body)));
            let vault = ClusterVault::new(Client::new(server, "apps"), Identity::Nobody);
            let key = ObjectKey {
                namespace: "apps".to_owned(),
                name: "git".to_owned(),
            };
            let error = vault.open(&key).await.expect_err("there is no Secret");
            assert_eq!(
                matches!(error, VaultError::Missing(_)),
                is_missing,
                "{status}"
            );
            assert_eq!(error.class(), class, "{status}");
        };
        check(404, true, Class::Config).await;
        check(403, false, Class::Denied).await;
        check(429, false, Class::Transient).await;
        check(500, false, Class::Transient).await;
        check(503, false, Class::Transient).await;
    }
}
