//! What refers to an image, from registries that have the API, and from those that do not.

use axum::{
    http::StatusCode,
    response::{AppendHeaders, IntoResponse, Response},
};
use tagwright::{egress::Egress, image::Digest, scan::OciRegistry};

use super::evil::{Asked, Evil, nobody};
use crate::support::conformance::story;

const HEX: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const SIGNATURE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";

/// An index of manifests, numbered.
fn index(numbers: &[u8]) -> Response {
    let entries = numbers.iter().map(|number| {
        serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7,
            "digest": format!("sha256:{number:064x}"), "artifactType": SIGNATURE,
            "annotations": {"n": number.to_string()},
        })
    });
    let entries = entries.collect::<Vec<_>>();
    let body = serde_json::json!({"schemaVersion": 2, "manifests": entries});
    body.to_string().into_response()
}

/// Asks for referrers; gives their numbers or the error, and what was asked.
async fn check(
    answer: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static,
    expected: &str,
    requests: usize,
) {
    let evil = Evil::start(move |asked: Asked| answer(&asked)).await;
    let digest: Digest = format!("sha256:{HEX}").parse().expect("a digest");
    let registry = OciRegistry::new(Egress::new());
    let found = registry
        .referrers(&evil.repository(), &digest, &nobody())
        .await;
    let found = match found {
        Ok(referrers) => {
            assert!(
                referrers
                    .iter()
                    .all(|it| it.artifact_type == SIGNATURE && it.size == 7)
            );
            let numbers = referrers.iter().filter_map(|it| it.annotations.get("n"));
            numbers.cloned().collect::<Vec<_>>().join(" ")
        }
        Err(error) => story(&error).replace(&evil.address.to_string(), "HOST"),
    };
    assert!(
        found.starts_with(expected) && found.is_empty() == expected.is_empty(),
        "{found}"
    );
    assert_eq!(evil.requests(), requests, "{expected}");
}

fn is_api(asked: &Asked) -> bool {
    asked.path == format!("/v2/acme/web/referrers/sha256:{HEX}")
}

fn is_tag(asked: &Asked) -> bool {
    asked.path == format!("/v2/acme/web/manifests/sha256-{HEX}")
}

#[tokio::test]
async fn referrers_are_read_page_by_page_or_from_the_tag_that_stands_for_them() {
    let missing = || StatusCode::NOT_FOUND.into_response();
    check(
        move |asked| {
            if is_api(asked) {
                index(&[1, 2])
            } else {
                missing()
            }
        },
        "1 2",
        1,
    )
    .await;
    check(
        |asked| match asked.query.as_str() {
            "" => (
                AppendHeaders([("link", "<?page=2>; rel=\"next\"")]),
                index(&[1]),
            )
                .into_response(),
            _ => index(&[1, 2]),
        },
        "1 2",
        2,
    )
    .await;
    check(
        move |asked| {
            if is_tag(asked) {
                index(&[3])
            } else {
                missing()
            }
        },
        "3",
        2,
    )
    .await;
    check(move |_| missing(), "", 2).await;
    check(
        |asked| {
            if is_api(asked) {
                return StatusCode::METHOD_NOT_ALLOWED.into_response();
            }
            index(&[])
        },
        "",
        2,
    )
    .await;
}

#[tokio::test]
async fn a_list_of_referrers_leads_nowhere_else_and_ends() {
    let linked = |link: &'static str| {
        move |_: &Asked| (AppendHeaders([("link", link)]), index(&[1])).into_response()
    };
    let elsewhere = "<https://evil.test/v2/acme/web/referrers/x>; rel=\"next\"";
    check(
        linked(elsewhere),
        "the listing of `HOST/acme/web` goes on at",
        1,
    )
    .await;
    check(
        linked("</v2/other/referrers/x>"),
        "the listing of `HOST/acme/web` goes on at",
        1,
    )
    .await;
    check(
        linked("<?page=2>"),
        "the listing of `HOST/acme/web` goes in circles",
        2,
    )
    .await;
    check(
        |_| "{\"manifests\": 1}".into_response(),
        "the answer of `HOST` for",
        1,
    )
    .await;
    check(
        |_| r#"{"manifests": [{"digest": "sha256:../x"}]}"#.into_response(),
        "the answer of `HOST` for",
        1,
    )
    .await;
}
