//! The repository's own settings: one file at its root, read before anything is screened.

use bstr::ByteSlice as _;
use gix::{ObjectId, objs::Kind};

use super::{
    RemoteError, SourceFile,
    objects::Objects,
    tree::{self, EntryKind},
};

/// How much is read of the file, in bytes; who parses it says that a longer one is too long.
const MAX_SETTINGS: u64 = 64 * 1024;

/// How far the search came.
pub(super) enum Found {
    /// To the end: the file, if there is one.
    All(Option<SourceFile>),
    /// This object is not here.
    Missing(ObjectId),
}

/// Looks for the file `name` in the folder `root`; a link is no file.
pub(super) fn find(objects: &Objects, root: ObjectId, name: &str) -> Result<Found, RemoteError> {
    if !objects.contains(&root) {
        return Ok(Found::Missing(root));
    }
    let mut buffer = Vec::new();
    let bytes = objects.read(&root, Kind::Tree, &mut buffer)?;
    let entries = tree::entries(bytes, objects.hash());
    let mut file = None;
    for entry in entries {
        let entry = entry.map_err(|_| objects.incomplete(&root))?;
        if entry.name == name.as_bytes().as_bstr() && entry.kind == EntryKind::File {
            file = Some(entry.id);
        }
    }
    let Some(id) = file else {
        return Ok(Found::All(None));
    };
    if !objects.contains(&id) {
        return Ok(Found::Missing(id));
    }
    // Of a longer file the length is told, and nothing else.
    let mut bytes = vec![b'#'; usize::try_from(MAX_SETTINGS).unwrap_or_default() + 1];
    if objects.size(&id)? <= MAX_SETTINGS {
        objects
            .read(&id, Kind::Blob, &mut buffer)?
            .clone_into(&mut bytes);
    }
    Ok(Found::All(Some(SourceFile {
        path: name.to_owned(),
        bytes,
    })))
}
