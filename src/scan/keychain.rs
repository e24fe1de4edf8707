//! Which credential a repository is read with: docker configurations, matched as the kubelet does.
//!
//! Nothing here starts a program: a credential helper that a configuration names is not a
//! credential. (The command line may ask helpers; see [`user_config`](super::user_config).)

use std::{collections::BTreeMap, fmt};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;

use crate::{
    error::Class,
    image::Repository,
    secret::{Authority, Credential, Proof, Secret, SecretRecord},
};

/// The token services that are known to belong to a registry of another name.
const REALMS: [(&str, &str); 3] = [
    ("index.docker.io", "auth.docker.io"),
    ("registry-1.docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
];

/// What docker writes in place of a user name when the password is an identity token.
const IDENTITY_TOKEN: &str = "<token>";

/// Credentials for registries, each for its own place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keychain {
    /// The most specific first, which is the reverse of the order of their texts.
    entries: Vec<Entry>,
}

/// A credential that fits a repository, and the entry that it comes from.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The key of the entry, as it was written.
    pub entry: String,
    /// The credential, bound to the repository's registry and its token services.
    pub credential: Credential,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    key: String,
    pattern: Pattern,
    proof: Proof,
    realms: Vec<Authority>,
}

/// `host[:port][/path]`; every label of the host may hold `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Pattern {
    host: String,
    port: Option<u16>,
    path: String,
}

/// Why no keychain can be made of a docker configuration. None of it shows what was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeychainError {
    /// The bytes are not the JSON of a docker configuration.
    #[error("the docker configuration cannot be read at line {line}, column {column}")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// The key of an entry names no registry.
    #[error("`{0}` in the docker configuration names no registry")]
    Key(String),
    /// The `auth` of an entry is not the base64 of `user:password`.
    #[error("the `auth` of `{0}` in the docker configuration is not the base64 of user:password")]
    Auth(String),
    /// The secret is of a type that holds no registry credentials.
    #[error("a secret of type `{0}` holds no registry credentials")]
    SecretType(String),
    /// The secret lacks the key that its type promises.
    #[error("the secret has no key `{0}`")]
    MissingKey(&'static str),
}

impl KeychainError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        Class::Config
    }

    /// What a person may do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::SecretType(_) => Some(
                "make it with `kubectl create secret docker-registry`; the types are \
                 kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg"
                    .to_owned(),
            ),
            Self::Key(_) => Some("write `host`, `host:port` or `host/path`".to_owned()),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(rename = "auth")]
    pair: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
    #[serde(rename = "registrytoken")]
    registry_token: Option<String>,
}

impl Keychain {
    /// Reads a docker configuration, `{"auths": {…}}`.
    ///
    /// Every credential may also be sent to `extra_realms`, the token services that the user
    /// vouches for. Entries without any credential are left out.
    ///
    /// ```
    /// use tagwright::scan::Keychain;
    ///
    /// let config = br#"{"auths": {"ghcr.io/acme": {"auth": "Ym90OnMzY3JldA=="}}}"#;
    /// let keychain = Keychain::from_docker_config(config, &[]).unwrap();
    /// let web = "ghcr.io/acme/web".parse().unwrap();
    /// assert_eq!(keychain.candidates(&web).len(), 1);
    /// ```
    pub fn from_docker_config(
        bytes: &[u8],
        extra_realms: &[Authority],
    ) -> Result<Self, KeychainError> {
        let config: DockerConfig = read(bytes)?;
        Self::from_auths(config.auths, extra_realms)
    }

    /// Reads the older form, the map of `auths` alone.
    pub fn from_dockercfg(bytes: &[u8], extra_realms: &[Authority]) -> Result<Self, KeychainError> {
        Self::from_auths(read(bytes)?, extra_realms)
    }

