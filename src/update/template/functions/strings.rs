//! Sprig's functions on texts.

use super::{
    super::{
        limits::{Bounded, Fault},
        printf, quoting,
        value::Value,
    },
    Call, Function, MANY, Outcome, failed, words,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("hello", 0, 0, |call| call.give("Hello!")),
    Function::new("trim", 1, 1, |call| {
        let text = call.text(0)?;
        call.give(text.trim())
    }),
    Function::new("trimAll", 2, 2, trim_all),
    Function::new("trimall", 2, 2, trim_all),
    Function::new("trimPrefix", 2, 2, |call| {
        let (prefix, text) = (call.text(0)?, call.text(1)?);
        call.give(text.strip_prefix(&*prefix).unwrap_or(&text))
    }),
    Function::new("trimSuffix", 2, 2, |call| {
        let (suffix, text) = (call.text(0)?, call.text(1)?);
        call.give(text.strip_suffix(&*suffix).unwrap_or(&text))
    }),
    Function::new("upper", 1, 1, |call| {
        let text = call.text(0)?;
        call.give(text.chars().map(words::raised).collect::<String>())
    }),
    Function::new("lower", 1, 1, |call| {
        let text = call.text(0)?;
        call.give(text.chars().map(words::lowered).collect::<String>())
    }),
    Function::new("nospace", 1, 1, |call| {
        let text = call.text(0)?;
        let is_visible = |character: &char| !character.is_whitespace();
        call.give(text.chars().filter(is_visible).collect::<String>())
    }),
    Function::new("contains", 2, 2, |call| {
        let (part, text) = (call.text(0)?, call.text(1)?);
        Ok(Value::Bool(text.contains(&*part)))
    }),
    Function::new("hasPrefix", 2, 2, |call| {
        let (prefix, text) = (call.text(0)?, call.text(1)?);
        Ok(Value::Bool(text.starts_with(&*prefix)))
    }),
    Function::new("hasSuffix", 2, 2, |call| {
        let (suffix, text) = (call.text(0)?, call.text(1)?);
        Ok(Value::Bool(text.ends_with(&*suffix)))
    }),
    Function::new("repeat", 2, 2, repeat),
    Function::new("substr", 3, 3, substr),
    Function::new("trunc", 2, 2, trunc),
    Function::new("abbrev", 2, 2, |call| {
        let (width, text) = (call.whole(0)?, call.text(1)?);
        if width < 4 {
            return Ok(Value::Str(text));
        }
        call.give(abbreviate(&text, 0, call.count(0)?))
    }),
    Function::new("abbrevboth", 3, 3, |call| {
        let (left, right, text) = (call.whole(0)?, call.whole(1)?, call.text(2)?);
        if right < 4 || left > 0 && right < 7 {
            return Ok(Value::Str(text));
        }
        call.give(abbreviate(&text, call.count(0)?, call.count(1)?))
    }),
    Function::new("replace", 3, 3, |call| {
        let (old, new, text) = (call.text(0)?, call.text(1)?, call.text(2)?);
        call.give(replace(&text, &old, &new)?)
    }),
    Function::new("quote", 0, MANY, |call| {
        let mut quoted = Vec::new();
        for value in present(&call.arguments) {
            quoted.push(quoting::quote(&to_text(value)?, '"'));
        }
        call.give(join(&quoted, " ")?)
    }),
    Function::new("squote", 0, MANY, |call| {
        let mut quoted = Vec::new();
        for value in present(&call.arguments) {
            quoted.push(format!("'{}'", printf::display(value)?));
        }
        call.give(join(&quoted, " ")?)
    }),
    Function::new("cat", 0, MANY, |call| {
        let mut words = Vec::new();
        for value in present(&call.arguments) {
            words.push(printf::display(value)?);
        }
        call.give(join(&words, " ")?)
    }),
    Function::new("indent", 2, 2, |call| {
        let text = indent(call.count(0)?, &call.text(1)?)?;
        call.give(text)
    }),
    Function::new("nindent", 2, 2, |call| {
        let text = indent(call.count(0)?, &call.text(1)?)?;
        call.give(format!("\n{text}"))
    }),
    Function::new("plural", 3, 3, |call| {
        Ok(call.value(usize::from(call.whole(2)? != 1)))
    }),
    Function::new("toString", 1, 1, |call| {
        let text = to_text(&call.value(0))?;
        call.give(text)
    }),
    Function::new("toStrings", 1, 1, |call| {
        let texts = to_texts(&call.value(0))?;
        call.meter.texts(texts)
    }),
    Function::new("join", 2, 2, |call| {
        let texts = to_texts(&call.value(1))?;
        let joined = join(&texts, &call.text(0)?)?;
        call.meter.spend(texts.len())?;
        call.give(joined)
    }),
    Function::new("sortAlpha", 1, 1, |call| {
        let mut texts = match call.value(0) {
            list @ Value::List(_) => to_texts(&list)?,
            value => vec![to_text(&value)?],
        };
        texts.sort();
        call.meter.texts(texts)
    }),
    Function::new("splitList", 2, 2, |call| {
        let (separator, text) = (call.text(0)?, call.text(1)?);
        call.meter.texts(pieces(&text, &separator, usize::MAX))
    }),
    Function::new("split", 2, 2, |call| {
        let (separator, text) = (call.text(0)?, call.text(1)?);
        numbered(call, pieces(&text, &separator, usize::MAX))
    }),
    Function::new("splitn", 3, 3, |call| {
        let (separator, text) = (call.text(0)?, call.text(2)?);
        let most = usize::try_from(call.whole(1)?).unwrap_or(usize::MAX);
        numbered(call, pieces(&text, &separator, most))
    }),
];

