//! What openssl signed, and what a key of the day signs, against every way to be wrong.

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const P256: &str = "\
    -----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEFN4jah6ZhyBL+lg0wGyyvVfjcUrl\n\
    1VXWjTzTMn69cbzQb5W33S4zQH7JsAmBQo5VLqvVH+O55E4BkvE1Jys7QA==\n\
    -----END PUBLIC KEY-----";
const OTHER: &str = "\
    -----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMSGNO+6zjg+f7Al3r7G2C+Du6xKn\n\
    nuIqRwftsYokMGcrewEH41H9FbMoSF77riVwN9QbswQ6kqDWzJiMncv2sw==\n\
    -----END PUBLIC KEY-----";
const P384: &str = "\
    -----BEGIN PUBLIC KEY-----\n\
    MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEjrT3CWUjb/RA4LBfCtne0y56a1+CENFJ\n\
    v9vCRZyZgFfUX7VpxEOMporrqiiXeCAzUn612ZHtiWWyj/dED78o6hG11+vZgaJo\n\
    lEFhLdepZzWPHtTS8aGn2CRxkVeoz2uw\n\
    -----END PUBLIC KEY-----";
const P521: &str = "\
    -----BEGIN PUBLIC KEY-----\n\
    MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQB7VLXclC9ebYCMSr7pPL+N4WmlqIT\n\
    gc0AtbNMRGdpMlDULgQhEE/Qvw+RW8Dotkg15ZykEuySwQ/LS42scuCnLyIAGZ5Y\n\
    Bnlwy3XkK9bhiKBpn1c82BmkjWIOaliS3+UJAWTNJxtyfvaXjCAtt6p3DTomiTF4\n\
    8FUTvoO0aQPlzpa+KLE=\n\
    -----END PUBLIC KEY-----";
const ED25519_KEY: &str = "\
    -----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAZRG3kYsOd/jipS6FQxl8lpoFXQJaZfgx9GicBlqXN94=\n\
    -----END PUBLIC KEY-----";
const RSA: &str = "\
    -----BEGIN PUBLIC KEY-----\n\
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAp/arEqtpuCxGbzkrm9lB\n\
    a4TutmhoUBELG5Ppx3+ds87o38y4lVLqTP8KFPcE6KUSfGzYVy60+J4/JDZmcfel\n\
    HCB6SijIXs6Z86dps12LTFAfhv+3x9nO1ugzcdAeVmt2pSQtV5dkRNkbO/ZULIcA\n\
    P5y4cqBee1pxIa1HV3db4zFIOXpB+ii7KMgdq/L/khH26/ReAZkhrqOa2LkdjPpq\n\
    26arwejpn6h7R1T3G2LmC5FSc4xwWO5gZ15B6KW1U7/1XjDZ36Aihl9a+VmALhm2\n\
    BWJ+hLYlc1wGojVq+IM85AyruBtDSxBbZcLBsk1Dp2d3DzVlOD8Ax6hREJZmEl2g\n\
    wwIDAQAB\n\
    -----END PUBLIC KEY-----";
const SHORT_RSA: &str = "\
    -----BEGIN PUBLIC KEY-----\n\
    MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC/wqyIeBc7SshxDmM8//l+t58B\n\
    i8BVV9pDr6eigtE6I6KgJL5hzXaOUVZ8oGPdltw1UIdOSpaDWX8cgEBP8avJ6F0+\n\
    DCEtC+vwUUypwh2FTqZ7doZVbcTZu0PE8D76F3lRbjf49nHdRyR6aCYGPpjFsobm\n\
    L2Ih1ke8HF24GU2+bwIDAQAB\n\
    -----END PUBLIC KEY-----";

/// What cosign 2 has signed of the image with the digest [`image`].
const CLAIM: &str = r#"{"critical":{"identity":{"docker-reference":"registry.test/web"},"image":{"docker-manifest-digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"type":"cosign container image signature"},"optional":null}"#;
/// What cosign 3 has signed of it.
const CLAIM_3: &str = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}"#;

const BY_P256: &str = "\
    MEYCIQCvUmInvS+prZhBinC6oej3XoIc3glNiq0JgtVPVDLXSwIhAKedezaXGIxcxbOUsIHlqDYpDeB9Qg1gJYsrr2I1\
    gun8";
