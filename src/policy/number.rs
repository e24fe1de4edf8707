//! Numbers as Go spells them, compared exactly.
//!
//! Flux reads tags with Go's `ParseFloat`, so the accepted spellings are Go's; but it compares
//! 64-bit floats, in which two 17-digit timestamps can be one. Here every decimal digit counts.
//! What Go calls out of range is refused, as there. Two edges differ, on purpose: `nan` is
//! refused, because it has no place in an order, and only what is nearer to zero than 1e-399
//! counts as zero. `inf` is a number and stands above (`-inf` below) all others.

use std::{borrow::Cow, cmp::Ordering, fmt::Write as _};

/// The least value that Go rounds to infinity and so refuses: 2^1024 - 2^970.
const OVERFLOW: &str = "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497792";

/// A number: `0.digits` times ten to the `point`.
#[derive(Clone, Debug)]
pub(super) enum Number<'t> {
    /// `inf` or `-inf`.
    Infinite {
        /// Whether it stands below all others.
        negative: bool,
    },
    /// Everything else.
    Finite {
        /// Whether a minus stands in front; never for zero.
        negative: bool,
        /// The digits from the first to the last that is not 0, as they were written: dots and
        /// underscores between them do not count. Empty for zero.
        digits: Cow<'t, str>,
        /// Where the decimal point stands, counted from before the first digit.
        point: i64,
    },
}

/// Why a text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberFault {
    /// It is not spelt as Go spells a floating-point number.
    Shape,
    /// It is `nan`.
    Nan,
    /// Go would round it to infinity.
    TooBig,
}

/// The parts of a number before anything is computed.
struct Spelling<'t> {
    base: Base,
    /// Digits, at most one dot, underscores.
    mantissa: &'t str,
    exponent: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Ten,
    Sixteen,
}

impl<'t> Number<'t> {
    /// Reads a number in one of Go's spellings.
    pub(super) fn read(text: &'t str) -> Result<Self, NumberFault> {
        let (sign, rest) = match text.as_bytes().first() {
            Some(b'+' | b'-') => text.split_at(1),
            _ => ("", text),
        };
        let negative = sign == "-";
        if rest.eq_ignore_ascii_case("inf") || rest.eq_ignore_ascii_case("infinity") {
            return Ok(Self::Infinite { negative });
        }
        if text.eq_ignore_ascii_case("nan") {
            return Err(NumberFault::Nan);
        }
        let spelling = Spelling::read(rest).ok_or(NumberFault::Shape)?;
        if !underscores_stand_between_digits(rest) {
            return Err(NumberFault::Shape);
        }
        let (digits, point) = match spelling.base {
            Base::Ten => significant(spelling.mantissa, spelling.exponent),
            Base::Sixteen => {
                let (digits, point) = binary_to_decimal(&spelling)?;
                let (digits, point) = significant(&digits, point);
                (Cow::Owned(digits.into_owned()), point)
            }
        };
        if digits.is_empty() || point < -398 {
            return Ok(Self::Finite {
                negative: false,
                digits: Cow::Borrowed(""),
                point: 0,
            });
        }
        if compare_magnitudes((&digits, point), (OVERFLOW, 309)).is_ge() {
            return Err(NumberFault::TooBig);
        }
        Ok(Self::Finite {
            negative,
            digits,
            point,
        })
    }

    /// The same number, free of the text that it was read from.
    pub(super) fn into_owned(self) -> Number<'static> {
        match self {
            Self::Infinite { negative } => Number::Infinite { negative },
            Self::Finite {
                negative,
                digits,
                point,
            } => Number::Finite {
                negative,
                digits: Cow::Owned(digits.into_owned()),
                point,
            },
        }
    }

    /// -1 below zero, 0 at zero, 1 above; twice that for the infinities.
    fn sign(&self) -> i8 {
        match self {
            Self::Infinite { negative: true } => -2,
            Self::Finite { negative: true, .. } => -1,
            Self::Finite { digits, .. } if digits.is_empty() => 0,
            Self::Finite { .. } => 1,
            Self::Infinite { negative: false } => 2,
        }
    }
}

