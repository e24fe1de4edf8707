//! Tokens of a registry's token service: what to ask for, how to read the reply, how long to keep it.
//!
//! The exchange itself is made by [`session`](super::session).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::{RealmFault, header::Challenge, reader::fingerprint};
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
/// How many tokens are kept, and how many challenges.
const MAX_TOKENS: usize = 16_384;
/// The longest address of a token service.
const MAX_REALM: usize = 2048;
/// Who we say we are in the OAuth2 flow.
const CLIENT: &str = "tagwright";

/// The tokens at hand; losing one costs one request.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    known: Mutex<HashMap<TokenKey, Token>>,
    /// The exchanges that are under way: who needs the same token waits for it.
    exchanges: Mutex<HashMap<TokenKey, Weak<Turn>>>,
    /// What registries asked for last time, so that it need not be asked for again.
    challenges: Mutex<HashMap<Place, Challenge>>,
}

/// A repository as a tenant reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) tenant: Box<str>,
    pub(super) registry: Authority,
    pub(super) path: Box<str>,
    pub(super) route: Route,
}

/// The turn to exchange one token.
type Turn = tokio::sync::Mutex<()>;

/// One moment by two clocks: one that nobody can set, and one that does not stop while the machine
/// sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) monotonic: Instant,
    pub(super) wall: DateTime<Utc>,
}

/// Everything that decides what a token may do and who may use it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TokenKey {
    tenant: Box<str>,
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
    got: Moment,
    use_for: Duration,
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
    pub(super) fn get(&self, key: &TokenKey, now: Moment) -> Option<Credential> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let token = known.get(key).filter(|token| token.is_fresh(now));
        token.map(|token| token.credential.clone())
    }

    pub(super) fn put(&self, key: TokenKey, credential: Credential, life: Duration, now: Moment) {
        let token = Token {
            credential,
            got: now,
            use_for: (life * 4 / 5).min(LONGEST_USE),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_TOKENS {
            known.retain(|_, token| token.is_fresh(now));
        }
        if known.len() < MAX_TOKENS {
            known.insert(key, token);
        }
    }

    /// What was asked for last time.
    pub(super) fn challenge(&self, place: &Place) -> Option<Challenge> {
        let known = self
            .challenges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.get(place).cloned()
    }

    /// Remembers what is asked for.
    pub(super) fn keep_challenge(&self, place: Place, challenge: Challenge) {
        let mut known = self
            .challenges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_TOKENS {
            known.clear();
        }
        known.insert(place, challenge);
    }

    /// The turn to exchange this token; a thousand scans that need it make one exchange.
    pub(super) fn turn(&self, key: &TokenKey) -> Arc<Turn> {
        let mut exchanges = self
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = exchanges.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        exchanges.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::default());
        exchanges.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }
}

impl Token {
    /// Whether the token may still be used, by either clock; a clock that was set back proves
    /// nothing, so the other one decides.
    fn is_fresh(&self, now: Moment) -> bool {
        let wall = now.wall.signed_duration_since(self.got.wall);
        let use_for = TimeDelta::from_std(self.use_for).unwrap_or_default();
        now.monotonic.saturating_duration_since(self.got.monotonic) < self.use_for && wall < use_for
    }
}

impl TokenRequest {
    /// The same request, with the rights of an earlier one besides.
    #[must_use]
    pub(super) fn widened(mut self, earlier: &str) -> Self {
        self.scope = joined(earlier, &self.scope);
        self
    }

    /// The rights that are asked for.
    pub(super) fn scope(&self) -> &str {
        &self.scope
    }

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
        tenant: &str,
        proof: Option<&Proof>,
        route: &Route,
        registry: &Authority,
    ) -> TokenKey {
        TokenKey {
            tenant: tenant.into(),
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

/// The rights of two scopes, each resource once.
fn joined(left: &str, right: &str) -> String {
    let mut rights: Vec<(&str, Vec<&str>)> = Vec::new();
    for right in left.split(' ').chain(right.split(' ')) {
        let Some((resource, actions)) = right.rsplit_once(':') else {
            continue;
        };
        let known = rights.iter().position(|(known, _)| *known == resource);
        let known = known.unwrap_or_else(|| {
            rights.push((resource, Vec::new()));
            rights.len() - 1
        });
        for action in actions.split(',') {
            if let Some((_, actions)) = rights.get_mut(known)
                && !actions.contains(&action)
            {
                actions.push(action);
            }
        }
    }
    let rights = rights.into_iter();
    let rights = rights.map(|(resource, actions)| format!("{resource}:{}", actions.join(",")));
    rights.collect::<Vec<_>>().join(" ")
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_wider_scope_holds_both() {
        let check = |left: &str, right: &str, expected: &str| {
            assert_eq!(joined(left, right), expected);
        };
        check(
            "repository:a:pull",
            "repository:a:pull",
            "repository:a:pull",
        );
        check(
            "repository:a:pull",
            "repository:a:metadata_read",
            "repository:a:pull,metadata_read",
        );
        check(
            "repository:a:pull",
            "repository:b:pull",
            "repository:a:pull repository:b:pull",
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

    fn known(tokens: &Tokens, tenant: &str, now: Moment) -> bool {
        let authority: Authority = "r.test".parse().expect("an authority");
        let request = TokenRequest::new("https://r.test/t", None, None, "web").expect("a realm");
        let key = request.key(tenant, None, &Route::default(), &authority);
        tokens.get(&key, now).is_some()
    }

    fn kept(life: u64, got: Moment) -> Tokens {
        let tokens = Tokens::default();
        let authority: Authority = "r.test".parse().expect("an authority");
        let request = TokenRequest::new("https://r.test/t", None, None, "web").expect("a realm");
        let key = request.key("ours", None, &Route::default(), &authority);
        let token = Proof::Bearer(Secret::new("t".to_owned()));
        let credential = Credential::new(token, authority);
        tokens.put(key, credential, Duration::from_secs(life), got);
        tokens
    }

    fn start() -> Moment {
        Moment {
            monotonic: Instant::now(),
            wall: DateTime::from_timestamp(1_767_323_045, 0).expect("a time"),
        }
    }

    #[test]
    fn c11_c12_a_token_is_renewed_at_four_fifths_of_its_life_by_either_clock() {
        let check = |life: u64, monotonic: u64, wall: i64, fresh: bool| {
            let got = start();
            let now = Moment {
                monotonic: got.monotonic + Duration::from_secs(monotonic),
                wall: got.wall + TimeDelta::seconds(wall),
            };
            assert_eq!(
                known(&kept(life, got), "ours", now),
                fresh,
                "{life} {monotonic} {wall}"
            );
        };
        check(100, 79, 79, true);
        check(100, 80, 80, false);
        check(3600, 899, 899, true);
        check(3600, 900, 900, false);
        // The machine slept, or its clock was set: ahead, and back.
        check(100, 1, 3600, false);
        check(100, 80, 1, false);
        check(100, 79, -3600, true);
        check(100, 80, -3600, false);
    }

    #[test]
    fn c08_a_token_is_its_tenants_own() {
        let got = start();
        let tokens = kept(100, got);
        assert!(known(&tokens, "ours", got));
        assert!(!known(&tokens, "theirs", got));
    }
}
