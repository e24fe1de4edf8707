//! Who a server has to be: `known_hosts`, as sshd(8) describes it, read strictly.
//!
//! A line that cannot be read makes the whole text unfit, because it may be the one that revokes a
//! key. Names are compared as they stand in the address; nothing is looked up.

use std::fmt;

use aws_lc_rs::hmac;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use russh::keys::{Algorithm, HashAlg, PublicKey};

/// How long a `known_hosts` may be.
const MAX_TEXT: usize = 1024 * 1024;
/// How many lines of keys it may have.
const MAX_LINES: usize = 10_000;

/// The host keys that are accepted, and those that never are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KnownHosts(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Line {
    meaning: Meaning,
    hosts: Vec<Pattern>,
    /// Nothing for a kind of key that we do not speak.
    key: Option<PublicKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Meaning {
    Accepted,
    Revoked,
    Authority,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Pattern {
    /// A name with `*` and `?`.
    Name(String),
    /// `!name`: the line is not about these.
    Not(String),
    /// `|1|salt|hash`: HMAC-SHA1 of the name.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

/// A `known_hosts` that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnownHostsError {
    /// There is no key in it.
    #[error("`known_hosts` holds no host key")]
    Empty,
    /// It is too large.
    #[error("`known_hosts` has more than 10,000 lines or 1 MiB")]
    TooLarge,
    /// A line is none that `ssh` would write.
    #[error("line {line} of `known_hosts` {reason}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Why a host key is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyFault {
    /// No line is about this host.
    #[error("`known_hosts` has no key of {host}, which shows {shown}")]
    Unknown {
        /// The host as `known_hosts` would call it.
        host: String,
        /// Kind and fingerprint of what the server shows.
        shown: String,
    },
    /// The lines about this host have other keys.
    #[error("{host} shows {shown}, and `known_hosts` expects {expected}")]
    Changed {
        /// The host as `known_hosts` would call it.
        host: String,
        /// Kind and fingerprint of what the server shows.
        shown: String,
        /// Kinds and fingerprints of what is accepted.
        expected: String,
    },
    /// The key is revoked.
    #[error("{host} shows {shown}, which `known_hosts` revokes")]
    Revoked {
        /// The host as `known_hosts` would call it.
        host: String,
        /// Kind and fingerprint of what the server shows.
        shown: String,
    },
    /// Only a certificate authority vouches for this host.
    #[error(
        "`known_hosts` knows {host} by a certificate authority only, and host certificates are \
         not read; it shows {shown}"
    )]
    AuthorityOnly {
        /// The host as `known_hosts` would call it.
        host: String,
        /// Kind and fingerprint of what the server shows.
        shown: String,
    },
}

impl HostKeyFault {
    /// What the reader can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unknown { .. } | Self::AuthorityOnly { .. } => {
                "compare the fingerprint with the one that the server's owner publishes, then add \
                 the line that `ssh-keyscan` prints"
            }
            Self::Changed { .. } => {
                "either the host key was replaced, or somebody else answers: ask the server's \
                 owner before you change `known_hosts`"
            }
            Self::Revoked { .. } => "somebody may hold a stolen key: ask the server's owner",
        }
    }
}

