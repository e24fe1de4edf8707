//! From documents to a [`Config`]: sorts documents by kind, checks each against its schema, then
//! follows the references between them.

mod automation;
mod image;
mod pull_request;
mod secret;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Config, ConfigError, ConfigFile, Fault, ObjectKey, Origin, PullRequestSettings, Reading,
    RemoteSettings,
    document::{self, Node, Place},
    fault::Faults,
    schema::Schema,
};
use crate::{
    crd::{
        GitRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation, Metadata,
        SecretDocument,
    },
    nearest::nearest,
};

const IMAGE_GROUP: &str = "image.toolkit.fluxcd.io";
const SOURCE_GROUP: &str = "source.toolkit.fluxcd.io";
const IMAGE_KINDS: [&str; 3] = ["ImageRepository", "ImagePolicy", "ImageUpdateAutomation"];
const SOURCE_KINDS: [&str; 6] = [
    "GitRepository",
    "HelmRepository",
    "HelmChart",
    "OCIRepository",
    "Bucket",
    "ExternalArtifact",
];

/// Reads and checks documents.
pub(super) fn config(files: &[ConfigFile], namespace: &str) -> Result<Config, ConfigError> {
    let mut documents = Documents::new(namespace, Habitat::Files);
    for file in files {
        documents.read(file);
    }
    let Reading { config, faults } = documents.build();
    if faults.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError { faults })
    }
}

/// Reads the fields of `pullRequest` by themselves.
pub(super) fn pull_request(
    fields: &str,
    namespace: &str,
    remote: &RemoteSettings,
    credentials: Option<ObjectKey>,
) -> Result<PullRequestSettings, ConfigError> {
    let token = credentials.map_or(pull_request::Token::Ambient, pull_request::Token::Given);
    let mut documents = Documents::new(namespace, Habitat::Files);
    documents.read(&ConfigFile {
        name: "--pull-request".to_owned(),
        text: format!(
            "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
             metadata: {{name: command-line}}\nspec:\n  interval: 1h\n  \
             sourceRef: {{kind: GitRepository, name: command-line}}\n  git:\n    \
             commit: {{author: {{email: nobody@example.com}}}}\n    push:\n      \
             branch: {}\n      pullRequest: {fields}\n",
            serde_json::Value::from(remote.push_branch.as_str())
        ),
        origin: Origin::Given,
    });
    if let Some(document) = documents.automations.pop()
        && let Some(git) = &document.value.spec.git
        && let Ok(Some(settings)) =
            pull_request::build(&mut documents, &document, git, remote, token)
        && documents.faults.is_empty()
    {
        return Ok(settings);
    }
    documents.faults.sort();
    Err(ConfigError {
        faults: documents.faults,
    })
}

/// Reads objects as an API server holds them: what is faulty is left out.
pub(super) fn objects<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Reading {
    let mut documents = Documents::new("default", Habitat::Cluster);
    for object in objects {
        documents.sort(&object_name(object), Node::of(object));
    }
    documents.build()
}

/// What faults of an object are listed under: `ImagePolicy apps/web`.
pub(super) fn object_name(object: &Value) -> String {
    let word = |pointer| object.pointer(pointer).and_then(Value::as_str);
    format!(
        "{} {}/{}",
        word("/kind").unwrap_or_default(),
        word("/metadata/namespace").unwrap_or_default(),
        word("/metadata/name").unwrap_or_default()
    )
}

/// Where the documents come from, and so what may be missing among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habitat {
    /// Files: everything that is referred to has to be there, and a field that is not known is a
    /// mistake.
    Files,
    /// An API server: Secrets are opened when they are needed, and a field that is not known belongs
    /// to a newer version of the kind.
    Cluster,
}

/// A document that fits its schema, with everything needed to point at a part of it.
struct Document<T> {
    key: ObjectKey,
    file: String,
    node: Node,
    /// Where the document was faulty and a stand-in was put: what follows from that is no fault.
    mended: BTreeSet<String>,
    value: T,
}

impl<T> Document<T> {
    fn place(&self, pointer: &str) -> Place {
        self.node.place_at(pointer)
    }

