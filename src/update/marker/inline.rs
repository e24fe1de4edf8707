//! Our own marker, `# tagwright: semver=1.x`: a policy that stands next to the value it governs.

use std::{collections::BTreeMap, fmt};

use super::{Field, Marker, PolicyKey, did_you_mean};
use crate::{
    image::{Digest, ImageReference, Repository, Tag},
    nearest::nearest,
    policy::Preset,
};

/// The word that opens the marker.
const OPENING: &str = "tagwright:";
/// The keys that order tags; a rule has exactly one of them.
const ORDERS: [&str; 9] = [
    "alphabetical",
    "calver",
    "keys",
    "loose",
    "natural",
    "newest",
    "numerical",
    "preset",
    "semver",
];
/// The keys that a rule may have besides.
const REST: [&str; 4] = ["allowDowngrade", "digest", "extract", "filter"];
/// The keys of constraints, and the words that each may have; any where there are none.
const CONSTRAINTS: [(&str, &[&str]); 5] = [
    ("keep", &["suffix", "precision", "suffix,precision"]),
    ("minimumAge", &[]),
    ("prereleases", &["true", "false"]),
    ("strict", &["true", "false"]),
    ("update", &["patch", "minor", "major"]),
];
/// The keys that say what the value is; they are no part of the rule.
const PLACE: [&str; 2] = ["field", "image"];

/// An inline marker before it is known which value it stands at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineMarker {
    /// How the tag is chosen.
    pub rule: InlineRule,
    /// What `image=` says.
    pub repository: Option<Repository>,
    /// What `field=` says.
    pub field: Option<Field>,
    /// The words as they were written.
    pub text: String,
}

/// The policy in an inline marker.
///
/// [`fmt::Display`] gives the canonical spelling: keys sorted, quotes where they are needed.
///
/// ```
/// use tagwright::update::marker::InlineRule;
///
/// let rule = InlineRule::parse(r#"semver=1.x filter="^v""#).unwrap();
/// assert_eq!(rule.order, ("semver".to_owned(), "1.x".to_owned()));
/// assert_eq!(rule.to_string(), "filter=^v semver=1.x");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineRule {
    /// The one order key and its value, such as `semver` and `1.x`.
    pub order: (String, String),
    /// The regular expression that a tag must match.
    pub filter: Option<String>,
    /// What is compared, made from the filter's groups.
    pub extract: Option<String>,
    /// `never`, `ifNotPresent` or `always`.
    pub digest: Option<String>,
    /// Whether an older selection may replace a newer value.
    pub allow_downgrade: bool,
    /// `keep`, `minimumAge`, `prereleases`, `strict` and `update`, as far as they are there.
    pub constraints: BTreeMap<String, String>,
}

impl InlineRule {
    /// Reads the words of a rule, or says what is wrong with them.
    pub fn parse(rule: &str) -> Result<Self, String> {
        let mut words = words(rule)?;
        let rule = Self::take(&mut words)?;
        match words.keys().next() {
            Some(key) => Err(format!("`{key}` is no part of a rule")),
            None => Ok(rule),
        }
    }

