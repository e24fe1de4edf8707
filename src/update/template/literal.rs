//! Literals: numbers, characters and texts as Go writes them.

use super::tree::Term;

/// The number that `text` stands for.
pub(super) fn number(text: &str) -> Result<Term, String> {
    let bad = || format!("bad number syntax: {text:?}");
    let digits = text.replace('_', "");
    let (negative, unsigned) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let (radix, body) = based(unsigned);
    if body.is_empty() || !body.starts_with(|first: char| first.is_ascii_hexdigit() || first == '.')
    {
        return Err(bad());
    }
    if let Ok(magnitude) = i128::from_str_radix(body, radix) {
        let signed = if negative { -magnitude } else { magnitude };
        return i64::try_from(signed)
            .map(Term::Int)
            .map_err(|_| format!("integer overflow: {text:?}"));
    }
    let is_whole = body.bytes().all(|byte| byte.is_ascii_digit());
    if is_whole {
        return Err(format!("integer overflow: {text:?}"));
    }
    let written = unsigned
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    match unsigned.parse::<f64>() {
        Ok(value) if written && value.is_finite() => {
            Ok(Term::Float(if negative { -value } else { value }))
        }
        _ => Err(bad()),
    }
}

/// The base that the prefix of a number names, and what follows the prefix.
fn based(unsigned: &str) -> (u32, &str) {
    let rest = unsigned.get(1..).unwrap_or_default();
    match (unsigned.as_bytes().first(), rest.as_bytes().first()) {
        (Some(b'0'), Some(b'x' | b'X')) => (16, rest.get(1..).unwrap_or_default()),
        (Some(b'0'), Some(b'o' | b'O')) => (8, rest.get(1..).unwrap_or_default()),
        (Some(b'0'), Some(b'b' | b'B')) => (2, rest.get(1..).unwrap_or_default()),
        (Some(b'0'), Some(_)) if rest.bytes().all(|byte| byte.is_ascii_digit()) => (8, rest),
        _ => (10, unsigned),
    }
}

/// The character that `text`, quotes included, stands for; a number, as in Go.
pub(super) fn character(text: &str) -> Option<Term> {
    let body = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let (value, rest) = step(body, '\'')?;
    rest.is_empty().then_some(Term::Int(match value {
        Step::Character(character) => i64::from(u32::from(character)),
        Step::Byte(byte) => i64::from(byte),
    }))
}

/// The text that `text`, double quotes included, stands for.
pub(super) fn unquote(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::new();
    while !rest.is_empty() {
        let (value, after) = step(rest, '"')?;
        rest = after;
        match value {
            Step::Character(character) => {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Step::Byte(byte) => bytes.push(byte),
        }
    }
    // A text here is always UTF-8; bytes that are not become the replacement character.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The text that `text`, backquotes included, stands for: itself, without carriage returns.
pub(super) fn raw(text: &str) -> String {
    text.trim_matches('`').replace('\r', "")
}

enum Step {
    Character(char),
    Byte(u8),
}

/// Takes one character, escaped or not.
fn step(text: &str, quote: char) -> Option<(Step, &str)> {
    let mut characters = text.chars();
    let first = characters.next()?;
    if first == quote || first == '\n' {
        return None;
    }
    if first != '\\' {
        return Some((Step::Character(first), characters.as_str()));
    }
    let letter = characters.next()?;
    let rest = characters.as_str();
    let plain = |character| Some((Step::Character(character), rest));
    match letter {
        'a' => plain('\u{7}'),
        'b' => plain('\u{8}'),
        'f' => plain('\u{c}'),
        'n' => plain('\n'),
        'r' => plain('\r'),
        't' => plain('\t'),
        'v' => plain('\u{b}'),
        '\\' => plain('\\'),
        letter if letter == quote => plain(quote),
        'x' => byte(rest, 16, 2),
        '0'..='7' => byte(text.get(1..)?, 8, 3),
        'u' => code_point(rest, 4),
        'U' => code_point(rest, 8),
        _ => None,
    }
}

fn byte(text: &str, radix: u32, length: usize) -> Option<(Step, &str)> {
    let value = digits(text, radix, length)?;
    let byte = u8::try_from(value).ok()?;
    Some((Step::Byte(byte), text.get(length..)?))
}

fn code_point(text: &str, length: usize) -> Option<(Step, &str)> {
    let value = digits(text, 16, length)?;
    Some((Step::Character(char::from_u32(value)?), text.get(length..)?))
}

fn digits(text: &str, radix: u32, length: usize) -> Option<u32> {
    let digits = text.get(..length)?;
    let are_digits = digits.chars().all(|digit| digit.is_digit(radix));
    are_digits.then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_number(text: &str, expected: Option<&str>) {
        let found = number(text).ok().map(|term| match term {
            Term::Int(value) => format!("int {value}"),
            Term::Float(value) => format!("float {value}"),
            _ => "other".to_owned(),
        });
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn numbers_read_as_in_go() {
        check_number("42", Some("int 42"));
        check_number("-3", Some("int -3"));
        check_number("+3", Some("int 3"));
        check_number("0x1F", Some("int 31"));
        check_number("0b101", Some("int 5"));
        check_number("0o17", Some("int 15"));
        check_number("017", Some("int 15"));
        check_number("1_000", Some("int 1000"));
        check_number("0", Some("int 0"));
        check_number("1.5", Some("float 1.5"));
        check_number("1e3", Some("float 1000"));
        check_number(".5", Some("float 0.5"));
        check_number("-1.5e-2", Some("float -0.015"));
        check_number("9223372036854775807", Some("int 9223372036854775807"));
        check_number("-9223372036854775808", Some("int -9223372036854775808"));
        check_number("9223372036854775808", None);
        check_number("08", None);
        check_number("1e999", None);
        check_number("1x", None);
        check_number("1+2i", None);
        check_number("-", None);
        check_number("--1", None);
        check_number("0x", None);
        check_number("0x-1", None);
    }

    fn check_text(text: &str, expected: Option<&str>) {
        assert_eq!(unquote(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn quoted_texts_read_as_in_go() {
        check_text(r#""a\tb""#, Some("a\tb"));
        check_text(r#""\x41\101\u00e9\U0001F600""#, Some("AAé😀"));
        check_text(r#""\xc3\xa9""#, Some("é"));
        check_text(r#""\xff""#, Some("\u{fffd}"));
        check_text(r#""\"\\""#, Some("\"\\"));
        check_text(r#""\'""#, None);
        check_text(r#""\z""#, None);
        check_text(r#""\x4""#, None);
        check_text(r#""\ud800""#, None);
        check_text(r#""\400""#, None);
    }
}
