//! The nearest valid form of a range, a pattern or a format that cannot be compiled.
//!
//! A few likely mendings are written down for each problem, the smallest first; the first one that
//! compiles is the answer. So what is suggested is always valid, and nothing is suggested where none
//! of them is.

use super::{
    calver::{CalverFormat, CalverProblem},
    error::{Place, PolicyError},
    pattern::{Pattern, PatternProblem},
    range::{Range, RangeProblem},
};

/// Longer forms are not shown.
const LONGEST: usize = 120;

/// The nearest valid form of the text that `error` is about, on one line.
pub(super) fn nearest_form(error: &PolicyError) -> Option<String> {
    let is_valid: fn(&str) -> bool;
    let forms = match error {
        PolicyError::Range { place, problem } => {
            is_valid = |form| Range::new(form).is_ok();
            range(&Cut::new(place), problem)
        }
        PolicyError::Pattern { place, problem } => {
            is_valid = |form| Pattern::new("filterTags.pattern", form).is_ok();
            pattern(&Cut::new(place), problem)
        }
        PolicyError::Calver { place, problem } => {
            is_valid = |form| CalverFormat::new(form).is_ok();
            calver(&Cut::new(place), *problem)
        }
        _ => return None,
    };
    let mut forms = forms.into_iter().filter(|form| form.len() <= LONGEST);
    let form = forms.find(|form| is_valid(form))?;
    Some(form).filter(|form| !form.contains(char::is_control))
}

/// A text, cut at the bytes at fault.
struct Cut<'a> {
    before: &'a str,
    fault: &'a str,
    after: &'a str,
}

impl<'a> Cut<'a> {
    fn new(place: &'a Place) -> Self {
        let text = place.text.as_str();
        Self {
            before: text.get(..place.span.start).unwrap_or_default(),
            fault: place.fault(),
            after: text.get(place.span.end..).unwrap_or_default(),
        }
    }

    /// The text with something else in place of the fault.
    fn with(&self, other: &str) -> String {
        format!("{}{other}{}", self.before, self.after)
    }

    fn whole(&self) -> String {
        self.with(self.fault)
    }
}

fn range(cut: &Cut<'_>, problem: &RangeProblem) -> Vec<String> {
    let fault = cut.fault;
    match problem {
        RangeProblem::Missing => {
            let separators = [' ', ',', '|'];
            let rest = if cut.after.trim_matches(separators).is_empty() {
                cut.before.trim_end_matches(separators)
            } else {
                cut.after.trim_start_matches(separators)
            };
            vec![rest.to_owned(), cut.with("*")]
        }
        RangeProblem::FourthPart => vec![cut.with("")],
        RangeProblem::Unseparated => vec![cut.with(&format!(", {fault}")), cut.with(fault)],
        RangeProblem::Part => {
            let digits = fault.bytes().take_while(u8::is_ascii_digit).count();
            match digits {
                0 => vec![cut.with("x")],
                _ => vec![cut.with(&fault[..digits])],
            }
        }
        RangeProblem::TooBig => Vec::new(),
        RangeProblem::LeadingZero => {
            let words = fault.trim_start_matches('-').split('.').map(|word| {
                let plain = word.trim_start_matches('0');
                let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
                match (is_number, plain) {
                    (true, "") => "0",
                    (true, plain) => plain,
                    (false, _) => word,
                }
            });
            vec![cut.with(&format!("-{}", words.collect::<Vec<_>>().join(".")))]
        }
        RangeProblem::Identifier => vec![
            cut.with(&fault.replace("..", ".")),
            cut.with(&fault.replace(['_', '.'], "-")),
            cut.with(""),
        ],
        RangeProblem::Unexpected => unexpected(cut),
    }
}

fn unexpected(cut: &Cut<'_>) -> Vec<String> {
    let fault = cut.fault;
    let (before, after) = (cut.before.trim_end(), cut.after.trim_start());
    let spaceless = format!("{before}{fault}{}", cut.after);
    let instead = match fault {
        "==" => "=",
        "<>" | "!" => "!=",
        "&&" | "&" => ",",
        "|" => "||",
        "V" => "v",
        "," | "+" => "",
        _ => "*",
    };
    let mut forms = vec![cut.with(instead)];
    match fault.strip_prefix(';') {
        Some(rest) => forms.insert(0, cut.with(&format!(", {rest}"))),
        None if matches!(fault, "-" | "to" | "–") => {
            forms.insert(0, format!("{before} - {after}"));
        }
        None if fault == "+" => forms.insert(0, format!(">={}", cut.with(""))),
        None if matches!(fault, ">" | "<" | "=" | "~" | "^") => forms.insert(0, spaceless),
        None if fault.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            forms.insert(0, cut.with(&format!("-{fault}")));
        }
        None => {}
    }
    forms.push(cut.with(""));
    forms
}

