//! Proxies: what they are told, by whom, and what they are not.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tagwright::{
    egress::{Egress, Proxy, Route},
    image::Repository,
    scan::{Access, OciRegistry, Registry as _},
    secret::Secret,
};

use crate::support::conformance::{access, keychain, story};

const HOST: &str = "registry.test";

/// What was read of each connection, in order.
type Heard = Arc<Mutex<Vec<String>>>;

/// A registry behind TLS that wants a password, and its certificate.
fn registry() -> (SocketAddr, String, Heard) {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec![HOST.to_owned()]).expect("a name");
    let pem = certificate.self_signed(&key).expect("a certificate").pem();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate], key);
    let config = Arc::new(config.expect("the key fits the certificate"));
    let (address, heard) = listen(move |socket, heard| {
        let tls = ServerConnection::new(Arc::clone(&config)).expect("a session");
        let mut stream = StreamOwned::new(tls, socket);
        let head = head(&mut stream);
        let answer = if head.contains("authorization: Basic") {
            let body = r#"{"tags":["1.0.0"]}"#;
            format!("200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        } else {
            "401 No\r\nwww-authenticate: Basic realm=x\r\ncontent-length: 0\r\n\r\n".to_owned()
        };
        heard.lock().expect("a list").push(head);
        let answer = format!(
            "HTTP/1.1 {}",
            answer.replacen("\r\n", "\r\nconnection: close\r\n", 1)
        );
        let _ = stream.write_all(answer.as_bytes());
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    (address, pem, heard)
}

/// A proxy that leads everywhere to one place.
fn proxy(target: SocketAddr) -> (SocketAddr, Heard) {
    listen(move |mut client, heard| {
        heard.lock().expect("a list").push(head(&mut client));
        let server = TcpStream::connect(target).expect("the registry listens");
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let twin = |stream: &TcpStream| stream.try_clone().expect("a second handle");
        let (mut from, mut to) = (twin(&client), twin(&server));
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
        });
        let (mut from, mut to) = (server, client);
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    })
}

fn listen(serve: impl Fn(TcpStream, &Heard) + Send + Sync + 'static) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound port has an address");
    let heard = Heard::default();
    let (log, serve) = (Arc::clone(&heard), Arc::new(serve));
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let (log, serve) = (Arc::clone(&log), Arc::clone(&serve));
            thread::spawn(move || serve(socket, &log));
        }
    });
    (address, heard)
}

fn head(stream: &mut impl Read) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes)
        .to_lowercase()
        .replace("basic", "Basic")
}

fn by(proxy: SocketAddr, pem: &str, password: &str) -> Access {
    let address = format!("http://{proxy}/").parse().expect("an address");
    Access {
        route: Route {
            certificate_authority: Some(pem.to_owned().into_bytes()),
            proxy: Proxy::Fixed {
                address,
                username: Some("tenant".to_owned()),
                password: Some(Secret::new(password.to_owned())),
            },
            ..Route::default()
        },
        ..access(keychain(HOST, "bot", "canary-registry"))
    }
}

fn basic(user: &str, password: &str) -> String {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {}", pair.to_lowercase())
}

#[tokio::test]
async fn c06_a_proxy_sees_its_own_credentials_and_no_others() {
    let (server, pem, heard) = registry();
    let (ours, theirs) = (proxy(server), proxy(server));
    let client = OciRegistry::new(Egress::new());
    let image: Repository = format!("{HOST}/acme/web").parse().expect("a repository");
    let scan = async |access: &Access| {
        let scan = client.scan(&image, access).await;
        scan.unwrap_or_else(|error| panic!("{}", story(&error)));
    };

    scan(&by(ours.0, &pem, "canary-ours")).await;
    assert_eq!(
        theirs.1.lock().expect("a list").len(),
        0,
        "another tenant's proxy"
    );
    scan(&by(theirs.0, &pem, "canary-theirs")).await;

    let check = |heard: &Heard, own: &str| {
        let heard = heard.lock().expect("a list");
        assert!(!heard.is_empty());
        for head in heard.iter() {
            assert!(head.starts_with("connect registry.test:443 "), "{head}");
            let own = format!("proxy-authorization: {}", basic("tenant", own));
            assert!(head.contains(&own), "its own credential: {head}");
            let others = head.replace(&own, "");
            assert!(!others.contains("authorization"), "and no other: {head}");
        }
    };
    check(&ours.1, "canary-ours");
    check(&theirs.1, "canary-theirs");
    let heard = heard.lock().expect("a list");
    let registry = basic("bot", "canary-registry");
    assert!(heard.iter().any(|head| head.contains(&registry)));
    assert!(
        heard
            .iter()
            .all(|head| !head.contains("proxy-authorization"))
    );
}
