//! Branches that are listed, and removed while they end where we left them.

use tagwright::{
    egress::PlainHttp,
    error::Class,
    update::git::{CommitId, Remote as _, Source},
};

use super::{
    git_server::{GitServer, Protocol},
    world::{Node::File, World, branch, has_git},
};

const FILE: [(&str, super::world::Node<'_>); 1] = [("a.yaml", File("marked 1"))];

/// Lists and removes `bot/images`, by whatever way `source` goes.
async fn check(world: &World, mut source: Source) {
    source.push_branch = branch("bot/images");
    let tip = world.commit("bot/images", &FILE);
    world.commit("bot/images-web", &FILE);
    world.commit("other", &FILE);
    let tip = CommitId::new(&tip).expect("a commit");
    let names = world.remote.branches(&source).await.expect("a list");
    let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names, ["bot/images", "bot/images-web"]);

    let moved = world.commit("bot/images", &[("a.yaml", File("by hand"))]);
    let error = world
        .remote
        .remove(&source, &tip)
        .await
        .expect_err("it moved");
    assert_eq!(error.class(), Class::Conflict, "{error}");
    assert_eq!(world.tip("bot/images").as_deref(), Some(moved.as_str()));

    let moved = CommitId::new(&moved).expect("a commit");
    world
        .remote
        .remove(&source, &moved)
        .await
        .expect("it is removed");
    assert_eq!(world.tip("bot/images"), None);
    assert!(world.tip("bot/images-web").is_some());
    world
        .remote
        .remove(&source, &moved)
        .await
        .expect("it is gone already");
    world.assert_sound();
}

#[tokio::test]
async fn a_branch_is_removed_while_it_ends_where_we_left_it() {
    let world = World::of(&FILE);
    check(&world, world.source()).await;
}

#[tokio::test]
async fn a_branch_is_removed_from_a_server_of_either_protocol() {
    if !has_git() {
        return;
    }
    for protocol in [Protocol::Two, Protocol::Zero] {
        let world = World::of(&FILE);
        let server = GitServer::of(world.folder.path())
            .speaking(protocol)
            .start()
            .await;
        let mut source = Source::new(server.url("fleet.git"), branch("main"));
        source.route.plain_http = PlainHttp::Allow;
        check(&world, source).await;
    }
}

#[tokio::test]
async fn a_server_that_keeps_its_branches_is_believed() {
    if !has_git() {
        return;
    }
    let world = World::of(&FILE);
    world.configure("[receive]\n\tdenyDeletes = true");
    let tip = world.commit("bot/images", &FILE);
    let server = GitServer::of(world.folder.path()).start().await;
    let mut source = Source::new(server.url("fleet.git"), branch("main"));
    source.route.plain_http = PlainHttp::Allow;
    source.push_branch = branch("bot/images");
    let id = CommitId::new(&tip).expect("a commit");
    let error = world
        .remote
        .remove(&source, &id)
        .await
        .expect_err("it is kept");
    assert_eq!(error.class(), Class::Denied, "{error}");
    assert_eq!(world.tip("bot/images"), Some(tip));
}
