//! Keeps the walls of the house up: which room may import which, how long a file may grow, and that
//! every file of the tests belongs to one.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "it reads the sources, which are there"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The ceiling to argue with.
const MAX_LINES: usize = 600;

/// A room, and what its files must not import.
const WALLS: [(&str, &[&str]); 15] = [
    (
        "image.rs",
        &[
            "scan", "policy", "update", "config", "crd", "egress", "secret", "pipeline", "report",
            "cli", "once", "fixture", "access",
        ],
    ),
    (
        "error.rs",
        &[
            "scan", "policy", "update", "config", "crd", "egress", "secret", "pipeline", "report",
            "cli", "once", "fixture", "access",
        ],
    ),
    (
        "nearest.rs",
        &[
            "scan", "policy", "update", "config", "crd", "egress", "secret", "pipeline", "report",
            "cli", "once", "fixture", "access",
        ],
    ),
    (
        "secret",
        &[
            "scan", "policy", "update", "config", "crd", "egress", "pipeline", "report", "cli",
            "once", "fixture", "access",
        ],
    ),
    (
        "egress",
        &[
            "scan", "policy", "update", "config", "crd", "pipeline", "report", "cli", "once",
            "fixture", "access",
        ],
    ),
    (
        "cloud/",
        &[
            "scan",
            "policy",
            "update",
            "config",
            "crd",
            "pipeline",
            "report",
            "cli",
            "once",
            "fixture",
            "access",
            "controller",
        ],
    ),
    (
        "scan/",
        &[
            "policy", "update", "config", "crd", "pipeline", "report", "cli", "once", "fixture",
            "access",
        ],
    ),
    (
        "policy/",
        &[
            "update", "config", "crd", "egress", "secret", "pipeline", "report", "cli", "once",
            "fixture", "access",
        ],
    ),
    (
        "update/git/",
        // Of the policies, it knows what a range of versions is.
        &[
            "policy::{",
            "policy::Policy",
            "policy::select",
            "scan",
            "config",
            "crd",
            "pipeline",
            "report",
            "cli",
            "once",
            "fixture",
            "access",
        ],
    ),
    (
        "update/forge/",
        &[
            "policy", "scan", "config", "crd", "pipeline", "report", "cli", "once", "fixture",
            "access",
        ],
    ),
    (
        "update/",
        &[
            "scan", "config", "crd", "pipeline", "report", "cli", "once", "fixture", "access",
        ],
    ),
    (
        "config/",
        &[
            "egress::Egress",
            "pipeline",
            "report",
            "cli",
            "once",
            "fixture",
            "access",
        ],
    ),
    (
        "pipeline",
        &["cli", "once", "report", "fixture", "controller"],
    ),
    ("controller/", &["cli", "once", "fixture", "action"]),
    (
        "report",
        &["cli", "once", "fixture", "access", "egress", "secret"],
    ),
];

