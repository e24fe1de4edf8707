use super::*;
use crate::policy::filter::Scratch;
use proptest::prelude::*;

fn any_tag() -> impl Strategy<Value = String> {
    prop_oneof![
        "v?[0-2]\\.[0-2]\\.[0-2](-(rc|alpha)?\\.?[0-9]{1,2})?",
        "0?[0-9]{1,3}(\\.[0-9]{1,2})?",
        "[a-c]-[0-9]{1,2}",
        "(0x[0-9a-f]p-?[0-9]|inf|nan|1e[0-9]|latest|a\\.sig)",
        "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,12}",
    ]
    .prop_filter("the grammar of tags", |tag| tag.parse::<Tag>().is_ok())
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let words = prop::sample::select(vec![
        "semver *",
        "semver >=0.1-0",
        "semver ^1 || ~0.2",
        "alphabetical asc",
        "alphabetical desc",
        "numerical asc",
        "numerical desc",
        "natural asc",
        "natural desc",
        "calver MAJOR.MINOR",
        "loose >=0-0",
    ]);
    let filters = prop::sample::select(vec![
        ("", ""),
        ("^[0-9v]", ""),
        ("([0-9]+)", "$1"),
        (r"^v?([0-9]+)\.([0-9]+)", "$1.$2.0"),
        ("", "x"),
    ]);
    (words, filters).prop_map(|(words, (pattern, extract))| filtered(words, pattern, extract))
}

proptest! {
    #[test]
    fn the_listing_order_and_duplicates_do_not_matter(
        policy in any_policy(),
        tags in prop::collection::vec(any_tag(), 0..12),
        seed in any::<prop::sample::Index>(),
    ) {
        let verdict = select(&policy, &scan(&tags));
        let mut turned = tags.clone();
        turned.rotate_left(if tags.is_empty() { 0 } else { seed.index(tags.len()) });
        turned.reverse();
        let again = select(&policy, &scan(&turned));
        prop_assert_eq!(selected(&verdict), selected(&again));
        turned.extend(tags);
        let doubled = select(&policy, &scan(&turned));
        prop_assert_eq!(verdict.selected(), doubled.selected());
    }

    #[test]
    fn the_winner_is_one_of_the_tags_and_of_the_candidates(
        policy in any_policy(),
        tags in prop::collection::vec(any_tag(), 0..12),
    ) {
        let scan = scan(&tags);
        let explanation = explain(&policy, &scan);
        prop_assert_eq!(&explanation.verdict, &select(&policy, &scan));
        let stages = explanation.stages;
        prop_assert_eq!(explanation.rejections.len() + stages.candidates, stages.listed);
        match explanation.verdict.selected() {
            Some(selection) => {
                prop_assert!(scan.tags.contains(&selection.tag));
                prop_assert_eq!(&explanation.candidates[0].tag, &selection.tag);
                prop_assert_eq!(&explanation.candidates[0].key, &selection.key);
            }
            None => prop_assert!(explanation.candidates.is_empty()),
        }
    }

    #[test]
    fn a_tag_that_is_rejected_changes_nothing(
        policy in any_policy(),
        tags in prop::collection::vec(any_tag(), 0..12),
    ) {
        let whole = scan(&tags);
        let rejected = explain(&policy, &whole).rejections;
        let mut rest = whole.clone();
        rest.tags.retain(|tag| rejected.iter().all(|rejection| &rejection.tag != tag));
        let (whole, rest) = (select(&policy, &whole), select(&policy, &rest));
        prop_assert_eq!(whole.selected(), rest.selected());
    }

    #[test]
    fn every_order_is_total(
        policy in any_policy(),
        one in any_tag(),
        two in any_tag(),
        three in any_tag(),
    ) {
        let order = &policy.order;
        let (Ok(one), Ok(two), Ok(three)) = (order.read(&one), order.read(&two), order.read(&three))
        else {
            return Ok(());
        };
        prop_assert!(order.compare(&one, &one).is_eq());
        prop_assert_eq!(order.compare(&one, &two), order.compare(&two, &one).reverse());
        if order.compare(&one, &two).is_le() && order.compare(&two, &three).is_le() {
            prop_assert!(order.compare(&one, &three).is_le());
        }
        if order.compare(&one, &two).is_eq() {
            prop_assert_eq!(order.compare(&one, &three), order.compare(&two, &three));
        }
    }

    #[test]
    fn no_verdict_lowers_a_value(
        policy in any_policy(),
        tags in prop::collection::vec(any_tag(), 1..8),
        current in any_tag(),
    ) {
        let verdict = verdict_for(&policy, &tags, &current);
        let Some(selection) = verdict.selected() else { return Ok(()) };
        let mut scratch = Scratch::default();
        let Some(value) = policy.filter.value(&current, &mut scratch) else { return Ok(()) };
        let (Ok(new), Ok(old)) = (policy.order.read(&selection.key), policy.order.read(value)) else {
            return Ok(());
        };
        prop_assert!(policy.order.compare(&new, &old).is_ge());
    }

    #[test]
    fn no_bytes_in_git_panic(policy in any_policy(), current in "\\PC{0,140}") {
        let _ = verdict_for(&policy, &["1.0.0"], &current);
    }
}
