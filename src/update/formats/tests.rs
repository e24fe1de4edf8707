//! Whole files of every format but YAML.

use proptest::prelude::*;

use super::*;
use crate::update::{Finding, Problem, Setter};

/// What `M` stands for in the tables.
const MARKER: &str = r#"{"$imagepolicy": "ns:p"}"#;

fn read(path: &str, bytes: &[u8]) -> Reading {
    super::read(path, bytes, &Targets::default())
}

fn edits_to(setters: &[Setter], new: &str) -> Vec<Edit> {
    let edit = |setter: &Setter| Edit {
        span: setter.span.clone(),
        style: setter.style,
        old: setter.value.clone(),
        new: new.to_owned(),
    };
    setters.iter().map(edit).collect()
}

/// Checks that each `web:1` becomes `web:2` where a marker governs it, and `keep:1` stays.
fn check(path: &str, before: &str) {
    let before = before.replace(" M", &format!(" {MARKER}"));
    let reading = read(path, before.as_bytes());
    assert_eq!(reading.findings, [], "{before}");
    let edits = edits_to(&reading.setters, "web:2");
    let after = splice(path, before.as_bytes(), &edits, &[]).unwrap();
    let expected = before.replace("web:1", "web:2");
    assert_ne!(expected, before);
    assert_eq!(String::from_utf8(after).unwrap(), expected);
}

/// Checks that nothing is edited in `text`, and why.
fn check_left(path: &str, text: &str, line: usize, problem: &str) {
    let text = text.replace(" M", &format!(" {MARKER}"));
    let reading = read(path, text.as_bytes());
    assert_eq!(reading.setters, [], "{text}");
    let [
        Finding {
            line: found,
            problem: reason,
            ..
        },
    ] = &reading.findings[..]
    else {
        panic!("{:?} in {text}", reading.findings);
    };
    assert_eq!(*found, line, "{text}");
    assert!(reason.to_string().contains(problem), "{reason} in {text}");
}

#[test]
fn images_in_dockerfiles_are_edited() {
    let check = |text| check("Dockerfile", text);
    check("# M\nFROM web:1\n");
    check("FROM keep:1 AS a\n# M\nfrom --platform=linux/amd64  web:1  AS b\n");
    check("\u{FEFF}# M\r\nFROM web:1\r\n");
    check("# M\nARG IMAGE=web:1\nARG OTHER=keep:1\nFROM $IMAGE\n");
    check("# M\n  ARG IMAGE=\"web:1\"\n# M\nARG X='web:1'");
    check("FROM keep:1\nRUN cat <<EOF\n# M\nFROM keep:1\nEOF\n# M\nFROM web:1\n");
    check("RUN cat <<-'A' <<B\n\tA\n  B\nB\n# M\nFROM web:1\n");
    check("RUN a && \\\n  b\n# M\nFROM web:1\n");
    check("# escape=`\nRUN a `\n  # c\n  b\n# M\nFROM web:1\n");
}

#[test]
fn what_a_dockerfile_cannot_say_is_reported() {
    let check = |text, line, problem| check_left("Dockerfile", text, line, problem);
    check("FROM web:1 # M\n", 1, "no comments at the end of a line");
    check("# M\nFROM web:${TAG}\n", 1, "a variable");
    check("# M\nFROM \\\n web:1\n", 1, "an escape");
    check("# M\n\nFROM web:1\n", 1, "bound to no value");
    check("# M\nARG IMAGE\n", 1, "bound to no value");
    check("# M\nARG A=web:1 B=web:1\n", 1, "several strings");
    check("# M\nRUN web:1\n", 1, "bound to no value");
    check("RUN a \\\n# M\nFROM web:1\n", 2, "bound to no value");
    check("# M\nRUN <<EOF\nFROM web:1\n", 2, "not closed");
    check("# {'$imagepolicy': 'a:b'}\nFROM web:1\n", 1, "misspelt");
}

#[test]
fn values_in_dotenv_files_are_edited() {
    let check = |text| check(".env.production", text);
    check("# M\nIMAGE=web:1\n");
    check("export IMAGE=\"web:1\" # M\nB=keep:1 # c\n");
    check("A='web:1'  # M\r\nB=\"a\n# M\nb\"\n");
    check("A = web:1 # M");
}

