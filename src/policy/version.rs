//! Versions as Flux reads them from tags, and the order they stand in.
//!
//! This is not the `semver` crate's `Version`: a tag may write `01.02.03` or `1.2-rc.1`, a
//! pre-release number past 64 bits is compared as text, and nothing is allocated for a version
//! that is looked at once and dropped.

use std::{borrow::Cow, cmp::Ordering, fmt, iter};

/// A version; build metadata is dropped, because it has no part in the order.
#[derive(Clone, Debug)]
pub(super) struct Version<'t> {
    /// Major, minor, patch.
    pub(super) core: [u64; 3],
    /// The pre-release without its hyphen; empty for a release.
    pub(super) pre: Cow<'t, str>,
}

/// Why a text is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VersionFault {
    /// Fewer than two dots.
    Parts,
    /// Something else stands where a number, a dot, a hyphen or a plus is expected.
    Shape,
    /// A number that does not fit 64 bits.
    TooBig,
    /// A number of the pre-release is written with a zero in front.
    LeadingZero,
}

impl<'t> Version<'t> {
    /// Reads a tag: three parts divided by dots, and then whatever [`Version::coerce`] reads.
    ///
    /// Flux counts the dots before it reads, so `1.2` is refused and `1.2-rc.1` is `1.2.0-rc.1`.
    pub(super) fn read(text: &'t str) -> Result<Self, VersionFault> {
        let dots = text.bytes().filter(|&byte| byte == b'.').take(2).count();
        if dots < 2 {
            return Err(VersionFault::Parts);
        }
        Self::coerce(text)
    }

    /// Reads `v1`, `1.2`, `1.2.3-pre+build` and the like; what is missing is zero.
    pub(super) fn coerce(text: &'t str) -> Result<Self, VersionFault> {
        let mut rest = text.strip_prefix('v').unwrap_or(text);
        let mut core = [0; 3];
        for (position, part) in core.iter_mut().enumerate() {
            if position > 0 {
                let Some(after) = rest.strip_prefix('.') else {
                    break;
                };
                rest = after;
            }
            let digits;
            (digits, rest) = take_digits(rest);
            *part = number(digits)?;
        }
        let (rest, build) = match rest.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (rest, None),
        };
        if build.is_some_and(|build| !is_dotted(build)) {
            return Err(VersionFault::Shape);
        }
        let pre = match rest.strip_prefix('-') {
            Some(pre) => checked_prerelease(pre)?,
            None if rest.is_empty() => "",
            None => return Err(VersionFault::Shape),
        };
        Ok(Self {
            core,
            pre: Cow::Borrowed(pre),
        })
    }

    /// Whether a pre-release follows the numbers.
    pub(super) fn is_prerelease(&self) -> bool {
        !self.pre.is_empty()
    }

    /// The same version, free of the text that it was read from.
    pub(super) fn into_owned(self) -> Version<'static> {
        Version {
            core: self.core,
            pre: Cow::Owned(self.pre.into_owned()),
        }
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version<'_> {}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.core
            .cmp(&other.core)
            .then_with(|| compare_prereleases(&self.pre, &other.pre))
    }
}

impl fmt::Display for VersionFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Parts => "it has not three parts divided by dots",
            Self::Shape => "it is not `major.minor.patch` with an optional `-pre` and `+build`",
            Self::TooBig => "a number is larger than 18446744073709551615",
            Self::LeadingZero => "a number of its pre-release begins with 0",
        })
    }
}

fn take_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

fn number(digits: &str) -> Result<u64, VersionFault> {
    if digits.is_empty() {
        return Err(VersionFault::Shape);
    }
    digits.parse().map_err(|_| VersionFault::TooBig)
}

