//! How a value prints under a verb, with flags, width and precision.

use super::{
    limits::{Bounded, Fault, Limit, OUTPUT_BYTES, VALUE_DEPTH},
    numerals::{self, Digits},
    quoting::{can_stand_in_backquotes, is_printable, quote, quote_as},
    value::{Struct, Value},
};

#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a format has these flags, each on or off, in any mixture"
)]
pub(super) struct Flags {
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%+v`: field names.
    pub(super) names: bool,
    /// `%#v`: Go's syntax.
    pub(super) syntax: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

#[derive(Default)]
pub(super) struct Printer {
    pub(super) out: Bounded,
    pub(super) flags: Flags,
}

impl Printer {
    /// Prints a value under a verb.
    pub(super) fn value(&mut self, value: &Value, verb: char, depth: usize) -> Result<(), Fault> {
        if depth > VALUE_DEPTH {
            return Err(Limit::ValueDepth.into());
        }
        match (value, verb) {
            (Value::Nil, 'v') if self.flags.syntax && depth > 0 => {
                self.out.push_str("interface {}(nil)")
            }
            (Value::Nil, 'v' | 'T') => self.pad("<nil>"),
            (Value::Nil, _) if depth > 0 => self.out.push_str("<nil>"),
            (Value::Nil, _) => self.out.push_str(&format!("%!{verb}(<nil>)")),
            (value, 'T') => self.text(value.type_name(), 's'),
            (Value::Bool(true), 't' | 'v') => self.pad("true"),
            (Value::Bool(false), 't' | 'v') => self.pad("false"),
            (Value::Float(number), 'v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G') => {
                self.float(*number, verb)
            }
            (Value::Str(text), 'v' | 's' | 'x' | 'X' | 'q') => self.text(text, verb),
            (Value::List(list), _) => {
                let name = if self.flags.syntax {
                    value.type_name()
                } else {
                    ""
                };
                let (open, close) = if self.flags.syntax {
                    ("{", "}")
                } else {
                    ("[", "]")
                };
                self.out.push_str(name)?;
                self.out.push_str(open)?;
                for (index, item) in list.items().iter().enumerate() {
                    self.separate(index)?;
                    self.value(item, verb, depth + 1)?;
                }
                self.out.push_str(close)
            }
            (Value::Map(map), _) => {
                let syntax = self.flags.syntax;
                self.out
                    .push_str(if syntax { value.type_name() } else { "map" })?;
                self.out.push_str(if syntax { "{" } else { "[" })?;
                for (index, (key, item)) in map.entries().iter().enumerate() {
                    self.separate(index)?;
                    self.value(key, verb, depth + 1)?;
                    self.out.push(':')?;
                    self.value(item, verb, depth + 1)?;
                }
                self.out.push_str(if syntax { "}" } else { "]" })
            }
            (Value::Struct(fields), _) => self.fields(fields, verb, depth),
            (Value::Byte(_) | Value::Uint64(_), 'v') if self.flags.syntax => {
                let number = value.as_whole().unwrap_or_default();
                let digits = numerals::in_base(number.unsigned_abs(), 16);
                self.digits(&digits, false, "0x")
            }
            (value, _) => match value.as_whole() {
                Some(number) if "vdboOxXcqU".contains(verb) => self.whole(number, verb),
                _ => self.bad(value, verb),
            },
        }
    }

    fn fields(&mut self, value: &Struct, verb: char, depth: usize) -> Result<(), Fault> {
        if let Some(text) = &value.text
            && !self.flags.syntax
            && "vsxXq".contains(verb)
        {
            return self.text(text, verb);
        }
        if self.flags.syntax {
            self.out.push_str(value.type_name)?;
        }
        self.out.push('{')?;
        for (index, field) in value.fields.iter().enumerate() {
            self.separate(index)?;
            if self.flags.names || self.flags.syntax {
                self.out.push_str(field.name)?;
                self.out.push(':')?;
            }
            self.value(&field.value, verb, depth + 1)?;
        }
        self.out.push('}')
    }

    fn separate(&mut self, index: usize) -> Result<(), Fault> {
        match (index, self.flags.syntax) {
            (0, _) => Ok(()),
            (_, true) => self.out.push_str(", "),
            (_, false) => self.out.push(' '),
        }
    }

    /// Says that a verb does not fit a value.
    fn bad(&mut self, value: &Value, verb: char) -> Result<(), Fault> {
        self.out.push_str(&format!("%!{verb}("))?;
        self.typed(value)?;
        self.out.push(')')
    }

    pub(super) fn typed(&mut self, value: &Value) -> Result<(), Fault> {
        if matches!(value, Value::Nil) {
            return self.out.push_str("<nil>");
        }
        self.out.push_str(value.type_name())?;
        self.out.push('=')?;
        self.value(value, 'v', 0)
    }

    fn text(&mut self, text: &str, verb: char) -> Result<(), Fault> {
        let cut = match self.flags.precision {
            Some(precision) if !matches!(verb, 'x' | 'X') => {
                let end = text.char_indices().nth(precision);
                text.get(..end.map_or(text.len(), |(end, _)| end))
                    .unwrap_or(text)
            }
            _ => text,
        };
        match verb {
            'q' => {
                let quoted = if self.flags.sharp && can_stand_in_backquotes(cut) {
                    format!("`{cut}`")
                } else if self.flags.plus {
                    quote_as(cut, '"', |character| {
                        character.is_ascii() && is_printable(character)
                    })
                } else {
                    quote(cut, '"')
                };
                self.pad(&quoted)
            }
            'v' if self.flags.syntax => self.pad(&quote(cut, '"')),
            'x' | 'X' => {
                let hex = self.hex(cut, verb == 'X')?;
                self.pad(&hex)
            }
            _ => self.pad(cut),
        }
    }

