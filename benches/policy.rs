//! `policy::select` over long tag lists: filter, extract and semver, on one core.
//!
//! The growth from 1,000 to 1,000,000 tags is to be linear, and the last line is the goal:
//! `cargo bench --bench policy -- --tags 1000000`
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the clock and prints"
)]

use std::{
    fs,
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use tagwright::{
    policy::{Direction, Order, Policy, TagFilter, select},
    scan::Scan,
};

const RUNS: usize = 9;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip_while(|it| it != "--tags").skip(1);
    let most = arguments
        .next()
        .and_then(|it| it.parse::<usize>().ok())
        .unwrap_or(1_000_000);
    println!("median of {RUNS} runs; memory is the peak above the tag list itself\n");
    println!(
        "{:>9}  {:24}  {:>10}  {:>9}  {:>9}",
        "tags", "policy", "time", "per tag", "memory"
    );
    for count in [1_000, 10_000, 100_000, 1_000_000] {
        if count > most {
            break;
        }
        let scan = listing(count);
        for (name, policy) in policies() {
            let (time, peak_kib) = measure(&policy, &scan);
            let nanoseconds = time.as_nanos() / count as u128;
            println!(
                "{count:>9}  {name:24}  {:>7.2} ms  {nanoseconds:>6} ns  {:>5.1} MiB",
                time.as_secs_f64() * 1e3,
                f64::from(peak_kib) / 1024.0,
            );
        }
    }
    ExitCode::SUCCESS
}

fn policies() -> Vec<(&'static str, Policy)> {
    let semver = || Order::semver(">=1.0.0").expect("a range");
    let anchored = r"^release-(?P<version>[0-9]+\.[0-9]+\.[0-9]+)-(?:amd64|arm64)$";
    let with = |order, pattern, extract| Policy {
        filter: TagFilter::new(pattern, extract).expect("a pattern"),
        ..Policy::new(order)
    };
    vec![
        (
            "filter, extract, semver",
            with(semver(), anchored, "$version"),
        ),
        (
            "two groups, semver",
            with(
                semver(),
                r"([0-9]+\.[0-9]+)\.([0-9]+)-(?:amd64|arm64)",
                "$1.$2",
            ),
        ),
        (
            "every tag equal",
            with(Order::alphabetical(Direction::Ascending), "", "x"),
        ),
        (
            "natural",
            with(Order::natural(Direction::Ascending), "", ""),
        ),
    ]
}

/// A registry with many releases: nine in ten tags fit the filter.
fn listing(count: usize) -> Scan {
    let mut tags = (0..count)
        .map(|index| {
            let (minor, patch) = (index / 1000, index % 1000);
            let text = match index % 10 {
                0 => format!(
                    "main-{:07x}-{}",
                    index * 7919 % 0x0fff_ffff,
                    1_700_000_000 + index
                ),
                odd if odd % 2 == 1 => format!("release-1.{minor}.{patch}-amd64"),
                _ => format!("release-1.{minor}.{patch}-arm64"),
            };
            text.parse().expect("a tag")
        })
        .collect::<Vec<_>>();
    tags.sort_unstable_by(|left, right| Ord::cmp(right, left));
    Scan {
        repository: "registry.test/acme/web".parse().expect("a repository"),
        tags,
        refused: 0,
        sifted: 0,
        finished: chrono::DateTime::UNIX_EPOCH,
        took: Duration::ZERO,
        facts: std::collections::BTreeMap::default(),
    }
}

fn measure(policy: &Policy, scan: &Scan) -> (Duration, u32) {
    // The first run warms the engine's caches, and is the one whose memory is looked at.
    let before = reset_high_water_mark();
    black_box(select(policy, scan));
    let peak_kib = status("VmHWM:").saturating_sub(before);
    let mut times = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            black_box(select(black_box(policy), black_box(scan)));
            start.elapsed()
        })
        .collect::<Vec<_>>();
    times.sort_unstable();
    (times[RUNS / 2], peak_kib)
}

/// Makes the kernel forget the peak so far; returns the resident size now, in KiB.
fn reset_high_water_mark() -> u32 {
    fs::write("/proc/self/clear_refs", "5").expect("a process may reset its own mark");
    status("VmRSS:")
}

fn status(field: &str) -> u32 {
    let text = fs::read_to_string("/proc/self/status").expect("every process has a status");
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    number.expect("the kernel writes the field in kB")
}
