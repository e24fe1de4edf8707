//! What a scan costs: a million tags in one repository beside `curl`, many repositories beside `wrk`,
//! on a server that costs nothing and on a real registry, and the same again when nothing is new.
//!
//! `cargo bench --bench scale -- --tags 1000000 --repositories 10000` makes the figures of
//! `docs/performance.md`. Server, scanner, `curl` and `wrk` are processes of their own, so that each
//! has its own memory and its own time.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark starts programs, reads the clock and prints"
)]

mod children;
mod memory;
mod real;
mod server;

use std::{
    fmt::Write as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use tagwright::{
    egress::{Egress, Proxy, Route},
    image::Repository,
    policy::{Order, Policy, TagFilter, select},
    scan::{Access, Keychain, OciRegistry, Registry, Sieve, Store},
};

use self::{children::Child, memory::Memory};

/// How often a figure is measured; the median counts.
const RUNS: usize = 5;
/// How many tags each of many repositories has: not a round number, at which a registry may have cut
/// its list off, so that one request more asks for the rest.
const TAGS: usize = 101;
/// How many connections each side opens for many repositories.
const CONNECTIONS: usize = 32;
/// The goals: memory above idle, and time as a multiple of what `curl` takes.
const MOST_MIB: f64 = 64.0;
const MOST_TIMES_CURL: f64 = 1.3;
const LEAST_OF_WRK: f64 = 0.9;

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let words = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    match words.as_slice() {
        ["serve", count] => server::serve(count.parse().expect("a number")),
        ["scan", address] => scan(address),
        ["list", address, count, different] => {
            let number = |text: &str| text.parse().expect("a number");
            list(address, number(count), number(different));
        }
        ["rescan", address, count] => rescan(address, count.parse().expect("a number")),
        _ => {
            let number = |name: &str, default: usize| {
                let mut rest = words.iter().skip_while(|it| **it != name).skip(1);
                rest.next()
                    .and_then(|it| it.parse().ok())
                    .unwrap_or(default)
            };
            let million = one_repository(number("--tags", 1_000_000));
            let count = number("--repositories", 10_000);
            let many = many_repositories(count);
            let real = on_a_real_registry(number("--real", 500));
            let again = again(count.min(1000));
            if !(million && many && real && again) && words.contains(&"--strict") {
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// One repository with very many tags, of which a policy takes a few.
fn one_repository(count: usize) -> bool {
    let server = Child::of_this_program(&["serve", &count.to_string()]);
    let address = server.line();
    let urls = server::pages(count).map(|target| format!("http://{address}{target}"));
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("urls");
    let mut text = String::new();
    for url in urls {
        let _ = writeln!(text, "url = \"{url}\"\noutput = \"/dev/null\"");
    }
    std::fs::write(&list, text).expect("the list of pages is written");

    let (mut ours, mut theirs, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let scanned = Child::of_this_program(&["scan", &address]).line();
        let mut figures = scanned.split(' ');
        let mut next = || figures.next().and_then(|it| it.parse::<f64>().ok());
        ours.extend(next());
        peaks.extend(next());
        let list = list.to_str().expect("a path in UTF-8");
        let began = Instant::now();
        if children::run("curl", &["-s", "--noproxy", "*", "-K", list]) {
            theirs.push(began.elapsed().as_secs_f64());
        }
    }
    let (ours, peak) = (median(&mut ours), median(&mut peaks));
    println!("{count} tags in one repository, pages of 1000: median of {RUNS} runs");
    println!(
        "  scanned and decided   {:>7.0} ms, {peak:.1} MiB above idle",
        ours * 1e3
    );
    if theirs.is_empty() {
        println!("  curl is missing");
        return false;
    }
    let theirs = median(&mut theirs);
    let ratio = ours / theirs;
    println!(
        "  curl, the same pages  {:>7.0} ms, ratio {ratio:.2}",
        theirs * 1e3
    );
    peak <= MOST_MIB && ratio <= MOST_TIMES_CURL
}

/// Many repositories with about a hundred tags each.
fn many_repositories(count: usize) -> bool {
    let server = Child::of_this_program(&["serve", &TAGS.to_string()]);
    let address = server.line();
    println!("{count} repositories of {TAGS} tags, {CONNECTIONS} connections: median of 3 runs");
    beside_wrk(&address, count, count)
}

/// The same on Debian's `docker-registry`, each of `different` repositories several times.
fn on_a_real_registry(different: usize) -> bool {
    let Some(registry) = real::RealRegistry::start(different, TAGS) else {
        println!("docker-registry is missing");
        return false;
    };
    let count = different * 4;
    println!("{different} repositories of {TAGS} tags on docker-registry: median of 3 runs");
    beside_wrk(&registry.address, count, different)
}

fn beside_wrk(address: &str, count: usize, different: usize) -> bool {
    let url = format!("http://{address}/v2/r0/tags/list?n=1000");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let [count, different] = [count, different].map(|it| it.to_string());
    for _ in 0..3 {
        let listed = Child::of_this_program(&["list", address, &count, &different]).line();
        ours.extend(listed.parse::<f64>());
        let connections = format!("-c{CONNECTIONS}");
        let output = children::output("wrk", &["-t1", &connections, "-d3s", &url]);
        let rate = output.as_deref().and_then(|text| {
            let line = text
                .lines()
                .find(|line| line.starts_with("Requests/sec:"))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        });
        theirs.extend(rate);
    }
    let ours = median(&mut ours);
    println!("  listed  {ours:>7.0} repositories a second");
    if theirs.is_empty() {
        println!("  wrk is missing");
        return false;
    }
    let theirs = median(&mut theirs);
    println!(
        "  wrk     {theirs:>7.0} requests a second, ratio {:.2}",
        ours / theirs
    );
    ours >= theirs * LEAST_OF_WRK
}

fn access() -> Access {
    Access {
        keychain: Keychain::default(),
        route: Route {
            proxy: Proxy::Direct,
            ..Route::default()
        },
        timeout: Duration::from_mins(5),
        whole_every: None,
    }
}

/// Scans and decides, and prints the seconds and the mebibytes above idle.
fn scan(address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let registry = OciRegistry::new(Egress::new());
        let small: Repository = format!("{address}/small").parse().expect("a repository");
        registry
            .scan(&small, &access())
            .await
            .expect("it is served");
        let idle = Memory::now();
        let policy = Policy {
            filter: TagFilter::new(r"^release-(?P<v>[0-9.]+)$", "$v").expect("a pattern"),
            ..Policy::new(Order::semver(">=1.0.0").expect("a range"))
        };
        let repository: Repository = format!("{address}/r0").parse().expect("a repository");
        let considers = |tag: &str| policy.considers(tag);
        let began = Instant::now();
        let scan = registry
            .sift(&repository, &access(), &Sieve::new(&considers))
            .await;
        let scan = scan.expect("it is served to its end");
        let verdict = select(&policy, &scan);
        let took = began.elapsed();
        assert!(verdict.selected().is_some(), "some tag is a release");
        println!("{} {}", took.as_secs_f64(), idle.risen_by());
    });
}

/// Scans many repositories twice, and says whether the second time takes one request each and writes
/// nothing.
fn again(count: usize) -> bool {
    let server = Child::of_this_program(&["serve", &TAGS.to_string()]);
    let figures = Child::of_this_program(&["rescan", &server.line(), &count.to_string()]).line();
    println!("{count} repositories of {TAGS} tags again, with nothing new: {figures}");
    figures == format!("{count} requests, the store is as it was")
}

/// Scans what was scanned before, and prints what that took.
fn rescan(address: &str, count: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let store = Store::open(folder.path());
        let registry = OciRegistry::new(Egress::new()).remembering(store);
        let access = access();
        let (registry, access) = (&registry, &access);
        let scan_all = async || {
            for number in 0..count {
                let repository: Repository = format!("{address}/e{number}")
                    .parse()
                    .expect("a repository");
                let scan = registry.scan(&repository, access).await;
                assert_eq!(scan.expect("it is served").tags.len(), TAGS);
            }
        };
        let requests = || {
            let url = format!("http://{address}/requests");
            let text = children::output("curl", &["-s", "--noproxy", "*", &url]);
            text.and_then(|it| it.parse::<usize>().ok()).unwrap_or(0)
        };
        let store = || {
            let files = std::fs::read_dir(folder.path()).expect("the folder is there");
            let mut files = files
                .map(|it| it.expect("a file").path())
                .collect::<Vec<_>>();
            files.sort();
            files.iter().map(std::fs::read).collect::<Vec<_>>()
        };
        scan_all().await;
        let (requests_before, store_before) = (requests(), store());
        scan_all().await;
        // Asking how many there were is one of them.
        let took = requests() - requests_before - 1;
        let is_same = store_before.iter().flatten().eq(store().iter().flatten());
        let store = if is_same { "is as it was" } else { "changed" };
        println!("{took} requests, the store {store}");
    });
}

/// Lists many repositories, of which so many are `different`, and prints how many a second.
fn list(address: &str, count: usize, different: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let registry = OciRegistry::new(Egress::new());
        let access = access();
        let scan = async |number: usize| {
            let repository: Repository = format!("{address}/r{}", number % different)
                .parse()
                .expect("a repository");
            let scan = registry
                .scan(&repository, &access)
                .await
                .expect("it is served");
            assert_eq!(scan.tags.len(), TAGS);
        };
        // Nothing is known of the registry at first: it gets few requests at a time.
        stream::iter(0..1000)
            .map(scan)
            .buffer_unordered(CONNECTIONS)
            .count()
            .await;
        let began = Instant::now();
        stream::iter(0..count)
            .map(scan)
            .buffer_unordered(CONNECTIONS)
            .count()
            .await;
        let rate =
            f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / began.elapsed().as_secs_f64();
        println!("{rate}");
    });
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
