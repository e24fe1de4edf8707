//! Why a cloud gave no token.

use super::Cloud;
use crate::{egress::EgressError, error::Class};

/// Why a cloud gave no token. None of it shows what was sent.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The registry is not the cloud's, so it gets no token of it.
    #[error("`{host}` is no registry of {cloud}")]
    ForeignHost {
        /// The cloud that was named.
        cloud: Cloud,
        /// The registry.
        host: String,
    },
    /// The Git remote is not the cloud's, so it gets no token of it.
    #[error("`{host}` is no Git remote of {cloud} over https")]
    ForeignRemote {
        /// The cloud that was named.
        cloud: Cloud,
        /// The remote's host.
        host: String,
    },
    /// The `ServiceAccount` is nobody in the cloud.
    #[error("ServiceAccount `{account}` cannot log in: {reason}")]
    Account {
        /// Its namespace and name.
        account: String,
        /// What is missing.
        reason: String,
    },
    /// The cluster issued no token for the `ServiceAccount`.
    #[error("the cluster issues no token for ServiceAccount `{account}`")]
    NotIssued {
        /// Its namespace and name.
        account: String,
        /// What kind of trouble this is.
        class: Class,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing around this process gives it an identity.
    #[error("found no identity for {cloud}: {reason}")]
    NoIdentity {
        /// The cloud.
        cloud: Cloud,
        /// Where it was looked for, or what is wrong with what was found.
        reason: String,
    },
    /// There was no answer.
    #[error("cannot ask {cloud} for a token")]
    Unreachable {
        /// The cloud.
        cloud: Cloud,
        /// The cause.
        source: EgressError,
    },
    /// The cloud refused.
    #[error("{cloud} gives no token: {reason}")]
    Refused {
        /// The cloud.
        cloud: Cloud,
        /// What it said, on one line.
        reason: String,
        /// Whether asking again later may help.
        class: Class,
    },
    /// The answer is not what it has to be.
    #[error("the answer of {cloud} is not understood: {reason}")]
    Unfit {
        /// The cloud.
        cloud: Cloud,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl CloudError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match self {
            Self::NotIssued { class, .. } | Self::Refused { class, .. } => *class,
            Self::Unreachable { source, .. } if source.is_transient() => Class::Transient,
            Self::ForeignHost { .. }
            | Self::ForeignRemote { .. }
            | Self::Account { .. }
            | Self::NoIdentity { .. }
            | Self::Unreachable { .. } => Class::Config,
            Self::Unfit { .. } => Class::Bug,
        }
    }

    /// What a person may do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::ForeignHost { .. } => {
                Some("name the cloud that the registry is of, or none".to_owned())
            }
            Self::ForeignRemote { .. } => {
                Some("name the cloud that the remote is of, or use a Secret".to_owned())
            }
            Self::Account { .. } => Some(
                "annotate it as the cloud's workload identity asks for; docs/registries.md has a table"
                    .to_owned(),
            ),
            Self::NoIdentity { .. } => Some(
                "run where the cloud gives an identity, or name a ServiceAccount that has one"
                    .to_owned(),
            ),
            Self::Refused {
                class: Class::Denied,
                ..
            } => Some("look at the trust policy of the identity, and at its rights".to_owned()),
            _ => None,
        }
    }
}
