//! Whether a text repeats a secret, in any of the forms in which servers repeat what they were sent.

use std::fmt::Write as _;

use base64::{
    Engine as _,
    alphabet::{Alphabet, STANDARD, URL_SAFE},
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};
use zeroize::Zeroizing;

/// How much of a secret's beginning is looked for: a text that was cut holds no more of a long one.
const BEGINNING: usize = 16;
/// The shortest part of a secret that is no accident.
const LEAST: usize = 4;

/// Whether `text` holds the beginning of `secret`: as it is, wrapped into lines, in UTF-16, escaped
/// for JSON, HTML or a URL, in hexadecimal, or in base64 at any place of a longer text.
pub(super) fn repeats(text: &str, secret: &str) -> bool {
    let bare = |text: &str| -> String {
        let visible = |it: &char| !it.is_whitespace() && *it != '\0';
        text.chars().filter(visible).collect()
    };
    let secret = Zeroizing::new(bare(secret));
    let end = secret.char_indices().nth(BEGINNING);
    let secret = &secret[..end.map_or(secret.len(), |(at, _)| at)];
    if secret.len() < LEAST {
        return false;
    }
    let text = bare(text);
    if text.contains(secret) {
        return true;
    }
    let folded = text.to_ascii_lowercase();
    let escaped = escapes(secret);
    let in_base64 = [STANDARD, URL_SAFE].into_iter().flat_map(|alphabet| {
        (0..3).map(move |shift| Zeroizing::new(base64_after(shift, secret.as_bytes(), &alphabet)))
    });
    escaped.iter().any(|it| folded.contains(it.as_str()))
        || in_base64
            .filter(|it| it.len() >= LEAST)
            .any(|it| text.contains(it.as_str()))
}

/// The forms in which case does not matter, in lower case.
fn escapes(secret: &str) -> [Zeroizing<String>; 4] {
    let mut hex = String::new();
    for byte in secret.bytes() {
        let _ = write!(hex, "{byte:02x}");
    }
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_matches('"').to_owned();
    let mut html = String::new();
    for letter in secret.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&#34;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    [hex, percent, json, html].map(|it| Zeroizing::new(it.to_ascii_lowercase()))
}

/// What base64 makes of `secret` after `shift` other bytes, without the letters that depend on what
/// stands before and behind it.
fn base64_after(shift: usize, secret: &[u8], alphabet: &Alphabet) -> String {
    let mut bytes = Zeroizing::new(vec![0; shift]);
    bytes.extend_from_slice(secret);
    let encoded = GeneralPurpose::new(alphabet, NO_PAD).encode(bytes.as_slice());
    let first = (shift * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    encoded.get(first..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, secret: &str, expected: bool) {
        assert_eq!(repeats(text, secret), expected, "`{secret}` in `{text}`");
    }

    #[test]
    fn c27_a_secret_is_recognised_in_every_dress() {
        const SECRET: &str = "s3<cr&t/\"canary'+4711";
        check("bad password s3<cr&t/\"canary'+4711!", SECRET, true);
        check("bad s3<cr&t/\n  \"canary\n'+47", SECRET, true);
        check("s3%3Ccr%26t%2F%22canary%27%2B4711", SECRET, true);
        check("s3%3ccr%26t%2f%22canary%27%2b4711", SECRET, true);
        check(r#"{"message": "s3<cr&t/\"canary'+4711"}"#, SECRET, true);
        check("<p>s3&lt;cr&amp;t/&#34;canary&#39;+4711", SECRET, true);
        check("73333c637226742f2263616e617279272b34373131", SECRET, true);
        check("73333C637226742F2263616E617279272B", SECRET, true);
        let wide: String = SECRET.chars().flat_map(|it| [it, '\0']).collect();
        check(&wide, SECRET, true);
        for before in ["", "b", "bo", "bot:", "user:"] {
            let pair = format!("{before}{SECRET} and more");
            check(&BASE64_STANDARD.encode(&pair), SECRET, true);
            check(&BASE64_URL_SAFE_NO_PAD.encode(&pair), SECRET, true);
        }
        check("denied", SECRET, false);
        check("the password of bot is wrong", SECRET, false);
        check("anything", "", false);
        check("sha256:6162", "ab", false);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_secret_is_in_its_own_echo(
            before in "\\PC{0,9}",
            secret in "\\PC{1,40}",
            after in "\\PC{0,9}",
        ) {
            let visible = secret.chars().filter(|it| !it.is_whitespace());
            let is_there = visible.map(char::len_utf8).sum::<usize>() >= LEAST;
            let echo = format!("{before}{secret}{after}");
            prop_assert_eq!(repeats(&echo, &secret), is_there);
            let encoded = BASE64_STANDARD.encode(&echo);
            let beginning = secret.chars().filter(|it| !it.is_whitespace()).take(BEGINNING);
            let is_plain = secret.chars().take(BEGINNING).all(|it| !it.is_whitespace());
            if is_plain && beginning.map(char::len_utf8).sum::<usize>() > LEAST {
                prop_assert!(repeats(&encoded, &secret));
            }
        }
    }
}
