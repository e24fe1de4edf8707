//! Bitbucket Data Center and Server: REST 1.0. It has neither labels nor assignees nor milestones on
//! pull requests, and numbers every state of one: an edit of an older state is refused.

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::DeserializeOwned};
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

/// A repository on Bitbucket Data Center.
#[derive(Clone, Debug)]
pub struct BitbucketDataCenter {
    client: Client,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    values: Vec<T>,
    #[serde(rename = "isLastPage")]
    is_last: bool,
    next_page_start: Option<u64>,
}

/// A pull request, as the API writes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pull {
    id: u64,
    version: u64,
    title: String,
    #[serde(default)]
    description: String,
    state: String,
    #[serde(default)]
    draft: bool,
    created_date: Option<i64>,
    from_ref: End,
    to_ref: End,
    #[serde(default)]
    links: Value,
    #[serde(default)]
    reviewers: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct End {
    id: String,
    #[serde(default)]
    latest_commit: String,
    repository: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    slug: String,
    project: Project,
}

#[derive(Debug, Deserialize)]
struct Project {
    key: String,
}

/// What has happened to a pull request; comments are a part of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Activity {
    #[serde(default)]
    comment_action: Option<String>,
    #[serde(default)]
    comment: Option<Remark>,
}

/// A comment, as the API writes it.
#[derive(Debug, Deserialize)]
struct Remark {
    id: u64,
    version: u64,
    #[serde(default)]
    text: String,
}

impl BitbucketDataCenter {
    /// A repository, reached by `egress`.
    pub fn new(egress: Egress, access: Access) -> Self {
        Self {
            client: Client::new(egress, access, &[("x-atlassian-token", "no-check")]),
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
        let parts = ["projects", project, "repos", name, "pull-requests"];
        let parts = parts.into_iter().chain(rest.iter().copied());
        self.client.url(&parts.collect::<Vec<_>>(), query)
    }

    async fn listed(
        &self,
        attempt: &str,
        filter: &[(&str, &str)],
    ) -> Result<Vec<Request>, ForgeError> {
        let (project, name) = self.project();
        let filter = [filter, &[("order", "NEWEST")]].concat();
        let pulls = self.pages::<Pull>(attempt, &[], &filter).await?;
        let own = pulls.into_iter().filter(|it| {
            let repository = it.from_ref.repository.as_ref();
            repository.is_some_and(|it| {
                it.slug.eq_ignore_ascii_case(name) && it.project.key.eq_ignore_ascii_case(project)
            })
        });
        let mut requests = own.map(request).collect::<Vec<_>>();
        requests.sort_by_key(|it| std::cmp::Reverse(it.number));
        Ok(requests)
    }

    /// Reads a list page by page; where the next one begins is the server's to say.
    async fn pages<T: DeserializeOwned>(
        &self,
        attempt: &str,
        rest: &[&str],
        filter: &[(&str, &str)],
    ) -> Result<Vec<T>, ForgeError> {
        let (mut all, mut start) = (Vec::new(), 0);
        for _ in 0..MAX_PAGES {
            let from = start.to_string();
            let mut query = vec![("limit", "100"), ("start", from.as_str())];
            query.extend(filter);
            let reply = self.client.get(attempt, self.url(rest, &query)).await?;
            let page = reply.read::<Page<T>>()?;
            all.extend(page.values);
            match page.next_page_start.filter(|_| !page.is_last) {
                Some(next) => start = next,
                None => break,
            }
        }
        Ok(all)
    }

    async fn pull(&self, attempt: &str, request: &Request) -> Result<Pull, ForgeError> {
        let url = self.url(&[&request.number.to_string()], &[]);
        self.client.get(attempt, url).await?.read()
    }

    /// Writes a new state of a pull request over the newest one.
    async fn write(
        &self,
        attempt: &str,
        old: &Pull,
        text: &Text,
        more: &[String],
    ) -> Result<(), ForgeError> {
        let named = |name: &Value| json!({"user": {"name": name}});
        let known = old
            .reviewers
            .iter()
            .filter_map(|it| it.pointer("/user/name"));
        let more = more.iter().map(|name| Value::from(name.as_str()));
        let reviewers = known
            .cloned()
            .chain(more)
            .map(|name| named(&name))
            .collect::<Vec<_>>();
        let body = json!({
            "version": old.version,
            "title": text.title,
            "description": text.body,
            "reviewers": reviewers,
        });
        let url = self.url(&[&old.id.to_string()], &[]);
        self.client.put(attempt, url, body).await.map(drop)
    }
}

fn request(pull: Pull) -> Request {
    let branch = |end: &End| {
        end.id
            .strip_prefix("refs/heads/")
            .unwrap_or(&end.id)
            .to_owned()
    };
    let page = pull.links.pointer("/self/0/href").and_then(Value::as_str);
    Request {
        number: pull.id,
        url: page.unwrap_or_default().to_owned(),
        head: branch(&pull.from_ref),
        base: branch(&pull.to_ref),
        title: pull.title,
        body: pull.description,
        state: match pull.state.as_str() {
            "OPEN" => State::Open,
            "MERGED" => State::Merged,
            _ => State::Closed,
        },
        readiness: if pull.draft {
            Readiness::Draft
        } else {
            Readiness::Ready
        },
        created: pull
            .created_date
            .and_then(DateTime::<Utc>::from_timestamp_millis),
    }
}

impl Forge for BitbucketDataCenter {
    async fn of_branch(&self, head: &Branch) -> Result<Vec<Request>, ForgeError> {
        let attempt = format!("list the pull requests from `{head}`");
        let at = format!("refs/heads/{head}");
        let filter = [
            ("direction", "OUTGOING"),
            ("at", at.as_str()),
            ("state", "ALL"),
        ];
        self.listed(&attempt, &filter).await
    }

