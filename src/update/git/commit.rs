//! Making a commit: new blobs, the trees above them, and the commit object, all in memory.

use std::collections::BTreeMap;

use bstr::{BStr, ByteSlice as _};
use chrono::{DateTime, Utc};
use gix::{
    ObjectId,
    actor::Signature,
    objs::{Kind, WriteTo as _},
};

use super::{
    Author, NewCommit, RemoteError,
    objects::Objects,
    signing,
    tree::{self, EntryKind},
    walk::unsafe_tree,
};

/// How many files one commit may change.
const MAX_FILES: usize = 5_000;
/// How long a message may be.
const MAX_MESSAGE: usize = 64 * 1024;
/// How many folders deep a changed file may lie.
const MAX_DEPTH: usize = 64;

/// An object that the remote does not have yet.
pub(super) struct NewObject {
    pub(super) id: ObjectId,
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
}

/// Commits with everything that is new in them, each the parent of the next one.
pub(super) struct Made {
    /// The last commit.
    pub(super) tip: ObjectId,
    /// The tree of the last commit.
    pub(super) tree: ObjectId,
    /// All of them, the oldest first.
    pub(super) commits: Vec<ObjectId>,
    pub(super) objects: Vec<NewObject>,
}

/// What the first of some commits stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ground {
    pub(super) base: ObjectId,
    pub(super) kind: GroundKind,
}

/// Whose commits the ground is the last one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroundKind {
    /// Those of what was checked out: whoever removes ours loses nothing else.
    Checkout,
    /// Those of the push branch, among them people's.
    PushBranch,
}

/// The changed files, as folders within folders.
#[derive(Default)]
struct Folder<'a> {
    folders: BTreeMap<&'a BStr, Folder<'a>>,
    files: BTreeMap<&'a BStr, &'a [u8]>,
}

/// Makes commits, the first with the ground as its only parent, of nothing but the ground and the
/// arguments: the same ones give the same ids.
pub(super) fn make(
    objects: &Objects,
    ground: Ground,
    commits: &[NewCommit],
) -> Result<Made, RemoteError> {
    let mut made = Made {
        tip: ground.base,
        tree: objects.commit(&ground.base)?.tree,
        commits: Vec::with_capacity(commits.len()),
        objects: Vec::new(),
    };
    for commit in commits {
        let refused = |reason: String| RemoteError::Refused {
            remote: objects.remote().to_owned(),
            reason,
        };
        if commit.files.len() > MAX_FILES {
            return Err(refused("it changes more than 5,000 files".to_owned()));
        }
        if commit.message.len() > MAX_MESSAGE {
            return Err(refused("its message is longer than 64 KiB".to_owned()));
        }
        let folder = nested(commit).map_err(refused)?;
        let new = rewrite(objects, made.tree, &folder, b"", &mut made.objects)?;
        if new == made.tree {
            return Err(refused("it changes nothing".to_owned()));
        }
        made.tree = new;
        let bytes = signed(objects, made.tree, made.tip, ground.kind, commit)?;
        made.tip = hashed(objects, Kind::Commit, bytes, &mut made.objects)?;
        made.commits.push(made.tip);
    }
    Ok(made)
}

fn nested(commit: &NewCommit) -> Result<Folder<'_>, String> {
    let path = &commit.path;
    let mut root = Folder::default();
    for file in &commit.files {
        let shown = file.path.escape_debug();
        if !path.covers(&file.path) {
            return Err(format!("`{shown}` is not below `{path}`"));
        }
        let (above, name) = match file.path.rsplit_once('/') {
            Some((above, name)) => (Some(above), name),
            None => (None, file.path.as_str()),
        };
        let mut folder = &mut root;
        for (depth, part) in above
            .into_iter()
            .flat_map(|above| above.split('/'))
            .enumerate()
        {
            if depth >= MAX_DEPTH {
                return Err(format!("`{shown}` lies more than 64 folders deep"));
            }
            folder = folder.folders.entry(part.into()).or_default();
        }
        if folder.files.insert(name.into(), &file.bytes).is_some() {
            return Err(format!("`{shown}` is changed twice"));
        }
    }
    Ok(root)
}

/// Gives the id of the tree with the changed files in it; the recursion is 64 levels deep at most.
fn rewrite(
    objects: &Objects,
    id: ObjectId,
    folder: &Folder<'_>,
    path: &[u8],
    new: &mut Vec<NewObject>,
) -> Result<ObjectId, RemoteError> {
    let mut buffer = Vec::new();
    // The tree of a commit below is not in the store yet.
    let bytes = match new.iter().find(|object| object.id == id) {
        Some(object) => object.bytes.clone(),
        None => objects.read(&id, Kind::Tree, &mut buffer)?.to_vec(),
    };
    let bytes = bytes.as_slice();
    let mut ids = BTreeMap::new();
    for (name, below) in &folder.folders {
        let old = find(objects, bytes, name, path, EntryKind::Folder)?;
        let path = [path, name.as_bytes(), b"/"].concat();
        ids.insert(*name, rewrite(objects, old, below, &path, new)?);
    }
    for (name, content) in &folder.files {
        let old = find(objects, bytes, name, path, EntryKind::File)?;
        let blob = identity(objects, Kind::Blob, content)?;
        if blob != old {
            hashed(objects, Kind::Blob, content.to_vec(), new)?;
        }
        if ids.insert(*name, blob).is_some() {
            return Err(missing(objects, path, name));
        }
    }
    let tree = tree::replace_ids(bytes, objects.hash(), &ids)
        .map_err(|_| unsafe_tree(objects, path, "a name stands in it twice"))?;
    if tree == bytes {
        return Ok(id);
    }
    hashed(objects, Kind::Tree, tree, new)
}