/// Words that only the effect half of `update`, and no other pure room, may use.
const PURE: [(&str, &[&str]); 7] = [
    (
        "policy/",
        &[
            "async ",
            "tokio",
            "f64",
            "f32",
            "std::fs",
            "std::env",
            "Instant::now",
            "Utc::now",
        ],
    ),
    (
        "update/yaml/",
        &[
            "async ",
            "tokio",
            "std::fs",
            "std::env",
            "Instant::now",
            "Utc::now",
        ],
    ),
    (
        "update/plan.rs",
        &[
            "async ",
            "tokio",
            "std::fs",
            "std::env",
            "Instant::now",
            "Utc::now",
        ],
    ),
    (
        "update/forge/life.rs",
        &[
            "async ",
            "tokio",
            "std::fs",
            "std::env",
            "Instant::now",
            "Utc::now",
        ],
    ),
    (
        "update/forge/body.rs",
        &[
            "async ",
            "tokio",
            "std::fs",
            "std::env",
            "Instant::now",
            "Utc::now",
        ],
    ),
    (
        "update/forge/note.rs",
        &[
            "async ",
            "tokio",
            "std::fs",
            "std::env",
            "Instant::now",
            "Utc::now",
        ],
    ),
    (
        "update/template/",
        &[
            "async ",
            "tokio",
            "std::fs",
            "std::env",
            "Instant::now",
            "Utc::now",
        ],
    ),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<(String, String)> {
    fn collect(folder: &Path, base: &Path, files: &mut Vec<(String, String)>) {
        let mut entries = fs::read_dir(folder)
            .unwrap()
            .map(|it| it.unwrap().path())
            .collect::<Vec<_>>();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                collect(&path, base, files);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path
                    .strip_prefix(base)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let base = root().join(folder);
    let mut files = Vec::new();
    collect(&base, &base, &mut files);
    files
}

/// The text without comments and without the test module at its end.
fn code(text: &str) -> String {
    let body = text
        .split("\n#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let lines = body
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// What a file imports from this crate: the first step after `crate::`, also inside braces.
fn imports(code: &str) -> BTreeSet<String> {
    let is_word = |character: &char| character.is_alphanumeric() || *character == '_';
    let word = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(is_word)
            .collect::<String>()
    };
    let mut found = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        let Some(group) = part.strip_prefix('{') else {
            found.insert(word(part));
            continue;
        };
        let mut depth = 1;
        found.insert(word(group));
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => {
                    found.insert(word(&group[at + 1..]));
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.remove("");
    found
}

#[test]
fn rooms_import_only_what_they_may() {
    let mut broken = Vec::new();
    for (file, text) in rust_files("src") {
        // The narrowest room that the file stands in decides.
        let Some((room, forbidden)) = WALLS.iter().find(|(room, _)| file.starts_with(room)) else {
            continue;
        };
        let imports = imports(&code(&text));
        for name in *forbidden {
            let is_there = match name.split_once("::") {
                Some(_) => text.contains(&format!("crate::{name}")),
                None => imports.contains(*name),
            };
            if is_there {
                broken.push(format!(
                    "src/{file} (room `{room}`) imports `crate::{name}`"
                ));
            }
        }
    }
    assert!(broken.is_empty(), "walls that fell:\n{}", broken.join("\n"));
}

#[test]
fn the_wall_check_sees_imports_of_every_form() {
    let text = "use crate::{\n    scan::{Access, Scan},\n    policy,\n    image::Tag,\n};\nfn f() { crate::cli::main() }";
    let expected = ["cli", "image", "policy", "scan"].map(str::to_owned);
    assert_eq!(imports(text), BTreeSet::from(expected));
}

#[test]
fn pure_rooms_know_no_world() {
    let mut broken = Vec::new();
    for (file, text) in rust_files("src") {
        let code = code(&text);
        for (room, words) in PURE {
            if file.starts_with(room)
                && !file.ends_with("_tests.rs")
                && !file.ends_with("/tests.rs")
            {
                let found = words.iter().filter(|word| code.contains(**word));
                broken
                    .extend(found.map(|word| format!("src/{file} (room `{room}`) says `{word}`")));
            }
        }
    }
    // Go's templates compute with floats, and their answers go into a message, never into a choice.
    assert!(broken.is_empty(), "not pure:\n{}", broken.join("\n"));
}

#[test]
fn files_stay_short_enough_to_read() {
    let files = rust_files("src").into_iter().chain(rust_files("tests"));
    let long = files.filter(|(_, text)| text.lines().count() > MAX_LINES);
    let names = long
        .map(|(name, text)| format!("{name}: {}", text.lines().count()))
        .collect::<Vec<_>>();
    assert!(
        names.is_empty(),
        "longer than {MAX_LINES} lines:\n{}",
        names.join("\n")
    );
}

#[test]
fn every_test_file_is_declared() {
    for binary in ["suite", "servers", "cluster"] {
        let all = rust_files(&format!("tests/{binary}"));
        let declared = all
            .iter()
            .map(|(_, text)| text.as_str())
            .collect::<Vec<_>>()
            .join("\n");
        for (file, _) in &all {
            let stem = Path::new(file).file_stem().unwrap().to_str().unwrap();
            let name = if stem == "mod" {
                Path::new(file)
                    .parent()
                    .unwrap()
                    .file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
            } else {
                stem
            };
            let is_declared = name == "main" || declared.contains(&format!("mod {name};"));
            assert!(
                is_declared,
                "tests/{binary}/{file} belongs to no test binary"
            );
        }
    }
}

#[test]
fn the_toolchain_is_said_once() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    let version = version.trim_matches('"');
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(
        readme.contains(&format!("Rust {version}")),
        "README must name Rust {version}"
    );
}

/// A table of what one gets is worth as much as the tests that it names.
#[test]
fn every_test_that_the_readme_names_is_there() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let tables = readme.split("| | Test |\n").skip(1);
    let rows = tables.flat_map(|it| it.lines().skip(1).take_while(|it| it.starts_with('|')));
    let suite = rust_files("tests/suite");
    let mut named = 0;
    for row in rows {
        let tests = row
            .rsplit('|')
            .nth(1)
            .unwrap()
            .split('`')
            .skip(1)
            .step_by(2);
        for test in tests {
            let is_there = |(_, text): &(String, String)| text.contains(&format!("fn {test}("));
            assert!(suite.iter().any(is_there), "no test is called `{test}`");
            named += 1;
        }
    }
    assert!(named > 20, "the tables were not found");
}

#[test]
fn warnings_are_expected_not_allowed() {
    for (file, text) in rust_files("src") {
        assert!(
            !code(&text).contains("#[allow("),
            "src/{file}: use #[expect(…, reason = …)]"
        );
        assert!(
            !code(&text).contains("#![allow("),
            "src/{file}: use #![expect(…, reason = …)]"
        );
    }
}
