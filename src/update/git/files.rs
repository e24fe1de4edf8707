//! A list of files that is short in memory: a hundred thousand paths, each with its folder and in an
//! allocation of its own, would be twelve megabytes.

use gix::ObjectId;

/// Files with their paths, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The folders of the files, each once for neighbours.
    folders: Vec<String>,
    /// The names, each with a slash behind it, which no name holds.
    names: String,
    entries: Vec<Entry>,
}

/// A file, whose path the list knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) id: ObjectId,
    folder: u32,
    /// Where its name begins.
    name: usize,
}

impl Files {
    /// Adds a file.
    pub(super) fn push(&mut self, path: &str, id: ObjectId) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if self.folders.last().is_none_or(|last| last != folder) {
            self.folders.push(folder.to_owned());
        }
        let folder = u32::try_from(self.folders.len() - 1);
        self.entries.push(Entry {
            id,
            folder: folder.expect("a walk ends after a million entries"),
            name: self.names.len(),
        });
        self.names.push_str(name);
        self.names.push('/');
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Puts the files into another order.
    pub(super) fn sort_by_cached_key<K: Ord>(&mut self, key: impl FnMut(&Entry) -> K) {
        self.entries.sort_by_cached_key(key);
    }

    /// The path of one of these files.
    pub(super) fn path(&self, entry: &Entry) -> String {
        let folder = usize::try_from(entry.folder).ok();
        let folder = folder.and_then(|it| self.folders.get(it));
        let folder = folder.map_or("", String::as_str);
        let name = self.names.get(entry.name..).unwrap_or_default();
        let name = name.split('/').next().unwrap_or_default();
        if folder.is_empty() {
            return name.to_owned();
        }
        [folder, "/", name].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_path_in_any_order() {
        let paths = ["a", "ä/b", "ä/c.yaml", "d/e/f", "ä/g", "", "h/"];
        let id = |number: usize| ObjectId::from([u8::try_from(number).expect("few"); 20]);
        let mut files = Files::default();
        for (number, path) in paths.iter().enumerate() {
            files.push(path, id(number));
        }
        files.sort_by_cached_key(|file| std::cmp::Reverse(file.id));
        let found = files.entries().iter().map(|it| (files.path(it), it.id));
        let found = found.collect::<Vec<_>>();
        let expected = paths.iter().enumerate().rev();
        let expected = expected.map(|(number, path)| ((*path).to_owned(), id(number)));
        assert_eq!(found, expected.collect::<Vec<_>>());
        assert_eq!(files.folders, ["", "ä", "d/e", "ä", "", "h"]);
    }

    #[test]
    fn a_file_takes_little_room() {
        assert_eq!(size_of::<Entry>(), 48);
    }
}
