//! Azure DevOps, in the cloud and on servers: REST 7.1. It has no assignees and no milestones.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{
    Access, Comment, Decoration, Forge, ForgeError, Merge, MergeMethod, NewRequest, Readiness,
    Request, State, Text,
    client::{Client, MAX_PAGES},
};
use crate::{
    egress::Egress,
    update::git::{Branch, CommitId},
};

const VERSION: (&str, &str) = ("api-version", "7.1");
/// How many pull requests are on a page.
const PAGE: usize = 100;
/// Lists give no more of a description than this.
const LISTED_DESCRIPTION: usize = 400;

/// A repository on Azure DevOps.
#[derive(Clone, Debug)]
pub struct AzureDevops {
    client: Client,
}

#[derive(Debug, Deserialize)]
struct Page<T> {
    value: Vec<T>,
}

/// A pull request, as the API writes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pull {
    #[serde(rename = "pullRequestId")]
    number: u64,
    title: String,
    #[serde(default)]
    description: Option<String>,
    status: String,
    #[serde(default)]
    is_draft: bool,
    creation_date: Option<DateTime<Utc>>,
    source_ref_name: String,
    target_ref_name: String,
    fork_source: Option<Value>,
    last_merge_source_commit: Option<Commit>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Commit {
    commit_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    authenticated_user: Identity,
}

#[derive(Debug, Deserialize)]
struct Identity {
    id: String,
}

/// A conversation, as the API writes it: a comment and the answers to it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thread {
    id: u64,
    #[serde(default)]
    comments: Vec<Remark>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remark {
    id: u64,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    is_deleted: bool,
}

impl AzureDevops {
    /// A repository, reached by `egress`.
    pub fn new(egress: Egress, access: Access) -> Self {
        Self {
            client: Client::new(egress, access, &[]),
        }
    }

    fn project(&self) -> (&str, &str) {
        match self.client.access.place.project.as_slice() {
            [project, name, ..] => (project, name),
            _ => ("", ""),
        }
    }

    fn url(&self, rest: &[&str], query: &[(&str, &str)]) -> Url {
        let (project, name) = self.project();
        let parts = [
            project,
            "_apis",
            "git",
            "repositories",
            name,
            "pullrequests",
        ];
        let parts = parts
            .into_iter()
            .chain(rest.iter().copied())
            .collect::<Vec<_>>();
        let query = query.iter().copied().chain([VERSION]).collect::<Vec<_>>();
        self.client.url(&parts, &query)
    }

    fn of_request(&self, number: u64, rest: &[&str]) -> Url {
        let number = number.to_string();
        let parts = [number.as_str()].into_iter().chain(rest.iter().copied());
        self.url(&parts.collect::<Vec<_>>(), &[])
    }

    /// The page that people look at; the API gives its own address only.
    fn page(&self, number: u64) -> String {
        let (project, name) = self.project();
        let number = number.to_string();
        let url = self
            .client
            .url(&[project, "_git", name, "pullrequest", &number], &[]);
        url.to_string()
    }

    async fn listed(
        &self,
        attempt: &str,
        filter: &[(&str, &str)],
    ) -> Result<Vec<Request>, ForgeError> {
        let mut requests = Vec::new();
        for page in 0..MAX_PAGES {
            let skip = (page * PAGE).to_string();
            let mut query = vec![("$top", "100"), ("$skip", skip.as_str())];
            query.extend(filter);
            let found = self.client.get(attempt, self.url(&[], &query)).await?;
            let found = found.read::<Page<Pull>>()?.value;
            let is_last = found.len() < PAGE;
            for pull in found.into_iter().filter(|it| it.fork_source.is_none()) {
                let description = pull.description.as_deref().unwrap_or_default();
                let is_cut = description.chars().count() >= LISTED_DESCRIPTION;
                let listed = self.request(pull);
                let whole = if is_cut {
                    self.request(self.pull(attempt, &listed).await?)
                } else {
                    listed
                };
                requests.push(whole);
            }
            if is_last {
                break;
            }
        }
        requests.sort_by_key(|it| std::cmp::Reverse(it.number));
        Ok(requests)
    }

    async fn pull(&self, attempt: &str, request: &Request) -> Result<Pull, ForgeError> {
        self.client
            .get(attempt, self.of_request(request.number, &[]))
            .await?
            .read()
    }

    async fn patch(&self, attempt: &str, request: &Request, body: Value) -> Result<(), ForgeError> {
        self.client
            .patch(attempt, self.of_request(request.number, &[]), body)
            .await
            .map(drop)
    }

    fn request(&self, pull: Pull) -> Request {
        let branch = |name: &str| name.strip_prefix("refs/heads/").unwrap_or(name).to_owned();
        Request {
            number: pull.number,
            url: self.page(pull.number),
            head: branch(&pull.source_ref_name),
            base: branch(&pull.target_ref_name),
            title: pull.title,
            body: pull.description.unwrap_or_default(),
            state: match pull.status.as_str() {
                "active" => State::Open,
                "completed" => State::Merged,
                _ => State::Closed,
            },
            readiness: if pull.is_draft {
                Readiness::Draft
            } else {
                Readiness::Ready
            },
            created: pull.creation_date,
        }
    }
}

