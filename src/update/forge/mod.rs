//! Pull requests: what is to happen to one, and the forges on which it happens.
//!
//! The pure half words a request ([`body`]), hides in it what must be remembered ([`note`]), divides
//! changes among requests ([`group`]), says when one may be opened ([`schedule`]) and which step comes
//! next ([`life`]). The effect half is the [`Forge`] port with one file for each product. A request is
//! found by its branch and the note in its body, never by its title.

pub mod note;

pub mod group;
pub mod life;
pub mod schedule;

pub mod body;
pub mod markdown;
pub mod origin;
pub mod standing;

mod any;
mod client;
mod place;

mod azure_devops;
mod bitbucket_cloud;
mod bitbucket_data_center;
mod gitea;
mod github;
mod gitlab;

use std::future::Future;

use chrono::{DateTime, Utc};
use serde::Serialize;

use self::note::Note;
pub use self::{
    any::{Access, AnyForge},
    place::{Kind, Place, PlaceError},
};
use super::git::{Branch, CommitId, NewCommit, ProviderError};
use crate::{egress::EgressError, error::Class};

/// How long a title may be: the shortest limit of any forge.
pub const MAX_TITLE: usize = 250;

/// A forge's repository, real or simulated.
pub trait Forge: Sync {
    /// The requests from our own branch `head`, in any state, newest first.
    fn of_branch(
        &self,
        head: &Branch,
    ) -> impl Future<Output = Result<Vec<Request>, ForgeError>> + Send;

    /// Every open request of the repository whose branch lies in the repository itself.
    fn open(&self) -> impl Future<Output = Result<Vec<Request>, ForgeError>> + Send;

    /// Opens a request.
    fn create(
        &self,
        proposal: &NewRequest,
    ) -> impl Future<Output = Result<Request, ForgeError>> + Send;

    /// Changes the title, the body, or both.
    fn edit(
        &self,
        request: &Request,
        text: &Text,
    ) -> impl Future<Output = Result<(), ForgeError>> + Send;

    /// Adds labels, reviewers, assignees and the milestone, and gives what the forge did not take, in
    /// words: none of them is worth the request.
    fn decorate(
        &self,
        request: &Request,
        wish: &Decoration,
    ) -> impl Future<Output = Result<Vec<String>, ForgeError>> + Send;

    /// Asks the forge to merge the request by itself, while it ends in `head`.
    fn arm(
        &self,
        request: &Request,
        merge: Merge,
        head: &CommitId,
    ) -> impl Future<Output = Result<(), ForgeError>> + Send;

    /// Adds a comment to the request with this number.
    fn comment(
        &self,
        number: u64,
        text: &str,
    ) -> impl Future<Output = Result<(), ForgeError>> + Send;

    /// The comments on the request with this number, the oldest first.
    fn comments(
        &self,
        number: u64,
    ) -> impl Future<Output = Result<Vec<Comment>, ForgeError>> + Send;

    /// Gives a comment other words.
    fn reword(
        &self,
        number: u64,
        comment: &Comment,
        text: &str,
    ) -> impl Future<Output = Result<(), ForgeError>> + Send;

    /// Makes a commit in the forge's own name, and with its signature, on a branch that ends in
    /// `parent`.
    fn commit(
        &self,
        branch: &Branch,
        parent: &CommitId,
        commit: &NewCommit,
    ) -> impl Future<Output = Result<(), ForgeError>> + Send {
        let _ = (parent, commit);
        async move {
            Err(ForgeError::Refused {
                attempt: format!("make a commit on `{branch}`"),
                reason: "this forge makes none that it signs".to_owned(),
            })
        }
    }

    /// Closes the request without merging it.
    fn close(&self, request: &Request) -> impl Future<Output = Result<(), ForgeError>> + Send;
}

/// A pull or merge request, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number that people call it by.
    pub number: u64,
    /// The page that people look at.
    pub url: String,
    /// The title, without what marks a draft.
    pub title: String,
    /// The body.
    pub body: String,
    /// The branch that it comes from, in this repository.
    pub head: String,
    /// The branch that it goes to.
    pub base: String,
    /// Whether it is open.
    pub state: State,
    /// Whether it is ready to be merged.
    pub readiness: Readiness,
    /// When it was opened, where the forge says so.
    pub created: Option<DateTime<Utc>>,
}

impl Request {
    /// What the body remembers, where we wrote it.
    pub fn note(&self) -> Option<Note> {
        Note::find(&self.body)
    }
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It waits.
    Open,
    /// Its commits are in the base branch.
    Merged,
    /// Somebody closed it.
    Closed,
}

/// What somebody said about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// What the forge calls it.
    pub id: String,
    /// What it says.
    pub text: String,
}

/// A request to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    /// Our own branch.
    pub head: Branch,
    /// The branch that it is to go to.
    pub base: Branch,
    /// Title and body.
    pub text: Text,
    /// Whether it is ready to be merged.
    pub readiness: Readiness,
}

/// Title and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The title.
    pub title: String,
    /// The body.
    pub body: String,
}

