//! What tenants write: the cases of group K of the security plan that need a real API server.

use serde_json::{Value, json};

use crate::{
    apply::{apply, condition, deployed, open_schema, until},
    bot::Bot,
    world::{PASSWORD, World},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tenant_writes_harms_nobody_else() {
    let Some(world) = World::start().await else {
        return;
    };
    world.registry.tag("apps/web", "1.0.0");
    world.registry.tag("apps/web", "1.1.0");
    world.repository("apps", "1.0.0");
    world.namespace("apps", PASSWORD).await;
    world.namespace("tenant", PASSWORD).await;
    k01_malformed_objects_are_stored(&world).await;
    let bot = world.bot("bot", &["--no-cross-namespace-refs"]).await;
    world.objects("apps").await;
    world.until_committed("apps", "1.1.0").await;

    k01_malformed_objects_say_what_is_wrong(&world, &bot).await;
    k04_a_forged_status_changes_nothing(&world).await;
    k05_what_lies_elsewhere_is_neither_used_nor_told(&world).await;
    k08_an_account_that_is_missing_is_no_other(&world).await;
    k09_a_secret_that_is_unfit_is_told_by_its_keys(&world).await;
    k12_names_that_look_the_same_when_joined_are_not(&world).await;
    let bot = k16_a_status_that_cannot_be_written_costs_no_second_commit(&world, bot).await;
    k28_an_answer_that_is_no_answer_is_not_taken_for_absence(&world).await;

    let log = bot.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains("canary"), "a secret is logged");
    assert!(bot.stop().success());
}

/// As an older definition, or none, would have let them in.
async fn k01_malformed_objects_are_stored(world: &World) {
    for mut definition in tagwright::crd::definitions() {
        open_schema(&mut definition);
        apply(&world.client, definition).await;
    }
    let object = |kind: &str, name: &str, spec: Value| {
        json!({"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": kind,
            "metadata": {"name": name, "namespace": "tenant"}, "spec": spec})
    };
    for malformed in [
        object(
            "ImageRepository",
            "number",
            json!({"image": 5, "interval": "1m"}),
        ),
        object("ImageRepository", "list", json!([])),
        object(
            "ImageRepository",
            "web",
            json!({"image": "r.test/a", "interval": "-5m"}),
        ),
        object("ImagePolicy", "text", json!("spec")),
        object(
            "ImagePolicy",
            "web",
            json!({"imageRepositoryRef": {"name": ["x"]}, "policy": 1}),
        ),
        object("ImageUpdateAutomation", "null", Value::Null),
        object(
            "ImageUpdateAutomation",
            "web",
            json!({"interval": 5, "git": {"url": {}}}),
        ),
    ] {
        apply(&world.client, malformed).await;
    }
}

async fn k01_malformed_objects_say_what_is_wrong(world: &World, bot: &Bot) {
    for (kind, reason) in [
        ("ImageRepository", "ImageURLInvalid"),
        ("ImagePolicy", "InvalidPolicy"),
        ("ImageUpdateAutomation", "InvalidSourceConfiguration"),
    ] {
        world.until_unwell(kind, "tenant", reason, "").await;
        let object = world.get(kind, "tenant").await;
        assert_eq!(
            condition(&object, "Stalled")["status"],
            "True",
            "{object:#}"
        );
        until(&format!("an event about {kind}"), || async {
            let events = world.events(kind, "tenant").await;
            events.iter().any(|event| event.starts_with(reason))
        })
        .await;
    }
    let panics = bot.metric("tagwright_panics_total").await;
    assert!(panics < 0.5, "nothing of this is worth a panic");
}

