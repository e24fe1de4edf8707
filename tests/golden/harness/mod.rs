//! What one golden case is, and the checks that every case gets free of charge.

mod world;
mod yaml;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use chrono::DateTime;
use serde::Deserialize;
use tagwright::{
    config::{Config, ConfigFile, Origin},
    pipeline::{End, Intent, Outcome},
    report::{
        RunReport,
        text::{self, Detail},
    },
    update::git::NewCommit,
};

use self::world::World;

/// `case.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// The promise, in a sentence; a case from a report names it.
    #[expect(dead_code, reason = "it is there for the reader")]
    why: String,
    /// The folder of `fixtures/registries`.
    #[serde(default = "plain")]
    registry: String,
    /// What has to come out.
    expect: Expectation,
    /// Symbolic links in the root of the tree, and what each points to.
    #[serde(default)]
    links: BTreeMap<String, String>,
    /// Keys that may be added to mappings.
    #[serde(default)]
    adds: Vec<String>,
}

fn plain() -> String {
    "plain".to_owned()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expectation {
    Commit,
    Nothing,
    Held,
    Error,
}

/// Runs one case; the error says everything that is not as promised.
pub(crate) fn check(folder: &Path, writes: bool) -> Result<(), String> {
    let text = fs::read_to_string(folder.join("case.toml"))
        .map_err(|error| format!("case.toml: {error}"))?;
    let case = toml::from_str::<Case>(&text).map_err(|error| format!("case.toml: {error}"))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let found = runtime.block_on(run(folder, &case))?;
    let mut wrong = found.broken.clone();
    wrong.extend(found.compare(folder, writes));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n\n"))
    }
}

/// What came out of a case.
#[derive(Default)]
struct Found {
    /// The files that changed, in full.
    out: BTreeMap<String, Vec<u8>>,
    diff: Option<String>,
    commit: Option<String>,
    report: String,
    /// The free checks that failed.
    broken: Vec<String>,
}

async fn run(folder: &Path, case: &Case) -> Result<Found, String> {
    let path = folder.join("config.yaml");
    let text = fs::read_to_string(&path).map_err(|error| format!("config.yaml: {error}"))?;
    let file = ConfigFile {
        name: "config.yaml".to_owned(),
        text,
        origin: Origin::Given,
    };
    let mut found = Found::default();
    let config = match Config::read(&[file], "default") {
        Ok(config) => config,
        Err(error) => {
            let _ = writeln!(found.report, "error: {error}");
            for fault in &error.faults {
                let _ = writeln!(found.report, "{fault}");
            }
            found.expect(
                case.expect == Expectation::Error,
                "the configuration is faulty",
            );
            return Ok(found);
        }
    };
    for warning in &config.warnings {
        let _ = writeln!(found.report, "warning: {warning}");
    }
    let files = read_tree(&folder.join("in"))?;
    let world = World::new(&case.registry, &files, &case.links)?;
    let links = case.links.iter();
    let links = links.map(|(name, target)| (name.clone(), target.clone().into_bytes()));
    let input = files.clone().into_iter().chain(links).collect();

    let planned = world.run(&config, Intent::Plan).await;
    found.expect(world.tip() == world.base, "`plan` moved the branch");
    let applied = world.run(&config, Intent::Apply).await;
    found.take(&applied, &planned, case.expect);
    found.check_tree(&world, &input, &case.adds)?;

    let again = world.run(&config, Intent::Apply).await;
    let is_quiet = again.iter().all(|it| !matches!(it.end, End::Applied(_)));
    found.expect(is_quiet, "a second run found something to do");

    // Another repository with the same history, and a registry that lists in another order.
    for order in [world::Order::Reversed, world::Order::Shuffled] {
        let twin = World::new(&case.registry, &files, &case.links)?.listing(order);
        twin.run(&config, Intent::Apply).await;
        found.expect(
            twin.first_tip_after_base() == world.first_tip_after_base(),
            "the listing's order changed the commit",
        );
    }
    let everything = format!("{}{:?}{:?}", found.report, found.diff, found.commit);
    found.expect(!everything.contains("canary"), "a secret was shown");
    Ok(found)
}

impl Found {
    fn expect(&mut self, holds: bool, what: &str) {
        if !holds {
            self.broken.push(format!("broken: {what}"));
        }
    }

