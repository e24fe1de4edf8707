//! A cluster with the definitions and the rights of `deploy/`, a registry, and a Git server.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Event;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::{
    apiserver::Cluster,
    bot::Bot,
    docker_registry::{DockerRegistry, Login},
    git_server::{GitServer, Running, git},
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);
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
        let folder = self.cluster.folder();
        let bot = Bot::start(folder, name, &self.kubeconfig, more, variables);
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
        let folder = self.repository_folder(namespace);
        let image = format!("{}/{namespace}/web", self.registry.host());
        let text = format!("image: {image}:{tag} # {{\"$imagepolicy\": \"{namespace}:web\"}}\n");
        let files = [("apps/web.yaml".to_owned(), text.into_bytes())];
        let author = tagwright::update::git::Author {
            name: "Dev".to_owned(),
            email: "dev@example.com".to_owned(),
        };
        let time = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
        tagwright::fixture::repository::create(&folder, &files.into(), &author, time)
            .expect("a new repository");
        self.git_command(namespace, &["config", "http.receivepack", "true"]);
    }

    /// The three image objects and the GitRepository, all called `web`.
    pub(crate) async fn objects(&self, namespace: &str) {
        self.objects_with(namespace, &json!({})).await;
    }

    /// The same, with more in the automation.
    pub(crate) async fn objects_with(&self, namespace: &str, automation: &Value) {
        let mut objects = self.documents(namespace);
        merge(&mut objects[3], automation);
        for object in objects {
            apply(&self.client, object).await;
        }
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

    /// What stands in the repository now: the tag of the image.
    pub(crate) fn committed(&self, namespace: &str) -> String {
        let text = self.git_command(namespace, &["show", "main:apps/web.yaml"]);
        let value = text.split_whitespace().nth(1).unwrap_or_default();
        value.rsplit(':').next().unwrap_or_default().to_owned()
    }

    /// The ids of the commits, the newest first.
    pub(crate) fn commits(&self, namespace: &str) -> Vec<String> {
        let log = self.git_command(namespace, &["log", "--format=%H", "main"]);
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
        let change = json!({"metadata": {"annotations":
            {"reconcile.fluxcd.io/requestedAt": token}}});
        self.change(kind, namespace, change).await;
        let answered = || async {
            let object = self.get(kind, namespace).await;
            object["status"]["lastHandledReconcileAt"] == token
        };
        until(&format!("{kind} answers {token}"), answered).await;
    }

    pub(crate) async fn change(&self, kind: &str, namespace: &str, change: Value) {
        let api = self.api(kind, namespace);
        let patch = Patch::Merge(change);
        api.patch("web", &PatchParams::default(), &patch)
            .await
            .expect("the object is there");
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
        let object = self.api(kind, namespace).get("web").await;
        serde_json::to_value(object.expect("the object is there")).expect("it is JSON")
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

    /// The messages of the events about `kind`.
    pub(crate) async fn events(&self, kind: &str, namespace: &str) -> Vec<String> {
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        let events = api
            .list(&ListParams::default())
            .await
            .expect("events can be listed");
        let own = events.items.into_iter();
        let own = own.filter(|it| it.involved_object.kind.as_deref() == Some(kind));
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

/// Waits until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < PATIENCE, "not yet: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn condition(object: &Value, kind: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions
        .into_iter()
        .flatten()
        .find(|it| it["type"] == kind);
    found.cloned().unwrap_or_default()
}

/// Puts the fields of `from` into a document.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Takes the rules out of a definition that a server of this age does not know.
pub(crate) fn without_cel(definition: &mut Value) {
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let spec = definition.pointer_mut(spec).and_then(Value::as_object_mut);
    spec.expect("every kind has a spec")
        .remove("x-kubernetes-validations");
}

/// Applies an object on the server's side, whatever its kind.
pub(crate) async fn apply(client: &Client, object: Value) {
    apply_with(client, object, &PatchParams::apply("tests").force()).await;
}

/// Lets the server say whether it would take an object.
pub(crate) async fn dry_run(client: &Client, object: Value) {
    let parameters = PatchParams::apply("tests").force().dry_run();
    apply_with(client, object, &parameters).await;
}

async fn apply_with(client: &Client, object: Value, parameters: &PatchParams) {
    let kind = object["kind"].as_str().expect("a kind").to_owned();
    let version = object["apiVersion"].as_str().expect("a version").to_owned();
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let resource = resource(group, version, &kind);
    let name = object["metadata"]["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    let api = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => {
            Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource)
        }
        None => Api::all_with(client.clone(), &resource),
    };
    // A kind that was defined a moment ago takes a moment to be served.
    let applied = || async {
        let applied = api.patch(&name, parameters, &Patch::Apply(&object)).await;
        match applied {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.code == 404 => false,
            Err(error) => panic!("{kind} {name}: {error}"),
        }
    };
    until(&format!("{kind} {name} is applied"), applied).await;
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    let plural = match kind {
        "ImageRepository" => "imagerepositories".to_owned(),
        "ImagePolicy" => "imagepolicies".to_owned(),
        "GitRepository" => "gitrepositories".to_owned(),
        "NetworkPolicy" => "networkpolicies".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    };
    let kind = GroupVersionKind::gvk(group, version, kind);
    ApiResource::from_gvk_with_plural(&kind, &plural)
}

/// The objects of a file of `deploy/base`.
fn deployed(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy/base")
        .join(file);
    documents(&fs::read_to_string(path).expect("it is deployed"))
}

/// The documents of a YAML file.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let documents = yaml_rust2::YamlLoader::load_from_str(text).expect("it is YAML");
    documents.iter().map(to_json).collect()
}

fn to_json(yaml: &yaml_rust2::Yaml) -> Value {
    use yaml_rust2::Yaml;
    match yaml {
        Yaml::String(text) => text.as_str().into(),
        Yaml::Integer(number) => (*number).into(),
        Yaml::Boolean(flag) => (*flag).into(),
        Yaml::Array(items) => items.iter().map(to_json).collect(),
        Yaml::Hash(fields) => {
            let fields = fields.iter().map(|(key, value)| {
                let key = key.as_str().expect("keys are texts");
                (key.to_owned(), to_json(value))
            });
            Value::Object(fields.collect())
        }
        _ => Value::Null,
    }
}

/// Flux's kind, as far as a server has to know it.
fn git_repository_definition() -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gitrepositories.source.toolkit.fluxcd.io"},
        "spec": {
            "group": "source.toolkit.fluxcd.io", "scope": "Namespaced",
            "names": {"kind": "GitRepository", "listKind": "GitRepositoryList",
                "plural": "gitrepositories", "singular": "gitrepository"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object",
                    "properties": {"spec": open, "status": open}}}}],
        },
    })
}
