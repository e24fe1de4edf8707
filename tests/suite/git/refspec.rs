//! Pushing to one more reference, and telling the server's hooks what they want to know.

use tagwright::{
    egress::PlainHttp,
    error::Class,
    update::git::{PushOption, Refspec, RemoteError, Source},
};

use super::{
    git_server::{GitServer, Protocol, Running, Trouble},
    world::{Node::File, World, branch, has_git, set},
};

const NAME: &str = "web.yaml";

fn world() -> World {
    World::of(&[(NAME, File("image: web:1 # marked\n"))])
}

fn over_http(server: &Running) -> Source {
    let mut source = Source::new(server.url("fleet.git"), branch("main"));
    source.route.plain_http = PlainHttp::Allow;
    source
}

fn with(mut source: Source, refspec: &str) -> Source {
    let refspec = Refspec::new(refspec, &source.push_branch).expect("a refspec");
    source.push.refspec = Some(refspec);
    source
}

/// A source of each kind that pushes `refspec` too.
fn sources(world: &World, server: &Running, refspec: &str) -> [Source; 2] {
    [over_http(server), world.source()].map(|source| with(source, refspec))
}

#[tokio::test]
async fn the_commit_goes_to_both_references() {
    if !has_git() {
        return;
    }
    let check = async |refspec: &str, second: &str| {
        for protocol in [Protocol::Two, Protocol::Zero] {
            let world = world();
            let server = GitServer::of(world.folder.path()).speaking(protocol);
            let server = server.start().await;
            for source in sources(&world, &server, refspec) {
                for text in ["marked 2", "marked 3"] {
                    let snapshot = world.read(&source).await.expect("a snapshot");
                    let text = format!("{text} {}", source.url.scheme());
                    let pushed = world.push(&source, &snapshot, NAME, &text).await;
                    let commit = pushed.expect("a push").commit;
                    assert_eq!(world.tip("main").as_deref(), Some(commit.as_str()));
                    let also = world.git(&["rev-parse", second]);
                    assert_eq!(also.trim(), commit.as_str(), "{refspec}");
                }
            }
            world.assert_sound();
        }
    };
    check("refs/heads/main:refs/heads/staging", "refs/heads/staging").await;
    check("HEAD:refs/for/next", "refs/for/next").await;
    check("refs/heads/main:refs/heads/main", "refs/heads/main").await;
}

#[tokio::test]
async fn a_refspec_that_fails_is_tried_again() {
    if !has_git() {
        return;
    }
    let check = async |destination: &str| {
        let world = world();
        let server = GitServer::of(world.folder.path()).start().await;
        let source = with(over_http(&server), &format!("main:{destination}"));
        let snapshot = world.read(&source).await.expect("a snapshot");
        let guard = format!("if [ \"$1\" = {destination} ]; then echo 'not now' >&2; exit 1; fi");
        world.hook("update", &guard);
        let error = world.push(&source, &snapshot, NAME, "marked 2").await;
        let error = error.expect_err("the hook declines");
        assert!(matches!(error, RemoteError::Rejected { .. }), "{error:?}");
        assert!(error.to_string().contains("not now"), "{error}");
        assert_eq!(
            world.tip("main").as_deref(),
            Some(snapshot.base.as_str()),
            "the next run decides the same once more"
        );

        world.hook("update", "exit 0");
        let snapshot = world.read(&source).await.expect("a snapshot");
        let pushed = world.push(&source, &snapshot, NAME, "marked 2").await;
        let commit = pushed.expect("a push").commit;
        let also = world.git(&["rev-parse", destination]);
        assert_eq!(also.trim(), commit.as_str());
    };
    check("refs/heads/staging").await;
    check("refs/for/next").await;
}

