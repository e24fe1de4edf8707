//! OpenPGP keys: which of a key's parts may sign, what it signs, and what it has signed (RFC 9580).
//!
//! Signatures are a function of the key, the bytes and the time: RSA, `EdDSA` and ECDSA by RFC 6979
//! need no randomness, and version 6 keys, which salt, are not read by any `gpg`.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use pgp::{
    composed::{
        ArmorOptions, Deserializable as _, DetachedSignature, SignedPublicKey, SignedSecretKey,
    },
    crypto::hash::HashAlgorithm,
    packet::{
        KeyFlags, PublicKey, Signature, SignatureConfig, SignatureType, SignatureVersion,
        Subpacket, SubpacketData,
    },
    ser::Serialize,
    types::{
        Fingerprint, KeyDetails, KeyVersion, Password, PublicParams, S2kParams, SecretParams,
        SigningKey, StringToKey, Tag, Timestamp,
    },
};

/// How long the text of a key ring may be.
const MAX_TEXT: usize = 4 * 1024 * 1024;
/// How many bits an RSA key must have.
const MIN_RSA_BITS: u32 = 2048;

/// A private key that signs; two are equal when they sign as the same one.
#[derive(Clone)]
pub struct OpenPgpKey {
    key: Arc<SignedSecretKey>,
    part: Part,
}

/// The part of a key that signs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    fingerprint: Fingerprint,
    /// In seconds since 1970.
    created: u32,
    /// The second from which on it must not be used; nothing for never.
    ends: Option<u64>,
}

/// A text that is no key we can use, or a key that cannot sign this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenPgpError {
    /// It is no armored private key.
    #[error("it is no armored private key that can be read")]
    NotAPrivateKey,
    /// It is no armored public key.
    #[error("it is no armored public key that can be read")]
    NotAPublicKey,
    /// There is more than one key, and nothing says which.
    #[error("it holds more than one key")]
    Several,
    /// No part of it may sign.
    #[error("no part of it may sign: they are for other uses, revoked, or not vouched for")]
    NothingSigns,
    /// It is too short.
    #[error("it is an RSA key of {0} bits, and 2,048 is the least")]
    Short(u32),
    /// It wants a passphrase.
    #[error("it is protected by a passphrase, and none is given")]
    Locked,
    /// The passphrase does not open it.
    #[error("it cannot be opened with the passphrase that is given")]
    WrongPassphrase,
    /// It has ended.
    #[error("it expired on {0}")]
    Expired(String),
    /// The library could not sign.
    #[error("it cannot sign: {0}")]
    Failed(String),
}

impl OpenPgpKey {
    /// Reads an armored private key ring of exactly one key.
    pub fn parse(text: &str, passphrase: Option<&str>) -> Result<Self, OpenPgpError> {
        let fail = |_| OpenPgpError::NotAPrivateKey;
        if text.len() > MAX_TEXT {
            return Err(OpenPgpError::NotAPrivateKey);
        }
        let (keys, _) = SignedSecretKey::from_armor_many(text.as_bytes()).map_err(fail)?;
        let mut keys = keys.collect::<Result<Vec<_>, _>>().map_err(fail)?;
        let Some(mut key) = keys.pop() else {
            return Err(OpenPgpError::NotAPrivateKey);
        };
        if !keys.is_empty() {
            return Err(OpenPgpError::Several);
        }
        // As gpg does: the newest part that may sign, and the key itself where there is no other.
        let mut parts = parts(&key.to_public_key());
        parts.retain(|part| has_secret(&key, part));
        let part = parts.into_iter().next_back();
        let part = part.ok_or(OpenPgpError::NothingSigns)?;
        unlock(&mut key, &part, passphrase)?;
        Ok(Self {
            key: Arc::new(key),
            part,
        })
    }

