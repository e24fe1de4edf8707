//! Which tag a range of versions stands for: the newest of those that lie in it.
//!
//! Tags that differ in their build metadata alone are the same version. Of these it is the one with
//! the latest commit, as in Flux, and the last by name where even that is equal.

use std::collections::BTreeMap;

use gix::ObjectId;
use tokio::task;

use crate::policy::Range;

use super::{
    Checkout, RemoteError,
    fetch::Upload,
    objects::Objects,
    store::Store,
    work::{Cancel, joined},
};

const TAGS: &str = "refs/tags/";
/// How many tags of one version are compared by their commits: the last ones by name.
const MAX_TIES: usize = 50;

/// Settles a range for the tags of a server; meanwhile, the store has to be ours alone.
pub(super) async fn of_server(
    upload: &Upload<'_>,
    store: &Store,
    range: &Range,
    cancel: &Cancel,
) -> Result<Checkout, RemoteError> {
    let references = upload.references(&[TAGS.to_owned()]).await?;
    let tags = references.iter().filter(|(name, _)| !name.ends_with("^{}"));
    let tags = tags.map(|(name, id)| {
        let peeled = references.get(&format!("{name}^{{}}"));
        (name.clone(), *peeled.unwrap_or(id))
    });
    let newest = newest(range, &tags.collect());
    if newest.len() < 2 {
        return chosen(newest.keys().next(), range, store.remote());
    }
    let ids = newest.values().copied().collect();
    upload.fetch_bare(ids, store, &cancel.0).await?;
    let (opened, range) = (store.clone(), range.clone());
    let choosing = task::spawn_blocking(move || choose(&opened.open()?, &newest, &range));
    joined(choosing.await, store.remote())
}

/// Settles a range for the tags of a repository on this machine.
pub(super) fn of_repository(
    objects: &Objects,
    tags: &BTreeMap<String, ObjectId>,
    range: &Range,
) -> Result<Checkout, RemoteError> {
    choose(objects, &newest(range, tags), range)
}

/// The tags that stand highest in a range.
fn newest(range: &Range, tags: &BTreeMap<String, ObjectId>) -> BTreeMap<String, ObjectId> {
    let versions = tags.keys().filter_map(|name| name.strip_prefix(TAGS));
    let newest = range.newest(versions);
    let first = newest.len().saturating_sub(MAX_TIES);
    let newest = newest.into_iter().skip(first);
    let newest = newest.filter_map(|version| tags.get_key_value(&format!("{TAGS}{version}")));
    newest.map(|(name, id)| (name.clone(), *id)).collect()
}

fn choose(
    objects: &Objects,
    newest: &BTreeMap<String, ObjectId>,
    range: &Range,
) -> Result<Checkout, RemoteError> {
    let time = |id: &ObjectId| objects.commit(id).map(|commit| commit.time).ok();
    let tag = newest.iter().max_by_key(|(name, id)| (time(id), *name));
    chosen(tag.map(|(name, _)| name), range, objects.remote())
}

fn chosen(tag: Option<&String>, range: &Range, remote: &str) -> Result<Checkout, RemoteError> {
    let checkout = tag.and_then(|name| Checkout::named(name).ok());
    checkout.ok_or_else(|| RemoteError::NoVersion {
        remote: remote.to_owned(),
        range: range.to_string(),
    })
}
