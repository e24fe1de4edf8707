//! What our own commits did, read from the history of a branch.

use std::collections::BTreeSet;

use tagwright::{
    egress::PlainHttp,
    update::git::{NewCommit, OwnCommit, PushMode, Remote as _, Source},
};

use super::{
    git_server::{GitServer, Protocol},
    world::{Node::File, World, branch, change, has_git, path},
};

const FILTERS: &str = "[uploadpack]\n\tallowFilter = true";
const NAME: &str = "apps/web.yaml";

/// The steps of one file, newest first.
fn steps(history: &[OwnCommit]) -> Vec<(&str, &str)> {
    let steps = history.iter().flat_map(|commit| &commit.files);
    let steps = steps.filter(|step| step.path == NAME);
    let text = |bytes| std::str::from_utf8(bytes).expect("text");
    steps
        .map(|step| (text(&step.before), text(&step.after)))
        .collect()
}

async fn history(world: &World, source: &Source) -> Vec<OwnCommit> {
    let snapshot = world.read(source).await.expect("a snapshot");
    let paths = BTreeSet::from([NAME.to_owned()]);
    let history = world.remote.history(source, &snapshot, &paths).await;
    history.expect("a history")
}

async fn push(world: &World, source: &Source, text: &str) {
    let snapshot = world.read(source).await.expect("a snapshot");
    let pushed = world.push(source, &snapshot, NAME, text).await;
    pushed.expect("a push");
}

#[tokio::test]
async fn our_own_steps_are_read_wherever_they_came_from() {
    if !has_git() {
        return;
    }
    for (protocol, settings, at) in [
        (Protocol::Two, "", ""),
        (Protocol::Two, FILTERS, "apps"),
        (Protocol::Zero, "", ""),
    ] {
        let world = World::of(&[(NAME, File("marked 1")), ("other.yaml", File("x"))]);
        world.configure(settings);
        let server = GitServer::of(world.folder.path()).speaking(protocol);
        let server = server.start().await;
        let mut remote = Source::new(server.url("fleet.git"), branch("main"));
        remote.route.plain_http = PlainHttp::Allow;
        let local = world.source();
        // Pushed by somebody else's store, so that ours knows nothing.
        push(&world, &local, "marked 2").await;
        world.commit("main", &[(NAME, File("marked by hand"))]);
        push(&world, &local, "marked 3").await;
        world.commit("main", &[(NAME, File("marked again"))]);
        for mut source in [remote, local] {
            source.path = path(at);
            let expected = [("marked by hand", "marked 3"), ("marked 1", "marked 2")];
            let found = history(&world, &source).await;
            assert_eq!(steps(&found), expected, "{protocol:?} {settings}");
            let requests = server.count("");
            let again = history(&world, &source).await;
            assert_eq!(steps(&again), expected);
            let asked = server.count("") - requests;
            let reading = if source.url.scheme() == "file" { 0 } else { 2 };
            assert!(asked <= reading, "the history is fetched once: {asked}");
        }
    }
}

#[tokio::test]
async fn merged_and_squashed_and_stacked_commits_are_ours() {
    if !has_git() {
        return;
    }
    let world = World::of(&[(NAME, File("marked 1"))]);
    let mut source = world.source();
    source.push_branch = branch("bot");
    push(&world, &source, "marked 2").await;
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=H", "-c", "user.email=h@example.com"];
        world.git(&[&who[..], arguments].concat()).trim().to_owned()
    };
    let merge = git(&[
        "commit-tree",
        "bot^{tree}",
        "-p",
        "main",
        "-p",
        "bot",
        "-m",
        "Merge",
    ]);
    world.set("main", &merge);
    assert_eq!(
        steps(&history(&world, &source).await),
        [("marked 1", "marked 2")]
    );

    let squashed = world.commit("side", &[(NAME, File("marked 3"))]);
    let tree = git(&["rev-parse", &format!("{squashed}^{{tree}}")]);
    let message = "Update (#7)\n\nTagwright-Automation: apps/fleet\n";
    let squashed = git(&["commit-tree", &tree, "-p", "main", "-m", message]);
    world.set("main", &squashed);
    let found = history(&world, &source).await;
    assert_eq!(steps(&found)[0], ("marked 2", "marked 3"));

    world.set("bot", &squashed);
    source.push.mode = PushMode::Stack;
    push(&world, &source, "marked 4").await;
    let found = history(&world, &source).await;
    assert_eq!(steps(&found)[0], ("marked 3", "marked 4"));
}

#[tokio::test]
async fn only_the_last_fifty_commits_are_looked_at() {
    if !has_git() {
        return;
    }
    let world = World::of(&[(NAME, File("marked 1"))]);
    let server = GitServer::of(world.folder.path()).start().await;
    let mut remote = Source::new(server.url("fleet.git"), branch("main"));
    remote.route.plain_http = PlainHttp::Allow;
    push(&world, &remote, "marked 2").await;
    for number in 0..49 {
        let text = format!("by hand {number}");
        world.commit("main", &[(NAME, File("marked 2")), ("n", File(&text))]);
    }
    assert_eq!(steps(&history(&world, &remote).await).len(), 1);
    world.commit("main", &[(NAME, File("marked 2"))]);
    assert_eq!(steps(&history(&world, &remote).await).len(), 0);
    let deep = NewCommit {
        path: path("apps"),
        ..change(NAME, "marked 5")
    };
    let snapshot = world.read(&remote).await.expect("a snapshot");
    let pushed = world.remote.push(&remote, &snapshot, &deep).await;
    pushed.expect("a store with a history is as good as any");
    world.assert_sound();
}
