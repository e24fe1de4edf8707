//! The memory of folders, so that one which has not changed is not walked through again.
//!
//! A record says what there is to see in a folder and in those below it that hold nothing of
//! interest; folders below that do have records of their own. It may be lost at any time. It only
//! holds for one version of the screen and one path, and it ends in a checksum: a damaged memory
//! must not hide a marker.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use bstr::BStr;
use gix::{ObjectId, hash::Kind as Hash};
use sha2::{Digest as _, Sha256};

/// How large the memory may be; what was used longest ago goes first.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// How large a record may be; a folder with more to see is walked through every time.
const MAX_RECORD: usize = 256 * 1024;
const CHECKSUM: usize = 32;

/// A folder at a path.
pub(super) type Key = [u8; 16];

/// What there is to see in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// How many files here, and below in folders without interest, are known to hold nothing.
    pub(super) known: u32,
    /// How many entries there are here, and below in folders without interest.
    pub(super) entries: u32,
    /// The files to be read, by name.
    pub(super) files: Vec<(String, ObjectId)>,
    /// The folders to be looked into, by name.
    pub(super) folders: Vec<(String, ObjectId)>,
    /// The entries that are passed over, by name, with the reason.
    pub(super) skipped: Vec<(String, String)>,
}

/// Which folders are known.
#[derive(Debug, Default)]
pub(super) struct Folders {
    header: String,
    /// Records one after the other, as they are printed.
    body: Vec<u8>,
    places: BTreeMap<Key, Range<usize>>,
}

/// What a folder is remembered by: its contents and its path.
pub(super) fn key(path: &BStr, id: &ObjectId) -> Key {
    let mut hash = Sha256::new();
    hash.update(id.as_slice());
    hash.update(path);
    let mut key = Key::default();
    for (to, from) in key.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    key
}

impl Record {
    pub(super) fn is_without_interest(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty() && self.skipped.is_empty()
    }

    fn print(&self, key: Key) -> Option<Vec<u8>> {
        let mut bytes = key.to_vec();
        // The length comes here.
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.known.to_be_bytes());
        bytes.extend_from_slice(&self.entries.to_be_bytes());
        for list in [&self.files, &self.folders] {
            put_count(&mut bytes, list.len())?;
            for (name, id) in list {
                put_text(&mut bytes, name)?;
                bytes.extend_from_slice(id.as_slice());
            }
        }
        put_count(&mut bytes, self.skipped.len())?;
        for (name, reason) in &self.skipped {
            put_text(&mut bytes, name)?;
            put_text(&mut bytes, reason)?;
        }
        let length = u32::try_from(bytes.len()).ok()?;
        let place = bytes.get_mut(16..20)?;
        place.copy_from_slice(&length.to_be_bytes());
        (bytes.len() <= MAX_RECORD).then_some(bytes)
    }

    fn parse(bytes: &[u8], hash: Hash) -> Option<Self> {
        let mut reader = Reader(bytes.get(20..)?);
        let mut record = Self {
            known: reader.number()?,
            entries: reader.number()?,
            ..Self::default()
        };
        for list in [&mut record.files, &mut record.folders] {
            for _ in 0..reader.number()? {
                let name = reader.text()?;
                let id = reader.take(hash.len_in_bytes())?;
                list.push((name, ObjectId::try_from(id).ok()?));
            }
        }
        for _ in 0..reader.number()? {
            record.skipped.push((reader.text()?, reader.text()?));
        }
        reader.0.is_empty().then_some(record)
    }
}

fn put_count(bytes: &mut Vec<u8>, count: usize) -> Option<()> {
    bytes.extend_from_slice(&u32::try_from(count).ok()?.to_be_bytes());
    Some(())
}

fn put_text(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    put_count(bytes, text.len())?;
    bytes.extend_from_slice(text.as_bytes());
    Some(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.first_chunk()?;
        Some(u32::from_be_bytes(*bytes))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }
}

impl Folders {
    /// Reads what [`Folders::print`] wrote for the same screen; anything else is an empty memory.
    pub(super) fn parse(mut bytes: Vec<u8>, screen: &str) -> Self {
        let empty = Self {
            header: header(screen),
            ..Self::default()
        };
        let Some(end) = bytes.len().checked_sub(CHECKSUM) else {
            return empty;
        };
        let checksum = bytes.split_off(end);
        if !bytes.starts_with(empty.header.as_bytes())
            || Sha256::digest(&bytes).as_slice() != checksum
        {
            return empty;
        }
        let body = bytes.split_off(empty.header.len());
        let mut places = BTreeMap::new();
        let mut at = 0;
        while let Some((key, length)) = head(body.get(at..).unwrap_or_default()) {
            places.insert(key, at..at + length);
            at += length;
        }
        Self {
            body,
            places,
            ..empty
        }
    }

