mod constraints;
mod properties;

use super::*;
use crate::{image::Tag, scan::Scan};

fn scan(tags: &[impl AsRef<str>]) -> Scan {
    Scan {
        repository: "registry.test/acme/web".parse().unwrap(),
        tags: tags
            .iter()
            .map(|tag| tag.as_ref().parse().unwrap())
            .collect(),
        refused: 0,
        sifted: 0,
        finished: chrono::DateTime::UNIX_EPOCH,
        took: std::time::Duration::ZERO,
        facts: std::collections::BTreeMap::default(),
    }
}

/// A policy in words: `semver 1.x`, `alphabetical desc`, `numerical asc`.
fn policy(words: &str) -> Policy {
    let (order, argument) = words.split_once(' ').unwrap();
    let direction = || argument.parse().unwrap();
    Policy::new(match order {
        "semver" => Order::semver(argument).unwrap(),
        "alphabetical" => Order::alphabetical(direction()),
        "numerical" => Order::numerical(direction()),
        "natural" => Order::natural(direction()),
        "calver" => Order::calver(argument).unwrap(),
        "loose" => Order::loose(argument).unwrap(),
        other => panic!("{other}"),
    })
}

fn filtered(words: &str, pattern: &str, extract: &str) -> Policy {
    Policy {
        filter: TagFilter::new(pattern, extract).unwrap(),
        ..policy(words)
    }
}

fn selected(verdict: &Verdict) -> Option<&str> {
    verdict.selected().map(|selection| selection.tag.as_str())
}

#[track_caller]
fn check_policy(policy: &Policy, tags: &str, expected: Option<&str>) {
    let tags = tags.split_whitespace().collect::<Vec<_>>();
    let verdict = select(policy, &scan(&tags));
    assert_eq!(selected(&verdict), expected, "{tags:?}");
    let reversed = tags.iter().rev().collect::<Vec<_>>();
    assert_eq!(select(policy, &scan(&reversed)), verdict, "{tags:?}");
}

#[track_caller]
fn check(words: &str, tags: &str, expected: Option<&str>) {
    check_policy(&policy(words), tags, expected);
}

#[test]
fn alphabetical_is_by_bytes() {
    let ubuntu = "16.04 16.04.1 16.10 20.04 20.10";
    check("alphabetical ", ubuntu, Some("20.10"));
    check("alphabetical DESC", ubuntu, Some("16.04"));
    let names = "xenial yakkety zesty artful bionic";
    check("alphabetical asc", names, Some("zesty"));
    check("alphabetical desc", names, Some("artful"));
    let stamps = "1606234201 1606364286 1606334092 1606334284 1606334201";
    check("alphabetical asc", stamps, Some("1606364286"));
    check("alphabetical desc", stamps, Some("1606234201"));
    let releases = "rel-1606234201 rel-1606364286 rel-1606334092 rel-1606334284 rel-1606334201";
    check("alphabetical asc", releases, Some("rel-1606364286"));
    check("alphabetical desc", releases, Some("rel-1606234201"));
    let dates = "2021-01-08T21-18-21Z 2020-05-08T21-18-21Z 2021-01-08T19-20-00Z \
        1990-01-08T00-20-00Z 2023-05-08T00-20-00Z";
    check("alphabetical asc", dates, Some("2023-05-08T00-20-00Z"));
    check("alphabetical desc", dates, Some("1990-01-08T00-20-00Z"));
    check("alphabetical asc", "", None);
}

/// Checks extracted values, since a tag cannot begin with a minus.
#[track_caller]
fn check_numbers(direction: &str, numbers: &str, expected: Option<&str>) {
    let policy = filtered(&format!("numerical {direction}"), "^n(.*)$", "$1");
    let tags = numbers
        .split_whitespace()
        .map(|number| format!("n{number}"));
    let expected = expected.map(|number| format!("n{number}"));
    let tags = tags.collect::<Vec<_>>().join(" ");
    check_policy(&policy, &tags, expected.as_deref());
}

