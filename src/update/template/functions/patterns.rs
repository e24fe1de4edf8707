//! Regular expressions, with Go's syntax and Go's ASCII classes.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::{
    super::{
        limits::{Bounded, Fault},
        value::Value,
    },
    Call, Function, Outcome, failed,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("regexMatch", 2, 2, |call| match matches(call) {
        Err(Fault::Failed(_)) => Ok(Value::Bool(false)),
        outcome => outcome,
    }),
    Function::new("mustRegexMatch", 2, 2, matches),
    Function::new("regexFind", 2, 2, find),
    Function::new("mustRegexFind", 2, 2, find),
    Function::new("regexFindAll", 3, 3, find_all),
    Function::new("mustRegexFindAll", 3, 3, find_all),
    Function::new("regexReplaceAll", 3, 3, |call| {
        replace(call, Replacement::Expanded)
    }),
    Function::new("mustRegexReplaceAll", 3, 3, |call| {
        replace(call, Replacement::Expanded)
    }),
    Function::new("regexReplaceAllLiteral", 3, 3, |call| {
        replace(call, Replacement::Literal)
    }),
    Function::new("mustRegexReplaceAllLiteral", 3, 3, |call| {
        replace(call, Replacement::Literal)
    }),
    Function::new("regexSplit", 3, 3, split),
    Function::new("mustRegexSplit", 3, 3, split),
    Function::new("regexQuoteMeta", 1, 1, |call| {
        let text = call.text(0)?;
        call.give(quote_meta(&text))
    }),
];

/// How many bytes a pattern may have.
const PATTERN_BYTES: usize = 1024;
/// How many bytes a compiled pattern may take, and what it pays then for each byte it searches.
///
/// Searching is linear in the text and, at worst, in the size of the pattern too: `.{500}` is
/// short to write and long to run.
const SIZES: [(usize, usize); 3] = [(16 << 10, 1), (64 << 10, 8), (256 << 10, 32)];
/// How many steps it takes to try one size.
const COMPILING: usize = 200;

/// A compiled pattern, and what it pays for each byte it searches.
#[derive(Clone)]
pub(in crate::update::template) struct Pattern {
    regex: Regex,
    weight: usize,
}

/// Compiles the first argument, once for each pattern of a rendering.
fn pattern(call: &mut Call<'_>) -> Result<Pattern, Fault> {
    let source = call.text(0)?;
    if let Some(pattern) = call.meter.patterns.get(&*source) {
        return Ok(pattern.clone());
    }
    if source.len() > PATTERN_BYTES {
        return Err(failed(format!(
            "a pattern has at most {PATTERN_BYTES} bytes"
        )));
    }
    let translated = translated(&source);
    let mut reason = String::new();
    for (size, weight) in SIZES {
        call.meter.spend(COMPILING + source.len())?;
        let regex = RegexBuilder::new(&translated)
            .octal(true)
            .size_limit(size)
            .dfa_size_limit(size)
            .build();
        match regex {
            Ok(regex) => {
                let pattern = Pattern { regex, weight };
                let patterns = &mut call.meter.patterns;
                patterns.insert(source.to_string(), pattern.clone());
                return Ok(pattern);
            }
            Err(error) => {
                reason = error.to_string();
                if !matches!(error, regex::Error::CompiledTooBig(_)) {
                    break;
                }
            }
        }
    }
    let reason = reason.lines().last().unwrap_or_default().trim();
    Err(failed(format!("regexp: `{source}`: {reason}")))
}

/// Rewrites what Go reads otherwise: classes are ASCII, and a bracket, `&&` or `~~` in a class is
/// nothing special.
fn translated(source: &str) -> String {
    let mut out = String::with_capacity(source.len() * 2);
    let mut rest = source;
    let mut in_class = false;
    while let Some(character) = rest.chars().next() {
        let after = rest.get(character.len_utf8()..).unwrap_or_default();
        rest = after;
        match character {
            '\\' => {
                let Some(letter) = after.chars().next() else {
                    out.push('\\');
                    break;
                };
                rest = after.get(letter.len_utf8()..).unwrap_or_default();
                if letter == 'Q' && !in_class {
                    let (literal, tail) = rest.split_once("\\E").unwrap_or((rest, ""));
                    out.push_str(&regex::escape(literal));
                    rest = tail;
                    continue;
                }
                match class(letter, in_class) {
                    Some(class) => out.push_str(class),
                    None => out.extend(['\\', letter]),
                }
            }
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if let Some(tail) = rest.strip_prefix('^') {
                    out.push('^');
                    rest = tail;
                }
                if let Some(tail) = rest.strip_prefix(']') {
                    out.push_str("\\]");
                    rest = tail;
                }
            }
            '[' if rest.starts_with(':') && rest.contains(":]") => {
                let (name, tail) = rest.split_once(":]").unwrap_or((rest, ""));
                out.extend(["[", name, ":]"]);
                rest = tail;
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if in_class => out.extend(['\\', character]),
            '{' if !in_class && !is_count(rest) => out.push_str("\\{"),
            character => out.push(character),
        }
    }
    out
}