    /// Signs bytes as made at `time`; the armored signature, without its last newline.
    pub(super) fn sign(&self, bytes: &[u8], time: DateTime<Utc>) -> Result<String, OpenPgpError> {
        let seconds = u32::try_from(time.timestamp().max(0)).unwrap_or(u32::MAX);
        // No verifier accepts a signature that is older than its key, as on an old repository.
        let seconds = seconds.max(self.part.created);
        if let Some(ends) = self.part.ends.filter(|ends| *ends <= u64::from(seconds)) {
            let ends = i64::try_from(ends)
                .ok()
                .and_then(|it| DateTime::from_timestamp(it, 0));
            let day = ends.map(|it| it.date_naive().to_string());
            return Err(OpenPgpError::Expired(day.unwrap_or_default()));
        }
        let primary = &self.key.primary_key;
        let signed = if primary.fingerprint() == self.part.fingerprint {
            detached(primary, bytes, seconds)
        } else {
            let subkeys = &self.key.secret_subkeys;
            let subkey = subkeys
                .iter()
                .find(|it| it.key.fingerprint() == self.part.fingerprint);
            let subkey = subkey.ok_or(OpenPgpError::NothingSigns)?;
            detached(&subkey.key, bytes, seconds)
        };
        let armored = signed.and_then(|it| it.to_armored_string(ArmorOptions::default()));
        let armored = armored.map_err(|error| OpenPgpError::Failed(error.to_string()))?;
        Ok(armored.trim_end().to_owned())
    }
}

impl fmt::Debug for OpenPgpKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OpenPgpKey(..)")
    }
}

impl PartialEq for OpenPgpKey {
    fn eq(&self, other: &Self) -> bool {
        self.part == other.part
    }
}

impl Eq for OpenPgpKey {}

fn detached(
    key: &impl SigningKey,
    bytes: &[u8],
    seconds: u32,
) -> pgp::errors::Result<DetachedSignature> {
    let mut config = SignatureConfig::v4(SignatureType::Binary, key.algorithm(), key.hash_alg());
    let created = SubpacketData::SignatureCreationTime(Timestamp::from_secs(seconds));
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
        Subpacket::critical(created)?,
    ];
    let issuer = SubpacketData::IssuerKeyId(key.legacy_key_id());
    config.unhashed_subpackets = vec![Subpacket::regular(issuer)?];
    // It was opened when it was read.
    Ok(DetachedSignature::new(config.sign(
        key,
        &Password::empty(),
        bytes,
    )?))
}

fn has_secret(key: &SignedSecretKey, part: &Part) -> bool {
    let is_primary = key.primary_key.fingerprint() == part.fingerprint;
    // A key whose main part is kept elsewhere has a stub in its place, which says so itself.
    is_primary && !is_stub(key.primary_key.secret_params())
        || key
            .secret_subkeys
            .iter()
            .any(|it| it.key.fingerprint() == part.fingerprint && !is_stub(it.key.secret_params()))
}

fn is_stub(secret: &SecretParams) -> bool {
    let SecretParams::Encrypted(secret) = secret else {
        return false;
    };
    match secret.string_to_key_params() {
        S2kParams::Cfb { s2k, .. } | S2kParams::MalleableCfb { s2k, .. } => {
            matches!(s2k, StringToKey::Private { .. })
        }
        S2kParams::Unprotected | S2kParams::LegacyCfb { .. } | S2kParams::Aead { .. } => false,
    }
}

fn unlock(
    key: &mut SignedSecretKey,
    part: &Part,
    passphrase: Option<&str>,
) -> Result<(), OpenPgpError> {
    let password = Password::from(passphrase.unwrap_or_default());
    let opened = if key.primary_key.fingerprint() == part.fingerprint {
        key.primary_key.remove_password(&password)
    } else {
        let subkey = key
            .secret_subkeys
            .iter_mut()
            .find(|it| it.key.fingerprint() == part.fingerprint);
        subkey.map_or(Ok(()), |it| it.key.remove_password(&password))
    };
    match (opened, passphrase.filter(|it| !it.is_empty())) {
        (Ok(()), _) => Ok(()),
        (Err(_), None) => Err(OpenPgpError::Locked),
        (Err(_), Some(_)) => Err(OpenPgpError::WrongPassphrase),
    }
}

