//! Where connections may lead: internal addresses, other families of addresses.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tagwright::{
    egress::{Addresses, Egress},
    image::Repository,
    scan::{OciRegistry, Registry, ScanError},
    secret::Authority,
};

use super::evil::{Asked, Evil, nobody, tags};
use crate::support::conformance::{access, keychain, story};

/// What a tenant gets to reach: public addresses, and what the operator excepts.
async fn scan_as_tenant(repository: &str, except: &[String]) -> Result<usize, ScanError> {
    let except = except.iter().map(|it| it.parse().expect("an authority"));
    let except: BTreeSet<Authority> = except.collect();
    let registry = OciRegistry::new(Egress::to(Addresses::Public { except }));
    let repository: Repository = repository.parse().expect("a repository");
    registry
        .scan(&repository, &nobody())
        .await
        .map(|scan| scan.tags.len())
}

#[tokio::test]
async fn c15_a_tenant_reaches_no_internal_address_by_any_spelling() {
    let evil = Evil::start(|_| tags(&["a"])).await;
    let port = evil.address.port();
    let check = async |host: &str| {
        let repository = format!("{host}:{port}/acme/web");
        let error = scan_as_tenant(&repository, &[]).await.expect_err(host);
        let refused = "it leads to this machine or to a private network";
        assert!(story(&error).contains(refused), "{host}: {}", story(&error));
    };
    // `localhost` is a name: it is refused for what it resolves to.
    for host in [
        "127.0.0.1",
        "localhost",
        "169.254.169.254",
        "10.0.0.1",
        "127.1",
        "0x7f.1",
    ] {
        check(host).await;
    }
    assert_eq!(evil.requests(), 0);
    let own = evil.address.to_string();
    let tags = scan_as_tenant(&format!("{own}/acme/web"), std::slice::from_ref(&own)).await;
    assert_eq!(tags.ok(), Some(1), "the operator allows this one");
}

#[tokio::test]
async fn r03_r04_an_answer_leads_a_tenant_to_no_internal_address() {
    let check = async |answer: fn(&Asked, SocketAddr) -> Response| {
        let inner = Evil::start(|_| r#"{"token": "t"}"#.into_response()).await;
        let target = inner.address;
        let outer = Evil::start(move |asked| answer(&asked, target)).await;
        let own = outer.address.to_string();
        let result = scan_as_tenant(&format!("{own}/acme/web"), &[own]).await;
        assert!(result.is_err());
        assert_eq!(inner.requests(), 0);
    };
    check(|_, inner| {
        let challenge = format!(r#"Bearer realm="http://localhost:{}/token""#, inner.port());
        (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response()
    })
    .await;
    check(|asked, inner| {
        if asked.path == "/token" {
            let location = format!("http://localhost:{}/token", inner.port());
            return (StatusCode::FOUND, [("location", location)]).into_response();
        }
        let challenge = format!(r#"Bearer realm="http://{}/token""#, asked.host);
        (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response()
    })
    .await;
    check(|_, inner| {
        let location = format!("http://{inner}/v2/acme/web/tags/list");
        (StatusCode::TEMPORARY_REDIRECT, [("location", location)]).into_response()
    })
    .await;
}

#[tokio::test]
async fn a_registry_may_be_an_address_of_version_six() {
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
        eprintln!("left out: this machine has no IPv6");
        return;
    };
    let address = listener.local_addr().expect("it is bound");
    let app = Router::new().fallback(|| async { tags(&["1.0.0"]) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let repository: Repository = format!("{address}/acme/web").parse().expect("a repository");
    let scan = OciRegistry::new(Egress::new())
        .scan(&repository, &nobody())
        .await;
    let scan = scan.unwrap_or_else(|error| panic!("{}", story(&error)));
    assert_eq!(scan.tags.len(), 1);
}

#[tokio::test]
async fn c05_a_credential_follows_no_redirect_to_another_place() {
    let check = async |target: &'static str, follows: bool| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let witness = Arc::clone(&seen);
        let other = Evil::start(|_| tags(&["stolen"])).await;
        let foreign = other.address;
        let evil = Evil::start(move |asked: Asked| {
            if asked.path == "/stolen" {
                witness.lock().expect("a list").push(asked.authorization);
                return tags(&["a"]);
            }
            if asked.authorization.is_none() {
                let challenge = [("www-authenticate", "Basic realm=x")];
                return (StatusCode::UNAUTHORIZED, challenge).into_response();
            }
            let port = asked.host.rsplit(':').next().unwrap_or_default();
            let target = target
                .replace("HERE", &asked.host)
                .replace("PORT", port)
                .replace("FOREIGN", &foreign.to_string());
            (StatusCode::TEMPORARY_REDIRECT, [("location", target)]).into_response()
        });
        let evil = evil.await;
        let user = access(keychain(&evil.address.to_string(), "bot", "canary-4711"));
        let result = evil.scan(&user).await;
        assert_eq!(result.is_ok(), follows, "{target}");
        let seen = seen.lock().expect("a list");
        assert_eq!(seen.iter().any(Option::is_some), follows, "{target}");
        assert_eq!(other.requests(), 0, "{target}");
    };
    check("/stolen", true).await;
    check("http://HERE/stolen", true).await;
    check("HTTP://127.0.0.1:PORT/stolen", true).await;
    check("http://localhost:PORT/stolen", false).await;
    check("http://127.0.0.1.:PORT/stolen", true).await;
    check("http://127.0.0.2:PORT/stolen", false).await;
    check("https://HERE/stolen", false).await;
    check("http://FOREIGN/stolen", false).await;
    check("//FOREIGN/stolen", false).await;
    check("http://HERE@FOREIGN/stolen", false).await;
    check("ftp://HERE/stolen", false).await;
}
