//! The whole life of objects, in the order in which a person would meet it.

use serde_json::json;

use crate::{
    apply::{apply, condition, until},
    audit,
    bot::Bot,
    manifests,
    world::{AUTOMATION, PASSWORD, POLICY, REPOSITORY, World},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_live_as_under_flux() {
    let Some(world) = World::start().await else {
        return;
    };
    world.registry.tag("apps/web", "1.0.0");
    world.registry.tag("apps/web", "1.1.0");
    world.repository("apps", "1.0.0");
    world.namespace("apps", "wrong").await;
    let bot = world.bot("bot", &[]).await;
    world.objects("apps").await;

    manifests::are_accepted(&world).await;
    a_secret_that_is_mended_is_noticed(&world).await;
    status_says_what_was_done(&world).await;
    a_new_tag_becomes_a_commit(&world).await;
    at_rest_nothing_is_written(&world, &bot).await;
    a_suspended_automation_rests(&world).await;
    a_reference_across_namespaces_needs_leave(&world).await;
    a_faulty_object_stalls_alone(&world).await;
    every_policy_counts_what_it_says(&world, &bot).await;
    deleted_objects_go(&world).await;

    let log = bot.log();
    assert!(
        !log.contains("forbidden"),
        "the shipped rights suffice: {log}"
    );
    assert!(!log.contains(PASSWORD), "a secret is logged");
    assert!(bot.is_healthy().await);
    assert!(bot.stop().success(), "it ends when it is asked to");
    audit::the_shipped_rights_are_those_that_are_used(&world);
}

async fn a_secret_that_is_mended_is_noticed(world: &World) {
    world.until_well(REPOSITORY, "apps", "found 2 tags").await;
    world.until_well(POLICY, "apps", "resolved to 1.1.0").await;
    world
        .until_unwell(
            AUTOMATION,
            "apps",
            "GitOperationFailed",
            "failed to checkout source",
        )
        .await;
    assert_eq!(world.committed("apps"), "1.0.0");
    world.secret("apps", PASSWORD).await;
    world.until_committed("apps", "1.1.0").await;
    world
        .until_well(AUTOMATION, "apps", "repository up-to-date")
        .await;
}

async fn status_says_what_was_done(world: &World) {
    let image = format!("{}/apps/web", world.registry.host());
    let repository = world.get(REPOSITORY, "apps").await;
    let status = &repository["status"];
    assert_eq!(status["canonicalImageName"], image);
    assert_eq!(status["lastScanResult"]["tagCount"], 2);
    assert_eq!(
        status["lastScanResult"]["latestTags"],
        json!(["1.1.0", "1.0.0"])
    );
    assert_eq!(status["observedExclusionList"], json!([r"^.*\.sig$"]));
    assert_eq!(
        status["observedGeneration"],
        repository["metadata"]["generation"]
    );
    let finalizers = json!(["finalizers.fluxcd.io"]);
    assert_eq!(repository["metadata"]["finalizers"], finalizers);

    let policy = world.get(POLICY, "apps").await;
    let latest = json!({"name": image, "tag": "1.1.0"});
    assert_eq!(policy["status"]["latestRef"], latest);

    let automation = world.get(AUTOMATION, "apps").await;
    let status = &automation["status"];
    let head = world.commits("apps")[0].clone();
    assert_eq!(status["lastPushCommit"], head);
    assert_eq!(
        status["observedSourceRevision"],
        format!("main@sha1:{head}")
    );
    assert_eq!(status["observedPolicies"], json!({"web": latest}));
    assert!(status["lastPushTime"].is_string() && status["lastAutomationRunTime"].is_string());
    let pushed = format!(
        "Succeeded pushed commit '{}' to branch 'main'\n",
        &head[..7]
    );
    let told = || async {
        let events = world.events(AUTOMATION, "apps").await;
        events.iter().any(|event| event.starts_with(&pushed))
    };
    until("the push is told", told).await;
}

async fn a_new_tag_becomes_a_commit(world: &World) {
    world.registry.tag("apps/web", "1.2.0");
    world.request(REPOSITORY, "apps", "first").await;
    world.until_committed("apps", "1.2.0").await;
    world.request(POLICY, "apps", "second").await;
    world.request(AUTOMATION, "apps", "third").await;
    let policy = world.get(POLICY, "apps").await;
    assert_eq!(policy["status"]["observedPreviousRef"]["tag"], "1.1.0");
    assert_eq!(world.history("apps"), ["1.0.0", "1.1.0", "1.2.0"]);
}

/// Scans go on once a second, and the API server does not hear of them.
async fn at_rest_nothing_is_written(world: &World, bot: &Bot) {
    every(world, "1s").await;
    let mut before = Vec::new();
    for kind in [REPOSITORY, POLICY, AUTOMATION] {
        let object = world.get(kind, "apps").await;
        before.push((kind, object["metadata"]["resourceVersion"].clone()));
    }
    let scans = r#"tagwright_scans_total{result="success"}"#;
    let runs = r#"tagwright_automation_runs_total{result="unchanged"}"#;
    let (first_scans, first_runs) = (bot.metric(scans).await, bot.metric(runs).await);
    let several = || async {
        bot.metric(scans).await >= first_scans + 3.0 && bot.metric(runs).await >= first_runs + 3.0
    };
    until("three scans and three runs are done", several).await;
    for (kind, before) in before {
        let object = world.get(kind, "apps").await;
        assert_eq!(
            object["metadata"]["resourceVersion"], before,
            "{kind} was written at rest"
        );
    }
    every(world, "1h").await;
}

/// Gives scans and runs another interval, and waits until it was observed.
async fn every(world: &World, interval: &str) {
    for kind in [REPOSITORY, AUTOMATION] {
        let change = json!({"spec": {"interval": interval}});
        world.change(kind, "apps", change).await;
    }
    for kind in [REPOSITORY, AUTOMATION] {
        let settled = || async {
            let object = world.get(kind, "apps").await;
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
        };
        until("the new spec is observed", settled).await;
    }
}

async fn a_suspended_automation_rests(world: &World) {
    world
        .change(AUTOMATION, "apps", json!({"spec": {"suspend": true}}))
        .await;
    world.registry.tag("apps/web", "1.3.0");
    world.request(REPOSITORY, "apps", "fourth").await;
    world.until_well(POLICY, "apps", "resolved to 1.3.0").await;
    world.request(REPOSITORY, "apps", "fifth").await;
    assert_eq!(world.committed("apps"), "1.2.0", "it is suspended");
    world
        .change(AUTOMATION, "apps", json!({"spec": {"suspend": false}}))
        .await;
    world.until_committed("apps", "1.3.0").await;
}

async fn a_reference_across_namespaces_needs_leave(world: &World) {
    world.namespace("guests", PASSWORD).await;
    let mut policy = world.documents("guests")[1].clone();
    policy["spec"]["imageRepositoryRef"]["namespace"] = "apps".into();
    apply(&world.client, policy).await;
    let denied = (
        "False",
        "AccessDenied",
        "missing ACL labels on 'accessFrom'",
    );
    world.until_ready(POLICY, "guests", denied).await;
    let leave = |team: &str| json!({"spec": {"accessFrom": {"namespaceSelectors": [{"matchLabels": {"team": team}}]}}});
    world.change(REPOSITORY, "apps", leave("nobody")).await;
    world
        .until_unwell(
            POLICY,
            "guests",
            "AccessDenied",
            "ACL labels mismatch on namespace 'guests'",
        )
        .await;
    world.change(REPOSITORY, "apps", leave("guests")).await;
    world
        .until_well(POLICY, "guests", "resolved to 1.3.0")
        .await;
}

async fn a_faulty_object_stalls_alone(world: &World) {
    world
        .change(
            POLICY,
            "guests",
            json!({"spec": {"policy": {"semver": null}}}),
        )
        .await;
    world
        .until_unwell(POLICY, "guests", "InvalidPolicy", "chooses nothing")
        .await;
    let policy = world.get(POLICY, "guests").await;
    assert_eq!(condition(&policy, "Stalled")["status"], "True");
    assert_eq!(condition(&policy, "Reconciling"), json!(null));
    let generation = &policy["metadata"]["generation"];
    assert_eq!(&policy["status"]["observedGeneration"], generation);
    world.request(POLICY, "apps", "sixth").await;
    world.until_well(POLICY, "apps", "resolved to 1.3.0").await;
}

async fn every_policy_counts_what_it_says(world: &World, bot: &Bot) {
    let range = json!({"spec": {"policy": {"semver": {"range": ">=9"}}}});
    world.change(POLICY, "apps", range).await;
    world
        .until_unwell(POLICY, "apps", "Failure", "no tag satisfies")
        .await;
    let policy = world.get(POLICY, "apps").await;
    assert_eq!(
        policy["status"]["latestRef"]["tag"], "1.3.0",
        "the last choice stays"
    );
    let text = bot.metrics().await;
    for name in [
        r#"tagwright_policy_verdicts_total{verdict="nothing_matched"}"#,
        "tagwright_tag_to_commit_seconds_count",
        r#"gotk_reconcile_condition{kind="ImagePolicy",name="web",namespace="apps",type="Ready",status="False"} 1"#,
        r#"gotk_reconcile_duration_seconds_count{kind="ImageRepository""#,
    ] {
        assert!(text.contains(name), "{name}: {text}");
    }
}

async fn deleted_objects_go(world: &World) {
    for kind in [AUTOMATION, POLICY, REPOSITORY] {
        world.delete(kind, "apps").await;
        until(&format!("{kind} is gone"), || world.is_gone(kind, "apps")).await;
    }
    // What is gone is told as what nobody may see, and before what is wrong with the policy.
    world
        .until_unwell(POLICY, "guests", "AccessDenied", "missing ACL labels")
        .await;
}
