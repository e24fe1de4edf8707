//! Pull requests from a cluster, from a refused token to a merge.

use std::{fs, sync::Arc};

use serde_json::{Value, json};

use crate::{
    apply::{apply, condition, until},
    forge::fake::{Product, Pull, Server, Stage},
    world::{PASSWORD, World},
};

const KIND: &str = "ImageUpdateAutomation";
const BRANCH: &str = "bot/images";
const TOKEN: &str = "canary-f0rge";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_automation_keeps_one_request_current_until_a_person_decides() {
    let Some(world) = World::start().await else {
        return;
    };
    world.registry.tag("apps/web", "1.0.0");
    world.repository("apps", "1.0.0");
    world.registry.tag("apps/web", "1.1.0");
    world.namespace("apps", PASSWORD).await;
    let authorization = format!("Bearer {TOKEN}");
    let folder = world.repository_folder("apps");
    let forge = Server::start(Product::Github, &folder, &authorization, Arc::default()).await;
    let bot = world.bot("bot", &[]).await;
    world.objects_with("apps", &offering(&forge)).await;
    let requests = Requests { world, forge };

    requests
        .a_token_goes_nowhere_but_where_it_was_given_for()
        .await;
    requests.a_token_that_is_mended_opens_a_request().await;
    requests.something_newer_goes_into_the_same_request().await;
    requests.a_request_that_a_person_closed_is_held().await;
    requests.a_merge_ends_it().await;

    let log = bot.log();
    assert!(
        !log.contains("forbidden"),
        "the shipped rights suffice: {log}"
    );
    assert!(
        !log.contains(TOKEN) && !log.contains(PASSWORD),
        "a secret is logged"
    );
    requests
        .forge
        .with(|forge| assert_eq!(forge.violations, [""; 0]));
    assert!(bot.stop().success());
}

/// What the automation says besides: a forge that the Secret of its GitRepository is not for.
fn offering(forge: &Server) -> Value {
    let (name, path) = Product::Github.words();
    json!({"spec": {"git": {"push": {"branch": BRANCH, "pullRequest": {
        "forge": name, "api": format!("http://{}{path}", forge.address), "project": "acme/fleet",
        "labels": ["images"]}}}}})
}

struct Requests {
    world: World,
    forge: Server,
}

impl Requests {
    async fn a_token_goes_nowhere_but_where_it_was_given_for(&self) {
        let words = "there is no token for the forge";
        self.world
            .until_unwell(KIND, "apps", "InvalidSourceConfiguration", words)
            .await;
    }

    async fn a_token_that_is_mended_opens_a_request(&self) {
        self.secret("wrong").await;
        let named =
            json!({"spec": {"git": {"push": {"pullRequest": {"secretRef": {"name": "forge"}}}}}});
        self.world.change(KIND, "apps", named).await;
        self.world
            .until_unwell(
                KIND,
                "apps",
                "GitOperationFailed",
                "the forge refused us (401",
            )
            .await;
        self.secret(TOKEN).await;
        self.until_open(1, "1.1.0").await;

        let pull = self.pull(1).expect("it was opened");
        assert_eq!((pull.head.as_str(), pull.base.as_str()), (BRANCH, "main"));
        assert_eq!(pull.labels, ["images"]);
        assert_eq!(self.world.committed("apps"), "1.0.0", "a person merges");
        let object = self.world.get(KIND, "apps").await;
        let request = &object["status"]["pullRequests"][0];
        assert_eq!(
            (&request["branch"], &request["number"]),
            (&json!(BRANCH), &json!(1))
        );
        assert_eq!(object["status"]["lastPushCommit"], self.tip());
        let pushed = format!(
            "Succeeded pushed commit '{}' to branch '{BRANCH}' for pull request 1 (http",
            &self.tip()[..7]
        );
        until("the request is told", || async {
            let events = self.world.events(KIND, "apps").await;
            events.iter().any(|event| event.starts_with(&pushed))
        })
        .await;
    }

    async fn something_newer_goes_into_the_same_request(&self) {
        self.tag("1.2.0").await;
        self.until_open(1, "1.2.0").await;
        assert!(self.pull(2).is_none(), "one request is enough");
    }

    async fn a_request_that_a_person_closed_is_held(&self) {
        self.forge
            .with(|forge| forge.pull("1").expect("it is there").state = Stage::Closed);
        self.world.request(KIND, "apps", "closed").await;
        let fine = ("True", "Succeeded", "repository up-to-date");
        self.world.until_ready(KIND, "apps", fine).await;
        let object = self.world.get(KIND, "apps").await;
        let held = condition(&object, "Held");
        let words = held["message"].as_str().unwrap_or_default();
        assert!(words.contains("request 1 was closed by hand"), "{held}");
        let request = &object["status"]["pullRequests"][0];
        assert!(
            request["waiting"].is_string() && request["number"].is_null(),
            "{request}"
        );
        assert!(self.pull(2).is_none(), "no means no");
        self.tag("1.3.0").await;
        self.until_open(2, "1.3.0").await;
        let object = self.world.get(KIND, "apps").await;
        assert_eq!(
            condition(&object, "Held"),
            json!(null),
            "there is something newer"
        );
    }

    async fn a_merge_ends_it(&self) {
        let main = self.world.repository_folder("apps").join("refs/heads/main");
        fs::write(main, format!("{}\n", self.tip())).expect("a reference");
        self.forge
            .with(|forge| forge.pull("2").expect("it is there").state = Stage::Merged);
        self.world.request(KIND, "apps", "merged").await;
        self.world
            .until_well(KIND, "apps", "repository up-to-date")
            .await;
        let object = self.world.get(KIND, "apps").await;
        assert_eq!(object["status"]["pullRequests"], json!(null));
        let tip = self.forge.with(|forge| forge.tip(BRANCH));
        assert_eq!(tip, None, "what is left of the branch is removed");
        assert_eq!(self.world.committed("apps"), "1.3.0");
    }

    async fn secret(&self, token: &str) {
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "forge", "namespace": "apps"}, "stringData": {"token": token}});
        apply(&self.world.client, secret).await;
    }

    async fn tag(&self, tag: &str) {
        self.world.registry.tag("apps/web", tag);
        self.world.request("ImageRepository", "apps", tag).await;
    }

    async fn until_open(&self, number: u64, tag: &str) {
        let what = format!("request {number} offers {tag}");
        until(&what, || async {
            self.pull(number)
                .is_some_and(|it| it.title.contains(tag) || it.body.contains(tag))
        })
        .await;
        let words = format!("pull request {number} is open: ");
        self.world.until_well(KIND, "apps", &words).await;
    }

    fn pull(&self, number: u64) -> Option<Pull> {
        self.forge
            .with(|forge| forge.pull(&number.to_string()).cloned())
    }

    fn tip(&self) -> String {
        self.forge
            .with(|forge| forge.tip(BRANCH))
            .expect("the branch is there")
    }
}
