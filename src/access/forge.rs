//! What opens the forge of a Git remote: a token, certificates and a proxy.

use std::time::Duration;

use super::{
    AccessError, Vault, certificates,
    git::{CERTIFICATE_KEYS, git_proof, identity},
    github_app::{APP_ID, GithubApp},
    proxy, text, unfit,
};
use crate::{
    config::{PullRequestSettings, RemoteSettings},
    egress::{PlainHttp, Route},
    secret::{Authority, Credential, Proof, Secret},
    update::{forge, git::Login},
};

/// How long one call may take where no remote says it.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What opens the forge of a remote.
///
/// The token is `token`, else `bearerToken`, else `password`, of the settings' own Secret; where that
/// names none, the remote's is used, and only for the API that belongs to the remote's host. The data
/// of a GitHub App stands for the tokens of its installation.
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
    let mut login = Login::Anonymous;
    match key {
        None if shares => {
            if let Some(identity) = identity(vault, remote, &place.api).await? {
                login = identity;
            } else if let Login::Fixed(it) = vault.ambient_git_login(&remote.url).await? {
                login = fixed(place, it.proof().clone());
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
            login = match text(key, &record, "token")? {
                Some(token) => fixed(place, Proof::Bearer(Secret::new(token.to_owned()))),
                None if record.values.contains_key(APP_ID) => {
                    if place.kind != forge::Kind::Github {
                        let reason = "it holds a GitHub App's data, and the forge is another one";
                        return Err(unfit(key, reason));
                    }
                    Login::provided(GithubApp::parse(key, &record, &remote.url)?)
                }
                None => match git_proof(key, &record)? {
                    Some(proof) => fixed(place, proof),
                    // A Secret with certificates alone, beside the identity of a cloud.
                    None if shares => identity(vault, remote, &place.api)
                        .await?
                        .unwrap_or_default(),
                    None => Login::Anonymous,
                },
            };
        }
    }
    Ok(forge::Access {
        place: place.clone(),
        login,
        route: proxy(vault, remote.proxy.as_ref(), route).await?,
        timeout: remote.timeout,
    })
}

/// What opens a forge with a token and nothing else.
pub fn forge_with_token(place: forge::Place, token: Secret<String>) -> forge::Access {
    let plain_http = if place.api.scheme() == "http" {
        PlainHttp::Allow
    } else {
        PlainHttp::Refuse
    };
    forge::Access {
        login: fixed(&place, Proof::Bearer(token)),
        place,
        route: Route {
            plain_http,
            ..Route::default()
        },
        timeout: TIMEOUT,
    }
}

fn fixed(place: &forge::Place, proof: Proof) -> Login {
    match Authority::of(&place.api) {
        Some(authority) => Login::Fixed(Credential::new(forge_proof(place.kind, proof), authority)),
        None => Login::Anonymous,
    }
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