    /// Reads a Kubernetes secret of type `kubernetes.io/dockerconfigjson` or
    /// `kubernetes.io/dockercfg`.
    pub fn from_secret(
        record: &SecretRecord,
        extra_realms: &[Authority],
    ) -> Result<Self, KeychainError> {
        let value = |key: &'static str| {
            let value = record.values.get(key);
            value
                .map(Secret::expose)
                .ok_or(KeychainError::MissingKey(key))
        };
        match record.kind.as_str() {
            "kubernetes.io/dockerconfigjson" => {
                Self::from_docker_config(value(".dockerconfigjson")?, extra_realms)
            }
            "kubernetes.io/dockercfg" => Self::from_dockercfg(value(".dockercfg")?, extra_realms),
            other => Err(KeychainError::SecretType(shown(other))),
        }
    }

    /// Joins two keychains; where both have an entry for one place, `self` comes first.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self.sort();
        self
    }

    /// The credentials that fit `repository`, the most specific first.
    ///
    /// An entry fits when its port is the same, each label of its host fits the label in the same
    /// place, and its path begins the repository's. An entry for `docker.io` or
    /// `https://index.docker.io/v1/` is one for Docker Hub.
    pub fn candidates(&self, repository: &Repository) -> Vec<Offer> {
        let fitting = self.entries.iter().filter(|it| it.pattern.fits(repository));
        let mut fitting = fitting.peekable();
        if fitting.peek().is_none() {
            return Vec::new();
        }
        let Ok(registry) = repository.host().parse::<Authority>() else {
            return Vec::new();
        };
        fitting
            .map(|entry| {
                let mut credential = Credential::new(entry.proof.clone(), registry.clone());
                let built_in = REALMS.iter().filter(|(host, _)| *host == registry.host());
                for (_, realm) in built_in {
                    credential = credential.also_for(realm.parse().expect("a constant host"));
                }
                for realm in &entry.realms {
                    credential = credential.also_for(realm.clone());
                }
                Offer {
                    entry: entry.key.clone(),
                    credential,
                }
            })
            .collect()
    }

    /// Whether there is no credential at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A keychain of one entry.
    ///
    /// # Errors
    ///
    /// When `key` names no registry.
    pub fn single(key: &str, proof: Proof) -> Result<Self, KeychainError> {
        let entry = Entry::new(key, proof, &[])?;
        Ok(Self {
            entries: vec![entry],
        })
    }

    fn from_auths(
        auths: BTreeMap<String, Auth>,
        extra_realms: &[Authority],
    ) -> Result<Self, KeychainError> {
        let mut keychain = Self::default();
        for (key, auth) in auths {
            if let Some(proof) = auth.proof(&key)? {
                keychain
                    .entries
                    .push(Entry::new(&key, proof, extra_realms)?);
            }
        }
        keychain.sort();
        Ok(keychain)
    }

    fn sort(&mut self) {
        // Stable: entries for one place keep their order.
        let text = |entry: &Entry| entry.pattern.to_string();
        self.entries
            .sort_by_key(|entry| std::cmp::Reverse(text(entry)));
    }
}

/// Whether the entry `key` of a docker configuration fits `repository`.
pub(super) fn governs(key: &str, repository: &Repository) -> bool {
    Pattern::parse(key).is_some_and(|pattern| pattern.fits(repository))
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, KeychainError> {
    // The cause is dropped on purpose: its text quotes what it could not read.
    serde_json::from_slice(bytes).map_err(|error| KeychainError::NotJson {
        line: error.line(),
        column: error.column(),
    })
}

impl Auth {
    fn proof(self, key: &str) -> Result<Option<Proof>, KeychainError> {
        let given = |value: Option<String>| value.filter(|it| !it.is_empty()).map(Secret::new);
        let pair = given(self.pair);
        let (username, password) = (given(self.username), given(self.password));
        if let Some(token) = given(self.registry_token) {
            return Ok(Some(Proof::Bearer(token)));
        }
        if let Some(token) = given(self.identity_token) {
            return Ok(Some(Proof::Refresh(token)));
        }
        let pair = match pair {
            Some(pair) => {
                Some(decode(pair.expose()).ok_or_else(|| KeychainError::Auth(shown(key)))?)
            }
            None => username.zip(password),
        };
        Ok(pair.map(|(username, password)| {
            if username.expose() == IDENTITY_TOKEN {
                Proof::Refresh(password)
            } else {
                Proof::Basic { username, password }
            }
        }))
    }
}

fn decode(auth: &str) -> Option<(Secret<String>, Secret<String>)> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, lenient);
    let bytes = Secret::new(engine.decode(auth.trim()).ok()?);
    let (username, password) = std::str::from_utf8(bytes.expose()).ok()?.split_once(':')?;
    // Old versions of docker padded the password with zero bytes.
    let password = password.trim_matches('\0');
    Some((
        Secret::new(username.to_owned()),
        Secret::new(password.to_owned()),
    ))
}

