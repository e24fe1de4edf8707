//! `tagwright run` beside `git clone --depth 1`, an edit, a commit and a push: the same repository
//! behind the same real server, nginx with `git http-backend` or OpenSSH's `sshd`.
//!
//! Whole processes are timed, in turn; the branch is put back after each, and the figure to quote is
//! the ratio of the medians. Where a server is missing, `.ci/servers` installs it.
//!
//! `cargo bench --bench git -- --files 100000 --over https,ssh --runs 3`
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a benchmark starts programs, reads the clock and prints"
)]

#[path = "../../tests/servers/certificates.rs"]
mod certificates;
#[path = "../../tests/servers/git_http.rs"]
#[expect(dead_code, reason = "the repository is made here")]
mod git_http;
#[path = "../../tests/servers/git_ssh.rs"]
#[expect(dead_code, reason = "one usual server is enough")]
mod git_ssh;
#[path = "../../tests/servers/programs.rs"]
mod programs;

mod measure;
mod world;

use std::{fs, process::ExitCode};

use measure::{Run, median, size};
use world::{SCOPE, Transport, World, tagwright};

fn main() -> ExitCode {
    let argument = |name: &str| {
        let mut arguments = std::env::args().skip_while(|it| it != name).skip(1);
        arguments.next()
    };
    let number = |name: &str| argument(name).and_then(|it| it.parse().ok());
    let files = number("--files").unwrap_or(100_000);
    let runs = number("--runs").unwrap_or(3);
    let over = argument("--over").unwrap_or_else(|| "https,ssh".to_owned());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = World::make(folder.path(), files, &runtime);
    for name in over.split(',') {
        let transport = match name {
            "https" => Transport::https(&world),
            "ssh" => Transport::ssh(&world),
            other => {
                eprintln!("`{other}` is neither `https` nor `ssh`");
                return ExitCode::FAILURE;
            }
        };
        let Some(transport) = transport else {
            continue;
        };
        println!("{files} files over {name} on loopback; median of {runs} runs");
        compare(&world, &transport, runs);
    }
    ExitCode::SUCCESS
}

fn compare(world: &World, transport: &Transport, runs: usize) {
    let clone = world.repeat(runs, || world.clone_edit_push(transport));
    row("git clone --depth 1, edit, commit, push", &clone, None);
    for (name, path) in [("whole repository", ""), (SCOPE, SCOPE)] {
        let config = world.documents(transport, path);
        let [cold, warm] = ["cold", "warm"].map(|it| world.folder.join(it));
        let first = world.repeat(runs, || {
            let _ = fs::remove_dir_all(&cold);
            tagwright(&config, &cold)
        });
        row(&format!("cold: {name}"), &first, Some(&clone));
        println!("{:>58} KiB on disk", size(&cold) / 1024);
        let _ = fs::remove_dir_all(&warm);
        tagwright(&config, &warm);
        let update = world.repeat(runs, || tagwright(&config, &warm));
        row(&format!("warm: {name}"), &update, Some(&clone));
        tagwright(&config, &warm);
        let nothing = (0..runs).map(|_| tagwright(&config, &warm));
        let nothing = nothing.collect::<Vec<_>>();
        row(&format!("nothing to do: {name}"), &nothing, None);
    }
    let asking = (0..runs).map(|_| world.ls_remote(transport));
    row("git ls-remote", &asking.collect::<Vec<_>>(), None);
}

fn row(name: &str, runs: &[Run], beside: Option<&[Run]>) {
    let wall = median(runs);
    let peak = runs.iter().map(|run| run.peak_kib).max();
    let peak = f64::from(peak.unwrap_or_default()) / 1024.0;
    let ratio = beside.map(|other| format!("{:7.1} x faster", median(other) / wall));
    println!(
        "{name:44} {:9.1} ms  {peak:6.1} MiB{}",
        wall * 1e3,
        ratio.unwrap_or_default()
    );
}