#[test]
fn numerical_is_exact() {
    check_numbers("asc", "-62 -88 73 72 15 16 15 29 -33 -91", Some("73"));
    check_numbers("desc", "5 -8 -78 25 70 -4 80 92 -20 -24", Some("-78"));
    check_numbers(
        "asc",
        "47.40896403322944 -27.8520927455902 -27.930666514224427 -31.352485948094568 \
         -50.41072694704882 -21.962849842263736 24.71884721436865 -39.99177354004344 \
         53.47333823144817 3.2008658570411086",
        Some("53.47333823144817"),
    );
    check_numbers(
        "desc",
        "-65.27202780220686 57.82948329142309 22.40184684363291 -86.36934305697784 \
         -90.29082099756083 -12.041712603564264 77.70488240399305 -38.98425003883552 \
         16.06867070412028 53.735674335181216",
        Some("-90.29082099756083"),
    );
    let stamps = "1606234201 1606364286 1606334092 1606334284 1606334201";
    check("numerical asc", stamps, Some("1606364286"));
    check("numerical desc", stamps, Some("1606234201"));
    check("numerical asc", "1", Some("1"));
    check("numerical desc", "1", Some("1"));
    check("numerical asc", "", None);
    check("numerical asc", "nan inf 1", Some("inf"));
    check(
        "numerical asc",
        "20240101120000123 20240101120000124",
        Some("20240101120000124"),
    );
}

#[test]
fn one_word_among_numbers_is_a_rejection_not_the_end() {
    check("numerical asc", "0 1a b", Some("0"));
    check("numerical asc", "1a b nan 1e400 0x10", None);
    let mut tags = (0..10_000)
        .map(|number| number.to_string())
        .collect::<Vec<_>>();
    tags.push("latest".to_owned());
    let verdict = select(&policy("numerical asc"), &scan(&tags));
    assert_eq!(selected(&verdict), Some("9999"));
}

#[test]
fn semver_selects_what_flux_selects() {
    check(
        "semver 1.0.x",
        "1.0.0 1.0.0.1 1.0.0p 1.0.1 1.2.0 0.1.0",
        Some("1.0.1"),
    );
    check("semver 1.0.x", "v1.2.3 v1.0.0 v0.1.0", Some("v1.0.0"));
    check("semver 1.0.x", "b1.2.3 b1.0.0 b0.1.0", None);
    check("semver 1.0.x", "", None);
    check("semver 1.0.x", "1.2.0", None);
    check(
        "semver 1.0.x",
        "0.1.0 0.1.1 0.2.0 1.0.0 1.0.1 1.0.2 1.1.0-alpha",
        Some("1.0.2"),
    );
    check("semver 1.x", "1.0.1 1.0.2 1.1.0-alpha", Some("1.0.2"));
    let tags = "v1.0.0 v1.1.0 v1.1.1 v2.0.0";
    check("semver v1.x", tags, Some("v1.1.1"));
    check("semver v2.x", tags, Some("v2.0.0"));
    check("semver =v1.1.1", tags, Some("v1.1.1"));
    check("semver 1.0.x", "1.0.0 2.0.0 1.0.1 1.2.0", Some("1.0.1"));
    check(
        "semver v1.0.x",
        "v1.0.0 v2.0.0 v1.0.1 v1.2.0",
        Some("v1.0.1"),
    );
    check("semver v1.0.x", "1.0.0 2.0.0 1.0.1 1.2.0", Some("1.0.1"));
    check(
        "semver 1.0.x",
        "v1.0.0 v2.0.0 v1.0.1 v1.2.0",
        Some("v1.0.1"),
    );
}

