//! The table of `docs/registries.md`, made from what the suite does with each make of registry.

use std::{fmt::Write as _, fs};

use tagwright::{
    fixture::{Fixture, Scheme},
    image::Tag,
    scan::{Depth, Registry},
};

use super::{FIXTURES, serve};
use crate::support::conformance::story;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/registries.md");
const BEGIN: &str = "<!-- made by `GOLDEN=write cargo test --test suite dialects` -->\n";
const END: &str = "<!-- end -->\n";

/// One line of the table: what was asked of a registry of this make, and how often.
async fn line(name: &str) -> Option<String> {
    let (server, subject) = serve(name).await;
    let dialect = subject.fixture.dialect().clone();
    if dialect.product.is_empty() {
        return None;
    }
    subject.conforms().await;

    let (server, subject) = {
        drop(server);
        serve(name).await
    };
    let (web, access) = (subject.repository("acme/web"), subject.access());
    let scan = subject.registry.scan(&web, &access).await;
    let tags = scan
        .unwrap_or_else(|error| panic!("{name}: {}", story(&error)))
        .tags
        .len();
    let first = server.requests();
    subject
        .registry
        .scan(&web, &access)
        .await
        .expect("it was listed before");
    let again = server.requests() - first;
    let tag: Tag = "1.0.0".parse().expect("a tag");
    let facts = subject
        .registry
        .facts(&web, &tag, Depth::Image, &access)
        .await;
    let facts = facts.unwrap_or_else(|error| panic!("{name}: {}", story(&error)));
    assert!(facts.digest.is_some());
    Some(format!(
        "| {} | {} | {} | {} | {tags} | {first} | {again} | yes |\n",
        dialect.product,
        log_in(&subject.fixture),
        dialect.rights,
        if dialect.hides_missing {
            "denied"
        } else {
            "not found"
        },
    ))
}

fn log_in(fixture: &Fixture) -> String {
    let dialect = fixture.dialect();
    match fixture.authentication().map(|it| it.scheme) {
        Some(Scheme::Bearer) if dialect.is_public => "token, also for anybody".to_owned(),
        Some(Scheme::Bearer) => format!("token, `{}`", dialect.token_path),
        Some(Scheme::Basic) => "password".to_owned(),
        None => "none".to_owned(),
    }
}

#[tokio::test]
async fn the_table_of_registries_is_what_the_suite_does() {
    let mut table = String::from(
        "| Registry | Log in | Rights | A missing repository is | Tags | Requests, first | Requests, \
         again | Facts |\n|---|---|---|---|---|---|---|---|\n",
    );
    for name in FIXTURES {
        if let Some(line) = line(name).await {
            let _ = write!(table, "{line}");
        }
    }
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let (head, rest) = page.split_once(BEGIN).expect("it has a beginning");
    let (found, tail) = rest.split_once(END).expect("and an end");
    let writes = std::env::var("GOLDEN").is_ok_and(|it| it == "write");
    if writes && std::env::var_os("CI").is_none() {
        fs::write(PAGE, format!("{head}{BEGIN}{table}{END}{tail}")).expect("it can be written");
        return;
    }
    assert_eq!(found, table, "docs/registries.md tells something else");
}
