//! Whose work is built on: the commit that is read, or the tag that leads to it, must be signed by
//! one of the configured keys.

use bstr::ByteSlice as _;
use gix::{ObjectId, hash::Kind as Hash, objs::Kind};
use russh::keys::{PublicKey, ssh_key::SshSig};

use super::{RemoteError, objects::Objects, openpgp::OpenPgpRing, read::Tips, signing};

/// What must be signed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    /// What must be signed.
    pub subject: Subject,
    /// Whose signatures count.
    pub signers: Signers,
}

/// What must be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The commit.
    Commit,
    /// The annotated tag that was checked out.
    Tag,
    /// Both.
    TagAndCommit,
}

/// Public keys whose signatures count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers {
    open_pgp: OpenPgpRing,
    ssh: Vec<PublicKey>,
}

/// A text that holds no keys we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignersError {
    /// The OpenPGP keys cannot be read.
    #[error(transparent)]
    OpenPgp(#[from] super::openpgp::OpenPgpError),
    /// A line is no public key of SSH.
    #[error("line {0} is no public key of ssh")]
    Ssh(usize),
    /// A line sets conditions that are not checked.
    #[error("line {0} has options, which are not followed")]
    Options(usize),
    /// There is no key at all.
    #[error("there is no public key")]
    Empty,
}

impl Verify {
    /// Whether the tag itself is looked at, and not only the commit that it leads to.
    pub(super) fn looks_at_tag(&self) -> bool {
        matches!(self.subject, Subject::Tag | Subject::TagAndCommit)
    }
}

impl Signers {
    /// Adds an armored OpenPGP key ring, or lines of SSH public keys: `kind key`, with or without
    /// the principals of an `allowed_signers` file before them.
    pub fn add(&mut self, text: &str) -> Result<(), SignersError> {
        if text.contains("-----BEGIN PGP") {
            self.open_pgp.extend(OpenPgpRing::parse(text)?);
            return Ok(());
        }
        let before = self.ssh.len();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                self.ssh.push(ssh_key(line, index + 1)?);
            }
        }
        if self.ssh.len() == before {
            return Err(SignersError::Empty);
        }
        Ok(())
    }

    /// Tells why an armored signature over bytes does not count.
    fn check(&self, armored: &str, bytes: &[u8]) -> Result<(), String> {
        if armored.starts_with("-----BEGIN PGP SIGNATURE-----") {
            return self.open_pgp.check(armored, bytes);
        }
        let Ok(signature) = SshSig::from_pem(armored) else {
            return Err("its signature is neither of OpenPGP nor of ssh".to_owned());
        };
        let is_good = |key: &&PublicKey| {
            key.key_data() == signature.public_key() && key.verify("git", bytes, &signature).is_ok()
        };
        if self.ssh.iter().any(|key| is_good(&key)) {
            return Ok(());
        }
        let key = PublicKey::from(signature.public_key().clone());
        let fingerprint = key.fingerprint(russh::keys::HashAlg::Sha256);
        Err(format!(
            "its ssh signature is by {fingerprint}, or does not fit"
        ))
    }
}

/// Reads `kind key comment`, or `principals kind key comment`.
fn ssh_key(line: &str, number: usize) -> Result<PublicKey, SignersError> {
    let is_kind = |word: &&str| {
        ["ssh-", "ecdsa-sha2-", "sk-"]
            .iter()
            .any(|kind| word.starts_with(kind))
    };
    let mut words = line.split_ascii_whitespace();
    let key = match (words.next(), words.next(), words.next()) {
        (Some(kind), Some(key), _) if is_kind(&kind) => [kind, key],
        (Some(_), Some(kind), Some(key)) if is_kind(&kind) => [kind, key],
        (Some(_), Some(word), Some(_)) if word.contains('=') || word == "cert-authority" => {
            return Err(SignersError::Options(number));
        }
        _ => return Err(SignersError::Ssh(number)),
    };
    PublicKey::from_openssh(&key.join(" ")).map_err(|_| SignersError::Ssh(number))
}

