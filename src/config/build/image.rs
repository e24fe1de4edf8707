//! `ImageRepository` and `ImagePolicy`.

mod constraint;

use std::time::Duration;

use super::{Config, Document, Documents, ObjectKey};
use crate::{
    config::{Connection, ImageSource, NamedPolicy, duration},
    crd::{
        AccessFrom, DigestReflectionPolicy, FilterTags, GuardName, ImagePolicy, ImageRepository,
        KeyKindName, NumericalPolicy, OrderDirection, PolicyChoice, RegistryProvider,
    },
    egress::PlainHttp,
    policy::{
        DigestReflection, Direction, Downgrade, Exclusions, Guard, KeyKind, Keys, Order, Policy,
        PolicyError, PolicyName, SortKey, Strictness, TagFilter,
    },
    secret::Authority,
};

/// The annotation that allows a token service on another host.
const TOKEN_REALMS: &str = "tagwright.dev/token-realms";
/// The shortest time that a scan is given, as in Flux.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn build(documents: &mut Documents, config: &mut Config) {
    let repositories = std::mem::take(&mut documents.repositories);
    let mut exclusions = std::collections::BTreeMap::new();
    for document in &repositories {
        if let Some(source) = source(documents, document) {
            config.images.insert(document.key.clone(), source);
        }
        let list = document
            .value
            .spec
            .exclusion_list
            .clone()
            .unwrap_or_default();
        match Exclusions::new(&list) {
            Ok(compiled) => {
                exclusions.insert(document.key.clone(), compiled);
            }
            Err(error) => policy_fault(documents, document, "/spec/exclusionList", &error),
        }
    }
    for document in std::mem::take(&mut documents.policies) {
        let image = followed(documents, &document, &repositories);
        let excluded = exclusions.get(&image).cloned().unwrap_or_default();
        if let Some(policy) = policy(documents, &document, excluded) {
            let name = PolicyName {
                namespace: document.key.namespace.clone(),
                name: document.key.name.clone(),
            };
            let suspended = document.value.spec.suspend;
            config.policies.insert(
                name.clone(),
                NamedPolicy {
                    name,
                    image,
                    policy,
                    suspended,
                },
            );
        }
        let labels = document.value.metadata.labels.clone().unwrap_or_default();
        documents.policy_labels.insert(document.key, labels);
    }
}

fn source(documents: &mut Documents, document: &Document<ImageRepository>) -> Option<ImageSource> {
    let spec = &document.value.spec;
    warn_of_cluster_only_fields(documents, document);
    let image = match spec.image.parse() {
        Ok(image) => Some(image),
        Err(error) => {
            let message = format!("`spec.image`: {error}");
            let hint = "write it like `ghcr.io/acme/web`";
            document.fault(&mut documents.faults, "/spec/image", message, Some(hint));
            None
        }
    };
    let local = |reference: &Option<crate::crd::LocalReference>| {
        reference.as_ref().map(|it| it.name.clone())
    };
    let [credentials, certificates, proxy] = [
        ("/spec/secretRef", local(&spec.secret_ref)),
        ("/spec/certSecretRef", local(&spec.cert_secret_ref)),
        ("/spec/proxySecretRef", local(&spec.proxy_secret_ref)),
    ]
    .map(|(pointer, name)| documents.secret(document, pointer, name.as_deref()));
    let timeout = spec.timeout.as_deref().unwrap_or(&spec.interval);
    let connection = Connection {
        credentials,
        certificates,
        proxy,
        token_realms: token_realms(documents, document),
        plain_http: if spec.insecure {
            PlainHttp::Allow
        } else {
            PlainHttp::Refuse
        },
        timeout: duration::parse(timeout)?.max(MIN_TIMEOUT),
    };
    let suspended = spec.suspend;
    Some(ImageSource {
        key: document.key.clone(),
        image: image?,
        connection,
        suspended,
    })
}