#[test]
fn filters_select_what_flux_selects() {
    let numbers = filtered("numerical asc", r"1.0.0-rc\.(?P<num>[0-9]+)", "$num");
    let tags = "1.0.0 1.0.0-rc.1 1.0.0-rc.2 1.0.0-rc.3 1.0.1-rc.2";
    check_policy(&numbers, tags, Some("1.0.0-rc.3"));
    let words = filtered("alphabetical asc", "foo-(?P<word>[a-z]+)", "$word");
    check_policy(
        &words,
        "foo-aaa bar-bbb foo-zzz baz-nnn foo-ooo",
        Some("foo-zzz"),
    );
    let tests = filtered("semver >=0.x", "^test-(.*)$", "$1");
    let tags = "test-0.1.0 test-0.1.1 dev-0.2.0 1.0.0 1.0.1 1.0.2 1.1.0-alpha";
    check_policy(&tests, tags, Some("test-0.1.1"));
    assert!(TagFilter::new("[=", "").is_err());
    assert!(TagFilter::new("^test-(.*", "$1").is_err());
    let mut patches = filtered("semver 6.7.x", r"^6\.7\.\d+$", "");
    check_policy(&patches, "6.7.0 6.7.1", Some("6.7.1"));
    patches.exclusions = Exclusions::new(&[r"^6\.7\.1$".to_owned()]).unwrap();
    check_policy(&patches, "6.7.0 6.7.1", Some("6.7.0"));
}

/// The cases of users that are a policy's to answer.
#[test]
fn what_bit_users_does_not_bite_here() {
    // A pre-release is not chosen without being asked for.
    check("semver *", "v1.0.0 v1.0.1-64.272fa09", Some("v1.0.0"));
    // Ten is after nine only where a dot says that it is a number.
    check(
        "semver >=1.0.0-0",
        "1.0.0-rc9 1.0.0-rc10",
        Some("1.0.0-rc9"),
    );
    check(
        "semver >=1.0.0-0",
        "1.0.0-rc.9 1.0.0-rc.10",
        Some("1.0.0-rc.10"),
    );
    // A packaging suffix is a pre-release.
    check("semver 3.12.*", "3.12.0-1 3.12.1-1", None);
    check("semver 3.12.*-0", "3.12.0-1 3.12.1-1", Some("3.12.1-1"));
    // A hash of digits is no version.
    check("semver *", "1.4.2 20481937", Some("1.4.2"));
    // Dates outrank versions unless the range says which scheme is meant.
    check("semver *", "5.2.3 20.04.1 2021.12.14", Some("2021.12.14"));
    check("semver 5.x", "5.2.3 20.04.1 2021.12.14", Some("5.2.3"));
    // Signatures and attestations are no versions, and alphabetical has exclusions.
    let digest = "sha256-0000000000000000000000000000000000000000000000000000000000000000";
    let tags = format!("1.0.0 {digest} {digest}.sig {digest}.att {digest}.sbom");
    check("semver *", &tags, Some("1.0.0"));
    // Two-key numbers need padding under alphabetical, and none under numerical.
    let counters = filtered("numerical asc", r"^(\d{8})-(\d+)$", "${1}.${2}");
    check_policy(&counters, "20220209-04 20220209-22", Some("20220209-22"));
    // Legal but tricky tags are text.
    let tricky = "null true on 1.10 1e3 0x1F 0o17 012 1_000 2024-01-01 nan inf latest";
    check("alphabetical asc", tricky, Some("true"));
    check("numerical asc", tricky, Some("inf"));
    check("semver *", tricky, None);
    check("numerical asc", &"9".repeat(128), Some(&"9".repeat(128)));
}

#[test]
fn orders_beyond_flux_select_what_users_ask_for() {
    let stalled = "1.0.9-prod 1.0.90-prod 1.0.100-prod";
    check("alphabetical asc", stalled, Some("1.0.90-prod"));
    check("natural asc", stalled, Some("1.0.100-prod"));
    check("natural desc", stalled, Some("1.0.9-prod"));
    check("natural asc", "rc9 rc10", Some("rc10"));
    check(
        "natural asc",
        "20220209-4 20220209-04 20220209-22",
        Some("20220209-22"),
    );
    check(
        "calver YYYY0M0D-MICRO",
        "20220209-4 20220209-04 20220209-22 99999999-1",
        Some("20220209-22"),
    );
    check(
        "calver YYYY.0M.MICRO",
        "2024.01.9 2024.01.10 2025.1.1 latest",
        Some("2024.01.10"),
    );
    check(
        "loose 3.12.*",
        "3.12.0-1 3.12.1-1 3.13.0-1",
        Some("3.12.1-1"),
    );
    check(
        "loose *",
        "1.40.1.8227 1.40.2.8395 1.40.2",
        Some("1.40.2.8395"),
    );
    check("loose *", "1.0-rc9 1.0-rc10", None);
    check("loose >=1-0", "1.0-rc9 1.0-rc10", Some("1.0-rc10"));
    let error = Order::loose("").unwrap_err();
    assert_eq!(error.place().field, "policy.loose.range");
    check_rules(
        &policy("calver YYYY.0M"),
        &["2024.13"],
        &["2024.13 is not a version in the calendar format"],
    );
    check_rules(
        &policy("loose 1"),
        &["latest", "2"],
        &[
            "latest is not a version of one to four parts",
            "2 is outside `1`: fails `1`",
        ],
    );
}

