//! "Did you mean …": the known word nearest to one that is unknown.

/// The candidate that takes the fewest changes and swaps of letters to reach from `word`, if it takes no
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

/// How many letters have to be put in, taken out, changed or swapped with their neighbour; nobody
/// means a known word with one of 64 letters.
fn distance(left: &str, right: &str) -> usize {
    let left = left.chars().take(64).collect::<Vec<_>>();
    let right = right.chars().take(64).collect::<Vec<_>>();
    let width = right.len() + 1;
    let mut cells = vec![0; (left.len() + 1) * width];
    for (at, cell) in cells.iter_mut().enumerate() {
        // The first row and the first column; the others are overwritten.
        *cell = at / width + at % width;
    }
    for (row, from) in left.iter().enumerate() {
        for (column, to) in right.iter().enumerate() {
            let at = (row + 1) * width + column + 1;
            let changed = cells[at - width - 1] + usize::from(from != to);
            let mut least = changed.min(cells[at - width] + 1).min(cells[at - 1] + 1);
            let is_swap =
                row > 0 && column > 0 && left[row - 1] == *to && *from == right[column - 1];
            if is_swap {
                least = least.min(cells[at - 2 * width - 2] + 1);
            }
            cells[at] = least;
        }
    }
    cells.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_changes_and_swaps() {
        let check =
            |left, right, expected| assert_eq!(distance(left, right), expected, "{left} {right}");
        check("", "", 0);
        check("", "abc", 3);
        check("kitten", "sitting", 3);
        check("flaw", "lawn", 2);
        check("wbe", "web", 1);
        check("same", "same", 0);
    }
}
