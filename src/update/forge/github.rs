//! GitHub, cloud and Enterprise: REST, and GraphQL for what REST does not have.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{
    Access, Comment, Decoration, Forge, ForgeError, Merge, MergeMethod, NewRequest, Readiness,
    Request, State, Text,
    client::{Client, MAX_PAGES, WrittenComment},
};
use crate::{
    egress::Egress,
    update::git::{Branch, CommitId, NewCommit},
};

/// How many requests are on a page.
const PAGE: usize = 100;
const ENABLE: &str = "mutation($id: ID!, $head: GitObjectID!, $method: PullRequestMergeMethod!) { \
     enablePullRequestAutoMerge(input: {pullRequestId: $id, expectedHeadOid: $head, mergeMethod: $method}) \
     { clientMutationId } }";
const COMMIT: &str = "mutation($input: CreateCommitOnBranchInput!) { \
     createCommitOnBranch(input: $input) { commit { oid } } }";
const ENQUEUE: &str = "mutation($id: ID!, $head: GitObjectID!) { \
     enqueuePullRequest(input: {pullRequestId: $id, expectedHeadOid: $head}) { clientMutationId } }";

/// A repository on GitHub.
#[derive(Clone, Debug)]
pub struct Github {
    client: Client,
}

/// A pull request, as the API writes it.
#[derive(Debug, Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    title: String,
    body: Option<String>,
    state: String,
    merged_at: Option<String>,
    #[serde(default)]
    draft: bool,
    created_at: Option<DateTime<Utc>>,
    head: End,
    base: End,
    #[serde(default)]
    node_id: String,
    #[serde(default)]
    mergeable_state: String,
}

#[derive(Debug, Deserialize)]
struct End {
    #[serde(rename = "ref")]
    name: String,
    #[serde(default)]
    sha: String,
    repo: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Debug, Deserialize)]
struct Milestone {
    number: u64,
    title: String,
}

impl Github {
    /// A repository, reached by `egress`.
    pub fn new(egress: Egress, access: Access) -> Self {
        let headers = [
            (
                "accept",
                "application/vnd.github+json, application/json;q=0.9",
            ),
            ("x-github-api-version", "2022-11-28"),
        ];
        Self {
            client: Client::new(egress, access, &headers),
        }
    }

    fn owner(&self) -> &str {
        self.client
            .access
            .place
            .project
            .first()
            .map_or("", String::as_str)
    }

    fn url(&self, rest: &[&str], query: &[(&str, &str)]) -> Url {
        let project = self.client.access.place.project.iter().map(String::as_str);
        let parts = ["repos"]
            .into_iter()
            .chain(project)
            .chain(rest.iter().copied());
        self.client.url(&parts.collect::<Vec<_>>(), query)
    }

    /// Pull requests from branches of the repository itself; a fork may call its branch as it likes.
    fn own(&self, pulls: Vec<Pull>) -> Vec<Request> {
        let name = self.client.access.place.project.join("/");
        let is_own = |pull: &Pull| {
            let repository = pull.head.repo.as_ref();
            repository.is_some_and(|it| it.full_name.eq_ignore_ascii_case(&name))
        };
        pulls.into_iter().filter(is_own).map(request).collect()
    }

    async fn pull(&self, attempt: &str, number: u64) -> Result<Pull, ForgeError> {
        let url = self.url(&["pulls", &number.to_string()], &[]);
        self.client.get(attempt, url).await?.read()
    }

    /// GraphQL answers 200 whatever happens; what went wrong stands in the answer.
    async fn graphql(
        &self,
        attempt: &str,
        query: &str,
        variables: Value,
    ) -> Result<(), ForgeError> {
        let mut url = self.client.access.place.api.clone();
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/v3").unwrap_or(path).to_owned();
        url.set_path(&format!("{path}/graphql"));
        let body = json!({"query": query, "variables": variables});
        let reply = self.client.post(attempt, url, body).await?;
        match reply
            .json()
            .get("errors")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
        {
            None | Some([]) => Ok(()),
            Some([first, ..]) => {
                let message = first
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or("no reason given");
                Err(ForgeError::Refused {
                    attempt: attempt.to_owned(),
                    reason: crate::egress::one_line(message.as_bytes()),
                })
            }
        }
    }

