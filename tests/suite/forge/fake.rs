//! A forge on loopback, over one real bare repository: what a request's head is, whether it may be
//! opened and what a merge does, the repository says.
//!
//! What all products share is here; each file beside this one speaks one product's language. Every
//! request body is checked against the product's schema in `schemas/`, whose fields name their source.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::own_commit::OwnCommit;

/// The products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    Github,
    Gitlab,
    Gitea,
    BitbucketCloud,
    BitbucketDataCenter,
    AzureDevops,
}

impl Product {
    pub(crate) const ALL: [Self; 6] = [
        Self::Github,
        Self::Gitlab,
        Self::Gitea,
        Self::BitbucketCloud,
        Self::BitbucketDataCenter,
        Self::AzureDevops,
    ];

    /// The forge's name in a document, and where its API begins on the server.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Github => ("github", "/api/v3"),
            Self::Gitlab => ("gitlab", "/api/v4"),
            Self::Gitea => ("gitea", "/api/v1"),
            Self::BitbucketCloud => ("bitbucketCloud", "/2.0"),
            Self::BitbucketDataCenter => ("bitbucketDataCenter", "/rest/api/1.0"),
            Self::AzureDevops => ("azureDevops", "/organisation"),
        }
    }

    /// How the token `canary-1` is shown: as itself, or as a password of `tagwright`.
    pub(crate) fn authorization(self) -> &'static str {
        match self {
            Self::AzureDevops => "Basic dGFnd3JpZ2h0OmNhbmFyeS0x",
            _ => "Bearer canary-1",
        }
    }

    pub(crate) fn has_labels(self) -> bool {
        !matches!(self, Self::BitbucketCloud | Self::BitbucketDataCenter)
    }

    fn schema(self) -> &'static str {
        match self {
            Self::Github => include_str!("schemas/github.json"),
            Self::Gitlab => include_str!("schemas/gitlab.json"),
            Self::Gitea => include_str!("schemas/gitea.json"),
            Self::BitbucketCloud => include_str!("schemas/bitbucket_cloud.json"),
            Self::BitbucketDataCenter => include_str!("schemas/bitbucket_data_center.json"),
            Self::AzureDevops => include_str!("schemas/azure_devops.json"),
        }
    }
}

/// A request, as people on the forge see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pull {
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) head: String,
    pub(crate) base: String,
    pub(crate) state: Stage,
    pub(crate) draft: bool,
    pub(crate) fork: bool,
    pub(crate) labels: Vec<String>,
    pub(crate) reviewers: Vec<String>,
    pub(crate) assignees: Vec<String>,
    pub(crate) milestone: Option<String>,
    pub(crate) comments: Vec<String>,
    /// The commit for which a merge was asked.
    pub(crate) armed: Option<String>,
    /// Whether it stands in the merge queue, or in the train.
    pub(crate) queued: bool,
    pub(crate) version: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Open,
    Merged,
    Closed,
}

/// What goes wrong, counted over all calls from the moment it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The call that opens a request is carried out, and its answer is lost.
    LoseCreated,
    /// The call that makes a commit is carried out, and its answer is lost.
    LoseCommitted,
    /// The token may not make commits.
    NoCommits,
    /// Every call that writes is refused once for being too fast, and not carried out.
    TooFast,
    /// Every call that writes is refused for an hour.
    FarTooFast,
    /// Every call that writes is refused.
    Forbidden,
    /// The base branch is protected: nobody's merge is asked for by a program.
    NoMerge,
    /// Lists do not know what was opened since.
    Stale,
    /// People and labels are refused.
    NoSuchPeople,
}

/// Everything that a server knows.
pub(crate) struct Forge {
    pub(crate) product: Product,
    repository: PathBuf,
    pub(crate) pulls: Vec<Pull>,
    pub(crate) trouble: Option<Trouble>,
    /// Whether there is nothing that a merge would wait for.
    pub(crate) merges_at_once: bool,
    /// Requests as `POST /path`, in order.
    pub(crate) log: Vec<String>,
    refused: bool,
    has_committed: bool,
    stale_above: u64,
    schemas: BTreeMap<String, jsonschema::Validator>,
    /// What did not fit the schema.
    pub(crate) violations: Vec<String>,
}