fn pattern(cut: &Cut<'_>, problem: &PatternProblem) -> Vec<String> {
    let fault = cut.fault;
    let escaped = || cut.with(&format!("\\{fault}"));
    match problem {
        PatternProblem::NestedRepeat => {
            let shorter = fault.char_indices().next_back().map_or(0, |(last, _)| last);
            vec![cut.with(&fault[..shorter])]
        }
        PatternProblem::NothingToRepeat
        | PatternProblem::UnexpectedParenthesis
        | PatternProblem::TrailingBackslash => vec![escaped()],
        PatternProblem::RepeatSize => vec![cut.with("*")],
        PatternProblem::MissingParenthesis => vec![format!("{})", cut.whole()), escaped()],
        PatternProblem::MissingBracket => vec![format!("{}]", cut.whole()), escaped()],
        PatternProblem::ClassRange => match fault.split_once('-') {
            Some((low, high)) => vec![cut.with(&format!("{high}-{low}"))],
            None => Vec::new(),
        },
        PatternProblem::Escape => {
            let other = match fault {
                "\\Z" => "\\z",
                "\\h" => "[ \\t]",
                "\\C" => ".",
                _ => fault.trim_start_matches('\\'),
            };
            vec![cut.with(other)]
        }
        PatternProblem::GroupName => {
            let in_name = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
            let (_, name) = fault.split_once('<').unwrap_or_default();
            let name = name
                .replace('-', "_")
                .chars()
                .filter(in_name)
                .collect::<String>();
            vec![cut.with(&format!("(?P<{name}>")), cut.with("(?:")]
        }
        PatternProblem::GroupFlags if fault == "(?>" => vec![cut.with("(?:")],
        PatternProblem::GroupFlags
        | PatternProblem::UnicodeClass
        | PatternProblem::Depth
        | PatternProblem::Engine(_) => Vec::new(),
    }
}

fn calver(cut: &Cut<'_>, problem: CalverProblem) -> Vec<String> {
    let text = cut.whole();
    let mut forms = vec![
        text.to_uppercase(),
        text.replace("%Y", "YYYY")
            .replace("%m", "0M")
            .replace("%d", "0D"),
    ];
    if problem == CalverProblem::Adjacent {
        forms.insert(0, cut.with(&format!(".{}", cut.fault)));
    } else {
        forms.push(cut.with(""));
    }
    forms.retain(|form| *form != text);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T>(compiled: Result<T, PolicyError>, expected: Option<&str>) {
        let Err(error) = compiled else {
            panic!("it is valid");
        };
        assert_eq!(nearest_form(&error).as_deref(), expected, "{error}");
        let hint = error.hint().expect("every fault of a text has advice");
        assert!(expected.is_none_or(|form| hint.contains(form)), "{hint}");
    }

    #[test]
    fn ranges_are_mended_with_the_fewest_changes() {
        for (range, expected) in [
            ("1.y", Some("1.x")),
            ("1.", Some("1.x")),
            ("1.2.y", Some("1.2.x")),
            (">=1.2.3.4 <2", Some(">=1.2.3 <2")),
            ("1x", Some("1")),
            ("1.2beta", Some("1.2-beta")),
            ("1.0.0-rc_1", Some("1.0.0-rc-1")),
            ("1.0.0-rc..1", Some("1.0.0-rc.1")),
            ("1.0.0-rc.01", Some("1.0.0-rc.1")),
            ("==1.2.3", Some("=1.2.3")),
            (">=1.2 <>2.0", Some(">=1.2 !=2.0")),
            ("1 && 2", Some("1 , 2")),
            (">=1 | <3", Some(">=1 || <3")),
            (">=1;<3", Some(">=1, <3")),
            ("1.0.0 -2.0.0", Some("1.0.0 - 2.0.0")),
            ("1.0 to 2.0", Some("1.0 - 2.0")),
            ("V1.2.3", Some("v1.2.3")),
            ("> = 1.2", Some(">= 1.2")),
            ("1.2+", Some(">=1.2")),
            ("latest", Some("*")),
            ("", Some("*")),
            ("1.x ||", Some("1.x")),
            ("|| 1.x", Some("1.x")),
            (">=1,", Some(">=1")),
            (">=1,,<2", Some(">=1,<2")),
            ("1.2.3<2", Some("1.2.3, <2")),
            ("99999999999999999999", None),
        ] {
            check(Range::new(range), expected);
        }
    }

    #[test]
    fn patterns_are_mended_where_one_sign_is_wrong() {
        for (pattern, expected) in [
            ("^v[0-9]++$", Some("^v[0-9]+$")),
            ("*a", Some("\\*a")),
            ("a{2000}", Some("a*")),
            ("^(a", Some("^(a)")),
            ("a)", Some("a\\)")),
            ("[a-z", Some("[a-z]")),
            ("a\\", Some("a\\\\")),
            ("[z-a]", Some("[a-z]")),
            ("a\\Z", Some("a\\z")),
            ("(?>a)", Some("(?:a)")),
            ("(?P<a-b>x)", Some("(?P<a_b>x)")),
            ("(?!a)", None),
            (r"\p{Nope}", None),
        ] {
            check(Pattern::new("filterTags.pattern", pattern), expected);
        }
    }

    #[test]
    fn formats_are_mended() {
        for (format, expected) in [
            ("YYYY.MMDD", Some("YYYY.MM.DD")),
            ("yyyy.mm.dd", Some("YYYY.MM.DD")),
            ("%Y.%m.%d", Some("YYYY.0M.0D")),
            ("YYY", Some("YY")),
            ("", None),
        ] {
            check(CalverFormat::new(format), expected);
        }
    }
}
