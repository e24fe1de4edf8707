use super::*;
use proptest::prelude::*;

fn compile(pattern: &str) -> Result<Pattern, PolicyError> {
    Pattern::new("filterTags.pattern", pattern)
}

/// The text of the first match, `None` where there is none.
#[track_caller]
fn check(pattern: &str, tag: &str, expected: Option<&str>) {
    let pattern = compile(pattern).unwrap();
    let mut locations = pattern.locations();
    let found = pattern.capture(tag, &mut locations);
    let found = found.then(|| {
        let (start, end) = locations.get(0).unwrap();
        &tag[start..end]
    });
    assert_eq!(found, expected, "{pattern} on {tag}");
    assert_eq!(
        pattern.is_match(tag),
        expected.is_some(),
        "{pattern} on {tag}"
    );
}

#[test]
fn a_literal_end_is_what_the_engine_finds() {
    check(r"^.*\.sig$", "sha256-0a.sig", Some("sha256-0a.sig"));
    check(r"^.*\.sig$", "sha256-0a.sigs", None);
    check(r"^.*\.sig$", "1.sbom", None);
    check(r"-debug$", "1.0.0-debug", Some("-debug"));
    check(r"-debug$", "1.0.0-debug1", None);
    check(r"a\\.b$", "a.b", None);
    check(r"a.b$", "axb", Some("axb"));
    check(r"$", "a", Some(""));
}

#[test]
fn what_only_go_writes_means_what_go_means() {
    check(r"\Qa.b\E", "a.b", Some("a.b"));
    check(r"\Qa.b\E", "axb", None);
    check(r"\Qa.b", "xa.b", Some("a.b"));
    check(r"a\Qb.\E+", "ab...", Some("ab..."));
    check(r"a*\Q\E*", "aa", Some("aa"));
    check("x{foo}", "x{foo}", Some("x{foo}"));
    check("a{,5}", "a{,5}", Some("a{,5}"));
    check("a{01}", "a{01}", Some("a{01}"));
    check("{", "a{", Some("{"));
    check("[a&&b]+", "ab&", Some("ab&"));
    check("[a-c--b]", "a", Some("a"));
    check("[a~~b]+", "a~b", Some("a~b"));
    check("[[a]", "[", Some("["));
    check("[[a]]", "a]", Some("a]"));
    check("[[a]]", "ab", None);
    check(r"[\w-.]+", "a-.b", Some("a-.b"));
    check(r"[\d-z]+", "1-zy", Some("1-z"));
    check(r"\101", "A", Some("A"));
    check(r"\1012", "A2", Some("A2"));
    check(r"\0", "\0", Some("\0"));
    check(r"[\101-\103]", "B", Some("B"));
    check(r"\<a\>", "<a>", Some("<a>"));
    check(r"\_\-\/\ ", "_-/ ", Some("_-/ "));
    check("(?P<n>a)|(?P<n>b)", "b", Some("b"));
    check("(?P<1>a)", "a", Some("a"));
    check("a(?i)*", "aaA", Some("aa"));
    check("a*(?i)*", "aa", Some("aa"));
    check("(?)a", "a", Some("a"));
    check("(?ii)A", "a", Some("a"));
    check("(?i-i)A", "a", None);
    check("(?-i:a)b(?i)c|D", "d", Some("d"));
    check("((?i)a)b", "AB", None);
    check("[]a]+", "]a", Some("]a"));
    check("[^]a]", "]", None);
    check("[a-]+", "-a", Some("-a"));
    check(r"\b{start}", "{start}", None);
    check(r"(?:\b){2}a", "a", Some("a"));
    check("^*a", "a", Some("a"));
    check("()*", "a", Some(""));
    check("|a", "a", Some(""));
}