#[test]
fn alphabetical_warns_where_counting_would_choose_otherwise() {
    let advice = |tags: &[&str]| explain(&policy("alphabetical asc"), &scan(tags)).advice;
    let tag = "1.0.100".parse().unwrap();
    assert_eq!(
        advice(&["1.0.90", "1.0.100"]),
        [Advice::NaturalDiffers { tag }]
    );
    assert_eq!(advice(&["1.0.90", "1.0.89"]), []);
    let down = explain(&policy("alphabetical desc"), &scan(&["1", "01"]));
    assert_eq!(down.advice, []);
}

#[track_caller]
fn check_ties(policy: &Policy, tags: &str, winner: &str, losers: &[&str]) {
    check_policy(policy, tags, Some(winner));
    let tags = tags.split_whitespace().collect::<Vec<_>>();
    let verdict = select(policy, &scan(&tags));
    let ties = &verdict.selected().unwrap().ties;
    assert_eq!(ties.iter().map(Tag::as_str).collect::<Vec<_>>(), losers);
}

#[test]
fn ties_go_to_the_greatest_bytes_and_are_told() {
    check_ties(
        &policy("semver *"),
        "1.2.3 v1.2.3 0.1.0 01.2.3",
        "v1.2.3",
        &["1.2.3", "01.2.3"],
    );
    check_ties(&policy("numerical desc"), "1.0 1 01 2", "1.0", &["1", "01"]);
    let collide = filtered("semver *", "^(?P<semver>[0-9.]+)-alpine", "$semver");
    let tags = "7.0.0-alpine3.17 7.0.0-alpine3.18 6.0.0-alpine3.19 7.0.0-alpine3.18";
    check_ties(&collide, tags, "7.0.0-alpine3.18", &["7.0.0-alpine3.17"]);
    let constant = filtered("alphabetical asc", "", "x");
    check_ties(&constant, "b a c", "c", &["b", "a"]);
    let build = filtered("semver *", r"^v?([0-9.]+)(?:-(b))?$", "$1+x$2");
    check_ties(
        &build,
        "1.2.3 v1.2.3 1.2.3-b",
        "v1.2.3",
        &["1.2.3-b", "1.2.3"],
    );
}

#[test]
fn the_key_is_what_was_compared() {
    let verdict = select(
        &filtered("numerical asc", r"-(\d+)$", "$1"),
        &scan(&["a-1", "b-20"]),
    );
    assert_eq!(verdict.selected().unwrap().key, "20");
    let verdict = select(
        &filtered("semver *", r"^(\d+)-(\d+)$", "$1.$2.0"),
        &scan(&["1-2"]),
    );
    assert_eq!(verdict.selected().unwrap().key, "1.2.0");
}

fn verdict_for(policy: &Policy, tags: &[impl AsRef<str>], current: &str) -> Verdict {
    let scan = scan(tags);
    let current = Some(current);
    let now = scan.finished;
    let verdict = select_in(policy, &scan, Situation { current, now }).0;
    let decider = Decider::new(policy, &scan, now);
    assert_eq!(decider.verdict(current).0, verdict, "one way or the other");
    verdict
}

#[track_caller]
fn check_hold(policy: &Policy, tags: &str, current: &str, expected: Option<&str>) {
    let tags = tags.split_whitespace().collect::<Vec<_>>();
    let verdict = verdict_for(policy, &tags, current);
    let found = match &verdict {
        Verdict::Held { reason, .. } => Some(reason.to_string()),
        Verdict::Selected(_) | Verdict::NothingMatched(_) => None,
    };
    assert_eq!(found.as_deref(), expected, "{current}");
}

