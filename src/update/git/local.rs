//! Remotes that are repositories on this machine: objects are read in place, written loose, and the
//! branch is moved under its lock. Hooks are not run.
#![expect(
    clippy::disallowed_methods,
    reason = "a `file:` remote is read from the disk, and which branches its work trees use too"
)]

use std::{collections::BTreeMap, fs, io, path::PathBuf, time::Duration};

use bstr::ByteSlice as _;
use gix::{
    ObjectId,
    actor::Signature,
    lock::acquire::Fail,
    refs::{
        FullName, Target,
        transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog},
    },
};
use url::Url;

use super::{
    NewCommit, Refspec, RemoteError,
    commit::{Made, signature},
    objects::Objects,
    push::{is_author, short},
    reference::Overwrites,
};

/// How long a reference that somebody else has locked is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// A repository on this machine.
pub(super) struct Local {
    repository: gix::Repository,
    remote: String,
}

impl Local {
    /// Opens a bare repository, or the one of a work tree; no configuration but its own is read.
    pub(super) fn open(url: &Url, remote: &str) -> Result<Self, RemoteError> {
        let not_found = || RemoteError::NotFound {
            remote: remote.to_owned(),
        };
        let path = url.to_file_path().map_err(|()| not_found())?;
        let repository =
            gix::open_opts(path, gix::open::Options::isolated()).map_err(|_| not_found())?;
        Ok(Self {
            repository,
            remote: remote.to_owned(),
        })
    }

    pub(super) fn objects(&self) -> Result<Objects, RemoteError> {
        let folder = self.repository.common_dir().join("objects");
        Objects::open(&folder, self.repository.object_hash(), &self.remote)
    }

    /// Where a reference points to, called by its full name.
    pub(super) fn tip(&self, reference: &str) -> Result<Option<ObjectId>, RemoteError> {
        let name = self.full_name(reference)?;
        let found = self
            .repository
            .refs
            .try_find(name.as_ref().as_partial_name());
        let Some(found) = found.map_err(|error| self.failed("read a branch", error))? else {
            return Ok(None);
        };
        match found.target {
            Target::Object(id) => Ok(Some(id)),
            Target::Symbolic(_) => Err(RemoteError::Unsupported {
                remote: self.remote.clone(),
                reason: format!("its `{reference}` is another name for a branch"),
            }),
        }
    }

    /// The commit that a reference leads to, through tags.
    pub(super) fn commit_of(&self, reference: &str) -> Result<Option<ObjectId>, RemoteError> {
        let Some(id) = self.tip(reference)? else {
            return Ok(None);
        };
        let found = self.repository.find_object(id);
        let peeled = found.and_then(|it| Ok(it.peel_tags_to_end()?.id));
        peeled
            .map(Some)
            .map_err(|error| self.failed("follow a tag", error))
    }

    /// The names of some branches.
    pub(super) fn some_branches(&self, count: usize) -> Result<Vec<String>, RemoteError> {
        let failed = |error| self.failed("list the branches", error);
        let platform = self.repository.references().map_err(failed)?;
        let branches = platform.local_branches().map_err(failed)?;
        Ok(branches
            .filter_map(Result::ok)
            .map(|branch| branch.name().shorten().to_string())
            .take(count)
            .collect())
    }

    /// The tags by their full names, each with the commit or other object that it leads to.
    pub(super) fn tags(&self) -> Result<BTreeMap<String, ObjectId>, RemoteError> {
        let failed = |error| self.failed("list the tags", error);
        let platform = self.repository.references().map_err(failed)?;
        let tags = platform.tags().map_err(failed)?.filter_map(Result::ok);
        let tags = tags.filter_map(|mut tag| {
            let name = tag.name().as_bstr().to_str().ok()?.to_owned();
            Some((name, tag.peel_to_id().ok()?.detach()))
        });
        Ok(tags.collect())
    }

    /// Moves one more reference to the commit, unless somebody else's commit would be lost.
    pub(super) fn push_also(
        &self,
        refspec: &Refspec,
        allowed: &[ObjectId],
        made: &Made,
        commits: &[NewCommit],
    ) -> Result<(), RemoteError> {
        let reference = refspec.destination();
        let current = self.tip(reference)?;
        if current == Some(made.tip) {
            return Ok(());
        }
        if let (Some(tip), Overwrites::Own) = (current, refspec.overwrites())
            && !allowed.contains(&tip)
        {
            let author = self.objects()?.commit(&tip)?.author_email;
            if !is_author(&author, commits) {
                return Err(RemoteError::Foreign {
                    remote: self.remote.clone(),
                    reference: reference.to_owned(),
                    author,
                });
            }
        }
        self.push(reference, current, made, commits)
    }

