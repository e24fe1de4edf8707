//! Lost races, cut connections and dying servers, over nginx and OpenSSH as they are: nothing is lost,
//! nothing is there twice, and it ends.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::join_all;
use tagwright::{
    access,
    config::{Config, ConfigFile, Origin},
    egress::{Egress, ssh::KnownHosts},
    error::Class,
    once::DocumentVault,
    update::git::{
        GitRemote, Login, NewCommit, Pushed, Remote as _, RemoteError, Source, SourceFile,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
};

use crate::{
    certificates::Certificates,
    git_http::{GitServer, Repository},
    git_ssh::{Setup, SshServer, make_key},
    programs::command,
    ssh::{FILES, Marked, commit},
};

const PASSWORD: &str = "canary-4711";
const WRITERS: usize = 20;

/// What the documents of a user give for a Secret and an address.
pub(crate) async fn source(secret: &str, url: &str) -> Source {
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: git}}\nstringData: {{{secret}}}\n---\n\
         apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: fleet}}\n\
         spec: {{url: '{url}', interval: 5m, timeout: 60s, ref: {{branch: main}}, \
         secretRef: {{name: git}}}}\n---\n\
         apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
         metadata: {{name: fleet}}\nspec: {{interval: 5m, sourceRef: {{kind: GitRepository, \
         name: fleet}}, git: {{commit: {{author: {{email: bot@example.com}}}}}}}}\n"
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
    access::remote(&vault, settings).await.expect("a login")
}

fn change(path: &str, text: &str) -> NewCommit {
    NewCommit {
        files: vec![SourceFile {
            path: path.to_owned(),
            bytes: text.as_bytes().to_vec(),
        }],
        message: format!("Update {path}\n"),
        ..commit("")
    }
}

pub(crate) async fn update(
    remote: &GitRemote,
    source: &Source,
    change: &NewCommit,
) -> Result<Pushed, RemoteError> {
    let snapshot = remote.read(source, Arc::new(Marked)).await?;
    remote.push(source, &snapshot, change).await
}

/// Reads and pushes until it is done; whatever goes wrong has to be worth another try.
async fn insist(folder: &Path, source: &Source, path: &str) {
    let remote = GitRemote::new(Egress::new(), folder.join("stores").join(path));
    for attempt in 0..500 {
        let change = change(path, "marked 1");
        match update(&remote, source, &change).await {
            Ok(_) => return,
            // The push before stood, and only its answer was lost.
            Err(RemoteError::Refused { reason, .. })
                if attempt > 0 && reason == "it changes nothing" =>
            {
                return;
            }
            Err(error) => assert!(
                matches!(error.class(), Class::Conflict | Class::Transient),
                "{error:?}"
            ),
        }
    }
    panic!("it does not converge");
}

/// Commits by hand, and pushes by the program, which has to fetch and try again like everybody.
fn by_hand(fleet: &Repository, folder: &Path) {
    let work = folder.join("work");
    let git = |arguments: &[&str]| {
        let mut git = command("git", folder);
        git.arg("-C").arg(&work);
        git.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]);
        let output = git.args(arguments).output();
        output.expect("git was found").status.success()
    };
    fleet.git(&["clone", "-q", ".", &work.display().to_string()]);
    for number in 1..=5 {
        fs::write(work.join("human"), number.to_string()).expect("a file of ours");
        assert!(git(&[
            "commit",
            "-q",
            "-a",
            "-m",
            &format!("By hand {number}")
        ]));
        while !git(&["push", "-q", "origin", "HEAD:main"]) {
            assert!(git(&["pull", "-q", "--rebase", "origin", "main"]));
        }
    }
}

/// Twenty writers, each with a file of its own, and a human.
async fn race(fleet: &Repository, folder: &Path, source: &Source, names: &[String]) {
    let human = tokio::task::spawn_blocking({
        let (fleet, folder) = (fleet.clone(), folder.to_owned());
        move || by_hand(&fleet, &folder)
    });
    join_all(names.iter().map(|name| insist(folder, source, name))).await;
    human.await.expect("a push");
    let subjects = fleet.git(&["log", "--format=%s", "main"]);
    let count = |subject: &str| {
        subjects
            .lines()
            .filter(|it| it.starts_with(subject))
            .count()
    };
    assert_eq!(
        (count("Update"), count("By hand")),
        (WRITERS, 5),
        "{subjects}"
    );
    let changed = fleet.git(&["log", "--format=", "--name-only", "main"]);
    for name in names {
        // Once when the repository was made, and once by us.
        assert_eq!(changed.lines().filter(|it| it == name).count(), 2, "{name}");
        assert_eq!(fleet.file("main", name), "marked 1");
    }
    assert_eq!(fleet.file("main", "human"), "5");
    fleet.assert_sound();
}

fn files(names: &[String]) -> Vec<(&str, &str)> {
    let files = names.iter().map(|name| (name.as_str(), "marked 0"));
    files.chain([("human", "0")]).collect()
}

