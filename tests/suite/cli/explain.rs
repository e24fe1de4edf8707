//! `explain` and the advice of `lint`: what is said of policies that are suspended, preset, behind a
//! log-in, or probably not meant.

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
