//! Azure: tokens of Microsoft Entra ID, and their exchange at a container registry.
//!
//! Two requests, and no SDK. Entra: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>,
//! managed identities: <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>,
//! registries: <https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md>.

use std::path::Path;

use serde::Deserialize;
use url::form_urlencoded;

use super::{
    Caller, Cloud, CloudError,
    environment::{self, Environment},
    host::{self, Sovereignty},
    kept::Given,
    log_in::Asking,
    wire::{Body, Question, TokenReply, metadata_route},
};
use crate::{
    egress::Route,
    secret::{Proof, Secret},
};

/// For whom a token of a `ServiceAccount` is made that Entra is to believe.
const AUDIENCE: &str = "api://AzureADTokenExchange";
/// What a token is for that a registry is to believe; the same in every cloud of Microsoft's.
const REGISTRY_SCOPE: &str = "https://containerregistry.azure.net/.default";
/// How a client proves who it is by a token of somebody else.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The metadata service of a machine.
const METADATA: &str = "http://169.254.169.254";
/// Which tenant and which application a `ServiceAccount` is.
const TENANT_ID: &str = "azure.workload.identity/tenant-id";
const CLIENT_ID: &str = "azure.workload.identity/client-id";
/// The variables that say the same of this process.
const TENANT_VARIABLE: &str = "AZURE_TENANT_ID";
const CLIENT_VARIABLE: &str = "AZURE_CLIENT_ID";

/// What a registry gives for a token of Entra.
#[derive(Deserialize)]
struct Exchanged {
    refresh_token: String,
}

/// Where the operator says which cloud this is.
#[derive(Default, Deserialize)]
struct OwnCloud {
    #[serde(rename = "resourceManagerEndpoint")]
    resource_manager: Option<String>,
}

/// A client of Entra that proves who it is.
struct Client<'c> {
    tenant: &'c str,
    id: &'c str,
    proof: ClientProof,
}

enum ClientProof {
    Secret(Secret<String>),
    Assertion(Secret<String>),
}

/// What opens the registry `host`: a refresh token, which its own token service takes.
pub(super) async fn registry(host: &str, asking: Asking<'_>) -> Result<Given<Proof>, CloudError> {
    let sovereignty = host::acr(host).unwrap_or(Sovereignty::Public);
    let scope = registry_scope(asking.environment)?;
    let Given { value: token, life } = token(&scope, sovereignty, asking).await?;
    let tenant = match asking.caller {
        Caller::Ambient => asking.environment.get(TENANT_VARIABLE),
        Caller::Account(account) => account.annotations.get(TENANT_ID).map(String::as_str),
    };
    let mut form = vec![("grant_type", "access_token"), ("service", host)];
    form.extend(tenant.map(|tenant| ("tenant", tenant)));
    form.push(("access_token", token.expose()));
    let question = Question {
        cloud: Cloud::Azure,
        url: &format!("https://{host}/oauth2/exchange"),
        headers: Vec::new(),
        bearer: None,
        body: Body::Form(&form),
    };
    let Exchanged { refresh_token } = question.ask(asking.egress, asking.way).await?;
    Ok(Given {
        value: Proof::Refresh(Secret::new(refresh_token)),
        life,
    })
}

/// A token of Entra for `scope`.
pub(super) async fn token(
    scope: &str,
    sovereignty: Sovereignty,
    asking: Asking<'_>,
) -> Result<Given<Secret<String>>, CloudError> {
    let environment = asking.environment;
    let client = match asking.caller {
        Caller::Account(account) => {
            let (tenant, id) = (account.needs(TENANT_ID)?, account.needs(CLIENT_ID)?);
            let proof = ClientProof::Assertion(account.token(AUDIENCE).await?);
            Some(Client { tenant, id, proof })
        }
        Caller::Ambient => ambient_client(environment)?,
    };
    let Some(client) = client else {
        return managed_identity(scope, asking).await;
    };
    let authority = match (asking.caller, environment.get("AZURE_AUTHORITY_HOST")) {
        (_, Some(authority)) => authority.trim_end_matches('/'),
        (_, None) => authority(sovereignty),
    };
    client.token(authority, scope, asking).await
}

