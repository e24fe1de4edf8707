//! Commits that are made in the repository itself: by a forge, for a program or for a person.

use std::path::Path;

use gix::{
    ObjectId,
    objs::{
        Commit, Tree,
        tree::{Entry, EntryKind},
    },
};

/// What happens to the modes of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Modes {
    Kept,
    Plain,
    Executable,
}

/// A commit with the forge's own signature.
pub(crate) struct OwnCommit<'a> {
    pub(crate) parent: &'a str,
    pub(crate) message: &'a str,
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) modes: Modes,
}

impl OwnCommit<'_> {
    pub(crate) fn make(&self, repository: &Path) -> String {
        let repository = gix::open_opts(repository, gix::open::Options::isolated());
        let repository = repository.expect("a repository");
        let parent = self.parent.parse::<ObjectId>().expect("an id");
        let tree = repository.find_commit(parent).expect("a commit").tree_id();
        let mut tree = tree.expect("a tree").detach();
        for (path, bytes) in &self.files {
            let parts = path.split('/').collect::<Vec<_>>();
            tree = self.replaced(&repository, tree, &parts, bytes);
        }
        let signature = gix::actor::Signature {
            name: "GitHub".into(),
            email: "noreply@github.com".into(),
            time: gix::date::Time::new(1_767_600_000, 0),
        };
        let commit = Commit {
            tree,
            parents: [parent].into_iter().collect(),
            author: signature.clone(),
            committer: signature,
            encoding: None,
            message: self.message.into(),
            extra_headers: vec![("gpgsig".into(), "-----BEGIN PGP SIGNATURE-----\n".into())],
        };
        let id = repository.write_object(&commit).expect("a commit");
        id.to_string()
    }

    fn replaced(
        &self,
        repository: &gix::Repository,
        tree: ObjectId,
        path: &[&str],
        bytes: &[u8],
    ) -> ObjectId {
        let (name, below) = path.split_first().expect("a path has a part");
        let found = repository.find_tree(tree).expect("a tree");
        let entries = found.iter().map(|it| it.expect("an entry"));
        let entries = entries.map(|it| {
            let mut entry = Entry {
                mode: it.mode(),
                filename: it.filename().to_owned(),
                oid: it.object_id(),
            };
            if entry.filename != *name {
                return entry;
            }
            if below.is_empty() {
                entry.oid = repository.write_blob(bytes).expect("a blob").detach();
                entry.mode = match self.modes {
                    Modes::Kept => entry.mode,
                    Modes::Plain => EntryKind::Blob.into(),
                    Modes::Executable => EntryKind::BlobExecutable.into(),
                };
            } else {
                entry.oid = self.replaced(repository, entry.oid, below, bytes);
            }
            entry
        });
        let entries = entries.collect();
        let id = repository.write_object(&Tree { entries });
        id.expect("a tree").detach()
    }
}
