//! Reading a path of a repository without fetching the rest of it.

use std::sync::{Arc, atomic::Ordering};

use tagwright::{
    egress::PlainHttp,
    update::git::{Remote as _, RemoteError, Source},
};

use super::{
    git_server::{GitServer, Protocol, Running},
    world::{
        Marked,
        Node::{Executable, File, Submodule, SymbolicLink},
        World, branch, has_git, path, paths, skipped,
    },
};

const FILTERS: &str = "[uploadpack]\n\tallowFilter = true";

/// A fleet of two clusters, on a server that can leave things out.
fn world() -> World {
    let world = World::of(&[
        (
            "clusters/prod/apps/web.yaml",
            File("image: web:1 # marked\n"),
        ),
        ("clusters/prod/apps/notes.txt", File("marked, and no YAML")),
        ("clusters/prod/apps/link.yaml", SymbolicLink("web.yaml")),
        (
            "clusters/prod/apps/run.yml",
            Executable("marked and executable"),
        ),
        ("clusters/prod/base/plain.yaml", File("nothing here")),
        ("clusters/prod/module", Submodule),
        ("clusters/dev/web.yaml", File("image: web:2 # marked\n")),
        ("README.md", File("read me")),
    ]);
    world.configure(FILTERS);
    world
}

fn source(server: &Running, at: &str) -> Source {
    let mut source = Source::new(server.url("fleet.git"), branch("main"));
    source.route.plain_http = PlainHttp::Allow;
    source.path = path(at);
    source
}

fn id(world: &World, name: &str) -> String {
    world.git(&["rev-parse", name]).trim().to_owned()
}

#[tokio::test]
async fn nothing_beside_the_path_is_fetched() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let source = source(&server, "clusters/prod");

    let snapshot = world.read(&source).await.expect("a snapshot");

    let kept = ["clusters/prod/apps/run.yml", "clusters/prod/apps/web.yaml"];
    assert_eq!(paths(&snapshot), kept);
    let link = ("clusters/prod/apps/link.yaml", "symbolic link");
    assert_eq!(skipped(&snapshot), [link]);
    assert_eq!(snapshot.looked_at, 3);
    let check = |name: &str, is_kept: bool| {
        assert_eq!(world.keeps(&id(&world, name)), is_kept, "{name}");
    };
    check("main", true);
    check("main^{tree}", true);
    check("main:clusters", true);
    check("main:clusters/prod/base", true);
    check("main:clusters/prod/apps/web.yaml", true);
    check("main:clusters/prod/apps/notes.txt", false);
    check("main:clusters/dev", false);
    check("main:clusters/dev/web.yaml", false);
    check("main:README.md", false);
}

#[tokio::test]
async fn a_part_is_read_as_the_whole_is() {
    if !has_git() {
        return;
    }
    let check = async |at: &str| {
        let world = world();
        let mut reads = Vec::new();
        for settings in ["", "[uploadpack]\n\tallowFilter = false", FILTERS] {
            world.configure(settings);
            let server = GitServer::of(world.folder.path()).start().await;
            let snapshot = world.read(&source(&server, at)).await.expect("a snapshot");
            reads.push((snapshot.files, snapshot.skipped, snapshot.looked_at));
        }
        assert_eq!(reads[0], reads[1], "{at}");
        assert_eq!(reads[0], reads[2], "{at}");
    };
    check("clusters").await;
    check("clusters/prod").await;
    check("clusters/prod/base").await;
    check("clusters/prod/apps/web.yaml").await;
    check("README.md").await;
}

#[tokio::test]
async fn what_is_not_there_is_named_without_fetching_the_rest() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let check = async |at: &str, expected: &str| {
        let error = world.read(&source(&server, at)).await;
        let error = error.expect_err("it is no folder");
        assert!(matches!(error, RemoteError::NoPath { .. }), "{error:?}");
        assert!(error.to_string().ends_with(expected), "{error}");
    };
    check("nowhere", "it does not exist").await;
    check("clusters/prod/module/x", "a part of it is a submodule").await;
    check("README.md/x", "a part of it is a file").await;
    assert!(!world.keeps(&id(&world, "main:README.md")));
}

