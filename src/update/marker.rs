//! Markers: comments that say which policy a value follows.
//!
//! Two languages mean the same thing. Flux's JSON comment names a policy document,
//! `# {"$imagepolicy": "apps:web:tag"}`; our own comment carries the policy itself,
//! `# tagwright: semver=1.x`. A comment that was plainly meant to be one of them and is neither is
//! [`Misspelt`](MarkerReading::Misspelt): it is reported, never passed over.

mod inline;

use std::{collections::BTreeMap, fmt, sync::LazyLock};

use memchr::memmem::Finder;
use serde::Serialize;

pub use self::inline::{InlineMarker, InlineRule};
use super::formats::Format;
use crate::{image::Repository, nearest::nearest, policy::PolicyName};

/// The longest comment that is read as a marker, in bytes.
pub const MAX_COMMENT: usize = 4096;

/// The beginning of a policy's name in kustomize's older, longer spelling.
const SETTER_PREFIX: &str = "#/definitions/io.k8s.cli.setters.";

/// What a marker comment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The policy that governs the value.
    pub policy: PolicyKey,
    /// Which part of the chosen image the value is.
    pub field: Field,
    /// The marker's own text: `ns:name:tag`, or the words after `tagwright:`.
    pub text: String,
}

/// Which policy governs a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyKey {
    /// An `ImagePolicy` document.
    Named(PolicyName),
    /// A policy that stands in the comment itself.
    Inline {
        /// The image it is about, from the value or from `image=`.
        repository: Repository,
        /// The policy's words in a canonical spelling, so that equal policies are one.
        rule: String,
    },
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(formatter),
            Self::Inline { rule, .. } => formatter.write_str(rule),
        }
    }
}

/// Which part of the chosen image a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Field {
    /// The whole reference, with its digest where the policy reflects digests (`ns:name`).
    Image,
    /// The tag (`ns:name:tag`).
    Tag,
    /// The repository (`ns:name:name`).
    Name,
    /// The digest, or nothing where there is none (`ns:name:digest`).
    Digest,
}

/// What one comment turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a reading is taken apart where it is made, and never kept"
)]
pub enum MarkerReading {
    /// A comment like any other.
    NoMarker,
    /// A marker, not yet bound to a value.
    Marker(RawMarker),
    /// Meant as a marker, and none; the text says what is wrong with it.
    Misspelt(String),
}

/// A marker before it is known which value it stands at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawMarker {
    /// Names a policy document, and is complete as it is.
    Named(Marker),
    /// Carries its policy, and may need the value to know the repository and the field.
    Inline(InlineMarker),
}

impl RawMarker {
    /// Returns the marker that stands at `value`, or what the marker lacks.
    pub fn bind(self, value: &str) -> Result<Marker, String> {
        match self {
            Self::Named(marker) => Ok(marker),
            Self::Inline(marker) => marker.bind(value),
        }
    }
}

/// Changes with every change of what [`screen`] finds, so that nobody trusts what an older one said.
pub const SCREEN_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-3");

/// Whether a file of this name can hold markers; see [`Format`].
pub fn screen_path(path: &str) -> bool {
    Format::of(path).is_some_and(Format::has_comments)
}

/// Whether a file may hold a marker and is worth parsing.
///
/// It looks at the name and searches the bytes, nothing more; in a large repository almost every
/// file stops here.
pub fn screen(path: &str, bytes: &[u8]) -> bool {
    screen_path(path) && mentions_marker(bytes)
}

/// Whether the word of a marker stands somewhere in `bytes`.
///
/// Flux's likeliest misspelling, `$imagePolicy`, is one of them, and so is `"$image`, with which
/// most others begin, so that they are reported. Templates have `$image` without the quote.
pub(super) fn mentions_marker(bytes: &[u8]) -> bool {
    static WANTED: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| {
        ["$imagepolicy", "tagwright:", "$imagePolicy", "\"$image"].map(Finder::new)
    });
    WANTED.iter().any(|finder| finder.find(bytes).is_some())
}

