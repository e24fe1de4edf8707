//! The wire kinds: what `image.toolkit.fluxcd.io/v1` and `source.toolkit.fluxcd.io/v1` objects look
//! like, with their defaults and patterns, and nothing else.
//!
//! Field for field these are Flux's; the JSON schema that is derived from them is what
//! [`crate::config`] checks documents against. Meaning is given to them there.

mod definition;
mod policy;
mod pull_request;
mod rules;
mod selector;
mod status;
mod yaml;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::{
    definition::definitions,
    selector::{LabelOperator, LabelRequirement, LabelSelector},
    status::{
        Condition, HeldValue, ImagePolicyStatus, ImageRef, ImageRepositoryStatus,
        ImageUpdateAutomationStatus, PullRequestStatus, ScanResult, SkippedPlace,
    },
    yaml::print,
};

pub use self::policy::{
    CalverPolicy, ClockName, ConstraintsSpec, DenialSpec, DigestReflectionPolicy, FilterTags,
    GuardName, ImagePolicySpec, KeyKindName, KeyPolicy, MinimumAgeSpec, NewestPolicy,
    NumericalPolicy, OidcIdentitySpec, OrderDirection, OrderPolicy, PolicyChoice, SemverPolicy,
    TagRuleSpec, UpdateLevelName, VerifyProviderName, VerifySpec,
};
pub use self::rules::{FieldName, MatchesName, RepositorySettings, RuleSpec};

pub use self::pull_request::{
    CommitterName, ForgeName, GroupName, MergeMethodName, MergeName, PullRequestSpec, WindowSpec,
};

/// Defines the top of a kind: `apiVersion`, `kind`, `metadata`, `spec`, and a `status` that is
/// accepted and not read.
macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $spec:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            /// The group and version.
            pub api_version: String,
            /// The kind.
            pub kind: String,
            /// Name, namespace, labels and annotations.
            pub metadata: Metadata,
            /// What is wanted.
            pub spec: $spec,
            /// Written by controllers, never read.
            #[serde(default)]
            pub status: Option<serde_json::Value>,
        }
    };
}

kind!(
    /// Where an image is listed, and with which rights.
    ImageRepository,
    ImageRepositorySpec
);
kind!(
    /// How a tag is chosen.
    ImagePolicy,
    ImagePolicySpec
);
kind!(
    /// Where in Git the choices are written.
    ImageUpdateAutomation,
    ImageUpdateAutomationSpec
);
kind!(
    /// A Git repository.
    GitRepository,
    GitRepositorySpec
);

/// The part of Kubernetes' `ObjectMeta` that matters here; other fields are accepted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace; where it is missing, the one given on the command line.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The labels.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    /// The annotations.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The name of an object in the same namespace.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalReference {
    /// The name.
    pub name: String,
}

/// The name of an object, in another namespace where one is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespacedReference {
    /// The name.
    pub name: String,
    /// The namespace, if another one.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// `ImageRepository.spec`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageRepositorySpec {
    /// The address, without scheme, tag and digest.
    pub image: String,
    /// The time between two scans.
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: String,
    /// How long a scan may take; the interval where it is missing.
    #[serde(default)]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$"))]
    pub timeout: Option<String>,
    /// A Secret of type `kubernetes.io/dockerconfigjson`.
    #[serde(default)]
    pub secret_ref: Option<LocalReference>,
    /// A Secret with `address`, `username` and `password` of a proxy.
    #[serde(default)]
    pub proxy_secret_ref: Option<LocalReference>,
    /// A ServiceAccount whose pull secrets are used.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub service_account_name: Option<String>,
    /// A Secret with `tls.crt`, `tls.key` and `ca.crt`.
    #[serde(default)]
    pub cert_secret_ref: Option<LocalReference>,
    /// Whether to leave this object alone.
    #[serde(default)]
    pub suspend: bool,
    /// Which namespaces may refer to this object.
    #[serde(default)]
    pub access_from: Option<AccessFrom>,
    /// Patterns of tags that are never candidates.
    #[serde(default)]
    #[schemars(length(max = 25))]
    pub exclusion_list: Option<Vec<String>>,
    /// Who gives the credentials.
    #[serde(default)]
    pub provider: RegistryProvider,
    /// Whether the registry speaks plain HTTP.
    #[serde(default)]
    pub insecure: bool,
}

/// `ImageRepository.spec.provider`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RegistryProvider {
    /// Secrets.
    #[default]
    Generic,
    /// Amazon ECR.
    Aws,
    /// Azure Container Registry.
    Azure,
    /// Google Artifact Registry.
    Gcp,
}

/// `ImageRepository.spec.accessFrom`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessFrom {
    /// Any of these must match the namespace's labels.
    pub namespace_selectors: Vec<NamespaceSelector>,
}

/// One selector of [`AccessFrom`].
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceSelector {
    /// All of these must match; empty matches every namespace.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
}

