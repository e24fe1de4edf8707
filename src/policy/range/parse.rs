//! Reading a range.

use std::{fmt, ops};

use super::{Comparator, Group, Operator, RANGE_LIMIT, Width};
use crate::policy::{
    error::{Place, PolicyError},
    version::{Version, VersionFault},
};

/// What is wrong in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeProblem {
    /// Nothing stands where a comparator is expected: an empty range, or beside `||` or a comma.
    Missing,
    /// A version has a fourth part.
    FourthPart,
    /// A text that is no operator and no version.
    Unexpected,
    /// Two comparators without a separator; in front of a hyphen range only a comma is one.
    Unseparated,
    /// A part is neither a number nor `x`, `X` or `*`.
    Part,
    /// A number does not fit 64 bits.
    TooBig,
    /// A number of a pre-release is written with a zero in front.
    LeadingZero,
    /// A pre-release or build is followed by something that cannot stand in it.
    Identifier,
}

impl fmt::Display for RangeProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "a comparator such as `>=1.2` is missing",
            Self::FourthPart => "a version has at most three parts",
            Self::Unexpected => "here is neither an operator nor a version",
            Self::Unseparated => "a comma is missing between two comparators",
            Self::Part => "each part of a version is a number, or one of `x`, `X` and `*`",
            Self::TooBig => "a number is larger than 18446744073709551615",
            Self::LeadingZero => "a number of a pre-release begins with 0",
            Self::Identifier => "a pre-release is words of letters, digits and hyphens",
        })
    }
}

impl RangeProblem {
    /// Advice, given the text at fault.
    pub(in crate::policy) fn advice(&self, fault: &str) -> &'static str {
        match self {
            Self::Missing => "write `*` for every version that is no pre-release",
            Self::FourthPart => "drop the fourth part; the order `loose` reads tags that have one",
            Self::Unseparated => "write `, ` in between",
            Self::LeadingZero => "drop the zeros in front",
            Self::Identifier => "separate its words by single dots, or by hyphens",
            Self::Part => "write `x` for any number",
            Self::TooBig => "the orders `numerical` and `natural` read numbers of any length",
            Self::Unexpected => match fault {
                "==" => "write `=`",
                "<>" | "!" => "write `!=`",
                "&&" | "&" | ";" => "write `,`: both sides must hold",
                "|" => "write `||`",
                "," => "write one comma between two comparators",
                "-" => "a range has a space on each side of its hyphen: `1.2.3 - 2.0.0`",
                "V" => "write a lower-case `v`, or none",
                ">" | "<" | "=" | "~" | "^" => "write the operator without a space in it",
                "latest" => "write `*` for the newest version",
                _ => "ranges look like `1.x`, `^1.2`, `>=1.2, <2` or `1.0.0 - 2.0.0`",
            },
        }
    }
}

/// Compiles `text`, which stands in `field`.
pub(super) fn groups(field: &str, text: &str) -> Result<Vec<Group>, PolicyError> {
    if text.len() > RANGE_LIMIT {
        return Err(PolicyError::TooLong {
            place: Place::new(field, text, RANGE_LIMIT..text.len()),
            limit: RANGE_LIMIT,
        });
    }
    let rewritten = Rewritten::new(text);
    let mut groups = Vec::new();
    let mut start = 0;
    for group in rewritten.text.split("||") {
        let end = start + group.len();
        let mut parser = Parser {
            text: &rewritten.text[..end],
            at: start,
        };
        let group = parser.group().map_err(|(problem, span)| {
            let span = rewritten.origin(span.start)..rewritten.origin(span.end);
            PolicyError::Range {
                place: Place::new(field, text, span),
                problem,
            }
        })?;
        groups.push(group);
        start = end + "||".len();
    }
    Ok(groups)
}

/// A range in which every `A - B` reads `>= A, <= B `, and where each byte came from.
struct Rewritten {
    text: String,
    origins: Vec<usize>,
}

impl Rewritten {
    fn new(text: &str) -> Self {
        let mut rewritten = Self {
            text: String::with_capacity(text.len()),
            origins: Vec::with_capacity(text.len() + 1),
        };
        let mut at = 0;
        while at < text.len() {
            if let Some((low, high, end)) = hyphen_range(text, at) {
                rewritten.push(">= ", low.start..low.start);
                rewritten.push(&text[low.clone()], low);
                rewritten.push(", <= ", high.start..high.start);
                rewritten.push(&text[high.clone()], high);
                rewritten.push(" ", end..end);
                at = end;
            } else {
                let length = text[at..].chars().next().map_or(1, char::len_utf8);
                rewritten.push(&text[at..at + length], at..at + length);
                at += length;
            }
        }
        rewritten.origins.push(text.len());
        rewritten
    }

