//! `git.push.pullRequest`: a request from the push branch. Flux has no such field.

use schemars::JsonSchema;
use serde::Deserialize;

use super::LocalReference;

/// `git.push.pullRequest`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PullRequestSpec {
    /// The forge; told by the host where its name says so.
    #[serde(default)]
    pub forge: Option<ForgeName>,
    /// Where the forge's API begins; told by the host where it is missing.
    #[serde(default)]
    pub api: Option<String>,
    /// What the forge calls the repository; told by the address where it is missing.
    #[serde(default)]
    pub project: Option<String>,
    /// The Secret with the token; the GitRepository's where it is missing.
    #[serde(default)]
    pub secret_ref: Option<LocalReference>,
    /// The branch that the request goes to; the one that is checked out where it is missing.
    #[serde(default)]
    pub base: Option<String>,
    /// A template for the title, in the language of `messageTemplate`.
    #[serde(default)]
    pub title: Option<String>,
    /// A template for words that come before the table.
    #[serde(default)]
    pub body: Option<String>,
    /// Labels of a new request.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Who is asked to review it.
    #[serde(default)]
    pub reviewers: Vec<String>,
    /// Which teams or groups are asked to review it.
    #[serde(default)]
    pub teams: Vec<String>,
    /// Who it is assigned to.
    #[serde(default)]
    pub assignees: Vec<String>,
    /// The milestone, by title.
    #[serde(default)]
    pub milestone: Option<String>,
    /// Whether a new request is a draft.
    #[serde(default)]
    pub draft: bool,
    /// Who merges.
    #[serde(default)]
    pub merge: MergeName,
    /// How the forge merges by itself.
    #[serde(default)]
    pub merge_method: MergeMethodName,
    /// Who makes the commit.
    #[serde(default)]
    pub commit_by: CommitterName,
    /// What is put into one request.
    #[serde(default)]
    pub group_by: GroupName,
    /// The label of policies that `groupBy: label` tells apart by.
    #[serde(default)]
    pub group_label: Option<String>,
    /// How many requests of this automation may be open at once.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_open: Option<u32>,
    /// How many requests may be opened in an hour.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_per_hour: Option<u32>,
    /// When requests may be opened; at any time where nothing is given.
    #[serde(default)]
    pub schedule: Vec<WindowSpec>,
}

/// `pullRequest.forge`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ForgeName {
    /// GitHub, cloud and Enterprise.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea and Forgejo.
    Gitea,
    /// Bitbucket Cloud.
    BitbucketCloud,
    /// Bitbucket Data Center and Server.
    BitbucketDataCenter,
    /// Azure DevOps.
    AzureDevops,
}

/// `pullRequest.merge`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MergeName {
    /// A person.
    #[default]
    Manual,
    /// The forge, once every check has passed.
    Auto,
    /// The forge's merge queue or train.
    Queue,
}

/// `pullRequest.mergeMethod`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MergeMethodName {
    /// By a merge commit.
    #[default]
    Merge,
    /// As one commit.
    Squash,
    /// On top of the base branch.
    Rebase,
}

/// `pullRequest.commitBy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CommitterName {
    /// We do, and sign it where there is a key.
    #[default]
    Git,
    /// The forge, in its own name and with its signature: GitHub and GitLab.
    Forge,
}

/// `pullRequest.groupBy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GroupName {
    /// One request for everything.
    #[default]
    All,
    /// One for each policy.
    Policy,
    /// One for each image.
    Image,
    /// One for each folder.
    Directory,
    /// One for each value of a label of the policies.
    Label,
}

/// One entry of `pullRequest.schedule`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowSpec {
    /// Days or ranges of days, `mon-fri`; every day where nothing is given.
    #[serde(default)]
    pub days: Vec<String>,
    /// When it begins, `08:30`.
    pub from: String,
    /// When it ends; on the next day where that is not later.
    pub to: String,
    /// A time zone such as `Europe/Berlin`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}
