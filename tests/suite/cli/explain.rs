//! `explain` and the advice of `lint`: what is said of policies that are suspended, preset, behind a
//! log-in, or probably not meant.

use std::{fs, path::Path};

use super::World;
use crate::{schema::assert_valid, support::conformance::fixture};

const LOGIN: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: pull}
type: kubernetes.io/dockerconfigjson
stringData:
  .dockerconfigjson: '{"auths": {"REGISTRY": {"username": "bot", "password": "correct-horse"}}}'
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: web}
spec: {image: REGISTRY/web, interval: 5m, secretRef: {name: pull}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: web}
spec: {imageRepositoryRef: {name: web}, policy: {preset: semver}, suspend: true}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_explained_with_the_secrets_of_the_documents() {
    let world = World::of(fixture("basic-auth")).await;
    world.file("config.yaml", LOGIN);
    let rule = ["explain", "REGISTRY/web", "--rule", "preset=semver"];
    world.call(&rule).await.expect(1, &["error: "]);
    let with_documents = [&rule[..], &["--config", "config.yaml"]].concat();
    world
        .call(&with_documents)
        .await
        .expect(0, &["preset: semver = semver=*", "chosen: "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_policy_is_explained_and_said_to_be_suspended() {
    let world = World::of(fixture("basic-auth")).await;
    world.file("config.yaml", LOGIN);
    let explain = ["explain", "web", "--config", "config.yaml"];
    world
        .call(&explain)
        .await
        .expect(0, &["suspended: it writes nothing", "chosen: "]);
    let json = [&explain[..], &["-o", "json"]].concat();
    let called = world.call(&json).await;
    let report = assert_valid("explain", &called.expect(0, &[]).out);
    assert_eq!(report["policies"][0]["suspended"], true);
    world.file("then.json", &called.out);
    let replay = ["explain", "--replay", "then.json", "-o", "json"];
    assert_eq!(world.call(&replay).await.expect(0, &[]).out, called.out);
}

const SHAPES: &str = r"
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: builds}
spec: {image: REGISTRY/builds, interval: 5m}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: spelt}
spec:
  imageRepositoryRef: {name: builds}
  policy: {alphabetical: {order: asc}}
  filterTags: {pattern: '-prod$'}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: empty}
spec:
  imageRepositoryRef: {name: builds}
  policy: {semver: {range: '*'}}
  filterTags: {pattern: '^release-'}
";

