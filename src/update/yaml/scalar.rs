//! Scalars: which bytes of one can be replaced, how a new one is written, and what readers make of it.

use std::{fmt::Write, ops::Range, sync::LazyLock};

use granit_parser::Tag;
use regex::RegexSet;

use super::{
    Style,
    tree::{Content, Node, Tree},
};

/// A scalar whose bytes can be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// The node in its tree.
    pub(super) node: usize,
    /// The bytes, from the opening quote or the block's header to the last character.
    pub(super) span: Range<usize>,
    /// How it is written.
    pub(super) style: Style,
    /// The bytes as they stand.
    pub(super) written: &'a str,
    in_flow: bool,
    /// Where a block's header and a block's text stand in `written`.
    block: Option<(Range<usize>, Range<usize>)>,
}

impl<'a> Target<'a> {
    /// Returns what is to be replaced of the scalar `node`, or why it cannot be.
    pub(super) fn find(tree: &Tree<'a>, number: usize, node: &Node<'a>) -> Result<Self, String> {
        let Content::Scalar { text, style } = &node.content else {
            return Err("it is not a scalar".to_owned());
        };
        if let Some(tag) = node.tag.as_deref().filter(|tag| !keeps_strings(tag)) {
            return Err(format!(
                "its tag `{}` says that it is no string",
                tag.original()
            ));
        }
        let whole = tree
            .text
            .get(node.span.clone())
            .ok_or("its place is unknown")?;
        let in_flow = tree.is_in_flow(node);
        let target = |span: Range<usize>, block| {
            let written = tree.text.get(span.clone()).ok_or("its place is unknown")?;
            Ok(Self {
                node: number,
                span,
                style: *style,
                written,
                in_flow,
                block,
            })
        };
        if !matches!(style, Style::Literal | Style::Folded) {
            if whole.contains(['\n', '\r']) {
                return Err("it runs over several lines".to_owned());
            }
            return target(node.span.clone(), None);
        }
        let line_end = whole.find(['\n', '\r']).unwrap_or(whole.len());
        let (line, rest) = whole.split_at(line_end);
        if line != text.trim_end_matches('\n') || line.is_empty() || !rest.trim().is_empty() {
            return Err("its block has more than one line".to_owned());
        }
        let header = header_before(tree, node.span.start).ok_or("its header is unclear")?;
        let start = header.start;
        let text = node.span.start - start..node.span.start + line_end - start;
        target(
            start..node.span.start + line_end,
            Some((0..header.len(), text)),
        )
    }

    /// Returns the bytes that say `new` in this place, or why none do.
    pub(super) fn write(&self, new: &str) -> Result<String, &'static str> {
        match &self.block {
            Some((header, text)) => self.write_block(header, text, new),
            None => Ok(match self.style {
                Style::Plain if is_plain(new, self.in_flow) && reads_as_string(new) => {
                    new.to_owned()
                }
                Style::Single if new.chars().all(is_printable) => {
                    format!("'{}'", new.replace('\'', "''"))
                }
                _ => in_double_quotes(new),
            }),
        }
    }

    /// The header gets the chomping mark `-`, for otherwise the value would end in a line break.
    fn write_block(
        &self,
        header: &Range<usize>,
        text: &Range<usize>,
        new: &str,
    ) -> Result<String, &'static str> {
        if new.is_empty() || new.starts_with([' ', '\t']) || !new.chars().all(is_printable) {
            return Err("a block cannot say this value on one line");
        }
        let part = |range: Range<usize>| self.written.get(range).ok_or("its place is unknown");
        let mut indicators = part(header.clone())?.replace('+', "-");
        if !indicators.contains('-') {
            indicators.push('-');
        }
        Ok(format!(
            "{indicators}{}{new}",
            part(header.end..text.start)?
        ))
    }
}

/// Whether a scalar with this tag stays a string when its text changes.
///
/// A local tag such as `!Ref` is somebody else's business and is left alone.
fn keeps_strings(tag: &Tag) -> bool {
    tag.suffix_in_namespace("tag:yaml.org,2002:")
        .is_none_or(|name| name == "str")
}

/// Finds `|`, `>2-` and the like on the last line with text before `start`.
pub(super) fn header_before(tree: &Tree<'_>, start: usize) -> Option<Range<usize>> {
    let before = tree.text.get(..start)?.trim_end();
    let line_start = before.rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let comment = tree
        .comments
        .partition_point(|comment| comment.span.start < line_start);
    let line_end = match tree.comments.get(comment) {
        Some(comment) => comment.span.start.min(before.len()),
        None => before.len(),
    };
    let line = tree.text.get(line_start..line_end)?.trim_end();
    let indicator =
        line.trim_end_matches(|character: char| matches!(character, '+' | '-' | '1'..='9'));
    let at = indicator.strip_suffix(['|', '>'])?.len();
    Some(line_start + at..line_start + line.len())
}

/// Whether `text` can stand without quotes and still be the same text.
pub(super) fn is_plain(text: &str, in_flow: bool) -> bool {
    let mut characters = text.chars();
    let Some(first) = characters.next() else {
        return false;
    };
    let second = characters.next();
    let opens = match first {
        '-' | '?' | ':' => {
            second.is_some_and(|next| !next.is_whitespace() && !"-,[]{}".contains(next))
        }
        _ => !"#,[]{}&*!|>'\"%@`".contains(first),
    };
    opens
        && text.chars().all(is_printable)
        && text.trim() == text
        && !text.contains('\t')
        && !text.starts_with("...")
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !(in_flow && text.contains([',', '[', ']', '{', '}']))
}

fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}'
        )
}

pub(super) fn in_double_quotes(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ if is_printable(character) => quoted.push(character),
            _ => {
                // Everything that is not printable lies below U+10000.
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Whether readers of YAML 1.1 and of YAML 1.2 both take the unquoted `text` for a string.
///
/// The patterns are those of the two specifications, widened by what readers in use accept
/// besides: two signs, an exponent without one, a month or a day of one digit. `12e4567` is a git
/// commit to its author and infinity to a reader.
pub(super) fn reads_as_string(text: &str) -> bool {
    !text.is_empty() && !OTHER_IN_1_1.is_match(text) && !OTHER_IN_1_2.is_match(text)
}

static OTHER_IN_1_1: LazyLock<RegexSet> = LazyLock::new(|| {
    patterns(&[
        r"~|null|Null|NULL|=|<<",
        r"y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
        r"[-+]*(0b[01_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)",
        r"[-+]*[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?",
        r"[-+]*(\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9_]+)?",
        r"[-+]*\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?",
    ])
});

static OTHER_IN_1_2: LazyLock<RegexSet> = LazyLock::new(|| {
    patterns(&[
        r"~|null|Null|NULL",
        r"true|True|TRUE|false|False|FALSE",
        r"[-+]*([0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)",
        r"[-+]*(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
        r"[-+]*\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    ])
});

fn patterns(patterns: &[&str]) -> RegexSet {
    RegexSet::new(patterns.iter().map(|pattern| format!("^(?:{pattern})$")))
        .expect("the patterns are constants, and the tests below use every one of them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use yaml_rust2::{Yaml, YamlLoader};

    fn check(text: &str, is_string: bool) {
        assert_eq!(reads_as_string(text), is_string, "{text}");
        // A second opinion: what an independent YAML 1.2 reader makes of the plain text.
        if is_string {
            let read = YamlLoader::load_from_str(&format!("a: {text}\n")).unwrap();
            assert_eq!(read[0]["a"], Yaml::String(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn knows_what_readers_take_for_something_else() {
        for text in [
            "",
            "~",
            "null",
            "Null",
            "NULL",
            "y",
            "Y",
            "yes",
            "No",
            "ON",
            "Off",
            "true",
            "False",
            "1",
            "123",
            "0123",
            "-7",
            "+7",
            "+-0",
            "1_000",
            "0x1F",
            "0o17",
            "0b101",
            "1.0",
            "1.10",
            ".5",
            "1.",
            "1e5",
            "1e+5",
            "1.5E-3",
            "12e4567",
            "270287054e120918",
            "12:30",
            "1:30:00",
            "190:20:30.15",
            ".inf",
            "-.INF",
            ".nan",
            "2024-01-01",
            "2024-1-1",
            "2024-01-01T10:00:00Z",
            "2024-01-01 10:00:00",
            "=",
            "<<",
            "1_000.5",
            "0_1",
        ] {
            check(text, false);
        }
        for text in [
            "v1",
            "1.4.2",
            "latest",
            "ghcr.io/acme/web:1.4.2",
            "web:30",
            "a12e4567",
            "12e4567f",
            "2024-01-01-abc",
            "20240101-1",
            "0x",
            "1-2",
            "yess",
            "nil",
            "1.2.3e4",
            "x:12:30",
            "12:75",
            "1.4-rc.1",
            "main-12e4567",
            "v1e5",
            "1.4.2_1",
            "sha256:abc",
        ] {
            check(text, true);
        }
    }

    fn check_plain(text: &str, in_block: bool, in_flow: bool) {
        assert_eq!(is_plain(text, false), in_block, "{text}");
        assert_eq!(is_plain(text, true), in_flow, "{text} in flow");
    }

    #[test]
    fn knows_what_can_stand_without_quotes() {
        check_plain("ghcr.io/acme/web:1.4.2", true, true);
        check_plain("[::1]:5000/web", false, false);
        check_plain("a[1]", true, false);
        check_plain("a, b", true, false);
        check_plain("a b", true, true);
        check_plain("a: b", false, false);
        check_plain("a:", false, false);
        check_plain("a #b", false, false);
        check_plain("a#b", true, true);
        check_plain("-a", true, true);
        check_plain("- a", false, false);
        check_plain("---", false, false);
        check_plain("...", false, false);
        check_plain("#a", false, false);
        check_plain("@a", false, false);
        check_plain(" a", false, false);
        check_plain("a ", false, false);
        check_plain("a\nb", false, false);
        check_plain("\u{FEFF}a", false, false);
        check_plain("é😀", true, true);
        check_plain("", false, false);
    }

    #[test]
    fn double_quotes_escape_what_must_be_escaped() {
        assert_eq!(in_double_quotes("a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(
            in_double_quotes("a\nb\t\u{1}\u{85}"),
            r#""a\nb\t\u0001\u0085""#
        );
        assert_eq!(in_double_quotes("é😀"), "\"é😀\"");
    }
}
