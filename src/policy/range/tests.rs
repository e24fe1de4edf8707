use super::{super::constraint::Prereleases, *};
use proptest::prelude::*;

const CANDIDATES: &str = "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1.0.0 1.2.0 1.2.3 1.2.9 1.10.0 2.0.0 2.1.0 \
    1.2.3-rc.1 1.3.0-beta.2 2.0.0-rc.1 0.0.0-alpha";
const ALL: &str = CANDIDATES;
const STABLE: &str = "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1.0.0 1.2.0 1.2.3 1.2.9 1.10.0 2.0.0 2.1.0";
const STABLE_BUT_ZERO: &str = "0.0.3 0.0.4 0.2.3 0.3.0 1.0.0 1.2.0 1.2.3 1.2.9 1.10.0 2.0.0 2.1.0";

fn admitted<'t>(range: &str, tags: &'t str) -> Vec<&'t str> {
    let range = Range::new(range).unwrap();
    let tags = tags.split(' ');
    tags.filter(|tag| range.admits(&Version::read(tag).unwrap(), Prereleases::AsRange))
        .collect()
}

#[track_caller]
fn check(range: &str, accepted: &str, selected: Option<&str>) {
    let found = admitted(range, CANDIDATES);
    assert_eq!(found.join(" "), accepted, "{range}");
    let greatest = found.iter().max_by(|one, other| {
        Version::read(one)
            .unwrap()
            .cmp(&Version::read(other).unwrap())
    });
    assert_eq!(greatest.copied(), selected, "{range}");
}

#[test]
fn versions_without_an_operator_accept_what_masterminds_accepts() {
    check("*", STABLE, Some("2.1.0"));
    check("x", STABLE, Some("2.1.0"));
    check("1", "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0", Some("1.10.0"));
    check("1.x", "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0", Some("1.10.0"));
    check("1.2", "1.2.0 1.2.3 1.2.9", Some("1.2.9"));
    check("1.2.x", "1.2.0 1.2.3 1.2.9", Some("1.2.9"));
    check("1.2.*", "1.2.0 1.2.3 1.2.9", Some("1.2.9"));
    check("=1.2", "1.2.0 1.2.3 1.2.9", Some("1.2.9"));
    check("=1", "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0", Some("1.10.0"));
    check("1.2.3", "1.2.3", Some("1.2.3"));
    check("v1.2.3", "1.2.3", Some("1.2.3"));
    check("=v1.2.3", "1.2.3", Some("1.2.3"));
}

#[test]
fn inequalities_accept_what_masterminds_accepts() {
    check(
        "!=1.2.3",
        "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1.0.0 1.2.0 1.2.9 1.10.0 2.0.0 2.1.0",
        Some("2.1.0"),
    );
    check(
        "!=1",
        "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 2.0.0 2.1.0",
        Some("2.1.0"),
    );
    check(
        "!=1.2",
        "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1.0.0 1.10.0 2.0.0 2.1.0",
        Some("2.1.0"),
    );
    check("!=*", STABLE_BUT_ZERO, Some("2.1.0"));
    check(">1", "2.0.0 2.1.0", Some("2.1.0"));
    check(">1.2", "1.10.0 2.0.0 2.1.0", Some("2.1.0"));
    check(">1.2.3", "1.2.9 1.10.0 2.0.0 2.1.0", Some("2.1.0"));
    check(">*", STABLE_BUT_ZERO, Some("2.1.0"));
    check(
        ">=1",
        "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0 2.0.0 2.1.0",
        Some("2.1.0"),
    );
    check(
        ">=1.2",
        "1.2.0 1.2.3 1.2.9 1.10.0 2.0.0 2.1.0",
        Some("2.1.0"),
    );
    check(
        "=>1.2",
        "1.2.0 1.2.3 1.2.9 1.10.0 2.0.0 2.1.0",
        Some("2.1.0"),
    );
    check(">=*", STABLE, Some("2.1.0"));
    check("<1", "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0", Some("0.3.0"));
    check("<1.2", "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1.0.0", Some("1.0.0"));
    check(
        "<2.0.0-0",
        "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1.0.0 1.2.0 1.2.3 1.2.9 1.10.0 1.2.3-rc.1 1.3.0-beta.2 0.0.0-alpha",
        Some("1.10.0"),
    );
    check("<*", "", None);
    check(
        "<=1",
        "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1.0.0 1.2.0 1.2.3 1.2.9 1.10.0",
        Some("1.10.0"),
    );
    check(
        "<=1.2",
        "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1.0.0 1.2.0 1.2.3 1.2.9",
        Some("1.2.9"),
    );
    check(
        "=<1.2",
        "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1.0.0 1.2.0 1.2.3 1.2.9",
        Some("1.2.9"),
    );
    check("<=*", "0.0.0 0.0.3 0.0.4", Some("0.0.4"));
}

