//! `tagwright run` on a repository behind `git http-backend`, beside `git clone --depth 1`, an edit,
//! a commit and a push of the same repository by the same server.
//!
//! Whole processes are timed, in turn; the branch is put back after each, and the figure to quote is
//! the ratio of the medians. `cargo bench --bench git -- --files 100000`
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark starts programs, reads the clock and prints"
)]

#[path = "../tests/suite/support/git_server.rs"]
#[expect(dead_code, reason = "no trouble is made here")]
mod git_server;

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use tagwright::fixture::{Fixture, RegistryServer};

use git_server::{GitServer, git};

const RUNS: usize = 3;
/// One file in so many holds a marker.
const MARKED: usize = 1000;
/// The folder of the scoped runs: 50 files, one of them marked.
const SCOPE: &str = "team-000/app-000";
const FILES_IN_FOLDER: usize = 50;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip_while(|it| it != "--files").skip(1);
    let files = arguments.next().and_then(|it| it.parse().ok());
    let files = files.unwrap_or(100_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (registry, server) = runtime.block_on(async {
        let fixture = Fixture::embedded("demo").expect("the demo's fixture");
        let registry = RegistryServer::start(fixture).await.expect("loopback");
        (registry, GitServer::of(folder.path()).start().await)
    });
    let world = World {
        folder: folder.path(),
        repository: folder.path().join("fleet.git"),
        url: server.url("fleet.git").to_string(),
        registry: registry.address().to_string(),
    };
    let base = world.make_repository(files);
    println!("{files} files, one in {MARKED} marked; median of {RUNS} runs, over http on loopback");

    let clone = world.repeat(&base, || world.clone_edit_push());
    row("git clone --depth 1, edit, commit, push", &clone, None);
    for (name, path) in [("whole repository", ""), (SCOPE, SCOPE)] {
        let config = world.documents(path);
        let cache = |name: &str| folder.path().join(name);
        let run = |cache: &Path| tagwright(&config, cache);
        let cold = world.repeat(&base, || {
            let cache = cache("cold");
            let _ = fs::remove_dir_all(&cache);
            run(&cache)
        });
        row(&format!("tagwright run, cold: {name}"), &cold, Some(&clone));
        println!("{:>66} KiB on disk", size(&cache("cold")) / 1024);
        let warm = cache("warm");
        let _ = fs::remove_dir_all(&warm);
        run(&warm);
        let update = world.repeat(&base, || run(&warm));
        row(
            &format!("tagwright run, warm: {name}"),
            &update,
            Some(&clone),
        );
        run(&warm);
        let nothing = (0..RUNS).map(|_| run(&warm)).collect::<Vec<_>>();
        row(
            &format!("tagwright run, warm, nothing to do: {name}"),
            &nothing,
            None,
        );
    }
    ExitCode::SUCCESS
}

struct World<'a> {
    folder: &'a Path,
    repository: PathBuf,
    url: String,
    registry: String,
}

