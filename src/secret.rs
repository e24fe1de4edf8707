//! Secrets that cannot be shown, and credentials that go to one place only.
//!
//! [`Secret`] has no `Display`, no `Serialize`, and a `Debug` that says nothing; it is opened
//! inside this crate alone, by [`crate::egress`] and by the parsers of secret formats. A
//! [`Credential`] is bound to its [`Authority`] when it is made, and the request builder sends it
//! nowhere else.

mod echo;
mod ssh_key;

use std::{collections::BTreeMap, fmt, hash, str::FromStr};

use url::Url;
use zeroize::Zeroize;

pub use self::ssh_key::{SshKey, SshKeyError};

/// A user name as long as this is a token.
const TOKEN_LENGTH: usize = 20;
/// The port of SSH (RFC 4251), which the URL parser does not know.
const SSH_PORT: u16 = 22;

/// A value that is never printed and is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes custody of `value`.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Opens the secret. The result must not reach an error, a log field or any output.
    pub(crate) fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

impl<T: Zeroize + hash::Hash> hash::Hash for Secret<T> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A host and a port: the place that a connection is opened to.
///
/// The host is in lower case; the port is always explicit, so `https://a` and `https://a:443`
/// have one authority.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority {
    host: Box<str>,
    port: u16,
}

/// A text that is no `host` or `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host with an optional port")]
pub struct AuthorityError(String);

impl Authority {
    /// The authority of a URL, or nothing where the URL has no host or no known port.
    pub fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?.to_ascii_lowercase();
        let port = match url.scheme() {
            "ssh" => url.port().unwrap_or(SSH_PORT),
            _ => url.port_or_known_default()?,
        };
        Some(Self {
            host: host.into(),
            port,
        })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl FromStr for Authority {
    type Err = AuthorityError;

    /// Reads `host` (port 443) or `host:port`.
    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        let refused = || AuthorityError(text.escape_debug().to_string());
        if text.contains(['/', '@', '?', '#', '\\']) {
            return Err(refused());
        }
        let url = Url::parse(&format!("https://{text}")).map_err(|_| refused())?;
        Self::of(&url).ok_or_else(refused)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// What proves who we are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// A user name with a password or access token (RFC 7617).
    Basic {
        /// The user name; never a secret by itself, and not shown either.
        username: Secret<String>,
        /// The password or token.
        password: Secret<String>,
    },
    /// A bearer token, sent as it is (RFC 6750).
    Bearer(Secret<String>),
    /// An OAuth2 refresh token, only ever exchanged at a token realm (`identitytoken` in a docker
    /// configuration).
    Refresh(Secret<String>),
}

impl Proof {
    /// Whether `text` repeats a part of this proof, in whatever form, as a hostile or careless
    /// server may do in an error.
    pub(crate) fn is_echoed_in(&self, text: &str) -> bool {
        match self {
            Self::Basic { username, password } => {
                // Some servers take a token as the name, and any password.
                let is_token = username.expose().len() >= TOKEN_LENGTH;
                echo::repeats(text, password.expose())
                    || is_token && echo::repeats(text, username.expose())
            }
            Self::Bearer(token) | Self::Refresh(token) => echo::repeats(text, token.expose()),
        }
    }
}

/// A proof together with the only places that it may be sent to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credential {
    proof: Proof,
    authorities: Vec<Authority>,
}

impl Credential {
    /// Binds `proof` to `authority`.
    pub fn new(proof: Proof, authority: Authority) -> Self {
        Self {
            proof,
            authorities: vec![authority],
        }
    }

    /// Allows one more place, such as the token service of a registry.
    #[must_use]
    pub fn also_for(mut self, authority: Authority) -> Self {
        self.authorities.push(authority);
        self
    }

    /// Whether this credential may be sent to `authority`.
    pub fn is_for(&self, authority: &Authority) -> bool {
        self.authorities.contains(authority)
    }

    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }
}

/// The contents of one secret, as a Kubernetes `v1/Secret` holds them.
#[derive(Clone, Debug)]
pub struct SecretRecord {
    /// The `type` field; `Opaque` where none was given.
    pub kind: String,
    /// The values by key, decoded.
    pub values: BTreeMap<String, Secret<Vec<u8>>>,
}

impl SecretRecord {
    /// The value under `key`, as text, or nothing where it is missing or not UTF-8.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.values.get(key)?.expose()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_nothing_to_show() {
        let secret = Secret::new("canary-4711".to_owned());
        let basic = Proof::Basic {
            username: secret.clone(),
            password: secret,
        };
        let credential = Credential::new(basic, "registry.test".parse().expect("an authority"));
        assert!(!format!("{credential:?}").contains("canary"));
    }

    #[test]
    fn an_echo_of_a_proof_is_recognised() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let basic = Proof::Basic {
            username: secret("bot"),
            password: secret("canary-4711"),
        };
        assert!(basic.is_echoed_in("bad password canary-4711!"));
        assert!(basic.is_echoed_in("got Basic Ym90OmNhbmFyeS00NzEx"));
        assert!(!basic.is_echoed_in("bad password for bot"));
        let named = Proof::Basic {
            username: secret("ghp_canary4711canary4711"),
            password: secret("x"),
        };
        assert!(named.is_echoed_in("nobody is ghp_canary4711canary4711"));
        assert!(!named.is_echoed_in("an example"));
        let bearer = Proof::Bearer(secret(&format!("canary-4711-{}", "x".repeat(900))));
        assert!(bearer.is_echoed_in("got canary-4711-xxxxxxxx…"));
        assert!(!Proof::Refresh(secret("")).is_echoed_in("denied"));
    }

    #[test]
    fn authorities_compare_by_host_and_effective_port() {
        let check = |left: &str, right: &str, same: bool| {
            let left = Authority::of(&Url::parse(left).expect("a url"));
            assert_eq!(
                left == Authority::of(&Url::parse(right).expect("a url")),
                same,
                "{right}"
            );
        };
        check("https://a.test", "https://A.test:443/x", true);
        check("https://a.test", "http://a.test", false);
        check("https://a.test", "https://a.test:8443", false);
        check("ssh://git@a.test/x", "ssh://A.test:22/y", true);
        check("ssh://a.test", "ssh://a.test:2222", false);
        check("https://a.test", "https://a.test.evil.test", false);
        assert!("a.test@evil.test".parse::<Authority>().is_err());
        assert!("a.test/path".parse::<Authority>().is_err());
    }
}
