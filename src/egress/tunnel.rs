//! A plain connection for protocols other than HTTP: direct, or through a proxy (HTTP's CONNECT,
//! RFC 9110; SOCKS5, RFC 1928 and RFC 1929).

#![expect(
    clippy::disallowed_methods,
    reason = "the edge file that opens plain connections"
)]

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use url::Url;

use super::{CONNECT_TIMEOUT, Proxy, Route};
use crate::secret::{Authority, Secret};

/// How long the head of a proxy's answer may be.
const MAX_HEAD: usize = 8 * 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// Nobody listens there, or the name leads nowhere.
    #[error("cannot connect to `{place}`")]
    Unreachable {
        /// The host and port.
        place: String,
        /// The cause.
        source: io::Error,
    },
    /// The time was up.
    #[error("`{0}` did not answer in time")]
    Timeout(String),
    /// The proxy does not connect us.
    #[error("the proxy `{proxy}` does not connect us to `{place}`: {reason}")]
    Proxy {
        /// The proxy's host and port.
        proxy: String,
        /// The host and port that we asked for.
        place: String,
        /// What it said.
        reason: String,
    },
    /// The proxy is of a kind that carries HTTP only here.
    #[error("a proxy at an `{0}:` address cannot be used for ssh")]
    Scheme(String),
}

impl TunnelError {
    /// Whether the same attempt may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout(_))
    }
}

/// Opens a connection to a host and port.
///
/// The proxies of the environment are those of HTTP, which ssh has never used.
pub(super) async fn open(
    route: &Route,
    to: &Authority,
    deadline: Instant,
) -> Result<TcpStream, TunnelError> {
    let deadline = deadline.min(Instant::now() + CONNECT_TIMEOUT);
    let opening = async {
        match &route.proxy {
            Proxy::Environment | Proxy::Direct => connect(&host(to), to.port()).await,
            Proxy::Fixed {
                address,
                username,
                password,
            } => {
                let password = password.as_ref().map_or("", |it| it.expose());
                let login = username.as_deref().map(|username| (username, password));
                through(address, login, to).await
            }
        }
    };
    match timeout_at(deadline, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(TunnelError::Timeout(to.to_string())),
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, TunnelError> {
    let unreachable = |source| TunnelError::Unreachable {
        place: format!("{host}:{port}"),
        source,
    };
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

async fn through(
    proxy: &Url,
    login: Option<(&str, &str)>,
    to: &Authority,
) -> Result<TcpStream, TunnelError> {
    let default = match proxy.scheme() {
        "http" => 80,
        "socks5" => 1080,
        scheme => return Err(TunnelError::Scheme(scheme.to_owned())),
    };
    let address = proxy.host_str().unwrap_or_default();
    let port = proxy.port_or_known_default().unwrap_or(default);
    let mut stream = connect(address.trim_matches(['[', ']']), port).await?;
    let asked = match proxy.scheme() {
        "http" => ask_http(&mut stream, login, to).await,
        _ => ask_socks(&mut stream, login, to).await,
    };
    match asked {
        Ok(None) => Ok(stream),
        Ok(Some(reason)) => Err(refused(address, port, to, reason)),
        Err(error) => Err(refused(address, port, to, error.to_string())),
    }
}

fn refused(address: &str, port: u16, to: &Authority, reason: String) -> TunnelError {
    TunnelError::Proxy {
        proxy: format!("{address}:{port}"),
        place: to.to_string(),
        reason,
    }
}

/// Asks an HTTP proxy; gives the reason where it refuses.
async fn ask_http(
    stream: &mut TcpStream,
    login: Option<(&str, &str)>,
    to: &Authority,
) -> io::Result<Option<String>> {
    let authorization = login.map(|(username, password)| {
        let pair = Secret::new(format!("{username}:{password}"));
        format!(
            "Proxy-Authorization: Basic {}\r\n",
            STANDARD.encode(pair.expose())
        )
    });
    let request = Secret::new(format!(
        "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{}\r\n",
        authorization.unwrap_or_default()
    ));
    stream.write_all(request.expose().as_bytes()).await?;
    // Byte by byte, because the first byte after the head is the server's.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD {
            return Ok(Some("its answer has no end".to_owned()));
        }
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let first = head.lines().next().unwrap_or_default();
    let status = first.split_ascii_whitespace().nth(1);
    let is_http = first.starts_with("HTTP/1.");
    Ok(match status {
        Some(status) if is_http && status.len() == 3 && status.starts_with('2') => None,
        _ => Some(super::one_line(first.as_bytes())),
    })
}

/// Asks a SOCKS5 proxy, which looks the name up itself; gives the reason where it refuses.
async fn ask_socks(
    stream: &mut TcpStream,
    login: Option<(&str, &str)>,
    to: &Authority,
) -> io::Result<Option<String>> {
    const NO_LOGIN: u8 = 0;
    const PASSWORD: u8 = 2;
    let host = host(to);
    let short = |text: &str| {
        u8::try_from(text.len())
            .map_err(|_| io::Error::other("a name or password is longer than 255 bytes"))
    };
    let wanted = if login.is_some() { PASSWORD } else { NO_LOGIN };
    stream.write_all(&[5, 1, wanted]).await?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await?;
    if answer != [5, wanted] {
        return Ok(Some("it wants another log-in".to_owned()));
    }
    if let Some((username, password)) = login {
        let request = Secret::new(
            [
                &[1, short(username)?],
                username.as_bytes(),
                &[short(password)?],
                password.as_bytes(),
            ]
            .concat(),
        );
        stream.write_all(request.expose()).await?;
        stream.read_exact(&mut answer).await?;
        if answer != [1, 0] {
            return Ok(Some(
                "it does not accept the user name and password".to_owned(),
            ));
        }
    }
    let request = [
        &[5, 1, 0, 3, short(&host)?],
        host.as_bytes(),
        &to.port().to_be_bytes(),
    ];
    stream.write_all(&request.concat()).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    let [version, status, _, kind] = answer;
    if (version, status) != (5, 0) {
        return Ok(Some(format!("it answers with code {status}")));
    }
    // The address that it connects from follows, and a port of two bytes.
    let length = match kind {
        1 => 4,
        3 => usize::from(stream.read_u8().await?),
        4 => 16,
        _ => return Ok(Some("its answer cannot be read".to_owned())),
    };
    stream.read_exact(&mut vec![0; length + 2]).await?;
    Ok(None)
}

/// The host as a resolver wants it: an IPv6 address without its brackets.
fn host(to: &Authority) -> String {
    to.host().trim_matches(['[', ']']).to_owned()
}