#[tokio::test(flavor = "multi_thread")]
async fn lint_says_what_is_probably_not_meant() {
    let world = World::of(fixture("shapes")).await;
    world.file("config.yaml", SHAPES);
    world.file(
        "apps/values.yaml",
        "spelt: REGISTRY/builds:1.0.90-prod # {\"$imagepolicy\": \"default:spelt\"}\n\
         empty: REGISTRY/builds:1.0.90-prod # {\"$imagepolicy\": \"default:empty\"}\n",
    );
    let lint = ["lint", "apps", "--config", "config.yaml"];
    let found = world.call(&lint).await;
    found.expect(
        1,
        &[
            "policy default:spelt: alphabetical order compares letter by letter; counting numbers \
             would select `1.0.100-prod`",
            "policy default:empty: exclusions and filter keep nothing of the list",
            "3 problems",
        ],
    );
    let json = world.call(&[&lint[..], &["-o", "json"]].concat()).await;
    let report = assert_valid("lint", &json.expect(1, &[]).out);
    assert_eq!(report["advice"][1]["policy"], "default:spelt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_rule_is_shown_at_its_byte_with_the_nearest_valid_form() {
    let world = World::of(fixture("shapes")).await;
    let text = "a: REGISTRY/signed:1.0.0 # tagwright: semver=1.y\n";
    world.file("apps/values.yaml", text);
    world.call(&["lint", "apps"]).await.expect(
        1,
        &[
            "each part of a version is a number",
            "the nearest valid form is `1.x`",
        ],
    );
    let plan = world.call(&["plan", "--in-place", "apps"]).await;
    plan.expect(1, &["\n      1.y\n        ^"]);
    let rule = ["explain", "REGISTRY/signed", "--rule", "preset=dates"];
    world.call(&rule).await.expect(2, &["did you mean `date`?"]);
}

const FOLLOWED: &str = r"
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: web}
spec: {image: REGISTRY/acme/web, interval: 5m, insecure: true}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: web}
spec: {imageRepositoryRef: {name: web}, policy: {semver: {range: 1.x}}}
";

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_the_values_and_who_says_that_they_follow() {
    let world = World::new().await;
    world.file("config.yaml", FOLLOWED);
    world.file(
        "apps/values.yaml",
        "tag: 1.4.0 # {\"$imagepolicy\": \"default:web:tag\"}\n",
    );
    world.file("apps/task.json", r#"{"image": "REGISTRY/acme/web:1.4.0"}"#);
    world.file(
        "apps/.tagwright.yaml",
        "rules:\n- files: ['*.json']\n  path: image\n  policy: web\n",
    );
    world.file(
        "apps/kustomization.yaml",
        "images:\n- {name: REGISTRY/acme/web, newTag: 1.4.0}\n",
    );
    let explain = ["explain", "web", "--config", "config.yaml"];
    let explain = [&explain[..], &["--in-place", "apps", "--discover"]].concat();
    world.call(&explain).await.expect(
        0,
        &[
            "values that follow it:",
            "values.yaml:1:6  1.4.0  tag, by its marker `default:web:tag`",
            "/acme/web:1.4.0  image, by rules[0] of .tagwright.yaml, line 2",
            "images[0].newTag, by the strategy Kustomize",
        ],
    );
    let json = world.call(&[&explain[..], &["-o", "json"]].concat()).await;
    let report = assert_valid("explain", &json.expect(0, &[]).out);
    assert_eq!(report["policies"][0]["values"][2]["line"], 1);
    world.file("then.json", &json.out);
    let replay = ["explain", "--replay", "then.json", "-o", "json"];
    assert_eq!(world.call(&replay).await.expect(0, &[]).out, json.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_rules_is_kept_current_without_a_comment() {
    let world = World::new().await;
    world.file("config.yaml", FOLLOWED);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rules");
    let files = [".tagwright.yaml", "Makefile", "settings.toml", "task.json"];
    for name in files {
        let text = fs::read_to_string(example.join(name)).expect("a file of the example");
        let text = text.replace("ghcr.io/stefanprodan/podinfo", "REGISTRY/acme/web");
        let text = text.replace("policy: podinfo", "policy: web");
        world.file(&format!("rules/{name}"), &text.replace("6.5.0", "1.4.0"));
    }
    let run = ["run", "--in-place", "rules", "--config", "config.yaml"];
    world.call(&run).await.expect(0, &["3 places"]);
    for (name, line) in [
        ("Makefile", "PODINFO_TAG := 1.5.0\n"),
        ("settings.toml", "tag = \"1.5.0\"\n"),
        (
            "task.json",
            "\"image\": \"REGISTRY/acme/web:1.5.0\", \"essential\": true}\n",
        ),
    ] {
        let text = world.read(&format!("rules/{name}"));
        assert!(text.contains(line), "{name}: {text}");
    }
    let again = [&run[..], &["--detailed-exitcode"]].concat();
    world.call(&again).await.expect(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_signatures_takes_what_its_key_signed_and_says_so() {
    let world = World::of(fixture("signed")).await;
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/signatures");
    for name in ["policies.yaml", "deployment.yaml", "cosign.pub"] {
        let text = fs::read_to_string(example.join(name)).expect("a file of the example");
        let text = text.replace("ghcr.io/acme/web", "REGISTRY/web");
        world.file(&format!("signatures/{name}"), &text);
    }
    let explain = ["explain", "web", "--config", "signatures"];
    let said = [
        "chosen: 1.1.0\nsigned: by `cosign.pub`\nwithout verify: 1.4.0\n",
        "advice: `1.4.0` is passed over: it has the signature of another image\n",
        "  is not signed\n",
        "  is signed by none of the policy's keys\n",
    ];
    world.call(&explain).await.expect(0, &said);
    let json = world.call(&[&explain[..], &["-o", "json"]].concat()).await;
    let report = assert_valid("explain", &json.expect(0, &[]).out);
    assert_eq!(report["policies"][0]["signedBy"], "cosign.pub");
    world.file("then.json", &json.out);
    let replay = ["explain", "--replay", "then.json", "-o", "json"];
    assert_eq!(world.call(&replay).await.expect(0, &[]).out, json.out);

    let plan = ["plan", "--in-place", "signatures", "--config", "signatures"];
    let said = [
        "1.0.0 → 1.1.0@sha256:78199c559108",
        "signed by `cosign.pub`",
    ];
    world.call(&plan).await.expect(0, &said);
    world.file("signatures/cosign.pub", "a key of another kind");
    let wrong = "cannot use Secret `default/cosign-keys`: `cosign.pub`: it is no public key in PEM";
    world.call(&explain).await.expect(1, &[wrong]);
    let plan = world.call(&plan).await;
    assert!(
        plan.out.contains(wrong) && !plan.out.contains('→'),
        "{}",
        plan.out
    );
}