/// Reads the text of one comment, with or without its `#`.
///
/// ```
/// use tagwright::update::marker::{MarkerReading, parse};
///
/// assert!(matches!(parse(r#"# {"$imagepolicy": "apps:web:tag"}"#), MarkerReading::Marker(_)));
/// assert!(matches!(parse("# tagwright: semver=1.x"), MarkerReading::Marker(_)));
/// assert!(matches!(parse("# tagwright: semver"), MarkerReading::Misspelt(_)));
/// assert_eq!(parse("# the web server"), MarkerReading::NoMarker);
/// ```
pub fn parse(comment: &str) -> MarkerReading {
    let text = comment.trim_start_matches('#').trim();
    let intended = Intent::of(text);
    if intended == Intent::Neither {
        return MarkerReading::NoMarker;
    }
    if text.len() > MAX_COMMENT {
        return MarkerReading::Misspelt(format!("it is longer than {MAX_COMMENT} bytes"));
    }
    let read = match intended {
        Intent::Inline => inline::parse(text).map(RawMarker::Inline),
        Intent::Named | Intent::Neither => named(text).map(RawMarker::Named),
    };
    match read {
        Ok(marker) => MarkerReading::Marker(marker),
        Err(reason) => MarkerReading::Misspelt(reason),
    }
}

/// What the author of a comment had in mind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intent {
    Named,
    Inline,
    Neither,
}

impl Intent {
    fn of(text: &str) -> Self {
        if inline::is_meant(text) {
            Self::Inline
        } else if text.contains('{') && text.contains(SETTER_PREFIX) || names_a_policy(text) {
            Self::Named
        } else {
            Self::Neither
        }
    }
}

/// Whether `text` holds `$imagepolicy` as a key, in any case and with any quotes, or a quoted key
/// that a slip or two tell from it.
///
/// Prose that merely mentions the word is no marker.
fn names_a_policy(text: &str) -> bool {
    const WORD: &str = "imagepolicy";
    if !text.contains(['{', '$']) {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    let mut keys = lower.split('"').skip(1).step_by(2);
    if keys.any(is_near) {
        return true;
    }
    lower.match_indices(WORD).any(|(start, _)| {
        let before = &lower[..start];
        let after = lower[start + WORD.len()..].trim_start_matches(['"', '\'', '`']);
        let is_key = before.ends_with('$') || before.ends_with(['"', '\'']);
        // `\u0024` is how JSON may spell the dollar sign.
        (is_key || before.ends_with("\\u0024")) && after.trim_start().starts_with(':')
    })
}

/// Whether a key is so close to Flux's word that it was meant.
fn is_near(key: &str) -> bool {
    key.starts_with('$') && nearest(key, ["$imagepolicy"]).is_some()
}

/// Reads Flux's JSON object: the whole comment, every value a string, the last of two equal keys.
fn named(text: &str) -> Result<Marker, String> {
    const SHAPE: &str = r#"write `{"$imagepolicy": "NAMESPACE:POLICY"}`"#;
    if !(text.starts_with('{') && text.ends_with('}')) {
        return Err(if text.contains('{') {
            "text stands before or after the braces; the marker must be the whole comment".into()
        } else {
            format!("it is no JSON object; {SHAPE}")
        });
    }
    if text.contains("'$") {
        return Err(format!("JSON needs double quotes; {SHAPE}"));
    }
    let object: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| format!("it is no JSON object; {SHAPE}"))?;
    if let Some((key, _)) = object.iter().find(|(_, value)| !value.is_string()) {
        return Err(format!(
            "the value of `{}` must be a string",
            key.escape_debug()
        ));
    }
    let string_of = |key| object.get(key).and_then(serde_json::Value::as_str);
    if let Some(setter) = string_of("$imagepolicy") {
        return setter_named(setter);
    }
    if let Some(setter) = string_of("$ref").and_then(|path| path.strip_prefix(SETTER_PREFIX)) {
        return setter_named(setter);
    }
    let near = object.keys().find(|key| {
        let lower = key.to_ascii_lowercase();
        lower.contains("imagepolicy") || is_near(&lower)
    });
    Err(match near {
        Some(key) => format!("did you mean `$imagepolicy` for `{}`?", key.escape_debug()),
        None => format!("it names no policy; {SHAPE}"),
    })
}

