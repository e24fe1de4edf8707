//! Character classes.

use std::fmt::Write as _;

use regex::bytes::Regex;

use super::{problem::PatternProblem, source::Source, translate::Trouble};

/// Reads a class in brackets.
pub(super) fn class(source: &mut Source<'_>) -> Result<String, Trouble> {
    let start = source.at;
    source.at += 1;
    let mut members = Members::default();
    let negated = source.eat("^");
    let mut first = true;
    while first || source.peek() != Some(']') {
        first = false;
        members.read(source, start)?;
    }
    source.at += 1;
    let caret = if negated { "^" } else { "" };
    let class = format!("[{caret}{}]", members.text);
    Ok(if members.unicode {
        format!("(?u:{class})")
    } else {
        class
    })
}

/// Reads `\d`, `\D`, `\s`, `\S`, `\w` or `\W`; all of them are ASCII in Go.
pub(super) fn perl(source: &mut Source<'_>) -> Option<String> {
    let (negation, members) = match source.rest().as_bytes() {
        [b'\\', b'd', ..] => ("", "0-9"),
        [b'\\', b'D', ..] => ("^", "0-9"),
        [b'\\', b's', ..] => ("", "\\t\\n\\x0C\\r\\x20"),
        [b'\\', b'S', ..] => ("^", "\\t\\n\\x0C\\r\\x20"),
        [b'\\', b'w', ..] => ("", "0-9A-Za-z_"),
        [b'\\', b'W', ..] => ("^", "0-9A-Za-z_"),
        _ => return None,
    };
    source.at += 2;
    Some(format!("[{negation}{members}]"))
}

/// Reads `\pL`, `\p{Greek}`, `\P{^Lu}` and the like; the answer needs Unicode switched on.
pub(super) fn unicode(source: &mut Source<'_>) -> Result<Option<String>, Trouble> {
    let start = source.at;
    let mut negated = match source.rest().as_bytes() {
        [b'\\', b'p', ..] => false,
        [b'\\', b'P', ..] => true,
        _ => return Ok(None),
    };
    source.at += 2;
    let unknown = |end: usize| (PatternProblem::UnicodeClass, start..end);
    let mut name = if source.eat("{") {
        let Some((name, _)) = source.rest().split_once('}') else {
            return Err(unknown(source.text.len()));
        };
        source.at += name.len() + 1;
        name
    } else {
        let from = source.at;
        source.next().ok_or(unknown(from))?;
        &source.text[from..source.at]
    };
    if let Some(rest) = name.strip_prefix('^') {
        negated = !negated;
        name = rest;
    }
    let property = property(name).ok_or(unknown(source.at))?;
    let letter = if negated { 'P' } else { 'p' };
    Ok(Some(format!("\\{letter}{{{property}}}")))
}

/// The crate's spelling of a category or script; Go knows no other properties and no short names
/// of scripts, of which each has four letters.
fn property(name: &str) -> Option<String> {
    const SHORT_SCRIPTS: [&str; 9] = [
        "ahom", "cham", "kawi", "lisu", "miao", "modi", "newa", "thai", "toto",
    ];
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || " _-".contains(letter);
    if name.is_empty() || !name.chars().all(in_name) {
        return None;
    }
    let plain = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    if matches!(plain.as_str(), "any" | "ascii" | "assigned") {
        return Some(plain);
    }
    let is_known = |property: &str| Regex::new(&format!("\\p{{{property}}}")).is_ok();
    let category = format!("gc={plain}");
    if is_known(&category) {
        return Some(category);
    }
    let script = format!("sc={plain}");
    let is_short = plain.len() == 4 && !SHORT_SCRIPTS.contains(&plain.as_str());
    (!is_short && is_known(&script)).then_some(script)
}

/// What stands between the brackets, in the crate's writing.
#[derive(Default)]
struct Members {
    text: String,
    unicode: bool,
}

impl Members {
    fn read(&mut self, source: &mut Source<'_>, start: usize) -> Result<(), Trouble> {
        if let Some(name) = posix(source)? {
            self.text.push_str(name);
        } else if let Some(members) = unicode(source)? {
            self.unicode = true;
            self.text.push_str(&members);
        } else if let Some(members) = perl(source) {
            self.text.push_str(&members);
        } else {
            self.range(source, start)?;
        }
        Ok(())
    }

    fn range(&mut self, source: &mut Source<'_>, start: usize) -> Result<(), Trouble> {
        let from = source.at;
        let low = member(source, start)?;
        let rest = source.rest();
        let high = if rest.len() >= 2 && rest.starts_with('-') && !rest.starts_with("-]") {
            source.at += 1;
            member(source, start)?
        } else {
            low
        };
        if high < low {
            return Err((PatternProblem::ClassRange, from..source.at));
        }
        self.push(low, high);
        Ok(())
    }

    fn push(&mut self, low: u32, high: u32) {
        // Half a surrogate pair is in no text, so a range may as well end beside the surrogates.
        let low = if (0xD800..0xE000).contains(&low) {
            0xE000
        } else {
            low
        };
        let high = if (0xD800..0xE000).contains(&high) {
            0xD7FF
        } else {
            high
        };
        if high < low {
            // Only surrogates: a member that no tag holds.
            self.text.push_str("\\x00");
            return;
        }
        self.unicode |= high > 0x7F;
        let _ = write!(self.text, "\\x{{{low:X}}}");
        if high > low {
            let _ = write!(self.text, "-\\x{{{high:X}}}");
        }
    }
}

/// Reads one character of a class that began at `start`.
fn member(source: &mut Source<'_>, start: usize) -> Result<u32, Trouble> {
    match source.peek() {
        None => Err((PatternProblem::MissingBracket, start..source.text.len())),
        Some('\\') => source.escape(),
        Some(plain) => {
            source.at += plain.len_utf8();
            Ok(u32::from(plain))
        }
    }
}

/// Reads `[:alpha:]`, `[:^alpha:]` and the like.
fn posix<'p>(source: &mut Source<'p>) -> Result<Option<&'p str>, Trouble> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
        "space", "upper", "word", "xdigit",
    ];
    let rest = source.rest();
    if rest.len() < 3 || !rest.starts_with("[:") {
        return Ok(None);
    }
    let Some((name, _)) = rest[2..].split_once(":]") else {
        return Ok(None);
    };
    let start = source.at;
    let end = start + name.len() + 4;
    if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Err((PatternProblem::ClassRange, start..end));
    }
    source.at = end;
    Ok(source.text.get(start..end))
}
