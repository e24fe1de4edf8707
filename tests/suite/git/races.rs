//! Lost races, cut connections and dying servers: nothing is lost, nothing is there twice, and it
//! ends.

use futures_util::future::join_all;
use tagwright::{
    egress::PlainHttp,
    error::Class,
    update::git::{Remote as _, RemoteError, Source},
};

use super::{
    git_server::{GitServer, Protocol, Running, Trouble},
    world::{Node::File, World, branch, change, has_git},
};

const NAME: &str = "web.yaml";

fn over_http(server: &Running) -> Source {
    let mut source = Source::new(server.url("fleet.git"), branch("main"));
    source.route.plain_http = PlainHttp::Allow;
    source
}

/// Reads and pushes until it is done; whatever goes wrong has to be worth another try.
async fn insist(world: &World, source: &Source, name: &str, text: &str) -> usize {
    for attempt in 1..200 {
        let snapshot = world.read(source).await.expect("a snapshot");
        let commit = change(name, text);
        match world.remote.push(source, &snapshot, &commit).await {
            Ok(_) => return attempt,
            Err(error) => assert!(
                matches!(error.class(), Class::Conflict | Class::Transient),
                "{error}"
            ),
        }
    }
    panic!("it does not converge");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_writers_and_a_human_lose_nothing() {
    if !has_git() {
        return;
    }
    let names: Vec<String> = (0..20).map(|number| format!("{number}.yaml")).collect();
    let mut files: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), File("marked 0")))
        .collect();
    files.push(("human", File("0")));
    let world = World::of(&files);
    let server = GitServer::of(world.folder.path()).start().await;
    let source = over_http(&server);
    // The human pushes by the program, and has to fetch and try again like everybody.
    let work = world.folder.path().join("work");
    let person = work.to_str().expect("text").to_owned();
    world.git(&["worktree", "add", "--quiet", "--detach", &person, "main"]);
    let human = async {
        for number in 1..=5 {
            let (person, path) = (person.clone(), work.clone());
            let repository = world.repository();
            let pushed = tokio::task::spawn_blocking(move || {
                std::fs::write(path.join("human"), format!("{number}")).expect("a file");
                let git = |arguments: &[&str]| {
                    let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
                    let mut command = super::git_server::git();
                    command.args(["-C", &person]).args(who).args(arguments);
                    command.output().expect("git runs").status.success()
                };
                assert!(git(&[
                    "commit",
                    "--quiet",
                    "-a",
                    "-m",
                    &format!("By hand {number}")
                ]));
                let url = repository.to_str().expect("text");
                while !git(&["push", "--quiet", url, "HEAD:refs/heads/main"]) {
                    assert!(git(&[
                        "-c",
                        "core.hooksPath=/dev/null",
                        "rebase",
                        "--quiet",
                        "main"
                    ]));
                }
            });
            pushed.await.expect("a push");
        }
    };
    let writers = names
        .iter()
        .map(|name| insist(&world, &source, name, "marked 1"));
    tokio::join!(join_all(writers), human);

    let subjects = world.git(&["log", "--format=%s", "main"]);
    let count = |subject: &str| {
        subjects
            .lines()
            .filter(|it| it.starts_with(subject))
            .count()
    };
    assert_eq!(
        (count("Update images"), count("By hand")),
        (20, 5),
        "{subjects}"
    );
    let changed = world.git(&["log", "--format=", "--name-only", "main"]);
    for name in &names {
        // Once when the world was made, and once by us.
        assert_eq!(changed.lines().filter(|it| it == name).count(), 2, "{name}");
    }
    assert_eq!(world.git(&["show", "main:human"]), "5");
    world.assert_sound();
}

