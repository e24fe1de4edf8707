//! Two replicas, and the one that leads is killed at a random moment.

use std::time::Duration;

use crate::{
    bot::Bot,
    world::{PASSWORD, World, until},
};

/// How many rounds are played, unless `TAGWRIGHT_ROUNDS` says otherwise.
const ROUNDS: u32 = 3;
const ELECTION: [&str; 4] = [
    "--enable-leader-election",
    "--leader-election-lease-duration=2s",
    "--leader-election-renew-deadline=1500ms",
    "--leader-election-retry-period=300ms",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_commit_is_lost_or_made_twice_when_leaders_die() {
    let Some(world) = World::start().await else {
        return;
    };
    let rounds = std::env::var("TAGWRIGHT_ROUNDS").ok();
    let rounds = rounds.and_then(|it| it.parse().ok()).unwrap_or(ROUNDS);
    world.registry.tag("apps/web", "1.0.0");
    world.repository("apps", "1.0.0");
    world.namespace("apps", PASSWORD).await;
    world.objects("apps").await;
    let mut bots = vec![
        world.bot("bot-a", &ELECTION).await,
        world.bot("bot-b", &ELECTION).await,
    ];
    let fine = ("True", "Succeeded", "repository up-to-date");
    world
        .until_ready("ImageUpdateAutomation", "apps", fine)
        .await;

    let mut expected = vec!["1.0.0".to_owned()];
    for round in 1..=rounds {
        let leader = leader(&bots).await;
        let tag = format!("1.{round}.0");
        world.registry.tag("apps/web", &tag);
        let token = serde_json::json!({"metadata": {"annotations":
            {"reconcile.fluxcd.io/requestedAt": tag}}});
        world.change("ImageRepository", "apps", token).await;
        // The moment is the point: before the scan, in the middle of a push, or after it.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..700))).await;
        drop(bots.remove(leader));
        world.until_committed("apps", &tag).await;
        expected.push(tag);
        bots.push(world.bot(&format!("bot-{round}"), &ELECTION).await);
    }
    assert_eq!(world.history("apps"), expected);
    for bot in bots {
        assert!(bot.stop().success());
    }
}

/// The place of the one replica that leads.
async fn leader(bots: &[Bot]) -> usize {
    let leads = || async {
        for bot in bots {
            if bot.is_leading().await {
                return true;
            }
        }
        false
    };
    until("somebody leads", leads).await;
    for (place, bot) in bots.iter().enumerate() {
        if bot.is_leading().await {
            return place;
        }
    }
    0
}