    fn hex(&self, text: &str, upper: bool) -> Result<String, Fault> {
        let length = self.flags.precision.unwrap_or(text.len()).min(text.len());
        let mut hex = Bounded::default();
        for (index, byte) in text.bytes().take(length).enumerate() {
            if self.flags.space && index > 0 {
                hex.push(' ')?;
            }
            if self.flags.sharp && (self.flags.space || index == 0) {
                hex.push_str(if upper { "0X" } else { "0x" })?;
            }
            let digits = format!("{byte:02x}");
            hex.push_str(&if upper { digits.to_uppercase() } else { digits })?;
        }
        Ok(hex.into_string())
    }

    fn whole(&mut self, number: i128, verb: char) -> Result<(), Fault> {
        let character = u32::try_from(number)
            .ok()
            .and_then(char::from_u32)
            .unwrap_or(char::REPLACEMENT_CHARACTER);
        match verb {
            'c' => self.pad(character.encode_utf8(&mut [0; 4])),
            'q' => {
                let ascii_only = self.flags.plus;
                let stays = |character: char| {
                    is_printable(character) && (character.is_ascii() || !ascii_only)
                };
                self.pad(&quote_as(character.encode_utf8(&mut [0; 4]), '\'', stays))
            }
            'U' => self.code_point(number, character),
            _ => {
                let (base, prefix) = match verb {
                    'b' => (2, "0b"),
                    'o' => (8, "0"),
                    'O' => (8, "0o"),
                    'x' => (16, "0x"),
                    'X' => (16, "0X"),
                    _ => (10, ""),
                };
                let mut digits = numerals::in_base(number.unsigned_abs(), base);
                if verb == 'X' {
                    digits.make_ascii_uppercase();
                }
                let prefix = match (self.flags.sharp, verb) {
                    (true, 'O') => "0o0",
                    (true, _) | (_, 'O') => prefix,
                    _ => "",
                };
                self.digits(&digits, number < 0, prefix)
            }
        }
    }

    /// Prints `U+0041`; what is negative wraps around within 64 bits.
    fn code_point(&mut self, number: i128, character: char) -> Result<(), Fault> {
        let mut digits = numerals::in_base(number.rem_euclid(1 << 64).unsigned_abs(), 16);
        digits.make_ascii_uppercase();
        let least = self.flags.precision.unwrap_or(0).max(4);
        let mut text = Bounded::default();
        text.push_str("U+")?;
        text.push_times("0", least.saturating_sub(digits.len()))?;
        text.push_str(&digits)?;
        if self.flags.sharp && number == i128::from(u32::from(character)) && is_printable(character)
        {
            text.push_str(&format!(" '{character}'"))?;
        }
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(text.as_str())?;
        self.flags.zero = zero;
        Ok(())
    }

    /// Prints the digits of a whole number with its sign, prefix and padding.
    fn digits(&mut self, digits: &str, negative: bool, prefix: &str) -> Result<(), Fault> {
        let sign = match (negative, self.flags.plus, self.flags.space) {
            (true, _, _) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let least = match (self.flags.precision, self.flags.width) {
            (Some(0), _) if digits == "0" => {
                self.flags.zero = false;
                return self.pad("");
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if self.flags.zero => width.saturating_sub(sign.len()),
            _ => 0,
        };
        let zeros = least.saturating_sub(digits.len());
        let mut text = Bounded::default();
        text.push_str(sign)?;
        // The zero that marks octal digits is not written where another one stands.
        let has_zero = zeros > 0 || digits.starts_with('0');
        let shorter = prefix.strip_suffix('0').filter(|_| has_zero);
        text.push_str(shorter.unwrap_or(prefix))?;
        text.push_times("0", zeros)?;
        text.push_str(digits)?;
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(text.as_str())?;
        self.flags.zero = zero;
        Ok(())
    }

    fn float(&mut self, number: f64, verb: char) -> Result<(), Fault> {
        let (form, default) = match verb {
            'e' | 'E' => ('e', Digits::After(6)),
            'f' | 'F' => ('f', Digits::After(6)),
            _ => ('g', Digits::Shortest),
        };
        let digits = self.flags.precision.map_or(default, Digits::After);
        if matches!(digits, Digits::After(count) if count > OUTPUT_BYTES) {
            return Err(Limit::Output.into());
        }
        let mut text = numerals::float(number.abs(), form, digits);
        if matches!(verb, 'E' | 'G') {
            text.make_ascii_uppercase();
        }
        let is_negative = number.is_sign_negative() && !number.is_nan();
        let sign = match (self.flags.plus, self.flags.space) {
            _ if is_negative => "-",
            (true, _) => "+",
            (_, true) => " ",
            _ if number.is_infinite() => "+",
            _ => "",
        };
        match self.flags.width {
            Some(width) if self.flags.zero && number.is_finite() => {
                let zeros = width.saturating_sub(sign.len() + text.len());
                self.out.push_str(sign)?;
                self.out.push_times("0", zeros)?;
                self.out.push_str(&text)
            }
            _ => {
                self.flags.zero &= number.is_finite();
                self.pad(&format!("{sign}{text}"))
            }
        }
    }

    /// Prints a text, padded to the width.
    fn pad(&mut self, text: &str) -> Result<(), Fault> {
        let Some(width) = self.flags.width else {
            return self.out.push_str(text);
        };
        let padding = width.saturating_sub(text.chars().count());
        if self.flags.minus {
            self.out.push_str(text)?;
            return self.out.push_times(" ", padding);
        }
        let fill = if self.flags.zero { "0" } else { " " };
        self.out.push_times(fill, padding)?;
        self.out.push_str(text)
    }
}
