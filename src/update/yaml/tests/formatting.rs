//! What stays as it was: quotes, line ends, other documents, and everything Flux writes anew.

use super::*;

/// Checks one value, with the marker of policy `ns:<policy>` at the end of its line.
fn check_value(before: &str, policy: &str, after: &str) {
    let line = |value: &str| format!("a: {value} # {{\"$imagepolicy\": \"ns:{policy}:tag\"}}\n");
    check(&line(before), &line(after));
}

#[test]
fn the_quotes_stay_as_they_were() {
    check("a: 'v1' M\n", "a: 'v2' M\n");
    check("a: \"v1\" M\n", "a: \"v2\" M\n");
    check("a: v1   \t M\n", "a: v2   \t M\n");
    check_value("\"0.9\"", "num", "\"1.0\"");
    check_value("'0.9'", "num", "'1.0'");
}

#[test]
fn a_plain_value_gets_quotes_where_a_reader_would_misread_it() {
    check_value("v1", "num", "\"1.0\"");
    check_value("v1", "int", "\"123\"");
    check_value("v1", "yes", "\"yes\"");
    check_value("0.9", "num", "\"1.0\"");
    check_value("7", "int", "\"123\"");
    check_value("7", "num", "\"1.0\"");
    check_value("0.9", "int", "\"123\"");
    check_value("v1", "sha", "\"12e4567\""); // Flux leaves it plain: infinity to some readers.
}

#[test]
fn a_value_that_was_no_string_gets_no_stale_tag() {
    // Flux writes `!!int v2`, `!!float v2`, `!!bool v2`, `!!timestamp v2`.
    for before in ["7", "0.9", "true", "2024-01-01", "yes", ".inf"] {
        check_value(before, "p", "v2");
    }
}

#[test]
fn tags_and_anchors_stay() {
    check("a: !!str v1 M\n", "a: !!str v2 M\n");
    check("a: !Ref v1 M\n", "a: !Ref v2 M\n");
    check("a: ! v1 M\n", "a: ! v2 M\n");
    check("a: &x !!str 'v1' M\n", "a: &x !!str 'v2' M\n");
    check(
        "a: !!str &x \"v1\" M\nb: *x\n",
        "a: !!str &x \"v2\" M\nb: *x\n",
    );
    check(
        "x: &a {k: v}\ny:\n  <<: *a\n  t: v1 M\n",
        "x: &a {k: v}\ny:\n  <<: *a\n  t: v2 M\n",
    ); // Flux: `!!merge <<`.
    check_left("a: !!int 7 M\n", 1, &not_editable("`!!int`"));
    check_left("a: !!null ~ M\n", 1, &not_editable("`!!null`"));
    check_left(
        "a: !<tag:yaml.org,2002:float> 7 M\n",
        1,
        &not_editable("no string"),
    );
    check_left(
        "a: !!timestamp 2024-01-01 M\n",
        1,
        &not_editable("no string"),
    );
}

#[test]
fn a_block_keeps_its_shape_and_loses_its_final_line_break() {
    check("a: | M\n  v1\nb: c\n", "a: |- M\n  v2\nb: c\n");
    check("a: > M\n  v1\n", "a: >- M\n  v2\n");
    check("a: |- M\n  v1\n", "a: |- M\n  v2\n");
    check("a: |+ M\n  v1\n\n\nb: c\n", "a: |- M\n  v2\n\n\nb: c\n");
    check("a: |2+ M\n    v1\nb: c\n", "a: |2- M\n  v2\nb: c\n");
    check("a: >-2 M\n  v1\n", "a: >-2 M\n  v2\n");
    check("a: | M\r\n  v1\r\nb: c\r\n", "a: |- M\r\n  v2\r\nb: c\r\n");
    check("a: | M\n  v1", "a: |- M\n  v2");
    check(
        "a: &x !!str | M\n  v1\nb: *x\n",
        "a: &x !!str |- M\n  v2\nb: *x\n",
    );
    check("- | M\n v1\n- x\n", "- |- M\n v2\n- x\n");
    check("--- | M\nv1\n", "--- |- M\nv2\n");
    check_left(
        "a: | M\n  v1\n  v2\n",
        1,
        &not_editable("more than one line"),
    );
    check_left(
        "a: > M\n  v1\n\n  v2\n",
        1,
        &not_editable("more than one line"),
    );
    check_left("a: | M\n\n  v1\n", 1, &Problem::Unbound);
    check_left("a: | M\n", 1, &Problem::Unbound);
}

