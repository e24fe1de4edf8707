//! Who signed an image: every way to be unsigned, wrongly signed or unreachable, and what a policy
//! makes of it.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tagwright::{
    egress::Egress,
    fixture::FixtureRegistry,
    pipeline::{Place, choose},
    policy::{Order, Policy, Signing, Situation, Verdict, explain_in},
    scan::{OciRegistry, Registry as _, TrustedKeys},
};

use super::{
    evil::{Asked, Evil, nobody},
    serve,
};
use crate::support::conformance::{fixture, story};

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The manifest of a tag.
fn manifest(version: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"{}"}},"layers":[],"annotations":{{"v":"{version}"}}}}"#,
        digest("{}")
    )
}

fn digest(body: &str) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(body) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A key that signs as cosign does.
struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
        Self(pair.expect("a key"))
    }

    fn trusted(&self) -> TrustedKeys {
        let der = self.0.public_key().as_der().expect("a public key");
        let text = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        let mut keys = TrustedKeys::default();
        keys.add("cosign.pub", pem.as_bytes()).expect("a key");
        keys
    }

    fn sign(&self, message: &str) -> String {
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes());
        STANDARD.encode(signature.expect("a signature").as_ref())
    }
}

/// What cosign signs of an image.
fn claim(image: &str) -> String {
    let critical = json!({"identity": {"docker-reference": ""}, "type": "cosign container image signature",
        "image": {"docker-manifest-digest": image}});
    json!({"critical": critical, "optional": null}).to_string()
}

/// A signature: what is signed, and the signature beside it.
#[derive(Clone)]
struct Signed {
    claim: String,
    signature: String,
    /// What the manifest says of its size.
    size: usize,
}

impl Signed {
    fn of(claim: String, signer: &Signer) -> Self {
        Self {
            signature: signer.sign(&claim),
            size: claim.len(),
            claim,
        }
    }
}

fn layers(signatures: &[Signed]) -> Value {
    let layers = signatures.iter().map(|it| {
        json!({"mediaType": PAYLOAD, "digest": digest(&it.claim), "size": it.size,
            "annotations": {"dev.cosignproject.cosign/signature": it.signature}})
    });
    layers.collect()
}

/// The answer for a signature's tag, its referrers or their content.
type Answer = Arc<dyn Fn(&Asked, &str) -> Option<Response> + Send + Sync>;

/// Signatures under the tag that is made of the digest.
fn tagged(signatures: Vec<Signed>) -> Answer {
    Arc::new(move |asked, image| {
        let tag = format!("/manifests/{}.sig", image.replace(':', "-"));
        if asked.path.ends_with(&tag) {
            let manifest = json!({"schemaVersion": 2, "layers": layers(&signatures)});
            return Some(manifest.to_string().into_response());
        }
        let mut claims = signatures.iter().map(|it| &it.claim);
        let claim = claims.find(|it| asked.path.ends_with(&format!("/blobs/{}", digest(it))))?;
        Some(claim.clone().into_response())
    })
}

/// Manifests that refer to the image: their artifact types, annotations and layers, whose contents
/// stand beside them.
fn referring(
    kind: &'static str,
    annotations: Value,
    layers: Value,
    contents: Vec<String>,
) -> Answer {
    Arc::new(move |asked, image| {
        let manifest = json!({"schemaVersion": 2, "layers": layers}).to_string();
        if asked.path.ends_with(&format!("/referrers/{image}")) {
            let entry = json!({"digest": digest(&manifest), "size": 7, "artifactType": kind,
                "annotations": annotations});
            return Some(json!({"manifests": [entry]}).to_string().into_response());
        }
        if asked.path.ends_with(&digest(&manifest)) {
            return Some(manifest.into_response());
        }
        let content = contents
            .iter()
            .find(|it| asked.path.ends_with(&digest(it)))?;
        Some(content.clone().into_response())
    })
}

fn failing(status: StatusCode, at: &'static str) -> Answer {
    Arc::new(move |asked, _| asked.path.contains(at).then(|| status.into_response()))
}

