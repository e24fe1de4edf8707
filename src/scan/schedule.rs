//! When a repository is scanned next: a pure function, for those who scan again and again.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::hash::sha256;

/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// The pause in these parts; a scan is moved by at most a thousand of them, which is a tenth.
const PARTS: i32 = 10_000;

/// When `subject` is to be scanned after a scan at `last`, the `failures` latest of which failed.
///
/// The interval is moved by up to a tenth, differently for each subject and each scan, so that a
/// thousand repositories of one interval do not ask all at once, nor two replicas together. After
/// failures the interval doubles with each, up to an hour.
///
/// ```
/// use std::time::Duration;
/// use tagwright::scan::next_scan;
///
/// let last = "2026-01-02T03:00:00Z".parse().unwrap();
/// let next = next_scan("apps/web", Duration::from_secs(600), last, 0);
/// let wait = (next - last).num_seconds();
/// assert!((540..=660).contains(&wait));
/// ```
pub fn next_scan(
    subject: &str,
    interval: Duration,
    last: DateTime<Utc>,
    failures: u32,
) -> DateTime<Utc> {
    let backed_off = interval.saturating_mul(2_u32.saturating_pow(failures.min(16)));
    let pause = backed_off.min(LONGEST_PAUSE.max(interval));
    let pause = TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX / 4);
    let seed = format!("{subject}\n{}", last.timestamp_millis());
    let digest = sha256(seed.as_bytes());
    let hex = digest.as_str().get("sha256:".len()..).unwrap_or_default();
    let number = hex.get(..8).and_then(|it| u32::from_str_radix(it, 16).ok());
    let moved = i32::try_from(number.unwrap_or_default() % 2001).unwrap_or_default() - 1000;
    let jitter = pause / PARTS * moved;
    last.checked_add_signed(pause + jitter).unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last() -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_323_045, 0).expect("a time")
    }

    #[test]
    fn failures_double_the_pause_up_to_an_hour() {
        let check = |interval: u64, failures: u32, least: i64, most: i64| {
            let interval = Duration::from_secs(interval);
            let next = next_scan("apps/web", interval, last(), failures);
            let pause = (next - last()).num_seconds();
            assert!(
                (least..=most).contains(&pause),
                "{interval:?} {failures}: {pause}"
            );
        };
        check(60, 0, 54, 66);
        check(60, 1, 108, 132);
        check(60, 3, 432, 528);
        check(60, 99, 3240, 3960);
        // Who asks for a day gets a day, and not an hour.
        check(86_400, 0, 77_760, 95_040);
        check(86_400, 5, 77_760, 95_040);
    }

    #[test]
    fn a_thousand_repositories_are_spread() {
        let interval = Duration::from_mins(10);
        let mut times = (0..1000)
            .map(|number| next_scan(&format!("apps/{number}"), interval, last(), 0))
            .collect::<Vec<_>>();
        times.sort();
        let busiest = times
            .windows(50)
            .map(|it| (it[49] - it[0]).num_seconds())
            .min();
        assert!(
            busiest >= Some(2),
            "no second has more than a few: {busiest:?}"
        );
        let again = next_scan("apps/1", interval, last(), 0);
        assert_eq!(
            again,
            next_scan("apps/1", interval, last(), 0),
            "it is no dice"
        );
    }
}