#[test]
fn a_value_over_several_lines_is_left() {
    check_left("a: v1\n  v3 M\n", 2, &not_editable("several lines"));
    check_left("a: \"v1\n  v3\" M\n", 2, &not_editable("several lines"));
    check_left("a: 'v1\n\n  v3' M\n", 3, &not_editable("several lines"));
}

#[test]
fn documents_and_their_separators_stay() {
    check(
        "a: v1 M\n---\nb: v1 M\n---\n# only\n---\nc: d\n", // Flux drops the third.
        "a: v2 M\n---\nb: v2 M\n---\n# only\n---\nc: d\n",
    );
    check("# c1\n---\n# c2\na: v1 M\n", "# c1\n---\n# c2\na: v2 M\n"); // Flux drops `# c1`.
    check("a: v1 M\n---\n", "a: v2 M\n---\n");
    check("a: v1 M\n---", "a: v2 M\n---");
    check("a: v1 M\n...\n", "a: v2 M\n...\n");
    check(
        "a: v1 M\n...\n# x\n--- # y\nb: 'v1' M\n",
        "a: v2 M\n...\n# x\n--- # y\nb: 'v2' M\n",
    );
    check("---\n---\na: v1 M\n", "---\n---\na: v2 M\n");
    check("%YAML 1.2\n---\na: v1 M\n", "%YAML 1.2\n---\na: v2 M\n"); // Flux skips it.
    check(
        "%TAG !e! tag:example.com,2000:\n---\na: !e!x v1 M\n",
        "%TAG !e! tag:example.com,2000:\n---\na: !e!x v2 M\n",
    );
}

#[test]
fn roots_that_flux_skips_are_edited() {
    check("- v1 M\n", "- v2 M\n");
    check("v1 M\n", "v2 M\n");
    check("--- v1 M\n", "--- v2 M\n");
    check("metadata: foo\na: v1 M\n", "metadata: foo\na: v2 M\n");
    check("---  {a: v1, M\n b: c}\n", "---  {a: v2, M\n b: c}\n");
}

#[test]
fn line_ends_and_encoding_marks_stay() {
    check("a: v1 M\r\nb: 1\r\n", "a: v2 M\r\nb: 1\r\n"); // Flux writes LF.
    check("a: v1 M\rb: 1\r", "a: v2 M\rb: 1\r");
    check("a: v1 M\r\nb: v1 M\nc: 1\r", "a: v2 M\r\nb: v2 M\nc: 1\r");
    check("a: v1 M", "a: v2 M"); // Flux adds a line end.
    check("\u{FEFF}a: v1 M\n", "\u{FEFF}a: v2 M\n"); // Flux removes the mark.
    check("a:\r\nM\r\n- v1\r\n", "a:\r\nM\r\n- v2\r\n");
    check(
        "é: x\n\"😀\": v1 M\nשלום: {e\u{301}: 'v1', M\n a: b}\n",
        "é: x\n\"😀\": v2 M\nשלום: {e\u{301}: 'v2', M\n a: b}\n",
    );
}

#[test]
fn everything_else_stays_byte_for_byte() {
    // Each of these is written anew by Flux once a value in the file changes.
    for other in [
        "\n\n\nb: 1\n\n\nc: 2\n",
        "b:\n    c:\n      - 1\n    d:\n    - 2\n",
        "b: 1     # far\n",
        "t: |\n  trailing  \n  x\n",
        "t: \"caf\\u00e9 \\x41\"\n",
        "e: >\n  long\n  text\n",
        "e: one\n  two\n",
        "e: \"one\n  two\"\n",
        "metadata:\n  annotations: {}\n",
        "metadata: {labels: {}, name: x}\n",
        "metadata:\n  annotations:\n    config.kubernetes.io/index: '0'\n    config.kubernetes.io/path: ../../z.yaml\n",
        "b: {x:  1 ,y: 2}\nc: [ a,b ]\n",
        "b: 0o17\nc: 0x1F\nd: yes\ne: ~\nf:\n",
        "b:\n  - x\n  # a\n\n  # b\n  - y\n",
        "image: {{ .Values.x }}\n",
        "image: \"{{ .Values.x }}\"\n",
    ] {
        check(&format!("a: v1 M\n{other}"), &format!("a: v2 M\n{other}"));
        check(&format!("{other}a: v1 M\n"), &format!("{other}a: v2 M\n"));
    }
}

