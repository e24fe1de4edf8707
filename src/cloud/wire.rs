//! Questions to the token services of clouds: a form or JSON there, JSON back.

use std::time::Duration;

use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Url, form_urlencoded};

use super::{Cloud, CloudError, Way, kept::Given};
use crate::{
    egress::{Call, Egress, PlainHttp, Proxy, Route, one_line},
    error::Class,
    secret::{Authority, Credential, Proof, Secret},
};

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// What is a secret among the things that are sent.
const SECRETS: [&str; 5] = [
    "access_token",
    "client_assertion",
    "client_secret",
    "refresh_token",
    "subjectToken",
];

/// One question.
#[derive(Debug)]
pub(super) struct Question<'q> {
    pub(super) cloud: Cloud,
    pub(super) url: &'q str,
    pub(super) headers: Vec<(&'static str, String)>,
    /// What proves who we are, for this host alone.
    pub(super) bearer: Option<Secret<String>>,
    pub(super) body: Body<'q>,
}

/// What is sent along.
#[derive(Debug)]
pub(super) enum Body<'q> {
    Nothing,
    Form(&'q [(&'static str, &'q str)]),
    Json(serde_json::Value),
}

/// How the clouds' token services answer.
#[derive(Deserialize)]
pub(super) struct TokenReply {
    access_token: String,
    /// A number, or a number as a text, as Azure's metadata service has it.
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl Question<'_> {
    /// Asks, and reads the JSON of the answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        self,
        egress: &Egress,
        way: Way<'_>,
    ) -> Result<T, CloudError> {
        let cloud = self.cloud;
        let body = Secret::new(self.text(egress, way).await?);
        // The cause is dropped on purpose: its text may quote a token.
        serde_json::from_slice(body.expose()).map_err(|_| CloudError::Unfit {
            cloud,
            reason: "it is not the JSON that it has to be",
        })
    }

    /// Asks, and reads the answer as it is.
    pub(super) async fn text(self, egress: &Egress, way: Way<'_>) -> Result<Vec<u8>, CloudError> {
        let cloud = self.cloud;
        let sent = self.sent();
        let no_address = CloudError::NoIdentity {
            cloud,
            reason: format!("`{}` is no address", self.url.escape_debug()),
        };
        let url = Url::parse(self.url).ok();
        let Some((url, place)) = url.and_then(|url| Some((url.clone(), Authority::of(&url)?)))
        else {
            return Err(no_address);
        };
        let credential = self
            .bearer
            .map(|token| Credential::new(Proof::Bearer(token), place));
        let mut headers = vec![(ACCEPT, HeaderValue::from_static("application/json"))];
        for (name, value) in self.headers {
            let mut value = HeaderValue::from_str(&value).map_err(|_| CloudError::NoIdentity {
                cloud,
                reason: format!("no header `{name}` can be made"),
            })?;
            value.set_sensitive(true);
            headers.push((HeaderName::from_static(name), value));
        }
        let (method, body) = match self.body {
            Body::Nothing => (Method::GET, Vec::new()),
            Body::Form(fields) => {
                let form = "application/x-www-form-urlencoded";
                headers.push((CONTENT_TYPE, HeaderValue::from_static(form)));
                let text = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(fields)
                    .finish();
                (Method::POST, text.into_bytes())
            }
            Body::Json(value) => {
                headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
                (Method::POST, value.to_string().into_bytes())
            }
        };
        let call = Call {
            method,
            url,
            headers,
            credential: credential.as_ref(),
            body: body.into(),
            deadline: way.deadline,
        };
        let unreachable = |source| CloudError::Unreachable { cloud, source };
        let answer = egress.send(way.route, call).await.map_err(unreachable)?;
        if answer.status.is_success() {
            return answer.bytes(MAX_ANSWER).await.map_err(unreachable);
        }
        let status = answer.status;
        let mut said = complaint(&answer.beginning().await);
        if sent.iter().any(|it| it.is_echoed_in(&said)) {
            "what it says repeats what it was sent".clone_into(&mut said);
        }
        Err(CloudError::Refused {
            cloud,
            reason: format!("{said} ({})", status.as_u16()),
            class: class(status),
        })
    }
}

impl Question<'_> {
    /// The secrets that are sent, as they are and as a form has them: no message may repeat them.
    fn sent(&self) -> Vec<Proof> {
        let bearer = self.bearer.iter().map(|it| it.expose().clone());
        let fields = match &self.body {
            Body::Nothing => Vec::new(),
            Body::Form(fields) => fields.to_vec(),
            Body::Json(value) => SECRETS
                .into_iter()
                .filter_map(|name| Some((name, value[name].as_str()?)))
                .collect(),
        };
        let fields = fields.into_iter();
        let fields = fields.filter(|(name, _)| SECRETS.contains(name));
        bearer
            .chain(fields.map(|(_, it)| it.to_owned()))
            .flat_map(|text| {
                let encoded = form_urlencoded::byte_serialize(text.as_bytes()).collect();
                [text, encoded].map(|it: String| Proof::Bearer(Secret::new(it)))
            })
            .collect()
    }
}

impl TokenReply {
    /// The token and its life; a service that does not say gives it for once.
    pub(super) fn given(self) -> Given<Secret<String>> {
        let seconds = match &self.expires_in {
            serde_json::Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        };
        Given {
            value: Secret::new(self.access_token),
            life: Duration::from_secs(seconds.unwrap_or_default()),
        }
    }
}

/// The way to a metadata service: to this machine's own, through no proxy, without TLS.
pub(super) fn metadata_route() -> Route {
    Route {
        proxy: Proxy::Direct,
        plain_http: PlainHttp::Allow,
        ..Route::default()
    }
}

/// What a token service says about its refusal: its own fields, or a beginning of the text.
fn complaint(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Said {
        error: Option<serde_json::Value>,
        error_description: Option<String>,
    }
    let Ok(Said {
        error: Some(error),
        error_description,
    }) = serde_json::from_slice::<Said>(body)
    else {
        return one_line(body);
    };
    let error = match &error {
        serde_json::Value::String(error) => error.clone(),
        error => error["message"].as_str().unwrap_or("error").to_owned(),
    };
    match error_description {
        Some(text) => one_line(format!("{error}: {text}").as_bytes()),
        None => one_line(error.as_bytes()),
    }
}

fn class(status: StatusCode) -> Class {
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Class::Transient
    } else {
        Class::Denied
    }
}
