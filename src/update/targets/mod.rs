//! Which values follow a policy: those with a marker, those that a rule names, and those that a
//! strategy finds.
//!
//! A marker wins over a rule, and a rule over a strategy. Two rules that disagree about a value are
//! a finding, and the value stays.

mod digest;
mod glob;
mod merge;
mod pattern;
mod rule;
mod selector;

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::{
    Finding, Origin, PolicyKey, Problem, Setter, Style,
    discovery::{self, Discovery},
    formats::{self, Lines},
    git::{Interest, Screen},
    marker::{self, SCREEN_VERSION},
    plan::FileFinding,
    view::View,
    yaml::{MAX_FILE, Reading},
};

pub use self::{
    glob::{Glob, MAX_GLOB},
    pattern::{MAX_PATTERN, MAX_SEARCHED, Matches, Pattern},
    rule::{Find, MAX_GLOBS, MAX_RULES, Rule, RuleError, RulePlace},
    selector::{MAX_SELECTED, MAX_SELECTOR, Selector},
};

/// The file at the root of a repository that says which of its values follow a policy.
pub const SETTINGS: &str = ".tagwright.yaml";

/// The group of values of which the whole file is the collection.
const WHOLE_FILE: usize = usize::MAX;

/// What governs values besides markers; nothing of it where nobody says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// The rules: the automation's, then the repository's.
    pub rules: Vec<Rule>,
    /// The strategies.
    pub discovery: Discovery,
    /// What is wrong with the repository's own rules.
    pub findings: Vec<FileFinding>,
}

impl Targets {
    /// Adds to `reading`, which holds what is marked in the file `path`, what follows a policy
    /// without a marker; takes out what must not be edited.
    pub fn add(&self, path: &str, bytes: &[u8], reading: &mut Reading) {
        let rules = self.rules.iter().enumerate();
        let rules = rules.filter(|(_, rule)| rule.governs(path));
        let rules = rules.collect::<Vec<_>>();
        if !rules.is_empty() {
            let mut search = Search::new(path, bytes);
            for (number, rule) in rules {
                search.follow(number, rule);
            }
            search.unite(&mut reading.setters);
            merge::merge(search.found, search.refused, reading);
        }
        if !self.discovery.is_empty() {
            let found = discovery::discover(&self.discovery, path, bytes, reading);
            reading.setters.extend(found.setters);
            reading.setters.sort_by_key(|setter| setter.span.start);
            reading.findings.extend(found.findings);
            // A file that cannot be parsed is told once.
            reading.findings.sort();
            reading.findings.dedup();
        }
        digest::refuse_stale(path, bytes, reading);
    }

    /// The rules that name no value in any of the files; each is a finding at its own place.
    pub fn idle<'a>(&self, readings: impl Iterator<Item = &'a Reading>) -> Vec<FileFinding> {
        let used = readings.flat_map(|reading| reading.rules.iter().copied());
        let used = used.collect::<BTreeSet<_>>();
        let idle = self.rules.iter().enumerate();
        let idle = idle.filter(|(number, _)| !used.contains(number));
        idle.map(|(_, rule)| FileFinding {
            file: rule.place.file.clone(),
            finding: Finding {
                line: rule.place.line,
                column: rule.place.column,
                problem: Problem::NoValue(format!("{} names no value of any file", rule.name)),
            },
        })
        .collect()
    }
}

impl Screen for Targets {
    fn interest(&self, path: &str) -> Interest {
        if path == SETTINGS {
            Interest::Nothing
        } else if self.rules.iter().any(|rule| rule.governs(path)) {
            Interest::Kept
        } else if marker::screen_path(path) {
            Interest::Searched
        } else {
            Interest::Nothing
        }
    }

    fn keeps(&self, path: &str, bytes: &[u8]) -> bool {
        marker::screen(path, bytes) || self.discovery.keeps(path, bytes)
    }

    fn version(&self) -> Cow<'_, str> {
        let words = [self.discovery.word(), self.globs_word()];
        let mut version = Cow::Borrowed(SCREEN_VERSION);
        for word in words.iter().filter(|word| !word.is_empty()) {
            version = Cow::Owned(format!("{version}-{word}"));
        }
        version
    }
}

impl Targets {
    /// A word that changes whenever the files that rules are about may; what a rule looks for in
    /// them has no part in it.
    fn globs_word(&self) -> Cow<'_, str> {
        if self.rules.is_empty() {
            return Cow::Borrowed("");
        }
        let mut hash = Sha256::new();
        for glob in self.rules.iter().flat_map(|rule| &rule.files) {
            let glob = glob.to_string();
            hash.update(glob.len().to_be_bytes());
            hash.update(glob);
        }
        Cow::Owned(URL_SAFE_NO_PAD.encode(hash.finalize()))
    }
}

/// The values that rules name in one file.
struct Search<'a> {
    path: &'a str,
    bytes: &'a [u8],
    /// The file as a tree, once a rule has asked for it.
    view: Option<Result<Option<View>, Finding>>,
    found: Reading,
    /// Collections of which a value cannot follow the policy: its siblings must not either.
    refused: BTreeSet<(usize, PolicyKey)>,
}

