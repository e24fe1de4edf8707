//! Requests that are made again when the reason to fail may pass, all within one deadline.

#![expect(
    clippy::disallowed_methods,
    reason = "an edge file: `Retry-After` names wall-clock times"
)]

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, IF_NONE_MATCH},
};
use tokio::time::Instant;
use url::Url;

use super::{
    Complaint, ScanError, Who,
    budget::{Account, Budgets, NotNow, Ticket},
    header,
    token::Moment,
};
use crate::{
    egress::{Call, Egress, EgressError, Route, one_line},
    secret::{Authority, Credential, Proof},
};

/// How often a request is made that fails for a passing reason.
const ATTEMPTS: u32 = 3;
/// The pause before the second attempt; the next is three times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// Makes the requests of one conversation.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) egress: &'a Egress,
    pub(super) budgets: &'a Budgets,
    /// What errors name: the repository, with the tag where there is one.
    pub(super) image: String,
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    /// How long one request may take.
    pub(super) request_time: Duration,
}

/// One request.
#[derive(Debug)]
pub(super) struct Request<'r> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: &'static str,
    pub(super) credential: Option<&'r Credential>,
    pub(super) form: Option<Bytes>,
    pub(super) limit: usize,
    /// The state of the answer that is known already.
    pub(super) known: Option<&'r str>,
    pub(super) content: Content,
    /// Who asks, and whose allowance it counts against.
    pub(super) who: &'r Who,
    pub(super) account: Account,
}

/// Whether an answer is verified by its digest, wherever it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// It is believed, so it must come from the registry itself.
    Believed,
    /// Its digest is known, so that the registry may keep it elsewhere.
    Verified,
}

/// Whether a request that could not connect is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreachable {
    TryAgain,
    GiveUp,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) url: Url,
    pub(super) body: Vec<u8>,
}

