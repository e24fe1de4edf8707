//! What an entry of a kustomization does not say is added, and nothing else changes.

use super::*;
use discover::{Missing, Search, find};

/// The file with every field that is missing, `D` being the digest; without a digest where `with`
/// knows none.
fn added(text: &str, tag: &str, digest: &str) -> String {
    let search = Search {
        missing: Missing::Add,
        ..Search::everywhere()
    };
    let found = find("kustomization.yaml", text.as_bytes(), &search);
    let images = found.images.iter().filter(|image| image.obstacle.is_none());
    let fields = images.flat_map(|image| &image.fields);
    let edits = fields.filter(|field| field.value.is_empty()).map(|field| {
        let new = if field.field == Field::Tag {
            tag
        } else {
            digest
        };
        Edit {
            span: field.span.clone(),
            style: field.style,
            old: String::new(),
            new: new.to_owned(),
        }
    });
    let edited = splice(text.as_bytes(), &edits.collect::<Vec<_>>());
    let edited = edited.unwrap_or_else(|error| panic!("{error}: {text}"));
    String::from_utf8(edited).unwrap()
}

/// Checks what is added to `images:` and `before`, and that it is added once.
fn check_added(tag: &str, digest: &str, before: &str, after: &str) {
    let (before, after) = (format!("images:\n{before}"), format!("images:\n{after}"));
    let once = added(&before, tag, digest);
    assert_eq!(once, after, "from {before}");
    assert_eq!(added(&once, tag, digest), after, "a second time");
}

#[test]
fn a_missing_tag_is_added_below_the_name() {
    let check = |before: &str, after: &str| check_added("v2", "", before, after);
    check("- name: web\n", "- name: web\n  newTag: v2\n");
    check("- name: web", "- name: web\n  newTag: v2");
    check(
        "  -   name: 'web'   # why\n\n",
        "  -   name: 'web'   # why\n      newTag: v2\n\n",
    );
    check(
        "- newName: acme/web\n  name: web\n# next\n- {name: x, newTag: v1}\n",
        "- newName: acme/web\n  newTag: v2\n  name: web\n# next\n- {name: x, newTag: v1}\n",
    );
    check(
        "-\n  name: web\nresources: []\n",
        "-\n  name: web\n  newTag: v2\nresources: []\n",
    );
    check(
        "- name: web\r\n- name: api\r\n",
        "- name: web\r\n  newTag: v2\r\n- name: api\r\n  newTag: v2\r\n",
    );
    check(
        "- &a\n  name: web\nmore: *a\n",
        "- &a\n  name: web\n  newTag: v2\nmore: *a\n",
    );
    check(
        "- name: ä😀/web\n- name: web\n",
        "- name: ä😀/web\n- name: web\n  newTag: v2\n",
    );
}

#[test]
fn between_braces_it_is_added_behind_the_name() {
    let check = |before: &str, after: &str| check_added("v2", "", before, after);
    check("- {name: web}\n", "- {name: web, newTag: v2}\n");
    check("- { name: web , }\n", "- { name: web, newTag: v2 , }\n");
    check(
        "- {\"name\":\"web\"}\n",
        "- {\"name\":\"web\", \"newTag\": \"v2\"}\n",
    );
    check(
        "- {name: web, # why\n   newName: 'acme/web'}\n",
        "- {name: web, # why\n   newName: 'acme/web', newTag: v2}\n",
    );
}

#[test]
fn what_would_be_no_string_gets_quotes() {
    check_added(
        "1.10",
        "",
        "- name: web\n",
        "- name: web\n  newTag: \"1.10\"\n",
    );
    check_added("7", "", "- {name: web}\n", "- {name: web, newTag: \"7\"}\n");
}

#[test]
fn a_missing_digest_is_added_below_the_tag() {
    check_added(
        "v2",
        DIGEST,
        "- name: web\n- name: api\n  newTag: v1 # why\n  newName: acme/api\n",
        &format!(
            "- name: web\n  newTag: v2\n  digest: {DIGEST}\n- name: api\n  newTag: v1 # why\n  digest: {DIGEST}\n  newName: acme/api\n"
        ),
    );
    check_added(
        "v2",
        DIGEST,
        "- {name: web}\n",
        &format!("- {{name: web, newTag: v2, digest: {DIGEST}}}\n"),
    );
}

#[test]
fn an_encrypted_file_is_left() {
    let file = "- name: web\nsops: {mac: x}\n";
    check_added("v2", "", file, file);
    let file = "- name: web\nsops: {mac: x, mac_only_encrypted: true, encrypted_regex: ^newTag$}\n";
    check_added("v2", "", file, file);
    check_added(
        "v2",
        "",
        "- name: web\nsops: {mac: x, mac_only_encrypted: true, encrypted_regex: ^data$}\n",
        "- name: web\n  newTag: v2\nsops: {mac: x, mac_only_encrypted: true, encrypted_regex: ^data$}\n",
    );
}
