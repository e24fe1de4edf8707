//! What can be wrong with a pattern, and what to do about it.

use std::fmt;

/// What is refused in a pattern; all but `Depth` and `Engine` are Go's own rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternProblem {
    /// A repetition of nothing: `*a`, `(+)`.
    NothingToRepeat,
    /// A repetition of a repetition: `a**`, `a++`, `a{2}{3}`.
    NestedRepeat,
    /// A repetition of more than 1000 times, or with its bounds the wrong way round.
    RepeatSize,
    /// A `(` that is never closed.
    MissingParenthesis,
    /// A `)` that was never opened.
    UnexpectedParenthesis,
    /// A `[` that is never closed.
    MissingBracket,
    /// A range in a class that runs backwards, or a name such as `[:word:]` that there is not.
    ClassRange,
    /// A `\p{…}` that names no category and no script.
    UnicodeClass,
    /// A backslash in front of a letter or digit to which it gives no meaning.
    Escape,
    /// A backslash at the end.
    TrailingBackslash,
    /// A group whose name is empty or holds anything but letters, digits and underscores.
    GroupName,
    /// A `(?` that is followed by neither flags of `imsU` nor a name.
    GroupFlags,
    /// Groups and repetitions nested more than 100 deep.
    Depth,
    /// The engine's own refusal.
    Engine(String),
}

impl fmt::Display for PatternProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NothingToRepeat => "there is nothing to repeat",
            Self::NestedRepeat => "a repetition cannot be repeated",
            Self::RepeatSize => "a repetition is limited to 1000, and its bounds must ascend",
            Self::MissingParenthesis => "a parenthesis is not closed",
            Self::UnexpectedParenthesis => "a parenthesis was not opened",
            Self::MissingBracket => "a bracket is not closed",
            Self::ClassRange => "there is no such range of characters",
            Self::UnicodeClass => "there is no such Unicode class",
            Self::Escape => "the backslash has no meaning here",
            Self::TrailingBackslash => "a backslash stands at the end",
            Self::GroupName => "a group's name is letters, digits and underscores",
            Self::GroupFlags => "the group's flags are none of i, m, s, U",
            Self::Depth => "groups and repetitions are limited to 100 levels",
            Self::Engine(message) => message,
        })
    }
}

/// Advice, given the text at fault.
pub(in crate::policy) fn advice(problem: &PatternProblem, fault: &str) -> &'static str {
    match problem {
        PatternProblem::NestedRepeat if fault.ends_with('+') => {
            "possessive repetition is unknown here; drop the `+`"
        }
        PatternProblem::NestedRepeat => "put the inner repetition in `(?:…)`",
        PatternProblem::NothingToRepeat => "escape the sign to match it: `\\*`, `\\+`, `\\?`",
        PatternProblem::RepeatSize => "write `*` or `+`: a tag has at most 128 characters",
        PatternProblem::MissingParenthesis => "close it with `)`, or write `\\(` to match it",
        PatternProblem::UnexpectedParenthesis => "write `\\)` to match it",
        PatternProblem::MissingBracket => "close it with `]`, or write `\\[` to match it",
        PatternProblem::TrailingBackslash => "write `\\\\` to match a backslash",
        PatternProblem::GroupName => "a name may be `version` or `build_1`",
        PatternProblem::GroupFlags => match fault {
            "(?=" | "(?!" | "(?<=" | "(?<!" => {
                "there is no look-around: capture what you want with `extract`, and list what you \
                 do not want as exclusions"
            }
            "(?>" => "there are no atomic groups; write `(?:`",
            "(?#" => "there are no comments in patterns",
            _ => "write `(?:…)` for a group without a number",
        },
        PatternProblem::Escape => match fault {
            "\\Z" => "write `\\z` or `$` for the end",
            "\\h" => "write `[ \\t]`",
            "\\E" => "`\\E` only ends a `\\Q`",
            "\\C" => "write `.` for any character",
            "\\x" => "write two hexadecimal digits, or any number in braces: `\\x{41}`",
            _ if fault.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => {
                "there are no back-references"
            }
            _ => "drop the backslash to match the letter itself",
        },
        PatternProblem::ClassRange if fault.starts_with("[:") => {
            "named classes are alnum, alpha, ascii, blank, cntrl, digit, graph, lower, print, punct, \
             space, upper, word and xdigit"
        }
        PatternProblem::ClassRange => "a range goes from the smaller to the greater: `a-z`, `0-9`",
        PatternProblem::UnicodeClass => {
            "write `\\pL` for letters, `\\pN` for numbers, or a script: `\\p{Greek}`"
        }
        PatternProblem::Depth => "take away groups that only group",
        PatternProblem::Engine(_) => "write it with fewer special signs",
    }
}