#[test]
fn what_a_dotenv_file_cannot_say_is_reported() {
    let check = |text, line, problem| check_left("a.env", text, line, problem);
    check("# M\nA=web:$B\n", 1, "a variable");
    check("# M\nA=web:1 # c\n", 1, "hidden");
    check("# M\nA=\"x\ny\"\n", 1, "bound to no value");
    check("# M\n", 1, "bound to no value");
    check("A=web:1 # M\nsops_mac=ENC[x]\n", 1, "SOPS");
    check("A=\"web:1 # M\n", 1, "misspelt");
    check("# M\nA=\"web:1\n", 2, "not closed");
}

#[test]
fn strings_in_toml_are_edited() {
    let check = |text| check("a.toml", text);
    check("image = \"web:1\" # M\n");
    check("# M\nimage = 'web:1'\r\n");
    check("a = [\n  \"keep:1\",\n  \"web:1\", # M\n]\n[\"b#c\"]\nd = { 'e' = \"web:1\" } # M\n");
    check("x = \"\"\"\n# M\n\"\"\"\ny = \"a\\\"#\"\n[[z]]\n\"k.l\" = \"web:1\" # M\n");
}

#[test]
fn what_toml_cannot_say_is_reported() {
    let check = |text, line, problem| check_left("a.toml", text, line, problem);
    check("a = \"web\\u003a1\" # M\n", 1, "an escape");
    check("a = \"\"\"web:1\"\"\" # M\n", 1, "several lines");
    check("a = 1 # M\n", 1, "bound to no value");
    check("[\"a\"] # M\n", 1, "bound to no value");
    check("a = [\"web:1\", \"web:1\"] # M\n", 1, "several strings");
    check("# M\na = \n", 2, "no TOML");
}

#[test]
fn strings_in_hcl_are_edited() {
    let check = |text| check("main.tf", text);
    check("resource \"a\" \"b\" {\n  image = \"web:1\" # M\n}\n");
    check("image = \"web:1\" // M\n");
    check("image = \"web:1\" /* M */\r\n");
    check("a = [\n  // M\n  \"web:1\",\n  \"keep:1\"]\n");
    check("a = <<-EOT\n  # M\n  EOT\nb = \"${x[\"}\"]} $${\"\n# M\nc = \"web:1\"\n");
    check("m = {\n  \"k\" = \"web:1\" # M\n  l : \"keep:1\"\n}\n");
}

#[test]
fn what_hcl_cannot_say_is_reported() {
    let check = |text, line, problem| check_left("main.tf", text, line, problem);
    check("a = \"web:${var.tag}\" # M\n", 1, "a template");
    check("resource \"a\" \"b\" { # M\n}\n", 1, "bound to no value");
    check("# M\na = var.b\n", 1, "bound to no value");
    check("# M\na = \"web:1\n", 2, "not closed");
}

#[test]
fn strings_in_json_with_comments_are_edited() {
    let check = |text| check("devcontainer.json", text);
    check("{\n  \"image\": \"web:1\", // M\n  \"x\": \"keep:1\"\n}\n");
    check("{\n  // M\n  image: 'web:1',\n}\n");
    check("[\n  \"web:1\" // M\n]\n");
    check_left(
        "a.json5",
        "{\n// M\n\"web:1\"\n: 1}",
        2,
        "bound to no value",
    );
}

#[test]
fn fields_of_one_collection_are_siblings() {
    let groups = |path: &str, text: &str| -> Vec<usize> {
        let text = text.replace(" M", &format!(" {MARKER}"));
        let setters = read(path, text.as_bytes()).setters;
        setters.iter().map(|setter| setter.group).collect()
    };
    let [a, b, c] = groups(
        "a.toml",
        "[x]\na = \"w:1\" # M\nb = \"w:1\" # M\n[y]\na = \"w:1\" # M\n",
    )[..] else {
        panic!("three values");
    };
    assert!(a == b && b != c);
    let [a, b] = groups(
        "a.tf",
        "x {\n a = \"w:1\" # M\n}\ny {\n a = \"w:1\" # M\n}\n",
    )[..] else {
        panic!("two values");
    };
    assert_ne!(a, b);
}