    async fn milestone(&self, number: &str, title: &str) -> Result<(), ForgeError> {
        let attempt = format!("find the milestone `{title}`");
        let url = self.url(&["milestones"], &[("state", "open"), ("per_page", "100")]);
        let known = self
            .client
            .get(&attempt, url)
            .await?
            .read::<Vec<Milestone>>()?;
        let Some(found) = known.iter().find(|it| it.title == title) else {
            return Err(ForgeError::NotFound { attempt });
        };
        let body = json!({"milestone": found.number});
        let url = self.url(&["issues", number], &[]);
        self.client
            .patch("set the milestone", url, body)
            .await
            .map(drop)
    }
}

fn request(pull: Pull) -> Request {
    Request {
        number: pull.number,
        url: pull.html_url,
        title: pull.title,
        body: pull.body.unwrap_or_default(),
        head: pull.head.name,
        base: pull.base.name,
        state: match (pull.state.as_str(), &pull.merged_at) {
            (_, Some(_)) => State::Merged,
            ("open", None) => State::Open,
            _ => State::Closed,
        },
        readiness: if pull.draft {
            Readiness::Draft
        } else {
            Readiness::Ready
        },
        created: pull.created_at,
    }
}

impl Forge for Github {
    async fn of_branch(&self, head: &Branch) -> Result<Vec<Request>, ForgeError> {
        let attempt = format!("list the pull requests from `{head}`");
        let filter = format!("{}:{head}", self.owner());
        let query = [
            ("head", filter.as_str()),
            ("state", "all"),
            ("per_page", "100"),
        ];
        let reply = self
            .client
            .get(&attempt, self.url(&["pulls"], &query))
            .await?;
        let mut requests = self.own(reply.read()?);
        requests.retain(|it| it.head == head.as_str());
        requests.sort_by_key(|it| std::cmp::Reverse(it.number));
        Ok(requests)
    }

    async fn open(&self) -> Result<Vec<Request>, ForgeError> {
        let page = |page: &str| {
            let query = [("state", "open"), ("per_page", "100"), ("page", page)];
            self.url(&["pulls"], &query)
        };
        let attempt = "list the open pull requests";
        let found = self.client.pages(attempt, (PAGE, MAX_PAGES), page).await?;
        Ok(self.own(found))
    }

    async fn create(&self, proposal: &NewRequest) -> Result<Request, ForgeError> {
        let attempt = format!("open a pull request from `{}`", proposal.head);
        let body = json!({
            "title": proposal.text.title,
            "body": proposal.text.body,
            "head": proposal.head.as_str(),
            "base": proposal.base.as_str(),
            "draft": proposal.readiness == Readiness::Draft,
        });
        let reply = self
            .client
            .post(&attempt, self.url(&["pulls"], &[]), body)
            .await?;
        Ok(request(reply.read()?))
    }

    async fn edit(&self, request: &Request, text: &Text) -> Result<(), ForgeError> {
        let number = request.number.to_string();
        let attempt = format!("edit pull request {number}");
        let body = json!({"title": text.title, "body": text.body});
        let url = self.url(&["pulls", &number], &[]);
        self.client.patch(&attempt, url, body).await.map(drop)
    }

    async fn decorate(
        &self,
        request: &Request,
        wish: &Decoration,
    ) -> Result<Vec<String>, ForgeError> {
        let number = request.number.to_string();
        let mut refused = Vec::new();
        if !wish.labels.is_empty() {
            let url = self.url(&["issues", &number, "labels"], &[]);
            let body = json!({"labels": wish.labels});
            super::note_refusal(
                self.client.post("add labels", url, body).await,
                &mut refused,
            )?;
        }
        if !(wish.reviewers.is_empty() && wish.teams.is_empty()) {
            let url = self.url(&["pulls", &number, "requested_reviewers"], &[]);
            let body = json!({"reviewers": wish.reviewers, "team_reviewers": wish.teams});
            super::note_refusal(
                self.client.post("ask for reviews", url, body).await,
                &mut refused,
            )?;
        }
        if !wish.assignees.is_empty() {
            let url = self.url(&["issues", &number, "assignees"], &[]);
            let body = json!({"assignees": wish.assignees});
            super::note_refusal(self.client.post("assign", url, body).await, &mut refused)?;
        }
        if let Some(title) = &wish.milestone {
            super::note_refusal(self.milestone(&number, title).await, &mut refused)?;
        }
        Ok(refused)
    }