#[test]
fn tildes_and_carets_accept_what_masterminds_accepts() {
    check("~1", "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0", Some("1.10.0"));
    check("~1.2", "1.2.0 1.2.3 1.2.9", Some("1.2.9"));
    check("~1.2.3", "1.2.3 1.2.9", Some("1.2.9"));
    check("~>1.2.3", "1.2.3 1.2.9", Some("1.2.9"));
    check("~*", STABLE, Some("2.1.0"));
    check("~0", "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0", Some("0.3.0"));
    check("~0.0.0", STABLE, Some("2.1.0"));
    check("~0.0.3", "0.0.3 0.0.4", Some("0.0.4"));
    check("~1.2.3-0", "1.2.3 1.2.9 1.2.3-rc.1", Some("1.2.9"));
    check("~1.2.3-rc.1", "1.2.3 1.2.9 1.2.3-rc.1", Some("1.2.9"));
    check("^1", "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0", Some("1.10.0"));
    check("^1.2", "1.2.0 1.2.3 1.2.9 1.10.0", Some("1.10.0"));
    check("^1.2.3", "1.2.3 1.2.9 1.10.0", Some("1.10.0"));
    check("^0", "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0", Some("0.3.0"));
    check("^0.2", "0.2.3", Some("0.2.3"));
    check("^0.2.3", "0.2.3", Some("0.2.3"));
    check("^0.0", "0.0.0 0.0.3 0.0.4", Some("0.0.4"));
    check("^0.0.3", "0.0.3", Some("0.0.3"));
    check("^0.0.0", "0.0.0", Some("0.0.0"));
    check("^*", "0.0.0", Some("0.0.0"));
    check(
        "^1.2.3-0",
        "1.2.3 1.2.9 1.10.0 1.2.3-rc.1 1.3.0-beta.2",
        Some("1.10.0"),
    );
    check(
        "1 - 2",
        "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0 2.0.0 2.1.0",
        Some("2.1.0"),
    );
    check("1.2 - 2.0", "1.2.0 1.2.3 1.2.9 1.10.0 2.0.0", Some("2.0.0"));
    check("1.2.3 - 2.0.0", "1.2.3 1.2.9 1.10.0 2.0.0", Some("2.0.0"));
    check(
        "1.2.3 - 2.0.0-0",
        "1.2.3 1.2.9 1.10.0 1.3.0-beta.2",
        Some("1.10.0"),
    );
    check(
        "1.x - 2.x",
        "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0 2.0.0 2.1.0",
        Some("2.1.0"),
    );
}

#[test]
fn pre_releases_and_groups_accept_what_masterminds_accepts() {
    check(
        ">=1.0.0-0",
        "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0 2.0.0 2.1.0 1.2.3-rc.1 1.3.0-beta.2 2.0.0-rc.1",
        Some("2.1.0"),
    );
    check(
        ">=1.0.0-0 <2.0.0",
        "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0 1.2.3-rc.1 1.3.0-beta.2 2.0.0-rc.1",
        Some("2.0.0-rc.1"),
    );
    check(
        ">=1.0.0-0, <2.0.0-0",
        "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0 1.2.3-rc.1 1.3.0-beta.2",
        Some("1.10.0"),
    );
    check(">=0-0", ALL, Some("2.1.0"));
    check("*-0", ALL, Some("2.1.0"));
    check(
        "1.x-0",
        "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0 1.2.3-rc.1 1.3.0-beta.2",
        Some("1.10.0"),
    );
    check(
        ">=1.2 <2 || >=2.1",
        "1.2.0 1.2.3 1.2.9 1.10.0 2.1.0",
        Some("2.1.0"),
    );
    check("0.2.3 || 1.2.x", "0.2.3 1.2.0 1.2.3 1.2.9", Some("1.2.9"));
    check("<1 || >2", "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0", Some("0.3.0"));
    check(">1 <2", "", None);
    check(">=1 <2", "1.0.0 1.2.0 1.2.3 1.2.9 1.10.0", Some("1.10.0"));
    check(">1,<2", "", None);
    check(">=1 <2 !=1.2.3", "1.0.0 1.2.0 1.2.9 1.10.0", Some("1.10.0"));
    check("> 1.2 , < 2", "1.10.0", Some("1.10.0"));
}

