//! `plan --comment`: one comment on a pull request, rewritten whenever the plan is another one.

use std::{fs, process::Command, sync::Arc};

use tagwright::{
    fixture::{Fixture, RegistryServer},
    update::forge::standing::{self, Said},
};

use super::{
    fake::{Fuse, Product, Pull, Server, Trouble},
    own_commit::{Modes, OwnCommit},
    world::World,
};

/// A folder with one marked value, and a pull request.
struct Desk {
    folder: tempfile::TempDir,
    registry: RegistryServer,
    forge: Server,
    page: String,
    world: World,
}

impl Desk {
    async fn new(product: Product) -> Self {
        let world = World::new(product).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fixture = Fixture::embedded("demo").expect("the demo's fixture");
        let registry = RegistryServer::start(fixture).await.expect("loopback");
        let (repository, fuse) = (world.repository(), Arc::new(Fuse::default()));
        let forge = Server::start(product, &repository, product.authorization(), fuse).await;
        forge.with(|forge| {
            forge.pulls.push(Pull {
                number: 1,
                comments: vec!["LGTM".to_owned()],
                ..Pull::default()
            });
        });
        let path = match product {
            Product::Github => "acme/fleet/pull/1",
            Product::Gitlab => "acme/fleet/-/merge_requests/1",
            Product::Gitea => "acme/fleet/pulls/1",
            Product::BitbucketCloud => "acme/fleet/pull-requests/1",
            Product::BitbucketDataCenter => "projects/acme/repos/fleet/pull-requests/1",
            Product::AzureDevops => "organisation/acme/_git/fleet/pullrequest/1",
        };
        let page = format!("http://{}/{path}", forge.address);
        let desk = Self {
            folder,
            registry,
            forge,
            page,
            world,
        };
        desk.mark("semver=1.x");
        desk
    }

    fn mark(&self, rule: &str) {
        let image = format!("{}/acme/web:1.4.2", self.registry.address());
        let file = self.folder.path().join("tree");
        fs::create_dir_all(&file).expect("a folder");
        let text = format!("web: {image} # tagwright: {rule}\n");
        fs::write(file.join("web.yaml"), text).expect("a file");
    }

