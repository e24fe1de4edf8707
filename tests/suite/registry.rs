//! Registries: the conformance suite over every fixture and transport, and registries that mean ill.

#![expect(
    clippy::disallowed_methods,
    reason = "a test compares its table with the folders"
)]

mod cases;
mod dialects;
mod economy;
mod evil;
mod facts;
mod faults;
mod network;
mod proxy;
mod referrers;
mod signatures;
mod tls;
mod writes;

use std::fs;

use tagwright::{
    egress::Egress,
    fixture::{FixtureRegistry, RegistryServer},
    scan::{OciRegistry, Registry},
};

use crate::support::conformance::{Subject, access, fixture, keychain, story};

/// Every folder of `fixtures/registries`.
const FIXTURES: [&str; 25] = [
    "acr-scope",
    "artifactory",
    "basic-auth",
    "bearer-auth",
    "built",
    "demo",
    "docker-hub",
    "faulty",
    "ghcr",
    "gitlab",
    "harbor",
    "moved-tag",
    "nexus",
    "odd-tags",
    "paged-no-link",
    "paged-relative-link",
    "plain",
    "quay",
    "rate-limited",
    "redirect-to-storage",
    "shapes",
    "signed",
    "ten-thousand-tags",
    "truncated-page",
    "zot",
];

#[test]
fn every_fixture_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/registries");
    let entries = fs::read_dir(folder).expect("the fixtures are there");
    let folders = entries.map(|entry| entry.expect("a readable entry"));
    let folders = folders.filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> = folders
        .map(|entry| entry.file_name().into_string().expect("a name in UTF-8"))
        .collect();
    names.sort();
    assert_eq!(names, FIXTURES);
}

#[tokio::test]
async fn fixtures_conform_in_memory() {
    for name in FIXTURES {
        let fixture = fixture(name);
        let subject = Subject {
            registry: FixtureRegistry::new(fixture.clone()),
            host: fixture.host().to_owned(),
            fixture,
        };
        subject.conforms().await;
    }
}

/// A server of the fixture `name`, and a client with nothing in its memory.
async fn serve(name: &str) -> (RegistryServer, Subject<OciRegistry>) {
    let fixture = fixture(name);
    let server = RegistryServer::start(fixture.clone())
        .await
        .expect("a port is free");
    let subject = Subject {
        registry: OciRegistry::new(Egress::new()),
        host: server.address().to_string(),
        fixture,
    };
    (server, subject)
}

#[tokio::test]
async fn fixtures_conform_over_http() {
    for name in FIXTURES {
        let (_server, subject) = serve(name).await;
        subject.conforms().await;
    }
}

async fn check_requests(name: &str, path: &str, expected: usize) {
    let (server, subject) = serve(name).await;
    let scan = subject
        .registry
        .scan(&subject.repository(path), &subject.access())
        .await;
    scan.unwrap_or_else(|error| panic!("{name}: {}", story(&error)));
    assert_eq!(server.requests(), expected, "{name}/{path}");
}

#[tokio::test]
async fn a_listing_takes_no_request_too_many() {
    check_requests("plain", "web", 1).await;
    check_requests("paged-relative-link", "web", 3).await;
    check_requests("ten-thousand-tags", "web", 10).await;
    // The refusal, and the listing.
    check_requests("basic-auth", "web", 2).await;
    check_requests("rate-limited", "web", 2).await;
    // The refusal, the token, and the listing.
    check_requests("bearer-auth", "web", 3).await;
    // Three pages, and the question whether there is a fourth.
    check_requests("paged-no-link", "web", 4).await;
    check_requests("paged-no-link", "exactly-one-page", 2).await;
}

#[tokio::test]
async fn a_token_is_kept_for_its_repository_and_its_credential() {
    let (server, subject) = serve("bearer-auth").await;
    let scan = async |path: &str| {
        let before = server.requests();
        let (repository, access) = (subject.repository(path), subject.access());
        let scan = subject.registry.scan(&repository, &access).await;
        scan.unwrap_or_else(|error| panic!("{path}: {}", story(&error)));
        server.requests() - before
    };
    assert_eq!(scan("web").await, 3, "a token is asked for");
    assert_eq!(
        scan("web").await,
        1,
        "the token is kept, and so is what is asked for"
    );
    assert_eq!(scan("other").await, 3, "and is for one repository only");

    let wrong = access(keychain(&subject.host, "bot", "wrong"));
    let error = subject
        .registry
        .scan(&subject.repository("web"), &wrong)
        .await;
    assert!(error.is_err(), "another credential does not find the token");
}

#[tokio::test]
async fn the_next_credential_is_tried_when_one_is_refused() {
    let (_server, subject) = serve("bearer-auth").await;
    let specific = keychain(&format!("{}/web", subject.host), "bot", "wrong");
    let both = specific.merge(subject.access().keychain);
    let scan = subject
        .registry
        .scan(&subject.repository("web"), &access(both))
        .await;
    assert!(scan.is_ok(), "{scan:#?}");
}

#[tokio::test]
async fn storage_at_another_address_is_never_asked() {
    let (server, subject) = serve("redirect-to-storage").await;
    let repository = subject.repository("web");
    let tag = "1.0.0".parse().expect("a tag");
    let scan = subject.registry.scan(&repository, &subject.access()).await;
    let digest = subject
        .registry
        .digest(&repository, &tag, &subject.access())
        .await;
    assert!(scan.is_err() && digest.is_err());
    assert_eq!(server.storage_requests(), 0);
}

#[tokio::test]
async fn a_server_is_gone_when_it_is_dropped() {
    let (server, subject) = serve("plain").await;
    let repository = subject.repository("web");
    drop(server);
    let error = subject.registry.scan(&repository, &subject.access()).await;
    let error = error.expect_err("nobody listens");
    assert_eq!(
        error.class(),
        tagwright::error::Class::Transient,
        "{}",
        story(&error)
    );
}