/// Reads `namespace:name` with an optional `:tag`, `:name` or `:digest`.
fn setter_named(text: &str) -> Result<Marker, String> {
    let shown = text.escape_debug();
    if text
        .chars()
        .any(|character| character.is_whitespace() || character.is_control())
    {
        return Err(format!("white space in `{shown}`"));
    }
    let mut parts = text.split(':');
    let (Some(namespace), Some(name)) = (parts.next(), parts.next()) else {
        return Err(format!(
            "`{shown}` lacks the namespace; write `NAMESPACE:{shown}`"
        ));
    };
    if namespace.is_empty() || name.is_empty() {
        return Err(format!(
            "`{shown}` needs a namespace and a name, as in `apps:web`"
        ));
    }
    let field = match (parts.next(), parts.next()) {
        (None, _) => Field::Image,
        (Some("tag"), None) => Field::Tag,
        (Some("name"), None) => Field::Name,
        (Some("digest"), None) => Field::Digest,
        (Some(suffix), _) => {
            let guess = did_you_mean(suffix, &["tag", "name", "digest"]);
            let suffix = suffix.escape_debug();
            return Err(format!(
                "`:{suffix}` is not `:tag`, `:name` or `:digest`{guess}"
            ));
        }
    };
    let policy = PolicyKey::Named(PolicyName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    });
    Ok(Marker {
        policy,
        field,
        text: text.to_owned(),
    })
}

