//! Text of strangers inside Markdown.

use crate::printable::printable;

/// `text` as words of a table cell or a paragraph: nothing in it is Markdown, HTML, a mention or a
/// reference to an issue.
///
/// ```
/// use tagwright::update::forge::markdown::escape;
///
/// assert_eq!(escape("1.5.0"), "1.5.0");
/// assert_eq!(escape("<img>@team #1"), "&lt;img&gt;&#64;team &#35;1");
/// ```
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in printable(text).chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            // An entity is no mention, no issue, no emphasis and no column, on any forge.
            '@' | '#' | '!' | '|' | '`' | '*' | '_' | '~' | '[' | ']' | '\\' | '$' | '{' | '}' => {
                escaped.push_str(&format!("&#{};", u32::from(character)));
            }
            _ => escaped.push(character),
        }
    }
    // A bare address would become a link.
    escaped
        .replace("://", "&#58;//")
        .replace("www.", "www&#46;")
}

/// `text` as a code span that nothing in it can leave, in a table cell too.
///
/// ```
/// use tagwright::update::forge::markdown::code;
///
/// assert_eq!(code("1.5.0"), "`1.5.0`");
/// assert_eq!(code("a`b"), "<code>a&#96;b</code>");
/// ```
pub fn code(text: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-._:/+ ".contains(it);
    if !text.is_empty() && text.trim() == text && text.chars().all(is_plain) {
        format!("`{text}`")
    } else {
        format!("<code>{}</code>", escape(text))
    }
}

/// A link, if `address` is a web address and nothing but that; else the words alone.
pub fn link(words: &str, address: &str) -> String {
    let is_web = address.starts_with("https://") || address.starts_with("http://");
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-._~:/?#@%+=&,".contains(it);
    match url::Url::parse(address) {
        Ok(url) if is_web && url.username().is_empty() && address.chars().all(is_plain) => {
            format!("[{}]({address})", escape(words))
        }
        _ => escape(words),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_hostile_comes_through(text in "(?s).{0,60}") {
            for shown in [escape(&text), code(&text)] {
                let inside = shown.strip_prefix("<code>").and_then(|it| it.strip_suffix("</code>"));
                let inside = inside.unwrap_or(&shown);
                let is_span = shown.starts_with('`');
                prop_assert!(!inside.contains(['<', '>', '@', '|', '\n', '\r', '*', '[', ']']), "{}", shown);
                prop_assert_eq!(inside.matches('`').count(), if is_span { 2 } else { 0 });
            }
        }

        #[test]
        fn a_link_ends_where_it_should(words in ".{0,30}", address in "https?://[ -~]{0,40}") {
            let shown = link(&words, &address);
            prop_assert!(shown.matches("](").count() <= 1);
            prop_assert!(!shown.contains(['<', '>', '\n', '"']));
        }
    }

    #[test]
    fn only_web_addresses_become_links() {
        let check = |address: &str, expected: &str| assert_eq!(link("source", address), expected);
        check("https://a.test/x?y=1", "[source](https://a.test/x?y=1)");
        check("javascript:alert(1)", "source");
        check("https://a.test/)[x](https://evil.test", "source");
        check("https://user@a.test/", "source");
    }
}
