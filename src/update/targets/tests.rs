//! Rules over whole files of every format.

mod values;

use proptest::prelude::*;

use super::*;
use crate::{
    policy::PolicyName,
    update::{Edit, Field},
};

fn rule(find: Find) -> Rule {
    Rule {
        name: "rules[0]".into(),
        place: RulePlace::default(),
        files: vec![Glob::parse("**").unwrap()],
        find,
        policy: PolicyName {
            namespace: "ns".into(),
            name: "web".into(),
        },
        field: Field::Image,
    }
}

fn by_path(path: &str) -> Rule {
    rule(Find::Path(Selector::parse(path).unwrap()))
}

fn by_pattern(pattern: &str, matches: Matches) -> Rule {
    rule(Find::Pattern(Pattern::parse(pattern, matches).unwrap()))
}

fn targets(rules: &[Rule]) -> Targets {
    let named = rules.iter().enumerate().map(|(number, rule)| Rule {
        name: format!("rules[{number}]"),
        ..rule.clone()
    });
    Targets {
        rules: named.collect(),
        ..Targets::default()
    }
}

fn edited(path: &str, text: &[u8], reading: &Reading, new: &str) -> Result<Vec<u8>, String> {
    let edits = reading.setters.iter().map(|setter| Edit {
        span: setter.span.clone(),
        style: setter.style,
        old: setter.value.clone(),
        new: new.to_owned(),
    });
    let edits = edits.collect::<Vec<_>>();
    formats::splice(path, text, &edits, &reading.patterns).map_err(|error| error.to_string())
}

/// Checks that the rule makes `web:2` of every `web:1`, and changes no other byte.
fn check_rule(path: &str, rule: &Rule, before: &str) {
    let targets = targets(std::slice::from_ref(rule));
    let reading = formats::read(path, before.as_bytes(), &targets);
    assert_eq!(reading.findings, [], "{path}: {before}");
    assert_eq!(reading.rules, [0], "{path}: {before}");
    let after = edited(path, before.as_bytes(), &reading, "web:2").unwrap();
    let expected = before.replace("web:1", "web:2");
    assert_ne!(expected, before);
    assert_eq!(String::from_utf8(after.clone()).unwrap(), expected);
    let again = formats::read(path, &after, &targets);
    assert!(again.setters.iter().all(|it| it.value == "web:2"), "{path}");
    assert_eq!(again.setters.len(), reading.setters.len());
}

fn check(path: &str, selector: &str, before: &str) {
    check_rule(path, &by_path(selector), before);
}

/// Checks that the rules edit nothing in the file, and what is said about it.
fn check_left(path: &str, rules: &[Rule], text: &[u8], expected: &str) {
    let reading = formats::read(path, text, &targets(rules));
    let shown = String::from_utf8_lossy(text);
    assert_eq!(reading.setters, [], "{path}: {shown}");
    let [finding] = &reading.findings[..] else {
        panic!("{:?} in {path}: {shown}", reading.findings);
    };
    let found = finding.problem.to_string();
    assert!(found.contains(expected), "{found} in {path}: {shown}");
}

fn check_refused(path: &str, selector: &str, text: &str, expected: &str) {
    check_left(path, &[by_path(selector)], text.as_bytes(), expected);
}

#[test]
fn parts_of_plain_text_are_edited() {
    let one = |path, pattern, text| check_rule(path, &by_pattern(pattern, Matches::One), text);
    one(
        "Makefile",
        "^IMAGE := (\\S+)$",
        "all:\n\techo\nIMAGE := web:1\n",
    );
    one(
        "notes.md",
        "image `([^`]+)`",
        "Use the image `web:1` today.\n",
    );
    one(
        "x.sh",
        "^docker run (\\S+)",
        "#!/bin/sh\r\ndocker run web:1 --flag\r\n",
    );
    one(
        "a.yaml",
        "--image=([^\"]+)",
        "args: [\"--image=web:1\", b]\n",
    );
    one("a.yaml", "^# use (\\S+)$", "# use web:1\na: keep:1\n");
    one(
        "a.json",
        "\"--image=([^\"]+)\"",
        "{\"args\": [\"--image=web:1\"]}",
    );
    one(
        "a.tf",
        "\\$\\{var.r\\}/(web:1|web:2)",
        "image = \"${var.r}/web:1\"\n",
    );
    one(
        "Dockerfile",
        "^LABEL base=(\\S+)",
        "FROM keep:1\nLABEL base=web:1\n",
    );
    one("no-ending", "(web:\\d+)", "ä😀 web:1");
    one(
        "Jenkinsfile",
        "docker\\.image\\('([^']+)'\\)",
        "node {\n  docker.image('web:1').inside {}\n}\n",
    );
    one(
        "web.service",
        "^ExecStart=/usr/bin/docker run (\\S+)",
        "[Service]\nExecStart=/usr/bin/docker run web:1 serve\n",
    );
    one(
        "flake.nix",
        "image = \"([^\"]+)\"",
        "{ image = \"web:1\"; other = \"keep:1\"; }\n",
    );
    one(
        "crontab",
        "docker run (\\S+) report",
        "0 4 * * * docker run web:1 report\n0 5 * * * docker run keep:1 clean\n",
    );
    one(
        "Makefile",
        "^\tdocker pull (\\S+)$",
        "pull:\n\tdocker pull web:1\n",
    );
    let all = |path, pattern, text| check_rule(path, &by_pattern(pattern, Matches::All), text);
    all("x.txt", "(web:\\d+)", "web:1 and web:1\nweb:1");
    all("a.yaml", "(web:\\d+)", "a: web:1\nb: [x, 'web:1']\n");
}