impl Client<'_> {
    async fn token(
        &self,
        authority: &str,
        scope: &str,
        asking: Asking<'_>,
    ) -> Result<Given<Secret<String>>, CloudError> {
        if !is_name(self.tenant) {
            return Err(no_identity("the tenant is no id"));
        }
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.id),
            ("scope", scope),
        ];
        match &self.proof {
            ClientProof::Secret(secret) => form.push(("client_secret", secret.expose())),
            ClientProof::Assertion(token) => {
                form.push(("client_assertion_type", ASSERTION));
                form.push(("client_assertion", token.expose()));
            }
        }
        let question = Question {
            cloud: Cloud::Azure,
            url: &format!("{authority}/{}/oauth2/v2.0/token", self.tenant),
            headers: Vec::new(),
            bearer: None,
            body: Body::Form(&form),
        };
        let reply = question
            .ask::<TokenReply>(asking.egress, asking.way)
            .await?;
        Ok(reply.given())
    }
}

/// The client that the variables describe: one with a secret, or a workload identity.
fn ambient_client(environment: &Environment) -> Result<Option<Client<'_>>, CloudError> {
    let Some(tenant) = environment.get(TENANT_VARIABLE) else {
        return Ok(None);
    };
    let Some(id) = environment.get(CLIENT_VARIABLE) else {
        return Ok(None);
    };
    let secret = environment.get("AZURE_CLIENT_SECRET");
    let file = environment.get("AZURE_FEDERATED_TOKEN_FILE");
    let proof = match (secret, file) {
        (Some(secret), _) => ClientProof::Secret(Secret::new(secret.to_owned())),
        (None, Some(file)) => {
            let token = environment::read(Path::new(file));
            let token = token.map_err(|error| no_identity(&format!("`{file}`: {error}")))?;
            ClientProof::Assertion(Secret::new(token.expose().trim().to_owned()))
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(Client { tenant, id, proof }))
}

/// The identity of the machine, or of the service that this process is.
async fn managed_identity(
    scope: &str,
    asking: Asking<'_>,
) -> Result<Given<Secret<String>>, CloudError> {
    let environment = asking.environment;
    let resource = scope.trim_end_matches("/.default");
    let client = environment.get(CLIENT_VARIABLE);
    let service = environment.get("IDENTITY_ENDPOINT");
    let service = service.zip(environment.get("IDENTITY_HEADER"));
    let (base, version, header) = if let Some((endpoint, word)) = service {
        let header = ("x-identity-header", word.to_owned());
        (endpoint.to_owned(), "2019-08-01", header)
    } else {
        let host = environment.get("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        let host = host.unwrap_or(METADATA).trim_end_matches('/');
        let base = format!("{host}/metadata/identity/oauth2/token");
        (base, "2018-02-01", ("metadata", "true".to_owned()))
    };
    let mut pairs = vec![("api-version", version), ("resource", resource)];
    pairs.extend(client.map(|client| ("client_id", client)));
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let question = Question {
        cloud: Cloud::Azure,
        url: &format!("{base}?{query}"),
        headers: vec![header],
        bearer: None,
        body: Body::Nothing,
    };
    let route: Route = metadata_route();
    let way = asking.way.by(&route);
    let reply = question.ask::<TokenReply>(asking.egress, way).await?;
    Ok(reply.given())
}

/// What a token for a registry is asked for, which an operator's own cloud may have otherwise.
fn registry_scope(environment: &Environment) -> Result<String, CloudError> {
    let Some(path) = environment.get("AZURE_ENVIRONMENT_FILEPATH") else {
        return Ok(REGISTRY_SCOPE.to_owned());
    };
    let text = environment::read(Path::new(path));
    let text = text.map_err(|error| no_identity(&format!("`{path}`: {error}")))?;
    let own = serde_json::from_str::<OwnCloud>(text.expose());
    let own = own.map_err(|error| no_identity(&format!("`{path}`: {error}")))?;
    Ok(match own.resource_manager {
        Some(endpoint) => format!("{}/.default", endpoint.trim_end_matches('/')),
        None => REGISTRY_SCOPE.to_owned(),
    })
}

/// Where Entra is.
fn authority(sovereignty: Sovereignty) -> &'static str {
    match sovereignty {
        Sovereignty::Public => "https://login.microsoftonline.com",
        Sovereignty::China => "https://login.chinacloudapi.cn",
        Sovereignty::Germany => "https://login.microsoftonline.de",
        Sovereignty::UsGovernment => "https://login.microsoftonline.us",
    }
}

/// An id or a domain: it becomes a part of a path.
fn is_name(text: &str) -> bool {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.');
    !text.is_empty() && text.chars().all(is_plain) && !text.starts_with('.')
}

fn no_identity(reason: &str) -> CloudError {
    CloudError::NoIdentity {
        cloud: Cloud::Azure,
        reason: reason.to_owned(),
    }
}
