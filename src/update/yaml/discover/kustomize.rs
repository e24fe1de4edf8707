//! Kustomizations: the entries of `images`, by the image that they put in place.

use super::{Finder, Missing, MissingField, Parts, Strategy};
use crate::update::Field;

const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

pub(super) fn find(finder: &mut Finder<'_, '_>, path: &str, missing: Missing) {
    let name = path.rsplit('/').next().unwrap_or(path);
    for root in finder.index.roots() {
        let index = &finder.index;
        let version = index.text_of(root, "apiVersion").unwrap_or_default();
        let kind = index.text_of(root, "kind").unwrap_or_default();
        let images = match (version.split('/').next().unwrap_or_default(), kind) {
            ("kustomize.config.k8s.io", _) => index.follow(root, &["images", "[]"]),
            // Flux's object of the same name.
            ("kustomize.toolkit.fluxcd.io", "Kustomization") => {
                index.follow(root, &["spec", "images", "[]"])
            }
            // Kustomize itself fills in what a file of its name leaves out.
            ("", "" | "Kustomization" | "Component") if FILES.contains(&name) => {
                index.follow(root, &["images", "[]"])
            }
            _ => continue,
        };
        for image in images {
            add(finder, image, missing);
        }
    }
}

fn add(finder: &mut Finder<'_, '_>, image: usize, missing: Missing) {
    let index = &finder.index;
    let name = index
        .text_of(image, "newName")
        .filter(|name| !name.is_empty())
        .or_else(|| index.text_of(image, "name"));
    let Some(repository) = name else {
        return;
    };
    let missing = match missing {
        Missing::Leave => Vec::new(),
        Missing::Add => missing_fields(finder, image),
    };
    let parts = Parts {
        registry: None,
        repository,
        tag: index.value(image, "newTag"),
        digest: index.value(image, "digest"),
        missing: &missing,
    };
    finder.add_parts(Strategy::Kustomize, parts);
}

/// What an entry does not say, and the value behind which it would stand.
///
/// Kustomize takes a digest before a tag, so that an entry with a digest misses nothing; `newName` is
/// never missing, for an entry without it means the image of its `name`.
fn missing_fields(finder: &Finder<'_, '_>, image: usize) -> Vec<MissingField> {
    let index = &finder.index;
    let has = |key: &str| index.entries(image).any(|(it, _)| it == key);
    // What is merged in may say it, and a suffix is added to a tag that somebody else chooses.
    if ["<<", "tagSuffix", "digest"].into_iter().any(has) {
        return Vec::new();
    }
    let behind = ["newTag", "newName", "name"]
        .into_iter()
        .find_map(|key| index.value(image, key));
    let Some(behind) = behind else {
        return Vec::new();
    };
    let mut missing = Vec::new();
    if !has("newTag") {
        missing.push((Field::Tag, "newTag"));
    } else if index.text_of(image, "newTag").is_none_or(str::is_empty) {
        // Whoever leaves it empty means the tag of the manifest.
        return Vec::new();
    }
    missing.push((Field::Digest, "digest"));
    let missing = missing.into_iter();
    missing
        .map(|(field, key)| MissingField { field, key, behind })
        .collect()
}
