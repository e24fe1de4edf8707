//! Git over SSH: OpenSSH's server, which starts `git-shell` for whoever runs the tests.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    git_http::Repository,
    programs::{self, Server, command, free_port},
};

/// How a server differs from the one that OpenSSH's defaults make.
pub(crate) struct Setup<'a> {
    /// The kinds of its host keys.
    pub(crate) host_keys: &'a [&'a str],
    /// Lines for its configuration.
    pub(crate) lines: &'a [&'a str],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            host_keys: &["ed25519"],
            lines: &["AcceptEnv GIT_PROTOCOL"],
        }
    }
}

pub(crate) struct SshServer {
    _sshd: Server,
    pub(crate) port: u16,
    folder: PathBuf,
    user: String,
}

impl SshServer {
    /// Starts a server in a folder, or says what is missing.
    pub(crate) fn start(folder: &Path, setup: &Setup<'_>) -> Option<Self> {
        let (sshd, shell) = (programs::find("sshd")?, programs::find("git-shell")?);
        programs::find("ssh-keygen")?;
        let user = command("id", folder)
            .arg("-un")
            .output()
            .expect("id is everywhere");
        let user = String::from_utf8(user.stdout)
            .expect("a name")
            .trim()
            .to_owned();
        if user == "root" && !Path::new("/run/sshd").is_dir() {
            assert!(
                std::env::var_os("CI").is_none(),
                "no /run/sshd; run .ci/servers"
            );
            eprintln!("left out: sshd wants a folder /run/sshd; .ci/servers makes it");
            return None;
        }
        fs::create_dir_all(folder).expect("a new folder");
        let authorized = folder.join("authorized_keys");
        fs::write(&authorized, "").expect("a new file");
        let port = free_port();
        let mut config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nAuthorizedKeysFile {}\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nAllowUsers {user}\nLogLevel VERBOSE\n\
             SetEnv GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null\n\
             ForceCommand {} -c \"$SSH_ORIGINAL_COMMAND\"\n",
            authorized.display(),
            shell.display()
        );
        for kind in setup.host_keys {
            let file = make_key(folder, &format!("host_{kind}"), &["-t", kind], "");
            config.push_str(&format!("HostKey {}\n", file.display()));
        }
        for line in setup.lines {
            config.push_str(&format!("{line}\n"));
        }
        let file = folder.join("sshd_config");
        fs::write(&file, config).expect("a new file");
        let log = folder.join("sshd.log");
        let mut serve = command(sshd, folder);
        serve.args(["-D", "-e", "-f"]).arg(&file);
        let mut sshd = Server::start(serve, &log);
        sshd.wait(&log, || programs::is_open(port));
        Some(Self {
            _sshd: sshd,
            port,
            folder: folder.to_owned(),
            user,
        })
    }

    pub(crate) fn repository(&self, files: &[(&str, &str)]) -> Repository {
        Repository::make(&self.folder, "fleet", files)
    }

    pub(crate) fn url(&self, repository: &Path) -> String {
        format!(
            "ssh://{}@127.0.0.1:{}{}",
            self.user,
            self.port,
            repository.display()
        )
    }

    /// The host as `known_hosts` calls it.
    pub(crate) fn host(&self) -> String {
        format!("[127.0.0.1]:{}", self.port)
    }

    /// Kind and text of a host key.
    pub(crate) fn host_key(&self, kind: &str) -> String {
        public(&self.folder.join(format!("host_{kind}")))
    }

    /// Lets the owner of a key in.
    pub(crate) fn authorize(&self, private: &Path) {
        let line = format!("restrict {}\n", public(private));
        fs::write(self.folder.join("authorized_keys"), line).expect("a file of ours");
    }

    /// What the server wrote into its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("sshd.log")).unwrap_or_default()
    }
}

/// Makes a private key, and its public half beside it.
pub(crate) fn make_key(folder: &Path, name: &str, arguments: &[&str], passphrase: &str) -> PathBuf {
    let file = folder.join(name);
    let mut keygen = command("ssh-keygen", folder);
    keygen
        .args(["-q", "-N", passphrase, "-C", "test", "-f"])
        .arg(&file)
        .args(arguments);
    let output = keygen.output().expect("ssh-keygen was found");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ssh-keygen {arguments:?}: {told}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    file
}

/// Kind and text of the public half of a key, without its comment.
pub(crate) fn public(private: &Path) -> String {
    let text = fs::read_to_string(private.with_extension("pub")).expect("a public key");
    let mut words = text.split_ascii_whitespace();
    let (kind, key) = (words.next(), words.next());
    format!("{} {}", kind.expect("a kind"), key.expect("a key"))
}
