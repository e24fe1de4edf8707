//! Every folder of `tests/golden` is one reported test: whole documents in, a whole tree out.
//!
//! `GOLDEN=write cargo test --test golden` writes what is expected from what is; it refuses to run
//! where `CI` is set, because a changed golden file is a changed promise that somebody must read.
#![expect(
    clippy::disallowed_methods,
    reason = "it reads and writes the golden files"
)]

#[path = "golden/harness/mod.rs"]
mod harness;

use std::{fs, path::Path, process::ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let writes = std::env::var("GOLDEN").is_ok_and(|value| value == "write");
    assert!(
        !(writes && std::env::var_os("CI").is_some()),
        "golden files are not written in CI"
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases = fs::read_dir(&folder)
        .expect("tests/golden is a folder of this repository")
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| path.is_dir() && !path.ends_with("harness"))
        .collect::<Vec<_>>();
    cases.sort();
    let trials = cases.into_iter().map(|case| {
        let name = case
            .file_name()
            .map(|it| it.to_string_lossy().into_owned())
            .unwrap_or_default();
        Trial::test(name, move || {
            harness::check(&case, writes).map_err(Failed::from)
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
