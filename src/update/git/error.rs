//! Why a remote could not be read or pushed to.

use std::io;

use crate::{
    egress::{EgressError, ssh::SshError},
    error::Class,
    secret::Proof,
};

use super::{ProviderError, SignerError};

/// Why a remote could not be read or pushed to.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There was no answer.
    #[error("cannot reach the Git remote `{remote}`")]
    Unreachable {
        /// The remote's address.
        remote: String,
        /// The cause.
        source: EgressError,
    },
    /// The SSH server could not be used.
    #[error("cannot reach the Git remote `{remote}`")]
    Ssh {
        /// The remote's address.
        remote: String,
        /// The cause.
        source: Box<SshError>,
    },
    /// There is no token for it.
    #[error("cannot log in to the Git remote `{remote}`")]
    Provider {
        /// The remote's address.
        remote: String,
        /// The cause.
        source: Box<ProviderError>,
    },
    /// The time was up.
    #[error("gave up on the Git remote `{remote}`: its timeout has passed")]
    Timeout {
        /// The remote's address.
        remote: String,
    },
    /// The server has trouble of its own, or wants us to wait.
    #[error("the Git remote `{remote}` cannot answer now: {reason}")]
    Unavailable {
        /// The remote's address.
        remote: String,
        /// The status and what the server said, on one line.
        reason: String,
    },
    /// The server does not let us in.
    #[error("the Git remote `{remote}` refused us: {reason}")]
    Denied {
        /// The remote's address.
        remote: String,
        /// The status and what the server said, on one line.
        reason: String,
    },
    /// There is no repository at the address.
    #[error("there is no Git repository at `{remote}`")]
    NotFound {
        /// The remote's address.
        remote: String,
    },
    /// The repository answers at another address by now.
    #[error("the Git remote `{remote}` has moved to `{target}`; nothing is pushed there")]
    Renamed {
        /// The address as configured.
        remote: String,
        /// The address that the server points to.
        target: String,
    },
    /// The repository holds no branch at all.
    #[error("the Git repository at `{remote}` is empty")]
    EmptyRepository {
        /// The remote's address.
        remote: String,
    },
    /// The branch does not exist.
    #[error("there is no branch `{branch}` in `{remote}`")]
    NoBranch {
        /// The remote's address.
        remote: String,
        /// The branch.
        branch: String,
        /// Some branches that do exist.
        others: Vec<String>,
    },
    /// The tag or other reference does not exist.
    #[error("there is no `{reference}` in `{remote}`")]
    NoReference {
        /// The remote's address.
        remote: String,
        /// The reference's full name, or the commit.
        reference: String,
    },
    /// No tag is a version in the range.
    #[error("no tag of `{remote}` is a version in `{range}`")]
    NoVersion {
        /// The remote's address.
        remote: String,
        /// The range.
        range: String,
    },
    /// The update path does not exist, or is not reached by folders alone.
    #[error("cannot read `{path}` in `{remote}`: {reason}")]
    NoPath {
        /// The remote's address.
        remote: String,
        /// The path, escaped.
        path: String,
        /// What stands there instead.
        reason: &'static str,
    },
    /// A tree holds a name that could be taken for something else.
    #[error("refused the tree at `{path}` in `{remote}`: {reason}")]
    UnsafeTree {
        /// The remote's address.
        remote: String,
        /// The path, escaped.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A limit of ours was reached.
    #[error("the repository at `{remote}` is over a limit: {limit}")]
    Limit {
        /// The remote's address.
        remote: String,
        /// The limit, in words.
        limit: &'static str,
    },
    /// The branch moved between reading and pushing; nothing was written.
    #[error("branch `{branch}` of `{remote}` moved while we were deciding")]
    Moved {
        /// The remote's address.
        remote: String,
        /// The branch.
        branch: String,
    },
    /// The refspec's reference carries somebody else's commit.
    #[error("`{reference}` of `{remote}` ends in a commit by {author}, which is not overwritten")]
    Foreign {
        /// The remote's address.
        remote: String,
        /// The reference.
        reference: String,
        /// The email address of the commit's author.
        author: String,
    },
    /// The server did not accept the commit, and the branch did not move.
    #[error("the Git remote `{remote}` did not accept the push to `{branch}`: {reason}")]
    Rejected {
        /// The remote's address.
        remote: String,
        /// The branch.
        branch: String,
        /// What the server and its hooks said, on one line.
        reason: String,
    },
    /// What would be built on is not signed by whom it has to be.
    #[error("refused to build on {subject} of `{remote}`: {reason}")]
    Unverified {
        /// The remote's address.
        remote: String,
        /// The commit or tag.
        subject: String,
        /// What is wrong with its signature.
        reason: String,
    },
    /// The commit cannot be signed, and is not made without a signature.
    #[error("cannot sign the commit to `{remote}`")]
    Unsigned {
        /// The remote's address.
        remote: String,
        /// The cause.
        source: SignerError,
    },
    /// The commit to be made would not change, or not be confined to, what it says.
    #[error("refused to commit to `{remote}`: {reason}")]
    Refused {
        /// The remote's address.
        remote: String,
        /// What is wrong with the commit.
        reason: String,
    },
    /// The server speaks a Git that we do not.
    #[error("the Git remote `{remote}` cannot be used: {reason}")]
    Unsupported {
        /// The remote's address.
        remote: String,
        /// What is missing.
        reason: String,
    },
    /// The server broke the protocol.
    #[error("the Git remote `{remote}` broke the protocol: {detail}")]
    Protocol {
        /// The remote's address.
        remote: String,
        /// How, on one line.
        detail: String,
    },
    /// An object that must be there is not.
    #[error("object `{id}` of `{remote}` is missing or damaged")]
    Incomplete {
        /// The remote's address.
        remote: String,
        /// The object.
        id: String,
    },
    /// The local store could not be read or written.
    #[error("cannot {attempt} for `{remote}`")]
    Store {
        /// The remote's address.
        remote: String,
        /// What we tried.
        attempt: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl RemoteError {
    /// The same error, without what the server said where that repeats `proof`.
    #[must_use]
    pub(super) fn without_echo(mut self, proof: &Proof) -> Self {
        let (Self::Unavailable { reason: said, .. }
        | Self::Denied { reason: said, .. }
        | Self::Rejected { reason: said, .. }
        | Self::Unsupported { reason: said, .. }
        | Self::Protocol { detail: said, .. }
        | Self::Renamed { target: said, .. }) = &mut self
        else {
            return self;
        };
        if proof.is_echoed_in(said) {
            "its words repeat our credential and are not shown".clone_into(said);
        }
        self
    }

    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Ssh { source, .. } => source.class(),
            Self::Provider { source, .. } => source.class(),
            Self::Unreachable { source, .. } if source.is_transient() => Class::Transient,
            Self::Unreachable { .. }
            | Self::NoBranch { .. }
            | Self::NoReference { .. }
            | Self::NoVersion { .. }
            | Self::EmptyRepository { .. }
            | Self::NoPath { .. }
            | Self::UnsafeTree { .. }
            | Self::Limit { .. }
            | Self::Renamed { .. }
            | Self::Foreign { .. }
            | Self::Unsigned { .. }
            | Self::Unsupported { .. } => Class::Config,
            // The store may have been lost between reading and pushing; the next read fills it.
            Self::Timeout { .. }
            | Self::Unavailable { .. }
            | Self::Incomplete { .. }
            | Self::Store { .. } => Class::Transient,
            Self::Denied { .. }
            | Self::NotFound { .. }
            | Self::Rejected { .. }
            | Self::Unverified { .. } => Class::Denied,
            Self::Moved { .. } => Class::Conflict,
            Self::Refused { .. } | Self::Protocol { .. } => Class::Bug,
        }
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Ssh { source, .. } => source.hint()?,
            Self::Provider { source, .. } => source.hint()?,
            Self::Denied { .. } => "check the credential, and that it may read and write here",
            Self::NotFound { .. } => {
                "check the address; private repositories also look like this without a credential"
            }
            Self::Renamed { target, .. } => return Some(format!("set the address to `{target}`")),
            Self::EmptyRepository { .. } => "push a first commit",
            Self::NoBranch { others, .. } if !others.is_empty() => {
                return Some(format!("there is: {}", others.join(", ")));
            }
            Self::NoVersion { .. } => {
                "tags count that have all three numbers, like `v1.2.3`; pre-releases only where \
                 the range names one"
            }
            Self::NoPath { .. } => {
                "check the update path; symbolic links and submodules are not followed"
            }
            Self::Unverified { .. } => {
                "sign what is pushed there, or add its signer's public key to the Secret of \
                 `spec.verify`"
            }
            Self::Foreign { .. } => {
                "merge or delete it, or put a `+` before the refspec to overwrite it"
            }
            Self::Rejected { .. } => {
                "a protected branch wants a pull request: set a push branch of its own"
            }
            Self::Timeout { .. } => "raise the timeout, or narrow the update path",
            Self::Limit { .. } => "narrow the update path, or split the repository",
            Self::Unreachable { source, .. } if !source.is_transient() => {
                "check the address, the certificate authority and the proxy"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
