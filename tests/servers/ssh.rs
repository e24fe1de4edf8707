//! Reading and pushing over SSH, against OpenSSH's server: keys, host keys, versions and proxies.

use std::{borrow::Cow, fs, path::Path, sync::Arc, time::Duration};

use tagwright::{
    access,
    config::{Config, ConfigFile, Origin},
    egress::{
        Egress, Proxy,
        ssh::{HostKeyFault, SshError, SshIdentity},
    },
    error::Class,
    once::DocumentVault,
    update::git::{
        Author, GitRemote, Interest, Login, NewCommit, Pushed, Remote as _, RemoteError, Screen,
        Source, SourceFile, UpdatePath,
    },
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{
    git_http::Repository,
    git_ssh::{Setup, SshServer, make_key, public},
    programs::{Server, command, find},
};

/// Keeps YAML files that hold a word.
#[derive(Debug)]
pub(crate) struct Marked;

impl Screen for Marked {
    fn interest(&self, path: &str) -> Interest {
        if Path::new(path).extension().is_some_and(|it| it == "yaml") {
            Interest::Searched
        } else {
            Interest::Nothing
        }
    }

    fn keeps(&self, _: &str, bytes: &[u8]) -> bool {
        bytes.windows(6).any(|it| it == b"marked")
    }

    fn version(&self) -> Cow<'_, str> {
        Cow::Borrowed("test")
    }
}

pub(crate) const FILES: [(&str, &str); 2] = [
    ("apps/web.yaml", "image: web:1 # marked\n"),
    ("README.md", "fleet\n"),
];

/// A server with one repository, and a key that it lets in.
struct World {
    folder: TempDir,
    server: SshServer,
    fleet: Repository,
}

impl World {
    fn start(setup: &Setup<'_>) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = SshServer::start(&folder.path().join("ssh"), setup)?;
        let fleet = server.repository(&FILES);
        let key = make_key(folder.path(), "id", &["-t", "ed25519"], "");
        server.authorize(&key);
        Some(Self {
            folder,
            server,
            fleet,
        })
    }

    fn known_hosts(&self) -> String {
        format!(
            "{} {}\n",
            self.server.host(),
            self.server.host_key("ed25519")
        )
    }

    /// What the documents of a user would give, with a key, its passphrase and `known_hosts`.
    async fn source(&self, key: &Path, passphrase: &str, known_hosts: &str) -> Source {
        let known = self.folder.path().join("known_hosts");
        fs::write(&known, known_hosts).expect("a new file");
        let password = if passphrase.is_empty() {
            String::new()
        } else {
            format!(", password: '{passphrase}'")
        };
        let text = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: git}}\nstringData: {{identity: \
             '${{file:{}}}', known_hosts: '${{file:{}}}'{password}}}\n---\n\
             apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\n\
             metadata: {{name: fleet}}\nspec: {{url: '{}', interval: 5m, timeout: 20s, \
             ref: {{branch: main}}, secretRef: {{name: git}}}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
             metadata: {{name: fleet}}\nspec: {{interval: 5m, update: {{path: ./apps}}, sourceRef: \
             {{kind: GitRepository, name: fleet}}, git: {{commit: {{author: {{email: \
             bot@example.com}}}}}}}}\n",
            key.display(),
            known.display(),
            self.server.url(self.fleet.path()),
        );
        let file = ConfigFile {
            name: "config.yaml".to_owned(),
            text,
            origin: Origin::Given,
        };
        let config = Config::read(&[file], "apps").expect("documents");
        let vault = DocumentVault {
            config: &config,
            docker_config: None,
            named_remote: None,
        };
        let settings = &config.automations.first().expect("one automation").remote;
        access::remote(&vault, settings)
            .await
            .expect("a key and known hosts")
    }

    async fn usual(&self) -> Source {
        let key = self.folder.path().join("id");
        self.source(&key, "", &self.known_hosts()).await
    }

    /// Reads, and pushes a commit that sets the value.
    async fn update(&self, source: &Source, value: &str) -> Result<Pushed, RemoteError> {
        let remote = GitRemote::new(Egress::new(), self.folder.path().join("store"));
        let snapshot = remote.read(source, Arc::new(Marked)).await?;
        assert_eq!(snapshot.files.len(), 1, "one marked file");
        remote.push(source, &snapshot, &commit(value)).await
    }

    async fn expect_update(&self, source: &Source, value: &str) {
        let pushed = self.update(source, value).await;
        let pushed =
            pushed.unwrap_or_else(|error| panic!("{value}: {error:?}\n{}", self.server.log()));
        assert_eq!(self.fleet.tip("main"), pushed.commit.as_str(), "{value}");
        let text = self.fleet.file("main", "apps/web.yaml");
        assert_eq!(text, format!("image: web:{value} # marked\n"));
    }
}