/// `; did you mean …?` where one of `known` is close to `word`, else nothing.
fn did_you_mean(word: &str, known: &[&str]) -> String {
    nearest(word, known.iter().copied())
        .map(|candidate| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(comment: &str, expected: Option<(&str, Field)>) {
        let found = match parse(comment) {
            MarkerReading::Marker(RawMarker::Named(marker)) => {
                let PolicyKey::Named(policy) = &marker.policy else {
                    panic!("an inline policy in {comment}");
                };
                Some((policy.to_string(), marker.field))
            }
            MarkerReading::Marker(RawMarker::Inline(_)) => panic!("an inline marker: {comment}"),
            MarkerReading::NoMarker | MarkerReading::Misspelt(_) => None,
        };
        let expected = expected.map(|(policy, field)| (policy.to_owned(), field));
        assert_eq!(found, expected, "{comment}");
    }

    #[test]
    fn names_a_policy_as_flux_does() {
        check(r#"# {"$imagepolicy": "a:b"}"#, Some(("a:b", Field::Image)));
        check(r#"#{"$imagepolicy":"a:b:tag"}"#, Some(("a:b", Field::Tag)));
        check(
            r#"### {"$imagepolicy": "a:b:name"}"#,
            Some(("a:b", Field::Name)),
        );
        check(
            "#\t{\t\"$imagepolicy\"\t: \"a:b:digest\" }\t",
            Some(("a:b", Field::Digest)),
        );
        check(
            r#"# {"$imagepolicy": "a:b", "x": "y"}"#,
            Some(("a:b", Field::Image)),
        );
        check(
            r#"# {"$imagepolicy": "x:y", "$imagepolicy": "a:b"}"#,
            Some(("a:b", Field::Image)),
        );
        check(
            r#"# {"\u0024imagepolicy": "a:b"}"#,
            Some(("a:b", Field::Image)),
        );
        check(
            r#"# {"$imagepolicy": "p:tag"}"#,
            Some(("p:tag", Field::Image)),
        );
        check(
            r##"# {"$ref": "#/definitions/io.k8s.cli.setters.a:b:tag"}"##,
            Some(("a:b", Field::Tag)),
        );
        check(r##"# {"$ref": "#/definitions/other"}"##, None);
        check(r#"# {"$imagepolicy": "a:b", "x": 1}"#, None);
        check(r#"# {"$imagepolicy": "a:b"} foo"#, None);
        check(r#"# foo {"$imagepolicy": "a:b"}"#, None);
        check("# plain words", None);
        check("", None);
    }

    fn check_misspelt(comment: &str, reason: &str) {
        match parse(comment) {
            MarkerReading::Misspelt(found) => assert!(found.contains(reason), "{comment}: {found}"),
            other => panic!("{comment}: {other:?}"),
        }
    }

    #[test]
    fn near_misses_are_reported() {
        check_misspelt(
            r#"# {"$imagePolicy": "a:b"}"#,
            "did you mean `$imagepolicy`",
        );
        check_misspelt(r#"# {"imagepolicy": "a:b"}"#, "did you mean `$imagepolicy`");
        check_misspelt(r#"# {"$imagepolcy": "a:b"}"#, "did you mean `$imagepolicy`");
        check_misspelt(
            r#"# {"$image_policy": "a:b"}"#,
            "did you mean `$imagepolicy`",
        );
        check_misspelt("# $imagepolicy: a:b", "no JSON object");
        check_misspelt("# {$imagepolicy: a:b}", "no JSON object");
        check_misspelt("# {'$imagepolicy': 'a:b'}", "double quotes");
        check_misspelt(r#"# {"$imagepolicy": "a:b"} # more"#, "the whole comment");
        check_misspelt(r#"# see {"$imagepolicy": "a:b"}"#, "the whole comment");
        check_misspelt(r#"# {"$imagepolicy": 1}"#, "must be a string");
        check_misspelt(r#"# {"$imagepolicy": "a:b", "x": 1}"#, "the value of `x`");
        check_misspelt(r#"# {"$imagepolicy": "web"}"#, "write `NAMESPACE:web`");
        check_misspelt(r#"# {"$imagepolicy": ":web"}"#, "a namespace and a name");
        check_misspelt(r#"# {"$imagepolicy": ""}"#, "lacks the namespace");
        check_misspelt(r#"# {"$imagepolicy": "a:b:foo"}"#, "`:foo` is not");
        check_misspelt(r#"# {"$imagepolicy": "a:b:tags"}"#, "did you mean `tag`?");
        check_misspelt(r#"# {"$imagepolicy": "a:b:tag:tag"}"#, "is not `:tag`");
        check_misspelt(r#"# {"$imagepolicy": " a:b"}"#, "white space");
        let long = format!(r#"# {{"$imagepolicy": "a:{}"}}"#, "b".repeat(100_000));
        check_misspelt(&long, "longer than 4096 bytes");
    }

    #[test]
    fn prose_is_no_marker() {
        for comment in [
            "# see the docs of $imagepolicy markers",
            "# kind: ImagePolicy",
            "# managed by tagwright: do not edit",
            r#"# {"$openapi": "replicas"}"#,
            r##"# {"$ref": "#/definitions/other"}"##,
        ] {
            assert_eq!(parse(comment), MarkerReading::NoMarker, "{comment}");
        }
    }

    fn check_screen(path: &str, text: &str, passes: bool) {
        assert_eq!(screen(path, text.as_bytes()), passes, "{path}: {text}");
    }

    #[test]
    fn screening_looks_at_name_and_bytes() {
        let marked = r#"a: v1 # {"$imagepolicy": "a:b"}"#;
        check_screen("a.yaml", marked, true);
        check_screen(".github/.x.yml", marked, true);
        check_screen("apps/foo..bar.yaml", marked, true);
        check_screen("apps/Kustomization", marked, true);
        check_screen("apps/kustomization", marked, false);
        check_screen("Kustomization/file", marked, false);
        check_screen("X.YAML", marked, false);
        check_screen("x.json", marked, false);
        check_screen("x.md", marked, false);
        check_screen("x.toml", marked, true);
        check_screen("app/Dockerfile.debug", marked, true);
        check_screen("a.yaml", "a: v1 # tagwright: semver=1.x", true);
        check_screen("a.yaml", "a: v1 # {\"$imagePolicy\": \"a:b\"}", true);
        check_screen("a.yaml", "a: v1", false);
        check_screen("", "", false);
    }

    proptest! {
        #[test]
        fn no_comment_panics(text in "\\PC{0,60}", key in "\\$?[iI]mage[pP]olicy", rest in "\\PC{0,40}") {
            let _ = parse(&text);
            let _ = parse(&format!("# {{\"{key}\": \"{text}\"{rest}"));
            let _ = parse(&format!("# tagwright: {text} {rest}"));
        }
    }
}
