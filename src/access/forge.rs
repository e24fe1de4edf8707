//! What opens the forge of a Git remote: a token, certificates and a proxy.

use super::{
    AccessError, Vault, certificates,
    git::{CERTIFICATE_KEYS, git_proof},
    proxy, text,
};
use crate::{
    config::{PullRequestSettings, RemoteSettings},
    egress::{PlainHttp, Route},
    secret::{Authority, Credential, Proof, Secret},
    update::{forge, git::Login},
};

/// What opens the forge of a remote.
///
/// The token is `token`, else `bearerToken`, else `password`, of the settings' own Secret; where that
/// names none, the remote's is used, and only for the API that belongs to the remote's host.
///
/// # Errors
///
/// When a secret is missing or unfit.
pub async fn forge(
    vault: &impl Vault,
    settings: &PullRequestSettings,
    remote: &RemoteSettings,
) -> Result<forge::Access, AccessError> {
    let place = &settings.place;
    let plain_http = if place.api.scheme() == "http" {
        PlainHttp::Allow
    } else {
        PlainHttp::Refuse
    };
    let mut route = Route {
        plain_http,
        ..Route::default()
    };
    let shares = place.shares_credentials_with(&remote.url);
    let key = settings.credentials.as_ref();
    let key = key.or(remote.credentials.as_ref().filter(|_| shares));
    let mut proof = None;
    match key {
        None if shares => {
            if let Login::Fixed(it) = vault.ambient_git_login(&remote.url).await? {
                proof = Some(forge_proof(place.kind, it.proof().clone()));
            }
        }
        None => {}
        Some(key) => {
            let record = vault.open(key).await?;
            if CERTIFICATE_KEYS
                .iter()
                .any(|name| record.values.contains_key(*name))
            {
                route = certificates(key, &record, route)?;
            }
            let found = match text(key, &record, "token")? {
                Some(token) => Some(Proof::Bearer(Secret::new(token.to_owned()))),
                None => git_proof(key, &record)?,
            };
            proof = found.map(|it| forge_proof(place.kind, it));
        }
    }
    let authority = Authority::of(&place.api);
    Ok(forge::Access {
        place: place.clone(),
        credential: proof
            .zip(authority)
            .map(|(proof, authority)| Credential::new(proof, authority)),
        route: proxy(vault, remote.proxy.as_ref(), route).await?,
        timeout: remote.timeout,
    })
}

/// The form in which a forge takes a token: Azure DevOps as a password, the Bitbuckets as one where
/// there is a user, all others as what it is.
fn forge_proof(kind: forge::Kind, proof: Proof) -> Proof {
    use forge::Kind;
    match (kind, proof) {
        (Kind::AzureDevops, Proof::Bearer(token)) => Proof::Basic {
            username: Secret::new("tagwright".to_owned()),
            password: token,
        },
        // The user that Git wants to see with an access token is nobody to the API.
        (Kind::BitbucketCloud, Proof::Basic { username, password })
            if username.expose() == "x-token-auth" =>
        {
            Proof::Bearer(password)
        }
        (Kind::AzureDevops | Kind::BitbucketCloud | Kind::BitbucketDataCenter, proof) => proof,
        (_, Proof::Basic { password, .. }) => Proof::Bearer(password),
        (_, proof) => proof,
    }
}
