//! From the tags that stand in Git to a policy: what a person would write who looks at them.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;

use crate::image::Tag;

/// What the tags of one policy have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Numbers with dots between them.
    Version {
        /// How many numbers.
        parts: usize,
        /// Whether a pre-release follows.
        prerelease: bool,
        /// What follows the numbers, such as `-alpine`.
        suffix: String,
        /// What stands before the number that a packager counts up, such as `-r`.
        revision: String,
    },
    /// A date, in a format of [`crate::policy::CalverFormat`], and what follows it.
    Date {
        /// The format.
        format: &'static str,
        /// What follows.
        suffix: String,
    },
    /// A number, and a pattern of what stands before it.
    Number {
        /// The pattern; empty where nothing stands there.
        before: String,
    },
}

/// The presets for tags that are no versions, those that ask for the most first.
const PRESETS: [&str; 5] = [
    "main-sha-timestamp",
    "main-timestamp-sha",
    "date",
    "calver",
    "build-number",
];

/// How dates are written, with the format of each; the first that fits counts.
static DATES: LazyLock<[(Regex, &'static str); 7]> = LazyLock::new(|| {
    const DAY: &str = "(0[1-9]|[12][0-9]|3[01])";
    const MONTH: &str = "(0[1-9]|1[0-2])";
    [
        (format!(r"20[0-9]{{2}}-{MONTH}-{DAY}"), "YYYY-0M-0D"),
        (format!(r"20[0-9]{{2}}\.{MONTH}\.{DAY}"), "YYYY.0M.0D"),
        (
            format!(r"20[0-9]{{2}}{MONTH}{DAY}-[0-9]+"),
            "YYYY0M0D-MICRO",
        ),
        (
            format!(r"20[0-9]{{2}}{MONTH}{DAY}\.[0-9]+"),
            "YYYY0M0D.MICRO",
        ),
        (format!(r"20[0-9]{{2}}{MONTH}{DAY}"), "YYYY0M0D"),
        (r"20[0-9]{2}\.0[1-9]\.[0-9]+".to_owned(), "YYYY.0M.MICRO"),
        (
            r"20[0-9]{2}\.([1-9]|1[0-2])\.[0-9]+".to_owned(),
            "YYYY.MM.MICRO",
        ),
    ]
    .map(|(pattern, format)| (compiled(&format!("^{pattern}")), format))
});
static VERSION: LazyLock<Regex> = LazyLock::new(|| compiled(r"^v?[0-9]+((?:\.[0-9]+){1,3})(.*)$"));
static PRERELEASE: LazyLock<Regex> = LazyLock::new(|| {
    compiled(r"(?i)^[-._]?(alpha|beta|rc|cr|preview|pre|milestone|snapshot|dev)[-._]?[0-9]*(.*)$")
});
static REVISION: LazyLock<Regex> = LazyLock::new(|| compiled(r"^(.*?-r?)[0-9]+$"));
static COUNTED: LazyLock<Regex> = LazyLock::new(|| compiled(r"^(.*[-_.])?[0-9]+$"));
static COMMIT: LazyLock<Regex> = LazyLock::new(|| compiled("^[0-9a-f]{7,40}$"));

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns are constants, and the tests below use every one")
}

