//! Which tags take part, and what of them is compared: [`Exclusions`] and [`TagFilter`].

use regex::bytes::CaptureLocations;

use super::{
    error::{Place, PolicyError},
    keys::Keys,
    pattern::{PATTERN_LIMIT, Pattern},
    template::Template,
};

/// What Flux excludes where nothing is said: cosign's signatures.
const DEFAULT_EXCLUSION: &str = r"^.*\.sig$";

/// The patterns of tags that take no part.
///
/// ```
/// use tagwright::policy::Exclusions;
///
/// let exclusions = Exclusions::new(&["-debug$".to_owned()]).unwrap();
/// assert_eq!(exclusions.excludes("1.0.0-debug"), Some("-debug$"));
/// assert_eq!(Exclusions::default().excludes("sha256-0a.sig"), Some(r"^.*\.sig$"));
/// ```
#[derive(Clone, Debug)]
pub struct Exclusions {
    patterns: Vec<Pattern>,
}

impl Exclusions {
    /// Compiles an `exclusionList`; an empty one is the default one, as in Flux.
    pub fn new(patterns: &[String]) -> Result<Self, PolicyError> {
        if patterns.is_empty() {
            return Ok(Self::default());
        }
        let compile = |(position, text): (usize, &String)| {
            Pattern::new(&format!("exclusionList[{position}]"), text)
        };
        let patterns = patterns.iter().enumerate().map(compile);
        Ok(Self {
            patterns: patterns.collect::<Result<_, _>>()?,
        })
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(Pattern::as_str)
    }

    /// The first pattern that `tag` matches, anywhere in it.
    pub fn excludes(&self, tag: &str) -> Option<&str> {
        let mut patterns = self.patterns.iter();
        patterns
            .find(|pattern| pattern.is_match(tag))
            .map(Pattern::as_str)
    }
}

impl Default for Exclusions {
    fn default() -> Self {
        let pattern = Pattern::new("exclusionList[0]", DEFAULT_EXCLUSION)
            .expect("the default exclusion is a constant that a test compiles");
        Self {
            patterns: vec![pattern],
        }
    }
}

/// Which tags are candidates, and which part of them the order compares.
///
/// The default takes every tag, as it is.
#[derive(Clone, Debug, Default)]
pub struct TagFilter {
    compiled: Option<Compiled>,
}

#[derive(Clone, Debug)]
struct Compiled {
    pattern: Pattern,
    extract: Option<Template>,
}

/// Room that one evaluation of a filter reuses for every tag.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    locations: Option<CaptureLocations>,
    buffer: String,
}

impl TagFilter {
    /// Compiles `filterTags`: an unanchored `pattern`, and a template `extract` over its groups. An
    /// empty pattern matches every tag, an empty template is the tag itself.
    pub fn new(pattern: &str, extract: &str) -> Result<Self, PolicyError> {
        if pattern.is_empty() && extract.is_empty() {
            return Ok(Self::default());
        }
        if extract.len() > PATTERN_LIMIT {
            return Err(PolicyError::TooLong {
                place: Place::new("filterTags.extract", extract, PATTERN_LIMIT..extract.len()),
                limit: PATTERN_LIMIT,
            });
        }
        let pattern = Pattern::new("filterTags.pattern", pattern)?;
        let extract = (!extract.is_empty()).then(|| Template::new(extract, &pattern));
        Ok(Self {
            compiled: Some(Compiled { pattern, extract }),
        })
    }

    /// Compiles `filterTags` for an order of several keys: the groups that they name are compared.
    pub fn with_keys(pattern: &str, keys: &Keys) -> Result<Self, PolicyError> {
        let filter = Self::new(pattern, &keys.extract())?;
        let names = filter.compiled.iter().flat_map(|it| it.pattern.names());
        keys.check(pattern, names.filter_map(|name| name.as_deref()))?;
        Ok(filter)
    }