/// Whether a request is ready to be merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// It is.
    #[default]
    Ready,
    /// Somebody has to say so first.
    Draft,
}

/// What is hung on a request once, when it is new; a person may take it off again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoration {
    /// Labels, by name.
    pub labels: Vec<String>,
    /// Reviewers, by user name.
    pub reviewers: Vec<String>,
    /// Teams or groups of reviewers, by name.
    pub teams: Vec<String>,
    /// Assignees, by user name.
    pub assignees: Vec<String>,
    /// The milestone, by title.
    pub milestone: Option<String>,
}

impl Decoration {
    /// Whether there is nothing to hang on.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How many requests of one automation there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Open at once.
    pub open: Option<u32>,
    /// Opened in an hour, as far as they are still open.
    pub per_hour: Option<u32>,
}

/// Who merges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merge {
    /// A person.
    #[default]
    ByHand,
    /// The forge, once everything it waits for is there.
    Automatic(MergeMethod),
    /// The forge's merge queue or train.
    Queue,
}

/// Who makes the commit of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Committer {
    /// We do, and push it.
    #[default]
    Git,
    /// The forge does, in its own name and with its signature.
    Forge,
}

/// How commits get into the base branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergeMethod {
    /// By a merge commit.
    #[default]
    Merge,
    /// As one commit.
    Squash,
    /// On top of the base branch.
    Rebase,
}

/// Why a forge did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// There was no answer; what was asked for may have been done all the same.
    #[error("cannot {attempt}: there is no answer")]
    Unreachable {
        /// What was tried.
        attempt: String,
        /// The cause.
        source: EgressError,
    },
    /// There is no token to ask with.
    #[error("cannot {attempt}: nobody gives us a token")]
    NoToken {
        /// What was tried.
        attempt: String,
        /// The cause.
        source: ProviderError,
    },
    /// The forge has trouble of its own.
    #[error("cannot {attempt}: the forge cannot answer now ({reason})")]
    Unavailable {
        /// What was tried.
        attempt: String,
        /// The status and what the forge said, on one line.
        reason: String,
    },
    /// The forge wants us to wait.
    #[error("cannot {attempt}: the forge asks to wait {seconds} s")]
    RateLimited {
        /// What was tried.
        attempt: String,
        /// How long.
        seconds: u64,
    },
    /// The forge does not let us.
    #[error("cannot {attempt}: the forge refused us ({reason})")]
    Denied {
        /// What was tried.
        attempt: String,
        /// The status and what the forge said, on one line.
        reason: String,
    },
    /// There is no such repository or request, or none that we may see.
    #[error("cannot {attempt}: the forge knows nothing of it")]
    NotFound {
        /// What was tried.
        attempt: String,
    },
    /// The forge understood, and does not want it.
    #[error("cannot {attempt}: the forge said no ({reason})")]
    Refused {
        /// What was tried.
        attempt: String,
        /// The status and what the forge said, on one line.
        reason: String,
    },
    /// The forge made a commit that holds something else than it was given.
    #[error("cannot {attempt}: the forge made other files of it than it was given")]
    Altered {
        /// What was tried.
        attempt: String,
    },
    /// The answer is not what the forge's description promises.
    #[error("cannot {attempt}: the answer cannot be read: {detail}")]
    Protocol {
        /// What was tried.
        attempt: String,
        /// How, on one line.
        detail: String,
    },
}

impl ForgeError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable { source, .. } if !source.is_transient() => Class::Config,
            Self::Unreachable { .. } | Self::Unavailable { .. } | Self::RateLimited { .. } => {
                Class::Transient
            }
            Self::Denied { .. } | Self::NotFound { .. } => Class::Denied,
            Self::NoToken { source, .. } => source.class(),
            Self::Refused { .. } | Self::Altered { .. } => Class::Config,
            Self::Protocol { .. } => Class::Bug,
        }
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Denied { .. } => {
                "the token needs the right to read and write pull requests of this repository"
            }
            Self::NotFound { .. } => {
                "check `project` and `api`; a private repository also looks like this without a token"
            }
            Self::Altered { .. } => {
                "the forge's API does not keep what is special about a file, such as its being \
                 executable: leave `commitBy` away, and sign with `git.commit.signingKey`"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// Whether what was asked for may have been done all the same, or before, and looking again tells:
    /// an answer may be lost, and a forge refuses a second request from one branch.
    pub fn may_have_been_done(&self) -> bool {
        !matches!(
            self,
            Self::NoToken { .. }
                | Self::RateLimited { .. }
                | Self::Denied { .. }
                | Self::NotFound { .. }
        )
    }
}

/// Lets a refusal of what is not worth the request be a note about it; everything else stays an error.
fn note_refusal<T>(
    result: Result<T, ForgeError>,
    refused: &mut Vec<String>,
) -> Result<(), ForgeError> {
    match result {
        Ok(_) => Ok(()),
        Err(
            error @ (ForgeError::Refused { .. }
            | ForgeError::NotFound { .. }
            | ForgeError::Denied { .. }),
        ) => {
            refused.push(error.to_string());
            Ok(())
        }
        Err(error) => Err(error),
    }
}
