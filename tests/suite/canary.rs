//! Every kind of credential in a world that repeats whatever it hears: nothing of them is shown, kept
//! or sent to another place.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at files, and start the program with a made environment"
)]

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{Arc, LazyLock, Mutex},
};

use axum::{
    Router,
    body::to_bytes,
    extract::Request,
    http::{HeaderName, StatusCode},
    response::{IntoResponse as _, Response},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What every credential ends in; the letters behind its name are the secret.
const MARK: &str = "/<&\"+canary";

/// The kinds of credentials that a configuration or an environment may hold.
const KINDS: [&str; 16] = [
    "registry-password",
    "registry-token",
    "identity-token",
    "docker-auth",
    "git-password",
    "git-bearer",
    "git-key",
    "git-passphrase",
    "app-key",
    "forge-token",
    "signing-key",
    "signing-passphrase",
    "proxy-password",
    "client-key",
    "environment-git",
    "environment-forge",
];

fn secret(kind: &str) -> String {
    assert!(KINDS.contains(&kind), "{kind} is in the table");
    format!("{kind}{MARK}")
}

/// The forms in which a secret may turn up.
fn dresses(kind: &str) -> Vec<(&'static str, String)> {
    let plain = secret(kind);
    let in_base64 = |before: &str| {
        // What depends on the letters behind it is left off.
        let text = BASE64_STANDARD.encode(format!("{before}{plain}"));
        let start = (before.len() * 8).div_ceil(6);
        text[start..text.len() - 4].to_owned()
    };
    let percent: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
    let html = plain
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;");
    let wide: String = plain.chars().flat_map(|it| [it, '\0']).collect();
    let mut hex = String::new();
    for byte in plain.bytes() {
        let _ = write!(hex, "{byte:02x}");
    }
    vec![
        ("base64", in_base64("")),
        ("base64, one letter on", in_base64("b")),
        ("base64, two letters on", in_base64("bo")),
        ("base64 for URLs", BASE64_URL_SAFE_NO_PAD.encode(&plain)),
        ("JSON", plain.replace('"', "\\\"")),
        ("a debug form", plain.escape_debug().to_string()),
        ("HTML", html),
        ("percents", percent),
        ("hexadecimal", hex),
        ("UTF-16", wide),
        ("plain", plain),
    ]
}

fn assert_clean(bytes: &[u8], place: &str) {
    static FORMS: LazyLock<Vec<(&str, &str, String)>> = LazyLock::new(|| {
        let all = KINDS.into_iter().flat_map(|kind| {
            let forms = dresses(kind).into_iter();
            forms.map(move |(dress, form)| (kind, dress, form))
        });
        all.collect()
    });
    let text = String::from_utf8_lossy(bytes);
    // What was wrapped is one line again.
    let line = text.replace(['\r', '\n'], "");
    for (kind, dress, form) in FORMS.iter() {
        let is_there = text.contains(form) || line.contains(form);
        assert!(!is_there, "{place} holds {kind} as {dress}:\n{text}");
    }
}

fn assert_clean_folder(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_clean_folder(&path);
        } else if path.is_file() {
            assert_clean(
                &fs::read(&path).expect("a file"),
                &path.display().to_string(),
            );
        }
    }
}

