//! Azure DevOps and `CodeCommit`: who we are to the cloud, and what their Git servers see of it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{ServerConnection, StreamOwned};
use sha2::{Digest as _, Sha256};
use tagwright::{
    cloud::{Caller, Cloud, CloudError, Way},
    config::{Config, ConfigFile, Origin},
    error::Class,
    fixture::{Fixture, RegistryServer},
    secret::{Proof, Secret},
};
use tokio::time::Instant;

use super::{
    variables,
    world::{Asked, Sky, TRUST, account, friendly, head, nobody},
};
use crate::git::{
    git_server::GitServer,
    world::{Node::File, World, has_git},
};

const DEVOPS: &str = "https://dev.azure.com/acme/fleet/_git/fleet";
const CODECOMMIT: &str = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/fleet";
const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";

async fn log_in(
    sky: &Sky,
    cloud: Cloud,
    remote: &str,
    caller: &Caller,
) -> Result<Proof, CloudError> {
    let route = sky.route();
    let way = Way {
        route: &route,
        deadline: Instant::now() + Duration::from_secs(10),
    };
    let remote = remote.parse().expect("an address");
    let now = "2026-01-02T03:04:05Z".parse().expect("a time");
    sky.clouds
        .git_remote(cloud, &remote, caller, way, now)
        .await
}

fn basic(username: &str, password: &str) -> Proof {
    Proof::Basic {
        username: Secret::new(username.to_owned()),
        password: Secret::new(password.to_owned()),
    }
}

/// The signature of `CodeCommit`'s log-in, told a second time here.
fn signature(secret: &str, moment: &str) -> String {
    let digits = |text: String, byte: &u8| format!("{text}{byte:02x}");
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), digits);
    let host = "git-codecommit.eu-west-1.amazonaws.com";
    let request = format!("GIT\n/v1/repos/fleet\n\nhost:{host}\n\nhost\n");
    let day = &moment[..8];
    let text = format!(
        "AWS4-HMAC-SHA256\n{moment}\n{day}/eu-west-1/codecommit/aws4_request\n{}",
        hex(&Sha256::digest(request))
    );
    let parts = [day, "eu-west-1", "codecommit", "aws4_request", &text];
    let start = format!("AWS4{secret}").into_bytes();
    let end = parts.iter().fold(start, |key, part| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::sign(&key, part.as_bytes()).as_ref().to_vec()
    });
    hex(&end)
}

#[tokio::test]
async fn a_service_account_opens_azure_devops_with_a_token_of_its_own() {
    let sky = Sky::start(friendly);
    let annotations = [
        ("azure.workload.identity/tenant-id", "tenant-1"),
        ("azure.workload.identity/client-id", "client-1"),
    ];
    let caller = account(&annotations);
    for _ in 0..3 {
        let proof = log_in(&sky, Cloud::Azure, DEVOPS, &caller).await;
        let expected = Proof::Bearer(Secret::new("cloud".to_owned()));
        assert!(proof.expect("a log-in") == expected);
    }
    let entra = "login.microsoftonline.com /tenant-1/oauth2/v2.0/token";
    assert_eq!(sky.asked(), [entra], "once");
    let asked = &sky.requests()[0];
    let fields = url::form_urlencoded::parse(asked.body.as_bytes());
    let fields = fields.collect::<std::collections::BTreeMap<_, _>>();
    let scope = "499b84ac-1321-427f-aa17-267ca6975798/.default";
    assert_eq!(fields["scope"], scope);
    let token = "token of apps/puller for api://AzureADTokenExchange";
    assert_eq!(fields["client_assertion"], token);
}

#[tokio::test]
async fn a_machine_opens_azure_devops_by_its_managed_identity() {
    let sky = Sky::with(
        |address| {
            variables(&[(
                "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                &format!("http://{address}"),
            )])
        },
        friendly,
    );
    let proof = log_in(&sky, Cloud::Azure, DEVOPS, &nobody()).await;
    assert!(proof.is_ok(), "{proof:?}");
    let resource = "resource=499b84ac-1321-427f-aa17-267ca6975798";
    let path =
        format!("metadata /metadata/identity/oauth2/token?api-version=2018-02-01&{resource}");
    assert_eq!(sky.asked(), [path]);
}

