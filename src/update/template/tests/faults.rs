//! What templates say when they cannot be read or rendered.

use super::{
    super::{ErrorKind, Template},
    check_fault, render,
};

#[test]
fn faults_of_grammar_say_what_and_where() {
    check_fault("{{", (1, 3), "unclosed action");
    check_fault("a\n{{ foo }}", (2, 4), r#"function "foo" not defined"#);
    check_fault("{{ }}", (1, 1), "missing value for command");
    check_fault("{{ if }}{{ end }}", (1, 4), "missing value for if");
    check_fault("{{ if 1 }}", (1, 11), "unexpected EOF");
    check_fault("{{ end }}", (1, 4), "unexpected {{end}}");
    check_fault(
        "{{ if 1 }}{{ else }}{{ else }}{{ end }}",
        (1, 24),
        "expected end; found {{else}}",
    );
    check_fault("{{ break }}", (1, 4), "{{break}} outside {{range}}");
    check_fault(
        "{{ 1 | 2 }}",
        (1, 8),
        "non executable command in pipeline stage 2",
    );
    check_fault("{{ print 1 | }}", (1, 14), "missing value for command");
    check_fault("{{ $x }}", (1, 4), r#"undefined variable "$x""#);
    check_fault("{{ $x = 1 }}", (1, 4), r#"undefined variable "$x""#);
    check_fault(
        "{{ $a, $b := 1 }}",
        (1, 6),
        "too many declarations in command",
    );
    check_fault(
        "{{ with 1 }}{{ $z := 1 }}{{ end }}{{ $z }}",
        (1, 38),
        r#"undefined variable "$z""#,
    );
    check_fault(r#"{{ "a".b }}"#, (1, 7), "unexpected . after term");
    check_fault("{{ 'ab' }}", (1, 4), "bad character syntax: 'ab'");
    check_fault("{{ 08 }}", (1, 4), r#"integer overflow: "08""#);
    check_fault(
        r#"{{ define "x" }}a{{ end }}{{ define "x" }}b{{ end }}"#,
        (1, 37),
        r#"multiple definition of template "x""#,
    );
}

#[test]
fn faults_in_rendering_say_what_and_where() {
    check_fault(
        r#"{{ template "x" }}"#,
        (1, 13),
        r#"template "x" not defined"#,
    );
    check_fault("{{ nil }}", (1, 4), "nil is not a command");
    check_fault("{{ 1 2 }}", (1, 4), "can't give argument to non-function 1");
    check_fault(
        "{{ .Values 1 }}",
        (1, 4),
        "can't give argument to non-function .Values",
    );
    check_fault(
        "{{ .Changed.Objets }}",
        (1, 4),
        "can't evaluate field Objets in type update.Result",
    );
    check_fault(
        "{{ .Values.cluster.x }}",
        (1, 4),
        "can't evaluate field x in type string",
    );
    check_fault(
        "{{ upper }}",
        (1, 4),
        "wrong number of args for upper: want 1 got 0",
    );
    check_fault(
        "{{ and }}",
        (1, 4),
        "wrong number of args for and: want at least 1 got 0",
    );
    check_fault(
        "{{ upper 1 }}",
        (1, 10),
        "wrong type for value; expected string; got int",
    );
    check_fault(
        "{{ .Values.nope | upper }}",
        (1, 19),
        "invalid value; expected string",
    );
    check_fault(
        "{{ index .Changed.Changes 9 }}",
        (1, 4),
        "error calling index: index out of range: 9",
    );
    check_fault("{{ len 1 }}", (1, 4), "error calling len: len of type int");
    check_fault(
        "{{ eq 1 1.0 }}",
        (1, 4),
        "error calling eq: incompatible types for comparison",
    );
    check_fault(
        "{{ lt true false }}",
        (1, 4),
        "error calling lt: invalid type for comparison",
    );
    check_fault(
        "{{ eq (list) (list) }}",
        (1, 4),
        "error calling eq: non-comparable type []interface {}",
    );
    check_fault(r#"{{ fail "boom" }}"#, (1, 4), "error calling fail: boom");
    check_fault(
        "{{ div 1 0 }}",
        (1, 4),
        "error calling div: runtime error: integer divide by zero",
    );
    check_fault(
        r#"{{ range "abc" }}{{ end }}"#,
        (1, 10),
        "range can't iterate over abc",
    );
    check_fault(
        r#"{{ set .Values "a" "b" }}"#,
        (1, 8),
        "wrong type for value; expected map[string]interface {}; got map[string]string",
    );
    check_fault(
        r#"{{ regexFind "(" "a" }}"#,
        (1, 4),
        "error calling regexFind: regexp: `(`: error: unclosed group",
    );
}

#[test]
fn what_differs_between_runs_is_refused_when_read() {
    let check = |call: &str, reason: &str| {
        let error = Template::parse(&format!("{{{{ if false }}}}{{{{ {call} }}}}{{{{ end }}}}"));
        let ErrorKind::Refused { reason: found, .. } = error.expect_err(call).kind else {
            panic!("{call} is not refused");
        };
        assert_eq!(found, reason, "{call}");
    };
    let differs = "it would make commits differ between runs";
    let secrets = "a commit message is no place for secrets";
    check("randInt 1 5", differs);
    check("shuffle \"abc\"", differs);
    check("genPrivateKey \"rsa\"", differs);
    check("htpasswd \"a\" \"b\"", differs);
    check("encryptAES \"a\" \"b\"", differs);
    check("decryptAES \"a\" \"b\"", secrets);
    check("derivePassword 1 \"a\" \"b\" \"c\" \"d\"", secrets);
    check("ago 1", differs);
    check(
        "now",
        "it depends on the clock or the time zone of the machine",
    );
    check(
        "toDate \"a\" \"b\"",
        "it depends on the clock or the time zone of the machine",
    );
    check(
        "env \"HOME\"",
        "it depends on the machine that renders the message",
    );
    check("call .X", "there is no value that could be called");
}

#[test]
fn hints_name_what_was_meant() {
    let check = |source: &str, expected: Option<&str>| {
        let error = render(source).expect_err(source);
        assert_eq!(error.hint().as_deref(), expected, "{source}");
    };
    check("{{ uper .X }}", Some("did you mean `upper`?"));
    check("{{ trimsuffix .X }}", Some("did you mean `trimSuffix`?"));
    check("{{ .Changed.Object }}", Some("did you mean `.Objects`?"));
    check(
        "{{ range $k, $v := .Changed.Objects }}{{ $k.name }}{{ end }}",
        Some("did you mean `.Name`?"),
    );
    check("{{ .Changed.Nonsense }}", None);
    check(
        "{{ upper .Values.x }}",
        Some("the value is missing; give it a default, as in `(default \"\" .X)`"),
    );
    check(
        "{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}",
        Some("look for a template that calls itself"),
    );
}
