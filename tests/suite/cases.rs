//! How many cases stand behind the promise that every format is edited byte by byte.
//!
//! Tables are counted where they are written: the lines of tests that call a function which asserts.
//! A loop counts once, and so does each folder of `tests/golden` for each format in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use tagwright::update::formats::Format;

/// Where the tables are.
const TABLES: [&str; 5] = [
    "src/update/yaml/tests",
    "src/update/yaml/discover/tests.rs",
    "src/update/formats/tests.rs",
    "src/update/targets/tests",
    "src/update/targets/tests.rs",
];
/// The functions that tables call.
const ROWS: [&str; 6] = ["check", "row", "comment", "typed", "one", "all"];
/// How many cases there have to be in all, and for each format.
const LEAST: usize = 250;
const LEAST_OF_ONE: usize = 10;

/// The files of the tables that are of no format.
const PLAIN: [&str; 9] = [
    "Makefile",
    "notes.md",
    "x.sh",
    "x.txt",
    "no-ending",
    "Jenkinsfile",
    "web.service",
    "flake.nix",
    "crontab",
];

/// How many cases there are, by format.
type Counts = BTreeMap<&'static str, usize>;

#[test]
fn there_are_hundreds_of_cases_over_the_formats() {
    let mut counts = Counts::new();
    for file in TABLES.iter().flat_map(|path| files(&root().join(path))) {
        let text = fs::read_to_string(&file).expect("a source of this repository");
        count_rows(&text, &mut counts);
    }
    let tables = counts.values().sum::<usize>();
    assert!(tables >= LEAST, "{tables} rows: {counts:?}");
    count_golden(&mut counts);
    let formats = [
        "yaml",
        "json",
        "jsonc",
        "toml",
        "hcl",
        "dockerfile",
        "dotenv",
        "plain text",
    ];
    for format in formats {
        let count = counts.get(format).copied().unwrap_or_default();
        assert!(count >= LEAST_OF_ONE, "{format}: {count} of {counts:?}");
    }
}

/// The promise must not be kept by lines that assert nothing.
#[test]
fn only_what_asserts_is_counted() {
    let rows = |text: &str| {
        let mut counts = Counts::new();
        count_rows(text, &mut counts);
        counts.into_iter().collect::<Vec<_>>()
    };
    let check = "fn check(a: &str) {\n    assert_eq!(a, \"\");\n}\n";
    let test =
        "#[test]\nfn claims() {\n    check(\"a\");\n    // check(\"b\");\n    let check = 1;\n}\n";
    assert_eq!(rows(&format!("{check}{test}")), [("yaml", 1)]);
    assert_eq!(rows(test), [], "a check that nobody defines");
    let hollow = "fn check(a: &str) {\n    drop(a);\n}\n";
    assert_eq!(rows(&format!("{hollow}{test}")), [], "it asserts nothing");
    let untested = test.replace("#[test]\n", "");
    assert_eq!(rows(&format!("{check}{untested}")), [], "nobody runs it");
    let toml = test.replace("\"a\"", "\"a.toml\"");
    assert_eq!(rows(&format!("{check}{toml}")), [("toml", 1)]);
    let shared = "use super::*;\n";
    assert_eq!(rows(&format!("{shared}{test}")), [("yaml", 1)]);
}

/// Counts the rows of one file. A file that takes everything from its parent takes its `check` too,
/// which is counted there.
fn count_rows(text: &str, counts: &mut Counts) {
    let functions = functions(text);
    let inherits = text.contains("use super::*;");
    let asserting = functions.iter().filter(|it| it.body.contains("assert"));
    let asserting = asserting.map(|it| it.name).collect::<BTreeSet<_>>();
    let calls = |body: &str| {
        let mut names = asserting.iter();
        names.any(|name| body.contains(&format!("{name}(")))
    };
    for test in functions.iter().filter(|it| it.is_test) {
        let default = first_path(test.body).unwrap_or("yaml");
        for (at, line) in lines(test.body) {
            let name = line.split('(').next().unwrap_or_default();
            let is_row = ROWS.iter().any(|row| name.starts_with(row)) && line.contains('(');
            let own = functions.iter().find(|it| it.name == name);
            let asserts = match own {
                Some(own) => asserting.contains(name) || calls(own.body),
                // A closure of the test, or the parent's function.
                None => {
                    inherits || test.body.contains(&format!("let {name} =")) && calls(test.body)
                }
            };
            if is_row && asserts {
                let call = test.body.get(at..).unwrap_or_default();
                let call = call.split(';').next().unwrap_or_default();
                let format = first_path(call).unwrap_or(default);
                *counts.entry(format).or_default() += 1;
            }
        }
    }
}

/// The format of the first text that is the path of a file.
fn first_path(code: &str) -> Option<&'static str> {
    let mut texts = code.split('"').skip(1).step_by(2);
    texts.find_map(|text| match Format::of(text) {
        Some(format) => Some(name(format)),
        None => PLAIN.contains(&text).then_some("plain text"),
    })
}

fn name(format: Format) -> &'static str {
    match format {
        Format::Yaml => "yaml",
        Format::Dockerfile => "dockerfile",
        Format::Dotenv => "dotenv",
        Format::Toml => "toml",
        Format::Hcl => "hcl",
        Format::Jsonc => "jsonc",
        Format::Json => "json",
    }
}

struct Function<'a> {
    name: &'a str,
    body: &'a str,
    is_test: bool,
}

/// The functions of a file that begin at the first column, as `rustfmt` leaves them.
fn functions(text: &str) -> Vec<Function<'_>> {
    let mut functions = Vec::new();
    let mut is_test = false;
    for (at, line) in lines(text) {
        if let Some(rest) = line.strip_prefix("fn ") {
            let body = text.get(at..).unwrap_or_default();
            let end = body.find("\n}").unwrap_or(body.len());
            functions.push(Function {
                name: rest.split(['(', '<']).next().unwrap_or_default(),
                body: body.get(line.len()..end).unwrap_or_default(),
                is_test,
            });
        }
        is_test = line == "#[test]";
    }
    functions
}

/// The lines of a text without what stands before them, and where each begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        let trimmed = line.trim_start();
        (start + line.len() - trimmed.len(), trimmed.trim_end())
    })
}

/// Counts each golden case once for each format of its files.
fn count_golden(counts: &mut Counts) {
    for entry in fs::read_dir(root().join("tests/golden")).expect("the golden cases") {
        let case = entry.expect("its entries can be read").path();
        let formats = files(&case.join("in")).into_iter();
        let formats = formats.filter_map(|file| Some(name(Format::of(file.to_str()?)?)));
        for format in formats.collect::<BTreeSet<_>>() {
            *counts.entry(format).or_default() += 1;
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A file, or the files below a folder; none where there is nothing.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let entries = entries.map(|entry| entry.expect("its entries can be read").path());
    entries.flat_map(|path| files(&path)).collect()
}
