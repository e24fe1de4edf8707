//! Text of a stranger, made fit for one line of a message or a terminal.

use std::borrow::Cow;

/// `text` with every character escaped that would move the cursor, change colours, break the line
/// or turn the direction of writing.
///
/// ```
/// use tagwright::printable::printable;
///
/// assert_eq!(printable("1.4.2"), "1.4.2");
/// assert_eq!(printable("1.4\n\u{1b}[31mred"), "1.4\\n\\u{1b}[31mred");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_hostile(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Control characters, line separators, and the marks that hide or turn text (Trojan Source).
fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_fool_a_reader_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(printable(text), expected);
        check(
            "registry.test/acme/web:1.5.0",
            "registry.test/acme/web:1.5.0",
        );
        check("café ✔ →", "café ✔ →");
        check("a\r\nb", "a\\r\\nb");
        check("a\u{202e}b", "a\\u{202e}b");
        check("\u{9b}31m", "\\u{9b}31m");
    }
}