    fn fault(&self, faults: &mut Vec<Fault>, pointer: &str, message: String, hint: Option<&str>) {
        let follows_from = |mended: &String| {
            let is_deep = pointer.matches('/').count() > 1;
            let below = |inner: &str, outer: &str| {
                inner
                    .strip_prefix(outer)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            below(pointer, mended) || is_deep && below(mended, pointer)
        };
        if self.mended.iter().any(follows_from) {
            return;
        }
        let place = self.place(pointer);
        Faults {
            file: &self.file,
            found: faults,
        }
        .push(place, message, hint.map(str::to_owned));
    }
}

/// The documents by kind, before references are followed.
struct Documents {
    namespace: String,
    habitat: Habitat,
    repositories: Vec<Document<ImageRepository>>,
    policies: Vec<Document<ImagePolicy>>,
    automations: Vec<Document<ImageUpdateAutomation>>,
    sources: Vec<Document<GitRepository>>,
    secrets: Vec<(Document<SecretDocument>, Vec<Fault>)>,
    secret_faults: BTreeMap<ObjectKey, Vec<Fault>>,
    namespace_labels: BTreeMap<String, BTreeMap<String, String>>,
    policy_labels: BTreeMap<ObjectKey, BTreeMap<String, String>>,
    /// Objects that exist, although something else about them is wrong: a reference to one of them
    /// is not dangling.
    mentioned: BTreeSet<(&'static str, ObjectKey)>,
    seen: BTreeMap<(&'static str, ObjectKey), (String, Place)>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

/// The schemas of the kinds, compiled once.
static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas {
    repository: Schema::of::<ImageRepository>(),
    policy: Schema::of::<ImagePolicy>(),
    automation: Schema::of::<ImageUpdateAutomation>(),
    source: Schema::of::<GitRepository>(),
    secret: Schema::of::<SecretDocument>(),
});

struct Schemas {
    repository: Schema,
    policy: Schema,
    automation: Schema,
    source: Schema,
    secret: Schema,
}

impl Documents {
    fn new(namespace: &str, habitat: Habitat) -> Self {
        Self {
            namespace: namespace.to_owned(),
            habitat,
            repositories: Vec::new(),
            policies: Vec::new(),
            automations: Vec::new(),
            sources: Vec::new(),
            secrets: Vec::new(),
            secret_faults: BTreeMap::new(),
            namespace_labels: BTreeMap::new(),
            policy_labels: BTreeMap::new(),
            mentioned: BTreeSet::new(),
            seen: BTreeMap::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Follows the references between the documents.
    fn build(mut self) -> Reading {
        let mut config = Config::default();
        secret::build(&mut self, &mut config);
        image::build(&mut self, &mut config);
        automation::build(&mut self, &mut config);
        config.warnings = self.warnings;
        config.warnings.sort();
        self.faults.sort();
        self.faults.dedup();
        Reading {
            config,
            faults: self.faults,
        }
    }

    fn read(&mut self, file: &ConfigFile) {
        match document::read(&file.text) {
            Ok(nodes) => {
                for node in nodes {
                    self.sort(&file.name, node);
                }
            }
            Err(trouble) => {
                let message = format!("cannot parse this as YAML: {}", trouble.message);
                let is_ours = file.text.contains(IMAGE_GROUP) || file.text.contains(SOURCE_GROUP);
                let found = match file.origin {
                    Origin::Found if !is_ours => &mut self.warnings,
                    Origin::Found | Origin::Given => &mut self.faults,
                };
                Faults {
                    file: &file.name,
                    found,
                }
                .push(trouble.place, message, None);
            }
        }
    }

    /// Puts one document with its kind, or passes over it.
    fn sort(&mut self, file: &str, node: Node) {
        let version = node.text("apiVersion").unwrap_or_default().to_owned();
        let kind = node.text("kind").unwrap_or_default().to_owned();
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        match (group, kind.as_str()) {
            ("", "List") => {
                if let document::Tree::Mapping(entries) = node.tree {
                    let items = entries.into_iter().filter(|(key, ..)| key == "items");
                    for (.., items) in items {
                        if let document::Tree::Sequence(items) = items.tree {
                            for item in items {
                                self.sort(file, item);
                            }
                        }
                    }
                }
            }
            ("", "Secret") => {
                // A folder holds secrets that nobody here asks for: their faults count once one does.
                let before = std::mem::take(&mut self.faults);
                if let Some(document) = self.check(file, node, "Secret", |it| &it.secret) {
                    self.secrets
                        .push((document, std::mem::replace(&mut self.faults, before)));
                } else {
                    let own = std::mem::replace(&mut self.faults, before);
                    self.faults.extend(own);
                }
            }
            ("", "Namespace") => self.note_namespace(&node),
            (IMAGE_GROUP, _) => {
                self.check_version(file, &node, version);
                self.sort_image_kind(file, node, &kind);
            }
            (SOURCE_GROUP, "GitRepository") => {
                self.check_version(file, &node, version);
                if let Some(document) = self.check(file, node, "GitRepository", |it| &it.source) {
                    self.sources.push(document);
                }
            }
            (SOURCE_GROUP, _) if !SOURCE_KINDS.contains(&kind.as_str()) => {
                self.unknown_kind(file, &node, &kind, &SOURCE_KINDS);
            }
            (_, "GitRepository") => self.unknown_group(file, &node, SOURCE_GROUP),
            (_, kind) if IMAGE_KINDS.contains(&kind) => {
                self.unknown_group(file, &node, IMAGE_GROUP);
            }
            _ => {}
        }
    }

    fn sort_image_kind(&mut self, file: &str, node: Node, kind: &str) {
        match kind {
            "ImageRepository" => {
                if let Some(document) =
                    self.check(file, node, "ImageRepository", |it| &it.repository)
                {
                    self.repositories.push(document);
                }
            }
            "ImagePolicy" => {
                if let Some(document) = self.check(file, node, "ImagePolicy", |it| &it.policy) {
                    self.policies.push(document);
                }
            }
            "ImageUpdateAutomation" => {
                let found = self.check(file, node, "ImageUpdateAutomation", |it| &it.automation);
                if let Some(document) = found {
                    self.automations.push(document);
                }
            }
            _ => self.unknown_kind(file, &node, kind, &IMAGE_KINDS),
        }
    }

    /// One of our kinds under a group that is not ours: passed over, it would fail silently.
    fn unknown_group(&mut self, file: &str, node: &Node, group: &str) {
        let kind = node.text("kind").unwrap_or_default();
        let message = format!("{kind} is a kind of `{group}`, and this document says otherwise");
        let hint = Some(format!("write `apiVersion: {group}/v1`"));
        self.fault(file, node.place_at("/apiVersion"), message, hint);
    }

    fn unknown_kind(&mut self, file: &str, node: &Node, kind: &str, known: &[&str]) {
        let hint = nearest(kind, known.iter().copied()).map_or_else(
            || format!("known are: {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("unknown kind `{kind}`");
        self.fault(file, node.place_at("/kind"), message, Some(hint));
    }

    fn check_version(&mut self, file: &str, node: &Node, version: &str) {
        let place = node.place_at("/apiVersion");
        match version {
            "v1" => {}
            "v1beta1" | "v1beta2" => {
                let message = format!("`{version}` is read as `v1`");
                let hint = "change it to `v1`; the fields are the same".to_owned();
                let found = &mut self.warnings;
                Faults { file, found }.push(place, message, Some(hint));
            }
            _ => {
                let message = format!("unknown version `{version}`");
                self.fault(file, place, message, Some("the version is `v1`".to_owned()));
            }
        }
    }

    /// Checks a document against its schema and reads it.
    fn check<T: JsonSchema + DeserializeOwned>(
        &mut self,
        file: &str,
        node: Node,
        kind: &'static str,
        schema: impl Fn(&Schemas) -> &Schema,
    ) -> Option<Document<T>> {
        let mut json = node.to_json();
        let before = self.faults.len();
        if self.habitat == Habitat::Cluster {
            schema(&SCHEMAS).prune(&mut json);
        }
        schema(&SCHEMAS).check(
            &node,
            &json,
            &mut Faults {
                file,
                found: &mut self.faults,
            },
        );
        let metadata = json.get("metadata").cloned().unwrap_or(Value::Null);
        if let Ok(metadata) = serde_json::from_value::<Metadata>(metadata) {
            let key = self.key(&metadata);
            self.note(file, &node, kind, &key);
        }
        let (json, mended) = if self.faults.len() > before {
            schema(&SCHEMAS).mended(json)?
        } else {
            (json, BTreeSet::new())
        };
        let metadata = serde_json::from_value::<Metadata>(json.get("metadata")?.clone());
        match metadata.and_then(|it| Ok((it, serde_json::from_value::<T>(json)?))) {
            Ok((metadata, value)) => {
                let key = self.key(&metadata);
                Some(Document {
                    key,
                    file: file.to_owned(),
                    node,
                    mended,
                    value,
                })
            }
            Err(error) => {
                let message = format!("cannot read this {kind}: {error}");
                self.fault(file, node.place, message, None);
                None
            }
        }
    }

    fn key(&self, metadata: &Metadata) -> ObjectKey {
        let namespace = metadata
            .namespace
            .clone()
            .unwrap_or_else(|| self.namespace.clone());
        ObjectKey {
            namespace,
            name: metadata.name.clone(),
        }
    }

    /// Remembers that an object exists, and reports it when it existed before.
    fn note(&mut self, file: &str, node: &Node, kind: &'static str, key: &ObjectKey) {
        let place = node.place_at("/metadata/name");
        self.mentioned.insert((kind, key.clone()));
        if let Some((first, Place { line, .. })) = self
            .seen
            .insert((kind, key.clone()), (file.to_owned(), place))
        {
            let message = format!("{kind} `{key}` exists already");
            let hint = Some(format!(
                "the other one is in {first}, line {line}; remove one of them"
            ));
            self.fault(file, place, message, hint);
        }
    }

    fn note_namespace(&mut self, node: &Node) {
        let json = node.to_json();
        let metadata = json.get("metadata").cloned().unwrap_or(Value::Null);
        if let Ok(metadata) = serde_json::from_value::<Metadata>(metadata) {
            self.namespace_labels
                .insert(metadata.name, metadata.labels.unwrap_or_default());
        }
    }

    fn fault(&mut self, file: &str, place: Place, message: String, hint: Option<String>) {
        Faults {
            file,
            found: &mut self.faults,
        }
        .push(place, message, hint);
    }

    /// Reports a reference to an object that is not there.
    fn dangling<T>(
        &mut self,
        at: &Document<T>,
        pointer: &str,
        kind: &'static str,
        key: &ObjectKey,
    ) {
        if self.mentioned.contains(&(kind, key.clone())) {
            return;
        }
        let same_kind = self
            .mentioned
            .iter()
            .filter(|(it, _)| *it == kind)
            .map(|(_, key)| key);
        let names = same_kind.map(|it| it.name.as_str()).collect::<Vec<_>>();
        let elsewhere = self
            .mentioned
            .iter()
            .find(|(it, other)| *it == kind && other.name == key.name);
        let hint = match (elsewhere, nearest(&key.name, names), kind) {
            (Some((_, other)), ..) => {
                Some(format!("there is one in namespace `{}`", other.namespace))
            }
            (None, Some(near), _) => Some(format!("did you mean `{near}`?")),
            (None, None, "Secret") => Some(
                "add a v1/Secret document; its values may be `${env:NAME}` or `${file:PATH}`"
                    .into(),
            ),
            (None, None, _) => Some(format!("add the {kind} to the files given with --config")),
        };
        let message = format!("{kind} `{key}` does not exist");
        at.fault(&mut self.faults, pointer, message, hint.as_deref());
    }

    /// The key of a local secret reference, which must lead somewhere.
    fn secret<T>(
        &mut self,
        at: &Document<T>,
        pointer: &str,
        name: Option<&str>,
    ) -> Option<ObjectKey> {
        let key = ObjectKey {
            namespace: at.key.namespace.clone(),
            name: name?.to_owned(),
        };
        if self.habitat == Habitat::Files {
            self.dangling(at, &format!("{pointer}/name"), "Secret", &key);
        }
        self.faults
            .extend(self.secret_faults.get(&key).into_iter().flatten().cloned());
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::{Config, Reading};

    fn object(kind: &str, name: &str, spec: &Value) -> Value {
        json!({"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": kind, "spec": spec,
            "metadata": {"name": name, "namespace": "apps", "uid": "u", "managedFields": []}})
    }

    #[test]
    fn one_faulty_object_takes_nothing_from_the_others() {
        let image = |image: &str| json!({"image": image, "interval": "5m"});
        let good = object("ImageRepository", "good", &image("registry.test/web"));
        let poison = [
            object(
                "ImageRepository",
                "a",
                &json!({"image": 7, "interval": "5m"}),
            ),
            object("ImageRepository", "b", &image("HTTPS://x")),
            object(
                "ImageRepository",
                "c",
                &json!({"image": "registry.test/x", "interval": "-5m"}),
            ),
            object(
                "ImagePolicy",
                "d",
                &json!({"policy": {}, "imageRepositoryRef": {"name": "good"}}),
            ),
            json!({"kind": "ImageRepository", "apiVersion": "image.toolkit.fluxcd.io/v1"}),
        ];
        let Reading { config, faults } = Config::of_objects(poison.iter().chain([&good]));
        assert!(
            config.images.keys().any(|key| key.name == "good"),
            "{faults:?}"
        );
        for name in ["a", "b", "c", "d"] {
            let names = faults.iter().map(|it| it.file.rsplit('/').next());
            assert!(
                names.clone().any(|it| it == Some(name)),
                "{name}: {faults:?}"
            );
        }
    }

    #[test]
    fn a_cluster_may_hold_secrets_and_fields_that_nobody_told_us_of() {
        let spec = json!({"image": "registry.test/web", "interval": "5m", "fieldOfTomorrow": {},
            "secretRef": {"name": "pull", "kind": "Secret"}, "serviceAccountName": "puller"});
        let Reading { config, faults } =
            Config::of_objects([&object("ImageRepository", "web", &spec)]);
        assert!(faults.is_empty(), "{faults:?}");
        let source = config.images.values().next().expect("it is read");
        let secret = source.connection.credentials.as_ref();
        assert_eq!(
            secret.map(ToString::to_string).as_deref(),
            Some("apps/pull")
        );
        let account = source.connection.pull_account.as_ref();
        assert_eq!(
            account.map(ToString::to_string).as_deref(),
            Some("apps/puller")
        );
    }
}