impl KnownHosts {
    /// Reads the text of a `known_hosts` file.
    ///
    /// ```
    /// use tagwright::egress::ssh::KnownHosts;
    ///
    /// let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    /// assert!(KnownHosts::parse(&format!("git.test,[git.test]:2222 {key}")).is_ok());
    /// assert!(KnownHosts::parse("git.test ssh-ed25519").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, KnownHostsError> {
        if text.len() > MAX_TEXT {
            return Err(KnownHostsError::TooLarge);
        }
        let mut lines = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if lines.len() >= MAX_LINES {
                return Err(KnownHostsError::TooLarge);
            }
            lines.push(line(text).map_err(|reason| KnownHostsError::Line {
                line: index + 1,
                reason,
            })?);
        }
        if lines.is_empty() {
            return Err(KnownHostsError::Empty);
        }
        Ok(Self(lines))
    }

    /// The kinds of the keys that are accepted for a host: asking for others would only have us
    /// refuse what the server shows.
    pub(super) fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let name = name(host, port);
        self.of(&name, Meaning::Accepted)
            .map(PublicKey::algorithm)
            .collect()
    }

    /// Whether there is a key of a host, for the fuzz target.
    #[cfg(fuzzing)]
    pub fn knows(&self, host: &str, port: u16) -> bool {
        !self.algorithms(host, port).is_empty()
    }

    /// Tells whether a host may show this key.
    pub(super) fn check(&self, host: &str, port: u16, key: &PublicKey) -> Result<(), HostKeyFault> {
        let host = name(host, port);
        let shown = shown(key);
        let is_key = |known: &PublicKey| known.key_data() == key.key_data();
        if self.of(&host, Meaning::Revoked).any(is_key) {
            return Err(HostKeyFault::Revoked { host, shown });
        }
        if self.of(&host, Meaning::Accepted).any(is_key) {
            return Ok(());
        }
        let expected: Vec<_> = self.of(&host, Meaning::Accepted).map(self::shown).collect();
        if !expected.is_empty() {
            return Err(HostKeyFault::Changed {
                host,
                shown,
                expected: expected.join(" or "),
            });
        }
        let has_authority = self.lines(&host).any(|it| it.meaning == Meaning::Authority);
        Err(if has_authority {
            HostKeyFault::AuthorityOnly { host, shown }
        } else {
            HostKeyFault::Unknown { host, shown }
        })
    }

    fn of(&self, host: &str, meaning: Meaning) -> impl Iterator<Item = &PublicKey> {
        self.lines(host)
            .filter(move |line| line.meaning == meaning)
            .filter_map(|line| line.key.as_ref())
    }

    fn lines(&self, host: &str) -> impl Iterator<Item = &Line> {
        self.0.iter().filter(move |line| line.is_about(host))
    }
}

impl Line {
    fn is_about(&self, host: &str) -> bool {
        let is_excluded = self
            .hosts
            .iter()
            .any(|it| matches!(it, Pattern::Not(pattern) if matches(pattern, host)));
        !is_excluded && self.hosts.iter().any(|it| it.fits(host))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        const REASON: &str = "has a hashed host that cannot be read";
        if let Some(rest) = text.strip_prefix("|1|") {
            let (salt, hash) = rest.split_once('|').ok_or(REASON)?;
            let salt = STANDARD.decode(salt).map_err(|_| REASON)?;
            let hash = STANDARD.decode(hash).map_err(|_| REASON)?;
            return Ok(Self::Hashed { salt, hash });
        }
        if text.starts_with('|') {
            return Err("hashes its host in a way that we do not know");
        }
        let name = text.to_ascii_lowercase();
        match name.strip_prefix('!') {
            Some(name) => Ok(Self::Not(name.to_owned())),
            None if name.is_empty() => Err("has an empty host"),
            None => Ok(Self::Name(name)),
        }
    }

    fn fits(&self, host: &str) -> bool {
        match self {
            Self::Name(pattern) => matches(pattern, host),
            Self::Not(_) => false,
            Self::Hashed { salt, hash } => {
                // HMAC-SHA1 hides names here and proves nothing; the format knows no other.
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::verify(&key, host.as_bytes(), hash).is_ok()
            }
        }
    }
}

fn line(text: &str) -> Result<Line, &'static str> {
    let mut words = text.split_ascii_whitespace();
    let mut first = words.next().unwrap_or_default();
    let meaning = match first {
        "@revoked" => Meaning::Revoked,
        "@cert-authority" => Meaning::Authority,
        marker if marker.starts_with('@') => return Err("begins with an unknown marker"),
        _ => Meaning::Accepted,
    };
    if meaning != Meaning::Accepted {
        first = words.next().unwrap_or_default();
    }
    let hosts = first.split(',').map(Pattern::parse);
    let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
    let (Some(kind), Some(key)) = (words.next(), words.next()) else {
        return Err("has no host, kind and key");
    };
    Ok(Line {
        meaning,
        hosts,
        key: public_key(kind, key)?,
    })
}

