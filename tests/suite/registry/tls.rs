//! Registries behind TLS: a certificate that is not trusted must stop us, whatever the host.
//!
//! The certificate is for `localhost`, made for the test, and signed by itself.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, Stream,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tagwright::{
    egress::{Egress, EgressError, PlainHttp},
    error::Class,
    image::Repository,
    scan::{Access, Keychain, OciRegistry, Registry, ScanError},
    secret::{Secret, SecretRecord},
};

use crate::support::conformance::{access, keychain, story};

/// A certificate for `localhost` in PEM, and its key.
static PAIR: LazyLock<(String, KeyPair)> = LazyLock::new(|| {
    let key = KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)
        .expect("names")
        .self_signed(&key);
    (certificate.expect("a certificate").pem(), key)
});

/// Serves one tag over TLS to as many connections, and counts the requests that it could read.
fn serve(connections: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let certificate = CertificateDer::from_pem_slice(PAIR.0.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(PAIR.1.serialize_pem().as_bytes()).expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    let config = Arc::new(config.expect("the key fits the certificate"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound port has an address");
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    thread::spawn(move || {
        for socket in listener.incoming().take(connections) {
            let mut socket = socket.expect("a connection");
            let mut tls = ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut stream = Stream::new(&mut tls, &mut socket);
            // A client that refuses the certificate hangs up here, and nothing is read.
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok_and(|read| read > 0) {
                counter.fetch_add(1, Ordering::Relaxed);
                let body = r#"{"tags":["1.0.0"]}"#;
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length";
                let answer = format!("{head}: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).expect("it is sent");
            }
        }
    });
    (address, requests)
}

fn repository(address: SocketAddr) -> Repository {
    let text = format!("localhost:{}/web", address.port());
    text.parse().expect("a repository")
}

async fn scan(address: SocketAddr, access: &Access) -> Result<usize, ScanError> {
    let registry = OciRegistry::new(Egress::new());
    let scan = registry.scan(&repository(address), access).await;
    scan.map(|scan| scan.tags.len())
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_never_makes_us_speak_plainly() {
    let (address, requests) = serve(4);
    let host = format!("localhost:{}", address.port());
    let mut user = access(keychain(&host, "bot", "canary"));
    user.route.plain_http = PlainHttp::Allow;

    let error = scan(address, &user)
        .await
        .expect_err("nobody vouches for it");

    let is_right = matches!(
        &error,
        ScanError::Egress {
            source: EgressError::Certificate { .. },
            ..
        }
    );
    assert!(is_right, "{}", story(&error));
    assert_eq!(error.class(), Class::Config);
    assert!(error.hint().is_some_and(|hint| hint.contains("ca.crt")));
    assert_eq!(requests.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_given() {
    let (address, requests) = serve(1);
    let record = SecretRecord {
        kind: "Opaque".to_owned(),
        values: [(
            "ca.crt".to_owned(),
            Secret::new(PAIR.0.clone().into_bytes()),
        )]
        .into(),
    };
    let mut trusting = access(Keychain::default());
    let route = trusting.route.with_certificates(&record);
    trusting.route = route.expect("a certificate");

    let tags = scan(address, &trusting).await;

    let tags = tags.unwrap_or_else(|error| panic!("{}", story(&error)));
    assert_eq!((tags, requests.load(Ordering::Relaxed)), (1, 1));
}