pub(crate) fn commit(value: &str) -> NewCommit {
    NewCommit {
        automation: "apps/fleet".to_owned(),
        files: vec![SourceFile {
            path: "apps/web.yaml".to_owned(),
            bytes: format!("image: web:{value} # marked\n").into_bytes(),
        }],
        message: format!("Update to {value}\n"),
        author: Author {
            name: "tagwright".to_owned(),
            email: "bot@example.com".to_owned(),
        },
        time: chrono::DateTime::from_timestamp(1_800_000_000, 0).expect("a time"),
        path: UpdatePath::default(),
        signer: None,
    }
}

fn ssh_error(result: Result<Pushed, RemoteError>) -> SshError {
    match result {
        Err(RemoteError::Ssh { source, .. }) => *source,
        other => panic!("no error of ssh: {other:?}"),
    }
}

#[tokio::test]
async fn every_kind_and_form_of_key_reads_and_pushes() {
    let Some(world) = World::start(&Setup::default()) else {
        return;
    };
    let forms: [(&str, &[&str], &str); 11] = [
        ("ed25519", &["-t", "ed25519"], ""),
        ("ed25519-locked", &["-t", "ed25519"], "canary-4711"),
        ("ecdsa-256", &["-t", "ecdsa", "-b", "256"], ""),
        ("ecdsa-384", &["-t", "ecdsa", "-b", "384"], "canary-4711"),
        ("ecdsa-521", &["-t", "ecdsa", "-b", "521"], ""),
        ("rsa", &["-t", "rsa", "-b", "3072"], ""),
        ("rsa-locked", &["-t", "rsa", "-b", "3072"], "canary-4711"),
        ("rsa-pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"], ""),
        (
            "rsa-pem-locked",
            &["-t", "rsa", "-b", "2048", "-m", "PEM"],
            "canary-4711",
        ),
        (
            "rsa-pkcs8",
            &["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
            "canary-4711",
        ),
        ("ecdsa-pem", &["-t", "ecdsa", "-b", "256", "-m", "PEM"], ""),
    ];
    for (name, arguments, passphrase) in forms {
        let key = make_key(world.folder.path(), name, arguments, passphrase);
        world.server.authorize(&key);
        let source = world.source(&key, passphrase, &world.known_hosts()).await;
        world.expect_update(&source, name).await;
    }
    world.fleet.assert_sound();
    assert!(
        !world.server.log().contains("ssh-rsa SHA1"),
        "no SHA-1 signature"
    );
}

#[tokio::test]
async fn a_server_that_takes_no_variables_is_spoken_to_in_version_zero() {
    let setup = Setup {
        lines: &[],
        ..Setup::default()
    };
    let Some(world) = World::start(&setup) else {
        return;
    };
    let source = world.usual().await;
    world.expect_update(&source, "2").await;
    world.expect_update(&source, "3").await;
    world.fleet.assert_sound();
}

