//! Edits: the first line is the new value, the rest is a file. A splice is refused, or it changes the
//! values and nothing else, and is idempotent. What a kustomization misses is added, and nothing else.
#![no_main]

use tagwright::update::{
    Edit, Field, Setter, Style,
    discovery::{Missing, Search},
    formats,
    targets::Targets,
    yaml::{self, SpliceError, discover},
};

const OTHERS: [&str; 5] = ["Dockerfile", ".env", "a.toml", "a.tf", "a.jsonc"];

fn edits(setters: &[Setter], new: &str) -> Vec<Edit> {
    let edit = |setter: &Setter| Edit {
        span: setter.span.clone(),
        style: setter.style,
        old: setter.value.clone(),
        new: new.to_owned(),
    };
    setters.iter().map(edit).collect()
}

/// The bytes between the values.
fn outside<'a>(bytes: &'a [u8], setters: &[Setter]) -> Vec<&'a [u8]> {
    let mut from = 0;
    let mut parts = Vec::new();
    for setter in setters {
        parts.push(&bytes[from..setter.span.start]);
        from = setter.span.end;
    }
    parts.push(&bytes[from..]);
    parts
}

/// What is missing in a kustomization that can be added.
fn additions(file: &[u8]) -> Vec<Edit> {
    let search = Search {
        missing: Missing::Add,
        ..Search::everywhere()
    };
    let found = discover::find("kustomization.yaml", file, &search).images;
    let images = found.into_iter().filter(|image| image.obstacle.is_none());
    let fields = images.flat_map(|image| image.fields);
    let missing = fields.filter(|field| matches!(field.style, Style::Missing(_)));
    let edit = |field: discover::FoundField| Edit {
        span: field.span,
        style: field.style,
        old: field.value,
        new: match field.field {
            Field::Digest => format!("sha256:{}", "a".repeat(64)),
            Field::Image | Field::Tag | Field::Name => "1.10".to_owned(),
        },
    };
    missing.map(edit).collect()
}

/// Whether `part` is what is left of `whole` where some bytes are taken out.
fn is_left_of(part: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|byte| rest.any(|it| it == byte))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (new, file) = bytes.split_at(end.map_or(0, |end| end + 1));
    let Ok(new) = std::str::from_utf8(new) else {
        return;
    };
    let new = new.trim_end_matches('\n');
    let before = yaml::read(file).setters;
    match yaml::splice(file, &edits(&before, new)) {
        Ok(spliced) => {
            let after = yaml::read(&spliced).setters;
            assert_eq!(outside(file, &before), outside(&spliced, &after));
            assert!(after.iter().all(|setter| setter.value == new));
            let again = yaml::splice(&spliced, &edits(&after, new));
            assert_eq!(again.expect("it says this already"), spliced);
        }
        // What was just read stands where it was read, once.
        Err(error @ (SpliceError::Stale { .. } | SpliceError::Overlap { .. })) => panic!("{error}"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match yaml::splice(file, &additions(file)) {
        Ok(spliced) => {
            assert!(is_left_of(file, &spliced));
            assert_eq!(additions(&spliced), []);
        }
        Err(error @ (SpliceError::Stale { .. } | SpliceError::Overlap { .. })) => panic!("{error}"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for path in OTHERS {
        let before = formats::read(path, file, &Targets::default()).setters;
        if let Ok(spliced) = formats::splice(path, file, &edits(&before, new), &[]) {
            let after = formats::read(path, &spliced, &Targets::default()).setters;
            assert!(after.iter().all(|setter| setter.value == new), "{path}");
        }
    }
});
