//! The memory of blobs that hold no markers, so that an unchanged file is never inflated twice.
//!
//! It may be lost at any time. It only holds for one version of the screen, and it ends in a
//! checksum: a damaged memory must not hide a marker.

use gix::ObjectId;
use sha2::{Digest as _, Sha256};

/// How many blobs are remembered; one more, and the memory starts over.
const MAX_ENTRIES: usize = 500_000;
/// The longest id, and what the file's name ends with, as a number.
const ENTRY: usize = 36;
const CHECKSUM: usize = 32;

/// A blob under a kind of name: a screen may look at bytes in the light of the file's name.
type Entry = [u8; ENTRY];

/// Which blobs are known to hold no markers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unmarked {
    screen: String,
    /// Sorted.
    entries: Vec<Entry>,
}

/// What was found out about blobs, to be added later; some of it twice.
pub(super) type Findings = Vec<Entry>;

/// What is remembered about a blob that stands at `path`.
pub(super) fn entry(id: &ObjectId, path: &str) -> Entry {
    let mut entry = [0; ENTRY];
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map_or(name, |(_, ending)| ending);
    // FNV-1a: two endings that collide would have to be two that the screen tells apart.
    let ending = ending.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let (ids, endings) = entry.split_at_mut(ENTRY - 4);
    for (to, from) in ids.iter_mut().zip(id.as_slice()) {
        *to = *from;
    }
    endings.copy_from_slice(&ending.to_be_bytes());
    entry
}

impl Unmarked {
    /// Reads what [`Unmarked::print`] wrote for the same screen; anything else is an empty memory.
    pub(super) fn parse(bytes: &[u8], screen: &str) -> Self {
        let mut memory = Self {
            screen: screen.to_owned(),
            entries: Vec::new(),
        };
        let Some((body, checksum)) = bytes
            .len()
            .checked_sub(CHECKSUM)
            .map(|length| bytes.split_at(length))
        else {
            return memory;
        };
        let header = memory.header();
        if let Some(entries) = body.strip_prefix(header.as_bytes())
            && Sha256::digest(body).as_slice() == checksum
        {
            memory.entries = entries.as_chunks().0.to_vec();
        }
        memory
    }

    pub(super) fn print(&self) -> Vec<u8> {
        let mut bytes = self.header().into_bytes();
        bytes.extend_from_slice(self.entries.as_flattened());
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    fn header(&self) -> String {
        format!("unmarked 1 {}\n", self.screen)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn holds(&self, entry: &Entry) -> bool {
        self.entries.binary_search(entry).is_ok()
    }

    /// Takes new findings in.
    pub(super) fn learn(&mut self, mut findings: Findings) {
        findings.sort_unstable();
        findings.dedup();
        if self.entries.len() + findings.len() > MAX_ENTRIES {
            self.entries.clear();
        }
        findings.truncate(MAX_ENTRIES);
        if self.entries.is_empty() {
            self.entries = findings;
            return;
        }
        self.entries.extend(findings);
        self.entries.sort_unstable();
        self.entries.dedup();
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    fn id(byte: u8) -> ObjectId {
        ObjectId::from([byte; 20])
    }

    fn memory() -> Unmarked {
        let mut memory = Unmarked::parse(b"", "screen 1");
        memory.learn([entry(&id(2), "a.yaml"), entry(&id(1), "b.yml")].into());
        memory
    }

    #[test]
    fn what_was_learnt_is_known_under_the_same_kind_of_name() {
        let memory = memory();
        let check = |byte: u8, path: &str, expected: bool| {
            let is_known = memory.holds(&entry(&id(byte), path));
            assert_eq!(is_known, expected, "{byte} {path}");
        };
        check(2, "a.yaml", true);
        check(2, "other/folder/z.yaml", true);
        check(2, "a.yml", false);
        check(2, "yaml", true);
        check(1, "b.yml", true);
        check(3, "a.yaml", false);
    }

    #[test]
    fn it_is_read_back_for_the_same_screen_only() {
        let bytes = memory().print();
        assert_eq!(Unmarked::parse(&bytes, "screen 1"), memory());
        assert!(Unmarked::parse(&bytes, "screen 2").is_empty());
        assert!(Unmarked::parse(b"", "screen 1").is_empty());
        assert!(Unmarked::parse(&bytes[..bytes.len() - 1], "screen 1").is_empty());
    }

    #[test]
    fn it_is_bounded() {
        let entries = |from: u32, count: u32| -> Findings {
            (from..from + count)
                .map(|number| {
                    let mut entry = [0; ENTRY];
                    entry[..4].copy_from_slice(&number.to_be_bytes());
                    entry
                })
                .collect()
        };
        let mut memory = Unmarked::parse(b"", "screen 1");
        memory.learn(entries(0, 500_000));
        assert_eq!(memory.entries.len(), MAX_ENTRIES);
        memory.learn(entries(500_000, 1));
        assert_eq!(memory.entries.len(), 1, "it starts over");
    }

    proptest! {
        #[test]
        fn damage_empties_it(at in 0_usize..100, bytes in collection::vec(any::<u8>(), 0..100)) {
            let mut printed = memory().print();
            let at = at % printed.len();
            printed[at] ^= 1;
            prop_assert!(Unmarked::parse(&printed, "screen 1").is_empty());
            prop_assert!(Unmarked::parse(&bytes, "screen 1").is_empty());
        }
    }
}