    /// The template as it was written; empty where the tag itself is compared.
    pub fn extract(&self) -> &str {
        let extract = self.compiled.as_ref().and_then(|it| it.extract.as_ref());
        extract.map_or("", Template::as_str)
    }

    /// The pattern as it was written; empty for the default.
    pub fn pattern(&self) -> &str {
        self.compiled
            .as_ref()
            .map_or("", |compiled| compiled.pattern.as_str())
    }

    /// Whether the filter takes `tag`.
    pub(super) fn takes(&self, tag: &str) -> bool {
        let compiled = self.compiled.as_ref();
        compiled.is_none_or(|compiled| compiled.pattern.is_match(tag))
    }

    /// What the order compares of `tag`; `None` if the filter refuses it.
    pub(super) fn value<'t>(&self, tag: &'t str, scratch: &'t mut Scratch) -> Option<&'t str> {
        let Some(Compiled { pattern, extract }) = &self.compiled else {
            return Some(tag);
        };
        let Some(extract) = extract else {
            return pattern.is_match(tag).then_some(tag);
        };
        let locations = scratch.locations.get_or_insert_with(|| pattern.locations());
        if !pattern.capture(tag, locations) {
            return None;
        }
        Some(extract.expand(tag, locations, &mut scratch.buffer))
    }

