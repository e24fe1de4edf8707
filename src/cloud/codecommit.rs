//! `CodeCommit`: a request of Git, signed as a user name and a password.
//!
//! Signature version 4 over a request with the method `GIT`, as AWS's own credential helper for Git
//! signs it. The password holds the time of the signature, and is good for a quarter of an hour from
//! then.

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use super::AwsCredentials;
use crate::secret::{Proof, Secret};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "codecommit";
/// What ends the scope of every signature.
const SCOPE_END: &str = "aws4_request";

/// One repository of `CodeCommit`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'p> {
    pub(super) region: &'p str,
    pub(super) host: &'p str,
    pub(super) path: &'p str,
}

/// What opens a repository, signed at a moment.
pub(super) fn sign(credentials: &AwsCredentials, place: Place<'_>, at: DateTime<Utc>) -> Proof {
    let (day, moment) = (at.format("%Y%m%d"), at.format("%Y%m%dT%H%M%S"));
    let (day, region) = (day.to_string(), place.region);
    let request = format!("GIT\n{}\n\nhost:{}\n\nhost\n", place.path, place.host);
    let digest = hex(&Sha256::digest(request));
    let scope = format!("{day}/{region}/{SERVICE}/{SCOPE_END}");
    let text = format!("{ALGORITHM}\n{moment}\n{scope}\n{digest}");

    let secret = credentials.secret_access_key.expose();
    let mut key = Secret::new(format!("AWS4{secret}").into_bytes());
    for part in [&day, region, SERVICE, SCOPE_END] {
        key = Secret::new(keyed(&key, part));
    }
    let signature = hex(&keyed(&key, &text));
    let username = match &credentials.session_token {
        Some(token) => format!("{}%{}", credentials.access_key_id, token.expose()),
        None => credentials.access_key_id.clone(),
    };
    Proof::Basic {
        username: Secret::new(username),
        password: Secret::new(format!("{moment}Z{signature}")),
    }
}

fn keyed(key: &Secret<Vec<u8>>, text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let digits = |text: String, byte: &u8| format!("{text}{byte:02x}");
    bytes.iter().fold(String::new(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_credential_helper_of_aws() {
        let check = |token: Option<&str>, path: &str, username: &str, signature: &str| {
            let secret = |text: &str| Secret::new(text.to_owned());
            let credentials = AwsCredentials {
                access_key_id: "foo".to_owned(),
                secret_access_key: secret("bar"),
                session_token: token.map(secret),
            };
            let place = Place {
                region: "us-east-1",
                host: "git-codecommit.us-east-1.amazonaws.com",
                path,
            };
            let at = "2010-10-08T00:00:00Z".parse().expect("a time");
            let expected = Proof::Basic {
                username: secret(username),
                password: secret(&format!("20101008T000000Z{signature}")),
            };
            assert!(sign(&credentials, place, at) == expected, "{path}");
        };
        // The vector of its tests, which has the two slashes.
        let published = "7dc259e2d505af354a1219b9bcd784bd384dc706efa0d9aefc571f214be4c89c";
        check(None, "//v1/repos/myrepo", "foo", published);
        check(Some("x/y+z="), "//v1/repos/myrepo", "foo%x/y+z=", published);
        let usual = "fe1db4a13b1db96501a6b235126e3dd60cc42fadfc2b7a00088f106ed89381d0";
        check(None, "/v1/repos/myrepo", "foo", usual);
    }
}