/// Finds what stands under `name`, which must be of the right kind and have a safe name.
fn find(
    objects: &Objects,
    tree: &[u8],
    name: &BStr,
    path: &[u8],
    kind: EntryKind,
) -> Result<ObjectId, RemoteError> {
    if let Some(reason) = tree::unsafe_name(name) {
        return Err(unsafe_tree(objects, path, reason));
    }
    let mut found = None;
    for entry in tree::entries(tree, objects.hash()) {
        let entry = entry.map_err(|_| unsafe_tree(objects, path, "it is malformed"))?;
        if entry.name != name {
            continue;
        }
        if entry.kind != kind {
            return Err(missing(objects, path, name));
        }
        found = Some(entry.id);
    }
    found.ok_or_else(|| missing(objects, path, name))
}

fn missing(objects: &Objects, path: &[u8], name: &BStr) -> RemoteError {
    let path = [path, name.as_bytes()].concat();
    RemoteError::Refused {
        remote: objects.remote().to_owned(),
        reason: format!("`{}` is no regular file in the base", path.escape_bytes()),
    }
}

/// The header of a commit that says which automation made it.
///
/// A header and not a trailer: a message template says all that its user wants to be said, and
/// amending or rebasing a commit drops headers that git does not know.
pub(super) const AUTOMATION: &str = "tagwright-automation";
/// The same header of a commit that stands on a push branch's own commits, so that a branch which
/// ends in it is not taken for one that may be made anew.
pub(super) const STACKED: &str = "tagwright-stacked";

/// The commit, with the signature over itself where somebody signs.
fn signed(
    objects: &Objects,
    tree: ObjectId,
    parent: ObjectId,
    ground: GroundKind,
    commit: &NewCommit,
) -> Result<Vec<u8>, RemoteError> {
    let plain = encode(tree, parent, ground, commit, None);
    let Some(signer) = &commit.signer else {
        return Ok(plain);
    };
    let armored = signer.sign(&plain, commit.time);
    let armored = armored.map_err(|source| RemoteError::Unsigned {
        remote: objects.remote().to_owned(),
        source,
    })?;
    let header = (signing::header(objects.hash()), armored.as_str());
    Ok(encode(tree, parent, ground, commit, Some(header)))
}

fn encode(
    tree: ObjectId,
    parent: ObjectId,
    ground: GroundKind,
    commit: &NewCommit,
    last_header: Option<(&str, &str)>,
) -> Vec<u8> {
    let own = match ground {
        GroundKind::Checkout => AUTOMATION,
        GroundKind::PushBranch => STACKED,
    };
    let own = (own, commit.automation.as_str());
    let headers = [Some(own), last_header].into_iter().flatten();
    let signature = signature(&commit.author, commit.time);
    let object = gix::objs::Commit {
        tree,
        parents: [parent].into_iter().collect(),
        author: signature.clone(),
        committer: signature,
        encoding: None,
        // Git ends a message at a NUL; what follows would be there and not be shown.
        message: commit.message.replace('\0', "").into(),
        extra_headers: headers
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
    };
    let mut bytes = Vec::new();
    object
        .write_to(&mut bytes)
        .expect("a vector takes all bytes, and the signature holds none that are refused");
    bytes
}

/// Author and committer: what could end or forge a header is left out.
pub(super) fn signature(author: &Author, time: DateTime<Utc>) -> Signature {
    let clean = |text: &str| {
        let kept: String = text
            .chars()
            .filter(|character| !character.is_control() && !matches!(character, '<' | '>'))
            .collect();
        kept.trim().to_owned()
    };
    Signature {
        name: clean(&author.name).into(),
        email: clean(&author.email).into(),
        time: gix::date::Time {
            seconds: time.timestamp().max(0),
            offset: 0,
        },
    }
}

fn identity(objects: &Objects, kind: Kind, bytes: &[u8]) -> Result<ObjectId, RemoteError> {
    gix::objs::compute_hash(objects.hash(), kind, bytes).map_err(|_| RemoteError::Refused {
        remote: objects.remote().to_owned(),
        reason: "an object in it is made to collide".to_owned(),
    })
}

fn hashed(
    objects: &Objects,
    kind: Kind,
    bytes: Vec<u8>,
    new: &mut Vec<NewObject>,
) -> Result<ObjectId, RemoteError> {
    let id = identity(objects, kind, &bytes)?;
    if !new.iter().any(|object| object.id == id) {
        new.push(NewObject { id, kind, bytes });
    }
    Ok(id)
}
