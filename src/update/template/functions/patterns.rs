//! Regular expressions, with Go's syntax and Go's ASCII classes.

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
/// How many bytes a compiled pattern may take.
const COMPILED_BYTES: usize = 256 * 1024;

/// Compiles the first argument, once for each pattern of a rendering.
fn pattern(call: &mut Call<'_>) -> Result<Regex, Fault> {
    let source = call.text(0)?;
    if let Some(pattern) = call.meter.patterns.get(&*source) {
        return Ok(pattern.clone());
    }
    if source.len() > PATTERN_BYTES {
        return Err(failed(format!(
            "a pattern has at most {PATTERN_BYTES} bytes"
        )));
    }
    call.meter.spend(100 + 8 * source.len())?;
    let pattern = RegexBuilder::new(&translated(&source))
        .octal(true)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            failed(format!("regexp: `{source}`: {}", reason.trim()))
        })?;
    call.meter
        .patterns
        .insert(source.to_string(), pattern.clone());
    Ok(pattern)
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

fn subject(call: &mut Call<'_>) -> Result<std::sync::Arc<str>, Fault> {
    let text = call.text(1)?;
    // Searching looks at each byte more than once.
    call.meter.spend_text(4 * text.len())?;
    Ok(text)
}

fn matches(call: &mut Call<'_>) -> Outcome {
    let (pattern, text) = (pattern(call)?, subject(call)?);
    Ok(Value::Bool(pattern.is_match(&text)))
}

fn find(call: &mut Call<'_>) -> Outcome {
    let (pattern, text) = (pattern(call)?, subject(call)?);
    call.give(pattern.find(&text).map_or("", |found| found.as_str()))
}

fn most(call: &Call<'_>) -> Result<usize, Fault> {
    Ok(usize::try_from(call.whole(2)?).unwrap_or(usize::MAX))
}

fn find_all(call: &mut Call<'_>) -> Outcome {
    let (pattern, text, most) = (pattern(call)?, subject(call)?, most(call)?);
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
    let (pattern, text, new) = (pattern(call)?, subject(call)?, call.text(2)?);
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
    let (pattern, text, most) = (pattern(call)?, subject(call)?, most(call)?);
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
