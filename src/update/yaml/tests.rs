//! Whole files: what is edited, what is left alone, and what is said about it.

mod addition;
mod attachment;
mod compatibility;
mod formatting;
mod hostile;
mod modes;
mod properties;

use super::*;
use crate::update::marker::{Field, PolicyKey};

/// What `M` stands for in the tables.
const MARKER: &str = r#"# {"$imagepolicy": "ns:p:tag"}"#;
const DIGEST: &str = "sha256:6745aaad46d795c9836632e1fb62f24b7e7f4c843144da8e47a5465c411a14be";

/// The value that a setter gets from the policies of the tables, if there is such a policy.
fn value_of(setter: &Setter) -> Option<String> {
    let PolicyKey::Named(policy) = &setter.policy else {
        return Some("v2".to_owned());
    };
    let (repository, tag, digest) = match policy.to_string().as_str() {
        "ns:p" => ("reg.io/app", "v2", None),
        "ns:d" => ("reg.io/dig", "v3", Some(DIGEST)),
        "ns:num" => ("reg.io/app", "1.0", None),
        "ns:int" => ("reg.io/app", "123", None),
        "ns:yes" => ("reg.io/app", "yes", None),
        "ns:sha" => ("reg.io/app", "12e4567", None),
        "automation-ns:policy" => ("index.repo.fake/updated", "v1.0.1", None),
        "automation-ns:unchanged" => ("image", "v1.0.0", None),
        "automation-ns:policy-with-digest" => ("image", "v1.0.0", Some(DIGEST)),
        _ => return None,
    };
    Some(match (setter.field, digest) {
        (Field::Image, Some(digest)) => format!("{repository}:{tag}@{digest}"),
        (Field::Image, None) => format!("{repository}:{tag}"),
        (Field::Tag, _) => tag.to_owned(),
        (Field::Name, _) => repository.to_owned(),
        (Field::Digest, digest) => digest.unwrap_or_default().to_owned(),
    })
}

fn edits_of(text: &str) -> Vec<Edit> {
    let edit_of = |setter: Setter| {
        let new = value_of(&setter)?;
        (new != setter.value).then_some(Edit {
            span: setter.span,
            style: setter.style,
            old: setter.value,
            new,
        })
    };
    let reading = read(text.as_bytes());
    reading.setters.into_iter().filter_map(edit_of).collect()
}

fn edit(text: &str) -> String {
    let edited =
        splice(text.as_bytes(), &edits_of(text)).unwrap_or_else(|error| panic!("{error}: {text}"));
    String::from_utf8(edited).unwrap()
}

/// Replaces ` M` where a comment can stand.
fn with_markers(text: &str) -> String {
    let marked = text.replace(" M", &format!(" {MARKER}"));
    match marked.strip_prefix('M') {
        Some(rest) => format!("{MARKER}{rest}"),
        None => marked.replace("\nM", &format!("\n{MARKER}")),
    }
}

/// Checks that editing `before` gives `after`, once and for all.
fn check(before: &str, after: &str) {
    let (before, after) = (with_markers(before), with_markers(after));
    let edited = edit(&before);
    assert_eq!(edited, after, "from {before}");
    assert_eq!(edit(&edited), edited, "a second time, from {before}");
}

/// Checks that `text` is left as it is, for the reason given.
fn check_left(text: &str, line: usize, problem: &Problem) {
    let text = with_markers(text);
    assert_eq!(edit(&text), text);
    let found = read(text.as_bytes()).findings;
    assert!(
        found
            .iter()
            .any(|finding| finding.line == line && same_kind(&finding.problem, problem)),
        "{found:?} in {text}"
    );
}

/// Whether two problems are of one kind, and the detail found contains the one expected.
fn same_kind(found: &Problem, expected: &Problem) -> bool {
    match (found, expected) {
        (Problem::Unparsable(found), Problem::Unparsable(expected))
        | (Problem::OverLimit(found), Problem::OverLimit(expected))
        | (Problem::Misspelt(found), Problem::Misspelt(expected))
        | (Problem::NotEditable(found), Problem::NotEditable(expected)) => found.contains(expected),
        _ => found == expected,
    }
}

fn misspelt(detail: &str) -> Problem {
    Problem::Misspelt(detail.to_owned())
}

fn not_editable(detail: &str) -> Problem {
    Problem::NotEditable(detail.to_owned())
}

fn unparsable() -> Problem {
    Problem::Unparsable(String::new())
}