impl Forge for AzureDevops {
    async fn of_branch(&self, head: &Branch) -> Result<Vec<Request>, ForgeError> {
        let attempt = format!("list the pull requests from `{head}`");
        let name = format!("refs/heads/{head}");
        let filter = [
            ("searchCriteria.sourceRefName", name.as_str()),
            ("searchCriteria.status", "all"),
        ];
        self.listed(&attempt, &filter).await
    }

    async fn open(&self) -> Result<Vec<Request>, ForgeError> {
        let filter = [("searchCriteria.status", "active")];
        self.listed("list the open pull requests", &filter).await
    }

    async fn create(&self, proposal: &NewRequest) -> Result<Request, ForgeError> {
        let attempt = format!("open a pull request from `{}`", proposal.head);
        let body = json!({
            "title": proposal.text.title,
            "description": proposal.text.body,
            "sourceRefName": format!("refs/heads/{}", proposal.head),
            "targetRefName": format!("refs/heads/{}", proposal.base),
            "isDraft": proposal.readiness == Readiness::Draft,
        });
        let reply = self.client.post(&attempt, self.url(&[], &[]), body).await?;
        Ok(self.request(reply.read()?))
    }

    async fn edit(&self, request: &Request, text: &Text) -> Result<(), ForgeError> {
        let attempt = format!("edit pull request {}", request.number);
        let body = json!({"title": text.title, "description": text.body});
        self.patch(&attempt, request, body).await
    }

    async fn decorate(
        &self,
        request: &Request,
        wish: &Decoration,
    ) -> Result<Vec<String>, ForgeError> {
        let mut refused = Vec::new();
        let lacks = [
            ("assignees", wish.assignees.is_empty()),
            ("milestones", wish.milestone.is_none()),
        ];
        for (what, _) in lacks.iter().filter(|(_, is_empty)| !is_empty) {
            refused.push(format!("Azure DevOps has no {what} on pull requests"));
        }
        for label in &wish.labels {
            let url = self.of_request(request.number, &["labels"]);
            let done = self
                .client
                .post("add a label", url, json!({"name": label}))
                .await;
            super::note_refusal(done, &mut refused)?;
        }
        // People and groups are asked by their identity's id alike.
        for id in wish.reviewers.iter().chain(&wish.teams) {
            let url = self.of_request(request.number, &["reviewers", id]);
            let done = self
                .client
                .put("ask for a review", url, json!({"vote": 0}))
                .await;
            super::note_refusal(done, &mut refused)?;
        }
        Ok(refused)
    }

    async fn arm(
        &self,
        request: &Request,
        merge: Merge,
        head: &CommitId,
    ) -> Result<(), ForgeError> {
        let attempt = format!("have pull request {} merged", request.number);
        let strategy = match merge {
            Merge::ByHand => return Ok(()),
            Merge::Queue => {
                let reason = "it has no merge queue".to_owned();
                return Err(ForgeError::Refused { attempt, reason });
            }
            Merge::Automatic(MergeMethod::Merge) => "noFastForward",
            Merge::Automatic(MergeMethod::Squash) => "squash",
            Merge::Automatic(MergeMethod::Rebase) => "rebase",
        };
        let pull = self.pull(&attempt, request).await?;
        if pull
            .last_merge_source_commit
            .is_none_or(|it| it.commit_id != head.as_str())
        {
            let reason = "its branch has moved".to_owned();
            return Err(ForgeError::Refused { attempt, reason });
        }
        let url = self.client.url(&["_apis", "connectionData"], &[]);
        let me = self.client.get(&attempt, url).await?.read::<Connection>()?;
        let body = json!({
            "autoCompleteSetBy": {"id": me.authenticated_user.id},
            "completionOptions": {"mergeStrategy": strategy, "deleteSourceBranch": true},
        });
        self.patch(&attempt, request, body).await
    }

    async fn comment(&self, number: u64, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("comment on pull request {number}");
        let body = json!({
            "comments": [{"parentCommentId": 0, "content": text, "commentType": "text"}],
            "status": "closed",
        });
        let url = self.of_request(number, &["threads"]);
        self.client.post(&attempt, url, body).await.map(drop)
    }

    /// A comment is called by its thread and by its place in it; all threads are on one page.
    async fn comments(&self, number: u64) -> Result<Vec<Comment>, ForgeError> {
        let attempt = format!("read the comments on pull request {number}");
        let url = self.of_request(number, &["threads"]);
        let threads = self.client.get(&attempt, url).await?;
        let mut comments = Vec::new();
        for thread in threads.read::<Page<Thread>>()?.value {
            let kept = thread.comments.into_iter().filter(|it| !it.is_deleted);
            comments.extend(kept.map(|it| Comment {
                id: format!("{}/{}", thread.id, it.id),
                text: it.content.unwrap_or_default(),
            }));
        }
        Ok(comments)
    }

    async fn reword(&self, number: u64, comment: &Comment, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("rewrite our comment on pull request {number}");
        let (thread, id) = comment.id.split_once('/').unwrap_or((&comment.id, "1"));
        let url = self.of_request(number, &["threads", thread, "comments", id]);
        let body = json!({"content": text});
        self.client.patch(&attempt, url, body).await.map(drop)
    }

    async fn close(&self, request: &Request) -> Result<(), ForgeError> {
        let attempt = format!("abandon pull request {}", request.number);
        self.patch(&attempt, request, json!({"status": "abandoned"}))
            .await
    }
}