/// A server on loopback that writes down what it hears.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    async fn start(answer: fn(&str, &str, SocketAddr) -> Response, other: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let all: Arc<Mutex<Vec<u8>>> = Arc::default();
        let notes = Arc::clone(&all);
        let app = Router::new().fallback(move |request: Request| {
            let notes = Arc::clone(&notes);
            async move {
                let (head, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
                let mut echo = format!("{} {}\n", head.method, head.uri);
                for (name, value) in &head.headers {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    let _ = writeln!(echo, "{name}: {value}");
                    // As who decodes it, to say who is refused.
                    let pair = value.strip_prefix("Basic ");
                    let pair = pair.and_then(|it| BASE64_STANDARD.decode(it).ok());
                    echo.push_str(&String::from_utf8_lossy(&pair.unwrap_or_default()));
                }
                echo.push_str(&String::from_utf8_lossy(&body));
                notes.lock().expect("the notes").extend(echo.as_bytes());
                answer(head.uri.path(), &echo, other)
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            heard: all,
        }
    }

    fn heard(&self) -> Vec<u8> {
        self.heard.lock().expect("the notes").clone()
    }
}

/// Leads to `other` where the path says so, and repeats everything in every kind of answer.
fn repeat(path: &str, echo: &str, other: SocketAddr) -> Response {
    let is_proven =
        echo.contains("authorization: ") && !echo.contains("authorization: Basic Ym90Og==");
    let denied = json!({"errors": [{"code": "DENIED", "message": echo}]}).to_string();
    let challenge = |challenge: String| {
        let name = HeaderName::from_static("www-authenticate");
        (
            StatusCode::UNAUTHORIZED,
            [(name, challenge)],
            denied.clone(),
        )
            .into_response()
    };
    if path.contains("elsewhere") {
        let place = format!("http://{other}{path}");
        return (StatusCode::TEMPORARY_REDIRECT, [("location", place)]).into_response();
    }
    if path.contains("realm") {
        return challenge(format!(
            r#"Bearer realm="http://{other}/token",service="x""#
        ));
    }
    if path.ends_with("/token") {
        return (StatusCode::BAD_REQUEST, denied).into_response();
    }
    if !is_proven {
        return challenge(r#"Basic realm="x""#.to_owned());
    }
    if path.ends_with("info/refs") {
        let line = format!("ERR {echo}");
        let line = &line[..line.len().min(60_000)];
        let kind = [(
            "content-type",
            "application/x-git-upload-pack-advertisement",
        )];
        return (kind, format!("{:04x}{line}", line.len() + 4)).into_response();
    }
    (StatusCode::FORBIDDEN, denied).into_response()
}

fn silent(_: &str, _: &str, _: SocketAddr) -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// Objects that are written into one file; JSON is YAML.
#[derive(Default)]
struct Documents(Vec<String>);

#[expect(
    clippy::needless_pass_by_value,
    reason = "`json!` makes a value where it is written"
)]
impl Documents {
    fn add(&mut self, version: &str, kind: &str, name: &str, more: Value) {
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
        let fields = object.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        self.0.push(object.to_string());
    }

    fn secret(&mut self, name: &str, kind: &str, values: Value) {
        self.add(
            "v1",
            "Secret",
            name,
            json!({"type": kind, "stringData": values}),
        );
    }

    fn docker(&mut self, name: &str, host: SocketAddr, entry: Value) {
        let config = json!({"auths": {host.to_string(): entry}}).to_string();
        let kind = "kubernetes.io/dockerconfigjson";
        self.secret(name, kind, json!({".dockerconfigjson": config}));
    }

    fn flux(&mut self, kind: &str, name: &str, spec: Value) {
        let version = "image.toolkit.fluxcd.io/v1";
        self.add(version, kind, name, json!({"spec": spec}));
    }

    /// An image with its policy.
    fn image(&mut self, name: &str, image: String, mut more: Value) {
        let fields = more.as_object_mut().expect("an object");
        fields.insert("image".to_owned(), image.into());
        fields.insert("interval".to_owned(), "5m".into());
        fields.insert("timeout".to_owned(), "3s".into());
        fields.insert("insecure".to_owned(), true.into());
        self.flux("ImageRepository", name, more);
        let spec =
            json!({"imageRepositoryRef": {"name": name}, "policy": {"semver": {"range": "1.x"}}});
        self.flux("ImagePolicy", name, spec);
    }

    /// A repository with its automation.
    fn git(&mut self, name: &str, url: String, mut more: Value, git: Value) {
        let fields = more.as_object_mut().expect("an object");
        fields.insert("url".to_owned(), url.into());
        fields.insert("interval".to_owned(), "5m".into());
        fields.insert("timeout".to_owned(), "3s".into());
        fields.insert("ref".to_owned(), json!({"branch": "main"}));
        let version = "source.toolkit.fluxcd.io/v1";
        self.add(version, "GitRepository", name, json!({"spec": more}));
        let mut commit = json!({"commit": {"author": {"email": "bot@example.com"}}});
        let fields = commit.as_object_mut().expect("an object");
        for (key, value) in git.as_object().expect("an object") {
            match fields.get_mut(key).and_then(Value::as_object_mut) {
                Some(known) => known.extend(value.as_object().expect("an object").clone()),
                None => drop(fields.insert(key.clone(), value.clone())),
            }
        }
        let source = json!({"kind": "GitRepository", "name": name});
        let spec = json!({"interval": "5m", "sourceRef": source, "git": commit});
        self.flux("ImageUpdateAutomation", name, spec);
    }
}

