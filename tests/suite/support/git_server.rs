//! A smart-HTTP Git server on loopback: real repositories behind `git http-backend`, run as CGI.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use url::Url;

/// How a server treats its clients.
#[derive(Default)]
pub(crate) struct GitServer {
    root: PathBuf,
    protocol: Protocol,
    /// The value of `Authorization` that is asked for.
    authorization: Option<String>,
    trouble: Trouble,
    requests: Mutex<Vec<String>>,
}

/// The newest protocol that the server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    Two,
    /// The server has never heard of `Git-Protocol`.
    Zero,
}

/// What goes wrong.
#[derive(Default)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// Somebody else does this just before a push is taken.
    BeforePush(Box<dyn Fn() + Send + Sync>),
    /// Pushes are answered with this, and not carried out.
    Lie(Vec<u8>),
    /// Pushes are carried out, and the answer is lost.
    LoseAnswer,
    /// `/old.git` is somewhere else.
    Redirect(String),
    /// So many quarters of a push arrive.
    CutPush(usize),
    /// Everything is answered after this.
    Slow(Duration),
    /// This is what the server says of its references.
    Advertise(Vec<u8>),
    /// This is what fetches are answered with.
    Give(Vec<u8>),
    /// Everything is answered with this.
    Fail(StatusCode, &'static str),
}

/// A server that runs until it is dropped.
pub(crate) struct Running {
    address: SocketAddr,
    server: Arc<GitServer>,
    task: tokio::task::JoinHandle<()>,
}

impl GitServer {
    /// Serves the repositories in a folder, to everybody, and takes pushes.
    pub(crate) fn of(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn speaking(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    pub(crate) fn asking_for(mut self, authorization: &str) -> Self {
        self.authorization = Some(authorization.to_owned());
        self
    }

    pub(crate) fn with(mut self, trouble: Trouble) -> Self {
        self.trouble = trouble;
        self
    }

    pub(crate) async fn start(self) -> Running {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let server = Arc::new(self);
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&server));
        let task = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("the listener lives");
        });
        Running {
            address,
            server,
            task,
        }
    }

    fn is_let_in(&self, headers: &HeaderMap) -> bool {
        let Some(wanted) = &self.authorization else {
            return true;
        };
        let given = headers.get("authorization");
        given.is_some_and(|given| given.as_bytes() == wanted.as_bytes())
    }

    /// Runs the program that Git ships for this, with nothing of our environment but the path.
    fn cgi(&self, request: &CgiRequest) -> Vec<u8> {
        let mut command = git();
        command
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "")
            .env("REMOTE_USER", "bot")
            .env("PATH_INFO", &request.path)
            .env("QUERY_STRING", &request.query)
            .env("REQUEST_METHOD", request.method.as_str())
            .env("CONTENT_TYPE", header(&request.headers, "content-type"))
            .env("CONTENT_LENGTH", request.body.len().to_string());
        if self.protocol == Protocol::Two {
            command.env("GIT_PROTOCOL", header(&request.headers, "git-protocol"));
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("git is on the path: the suite looked for it");
        let mut stdin = child.stdin.take().expect("the input is piped");
        let body = request.body.clone();
        let writer = std::thread::spawn(move || {
            // A program that refuses early does not read to the end.
            let _ = stdin.write_all(&body);
        });
        let output = child.wait_with_output().expect("the program ends");
        writer.join().expect("the writer does not panic");
        output.stdout
    }
}

impl Running {
    /// The address of a repository.
    pub(crate) fn url(&self, repository: &str) -> Url {
        let text = format!("http://{}/{repository}", self.address);
        Url::parse(&text).expect("an address and a name")
    }

    /// How many requests began with this text, such as `POST /fleet.git/git-upload-pack`.
    pub(crate) fn count(&self, beginning: &str) -> usize {
        let requests = self.server.requests.lock().expect("no test panicked here");
        let fits = |request: &&String| request.starts_with(beginning);
        requests.iter().filter(fits).count()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `git`, with an environment made from nothing.
pub(crate) fn git() -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    command
}

struct CgiRequest {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

async fn answer(State(server): State<Arc<GitServer>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024 * 1024).await;
    let mut request = CgiRequest {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: body.expect("a small request").to_vec(),
    };
    let shown = format!("{} {}?{}", request.method, request.path, request.query);
    server
        .requests
        .lock()
        .expect("no test panicked here")
        .push(shown);
    if !server.is_let_in(&request.headers) {
        return plain(StatusCode::UNAUTHORIZED, "who are you?\u{1b}[31m");
    }
    let is_push = request.method == Method::POST && request.path.ends_with("/git-receive-pack");
    let is_fetch = request.method == Method::POST && request.path.ends_with("/git-upload-pack");
    match &server.trouble {
        Trouble::CutPush(quarters) if is_push => {
            let length = request.body.len() * quarters / 4;
            request.body.truncate(length);
        }
        Trouble::Slow(delay) => tokio::time::sleep(*delay).await,
        Trouble::Advertise(body) if request.method == Method::GET => {
            return git_answer("application/x-git-upload-pack-advertisement", body);
        }
        Trouble::Give(body) if is_fetch => {
            return git_answer("application/x-git-upload-pack-result", body);
        }
        Trouble::Fail(status, words) => return plain(*status, words),
        Trouble::Redirect(target) if request.path.starts_with("/old.git") => {
            let rest = request.path.trim_start_matches("/old.git");
            let location = format!("{target}{rest}?{}", request.query);
            return Response::builder()
                .status(StatusCode::MOVED_PERMANENTLY)
                .header("location", location)
                .body(Body::empty())
                .expect("a valid response");
        }
        Trouble::BeforePush(act) if is_push => act(),
        Trouble::Lie(body) if is_push => {
            return git_answer("application/x-git-receive-pack-result", body);
        }
        _ => {}
    }
    let worker = Arc::clone(&server);
    let output = tokio::task::spawn_blocking(move || worker.cgi(&request)).await;
    if is_push && matches!(server.trouble, Trouble::LoseAnswer) {
        return plain(StatusCode::BAD_GATEWAY, "the answer is lost");
    }
    from_cgi(&output.expect("the bridge does not panic"))
}

/// Makes a response of what a CGI program prints: headers, an empty line, the body.
fn from_cgi(output: &[u8]) -> Response {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.expect("headers end with an empty line");
    let head = std::str::from_utf8(&output[..end]).expect("headers are text");
    let mut response = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(':').expect("a header has a colon");
        if name == "Status" {
            let status = value.trim().split(' ').next().unwrap_or_default();
            response = response.status(status.parse::<u16>().expect("a status is a number"));
        } else {
            response = response.header(name, value.trim());
        }
    }
    response
        .body(Body::from(output[end + 4..].to_vec()))
        .expect("a valid response")
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn git_answer(kind: &str, body: &[u8]) -> Response {
    Response::builder()
        .header("content-type", kind)
        .body(Body::from(body.to_vec()))
        .expect("a valid response")
}

fn plain(status: StatusCode, words: &str) -> Response {
    Response::builder()
        .status(status)
        .body(Body::from(words.to_owned()))
        .expect("a valid response")
}
