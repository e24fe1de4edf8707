//! Smart HTTP: the requests, what a status means, and the answer as packet lines
//! (gitprotocol-http(5)). A session over SSH goes through the same door, see [`super::ssh`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue},
};
use tokio::{sync::OnceCell, time::Instant};
use url::Url;

use crate::{
    egress::{self, Answer, Call, Egress, EgressError},
    secret::Credential,
};

use super::{
    RemoteError, Source,
    advertisement::{Advertisement, Version},
    login::{Ask, Login, Tokens},
    packet::{self, Malformed, Packet},
    ssh::{self, Shell},
};

/// How large an answer other than a pack may be: 200,000 references and their names.
pub(super) const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// What the program says that it is.
pub(super) const AGENT: &str = concat!("agent=tagwright/", env!("CARGO_PKG_VERSION"));

/// One exchange with one remote, within one deadline.
pub(super) struct Session<'a> {
    egress: &'a Egress,
    pub(super) source: &'a Source,
    /// The address, for messages.
    pub(super) remote: String,
    pub(super) deadline: Instant,
    tokens: &'a Tokens,
    connection: OnceCell<egress::ssh::Connection>,
    /// What was last sent to prove who we are.
    shown: Mutex<Option<Credential>>,
}

/// The two halves of a Git server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    UploadPack,
    ReceivePack,
}

impl Service {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

/// A server that has introduced itself.
pub(super) struct Server {
    place: Place,
    service: Service,
    pub(super) advertisement: Advertisement,
}

/// Where a server answers.
enum Place {
    /// An address, after redirects and without a slash at the end.
    Http(Url),
    /// A program on the other side of an SSH connection.
    Ssh(Shell),
}

/// An answer that is yet to be read.
pub(super) enum Reply {
    Http(Answer),
    Ssh(ssh::Reply),
}

impl<'a> Session<'a> {
    pub(super) fn new(
        egress: &'a Egress,
        tokens: &'a Tokens,
        source: &'a Source,
        remote: String,
        deadline: Instant,
    ) -> Self {
        Self {
            egress,
            source,
            remote,
            deadline,
            tokens,
            connection: OnceCell::new(),
            shown: Mutex::default(),
        }
    }

    /// What came of the exchange; an error does not repeat our credential, though the server may.
    pub(super) fn outcome<T>(&self, result: Result<T, RemoteError>) -> Result<T, RemoteError> {
        result.map_err(|error| match &*self.shown() {
            Some(credential) => error.without_echo(credential.proof()),
            None => error,
        })
    }

    fn shown(&self) -> MutexGuard<'_, Option<Credential>> {
        // A credential is whole whoever panicked beside it.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one connection over SSH, made when it is first asked for.
    pub(super) async fn connection(&self) -> Result<&egress::ssh::Connection, RemoteError> {
        self.connection.get_or_try_init(|| ssh::connect(self)).await
    }

    /// Asks a server what it offers, in protocol version 2 if it can.
    pub(super) async fn discover(&self, service: Service) -> Result<Server, RemoteError> {
        if self.source.url.scheme() == "ssh" {
            let (shell, advertisement) = ssh::discover(self, service).await?;
            return Ok(Server {
                place: Place::Ssh(shell),
                service,
                advertisement,
            });
        }
        let name = service.name();
        let mut url = below(&self.source.url, "info/refs");
        url.set_query(Some(&format!("service={name}")));
        let mut headers = vec![(ACCEPT, HeaderValue::from_static("*/*"))];
        if service == Service::UploadPack {
            headers.push(protocol_header());
        }
        let answer = self.call(Method::GET, url, headers, Bytes::new()).await?;
        let base = self.base_of(&answer.url)?;
        if service == Service::ReceivePack && base != trimmed(&self.source.url) {
            return Err(RemoteError::Renamed {
                remote: self.remote.clone(),
                target: base.to_string(),
            });
        }
        self.expect_type(&answer, &format!("application/x-{name}-advertisement"))?;
        let body = self.bytes(Reply::Http(answer)).await?;
        let advertisement = Advertisement::parse(&body, name).map_err(|it| self.malformed(it))?;
        Ok(Server {
            place: Place::Http(base),
            service,
            advertisement,
        })
    }

    /// Sends a request to a server and returns its answer, which is yet to be read.
    pub(super) async fn post(&self, server: &Server, body: Vec<u8>) -> Result<Reply, RemoteError> {
        let base = match &server.place {
            Place::Http(base) => base,
            Place::Ssh(shell) => return shell.post(self, body).await.map(Reply::Ssh),
        };
        let name = server.service.name();
        let value = |text: String| {
            HeaderValue::try_from(text).expect("the names of both services are printable")
        };
        let result = format!("application/x-{name}-result");
        let mut headers = vec![
            (CONTENT_TYPE, value(format!("application/x-{name}-request"))),
            (ACCEPT, value(result.clone())),
        ];
        if server.advertisement.version == Version::Two {
            headers.push(protocol_header());
        }
        let url = below(base, name);
        let answer = self.call(Method::POST, url, headers, body.into()).await?;
        self.expect_type(&answer, &result)?;
        Ok(Reply::Http(answer))
    }

    /// Reads an answer that is no pack.
    pub(super) async fn bytes(&self, reply: Reply) -> Result<Vec<u8>, RemoteError> {
        let mut reply = match reply {
            Reply::Http(answer) => {
                let bytes = answer.bytes(MAX_ANSWER).await;
                return bytes.map_err(|error| self.unreachable(error));
            }
            Reply::Ssh(reply) => reply,
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = reply.chunk(self).await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER {
                return Err(self.unreachable(EgressError::TooLarge {
                    url: self.remote.clone(),
                    limit: MAX_ANSWER,
                }));
            }
        }
        Ok(bytes)
    }

