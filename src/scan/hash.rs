//! The digests of what was read.

use sha2::{Digest as _, Sha256, Sha512};

use crate::image::Digest;

/// The digest of `bytes` in the algorithm that nearly everybody uses.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    digest("sha256", &Sha256::digest(bytes))
}

/// The digest of `bytes` in the other algorithm that the specification names.
pub(super) fn sha512(bytes: &[u8]) -> Digest {
    digest("sha512", &Sha512::digest(bytes))
}

fn digest(algorithm: &str, hash: &[u8]) -> Digest {
    let mut text = format!("{algorithm}:");
    for byte in hash {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(half), 16));
        }
    }
    text.parse().expect("a hash in lower-case hex is a digest")
}
