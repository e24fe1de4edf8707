//! The third transport of the fixtures: Debian's docker-registry, seeded from the folders.

#[path = "../suite/support/conformance.rs"]
mod conformance;

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
        }
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