#[tokio::test]
async fn every_kind_of_host_key_is_known_and_asked_for() {
    let kinds = ["ed25519", "ecdsa", "rsa"];
    let setup = Setup {
        host_keys: &kinds,
        ..Setup::default()
    };
    let Some(world) = World::start(&setup) else {
        return;
    };
    let key = world.folder.path().join("id");
    let host = world.server.host();
    for kind in kinds {
        let line = format!("{host} {}\n", world.server.host_key(kind));
        let source = world.source(&key, "", &line).await;
        world.expect_update(&source, kind).await;
        // The same in the form that hides the name.
        let file = world.folder.path().join(format!("hashed-{kind}"));
        fs::write(&file, &line).expect("a new file");
        let mut keygen = command("ssh-keygen", world.folder.path());
        let output = keygen
            .args(["-H", "-f"])
            .arg(&file)
            .output()
            .expect("it was found");
        assert!(output.status.success());
        let hashed = fs::read_to_string(&file).expect("a file of ours");
        assert!(hashed.starts_with("|1|"), "{hashed}");
        let source = world.source(&key, "", &hashed).await;
        world
            .expect_update(&source, &format!("{kind}-hashed"))
            .await;
    }
}

/// G31, with hashed hosts above and algorithms below.
#[tokio::test]
async fn a_host_key_that_is_not_known_good_ends_the_connection() {
    let Some(world) = World::start(&Setup::default()) else {
        return;
    };
    let key = world.folder.path().join("id");
    let host = world.server.host();
    let own = world.server.host_key("ed25519");
    let wrong = public(&make_key(
        world.folder.path(),
        "wrong",
        &["-t", "ed25519"],
        "",
    ));
    let other_kind = public(&make_key(world.folder.path(), "kind", &["-t", "ecdsa"], ""));
    let check = async |known_hosts: String, expected: &str| {
        let source = world.source(&key, "", &known_hosts).await;
        let result = world.update(&source, "evil").await;
        let found = match &result {
            Ok(_) => "accepted",
            Err(RemoteError::Ssh { source, .. }) => match &**source {
                SshError::HostKey { source, .. } => match source {
                    HostKeyFault::Unknown { .. } => "unknown",
                    HostKeyFault::Changed { .. } => "changed",
                    HostKeyFault::Revoked { .. } => "revoked",
                    HostKeyFault::AuthorityOnly { .. } => "authority",
                },
                SshError::NoCommonAlgorithm { .. } => "other kind",
                _ => "another error",
            },
            Err(_) => "another error",
        };
        assert_eq!(found, expected, "{known_hosts}: {result:?}");
        if let Err(error) = result {
            assert!(error.hint().is_some(), "{error:?}");
        }
    };
    check(format!("{host} {wrong}"), "changed").await;
    check(format!("{host} {wrong}\n{host} {own}"), "accepted").await;
    check(format!("127.0.0.1 {own}"), "unknown").await;
    check(format!("{host} {own}\n@revoked * {own}"), "revoked").await;
    check(format!("@cert-authority {host} {own}"), "authority").await;
    check(format!("{host} {other_kind}"), "other kind").await;
    assert!(
        !world.server.log().contains("Failed publickey"),
        "no key was shown to a stranger"
    );
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_is_denied_by_its_fingerprint() {
    let Some(world) = World::start(&Setup::default()) else {
        return;
    };
    let key = make_key(world.folder.path(), "stranger", &["-t", "ed25519"], "");
    let source = world.source(&key, "", &world.known_hosts()).await;
    let error = ssh_error(world.update(&source, "evil").await);
    assert_eq!(error.class(), Class::Denied);
    assert!(error.to_string().contains("SHA256:"), "{error}");
}

#[tokio::test]
async fn broken_algorithms_are_not_agreed_to() {
    let check = async |line: &str, expected: &str, class: Class| {
        let setup = Setup {
            lines: &[line],
            ..Setup::default()
        };
        let Some(world) = World::start(&setup) else {
            return;
        };
        let key = make_key(world.folder.path(), "rsa", &["-t", "rsa", "-b", "2048"], "");
        world.server.authorize(&key);
        let source = world.source(&key, "", &world.known_hosts()).await;
        let error = ssh_error(world.update(&source, "evil").await);
        assert!(error.to_string().contains(expected), "{line}: {error}");
        assert_eq!(error.class(), class, "{line}: {error}");
    };
    let config = Class::Config;
    let kex = "KexAlgorithms diffie-hellman-group14-sha1";
    check(kex, "key exchange", config).await;
    check("Ciphers aes128-cbc", "cipher", config).await;
    let mac = "Ciphers aes128-ctr\nMACs hmac-sha1";
    check(mac, "message authentication", config).await;
    // The server does not say which hashes it takes, and SHA-1 is not tried.
    let rsa = "PubkeyAcceptedAlgorithms ssh-rsa";
    check(rsa, "does not let", Class::Denied).await;
}

#[tokio::test]
async fn an_agent_signs_for_us() {
    let Some(world) = World::start(&Setup::default()) else {
        return;
    };
    let Some(agent) = find("ssh-agent") else {
        return;
    };
    let folder = world.folder.path();
    let (socket, log) = (folder.join("agent.sock"), folder.join("agent.log"));
    let mut start = command(agent, folder);
    start.arg("-D").arg("-a").arg(&socket);
    let mut agent = Server::start(start, &log);
    agent.wait(&log, || socket.exists());
    let stranger = make_key(folder, "stranger", &["-t", "rsa", "-b", "2048"], "");
    for key in [&stranger, &folder.join("id")] {
        let mut add = command("ssh-add", folder);
        let added = add
            .env("SSH_AUTH_SOCK", &socket)
            .arg("-q")
            .arg(key)
            .status();
        assert!(added.expect("ssh-add is there").success());
    }
    let mut source = world.usual().await;
    let Login::Ssh(login) = &mut source.login else {
        panic!("a login of ssh");
    };
    login.identities = vec![SshIdentity::Agent(socket)];
    world.expect_update(&source, "2").await;
    let Login::Ssh(login) = &mut source.login else {
        panic!("a login of ssh");
    };
    login.identities = vec![SshIdentity::Agent(folder.join("nobody.sock"))];
    let error = ssh_error(world.update(&source, "3").await);
    assert!(matches!(error, SshError::Agent { .. }), "{error:?}");
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_told_in_the_servers_words() {
    let Some(mut world) = World::start(&Setup::default()) else {
        return;
    };
    let mut source = world.usual().await;
    source.url.set_path("/nowhere/it's a/$(touch canary).git");
    let error = world.update(&source, "2").await.expect_err("nothing there");
    assert_eq!(error.class(), Class::Denied);
    assert!(
        error
            .to_string()
            .contains("/nowhere/it's a/$(touch canary).git"),
        "{error}"
    );
    // A name with everything that a shell would take apart still is one name.
    let odd = world.folder.path().join("it's a $(touch canary)!.git");
    fs::rename(world.fleet.path(), &odd).expect("a folder of ours");
    world.fleet.move_to(&odd);
    source.url.set_path(&odd.display().to_string());
    world.expect_update(&source, "3").await;
    assert!(!world.folder.path().join("canary").exists());
}

#[tokio::test]
async fn a_moved_branch_and_a_hook_that_refuses_are_told_apart() {
    let Some(world) = World::start(&Setup::default()) else {
        return;
    };
    let source = world.usual().await;
    let remote = GitRemote::new(Egress::new(), world.folder.path().join("store"));
    let snapshot = remote
        .read(&source, Arc::new(Marked))
        .await
        .expect("a snapshot");
    let work = world.folder.path().join("ssh/checkouts/fleet");
    fs::write(work.join("other.txt"), "by hand\n").expect("a new file");
    world.fleet.commit_from(&work, "main", "By hand");
    let late = remote.push(&source, &snapshot, &commit("2")).await;
    let late = late.expect_err("somebody was faster");
    assert_eq!(late.class(), Class::Conflict, "{late:?}");
    world
        .fleet
        .hook("pre-receive", "echo protected branch >&2; exit 1");
    let refused = world.update(&source, "2").await.expect_err("refused");
    assert!(
        matches!(&refused, RemoteError::Rejected { reason, .. } if reason.contains("protected branch")),
        "{refused:?}"
    );
    world.fleet.hook("pre-receive", "exit 0");
    world.expect_update(&source, "2").await;
    world.fleet.assert_sound();
}

/// A proxy that counts, and the source that goes through it.
async fn proxied(source: &Source, scheme: &str, login: Option<(&str, &str)>) -> Source {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let is_http = scheme == "http";
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = if is_http {
                    http_proxy(stream).await
                } else {
                    socks_proxy(stream).await
                };
            });
        }
    });
    let mut source = source.clone();
    let secret = |text: &str| tagwright::secret::Secret::new(text.to_owned());
    source.route.proxy = Proxy::Fixed {
        address: format!("{scheme}://127.0.0.1:{port}")
            .parse()
            .expect("an address"),
        username: login.map(|(name, _)| name.to_owned()),
        password: login.map(|(_, password)| secret(password)),
    };
    source
}

