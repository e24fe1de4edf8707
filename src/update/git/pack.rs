//! Writing the pack that a push sends.

use gix::{hash::Kind as Hash, objs::Data, zlib::Compression};
use gix_pack::data::{
    Version,
    output::{Count, Entry, bytes::FromEntriesIter},
};

use super::commit::NewObject;

/// Packs the objects, each one in full: a push is a few kilobytes, and a delta would need its base.
pub(super) fn pack(objects: &[&NewObject], hash: Hash) -> Result<Vec<u8>, gix::Error> {
    let mut entries = Vec::with_capacity(objects.len());
    for object in objects {
        let data = Data {
            kind: object.kind,
            object_hash: hash,
            data: &object.bytes,
        };
        let count = Count::from_data(object.id, None);
        entries.push(Entry::from_data(&count, &data, Compression::DEFAULT)?);
    }
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::new();
    let chunks = std::iter::once(Ok(entries));
    for written in FromEntriesIter::new(chunks, &mut bytes, count, Version::V2, hash) {
        written?;
    }
    Ok(bytes)
}
