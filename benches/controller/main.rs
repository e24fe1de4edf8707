//! What a controller costs that serves a whole company: memory, processor, writes to the API server,
//! and how long a tag takes to become a commit.
//!
//! `cargo bench --bench controller --features full -- --repositories 1000 --automations 50` makes the
//! figures of `docs/performance.md`, on a real kube-apiserver with etcd (`.ci/apiserver` builds it), a
//! registry that costs nothing, and Git behind `git http-backend`. `--strict` fails where a goal is
//! missed.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code,
    reason = "a benchmark starts programs, reads the clock and prints; what it shares with the tests \
              is not all used here"
)]

#[path = "../../tests/cluster/apiserver.rs"]
mod apiserver;
#[path = "../../tests/cluster/apply.rs"]
mod apply;
#[path = "../../tests/cluster/bot.rs"]
mod bot;
#[path = "../../tests/suite/support/git_server.rs"]
mod git_server;
#[path = "../../tests/servers/programs.rs"]
mod programs;

mod fleet;
mod process;
mod registry;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use self::{
    bot::Bot,
    fleet::{Fleet, Sizes},
    process::Process,
};

/// Tags that are pushed before the first one is measured: connections are opened, caches filled.
const WARM_UP: usize = 5;
/// How often every repository is scanned while scans are measured, and how often else.
const SCAN_EVERY: Duration = Duration::from_secs(20);
const SELDOM: Duration = Duration::from_hours(1);

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let number = |name: &str, default: usize| {
        let mut rest = arguments.iter().skip_while(|it| *it != name).skip(1);
        let given = rest.next().and_then(|it| it.parse().ok());
        given.unwrap_or(default)
    };
    let sizes = Sizes {
        repositories: number("--repositories", 1000),
        automations: number("--automations", 50),
    };
    let seconds = number("--seconds", 60);
    let rounds = number("--rounds", 50);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let measured = runtime
        .expect("a runtime")
        .block_on(measure(sizes, seconds, rounds));
    if measured || !arguments.iter().any(|it| it == "--strict") {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Measures everything, and says whether every goal was met.
async fn measure(sizes: Sizes, seconds: usize, rounds: usize) -> bool {
    let Some(mut fleet) = Fleet::start(sizes).await else {
        return false;
    };
    let start = Instant::now();
    let bot = fleet.bot();
    fleet.until_settled().await;
    println!(
        "{0} repositories, {0} policies, {1} automations: settled after {2:.0} s",
        sizes.repositories,
        sizes.automations,
        start.elapsed().as_secs_f64()
    );
    let process = Process::of(bot.pid());
    let period = Duration::from_secs(seconds as u64);
    let mut goals = Vec::new();
    goals.push(at_rest(&fleet, &process, period).await);
    goals.push(scanning(&mut fleet, &process, period).await);
    if rounds > 0 {
        fleet.scan_every(SELDOM).await;
        fleet.until_settled().await;
        let healthy = latency(&mut fleet, &bot, rounds).await;
        println!("  tag → commit            {healthy}");
        goals.push(healthy.p95 <= Duration::from_secs(1));
        fleet.poison().await;
        let beside = latency(&mut fleet, &bot, rounds).await;
        println!("  beside poisoned objects {beside}");
        goals.push(beside.p50 <= healthy.p50.mul_f64(1.1));
    }
    goals.iter().all(|it| *it)
}

/// Nothing happens for a while: no writes, hardly any work, little memory.
async fn at_rest(fleet: &Fleet, process: &Process, period: Duration) -> bool {
    let (writes, busy) = (fleet.writes().await, process.busy());
    tokio::time::sleep(period).await;
    let writes = fleet.writes().await - writes;
    let share = (process.busy() - busy) / period.as_secs_f64();
    let (resident, own, peak) = (process.resident(), process.anonymous(), process.peak());
    println!(
        "  at rest for {:>3} s       {writes} writes, {:.2} % of a core, {resident:.1} MiB resident \
         ({own:.1} MiB without the program itself; {peak:.1} MiB at most so far)",
        period.as_secs(),
        share * 100.0
    );
    let most = if fleet.sizes.repositories <= 1000 {
        60.0
    } else {
        250.0
    };
    writes == 0 && share <= 0.02 && resident <= most
}

/// Every repository is scanned again and again, and nothing is new.
async fn scanning(fleet: &mut Fleet, process: &Process, period: Duration) -> bool {
    fleet.scan_every(SCAN_EVERY).await;
    fleet.until_settled().await;
    let (scans, writes) = (fleet.registry.listings(), fleet.writes().await);
    let busy = process.busy();
    tokio::time::sleep(period).await;
    let scans = fleet.registry.listings() - scans;
    let writes = fleet.writes().await - writes;
    let busy = process.busy() - busy;
    println!(
        "  scanning for {:>3} s      {writes} writes, {scans} scans, {:.2} ms of a core each, {:.1} MiB",
        period.as_secs(),
        busy * 1e3 / f64::from(u32::try_from(scans.max(1)).unwrap_or(u32::MAX)),
        process.resident()
    );
    writes == 0
}

/// How long tags took to become commits.
struct Latency {
    p50: Duration,
    p95: Duration,
    most: Duration,
    rounds: usize,
}

impl std::fmt::Display for Latency {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p95, most] = [self.p50, self.p95, self.most].map(|it| it.as_millis());
        let rounds = self.rounds;
        write!(
            formatter,
            "p50 {p50} ms, p95 {p95} ms, at most {most} ms; {rounds} rounds"
        )
    }
}

/// Pushes tags one after the other, asks for a scan each time, and waits for the commits.
async fn latency(fleet: &mut Fleet, bot: &Bot, rounds: usize) -> Latency {
    for _ in 0..WARM_UP {
        fleet.round(bot).await;
    }
    let mut took = Vec::new();
    for _ in 0..rounds {
        took.push(fleet.round(bot).await);
    }
    took.sort();
    let at = |percent: usize| {
        let place = (took.len() - 1) * percent;
        took[place.div_ceil(100)]
    };
    Latency {
        p50: at(50),
        p95: at(95),
        most: at(100),
        rounds,
    }
}
