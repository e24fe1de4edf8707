//! Durations as Go's `time.ParseDuration` reads them, within what the kinds allow.

use std::time::Duration;

/// Reads a duration such as `1h30m` or `1.5s`: numbers with the units `h`, `m`, `s` and `ms`.
///
/// Units may repeat and stand in any order, as in Go (`1h1h` is two hours). Bare numbers, signs,
/// days and anything above 292 years (Go's limit) are refused.
pub fn parse(text: &str) -> Option<Duration> {
    let mut nanoseconds: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number_end = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail
            .find(|it: char| it.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale: u64 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            _ => return None,
        };
        nanoseconds = nanoseconds.checked_add(scaled(number, scale)?)?;
        rest = tail;
    }
    (nanoseconds <= i64::MAX.unsigned_abs()).then(|| Duration::from_nanos(nanoseconds))
}

/// `number` (digits with an optional fraction) times `scale`, exact to the nanosecond.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() {
        return None;
    }
    let mut sum = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        sum = sum.checked_add(u64::from(digit.checked_sub(b'0').filter(|it| *it < 10)?) * place)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, milliseconds: Option<u64>) {
        assert_eq!(
            parse(text),
            milliseconds.map(Duration::from_millis),
            "{text}"
        );
    }

    #[test]
    fn durations_are_gos() {
        check("5m", Some(300_000));
        check("1h30m", Some(5_400_000));
        check("1.5h", Some(5_400_000));
        check("1h1h", Some(7_200_000));
        check("250ms", Some(250));
        check("0s", Some(0));
        check("", None);
        check("5", None);
        check("-5m", None);
        check("1d", None);
        check("1us", None);
        check(".5s", None);
        check("1.s", None);
        check("1.2.3s", None);
        check("9999999999h", None);
    }
}
