//! Who signed an image: the two forms in which cosign signs with a key, and how they are verified.
//!
//! Pure: bytes and public keys go in. A signature counts when one of the keys made it over the very
//! bytes that say which manifest was signed, and these say that it was this one. Nothing in those
//! bytes is looked at before.
//!
//! - The older form is a payload of "simple signing" with its signature beside it
//!   (<https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>).
//! - The newer one, which cosign 3 makes, is a statement in an envelope
//!   (<https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>), in a bundle
//!   (<https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md>).

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::{
    rsa::PublicEncryptingKey,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519,
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use serde::Deserialize;

use crate::image::Digest;

/// The media type of a payload of the older form.
pub(super) const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What the media types of bundles begin with, whatever their version.
pub(super) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// Where the older form has the signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What a payload of the older form says that it is.
const IMAGE_SIGNATURE: &str = "cosign container image signature";
/// What a statement of the newer form says that it is.
pub(super) const SIGNING: &str = "https://sigstore.dev/cosign/sign/v1";
/// What an envelope holds.
const STATEMENT: &str = "application/vnd.in-toto+json";
/// The most keys of one policy.
const MAX_KEYS: usize = 32;
/// The most signatures that one envelope is looked through for.
const MAX_IN_ENVELOPE: usize = 32;
/// The fewest bits of an RSA key.
const MIN_RSA_BITS: usize = 2048;

/// What a key on a curve may sign by. cosign 2 hashes with SHA-256 whatever the curve, cosign 3 by
/// the curve.
const CURVES: [&dyn VerificationAlgorithm; 4] = [
    &ECDSA_P256_SHA256_ASN1,
    &ECDSA_P384_SHA256_ASN1,
    &ECDSA_P384_SHA384_ASN1,
    &ED25519,
];

/// What the signatures of an image come to. As text, it continues the tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signature {
    /// There is none.
    Missing,
    /// None of our keys made any of them.
    Stranger,
    /// There is one that cannot be read, and no good one; the text says why.
    Unreadable(String),
    /// One of our keys made it, for something else than an image.
    Unfit,
    /// One of our keys made it, for another image.
    Foreign,
    /// Whether there is one could not be found out, which may pass; the text says why.
    Unknown(String),
    /// The key of this name made it.
    By(String),
}

impl Signature {
    /// The word for it, and what more there is to say.
    pub fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Missing => ("missing", None),
            Self::Stranger => ("stranger", None),
            Self::Unreadable(why) => ("unreadable", Some(why)),
            Self::Unfit => ("unfit", None),
            Self::Foreign => ("foreign", None),
            Self::Unknown(why) => ("unknown", Some(why)),
            Self::By(key) => ("by", Some(key)),
        }
    }

    /// What [`Signature::parts`] takes apart.
    pub fn of_parts(word: &str, more: Option<&str>) -> Option<Self> {
        Some(match (word, more) {
            ("missing", None) => Self::Missing,
            ("stranger", None) => Self::Stranger,
            ("unreadable", Some(why)) => Self::Unreadable(why.to_owned()),
            ("unfit", None) => Self::Unfit,
            ("foreign", None) => Self::Foreign,
            ("unknown", Some(why)) => Self::Unknown(why.to_owned()),
            ("by", Some(key)) => Self::By(key.to_owned()),
            _ => return None,
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("is not signed"),
            Self::Stranger => formatter.write_str("is signed by none of the policy's keys"),
            Self::Unreadable(why) => write!(formatter, "has a signature that is not read: {why}"),
            Self::Unfit => formatter.write_str("has a signature that is none of an image"),
            Self::Foreign => formatter.write_str("has the signature of another image"),
            Self::Unknown(why) => write!(formatter, "may be signed or not: {why}"),
            Self::By(key) => write!(formatter, "is signed by `{key}`"),
        }
    }
}

/// Public keys, each with the name that it is told by.
#[derive(Clone, Debug, Default)]
pub struct TrustedKeys(Vec<TrustedKey>);

#[derive(Clone, Debug)]
struct TrustedKey {
    name: String,
    /// The same key for each algorithm that it may sign by.
    variants: Vec<ParsedPublicKey>,
}

/// Why a text is no public key that we can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// It is something else.
    #[error("it is no public key in PEM (`BEGIN PUBLIC KEY`)")]
    NoKey,
    /// There are several of them.
    #[error("it holds several keys; give each a name of its own")]
    Several,
    /// It is a key for something else.
    #[error("it is no key of ECDSA P-256, ECDSA P-384, Ed25519 or RSA with 2048 bits or more")]
    Unsupported,
    /// There are too many names.
    #[error("there are more than {MAX_KEYS} keys")]
    TooMany,
}

