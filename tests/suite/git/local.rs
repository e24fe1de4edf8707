//! Repositories on this machine.

use std::fs;

use gix::ObjectId;
use tagwright::{
    error::Class,
    update::git::{Author, Checkout, CommitId, NewCommit, Remote as _, RemoteError, remote_url},
};

use super::world::{
    Node::{Executable, File, Submodule, SymbolicLink},
    World, branch, change, has_git, path, paths, skipped, time,
};

#[tokio::test]
async fn reads_what_the_screen_keeps_and_lists_what_it_passes_over() {
    let world = World::of(&[
        ("README.md", File("marked")),
        ("apps/a.yaml", File("image: a # marked")),
        ("apps/b.yml", Executable("image: b # marked")),
        ("apps/deep/er/Kustomization", File("marked")),
        ("apps/plain.yaml", File("image: c")),
        ("apps/link.yaml", SymbolicLink("../secret.yaml")),
        ("apps/link", SymbolicLink("..")),
        ("apps/module.yaml", Submodule),
        ("apps/module", Submodule),
        ("secret.yaml", File("marked")),
    ]);
    let mut source = world.source();
    source.path = path("apps");

    let snapshot = world.read(&source).await.expect("a snapshot");

    let kept = ["apps/a.yaml", "apps/b.yml", "apps/deep/er/Kustomization"];
    assert_eq!(paths(&snapshot), kept);
    assert_eq!(snapshot.files[0].bytes, b"image: a # marked");
    assert_eq!(snapshot.looked_at, 4);
    let passed_over = [
        ("apps/link.yaml", "symbolic link"),
        ("apps/module.yaml", "submodule"),
    ];
    assert_eq!(skipped(&snapshot), passed_over);
    assert_eq!(snapshot.base.as_str(), world.tip("main").expect("a tip"));
    assert_eq!(snapshot.base_time, time(1_700_000_000));
    assert_eq!(snapshot.push_tip, None);
}

