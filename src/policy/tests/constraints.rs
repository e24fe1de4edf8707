//! Constraints, guards, keys and clocks.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::scan::{Signature, TagFacts};

fn with(words: &str, change: impl FnOnce(&mut Constraints)) -> Policy {
    let mut policy = policy(words);
    change(&mut policy.constraints);
    policy
}

/// Checks what is chosen, or held, where `current` is in Git.
#[track_caller]
fn check_for(policy: &Policy, tags: &str, current: &str, expected: &str) {
    let tags = tags.split_whitespace().collect::<Vec<_>>();
    let verdict = verdict_for(policy, &tags, current);
    let found = match &verdict {
        Verdict::Selected(selection) => selection.tag.to_string(),
        Verdict::Held { reason, .. } => format!("held: {reason}"),
        Verdict::NothingMatched(stages) => format!("nothing: {stages}"),
    };
    assert_eq!(found, expected, "{tags:?} for {current}");
    let reversed = tags.iter().rev().collect::<Vec<_>>();
    assert_eq!(verdict_for(policy, &reversed, current), verdict);
}

#[test]
fn an_update_goes_no_further_than_its_level() {
    let tags = "1.2.3 1.2.9 1.4.0 2.1.0 latest";
    let level = |level| with("semver *", |it| it.update = Some(level));
    check_for(&level(UpdateLevel::Patch), tags, "1.2.3", "1.2.9");
    check_for(&level(UpdateLevel::Minor), tags, "1.2.3", "1.4.0");
    check_for(&level(UpdateLevel::Major), tags, "1.2.3", "2.1.0");
    check_for(&level(UpdateLevel::Minor), tags, "2.0.0", "2.1.0");
    // No tag in Git yet, so there is nothing to measure by.
    check_for(&level(UpdateLevel::Patch), tags, "", "2.1.0");
    check_for(
        &level(UpdateLevel::Patch),
        tags,
        "latest",
        "held: latest, which is in git, has no version to measure by",
    );
    let natural = with("natural asc", |it| it.update = Some(UpdateLevel::Minor));
    check_for(&natural, "1.9.0 1.10.0 2.0.0", "1.2.0", "1.10.0");
    let calver = with("calver YYYY.0M.MICRO", |it| {
        it.update = Some(UpdateLevel::Patch);
    });
    check_for(&calver, "2024.01.9 2024.02.1", "2024.01.3", "2024.01.9");
}

#[test]
fn suffix_and_precision_of_the_tag_in_git_stay() {
    let tags = "1.2 1.3 1.3.1 1.3-alpine 1.3.1-alpine 1.4-alpine 1.5-debian 2-alpine";
    let both = with("loose >=0-0", |it| {
        it.suffix = Keep::Yes;
        it.precision = Keep::Yes;
    });
    check_for(&both, tags, "1.2-alpine", "1.4-alpine");
    check_for(&both, tags, "1.2", "1.3");
    check_for(&both, tags, "1.2.0", "1.3.1");
    check_for(&both, tags, "1-alpine", "2-alpine");
    let missing = "nothing: 0 of 8 tags matched: 8 refused by constraints";
    check_for(&both, tags, "1.2-windows", missing);
    let suffix = with("loose >=0-0", |it| it.suffix = Keep::Yes);
    check_for(&suffix, tags, "1.2-alpine", "2-alpine");
    check_for(
        &suffix,
        tags,
        "edge",
        "held: edge, which is in git, has no number to measure by",
    );
}

#[test]
fn the_switch_for_prereleases_is_stronger_than_the_range() {
    let tags = "1.0.0 1.1.0-rc.1 2.0.0-rc.1";
    let switched = |range: &str, prereleases| {
        with(&format!("semver {range}"), |it| {
            it.prereleases = prereleases;
        })
    };
    let include = Prereleases::Include;
    check_policy(&switched("1.x", Prereleases::AsRange), tags, Some("1.0.0"));
    check_policy(&switched("1.x", include), tags, Some("1.1.0-rc.1"));
    check_policy(&switched(">=1.0.0 <2", include), tags, Some("1.1.0-rc.1"));
    check_policy(&switched("*", include), tags, Some("2.0.0-rc.1"));
    check_policy(
        &switched(">=1-0", Prereleases::Exclude),
        tags,
        Some("1.0.0"),
    );
    let natural = with("natural asc", |it| it.prereleases = Prereleases::Exclude);
    check_policy(&natural, tags, Some("1.0.0"));
}