/// A registry of 1.0.0, which is signed well, and of 1.1.0, for whose signatures `newest` answers.
fn registry(
    good: Answer,
    newest: Answer,
) -> impl Fn(Asked) -> Response + Clone + Send + Sync + 'static {
    let images = ["1.0.0", "1.1.0"].map(manifest);
    move |asked: Asked| {
        if asked.path.ends_with("/tags/list") {
            return r#"{"tags":["1.0.0","1.1.0"]}"#.into_response();
        }
        for (tag, manifest) in ["1.0.0", "1.1.0"].iter().zip(&images) {
            if asked.path.ends_with(&format!("/manifests/{tag}")) {
                return (
                    [("docker-content-digest", digest(manifest))],
                    manifest.clone(),
                )
                    .into_response();
            }
        }
        let [old, new] = &images;
        let answer = newest(&asked, &digest(new)).or_else(|| good(&asked, &digest(old)));
        answer.unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
    }
}

/// What a policy chooses that wants signatures by the key of `signer`, and why 1.1.0 is not that.
async fn chosen(evil: &Evil, signer: &Signer) -> String {
    let (registry, repository) = (OciRegistry::new(Egress::new()), evil.repository());
    let access = nobody();
    let scan = registry.scan(&repository, &access).await;
    let scan = scan.unwrap_or_else(|error| panic!("{}", story(&error)));
    let mut policy = Policy::new(Order::semver("1.x").expect("a range"));
    policy.constraints.signing = Signing::Required;
    let keys = signer.trusted();
    let place = Place {
        repository: &repository,
        access: &access,
        keys: Some(&keys),
    };
    let nothing_in_git = BTreeSet::from([None]);
    let found = choose(&registry, place, &policy, &scan, &nothing_in_git).await;
    let (scan, _) = found.unwrap_or_else(|error| panic!("{}", story(&error)));
    let explanation = explain_in(&policy, &scan, Situation::of(&scan));
    let mut rejections = explanation.rejections.iter();
    let rejection = rejections.find(|it| it.tag.as_str() == "1.1.0");
    let why = rejection.map_or_else(String::new, |it| format!("; 1.1.0 {}", it.rule));
    let told = match explanation.verdict {
        Verdict::Selected(selection) => {
            // What was verified is what is written.
            let facts = scan.facts.get(&selection.tag).expect("it was looked at");
            let written = facts.digest.as_ref().expect("a digest").to_string();
            assert_eq!(written, digest(&manifest(selection.tag.as_str())));
            format!("{}{why}", selection.tag)
        }
        Verdict::Held { reason, .. } => format!("held: {reason}{why}"),
        Verdict::NothingMatched(_) => format!("nothing{why}"),
    };
    told.replace(&evil.address.to_string(), "HOST")
}

