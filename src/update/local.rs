//! A folder on this machine, read and written without Git.
//!
//! Symbolic links are never followed, `.git` is never entered, and a file is replaced by renaming a
//! complete copy over it, so that no reader ever sees half a file.
#![expect(clippy::disallowed_methods, reason = "this is the edge to local files")]

use std::{
    fs, io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::git::{Interest, Screen, Skipped, SourceFile};
use crate::error::Class;

/// How large a file may be to be looked at.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// The reason for passing over a larger one.
const TOO_LARGE: &str = "larger than 4 MiB";
/// How deep folders are entered.
const MAX_DEPTH: usize = 64;

/// The files of a folder that may hold markers.
#[derive(Debug, Default)]
pub struct LocalTree {
    /// The folder that the paths start from.
    pub root: PathBuf,
    /// Those that the screen kept, by path relative to the folder.
    pub files: Vec<SourceFile>,
    /// How many files were looked at.
    pub looked_at: usize,
    /// Entries that were passed over although their name fits.
    pub skipped: Vec<Skipped>,
}

/// Why a folder could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Reading failed.
    #[error("cannot read `{path}`")]
    Read {
        /// The file or folder.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// Writing failed; the file is as it was.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// Some files were replaced, and then one could not be.
    #[error("cannot replace `{path}`, after {done} other files were written")]
    Partly {
        /// The file.
        path: String,
        /// How many files hold their new contents.
        done: usize,
        /// The cause.
        source: io::Error,
    },
    /// The file is not what it was when it was read; nothing was written to it.
    #[error("`{0}` changed while we were deciding")]
    Changed(String),
}

impl LocalError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Read { .. } | Self::Write { .. } | Self::Partly { .. } => Class::Config,
            Self::Changed(_) => Class::Conflict,
        }
    }
}

/// Reads the files of a folder that `screen` keeps, or a single file, over all processors.
///
/// A link that was pointed at is followed: the file or folder behind it is what is read and written.
///
/// # Errors
///
/// The first folder that cannot be listed or file that cannot be read: a tree with holes would
/// look complete.
pub fn read(root: &Path, screen: &dyn Screen) -> Result<LocalTree, LocalError> {
    let root = &fs::canonicalize(root).map_err(|source| read_error(root, source))?;
    let metadata = fs::metadata(root).map_err(|source| read_error(root, source))?;
    if !metadata.is_dir() {
        return read_one(root);
    }
    let walk = Walk::new(root, screen);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = std::thread::scope(|scope| {
        let handles = (0..workers).map(|_| scope.spawn(|| walk.work()));
        let handles = handles.collect::<Vec<_>>();
        let parts = handles.into_iter().map(std::thread::ScopedJoinHandle::join);
        parts.collect::<Vec<_>>()
    });
    let mut tree = LocalTree {
        root: root.clone(),
        ..LocalTree::default()
    };
    for part in parts {
        let part = part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        tree.files.extend(part.files);
        tree.looked_at += part.looked_at;
        tree.skipped.extend(part.skipped);
    }
    tree.files.sort_by(|left, right| left.path.cmp(&right.path));
    tree.skipped
        .sort_by(|left, right| left.path.cmp(&right.path));
    Ok(tree)
}

/// Reads the file `name` of a folder, where it is a regular one; nothing where `root` is a file.
///
/// # Errors
///
/// When it is there and cannot be read.
pub fn settings(root: &Path, name: &str) -> Result<Option<Vec<u8>>, LocalError> {
    let path = root.join(name);
    let is_file = fs::symlink_metadata(&path).is_ok_and(|it| it.is_file());
    is_file.then(|| read_bounded(&path)).transpose()
}

/// Replaces files that still hold what was read; their permissions stay.
///
/// Every new file is complete on the disk before the first one takes its place, so that a full disk
/// or a folder without rights changes nothing.
///
/// # Errors
///
/// When a file changed meanwhile or cannot be written. The files are then as they were, unless the
/// very last step failed for some of them, which the error says.
pub fn replace(root: &Path, files: &[(&SourceFile, &[u8])]) -> Result<(), LocalError> {
    let ready = files
        .iter()
        .map(|(old, new)| prepare(&root.join(&old.path), old, new))
        .collect::<Result<Vec<_>, _>>()?;
    for (done, (copy, path)) in ready.into_iter().enumerate() {
        copy.persist(&path).map_err(|error| LocalError::Partly {
            path: path.display().to_string(),
            done,
            source: error.error,
        })?;
    }
    Ok(())
}