fn deny(kind: TagRuleKind, text: &str) -> Denial {
    Denial {
        rule: TagRule::new("constraints.deny.0", kind, text).unwrap(),
        reason: Some("it loses mail".to_owned()),
        until: None,
    }
}

#[test]
fn what_is_denied_or_not_allowed_takes_no_part() {
    let tags = "1.0.0 1.1.0 1.2.0 1.2.1-rc.1 1.3.0";
    let policy = |denial: &Denial| with("semver >=1-0", |it| it.deny = vec![denial.clone()]);
    check_policy(
        &policy(&deny(TagRuleKind::Tag, "1.3.0")),
        tags,
        Some("1.2.1-rc.1"),
    );
    let range = deny(TagRuleKind::Range, ">=1.2 <2");
    check_policy(&policy(&range), tags, Some("1.1.0"));
    check_rules(
        &policy(&range),
        &["1.0.0", "1.2.0"],
        &["1.2.0 is denied by `>=1.2 <2`: it loses mail"],
    );
    let expired = Denial {
        until: Some(DateTime::UNIX_EPOCH),
        ..range.clone()
    };
    check_policy(&policy(&expired), tags, Some("1.3.0"));
    let pending = Denial {
        until: Some(DateTime::UNIX_EPOCH + TimeDelta::days(1)),
        ..range
    };
    check_policy(&policy(&pending), tags, Some("1.1.0"));
    let allow = |text| TagRule::new("constraints.allow.0", TagRuleKind::Range, text).unwrap();
    let allowed = with("natural asc", |it| {
        it.allow = vec![allow("1.0.x"), allow("1.2")];
    });
    check_policy(&allowed, tags, Some("1.2.0"));
    let error = TagRule::new("constraints.deny.3.range", TagRuleKind::Range, "1.y").unwrap_err();
    assert_eq!(error.place().field, "constraints.deny.3.range");
}

#[test]
fn a_digest_that_is_not_known_is_never_guessed() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let policy = with("semver *", |it| {
        it.deny = vec![deny(TagRuleKind::Digest, &digest)];
    });
    let held = "held: it is not known of 1.1.0 its digest, and the policy needs it";
    check_for(&policy, "1.0.0 1.1.0", "1.0.0", held);
    let mut scan = scan(&["1.0.0", "1.1.0"]);
    let known = |digest: &str| TagFacts {
        digest: Some(digest.parse().unwrap()),
        ..TagFacts::default()
    };
    scan.facts.insert("1.1.0".parse().unwrap(), known(&digest));
    let Verdict::Held { selection, .. } = select(&policy, &scan) else {
        panic!("1.0.0 is unknown still");
    };
    assert_eq!(selection.tag.as_str(), "1.0.0");
    let other = format!("sha256:{}", "b".repeat(64));
    scan.facts.insert("1.0.0".parse().unwrap(), known(&other));
    assert_eq!(selected(&select(&policy, &scan)), Some("1.0.0"));
}

/// Tags that were created so many hours before the scan.
fn aged(tags: &[(&str, Option<i64>)]) -> Scan {
    let mut scan = scan(&tags.iter().map(|(tag, _)| tag).collect::<Vec<_>>());
    scan.finished = DateTime::UNIX_EPOCH + TimeDelta::days(365);
    for (tag, hours) in tags {
        let facts = TagFacts {
            created: hours.map(|hours| scan.finished - TimeDelta::hours(hours)),
            ..TagFacts::default()
        };
        scan.facts.insert(tag.parse().unwrap(), facts);
    }
    scan
}

fn held_or_selected(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Selected(selection) => selection.tag.to_string(),
        Verdict::Held { reason, .. } => reason.to_string(),
        Verdict::NothingMatched(_) => "nothing".to_owned(),
    }
}

#[test]
fn a_tag_that_is_too_young_waits() {
    let policy = with("semver *", |it| {
        it.minimum_age = Some(MinimumAge {
            age: std::time::Duration::from_hours(72),
            clock: Clock::Created,
        });
    });
    let check = |tags: &[(&str, Option<i64>)], expected: &str| {
        let verdict = select(&policy, &aged(tags));
        assert_eq!(held_or_selected(&verdict), expected, "{tags:?}");
    };
    check(&[("1.0.0", Some(100)), ("1.1.0", Some(71))], "1.0.0");
    check(&[("1.0.0", Some(100)), ("1.1.0", Some(72))], "1.1.0");
    check(&[("1.0.0", Some(-1))], "nothing");
    // What is not known matters only where it could win.
    check(&[("1.0.0", None), ("1.1.0", Some(72))], "1.1.0");
    let unknown = "it is not known of 1.2.0 when it was created, and the policy needs it";
    check(&[("1.2.0", None), ("1.1.0", Some(72))], unknown);
}

