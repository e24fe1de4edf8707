//! Hostile files: bounded work, a reason, and never a panic.

use std::fmt::Write;

use super::*;

/// Checks that nothing is edited in `bytes`, and why.
fn check_refused(bytes: &[u8], problem: &Problem) {
    let reading = read(bytes);
    assert!(reading.setters.is_empty());
    let [finding] = &reading.findings[..] else {
        panic!("{} findings", reading.findings.len());
    };
    assert!(same_kind(&finding.problem, problem), "{finding:?}");
}

fn over_limit(detail: &str) -> Problem {
    Problem::OverLimit(detail.to_owned())
}

#[test]
fn other_encodings_are_refused() {
    let utf16: Vec<u8> = "a: v1 # tagwright:"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    check_refused(&utf16, &unparsable());
    check_refused(&[&[0xFF, 0xFE][..], &utf16].concat(), &Problem::NotUtf8);
    check_refused(b"a: caf\xE9\n", &Problem::NotUtf8);
    check_refused(b"a: v1\0\n", &unparsable());
    assert_eq!(read(b""), Reading::default());
}

#[test]
fn files_are_read_up_to_four_mebibytes() {
    let line = with_markers("a: v1 M\n");
    let fill = |size: usize| format!("{line}#{}", "x".repeat(size - line.len() - 1));
    assert_eq!(read(fill(MAX_FILE).as_bytes()).setters.len(), 1);
    check_refused(fill(MAX_FILE + 1).as_bytes(), &over_limit("4194305 bytes"));
}

#[test]
fn ten_thousand_markers_are_bound_and_one_more_is_too_many() {
    let items = |count: usize| format!("a:\n{}", with_markers("- v1 M\n").repeat(count));
    assert_eq!(
        read(items(MAX_MARKERS).as_bytes()).setters.len(),
        MAX_MARKERS
    );
    check_refused(
        items(MAX_MARKERS + 1).as_bytes(),
        &over_limit("10000 markers"),
    );
}

#[test]
fn nesting_has_a_limit() {
    let flow = |depth: usize| {
        format!(
            "a: {}v1, {MARKER}\n{}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert_eq!(read(flow(MAX_DEPTH).as_bytes()).setters.len(), 1);
    check_refused(flow(MAX_DEPTH + 1).as_bytes(), &over_limit("255"));
    check_refused("[".repeat(100_000).as_bytes(), &over_limit("255"));
    let mut steps = String::new();
    for depth in 0..1_000 {
        let _ = writeln!(steps, "{}a:", " ".repeat(depth));
    }
    check_refused(steps.as_bytes(), &over_limit("255"));
}

#[test]
fn an_alias_bomb_costs_what_its_length_costs() {
    let mut bomb = String::from("a0: &a0 v1 M\n");
    for level in 1..40 {
        let _ = writeln!(
            bomb,
            "a{level}: &a{level} [{}]",
            format!("*a{}, ", level - 1).repeat(10)
        );
    }
    check(&bomb, &bomb.replace("v1", "v2"));
    let mut many = String::from("a: v1 M\nb:\n");
    for anchor in 0..10_000 {
        let _ = writeln!(many, "- &x{anchor} y\n- *x{anchor}");
    }
    assert_eq!(edit(&with_markers(&many)).len(), with_markers(&many).len());
}

#[test]
fn a_key_of_a_megabyte_is_refused() {
    let key = "k".repeat(1024 * 1024);
    check_refused(
        with_markers(&format!("a: v1 M\n{key}: x\n")).as_bytes(),
        &unparsable(),
    );
}

#[test]
fn long_paths_and_names_are_cut() {
    let key = "k".repeat(1000);
    let text = format!("metadata: {{name: {key}}}\n{key}:\n  {key}: {{b: v1, M\n c: d}}\n");
    let reading = read(with_markers(&text).as_bytes());
    assert_eq!(reading.setters[0].path, format!("….{key}.b"));
    assert_eq!(reading.setters[0].object.name.len(), 512);
}

#[test]
fn markers_far_from_any_value_cost_little() {
    for line in ["--- M\n", "\nM\n", "- M\n", "{M\n}\n---\n"] {
        let text = with_markers(line)
            .replace("{M", &format!("{{ {MARKER}"))
            .repeat(MAX_MARKERS);
        let text = format!("{text}--- |\n v1\n{}", "\n".repeat(1_000_000));
        let reading = read(text.as_bytes());
        assert_eq!(reading.setters.len(), 0, "{line}");
        assert_eq!(reading.findings.len(), MAX_MARKERS, "{line}");
    }
}