#[tokio::test]
async fn a_service_account_signs_for_codecommit_with_the_keys_of_its_role() {
    let answer = |_: &Asked| {
        let body = format!(
            "<AssumeRoleWithWebIdentityResponse \
             xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{KEY_ID}</AccessKeyId>\
             <SecretAccessKey>hush</SecretAccessKey><SessionToken>session</SessionToken>\
             <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>\
             </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        );
        (200, body)
    };
    let sky = Sky::start(answer);
    let caller = account(&[(
        "eks.amazonaws.com/role-arn",
        "arn:aws:iam::123456789012:role/pusher",
    )]);
    let moment = "20260102T030405";
    let password = format!("{moment}Z{}", signature("hush", moment));
    for slash in ["", "/"] {
        let remote = format!("{CODECOMMIT}{slash}");
        let proof = log_in(&sky, Cloud::Aws, &remote, &caller).await;
        let expected = basic(&format!("{KEY_ID}%session"), &password);
        assert!(proof.expect("a log-in") == expected, "{remote}");
    }
    assert_eq!(sky.asked(), ["sts.eu-west-1.amazonaws.com /"], "once");
}

#[tokio::test]
async fn g01_a_remote_that_only_looks_like_a_clouds_makes_nobody_ask_for_a_token() {
    let sky = Sky::start(friendly);
    let check = async |cloud: Cloud, remote: &str, host: &str| {
        let error = log_in(&sky, cloud, remote, &nobody()).await;
        let error = error.expect_err("it is none of the cloud's");
        assert_eq!(error.class(), Class::Config, "{remote}");
        let expected = format!("`{host}` is no Git remote of {cloud} over https");
        assert_eq!(error.to_string(), expected);
    };
    let evil = "https://dev.azure.com.evil.test/acme/_git/fleet";
    check(Cloud::Azure, evil, "dev.azure.com.evil.test").await;
    let plain = "http://dev.azure.com/acme/_git/fleet";
    check(Cloud::Azure, plain, "dev.azure.com").await;
    let bucket = "https://git-codecommit.s3.amazonaws.com/v1/repos/fleet";
    check(Cloud::Aws, bucket, "git-codecommit.s3.amazonaws.com").await;
    check(Cloud::Aws, DEVOPS, "dev.azure.com").await;
    check(Cloud::Gcp, DEVOPS, "dev.azure.com").await;
    assert_eq!(sky.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn the_program_pushes_by_the_identity_of_a_cloud() {
    if !has_git() {
        return;
    }
    let azure = Sky::start(friendly);
    let endpoint = format!("http://{}/msi/token", azure.address);
    check_push(
        "azure",
        DEVOPS,
        &[
            ("IDENTITY_ENDPOINT", &endpoint),
            ("IDENTITY_HEADER", "word"),
        ],
        |authorization| authorization == "Bearer cloud",
    )
    .await;
    assert_eq!(azure.asked().len(), 1, "one token for the whole run");

    let keys = [
        ("AWS_ACCESS_KEY_ID", KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("AWS_SESSION_TOKEN", "session"),
    ];
    check_push("aws", CODECOMMIT, &keys, |authorization| {
        let pair = authorization.trim_start_matches("Basic ");
        let pair = STANDARD.decode(pair).expect("base64");
        let pair = String::from_utf8(pair).expect("text");
        let (username, password) = pair.split_once(':').expect("two parts");
        let (moment, given) = password.split_once('Z').expect("a time");
        username == format!("{KEY_ID}%session") && given == signature("hush", moment)
    })
    .await;
}

/// Updates a repository behind the name of a cloud, where every request must be let in.
async fn check_push(
    provider: &str,
    url: &str,
    identity: &[(&str, &str)],
    is_let_in: impl Fn(&str) -> bool + Send + Sync + 'static,
) {
    let fixture = Fixture::embedded("demo").expect("the demo's fixture");
    let registry = RegistryServer::start(fixture).await.expect("loopback");
    let image = format!("{}/acme/web", registry.address());
    let line = format!("image: {image}:1.0.0 # {{\"$imagepolicy\": \"default:web\"}}\n");
    let world = World::of(&[("web.yaml", File(&line))]);
    let server = GitServer::of(world.folder.path()).start().await;
    let remote = url::Url::parse(url).expect("an address");
    let front = Front::start(&server.url("fleet.git"), remote.path(), is_let_in);
    let authority = world.folder.path().join("ca.crt");
    std::fs::write(&authority, &TRUST.0).expect("a new file");
    let config = world.folder.path().join("config.yaml");
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: trust}}\n\
         stringData: {{ca.crt: '${{file:{authority}}}', username: nobody, password: nothing}}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {{name: proxy}}\n\
         stringData: {{address: 'http://{proxy}'}}\n---\n\
         apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: web}}\n\
         spec: {{image: {image}, interval: 5m, insecure: true}}\n---\n\
         apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: web}}\n\
         spec: {{imageRepositoryRef: {{name: web}}, policy: {{semver: {{range: 1.x}}}}}}\n---\n\
         apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
         metadata: {{name: fleet}}\nspec:\n  interval: 5m\n  git:\n    url: {url}\n    \
         provider: {provider}\n    secretRef: {{name: trust}}\n    proxySecretRef: {{name: proxy}}\n    \
         checkout: {{ref: {{branch: main}}}}\n    commit: {{author: {{email: bot@example.com}}}}\n",
        authority = authority.display(),
        proxy = front.address,
    );
    std::fs::write(&config, text).expect("a new file");
    let mut program = Command::new(env!("CARGO_BIN_EXE_tagwright"));
    program
        .args(["run", "--log", "debug", "--config"])
        .arg(&config)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", world.folder.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(identity.iter().copied());
    let output = tokio::task::spawn_blocking(move || program.output()).await;
    let output = output.expect("no panic").expect("the program was built");
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(output.status.success(), "{provider}: {told}");
    assert!(!told.contains("hush"), "{told}");
    let tip = world.tip("main").expect("a branch");
    assert!(told.contains(&tip[..7]), "{tip}: {told}");
    let host = format!("{}:443", remote.host_str().expect("a host"));
    let connected = front.connected.lock().expect("no test has failed").clone();
    assert!(connected.len() >= 4, "{connected:?}");
    assert!(connected.iter().all(|it| *it == host), "{connected:?}");
}

