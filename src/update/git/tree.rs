//! Trees as bytes: read entry by entry, and changed by replacing ids in place.
//!
//! A tree is never printed anew. Replacing the bytes of an id leaves every other entry, its mode and
//! its place as they were, however odd they are.

use std::collections::BTreeMap;

use bstr::{BStr, ByteSlice as _};
use gix::{ObjectId, hash::Kind as Hash, validate::path::component};

/// One entry of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) kind: EntryKind,
    pub(super) name: &'a BStr,
    pub(super) id: ObjectId,
    /// Where the id stands in the tree.
    at: usize,
}

/// What an entry's mode says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Folder,
    File,
    SymbolicLink,
    Submodule,
    Unknown,
}

/// A tree that ends in the middle of an entry, or whose modes are no octal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Walks through the entries of a tree.
pub(super) struct Entries<'a> {
    tree: &'a [u8],
    at: usize,
    hash: Hash,
}

/// The entries of `tree`, in the order in which they stand there.
pub(super) fn entries(tree: &[u8], hash: Hash) -> Entries<'_> {
    Entries { tree, at: 0, hash }
}

impl<'a> Entries<'a> {
    fn parse(&mut self) -> Option<Entry<'a>> {
        let rest = self.tree.get(self.at..)?;
        let space = rest.iter().take(8).position(|byte| *byte == b' ')?;
        let mode = rest.get(..space)?;
        let named = rest.get(space + 1..)?;
        let name = named.get(..named.find_byte(0)?)?;
        let id_at = space + 1 + name.len() + 1;
        let id = rest.get(id_at..id_at + self.hash.len_in_bytes())?;
        let entry = Entry {
            kind: kind_of(mode)?,
            name: name.as_bstr(),
            id: ObjectId::try_from(id).ok()?,
            at: self.at + id_at,
        };
        self.at += id_at + id.len();
        Some(entry)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.tree.len() {
            return None;
        }
        let entry = self.parse().ok_or(Malformed);
        if entry.is_err() {
            self.at = self.tree.len();
        }
        Some(entry)
    }
}

fn kind_of(mode: &[u8]) -> Option<EntryKind> {
    if mode.is_empty() {
        return None;
    }
    let mode = mode.iter().try_fold(0u32, |mode, digit| match digit {
        b'0'..=b'7' => Some(mode << 3 | u32::from(digit - b'0')),
        _ => None,
    })?;
    Some(match mode & 0o170_000 {
        0o040_000 => EntryKind::Folder,
        0o100_000 => EntryKind::File,
        0o120_000 => EntryKind::SymbolicLink,
        0o160_000 => EntryKind::Submodule,
        _ => EntryKind::Unknown,
    })
}

/// Why a name cannot be trusted on any file system, if so.
pub(super) fn unsafe_name(name: &BStr) -> Option<&'static str> {
    let options = component::Options {
        protect_windows: false,
        protect_hfs: true,
        protect_ntfs: true,
    };
    match gix::validate::path::component(name, None, options) {
        Ok(_) => None,
        Err(component::Error::Empty) => Some("it holds an entry without a name"),
        Err(component::Error::PathSeparator) => Some("it holds a name with `/`"),
        Err(component::Error::Relative) => Some("it holds an entry `.` or `..`"),
        Err(_) => Some("it holds an entry that some file systems take for `.git`"),
    }
}

