//! Patterns: refused with a place, or a filter that means the same in brackets and in other words.
#![no_main]

use tagwright::{
    policy::{Direction, Exclusions, Order, Policy, PolicyError, TagFilter, explain},
    scan::Scan,
};
use tagwright_fuzz::{check_refusal, scan};

const TAGS: [&str; 10] = [
    "1.2.3",
    "v1.10.0",
    "1.2.3-alpine3.18",
    "main-4f2a9c1-1700000000",
    "latest",
    "a",
    "A-b_c.d",
    "20240115",
    "release-1.0.0-amd64",
    "x__y--z",
];

/// The tags that a pattern keeps.
fn kept(pattern: &str, scan: &Scan) -> Result<Vec<String>, PolicyError> {
    let policy = Policy {
        // Nothing is excluded; a tag is never empty.
        exclusions: Exclusions::new(&["^$".to_owned()])?,
        filter: TagFilter::new(pattern, "")?,
        ..Policy::new(Order::alphabetical(Direction::Ascending))
    };
    let candidates = explain(&policy, scan).candidates.into_iter();
    Ok(candidates
        .map(|candidate| candidate.tag.to_string())
        .collect())
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    let all = scan(TAGS);
    // Quoted, every text is a pattern that matches itself and nothing else.
    if !text.contains(r"\E") && text.len() < 200 {
        let quoted = format!(r"^\Q{text}\E$");
        let found = kept(&quoted, &scan(TAGS.into_iter().chain([text])));
        assert_eq!(
            found.expect("a quoted text"),
            scan([text])
                .tags
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        );
    }
    let found = match kept(text, &all) {
        Ok(found) => found,
        Err(error) => return check_refusal(&error, text),
    };
    // What it keeps, it keeps again.
    assert_eq!(
        kept(text, &scan(found.iter().map(String::as_str))).as_ref(),
        Ok(&found)
    );
    // An open quotation would swallow the bracket; a limit may be met by what is longer.
    if !text.contains(r"\Q")
        && let Ok(bracketed) = kept(&format!("(?:{text})"), &all)
    {
        assert_eq!(bracketed, found);
    }
});