    /// Moves the rule's own words out of `words`.
    fn take(words: &mut BTreeMap<String, String>) -> Result<Self, String> {
        let mut orders = ORDERS.iter().filter_map(|key| words.remove_entry(*key));
        let Some(order) = orders.next() else {
            return Err("it has no order; add `semver=RANGE`, `alphabetical=asc`, `numerical=asc`, `natural=asc` or `preset=NAME`".into());
        };
        if let Some((second, _)) = orders.next() {
            return Err(format!("it has two orders, `{}` and `{second}`", order.0));
        }
        match (order.0.as_str(), order.1.trim()) {
            (key @ ("semver" | "loose"), "") => {
                return Err(format!("`{key}=` needs a range such as `1.x`"));
            }
            ("keys", "") => {
                return Err("`keys=` needs groups such as `\"date:number build:number\"`".into());
            }
            ("newest", clock) => {
                one_of("newest", clock, &["created", "annotation", "firstSeen"])?;
            }
            ("preset", name) => {
                one_of("preset", name, &Preset::NAMES)?;
                let has_filter = Preset::named(name).is_ok_and(Preset::has_filter);
                if has_filter && (words.contains_key("filter") || words.contains_key("extract")) {
                    return Err(format!("`preset={name}` filters by itself; drop `filter`"));
                }
            }
            ("calver", "") => return Err("`calver=` needs a format such as `YYYY.0M.0D`".into()),
            ("semver" | "loose" | "calver" | "keys", _) => {}
            (key, direction) => {
                one_of(key, direction, &["asc", "desc"])?;
            }
        }
        let digest = words.remove("digest");
        if let Some(digest) = &digest {
            one_of("digest", digest, &["never", "ifNotPresent", "always"])?;
        }
        let allow_downgrade = match words.remove("allowDowngrade") {
            Some(word) => one_of("allowDowngrade", &word, &["true", "false"])? == "true",
            None => false,
        };
        let mut constraints = BTreeMap::new();
        for (key, known) in CONSTRAINTS {
            if let Some((key, word)) = words.remove_entry(key) {
                if !known.is_empty() {
                    one_of(&key, &word, known)?;
                }
                constraints.insert(key, word);
            }
        }
        Ok(Self {
            order,
            constraints,
            filter: words.remove("filter"),
            extract: words.remove("extract"),
            digest,
            allow_downgrade,
        })
    }
}

impl fmt::Display for InlineRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allow_downgrade = self.allow_downgrade.then(|| "true".to_owned());
        let words = [
            ("allowDowngrade", allow_downgrade.as_ref()),
            (self.order.0.as_str(), Some(&self.order.1)),
            ("digest", self.digest.as_ref()),
            ("extract", self.extract.as_ref()),
            ("filter", self.filter.as_ref()),
        ];
        let words = words
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        let constraints = self.constraints.iter();
        let constraints = constraints.map(|(key, value)| (key.as_str(), value));
        let words: BTreeMap<&str, &String> = words.chain(constraints).collect();
        for (position, (key, value)) in words.into_iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(formatter, "{space}{key}={}", Word(value))?;
        }
        Ok(())
    }
}

impl InlineMarker {
    /// Takes from `value` what the words left open, or says which word is missing.
    pub(super) fn bind(self, value: &str) -> Result<Marker, String> {
        let (repository, field) = match (self.repository, self.field) {
            (Some(repository), Some(field)) => (repository, field),
            (Some(repository), None) => (repository, shape_of(value)?),
            (None, None | Some(Field::Image)) => match reference(value) {
                Some(image) => (image.repository().clone(), Field::Image),
                None => {
                    return Err(
                        "the value names no repository with a tag; add `image=REPOSITORY`".into(),
                    );
                }
            },
            (None, Some(_)) => return Err("`field=` needs `image=REPOSITORY` beside it".into()),
        };
        let rule = self.rule.to_string();
        Ok(Marker {
            policy: PolicyKey::Inline { repository, rule },
            field,
            text: self.text,
        })
    }
}

/// Whether the author of a comment meant this kind of marker.
pub(super) fn is_meant(text: &str) -> bool {
    if text.starts_with(OPENING) {
        return true;
    }
    if let Some((_, words)) = text.split_once(OPENING) {
        return ORDERS.iter().any(|key| names_key(words, key));
    }
    // `Tagwright:`, `tagwrite:`, `tag-wright:` and a forgotten colon.
    if !text.starts_with(['t', 'T']) {
        return false;
    }
    let opening = text.split([':', ' ', '\t']).next().unwrap_or(text);
    let is_close = nearest(opening, ["tagwright"]).is_some();
    is_close && ORDERS.iter().any(|key| names_key(text, key))
}

