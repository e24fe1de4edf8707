//! Log-ins by the identity that a cloud gives: to its registries, to its Git remotes, and to whatever
//! else takes its tokens.
//!
//! Who asks is a [`Caller`]: the machine, pod or user that tagwright runs as, or a `ServiceAccount`
//! whose tokens somebody issues. A cloud is only asked for a registry or a remote that is its own
//! ([`Cloud::owns`], [`Cloud::owns_remote`]); a host that merely looks like one sees no token. Everything goes out through
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
mod codecommit;
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

use url::Url;

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

    /// Whether `remote` is a Git remote of this cloud over https, at the port that is its own.
    ///
    /// ```
    /// use tagwright::cloud::Cloud;
    ///
    /// let remote = "https://dev.azure.com/acme/fleet/_git/fleet".parse()?;
    /// assert!(Cloud::Azure.owns_remote(&remote));
    /// let remote = "https://dev.azure.com.evil.test/acme/fleet/_git/fleet".parse()?;
    /// assert!(!Cloud::Azure.owns_remote(&remote));
    /// # Ok::<(), url::ParseError>(())
    /// ```
    pub fn owns_remote(self, remote: &Url) -> bool {
        let host = remote.host_str().unwrap_or_default();
        let is_own = match self {
            Self::Aws => host::codecommit(host).is_some(),
            Self::Azure => host::is_azure_devops(host),
            Self::Gcp => false,
        };
        is_own && remote.scheme() == "https" && remote.port().is_none()
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
