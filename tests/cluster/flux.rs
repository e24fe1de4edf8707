//! What Flux has written, and what `flux` reads: its manifests are accepted as they are, its cluster is
//! taken over without a commit, its command finds what it looks for.

use serde_json::{Value, json};

use crate::{
    apply::{apply, condition, documents, dry_run, until},
    world::{AUTOMATION, PASSWORD, POLICY, REPOSITORY, World},
};

/// When Flux was last asked for anything.
const ASKED: &str = "2024-05-01T10:00:00.000000001Z";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_flux_is_taken_over_as_it_is() {
    let Some(world) = World::start().await else {
        return;
    };
    documented_shapes_are_kept(&world).await;
    world.registry.tag("apps/web", "1.0.0");
    world.registry.tag("apps/web", "1.1.0");
    world.repository("apps", "1.1.0");
    world.namespace("apps", PASSWORD).await;
    world.objects("apps").await;
    left_by_flux(&world).await;

    let bot = world.bot("bot", &[]).await;
    let runs = r#"tagwright_automation_runs_total{result="unchanged"}"#;
    until("the automation has run", async || {
        bot.metric(runs).await > 0.5
    })
    .await;
    until("the repository was scanned", async || {
        bot.metric(r#"tagwright_scans_total{result="success"}"#)
            .await
            > 0.5
    })
    .await;
    assert_eq!(world.history("apps"), ["1.1.0"], "nothing was to be done");
    for kind in [REPOSITORY, POLICY, AUTOMATION] {
        world.until_well(kind, "apps", "").await;
        let object = world.get(kind, "apps").await;
        assert_eq!(object["status"]["lastHandledReconcileAt"], ASKED, "{kind}");
        assert_eq!(condition(&object, "Reconciling"), json!(null), "{kind}");
        assert_eq!(condition(&object, "Stalled"), json!(null), "{kind}");
    }
    what_flux_reads_is_there(&world).await;
    events_say_which_commit_it_was(&world).await;
    assert!(bot.stop().success());
}

/// The server prunes what a definition does not know: here, nothing.
async fn documented_shapes_are_kept(world: &World) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux"}});
    apply(&world.client, namespace).await;
    for sent in documents(include_str!("flux.yaml")) {
        let kept = dry_run(&world.client, sent.clone()).await;
        assert_within(&sent["spec"], &kept["spec"], &sent["metadata"]["name"]);
        assert_eq!(kept["status"]["observedGeneration"], -1, "{kept:#}");
    }
}

fn assert_within(part: &Value, whole: &Value, name: &Value) {
    match part {
        Value::Object(fields) => {
            for (key, field) in fields {
                assert_within(field, &whole[key], name);
            }
        }
        other => assert_eq!(other, whole, "{name}"),
    }
}

/// The status of each object, as image-reflector-controller and image-automation-controller leave it.
async fn left_by_flux(world: &World) {
    let image = format!("{}/apps/web", world.registry.host());
    let latest = json!({"name": image, "tag": "1.1.0"});
    let head = world.commits("apps")[0].clone();
    let ready = |message: &str| {
        json!([{"type": "Ready", "status": "True", "reason": "Succeeded", "message": message,
            "lastTransitionTime": "2024-05-01T10:00:00Z", "observedGeneration": 1}])
    };
    let statuses = [
        (
            REPOSITORY,
            json!({"conditions": ready("successful scan: found 2 tags"),
            "canonicalImageName": image, "observedExclusionList": [r"^.*\.sig$"],
            "lastScanResult": {"tagCount": 2, "scanTime": "2024-05-01T10:00:00Z",
                "latestTags": ["1.1.0", "1.0.0"]}}),
        ),
        (
            POLICY,
            json!({"conditions": ready("Latest image tag resolved to 1.1.0"),
            "latestRef": latest}),
        ),
        (
            AUTOMATION,
            json!({"conditions": ready("repository up-to-date"),
            "lastAutomationRunTime": "2024-05-01T10:00:00Z", "lastPushCommit": head,
            "lastPushTime": "2024-05-01T09:00:00Z", "observedPolicies": {"web": latest},
            "observedSourceRevision": format!("main@sha1:{head}")}),
        ),
    ];
    for (kind, mut status) in statuses {
        status["observedGeneration"] = 1.into();
        status["lastHandledReconcileAt"] = ASKED.into();
        let asked = json!({"metadata": {"finalizers": ["finalizers.fluxcd.io"],
            "annotations": {"reconcile.fluxcd.io/requestedAt": ASKED}}});
        world.change(kind, "apps", asked).await;
        world
            .change_status(kind, "apps", json!({"status": status}))
            .await;
    }
}

/// `flux get image all` prints what these fields say, and `kubectl get` these columns.
async fn what_flux_reads_is_there(world: &World) {
    let shown = async |plural: &str| world.columns(plural, "apps").await.join(", ");
    let repositories = shown("imagerepositories").await;
    assert_eq!(
        repositories,
        "Name, Image, Tags, Ready, Status, Last scan, Age"
    );
    let policies = shown("imagepolicies").await;
    assert_eq!(policies, "Name, Image, Tag, Ready, Status, Age");
    let automations = shown("imageupdateautomations").await;
    assert_eq!(automations, "Name, Ready, Status, Last run, Age");
    let repository = world.get(REPOSITORY, "apps").await;
    assert!(repository["status"]["lastScanResult"]["scanTime"].is_string());
    assert_eq!(repository["status"]["lastScanResult"]["tagCount"], 2);
    let policy = world.get(POLICY, "apps").await;
    assert_eq!(policy["status"]["latestRef"]["tag"], "1.1.0");
    let automation = world.get(AUTOMATION, "apps").await;
    assert!(automation["status"]["lastAutomationRunTime"].is_string());
}

/// An alert of Flux finds revision and commit where Flux puts them.
async fn events_say_which_commit_it_was(world: &World) {
    world.registry.tag("apps/web", "1.2.0");
    world.request(REPOSITORY, "apps", "newer").await;
    world.until_committed("apps", "1.2.0").await;
    let head = world.commits("apps")[0].clone();
    until("the push is told with its commit", async || {
        let told = world.event_annotations(AUTOMATION, "apps").await;
        told.iter().any(|it| {
            it.get("image.toolkit.fluxcd.io/commit") == Some(&head)
                && it.get("image.toolkit.fluxcd.io/revision") == Some(&format!("main@sha1:{head}"))
        })
    })
    .await;
}