impl PartialEq for Number<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number<'_> {}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.sign().cmp(&other.sign());
        let (
            Self::Finite {
                negative,
                digits: mine,
                point: my_point,
            },
            Self::Finite {
                digits: theirs,
                point: their_point,
                ..
            },
        ) = (self, other)
        else {
            return by_sign;
        };
        by_sign.then_with(|| {
            let magnitude = compare_magnitudes((mine, *my_point), (theirs, *their_point));
            if *negative {
                magnitude.reverse()
            } else {
                magnitude
            }
        })
    }
}

impl<'t> Spelling<'t> {
    /// Reads what follows the sign, to its end.
    fn read(text: &'t str) -> Option<Self> {
        let prefixed = text.len() > 2 && (text.starts_with("0x") || text.starts_with("0X"));
        let (base, text) = if prefixed {
            (Base::Sixteen, &text[2..])
        } else {
            (Base::Ten, text)
        };
        let mut dots = 0;
        let mut digits = 0;
        let end = text
            .bytes()
            .position(|byte| {
                match byte {
                    b'_' => return false,
                    b'.' => {
                        dots += 1;
                        return dots > 1;
                    }
                    _ => {}
                }
                let is_digit = match base {
                    Base::Ten => byte.is_ascii_digit(),
                    Base::Sixteen => byte.is_ascii_hexdigit(),
                };
                digits += usize::from(is_digit);
                !is_digit
            })
            .unwrap_or(text.len());
        if digits == 0 {
            return None;
        }
        let (mantissa, rest) = text.split_at(end);
        let mark: &[char] = match base {
            Base::Ten => &['e', 'E'],
            Base::Sixteen => &['p', 'P'],
        };
        let exponent = match (rest.strip_prefix(mark), base) {
            (Some(exponent), _) => read_exponent(exponent)?,
            (None, Base::Ten) if rest.is_empty() => 0,
            (None, _) => return None,
        };
        Some(Self {
            base,
            mantissa,
            exponent,
        })
    }
}

fn read_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let mut exponent = 0;
    for byte in digits.bytes().filter(|&byte| byte != b'_') {
        if !byte.is_ascii_digit() {
            return None;
        }
        // Go stops counting here too: no mantissa of a tag's length can bring it back into range.
        if exponent < 10_000 {
            exponent = exponent * 10 + i64::from(byte - b'0');
        }
    }
    Some(if negative { -exponent } else { exponent })
}

/// Go's rule: an underscore stands between two digits, or between `0x` and a digit.
fn underscores_stand_between_digits(text: &str) -> bool {
    #[derive(PartialEq, Eq)]
    enum Last {
        Digit,
        Underscore,
        Other,
    }
    if !text.contains('_') {
        return true;
    }
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let (mut last, text) = if hex {
        (Last::Digit, &text[2..])
    } else {
        (Last::Other, text)
    };
    for byte in text.bytes() {
        let is_digit = byte.is_ascii_digit() || hex && byte.is_ascii_hexdigit();
        last = match (is_digit, byte, last) {
            (true, _, _) => Last::Digit,
            (false, b'_', Last::Digit) => Last::Underscore,
            (false, b'_', _) | (false, _, Last::Underscore) => return false,
            (false, _, _) => Last::Other,
        };
    }
    last != Last::Underscore
}

/// The digits of `mantissa` from the first to the last that is not 0, and where the point stands.
fn significant(mantissa: &str, exponent: i64) -> (Cow<'_, str>, i64) {
    let counts = |byte: u8| byte.is_ascii_digit() && byte != b'0';
    let Some(first) = mantissa.bytes().position(counts) else {
        return (Cow::Borrowed(""), 0);
    };
    let last = mantissa.bytes().rposition(counts).unwrap_or(first);
    let dot = mantissa.find('.').unwrap_or(mantissa.len());
    let digits_in = |part: &str| {
        let count = part.bytes().filter(u8::is_ascii_digit).count();
        i64::try_from(count).unwrap_or(i64::MAX)
    };
    let point = if first < dot {
        digits_in(&mantissa[first..dot])
    } else {
        -digits_in(&mantissa[dot..first])
    };
    (
        Cow::Borrowed(&mantissa[first..=last]),
        point.saturating_add(exponent),
    )
}

