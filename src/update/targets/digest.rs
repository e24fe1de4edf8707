//! Kustomize takes a `digest` before a `newTag`: a new tag beside an old digest would say one thing
//! and deploy another.

use crate::update::{
    Field, Finding, Problem, formats,
    view::{Step, View},
    yaml::Reading,
};

/// Takes out every tag of a kustomization beside which a digest stands that does not follow the
/// same policy, and says so.
pub(super) fn refuse_stale(path: &str, bytes: &[u8], reading: &mut Reading) {
    let is_tag = |field: Field, path: &str| field == Field::Tag && path.ends_with(".newTag");
    if !reading.setters.iter().any(|it| is_tag(it.field, &it.path)) {
        return;
    }
    let Ok(Some(view)) = formats::view(path, bytes) else {
        return;
    };
    let digests = digests_beside_tags(&view);
    let mut stale = Vec::new();
    for tag in reading
        .setters
        .iter()
        .filter(|it| is_tag(it.field, &it.path))
    {
        let beside = digests.iter().find(|(start, _)| *start == tag.span.start);
        let Some((_, digest)) = beside else {
            continue;
        };
        let Some(text) = view.text(*digest) else {
            continue;
        };
        let follows = reading
            .setters
            .iter()
            .any(|it| it.span == text.span && it.policy == tag.policy && it.field == Field::Digest);
        if !follows {
            stale.push((tag.group, tag.policy.clone()));
            let (line, column) = view
                .nodes
                .get(*digest)
                .map_or((tag.line, tag.column), |it| (it.line, it.column));
            reading.findings.push(Finding {
                line,
                column,
                problem: Problem::StaleDigest,
            });
        }
    }
    if !stale.is_empty() {
        reading
            .setters
            .retain(|it| !stale.contains(&(it.group, it.policy.clone())));
        reading
            .findings
            .sort_by_key(|finding| (finding.line, finding.column));
    }
}

/// Where each `newTag` begins that has a `digest` beside it, and the digest's node.
fn digests_beside_tags(view: &View) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (number, node) in view.nodes.iter().enumerate() {
        let is_tag = matches!(&node.step, Step::Key(key) if key == "newTag");
        let digest = node.parent.filter(|_| is_tag);
        let Some(digest) = digest.and_then(|images| view.get(images, "digest")) else {
            continue;
        };
        let is_empty = |value: &str| matches!(value, "" | "~" | "null");
        if let (Some(tag), Some(text)) = (view.text(number), view.text(digest))
            && !is_empty(&text.value)
        {
            found.push((tag.span.start, digest));
        }
    }
    found
}
