//! Properties over generated files, with an independent parser as second opinion.

use std::collections::BTreeMap;

use proptest::prelude::*;
use yaml_rust2::{Yaml, YamlLoader};

use super::*;

/// Lines of a mapping; `K` becomes a key of its own, `V` the value, and `M` the marker.
const MARKED: [&str; 14] = [
    "K: V M",
    "\"K\":   V\tM",
    "K: !!str V M",
    "K: &K V M\nzK: *K",
    "K: {b: V, M\n  c: d}",
    "K: [V, M\n  \"x\", y]",
    "K: {c: d, b: V M\n  }",
    "K:\n- x\n- V M",
    "K:\n- M\n  V\n- x # y",
    "K:\n  M\n  V",
    "K:\nM\n- V",
    "K: {b: {c: [V, M\n x]}}",
    "? K\n: V M",
    "K:\n    b:\n      - c: V M\n        d: 1.0",
];
const NOISE: [&str; 12] = [
    "",
    "# a comment é😀",
    "K: x # y",
    "K: >\n  folded M\n  text\n\n",
    "K: |+\n  # literal M\n",
    "K: \"a\n  b\"",
    "K: {a: [], 'b c': {}}",
    "K: 1_000",
    "K: שלום",
    "  # indented",
    "K: a\n  b",
    "---\nK: 12:30",
];
const VALUES: [&str; 8] = [
    "v1",
    "'v1'",
    "\"v1\"",
    "7",
    "~",
    "ghcr.io/acme/web:1.4.2",
    "'it''s'",
    "\"\"",
];
const TRICKY: [&str; 24] = [
    "1.0",
    "123",
    "0123",
    "1e5",
    "1_000",
    "0x1F",
    "0o17",
    "yes",
    "y",
    "Off",
    "null",
    "~",
    ".inf",
    "2024-01-01",
    "12:30",
    "12e4567",
    "",
    " x",
    "x ",
    "a: b",
    "a #b",
    "- a",
    "it's",
    "say \"x\" \\",
];

#[derive(Clone, Debug)]
struct File {
    text: String,
    markers: usize,
}

fn new_value() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&TRICKY[..]).prop_map(str::to_owned),
        "[a-z0-9.]{1,4}/[a-z]{1,5}:[A-Za-z0-9_.-]{1,9}",
        "[0-9._eExX:+-]{1,6}",
        "\\PC{0,12}",
        "[\\x00-\\x7F\u{85}\u{2028}\u{FEFF}]{0,6}",
    ]
}

fn file() -> impl Strategy<Value = File> {
    let marked = (
        prop::sample::select(&MARKED[..]),
        prop::sample::select(&VALUES[..]),
    )
        .prop_map(|(line, value)| line.replace('V', value));
    let noise = prop::sample::select(&NOISE[..]).prop_map(str::to_owned);
    let lines = prop::collection::vec(prop_oneof![marked, noise], 1..12);
    (lines, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(lines, crlf, mark, end)| {
        let mut text = String::new();
        let mut markers = 0;
        for (number, line) in lines.into_iter().enumerate() {
            markers += usize::from(!NOISE.contains(&line.as_str()));
            text.push_str(
                &with_markers(&line)
                    .replace('K', &format!("k{number}"))
                    .replace("\tM", &format!("\t{MARKER}")),
            );
            text.push('\n');
        }
        if !end {
            text.truncate(text.trim_end_matches('\n').len());
        }
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        if mark {
            text.insert(0, '\u{FEFF}');
        }
        File { text, markers }
    })
}

fn edits_to(setters: &[Setter], new: &[String]) -> Vec<Edit> {
    let edit = |(setter, new): (&Setter, &String)| Edit {
        span: setter.span.clone(),
        style: setter.style,
        old: setter.value.clone(),
        new: new.clone(),
    };
    setters.iter().zip(new.iter().cycle()).map(edit).collect()
}