/// `ImageUpdateAutomation.spec`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageUpdateAutomationSpec {
    /// The GitRepository; not needed where `git.url` is given.
    #[serde(default)]
    pub source_ref: Option<SourceReference>,
    /// What is checked out, committed and pushed.
    #[serde(default)]
    pub git: Option<GitSpec>,
    /// The time between two runs.
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: String,
    /// Which policies of the namespace take part; all where it is missing.
    #[serde(default)]
    pub policy_selector: Option<LabelSelector>,
    /// Which files are updated, and how.
    #[serde(default)]
    pub update: Option<UpdateSpec>,
    /// Whether to leave this object alone.
    #[serde(default)]
    pub suspend: bool,
}

/// `ImageUpdateAutomation.spec.sourceRef`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceReference {
    /// Accepted and ignored, as Flux does.
    #[serde(default)]
    pub api_version: Option<String>,
    /// Always `GitRepository`.
    pub kind: SourceKind,
    /// The name.
    pub name: String,
    /// The namespace, if another one.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// The one kind of source there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SourceKind {
    /// A `GitRepository`.
    GitRepository,
}

/// `ImageUpdateAutomation.spec.git`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSpec {
    /// The address of the Git repository, where there is no GitRepository for it. Ours.
    #[serde(default)]
    pub url: Option<String>,
    /// The Secret with the credentials for `url`. Ours.
    #[serde(default)]
    pub secret_ref: Option<LocalReference>,
    /// Who gives the credentials for `url`. Ours.
    #[serde(default)]
    pub provider: GitProvider,
    /// The ServiceAccount whose identity opens `url`, where a cloud gives it. Ours.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub service_account_name: Option<String>,
    /// A Secret with a proxy on the way to `url`. Ours.
    #[serde(default)]
    pub proxy_secret_ref: Option<LocalReference>,
    /// What is read.
    #[serde(default)]
    pub checkout: Option<CheckoutSpec>,
    /// Who commits, and what the message says.
    pub commit: CommitSpec,
    /// Where it is pushed to.
    #[serde(default)]
    pub push: Option<PushSpec>,
}

/// `git.checkout`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckoutSpec {
    /// The reference; it replaces the GitRepository's altogether.
    #[serde(rename = "ref")]
    pub reference: GitReference,
}

/// A Git reference, in the order of precedence: commit, name, tag, semver, branch.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitReference {
    /// A branch; `master` where nothing is given.
    #[serde(default)]
    pub branch: Option<String>,
    /// A tag.
    #[serde(default)]
    pub tag: Option<String>,
    /// A range of tags.
    #[serde(default)]
    pub semver: Option<String>,
    /// A full name such as `refs/heads/main`.
    #[serde(default)]
    pub name: Option<String>,
    /// A commit id.
    #[serde(default)]
    pub commit: Option<String>,
}

/// `git.commit`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitSpec {
    /// Who commits.
    pub author: CommitAuthor,
    /// The key that signs the commit.
    #[serde(default)]
    pub signing_key: Option<SigningKey>,
    /// A template in Go's language.
    #[serde(default)]
    pub message_template: Option<String>,
    /// What `.Values` gives in the template.
    #[serde(default)]
    pub message_template_values: Option<BTreeMap<String, String>>,
    /// Whether the message ends in the author's `Signed-off-by`. Ours.
    #[serde(default)]
    pub sign_off: bool,
    /// Who is named in `Co-authored-by`, beside the author. Ours.
    #[serde(default)]
    #[schemars(length(max = 25))]
    pub co_authors: Option<Vec<CommitAuthor>>,
}

/// `git.commit.author`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitAuthor {
    /// The email address.
    pub email: String,
    /// The name.
    #[serde(default)]
    pub name: String,
}

/// `git.commit.signingKey`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigningKey {
    /// The Secret with the key.
    pub secret_ref: LocalReference,
    /// The kind of key.
    #[serde(default, rename = "type")]
    pub kind: Option<SigningKeyKind>,
}

/// The kind of a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SigningKeyKind {
    /// An OpenPGP key.
    Gpg,
    /// SSH.
    Ssh,
}

/// `git.push`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushSpec {
    /// The branch; the one that was checked out where it is missing.
    #[serde(default)]
    pub branch: Option<String>,
    /// What becomes of a push branch of its own that exists already. Not a field of Flux.
    #[serde(default)]
    pub mode: PushModeName,
    /// One more push.
    #[serde(default)]
    pub refspec: Option<String>,
    /// Options for the server.
    #[serde(default)]
    pub options: Option<BTreeMap<String, String>>,
    /// A request from the push branch; ours, and not Flux's.
    #[serde(default)]
    pub pull_request: Option<PullRequestSpec>,
}

/// What becomes of a push branch that exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PushModeName {
    /// It is made anew on the checkout branch's tip.
    #[default]
    Rebuild,
    /// Commits are added to it, as Flux does.
    Stack,
}

