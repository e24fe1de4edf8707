//! Writing markers: a comment behind every value of an image that a policy is to govern.
//!
//! Only comments are added. A comment that stands on the value's line already moves to a line of its
//! own above, for a marker must be the whole comment. Afterwards the file is parsed again: it has to
//! say what it said, and the new markers have to govern what they were written for, each by itself.

use std::ops::Range;

use super::{
    Field, PolicyKey, Setter, Style,
    discovery::{FoundField, FoundImage},
    formats,
    targets::Targets,
    yaml,
};
use crate::policy::{DigestReflection, PolicyName};

/// An image and the policy that it is to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The image.
    pub image: FoundImage,
    /// The policy.
    pub policy: PolicyName,
    /// Whether that policy gives a digest.
    pub digest: DigestReflection,
}

/// A file with markers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotated {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// The images that have markers now.
    pub marked: Vec<Mark>,
    /// Those that were left, and why.
    pub left: Vec<(FoundImage, String)>,
}

/// Writes a marker behind every field of every image; all fields of one image get theirs, or none.
pub fn annotate(path: &str, bytes: &[u8], marks: Vec<Mark>) -> Annotated {
    let mut annotated = Annotated {
        bytes: bytes.to_vec(),
        marked: Vec::new(),
        left: Vec::new(),
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        let reason = "the file is not UTF-8";
        let left = marks.into_iter().map(|it| (it.image, reason.to_owned()));
        annotated.left = left.collect();
        return annotated;
    };
    let mut insertions = Vec::new();
    for mark in marks {
        match comments(text, &mark) {
            Ok(comments) => {
                insertions.extend(comments);
                annotated.marked.push(mark);
            }
            Err(reason) => annotated.left.push((mark.image, reason)),
        }
    }
    let written = write(text, insertions);
    if annotated.marked.is_empty() {
        return annotated;
    }
    if prove(path, bytes, written.as_bytes(), &annotated.marked) {
        annotated.bytes = written.into_bytes();
    } else {
        let reason = "the file with its markers could not be proved to say the same";
        let left = std::mem::take(&mut annotated.marked).into_iter();
        let left = left.map(|mark| (mark.image, reason.to_owned()));
        annotated.left.extend(left);
    }
    annotated
}

/// Bytes that are replaced, with what is written there.
type Insertion = (Range<usize>, String);

/// The comments of one image, or why it gets none.
fn comments(text: &str, mark: &Mark) -> Result<Vec<Insertion>, String> {
    let Mark {
        image,
        policy,
        digest,
    } = mark;
    if let Some(obstacle) = &image.obstacle {
        return Err(obstacle.clone());
    }
    let reflects_none = *digest == DigestReflection::Never;
    if reflects_none && image.is_pinned() {
        return Err(format!(
            "it is pinned to a digest, and `{policy}` gives none (digestReflectionPolicy)"
        ));
    }
    let mut insertions = Vec::new();
    for field in &image.fields {
        // An empty digest stays empty under a policy without one; a marker would say nothing.
        if reflects_none && field.field == Field::Digest {
            continue;
        }
        insertions.extend(comment(text, field, &marker(policy, field.field))?);
    }
    Ok(insertions)
}

/// The marker of a field: `{"$imagepolicy": "apps:web:tag"}`.
pub fn marker(policy: &PolicyName, field: Field) -> String {
    let suffix = match field {
        Field::Image => "",
        Field::Tag => ":tag",
        Field::Name => ":name",
        Field::Digest => ":digest",
    };
    let setter = serde_json::Value::from(format!("{policy}{suffix}"));
    format!("# {{\"$imagepolicy\": {setter}}}")
}

