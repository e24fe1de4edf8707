//! Repositories behind smart HTTP.

use axum::http::StatusCode;
use tagwright::{
    egress::PlainHttp,
    error::Class,
    secret::{Authority, Credential, Proof, Secret},
    update::git::{Checkout, Login, RemoteError, Source},
};

use super::{
    git_server::{GitServer, Protocol, Running, Trouble},
    world::{
        Node::{File, SymbolicLink},
        World, branch, change, has_git, path, paths, set, skipped,
    },
};
use tagwright::update::git::Remote as _;

const PROTOCOLS: [Protocol; 2] = [Protocol::Two, Protocol::Zero];

fn files(value: u32) -> (String, &'static str) {
    (format!("image: web:{value} # marked\n"), "apps/web.yaml")
}

/// A world with one marked file, another one, and a symbolic link.
fn world() -> World {
    let (text, name) = files(1);
    World::of(&[
        (name, File(&text)),
        ("apps/link.yaml", SymbolicLink("web.yaml")),
        ("other/b.yaml", File("marked")),
    ])
}

fn source(server: &Running) -> Source {
    let mut source = Source::new(server.url("fleet.git"), branch("main"));
    source.route.plain_http = PlainHttp::Allow;
    source
}

fn credential(server: &Running, proof: Proof) -> Credential {
    let authority = Authority::of(&server.url("fleet.git")).expect("a host and a port");
    Credential::new(proof, authority)
}

fn basic(username: &str, password: &str) -> Proof {
    Proof::Basic {
        username: Secret::new(username.to_owned()),
        password: Secret::new(password.to_owned()),
    }
}

#[tokio::test]
async fn reads_and_pushes_in_both_protocols() {
    if !has_git() {
        return;
    }
    for protocol in PROTOCOLS {
        let world = world();
        let server = GitServer::of(world.folder.path())
            .speaking(protocol)
            .start()
            .await;
        let mut source = source(&server);
        source.path = path("apps");

        let snapshot = world.read(&source).await.expect("a snapshot");
        assert_eq!(paths(&snapshot), ["apps/web.yaml"]);
        assert_eq!(skipped(&snapshot), [("apps/link.yaml", "symbolic link")]);
        let (text, name) = files(2);
        let pushed = world
            .push(&source, &snapshot, name, &text)
            .await
            .expect("a push");
        assert_eq!(pushed.previous.as_ref(), Some(&snapshot.base));

        assert_eq!(world.tip("main").as_deref(), Some(pushed.commit.as_str()));
        let again = world.read(&source).await.expect("a snapshot");
        assert_eq!(again.base, pushed.commit);
        assert_eq!(again.files[0].bytes, text.as_bytes());
        let changed = world.git(&["diff-tree", "-r", "--name-status", "main~1", "main"]);
        assert_eq!(changed, "M\tapps/web.yaml\n", "{protocol:?}");
        world.assert_sound();
    }
}

#[tokio::test]
async fn what_is_in_the_store_is_not_fetched_again() {
    if !has_git() {
        return;
    }
    for protocol in PROTOCOLS {
        let world = world();
        let server = GitServer::of(world.folder.path())
            .speaking(protocol)
            .start()
            .await;
        let source = source(&server);
        // In version 2, asking for the branches is a POST too.
        let asking = usize::from(protocol == Protocol::Two);
        let posts = || server.count("POST /fleet.git/git-upload-pack");

        let snapshot = world.read(&source).await.expect("a snapshot");
        assert_eq!(posts(), asking + 1);
        world.read(&source).await.expect("a snapshot");
        assert_eq!(posts(), 2 * asking + 1, "nothing is new");
        let (text, name) = files(2);
        world
            .push(&source, &snapshot, name, &text)
            .await
            .expect("a push");
        world.read(&source).await.expect("a snapshot");
        assert_eq!(posts(), 4 * asking + 1, "our own commit is here");

        let (text, name) = files(3);
        world.commit("main", &[(name, File(&text)), ("c.yaml", File("marked"))]);
        let snapshot = world.read(&source).await.expect("a snapshot");
        assert_eq!(posts(), 5 * asking + 2, "a human's commit is not");
        assert_eq!(paths(&snapshot), ["apps/web.yaml", "c.yaml"]);

        std::fs::remove_dir_all(world.folder.path().join("store")).expect("the store");
        let fresh = world.read(&source).await.expect("a snapshot");
        assert_eq!(fresh.files, snapshot.files);
    }
}

#[tokio::test]
async fn a_damaged_store_is_filled_again() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let source = source(&server);
    let snapshot = world.read(&source).await.expect("a snapshot");
    let store = world.folder.path().join("store");
    for folder in std::fs::read_dir(&store).expect("the store") {
        let objects = folder.expect("a folder").path().join("objects");
        std::fs::remove_dir_all(objects).expect("the objects");
    }

    let again = world.read(&source).await.expect("a snapshot");

    assert_eq!(again.files, snapshot.files);
}

