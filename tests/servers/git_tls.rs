//! A Git server that wants to see a certificate of its clients.

use std::fs;

use rcgen::{CertificateParams, KeyPair};
use tagwright::{
    egress::Egress,
    update::git::{GitRemote, RemoteError},
};

use crate::{
    certificates::Certificates,
    git_http::GitServer,
    races::{source, update},
    ssh::{FILES, commit},
};

const PASSWORD: &str = "canary-4711";

#[tokio::test]
async fn a_client_shows_the_certificate_of_its_secret() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let certificates = Certificates::make(folder);
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).expect("a new file");
        path.display().to_string()
    };
    let pair = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = certificate.self_signed(&key).expect("a certificate");
        let certificate = write(&format!("{name}.crt"), certificate.pem());
        (
            certificate,
            write(&format!("{name}.key"), key.serialize_pem()),
        )
    };
    let (ours, others) = (pair("bot"), pair("eve"));
    let lines = format!("ssl_verify_client on; ssl_client_certificate {};", ours.0);
    let Some(server) = GitServer::start_with(folder, &certificates, PASSWORD, &lines) else {
        return;
    };
    let fleet = server.repository("fleet", &FILES);
    let authority = certificates.authority.display();
    let usual = format!("username: bot, password: {PASSWORD}, ca.crt: '${{file:{authority}}}'");
    let shows = |(certificate, key): &(String, String)| {
        format!("{usual}, tls.crt: '${{file:{certificate}}}', tls.key: '${{file:{key}}}'")
    };
    let update = async |secret: &str| {
        let remote = GitRemote::new(Egress::new(), folder.join("store"));
        let source = source(secret, &server.url("fleet")).await;
        update(&remote, &source, &commit("2")).await
    };
    for secret in [usual.clone(), shows(&others)] {
        let error = update(&secret).await.expect_err("a stranger");
        assert!(matches!(error, RemoteError::Denied { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains(PASSWORD), "{error:?}");
    }
    let pushed = update(&shows(&ours)).await.expect("a push");
    assert_eq!(fleet.tip("main"), pushed.commit.as_str());
    fleet.assert_sound();
}
