use super::*;
use proptest::prelude::*;

const PAGE_SIZE: usize = PAGE_SIZES[0];
const OPEN: Sieve<'_> = Sieve::open();

fn web() -> Repository {
    "r.test/web".parse().expect("a repository")
}

fn page(tags: &[&str]) -> Vec<u8> {
    serde_json::json!({"name": "web", "tags": tags})
        .to_string()
        .into_bytes()
}

fn at(target: &str) -> Url {
    let base = Url::parse("https://r.test").expect("a url");
    base.join(target).expect("a target")
}

/// Feeds one page and gives the sorted tags, the number refused, or the error's text.
fn check_page(body: &[u8], expected: Result<(&[&str], usize), &str>) {
    let repository = web();
    let mut listing = Listing::new(&repository, Limits::default(), None, &OPEN);
    let url = at(&listing.first());
    let found = listing.take(&url, None, body).map(|_| listing.finish());
    let found = found.map_err(|error| error.to_string());
    let found = found.as_ref().map(|it| {
        (
            it.tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
            it.refused,
        )
    });
    let shown: String = String::from_utf8_lossy(body).chars().take(80).collect();
    match (found, expected) {
        (Ok((tags, refused)), Ok(expected)) => {
            assert_eq!((tags.as_slice(), refused), expected, "{shown}");
        }
        (Err(error), Err(expected)) => assert!(error.contains(expected), "{shown}: {error}"),
        (found, expected) => panic!("{shown}: {found:?} instead of {expected:?}"),
    }
}

