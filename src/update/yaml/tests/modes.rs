//! Files that are more than YAML: template blocks, encryption, YAML inside YAML.

use super::*;

/// Checks what `text` becomes, and that the one note says that line mode was used.
fn check_template(before: &str, after: &str) {
    check(before, after);
    let findings = read(with_markers(before).as_bytes()).findings;
    assert!(
        matches!(&findings[..], [only] if only.problem == Problem::LineMode),
        "{findings:?} in {before}"
    );
}

#[test]
fn values_between_template_blocks_are_edited() {
    check_template(
        "{{- if .a }}\na: v1 M\n{{- end }}\n",
        "{{- if .a }}\na: v2 M\n{{- end }}\n",
    );
    check_template(
        "a:\r\n  {{- range .x }}\r\n  - 'v1' M\r\n  {{- end }}\r\n",
        "a:\r\n  {{- range .x }}\r\n  - 'v2' M\r\n  {{- end }}\r\n",
    );
    check_template(
        "{{ .key }}: {{ .value }}\n{{- with .x }}\na: \"v1\" M\n",
        "{{ .key }}: {{ .value }}\n{{- with .x }}\na: \"v2\" M\n",
    );
    check_template(
        "{{/* it's\n  a: v1 */}}\na: v1 M\n",
        "{{/* it's\n  a: v1 */}}\na: v2 M\n",
    );
    // Text that goes on below a block.
    check_template(
        "a: {{ include \"x\" . | nindent 4 }}\n    b: v1 M\n",
        "a: {{ include \"x\" . | nindent 4 }}\n    b: v2 M\n",
    );
    // A key in both arms of a condition.
    check_template(
        "{{- if .a }}\na: v1 M\n{{- else }}\na: v1 M\n{{- end }}\n",
        "{{- if .a }}\na: v2 M\n{{- else }}\na: v2 M\n{{- end }}\n",
    );
    check_template(
        "{{- if .a }}\na: v1 # {\"$imagepolicy\": \"ns:num:tag\"}\n{{- end }}\n",
        "{{- if .a }}\na: \"1.0\" # {\"$imagepolicy\": \"ns:num:tag\"}\n{{- end }}\n",
    );
}

#[test]
fn what_line_mode_cannot_edit_is_reported() {
    let check_left = |text: &str, line: usize, detail: &str| {
        super::check_left(text, line, &not_editable(detail));
        super::check_left(text, 1, &Problem::LineMode);
    };
    check_left("{{- if .a }}\nb: {{ .c }} M\n", 2, "a template block");
    check_left(
        "{{- if .a }}\nb: \"v1-{{ .c }}\" M\n",
        2,
        "a template block",
    );
    check_left("{{- if .a }}\nb: | M\n  v1\n", 2, "it is a block");
    check_left("{{- if .a }}\nb: \"v1\n  \" M\n", 3, "several lines");
    super::check_left("{{- if .a }}\nM\nb: v1\n", 2, &Problem::Unbound);
    super::check_left(
        "{{- if .a }}\nb: v1 # {'$imagepolicy': 'a:b'}\n",
        2,
        &misspelt(""),
    );
    // Not even then is it YAML.
    super::check_left("{{- if .a }}\nb: [v1 M\n", 1, &unparsable());
    super::check_left("{{- if .a\nb: v1 M\n", 1, &unparsable());
    super::check_left("a: b: c\nb: v1 M\n", 1, &unparsable());
}

#[test]
fn a_template_without_markers_is_not_spoken_of() {
    let text = "{{- if .a }}\na: v1 # $imagepolicy\n{{- end }}\n";
    assert_eq!(read(text.as_bytes()), Reading::default());
}

const SOPS: &str = "sops:\n  mac: ENC[AES256_GCM,data:x]\n";

fn check_encrypted(text: &str, reason: &str) {
    let text = with_markers(text);
    let reading = read(text.as_bytes());
    assert_eq!(reading.setters, [], "{text}");
    let is_it = |finding: &Finding| matches!(&finding.problem, Problem::Encrypted(found) if found.contains(reason));
    assert!(reading.findings.iter().any(is_it), "{:?}", reading.findings);
}

#[test]
fn values_under_a_code_of_sops_are_left() {
    check_encrypted(&format!("a: v1 M\n{SOPS}"), "covers every value");
    check_encrypted(
        &format!("a_unencrypted: v1 M\n{SOPS}"),
        "covers every value",
    );
    check_encrypted(&format!("a: v1 M\n---\nb: c\n{SOPS}"), "covers every value");
    check_encrypted(&format!("a: |\n  b: v1 M\n{SOPS}"), "covers every value");
    check_encrypted(
        &format!("{{{{ if .a }}}}\na: v1 M\n{SOPS}"),
        "covers every value",
    );
    let inside = format!("a: v1 M\n{SOPS}  mac_only_encrypted: true\n").replace('\n', "\n  ");
    check_encrypted(&format!("b: |\n  {inside}\n"), "is left alone");
    let only = format!("{SOPS}  mac_only_encrypted: true\n");
    check_encrypted(&format!("a: v1 M\n{only}"), "encrypt this value");
    check_encrypted(
        &format!("data: {{tag: v1, M\n  b: x}}\n{only}  encrypted_regex: ^(data|stringData)$\n"),
        "encrypt this value",
    );
    check_encrypted(
        &format!("a_secret: v1 M\n{only}  encrypted_suffix: _secret\n"),
        "encrypt this value",
    );
    check_encrypted(
        &format!("a: v1 M\n{only}  encrypted_regex: '('\n"),
        "cannot be read",
    );
    check_encrypted(
        &format!("a: v1 M\n{only}  unencrypted_comment_regex: x\n"),
        "go by comments",
    );
}

