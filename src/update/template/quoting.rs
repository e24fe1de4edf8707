//! Go's `strconv.Quote`: texts in quotes, with escapes for what cannot be printed.

/// Whether Go's `strconv` prints a character as it is.
pub(super) fn is_printable(character: char) -> bool {
    // The library's text escape leaves alone what is printable, combining marks included as long
    // as they do not come first.
    let text: String = ['a', character].iter().collect();
    match character {
        '\'' | '"' | '\\' => true,
        _ => text.escape_debug().count() == 2,
    }
}

/// Quotes a text as `%q` does.
pub(super) fn quote(text: &str, mark: char) -> String {
    quote_as(text, mark, is_printable)
}

/// Quotes a text, and escapes each character that does not stay.
pub(super) fn quote_as(text: &str, mark: char, stays: impl Fn(char) -> bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(mark);
    for character in text.chars() {
        match character {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            character if character == mark || character == '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            character if stays(character) => quoted.push(character),
            character => {
                let code = u32::from(character);
                let escape = match code {
                    0..0x20 | 0x7f => format!("\\x{code:02x}"),
                    0..0x1_0000 => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                };
                quoted.push_str(&escape);
            }
        }
    }
    quoted.push(mark);
    quoted
}

/// Whether Go can write a text raw.
pub(super) fn can_stand_in_backquotes(text: &str) -> bool {
    let is_plain = |character: char| {
        character == '\t' || (character >= ' ' && !matches!(character, '`' | '\u{7f}' | '\u{feff}'))
    };
    text.chars().all(is_plain)
}
