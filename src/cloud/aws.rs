//! AWS: ECR and ECR Public, and what requests are signed with.
//!
//! The chain of the SDK says who we are: variables, profiles (with roles of other accounts), the web
//! identity of a pod (IRSA), EKS Pod Identity, the metadata service. It is built without
//! `credential_process`, so that no program is ever started. A `ServiceAccount` has none of these: its
//! own token is exchanged for its own role.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecr::{
    config::{Credentials, ProvideCredentials as _, SharedCredentialsProvider},
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTime,
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{
    Method,
    header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue},
};
use tokio::time::Instant;
use url::Url;

use super::{
    Caller, Cloud, CloudError,
    caller::Account,
    host::{self, Ecr},
    kept::Given,
    log_in::Asking,
    wire::metadata_route,
};
use crate::{
    egress::{Call, Egress, EgressError, Route, is_internal, one_line},
    error::Class,
    secret::{Proof, Secret},
};

/// Where ECR Public gives its tokens.
const PUBLIC_REGION: &str = "us-east-1";
/// For whom a token of a `ServiceAccount` is made that AWS is to believe.
const AUDIENCE: &str = "sts.amazonaws.com";
/// Which role a `ServiceAccount` takes on.
const ROLE: &str = "eks.amazonaws.com/role-arn";
/// The longest name of a session.
const MAX_SESSION: usize = 64;
/// The longest answer that is read.
const MAX_ANSWER: usize = 1024 * 1024;

/// What requests to AWS are signed with.
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    /// The id of the key; no secret.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret<String>,
    /// What goes with a key that ends.
    pub session_token: Option<Secret<String>>,
}

/// What opens the registry `host`.
pub(super) async fn registry(host: &str, asking: Asking<'_>) -> Result<Given<Proof>, CloudError> {
    let foreign = || CloudError::ForeignHost {
        cloud: Cloud::Aws,
        host: host.to_owned(),
    };
    match host::ecr(host).ok_or_else(foreign)? {
        Ecr::Private { region } => {
            let client = aws_sdk_ecr::Client::new(&signed(region, asking).await?);
            let output = client.get_authorization_token().send().await;
            let output = output.map_err(|error| refusal(&error))?;
            let given = output.authorization_data().first().and_then(|it| {
                let end = it.expires_at().map(DateTime::as_secs_f64);
                Some((it.authorization_token()?.to_owned(), end))
            });
            log_in(given)
        }
        Ecr::Public => {
            let client = aws_sdk_ecrpublic::Client::new(&signed(PUBLIC_REGION, asking).await?);
            let output = client.get_authorization_token().send().await;
            let output = output.map_err(|error| refusal(&error))?;
            let given = output.authorization_data().and_then(|it| {
                let end = it.expires_at().map(DateTime::as_secs_f64);
                Some((it.authorization_token()?.to_owned(), end))
            });
            log_in(given)
        }
    }
}

/// What requests in `region` are signed with.
pub(super) async fn credentials(
    region: &str,
    asking: Asking<'_>,
) -> Result<Given<AwsCredentials>, CloudError> {
    let config = signed(region, asking).await?;
    let provider = config
        .credentials_provider()
        .ok_or_else(|| no_identity("none is configured"))?;
    let found = provider.provide_credentials().await;
    let found = found.map_err(|error| no_identity(&deepest(&error)))?;
    Ok(Given {
        life: found.expiry().map_or(Duration::from_mins(15), left),
        value: AwsCredentials {
            access_key_id: found.access_key_id().to_owned(),
            secret_access_key: Secret::new(found.secret_access_key().to_owned()),
            session_token: found.session_token().map(|it| Secret::new(it.to_owned())),
        },
    })
}

/// The SDK, set up for a region and a caller.
async fn signed(region: &str, asking: Asking<'_>) -> Result<SdkConfig, CloudError> {
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .http_client(Outward {
            egress: asking.egress.clone(),
            route: asking.way.route.clone(),
            deadline: asking.way.deadline,
        });
    match asking.caller {
        Caller::Ambient => Ok(loader.load().await),
        Caller::Account(account) => {
            let config = loader.no_credentials().load().await;
            let credentials = assume(account, region, &config).await?;
            let provider = SharedCredentialsProvider::new(credentials);
            Ok(config.into_builder().credentials_provider(provider).build())
        }
    }
}

