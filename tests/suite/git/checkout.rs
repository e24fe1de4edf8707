//! Reading something else than a branch, and pushing what follows to a branch.

use tagwright::{
    egress::PlainHttp,
    error::Class,
    policy::Range,
    update::git::{Checkout, CommitId, RemoteError, Source},
};

use super::{
    git_server::{GitServer, Protocol},
    world::{Node::File, World, branch, has_git, path},
};

const NAME: &str = "apps/web.yaml";

/// A world with an old commit under several names, and a new one on `main`.
fn world() -> (World, String) {
    let world = World::of(&[(NAME, File("image: web:1 # marked\n")), ("b", File("b"))]);
    let old = world.tip("main").expect("a tip");
    world.git(&["update-ref", "refs/tags/light", &old]);
    world.git(&["update-ref", "refs/pull/7/head", &old]);
    let tagger = [
        "-c",
        "user.name=Human",
        "-c",
        "user.email=human@example.com",
    ];
    let tag = |name: &str, of: &str| {
        let arguments = ["tag", "-a", "-m", "a release", name, of];
        world.git(&[&tagger[..], &arguments[..]].concat());
    };
    tag("annotated", &old);
    tag("nested", "refs/tags/annotated");
    world.commit("main", &[(NAME, File("image: web:2 # marked\n"))]);
    (world, old)
}

#[tokio::test]
async fn a_tag_a_name_and_a_commit_are_read_and_pushed_to_another_branch() {
    if !has_git() {
        return;
    }
    let check = async |checkout: fn(&str) -> Checkout, at: &str, filters: &str| {
        let (world, old) = world();
        world.configure(filters);
        world.configure("[uploadpack]\n\tallowAnySHA1InWant = true");
        for protocol in [Protocol::Two, Protocol::Zero] {
            let server = GitServer::of(world.folder.path()).speaking(protocol);
            let server = server.start().await;
            let mut remote = Source::new(server.url("fleet.git"), branch("main"));
            remote.route.plain_http = PlainHttp::Allow;
            for mut source in [remote, world.source()] {
                source.checkout = checkout(&old);
                source.push_branch = branch("bot");
                source.path = path(at);
                let snapshot = world.read(&source).await.expect("a snapshot");
                assert_eq!(snapshot.base.as_str(), old, "{:?}", source.checkout);
                assert_eq!(snapshot.files[0].bytes, b"image: web:1 # marked\n");
                let pushed = world.push(&source, &snapshot, NAME, "marked 3").await;
                let commit = pushed.expect("a push").commit;
                assert_eq!(world.tip("bot").as_deref(), Some(commit.as_str()));
                let parent = world.git(&["rev-parse", "bot~1"]);
                assert_eq!(parent.trim(), old);
            }
        }
        world.assert_sound();
    };
    let cases: [fn(&str) -> Checkout; 5] = [
        |_| Checkout::tag("light").expect("a name"),
        |_| Checkout::tag("annotated").expect("a name"),
        |_| Checkout::tag("nested").expect("a name"),
        |_| Checkout::named("refs/pull/7/head").expect("a name"),
        |old| Checkout::Commit(CommitId::new(old).expect("an id")),
    ];
    for checkout in cases {
        check(checkout, "", "").await;
        check(checkout, "apps", "[uploadpack]\n\tallowFilter = true").await;
    }
}

/// A world with tags at three commits; those of 0.1.0 differ in their build metadata alone, and the
/// last one by name is not the latest.
fn versions() -> World {
    let world = World::empty();
    let commit = |text: &str, tags: &[&str]| {
        let text = format!("image: web:{text} # marked\n");
        let id = world.commit("main", &[(NAME, File(&text)), ("b", File("b"))]);
        for tag in tags {
            world.git(&["update-ref", &format!("refs/tags/{tag}"), &id]);
        }
    };
    commit("1", &["v0.1.0+build-9", "v0.0.1", "latest", "0.1"]);
    commit("2", &["v0.1.0+build-3"]);
    commit("3", &["0.2.0", "0.10.0-rc.1"]);
    let person = [
        "-c",
        "user.name=Human",
        "-c",
        "user.email=human@example.com",
    ];
    let tag = ["tag", "-a", "-m", "a release", "v0.2.0+signed", "main"];
    world.git(&[&person[..], &tag[..]].concat());
    world
}

#[tokio::test]
async fn the_newest_tag_of_a_range_is_read() {
    if !has_git() {
        return;
    }
    let world = versions();
    let check = async |source: &Source, range: &str, expected: Option<(&str, &str)>| {
        let mut source = source.clone();
        let compiled = Range::new(range).expect("a range");
        source.checkout = Checkout::Newest(compiled);
        source.push_branch = branch("bot");
        match (world.read(&source).await, expected) {
            (Ok(snapshot), Some((tag, text))) => {
                assert_eq!(snapshot.checkout.to_string(), format!("refs/tags/{tag}"));
                let expected = format!("image: web:{text} # marked\n");
                assert_eq!(snapshot.files[0].bytes, expected.as_bytes(), "{range}");
            }
            (Err(error @ RemoteError::NoVersion { .. }), None) => {
                assert_eq!(error.class(), Class::Config);
                assert!(error.to_string().contains(range), "{error}");
            }
            (found, expected) => panic!("{range}: {found:?}, not {expected:?}"),
        }
    };
    for (filters, at) in [("", ""), ("[uploadpack]\n\tallowFilter = true", "apps")] {
        world.configure(filters);
        world.configure("[uploadpack]\n\tallowAnySHA1InWant = true");
        for protocol in [Protocol::Two, Protocol::Zero] {
            let server = GitServer::of(world.folder.path()).speaking(protocol);
            let server = server.start().await;
            let mut remote = Source::new(server.url("fleet.git"), branch("main"));
            remote.route.plain_http = PlainHttp::Allow;
            for mut source in [remote, world.source()] {
                source.path = path(at);
                check(&source, ">0.1.0", Some(("v0.2.0+signed", "3"))).await;
                check(&source, "<0.2.0", Some(("v0.1.0+build-3", "2"))).await;
                check(&source, "0.0.x", Some(("v0.0.1", "1"))).await;
                check(&source, ">=0.2.0-0", Some(("0.10.0-rc.1", "3"))).await;
                check(&source, ">=1.0.0", None).await;
            }
        }
    }
}

#[tokio::test]
async fn a_reference_that_is_not_there_is_named() {
    if !has_git() {
        return;
    }
    let (world, _) = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let mut remote = Source::new(server.url("fleet.git"), branch("main"));
    remote.route.plain_http = PlainHttp::Allow;
    for mut source in [remote, world.source()] {
        source.checkout = Checkout::tag("light2").expect("a name");
        source.push_branch = branch("bot");
        let error = world.read(&source).await.expect_err("no such tag");
        assert!(
            matches!(error, RemoteError::NoReference { .. }),
            "{error:?}"
        );
        assert_eq!(error.class(), Class::Config);
        assert!(error.to_string().contains("`refs/tags/light2`"), "{error}");
    }
}
