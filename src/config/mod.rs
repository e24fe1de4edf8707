//! Documents → a checked [`Config`].
//!
//! The documents are those that would be applied to a cluster: Flux's three image kinds, its
//! `GitRepository`, and `v1/Secret`. Documents of other kinds are passed over, so that a folder of
//! a GitOps repository can be given as it is. Everything that is wrong is reported at once, each
//! with its place, and nothing runs until nothing is.

mod build;
mod document;
pub mod duration;
mod fault;
mod rules;
mod schema;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use url::Url;

pub use self::{
    fault::{ConfigError, Fault},
    rules::repository_rules,
};
use crate::{
    cloud::Cloud,
    egress::PlainHttp,
    image::Repository,
    policy::{Policy, PolicyName},
    secret::{Authority, Secret},
    update::{
        discovery::Assignments,
        forge::{
            Committer, Decoration, Limits, Merge, Place, Readiness, group::Grouping,
            schedule::Window,
        },
        git::{self, Author, Branch, Checkout, PushSettings, UpdatePath},
        message::Trailer,
        targets::Targets,
        template::Template,
    },
};

/// A text with documents, and the name that faults call it by.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// The name, usually a path.
    pub name: String,
    /// The documents, in YAML.
    pub text: String,
    /// How the file came in.
    pub origin: Origin,
}

/// How a configuration file came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Somebody named it: whatever is wrong with it is a fault.
    #[default]
    Given,
    /// It lay in a folder that somebody named: where it cannot be parsed and does not look like
    /// ours, it is passed over with a warning.
    Found,
}

/// A namespace and a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

impl Serialize for ObjectKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Everything there is to do, checked: every reference leads somewhere, every text was parsed.
#[derive(Debug, Default)]
pub struct Config {
    /// Where images are listed.
    pub images: BTreeMap<ObjectKey, ImageSource>,
    /// How tags are chosen.
    pub policies: BTreeMap<PolicyName, NamedPolicy>,
    /// Where the choices are written, by name.
    pub automations: Vec<Automation>,
    /// The secrets, still closed.
    pub secrets: BTreeMap<ObjectKey, SecretSource>,
    /// What works, but not as somebody may think.
    pub warnings: Vec<Fault>,
}

/// An `ImageRepository`.
#[derive(Clone, Debug)]
pub struct ImageSource {
    /// Its name.
    pub key: ObjectKey,
    /// The image.
    pub image: Repository,
    /// With which rights and by which way it is listed.
    pub connection: Connection,
    /// Whether it is to be left alone.
    pub suspended: bool,
}

impl ImageSource {
    /// The repository that is listed: the image, or its mirror.
    pub fn listed(&self) -> &Repository {
        self.connection.mirror.as_ref().unwrap_or(&self.image)
    }
}

/// Which secrets open a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// The docker configuration; where there is none, the one of the user who runs tagwright.
    pub credentials: Option<ObjectKey>,
    /// The ServiceAccount whose pull secrets are used too; known to a cluster only.
    pub pull_account: Option<ObjectKey>,
    /// The cloud whose identity opens the registry, in place of credentials.
    pub cloud: Option<CloudLogin>,
    /// The certificates.
    pub certificates: Option<ObjectKey>,
    /// The proxy.
    pub proxy: Option<ObjectKey>,
    /// Token services that the credentials may be sent to, other than the registry itself.
    pub token_realms: Vec<Authority>,
    /// Whether `http:` is acceptable.
    pub plain_http: PlainHttp,
    /// How long one scan may take.
    pub timeout: Duration,
    /// The repository that is listed in the image's stead, with the same tags.
    pub mirror: Option<Repository>,
    /// How often it is listed from its beginning, where later tags are all that is asked for in
    /// between.
    pub whole_every: Option<Duration>,
}

/// Which identity of which cloud opens a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloudLogin {
    /// The cloud.
    pub cloud: Cloud,
    /// The namespace that it is for.
    pub namespace: String,
    /// The ServiceAccount whose identity it is; known to a cluster only.
    pub account: Option<String>,
}

