//! A cluster with a company's objects in it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use serde_json::{Value, json};
use tagwright::{fixture::repository, update::git::Author};

use crate::{
    apiserver::Cluster,
    apply::{apply, deployed, git_repository_definition, resource, without_cel},
    bot::Bot,
    git_server::{GitServer, Running, git},
    registry::Registry,
};

const SYSTEM: &str = "tagwright-system";
/// How many requests are made to the API server at once.
const AT_ONCE: usize = 16;
/// How long nothing may be written before the controller is taken to be done.
const QUIET: Duration = Duration::from_secs(5);
/// How long one commit may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// How many objects there are; of policies as many as of repositories.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) repositories: usize,
    pub(crate) automations: usize,
}

pub(crate) struct Fleet {
    pub(crate) sizes: Sizes,
    pub(crate) registry: Registry,
    // The processes end before the folder is removed.
    cluster: Cluster,
    client: Client,
    git: Running,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
    /// How many tags were pushed.
    rounds: usize,
    /// How often anything had been written when the last thing was asked of the controller.
    asked: usize,
}

impl Fleet {
    /// Starts everything but the controller, or says what is missing.
    pub(crate) async fn start(sizes: Sizes) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cluster = Cluster::start()?;
        let client = cluster.client().await;
        let repositories = folder.path().join("git");
        fs::create_dir(&repositories).expect("a new folder");
        let git = GitServer::of(&repositories).start().await;
        for mut definition in tagwright::crd::definitions() {
            without_cel(&mut definition);
            apply(&client, definition).await;
        }
        apply(&client, git_repository_definition()).await;
        for file in ["namespace.yaml", "rbac.yaml"] {
            for object in deployed(file) {
                apply(&client, object).await;
            }
        }
        let kubeconfig = cluster.kubeconfig_of(&client, SYSTEM, "tagwright").await;
        let mut fleet = Self {
            sizes,
            registry: Registry::start().await,
            cluster,
            client,
            git,
            kubeconfig,
            folder,
            rounds: 0,
            asked: 0,
        };
        fleet.fill().await;
        fleet.asked = fleet.writes().await;
        Some(fleet)
    }

    /// Creates namespaces, Git repositories and objects.
    async fn fill(&self) {
        for team in 0..self.sizes.automations {
            apply(&self.client, namespace(&team_name(team))).await;
            self.git_repository(team);
        }
        let apps = stream::iter(0..self.sizes.repositories);
        let create = async |app: usize| {
            for object in self.app(app) {
                self.create(object).await;
            }
        };
        apps.map(create).buffer_unordered(AT_ONCE).count().await;
        for team in 0..self.sizes.automations {
            self.create(self.automation(team)).await;
        }
    }

    /// A bare repository with a marked value for each of the team's policies.
    fn git_repository(&self, team: usize) {
        let name = team_name(team);
        let apps = (0..self.sizes.repositories).filter(|app| self.team_of(*app) == team);
        let lines = apps.map(|app| {
            let image = self.image(app);
            let policy = format!("{name}:{}", app_name(app));
            format!("- image: {image}:1.0.0 # {{\"$imagepolicy\": \"{policy}\"}}\n")
        });
        let files = [(
            "apps.yaml".to_owned(),
            lines.collect::<String>().into_bytes(),
        )];
        let author = Author {
            name: "Dev".to_owned(),
            email: "dev@example.com".to_owned(),
        };
        let time = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
        let folder = self.git_folder(team);
        repository::create(&folder, &files.into(), &author, time).expect("a new repository");
        let mut command = git();
        command.arg("--git-dir").arg(&folder);
        let set = command
            .args(["config", "http.receivepack", "true"])
            .status();
        assert!(set.is_ok_and(|it| it.success()), "git takes a setting");
    }

    /// An image repository and its policy.
    fn app(&self, app: usize) -> [Value; 2] {
        let (namespace, name) = (team_name(self.team_of(app)), app_name(app));
        let image = json!({"image": self.image(app), "interval": "1h", "insecure": true});
        let policy = json!({"imageRepositoryRef": {"name": name},
            "policy": {"semver": {"range": ">=1.0.0"}}});
        [
            object("ImageRepository", &namespace, &name, &image),
            object("ImagePolicy", &namespace, &name, &policy),
        ]
    }

    fn automation(&self, team: usize) -> Value {
        let name = team_name(team);
        let url = self.git.url(&format!("{name}.git")).to_string();
        let spec = json!({"interval": "1h",
            "git": {"url": url, "checkout": {"ref": {"branch": "main"}},
                "commit": {"author": {"email": "bot@example.com", "name": "bot"}}},
            "update": {"path": "./", "strategy": "Setters"}});
        object("ImageUpdateAutomation", &name, "fleet", &spec)
    }

    async fn create(&self, object: Value) {
        let api = self.api(&object);
        let object = serde_json::from_value::<DynamicObject>(object).expect("an object");
        let created = api.create(&PostParams::default(), &object).await;
        created.expect("the object is accepted");
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let kind = object["kind"].as_str().expect("a kind");
        let namespace = object["metadata"]["namespace"]
            .as_str()
            .expect("a namespace");
        let resource = resource("image.toolkit.fluxcd.io", "v1", kind);
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// Starts a controller, as `deploy/` does.
    pub(crate) fn bot(&self) -> Bot {
        let folder = self.cluster.folder();
        Bot::start(folder, "bot", &self.kubeconfig, &["--log-level=info"], &[])
    }

    /// Waits until the controller has written everything that it wants to write: of every repository
    /// something, since it was last asked for anything.
    pub(crate) async fn until_settled(&self) {
        let (mut last, mut since) = (self.writes().await, Instant::now());
        let enough = self.asked + self.sizes.repositories;
        while last < enough || since.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let writes = self.writes().await;
            if writes != last {
                (last, since) = (writes, Instant::now());
            }
        }
    }

    /// How often anything was written that a controller writes, events and leases included, by the
    /// API server's own count.
    pub(crate) async fn writes(&self) -> usize {
        let request = http::Request::get("/metrics").body(Vec::new());
        let request = request.expect("a request");
        let text = self.client.request_text(request).await;
        let text = text.expect("the API server counts");
        let is_ours = |line: &&str| {
            line.starts_with("apiserver_request_total{")
                && ["POST", "PUT", "PATCH", "DELETE", "APPLY"]
                    .iter()
                    .any(|verb| line.contains(&format!("verb=\"{verb}\"")))
                && (line.contains("group=\"image.toolkit.fluxcd.io\"")
                    || line.contains("resource=\"events\"")
                    || line.contains("resource=\"leases\""))
        };
        let counts = text.lines().filter(is_ours);
        let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        counts.sum()
    }

    /// Lets every repository be scanned so often.
    pub(crate) async fn scan_every(&mut self, interval: Duration) {
        self.asked = self.writes().await + self.sizes.repositories;
        let patch = json!({"spec": {"interval": format!("{}s", interval.as_secs())}});
        let change = async |app: usize| {
            let [repository, _] = self.app(app);
            self.patch(&repository, &patch).await;
        };
        let apps = stream::iter(0..self.sizes.repositories);
        apps.map(change).buffer_unordered(AT_ONCE).count().await;
    }

    async fn patch(&self, object: &Value, patch: &Value) {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let (api, parameters) = (self.api(object), PatchParams::default());
        let patched = api.patch(name, &parameters, &Patch::Merge(patch)).await;
        patched.expect("the object is there");
    }

    /// Adds objects that nothing can be done with: a registry that never answers, an image that is
    /// none, a pattern that is none.
    pub(crate) async fn poison(&self) {
        apply(&self.client, namespace("poison")).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let silent = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            let mut clients = Vec::new();
            while let Ok((client, _)) = listener.accept().await {
                clients.push(client);
            }
        });
        let silent = json!({"image": format!("{silent}/app"), "interval": "1s", "insecure": true});
        self.create(object("ImageRepository", "poison", "silent", &silent))
            .await;
        let none = json!({"image": "https://no/image", "interval": "1s"});
        self.create(object("ImageRepository", "poison", "none", &none))
            .await;
        let pattern = json!({"imageRepositoryRef": {"name": "silent"},
            "filterTags": {"pattern": "("}, "policy": {"alphabetical": {}}});
        self.create(object("ImagePolicy", "poison", "pattern", &pattern))
            .await;
    }

    /// Pushes a tag, asks for a scan, and says how long it took until the commit stood.
    pub(crate) async fn round(&mut self, bot: &Bot) -> Duration {
        self.rounds += 1;
        // Another team each time, and another application of that team.
        let app = (self.rounds * 7) % self.sizes.repositories;
        let team = self.team_of(app);
        let tag = format!("1.{}.0", self.rounds);
        let before = self.tip(team);
        let [repository, _] = self.app(app);
        let start = Instant::now();
        self.registry.tag(&app_name(app), &tag);
        let patch = json!({"metadata": {"annotations":
            {"reconcile.fluxcd.io/requestedAt": tag}}});
        self.patch(&repository, &patch).await;
        while self.tip(team) == before {
            assert!(start.elapsed() < PATIENCE, "no commit: {}", bot.log());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = start.elapsed();
        let mut show = git();
        show.arg("--git-dir").arg(self.git_folder(team));
        let shown = show.args(["show", "main:apps.yaml"]).output();
        let text = String::from_utf8(shown.expect("git is there").stdout).expect("text");
        let value = format!("{}:{tag} ", self.image(app));
        assert!(text.contains(&value), "another commit was made");
        took
    }

    fn tip(&self, team: usize) -> String {
        let file = self.git_folder(team).join("refs/heads/main");
        fs::read_to_string(file).unwrap_or_default()
    }

    fn image(&self, app: usize) -> String {
        format!("{}/{}", self.registry.host(), app_name(app))
    }

    fn team_of(&self, app: usize) -> usize {
        app % self.sizes.automations
    }

    fn git_folder(&self, team: usize) -> PathBuf {
        let name = format!("{}.git", team_name(team));
        self.folder.path().join("git").join(name)
    }
}

fn team_name(team: usize) -> String {
    format!("team-{team}")
}

fn app_name(app: usize) -> String {
    format!("app-{app}")
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn object(kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}