impl Entry {
    fn new(key: &str, proof: Proof, realms: &[Authority]) -> Result<Self, KeychainError> {
        Ok(Self {
            pattern: Pattern::parse(key).ok_or_else(|| KeychainError::Key(shown(key)))?,
            key: shown(key),
            proof,
            realms: realms.to_vec(),
        })
    }
}

impl Pattern {
    fn parse(key: &str) -> Option<Self> {
        let key = key.strip_prefix("https://").unwrap_or(key);
        let key = key.strip_prefix("http://").unwrap_or(key);
        let (authority, path) = key.split_once('/').unwrap_or((key, ""));
        let path = match path.split_once('/').unwrap_or((path, "")) {
            ("v1" | "v2", rest) => rest,
            _ => path,
        };
        let after_address = authority.rfind(']').unwrap_or(0);
        let (host, port) = match authority[after_address..].rfind(':') {
            Some(colon) => {
                let (host, port) = authority.split_at(after_address + colon);
                (host, Some(port.strip_prefix(':')?.parse().ok()?))
            }
            None => (authority, None),
        };
        let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_*?[]:".contains(&byte);
        if host.is_empty() || !host.bytes().all(in_host) {
            return None;
        }
        let host = match host {
            "docker.io" if port.is_none() => "index.docker.io".to_owned(),
            _ => host.to_ascii_lowercase(),
        };
        let path = path.trim_end_matches('/').to_owned();
        Some(Self { host, port, path })
    }

    fn fits(&self, repository: &Repository) -> bool {
        let Some(place) = Self::parse(repository.host()) else {
            return false;
        };
        let mut ours = self.host.split('.');
        let mut theirs = place.host.split('.');
        let labels_fit = loop {
            match (ours.next(), theirs.next()) {
                (None, None) => break true,
                (Some(ours), Some(theirs)) if label_fits(ours.as_bytes(), theirs.as_bytes()) => {}
                _ => break false,
            }
        };
        labels_fit && self.port == place.port && repository.path().starts_with(&self.path)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(formatter, ":{port}")?;
        }
        write!(formatter, "/{}", self.path)
    }
}

/// Whether `label` fits `glob`, where `*` stands for any text and `?` for any character.
fn label_fits(mut glob: &[u8], mut label: &[u8]) -> bool {
    // On a mismatch, the last `*` takes one byte more; that is linear in glob times label.
    let mut last_star: Option<(&[u8], &[u8])> = None;
    loop {
        match (glob.split_first(), label.split_first()) {
            (Some((b'*', rest)), _) => {
                last_star = Some((rest, label));
                glob = rest;
            }
            (Some((byte, glob_rest)), Some((found, label_rest)))
                if *byte == b'?' || byte == found =>
            {
                (glob, label) = (glob_rest, label_rest);
            }
            (None, None) => return true,
            _ => {
                let Some((after_star, taken_from)) = last_star else {
                    return false;
                };
                let Some((_, fewer)) = taken_from.split_first() else {
                    return false;
                };
                last_star = Some((after_star, fewer));
                (glob, label) = (after_star, fewer);
            }
        }
    }
}

