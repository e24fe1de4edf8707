//! What opens a registry or a Git remote by the identity that a cloud gives.

#![expect(
    clippy::disallowed_methods,
    reason = "a signature has a time, which is not the run's"
)]

use std::time::{Duration, SystemTime};

use chrono::DateTime;
use tokio::time::Instant;
use url::Url;

use super::{AccessError, Vault, github_app::identity};
use crate::{
    cloud::{Caller, Cloud, CloudError, Clouds, Way},
    config::CloudLogin,
    egress::Route,
    image::Repository,
    scan::Keychain,
    secret::{Authority, Credential},
    update::git::{Ask, Asking, GitProvider, Login, ProviderError, Token},
};

/// What opens the registry of `image` for `caller`: one credential, for that registry alone.
///
/// Of `route`, a cloud is asked through the proxy; the registry's certificates are not the cloud's.
///
/// # Errors
///
/// When the registry is none of the cloud's, or the cloud gives nothing.
pub async fn cloud_keychain(
    cloud: Cloud,
    image: &Repository,
    caller: &Caller,
    route: &Route,
    timeout: Duration,
) -> Result<Keychain, AccessError> {
    let host = image.host();
    let failed = |source: CloudError| AccessError::Cloud {
        host: host.to_owned(),
        source: Box::new(source),
    };
    let to_cloud = to_cloud(route);
    let way = Way {
        route: &to_cloud,
        deadline: Instant::now() + timeout,
    };
    let proof = Clouds::of_process().registry(cloud, host, caller, way);
    let proof = proof.await.map_err(failed)?;
    let foreign = |_| {
        failed(CloudError::ForeignHost {
            cloud,
            host: host.to_owned(),
        })
    };
    Keychain::single(host, proof).map_err(foreign)
}

/// What opens the Git remote at `remote`, or the API of its forge: an identity, for that host alone.
pub(super) async fn git_login(
    vault: &impl Vault,
    login: &CloudLogin,
    remote: &Url,
) -> Result<Login, AccessError> {
    let cloud = login.cloud;
    let host = remote.host_str().unwrap_or_default().to_owned();
    if !cloud.owns_remote(remote) {
        let source = Box::new(CloudError::ForeignRemote {
            cloud,
            host: host.clone(),
        });
        return Err(AccessError::Cloud { host, source });
    }
    let caller = vault.caller(login).await?;
    Ok(Login::provided(GitIdentity::new(cloud, caller, remote)))
}

/// The identity that a cloud gives, for one remote.
#[derive(Debug)]
struct GitIdentity {
    cloud: Cloud,
    caller: Caller,
    identity: [u8; 32],
}

impl GitIdentity {
    fn new(cloud: Cloud, caller: Caller, remote: &Url) -> Self {
        let cloud_name = cloud.to_string();
        let mut texts = vec![cloud_name.as_str(), remote.as_str()];
        if let Caller::Account(account) = &caller {
            texts.extend([account.namespace.as_str(), &account.name]);
            let annotations = account.annotations.iter();
            texts.extend(annotations.flat_map(|(name, value)| [name.as_str(), value]));
        }
        Self {
            cloud,
            identity: identity(&texts),
            caller,
        }
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<Token, ProviderError> {
        let to = Authority::of(ask.remote)
            .ok_or_else(|| ProviderError::Unfit("the remote names no host".to_owned()))?;
        let to_cloud = to_cloud(ask.route);
        let way = Way {
            route: &to_cloud,
            deadline: ask.deadline,
        };
        let now = DateTime::from(SystemTime::now());
        let clouds = Clouds::of_process();
        let proof = clouds.git_remote(self.cloud, ask.remote, &self.caller, way, now);
        let proof = proof.await.map_err(|source| ProviderError::Identity {
            whose: self.cloud.to_string(),
            class: source.class(),
            hint: source.hint(),
            source: source.into(),
        })?;
        Ok(Token {
            credential: Credential::new(proof, to),
            // The clouds keep what they gave, and know when it ends.
            lifetime: Duration::ZERO,
        })
    }
}

impl GitProvider for GitIdentity {
    fn identity(&self) -> [u8; 32] {
        self.identity
    }

    fn token<'a>(&'a self, ask: Ask<'a>) -> Asking<'a> {
        Box::pin(self.ask(ask))
    }
}

/// The way to a cloud: through the same proxy, and with nobody's certificates.
fn to_cloud(route: &Route) -> Route {
    Route {
        proxy: route.proxy.clone(),
        ..Route::default()
    }
}
