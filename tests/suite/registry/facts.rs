//! What is found out of tags: how many requests it takes, and what is not believed.

use std::{
    fmt::Write as _,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};
use tagwright::{
    egress::Egress,
    image::{Repository, Tag},
    scan::{Depth, OciRegistry, Registry, ScanError, Store, TagFacts},
};

use super::{
    evil::{Asked, Evil, nobody},
    serve,
};
use crate::support::conformance::{access, keychain, story};

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

#[tokio::test]
async fn what_is_known_by_digest_is_known_for_ever() {
    let (server, subject) = serve("built").await;
    let (web, access) = (subject.repository("web"), subject.access());
    let asks = async |name: &str, depth: Depth| {
        let before = server.requests();
        let facts = subject
            .registry
            .facts(&web, &tag(name), depth, &access)
            .await;
        facts.unwrap_or_else(|error| panic!("{name}: {}", story(&error)));
        server.requests() - before
    };
    // The tag; an image and its configuration, or an index, its first image and that one's.
    assert_eq!(asks("1.3.0", Depth::Image).await, 3);
    assert_eq!(asks("1.4.0", Depth::Image).await, 4);
    // From now on, only what the tag names is asked.
    assert_eq!(asks("1.3.0", Depth::Image).await, 1);
    assert_eq!(asks("1.4.0", Depth::Image).await, 1);
    assert_eq!(asks("1.5.0", Depth::Digest).await, 1);
}

async fn first_seen(folder: &Path, tenant: &str, web: &Repository) -> TagFacts {
    let registry = OciRegistry::new(Egress::new()).remembering(Store::open(folder));
    let registry = registry.of_tenant(tenant);
    let facts = registry
        .facts(web, &tag("1.3.0"), Depth::Digest, &nobody())
        .await;
    facts.unwrap_or_else(|error| panic!("{}", story(&error)))
}

#[tokio::test]
async fn r36_a_first_sight_outlives_the_process_and_is_its_tenants_own() {
    let (_server, subject) = serve("built").await;
    let web = subject.repository("web");
    let folder = tempfile::tempdir().expect("a folder");
    let first = first_seen(folder.path(), "ours", &web).await;
    let again = first_seen(folder.path(), "ours", &web).await;
    assert_eq!(first, again);
    let theirs = first_seen(folder.path(), "theirs", &web).await;
    assert!(theirs.first_seen > first.first_seen, "they see it now");
}

fn digest(body: &str) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(body) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

const CONFIG: &str = r#"{"os":"linux","architecture":"amd64","created":"2025-01-02T03:04:05Z"}"#;

fn manifest() -> String {
    format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"{}"}},"layers":[]}}"#,
        digest(CONFIG)
    )
}

/// A registry of one image, whose configuration is what `blob` answers.
fn one_image(
    blob: impl Fn(Asked) -> Response + Clone + Send + Sync + 'static,
) -> impl Fn(Asked) -> Response + Clone + Send + Sync + 'static {
    move |asked: Asked| {
        if asked.path.contains("/blobs/") {
            return blob(asked);
        }
        if asked.authorization.is_none() {
            let challenge = [("www-authenticate", "Basic realm=x")];
            return (StatusCode::UNAUTHORIZED, challenge).into_response();
        }
        let manifest = manifest();
        ([("docker-content-digest", digest(&manifest))], manifest).into_response()
    }
}

async fn facts_of(evil: &Evil) -> Result<TagFacts, ScanError> {
    let user = access(keychain(&evil.address.to_string(), "bot", "canary-4711"));
    let registry = OciRegistry::new(Egress::new());
    registry
        .facts(&evil.repository(), &tag("1"), Depth::Image, &user)
        .await
}

#[tokio::test]
async fn r07_content_may_be_kept_elsewhere_and_nobody_there_learns_who_asks() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let witness = Arc::clone(&seen);
    let storage = Evil::start(move |asked| {
        witness.lock().expect("a list").push(asked.authorization);
        CONFIG.into_response()
    });
    let storage = storage.await;
    let location = format!("http://{}/bucket/config?signature=x", storage.address);
    let evil = Evil::start(one_image(move |_| {
        (
            StatusCode::TEMPORARY_REDIRECT,
            [("location", location.clone())],
        )
            .into_response()
    }));
    let facts = facts_of(&evil.await).await;
    let facts = facts.unwrap_or_else(|error| panic!("{}", story(&error)));
    assert!(facts.created.is_some());
    assert_eq!(*seen.lock().expect("a list"), [None]);
}

#[tokio::test]
async fn r27_content_that_is_not_what_its_digest_names_is_refused() {
    let check = async |body: &'static str, expected: &str| {
        let evil = Evil::start(one_image(move |_| body.into_response())).await;
        let error = facts_of(&evil).await.expect_err(expected);
        assert!(story(&error).contains(expected), "{}", story(&error));
    };
    check(r#"{"created":"2020-01-01T00:00:00Z"}"#, "was announced as").await;
    check("", "was announced as").await;

    let lying = Evil::start(|asked: Asked| {
        let other = digest("another manifest");
        match asked.method.as_str() {
            "HEAD" => [("docker-content-digest", other)].into_response(),
            _ => manifest().into_response(),
        }
    });
    let error = facts_of(&lying.await).await.expect_err("it is another one");
    assert!(
        matches!(error, ScanError::DigestMismatch { .. }),
        "{}",
        story(&error)
    );
}