    fn push(&mut self, text: &str, origin: ops::Range<usize>) {
        self.text.push_str(text);
        let origins = (0..text.len()).map(|byte| (origin.start + byte).min(origin.end));
        self.origins.extend(origins);
    }

    fn origin(&self, at: usize) -> usize {
        let last = self.origins.last().copied().unwrap_or_default();
        self.origins.get(at).copied().unwrap_or(last)
    }
}

/// The two ends of a hyphen range that begins at `at`, spaces in front included, and its end.
///
/// The ends are found before the text is divided at `||`, and `|` is a character of a partial, so
/// `1||2 - 3` is `>=1 || 2, <=3`. Masterminds reads it so, and so do we.
fn hyphen_range(text: &str, at: usize) -> Option<(ops::Range<usize>, ops::Range<usize>, usize)> {
    let bytes = text.as_bytes();
    let low_start = skip_spaces(bytes, at);
    let low = Partial::scan(bytes, low_start)?;
    let hyphen = skip_spaces(bytes, low.end);
    let spaced = hyphen > low.end && bytes.get(hyphen) == Some(&b'-');
    let high_start = skip_spaces(bytes, hyphen + 1);
    if !spaced || high_start == hyphen + 1 {
        return None;
    }
    let high = Partial::scan(bytes, high_start)?;
    let end = skip_spaces(bytes, high.end);
    Some((low_start..low.end, high_start..high.end, end))
}

fn skip_spaces(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c);
    at + rest.iter().take_while(is_space).count()
}

/// Where the pieces of a partial version lie.
struct Partial {
    parts: [ops::Range<usize>; 3],
    pre: ops::Range<usize>,
    end: usize,
}

impl Partial {
    /// Finds the longest partial that begins at `start`.
    fn scan(bytes: &[u8], start: usize) -> Option<Self> {
        let run = |from: usize, member: fn(u8) -> bool| {
            let rest = bytes.get(from..).unwrap_or_default();
            from + rest.iter().take_while(|&&byte| member(byte)).count()
        };
        // The bar is a slip in Masterminds' lexer: such a part is refused later, except behind an
        // `x`, where parts are not looked at.
        let in_part = |byte: u8| byte.is_ascii_digit() || b"xX*|".contains(&byte);
        let in_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let first = start + usize::from(bytes.get(start) == Some(&b'v'));
        let mut end = run(first, in_part);
        if end == first {
            return None;
        }
        let mut parts = [first..end, end..end, end..end];
        for part in &mut parts[1..] {
            let part_end = run(end + 1, in_part);
            if bytes.get(end) == Some(&b'.') && part_end > end + 1 {
                *part = end + 1..part_end;
                end = part_end;
            } else {
                break;
            }
        }
        let dotted = |mark: u8, from: usize| {
            let mut end = from;
            let mut opens = mark;
            while bytes.get(end) == Some(&opens) && run(end + 1, in_word) > end + 1 {
                end = run(end + 1, in_word);
                opens = b'.';
            }
            end
        };
        let pre = end..dotted(b'-', end);
        end = dotted(b'+', pre.end);
        Some(Self { parts, pre, end })
    }
}

type Trouble = (RangeProblem, ops::Range<usize>);

/// A cursor over one group; `text` ends where the group ends.
struct Parser<'r> {
    text: &'r str,
    at: usize,
}