#[track_caller]
fn check_one(range: &str, tag: &str, expected: bool) {
    assert_eq!(
        !admitted(range, tag).is_empty(),
        expected,
        "{tag} in {range}"
    );
}

#[test]
fn the_quirks_are_kept() {
    check_one("~1.2.3-beta.2", "1.2.4-beta.2", true);
    check_one("!=1.2-rc", "1.2.0-rc", false);
    check_one("!=1.2-rc", "1.2.0-beta", true);
    check_one("!=1.2-rc", "1.2.0", true);
    check_one("!=1-0", "1.2.0-beta", false);
    check_one(">=*-beta", "0.0.0-alpha", false);
    check_one("<*-1", "0.0.0-0", true);
    check_one("*.1", "0.0.0", true);
    check_one("*.|", "3.2.1", true);
    check_one("1.x.3", "1.2.0", true);
    check_one("1.2.3+a", "1.2.3+b", true);
    check_one("01.02.3", "1.2.3", true);
    check_one("1||2 - 3", "1.0.0", true);
    check_one("1||2 - 3", "2.9.0", true);
    check_one("1||2 - 3", "3.9.0", true);
    check_one("1||2 - 3", "4.0.0", true);
    check_one("1 - 2>3", "2.0.0", false);
    check_one("~0.0.0-alpha", "9.0.0", true);
    check_one(">= 1\u{c}<2", "1.0.0", true);
}

fn counts(range: &str) -> Vec<usize> {
    let range = Range::new(range).unwrap_or_else(|error| panic!("{range:?}: {error}"));
    let groups = range.groups.iter();
    groups.map(|group| group.comparators.len()).collect()
}

#[test]
fn comparators_are_told_apart() {
    for (range, expected) in [
        (">= 1.1", [1].as_slice()),
        (">40.50.60, < 50.70", &[2]),
        ("2.0", &[1]),
        ("v2.3.5-20161202202307-sha.e8fc5e5", &[1]),
        ("v1.2.3-0abc", &[1]),
        (">= 1.2.3 < 2.0", &[2]),
        (">= 1.2.3 < 2.0 || => 3.0 < 4", &[2, 2]),
        (">= 1.2.3, < 2.0 || => 3.0, < 4", &[2, 2]),
        ("3 - 4 || => 3.0, < 4", &[2, 2]),
        ("12.3.34 ~1.2.3", &[2]),
        ("1.0.0 - 2.0.0, <=2.0.0", &[3]),
        ("1.1-3", &[1]),
        ("1.X", &[1]),
        (" 1.2 ", &[1]),
        ("\t1.2\n", &[1]),
        ("> 1.2 , < 2", &[2]),
        (">1.2.3+build", &[1]),
        ("1.2.3 2.3.4", &[2]),
        ("1.0.x", &[1]),
        ("^1.0", &[1]),
        ("=1.0.0", &[1]),
        ("~1.0", &[1]),
        (">=1.0", &[1]),
        (">0,<2.0", &[2]),
        ("1, 3 - 4", &[3]),
        ("1 - 2 3 - 4", &[4]),
        ("1 - 2>3", &[3]),
        ("1 - 2v3", &[3]),
        ("1||2 - 3", &[1, 2]),
    ] {
        assert_eq!(counts(range), expected, "{range:?}");
    }
}

#[track_caller]
fn check_fault(range: &str, problem: &RangeProblem, fault: &str) {
    let error = Range::new(range).unwrap_err();
    assert_eq!(error.place().fault(), fault, "{range:?}: {error}");
    let PolicyError::Range { problem: found, .. } = &error else {
        panic!("{range:?}: {error}");
    };
    assert_eq!(found, problem, "{range:?}");
}

