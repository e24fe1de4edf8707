//! The only place that opens a connection to the outside (the Kubernetes client will be the one
//! exception).
//!
//! TLS, custom CAs, proxies, redirects, time and size limits, and the rule that a credential goes
//! only to the authority it is bound to, are decided here and nowhere else. What the bytes mean is
//! the business of `scan` and `update`.

mod address;
mod client;
mod route;
pub mod ssh;
mod tunnel;

pub(crate) use self::address::is_internal;
pub use self::{address::Addresses, route::RouteError, tunnel::TunnelError};

use std::{
    collections::HashMap,
    error::Error,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::Engine as _;
use reqwest::{
    Method, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION},
};
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::{
    address::InternalAddress,
    client::{Names, Roots},
};
use crate::secret::{Authority, Credential, Proof, Secret};

/// Why an internal address is not connected to.
const INTERNAL: &str = "it leads to this machine or to a private network";
/// How long a connection may take to be made, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How many redirects are followed, all of them on one authority.
const MAX_REDIRECTS: usize = 3;
/// How much of an error's body is read before the connection is given up.
const MAX_ERROR_BODY: usize = 8 * 1024;
/// For how many ways out clients are kept, each with its connections.
const MAX_CLIENTS: usize = 256;

/// Everything about a connection but the address: who is trusted, and by which way it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Route {
    /// PEM certificates trusted in addition to the system's.
    pub certificate_authority: Option<Vec<u8>>,
    /// A PEM certificate and key to show to the server.
    pub client_certificate: Option<Secret<Vec<u8>>>,
    /// The proxy to go through.
    pub proxy: Proxy,
    /// Whether an unencrypted connection is acceptable.
    pub plain_http: PlainHttp,
}

/// The way out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` as the process was started with.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Direct,
    /// One proxy for everything.
    Fixed {
        /// `http://`, `https://` or `socks5://`.
        address: Url,
        /// The user name, which is of no use without a password.
        username: Option<String>,
        /// The password.
        password: Option<Secret<String>>,
    },
}

/// Whether `http:` may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlainHttp {
    /// Only `https:`.
    #[default]
    Refuse,
    /// The user said that this server speaks `http:`.
    Allow,
}

/// One request to be made.
#[derive(Debug)]
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// The address; user information in it is refused.
    pub url: Url,
    /// Headers other than `Authorization`, which is made from the credential.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The proof to show, if any.
    pub credential: Option<&'a Credential>,
    /// The body to send; empty for none.
    pub body: bytes::Bytes,
    /// When the whole exchange, the body included, must be over.
    pub deadline: Instant,
}

/// What the server said: its head, and a body that is yet to be read.
#[derive(Debug)]
pub struct Answer {
    /// The status, whatever it is: a 404 is an answer, not an [`EgressError`].
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// Where the answer came from, after redirects.
    pub url: Url,
    response: reqwest::Response,
    deadline: Instant,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The address is not one that we connect to.
    #[error("refused to connect to `{url}`: {reason}")]
    Refused {
        /// The address, without user information.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The credential is bound to another place.
    #[error("refused to send a credential to `{0}`, which it was not configured for")]
    ForeignAuthority(String),
    /// A certificate, key or proxy setting cannot be used.
    #[error("cannot use the connection settings for `{url}`")]
    Settings {
        /// The address, without user information.
        url: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The server's certificate was not accepted.
    #[error("the TLS certificate of `{url}` was not accepted: {reason}")]
    Certificate {
        /// The address, without user information.
        url: String,
        /// What the verifier said.
        reason: String,
    },
    /// Whoever listens there does not speak TLS, or hung up during the handshake.
    #[error("`{url}` does not speak TLS: {reason}")]
    NotTls {
        /// The address, without user information.
        url: String,
        /// What came instead.
        reason: String,
    },
    /// Nobody listens there; nothing was sent.
    #[error("cannot connect to `{url}`: {reason}")]
    Unreachable {
        /// The address, without user information.
        url: String,
        /// The deepest cause, in the operating system's words.
        reason: String,
    },
    /// Finding the address, connecting, sending or receiving failed.
    #[error("cannot reach `{url}`: {reason}")]
    Connection {
        /// The address, without user information.
        url: String,
        /// The deepest cause, in the operating system's or the protocol's words.
        reason: String,
    },
    /// The time was up.
    #[error("`{0}` did not answer in time")]
    Timeout(String),
    /// The server sent more than we are willing to read.
    #[error("the answer of `{url}` is larger than {limit} bytes")]
    TooLarge {
        /// The address, without user information.
        url: String,
        /// The limit, in bytes after decompression.
        limit: usize,
    },
    /// The server points elsewhere, and following would leave the authority or the encryption.
    #[error("`{url}` redirects to `{target}`, which is not followed")]
    Redirect {
        /// The address, without user information.
        url: String,
        /// Where it points to.
        target: String,
    },
}

impl EgressError {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Connection { .. } | Self::Timeout(_)
        )
    }
}