/// The decimal digits of a hexadecimal number, and the power of ten that belongs to them.
fn binary_to_decimal(spelling: &Spelling<'_>) -> Result<(String, i64), NumberFault> {
    let mantissa = spelling.mantissa;
    let mut limbs = Limbs(Vec::new());
    for digit in mantissa.chars().filter_map(|digit| digit.to_digit(16)) {
        limbs.multiply_add(16, digit);
    }
    let fraction = mantissa
        .split_once('.')
        .map_or("", |(_, fraction)| fraction);
    let places = fraction.bytes().filter(u8::is_ascii_hexdigit).count();
    let places = i64::try_from(places).unwrap_or(i64::MAX);
    let exponent = spelling.exponent.saturating_sub(places.saturating_mul(4));
    if limbs.0.is_empty() {
        return Ok((String::new(), 0));
    }
    if exponent > 1024 {
        return Err(NumberFault::TooBig);
    }
    // A tag holds at most 124 hexadecimal digits, 496 bits: this is far below what counts as zero.
    if exponent < -2048 {
        return Ok((String::new(), 0));
    }
    if exponent >= 0 {
        limbs.multiply_by_power(2, exponent.unsigned_abs());
        return Ok((limbs.digits(), 0));
    }
    // 2^-n is 5^n / 10^n.
    limbs.multiply_by_power(5, exponent.unsigned_abs());
    Ok((limbs.digits(), exponent))
}

/// A natural number in limbs of nine decimal digits, the lowest first.
struct Limbs(Vec<u32>);

impl Limbs {
    fn multiply_add(&mut self, factor: u32, summand: u32) {
        const LIMB: u64 = 1_000_000_000;
        let mut carry = u64::from(summand);
        for limb in &mut self.0 {
            let product = u64::from(*limb) * u64::from(factor) + carry;
            *limb = u32::try_from(product % LIMB).unwrap_or(u32::MAX);
            carry = product / LIMB;
        }
        if carry > 0 {
            self.0.push(u32::try_from(carry).unwrap_or(u32::MAX));
        }
    }

    fn multiply_by_power(&mut self, base: u32, exponent: u64) {
        // Twelve at a time: 5^12 still fits a limb's factor.
        for _ in 0..exponent / 12 {
            self.multiply_add(base.pow(12), 0);
        }
        for _ in 0..exponent % 12 {
            self.multiply_add(base, 0);
        }
    }

    fn digits(&self) -> String {
        let mut limbs = self.0.iter().rev();
        let mut digits = limbs.next().map_or(String::new(), u32::to_string);
        for limb in limbs {
            let _ = write!(digits, "{limb:09}");
        }
        digits
    }
}

