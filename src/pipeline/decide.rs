//! The middle of the pipeline: which policies the markers name, what the registries list, and what
//! follows from both.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};

use super::{Listings, Ports};
use crate::{
    access::{self, Vault},
    config::{Config, Connection},
    egress::PlainHttp,
    image::{Digest, Repository},
    nearest::nearest,
    policy::{self, DigestReflection, Policy, PolicyName, Verdict},
    scan::{Access, Registry, ScanError},
    update::{
        PolicyKey, formats,
        git::SourceFile,
        marker::InlineRule,
        plan::{self, ChangeSet, Decided, Decision, ReadFile},
    },
};

/// How many registries are asked at the same time.
const CONCURRENT_SCANS: usize = 8;
/// How long a scan may take for an image that no document describes.
const INLINE_TIMEOUT: Duration = Duration::from_mins(1);

/// Which policies a set of files may follow.
#[derive(Debug)]
pub struct Scope<'a> {
    /// All there is.
    pub config: &'a Config,
    /// The named policies that take part; all of them where nothing is given.
    pub policies: Option<&'a BTreeSet<PolicyName>>,
    /// Whose `ImageRepository` documents describe the images of inline policies.
    pub namespace: &'a str,
}

/// Finds the markers of `files`, asks the registries and decides.
pub async fn decide_files<R: Registry, G, V: Vault>(
    scope: &Scope<'_>,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    files: Vec<SourceFile>,
) -> ChangeSet {
    let files = read_all(files);
    let setters = files.iter().flat_map(|file| &file.reading.setters);
    let keys = setters
        .map(|setter| &setter.marker.policy)
        .cloned()
        .collect::<BTreeSet<_>>();
    let decisions = stream::iter(keys)
        .map(async |key| {
            let decision = decide(scope, ports, listings, &files, &key).await;
            (key, decision)
        })
        .buffer_unordered(CONCURRENT_SCANS)
        .collect::<BTreeMap<_, _>>()
        .await;
    plan::plan(&files, &decisions)
}

/// Finds the markers of `files` and checks that their policies exist; asks nobody.
pub fn check_files(scope: &Scope<'_>, files: Vec<SourceFile>) -> ChangeSet {
    let files = read_all(files);
    let setters = files.iter().flat_map(|file| &file.reading.setters);
    let keys = setters
        .map(|setter| &setter.marker.policy)
        .collect::<BTreeSet<_>>();
    let decisions = keys.into_iter().map(|key| {
        let decision =
            question(scope, key).map_or_else(|decision| decision, |_| Decision::Unchecked);
        (key.clone(), decision)
    });
    plan::plan(&files, &decisions.collect())
}

