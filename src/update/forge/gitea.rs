//! Gitea and Forgejo: REST v1.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{
    Access, Comment, Decoration, Forge, ForgeError, Merge, MergeMethod, NewRequest, Readiness,
    Request, State, Text,
    client::{Client, MAX_PAGES, WrittenComment},
};
use crate::{
    egress::Egress,
    update::git::{Branch, CommitId},
};

/// The largest page of a server that nobody has configured.
const PAGE: usize = 50;
/// How many pages of closed requests are looked through, the last changed first.
const CLOSED_PAGES: usize = 4;
/// What marks a draft, in front of the title.
const DRAFT: &str = "WIP: ";
/// The colour of a label that is made because it is missing.
const COLOUR: &str = "#ededed";

/// A repository on Gitea or Forgejo.
#[derive(Clone, Debug)]
pub struct Gitea {
    client: Client,
}

/// A pull request, as the API writes it.
#[derive(Debug, Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    title: String,
    #[serde(default)]
    body: String,
    state: String,
    #[serde(default)]
    merged: bool,
    created_at: Option<DateTime<Utc>>,
    head: End,
    base: End,
}

#[derive(Debug, Deserialize)]
struct End {
    #[serde(rename = "ref")]
    name: String,
    repo_id: Option<i64>,
}

/// A label or milestone.
#[derive(Debug, Deserialize)]
struct Named {
    id: u64,
    #[serde(alias = "title")]
    name: String,
}

impl Gitea {
    /// A repository, reached by `egress`.
    pub fn new(egress: Egress, access: Access) -> Self {
        Self {
            client: Client::new(egress, access, &[]),
        }
    }

    fn url(&self, rest: &[&str], query: &[(&str, &str)]) -> Url {
        let project = self.client.access.place.project.iter().map(String::as_str);
        let parts = ["repos"]
            .into_iter()
            .chain(project)
            .chain(rest.iter().copied());
        self.client.url(&parts.collect::<Vec<_>>(), query)
    }

    async fn listed(&self, state: &str, pages: usize) -> Result<Vec<Request>, ForgeError> {
        let attempt = format!("list the {state} pull requests");
        let page = |page: &str| {
            let mut query = vec![("state", state), ("sort", "recentupdate")];
            query.extend([("limit", "50"), ("page", page)]);
            self.url(&["pulls"], &query)
        };
        let found = self
            .client
            .pages::<Pull>(&attempt, (PAGE, pages), page)
            .await?;
        let own = found
            .into_iter()
            .filter(|it| it.head.repo_id == it.base.repo_id);
        Ok(own.map(request).collect())
    }

    /// The numbers of labels; a missing one is made.
    async fn labels(&self, names: &[String]) -> Result<Vec<u64>, ForgeError> {
        let page = |page: &str| self.url(&["labels"], &[("limit", "50"), ("page", page)]);
        let known = self
            .client
            .pages::<Named>("list the labels", (PAGE, MAX_PAGES), page)
            .await?;
        let mut numbers = Vec::new();
        for name in names {
            let number = if let Some(label) = known.iter().find(|it| it.name == *name) {
                label.id
            } else {
                let body = json!({"name": name, "color": COLOUR});
                let made = self
                    .client
                    .post("make a label", self.url(&["labels"], &[]), body);
                made.await?.read::<Named>()?.id
            };
            numbers.push(number);
        }
        Ok(numbers)
    }

    async fn label(&self, number: &str, names: &[String]) -> Result<(), ForgeError> {
        let numbers = self.labels(names).await?;
        let url = self.url(&["issues", number, "labels"], &[]);
        self.client
            .post("add labels", url, json!({"labels": numbers}))
            .await
            .map(drop)
    }

    async fn milestone(&self, number: &str, title: &str) -> Result<(), ForgeError> {
        let attempt = format!("find the milestone `{title}`");
        let url = self.url(&["milestones"], &[("name", title)]);
        let known = self.client.get(&attempt, url).await?.read::<Vec<Named>>()?;
        let Some(found) = known.iter().find(|it| it.name == title) else {
            return Err(ForgeError::NotFound { attempt });
        };
        let url = self.url(&["pulls", number], &[]);
        let body = json!({"milestone": found.id});
        self.client
            .patch("set the milestone", url, body)
            .await
            .map(drop)
    }
}

