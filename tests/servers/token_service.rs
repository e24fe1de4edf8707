//! A token service for `docker-registry`: ES256 tokens, signed with a key whose certificate the
//! registry trusts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::get,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

pub(crate) struct TokenService {
    address: SocketAddr,
    certificate: String,
    count: Arc<AtomicUsize>,
    stop: tokio::task::AbortHandle,
}

struct Issuer {
    key: EcdsaKeyPair,
    certificate: Vec<u8>,
    password: String,
    count: Arc<AtomicUsize>,
}

impl TokenService {
    /// Starts a service that gives tokens to user `bot` with `password`.
    pub(crate) async fn start(password: &str) -> Self {
        let pair = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec!["tests".to_owned()]).expect("a name");
        let certificate = certificate.self_signed(&pair).expect("a certificate");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.serialize_der());
        let count = Arc::new(AtomicUsize::new(0));
        let issuer = Issuer {
            key: key.expect("rcgen makes P-256 keys"),
            certificate: certificate.der().to_vec(),
            password: password.to_owned(),
            count: Arc::clone(&count),
        };
        let router = Router::new()
            .route("/token", get(answer))
            .with_state(Arc::new(issuer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            certificate: certificate.pem(),
            count,
            stop: task.abort_handle(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate that the registry trusts, in PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// How many tokens were given out.
    pub(crate) fn issued(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for TokenService {
    fn drop(&mut self) {
        self.stop.abort();
    }
}

async fn answer(
    State(issuer): State<Arc<Issuer>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let expected = format!(
        "Basic {}",
        STANDARD.encode(format!("bot:{}", issuer.password))
    );
    if headers
        .get("authorization")
        .is_none_or(|it| it != expected.as_str())
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    issuer.count.fetch_add(1, Ordering::Relaxed);
    let token = issuer.token(&query.unwrap_or_default());
    json!({"token": token, "expires_in": 300})
        .to_string()
        .into_response()
}

impl Issuer {
    /// A token for the scopes of a query.
    fn token(&self, query: &str) -> String {
        let scopes =
            url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "scope");
        let access = scopes.filter_map(|(_, scope)| {
            let (rest, actions) = scope.rsplit_once(':')?;
            let (kind, name) = rest.split_once(':')?;
            let actions = actions.split(',').collect::<Vec<_>>();
            Some(json!({"type": kind, "name": name, "actions": actions}))
        });
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("it is after 1970")
            .as_secs();
        let header =
            json!({"typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(&self.certificate)]});
        let claims = json!({
            "iss": "tests", "sub": "bot", "aud": "registry", "jti": now.to_string(),
            "iat": now, "nbf": now - 10, "exp": now + 300, "access": access.collect::<Vec<_>>(),
        });
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let body = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
        let signature = self
            .key
            .sign(&SystemRandom::new(), body.as_bytes())
            .expect("signing works");
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}
