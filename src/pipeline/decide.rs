//! The middle of the pipeline: which policies the markers name, what the registries list, and what
//! follows from both.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};

use super::{
    Listings, Ports,
    facts::{FactsError, Place, complete},
    listings::Asked,
};
use crate::{
    access::{self, Vault},
    config::{Config, Connection, ObjectKey, duration},
    egress::PlainHttp,
    image::Repository,
    nearest::nearest,
    parallel,
    policy::{self, DigestReflection, Policy, PolicyName, Preset},
    scan::{Registry, Scan},
    update::{
        PolicyKey, formats,
        git::SourceFile,
        marker::InlineRule,
        plan::{self, ChangeSet, Choice, Decided, Decision, FileFinding, ReadFile},
        rejected::{self, Rejections},
        targets::Targets,
    },
};

/// How many policies are asked at the same time. Each registry is asked as much as it bears, which
/// its own budget sees to; so that one that hangs keeps nobody else waiting, these are many.
const CONCURRENT_POLICIES: usize = 256;
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
    deliberate(scope, ports, listings, files).await.plan()
}

/// Files with their markers, and what was decided about every policy that they name.
#[derive(Debug)]
pub struct Deliberation {
    pub(super) files: Vec<ReadFile>,
    pub(super) decisions: BTreeMap<PolicyKey, Decision>,
    /// What is wrong with rules.
    pub(super) findings: Vec<FileFinding>,
}

impl Deliberation {
    /// What follows for every value that follows a policy.
    pub fn plan(&self) -> ChangeSet {
        self.plan_with(&Rejections::default())
    }

