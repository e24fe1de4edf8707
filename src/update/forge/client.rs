//! What all forges have in common: JSON over HTTP, and what a status means.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    sync::OnceCell,
    time::{Instant, sleep},
};
use url::Url;

use super::{Access, Comment, ForgeError};
use crate::{
    egress::{Answer, Call, Egress, EgressError},
    secret::{Authority, Credential, Proof},
    update::git::{Ask, Login},
};

/// How large an answer may be: a hundred requests with long bodies.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How often a call is tried in all.
const MAX_TRIES: u32 = 3;
/// The longest wait that a forge is granted; a longer one ends the run, and the next one goes on.
const MAX_WAIT: u64 = 30;
/// The pause before a reading call is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// What GitHub asks its clients to leave between two calls that change something.
const GITHUB_PACE: Duration = Duration::from_secs(1);
/// How many pages are read.
pub(super) const MAX_PAGES: usize = 20;

/// A connection to one forge's API.
#[derive(Clone, Debug)]
pub(super) struct Client {
    egress: Egress,
    pub(super) access: Access,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The token that a provider gave: a client lives for one run, and a token for an hour.
    provided: Arc<OnceCell<Credential>>,
}

/// A comment, as most forges write it.
#[derive(Debug, Deserialize)]
pub(super) struct WrittenComment {
    id: u64,
    body: Option<String>,
}

impl From<WrittenComment> for Comment {
    fn from(written: WrittenComment) -> Self {
        Self {
            id: written.id.to_string(),
            text: written.body.unwrap_or_default(),
        }
    }
}

/// An answer that is no error.
pub(super) struct Reply {
    attempt: String,
    body: Value,
}

impl Reply {
    /// The answer in the form that it is promised in.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, ForgeError> {
        serde_json::from_value(self.body).map_err(|error| ForgeError::Protocol {
            attempt: self.attempt,
            detail: crate::egress::one_line(error.to_string().as_bytes()),
        })
    }

    pub(super) fn json(&self) -> &Value {
        &self.body
    }
}

impl Client {
    pub(super) fn new(
        egress: Egress,
        access: Access,
        headers: &[(&'static str, &'static str)],
    ) -> Self {
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        Self {
            egress,
            access,
            headers: headers.collect(),
            provided: Arc::default(),
        }
    }

