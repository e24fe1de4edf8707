//! Ranges: refused with a place, or sets of versions that keep the laws of sets.
#![no_main]

use tagwright::policy::{Order, Policy, RANGE_LIMIT, select_counted};
use tagwright_fuzz::{check_refusal, chosen, scan};

const RELEASES: [&str; 12] = [
    "0.0.0",
    "0.0.1",
    "0.1.0",
    "0.1.9",
    "1.0.0",
    "1.2.3",
    "1.2.4",
    "1.10.0",
    "2.0.0",
    "2.5.0",
    "10.0.0",
    "18446744073709551615.0.0",
];
const PRERELEASES: [&str; 4] = ["0.0.0-a", "1.2.3-rc.1", "2.0.0-0", "10.0.0-rc.10"];

/// What a range admits: the greatest, and how many.
fn admitted(range: &str, tags: &[&str]) -> Option<(Option<String>, usize)> {
    let policy = Policy::new(Order::semver(range).ok()?);
    let (verdict, stages) = select_counted(&policy, &scan(tags.iter().copied()));
    Some((chosen(&verdict).map(str::to_owned), stages.in_range))
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(error) = Order::semver(text) {
        check_refusal(&error, text);
        return;
    }
    let all = [&RELEASES[..], &PRERELEASES].concat();
    let found = admitted(text, &all);
    if !text.contains('-') {
        // What names no pre-release admits none.
        assert_eq!(admitted(text, &PRERELEASES), Some((None, 0)));
    }
    if 2 * text.len() + " || ".len() <= RANGE_LIMIT {
        // A set joined with itself, or with everything.
        assert_eq!(admitted(&format!("{text} || {text}"), &all), found);
        let everything = admitted(&format!("* || {text}"), &RELEASES);
        assert_eq!(everything.map(|(_, count)| count), Some(RELEASES.len()));
        if !text.contains('|') {
            assert_eq!(admitted(&format!("{text}, {text}"), &all), found);
        }
    }
});
