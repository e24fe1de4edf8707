//! Every bound, at the limit, one beyond it, and far beyond it.

use super::{
    super::{ErrorKind, Limit, limits},
    render,
};

fn check_limit(source: &str, expected: Option<Limit>) {
    let found = match render(source) {
        Ok(_) => None,
        Err(error) => match error.kind {
            ErrorKind::Limit(limit) => Some(limit),
            _ => panic!("{error}"),
        },
    };
    let start = source.get(..80).unwrap_or(source);
    assert_eq!(found, expected, "{start}");
}

#[test]
fn the_source_is_bounded() {
    let source = |length: usize| "x".repeat(length);
    check_limit(&source(limits::SOURCE_BYTES), None);
    check_limit(&source(limits::SOURCE_BYTES + 1), Some(Limit::Source));
    check_limit(&source(limits::SOURCE_BYTES * 100), Some(Limit::Source));
}

#[test]
fn the_output_and_every_text_are_bounded() {
    let most = limits::OUTPUT_BYTES;
    check_limit(&format!("{{{{ repeat {most} \"x\" }}}}"), None);
    check_limit(
        &format!("{{{{ repeat {} \"x\" }}}}", most + 1),
        Some(Limit::Output),
    );
    check_limit(
        &format!("{{{{ repeat {most} \"x\" }}}}y"),
        Some(Limit::Output),
    );
    check_limit("{{ $_ := repeat 1000000000 \"x\" }}", Some(Limit::Output));
    check_limit(
        "{{ $_ := repeat 9223372036854775807 \"xy\" }}",
        Some(Limit::Output),
    );
    check_limit("{{ printf \"%100000d\" 1 }}", Some(Limit::Output));
    check_limit("{{ printf \"%.100000f\" 1.0 }}", Some(Limit::Output));
    check_limit("{{ printf \"%.100000d\" 1 }}", Some(Limit::Output));
    check_limit("{{ printf \"%*d\" 1000000 1 }}", Some(Limit::Output));
    check_limit("{{ indent 9000000000 \"a\" }}", Some(Limit::Output));
    check_limit(
        "{{ $x := repeat 60000 \"a\" }}{{ replace \"\" $x $x }}",
        Some(Limit::Output),
    );
    check_limit(
        "{{ $x := repeat 60000 \"a\" }}{{ regexReplaceAll \"\" $x \"${0}$x aaaaaa\" }}",
        Some(Limit::Output),
    );
    check_limit(
        "{{ $x := repeat 60000 \"a\" }}{{ join $x (until 1000) }}",
        Some(Limit::Output),
    );
    check_limit(
        "{{ $x := repeat 60000 \"a\" }}{{ cat $x $x }}",
        Some(Limit::Output),
    );
    check_limit(
        "{{ $x := repeat 60000 \"a\" }}{{ wrapWith 1 $x $x }}",
        Some(Limit::Output),
    );
    check_limit(
        "{{ $x := repeat 60000 \"\\n\" }}{{ quote $x }}",
        Some(Limit::Output),
    );
}

#[test]
fn the_steps_are_bounded() {
    check_limit("{{ range until 1000 }}{{ end }}", None);
    check_limit(
        "{{ range until 1000 }}{{ range until 1000 }}{{ end }}{{ end }}",
        Some(Limit::Steps),
    );
    check_limit(
        "{{ range 9223372036854775807 }}{{ end }}",
        Some(Limit::Steps),
    );
    check_limit("{{ until 100000000 }}", Some(Limit::Steps));
    check_limit(
        "{{ untilStep -9223372036854775808 9223372036854775807 1 }}",
        Some(Limit::Steps),
    );
    check_limit("{{ seq 1 1000000000 }}", Some(Limit::Steps));
    check_limit(
        "{{ $l := list 1 }}{{ range until 30 }}{{ $l = concat $l $l }}{{ end }}",
        Some(Limit::Steps),
    );
    check_limit(
        "{{ $x := repeat 60000 \"a\" }}{{ range until 10000 }}{{ $_ := upper $x }}{{ end }}",
        Some(Limit::Steps),
    );
    check_limit(
        "{{ range $i, $_ := until 1000 }}{{ $_ := regexMatch (print $i) \"\" }}{{ end }}",
        Some(Limit::Steps),
    );
    check_limit(
        "{{ $d := dict }}{{ range until 25 }}{{ $d = dict \"a\" $d \"b\" $d }}{{ end }}{{ $_ := deepCopy $d }}",
        Some(Limit::Steps),
    );
    check_limit(
        "{{ $a := until 2000 }}{{ $b := uniq $a }}",
        Some(Limit::Steps),
    );
}

#[test]
fn the_depth_is_bounded() {
    let parens = |depth: usize| format!("{{{{ {}1{} }}}}", "(".repeat(depth), ")".repeat(depth));
    check_limit(&parens(limits::DEPTH), None);
    check_limit(&parens(limits::DEPTH + 1), Some(Limit::Depth));
    check_limit(&parens(limits::DEPTH * 50), Some(Limit::Depth));
    let ifs = |depth: usize| "{{if 1}}".repeat(depth) + &"{{end}}".repeat(depth);
    check_limit(&ifs(limits::DEPTH), None);
    check_limit(&ifs(limits::DEPTH + 1), Some(Limit::Depth));
    check_limit(&ifs(limits::DEPTH * 10), Some(Limit::Depth));
    let chain = "{{if 0}}".to_owned() + &"{{else if 0}}".repeat(1000) + "{{end}}";
    check_limit(&chain, Some(Limit::Depth));
    check_limit(
        "{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}",
        Some(Limit::Depth),
    );
    check_limit(
        &format!(
            "{{{{ define \"x\" }}}}{}{{{{ template \"x\" ({}1{}) }}}}{}{{{{ end }}}}{{{{ template \"x\" }}}}",
            "{{if 1}}".repeat(40),
            "(".repeat(50),
            ")".repeat(50),
            "{{end}}".repeat(40)
        ),
        Some(Limit::Depth),
    );
}

#[test]
fn values_that_hold_themselves_do_no_harm() {
    let chain = "{{ $l := list }}{{ range until 63 }}{{ $l = list $l }}{{ end }}";
    check_limit(chain, None);
    check_limit(&chain.replace("63", "64"), Some(Limit::ValueDepth));
    check_limit(&chain.replace("63", "6400"), Some(Limit::ValueDepth));
    check_limit("{{ $d := dict }}{{ $_ := set $d \"d\" $d }}", None);
    for print in [
        "$d",
        "toJson $d",
        "printf \"%.0s\" $d",
        "deepCopy $d",
        "toPrettyJson $d",
    ] {
        let source =
            format!("{{{{ $d := dict }}}}{{{{ $_ := set $d \"d\" $d }}}}{{{{ {print} }}}}");
        check_limit(&source, Some(Limit::ValueDepth));
    }
    check_limit(
        "{{ $a := dict }}{{ $b := dict }}{{ $_ := set $a \"d\" $a }}{{ $_ := set $b \"d\" $b }}{{ deepEqual $a $b }}",
        Some(Limit::ValueDepth),
    );
    // A chain of maps that grows at its inner end: dropped link by link, it would overflow.
    check_limit(
        "{{ $d := dict }}{{ $root := $d }}{{ range until 9000 }}{{ $n := dict }}{{ $_ := set $d \"n\" $n }}{{ $d = $n }}{{ end }}",
        None,
    );
}