#[test]
fn what_both_write_means_the_same() {
    check("a|ab", "ab", Some("a"));
    check("a+?", "aa", Some("a"));
    check("(?U)a+", "aa", Some("a"));
    check("(?U)a+?", "aa", Some("aa"));
    check("a{2,3}", "aaaa", Some("aaa"));
    check("a{2,3}?", "aaaa", Some("aa"));
    check("a{2,}", "aaaa", Some("aaaa"));
    check("ab*", "abb", Some("abb"));
    check("(ab)*", "abab", Some("abab"));
    check("ver$", "ver\n", None);
    check("(?m)ver$", "ver\nx", Some("ver"));
    check("a.b", "a\nb", None);
    check("(?s)a.b", "a\nb", Some("a\nb"));
    check(r"\bb", "a.b", Some("b"));
    check(r"\Bb", "ab", Some("b"));
    check(r"\Aa\z", "a", Some("a"));
    check(r"\x41\x{42}", "AB", Some("AB"));
    check("[[:alpha:]]+", "ab1", Some("ab"));
    check("[[:^alpha:]]+", "ab1", Some("1"));
    check("[[:word:]-]+", "a_-1", Some("a_-1"));
    check(r"\pL+", "ab1", Some("ab"));
    check(r"\PL+", "ab1", Some("1"));
    check(r"\p{^L}", "1", Some("1"));
    check(r"[\p{Lu}\d]+", "aB1", Some("B1"));
    check(r"[^\pL]", "a1", Some("1"));
    check(r"\p{Latin}", "1a", Some("a"));
    check("(?i)k", "K", Some("K"));
    check("(?i)\u{17f}", "S", Some("S"));
    check("é", "e", None);
    check("[a-é]", "z", Some("z"));
    check("[^é]", "e", Some("e"));
    check(r"[^-debug]", "debug-x", Some("x"));
    check(r"[^\x00-\x{10FFFF}]", "a", None);
    check(r"\x{D800}", "a", None);
    check(r"[\x{D800}]", "a", None);
    check(r"[a\x{D800}-\x{DFFF}]", "a", Some("a"));
}

#[test]
fn what_go_takes_is_taken() {
    for pattern in [
        "",
        "[[:alpha:]]+",
        r"\pL",
        "(?<n>a)",
        "(?P<n>a)",
        r"\d+$",
        r"\z",
        r"\Qa.b\E",
        "x{foo}",
        "a{1000}",
        "(a{100}){10}",
        "(a{1000}){1}",
        "(a{1000})*",
        "(a{0}){1000}",
        "(a+)+$",
        "a*?",
        "(a*)*",
        "(?i:a)",
        "(?imsU-imsU)a",
        "a|",
        "$^",
        r"\p{Greek}",
        r"\p{Letter}",
        r"\p{Any}",
        "[:alpha:]",
        "[[:x]",
        "()",
        "(|)",
        "x{",
        "x{2",
        "x{2,",
        "x{2,1001",
    ] {
        if let Err(error) = compile(pattern) {
            panic!("{pattern}: {error}");
        }
    }
}

#[track_caller]
fn check_fault(pattern: &str, problem: &PatternProblem, fault: &str) {
    let error = compile(pattern).unwrap_err();
    assert_eq!(error.place().fault(), fault, "{pattern}");
    match error {
        PolicyError::Pattern { problem: found, .. } => assert_eq!(&found, problem, "{pattern}"),
        other => panic!("{pattern}: {other}"),
    }
}

