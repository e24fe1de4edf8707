//! Kustomizations: the entries of `images`, by the image that they put in place.

use super::{Finder, Parts, Strategy};

const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

pub(super) fn find(finder: &mut Finder<'_, '_>, path: &str) {
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
            ("", "") if FILES.contains(&name) => index.follow(root, &["images", "[]"]),
            _ => continue,
        };
        for image in images {
            add(finder, image);
        }
    }
}

fn add(finder: &mut Finder<'_, '_>, image: usize) {
    let index = &finder.index;
    let name = index
        .text_of(image, "newName")
        .filter(|name| !name.is_empty())
        .or_else(|| index.text_of(image, "name"));
    let Some(repository) = name else {
        return;
    };
    let parts = Parts {
        registry: None,
        repository,
        tag: index.value(image, "newTag"),
        digest: index.value(image, "digest"),
    };
    finder.add_parts(Strategy::Kustomize, parts);
}