    /// Runs `plan --comment`, with the variables of a CI job.
    async fn plan(&self, comment: &str, variables: &[(&str, &str)]) -> (i32, String) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tagwright"));
        program
            .args(["plan", "--in-place", ".", comment])
            .env_clear()
            .env("HOME", self.folder.path())
            .env("TAGWRIGHT_FORGE_TOKEN", "canary-1")
            .envs(variables.iter().copied())
            .current_dir(self.folder.path().join("tree"));
        let output = tokio::task::spawn_blocking(move || program.output().expect("it starts"));
        let output = output.await.expect("no panic");
        let words = [output.stdout, output.stderr].concat();
        let words = String::from_utf8(words).expect("UTF-8");
        assert!(!words.contains("canary"), "a secret was shown: {words}");
        (output.status.code().unwrap_or(-1), words)
    }

    fn comments(&self) -> Vec<String> {
        self.forge.with(|forge| {
            assert!(forge.violations.is_empty(), "{:#?}", forge.violations);
            forge.pulls[0].comments.clone()
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_is_one_comment_that_is_kept_current() {
    // The API of Bitbucket Cloud has one address, whatever the page's is.
    let elsewhere = |it: &Product| *it != Product::BitbucketCloud;
    for product in Product::ALL.into_iter().filter(elsewhere) {
        let desk = Desk::new(product).await;
        let argument = format!("--comment={}", desk.page);
        let (code, words) = desk.plan(&argument, &[]).await;
        assert_eq!(code, 0, "{product:?}: {words}");
        let first = desk.comments();
        assert_eq!(first.len(), 2, "{product:?}: {first:?}");
        assert!(first[1].contains("| `1.4.2` | `1.5.0` |"), "{}", first[1]);

        desk.plan(&argument, &[]).await;
        assert_eq!(desk.comments(), first, "{product:?}: it says so already");

        desk.mark("semver=1.4.x");
        desk.plan(&argument, &[]).await;
        let now = desk.comments();
        assert_eq!((now.len(), now[0].as_str()), (2, "LGTM"), "{product:?}");
        assert!(!now[1].contains("1.5.0"), "{product:?}: {}", now[1]);
    }
}

#[tokio::test]
async fn a_comment_is_found_by_its_key_on_every_forge() {
    for product in Product::ALL {
        let world = World::new(product).await;
        let foreign = ["LGTM", "about tagwright:comment:plan", "> one"].map(str::to_owned);
        world.forge(|forge| {
            forge.pulls.push(Pull {
                number: 1,
                comments: foreign.to_vec(),
                ..Pull::default()
            });
        });
        let said = async |key: &str, words: &str, expected: Said| {
            let said = standing::say(&world.door(), 1, key, words).await;
            assert_eq!(said.expect("it is said"), expected, "{product:?}: {words}");
        };
        said("plan", "one", Said::Anew).await;
        said("other", "one", Said::Anew).await;
        said("plan", "one", Said::Already).await;
        said("plan", "two", Said::Reworded).await;
        world.forge(|forge| forge.pulls[0].comments.push("more".to_owned()));
        said("plan", "three", Said::Reworded).await;
        let mut comments = world.pull(1).comments;
        assert_eq!(comments.len(), 6, "{product:?}: {comments:?}");
        assert_eq!(comments[..3], foreign, "{product:?}");
        assert!(comments[3].ends_with("three"), "{product:?}: {comments:?}");

        comments.remove(3);
        world.forge(|forge| forge.pulls[0].comments = comments);
        said("plan", "four", Said::Anew).await;
        world.assert_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_knows_its_request_by_what_its_service_says() {
    let desk = Desk::new(Product::Github).await;
    let event = desk.folder.path().join("event.json");
    let payload = format!(r#"{{"pull_request": {{"html_url": "{}"}}}}"#, desk.page);
    fs::write(&event, payload).expect("a file");
    let event = event.display().to_string();
    let (code, words) = desk
        .plan("--comment", &[("GITHUB_EVENT_PATH", event.as_str())])
        .await;
    assert_eq!((code, desk.comments().len()), (0, 2), "{words}");

    let desk = Desk::new(Product::Gitlab).await;
    let (project, _) = desk.page.split_once("/-/").expect("a page of a request");
    let variables = [
        ("CI_MERGE_REQUEST_PROJECT_URL", project),
        ("CI_MERGE_REQUEST_IID", "1"),
    ];
    let (code, words) = desk.plan("--comment", &variables).await;
    assert_eq!((code, desk.comments().len()), (0, 2), "{words}");

    let (code, words) = desk.plan("--comment", &[]).await;
    assert_eq!(code, 2, "{words}");
    assert!(
        words.contains("does not belong to a pull request"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_takes_no_comment_is_an_error_with_advice() {
    let desk = Desk::new(Product::Gitea).await;
    desk.forge.with(|forge| forge.set(Some(Trouble::Forbidden)));
    let (code, words) = desk.plan(&format!("--comment={}", desk.page), &[]).await;
    assert_eq!(code, 1, "{words}");
    assert!(
        words.contains("1.5.0"),
        "the plan is shown all the same: {words}"
    );
    assert!(words.contains("token needs the right"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_without_documents_gets_a_pull_request_too() {
    let desk = Desk::new(Product::Github).await;
    let url = format!("file://{}", desk.world.repository().display());
    let fields = format!(
        "--pull-request={{forge: github, api: 'http://{}/api/v3', project: acme/fleet, labels: [images]}}",
        desk.world.server.address
    );
    let run = async |fields: String| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tagwright"));
        program
            .args([
                "run",
                "--remote",
                &url,
                "--push-branch",
                "bot/images",
                &fields,
            ])
            .env_clear()
            .env("HOME", desk.folder.path())
            .env("TAGWRIGHT_FORGE_TOKEN", "canary-1");
        let output = tokio::task::spawn_blocking(move || program.output().expect("it starts"));
        let output = output.await.expect("no panic");
        let words = [output.stdout, output.stderr].concat();
        let words = String::from_utf8(words).expect("UTF-8");
        assert!(!words.contains("canary"), "a secret was shown: {words}");
        (output.status.code(), words)
    };
    desk.world.forge(|forge| {
        let image = format!("{}/acme/web:1.4.2", desk.registry.address());
        let text = format!("web: {image} # tagwright: semver=1.x\n");
        let parent = forge.tip("main").expect("a branch");
        forge.commit(
            "main",
            &OwnCommit {
                parent: &parent,
                message: "a marker\n",
                files: vec![
                    ("apps/web.yaml".to_owned(), text.into()),
                    ("apps/api.yaml".to_owned(), b"api: none\n".to_vec()),
                ],
                modes: Modes::Kept,
            },
        )
    });
    let (code, words) = run(fields).await;
    assert_eq!(code, Some(0), "{words}");
    let pull = desk.world.pull(1);
    assert_eq!(
        (pull.head.as_str(), pull.labels),
        ("bot/images", vec!["images".to_owned()])
    );
    assert!(pull.body.contains("`1.4.2` | `1.5.0` |"), "{}", pull.body);
    desk.world.assert_sound();

    let (code, words) = run("--pull-request={labls: [images]}".to_owned()).await;
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("labls"), "{words}");
}