    /// What follows, where people turned down some values.
    pub fn plan_with(&self, rejections: &Rejections) -> ChangeSet {
        let mut changes = plan::plan_with(&self.files, &self.decisions, rejections);
        changes.findings.extend(self.findings.iter().cloned());
        changes.findings.sort();
        for (key, decision) in &self.decisions {
            if let Decision::Decided(decided) = decision {
                let advice = decided.advice.iter().cloned();
                changes.advice.extend(advice.map(|it| (key.clone(), it)));
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
pub async fn deliberate<R: Registry, G, V: Vault>(
    scope: &Scope<'_>,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    files: Vec<SourceFile>,
) -> Deliberation {
    let files = read_all(scope, files);
    let setters = files.iter().flat_map(|file| &file.reading.setters);
    let keys = setters
        .map(|setter| &setter.policy)
        .cloned()
        .collect::<BTreeSet<_>>();
    let questions = keys
        .into_iter()
        .map(|key| (active_question(scope, &key), key))
        .collect::<Vec<_>>();
    let companies = companies(&questions);
    let decisions = stream::iter(questions)
        .map(async |(question, key)| {
            let decision = match question {
                Err(decision) => decision,
                Ok(question) => {
                    let place = (question.connection.clone(), question.image.clone());
                    let company = companies.get(&place).map_or(&[][..], Vec::as_slice);
                    decide(ports, listings, &files, &key, question, company).await
                }
            };
            (key, decision)
        })
        .buffer_unordered(CONCURRENT_POLICIES)
        .collect::<BTreeMap<_, _>>()
        .await;
    let findings = rule_findings(scope, &files);
    Deliberation {
        files,
        decisions,
        findings,
    }
}

/// What is wrong with rules.
fn rule_findings(scope: &Scope<'_>, files: &[ReadFile]) -> Vec<FileFinding> {
    let targets = scope.targets;
    let mut findings = targets.idle(files.iter().map(|file| &file.reading));
    findings.extend(targets.findings.iter().cloned());
    findings
}

/// The policies that share a listing, by what it is shared by.
fn companies(
    questions: &[(Result<Question, Decision>, PolicyKey)],
) -> BTreeMap<(Connection, Repository), Vec<(PolicyKey, Policy)>> {
    let mut companies = BTreeMap::<_, Vec<_>>::new();
    for (question, key) in questions {
        if let Ok(question) = question {
            let place = (question.connection.clone(), question.image.clone());
            let company = companies.entry(place).or_default();
            company.push((key.clone(), question.policy.clone()));
        }
    }
    companies
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
    let decisions = decisions.collect();
    let findings = rule_findings(scope, &files);
    let deliberation = Deliberation {
        files,
        decisions,
        findings,
    };
    deliberation.plan()
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
    ports: &Ports<R, G, V>,
    listings: &Listings,
    files: &[ReadFile],
    key: &PolicyKey,
    question: Question,
    company: &[(PolicyKey, Policy)],
) -> Decision {
    let listed = question.listed().clone();
    let Question {
        image,
        connection,
        policy,
        verify,
        ..
    } = question;
    // Only what is asked goes to a mirror; what is written into Git is the image.
    let access = match access::registry(&ports.vault, &connection, &listed).await {
        Ok(access) => access,
        Err(error) => return Decision::Unavailable(told(&error, error.hint())),
    };
    let keys = match access::trusted_keys(&ports.vault, verify.as_ref()).await {
        Ok(keys) => keys,
        Err(error) => return Decision::Unavailable(told(&error, error.hint())),
    };
    let asked = Asked {
        repository: &listed,
        connection: &connection,
        access: &access,
        company,
    };
    let scan = match listings.scan(&ports.registry, &asked).await {
        Ok(scan) => scan,
        Err(error) => return Decision::Unavailable(told(error.as_ref(), error.hint())),
    };
    let currents = plan::current_tags(files, key, &image);
    let place = Place {
        repository: &listed,
        access: &access,
        keys: keys.as_ref(),
    };
    let (scan, choices) = match choose(&ports.registry, place, &policy, &scan, &currents).await {
        Ok(chosen) => chosen,
        Err(error) => return Decision::Unavailable(told(&error, error.hint())),
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
            None => ports.registry.digest(&listed, &tag, &access).await,
        };
        match digest {
            Ok(digest) => decided.digests.insert(tag, digest),
            Err(error) => return Decision::Unavailable(told(&error, error.hint())),
        };
    }
    Decision::Decided(Box::new(decided))
}

/// Looks up what a policy has to know, and asks it what it says for each tag that is in Git.
///
/// # Errors
///
/// The registry could not tell, or was to be asked for too much.
pub async fn choose<'s, R: Registry>(
    registry: &R,
    place: Place<'_>,
    policy: &Policy,
    scan: &'s Scan,
    currents: &BTreeSet<Option<String>>,
) -> Result<(Cow<'s, Scan>, BTreeMap<Option<String>, Choice>), FactsError> {
    let scan = complete(registry, place, policy, scan, currents).await?;
    let choices = choices(policy, &scan, currents);
    Ok((scan, choices))
}

/// What the policy says for each tag that is in Git; it is the time of the scan.
fn choices(
    policy: &Policy,
    scan: &Scan,
    currents: &BTreeSet<Option<String>>,
) -> BTreeMap<Option<String>, Choice> {
    let decider = policy::Decider::new(policy, scan, scan.finished);
    let choices = currents.iter().cloned().map(|current| {
        let (verdict, stages) = decider.verdict(current.as_deref());
        let policy::Stages {
            listed, candidates, ..
        } = stages;
        let order = &policy.order;
        let mut why = format!("{order}: best of {candidates} candidates, {listed} tags");
        if let Some(key) = policy::signer(policy, scan, &verdict) {
            why.push_str(&format!(", signed by `{key}`"));
        }
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

/// What has to be asked for one policy, and where.
pub struct Question {
    /// The image, as it is written into Git.
    pub image: Repository,
    /// With which rights and by which way.
    pub connection: Connection,
    /// The policy.
    pub policy: Policy,
    /// The Secret with the keys that an image must be signed by one of, where the policy wants that.
    pub verify: Option<ObjectKey>,
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

impl Question {
    /// The repository that is listed: the image, or its mirror.
    pub fn listed(&self) -> &Repository {
        self.connection.mirror.as_ref().unwrap_or(&self.image)
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
                verify: None,
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
        verify: policy.verify.clone(),
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
            pull_account: None,
            cloud: None,
            certificates: None,
            proxy: None,
            token_realms: Vec::new(),
            plain_http: PlainHttp::Refuse,
            timeout: INLINE_TIMEOUT,
            mirror: None,
            whole_every: None,
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
pub(super) fn told(error: &dyn std::error::Error, hint: Option<String>) -> String {
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