#[test]
fn a_rule_and_a_marker_live_in_one_file() {
    let text = "a: web:1 # {\"$imagepolicy\": \"ns:other\"}\nargs: [--i=web:1]\nb: web:1\n";
    let rules = [by_path("b"), by_pattern("--i=([^\\]]+)", Matches::One)];
    let reading = formats::read("a.yaml", text.as_bytes(), &targets(&rules));
    assert_eq!(reading.findings, []);
    let origins = reading.setters.iter().map(|it| it.origin.to_string());
    assert_eq!(
        origins.collect::<Vec<_>>(),
        ["ns:other", "rules[1]", "rules[0]"]
    );
    for new in ["web:2", "x:1", "registry.test:5000/a/long/name:1.2.3"] {
        let after = edited("a.yaml", text.as_bytes(), &reading, new).unwrap();
        assert_eq!(
            String::from_utf8(after).unwrap(),
            text.replace("web:1", new)
        );
    }
}

#[test]
fn a_marker_wins_over_a_rule_and_a_note_says_so() {
    let text = "a: web:1 # {\"$imagepolicy\": \"ns:other\"}\n";
    let reading = formats::read("a.yaml", text.as_bytes(), &targets(&[by_path("a")]));
    assert_eq!(reading.setters[0].origin, Origin::Marker("ns:other".into()));
    assert_eq!(
        reading.findings[0].problem,
        Problem::MarkerWins("rules[0]".into())
    );
    assert!(reading.findings[0].problem.is_note());
    // One that says the same needs no note.
    let text = text.replace("other", "web");
    let reading = formats::read("a.yaml", text.as_bytes(), &targets(&[by_path("a")]));
    assert_eq!((reading.setters.len(), reading.findings.len()), (1, 0));
}

#[test]
fn rules_that_disagree_leave_the_value_alone() {
    let tag = |field| Rule {
        field,
        ..by_path("a.tag")
    };
    let other = Rule {
        policy: PolicyName {
            namespace: "ns".into(),
            name: "other".into(),
        },
        ..tag(Field::Tag)
    };
    let text = b"a: {tag: web:1}\n";
    check_left(
        "a.yaml",
        &[tag(Field::Tag), tag(Field::Image)],
        text,
        "rules[0] and rules[1]",
    );
    check_left("a.yaml", &[tag(Field::Tag), other], text, "rules disagree");
    let part = by_pattern("tag: (web)", Matches::One);
    check_left("a.yaml", &[tag(Field::Image), part], text, "rules disagree");
    // Two that say the same are one.
    let same = [tag(Field::Tag), tag(Field::Tag)];
    let reading = formats::read("a.yaml", text, &targets(&same));
    assert_eq!((reading.setters.len(), reading.rules.len()), (1, 2));
}

/// Checks that all values of a file that a marker or one of the rules governs are siblings.
fn check_siblings(path: &str, rules: &[Rule], text: &str) {
    let text = text.replace(" M", " {\"$imagepolicy\": \"ns:web:tag\"}");
    let reading = formats::read(path, text.as_bytes(), &targets(rules));
    assert_eq!(reading.findings, [], "{text}");
    let marked = |it: &&Setter| matches!(it.origin, Origin::Marker(_));
    let marked = reading.setters.iter().filter(marked).count();
    assert!(marked > 0 && marked < reading.setters.len(), "{text}");
    let groups = reading.setters.iter().map(|it| it.group);
    assert_eq!(groups.collect::<BTreeSet<_>>().len(), 1, "{text}");
}