    /// Writes the objects and moves a reference from `expected` to the commit.
    pub(super) fn push(
        &self,
        reference: &str,
        expected: Option<ObjectId>,
        made: &Made,
        commits: &[NewCommit],
    ) -> Result<(), RemoteError> {
        let moved = || RemoteError::Moved {
            remote: self.remote.clone(),
            branch: short(reference).to_owned(),
        };
        if self.tip(reference)? != expected {
            return Err(moved());
        }
        self.refuse_checked_out(reference)?;
        let objects = self.objects()?;
        for object in &made.objects {
            objects.write(object.kind, &object.bytes)?;
        }
        let name = self.full_name(reference)?;
        let committer = commits.last().map(|it| signature(&it.author, it.time));
        let committer = committer.unwrap_or_default();
        let result = self.move_branch(name, expected, made.tip, &committer);
        match self.tip(reference)? {
            Some(tip) if tip == made.tip => Ok(()),
            tip if tip != expected => Err(moved()),
            _ => Err(match result {
                Err(error) => self.failed("move a branch", error),
                Ok(()) => RemoteError::Rejected {
                    remote: self.remote.clone(),
                    branch: short(reference).to_owned(),
                    reason: "the branch did not move".to_owned(),
                },
            }),
        }
    }

    /// Removes a reference, if it ends in `expected`.
    pub(super) fn remove(&self, reference: &str, expected: ObjectId) -> Result<(), RemoteError> {
        let moved = || RemoteError::Moved {
            remote: self.remote.clone(),
            branch: short(reference).to_owned(),
        };
        match self.tip(reference)? {
            None => return Ok(()),
            Some(tip) if tip != expected => return Err(moved()),
            Some(_) => {}
        }
        self.refuse_checked_out(reference)?;
        let edit = RefEdit {
            change: Change::Delete {
                expected: PreviousValue::MustExistAndMatch(Target::Object(expected)),
                log: RefLog::AndReference,
            },
            name: self.full_name(reference)?,
            deref: false,
        };
        let wait = Fail::AfterDurationWithBackoff(LOCK_WAIT);
        let transaction = self.repository.refs.transaction();
        let prepared = transaction.prepare(Some(edit), wait, wait);
        let result = prepared.and_then(|it| it.commit(None));
        match self.tip(reference)? {
            None => Ok(()),
            Some(tip) if tip != expected => Err(moved()),
            Some(_) => Err(match result {
                Err(error) => self.failed("remove a branch", error),
                Ok(_) => moved(),
            }),
        }
    }

    fn move_branch(
        &self,
        branch: FullName,
        expected: Option<ObjectId>,
        new: ObjectId,
        committer: &Signature,
    ) -> Result<(), gix::Error> {
        let edit = RefEdit {
            change: Change::Update {
                log: LogChange {
                    mode: RefLog::AndReference,
                    force_create_reflog: false,
                    message: "push by tagwright".into(),
                },
                expected: match expected {
                    Some(id) => PreviousValue::MustExistAndMatch(Target::Object(id)),
                    None => PreviousValue::MustNotExist,
                },
                new: Target::Object(new),
            },
            name: branch,
            deref: false,
        };
        let wait = Fail::AfterDurationWithBackoff(LOCK_WAIT);
        let transaction = self.repository.refs.transaction();
        let mut time = gix::date::parse::TimeBuf::default();
        transaction
            .prepare(Some(edit), wait, wait)?
            .commit(committer.to_ref(&mut time))?;
        Ok(())
    }

    /// Refuses to move a branch under a work tree, which would then seem to undo our commit.
    fn refuse_checked_out(&self, reference: &str) -> Result<(), RemoteError> {
        let configuration = self.repository.config_snapshot();
        let policy = configuration.string("receive.denyCurrentBranch");
        let policy = policy.map(|value| value.to_str_lossy().to_ascii_lowercase());
        let is_allowed = matches!(
            policy.as_deref(),
            Some("ignore" | "warn" | "false" | "no" | "off" | "0")
        );
        if is_allowed {
            return Ok(());
        }
        let Some(place) = self.checked_out(reference)? else {
            return Ok(());
        };
        Err(RemoteError::Rejected {
            remote: self.remote.clone(),
            branch: short(reference).to_owned(),
            reason: format!(
                "the branch is checked out in `{}`, and receive.denyCurrentBranch does not allow \
                 to move it",
                place.display()
            ),
        })
    }

    fn checked_out(&self, reference: &str) -> Result<Option<PathBuf>, RemoteError> {
        let mut heads = Vec::new();
        if let Some(folder) = self.repository.workdir() {
            heads.push((self.repository.git_dir().join("HEAD"), folder.to_owned()));
        }
        let failed = |error| self.failed("list the work trees", error);
        for worktree in self.repository.worktrees().map_err(failed)? {
            let head = worktree.git_dir().join("HEAD");
            let folder = worktree
                .base()
                .unwrap_or_else(|_| worktree.git_dir().to_owned());
            heads.push((head, folder));
        }
        let checked_out = format!("ref: {reference}");
        Ok(heads
            .into_iter()
            .find(|(head, _)| {
                fs::read_to_string(head).is_ok_and(|text| text.trim_end() == checked_out)
            })
            .map(|(_, folder)| folder))
    }

    fn full_name(&self, reference: &str) -> Result<FullName, RemoteError> {
        FullName::try_from(reference).map_err(|error| RemoteError::Store {
            remote: self.remote.clone(),
            attempt: "read a branch",
            source: io::Error::other(error),
        })
    }

    fn failed(&self, attempt: &'static str, error: gix::Error) -> RemoteError {
        RemoteError::Store {
            remote: self.remote.clone(),
            attempt,
            source: io::Error::other(error),
        }
    }
}