/// A proxy behind which every host is one Git server, in TLS and for those who are let in.
struct Front {
    address: SocketAddr,
    /// Which hosts were asked for.
    connected: Arc<Mutex<Vec<String>>>,
}

impl Front {
    /// What is below `path` is the repository at `server`.
    fn start(
        server: &url::Url,
        path: &str,
        is_let_in: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        let way = Arc::new((
            server.authority().to_owned(),
            path.to_owned(),
            server.path().to_owned(),
        ));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound port has an address");
        let connected = Arc::<Mutex<Vec<String>>>::default();
        let (log, is_let_in) = (Arc::clone(&connected), Arc::new(is_let_in));
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (log, way) = (Arc::clone(&log), Arc::clone(&way));
                let is_let_in = Arc::clone(&is_let_in);
                thread::spawn(move || lead(socket, &way, &log, &*is_let_in));
            }
        });
        Self { address, connected }
    }
}

/// Leads one request through.
fn lead(
    mut socket: TcpStream,
    (server, path, repository): &(String, String, String),
    log: &Mutex<Vec<String>>,
    is_let_in: &dyn Fn(&str) -> bool,
) -> Option<()> {
    let (line, _) = head(&mut socket)?;
    let host = line.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    log.lock().expect("no test has failed").push(host);
    socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let tls = ServerConnection::new(Arc::clone(&TRUST.1)).expect("a session");
    let mut client = StreamOwned::new(tls, socket);
    let (line, headers) = head(&mut client)?;
    let header = |name: &str| headers.lines().find_map(|it| it.strip_prefix(name));
    let length = header("content-length: ").and_then(|it| it.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    client.read_exact(&mut body).ok()?;
    let mut answer = Vec::new();
    if header("authorization: ").is_some_and(is_let_in) {
        let mut server = TcpStream::connect(server).expect("it listens");
        let headers = headers.trim_end().replace('\n', "\r\n");
        let line = line.replacen(path, repository, 1);
        let text = format!("{line}\r\n{headers}\r\nconnection: close\r\n\r\n");
        server.write_all(&[text.as_bytes(), &body].concat()).ok()?;
        server.read_to_end(&mut answer).ok()?;
    } else {
        answer.extend(b"HTTP/1.1 401 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    }
    client.write_all(&answer).ok()?;
    client.conn.send_close_notify();
    client.flush().ok()
}

#[test]
fn documents_name_the_cloud_that_a_remote_is_of() {
    let check = |url: &str, provider: &str, expected: &str| {
        let text = format!(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\n\
             metadata: {{name: fleet}}\nspec: {{url: '{url}', interval: 5m, \
             ref: {{branch: main}}, \
             provider: {provider}, serviceAccountName: pusher}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
             metadata: {{name: fleet}}\nspec: {{interval: 5m, sourceRef: {{kind: GitRepository, \
             name: fleet}}, git: {{commit: {{author: {{email: bot@example.com}}}}}}}}\n"
        );
        let file = ConfigFile {
            name: "config.yaml".to_owned(),
            text,
            origin: Origin::Given,
        };
        let told = match Config::read(&[file], "apps") {
            Ok(config) => config.warnings.iter().map(ToString::to_string).collect(),
            Err(error) => format!("{error:?}"),
        };
        assert!(told.contains(expected), "{url}: {told}");
    };
    let no_remote = "is no Git remote of";
    let in_a_cluster = "the identity of a ServiceAccount is known to a cluster only";
    check(DEVOPS, "azure", in_a_cluster);
    check(CODECOMMIT, "aws", in_a_cluster);
    check(DEVOPS, "aws", no_remote);
    check(CODECOMMIT, "azure", no_remote);
    check("https://example.com/org/repo", "aws", no_remote);
    check(
        "ssh://git@ssh.dev.azure.com/v3/acme/fleet/fleet",
        "azure",
        no_remote,
    );
}
