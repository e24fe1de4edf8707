use super::*;
use crate::config::Config;

fn scan(repository: &Repository, tags: Vec<Tag>) -> Scan {
    Scan {
        repository: repository.clone(),
        tags,
        refused: 0,
        sifted: 0,
        finished: chrono::DateTime::UNIX_EPOCH,
        took: std::time::Duration::ZERO,
        facts: BTreeMap::default(),
    }
}

/// Checks the policy that is proposed for the tags in Git, and what it chooses of those listed: its
/// order, its filter, and each choice.
fn check(current: &[&str], listed: &[&str], expected: &str) {
    let tags = |tags: &[&str]| {
        tags.iter()
            .map(|it| it.parse().unwrap())
            .collect::<Vec<Tag>>()
    };
    let repository: Repository = "ghcr.io/acme/web".parse().unwrap();
    let shape = Shape::read(current[0]).unwrap();
    let current = Current {
        tags: tags(current).into_iter().collect(),
        is_pinned: false,
    };
    let scan = scan(&repository, tags(listed));
    let mut names = Names::new(&Config::default(), "apps");
    let subject = (repository, shape);
    let draft = draft(&subject, &current, &scan, PlainHttp::Refuse, &mut names).unwrap();
    let fields = [
        "preset:",
        "pattern:",
        "range:",
        "format:",
        "order:",
        "update:",
        "keepPrecision:",
    ];
    let lines = draft.documents.lines().map(str::trim);
    let lines = lines.filter(|line| fields.iter().any(|field| line.starts_with(field)));
    let choices = draft.choices.values().map(ToString::to_string);
    let found = lines.map(str::to_owned).chain(choices).collect::<Vec<_>>();
    assert_eq!(found.join(" | "), expected);
}

#[test]
fn policies_follow_from_the_tags_in_git() {
    check(
        &["1.4.2"],
        &["1.4.2", "1.5.0", "2.0.0", "latest"],
        "range: '1.x' | 1.5.0",
    );
    check(
        &["v0.4.2"],
        &["v0.4.2", "v0.5.0", "v1.0.0"],
        "range: '0.x' | v0.5.0",
    );
    check(
        &["1.4.2", "2.0.0"],
        &["1.4.2", "1.5.0", "2.0.0", "2.1.0"],
        "range: '>=0.0.0' | update: minor | 1.5.0 | 2.1.0",
    );
    check(
        &["1.27"],
        &["1.27", "1.28", "1.28.1"],
        "range: '1.x' | keepPrecision: true | 1.28",
    );
    check(
        &["1.5.0-rc.1"],
        &["1.5.0-rc.1", "1.5.0-rc.2"],
        "range: '1.x-0' | 1.5.0-rc.2",
    );
    check(
        &["1.27.0-alpine"],
        &["1.27.0-alpine", "1.28.0", "1.28.0-alpine", "1.28.1-debian"],
        "pattern: '^(?P<version>v?[0-9]+(\\.[0-9]+){2})\\-alpine$' | range: '1.x' | 1.28.0-alpine",
    );
    check(
        &["15.4.0-debian-12-r9"],
        &[
            "15.4.0-debian-12-r9",
            "15.4.0-debian-12-r10",
            "15.4.0-debian-11-r90",
        ],
        "pattern: '^(?P<version>v?[0-9]+(\\.[0-9]+){2})\\-debian\\-12\\-r(?P<revision>[0-9]+)$' | range: '15.x' | keepPrecision: true | 15.4.0-debian-12-r10",
    );
    check(
        &["3.12.0-1"],
        &["3.12.0-1", "3.12.0-10"],
        "range: '3.x' | keepPrecision: true | 3.12.0-10",
    );
    check(
        &["2026-01-02"],
        &["2026-01-02", "2026-02-01", "nightly"],
        "preset: date | 2026-02-01",
    );
    check(
        &["20260102"],
        &["20260102", "20260201", "1"],
        "preset: date | 20260201",
    );
    check(
        &["2026.1.3"],
        &["2026.1.3", "2026.10.0", "1.0.0"],
        "preset: calver | 2026.10.0",
    );
    check(&["41"], &["41", "9", "100"], "preset: build-number | 100");
    check(
        &["main-4f2a9c1-100"],
        &["main-4f2a9c1-100", "main-19a6f3b-101", "dev-19a6f3b-900"],
        "preset: main-sha-timestamp | main-19a6f3b-101",
    );
}

#[test]
fn a_preset_is_proposed_where_it_chooses_the_same() {
    // The preset knows `main` and `master`, and no date with words behind it.
    check(
        &["prod-4f2a9c1-100"],
        &["prod-4f2a9c1-100", "prod-19a6f3b-101"],
        "pattern: '^prod\\-[0-9a-f]+\\-(?P<number>[0-9]+)$' | order: asc | prod-19a6f3b-101",
    );
    check(
        &["2026-01-02-slim"],
        &["2026-01-02-slim", "2026-02-01-slim"],
        "pattern: '^(?P<version>.*[0-9])\\-slim$' | format: 'YYYY-0M-0D' | 2026-02-01-slim",
    );
    // It would take more tags, or fewer, than the tags in Git look like.
    check(&["41"], &["41", "100", "build-101"], "order: asc | 100");
}

#[test]
fn tags_without_a_version_have_no_shape() {
    for tag in [
        "latest",
        "main",
        "stable",
        "4f2a9c1",
        "1234567",
        "edge-alpine",
        "1.2x",
    ] {
        assert_eq!(Shape::read(tag), None, "{tag}");
    }
}

#[test]
fn every_kind_of_date_is_read() {
    let check = |tag: &str, expected: &str| match Shape::read(tag) {
        Some(Shape::Date { format, suffix }) => assert_eq!(format!("{format}{suffix}"), expected),
        other => panic!("{tag}: {other:?}"),
    };
    check("2026-01-02", "YYYY-0M-0D");
    check("2026.01.02", "YYYY.0M.0D");
    check("20260102-3", "YYYY0M0D-MICRO");
    check("20260102.3", "YYYY0M0D.MICRO");
    check("20260102", "YYYY0M0D");
    check("2026.01.31999", "YYYY.0M.MICRO");
    check("2026.1.3", "YYYY.MM.MICRO");
    check("2026-01-02-slim", "YYYY-0M-0D-slim");
}

#[test]
fn what_would_not_do_is_not_proposed() {
    let repository: Repository = "ghcr.io/acme/web".parse().unwrap();
    let subject = (repository.clone(), Shape::read("9.0.0").unwrap());
    let current = Current {
        tags: ["9.0.0".parse().unwrap()].into(),
        is_pinned: false,
    };
    let scan = scan(&repository, vec!["1.0.0".parse().unwrap()]);
    let mut names = Names::new(&Config::default(), "apps");
    let reason = draft(&subject, &current, &scan, PlainHttp::Refuse, &mut names);
    assert!(reason.is_err(), "{reason:?}");
}
