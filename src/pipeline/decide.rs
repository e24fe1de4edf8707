//! The middle of the pipeline: which policies the markers name, what the registries list, and what
//! follows from both.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};

use super::{Listings, Ports};
use crate::{
    access::{self, Vault},
    config::{Config, Connection, duration},
    egress::PlainHttp,
    image::{Repository, Tag},
    nearest::nearest,
    parallel,
    policy::{self, DigestReflection, Fact, Hold, Policy, PolicyName, Preset, Verdict},
    scan::{Registry, Scan},
    update::{
        PolicyKey, formats,
        git::SourceFile,
        marker::InlineRule,
        plan::{self, ChangeSet, Choice, Decided, Decision, ReadFile},
        rejected::{self, Rejections},
        targets::Targets,
    },
};

/// How many registries are asked at the same time.
const CONCURRENT_SCANS: usize = 8;
/// How many digests are looked up to find a tag that no entry of `deny` or `allow` means.
const MAX_LOOKUPS: usize = 50;
/// How long a scan may take for an image that no document describes.
const INLINE_TIMEOUT: Duration = Duration::from_mins(1);

/// Which policies a set of files may follow.
#[derive(Debug)]
pub struct Scope<'a> {
    /// All there is.
    pub config: &'a Config,
    /// The named policies that take part; all of them where nothing is given.
    pub policies: Option<&'a BTreeSet<PolicyName>>,
    /// Which values follow a policy, besides the marked ones.
    pub targets: &'a Targets,
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
    let asked = ask(scope, ports, listings, files).await;
    asked.plan(&Rejections::default())
}

/// Files, and what the policies of their markers say.
pub(super) struct Asked<'a> {
    files: Vec<ReadFile>,
    decisions: BTreeMap<PolicyKey, Decision>,
    targets: &'a Targets,
}

impl Asked<'_> {
    /// What follows, where people turned down some values.
    pub(super) fn plan(&self, rejections: &Rejections) -> ChangeSet {
        let changes = plan::plan_with(&self.files, &self.decisions, rejections);
        let mut changes = with_rule_findings(changes, self.targets, &self.files);
        for (key, decision) in &self.decisions {
            if let Decision::Decided(decided) = decision {
                let advice = decided.advice.iter();
                changes
                    .advice
                    .extend(advice.map(|it| (key.clone(), it.clone())));
            }
        }
        changes
    }

    /// Whether what people turned down matters to the policy of a value.
    pub(super) fn is_guarded(&self, policy: &PolicyKey) -> bool {
        match self.decisions.get(policy) {
            Some(Decision::Decided(decided)) => rejected::is_guarded(decided),
            _ => false,
        }
    }
}

/// Finds the markers of `files` and asks the registries.
pub(super) async fn ask<'a, R: Registry, G, V: Vault>(
    scope: &Scope<'a>,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    files: Vec<SourceFile>,
) -> Asked<'a> {
    let files = read_all(scope, files);
    let setters = files.iter().flat_map(|file| &file.reading.setters);
    let keys = setters
        .map(|setter| &setter.policy)
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
    let targets = scope.targets;
    Asked {
        files,
        decisions,
        targets,
    }
}

/// Finds the markers of `files` and checks that their policies exist; asks nobody.
pub fn check_files(scope: &Scope<'_>, files: Vec<SourceFile>) -> ChangeSet {
    let files = read_all(scope, files);
    let setters = files.iter().flat_map(|file| &file.reading.setters);
    let keys = setters
        .map(|setter| &setter.policy)
        .collect::<BTreeSet<_>>();
    let decisions = keys.into_iter().map(|key| {
        let decision =
            active_question(scope, key).map_or_else(|decision| decision, |_| Decision::Unchecked);
        (key.clone(), decision)
    });
    let changes = plan::plan(&files, &decisions.collect());
    with_rule_findings(changes, scope.targets, &files)
}

/// Adds what is wrong with rules.
fn with_rule_findings(mut changes: ChangeSet, targets: &Targets, files: &[ReadFile]) -> ChangeSet {
    let idle = targets.idle(files.iter().map(|file| &file.reading));
    changes.findings.extend(idle);
    changes.findings.extend(targets.findings.iter().cloned());
    changes.findings.sort();
    changes
}

