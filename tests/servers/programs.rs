//! Programs that tests start: found on the machine, given a cleared environment, ended by pid.

use std::{
    ffi::OsStr,
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Finds a program, or says that its tests are left out.
///
/// # Panics
///
/// Where `CI` is set: silence is not a pass.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path
        .split(':')
        .chain(["/usr/sbin", "/usr/bin", "/usr/local/bin"]);
    let found = folders
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "`{name}` is missing; run .ci/servers"
        );
        eprintln!("left out: `{name}` is missing; .ci/servers installs it");
    }
    found
}

/// A command with nothing of the machine's environment but the search path.
pub(crate) fn command(program: impl AsRef<OsStr>, home: &Path) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .env("LANG", "C.UTF-8");
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.stdin(Stdio::null());
    command
}

/// A server that ends, with everything it started, when the test does.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts `command` in a process group of its own.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let log = std::fs::File::create(log).expect("the log file can be made");
        let errors = log.try_clone().expect("and used twice");
        command.process_group(0).stdout(log).stderr(errors);
        Self {
            child: command
                .spawn()
                .expect("the program was found, so it can be started"),
        }
    }

    /// Waits until `is_ready`.
    pub(crate) fn wait(&mut self, log: &Path, is_ready: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_ready() {
            let ended = self.child.try_wait().expect("our own child can be asked");
            let told = || std::fs::read_to_string(log).unwrap_or_default();
            assert!(ended.is_none(), "the server ended: {}", told());
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "the server is not ready: {}",
                told()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal to the server and its children; says whether it was delivered.
    pub(crate) fn signal(&self, signal: &str) -> bool {
        // The group is this test's own; its children would outlive a kill of the parent alone.
        let group = format!("-{}", self.child.id());
        let kill = Command::new("kill").args([signal, "--", &group]).status();
        kill.is_ok_and(|status| status.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.signal("-KILL") {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// A port of loopback that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

/// Whether somebody listens on a port of loopback.
pub(crate) fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A file that `docker-registry` and nginx read one user from.
pub(crate) fn htpasswd(folder: &Path, user: &str, password: &str) -> Option<PathBuf> {
    let path = folder.join("htpasswd");
    let mut make = command(find("htpasswd")?, folder);
    make.args(["-Bbc", "-C", "4"])
        .arg(&path)
        .args([user, password])
        .stderr(Stdio::null());
    assert!(make.status().expect("htpasswd can be started").success());
    Some(path)
}
