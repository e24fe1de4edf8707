//! `tagwright plan --in-place` over a folder of YAML files, beside `grep -rl` over the same folder.
//!
//! Both are timed as whole processes, in turn, after one warm-up each; the figure to quote is the
//! ratio of the medians. `cargo bench --bench plan -- --files 20000`
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark starts programs, reads the clock and prints"
)]

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use tagwright::fixture::{Fixture, RegistryServer};

const RUNS: usize = 9;
/// One file in so many holds markers.
const MARKED: usize = 20;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip_while(|it| it != "--files").skip(1);
    let files = arguments
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or(20_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime.block_on(async {
        let fixture = Fixture::embedded("demo").expect("the demo's fixture");
        RegistryServer::start(fixture).await.expect("loopback")
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let address = server.address().to_string();
    let bytes = make_tree(&folder.path().join("tree"), files, &address);
    let config = folder.path().join("config.yaml");
    fs::write(&config, documents(&address)).expect("a new file");

    let plan = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tagwright"));
        command
            .arg("plan")
            .arg("--in-place")
            .arg(folder.path().join("tree"));
        command
            .arg("--config")
            .arg(&config)
            .arg("--detailed-exitcode");
        command
    };
    let grep = || {
        let mut command = Command::new("grep");
        command
            .args(["-rl", "\"$imagepolicy\""])
            .arg(folder.path().join("tree"));
        command
    };
    let peak = peak_kib(plan());
    time(grep(), 0);
    let (mut plans, mut greps) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        plans.push(time(plan(), 3));
        greps.push(time(grep(), 0));
    }
    let median = |runs: &mut Vec<Duration>| {
        runs.sort_unstable();
        runs[RUNS / 2].as_secs_f64() * 1e3
    };
    let (plan, grep) = (median(&mut plans), median(&mut greps));
    let mib = f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) / 1024.0;
    println!("{files} files, {mib:.1} MiB, one in {MARKED} marked; median of {RUNS} runs in turn");
    println!(
        "plan --in-place  {plan:8.1} ms   peak memory {:.1} MiB",
        f64::from(peak) / 1024.0
    );
    println!("grep -rl         {grep:8.1} ms");
    println!("ratio            {:8.2}", plan / grep);
    ExitCode::SUCCESS
}

/// Runs a program to its end, and looks at nothing meanwhile: there are two processors, and the
/// program uses both.
fn time(mut command: Command, code: i32) -> Duration {
    let start = Instant::now();
    let status = silent(&mut command).status();
    let wall = start.elapsed();
    let status = status.expect("the program can be started");
    assert_eq!(status.code(), Some(code), "{command:?}");
    wall
}

/// The largest resident size of a program in KiB: the kernel's own high-water mark.
fn peak_kib(mut command: Command) -> u32 {
    let mut child = silent(&mut command)
        .spawn()
        .expect("the program can be started");
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    while child
        .try_wait()
        .expect("our own child can be asked")
        .is_none()
    {
        if let Some(found) = high_water_mark(&status) {
            peak_kib = found;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    peak_kib
}

fn silent(command: &mut Command) -> &mut Command {
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
}

fn high_water_mark(status: &str) -> Option<u32> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Writes a tree like a fleet's: 50 files to a folder, 0.6 KiB each; returns its size in bytes.
fn make_tree(root: &Path, files: usize, registry: &str) -> usize {
    let mut bytes = 0;
    for index in 0..files {
        let folder = root.join(format!(
            "team-{:03}/app-{:03}",
            index / 1000,
            index / 50 % 20
        ));
        fs::create_dir_all(&folder).expect("a new folder");
        let marker = if index % MARKED == 0 {
            " # {\"$imagepolicy\": \"default:web\"}"
        } else {
            ""
        };
        let text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{index}\n  namespace: team\n  \
             labels:\n    app.kubernetes.io/name: app-{index}\nspec:\n  replicas: 2\n  selector:\n    \
             matchLabels:\n      app.kubernetes.io/name: app-{index}\n  template:\n    metadata:\n      \
             labels:\n        app.kubernetes.io/name: app-{index}\n    spec:\n      containers:\n        \
             - name: app\n          image: {registry}/acme/web:1.0.0{marker}\n          ports:\n            \
             - containerPort: 8080\n          resources:\n            requests:\n              cpu: 100m\n"
        );
        bytes += text.len();
        fs::write(folder.join(format!("file-{index}.yaml")), text).expect("a new file");
    }
    bytes
}

fn documents(registry: &str) -> String {
    format!(
        "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: web}}\n\
         spec: {{image: {registry}/acme/web, interval: 5m, insecure: true}}\n---\n\
         apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: web}}\n\
         spec: {{imageRepositoryRef: {{name: web}}, policy: {{semver: {{range: 1.x}}}}}}\n"
    )
}