/// Finds the values of every file that follow a policy, over all processors.
fn read_all(scope: &Scope<'_>, files: Vec<SourceFile>) -> Vec<ReadFile> {
    let read = |file: &SourceFile| formats::read(&file.path, &file.bytes, scope.targets);
    let readings = parallel::map(&files, read);
    let files = files.into_iter().zip(readings);
    files
        .map(|(file, reading)| ReadFile { file, reading })
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
        ..
    } = match active_question(scope, key) {
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
    let mut scan = Cow::Borrowed(scan.as_ref());
    let choices = loop {
        let choices = choices(&policy, &scan, plan::current_tags(files, key, &image));
        let unknown = unknown_digests(&choices);
        if unknown.is_empty() || scan.facts.len() > MAX_LOOKUPS {
            break choices;
        }
        for tag in unknown {
            let digest = match ports.registry.digest(&image, &tag, &access).await {
                Ok(digest) => digest,
                Err(error) => return Decision::Unavailable(told(&error, error.hint())),
            };
            scan.to_mut().facts.entry(tag).or_default().digest = Some(digest);
        }
    };
    let mut decided = Decided {
        image,
        advice: advice(&policy, &scan, &choices),
        policy,
        choices,
        digests: BTreeMap::new(),
    };
    for tag in plan::wanted_digests(files, key, &decided) {
        let known = scan.facts.get(&tag).and_then(|facts| facts.digest.clone());
        let digest = match known {
            Some(digest) => Ok(digest),
            None => ports.registry.digest(&decided.image, &tag, &access).await,
        };
        match digest {
            Ok(digest) => decided.digests.insert(tag, digest),
            Err(error) => return Decision::Unavailable(told(&error, error.hint())),
        };
    }
    Decision::Decided(Box::new(decided))
}

/// What the policy says for each tag that is in Git; it is the time of the scan.
fn choices(
    policy: &Policy,
    scan: &Scan,
    currents: BTreeSet<Option<String>>,
) -> BTreeMap<Option<String>, Choice> {
    let decider = policy::Decider::new(policy, scan, scan.finished);
    let choices = currents.into_iter().map(|current| {
        let (verdict, stages) = decider.verdict(current.as_deref());
        let policy::Stages {
            listed, candidates, ..
        } = stages;
        let order = &policy.order;
        let why = format!("{order}: best of {candidates} candidates, {listed} tags");
        let choice = Choice {
            verdict,
            stages,
            why,
        };
        (current, choice)
    });
    choices.collect()
}

/// What a person may want to change in the policy; what only tells how it chose is left to `explain`.
fn advice(policy: &Policy, scan: &Scan, choices: &BTreeMap<Option<String>, Choice>) -> Vec<String> {
    let advice = choices
        .values()
        .flat_map(|choice| policy::advise(policy, scan, (&choice.verdict, choice.stages)));
    let advice = advice.filter(|it| !it.is_note());
    let sentences = advice.map(|it| it.to_string()).collect::<BTreeSet<_>>();
    sentences.into_iter().collect()
}

/// The tags whose digest an entry of the policy's constraints asks for, because they stand highest.
fn unknown_digests(choices: &BTreeMap<Option<String>, Choice>) -> BTreeSet<Tag> {
    let tags = choices.values().filter_map(|choice| match &choice.verdict {
        Verdict::Held {
            reason:
                Hold::MissingFact {
                    selected,
                    fact: Fact::Digest,
                },
            ..
        } => Some(selected.clone()),
        _ => None,
    });
    tags.collect()
}

/// What has to be asked for one policy, and where.
pub struct Question {
    /// The image, as it is written into Git.
    pub image: Repository,
    /// With which rights and by which way.
    pub connection: Connection,
    /// The policy.
    pub policy: Policy,
    /// What is to be left alone, where something is: the policy or its `ImageRepository`.
    pub suspended: Option<&'static str>,
}

/// As [`question`], for a policy that is not to be left alone.
fn active_question(scope: &Scope<'_>, key: &PolicyKey) -> Result<Question, Decision> {
    let question = question(scope, key)?;
    match question.suspended {
        Some(which) => Err(Decision::Suspended(format!("the {which} is suspended"))),
        None => Ok(question),
    }
}

