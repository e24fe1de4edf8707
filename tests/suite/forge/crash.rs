//! The run is ended after every single call, of Git and of the forge, and the next run goes on.
//!
//! `CRASH_ROUNDS=100 cargo test --test suite forge::crash` runs each point a hundred times.

use super::{
    fake::{Product, Stage},
    world::{BRANCH, World},
};

/// More calls than any run makes.
const MAX_CALLS: usize = 60;

fn rounds() -> usize {
    let rounds = std::env::var("CRASH_ROUNDS").ok();
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

#[tokio::test]
async fn a_run_that_was_ended_after_any_call_is_continued_by_the_next() {
    for product in Product::ALL {
        for _ in 0..rounds() {
            for after in 1..MAX_CALLS {
                let world = World::new(product).await;
                world.tags("web", &["1.0.0", "1.1.0"]);
                let has_crashed = crash(&world, after).await;
                assert!(world.forge(|it| it.open_count()) <= 1);
                world.run().await;
                let open = world.forge(|it| it.pulls.clone());
                assert_eq!(open.len(), 1, "{product:?} after {after}");
                assert_eq!(
                    open[0].labels == ["images"],
                    product.has_labels(),
                    "{product:?} after {after}"
                );
                assert!(world.file(BRANCH, "apps/web.yaml").contains("1.1.0"));
                world.assert_sound();
                if !has_crashed {
                    assert!(after > 6, "a run makes more calls than {after}");
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_request_is_taken_back_whatever_call_was_the_last() {
    for product in Product::ALL {
        for _ in 0..rounds() {
            for after in 1..MAX_CALLS {
                let world = World::new(product).await;
                world.tags("web", &["1.0.0", "1.1.0"]);
                world.run().await;
                world.tags("web", &["1.0.0"]);
                let has_crashed = crash(&world, after).await;
                world.run().await;
                let pull = world.pull(1);
                assert_eq!(pull.state, Stage::Closed, "{product:?} after {after}");
                // A word may be said twice, where its answer was lost, and is never missing.
                assert!(
                    (1..=2).contains(&pull.comments.len()),
                    "{product:?} after {after}"
                );
                assert_eq!(
                    world.tip(BRANCH),
                    None,
                    "{product:?} after {after}: no orphan"
                );
                if !has_crashed {
                    break;
                }
            }
        }
    }
}
