//! Log-ins that are made at run time: a GitHub App's tokens, and what the user who runs the program
//! has.

use std::{
    fs,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
    signature::{self, KeyPair as _, UnparsedPublicKey},
};
use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::IntoResponse as _,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use tagwright::{
    access::{self, AccessError},
    config::{Config, ConfigError, ConfigFile, Origin},
    error::Class,
    once::DocumentVault,
    update::git::{ProviderError, RemoteError, Source},
};

use super::{
    git_server::{GitServer, Running},
    world::{Node::File, World, has_git},
};

/// The part of GitHub's API that gives tokens, and notes what it is asked.
struct Api {
    key: Vec<u8>,
    asked: Mutex<Vec<String>>,
    tokens: AtomicU32,
    /// How many seconds a token lives.
    life: i64,
}

impl Api {
    async fn start(key: &KeyPair, life: i64) -> (Arc<Self>, String) {
        let api = Arc::new(Self {
            key: key.public_key().as_ref().to_vec(),
            asked: Mutex::default(),
            tokens: AtomicU32::new(0),
            life,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let answer = |State(api): State<Arc<Self>>, request: Request| async move {
            api.answer(request).await
        };
        let router = Router::new().fallback(answer).with_state(Arc::clone(&api));
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        (api, format!("http://{address}/api/v3"))
    }

    async fn answer(&self, request: Request) -> axum::response::Response {
        let asked = format!("{} {}", request.method(), request.uri().path());
        self.asked.lock().expect("no panic").push(asked.clone());
        let claim = request
            .headers()
            .get("authorization")
            .and_then(|it| it.to_str().ok());
        if !claim
            .and_then(|it| it.strip_prefix("Bearer "))
            .is_some_and(|it| self.is_ours(it))
        {
            let body = r#"{"message":"A JSON web token could not be decoded"}"#;
            return (StatusCode::UNAUTHORIZED, body).into_response();
        }
        let body = axum::body::to_bytes(request.into_body(), 1 << 16).await;
        let body: serde_json::Value =
            serde_json::from_slice(&body.expect("a body")).unwrap_or_default();
        match asked.as_str() {
            "POST /api/v3/app/installations/77/access_tokens"
                if body["repositories"] != serde_json::json!(["fleet"]) =>
            {
                let body = r#"{"message":"There is at least one repository that does not exist"}"#;
                (StatusCode::UNPROCESSABLE_ENTITY, body).into_response()
            }
            "GET /api/v3/users/ada/installation" => r#"{"id": 77}"#.into_response(),
            "POST /api/v3/app/installations/77/access_tokens" => {
                let number = self.tokens.fetch_add(1, Ordering::Relaxed) + 1;
                let ends = chrono::Utc::now() + chrono::TimeDelta::seconds(self.life);
                let ends = ends.format("%Y-%m-%dT%H:%M:%SZ");
                let body = format!(r#"{{"token": "canary-{number}", "expires_at": "{ends}"}}"#);
                (StatusCode::CREATED, body).into_response()
            }
            _ => (StatusCode::NOT_FOUND, r#"{"message":"Not Found"}"#).into_response(),
        }
    }

    fn is_ours(&self, claim: &str) -> bool {
        let Some((signed, signature)) = claim.rsplit_once('.') else {
            return false;
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        let key = UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, &self.key);
        let (head, claims) = signed.split_once('.').expect("two parts");
        let json = |part: &str| -> serde_json::Value {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64");
            serde_json::from_slice(&bytes).expect("json")
        };
        let (head, claims) = (json(head), json(claims));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        let at = |name: &str| claims[name].as_u64().expect("a time");
        key.verify(signed.as_bytes(), &signature).is_ok()
            && head["alg"] == "RS256"
            && claims["iss"] == "4711"
            && at("iat") <= now
            && at("exp") > now
            && at("exp") - at("iat") <= 600
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").drain(..).collect()
    }
}

pub(crate) fn pem(key: &KeyPair) -> String {
    let der: Pkcs8V1Der<'_> = key.as_der().expect("a key can be written");
    let text = STANDARD.encode(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

async fn server(world: &World, authorization: &str) -> Running {
    let root = world.folder.path();
    GitServer::of(root).asking_for(authorization).start().await
}

/// Documents with a remote, and the data of its Secret.
fn documents(url: &str, provider: &str, data: &str) -> Result<Config, ConfigError> {
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: app}}\nstringData: {data}\n---\n\
         apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: fleet}}\n\
         spec: {{url: '{url}', interval: 5m, provider: {provider}, ref: {{branch: main}}, \
         secretRef: {{name: app}}}}\n---\n\
         apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
         metadata: {{name: fleet}}\nspec: {{interval: 5m, sourceRef: {{kind: GitRepository, name: \
         fleet}}, git: {{commit: {{author: {{email: bot@example.com}}}}}}}}\n"
    );
    let file = ConfigFile {
        name: "config.yaml".to_owned(),
        text,
        origin: Origin::Given,
    };
    Config::read(&[file], "apps")
}

/// What documents with a GitHub App would give.
async fn source(url: &str, provider: &str, data: &str) -> Result<Source, AccessError> {
    let config = documents(url, provider, data).expect("documents");
    let vault = DocumentVault {
        config: &config,
        docker_config: None,
        named_remote: None,
    };
    access::remote(&vault, &config.automations.first().expect("one").remote).await
}

fn data(key: &KeyPair, installation: &str, api: &str) -> String {
    let key = pem(key).replace('\n', "\\n");
    format!(
        "{{githubAppID: '4711', {installation}, githubAppPrivateKey: \"{key}\", \
         githubAppBaseURL: '{api}'}}"
    )
}

#[tokio::test]
async fn a_github_app_reads_with_a_token_that_is_kept_until_shortly_before_its_end() {
    if !has_git() {
        return;
    }
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let owner = "githubAppInstallationOwner: ada";
    let id = "githubAppInstallationID: '77'";
    let (orgs, users) = (
        "GET /api/v3/orgs/ada/installation",
        "GET /api/v3/users/ada/installation",
    );
    let token = "POST /api/v3/app/installations/77/access_tokens";
    let check = async |installation: &str, life: i64, first: &[&str], second: &[&str]| {
        let world = World::of(&[("web.yaml", File("marked"))]);
        let (api, base) = Api::start(&key, life).await;
        let server = server(&world, &basic("x-access-token", "canary-1")).await;
        let url = server.url("fleet.git");
        let data = data(&key, installation, &base);
        for expected in [first, second] {
            let source = source(url.as_str(), "github", &data).await.expect("an App");
            let read = world.read(&source).await;
            assert!(read.is_ok() || life < 10, "{read:?}");
            assert_eq!(api.asked(), expected, "{installation}, {life} s");
        }
    };
    check(owner, 3600, &[orgs, users, token], &[]).await;
    check(id, 3600, &[token], &[]).await;
    // A token without a future is asked for again at every request.
    let again = [token, token, token];
    check(id, -1, &again[..2], &again[..1]).await;
}

#[tokio::test]
async fn a_github_app_that_is_refused_says_so_without_its_key() {
    if !has_git() {
        return;
    }
    let world = World::of(&[("web.yaml", File("marked"))]);
    let (ours, other) = (
        KeyPair::generate(KeySize::Rsa2048).expect("a key"),
        KeyPair::generate(KeySize::Rsa2048).expect("a key"),
    );
    let (_api, base) = Api::start(&ours, 3600).await;
    let server = server(&world, &basic("x-access-token", "canary-1")).await;
    let url = server.url("fleet.git");
    let check = async |key: &KeyPair, installation: &str, expected: &str| {
        let data = data(key, installation, &base);
        let source = source(url.as_str(), "github", &data).await.expect("an App");
        let error = world.read(&source).await.expect_err("refused");
        assert_eq!(error.class(), Class::Denied, "{error:?}");
        let RemoteError::Provider { source, .. } = error else {
            panic!("{error:?}");
        };
        assert!(
            matches!(*source, ProviderError::Refused { .. }),
            "{source:?}"
        );
        assert!(source.to_string().contains(expected), "{source}");
    };
    let id = "githubAppInstallationID: '77'";
    check(&other, id, "could not be decoded").await;
    check(&ours, "githubAppInstallationID: '78'", "Not Found").await;
    check(&ours, "githubAppInstallationOwner: eve", "Not Found").await;
}

#[tokio::test]
async fn c16_a_github_app_gets_a_token_for_the_one_repository_that_it_was_installed_for() {
    if !has_git() {
        return;
    }
    let world = World::of(&[("web.yaml", File("marked"))]);
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let (_api, base) = Api::start(&key, 3600).await;
    let server = server(&world, &basic("x-access-token", "canary-1")).await;
    let data = data(&key, "githubAppInstallationID: '77'", &base);
    let fleet = server.url("fleet.git");
    let ours = source(fleet.as_str(), "github", &data)
        .await
        .expect("an App");
    world.read(&ours).await.expect("the App may read it");

    let other = server.url("other.git");
    let other = source(other.as_str(), "github", &data)
        .await
        .expect("an App");
    let error = world
        .read(&other)
        .await
        .expect_err("it is not installed there");
    assert_eq!(error.class(), Class::Denied, "{error:?}");
    let RemoteError::Provider { source, .. } = error else {
        panic!("{error:?}");
    };
    let words = "There is at least one repository that does not exist";
    assert!(source.to_string().contains(words), "{source}");
}

#[tokio::test]
async fn secrets_that_are_no_github_app_are_told_apart() {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let api = "http://127.0.0.1:1";
    let id = "githubAppInstallationID: '77'";
    let check = async |provider: &str, data: &str, expected: &str| {
        let source = source("https://git.test/fleet.git", provider, data).await;
        let error = source.expect_err("no App").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let whole = data(&key, id, api);
    check("generic", &whole, "`spec.provider` is not `github`").await;
    check(
        "github",
        "{username: bot, password: x}",
        "needs `githubAppID`",
    )
    .await;
    let both = format!("{id}, githubAppInstallationOwner: ada");
    check("github", &data(&key, &both, api), "needs one of").await;
    check("github", &data(&key, "x: y", api), "needs one of").await;
    check(
        "github",
        &data(&key, "githubAppInstallationID: x", api),
        "not what it has to be",
    )
    .await;
    check(
        "github",
        &data(&key, "githubAppInstallationOwner: ../x", api),
        "not what it has to be",
    )
    .await;
    check("github", &data(&key, id, "ftp://x"), "no address of an API").await;
    let no_key = format!(
        "{{githubAppID: '4711', {id}, githubAppPrivateKey: abc, githubAppBaseURL: '{api}'}}"
    );
    check("github", &no_key, "no RSA key in PEM").await;
    let no_base = whole.replace(&format!(", githubAppBaseURL: '{api}'"), "");
    check("github", &no_base, "`githubAppBaseURL` is needed").await;
}

#[cfg(not(feature = "clouds"))]
#[test]
fn a_build_without_clouds_says_that_it_is_one() {
    for (url, provider) in [
        ("https://dev.azure.com/acme/fleet/_git/fleet", "azure"),
        (
            "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/fleet",
            "aws",
        ),
    ] {
        let error = documents(url, provider, "{}").expect_err("nobody to ask");
        let told = format!("{error:?}");
        assert!(
            told.contains("this build has no log-in to clouds"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn the_user_logs_in_with_what_they_have() {
    if !has_git() {
        return;
    }
    let world = World::of(&[("web.yaml", File("nothing"))]);
    let helper = world.folder.path().join("gitconfig");
    fs::write(
        &helper,
        "[credential]\n\thelper = \"!f() { test $1 = get && echo username=ada && \
         echo password=canary-4711; }; f\"\n",
    )
    .expect("a new file");
    let helper = helper.display().to_string();
    let check = async |authorization: &str, variables: &[(&str, &str)], is_let_in: bool| {
        let server = server(&world, authorization).await;
        let url = server.url("fleet.git").to_string();
        let own = url.trim_end_matches("/fleet.git").to_owned();
        let mut program = Command::new(env!("CARGO_BIN_EXE_tagwright"));
        program
            .args(["plan", "--remote", &url])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", world.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        for (name, value) in variables {
            program.env(name, value.replace("OWN", &own));
        }
        let output = tokio::task::spawn_blocking(move || program.output());
        let output = output
            .await
            .expect("no panic")
            .expect("the program was built");
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert_eq!(output.status.success(), is_let_in, "{variables:?}: {told}");
        assert!(!told.contains("canary"), "{told}");
    };
    let ada = basic("ada", "canary-4711");
    check(&ada, &[], false).await;
    check(&ada, &[("GIT_CONFIG_GLOBAL", &helper)], true).await;
    let own = [
        ("TAGWRIGHT_GIT_USERNAME", "ada"),
        ("TAGWRIGHT_GIT_PASSWORD", "canary-4711"),
    ];
    check(&ada, &own, true).await;
    let workflow = basic("x-access-token", "canary-4711");
    let token = ("GITHUB_TOKEN", "canary-4711");
    check(&workflow, &[token, ("GITHUB_SERVER_URL", "OWN")], true).await;
    // A token for github.com, which this server is not.
    check(&workflow, &[token], false).await;
}
