//! How long a process takes, and how much memory.

use std::{
    fs,
    io::{Read as _, Seek as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) struct Run {
    pub(crate) wall: Duration,
    /// The kernel's own high-water mark of the resident size, in KiB.
    pub(crate) peak_kib: u32,
}

pub(crate) fn measure(command: &mut Command) -> Run {
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

pub(crate) fn median(runs: &[Run]) -> f64 {
    let mut walls: Vec<_> = runs.iter().map(|run| run.wall.as_secs_f64()).collect();
    walls.sort_by(f64::total_cmp);
    walls.get(walls.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The size of a folder, in bytes.
pub(crate) fn size(folder: &Path) -> u64 {
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