/// A key fit for a message: without what stands before an `@`, escaped and cut.
fn shown(key: &str) -> String {
    let key = key.rsplit_once('@').map_or(key, |(_, rest)| rest);
    crate::egress::one_line(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keychain(keys: &[&str]) -> Keychain {
        let auth = |key: &&str| format!(r#"{key:?}: {{"username": "u", "password": "p"}}"#);
        let auths = keys.iter().map(auth).collect::<Vec<_>>().join(",");
        let config = format!(r#"{{"auths": {{{auths}}}}}"#);
        Keychain::from_docker_config(config.as_bytes(), &[]).expect("a docker configuration")
    }

    fn check(keys: &[&str], repository: &str, expected: &[&str]) {
        let repository = repository.parse().expect("a repository");
        let offers = keychain(keys).candidates(&repository);
        let found: Vec<_> = offers.iter().map(|offer| offer.entry.as_str()).collect();
        assert_eq!(found, expected, "{repository}");
    }

    #[test]
    fn entries_fit_as_the_kubelet_matches_them() {
        check(&["r.test"], "r.test/web", &["r.test"]);
        check(&["https://r.test"], "r.test/web", &["https://r.test"]);
        check(&["http://r.test/v2/"], "r.test/web", &["http://r.test/v2/"]);
        check(&["R.test"], "r.test/web", &["R.test"]);
        check(&["r.test:5000"], "r.test/web", &[]);
        check(&["r.test"], "r.test:5000/web", &[]);
        check(&["r.test:5000"], "r.test:5000/web", &["r.test:5000"]);
        check(&["*.test"], "r.test/web", &["*.test"]);
        check(&["*.test"], "a.r.test/web", &[]);
        check(&["r*.t?st"], "registry.test/web", &["r*.t?st"]);
        check(&["*"], "r.test/web", &[]);
        check(&["r.test"], "r.test.evil.test/web", &[]);
        check(&["r.test"], "evil-r.test/web", &[]);
        check(&["r.test/acme"], "r.test/other/web", &[]);
        check(&["[::1]:5000"], "[::1]:5000/web", &["[::1]:5000"]);
    }

    #[test]
    fn docker_hub_goes_by_many_names() {
        let key = "https://index.docker.io/v1/";
        check(&[key], "nginx", &[key]);
        check(&[key], "docker.io/acme/web", &[key]);
        check(&["docker.io"], "acme/web", &["docker.io"]);
        check(&["*.docker.io"], "acme/web", &["*.docker.io"]);
        check(&["registry-1.docker.io"], "acme/web", &[]);
    }

    #[test]
    fn the_most_specific_entry_comes_first() {
        check(
            &["*.test", "r.test", "r.test/acme/web", "r.test/acme"],
            "r.test/acme/web",
            &["r.test/acme/web", "r.test/acme", "r.test", "*.test"],
        );
        let first = keychain(&["https://r.test"]);
        let merged = first.merge(keychain(&["r.test", "r.test/acme"]));
        let offers = merged.candidates(&"r.test/acme/web".parse().expect("a repository"));
        let found: Vec<_> = offers.iter().map(|offer| offer.entry.as_str()).collect();
        assert_eq!(found, ["r.test/acme", "https://r.test", "r.test"]);
    }

    fn check_realm(repository: &str, realm: &str, allowed: bool) {
        let extra = "extra.test".parse().expect("an authority");
        let config = br#"{"auths": {"*.test": {"auth": "dTpw"}, "docker.io": {"auth": "dTpw"},
            "registry.gitlab.com": {"auth": "dTpw"}}}"#;
        let keychain = Keychain::from_docker_config(config, &[extra]).expect("a configuration");
        let offers = keychain.candidates(&repository.parse().expect("a repository"));
        let realm = realm.parse().expect("an authority");
        assert_eq!(offers[0].credential.is_for(&realm), allowed, "{realm}");
    }

    #[test]
    fn a_credential_goes_to_its_registry_and_its_token_services_only() {
        check_realm("r.test/web", "r.test", true);
        check_realm("r.test/web", "extra.test", true);
        check_realm("r.test/web", "auth.docker.io", false);
        check_realm("r.test/web", "r.test:80", false);
        check_realm("nginx", "index.docker.io", true);
        check_realm("nginx", "auth.docker.io", true);
        check_realm("nginx", "gitlab.com", false);
        check_realm("registry.gitlab.com/a/b", "gitlab.com", true);
    }

    fn check_proof(auth: &str, expected: Option<&Proof>) {
        let config = format!(r#"{{"r.test": {auth}}}"#);
        let keychain = Keychain::from_dockercfg(config.as_bytes(), &[]).expect("a dockercfg");
        let found = keychain.entries.first().map(|entry| &entry.proof);
        assert_eq!(found, expected, "{auth}");
    }

    #[test]
    fn every_kind_of_proof_is_read() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let basic = Proof::Basic {
            username: secret("bot"),
            password: secret("s3:cret"),
        };
        check_proof(r#"{"auth": "Ym90OnMzOmNyZXQ="}"#, Some(&basic));
        check_proof(r#"{"auth": "Ym90OnMzOmNyZXQ"}"#, Some(&basic));
        check_proof(
            r#"{"username": "bot", "password": "s3:cret", "email": "x"}"#,
            Some(&basic),
        );
        let refresh = Proof::Refresh(secret("t"));
        check_proof(
            r#"{"auth": "Ym90Og==", "identitytoken": "t"}"#,
            Some(&refresh),
        );
        check_proof(
            r#"{"username": "<token>", "password": "t"}"#,
            Some(&refresh),
        );
        let bearer = Proof::Bearer(secret("t"));
        check_proof(r#"{"registrytoken": "t"}"#, Some(&bearer));
        check_proof("{}", None);
        check_proof(r#"{"auth": ""}"#, None);
    }

    #[test]
    fn an_error_never_shows_what_was_read() {
        let check = |bytes: &str, message: &str| {
            let error = Keychain::from_docker_config(bytes.as_bytes(), &[]).expect_err(bytes);
            assert_eq!(error.to_string(), message);
        };
        check(
            r#"{"auths": {"r.test": {"password": {"canary": 1}}}}"#,
            "the docker configuration cannot be read at line 1, column 34",
        );
        check(
            r#"{"auths": {"r.test": {"auth": "canary"}}}"#,
            "the `auth` of `r.test` in the docker configuration is not the base64 of user:password",
        );
        check(
            r#"{"auths": {"https://u:canary@/": {"auth": "dTpw"}}}"#,
            "`/` in the docker configuration names no registry",
        );
    }

    #[test]
    fn a_secret_of_another_type_is_an_error_that_names_it() {
        let check = |kind: &str, key: &str, message: Option<&str>| {
            let value = Secret::new(br#"{"r.test": {"auth": "dTpw"}}"#.to_vec());
            let record = SecretRecord {
                kind: kind.to_owned(),
                values: [(key.to_owned(), value)].into(),
            };
            let error = Keychain::from_secret(&record, &[]).err();
            assert_eq!(error.map(|it| it.to_string()).as_deref(), message);
        };
        check("kubernetes.io/dockercfg", ".dockercfg", None);
        check(
            "kubernetes.io/dockercfg",
            "other",
            Some("the secret has no key `.dockercfg`"),
        );
        check(
            "Opaque",
            ".dockercfg",
            Some("a secret of type `Opaque` holds no registry credentials"),
        );
    }

    proptest! {
        #[test]
        fn no_key_panics(key in "\\PC{0,60}") {
            if let Some(pattern) = Pattern::parse(&key) {
                pattern.fits(&"r.test/web".parse().expect("a repository"));
            }
        }

        #[test]
        fn globs_match_as_regular_expressions_do(glob in "[ab*?]{0,6}", label in "[ab]{0,8}") {
            let pattern = format!("^{}$", glob.replace('*', ".*").replace('?', "."));
            let expected = regex::Regex::new(&pattern).expect("a pattern").is_match(&label);
            prop_assert_eq!(label_fits(glob.as_bytes(), label.as_bytes()), expected);
        }
    }
}
