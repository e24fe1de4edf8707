//! Words: their case, their initials, and lines of them.

use super::{
    super::limits::{Bounded, Fault},
    Call, Function, Outcome,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("title", 1, 1, |call| each(call, title)),
    Function::new("untitle", 1, 1, |call| each(call, untitle)),
    Function::new("swapcase", 1, 1, |call| each(call, swap_case)),
    Function::new("initials", 1, 1, |call| each(call, initials)),
    Function::new("camelcase", 1, 1, |call| each(call, camel)),
    Function::new("snakecase", 1, 1, |call| {
        each(call, |text| separated(text, '_'))
    }),
    Function::new("kebabcase", 1, 1, |call| {
        each(call, |text| separated(text, '-'))
    }),
    Function::new("wrap", 2, 2, |call| {
        let text = wrap(&call.text(1)?, call.count(0)?, "\n", Long::Stays)?;
        call.give(text)
    }),
    Function::new("wrapWith", 3, 3, |call| {
        let line_end = call.text(1)?;
        let line_end = if line_end.is_empty() { "\n" } else { &line_end };
        let text = wrap(&call.text(2)?, call.count(0)?, line_end, Long::IsCut)?;
        call.give(text)
    }),
];

fn each(call: &mut Call<'_>, change: fn(&str) -> String) -> Outcome {
    let text = call.text(0)?;
    call.give(change(&text))
}

/// Raises the first letter of each word; a word is letters, digits and underscores.
fn title(text: &str) -> String {
    let mut previous = ' ';
    let mut titled = String::with_capacity(text.len());
    for character in text.chars() {
        let in_word = previous == '_'
            || previous.is_alphanumeric()
            || !(previous.is_ascii() || previous.is_whitespace());
        if in_word {
            titled.push(character);
        } else {
            titled.push(raised(character));
        }
        previous = character;
    }
    titled
}

/// Lowers the first letter of each word; a word is what stands between spaces.
fn untitle(text: &str) -> String {
    let mut starts = true;
    let mut changed = String::with_capacity(text.len());
    for character in text.chars() {
        if starts && !character.is_whitespace() {
            changed.push(lowered(character));
        } else {
            changed.push(character);
        }
        starts = character.is_whitespace();
    }
    changed
}

fn swap_case(text: &str) -> String {
    let swap = |character: char| {
        if character.is_uppercase() {
            lowered(character)
        } else {
            raised(character)
        }
    };
    text.chars().map(swap).collect()
}

fn initials(text: &str) -> String {
    text.split_whitespace()
        .filter_map(|word| word.chars().next())
        .collect()
}

/// `image_update` becomes `ImageUpdate`; separators at the start stay, and so does every second of
/// a run.
fn camel(text: &str) -> String {
    let start = text.find(|character| !is_separator(character));
    let (leading, rest) = text.split_at(start.unwrap_or(text.len()));
    let mut camel = leading.to_owned();
    let mut characters = rest.chars();
    let Some(mut pending) = characters.next() else {
        // Where there is nothing but separators, Go writes the last one twice.
        camel.extend(leading.chars().next_back());
        return camel;
    };
    pending = raised(pending);
    for character in characters {
        match (is_separator(pending), is_separator(character)) {
            (true, true) => {
                camel.push(pending);
                pending = character;
            }
            (true, false) => pending = raised(character),
            (false, _) => {
                camel.push(pending);
                pending = lowered(character);
            }
        }
    }
    camel.push(pending);
    camel
}

/// The upper-case letter, where it is a single one: Go leaves `ß` as it is.
pub(super) fn raised(character: char) -> char {
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) => upper,
        _ => character,
    }
}

/// The lower-case letter, whatever stands around it.
pub(super) fn lowered(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

fn is_separator(character: char) -> bool {
    matches!(character, '-' | '_') || character.is_whitespace()
}

/// What a run of characters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Number,
    /// Begins with an upper-case letter.
    Upper,
    /// Lower-case letters.
    Lower,
    Separator,
    Punctuation,
    Other,
    /// Nothing is left.
    End,
}

