//! Commits that a forge makes and signs: on a branch of their own, looked at, and moved to by
//! compare-and-swap.

use tagwright::pipeline::{End, Failure};

use super::{
    fake::{Product, Trouble},
    own_commit::{Modes, OwnCommit},
    world::{BRANCH, World, assert_applied},
};

pub(crate) const SIGNING: [Product; 2] = [Product::Github, Product::Gitlab];
pub(crate) const STAGING: &str = "bot/images.staging";

async fn world(product: Product) -> World {
    let world = World::new(product).await;
    let world = world.saying("commitBy: forge, labels: [images]");
    world.tags("web", &["1.0.0", "1.1.0"]);
    world
}

#[tokio::test]
async fn the_commit_of_a_request_is_the_forges_own() {
    for product in SIGNING {
        let world = world(product).await;
        assert_applied(&world.run_one().await, 1);
        let commit = world.commit_text(BRANCH);
        assert!(commit.contains("\ngpgsig "), "{product:?}: {commit}");
        let base = world.tip("main").expect("a branch");
        assert!(commit.contains(&format!("parent {base}\n")), "{commit}");
        assert!(
            commit.contains("Update registry.test/web to 1.1.0\n\n"),
            "{commit}"
        );
        assert!(
            commit.contains("\nTagwright-Commit: apps/fleet "),
            "{commit}"
        );
        assert!(world.file(BRANCH, "apps/web.yaml").contains("web:1.1.0"));
        assert_eq!(world.tip(STAGING), None, "{product:?}");

        let (tip, writes) = (world.tip(BRANCH), world.forge(|it| it.writes()));
        assert!(matches!(world.run_one().await.end, End::Pending(_)));
        let now = (world.tip(BRANCH), world.forge(|it| it.writes()));
        assert_eq!(
            now,
            (tip, writes),
            "{product:?}: nothing is written at rest"
        );

        world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
        assert_applied(&world.run_one().await, 1);
        let commit = world.commit_text(BRANCH);
        assert!(commit.contains(&format!("parent {base}\n")), "{commit}");
        assert!(world.file(BRANCH, "apps/web.yaml").contains("web:1.2.0"));

        world.tags("web", &["1.0.0"]);
        assert!(matches!(world.run_one().await.end, End::Withdrawn));
        assert_eq!((world.tip(BRANCH), world.tip(STAGING)), (None, None));
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_person_who_amends_the_forges_commit_is_not_overwritten() {
    for product in SIGNING {
        let world = world(product).await;
        world.run_one().await;
        let commit = world.commit_text(BRANCH);
        let (_, message) = commit.split_once("\n\n").expect("a message");
        let base = world.tip("main").expect("a branch");
        let amended = world.forge(|forge| {
            let text = "image: registry.test/web:1.1.0-patched\n";
            forge.commit(
                BRANCH,
                &OwnCommit {
                    parent: &base,
                    message,
                    files: vec![("apps/web.yaml".to_owned(), text.into())],
                    modes: Modes::Kept,
                },
            )
        });
        world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
        let end = world.run_one().await.end;
        let is_refused = matches!(end, End::Failed(Failure::ForeignCommits { .. }));
        assert!(is_refused, "{product:?}: {end:?}");
        assert_eq!(world.tip(BRANCH), Some(amended));
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_again() {
    for product in SIGNING {
        let world = world(product).await;
        world.forge(|forge| forge.set(Some(Trouble::LoseCommitted)));
        assert_applied(&world.run_one().await, 1);
        assert_eq!(world.tip(STAGING), None, "{product:?}");
        world.assert_sound();
    }
}

#[tokio::test]
async fn what_the_api_cannot_say_is_refused_and_leaves_nothing() {
    for product in SIGNING {
        let world = world(product).await;
        let base = world.tip("main").expect("a branch");
        world.forge(|forge| {
            let text = "image: registry.test/web:1.0.0 # {\"$imagepolicy\": \"apps:web\"}\n";
            forge.commit(
                "main",
                &OwnCommit {
                    parent: &base,
                    message: "it can be run\n",
                    files: vec![("apps/web.yaml".to_owned(), text.into())],
                    modes: Modes::Executable,
                },
            )
        });
        let outcome = world.run_one().await;
        match (product, &outcome.end) {
            // GitHub makes a plain file of it; GitLab leaves it what it is.
            (Product::Github, End::Failed(failure)) => {
                assert!(
                    failure.to_string().contains("made other files"),
                    "{failure}"
                );
                let hint = failure.hint().expect("a way out");
                assert!(hint.contains("executable"), "{hint}");
                assert_eq!(world.tip(BRANCH), None);
            }
            (Product::Gitlab, End::Applied(_)) => {}
            (_, end) => panic!("{product:?}: {end:?}"),
        }
        assert_eq!(world.tip(STAGING), None);
    }
}

#[tokio::test]
async fn a_forge_that_may_not_commit_is_named() {
    for product in SIGNING {
        let world = world(product).await;
        world.forge(|forge| forge.set(Some(Trouble::Forbidden)));
        let outcome = world.run_one().await;
        let End::Failed(Failure::Forge(error)) = &outcome.end else {
            panic!("{outcome:#?}");
        };
        assert!(error.to_string().contains("make a commit"), "{error}");
        assert_eq!((world.tip(BRANCH), world.tip(STAGING)), (None, None));
        world.forge(|forge| forge.set(None));
        assert_applied(&world.run_one().await, 1);
    }
}

#[tokio::test]
async fn where_the_forge_makes_no_commit_our_own_signature_stands() {
    for product in SIGNING {
        let world = world(product).await.signing();
        world.forge(|forge| forge.set(Some(Trouble::NoCommits)));
        let outcome = world.run_one().await;
        assert_applied(&outcome, 1);
        let remarks = outcome.proposal.expect("a request").remarks;
        let is_told = remarks.iter().any(|it| it.contains("our own signature"));
        assert!(is_told, "{product:?}: {remarks:?}");
        let commit = world.commit_text(BRANCH);
        assert!(commit.contains("BEGIN SSH SIGNATURE"), "{commit}");
        assert_eq!(world.tip(STAGING), None);
    }
}
