//! Versions that are not quite semantic: one to four parts, packaging revisions.
//!
//! ```text
//! loose = ["v" | "V"] number { "." number }     one to four numbers; what is missing is zero
//!         [ "-" [ "r" ] number                  a packaging revision: after the release
//!         | [ "-" | "_" | "." ] letter … ]      a pre-release: before it, in natural order
//!         [ "+" build ]                         ignored
//! ```
//!
//! So `3.12.0-1` follows `3.12.0`, `1.40.2.8395` follows `1.40.2`, and `1.0-rc10` follows `1.0-rc9`
//! and precedes `1.0`.
//!
//! A range applies to the first three numbers and the pre-release, as it does to semantic versions.

use std::{borrow::Cow, cmp::Ordering};

use super::{natural, version::Version};

/// A loose version.
#[derive(Clone, Debug)]
pub(super) struct Loose<'t> {
    /// The part that a range sees.
    pub(super) version: Version<'t>,
    fourth: u64,
    revision: u64,
}

impl<'t> Loose<'t> {
    /// Reads a loose version to its end.
    pub(super) fn read(text: &'t str) -> Option<Self> {
        let text = text.split_once('+').map_or(text, |(text, _)| text);
        let mut rest = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let mut parts = [0; 4];
        for (position, part) in parts.iter_mut().enumerate() {
            let start = match (position, rest.strip_prefix('.')) {
                (0, _) => rest,
                (_, Some(start)) if start.starts_with(|c: char| c.is_ascii_digit()) => start,
                _ => break,
            };
            let end = start.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, after) = start.split_at(end);
            *part = digits.parse().ok()?;
            rest = after;
        }
        let [major, minor, patch, fourth] = parts;
        let (pre, revision) = read_suffix(rest)?;
        Some(Self {
            version: Version {
                core: [major, minor, patch],
                pre: Cow::Borrowed(pre),
            },
            fourth,
            revision,
        })
    }

    /// The same version, free of the text that it was read from.
    pub(super) fn into_owned(self) -> Loose<'static> {
        Loose {
            version: self.version.into_owned(),
            fourth: self.fourth,
            revision: self.revision,
        }
    }

    /// Compares two loose versions.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let numbers = |loose: &Self| (loose.version.core, loose.fourth);
        let (mine, theirs) = (&*self.version.pre, &*other.version.pre);
        numbers(self)
            .cmp(&numbers(other))
            .then_with(|| mine.is_empty().cmp(&theirs.is_empty()))
            .then_with(|| natural::compare(mine, theirs))
            .then_with(|| self.revision.cmp(&other.revision))
    }
}

/// The pre-release and the packaging revision behind the numbers.
fn read_suffix(text: &str) -> Option<(&str, u64)> {
    if text.is_empty() {
        return Some(("", 0));
    }
    if let Some(revision) = text.strip_prefix('-') {
        let digits = revision.strip_prefix('r').unwrap_or(revision);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(("", digits.parse().ok()?));
        }
    }
    let pre = text.strip_prefix(['-', '_', '.']).unwrap_or(text);
    pre.starts_with(|first: char| first.is_ascii_alphabetic())
        .then_some((pre, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_of_one_to_four_parts_are_ordered() {
        let ascending = [
            "0.9",
            "1-alpha",
            "1.0-rc9",
            "v1.0.0-rc10",
            "1",
            "1.0-1",
            "1.0.0-r2",
            "1.0.0-10",
            "1.0.0.1",
            "1.40.2.8395-c67dce28e",
            "1.40.2.8395",
            "1.40.10",
            "3.12.0-1",
            "V3.12.1",
            "20481937",
        ];
        for (at, left) in ascending.iter().enumerate() {
            for (after, right) in ascending.iter().enumerate() {
                let (one, other) = (Loose::read(left).unwrap(), Loose::read(right).unwrap());
                assert_eq!(
                    one.compare(&other),
                    at.cmp(&after),
                    "{left} against {right}"
                );
            }
        }
    }

    #[test]
    fn other_spellings_of_a_version_are_the_same() {
        for (left, right) in [
            ("1", "v1.0.0.0"),
            ("1.0rc1", "1.0-rc01"),
            ("1+a", "1+b"),
            ("1.2-r3", "1.2.0-3"),
        ] {
            let (one, other) = (Loose::read(left).unwrap(), Loose::read(right).unwrap());
            assert!(one.compare(&other).is_eq(), "{left} and {right}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            "v",
            "latest",
            "1.",
            "1..2",
            "1.2.3.4.5",
            "1-",
            "1-1-1",
            "1.2.3-1.el7",
            "sha-1",
            ".1",
            "1 ",
            "18446744073709551616",
            "1-18446744073709551616",
            "--1",
        ] {
            assert!(Loose::read(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_transitive(
            texts in prop::array::uniform3("v?[01](\\.[01]){0,3}(-r?[012]|[-_.]?[ab]c?[0-2]{0,2})?"),
        ) {
            let [one, two, three] = texts.each_ref().map(|text| Loose::read(text).unwrap());
            prop_assert_eq!(one.compare(&two), two.compare(&one).reverse());
            if one.compare(&two).is_le() && two.compare(&three).is_le() {
                prop_assert!(one.compare(&three).is_le());
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = Loose::read(&text);
        }
    }
}
