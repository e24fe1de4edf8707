//! Parts of a text that patterns found: replacing them, and the proof.

use super::{Lines, page, view};
use crate::update::{Edit, Style, targets::Pattern, view::Made, yaml::SpliceError};

/// Replaces `parts`, proves it, and carries `whole`, the other edits of the file, to where they
/// stand now.
pub(super) fn splice(
    path: &str,
    bytes: &[u8],
    (mut parts, mut whole): (Vec<Edit>, Vec<Edit>),
    patterns: &[Pattern],
) -> Result<(Vec<u8>, Vec<Edit>), SpliceError> {
    let text =
        page::text_of(bytes).map_err(|problem| SpliceError::Unparsable { line: 1, problem })?;
    parts.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let mut spliced = String::with_capacity(text.len() + 64 * parts.len());
    let mut copied = 0;
    for edit in &parts {
        let (start, end) = (edit.span.start, edit.span.end);
        let is_taken = whole
            .iter()
            .any(|it| it.span.start < end && start < it.span.end);
        if start < copied || is_taken {
            return Err(SpliceError::Overlap { start, end });
        }
        if text.get(edit.span.clone()) != Some(edit.old.as_str()) {
            return Err(SpliceError::Stale {
                start,
                end,
                old: edit.old.clone(),
            });
        }
        if !page::is_bare(&edit.new, Style::Plain) {
            return Err(SpliceError::Unwritable {
                line: Lines::new(text).place(start).0,
                reason: "a pattern's value is letters, digits and `._-/:@+`, and not empty",
            });
        }
        spliced.push_str(text.get(copied..start).unwrap_or_default());
        spliced.push_str(&edit.new);
        copied = end;
    }
    spliced.push_str(text.get(copied..).unwrap_or_default());
    prove_patterns(text, &spliced, &parts, patterns)?;
    prove_structure(path, text, &spliced, &parts)?;
    for edit in &mut whole {
        let shift = |at: usize| shifted(at, &parts);
        edit.span = shift(edit.span.start)..shift(edit.span.end);
    }
    Ok((spliced.into_bytes(), whole))
}

/// Where a byte of the old text stands in the new one.
fn shifted(at: usize, parts: &[Edit]) -> usize {
    let before = parts.partition_point(|edit| edit.span.start < at);
    let before = parts.get(..before).unwrap_or_default().iter();
    let (added, removed) = before.fold((0, 0), |(added, removed), edit| {
        (added + edit.new.len(), removed + edit.span.len())
    });
    (at + added).saturating_sub(removed)
}

/// Every pattern finds the new values where it found the old ones, and all others as they were.
fn prove_patterns(
    before: &str,
    after: &str,
    parts: &[Edit],
    patterns: &[Pattern],
) -> Result<(), SpliceError> {
    for pattern in patterns {
        let old = pattern.find(before).unwrap_or_default();
        let new = pattern.find(after).unwrap_or_default();
        let expected = old.iter().map(|span| {
            let start = shifted(span.start, parts);
            let edit = parts.iter().find(|edit| edit.span == *span);
            start..start + edit.map_or(span.len(), |edit| edit.new.len())
        });
        if !expected.eq(new.iter().cloned()) {
            return Err(SpliceError::Proof {
                line: 1,
                what: format!(
                    "the pattern `{}` does not find the new value in its place",
                    pattern.as_str()
                ),
            });
        }
    }
    Ok(())
}

/// Where the file has a parser, it sees the same tree, in which only the parts are different.
fn prove_structure(
    path: &str,
    before: &str,
    after: &str,
    parts: &[Edit],
) -> Result<(), SpliceError> {
    let failed = |line: usize, what: &str| SpliceError::Proof {
        line,
        what: what.to_owned(),
    };
    // What no parser could read before is text, and stays text.
    let Ok(Some(old)) = view(path, before.as_bytes()) else {
        return Ok(());
    };
    let new = match view(path, after.as_bytes()) {
        Ok(Some(new)) => new,
        Ok(None) => return Ok(()),
        Err(finding) => {
            return Err(failed(
                finding.line,
                "the file could not be parsed any more",
            ));
        }
    };
    let made = parts.iter().map(|edit| Made {
        span: edit.span.clone(),
        written: &edit.new,
        value: None,
    });
    old.prove(before, (&new, after), &made.collect::<Vec<_>>())
        .map_err(|(line, what)| failed(line, what))
}
