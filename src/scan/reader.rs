//! Who reads a repository: what everything that is remembered of a listing is kept by.

use sha2::{Digest as _, Sha256};

use super::Access;
use crate::{
    egress::{Proxy, Route},
    image::{Digest, Repository, Tag},
    secret::{Credential, Proof},
};

/// A key of the store. Every part goes in with its length, so that no two readers share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(pub(super) [u8; 32]);

/// The key of what `tenant` is told with these rights, by this way: its last listing.
///
/// Another tenant, another credential or another way is another reader, who learns nothing.
pub(super) fn listing(tenant: &str, repository: &Repository, access: &Access) -> Key {
    let mut parts = Parts::new("listing");
    parts.add(tenant.as_bytes());
    parts.add(repository.canonical().as_bytes());
    for offer in access.keychain.candidates(repository) {
        parts.add(&fingerprint(offer.credential.proof()));
    }
    parts.add_route(&access.route);
    parts.key()
}

/// The key of when `tenant` saw `tag` name `digest` first.
///
/// It outlives the credential: passwords change, and what was seen stays seen.
pub(super) fn sight(tenant: &str, repository: &Repository, tag: &Tag, digest: &Digest) -> Key {
    let mut parts = Parts::new("sight");
    parts.add(tenant.as_bytes());
    parts.add(repository.canonical().as_bytes());
    parts.add(tag.as_str().as_bytes());
    parts.add(digest.as_str().as_bytes());
    parts.key()
}

/// Whose allowance a request counts against.
pub(super) fn account(credential: Option<&Credential>) -> Option<[u8; 32]> {
    credential.map(|credential| fingerprint(credential.proof()))
}

/// A hash that tells proofs apart.
pub(super) fn fingerprint(proof: &Proof) -> [u8; 32] {
    let (kind, secrets) = match proof {
        Proof::Basic { username, password } => ("basic", vec![username, password]),
        Proof::Bearer(token) => ("bearer", vec![token]),
        Proof::Refresh(token) => ("refresh", vec![token]),
    };
    let mut parts = Parts::new(kind);
    for secret in secrets {
        parts.add(secret.expose().as_bytes());
    }
    parts.key().0
}

struct Parts(Sha256);

impl Parts {
    fn new(kind: &str) -> Self {
        let mut parts = Self(Sha256::new());
        parts.add(kind.as_bytes());
        parts
    }

    fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    fn add_optional(&mut self, part: Option<&[u8]>) {
        self.add(if part.is_some() { b"some" } else { b"none" });
        self.add(part.unwrap_or_default());
    }

    fn add_route(&mut self, route: &Route) {
        self.add_optional(route.certificate_authority.as_deref());
        let certificate = route.client_certificate.as_ref();
        self.add_optional(certificate.map(|it| it.expose().as_slice()));
        match &route.proxy {
            Proxy::Environment => self.add(b"environment"),
            Proxy::Direct => self.add(b"direct"),
            Proxy::Fixed {
                address,
                username,
                password,
            } => {
                self.add(address.as_str().as_bytes());
                self.add_optional(username.as_deref().map(str::as_bytes));
                self.add_optional(password.as_ref().map(|it| it.expose().as_bytes()));
            }
        }
    }

    fn key(self) -> Key {
        Key(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn proof((username, password): &(String, String)) -> Proof {
        Proof::Basic {
            username: Secret::new(username.clone()),
            password: Secret::new(password.clone()),
        }
    }

    proptest! {
        #[test]
        fn c09_two_proofs_never_share_a_fingerprint(
            left in ("[a,=:\n\0]{0,4}", "[a,=:\n\0]{0,4}"),
            right in ("[a,=:\n\0]{0,4}", "[a,=:\n\0]{0,4}"),
        ) {
            let same = fingerprint(&proof(&left)) == fingerprint(&proof(&right));
            prop_assert_eq!(same, left == right);
        }

        #[test]
        fn c09_two_readers_never_share_a_key(
            left in ("[a,=\n/]{0,3}", "[a-c/]{2,4}"),
            right in ("[a,=\n/]{0,3}", "[a-c/]{2,4}"),
        ) {
            let digest: Digest = format!("sha256:{}", "0".repeat(64)).parse().expect("a digest");
            let tag: Tag = "1".parse().expect("a tag");
            let key = |(tenant, path): &(String, String)| {
                let repository = format!("r.test/{path}").parse().expect("a repository");
                sight(tenant, &repository, &tag, &digest)
            };
            prop_assert_eq!(key(&left) == key(&right), left == right);
        }
    }
}
