//! Compose files: the image of each service.

use super::{Finder, Strategy};

pub(super) fn find(finder: &mut Finder<'_, '_>, path: &str) {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_compose = name.contains("compose");
    for root in finder.index.roots() {
        let index = &finder.index;
        let is_object = index.value(root, "apiVersion").is_some();
        let is_stack = index.value(root, "version").is_some();
        if is_object || !(is_compose || is_stack) {
            continue;
        }
        let services = index.follow(root, &["services"]);
        let services = services.iter().flat_map(|node| index.entries(*node));
        let images = services.filter_map(|(_, service)| index.value(service, "image"));
        for image in images.collect::<Vec<_>>() {
            finder.add_reference(Strategy::Compose, image);
        }
    }
}
