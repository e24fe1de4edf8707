//! Bitbucket Cloud: REST 2.0. It has neither labels nor assignees nor milestones on pull requests.

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use url::Url;

use super::{
    Access, Comment, Decoration, Forge, ForgeError, Merge, NewRequest, Readiness, Request, State,
    Text,
    client::{Client, MAX_PAGES},
};
use crate::{
    egress::Egress,
    update::git::{Branch, CommitId},
};

/// A repository on Bitbucket Cloud.
#[derive(Clone, Debug)]
pub struct BitbucketCloud {
    client: Client,
}

#[derive(Debug, Deserialize)]
struct Page<T> {
    values: Vec<T>,
    next: Option<String>,
}

/// A pull request, as the API writes it.
#[derive(Debug, Deserialize)]
struct Pull {
    id: u64,
    links: Links,
    title: String,
    #[serde(default)]
    description: Option<String>,
    state: String,
    #[serde(default)]
    draft: bool,
    created_on: Option<DateTime<Utc>>,
    source: End,
    destination: End,
    #[serde(default)]
    reviewers: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Links {
    html: Link,
}

#[derive(Debug, Deserialize)]
struct Link {
    href: String,
}

#[derive(Debug, Deserialize)]
struct End {
    branch: Name,
    repository: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Name {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
}

/// A comment, as the API writes it.
#[derive(Debug, Deserialize)]
struct Remark {
    id: u64,
    content: Content,
    #[serde(default)]
    deleted: bool,
}

#[derive(Debug, Deserialize)]
struct Content {
    #[serde(default)]
    raw: Option<String>,
}

impl BitbucketCloud {
    /// A repository, reached by `egress`.
    pub fn new(egress: Egress, access: Access) -> Self {
        Self {
            client: Client::new(egress, access, &[]),
        }
    }

    fn url(&self, rest: &[&str], query: &[(&str, &str)]) -> Url {
        let project = self.client.access.place.project.iter().map(String::as_str);
        let parts = ["repositories"]
            .into_iter()
            .chain(project)
            .chain(rest.iter().copied());
        self.client.url(&parts.collect::<Vec<_>>(), query)
    }

    fn of_request(&self, number: u64, rest: &[&str]) -> Url {
        let number = number.to_string();
        let parts = ["pullrequests", &number]
            .into_iter()
            .chain(rest.iter().copied());
        self.url(&parts.collect::<Vec<_>>(), &[])
    }

    async fn listed(
        &self,
        attempt: &str,
        filter: &[(&str, &str)],
    ) -> Result<Vec<Request>, ForgeError> {
        let name = self.client.access.place.project.join("/");
        let page = |page: &str| {
            let mut query = vec![("pagelen", "50"), ("page", page), ("sort", "-created_on")];
            query.extend(filter);
            self.url(&["pullrequests"], &query)
        };
        let pulls = self.pages::<Pull>(attempt, page).await?;
        let own = pulls.into_iter().filter(|it| {
            let repository = it.source.repository.as_ref();
            repository.is_some_and(|it| it.full_name.eq_ignore_ascii_case(&name))
        });
        let mut requests = own.map(request).collect::<Vec<_>>();
        requests.sort_by_key(|it| std::cmp::Reverse(it.number));
        Ok(requests)
    }

    /// Reads a list page by page. Where the next page is, we know; only whether there is one is the
    /// server's to say.
    async fn pages<T: DeserializeOwned>(
        &self,
        attempt: &str,
        page: impl Fn(&str) -> Url,
    ) -> Result<Vec<T>, ForgeError> {
        let mut all = Vec::new();
        for number in 1..=MAX_PAGES {
            let reply = self.client.get(attempt, page(&number.to_string())).await?;
            let Page { values, next } = reply.read()?;
            all.extend(values);
            if next.is_none() {
                break;
            }
        }
        Ok(all)
    }

    async fn pull(&self, attempt: &str, request: &Request) -> Result<Pull, ForgeError> {
        self.client
            .get(attempt, self.of_request(request.number, &[]))
            .await?
            .read()
    }
}

fn request(pull: Pull) -> Request {
    Request {
        number: pull.id,
        url: pull.links.html.href,
        title: pull.title,
        body: pull.description.unwrap_or_default(),
        head: pull.source.branch.name,
        base: pull.destination.branch.name,
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
        created: pull.created_on,
    }
}

/// `{uuid}` or an account's id, as the API wants to have it.
fn reviewer(name: &str) -> Value {
    if name.starts_with('{') {
        json!({"uuid": name})
    } else {
        json!({"account_id": name})
    }
}

impl Forge for BitbucketCloud {
    async fn of_branch(&self, head: &Branch) -> Result<Vec<Request>, ForgeError> {
        let attempt = format!("list the pull requests from `{head}`");
        let name = head.as_str().replace('\\', "\\\\").replace('"', "\\\"");
        let wanted = format!("source.branch.name=\"{name}\"");
        let states = ["OPEN", "MERGED", "DECLINED", "SUPERSEDED"].map(|it| ("state", it));
        let filter = [[("q", wanted.as_str())].as_slice(), &states].concat();
        self.listed(&attempt, &filter).await
    }