fn names() -> Vec<String> {
    (0..WRITERS)
        .map(|number| format!("{number}.yaml"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_writers_and_a_human_lose_nothing_over_https() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let certificates = Certificates::make(folder);
    let Some(server) = GitServer::start(folder, &certificates, PASSWORD) else {
        return;
    };
    let names = names();
    let fleet = server.repository("fleet", &files(&names));
    let authority = certificates.authority.display();
    let secret = format!("username: bot, password: {PASSWORD}, ca.crt: '${{file:{authority}}}'");
    let source = source(&secret, &server.url("fleet")).await;
    race(&fleet, folder, &source, &names).await;
}

/// A server over ssh, its one repository, and how it is logged in to.
async fn over_ssh(
    folder: &Path,
    files: &[(&str, &str)],
) -> Option<(SshServer, Repository, Source)> {
    // Twenty knock at once; the server would leave some of them outside.
    let setup = Setup {
        lines: &["AcceptEnv GIT_PROTOCOL", "MaxStartups 100"],
        ..Setup::default()
    };
    let server = SshServer::start(&folder.join("ssh"), &setup)?;
    let fleet = server.repository(files);
    let key = make_key(folder, "id", &["-t", "ed25519"], "");
    server.authorize(&key);
    let known_hosts = folder.join("known_hosts");
    let line = format!("{} {}\n", server.host(), server.host_key("ed25519"));
    fs::write(&known_hosts, line).expect("a new file");
    let (key, known_hosts) = (key.display(), known_hosts.display());
    let secret = format!("identity: '${{file:{key}}}', known_hosts: '${{file:{known_hosts}}}'");
    let source = source(&secret, &server.url(fleet.path())).await;
    Some((server, fleet, source))
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_writers_and_a_human_lose_nothing_over_ssh() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let names = names();
    let Some((_server, fleet, source)) = over_ssh(folder.path(), &files(&names)).await else {
        return;
    };
    race(&fleet, folder.path(), &source, &names).await;
}

#[tokio::test]
async fn a_server_that_dies_between_pack_and_report_makes_no_second_commit() {
    // Before the branch moves, and after it has.
    for (hook, commits) in [("pre-receive", "1"), ("post-receive", "2")] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let Some((_server, fleet, source)) = over_ssh(folder.path(), &FILES).await else {
            return;
        };
        fleet.hook(hook, "[ -e killed ] && exit 0\ntouch killed\nkill -9 $PPID");
        let remote = GitRemote::new(Egress::new(), folder.path().join("store"));
        let snapshot = remote.read(&source, Arc::new(Marked)).await;
        let snapshot = snapshot.expect("a snapshot");
        let first = remote.push(&source, &snapshot, &commit("2")).await;
        let count = || fleet.git(&["rev-list", "--count", "main"]);
        assert_eq!(count().trim(), commits, "{hook}");
        // What was pushed is known to be, whatever became of the answer.
        assert_eq!(first.is_ok(), commits == "2", "{hook}: {first:?}");
        let again = remote.push(&source, &snapshot, &commit("2")).await;
        again.expect("a push");
        assert_eq!(count().trim(), "2", "{hook}");
        fleet.assert_sound();
    }
}

/// Carries connections to a server, and cuts one when so many bytes of it have gone there.
async fn carry(listener: TcpListener, port: u16, limit: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        let limit = Arc::clone(&limit);
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                return;
            };
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let there = async {
                let (mut gone, mut buffer) = (0, vec![0; 512]);
                while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
                    gone += count;
                    let is_cut = gone > limit.load(Ordering::Relaxed);
                    if is_cut || to_server.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            };
            let back = copy(&mut from_server, &mut to_client);
            // Whichever ends first takes both directions with it.
            tokio::select! {
                () = there => {}
                _ = back => {}
            }
        });
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_anywhere_in_a_push_leaves_the_old_or_the_new() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some((server, fleet, mut source)) = over_ssh(folder.path(), &FILES).await else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let limit = Arc::new(AtomicUsize::new(usize::MAX));
    tokio::spawn(carry(listener, server.port, Arc::clone(&limit)));
    source.url.set_port(Some(port)).expect("ssh has ports");
    let Login::Ssh(login) = &mut source.login else {
        panic!("a login of ssh");
    };
    let line = format!("[127.0.0.1]:{port} {}", server.host_key("ed25519"));
    login.known_hosts = KnownHosts::parse(&line).expect("our own line");
    login.authority = format!("127.0.0.1:{port}").parse().expect("an authority");

    let base = fleet.tip("main");
    let remote = GitRemote::new(Egress::new(), folder.path().join("store"));
    let whole = update(&remote, &source, &commit("2")).await;
    let whole = whole.expect("a push").commit;
    let mut cuts = 0;
    for kept in (1_000..).step_by(400) {
        fleet.git(&["update-ref", "refs/heads/main", &base]);
        limit.store(usize::MAX, Ordering::Relaxed);
        let snapshot = remote.read(&source, Arc::new(Marked)).await;
        let snapshot = snapshot.expect("a snapshot");
        limit.store(kept, Ordering::Relaxed);
        let cut = remote.push(&source, &snapshot, &commit("2")).await;
        let tip = fleet.tip("main");
        limit.store(usize::MAX, Ordering::Relaxed);
        match cut {
            Ok(pushed) => {
                assert_eq!((&pushed.commit, tip.as_str()), (&whole, whole.as_str()));
                break;
            }
            Err(error) => assert_eq!(error.class(), Class::Transient, "{kept}: {error:?}"),
        }
        cuts += 1;
        assert!(tip == base || tip == whole.as_str(), "{kept}: {tip}");
        let again = update(&remote, &source, &commit("2")).await;
        // What had arrived all the same is there already, and is not committed anew.
        if tip == base {
            assert_eq!(again.expect("a push").commit, whole, "{kept}");
        }
        assert_eq!(fleet.git(&["rev-list", "--count", "main"]).trim(), "2");
    }
    assert!(
        cuts > 3,
        "it was cut in the greeting, in the log-in and in the pack"
    );
    fleet.assert_sound();
}