const BY_P384: &str = "\
    MGYCMQDrZ8BxIFEfddG5Xf6o9nt/gwGjXJ6nCm2atYgMb3L6TzSRMmQ8dSebZMscFNbvu9ICMQDCZSRNoaaj5mTi/F+4\
    3pcssnSqZMB0uxWT6jx7Jx13zjFOHUKLrXqvyaan2j6b7I0=";
const BY_P384_SHA384: &str = "\
    MGUCMQCBa49usxcIOGPRrKPr9/KrYSxLq626hDEYkZtjkdqOE7BEcIGocn9pRkuCglGGR/8CMGV5MKe2nPxlXEMpuTd+\
    iyBfY4NUAMyPURkeq5g/3EkoBFO4AsKSgIOMYespNUgnuw==";
const BY_ED25519: &str =
    "dU4cK4cAn8HMgZNbFsfaKcfDa/muqKOZIGg/PzL42TKxoTUiEyKGkOKPat7x2g0w3HIMut6NYoM0lwuJkhYSAg==";
const BY_RSA: &str = "\
    LkLc+px7Aw4Of1I2TR29QiXPtL1vg+CMrdzAo5k7g6bmRwhiwbMnibl/fNj/8NCG9BFdl4yma8IGazaJpMxzCMytQ9dU\
    E1+Q5ivJeQdffPDxJPUqVAKiPfhg8HSUJpPmunWpzq0liwqbJKKABRDlg99hvhiZ4HCqzKtVKCF2kwpw/On9a33DF33O\
    bYfXiaJIhzL+xveDEXijtZizkDXzc9Yy8ouJWxq+eTQqHFEjU+nx6BJXubG69Dq5Ro2zjVV7WLkCXoRzVdfKL8vDiSAl\
    1cAEKYVbMZa4oO3m1SWXDN38CVyqA5GnoiSuV4GWmTRLsoiBrFXlZzigzrg8yR6yqQ==";
const BUNDLE_BY_P256: &str = "\
    MEQCIFpFxaleVkcEnIFqm22Kplk3HhgAak9gSznpN40zBFuIAiAVNM2Iqe/ZmFdBRVDnizsMO4CQ/tvQTO4CHkhy20xy\
    +g==";

fn image() -> Digest {
    format!("sha256:{}", "a".repeat(64))
        .parse()
        .expect("a digest")
}

fn keys(keys: &[(&str, &str)]) -> TrustedKeys {
    let mut trusted = TrustedKeys::default();
    for (name, pem) in keys {
        let added = trusted.add(name, pem.as_bytes());
        added.unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
    trusted
}

/// A layer as a manifest describes it, with the signature beside it where it has one.
fn layer(media_type: &str, signature: Option<&str>) -> Layer {
    let mut layer = json!({"mediaType": media_type, "digest": image().as_str(), "size": 7});
    if let Some(signature) = signature {
        layer["annotations"] = json!({SIGNATURE: signature});
    }
    let manifest = json!({"schemaVersion": 2, "layers": [layer]}).to_string();
    let mut layers = layers(manifest.as_bytes()).expect("a manifest");
    layers.pop().expect("a layer that holds a signature")
}

fn bundle_of(kind: &str, statement: &str, signature: &str) -> String {
    let envelope = json!({"payload": STANDARD.encode(statement), "payloadType": kind,
        "signatures": [{"sig": signature, "keyid": ""}]});
    json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "x"}}, "dsseEnvelope": envelope})
    .to_string()
}

const BUNDLE_V3: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

