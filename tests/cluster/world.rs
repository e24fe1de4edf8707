//! A cluster with the definitions and the rights of `deploy/`, a registry, and a Git server.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Event, Secret};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::{Value, json};

use crate::{
    apiserver::Cluster,
    apply::{
        PATIENCE, apply, condition, deployed, git_repository_definition, merge, resource, until,
        without_cel,
    },
    bot::Bot,
    docker_registry::{DockerRegistry, Login},
    git_server::{GitServer, Running, git},
};

pub(crate) const REPOSITORY: &str = "ImageRepository";
pub(crate) const POLICY: &str = "ImagePolicy";
pub(crate) const AUTOMATION: &str = "ImageUpdateAutomation";
pub(crate) const SYSTEM: &str = "tagwright-system";
/// `bot:canary-s3cret`, in base64.
pub(crate) const AUTHORIZATION: &str = "Basic Ym90OmNhbmFyeS1zM2NyZXQ=";
pub(crate) const PASSWORD: &str = "canary-s3cret";

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    pub(crate) registry: DockerRegistry,
    pub(crate) git: Running,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

impl World {
    /// Starts everything but the controller, or says what is missing.
    pub(crate) async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let registry = DockerRegistry::start(folder.path(), &Login::Open)?;
        let cluster = Cluster::start()?;
        let client = cluster.client().await;
        let repositories = folder.path().join("git");
        fs::create_dir(&repositories).expect("a new folder");
        let git = GitServer::of(&repositories)
            .asking_for(AUTHORIZATION)
            .start()
            .await;
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
        Some(Self {
            cluster,
            client,
            registry,
            git,
            kubeconfig,
            folder,
        })
    }

    /// Starts a controller and waits until it has seen everything.
    pub(crate) async fn bot(&self, name: &str, more: &[&str]) -> Bot {
        self.bot_with(name, more, &[]).await
    }

    /// The same, with variables.
    pub(crate) async fn bot_with(
        &self,
        name: &str,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Bot {
        self.bot_as(name, &self.kubeconfig, more, variables).await
    }

    /// The same, as another ServiceAccount.
    pub(crate) async fn bot_as(
        &self,
        name: &str,
        kubeconfig: &Path,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Bot {
        let folder = self.cluster.folder();
        let arguments = [&["--log-level=debug"], more].concat();
        let bot = Bot::start(folder, name, kubeconfig, &arguments, variables);
        until("the controller is ready", || bot.is_ready()).await;
        bot
    }

    /// A namespace whose Secrets the controller may read, with the Secret of the Git server.
    pub(crate) async fn namespace(&self, name: &str, password: &str) {
        apply(
            &self.client,
            json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"team": name}}}),
        )
        .await;
        apply(
            &self.client,
            json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "tagwright-secrets", "namespace": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": "tagwright-secrets"},
            "subjects": [{"kind": "ServiceAccount", "name": "tagwright", "namespace": SYSTEM}]}),
        )
        .await;
        self.secret(name, password).await;
    }

    pub(crate) async fn secret(&self, namespace: &str, password: &str) {
        apply(
            &self.client,
            json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "git", "namespace": namespace},
            "stringData": {"username": "bot", "password": password}}),
        )
        .await;
    }

    /// A Git repository with one file, whose image has a marker for `namespace:web`.
    pub(crate) fn repository(&self, namespace: &str, tag: &str) {
        let image = format!("{}/{namespace}/web", self.registry.host());
        let text = format!("image: {image}:{tag} # {{\"$imagepolicy\": \"{namespace}:web\"}}\n");
        self.repository_of(namespace, &[("apps/web.yaml", text)]);
    }

    /// A Git repository with these files.
    pub(crate) fn repository_of(&self, namespace: &str, files: &[(&str, String)]) {
        let folder = self.repository_folder(namespace);
        let files = files.iter().cloned();
        let files = files.map(|(path, text)| (path.to_owned(), text.into_bytes()));
        let author = tagwright::update::git::Author {
            name: "Dev".to_owned(),
            email: "dev@example.com".to_owned(),
        };
        let time = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
        tagwright::fixture::repository::create(&folder, &files.collect(), &author, time)
            .expect("a new repository");
        self.git_command(namespace, &["config", "http.receivepack", "true"]);
    }

    /// The three image objects and the GitRepository, all called `web`.
    pub(crate) async fn objects(&self, namespace: &str) {
        self.objects_with(namespace, &json!({})).await;
    }

    /// The same, with more in the automation, which it gives.
    pub(crate) async fn objects_with(&self, namespace: &str, automation: &Value) -> Value {
        let mut objects = self.documents(namespace);
        merge(&mut objects[3], automation);
        for object in &objects {
            apply(&self.client, object.clone()).await;
        }
        objects[3].clone()
    }

    pub(crate) fn documents(&self, namespace: &str) -> [Value; 4] {
        let image = format!("{}/{namespace}/web", self.registry.host());
        let url = self.git.url(&format!("{namespace}.git")).to_string();
        let object = |group: &str, kind: &str, spec: Value| {
            json!({"apiVersion": format!("{group}.toolkit.fluxcd.io/v1"), "kind": kind,
                "metadata": {"name": "web", "namespace": namespace}, "spec": spec})
        };
        [
            object(
                "image",
                "ImageRepository",
                json!({"image": image, "interval": "1h", "insecure": true}),
            ),
            object(
                "image",
                "ImagePolicy",
                json!({"imageRepositoryRef": {"name": "web"},
                "policy": {"semver": {"range": ">=1.0.0"}}}),
            ),
            object(
                "source",
                "GitRepository",
                json!({"url": url, "interval": "1h",
                "ref": {"branch": "main"}, "secretRef": {"name": "git"}}),
            ),
            object(
                "image",
                "ImageUpdateAutomation",
                json!({"interval": "1h",
                "sourceRef": {"kind": "GitRepository", "name": "web"},
                "git": {"commit": {"author": {"email": "bot@example.com", "name": "bot"}}},
                "update": {"path": "./apps", "strategy": "Setters"}}),
            ),
        ]
    }

    /// The text of a file at the tip of a branch.
    pub(crate) fn file_of(&self, namespace: &str, branch: &str, path: &str) -> String {
        self.git_command(namespace, &["show", &format!("{branch}:{path}")])
    }

    /// The ids of a range of commits, the newest first.
    pub(crate) fn log_of(&self, namespace: &str, range: &str) -> String {
        self.git_command(namespace, &["log", "--format=%H", range])
    }

    /// What stands in the repository now: the tag of the image.
    pub(crate) fn committed(&self, namespace: &str) -> String {
        let text = self.file_of(namespace, "main", "apps/web.yaml");
        let value = text.split_whitespace().nth(1).unwrap_or_default();
        value.rsplit(':').next().unwrap_or_default().to_owned()
    }

    /// The ids of the commits, the newest first.
    pub(crate) fn commits(&self, namespace: &str) -> Vec<String> {
        let log = self.log_of(namespace, "main");
        log.lines().map(str::to_owned).collect()
    }

    /// The tag that each commit wrote, the oldest first.
    pub(crate) fn history(&self, namespace: &str) -> Vec<String> {
        let mut commits = self.commits(namespace);
        commits.reverse();
        let tags = commits.iter().map(|commit| {
            let text = self.git_command(namespace, &["show", &format!("{commit}:apps/web.yaml")]);
            let value = text.split_whitespace().nth(1).unwrap_or_default();
            value.rsplit(':').next().unwrap_or_default().to_owned()
        });
        tags.collect()
    }

    pub(crate) async fn until_committed(&self, namespace: &str, tag: &str) {
        let what = format!("{tag} is committed in {namespace}");
        until(&what, || async { self.committed(namespace) == tag }).await;
    }

    /// Asks for a reconciliation, as `flux reconcile` does, and waits until it was answered.
    pub(crate) async fn request(&self, kind: &str, namespace: &str, token: &str) {
        self.ask(kind, namespace, token).await;
        let answered = || async {
            let object = self.get(kind, namespace).await;
            object["status"]["lastHandledReconcileAt"] == token
        };
        until(&format!("{kind} answers {token}"), answered).await;
    }

    /// Asks for a reconciliation, and waits for nothing.
    pub(crate) async fn ask(&self, kind: &str, namespace: &str, token: &str) {
        let change = json!({"metadata": {"annotations":
            {"reconcile.fluxcd.io/requestedAt": token}}});
        self.change(kind, namespace, change).await;
    }

    pub(crate) async fn change(&self, kind: &str, namespace: &str, change: Value) {
        let api = self.api(kind, namespace);
        let patch = Patch::Merge(change);
        api.patch("web", &PatchParams::default(), &patch)
            .await
            .expect("the object is there");
    }

    /// Writes a status, as somebody may who is not the controller.
    pub(crate) async fn change_status(&self, kind: &str, namespace: &str, change: Value) {
        let (api, parameters) = (self.api(kind, namespace), PatchParams::default());
        let patched = api
            .patch_status("web", &parameters, &Patch::Merge(change))
            .await;
        patched.expect("the object is there");
    }

    /// Puts a Secret in the place of one that may have had other keys.
    pub(crate) async fn replace_secret(&self, namespace: &str, name: &str, secret: Value) {
        self.remove_secret(namespace, name).await;
        apply(&self.client, secret).await;
    }

    /// Removes a Secret, if it is there.
    pub(crate) async fn remove_secret(&self, namespace: &str, name: &str) {
        let api = Api::<Secret>::namespaced(self.client.clone(), namespace);
        let _ = api.delete(name, &DeleteParams::default()).await;
    }

    pub(crate) async fn delete(&self, kind: &str, namespace: &str) {
        let api = self.api(kind, namespace);
        api.delete("web", &DeleteParams::default())
            .await
            .expect("the object is there");
    }

    pub(crate) async fn is_gone(&self, kind: &str, namespace: &str) -> bool {
        let api = self.api(kind, namespace);
        api.get_opt("web")
            .await
            .is_ok_and(|object| object.is_none())
    }

    /// An object as it is now.
    pub(crate) async fn get(&self, kind: &str, namespace: &str) -> Value {
        self.get_named(kind, namespace, "web").await
    }

    pub(crate) async fn get_named(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let object = self.api(kind, namespace).get(name).await;
        serde_json::to_value(object.expect("the object is there")).expect("it is JSON")
    }

    /// Waits until an object is well, and says so in words that hold these.
    pub(crate) async fn until_well(&self, kind: &str, namespace: &str, words: &str) {
        let well = ("True", "Succeeded", words);
        self.until_ready(kind, namespace, well).await;
    }

    /// Waits until an object is not well, for a reason, and says so in words that hold these.
    pub(crate) async fn until_unwell(
        &self,
        kind: &str,
        namespace: &str,
        reason: &str,
        words: &str,
    ) {
        let unwell = ("False", reason, words);
        self.until_ready(kind, namespace, unwell).await;
    }

    /// Waits until the Ready condition is what it has to be: its status, its reason, and a part of
    /// its message.
    pub(crate) async fn until_ready(
        &self,
        kind: &str,
        namespace: &str,
        (status, reason, words): (&str, &str, &str),
    ) {
        let what = format!("{kind} in {namespace} is {status} {reason} {words}");
        let start = Instant::now();
        loop {
            let object = self.get(kind, namespace).await;
            let ready = condition(&object, "Ready");
            let message = ready["message"].as_str().unwrap_or_default();
            if ready["status"] == status && ready["reason"] == reason && message.contains(words) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{what}: {:#}", object["status"]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The columns that `kubectl get -o wide` prints.
    pub(crate) async fn columns(&self, plural: &str, namespace: &str) -> Vec<String> {
        let path = format!("/apis/image.toolkit.fluxcd.io/v1/namespaces/{namespace}/{plural}");
        let request = http::Request::get(path)
            .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
            .body(Vec::new());
        let table = self
            .client
            .request::<Value>(request.expect("a request"))
            .await;
        let table = table.expect("objects can be printed");
        let columns = table["columnDefinitions"].as_array();
        let names = columns
            .into_iter()
            .flatten()
            .filter_map(|it| it["name"].as_str());
        names.map(str::to_owned).collect()
    }

    async fn events_about(&self, kind: &str, namespace: &str) -> Vec<Event> {
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        let events = api
            .list(&ListParams::default())
            .await
            .expect("events can be listed");
        let own = events.items.into_iter();
        let own = own.filter(|it| it.involved_object.kind.as_deref() == Some(kind));
        own.collect()
    }

    /// The annotations of the events about `kind`.
    pub(crate) async fn event_annotations(
        &self,
        kind: &str,
        namespace: &str,
    ) -> Vec<BTreeMap<String, String>> {
        let events = self.events_about(kind, namespace).await.into_iter();
        events.filter_map(|it| it.metadata.annotations).collect()
    }

    /// The messages of the events about `kind`.
    pub(crate) async fn events(&self, kind: &str, namespace: &str) -> Vec<String> {
        let own = self.events_about(kind, namespace).await.into_iter();
        own.map(|it| {
            format!(
                "{} {}",
                it.reason.unwrap_or_default(),
                it.message.unwrap_or_default()
            )
        })
        .collect()
    }

    pub(crate) fn repository_folder(&self, namespace: &str) -> PathBuf {
        self.folder
            .path()
            .join("git")
            .join(format!("{namespace}.git"))
    }

    fn git_command(&self, namespace: &str, arguments: &[&str]) -> String {
        let mut command = git();
        command
            .arg("--git-dir")
            .arg(self.repository_folder(namespace));
        let output = command
            .args(arguments)
            .output()
            .expect("git is on the path");
        String::from_utf8(output.stdout).expect("it is text")
    }

    fn api(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let group = if kind == "GitRepository" {
            "source"
        } else {
            "image"
        };
        let group = format!("{group}.toolkit.fluxcd.io");
        let resource = resource(&group, "v1", kind);
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }
}
