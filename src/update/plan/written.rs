//! The text that a value is to hold.

use super::{Decided, Group};
use crate::{
    image::{Digest, ImageReference, Repository},
    policy::{DigestReflection, Selection},
    update::{Field, Origin, Setter, Style},
};

/// The value as it is compared: the line break that ends a block is not part of it.
pub(super) fn current_text(setter: &Setter) -> &str {
    match setter.style {
        Style::Literal | Style::Folded => setter.value.trim_end_matches('\n'),
        Style::Plain | Style::Single | Style::Double | Style::Part | Style::Missing(_) => {
            &setter.value
        }
    }
}

/// The text that `setter` is to hold.
pub(super) fn new_value(
    setter: &Setter,
    group: &Group<'_>,
    decided: &Decided,
    selection: &Selection,
) -> Result<String, String> {
    let known = || decided.digests.get(&selection.tag);
    let digest = || match reflection(setter, decided) {
        DigestReflection::Never => Ok(None),
        DigestReflection::IfNotPresent => kept_digest(setter, group, decided, selection)
            .or_else(|| known().cloned())
            .map(Some)
            .ok_or_else(|| "the digest is not known".to_owned()),
        DigestReflection::Always => known()
            .cloned()
            .map(Some)
            .ok_or_else(|| "the digest is not known".to_owned()),
    };
    Ok(match setter.field {
        Field::Tag => selection.tag.to_string(),
        Field::Name => decided.image.to_string(),
        // Flux writes an empty text where a policy reflects no digest; so do we.
        Field::Digest => digest()?
            .map(|digest| digest.to_string())
            .unwrap_or_default(),
        Field::Image => {
            let image = written_image(setter).unwrap_or_else(|| decided.image.clone());
            let reference = image.with_tag(selection.tag.clone());
            match digest()? {
                Some(digest) => reference.with_digest(digest).to_string(),
                None => reference.to_string(),
            }
        }
    })
}

/// Whether and when the policy's digest is written to `setter`.
///
/// What was discovered with a digest stays pinned, whatever the policy says: nobody asked for less.
pub(super) fn reflection(setter: &Setter, decided: &Decided) -> DigestReflection {
    let is_pinned = || match setter.field {
        Field::Image => current_text(setter).contains('@'),
        Field::Digest => !current_text(setter).is_empty(),
        Field::Tag | Field::Name => false,
    };
    match (decided.policy.digest, &setter.origin) {
        (DigestReflection::Never, Origin::Discovered(_)) if is_pinned() => {
            DigestReflection::IfNotPresent
        }
        (reflection, _) => reflection,
    }
}

/// The repository as a discovered value spells it: it was found by the place that it names, and only
/// its tag is old.
fn written_image(setter: &Setter) -> Option<Repository> {
    let is_discovered = matches!(setter.origin, Origin::Discovered(_));
    let reference = current_text(setter).parse::<ImageReference>();
    let reference = reference.ok().filter(|_| is_discovered)?;
    Some(reference.repository().clone())
}

/// The digest that already stands in Git for the selected tag; Git is the memory of
/// `IfNotPresent`.
pub(super) fn kept_digest(
    setter: &Setter,
    group: &Group<'_>,
    decided: &Decided,
    selection: &Selection,
) -> Option<Digest> {
    match setter.field {
        Field::Image => {
            let reference = current_text(setter).parse::<ImageReference>().ok()?;
            let same_tag = reference.tag() == Some(&selection.tag);
            let same = same_tag && *reference.repository() == decided.image;
            reference.digest().filter(|_| same).cloned()
        }
        Field::Digest => {
            let tags = group.current_tags(setter, &decided.image);
            let same_tag = matches!(tags.as_slice(), [Some(tag)] if tag == selection.tag.as_str());
            current_text(setter).parse().ok().filter(|_| same_tag)
        }
        Field::Tag | Field::Name => None,
    }
}
