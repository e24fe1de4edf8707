//! A GitHub App as a log-in: a signed claim is exchanged for a token of one installation
//! (<https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app>).

#![expect(
    clippy::disallowed_methods,
    reason = "claims and tokens have a time, which is not the run's"
)]

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeyPair,
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{AccessError, text, unfit};
use crate::{
    config::ObjectKey,
    egress::{Answer, Call, PlainHttp, Route},
    error::Class,
    secret::{Authority, Credential, Proof, Secret, SecretRecord},
    update::git::{Ask, Asking, GitProvider, ProviderError, Token},
};

/// Where GitHub's own API answers.
const API: &str = "https://api.github.com";
/// How long before now a claim begins, for clocks that differ.
const EARLY: Duration = Duration::from_secs(30);
/// How long a claim is good for.
const CLAIM: Duration = Duration::from_mins(2);
/// How large an answer may be.
const MAX_ANSWER: usize = 64 * 1024;

/// The data that makes a secret one of a GitHub App.
pub(super) const APP_ID: &str = "githubAppID";

/// One installation of a GitHub App, for one remote.
pub(super) struct GithubApp {
    app: String,
    installation: Installation,
    api: Url,
    key: KeyPair,
    identity: [u8; 32],
}

#[derive(Clone, Debug)]
enum Installation {
    Id(u64),
    Owner(String),
}

impl GithubApp {
    /// Reads `githubAppID`, `githubAppPrivateKey`, one of `githubAppInstallationID` and
    /// `githubAppInstallationOwner`, and `githubAppBaseURL`.
    pub(super) fn parse(
        key: &ObjectKey,
        record: &SecretRecord,
        remote: &Url,
    ) -> Result<Self, AccessError> {
        let read = |name| text(key, record, name).map(|it| it.map(str::trim));
        let needed = |name: &'static str| {
            read(name)?.ok_or_else(|| unfit(key, &format!("a GitHub App needs `{name}`")))
        };
        let app = needed(APP_ID)?;
        let pem = needed("githubAppPrivateKey")?;
        if !is_name(app) {
            return Err(unfit(key, "`githubAppID` is no id"));
        }
        let (id, owner) = ("githubAppInstallationID", "githubAppInstallationOwner");
        let installation = match (read(id)?, read(owner)?) {
            (Some(id), None) => id.parse().ok().map(Installation::Id),
            (None, Some(owner)) => is_name(owner).then(|| Installation::Owner(owner.to_owned())),
            _ => {
                let reason = format!("a GitHub App needs one of `{id}` and `{owner}`");
                return Err(unfit(key, &reason));
            }
        };
        let installation = installation.ok_or_else(|| {
            unfit(
                key,
                &format!("`{id}` or `{owner}` is not what it has to be"),
            )
        })?;
        let api = match read("githubAppBaseURL")? {
            Some(base) => base_url(base)
                .ok_or_else(|| unfit(key, "`githubAppBaseURL` is no address of an API"))?,
            None if remote.host_str() == Some("github.com") => {
                Url::parse(API).expect("a constant that is an address")
            }
            None => {
                let reason = "`githubAppBaseURL` is needed for a server other than github.com";
                return Err(unfit(key, reason));
            }
        };
        let is_no_key = || unfit(key, "`githubAppPrivateKey` is no RSA key in PEM");
        let parsed = key_pair(pem).ok_or_else(is_no_key)?;
        let identity = identity(&[
            &key.to_string(),
            app,
            &format!("{installation:?}"),
            api.as_str(),
            remote.as_str(),
            pem,
        ]);
        Ok(Self {
            app: app.to_owned(),
            installation,
            api,
            key: parsed,
            identity,
        })
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<Token, ProviderError> {
        let to = Authority::of(ask.remote)
            .ok_or_else(|| ProviderError::Unfit("the remote names no host".to_owned()))?;
        let id = match &self.installation {
            Installation::Id(id) => *id,
            Installation::Owner(owner) => self.installation_of(owner, ask).await?,
        };
        let path = format!("app/installations/{id}/access_tokens");
        // Other repositories of the installation are none of this remote's business.
        let name = repository_of(ask.remote);
        let wish = name.map(|name| serde_json::json!({"repositories": [name]}));
        let answer = self.call(Method::POST, &path, wish, ask).await?;
        if answer.status != StatusCode::CREATED {
            return Err(self.refused(answer).await);
        }
        let Issued { token, expires_at } = self.body(answer).await?;
        let ends = DateTime::parse_from_rfc3339(&expires_at).ok();
        let left = ends.and_then(|ends| ends.signed_duration_since(now()).to_std().ok());
        let proof = Proof::Basic {
            username: Secret::new("x-access-token".to_owned()),
            password: Secret::new(token),
        };
        Ok(Token {
            credential: Credential::new(proof, to),
            lifetime: left.unwrap_or_default(),
        })
    }

