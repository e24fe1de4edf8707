//! What opens a Git remote: credentials, keys, certificates and a proxy.

use url::Url;

#[cfg(feature = "clouds")]
use super::cloud::git_login;
use super::{
    AccessError, Vault, certificates,
    github_app::{APP_ID, GithubApp},
    proxy, text, unfit,
};
use crate::{
    config::{GitProviderName, ObjectKey, RemoteSettings, SigningKeyKind},
    egress::{
        PlainHttp, Route,
        ssh::{KnownHosts, SshIdentity, SshLogin},
    },
    secret::{Authority, Credential, Proof, Secret, SecretRecord, SshKey},
    update::git::{Login, Signer, Signers, Source, Verify},
};

/// The keys of a Git secret that are about TLS, old names included.
pub(super) const CERTIFICATE_KEYS: [&str; 6] = [
    "ca.crt", "tls.crt", "tls.key", "caFile", "certFile", "keyFile",
];
/// The user of an ssh address that names none.
const SSH_USER: &str = "git";

/// What opens a Git remote.
///
/// # Errors
///
/// When a secret is missing or unfit.
pub async fn remote(vault: &impl Vault, remote: &RemoteSettings) -> Result<Source, AccessError> {
    // Writing `http://` into a GitRepository is the opt-in, as in Flux.
    let plain_http = if remote.url.scheme() == "http" {
        PlainHttp::Allow
    } else {
        PlainHttp::Refuse
    };
    let mut route = Route {
        plain_http,
        ..Route::default()
    };
    let identity = identity(vault, remote, &remote.url).await?;
    let login = match (&remote.credentials, identity) {
        (None, Some(login)) => login,
        (None, None) => vault.ambient_git_login(&remote.url).await?,
        (Some(key), identity) => {
            let record = vault.open(key).await?;
            if remote.url.scheme() == "ssh" {
                Login::Ssh(ssh_login(key, &record, &remote.url)?)
            } else {
                let has = |name: &&str| record.values.contains_key(*name);
                if CERTIFICATE_KEYS.iter().any(has) {
                    route = certificates(key, &record, route)?;
                }
                match identity {
                    Some(login) => login,
                    None => web_login(key, &record, remote)?,
                }
            }
        }
    };
    route = proxy(vault, remote.proxy.as_ref(), route).await?;
    let signer = match &remote.signing_key {
        Some(key) => Some(signer(
            &key.secret,
            key.kind,
            &vault.open(&key.secret).await?,
        )?),
        None => None,
    };
    let verify = match &remote.verify {
        Some((subject, key)) => Some(Verify {
            subject: *subject,
            signers: signers(key, &vault.open(key).await?)?,
        }),
        None => None,
    };
    Ok(Source {
        url: remote.url.clone(),
        checkout: remote.checkout.clone(),
        push_branch: remote.push_branch.clone(),
        push: remote.push.clone(),
        path: remote.path.clone(),
        login,
        signer,
        verify,
        route,
        timeout: remote.timeout,
    })
}

/// What opens `place`, which is the remote or the API of its forge, by the identity that a cloud gives;
/// nothing where the remote asks for none.
pub(super) async fn identity(
    vault: &impl Vault,
    remote: &RemoteSettings,
    place: &Url,
) -> Result<Option<Login>, AccessError> {
    let _ = (vault, place);
    match &remote.provider {
        #[cfg(feature = "clouds")]
        GitProviderName::Cloud(login) => git_login(vault, login, place).await.map(Some),
        GitProviderName::Generic | GitProviderName::Github => Ok(None),
    }
}

/// `identity` with its `password`, and `known_hosts`.
fn ssh_login(key: &ObjectKey, record: &SecretRecord, url: &Url) -> Result<SshLogin, AccessError> {
    let needed = |name: &str| {
        text(key, record, name)?
            .ok_or_else(|| unfit(key, &format!("`{name}` is required for an ssh address")))
    };
    let authority = Authority::of(url);
    let authority = authority.ok_or_else(|| unfit(key, "the address names no host"))?;
    let identity = needed("identity")?;
    let known_hosts = needed("known_hosts")?;
    let identity = SshKey::parse(identity, text(key, record, "password")?)
        .map_err(|error| unfit(key, &format!("`identity`: {error}")))?;
    let known_hosts =
        KnownHosts::parse(known_hosts).map_err(|error| unfit(key, &error.to_string()))?;
    Ok(SshLogin {
        authority,
        user: ssh_user(url),
        identities: vec![SshIdentity::Key(identity)],
        known_hosts,
    })
}

/// `git.asc` with its `passphrase`, or `identity` with its `password`.
fn signer(
    key: &ObjectKey,
    kind: SigningKeyKind,
    record: &SecretRecord,
) -> Result<Signer, AccessError> {
    let (name, word) = match kind {
        SigningKeyKind::OpenPgp => ("git.asc", "passphrase"),
        SigningKeyKind::Ssh => ("identity", "password"),
    };
    let private = text(key, record, name)?.ok_or_else(|| {
        unfit(
            key,
            &format!("a signing key is read from `{name}`, which it lacks"),
        )
    })?;
    let passphrase = text(key, record, word)?;
    let signer = match kind {
        SigningKeyKind::OpenPgp => Signer::open_pgp(private, passphrase),
        SigningKeyKind::Ssh => Signer::ssh(private, passphrase),
    };
    signer.map_err(|error| unfit(key, &format!("`{name}`: {error}")))
}

