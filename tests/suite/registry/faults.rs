//! Each call × each fault: a scan that met one is an error, and never a short list or a wrong fact.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tagwright::{
    egress::Egress,
    image::{Repository, Tag},
    scan::{Access, Depth, OciRegistry, Registry, ScanError},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::serve;
use crate::support::conformance::{access, keychain, story};

/// How many cases run beside each other.
const AT_A_TIME: usize = 12;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The connection is cut, and nobody listens any more.
    Refuse,
    Reset,
    Silence,
    Drip,
    Status(u16),
    Garbage,
    HalfBody,
}

pub(super) const FAULTS: [Fault; 12] = [
    Fault::Refuse,
    Fault::Reset,
    Fault::Silence,
    Fault::Drip,
    Fault::Status(401),
    Fault::Status(403),
    Fault::Status(404),
    Fault::Status(429),
    Fault::Status(500),
    Fault::Status(503),
    Fault::Garbage,
    Fault::HalfBody,
];

/// The calls of one look at a registry, by what is in their first line.
pub(super) const CALLS: [&str; 6] = [
    "GET /token",
    "GET /v2/web/tags/list?n=",
    "GET /v2/web/tags/list?last=",
    "HEAD /v2/web/manifests/",
    "GET /v2/web/manifests/",
    "GET /v2/web/blobs/",
];

/// A proxy before a registry that lets every call through but one, for as long as it is `armed`.
pub(super) struct FaultProxy {
    pub(super) address: SocketAddr,
    pub(super) hits: Arc<AtomicUsize>,
    pub(super) armed: Arc<AtomicBool>,
}

impl FaultProxy {
    pub(super) async fn start(target: SocketAddr, call: &'static str, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let hits = Arc::new(AtomicUsize::new(0));
        let armed = Arc::new(AtomicBool::new(true));
        let (counter, is_armed) = (Arc::clone(&hits), Arc::clone(&armed));
        tokio::spawn(async move {
            let mut listener = Some(listener);
            loop {
                let Some(open) = &listener else {
                    // Nobody listens until the fault is over.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    if !is_armed.load(Ordering::Relaxed) {
                        listener = TcpListener::bind(address).await.ok();
                    }
                    continue;
                };
                let Ok((client, _)) = open.accept().await else {
                    return;
                };
                let fault = is_armed.load(Ordering::Relaxed).then_some(fault);
                if let Some(Fault::Refuse) = fault {
                    // One by one, so that whoever is next finds nobody.
                    let met = counter.load(Ordering::Relaxed);
                    let _ = pass(client, target, call, fault, &counter).await;
                    if counter.load(Ordering::Relaxed) > met {
                        listener = None;
                    }
                    continue;
                }
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    // A client that hangs up early is a client that was told off.
                    let _ = pass(client, target, call, fault, &counter).await;
                });
            }
        });
        Self {
            address,
            hits,
            armed,
        }
    }
}

