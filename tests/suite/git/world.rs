//! A repository to test against, made without `git`, and `git` as a witness of what became of it.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use chrono::{DateTime, Utc};
use gix::{
    ObjectId,
    objs::{Commit, Tree, tree},
};
use tagwright::{
    egress::Egress,
    update::git::{
        Author, Branch, GitRemote, Interest, NewCommit, Pushed, Remote as _, RemoteError, Screen,
        Snapshot, Source, SourceFile, UpdatePath, remote_url,
    },
};
use tempfile::TempDir;

use super::git_server;

/// What stands at a path.
#[derive(Clone, Copy)]
pub(crate) enum Node<'a> {
    File(&'a str),
    Executable(&'a str),
    SymbolicLink(&'a str),
    Submodule,
}

/// A bare repository `fleet.git`, and a remote with an empty store.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) remote: GitRemote,
}

impl World {
    /// A world whose repository is empty.
    pub(crate) fn empty() -> Self {
        Self::with_hash(gix::hash::Kind::Sha1)
    }

    pub(crate) fn with_hash(hash: gix::hash::Kind) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let options = gix::create::Options {
            object_hash: Some(hash),
            ..Default::default()
        };
        let path = folder.path().join("fleet.git");
        gix::create::into(path.clone(), gix::create::Kind::Bare, options).expect("a repository");
        let configuration = path.join("config");
        let mut text = fs::read_to_string(&configuration).expect("a configuration");
        text.push_str("[http]\n\treceivepack = true\n");
        fs::write(configuration, text).expect("a configuration");
        let remote = GitRemote::new(Egress::new(), folder.path().join("store"));
        Self { folder, remote }
    }

    /// A world whose repository has these files on `main`.
    pub(crate) fn of(files: &[(&str, Node<'_>)]) -> Self {
        let world = Self::empty();
        world.commit("main", files);
        world
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.folder.path().join("fleet.git")
    }

    /// Lets a branch point to a new commit with these files and the old tip as its parent.
    pub(crate) fn commit(&self, branch: &str, files: &[(&str, Node<'_>)]) -> String {
        let files: BTreeMap<&str, Node<'_>> = files.iter().copied().collect();
        let tree = write_tree(&self.open(), &files);
        self.commit_tree(branch, tree)
    }

    /// The same, with a tree that exists.
    pub(crate) fn commit_tree(&self, branch: &str, tree: ObjectId) -> String {
        let repository = self.open();
        let parent = self.tip(branch);
        let signature = gix::actor::Signature {
            name: "Human".into(),
            email: "human@example.com".into(),
            time: gix::date::Time {
                seconds: 1_700_000_000 + i64::from(parent.is_some()),
                offset: 3600,
            },
        };
        let parent = parent.map(|id| ObjectId::from_hex(id.as_bytes()).expect("an id"));
        let commit = repository
            .write_object(Commit {
                tree,
                parents: parent.into_iter().collect(),
                author: signature.clone(),
                committer: signature,
                encoding: None,
                message: "by hand\n".into(),
                extra_headers: Vec::new(),
            })
            .expect("a commit");
        self.set(branch, &commit.to_string());
        commit.to_string()
    }

    /// Writes a tree byte by byte, however odd.
    pub(crate) fn raw_tree(&self, entries: &[(&str, &[u8], ObjectId)]) -> ObjectId {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(format!("{mode} ").as_bytes());
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend_from_slice(id.as_slice());
        }
        gix::objs::Write::write_buf(&self.open().objects, gix::objs::Kind::Tree, &bytes)
            .expect("a tree")
    }

    pub(crate) fn blob(&self, text: &str) -> ObjectId {
        self.open().write_blob(text).expect("a blob").detach()
    }

    pub(crate) fn open(&self) -> gix::Repository {
        gix::open_opts(self.repository(), gix::open::Options::isolated()).expect("a repository")
    }

    pub(crate) fn set(&self, branch: &str, commit: &str) {
        set(&self.repository(), branch, commit);
    }

    /// Where a branch points to.
    pub(crate) fn tip(&self, branch: &str) -> Option<String> {
        let file = self.repository().join("refs/heads").join(branch);
        fs::read_to_string(file)
            .ok()
            .map(|text| text.trim().to_owned())
    }

    /// The repository as a `file:` remote, `main` read and pushed.
    pub(crate) fn source(&self) -> Source {
        let path = self.repository();
        let url = format!(
            "file://{}",
            path.to_str().expect("a temporary path is text")
        );
        Source::new(remote_url(&url).expect("an address"), branch("main"))
    }

    pub(crate) async fn read(&self, source: &Source) -> Result<Snapshot, RemoteError> {
        self.remote.read(source, Arc::new(Marked::default())).await
    }

    pub(crate) async fn push(
        &self,
        source: &Source,
        snapshot: &Snapshot,
        path: &str,
        text: &str,
    ) -> Result<Pushed, RemoteError> {
        let commit = NewCommit {
            path: source.path.clone(),
            ..change(path, text)
        };
        self.remote.push(source, snapshot, &commit).await
    }

    /// Asks `git` about the repository; it must be content.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = git_server::git()
            .arg("-C")
            .arg(self.repository())
            .args(["-c", "safe.directory=*", "-c", "core.quotePath=false"])
            .args(arguments)
            .output()
            .expect("git can be started");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Asks `git` whether every object is sound.
    pub(crate) fn assert_sound(&self) {
        if has_git() {
            self.git(&["fsck", "--strict", "--full", "--no-dangling"]);
        }
    }

    /// Adds to the repository's own configuration.
    pub(crate) fn configure(&self, text: &str) {
        let file = self.repository().join("config");
        let old = fs::read_to_string(&file).expect("a configuration");
        fs::write(file, format!("{old}{text}\n")).expect("a configuration");
    }

    /// Whether the remote keeps an object in its one store.
    pub(crate) fn keeps(&self, id: &str) -> bool {
        let stores = fs::read_dir(self.folder.path().join("store")).expect("the store");
        let folders: Vec<_> = stores.map(|it| it.expect("a folder").path()).collect();
        assert_eq!(folders.len(), 1, "one store");
        let objects = gix::odb::at(folders[0].join("objects"), gix::hash::Kind::Sha1);
        let id = ObjectId::from_hex(id.as_bytes()).expect("an id");
        gix::objs::Exists::exists(&objects.expect("objects"), &id)
    }

    pub(crate) fn hook(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = self.repository().join("hooks");
        fs::create_dir_all(&folder).expect("a folder for hooks");
        let file = folder.join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a hook");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a hook");
    }
}

/// Keeps YAML files that hold the word `marked`, and every `kept.txt`.
#[derive(Debug, Default)]
pub(crate) struct Marked {
    pub(crate) version: &'static str,
    /// How many files it looked into.
    pub(crate) looks: AtomicUsize,
}

impl Screen for Marked {
    fn interest(&self, path: &str) -> Interest {
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = Path::new(name).extension();
        if name == "kept.txt" {
            Interest::Kept
        } else if name == "Kustomization" || extension.is_some_and(|it| it == "yaml" || it == "yml")
        {
            Interest::Searched
        } else {
            Interest::Nothing
        }
    }

    fn keeps(&self, _: &str, bytes: &[u8]) -> bool {
        self.looks.fetch_add(1, Ordering::Relaxed);
        bytes.windows(6).any(|window| window == b"marked")
    }

    fn version(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.version)
    }
}

pub(crate) fn set(repository: &Path, branch: &str, commit: &str) {
    let file = repository.join("refs/heads").join(branch);
    fs::create_dir_all(file.parent().expect("a branch has a folder")).expect("a folder");
    fs::write(file, format!("{commit}\n")).expect("a reference");
}

pub(crate) fn branch(name: &str) -> Branch {
    Branch::new(name).expect("a branch")
}

pub(crate) fn path(text: &str) -> UpdatePath {
    UpdatePath::new(text).expect("a path")
}

pub(crate) fn paths(snapshot: &Snapshot) -> Vec<&str> {
    snapshot
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect()
}

pub(crate) fn skipped(snapshot: &Snapshot) -> Vec<(&str, &str)> {
    let skipped = snapshot.skipped.iter();
    skipped
        .map(|it| (it.path.as_str(), it.reason.as_str()))
        .collect()
}

/// A commit of the bot that gives one file other bytes.
pub(crate) fn change(path: &str, text: &str) -> NewCommit {
    NewCommit {
        automation: "apps/fleet".to_owned(),
        path: UpdatePath::default(),
        files: vec![SourceFile {
            path: path.to_owned(),
            bytes: text.as_bytes().to_vec(),
        }],
        message: "Update images\n\nweb: 1.0 -> 1.1\n".to_owned(),
        author: Author {
            name: "Bot".to_owned(),
            email: "bot@example.com".to_owned(),
        },
        time: time(1_800_000_000),
        signer: None,
    }
}

pub(crate) fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("a time")
}

