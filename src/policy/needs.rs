//! What a policy would have to know of which tags to decide: [`needs`].

use super::{
    Order, Policy, Situation,
    constraint::{Fact, Signing, TagRule},
    select::{Fit, survey},
};
use crate::{image::Tag, scan::Scan};

/// A tag of which something is to be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The tag.
    pub tag: Tag,
    /// The first thing that is not known of it.
    pub fact: Fact,
}

/// The tags of which something is to be found out before `policy` can be sure, the one that stands
/// highest first.
///
/// Tags below one that is a candidate for sure are left out: whatever was found out of them, they
/// would not be selected.
pub fn needs(policy: &Policy, scan: &Scan, situation: Situation<'_>) -> Vec<Need> {
    if !policy.may_need_facts() {
        return Vec::new();
    }
    let mut unsure = Vec::new();
    let mut sure = None;
    survey(policy, scan, situation, |tag, judgement| {
        let Ok(Fit { key, missing, .. }) = judgement else {
            return;
        };
        if let Some(fact) = missing {
            unsure.push((key.clone().into_owned(), tag, *fact));
        } else if sure
            .as_ref()
            .is_none_or(|best| policy.order.compare(key, best).is_gt())
        {
            sure = Some(key.clone().into_owned());
        }
    });
    if let Some(sure) = &sure {
        unsure.retain(|(key, ..)| policy.order.compare(key, sure).is_ge());
    }
    unsure.sort_by(|(left, left_tag, _), (right, right_tag, _)| {
        let by_key = policy.order.compare(right, left);
        by_key.then_with(|| right_tag.cmp(left_tag))
    });
    unsure.dedup_by(|(_, left, _), (_, right, _)| left == right);
    let needs = unsure.into_iter().map(|(_, tag, fact)| Need {
        tag: tag.clone(),
        fact,
    });
    needs.collect()
}

impl Policy {
    /// Whether any rule looks at more of a tag than its name.
    fn may_need_facts(&self) -> bool {
        let constraints = &self.constraints;
        let denied = constraints.deny.iter().map(|denial| &denial.rule);
        let mut rules = constraints.allow.iter().chain(denied);
        matches!(self.order, Order::Newest(_))
            || constraints.minimum_age.is_some()
            || !constraints.platforms.is_empty()
            || constraints.signing == Signing::Required
            || rules.any(|rule| matches!(rule, TagRule::Digest(_)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::{
        policy::{Clock, MinimumAge},
        scan::TagFacts,
    };

    /// The needs of `1.x`, three days old at least, where these tags are so many hours old.
    fn check(order: Order, known: &[(&str, i64)], expected: &[&str]) {
        let mut policy = Policy::new(order);
        policy.constraints.minimum_age = Some(MinimumAge {
            age: Duration::from_hours(72),
            clock: Clock::Created,
        });
        let tags = ["1.0.0", "1.1.0", "1.2.0", "1.10.0", "2.0.0", "latest"];
        let mut scan = Scan {
            repository: "registry.test/web".parse().expect("a repository"),
            tags: tags.map(|tag| tag.parse().expect("a tag")).to_vec(),
            refused: 0,
            sifted: 0,
            finished: DateTime::UNIX_EPOCH + TimeDelta::days(365),
            took: Duration::ZERO,
            facts: std::collections::BTreeMap::new(),
        };
        for (tag, hours) in known {
            let facts = TagFacts {
                created: Some(scan.finished - TimeDelta::hours(*hours)),
                ..TagFacts::default()
            };
            scan.facts.insert(tag.parse().expect("a tag"), facts);
        }
        let needs = needs(&policy, &scan, Situation::of(&scan));
        let found = needs.iter().map(|need| need.tag.as_str());
        assert_eq!(found.collect::<Vec<_>>(), expected, "{known:?}");
        assert!(needs.iter().all(|need| need.fact == Fact::Created));
    }

    #[test]
    fn only_what_may_still_win_is_to_be_found_out() {
        let order = || Order::semver("1.x").expect("a range");
        let all = ["1.10.0", "1.2.0", "1.1.0", "1.0.0"];
        check(order(), &[], &all);
        check(order(), &[("1.10.0", 1)], &["1.2.0", "1.1.0", "1.0.0"]);
        check(order(), &[("1.2.0", 100)], &["1.10.0"]);
        check(order(), &[("1.10.0", 100)], &[]);
        check(order(), &[("1.10.0", 1), ("1.2.0", 100)], &[]);
    }

    #[test]
    fn the_newest_needs_to_know_all_of_them() {
        let order = Order::Newest(Clock::Created);
        let all = ["2.0.0", "1.2.0", "1.10.0", "1.1.0", "1.0.0"];
        check(order, &[("latest", 100)], &all);
    }
}
