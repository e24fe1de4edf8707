//! How a client for one way out is built.
#![expect(
    clippy::disallowed_methods,
    reason = "the edge file that builds the clients, and reads where the proxies are"
)]

use std::sync::LazyLock;

use url::Url;

use super::{CONNECT_TIMEOUT, Proxy, Route, address::PublicNames};

/// What names us to servers.
const USER_AGENT: &str = concat!("tagwright/", env!("CARGO_PKG_VERSION"));

/// Whether what a name resolves to is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Names {
    Any,
    Public,
}

/// Whether the system's certificate authorities are read, which takes longer than many a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Roots {
    /// They are, beside those of the route.
    System,
    /// No TLS is spoken on the way, so nobody is asked who he is.
    None,
}

impl Roots {
    pub(super) fn of(route: &Route, url: &Url) -> Self {
        let is_tls = url.scheme() != "http"
            || match &route.proxy {
                Proxy::Direct => false,
                Proxy::Fixed { address, .. } => address.scheme() == "https",
                // What the environment names may be reached by TLS.
                Proxy::Environment => *PROXY_IN_ENVIRONMENT,
            };
        if is_tls { Self::System } else { Self::None }
    }
}

/// Whether the environment that the process was started with names a proxy for plain HTTP.
static PROXY_IN_ENVIRONMENT: LazyLock<bool> = LazyLock::new(|| {
    let names = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let value_of = |name| std::env::var_os(name);
    names
        .into_iter()
        .filter_map(value_of)
        .any(|it| !it.is_empty())
});

/// A client for one way out, with no connection open yet.
pub(super) fn build(
    route: &Route,
    names: Names,
    roots: Roots,
) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false);
    if names == Names::Public {
        builder = builder.dns_resolver(PublicNames);
    }
    let own = match &route.certificate_authority {
        Some(pem) => reqwest::Certificate::from_pem_bundle(pem)?,
        None => Vec::new(),
    };
    builder = match roots {
        Roots::System => builder.tls_certs_merge(own),
        Roots::None => builder.tls_certs_only(own),
    };
    if let Some(pem) = &route.client_certificate {
        builder = builder.identity(reqwest::Identity::from_pem(pem.expose())?);
    }
    builder = match &route.proxy {
        Proxy::Environment => builder,
        Proxy::Direct => builder.no_proxy(),
        Proxy::Fixed {
            address,
            username,
            password,
        } => {
            let mut proxy = reqwest::Proxy::all(address.clone())?;
            if let Some(username) = username {
                let password = password.as_ref().map_or("", |password| password.expose());
                proxy = proxy.basic_auth(username, password);
            }
            builder.proxy(proxy)
        }
    };
    builder.build()
}
