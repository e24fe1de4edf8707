//! Google Cloud: access tokens of key files, of the metadata service, of a user's log-in, and of
//! identities from elsewhere, exchanged at the Security Token Service.
//!
//! Federation: <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>, its files:
//! <https://google.aip.dev/auth/4117>, metadata: <https://cloud.google.com/compute/docs/metadata>.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use gcp_auth::{CustomServiceAccount, TokenProvider as _};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{
    Caller, Cloud, CloudError,
    caller::Account,
    environment::{self, Environment},
    kept::Given,
    log_in::Asking,
    wire::{Body, Question, TokenReply, metadata_route},
};
use crate::{egress::Route, error::Class, secret::Secret};

/// What a token may do; what it really may is said by the rights of the identity.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The Security Token Service.
const STS: &str = "https://sts.googleapis.com/v1/token";
/// Where a user's log-in is renewed.
const OAUTH2: &str = "https://oauth2.googleapis.com/token";
/// Where an identity takes on another.
const IMPERSONATION: &str = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts";
/// The metadata service.
const METADATA: &str = "metadata.google.internal";
/// Through which provider of a pool a `ServiceAccount` comes, and as whom it goes on.
const PROVIDER: &str = "gcp.auth.fluxcd.io/workload-identity-provider";
const IMPERSONATE: &str = "iam.gke.io/gcp-service-account";
/// The kind of token that a cluster makes.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A token on its way, and its life.
type Access = Given<Secret<String>>;

/// A file that says who we are, by its `type`.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Credentials {
    /// A key; `gcp_auth` reads the rest.
    ServiceAccount {},
    AuthorizedUser(User),
    ExternalAccount(External),
}

#[derive(Deserialize)]
struct User {
    client_id: String,
    client_secret: String,
    refresh_token: String,
}

/// An identity from elsewhere.
#[derive(Deserialize)]
struct External {
    audience: String,
    subject_token_type: String,
    token_url: String,
    credential_source: Source,
    service_account_impersonation_url: Option<String>,
}

/// Where the token is that is exchanged. Programs are never started for it.
#[derive(Deserialize)]
struct Source {
    file: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize)]
struct Format {
    subject_token_field_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    access_token: String,
    expire_time: DateTime<Utc>,
}

/// A token to be exchanged.
struct Foreign<'f> {
    url: &'f str,
    audience: &'f str,
    kind: &'f str,
    token: Secret<String>,
}

/// An access token for `caller`.
pub(super) async fn token(asking: Asking<'_>) -> Result<Access, CloudError> {
    match asking.caller {
        Caller::Account(account) => of_account(account, asking).await,
        Caller::Ambient => match credentials_file(asking.environment) {
            Some(path) => of_file(&path, asking).await,
            None => of_machine(asking).await,
        },
    }
}

/// A `ServiceAccount`, through the provider that it names, or through the one of GKE.
async fn of_account(account: &Account, asking: Asking<'_>) -> Result<Access, CloudError> {
    let (audience, claimed) = match account.annotations.get(PROVIDER) {
        Some(provider) if is_provider(provider) => {
            let audience = format!("//iam.googleapis.com/{provider}");
            (audience.clone(), audience)
        }
        Some(_) => {
            let form = "projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>";
            return Err(account.unfit(format!("`{PROVIDER}` is not of the form {form}")));
        }
        None => of_gke(asking).await?,
    };
    let token = account.token(&claimed).await?;
    let foreign = Foreign {
        url: STS,
        audience: &audience,
        kind: JWT,
        token,
    };
    let access = foreign.exchange(asking).await?;
    match account.annotations.get(IMPERSONATE) {
        None => Ok(access),
        Some(email) if is_email(email) => {
            let url = format!("{IMPERSONATION}/{email}:generateAccessToken");
            impersonate(&url, access.value, asking).await
        }
        Some(_) => Err(account.unfit(format!("`{IMPERSONATE}` is no address of an identity"))),
    }
}

/// The audiences of the exchange and of the cluster's token, where the cluster is one of GKE.
async fn of_gke(asking: Asking<'_>) -> Result<(String, String), CloudError> {
    let project = metadata("project/project-id", asking).await?;
    let location = metadata("instance/attributes/cluster-location", asking).await?;
    let cluster = metadata("instance/attributes/cluster-name", asking).await?;
    let pool = format!("{project}.svc.id.goog");
    let provider = format!(
        "https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{cluster}"
    );
    Ok((format!("identitynamespace:{pool}:{provider}"), pool))
}

/// The file that a variable names, or the one that a user's log-in made.
fn credentials_file(environment: &Environment) -> Option<PathBuf> {
    if let Some(path) = environment.get("GOOGLE_APPLICATION_CREDENTIALS") {
        return Some(PathBuf::from(path));
    }
    let folder = environment.get("CLOUDSDK_CONFIG").map(PathBuf::from);
    let home = environment.get("HOME");
    let folder = folder.or_else(|| Some(Path::new(home?).join(".config/gcloud")))?;
    let path = folder.join("application_default_credentials.json");
    environment::exists(&path).then_some(path)
}