/// What Go means by an escaped letter, where Rust means more.
fn class(letter: char, in_class: bool) -> Option<&'static str> {
    Some(match (letter, in_class) {
        ('d', _) => "[0-9]",
        ('D', _) => "[^0-9]",
        ('w', _) => "[0-9A-Za-z_]",
        ('W', _) => "[^0-9A-Za-z_]",
        ('s', _) => "[\\t\\n\\x0c\\r ]",
        ('S', _) => "[^\\t\\n\\x0c\\r ]",
        ('b', false) => "(?-u:\\b)",
        ('B', false) => "(?-u:\\B)",
        _ => return None,
    })
}

/// Whether a brace opens a count such as `{2}`, `{2,}` or `{2,3}`.
fn is_count(rest: &str) -> bool {
    let Some((body, _)) = rest.split_once('}') else {
        return false;
    };
    let (least, most) = body.split_once(',').unwrap_or((body, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && are_digits(least) && are_digits(most)
}

/// The pattern, and the text that it searches, paid for.
fn search(call: &mut Call<'_>) -> Result<(Regex, Arc<str>), Fault> {
    let pattern = pattern(call)?;
    let text = call.text(1)?;
    call.meter.spend(text.len() * pattern.weight / 8)?;
    Ok((pattern.regex, text))
}

fn matches(call: &mut Call<'_>) -> Outcome {
    let (pattern, text) = search(call)?;
    Ok(Value::Bool(pattern.is_match(&text)))
}

fn find(call: &mut Call<'_>) -> Outcome {
    let (pattern, text) = search(call)?;
    call.give(pattern.find(&text).map_or("", |found| found.as_str()))
}

fn most(call: &Call<'_>) -> Result<usize, Fault> {
    Ok(usize::try_from(call.whole(2)?).unwrap_or(usize::MAX))
}

fn find_all(call: &mut Call<'_>) -> Outcome {
    let ((pattern, text), most) = (search(call)?, most(call)?);
    let found = pattern.find_iter(&text).take(most);
    call.meter.texts(found.map(|found| found.as_str()))
}

/// Whether `$1` in a replacement stands for a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replacement {
    Expanded,
    Literal,
}

fn replace(call: &mut Call<'_>, replacement: Replacement) -> Outcome {
    let ((pattern, text), new) = (search(call)?, call.text(2)?);
    let mut replaced = Bounded::default();
    let mut end = 0;
    for captures in pattern.captures_iter(&text) {
        call.meter.spend(1)?;
        let Some(found) = captures.get(0) else {
            continue;
        };
        replaced.push_str(text.get(end..found.start()).unwrap_or_default())?;
        if replacement == Replacement::Literal {
            replaced.push_str(&new)?;
        } else {
            call.meter.spend_text(new.len())?;
            expand(&captures, &new, &mut replaced)?;
        }
        end = found.end();
    }
    replaced.push_str(text.get(end..).unwrap_or_default())?;
    call.give(replaced.as_str())
}

/// Puts groups for `$1`, `${1}` and `$name`, bounded at each step.
fn expand(captures: &regex::Captures<'_>, new: &str, out: &mut Bounded) -> Result<(), Fault> {
    let mut rest = new;
    while let Some(dollar) = rest.find('$') {
        out.push_str(rest.get(..dollar).unwrap_or_default())?;
        let after = rest.get(dollar + 1..).unwrap_or_default();
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$')?;
            rest = tail;
            continue;
        }
        let is_word = |character: char| character == '_' || character.is_alphanumeric();
        let (name, tail) = match after.strip_prefix('{').map(|body| body.split_once('}')) {
            Some(Some((name, tail))) if name.chars().all(is_word) => (name, tail),
            Some(_) => ("", after),
            None => {
                let end = after
                    .find(|character| !is_word(character))
                    .unwrap_or(after.len());
                after.split_at(end)
            }
        };
        if name.is_empty() {
            out.push('$')?;
            rest = after;
            continue;
        }
        let group = match name.parse() {
            Ok(index) => captures.get(index),
            Err(_) => captures.name(name),
        };
        out.push_str(group.map_or("", |group| group.as_str()))?;
        rest = tail;
    }
    out.push_str(rest)
}