#[test]
fn a_setter_knows_where_it_stands() {
    let text = format!("[a]\n# é\n  b.c = {{ \"é\" = 1, d = \"web:1\" }} # {MARKER}\n");
    let setter = &read("a.toml", text.as_bytes()).setters[0];
    assert_eq!((setter.line, setter.column), (3, 24));
    assert_eq!(setter.path, "d");
}

const PATHS: [&str; 5] = ["Dockerfile", ".env", "a.toml", "a.tf", "a.json5"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_splice_changes_the_spans_and_nothing_else(
        path in prop::sample::select(&PATHS[..]),
        pieces in prop::collection::vec(
            prop::sample::select(&[
                "FROM ", "ARG A=", "A=", "a = ", "\"a\": ", "web:1", "\"web:1\"", "'web:1'", "\n", "\n", "\n",
                "\r\n", " # M", "# M\n", " // M\n", " /* M */", "[", "]", "{", "}", ",", "<<EOF", "EOF", "\\", "\"", "'",
                "\"\"\"", "${", "[t]\n", " ", "é", "\u{FEFF}", "a = \"web:1\" # M\n", "ARG X=web:1\n", "\"k\": \"web:1\", // M\n",
            ][..]),
            0..24,
        ),
        new in prop_oneof!["[a-z]{1,5}:[A-Za-z0-9_.-]{1,9}", "\\PC{0,8}"],
    ) {
        let text = pieces.concat().replace(" M", &format!(" {MARKER}"));
        let setters = read(path, text.as_bytes()).setters;
        let edits = edits_to(&setters, &new);
        match splice(path, text.as_bytes(), &edits, &[]) {
            Ok(after) => {
                let after = String::from_utf8(after).unwrap();
                let again = read(path, after.as_bytes()).setters;
                prop_assert_eq!(again.len(), setters.len());
                let mut rebuilt = String::new();
                let mut from = 0;
                for (old, new) in setters.iter().zip(&again) {
                    prop_assert_eq!(&new.value, &edits[0].new);
                    rebuilt.push_str(&text[from..old.span.start]);
                    rebuilt.push_str(&after[new.span.clone()]);
                    from = old.span.end;
                }
                rebuilt.push_str(&text[from..]);
                prop_assert_eq!(rebuilt, after);
            }
            Err(error) => {
                let honest = matches!(error, SpliceError::Unwritable { .. } | SpliceError::Unparsable { .. });
                prop_assert!(honest, "{} in {}", error, text);
            }
        }
    }

    #[test]
    fn no_bytes_panic(
        path in prop::sample::select(&PATHS[..]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in "[\"'#/*<{}$\\\\ \\n=A-C]{0,60}",
    ) {
        let _ = (read(path, &bytes), read(path, text.as_bytes()));
    }
}

#[test]
fn other_encodings_and_long_files_are_refused() {
    let problem = |bytes: &[u8]| read("a.toml", bytes).findings[0].problem.clone();
    assert_eq!(problem(b"a = \xFF"), Problem::NotUtf8);
    let long = "#".repeat(yaml::MAX_FILE + 1);
    assert!(matches!(problem(long.as_bytes()), Problem::OverLimit(_)));
}

#[test]
fn hostile_files_cost_what_their_length_costs() {
    let marked = format!("# {MARKER}\n");
    let many = 200_000;
    for (path, text) in [
        (
            "Dockerfile",
            format!("RUN {}\n{}", "<<A ".repeat(many), "A\n".repeat(many)),
        ),
        ("a.tf", format!("a = [{}]\n", "\"b\",".repeat(many))),
        ("a.json5", format!("[{}]//", "/**/'b',".repeat(many))),
        ("a.tf", format!("a = \"{}", "${\"".repeat(many))),
        (".env", format!("A=\"{}", "\nB='".repeat(many))),
    ] {
        let text = format!("{text}{marked}");
        assert!(read(path, text.as_bytes()).setters.is_empty(), "{path}");
    }
}