#[test]
fn newest_is_by_the_clock_of_the_scan() {
    let policy = Policy::new(Order::Newest(Clock::Created));
    let check = |tags: &[(&str, Option<i64>)], expected: &str| {
        let verdict = select(&policy, &aged(tags));
        assert_eq!(held_or_selected(&verdict), expected, "{tags:?}");
    };
    check(&[("a", Some(1)), ("b", Some(3))], "a");
    check(&[("a", Some(1)), ("b", Some(1))], "b");
    let unknown = "it is not known of b when it was created, and the policy needs it";
    check(&[("a", Some(1)), ("b", None)], unknown);
    let scan = aged(&[("a", Some(9)), ("b", Some(10)), ("c", Some(1))]);
    let current = Some("c");
    let now = scan.finished;
    let mut shorter = scan.clone();
    shorter.tags.retain(|tag| tag.as_str() != "c");
    let (verdict, _) = select_in(&policy, &shorter, Situation { current, now });
    assert_eq!(
        held_or_selected(&verdict),
        "a is older than c, which is in git"
    );
    assert_eq!(verdict.selection().unwrap().key, "1970-12-31T15:00:00Z");
}

#[test]
fn an_image_is_signed_where_it_must_be() {
    let policy = with("semver *", |it| it.signing = Signing::Required);
    let signed = || Signature::By("cosign.pub".to_owned());
    let check = |newest: Option<Signature>, expected: &str, advice: &str| {
        let mut scan = scan(&["1.0.0", "1.1.0"]);
        for (tag, signature) in [("1.0.0", Some(signed())), ("1.1.0", newest)] {
            let facts = TagFacts {
                signature,
                ..TagFacts::default()
            };
            scan.facts.insert(tag.parse().unwrap(), facts);
        }
        let verdict = select(&policy, &scan);
        assert_eq!(held_or_selected(&verdict), expected);
        let explanation = explain(&policy, &scan);
        assert_eq!(explanation.verdict, verdict);
        let found = explanation.advice.iter().map(ToString::to_string);
        assert_eq!(found.collect::<String>(), advice);
        let rejected = explanation.rejections.iter().map(|it| it.tag.as_str());
        let expected = (!advice.is_empty()).then_some("1.1.0");
        assert_eq!(rejected.collect::<Vec<_>>(), Vec::from_iter(expected));
    };
    check(Some(signed()), "1.1.0", "");
    let passed_over = |why: &str| format!("`1.1.0` is passed over: it {why}");
    check(
        Some(Signature::Missing),
        "1.0.0",
        &passed_over("is not signed"),
    );
    let stranger = passed_over("is signed by none of the policy's keys");
    check(Some(Signature::Stranger), "1.0.0", &stranger);
    let foreign = passed_over("has the signature of another image");
    check(Some(Signature::Foreign), "1.0.0", &foreign);
    let unfit = passed_over("has a signature that is none of an image");
    check(Some(Signature::Unfit), "1.0.0", &unfit);
    let unread = Signature::Unreadable("it is no bundle".to_owned());
    let words = passed_over("has a signature that is not read: it is no bundle");
    check(Some(unread), "1.0.0", &words);
    // What is not known is no reason to take something older.
    let unknown = Signature::Unknown("503".to_owned());
    let held = "whether 1.1.0 is signed could not be found out: 503";
    check(Some(unknown), held, "");
    let held = "it is not known of 1.1.0 who signed it, and the policy needs it";
    check(None, held, "");
}