/// Where the marker of one field is written.
fn comment(text: &str, field: &FoundField, marker: &str) -> Result<Vec<Insertion>, String> {
    let unclear = || "its place is unclear".to_owned();
    let value = text.get(field.span.clone()).ok_or_else(unclear)?;
    // Of a block, the marker stands behind the header.
    let end = match field.style {
        Style::Literal | Style::Folded => {
            field.span.start + value.find(['\n', '\r']).ok_or_else(unclear)?
        }
        Style::Plain | Style::Single | Style::Double | Style::Part | Style::Missing(_) => {
            field.span.end
        }
    };
    let rest = text.get(end..).ok_or_else(unclear)?;
    let rest = rest
        .split(['\n', '\r'])
        .next()
        .expect("a split has a first part");
    let behind = rest.trim_start_matches([' ', '\t']);
    let (comma, behind) = match behind.strip_prefix(',') {
        Some(behind) => (
            rest.len() - behind.len(),
            behind.trim_start_matches([' ', '\t']),
        ),
        None => (0, behind),
    };
    let at = end + comma;
    if behind.is_empty() {
        return Ok(vec![(at..at, format!(" {marker}"))]);
    }
    if !behind.starts_with('#') || matches!(field.style, Style::Literal | Style::Folded) {
        return Err("something else follows on its line".to_owned());
    }
    let line_start = text.get(..end).ok_or_else(unclear)?;
    let line_start = line_start.rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let line = text.get(line_start..).ok_or_else(unclear)?;
    let indentation = line.len() - line.trim_start_matches(' ').len();
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let above = format!("{}{}{newline}", " ".repeat(indentation), behind.trim_end());
    let line_end = end + rest.len();
    Ok(vec![
        (line_start..line_start, above),
        (at..line_end, format!(" {marker}")),
    ])
}

fn write(text: &str, mut insertions: Vec<Insertion>) -> String {
    insertions.sort_by_key(|(span, _)| (span.start, span.end));
    let mut written = String::with_capacity(text.len() + 64 * insertions.len());
    let mut copied = 0;
    for (span, insertion) in insertions {
        written.push_str(text.get(copied..span.start).unwrap_or_default());
        written.push_str(&insertion);
        copied = span.end.max(copied);
    }
    written.push_str(text.get(copied..).unwrap_or_default());
    written
}