/// One call, taken apart.
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Call {
    pub(crate) fn parts(&self) -> (&str, Vec<&str>) {
        (&self.method, self.path.iter().map(String::as_str).collect())
    }

    /// The call without the numbers of requests and comments.
    fn kind(&self) -> String {
        let is_number = |it: &str| it.chars().all(|it| it.is_ascii_digit());
        let parts = self.path.iter().map(String::as_str);
        let parts = parts.map(|it| if is_number(it) { "*" } else { it });
        format!("{} /{}", self.method, parts.collect::<Vec<_>>().join("/"))
    }

    /// Whether it asks for a merge, on any of the forges.
    fn merges(&self) -> bool {
        self.method != "GET"
            && (self
                .path
                .iter()
                .any(|it| it.starts_with("merge") && it != "merge_requests")
                || self.body.pointer("/variables/head").is_some()
                || self.body.get("autoCompleteSetBy").is_some())
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self, pointer: &str) -> Option<String> {
        let value = self.body.pointer(pointer)?.as_str()?;
        Some(value.to_owned())
    }

    /// A list of texts in the body.
    pub(crate) fn texts(&self, pointer: &str) -> Vec<String> {
        let values = self.body.pointer(pointer).and_then(Value::as_array);
        let values = values.into_iter().flatten().filter_map(Value::as_str);
        values.map(str::to_owned).collect()
    }
}

/// A status and a body.
pub(crate) type Reply = (u16, Value);

impl Forge {
    pub(crate) fn tip(&self, branch: &str) -> Option<String> {
        let file = self.repository.join("refs/heads").join(branch);
        let text = std::fs::read_to_string(file).ok()?;
        Some(text.trim().to_owned())
    }

    /// Opens a request, if the repository lets it be one; the number of the one that is in the way
    /// else, or nothing where the branches are not there.
    pub(crate) fn open(&mut self, new: Pull) -> Result<&mut Pull, Option<u64>> {
        let (head, base) = (self.tip(&new.head), self.tip(&new.base));
        if head.is_none() || base.is_none() || head == base {
            return Err(None);
        }
        let twin = |it: &&Pull| {
            it.state == Stage::Open && !it.fork && it.head == new.head && it.base == new.base
        };
        if let Some(twin) = self.pulls.iter().find(twin) {
            return Err(Some(twin.number));
        }
        let number = self.pulls.len() as u64 + 1;
        self.pulls.push(Pull { number, ..new });
        Ok(self.pulls.last_mut().expect("it was pushed"))
    }

    /// The requests that a list shows, newest first.
    pub(crate) fn listed(&self, keeps: impl Fn(&Pull) -> bool) -> Vec<&Pull> {
        let known = |it: &&Pull| it.number <= self.stale_above;
        let mut found = self
            .pulls
            .iter()
            .filter(known)
            .filter(|it| keeps(it))
            .collect::<Vec<_>>();
        found.reverse();
        found
    }

    pub(crate) fn pull(&mut self, number: &str) -> Option<&mut Pull> {
        let number = number.parse::<u64>().ok()?;
        self.pulls.iter_mut().find(|it| it.number == number)
    }

    /// The comments of a request, with the numbers that they are called by.
    pub(crate) fn notes(&mut self, number: &str) -> Vec<(u64, String)> {
        let Some(pull) = self.pull(number) else {
            return Vec::new();
        };
        let first = pull.number * 1000;
        (first..).zip(pull.comments.clone()).collect()
    }

    /// The words of a comment, by its number.
    pub(crate) fn note(&mut self, id: &str) -> Option<&mut String> {
        let id = id.parse::<usize>().ok()?;
        let pull = self.pull(&(id / 1000).to_string())?;
        pull.comments.get_mut(id % 1000)
    }

    /// Makes a commit as the forge's own, on a branch that is there, and moves the branch to it.
    pub(crate) fn commit(&mut self, branch: &str, new: &OwnCommit<'_>) -> String {
        let id = new.make(&self.repository);
        let file = self.repository.join("refs/heads").join(branch);
        std::fs::write(file, format!("{id}\n")).expect("a reference");
        self.has_committed = true;
        id
    }

