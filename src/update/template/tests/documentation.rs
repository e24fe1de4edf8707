//! The page for users says what is so.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{MessageData, Template, check_with, functions, message_value},
    change, object,
};

const PAGE: &str = include_str!("../../../../docs/templates.md");

/// What stands in the page's first block of a language.
fn block(language: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let (_, rest) = PAGE.split_once(&fence).expect("the page has the block");
    rest.split_once("```").expect("the block ends").0
}

#[test]
fn the_example_gives_the_message_below_it() {
    let web = object("apps/v1", "Deployment", "apps", "web");
    let values = [
        "registry.test/web:1.0.0",
        "registry.test/web:1.1.0",
        "apps:web",
    ];
    let values_of_template = BTreeMap::from([("cluster".to_owned(), "prod".to_owned())]);
    let data = message_value(&MessageData {
        automation: ("flux-system", "apps"),
        changes: &[change("apps/web.yaml", &web, values)],
        values: &values_of_template,
    });
    let template = Template::parse(block("gotemplate")).unwrap();
    assert_eq!(template.render(&data).unwrap(), block("text"));
    assert!(check_with(block("gotemplate"), &values_of_template).is_ok());
}

/// The names in backquotes between two pieces of the page.
fn names(start: &str, end: &str) -> BTreeSet<&'static str> {
    let (_, rest) = PAGE.split_once(start).expect("the page has the start");
    let (part, _) = rest.split_once(end).expect("the page has the end");
    part.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_lists_every_function_and_no_other() {
    let listed = names("Go's own functions:", "Maps of texts");
    assert_eq!(listed, functions::names().into_iter().collect());
    let refused = names("| Function | Reason |", "Of these,");
    assert_eq!(refused, functions::refused_names().into_iter().collect());
}