#[tokio::test]
async fn r40_what_is_not_verified_is_not_chosen_and_the_reason_is_given() {
    let (signer, other) = (&Signer::new(), Signer::new());
    let (old, new) = (digest(&manifest("1.0.0")), digest(&manifest("1.1.0")));
    let good = Signed::of(claim(&new), signer);
    let check = async |newest: Answer, expected: &str| {
        let of_old = tagged(vec![Signed::of(claim(&old), signer)]);
        let evil = Evil::start(registry(of_old, newest)).await;
        let found = chosen(&evil, signer).await;
        assert!(found.starts_with(expected), "{found}\n{expected}");
    };
    let none: Answer = Arc::new(|_, _| None);
    check(none, "1.0.0; 1.1.0 is not signed").await;
    check(tagged(vec![good.clone()]), "1.1.0").await;

    let stranger = "1.0.0; 1.1.0 is signed by none of the policy's keys";
    let others = Signed::of(claim(&new), &other);
    check(tagged(vec![others.clone()]), stranger).await;
    check(tagged(vec![others.clone(), good.clone()]), "1.1.0").await;
    let foreign = "1.0.0; 1.1.0 has the signature of another image";
    let of_old = Signed::of(claim(&old), signer);
    check(tagged(vec![of_old.clone()]), foreign).await;
    check(tagged(vec![of_old, others.clone()]), foreign).await;
    let unfit = "1.0.0; 1.1.0 has a signature that is none of an image";
    let kind = claim(&new).replace("container image", "blob");
    check(tagged(vec![Signed::of(kind, signer)]), unfit).await;
    check(tagged(vec![Signed::of("claim".into(), signer)]), unfit).await;

    let unread = "1.0.0; 1.1.0 has a signature that is not read";
    let with = |signature: &str, size: usize| Signed {
        signature: signature.to_owned(),
        size,
        ..good.clone()
    };
    let garbage = with("\u{1b}[2J garbage", 7);
    check(
        tagged(vec![garbage]),
        &format!("{unread}: it is not base64"),
    )
    .await;
    check(tagged(vec![with(&good.signature, 7)]), "1.1.0").await;
    // It says that it has a gigabyte, and is not asked for.
    let announced = with(&good.signature, 1 << 30);
    let limit = format!("{unread}: it has 1073741824 bytes, and 65536 is the limit");
    check(tagged(vec![announced.clone()]), &limit).await;
    check(tagged(vec![announced, good.clone()]), "1.1.0").await;
    // It says nothing of the kind, and is read no further than that.
    let long = claim(&new).replace("null", &format!("{:?}", "x".repeat(70_000)));
    let long = Signed {
        size: 7,
        ..Signed::of(long, signer)
    };
    let limit =
        format!("{unread}: the answer for `HOST/acme/web@{new}` passes the limit of 65536 bytes");
    check(tagged(vec![long]), &limit).await;
    let many = format!("{unread}: there are more than 32");
    check(tagged(vec![others.clone(); 40]), &many).await;
    let html: Answer = Arc::new(|asked, image| {
        let tag = format!("{}.sig", image.replace(':', "-"));
        asked.path.ends_with(&tag).then(|| "<html>".into_response())
    });
    check(html, &format!("{unread}: it is no manifest")).await;
    // What its digest names is something else.
    let swapped = good.claim.clone();
    let lying = tagged(vec![good.clone()]);
    let lying: Answer = Arc::new(move |asked, image| {
        if asked.path.ends_with(&digest(&swapped)) {
            return Some("{}".into_response());
        }
        lying(asked, image)
    });
    check(lying, unread).await;
}

#[tokio::test]
async fn r40_what_cannot_be_looked_at_now_is_held_and_replaced_by_nothing_older() {
    let signer = &Signer::new();
    let (old, new) = (digest(&manifest("1.0.0")), digest(&manifest("1.1.0")));
    let check = async |newest: Answer, expected: &str| {
        let of_old = tagged(vec![Signed::of(claim(&old), signer)]);
        let evil = Evil::start(registry(of_old, newest)).await;
        let found = chosen(&evil, signer).await;
        let expected = format!("held: whether 1.1.0 is signed could not be found out: {expected}");
        assert!(found.starts_with(&expected), "{found}\n{expected}");
    };
    let down = StatusCode::SERVICE_UNAVAILABLE;
    let of_new = format!("`HOST` answered 503 for `HOST/acme/web@{new}`");
    check(failing(down, ".sig"), &of_new).await;
    check(failing(down, "/referrers/"), &of_new).await;
    let good = tagged(vec![Signed::of(claim(&new), signer)]);
    let blobs = failing(down, "/blobs/");
    let half: Answer =
        Arc::new(move |asked, image| blobs(asked, image).or_else(|| good(asked, image)));
    check(half, &of_new).await;
    let denied = "`HOST` does not let us read";
    check(failing(StatusCode::FORBIDDEN, ".sig"), denied).await;
}

