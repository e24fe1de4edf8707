//! What earlier reads of a store found out, and what one read adds to it.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use bstr::{BStr, ByteSlice as _};
use gix::{ObjectId, hash::Kind as Hash};

use super::{
    RemoteError, Screen,
    folders::{Folders, Key, Record},
    inflate::{Found, Seen},
    store::Store,
    unmarked::Unmarked,
};

/// What is known of a remote's folders and files, to one version of a screen.
pub(super) struct Memory {
    store: Option<Store>,
    screen: String,
    hash: Hash,
    folders: Folders,
    /// Several megabytes, which nobody asks for while every folder is known.
    unmarked: OnceCell<Unmarked>,
}

impl Memory {
    /// Knows nothing and learns nothing: for repositories that are read in place.
    pub(super) fn none(hash: Hash) -> Self {
        Self {
            store: None,
            screen: String::new(),
            hash,
            folders: Folders::default(),
            unmarked: OnceCell::new(),
        }
    }

    pub(super) fn of(store: &Store, screen: &dyn Screen) -> Self {
        let screen = screen.version().into_owned();
        Self {
            hash: store.hash(),
            folders: store.folders(&screen),
            store: Some(store.clone()),
            screen,
            unmarked: OnceCell::new(),
        }
    }

    pub(super) fn folder(&self, key: &Key) -> Option<Record> {
        self.folders.get(key, self.hash)
    }

    pub(super) fn unmarked(&self) -> &Unmarked {
        let read = |store: &Store| store.unmarked(&self.screen);
        self.unmarked
            .get_or_init(|| self.store.as_ref().map(read).unwrap_or_default())
    }

    /// Remembers what a complete read found out.
    pub(super) fn learn(mut self, survey: Survey, found: &mut Found) -> Result<(), RemoteError> {
        let Some(store) = self.store.take() else {
            return Ok(());
        };
        if !found.unmarked.is_empty() {
            let known = self.unmarked.take();
            let mut unmarked = known.unwrap_or_else(|| store.unmarked(&self.screen));
            unmarked.learn(std::mem::take(&mut found.unmarked));
            store.note_unmarked(&unmarked, &self.screen)?;
        }
        let (new, used) = survey.records(&found.seen);
        if !new.is_empty() {
            self.folders.learn(&new, &used);
            store.note_folders(&self.folders, &self.screen)?;
        }
        Ok(())
    }
}

/// The folders of one walk, each of them before those below it.
#[derive(Default)]
pub(super) struct Survey {
    nodes: Vec<Node>,
}

struct Node {
    above: Option<usize>,
    /// Nothing where it is not UTF-8.
    path: Option<String>,
    id: ObjectId,
    key: Key,
    record: Record,
    is_recalled: bool,
    /// Whether a record cannot say what there is to see.
    is_odd: bool,
}

impl Survey {
    /// Adds a folder that is walked through, and tells its number.
    pub(super) fn walked(
        &mut self,
        above: Option<usize>,
        path: &BStr,
        id: ObjectId,
        key: Key,
    ) -> usize {
        let number = self.recalled(above, path, id, key, Record::default());
        if let Some(node) = self.nodes.last_mut() {
            node.is_recalled = false;
        }
        number
    }

    /// Adds a folder that is known, and tells its number.
    pub(super) fn recalled(
        &mut self,
        above: Option<usize>,
        path: &BStr,
        id: ObjectId,
        key: Key,
        record: Record,
    ) -> usize {
        let path = path.to_str().ok().map(str::to_owned);
        self.nodes.push(Node {
            above,
            is_odd: path.is_none(),
            path,
            id,
            key,
            record,
            is_recalled: true,
        });
        self.nodes.len() - 1
    }

    /// Counts entries of a folder.
    pub(super) fn count(&mut self, node: usize, entries: u32) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.record.entries = node.record.entries.saturating_add(entries);
        }
    }

    /// Counts a file of interest, which holds nothing until somebody finds something in it.
    pub(super) fn file(&mut self, node: usize) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.record.known += 1;
        }
    }

    /// Notes an entry that is passed over.
    pub(super) fn skipped(&mut self, node: usize, name: &BStr, reason: &str) {
        let Some(node) = self.nodes.get_mut(node) else {
            return;
        };
        match name.to_str() {
            Ok(name) => node
                .record
                .skipped
                .push((name.to_owned(), reason.to_owned())),
            Err(_) => node.is_odd = true,
        }
    }

    /// The records of the folders that were walked through, and which records were used.
    fn records(mut self, seen: &[(String, Seen)]) -> (BTreeMap<Key, Record>, BTreeSet<Key>) {
        self.place(seen);
        let (mut new, mut used) = (BTreeMap::new(), BTreeSet::new());
        // From the last one on: what is below a folder is settled before the folder is.
        while let Some(node) = self.nodes.pop() {
            let above = node.above.and_then(|above| self.nodes.get_mut(above));
            if let Some(above) = above.filter(|above| !above.is_recalled) {
                let name = node.path.as_deref().map(|path| split(path).1);
                match name {
                    None => above.is_odd = true,
                    Some(_) if !node.is_odd && node.record.is_without_interest() => {
                        above.record.known += node.record.known;
                        let entries = above.record.entries.saturating_add(node.record.entries);
                        above.record.entries = entries;
                    }
                    Some(name) => above.record.folders.push((name.to_owned(), node.id)),
                }
            }
            if node.is_recalled {
                used.insert(node.key);
            } else if !node.is_odd {
                new.insert(node.key, node.record);
            }
        }
        (new, used)
    }

    /// Puts what was found in files into the records of their folders.
    fn place(&mut self, seen: &[(String, Seen)]) {
        let walked = self.nodes.iter().enumerate();
        let walked = walked.filter(|(_, node)| !node.is_recalled);
        let places: HashMap<String, usize> = walked
            .filter_map(|(number, node)| Some((node.path.clone()?, number)))
            .collect();
        for (path, seen) in seen {
            let (above, name) = split(path);
            let node = places.get(above).and_then(|it| self.nodes.get_mut(*it));
            let Some(Node { record, .. }) = node else {
                continue;
            };
            record.known = record.known.saturating_sub(1);
            match seen {
                Seen::Kept(id) => record.files.push((name.to_owned(), *id)),
                Seen::Passed(reason) => {
                    record.skipped.push((name.to_owned(), (*reason).to_owned()));
                }
            }
        }
    }
}

/// The folder and the name of a path.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
