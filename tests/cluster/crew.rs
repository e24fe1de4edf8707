//! Two automations that share a push branch.

use serde_json::json;

use crate::{
    apply::{apply, until},
    world::{PASSWORD, World},
};

const KIND: &str = "ImageUpdateAutomation";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn automations_that_share_a_push_branch_keep_each_others_commits() {
    let Some(world) = World::start().await else {
        return;
    };
    let image = format!("{}/apps/web", world.registry.host());
    let line =
        |policy: &str| format!("image: {image}:1.0.0 # {{\"$imagepolicy\": \"apps:{policy}\"}}\n");
    world.repository_of(
        "apps",
        &[
            ("apps/web.yaml", line("web")),
            ("infra/web.yaml", line("web")),
        ],
    );
    world.registry.tag("apps/web", "1.0.0");
    world.registry.tag("apps/web", "1.1.0");
    world.namespace("apps", PASSWORD).await;
    let bot = world.bot("bot", &[]).await;
    let push = json!({"spec": {"git": {"push": {"branch": "bot/both"}}}});
    let mut other = world.objects_with("apps", &push).await;
    other["metadata"]["name"] = "infra".into();
    other["spec"]["update"]["path"] = "./infra".into();
    apply(&world.client, other).await;

    both_stand_in(&world, "1.1.0").await;
    world.registry.tag("apps/web", "1.2.0");
    world.request("ImageRepository", "apps", "newer").await;
    both_stand_in(&world, "1.2.0").await;
    let mut pushed = Vec::new();
    for name in ["infra", "web"] {
        until(&format!("{name} knows its own commit"), async || {
            let object = world.get_named(KIND, "apps", name).await;
            let commit = object["status"]["lastPushCommit"]
                .as_str()
                .unwrap_or_default();
            let log = world.log_of("apps", "main..bot/both");
            log.lines().any(|it| it == commit)
        })
        .await;
        let object = world.get_named(KIND, "apps", name).await;
        pushed.push(object["status"]["lastPushCommit"].clone());
    }
    assert_ne!(pushed[0], pushed[1], "each has a commit of its own");
    assert_eq!(world.log_of("apps", "main..bot/both").lines().count(), 2);
    assert!(bot.stop().success());
}

async fn both_stand_in(world: &World, tag: &str) {
    until(&format!("both files say {tag}"), async || {
        ["apps/web.yaml", "infra/web.yaml"].iter().all(|path| {
            world
                .file_of("apps", "bot/both", path)
                .contains(&format!(":{tag} "))
        })
    })
    .await;
}
