//! ECR from the identity to the tags: moto gives the log-in, and Debian's docker-registry takes it.
//!
//! The registry's own name leads there through a proxy of the test's own, which knows where to go.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Output,
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    certificates::Certificates,
    docker_registry::{DockerRegistry, Login},
    programs::{self, Server, command, free_port},
};

/// The account that moto plays.
const ACCOUNT: &str = "123456789012";
const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const PUBLIC: &str = "public.ecr.aws";

/// A registry, a cloud, and a way to both.
struct World {
    folder: tempfile::TempDir,
    certificates: Certificates,
    _registry: DockerRegistry,
    _moto: Server,
    cloud: String,
    proxy: SocketAddr,
    connected: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// The log-in is that of `account`.
    fn start(account: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        let certificates = Certificates::naming(root, &[ECR, PUBLIC]);
        let moto = programs::find("moto_server")?;
        let password = format!("{account}-auth-token");
        let login = Login::Password(&certificates, "AWS", &password);
        let registry = DockerRegistry::start(root, &login)?;
        registry.tag("acme/web", "1.0.0");
        let port = free_port();
        let mut serve = command(moto, root);
        serve.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        // Where Python comes from pyenv, its programs ask it who they are.
        if let Some(root) = std::env::var_os("PYENV_ROOT") {
            serve.env("PYENV_ROOT", root);
        }
        let log = root.join("moto.log");
        let mut moto = Server::start(serve, &log);
        moto.wait(&log, || programs::is_open(port));
        let target = registry.host().parse().expect("an address");
        let (proxy, connected) = proxy(target);
        Some(Self {
            folder,
            certificates,
            _registry: registry,
            _moto: moto,
            cloud: format!("http://127.0.0.1:{port}"),
            proxy,
            connected,
        })
    }

    /// Lists an image by the identity that these variables give; the text is what it said.
    fn scan(&self, image: &str, variables: &[(&str, &str)]) -> (i32, String) {
        let mut program = command(env!("CARGO_BIN_EXE_tagwright"), self.folder.path());
        program
            .args([
                "scan",
                image,
                "--provider",
                "aws",
                "--log",
                "debug",
                "--ca-file",
            ])
            .arg(&self.certificates.authority)
            .env("HTTPS_PROXY", format!("http://{}", self.proxy))
            .env("NO_PROXY", "127.0.0.1")
            .env("AWS_ENDPOINT_URL", &self.cloud)
            .envs(variables.iter().copied());
        let Output {
            status,
            stdout,
            stderr,
        } = program.output().expect("the program was built");
        let text = String::from_utf8([stdout, stderr].concat()).expect("it writes UTF-8");
        for secret in ["auth-token", "canary"] {
            assert!(!text.contains(secret), "a secret is shown: {text}");
        }
        (status.code().unwrap_or(-1), text)
    }

    fn lists(&self, image: &str, variables: &[(&str, &str)]) {
        let (code, text) = self.scan(image, variables);
        assert_eq!(code, 0, "{variables:?}: {text}");
        assert!(text.contains("1.0.0"), "{variables:?}: {text}");
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("the folder can be written");
        path.display().to_string()
    }
}

#[test]
fn every_identity_of_aws_opens_a_registry_of_ecr() {
    let Some(world) = World::start(ACCOUNT) else {
        return;
    };
    let image = format!("{ECR}/acme/web");
    let (off, keys) = (
        ("AWS_EC2_METADATA_DISABLED", "true"),
        [
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "canary"),
        ],
    );
    world.lists(&image, &[keys[0], keys[1], off]);

    // IRSA: the token of a pod, and a role.
    let token = world.write("token", "header.canary.signature");
    let role = format!("arn:aws:iam::{ACCOUNT}:role/puller");
    let irsa = [
        ("AWS_ROLE_ARN", role.as_str()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
        off,
    ];
    world.lists(&image, &irsa);

    // EKS Pod Identity: an agent beside the pod.
    let agent = agent();
    let agent = format!("http://{agent}/v1/credentials");
    let pod = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token),
        off,
    ];
    world.lists(&image, &pod);

    let metadata = format!("http://{}", metadata());
    world.lists(&image, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata)]);

    let connected = world.connected.lock().expect("no test has failed").clone();
    assert!(
        connected.iter().all(|host| host == &format!("{ECR}:443")),
        "{connected:?}"
    );
    let (code, text) = world.scan(&image, &[off]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("found no identity for AWS"), "{text}");
}

