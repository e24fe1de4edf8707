//! What every registry must do, whatever it is made of: in memory, simulated over HTTP, or real.
//!
//! This file is part of two test binaries, `suite` and `servers`.

use std::{path::Path, time::Duration};

use tagwright::{
    egress::{EgressError, Proxy, Route},
    error::Class,
    fixture::{Fixture, FixtureRegistry, Oddity, Scheme},
    image::{Repository, Tag},
    scan::{Access, Depth, Keychain, Registry, ScanError, TagFacts, Who},
};

/// A registry under test: a client, and the fixture that stands behind it.
#[derive(Debug)]
pub(crate) struct Subject<R> {
    /// The client.
    pub(crate) registry: R,
    /// What the registry is reached by.
    pub(crate) host: String,
    /// What the registry serves.
    pub(crate) fixture: Fixture,
}

/// Opens the folder `name` of `fixtures/registries`.
pub(crate) fn fixture(name: &str) -> Fixture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/registries");
    Fixture::open(&folder.join(name)).expect("the fixture is complete")
}

/// Access with the credentials of `keychain`, and ten seconds for everything.
pub(crate) fn access(keychain: Keychain) -> Access {
    Access {
        keychain,
        route: Route {
            proxy: Proxy::Direct,
            ..Route::default()
        },
        timeout: Duration::from_secs(10),
        whole_every: None,
    }
}

/// A keychain of one password, or identity token where `username` is `<token>`.
pub(crate) fn keychain(host: &str, username: &str, password: &str) -> Keychain {
    let config = serde_json::json!({
        "auths": {host: {"username": username, "password": password}}
    });
    Keychain::from_docker_config(config.to_string().as_bytes(), &[]).expect("a keychain")
}

impl<R: Registry> Subject<R> {
    /// Checks every claim that this fixture can speak to.
    pub(crate) async fn conforms(&self) {
        match self.fixture.oddity() {
            Some(Oddity::TruncatedPage) => self.a_truncated_listing_is_an_error().await,
            Some(Oddity::RedirectToStorage) => self.a_redirect_elsewhere_is_an_error().await,
            Some(Oddity::MovedTag { repository, tag }) => {
                self.a_moved_tag_has_a_new_digest(repository, tag).await;
                self.lists_every_tag_once_in_descending_order().await;
            }
            _ => {
                self.lists_every_tag_once_in_descending_order().await;
                self.resolves_a_tag_to_the_digest_of_its_manifest().await;
                self.knows_of_a_tag_what_its_image_says().await;
                self.an_unknown_repository_is_not_found().await;
                self.an_unknown_tag_is_not_found().await;
            }
        }
        if self.fixture.authentication().is_some() && !self.fixture.dialect().is_public {
            self.a_stranger_is_denied().await;
            self.a_wrong_password_is_denied().await;
            self.an_identity_token_is_exchanged_or_denied().await;
        }
    }

    /// Access as the fixture's user, or as nobody where it wants nobody.
    pub(crate) fn access(&self) -> Access {
        let user = self.fixture.authentication();
        access(user.map_or_else(Keychain::default, |user| {
            keychain(&self.host, &user.username, &user.password)
        }))
    }

    /// The repository `path`, as this registry is reached.
    pub(crate) fn repository(&self, path: &str) -> Repository {
        let text = format!("{}/{path}", self.host);
        text.parse().expect("a repository")
    }

    async fn lists_every_tag_once_in_descending_order(&self) {
        for path in self.fixture.repositories() {
            let repository = self.repository(path);
            let scan = self.registry.scan(&repository, &self.access()).await;
            let scan = scan.unwrap_or_else(|error| panic!("{repository}: {}", story(&error)));
            let (tags, refused) = self.fixture.tags(path).expect("the fixture has it");
            assert_eq!(scan.tags, tags, "{repository}");
            assert_eq!(scan.refused, refused, "{repository}");
            assert_eq!(scan.repository, repository);
        }
    }

    async fn resolves_a_tag_to_the_digest_of_its_manifest(&self) {
        for path in self.fixture.repositories() {
            let (tags, _) = self.fixture.tags(path).expect("the fixture has it");
            let ends = tags.first().into_iter().chain(tags.last());
            // A URL has no way to say `..`; such a tag can be listed, and not looked up.
            for tag in ends.filter(|tag| !matches!(tag.as_str(), "." | "..")) {
                let repository = self.repository(path);
                let digest = self.registry.digest(&repository, tag, &self.access()).await;
                let digest = digest.unwrap_or_else(|error| panic!("{tag}: {}", story(&error)));
                let expected = self.fixture.digest(path, tag.as_str(), 0);
                assert_eq!(Some(digest), expected, "{repository}:{tag}");
            }
        }
    }