    /// Lets the base of a request end where its branch ends.
    pub(crate) fn merge(&mut self, number: u64) {
        let repository = self.repository.join("refs/heads");
        let pull = self.pull(&number.to_string()).expect("it is there");
        pull.state = Stage::Merged;
        let (head, base) = (repository.join(&pull.head), repository.join(&pull.base));
        std::fs::copy(head, base).expect("both are references");
    }

    pub(crate) fn open_count(&self) -> usize {
        self.pulls
            .iter()
            .filter(|it| it.state == Stage::Open && !it.fork)
            .count()
    }

    pub(crate) fn writes(&self) -> usize {
        self.log.iter().filter(|it| !it.starts_with("GET ")).count()
    }

    pub(crate) fn set(&mut self, trouble: Option<Trouble>) {
        self.trouble = trouble;
        self.stale_above = match trouble {
            Some(Trouble::Stale) => self.pulls.len() as u64,
            _ => u64::MAX,
        };
    }

    /// Checks a body against the schema of its call; a call without one is a violation itself.
    fn check(&mut self, call: &Call) {
        if call.method == "GET" {
            return;
        }
        let known = self.schemas.iter().find(|(pattern, _)| fits(pattern, call));
        match known {
            None => self
                .violations
                .push(format!("{} {:?} is not described", call.method, call.path)),
            Some((pattern, schema)) => {
                let errors = schema.iter_errors(&call.body);
                let errors = errors.map(|it| format!("{pattern}: {it} in {}", call.body));
                self.violations.extend(errors.collect::<Vec<_>>());
            }
        }
    }

    fn answer(&mut self, call: &Call) -> Reply {
        let writes = call.method != "GET";
        let is_decoration = |it: &String| {
            ["labels", "requested_reviewers", "assignees", "reviewers"].contains(&it.as_str())
        };
        match self.trouble {
            Some(Trouble::NoCommits)
                if call.path.last().is_some_and(|it| it == "commits")
                    || call.body.pointer("/variables/input").is_some() =>
            {
                return (403, json!({"message": "no"}));
            }
            Some(Trouble::FarTooFast) if writes => return (429, json!({"message": "come later"})),
            Some(Trouble::NoMerge) if call.merges() => return (403, json!({"message": "no"})),
            Some(Trouble::Forbidden) if writes => return (403, json!({"message": "no"})),
            Some(Trouble::TooFast) if writes && !self.refused => {
                self.refused = true;
                return (403, json!({"message": "slow down"}));
            }
            Some(Trouble::NoSuchPeople) if writes && call.path.iter().any(is_decoration) => {
                return (422, json!({"message": "nobody"}));
            }
            _ => {}
        }
        self.refused = false;
        let before = self.pulls.len();
        self.has_committed = false;
        let reply = match self.product {
            Product::Github => super::github::answer(self, call),
            Product::Gitlab => super::gitlab::answer(self, call),
            Product::Gitea => super::gitea::answer(self, call),
            Product::BitbucketCloud => super::bitbucket_cloud::answer(self, call),
            Product::BitbucketDataCenter => super::bitbucket_data_center::answer(self, call),
            Product::AzureDevops => super::azure_devops::answer(self, call),
        };
        if self.trouble == Some(Trouble::LoseCreated) && self.pulls.len() > before {
            return (502, json!({"message": "lost"}));
        }
        if self.trouble == Some(Trouble::LoseCommitted) && self.has_committed {
            return (502, json!({"message": "lost"}));
        }
        reply
    }
}

/// Whether a pattern such as `POST /repos/*/*/pulls` means a call.
fn fits(pattern: &str, call: &Call) -> bool {
    let Some((method, path)) = pattern.split_once(' ') else {
        return false;
    };
    let parts = path.split('/').skip(1).collect::<Vec<_>>();
    let same = |(part, given): (&&str, &String)| **part == *"*" || *part == given.as_str();
    method == call.method
        && parts.len() == call.path.len()
        && parts.iter().zip(&call.path).all(same)
}

/// Counts calls of all kinds, and stops the world after one of them.
#[derive(Default)]
pub(crate) struct Fuse {
    left: Mutex<Option<usize>>,
    last: Mutex<String>,
    burnt: Notify,
}

