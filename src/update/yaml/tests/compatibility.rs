//! Every row of Flux's own behaviour, in the order of its specification (§6.8 and §6.9 of the
//! compatibility notes), beside what is done here: what Flux updates is updated to the same value,
//! what Flux leaves is left and said, and where Flux damages a file or gives up, the exception has a
//! name.

use super::*;

/// What Flux does with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flux {
    /// It writes the same bytes.
    Same,
    /// It writes the same value, and other bytes too: order, white space, tags, line ends.
    SameValue,
    /// It leaves the file without a word; here it is left, and the report says why.
    Leaves,
    /// It leaves the file; here the marked value is edited.
    LeavesWhatWeEdit,
}

use Flux::{Leaves, LeavesWhatWeEdit, Same, SameValue};

/// Checks one row; `=` in place of the output means that the file is not touched.
fn row(input: &str, flux: Flux, output: &str) {
    let output = if output == "=" { input } else { output };
    check(input, output);
    match flux {
        Same | SameValue | LeavesWhatWeEdit => assert_ne!(input, output, "nothing was edited"),
        Leaves => {
            assert_eq!(input, output);
            let reading = read(with_markers(input).as_bytes());
            let says_why = !reading.findings.is_empty();
            let names_no_policy = reading.setters.iter().any(|it| value_of(it).is_none());
            assert!(says_why || names_no_policy, "silent about {input}");
        }
    }
}

/// A row about the comment of one value.
fn comment(comment: &str, flux: Flux, value: &str) {
    let output = match value {
        "=" => "=".to_owned(),
        _ => format!("a: {value} {comment}\n"),
    };
    row(&format!("a: v1 {comment}\n"), flux, &output);
}