async fn http_proxy(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if !head.contains("Proxy-Authorization: Basic Ym90OnM=\r\n") {
        return stream.write_all(b"HTTP/1.1 407 Who are you?\r\n\r\n").await;
    }
    let to = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut server = TcpStream::connect(to).await?;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nVia: test\r\n\r\n")
        .await?;
    copy_bidirectional(&mut stream, &mut server)
        .await
        .map(|_| ())
}

async fn socks_proxy(mut stream: TcpStream) -> std::io::Result<()> {
    let mut hello = [0; 3];
    stream.read_exact(&mut hello).await?;
    if hello != [5, 1, 2] {
        return stream.write_all(&[5, 0xff]).await;
    }
    stream.write_all(&[5, 2]).await?;
    let mut login = [0; 7];
    stream.read_exact(&mut login).await?;
    let is_good = login == *b"\x01\x03bot\x01s";
    stream.write_all(&[1, u8::from(!is_good)]).await?;
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let mut name = vec![0; usize::from(head[4])];
    stream.read_exact(&mut name).await?;
    let port = stream.read_u16().await?;
    let name = String::from_utf8_lossy(&name).into_owned();
    let mut server = TcpStream::connect((name.as_str(), port)).await?;
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
    copy_bidirectional(&mut stream, &mut server)
        .await
        .map(|_| ())
}