/// Whether the file says what it said, and every marker governs what it was written for.
fn prove(path: &str, old: &[u8], new: &[u8], marks: &[Mark]) -> bool {
    if !yaml::differ_in_comments_alone(old, new) {
        return false;
    }
    let read = |bytes| formats::read(path, bytes, &Targets::default());
    let (before, after) = (read(old), read(new));
    let facts = |setter: &Setter| {
        let Setter {
            policy,
            field,
            value,
            path,
            ..
        } = setter;
        (policy.clone(), *field, value.clone(), path.clone())
    };
    let mut expected = before.setters.iter().map(facts).collect::<Vec<_>>();
    for Mark {
        image,
        policy,
        digest,
    } in marks
    {
        let reflects_none = *digest == DigestReflection::Never;
        let fields = image.fields.iter();
        let fields = fields.filter(|it| !(reflects_none && it.field == Field::Digest));
        expected.extend(fields.map(|field| {
            let policy = PolicyKey::Named(policy.clone());
            (policy, field.field, field.value.clone(), field.path.clone())
        }));
    }
    let mut found = after.setters.iter().map(facts).collect::<Vec<_>>();
    let sort = |facts: &mut Vec<_>| {
        facts.sort_by_key(|(policy, field, value, path)| {
            (
                PolicyKey::clone(policy),
                Field::clone(field),
                String::clone(value),
                String::clone(path),
            )
        });
    };
    sort(&mut expected);
    sort(&mut found);
    expected == found && before.findings.len() == after.findings.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::discovery::Search;

    /// Checks what becomes of a file whose images all follow `apps:web`.
    fn check(path: &str, text: &str, expected: &str) {
        check_with(DigestReflection::Never, path, text, expected, &[]);
    }

    fn check_with(
        digest: DigestReflection,
        path: &str,
        text: &str,
        expected: &str,
        reasons: &[&str],
    ) {
        let found = yaml::discover::find(path, text.as_bytes(), &Search::everywhere());
        let policy = PolicyName {
            namespace: "apps".to_owned(),
            name: "web".to_owned(),
        };
        let mark = |image| Mark {
            image,
            policy: policy.clone(),
            digest,
        };
        let marks = found.images.into_iter().map(mark).collect();
        let annotated = annotate(path, text.as_bytes(), marks);
        let written = String::from_utf8(annotated.bytes).unwrap();
        // `M` stands for the marker, `M:tag` for one with a suffix.
        let expected = expand(expected);
        assert_eq!(written, expected, "{text}");
        let left = annotated.left.iter().map(|(_, reason)| reason.as_str());
        assert_eq!(left.collect::<Vec<_>>(), reasons, "{text}");
    }

    fn expand(text: &str) -> String {
        let with = |suffix: &str| format!("# {{\"$imagepolicy\": \"apps:web{suffix}\"}}");
        let text = text.replace("M:tag", &with(":tag"));
        let text = text.replace("M:digest", &with(":digest"));
        text.replace("§", &with(""))
    }

    const POD: &str = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n";

    fn check_pod(containers: &str, expected: &str) {
        check(
            "pod.yaml",
            &format!("{POD}{containers}"),
            &format!("{POD}{expected}"),
        );
    }

    #[test]
    fn a_marker_stands_behind_the_value() {
        check_pod("  - image: a/b:1\n", "  - image: a/b:1 §\n");
        check_pod("  - image: \"a/b:1\"", "  - image: \"a/b:1\" §");
        check_pod(
            "  - image: 'a/b:1'\r\n    name: x\r\n",
            "  - image: 'a/b:1' §\r\n    name: x\r\n",
        );
        check_pod(
            "  - {image: a/b:1,\n     name: x}\n",
            "  - {image: a/b:1, §\n     name: x}\n",
        );
        check_pod(
            "  - image: >-\n      a/b:1\n",
            "  - image: >- §\n      a/b:1\n",
        );
        check_pod(
            "  - image: &x a/b:1\n  - image: *x\n",
            "  - image: &x a/b:1 §\n  - image: *x\n",
        );
    }

    #[test]
    fn a_comment_that_stands_there_moves_above() {
        check_pod(
            "  - name: x\n    image: a/b:1   # keep me\n    # and me\n",
            "  - name: x\n    # keep me\n    image: a/b:1 §\n    # and me\n",
        );
        check_pod(
            "  - image: a/b:1 # keep me\n",
            "  # keep me\n  - image: a/b:1 §\n",
        );
    }

    #[test]
    fn all_fields_of_an_image_get_a_marker_or_none() {
        let values = "image:\n  repository: a/b\n  tag: v1\n  digest: ''\n";
        check(
            "values.yaml",
            values,
            "image:\n  repository: a/b\n  tag: v1 M:tag\n  digest: ''\n",
        );
        check_with(
            DigestReflection::IfNotPresent,
            "values.yaml",
            values,
            "image:\n  repository: a/b\n  tag: v1 M:tag\n  digest: '' M:digest\n",
            &[],
        );
        let flow = "image:\n  repository: a/b\n  tag: v1\nother: {repository: a/b, tag: v1}\n";
        check_with(
            DigestReflection::Never,
            "values.yaml",
            flow,
            "image:\n  repository: a/b\n  tag: v1 M:tag\nother: {repository: a/b, tag: v1}\n",
            &["something else follows on its line"],
        );
    }

    #[test]
    fn a_pinned_image_needs_a_policy_that_gives_digests() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pod = format!("{POD}  - image: a/b:1@{digest}\n");
        let reason = "it is pinned to a digest, and `apps:web` gives none (digestReflectionPolicy)";
        check_with(DigestReflection::Never, "pod.yaml", &pod, &pod, &[reason]);
        let marked = pod.replace(&digest, &format!("{digest} §"));
        check_with(
            DigestReflection::IfNotPresent,
            "pod.yaml",
            &pod,
            &marked,
            &[],
        );
    }

    #[test]
    fn a_marked_file_has_nothing_left_to_mark() {
        let text = format!("{POD}  - image: a/b:1 # keep me\n");
        let found =
            |text: &str| yaml::discover::find("pod.yaml", text.as_bytes(), &Search::everywhere());
        let policy = PolicyName {
            namespace: "a".to_owned(),
            name: "b".to_owned(),
        };
        let mark = |image| Mark {
            image,
            policy: policy.clone(),
            digest: DigestReflection::Never,
        };
        let once = annotate(
            "pod.yaml",
            text.as_bytes(),
            found(&text).images.into_iter().map(mark).collect(),
        );
        let reading = formats::read("pod.yaml", &once.bytes, &Targets::default());
        assert_eq!(reading.setters.len(), 1);
        assert_eq!(reading.setters[0].value, "a/b:1");
    }
}