fn split(call: &mut Call<'_>) -> Outcome {
    let ((pattern, text), most) = (search(call)?, most(call)?);
    if most == 0 {
        return call.meter.list("[]string", Vec::new());
    }
    if text.is_empty() && !pattern.as_str().is_empty() {
        return call.meter.texts([""]);
    }
    let (mut start, mut end) = (0, 0);
    let mut pieces = Vec::new();
    for found in pattern.find_iter(&text) {
        if pieces.len() + 1 >= most {
            break;
        }
        call.meter.spend(1)?;
        end = found.start();
        if found.end() != 0 {
            pieces.push(text.get(start..end).unwrap_or_default());
        }
        start = found.end();
    }
    if end != text.len() {
        pieces.push(text.get(start..).unwrap_or_default());
    }
    call.meter.texts(pieces)
}

fn quote_meta(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        if "\\.+*?()|[]{}^$".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn patterns_find_as_in_go() {
        check(r#"regexMatch "^a.c$" "abc""#, "true");
        check(r#"regexMatch "\\d+" "٣""#, "false");
        check(r#"regexMatch "(" "a""#, "false");
        check(r#"regexFind "[a-z]+" "123abc45de""#, "abc");
        check(r#"regexFind "\\w+" "été""#, "t");
        check(r#"regexFind "[^\\s]+" " ab c""#, "ab");
        check(r#"regexFind "[\\w-]+" "a-b c""#, "a-b");
        check(r#"regexFind "[[:alpha:]_]+" "1a_b""#, "a_b");
        check(r#"regexFind "\\Qa.b\\E+" "a.bbb""#, "a.bbb");
        check(r#"regexFind "[]a[&&]+" "x]a[&""#, "]a[&");
        check(r#"regexFind "a{,2}" "a{,2}""#, "a{,2}");
        check(r#"regexFind "(?i)ABC" "xabc""#, "abc");
        check(r#"regexFindAll "[2,4,6,8]" "123456789" -1"#, "[2 4 6 8]");
        check(r#"regexFindAll "a" "aaa" 2"#, "[a a]");
        check(r#"regexFindAll "a" "aaa" 0"#, "[]");
        check(r#"regexFindAll "a*" "baaac" -1"#, "[ aaa ]");
        check(r#"regexSplit "z+" "pizza" -1"#, "[pi a]");
        check(r#"regexSplit "z" "pizza" 2"#, "[pi za]");
        check(r#"regexSplit "a" "banana" 0"#, "[]");
        check(r#"regexSplit "" "abc" -1"#, "[a b c]");
        check(r#"regexSplit "a" "" -1"#, "[]");
        check(r#"regexSplit "," "a,b," -1"#, "[a b ]");
        check(r#"regexQuoteMeta "1.2.3+[a]""#, r"1\.2\.3\+\[a\]");
    }

    #[test]
    fn patterns_replace_as_in_go() {
        check(r#"regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W""#, "-W-xxW-");
        check(r#"regexReplaceAll "a(x*)b" "-ab-axxb-" "$1W""#, "---");
        check(
            r#"regexReplaceAllLiteral "a(x*)b" "-ab-axxb-" "${1}""#,
            "-${1}-${1}-",
        );
        check(
            r#"regexReplaceAll "(?P<n>\\w+)" "hi there" "<${n}>""#,
            "<hi> <there>",
        );
        check(r#"regexReplaceAll "^(.*?):.*$" "nginx:1.27" "$1""#, "nginx");
        check(r#"regexReplaceAll "a" "banana" "$$""#, "b$n$n$");
        check(r#"regexReplaceAll "a" "banana" "${""#, "b${n${n${");
        check(r#"regexReplaceAll "(a)" "banana" "$x$1""#, "banana");
        check(r#"regexReplaceAll "(a)" "banana" "${1}${9}""#, "banana");
        check(r#"regexReplaceAll "" "abc" "-""#, "-a-b-c-");
        check(r#"regexReplaceAll "\\b" "ab cd" "|""#, "|ab| |cd|");
        check(r#"regexReplaceAll "\\B" "ab cd" "|""#, "a|b c|d");
    }
}
