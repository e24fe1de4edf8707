//! Several sources of one remote in one conversation, several commits in one push, and commits that
//! are stacked on a push branch.

use std::sync::Arc;

use tagwright::{
    egress::PlainHttp,
    update::git::{
        Chain, NewCommit, PushMode, Pushed, Remote as _, RemoteError, Request, Snapshot, Source,
    },
};

use super::{
    git_server::{GitServer, Protocol, Running, Trouble},
    world::{
        Marked,
        Node::{Executable, File, Submodule, SymbolicLink},
        World, branch, change, has_git, path, paths, set,
    },
};

const PROTOCOLS: [Protocol; 2] = [Protocol::Two, Protocol::Zero];
const FILTERS: &str = "[uploadpack]\n\tallowFilter = true";

fn world() -> World {
    World::of(&[
        ("a/one.yaml", File("marked 1")),
        ("a/run.yaml", Executable("marked 1")),
        ("b/two.yaml", File("marked 1")),
        ("b/link.yaml", SymbolicLink("../a/one.yaml")),
        ("b/module", Submodule),
        ("c.bin", File("version https://git-lfs.github.com/spec/v1")),
    ])
}

/// Two sources that read `a` and `b`, and push to these branches.
fn sources(source: &Source, branches: [&str; 2]) -> Vec<Source> {
    let sources = ["a", "b"].iter().zip(branches);
    let sources = sources.map(|(at, name)| Source {
        path: path(at),
        push_branch: branch(name),
        ..source.clone()
    });
    sources.collect()
}

fn over_http(server: &Running) -> Source {
    let mut source = Source::new(server.url("fleet.git"), branch("main"));
    source.route.plain_http = PlainHttp::Allow;
    source
}

fn requests(sources: &[Source]) -> Vec<Request> {
    let requests = sources.iter().map(|source| Request {
        source: source.clone(),
        screen: Arc::new(Marked::default()),
    });
    requests.collect()
}

async fn read(world: &World, sources: &[Source]) -> Vec<Snapshot> {
    let snapshots = world.remote.read_all(&requests(sources)).await;
    let snapshots = snapshots.expect("a remote").into_iter();
    snapshots.map(|it| it.expect("a snapshot")).collect()
}

fn commit(source: &Source, name: &str, text: &str) -> NewCommit {
    NewCommit {
        path: source.path.clone(),
        ..change(name, text)
    }
}

/// Pushes one commit for each source.
async fn push(
    world: &World,
    sources: &[Source],
    snapshots: &[Snapshot],
    text: &str,
) -> Vec<Result<Vec<Pushed>, RemoteError>> {
    let names = ["a/one.yaml", "b/two.yaml"];
    let commits: Vec<_> = sources
        .iter()
        .zip(names)
        .map(|(source, name)| [commit(source, name, text)])
        .collect();
    let chains = sources.iter().zip(snapshots).zip(&commits);
    let chains: Vec<_> = chains
        .map(|((source, snapshot), commits)| Chain {
            source,
            snapshot,
            commits,
        })
        .collect();
    world.remote.push_all(&chains).await.expect("an answer")
}

#[tokio::test]
async fn two_paths_are_read_in_one_fetch_and_two_branches_moved_in_one_push() {
    if !has_git() {
        return;
    }
    let check = async |protocol: Protocol, settings: &str, fetches: usize| {
        let world = world();
        world.configure(settings);
        let server = GitServer::of(world.folder.path()).speaking(protocol);
        let server = server.start().await;
        let sources = sources(&over_http(&server), ["bot/a", "bot/b"]);

        let snapshots = read(&world, &sources).await;
        assert_eq!(paths(&snapshots[0]), ["a/one.yaml", "a/run.yaml"]);
        assert_eq!(paths(&snapshots[1]), ["b/two.yaml"]);
        assert_eq!(server.count("GET /fleet.git/info/refs"), 1);
        let asking = usize::from(protocol == Protocol::Two);
        let posts = server.count("POST /fleet.git/git-upload-pack");
        assert_eq!(posts, asking + fetches, "{protocol:?} {settings}");

        let results = push(&world, &sources, &snapshots, "marked 2").await;
        assert_eq!(server.count("POST /fleet.git/git-receive-pack"), 1);
        for (name, result) in ["bot/a", "bot/b"].iter().zip(&results) {
            let pushed = result.as_ref().expect("a push");
            assert_eq!(world.tip(name).as_deref(), Some(pushed[0].commit.as_str()));
            assert_eq!(pushed[0].previous, None);
        }
        world.assert_sound();
    };
    for protocol in PROTOCOLS {
        check(protocol, "", 1).await;
    }
    // The commit, its root, both folders, both folders' files.
    check(Protocol::Two, FILTERS, 4).await;
}

