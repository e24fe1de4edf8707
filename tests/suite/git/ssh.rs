//! G32: whatever an ssh server sends, a read ends in an error, and soon.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use russh::server::{self, Auth, VerifiedPublicKey};
use tagwright::{
    egress::ssh::{KnownHosts, SshIdentity, SshLogin},
    secret::{Authority, SshKey},
    update::git::{Login, RemoteError, Source, remote_url},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use super::world::{World, branch};

/// How long a read may take that something else ends.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long one may take that nothing else ends.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A key for both sides, under the passphrase `test`.
const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
    b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABD1phlku5\n\
    A2G7Q9iP+DcOc9AAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIHeLC1lWiCYrXsf/\n\
    85O/pkbUFZ6OGIt49PX3nw8iRoXEAAAAkKRF0st5ZI7xxo9g6A4m4l6NarkQre3mycqNXQ\n\
    dP3jryYgvsCIBAA5jMWSjrmnOTXhidqcOy4xYCrAttzSnZ/cUadfBenL+DQq6neffw7j8r\n\
    0tbCxVGp6yCQlKrgSZf6c0Hy7dNEIU2bJFGxLe6/kWChcUAt/5Ll5rI7DVQPJdLgehLzvv\n\
    sJWR7W+cGvJ/vLsw==\n-----END OPENSSH PRIVATE KEY-----";

fn source(port: u16, timeout: Duration) -> Source {
    let url = remote_url(&format!("ssh://git@127.0.0.1:{port}/fleet.git")).expect("an address");
    let key = russh::keys::decode_secret_key(KEY, Some("test")).expect("a key");
    let public = key.public_key().to_openssh().expect("a public key");
    let known_hosts = KnownHosts::parse(&format!("[127.0.0.1]:{port} {public}"));
    let identity = SshKey::parse(KEY, Some("test")).expect("a key");
    let mut source = Source::new(url.clone(), branch("main"));
    source.timeout = timeout;
    source.login = Login::Ssh(SshLogin {
        authority: Authority::of(&url).expect("a host and port"),
        user: "git".to_owned(),
        identities: vec![SshIdentity::Key(identity)],
        known_hosts: known_hosts.expect("our own line"),
    });
    source
}

/// Reads from a server that treats its first client like this.
async fn read(why: &str, timeout: Duration, evil: impl AsyncFn(TcpStream)) -> RemoteError {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let world = World::empty();
    let source = source(port, timeout);
    let serving = async {
        let (stream, _) = listener.accept().await.expect("a client");
        evil(stream).await;
        std::future::pending().await
    };
    let error = tokio::select! {
        result = world.read(&source) => result.expect_err(why),
        never = serving => never,
    };
    assert!(!error.to_string().contains(char::is_control), "{error:?}");
    error
}

#[tokio::test]
async fn endless_greetings_and_impossible_lengths_break_the_connection() {
    let check = async |why: &str, beginning: &[u8], more: &[u8]| {
        let error = read(why, PATIENCE, async |mut stream| {
            // More than the client takes: it hangs up on us, or fills its buffers and ours.
            let _ = stream.write_all(beginning).await;
            while stream.write_all(more).await.is_ok() {}
        });
        let error = error.await;
        assert!(matches!(error, RemoteError::Ssh { .. }), "{why}: {error:?}");
    };
    check("a greeting without end", b"", &[b'x'; 4 * 1024]).await;
    check("greetings without end", b"", &b"hello\r\n".repeat(8 * 1024)).await;
    let greeting = b"SSH-2.0-evil\r\n";
    for length in [u32::MAX, 1 << 31, 1 << 24, 0, 1] {
        let beginning = [greeting.as_slice(), &length.to_be_bytes()].concat();
        check("a packet of that length", &beginning, &[0; 4 * 1024]).await;
    }
    check("a greeting, then noise", greeting, &[0x55; 4 * 1024]).await;
}

/// A server that never lets anybody in, or everybody.
struct Doorman(fn() -> Auth);

impl server::Handler for Doorman {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(self.0())
    }
}

async fn serve(stream: TcpStream, config: server::Config, answer: fn() -> Auth) {
    let config = server::Config {
        keys: vec![russh::keys::decode_secret_key(KEY, Some("test")).expect("a key")],
        auth_rejection_time: Duration::ZERO,
        max_auth_attempts: usize::MAX,
        ..config
    };
    let session = server::run_stream(Arc::new(config), stream, Doorman(answer));
    if let Ok(session) = session.await {
        let _ = session.await;
    }
}

#[tokio::test]
async fn a_server_that_always_wants_one_more_proof_is_left() {
    let error = read("no proof is enough", PATIENCE, async |stream| {
        let more = || Auth::Reject {
            proceed_with_methods: Some(russh::MethodSet::server_supported()),
            partial_success: true,
        };
        serve(stream, server::Config::default(), more).await;
    });
    let error = error.await;
    assert!(error.to_string().contains("cannot reach"), "{error}");
    let RemoteError::Ssh { source, .. } = error else {
        panic!("an error of ssh: {error:?}");
    };
    assert!(
        source.to_string().contains("does not let `git` in"),
        "{source}"
    );
}

#[tokio::test]
async fn a_server_that_exchanges_keys_all_the_time_ends_with_the_timeout_at_the_latest() {
    let error = read("nothing but keys", TIMEOUT, async |stream| {
        let config = server::Config {
            limits: russh::Limits::new(1, 1, Duration::from_millis(1)),
            ..server::Config::default()
        };
        serve(stream, config, || Auth::Accept).await;
    });
    let error = error.await;
    let is_end = matches!(error, RemoteError::Ssh { .. } | RemoteError::Timeout { .. });
    assert!(is_end, "{error:?}");
}