fn request(pull: Pull) -> Request {
    let title = pull.title.strip_prefix(DRAFT);
    Request {
        number: pull.number,
        url: pull.html_url,
        readiness: if title.is_some() {
            Readiness::Draft
        } else {
            Readiness::Ready
        },
        title: title.unwrap_or(&pull.title).to_owned(),
        body: pull.body,
        head: pull.head.name,
        base: pull.base.name,
        state: match (pull.state.as_str(), pull.merged) {
            (_, true) => State::Merged,
            ("open", false) => State::Open,
            _ => State::Closed,
        },
        created: pull.created_at,
    }
}

fn titled(title: &str, readiness: Readiness) -> String {
    match readiness {
        Readiness::Ready => title.to_owned(),
        Readiness::Draft => format!("{DRAFT}{title}"),
    }
}

impl Forge for Gitea {
    async fn of_branch(&self, head: &Branch) -> Result<Vec<Request>, ForgeError> {
        let mut requests = self.listed("open", MAX_PAGES).await?;
        requests.extend(self.listed("closed", CLOSED_PAGES).await?);
        requests.retain(|it| it.head == head.as_str());
        requests.sort_by_key(|it| std::cmp::Reverse(it.number));
        Ok(requests)
    }

    async fn open(&self) -> Result<Vec<Request>, ForgeError> {
        self.listed("open", MAX_PAGES).await
    }

    async fn create(&self, proposal: &NewRequest) -> Result<Request, ForgeError> {
        let attempt = format!("open a pull request from `{}`", proposal.head);
        let body = json!({
            "title": titled(&proposal.text.title, proposal.readiness),
            "body": proposal.text.body,
            "head": proposal.head.as_str(),
            "base": proposal.base.as_str(),
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
        let body = json!({"title": titled(&text.title, request.readiness), "body": text.body});
        self.client
            .patch(&attempt, self.url(&["pulls", &number], &[]), body)
            .await
            .map(drop)
    }

    async fn decorate(
        &self,
        request: &Request,
        wish: &Decoration,
    ) -> Result<Vec<String>, ForgeError> {
        let number = request.number.to_string();
        let mut refused = Vec::new();
        if !wish.labels.is_empty() {
            super::note_refusal(self.label(&number, &wish.labels).await, &mut refused)?;
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
            let url = self.url(&["pulls", &number], &[]);
            let body = json!({"assignees": wish.assignees});
            super::note_refusal(self.client.patch("assign", url, body).await, &mut refused)?;
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
        let attempt = format!("have pull request {} merged", request.number);
        let method = match merge {
            Merge::ByHand => return Ok(()),
            Merge::Queue => {
                let reason = "it has no merge queue".to_owned();
                return Err(ForgeError::Refused { attempt, reason });
            }
            Merge::Automatic(MergeMethod::Merge) => "merge",
            Merge::Automatic(MergeMethod::Squash) => "squash",
            Merge::Automatic(MergeMethod::Rebase) => "rebase",
        };
        let url = self.url(&["pulls", &request.number.to_string(), "merge"], &[]);
        let body = json!({
            "Do": method,
            "merge_when_checks_succeed": true,
            "head_commit_id": head.as_str(),
        });
        self.client.post(&attempt, url, body).await.map(drop)
    }

    async fn comment(&self, number: u64, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("comment on pull request {number}");
        let url = self.url(&["issues", &number.to_string(), "comments"], &[]);
        self.client
            .post(&attempt, url, json!({"body": text}))
            .await
            .map(drop)
    }

    /// All at once: the API lists them without pages.
    async fn comments(&self, number: u64) -> Result<Vec<Comment>, ForgeError> {
        let attempt = format!("read the comments on pull request {number}");
        let url = self.url(&["issues", &number.to_string(), "comments"], &[]);
        let reply = self.client.get(&attempt, url).await?;
        let found = reply.read::<Vec<WrittenComment>>()?;
        Ok(found.into_iter().map(Comment::from).collect())
    }

    async fn reword(&self, number: u64, comment: &Comment, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("rewrite our comment on pull request {number}");
        let url = self.url(&["issues", "comments", &comment.id], &[]);
        let body = json!({"body": text});
        self.client.patch(&attempt, url, body).await.map(drop)
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