#[test]
fn what_masterminds_refuses_is_refused_where_it_goes_wrong() {
    use RangeProblem as P;
    check_fault("", &P::Missing, "");
    check_fault(" ", &P::Missing, "");
    check_fault("1.0.0p", &P::Unexpected, "p");
    check_fault("1x", &P::Part, "1x");
    check_fault("x1", &P::Part, "x1");
    check_fault("1.1|2", &P::Part, "1|2");
    check_fault("-1", &P::Unexpected, "-");
    check_fault("a", &P::Unexpected, "a");
    check_fault("*-*", &P::Unexpected, "-");
    check_fault("v1.2.3-beta.01", &P::LeadingZero, "-beta.01");
    check_fault(">= bar", &P::Unexpected, "bar");
    check_fault("BAR >= 1.2.3", &P::Unexpected, "BAR");
    check_fault("12.3.4.1234", &P::FourthPart, ".1234");
    check_fault("12.3.34~ 1.2.3", &P::Unseparated, "~");
    check_fault("1.2.3.*", &P::FourthPart, ".*");
    check_fault("1.y", &P::Part, "y");
    check_fault(">=1.2.y <2", &P::Part, "y");
    check_fault("1.", &P::Part, "");
    check_fault("1.2.3-rc..1", &P::Identifier, "..1");
    check_fault("1 | 2", &P::Unexpected, "|");
    check_fault("==1.2.3", &P::Unexpected, "==");
    check_fault("<>1", &P::Unexpected, "<>");
    check_fault("!1", &P::Unexpected, "!");
    check_fault("1 && 2", &P::Unexpected, "&&");
    check_fault(",1", &P::Unexpected, ",");
    check_fault("1,", &P::Missing, "");
    check_fault("1,,2", &P::Unexpected, ",");
    check_fault("1 ||", &P::Missing, "");
    check_fault("|| 1", &P::Missing, "");
    check_fault("1 || || 2", &P::Missing, "");
    check_fault("^", &P::Missing, "^");
    check_fault("1.2.3 -2.0.0", &P::Unexpected, "-");
    check_fault("1.2.3- 2.0.0", &P::Unexpected, "-");
    check_fault("1.0 - 2.0 - 3.0", &P::Unexpected, "-");
    check_fault("V1.2.3", &P::Unexpected, "V");
    check_fault("~ > 1.2", &P::Unexpected, ">");
    check_fault("1;2", &P::Unexpected, ";2");
    check_fault("latest", &P::Unexpected, "latest");
    check_fault("1.2.3-", &P::Unexpected, "-");
    check_fault("0x10", &P::Part, "0x10");
    check_fault(
        "99999999999999999999.0.0",
        &P::TooBig,
        "99999999999999999999.0.0",
    );
    check_fault("1 3 - 4", &P::Unseparated, "");
    check_fault(">1 - 2", &P::Unexpected, ">");
    check_fault(">=1 é", &P::Unexpected, "é");
}

#[test]
fn a_refusal_carries_the_field_and_advice() {
    let error = Range::new("1.2.3 == 2").unwrap_err();
    assert_eq!(
        error.to_string(),
        "improper constraint '1.2.3 == 2' in `semver.range`: \
         here is neither an operator nor a version"
    );
    assert_eq!(error.place().span, 6..8);
    assert_eq!(
        error.hint().as_deref(),
        Some("write `=`; the nearest valid form is `1.2.3 = 2`")
    );
}

#[test]
fn a_range_has_a_bound() {
    let long = format!("1{}", " ".repeat(RANGE_LIMIT - 1));
    assert!(Range::new(&long).is_ok());
    assert!(Range::new(&format!("{long} ")).is_err());
}

#[track_caller]
fn check_objections(range: &str, tag: &str, expected: &[&str]) {
    let range = Range::new(range).unwrap();
    let objections = range.objections(&Version::read(tag).unwrap(), Prereleases::AsRange);
    let objections = objections.iter().map(ToString::to_string);
    assert_eq!(objections.collect::<Vec<_>>(), expected, "{tag} in {range}");
}

#[test]
fn every_alternative_says_why_not() {
    check_objections(">=1.0.0", "0.9.0", &["fails `>=1.0.0`"]);
    check_objections("> 1 < 2", "2.0.0", &["fails `<2`"]);
    check_objections("1 || 3 - 4", "5.0.0", &["fails `1`", "fails `<=4`"]);
    check_objections(
        "1.x",
        "1.2.0-rc.1",
        &["is a pre-release, and none is named there"],
    );
    check_objections("1.x || 2", "2.0.0", &[]);
}

proptest! {
    #[test]
    fn no_range_panics(range in "[0-9vx*.|<>=~^! ,a+-]{0,24}|\\PC{0,60}", tag in "[0-9]\\.[0-9]\\.[0-9](-rc)?") {
        match Range::new(&range) {
            Ok(range) => { range.admits(&Version::read(&tag).unwrap(), Prereleases::AsRange); }
            Err(error) => { let _ = (error.to_string(), error.hint(), error.place().fault()); }
        }
    }

    #[test]
    fn a_hyphen_is_two_comparators(low in "[0-9](\\.[0-9x]){0,2}", high in "[0-9](\\.[0-9x]){0,2}", tag in "[0-9]\\.[0-9]\\.[0-9](-rc)?") {
        let hyphen = format!("{low} - {high}");
        let plain = format!(">={low}, <={high}");
        prop_assert_eq!(admitted(&hyphen, &tag), admitted(&plain, &tag));
    }
}