/// Exchanges a token of a `ServiceAccount` for its role.
async fn assume(
    account: &Account,
    region: &str,
    config: &SdkConfig,
) -> Result<Credentials, CloudError> {
    let role = account.needs(ROLE)?;
    if !is_role(role) {
        return Err(account.unfit(format!(
            "`{ROLE}` is not of the form arn:aws:iam::<account>:role/<name>"
        )));
    }
    let token = account.token(AUDIENCE).await?;
    let output = aws_sdk_sts::Client::new(config)
        .assume_role_with_web_identity()
        .role_arn(role)
        .role_session_name(session(account, region))
        .web_identity_token(token.expose().as_str())
        .send()
        .await
        .map_err(|error| refusal(&error))?;
    let given = output.credentials().ok_or(CloudError::Unfit {
        cloud: Cloud::Aws,
        reason: "it holds no credentials",
    })?;
    Ok(Credentials::new(
        given.access_key_id(),
        given.secret_access_key(),
        Some(given.session_token().to_owned()),
        SystemTime::try_from(*given.expiration()).ok(),
        "tagwright",
    ))
}

/// What shows up in AWS's audit trail: the account, its namespace and the region.
fn session(account: &Account, region: &str) -> String {
    let whole = format!("{}.{}.{region}.tagwright", account.name, account.namespace);
    let may_be_in = |it: &char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_');
    whole.chars().filter(may_be_in).take(MAX_SESSION).collect()
}

fn is_role(text: &str) -> bool {
    let parts = text.splitn(6, ':').collect::<Vec<_>>();
    let ["arn", partition, "iam", "", account, role] = parts.as_slice() else {
        return false;
    };
    let is_plain = |it: char| it.is_ascii_graphic();
    partition.starts_with("aws")
        && (1..=30).contains(&account.len())
        && account.bytes().all(|it| it.is_ascii_digit())
        && role
            .strip_prefix("role/")
            .is_some_and(|name| (1..=200).contains(&name.len()) && name.chars().all(is_plain))
}

/// Reads what ECR gives: `user:password` in base64, and when it ends.
fn log_in(given: Option<(String, Option<f64>)>) -> Result<Given<Proof>, CloudError> {
    let unfit = || CloudError::Unfit {
        cloud: Cloud::Aws,
        reason: "it holds no log-in for a registry",
    };
    let (token, end) = given.ok_or_else(unfit)?;
    let token = Secret::new(token);
    let pair = STANDARD.decode(token.expose()).map_err(|_| unfit())?;
    let pair = Secret::new(String::from_utf8(pair).map_err(|_| unfit())?);
    let (username, password) = pair.expose().split_once(':').ok_or_else(unfit)?;
    let end = end.and_then(|end| Duration::try_from_secs_f64(end).ok());
    Ok(Given {
        life: end.map_or(Duration::ZERO, |end| left(SystemTime::UNIX_EPOCH + end)),
        value: Proof::Basic {
            username: Secret::new(username.to_owned()),
            password: Secret::new(password.to_owned()),
        },
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a token says when it ends, and is kept by how long it lives"
)]
fn left(end: SystemTime) -> Duration {
    end.duration_since(SystemTime::now()).unwrap_or_default()
}

/// What an error of the SDK says: the service's own words, or the deepest cause.
fn refusal<E, R>(error: &SdkError<E, R>) -> CloudError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: fmt::Debug + 'static,
{
    if let Some(service) = error.as_service_error() {
        let code = service.code().unwrap_or("refused");
        let said = format!("{code}: {}", service.message().unwrap_or_default());
        let is_passing = [
            "Throttl",
            "TooMany",
            "Unavailable",
            "Internal",
            "Timeout",
            "ServerException",
        ];
        let class = if is_passing.iter().any(|it| code.contains(it)) {
            Class::Transient
        } else {
            Class::Denied
        };
        return CloudError::Refused {
            cloud: Cloud::Aws,
            reason: one_line(said.as_bytes()),
            class,
        };
    }
    let reason = deepest(error);
    match error {
        SdkError::DispatchFailure(failure)
            if failure
                .as_connector_error()
                .is_some_and(|it| it.is_io() || it.is_timeout()) =>
        {
            CloudError::Refused {
                cloud: Cloud::Aws,
                reason,
                class: Class::Transient,
            }
        }
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => CloudError::Refused {
            cloud: Cloud::Aws,
            reason,
            class: Class::Transient,
        },
        _ => no_identity(&reason),
    }
}

fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    one_line(deepest.to_string().as_bytes())
}

