//! SSH in this process: who the server is, who we are, and one program on the other side.
//!
//! Only algorithms that nobody has broken are offered, SHA-1 is never signed with, and a host key is
//! accepted because `known_hosts` says so or not at all.

mod known_hosts;

use std::{
    borrow::Cow,
    io::{Cursor, ErrorKind},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use russh::{
    ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Preferred, cipher,
    client::{self, AuthResult, Handle, Msg},
    compression, kex,
    keys::{
        Algorithm, EcdsaCurve, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate,
        agent::{AgentIdentity, client::AgentClient},
    },
    mac,
};
use tokio::time::{Instant, timeout_at};

pub use self::known_hosts::{HostKeyFault, KnownHosts, KnownHostsError};
use super::{
    Route, one_line,
    tunnel::{self, TunnelError},
};
use crate::{
    error::Class,
    secret::{Authority, SshKey},
};

/// After how long a silence we ask whether the server is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How much of what a program says to a person is kept.
const MAX_COMPLAINT: usize = 8 * 1024;
/// How many keys of an agent are tried: servers hang up after six wrong ones.
const MAX_AGENT_KEYS: usize = 5;

/// What opens an SSH server, bound to the one place that it is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SshLogin {
    /// The only host and port that is connected to.
    pub authority: Authority,
    /// The user name.
    pub user: String,
    /// What proves who we are, in the order in which it is tried.
    pub identities: Vec<SshIdentity>,
    /// Who the server has to be.
    pub known_hosts: KnownHosts,
}

/// What proves who we are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SshIdentity {
    /// A private key.
    Key(SshKey),
    /// The socket of an agent that holds keys.
    Agent(PathBuf),
}

/// Why an SSH server could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// There is no connection.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// The login is bound to another place.
    #[error("refused to log in to `{0}`, which the key was not configured for")]
    ForeignAuthority(String),
    /// The server is not who it has to be.
    #[error("refused to talk to `{place}`")]
    HostKey {
        /// The host and port.
        place: String,
        /// The cause.
        source: HostKeyFault,
    },
    /// The two sides share no algorithm.
    #[error("`{place}` offers no {what} that is accepted: {theirs}")]
    NoCommonAlgorithm {
        /// The host and port.
        place: String,
        /// What was to be agreed on.
        what: &'static str,
        /// What the server offers.
        theirs: String,
    },
    /// The server knows RSA with SHA-1 only.
    #[error("`{0}` wants RSA signatures with SHA-1, which are not made")]
    Sha1(String),
    /// None of our keys is accepted.
    #[error("`{place}` does not let `{user}` in with {tried}")]
    Denied {
        /// The host and port.
        place: String,
        /// The user.
        user: String,
        /// The fingerprints that were tried.
        tried: String,
    },
    /// The agent does not answer.
    #[error("cannot use the ssh agent at `{}`", .path.display())]
    Agent {
        /// Its socket.
        path: PathBuf,
        /// The cause.
        source: russh::keys::Error,
    },
    /// The time was up.
    #[error("`{0}` did not answer in time")]
    Timeout(String),
    /// The connection broke, or the server broke the protocol.
    #[error("the connection to `{place}` broke: {reason}")]
    Broken {
        /// The host and port.
        place: String,
        /// How.
        reason: String,
    },
}

impl SshError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Tunnel(error) if error.is_transient() => Class::Transient,
            Self::Timeout(_) | Self::Broken { .. } => Class::Transient,
            Self::Denied { .. } | Self::HostKey { .. } => Class::Denied,
            Self::Tunnel(_)
            | Self::ForeignAuthority(_)
            | Self::NoCommonAlgorithm { .. }
            | Self::Sha1(_)
            | Self::Agent { .. } => Class::Config,
        }
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::HostKey { source, .. } => Some(source.hint()),
            Self::NoCommonAlgorithm { what, .. } if *what == HOST_KEY => {
                Some("add the server's key of another kind to `known_hosts` (`ssh-keyscan`)")
            }
            Self::NoCommonAlgorithm { .. } => Some("the server is too old to be talked to safely"),
            Self::Sha1(_) => Some("use an ed25519 key"),
            Self::Denied { .. } => {
                Some("add the public key to the server, with the right to read and write")
            }
            Self::Tunnel(TunnelError::Scheme(_)) => {
                Some("use a proxy at an `http:` or `socks5:` address, or an https remote")
            }
            Self::Agent { .. } => Some("start the agent, or unset SSH_AUTH_SOCK"),
            Self::Tunnel(_)
            | Self::ForeignAuthority(_)
            | Self::Timeout(_)
            | Self::Broken { .. } => None,
        }
    }
}

/// A connection that is logged in.
pub(crate) struct Connection {
    handle: Handle<Guard>,
    place: String,
    deadline: Instant,
}

