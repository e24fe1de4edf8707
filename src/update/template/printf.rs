//! Go's `fmt`: how values print, alone and under a format.

use super::{
    limits::Fault,
    printer::{Flags, Printer},
    value::Value,
};

/// Prints one value as an action does: what is missing is `<no value>`.
pub(super) fn shown(value: &Value) -> Result<String, Fault> {
    match value {
        Value::Nil => Ok("<no value>".to_owned()),
        Value::Str(text) => Ok(text.as_ref().to_owned()),
        value => display(value),
    }
}

/// Prints one value with `%v`.
pub(super) fn display(value: &Value) -> Result<String, Fault> {
    let mut printer = Printer::default();
    printer.value(value, 'v', 0)?;
    Ok(printer.out.into_string())
}

/// Go's `Sprint`: a space between two operands of which neither is a text.
pub(super) fn print(values: &[Value]) -> Result<String, Fault> {
    let mut printer = Printer::default();
    let mut after_text = true;
    for value in values {
        let is_text = matches!(value, Value::Str(_));
        if !is_text && !after_text {
            printer.out.push(' ')?;
        }
        printer.value(value, 'v', 0)?;
        after_text = is_text;
    }
    Ok(printer.out.into_string())
}

/// Go's `Sprintln`: spaces in between, a line feed at the end.
pub(super) fn println(values: &[Value]) -> Result<String, Fault> {
    let mut printer = Printer::default();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            printer.out.push(' ')?;
        }
        printer.value(value, 'v', 0)?;
    }
    printer.out.push('\n')?;
    Ok(printer.out.into_string())
}

/// Go's `Sprintf`, with its notes on wrong formats: `%!d(string=x)`, `%!(EXTRA int=1)`.
pub(super) fn format(format: &str, values: &[Value]) -> Result<String, Fault> {
    let mut printer = Printer::default();
    let mut rest = format;
    let mut cursor = Cursor {
        next: 0,
        reordered: false,
        is_good: true,
    };
    while let Some(start) = rest.find('%') {
        printer
            .out
            .push_str(rest.get(..start).unwrap_or_default())?;
        rest = rest.get(start + 1..).unwrap_or_default();
        rest = printer.directive(rest, values, &mut cursor)?;
    }
    printer.out.push_str(rest)?;
    if !cursor.reordered && cursor.next < values.len() {
        printer.flags = Flags::default();
        printer.out.push_str("%!(EXTRA ")?;
        for (index, value) in values.iter().skip(cursor.next).enumerate() {
            if index > 0 {
                printer.out.push_str(", ")?;
            }
            printer.typed(value)?;
        }
        printer.out.push(')')?;
    }
    Ok(printer.out.into_string())
}

/// Which operand is next.
struct Cursor {
    next: usize,
    reordered: bool,
    is_good: bool,
}

impl Printer {
    /// Prints what follows a `%`, and gives what is left of the format.
    fn directive<'f>(
        &mut self,
        format: &'f str,
        values: &[Value],
        cursor: &mut Cursor,
    ) -> Result<&'f str, Fault> {
        self.flags = Flags::default();
        cursor.is_good = true;
        let mut rest = self.read_flags(format);
        let mut after_index = false;
        rest = argument_index(rest, values.len(), cursor, &mut after_index);
        if let Some(after) = rest.strip_prefix('*') {
            rest = after;
            match cursor.take_number(values) {
                Some(width) => {
                    self.flags.minus |= width < 0;
                    self.flags.zero &= width >= 0;
                    self.flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)")?,
            }
            after_index = false;
        } else {
            let before = rest;
            (self.flags.width, rest) = number(rest);
            if after_index && before != rest {
                cursor.is_good = false;
            }
        }
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            if after_index {
                cursor.is_good = false;
            }
            rest = argument_index(rest, values.len(), cursor, &mut after_index);
            if let Some(after) = rest.strip_prefix('*') {
                rest = after;
                let precision = cursor.take_number(values);
                self.flags.precision = precision.and_then(|digits| usize::try_from(digits).ok());
                if self.flags.precision.is_none() {
                    self.out.push_str("%!(BADPREC)")?;
                }
                after_index = false;
            } else {
                let (precision, after) = number(rest);
                self.flags.precision = Some(precision.unwrap_or(0));
                rest = after;
            }
        }
        if !after_index {
            rest = argument_index(rest, values.len(), cursor, &mut after_index);
        }
        let mut characters = rest.chars();
        let Some(verb) = characters.next() else {
            self.out.push_str("%!(NOVERB)")?;
            return Ok("");
        };
        self.verb(verb, values, cursor)?;
        Ok(characters.as_str())
    }

    fn read_flags<'f>(&mut self, format: &'f str) -> &'f str {
        let mut rest = format;
        while let Some(flag) = rest.chars().next() {
            match flag {
                '#' => self.flags.sharp = true,
                '0' => self.flags.zero = !self.flags.minus,
                '+' => self.flags.plus = true,
                ' ' => self.flags.space = true,
                '-' => {
                    self.flags.minus = true;
                    self.flags.zero = false;
                }
                _ => break,
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        rest
    }

    fn verb(&mut self, verb: char, values: &[Value], cursor: &mut Cursor) -> Result<(), Fault> {
        if verb == '%' {
            return self.out.push('%');
        }
        if !cursor.is_good {
            return self.out.push_str(&format!("%!{verb}(BADINDEX)"));
        }
        let Some(value) = values.get(cursor.next) else {
            return self.out.push_str(&format!("%!{verb}(MISSING)"));
        };
        cursor.next += 1;
        if verb == 'v' {
            self.flags.syntax = std::mem::take(&mut self.flags.sharp);
            self.flags.names = std::mem::take(&mut self.flags.plus);
        }
        self.value(value, verb, 0)
    }
}

