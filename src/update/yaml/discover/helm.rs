//! Helm values: mappings with a repository and a tag, and keys that say the same side by side.
//!
//! No schema says where a chart keeps its images. The spellings here are those that charts in use
//! agree on; what is spelt in another way is not found, and a marker or a rule says it.

use super::{Finder, Parts, Strategy};

/// How the repository is called in a mapping that is an image.
const REPOSITORY: [&str; 3] = ["repository", "name", "image"];

pub(super) fn find(finder: &mut Finder<'_, '_>, path: &str) {
    let name = path.rsplit('/').next().unwrap_or(path);
    for root in finder.index.roots() {
        let index = &finder.index;
        let version = index.text_of(root, "apiVersion");
        let kind = index.text_of(root, "kind");
        let values = match (version, kind) {
            (Some(version), Some("HelmRelease"))
                if version.starts_with("helm.toolkit.fluxcd.io/") =>
            {
                index.follow(root, &["spec", "values"])
            }
            (Some(version), Some("Application")) if version.starts_with("argoproj.io/") => {
                let mut values = index.follow(root, &["spec", "source", "helm", "valuesObject"]);
                let sources = ["spec", "sources", "[]", "helm", "valuesObject"];
                values.extend(index.follow(root, &sources));
                values
            }
            (None, _) | (_, None) if name.contains("values") => vec![root],
            _ => continue,
        };
        for values in values {
            find_in_values(finder, values);
        }
    }
}

fn find_in_values(finder: &mut Finder<'_, '_>, values: usize) {
    let index = &finder.index;
    let global = |path: &[&str]| {
        let found = index.follow(values, path);
        found
            .first()
            .and_then(|node| index.text(*node))
            .filter(|text| !text.is_empty())
    };
    let registry =
        global(&["global", "imageRegistry"]).or_else(|| global(&["global", "image", "registry"]));
    let mut waiting = vec![(values, "")];
    while let Some((node, key)) = waiting.pop() {
        let index = &finder.index;
        if index.is_mapping(node) {
            waiting.extend(index.entries(node).map(|(key, value)| (value, key)));
            add_mapping(finder, node, key, registry);
            add_flat(finder, node, registry);
        } else {
            // The items of a list are called what the list is called: `images`.
            waiting.extend(index.items(node).map(|item| (item, key)));
        }
    }
}

/// `image: {registry, repository, tag, digest}`.
fn add_mapping(finder: &mut Finder<'_, '_>, mapping: usize, key: &str, global: Option<&str>) {
    let index = &finder.index;
    let is_image = is_image(key);
    let spelling = REPOSITORY
        .iter()
        .filter(|spelling| is_image || **spelling == "repository");
    let mut repositories = spelling.filter_map(|spelling| index.text_of(mapping, spelling));
    let Some(repository) = repositories.next() else {
        return;
    };
    // Grafana's charts keep the bare hexadecimal digits here; a new tag would not fit them.
    let sha = ["sha", "sha256"]
        .iter()
        .find_map(|key| index.text_of(mapping, key));
    if sha.is_some_and(|sha| !sha.is_empty()) {
        return;
    }
    let own = ["registry", "imageRegistry"]
        .iter()
        .find_map(|key| index.text_of(mapping, key));
    let tag = ["tag", "version"].iter().find_map(|key| {
        index
            .value(mapping, key)
            .filter(|_| is_image || *key == "tag")
    });
    let parts = Parts {
        registry: global.filter(|_| !has_host(repository)).or(own),
        repository,
        tag,
        digest: index.value(mapping, "digest"),
        missing: &[],
    };
    finder.add_parts(Strategy::HelmValues, parts);
}

/// `image: repository:tag`, and `image` or `imageName` beside `imageTag`; with any prefix, as in
/// `sidecarImage` beside `sidecarImageTag`.
fn add_flat(finder: &mut Finder<'_, '_>, mapping: usize, global: Option<&str>) {
    let entries = finder.index.entries(mapping).collect::<Vec<_>>();
    for (key, node) in entries {
        let index = &finder.index;
        let Some(prefix) = image_prefix(key) else {
            continue;
        };
        let Some(repository) = index.text(node) else {
            continue;
        };
        let beside = |word: &str| {
            let (head, tail) = if prefix.is_empty() {
                ("image".to_owned(), word)
            } else {
                (format!("{prefix}Image"), word)
            };
            index.value(mapping, &format!("{head}{tail}"))
        };
        let plain = |word: &str| {
            let is_alone = prefix.is_empty();
            is_alone.then(|| index.value(mapping, word)).flatten()
        };
        let tag = beside("Tag")
            .or_else(|| beside("Version"))
            .or_else(|| plain("tag"));
        let digest = beside("Digest").or_else(|| plain("digest"));
        if tag.is_none() && digest.is_none() {
            finder.add_reference(Strategy::HelmValues, node);
            continue;
        }
        let own = beside("Registry").and_then(|node| index.text(node));
        let parts = Parts {
            registry: global.filter(|_| !has_host(repository)).or(own),
            repository,
            tag,
            digest,
            missing: &[],
        };
        finder.add_parts(Strategy::HelmValues, parts);
    }
}

/// What stands before `image` in a key that names one: nothing in `image` and `imageName`,
/// `sidecar` in `sidecarImage` and `sidecarImageRepository`.
fn image_prefix(key: &str) -> Option<&str> {
    let stem = ["Repository", "Name"]
        .iter()
        .find_map(|ending| key.strip_suffix(ending).filter(|stem| is_image(stem)))
        .unwrap_or(key);
    match stem {
        "image" => Some(""),
        _ => stem
            .strip_suffix("Image")
            .filter(|prefix| !prefix.is_empty()),
    }
}

/// Whether a key says that its value is an image.
fn is_image(key: &str) -> bool {
    key == "image" || key == "images" || key.ends_with("Image") || key.ends_with("Images")
}

fn has_host(repository: &str) -> bool {
    let host = repository.split_once('/').map(|(host, _)| host);
    host.is_some_and(|host| host.contains(['.', ':']))
}