/// The clients of one way out.
type Clients = HashMap<(Names, Roots), reqwest::Client>;

/// Opens connections; one for the process, cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    clients: Arc<Mutex<HashMap<Route, Clients>>>,
    addresses: Arc<Addresses>,
}

impl Redirects {
    fn permit(self, from: &Url, to: &Url) -> bool {
        let is_same = Authority::of(to) == Authority::of(from);
        match self {
            Self::Within => is_same && to.scheme() == from.scheme(),
            Self::Away => {
                let is_encrypted = to.scheme() == "https" || from.scheme() == "http";
                is_encrypted && (is_same || is_internal(from) || !is_internal(to))
            }
        }
    }
}

/// Where a redirect may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Redirects {
    /// To the same authority.
    Within,
    /// Anywhere that is as well encrypted; whoever is there sees no proof of who we are.
    Away,
}

impl Egress {
    /// An egress with no connection open yet, to any address.
    pub fn new() -> Self {
        Self::default()
    }

    /// An egress for settings that others than the operator write.
    pub fn to(addresses: Addresses) -> Self {
        Self {
            clients: Arc::default(),
            addresses: Arc::new(addresses),
        }
    }

    /// Makes a call and returns the head of the answer.
    ///
    /// Redirects are followed for GET and HEAD only, at most three times, and only on the same
    /// authority and scheme.
    pub async fn send(&self, route: &Route, call: Call<'_>) -> Result<Answer, EgressError> {
        self.follow(route, call, Redirects::Within).await
    }

    /// As [`Egress::send`], for content that is verified by its digest: a redirect may lead to
    /// another host, which gets neither the credential nor the client certificate.
    ///
    /// It never leads from `https:` to `http:`, nor from a public to an internal address.
    pub async fn send_for_content(
        &self,
        route: &Route,
        call: Call<'_>,
    ) -> Result<Answer, EgressError> {
        self.follow(route, call, Redirects::Away).await
    }

    async fn follow(
        &self,
        route: &Route,
        mut call: Call<'_>,
        redirects: Redirects,
    ) -> Result<Answer, EgressError> {
        let mut route = std::borrow::Cow::Borrowed(route);
        let mut url = call.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send_once(&route, &call, &url).await?;
            let follows = matches!(call.method, Method::GET | Method::HEAD);
            if !(answer.status.is_redirection() && follows) {
                return Ok(answer);
            }
            let Some(location) = answer.headers.get(LOCATION).and_then(|it| it.to_str().ok())
            else {
                return Ok(answer);
            };
            let refused = || EgressError::Redirect {
                url: shown(&url),
                target: location.escape_debug().to_string(),
            };
            let target = url.join(location).map_err(|_| refused())?;
            if !redirects.permit(&url, &target) {
                return Err(refused());
            }
            let is_same = Authority::of(&target) == Authority::of(&url);
            if !is_same {
                call.credential = None;
                route.to_mut().client_certificate = None;
            }
            url = target;
        }
        Err(EgressError::Redirect {
            url: shown(&call.url),
            target: shown(&url),
        })
    }

    async fn send_once(
        &self,
        route: &Route,
        call: &Call<'_>,
        url: &Url,
    ) -> Result<Answer, EgressError> {
        let authority = check_address(route, url)?;
        if !self.addresses.permit(url) {
            return Err(EgressError::Refused {
                url: shown(url),
                reason: INTERNAL,
            });
        }
        let client = self.client(route, url)?;
        let mut request = client
            .request(call.method.clone(), url.clone())
            .body(call.body.clone());
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(credential) = call.credential {
            if !credential.is_for(&authority) {
                return Err(EgressError::ForeignAuthority(authority.to_string()));
            }
            request = request.header(AUTHORIZATION, authorization(credential.proof(), url)?);
        }
        let mut response = timeout_at(call.deadline, request.send())
            .await
            .map_err(|_| EgressError::Timeout(shown(url)))?
            .map_err(|error| failed(url, &error))?;
        Ok(Answer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            url: url.clone(),
            response,
            deadline: call.deadline,
        })
    }

    fn client(&self, route: &Route, url: &Url) -> Result<reqwest::Client, EgressError> {
        // A panic while the lock is held leaves a complete map, so a poisoned lock is usable.
        let mut clients = self
            .clients
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let names = if self.addresses.trusts(url) {
            Names::Any
        } else {
            Names::Public
        };
        let roots = Roots::of(route, url);
        let known = clients.get(route).and_then(|it| it.get(&(names, roots)));
        if let Some(client) = known {
            return Ok(client.clone());
        }
        let client =
            client::build(route, names, roots).map_err(|source| EgressError::Settings {
                url: shown(url),
                source,
            })?;
        // Secrets change and routes with them; a client costs one handshake to make again.
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        let beside = clients.entry(route.clone()).or_default();
        beside.insert((names, roots), client.clone());
        Ok(client)
    }
}