/// Reads a key; nothing where its kind is none of ours.
fn public_key(kind: &str, text: &str) -> Result<Option<PublicKey>, &'static str> {
    let bytes = STANDARD_NO_PAD.decode(text.trim_end_matches('='));
    let bytes = bytes.map_err(|_| "has a key that is not base64")?;
    // The key repeats its kind, behind a length of four bytes.
    let length = bytes.first_chunk().map(|it| u32::from_be_bytes(*it));
    let length = length.and_then(|it| usize::try_from(it).ok());
    let inner = length.and_then(|length| bytes.get(4..)?.get(..length));
    if inner != Some(kind.as_bytes()) {
        return Err("has a key of another kind than it says");
    }
    let is_ours = matches!(kind, "ssh-ed25519" | "ssh-rsa") || kind.starts_with("ecdsa-sha2-");
    if !is_ours {
        return Ok(None);
    }
    let key = PublicKey::from_bytes(&bytes).map_err(|_| "has a key that cannot be read")?;
    Ok(Some(key))
}

/// What `known_hosts` calls a host: with its port unless that is 22.
fn name(host: &str, port: u16) -> String {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    if port == 22 {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

fn shown(key: &PublicKey) -> String {
    Shown(key).to_string()
}

struct Shown<'a>(&'a PublicKey);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.0.algorithm();
        write!(formatter, "{kind} {}", self.0.fingerprint(HashAlg::Sha256))
    }
}