async fn k04_a_forged_status_changes_nothing(world: &World) {
    let image = format!("{}/apps/web", world.registry.host());
    let forged = json!({"status": {"latestRef": {"name": image, "tag": "9.9.9"}}});
    world.change_status("ImagePolicy", "apps", forged).await;
    let forged = json!({"status": {"lastPushCommit": "0000000000000000000000000000000000000000",
        "observedPolicies": {"web": {"name": image, "tag": "9.9.9"}}}});
    world
        .change_status("ImageUpdateAutomation", "apps", forged)
        .await;
    let before = world.commits("apps");
    world
        .request("ImageUpdateAutomation", "apps", "forged")
        .await;
    assert_eq!(world.commits("apps"), before, "a status is never an input");
    world.request("ImagePolicy", "apps", "forged").await;
    let policy = world.get("ImagePolicy", "apps").await;
    assert_eq!(
        policy["status"]["latestRef"]["tag"], "1.1.0",
        "it is corrected"
    );
}

async fn k05_what_lies_elsewhere_is_neither_used_nor_told(world: &World) {
    for name in ["web", "nothing"] {
        let policy = json!({"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImagePolicy",
            "metadata": {"name": "web", "namespace": "tenant"},
            "spec": {"imageRepositoryRef": {"name": name, "namespace": "apps"},
                "policy": {"semver": {"range": "*"}}}});
        apply(&world.client, policy).await;
        let words = format!("cannot access 'ImageRepository/apps/{name}', cross-namespace");
        let denied = ("False", "AccessDenied", words.as_str());
        world.until_ready("ImagePolicy", "tenant", denied).await;
        let automation = json!({"apiVersion": "image.toolkit.fluxcd.io/v1",
            "kind": "ImageUpdateAutomation",
            "metadata": {"name": "web", "namespace": "tenant"},
            "spec": {"interval": "1h", "git": {"commit": {"author": {"email": "a@b.c"}}},
                "sourceRef": {"kind": "GitRepository", "name": name, "namespace": "apps"}}});
        apply(&world.client, automation).await;
        let words = format!("cannot access 'GitRepository/apps/{name}', cross-namespace");
        world
            .until_unwell(
                "ImageUpdateAutomation",
                "tenant",
                "AccessDenied",
                words.as_str(),
            )
            .await;
    }
}

async fn k08_an_account_that_is_missing_is_no_other(world: &World) {
    let repository = |account: &str| {
        json!({"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageRepository",
            "metadata": {"name": "web", "namespace": "tenant"},
            "spec": {"image": format!("{}/apps/web", world.registry.host()), "interval": "1h",
                "insecure": true, "serviceAccountName": account}})
    };
    // The first one exists nowhere, the second one in another namespace.
    for account in ["nobody", "tagwright"] {
        apply(&world.client, repository(account)).await;
        let words = format!("`tenant/{account}`");
        world
            .until_unwell(
                "ImageRepository",
                "tenant",
                "AuthenticationFailed",
                words.as_str(),
            )
            .await;
    }
}

async fn k09_a_secret_that_is_unfit_is_told_by_its_keys(world: &World) {
    let repository = json!({"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageRepository",
        "metadata": {"name": "web", "namespace": "tenant"},
        "spec": {"image": format!("{}/apps/web", world.registry.host()), "interval": "1h",
            "insecure": true, "secretRef": {"name": "pull"}}});
    apply(&world.client, repository).await;
    let large = "canary".repeat(150_000);
    for data in [
        json!({"password": "canary-1"}),
        json!({".dockerconfigjson": "{canary"}),
        json!({".dockerconfigjson": "{\"auths\": {\"canary\": {\"auth\": \"\\u0000\\r\\n\"}}}"}),
        json!({"other": large}),
    ] {
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "pull", "namespace": "tenant"}, "stringData": data});
        world.replace_secret("tenant", "pull", secret).await;
        world
            .ask("ImageRepository", "tenant", &data.to_string()[..12])
            .await;
        world
            .until_unwell(
                "ImageRepository",
                "tenant",
                "AuthenticationFailed",
                "tenant/pull",
            )
            .await;
        let object = world.get("ImageRepository", "tenant").await;
        let told = object["status"].to_string();
        assert!(!told.contains("canary"), "{told}");
    }
}