    /// The installation of an organisation, or else of a user.
    async fn installation_of(&self, owner: &str, ask: Ask<'_>) -> Result<u64, ProviderError> {
        let mut answer = self
            .call(
                Method::GET,
                &format!("orgs/{owner}/installation"),
                None,
                ask,
            )
            .await?;
        if answer.status == StatusCode::NOT_FOUND {
            let path = format!("users/{owner}/installation");
            answer = self.call(Method::GET, &path, None, ask).await?;
        }
        if answer.status != StatusCode::OK {
            return Err(self.refused(answer).await);
        }
        let Found { id } = self.body(answer).await?;
        Ok(id)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
        ask: Ask<'_>,
    ) -> Result<Answer, ProviderError> {
        let unfit = || ProviderError::Unfit("the API has no usable address".to_owned());
        let url = Url::parse(&format!(
            "{}/{path}",
            self.api.as_str().trim_end_matches('/')
        ));
        let url = url.map_err(|_| unfit())?;
        let place = Authority::of(&url).ok_or_else(unfit)?;
        let claim = Credential::new(Proof::Bearer(self.claim()?), place.clone());
        // Writing `http:` is the opt-in for the API as it is for the remote.
        let plain_http = if url.scheme() == "http" {
            PlainHttp::Allow
        } else {
            PlainHttp::Refuse
        };
        let route = Route {
            plain_http,
            ..ask.route.clone()
        };
        let mut headers = vec![
            (
                ACCEPT,
                HeaderValue::from_static("application/vnd.github+json"),
            ),
            (
                HeaderName::from_static("x-github-api-version"),
                HeaderValue::from_static("2022-11-28"),
            ),
        ];
        if body.is_some() {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        let call = Call {
            method,
            url,
            headers,
            credential: Some(&claim),
            body: body.map_or_else(bytes::Bytes::new, |body| body.to_string().into()),
            deadline: ask.deadline,
        };
        let answer = ask.egress.send(&route, call).await;
        answer.map_err(|source| ProviderError::Unreachable {
            place: place.to_string(),
            source,
        })
    }

    /// The claim to be the App (RFC 7519, RS256).
    fn claim(&self) -> Result<Secret<String>, ProviderError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let claims = serde_json::json!({
            "iat": now.saturating_sub(EARLY).as_secs(),
            "exp": (now + CLAIM).as_secs(),
            "iss": self.app,
        });
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let claim = format!("{}.{}", claim_head(), encoded(&claims.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        let signed = self
            .key
            .sign(&RSA_PKCS1_SHA256, &random, claim.as_bytes(), &mut signature);
        signed.map_err(|_| ProviderError::Unfit("the key does not sign".to_owned()))?;
        Ok(Secret::new(format!(
            "{claim}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }

    async fn refused(&self, answer: Answer) -> ProviderError {
        let status = answer.status;
        let class = if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Class::Transient
        } else {
            Class::Denied
        };
        let complaint = answer.bytes(MAX_ANSWER).await.ok();
        let complaint = complaint.and_then(|it| serde_json::from_slice::<Complaint>(&it).ok());
        // Who repeats our claim repeats what every claim begins with.
        let head = Proof::Bearer(Secret::new(claim_head()));
        let complaint = complaint.filter(|it| !head.is_echoed_in(&it.message));
        let words =
            complaint.map(|it| format!(": {}", crate::egress::one_line(it.message.as_bytes())));
        ProviderError::Refused {
            place: self.place(),
            reason: format!("{status}{}", words.unwrap_or_default()),
            class,
        }
    }

    async fn body<T: for<'de> Deserialize<'de>>(&self, answer: Answer) -> Result<T, ProviderError> {
        let place = self.place();
        let bytes = answer.bytes(MAX_ANSWER).await;
        let bytes = bytes.map_err(|source| ProviderError::Unreachable {
            place: place.clone(),
            source,
        })?;
        // What the library says about a broken answer could repeat the token.
        serde_json::from_slice(&bytes).map_err(|_| ProviderError::Refused {
            place,
            reason: "its answer cannot be read".to_owned(),
            class: Class::Transient,
        })
    }

    fn place(&self) -> String {
        Authority::of(&self.api)
            .map(|it| it.to_string())
            .unwrap_or_default()
    }
}

/// The first part of a claim.
fn claim_head() -> String {
    URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#)
}

impl GitProvider for GithubApp {
    fn identity(&self) -> [u8; 32] {
        self.identity
    }

    fn token<'a>(&'a self, ask: Ask<'a>) -> Asking<'a> {
        Box::pin(self.ask(ask))
    }
}

impl fmt::Debug for GithubApp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GithubApp")
            .field("app", &self.app)
            .field("installation", &self.installation)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Issued {
    token: String,
    expires_at: String,
}

#[derive(Deserialize)]
struct Found {
    id: u64,
}

#[derive(Deserialize)]
struct Complaint {
    message: String,
}

fn now() -> DateTime<Utc> {
    DateTime::from(SystemTime::now())
}

/// What GitHub calls the repository of a remote, without its owner.
fn repository_of(remote: &Url) -> Option<String> {
    let name = remote.path_segments()?.rfind(|it| !it.is_empty())?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    Some(name.to_owned())
}

/// Whether a text may stand in a path as it is.
fn is_name(text: &str) -> bool {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
    !text.is_empty() && text.len() <= 100 && !text.starts_with('.') && text.chars().all(is_plain)
}

fn base_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.has_host();
    (is_plain && matches!(url.scheme(), "https" | "http")).then_some(url)
}

fn key_pair(pem: &str) -> Option<KeyPair> {
    let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()? {
        PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
        _ => return None,
    };
    pair.ok()
        .filter(|pair| !pair.public_key().as_ref().is_empty())
}

/// A digest of texts that no other texts have.
pub(super) fn identity(texts: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(text.len().to_be_bytes());
        digest.update(text.as_bytes());
    }
    digest.finalize().into()
}
