//! Log-ins by the identity that a cloud gives: to its registries, and to whatever else takes its
//! tokens.
//!
//! Who asks is a [`Caller`]: the machine, pod or user that tagwright runs as, or a `ServiceAccount`
//! whose tokens somebody issues. A cloud is only asked for a registry that is its own
//! ([`Cloud::owns`]); a host that merely looks like one sees no token. Everything goes out through
//! [`egress`](crate::egress), the AWS SDK's calls too; the exchange of a Google key file, which
//! `gcp_auth` makes itself, is the exception.

mod host;

#[cfg(feature = "clouds")]
mod aws;
#[cfg(feature = "clouds")]
mod azure;
#[cfg(feature = "clouds")]
mod caller;
#[cfg(feature = "clouds")]
mod environment;
#[cfg(feature = "clouds")]
mod error;
#[cfg(feature = "clouds")]
mod gcp;
#[cfg(feature = "clouds")]
mod kept;
#[cfg(feature = "clouds")]
mod log_in;
#[cfg(feature = "clouds")]
mod wire;

use std::fmt;

#[cfg(feature = "clouds")]
pub use self::{
    aws::AwsCredentials,
    caller::{Account, Caller, Issuer, Issuing},
    environment::Environment,
    error::CloudError,
    log_in::{Clouds, Way},
};

/// A cloud that gives identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cloud {
    /// Amazon Web Services: ECR and ECR Public.
    Aws,
    /// Microsoft Azure: ACR.
    Azure,
    /// Google Cloud: Artifact Registry and Container Registry.
    Gcp,
}

impl Cloud {
    /// Whether `host` is a registry of this cloud, and not one that only looks like it.
    ///
    /// ```
    /// use tagwright::cloud::Cloud;
    ///
    /// assert!(Cloud::Azure.owns("acme.azurecr.io"));
    /// assert!(!Cloud::Azure.owns("acme.azurecr.io.evil.test"));
    /// ```
    pub fn owns(self, host: &str) -> bool {
        match self {
            Self::Aws => host::ecr(host).is_some(),
            Self::Azure => host::acr(host).is_some(),
            Self::Gcp => host::is_google(host),
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Aws => "AWS",
            Self::Azure => "Azure",
            Self::Gcp => "Google Cloud",
        })
    }
}