fn compare_magnitudes(left: (&str, i64), right: (&str, i64)) -> Ordering {
    // Neither side ends with a zero, so the longer of two equal beginnings is the greater.
    let digits = |byte: &u8| byte.is_ascii_digit();
    left.1.cmp(&right.1).then_with(|| {
        let mine = left.0.bytes().filter(digits);
        mine.cmp(right.0.bytes().filter(digits))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `expected` is the value in a plain spelling.
    fn check(text: &str, expected: Option<&str>) {
        let read = Number::read(text).ok();
        let expected = expected.map(|expected| Number::read(expected).unwrap());
        assert_eq!(read, expected, "{text:?}");
    }

    #[test]
    fn numbers_are_spelt_as_go_spells_them() {
        check("1", Some("1"));
        check("+1", Some("1"));
        check("-1", Some("-1"));
        check("1.", Some("1"));
        check(".5", Some("0.5"));
        check("1e3", Some("1000"));
        check("1E-3", Some("0.001"));
        check("0x1p4", Some("16"));
        check("0x.8p1", Some("1"));
        check("0X1P-2", Some("0.25"));
        check("0xFfP0", Some("255"));
        check("0x1.8p+1", Some("3"));
        check("0x0p0", Some("0"));
        check("0x_1p4", Some("16"));
        check("1_000", Some("1000"));
        check("0_1", Some("1"));
        check("1e1_0", Some("10000000000"));
        check("+Inf", Some("inf"));
        check("-infinity", Some("-inf"));
        check("1e-400", Some("0"));
        check("0x1p-99999", Some("0"));
        check("01", Some("1"));
        check("-0", Some("0"));
        check("0e99999", Some("0"));
        check("0.0010", Some(".001"));
        check("100.", Some("1e2"));
        check("000.00120e5", Some("120"));
        check("1.7976931348623157e308", Some("17976931348623157e292"));
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "0x10",
            "1e400",
            "-1e400",
            "1,5",
            " 1",
            "1 ",
            "1.2.3",
            "",
            "0b1",
            "0o7",
            "1__0",
            "_1",
            "1_",
            "1_.5",
            "1._5",
            "1_e5",
            "1e_5",
            "1e5_",
            "-nan",
            "+nan",
            ".",
            "+",
            "-",
            "+-1",
            "e1",
            "1e",
            "1e+",
            "infin",
            "0x",
            "0x.p1",
            "0xp1",
            "0x1p",
            "1p4",
            "1a",
            "b",
            "1.8e308",
            "0x1p1024",
            "0x1p99999",
            "1e309",
            "١",
            "1e99999999999999999999",
        ] {
            check(text, None);
        }
        assert_eq!(Number::read("NaN"), Err(NumberFault::Nan));
        assert_eq!(Number::read("1e400"), Err(NumberFault::TooBig));
    }

    #[test]
    fn the_bound_of_go_is_met_to_the_digit() {
        assert_eq!(Number::read(OVERFLOW), Err(NumberFault::TooBig));
        let below = format!("{}1", &OVERFLOW[..OVERFLOW.len() - 1]);
        assert!(Number::read(&below).is_ok());
        assert!(Number::read("0x1.fffffffffffff7p1023").is_ok());
        assert_eq!(
            Number::read("0x1.fffffffffffff8p1023"),
            Err(NumberFault::TooBig)
        );
    }

    fn check_order(ascending: &[&str]) {
        for (at, left) in ascending.iter().enumerate() {
            for (after, right) in ascending.iter().enumerate() {
                let (one, other) = (Number::read(left).unwrap(), Number::read(right).unwrap());
                assert_eq!(one.cmp(&other), at.cmp(&after), "{left} against {right}");
            }
        }
    }

    #[test]
    fn numbers_are_compared_to_the_last_digit() {
        check_order(&["9007199254740992", "9007199254740993"]);
        check_order(&["20240101120000123", "20240101120000124"]);
        check_order(&["0.1", "0x1.999999999999ap-4", "0.1000000000000000056"]);
        check_order(&[
            "-inf", "-1e308", "-10.5", "-10", "-9.99", "-.001", "0", "1e-399", "1e-5", "1",
            "1.0001", "1.01", "2", "10", "0x1p4", "1_7", "1e300", "inf",
        ]);
    }

    proptest! {
        #[test]
        fn integers_agree_with_the_machine(left in any::<i128>(), right in any::<i128>()) {
            let (one, other) = (left.to_string(), right.to_string());
            let ours = Number::read(&one).unwrap().cmp(&Number::read(&other).unwrap());
            prop_assert_eq!(ours, left.cmp(&right));
        }

        #[test]
        fn hexadecimal_agrees_with_decimal(mantissa in any::<u64>(), exponent in 0..60_u32) {
            let value = u128::from(mantissa) << exponent;
            let hex = format!("{mantissa:#x}p{exponent}");
            let decimal = value.to_string();
            prop_assert_eq!(Number::read(&hex), Number::read(&decimal));
        }

        #[test]
        fn no_text_panics(text in "[0-9a-fxXpPeE_.+-]{0,40}|\\PC{0,40}") {
            let _ = Number::read(&text);
        }
    }
}