#[tokio::test]
async fn commits_for_one_branch_stand_on_each_other() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    for source in [over_http(&server), world.source()] {
        let mut source = source;
        source.push_branch = branch(if source.url.scheme() == "file" {
            "on-disk"
        } else {
            "over-http"
        });
        let snapshot = world.read(&source).await.expect("a snapshot");
        let commits = [
            commit(&source, "a/one.yaml", "marked 2"),
            commit(&source, "b/two.yaml", "marked 2"),
            commit(&source, "a/one.yaml", "marked 3"),
        ];
        let chain = Chain {
            source: &source,
            snapshot: &snapshot,
            commits: &commits,
        };
        let push = async || {
            let results = world.remote.push_all(&[chain]).await.expect("an answer");
            let result = results.into_iter().next().expect("one chain");
            result.expect("a push")
        };
        let pushed = push().await;
        let ids: Vec<_> = pushed.iter().map(|it| it.commit.as_str()).collect();
        let name = source.push_branch.as_str();
        assert_eq!(world.tip(name).as_deref(), ids.last().copied());
        let log = world.git(&["log", "--format=%H", "--name-only", "--reverse", name]);
        let log: Vec<_> = log.split_whitespace().skip(7).collect();
        let expected = [
            ids[0],
            "a/one.yaml",
            ids[1],
            "b/two.yaml",
            ids[2],
            "a/one.yaml",
        ];
        assert_eq!(log, expected);
        assert_eq!(pushed[0].previous, None);
        assert_eq!(pushed[1].previous.as_ref(), Some(&pushed[0].commit));

        let again = push().await;
        let commits = again.iter().map(|it| it.commit.as_str());
        assert_eq!(commits.collect::<Vec<_>>(), ids, "the same ids");
        world.assert_sound();
        let kept = world.git(&["ls-tree", "-r", name]);
        let before = world.git(&["ls-tree", "-r", "main"]);
        let untouched = |listing: &str| {
            let lines = listing.lines().map(str::to_owned);
            let others = lines.filter(|it| !it.ends_with("one.yaml") && !it.ends_with("two.yaml"));
            others.collect::<Vec<_>>()
        };
        assert_eq!(
            untouched(&kept),
            untouched(&before),
            "modes, links, modules"
        );
    }
}

#[tokio::test]
async fn a_protected_branch_keeps_no_other_back() {
    if !has_git() {
        return;
    }
    let world = world();
    world.hook(
        "update",
        "if [ \"$1\" = refs/heads/bot/a ]; then echo 'GH006: Protected branch' >&2; exit 1; fi",
    );
    let server = GitServer::of(world.folder.path()).start().await;
    let sources = sources(&over_http(&server), ["bot/a", "bot/b"]);
    let snapshots = read(&world, &sources).await;

    let results = push(&world, &sources, &snapshots, "marked 2").await;

    let error = results[0].as_ref().expect_err("protected");
    assert!(matches!(error, RemoteError::Rejected { .. }), "{error:?}");
    assert!(error.to_string().contains("GH006"), "{error}");
    let pushed = results[1].as_ref().expect("a push");
    assert_eq!(
        world.tip("bot/b").as_deref(),
        Some(pushed[0].commit.as_str())
    );
    assert_eq!(world.tip("bot/a"), None);
}

#[tokio::test]
async fn a_race_for_one_branch_is_lost_there_alone() {
    if !has_git() {
        return;
    }
    let world = world();
    let human = world.commit("other", &[("a/one.yaml", File("by hand"))]);
    let (repository, theirs) = (world.repository(), human.clone());
    let act = move || set(&repository, "bot/a", &theirs);
    let server = GitServer::of(world.folder.path()).with(Trouble::BeforePush(Box::new(act)));
    let server = server.start().await;
    let sources = sources(&over_http(&server), ["bot/a", "bot/b"]);
    let snapshots = read(&world, &sources).await;

    let results = push(&world, &sources, &snapshots, "marked 2").await;

    let error = results[0].as_ref().expect_err("too late");
    assert!(matches!(error, RemoteError::Moved { .. }), "{error:?}");
    assert_eq!(world.tip("bot/a"), Some(human));
    assert!(results[1].is_ok(), "{results:?}");
}

#[tokio::test]
async fn a_path_that_is_not_there_leaves_the_others_readable() {
    if !has_git() {
        return;
    }
    let world = world();
    world.configure(FILTERS);
    let server = GitServer::of(world.folder.path()).start().await;
    for source in [over_http(&server), world.source()] {
        let mut sources = sources(&source, ["bot/a", "bot/b"]);
        sources[0].path = path("nowhere");
        let snapshots = world.remote.read_all(&requests(&sources)).await;
        let snapshots = snapshots.expect("an answer");
        assert!(matches!(snapshots[0], Err(RemoteError::NoPath { .. })));
        let second = snapshots[1].as_ref().expect("a snapshot");
        assert_eq!(paths(second), ["b/two.yaml"]);
    }
}

#[tokio::test]
async fn stacked_commits_stand_on_what_people_pushed() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    for (source, name) in [
        (over_http(&server), "over-http"),
        (world.source(), "on-disk"),
    ] {
        let mut source = source;
        source.push_branch = branch(name);
        source.push.mode = PushMode::Stack;
        // The branch is created from what was checked out.
        let snapshot = world.read(&source).await.expect("a snapshot");
        assert_eq!(Some(snapshot.base.as_str()), world.tip("main").as_deref());
        let first = world.push(&source, &snapshot, "a/one.yaml", "marked 2");
        let first = first.await.expect("a push").commit;

        // Nothing of a person's commit on it is lost, and their values are what is decided on.
        let human = world.commit(
            name,
            &[
                ("a/one.yaml", File("marked by hand")),
                ("b/two.yaml", File("marked 1")),
            ],
        );
        let snapshot = world.read(&source).await.expect("a snapshot");
        assert_eq!(snapshot.base.as_str(), human);
        assert_eq!(snapshot.files[0].bytes, b"marked by hand");
        let second = world.push(&source, &snapshot, "b/two.yaml", "marked 2");
        let second = second.await.expect("a push");
        assert_eq!(second.previous, Some(snapshot.base));
        let parents = world.git(&["rev-list", name]);
        let parents: Vec<_> = parents.lines().skip(1).take(2).collect();
        assert_eq!(parents, [human.as_str(), first.as_str()]);

        // Whoever goes back to rebuilding is not led to believe that the branch is all ours.
        source.push.mode = PushMode::Rebuild;
        let snapshot = world.read(&source).await.expect("a snapshot");
        let tip = snapshot.push_tip.expect("the branch exists");
        assert_eq!(tip.commit, second.commit);
        assert_eq!(tip.automation, None);
        world.assert_sound();
    }
}