impl World<'_> {
    /// Writes one commit with `files` files by `git fast-import`, and returns its id.
    fn make_repository(&self, files: usize) -> String {
        succeed(
            git()
                .args(["init", "-q", "--bare", "-b", "main"])
                .arg(&self.repository),
        );
        for setting in ["http.receivepack", "uploadpack.allowFilter"] {
            succeed(self.git().args(["config", setting, "true"]));
        }
        let mut child = self
            .git()
            .args(["fast-import", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("git is on the path");
        let mut input = std::io::BufWriter::new(child.stdin.take().expect("it is piped"));
        input
            .write_all(
                b"commit refs/heads/main\ncommitter Human <human@example.com> 1700000000 +0000\n\
                  data 5\nfirst\n",
            )
            .expect("git reads");
        for index in 0..files {
            let (path, text) = self.file(index);
            let length = text.len();
            write!(input, "M 100644 inline {path}\ndata {length}\n{text}\n").expect("git reads");
        }
        drop(input);
        assert!(child.wait().expect("our own child").success());
        succeed(self.git().args(["repack", "-adq"]));
        let head = self.git().args(["rev-parse", "main"]).output();
        let head = String::from_utf8(head.expect("git runs").stdout).expect("text");
        head.trim().to_owned()
    }

    fn file(&self, index: usize) -> (String, String) {
        let folder = index / FILES_IN_FOLDER;
        let path = format!(
            "team-{:03}/app-{:03}/file-{index}.yaml",
            folder / 20,
            folder % 20
        );
        let marker = if index.is_multiple_of(MARKED) {
            " # {\"$imagepolicy\": \"default:web\"}"
        } else {
            ""
        };
        let mut text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{index}\nspec:\n  \
             template:\n    spec:\n      containers:\n        - name: app\n          \
             image: {}/acme/web:1.0.0{marker}\n          env:\n",
            self.registry
        );
        for variable in 0..6 {
            let value = index.wrapping_mul(2_654_435_761) ^ variable;
            let _ = writeln!(
                text,
                "            - name: SETTING_{variable}\n              value: \"{value:x}\""
            );
        }
        (path, text)
    }

    fn git(&self) -> Command {
        let mut command = git();
        command.arg("-C").arg(&self.repository);
        command
    }

    /// Measures `act` as often as needed, each time with the branch at `base`.
    fn repeat(&self, base: &str, act: impl Fn() -> Run) -> Vec<Run> {
        (0..RUNS)
            .map(|_| {
                succeed(self.git().args(["update-ref", "refs/heads/main", base]));
                let run = act();
                let moved = self.git().args(["rev-parse", "main"]).output();
                let moved = moved.expect("git runs").stdout;
                assert_ne!(
                    String::from_utf8_lossy(&moved).trim(),
                    base,
                    "it was pushed"
                );
                run
            })
            .collect()
    }

    fn clone_edit_push(&self) -> Run {
        let clone = self.folder.join("clone");
        let _ = fs::remove_dir_all(&clone);
        let start = Instant::now();
        let mut fetch = git();
        fetch.args(["clone", "-q", "--depth", "1", &self.url]);
        let mut run = measure(fetch.arg(&clone));
        let file = clone.join(SCOPE).join("file-0.yaml");
        let text = fs::read_to_string(&file).expect("it was cloned");
        fs::write(&file, text.replace(":1.0.0", ":1.1.0")).expect("it is ours");
        let git = |arguments: &[&str]| {
            let mut command = git();
            command.arg("-C").arg(&clone);
            command.args(["-c", "user.name=Bot", "-c", "user.email=bot@example.com"]);
            measure(command.args(arguments)).peak_kib
        };
        let commit = git(&["commit", "-q", "-a", "-m", "Update images"]);
        let push = git(&["push", "-q", "origin", "HEAD"]);
        run.wall = start.elapsed();
        run.peak_kib = run.peak_kib.max(commit).max(push);
        run
    }

    fn documents(&self, path: &str) -> PathBuf {
        let file = self.folder.join("config.yaml");
        let text = format!(
            "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: web}}\n\
             spec: {{image: {registry}/acme/web, interval: 5m, insecure: true}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: web}}\n\
             spec: {{imageRepositoryRef: {{name: web}}, policy: {{semver: {{range: 1.x}}}}}}\n---\n\
             apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: fleet}}\n\
             spec: {{url: {url}, interval: 5m, ref: {{branch: main}}}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
             metadata: {{name: fleet}}\nspec:\n  interval: 5m\n  \
             sourceRef: {{kind: GitRepository, name: fleet}}\n  \
             git: {{commit: {{author: {{email: bot@example.com}}}}}}\n  \
             update: {{strategy: Setters, path: \"./{path}\"}}\n",
            registry = self.registry,
            url = self.url,
        );
        fs::write(&file, text).expect("a new file");
        file
    }
}

fn tagwright(config: &Path, cache: &Path) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagwright"));
    command.env_clear().arg("run").arg("--config").arg(config);
    measure(command.arg("--cache").arg(cache))
}

struct Run {
    wall: Duration,
    /// The kernel's own high-water mark of the resident size, in KiB.
    peak_kib: u32,
}

fn measure(command: &mut Command) -> Run {
    let log = tempfile::tempfile().expect("a temporary file");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.try_clone().expect("a file handle"));
    let start = Instant::now();
    let mut child = command.spawn().expect("the program can be started");
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    loop {
        if let Some(found) = high_water_mark(&status) {
            peak_kib = found;
        }
        if let Some(status) = child.try_wait().expect("our own child can be asked") {
            let wall = start.elapsed();
            assert!(status.success(), "{command:?}: {}", told(log));
            return Run { wall, peak_kib };
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn told(mut log: fs::File) -> String {
    use std::io::{Read as _, Seek as _};
    let mut text = String::new();
    log.rewind().expect("a file");
    let _ = log.read_to_string(&mut text);
    text
}

fn high_water_mark(status: &str) -> Option<u32> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn succeed(command: &mut Command) {
    let status = command.status().expect("git is on the path");
    assert!(status.success(), "{command:?}");
}

fn row(name: &str, runs: &[Run], beside: Option<&[Run]>) {
    let wall = median(runs);
    let peak = runs
        .iter()
        .map(|run| run.peak_kib)
        .max()
        .unwrap_or_default();
    let peak = f64::from(peak) / 1024.0;
    let ratio = beside.map(|other| format!("{:7.1} x faster", median(other) / wall));
    println!(
        "{name:60} {:9.1} ms  {peak:6.1} MiB{}",
        wall * 1e3,
        ratio.unwrap_or_default()
    );
}

fn median(runs: &[Run]) -> f64 {
    let mut walls: Vec<_> = runs.iter().map(|run| run.wall.as_secs_f64()).collect();
    walls.sort_by(f64::total_cmp);
    walls[walls.len() / 2]
}

/// The size of a folder, in bytes.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder of ours");
    entries
        .map(|entry| {
            let entry = entry.expect("nobody else is here");
            let metadata = entry.metadata().expect("nobody else is here");
            if metadata.is_dir() {
                size(&entry.path())
            } else {
                metadata.len()
            }
        })
        .sum()
}
