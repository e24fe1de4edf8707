//! A commit that the forge makes, in its own name and with its signature.
//!
//! A forge puts a commit on top of a branch, but none replaces a branch while it ends in something.
//! So the commit is made on a branch of its own, beside the push branch; it is read back through Git,
//! and must stand on the base and hold the very files of the plan; then the push branch is moved to it
//! by compare-and-swap, as to any other commit. What a run that was ended leaves of such a branch, the
//! next one removes.

use super::{Run, screen};
use crate::{
    access::Vault,
    pipeline::Failure,
    scan::Registry,
    update::{
        forge::{Forge, ForgeError},
        git::{
            Branch, Chain, NewCommit, PushSettings, PushTip, Pushed, Remote, RemoteError, Snapshot,
            Source, Stamp,
        },
        message,
    },
};

/// What the name of such a branch ends in; no group's branch does.
const SUFFIX: &str = ".staging";

impl<R: Registry, G: Remote, V: Vault, F: Forge> Run<'_, R, G, V, F> {
    /// Lets the push branch end in the forge's commit; in our own, signed one, where the forge makes
    /// none and we have a key.
    pub(super) async fn stage(
        &self,
        source: &Source,
        snapshot: &Snapshot,
        commit: &NewCommit,
        remarks: &mut Vec<String>,
    ) -> Result<Pushed, Failure> {
        let error = match self.staged(source, snapshot, commit).await {
            Err(Failure::Forge(error)) => error,
            result => return result,
        };
        let is_unable = matches!(
            error,
            ForgeError::Denied { .. }
                | ForgeError::NotFound { .. }
                | ForgeError::Refused { .. }
                | ForgeError::Altered { .. }
        );
        if commit.signer.is_none() || !is_unable {
            return Err(error.into());
        }
        remarks.push(format!("{error}; the commit has our own signature"));
        Ok(self.ports.remote.push(source, snapshot, commit).await?)
    }

    async fn staged(
        &self,
        source: &Source,
        snapshot: &Snapshot,
        commit: &NewCommit,
    ) -> Result<Pushed, Failure> {
        let remote = &self.ports.remote;
        let base = &snapshot.base;
        let unsigned = NewCommit {
            signer: None,
            ..commit.clone()
        };
        let chain = Chain {
            source,
            snapshot,
            commits: std::slice::from_ref(&unsigned),
        };
        let tree = remote.tree(&chain).await?;
        let stamp = Stamp::new(&commit.automation, base, &tree, &commit.message);
        let fits = |tip: &PushTip| tip.parent.as_ref() == Some(base) && tip.tree == tree;
        let previous = snapshot.push_tip.as_ref();
        if let Some(tip) = previous.filter(|tip| fits(tip) && stamp.is_in(&tip.message)) {
            return Ok(pushed(source, tip, previous));
        }
        let staging = staging(source)?;
        let left = remote.read(&staging, screen(self.automation)).await?;
        let left = left.push_tip.map(|tip| tip.commit);
        remote.point(&staging, left.as_ref(), base).await?;
        let stamped = NewCommit {
            message: message::stamped(&commit.message, &stamp),
            ..unsigned
        };
        let branch = &staging.push_branch;
        let result = self.forge.commit(branch, base, &stamped).await;
        // The answer may be lost and the commit made; or it may say yes, and have made another one.
        let made = remote.read(&staging, screen(self.automation)).await?;
        let made = made.push_tip.filter(|tip| tip.commit != *base);
        let tip = match (result, made) {
            (Ok(()), Some(tip)) if fits(&tip) => tip,
            (Err(error), Some(tip)) if error.may_have_been_done() && fits(&tip) => tip,
            (result, made) => {
                let last = made.as_ref().map_or(base, |tip| &tip.commit);
                remote.remove(&staging, last).await?;
                let attempt = format!("make a commit on `{branch}`");
                return Err(match result {
                    Err(error) => error.into(),
                    Ok(()) => ForgeError::Altered { attempt }.into(),
                });
            }
        };
        let expected = previous.map(|it| &it.commit);
        remote.point(source, expected, &tip.commit).await?;
        remote.remove(&staging, &tip.commit).await?;
        Ok(pushed(source, &tip, previous))
    }

    /// Removes what runs that were ended have left.
    pub(super) async fn sweep(&mut self) -> Result<(), Failure> {
        let own = self.automation.remote.push_branch.as_str();
        let is_left = |branch: &&Branch| {
            let group = branch.as_str().strip_suffix(SUFFIX);
            group.is_some_and(|it| it == own || it.starts_with(&format!("{own}-")))
        };
        let left = self.branches.iter().filter(is_left).cloned();
        for branch in left.collect::<Vec<_>>() {
            let source = Source {
                push_branch: branch.clone(),
                ..self.source.clone()
            };
            let remote = &self.ports.remote;
            let snapshot = remote.read(&source, screen(self.automation)).await?;
            if let Some(tip) = snapshot.push_tip {
                remote.remove(&source, &tip.commit).await?;
            }
            self.branches.remove(&branch);
        }
        Ok(())
    }
}

/// The branch on which the forge makes its commit: nothing but that happens to it.
fn staging(source: &Source) -> Result<Source, Failure> {
    let name = format!("{}{SUFFIX}", source.push_branch);
    let push_branch = Branch::new(&name).map_err(|error| RemoteError::Refused {
        remote: crate::egress::shown(&source.url),
        reason: error.to_string(),
    })?;
    Ok(Source {
        push_branch,
        push: PushSettings::default(),
        ..source.clone()
    })
}

fn pushed(source: &Source, tip: &PushTip, previous: Option<&PushTip>) -> Pushed {
    Pushed {
        commit: tip.commit.clone(),
        branch: source.push_branch.clone(),
        previous: previous.map(|it| it.commit.clone()),
    }
}