impl Caller<'_> {
    /// Makes a request up to three times, as long as the reason to fail may pass.
    pub(super) async fn patiently(
        &self,
        route: &Route,
        request: &Request<'_>,
        unreachable: Unreachable,
    ) -> Result<Reply, ScanError> {
        let mut attempt = 1;
        loop {
            let ticket = self.ticket(request).await?;
            let result = self.once(route, request).await;
            if let (Ok(reply), Some(ticket)) = (&result, &ticket) {
                ticket.learn(reply.status, &reply.headers, Utc::now());
            }
            drop(ticket);
            let asked_to_wait = match &result {
                Ok(reply) if may_pass(reply.status) => {
                    header::retry_after(&reply.headers, Utc::now())
                }
                Err(EgressError::Unreachable { .. }) if unreachable == Unreachable::GiveUp => {
                    return result.map_err(|error| self.unanswered(error));
                }
                Err(error) if error.is_transient() => None,
                _ => return result.map_err(|error| self.unanswered(error)),
            };
            let pause = pause(attempt, asked_to_wait, Utc::now());
            if attempt == ATTEMPTS || Instant::now() + pause >= self.deadline {
                return result.map_err(|error| self.unanswered(error));
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// The time by both clocks.
    pub(super) fn moment() -> Moment {
        Moment {
            monotonic: Instant::now(),
            wall: Utc::now(),
        }
    }

    async fn ticket(&self, request: &Request<'_>) -> Result<Option<Ticket>, ScanError> {
        // What has no authority is refused by the way out, with a reason.
        let Some(authority) = Authority::of(&request.url) else {
            return Ok(None);
        };
        let turn = self
            .budgets
            .admit(&authority, request.account, self.deadline);
        turn.await.map(Some).map_err(|not_now| match not_now {
            NotNow::Closed(until) => ScanError::RateLimited {
                host: request.url.authority().to_owned(),
                who: request.who.clone(),
                until: Some(until),
            },
            NotNow::Crowded => self.timed_out(),
        })
    }

    /// The error of a conversation that was not over in time.
    pub(super) fn timed_out(&self) -> ScanError {
        ScanError::Timeout {
            image: self.image.clone(),
            timeout: self.timeout,
        }
    }

    /// The error that a status stands for, where `who` had asked with `sent`.
    pub(super) fn failure(&self, reply: &Reply, who: Who, sent: Option<&Proof>) -> ScanError {
        let image = self.image.clone();
        let host = reply.url.authority().to_owned();
        let source = complaint_of(&reply.body, sent);
        match reply.status {
            StatusCode::NOT_FOUND => ScanError::NotFound { image },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ScanError::Denied {
                image,
                host,
                who,
                source,
            },
            StatusCode::TOO_MANY_REQUESTS => ScanError::RateLimited {
                host,
                who,
                until: header::retry_after(&reply.headers, Utc::now()),
            },
            status => ScanError::Failed {
                image,
                host,
                status: status.as_u16(),
                source,
            },
        }
    }

    async fn once(&self, route: &Route, request: &Request<'_>) -> Result<Reply, EgressError> {
        let mut headers = vec![(ACCEPT, HeaderValue::from_static(request.accept))];
        if request.form.is_some() {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.push((CONTENT_TYPE, form));
        }
        if let Some(known) = request.known.and_then(|it| HeaderValue::from_str(it).ok()) {
            headers.push((IF_NONE_MATCH, known));
        }
        let call = Call {
            method: request.method.clone(),
            url: request.url.clone(),
            headers,
            credential: request.credential,
            body: request.form.clone().unwrap_or_default(),
            deadline: self.deadline.min(Instant::now() + self.request_time),
        };
        let mut answer = match request.content {
            Content::Believed => self.egress.send(route, call).await?,
            Content::Verified => self.egress.send_for_content(route, call).await?,
        };
        let (status, url) = (answer.status, answer.url.clone());
        let headers = std::mem::take(&mut answer.headers);
        let body = if status.is_success() {
            answer.bytes(request.limit).await?
        } else {
            answer.beginning().await
        };
        Ok(Reply {
            status,
            headers,
            url,
            body,
        })
    }

    fn unanswered(&self, error: EgressError) -> ScanError {
        let image = self.image.clone();
        match error {
            EgressError::Timeout(_) => self.timed_out(),
            EgressError::TooLarge { limit, .. } => ScanError::LimitPassed {
                image,
                limit,
                unit: "bytes",
            },
            source => ScanError::Egress { image, source },
        }
    }
}

fn may_pass(status: StatusCode) -> bool {
    (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
}

fn pause(attempt: u32, asked: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Duration {
    let own = FIRST_PAUSE * 3_u32.saturating_pow(attempt.saturating_sub(1));
    let jitter = own.mul_f64(fastrand::f64() / 4.0);
    let asked = asked.map(|until| (until - now).to_std().unwrap_or_default());
    asked.unwrap_or(own).saturating_add(jitter)
}

/// What a server says about its refusal, unless it repeats a secret.
pub(super) fn complaint_of(body: &[u8], sent: Option<&Proof>) -> Option<Complaint> {
    let text = String::from_utf8_lossy(body);
    if text.trim().is_empty() || sent.is_some_and(|proof| proof.is_echoed_in(&text)) {
        return None;
    }
    let errors = serde_json::from_str::<serde_json::Value>(&text).ok();
    let message = errors.as_ref().and_then(|it| {
        let first = it.get("errors").and_then(|errors| errors.get(0));
        let message = first.and_then(|first| first.get("message").or(first.get("code")));
        message.or(it.get("details"))?.as_str()
    });
    let message = message.unwrap_or(&text);
    Some(Complaint(one_line(message.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_unless_the_registry_names_one() {
        let now = DateTime::UNIX_EPOCH;
        let check = |attempt: u32, asked: Option<i64>, least: u64, most: u64| {
            let asked = asked.map(|seconds| now + chrono::TimeDelta::seconds(seconds));
            let pause = pause(attempt, asked, now).as_millis();
            let range = u128::from(least)..=u128::from(most);
            assert!(range.contains(&pause), "{attempt} {asked:?} {pause}");
        };
        check(1, None, 300, 375);
        check(2, None, 900, 1125);
        check(1, Some(30), 30_000, 30_075);
        check(1, Some(0), 0, 75);
    }

    #[test]
    fn a_complaint_is_the_registrys_message_and_never_an_echo() {
        let proof = Proof::Bearer(crate::secret::Secret::new("canary".to_owned()));
        let check = |body: &str, expected: Option<&str>| {
            let found = complaint_of(body.as_bytes(), Some(&proof));
            assert_eq!(found.map(|it| it.0).as_deref(), expected);
        };
        check(
            r#"{"errors":[{"code":"DENIED","message":"no"}]}"#,
            Some("no"),
        );
        check(r#"{"errors":[{"code":"DENIED"}]}"#, Some("DENIED"));
        check(
            r#"{"details":"incorrect username or password"}"#,
            Some("incorrect username or password"),
        );
        check("Unauthorized", Some("Unauthorized"));
        check("you sent canary", None);
        check("", None);
    }
}