#[tokio::test]
async fn four_wordings_of_a_lost_race_are_one() {
    if !has_git() {
        return;
    }
    let wordings = [
        "non-fast-forward",
        "cannot lock ref 'refs/heads/main': is at 1 but expected 2",
        "incorrect old value provided",
        "stale info",
    ];
    for protocol in [Protocol::Two, Protocol::Zero] {
        for wording in wordings {
            let world = World::of(&[(NAME, File("marked 1")), ("other", File("1"))]);
            let base = world.tip("main").expect("a tip");
            let faster = world.commit("main", &[(NAME, File("marked 1")), ("other", File("2"))]);
            world.set("main", &base);
            world.hook(
                "pre-receive",
                &format!(
                    "[ -e raced ] && exit 0\ntouch raced\n\
                     echo {faster} > refs/heads/main\necho \"{wording}\" >&2\nexit 1"
                ),
            );
            let server = GitServer::of(world.folder.path()).speaking(protocol);
            let server = server.start().await;
            let attempts = insist(&world, &over_http(&server), NAME, "marked 2").await;
            assert_eq!(attempts, 2, "{wording}");
            let log = world.git(&["rev-list", "main"]);
            let log: Vec<_> = log.lines().skip(1).collect();
            assert_eq!(log, [faster.as_str(), base.as_str()], "{wording}");
            world.assert_sound();
        }
    }
}

#[tokio::test]
async fn the_same_words_of_a_protected_branch_are_none() {
    if !has_git() {
        return;
    }
    let world = World::of(&[(NAME, File("marked 1"))]);
    world.hook(
        "pre-receive",
        "echo 'non-fast-forward; stale info' >&2; exit 1",
    );
    let server = GitServer::of(world.folder.path()).start().await;
    let source = over_http(&server);
    let snapshot = world.read(&source).await.expect("a snapshot");
    let error = world.push(&source, &snapshot, NAME, "marked 2").await;
    let error = error.expect_err("protected");
    assert!(matches!(error, RemoteError::Rejected { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Denied, "nobody tries again in a loop");
}

#[tokio::test]
async fn a_push_that_is_cut_in_its_pack_is_made_again() {
    if !has_git() {
        return;
    }
    for (numerator, kept) in [(1, "the first quarter"), (2, "half"), (3, "three quarters")] {
        let world = World::of(&[(NAME, File("marked 1"))]);
        let base = world.tip("main").expect("a tip");
        let trouble = Trouble::CutPush(numerator);
        let server = GitServer::of(world.folder.path())
            .with(trouble)
            .start()
            .await;
        let source = over_http(&server);
        let snapshot = world.read(&source).await.expect("a snapshot");
        let error = world.push(&source, &snapshot, NAME, "marked 2").await;
        error.expect_err(kept);
        assert_eq!(world.tip("main"), Some(base), "{kept}");
        world.assert_sound();

        let server = GitServer::of(world.folder.path()).start().await;
        let source = over_http(&server);
        assert_eq!(insist(&world, &source, NAME, "marked 2").await, 1);
        assert_eq!(world.git(&["rev-list", "--count", "main"]).trim(), "2");
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_server_that_dies_between_pack_and_report_makes_no_second_commit() {
    if !has_git() {
        return;
    }
    // Before the branch moves, and after it has.
    for (hook, commits) in [("pre-receive", 1), ("post-receive", 2)] {
        let world = World::of(&[(NAME, File("marked 1"))]);
        let kill = "[ -e killed ] && exit 0\ntouch killed\nkill -9 $PPID";
        world.hook(hook, kill);
        let server = GitServer::of(world.folder.path()).start().await;
        let source = over_http(&server);
        let snapshot = world.read(&source).await.expect("a snapshot");
        let first = world.push(&source, &snapshot, NAME, "marked 2").await;
        let count = || {
            world
                .git(&["rev-list", "--count", "main"])
                .trim()
                .to_owned()
        };
        assert_eq!(count(), commits.to_string(), "{hook}");
        // What was pushed is known to be, whatever became of the answer.
        assert_eq!(first.is_ok(), commits == 2, "{hook}: {first:?}");
        let again = world.push(&source, &snapshot, NAME, "marked 2").await;
        again.expect("a push");
        assert_eq!(count(), "2", "{hook}");
        world.assert_sound();
    }
}