impl Connection {
    /// Connects and logs in, before the deadline.
    pub(crate) async fn open(
        route: &Route,
        login: &SshLogin,
        to: &Authority,
        deadline: Instant,
    ) -> Result<Self, SshError> {
        let place = to.to_string();
        if login.authority != *to {
            return Err(SshError::ForeignAuthority(place));
        }
        let stream = tunnel::open(route, to, deadline).await?;
        let guard = Guard {
            known_hosts: login.known_hosts.clone(),
            host: to.clone(),
        };
        let opening = async {
            let config = Arc::new(config(login, to));
            let handle = client::connect_stream(config, stream, guard).await;
            let handle = handle.map_err(|error| error.told(&place))?;
            let mut connection = Self {
                handle,
                place: place.clone(),
                deadline,
            };
            connection.log_in(login).await?;
            Ok(connection)
        };
        match timeout_at(deadline, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(SshError::Timeout(to.to_string())),
        }
    }

    /// Starts a program on the other side.
    pub(crate) async fn start(
        &self,
        command: &str,
        environment: &[(&str, &str)],
    ) -> Result<Program, SshError> {
        let starting = async {
            let channel = self.handle.channel_open_session().await?;
            for (name, value) in environment {
                // A server that does not take it speaks an older protocol, which is fine.
                channel.set_env(false, *name, *value).await?;
            }
            channel.exec(true, command).await?;
            Ok(channel.split())
        };
        let (output, input) = match timeout_at(self.deadline, starting).await {
            Ok(started) => {
                started.map_err(|error: russh::Error| Trouble::Ssh(error).told(&self.place))?
            }
            Err(_) => return Err(SshError::Timeout(self.place.clone())),
        };
        Ok(Program {
            output,
            input: Some(input),
            complaint: Vec::new(),
            has_ended: false,
            place: self.place.clone(),
            deadline: self.deadline,
        })
    }

    async fn log_in(&mut self, login: &SshLogin) -> Result<(), SshError> {
        let mut tried = Vec::new();
        for identity in &login.identities {
            let is_in = match identity {
                SshIdentity::Key(key) => {
                    tried.push(key.fingerprint());
                    let rsa_hash = self.rsa_hash(&key.expose().algorithm()).await?;
                    let key = PrivateKeyWithHashAlg::new(Arc::clone(key.expose()), rsa_hash);
                    let result = self.handle.authenticate_publickey(&login.user, key).await;
                    let result = result.map_err(|error| Trouble::Ssh(error).told(&self.place))?;
                    self.heard(&result)?;
                    matches!(result, AuthResult::Success)
                }
                SshIdentity::Agent(path) => self.try_agent(path, &login.user, &mut tried).await?,
            };
            if is_in {
                return Ok(());
            }
        }
        if tried.is_empty() {
            tried.push("no key at all".to_owned());
        }
        Err(SshError::Denied {
            place: self.place.clone(),
            user: login.user.clone(),
            tried: tried.join(", "),
        })
    }

    /// Tells a refusal, which names what would be taken, from a connection that ended.
    fn heard(&self, result: &AuthResult) -> Result<(), SshError> {
        match result {
            AuthResult::Failure {
                remaining_methods, ..
            } if remaining_methods.is_empty() => Err(SshError::Broken {
                place: self.place.clone(),
                reason: "it ended while we logged in".to_owned(),
            }),
            AuthResult::Failure { .. } | AuthResult::Success => Ok(()),
        }
    }