fn warn_of_cluster_only_fields(documents: &mut Documents, document: &Document<ImageRepository>) {
    let spec = &document.value.spec;
    if spec.provider != RegistryProvider::Generic {
        let message = "cloud log-in is not built in yet".to_owned();
        let hint = "the docker configuration of the user who runs tagwright is used instead";
        document.fault(
            &mut documents.warnings,
            "/spec/provider",
            message,
            Some(hint),
        );
    }
    if spec.service_account_name.is_some() {
        let message = "pull secrets of a ServiceAccount are known to a cluster only".to_owned();
        let hint = "name the pull secret in `secretRef`";
        let pointer = "/spec/serviceAccountName";
        document.fault(&mut documents.warnings, pointer, message, Some(hint));
    }
}

fn token_realms(documents: &mut Documents, document: &Document<ImageRepository>) -> Vec<Authority> {
    let annotations = document.value.metadata.annotations.as_ref();
    let Some(list) = annotations.and_then(|it| it.get(TOKEN_REALMS)) else {
        return Vec::new();
    };
    let mut realms = Vec::new();
    for host in list.split([',', ' ']).filter(|host| !host.is_empty()) {
        match host.parse() {
            Ok(realm) => realms.push(realm),
            Err(error) => {
                let pointer = format!("/metadata/annotations/{}", TOKEN_REALMS.replace('/', "~1"));
                let message = format!("annotation `{TOKEN_REALMS}`: {error}");
                let hint = "write hosts such as `auth.example.com`, separated by commas";
                document.fault(&mut documents.faults, &pointer, message, Some(hint));
            }
        }
    }
    realms
}

/// The key of the ImageRepository that a policy refers to, which must exist and allow it.
fn followed(
    documents: &mut Documents,
    document: &Document<ImagePolicy>,
    repositories: &[Document<ImageRepository>],
) -> ObjectKey {
    let reference = &document.value.spec.image_repository_ref;
    let namespace = reference.namespace.clone();
    let key = ObjectKey {
        namespace: namespace.unwrap_or_else(|| document.key.namespace.clone()),
        name: reference.name.clone(),
    };
    let pointer = "/spec/imageRepositoryRef/name";
    documents.dangling(document, pointer, "ImageRepository", &key);
    let target = repositories.iter().find(|it| it.key == key);
    if let Some(target) = target
        && key.namespace != document.key.namespace
        && !is_open_to(
            documents,
            target.value.spec.access_from.as_ref(),
            &document.key.namespace,
        )
    {
        let own = &document.key.namespace;
        let message = format!("ImageRepository `{key}` does not allow namespace `{own}`");
        let hint = "add the namespace's labels to `spec.accessFrom` of the ImageRepository, \
                    and the v1/Namespace document to the files";
        document.fault(&mut documents.faults, pointer, message, Some(hint));
    }
    key
}

fn is_open_to(documents: &Documents, rules: Option<&AccessFrom>, namespace: &str) -> bool {
    let Some(rules) = rules else { return false };
    let labels = documents.namespace_labels.get(namespace);
    rules.namespace_selectors.iter().any(|selector| {
        let mut wanted = selector.match_labels.iter();
        wanted.all(|(key, value)| labels.and_then(|it| it.get(key)) == Some(value))
    })
}

fn policy(
    documents: &mut Documents,
    document: &Document<ImagePolicy>,
    exclusions: Exclusions,
) -> Option<Policy> {
    let spec = &document.value.spec;
    check_interval(documents, document);
    let constraints = constraint::constraints(documents, document);
    let Some((order, pointer)) = order(&spec.policy) else {
        let message = "`spec.policy` chooses nothing".to_owned();
        let hint =
            "add one of: semver, alphabetical, numerical, natural, calver, loose, keys, newest";
        document.fault(&mut documents.faults, "/spec/policy", message, Some(hint));
        return None;
    };
    let FilterTags { pattern, extract } = spec.filter_tags.clone().unwrap_or_default();
    let filter = match &order {
        Ok(Order::Keys(_)) if !extract.is_empty() => {
            let message = "`spec.filterTags.extract` and `spec.policy.keys` exclude each other";
            let hint = "the keys name the groups; remove `extract`";
            let pointer = "/spec/filterTags/extract";
            document.fault(
                &mut documents.faults,
                pointer,
                message.to_owned(),
                Some(hint),
            );
            return None;
        }
        Ok(Order::Keys(keys)) => TagFilter::with_keys(&pattern, keys),
        _ => TagFilter::new(&pattern, &extract),
    };
    let mut checked = |error: &PolicyError, pointer: &str| {
        policy_fault(documents, document, pointer, error);
    };
    let order = order.inspect_err(|error| checked(error, pointer)).ok();
    let filter = filter
        .inspect_err(|error| checked(error, "/spec/filterTags"))
        .ok();
    let guards_off = spec.guards_off.iter().map(|guard| match guard {
        GuardName::ShrunkList => Guard::ShrunkList,
        GuardName::MixedSchemes => Guard::MixedSchemes,
        GuardName::DigitTags => Guard::DigitTags,
    });
    Some(Policy {
        exclusions,
        filter: filter?,
        order: order?,
        constraints: constraints?,
        guards_off: guards_off.collect(),
        downgrade: if spec.allow_downgrade {
            Downgrade::Allow
        } else {
            Downgrade::Refuse
        },
        digest: match spec.digest_reflection_policy {
            DigestReflectionPolicy::Never => DigestReflection::Never,
            DigestReflectionPolicy::IfNotPresent => DigestReflection::IfNotPresent,
            DigestReflectionPolicy::Always => DigestReflection::Always,
        },
    })
}