impl TrustedKeys {
    /// Adds the one key of `pem` under `name`.
    ///
    /// # Errors
    ///
    /// A text that is no public key of a kind that is known here.
    pub fn add(&mut self, name: &str, pem: &[u8]) -> Result<(), KeyFault> {
        if self.0.len() >= MAX_KEYS {
            return Err(KeyFault::TooMany);
        }
        let mut found = SubjectPublicKeyInfoDer::pem_slice_iter(pem);
        let key = found.next().and_then(Result::ok).ok_or(KeyFault::NoKey)?;
        if found.next().is_some() {
            return Err(KeyFault::Several);
        }
        // Only this type of key tells its size.
        let rsa = PublicEncryptingKey::from_der(&key);
        let is_rsa = rsa.is_ok_and(|rsa| rsa.key_size_bits() >= MIN_RSA_BITS);
        let rsa: Option<&dyn VerificationAlgorithm> = is_rsa.then_some(&RSA_PKCS1_2048_8192_SHA256);
        let algorithms = CURVES.into_iter().chain(rsa);
        let variants = algorithms.filter_map(|it| ParsedPublicKey::new(it, &key).ok());
        let variants = variants.collect::<Vec<_>>();
        if variants.is_empty() {
            return Err(KeyFault::Unsupported);
        }
        let name = name.to_owned();
        self.0.push(TrustedKey { name, variants });
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the key that made `signature` over `message`.
    fn maker(&self, message: &[u8], signature: &[u8]) -> Option<&str> {
        let made = |key: &&TrustedKey| {
            let mut variants = key.variants.iter();
            variants.any(|key| key.verify_sig(message, signature).is_ok())
        };
        self.0.iter().find(made).map(|key| key.name.as_str())
    }
}

/// The layers of a manifest that holds signatures.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

/// A layer of a manifest that holds signatures.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Layer {
    #[serde(default)]
    media_type: String,
    digest: String,
    /// Its bytes, by the manifest.
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// The layers of a manifest that hold signatures.
pub(super) fn layers(manifest: &[u8]) -> Result<Vec<Layer>, &'static str> {
    let manifest = serde_json::from_slice::<Manifest>(manifest);
    let mut layers = manifest.map_err(|_| "it is no manifest")?.layers;
    layers.retain(|layer| layer.media_type == PAYLOAD || layer.media_type.starts_with(BUNDLE));
    Ok(layers)
}

impl Layer {
    /// Where its content is.
    pub(super) fn digest(&self) -> Result<Digest, &'static str> {
        let digest = self.digest.parse();
        digest.map_err(|_| "it names a digest that is none")
    }

    /// What its `content` says of who signed the manifest `digest`.
    pub(super) fn judge(&self, content: &[u8], digest: &Digest, keys: &TrustedKeys) -> Signature {
        if self.media_type.starts_with(BUNDLE) {
            return bundle(content, digest, keys);
        }
        let annotations = self.annotations.as_ref();
        let Some(text) = annotations.and_then(|it| it.get(SIGNATURE)) else {
            return unreadable("it has no signature beside its payload");
        };
        payload(content, text, digest, keys)
    }
}

/// What a signature of the older form says.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: SignedImage,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct SignedImage {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

fn payload(content: &[u8], signature: &str, digest: &Digest, keys: &TrustedKeys) -> Signature {
    let Ok(signature) = STANDARD.decode(signature.trim()) else {
        return unreadable("it is not base64");
    };
    let Some(key) = keys.maker(content, &signature) else {
        return Signature::Stranger;
    };
    match serde_json::from_slice::<Payload>(content) {
        Ok(Payload { critical }) if critical.kind == IMAGE_SIGNATURE => {
            told(key, critical.image.digest == digest.as_str())
        }
        _ => Signature::Unfit,
    }
}

/// A signature of the newer form, as far as a key is enough to verify it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Option<Envelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

/// What a signature of the newer form says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
}

fn bundle(content: &[u8], digest: &Digest, keys: &TrustedKeys) -> Signature {
    let Ok(bundle) = serde_json::from_slice::<Bundle>(content) else {
        return unreadable("it is no bundle");
    };
    let Some(envelope) = bundle.dsse_envelope else {
        return unreadable("its bundle has no envelope");
    };
    let Ok(statement) = STANDARD.decode(&envelope.payload) else {
        return unreadable("it is not base64");
    };
    let message = envelope_message(&envelope.payload_type, &statement);
    let mut signatures = envelope.signatures.iter().take(MAX_IN_ENVELOPE);
    let key = signatures.find_map(|EnvelopeSignature { sig }| {
        let signature = STANDARD.decode(sig).ok()?;
        keys.maker(&message, &signature)
    });
    let Some(key) = key else {
        return Signature::Stranger;
    };
    let is_statement = envelope.payload_type == STATEMENT;
    match serde_json::from_slice::<Statement>(&statement) {
        Ok(statement) if is_statement && statement.predicate_type == SIGNING => {
            let mut subjects = statement.subject.iter();
            told(key, subjects.any(|subject| subject.is(digest)))
        }
        _ => Signature::Unfit,
    }
}

impl Subject {
    fn is(&self, digest: &Digest) -> bool {
        let named = |(algorithm, hex)| self.digest.get(algorithm).is_some_and(|it| it == hex);
        digest.as_str().split_once(':').is_some_and(named)
    }
}

/// What is signed of an envelope: its type and its payload, each behind its length.
fn envelope_message(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

fn told(key: &str, is_this_image: bool) -> Signature {
    if is_this_image {
        Signature::By(key.to_owned())
    } else {
        Signature::Foreign
    }
}

fn unreadable(why: &str) -> Signature {
    Signature::Unreadable(why.to_owned())
}