    async fn knows_of_a_tag_what_its_image_says(&self) {
        let model = FixtureRegistry::new(self.fixture.clone());
        let user = self.fixture.authentication();
        let as_user = access(user.map_or_else(Keychain::default, |user| {
            keychain(self.fixture.host(), &user.username, &user.password)
        }));
        for path in self.fixture.repositories() {
            let (tags, _) = self.fixture.tags(path).expect("the fixture has it");
            // Thousands of manifests take long to make.
            if tags.len() > 1000 {
                continue;
            }
            let tags = tags
                .iter()
                .filter(|tag| !matches!(tag.as_str(), "." | ".."));
            for tag in tags.take(6) {
                let expected = format!("{}/{path}", self.fixture.host());
                let expected = expected.parse().expect("a repository");
                let expected = model.facts(&expected, tag, Depth::Image, &as_user).await;
                let found = self.repository(path);
                let found = self
                    .registry
                    .facts(&found, tag, Depth::Image, &self.access())
                    .await;
                // Each registry has its own clock.
                let timeless = |facts: Result<TagFacts, ScanError>| {
                    let facts = facts.unwrap_or_else(|error| panic!("{tag}: {}", story(&error)));
                    assert!(facts.first_seen.is_some(), "{tag}");
                    TagFacts {
                        first_seen: None,
                        ..facts
                    }
                };
                assert_eq!(timeless(found), timeless(expected), "{path}:{tag}");
            }
        }
    }

    async fn an_unknown_repository_is_not_found(&self) {
        let repository = self.repository("no/such-repository");
        let error = self.registry.scan(&repository, &self.access()).await;
        let error = error.expect_err("there is no such repository");
        let is_right = match &error {
            ScanError::NotFound { image } => *image == repository.to_string(),
            ScanError::Denied { .. } => self.fixture.dialect().hides_missing,
            _ => false,
        };
        assert!(is_right, "{}", story(&error));
    }

    async fn an_unknown_tag_is_not_found(&self) {
        let path = self.fixture.repositories().next().expect("a repository");
        let tag: Tag = "no-such-tag".parse().expect("a tag");
        let repository = self.repository(path);
        let error = self
            .registry
            .digest(&repository, &tag, &self.access())
            .await;
        let error = error.expect_err("there is no such tag");
        assert!(
            matches!(error, ScanError::NotFound { .. }),
            "{}",
            story(&error)
        );
    }

    async fn a_stranger_is_denied(&self) {
        let error = self.refused(access(Keychain::default())).await;
        let is_right = matches!(
            &error,
            ScanError::Denied {
                who: Who::Anonymous,
                ..
            }
        );
        assert!(is_right, "{}", story(&error));
        assert_eq!(error.class(), Class::Denied);
    }

    async fn a_wrong_password_is_denied(&self) {
        let user = self.fixture.authentication().expect("it wants a user");
        let wrong = keychain(&self.host, &user.username, "canary-wrong-password");
        let error = self.refused(access(wrong)).await;
        let is_right = matches!(
            &error,
            ScanError::Denied { who: Who::Entry(entry), .. } if *entry == self.host
        );
        assert!(is_right, "{}", story(&error));
        assert!(!story(&error).contains("canary"), "no secret is shown");
    }

    async fn an_identity_token_is_exchanged_or_denied(&self) {
        let user = self.fixture.authentication().expect("it wants a user");
        let path = self.fixture.repositories().next().expect("a repository");
        let token = access(keychain(&self.host, "<token>", &user.password));
        let scan = self.registry.scan(&self.repository(path), &token).await;
        match user.scheme {
            Scheme::Bearer => assert!(scan.is_ok(), "{scan:#?}"),
            Scheme::Basic => {
                let error = scan.expect_err("there is nobody to exchange it");
                assert!(
                    matches!(error, ScanError::Denied { .. }),
                    "{}",
                    story(&error)
                );
            }
        }
    }

    async fn refused(&self, access: Access) -> ScanError {
        let path = self.fixture.repositories().next().expect("a repository");
        let scan = self.registry.scan(&self.repository(path), &access).await;
        scan.expect_err("the access is not good enough")
    }

    async fn a_truncated_listing_is_an_error(&self) {
        let error = self.refused(self.access()).await;
        assert!(
            matches!(error, ScanError::Truncated { .. }),
            "{}",
            story(&error)
        );
    }

    async fn a_redirect_elsewhere_is_an_error(&self) {
        let error = self.refused(self.access()).await;
        let is_right = matches!(
            &error,
            ScanError::Egress {
                source: EgressError::Redirect { .. },
                ..
            }
        );
        assert!(is_right, "{}", story(&error));
    }

    async fn a_moved_tag_has_a_new_digest(&self, path: &str, tag: &str) {
        let repository = self.repository(path);
        let parsed: Tag = tag.parse().expect("a tag");
        for looks in 0..3 {
            let digest = self
                .registry
                .digest(&repository, &parsed, &self.access())
                .await;
            let digest = digest.unwrap_or_else(|error| panic!("{}", story(&error)));
            assert_eq!(
                Some(digest),
                self.fixture.digest(path, tag, looks),
                "look {looks}"
            );
        }
    }
}

/// An error with its causes, as a person reads it.
pub(crate) fn story(error: &dyn std::error::Error) -> String {
    let mut story = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        story = format!("{story}: {error}");
        cause = error.source();
    }
    story
}
