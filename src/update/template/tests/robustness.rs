//! Whatever a template says, rendering it gives a text or an error, and the same one each time.

use proptest::prelude::*;

use super::{super::functions, render};

/// Pieces that templates are made of, right and wrong.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{- ",
    " -}}",
    "if ",
    "else",
    "end",
    "range ",
    "with ",
    "define ",
    "template ",
    "block ",
    "break",
    "continue",
    "$",
    "$x",
    " := ",
    " = ",
    ", ",
    " | ",
    "(",
    ")",
    ".",
    ".Changed",
    ".Values",
    ".Objects",
    ".Changes",
    ".FileChanges",
    ".NewValue",
    ".AutomationObject",
    " ",
    "\n",
    "é",
    "\"a\"",
    "\"",
    "`",
    "'",
    "1",
    "-2",
    "0x",
    "1e3",
    "nil",
    "true",
    "/*",
    "*/",
    "printf ",
    "\"%d %v %q %[1]*x\" ",
    "list ",
    "dict ",
    "set ",
    "index ",
    "eq ",
    "and ",
    "or ",
    "trunc ",
    "substr ",
    "repeat ",
    "until ",
    "untilStep ",
    "seq ",
    "regexFind ",
    "regexReplaceAll ",
    "splitn ",
    "wrap ",
    "wrapWith ",
    "abbrevboth ",
    "snakecase ",
    "camelcase ",
    "toJson ",
    "fromJson ",
    "round ",
    "divf ",
    "mulf ",
    "b64dec ",
    "b32dec ",
    "urlParse ",
    "urlJoin ",
    "semver ",
    "merge ",
    "dig ",
    "chunk ",
    "slice ",
    "durationRound ",
    "9223372036854775807 ",
    "-9223372036854775808 ",
    "99999 ",
];

const VALID: &[&str] = &[
    "Update\n\n{{ range $f, $o := .Changed.FileChanges }}- {{ $f }}\n{{ range $k, $c := $o }}{{ $k.Kind }} {{ range $c }}{{ .OldValue }} {{ end }}{{ end }}{{ end }}",
    "{{ define \"x\" }}{{ . | upper }}{{ end }}{{ range .Changed.Changes }}{{ template \"x\" .NewValue }}{{ else }}none{{ end }}",
    "{{- $d := dict \"a\" 1 -}}{{ $_ := set $d \"b\" (list 1 2.5 nil) }}{{ toPrettyJson $d | nindent 2 }}{{ printf \"%-10.3v|%+d\" \"é\" 5 }}",
    "{{ $n := 0 }}{{ range $i, $c := .Changed.Changes }}{{ if gt $i 1 }}{{ break }}{{ else if eq $i 0 }}{{ continue }}{{ end }}{{ $n = add $n $i }}{{ end }}{{ $n }}",
];

proptest! {
    #[test]
    fn no_text_panics(source in "\\PC{0,200}") {
        let _ = render(&source);
    }

    #[test]
    fn no_action_panics(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..30)) {
        let _ = render(&format!("{{{{ {} }}}}", pieces.concat()));
        let _ = render(&pieces.concat());
    }

    #[test]
    fn no_mutation_panics(
        start in prop::sample::select(VALID),
        at in 0_usize..300,
        length in 0_usize..20,
        piece in prop::sample::select(PIECES),
    ) {
        let from = start.floor_char_boundary(at.min(start.len()));
        let to = start.ceil_char_boundary((from + length).min(start.len()));
        let _ = render(&format!("{}{piece}{}", &start[..from], &start[to..]));
    }

    #[test]
    fn no_call_panics(
        name in prop::sample::select(functions::names()),
        arguments in prop::collection::vec(prop::sample::select(ARGUMENTS), 0..5),
    ) {
        let _ = render(&format!("{{{{ {name} {} }}}}", arguments.join(" ")));
    }

    #[test]
    fn no_format_panics(format in "(%[-+# 0]{0,3}(\\*|[0-9]{0,3})?(\\.(\\*|[0-9]{0,3}))?(\\[[0-9]?\\])?[a-zA-Z%]?.?){0,4}") {
        let text = serde_json::to_string(&format).unwrap();
        let _ = render(&format!("{{{{ printf {text} 1 -2 \"é\" 1.5 (list 1) nil . }}}}"));
    }

    #[test]
    fn rendering_is_a_function_of_its_input(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..30)) {
        let source = format!("{{{{ {} }}}}", pieces.concat());
        prop_assert_eq!(render(&source), render(&source));
    }
}

const ARGUMENTS: &[&str] = &[
    "nil",
    "true",
    "0",
    "1",
    "-1",
    "3",
    "9223372036854775807",
    "-9223372036854775808",
    "1.5",
    "-0.0",
    "1e300",
    "1e-300",
    "\"\"",
    "\"a\"",
    "\"é日\"",
    "\"a-b_c D2e\"",
    "\"1.2.3-rc+x\"",
    "\"(a*)\"",
    "\"{\\\"a\\\":[1]}\"",
    "\"http://u@h:1/p?q#f\"",
    "\"1h2m\"",
    "(list)",
    "(list 1 \"a\" nil)",
    "(dict)",
    "(dict \"a\" (dict \"b\" 1))",
    "(until 3)",
    ".",
    ".Values",
    ".Changed",
    ".Changed.Objects",
    "(semver \"1.2.3\")",
    "(index \"a\" 0)",
    "(add 1)",
];