/// An `ImagePolicy`.
#[derive(Clone, Debug)]
pub struct NamedPolicy {
    /// Its name.
    pub name: PolicyName,
    /// The `ImageRepository`.
    pub image: ObjectKey,
    /// What it decides by.
    pub policy: Policy,
    /// The Secret with the keys that an image must be signed by one of, where it must.
    pub verify: Option<ObjectKey>,
    /// How often its digest is looked up, where it is always looked up; for who schedules runs.
    pub digest_interval: Option<Duration>,
    /// Whether it is to be left alone.
    pub suspended: bool,
}

/// An `ImageUpdateAutomation` with its `GitRepository`.
#[derive(Clone, Debug)]
pub struct Automation {
    /// Its name.
    pub key: ObjectKey,
    /// The Git remote.
    pub remote: RemoteSettings,
    /// Who commits.
    pub author: Author,
    /// What the commit says; nothing for the default message.
    pub message: Option<Template>,
    /// What `.Values` gives in the message.
    pub message_values: BTreeMap<String, String>,
    /// What every message ends in: who signs off, and who is named beside the author.
    pub trailers: Vec<Trailer>,
    /// The policies that take part.
    pub policies: BTreeSet<PolicyName>,
    /// Which values follow them, besides the marked ones.
    pub targets: Arc<Targets>,
    /// The request from the push branch; nothing where a commit is enough.
    pub pull_request: Option<PullRequestSettings>,
    /// Whether it is to be left alone.
    pub suspended: bool,
}

/// What a request from the push branch is to be like, and which secret opens its forge.
#[derive(Clone, Debug)]
pub struct PullRequestSettings {
    /// Where it is opened.
    pub place: Place,
    /// The token; the Git remote's credentials where there is none.
    pub credentials: Option<ObjectKey>,
    /// The branch that it goes to.
    pub base: Branch,
    /// What the title says; the commit message's first line where there is none.
    pub title: Option<Template>,
    /// What comes before the table.
    pub body: Option<Template>,
    /// Labels, people and milestone of a new one.
    pub decoration: Decoration,
    /// Whether a new one is a draft.
    pub readiness: Readiness,
    /// Who merges.
    pub merge: Merge,
    /// Who makes the commit.
    pub committer: Committer,
    /// What goes into one request.
    pub grouping: Grouping,
    /// How many there may be.
    pub limits: Limits,
    /// When one may be opened; at any time where there is none.
    pub windows: Vec<Window>,
}

impl PullRequestSettings {
    /// Reads the fields of `pullRequest`, `{labels: [images]}`, for a remote that no document
    /// describes. The Secret with the token, where there is one, stands in no document either; where
    /// there is none, the credentials of the environment open both.
    ///
    /// # Errors
    ///
    /// Every fault in them.
    pub fn read(
        fields: &str,
        namespace: &str,
        remote: &RemoteSettings,
        credentials: Option<ObjectKey>,
    ) -> Result<Self, ConfigError> {
        build::pull_request(fields, namespace, remote, credentials)
    }
}

/// Where an automation reads and pushes, and which secrets open it.
#[derive(Clone, Debug)]
pub struct RemoteSettings {
    /// The address.
    pub url: Url,
    /// What is read.
    pub checkout: Checkout,
    /// The branch that is pushed to.
    pub push_branch: Branch,
    /// What a push does besides.
    pub push: PushSettings,
    /// What is updated, and never left.
    pub path: UpdatePath,
    /// Who gives the credentials.
    pub provider: GitProviderName,
    /// The credentials.
    pub credentials: Option<ObjectKey>,
    /// The proxy.
    pub proxy: Option<ObjectKey>,
    /// What signs the commits.
    pub signing_key: Option<SigningKey>,
    /// What must be signed, and the secret with the public keys.
    pub verify: Option<(git::Subject, ObjectKey)>,
    /// How long one read and one push may take.
    pub timeout: Duration,
}