/// `a-b` with `c` and `a` with `b-c`: nothing of the one is taken for the other's.
async fn k12_names_that_look_the_same_when_joined_are_not(world: &World) {
    for (namespace, name, tag) in [("a-b", "c", "1.0.0"), ("a", "b-c", "2.0.0")] {
        world.namespace(namespace, PASSWORD).await;
        let image = format!("{namespace}/{name}");
        world.registry.tag(&image, tag);
        let object = |kind: &str, spec: Value| {
            json!({"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": kind,
                "metadata": {"name": name, "namespace": namespace}, "spec": spec})
        };
        let url = format!("{}/{image}", world.registry.host());
        let repository = json!({"image": url, "interval": "1h", "insecure": true});
        apply(&world.client, object("ImageRepository", repository)).await;
        let policy = json!({"imageRepositoryRef": {"name": name}, "policy": {"alphabetical": {}}});
        apply(&world.client, object("ImagePolicy", policy)).await;
    }
    for (namespace, name, tag) in [("a-b", "c", "1.0.0"), ("a", "b-c", "2.0.0")] {
        until(&format!("{namespace}/{name} chooses {tag}"), || async {
            let policy = world.get_named("ImagePolicy", namespace, name).await;
            policy["status"]["latestRef"]["tag"] == tag
        })
        .await;
    }
}

/// The push is done and its status is not: not this process and not the next one pushes again.
async fn k16_a_status_that_cannot_be_written_costs_no_second_commit(
    world: &World,
    bot: Bot,
) -> Bot {
    let mut shipped = deployed("rbac.yaml").into_iter();
    let role = shipped.find(|it| it["kind"] == "ClusterRole");
    let role = role.expect("there is one");
    let mut weak = role.clone();
    let rules = weak["rules"].as_array_mut().expect("rules");
    let writes_status = |rule: &Value| {
        let resource = rule["resources"][0].as_str();
        resource.is_some_and(|it| it.ends_with("/status"))
    };
    rules.retain(|rule| !writes_status(rule));
    apply(&world.client, weak).await;
    world.registry.tag("apps/web", "1.2.0");
    world.ask("ImageRepository", "apps", "unwritten").await;
    world.until_committed("apps", "1.2.0").await;
    let commits = world.commits("apps");
    assert!(bot.stop().success());
    let bot = world.bot("after", &["--no-cross-namespace-refs"]).await;
    let runs = r#"tagwright_automation_runs_total{result="unchanged"}"#;
    until("it has looked again", async || bot.metric(runs).await > 0.5).await;
    assert_eq!(world.commits("apps"), commits, "Git is the record");

    apply(&world.client, role).await;
    world
        .until_well("ImageUpdateAutomation", "apps", "repository up-to-date")
        .await;
    world.request("ImagePolicy", "apps", "written").await;
    let policy = world.get("ImagePolicy", "apps").await;
    assert_eq!(
        policy["status"]["latestRef"]["tag"], "1.2.0",
        "the status is repaired"
    );
    assert_eq!(world.commits("apps"), commits);
    bot
}

/// A Secret that may not be read is not one that does not exist: nobody goes on without it.
async fn k28_an_answer_that_is_no_answer_is_not_taken_for_absence(world: &World) {
    let nobody = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "tagwright-secrets", "namespace": "apps"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "tagwright-secrets"},
        "subjects": []});
    apply(&world.client, nobody).await;
    let asked = world.git.count("GET /apps.git/info/refs");
    world.ask("ImageUpdateAutomation", "apps", "unread").await;
    let unread = ("False", "SourceManagerFailed", "apps/git");
    world
        .until_ready("ImageUpdateAutomation", "apps", unread)
        .await;
    assert_eq!(
        world.git.count("GET /apps.git/info/refs"),
        asked,
        "nobody knocks without it"
    );
    world.namespace("apps", PASSWORD).await;
    world
        .until_well("ImageUpdateAutomation", "apps", "repository up-to-date")
        .await;
    // K11: what was derived from a Secret that is gone is gone with it.
    world.remove_secret("apps", "git").await;
    world.ask("ImageUpdateAutomation", "apps", "gone").await;
    world
        .until_ready("ImageUpdateAutomation", "apps", unread)
        .await;
}