#[tokio::test]
async fn a_second_read_fetches_what_is_new_below_the_path() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let source = source(&server, "clusters/prod");
    // Asking where the branch points to is a POST too.
    let posts = || server.count("POST /fleet.git/git-upload-pack");
    world.read(&source).await.expect("a snapshot");

    let before = posts();
    let snapshot = world.read(&source).await.expect("a snapshot");
    assert_eq!(posts(), before + 1, "nothing is new");

    let name = "clusters/prod/apps/web.yaml";
    let pushed = world
        .push(&source, &snapshot, name, "image: web:9 # marked\n")
        .await
        .expect("a push");
    let before = posts();
    let again = world.read(&source).await.expect("a snapshot");
    assert_eq!(posts(), before + 1, "our own commit is here");
    assert_eq!(again.base, pushed.commit);
    assert_eq!(again.files[1].bytes, b"image: web:9 # marked\n");
    let changed = world.git(&["diff-tree", "-r", "--name-status", "main~1", "main"]);
    assert_eq!(changed, format!("M\t{name}\n"));
    world.assert_sound();

    world.commit(
        "main",
        &[
            (
                "clusters/prod/apps/web.yaml",
                File("image: web:9 # marked\n"),
            ),
            ("clusters/prod/new/deep/a.yaml", File("marked")),
            ("README.md", File("read me again")),
        ],
    );
    let after = world.read(&source).await.expect("a snapshot");
    let expected = [
        "clusters/prod/apps/web.yaml",
        "clusters/prod/new/deep/a.yaml",
    ];
    assert_eq!(paths(&after), expected);
    assert!(!world.keeps(&id(&world, "main:README.md")));
}

#[tokio::test]
async fn the_whole_is_fetched_after_a_part_and_a_part_after_the_whole() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let (part, whole) = (source(&server, "clusters/prod"), source(&server, ""));
    let first = world.read(&part).await.expect("a snapshot");
    let all = world.read(&whole).await.expect("a snapshot");
    assert_eq!(all.files.len(), 3);
    let pushed = world
        .push(&part, &first, "clusters/prod/apps/web.yaml", "marked again")
        .await
        .expect("a push");
    let part = world.read(&part).await.expect("a snapshot");
    let all = world.read(&whole).await.expect("a snapshot");
    assert_eq!(part.base, pushed.commit);
    assert_eq!(all.files.len(), 3);
    assert_eq!(all.files[1..], part.files[..]);
}

#[tokio::test]
async fn a_push_branch_is_seen_without_its_files() {
    if !has_git() {
        return;
    }
    let world = world();
    let human = world.commit("bot/images", &[("big.yaml", File("marked by hand"))]);
    let server = GitServer::of(world.folder.path()).start().await;
    let mut source = source(&server, "clusters/dev");
    source.push_branch = branch("bot/images");

    let snapshot = world.read(&source).await.expect("a snapshot");

    let tip = snapshot.push_tip.expect("the branch exists");
    assert_eq!(tip.commit.as_str(), human);
    assert_eq!(tip.author_email, "human@example.com");
    assert!(!world.keeps(&id(&world, "bot/images:big.yaml")));
}

#[tokio::test]
async fn a_server_that_offers_filters_and_refuses_them_gives_the_whole() {
    if !has_git() {
        return;
    }
    let world = world();
    world.configure("[uploadpackfilter]\n\tallow = false");
    let server = GitServer::of(world.folder.path()).start().await;
    let source = source(&server, "clusters/dev");
    let snapshot = world.read(&source).await.expect("a snapshot");
    assert_eq!(paths(&snapshot), ["clusters/dev/web.yaml"]);
    assert!(world.keeps(&id(&world, "main:README.md")));
}