impl RemoteSettings {
    /// Whether one read serves both, and one push: the same commit of the same remote by the same
    /// rights, and nothing different to be done to the same branch.
    pub fn goes_with(&self, other: &Self) -> bool {
        let Self {
            url,
            checkout,
            push_branch,
            push,
            path: _,
            provider,
            credentials,
            proxy,
            signing_key: _,
            verify: _,
            timeout,
        } = self;
        *url == other.url
            && *checkout == other.checkout
            && *provider == other.provider
            && *credentials == other.credentials
            && *proxy == other.proxy
            && *timeout == other.timeout
            && (*push_branch != other.push_branch || *push == other.push)
    }
}

/// Who gives the credentials for a Git remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GitProviderName {
    /// A Secret, or the user who runs tagwright.
    #[default]
    Generic,
    /// A GitHub App.
    Github,
    /// The identity that a cloud gives, for its own Git servers: Azure DevOps, `CodeCommit`.
    #[cfg(feature = "clouds")]
    Cloud(CloudLogin),
}

impl GitProviderName {
    /// Whether it opens a remote without a Secret.
    pub fn is_identity(&self) -> bool {
        match self {
            Self::Generic | Self::Github => false,
            #[cfg(feature = "clouds")]
            Self::Cloud(_) => true,
        }
    }
}

/// The secret with a signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The secret.
    pub secret: ObjectKey,
    /// What is in it.
    pub kind: SigningKeyKind,
}

/// What kind of key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKeyKind {
    /// `git.asc`, and its `passphrase`.
    OpenPgp,
    /// `identity`, and its `password`.
    Ssh,
}

/// A `v1/Secret`, with values that may stand elsewhere.
#[derive(Clone, Debug)]
pub struct SecretSource {
    /// The `type`.
    pub kind: String,
    /// The values by key.
    pub values: BTreeMap<String, SecretValue>,
    /// The file that the document stands in; relative paths start there.
    pub file: String,
}

/// A value of a Secret, or where to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretValue {
    /// The value itself.
    Inline(Secret<Vec<u8>>),
    /// `${env:NAME}`: the value of an environment variable.
    Environment(String),
    /// `${file:PATH}`: the contents of a file, without a final newline.
    File(String),
}

/// What came of objects: what can be worked with, and what is wrong with the rest.
#[derive(Debug, Default)]
pub struct Reading {
    /// Everything that has no fault.
    pub config: Config,
    /// The faults; [`Fault::file`] is the name that [`object_name`] gives.
    pub faults: Vec<Fault>,
}

/// What the faults of an object are listed under: `ImagePolicy apps/web`.
pub fn object_name(object: &serde_json::Value) -> String {
    build::object_name(object)
}

impl Config {
    /// Reads and checks objects as an API server holds them, each of them JSON with its kind.
    ///
    /// One tenant's mistake must not stop another: what is faulty is left out and told. Secrets are
    /// not among the objects; they are opened when they are needed.
    pub fn of_objects<'a>(objects: impl IntoIterator<Item = &'a serde_json::Value>) -> Reading {
        build::objects(objects)
    }

    /// Reads and checks documents; `namespace` is where those without one belong.
    ///
    /// # Errors
    ///
    /// Every fault of every file, in order.
    pub fn read(files: &[ConfigFile], namespace: &str) -> Result<Self, ConfigError> {
        build::config(files, namespace)
    }

    /// Which images the policies are about, of those that `takes_part` lets through.
    pub fn assignments(&self, takes_part: impl Fn(&PolicyName) -> bool) -> Assignments {
        let policies = self.policies.values().filter(|it| takes_part(&it.name));
        let pair = |policy: &NamedPolicy| {
            let source = self.images.get(&policy.image)?;
            Some((source.image.clone(), policy.name.clone()))
        };
        policies.filter_map(pair).collect()
    }
}