/// Reads the whole comment.
pub(super) fn parse(text: &str) -> Result<InlineMarker, String> {
    let Some(text) = text.strip_prefix(OPENING) else {
        return Err(format!("a marker begins with `{OPENING}`"));
    };
    let text = text.trim();
    let mut words = words(text)?;
    let repository = match words.remove("image") {
        Some(image) => Some(
            image
                .parse::<Repository>()
                .map_err(|error| error.to_string())?,
        ),
        None => None,
    };
    let field = match words.remove("field") {
        Some(word) => Some(field_named(&word)?),
        None => None,
    };
    let rule = InlineRule::take(&mut words)?;
    Ok(InlineMarker {
        rule,
        repository,
        field,
        text: text.to_owned(),
    })
}

fn names_key(text: &str, key: &str) -> bool {
    text.split_whitespace().any(|word| {
        word.strip_prefix(key)
            .is_some_and(|rest| rest.starts_with('='))
    })
}

fn field_named(word: &str) -> Result<Field, String> {
    Ok(
        match one_of("field", word, &["image", "tag", "name", "digest"])? {
            "tag" => Field::Tag,
            "name" => Field::Name,
            "digest" => Field::Digest,
            _ => Field::Image,
        },
    )
}

/// Which part of an image `value` looks like.
fn shape_of(value: &str) -> Result<Field, String> {
    let value = value.trim_end();
    if value.parse::<Digest>().is_ok() {
        Ok(Field::Digest)
    } else if reference(value).is_some() {
        Ok(Field::Image)
    } else if value.parse::<Tag>().is_ok() {
        Ok(Field::Tag)
    } else {
        Err(
            "the value does not show what it is; add `field=image`, `tag`, `name` or `digest`"
                .into(),
        )
    }
}

/// The reference in `value`, where it has a tag or a digest.
///
/// A bare digest is no reference, though `sha256` could be a repository.
fn reference(value: &str) -> Option<ImageReference> {
    let value = value.trim_end();
    let image: ImageReference = value.parse().ok()?;
    let complete = image.tag().is_some() || image.digest().is_some();
    (complete && value.parse::<Digest>().is_err()).then_some(image)
}

/// Returns the one of `known` that `word` is.
fn one_of<'a>(key: &str, word: &str, known: &[&'a str]) -> Result<&'a str, String> {
    known
        .iter()
        .find(|known| **known == word)
        .copied()
        .ok_or_else(|| {
            let guess = did_you_mean(word, known);
            let word = word.escape_debug();
            format!("`{key}={word}` is not one of {}{guess}", known.join(", "))
        })
}

/// Splits `key=value key="a value"` at white space; every key is known and stands once.
fn words(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest
            .find(|character: char| character == '=' || character.is_whitespace())
            .unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        check_key(key)?;
        let Some(after) = after.strip_prefix('=') else {
            return Err(format!("`{key}` needs a value, as in `{key}=…`"));
        };
        let (value, after) = value(key, after)?;
        if found.insert(key.to_owned(), value).is_some() {
            return Err(format!("`{key}` stands twice"));
        }
        rest = after.trim_start();
    }
    Ok(found)
}

fn check_key(key: &str) -> Result<(), String> {
    let constraints = CONSTRAINTS.map(|(key, _)| key);
    let known: Vec<&str> = [&ORDERS[..], &REST, &PLACE, &constraints].concat();
    if known.contains(&key) {
        return Ok(());
    }
    let guess = did_you_mean(key, &known);
    Err(format!(
        "`{}` is no key of a marker{guess}",
        key.escape_debug()
    ))
}

/// Reads one value off the front of `text` and returns what follows it.
fn value<'a>(key: &str, text: &'a str) -> Result<(String, &'a str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return Ok((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next() {
            Some('"') => break,
            Some('\\') => match characters.next() {
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                _ => {
                    return Err(format!(
                        "in the quotes of `{key}` only `\\\"` and `\\\\` are escapes"
                    ));
                }
            },
            Some(character) => value.push(character),
            None => return Err(format!("the quotes of `{key}` are not closed")),
        }
    }
    let rest = characters.as_str();
    if rest.starts_with(|character: char| !character.is_whitespace()) {
        return Err(format!(
            "white space is missing after the quotes of `{key}`"
        ));
    }
    Ok((value, rest))
}