impl Parser<'_> {
    fn group(&mut self) -> Result<Group, Trouble> {
        let mut comparators = Vec::new();
        loop {
            self.skip_spaces();
            let comparator = self.comparator()?;
            let version_end = self.at;
            self.skip_spaces();
            let next = self.text.as_bytes().get(self.at);
            if self.at == version_end && next.is_some_and(|next| *next != b',') {
                return Err(self.unseparated(&comparator.text));
            }
            comparators.push(comparator);
            match next {
                None => break,
                Some(b',') => self.at += 1,
                Some(_) => {}
            }
        }
        let prereleases = comparators
            .iter()
            .any(|comparator: &Comparator| comparator.base.is_prerelease());
        Ok(Group {
            comparators,
            prereleases,
        })
    }

    fn comparator(&mut self) -> Result<Comparator, Trouble> {
        let start = self.at;
        let operator = self.operator();
        let operator_end = self.at;
        self.skip_spaces();
        let Some(partial) = Partial::scan(self.text.as_bytes(), self.at) else {
            return Err(self.no_version(start, operator_end));
        };
        let (base, width) = self.base(&partial)?;
        let written = &self.text[start..operator_end];
        let version = &self.text[self.at..partial.end];
        self.at = partial.end;
        Ok(Comparator {
            operator,
            base,
            width,
            text: format!("{written}{version}"),
        })
    }

    fn operator(&mut self) -> Operator {
        const OPERATORS: [(&str, Operator); 11] = [
            ("!=", Operator::NotEqual),
            (">=", Operator::GreaterOrEqual),
            ("=>", Operator::GreaterOrEqual),
            ("<=", Operator::LessOrEqual),
            ("=<", Operator::LessOrEqual),
            ("~>", Operator::Tilde),
            ("=", Operator::Equal),
            (">", Operator::Greater),
            ("<", Operator::Less),
            ("~", Operator::Tilde),
            ("^", Operator::Caret),
        ];
        let rest = &self.text[self.at..];
        for (written, operator) in OPERATORS {
            if rest.starts_with(written) {
                self.at += written.len();
                return operator;
            }
        }
        Operator::Equal
    }

    /// The version that a partial stands for, with zeros for what it leaves open.
    fn base(&self, partial: &Partial) -> Result<(Version<'static>, Width), Trouble> {
        let part = |position: usize| &self.text[partial.parts[position].clone()];
        let is_open = |position: usize| matches!(part(position), "" | "x" | "X" | "*");
        let width = match () {
            () if is_open(0) => Width::Any,
            () if is_open(1) => Width::Minor,
            () if is_open(2) => Width::Patch,
            () => Width::Exact,
        };
        let fixed = match width {
            Width::Any => 0,
            Width::Minor => 1,
            Width::Patch => 2,
            Width::Exact => 3,
        };
        let mut version = String::new();
        for position in 0..3 {
            let digits = if position < fixed {
                part(position)
            } else {
                "0"
            };
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                let problem = match digits {
                    "|" => RangeProblem::Unexpected,
                    _ => RangeProblem::Part,
                };
                return Err((problem, partial.parts[position].clone()));
            }
            let dot = if position > 0 { "." } else { "" };
            version.push_str(dot);
            version.push_str(digits);
        }
        version.push_str(&self.text[partial.pre.clone()]);
        match Version::coerce(&version) {
            Ok(base) => Ok((base.into_owned(), width)),
            Err(VersionFault::LeadingZero) => Err((RangeProblem::LeadingZero, partial.pre.clone())),
            Err(VersionFault::TooBig) => {
                let numbers = partial.parts[0].start..partial.pre.start;
                Err((RangeProblem::TooBig, numbers))
            }
            Err(VersionFault::Shape | VersionFault::Parts) => {
                Err((RangeProblem::Unexpected, self.at..partial.end))
            }
        }
    }

    fn skip_spaces(&mut self) {
        self.at = skip_spaces(self.text.as_bytes(), self.at);
    }

    /// What is wrong at the cursor, directly behind `version`.
    fn unseparated(&self, version: &str) -> Trouble {
        let rest = &self.text[self.at..];
        let dots = version.bytes().filter(|byte| *byte == b'.').count();
        let end = self.at + word_length(rest);
        match rest.as_bytes() {
            [b'<' | b'>' | b'=' | b'~' | b'^' | b'!' | b'v', ..] => {
                (RangeProblem::Unseparated, self.at..self.at + 1)
            }
            _ if version.contains(['-', '+']) => (RangeProblem::Identifier, self.at..end),
            [b'-' | b'+', ..] => (RangeProblem::Unexpected, self.at..self.at + 1),
            [b'.', ..] if dots < 2 => (RangeProblem::Part, self.at + 1..end),
            [b'.', ..] => (RangeProblem::FourthPart, self.at..end),
            _ => (RangeProblem::Unexpected, self.at..end),
        }
    }

    /// What is wrong where an operator, from `start` to `operator_end`, has no version.
    fn no_version(&self, start: usize, operator_end: usize) -> Trouble {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return (RangeProblem::Missing, start..operator_end);
        }
        let length = match rest.as_bytes() {
            [b'=' | b'>' | b'<', ..] if self.at == operator_end => {
                return (RangeProblem::Unexpected, start..self.at + 1);
            }
            [b'&', b'&', ..] => 2,
            [first, ..] if first.is_ascii_punctuation() => 1,
            [b'V', second, ..] if second.is_ascii_digit() => 1,
            _ => word_length(rest),
        };
        (RangeProblem::Unexpected, self.at..self.at + length)
    }
}

/// The bytes up to the next space or comma, at least one character.
fn word_length(text: &str) -> usize {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let rest = text.get(first..).unwrap_or_default();
    let more = rest.find(|next: char| next.is_whitespace() || next == ',');
    first + more.unwrap_or(rest.len())
}
