//! "Did you mean …": the known word nearest to one that is unknown.

/// The candidate that takes the fewest single-letter changes to reach from `word`, if it takes no
/// more than a third of its letters; letter case counts for nothing.
///
/// ```
/// use tagwright::nearest::nearest;
///
/// assert_eq!(nearest("intervall", ["image", "interval"]), Some("interval"));
/// assert_eq!(nearest("foo", ["image", "interval"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The Levenshtein distance, one row at a time; nobody means a known word with one of 64 letters.
fn distance(left: &str, right: &str) -> usize {
    let right = right.chars().collect::<Vec<_>>();
    let mut row = (0..=right.len()).collect::<Vec<_>>();
    for (index, left) in left.chars().take(64).enumerate() {
        let mut diagonal = index;
        let mut last = index + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(&right) {
            let cost = if left == *right {
                diagonal
            } else {
                1 + diagonal.min(last).min(*cell)
            };
            diagonal = std::mem::replace(cell, cost);
            last = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_letter_changes() {
        let check =
            |left, right, expected| assert_eq!(distance(left, right), expected, "{left} {right}");
        check("", "", 0);
        check("", "abc", 3);
        check("kitten", "sitting", 3);
        check("flaw", "lawn", 2);
        check("same", "same", 0);
    }
}