#[tokio::test]
async fn history_is_not_fetched() {
    if !has_git() {
        return;
    }
    for protocol in PROTOCOLS {
        let world = world();
        let first = world.tip("main").expect("a tip");
        let (text, name) = files(2);
        world.commit("main", &[(name, File(&text))]);
        let server = GitServer::of(world.folder.path())
            .speaking(protocol)
            .start()
            .await;
        world.read(&source(&server)).await.expect("a snapshot");

        assert!(world.keeps(&world.tip("main").expect("a tip")));
        assert!(!world.keeps(&first), "{protocol:?}");
    }
}

#[tokio::test]
async fn credentials_are_shown_and_wrong_ones_are_denied() {
    if !has_git() {
        return;
    }
    let world = world();
    let check = async |asked: &str, proof: Option<Proof>, is_let_in: bool| {
        let server = GitServer::of(world.folder.path())
            .asking_for(asked)
            .start()
            .await;
        let mut source = source(&server);
        source.login = match proof {
            Some(proof) => Login::Fixed(credential(&server, proof)),
            None => Login::Anonymous,
        };
        match world.read(&source).await {
            Ok(_) => assert!(is_let_in, "{asked}"),
            Err(error) => {
                assert!(!is_let_in, "{error}");
                assert!(matches!(error, RemoteError::Denied { .. }), "{error:?}");
                assert_eq!(error.class(), Class::Denied);
                let text = format!("{error} {error:?}");
                assert!(!text.contains("canary"), "{text}");
                assert!(!error.to_string().contains(char::is_control), "{error}");
            }
        }
    };
    // `bot:canary-1`
    let header = "Basic Ym90OmNhbmFyeS0x";
    check(header, Some(basic("bot", "canary-1")), true).await;
    check(header, Some(basic("bot", "canary-2")), false).await;
    check(header, None, false).await;
    let token = || Proof::Bearer(Secret::new("canary-3".to_owned()));
    check("Bearer canary-3", Some(token()), true).await;
    check(header, Some(token()), false).await;
}

#[tokio::test]
async fn a_store_is_not_shared_between_credentials() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let mut source = source(&server);
    for password in ["one", "two"] {
        source.login = Login::Fixed(credential(&server, basic("bot", password)));
        world.read(&source).await.expect("a snapshot");
    }
    let stores = std::fs::read_dir(world.folder.path().join("store")).expect("the store");
    assert_eq!(stores.count(), 2);
}

