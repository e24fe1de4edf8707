//! Registries that mean ill, or are broken in ways that look like it.
//!
//! Every case says what the registry answers, what the client must say about it, and after how many
//! requests.

use std::{
    convert::Infallible,
    io::{self, Write as _},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::StatusCode,
    response::{AppendHeaders, IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use tagwright::{
    egress::Egress,
    error::Class,
    image::{Digest, Repository, Tag},
    scan::{Access, Keychain, Limits, OciRegistry, Registry, Scan, ScanError},
};
use tokio::{net::TcpListener, sync::oneshot};

use crate::support::conformance::{access, keychain, story};

/// What an answer may depend on.
pub(super) struct Asked {
    /// How many requests came before.
    pub(super) number: usize,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) authorization: Option<String>,
    pub(super) if_none_match: Option<String>,
    /// Where the server listens.
    pub(super) host: String,
}

/// A server with one way to answer.
pub(super) struct Evil {
    pub(super) address: SocketAddr,
    requests: Arc<AtomicUsize>,
    _stop: oneshot::Sender<()>,
}

impl Evil {
    pub(super) async fn start(
        answer: impl Fn(Asked) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("a bound port has an address");
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let app = Router::new().fallback(move |request: Request| {
            let header = |name: &str| {
                let value = request.headers().get(name)?.to_str().ok()?;
                Some(value.to_owned())
            };
            let asked = Asked {
                number: counter.fetch_add(1, Ordering::Relaxed),
                method: request.method().to_string(),
                path: request.uri().path().to_owned(),
                query: request.uri().query().unwrap_or_default().to_owned(),
                authorization: header("authorization"),
                if_none_match: header("if-none-match"),
                host: address.to_string(),
            };
            let response = answer(asked);
            async move { response }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
            let _ = stopped.await;
        });
        tokio::spawn(async move { serving.await });
        Self {
            address,
            requests,
            _stop: stop,
        }
    }

    pub(super) fn repository(&self) -> Repository {
        let text = format!("{}/acme/web", self.address);
        text.parse().expect("a repository")
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) async fn scan(&self, access: &Access) -> Result<Scan, ScanError> {
        let registry = OciRegistry::with_limits(Egress::new(), limits());
        registry.scan(&self.repository(), access).await
    }

    async fn digest(&self) -> Result<Digest, ScanError> {
        let registry = OciRegistry::with_limits(Egress::new(), limits());
        let tag: Tag = "1.0.0".parse().expect("a tag");
        registry.digest(&self.repository(), &tag, &nobody()).await
    }
}

/// Bounds that are quick to pass.
pub(super) fn limits() -> Limits {
    Limits {
        page_bytes: 1024 * 1024,
        tags: 10_000,
        pages: 40,
        manifest_bytes: 1024,
        ..Limits::default()
    }
}

pub(super) fn nobody() -> Access {
    access(Keychain::default())
}

pub(super) fn tags(tags: &[&str]) -> Response {
    serde_json::json!({"tags": tags})
        .to_string()
        .into_response()
}

fn linked(page: &[&str], link: &str) -> Response {
    let link = format!(r#"<{link}>; rel="next""#);
    (AppendHeaders([("link", link)]), tags(page)).into_response()
}

/// Scans a server that answers so, and expects an error with this text after so many requests.
async fn check(
    answer: impl Fn(Asked) -> Response + Clone + Send + Sync + 'static,
    expected: &str,
    requests: usize,
) {
    let evil = Evil::start(answer).await;
    let error = evil.scan(&nobody()).await.expect_err(expected);
    let story = story(&error);
    assert!(story.contains(expected), "{story}");
    assert!(
        story.len() < 2000 && !story.contains('\n'),
        "one line: {story}"
    );
    assert_eq!(evil.requests(), requests, "{expected}");
}

#[tokio::test]
async fn paging_that_leads_nowhere_ends() {
    let list = "/v2/acme/web/tags/list";
    check(
        move |asked| linked(&["a"], &format!("{list}?{}", asked.query)),
        "in circles",
        1,
    )
    .await;
    check(
        move |_| linked(&["a"], &format!("{list}?page=2")),
        "in circles",
        2,
    )
    .await;
    check(
        move |asked| {
            linked(
                &[&format!("t{}", asked.number)],
                &format!("{list}?p={}", asked.number % 2),
            )
        },
        "in circles",
        3,
    )
    .await;
    check(
        move |asked| match asked.number {
            0 => linked(&["b"], &format!("{list}?last=b")),
            1 => linked(&["c"], &format!("{list}?last=b&again")),
            _ => tags(&[]),
        },
        "in circles",
        2,
    )
    .await;
    check(
        move |asked| {
            linked(
                &[&format!("t{}", asked.number)],
                &format!("{list}?p={}", asked.number),
            )
        },
        "passes the limit of 40 pages",
        41,
    )
    .await;
    check(
        move |asked| linked(&[], &format!("{list}?p={}", asked.number)),
        "passes the limit of 40 pages",
        41,
    )
    .await;
}

#[tokio::test]
async fn a_link_out_of_the_repository_is_not_followed() {
    let check = async |link: &'static str| {
        let foreign = Evil::start(|_| tags(&["stolen"])).await;
        let elsewhere = foreign.address;
        let answer = move |asked: Asked| {
            let link = link.replace("FOREIGN", &elsewhere.to_string());
            linked(&["a"], &link.replace("HERE", &asked.host))
        };
        check(answer, "which is outside of it", 1).await;
        assert_eq!(foreign.requests(), 0, "{link}");
    };
    check("http://FOREIGN/v2/acme/web/tags/list?last=a").await;
    check("//FOREIGN/v2/acme/web/tags/list?last=a").await;
    check("https://HERE/v2/acme/web/tags/list?last=a").await;
    check("/v2/acme/other/tags/list?last=a").await;
    check("../../../secret/tags/list?last=a").await;
}

#[tokio::test]
async fn what_is_no_list_of_tags_is_an_error() {
    let check = async |body: &'static [u8], expected: &str| {
        check(move |_| body.into_response(), expected, 1).await;
    };
    check(b"<html><title>502</title></html>", "it is no list of tags").await;
    check(b"\x00\xff\x1b[31m", "it is no list of tags").await;
    check(br#"{"tags":["a","b"#, "page 1 ends in the middle").await;
    check(b"", "page 1 ends in the middle").await;
    check(br#"{"errors":[]}"#, "missing field `tags`").await;
    check(br#"{"tags":["a",7]}"#, "invalid type").await;
    let nested: &'static [u8] =
        Vec::leak(format!("{{\"tags\":{}", "[".repeat(100_000)).into_bytes());
    check(nested, "it is no list of tags").await;
}

#[tokio::test]
async fn an_answer_has_bounds() {
    let many = serde_json::json!({"tags": vec!["a"; 10_001]}).to_string();
    check(
        move |_| many.clone().into_response(),
        "passes the limit of 10000 tags",
        1,
    )
    .await;
    let long = " ".repeat(1024 * 1024 + 1);
    check(
        move |_| long.clone().into_response(),
        "passes the limit of 1048576 bytes",
        1,
    )
    .await;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    bomb.write_all(&vec![b' '; 4 * 1024 * 1024])
        .expect("written to memory");
    let bomb = Bytes::from(bomb.finish().expect("written to memory"));
    assert!(bomb.len() < 64 * 1024, "it is small on the wire");
    check(
        move |_| ([("content-encoding", "gzip")], bomb.clone()).into_response(),
        "passes the limit of 1048576 bytes",
        1,
    )
    .await;
    check(
        |_| ([("content-encoding", "br")], tags(&["a"]).into_body()).into_response(),
        "its encoding is `br`",
        1,
    )
    .await;
}

#[tokio::test]
async fn a_listing_that_breaks_off_is_tried_again_and_then_an_error() {
    let cut = |_| {
        let parts = [
            Ok(Bytes::from(r#"{"tags":["a","#)),
            Err(io::Error::other("cut")),
        ];
        Body::from_stream(stream::iter(parts)).into_response()
    };
    check(cut, "cannot reach", 3).await;
    check(
        |asked| match asked.number {
            0 => linked(&["a"], "?last=a"),
            _ => StatusCode::BAD_GATEWAY.into_response(),
        },
        "answered 502 for",
        4,
    )
    .await;
}

#[tokio::test]
async fn who_drips_or_is_silent_runs_out_of_time() {
    let hurried = Access {
        timeout: Duration::from_millis(300),
        ..nobody()
    };
    let drip = Evil::start(|_| {
        let one = Ok::<_, Infallible>(Bytes::from("{"));
        let parts = stream::unfold(Some(one), |part| async move {
            match part {
                Some(part) => Some((part, None)),
                None => std::future::pending().await,
            }
        });
        Body::from_stream(parts).into_response()
    });
    let error = drip.await.scan(&hurried).await.expect_err("it never ends");
    assert!(
        matches!(error, ScanError::Timeout { .. }),
        "{}",
        story(&error)
    );
    assert_eq!(error.class(), Class::Transient);

    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("a bound port has an address");
    let silent: Repository = format!("{address}/web").parse().expect("a repository");
    let registry = OciRegistry::new(Egress::new());
    let error = registry
        .scan(&silent, &hurried)
        .await
        .expect_err("it says nothing");
    assert_eq!(error.class(), Class::Transient, "{}", story(&error));
}

#[tokio::test]
async fn a_wish_to_wait_is_granted_up_to_the_deadline() {
    let limited = |wait: &'static str| {
        move |_| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", wait)]).into_response()
    };
    check(limited("3600"), "asked us to wait until", 1).await;
    check(
        limited("Fri, 31 Dec 2100 23:59:59 GMT"),
        "until 2100-12-31T23:59:59Z",
        1,
    )
    .await;
    check(limited("0"), "asked us to wait", 3).await;
    let evil = Evil::start(limited("3600")).await;
    let error = evil.scan(&nobody()).await.expect_err("an hour is too long");
    assert_eq!(error.class(), Class::Transient);
    let hint = error.hint().expect("there is something to do");
    assert_eq!(hint, "log in; anonymous calls have a smaller allowance");
}

/// A registry that names the token service at `realm`, where `HERE` is itself.
fn challenging(realm: String) -> impl Fn(Asked) -> Response + Clone + Send + Sync + 'static {
    move |asked: Asked| {
        if asked.path == "/token" {
            return r#"{"token": "t"}"#.into_response();
        }
        if asked.authorization.as_deref() == Some("Bearer t") {
            return tags(&["a"]);
        }
        let realm = realm.replace("HERE", &asked.host);
        let challenge = format!(r#"Bearer realm="{realm}",service="x""#);
        (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response()
    }
}

#[tokio::test]
async fn a_credential_goes_to_no_token_service_that_the_user_did_not_name() {
    let foreign = Evil::start(|_| r#"{"token": "t"}"#.into_response()).await;
    let realm = format!("http://{}/token", foreign.address);
    let evil = Evil::start(challenging(realm)).await;
    let host = evil.address.to_string();
    let user = access(keychain(&host, "bot", "canary"));

    let error = evil.scan(&user).await.expect_err("the realm is foreign");

    let is_right = matches!(error, ScanError::RealmNotAllowed { .. });
    assert!(is_right, "{}", story(&error));
    let hint = error.hint().expect("there is something to do");
    let advice = format!("`tagwright.dev/token-realms: {}`", foreign.address);
    assert!(hint.contains(&advice), "{hint}");
    assert_eq!(foreign.requests(), 0);

    let config = serde_json::json!({"auths": {host: {"username": "bot", "password": "canary"}}});
    let realm = foreign.address.to_string().parse().expect("an authority");
    let allowed = Keychain::from_docker_config(config.to_string().as_bytes(), &[realm]);
    let user = access(allowed.expect("a keychain"));
    evil.scan(&user)
        .await
        .expect("the user vouches for the realm");
    assert_eq!(foreign.requests(), 1);
}

#[tokio::test]
async fn a_token_service_may_be_as_bad_as_a_registry() {
    let check_realm = async |realm: &str, expected: &str, requests| {
        check(challenging(realm.to_owned()), expected, requests).await;
    };
    check_realm("ftp://HERE/token", "it is no plain http address", 1).await;
    check_realm(
        "http://u:canary@HERE/token",
        "it is no plain http address",
        1,
    )
    .await;
    check_realm("/token", "it is no plain http address", 1).await;
    check_realm("http://HERE/v2/other", "does not let us read", 2).await;

    let check_reply = async |reply: String, expected: &str| {
        let challenging = challenging("http://HERE/token".to_owned());
        let answer = move |asked: Asked| match asked.path.as_str() {
            "/token" => reply.clone().into_response(),
            _ => challenging(asked),
        };
        check(answer, expected, 2).await;
    };
    let huge = format!(r#"{{"token": "{}"}}"#, "t".repeat(64 * 1024));
    check_reply(huge, "passes the limit of 65536 bytes").await;
    check_reply("<html>".to_owned(), "the token reply is no JSON").await;
    check_reply("{}".to_owned(), "the token reply holds no token").await;
    check_reply(
        r#"{"token": "a\nb"}"#.to_owned(),
        "that no header can carry",
    )
    .await;
    let answer = challenging("http://HERE/token".to_owned());
    let endless = move |asked: Asked| match asked.path.as_str() {
        "/token" => r#"{"token": "never enough"}"#.replace(' ', "").into_response(),
        _ => answer(asked),
    };
    check(endless, "does not let us read `", 5).await;
}

#[tokio::test]
async fn a_secret_that_is_echoed_is_not_repeated() {
    let evil = Evil::start(|asked| {
        let said = format!("no: {}", asked.authorization.unwrap_or_default());
        let challenge = [("www-authenticate", "Basic realm=x")];
        (StatusCode::UNAUTHORIZED, challenge, said).into_response()
    });
    let evil = evil.await;
    let user = access(keychain(&evil.address.to_string(), "bot", "canary-4711"));
    let error = evil.scan(&user).await.expect_err("nobody is let in");
    let text = format!("{}{error:?}", story(&error));
    assert!(!text.contains("Basic "), "{text}");
    assert!(text.contains("with the credential for"), "{text}");
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_same_server_only() {
    let to = |target: &'static str| {
        move |asked: Asked| {
            let target = target.replace("HERE", &asked.host);
            (StatusCode::TEMPORARY_REDIRECT, [("location", target)]).into_response()
        }
    };
    check(to("/v2/acme/web/tags/list"), "which is not followed", 4).await;
    check(to("http://localhost:1/v2/"), "redirects to", 1).await;
    check(to("https://HERE/v2/"), "redirects to", 1).await;
    let once = Evil::start(move |asked: Asked| match asked.number {
        0 => to("/elsewhere")(asked),
        _ => tags(&["a"]),
    });
    assert!(once.await.scan(&nobody()).await.is_ok());
}

#[tokio::test]
async fn a_path_that_means_another_repository_is_not_asked_for() {
    let evil = Evil::start(|_| tags(&["a"])).await;
    let registry = OciRegistry::new(Egress::new());
    let path = format!("{}/acme/../secret/web", evil.address);
    let error = registry
        .scan(&path.parse().expect("the grammar allows it"), &nobody())
        .await;
    let error = error.expect_err("it means another repository");
    assert!(
        story(&error).contains("means another place"),
        "{}",
        story(&error)
    );
    let dots = "..".parse().expect("the grammar allows it");
    let error = registry.digest(&evil.repository(), &dots, &nobody()).await;
    assert!(error.is_err());
    assert_eq!(evil.requests(), 0);
}

async fn check_digest(
    answer: impl Fn(Asked) -> Response + Clone + Send + Sync + 'static,
    expected: Result<&str, &str>,
) {
    let evil = Evil::start(answer).await;
    let found = evil.digest().await;
    let found = found
        .map(|it| it.to_string())
        .map_err(|error| story(&error));
    match (&found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
        (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

#[tokio::test]
async fn a_digest_is_announced_or_computed_and_never_contradicted() {
    let of_hello = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let announcing = |digest: &'static str, body: &'static str| {
        move |asked: Asked| match asked.method.as_str() {
            "HEAD" => StatusCode::OK.into_response(),
            _ => ([("docker-content-digest", digest)], body).into_response(),
        }
    };
    check_digest(|_| "hello".into_response(), Ok(of_hello)).await;
    check_digest(announcing(of_hello, "hello"), Ok(of_hello)).await;
    check_digest(announcing(other, "hello"), Err("was announced as")).await;
    check_digest(
        |asked| match asked.method.as_str() {
            "HEAD" => StatusCode::METHOD_NOT_ALLOWED.into_response(),
            _ => "hello".into_response(),
        },
        Ok(of_hello),
    )
    .await;
    let head = |digest: &'static str| move |_| [("docker-content-digest", digest)].into_response();
    check_digest(head(other), Ok(other)).await;
    check_digest(
        head("sha256:../../x"),
        Err("its digest is `sha256:../../x`"),
    )
    .await;
    check_digest(head("md5:00"), Err("its digest is `md5:00`")).await;
    check_digest(
        |_| "x".repeat(1025).into_response(),
        Err("passes the limit of 1024 bytes"),
    )
    .await;
    check_digest(
        |_| StatusCode::NOT_FOUND.into_response(),
        Err("was not found"),
    )
    .await;
}
