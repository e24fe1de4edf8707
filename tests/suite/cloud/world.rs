//! One server that is every host: it takes CONNECT as a proxy does, and speaks TLS for whoever was
//! asked for. Plain requests are for the metadata services.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, LazyLock, Mutex},
    thread,
    time::Duration,
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tagwright::{
    cloud::{Account, Caller, Cloud, CloudError, Clouds, Issuer, Issuing, Way},
    egress::{Proxy, Route},
    image::Repository,
    scan::{Access, Keychain, OciRegistry, Registry as _},
    secret::{Proof, Secret},
};
use tokio::time::Instant;

/// Every host that the double has a certificate for.
const HOSTS: [&str; 12] = [
    "acme.azurecr.cn",
    "acme.azurecr.io",
    "dev.azure.com",
    "eu.gcr.io",
    "git-codecommit.eu-west-1.amazonaws.com",
    "iamcredentials.googleapis.com",
    "login.chinacloudapi.cn",
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "oauth2.googleapis.com",
    "sts.eu-west-1.amazonaws.com",
    "sts.googleapis.com",
];

/// A certificate for all of them in PEM, and how to serve it.
pub(super) static TRUST: LazyLock<(String, Arc<ServerConfig>)> = LazyLock::new(|| {
    let key = KeyPair::generate().expect("a key");
    let names = HOSTS.map(str::to_owned).to_vec();
    let certificate = CertificateParams::new(names).expect("names");
    let pem = certificate.self_signed(&key).expect("a certificate").pem();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate], key);
    (pem, Arc::new(config.expect("the key fits the certificate")))
});

/// One request, as it was received.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) host: String,
    pub(super) path: String,
    /// Without the line of the request.
    pub(super) head: String,
    pub(super) body: String,
}

/// Everything that is not this process.
pub(super) struct Sky {
    pub(super) address: SocketAddr,
    pub(super) clouds: Clouds,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Sky {
    /// A sky without variables.
    pub(super) fn start(answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::with(|_| BTreeMap::new(), answer)
    }

    /// A sky whose variables may name its address. The metadata service of Google is always there.
    pub(super) fn with(
        variables: impl Fn(SocketAddr) -> BTreeMap<String, String>,
        answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound port has an address");
        let asked = Arc::default();
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || serve(socket, &log, &*answer));
            }
        });
        let mut variables = variables(address);
        let host = "GCE_METADATA_HOST".to_owned();
        variables.entry(host).or_insert(address.to_string());
        Self {
            address,
            clouds: Clouds::with(variables.into_iter().collect()),
            asked,
        }
    }

    /// What was asked: host and path, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        let requests = self.requests().into_iter();
        requests
            .map(|it| format!("{} {}", it.host, it.path))
            .collect()
    }

    pub(super) fn requests(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test has failed").clone()
    }

    pub(super) fn route(&self) -> Route {
        let address = format!("http://{}/", self.address);
        Route {
            certificate_authority: Some(TRUST.0.clone().into_bytes()),
            proxy: Proxy::Fixed {
                address: address.parse().expect("an address"),
                username: None,
                password: None,
            },
            ..Route::default()
        }
    }

    pub(super) async fn registry(
        &self,
        cloud: Cloud,
        host: &str,
        caller: &Caller,
    ) -> Result<Proof, CloudError> {
        let route = self.route();
        let way = Way {
            route: &route,
            deadline: Instant::now() + Duration::from_secs(10),
        };
        self.clouds.registry(cloud, host, caller, way).await
    }

    /// Lists the tags of an image, with what the cloud gives.
    pub(super) async fn tags(&self, cloud: Cloud, image: &str, caller: &Caller) -> Vec<String> {
        let image: Repository = image.parse().expect("a repository");
        let proof = self.registry(cloud, image.host(), caller).await;
        let proof = proof.unwrap_or_else(|error| panic!("{error:?}"));
        let access = Access {
            keychain: Keychain::single(image.host(), proof).expect("a registry"),
            route: self.route(),
            timeout: Duration::from_secs(10),
            whole_every: None,
        };
        let registry = OciRegistry::new(tagwright::egress::Egress::new());
        let scan = registry.scan(&image, &access).await;
        let scan = scan.unwrap_or_else(|error| panic!("{error:?}"));
        scan.tags.iter().map(ToString::to_string).collect()
    }
}