/// Public keys whose signatures count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenPgpRing(Vec<SignedPublicKey>);

impl OpenPgpRing {
    /// Reads an armored public key ring.
    pub(super) fn parse(text: &str) -> Result<Self, OpenPgpError> {
        let fail = |_| OpenPgpError::NotAPublicKey;
        if text.len() > MAX_TEXT {
            return Err(OpenPgpError::NotAPublicKey);
        }
        let (keys, _) = SignedPublicKey::from_armor_many(text.as_bytes()).map_err(fail)?;
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(fail)?;
        for key in &keys {
            let bits = rsa_bits(&key.primary_key);
            if bits.is_some_and(|bits| bits < MIN_RSA_BITS) {
                return Err(OpenPgpError::Short(bits.unwrap_or_default()));
            }
        }
        if keys.is_empty() {
            return Err(OpenPgpError::NotAPublicKey);
        }
        Ok(Self(keys))
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Tells whether an armored signature over bytes is by a part of these keys that could sign
    /// then; the fault where it is not.
    pub(super) fn check(&self, armored: &str, bytes: &[u8]) -> Result<(), String> {
        let broken = |_| "its signature cannot be read".to_owned();
        let (signature, _) =
            DetachedSignature::from_armor_single(armored.as_bytes()).map_err(broken)?;
        let signature = &signature.signature;
        let is_binary = signature.typ() == Some(SignatureType::Binary);
        let made = signature.created().map(Timestamp::as_secs);
        let (Some(made), true) = (made, is_binary) else {
            return Err("its signature is of another kind".to_owned());
        };
        if signature
            .signature_expiration_time()
            .is_some_and(|it| it.as_secs() > 0)
        {
            return Err("its signature is for a limited time".to_owned());
        }
        if !signature.hash_alg().is_some_and(is_strong) {
            return Err("its signature uses a broken hash".to_owned());
        }
        for key in &self.0 {
            for part in parts(key) {
                if !is_good(signature, key, &part, bytes) {
                    continue;
                }
                if made < part.created {
                    return Err("its signature is older than its key".to_owned());
                }
                if part.ends.is_some_and(|ends| ends <= u64::from(made)) {
                    return Err("its key had expired when it was signed".to_owned());
                }
                return Ok(());
            }
        }
        let issuer = signature.issuer_fingerprint();
        Err(match issuer.first() {
            Some(issuer) => format!("its OpenPGP signature is by {issuer:X}, or does not fit"),
            None => "its OpenPGP signature is by none of the keys, or does not fit".to_owned(),
        })
    }
}

fn is_good(signature: &Signature, key: &SignedPublicKey, part: &Part, bytes: &[u8]) -> bool {
    if key.primary_key.fingerprint() == part.fingerprint {
        return signature.verify(&key.primary_key, bytes).is_ok();
    }
    key.public_subkeys
        .iter()
        .filter(|it| it.key.fingerprint() == part.fingerprint)
        .any(|it| signature.verify(&it.key, bytes).is_ok())
}

fn is_strong(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha224
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    )
}