/// Finds the markers of every file, over all processors.
fn read_all(files: Vec<SourceFile>) -> Vec<ReadFile> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let share = files.len().div_ceil(workers).max(1);
    let mut readings = std::thread::scope(|scope| {
        let handles = files.chunks(share).map(|chunk| {
            scope.spawn(|| {
                chunk
                    .iter()
                    .map(|file| formats::read(&file.path, &file.bytes))
                    .collect::<Vec<_>>()
            })
        });
        let handles = handles.collect::<Vec<_>>();
        let parts = handles.into_iter().map(|handle| {
            handle
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        parts.flatten().collect::<Vec<_>>().into_iter()
    });
    files
        .into_iter()
        .filter_map(|file| readings.next().map(|reading| ReadFile { file, reading }))
        .collect()
}

async fn decide<R: Registry, G, V: Vault>(
    scope: &Scope<'_>,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    files: &[ReadFile],
    key: &PolicyKey,
) -> Decision {
    let Question {
        image,
        connection,
        policy,
    } = match question(scope, key) {
        Ok(question) => question,
        Err(decision) => return decision,
    };
    let access = match access::registry(&ports.vault, &connection, &image).await {
        Ok(access) => access,
        Err(error) => return Decision::Unavailable(told(&error, None)),
    };
    let scan = match listings
        .scan(&ports.registry, &image, &connection, &access)
        .await
    {
        Ok(scan) => scan,
        Err(error) => return Decision::Unavailable(told(error.as_ref(), error.hint())),
    };
    let (verdict, stages) = policy::select_counted(&policy, &scan);
    let policy::Stages {
        listed, in_range, ..
    } = stages;
    let why = format!(
        "{}: best of {in_range} candidates, {listed} tags",
        policy.order
    );
    let mut decided = Decided {
        image,
        policy,
        verdict,
        why,
        digest: None,
    };
    if plan::needs_digest(files, key, &decided) {
        match digest_of(ports, &decided, &access).await {
            Ok(digest) => decided.digest = digest,
            Err(error) => return Decision::Unavailable(told(&error, error.hint())),
        }
    }
    Decision::Decided(Box::new(decided))
}

async fn digest_of<R: Registry, G, V>(
    ports: &Ports<R, G, V>,
    decided: &Decided,
    access: &Access,
) -> Result<Option<Digest>, ScanError> {
    debug_assert!(
        decided.policy.digest != DigestReflection::Never,
        "only asked when it is needed"
    );
    match &decided.verdict {
        Verdict::Selected(selection) | Verdict::Held { selection, .. } => ports
            .registry
            .digest(&decided.image, &selection.tag, access)
            .await
            .map(Some),
        Verdict::NothingMatched(_) => Ok(None),
    }
}

/// What has to be asked for one policy, and where.
pub struct Question {
    /// The image, as it is written into Git.
    pub image: Repository,
    /// With which rights and by which way.
    pub connection: Connection,
    /// The policy.
    pub policy: Policy,
}

/// Resolves a marker's policy.
///
/// # Errors
///
/// The decision that stands without asking anybody: there is no such policy, or it is suspended.
pub fn question(scope: &Scope<'_>, key: &PolicyKey) -> Result<Question, Decision> {
    match key {
        PolicyKey::Named(name) => named_question(scope, name),
        PolicyKey::Inline { repository, rule } => {
            let policy = InlineRule::parse(rule).and_then(|rule| inline_policy(&rule));
            Ok(Question {
                policy: policy.map_err(Decision::Unavailable)?,
                connection: inline_connection(scope, repository),
                image: repository.clone(),
            })
        }
    }
}

fn named_question(scope: &Scope<'_>, name: &PolicyName) -> Result<Question, Decision> {
    let known = |name: &&PolicyName| {
        scope
            .policies
            .is_none_or(|policies| policies.contains(name))
    };
    let Some(policy) = scope
        .config
        .policies
        .get(name)
        .filter(|it| known(&&it.name))
    else {
        let names = scope
            .config
            .policies
            .keys()
            .filter(known)
            .map(ToString::to_string);
        let names = names.collect::<Vec<_>>();
        let reason = match nearest(&name.to_string(), names.iter().map(String::as_str)) {
            Some(near) => format!("there is no policy `{name}` here; did you mean `{near}`?"),
            None => format!("there is no policy `{name}` here"),
        };
        return Err(Decision::Unknown(reason));
    };
    let Some(image) = scope.config.images.get(&policy.image) else {
        return Err(Decision::Unknown(format!(
            "there is no ImageRepository `{}`",
            policy.image
        )));
    };
    if policy.suspended || image.suspended {
        let which = if policy.suspended {
            "policy"
        } else {
            "ImageRepository"
        };
        return Err(Decision::Suspended(format!("the {which} is suspended")));
    }
    Ok(Question {
        image: image.image.clone(),
        connection: image.connection.clone(),
        policy: policy.policy.clone(),
    })
}

/// An image that a document of the namespace describes is listed as that document says.
fn inline_connection(scope: &Scope<'_>, repository: &Repository) -> Connection {
    let mut described = scope.config.images.values();
    let described = described
        .find(|it| it.image == *repository && it.key.namespace == scope.namespace && !it.suspended);
    described.map_or_else(
        || Connection {
            credentials: None,
            certificates: None,
            proxy: None,
            token_realms: Vec::new(),
            plain_http: PlainHttp::Refuse,
            timeout: INLINE_TIMEOUT,
        },
        |it| it.connection.clone(),
    )
}

/// The policy that an inline marker spells out.
///
/// # Errors
///
/// What is wrong with its range, pattern or order, in a sentence.
pub fn inline_policy(rule: &InlineRule) -> Result<Policy, String> {
    let told = |error: policy::PolicyError| match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    };
    let filter = rule.filter.as_deref().unwrap_or_default();
    let extract = rule.extract.as_deref().unwrap_or_default();
    let (order, argument) = &rule.order;
    Ok(Policy {
        exclusions: policy::Exclusions::default(),
        filter: policy::TagFilter::new(filter, extract).map_err(told)?,
        order: inline_order(order, argument).map_err(told)?,
        downgrade: if rule.allow_downgrade {
            policy::Downgrade::Allow
        } else {
            policy::Downgrade::Refuse
        },
        digest: match rule.digest.as_deref() {
            Some("always") => DigestReflection::Always,
            Some("ifNotPresent") => DigestReflection::IfNotPresent,
            _ => DigestReflection::Never,
        },
    })
}

fn inline_order(order: &str, argument: &str) -> Result<policy::Order, policy::PolicyError> {
    Ok(match order {
        "semver" => policy::Order::semver(argument)?,
        "loose" => policy::Order::loose(argument)?,
        "calver" => policy::Order::calver(argument)?,
        "natural" => policy::Order::natural(argument.parse()?),
        "numerical" => policy::Order::numerical(argument.parse()?),
        _ => policy::Order::alphabetical(argument.parse()?),
    })
}

/// An error, its causes and what to do about it in one sentence.
fn told(error: &dyn std::error::Error, hint: Option<String>) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    if let Some(hint) = hint {
        text = format!("{text}; {hint}");
    }
    text
}
