//! A real registry: Debian's `docker-registry`, on a folder with as many repositories as are wanted.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use crate::children::Child;

/// How long the registry may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A registry that serves a folder.
pub(crate) struct RealRegistry {
    pub(crate) address: String,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl RealRegistry {
    /// Starts one with `repositories`, of `tags` each; nothing where the program is missing.
    pub(crate) fn start(repositories: usize, tags: usize) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        fill(folder.path(), repositories, tags).expect("the folder is written");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .expect("a port is free")
            .port();
        let config = folder.path().join("config.yml");
        let root = folder.path().display();
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {root}}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\", secret: x}}\n"
        );
        fs::write(&config, text).expect("the folder is written");
        let config = config.to_str().expect("a path in UTF-8");
        let process = Child::of("docker-registry", &["serve", config])?;
        let address = format!("127.0.0.1:{port}");
        let began = Instant::now();
        while TcpStream::connect(&address).is_err() {
            if began.elapsed() > PATIENCE {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self {
            address,
            _process: process,
            _folder: folder,
        })
    }
}

/// Writes what the registry lists: a folder a tag.
fn fill(folder: &Path, repositories: usize, tags: usize) -> io::Result<()> {
    let root = folder.join("docker/registry/v2/repositories");
    for repository in 0..repositories {
        let place = root.join(format!("r{repository}/_manifests/tags"));
        fs::create_dir_all(&place)?;
        for tag in 0..tags {
            fs::create_dir(place.join(format!("build-{tag:07}")))?;
        }
    }
    Ok(())
}