#[tokio::test]
async fn an_update_path_may_be_a_single_file() {
    let world = World::of(&[
        ("a/web.yaml", File("marked")),
        ("a/other.yaml", File("marked")),
        ("a/notes.txt", File("marked")),
    ]);
    let mut source = world.source();
    source.path = path("./a/web.yaml");
    let snapshot = world.read(&source).await.expect("a snapshot");
    assert_eq!(paths(&snapshot), ["a/web.yaml"]);

    source.path = path("a/notes.txt");
    let snapshot = world.read(&source).await.expect("a snapshot");
    assert_eq!(
        skipped(&snapshot),
        [("a/notes.txt", "its name is not that of a YAML file")]
    );
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let world = World::of(&[
        ("a.yaml", File("marked")),
        ("link", SymbolicLink("a")),
        ("module", Submodule),
    ]);
    let check = async |text: &str, expected: &str| {
        let mut source = world.source();
        source.path = path(text);
        let error = world.read(&source).await.expect_err("no snapshot");
        assert!(error.to_string().ends_with(expected), "{error}");
        assert_eq!(error.class(), Class::Config);
        assert!(error.hint().is_some());
    };
    check("b", "it does not exist").await;
    check("a.yaml/b", "a part of it is a file").await;
    check("link/b", "a part of it is a symbolic link").await;
    check("link", "a part of it is a symbolic link").await;
    check("module", "a part of it is a submodule").await;

    let mut source = world.source();
    source.checkout = Checkout::Branch(branch("trunk"));
    let error = world.read(&source).await.expect_err("no such branch");
    assert!(matches!(&error, RemoteError::NoBranch { .. }), "{error:?}");
    assert_eq!(error.hint().as_deref(), Some("there is: main"));

    let empty = World::empty();
    let error = empty
        .read(&empty.source())
        .await
        .expect_err("nothing to read");
    assert!(
        matches!(error, RemoteError::EmptyRepository { .. }),
        "{error:?}"
    );

    source.url = remote_url("file:///nonexistent/fleet.git").expect("an address");
    let error = world.read(&source).await.expect_err("nothing there");
    assert!(matches!(error, RemoteError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn files_and_folders_over_a_limit_are_listed() {
    let limit = 4 * 1024 * 1024;
    let at_limit = format!("marked{}", " ".repeat(limit - 6));
    let over_limit = format!("{at_limit} ");
    let deepest = format!("{}a.yaml", "d/".repeat(64));
    let too_deep = format!("{}a.yaml", "e/".repeat(65));
    let name = "n".repeat(100);
    let too_long = format!("{}/a.yaml", vec![name; 41].join("/"));
    let world = World::of(&[
        ("at.yaml", File(&at_limit)),
        ("over.yaml", File(&over_limit)),
        (&deepest, File("marked")),
        (&too_deep, File("marked")),
        (&too_long, File("marked")),
    ]);

    let snapshot = world.read(&world.source()).await.expect("a snapshot");

    assert_eq!(paths(&snapshot), ["at.yaml", deepest.as_str()]);
    let folder = too_deep.trim_end_matches("/a.yaml");
    let passed_over = [
        (folder, "more than 64 folders deep"),
        (too_long.as_str(), "its path is longer than 4,096 bytes"),
        ("over.yaml", "larger than 4 MiB"),
    ];
    assert_eq!(skipped(&snapshot), passed_over);
}

#[tokio::test]
async fn a_push_changes_the_planned_file_and_nothing_else() {
    let world = World::of(&[
        ("apps/a.yaml", Executable("image: a:1 # marked\n")),
        ("apps/b.yaml", File("image: b:1 # marked\n")),
        ("apps/link", SymbolicLink("b.yaml")),
        ("apps/module", Submodule),
        ("über/\u{1F980}.txt", File("x")),
    ]);
    let source = world.source();
    let snapshot = world.read(&source).await.expect("a snapshot");

    let pushed = world
        .push(&source, &snapshot, "apps/a.yaml", "image: a:2 # marked\n")
        .await;

    let pushed = pushed.expect("a push");
    assert_eq!(pushed.previous.as_ref(), Some(&snapshot.base));
    assert_eq!(world.tip("main").as_deref(), Some(pushed.commit.as_str()));
    let again = world.read(&source).await.expect("a snapshot");
    assert_eq!(again.base, pushed.commit);
    assert_eq!(again.files[0].bytes, b"image: a:2 # marked\n");
    assert_eq!(again.files[1], snapshot.files[1]);
    assert_eq!(again.base_time, time(1_800_000_000));
    world.assert_sound();
    if has_git() {
        let diff = world.git(&["diff-tree", "-r", "--no-commit-id", pushed.commit.as_str()]);
        let lines: Vec<_> = diff.lines().collect();
        assert_eq!(lines.len(), 1, "{diff}");
        assert!(lines[0].starts_with(":100755 100755 "), "{diff}");
        assert!(lines[0].ends_with(" M\tapps/a.yaml"), "{diff}");
        let format = "--format=%P|%an <%ae>|%cn <%ce>|%ad|%cd|%B";
        let shown = world.git(&["show", "-s", format, "--date=raw", pushed.commit.as_str()]);
        let (headers, message) = shown.split_at(shown.rfind('|').expect("a message"));
        let bot = "Bot <bot@example.com>";
        let at = "1800000000 +0000";
        assert_eq!(headers, format!("{}|{bot}|{bot}|{at}|{at}", snapshot.base));
        assert!(
            message.starts_with("|Update images\n\nweb: 1.0 -> 1.1\n"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn the_same_change_of_the_same_base_is_the_same_commit() {
    let world = World::of(&[("a.yaml", File("marked 1"))]);
    let mut source = world.source();
    source.push_branch = branch("bot/images");
    let snapshot = world.read(&source).await.expect("a snapshot");
    let first = world
        .push(&source, &snapshot, "a.yaml", "marked 2")
        .await
        .expect("a push");
    assert_eq!(first.previous, None);

    let twin = World::of(&[("a.yaml", File("marked 1"))]);
    let twin_snapshot = twin.read(&twin.source()).await.expect("a snapshot");
    let twin_push = twin
        .push(&twin.source(), &twin_snapshot, "a.yaml", "marked 2")
        .await;
    assert_eq!(twin_push.expect("a push").commit, first.commit);

    let again = world
        .push(&source, &snapshot, "a.yaml", "marked 2")
        .await
        .expect("no push");
    assert_eq!(
        (again.previous, &again.commit),
        (Some(first.commit.clone()), &first.commit)
    );
    assert_eq!(world.tip("main").as_deref(), Some(snapshot.base.as_str()));
}

#[tokio::test]
async fn a_push_branch_of_our_own_is_read_and_replaced_by_compare_and_swap() {
    let world = World::of(&[("a.yaml", File("marked 1"))]);
    let mut source = world.source();
    source.push_branch = branch("bot/images");
    let snapshot = world.read(&source).await.expect("a snapshot");
    let first = world
        .push(&source, &snapshot, "a.yaml", "marked 2")
        .await
        .expect("a push");

    let snapshot = world.read(&source).await.expect("a snapshot");
    let tip = snapshot.push_tip.clone().expect("the branch exists by now");
    assert_eq!(tip.commit, first.commit);
    assert_eq!(tip.parent.as_ref(), Some(&snapshot.base));
    assert_eq!(tip.author_email, "bot@example.com");
    assert!(tip.message.starts_with("Update images\n"));

    let second = world
        .push(&source, &snapshot, "a.yaml", "marked 3")
        .await
        .expect("a push");
    assert_eq!(second.previous, Some(first.commit));
    let stale = world.push(&source, &snapshot, "a.yaml", "marked 4").await;
    assert!(matches!(stale, Err(RemoteError::Moved { .. })), "{stale:?}");
    assert_eq!(
        world.tip("bot/images").as_deref(),
        Some(second.commit.as_str())
    );
    world.assert_sound();
}

#[tokio::test]
async fn a_branch_that_moved_is_left_alone() {
    let world = World::of(&[("a.yaml", File("marked 1"))]);
    let source = world.source();
    let snapshot = world.read(&source).await.expect("a snapshot");
    let human = world.commit("main", &[("a.yaml", File("marked by hand"))]);

    let error = world
        .push(&source, &snapshot, "a.yaml", "marked 2")
        .await
        .expect_err("too late");

    assert_eq!(error.class(), Class::Conflict);
    assert_eq!(world.tip("main"), Some(human));
}

#[tokio::test]
async fn a_checked_out_branch_is_moved_only_where_the_repository_allows_it() {
    let world = World::of(&[("a.yaml", File("marked 1"))]);
    let tree = world.folder.path().join("tree");
    fs::create_dir(&tree).expect("a folder");
    fs::rename(world.repository(), tree.join(".git")).expect("a work tree's repository");
    let configuration = tree.join(".git/config");
    let text = fs::read_to_string(&configuration).expect("a configuration");
    let text = text.replace("bare = true", "bare = false");
    fs::write(&configuration, &text).expect("a configuration");
    fs::write(tree.join(".git/HEAD"), "ref: refs/heads/main\n").expect("a head");
    let mut source = world.source();
    source.url = remote_url(&format!("file://{}", tree.display())).expect("an address");

    let snapshot = world.read(&source).await.expect("a snapshot");
    let refused = world.push(&source, &snapshot, "a.yaml", "marked 2").await;
    let error = refused.expect_err("the branch is checked out");
    assert_eq!(error.class(), Class::Denied);
    assert!(error.to_string().contains("is checked out in"), "{error}");

    source.push_branch = branch("other");
    world
        .push(&source, &snapshot, "a.yaml", "marked 2")
        .await
        .expect("another branch is free");
    source.push_branch = branch("main");
    fs::write(
        &configuration,
        text + "[receive]\n\tdenyCurrentBranch = ignore\n",
    )
    .expect("a file");
    world
        .push(&source, &snapshot, "a.yaml", "marked 2")
        .await
        .expect("the owner allows it");
}

#[tokio::test]
async fn unsafe_trees_are_refused_below_the_path_and_kept_elsewhere() {
    let world = World::empty();
    let blob = world.blob("marked 1");
    let odd = world.raw_tree(&[("100644", b".GIT", blob), ("100644", b"x.yaml", blob)]);
    let twice = world.raw_tree(&[("100644", b"a.yaml", blob), ("100644", b"a.yaml", blob)]);
    let slash = world.raw_tree(&[("100644", b"../a.yaml", blob)]);
    let good = world.raw_tree(&[("100664", b"a.yaml", blob), ("100644", b"\xff.yaml", blob)]);
    let root = world.raw_tree(&[
        ("40000", b"good", good),
        ("40000", b"odd", odd),
        ("040000", b"slash", slash),
        ("40000", b"twice", twice),
    ]);
    world.commit_tree("main", root);
    for folder in ["odd", "slash", "twice"] {
        let mut source = world.source();
        source.path = path(folder);
        let error = world.read(&source).await.expect_err("an unsafe tree");
        assert!(matches!(error, RemoteError::UnsafeTree { .. }), "{error:?}");
    }

    let mut source = world.source();
    source.path = path("good");
    let snapshot = world.read(&source).await.expect("a snapshot");
    assert_eq!(
        skipped(&snapshot),
        [("good/\\xFF.yaml", "its path is not UTF-8")]
    );
    let pushed = world
        .push(&source, &snapshot, "good/a.yaml", "marked 2")
        .await
        .expect("a push");

    let repository = world.open();
    let id = ObjectId::from_hex(pushed.commit.as_str().as_bytes()).expect("an id");
    let commit = repository.find_object(id).expect("a commit").into_commit();
    let tree = repository
        .find_object(commit.tree_id().expect("a tree"))
        .expect("a tree");
    let blob = world.blob("marked 2");
    let good = world.raw_tree(&[
        ("100664", b"a.yaml", blob),
        ("100644", b"\xff.yaml", world.blob("marked 1")),
    ]);
    let expected = world.raw_tree(&[
        ("40000", b"good", good),
        ("40000", b"odd", odd),
        ("040000", b"slash", slash),
        ("40000", b"twice", twice),
    ]);
    assert_eq!(tree.id, expected, "everything but one id is as it was");
}

#[tokio::test]
async fn commits_beyond_their_bounds_are_refused() {
    let world = World::of(&[
        ("apps/a.yaml", File("marked 1")),
        ("apps/link", SymbolicLink("a.yaml")),
        ("b.yaml", File("marked 1")),
    ]);
    let mut source = world.source();
    source.path = path("apps");
    let snapshot = world.read(&source).await.expect("a snapshot");
    let check = async |mut commit: NewCommit, expected: &str| {
        commit.path = path("apps");
        let error = world
            .remote
            .push(&source, &snapshot, &commit)
            .await
            .expect_err("no push");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(
            matches!(error.class(), Class::Bug | Class::Config),
            "{error}"
        );
    };
    check(change("b.yaml", "marked 2"), "is not below `apps`").await;
    check(change("apps/../b.yaml", "marked 2"), "refused the tree").await;
    check(change("apps/new.yaml", "marked 2"), "no regular file").await;
    check(change("apps/link", "marked 2"), "no regular file").await;
    check(change("apps/a.yaml/b", "marked 2"), "no regular file").await;
    check(change("apps/a.yaml", "marked 1"), "changes nothing").await;
    let mut twice = change("apps/a.yaml", "marked 2");
    twice.files.push(twice.files[0].clone());
    check(twice, "changed twice").await;
    let mut long = change("apps/a.yaml", "marked 2");
    long.message = "m".repeat(64 * 1024 + 1);
    check(long, "longer than 64 KiB").await;
    assert_eq!(world.tip("main").as_deref(), Some(snapshot.base.as_str()));
}

/// G35; that a message has an end is among the bounds below, and that trailers are ours in
/// `update::message`.
#[tokio::test]
async fn an_author_cannot_forge_headers() {
    let world = World::of(&[("a.yaml", File("marked 1"))]);
    let source = world.source();
    let snapshot = world.read(&source).await.expect("a snapshot");
    let mut commit = change("a.yaml", "marked 2");
    commit.author = Author {
        name: "Bot <evil@example.com> 1 +0000\nparent 0000\0".to_owned(),
        email: "bot@example.com>\n".to_owned(),
    };
    commit.message = "One\0two\n".to_owned();
    commit.time = time(-5);

    let pushed = world
        .remote
        .push(&source, &snapshot, &commit)
        .await
        .expect("a push");

    let repository = world.open();
    let id = ObjectId::from_hex(pushed.commit.as_str().as_bytes()).expect("an id");
    let object = repository.find_object(id).expect("a commit");
    let text = String::from_utf8(object.data.clone()).expect("text");
    let name = "Bot evil@example.com 1 +0000parent 0000 <bot@example.com> 0 +0000";
    let headers: Vec<_> = text.lines().skip(2).take(2).collect();
    assert_eq!(
        headers,
        [format!("author {name}"), format!("committer {name}")]
    );
    assert!(text.ends_with("\n\nOnetwo\n"), "{text}");
    world.assert_sound();
}

#[tokio::test]
async fn sha256_repositories_work() {
    let world = World::with_hash(gix::hash::Kind::Sha256);
    world.commit("main", &[("a.yaml", File("marked 1"))]);
    let source = world.source();
    let snapshot = world.read(&source).await.expect("a snapshot");
    let pushed = world
        .push(&source, &snapshot, "a.yaml", "marked 2")
        .await
        .expect("a push");
    assert_eq!(pushed.commit.as_str().len(), 64);
    world.assert_sound();
}

#[tokio::test]
async fn packed_references_and_objects_are_read() {
    if !has_git() {
        return;
    }
    let world = World::of(&[("a.yaml", File("marked 1"))]);
    world.commit("main", &[("a.yaml", File("marked 2"))]);
    world.git(&["gc", "--quiet"]);
    world.git(&["pack-refs", "--all", "--prune"]);
    assert_eq!(world.tip("main"), None, "the branch is packed");
    let source = world.source();
    let snapshot = world.read(&source).await.expect("a snapshot");
    world
        .push(&source, &snapshot, "a.yaml", "marked 3")
        .await
        .expect("a push");
    world.assert_sound();
}

#[tokio::test]
async fn many_files_are_read_whole_and_in_order() {
    if !has_git() {
        return;
    }
    let body = |number: usize| format!("number: {number} # marked\n{}", "same: line\n".repeat(50));
    let files: Vec<(String, String)> = (0..1_000)
        .map(|number| (format!("{}/{number:04}.yaml", number % 7), body(number)))
        .collect();
    let nodes: Vec<_> = files
        .iter()
        .map(|(path, text)| (path.as_str(), File(text)))
        .collect();
    let world = World::of(&nodes);
    world.git(&["gc", "--quiet"]);

    let snapshot = world.read(&world.source()).await.expect("a snapshot");

    let mut expected: Vec<_> = files.iter().collect();
    expected.sort();
    assert_eq!(snapshot.looked_at, 1_000);
    assert_eq!(snapshot.files.len(), 1_000);
    for (file, (path, text)) in snapshot.files.iter().zip(expected) {
        assert_eq!((&file.path, file.bytes.as_slice()), (path, text.as_bytes()));
    }
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_given_up() {
    let world = World::of(&[("a.yaml", File("marked 1"))]);
    let mut source = world.source();
    source.timeout = std::time::Duration::ZERO;
    let error = world.read(&source).await.expect_err("no time");
    assert!(matches!(error, RemoteError::Timeout { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Transient);
    assert!(CommitId::new("main").is_err());
}