    /// An address below the API's, each part encoded as one segment.
    pub(super) fn url(&self, parts: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.access.place.api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(parts);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    pub(super) async fn get(&self, attempt: &str, url: Url) -> Result<Reply, ForgeError> {
        self.call(attempt, Method::GET, url, None).await
    }

    /// Reads a list page by page, up to the first that is not full.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        attempt: &str,
        (size, limit): (usize, usize),
        page: impl Fn(&str) -> Url,
    ) -> Result<Vec<T>, ForgeError> {
        let mut all = Vec::new();
        for number in 1..=limit {
            let reply = self.get(attempt, page(&number.to_string())).await?;
            let found = reply.read::<Vec<T>>()?;
            let is_last = found.len() < size;
            all.extend(found);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    pub(super) async fn post(
        &self,
        attempt: &str,
        url: Url,
        body: Value,
    ) -> Result<Reply, ForgeError> {
        self.call(attempt, Method::POST, url, Some(body)).await
    }

    pub(super) async fn put(
        &self,
        attempt: &str,
        url: Url,
        body: Value,
    ) -> Result<Reply, ForgeError> {
        self.call(attempt, Method::PUT, url, Some(body)).await
    }

    pub(super) async fn patch(
        &self,
        attempt: &str,
        url: Url,
        body: Value,
    ) -> Result<Reply, ForgeError> {
        self.call(attempt, Method::PATCH, url, Some(body)).await
    }

    /// Makes a call. A reading one is tried again after any trouble that may pass, a writing one only
    /// where the forge says that it has not begun.
    async fn call(
        &self,
        attempt: &str,
        method: Method,
        url: Url,
        body: Option<Value>,
    ) -> Result<Reply, ForgeError> {
        let reads = method == Method::GET;
        if !reads && url.host_str() == Some("api.github.com") {
            sleep(GITHUB_PACE).await;
        }
        for again in 1.. {
            let result = self.call_once(attempt, &method, &url, body.as_ref()).await;
            let pause = match &result {
                Err(ForgeError::RateLimited { seconds, .. }) if *seconds <= MAX_WAIT => {
                    Duration::from_secs(*seconds)
                }
                Err(ForgeError::Unavailable { .. }) if reads => FIRST_PAUSE * 2_u32.pow(again),
                Err(ForgeError::Unreachable { source, .. }) if reads && source.is_transient() => {
                    FIRST_PAUSE * 2_u32.pow(again)
                }
                _ => return result,
            };
            if again == MAX_TRIES {
                return result;
            }
            tracing::debug!(attempt, ?pause, "asking the forge again");
            sleep(pause).await;
        }
        unreachable!("the loop has no end but its returns")
    }

    async fn call_once(
        &self,
        attempt: &str,
        method: &Method,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<Reply, ForgeError> {
        let attempt = attempt.to_owned();
        let mut headers = self.headers.clone();
        if !headers.iter().any(|(name, _)| *name == ACCEPT) {
            headers.push((ACCEPT, HeaderValue::from_static("application/json")));
        }
        if body.is_some() {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        let credential = self.credential(&attempt).await?;
        let call = Call {
            method: method.clone(),
            url: url.clone(),
            headers,
            credential,
            body: body.map(ToString::to_string).unwrap_or_default().into(),
            deadline: Instant::now() + self.access.timeout,
        };
        let unreachable = |source: EgressError| ForgeError::Unreachable {
            attempt: attempt.clone(),
            source,
        };
        let answer = self
            .egress
            .send(&self.access.route, call)
            .await
            .map_err(unreachable)?;
        if !answer.status.is_success() {
            return Err(refused(attempt, answer, credential).await);
        }
        let bytes = answer.bytes(MAX_ANSWER).await.map_err(unreachable)?;
        let body = if bytes.iter().all(u8::is_ascii_whitespace) {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).map_err(|error| ForgeError::Protocol {
                attempt: attempt.clone(),
                detail: crate::egress::one_line(error.to_string().as_bytes()),
            })?
        };
        Ok(Reply { attempt, body })
    }

    async fn credential(&self, attempt: &str) -> Result<Option<&Credential>, ForgeError> {
        let provider = match &self.access.login {
            Login::Fixed(credential) => return Ok(Some(credential)),
            Login::Provided(provider) => provider,
            Login::Anonymous | Login::Ssh(_) => return Ok(None),
        };
        let ask = Ask {
            egress: &self.egress,
            route: &self.access.route,
            remote: &self.access.place.api,
            deadline: Instant::now() + self.access.timeout,
        };
        let asking = async || {
            let token = provider.ask(ask).await?;
            Ok(bearer(token.credential, ask.remote))
        };
        let credential = self.provided.get_or_try_init(asking).await;
        credential.map(Some).map_err(|source| ForgeError::NoToken {
            attempt: attempt.to_owned(),
            source,
        })
    }
}

/// A token that Git takes as a password, as the API takes it.
fn bearer(credential: Credential, api: &Url) -> Credential {
    match (credential.proof(), Authority::of(api)) {
        (Proof::Basic { password, .. }, Some(authority)) => {
            Credential::new(Proof::Bearer(password.clone()), authority)
        }
        _ => credential,
    }
}

/// Tells from a status what is the matter; never from words.
async fn refused(attempt: String, answer: Answer, credential: Option<&Credential>) -> ForgeError {
    let status = answer.status;
    let wait = wait(&answer.headers);
    let complaint = answer.complaint().await;
    let is_echo = credential.is_some_and(|it| it.proof().is_echoed_in(&complaint));
    let reason = if complaint.is_empty() || is_echo {
        status.to_string()
    } else {
        format!("{status}: {complaint}")
    };
    match (status, wait) {
        (StatusCode::TOO_MANY_REQUESTS, wait) => ForgeError::RateLimited {
            attempt,
            seconds: wait.unwrap_or(60),
        },
        // A 403 with one of the headers about limits is about limits, and not about rights.
        (StatusCode::FORBIDDEN, Some(seconds)) => ForgeError::RateLimited { attempt, seconds },
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
            ForgeError::Denied { attempt, reason }
        }
        (StatusCode::NOT_FOUND | StatusCode::GONE, _) => ForgeError::NotFound { attempt },
        (status, _) if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            ForgeError::Unavailable { attempt, reason }
        }
        _ => ForgeError::Refused { attempt, reason },
    }
}

/// How long a forge wants us to wait, in seconds, by the headers that say so.
fn wait(headers: &HeaderMap) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    if let Some(seconds) = number(RETRY_AFTER.as_str()) {
        return Some(seconds);
    }
    // The moment of the reset is on the forge's clock, which its own date tells.
    let is_spent = number("x-ratelimit-remaining") == Some(0);
    let reset = number("x-ratelimit-reset").filter(|_| is_spent)?;
    let date = headers.get("date")?.to_str().ok()?;
    let now = httpdate::parse_http_date(date).ok()?;
    let now = now.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    Some(reset.saturating_sub(now).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_says_how_long_to_wait_in_one_of_two_ways() {
        let check = |headers: &[(&'static str, &'static str)], expected: Option<u64>| {
            let headers = headers.iter().map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            });
            let headers = headers.collect::<HeaderMap>();
            assert_eq!(wait(&headers), expected, "{headers:?}");
        };
        let date = ("date", "Thu, 01 Jan 1970 00:01:40 GMT");
        let spent = ("x-ratelimit-remaining", "0");
        let reset = ("x-ratelimit-reset", "130");
        check(&[("retry-after", "7")], Some(7));
        check(&[("retry-after", "7"), spent, reset, date], Some(7));
        check(&[spent, reset, date], Some(30));
        check(&[spent, ("x-ratelimit-reset", "90"), date], Some(1));
        check(&[("x-ratelimit-remaining", "9"), reset, date], None);
        check(&[spent, reset], None);
        check(&[spent, date], None);
        check(&[("retry-after", "soon")], None);
        check(&[], None);
    }
}