/// The text between the values.
fn outside<'a>(text: &'a [u8], setters: &[Setter]) -> Vec<&'a [u8]> {
    let mut from = 0;
    let mut parts = Vec::new();
    for setter in setters {
        parts.push(&text[from..setter.span.start]);
        from = setter.span.end;
    }
    parts.push(&text[from..]);
    parts
}

/// Every scalar by its path, as the other parser reads it; copies through aliases left out.
fn scalars(text: &[u8]) -> BTreeMap<String, Yaml> {
    fn walk(path: String, node: Yaml, found: &mut BTreeMap<String, Yaml>) {
        match node {
            Yaml::Array(items) => {
                for (position, item) in items.into_iter().enumerate() {
                    walk(format!("{path}[{position}]"), item, found);
                }
            }
            Yaml::Hash(entries) => {
                for (key, value) in entries {
                    let key = key.into_string().unwrap();
                    let dot = if path.is_empty() { "" } else { "." };
                    if !key.starts_with('z') {
                        walk(format!("{path}{dot}{key}"), value, found);
                    }
                }
            }
            scalar => {
                found.insert(path, scalar);
            }
        }
    }
    let text = std::str::from_utf8(text)
        .unwrap()
        .trim_start_matches('\u{FEFF}');
    let mut found = BTreeMap::new();
    for document in YamlLoader::load_from_str(text).unwrap() {
        walk(String::new(), document, &mut found);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_splice_changes_the_spans_and_nothing_else(
        file in file(),
        new in prop::collection::vec(new_value(), 1..4),
    ) {
        let before = file.text.as_bytes();
        let reading = read(before);
        prop_assert_eq!(&reading.findings, &[]);
        prop_assert_eq!(reading.setters.len(), file.markers);
        let edits = edits_to(&reading.setters, &new);
        let after = splice(before, &edits).unwrap();

        let setters = read(&after).setters;
        prop_assert_eq!(outside(before, &reading.setters), outside(&after, &setters));
        for (setter, edit) in setters.iter().zip(&edits) {
            prop_assert_eq!(&setter.value, &edit.new);
        }
        let again = edits_to(&setters, &new);
        prop_assert_eq!(&splice(&after, &again).unwrap(), &after);
    }

    #[test]
    fn line_mode_and_blocks_keep_to_the_spans_too(
        file in file(),
        new in prop::collection::vec(new_value(), 1..4),
        template in any::<bool>(),
    ) {
        let plain = file.text.trim_start_matches('\u{FEFF}');
        let line_end = if plain.contains('\r') { "\r\n" } else { "\n" };
        let text = if template {
            format!("{{{{- if .x }}}}{line_end}{plain}{line_end}{{{{- end }}}}{line_end}")
        } else {
            let indented: Vec<_> = plain.split(line_end).map(|line| format!("  {line}")).collect();
            format!("a: |2{line_end}{}{line_end}b: x{line_end}", indented.join(line_end))
        };
        let before = text.as_bytes();
        let reading = read(before);
        prop_assert_eq!(reading.setters.len(), file.markers, "{}", text);
        // Braces in a value are refused in line mode.
        let new: Vec<_> = new.iter().map(|new| new.replace(['{', '}'], "")).collect();
        let edits = edits_to(&reading.setters, &new);
        let after = splice(before, &edits).unwrap();
        let setters = read(&after).setters;
        prop_assert_eq!(outside(before, &reading.setters), outside(&after, &setters));
        for (setter, edit) in setters.iter().zip(&edits) {
            prop_assert_eq!(&setter.value, &edit.new);
        }
        let again = edits_to(&setters, &new);
        prop_assert_eq!(&splice(&after, &again).unwrap(), &after);
    }

    #[test]
    fn another_parser_sees_the_same_change(
        file in file(),
        new in prop::collection::vec(new_value(), 1..4),
    ) {
        let before = file.text.as_bytes();
        let setters = read(before).setters;
        let edits = edits_to(&setters, &new);
        let after = splice(before, &edits).unwrap();
        let mut expected = scalars(before);
        for (setter, edit) in setters.iter().zip(&edits) {
            if edit.new != edit.old {
                expected.insert(setter.path.clone(), Yaml::String(edit.new.clone()));
            }
        }
        prop_assert_eq!(scalars(&after), expected);
    }

    #[test]
    fn editing_back_restores_the_file(file in file(), new in "v[a-z]{1,8}") {
        let before = file.text.as_bytes();
        let setters = read(before).setters;
        let needs_no_quotes = |setter: &Setter| {
            setter.style != Style::Plain || !matches!(setter.value.as_str(), "7" | "~")
        };
        let setters: Vec<Setter> = setters.into_iter().filter(needs_no_quotes).collect();
        let after = splice(before, &edits_to(&setters, &[new])).unwrap();
        let old: Vec<String> = setters.iter().map(|setter| setter.value.clone()).collect();
        let paths: Vec<&String> = setters.iter().map(|setter| &setter.path).collect();
        let mut edited = read(&after).setters;
        edited.retain(|setter| paths.contains(&&setter.path));
        if !old.is_empty() {
            prop_assert_eq!(splice(&after, &edits_to(&edited, &old)).unwrap(), before);
        }
    }

    #[test]
    fn any_text_with_markers_is_read_and_spliced_safely(
        pieces in prop::collection::vec(
            prop::sample::select(&[
                "a: ", "b:", "- ", "v1", "'v'", "\"w\"", " M", "\n", "\n", "\n  ", "\r\n", "\t", "[", "]", "{", "}",
                ",", ", ", "? ", ": ", "|", ">-", "|2", "&x ", "*x", "!!str ", "!!int ", "!t ", "---", "...", "# c",
                "%YAML 1.1", "\u{FEFF}", "é", " ", "\\", "'", "\"", "~", "{{ x }}", "{{- if y }}\n",
                "c: |\n  d: v1 M\n", "sops: {mac: x}\n",
            ][..]),
            0..24,
        ),
        new in new_value(),
    ) {
        let text = with_markers(&pieces.concat());
        let reading = read(text.as_bytes());
        let edits = edits_to(&reading.setters, std::slice::from_ref(&new));
        match splice(text.as_bytes(), &edits) {
            Ok(after) => {
                let setters = read(&after).setters;
                prop_assert_eq!(outside(text.as_bytes(), &reading.setters), outside(&after, &setters));
                prop_assert!(setters.iter().all(|setter| setter.value == new));
            }
            Err(error) => {
                let honest = matches!(
                    error,
                    SpliceError::Unwritable { .. } | SpliceError::Unparsable { .. }
                );
                prop_assert!(honest && (edits.is_empty() || error.class() == crate::error::Class::Config), "{}", error);
            }
        }
    }

    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        start in 0_usize..300, length in 0_usize..50, new in "\\PC{0,8}",
    ) {
        let _ = read(&bytes);
        let edit = Edit { span: start..start + length, style: Style::Plain, old: "v1".into(), new };
        prop_assert!(splice(&bytes, &[edit]).is_err());
    }
}

#[test]
fn edits_that_do_not_fit_are_refused() {
    let edit = |start: usize, end: usize, old: &str| Edit {
        span: start..end,
        style: Style::Plain,
        old: old.to_owned(),
        new: "v2".to_owned(),
    };
    let check = |edits: &[Edit], expected: &str| {
        let error = splice(b"a: v1\nb: v1\n", edits).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(&[edit(3, 5, "v3")], "does not stand there");
    check(&[edit(3, 4, "v")], "does not stand there");
    check(&[edit(0, 1, "a"), edit(0, 1, "a")], "twice");
    check(&[edit(9, 11, "v1"), edit(9, 11, "v1")], "twice");
    check(&[edit(9, 40, "v1")], "does not stand there");
    #[expect(clippy::reversed_empty_ranges, reason = "this is the case under test")]
    let reversed = Edit {
        span: 5..3,
        ..edit(0, 0, "v1")
    };
    check(&[reversed], "does not stand there");
    let edits = [edit(9, 11, "v1"), edit(3, 5, "v1")];
    assert_eq!(
        splice(b"a: v1\nb: v1\n", &edits).unwrap(),
        b"a: v2\nb: v2\n"
    );
}
