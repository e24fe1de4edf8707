//! Go's `strconv` for numbers: digits in a base, floats in `%e`, `%f` and `%g`.

/// How many digits a float prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digits {
    /// As few as name the number and no other.
    Shortest,
    /// So many after the point; in `%g`, so many in all.
    After(usize),
}

/// The digits of a number in a base from 2 to 16.
pub(super) fn in_base(mut number: u128, base: u128) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % base).unwrap_or_default();
        digits.push(char::from_digit(digit, 16).unwrap_or('0'));
        number /= base;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// Prints a float without its sign; `form` is `e`, `f` or `g`.
pub(super) fn float(number: f64, form: char, digits: Digits) -> String {
    let number = number.abs();
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return "Inf".to_owned();
    }
    match (form, digits) {
        ('e', Digits::Shortest) => exponential(&format!("{number:e}")),
        ('e', Digits::After(count)) => exponential(&format!("{number:.count$e}")),
        ('f', Digits::Shortest) => format!("{number}"),
        ('f', Digits::After(count)) => format!("{number:.count$}"),
        (_, digits) => general(number, digits),
    }
}

/// The digits and the decimal exponent of the first one.
fn scientific(number: f64, digits: Digits) -> (String, i64) {
    let text = match digits {
        Digits::Shortest => format!("{number:e}"),
        Digits::After(count) => format!("{number:.*e}", count.saturating_sub(1)),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa.replace('.', "");
    let trimmed = digits.trim_end_matches('0');
    let digits = if trimmed.is_empty() { "0" } else { trimmed };
    (digits.to_owned(), exponent.parse().unwrap_or_default())
}

/// `%g`: positional where the exponent is small, exponential where it is not.
fn general(number: f64, precision: Digits) -> String {
    let (digits, exponent) = scientific(number, precision);
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let threshold = match precision {
        Digits::Shortest => SHORTEST_THRESHOLD,
        Digits::After(precision) => {
            let precision = i64::try_from(precision.max(1)).unwrap_or(i64::MAX);
            if precision > count && count > exponent {
                count
            } else {
                precision
            }
        }
    };
    if exponent < -4 || exponent >= threshold {
        let after = digits.len().saturating_sub(1);
        return exponential(&format!("{number:.after$e}"));
    }
    let after = usize::try_from(count - exponent - 1).unwrap_or(0);
    format!("{number:.after$}")
}

/// From this exponent on, `%g` without a precision is exponential.
const SHORTEST_THRESHOLD: i64 = 6;

/// Gives the exponent a sign and at least two digits.
fn exponential(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}