/// `HTTPServer` becomes `http_server`, `http2xx` `http_2xx` and `Bld4Floor` `bld4_floor`.
fn separated(text: &str, mark: char) -> String {
    let runs = runs(text);
    let at = |index: usize| runs.get(index).copied().unwrap_or((Run::End, ""));
    let joins = |kind| matches!(kind, Run::End | Run::Separator | Run::Punctuation);
    let in_number = |kind| matches!(kind, Run::Number | Run::Lower);
    let mut out = String::with_capacity(text.len());
    let mut index = 0;
    while index + 1 < runs.len() {
        let (kind, word) = at(index);
        push_lower(&mut out, kind, word, mark);
        index += 1;
        match kind {
            Run::Separator | Run::Punctuation => {}
            Run::Number => {
                while in_number(at(index).0) {
                    push_lower(&mut out, at(index).0, at(index).1, mark);
                    index += 1;
                }
                if !joins(at(index).0) {
                    out.push(mark);
                }
            }
            _ if at(index).0 != Run::Number => {
                if !matches!(at(index).0, Run::Separator | Run::Punctuation) {
                    out.push(mark);
                }
            }
            // A number that ends the text belongs to the word before it.
            _ if index + 1 >= runs.len() => {}
            _ => {
                let digits = at(index).1;
                index += 1;
                if at(index).0 == Run::Lower {
                    // Letters that follow the number belong to it, and it stands for itself.
                    out.push(mark);
                    out.push_str(digits);
                    while in_number(at(index).0) {
                        push_lower(&mut out, at(index).0, at(index).1, mark);
                        index += 1;
                    }
                } else {
                    out.push_str(digits);
                }
                if !joins(at(index).0) {
                    out.push(mark);
                }
            }
        }
    }
    let (kind, word) = at(index);
    push_lower(&mut out, kind, word, mark);
    out
}

fn push_lower(out: &mut String, kind: Run, word: &str, mark: char) {
    for character in word.chars() {
        match kind {
            Run::Separator => out.push(mark),
            Run::Upper => out.push(lowered(character)),
            _ => out.push(character),
        }
    }
}

/// Splits a text into runs; `HTTPServer` is `HTTP` and `Server`.
fn runs(text: &str) -> Vec<(Run, &str)> {
    let mut runs = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let kind = run_of(first);
        let mut end = match kind {
            Run::Upper => upper_end(rest),
            _ => prefix(rest, |character| run_of(character) == kind),
        };
        end = end.max(first.len_utf8());
        let (word, after) = rest.split_at(end);
        runs.push((kind, word));
        rest = after;
    }
    runs
}

fn run_of(character: char) -> Run {
    match character {
        character if is_separator(character) => Run::Separator,
        '!'..='#'
        | '%'..='*'
        | ','
        | '.'
        | '/'
        | ':'
        | ';'
        | '?'
        | '@'
        | '['
        | '\\'
        | ']'
        | '{'
        | '}' => Run::Punctuation,
        character if character.is_uppercase() => Run::Upper,
        character if is_letter(character) => Run::Lower,
        character if character.is_numeric() => Run::Number,
        _ => Run::Other,
    }
}

/// Letters of scripts that write words with spaces in between.
fn is_letter(character: char) -> bool {
    let is_ideograph = matches!(character, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{2ffff}');
    character.is_alphabetic() && !is_ideograph
}

/// Where a run that begins with an upper-case letter ends.
fn upper_end(text: &str) -> usize {
    let capitals = prefix(text, char::is_uppercase);
    let after = text.get(capitals..).unwrap_or_default();
    let lower = prefix(after, |character| run_of(character) == Run::Lower);
    match text
        .get(..capitals)
        .and_then(|run| run.char_indices().next_back())
    {
        // One capital: the word goes on. Several: the last one begins the next word.
        Some((0, _)) => capitals + lower,
        Some((last, _)) if lower > 0 => last,
        _ => capitals,
    }
}

fn prefix(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|character| !belongs(character))
        .unwrap_or(text.len())
}

/// What becomes of a word that is longer than a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Long {
    Stays,
    IsCut,
}

