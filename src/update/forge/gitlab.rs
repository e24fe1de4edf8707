//! GitLab, in the cloud and of one's own: REST v4.

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

const PAGE: usize = 100;
/// What marks a draft, in front of the title.
const DRAFT: &str = "Draft: ";

/// A project on GitLab.
#[derive(Clone, Debug)]
pub struct Gitlab {
    client: Client,
}

/// A merge request, as the API writes it.
#[derive(Debug, Deserialize)]
struct MergeRequest {
    iid: u64,
    web_url: String,
    title: String,
    description: Option<String>,
    state: String,
    #[serde(default)]
    draft: bool,
    created_at: Option<DateTime<Utc>>,
    source_branch: String,
    target_branch: String,
    source_project_id: Option<u64>,
    target_project_id: Option<u64>,
}

/// What else has a number and is called by a name.
#[derive(Debug, Deserialize)]
struct Numbered {
    id: u64,
}

impl Gitlab {
    /// A project, reached by `egress`.
    pub fn new(egress: Egress, access: Access) -> Self {
        Self {
            client: Client::new(egress, access, &[]),
        }
    }

    fn url(&self, rest: &[&str], query: &[(&str, &str)]) -> Url {
        let project = self.client.access.place.project.join("/");
        let parts = ["projects", &project]
            .into_iter()
            .chain(rest.iter().copied());
        self.client.url(&parts.collect::<Vec<_>>(), query)
    }

    fn of_request(&self, number: u64, rest: &[&str]) -> Url {
        let number = number.to_string();
        let parts = ["merge_requests", &number]
            .into_iter()
            .chain(rest.iter().copied());
        self.url(&parts.collect::<Vec<_>>(), &[])
    }

    async fn listed(
        &self,
        attempt: &str,
        filter: &[(&str, &str)],
    ) -> Result<Vec<Request>, ForgeError> {
        let page = |page: &str| {
            let mut query = vec![("per_page", "100"), ("page", page)];
            query.extend([("order_by", "created_at"), ("sort", "desc")]);
            query.extend(filter);
            self.url(&["merge_requests"], &query)
        };
        let found = self
            .client
            .pages::<MergeRequest>(attempt, (PAGE, MAX_PAGES), page)
            .await?;
        let own = found
            .into_iter()
            .filter(|it| it.source_project_id == it.target_project_id);
        let mut requests = own.map(request).collect::<Vec<_>>();
        requests.sort_by_key(|it| std::cmp::Reverse(it.number));
        Ok(requests)
    }

    /// The numbers of users, and of the members of groups.
    async fn users(
        &self,
        names: &[String],
        groups: &[String],
        refused: &mut Vec<String>,
    ) -> Result<Vec<u64>, ForgeError> {
        let mut numbers = Vec::new();
        for name in names {
            let url = self.client.url(&["users"], &[("username", name)]);
            let found = self
                .client
                .get("find a user", url)
                .await?
                .read::<Vec<Numbered>>()?;
            match found.first() {
                Some(user) => numbers.push(user.id),
                None => refused.push(format!("there is no user `{name}`")),
            }
        }
        for group in groups {
            let url = self
                .client
                .url(&["groups", group, "members"], &[("per_page", "100")]);
            let mut members = Vec::new();
            let found = self
                .client
                .get(&format!("list the members of `{group}`"), url)
                .await;
            super::note_refusal(
                match found {
                    Ok(reply) => reply.read::<Vec<Numbered>>().map(|it| members = it),
                    Err(error) => Err(error),
                },
                refused,
            )?;
            numbers.extend(members.iter().map(|it| it.id));
        }
        Ok(numbers)
    }
}

fn request(found: MergeRequest) -> Request {
    let title = found.title.strip_prefix(DRAFT).filter(|_| found.draft);
    Request {
        number: found.iid,
        url: found.web_url,
        title: title.unwrap_or(&found.title).to_owned(),
        body: found.description.unwrap_or_default(),
        head: found.source_branch,
        base: found.target_branch,
        state: match found.state.as_str() {
            "opened" | "locked" => State::Open,
            "merged" => State::Merged,
            _ => State::Closed,
        },
        readiness: if found.draft {
            Readiness::Draft
        } else {
            Readiness::Ready
        },
        created: found.created_at,
    }
}

fn titled(title: &str, readiness: Readiness) -> String {
    match readiness {
        Readiness::Ready => title.to_owned(),
        Readiness::Draft => format!("{DRAFT}{title}"),
    }
}

impl Forge for Gitlab {
    async fn of_branch(&self, head: &Branch) -> Result<Vec<Request>, ForgeError> {
        let attempt = format!("list the merge requests from `{head}`");
        let filter = [("source_branch", head.as_str()), ("state", "all")];
        self.listed(&attempt, &filter).await
    }

    async fn open(&self) -> Result<Vec<Request>, ForgeError> {
        self.listed("list the open merge requests", &[("state", "opened")])
            .await
    }

    async fn create(&self, proposal: &NewRequest) -> Result<Request, ForgeError> {
        let attempt = format!("open a merge request from `{}`", proposal.head);
        let body = json!({
            "title": titled(&proposal.text.title, proposal.readiness),
            "description": proposal.text.body,
            "source_branch": proposal.head.as_str(),
            "target_branch": proposal.base.as_str(),
        });
        let reply = self
            .client
            .post(&attempt, self.url(&["merge_requests"], &[]), body)
            .await?;
        Ok(request(reply.read()?))
    }