#[tokio::test]
async fn proxies_carry_ssh_or_are_refused() {
    let Some(world) = World::start(&Setup::default()) else {
        return;
    };
    let usual = world.usual().await;
    for scheme in ["http", "socks5"] {
        let good = proxied(&usual, scheme, Some(("bot", "s"))).await;
        world.expect_update(&good, scheme).await;
        for login in [None, Some(("bot", "x"))] {
            let bad = proxied(&usual, scheme, login).await;
            let error = ssh_error(world.update(&bad, "evil").await);
            assert!(
                error.to_string().contains("does not connect us"),
                "{scheme}: {error}"
            );
        }
    }
    let https = proxied(&usual, "https", None).await;
    let error = ssh_error(world.update(&https, "evil").await);
    assert_eq!(error.class(), Class::Config, "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_ends_with_the_timeout() {
    let Some(world) = World::start(&Setup::default()) else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let mut source = world.usual().await;
    source.url.set_port(Some(port)).expect("ssh has ports");
    let Login::Ssh(login) = &mut source.login else {
        panic!("a login of ssh");
    };
    let foreign = GitRemote::new(Egress::new(), world.folder.path().join("foreign"));
    login.authority = format!("127.0.0.1:{port}").parse().expect("an authority");
    let bound = source.clone();
    source.timeout = Duration::from_millis(500);
    let result = foreign.read(&source, Arc::new(Marked)).await;
    assert!(
        matches!(result, Err(RemoteError::Timeout { .. })),
        "{result:?}"
    );
    drop(listener);
    // A key is for the one place that it was configured for.
    let mut elsewhere = bound;
    elsewhere
        .url
        .set_port(Some(world.server.port))
        .expect("ssh has ports");
    let result = foreign.read(&elsewhere, Arc::new(Marked)).await;
    let Err(RemoteError::Ssh { source: error, .. }) = result else {
        panic!("{result:?}");
    };
    assert!(matches!(*error, SshError::ForeignAuthority(_)), "{error:?}");
}