/// Every kind of credential, each where the server that repeats it asks for it.
fn documents(echo: SocketAddr) -> Documents {
    let mut all = Documents::default();
    let with = |name: &str| json!({"secretRef": {"name": name}});

    let password = json!({"username": "bot", "password": secret("registry-password")});
    all.docker("password", echo, password);
    for path in ["denied", "elsewhere", "realm"] {
        let name = format!("password-{path}");
        all.image(&name, format!("{echo}/password/{path}"), with("password"));
    }
    all.docker(
        "token",
        echo,
        json!({"registrytoken": secret("registry-token")}),
    );
    all.image("token", format!("{echo}/token/denied"), with("token"));
    let identity = json!({"username": "bot", "identitytoken": secret("identity-token")});
    all.docker("identity", echo, identity);
    all.image(
        "identity",
        format!("{echo}/identity/realm"),
        with("identity"),
    );
    let pair = BASE64_STANDARD.encode(format!("bot:{}", secret("docker-auth")));
    all.docker("auth", echo, json!({"auth": pair}));
    all.image("auth", format!("{echo}/auth/denied"), with("auth"));
    let proxy = json!({
        "address": format!("http://{echo}"), "username": "bot", "password": secret("proxy-password"),
    });
    all.secret("proxy", "Opaque", proxy);
    let by_proxy = json!({"proxySecretRef": {"name": "proxy"}});
    all.image("proxied", "registry.test/proxied".to_owned(), by_proxy);

    let basic = json!({"username": "bot", "password": secret("git-password")});
    all.secret("git-basic", "Opaque", basic);
    for path in ["fleet", "elsewhere"] {
        let url = format!("http://{echo}/{path}.git");
        all.git(&format!("git-{path}"), url, with("git-basic"), json!({}));
    }
    let bearer = json!({"bearerToken": secret("git-bearer")});
    all.secret("git-bearer", "Opaque", bearer);
    let url = format!("http://{echo}/bearer.git");
    all.git("git-bearer", url, with("git-bearer"), json!({}));
    let forge = json!({"token": secret("forge-token")});
    all.secret("forge", "Opaque", forge);
    let request = json!({"push": {"branch": "bot", "pullRequest": {
        "forge": "gitea", "api": format!("http://{echo}/api/v1"), "project": "acme/fleet",
        "secretRef": {"name": "forge"},
    }}});
    let url = format!("http://{echo}/offered.git");
    all.git("offered", url, with("git-basic"), request);
    all
}

/// What cannot be used at all, and says so.
fn faulty_documents(echo: SocketAddr) -> Documents {
    let mut all = Documents::default();
    let key = |kind: &str, name: &str| {
        let body = secret(kind);
        format!("-----BEGIN {name}-----\n{body}\n-----END {name}-----\n")
    };
    let with = |name: &str| json!({"secretRef": {"name": name}});
    let ssh = json!({
        "identity": key("git-key", "OPENSSH PRIVATE KEY"),
        "password": secret("git-passphrase"),
        "known_hosts": "git.test ssh-ed25519 AAAA",
    });
    all.secret("ssh", "Opaque", ssh);
    let url = format!("ssh://git@{echo}/fleet.git");
    all.git("ssh", url, with("ssh"), json!({}));
    let signing = json!({
        "git.asc": key("signing-key", "PGP PRIVATE KEY BLOCK"),
        "passphrase": secret("signing-passphrase"),
    });
    all.secret("signing", "Opaque", signing);
    let sign = json!({"commit": {"signingKey": with("signing")}});
    let url = format!("http://{echo}/signed.git");
    all.git("signed", url, json!({}), sign);
    let app = json!({
        "githubAppID": "1", "githubAppInstallationID": "2",
        "githubAppPrivateKey": key("app-key", "RSA PRIVATE KEY"),
        "githubAppBaseURL": format!("http://{echo}/api/v3"),
    });
    all.secret("app", "Opaque", app);
    let github = json!({"provider": "github", "secretRef": {"name": "app"}});
    all.git("app", format!("http://{echo}/app.git"), github, json!({}));
    let certificate = json!({
        "tls.crt": key("client-key", "CERTIFICATE"), "tls.key": key("client-key", "PRIVATE KEY"),
    });
    all.secret("client", "kubernetes.io/tls", certificate);
    let client = json!({"certSecretRef": {"name": "client"}});
    all.image("client", format!("{echo}/client/denied"), client);
    all
}