/// Refuses a commit, or the tag that leads to it, without the signatures that are wanted.
pub(super) fn verify(verify: &Verify, objects: &Objects, tips: Tips) -> Result<(), RemoteError> {
    let unverified = |what: &str, id: ObjectId, reason: String| RemoteError::Unverified {
        remote: objects.remote().to_owned(),
        subject: format!("{what} {id}"),
        reason,
    };
    let mut buffer = Vec::new();
    if verify.looks_at_tag() {
        let commit = tips.checkout;
        let Some(tag) = tips.tag.filter(|tag| *tag != commit) else {
            let reason = "no annotated tag leads to it".to_owned();
            return Err(unverified("commit", commit, reason));
        };
        let bytes = objects.read(&tag, Kind::Tag, &mut buffer)?;
        let checked = signed_tag(bytes, &commit.to_string())
            .and_then(|(payload, signature)| verify.signers.check(&signature, payload));
        checked.map_err(|reason| unverified("tag", tag, reason))?;
    }
    if verify.subject != Subject::Tag {
        // What is built on, which may be a push branch that grows.
        let bytes = objects.read(&tips.base, Kind::Commit, &mut buffer)?;
        let checked = signed_commit(bytes, objects.hash())
            .and_then(|(payload, signature)| verify.signers.check(&signature, &payload));
        checked.map_err(|reason| unverified("commit", tips.base, reason))?;
    }
    Ok(())
}

/// Takes a commit apart: the bytes that were signed, and the signature.
fn signed_commit(bytes: &[u8], hash: Hash) -> Result<(Vec<u8>, String), String> {
    let wanted = signing::header(hash);
    let (mut payload, mut signature) = (Vec::new(), None::<String>);
    let mut rest = bytes;
    let mut is_ours = false;
    let mut is_skipped = false;
    while let Some(end) = rest.find_byte(b'\n') {
        let (line, after) = rest.split_at(end + 1);
        if line == b"\n" {
            break;
        }
        rest = after;
        if let Some(more) = line.strip_prefix(b" ") {
            if let Some(signature) = signature.as_mut().filter(|_| is_ours) {
                signature.push_str(&more.to_str_lossy());
            }
        } else {
            let name = line.split_once_str(" ").map_or(line, |(name, _)| name);
            is_ours = name == wanted.as_bytes();
            // What another hash's signature covers is without this one, and the other way round.
            is_skipped = is_ours || name.starts_with(b"gpgsig");
            if is_ours {
                let first = line.get(name.len() + 1..).unwrap_or_default();
                if signature
                    .replace(first.to_str_lossy().into_owned())
                    .is_some()
                {
                    return Err("it carries two signatures".to_owned());
                }
            }
        }
        if !is_skipped {
            payload.extend_from_slice(line);
        }
    }
    payload.extend_from_slice(rest);
    let signature = signature.ok_or_else(|| "it is not signed".to_owned())?;
    Ok((payload, signature))
}

/// Takes a tag apart, which must stand for this very commit.
fn signed_tag<'a>(bytes: &'a [u8], commit: &str) -> Result<(&'a [u8], String), String> {
    let head = format!("object {commit}\ntype commit\n");
    if !bytes.starts_with(head.as_bytes()) {
        return Err("it stands for something else than the commit".to_owned());
    }
    let starts = [
        "\n-----BEGIN PGP SIGNATURE-----",
        "\n-----BEGIN SSH SIGNATURE-----",
    ];
    let start = starts.iter().filter_map(|start| bytes.rfind(start)).max();
    let start = start.ok_or_else(|| "it is not signed".to_owned())? + 1;
    let (payload, signature) = bytes.split_at(start);
    Ok((payload, signature.to_str_lossy().into_owned()))
}