#[test]
fn what_openssl_signed_is_verified() {
    let check = |pem: &str, signature: &str| {
        let trusted = keys(&[("other.pub", OTHER), ("cosign.pub", pem)]);
        let found = layer(PAYLOAD, Some(signature)).judge(CLAIM.as_bytes(), &image(), &trusted);
        assert_eq!(found, Signature::By("cosign.pub".to_owned()), "{signature}");
        let changed = CLAIM.replace("registry.test", "registry.tesT");
        let found = layer(PAYLOAD, Some(signature)).judge(changed.as_bytes(), &image(), &trusted);
        assert_eq!(found, Signature::Stranger, "{signature}");
        let others = keys(&[("other.pub", OTHER)]);
        let found = layer(PAYLOAD, Some(signature)).judge(CLAIM.as_bytes(), &image(), &others);
        assert_eq!(found, Signature::Stranger, "{signature}");
    };
    check(P256, BY_P256);
    check(P384, BY_P384);
    check(P384, BY_P384_SHA384);
    check(ED25519_KEY, BY_ED25519);
    check(RSA, BY_RSA);
    let bundle = bundle_of(STATEMENT, CLAIM_3, BUNDLE_BY_P256);
    let trusted = keys(&[("other.pub", OTHER), ("cosign.pub", P256)]);
    let found = layer(BUNDLE_V3, None).judge(bundle.as_bytes(), &image(), &trusted);
    assert_eq!(found, Signature::By("cosign.pub".to_owned()));
}

#[test]
fn a_key_is_one_public_key_of_a_kind_that_is_strong() {
    let check = |pem: &str, expected: Result<(), KeyFault>| {
        let found = TrustedKeys::default().add("cosign.pub", pem.as_bytes());
        assert_eq!(found, expected, "{pem}");
    };
    for pem in [P256, P384, ED25519_KEY, RSA] {
        check(pem, Ok(()));
        check(&format!("a comment\n{pem}\n"), Ok(()));
    }
    check(P521, Err(KeyFault::Unsupported));
    check(SHORT_RSA, Err(KeyFault::Unsupported));
    check("", Err(KeyFault::NoKey));
    check("cosign.pub", Err(KeyFault::NoKey));
    check(&P256.replace("PUBLIC", "PRIVATE"), Err(KeyFault::NoKey));
    check(&P256.replace("MFkw", "M?kw"), Err(KeyFault::NoKey));
    check(&P256.replace("MFkw", "MFkx"), Err(KeyFault::Unsupported));
    check(&format!("{P256}\n{ED25519_KEY}"), Err(KeyFault::Several));
    let mut many = TrustedKeys::default();
    for number in 0..MAX_KEYS {
        let added = many.add(&format!("{number}.pub"), P256.as_bytes());
        assert_eq!(added, Ok(()), "{number}");
    }
    assert_eq!(
        many.add("more.pub", P256.as_bytes()),
        Err(KeyFault::TooMany)
    );
}

/// A key that can sign what a test wants signed.
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
        keys(&[("other.pub", OTHER), ("cosign.pub", &pem)])
    }

    fn sign(&self, message: &[u8]) -> String {
        let signature = self.0.sign(&SystemRandom::new(), message);
        STANDARD.encode(signature.expect("a signature").as_ref())
    }
}

#[test]
fn r40_what_was_signed_is_this_image_and_nothing_else() {
    let signer = Signer::new();
    let check = |claim: &str, expected: Signature| {
        let layer = layer(PAYLOAD, Some(&signer.sign(claim.as_bytes())));
        let found = layer.judge(claim.as_bytes(), &image(), &signer.trusted());
        assert_eq!(found, expected, "{claim}");
    };
    let other = format!("sha256:{}", "b".repeat(64));
    check(CLAIM, Signature::By("cosign.pub".to_owned()));
    check(&CLAIM.replace(image().as_str(), &other), Signature::Foreign);
    check(&CLAIM.replace(image().as_str(), ""), Signature::Foreign);
    check(
        &CLAIM.replace("cosign container", "atomic container"),
        Signature::Unfit,
    );
    check(
        &CLAIM.replace("docker-manifest-digest", "digest"),
        Signature::Unfit,
    );
    let twice = CLAIM.replacen(
        "{\"docker-m",
        &format!("{{\"docker-manifest-digest\":\"{other}\",\"docker-m"),
        1,
    );
    check(&twice, Signature::Unfit);
    check("", Signature::Unfit);
    check("[]", Signature::Unfit);
}