fn no_identity(reason: &str) -> CloudError {
    CloudError::NoIdentity {
        cloud: Cloud::Aws,
        reason: reason.to_owned(),
    }
}

/// The SDK's way out, which is ours.
#[derive(Clone, Debug)]
struct Outward {
    egress: Egress,
    route: Route,
    deadline: Instant,
}

impl HttpClient for Outward {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let limits = [settings.connect_timeout(), settings.read_timeout()];
        SharedHttpConnector::new(Connector {
            outward: self.clone(),
            patience: limits.into_iter().flatten().reduce(|sum, it| sum + it),
        })
    }
}

/// The same, as patient as one of the SDK's clients is: its metadata client is not.
#[derive(Debug)]
struct Connector {
    outward: Outward,
    patience: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (outward, patience) = (self.outward.clone(), self.patience);
        HttpConnectorFuture::new(async move { outward.send(request, patience).await })
    }
}

impl Outward {
    async fn send(
        self,
        request: HttpRequest,
        patience: Option<Duration>,
    ) -> Result<HttpResponse, ConnectorError> {
        let unfit = |reason: &str| ConnectorError::user(reason.to_owned().into());
        let url = Url::parse(request.uri()).map_err(|error| ConnectorError::user(error.into()))?;
        // Pods and machines ask addresses of their own for who they are.
        let direct = is_internal(&url).then(metadata_route);
        let mut headers = Vec::new();
        for (name, value) in request.headers() {
            let name = name
                .parse::<HeaderName>()
                .map_err(|_| unfit("a header's name"))?;
            if name == HOST || name == CONTENT_LENGTH {
                continue;
            }
            let mut value = HeaderValue::from_str(value).map_err(|_| unfit("a header's value"))?;
            value.set_sensitive(true);
            headers.push((name, value));
        }
        let body = request
            .body()
            .bytes()
            .ok_or_else(|| unfit("a body that flows"))?;
        let own = patience.map(|it| Instant::now() + it);
        let call = Call {
            method: request
                .method()
                .parse::<Method>()
                .map_err(|_| unfit("a method"))?,
            url,
            headers,
            credential: None,
            body: bytes::Bytes::copy_from_slice(body),
            deadline: own.map_or(self.deadline, |own| own.min(self.deadline)),
        };
        let failed = |error: EgressError| match &error {
            EgressError::Timeout(_) => ConnectorError::timeout(error.into()),
            _ if error.is_transient() => ConnectorError::io(error.into()),
            _ => ConnectorError::other(error.into(), None),
        };
        let answer = self
            .egress
            .send(direct.as_ref().unwrap_or(&self.route), call)
            .await;
        let answer = answer.map_err(failed)?;
        let status = answer.status.as_u16();
        let received = answer.headers.clone();
        let body = answer.bytes(MAX_ANSWER).await.map_err(failed)?;
        let status = status.try_into().map_err(|_| unfit("a status"))?;
        let mut response = HttpResponse::new(status, body.into());
        for (name, value) in &received {
            if let Ok(value) = value.to_str() {
                response
                    .headers_mut()
                    .append(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_whole() {
        let check = |text: &str, ok: bool| assert_eq!(is_role(text), ok, "{text}");
        check("arn:aws:iam::123456789012:role/puller", true);
        check("arn:aws-cn:iam::123456789012:role/path/puller", true);
        check("arn:aws:iam::123456789012:user/puller", false);
        check("arn:aws:iam::123456789012:role/", false);
        check("arn:aws:iam::12345678901x:role/puller", false);
        check("arn:aws:iam:us-east-1:123456789012:role/puller", false);
        check("arn:evil:iam::123456789012:role/puller", false);
        check("", false);
    }

    #[test]
    fn a_log_in_is_a_pair_that_ends() {
        let check = |token: &str, end: Option<f64>, ok: bool, lives: bool| {
            let given = log_in(Some((token.to_owned(), end)));
            assert_eq!(given.is_ok(), ok, "{token}");
            let life = given.map(|given| given.life).unwrap_or_default();
            assert_eq!(!life.is_zero(), lives, "{token} {end:?}");
        };
        let pair = STANDARD.encode("AWS:secret");
        check(&pair, Some(4e9), true, true);
        check(&pair, Some(1.4e9), true, false);
        check(&pair, Some(-1.0), true, false);
        check(&pair, Some(f64::NAN), true, false);
        check(&pair, None, true, false);
        check(&STANDARD.encode("AWS"), None, false, false);
        check("?", None, false, false);
        assert!(log_in(None).is_err());
    }
}
