//! What is remembered between reads: never more than is true, and safe to lose.

use std::{fs, path::PathBuf, sync::Arc, sync::atomic::Ordering};

use tagwright::{
    egress::{Egress, PlainHttp},
    update::git::{GitRemote, Remote as _, Snapshot, Source},
};

use super::{
    git_server::{GitServer, Running},
    world::{
        Marked,
        Node::{Executable, File, Submodule, SymbolicLink},
        World, branch, has_git, path,
    },
};

fn world() -> World {
    World::of(&[
        ("a/deep/er/web.yaml", File("marked 1")),
        ("a/deep/plain.yaml", File("nothing")),
        ("a/link.yaml", SymbolicLink("../b/x.yaml")),
        ("b/module.yaml", Submodule),
        ("b/x.yaml", File("nothing either")),
        ("b/y.yaml", Executable("marked 2")),
        ("c/z/plain.yaml", File("nothing at all")),
        ("kept.txt", File("kept")),
    ])
}

fn source(server: &Running, at: &str) -> Source {
    let mut source = Source::new(server.url("fleet.git"), branch("main"));
    source.route.plain_http = PlainHttp::Allow;
    source.path = path(at);
    source
}

fn facts(snapshot: Snapshot) -> impl PartialEq + std::fmt::Debug {
    (snapshot.files, snapshot.skipped, snapshot.looked_at)
}

/// The files of the only store whose names begin so.
fn memories(world: &World, name: &str) -> Vec<PathBuf> {
    let stores = fs::read_dir(world.folder.path().join("store")).expect("the store");
    let stores = stores.map(|it| it.expect("a store").path());
    let files = stores.flat_map(|it| fs::read_dir(it).expect("a store"));
    let files = files.map(|it| it.expect("a file").path());
    let fits = |path: &PathBuf| {
        let found = path.file_name().expect("a name").to_string_lossy();
        found.starts_with(name)
    };
    files.filter(fits).collect()
}

#[tokio::test]
async fn what_has_not_changed_is_neither_walked_through_nor_looked_at_again() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let source = source(&server, "");
    let looks = async |expected: usize, why: &str| {
        let screen = Arc::new(Marked::default());
        let snapshot = world.remote.read(&source, screen.clone()).await;
        let snapshot = snapshot.expect("a snapshot");
        assert_eq!(screen.looks.load(Ordering::Relaxed), expected, "{why}");
        facts(snapshot)
    };
    let first = looks(5, "everything").await;
    // Without the memory of files, only the memory of folders can tell what need not be looked at.
    for file in memories(&world, "unmarked") {
        fs::remove_file(file).expect("a file");
    }
    assert_eq!(looks(2, "marked files").await, first);

    world.commit(
        "main",
        &[
            ("a/deep/er/web.yaml", File("marked 1")),
            ("a/deep/plain.yaml", File("nothing")),
            ("a/link.yaml", SymbolicLink("../b/x.yaml")),
            ("b/module.yaml", Submodule),
            ("b/x.yaml", File("now marked")),
            ("b/y.yaml", Executable("marked 2")),
            ("c/z/plain.yaml", File("nothing at all")),
            ("kept.txt", File("kept")),
        ],
    );
    let changed = looks(3, "marked files, and the one that changed").await;
    assert_eq!(looks(3, "marked files").await, changed);
}

#[tokio::test]
async fn a_memory_changes_nothing_but_the_time_it_takes() {
    if !has_git() {
        return;
    }
    let versions: [&[(&str, super::world::Node<'_>)]; 4] = [
        &[
            ("a/x.yaml", File("marked")),
            ("a/b/y.yaml", File("none")),
            ("a/b/c/l.yaml", SymbolicLink("x")),
        ],
        &[
            ("a/x.yaml", File("none")),
            ("a/b/y.yaml", File("none")),
            ("a/b/c/l.yaml", SymbolicLink("x")),
        ],
        &[
            ("a/x.yaml", File("none")),
            ("a/b/y.yaml", File("marked")),
            ("a/b/c/l.yaml", File("none")),
            ("d/b/y.yaml", File("none")),
        ],
        &[
            ("a/b/y.yaml", File("marked")),
            ("a/b/c/l.yaml", File("none")),
            ("d/b/y.yaml", Submodule),
            ("e/b/y.yaml", File("marked")),
        ],
    ];
    for (settings, at) in [("", ""), ("[uploadpack]\n\tallowFilter = true", "a")] {
        let world = World::empty();
        world.configure(settings);
        let server = GitServer::of(world.folder.path()).start().await;
        for files in versions.iter().chain(versions.iter().rev()) {
            world.commit("main", files);
            let source = source(&server, at);
            let known = world.read(&source).await.expect("a snapshot");
            let fresh = tempfile::tempdir().expect("a folder");
            let fresh = GitRemote::new(Egress::new(), fresh.path().to_owned());
            let fresh = fresh.read(&source, Arc::new(Marked::default())).await;
            assert_eq!(facts(known), facts(fresh.expect("a snapshot")), "{at}");
        }
    }
}

#[tokio::test]
async fn damaged_memories_are_not_believed() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let source = source(&server, "");
    let first = facts(world.read(&source).await.expect("a snapshot"));
    for name in ["folders", "unmarked", "tips"] {
        for file in memories(&world, name) {
            let bytes = fs::read(&file).expect("a file");
            for damaged in [&bytes[..bytes.len() / 2], b"", &[0xff; 100]] {
                fs::write(&file, damaged).expect("a file");
                let again = world.read(&source).await.expect("a snapshot");
                assert_eq!(facts(again), first, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn automations_that_look_for_other_things_remember_beside_each_other() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let source = source(&server, "");
    for round in 0..2 {
        for version in ["1", "2"] {
            let screen = Arc::new(Marked {
                version,
                ..Marked::default()
            });
            let snapshot = world.remote.read(&source, screen.clone()).await;
            snapshot.expect("a snapshot");
            let expected = if round == 0 { 5 } else { 2 };
            assert_eq!(screen.looks.load(Ordering::Relaxed), expected, "{version}");
        }
    }
}

#[tokio::test]
async fn a_damaged_store_is_set_aside_and_old_stores_make_room() {
    if !has_git() {
        return;
    }
    let world = world();
    let server = GitServer::of(world.folder.path()).start().await;
    let root = world.folder.path().join("store");
    for number in 0..120 {
        fs::create_dir_all(root.join(format!("old-{number}/objects"))).expect("a folder");
    }
    let source = source(&server, "");
    world.read(&source).await.expect("a snapshot");
    let names = || -> Vec<String> {
        let stores = fs::read_dir(&root).expect("the stores");
        let names = stores.map(|it| it.expect("a store").file_name());
        names.map(|it| it.to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names().len(), 100);
    let own = names().into_iter().find(|it| !it.starts_with("old-"));
    let own = root.join(own.expect("our own store"));
    let packs = fs::read_dir(own.join("objects/pack")).expect("packs");
    for pack in packs.map(|it| it.expect("a file").path()) {
        if pack.extension().is_some_and(|it| it == "pack") {
            let mut bytes = fs::read(&pack).expect("a pack");
            for byte in &mut bytes[12..] {
                *byte ^= 0x55;
            }
            fs::remove_file(&pack).expect("a pack");
            fs::write(&pack, bytes).expect("a pack");
        }
    }
    world.read(&source).await.expect("a snapshot all the same");
    let is_aside = |name: &String| name.ends_with(".damaged");
    assert!(names().iter().any(is_aside), "{:?}", names());
}
