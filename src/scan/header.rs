//! The three headers of a registry that have an inner grammar: `Link`, `WWW-Authenticate` and
//! `Retry-After`.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{HeaderMap, LINK, RETRY_AFTER, WWW_AUTHENTICATE};

/// A header line longer than this is not looked at.
const MAX_LINE: usize = 8 * 1024;

/// What a registry asks for before it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A user name and password with every request (RFC 7617).
    Basic,
    /// A token of the service at `realm` (RFC 6750, and the token flow of the Docker registry).
    Bearer {
        /// The address of the token service, as it was sent.
        realm: String,
        /// What the token service knows the registry by.
        service: Option<String>,
        /// The rights that the token must carry.
        scope: Option<String>,
    },
}

/// Returns the target of the link to the next page (RFC 8288), or nothing where there is none.
///
/// A link without any `rel` counts as one to the next page, because Flux reads it so.
pub(super) fn next_page(headers: &HeaderMap) -> Option<String> {
    let mut unnamed = None;
    for line in lines(headers, &LINK) {
        let mut rest = line;
        while let Some((target, after)) = rest
            .split_once('<')
            .and_then(|(_, after)| after.split_once('>'))
        {
            let (relations, after) = relations(after);
            rest = after;
            match relations {
                None => unnamed = unnamed.or(Some(target)),
                Some(relations) => {
                    let mut names = relations.split_ascii_whitespace();
                    if names.any(|name| name.eq_ignore_ascii_case("next")) {
                        return Some(target.to_owned());
                    }
                }
            }
        }
    }
    unnamed.map(str::to_owned)
}

/// Returns what the registry asks for: a token rather than a password, where it takes both.
pub(super) fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for line in lines(headers, &WWW_AUTHENTICATE) {
        for (scheme, parameters) in challenges(line) {
            let value = |name: &str| {
                let found = parameters.iter().find(|(key, _)| *key == name);
                found
                    .map(|(_, value)| value.clone())
                    .filter(|it| !it.is_empty())
            };
            if scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = value("realm")
            {
                return Some(Challenge::Bearer {
                    realm,
                    service: value("service"),
                    scope: value("scope"),
                });
            }
            if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

/// Returns until when a registry asked us to wait, or nothing where it did not say so legibly or
/// named a time that has passed.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let until = match text.parse::<u32>() {
        Ok(seconds) => now.checked_add_signed(TimeDelta::seconds(i64::from(seconds)))?,
        Err(_) => httpdate::parse_http_date(text).ok()?.into(),
    };
    (until >= now).then_some(until)
}

/// Returns until when an allowance is used up, where the registry says that nothing is left of it and
/// when that changes.
///
/// `RateLimit-Reset` and `X-RateLimit-Reset` name seconds; so large a number is a time. Docker Hub
/// names no reset, and counts pulls, not listings: its headers close nothing.
pub(super) fn exhausted_until(headers: &HeaderMap, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    const SMALLEST_TIME: i64 = 1_000_000_000;
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let pairs = [
        ("ratelimit-remaining", "ratelimit-reset"),
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ];
    let (_, reset) = pairs
        .iter()
        .find(|(remaining, _)| number(remaining) == Some(0))?;
    let reset = number(reset).filter(|reset| *reset >= 0)?;
    let until = if reset >= SMALLEST_TIME {
        DateTime::from_timestamp(reset, 0)?
    } else {
        now.checked_add_signed(TimeDelta::seconds(reset))?
    };
    (until > now).then_some(until)
}

fn lines<'a>(
    headers: &'a HeaderMap,
    name: &reqwest::header::HeaderName,
) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|line| line.len() <= MAX_LINE)
}

/// Reads the parameters of one link up to the comma that ends it: the value of `rel`, and the rest.
fn relations(mut rest: &str) -> (Option<String>, &str) {
    let mut found = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() || rest.starts_with(',') {
            return (found, rest);
        }
        let (name, after) = token(rest);
        if name.is_empty() {
            // Not a parameter: give this link up, and go on behind the next comma.
            return (found, rest.find(',').map_or("", |comma| &rest[comma..]));
        }
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix('=') {
            let (value, after) = value(after.trim_start());
            rest = after;
            if name.eq_ignore_ascii_case("rel") && found.is_none() {
                found = Some(value);
            }
        }
    }
}

type Parameters = Vec<(String, String)>;

fn challenges(mut rest: &str) -> Vec<(&str, Parameters)> {
    let mut found: Vec<(&str, Parameters)> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (name, after) = token(rest);
        if name.is_empty() {
            return found;
        }
        match (after.trim_start().strip_prefix('='), found.last_mut()) {
            (Some(after), Some((_, parameters))) => {
                let (value, after) = value(after.trim_start());
                parameters.push((name.to_ascii_lowercase(), value));
                rest = after;
            }
            (Some(_), None) => return found,
            (None, _) => {
                found.push((name, Vec::new()));
                rest = after;
            }
        }
    }
}

