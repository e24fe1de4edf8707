//! A certificate authority of the test's own, and a server certificate for loopback.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Files in PEM.
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// For loopback.
    pub(crate) fn make(folder: &Path) -> Self {
        Self::naming(folder, &["127.0.0.1", "localhost"])
    }

    /// For servers of these names.
    pub(crate) fn naming(folder: &Path, names: &[&str]) -> Self {
        let authority_key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_certificate = authority
            .self_signed(&authority_key)
            .expect("a certificate");
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().expect("a key");
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let certificate = CertificateParams::new(names).expect("names");
        let certificate = certificate.signed_by(&key, &issuer).expect("a certificate");
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("the folder can be written");
            path
        };
        Self {
            authority: write("ca.crt", authority_certificate.pem()),
            certificate: write("server.crt", certificate.pem()),
            key: write("server.key", key.serialize_pem()),
        }
    }
}