#[test]
fn a_page_is_read_to_its_end_or_not_at_all() {
    check_page(br#"{"tags":["a","c","b","a"]}"#, Ok((&["c", "b", "a"], 0)));
    check_page(br#"{"name":"x","tags":null,"more":[{}]}"#, Ok((&[], 0)));
    check_page(br#"{"tags":[]}"#, Ok((&[], 0)));
    check_page(
        br#"{"tags":["a","a\nb","../x","","\u0041"]}"#,
        Ok((&["a", "A"], 3)),
    );
    check_page(br#"{"tags":["a","b"#, Err("page 1 ends in the middle"));
    check_page(b"", Err("page 1 ends in the middle"));
    check_page(br#"{"tags":["a"]}{}"#, Err("trailing characters"));
    check_page(br#"{"tags":["a"],"tags":["b"]}"#, Err("duplicate field"));
    check_page(br#"{"tags":["a",1]}"#, Err("invalid type"));
    check_page(br#"{"tags":"a"}"#, Err("invalid type"));
    check_page(br#"{"errors":[]}"#, Err("missing field `tags`"));
    check_page(b"\xef\xbb\xbf{\"tags\":[]}", Err("expected value"));
    check_page(b"{\"tags\":[\"\xff\"]}", Err("it is no UTF-8"));
    check_page(b"<html>502 Bad Gateway</html>", Err("expected value"));
    let nested = "[".repeat(100_000);
    check_page(
        format!("{{\"x\":{nested}").as_bytes(),
        Err("page 1 ends in the middle"),
    );
    check_page(
        format!("{{\"tags\":{nested}").as_bytes(),
        Err("invalid type"),
    );
}

#[test]
fn the_bounds_hold_at_the_limit_and_past_it() {
    let check = |tags: &[&str], limits: Limits, passed: Option<&str>| {
        let repository = web();
        let mut listing = Listing::new(&repository, limits, None, &OPEN);
        let url = at(&listing.first());
        let result = listing.take(&url, None, &page(tags));
        let error = result.err().map(|error| error.to_string());
        let passed =
            passed.map(|it| format!("the answer for `r.test/web` passes the limit of {it}"));
        assert_eq!(error, passed);
    };
    let tags = |tags| Limits {
        tags,
        ..Limits::default()
    };
    check(&["a", "b"], tags(2), None);
    check(&["a", "b", "c"], tags(2), Some("2 tags"));
    check(&["a", "b", "?"], tags(2), Some("2 tags"));
    let tag_bytes = |tag_bytes| Limits {
        tag_bytes,
        ..Limits::default()
    };
    check(&["aa", "bb"], tag_bytes(4), None);
    check(&["aa", "bbb"], tag_bytes(4), Some("4 bytes of tags"));
    let pages = |pages| Limits {
        pages,
        ..Limits::default()
    };
    check(&["a"], pages(1), None);
    check(&["a"], pages(0), Some("0 pages"));
}

/// Feeds pages with their links; gives where the last one leads, or the error's name.
fn check_links(pages: &[(&[&str], Option<&str>)], expected: &str) {
    let repository = web();
    let mut listing = Listing::new(&repository, Limits::default(), None, &OPEN);
    let mut target = listing.first();
    let mut outcome = String::new();
    for (tags, link) in pages {
        match listing.take(&at(&target), *link, &page(tags)) {
            Ok(Next::Page(next)) => {
                outcome.clone_from(&next);
                target = next;
            }
            Ok(Next::Done) => "done".clone_into(&mut outcome),
            Err(ScanError::PagingLeft { next, .. }) => outcome = format!("left to {next}"),
            Err(ScanError::PagingLoop { .. }) => "loop".clone_into(&mut outcome),
            Err(error) => outcome = error.to_string(),
        }
    }
    assert_eq!(outcome, expected, "{pages:?}");
}

#[test]
fn a_link_is_followed_within_the_repository_and_forwards_only() {
    let list = "/v2/web/tags/list";
    check_links(
        &[(&["a"], Some("/v2/web/tags/list?last=a"))],
        "/v2/web/tags/list?last=a",
    );
    check_links(
        &[(&["a"], Some("?last=a&n=1"))],
        "/v2/web/tags/list?last=a&n=1",
    );
    check_links(
        &[(&["a"], Some("list?n=1&last=a#x"))],
        "/v2/web/tags/list?n=1&last=a",
    );
    let absolute = "https://r.test:443/v2/web/tags/list?page=opaque";
    check_links(&[(&["a"], Some(absolute))], "/v2/web/tags/list?page=opaque");
    check_links(
        &[(&["a"], Some("http://r.test/v2/web/tags/list?last=a"))],
        "left to http://r.test/v2/web/tags/list",
    );
    check_links(
        &[(&["a"], Some("https://r.test:444/v2/web/tags/list"))],
        "left to https://r.test:444/v2/web/tags/list",
    );
    check_links(
        &[(&["a"], Some("//evil.test/v2/web/tags/list"))],
        "left to https://evil.test/v2/web/tags/list",
    );
    check_links(
        &[(&["a"], Some("https://u:p@r.test/v2/web/tags/list"))],
        "left to https://r.test/v2/web/tags/list",
    );
    check_links(
        &[(&["a"], Some("/v2/other/tags/list?last=a"))],
        "left to https://r.test/v2/other/tags/list",
    );
    check_links(
        &[(&["a"], Some("/v2/web/../other/tags/list"))],
        "left to https://r.test/v2/other/tags/list",
    );
    check_links(&[(&["a"], Some("https://[/"))], "left to https://[/");
    check_links(&[(&["a"], Some("?n=1000"))], "loop");
    check_links(
        &[(&["a"], Some("?last=a")), (&["b"], Some("?n=1000"))],
        "loop",
    );
    check_links(
        &[(&["a"], Some("?last=a")), (&["b"], Some("?last=a&x=1"))],
        "loop",
    );
    check_links(
        &[(&["a"], Some("?page=2")), (&["a"], Some("?page=3"))],
        "loop",
    );
    check_links(
        &[(&["a"], Some("?page=2")), (&[], Some("?page=3"))],
        &format!("{list}?page=3"),
    );
    check_links(
        &[(&["b"], Some("?last=b")), (&["a"], Some("?last=a"))],
        &format!("{list}?last=a"),
    );
    check_links(&[(&["b"], Some("?last=b")), (&["a"], None)], "done");
}

#[test]
fn a_full_page_without_a_link_is_not_believed_to_be_the_last() {
    let names: Vec<String> = (0..=PAGE_SIZE).map(|it| format!("t{it:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let after = |last: &str| format!("/v2/web/tags/list?n=1000&last={last}");
    check_links(&[(&names[..49], None)], "done");
    check_links(&[(&names[..50], None)], &after("t0049"));
    check_links(&[(&names[..50], None), (&[], None)], "done");
    check_links(&[(&names[..50], None), (&names[..50], None)], "done");
    check_links(
        &[(&names[..50], None), (&names[50..60], None)],
        &after("t0059"),
    );
    check_links(
        &[(&names[..50], Some("?p=2")), (&names[50..100], None)],
        "done",
    );
    check_links(&[(&names[..1001], None)], "done");
    let full = (&names[..1000], None);
    check_links(&[full], &after("t0999"));
    check_links(&[full, full], "/v2/web/tags/list?n=999");
    check_links(&[full, full, full], "done");
    check_links(
        &[full, full, (&names[..999], None)],
        "the listing of `r.test/web` is not complete: the registry sends as many tags as it \
         is asked for, and no link to the rest",
    );
}

#[test]
fn a_registry_that_refuses_large_pages_is_asked_for_smaller_ones() {
    let repository = web();
    let mut listing = Listing::new(&repository, Limits::default(), None, &OPEN);
    let smaller = |n: usize| Some((format!("/v2/web/tags/list?n={n}"), n));
    assert_eq!(listing.smaller(), smaller(100));
    assert_eq!(listing.smaller(), smaller(50));
    assert_eq!(listing.smaller(), None);

    let mut listing = Listing::new(&repository, Limits::default(), Some(100), &OPEN);
    assert_eq!(listing.first(), "/v2/web/tags/list?n=100");
    let url = at(&listing.first());
    listing.take(&url, None, &page(&["a"])).expect("a page");
    assert_eq!(listing.smaller(), None, "a page was read");
}

proptest! {
    #[test]
    fn no_page_and_no_link_panics(body in "\\PC{0,80}", link in "\\PC{0,60}") {
        let repository = web();
        let mut listing = Listing::new(&repository, Limits::default(), None, &OPEN);
        let url = at(&listing.first());
        let _ = listing.take(&url, Some(&link), body.as_bytes());
        let _ = listing.take(&url, Some(&link), &page(&["a"]));
    }

    #[test]
    fn the_answer_does_not_depend_on_order_or_page_size(
        tags in proptest::collection::vec("[a-c]{1,3}", 0..40),
        size in 1_usize..10,
    ) {
        let repository = web();
        let mut listing = Listing::new(&repository, Limits::default(), None, &OPEN);
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let mut target = listing.first();
        let mut unique: Vec<&str> = Vec::new();
        for tag in &tags {
            if !unique.contains(tag) {
                unique.push(tag);
            }
        }
        for (number, part) in unique.chunks(size).enumerate() {
            let link = format!("?page={number}");
            let next = listing.take(&at(&target), Some(&link), &page(part)).expect("a page");
            let Next::Page(next) = next else { panic!("a link was given") };
            target = next;
        }
        let found = listing.finish();
        let found: Vec<_> = found.tags.iter().map(Tag::as_str).collect();
        unique.sort_unstable_by(|left, right| right.cmp(left));
        prop_assert_eq!(found, unique);
    }
}