    async fn open(&self) -> Result<Vec<Request>, ForgeError> {
        let filter = [("direction", "INCOMING"), ("state", "OPEN")];
        self.listed("list the open pull requests", &filter).await
    }

    async fn create(&self, proposal: &NewRequest) -> Result<Request, ForgeError> {
        let attempt = format!("open a pull request from `{}`", proposal.head);
        let (project, name) = self.project();
        let end = |branch: &Branch| {
            json!({
                "id": format!("refs/heads/{branch}"),
                "repository": {"slug": name, "project": {"key": project}},
            })
        };
        let mut body = json!({
            "title": proposal.text.title,
            "description": proposal.text.body,
            "fromRef": end(&proposal.head),
            "toRef": end(&proposal.base),
        });
        // Servers before 8.18 do not know the word.
        if proposal.readiness == Readiness::Draft {
            body["draft"] = json!(true);
        }
        let reply = self.client.post(&attempt, self.url(&[], &[]), body).await?;
        Ok(request(reply.read()?))
    }

    async fn edit(&self, request: &Request, text: &Text) -> Result<(), ForgeError> {
        let attempt = format!("edit pull request {}", request.number);
        let old = self.pull(&attempt, request).await?;
        self.write(&attempt, &old, text, &[]).await
    }

    async fn decorate(
        &self,
        request: &Request,
        wish: &Decoration,
    ) -> Result<Vec<String>, ForgeError> {
        let mut refused = Vec::new();
        let lacks = [
            ("labels", wish.labels.is_empty()),
            ("teams of reviewers", wish.teams.is_empty()),
            ("assignees", wish.assignees.is_empty()),
            ("milestones", wish.milestone.is_none()),
        ];
        for (what, _) in lacks.iter().filter(|(_, is_empty)| !is_empty) {
            refused.push(format!(
                "Bitbucket Data Center has no {what} on pull requests"
            ));
        }
        if !wish.reviewers.is_empty() {
            let old = self.pull("ask for reviews", request).await?;
            let text = Text {
                title: old.title.clone(),
                body: old.description.clone(),
            };
            let done = self.write("ask for reviews", &old, &text, &wish.reviewers);
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
        let attempt = format!("have pull request {} merged", request.number);
        let strategy = match merge {
            Merge::ByHand => return Ok(()),
            Merge::Queue => {
                let reason = "it has no merge queue".to_owned();
                return Err(ForgeError::Refused { attempt, reason });
            }
            Merge::Automatic(MergeMethod::Merge) => "no-ff",
            Merge::Automatic(MergeMethod::Squash) => "squash",
            Merge::Automatic(MergeMethod::Rebase) => "rebase-no-ff",
        };
        let old = self.pull(&attempt, request).await?;
        if old.from_ref.latest_commit != head.as_str() {
            let reason = "its branch has moved".to_owned();
            return Err(ForgeError::Refused { attempt, reason });
        }
        // The version changes with every commit on the branch, so what is merged is what was seen.
        let version = old.version.to_string();
        let url = self.url(
            &[&request.number.to_string(), "merge"],
            &[("version", &version)],
        );
        let body = json!({"autoMerge": true, "strategyId": strategy});
        self.client.post(&attempt, url, body).await.map(drop)
    }

    async fn comment(&self, number: u64, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("comment on pull request {number}");
        let url = self.url(&[&number.to_string(), "comments"], &[]);
        self.client
            .post(&attempt, url, json!({"text": text}))
            .await
            .map(drop)
    }

    /// The list of comments is one of those on files; those on the whole are among what has happened.
    async fn comments(&self, number: u64) -> Result<Vec<Comment>, ForgeError> {
        let attempt = format!("read the comments on pull request {number}");
        let rest = [&number.to_string(), "activities"];
        let found = self.pages::<Activity>(&attempt, &rest, &[]).await?;
        let added = found
            .into_iter()
            .filter(|it| it.comment_action.as_deref() == Some("ADDED"));
        let comments = added.filter_map(|it| it.comment).map(|it| Comment {
            id: it.id.to_string(),
            text: it.text,
        });
        let mut comments = comments.collect::<Vec<_>>();
        // What has happened is told from the newest to the oldest.
        comments.reverse();
        Ok(comments)
    }

    async fn reword(&self, number: u64, comment: &Comment, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("rewrite our comment on pull request {number}");
        let url = self.url(&[&number.to_string(), "comments", &comment.id], &[]);
        let reply = self.client.get(&attempt, url.clone()).await?;
        let version = reply.read::<Remark>()?.version;
        let body = json!({"version": version, "text": text});
        self.client.put(&attempt, url, body).await.map(drop)
    }

    async fn close(&self, request: &Request) -> Result<(), ForgeError> {
        let attempt = format!("decline pull request {}", request.number);
        let version = self.pull(&attempt, request).await?.version.to_string();
        let url = self.url(
            &[&request.number.to_string(), "decline"],
            &[("version", &version)],
        );
        self.client.post(&attempt, url, json!({})).await.map(drop)
    }
}