    /// The names in `extract` that no group of the pattern has; they always expand to nothing.
    pub(super) fn unknown_groups(&self) -> &[String] {
        let extract = self.compiled.as_ref().and_then(|it| it.extract.as_ref());
        extract.map_or(&[], Template::unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(pattern: &str, extract: &str, tag: &str, expected: Option<&str>) {
        let filter = TagFilter::new(pattern, extract).unwrap();
        let mut scratch = Scratch::default();
        assert_eq!(
            filter.value(tag, &mut scratch),
            expected,
            "{pattern} {extract} on {tag}"
        );
    }

    #[test]
    fn templates_expand_as_in_go() {
        for (template, expected) in [
            ("$1", "12"),
            ("$2.$1", "ab.12"),
            ("$0", "12-ab"),
            ("${1}x", "12x"),
            ("$1x", ""),
            ("$1_$2", "ab"),
            ("$9", ""),
            ("$01", ""),
            ("${01}", ""),
            ("$0000000001", ""),
            ("$1000000000", ""),
            ("$$1", "$1"),
            ("$", "$"),
            ("${1", "${1"),
            ("${1x", "${1x"),
            ("lit", "lit"),
            ("${}", "${}"),
            ("${-}", "${-}"),
            ("$-$1", "$-12"),
            ("$$$1$", "$12$"),
            ("$é", ""),
        ] {
            check(r"^(\d+)-(\w+)$", template, "12-ab", Some(expected));
        }
        check("(?P<a>x)(?<b>y)", "$b${a}", "xy", Some("yx"));
        check("(?P<a>x)|(?P<a>y)", "<$a>", "y", Some("<y>"));
        check("(?P<1>x)(y)", "$1", "xy", Some("x"));
        check("(?P<01>x)", "$01", "x", Some("x"));
    }

    #[test]
    fn values_are_those_of_flux() {
        check("", "", "a", Some("a"));
        check("^ver", "", "ver1", Some("ver1"));
        check("^ver", "", "rel1", None);
        check(r"ver(\d+)", "$1", "ver3", Some("3"));
        check(r"ver(\d+)", "$1", "xver12y", Some("12"));
        check(r"ver(\d+)", "$0", "xver12y", Some("ver12"));
        let main = "^main-[a-f0-9]+-(?P<ts>[0-9]+)";
        check(main, "$ts", "main-a1b2c3-1699999999", Some("1699999999"));
        check(main, "${ts}", "main-a1b2c3-1699999999", Some("1699999999"));
        let version = r"^v(\d+)\.(\d+)-(\w+)$";
        check(version, "$1.$2.0", "v1.2-x", Some("1.2.0"));
        check(version, "$1_$2", "v1.2-x", Some("2"));
        check(version, "${1}_${2}", "v1.2-x", Some("1_2"));
        check("(a)|(b)", "[$1][$2]", "b", Some("[][b]"));
        check(r"(\d+)", "$1", "1-2-3", Some("1"));
        check(r"(?i)RC(\d+)", "$1", "1.0-rc7", Some("7"));
        check("", "$1", "a", Some(""));
        check("", "$0", "a", Some(""));
    }

    fn check_items(pattern: &str, extract: &str, tags: &[&str], expected: &[&str]) {
        let filter = TagFilter::new(pattern, extract).unwrap();
        let values = tags.iter().filter_map(|tag| {
            let mut scratch = Scratch::default();
            filter.value(tag, &mut scratch).map(str::to_owned)
        });
        let mut values = values.collect::<Vec<_>>();
        values.sort();
        values.dedup();
        assert_eq!(values, expected, "{pattern} {extract}");
    }

    #[test]
    fn items_are_those_of_flux() {
        let tags = [
            "123-123.123.abcd123-debug",
            "123-123.123.abcd123",
            "123-123.123.abcd456-debug",
            "123-123.123.abcd456",
        ];
        let plain = [tags[1], tags[3]];
        check_items(
            r"^(123-[0-9]+\.[0-9]+\.[a-z0-9]+-debug)",
            "",
            &tags,
            &[tags[0], tags[2]],
        );
        check_items(
            r"^(?P<tag>123-[0-9]+\.[0-9]+\.[a-z0-9]+[^-debug])",
            "$tag",
            &tags,
            &plain,
        );
        check_items(
            r"^(?P<tag>123-[0-9]+\.[0-9]+\.[a-z0-9]+$)",
            "$tag",
            &tags,
            &plain,
        );
    }

    fn check_excluded(patterns: &[&str], tag: &str, expected: Option<&str>) {
        let patterns = patterns.iter().map(|&text| text.to_owned());
        let exclusions = Exclusions::new(&patterns.collect::<Vec<_>>()).unwrap();
        assert_eq!(exclusions.excludes(tag), expected, "{tag}");
    }

    #[test]
    fn exclusions_are_searched_not_matched_in_full() {
        check_excluded(&[], "sha256-0a.sig", Some(r"^.*\.sig$"));
        check_excluded(&[], "1.0.0", None);
        check_excluded(&["1.0.2"], "11.0.20", Some("1.0.2"));
        check_excluded(&[r"^1\.0\.2$"], "1.0.20", None);
        check_excluded(&["-debug$", "^1"], "1-debug", Some("-debug$"));
        check_excluded(&["^1"], "sha256-0a.sig", None);
        let error = Exclusions::new(&["a".into(), "b".into(), "[".into()]).unwrap_err();
        assert_eq!(error.place().field, "exclusionList[2]");
    }

    #[test]
    fn unknown_groups_are_known() {
        let filter = TagFilter::new(r"(?P<n>\d+)(x)", "$n $2 $3 ${m} $1x").unwrap();
        assert_eq!(filter.unknown_groups(), ["3", "m", "1x"]);
    }

    #[test]
    fn a_template_has_a_bound() {
        assert!(TagFilter::new("", &"$".repeat(PATTERN_LIMIT)).is_ok());
        assert!(TagFilter::new("", &"$".repeat(PATTERN_LIMIT + 1)).is_err());
    }

    proptest! {
        #[test]
        fn no_template_panics(template in "[${}01a_é-]{0,20}|\\PC{0,20}", tag in "[a-z0-9-]{1,20}") {
            let filter = TagFilter::new(r"(\w+)(?:-(?P<a>\d+))?", &template).unwrap();
            let _ = filter.value(&tag, &mut Scratch::default());
        }
    }
}