    async fn try_agent(
        &mut self,
        path: &PathBuf,
        user: &str,
        tried: &mut Vec<String>,
    ) -> Result<bool, SshError> {
        let failed = |source| SshError::Agent {
            path: path.clone(),
            source,
        };
        let mut agent = AgentClient::connect_uds(path).await.map_err(failed)?;
        let identities = agent.request_identities().await.map_err(failed)?;
        let keys = identities.into_iter().filter_map(|it| match it {
            AgentIdentity::PublicKey { key, .. } => Some(key),
            AgentIdentity::Certificate { .. } => None,
        });
        for key in keys.take(MAX_AGENT_KEYS) {
            tried.push(fingerprint(&key));
            let hash = self.rsa_hash(&key.algorithm()).await?;
            let result = self
                .handle
                .authenticate_publickey_with(user, key, hash, &mut agent);
            // An agent may hold keys that it does not sign with; the next one may be better.
            if matches!(result.await, Ok(AuthResult::Success)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The hash for a signature by an RSA key; nothing for other keys, which have one of their own.
    async fn rsa_hash(&self, algorithm: &Algorithm) -> Result<Option<HashAlg>, SshError> {
        if !is_rsa(algorithm) {
            return Ok(None);
        }
        let best = self.handle.best_supported_rsa_hash().await;
        match best.map_err(|error| Trouble::Ssh(error).told(&self.place))? {
            Some(Some(hash)) => Ok(Some(hash)),
            Some(None) => Err(SshError::Sha1(self.place.clone())),
            // A server that does not say is asked with the hash that all current ones know.
            None => Ok(Some(HashAlg::Sha512)),
        }
    }
}

/// A program that runs on the other side.
pub(crate) struct Program {
    output: ChannelReadHalf,
    /// Taken when the program is dropped.
    input: Option<ChannelWriteHalf<Msg>>,
    complaint: Vec<u8>,
    /// Whether its end was said, so that silence is no cut.
    has_ended: bool,
    place: String,
    deadline: Instant,
}

impl Program {
    /// Sends bytes to the program.
    pub(crate) async fn write(&mut self, bytes: Vec<u8>) -> Result<(), SshError> {
        let Some(input) = &self.input else {
            return Ok(());
        };
        let writing = timeout_at(self.deadline, input.data(Cursor::new(bytes)));
        match writing.await {
            Ok(written) => written.map_err(|error| Trouble::Ssh(error).told(&self.place)),
            Err(_) => Err(SshError::Timeout(self.place.clone())),
        }
    }

    /// The next bytes that the program prints; nothing at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, SshError> {
        loop {
            let message = timeout_at(self.deadline, self.output.wait()).await;
            let Ok(message) = message else {
                return Err(SshError::Timeout(self.place.clone()));
            };
            match message {
                Some(ChannelMsg::Data { data }) if data.is_empty() => {}
                Some(ChannelMsg::Data { data }) => return Ok(Some(data)),
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let left = MAX_COMPLAINT.saturating_sub(self.complaint.len());
                    self.complaint.extend(data.iter().take(left));
                }
                // `Failure` is the answer of a server that does not start the program.
                Some(ChannelMsg::Close | ChannelMsg::Failure) => {
                    self.has_ended = true;
                    return Ok(None);
                }
                // What is said to a person may still follow the end of the output.
                Some(ChannelMsg::Eof | ChannelMsg::ExitStatus { .. }) => self.has_ended = true,
                Some(_) => {}
                None if self.has_ended => return Ok(None),
                None => {
                    return Err(SshError::Broken {
                        place: self.place.clone(),
                        reason: "it ended before the program did".to_owned(),
                    });
                }
            }
        }
    }

    /// What the program said to a person, on one line.
    pub(crate) fn complaint(&self) -> String {
        one_line(&self.complaint)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Servers allow only a few programs at a time on one connection.
        if let (Some(input), Ok(runtime)) =
            (self.input.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move { input.close().await });
        }
    }
}

/// Looks at the host key.
struct Guard {
    known_hosts: KnownHosts,
    host: Authority,
}

/// What ends a connection.
#[derive(Debug)]
enum Trouble {
    HostKey(HostKeyFault),
    Ssh(russh::Error),
}

impl From<russh::Error> for Trouble {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl client::Handler for Guard {
    type Error = Trouble;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Trouble> {
        let (host, port) = (self.host.host(), self.host.port());
        let checked = self.known_hosts.check(host, port, &shown.public_key());
        checked.map_err(Trouble::HostKey)?;
        // Certificates are not asked for, so one that comes all the same proves nothing.
        Ok(shown.certificate().is_none())
    }
}

impl Trouble {
    fn told(self, place: &str) -> SshError {
        let place = place.to_owned();
        match self {
            Self::HostKey(source) => SshError::HostKey { place, source },
            Self::Ssh(russh::Error::NoCommonAlgo { kind, theirs, .. }) => {
                let what = match kind {
                    russh::AlgorithmKind::Key => HOST_KEY,
                    russh::AlgorithmKind::Kex => "key exchange",
                    russh::AlgorithmKind::Cipher => "cipher",
                    russh::AlgorithmKind::Compression => "compression",
                    russh::AlgorithmKind::Mac => "message authentication",
                };
                let theirs = one_line(theirs.join(", ").as_bytes());
                SshError::NoCommonAlgorithm {
                    place,
                    what,
                    theirs,
                }
            }
            Self::Ssh(russh::Error::IO(error)) if error.kind() == ErrorKind::TimedOut => {
                SshError::Timeout(place)
            }
            Self::Ssh(error) => SshError::Broken {
                place,
                reason: one_line(error.to_string().as_bytes()),
            },
        }
    }
}

const HOST_KEY: &str = "host key of a kind that `known_hosts` has";

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    // Without it, what follows the key exchange may be cut off unseen (CVE-2023-48795).
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
const MACS: &[mac::Name] = &[
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512,
    mac::HMAC_SHA256,
];
const HOST_KEYS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

fn config(login: &SshLogin, to: &Authority) -> client::Config {
    let known = login.known_hosts.algorithms(to.host(), to.port());
    let is_known = |it: &Algorithm| {
        known
            .iter()
            .any(|known| known == it || is_rsa(known) && is_rsa(it))
    };
    // A host that nobody knows is asked for any key, so that the refusal can name it.
    let keys = HOST_KEYS
        .into_iter()
        .filter(|it| known.is_empty() || is_known(it));
    client::Config {
        keepalive_interval: Some(KEEPALIVE),
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: keys.collect(),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        ..client::Config::default()
    }
}

fn is_rsa(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Rsa { .. })
}

fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}