#[tokio::test]
async fn signatures_are_found_among_the_referrers_too() {
    let signer = &Signer::new();
    let (old, new) = (digest(&manifest("1.0.0")), digest(&manifest("1.1.0")));
    let check = async |newest: Answer, expected: &str| {
        let of_old = tagged(vec![Signed::of(claim(&old), signer)]);
        let evil = Evil::start(registry(of_old, newest)).await;
        let found = chosen(&evil, signer).await;
        assert!(found.starts_with(expected), "{found}\n{expected}");
    };
    let good = [Signed::of(claim(&new), signer)];
    let contents = vec![good[0].claim.clone()];
    let older = referring(ARTIFACT, json!({}), layers(&good), contents.clone());
    check(older, "1.1.0").await;
    let other = referring("application/spdx+json", json!({}), layers(&good), contents);
    check(other, "1.0.0; 1.1.0 is not signed").await;

    // As cosign 3 signs.
    let bundle = |about: &str| {
        let (_, hex) = new.split_once(':').expect("a digest");
        let statement = json!({"_type": "https://in-toto.io/Statement/v1", "predicate": {},
            "predicateType": about, "subject": [{"digest": {"sha256": hex}}]});
        let (statement, kind) = (statement.to_string(), "application/vnd.in-toto+json");
        let (length, of_kind) = (statement.len(), kind.len());
        let signature = signer.sign(&format!("DSSEv1 {of_kind} {kind} {length} {statement}"));
        let envelope = json!({"payload": STANDARD.encode(&statement), "payloadType": kind,
            "signatures": [{"sig": signature}]});
        json!({"mediaType": BUNDLE, "dsseEnvelope": envelope}).to_string()
    };
    let layer = |content: &str| json!([{"mediaType": BUNDLE, "digest": digest(content), "size": content.len()}]);
    let signing = "https://sigstore.dev/cosign/sign/v1";
    let annotations = json!({"dev.sigstore.bundle.predicateType": signing});
    let content = bundle(signing);
    let of = |kind, annotations: Value, content: &String| {
        referring(kind, annotations, layer(content), vec![content.clone()])
    };
    check(of(BUNDLE, annotations.clone(), &content), "1.1.0").await;
    check(of(BUNDLE, json!({}), &content), "1.1.0").await;
    // Some registries lose the type.
    check(
        of("application/vnd.oci.empty.v1+json", annotations, &content),
        "1.1.0",
    )
    .await;
    let provenance = "https://slsa.dev/provenance/v1";
    let content = bundle(provenance);
    let unfit = "1.0.0; 1.1.0 has a signature that is none of an image";
    check(of(BUNDLE, json!({}), &content), unfit).await;
    let annotations = json!({"dev.sigstore.bundle.predicateType": provenance});
    let none = "1.0.0; 1.1.0 is not signed";
    check(of(BUNDLE, annotations, &content), none).await;
}

#[tokio::test]
async fn a_signature_that_arrives_late_is_found_and_a_good_tag_ends_the_search() {
    let signer = &Signer::new();
    let (old, new) = (digest(&manifest("1.0.0")), digest(&manifest("1.1.0")));
    let of_new = tagged(vec![Signed::of(claim(&new), signer)]);
    let arrived = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let late = Arc::clone(&arrived);
    let newest: Answer = Arc::new(move |asked, image| {
        let is_there = late.load(std::sync::atomic::Ordering::Relaxed);
        is_there.then(|| of_new(asked, image))?
    });
    let of_old = tagged(vec![Signed::of(claim(&old), signer)]);
    let evil = Evil::start(registry(of_old, newest)).await;
    let found = chosen(&evil, signer).await;
    assert_eq!(found, "1.0.0; 1.1.0 is not signed");
    arrived.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(chosen(&evil, signer).await, "1.1.0");
}

#[tokio::test]
async fn a_simulated_registry_says_of_signatures_what_a_real_one_does() {
    let mut keys = TrustedKeys::default();
    let pem = include_bytes!("../../../examples/signatures/cosign.pub");
    keys.add("cosign.pub", pem).expect("the key of the example");
    let (_server, subject) = serve("signed").await;
    let memory = FixtureRegistry::new(fixture("signed"));
    let (served, simulated) = (subject.repository("web"), "registry.test/web");
    let simulated = simulated.parse().expect("a repository");
    let check = async |tag: &str, expected: &str| {
        let tag = tag.parse().expect("a tag");
        let access = subject.access();
        let image = memory.digest(&simulated, &tag, &access).await;
        let image = image.unwrap_or_else(|error| panic!("{tag}: {}", story(&error)));
        let found = memory.signature(&simulated, &image, &keys, &access).await;
        let found = found.unwrap_or_else(|error| panic!("{tag}: {}", story(&error)));
        assert_eq!(found.to_string(), expected, "{tag}");
        let over_http = subject.registry.signature(&served, &image, &keys, &access);
        let over_http = over_http.await;
        let over_http = over_http.unwrap_or_else(|error| panic!("{tag}: {}", story(&error)));
        assert_eq!(over_http, found, "{tag}");
    };
    check("1.0.0", "is signed by `cosign.pub`").await;
    check("1.1.0", "is signed by `cosign.pub`").await;
    check("1.2.0", "is signed by none of the policy's keys").await;
    check("1.3.0", "is not signed").await;
    check("1.4.0", "has the signature of another image").await;
}
