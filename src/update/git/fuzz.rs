//! Doors for the fuzz targets in `tests/fuzz`, which see nothing but what is public. They are built
//! with `--cfg fuzzing`, and so is this.
//!
//! Each takes what a hostile server may send, and looks at everything that comes of it.

use std::{borrow::Cow, sync::atomic::AtomicBool};

use bytes::Bytes;
use gix::hash::Kind as Hash;
use tokio::sync::mpsc;
use url::Url;

use super::{
    Branch, Interest, Screen, Source, UpdatePath,
    advertisement::{Advertisement, parse_listing},
    inflate::inflate,
    memory::Memory,
    packet,
    report::Report,
    store::{Feed, Store},
    walk::walk,
};

/// Packet lines, and the side-band within.
pub fn packets(bytes: &[u8]) {
    for packet in packet::all(bytes).unwrap_or_default() {
        if let packet::Packet::Data(data) = packet {
            let _ = packet::band(data);
        }
    }
}

/// What a server says first, in all versions.
pub fn advertisement(bytes: &[u8]) {
    for service in ["git-upload-pack", "git-receive-pack"] {
        match Advertisement::parse(bytes, service) {
            Ok(it) => {
                let _ = (it.hash(), it.has("shallow"), it.lists("fetch", "filter"));
                assert!(it.references.keys().all(|name| name.starts_with("refs/")));
            }
            Err(packet::Malformed(reason)) => assert!(!reason.contains(char::is_control)),
        }
    }
    if let Err(packet::Malformed(reason)) = parse_listing(bytes) {
        assert!(!reason.contains(char::is_control), "{reason:?}");
    }
}

/// The answer to a push.
pub fn report(bytes: &[u8]) {
    for side_band in [true, false] {
        if let Ok(report) = Report::parse(bytes, side_band, "refs/heads/main") {
            assert!(!report.reason().contains(char::is_control), "{report:?}");
        }
    }
}

/// The entries of a pack: its head and its checksum are put around them, so that it is read at all.
pub fn pack(bytes: &[u8]) {
    let Some((count, entries)) = bytes.split_first() else {
        return;
    };
    let head = [b"PACK\0\0\0\x02\0\0\0".as_slice(), &[*count]].concat();
    let mut pack = [&head, entries].concat();
    let mut hasher = gix::hash::hasher(Hash::Sha1);
    hasher.update(&pack);
    let Ok(checksum) = hasher.try_finalize() else {
        return;
    };
    pack.extend_from_slice(checksum.as_slice());

    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = Url::parse("https://git.test/fleet.git").expect("an address");
    let branch = Branch::new("main").expect("a branch");
    let source = Source::new(url, branch);
    let store = Store::of(folder.path(), &source, Hash::Sha1, "git.test");
    let (sender, receiver) = mpsc::channel(1);
    sender.try_send(Bytes::from(pack)).expect("room for one");
    drop(sender);
    store.open().expect("a new folder");
    let cancelled = AtomicBool::new(false);
    if store.write_pack(Feed::new(receiver), &cancelled).is_err() {
        return;
    }
    let objects = store.open().expect("our own folder");
    for id in objects.ids() {
        let _ = objects.commit(&id);
        let memory = Memory::none(Hash::Sha1);
        let walked = walk(
            &objects,
            id,
            &UpdatePath::default(),
            &All,
            &memory,
            &cancelled,
        );
        if let Ok(listing) = walked.and_then(|it| it.complete(&objects)) {
            let _ = inflate(&objects, listing, &All, &cancelled);
        }
    }
}

/// Keeps every file.
#[derive(Debug)]
struct All;

impl Screen for All {
    fn interest(&self, _: &str) -> Interest {
        Interest::Kept
    }

    fn keeps(&self, _: &str, _: &[u8]) -> bool {
        true
    }

    fn version(&self) -> Cow<'_, str> {
        Cow::Borrowed("all")
    }
}
