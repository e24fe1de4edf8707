//! Templates: what `extract` makes of a tag is what Go's `Expand` makes of it, told a second time here.
#![no_main]

use tagwright::policy::{Direction, Order, PATTERN_LIMIT, Policy, TagFilter, select};
use tagwright_fuzz::{check_refusal, scan};

/// The whole match, and the groups of [`PATTERN`] in [`TAG`]; the fourth takes no part.
const GROUPS: [(&str, &str); 6] = [
    ("0", "web-12"),
    ("1", "web"),
    ("2", "12"),
    ("a", "12"),
    ("3", ""),
    ("b", ""),
];
const PATTERN: &str = r"^(\w+)-(?P<a>\d+)(?P<b>x)?$";
const TAG: &str = "web-12";

/// Expands letter by letter.
fn expanded(template: &str) -> String {
    let letters = template.chars().collect::<Vec<_>>();
    let mut text = String::new();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        at += 1;
        if letter != '$' {
            text.push(letter);
            continue;
        }
        if letters.get(at) == Some(&'$') {
            text.push('$');
            at += 1;
            continue;
        }
        let braced = letters.get(at) == Some(&'{');
        let start = at + usize::from(braced);
        let mut end = start;
        while letters
            .get(end)
            .is_some_and(|letter| letter.is_alphanumeric() || *letter == '_')
        {
            end += 1;
        }
        if end == start || braced && letters.get(end) != Some(&'}') {
            text.push('$');
            continue;
        }
        let name = letters[start..end].iter().collect::<String>();
        let group = GROUPS.iter().find(|(group, _)| *group == name);
        text.push_str(group.map_or("", |(_, value)| value));
        at = end + usize::from(braced);
    }
    text
}

libfuzzer_sys::fuzz_target!(|template: &str| {
    let filter = match TagFilter::new(PATTERN, template) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(template.len() > PATTERN_LIMIT, "{error}");
            return check_refusal(&error, template);
        }
    };
    let policy = Policy {
        filter,
        ..Policy::new(Order::alphabetical(Direction::Ascending))
    };
    let verdict = select(&policy, &scan([TAG, "web", "web-x"]));
    let key = &verdict.selected().expect("one tag fits the pattern").key;
    if template.is_empty() {
        assert_eq!(key, TAG);
    } else {
        assert_eq!(key, &expanded(template));
    }
});