/// The order that a policy chooses, by Flux's precedence, and where it says so.
fn order(choice: &PolicyChoice) -> Option<(Result<Order, PolicyError>, &'static str)> {
    Some(if let Some(semver) = &choice.semver {
        (Order::semver(&semver.range), "/spec/policy/semver/range")
    } else if let Some(order) = &choice.alphabetical {
        let order = Order::alphabetical(direction(order.order));
        (Ok(order), "/spec/policy/alphabetical")
    } else if let Some(NumericalPolicy { order, strict }) = &choice.numerical {
        let strictness = if *strict {
            Strictness::Strict
        } else {
            Strictness::Lenient
        };
        let order = Order::Numerical(direction(*order), strictness);
        (Ok(order), "/spec/policy/numerical")
    } else if let Some(order) = &choice.natural {
        let order = Order::natural(direction(order.order));
        (Ok(order), "/spec/policy/natural")
    } else if let Some(calver) = &choice.calver {
        (Order::calver(&calver.format), "/spec/policy/calver/format")
    } else if let Some(loose) = &choice.loose {
        (Order::loose(&loose.range), "/spec/policy/loose/range")
    } else if let Some(keys) = &choice.keys {
        let keys = keys.iter().map(|key| SortKey {
            group: key.group.clone(),
            kind: match key.kind {
                KeyKindName::Number => KeyKind::Number,
                KeyKindName::Semver => KeyKind::Semver,
                KeyKindName::Text => KeyKind::Text,
                KeyKindName::Natural => KeyKind::Natural,
            },
            direction: direction(key.order),
        });
        let keys = Keys::new(keys.collect());
        (keys.map(Order::Keys), "/spec/policy/keys")
    } else {
        let clock = choice.newest.as_ref()?.clock;
        (
            Ok(Order::Newest(constraint::clock(clock))),
            "/spec/policy/newest",
        )
    })
}

/// The two rules that Flux's CRD states in CEL, in its words.
fn check_interval(documents: &mut Documents, document: &Document<ImagePolicy>) {
    let spec = &document.value.spec;
    let always = spec.digest_reflection_policy == DigestReflectionPolicy::Always;
    let message = match (spec.interval.is_some(), always) {
        (true, false) => {
            "spec.interval is only accepted when spec.digestReflectionPolicy is set to 'Always'"
        }
        (false, true) => {
            "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'"
        }
        _ => return,
    };
    let pointer = if always {
        "/spec/digestReflectionPolicy"
    } else {
        "/spec/interval"
    };
    document.fault(&mut documents.faults, pointer, message.to_owned(), None);
}

fn direction(order: OrderDirection) -> Direction {
    match order {
        OrderDirection::Asc => Direction::Ascending,
        OrderDirection::Desc => Direction::Descending,
    }
}

fn policy_fault<T>(
    documents: &mut Documents,
    document: &Document<T>,
    pointer: &str,
    error: &PolicyError,
) {
    let hint = error.hint();
    document.fault(
        &mut documents.faults,
        pointer,
        format!("{error}\n{}", error.place().caret()),
        hint.as_deref(),
    );
}