    async fn open(&self) -> Result<Vec<Request>, ForgeError> {
        self.listed("list the open pull requests", &[("state", "OPEN")])
            .await
    }

    async fn create(&self, proposal: &NewRequest) -> Result<Request, ForgeError> {
        let attempt = format!("open a pull request from `{}`", proposal.head);
        let body = json!({
            "title": proposal.text.title,
            "description": proposal.text.body,
            "source": {"branch": {"name": proposal.head.as_str()}},
            "destination": {"branch": {"name": proposal.base.as_str()}},
            "draft": proposal.readiness == Readiness::Draft,
        });
        let reply = self
            .client
            .post(&attempt, self.url(&["pullrequests"], &[]), body)
            .await?;
        Ok(request(reply.read()?))
    }

    async fn edit(&self, request: &Request, text: &Text) -> Result<(), ForgeError> {
        let attempt = format!("edit pull request {}", request.number);
        // Reviewers who are not sent along are dropped.
        let reviewers = self.pull(&attempt, request).await?.reviewers;
        let body = json!({
            "title": text.title,
            "description": text.body,
            "reviewers": reviewers.iter().map(identity).collect::<Vec<_>>(),
        });
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
        let lacks = [
            ("labels", wish.labels.is_empty()),
            ("teams of reviewers", wish.teams.is_empty()),
            ("assignees", wish.assignees.is_empty()),
            ("milestones", wish.milestone.is_none()),
        ];
        for (what, _) in lacks.iter().filter(|(_, is_empty)| !is_empty) {
            refused.push(format!("Bitbucket Cloud has no {what} on pull requests"));
        }
        if !wish.reviewers.is_empty() {
            let pull = self.pull("ask for reviews", request).await?;
            let wanted = wish.reviewers.iter().map(|it| reviewer(it));
            let reviewers = pull.reviewers.iter().map(identity).chain(wanted);
            let body = json!({"title": pull.title, "reviewers": reviewers.collect::<Vec<_>>()});
            let done = self.client.put(
                "ask for reviews",
                self.of_request(request.number, &[]),
                body,
            );
            super::note_refusal(done.await, &mut refused)?;
        }
        Ok(refused)
    }

    async fn arm(&self, request: &Request, _: Merge, _: &CommitId) -> Result<(), ForgeError> {
        Err(ForgeError::Refused {
            attempt: format!("have pull request {} merged", request.number),
            reason: "Bitbucket Cloud does not offer it to programs".to_owned(),
        })
    }

    async fn comment(&self, number: u64, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("comment on pull request {number}");
        let url = self.of_request(number, &["comments"]);
        let body = json!({"content": {"raw": text}});
        self.client.post(&attempt, url, body).await.map(drop)
    }

    async fn comments(&self, number: u64) -> Result<Vec<Comment>, ForgeError> {
        let attempt = format!("read the comments on pull request {number}");
        let page = |page: &str| {
            let mut url = self.of_request(number, &["comments"]);
            let query = [("pagelen", "100"), ("page", page), ("sort", "created_on")];
            url.query_pairs_mut().extend_pairs(query);
            url
        };
        let found = self.pages::<Remark>(&attempt, page).await?.into_iter();
        let found = found.filter(|it| !it.deleted).map(|it| Comment {
            id: it.id.to_string(),
            text: it.content.raw.unwrap_or_default(),
        });
        Ok(found.collect())
    }

    async fn reword(&self, number: u64, comment: &Comment, text: &str) -> Result<(), ForgeError> {
        let attempt = format!("rewrite our comment on pull request {number}");
        let url = self.of_request(number, &["comments", &comment.id]);
        let body = json!({"content": {"raw": text}});
        self.client.put(&attempt, url, body).await.map(drop)
    }

    async fn close(&self, request: &Request) -> Result<(), ForgeError> {
        let attempt = format!("decline pull request {}", request.number);
        let url = self.of_request(request.number, &["decline"]);
        self.client.post(&attempt, url, json!({})).await.map(drop)
    }
}

/// A user as the API takes one: by nothing but an identity.
fn identity(user: &Value) -> Value {
    match user.get("uuid") {
        Some(uuid) => json!({"uuid": uuid}),
        None => json!({"account_id": user.get("account_id")}),
    }
}