/// The text that a value stands for: itself, or what `%v` prints.
pub(super) fn to_text(value: &Value) -> Result<String, Fault> {
    match value {
        Value::Str(text) => Ok(text.to_string()),
        value => printf::display(value),
    }
}

/// The texts of a list's values, without those that are nothing; any other value is one text.
pub(super) fn to_texts(value: &Value) -> Result<Vec<String>, Fault> {
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::List(list) => present(list.items()).map(to_text).collect(),
        value => Ok(vec![to_text(value)?]),
    }
}

fn present(values: &[Value]) -> impl Iterator<Item = &Value> {
    values.iter().filter(|value| !matches!(value, Value::Nil))
}

/// Joins texts, within bounds.
pub(super) fn join(texts: &[String], separator: &str) -> Result<String, Fault> {
    let mut joined = Bounded::default();
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            joined.push_str(separator)?;
        }
        joined.push_str(text)?;
    }
    Ok(joined.into_string())
}

fn replace(text: &str, old: &str, new: &str) -> Result<String, Fault> {
    let mut replaced = Bounded::default();
    let mut end = 0;
    for (start, found) in text.match_indices(old) {
        replaced.push_str(text.get(end..start).unwrap_or_default())?;
        replaced.push_str(new)?;
        end = start + found.len();
    }
    replaced.push_str(text.get(end..).unwrap_or_default())?;
    Ok(replaced.into_string())
}

fn trim_all(call: &mut Call<'_>) -> Outcome {
    let (cut, text) = (call.text(0)?, call.text(1)?);
    call.give(text.trim_matches(|character| cut.contains(character)))
}

fn repeat(call: &mut Call<'_>) -> Outcome {
    if call.whole(0)? < 0 {
        return Err(failed("strings: negative Repeat count"));
    }
    let mut repeated = Bounded::default();
    repeated.push_times(&call.text(1)?, call.count(0)?)?;
    call.give(repeated.as_str())
}