async fn of_file(path: &Path, asking: Asking<'_>) -> Result<Access, CloudError> {
    let unfit = |reason: &str| no_identity(format!("`{}`: {reason}", path.display()));
    let text = environment::read(path).map_err(|error| unfit(&error.to_string()))?;
    let credentials = serde_json::from_str(text.expose());
    // The cause is dropped on purpose: its text may quote a key.
    match credentials.map_err(|_| unfit("it is no key, user or federation that is known"))? {
        Credentials::ServiceAccount {} => of_key(text.expose()).await,
        Credentials::AuthorizedUser(user) => {
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", &user.client_id),
                ("client_secret", &user.client_secret),
                ("refresh_token", &user.refresh_token),
            ];
            let question = question(OAUTH2, Body::Form(&form));
            let reply = question
                .ask::<TokenReply>(asking.egress, asking.way)
                .await?;
            Ok(reply.given())
        }
        Credentials::ExternalAccount(external) => of_elsewhere(&external, asking).await,
    }
}

/// A key signs a claim, and Google gives a token for it.
async fn of_key(text: &str) -> Result<Access, CloudError> {
    // The causes are dropped on purpose: their texts may quote the key.
    let account = CustomServiceAccount::from_json(text)
        .map_err(|_| no_identity("the key file holds no key that can be read".to_owned()))?;
    let token = account.token(&[SCOPE]).await;
    let token = token.map_err(|_| CloudError::Refused {
        cloud: Cloud::Gcp,
        reason: "the key of the key file was exchanged for nothing".to_owned(),
        class: Class::Transient,
    })?;
    Ok(Given {
        value: Secret::new(token.as_str().to_owned()),
        life: left(token.expires_at()),
    })
}

async fn of_elsewhere(external: &External, asking: Asking<'_>) -> Result<Access, CloudError> {
    let source = &external.credential_source;
    let text = match (&source.file, &source.url) {
        (Some(file), _) => environment::read(file)
            .map_err(|error| no_identity(format!("`{}`: {error}", file.display())))?,
        (None, Some(url)) => from_url(url, &source.headers, asking).await?,
        (None, None) => {
            let reason =
                "an identity from elsewhere is read from a file or a url, and nothing else";
            return Err(no_identity(reason.to_owned()));
        }
    };
    let token = match &source.format.subject_token_field_name {
        None => Secret::new(text.expose().trim().to_owned()),
        Some(name) => {
            let fields = serde_json::from_str::<serde_json::Value>(text.expose());
            let field = fields
                .ok()
                .and_then(|it| it[name].as_str().map(str::to_owned));
            let none = || no_identity(format!("the token from elsewhere has no field `{name}`"));
            Secret::new(field.ok_or_else(none)?)
        }
    };
    // A file that came from somebody else must not lead a token to them.
    check_google(&external.token_url)?;
    let foreign = Foreign {
        url: &external.token_url,
        audience: &external.audience,
        kind: &external.subject_token_type,
        token,
    };
    let access = foreign.exchange(asking).await?;
    let Some(url) = &external.service_account_impersonation_url else {
        return Ok(access);
    };
    check_google(url)?;
    impersonate(url, access.value, asking).await
}

async fn from_url(
    url: &str,
    headers: &std::collections::BTreeMap<String, String>,
    asking: Asking<'_>,
) -> Result<Secret<String>, CloudError> {
    // The one header that known sources ask for; GitHub's workflows have a bearer token.
    let bearer = headers.iter().find_map(|(name, value)| {
        let is_it = name.eq_ignore_ascii_case("authorization");
        let token = value.strip_prefix("Bearer ").filter(|_| is_it)?;
        Some(Secret::new(token.to_owned()))
    });
    let flavour = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("metadata"));
    let is_here = Url::parse(url).is_ok_and(|url| crate::egress::is_internal(&url));
    let question = Question {
        bearer,
        headers: flavour
            .map(|(_, value)| ("metadata", value.clone()))
            .into_iter()
            .collect(),
        ..question(url, Body::Nothing)
    };
    let route = metadata_route();
    let way = if is_here {
        asking.way.by(&route)
    } else {
        asking.way
    };
    let text = String::from_utf8(question.text(asking.egress, way).await?);
    text.map(Secret::new).map_err(|_| CloudError::Unfit {
        cloud: Cloud::Gcp,
        reason: "the token from elsewhere is not UTF-8",
    })
}

impl Foreign<'_> {
    async fn exchange(&self, asking: Asking<'_>) -> Result<Access, CloudError> {
        let body = json!({
            "audience": self.audience,
            "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
            "scope": SCOPE,
            "subjectTokenType": self.kind,
            "subjectToken": self.token.expose(),
        });
        let question = question(self.url, Body::Json(body));
        let reply = question
            .ask::<TokenReply>(asking.egress, asking.way)
            .await?;
        Ok(reply.given())
    }
}

