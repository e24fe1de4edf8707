//! Where a marker may stand: the table of Flux, row by row.

use super::*;

#[test]
fn a_marker_at_the_end_of_the_line_governs_the_value() {
    check("a: v1 M\n", "a: v2 M\n");
    check("a:\n- v1 M\n", "a:\n- v2 M\n");
    check("? k\n: v1 M\n", "? k\n: v2 M\n"); // Flux rewrites it as `k: v2`.
    check("M\n? k\n: v1 M\n", "M\n? k\n: v2 M\n");
    check("a: \"\" M\n", "a: \"v2\" M\n");
    check("a: '' M\n", "a: 'v2' M\n");
    check("a: ~ M\n", "a: v2 M\n"); // Flux writes `!!null v2`.
    check("a: null M\n", "a: v2 M\n");
    check("a: {b: v1, M\n  c: d}\n", "a: {b: v2, M\n  c: d}\n");
    check("a: [v1, M\n  x]\n", "a: [v2, M\n  x]\n");
    check("a: [x, v1 M\n  ]\n", "a: [x, v2 M\n  ]\n"); // Flux adds a comma and moves the bracket.
    check("a: {b: x, c: v1 M\n}\n", "a: {b: x, c: v2 M\n}\n");
    check("a: [x, v1, M\n]\n", "a: [x, v2, M\n]\n");
    check("{\"a\":v1, M\n}", "{\"a\":v2, M\n}");
    check("- - v1 M\n", "- - v2 M\n");
    check("- a: v1 M\n  b: v1\n", "- a: v2 M\n  b: v1\n");
}