/// Splits a token (RFC 9110) off the front.
fn token(text: &str) -> (&str, &str) {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.bytes().position(|byte| !in_token(byte));
    text.split_at(end.unwrap_or(text.len()))
}

/// Splits a quoted string, or a bare value up to a separator, off the front.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_str(line).expect("a header value"));
        }
        headers
    }

    fn check_link(lines: &[&str], next: Option<&str>) {
        let found = next_page(&headers(&LINK, lines));
        assert_eq!(found.as_deref(), next, "{lines:?}");
    }

    #[test]
    fn the_next_page_is_found_in_any_spelling() {
        check_link(
            &[r#"</v2/a/tags/list?last=b>; rel="next""#],
            Some("/v2/a/tags/list?last=b"),
        );
        check_link(&["<x>;rel=next"], Some("x"));
        check_link(
            &[r#"<x> ; title="a, <b>; c" ; REL = "prev NEXT""#],
            Some("x"),
        );
        check_link(&[r#"<p>; rel="prev", <x>; rel="next""#], Some("x"));
        check_link(&[r#"<p>; rel="prev""#, r#"<x>; rel="next""#], Some("x"));
        check_link(&["<x>"], Some("x"));
        check_link(&[r#"<p>; rel="prev""#], None);
        check_link(&[r#"<x>; rel="prev"; rel="next""#], None);
        check_link(&[r#"<p>; ((, <x>; rel="next""#], Some("x"));
        check_link(&["<x", "x>; rel=next", ""], None);
    }

    fn check_challenge(lines: &[&str], expected: Option<&Challenge>) {
        let found = challenge(&headers(&WWW_AUTHENTICATE, lines));
        assert_eq!(found.as_ref(), expected, "{lines:?}");
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let full = r#"Bearer realm="https://a.test/t",service="a",scope="repository:x:pull,push""#;
        let expected = bearer(
            "https://a.test/t",
            Some("a"),
            Some("repository:x:pull,push"),
        );
        let expected = Some(&expected);
        check_challenge(&[full], expected);
        check_challenge(&[r#"Basic realm="x""#, full], expected);
        check_challenge(&[&format!(r#"Basic realm="x", {full}"#)], expected);
        let spaced = bearer("r\"q", None, None);
        check_challenge(&[r#"bearer realm = "r\"q""#], Some(&spaced));
        let bare = bearer("r", None, None);
        check_challenge(&["Bearer realm=r, scope="], Some(&bare));
        let basic = Some(&Challenge::Basic);
        check_challenge(&[r#"Basic realm="x""#], basic);
        check_challenge(&["Basic"], basic);
        check_challenge(&[r#"Bearer service="a""#, "Negotiate", "", "="], None);
        check_challenge(&[&format!("Bearer realm={}", "r".repeat(MAX_LINE))], None);
    }

    #[test]
    fn waiting_is_told_in_seconds_or_as_a_date() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let check = |text: &str, seconds: Option<i64>| {
            let until = retry_after(&headers(&RETRY_AFTER, &[text]), now);
            assert_eq!(until.map(|it| (it - now).num_seconds()), seconds, "{text}");
        };
        check("30", Some(30));
        check("0", Some(0));
        check("Tue, 14 Nov 2023 22:14:20 GMT", Some(60));
        check("Tue, 14 Nov 2023 22:12:20 GMT", None);
        check("-1", None);
        check("soon", None);
        check("99999999999999999999", None);
    }

    #[test]
    fn an_allowance_that_is_used_up_names_its_reset() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let check = |pairs: &[(&'static str, &str)], seconds: Option<i64>| {
            let pairs = pairs.iter().map(|(name, value)| {
                let value = value.parse().expect("a header's value");
                (reqwest::header::HeaderName::from_static(name), value)
            });
            let until = exhausted_until(&pairs.collect(), now);
            assert_eq!(until.map(|it| (it - now).num_seconds()), seconds);
        };
        let (left, reset) = ("ratelimit-remaining", "ratelimit-reset");
        check(&[(left, "0"), (reset, "30")], Some(30));
        check(&[(left, "1"), (reset, "30")], None);
        check(&[(left, "0")], None);
        check(&[(left, "0"), (reset, "-1")], None);
        check(&[(left, "0;w=21600")], None);
        let (left, reset) = ("x-ratelimit-remaining", "x-ratelimit-reset");
        check(&[(left, "0"), (reset, "1700000060")], Some(60));
        check(&[(left, "0"), (reset, "1600000000")], None);
        check(&[(left, "0"), (reset, "99999999999999999999")], None);
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "[ -~]{0,120}") {
            next_page(&headers(&LINK, &[&text]));
            challenge(&headers(&WWW_AUTHENTICATE, &[&text]));
            retry_after(&headers(&RETRY_AFTER, &[&text]), DateTime::UNIX_EPOCH);
        }
    }
}
