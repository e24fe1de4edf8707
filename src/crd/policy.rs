//! `ImagePolicy.spec`: Flux's fields, and ours beside them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{LocalReference, NamespacedReference};

/// `ImagePolicy.spec`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImagePolicySpec {
    /// The ImageRepository whose tags are the candidates.
    pub image_repository_ref: NamespacedReference,
    /// The order.
    pub policy: PolicyChoice,
    /// Which tags are candidates, and what of them is compared.
    #[serde(default)]
    pub filter_tags: Option<FilterTags>,
    /// Whether the digest is written too.
    #[serde(default)]
    pub digest_reflection_policy: DigestReflectionPolicy,
    /// How often the digest is looked up, with `Always` only.
    #[serde(default)]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: Option<String>,
    /// Whether to leave this object alone.
    #[serde(default)]
    pub suspend: bool,
    /// Whether a value in Git may be replaced by an older one. Not a field of Flux.
    #[serde(default)]
    pub allow_downgrade: bool,
    /// What a candidate must be besides being in order. Not a field of Flux.
    #[serde(default)]
    pub constraints: Option<ConstraintsSpec>,
    /// By whom a candidate's image must be signed. Not a field of Flux.
    #[serde(default)]
    pub verify: Option<VerifySpec>,
    /// The guards that are switched off. Not a field of Flux.
    #[serde(default)]
    pub guards_off: Vec<GuardName>,
}

/// `ImagePolicy.spec.verify`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifySpec {
    /// How images are signed. Only `cosign` is verified; `notation` is refused.
    #[serde(default)]
    pub provider: VerifyProviderName,
    /// The Secret with the public keys, under names that end in `.pub`.
    #[serde(default)]
    pub secret_ref: Option<LocalReference>,
    /// Who signs without a key. It is refused, since only keys are verified.
    #[serde(default, rename = "matchOIDCIdentity")]
    pub match_oidc_identity: Option<Vec<OidcIdentitySpec>>,
}

/// How images are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerifyProviderName {
    /// By cosign.
    #[default]
    Cosign,
    /// By notation.
    Notation,
}

/// An entry of `verify.matchOIDCIdentity`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcIdentitySpec {
    /// Who vouches for the identity.
    pub issuer: String,
    /// The identity.
    pub subject: String,
}

/// `ImagePolicy.spec.constraints`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConstraintsSpec {
    /// The greatest step away from the tag in Git.
    #[serde(default)]
    pub update: Option<UpdateLevelName>,
    /// Whether the suffix of the tag in Git stays: `-alpine`.
    #[serde(default)]
    pub keep_suffix: bool,
    /// Whether the number of parts of the tag in Git stays: `1.2`.
    #[serde(default)]
    pub keep_precision: bool,
    /// Whether pre-releases take part; as the range says where it is missing.
    #[serde(default)]
    pub prereleases: Option<bool>,
    /// The only tags that take part.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub allow: Vec<TagRuleSpec>,
    /// Tags that take no part.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub deny: Vec<DenialSpec>,
    /// How old a tag must be.
    #[serde(default)]
    pub minimum_age: Option<MinimumAgeSpec>,
    /// What a tag must run on, such as `linux/arm64`.
    #[serde(default)]
    #[schemars(length(max = 25))]
    pub platforms: Vec<String>,
}

/// `constraints.update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpdateLevelName {
    /// The first two numbers stay.
    Patch,
    /// The first number stays.
    Minor,
    /// Every number may change.
    Major,
}

/// An entry of `constraints.allow`: one of its fields.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagRuleSpec {
    /// This tag.
    #[serde(default)]
    pub tag: Option<String>,
    /// Versions in a range.
    #[serde(default)]
    pub range: Option<String>,
    /// Tags of this manifest.
    #[serde(default)]
    pub digest: Option<String>,
}

/// An entry of `constraints.deny`: one of `tag`, `range` and `digest`, and why.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DenialSpec {
    /// This tag.
    #[serde(default)]
    pub tag: Option<String>,
    /// Versions in a range, pre-releases included.
    #[serde(default)]
    pub range: Option<String>,
    /// Tags of this manifest.
    #[serde(default)]
    pub digest: Option<String>,
    /// Why; it is told with every rejection.
    #[serde(default)]
    pub reason: Option<String>,
    /// When the entry ends: a day or a time, in UTC.
    #[serde(default)]
    pub until: Option<String>,
}