/// Cuts by bytes, as Go does, but never through a character.
fn cut(text: &str, start: usize, end: usize) -> &str {
    let start = text.ceil_char_boundary(start.min(text.len()));
    let end = text.floor_char_boundary(end.min(text.len()));
    text.get(start..end).unwrap_or_default()
}

fn trunc(call: &mut Call<'_>) -> Outcome {
    let (width, text) = (call.whole(0)?, call.text(1)?);
    let count = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    match (width < 0, count < text.len()) {
        (_, false) => Ok(Value::Str(text)),
        (true, true) => call.give(cut(&text, text.len() - count, text.len())),
        (false, true) => call.give(cut(&text, 0, count)),
    }
}

fn substr(call: &mut Call<'_>) -> Outcome {
    let (start, end, text) = (call.whole(0)?, call.whole(1)?, call.text(2)?);
    let length = text.len();
    let at = |position: i64| usize::try_from(position).ok().filter(|at| *at <= length);
    let range = match (start, end) {
        (..0, end) => at(end).map(|end| (0, end)),
        (start, end) => match at(end) {
            Some(end) => at(start).filter(|start| *start <= end).map(|at| (at, end)),
            None => at(start).map(|start| (start, length)),
        },
    };
    let Some((start, end)) = range else {
        return Err(failed("slice bounds out of range"));
    };
    call.give(cut(&text, start, end))
}

/// Shortens a text to `width` bytes, `offset` bytes from its start being among them.
fn abbreviate(text: &str, offset: usize, width: usize) -> String {
    const MARK: &str = "...";
    let length = text.len();
    let room = width.saturating_sub(MARK.len());
    if length <= width {
        return text.to_owned();
    }
    let offset = offset.min(length).min(length.saturating_sub(room));
    if offset <= 4 {
        return format!("{}{MARK}", cut(text, 0, room));
    }
    if offset + room < length {
        let rest = cut(text, offset, length);
        return format!("{MARK}{}", abbreviate(rest, 0, room));
    }
    format!("{MARK}{}", cut(text, length - room, length))
}

fn indent(spaces: usize, text: &str) -> Result<String, Fault> {
    let mut indented = Bounded::default();
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            indented.push('\n')?;
        }
        indented.push_times(" ", spaces)?;
        indented.push_str(line)?;
    }
    Ok(indented.into_string())
}