    pub(super) fn print(&self) -> Vec<u8> {
        let mut bytes = self.header.clone().into_bytes();
        bytes.extend_from_slice(&self.body);
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    pub(super) fn get(&self, key: &Key, hash: Hash) -> Option<Record> {
        Record::parse(self.body.get(self.places.get(key)?.clone())?, hash)
    }

    /// Takes new records in, in front of those that were used and of all others.
    pub(super) fn learn(&mut self, new: &BTreeMap<Key, Record>, used: &BTreeSet<Key>) {
        let mut body = Vec::new();
        let mut places = BTreeMap::new();
        let printed = new
            .iter()
            .filter_map(|(key, it)| Some((*key, it.print(*key)?)));
        let old = self
            .places
            .iter()
            .filter(|(key, _)| !new.contains_key(*key));
        let (used, others): (Vec<_>, Vec<_>) = old.partition(|(key, _)| used.contains(*key));
        let old = used.into_iter().chain(others).filter_map(|(key, place)| {
            let bytes = self.body.get(place.clone())?;
            Some((*key, bytes.to_vec()))
        });
        for (key, bytes) in printed.chain(old) {
            if body.len() + bytes.len() > MAX_BYTES {
                break;
            }
            places.insert(key, body.len()..body.len() + bytes.len());
            body.extend_from_slice(&bytes);
        }
        (self.body, self.places) = (body, places);
    }
}

fn header(screen: &str) -> String {
    format!("folders 1 {screen}\n")
}

/// The key and the length of the record that `bytes` begins with.
fn head(bytes: &[u8]) -> Option<(Key, usize)> {
    let key = bytes.first_chunk::<16>()?;
    let length = bytes.get(16..)?.first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    (length >= 20 && length <= bytes.len()).then_some((*key, length))
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    fn id(byte: u8) -> ObjectId {
        ObjectId::from([byte; 20])
    }

    fn record(known: u32) -> Record {
        Record {
            known,
            entries: known + 3,
            files: vec![("a.yaml".to_owned(), id(1))],
            folders: vec![("über".to_owned(), id(2))],
            skipped: vec![("link.yaml".to_owned(), "symbolic link".to_owned())],
        }
    }

    fn memory() -> Folders {
        let mut folders = Folders::parse(Vec::new(), "screen 1");
        let new = [(key("a".into(), &id(7)), record(5))];
        folders.learn(&new.into(), &BTreeSet::new());
        folders
    }

    #[test]
    fn a_folder_is_known_at_its_own_path_to_the_same_screen() {
        let printed = memory().print();
        let read = |screen: &str| Folders::parse(printed.clone(), screen);
        let get = |folders: &Folders, path: &str, byte: u8| {
            folders.get(&key(path.into(), &id(byte)), Hash::Sha1)
        };
        assert_eq!(get(&read("screen 1"), "a", 7), Some(record(5)));
        assert_eq!(get(&read("screen 1"), "b", 7), None);
        assert_eq!(get(&read("screen 1"), "a", 8), None);
        assert_eq!(get(&read("screen 2"), "a", 7), None);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut folders = Folders::parse(Vec::new(), "");
        // Each is just below the limit of a record, so that 65 are too many.
        let large = || Record {
            skipped: vec![("x".repeat(MAX_RECORD - 100), String::new())],
            ..Record::default()
        };
        let at = |number: u8| key("".into(), &id(number));
        for number in 0..66 {
            let used = BTreeSet::from([at(0)]);
            folders.learn(&[(at(number), large())].into(), &used);
        }
        let is_known = |number| folders.get(&at(number), Hash::Sha1).is_some();
        assert!(is_known(0) && is_known(65));
        assert!(folders.print().len() <= MAX_BYTES + 100);
        assert!((0..66).any(|number| !is_known(number)));

        let mut over = large();
        over.skipped.push(("x".repeat(100), String::new()));
        folders.learn(&[(at(99), over)].into(), &BTreeSet::new());
        assert!(folders.get(&at(99), Hash::Sha1).is_none(), "too large");
    }

    proptest! {
        #[test]
        fn damage_empties_it(at in any::<usize>(), bytes in collection::vec(any::<u8>(), 0..200)) {
            let mut printed = memory().print();
            let at = at % printed.len();
            printed[at] ^= 1;
            prop_assert!(Folders::parse(printed, "screen 1").places.is_empty());
            prop_assert!(Folders::parse(bytes.clone(), "screen 1").places.is_empty());
            let _ = Record::parse(&bytes, Hash::Sha1);
        }
    }
}