/// The tree with other ids under some names; each name must stand in it exactly once.
pub(super) fn replace_ids(
    tree: &[u8],
    hash: Hash,
    ids: &BTreeMap<&BStr, ObjectId>,
) -> Result<Vec<u8>, Malformed> {
    let mut replaced = tree.to_vec();
    let mut count = 0;
    for entry in entries(tree, hash) {
        let entry = entry?;
        let Some(id) = ids.get(entry.name) else {
            continue;
        };
        let place = replaced
            .get_mut(entry.at..entry.at + id.as_slice().len())
            .ok_or(Malformed)?;
        place.copy_from_slice(id.as_slice());
        count += 1;
    }
    if count == ids.len() {
        Ok(replaced)
    } else {
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    fn tree(entries: &[(&str, &[u8], u8)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend_from_slice(&[*id; 20]);
        }
        bytes
    }

    #[test]
    fn modes_tell_what_an_entry_is() {
        let check = |mode: &str, expected: Option<EntryKind>| {
            let bytes = tree(&[(mode, b"a", 1)]);
            let entry = entries(&bytes, Hash::Sha1).next().expect("one entry");
            assert_eq!(entry.ok().map(|entry| entry.kind), expected, "{mode}");
        };
        check("100644", Some(EntryKind::File));
        check("100755", Some(EntryKind::File));
        check("100664", Some(EntryKind::File));
        check("40000", Some(EntryKind::Folder));
        check("040000", Some(EntryKind::Folder));
        check("120000", Some(EntryKind::SymbolicLink));
        check("160000", Some(EntryKind::Submodule));
        check("10644", Some(EntryKind::Unknown));
        check("100648", None);
        check("", None);
    }

    #[test]
    fn a_tree_that_ends_too_early_is_malformed() {
        let whole = tree(&[("100644", b"a", 1)]);
        for end in 1..whole.len() {
            let result: Result<Vec<_>, _> = entries(&whole[..end], Hash::Sha1).collect();
            assert_eq!(result.err(), Some(Malformed), "{end} bytes");
        }
        assert_eq!(entries(b"", Hash::Sha1).count(), 0);
    }

    #[test]
    fn names_that_stand_for_something_else_are_unsafe() {
        let check = |name: &[u8], safe: bool| {
            assert_eq!(unsafe_name(name.as_bstr()).is_none(), safe, "{name:?}");
        };
        check(b"a.yaml", true);
        check(b"a..b.yaml", true);
        check(b"-a", true);
        check(b"a\nb", true);
        check(b"\xff", true);
        check(b".gitmodules", true);
        check(b".github", true);
        check(b"", false);
        check(b".", false);
        check(b"..", false);
        check(b"a/b", false);
        check(b".git", false);
        check(b".GIT", false);
        check(b"git~1", false);
        check(".g\u{200c}it".as_bytes(), false);
        check(b".git.", false);
    }

    #[test]
    fn odd_entries_survive_a_replacement() {
        let before = tree(&[
            ("100664", b".git", 1),
            ("040000", b"b", 2),
            ("100644", b"a", 3),
            ("100644", b"a", 4),
        ]);
        let ids = BTreeMap::from([(BStr::new("b"), ObjectId::from([9; 20]))]);
        let after = tree(&[
            ("100664", b".git", 1),
            ("040000", b"b", 9),
            ("100644", b"a", 3),
            ("100644", b"a", 4),
        ]);
        assert_eq!(replace_ids(&before, Hash::Sha1, &ids), Ok(after));
        let twice = BTreeMap::from([(BStr::new("a"), ObjectId::from([9; 20]))]);
        assert_eq!(replace_ids(&before, Hash::Sha1, &twice), Err(Malformed));
        let absent = BTreeMap::from([(BStr::new("c"), ObjectId::from([9; 20]))]);
        assert_eq!(replace_ids(&before, Hash::Sha1, &absent), Err(Malformed));
    }

    proptest! {
        #[test]
        fn only_the_planned_entries_differ(
            names in collection::btree_set("[a-z]{1,6}", 1..20),
            pick in any::<prop::sample::Index>(),
        ) {
            let listed: Vec<(&str, &[u8], u8)> =
                names.iter().map(|name| ("100644", name.as_bytes(), 1)).collect();
            let before = tree(&listed);
            let chosen = names.iter().nth(pick.index(names.len())).expect("within the set");
            let ids = BTreeMap::from([(BStr::new(chosen), ObjectId::from([2; 20]))]);
            let after = replace_ids(&before, Hash::Sha1, &ids).expect("the name stands there once");
            for (old, new) in entries(&before, Hash::Sha1).zip(entries(&after, Hash::Sha1)) {
                let (old, new) = (old.expect("an entry"), new.expect("an entry"));
                prop_assert_eq!(old.name, new.name);
                prop_assert_eq!(old != new, old.name == chosen.as_str());
            }
            prop_assert_eq!(before.len(), after.len());
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in collection::vec(any::<u8>(), 0..200)) {
            let _ = entries(&bytes, Hash::Sha1).count();
            let _ = entries(&bytes, Hash::Sha256).count();
        }
    }
}