impl Cursor {
    /// Takes an operand for `*`.
    fn take_number(&mut self, values: &[Value]) -> Option<i64> {
        let value = values.get(self.next)?;
        self.next += 1;
        let number = i64::try_from(value.as_whole()?).ok()?;
        (-MOST_WIDTH..=MOST_WIDTH)
            .contains(&number)
            .then_some(number)
    }
}

/// Beyond this width or precision, Go calls a format bad.
const MOST_WIDTH: i64 = 1_000_000;

/// Reads digits; too many of them are no number.
fn number(text: &str) -> (Option<usize>, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(end).unwrap_or(("", text));
    let number = digits.parse::<i64>().ok();
    let fits = number.filter(|number| *number <= MOST_WIDTH);
    (fits.and_then(|number| usize::try_from(number).ok()), rest)
}

/// Reads `[n]`, which names the operand that is next.
fn argument_index<'f>(
    format: &'f str,
    count: usize,
    cursor: &mut Cursor,
    after_index: &mut bool,
) -> &'f str {
    let Some(body) = format.strip_prefix('[') else {
        return format;
    };
    cursor.reordered = true;
    let Some((index, rest)) = body.split_once(']') else {
        cursor.is_good = false;
        return body;
    };
    match index.parse::<usize>() {
        Ok(index) if (1..=count).contains(&index) => {
            cursor.next = index - 1;
            *after_index = true;
        }
        _ => cursor.is_good = false,
    }
    rest
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn formats_print_as_in_go() {
        check(
            r#"printf "%d|%5d|%-5d|%05d|%+d|% d" 42 42 42 42 42 42"#,
            "42|   42|42   |00042|+42| 42",
        );
        check(
            r#"printf "%d|%05d|%-05d|% d|%+d" -42 -42 -42 -42 -42"#,
            "-42|-0042|-42  |-42|-42",
        );
        check(
            r#"printf "%b|%o|%#o|%O|%x|%X|%#x|%#b" 5 8 8 8 255 255 255 5"#,
            "101|10|010|0o10|ff|FF|0xff|0b101",
        );
        check(
            r#"printf "%c|%q|%U|%#U" 65 65 0x1F600 65"#,
            "A|'A'|U+1F600|U+0041 'A'",
        );
        check(
            r#"printf "%6.3d|%+.3d|%.0d|%08d" 7 7 0 -42"#,
            "   007|+007||-0000042",
        );
        check(
            r#"printf "%#O|%#.5O|%#.5o|%#o" 8 8 8 0"#,
            "0o010|0o00010|00010|0",
        );
        check(
            r#"printf "%#U|%U|%.5U|%08U|%+q" 0xe9 -7 65 65 0xe9"#,
            r"U+00E9 'é'|U+FFFFFFFFFFFFFFF9|U+00041|  U+0041|'\u00e9'",
        );
        check(r#"printf "%#v|%#v" (index "a" 0) (add 1)"#, "0x61|1");
        check(
            r#"printf "%s|%5s|%-5s|%.2s|%5.1s|%05s" "abc" "abc" "abc" "abc" "abc" "ab""#,
            "abc|  abc|abc  |ab|    a|000ab",
        );
        check(
            r#"printf "%q|%+q|%#q|%x|%X|% x|%#x" "a\t\u00a0é" "é" "a" "hi" "hi" "hi" "hi""#,
            r#""a\t\u00a0é"|"\u00e9"|`a`|6869|6869|68 69|0x6869"#,
        );
        check(
            r#"printf "%t|%v|%5t|%-7t|" true false true false"#,
            "true|false| true|false  |",
        );
        check(
            r#"printf "%f|%.2f|%6.1f|%-8.1f|%08.2f|%+.1f" 1.5 3.14159 2.25 2.5 -3.14159 2.0"#,
            "1.500000|3.14|   2.2|2.5     |-0003.14|+2.0",
        );
        check(
            r#"printf "%e|%E|%.3e|%g|%G|%.3g|%.10g" 1234.5678 1e-7 1.5 1e6 1e-7 1234.5678 100000.0"#,
            "1.234568e+03|1.000000E-07|1.500e+00|1e+06|1E-07|1.23e+03|100000",
        );
        check(
            r#"printf "%v|%v|%v|%v|%v" 1000000.0 123456789.0 100000.0 0.0001 0.00001"#,
            "1e+06|1.23456789e+08|100000|0.0001|1e-05",
        );
        check(
            r#"printf "%.0f|%.0f|%.0f|%.20g" 0.5 1.5 2.5 0.1"#,
            "0|2|2|0.10000000000000000555",
        );
        check(
            r#"printf "%v|%+v|%d|%q" (list 1 "a" nil) (dict "b" 1 "a" "x") (list 1 22) (list "a" "b")"#,
            r#"[1 a <nil>]|map[a:x b:1]|[1 22]|["a" "b"]"#,
        );
        check(
            r#"printf "%5v|%-5v|%x" (list 1 2) "é" (list "a" "b")"#,
            "[    1     2]|é    |[61 62]",
        );
        check(
            r#"printf "%#v|%#v|%#v|%#v" "a" 1.0 (list 1 "a" nil) (splitList "," "a,b")"#,
            r#""a"|1|[]interface {}{1, "a", interface {}(nil)}|[]string{"a", "b"}"#,
        );
        check(
            r#"printf "%T|%T|%T|%T|%T|%T" 1 1.5 "a" nil (list) (dict)"#,
            "int|float64|string|<nil>|[]interface {}|map[string]interface {}",
        );
        check(
            r#"printf "%v|%s|%q|%20s|%d" .AutomationObject .AutomationObject .AutomationObject .AutomationObject .AutomationObject"#,
            r#"flux-system/apps|flux-system/apps|"flux-system/apps"|    flux-system/apps|{%!d(string=flux-system) %!d(string=apps)}"#,
        );
        check(
            r#"printf "%+v|%#v" .AutomationObject .AutomationObject"#,
            r#"flux-system/apps|types.NamespacedName{Namespace:"flux-system", Name:"apps"}"#,
        );
        check(r#"printf "%6.2f%%|%5%" 12.345"#, " 12.35%|%");
        check(r#"printf "%[2]d %[1]d" 1 2"#, "2 1");
        check(
            r#"printf "%*d|%-*d|%.*f|%[1]*[2]d" 5 1 5 2 2 3.14159"#,
            "    1|2    |3.14|    1",
        );
    }

    #[test]
    fn wrong_formats_are_noted_in_the_text() {
        check(r#"printf "%d" "x""#, "%!d(string=x)");
        check(r#"printf "%s" 1"#, "%!s(int=1)");
        check(r#"printf "%z" 1"#, "%!z(int=1)");
        check(r#"printf "%é" 1"#, "%!é(int=1)");
        check(r#"printf "%d""#, "%!d(MISSING)");
        check(r#"printf "%d" 1 2 "x""#, "1%!(EXTRA int=2, string=x)");
        check(r#"printf "%""#, "%!(NOVERB)");
        check(r#"printf "%!""#, "%!!(MISSING)");
        check(r#"printf "%s %v" nil nil"#, "%!s(<nil>) <nil>");
        check(r#"printf "%d" (list 1 "x" nil)"#, "[1 %!d(string=x) <nil>]");
        check(r#"printf "%d" true"#, "%!d(bool=true)");
        check(r#"printf "%t" 1"#, "%!t(int=1)");
        check(r#"printf "%q" 1.5"#, "%!q(float64=1.5)");
        check(r#"printf "%5d" "hi""#, "%!d(string=   hi)");
        check(r#"printf "%[3]d" 1"#, "%!d(BADINDEX)");
        check(r#"printf "%[x]d" 1"#, "%!d(BADINDEX)");
        check(r#"printf "%[1" 1"#, "%!(NOVERB)");
        check(r#"printf "%*d" "a" 1"#, "%!(BADWIDTH)1");
        check(r#"printf "%.*d" -1 5"#, "%!(BADPREC)5");
    }

    #[test]
    fn printing_puts_spaces_between_operands_that_are_no_texts() {
        check(
            r#"print 1 2 "a" "b" 3 4.5 nil true"#,
            "1 2ab3 4.5 <nil> true",
        );
        check("print", "");
        check(r#"println 1 "a""#, "1 a\n");
        check("println", "\n");
        check("print .Values.nope", "<nil>");
    }
}
