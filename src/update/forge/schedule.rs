//! When a request may be opened: windows of the week, in a time zone of one's own.

use std::fmt;

use chrono::{DateTime, Utc};
use jiff::{
    Timestamp,
    civil::{Time, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};

/// A stretch of time that comes every week.
#[derive(Clone, Debug)]
pub struct Window {
    days: Vec<Weekday>,
    from: Time,
    to: Time,
    zone: TimeZone,
    text: String,
}

/// A text that is no part of a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The text is no day.
    #[error("`{0}` is no day of the week: write `mon`, or `mon-fri`")]
    Day(String),
    /// The text is no time of the day.
    #[error("`{0}` is no time of the day: write `08:30`")]
    Time(String),
    /// There is no time zone of this name.
    #[error("there is no time zone `{0}`: write `Europe/Berlin`, or `UTC`")]
    Zone(String),
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Window {
    /// A window from the words of a document: days or ranges of days (none for every day), two times
    /// of the day, and a name of the IANA time zone database.
    ///
    /// A window that ends at or before its beginning goes on into the next day.
    ///
    /// ```
    /// use tagwright::update::forge::schedule::Window;
    ///
    /// let window = Window::new(&["mon-fri"], "08:00", "17:00", "Europe/Berlin").unwrap();
    /// assert!(window.is_open_at("2026-01-05T07:30:00Z".parse().unwrap()));
    /// assert!(!window.is_open_at("2026-01-05T16:30:00Z".parse().unwrap()));
    /// ```
    pub fn new(days: &[&str], from: &str, to: &str, zone: &str) -> Result<Self, WindowError> {
        let mut found = Vec::new();
        for text in days {
            found.extend(parse_days(text)?);
        }
        let shown = if days.is_empty() {
            "every day".to_owned()
        } else {
            days.join(", ")
        };
        let time_zone = TimeZoneDatabase::bundled()
            .get(zone)
            .map_err(|_| WindowError::Zone(zone.escape_debug().to_string()))?;
        Ok(Self {
            days: found,
            from: parse_time(from)?,
            to: parse_time(to)?,
            zone: time_zone,
            text: format!("{shown} {from}-{to} {zone}"),
        })
    }

    /// Whether `now` lies in the window.
    pub fn is_open_at(&self, now: DateTime<Utc>) -> bool {
        let Ok(now) = Timestamp::from_second(now.timestamp()) else {
            return false;
        };
        let local = self.zone.to_datetime(now);
        let (today, time) = (local.weekday(), local.time());
        let begins = |day| self.days.is_empty() || self.days.contains(&day);
        if self.from < self.to {
            begins(today) && self.from <= time && time < self.to
        } else {
            begins(today) && self.from <= time || begins(today.previous()) && time < self.to
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn parse_days(text: &str) -> Result<Vec<Weekday>, WindowError> {
    let refused = || WindowError::Day(text.escape_debug().to_string());
    let day = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        let found = DAYS.iter().find(|(short, _)| *short == name);
        found.map(|(_, day)| *day).ok_or_else(refused)
    };
    let Some((first, last)) = text.split_once('-') else {
        return Ok(vec![day(text)?]);
    };
    let (first, last) = (day(first)?, day(last)?);
    let mut days = vec![first];
    let mut next = first;
    while next != last {
        next = next.next();
        days.push(next);
    }
    Ok(days)
}

fn parse_time(text: &str) -> Result<Time, WindowError> {
    let refused = || WindowError::Time(text.escape_debug().to_string());
    let (hour, minute) = text.split_once(':').ok_or_else(refused)?;
    let number = |text: &str| {
        let is_plain = text.len() == 2 && text.bytes().all(|it| it.is_ascii_digit());
        text.parse::<i8>().ok().filter(|_| is_plain)
    };
    let (hour, minute) = number(hour).zip(number(minute)).ok_or_else(refused)?;
    Time::new(hour, minute, 0, 0).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_of_the_week_and_of_their_zone() {
        let check = |(days, from, to, zone): (&[&str], &str, &str, &str), now: &str, open: bool| {
            let window = Window::new(days, from, to, zone).expect("a window");
            assert_eq!(
                window.is_open_at(now.parse().expect("a time")),
                open,
                "{window} at {now}"
            );
        };
        let office: (&[&str], _, _, _) = (&["mon-fri"], "08:00", "17:00", "Europe/Berlin");
        check(office, "2026-01-05T07:00:00Z", true);
        check(office, "2026-01-05T06:59:59Z", false);
        check(office, "2026-01-05T16:00:00Z", false);
        check(office, "2026-07-06T06:00:00Z", true);
        check(office, "2026-01-04T10:00:00Z", false);
        let night: (&[&str], _, _, _) = (&["Fri"], "22:00", "02:00", "UTC");
        check(night, "2026-01-02T23:00:00Z", true);
        check(night, "2026-01-03T01:59:00Z", true);
        check(night, "2026-01-03T23:00:00Z", false);
        check(night, "2026-01-02T01:00:00Z", false);
        let weekend: (&[&str], _, _, _) = (&["sat-mon"], "00:00", "00:00", "UTC");
        check(weekend, "2026-01-05T12:00:00Z", true);
        check(weekend, "2026-01-06T12:00:00Z", false);
        check(
            (&[], "02:00", "03:00", "Europe/Berlin"),
            "2026-03-29T01:30:00Z",
            false,
        );
    }

    #[test]
    fn what_is_no_window_is_refused() {
        let check = |days: &[&str], from: &str, zone: &str, words: &str| {
            let error = Window::new(days, from, "17:00", zone).expect_err("no window");
            assert!(error.to_string().contains(words), "{error}");
        };
        check(&["monday"], "08:00", "UTC", "`monday` is no day");
        check(&["mon-"], "08:00", "UTC", "`mon-` is no day");
        check(&[], "8:00", "UTC", "`8:00` is no time");
        check(&[], "24:00", "UTC", "`24:00` is no time");
        check(&[], "08:00", "Mars/Base", "there is no time zone");
    }
}