/// Whether a pattern of `*` and `?` fits the whole of a name, in time that their product bounds.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut from) = (0, 0);
    let mut star = None;
    while let Some(byte) = name.get(from) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(b'?') => (at, from) = (at + 1, from + 1),
            Some(wanted) if wanted == byte => (at, from) = (at + 1, from + 1),
            _ => match star {
                // The last star takes one byte more.
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    (at, from) = (place + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN+Wjn4+4Fcvl2JlKpggT+wCRxpSvtqqpVrQrKN1/A22";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).expect("a key")
    }

    fn hashed(name: &str) -> String {
        let salt = [7; 20];
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
        let hash = STANDARD.encode(hmac::sign(&key, name.as_bytes()));
        format!("|1|{}|{hash}", STANDARD.encode(salt))
    }

    #[test]
    fn a_key_is_accepted_for_the_hosts_of_its_lines_only() {
        let check = |hosts: &str, host: &str, port: u16, accepted: bool| {
            let known = KnownHosts::parse(&format!("{hosts} {ONE} a comment\n")).expect(hosts);
            let found = known.check(host, port, &key(ONE));
            assert_eq!(found.is_ok(), accepted, "{hosts} {host}:{port} {found:?}");
        };
        check("git.test", "git.test", 22, true);
        check("git.test", "GIT.test", 22, true);
        check("GIT.test", "git.test", 22, true);
        check("git.test", "git.test", 2222, false);
        check("[git.test]:2222", "git.test", 2222, true);
        check("[git.test]:2222", "git.test", 22, false);
        check("a.test,git.test", "git.test", 22, true);
        check("*.test", "git.test", 22, true);
        check("*.test,!git.test", "git.test", 22, false);
        check("g?t.test", "git.test", 22, true);
        check("git.test", "git.test.evil.test", 22, false);
        check("[::1]:2222", "[::1]", 2222, true);
        check(&hashed("git.test"), "git.test", 22, true);
        check(&hashed("git.test"), "git.test", 2222, false);
        check(&hashed("[git.test]:2222"), "git.test", 2222, true);
    }

    #[test]
    fn several_keys_revoked_keys_and_authorities_are_told_apart() {
        let check = |text: &str, shown: &str, expected: &str| {
            let known = KnownHosts::parse(text).expect(text);
            let found = match known.check("git.test", 22, &key(shown)) {
                Ok(()) => "accepted",
                Err(HostKeyFault::Unknown { .. }) => "unknown",
                Err(HostKeyFault::Changed { .. }) => "changed",
                Err(HostKeyFault::Revoked { .. }) => "revoked",
                Err(HostKeyFault::AuthorityOnly { .. }) => "authority",
            };
            assert_eq!(found, expected, "{text}");
        };
        check(&format!("git.test {ONE}\ngit.test {TWO}"), TWO, "accepted");
        check(&format!("git.test {ONE}"), TWO, "changed");
        check(&format!("other.test {ONE}"), ONE, "unknown");
        check(&format!("git.test {ONE}\n@revoked * {ONE}"), ONE, "revoked");
        check(
            &format!("git.test {ONE}\n@revoked * {TWO}"),
            ONE,
            "accepted",
        );
        check(&format!("@revoked git.test {ONE}"), TWO, "unknown");
        check(&format!("@cert-authority *.test {ONE}"), ONE, "authority");
        check(
            &format!("@cert-authority *.test {ONE}\ngit.test {TWO}"),
            TWO,
            "accepted",
        );
    }

    #[test]
    fn lines_that_cannot_be_read_are_named() {
        let check = |text: &str, line: Option<usize>| {
            let found = match KnownHosts::parse(text) {
                Err(KnownHostsError::Line { line, .. }) => Some(line),
                _ => None,
            };
            assert_eq!(found, line, "{text}");
        };
        check(&format!("# a comment\n\ngit.test {ONE}"), None);
        check("git.test", Some(1));
        check("git.test ssh-ed25519", Some(1));
        check("\ngit.test ssh-ed25519 !!!", Some(2));
        check("git.test ssh-ed25519 AAAA", Some(1));
        check(
            &format!("git.test {}", ONE.replace("ed25519 ", "rsa ")),
            Some(1),
        );
        check(&format!("@trusted git.test {ONE}"), Some(1));
        check(&format!("|2|a|b {ONE}"), Some(1));
        check(&format!("|1|a {ONE}"), Some(1));
        check(&format!("git.test,,b {ONE}"), Some(1));
        // A kind that nobody speaks any more is passed over, not an error.
        check("git.test ssh-dss AAAAB3NzaC1kc3M=", None);
        assert_eq!(KnownHosts::parse("# none"), Err(KnownHostsError::Empty));
        let long = "#".repeat(MAX_TEXT + 1);
        assert_eq!(KnownHosts::parse(&long), Err(KnownHostsError::TooLarge));
        let many = format!("git.test {ONE}\n").repeat(MAX_LINES);
        assert!(KnownHosts::parse(&many).is_ok_and(|it| it.0.len() == MAX_LINES));
        let too_many = "a ssh-dss AAAAB3NzaC1kc3M=\n".repeat(MAX_LINES + 1);
        assert_eq!(KnownHosts::parse(&too_many), Err(KnownHostsError::TooLarge));
    }

    #[test]
    fn a_fault_names_host_and_fingerprint() {
        let known = KnownHosts::parse(&format!("[git.test]:2222 {ONE}")).expect("a line");
        let fault = known
            .check("git.test", 2222, &key(TWO))
            .expect_err("changed");
        let text = fault.to_string();
        assert!(
            text.contains("[git.test]:2222") && text.matches("SHA256:").count() == 2,
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[ -~\n|@!*]{0,200}", host in "[a-z.*]{0,12}") {
            if let Ok(known) = KnownHosts::parse(&text) {
                let _ = known.check(&host, 22, &key(ONE));
            }
        }

        #[test]
        fn a_pattern_without_wildcards_fits_itself_alone(name in "[a-z.]{0,8}", other in "[a-z.]{0,8}") {
            prop_assert!(matches(&name, &name));
            prop_assert_eq!(matches(&name, &other), name == other);
            let (pattern, longer) = (format!("*{name}*"), format!("{other}{name}{other}"));
            prop_assert!(matches(&pattern, &longer));
        }
    }
}
