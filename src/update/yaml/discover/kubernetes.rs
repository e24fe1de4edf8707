//! Workloads: every kind of Kubernetes that holds a pod, and the fields of others that were named.

use super::{Finder, ResourceField, Search, Strategy};

/// Where the pod of each kind stands; a step is a key.
const PODS: [(&str, &[&str]); 9] = [
    ("Pod", &["spec"]),
    ("PodTemplate", &["template", "spec"]),
    ("ReplicationController", &["spec", "template", "spec"]),
    ("ReplicaSet", &["spec", "template", "spec"]),
    ("Deployment", &["spec", "template", "spec"]),
    ("StatefulSet", &["spec", "template", "spec"]),
    ("DaemonSet", &["spec", "template", "spec"]),
    ("Job", &["spec", "template", "spec"]),
    (
        "CronJob",
        &["spec", "jobTemplate", "spec", "template", "spec"],
    ),
];

/// Where images stand in a pod.
const IMAGES: [&[&str]; 4] = [
    &["initContainers", "[]", "image"],
    &["containers", "[]", "image"],
    &["ephemeralContainers", "[]", "image"],
    &["volumes", "[]", "image", "reference"],
];

/// The groups that these kinds come from; other groups use the same names for other things.
const GROUPS: [&str; 4] = ["", "apps", "batch", "extensions"];

pub(super) fn find(finder: &mut Finder<'_, '_>, search: &Search) {
    for root in finder.index.roots() {
        find_in(finder, root, search);
    }
}

fn find_in(finder: &mut Finder<'_, '_>, object: usize, search: &Search) {
    let index = &finder.index;
    let (Some(version), Some(kind)) = (
        index.text_of(object, "apiVersion"),
        index.text_of(object, "kind"),
    ) else {
        return;
    };
    let group = version.split_once('/').map_or("", |(group, _)| group);
    if kind.ends_with("List") {
        for item in index.follow(object, &["items", "[]"]) {
            find_in(finder, item, search);
        }
        return;
    }
    let mut references = Vec::new();
    if search.strategies.contains(&Strategy::Kubernetes) && GROUPS.contains(&group) {
        let pod = PODS.iter().find(|(name, _)| *name == kind);
        for pod in pod.iter().flat_map(|(_, path)| index.follow(object, path)) {
            let images = IMAGES.iter().flat_map(|path| index.follow(pod, path));
            references.extend(images);
        }
    }
    let named = search.resources.iter().filter(|it| it.is(kind, group));
    for ResourceField { path, .. } in named {
        references.extend(index.follow(object, &path.steps()));
    }
    for reference in references {
        finder.add_reference(Strategy::Kubernetes, reference);
    }
}

impl ResourceField {
    fn is(&self, kind: &str, group: &str) -> bool {
        match self.kind.split_once('.') {
            Some((name, of)) => name == kind && of == group,
            None => self.kind == kind,
        }
    }
}