#[tokio::test]
async fn a_pending_commit_is_pushed_to_a_refspec_that_came_later() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let mut source = over_http(&server);
    source.push_branch = branch("bot");
    let snapshot = world.read(&source).await.expect("a snapshot");
    let push = async |source: &Source| {
        let pushed = world.push(source, &snapshot, NAME, "marked 2").await;
        pushed.expect("a push").commit
    };
    let commit = push(&source).await;
    let source = with(source, "refs/heads/bot:refs/heads/staging");
    assert_eq!(push(&source).await, commit);
    assert_eq!(world.tip("staging").as_deref(), Some(commit.as_str()));
    let sent = server.count("POST /fleet.git/git-receive-pack");
    assert_eq!(push(&source).await, commit);
    assert_eq!(
        server.count("POST /fleet.git/git-receive-pack"),
        sent,
        "everything is where it belongs"
    );
}

#[tokio::test]
async fn a_human_commit_is_only_overwritten_where_the_refspec_says_so() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    for source in sources(&world, &server, "main:staging") {
        let human = world.commit("staging", &[(NAME, File("by hand"))]);
        let snapshot = world.read(&source).await.expect("a snapshot");
        let text = format!("marked {}", source.url.scheme());
        let error = world.push(&source, &snapshot, NAME, &text).await;
        let error = error.expect_err("somebody else's commit");
        assert!(matches!(error, RemoteError::Foreign { .. }), "{error:?}");
        assert_eq!(error.class(), Class::Config);
        assert_eq!(world.tip("staging").as_deref(), Some(human.as_str()));
        assert_eq!(world.tip("main").as_deref(), Some(snapshot.base.as_str()));

        let source = with(source, "+main:staging");
        let pushed = world.push(&source, &snapshot, NAME, &text).await;
        let commit = pushed.expect("a push").commit;
        assert_eq!(world.tip("staging").as_deref(), Some(commit.as_str()));
    }
}

#[tokio::test]
async fn a_second_reference_that_moves_meanwhile_is_a_lost_race() {
    if !has_git() {
        return;
    }
    let world = world();
    let human = world.commit("other", &[(NAME, File("by hand"))]);
    let repository = world.repository();
    let theirs = human.clone();
    let act = move || set(&repository, "staging", &theirs);
    let server = GitServer::of(world.folder.path()).with(Trouble::BeforePush(Box::new(act)));
    let server = server.start().await;
    let source = with(over_http(&server), "+main:staging");
    let snapshot = world.read(&source).await.expect("a snapshot");
    let error = world.push(&source, &snapshot, NAME, "marked 2").await;
    let error = error.expect_err("too late");
    assert_eq!(error.class(), Class::Conflict, "{error:?}");
    assert_eq!(world.tip("staging").as_deref(), Some(human.as_str()));
    assert_eq!(world.tip("main").as_deref(), Some(snapshot.base.as_str()));
}

#[tokio::test]
async fn hooks_see_the_push_options() {
    if !has_git() {
        return;
    }
    let world = world();
    world.configure("[receive]\n\tadvertisePushOptions = true");
    world.hook(
        "pre-receive",
        "echo \"$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0 $GIT_PUSH_OPTION_1\" > options",
    );
    let server = GitServer::of(world.folder.path()).start().await;
    let mut source = over_http(&server);
    let options = [("ci.skip", ""), ("merge_request.title", "Update images")];
    let options = options.map(|(key, value)| PushOption::new(key, value).expect("an option"));
    source.push.options = options.to_vec();
    let snapshot = world.read(&source).await.expect("a snapshot");
    world
        .push(&source, &snapshot, NAME, "marked 2")
        .await
        .expect("a push");
    let seen = std::fs::read_to_string(world.repository().join("options"));
    assert_eq!(
        seen.expect("the hook ran"),
        "2 ci.skip merge_request.title=Update images\n"
    );
}

#[tokio::test]
async fn options_that_nobody_would_see_are_refused() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    for mut source in [over_http(&server), world.source()] {
        let option = PushOption::new("ci.skip", "").expect("an option");
        source.push.options = vec![option];
        let snapshot = world.read(&source).await.expect("a snapshot");
        let error = world.push(&source, &snapshot, NAME, "marked 2").await;
        let error = error.expect_err("nobody would see it");
        assert!(
            matches!(error, RemoteError::Unsupported { .. }),
            "{error:?}"
        );
        assert_eq!(world.tip("main").as_deref(), Some(snapshot.base.as_str()));
    }
}