/// Writes the new file beside the old one.
fn prepare(
    path: &Path,
    old: &SourceFile,
    new: &[u8],
) -> Result<(tempfile::NamedTempFile, PathBuf), LocalError> {
    let failed = |source| LocalError::Write {
        path: path.display().to_string(),
        source,
    };
    if read_bounded(path)? != old.bytes {
        return Err(LocalError::Changed(path.display().to_string()));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut copy = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    copy.write_all(new).map_err(failed)?;
    let permissions = fs::metadata(path).map_err(failed)?.permissions();
    copy.as_file()
        .set_permissions(permissions)
        .map_err(failed)?;
    copy.as_file().sync_all().map_err(failed)?;
    Ok((copy, path.to_owned()))
}

/// Reads a single file, whatever its name is: the user pointed at it.
fn read_one(path: &Path) -> Result<LocalTree, LocalError> {
    let bytes = read_bounded(path)?;
    let name = path
        .file_name()
        .map(|it| it.to_string_lossy().into_owned())
        .unwrap_or_default();
    let root = path.parent().map(Path::to_owned).unwrap_or_default();
    let mut tree = LocalTree {
        root,
        looked_at: 1,
        ..LocalTree::default()
    };
    if bytes.len() as u64 <= MAX_FILE {
        tree.files.push(SourceFile { path: name, bytes });
    } else {
        tree.skipped.push(Skipped {
            path: name,
            reason: TOO_LARGE.to_owned(),
        });
    }
    Ok(tree)
}

/// Reads a file, and one byte more than the limit where it is larger.
fn read_bounded(path: &Path) -> Result<Vec<u8>, LocalError> {
    let failed = |source| read_error(path, source);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

fn read_error(path: &Path, source: io::Error) -> LocalError {
    LocalError::Read {
        path: path.display().to_string(),
        source,
    }
}

/// Folders that wait for a worker; shared by all workers.
struct Walk<'a> {
    root: &'a Path,
    screen: &'a dyn Screen,
    waiting: Mutex<Vec<(PathBuf, usize)>>,
    /// Folders that wait or are being read: none left means that the walk is over.
    unfinished: AtomicUsize,
}

/// Counts a folder as read when it goes, also by a panic: the other workers must not wait for it.
struct Finished<'a>(&'a AtomicUsize);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<'a> Walk<'a> {
    fn new(root: &'a Path, screen: &'a dyn Screen) -> Self {
        let waiting = Mutex::new(vec![(PathBuf::new(), 0)]);
        Self {
            root,
            screen,
            waiting,
            unfinished: AtomicUsize::new(1),
        }
    }

    fn work(&self) -> Result<LocalTree, LocalError> {
        let mut part = LocalTree::default();
        let mut buffer = Vec::new();
        let mut result = Ok(());
        while self.unfinished.load(Ordering::Acquire) > 0 {
            let next = self
                .waiting
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .pop();
            let Some((folder, depth)) = next else {
                std::thread::yield_now();
                continue;
            };
            let _finished = Finished(&self.unfinished);
            if result.is_ok() {
                result = self.read_folder(&folder, depth, &mut buffer, &mut part);
            }
        }
        result.map(|()| part)
    }

    fn read_folder(
        &self,
        folder: &Path,
        depth: usize,
        buffer: &mut Vec<u8>,
        part: &mut LocalTree,
    ) -> Result<(), LocalError> {
        let full = self.root.join(folder);
        for entry in fs::read_dir(&full).map_err(|source| read_error(&full, source))? {
            let entry = entry.map_err(|source| read_error(&full, source))?;
            let kind = entry
                .file_type()
                .map_err(|source| read_error(&entry.path(), source))?;
            let relative = folder.join(entry.file_name());
            let Some(path) = relative.to_str() else {
                let path = relative.to_string_lossy().escape_debug().to_string();
                if self.screen.interest(&path) != Interest::Nothing {
                    part.skipped.push(Skipped {
                        path,
                        reason: "its name is not UTF-8".into(),
                    });
                }
                continue;
            };
            if kind.is_dir() {
                if entry.file_name() != ".git" {
                    self.enter(relative, depth + 1, part);
                }
            } else if self.screen.interest(path) != Interest::Nothing {
                if kind.is_symlink() || !kind.is_file() {
                    let reason = if kind.is_symlink() {
                        "a symbolic link"
                    } else {
                        "no regular file"
                    };
                    part.skipped.push(Skipped {
                        path: path.to_owned(),
                        reason: reason.to_owned(),
                    });
                } else {
                    self.read_file(path, buffer, part)?;
                }
            }
        }
        Ok(())
    }