#[tokio::test]
async fn many_files_come_with_their_folder() {
    if !has_git() {
        return;
    }
    let world = World::empty();
    world.configure(FILTERS);
    let names: Vec<_> = (0..2_100).map(|it| format!("apps/{it}.yaml")).collect();
    let texts: Vec<_> = (0..2_100).map(|it| format!("marked {it}")).collect();
    let files = names.iter().zip(&texts);
    let mut files: Vec<_> = files
        .map(|(name, text)| (name.as_str(), File(text)))
        .collect();
    files.push(("other.yaml", File("marked")));
    world.commit("main", &files);
    let server = GitServer::of(world.folder.path()).start().await;

    let snapshot = world.read(&source(&server, "apps")).await;

    assert_eq!(snapshot.expect("a snapshot").files.len(), 2_100);
    assert!(!world.keeps(&id(&world, "main:other.yaml")));
}

#[tokio::test]
async fn an_unchanged_file_is_looked_at_once() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    for at in ["", "clusters/prod"] {
        // Two files are marked; the third one is not, and is known from the second read on.
        let check = async |version: &'static str, expected: usize| {
            let screen = Arc::new(Marked {
                version,
                ..Marked::default()
            });
            let source = source(&server, at);
            let reading = world.remote.read(&source, screen.clone());
            let snapshot = reading.await.expect("a snapshot");
            let marked = snapshot.files.len();
            assert_eq!(snapshot.looked_at, marked + 1, "{at} {version}");
            let looks = screen.looks.load(Ordering::Relaxed);
            assert_eq!(looks, marked + expected, "{at} {version}");
        };
        check(if at.is_empty() { "1" } else { "3" }, 1).await;
        check(if at.is_empty() { "1" } else { "3" }, 0).await;
        check(if at.is_empty() { "2" } else { "4" }, 1).await;
        check(if at.is_empty() { "2" } else { "4" }, 0).await;
    }
}

#[tokio::test]
async fn what_is_known_of_a_blob_does_not_hide_a_file_that_is_kept() {
    if !has_git() {
        return;
    }
    let files = ["plain.yaml", "plain.txt", "a/kept.txt", "b/kept.txt"];
    let world = World::of(&files.map(|path| (path, File("the same bytes\n"))));
    let server = GitServer::of(world.folder.path()).start().await;
    let source = source(&server, "");
    for _ in 0..2 {
        let read = world.remote.read(&source, Arc::new(Marked::default()));
        let snapshot = read.await.expect("a snapshot");
        assert_eq!(paths(&snapshot), ["a/kept.txt", "b/kept.txt"]);
        assert_eq!(snapshot.looked_at, 3);
    }
}

#[tokio::test]
async fn repositories_with_long_ids_are_read_in_whole_and_in_part() {
    if !has_git() {
        return;
    }
    for protocol in [Protocol::Two, Protocol::Zero] {
        for (at, filter) in [("", false), ("apps", true)] {
            let world = World::with_hash(gix::hash::Kind::Sha256);
            world.configure(&format!("[uploadpack]\n\tallowFilter = {filter}"));
            let files = |text| [("apps/web.yaml", File(text)), ("b", File("b"))];
            world.commit("main", &files("marked 1"));
            let server = GitServer::of(world.folder.path()).speaking(protocol);
            let server = server.start().await;
            let source = source(&server, at);
            let snapshot = world.read(&source).await.expect("a snapshot");
            let pushed = world.push(&source, &snapshot, "apps/web.yaml", "marked 2");
            let pushed = pushed.await.expect("a push").commit;
            assert_eq!(pushed.as_str().len(), 64, "{protocol:?} {at}");
            let human = world.commit("main", &files("marked 3"));
            let snapshot = world.read(&source).await.expect("a snapshot");
            assert_eq!(snapshot.base.as_str(), human);
            assert_eq!(snapshot.files[0].bytes, b"marked 3");
            world.assert_sound();
        }
    }
}