async fn impersonate(
    url: &str,
    token: Secret<String>,
    asking: Asking<'_>,
) -> Result<Access, CloudError> {
    let question = Question {
        bearer: Some(token),
        ..question(url, Body::Json(json!({"scope": [SCOPE]})))
    };
    let Impersonated {
        access_token,
        expire_time,
    } = question.ask(asking.egress, asking.way).await?;
    Ok(Given {
        value: Secret::new(access_token),
        life: left(expire_time),
    })
}

async fn of_machine(asking: Asking<'_>) -> Result<Access, CloudError> {
    let route = metadata_route();
    let path = "instance/service-accounts/default/token";
    let url = metadata_url(path, asking.environment);
    let reply = at_metadata(&url).ask::<TokenReply>(asking.egress, asking.way.by(&route));
    Ok(reply.await?.given())
}

/// What the metadata service says of the machine.
async fn metadata(path: &str, asking: Asking<'_>) -> Result<String, CloudError> {
    let route: Route = metadata_route();
    let url = metadata_url(path, asking.environment);
    let text = at_metadata(&url).text(asking.egress, asking.way.by(&route));
    let text = String::from_utf8(text.await?).unwrap_or_default();
    if is_word(&text) {
        return Ok(text);
    }
    Err(CloudError::Unfit {
        cloud: Cloud::Gcp,
        reason: "the metadata service names no project, place or cluster",
    })
}

fn metadata_url(path: &str, environment: &Environment) -> String {
    let host = environment.get("GCE_METADATA_HOST").unwrap_or(METADATA);
    format!("http://{host}/computeMetadata/v1/{path}")
}

fn at_metadata(url: &str) -> Question<'_> {
    Question {
        headers: vec![("metadata-flavor", "Google".to_owned())],
        ..question(url, Body::Nothing)
    }
}

fn question<'q>(url: &'q str, body: Body<'q>) -> Question<'q> {
    Question {
        cloud: Cloud::Gcp,
        url,
        headers: Vec::new(),
        bearer: None,
        body,
    }
}

/// Whether an address is one of Google's APIs.
fn check_google(address: &str) -> Result<(), CloudError> {
    let url = Url::parse(address).ok();
    let is_google = url.is_some_and(|url| {
        let host = url.host_str().unwrap_or_default();
        url.scheme() == "https" && url.port().is_none() && host.ends_with(".googleapis.com")
    });
    if is_google {
        return Ok(());
    }
    Err(no_identity(format!(
        "`{}` is none of Google's token services",
        address.escape_debug()
    )))
}

fn is_provider(text: &str) -> bool {
    let parts = text.split('/').collect::<Vec<_>>();
    let [
        "projects",
        number,
        "locations",
        "global",
        "workloadIdentityPools",
        pool,
        "providers",
        provider,
    ] = parts.as_slice()
    else {
        return false;
    };
    number.bytes().all(|it| it.is_ascii_digit())
        && [number, pool, provider].into_iter().all(|it| is_word(it))
}

fn is_email(text: &str) -> bool {
    let halves = text.split_once('@');
    halves.is_some_and(|(name, host)| is_word(name) && host.split('.').all(is_word))
}

fn is_word(text: &str) -> bool {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_');
    (1..=100).contains(&text.len()) && text.chars().all(is_plain)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a token says when it ends, and is kept by how long it lives"
)]
fn left(end: DateTime<Utc>) -> Duration {
    (end - Utc::now()).to_std().unwrap_or_default()
}

fn no_identity(reason: String) -> CloudError {
    CloudError::NoIdentity {
        cloud: Cloud::Gcp,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_google_is_told_a_token() {
        let check = |url: &str, ok: bool| assert_eq!(check_google(url).is_ok(), ok, "{url}");
        check("https://sts.googleapis.com/v1/token", true);
        check("https://iamcredentials.googleapis.com/v1/x:y", true);
        check("http://sts.googleapis.com/v1/token", false);
        check("https://sts.googleapis.com.evil.test/v1/token", false);
        check("https://evilgoogleapis.com/v1/token", false);
        check("https://sts.googleapis.com:8443/v1/token", false);
        check("https://evil.test/sts.googleapis.com", false);
    }

    #[test]
    fn a_provider_and_an_identity_are_read_whole() {
        let provider = "projects/12/locations/global/workloadIdentityPools/p/providers/q";
        assert!(is_provider(provider));
        assert!(!is_provider(&format!("{provider}/x")));
        assert!(!is_provider(
            "projects/a/locations/global/workloadIdentityPools/p/providers/q"
        ));
        assert!(!is_provider(
            "projects/12/locations/global/workloadIdentityPools/../providers/q"
        ));
        assert!(is_email("bot@acme.iam.gserviceaccount.com"));
        assert!(!is_email("bot@acme/../x"));
        assert!(!is_email("bot"));
    }
}
