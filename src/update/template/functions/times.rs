//! Lengths of time, as Go prints them. There is no clock and no calendar here.

use super::{super::value::Value, Call, Function, Outcome};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("duration", 1, 1, duration),
    Function::new("durationRound", 1, 1, round),
];

const SECOND: i128 = 1_000_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;

/// Prints seconds: `95` is `1m35s`. An `int` is zero seconds, as in Sprig.
fn duration(call: &mut Call<'_>) -> Outcome {
    let seconds = match call.value(0) {
        Value::Int64(seconds) => seconds,
        Value::Str(text) => text.parse().unwrap_or(0),
        _ => 0,
    };
    // Go multiplies within 64 bits.
    let nanoseconds = seconds.wrapping_mul(1_000_000_000);
    call.give(printed(nanoseconds.into()))
}

fn printed(nanoseconds: i128) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let magnitude = nanoseconds.abs();
    let fraction = match magnitude % SECOND {
        0 => String::new(),
        rest => format!(".{rest:09}").trim_end_matches('0').to_owned(),
    };
    let (hours, minutes, seconds) = (
        magnitude / HOUR,
        magnitude % HOUR / MINUTE,
        magnitude % MINUTE / SECOND,
    );
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}{fraction}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}{fraction}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

/// Prints the greatest unit of a duration, and drops the rest.
fn round(call: &mut Call<'_>) -> Outcome {
    let nanoseconds = match call.value(0) {
        Value::Int64(nanoseconds) => nanoseconds.into(),
        Value::Str(text) => parsed(&text).unwrap_or(0),
        _ => 0,
    };
    let magnitude = nanoseconds.abs();
    let units = [
        (365 * DAY, "y"),
        (30 * DAY, "mo"),
        (DAY, "d"),
        (HOUR, "h"),
        (MINUTE, "m"),
        (SECOND, "s"),
    ];
    let text = units
        .into_iter()
        .find(|(length, _)| magnitude > *length)
        .map_or("0s".to_owned(), |(length, unit)| {
            format!("{}{unit}", magnitude / length)
        });
    call.give(text)
}

/// Reads `2h10m5.5s`.
fn parsed(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Some(0);
    }
    let mut rest = unsigned;
    let mut total = 0_i128;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !(character.is_ascii_digit() || character == '.'))?;
        let (number, after) = rest.split_at(end);
        let unit_end = after
            .find(|character: char| character.is_ascii_digit() || character == '.')
            .unwrap_or(after.len());
        let (unit, tail) = after.split_at(unit_end);
        let length = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole = if whole.is_empty() {
            0
        } else {
            whole.parse::<i64>().ok()?
        };
        total = total.checked_add(i128::from(whole) * length)?;
        let mut place = length;
        for digit in fraction.bytes().take(18) {
            place /= 10;
            total = total.checked_add(i128::from(digit.checked_sub(b'0')?) * place)?;
        }
        rest = tail;
    }
    i64::try_from(total).ok()?;
    Some(total)
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn lengths_of_time_print_as_in_go() {
        check(r#"duration "95""#, "1m35s");
        check("duration 95", "0s");
        check("duration (add 95)", "1m35s");
        check(r#"duration "0""#, "0s");
        check(r#"duration "-5""#, "-5s");
        check(r#"duration "86401""#, "24h0m1s");
        check(r#"durationRound "2h10m5s""#, "2h");
        check(r#"durationRound "25h""#, "1d");
        check(r#"durationRound "24h""#, "24h");
        check(r#"durationRound "90s""#, "1m");
        check(r#"durationRound "800h""#, "1mo");
        check(r#"durationRound "10000h""#, "1y");
        check(r#"durationRound "1.5h""#, "1h");
        check(r#"durationRound "-3h""#, "3h");
        check(r#"durationRound ".5m2s""#, "32s");
        check(r#"durationRound "x""#, "0s");
        check("durationRound (mul 3 3600000000000)", "3h");
    }
}
