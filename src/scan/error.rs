//! Why a scan gave nothing.

use std::{fmt, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::{
    egress::EgressError,
    error::Class,
    image::{Digest, Repository},
};

/// Why a scan gave nothing.
///
/// `image` is what was asked for: a repository, with a tag where a digest was looked up.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The registry does not know the repository or the tag.
    #[error("`{image}` was not found")]
    NotFound {
        /// What was asked for.
        image: String,
    },
    /// The registry, or its token service, does not let us read.
    #[error("`{host}` does not let us read `{image}` {who}")]
    Denied {
        /// What was asked for.
        image: String,
        /// Who refused.
        host: String,
        /// Whom it refused.
        who: Who,
        /// What it said about it.
        source: Option<Complaint>,
    },
    /// The registry asked us to wait, and longer than this scan may take.
    #[error("`{host}` asked us to wait{} (429)", Until(*until))]
    RateLimited {
        /// Who asked.
        host: String,
        /// Whose allowance is used up.
        who: Who,
        /// Until when, where it said so.
        until: Option<DateTime<Utc>>,
    },
    /// The registry names a token service that we do not go to.
    #[error("the token service `{realm}`, which `{host}` names, is not used: {reason}")]
    RealmNotAllowed {
        /// The registry.
        host: String,
        /// The token service, without query and user information.
        realm: String,
        /// What is wrong with it.
        reason: RealmFault,
    },
    /// The listing ends before its end.
    #[error("the listing of `{repository}` is not complete: {reason}")]
    Truncated {
        /// What was listed.
        repository: Repository,
        /// How that is known.
        reason: String,
    },
    /// A page points out of the repository: to another scheme, host, port or path.
    #[error("the listing of `{repository}` goes on at `{next}`, which is outside of it")]
    PagingLeft {
        /// What was listed.
        repository: Repository,
        /// Where the page points to.
        next: String,
    },
    /// A page points to one that was read before.
    #[error("the listing of `{repository}` goes in circles at `{next}`")]
    PagingLoop {
        /// What was listed.
        repository: Repository,
        /// Where the page points to.
        next: String,
    },
    /// The registry sent more than we are willing to read.
    #[error("the answer for `{image}` passes the limit of {limit} {unit}")]
    LimitPassed {
        /// What was asked for.
        image: String,
        /// The limit.
        limit: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// The answer breaks the protocol.
    #[error("the answer of `{host}` for `{image}` cannot be read: {reason}")]
    Malformed {
        /// What was asked for.
        image: String,
        /// Who answered.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The manifest is not the one that its digest names.
    #[error("the manifest of `{image}` was announced as {announced} and is {found}")]
    DigestMismatch {
        /// What was asked for.
        image: String,
        /// The digest in the header.
        announced: Digest,
        /// The digest of the body.
        found: Digest,
    },
    /// The registry answered with a failure that has no variant of its own.
    #[error("`{host}` answered {status} for `{image}`")]
    Failed {
        /// What was asked for.
        image: String,
        /// Who answered.
        host: String,
        /// The HTTP status.
        status: u16,
        /// What it said about it.
        source: Option<Complaint>,
    },
    /// There was no answer.
    #[error("cannot ask the registry for `{image}`")]
    Egress {
        /// What was asked for.
        image: String,
        /// Why not.
        source: EgressError,
    },
    /// The time for the whole scan was up.
    #[error("`{image}` could not be read within {} s", timeout.as_secs_f64())]
    Timeout {
        /// What was asked for.
        image: String,
        /// How long it was allowed to take.
        timeout: Duration,
    },
}

/// In whose name a registry was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// In nobody's: there was no credential for this place.
    Anonymous,
    /// In the name of the docker configuration's entry for this key.
    Entry(String),
}

/// What is wrong with a token service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealmFault {
    /// It is no address, or one with user information or a fragment.
    NoAddress,
    /// It is not encrypted, and the registry is.
    Unencrypted,
    /// It is an address of a local network, and the registry is not.
    Local,
    /// It is at another place than the credential was configured for.
    Foreign,
}

/// What a server said about its refusal: one line, escaped, of at most 512 bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry says: {0}")]
pub struct Complaint(pub(super) String);

impl ScanError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match self {
            Self::NotFound { .. } | Self::RealmNotAllowed { .. } | Self::LimitPassed { .. } => {
                Class::Config
            }
            Self::Denied { .. } => Class::Denied,
            Self::RateLimited { .. } | Self::Timeout { .. } | Self::Truncated { .. } => {
                Class::Transient
            }
            Self::PagingLeft { .. }
            | Self::PagingLoop { .. }
            | Self::Malformed { .. }
            | Self::DigestMismatch { .. } => Class::Bug,
            Self::Failed { status, .. } => match status {
                408 | 500.. => Class::Transient,
                _ => Class::Bug,
            },
            Self::Egress { source, .. } if source.is_transient() => Class::Transient,
            Self::Egress { .. } => Class::Config,
        }
    }

    /// What a person may do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { .. } => {
                "check the spelling; some registries hide what the credential may not read"
            }
            Self::Denied { who, .. } => match who {
                Who::Anonymous => "name a secret with a credential for this registry",
                Who::Entry(_) => {
                    "check that the credential is current and may pull this repository"
                }
            },
            Self::RateLimited { who, .. } => match who {
                Who::Anonymous => "log in; anonymous calls have a smaller allowance",
                Who::Entry(_) => "scan less often, or ask the registry for a larger allowance",
            },
            Self::RealmNotAllowed {
                realm,
                reason: RealmFault::Foreign,
                ..
            } => {
                let authority = url::Url::parse(realm).ok();
                let authority = authority.as_ref().map_or("host", |url| url.authority());
                return Some(format!(
                    "if it belongs to the registry, allow it: \
                     `tagwright.dev/token-realms: {authority}`"
                ));
            }
            Self::PagingLeft { .. } => {
                "a proxy in front of the registry may rewrite its host or scheme; set them there"
            }
            Self::Egress { source, .. } => return egress_hint(source),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn egress_hint(error: &EgressError) -> Option<String> {
    let hint = match error {
        EgressError::Certificate { .. } => {
            "if the registry has a private CA, give it as `ca.crt` in `certSecretRef`"
        }
        EgressError::NotTls { .. } => "if the registry speaks http only, set `insecure: true`",
        EgressError::Redirect { .. } => "name the registry by the address it redirects to",
        _ => return None,
    };
    Some(hint.to_owned())
}

impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => formatter.write_str("as anonymous"),
            Self::Entry(key) => write!(formatter, "with the credential for `{key}`"),
        }
    }
}

impl fmt::Display for RealmFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoAddress => "it is no plain http address",
            Self::Unencrypted => "it is not encrypted, as the registry is",
            Self::Local => "it is an address of a local network, which the registry is not in",
            Self::Foreign => "the credential was not configured for it",
        })
    }
}

struct Until(Option<DateTime<Utc>>);

impl fmt::Display for Until {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(until) = self.0 else {
            return Ok(());
        };
        let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
        write!(formatter, " until {until}")
    }
}