#[test]
fn what_go_refuses_is_refused_where_it_goes_wrong() {
    use PatternProblem as P;
    check_fault("a(?=b)", &P::GroupFlags, "(?=");
    check_fault("(?!a)", &P::GroupFlags, "(?!");
    check_fault("(?<=a)", &P::GroupFlags, "(?<=");
    check_fault("(?<!a)", &P::GroupFlags, "(?<!");
    check_fault("(?x)a", &P::GroupFlags, "(?x");
    check_fault("(?u)a", &P::GroupFlags, "(?u");
    check_fault("(?#a)", &P::GroupFlags, "(?#");
    check_fault("(?>a)", &P::GroupFlags, "(?>");
    check_fault("(?i-)a", &P::GroupFlags, "(?i-)");
    check_fault("(?", &P::MissingParenthesis, "(");
    check_fault(r"(a)\1", &P::Escape, r"\1");
    check_fault(r"a\Z", &P::Escape, r"\Z");
    check_fault(r"a\h", &P::Escape, r"\h");
    check_fault(r"\C", &P::Escape, r"\C");
    check_fault(r"\K", &P::Escape, r"\K");
    check_fault(r"\E", &P::Escape, r"\E");
    check_fault(r"\18", &P::Escape, r"\1");
    check_fault(r"\xg1", &P::Escape, r"\x");
    check_fault(r"\x{}", &P::Escape, r"\x");
    check_fault(r"\x{110000}", &P::Escape, r"\x");
    check_fault(r"[\b]", &P::Escape, r"\b");
    check_fault(r"[a-\d]", &P::Escape, r"\d");
    check_fault(r"\é", &P::Escape, r"\é");
    check_fault("a\\", &P::TrailingBackslash, "\\");
    check_fault("a{1001}", &P::RepeatSize, "{1001}");
    check_fault("a{99999999999}", &P::RepeatSize, "{99999999999}");
    check_fault("a{2,1}", &P::RepeatSize, "{2,1}");
    check_fault("(a{1000}){2}", &P::RepeatSize, "{2}");
    check_fault("((a{100}){10}){2}", &P::RepeatSize, "{2}");
    check_fault("a{1000}{1000}", &P::NestedRepeat, "{1000}{1000}");
    check_fault("a++", &P::NestedRepeat, "++");
    check_fault("a**", &P::NestedRepeat, "**");
    check_fault("a*??", &P::NestedRepeat, "*??");
    check_fault("*a", &P::NothingToRepeat, "*");
    check_fault("(+)", &P::NothingToRepeat, "+");
    check_fault("a|?", &P::NothingToRepeat, "?");
    check_fault("(?i)*", &P::NothingToRepeat, "*");
    check_fault("{2}", &P::NothingToRepeat, "{2}");
    check_fault("[=", &P::MissingBracket, "[=");
    check_fault("a[]", &P::MissingBracket, "[]");
    check_fault("[z-a]", &P::ClassRange, "z-a");
    check_fault("[[:foo:]]", &P::ClassRange, "[:foo:]");
    check_fault("^test-(.*", &P::MissingParenthesis, "(");
    check_fault("a)", &P::UnexpectedParenthesis, ")");
    check_fault("(?P<a-b>x)", &P::GroupName, "(?P<a-b>");
    check_fault("(?P<>x)", &P::GroupName, "(?P<>");
    check_fault("(?<n", &P::GroupName, "(?<n");
    check_fault(r"\p{Nope}", &P::UnicodeClass, r"\p{Nope}");
    check_fault(r"\p{Alphabetic}", &P::UnicodeClass, r"\p{Alphabetic}");
    check_fault(r"\p{sc=Greek}", &P::UnicodeClass, r"\p{sc=Greek}");
    check_fault(r"\pQ", &P::UnicodeClass, r"\pQ");
    check_fault(r"\p", &P::UnicodeClass, r"\p");
}

#[test]
fn every_refusal_reads_as_flux_begins_it() {
    let error = compile("^test-(.*").unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid regular expression pattern '^test-(.*' in `filterTags.pattern`: \
         a parenthesis is not closed"
    );
    assert_eq!(error.place().span, 6..7);
    assert!(error.hint().is_some());
}

