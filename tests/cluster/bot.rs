//! The controller as a process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use crate::programs::{command, free_port};

/// A controller that is killed when it is dropped.
pub(crate) struct Bot {
    child: Child,
    health: u16,
    metrics: u16,
    log: PathBuf,
}

impl Bot {
    /// Starts the controller with the arguments that `deploy/` gives it, and more.
    pub(crate) fn start(
        folder: &Path,
        name: &str,
        kubeconfig: &Path,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let (health, metrics) = (free_port(), free_port());
        let mut run = command(env!("CARGO_BIN_EXE_tagwright"), folder);
        run.env("KUBECONFIG", kubeconfig)
            .env("RUNTIME_NAMESPACE", "tagwright-system")
            .env("HOSTNAME", name)
            .envs(variables.iter().copied())
            .args(["controller", "--min-retry-delay=100ms"])
            .arg(format!("--health-addr=127.0.0.1:{health}"))
            .arg(format!("--metrics-addr=127.0.0.1:{metrics}"))
            .args(more);
        let log = folder.join(format!("{name}.log"));
        let file = fs::File::create(&log).expect("the log file can be made");
        run.stderr(file);
        Self {
            child: run.spawn().expect("the program was built"),
            health,
            metrics,
            log,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = self.child.try_wait().expect("our own child can be asked");
        ended.is_some()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) async fn is_ready(&self) -> bool {
        get(self.health, "/readyz").await.is_some()
    }

    pub(crate) async fn is_healthy(&self) -> bool {
        get(self.health, "/healthz").await.is_some()
    }

    pub(crate) async fn metrics(&self) -> String {
        get(self.metrics, "/metrics").await.unwrap_or_default()
    }

    /// The value of a series, by its beginning.
    pub(crate) async fn metric(&self, beginning: &str) -> f64 {
        let text = self.metrics().await;
        let line = text.lines().find(|line| line.starts_with(beginning));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }

    pub(crate) async fn is_leading(&self) -> bool {
        self.metric("tagwright_leader ").await > 0.5
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(
            told.is_ok_and(|it| it.success()),
            "our own child can be asked"
        );
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child can be asked") {
                return status;
            }
            let log = self.log();
            assert!(
                start.elapsed() < Duration::from_secs(40),
                "it does not stop: {log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the controller said:\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn get(port: u16, path: &str) -> Option<String> {
    let url = format!("http://127.0.0.1:{port}{path}");
    let answer = reqwest::get(url).await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    answer.text().await.ok()
}