#[test]
fn an_image_runs_where_it_must() {
    let policy = with("semver *", |it| {
        it.platforms = vec![
            "linux/amd64".parse().unwrap(),
            "linux/arm64".parse().unwrap(),
        ];
    });
    let mut scan = scan(&["1.0.0", "1.1.0"]);
    let mut know = |tag: &str, platforms: &[&str]| {
        let platforms = platforms.iter().map(|&it| it.to_owned()).collect();
        let facts = TagFacts {
            platforms: Some(platforms),
            ..TagFacts::default()
        };
        scan.facts.insert(tag.parse().unwrap(), facts);
    };
    know("1.0.0", &["linux/arm64", "linux/amd64"]);
    know("1.1.0", &["linux/amd64"]);
    assert_eq!(selected(&select(&policy, &scan)), Some("1.0.0"));
    let explanation = explain(&policy, &scan);
    let rule = explanation.rejections[0].rule.to_string();
    assert_eq!(rule, "does not run on linux/arm64");
    let without = &explanation.without[0];
    assert_eq!(
        (without.constraint, without.tag.as_str()),
        ("platforms", "1.1.0")
    );
    assert!("linux".parse::<Platform>().is_err());
    assert!("linux/arm/v7".parse::<Platform>().is_ok());
}

#[test]
fn strict_is_what_flux_does() {
    let strict = Policy::new(Order::strict_numerical(Direction::Ascending));
    check_for(&strict, "1 2 3", "1", "3");
    let held = "held: latest is not a number, and the policy is strict";
    check_for(&strict, "1 2 latest", "1", held);
}