#[test]
fn a_pattern_has_bounds() {
    assert!(compile(&"a".repeat(PATTERN_LIMIT)).is_ok());
    let error = compile(&"a".repeat(PATTERN_LIMIT + 1)).unwrap_err();
    assert!(matches!(error, PolicyError::TooLong { limit: 1024, .. }));
    assert!(compile(&"(a+)+".repeat(204)).is_ok());
    let error = compile(r"(?i)(\pL{100}){10}").unwrap_err();
    assert!(matches!(error, PolicyError::TooLarge { .. }), "{error}");
}

#[test]
fn hostile_patterns_are_refused_or_stay_linear() {
    let tag = "a".repeat(127) + "b";
    check("(a+)+$", &tag, None);
    check("(.*){500}$", &tag, Some(&tag));
    check("(a|a)*$", &tag, Some(""));
    check("(a*)*(a*)*$", &tag, Some(""));
    assert!(compile("(a{1000}){1000}").is_err());
    assert!(compile(&"a".repeat(64 * 1024)).is_err());
}

#[test]
fn nesting_has_a_bound_that_spares_the_stack() {
    let nested = |open: &str, close: &str, times| {
        compile(&format!("{}a{}", open.repeat(times), close.repeat(times)))
    };
    assert!(nested("(", ")", 100).is_ok());
    assert!(nested("(", ")", 101).is_err());
    assert!(nested("(?:b|", ")*", 50).is_ok());
    assert!(nested("(?:b|", ")*", 51).is_err());
    assert!(nested("", "*(?i)", 100).is_ok());
    assert!(nested("", "*(?i)", 101).is_err());
}

proptest! {
    #[test]
    fn whatever_is_taken_the_engine_takes(
        pattern in "([ab.^$|(){}*+?\\[\\]\\\\&~:,<>=!PQEdwsbpLimsUx0-9-]{0,24})",
        tag in "[ab0-9._-]{0,12}",
    ) {
        match compile(&pattern) {
            Ok(pattern) => { pattern.is_match(&tag); }
            Err(PolicyError::Pattern { problem: PatternProblem::Engine(message), .. }) => {
                return Err(TestCaseError::fail(message));
            }
            Err(_) => {}
        }
    }

    #[test]
    fn quoted_text_matches_itself(text in "[ -~]{1,20}") {
        prop_assume!(!text.contains("\\E"));
        let pattern = compile(&format!("^\\Q{text}\\E$")).unwrap();
        prop_assert!(pattern.is_match(&text));
    }

    #[test]
    fn a_class_of_plain_members_holds_each_of_them(members in "[a-z&~\\[.0-9]{1,8}", each in any::<prop::sample::Index>()) {
        prop_assume!(!members.contains("[:"));
        let pattern = compile(&format!("^[{members}]$")).unwrap();
        let letters = members.chars().collect::<Vec<_>>();
        prop_assert!(pattern.is_match(&each.get(&letters).to_string()));
    }

    #[test]
    fn no_pattern_panics(pattern in "\\PC{0,60}") {
        let _ = compile(&pattern).map_err(|error| (error.to_string(), error.hint()));
    }
}

#[test]
fn a_tag_is_asked_for_its_beginning_first() {
    let check = |pattern: &str, expected: &str| {
        assert_eq!(literal_prefix(pattern), expected, "{pattern}");
    };
    check("^release-(.*)$", "release-");
    check("^release-1.0", "release-1");
    check("^v?1", "");
    check("^av*", "a");
    check("^av{0,1}", "a");
    check("^av+", "av");
    check("^a|b", "");
    check("^(a|b)", "");
    check("(?i)^a", "");
    check("release", "");
    check("^", "");
    check("^v\\.1", "v");
}

proptest! {
    #[test]
    fn a_beginning_changes_no_answer(pattern in r"\^[ab?*+{}0,1|()]{0,6}", tag in "[ab1,]{1,6}") {
        if let Ok(pattern) = compile(&pattern) {
            prop_assert_eq!(pattern.is_match(&tag), pattern.regex.is_match(tag.as_bytes()));
        }
    }
}