#[test]
fn a_profile_takes_on_a_role_of_another_account() {
    let other = "210987654321";
    let Some(world) = World::start(other) else {
        return;
    };
    let profiles = format!(
        "[profile base]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n\
         aws_secret_access_key = canary\nregion = eu-west-1\n\
         [profile other]\nrole_arn = arn:aws:iam::{other}:role/puller\n\
         source_profile = base\nregion = eu-west-1\n"
    );
    let profiles = world.write("profiles", &profiles);
    let variables = [
        ("AWS_CONFIG_FILE", profiles.as_str()),
        ("AWS_PROFILE", "other"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    world.lists(&format!("{ECR}/acme/web"), &variables);
}

#[test]
fn a_public_registry_of_ecr_is_opened_by_its_own_service() {
    let Some(world) = World::start(ACCOUNT) else {
        return;
    };
    let token = STANDARD.encode(format!("AWS:{ACCOUNT}-auth-token"));
    let body = format!(
        "{{\"authorizationData\": {{\"authorizationToken\": \"{token}\", \"expiresAt\": 4000000000}}}}"
    );
    let service = answer(move |head| {
        assert!(
            head.contains("SpencerFrontendService.GetAuthorizationToken"),
            "{head}"
        );
        assert!(
            head.contains("/us-east-1/ecr-public/aws4_request"),
            "{head}"
        );
        body.clone()
    });
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("AWS_ENDPOINT_URL", &format!("http://{service}")),
    ];
    world.lists(&format!("{PUBLIC}/acme/web"), &variables);
}

#[test]
fn r39_a_registry_that_looks_like_ecr_is_never_connected_to() {
    let Some(world) = World::start(ACCOUNT) else {
        return;
    };
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
    ];
    for host in [
        format!("{ECR}.evil.test"),
        format!("{ECR}:8443"),
        "public.ecr.aws.evil.test".to_owned(),
    ] {
        let (code, text) = world.scan(&format!("{host}/acme/web"), &keys);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("is no registry of AWS"), "{text}");
    }
    let connected = world.connected.lock().expect("no test has failed");
    assert_eq!(*connected, Vec::<String>::new());
}

/// Takes CONNECT for any host, remembers which, and leads to the registry.
fn proxy(target: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound port has an address");
    let connected = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&connected);
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let head = read_head(&mut client);
            let host = head.split(' ').nth(1).unwrap_or_default().to_owned();
            log.lock().expect("no test has failed").push(host);
            let server = TcpStream::connect(target).expect("the registry listens");
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let copy = |mut from: TcpStream, mut to: TcpStream| {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                })
            };
            let twin = |stream: &TcpStream| stream.try_clone().expect("a second handle");
            copy(twin(&client), twin(&server));
            copy(server, client);
        }
    });
    (address, connected)
}

/// The agent of EKS, which wants the token of the pod.
fn agent() -> SocketAddr {
    answer(|head| {
        assert!(
            head.contains("authorization: header.canary.signature"),
            "{head}"
        );
        "{\"AccessKeyId\": \"AKIAIOSFODNN7EXAMPLE\", \"SecretAccessKey\": \"canary\", \
         \"Token\": \"canary\", \"Expiration\": \"2100-01-01T00:00:00Z\"}"
            .to_owned()
    })
}

/// The metadata service of a machine, which wants to be asked for a session first. (moto's does not
/// say how long a session lasts, and the SDK wants to know.)
fn metadata() -> SocketAddr {
    answer(|head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        if path == "/latest/api/token" {
            return "session".to_owned();
        }
        assert!(head.contains("x-aws-ec2-metadata-token: session"), "{head}");
        if path.ends_with('/') {
            return "puller".to_owned();
        }
        "{\"Code\": \"Success\", \"LastUpdated\": \"2026-01-01T00:00:00Z\", \"Type\": \"AWS-HMAC\", \
         \"AccessKeyId\": \"AKIAIOSFODNN7EXAMPLE\", \"SecretAccessKey\": \"canary\", \
         \"Token\": \"canary\", \"Expiration\": \"2100-01-01T00:00:00Z\"}"
            .to_owned()
    })
}

/// A server with one way to answer.
fn answer(body: impl Fn(&str) -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound port has an address");
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let head = read_head(&mut client);
            let length = head
                .lines()
                .find_map(|it| it.strip_prefix("content-length: "));
            let mut rest = vec![0; length.and_then(|it| it.parse().ok()).unwrap_or_default()];
            client.read_exact(&mut rest).expect("the body follows");
            let body = body(&head);
            let length = body.len();
            let text = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\
                 x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\
                 content-length: {length}\r\n\r\n{body}"
            );
            let _ = client.write_all(text.as_bytes());
        }
    });
    address
}

fn read_head(stream: &mut impl Read) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
