//! `spec.update.discover`: which values follow a policy without a marker.

use std::collections::BTreeSet;

use super::{Config, Document, Documents};
use crate::{
    crd::{DiscoverField, DiscoverMissing, DiscoverSpec, DiscoverStrategy, ImageUpdateAutomation},
    policy::PolicyName,
    update::{
        discovery::{Discovery, Missing, ResourceField, Search, Strategy},
        targets::Targets,
    },
};

/// What governs values besides markers; nothing where that is faulty, which has been told.
pub(super) fn build(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    config: &Config,
    policies: &BTreeSet<PolicyName>,
) -> Option<Targets> {
    let spec = document.value.spec.update.as_ref();
    let Some(discover) = spec.and_then(|it| it.discover.as_ref()) else {
        return Some(Targets::default());
    };
    let search = search(documents, document, discover)?;
    Some(Targets {
        discovery: Discovery {
            search,
            policies: config.assignments(|name| policies.contains(name)),
        },
        ..Targets::default()
    })
}

fn search(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    discover: &DiscoverSpec,
) -> Option<Search> {
    let mut resources = Vec::new();
    for (index, DiscoverField { kind, path }) in discover.fields.iter().enumerate() {
        match path.parse() {
            Ok(path) => resources.push(ResourceField {
                kind: kind.clone(),
                path,
            }),
            Err(error) => {
                let pointer = format!("/spec/update/discover/fields/{index}/path");
                let message = format!("`path`: {error}");
                document.fault(&mut documents.faults, &pointer, message, None);
            }
        }
    }
    let is_whole = resources.len() == discover.fields.len();
    is_whole.then(|| Search {
        strategies: discover.strategies.iter().copied().map(strategy).collect(),
        resources,
        missing: match discover.missing {
            DiscoverMissing::Leave => Missing::Leave,
            DiscoverMissing::Add => Missing::Add,
        },
    })
}

fn strategy(strategy: DiscoverStrategy) -> Strategy {
    match strategy {
        DiscoverStrategy::Kubernetes => Strategy::Kubernetes,
        DiscoverStrategy::Kustomize => Strategy::Kustomize,
        DiscoverStrategy::HelmValues => Strategy::HelmValues,
        DiscoverStrategy::Compose => Strategy::Compose,
    }
}
