//! The API server is killed and comes back; its database hangs and goes on.

use std::time::Duration;

use crate::{
    apply::until,
    bot::Bot,
    world::{PASSWORD, World},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_when_the_api_server_is_back() {
    let Some(mut world) = World::start().await else {
        return;
    };
    let bot = a_controller_at_rest(&world).await;

    world.cluster.kill_apiserver();
    world.registry.tag("apps/web", "1.1.0");
    until("the outage is noticed", || async {
        bot.log().contains("\"level\":\"WARN\"")
    })
    .await;
    assert!(bot.is_healthy().await, "an outage is nobody's death");
    world.cluster.restart_apiserver();
    world.client = world.cluster.client().await;
    a_request_becomes_a_commit(&world, "1.1.0").await;

    world.registry.tag("apps/web", "1.2.0");
    world.cluster.pause_etcd();
    // Long enough for requests under way to run into it; nothing here waits for an end.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(
        bot.is_healthy().await,
        "a hanging database is nobody's death"
    );
    world.cluster.resume_etcd();
    a_request_becomes_a_commit(&world, "1.2.0").await;

    assert_eq!(world.history("apps"), ["1.0.0", "1.1.0", "1.2.0"]);
    until("it is healthy and ready", || async {
        bot.is_healthy().await && bot.is_ready().await
    })
    .await;
    assert!(bot.stop().success());
}

async fn a_controller_at_rest(world: &World) -> Bot {
    world.registry.tag("apps/web", "1.0.0");
    world.repository("apps", "1.0.0");
    world.namespace("apps", PASSWORD).await;
    let bot = world.bot("bot", &[]).await;
    world.objects("apps").await;
    world
        .until_well("ImageUpdateAutomation", "apps", "repository up-to-date")
        .await;
    bot
}

async fn a_request_becomes_a_commit(world: &World, tag: &str) {
    world.request("ImageRepository", "apps", tag).await;
    world.until_committed("apps", tag).await;
}