#[test]
fn the_comment_itself_may_be_spelt_in_several_ways() {
    let check_comment = |comment: &str, after: &str| {
        check(
            &format!("a: v1 {comment}\n"),
            &format!("a: {after} {comment}\n"),
        );
    };
    check_comment(r#"# {"$imagepolicy":"ns:p:tag"}"#, "v2");
    check_comment(r#"#{"$imagepolicy": "ns:p:tag"}"#, "v2");
    check_comment(r#"### {"$imagepolicy": "ns:p:tag"}"#, "v2");
    check_comment(r#"# {"$imagepolicy": "ns:p:tag", "x":"y"}"#, "v2");
    check_comment(r#"# {"$imagepolicy": "ns:p:name"}"#, "reg.io/app");
    check_comment(r#"# {"$imagepolicy": "ns:p"}"#, "reg.io/app:v2");
    check_comment(r#"# {"$imagepolicy": "ns:p:digest"}"#, "\"\"");
    check_comment(r#"# {"$imagepolicy": "ns:d:digest"}"#, DIGEST);
    check_comment(
        r#"# {"$imagepolicy": "ns:d"}"#,
        &format!("reg.io/dig:v3@{DIGEST}"),
    );
    check_comment(r#"# {"$imagepolicy": "other:p:tag"}"#, "v1");
    check_comment(r#"# {"$imagepolicy": "p:tag"}"#, "v1");
    check_comment("# tagwright: semver=1.x image=reg.io/app", "v2");
}

#[test]
fn near_misses_are_left_and_reported() {
    let check_comment = |comment: &str, reason: &str| {
        check_left(&format!("a: v1 {comment}\n"), 1, &misspelt(reason));
    };
    check_comment(r"# {'$imagepolicy': 'ns:p:tag'}", "double quotes");
    check_comment(r#"# foo {"$imagepolicy": "ns:p:tag"}"#, "the whole comment");
    check_comment(r#"# {"$imagepolicy": "ns:p:tag"} foo"#, "the whole comment");
    check_comment(
        r#"# {"$imagepolicy": "ns:p:tag"} # foo"#,
        "the whole comment",
    );
    check_comment(
        r#"# {"$imagepolicy": "ns:p:tag", "x":1}"#,
        "must be a string",
    );
    check_comment(r#"# {"$imagepolicy": " ns:p:tag"}"#, "white space");
    check_comment(r#"# {"$imagepolicy": "ns:p:foo"}"#, "`:foo`");
    check_comment(r#"# {"$imagePolicy": "ns:p:tag"}"#, "did you mean");
    check_comment("# tagwright: semver=1.x", "add `image=REPOSITORY`");
}

#[test]
fn a_comment_line_above_a_sequence_item_governs_it() {
    check("a:\nM\n- v1\n", "a:\nM\n- v2\n");
    check("a:\n- x\nM\n- v1\n", "a:\n- x\nM\n- v2\n");
    check("a:\n  - x\n  M\n  - 'v1'\n", "a:\n  - x\n  M\n  - 'v2'\n");
    check("a:\nM\n- &x !!str v1\n", "a:\nM\n- &x !!str v2\n");
    check("a:\n- v1 M\n- M\n  v1\n", "a:\n- v2 M\n- M\n  v2\n"); // Flux moves the comment up.
    check("a: [\n  M\n  v1,\n  x]\n", "a: [\n  M\n  v2,\n  x]\n");
    check("a:\n- M\n  - v1\n", "a:\n- M\n  - v1\n");
    check("# one\n\nM\n- v1\n", "# one\n\nM\n- v2\n");
}

#[test]
fn a_comment_line_between_key_and_value_governs_the_value() {
    // Flux moves the comment below the value, where it is dead.
    check("a:\n  M\n  v1\n", "a:\n  M\n  v2\n");
    check("a:\n  M\n  \"v1\"\nb: x\n", "a:\n  M\n  \"v2\"\nb: x\n");
    check("a:\n  M\n  |-\n  v1\n", "a:\n  M\n  |-\n  v2\n");
}

#[test]
fn the_comment_on_the_line_hides_the_one_above() {
    check_left("a:\nM\n- v1 # other\n", 2, &Problem::Hidden);
    check_left("a:\n  M\n  v1 # other\n", 2, &Problem::Hidden);
    check_left("a:\n- M\n  v1 # other\n", 2, &Problem::Hidden);
    check(
        "a:\n# {\"$imagepolicy\": \"ns:int:tag\"}\n- v1 M\n",
        "a:\n# {\"$imagepolicy\": \"ns:int:tag\"}\n- v2 M\n",
    );
}

#[test]
fn a_marker_that_no_value_owns_is_left_and_reported() {
    let check_unbound = |text: &str, line: usize| check_left(text, line, &Problem::Unbound);
    check_unbound("M\na: v1\n", 1);
    check_unbound("a: M\n  v1\n", 1);
    check_unbound("a: v1\nM\n", 2);
    check_unbound("a: v1\nM", 2);
    check_unbound("a: M\n  b: v1\n", 1);
    check_unbound("a: M\n- v1\n", 1);
    check_unbound("a: M\n", 1);
    check_unbound("a: !!str M\n", 1);
    check_unbound("? k M\n: v1\n", 1);
    check_unbound("? k\nM\n: v1\n", 2);
    check_unbound("{\"a\": \"v1\"} M\n", 1);
    check_unbound("a: {b: v1} M\n", 1);
    check_unbound("a: [v1] M\n", 1);
    check_unbound("a: [ M\n v1]\n", 1);
    check_unbound("a: {b: v1, c: M\n}\n", 1);
    check_unbound("a: {v1, M\n x}\n", 1);
    check_unbound("a:\n# other\nM\n- v1\n", 3);
    check_unbound("a:\nM\n# other\n- v1\n", 2);
    check_unbound("a:\nM\n\n- v1\n", 2);
    check_unbound("a:\nM\n- b: v1\n", 2);
    check_unbound("a:\nM\n- - v1\n", 2);
    check_unbound("- M\n- v1\n", 1);
    check_unbound("M\nv1\n", 1);
    check_unbound("--- M\nv1\n", 1);
    check_unbound("a: v1\n---\nM\n---\nb: v1\n", 3);
    check_unbound("M\n", 1);
}

#[test]
fn an_alias_is_left_and_its_anchor_is_edited() {
    check("a: &x v1 M\nb: *x\n", "a: &x v2 M\nb: *x\n");
    check_left("a: &x v1\nb: *x M\n", 2, &Problem::OnAlias);
    check_left("a: &x v1\nb:\n- *x M\n", 3, &Problem::OnAlias);
    check_left("a: &x v1\nb:\nM\n- *x\n", 3, &Problem::OnAlias);
}

#[test]
fn text_that_looks_like_a_marker_is_text() {
    let text = with_markers("a: |\n  x: v1 M\n  y\nb: \"v1 M'\"\nc: 'v1 M'\nd: v1 # x\n");
    let text = text
        .replace("M'\"", "M\"")
        .replace("{\"$imagepolicy\": \"ns:p:tag\"}'\"", "{}\"");
    assert_eq!(read(text.as_bytes()), Reading::default(), "{text}");
}

#[test]
fn of_two_equal_keys_the_first_is_edited() {
    check("a: v1 M\na: v3 M\n", "a: v2 M\na: v3 M\n");
    check_left("a: v2 M\na: v3 M\n", 2, &not_editable("stands twice"));
    check_left("a: {b: x, b: v1 M\n}\n", 1, &not_editable("stands twice"));
    check("- a: v1 M\n- a: v1 M\n", "- a: v2 M\n- a: v2 M\n");
}

#[test]
fn a_value_inside_a_key_is_left() {
    check_left(
        "? {a: v1, M\n  b: x}\n: y\n",
        1,
        &not_editable("a mapping's key"),
    );
}

#[test]
fn an_inline_marker_takes_its_repository_from_the_value() {
    let text = "image: ghcr.io/acme/web:1.4.2 # tagwright: semver=1.x digest=always\n";
    let setter = &read(text.as_bytes()).setters[0];
    let PolicyKey::Inline { repository, rule } = &setter.policy else {
        panic!("{setter:?}");
    };
    assert_eq!(repository.to_string(), "ghcr.io/acme/web");
    assert_eq!(rule, "digest=always semver=1.x");
    assert_eq!(setter.field, Field::Image);
    assert_eq!(setter.origin.to_string(), "semver=1.x digest=always");
}

#[test]
fn a_setter_knows_where_it_stands() {
    let text = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  namespace: shop
  name: web
  labels: {name: x}
spec:
  containers:
  - image: v1 M
    \"app.tag/x\": v1 M
---
kind: ConfigMap
- y
";
    let text = with_markers(&text.replace("- y", "data: {k.l: [v1, M\n v1 M\n ]}"));
    let reading = read(text.as_bytes());
    let [image, tag, first, second] = &reading.setters[..] else {
        panic!("{reading:?}");
    };
    assert_eq!(image.path, "spec.containers[0].image");
    assert_eq!((image.line, image.column), (9, 12));
    assert_eq!(tag.path, r#"spec.containers[0]["app.tag/x"]"#);
    assert_eq!(first.path, r#"data["k.l"][0]"#);
    assert_eq!(second.path, r#"data["k.l"][1]"#);
    assert_eq!(image.group, tag.group);
    assert_eq!(first.group, second.group);
    assert_ne!(image.group, first.group);
    assert_eq!(image.object.namespace, "shop");
    assert_eq!(image.object.name, "web");
    assert_eq!(image.object.api_version, "apps/v1");
    assert_eq!(first.object.kind, "ConfigMap");
    assert_eq!(first.object.name, "");
}