/// Resolves a marker's policy.
///
/// # Errors
///
/// The decision that stands without asking anybody: there is no such policy.
pub fn question(scope: &Scope<'_>, key: &PolicyKey) -> Result<Question, Decision> {
    match key {
        PolicyKey::Named(name) => named_question(scope, name),
        PolicyKey::Inline { repository, rule } => {
            let policy = InlineRule::parse(rule).and_then(|rule| inline_policy(&rule));
            Ok(Question {
                policy: policy.map_err(Decision::Unavailable)?,
                connection: inline_connection(scope, repository),
                image: repository.clone(),
                suspended: None,
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
    let suspended = [
        (policy.suspended, "policy"),
        (image.suspended, "ImageRepository"),
    ];
    Ok(Question {
        suspended: suspended.into_iter().find(|it| it.0).map(|it| it.1),
        image: image.image.clone(),
        connection: image.connection.clone(),
        policy: policy.policy.clone(),
    })
}

/// How a document of the namespace says that an image is listed, where one describes it.
pub fn described<'a>(scope: &Scope<'a>, repository: &Repository) -> Option<&'a Connection> {
    let mut described = scope.config.images.values();
    let described = described
        .find(|it| it.image == *repository && it.key.namespace == scope.namespace && !it.suspended);
    described.map(|it| &it.connection)
}

/// An image that a document of the namespace describes is listed as that document says.
fn inline_connection(scope: &Scope<'_>, repository: &Repository) -> Connection {
    described(scope, repository)
        .cloned()
        .unwrap_or_else(|| Connection {
            credentials: None,
            certificates: None,
            proxy: None,
            token_realms: Vec::new(),
            plain_http: PlainHttp::Refuse,
            timeout: INLINE_TIMEOUT,
        })
}

/// The policy that an inline marker spells out.
///
/// # Errors
///
/// What is wrong with its range, pattern or order, in a sentence.
pub fn inline_policy(rule: &InlineRule) -> Result<Policy, String> {
    let told = |error: policy::PolicyError| {
        let hint = error
            .hint()
            .map_or_else(String::new, |hint| format!("; {hint}"));
        format!("{error}{hint}\n{}", error.place().caret())
    };
    let pattern = rule.filter.as_deref().unwrap_or_default();
    let extract = rule.extract.as_deref().unwrap_or_default();
    let mut constraints = inline_constraints(rule)?;
    let chosen = match rule.order.0.as_str() {
        "preset" => {
            let preset = Preset::named(&rule.order.1).map_err(told)?;
            preset.constrain(&mut constraints);
            preset.policy()
        }
        _ => Policy::new(inline_order(rule).map_err(told)?),
    };
    let filter = match &chosen.order {
        _ if chosen.preset.is_some_and(Preset::has_filter) => Ok(chosen.filter),
        policy::Order::Keys(_) if !extract.is_empty() => {
            return Err("`extract` and `keys` exclude each other; the keys name the groups".into());
        }
        policy::Order::Keys(keys) => policy::TagFilter::with_keys(pattern, keys),
        _ => policy::TagFilter::new(pattern, extract),
    };
    Ok(Policy {
        filter: filter.map_err(told)?,
        constraints,
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
        order: chosen.order,
        preset: chosen.preset,
        exclusions: chosen.exclusions,
        guards_off: chosen.guards_off,
    })
}

fn inline_order(rule: &InlineRule) -> Result<policy::Order, policy::PolicyError> {
    let (order, argument) = &rule.order;
    let is_strict = rule
        .constraints
        .get("strict")
        .is_some_and(|it| it == "true");
    match policy::Order::of(order, argument)? {
        Some(policy::Order::Numerical(direction, _)) if is_strict => {
            Ok(policy::Order::strict_numerical(direction))
        }
        Some(order) => Ok(order),
        // The marker's reader lets no other word through.
        None => Ok(policy::Order::alphabetical(policy::Direction::default())),
    }
}

/// The constraints of a marker; their words were checked when it was read, but for the duration.
fn inline_constraints(rule: &InlineRule) -> Result<policy::Constraints, String> {
    let word = |key| rule.constraints.get(key).map(String::as_str);
    let keeps = |part| {
        if word("keep").is_some_and(|it| it.split(',').any(|it| it == part)) {
            policy::Keep::Yes
        } else {
            policy::Keep::No
        }
    };
    let told = |error: policy::PolicyError| error.to_string();
    let minimum_age = word("minimumAge").map(|text| {
        let age = duration::parse(text);
        let age = age.ok_or_else(|| format!("`minimumAge={text}` is no duration such as 72h"))?;
        let clock = policy::Clock::default();
        Ok::<_, String>(policy::MinimumAge { age, clock })
    });
    Ok(policy::Constraints {
        update: word("update").map(str::parse).transpose().map_err(told)?,
        suffix: keeps("suffix"),
        precision: keeps("precision"),
        prereleases: match word("prereleases") {
            Some("true") => policy::Prereleases::Include,
            Some(_) => policy::Prereleases::Exclude,
            None => policy::Prereleases::AsRange,
        },
        minimum_age: minimum_age.transpose()?,
        ..policy::Constraints::default()
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
