//! Lost answers, limits, refusals and lists that lag behind, on every forge.

use tagwright::{
    error::Class,
    pipeline::{End, Failure},
};

use super::{
    fake::{Product, Trouble},
    world::{BRANCH, World, assert_applied},
};

async fn world(product: Product, trouble: Trouble) -> World {
    let world = World::new(product).await;
    world.tags("web", &["1.0.0", "1.1.0"]);
    world.forge(|forge| forge.set(Some(trouble)));
    world
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_found_again() {
    for product in Product::ALL {
        let world = world(product, Trouble::LoseCreated).await;
        assert_applied(&world.run_one().await, 1);
        assert_eq!(world.forge(|it| it.pulls.len()), 1, "{product:?}");
        assert_eq!(world.pull(1).labels == ["images"], product.has_labels());
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_list_that_lags_behind_leads_to_no_second_request() {
    for product in Product::ALL {
        let world = world(product, Trouble::Stale).await;
        world.run_one().await;
        // The list does not know the request yet; the forge does.
        world.run_one().await;
        assert_eq!(world.forge(|it| it.open_count()), 1, "{product:?}");
        world.forge(|forge| forge.set(None));
        let last = world.run_one().await;
        assert!(
            matches!(last.end, End::Applied(_) | End::Pending(_)),
            "{product:?}: {last:#?}"
        );
        assert_eq!(world.forge(|it| it.open_count()), 1, "{product:?}");
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_forge_that_wants_us_to_wait_is_waited_for() {
    for product in Product::ALL {
        let world = world(product, Trouble::TooFast).await;
        assert_applied(&world.run_one().await, 1);
        assert_eq!(world.forge(|it| it.pulls.len()), 1, "{product:?}");
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_forge_that_wants_us_to_wait_for_long_is_left_to_the_next_run() {
    for product in Product::ALL {
        let world = world(product, Trouble::FarTooFast).await;
        let outcome = world.run_one().await;
        let End::Failed(failure @ Failure::Forge(_)) = &outcome.end else {
            panic!("{outcome:#?}");
        };
        assert_eq!(failure.class(), Class::Transient, "{failure}");
        assert!(failure.to_string().contains("3600 s"), "{failure}");
        assert_eq!(world.forge(|it| it.writes()), 1, "{product:?}: asked once");
        world.forge(|forge| forge.set(None));
        assert_applied(&world.run_one().await, 1);
        assert_eq!(world.forge(|it| it.pulls.len()), 1, "{product:?}");
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_protected_branch_that_takes_no_merge_is_a_remark_and_asked_again() {
    let merging = |it: &Product| *it != Product::BitbucketCloud;
    for product in Product::ALL.into_iter().filter(merging) {
        let world = world(product, Trouble::NoMerge).await;
        let world = world.saying("merge: auto");
        let outcome = world.run_one().await;
        assert_applied(&outcome, 1);
        let remarks = outcome.proposal.expect("a request").remarks;
        let is_told = remarks.iter().any(|it| it.contains("refused us"));
        assert!(is_told, "{product:?}: {remarks:?}");
        assert_eq!(world.pull(1).armed, None, "{product:?}");
        world.forge(|forge| forge.set(None));
        world.run_one().await;
        assert_eq!(world.pull(1).armed, world.tip(BRANCH), "{product:?}");
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_forge_that_refuses_us_is_named_and_the_next_run_goes_on() {
    for product in Product::ALL {
        let world = world(product, Trouble::Forbidden).await;
        let outcome = world.run_one().await;
        let End::Failed(failure @ Failure::Forge(_)) = &outcome.end else {
            panic!("{outcome:#?}");
        };
        assert_eq!(failure.class(), Class::Denied, "{failure}");
        assert!(
            failure.hint().is_some_and(|it| it.contains("token")),
            "{failure}"
        );
        assert!(world.tip(BRANCH).is_some(), "the branch goes first");
        world.forge(|forge| forge.set(None));
        assert_applied(&world.run_one().await, 1);
        world.assert_sound();
    }
}

#[tokio::test]
async fn people_that_a_forge_does_not_know_are_a_remark() {
    for product in [Product::Github, Product::Gitea, Product::AzureDevops] {
        let world = world(product, Trouble::NoSuchPeople).await;
        let outcome = world.run_one().await;
        assert_applied(&outcome, 1);
        let remarks = outcome.proposal.expect("a request").remarks;
        assert!(
            remarks.iter().any(|it| it.contains("said no")),
            "{product:?}: {remarks:?}"
        );
    }
}
