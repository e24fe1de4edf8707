//! Tokens of a registry's token service: what to ask for, how to read the reply, how long to keep it.
//!
//! The exchange itself is made by [`session`](super::session).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use url::Url;

use super::RealmFault;
use crate::{
    egress::Route,
    secret::{Authority, Credential, Proof, Secret},
};

/// A token's life where its service does not say, and the least that is believed.
const SHORTEST_LIFE: Duration = Duration::from_mins(1);
/// The longest life that is believed.
const LONGEST_LIFE: Duration = Duration::from_hours(1);
/// How long a token is used at most, so that a revoked right does not outlive it for long.
const LONGEST_USE: Duration = Duration::from_mins(15);
/// How many tokens are kept.
const MAX_TOKENS: usize = 4096;
/// The longest address of a token service.
const MAX_REALM: usize = 2048;
/// Who we say we are in the OAuth2 flow.
const CLIENT: &str = "tagwright";

/// The tokens at hand; losing one costs one request.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    known: Mutex<HashMap<TokenKey, Token>>,
}

/// Everything that decides what a token may do and who may use it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TokenKey {
    /// The hash of the proof that the token was got with; nothing for an anonymous one.
    proof: Option<[u8; 32]>,
    route: Route,
    registry: Authority,
    realm: Url,
    service: Option<String>,
    scope: String,
}

#[derive(Clone, Debug)]
struct Token {
    credential: Credential,
    renew_at: Instant,
}

/// A request for a token, read from a challenge.
#[derive(Clone, Debug)]
pub(super) struct TokenRequest {
    /// The token service.
    pub(super) realm: Url,
    service: Option<String>,
    scope: String,
}

impl Tokens {
    pub(super) fn get(&self, key: &TokenKey, now: Instant) -> Option<Credential> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let token = known.get(key).filter(|token| now < token.renew_at);
        token.map(|token| token.credential.clone())
    }

    pub(super) fn put(&self, key: TokenKey, credential: Credential, life: Duration, now: Instant) {
        let token = Token {
            credential,
            renew_at: now + (life * 4 / 5).min(LONGEST_USE),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_TOKENS {
            known.retain(|_, token| now < token.renew_at);
        }
        if known.len() < MAX_TOKENS {
            known.insert(key, token);
        }
    }
}

impl TokenRequest {
    /// Reads what a challenge asks for. A scope of its own is asked for where it names none.
    ///
    /// Rights to push and delete are never asked for, whatever the challenge says.
    pub(super) fn new(
        realm: &str,
        service: Option<String>,
        scope: Option<&str>,
        path: &str,
    ) -> Result<Self, RealmFault> {
        let url = Url::parse(realm).map_err(|_| RealmFault::NoAddress)?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && url.has_host();
        if realm.len() > MAX_REALM || !is_plain || !matches!(url.scheme(), "http" | "https") {
            return Err(RealmFault::NoAddress);
        }
        Ok(Self {
            realm: url,
            service,
            scope: pull_only(scope, path),
        })
    }

    pub(super) fn key(
        &self,
        proof: Option<&Proof>,
        route: &Route,
        registry: &Authority,
    ) -> TokenKey {
        TokenKey {
            proof: proof.map(fingerprint),
            route: route.clone(),
            registry: registry.clone(),
            realm: self.realm.clone(),
            service: self.service.clone(),
            scope: self.scope.clone(),
        }
    }

    /// The address that a password, or nobody, gets a token from.
    pub(super) fn address(&self) -> Url {
        let mut url = self.realm.clone();
        let mut query = url.query_pairs_mut();
        if let Some(service) = &self.service {
            query.append_pair("service", service);
        }
        for scope in self.scope.split(' ') {
            query.append_pair("scope", scope);
        }
        drop(query);
        url
    }

    /// The form that exchanges a refresh token.
    pub(super) fn refresh_form(&self, token: &Secret<String>) -> Secret<String> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token");
        form.append_pair("client_id", CLIENT);
        if let Some(service) = &self.service {
            form.append_pair("service", service);
        }
        form.append_pair("scope", &self.scope);
        form.append_pair("refresh_token", token.expose());
        Secret::new(form.finish())
    }
}

/// Reads the reply of a token service: the token and its life.
///
/// `token` wins over `access_token` where both are set, as in docker. An error never quotes the
/// reply.
pub(super) fn read_reply(body: &[u8]) -> Result<(Secret<String>, Duration), &'static str> {
    #[derive(Deserialize)]
    struct Reply {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<serde_json::Value>,
    }
    let reply: Reply = serde_json::from_slice(body).map_err(|_| "the token reply is no JSON")?;
    let token = reply.token.map(Secret::new);
    let access_token = reply.access_token.map(Secret::new);
    let token = token
        .filter(|token| !token.expose().is_empty())
        .or(access_token)
        .ok_or("the token reply holds no token")?;
    if token.expose().is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the token reply holds a token that no header can carry");
    }
    let seconds = reply.expires_in.and_then(|life| life.as_f64());
    let life = seconds.map_or(SHORTEST_LIFE, |seconds| {
        let clamped = seconds.clamp(SHORTEST_LIFE.as_secs_f64(), LONGEST_LIFE.as_secs_f64());
        Duration::from_secs_f64(clamped)
    });
    Ok((token, life))
}

