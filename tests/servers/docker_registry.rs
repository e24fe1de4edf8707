//! Debian's `docker-registry` (distribution 2.8), seeded through its storage folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{
    certificates::Certificates,
    programs::{self, Server, command, free_port, htpasswd},
    token_service::TokenService,
};

/// How the registry knows its callers.
pub(crate) enum Login<'a> {
    /// Not at all.
    Open,
    /// TLS, and a user with a password.
    Password(&'a Certificates, &'a str, &'a str),
    /// Bearer tokens of a token service.
    Token(&'a TokenService),
}

pub(crate) struct DockerRegistry {
    _server: Server,
    port: u16,
    data: PathBuf,
}

impl DockerRegistry {
    /// Starts a registry, or says that it is missing.
    pub(crate) fn start(folder: &Path, login: &Login<'_>) -> Option<Self> {
        let program = programs::find("docker-registry")?;
        let port = free_port();
        let data = folder.join("data");
        fs::create_dir_all(&data).expect("the folder can be written");
        let root = data.display();
        let mut config = format!(
            "version: 0.1\nlog: {{level: warn, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {root}}}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n  secret: x\n"
        );
        match login {
            Login::Open => {}
            Login::Password(certificates, user, password) => {
                let Certificates {
                    certificate, key, ..
                } = certificates;
                let (certificate, key) = (certificate.display(), key.display());
                let users = htpasswd(folder, user, password)?;
                config += &format!("  tls: {{certificate: {certificate}, key: {key}}}\n");
                config += &format!(
                    "auth: {{htpasswd: {{realm: r, path: {}}}}}\n",
                    users.display()
                );
            }
            Login::Token(service) => {
                let bundle = folder.join("token.crt");
                fs::write(&bundle, service.certificate()).expect("the folder can be written");
                config += &format!(
                    "auth: {{token: {{realm: \"http://{}/token\", service: registry, issuer: tests, \
                     rootcertbundle: {}}}}}\n",
                    service.address(),
                    bundle.display()
                );
            }
        }
        let path = folder.join("registry.yml");
        fs::write(&path, config).expect("the folder can be written");
        let mut serve = command(program, folder);
        serve.arg("serve").arg(&path);
        let log = folder.join("registry.log");
        let mut server = Server::start(serve, &log);
        server.wait(&log, || programs::is_open(port));
        Some(Self {
            _server: server,
            port,
            data,
        })
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Puts a tag into the registry's storage, as a push would; returns the manifest's digest.
    pub(crate) fn tag(&self, repository: &str, tag: &str) -> String {
        let manifest = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
             \"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":2,\
             \"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"}},\
             \"layers\":[],\"annotations\":{{\"tag\":\"{tag}\"}}}}"
        );
        self.manifest(repository, tag, manifest.as_bytes())
    }

    /// Puts a manifest under a tag into the registry's storage; returns its digest.
    pub(crate) fn manifest(&self, repository: &str, tag: &str, manifest: &[u8]) -> String {
        let digest = self.revision(repository, manifest);
        let tag = self
            .repository(repository)
            .join("_manifests/tags")
            .join(tag);
        link(&tag.join("current"), &digest);
        link(&tag.join("index").join(folded(&digest)), &digest);
        digest
    }

    /// Puts a manifest that no tag names, such as an index's child; returns its digest.
    pub(crate) fn revision(&self, repository: &str, manifest: &[u8]) -> String {
        self.stored(repository, "_manifests/revisions", manifest)
    }

    /// Puts a blob, such as an image's config; returns its digest.
    pub(crate) fn blob(&self, repository: &str, bytes: &[u8]) -> String {
        self.stored(repository, "_layers", bytes)
    }

    /// Puts bytes, and a link under `links` that makes them the repository's own.
    fn stored(&self, repository: &str, links: &str, bytes: &[u8]) -> String {
        let mut digest = "sha256:".to_owned();
        for byte in Sha256::digest(bytes) {
            digest.push_str(&format!("{byte:02x}"));
        }
        let hex = &digest["sha256:".len()..];
        let blobs = self.root().join("blobs/sha256").join(&hex[..2]).join(hex);
        write(&blobs.join("data"), bytes);
        let links = self.repository(repository).join(links);
        link(&links.join(folded(&digest)), &digest);
        digest
    }

    fn root(&self) -> PathBuf {
        self.data.join("docker/registry/v2")
    }

    fn repository(&self, repository: &str) -> PathBuf {
        self.root().join("repositories").join(repository)
    }
}

/// A digest as a part of a path: `sha256/<hex>`.
fn folded(digest: &str) -> String {
    digest.replacen(':', "/", 1)
}

fn link(folder: &Path, digest: &str) {
    write(&folder.join("link"), digest.as_bytes());
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("it is inside")).expect("storage can be written");
    fs::write(path, bytes).expect("storage can be written");
}