#[test]
fn r40_a_signature_that_is_none_counts_for_nothing() {
    let trusted = keys(&[("cosign.pub", P256)]);
    let check = |signature: Option<&str>, expected: Signature| {
        let found = layer(PAYLOAD, signature).judge(CLAIM.as_bytes(), &image(), &trusted);
        assert_eq!(found, expected, "{signature:?}");
    };
    check(Some(BY_P256), Signature::By("cosign.pub".to_owned()));
    check(
        Some(&format!("{BY_P256}\n")),
        Signature::By("cosign.pub".to_owned()),
    );
    check(Some(BY_P384), Signature::Stranger);
    check(Some(BY_RSA), Signature::Stranger);
    check(Some(""), Signature::Stranger);
    check(Some("AAAA"), Signature::Stranger);
    check(Some("garbage"), unreadable("it is not base64"));
    check(None, unreadable("it has no signature beside its payload"));
}

#[test]
fn r40_a_bundle_is_a_statement_that_this_image_is_signed() {
    let signer = Signer::new();
    let check = |kind: &str, statement: &str, expected: Signature| {
        let signature = signer.sign(&envelope_message(kind, statement.as_bytes()));
        let bundle = bundle_of(kind, statement, &signature);
        let found = layer(BUNDLE_V3, None).judge(bundle.as_bytes(), &image(), &signer.trusted());
        assert_eq!(found, expected, "{kind} {statement}");
    };
    check(STATEMENT, CLAIM_3, Signature::By("cosign.pub".to_owned()));
    let other = CLAIM_3.replace(&"a".repeat(64), &"b".repeat(64));
    check(STATEMENT, &other, Signature::Foreign);
    check(
        STATEMENT,
        &CLAIM_3.replace("sha256", "sha512"),
        Signature::Foreign,
    );
    let provenance = CLAIM_3.replace(SIGNING, "https://slsa.dev/provenance/v1");
    check(STATEMENT, &provenance, Signature::Unfit);
    check("text/plain", CLAIM_3, Signature::Unfit);
    check(STATEMENT, "{}", Signature::Unfit);

    let raw = |content: &str, expected: Signature| {
        let found = layer(BUNDLE_V3, None).judge(content.as_bytes(), &image(), &signer.trusted());
        assert_eq!(found, expected, "{content}");
    };
    raw("", unreadable("it is no bundle"));
    raw("{}", unreadable("its bundle has no envelope"));
    // What is signed is the statement in its envelope, not the statement.
    let bare = bundle_of(STATEMENT, CLAIM_3, &signer.sign(CLAIM_3.as_bytes()));
    raw(&bare, Signature::Stranger);
    raw(&bundle_of(STATEMENT, CLAIM_3, "?"), Signature::Stranger);
}

#[test]
fn only_layers_that_hold_signatures_are_looked_at() {
    let check = |manifest: &str, expected: Result<usize, &str>| {
        let found = layers(manifest.as_bytes()).map(|layers| layers.len());
        assert_eq!(found, expected, "{manifest}");
    };
    let of = |kind: &str| format!(r#"{{"layers":[{{"mediaType":"{kind}","digest":"x"}}]}}"#);
    check(&of(PAYLOAD), Ok(1));
    check(&of(BUNDLE_V3), Ok(1));
    check(&of("application/vnd.dsse.envelope.v1+json"), Ok(0));
    check("{}", Ok(0));
    check("<html>", Err("it is no manifest"));
    let nested = format!("{{\"layers\":{}", "[".repeat(100_000));
    check(&nested, Err("it is no manifest"));
}

#[test]
fn a_signature_is_what_its_parts_say() {
    let all = [
        Signature::Missing,
        Signature::Stranger,
        unreadable("why"),
        Signature::Unfit,
        Signature::Foreign,
        Signature::Unknown("why".to_owned()),
        Signature::By("cosign.pub".to_owned()),
    ];
    for signature in all {
        let (word, more) = signature.parts();
        assert_eq!(Signature::of_parts(word, more), Some(signature.clone()));
    }
    assert_eq!(Signature::of_parts("by", None), None);
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let trusted = keys(&[("cosign.pub", P256)]);
        let _ = layers(&bytes);
        let _ = TrustedKeys::default().add("x.pub", &bytes);
        for kind in [PAYLOAD, BUNDLE_V3] {
            let found = layer(kind, Some(&text)).judge(&bytes, &image(), &trusted);
            prop_assert!(!matches!(found, Signature::By(_)));
        }
    }
}
