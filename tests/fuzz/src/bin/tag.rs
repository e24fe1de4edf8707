//! Tags, one a line: every order chooses one of them, whatever the order and the repetition of the
//! listing, and stays with what it chose. The first line stands in Git.
#![no_main]

use std::sync::LazyLock;

use tagwright::policy::{
    Clock, Direction, Keys, Order, Policy, Situation, TagFilter, explain_in, select_in,
};
use tagwright_fuzz::{chosen, scan};

static POLICIES: LazyLock<Vec<Policy>> = LazyLock::new(|| {
    let mut policies = [
        Order::semver("*").expect("a range"),
        Order::semver(">=0-0").expect("a range"),
        Order::loose(">=0-0").expect("a range"),
        Order::calver("YYYY.0M.MICRO").expect("a format"),
        Order::alphabetical(Direction::Ascending),
        Order::alphabetical(Direction::Descending),
        Order::natural(Direction::Ascending),
        Order::natural(Direction::Descending),
        Order::numerical(Direction::Ascending),
        Order::strict_numerical(Direction::Descending),
        Order::Newest(Clock::Created),
    ]
    .map(Policy::new)
    .to_vec();
    let keys = Keys::parse("date:number build:number:desc rest:natural").expect("keys");
    let pattern = r"^(?P<date>\d+)-(?P<build>\d+)(?P<rest>.*)$";
    policies.push(Policy {
        filter: TagFilter::with_keys(pattern, &keys).expect("a pattern with these groups"),
        ..Policy::new(Order::Keys(keys))
    });
    policies
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    let current = text.lines().next();
    let there = scan(text.lines());
    let mut turned = there.clone();
    turned.tags.reverse();
    turned.tags.extend(there.tags.iter().cloned());
    for policy in POLICIES.iter() {
        let situation = Situation {
            current,
            now: there.finished,
        };
        let (verdict, stages) = select_in(policy, &there, situation);
        let (again, _) = select_in(policy, &turned, situation);
        assert_eq!(chosen(&verdict), chosen(&again));
        let explanation = explain_in(policy, &there, situation);
        assert_eq!(explanation.verdict, verdict);
        assert_eq!(
            explanation.rejections.len() + stages.candidates,
            stages.listed
        );
        let Some(tag) = chosen(&verdict) else {
            continue;
        };
        assert!(there.tags.iter().any(|listed| listed.as_str() == tag));
        // What stands in Git already is chosen again, and held by no guard that looks at Git.
        let settled = Situation {
            current: Some(tag),
            now: there.finished,
        };
        let (settled, _) = select_in(policy, &there, settled);
        assert_eq!(chosen(&settled), Some(tag));
        if verdict.selected().is_some() {
            assert!(settled.selected().is_some());
        }
    }
});