impl Fuse {
    /// Lets so many calls be carried out, the last of which is never answered.
    pub(crate) fn set(&self, calls: Option<usize>) {
        *self.left.lock().expect("no test panicked here") = calls;
    }

    /// A call was carried out.
    pub(crate) async fn burn(&self, call: &str) {
        let is_over = {
            let mut left = self.left.lock().expect("no test panicked here");
            match left.as_mut() {
                None => false,
                Some(0) => true,
                Some(count) => {
                    *count -= 1;
                    *count == 0
                }
            }
        };
        if is_over {
            call.clone_into(&mut self.last.lock().expect("no test panicked here"));
            self.burnt.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the last call was carried out, and gives its kind.
    pub(crate) async fn burnt(&self) -> String {
        self.burnt.notified().await;
        self.last.lock().expect("no test panicked here").clone()
    }
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    forge: Mutex<Forge>,
    fuse: Arc<Fuse>,
    authorization: String,
}

impl Server {
    pub(crate) async fn start(
        product: Product,
        repository: &Path,
        authorization: &str,
        fuse: Arc<Fuse>,
    ) -> Self {
        let document = serde_json::from_str::<Value>(product.schema()).expect("a schema is JSON");
        let schemas = document["requests"].as_object().expect("patterns");
        let schemas = schemas.iter().map(|(pattern, schema)| {
            let validator = jsonschema::validator_for(schema).expect("a schema");
            (pattern.clone(), validator)
        });
        let forge = Forge {
            product,
            repository: repository.to_owned(),
            pulls: Vec::new(),
            trouble: None,
            merges_at_once: false,
            log: Vec::new(),
            refused: false,
            has_committed: false,
            stale_above: u64::MAX,
            schemas: schemas.collect(),
            violations: Vec::new(),
        };
        let shared = Arc::new(Shared {
            forge: Mutex::new(forge),
            fuse,
            authorization: authorization.to_owned(),
        });
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("the listener lives");
        });
        Self {
            address,
            shared,
            task,
        }
    }

    /// Looks at, or changes, what the forge knows.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Forge) -> T) -> T {
        act(&mut self.shared.forge.lock().expect("no handler panicked"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1024 * 1024)
        .await
        .expect("a small request");
    let given = parts
        .headers
        .get("authorization")
        .and_then(|it| it.to_str().ok());
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let product = shared.forge.lock().expect("no handler panicked").product;
    let path = parts.uri.path();
    // GraphQL of a server of one's own lies beside REST.
    let path = match path.strip_prefix(product.words().1) {
        Some(path) => path,
        None => path.strip_prefix("/api").unwrap_or(path),
    };
    let call = Call {
        method: parts.method.to_string(),
        path: path.split('/').skip(1).map(decoded).collect(),
        query: query.into_owned().collect(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let is_app = given.is_some_and(|it| it.starts_with("Bearer ey"));
    let (status, value) = if is_app && path == "/app/installations/77/access_tokens" {
        let token = shared.authorization.trim_start_matches("Bearer ");
        (
            201,
            json!({"token": token, "expires_at": "2999-01-01T00:00:00Z"}),
        )
    } else if given == Some(shared.authorization.as_str()) {
        let mut forge = shared.forge.lock().expect("no handler panicked");
        forge
            .log
            .push(format!("{} /{}", call.method, call.path.join("/")));
        forge.check(&call);
        forge.answer(&call)
    } else {
        (401, json!({"message": format!("who is {given:?}?")}))
    };
    shared.fuse.burn(&call.kind()).await;
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).expect("a status"))
        .header("content-type", "application/json");
    if value["message"] == "slow down" {
        response = response.header("retry-after", "0");
    } else if value["message"] == "come later" {
        response = response.header("retry-after", "3600");
    }
    let text = if status == 204 {
        String::new()
    } else {
        value.to_string()
    };
    response.body(Body::from(text)).expect("a valid response")
}

/// A segment of a path as it was before it was encoded.
fn decoded(text: &str) -> String {
    let escaped = text.replace('+', "%2B");
    let pairs = url::form_urlencoded::parse(escaped.as_bytes());
    pairs
        .map(|(key, _)| key.into_owned())
        .next()
        .unwrap_or_default()
}
