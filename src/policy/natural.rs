//! The order in which people count: runs of digits are numbers, everything else is bytes.
//!
//! `1.0.100` stands after `1.0.90`, `rc10` after `rc9`, and `a01` beside `a1`.

use std::{cmp::Ordering, iter};

/// Compares two texts; those that differ only in zeros in front of numbers are equal.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let mut left = left.as_bytes();
    let mut right = right.as_bytes();
    iter::from_fn(|| match (next(&mut left), next(&mut right)) {
        (None, None) => None,
        (left, right) => Some(left.cmp(&right)),
    })
    .find(|ordering| ordering.is_ne())
    .unwrap_or(Ordering::Equal)
}

/// A run of digits without the zeros in front, or one byte that is no digit.
///
/// A number stands among bytes where the digits stand, which keeps the order transitive.
#[derive(PartialEq, Eq)]
enum Token<'t> {
    Number(&'t [u8]),
    Byte(u8),
}

fn next<'t>(rest: &mut &'t [u8]) -> Option<Token<'t>> {
    let (&first, after) = rest.split_first()?;
    if !first.is_ascii_digit() {
        *rest = after;
        return Some(Token::Byte(first));
    }
    let end = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, after) = rest.split_at(end);
    *rest = after;
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    Some(Token::Number(&digits[zeros..]))
}

impl Ord for Token<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => {
                left.len().cmp(&right.len()).then_with(|| left.cmp(right))
            }
            (Self::Byte(left), Self::Byte(right)) => left.cmp(right),
            (Self::Number(_), Self::Byte(byte)) => b'0'.cmp(byte),
            (Self::Byte(byte), Self::Number(_)) => byte.cmp(&b'0'),
        }
    }
}

impl PartialOrd for Token<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_in_texts_are_counted() {
        let ascending = [
            "",
            "-",
            "1.0",
            "1.0.9-prod",
            "1.0.90-prod",
            "1.0.100-prod",
            "1.0.100-rc9",
            "1.0.100-rc10",
            "99999999999999999999998",
            "99999999999999999999999",
            "A",
            "a",
            "a-1",
            "a2",
            "a10",
        ];
        for (at, left) in ascending.iter().enumerate() {
            for (after, right) in ascending.iter().enumerate() {
                assert_eq!(
                    compare(left, right),
                    at.cmp(&after),
                    "{left} against {right}"
                );
            }
        }
        assert_eq!(compare("20220209-4", "20220209-04"), Ordering::Equal);
        assert_eq!(compare("20220209-04", "20220209-22"), Ordering::Less);
        assert_eq!(compare("a0", "a"), Ordering::Greater);
    }

    proptest! {
        #[test]
        fn the_order_is_transitive(texts in prop::array::uniform3("[a0-2._]{0,5}")) {
            let [one, two, three] = &texts;
            prop_assert_eq!(compare(one, two), compare(two, one).reverse());
            if compare(one, two).is_le() && compare(two, three).is_le() {
                prop_assert!(compare(one, three).is_le());
            }
        }
    }
}