/// A value as it is written: in quotes where white space or a quote makes them necessary.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare =
            !self.0.is_empty() && !self.0.starts_with('"') && !self.0.contains(char::is_whitespace);
        if bare {
            return formatter.write_str(self.0);
        }
        let escaped = self.0.replace('\\', "\\\\").replace('"', "\\\"");
        write!(formatter, "\"{escaped}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bound(words: &str, value: &str) -> Result<(String, String, Field), String> {
        let marker = parse(&format!("tagwright: {words}"))?.bind(value)?;
        match marker.policy {
            PolicyKey::Inline { repository, rule } => {
                Ok((repository.to_string(), rule, marker.field))
            }
            PolicyKey::Named(_) => Err("a named policy".to_owned()),
        }
    }

    fn check(words: &str, value: &str, repository: &str, rule: &str, field: Field) {
        let expected = (repository.to_owned(), rule.to_owned(), field);
        assert_eq!(bound(words, value), Ok(expected), "{words} at {value}");
    }

    #[test]
    fn takes_repository_and_field_from_the_value() {
        let digest = format!("sha256:{}", "a".repeat(64));
        check(
            "semver=1.x",
            "ghcr.io/acme/web:1.4.2",
            "ghcr.io/acme/web",
            "semver=1.x",
            Field::Image,
        );
        check(
            "semver=1.x",
            &format!("ghcr.io/acme/web@{digest}"),
            "ghcr.io/acme/web",
            "semver=1.x",
            Field::Image,
        );
        check(
            "semver=1.x image=a.test/web",
            "1.4.2",
            "a.test/web",
            "semver=1.x",
            Field::Tag,
        );
        check(
            "semver=1.x image=a.test/web",
            &digest,
            "a.test/web",
            "semver=1.x",
            Field::Digest,
        );
        check(
            "semver=1.x image=a.test/web",
            "b.test/web:1",
            "a.test/web",
            "semver=1.x",
            Field::Image,
        );
        check(
            "semver=1.x image=a.test/web",
            "1.4.2\n",
            "a.test/web",
            "semver=1.x",
            Field::Tag,
        );
        check(
            "semver=1.x image=a.test/web field=name",
            "x",
            "a.test/web",
            "semver=1.x",
            Field::Name,
        );
        check(
            "semver=1.x image=a.test/web field=digest",
            "",
            "a.test/web",
            "semver=1.x",
            Field::Digest,
        );
    }

    #[test]
    fn equal_rules_have_one_spelling() {
        let check = |words, rule| check(words, "a.test/web:1", "a.test/web", rule, Field::Image);
        check("semver=1.x", "semver=1.x");
        check("  semver=\"1.x\"\t", "semver=1.x");
        check("semver=\">=1.0 <2.0\"", "semver=\">=1.0 <2.0\"");
        check(
            "semver=1.x filter=^v allowDowngrade=true",
            "allowDowngrade=true filter=^v semver=1.x",
        );
        check("semver=1.x allowDowngrade=false", "semver=1.x");
        check(
            r#"numerical=asc filter="^\\d+$""#,
            r"filter=^\d+$ numerical=asc",
        );
        check(
            r"numerical=asc filter=^\d+$ extract=$ts",
            r"extract=$ts filter=^\d+$ numerical=asc",
        );
        check(
            "natural=desc digest=ifNotPresent",
            "digest=ifNotPresent natural=desc",
        );
        check(
            r#"alphabetical=asc filter="a\"b c""#,
            r#"alphabetical=asc filter="a\"b c""#,
        );
    }

    fn check_wrong(words: &str, value: &str, reason: &str) {
        let found = bound(words, value).expect_err(words);
        assert!(found.contains(reason), "{words}: {found}");
    }

    #[test]
    fn wrong_words_are_explained() {
        check_wrong("semver=1.x update=mior", "a:1", "did you mean `minor`?");
        check_wrong(
            "semver=1.x prerelease=true",
            "a:1",
            "did you mean `prereleases`?",
        );
        check_wrong("newest=crated", "a:1", "did you mean `created`?");
        check_wrong("preset=dates", "a:1", "did you mean `date`?");
        check_wrong("preset=date filter=x", "a:1", "drop `filter`");
        check_wrong("", "a:1", "no order");
        check_wrong("filter=x", "a:1", "no order");
        check_wrong("semver=1.x natural=asc", "a:1", "two orders");
        check_wrong("semver=1.x semver=2.x", "a:1", "`semver` stands twice");
        check_wrong("semver=", "a:1", "needs a range");
        check_wrong("semver", "a:1", "needs a value");
        check_wrong("semvr=1.x", "a:1", "did you mean `semver`?");
        check_wrong(
            "semver=1.x allowdowngrade=true",
            "a:1",
            "did you mean `allowDowngrade`?",
        );
        check_wrong("semver=1.x allowDowngrade=yes", "a:1", "true, false");
        check_wrong("numerical=up", "a:1", "asc, desc");
        check_wrong("natural=ASC", "a:1", "did you mean `asc`?");
        check_wrong("semver=1.x digest=Always", "a:1", "did you mean `always`?");
        check_wrong(
            "semver=1.x field=tags image=a.test/web",
            "a:1",
            "did you mean `tag`?",
        );
        check_wrong("semver=1.x image=https://a.test/web", "a:1", "URL scheme");
        check_wrong(
            "semver=1.x image=a.test/web:1",
            "a:1",
            "should not include a tag",
        );
        check_wrong("semver=1.x \"", "a:1", "no key of a marker");
        check_wrong("semver=\"1.x", "a:1", "not closed");
        check_wrong("semver=\"1.x\"x", "a:1", "white space is missing");
        check_wrong("semver=\"\\d\"", "a:1", "escapes");
        check_wrong("do not edit", "a:1", "no key of a marker");
    }

    #[test]
    fn asks_for_the_repository_when_the_value_has_none() {
        let digest = format!("sha256:{}", "a".repeat(64));
        check_wrong("semver=1.x", "1.4.2", "add `image=REPOSITORY`");
        check_wrong("semver=1.x", "ghcr.io/acme/web", "add `image=REPOSITORY`");
        check_wrong("semver=1.x", &digest, "add `image=REPOSITORY`");
        check_wrong("semver=1.x", "", "add `image=REPOSITORY`");
        check_wrong("semver=1.x field=tag", "web:1", "needs `image=REPOSITORY`");
        check_wrong("semver=1.x image=a.test/web", "a/b", "add `field=image`");
        check_wrong("semver=1.x image=a.test/web", "", "add `field=image`");
    }

    #[test]
    fn other_spellings_of_the_opening_are_noticed() {
        for text in [
            "tagwrite: semver=1.x",
            "tag-wright: semver=1.x",
            "Tagwright: semver=1.x",
            "tagwright semver=1.x",
            "managed by tagwright: semver=1.x",
        ] {
            assert!(is_meant(text), "{text}");
            assert!(parse(text).is_err(), "{text}");
        }
        for text in [
            "tags: semver=1.x",
            "semver=1.x",
            "tagwright",
            "by tagwright: do not edit",
            "",
        ] {
            assert!(!is_meant(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_a_rule_and_reading_it_again_is_the_identity(
            order in "[^\\p{C}]{1,12}", filter in "\\PC{0,12}", allow_downgrade: bool,
        ) {
            prop_assume!(!order.trim().is_empty());
            let rule = InlineRule {
                order: ("semver".to_owned(), order),
                filter: Some(filter),
                extract: None,
                digest: None,
                allow_downgrade,
                constraints: BTreeMap::from([("update".to_owned(), "minor".to_owned())]),
            };
            prop_assert_eq!(InlineRule::parse(&rule.to_string()), Ok(rule));
        }
    }
}