/// Token services and registries that give whatever is asked for.
pub(super) fn friendly(asked: &Asked) -> (u16, String) {
    let body = match asked.path.split('?').next().unwrap_or_default() {
        // `gcp_auth` takes a number only, and Azure's metadata service sends a text.
        "/key" => r#"{"access_token": "cloud", "expires_in": 3599}"#,
        "/oauth2/exchange" => r#"{"refresh_token": "refresh"}"#,
        "/oauth2/token" => r#"{"access_token": "registry"}"#,
        path if path.ends_with(":generateAccessToken") => {
            r#"{"accessToken": "somebody else", "expireTime": "2100-01-01T00:00:00Z"}"#
        }
        path if path.ends_with("/project-id") => return (200, "acme-1".to_owned()),
        path if path.ends_with("/cluster-location") => return (200, "europe-west1".to_owned()),
        path if path.ends_with("/cluster-name") => return (200, "blue".to_owned()),
        path if path.ends_with("/tags/list") => {
            let is_known = asked.head.contains("authorization: Bearer registry")
                || asked.head.contains("authorization: Basic");
            if !is_known {
                return (401, String::new());
            }
            r#"{"tags": ["1.0.0"]}"#
        }
        _ => r#"{"access_token": "cloud", "expires_in": "3599"}"#,
    };
    (200, body.to_owned())
}

/// Whoever the process runs as.
pub(super) fn nobody() -> Caller {
    Caller::Ambient
}

/// A ServiceAccount with these annotations.
pub(super) fn account(annotations: &[(&str, &str)]) -> Caller {
    Caller::Account(Account {
        namespace: "apps".to_owned(),
        name: "puller".to_owned(),
        annotations: super::variables(annotations),
        issuer: Arc::new(Cluster),
    })
}

/// Issues tokens that say whose they are, and for whom.
struct Cluster;

impl Issuer for Cluster {
    fn token<'a>(&'a self, account: &'a Account, audience: &'a str) -> Issuing<'a> {
        let token = format!("token of {account} for {audience}");
        Box::pin(async { Ok(Secret::new(token)) })
    }
}

fn serve(mut socket: TcpStream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> (u16, String)) {
    let Some((line, head)) = head(&mut socket) else {
        return;
    };
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    if line.starts_with("CONNECT ") {
        let host = target.trim_end_matches(":443").to_owned();
        if socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_err() {
            return;
        }
        let tls = ServerConnection::new(Arc::clone(&TRUST.1)).expect("a session");
        let mut stream = StreamOwned::new(tls, socket);
        let Some((line, head)) = self::head(&mut stream) else {
            return;
        };
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        reply(&mut stream, host, path, head, log, answer);
        stream.conn.send_close_notify();
        let _ = stream.flush();
    } else {
        reply(
            &mut socket,
            "metadata".to_owned(),
            target,
            head,
            log,
            answer,
        );
    }
}

fn reply(
    stream: &mut (impl Read + Write),
    host: String,
    path: String,
    head: String,
    log: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked) -> (u16, String),
) {
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|it| it.parse().ok()).unwrap_or_default()];
    if stream.read_exact(&mut body).is_err() {
        return;
    }
    let asked = Asked {
        host,
        path,
        head,
        body: String::from_utf8(body).expect("it is a form or JSON"),
    };
    let (status, body) = answer(&asked);
    let challenge = format!(
        "www-authenticate: Bearer realm=\"https://{0}/oauth2/token\",service=\"{0}\"\r\n",
        asked.host
    );
    let challenge = if status == 401 {
        challenge
    } else {
        String::new()
    };
    log.lock().expect("no test has failed").push(asked);
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\n{challenge}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.flush();
}

/// The line and the headers of a request, the latter in lower case but for their values.
pub(super) fn head(stream: &mut impl Read) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).ok()?;
    let (line, headers) = text.split_once("\r\n")?;
    Some((line.to_owned(), headers.replace("\r\n", "\n")))
}
