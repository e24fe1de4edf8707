//! What templates render to.

use super::{
    super::{Template, Value},
    check_template,
};

#[test]
fn a_pipe_hands_its_value_on() {
    check_template(r#"{{ add 1 2 | mul 2 | print "x" }}"#, "x6");
    check_template(r#"{{ "abc" | printf "%s-%s" "x" }}"#, "x-abc");
    check_template("{{ ((add 1 (mul 2 3))) }}", "7");
    check_template(
        r#"{{ 5 | and 1 }}{{ or .Values.nope "d" }}{{ and true .Values.nope }}"#,
        "5d<no value>",
    );
    check_template(r#"{{ and 0 (fail "x") }}{{ or 1 (fail "x") }}"#, "01");
}

#[test]
fn conditions_choose_a_branch() {
    check_template(
        "{{ if .Values.cluster }}a{{ else if true }}b{{ else }}c{{ end }}",
        "a",
    );
    check_template(
        "{{ if false }}a{{ else if eq 1 1 }}b{{ else }}c{{ end }}",
        "b",
    );
    check_template("{{ if 0.0 }}a{{ else if dict }}b{{ else }}c{{ end }}", "c");
    check_template(
        "{{ with .Values.cluster }}{{ . }}{{ else }}none{{ end }}",
        "prod",
    );
    check_template(
        "{{ with .Values.nope }}{{ . }}{{ else }}none in {{ .Values.cluster }}{{ end }}",
        "none in prod",
    );
    check_template("{{ with $x := 5 }}{{ $x }}{{ . }}{{ end }}", "55");
}

#[test]
fn loops_go_through_lists_and_maps_in_order() {
    check_template("{{ range list 1 2 3 }}{{ . }}{{ end }}", "123");
    check_template(
        r#"{{ range $i, $e := list "a" "b" }}{{ $i }}{{ $e }}{{ end }}"#,
        "0a1b",
    );
    check_template(
        r#"{{ range $k, $v := dict "b" 1 "a" 2 }}{{ $k }}{{ $v }}{{ end }}"#,
        "a2b1",
    );
    check_template(
        r#"{{ range $v := dict "b" 1 "a" 2 }}{{ $v }}{{ end }}"#,
        "21",
    );
    check_template("{{ range list }}x{{ else }}empty{{ end }}", "empty");
    check_template("{{ range .Values.nope }}x{{ else }}empty{{ end }}", "empty");
    check_template(
        "{{ range list 1 2 3 4 5 }}{{ if eq . 2 }}{{ continue }}{{ end }}{{ if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}",
        "13",
    );
    check_template(
        "{{ $i := 0 }}{{ $e := 0 }}{{ range $i, $e = list 5 6 }}{{ end }}{{ $i }}{{ $e }}",
        "16",
    );
    check_template(
        "{{ range $k, $v := .Changed.Objects }}{{ $k.APIVersion }} {{ $k.Kind }} {{ len $v }} {{ len (index $.Changed.Objects $k) }}; {{ end }}",
        "apps/v1 Deployment 3 3; apps/v1 StatefulSet 1 1; v1 Pod 1 1; ",
    );
}

#[test]
fn variables_live_in_their_block() {
    check_template(
        "{{ $x := 1 }}{{ range list 1 2 3 }}{{ $x = add $x . }}{{ end }}{{ $x }}",
        "7",
    );
    check_template(
        r#"{{ $y := "a" }}{{ if true }}{{ $y := "b" }}{{ end }}{{ $y }}"#,
        "a",
    );
    check_template(
        r#"{{ $y := "a" }}{{ if true }}{{ $y = "b" }}{{ end }}{{ $y }}"#,
        "b",
    );
    check_template(
        "{{ $x := . }}{{ with 1 }}{{ $x.Values.cluster }}{{ $.Values.n }}{{ end }}",
        "prod3",
    );
}

#[test]
fn templates_are_defined_and_called() {
    check_template(
        r#"{{ define "t" }}[{{ . }}{{ $ }}]{{ end }}{{ template "t" 1 }}{{ template "t" }}{{ template "t" .Values.cluster }}"#,
        "[11][<no value><no value>][prodprod]",
    );
    check_template(
        r#"{{ block "b" 5 }}<{{ . }}>{{ end }} {{ template "b" 6 }}"#,
        "<5> <6>",
    );
    check_template(
        r#"{{ define "x" }} {{ end }}{{ define "x" }}b{{ end }}{{ template "x" }}"#,
        "b",
    );
    check_template(
        r#"{{ define "x" }}a{{ end }}{{ define "x" }} {{ end }}{{ template "x" }}"#,
        "a",
    );
}

#[test]
fn fields_hang_on_any_operand() {
    check_template("{{ (index .Changed.Changes 0).OldValue }}", "web:1.0");
    check_template(r#"{{ (dict "a" (dict "b" 1)).a.b }}"#, "1");
    check_template(r#"{{ $l := splitList ":" "a:b" }}{{ index $l 1 }}"#, "b");
    check_template("{{ .Values.nope.x.y }}", "<no value>");
    check_template("{{ .AutomationObject.String }}", "flux-system/apps");
}

#[test]
fn literals_are_gos() {
    check_template(
        r"{{ 'a' }} {{ '\n' }} {{ 0x1F }} {{ 017 }} {{ 1_000 }} {{ 1e3 }} {{ -5 }} {{ .5 }} {{ 1.0 }}",
        "97 10 31 15 1000 1000 -5 0.5 1",
    );
    check_template(
        r#"{{ true }} {{ "\u00e9\t" }} {{ `raw\n` }}"#,
        "true é\t raw\\n",
    );
}

#[test]
fn maps_are_shared_and_lists_are_not() {
    check_template(
        r#"{{ $d := dict "a" 1 }}{{ $_ := set $d "b" 2 }}{{ $_ := unset $d "a" }}{{ $d }}"#,
        "map[b:2]",
    );
    check_template(
        r#"{{ $d := dict "a" 1 }}{{ $_ := merge $d (dict "b" 2) }}{{ $d }}"#,
        "map[a:1 b:2]",
    );
    check_template(
        r#"{{ $d := dict "a" 1 }}{{ $c := deepCopy $d }}{{ $_ := set $c "a" 2 }}{{ $d }}"#,
        "map[a:1]",
    );
    check_template(
        "{{ $l := list 1 2 }}{{ $m := append $l 3 }}{{ $l }} {{ $m }}",
        "[1 2] [1 2 3]",
    );
}

#[test]
fn trim_markers_work_across_actions() {
    check_template("a {{- 1 }} b {{ 2 -}} c {{- 3 -}} d", "a1 b 2c3d");
    check_template(" {{- -3 }} {{- 3 -}} {{-3}} {{3 -}} x", "-33-3 3x");
    check_template(r#"{{/* c */}}a{{- /* d */ -}} b {{- "x" -}} c"#, "abxc");
}

#[test]
fn data_prints_as_in_flux() {
    check_template(
        "{{ . }}",
        "{flux-system/apps {map[a.yaml:map[{{{apps/v1 Deployment} {web default}}}:[{web:1.0 web:1.1 apps:web} {1.0 1.1 apps:web:tag}] {{{v1 Pod} {a z}}}:[{web:1.0 web:1.1 apps:web}]] b.yaml:map[{{{apps/v1 Deployment} {web default}}}:[{db:5 db:6 apps:db}] {{{apps/v1 StatefulSet} {db }}}:[{db:5 db:6 apps:db}]]]} map[cluster:prod n:3]}",
    );
    check_template(
        "{{ .Changed }}",
        "{map[a.yaml:map[{{{apps/v1 Deployment} {web default}}}:[{web:1.0 web:1.1 apps:web} {1.0 1.1 apps:web:tag}] {{{v1 Pod} {a z}}}:[{web:1.0 web:1.1 apps:web}]] b.yaml:map[{{{apps/v1 Deployment} {web default}}}:[{db:5 db:6 apps:db}] {{{apps/v1 StatefulSet} {db }}}:[{db:5 db:6 apps:db}]]]}",
    );
    check_template(
        "{{ .Changed.Objects }}",
        "map[{{{apps/v1 Deployment} {web default}}}:[{web:1.0 web:1.1 apps:web} {1.0 1.1 apps:web:tag} {db:5 db:6 apps:db}] {{{apps/v1 StatefulSet} {db }}}:[{db:5 db:6 apps:db}] {{{v1 Pod} {a z}}}:[{web:1.0 web:1.1 apps:web}]]",
    );
    check_template(
        "{{ .Values }}{{ .AutomationObject }}{{ .Values.nope }}",
        "map[cluster:prod n:3]flux-system/apps<no value>",
    );
}

#[test]
fn newer_go_is_understood() {
    check_template("{{ range 3 }}{{ . }}{{ end }}", "012");
    check_template("{{ range $i := 2 }}{{ $i }}{{ end }}", "01");
    check_template("{{ range 0 }}x{{ else }}none{{ end }}", "none");
    check_template("{{ with 0 }}a{{ else with 2 }}{{ . }}{{ end }}", "2");
    check_template(r#"{{ sha512sum "" | trunc 8 }}"#, "cf83e135");
}

#[test]
fn more_is_understood_than_by_flux() {
    check_template(
        r#"{{ get .Values "cluster" }}{{ hasKey .Values "x" }}"#,
        "prodfalse",
    );
    check_template("{{ keys .Values }}", "[cluster n]");
    check_template(r#"{{ slice "abcdef" 1 3 }}"#, "bc");
    check_template(r#"{{ trunc (add 1 1) "abc" }}"#, "ab");
}

#[test]
fn a_cut_never_goes_through_a_character() {
    check_template(
        r#"{{ trunc 2 "né" }}|{{ trunc -1 "né" }}|{{ substr 0 2 "né" }}"#,
        "n||n",
    );
    check_template(r#"{{ wrapWith 1 "-" "éà" }}"#, "é-à");
}

#[test]
fn a_template_can_be_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Template>();
}

#[test]
fn values_are_not_read_as_templates() {
    let template = Template::parse("{{ . }}").unwrap();
    let text = "{{ .Values }}{{";
    assert_eq!(template.render(&Value::from(text)).unwrap(), text);
}
