//! Private keys of SSH: read from text once, opened with their passphrase, and never shown.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use russh::keys::{self, Algorithm, HashAlg, PrivateKey};

/// How long the text of a key may be.
const MAX_TEXT: usize = 64 * 1024;
/// The shortest RSA key that is used.
const MIN_RSA_BITS: u32 = 2048;

/// A private key in the forms that `ssh` and OpenSSL write; two are equal when their public halves
/// are.
#[derive(Clone)]
pub struct SshKey(Arc<PrivateKey>);

/// A text that is no private key we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshKeyError {
    /// It is no key.
    #[error("it is no private key that can be read")]
    NotAKey,
    /// It wants a passphrase.
    #[error("it is protected by a passphrase, and none is given")]
    Locked,
    /// The passphrase does not open it.
    #[error("it cannot be opened with the passphrase that is given")]
    WrongPassphrase,
    /// It is of a kind that is not used.
    #[error("keys of the kind `{0}` are not used")]
    Kind(String),
    /// It is too short.
    #[error("it is an RSA key of {0} bits, and 2,048 is the least")]
    Short(u32),
}

impl SshKey {
    /// Reads a key: OpenSSH's own form, PKCS#1, PKCS#8 or `PuTTY`'s.
    pub fn parse(text: &str, passphrase: Option<&str>) -> Result<Self, SshKeyError> {
        if text.len() > MAX_TEXT {
            return Err(SshKeyError::NotAKey);
        }
        let passphrase = passphrase.filter(|it| !it.is_empty());
        let key = keys::decode_secret_key(text, passphrase);
        let key = key.map_err(|error| match error {
            // Whatever goes wrong behind a passphrase may be the passphrase.
            _ if passphrase.is_some() => SshKeyError::WrongPassphrase,
            keys::Error::KeyIsEncrypted => SshKeyError::Locked,
            _ if text.contains("ENCRYPTED") => SshKeyError::Locked,
            _ => SshKeyError::NotAKey,
        })?;
        match key.algorithm() {
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => {}
            Algorithm::Rsa { .. } => {
                let bits = key
                    .key_data()
                    .rsa()
                    .map_or(0, keys::ssh_key::private::RsaKeypair::key_size);
                if bits < MIN_RSA_BITS {
                    return Err(SshKeyError::Short(bits));
                }
            }
            other => return Err(SshKeyError::Kind(other.to_string())),
        }
        Ok(Self(Arc::new(key)))
    }

    pub(crate) fn expose(&self) -> &Arc<PrivateKey> {
        &self.0
    }

    /// The public half's kind and fingerprint.
    pub fn fingerprint(&self) -> String {
        format!(
            "{} {}",
            self.0.algorithm(),
            self.0.fingerprint(HashAlg::Sha256)
        )
    }
}

impl fmt::Debug for SshKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SshKey(..)")
    }
}

impl PartialEq for SshKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.public_key().key_data() == other.0.public_key().key_data()
    }
}

impl Eq for SshKey {}

impl Hash for SshKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.public_key().key_data().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::{EcdsaCurve, ssh_key::LineEnding};

    use super::*;

    fn made(algorithm: Algorithm) -> PrivateKey {
        PrivateKey::random(&mut keys::key::safe_rng(), algorithm).expect("a key")
    }

    fn text(key: &PrivateKey) -> String {
        key.to_openssh(LineEnding::LF).expect("a text").to_string()
    }

    #[test]
    fn keys_are_opened_with_their_passphrase_and_nothing_else() {
        let curve = EcdsaCurve::NistP256;
        for algorithm in [Algorithm::Ed25519, Algorithm::Ecdsa { curve }] {
            let plain = made(algorithm);
            let locked = plain.encrypt(&mut keys::key::safe_rng(), "canary-4711");
            let locked = text(&locked.expect("it can be locked"));
            let check = |text: &str, passphrase, expected: Result<(), SshKeyError>| {
                let key = SshKey::parse(text, passphrase);
                assert_eq!(
                    key.map(|key| assert_eq!(
                        *key.expose().public_key().key_data(),
                        *plain.public_key().key_data()
                    )),
                    expected
                );
            };
            check(&text(&plain), None, Ok(()));
            check(&text(&plain), Some(""), Ok(()));
            check(&text(&plain), Some("needless"), Ok(()));
            check(&text(&plain).replace('\n', "\r\n"), None, Ok(()));
            check(text(&plain).trim_end(), None, Ok(()));
            check(&locked, Some("canary-4711"), Ok(()));
            check(&locked, Some("other"), Err(SshKeyError::WrongPassphrase));
            check(&locked, None, Err(SshKeyError::Locked));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let check = |text: &str| {
            let error = SshKey::parse(text, None).expect_err("no key");
            assert!(
                !format!("{error:?} {error}").contains("canary"),
                "{error:?}"
            );
        };
        check("");
        check("canary-4711");
        check("-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----");
        check("-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----");
        check(&"x".repeat(MAX_TEXT + 1));
        let key = SshKey::parse(&text(&made(Algorithm::Ed25519)), None).expect("a key");
        assert_eq!(format!("{key:?}"), "SshKey(..)");
    }
}
