//! `init` and `annotate`: from a tree without markers to one that `run` keeps current.

use super::*;

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
        - name: web
          image: \"REGISTRY/acme/web:1.4.2\"   # the shop

        - name: api
          image: REGISTRY/acme/api:main-4f2a9c1-1767000000
        - name: moving
          image: REGISTRY/acme/web:latest
        - name: unknown
          image: REGISTRY/acme/missing:1.0.0
";
const KUSTOMIZATION: &str = "\
images:
- name: REGISTRY/acme/worker
  newTag: 2025-12-30
";

async fn tree() -> World {
    let world = World::new().await;
    world.file("tree/deployment.yaml", DEPLOYMENT);
    world.file("tree/kustomization.yaml", KUSTOMIZATION);
    world
}

#[tokio::test]
async fn init_shows_policies_and_markers_and_writes_nothing() {
    let world = tree().await;
    let called = world.call(&["init", "tree", "--insecure"]).await;
    called.expect(
        0,
        &[
            "✔ REGISTRY/acme/web follows default:web  deployment.yaml:9",
            "versions of 3 numbers; updates within 1.x",
            "1.4.2 would become 1.5.0",
            "main-4f2a9c1-1767000000 would become main-19a6f3b-1767259200",
            "2025-12-30 would become 2026-01-02",
            "`latest` names no version",
            "acme/missing was left: `REGISTRY/acme/missing` was not found",
            "range: '1.x'",
            "preset: main-sha-timestamp",
            "preset: date",
            "+          # the shop",
            "--write inserts them",
        ]
        .map(|text| text.replace("REGISTRY", &world.registry.address().to_string()))
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>(),
    );
    assert_eq!(world.read("tree/deployment.yaml"), DEPLOYMENT);
    assert!(
        !world
            .folder
            .path()
            .join("tree/image-policies.yaml")
            .exists()
    );
    let called = world
        .call(&["init", "tree", "--insecure", "-o", "json"])
        .await;
    let report = assert_valid("init", &called.out);
    assert_eq!(report["images"].as_array().map(Vec::len), Some(3));
    assert_eq!(report["left"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn init_writes_what_run_follows_and_is_done_after_that() {
    let world = tree().await;
    let init = ["init", "tree", "--insecure", "--write"];
    world.call(&init).await.expect(0, &["3 images got markers"]);
    let marked = DEPLOYMENT
        .replace(
            "          image: \"REGISTRY/acme/web:1.4.2\"   # the shop\n",
            "          # the shop\n          image: \"REGISTRY/acme/web:1.4.2\" # {\"$imagepolicy\": \"default:web\"}\n",
        )
        .replace("1767000000\n", "1767000000 # {\"$imagepolicy\": \"default:api\"}\n");
    assert_eq!(world.read("tree/deployment.yaml"), marked);
    let tagged = KUSTOMIZATION.replace(
        "2025-12-30\n",
        "2025-12-30 # {\"$imagepolicy\": \"default:worker:tag\"}\n",
    );
    assert_eq!(world.read("tree/kustomization.yaml"), tagged);

    let documents = world.read("tree/image-policies.yaml");
    world.call(&init).await.expect(0, &["nothing to mark"]);
    assert_eq!(world.read("tree/deployment.yaml"), marked);
    assert_eq!(world.read("tree/image-policies.yaml"), documents);

    let plan = [
        "plan",
        "--in-place",
        "tree",
        "--config",
        "tree/image-policies.yaml",
    ];
    let plan = [plan.as_slice(), &["--detailed-exitcode"]].concat();
    world
        .call(&plan)
        .await
        .expect(3, &["1.4.2 → 1.5.0", "3 images would be updated"]);
}

#[tokio::test]
async fn init_never_overwrites_a_file() {
    let world = tree().await;
    world.file("tree/image-policies.yaml", "mine: true\n");
    let init = ["init", "tree", "--insecure", "--write"];
    world
        .call(&init)
        .await
        .expect(0, &["image-policies-2.yaml"]);
    assert_eq!(world.read("tree/image-policies.yaml"), "mine: true\n");

    let world = tree().await;
    world.file("mine.yaml", "mine: true\n");
    let named = [init.as_slice(), &["--documents", "mine.yaml"]].concat();
    world
        .call(&named)
        .await
        .expect(2, &["cannot write `mine.yaml`"]);
    assert_eq!(world.read("mine.yaml"), "mine: true\n");
    assert_eq!(world.read("tree/deployment.yaml"), DEPLOYMENT);
}

const POLICIES: &str = "\
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

#[tokio::test]
async fn annotate_marks_what_the_given_policies_are_about() {
    let world = tree().await;
    world.file("policies.yaml", POLICIES);
    let annotate = ["annotate", "tree", "--config", "policies.yaml"];
    world.call(&annotate).await.expect(
        0,
        &[
            "follows default:web",
            "no policy is about it",
            "2 images would get markers",
        ],
    );
    assert_eq!(world.read("tree/deployment.yaml"), DEPLOYMENT);
    let write = [annotate.as_slice(), &["--write"]].concat();
    world
        .call(&write)
        .await
        .expect(0, &["2 images got markers"]);
    let text = world.read("tree/deployment.yaml");
    assert_eq!(text.matches("$imagepolicy").count(), 2);
    world.call(&write).await.expect(0, &["nothing to mark"]);
    assert_eq!(world.read("tree/deployment.yaml"), text);
    world
        .call(&["annotate", "tree"])
        .await
        .expect(2, &["there is no policy"]);
}

#[tokio::test]
async fn discover_updates_without_markers() {
    let world = tree().await;
    world.file("policies.yaml", POLICIES);
    let plan = ["plan", "--in-place", "tree", "--config", "policies.yaml"];
    world.call(&plan).await.expect(0, &["no markers found"]);
    let all = [plan.as_slice(), &["--discover"]].concat();
    world
        .call(&all)
        .await
        .expect(0, &["1.4.2 → 1.5.0", "by Kubernetes"]);
    let one = [plan.as_slice(), &["--discover=kustomize"]].concat();
    world.call(&one).await.expect(0, &["no markers found"]);
    let none = [plan.as_slice(), &["--discover=other"]].concat();
    world.call(&none).await.expect(2, &["`other` is none of"]);
    let lint = [
        "lint",
        "tree",
        "--config",
        "policies.yaml",
        "--discover",
        "--offline",
    ];
    world.call(&lint).await.expect(0, &["(by Kubernetes)"]);
    let described = ["plan", "--config", "policies.yaml", "--discover"];
    world.call(&described).await.expect(2, &["--in-place"]);
}

#[tokio::test]
async fn what_a_kustomization_misses_is_added_where_the_flag_says_so() {
    let world = World::new().await;
    world.file("policies.yaml", POLICIES);
    let entry = "images:\n- name: REGISTRY/acme/web # the shop\n";
    world.file("tree/kustomization.yaml", entry);
    let run = ["run", "--in-place", "tree", "--config", "policies.yaml"];
    let alone = [run.as_slice(), &["--add-missing"]].concat();
    world.call(&alone).await.expect(2, &["--discover"]);
    let discover = [run.as_slice(), &["--discover"]].concat();
    world.call(&discover).await.expect(0, &["no markers found"]);
    let adding = [discover.as_slice(), &["--add-missing"]].concat();
    world.call(&adding).await.expect(0, &["nothing → 1.5.0"]);
    let added = format!("{entry}  newTag: 1.5.0\n");
    assert_eq!(world.read("tree/kustomization.yaml"), added);
    world.call(&adding).await.expect(0, &["nothing updated"]);
    assert_eq!(world.read("tree/kustomization.yaml"), added);
}
