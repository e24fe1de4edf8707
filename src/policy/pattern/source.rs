//! A cursor over a pattern, and the escapes that classes and plain text share.

use super::{problem::PatternProblem, translate::Trouble};

/// A cursor over the pattern.
pub(super) struct Source<'p> {
    pub(super) text: &'p str,
    pub(super) at: usize,
}

impl<'p> Source<'p> {
    pub(super) fn rest(&self) -> &'p str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let eaten = self.rest().starts_with(text);
        if eaten {
            self.at += text.len();
        }
        eaten
    }

    pub(super) fn eat_number(&mut self) -> Option<u32> {
        let rest = self.rest();
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let digits = &rest[..length];
        // A number with a zero in front is no number to Go, and the brace before it is a brace.
        if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        self.at += length;
        Some(digits.parse().unwrap_or(u32::MAX))
    }

    /// Reads an escaped character, as it may stand outside and inside a class.
    pub(super) fn escape(&mut self) -> Result<u32, Trouble> {
        let start = self.at;
        self.at += 1;
        let Some(letter) = self.next() else {
            return Err((PatternProblem::TrailingBackslash, start..self.at));
        };
        let found = match letter {
            '0' => Some(self.octal(0)),
            '1'..='7' if self.peek().is_some_and(|next| next.is_digit(8)) => {
                Some(self.octal(u32::from(letter) - u32::from('0')))
            }
            'x' => self.hexadecimal(),
            'a' => Some(0x07),
            'f' => Some(0x0c),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            't' => Some(0x09),
            'v' => Some(0x0b),
            _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => Some(u32::from(letter)),
            _ => None,
        };
        let end = start + 1 + letter.len_utf8();
        found.ok_or((PatternProblem::Escape, start..end))
    }

    fn octal(&mut self, first: u32) -> u32 {
        let mut value = first;
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|digit| digit.to_digit(8)) else {
                break;
            };
            self.at += 1;
            value = value * 8 + digit;
        }
        value
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        if !self.eat("{") {
            let high = self.next()?.to_digit(16)?;
            let low = self.next()?.to_digit(16)?;
            return Some(high * 16 + low);
        }
        let (digits, _) = self.rest().split_once('}')?;
        let value = digits.chars().try_fold(0_u32, |value, digit| {
            let value = value * 16 + digit.to_digit(16)?;
            (value <= u32::from(char::MAX)).then_some(value)
        })?;
        self.at += digits.len() + 1;
        (!digits.is_empty()).then_some(value)
    }
}
