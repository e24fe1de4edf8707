//! Two replicas, and the one that leads is killed at a random moment.

use std::time::Duration;

use crate::{
    apply::until,
    bot::Bot,
    world::{PASSWORD, World},
};

/// How many rounds are played, unless `TAGWRIGHT_ROUNDS` says otherwise.
const ROUNDS: u32 = 3;
/// The shortest times that a Lease can say, so that a round takes two seconds or three.
const ELECTION: [&str; 4] = [
    "--enable-leader-election",
    "--leader-election-lease-duration=1s",
    "--leader-election-renew-deadline=800ms",
    "--leader-election-retry-period=150ms",
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
    let mut replicas = Replicas {
        world: &world,
        bots: Vec::new(),
        started: 0,
    };
    replicas.fill().await;
    world
        .until_well("ImageUpdateAutomation", "apps", "repository up-to-date")
        .await;

    let mut expected = vec!["1.0.0".to_owned()];
    for round in 1..=rounds {
        let leader = replicas.leader().await;
        let tag = format!("1.{round}.0");
        world.registry.tag("apps/web", &tag);
        world.ask("ImageRepository", "apps", &tag).await;
        // The moment is the point: before the scan, in the middle of a push, or after it.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..700))).await;
        drop(replicas.bots.remove(leader));
        world.until_committed("apps", &tag).await;
        expected.push(tag);
    }
    assert_eq!(world.history("apps"), expected);
    for bot in replicas.bots {
        assert!(!bot.log().contains("panicked"), "{}", bot.log());
    }
}

/// As a Deployment keeps them: two, and another one for each that ended.
struct Replicas<'a> {
    world: &'a World,
    bots: Vec<Bot>,
    started: u32,
}

impl Replicas<'_> {
    async fn fill(&mut self) {
        // Who has lost the lease on a busy machine has ended by itself, and that is as it should be.
        self.bots.retain_mut(|bot| !bot.has_ended());
        while self.bots.len() < 2 {
            self.started += 1;
            let name = format!("bot-{}", self.started);
            self.bots.push(self.world.bot(&name, &ELECTION).await);
        }
    }

    /// The place of the one that leads.
    async fn leader(&mut self) -> usize {
        let mut found = None;
        until("somebody leads", async || {
            self.fill().await;
            for (place, bot) in self.bots.iter().enumerate() {
                if bot.is_leading().await {
                    found = Some(place);
                }
            }
            found.is_some()
        })
        .await;
        found.expect("it was waited for")
    }
}
