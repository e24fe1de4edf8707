//! What a tag looks like beside its order: how many numbers, which suffix, a date or a version.

/// The words that announce a pre-release; they are no packaging suffix.
const PRERELEASES: [&str; 9] = [
    "alpha",
    "beta",
    "rc",
    "cr",
    "preview",
    "pre",
    "milestone",
    "snapshot",
    "dev",
];

/// The numbers of a tag and what follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape<'t> {
    /// How many numbers the first dotted run has.
    pub(super) parts: usize,
    /// What follows that run, without a pre-release and without a packaging revision.
    pub(super) suffix: &'t str,
    /// Whether a pre-release stands between the two.
    pub(super) is_prerelease: bool,
}

impl<'t> Shape<'t> {
    /// Reads the shape of a tag; `None` where it has no number.
    pub(super) fn read(tag: &'t str) -> Option<Self> {
        let is_digit = |character: char| character.is_ascii_digit();
        let mut rest = &tag[tag.find(is_digit)?..];
        let mut parts = 0;
        loop {
            parts += 1;
            rest = rest.trim_start_matches(is_digit);
            match rest.strip_prefix('.') {
                Some(after) if after.starts_with(is_digit) => rest = after,
                _ => break,
            }
        }
        let suffix = without_prerelease(rest);
        let digits = suffix.strip_prefix('-').unwrap_or("-");
        let digits = digits.strip_prefix('r').unwrap_or(digits);
        let is_revision = !digits.is_empty() && digits.chars().all(is_digit);
        Some(Self {
            parts,
            suffix: if is_revision { "" } else { suffix },
            is_prerelease: suffix.len() < rest.len(),
        })
    }
}

/// What follows a pre-release such as `-rc.1` at the start of `suffix`.
fn without_prerelease(suffix: &str) -> &str {
    let text = suffix.strip_prefix(['-', '.', '_']).unwrap_or(suffix);
    let after = PRERELEASES.iter().find_map(|word| {
        let head = text.get(..word.len())?;
        head.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
    });
    let Some(after) = after else { return suffix };
    if after.starts_with(|character: char| character.is_ascii_alphabetic()) {
        return suffix;
    }
    let is_digit = |character: char| character.is_ascii_digit();
    let number = after.strip_prefix(['.', '-']).unwrap_or(after);
    if number.starts_with(is_digit) {
        number.trim_start_matches(is_digit)
    } else {
        after
    }
}

/// What a leading number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// A year, or a whole date.
    Date,
    /// The major number of a version.
    Version,
}

impl Scheme {
    /// Reads the scheme of what an order compares; `None` where it cannot be told.
    pub(super) fn read(value: &str) -> Option<Self> {
        let value = value.strip_prefix(['v', 'V']).unwrap_or(value);
        let length = value.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = value.split_at(length);
        let year = digits.get(..4).and_then(|year| year.parse::<u16>().ok());
        let is_year = year.is_some_and(|year| (1990..2100).contains(&year));
        let lies_in = |range: std::ops::Range<usize>, least: u8, most: u8| {
            let part = digits.get(range).and_then(|part| part.parse::<u8>().ok());
            part.is_none_or(|part| (least..=most).contains(&part))
        };
        let is_date = is_year && lies_in(4..6, 1, 12) && lies_in(6..8, 1, 31);
        match length {
            4 | 8 | 12 | 14 if is_date => Some(Self::Date),
            1..=3 if rest.starts_with('.') => Some(Self::Version),
            _ => None,
        }
    }

    /// The scheme in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Date => "a date",
            Self::Version => "a version",
        }
    }
}

/// Whether `value` may be a commit or the number of a build: seven or more hexadecimal digits and
/// nothing else, one of them a decimal one.
pub(super) fn is_hash_or_count(value: &str) -> bool {
    value.len() >= 7
        && value
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        && value.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(tag: &str, expected: Option<(usize, &str)>) {
        let shape = Shape::read(tag).map(|shape| (shape.parts, shape.suffix));
        assert_eq!(shape, expected, "{tag}");
    }

    #[test]
    fn a_suffix_is_the_packaging_and_nothing_else() {
        check("1.2", Some((2, "")));
        check("v1.2.3", Some((3, "")));
        check("1.2-alpine", Some((2, "-alpine")));
        check("1.2.3-alpine3.18", Some((3, "-alpine3.18")));
        check("17-jdk17", Some((1, "-jdk17")));
        check("1.2.3-rc.1", Some((3, "")));
        check("1.2.3-rc1-alpine", Some((3, "-alpine")));
        check("1.2.3_beta-2", Some((3, "")));
        check("1.2.3-SNAPSHOT", Some((3, "")));
        check("1.2.3-prefix", Some((3, "-prefix")));
        check("1.2.3-1", Some((3, "")));
        check("1.2.3-r2", Some((3, "")));
        check("1.2.3.", Some((3, ".")));
        check("release-1.2.3-amd64", Some((3, "-amd64")));
        check("latest", None);
    }

    #[test]
    fn dates_and_versions_are_told_apart() {
        for (value, expected) in [
            ("5.2.3", Some(Scheme::Version)),
            ("v5.2.3", Some(Scheme::Version)),
            ("20.04.1", Some(Scheme::Version)),
            ("2021.12.14", Some(Scheme::Date)),
            ("20211214", Some(Scheme::Date)),
            ("20481937", None),
            ("2021-12-14", Some(Scheme::Date)),
            ("12345.1.1", None),
            ("7", None),
            ("latest", None),
        ] {
            assert_eq!(Scheme::read(value), expected, "{value}");
        }
    }

    #[test]
    fn hashes_and_counts_are_seven_digits_or_more() {
        for (value, expected) in [
            ("20481937", true),
            ("4f2a9c1", true),
            ("4f2a9c", false),
            ("deadbeef", false),
            ("1.4.2000", false),
            ("4F2A9C1", false),
        ] {
            assert_eq!(is_hash_or_count(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,30}|[0-9a-z.-]{0,20}") {
            let _ = (Shape::read(&text), Scheme::read(&text), is_hash_or_count(&text));
        }
    }
}
