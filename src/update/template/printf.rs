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