/// `ImageUpdateAutomation.spec.update`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateSpec {
    /// Always `Setters`.
    #[serde(default)]
    pub strategy: UpdateStrategy,
    /// The folder or file below which values are updated; the whole repository where it is missing.
    #[serde(default)]
    pub path: Option<String>,
    /// Which values are updated without a marker; not one of Flux's fields.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub rules: Option<Vec<RuleSpec>>,
    /// Which images are updated without markers, by the image's name. Ours.
    #[serde(default)]
    pub discover: Option<DiscoverSpec>,
}

/// `update.discover`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiscoverSpec {
    /// The kinds of files that are searched.
    #[serde(default)]
    pub strategies: Vec<DiscoverStrategy>,
    /// Fields of further Kubernetes kinds that hold a whole image reference.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub fields: Vec<DiscoverField>,
    /// What becomes of a `newTag` or a `digest` that an entry of a kustomization's `images` does not
    /// have.
    #[serde(default)]
    pub missing: DiscoverMissing,
}

/// What becomes of fields that are not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum DiscoverMissing {
    /// Nothing.
    #[default]
    Leave,
    /// They are added: the tag, and the digest where the policy reflects digests.
    Add,
}

/// A kind of file whose images are known without markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum DiscoverStrategy {
    /// The containers of workloads.
    Kubernetes,
    /// The `images` of a kustomization.
    Kustomize,
    /// Values files and `HelmRelease` values.
    HelmValues,
    /// The services of Compose files.
    Compose,
}

/// One field of [`DiscoverSpec`].
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiscoverField {
    /// The kind, such as `Rollout`, or `Rollout.argoproj.io` where the group matters.
    #[schemars(length(min = 1, max = 253))]
    pub kind: String,
    /// Where in such an object the references stand: `spec.template.spec.containers[].image`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// The one strategy there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum UpdateStrategy {
    /// Marked values are set.
    #[default]
    Setters,
}

/// `GitRepository.spec`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitRepositorySpec {
    /// The address.
    pub url: String,
    /// The Secret with the credentials.
    #[serde(default)]
    pub secret_ref: Option<LocalReference>,
    /// Who gives the credentials.
    #[serde(default)]
    pub provider: GitProvider,
    /// The ServiceAccount whose identity a cloud knows; it is one of the automation's namespace.
    #[serde(default)]
    pub service_account_name: Option<String>,
    /// How often Flux's source-controller looks; not used here.
    #[serde(default)]
    pub interval: Option<String>,
    /// How long one read and one push may take.
    #[serde(default)]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$"))]
    pub timeout: Option<String>,
    /// The reference, where the automation names none.
    #[serde(default, rename = "ref")]
    pub reference: Option<GitReference>,
    /// Whose signatures what is read must have.
    #[serde(default)]
    pub verify: Option<GitVerification>,
    /// A Secret with a proxy.
    #[serde(default)]
    pub proxy_secret_ref: Option<LocalReference>,
    /// What source-controller leaves out of its archive; not used here.
    #[serde(default)]
    pub ignore: Option<String>,
    /// Whether source-controller leaves this object alone; not used here, as in Flux.
    #[serde(default)]
    pub suspend: bool,
    /// Not used here.
    #[serde(default)]
    pub recurse_submodules: bool,
    /// Not used here.
    #[serde(default)]
    pub include: Option<Vec<serde_json::Value>>,
    /// Not used here.
    #[serde(default)]
    pub sparse_checkout: Option<Vec<String>>,
}

/// `GitRepository.spec.verify`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitVerification {
    /// What must be signed.
    #[serde(default)]
    pub mode: VerificationMode,
    /// A Secret whose values are public keys.
    pub secret_ref: LocalReference,
}

/// What must be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum VerificationMode {
    /// The commit that is checked out.
    #[default]
    #[serde(rename = "HEAD")]
    Head,
    /// The same, as it was written in older versions.
    #[serde(rename = "head")]
    OldHead,
    /// The annotated tag that is checked out.
    Tag,
    /// Both.
    #[serde(rename = "TagAndHEAD")]
    TagAndHead,
}

/// `GitRepository.spec.provider`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GitProvider {
    /// Secrets.
    #[default]
    Generic,
    /// Azure DevOps.
    Azure,
    /// AWS `CodeCommit`.
    Aws,
    /// A GitHub App.
    Github,
}

/// `v1/Secret`, as it is applied.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretDocument {
    /// `v1`.
    pub api_version: String,
    /// `Secret`.
    pub kind: String,
    /// Name, namespace, labels and annotations.
    pub metadata: Metadata,
    /// What the values mean; `Opaque` where it is missing.
    #[serde(default, rename = "type")]
    pub secret_type: Option<String>,
    /// The values, in base64.
    #[serde(default)]
    pub data: Option<BTreeMap<String, String>>,
    /// The values as they are; they win over `data`.
    #[serde(default)]
    pub string_data: Option<BTreeMap<String, String>>,
    /// Accepted and ignored.
    #[serde(default)]
    pub immutable: Option<bool>,
    /// What SOPS writes into a file that it encrypted.
    #[serde(default)]
    pub sops: Option<serde_json::Value>,
}