    pub(super) fn malformed(&self, Malformed(detail): Malformed) -> RemoteError {
        RemoteError::Protocol {
            remote: self.remote.clone(),
            detail,
        }
    }

    pub(super) fn unreachable(&self, source: EgressError) -> RemoteError {
        let remote = self.remote.clone();
        match source {
            EgressError::Timeout(_) => RemoteError::Timeout { remote },
            EgressError::TooLarge { .. } => RemoteError::Limit {
                remote,
                limit: "an answer larger than 64 MiB",
            },
            source => RemoteError::Unreachable { remote, source },
        }
    }

    async fn call(
        &self,
        method: Method,
        url: Url,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<Answer, RemoteError> {
        let credential = self.credential().await?;
        self.shown().clone_from(&credential);
        let call = Call {
            method,
            url,
            headers,
            credential: credential.as_ref(),
            body,
            deadline: self.deadline,
        };
        let answer = self.egress.send(&self.source.route, call).await;
        let answer = answer.map_err(|error| self.unreachable(error))?;
        if answer.status == StatusCode::OK {
            return Ok(answer);
        }
        Err(self.refused(answer).await)
    }

    async fn credential(&self) -> Result<Option<Credential>, RemoteError> {
        let provided = match &self.source.login {
            Login::Anonymous | Login::Ssh(_) => return Ok(None),
            Login::Fixed(credential) => return Ok(Some(credential.clone())),
            Login::Provided(provided) => provided,
        };
        let ask = Ask {
            egress: self.egress,
            route: &self.source.route,
            remote: &self.source.url,
            deadline: self.deadline,
        };
        match self.tokens.credential(provided, ask, Instant::now()).await {
            Ok(credential) => Ok(Some(credential)),
            Err(source) => Err(RemoteError::Provider {
                remote: self.remote.clone(),
                source: Box::new(source),
            }),
        }
    }

    /// Tells from a status what is the matter.
    async fn refused(&self, answer: Answer) -> RemoteError {
        let remote = self.remote.clone();
        let status = answer.status;
        if let (StatusCode::UNAUTHORIZED, Login::Provided(provided)) = (status, &self.source.login)
        {
            self.tokens.forget(provided);
        }
        let complaint = answer.complaint().await;
        let reason = if complaint.is_empty() {
            status.to_string()
        } else {
            format!("{status}: {complaint}")
        };
        match status {
            // nginx says 400 to whoever shows no certificate, or one that it does not know.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                RemoteError::Denied { remote, reason }
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => RemoteError::NotFound { remote },
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                RemoteError::Unavailable { remote, reason }
            }
            status if status.is_server_error() => RemoteError::Unavailable { remote, reason },
            _ => RemoteError::Protocol {
                remote,
                detail: reason,
            },
        }
    }

    /// Where the server answered from, told from where its advertisement came from.
    fn base_of(&self, answered: &Url) -> Result<Url, RemoteError> {
        let mut base = answered.clone();
        base.set_query(None);
        let path = base.path().strip_suffix("/info/refs").map(str::to_owned);
        let Some(path) = path else {
            let detail = "it redirects to an address without `/info/refs`".to_owned();
            return Err(self.malformed(Malformed(detail)));
        };
        base.set_path(&path);
        Ok(trimmed(&base))
    }

    fn expect_type(&self, answer: &Answer, expected: &str) -> Result<(), RemoteError> {
        let given = answer.headers.get(CONTENT_TYPE);
        if given.is_some_and(|given| given.as_bytes() == expected.as_bytes()) {
            return Ok(());
        }
        Err(RemoteError::Unsupported {
            remote: self.remote.clone(),
            reason: "no smart Git server answers at this address".to_owned(),
        })
    }
}

/// An answer, packet line by packet line.
pub(super) struct Packets<'a> {
    session: &'a Session<'a>,
    reply: Reply,
    buffer: BytesMut,
}

impl<'a> Packets<'a> {
    pub(super) fn new(session: &'a Session<'a>, reply: Reply) -> Self {
        Self {
            session,
            reply,
            buffer: BytesMut::new(),
        }
    }

    /// The next packet line; nothing at the end of the answer.
    pub(super) async fn next(&mut self) -> Result<Option<Packet>, RemoteError> {
        loop {
            let taken = packet::take(&mut self.buffer).map_err(|it| self.session.malformed(it))?;
            if taken.is_some() {
                return Ok(taken);
            }
            match self.chunk().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    let detail = "a packet line ends too early".to_owned();
                    return Err(self.session.malformed(Malformed(detail)));
                }
            }
        }
    }

    /// The next bytes as they are: what follows packet lines where there is no side-band.
    pub(super) async fn raw(&mut self) -> Result<Option<Bytes>, RemoteError> {
        if self.buffer.is_empty() {
            self.chunk().await
        } else {
            Ok(Some(self.buffer.split().freeze()))
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, RemoteError> {
        match &mut self.reply {
            Reply::Http(answer) => {
                let chunk = answer.chunk().await;
                chunk.map_err(|error| self.session.unreachable(error))
            }
            Reply::Ssh(reply) => reply.chunk(self.session).await,
        }
    }
}

fn protocol_header() -> (HeaderName, HeaderValue) {
    let name = HeaderName::from_static("git-protocol");
    (name, HeaderValue::from_static("version=2"))
}

fn trimmed(url: &Url) -> Url {
    let mut url = url.clone();
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

fn below(base: &Url, path: &str) -> Url {
    let mut url = trimmed(base);
    let path = format!("{}/{path}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}