    async fn arm(
        &self,
        request: &Request,
        merge: Merge,
        head: &CommitId,
    ) -> Result<(), ForgeError> {
        let number = request.number.to_string();
        let attempt = format!("have pull request {number} merged");
        let pull = self.pull(&attempt, request.number).await?;
        if pull.head.sha != head.as_str() {
            let reason = "its branch has moved".to_owned();
            return Err(ForgeError::Refused { attempt, reason });
        }
        let ids = json!({"id": pull.node_id, "head": head.as_str()});
        let method = match merge {
            Merge::ByHand => return Ok(()),
            Merge::Queue => return self.graphql(&attempt, ENQUEUE, ids).await,
            Merge::Automatic(method) => method,
        };
        let name = match method {
            MergeMethod::Merge => "merge",
            MergeMethod::Squash => "squash",
            MergeMethod::Rebase => "rebase",
        };
        // Auto-merge is refused where there is nothing left to wait for.
        if pull.mergeable_state == "clean" {
            let body = json!({"sha": head.as_str(), "merge_method": name});
            let url = self.url(&["pulls", &number, "merge"], &[]);
            return self.client.put(&attempt, url, body).await.map(drop);
        }
        let mut variables = ids;
        variables["method"] = json!(name.to_ascii_uppercase());
        self.graphql(&attempt, ENABLE, variables).await
    }

    async fn comment(&self, number: u64, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("comment on pull request {number}");
        let url = self.url(&["issues", &number.to_string(), "comments"], &[]);
        self.client
            .post(&attempt, url, json!({"body": text}))
            .await
            .map(drop)
    }

    async fn comments(&self, number: u64) -> Result<Vec<Comment>, ForgeError> {
        let attempt = format!("read the comments on pull request {number}");
        let number = number.to_string();
        let page = |page: &str| {
            let query = [("per_page", "100"), ("page", page)];
            self.url(&["issues", &number, "comments"], &query)
        };
        let found = self
            .client
            .pages::<WrittenComment>(&attempt, (PAGE, MAX_PAGES), page)
            .await?;
        Ok(found.into_iter().map(Comment::from).collect())
    }

    async fn reword(&self, number: u64, comment: &Comment, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("rewrite our comment on pull request {number}");
        let url = self.url(&["issues", "comments", &comment.id], &[]);
        let body = json!({"body": text});
        self.client.patch(&attempt, url, body).await.map(drop)
    }

    async fn commit(
        &self,
        branch: &Branch,
        parent: &CommitId,
        commit: &NewCommit,
    ) -> Result<(), ForgeError> {
        let attempt = format!("make a commit on `{branch}`");
        let (headline, body) = match commit.message.trim_end().split_once('\n') {
            Some((headline, body)) => (headline, body.trim_start_matches('\n')),
            None => (commit.message.trim_end(), ""),
        };
        let additions = commit
            .files
            .iter()
            .map(|file| json!({"path": file.path, "contents": STANDARD.encode(&file.bytes)}));
        let input = json!({
            "branch": {
                "repositoryNameWithOwner": self.client.access.place.project.join("/"),
                "branchName": branch.as_str(),
            },
            "expectedHeadOid": parent.as_str(),
            "message": {"headline": headline, "body": body},
            "fileChanges": {"additions": additions.collect::<Vec<_>>()},
        });
        self.graphql(&attempt, COMMIT, json!({"input": input}))
            .await
    }

    async fn close(&self, request: &Request) -> Result<(), ForgeError> {
        let number = request.number.to_string();
        let attempt = format!("close pull request {number}");
        let url = self.url(&["pulls", &number], &[]);
        self.client
            .patch(&attempt, url, json!({"state": "closed"}))
            .await
            .map(drop)
    }
}