/// The parts of a key that may sign: the key itself first, then its subkeys by age.
fn parts(key: &SignedPublicKey) -> Vec<Part> {
    let primary = &key.primary_key;
    let is_revoked = key
        .details
        .revocation_signatures
        .iter()
        .any(|it| it.verify_key(primary).is_ok());
    let Some(own) = own_word(key).filter(|_| !is_revoked) else {
        return Vec::new();
    };
    let whole = part_of(primary, own);
    let mut parts: Vec<_> = key
        .public_subkeys
        .iter()
        .filter_map(|subkey| {
            let mut words = subkey.signatures.iter();
            let mut vouched = words
                .clone()
                .filter(|it| it.verify_subkey_binding(primary, &subkey.key).is_ok());
            let is_revoked = words.any(|it| {
                it.typ() == Some(SignatureType::SubkeyRevocation)
                    && it.verify_subkey_binding(primary, &subkey.key).is_ok()
            });
            let word = newest(
                vouched
                    .by_ref()
                    .filter(|it| it.typ() == Some(SignatureType::SubkeyBinding)),
            )?;
            // Without the subkey's own word, somebody could claim another's subkey as theirs.
            let back = word.embedded_signature()?;
            let is_mutual = back
                .verify_primary_key_binding(&subkey.key, primary)
                .is_ok();
            let is_usable = word.key_flags().sign() && is_mutual && !is_revoked;
            is_usable.then(|| {
                let mut part = part_of(&subkey.key, word);
                part.ends = [part.ends, whole.ends].into_iter().flatten().min();
                part
            })
        })
        .collect();
    parts.retain(|part| !is_short(key, part));
    parts.sort_by_key(|part| part.created);
    if says_nothing_or(own, KeyFlags::sign) && whole_is_usable(primary) {
        parts.insert(0, whole);
    }
    parts
}

fn whole_is_usable(primary: &PublicKey) -> bool {
    primary.version() == KeyVersion::V4 && rsa_bits(primary).is_none_or(|bits| bits >= MIN_RSA_BITS)
}

fn is_short(key: &SignedPublicKey, part: &Part) -> bool {
    key.public_subkeys
        .iter()
        .filter(|it| it.key.fingerprint() == part.fingerprint)
        .any(|it| {
            it.key.version() != KeyVersion::V4
                || rsa_bits(&it.key).is_some_and(|bits| bits < MIN_RSA_BITS)
        })
}

/// The newest thing that a key says of itself, which carries its uses and its end.
fn own_word(key: &SignedPublicKey) -> Option<&Signature> {
    let primary = &key.primary_key;
    let direct = key.details.direct_signatures.iter();
    let direct = direct.filter(|it| it.verify_key(primary).is_ok());
    let users = key.details.users.iter().flat_map(|user| {
        let words = user.signatures.iter();
        words.filter(move |it| {
            it.typ() != Some(SignatureType::CertRevocation)
                && it
                    .verify_certification(primary, Tag::UserId, &user.id)
                    .is_ok()
        })
    });
    newest(direct.chain(users))
}

fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    signatures
        .filter(|it| it.version() == SignatureVersion::V4)
        .max_by_key(|it| it.created().map(Timestamp::as_secs))
}

fn says_nothing_or(word: &Signature, wanted: impl Fn(&KeyFlags) -> bool) -> bool {
    let packets = word
        .config()
        .into_iter()
        .flat_map(SignatureConfig::hashed_subpackets);
    let mut flags = packets.filter_map(|it| match &it.data {
        SubpacketData::KeyFlags(flags) => Some(flags),
        _ => None,
    });
    flags.next().is_none_or(wanted)
}

fn part_of(key: &impl KeyDetails, word: &Signature) -> Part {
    let created = key.created_at().as_secs();
    let life = word
        .key_expiration_time()
        .map(pgp::types::Duration::as_secs);
    let life = life.filter(|seconds| *seconds > 0);
    Part {
        fingerprint: key.fingerprint(),
        created,
        ends: life.map(|seconds| u64::from(created) + u64::from(seconds)),
    }
}

/// How many bits the modulus of an RSA key has; nothing for other keys.
fn rsa_bits(key: &impl KeyDetails) -> Option<u32> {
    let PublicParams::RSA(params) = key.public_params() else {
        return None;
    };
    // The modulus comes first, behind its length in bits (RFC 9580, section 3.2).
    let bytes = params.to_bytes().ok()?;
    bytes
        .first_chunk()
        .map(|bits| u32::from(u16::from_be_bytes(*bits)))
}
