//! The third transport of the fixtures: Debian's docker-registry, seeded from the folders.

#[path = "../suite/support/conformance.rs"]
mod conformance;

use serde_json::Value;
use tagwright::{egress::Egress, fixture::Fixture, scan::OciRegistry};

use self::conformance::{Subject, fixture};
use crate::docker_registry::{DockerRegistry, Login};

/// Puts a fixture into a real registry and checks every claim that it can speak to.
async fn check(name: &str) {
    let fixture = fixture(name);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(registry) = DockerRegistry::start(folder.path(), &Login::Open) else {
        return;
    };
    seed(&registry, &fixture);
    let host = registry.host();
    Subject {
        registry: OciRegistry::new(Egress::new()),
        host,
        fixture,
    }
    .conforms()
    .await;
}

fn seed(registry: &DockerRegistry, fixture: &Fixture) {
    for repository in fixture.repositories() {
        let (tags, _) = fixture.tags(repository).expect("the fixture has it");
        // A folder can have no such name, in storage as elsewhere.
        for tag in tags
            .iter()
            .filter(|tag| !matches!(tag.as_str(), "." | ".."))
        {
            let manifest = fixture
                .manifest(repository, tag.as_str(), 0)
                .expect("and its manifest");
            registry.manifest(repository, tag.as_str(), &manifest);
            seed_what_it_names(registry, fixture, repository, &manifest);
        }
    }
}

/// Puts the config of an image, and the images of an index with theirs.
fn seed_what_it_names(
    registry: &DockerRegistry,
    fixture: &Fixture,
    repository: &str,
    manifest: &[u8],
) {
    let manifest: Value = serde_json::from_slice(manifest).expect("a manifest is JSON");
    let named = |entry: &Value| {
        let digest = entry["digest"].as_str()?.parse().ok()?;
        fixture.object(repository, &digest)
    };
    if let Some(config) = named(&manifest["config"]) {
        registry.blob(repository, &config);
    }
    for child in manifest["manifests"].as_array().into_iter().flatten() {
        let image = named(child).expect("an index's images are in the fixture");
        registry.revision(repository, &image);
        seed_what_it_names(registry, fixture, repository, &image);
    }
}

#[tokio::test]
async fn a_real_registry_serves_the_fixtures() {
    for name in ["plain", "demo", "paged-no-link"] {
        check(name).await;
    }
    // What a real registry cannot be made to do, or only slowly.
    eprintln!(
        "left out: ten-thousand-tags, odd-tags, paged-relative-link, truncated-page, rate-limited, redirect-to-storage, moved-tag"
    );
}
