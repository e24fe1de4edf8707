//! Signing commits: the bytes that are signed, and the header that carries the signature
//! (gitformat-signature(5)).

use chrono::{DateTime, Utc};
use gix::hash::Kind as Hash;
use russh::keys::{HashAlg, ssh_key::LineEnding};

use crate::secret::{SshKey, SshKeyError};

use super::openpgp::{OpenPgpError, OpenPgpKey};

/// What signs commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// An OpenPGP key.
    OpenPgp(OpenPgpKey),
    /// An SSH key.
    Ssh(SshKey),
}

/// Why there is no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The OpenPGP key is not fit.
    #[error(transparent)]
    OpenPgp(#[from] OpenPgpError),
    /// The SSH key is not fit.
    #[error(transparent)]
    Ssh(#[from] SshKeyError),
    /// The library could not sign.
    #[error("it cannot sign: {0}")]
    Failed(String),
}

impl Signer {
    /// Reads an armored OpenPGP private key.
    pub fn open_pgp(text: &str, passphrase: Option<&str>) -> Result<Self, SignerError> {
        Ok(Self::OpenPgp(OpenPgpKey::parse(text, passphrase)?))
    }

    /// Reads an SSH private key.
    pub fn ssh(text: &str, passphrase: Option<&str>) -> Result<Self, SignerError> {
        Ok(Self::Ssh(SshKey::parse(text, passphrase)?))
    }

    /// Signs bytes as made at `time`: the same ones give the same signature.
    pub(super) fn sign(&self, bytes: &[u8], time: DateTime<Utc>) -> Result<String, SignerError> {
        match self {
            Self::OpenPgp(key) => Ok(key.sign(bytes, time)?),
            Self::Ssh(key) => {
                let signature = key.expose().sign("git", HashAlg::Sha512, bytes);
                let armored = signature.and_then(|it| it.to_pem(LineEnding::LF));
                let armored = armored.map_err(|error| SignerError::Failed(error.to_string()))?;
                Ok(armored.trim_end().to_owned())
            }
        }
    }
}

/// The header of a commit that carries its signature.
pub(super) fn header(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha256 => "gpgsig-sha256",
        _ => "gpgsig",
    }
}