/// Every value is a ring of OpenPGP keys or a list of SSH keys, whatever its key is.
fn signers(key: &ObjectKey, record: &SecretRecord) -> Result<Signers, AccessError> {
    let mut signers = Signers::default();
    for name in record.values.keys() {
        let keys = text(key, record, name)?.unwrap_or_default();
        let added = signers.add(keys);
        added.map_err(|error| unfit(key, &format!("`{name}`: {error}")))?;
    }
    if record.values.is_empty() {
        return Err(unfit(key, "it holds no public key"));
    }
    Ok(signers)
}

fn ssh_user(url: &Url) -> String {
    let user = Some(url.username()).filter(|user| !user.is_empty());
    user.unwrap_or(SSH_USER).to_owned()
}

fn web_login(
    key: &ObjectKey,
    record: &SecretRecord,
    remote: &RemoteSettings,
) -> Result<Login, AccessError> {
    if remote.provider == GitProviderName::Github {
        let app = GithubApp::parse(key, record, &remote.url)?;
        return Ok(Login::provided(app));
    }
    if record.values.contains_key(APP_ID) {
        let reason = "it holds a GitHub App's data, and `spec.provider` is not `github`";
        return Err(unfit(key, reason));
    }
    let proof = git_proof(key, record)?;
    Ok(match (proof, Authority::of(&remote.url)) {
        (Some(proof), Some(authority)) => Login::Fixed(Credential::new(proof, authority)),
        _ => Login::Anonymous,
    })
}

/// `bearerToken`, else `username` and `password`, else nothing.
pub(super) fn git_proof(
    key: &ObjectKey,
    record: &SecretRecord,
) -> Result<Option<Proof>, AccessError> {
    let secret = |text: &str| Secret::new(text.to_owned());
    if let Some(token) = text(key, record, "bearerToken")? {
        return Ok(Some(Proof::Bearer(secret(token))));
    }
    match (
        text(key, record, "username")?,
        text(key, record, "password")?,
    ) {
        (Some(username), password) => Ok(Some(Proof::Basic {
            username: secret(username),
            password: secret(password.unwrap_or_default()),
        })),
        (None, Some(_)) => Err(unfit(key, "`password` requires `username` to be set")),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
        b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABD1phlku5\n\
        A2G7Q9iP+DcOc9AAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIHeLC1lWiCYrXsf/\n\
        85O/pkbUFZ6OGIt49PX3nw8iRoXEAAAAkKRF0st5ZI7xxo9g6A4m4l6NarkQre3mycqNXQ\n\
        dP3jryYgvsCIBAA5jMWSjrmnOTXhidqcOy4xYCrAttzSnZ/cUadfBenL+DQq6neffw7j8r\n\
        0tbCxVGp6yCQlKrgSZf6c0Hy7dNEIU2bJFGxLe6/kWChcUAt/5Ll5rI7DVQPJdLgehLzvv\n\
        sJWR7W+cGvJ/vLsw==\n-----END OPENSSH PRIVATE KEY-----";
    const HOST: &str = "git.test ssh-ed25519 \
        AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn key() -> ObjectKey {
        ObjectKey {
            namespace: "apps".to_owned(),
            name: "git".to_owned(),
        }
    }

    fn record(values: &[(&str, &str)]) -> SecretRecord {
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        SecretRecord {
            kind: "Opaque".to_owned(),
            values: values
                .iter()
                .map(|(name, text)| ((*name).to_owned(), secret(text)))
                .collect(),
        }
    }

    #[test]
    fn an_ssh_login_is_a_key_its_passphrase_and_known_hosts() {
        let check = |url: &str, values: &[(&str, &str)], expected: Result<&str, &str>| {
            let url = Url::parse(url).expect("an address");
            let found = ssh_login(&key(), &record(values), &url);
            let found = found.map(|it| format!("{}@{}", it.user, it.authority));
            let found = found.map_err(|error| error.to_string());
            let expected = expected.map(str::to_owned);
            let expected =
                expected.map_err(|reason| format!("cannot use Secret `apps/git`: {reason}"));
            assert_eq!(found, expected);
        };
        let address = "ssh://git.test/fleet.git";
        let (identity, known_hosts) = (("identity", KEY), ("known_hosts", HOST));
        let password = ("password", "test");
        let whole = [identity, known_hosts, password];
        check(address, &whole, Ok("git@git.test:22"));
        check("ssh://ada@git.test:2222/x", &whole, Ok("ada@git.test:2222"));
        let missing = "`identity` is required for an ssh address";
        check(address, &[known_hosts], Err(missing));
        let missing = "`known_hosts` is required for an ssh address";
        check(address, &[identity, password], Err(missing));
        let locked = "`identity`: it is protected by a passphrase, and none is given";
        check(address, &[identity, known_hosts], Err(locked));
        let wrong = "`identity`: it cannot be opened with the passphrase that is given";
        check(
            address,
            &[identity, known_hosts, ("password", "canary")],
            Err(wrong),
        );
        let broken = "line 1 of `known_hosts` has no host, kind and key";
        check(
            address,
            &[identity, password, ("known_hosts", "git.test")],
            Err(broken),
        );
    }
}