/// Splits as Go does: an empty separator splits between all characters, and `most` of zero gives
/// nothing.
fn pieces<'t>(text: &'t str, separator: &str, most: usize) -> Vec<&'t str> {
    if most == 0 {
        return Vec::new();
    }
    if !separator.is_empty() {
        return text.splitn(most, separator).collect();
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if pieces.len() + 1 == most {
            pieces.push(rest);
            break;
        }
        let (piece, after) = rest.split_at(first.len_utf8());
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Gives a map with the keys `_0`, `_1` and so on.
fn numbered(call: &mut Call<'_>, pieces: Vec<&str>) -> Outcome {
    let mut entries = std::collections::BTreeMap::new();
    for (index, piece) in pieces.into_iter().enumerate() {
        call.meter.spend(1)?;
        entries.insert(format!("_{index}").into(), call.give(piece)?);
    }
    let map = call
        .meter
        .dict("map[string]string", Value::from(""), entries)?;
    Ok(Value::Map(map))
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn texts_are_changed_as_by_sprig() {
        check(r#"trim "  a b \n""#, "a b");
        check(r#"trimAll "$" "$5.00$""#, "5.00");
        check(r#"trimall "ab" "abcba""#, "c");
        check(r#"trimPrefix "-" "--a""#, "-a");
        check(r#"trimSuffix "-" "a--""#, "a-");
        check(r#"upper "straße""#, "STRAßE");
        check(r#"lower "ÀΣ""#, "àσ");
        check(r#"nospace " a b\tc ""#, "abc");
        check(r#"contains "b" "abc""#, "true");
        check(r#"hasPrefix "a" "abc""#, "true");
        check(r#"hasSuffix "c" "abc""#, "true");
        check(r#"repeat 3 "ab""#, "ababab");
        check(r#"repeat 0 "ab""#, "");
        check(r#"replace "a" "bb" "banana""#, "bbbnbbnbb");
        check(r#"replace "" "-" "abc""#, "-a-b-c-");
        check(r#"indent 2 "a\nb\n""#, "  a\n  b\n  ");
        check(r#"nindent 2 "a\nb""#, "\n  a\n  b");
        check(r#"plural "one" "many" 1"#, "one");
        check(r#"plural "one" "many" 0"#, "many");
        check("hello", "Hello!");
    }

    #[test]
    fn texts_are_cut_as_by_sprig() {
        check(r#"substr 0 5 "hello world""#, "hello");
        check(r#"substr 2 -1 "hello""#, "llo");
        check(r#"substr -1 3 "hello""#, "hel");
        check(r#"substr 2 50 "hello""#, "llo");
        check(r#"substr 3 3 "hello""#, "");
        check(r#"trunc 5 "hello world""#, "hello");
        check(r#"trunc -5 "hello world""#, "world");
        check(r#"trunc 50 "abc""#, "abc");
        check(r#"trunc -50 "abc""#, "abc");
        check(r#"trunc 0 "abc""#, "");
        check(r#"abbrev 5 "hello world""#, "he...");
        check(r#"abbrev 3 "hello""#, "hello");
        check(r#"abbrev 20 "hello""#, "hello");
        check(r#"abbrevboth 5 10 "1234 5678 9123""#, "...5678...");
        check(r#"abbrevboth 2 10 "1234 5678 9123""#, "1234 56...");
        check(r#"abbrevboth 20 10 "1234 5678 9123""#, "...78 9123");
        check(r#"abbrevboth 5 6 "1234567890""#, "1234567890");
        check(r#"abbrevboth 5 8 "aaaaabbbbbcccccdddddeeeee""#, "...bb...");
    }

    #[test]
    fn anything_becomes_text() {
        check(
            r#"quote "a" 1 nil true "b\"c\n""#,
            r#""a" "1" "true" "b\"c\n""#,
        );
        check("quote", "");
        check(r#"squote "a" 1 nil "b'c""#, "'a' '1' 'b'c'");
        check(r#"cat "a" 1 nil true "100%""#, "a 1 true 100%");
        check("cat", "");
        check(
            r#"quote .AutomationObject (list 1 "a")"#,
            r#""flux-system/apps" "[1 a]""#,
        );
        check("toString nil", "<nil>");
        check("toString (list 1 2)", "[1 2]");
        check("toString .AutomationObject", "flux-system/apps");
        check(r#"toStrings (list 1 "a" nil 2.5)"#, "[1 a 2.5]");
        check("toStrings 1", "[1]");
        check(r#"join "-" (list 1 "a" nil)"#, "1-a");
        check(r#"join "-" "abc""#, "abc");
        check(r#"sortAlpha (list "c" "a" "B" 10 9)"#, "[10 9 B a c]");
        check(r#"sortAlpha "x""#, "[x]");
        check("sortAlpha nil", "[<nil>]");
    }

    #[test]
    fn texts_are_split() {
        check(r#"splitList "," "a,b,c""#, "[a b c]");
        check(r#"splitList "" "abé""#, "[a b é]");
        check(r#"splitList "," "" | len"#, "1");
        check(r#"split "." "a.b.c""#, "map[_0:a _1:b _2:c]");
        check(r#"(split "." "a.b.c")._1"#, "b");
        check(r#"splitn "." 2 "a.b.c""#, "map[_0:a _1:b.c]");
        check(r#"splitn "." -1 "a.b""#, "map[_0:a _1:b]");
        check(r#"splitn "." 0 "a.b""#, "map[]");
        check(r#"splitn "" 2 "abc""#, "map[_0:a _1:bc]");
    }
}
