//! Moving a branch to a commit that the repository has already.

use std::path::Path;

use gix::ObjectId;
use tokio::task;

use super::{
    RemoteError, Source,
    commit::{Ground, GroundKind, Made},
    http::Session,
    local::Local,
    push::{Change, Push},
    store::Store,
    work::joined,
};

/// In a repository on this machine.
pub(super) async fn here(
    source: &Source,
    expected: Option<ObjectId>,
    tip: ObjectId,
    remote: String,
) -> Result<(), RemoteError> {
    let (source, shown) = (source.clone(), remote.clone());
    let pointing = task::spawn_blocking(move || {
        let local = Local::open(&source.url, &shown)?;
        let branch = source.push_branch.reference();
        if local.tip(&branch)? == Some(tip) {
            return Ok(());
        }
        let change = change(&source, expected, tip);
        local.push(&branch, expected, &change.made, &[])
    });
    joined(pointing.await, &remote)
}

/// On a server, by a push that holds no object.
pub(super) async fn there(
    session: &Session<'_>,
    stores: &Path,
    expected: Option<ObjectId>,
    tip: ObjectId,
) -> Result<(), RemoteError> {
    let store = Store::of(stores, session.source, tip.kind(), &session.remote);
    let change = change(session.source, expected, tip);
    let push = Push::open(session, &store, &[&change]).await?;
    let results = push.run(&[&change]).await;
    results.into_iter().try_for_each(|result| result.map(drop))
}

fn change(source: &Source, expected: Option<ObjectId>, tip: ObjectId) -> Change<'_> {
    Change {
        source,
        ground: Ground {
            base: tip,
            kind: GroundKind::Checkout,
        },
        expected,
        commits: &[],
        made: Made {
            tip,
            tree: ObjectId::null(tip.kind()),
            commits: vec![tip],
            objects: Vec::new(),
        },
    }
}