/// `constraints.minimumAge`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MinimumAgeSpec {
    /// The age, such as `72h`.
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub age: String,
    /// By which clock.
    #[serde(default)]
    pub clock: ClockName,
}

/// Where the time of a tag comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ClockName {
    /// The image's configuration.
    #[default]
    Created,
    /// The annotation `org.opencontainers.image.created`.
    Annotation,
    /// The first listing that had the tag.
    FirstSeen,
}

/// A guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GuardName {
    /// Against lists that lost almost everything.
    ShrunkList,
    /// Against dates beside versions.
    MixedSchemes,
    /// Against commits and counts that read as versions.
    DigitTags,
    /// Against writing again what somebody took back.
    TakenBack,
}

/// `ImagePolicy.spec.policy`: one of its fields, in the order of precedence.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyChoice {
    /// The highest version in a range.
    #[serde(default)]
    pub semver: Option<SemverPolicy>,
    /// The last or first tag by bytes.
    #[serde(default)]
    pub alphabetical: Option<OrderPolicy>,
    /// The largest or smallest number.
    #[serde(default)]
    pub numerical: Option<NumericalPolicy>,
    /// The last or first tag, with runs of digits as numbers. Not a field of Flux.
    #[serde(default)]
    pub natural: Option<OrderPolicy>,
    /// The latest calendar version. Not a field of Flux.
    #[serde(default)]
    pub calver: Option<CalverPolicy>,
    /// The highest version of one to four parts in a range. Not a field of Flux.
    #[serde(default)]
    pub loose: Option<SemverPolicy>,
    /// Several groups of the filter, one after the other. Not a field of Flux.
    #[serde(default)]
    #[schemars(length(min = 1, max = 8))]
    pub keys: Option<Vec<KeyPolicy>>,
    /// The latest by a clock. Not a field of Flux.
    #[serde(default)]
    pub newest: Option<NewestPolicy>,
    /// A whole policy for a popular shape of tags, by its name. Not a field of Flux.
    #[serde(default)]
    #[schemars(extend("enum" = [
        "semver", "semver-v", "semver-prereleases", "main-sha-timestamp", "main-timestamp-sha",
        "calver", "date", "build-number", "linuxserver", "keep-suffix"
    ]))]
    pub preset: Option<String>,
}

/// `policy.numerical`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NumericalPolicy {
    /// `asc` takes the greatest, `desc` the smallest.
    #[serde(default)]
    pub order: OrderDirection,
    /// Whether one tag that is no number holds the policy, as in Flux. Not a field of Flux.
    #[serde(default)]
    pub strict: bool,
}

/// One entry of `policy.keys`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyPolicy {
    /// A named group of the filter's pattern.
    pub group: String,
    /// How it is compared.
    #[serde(rename = "as")]
    pub kind: KeyKindName,
    /// `asc` takes the greatest, `desc` the smallest.
    #[serde(default)]
    pub order: OrderDirection,
}

/// How a key is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyKindName {
    /// As a number.
    Number,
    /// As a version of one to three parts.
    Semver,
    /// Byte by byte.
    Text,
    /// With runs of digits as numbers.
    Natural,
}

/// `policy.newest`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewestPolicy {
    /// The clock.
    #[serde(default)]
    pub clock: ClockName,
}

/// `policy.calver`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CalverPolicy {
    /// The parts of a version, such as `YYYY.0M.0D`.
    pub format: String,
}

/// `policy.semver`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SemverPolicy {
    /// A range in the Masterminds grammar.
    pub range: String,
}

/// `policy.alphabetical` and `policy.natural`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderPolicy {
    /// `asc` takes the greatest, `desc` the smallest.
    #[serde(default)]
    pub order: OrderDirection,
}

/// The direction of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderDirection {
    /// The greatest is chosen.
    #[default]
    Asc,
    /// The smallest is chosen.
    Desc,
}

/// `ImagePolicy.spec.filterTags`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilterTags {
    /// A regular expression as Go reads it; unanchored.
    #[serde(default)]
    pub pattern: String,
    /// What of the match is compared, such as `$ts`.
    #[serde(default)]
    pub extract: String,
}

/// `ImagePolicy.spec.digestReflectionPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum DigestReflectionPolicy {
    /// On every run.
    Always,
    /// When the tag changes, or the digest is missing.
    IfNotPresent,
    /// Tags only.
    #[default]
    Never,
}