#[test]
fn keys_are_compared_one_after_the_other() {
    let keys = |words: &str, pattern: &str| {
        let keys = Keys::parse(words).unwrap();
        assert_eq!(keys.to_string(), words);
        Policy {
            filter: TagFilter::with_keys(pattern, &keys).unwrap(),
            ..Policy::new(Order::Keys(keys))
        }
    };
    let pattern = r"^(?P<date>\d{8})-(?P<build>\d+)(?:-(?P<word>[a-z]+))?$";
    let tags = "20240101-9 20240101-10-b 20240102-2 20240102-2-a 20240102-1-b x";
    check_policy(
        &keys("date:number build:number", pattern),
        tags,
        Some("20240102-2-a"),
    );
    let down = keys("date:number:desc build:number word:text", pattern);
    check_policy(&down, tags, Some("20240101-10-b"));
    let versions = r"^(?P<v>[\d.]+)-(?P<rev>\d+)$";
    check_policy(
        &keys("v:semver rev:number", versions),
        "1.9.0-9 1.10.0-1 1.10.0-2 1.10-3",
        Some("1.10-3"),
    );
    check_rules(
        &keys("v:semver rev:number", r"^(?P<v>[\d.x]+)-(?P<rev>\d+)$"),
        &["1.x-1"],
        &["1.x-1 gives `1.x 1`, which has a key that is not a semver"],
    );
    let error = TagFilter::with_keys("(?P<date>x)", &Keys::parse("dat:text").unwrap()).unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("did you mean `date`?"));
    for wrong in ["", "a:b", "a:text:up", "a:text:asc:x"] {
        assert!(Keys::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_list_that_lost_the_tag_in_git_and_all_others_is_not_followed() {
    let semver = policy("semver *");
    let shrunk =
        "held: 1.4.2, which is in git, is no longer listed, and 99.0.0 is all that is left";
    check_for(&semver, "99.0.0 latest", "1.4.2", shrunk);
    check_for(&semver, "99.0.0 1.4.2", "1.4.2", "99.0.0");
    check_for(&semver, "99.0.0 98.0.0", "1.4.2", "99.0.0");
    check_for(&semver, "99.0.0", "0.0.0", "99.0.0");
    check_for(&semver, "99.0.0", "latest", "99.0.0");
    let off = Policy {
        guards_off: [Guard::ShrunkList].into(),
        ..semver
    };
    check_for(&off, "99.0.0", "1.4.2", "99.0.0");
}

#[test]
fn a_date_does_not_follow_a_version() {
    let tags = "5.2.3 5.3.0 2021.12.14";
    let held = "held: 2021.12.14 looks like a date, unlike 5.2.3, which is in git";
    check_for(&policy("semver *"), tags, "5.2.3", held);
    check_for(&policy("semver *"), tags, "2020.01.01", "2021.12.14");
    // Who names the other scheme means it.
    check_for(&policy("semver >=2000"), tags, "5.2.3", "2021.12.14");
    check_for(&policy("semver <2000"), tags, "5.2.3", "5.3.0");
    let explanation = explain(&policy("semver *"), &scan(&["5.2.3", "2021.12.14"]));
    let [date, version] = ["2021.12.14", "5.2.3"].map(|tag| tag.parse().unwrap());
    assert_eq!(explanation.advice, [Advice::MixedSchemes { date, version }]);
}

#[test]
fn a_commit_is_not_taken_for_a_version() {
    let held = "held: 20481937 may be a commit or a count, beside versions such as 1.4.2";
    check_for(&policy("loose *"), "1.4.2 1.4.1 20481937", "1.4.1", held);
    check_for(&policy("natural asc"), "1.4.2 20481937", "", held);
    check_for(
        &policy("natural asc"),
        "20481936 20481937",
        "20481936",
        "20481937",
    );
    let off = Policy {
        guards_off: [Guard::DigitTags].into(),
        ..policy("loose *")
    };
    check_for(&off, "1.4.2 1.4.1 20481937", "1.4.1", "20481937");
}

#[test]
fn a_filter_that_keeps_nothing_is_told() {
    let nothing = filtered("semver *", "^v", "");
    assert_eq!(
        explain(&nothing, &scan(&["1.0.0"])).advice,
        [Advice::NothingKept]
    );
    assert_eq!(explain(&nothing, &scan(&[] as &[&str])).advice, []);
}

fn any_tag() -> impl Strategy<Value = String> {
    "v?[0-2]\\.[0-2](\\.[0-2])?(-(rc\\.?[0-2]|alpine))?"
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let words = prop::sample::select(vec!["semver >=0-0", "loose *", "natural asc"]);
    let level = prop::sample::select(vec![
        None,
        Some(UpdateLevel::Patch),
        Some(UpdateLevel::Minor),
    ]);
    let prereleases = prop::sample::select(vec![
        Prereleases::AsRange,
        Prereleases::Include,
        Prereleases::Exclude,
    ]);
    let keeps = || prop::sample::select(vec![Keep::No, Keep::Yes]);
    let denied = prop::option::of(any_tag());
    (words, level, prereleases, keeps(), keeps(), denied).prop_map(
        |(words, update, prereleases, suffix, precision, denied)| {
            with(words, |it| {
                it.update = update;
                it.prereleases = prereleases;
                it.suffix = suffix;
                it.precision = precision;
                it.deny = denied
                    .iter()
                    .map(|tag| deny(TagRuleKind::Tag, tag))
                    .collect();
            })
        },
    )
}

proptest! {
    #[test]
    fn constraints_ignore_order_and_duplicates_and_rest_where_they_arrive(
        policy in any_policy(),
        tags in prop::collection::vec(any_tag(), 1..10),
        current in any_tag(),
    ) {
        let verdict = verdict_for(&policy, &tags, &current);
        let mut turned = tags.clone();
        turned.reverse();
        turned.extend(tags.clone());
        let again = verdict_for(&policy, &turned, &current);
        let tag = |verdict: &Verdict| verdict.selection().map(|it| it.tag.clone());
        prop_assert_eq!(tag(&verdict), tag(&again));
        // Once written, the selection is what is selected.
        if let Some(selection) = verdict.selected() {
            let again = verdict_for(&policy, &tags, selection.tag.as_str());
            prop_assert_eq!(again.selected().map(|it| &it.tag), Some(&selection.tag));
        }
    }

    #[test]
    fn a_constraint_only_takes_away(
        policy in any_policy(),
        tags in prop::collection::vec(any_tag(), 1..10),
        current in any_tag(),
    ) {
        let scan = scan(&tags);
        let now: DateTime<Utc> = scan.finished;
        let situation = Situation { current: Some(&current), now };
        let explanation = explain_in(&policy, &scan, situation);
        let (verdict, stages) = select_in(&policy, &scan, situation);
        prop_assert_eq!(&explanation.verdict, &verdict);
        prop_assert_eq!(explanation.stages, stages);
        prop_assert_eq!(explanation.rejections.len() + stages.candidates, stages.listed);
    }

    #[test]
    fn keys_are_total(texts in prop::array::uniform3("[0-2]{1,2} [0-2](\\.[0-2])? [a-b]{0,2}")) {
        let keys = Keys::parse("a:number b:semver:desc c:text").unwrap();
        let [one, two, three] = &texts;
        prop_assert!(keys.compare(one, one).is_eq());
        prop_assert_eq!(keys.compare(one, two), keys.compare(two, one).reverse());
        if keys.compare(one, two).is_le() && keys.compare(two, three).is_le() {
            prop_assert!(keys.compare(one, three).is_le());
        }
    }

    #[test]
    fn no_words_of_keys_panic(text in "\\PC{0,40}|[a-z: ]{0,30}") {
        let _ = Keys::parse(&text);
    }
}