#[test]
fn holds_when_git_already_has_a_newer_image() {
    let semver = policy("semver 1.x");
    let older = |current| format!("1.1.0 is older than {current}, which is in git");
    check_hold(&semver, "1.0.0 1.1.0", "1.2.0", Some(&older("1.2.0")));
    check_hold(&semver, "1.0.0 1.1.0", "v1.1.1", Some(&older("v1.1.1")));
    check_hold(&semver, "1.0.0 1.1.0", "1.1.0", None);
    check_hold(&semver, "1.0.0 1.1.0", "1.0.9", None);
    // Equal, but written otherwise: Flux would move.
    check_hold(&semver, "1.0.0 1.1.0", "v1.1.0", None);
    // Outside the range, but comparable.
    check_hold(&semver, "1.0.0 1.1.0", "2.0.0", Some(&older("2.0.0")));
    check_hold(
        &semver,
        "1.0.0 1.1.0",
        "1.2.0-rc.1",
        Some(&older("1.2.0-rc.1")),
    );
    // What cannot be compared never holds.
    check_hold(&semver, "1.0.0 1.1.0", "latest", None);
    check_hold(&semver, "1.0.0 1.1.0", "not a tag", None);
    check_hold(&semver, "1.0.0 1.1.0", "", None);
    check_hold(&semver, "latest", "1.0.0", None);
}

#[test]
fn the_guard_reads_the_current_tag_as_the_policy_reads_tags() {
    let main = filtered("numerical asc", "^main-[a-f0-9]+-(?P<ts>[0-9]+)", "$ts");
    let tags = "main-a-100 main-b-200";
    let held = "main-b-200 is older than main-0-300, which is in git";
    check_hold(&main, tags, "main-0-300", Some(held));
    check_hold(&main, tags, "main-f-150", None);
    check_hold(&main, tags, "dev-f-300", None);
    check_hold(
        &policy("numerical desc"),
        "5 7",
        "4",
        Some("5 is older than 4, which is in git"),
    );
    check_hold(&policy("numerical desc"), "5 7", "6", None);
    check_hold(
        &policy("alphabetical asc"),
        "a b",
        "c",
        Some("b is older than c, which is in git"),
    );
}

#[test]
fn a_downgrade_that_is_allowed_is_not_held() {
    let policy = Policy {
        downgrade: Downgrade::Allow,
        ..policy("semver 1.x")
    };
    check_hold(&policy, "1.0.0 1.1.0", "1.2.0", None);
    assert!(
        Policy {
            downgrade: Downgrade::Refuse,
            ..policy
        }
        .filter
        .pattern()
        .is_empty()
    );
}

#[track_caller]
fn check_rules(policy: &Policy, tags: &[&str], expected: &[&str]) {
    let explanation = explain(policy, &scan(tags));
    let rules = explanation.rejections.iter();
    let rules = rules.map(|rejection| format!("{} {}", rejection.tag, rejection.rule));
    assert_eq!(rules.collect::<Vec<_>>(), expected);
}

#[test]
fn every_rejected_tag_is_told_the_first_rule_that_it_failed() {
    check_rules(
        &policy("semver 1.x"),
        &["1.0.0", "a.sig", "1.2", "2.0.0", "1.1.0-rc.1"],
        &[
            r"a.sig excluded by `^.*\.sig$`",
            "1.2 is not a semantic version: it has not three parts divided by dots",
            "2.0.0 is outside `1.x`: fails `1.x`",
            "1.1.0-rc.1 is outside `1.x`: is a pre-release, and none is named there",
        ],
    );
    check_rules(
        &policy("semver >=1.0.0 <2 || 4"),
        &["0.9.0", "3.0.0", "1.2.3-rc_1"],
        &[
            "0.9.0 is outside `>=1.0.0 <2 || 4`: fails `>=1.0.0`; fails `4`",
            "3.0.0 is outside `>=1.0.0 <2 || 4`: fails `<2`; fails `4`",
            "1.2.3-rc_1 is not a semantic version: \
             it is not `major.minor.patch` with an optional `-pre` and `+build`",
        ],
    );
    check_rules(
        &filtered("numerical asc", "^n(.*)$", "$1"),
        &["n1", "x1", "nx", "nnan", "n1e400"],
        &[
            "x1 does not match `^n(.*)$`",
            "nx gives `x`, which is not a number",
            "nnan gives `nan`, which is not a number: `nan` has no place in an order",
            "n1e400 gives `1e400`, which is not a number: it is out of range",
        ],
    );
}

