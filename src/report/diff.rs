//! Unified diffs.

use std::collections::BTreeMap;

use similar::TextDiff;

use crate::{parallel, update::git::SourceFile};

/// The unified diff from `before` to `after`, file by file; files that stand only in one of them
/// are left out.
pub fn unified(before: &[SourceFile], after: &[SourceFile]) -> String {
    let old = before
        .iter()
        .map(|file| (&file.path, &file.bytes))
        .collect::<BTreeMap<_, _>>();
    let new = after
        .iter()
        .map(|file| (&file.path, &file.bytes))
        .collect::<BTreeMap<_, _>>();
    let pairs = new.into_iter();
    let pairs = pairs.filter_map(|(path, new)| Some((path, *old.get(path)?, new)));
    let diffs = parallel::map(&pairs.collect::<Vec<_>>(), |(path, old, new)| {
        let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
        let diff = TextDiff::from_lines(old.as_ref(), new.as_ref());
        let (old, new) = (format!("a/{path}"), format!("b/{path}"));
        diff.unified_diff().header(&old, &new).to_string()
    });
    diffs.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_the_lines_that_change() {
        let file = |bytes: &str| {
            vec![SourceFile {
                path: "a.yaml".into(),
                bytes: bytes.into(),
            }]
        };
        let text = unified(&file("x: 1\ny: 2\n"), &file("x: 1\ny: 3\n"));
        assert_eq!(
            text,
            "--- a/a.yaml\n+++ b/a.yaml\n@@ -1,2 +1,2 @@\n x: 1\n-y: 2\n+y: 3\n"
        );
    }
}