    async fn edit(&self, request: &Request, text: &Text) -> Result<(), ForgeError> {
        let attempt = format!("edit merge request {}", request.number);
        let title = titled(&text.title, request.readiness);
        let body = json!({"title": title, "description": text.body});
        self.client
            .put(&attempt, self.of_request(request.number, &[]), body)
            .await
            .map(drop)
    }

    async fn decorate(
        &self,
        request: &Request,
        wish: &Decoration,
    ) -> Result<Vec<String>, ForgeError> {
        let mut refused = Vec::new();
        let mut body = json!({});
        if !wish.labels.is_empty() {
            body["add_labels"] = json!(wish.labels.join(","));
        }
        let reviewers = self
            .users(&wish.reviewers, &wish.teams, &mut refused)
            .await?;
        if !reviewers.is_empty() {
            body["reviewer_ids"] = json!(reviewers);
        }
        let assignees = self.users(&wish.assignees, &[], &mut refused).await?;
        if !assignees.is_empty() {
            body["assignee_ids"] = json!(assignees);
        }
        if let Some(title) = &wish.milestone {
            let url = self.url(&["milestones"], &[("title", title)]);
            let found = self
                .client
                .get("find the milestone", url)
                .await?
                .read::<Vec<Numbered>>()?;
            match found.first() {
                Some(milestone) => body["milestone_id"] = json!(milestone.id),
                None => refused.push(format!("there is no milestone `{title}`")),
            }
        }
        if body.as_object().is_some_and(|it| !it.is_empty()) {
            let done = self.client.put(
                "add labels and people",
                self.of_request(request.number, &[]),
                body,
            );
            super::note_refusal(done.await, &mut refused)?;
        }
        Ok(refused)
    }

    async fn arm(
        &self,
        request: &Request,
        merge: Merge,
        head: &CommitId,
    ) -> Result<(), ForgeError> {
        let attempt = format!("have merge request {} merged", request.number);
        let number = request.number.to_string();
        match merge {
            Merge::ByHand => Ok(()),
            Merge::Automatic(method) => {
                // Servers before 17.11 know the second name only.
                let body = json!({
                    "auto_merge": true,
                    "merge_when_pipeline_succeeds": true,
                    "sha": head.as_str(),
                    "squash": method == MergeMethod::Squash,
                });
                self.client
                    .put(&attempt, self.of_request(request.number, &["merge"]), body)
                    .await
                    .map(drop)
            }
            Merge::Queue => {
                let url = self.url(&["merge_trains", "merge_requests", &number], &[]);
                let body: Value = json!({"auto_merge": true, "sha": head.as_str()});
                self.client.post(&attempt, url, body).await.map(drop)
            }
        }
    }

    async fn comment(&self, number: u64, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("comment on merge request {number}");
        let url = self.of_request(number, &["notes"]);
        self.client
            .post(&attempt, url, json!({"body": text}))
            .await
            .map(drop)
    }

    async fn comments(&self, number: u64) -> Result<Vec<Comment>, ForgeError> {
        let attempt = format!("read the comments on merge request {number}");
        let page = |page: &str| {
            let mut url = self.of_request(number, &["notes"]);
            let query = [("per_page", "100"), ("sort", "asc"), ("page", page)];
            url.query_pairs_mut().extend_pairs(query);
            url
        };
        let found = self
            .client
            .pages::<WrittenComment>(&attempt, (PAGE, MAX_PAGES), page)
            .await?;
        Ok(found.into_iter().map(Comment::from).collect())
    }

    async fn reword(&self, number: u64, comment: &Comment, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("rewrite our comment on merge request {number}");
        let url = self.of_request(number, &["notes", &comment.id]);
        let body = json!({"body": text});
        self.client.put(&attempt, url, body).await.map(drop)
    }

    /// With `start_sha`, the commit stands on that very commit, wherever the branch is by then.
    async fn commit(
        &self,
        branch: &Branch,
        parent: &CommitId,
        commit: &NewCommit,
    ) -> Result<(), ForgeError> {
        let attempt = format!("make a commit on `{branch}`");
        let actions = commit.files.iter().map(|file| {
            json!({
                "action": "update",
                "file_path": file.path,
                "content": STANDARD.encode(&file.bytes),
                "encoding": "base64",
            })
        });
        let body = json!({
            "branch": branch.as_str(),
            "start_sha": parent.as_str(),
            "force": true,
            "commit_message": commit.message,
            "author_name": commit.author.name,
            "author_email": commit.author.email,
            "actions": actions.collect::<Vec<_>>(),
        });
        let url = self.url(&["repository", "commits"], &[]);
        self.client.post(&attempt, url, body).await.map(drop)
    }

    async fn close(&self, request: &Request) -> Result<(), ForgeError> {
        let attempt = format!("close merge request {}", request.number);
        let body = json!({"state_event": "close"});
        self.client
            .put(&attempt, self.of_request(request.number, &[]), body)
            .await
            .map(drop)
    }
}
