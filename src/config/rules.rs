//! Rules: from their wire form to [`Rule`]s, in an automation and in a repository's own file.

use std::sync::LazyLock;

use super::{
    Fault,
    document::{self, Node, Place},
    fault::Faults,
    schema::Schema,
};
use crate::{
    crd::{FieldName, MatchesName, RepositorySettings, RuleSpec},
    policy::PolicyName,
    update::{
        Field,
        targets::{Find, Glob, Matches, Pattern, Rule, RuleError, RulePlace, SETTINGS, Selector},
    },
};

/// How large a repository's own file may be, in bytes.
const MAX_SETTINGS: usize = 64 * 1024;

/// Reads the rules of a repository's `.tagwright.yaml`; `namespace` is where policies belong that
/// are named without one.
///
/// # Errors
///
/// Every fault of the file. Nothing of a faulty file counts.
pub fn repository_rules(bytes: &[u8], namespace: &str) -> Result<Vec<Rule>, Vec<Fault>> {
    let mut found = Vec::new();
    let rules = read(bytes, namespace, &mut found);
    if found.is_empty() {
        Ok(rules)
    } else {
        found.sort();
        found.dedup();
        Err(found)
    }
}

fn read(bytes: &[u8], namespace: &str, found: &mut Vec<Fault>) -> Vec<Rule> {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::of::<RepositorySettings>);
    let mut faults = Faults {
        file: SETTINGS,
        found,
    };
    let top = Place { line: 1, column: 1 };
    if bytes.len() > MAX_SETTINGS {
        faults.push(top, "the file is larger than 64 KiB".to_owned(), None);
        return Vec::new();
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        faults.push(top, "the file is not UTF-8".to_owned(), None);
        return Vec::new();
    };
    let documents = match document::read(text) {
        Ok(documents) => documents,
        Err(trouble) => {
            let message = format!("cannot parse this as YAML: {}", trouble.message);
            faults.push(trouble.place, message, None);
            return Vec::new();
        }
    };
    let node = match &documents[..] {
        [] => return Vec::new(),
        [node] => node,
        [_, second, ..] => {
            let message = "the file holds more than one document".to_owned();
            faults.push(second.place, message, None);
            return Vec::new();
        }
    };
    let json = node.to_json();
    SCHEMA.check(node, &json, &mut faults);
    if !faults.found.is_empty() {
        return Vec::new();
    }
    let settings = match serde_json::from_value::<RepositorySettings>(json) {
        Ok(settings) => settings,
        Err(error) => {
            faults.push(node.place, format!("cannot read this file: {error}"), None);
            return Vec::new();
        }
    };
    let fault = |pointer: &str, message: String, hint: Option<&str>| {
        faults.push(node.place_at(pointer), message, hint.map(str::to_owned));
    };
    let list = List {
        pointer: "/rules",
        name: |number| format!("rules[{number}] of {SETTINGS}"),
        file: SETTINGS,
        node,
        namespace,
    };
    list.build(&settings.rules, fault)
}

/// A list of rules and where it stands.
pub(super) struct List<'a> {
    /// The JSON pointer of the list in its document.
    pub(super) pointer: &'a str,
    /// What a report calls the rule of this number.
    pub(super) name: fn(usize) -> String,
    pub(super) file: &'a str,
    pub(super) node: &'a Node,
    /// Where policies belong that are named without a namespace.
    pub(super) namespace: &'a str,
}