#[test]
fn marked_fields_and_those_of_rules_are_siblings() {
    let digest = |path| Rule {
        field: Field::Digest,
        ..by_path(path)
    };
    check_siblings("a.yaml", &[digest("i.d")], "i:\n  d: x\n  t: '1' # M\n");
    check_siblings("a.toml", &[digest("i.d")], "[i]\nd = 'x'\nt = '1' # M\n");
    check_siblings(
        "a.tf",
        &[digest("i.d")],
        "i {\n  d = \"x\"\n  t = \"1\" # M\n}\n",
    );
    check_siblings(
        "a.jsonc",
        &[digest("i.d")],
        "{\"i\": {\"d\": \"x\",\n  \"t\": \"1\" // M\n}}\n",
    );
    check_siblings(
        "Dockerfile",
        &[digest("ARG.D")],
        "ARG D=x\n# M\nARG T=1\nFROM a\n",
    );
    check_siblings(
        "Dockerfile",
        &[by_path("FROM[0]")],
        "# M\nARG T=1\nFROM web:1\n",
    );
    check_siblings(".env", &[digest("D")], "D=x\nT=1 # M\n");
    let pattern = by_pattern("--image=(\\S+)", Matches::One);
    check_siblings(
        "a.yaml",
        &[pattern],
        "args: --image=web:1\ni:\n  t: '1' # M\n",
    );
    let two = [digest("a.d"), by_pattern("--image=(\\S+)", Matches::One)];
    check_siblings(
        "a.yaml",
        &two,
        "a: {d: x}\nargs: --image=web:1\nt: '1' # M\n",
    );
}

#[test]
fn a_rule_that_fails_keeps_the_marked_sibling() {
    let digest = Rule {
        field: Field::Digest,
        ..by_path("i.d")
    };
    let text = "[i]\nd = \"\\u0041\"\nt = '1' # {\"$imagepolicy\": \"ns:web:tag\"}\n";
    check_left(
        "a.toml",
        &[digest],
        text.as_bytes(),
        "an escape is part of it",
    );
}

#[test]
fn a_field_that_cannot_be_edited_keeps_its_siblings() {
    let field = |path, field| Rule {
        field,
        ..by_path(path)
    };
    let rules = [field("i.tag", Field::Tag), field("i.digest", Field::Digest)];
    let text = br#"{"i": {"tag": "1.0", "digest": "sha\u0032"}, "j": {"tag": "1"}}"#;
    check_left("a.json", &rules, text, "an escape is part of it");
}

