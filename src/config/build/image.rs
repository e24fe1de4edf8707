//! `ImageRepository` and `ImagePolicy`.

mod constraint;

use std::time::Duration;

use super::{Config, Document, Documents, Habitat, ObjectKey};
use crate::{
    cloud::Cloud,
    config::{CloudLogin, Connection, ImageSource, NamedPolicy, duration},
    crd::{
        AccessFrom, DigestReflectionPolicy, FilterTags, GuardName, ImagePolicy, ImageRepository,
        KeyKindName, NumericalPolicy, OrderDirection, PolicyChoice, RegistryProvider,
        VerifyProviderName,
    },
    egress::PlainHttp,
    image::Repository,
    policy::{
        DigestReflection, Direction, Downgrade, Exclusions, Guard, KeyKind, Keys, Order, Policy,
        PolicyError, PolicyName, Preset, Signing, SortKey, Strictness, TagFilter,
    },
    secret::Authority,
};

/// The annotation that allows a token service on another host.
const TOKEN_REALMS: &str = "tagwright.dev/token-realms";
/// Where a policy names a preset.
const PRESET: &str = "/spec/policy/preset";
/// The annotation that names the repository to list in the image's stead.
const MIRROR: &str = "tagwright.dev/mirror";
/// The annotation that asks for later tags only, and says how often for all of them.
const WHOLE_EVERY: &str = "tagwright.dev/whole-listing-every";
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
            let verify = verify(documents, &document);
            let interval = document.value.spec.interval.as_deref();
            config.policies.insert(
                name.clone(),
                NamedPolicy {
                    name,
                    image,
                    policy,
                    verify,
                    digest_interval: interval.and_then(duration::parse),
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
    let pull_account = spec.service_account_name.as_ref();
    let pull_account = pull_account
        .filter(|_| spec.provider == RegistryProvider::Generic)
        .map(|name| ObjectKey {
            namespace: document.key.namespace.clone(),
            name: name.clone(),
        });
    let connection = Connection {
        credentials,
        pull_account: pull_account.filter(|_| documents.habitat == Habitat::Cluster),
        cloud: cloud(documents, document),
        certificates,
        proxy,
        token_realms: token_realms(documents, document),
        plain_http: if spec.insecure {
            PlainHttp::Allow
        } else {
            PlainHttp::Refuse
        },
        timeout: duration::parse(timeout)?.max(MIN_TIMEOUT),
        mirror: mirror(documents, document),
        whole_every: whole_every(documents, document),
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
    let is_cloud = spec.provider != RegistryProvider::Generic;
    if is_cloud && !cfg!(feature = "clouds") {
        let message = "this build has no log-in to clouds".to_owned();
        let hint = "take a released one, or build with `--features clouds`; the docker \
                    configuration of the user who runs tagwright is used instead";
        document.fault(
            &mut documents.warnings,
            "/spec/provider",
            message,
            Some(hint),
        );
    }
    if spec.service_account_name.is_some() && documents.habitat == Habitat::Files {
        let (message, hint) = if is_cloud {
            let hint = "the identity of whoever runs tagwright is used instead";
            (
                "the identity of a ServiceAccount is known to a cluster only",
                hint,
            )
        } else {
            let hint = "name the pull secret in `secretRef`";
            (
                "pull secrets of a ServiceAccount are known to a cluster only",
                hint,
            )
        };
        let message = message.to_owned();
        let pointer = "/spec/serviceAccountName";
        document.fault(&mut documents.warnings, pointer, message, Some(hint));
    }
}

/// The identity that `spec.provider` asks for, where this build knows clouds.
fn cloud(documents: &Documents, document: &Document<ImageRepository>) -> Option<CloudLogin> {
    let spec = &document.value.spec;
    let cloud = match spec.provider {
        RegistryProvider::Generic => return None,
        RegistryProvider::Aws => Cloud::Aws,
        RegistryProvider::Azure => Cloud::Azure,
        RegistryProvider::Gcp => Cloud::Gcp,
    };
    let account = spec.service_account_name.clone();
    cfg!(feature = "clouds").then(|| CloudLogin {
        cloud,
        namespace: document.key.namespace.clone(),
        account: account.filter(|_| documents.habitat == Habitat::Cluster),
    })
}

fn mirror(documents: &mut Documents, document: &Document<ImageRepository>) -> Option<Repository> {
    let annotations = document.value.metadata.annotations.as_ref();
    let text = annotations.and_then(|it| it.get(MIRROR))?;
    match text.parse() {
        Ok(mirror) => Some(mirror),
        Err(error) => {
            let pointer = format!("/metadata/annotations/{}", MIRROR.replace('/', "~1"));
            let message = format!("annotation `{MIRROR}`: {error}");
            let hint = "write the repository to list, such as `mirror.example.com/ghcr/acme/web`";
            document.fault(&mut documents.faults, &pointer, message, Some(hint));
            None
        }
    }
}

fn whole_every(
    documents: &mut Documents,
    document: &Document<ImageRepository>,
) -> Option<Duration> {
    let annotations = document.value.metadata.annotations.as_ref();
    let text = annotations.and_then(|it| it.get(WHOLE_EVERY))?;
    let every = duration::parse(text);
    if every.is_none() {
        let pointer = format!("/metadata/annotations/{}", WHOLE_EVERY.replace('/', "~1"));
        let message = format!("annotation `{WHOLE_EVERY}`: `{text}` is no duration");
        let hint = "write how often the list is read from its beginning, such as `24h`";
        document.fault(&mut documents.faults, &pointer, message, Some(hint));
    }
    every
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
    let mut constraints = constraint::constraints(documents, document);
    let Some((order, pointer)) = order(&spec.policy) else {
        let message = "`spec.policy` chooses nothing".to_owned();
        let hint = "add one of: semver, alphabetical, numerical, natural, calver, loose, keys, \
                    newest, preset";
        document.fault(&mut documents.faults, "/spec/policy", message, Some(hint));
        return None;
    };
    let preset = spec.policy.preset.as_deref().filter(|_| pointer == PRESET);
    let preset = preset.and_then(|name| Preset::named(name).ok());
    let order = order
        .inspect_err(|error| policy_fault(documents, document, pointer, error))
        .ok();
    let filter = filter(documents, document, order.as_ref(), preset);
    if let (Some(preset), Some(constraints)) = (preset, &mut constraints) {
        preset.constrain(constraints);
    }
    // Whatever is wrong with it: what must be verified is never taken unverified.
    if let (Some(_), Some(constraints)) = (&spec.verify, &mut constraints) {
        constraints.signing = Signing::Required;
    }
    let guards_off = spec.guards_off.iter().map(|guard| match guard {
        GuardName::ShrunkList => Guard::ShrunkList,
        GuardName::MixedSchemes => Guard::MixedSchemes,
        GuardName::DigitTags => Guard::DigitTags,
        GuardName::TakenBack => Guard::TakenBack,
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
        preset,
    })
}

/// The Secret with the keys that images must be signed by one of. Ways to sign that are not verified
/// here are faults: passed over, they would let everything through.
fn verify(documents: &mut Documents, document: &Document<ImagePolicy>) -> Option<ObjectKey> {
    let spec = document.value.spec.verify.as_ref()?;
    let keys = "write `verify: {provider: cosign, secretRef: {name: cosign-keys}}`, with public keys \
                in the Secret under names that end in `.pub`";
    let mut refuse = |pointer: &str, message: &str| {
        let message = message.to_owned();
        document.fault(&mut documents.faults, pointer, message, Some(keys));
    };
    if spec.provider == VerifyProviderName::Notation {
        let message = "signatures of `notation` are not verified yet, only those of `cosign`";
        refuse("/spec/verify/provider", message);
    }
    if spec.match_oidc_identity.is_some() {
        let message = "`matchOIDCIdentity` is not verified yet, only keys are";
        refuse("/spec/verify/matchOIDCIdentity", message);
    } else if spec.secret_ref.is_none() {
        let message =
            "`spec.verify` names no Secret; signatures without a key are not verified yet";
        refuse("/spec/verify", message);
    }
    let secret = spec.secret_ref.as_ref().map(|it| it.name.as_str());
    documents.secret(document, "/spec/verify/secretRef", secret)
}

/// The filter that the document spells out, or that its preset brings.
fn filter(
    documents: &mut Documents,
    document: &Document<ImagePolicy>,
    order: Option<&Order>,
    preset: Option<&'static Preset>,
) -> Option<TagFilter> {
    let spec = &document.value.spec;
    let FilterTags { pattern, extract } = spec.filter_tags.clone().unwrap_or_default();
    let preset = preset.filter(|preset| preset.has_filter());
    let refusal = match (preset, order) {
        (Some(preset), _) if spec.filter_tags.is_none() => return Some(preset.policy().filter),
        (Some(preset), _) => Some((
            "/spec/filterTags",
            format!(
                "`spec.filterTags` and the preset `{}` exclude each other",
                preset.name
            ),
            format!(
                "write out what it stands for, and change that: {}",
                preset.rule()
            ),
        )),
        (None, Some(Order::Keys(_))) if !extract.is_empty() => Some((
            "/spec/filterTags/extract",
            "`spec.filterTags.extract` and `spec.policy.keys` exclude each other".to_owned(),
            "the keys name the groups; remove `extract`".to_owned(),
        )),
        (None, _) => None,
    };
    if let Some((pointer, message, hint)) = refusal {
        document.fault(&mut documents.faults, pointer, message, Some(&hint));
        return None;
    }
    let filter = match order {
        Some(Order::Keys(keys)) => TagFilter::with_keys(&pattern, keys),
        _ => TagFilter::new(&pattern, &extract),
    };
    filter
        .inspect_err(|error| policy_fault(documents, document, "/spec/filterTags", error))
        .ok()
}

/// What `spec.policy` chooses, by Flux's precedence, and where it says so.
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
    } else if let Some(newest) = &choice.newest {
        let order = Order::Newest(constraint::clock(newest.clock));
        (Ok(order), "/spec/policy/newest")
    } else {
        let preset = Preset::named(choice.preset.as_ref()?);
        (preset.map(|preset| preset.policy().order), PRESET)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::{Config, ConfigError, ConfigFile, NamedPolicy, Origin};

    fn read(spec: &str) -> Result<NamedPolicy, ConfigError> {
        let text = format!(
            "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: web}}\n\
             spec: {{image: registry.test/web, interval: 5m}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: web}}\n\
             spec: {{imageRepositoryRef: {{name: web}}, {spec}}}\n"
        );
        let name = "config.yaml".to_owned();
        let config = Config::read(
            &[ConfigFile {
                name,
                text,
                origin: Origin::Given,
            }],
            "apps",
        )?;
        let policy = config.policies.into_values().next();
        Ok(policy.expect("a policy that was read"))
    }

    #[test]
    fn the_digest_is_looked_up_as_often_as_the_document_says() {
        let check = |spec: &str, expected: Option<Duration>| {
            let policy = read(&format!("policy: {{preset: semver}}{spec}")).unwrap();
            assert_eq!(policy.digest_interval, expected, "{spec}");
        };
        check("", None);
        check(", digestReflectionPolicy: IfNotPresent", None);
        let hourly = Some(Duration::from_hours(1));
        check(", digestReflectionPolicy: Always, interval: 1h", hourly);
        assert!(read("policy: {preset: semver}, interval: 1h").is_err());
    }

    #[test]
    fn constraints_stand_beside_a_preset() {
        let policy = read("policy: {preset: keep-suffix}, constraints: {prereleases: true}");
        let policy = policy.unwrap().policy;
        assert_eq!(policy.preset.map(|preset| preset.name), Some("keep-suffix"));
        assert_eq!(
            policy.constraints.prereleases,
            crate::policy::Prereleases::Include
        );
        assert_eq!(policy.constraints.suffix, crate::policy::Keep::Yes);
        assert!(read("policy: {preset: semver}, filterTags: {pattern: '^1'}").is_ok());
        assert!(
            read("policy: {preset: semver, natural: {}}")
                .unwrap()
                .policy
                .preset
                .is_none()
        );
    }
}