impl Answer {
    /// Reads the next part of the body, or nothing at its end.
    pub async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, EgressError> {
        timeout_at(self.deadline, self.response.chunk())
            .await
            .map_err(|_| EgressError::Timeout(shown(&self.url)))?
            .map_err(|error| failed(&self.url, &error))
    }

    /// Reads the whole body, of at most `limit` bytes after decompression.
    pub async fn bytes(mut self, limit: usize) -> Result<Vec<u8>, EgressError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(EgressError::TooLarge {
                    url: shown(&self.url),
                    limit,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Reads the beginning of an error's body, for a program; what cannot be read is left out.
    pub async fn beginning(mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = self.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= MAX_ERROR_BODY {
                body.truncate(MAX_ERROR_BODY);
                break;
            }
        }
        body
    }

    /// Reads the beginning of an error's body: one line, escaped, for a person.
    pub async fn complaint(self) -> String {
        one_line(&self.beginning().await)
    }
}

/// Text of a stranger made fit for a message: control characters escaped, at most 512 bytes.
pub fn one_line(text: &[u8]) -> String {
    let mut line = String::new();
    for character in String::from_utf8_lossy(text).trim().chars() {
        if line.len() >= 512 {
            line.push('…');
            break;
        }
        line.extend(character.escape_debug());
    }
    line.replace("\\\"", "\"").replace("\\'", "'")
}

fn check_address(route: &Route, url: &Url) -> Result<Authority, EgressError> {
    let refused = |reason| EgressError::Refused {
        url: shown(url),
        reason,
    };
    match (url.scheme(), route.plain_http) {
        ("https", _) | ("http", PlainHttp::Allow) => {}
        ("http", PlainHttp::Refuse) => {
            return Err(refused("it is not encrypted (`insecure` allows it)"));
        }
        _ => return Err(refused("only https and http are spoken")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("credentials do not belong into an address"));
    }
    Authority::of(url).ok_or_else(|| refused("it names no host"))
}

fn authorization(proof: &Proof, url: &Url) -> Result<HeaderValue, EgressError> {
    let text = Secret::new(match proof {
        Proof::Basic { username, password } => {
            let pair = Secret::new(format!("{}:{}", username.expose(), password.expose()));
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(pair.expose())
            )
        }
        Proof::Bearer(token) => format!("Bearer {}", token.expose()),
        Proof::Refresh(_) => {
            let reason = "a refresh token is exchanged, never sent as it is";
            return Err(EgressError::Refused {
                url: shown(url),
                reason,
            });
        }
    });
    let mut value = HeaderValue::from_str(text.expose()).map_err(|_| EgressError::Refused {
        url: shown(url),
        reason: "the credential holds characters that no header can carry",
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The address without user information, query and fragment: none of them belongs in a message.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both refuse only for addresses without a host, which have nothing to hide.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn failed(url: &Url, error: &reqwest::Error) -> EgressError {
    let mut deepest: &(dyn Error + 'static) = error;
    let (mut tls, mut system) = (None, None);
    while let Some(cause) = cause(deepest) {
        deepest = cause;
        if cause.is::<InternalAddress>() {
            return EgressError::Refused {
                url: shown(url),
                reason: INTERNAL,
            };
        }
        tls = cause.downcast_ref::<rustls::Error>().or(tls);
        system = cause
            .downcast_ref::<io::Error>()
            .map(io::Error::kind)
            .or(system);
    }
    let reason = one_line(deepest.to_string().as_bytes());
    let connecting = error.is_connect();
    let url_shown = shown(url);
    // What allows a caller to go on without TLS is named here; all that is unknown does not.
    match (tls, system) {
        (Some(rustls::Error::InvalidCertificate(_)), _) => EgressError::Certificate {
            url: url_shown,
            reason,
        },
        (Some(rustls::Error::InvalidMessage(_)), _) if connecting => EgressError::NotTls {
            url: url_shown,
            reason: "it answered in another protocol".to_owned(),
        },
        (None, Some(io::ErrorKind::UnexpectedEof)) if connecting => EgressError::NotTls {
            url: url_shown,
            reason: "it hung up during the handshake".to_owned(),
        },
        (None, Some(io::ErrorKind::ConnectionRefused)) if connecting => EgressError::Unreachable {
            url: url_shown,
            reason,
        },
        _ if error.is_timeout() => EgressError::Timeout(url_shown),
        _ => EgressError::Connection {
            url: url_shown,
            reason,
        },
    }
}

/// The cause of an error, also where an [`io::Error`] wraps it: that one names its cause's cause.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