#[test]
fn comments() {
    row("a: v1 M\n", Same, "a: v2 M\n");
    comment(r#"# {"$imagepolicy":"ns:p:tag"}"#, Same, "v2");
    comment(r#"#{"$imagepolicy": "ns:p:tag"}"#, Same, "v2");
    comment(r#"### {"$imagepolicy": "ns:p:tag"}"#, Same, "v2");
    comment("#\t{\"$imagepolicy\":\t\"ns:p:tag\"}\t", Same, "v2");
    comment(r"# {'$imagepolicy': 'ns:p:tag'}", Leaves, "=");
    comment(r#"# {$imagepolicy: "ns:p:tag"}"#, Leaves, "=");
    comment(r#"# [{"$imagepolicy": "ns:p:tag"}]"#, Leaves, "=");
    comment(r#"# foo {"$imagepolicy": "ns:p:tag"}"#, Leaves, "=");
    comment(r#"# {"$imagepolicy": "ns:p:tag"} foo"#, Leaves, "=");
    comment(r#"# {"$imagepolicy": "ns:p:tag", "x":"y"}"#, Same, "v2");
    comment(r#"# {"$imagepolicy": "ns:p:tag", "x":1}"#, Leaves, "=");
    comment(
        r#"# {"$imagepolicy": "ns:x:tag", "$imagepolicy": "ns:p:tag"}"#,
        Same,
        "v2",
    );
    comment(r#"# {"$imagepolicy": " ns:p:tag"}"#, Leaves, "=");
    comment(r#"# {"$imagepolicy": "ns:p:name"}"#, Same, "reg.io/app");
    comment(r#"# {"$imagepolicy": "ns:p"}"#, Same, "reg.io/app:v2");
    comment(r#"# {"$imagepolicy": "ns:p:digest"}"#, Same, "\"\"");
    comment(r#"# {"$imagepolicy": "ns:d:digest"}"#, Same, DIGEST);
    comment(
        r#"# {"$imagepolicy": "ns:d"}"#,
        Same,
        &format!("reg.io/dig:v3@{DIGEST}"),
    );
    comment(r#"# {"$imagepolicy": "ns:p:foo"}"#, Leaves, "=");
    comment(r#"# {"$imagepolicy": "other:p:tag"}"#, Leaves, "=");
    comment(r#"# {"$imagepolicy": "p:tag"}"#, Leaves, "=");
    // Flux wants its token somewhere else in the file for the long form to be read.
    comment(
        r##"# {"$ref":"#/definitions/io.k8s.cli.setters.ns:p:tag","$imagepolicy":"ns:p:tag"}"##,
        Same,
        "v2",
    );
    comment(&format!("{MARKER} # trailing"), Leaves, "=");
}

#[test]
fn attachment() {
    row("M\na: v1\n", Leaves, "=");
    row("a: M\n  v1\n", Leaves, "=");
    row("a:\n  M\n  v1\n", SameValue, "a:\n  M\n  v2\n");
    row(
        "a:\n- v1 M\n- M\n  v1\n",
        SameValue,
        "a:\n- v2 M\n- M\n  v2\n",
    );
    row("a:\nM\n- v1\n", Same, "a:\nM\n- v2\n");
    row("a:\n- x\nM\n- v1\n", Same, "a:\n- x\nM\n- v2\n");
    row("a:\nM\n- v1 # other\n", Leaves, "=");
    row("a:\n# other\nM\n- v1\n", Leaves, "=");
    row("a:\nM\n# other\n- v1\n", Leaves, "=");
    let int = r#"# {"$imagepolicy": "ns:int:tag"}"#;
    row(
        &format!("a:\n{int}\n- v1 M\n"),
        Same,
        &format!("a:\n{int}\n- v2 M\n"),
    );
    row("? k M\n: v1\n", Leaves, "=");
    row("M\n? k\n: v1 M\n", SameValue, "M\n? k\n: v2 M\n");
    row("? k\n: v1 M\n", SameValue, "? k\n: v2 M\n");
    row("a: v1\nM\n", Leaves, "=");
    row("a: M\n  b: v1\n", Leaves, "=");
    row("a: M\n", Leaves, "=");
    row("a: \"\" M\n", Same, "a: \"v2\" M\n");
    row("a: ~ M\n", SameValue, "a: v2 M\n");
    row("a: null M\n", SameValue, "a: v2 M\n");
    row("a: 'v1' M\n", Same, "a: 'v2' M\n");
    row("a: \"v1\" M\n", Same, "a: \"v2\" M\n");
    row("a: | M\n  v1\n", Same, "a: |- M\n  v2\n");
    row("a: > M\n  v1\n", Same, "a: >- M\n  v2\n");
    row("a: &x v1 M\nb: *x\n", Same, "a: &x v2 M\nb: *x\n");
    row("a: &x v1\nb: *x M\n", Leaves, "=");
    row("a: !!str v1 M\n", Same, "a: !!str v2 M\n");
    row("{\"a\": \"v1\"} M\n", Leaves, "=");
    row("a: {b: v1} M\n", Leaves, "=");
    row("a: {b: v1, M\n  c: d}\n", Same, "a: {b: v2, M\n  c: d}\n");
    row("a: [v1, M\n  x]\n", Same, "a: [v2, M\n  x]\n");
    row("a: [x, v1 M\n  ]\n", SameValue, "a: [x, v2 M\n  ]\n");
    row("a: v1 M\na: v3 M\n", Same, "a: v2 M\na: v3 M\n");
}

#[test]
fn types() {
    let typed = |old: &str, policy: &str, flux, new: &str| {
        let line = |it: &str| format!("a: {it} # {{\"$imagepolicy\": \"ns:{policy}:tag\"}}\n");
        row(&line(old), flux, &line(new));
    };
    typed("v1", "num", Same, "\"1.0\"");
    typed("v1", "int", Same, "\"123\"");
    typed("v1", "yes", Same, "\"yes\"");
    typed("0.9", "num", Same, "\"1.0\"");
    typed("7", "int", Same, "\"123\"");
    typed("7", "num", Same, "\"1.0\"");
    typed("0.9", "int", Same, "\"123\"");
    typed("\"0.9\"", "num", Same, "\"1.0\"");
    // Flux: `!!int v2`, `!!float v2`, `!!bool v2`, `!!timestamp v2`.
    for old in ["7", "0.9", "true", "2024-01-01"] {
        typed(old, "p", SameValue, "v2");
    }
    typed("yes", "p", Same, "v2");
    // Flux leaves it plain, and some readers take it for infinity.
    typed("v1", "sha", SameValue, "\"12e4567\"");
}

#[test]
fn files() {
    row(
        "a: v1 M\n---\nb: v1 M\n---\n# only\n---\nc: d\n",
        SameValue,
        "a: v2 M\n---\nb: v2 M\n---\n# only\n---\nc: d\n",
    );
    row(
        "x: &a {k: v}\ny:\n  <<: *a\n  t: v1 M\n",
        SameValue,
        "x: &a {k: v}\ny:\n  <<: *a\n  t: v2 M\n",
    );
    row(
        "image: {{ .Values.x }}\nt: v1 M\n",
        SameValue,
        "image: {{ .Values.x }}\nt: v2 M\n",
    );
    row(
        "image: \"{{ .Values.x }}\"\nt: v1 M\n",
        Same,
        "image: \"{{ .Values.x }}\"\nt: v2 M\n",
    );
    row(
        "{{- if .x }}\nt: v1 M\n{{- end }}\n",
        LeavesWhatWeEdit,
        "{{- if .x }}\nt: v2 M\n{{- end }}\n",
    );
    row(
        "%YAML 1.2\n---\na: v1 M\n",
        LeavesWhatWeEdit,
        "%YAML 1.2\n---\na: v2 M\n",
    );
    row("- v1 M\n", LeavesWhatWeEdit, "- v2 M\n");
    row("v1 M\n", LeavesWhatWeEdit, "v2 M\n");
    row("a: v1 M\nb: [\n", Leaves, "=");
    row("a: v1 M\n\tb: x\n", Leaves, "=");
    row(
        "metadata: foo\na: v1 M\n",
        LeavesWhatWeEdit,
        "metadata: foo\na: v2 M\n",
    );
    row("a: v1 M\r\nb: 1\r\n", SameValue, "a: v2 M\r\nb: 1\r\n");
    row("a: v1 M", SameValue, "a: v2 M");
    row("\u{FEFF}a: v1 M\n", SameValue, "\u{FEFF}a: v2 M\n");
    row("a: v1 M\n...\n", SameValue, "a: v2 M\n...\n");
    row(
        "# c1\n---\n# c2\na: v1 M\n",
        SameValue,
        "# c1\n---\n# c2\na: v2 M\n",
    );
    row("a: v1 M\n---\n", SameValue, "a: v2 M\n---\n");
    let long = "x".repeat(5000);
    row(
        &format!("a: {long}\nb: v1 M\n"),
        Same,
        &format!("a: {long}\nb: v2 M\n"),
    );
}

#[test]
fn what_flux_rewrites_elsewhere_in_a_changed_file_stays() {
    for elsewhere in [
        "b:\n- 1\n# a\n\n# b\n- 2\n",
        "b:\n  - 1\nc:\n- 2\n",
        "b:\n- 1\nc:\n  - 2\n",
        "t: |\n  trailing  \n  x\n",
        "t: \"caf\\u00e9 \\x41\"\n",
        "e: >\n  long\n  text\n",
        "metadata:\n  annotations: {}\n",
        "metadata: {labels: {}, name: x}\n",
        "metadata:\n  annotations:\n    config.kubernetes.io/index: '0'\n",
        "metadata:\n  annotations:\n    config.kubernetes.io/path: z.yaml\n",
    ] {
        row(
            &format!("{elsewhere}t1: v1 M\n"),
            SameValue,
            &format!("{elsewhere}t1: v2 M\n"),
        );
    }
    for kind in ["List", "ResourceList", "ConfigMapList"] {
        let list = |tag: &str| format!("kind: {kind}\nitems:\n- data: {{}}\n  t: {tag} M\n");
        row(&list("v1"), LeavesWhatWeEdit, &list("v2"));
        let second = |tag: &str| format!("a: b\n---\n{}", list(tag));
        row(&second("v1"), Same, &second("v2"));
    }
}

#[test]
fn files_are_chosen_by_their_names() {
    use crate::update::marker::screen;
    let check = |path: &str, is_read: bool| {
        assert_eq!(screen(path, MARKER.as_bytes()), is_read, "{path}");
        assert!(!screen(path, b"a: v1 # imagepolicy\n"), "{path}");
    };
    check("a.yaml", true);
    check("a/b.yml", true);
    check("Kustomization", true);
    check(".github/.x.yml", true);
    check("x.json", false);
    check("X.YAML", false);
    check("kustomization", false);
    check("a.yaml.bak", false);
    // For Flux, such a name ends the whole run.
    check("foo..bar.yaml", true);
}
