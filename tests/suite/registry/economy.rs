//! How little a registry is asked: unchanged listings, shared tokens, wishes to wait, smaller pages.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
    response::{AppendHeaders, IntoResponse, Response},
};
use futures_util::future::join_all;
use tagwright::{
    egress::Egress,
    image::{Repository, Tag},
    scan::{Access, Keychain, Limits, OciRegistry, Registry, ScanError, Store},
};
use tokio::net::TcpListener;

use super::evil::{Asked, Evil, limits, nobody, tags};
use crate::support::conformance::{access, keychain, story};

fn counting(
    answer: impl Fn(Asked) -> Response + Clone + Send + Sync + 'static,
    is_counted: impl Fn(&Asked) -> bool + Clone + Send + Sync + 'static,
) -> (
    Arc<AtomicUsize>,
    impl Fn(Asked) -> Response + Clone + Send + Sync + 'static,
) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let answer = move |asked: Asked| {
        if is_counted(&asked) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        answer(asked)
    };
    (count, answer)
}

#[tokio::test]
async fn an_unchanged_listing_is_not_sent_again_also_after_a_restart() {
    let etagged = |asked: Asked| {
        if asked.if_none_match.as_deref() == Some("\"7\"") {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        (
            AppendHeaders([("etag", "\"7\"")]),
            tags(&["1.0.0", "1.1.0"]),
        )
            .into_response()
    };
    let (full, answer) = counting(etagged, |asked| asked.if_none_match.is_none());
    let evil = Evil::start(answer).await;
    let folder = tempfile::tempdir().expect("a folder");
    let scan = async |tenant: &str, access: &Access| {
        let registry = OciRegistry::new(Egress::new()).remembering(Store::open(folder.path()));
        let scan = registry
            .of_tenant(tenant)
            .scan(&evil.repository(), access)
            .await;
        let scan = scan.unwrap_or_else(|error| panic!("{}", story(&error)));
        assert_eq!(scan.tags.len(), 2);
        full.load(Ordering::Relaxed)
    };
    assert_eq!(scan("ours", &nobody()).await, 1);
    assert_eq!(scan("ours", &nobody()).await, 1, "it is the same");
    // R36: nobody else is told by what one tenant, or one credential, was told.
    assert_eq!(scan("theirs", &nobody()).await, 2);
    let user = access(keychain(&evil.address.to_string(), "bot", "secret"));
    assert_eq!(scan("ours", &user).await, 3);
    assert_eq!(evil.requests(), 4, "one request each");
}

#[tokio::test]
async fn of_many_pages_those_are_sent_again_that_changed() {
    let served = Arc::new(Mutex::new(vec![vec!["1.0.0", "1.1.0"], vec!["1.2.0"]]));
    let pages = Arc::clone(&served);
    let answer = move |asked: Asked| {
        let pages = pages.lock().expect("the pages");
        let number = usize::from(asked.query.contains("last="));
        let etag = format!("\"{}\"", pages[number].join(","));
        if asked.if_none_match.as_ref() == Some(&etag) {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        let page = AppendHeaders([("etag", etag)]);
        if number + 1 < pages.len() {
            let link = r#"<?last=1.1.0>; rel="next""#;
            return (page, [("link", link)], tags(&pages[number])).into_response();
        }
        (page, tags(&pages[number])).into_response()
    };
    let (full, answer) = counting(answer, |asked| asked.if_none_match.is_none());
    let evil = Evil::start(answer).await;
    let registry = OciRegistry::new(Egress::new());
    let check = async |expected: &[&str], first_sent: usize| {
        let scan = registry.scan(&evil.repository(), &nobody()).await;
        let scan = scan.unwrap_or_else(|error| panic!("{}", story(&error)));
        let found: Vec<_> = scan.tags.iter().map(Tag::as_str).collect();
        assert_eq!(found, expected);
        assert_eq!(full.load(Ordering::Relaxed), first_sent, "{expected:?}");
    };
    check(&["1.2.0", "1.1.0", "1.0.0"], 2).await;
    check(&["1.2.0", "1.1.0", "1.0.0"], 2).await;
    served.lock().expect("the pages")[1].push("1.3.0");
    check(&["1.3.0", "1.2.0", "1.1.0", "1.0.0"], 2).await;
    check(&["1.3.0", "1.2.0", "1.1.0", "1.0.0"], 2).await;
    served.lock().expect("the pages")[0].remove(0);
    check(&["1.3.0", "1.2.0", "1.1.0"], 2).await;
    // What is not in order cannot be told apart by pages: it is read whole, and rightly.
    served.lock().expect("the pages")[1].push("0.9.0");
    check(&["1.3.0", "1.2.0", "1.1.0", "0.9.0"], 2).await;
    check(&["1.3.0", "1.2.0", "1.1.0", "0.9.0"], 2).await;
}

#[tokio::test]
async fn who_claims_that_nothing_changed_to_a_stranger_is_not_believed() {
    let evil = Evil::start(|_| StatusCode::NOT_MODIFIED.into_response()).await;
    assert!(evil.scan(&nobody()).await.is_err());
}

/// A registry with a token service of its own, whose tokens are numbered.
fn with_tokens(asked: &Asked, is_good: impl Fn(&str) -> bool) -> Response {
    if asked.path == "/token" {
        let reply = format!(r#"{{"token": "t{}", "expires_in": 300}}"#, asked.number);
        return reply.into_response();
    }
    match asked
        .authorization
        .as_deref()
        .and_then(|it| it.strip_prefix("Bearer "))
    {
        Some(token) if is_good(token) => tags(&["a"]),
        _ => {
            let challenge = format!(r#"Bearer realm="http://{}/token",service="x""#, asked.host);
            (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response()
        }
    }
}

#[tokio::test]
async fn c11_a_hundred_scans_exchange_one_token() {
    let answer = |asked: Asked| with_tokens(&asked, |_| true);
    let (exchanges, answer) = counting(answer, |asked| asked.path == "/token");
    let evil = Evil::start(answer).await;
    let user = access(keychain(&evil.address.to_string(), "bot", "secret"));
    let registry = OciRegistry::new(Egress::new());
    let repository = evil.repository();
    let scans = (0..100).map(|_| registry.scan(&repository, &user));
    for scan in join_all(scans).await {
        scan.unwrap_or_else(|error| panic!("{}", story(&error)));
    }
    assert_eq!(exchanges.load(Ordering::Relaxed), 1);
    // C08: the same password of another tenant is another login.
    let theirs = registry.of_tenant("theirs");
    theirs.scan(&repository, &user).await.expect("they may");
    assert_eq!(exchanges.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once_whatever_the_refusal_is_called() {
    let check = async |status: StatusCode| {
        // The first token is taken back after its first use.
        let answer = move |asked: Asked| match (asked.number, asked.path.as_str()) {
            (3, path) if path != "/token" => (status, "revoked").into_response(),
            _ => with_tokens(&asked, |_| true),
        };
        let evil = Evil::start(answer).await;
        let user = access(keychain(&evil.address.to_string(), "bot", "secret"));
        let registry = OciRegistry::new(Egress::new());
        let repository = evil.repository();
        // The refusal, the token, the listing; the refusal, the new token, the listing.
        for requests in [3, 6] {
            let scan = registry.scan(&repository, &user).await;
            scan.unwrap_or_else(|error| panic!("{status}: {}", story(&error)));
            assert_eq!(evil.requests(), requests, "{status}");
        }
    };
    check(StatusCode::UNAUTHORIZED).await;
    check(StatusCode::FORBIDDEN).await;
}

#[tokio::test]
async fn a_wider_scope_is_asked_for_once() {
    let (exchanges, answer) = counting(
        |asked: Asked| {
            if asked.path == "/token" {
                let wide = asked.query.contains("metadata_read") && asked.query.contains("pull");
                let token = if wide { "wide" } else { "narrow" };
                return format!(r#"{{"token": "{token}"}}"#).into_response();
            }
            let (scope, error) = match asked.authorization.as_deref() {
                Some("Bearer wide") => return tags(&["a"]),
                None => ("pull", ""),
                Some(_) => ("metadata_read", r#",error="insufficient_scope""#),
            };
            let challenge = format!(
                r#"Bearer realm="http://{}/token",scope="repository:acme/web:{scope}"{error}"#,
                asked.host
            );
            (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response()
        },
        |asked| asked.path == "/token",
    );
    let evil = Evil::start(answer).await;
    let scan = evil.scan(&nobody()).await;
    scan.unwrap_or_else(|error| panic!("{}", story(&error)));
    assert_eq!(exchanges.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn r16_who_asked_to_wait_is_left_alone_by_all_scans() {
    let evil =
        Evil::start(|_| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "600")]).into_response());
    let evil = evil.await;
    let registry = OciRegistry::new(Egress::new());
    for path in ["a1", "b2", "c3"] {
        let repository = format!("{}/{path}", evil.address)
            .parse()
            .expect("a repository");
        let error = registry
            .scan(&repository, &nobody())
            .await
            .expect_err("ten minutes");
        let until = matches!(error, ScanError::RateLimited { until: Some(_), .. });
        assert!(until, "{}", story(&error));
    }
    assert_eq!(evil.requests(), 1, "the others did not ask");
}

#[tokio::test]
async fn a_registry_that_refuses_large_pages_is_remembered() {
    let small = |asked: Asked| {
        if asked.query.contains("n=1000") {
            return (StatusCode::BAD_REQUEST, "n is too large").into_response();
        }
        tags(&["a"])
    };
    let evil = Evil::start(small).await;
    let registry = OciRegistry::new(Egress::new());
    for requests in [2, 3] {
        let scan = registry.scan(&evil.repository(), &nobody()).await;
        scan.unwrap_or_else(|error| panic!("{}", story(&error)));
        assert_eq!(evil.requests(), requests);
    }
}

#[tokio::test]
async fn r20_registries_that_hang_delay_no_other() {
    let hurried = Access {
        timeout: Duration::from_secs(2),
        ..nobody()
    };
    let mut silent = Vec::new();
    for _ in 0..50 {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        silent.push(listener);
    }
    let healthy = Evil::start(|_| tags(&["a"])).await;
    let registry = OciRegistry::new(Egress::new());
    let hanging = silent.iter().map(async |listener| {
        let address = listener.local_addr().expect("it is bound");
        let repository: Repository = format!("{address}/web").parse().expect("a repository");
        registry.scan(&repository, &hurried).await.is_err()
    });
    let well = async {
        let began = Instant::now();
        let scan = registry.scan(&healthy.repository(), &hurried).await;
        scan.unwrap_or_else(|error| panic!("{}", story(&error)));
        began.elapsed()
    };
    let (hung, took) = tokio::join!(join_all(hanging), well);
    assert!(hung.into_iter().all(|it| it), "each ends at its deadline");
    assert!(took < hurried.timeout, "{took:?}");
}

#[tokio::test]
async fn a_registry_token_is_sent_as_it_is() {
    let evil = Evil::start(|asked: Asked| match asked.authorization.as_deref() {
        Some("Bearer given-token") => tags(&["a"]),
        _ => with_tokens(&asked, |_| false),
    });
    let evil = evil.await;
    let config = serde_json::json!({
        "auths": {evil.address.to_string(): {"registrytoken": "given-token"}}
    });
    let keychain = Keychain::from_docker_config(config.to_string().as_bytes(), &[]);
    let scan = evil.scan(&access(keychain.expect("a keychain"))).await;
    scan.unwrap_or_else(|error| panic!("{}", story(&error)));
    assert_eq!(evil.requests(), 2, "the refusal, and the listing");
}

#[tokio::test]
async fn only_later_tags_are_asked_for_until_it_is_time_for_all_of_them() {
    let listed = Arc::new(Mutex::new(vec!["1.0.0", "1.1.0", "1.2.0"]));
    let queries = Arc::new(Mutex::new(Vec::new()));
    let (all, log) = (Arc::clone(&listed), Arc::clone(&queries));
    let evil = Evil::start(move |asked: Asked| {
        log.lock().expect("a list").push(asked.query.clone());
        let all = all.lock().expect("a list");
        let last = asked.query.split_once("last=").map_or("", |(_, last)| last);
        let after = all.iter().filter(|tag| **tag > last).copied();
        tags(&after.collect::<Vec<_>>())
    })
    .await;
    let registry = OciRegistry::new(Egress::new());
    let scan = async |seconds: u64, expected: &[&str]| {
        let access = Access {
            whole_every: Some(Duration::from_secs(seconds)),
            ..nobody()
        };
        let scan = registry.scan(&evil.repository(), &access).await;
        let scan = scan.unwrap_or_else(|error| panic!("{}", story(&error)));
        let found = scan
            .tags
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        assert_eq!(found, expected);
        queries.lock().expect("a list").pop().unwrap_or_default()
    };
    let whole = "n=1000";
    assert_eq!(scan(3600, &["1.2.0", "1.1.0", "1.0.0"]).await, whole);
    let later = "n=1000&last=1.2.0";
    assert_eq!(scan(3600, &["1.2.0", "1.1.0", "1.0.0"]).await, later);
    *listed.lock().expect("a list") = vec!["1.1.0", "1.2.0", "1.3.0"];
    // What was deleted is known still; the whole list says so.
    let grown = ["1.3.0", "1.2.0", "1.1.0", "1.0.0"];
    assert_eq!(scan(3600, &grown).await, later);
    assert_eq!(scan(3600, &grown).await, "n=1000&last=1.3.0");
    assert_eq!(scan(0, &["1.3.0", "1.2.0", "1.1.0"]).await, whole);
    assert_eq!(evil.requests(), 5, "one request each");
}

#[tokio::test]
async fn a_registry_that_takes_no_notice_of_where_to_begin_is_listed_whole() {
    let evil = Evil::start(|_| tags(&["b", "a", "c"])).await;
    let registry = OciRegistry::new(Egress::new());
    let access = Access {
        whole_every: Some(Duration::from_hours(1)),
        ..nobody()
    };
    for requests in [1, 3] {
        let scan = registry.scan(&evil.repository(), &access).await;
        assert_eq!(scan.expect("it is listed").tags.len(), 3);
        assert_eq!(evil.requests(), requests);
    }
}

#[tokio::test]
async fn a_page_that_does_not_come_is_asked_for_again() {
    let evil = Evil::start(|asked: Asked| {
        if asked.number == 0 {
            let never =
                Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
            return Response::new(never);
        }
        tags(&["1.0.0"])
    })
    .await;
    let limits = Limits {
        request_time: Duration::from_millis(200),
        ..limits()
    };
    let registry = OciRegistry::with_limits(Egress::new(), limits);
    let scan = registry.scan(&evil.repository(), &nobody()).await;
    scan.unwrap_or_else(|error| panic!("{}", story(&error)));
    assert_eq!(evil.requests(), 2);
}