/// Runs the program with everything it can log, and looks at all that it says.
async fn call(folder: &Path, arguments: &[&str]) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tagwright"));
    program
        .env_clear()
        .env("HOME", folder.join("home"))
        .env("TMPDIR", folder.join("temporary"))
        .env("TAGWRIGHT_GIT_PASSWORD", secret("environment-git"))
        .env("TAGWRIGHT_FORGE_TOKEN", secret("environment-forge"))
        .current_dir(folder.join("home"));
    program
        .args(arguments)
        .args(["--log", "trace,tagwright=trace"]);
    let output = tokio::task::spawn_blocking(move || program.output()).await;
    let output = output.expect("no panic").expect("the program");
    let called = arguments.join(" ");
    assert_clean(&output.stdout, &format!("`{called}`, its output,"));
    assert_clean(&output.stderr, &format!("`{called}`, its log,"));
    let code = output.status.code();
    assert!(code.is_some_and(|code| code != 101), "`{called}` panicked");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_ne!(
        code,
        Some(0),
        "`{called}` cannot have been content:\n{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn c01_no_credential_of_any_kind_is_shown_kept_or_sent_elsewhere() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let elsewhere = Server::start(silent, nowhere).await;
    let echo = Server::start(repeat, elsewhere.address).await;
    let world = tempfile::tempdir().expect("a folder");
    let folder = world.path();
    let given = tempfile::tempdir().expect("a folder");
    for name in ["home", "temporary", "cache"] {
        fs::create_dir(folder.join(name)).expect("a folder");
    }
    let write = |name: &str, documents: Documents| {
        let path = given.path().join(name);
        fs::write(&path, documents.0.join("\n---\n")).expect("a file");
        path.to_str().expect("a path in UTF-8").to_owned()
    };
    let config = write("config.yaml", documents(echo.address));
    let faulty = write("faulty.yaml", faulty_documents(echo.address));
    let cache = folder.join("cache");
    let cache = cache.to_str().expect("a path in UTF-8");
    let here = folder.to_str().expect("a path in UTF-8");
    let remote = format!("http://{}/remote.git", echo.address);
    let remote_elsewhere = format!("http://{}/elsewhere.git", echo.address);

    for form in ["text", "json"] {
        // No marker follows these policies.
        call(folder, &["lint", here, "-c", &config, "-o", form]).await;
        for command in ["plan", "run"] {
            let all = [command, "-c", &config, "--cache", cache, "-o", form];
            call(folder, &all).await;
            for remote in [&remote, &remote_elsewhere] {
                let one = [command, "--remote", remote, "-o", form];
                call(folder, &one).await;
            }
        }
        for policy in [
            "password-denied",
            "password-elsewhere",
            "auth",
            "password-realm",
            "identity",
            "token",
            "proxied",
        ] {
            call(folder, &["explain", policy, "-c", &config, "-o", form]).await;
        }
        let lint = ["lint", here, "-c", &faulty, "-o", form];
        call(folder, &lint).await;
        for command in ["plan", "run"] {
            call(folder, &[command, "-c", &faulty, "-o", form]).await;
        }
    }
    assert_clean_folder(folder);
    assert_clean(&elsewhere.heard(), "a place that nobody configured");
    // The test would see nothing if the world had heard nothing.
    let heard = String::from_utf8_lossy(&echo.heard()).into_owned();
    for kind in [
        "registry-password",
        "registry-token",
        "docker-auth",
        "git-password",
        "git-bearer",
        "environment-git",
    ] {
        assert!(heard.contains(&secret(kind)), "nobody heard {kind}");
    }
}

#[test]
fn the_scanner_finds_what_it_looks_for() {
    for kind in KINDS {
        for (dress, form) in dresses(kind) {
            let text = format!("before {form} after");
            let found = std::panic::catch_unwind(|| assert_clean(text.as_bytes(), "a text"));
            assert!(found.is_err(), "{kind} as {dress}");
        }
    }
    assert_clean(b"registry-password and canary", "a text");
}