#[test]
fn values_outside_the_code_of_sops_are_edited() {
    let only = format!("{SOPS}  mac_only_encrypted: true\n");
    let check = |text: &str, rule: &str| {
        let text = format!("{text}{only}  {rule}\n");
        super::check(&text, &text.replace("v1", "v2"));
    };
    check("a_unencrypted: v1 M\n", "unencrypted_suffix: _unencrypted");
    check(
        "a_unencrypted:\n- b: v1 M\n",
        "unencrypted_suffix: _unencrypted",
    );
    check(
        "spec: {a: v1, M\n  b: x}\n",
        "encrypted_regex: ^(data|stringData)$",
    );
    check("spec: v1 M\n", "unencrypted_regex: ^spec$");
    check("a: v1 M\n", "encrypted_suffix: _secret");
    // Without a code there is nothing to break.
    super::check(
        "a: v1 M\nsops:\n  version: 3\n",
        "a: v2 M\nsops:\n  version: 3\n",
    );
    super::check(
        "a: v1 M\nb: {sops: {mac: x}}\n",
        "a: v2 M\nb: {sops: {mac: x}}\n",
    );
}

#[test]
fn yaml_in_a_literal_block_is_edited() {
    check("a: |\n  x: v1 M\n  y: z\n", "a: |\n  x: v2 M\n  y: z\n");
    check("a: |2-\n   x: v1 M\n", "a: |2-\n   x: v2 M\n");
    check(
        "a: |\n\n\n  x: v1 M\nb: v1 M\n",
        "a: |\n\n\n  x: v2 M\nb: v2 M\n",
    );
    check("a: |\r\n  x: 'v1' M\r\n", "a: |\r\n  x: 'v2' M\r\n");
    check(
        "a: |+\n    - v1 M\n    # c\n\n",
        "a: |+\n    - v2 M\n    # c\n\n",
    );
    check(
        "a: |\n  x: v1 # {\"$imagepolicy\": \"ns:num:tag\"}\n",
        "a: |\n  x: \"1.0\" # {\"$imagepolicy\": \"ns:num:tag\"}\n",
    );
    check(
        "- |\n  é: &x v1 M\n  ---\n  b:\n  M\n  - v1\n- v1 M\n",
        "- |\n  é: &x v2 M\n  ---\n  b:\n  M\n  - v2\n- v2 M\n",
    );
}

#[test]
fn text_in_a_block_that_is_no_yaml_is_text() {
    for text in [
        "a: |\n  x: 'v1 M'\n",
        "a: |\n  echo v1 M\n  exit\n",
        "a: |\n  x: v1 M\n  y\n",
        "a: >\n  x: v1 M\n",
        "a: |\n  v1 M\n  M\n",
        "a: |\n  b: |\n    c: v1 M\n",
    ] {
        assert_eq!(
            read(with_markers(text).as_bytes()),
            Reading::default(),
            "{text}"
        );
    }
}

#[test]
fn what_is_wrong_in_a_block_is_reported_at_its_place() {
    check_left("a: |\n\n  M\n  x: v1\n", 3, &Problem::Unbound);
    check_left(
        "a: |\n  b: 1\n  x: | M\n    v1\n",
        3,
        &not_editable("it is a block"),
    );
    check_left(
        "a: |\n  x: v1 # {'$imagepolicy': 'a:b'}\n",
        2,
        &misspelt(""),
    );
}

#[test]
fn a_setter_in_a_block_knows_where_it_stands() {
    let text = "\
kind: ConfigMap
data:
  a.yaml: |
    kind: Pod
    spec: {image: v1, M
      tag: v1, M
    }
  b.yaml: |
    x:
      - v1 M
";
    let text = with_markers(text);
    let reading = read(text.as_bytes());
    let [image, tag, other] = &reading.setters[..] else {
        panic!("{reading:?}");
    };
    assert_eq!(image.path, r#"data["a.yaml"]|spec.image"#);
    assert_eq!((image.line, image.column), (5, 19));
    assert_eq!(image.object.kind, "Pod");
    assert_eq!(other.path, r#"data["b.yaml"]|x[0]"#);
    assert_eq!(other.object.kind, "ConfigMap");
    assert_eq!(image.group, tag.group);
    assert_ne!(image.group, other.group);
}

#[test]
fn the_uses_of_an_anchor_are_counted() {
    let text = with_markers(
        "a: &x v1 M\nb: *x\nc: &y v1 M\nd: [*x, *y]\ne: |\n  f: &z v1 M\n  g: *z\nh: v1 M\n",
    );
    let setters = read(text.as_bytes()).setters;
    let aliases: Vec<_> = setters.iter().map(|setter| &setter.aliases[..]).collect();
    assert_eq!(aliases, [&[2, 4][..], &[4], &[7], &[]]);
}