/// Serves one request, so that each has a connection of its own.
async fn pass(
    mut client: TcpStream,
    target: SocketAddr,
    call: &str,
    fault: Option<Fault>,
    hits: &AtomicUsize,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|it| it == b"\r\n\r\n") {
        let mut part = [0; 4096];
        let read = client.read(&mut part).await?;
        if read == 0 || !part.iter().take(read).any(u8::is_ascii) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        request.extend(&part[..read]);
        // A greeting of TLS is answered by nobody here.
        if request.first() == Some(&0x16) {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let mut server = TcpStream::connect(target).await?;
    let request = text.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    server.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    let Some(fault) = fault.filter(|_| text.starts_with(call)) else {
        return client.write_all(&answer).await;
    };
    hits.fetch_add(1, Ordering::Relaxed);
    match fault {
        Fault::Refuse | Fault::Reset => client.set_zero_linger()?,
        Fault::Silence => std::future::pending().await,
        Fault::Drip => {
            for byte in answer {
                client.write_all(&[byte]).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Fault::Status(status) => {
            let head = format!("HTTP/1.1 {status} No\r\ncontent-length: 2\r\n\r\n{{}}");
            client.write_all(head.as_bytes()).await?;
        }
        Fault::Garbage => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\0\u{1}garbage";
            client.write_all(head.as_bytes()).await?;
        }
        Fault::HalfBody => {
            let half = answer.len() - answer.len().min(20);
            client.write_all(&answer[..half]).await?;
        }
    }
    client.shutdown().await
}

/// Everything that is asked of a registry to decide: the tags, and what is known of one of them.
async fn look(
    registry: &OciRegistry,
    repository: &Repository,
    access: &Access,
) -> Result<String, ScanError> {
    let tag: Tag = "1.1.0".parse().expect("a tag");
    let scan = registry.scan(repository, access).await?;
    let facts = registry
        .facts(repository, &tag, Depth::Image, access)
        .await?;
    let tags = scan
        .tags
        .iter()
        .map(Tag::as_str)
        .collect::<Vec<_>>()
        .join(" ");
    Ok(format!("{tags} {:?} {:?}", facts.digest, facts.created))
}

#[tokio::test]
async fn r15_each_call_with_each_fault_gives_the_truth_or_nothing() {
    let (server, subject) = serve("faulty").await;
    let user = subject.fixture.authentication().expect("it wants a user");
    let looking = |address: SocketAddr, seconds: u64| Access {
        timeout: Duration::from_secs(seconds),
        ..access(keychain(
            &address.to_string(),
            &user.username,
            &user.password,
        ))
    };
    let at = |address: SocketAddr| {
        let text = format!("{address}/web");
        text.parse::<Repository>().expect("a repository")
    };
    let own = server.address();
    // One for all, since making a client reads every certificate of the machine.
    let egress = Egress::new();
    let registry = OciRegistry::new(egress.clone());
    let truth = look(&registry, &at(own), &looking(own, 10)).await;
    let truth = truth.unwrap_or_else(|error| panic!("nothing is in the way: {}", story(&error)));

    let cases = CALLS
        .iter()
        .flat_map(|call| FAULTS.map(|fault| (*call, fault)));
    let checks = cases.map(async |(call, fault)| {
        let proxy = FaultProxy::start(own, call, fault).await;
        let registry = OciRegistry::new(egress.clone());
        let place = proxy.address;
        let met = look(&registry, &at(place), &looking(place, 5)).await;
        assert!(
            proxy.hits.load(Ordering::Relaxed) > 0,
            "{call} {fault:?} was not met"
        );
        // A half answer of a HEAD is a whole one, and who gets no token may be let in without.
        assert!(
            met.is_err() || met.is_ok_and(|met| met == truth),
            "{call} {fault:?}"
        );
        proxy.armed.store(false, Ordering::Relaxed);
        let after = OciRegistry::new(egress.clone());
        let after = look(&after, &at(place), &looking(place, 10)).await;
        assert_eq!(
            after.ok().as_ref(),
            Some(&truth),
            "{call} {fault:?} is over"
        );
    });
    stream::iter(checks)
        .buffer_unordered(AT_A_TIME)
        .count()
        .await;
}

#[tokio::test]
async fn c02_no_error_shows_a_secret() {
    let (server, subject) = serve("faulty").await;
    let user = subject.fixture.authentication().expect("it wants a user");
    let own = server.address();
    let egress = Egress::new();
    let faults = [
        Fault::Reset,
        Fault::Status(401),
        Fault::Status(500),
        Fault::Garbage,
    ];
    let cases = CALLS
        .iter()
        .flat_map(|call| faults.map(|fault| (*call, fault)));
    let checks = cases.map(async |(call, fault)| {
        let proxy = FaultProxy::start(own, call, fault).await;
        let place = proxy.address.to_string();
        let access = access(keychain(&place, &user.username, &user.password));
        let repository = format!("{place}/web").parse().expect("a repository");
        let registry = OciRegistry::new(egress.clone());
        let Err(error) = look(&registry, &repository, &access).await else {
            return;
        };
        let text = format!("{} {error:?} {:?} {access:?}", story(&error), error.hint());
        for secret in [user.password.as_str(), "token-0", "Ym90O"] {
            assert!(!text.contains(secret), "{call} {fault:?}: {text}");
        }
    });
    stream::iter(checks)
        .buffer_unordered(AT_A_TIME)
        .count()
        .await;
}