/// Whether `git` can be asked; where it cannot, the test says so, and fails in CI.
#[expect(
    clippy::print_stdout,
    reason = "what was left out stands in the test's output"
)]
pub(crate) fn has_git() -> bool {
    if git_server::git().arg("--version").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "`git` is not on the path");
    println!("left out: `git` is not on the path");
    false
}

fn write_tree(repository: &gix::Repository, files: &BTreeMap<&str, Node<'_>>) -> ObjectId {
    let mut entries = Vec::new();
    let mut folders: BTreeMap<&str, BTreeMap<&str, Node<'_>>> = BTreeMap::new();
    let blob = |text: &str| repository.write_blob(text).expect("a blob").detach();
    for (path, node) in files {
        if let Some((folder, rest)) = path.split_once('/') {
            folders.entry(folder).or_default().insert(rest, *node);
            continue;
        }
        let (kind, oid) = match node {
            Node::File(text) => (tree::EntryKind::Blob, blob(text)),
            Node::Executable(text) => (tree::EntryKind::BlobExecutable, blob(text)),
            Node::SymbolicLink(target) => (tree::EntryKind::Link, blob(target)),
            Node::Submodule => (tree::EntryKind::Commit, ObjectId::from([7; 20])),
        };
        entries.push(tree::Entry {
            mode: kind.into(),
            filename: (*path).into(),
            oid,
        });
    }
    for (folder, files) in &folders {
        entries.push(tree::Entry {
            mode: tree::EntryKind::Tree.into(),
            filename: (*folder).into(),
            oid: write_tree(repository, files),
        });
    }
    entries.sort();
    repository
        .write_object(Tree { entries })
        .expect("a tree")
        .detach()
}
