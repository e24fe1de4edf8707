//! kube-apiserver and etcd on loopback, in a folder of their own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::programs::{self, Server, command, free_port};

const VERSION: &str = "1.20.2";

/// What the controller does is recorded.
const AUDIT: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
    - {level: Metadata, users: ['system:serviceaccount:tagwright-system:tagwright']}\n\
    - {level: None}\n";

pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    programs: Programs,
    etcd_port: u16,
    port: u16,
    // Ended in this order.
    apiserver: Option<Server>,
    etcd: Option<Server>,
}

struct Programs {
    apiserver: PathBuf,
    etcd: PathBuf,
}

impl Cluster {
    /// Starts both, or says what is missing.
    pub(crate) fn start() -> Option<Self> {
        let programs = Programs {
            apiserver: find_apiserver()?,
            etcd: programs::find("etcd")?,
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_keys(folder.path());
        fs::write(folder.path().join("audit.yaml"), AUDIT).expect("the folder can be written");
        let mut cluster = Self {
            folder,
            programs,
            etcd_port: free_port(),
            port: free_port(),
            apiserver: None,
            etcd: None,
        };
        cluster.start_etcd();
        cluster.start_apiserver();
        Some(cluster)
    }

    fn start_etcd(&mut self) {
        let root = self.folder.path();
        let port = self.etcd_port;
        let client = format!("http://127.0.0.1:{port}");
        let mut etcd = command(&self.programs.etcd, root);
        etcd.args(["--listen-peer-urls", "http://127.0.0.1:0"])
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .arg("--data-dir")
            .arg(root.join("etcd"));
        let log = root.join("etcd.log");
        let mut etcd = Server::start(etcd, &log);
        etcd.wait(&log, || programs::is_open(port));
        self.etcd = Some(etcd);
    }

    fn start_apiserver(&mut self) {
        let root = self.folder.path();
        let port = self.port;
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let path = |name: &str| root.join(name).display().to_string();
        let mut server = command(&self.programs.apiserver, root);
        server
            .arg(format!("--etcd-servers={client}"))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .arg(format!("--secure-port={port}"))
            .arg("--insecure-port=0")
            .arg(format!("--cert-dir={}", path("certs")))
            .arg(format!("--tls-cert-file={}", path("server.crt")))
            .arg(format!("--tls-private-key-file={}", path("server.key")))
            .arg(format!("--client-ca-file={}", path("ca.crt")))
            .arg(format!("--token-auth-file={}", path("tokens.csv")))
            .args(["--authorization-mode=RBAC", "--allow-privileged=true"])
            .arg(format!("--audit-policy-file={}", path("audit.yaml")))
            .arg(format!("--audit-log-path={}", path("audit.log")))
            .arg("--service-cluster-ip-range=10.0.0.0/24")
            .arg("--disable-admission-plugins=ServiceAccount")
            .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
            .arg(format!("--service-account-key-file={}", path("sa.pub")))
            .arg(format!(
                "--service-account-signing-key-file={}",
                path("sa.key")
            ));
        let log = root.join("apiserver.log");
        let mut server = Server::start(server, &log);
        // The default roles are the last thing that a new server makes.
        server.wait(&log, || programs::is_open(port));
        self.apiserver = Some(server);
    }

    /// Kills the API server, as a lost machine would.
    pub(crate) fn kill_apiserver(&mut self) {
        self.apiserver = None;
    }

    /// Starts it again, on the same port and the same data.
    pub(crate) fn restart_apiserver(&mut self) {
        self.start_apiserver();
    }

    /// Lets etcd hang, so that the API server answers nothing.
    pub(crate) fn pause_etcd(&self) {
        let etcd = self.etcd.as_ref().expect("it was started");
        assert!(etcd.signal("-STOP"), "etcd runs");
    }

    pub(crate) fn resume_etcd(&self) {
        let etcd = self.etcd.as_ref().expect("it was started");
        assert!(etcd.signal("-CONT"), "etcd is stopped");
    }

    /// A client that may do everything, once the server is ready.
    pub(crate) async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig_text("admintoken"));
        let kubeconfig = kubeconfig.expect("it is a kubeconfig");
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.expect("it is complete")).expect("and can be used");
        let ready = || async {
            let request = http::Request::get("/readyz")
                .body(Vec::new())
                .expect("a request");
            client
                .request_text(request)
                .await
                .is_ok_and(|text| text == "ok")
        };
        crate::apply::until("the API server is ready", ready).await;
        client
    }

    /// Writes a kubeconfig for a ServiceAccount, which exists.
    pub(crate) async fn kubeconfig_of(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
    ) -> PathBuf {
        let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
        let request = TokenRequest::default();
        let token = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await;
        let token = token
            .expect("tokens are issued")
            .status
            .expect("with a status")
            .token
            .expect("and a token");
        let path = self
            .folder
            .path()
            .join(format!("{namespace}-{name}.kubeconfig"));
        fs::write(&path, self.kubeconfig_text(&token)).expect("the folder can be written");
        path
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn kubeconfig_text(&self, token: &str) -> String {
        let authority = self.folder.path().join("ca.crt");
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters:\n- name: test\n  cluster: \
             {{server: 'https://127.0.0.1:{}', certificate-authority: '{}'}}\nusers:\n- name: test\n  \
             user: {{token: '{token}'}}\ncontexts:\n- name: test\n  context: {{cluster: test, user: test}}\n",
            self.port,
            authority.display()
        )
    }
}

/// The server that `.ci/apiserver` builds.
fn find_apiserver() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or(home)?;
    let path = cache.join(format!("tagwright/kube-apiserver-{VERSION}/kube-apiserver"));
    if path.is_file() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "kube-apiserver is missing; run .ci/apiserver"
    );
    eprintln!("left out: kube-apiserver is missing; .ci/apiserver builds it");
    None
}

/// A certificate authority, the server's certificate, the key of ServiceAccount tokens, and the
/// token of an administrator.
fn write_keys(folder: &Path) {
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).expect("the folder can be written");
    };
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority
        .self_signed(&authority_key)
        .expect("a certificate");
    write("ca.crt", &certificate.pem());
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let server = CertificateParams::new(names).expect("names");
    let server = server.signed_by(&key, &issuer).expect("a certificate");
    write("server.crt", &server.pem());
    write("server.key", &key.serialize_pem());
    let tokens = KeyPair::generate().expect("a key");
    write("sa.key", &tokens.serialize_pem());
    write("sa.pub", &tokens.public_key_pem());
    write("tokens.csv", "admintoken,admin,1,system:masters\n");
}
