//! Rules: which values follow a policy without a marker.

use schemars::JsonSchema;
use serde::Deserialize;

/// `.tagwright.yaml` at the root of a repository.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepositorySettings {
    /// Which values follow a policy without a marker.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub rules: Vec<RuleSpec>,
}

/// Values that follow a policy without a marker. One of `path` and `pattern` says which they are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleSpec {
    /// The files, as globs from the root of the repository: `*` and `?` stay in a name, `**` stands
    /// for any number of folders.
    #[schemars(length(min = 1, max = 20))]
    pub files: Vec<String>,
    /// The path of the value in its document: `spec.containers[name=app].image`.
    #[serde(default)]
    pub path: Option<String>,
    /// A regular expression of which the one group is the value.
    #[serde(default)]
    pub pattern: Option<String>,
    /// How often `pattern` matches in each of the files.
    #[serde(default)]
    pub matches: MatchesName,
    /// The policy, `NAME` or `NAMESPACE:NAME`; it must be one of the automation's.
    #[schemars(length(min = 1, max = 507))]
    pub policy: String,
    /// Which part of the chosen image the value is.
    #[serde(default)]
    pub field: FieldName,
}

/// How often a pattern matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MatchesName {
    /// Once in each file; anything else is reported.
    #[default]
    One,
    /// Any number of times.
    All,
}

/// Which part of an image a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldName {
    /// The whole reference.
    #[default]
    Image,
    /// The tag.
    Tag,
    /// The repository.
    Name,
    /// The digest.
    Digest,
}