#[test]
fn lists_are_edited_where_they_are() {
    // Flux writes the items into new files and leaves the list as it was.
    for kind in ["List", "ResourceList", "ConfigMapList"] {
        let list = |tag: &str| {
            format!(
                "apiVersion: v1\nkind: {kind}\nitems:\n- kind: ConfigMap\n  metadata: {{name: one}}\n  data:\n    tag: {tag} M\n- kind: Secret\n"
            )
        };
        check(&list("v1"), &list("v2"));
        let reading = read(with_markers(&list("v1")).as_bytes());
        assert_eq!(reading.setters[0].object.kind, kind);
        assert_eq!(reading.setters[0].object.name, "");
    }
}

#[test]
fn a_file_that_does_not_parse_is_left_and_reported() {
    check_left("a: v1 M\nb: [\n", 2, &unparsable());
    check_left("{{- if .x\nt: v1 M\n{{- end }}\n", 1, &unparsable());
    check_left("a: v1 M\n---\nb: {\n---\nc: v1 M\n", 3, &unparsable());
    check_left("a: v1 M\n\tb: c\n", 1, &unparsable());
    check_left("a: v1 M\nb: *x\n", 2, &unparsable());
    check_left("a: v1\0 M\n", 1, &unparsable());
}

const KUSTOMIZATION: &str = r#"# a leading comment
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
images:
- name: container
  newName: {name} # {"$imagepolicy": "automation-ns:policy:name"}
  newTag: {tag} # {"$imagepolicy": "automation-ns:policy:tag"}
- name: pinned
  newDigest: {digest} # {"$imagepolicy": "automation-ns:policy-with-digest:digest"}
patches:
  - patch: |
      - op: replace
        path: /spec # not a marker
    target:
      image: {image} # {"$imagepolicy": "automation-ns:policy-with-digest"}
"#;

#[test]
fn kustomizations_are_edited_in_every_field() {
    let file = |name: &str, tag: &str, digest: &str, image: &str| {
        KUSTOMIZATION
            .replace("{name}", name)
            .replace("{tag}", tag)
            .replace("{digest}", digest)
            .replace("{image}", image)
    };
    let image = format!("image:v1.0.0@{DIGEST}");
    check(
        &file("replaced", "v1", "sha256:1234567890abcdef", "image"),
        &file("index.repo.fake/updated", "v1.0.1", DIGEST, &image),
    );
    let reading = read(file("a", "b", "c", "d").as_bytes());
    let paths: Vec<&str> = reading
        .setters
        .iter()
        .map(|setter| setter.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "images[0].newName",
            "images[0].newTag",
            "images[1].newDigest",
            "patches[0].target.image"
        ]
    );
    assert_eq!(reading.setters[0].group, reading.setters[1].group);
    assert_eq!(reading.setters[0].object.name, "");
}

#[test]
fn the_marked_container_alone_is_edited() {
    let file = |image: &str| {
        format!(
            "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata:\n  namespace: bar\n  name: foo\nspec:\n  containers:\n  - name: c\n    image: {image} # {{\"$imagepolicy\": \"automation-ns:policy\"}}\n  - name: d\n    image: image:v1.0.0 # {{\"$imagepolicy\": \"automation-ns:unchanged\"}}\n  - image: user:v1.0.0 # {{\"$imagepolicy\": \"other-namespace:policy\"}}\n  - image: image:v1.0.0 # an ordinary comment\n"
        )
    };
    check(
        &file("image:v1.0.0"),
        &file("index.repo.fake/updated:v1.0.1"),
    );
    assert_eq!(edits_of(&file("image:v1.0.0")).len(), 1);
    let object = &read(file("x").as_bytes()).setters[0].object;
    let parts = [
        &object.api_version,
        &object.kind,
        &object.namespace,
        &object.name,
    ];
    assert_eq!(parts, ["batch/v1beta1", "CronJob", "bar", "foo"]);
}

#[test]
fn every_example_in_the_documentation_works() {
    let page = include_str!("../../../../docs/markers.md");
    let examples: Vec<&str> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(examples.len(), 6);
    for example in examples {
        let reading = read(example.as_bytes());
        let are_notes = reading.findings.iter().all(|it| it.problem.is_note());
        assert!(are_notes, "{example}");
        assert_eq!(
            reading.setters.len(),
            example.matches("# ").count(),
            "{example}"
        );
    }
}