impl<'a> Search<'a> {
    fn new(path: &'a str, bytes: &'a [u8]) -> Self {
        Self {
            path,
            bytes,
            view: None,
            found: Reading::default(),
            refused: BTreeSet::new(),
        }
    }

    fn follow(&mut self, number: usize, rule: &Rule) {
        let before = self.found.setters.len() + self.found.findings.len();
        let followed = match &rule.find {
            Find::Path(selector) => self.by_path(selector, rule),
            Find::Pattern(pattern) => self.by_pattern(pattern, rule),
        };
        if let Err(finding) = followed {
            self.found.findings.push(finding);
        }
        // A rule that fails somewhere has something to say there, and is not idle.
        if self.found.setters.len() + self.found.findings.len() > before {
            self.found.rules.push(number);
        }
    }

    /// Makes marked values siblings of those that rules found: the fields of one image change
    /// together, whoever says what they follow.
    fn unite(&mut self, marked: &mut [Setter]) {
        if let Some(Ok(Some(view))) = &self.view {
            let texts = (0..view.nodes.len()).filter_map(|node| view.text(node));
            let groups = texts.map(|text| (text.span.start, text.group));
            let groups = groups.collect::<HashMap<_, _>>();
            for setter in marked.iter_mut() {
                if let Some(group) = groups.get(&setter.span.start) {
                    setter.group = *group;
                }
            }
        }
        // Patterns know no collections: what follows one policy in a file belongs together.
        let by_pattern = |it: &&Setter| it.style == Style::Part;
        let policies = self.found.setters.iter().filter(by_pattern);
        let policies = policies.map(|it| it.policy.clone());
        let policies = policies.collect::<BTreeSet<_>>();
        for setter in marked.iter_mut().chain(&mut self.found.setters) {
            if policies.contains(&setter.policy) {
                setter.group = WHOLE_FILE;
            }
        }
    }

    fn by_path(&mut self, selector: &Selector, rule: &Rule) -> Result<(), Finding> {
        let (path, bytes) = (self.path, self.bytes);
        let view = self.view.get_or_insert_with(|| formats::view(path, bytes));
        let view = match view {
            Ok(Some(view)) => view,
            Ok(None) => {
                let reason = format!(
                    "{}: a file of this kind has no paths; give a `pattern`",
                    rule.name
                );
                return Err(at_start(Problem::NoValue(reason)));
            }
            Err(finding) => return Err(finding.clone()),
        };
        let Some(selected) = selector.select(view) else {
            let detail = format!("{} names more than {MAX_SELECTED} values", rule.name);
            return Err(at_start(Problem::OverLimit(detail)));
        };
        for node in selected {
            let follows = (PolicyKey::Named(rule.policy.clone()), rule.field);
            match view.setter(node, follows, Origin::Rule(rule.name.clone())) {
                Ok(setter) => self.found.setters.push(setter),
                Err(finding) => {
                    let policy = PolicyKey::Named(rule.policy.clone());
                    self.refused.insert((view.group(node), policy));
                    self.found.findings.push(finding);
                }
            }
        }
        Ok(())
    }

    fn by_pattern(&mut self, pattern: &Pattern, rule: &Rule) -> Result<(), Finding> {
        if self.bytes.len() > MAX_SEARCHED.min(MAX_FILE) {
            let detail = format!(
                "{} bytes; patterns are looked for in 1 MiB",
                self.bytes.len()
            );
            return Err(at_start(Problem::OverLimit(detail)));
        }
        let text = std::str::from_utf8(self.bytes).map_err(|_| at_start(Problem::NotUtf8))?;
        let Some(spans) = pattern.find(text) else {
            let detail = format!("{} matches more than 10,000 times", rule.name);
            return Err(at_start(Problem::OverLimit(detail)));
        };
        if pattern.matches == Matches::One && spans.len() != 1 {
            let count = spans.len();
            let reason = format!(
                "{}: the pattern matches {count} times and should match once; `matches: all` takes any number",
                rule.name
            );
            return Err(at_start(Problem::NoValue(reason)));
        }
        if !spans.is_empty() && formats::is_sealed(text) {
            let reason = "a code of SOPS covers its values".to_owned();
            return Err(at_start(Problem::Encrypted(reason)));
        }
        let lines = Lines::new(text);
        for span in spans {
            let (line, column) = lines.place(span.start);
            self.found.setters.push(Setter {
                policy: PolicyKey::Named(rule.policy.clone()),
                field: rule.field,
                origin: Origin::Rule(rule.name.clone()),
                value: text.get(span.clone()).unwrap_or_default().to_owned(),
                span,
                style: Style::Part,
                line,
                column,
                object: super::ObjectId::default(),
                group: WHOLE_FILE,
                path: String::new(),
                aliases: Vec::new(),
            });
        }
        self.found.patterns.push(pattern.clone());
        Ok(())
    }
}

fn at_start(problem: Problem) -> Finding {
    Finding {
        line: 1,
        column: 1,
        problem,
    }
}