impl Shape {
    /// Reads the shape of a tag; nothing where it has neither version nor number.
    pub fn read(tag: &str) -> Option<Self> {
        for (date, format) in DATES.iter() {
            let Some(found) = date.find(tag) else {
                continue;
            };
            let suffix = &tag[found.end()..];
            if !suffix.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
                let suffix = suffix.to_owned();
                return Some(Self::Date { format, suffix });
            }
        }
        if let Some(found) = VERSION.captures(tag) {
            return Self::version(&found[1], &found[2]);
        }
        let found = COUNTED.captures(tag)?;
        let before = found.get(1).map_or("", |before| before.as_str());
        // A commit that happens to have digits alone counts nothing.
        if COMMIT.is_match(tag) && tag.len() < 9 {
            return None;
        }
        Some(Self::Number {
            before: words(before),
        })
    }

    fn version(dots: &str, rest: &str) -> Option<Self> {
        let (prerelease, rest) = match PRERELEASE.captures(rest) {
            Some(found) => (true, found.get(2).map_or("", |rest| rest.as_str())),
            None => (false, rest),
        };
        let is_suffix = |text: &str| text.is_empty() || text.starts_with(['-', '_', '.', '+']);
        if !is_suffix(rest) {
            return None;
        }
        let (suffix, revision) = match REVISION.captures(rest) {
            Some(found) => {
                let all = found.get(1).map_or("", |all| all.as_str());
                let at = all.rfind('-').unwrap_or_default();
                all.split_at(at)
            }
            None => (rest, ""),
        };
        Some(Self::Version {
            parts: dots.matches('.').count() + 1,
            prerelease,
            suffix: suffix.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// A word for names: `alpine` of `-alpine3.18`.
    pub fn word(&self) -> String {
        let text = match self {
            Self::Version {
                suffix, prerelease, ..
            } => match (suffix.is_empty(), prerelease) {
                (true, true) => "prerelease",
                _ => suffix,
            },
            Self::Date { suffix, .. } => suffix,
            Self::Number { before } => before,
        };
        let is_word = |it: char| it.is_ascii_alphanumeric();
        let mut words = text
            .split(|it| !is_word(it))
            .filter(|word| !word.is_empty());
        words.next().unwrap_or_default().to_ascii_lowercase()
    }
}

/// A pattern of the words before a number: commits of any kind, everything else as it is.
fn words(text: &str) -> String {
    let mut pattern = String::new();
    for part in text.split_inclusive(['-', '_', '.']) {
        let word = part.trim_end_matches(['-', '_', '.']);
        let is_commit = COMMIT.is_match(word) && word.contains(|it: char| it.is_ascii_digit());
        if is_commit {
            pattern.push_str("[0-9a-f]+");
            pattern.push_str(&regex::escape(&part[word.len()..]));
        } else {
            pattern.push_str(&regex::escape(part));
        }
    }
    pattern
}

/// What tags are compared by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// An order, its key and its argument: `semver`, `range`, `1.x`.
    Order(&'static str, &'static str, String),
    /// A preset, by its name.
    Preset(&'static str),
}

/// An order, a filter and constraints, in the words of an `ImagePolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What is compared, and how.
    pub rule: Rule,
    /// The filter and what it extracts.
    pub filter: Option<(String, &'static str)>,
    /// Further constraints, each a field and its value.
    pub constraints: Vec<(&'static str, &'static str)>,
    /// Why it is this one.
    pub why: String,
}

impl Proposal {
    /// The policy for tags of a shape, of which `current` stand in Git.
    pub fn of(shape: &Shape, current: &BTreeSet<Tag>) -> Self {
        match shape {
            Shape::Version {
                parts,
                prerelease,
                suffix,
                revision,
            } => {
                let form = (*parts, suffix.as_str(), revision.as_str());
                Self::version(form, *prerelease, &majors(current))
            }
            Shape::Date { format, suffix } => Self {
                rule: Rule::Order("calver", "format", (*format).to_owned()),
                filter: with_suffix("(?P<version>.*[0-9])", suffix),
                constraints: Vec::new(),
                why: format!("dates like `{format}`{}; the newest", said(suffix)),
            },
            Shape::Number { before } => Self {
                rule: Rule::Order("numerical", "order", "asc".to_owned()),
                filter: filter_of_numbers(before).map(|pattern| (pattern, "$number")),
                constraints: Vec::new(),
                why: "numbers that are counted up; the greatest".to_owned(),
            },
        }
    }

    /// The same by a preset, for those shapes whose presets ask for no less; whether it chooses the
    /// same is to be seen.
    pub fn presets(&self, shape: &Shape) -> impl Iterator<Item = Self> {
        // Versions stay within their major version, which no preset asks for.
        let is_version = matches!(shape, Shape::Version { .. });
        let names = if is_version { &[][..] } else { &PRESETS[..] };
        names.iter().map(|name| Self {
            rule: Rule::Preset(name),
            filter: None,
            constraints: self.constraints.clone(),
            why: self.why.clone(),
        })
    }

    fn version(
        (parts, suffix, revision): (usize, &str, &str),
        prerelease: bool,
        majors: &BTreeSet<&str>,
    ) -> Self {
        let one_major = majors.first().filter(|_| majors.len() == 1);
        let open = if prerelease { "-0" } else { "" };
        let range = match one_major {
            Some(major) => format!("{major}.x{open}"),
            None => format!(">=0.0.0{open}"),
        };
        let mut constraints = Vec::new();
        if one_major.is_none() {
            constraints.push(("update", "minor"));
        }
        let is_semver = parts == 3 && revision.is_empty();
        if !is_semver {
            constraints.push(("keepPrecision", "true"));
        }
        // A pre-release stands between the numbers and the suffix.
        let numbers = format!("v?[0-9]+(\\.[0-9]+){{{}}}", parts.saturating_sub(1));
        let pre = if prerelease {
            "([-._]?[a-z]+[-._]?[0-9]*)?"
        } else {
            ""
        };
        let filter = match (suffix.is_empty(), revision.is_empty()) {
            (true, _) => None,
            (false, true) => with_suffix(&format!("(?P<version>{numbers}{pre})"), suffix),
            (false, false) => {
                let suffix = regex::escape(suffix);
                let revision = regex::escape(revision);
                let pattern =
                    format!("^(?P<version>{numbers}{pre}){suffix}{revision}(?P<revision>[0-9]+)$");
                Some((pattern, "${version}-r${revision}"))
            }
        };
        let scope = match one_major {
            Some(major) => format!("updates within {major}.x"),
            None => "updates within the major version of each value".to_owned(),
        };
        let revisions = if revision.is_empty() {
            ""
        } else {
            " with packaging revisions"
        };
        Self {
            rule: Rule::Order(if is_semver { "semver" } else { "loose" }, "range", range),
            filter,
            constraints,
            why: format!(
                "versions of {parts} numbers{revisions}{}; {scope}",
                said(suffix)
            ),
        }
    }
}

fn with_suffix(version: &str, suffix: &str) -> Option<(String, &'static str)> {
    if suffix.is_empty() {
        return None;
    }
    let pattern = format!("^{version}{}$", regex::escape(suffix));
    Some((pattern, "$version"))
}

fn filter_of_numbers(before: &str) -> Option<String> {
    (!before.is_empty()).then(|| format!("^{before}(?P<number>[0-9]+)$"))
}

fn said(suffix: &str) -> String {
    if suffix.is_empty() {
        String::new()
    } else {
        format!(" that end in `{suffix}`")
    }
}

/// The first numbers of the tags.
fn majors(tags: &BTreeSet<Tag>) -> BTreeSet<&str> {
    let texts = tags.iter().map(|tag| tag.as_str().trim_start_matches('v'));
    let major = |text: &'_ str| text.bytes().take_while(u8::is_ascii_digit).count();
    texts.filter_map(|text| text.get(..major(text))).collect()
}