    fn enter(&self, folder: PathBuf, depth: usize, part: &mut LocalTree) {
        if depth > MAX_DEPTH {
            let reason = format!("deeper than {MAX_DEPTH} folders");
            part.skipped.push(Skipped {
                path: folder.display().to_string(),
                reason,
            });
            return;
        }
        self.unfinished.fetch_add(1, Ordering::AcqRel);
        let mut waiting = self
            .waiting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        waiting.push((folder, depth));
    }

    fn read_file(
        &self,
        path: &str,
        buffer: &mut Vec<u8>,
        part: &mut LocalTree,
    ) -> Result<(), LocalError> {
        let full = self.root.join(path);
        let failed = |source| read_error(&full, source);
        buffer.clear();
        let file = fs::File::open(&full).map_err(failed)?;
        let read = file
            .take(MAX_FILE + 1)
            .read_to_end(buffer)
            .map_err(failed)?;
        part.looked_at += 1;
        if read as u64 > MAX_FILE {
            part.skipped.push(Skipped {
                path: path.to_owned(),
                reason: TOO_LARGE.to_owned(),
            });
        } else if self.screen.interest(path) == Interest::Kept || self.screen.keeps(path, buffer) {
            part.files.push(SourceFile {
                path: path.to_owned(),
                bytes: buffer.clone(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::targets::Targets;

    const MARKED: &str = "image: a/b:1 # {\"$imagepolicy\": \"n:p\"}\n";

    #[test]
    fn reads_marked_files_and_follows_no_links() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a.yaml", MARKED);
        write("deep/.hidden/b.yml", MARKED);
        write("deep/Kustomization", MARKED);
        write("plain.yaml", "a: 1\n");
        write("notes.txt", MARKED);
        write(".git/c.yaml", MARKED);
        std::os::unix::fs::symlink("a.yaml", folder.path().join("link.yaml")).unwrap();
        let tree = read(folder.path(), &Targets::default()).unwrap();
        let paths = tree
            .files
            .iter()
            .map(|file| file.path.as_str())
            .collect::<Vec<_>>();
        assert_eq!(
            paths,
            ["a.yaml", "deep/.hidden/b.yml", "deep/Kustomization"]
        );
        assert_eq!(tree.looked_at, 4);
        assert_eq!(tree.skipped[0].path, "link.yaml");
    }

    #[test]
    fn replaces_only_what_it_read_and_keeps_the_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let file = SourceFile {
            path: "a.yaml".into(),
            bytes: b"old".to_vec(),
        };
        replace(folder.path(), &[(&file, b"new")]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o755
        );
        let error = replace(folder.path(), &[(&file, b"newer")]).unwrap_err();
        assert!(matches!(error, LocalError::Changed(_)), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn one_file_that_cannot_be_written_keeps_all_from_being_written() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "old").unwrap();
        let file = |path: &str| SourceFile {
            path: path.into(),
            bytes: b"old".to_vec(),
        };
        let (first, gone) = (file("a.yaml"), file("gone/b.yaml"));
        let error = replace(folder.path(), &[(&first, b"new"), (&gone, b"new")]);
        assert!(error.is_err());
        assert_eq!(fs::read(folder.path().join("a.yaml")).unwrap(), b"old");
    }

    #[test]
    fn what_is_no_regular_file_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        // A socket stands for everything that would hang or surprise a reader.
        std::os::unix::net::UnixListener::bind(folder.path().join("x.yaml")).unwrap();
        let tree = read(folder.path(), &Targets::default()).unwrap();
        assert_eq!(tree.skipped[0].reason, "no regular file");
    }
}
