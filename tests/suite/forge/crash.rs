//! The run is ended after every single call, of Git and of the forge, and the next run goes on.
//!
//! `TAGWRIGHT_CRASHES=100 cargo test --test suite forge::crash` goes through each point a hundred times;
//! from the second time on, the run that goes on is ended too, at a point of its own.

use super::{
    fake::{Product, Stage},
    staged::STAGING,
    world::{BRANCH, World},
};

/// More calls than any run makes.
const MAX_CALLS: usize = 60;

/// How a request is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// With labels and people, and a commit of our own.
    Decorated,
    /// With a commit that the forge makes.
    Staged,
}

impl Manner {
    async fn world(self, product: Product) -> World {
        let world = World::new(product).await;
        match self {
            Self::Decorated => world,
            Self::Staged => world.saying("commitBy: forge, labels: [images]"),
        }
    }
}

fn rounds() -> u64 {
    let rounds = std::env::var("TAGWRIGHT_CRASHES").ok();
    rounds.and_then(|it| it.parse().ok()).unwrap_or(1)
}

/// Runs until the fuse burns; whether it did.
async fn crash(world: &World, after: usize) -> bool {
    world.fuse.set(Some(after));
    let burnt = tokio::select! {
        () = world.fuse.burnt() => true,
        _ = world.run() => false,
    };
    world.fuse.set(None);
    burnt
}

/// Ends one run after so many calls, in later rounds another one too, and lets the last one finish.
async fn interrupted(world: &World, after: usize, round: u64) -> bool {
    let has_crashed = crash(world, after).await;
    if round > 0 {
        let mut dice = fastrand::Rng::with_seed(round * 1000 + after as u64);
        crash(world, dice.usize(1..25)).await;
    }
    assert!(world.forge(|it| it.open_count()) <= 1);
    world.run().await;
    has_crashed
}

async fn check_opened(product: Product, manner: Manner) {
    for round in 0..rounds() {
        for after in 1..MAX_CALLS {
            let place = format!("{product:?} {manner:?} after {after}, round {round}");
            let world = manner.world(product).await;
            world.tags("web", &["1.0.0", "1.1.0"]);
            let has_crashed = interrupted(&world, after, round).await;
            let open = world.forge(|it| it.pulls.clone());
            assert_eq!(open.len(), 1, "{place}");
            assert_eq!(
                open[0].labels == ["images"],
                product.has_labels(),
                "{place}"
            );
            assert!(
                world.file(BRANCH, "apps/web.yaml").contains("1.1.0"),
                "{place}"
            );
            assert_eq!(world.tip(STAGING), None, "{place}: no orphan");
            world.assert_sound();
            if !has_crashed {
                assert!(after > 6, "a run makes more calls than {after}");
                break;
            }
        }
    }
}

async fn check_withdrawn(product: Product) {
    for round in 0..rounds() {
        for after in 1..MAX_CALLS {
            let place = format!("{product:?} after {after}, round {round}");
            let world = Manner::Decorated.world(product).await;
            world.tags("web", &["1.0.0", "1.1.0"]);
            world.run().await;
            world.tags("web", &["1.0.0"]);
            let has_crashed = interrupted(&world, after, round).await;
            let pull = world.pull(1);
            assert_eq!(pull.state, Stage::Closed, "{place}");
            // A word may be said again where its answer was lost, and is never missing.
            assert!((1..=3).contains(&pull.comments.len()), "{place}");
            assert_eq!(world.tip(BRANCH), None, "{place}: no orphan");
            if !has_crashed {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_request_is_opened_once_on_github_whatever_call_was_the_last() {
    check_opened(Product::Github, Manner::Decorated).await;
}

#[tokio::test]
async fn a_request_is_opened_once_on_gitlab_whatever_call_was_the_last() {
    check_opened(Product::Gitlab, Manner::Decorated).await;
}

#[tokio::test]
async fn a_request_is_opened_once_on_gitea_whatever_call_was_the_last() {
    check_opened(Product::Gitea, Manner::Decorated).await;
}

#[tokio::test]
async fn a_request_is_opened_once_on_bitbucket_whatever_call_was_the_last() {
    check_opened(Product::BitbucketCloud, Manner::Decorated).await;
    check_opened(Product::BitbucketDataCenter, Manner::Decorated).await;
}

#[tokio::test]
async fn a_request_is_opened_once_on_azure_whatever_call_was_the_last() {
    check_opened(Product::AzureDevops, Manner::Decorated).await;
}

#[tokio::test]
async fn a_commit_of_github_leaves_no_orphan_whatever_call_was_the_last() {
    check_opened(Product::Github, Manner::Staged).await;
}

#[tokio::test]
async fn a_commit_of_gitlab_leaves_no_orphan_whatever_call_was_the_last() {
    check_opened(Product::Gitlab, Manner::Staged).await;
}

#[tokio::test]
async fn a_request_is_taken_back_whatever_call_was_the_last() {
    for product in [Product::Github, Product::Gitlab, Product::Gitea] {
        check_withdrawn(product).await;
    }
}

#[tokio::test]
async fn a_request_is_taken_back_elsewhere_whatever_call_was_the_last() {
    for product in [
        Product::BitbucketCloud,
        Product::BitbucketDataCenter,
        Product::AzureDevops,
    ] {
        check_withdrawn(product).await;
    }
}
