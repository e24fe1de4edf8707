//! What was probably meant.

/// The name nearest to `written`, where one is near enough to be a slip.
pub(super) fn nearest(
    written: &str,
    names: impl IntoIterator<Item = &'static str>,
) -> Option<&'static str> {
    let most = match written.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    let close = names.into_iter().filter_map(|name| {
        let distance = distance(&written.to_lowercase(), &name.to_lowercase());
        (distance <= most).then_some((distance, name))
    });
    close.min().map(|(_, name)| name)
}

/// How many letters have to be put in, taken out or changed to make one word the other.
fn distance(left: &str, right: &str) -> usize {
    let right = right.chars().collect::<Vec<_>>();
    // Nobody means a function of twenty letters with a word of a thousand.
    let mut row = (0..=right.len()).collect::<Vec<_>>();
    for (index, from) in left.chars().take(64).enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&right) {
            let changed = diagonal + usize::from(from != *to);
            diagonal = *cell;
            *cell = changed.min(before + 1).min(diagonal + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, expected: Option<&str>) {
        let names = [
            "upper",
            "lower",
            "trimSuffix",
            "FileChanges",
            "Objects",
            "Changes",
        ];
        assert_eq!(nearest(written, names), expected, "{written}");
    }

    #[test]
    fn the_nearest_name_is_suggested_if_it_is_near() {
        check("uper", Some("upper"));
        check("trimsuffix", Some("trimSuffix"));
        check("Object", Some("Objects"));
        check("Filechange", Some("FileChanges"));
        check("nonsense", None);
        check("", None);
    }
}
