//! Who asks a cloud for an identity.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::Arc,
};

use super::CloudError;
use crate::secret::Secret;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// The machine, pod or user that tagwright runs as.
    Ambient,
    /// A tenant's `ServiceAccount`, and nobody else.
    Account(Account),
}

/// A `ServiceAccount` of a cluster, and who issues its tokens.
#[derive(Clone)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its annotations, which say whom it is in a cloud.
    pub annotations: BTreeMap<String, String>,
    /// Issues its tokens.
    pub issuer: Arc<dyn Issuer>,
}

/// Issues tokens of `ServiceAccount`s.
pub trait Issuer: Send + Sync {
    /// A new token of `account`, which lives shortly and is good for `audience` alone.
    fn token<'a>(&'a self, account: &'a Account, audience: &'a str) -> Issuing<'a>;
}

/// A token on its way.
pub type Issuing<'a> =
    Pin<Box<dyn Future<Output = Result<Secret<String>, CloudError>> + Send + 'a>>;

impl Account {
    /// A new token that is good for `audience` alone.
    pub(super) async fn token(&self, audience: &str) -> Result<Secret<String>, CloudError> {
        self.issuer.token(self, audience).await
    }

    /// The annotation `name`, or the reason why this account is nobody in the cloud.
    pub(super) fn needs(&self, name: &'static str) -> Result<&str, CloudError> {
        let value = self.annotations.get(name).map(String::as_str);
        value.ok_or_else(|| self.unfit(format!("it has no annotation `{name}`")))
    }

    pub(super) fn unfit(&self, reason: String) -> CloudError {
        CloudError::Account {
            account: self.to_string(),
            reason,
        }
    }

    fn identity(&self) -> (&str, &str, &BTreeMap<String, String>) {
        (&self.namespace, &self.name, &self.annotations)
    }
}

// Who issues the tokens is no part of who somebody is: a process has one cluster.
impl PartialEq for Account {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Account {}

impl Hash for Account {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Display for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Account({self})")
    }
}
