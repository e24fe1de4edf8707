//! The front door: who is whom in which cloud.

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    AwsCredentials, Caller, Cloud, CloudError, Environment, aws, azure, codecommit, gcp, host,
    kept::{Given, Kept},
};
use crate::{
    egress::{Egress, EgressError, Route},
    secret::{Proof, Secret},
};

/// The user of Google's registries that an access token is the password of.
const GOOGLE_USER: &str = "oauth2accesstoken";
/// What a token is for that Azure DevOps is to believe: its id is the same for everybody.
const DEVOPS_SCOPE: &str = "499b84ac-1321-427f-aa17-267ca6975798/.default";

/// The clouds, and what they gave; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Clouds {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Of its own: metadata services are at addresses that no tenant's setting may lead to.
    egress: Egress,
    environment: Environment,
    proofs: Kept<Key, Proof>,
    tokens: Kept<Key, Secret<String>>,
    credentials: Kept<Key, AwsCredentials>,
}

/// By which way a cloud is asked, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// Proxy and trust. Metadata services are always asked directly.
    pub route: &'a Route,
    /// When the answer must be there.
    pub deadline: Instant,
}

impl<'a> Way<'a> {
    /// The same time, another way.
    pub(super) fn by<'b>(self, route: &'b Route) -> Way<'b>
    where
        'a: 'b,
    {
        Way { route, ..self }
    }
}

/// What something was asked for with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    cloud: Cloud,
    purpose: String,
    caller: Caller,
    route: Route,
}

/// What is asked with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub(super) egress: &'a Egress,
    pub(super) environment: &'a Environment,
    pub(super) caller: &'a Caller,
    pub(super) way: Way<'a>,
}

impl Clouds {
    /// The clouds as this process finds them, with what they gave to anybody in it.
    pub fn of_process() -> &'static Self {
        static CLOUDS: LazyLock<Clouds> = LazyLock::new(|| Clouds::with(Environment::of_process()));
        &CLOUDS
    }

    /// The clouds as `environment` describes them; the AWS SDK looks at the process's own.
    pub fn with(environment: Environment) -> Self {
        Self {
            shared: Arc::new(Shared {
                environment,
                ..Shared::default()
            }),
        }
    }

    /// What opens the registry `host` for `caller`.
    ///
    /// # Errors
    ///
    /// When the registry is none of the cloud's, before anybody is asked, or when the cloud gives
    /// nothing.
    pub async fn registry(
        &self,
        cloud: Cloud,
        host: &str,
        caller: &Caller,
        way: Way<'_>,
    ) -> Result<Proof, CloudError> {
        if !cloud.owns(host) {
            return Err(CloudError::ForeignHost {
                cloud,
                host: host.to_owned(),
            });
        }
        let asking = self.asking(caller, way);
        let ask = async {
            match cloud {
                Cloud::Aws => aws::registry(host, asking).await,
                Cloud::Azure => azure::registry(host, asking).await,
                Cloud::Gcp => {
                    let token = gcp::token(asking).await?;
                    Ok(token.map(|password| Proof::Basic {
                        username: Secret::new(GOOGLE_USER.to_owned()),
                        password,
                    }))
                }
            }
        };
        // Every registry of a region has the same log-in, and so have all of Google's.
        let purpose = match (cloud, host::ecr(host)) {
            (Cloud::Aws, Some(host::Ecr::Private { region })) => region,
            (Cloud::Gcp, _) => "registry",
            _ => host,
        };
        let key = key(cloud, purpose, caller, way);
        let ask = Box::pin(in_time(cloud, way, ask));
        self.shared.proofs.get(key, ask).await
    }

    /// What opens the Git remote `remote` for `caller` at the time `now`; it ends within minutes, so it
    /// is asked for again for every request. Asking again is cheap: what a cloud gave is kept.
    ///
    /// # Errors
    ///
    /// When the remote is none of the cloud's, before anybody is asked, or when the cloud gives
    /// nothing.
    pub async fn git_remote(
        &self,
        cloud: Cloud,
        remote: &Url,
        caller: &Caller,
        way: Way<'_>,
        now: DateTime<Utc>,
    ) -> Result<Proof, CloudError> {
        let host = remote.host_str().unwrap_or_default();
        let foreign = || CloudError::ForeignRemote {
            cloud,
            host: host.to_owned(),
        };
        if !cloud.owns_remote(remote) {
            return Err(foreign());
        }
        match cloud {
            Cloud::Aws => {
                let region = host::codecommit(host).ok_or_else(foreign)?;
                let credentials = self.aws_credentials(region, caller, way).await?;
                let path = remote.path().trim_end_matches('/');
                let place = codecommit::Place { region, host, path };
                Ok(codecommit::sign(&credentials, place, now))
            }
            Cloud::Azure => {
                let token = self.entra_token(DEVOPS_SCOPE, caller, way).await?;
                Ok(Proof::Bearer(token))
            }
            Cloud::Gcp => Err(foreign()),
        }
    }

    /// A token of Microsoft Entra ID for `scope`, such as `https://example.com/.default`.
    ///
    /// # Errors
    ///
    /// When there is no identity, or Entra refuses.
    pub async fn entra_token(
        &self,
        scope: &str,
        caller: &Caller,
        way: Way<'_>,
    ) -> Result<Secret<String>, CloudError> {
        let ask = azure::token(scope, host::Sovereignty::Public, self.asking(caller, way));
        let key = key(Cloud::Azure, scope, caller, way);
        let ask = in_time(Cloud::Azure, way, ask);
        self.shared.tokens.get(key, ask).await
    }

    /// An access token of Google Cloud.
    ///
    /// # Errors
    ///
    /// When there is no identity, or Google refuses.
    pub async fn google_token(
        &self,
        caller: &Caller,
        way: Way<'_>,
    ) -> Result<Secret<String>, CloudError> {
        let key = key(Cloud::Gcp, "token", caller, way);
        let ask = in_time(Cloud::Gcp, way, gcp::token(self.asking(caller, way)));
        self.shared.tokens.get(key, ask).await
    }

    /// What requests to AWS in `region` are signed with.
    ///
    /// # Errors
    ///
    /// When there is no identity, or AWS refuses.
    pub async fn aws_credentials(
        &self,
        region: &str,
        caller: &Caller,
        way: Way<'_>,
    ) -> Result<AwsCredentials, CloudError> {
        let key = key(Cloud::Aws, region, caller, way);
        let ask = aws::credentials(region, self.asking(caller, way));
        let ask = Box::pin(in_time(Cloud::Aws, way, ask));
        self.shared.credentials.get(key, ask).await
    }

    fn asking<'a>(&'a self, caller: &'a Caller, way: Way<'a>) -> Asking<'a> {
        Asking {
            egress: &self.shared.egress,
            environment: &self.shared.environment,
            caller,
            way,
        }
    }
}

fn key(cloud: Cloud, purpose: &str, caller: &Caller, way: Way<'_>) -> Key {
    Key {
        cloud,
        purpose: purpose.to_owned(),
        caller: caller.clone(),
        route: way.route.clone(),
    }
}

async fn in_time<T>(
    cloud: Cloud,
    way: Way<'_>,
    ask: impl Future<Output = Result<Given<T>, CloudError>>,
) -> Result<Given<T>, CloudError> {
    let given = timeout_at(way.deadline, ask).await;
    given.unwrap_or_else(|_| {
        Err(CloudError::Unreachable {
            cloud,
            source: EgressError::Timeout(cloud.to_string()),
        })
    })
}