impl List<'_> {
    /// Builds the rules without fault, and tells the faults of the others: where, what, and what to
    /// do about it.
    pub(super) fn build(
        &self,
        specs: &[RuleSpec],
        mut fault: impl FnMut(&str, String, Option<&str>),
    ) -> Vec<Rule> {
        let rules = specs.iter().enumerate();
        rules
            .filter_map(|(number, spec)| self.rule(number, spec, &mut fault))
            .collect()
    }

    fn rule(
        &self,
        number: usize,
        spec: &RuleSpec,
        fault: &mut impl FnMut(&str, String, Option<&str>),
    ) -> Option<Rule> {
        let at = |field: &str| format!("{}/{number}{field}", self.pointer);
        let mut told = |field: &str, error: RuleError| {
            fault(&at(field), format!("{error}\n{}", error.caret()), None);
        };
        let globs = spec.files.iter().enumerate();
        let globs = globs.map(|(file, glob)| {
            Glob::parse(glob).map_err(|error| told(&format!("/files/{file}"), error))
        });
        // All of them, so that every fault is told.
        let globs = globs.collect::<Vec<_>>();
        let files = globs.into_iter().collect::<Result<Vec<_>, ()>>();
        let matches = match spec.matches {
            MatchesName::One => Matches::One,
            MatchesName::All => Matches::All,
        };
        let find = match (&spec.path, &spec.pattern) {
            (Some(path), None) => Selector::parse(path)
                .map(Find::Path)
                .map_err(|error| told("/path", error))
                .ok(),
            (None, Some(pattern)) => Pattern::parse(pattern, matches)
                .map(Find::Pattern)
                .map_err(|error| told("/pattern", error))
                .ok(),
            (path, _) => {
                let what = match path {
                    Some(_) => "a rule has a `path` or a `pattern`, and not both",
                    None => "a rule needs a `path` or a `pattern`",
                };
                fault(&at(""), what.to_owned(), None);
                None
            }
        };
        let policy = self.policy(&spec.policy);
        if policy.is_none() {
            let message = format!("`{}` is no policy", spec.policy.escape_debug());
            let hint = Some("write `NAME` or `NAMESPACE:NAME`");
            fault(&at("/policy"), message, hint);
        }
        let Place { line, column } = self.node.place_at(&at(""));
        Some(Rule {
            name: (self.name)(number),
            place: RulePlace {
                file: self.file.to_owned(),
                line,
                column,
            },
            files: files.ok()?,
            find: find?,
            policy: policy?,
            field: match spec.field {
                FieldName::Image => Field::Image,
                FieldName::Tag => Field::Tag,
                FieldName::Name => Field::Name,
                FieldName::Digest => Field::Digest,
            },
        })
    }

    fn policy(&self, text: &str) -> Option<PolicyName> {
        let (namespace, name) = text.split_once(':').unwrap_or((self.namespace, text));
        let is_name = |name: &str| {
            let is_sign = |it: char| it.is_ascii_alphanumeric() || "-._".contains(it);
            !name.is_empty() && name.chars().all(is_sign)
        };
        (is_name(namespace) && is_name(name)).then(|| PolicyName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let faults = repository_rules(text.as_bytes(), "apps").unwrap_err();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_are_read() {
        let text = "rules:\n- files: ['**/*.json', a.yaml]\n  path: image.tag\n  policy: web\n  field: tag\n- files: [x]\n  pattern: 'v(.*)'\n  matches: all\n  policy: other:db\n";
        let rules = repository_rules(text.as_bytes(), "apps").unwrap();
        let [first, second] = &rules[..] else {
            panic!("{rules:?}");
        };
        assert_eq!(first.policy.to_string(), "apps:web");
        assert_eq!(first.field, Field::Tag);
        assert_eq!(first.name, "rules[0] of .tagwright.yaml");
        assert_eq!((first.place.line, first.place.column), (2, 3));
        assert!(first.governs("x/y.json") && first.governs("a.yaml"));
        assert_eq!(second.policy.to_string(), "other:db");
        assert_eq!(second.field, Field::Image);
    }

    #[test]
    fn a_file_that_says_nothing_has_no_rules() {
        for text in ["", "# nothing\n", "rules: []\n", "{}\n"] {
            assert_eq!(repository_rules(text.as_bytes(), "apps"), Ok(Vec::new()));
        }
    }

    fn check(text: &str, expected: &[&str]) {
        let faults = faults(text);
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{fault}\n{expected}");
        }
    }

    #[test]
    fn every_fault_stands_at_its_place() {
        check("rules: [", &["1:8: cannot parse"]);
        check("a: 1\n---\nb: 2\n", &["3:1: the file holds more than one"]);
        check("rule: []\n", &["1:1: unknown field `rule`"]);
        check("rules: {}\n", &["1:8: `rules` is a mapping"]);
        check("rules: [{}]\n", &["missing field", "missing field"]);
        check(
            "rules: [{files: [a], policy: p}]\n",
            &["1:9: a rule needs a `path`"],
        );
        check(
            "rules: [{files: [a], policy: p, path: x, pattern: (x)}]\n",
            &["and not both"],
        );
        check(
            "rules: [{files: [../a, b/], policy: 'p q', path: 'x..'}]\n",
            &[
                "1:18: a glob stays below the root\n../a\n^",
                "1:24: a name is missing between two `/`\nb/\n  ^",
                "1:37: `p q` is no policy",
                "1:50: a key is missing here",
            ],
        );
        check(
            "rules: [{files: [a], policy: p, pattern: '(a'}]\n",
            &["1:42: the pattern is no regular expression: unclosed group\n(a\n^"],
        );
        check(
            "rules: [{files: [a], policy: p, path: x, field: tags}]\n",
            &["did you mean `tag`?"],
        );
        check(
            "rules: [{files: [], policy: p, path: x}]\n",
            &["`rules[0].files`"],
        );
        let many = format!(
            "rules: [{}]\n",
            "{files: [a], policy: p, path: x},".repeat(101)
        );
        check(&many, &["more than 100 entries"]);
        check(&"#".repeat(65 * 1024), &["larger than 64 KiB"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_a_fault() {
        let faults = repository_rules(b"rules: \xFF", "apps").unwrap_err();
        assert_eq!(faults[0].message, "the file is not UTF-8");
    }
}