/// Breaks lines at spaces; widths count bytes, as in Go.
fn wrap(text: &str, width: usize, line_end: &str, long: Long) -> Result<String, Fault> {
    let width = width.max(1);
    let mut wrapped = Bounded::default();
    let mut rest = text;
    while rest.len() > width {
        if let Some(after) = rest.strip_prefix(' ') {
            rest = after;
            continue;
        }
        let head = rest
            .get(..rest.floor_char_boundary(width + 1))
            .unwrap_or_default();
        let (line, after) = if let Some(space) = head.rfind(' ') {
            (head.get(..space), rest.get(space + 1..))
        } else if long == Long::IsCut {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            let end = rest.floor_char_boundary(width).max(first);
            if end == rest.len() {
                break;
            }
            (rest.get(..end), rest.get(end..))
        } else {
            let from = rest.floor_char_boundary(width);
            let space = rest.get(from..).and_then(|tail| tail.find(' '));
            let Some(space) = space else {
                break;
            };
            (rest.get(..from + space), rest.get(from + space + 1..))
        };
        wrapped.push_str(line.unwrap_or_default())?;
        wrapped.push_str(line_end)?;
        rest = after.unwrap_or_default();
    }
    wrapped.push_str(rest)?;
    Ok(wrapped.into_string())
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn the_case_of_words_changes_as_by_sprig() {
        check(
            r#"title "hello wORLD foo-bar o'neil a_b x.y 1a ünter""#,
            "Hello WORLD Foo-Bar O'Neil A_b X.Y 1a Ünter",
        );
        check(r#"untitle "Hello World FOO""#, "hello world fOO");
        check(r#"swapcase "This Is A.Test ÄbC""#, "tHIS iS a.tEST äBc");
        check(r#"initials "First Try second""#, "FTs");
        check(r#"camelcase "some_words""#, "SomeWords");
        check(r#"camelcase "http_server""#, "HttpServer");
        check(r#"camelcase "_complex__case_""#, "_Complex_Case_");
        check(r#"camelcase "FOO_BAR""#, "FooBar");
        check(r#"camelcase "fooBar""#, "Foobar");
        check(r#"camelcase "a--b""#, "A-B");
        check(r#"camelcase "_""#, "__");
        check(r#"camelcase """#, "");
    }

    #[test]
    fn words_are_told_apart() {
        check(r#"snakecase "FirstName""#, "first_name");
        check(r#"snakecase "HTTPServer""#, "http_server");
        check(r#"snakecase "NoHTTPS""#, "no_https");
        check(r#"snakecase "GO_PATH""#, "go_path");
        check(r#"snakecase "GO PATH""#, "go_path");
        check(r#"snakecase "http2xx""#, "http_2xx");
        check(r#"snakecase "HTTP20xOK""#, "http_20x_ok");
        check(r#"snakecase "Duration2m3s""#, "duration_2m3s");
        check(r#"snakecase "Bld4Floor3rd""#, "bld4_floor_3rd");
        check(r#"snakecase "Abc1""#, "abc1");
        check(r#"snakecase "1Abc""#, "1_abc");
        check(r#"snakecase "a1B""#, "a1_b");
        check(r#"snakecase "12-AB""#, "12_ab");
        check(r#"snakecase "AB12CD""#, "ab12_cd");
        check(r#"snakecase "Ab12cdEF""#, "ab_12cd_ef");
        check(r#"snakecase "Foo.Bar""#, "foo.bar");
        check(r#"snakecase "foo--bar""#, "foo__bar");
        check(r#"snakecase "_foo_""#, "_foo_");
        check(r#"snakecase "x+y=Z""#, "x_+_y_=_z");
        check(r#"snakecase "v1.2.3-Rc4""#, "v1.2.3_rc4");
        check(r#"snakecase "日本語Text""#, "日本語_text");
        check(r#"snakecase "ÉcoleNormale""#, "école_normale");
        check(r#"snakecase """#, "");
        check(r#"kebabcase "HTTPServer20xOk""#, "http-server-20x-ok");
        check(r#"kebabcase "some_words here""#, "some-words-here");
    }

    #[test]
    fn lines_are_wrapped_at_spaces() {
        check(
            r#"wrap 10 "This is a long line of text that wraps""#,
            "This is a\nlong line\nof text\nthat wraps",
        );
        check(r#"wrap 5 "aaaaaaaaaa bb cc""#, "aaaaaaaaaa\nbb cc");
        check(r#"wrap 5 "aaaaaaaaaaaa""#, "aaaaaaaaaaaa");
        check(r#"wrap 0 "ab c""#, "ab\nc");
        check(r#"wrap 10 "  a  b   c d e f g h""#, "a  b   c d\ne f g h");
        check(r#"wrap 3 "abc def""#, "abc\ndef");
        check(r#"wrapWith 5 "\t" "Hello World foo""#, "Hello\tWorld\tfoo");
        check(r#"wrapWith 3 "-" "abcdefgh ij""#, "abc-def-gh-ij");
        check(r#"wrapWith 3 "" "abcdefgh ij""#, "abc\ndef\ngh\nij");
    }
}