/// Whether `text` is identifiers of letters, digits and hyphens, divided by dots.
fn is_dotted(text: &str) -> bool {
    text.split('.').all(|identifier| {
        !identifier.is_empty()
            && identifier
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

fn checked_prerelease(pre: &str) -> Result<&str, VersionFault> {
    if !is_dotted(pre) {
        return Err(VersionFault::Shape);
    }
    let padded = |identifier: &str| {
        identifier.len() > 1
            && identifier.starts_with('0')
            && identifier.bytes().all(|byte| byte.is_ascii_digit())
    };
    if pre.split('.').any(padded) {
        return Err(VersionFault::LeadingZero);
    }
    Ok(pre)
}

fn compare_prereleases(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let mut left = left.split('.');
    let mut right = right.split('.');
    iter::from_fn(|| match (left.next(), right.next()) {
        (None, None) => None,
        (left, right) => Some(left.map(rank).cmp(&right.map(rank))),
    })
    .find(|ordering| ordering.is_ne())
    .unwrap_or(Ordering::Equal)
}

/// Where an identifier stands: numbers before words. A number past 64 bits is a word.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank<'t> {
    Number(u64),
    Word(&'t str),
}

fn rank(identifier: &str) -> Rank<'_> {
    // `parse` would take a sign, but an identifier holds no plus, and a minus makes a word.
    match identifier.parse() {
        Ok(number) => Rank::Number(number),
        Err(_) => Rank::Word(identifier),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Option<&str>) {
        let read = Version::read(text).ok().map(|version| {
            let [major, minor, patch] = version.core;
            let hyphen = if version.is_prerelease() { "-" } else { "" };
            format!("{major}.{minor}.{patch}{hyphen}{}", version.pre)
        });
        assert_eq!(read.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn tags_are_read_as_flux_reads_them() {
        check("1.2.3", Some("1.2.3"));
        check("v1.2.3", Some("1.2.3"));
        check("v2025.07.03", Some("2025.7.3"));
        check("01.02.03", Some("1.2.3"));
        check("v1.2.0-x.Y.0+metadata", Some("1.2.0-x.Y.0"));
        check("v1.2.0-x.Y.0+metadata-width-hypen", Some("1.2.0-x.Y.0"));
        check("v1.2.3-rc1-with-hypen", Some("1.2.3-rc1-with-hypen"));
        check("1.2.3-0abc123", Some("1.2.3-0abc123"));
        check("1.2.3-alpha.-1", Some("1.2.3-alpha.-1"));
        check("1.2.3+test.01", Some("1.2.3"));
        check("1.2-rc.1", Some("1.2.0-rc.1"));
        check("1-a.b.c", Some("1.0.0-a.b.c"));
        check("18446744073709551615.0.0", Some("18446744073709551615.0.0"));
        check(
            "1.2.3-18446744073709551616",
            Some("1.2.3-18446744073709551616"),
        );
        check("1.2.2147483648", Some("1.2.2147483648"));
        check("1.2.3-alpine3.18", Some("1.2.3-alpine3.18"));
    }

    #[test]
    fn what_flux_refuses_is_refused() {
        for text in [
            "v1.0",
            "v1",
            "1",
            "1.2",
            "v1.2.beta",
            "v1.2-5",
            "v1.2-beta5",
            "\nv1.2",
            "v1.2.3.4",
            "V1.2.3",
            "vv1.2.3",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-a..b",
            "1.2.3-alpha.01",
            "1.2.3-01",
            "1.2.3-rc_1",
            "1.2.x",
            "sha-1.0.0",
            "18446744073709551616.0.0",
            "1..3",
            " 1.2.3",
            "1.2.3 ",
            "1.1.2+.123",
            "9.8.7+meta+meta",
            "1.2.31----RC-SNAPSHOT.12.09.1--.12+788",
            "1.0.0-rc.01",
            "1.0.0_1",
            "1.2.3\n",
            "+1.2.3",
            "-1.2.3",
            "1.+2.3",
            "",
            "..",
            "v..",
        ] {
            check(text, None);
        }
    }

    fn check_order(left: &str, expected: Ordering, right: &str) {
        let (one, other) = (
            Version::coerce(left).unwrap(),
            Version::coerce(right).unwrap(),
        );
        assert_eq!(one.cmp(&other), expected, "{left} against {right}");
        assert_eq!(
            other.cmp(&one),
            expected.reverse(),
            "{right} against {left}"
        );
    }

    #[test]
    fn versions_stand_in_the_order_of_flux() {
        use Ordering::{Equal, Greater, Less};
        check_order("1.2.3", Less, "1.5.1");
        check_order("2.2.3", Greater, "2.2.2");
        check_order("4.2.0", Greater, "4.2.0-beta");
        check_order("1.0.0-alpha", Less, "1.0.0-beta");
        check_order("4.2.0-beta.2", Greater, "4.2.0-beta.1");
        check_order("4.2.0-beta2", Greater, "4.2.0-beta1");
        check_order("4.2.0-beta", Less, "4.2.0-beta.2");
        check_order("4.2.0-beta", Less, "4.2.0-beta.foo");
        check_order("1.2.0+bar", Equal, "1.2.0+baz");
        check_order("1.0.0-beta.4", Less, "1.0.0-beta.-2");
        check_order("1.0.0-beta.-2", Less, "1.0.0-beta.-3");
        check_order("1.0.0-beta.-3", Greater, "1.0.0-beta.5");
        check_order("1.0.0-RC", Less, "1.0.0-rc");
        check_order("1.0.0-rc10", Less, "1.0.0-rc9");
        check_order("1.0.0-rc.10", Greater, "1.0.0-rc.9");
        check_order("1.0.0-rc10", Greater, "1.0.0-rc.10");
        check_order("v1.2.3", Equal, "01.2.3+b");
        check_order(
            "1.0.0-18446744073709551616",
            Greater,
            "1.0.0-18446744073709551615",
        );
        check_order(
            "1.0.0-99999999999999999999",
            Greater,
            "1.0.0-100000000000000000000",
        );
    }

    proptest! {
        #[test]
        fn plain_versions_agree_with_the_semver_crate(
            left in "(0|[1-9][0-9]{0,2})(\\.(0|[1-9][0-9]?)){2}(-(0|[1-9][0-9]{0,3}|[a-z-][a-z0-9-]{0,3})(\\.(0|[1-9]|[a-zA-Z]{1,2})){0,2})?",
            right in "(0|[1-9][0-9]{0,2})(\\.(0|[1-9][0-9]?)){2}(-(0|[1-9][0-9]{0,3}|[a-z-][a-z0-9-]{0,3})(\\.(0|[1-9]|[a-zA-Z]{1,2})){0,2})?",
        ) {
            let ours = Version::read(&left).unwrap().cmp(&Version::read(&right).unwrap());
            let theirs = left.parse::<semver::Version>().unwrap()
                .cmp_precedence(&right.parse::<semver::Version>().unwrap());
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,140}") {
            let _ = Version::read(&text);
        }
    }
}