#[test]
fn what_cannot_be_edited_safely_is_told() {
    let json = |text: &str, expected: &str| check_refused("a.json", "image", text, expected);
    json(r#"{"image":"a\/web:1"}"#, "an escape");
    json(r#"{"image":1}"#, "no string in quotes");
    json(r#"{"image":null}"#, "no string in quotes");
    json(r#"{"image":["web:1"]}"#, "no single value");
    json(r#"{"image":{"x":"web:1"}}"#, "no single value");
    json(r#"{"image":"web:1",}"#, "cannot be parsed");
    json(r#"{"image":"web:1"} // x"#, "cannot be parsed");
    json("{'image':'web:1'}", "cannot be parsed");
    json(r#"{"image":"web:1"} {}"#, "cannot be parsed");
    json("", "cannot be parsed");
    json("{\"image\":\"web:1\nx\"}", "cannot be parsed");
    json("{\"image\":\"\\ud800\"}", "cannot be parsed");
    json(
        &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        "cannot be parsed",
    );
    json(
        r#"{"image":"web:1","sops":{"mac":"ENC[AES256_GCM,data:x]"}}"#,
        "SOPS",
    );
    let twice = [by_path("image")];
    let text = br#"{"image":"web:1","image":"web:3"}"#;
    let reading = formats::read("a.json", text, &targets(&twice));
    assert_eq!((reading.setters.len(), reading.findings.len()), (0, 2));
    check_refused(
        "a.json",
        "a.image",
        r#"{"a":{"image":"web:1"},"a":1}"#,
        "stands twice",
    );
    check_refused(
        "a.toml",
        "image",
        "image = \"\"\"web:1\"\"\"\n",
        "several lines",
    );
    check_refused("a.toml", "image", "image = \"\\u0077eb:1\"\n", "an escape");
    check_refused("a.toml", "image", "image = 1\n", "no string");
    check_refused("a.toml", "image", "image = \"web:1\n", "cannot be parsed");
    check_refused(
        "a.toml",
        "image",
        "image = 'a'\nimage = 'b'\n",
        "cannot be parsed",
    );
    check_refused("a.tf", "image", "image = \"${x}:1\"\n", "no string");
    check_refused("a.tf", "image", "image = var.x\n", "no string");
    check_refused("a.tf", "image", "image = <<E\nweb:1\nE\n", "no string");
    check_refused("a.tf", "image", "image = \n", "cannot be parsed");
    check_refused("Dockerfile", "FROM[0]", "FROM ${X}:1\n", "a variable");
    check_refused(".env", "A", "A=web:$X\n", "a variable");
    check_refused(
        ".env",
        "A",
        "A=web:1\nsops_mac=ENC[AES256_GCM,data:x]\n",
        "SOPS",
    );
    check_refused("a.yaml", "image", "image: !!int 1\n", "its tag");
    check_refused("a.yaml", "image", "x: &a web:1\nimage: *a\n", "on an alias");
    check_refused("a.yaml", "image", "image: [\n", "cannot be parsed");
    check_refused(
        "a.yaml",
        "image",
        "{{- if .x }}\nimage: {{ .y }}:1\n{{- end }}\n",
        "a template block",
    );
    check_refused("a.md", "image", "image: web:1\n", "no paths");
}

#[test]
fn patterns_that_miss_are_told() {
    let one = [by_pattern("(web:\\d)", Matches::One)];
    check_left("a.txt", &one, b"nothing\n", "matches 0 times");
    check_left("a.txt", &one, b"web:1 web:1\n", "matches 2 times");
    check_left("a.txt", &one, b"web:1 \xFF\n", "not UTF-8");
    check_left("a.txt", &one, &vec![b'a'; MAX_SEARCHED + 1], "in 1 MiB");
    check_left("a.txt", &one, b"web:1 sops ENC[AES256_GCM,x]\n", "SOPS");
    let all = [by_pattern("(a)", Matches::All)];
    check_left("a.txt", &all, &[b'a'; 10_001], "10,000 times");
    check_left("a.json", &[by_path("a")], b"{\"a\": \"\xFF\"}", "not UTF-8");
    check_left(
        "a.json",
        &[by_path("a")],
        &vec![b' '; MAX_FILE + 1],
        "over a limit",
    );
    let many = format!("[{}\"web:1\"]", "\"web:1\",".repeat(MAX_SELECTED));
    check_left("a.json", &[by_path("[*]")], many.as_bytes(), "10000 values");
}

fn check_unproved(path: &str, pattern: &str, text: &str, new: &str, expected: &str) {
    let rule = by_pattern(pattern, Matches::All);
    let reading = formats::read(path, text.as_bytes(), &targets(&[rule]));
    let error = edited(path, text.as_bytes(), &reading, new).unwrap_err();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_part_that_cannot_be_proved_is_not_written() {
    check_unproved(
        "a.txt",
        "(web:\\d)$",
        "web:1",
        "web:23",
        "does not find the new value",
    );
    check_unproved("a.txt", "(web:\\d+)", "web:1", "a b", "letters, digits");
    check_unproved("a.txt", "(web:\\d+)", "web:1", "", "not empty");
    check_unproved(
        "a.txt",
        "(\\w+):",
        "web: a",
        "b:c",
        "does not find the new value",
    );
    // As text the edit is right; as a document it would be another one.
    check_unproved("a.yaml", "^(\\w+)\\b", "a: 1", "b", "was not asked for");
    check_unproved(
        "a.json",
        "\"(k\\w*)\":",
        "{\"k\": 1}",
        "k2",
        "was not asked for",
    );
}

#[test]
fn a_stale_digest_beside_a_new_tag_is_refused() {
    let marker = |field: &str| format!("# {{\"$imagepolicy\": \"ns:web{field}\"}}");
    let tagged = |digest: &str| {
        format!(
            "images:\n- name: web\n  newTag: v1 {}\n{digest}",
            marker(":tag")
        )
    };
    let stale = tagged("  digest: sha256:abc\n");
    check_left(
        "kustomization.yaml",
        &[],
        stale.as_bytes(),
        "before the tag",
    );
    let other = tagged(&format!("  digest: sha256:abc {}\n", marker("2:digest")));
    let reading = formats::read("kustomization.yaml", other.as_bytes(), &targets(&[]));
    assert_eq!((reading.setters.len(), reading.findings.len()), (1, 1));
    for current in [
        tagged(""),
        tagged("  digest: \"\"\n"),
        tagged("- name: db\n  digest: sha256:abc\n"),
        tagged(&format!("  digest: sha256:abc {}\n", marker(":digest"))),
    ] {
        let reading = formats::read("kustomization.yaml", current.as_bytes(), &targets(&[]));
        assert_eq!(reading.findings, [], "{current}");
        assert!(!reading.setters.is_empty());
    }
    // A rule may keep the digest.
    let keeps = Rule {
        field: Field::Digest,
        ..by_path("images[name=web].digest")
    };
    let reading = formats::read("kustomization.yaml", stale.as_bytes(), &targets(&[keeps]));
    assert_eq!((reading.setters.len(), reading.findings.len()), (2, 0));
}

#[test]
fn a_rule_that_names_nothing_is_idle() {
    let targets = targets(&[by_path("image"), by_path("nothing")]);
    let reading = formats::read("a.json", br#"{"image":"web:1"}"#, &targets);
    let idle = targets.idle([&reading].into_iter());
    let [only] = &idle[..] else {
        panic!("{idle:?}");
    };
    assert!(
        only.finding
            .problem
            .to_string()
            .contains("rules[1] names no value")
    );
}

#[test]
fn the_screen_keeps_what_rules_name_and_never_the_settings() {
    let targets = targets(&[Rule {
        files: vec![Glob::parse("apps/**").unwrap()],
        ..by_path("image")
    }]);
    assert_eq!(targets.interest("apps/a/b.json"), Interest::Kept);
    assert_eq!(targets.interest("apps/no-ending"), Interest::Kept);
    assert_eq!(targets.interest("a.yaml"), Interest::Searched);
    assert_eq!(targets.interest("a.json"), Interest::Nothing);
    assert_eq!(targets.interest(SETTINGS), Interest::Nothing);
}

#[test]
fn the_screens_version_tells_which_files_rules_are_about() {
    let version = |files: &[&str], path: &str| {
        let rule = Rule {
            files: files.iter().map(|it| Glob::parse(it).unwrap()).collect(),
            ..by_path(path)
        };
        targets(&[rule]).version().into_owned()
    };
    assert_eq!(targets(&[]).version(), SCREEN_VERSION);
    assert_ne!(version(&["apps/**"], "image"), SCREEN_VERSION);
    assert_ne!(
        version(&["apps/**"], "image"),
        version(&["apps/*"], "image")
    );
    assert_ne!(version(&["a", "b"], "image"), version(&["a"], "image"));
    assert_eq!(version(&["apps/**"], "image"), version(&["apps/**"], "tag"));
}

#[test]
fn deep_files_end_no_process() {
    let keys = "a.".repeat(200_000);
    let nested = format!("x = {}", "[".repeat(100_000));
    for text in [
        format!("{keys}a = 1\n"),
        nested,
        format!("x = {}1", "-".repeat(100_000)),
    ] {
        for path in ["a.toml", "a.tf", "a.json5"] {
            let _ = formats::read(path, text.as_bytes(), &targets(&[by_path("x")]));
        }
    }
}

proptest! {
    #[test]
    fn no_file_panics_and_every_edit_stays_in_its_span(
        text in "[\"'a-c:=\\[\\]{}, \\n\\\\/*#<$!&\u{FEFF}😀-]{0,60}",
        name in prop::sample::select(vec!["a.json", "a.json5", "a.toml", "a.tf", "Dockerfile", ".env", "a.yaml", "x"]),
    ) {
        let rules = [by_path("a"), by_path("[0]"), by_path("*.b"), by_pattern("b(c+)", Matches::All)];
        for rule in rules {
            let reading = formats::read(name, text.as_bytes(), &targets(&[rule]));
            for setter in &reading.setters {
                prop_assert!(text.get(setter.span.clone()).is_some());
            }
            let (Some(first), Some(last)) = (reading.setters.first(), reading.setters.last()) else {
                continue;
            };
            if let Ok(after) = edited(name, text.as_bytes(), &reading, "cc") {
                prop_assert!(after.starts_with(&text.as_bytes()[..first.span.start]));
                prop_assert!(after.ends_with(&text.as_bytes()[last.span.end..]));
            }
        }
    }
}