#[test]
fn an_explanation_counts_every_stage_and_shows_the_best() {
    let policy = filtered("semver 1.x", "^[^d]", "");
    let mut scan = scan(&[
        "1.0.0", "a.sig", "dev", "x", "2.0.0", "1.10.0", "1.9.0", "v1.9.0",
    ]);
    scan.refused = 3;
    let explanation = explain(&policy, &scan);
    let expected = Stages {
        listed: 8,
        refused: 3,
        excluded: 1,
        filtered: 6,
        parsed: 5,
        in_range: 4,
        candidates: 4,
    };
    assert_eq!(explanation.stages, expected);
    assert_eq!(
        explanation.stages.to_string(),
        "4 of 8 tags matched: 1 excluded, 1 refused by the filter, 1 unreadable to the order, \
         1 outside the range; 3 entries were no tags"
    );
    let best = explanation
        .candidates
        .iter()
        .map(|candidate| candidate.tag.as_str());
    assert_eq!(
        best.collect::<Vec<_>>(),
        ["1.10.0", "v1.9.0", "1.9.0", "1.0.0"]
    );
    assert_eq!(explanation.verdict, select(&policy, &scan));
}

#[test]
fn an_explanation_shows_ten_candidates() {
    let tags = (0..30)
        .map(|patch| format!("1.0.{patch}"))
        .collect::<Vec<_>>();
    let explanation = explain(&policy("semver *"), &scan(&tags));
    assert_eq!(explanation.candidates.len(), 10);
    assert_eq!(explanation.candidates[0].tag.as_str(), "1.0.29");
    assert_eq!(explanation.candidates[9].tag.as_str(), "1.0.20");
}

#[test]
fn nothing_matched_says_how_many_came_how_far() {
    let verdict = select(&policy("semver 1.x"), &scan(&["latest", "2.0.0"]));
    let Verdict::NothingMatched(stages) = verdict else {
        panic!("{verdict:?}");
    };
    let expected = "0 of 2 tags matched: 1 unreadable to the order, 1 outside the range";
    assert_eq!(stages.to_string(), expected);
    let nothing = select(&policy("semver 1.x"), &scan(&[] as &[&str]));
    assert_eq!(nothing, Verdict::NothingMatched(Stages::default()));
}

#[test]
fn an_explanation_is_written_in_plain_words() {
    let policy = filtered("numerical asc", "^n(.*)$", "$1");
    let json = serde_json::to_value(explain(&policy, &scan(&["n1", "n1.0", "x"]))).unwrap();
    let expected = serde_json::json!({
        "verdict": {
            "verdict": "selected",
            "tag": "n1.0",
            "key": "1.0",
            "ties": ["n1"],
            "tied": 1,
        },
        "stages": {
            "listed": 3, "refused": 0, "excluded": 0, "filtered": 2, "parsed": 2, "inRange": 2,
            "candidates": 2,
        },
        "candidates": [{ "tag": "n1.0", "key": "1.0" }, { "tag": "n1", "key": "1" }],
        "rejections": [
            { "tag": "x", "rule": "unmatched", "reason": "does not match `^n(.*)$`" },
        ],
        "without": [],
        "advice": [{ "kind": "ties", "count": 1 }],
    });
    assert_eq!(json, expected);
}

#[test]
fn a_direction_is_asc_or_desc() {
    assert_eq!("".parse(), Ok(Direction::Ascending));
    assert_eq!("ASC".parse(), Ok(Direction::Ascending));
    assert_eq!("Desc".parse(), Ok(Direction::Descending));
    let error = "invalid".parse::<Direction>().unwrap_err();
    assert_eq!(error.class(), crate::error::Class::Config);
    assert_eq!(
        error.in_field("policy.numerical.order").place().field,
        "policy.numerical.order"
    );
}