    fn take(&mut self, applied: &[Outcome], planned: &[Outcome], expectation: Expectation) {
        let report = RunReport::new(applied);
        let words = text::run(&report, Detail::Brief);
        self.report
            .push_str(&anstream::adapter::strip_str(&words).to_string());
        let is_as_expected = match expectation {
            Expectation::Commit => applied.iter().any(|it| matches!(it.end, End::Applied(_))),
            Expectation::Nothing => applied
                .iter()
                .all(|it| matches!(it.end, End::Unchanged | End::Suspended)),
            Expectation::Held => applied.iter().any(|it| matches!(it.end, End::Held)),
            Expectation::Error => report.summary.failed > 0,
        };
        let ends = applied
            .iter()
            .map(|it| format!("{:?}", it.end))
            .collect::<Vec<_>>()
            .join(", ");
        self.expect(
            is_as_expected,
            &format!("expected {expectation:?}, and it ended with {ends}"),
        );
        let writes = |it: &&Outcome| matches!(it.end, End::Applied(_));
        for outcome in applied.iter().filter(writes) {
            let Some(plan) = &outcome.plan else { continue };
            for file in &plan.changes.files {
                self.out.insert(file.path.clone(), file.bytes.clone());
            }
            if let Some(commit) = &plan.commit {
                self.commit
                    .get_or_insert_default()
                    .push_str(&commit.message);
            }
        }
        let diffs = report
            .automations
            .iter()
            .zip(applied)
            .filter(|(_, it)| writes(it))
            .map(|(it, _)| it.diff.as_str());
        let diff = diffs.collect::<String>();
        self.diff = (!diff.is_empty()).then_some(diff);
        for (applied, planned) in applied.iter().zip(planned) {
            // The time follows the base, which an automation before this one may have moved.
            let commits = [applied, planned].map(|it| {
                let commit = it.plan.as_ref().and_then(|plan| plan.commit.clone());
                commit.map(|commit| NewCommit {
                    time: DateTime::UNIX_EPOCH,
                    ..commit
                })
            });
            self.expect(
                commits[0] == commits[1],
                "what `plan` showed is not what `run` did",
            );
        }
    }

    /// Everything but the planned bytes of the planned files is what it was.
    fn check_tree(
        &mut self,
        world: &World,
        input: &BTreeMap<String, Vec<u8>>,
        adds: &[String],
    ) -> Result<(), String> {
        let after = world.tree()?;
        let expected = input
            .iter()
            .map(|(path, bytes)| (path.clone(), self.out.get(path).unwrap_or(bytes).clone()));
        let expected = expected.collect::<BTreeMap<_, _>>();
        self.expect(after == expected, "the pushed tree is not the planned one");
        for (path, new) in &self.out.clone() {
            let old = input.get(path).map(Vec::as_slice).unwrap_or_default();
            if let Err(reason) = yaml::only_texts_differ(old, new, adds) {
                self.broken.push(format!("broken: {path}: {reason}"));
            }
        }
        Ok(())
    }

    fn compare(&self, folder: &Path, writes: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut text = |name: &str, found: Option<&str>| {
            wrong.extend(compare_file(
                &folder.join(name),
                found.map(str::as_bytes),
                writes,
            ));
        };
        text("change.diff", self.diff.as_deref());
        text("commit.txt", self.commit.as_deref());
        text("report.txt", Some(&self.report));
        let out = folder.join("out");
        let expected = read_tree(&out).unwrap_or_default();
        let paths = expected
            .keys()
            .chain(self.out.keys())
            .collect::<std::collections::BTreeSet<_>>();
        for path in paths {
            wrong.extend(compare_file(
                &out.join(path),
                self.out.get(path).map(Vec::as_slice),
                writes,
            ));
        }
        wrong
    }
}

/// Compares a file with what was found, or makes it so.
fn compare_file(path: &Path, found: Option<&[u8]>, writes: bool) -> Option<String> {
    let expected = fs::read(path).ok();
    if expected.as_deref() == found {
        return None;
    }
    if writes {
        let done = match found {
            Some(bytes) => fs::create_dir_all(path.parent()?).and_then(|()| fs::write(path, bytes)),
            None => fs::remove_file(path),
        };
        return done
            .err()
            .map(|error| format!("{}: {error}", path.display()));
    }
    let show = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => "(no such file)\n".to_owned(),
    };
    let (expected, found) = (show(expected.as_deref()), show(found));
    let diff = similar::TextDiff::from_lines(&expected, &found);
    let diff = diff.unified_diff().header("expected", "found").to_string();
    Some(format!("{} differs:\n{diff}", path.display()))
}

/// The files below `folder`, by path; none where there is no such folder.
fn read_tree(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    fn collect(
        folder: &Path,
        base: &Path,
        files: &mut BTreeMap<String, Vec<u8>>,
    ) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path: PathBuf = entry?.path();
            if path.is_dir() {
                collect(&path, base, files)?;
            } else {
                let name = path
                    .strip_prefix(base)
                    .unwrap_or(&path)
                    .to_string_lossy()
                    .into_owned();
                files.insert(name, fs::read(&path)?);
            }
        }
        Ok(())
    }
    let mut files = BTreeMap::new();
    if folder.is_dir() {
        collect(folder, folder, &mut files)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(files)
}