/// The rights of `scope` that read, or the right to pull `path` where there are none.
fn pull_only(scope: Option<&str>, path: &str) -> String {
    let harmless = |action: &&str| !matches!(*action, "push" | "delete" | "*" | "");
    let mut kept = Vec::new();
    for right in scope.unwrap_or_default().split_ascii_whitespace() {
        let Some((resource, actions)) = right.rsplit_once(':') else {
            continue;
        };
        let actions: Vec<_> = actions.split(',').filter(harmless).collect();
        if resource.starts_with("repository:") && !actions.is_empty() {
            kept.push(format!("{resource}:{}", actions.join(",")));
        }
    }
    if kept.is_empty() {
        format!("repository:{path}:pull")
    } else {
        kept.join(" ")
    }
}

/// A hash that tells proofs apart; lengths go in, so that no two proofs give the same bytes.
fn fingerprint(proof: &Proof) -> [u8; 32] {
    let (kind, parts) = match proof {
        Proof::Basic { username, password } => (b'b', vec![username, password]),
        Proof::Bearer(token) => (b't', vec![token]),
        Proof::Refresh(token) => (b'r', vec![token]),
    };
    let mut hasher = Sha256::new();
    hasher.update([kind]);
    for part in parts {
        let text = part.expose();
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_reply(body: &str, expected: Result<(&str, u64), &str>) {
        let found = read_reply(body.as_bytes());
        let found = found.map(|(token, life)| (token.expose().clone(), life.as_secs()));
        let expected = expected.map(|(token, life)| (token.to_owned(), life));
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn a_token_reply_is_read_with_suspicion() {
        check_reply(r#"{"token": "t"}"#, Ok(("t", 60)));
        check_reply(
            r#"{"access_token": "a", "expires_in": 300}"#,
            Ok(("a", 300)),
        );
        check_reply(r#"{"token": "t", "access_token": "a"}"#, Ok(("t", 60)));
        check_reply(r#"{"token": "", "access_token": "a"}"#, Ok(("a", 60)));
        check_reply(r#"{"token": "t", "expires_in": -5}"#, Ok(("t", 60)));
        check_reply(r#"{"token": "t", "expires_in": 1e300}"#, Ok(("t", 3600)));
        check_reply(r#"{"token": "t", "expires_in": "300"}"#, Ok(("t", 60)));
        check_reply(r#"{"token": "t", "expires_in": null}"#, Ok(("t", 60)));
        check_reply("{}", Err("the token reply holds no token"));
        check_reply("<html>", Err("the token reply is no JSON"));
        check_reply(
            r#"{"token": "a\r\nX: y"}"#,
            Err("the token reply holds a token that no header can carry"),
        );
    }

    #[test]
    fn only_rights_to_read_are_asked_for() {
        let check = |scope: Option<&str>, expected: &str| {
            assert_eq!(pull_only(scope, "acme/web"), expected, "{scope:?}");
        };
        check(None, "repository:acme/web:pull");
        check(Some("repository:x/y:pull"), "repository:x/y:pull");
        check(
            Some("repository:x/y:pull,metadata_read"),
            "repository:x/y:pull,metadata_read",
        );
        check(
            Some("repository:x/y:pull,push,delete,*"),
            "repository:x/y:pull",
        );
        check(Some("repository:x/y:push"), "repository:acme/web:pull");
        check(Some("registry:catalog:*"), "repository:acme/web:pull");
        check(
            Some("repository:a/b:pull repository:c/d:pull"),
            "repository:a/b:pull repository:c/d:pull",
        );
    }

    #[test]
    fn a_realm_is_a_plain_address() {
        let check = |realm: &str, good: bool| {
            let request = TokenRequest::new(realm, None, None, "web");
            assert_eq!(request.is_ok(), good, "{realm}");
        };
        check("https://auth.test/token?x=y", true);
        check("http://auth.test/token", true);
        check("https://u:p@auth.test/token", false);
        check("https://auth.test/token#x", false);
        check("ftp://auth.test/token", false);
        check("auth.test/token", false);
        check(
            &format!("https://auth.test/{}", "x".repeat(MAX_REALM)),
            false,
        );
    }

    #[test]
    fn a_token_is_renewed_at_four_fifths_of_its_life() {
        let now = Instant::now();
        let authority: Authority = "r.test".parse().expect("an authority");
        let request = TokenRequest::new("https://r.test/t", None, None, "web").expect("a realm");
        let check = |life: u64, after: u64, kept: bool| {
            let tokens = Tokens::default();
            let key = request.key(None, &Route::default(), &authority);
            let token = Proof::Bearer(Secret::new("t".to_owned()));
            let credential = Credential::new(token, authority.clone());
            tokens.put(key.clone(), credential, Duration::from_secs(life), now);
            let found = tokens.get(&key, now + Duration::from_secs(after));
            assert_eq!(found.is_some(), kept, "{life} {after}");
        };
        check(100, 79, true);
        check(100, 80, false);
        check(3600, 899, true);
        check(3600, 900, false);
    }

    proptest! {
        #[test]
        fn two_proofs_never_share_a_fingerprint(
            left in ("[a:\0]{0,4}", "[a:\0]{0,4}"),
            right in ("[a:\0]{0,4}", "[a:\0]{0,4}"),
        ) {
            let proof = |(username, password): &(String, String)| Proof::Basic {
                username: Secret::new(username.clone()),
                password: Secret::new(password.clone()),
            };
            let same = fingerprint(&proof(&left)) == fingerprint(&proof(&right));
            prop_assert_eq!(same, left == right);
        }
    }
}