#[tokio::test]
async fn missing_things_are_named() {
    if !has_git() {
        return;
    }
    for protocol in PROTOCOLS {
        let world = world();
        let server = GitServer::of(world.folder.path())
            .speaking(protocol)
            .start()
            .await;
        let mut wrong = source(&server);
        wrong.checkout = Checkout::Branch(branch("trunk"));
        let error = world.read(&wrong).await.expect_err("no such branch");
        assert!(matches!(error, RemoteError::NoBranch { .. }), "{error:?}");
        assert_eq!(error.hint().as_deref(), Some("there is: main"));

        let mut wrong = source(&server);
        wrong.path = path("nowhere");
        let error = world.read(&wrong).await.expect_err("no such path");
        assert!(matches!(error, RemoteError::NoPath { .. }), "{error:?}");

        let mut wrong = source(&server);
        wrong.url = server.url("other.git");
        let error = world.read(&wrong).await.expect_err("no such repository");
        assert!(matches!(error, RemoteError::NotFound { .. }), "{error:?}");

        let empty = World::empty();
        let server = GitServer::of(empty.folder.path())
            .speaking(protocol)
            .start()
            .await;
        let error = empty
            .read(&source(&server))
            .await
            .expect_err("nothing to read");
        assert!(
            matches!(error, RemoteError::EmptyRepository { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn plain_http_needs_permission() {
    let world = World::empty();
    let server = GitServer::of(world.folder.path()).start().await;
    let mut source = source(&server);
    source.route.plain_http = PlainHttp::Refuse;
    let error = world.read(&source).await.expect_err("not encrypted");
    assert!(
        matches!(error, RemoteError::Unreachable { .. }),
        "{error:?}"
    );
    assert_eq!(error.class(), Class::Config);
    assert_eq!(server.count(""), 0, "nothing was sent");
}

#[tokio::test]
async fn a_lost_race_is_told_from_the_branch_not_from_the_words() {
    if !has_git() {
        return;
    }
    for protocol in PROTOCOLS {
        let world = world();
        let base = world.tip("main").expect("a tip");
        let (text, name) = files(9);
        let human = world.commit("main", &[(name, File(&text))]);
        world.set("main", &base);
        let repository = world.repository();
        let theirs = human.clone();
        let act = move || set(&repository, "main", &theirs);
        let server = GitServer::of(world.folder.path())
            .speaking(protocol)
            .with(Trouble::BeforePush(Box::new(act)))
            .start()
            .await;
        let source = source(&server);
        let snapshot = world.read(&source).await.expect("a snapshot");

        let (text, name) = files(2);
        let error = world
            .push(&source, &snapshot, name, &text)
            .await
            .expect_err("too late");

        assert!(matches!(error, RemoteError::Moved { .. }), "{error:?}");
        assert_eq!(server.count("POST /fleet.git/git-receive-pack"), 1);
        assert_eq!(world.tip("main").as_deref(), Some(human.as_str()));

        let error = world
            .push(&source, &snapshot, name, &text)
            .await
            .expect_err("too late");
        assert!(matches!(error, RemoteError::Moved { .. }), "{error:?}");
        let sent = server.count("POST /fleet.git/git-receive-pack");
        assert_eq!(
            sent, 1,
            "nothing is sent to a branch that is known to have moved"
        );
    }
}

#[tokio::test]
async fn a_hook_that_declines_is_quoted_on_one_line() {
    if !has_git() {
        return;
    }
    let world = world();
    world.hook(
        "pre-receive",
        "printf 'no: \\033[31mfreeze\\n\\ntill monday\\n' >&2; exit 1",
    );
    let server = GitServer::of(world.folder.path()).start().await;
    let source = source(&server);
    let snapshot = world.read(&source).await.expect("a snapshot");
    let (text, name) = files(2);

    let error = world
        .push(&source, &snapshot, name, &text)
        .await
        .expect_err("declined");

    assert!(matches!(error, RemoteError::Rejected { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Denied);
    let words = error.to_string();
    assert!(words.contains("pre-receive hook declined"), "{words}");
    assert!(words.contains("freeze; till monday"), "{words}");
    assert!(!words.contains(char::is_control), "{words:?}");
    assert_eq!(world.tip("main").as_deref(), Some(snapshot.base.as_str()));
}

#[tokio::test]
async fn a_protected_branch_refuses_and_another_one_takes_the_commit() {
    if !has_git() {
        return;
    }
    for protocol in PROTOCOLS {
        let world = world();
        world.hook(
            "update",
            "if [ \"$1\" = refs/heads/main ]; then echo 'GH006: Protected branch' >&2; exit 1; fi",
        );
        let server = GitServer::of(world.folder.path())
            .speaking(protocol)
            .start()
            .await;
        let mut source = source(&server);
        let snapshot = world.read(&source).await.expect("a snapshot");
        let (text, name) = files(2);
        let error = world
            .push(&source, &snapshot, name, &text)
            .await
            .expect_err("protected");
        assert!(
            error.to_string().contains("GH006: Protected branch"),
            "{error}"
        );
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("push branch"))
        );

        source.push_branch = branch("bot/images");
        let first = world
            .push(&source, &snapshot, name, &text)
            .await
            .expect("a push");
        assert_eq!(first.previous, None);
        let snapshot = world.read(&source).await.expect("a snapshot");
        let tip = snapshot.push_tip.clone().expect("the branch exists by now");
        assert_eq!(tip.commit, first.commit);
        let again = world
            .push(&source, &snapshot, name, &text)
            .await
            .expect("nothing to do");
        assert_eq!(again.commit, first.commit);
        let (text, name) = files(3);
        let second = world
            .push(&source, &snapshot, name, &text)
            .await
            .expect("a push");
        assert_eq!(second.previous, Some(first.commit));
        assert_eq!(world.tip("main").as_deref(), Some(snapshot.base.as_str()));
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_foreign_push_branch_is_read_with_its_commit() {
    if !has_git() {
        return;
    }
    for protocol in PROTOCOLS {
        let world = world();
        let human = world.commit("bot/images", &[("b.yaml", File("marked by hand"))]);
        let server = GitServer::of(world.folder.path())
            .speaking(protocol)
            .start()
            .await;
        let mut source = source(&server);
        source.push_branch = branch("bot/images");
        let snapshot = world.read(&source).await.expect("a snapshot");
        let tip = snapshot.push_tip.expect("a tip");
        assert_eq!(tip.commit.as_str(), human);
        assert_eq!(
            (tip.parent, tip.author_email.as_str()),
            (None, "human@example.com")
        );
    }
}

#[tokio::test]
async fn a_server_is_not_believed_until_the_branch_says_the_same() {
    if !has_git() {
        return;
    }
    let check = async |lie: &[u8], expected: &str| {
        let world = world();
        let server = GitServer::of(world.folder.path())
            .with(Trouble::Lie(lie.to_vec()))
            .start()
            .await;
        let source = source(&server);
        let snapshot = world.read(&source).await.expect("a snapshot");
        let (text, name) = files(2);
        let error = world
            .push(&source, &snapshot, name, &text)
            .await
            .expect_err("a lie");
        assert!(error.to_string().contains(expected), "{error}");
    };
    let success = b"002e\x01000eunpack ok\n0017ok refs/heads/main\n00000000";
    check(success, "reported success, and the branch did not move").await;
    let other = b"002f\x01000eunpack ok\n0018ok refs/heads/other\n00000000";
    check(other, "did not report on the branch").await;
    check(b"0000", "did not report on the branch").await;
    check(b"", "did not report on the branch").await;
    check(b"<html>", "broke the protocol").await;
}

#[tokio::test]
async fn a_push_whose_answer_is_lost_has_succeeded() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path())
        .with(Trouble::LoseAnswer)
        .start()
        .await;
    let source = source(&server);
    let snapshot = world.read(&source).await.expect("a snapshot");
    let (text, name) = files(2);
    let pushed = world
        .push(&source, &snapshot, name, &text)
        .await
        .expect("a push");
    assert_eq!(world.tip("main").as_deref(), Some(pushed.commit.as_str()));
}

#[tokio::test]
async fn a_renamed_repository_is_read_and_not_pushed_to() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path())
        .with(Trouble::Redirect("/fleet.git".to_owned()))
        .start()
        .await;
    let mut source = source(&server);
    source.url = server.url("old.git");
    let snapshot = world.read(&source).await.expect("a snapshot");
    let (text, name) = files(2);

    let error = world
        .push(&source, &snapshot, name, &text)
        .await
        .expect_err("renamed");

    assert!(matches!(error, RemoteError::Renamed { .. }), "{error:?}");
    let advice = format!("set the address to `{}`", server.url("fleet.git"));
    assert_eq!(error.hint(), Some(advice));
    assert_eq!(server.count("POST /fleet.git/git-receive-pack"), 0);
}

#[tokio::test]
async fn another_authority_is_not_followed() {
    if !has_git() {
        return;
    }
    let world = world();
    let elsewhere = GitServer::of(world.folder.path()).start().await;
    let target = elsewhere.url("fleet.git").to_string();
    let server = GitServer::of(world.folder.path())
        .with(Trouble::Redirect(target))
        .start()
        .await;
    let mut source = source(&server);
    source.url = server.url("old.git");

    let error = world.read(&source).await.expect_err("another authority");

    assert!(
        matches!(error, RemoteError::Unreachable { .. }),
        "{error:?}"
    );
    assert_eq!(error.class(), Class::Config);
    assert_eq!(elsewhere.count(""), 0);
}

#[tokio::test]
async fn a_status_tells_who_must_act() {
    let world = World::empty();
    let check = async |status: StatusCode, words: &'static str, expected: Class| {
        let trouble = Trouble::Fail(status, words);
        let server = GitServer::of(world.folder.path())
            .with(trouble)
            .start()
            .await;
        let error = world.read(&source(&server)).await.expect_err("no answer");
        assert_eq!(error.class(), expected, "{error}");
    };
    check(StatusCode::FORBIDDEN, "no", Class::Denied).await;
    check(StatusCode::NOT_FOUND, "no", Class::Denied).await;
    check(StatusCode::TOO_MANY_REQUESTS, "later", Class::Transient).await;
    check(StatusCode::BAD_GATEWAY, "later", Class::Transient).await;
    check(StatusCode::OK, "<html>log in</html>", Class::Config).await;
    check(StatusCode::IM_A_TEAPOT, "no", Class::Bug).await;
}

#[tokio::test]
async fn eight_writers_lose_nothing() {
    if !has_git() {
        return;
    }
    let names: Vec<String> = (0..8).map(|number| format!("{number}.yaml")).collect();
    let files: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), File("marked 0")))
        .collect();
    let world = World::of(&files);
    let server = GitServer::of(world.folder.path()).start().await;
    let source = source(&server);
    let write = async |name: &str| {
        loop {
            let snapshot = world.read(&source).await.expect("a snapshot");
            match world
                .remote
                .push(&source, &snapshot, &change(name, "marked 1"))
                .await
            {
                Ok(_) => return,
                Err(error) => assert_eq!(error.class(), Class::Conflict, "{error}"),
            }
        }
    };
    futures_util::future::join_all(names.iter().map(|name| write(name))).await;
    let count = world.git(&["rev-list", "--count", "main"]);
    assert_eq!(count.trim(), "9");
    let snapshot = world.read(&source).await.expect("a snapshot");
    assert!(snapshot.files.iter().all(|file| file.bytes == b"marked 1"));
    world.assert_sound();
}
