//! Patterns: which bytes of a text a rule is about.

use std::ops::Range;

use regex::{Regex, RegexBuilder};

use super::RuleError;
use crate::update::yaml::MAX_MARKERS;

/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 1000;
/// The largest file that patterns are looked for in, in bytes.
pub const MAX_SEARCHED: usize = 1024 * 1024;
/// How large a compiled pattern may be, in bytes.
const MAX_COMPILED: usize = 1024 * 1024;
/// How deep groups may nest.
const MAX_NESTING: u32 = 50;

/// A regular expression with one group: the group is the value.
///
/// It is matched in time that grows with the text and nothing else; there is no look-around and no
/// back-reference. `^` and `$` are the beginning and the end of a line.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// How often it is to match in a file.
    pub matches: Matches,
}

/// How often a pattern is to match in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matches {
    /// Once: anything else is a finding, and nothing is edited.
    #[default]
    One,
    /// As often as it does.
    All,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str() && self.matches == other.matches
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// Reads a pattern, or says what is wrong with it.
    ///
    /// ```
    /// use tagwright::update::targets::{Matches, Pattern};
    ///
    /// let pattern = Pattern::parse(r"^TAG=(\S+)$", Matches::One).unwrap();
    /// assert_eq!(pattern.find("A=1\nTAG=1.2.0\n").unwrap(), [8..13]);
    /// assert!(Pattern::parse(r"^TAG=", Matches::One).is_err());
    /// ```
    pub fn parse(text: &str, matches: Matches) -> Result<Self, RuleError> {
        let fault = |at: usize, what: &str| Err(RuleError::new(text, at, what));
        if text.len() > MAX_PATTERN {
            return fault(MAX_PATTERN, "the pattern is longer than 1,000 bytes");
        }
        let built = RegexBuilder::new(text)
            .multi_line(true)
            .crlf(true)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .nest_limit(MAX_NESTING)
            .build();
        let regex = match built {
            Ok(regex) => regex,
            Err(regex::Error::CompiledTooBig(_)) => {
                return fault(0, "the pattern is too large once it is compiled");
            }
            Err(error) => {
                // The engine draws the pattern and a caret; its last line says what is wrong.
                let told = error.to_string();
                let (what, at) = reason(&told);
                return fault(at, &format!("the pattern is no regular expression: {what}"));
            }
        };
        match regex.captures_len() {
            2 => Ok(Self { regex, matches }),
            1 => fault(0, "the pattern has no group; put the value in `(…)`"),
            _ => fault(
                0,
                "the pattern has several groups; write `(?:…)` for all but the value's",
            ),
        }
    }

    /// The text of the pattern.
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    /// Where the values stand, in the order of the text; nothing where there are too many. An empty
    /// group is no value.
    pub fn find(&self, text: &str) -> Option<Vec<Range<usize>>> {
        let found = self.regex.captures_iter(text);
        let values = found.filter_map(|captures| Some(captures.get(1)?.range()));
        let values = values.filter(|value| !value.is_empty());
        let values = values.take(MAX_MARKERS + 1).collect::<Vec<_>>();
        (values.len() <= MAX_MARKERS).then_some(values)
    }
}

/// The reason in the engine's drawing, and the column of its caret.
fn reason(told: &str) -> (&str, usize) {
    let last = told.lines().last().unwrap_or_default();
    let what = last.strip_prefix("error: ").unwrap_or(last);
    let drawn = told
        .lines()
        .find_map(|line| line.find('^').map(|at| (line, at)));
    // The drawing is indented by four.
    let at = drawn
        .filter(|(line, _)| line.trim().chars().all(|it| it == '^'))
        .map_or(0, |(_, at)| at.saturating_sub(4));
    (what, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_fault(pattern: &str, expected: &str) {
        let error = Pattern::parse(pattern, Matches::One)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{pattern}: {error}");
    }

    #[test]
    fn a_pattern_is_guarded() {
        check_fault("abc", "no group");
        check_fault("(a)(b)", "several groups");
        check_fault("(a", "unclosed group");
        check_fault(r"(a)\1", "backreferences are not supported");
        check_fault("(?=a)(b)", "look-around");
        check_fault(r"(\w{1000}{1000})", "too large");
        check_fault(&format!("({})", "a".repeat(1000)), "longer than");
        check_fault(&format!("{}a{}", "(?:".repeat(60), ")".repeat(60)), "nest");
    }

    #[test]
    fn a_bomb_for_other_engines_is_none_here() {
        let pattern = Pattern::parse(r"^((?:a+)+)$", Matches::All).unwrap();
        let text = format!("{}b", "a".repeat(100_000));
        assert!(pattern.find(&text).unwrap().is_empty());
    }

    #[test]
    fn lines_end_as_they_are_written() {
        let pattern = Pattern::parse(r"^tag: (.+)$", Matches::All).unwrap();
        assert_eq!(pattern.find("tag: 1\r\ntag: 2\n").unwrap(), [5..6, 13..14]);
    }

    #[test]
    fn there_is_a_limit_of_values() {
        let pattern = Pattern::parse("(a)", Matches::All).unwrap();
        assert_eq!(pattern.find(&"a".repeat(10_000)).unwrap().len(), 10_000);
        assert_eq!(pattern.find(&"a".repeat(10_001)), None);
    }
}
