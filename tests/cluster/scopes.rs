//! A controller that sees a part of the cluster: one namespace, or one shard.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    apply::{apply, documents, until},
    bot::Bot,
    world::{PASSWORD, World},
};

const SHARD: &str = "sharding.fluxcd.io/key";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k26_one_namespace_and_one_shard_need_nothing_of_the_others() {
    let Some(world) = World::start().await else {
        return;
    };
    for namespace in ["team", "shard", "other"] {
        let image = format!("{namespace}/web");
        world.registry.tag(&image, "1.0.0");
        world.registry.tag(&image, "1.1.0");
        world.repository(namespace, "1.0.0");
        world.namespace(namespace, PASSWORD).await;
        world.objects(namespace).await;
    }
    let labels = json!({"metadata": {"labels": {SHARD: "a"}}});
    for kind in ["ImageRepository", "ImagePolicy", "ImageUpdateAutomation"] {
        world.change(kind, "shard", labels.clone()).await;
    }
    let of_team = a_controller_without_a_cluster_role(&world).await;
    let selector = format!("--watch-label-selector={SHARD}=a");
    let of_shard = world.bot("shard", &[&selector]).await;

    world.until_committed("team", "1.1.0").await;
    world.until_committed("shard", "1.1.0").await;
    until("both have nothing left to do", async || {
        let idle = "tagwright_queue_waiting{kind=\"ImageUpdateAutomation\"}";
        of_team.metric(idle).await + of_shard.metric(idle).await < 0.5
    })
    .await;
    assert_eq!(world.history("other"), ["1.0.0"], "it is nobody's");
    let object = world.get("ImageRepository", "other").await;
    assert_eq!(object["metadata"]["finalizers"], Value::Null);
    for bot in [of_team, of_shard] {
        let log = bot.log();
        assert!(!log.contains("forbidden"), "{log}");
        assert!(bot.stop().success());
    }
}

/// With the rights of `deploy/namespaced`, in a namespace of its own.
async fn a_controller_without_a_cluster_role(world: &World) -> Bot {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/namespaced/rbac.yaml");
    let text = fs::read_to_string(path).expect("it is deployed");
    for object in documents(&text.replace("tagwright-system", "team")) {
        assert!(object["kind"] != "ClusterRole" && object["kind"] != "ClusterRoleBinding");
        apply(&world.client, object).await;
    }
    let kubeconfig = world
        .cluster
        .kubeconfig_of(&world.client, "team", "tagwright");
    let variables = [("RUNTIME_NAMESPACE", "team")];
    let more = ["--watch-all-namespaces=false"];
    let kubeconfig = kubeconfig.await;
    world.bot_as("team", &kubeconfig, &more, &variables).await
}
