//! `explain`: every stage of a policy, with counts and reasons.
#![expect(
    clippy::disallowed_methods,
    reason = "`--replay` reads the file that the user names"
)]

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    ConnectionArguments, DiscoverArguments, Exit, Global, Trouble, docker_config, load,
    output::Output, progress::Watched, registry, run,
};
use crate::{
    access::{self, AccessError},
    config::Config,
    image::{ImageReference, Repository, Tag},
    once::DocumentVault,
    pipeline::{self, Place, Scope},
    policy::{Policy, PolicyName},
    report::explain::{ExplainReport, FollowerReport, PolicyReport, RecordedReport},
    scan::{Access, Registry as _, TrustedKeys},
    update::{
        PolicyKey,
        local::{self, LocalError},
        marker::InlineRule,
        targets::{SETTINGS, Targets},
    },
};

/// The longest file that is replayed; what follows is not read.
const REPLAY_LIMIT: u64 = 1 << 30;

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// A policy of the configuration (namespace:name, or its name alone), or an image
    ///
    /// For an image of the configuration, every policy about it is explained. The tag of an image,
    /// where one is given, stands for the value in Git.
    #[arg(value_name = "POLICY|IMAGE", required_unless_present = "replay")]
    subject: Option<String>,
    /// The policy for an image, in the words of a marker, such as 'semver=1.x'
    ///
    /// The image is listed as its ImageRepository says, where a document describes it, and else as the
    /// flags below say.
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Show every rejected tag
    #[arg(long)]
    all: bool,
    /// Explain again what an earlier `explain -o json` wrote to FILE; asks nobody
    #[arg(long, value_name = "FILE", conflicts_with_all = ["subject", "rule"])]
    replay: Option<PathBuf>,
    /// Where `run` keeps what it remembers, such as when a tag was first seen
    #[arg(long, value_name = "DIR", env = "TAGWRIGHT_CACHE")]
    cache: Option<OsString>,
    /// Name the values of a folder (or one file) that follow the policy, and who says so
    #[arg(long, value_name = "DIR", conflicts_with_all = ["rule", "replay"])]
    in_place: Option<PathBuf>,
    /// Read the Git remotes of the documents, and name the values that follow the policy, and why one
    /// is held: a person may have taken it back
    #[arg(long, conflicts_with_all = ["rule", "replay", "in_place"])]
    git: bool,
    #[command(flatten)]
    discover: DiscoverArguments,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(super) async fn execute(
    arguments: ExplainArguments,
    global: &Global,
    output: &mut Output,
) -> Result<Exit, Trouble> {
    if let Some(path) = &arguments.replay {
        let report = replayed(path)?;
        output.result(&report, || report.text(arguments.all));
        return Ok(Exit::Done);
    }
    let config = load(global, output)?;
    let mut followers = if arguments.git {
        committed(&arguments, &config, output).await?
    } else {
        followers(&arguments, global, &config)?
    };
    let registry = Watched::new(registry(arguments.cache.as_deref()), output.is_text());
    let mut policies = Vec::new();
    for subject in subjects(&arguments, global, &config).await? {
        let scan = registry.scan(&subject.listed, &subject.access).await;
        let scan = scan.map_err(|error| {
            registry.finish();
            Trouble::new(&error, error.class(), error.hint())
        })?;
        let currents = [subject.current.as_ref().map(ToString::to_string)].into();
        let place = Place {
            repository: &subject.listed,
            access: &subject.access,
            keys: subject.keys.as_ref(),
        };
        let scan = pipeline::complete(&registry, place, &subject.policy, &scan, &currents);
        let scan = scan.await.map_err(|error| {
            registry.finish();
            Trouble::new(&error, error.class(), error.hint())
        })?;
        let Subject { name, policy, .. } = subject;
        let mut report = PolicyReport::new(name, &policy, &scan, subject.current.as_ref());
        report.suspended = subject.suspended;
        report.values = followers.remove(&report.policy).unwrap_or_default();
        policies.push(report);
    }
    registry.finish();
    let report = ExplainReport::new(policies);
    output.result(&report, || report.text(arguments.all));
    Ok(Exit::Done)
}

/// The values of the folder that was given, by the policy that they follow.
fn followers(
    arguments: &ExplainArguments,
    global: &Global,
    config: &Config,
) -> Result<BTreeMap<String, Vec<FollowerReport>>, Trouble> {
    let mut followers = BTreeMap::<_, Vec<_>>::new();
    let Some(folder) = &arguments.in_place else {
        return Ok(followers);
    };
    let failed = |error: LocalError| Trouble::new(&error, error.class(), None);
    let settings = local::settings(folder, SETTINGS).map_err(failed)?;
    let targets = arguments.discover.targets(config, |_| true);
    let targets = pipeline::with_settings(&targets, settings.as_deref(), &global.namespace);
    let tree = local::read(folder, &targets).map_err(failed)?;
    let scope = Scope {
        config,
        policies: None,
        targets: &targets,
        namespace: &global.namespace,
    };
    for value in pipeline::check_files(&scope, tree.files).values {
        let follower = FollowerReport::new(&value, &targets);
        let policy = value.policy.to_string();
        followers.entry(policy).or_default().push(follower);
    }
    Ok(followers)
}

/// The values in Git, by the policy that they follow, and what a run would make of them.
async fn committed(
    arguments: &ExplainArguments,
    config: &Config,
    output: &mut Output,
) -> Result<BTreeMap<String, Vec<FollowerReport>>, Trouble> {
    let report = run::planned(config, arguments.cache.as_deref(), output).await?;
    let mut followers = BTreeMap::<_, Vec<_>>::new();
    for automation in report.automations {
        if let Some(error) = &automation.error {
            let name = &automation.automation;
            output.note(&format!("warning: `{name}`: {}", error.message));
        }
        for value in &automation.values {
            let follower = FollowerReport::of(value);
            followers
                .entry(value.policy.clone())
                .or_default()
                .push(follower);
        }
    }
    Ok(followers)
}

fn replayed(path: &Path) -> Result<ExplainReport, Trouble> {
    let wrong = |error: &dyn std::fmt::Display| {
        let message = format!("cannot replay `{}`: {error}", path.display());
        Trouble::usage(&message, Some("write the file with `explain -o json`"))
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    let limited = file.take(REPLAY_LIMIT).read_to_end(&mut bytes);
    limited.map_err(|error| wrong(&error))?;
    let recorded = serde_json::from_slice::<RecordedReport>(&bytes);
    let recorded = recorded.map_err(|error| wrong(&error))?;
    recorded.replay().map_err(|error| wrong(&error))
}

/// One policy to be explained, and how to list its image.
struct Subject {
    name: String,
    /// The image, or its mirror.
    listed: Repository,
    policy: Policy,
    access: Access,
    keys: Option<TrustedKeys>,
    current: Option<Tag>,
    suspended: bool,
}

async fn subjects(
    arguments: &ExplainArguments,
    global: &Global,
    config: &Config,
) -> Result<Vec<Subject>, Trouble> {
    // Only `--replay` goes without.
    let subject = arguments.subject.as_deref().unwrap_or_default();
    let image = subject.parse::<ImageReference>().ok();
    let scope = Scope {
        config,
        policies: None,
        targets: &Targets::default(),
        namespace: &global.namespace,
    };
    let vault = DocumentVault {
        config,
        docker_config: docker_config(),
        named_remote: None,
    };
    if let (Some(rule), Some(image)) = (&arguments.rule, &image) {
        return Ok(vec![
            ruled(&arguments.connection, &scope, &vault, rule, image).await?,
        ]);
    }
    let names = named(subject, image.as_ref(), global, config);
    let mut subjects = Vec::new();
    for name in &names {
        let question = pipeline::question(&scope, &PolicyKey::Named(name.clone()));
        let question = question.map_err(|_| {
            Trouble::usage(&format!("policy `{name}` has no ImageRepository"), None)
        })?;
        let shut = |error: AccessError| Trouble::new(&error, error.class(), error.hint());
        let access = access::registry(&vault, &question.connection, question.listed()).await;
        let keys = access::trusted_keys(&vault, question.verify.as_ref()).await;
        subjects.push(Subject {
            name: name.to_string(),
            access: access.map_err(shut)?,
            keys: keys.map_err(shut)?,
            listed: question.listed().clone(),
            policy: question.policy,
            current: image.as_ref().and_then(|image| image.tag().cloned()),
            suspended: question.suspended.is_some(),
        });
    }
    if subjects.is_empty() {
        let known = config
            .policies
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        let near = crate::nearest::nearest(subject, known.iter().map(String::as_str));
        let hint = near.map_or_else(
            || {
                "give documents with --config, or for an image a policy with --rule semver=1.x"
                    .to_owned()
            },
            |near| format!("did you mean `{near}`?"),
        );
        let message = match &image {
            Some(image) if subject.contains(['/', '.']) => {
                format!("no policy here is about `{}`", image.repository())
            }
            _ => format!("there is no policy `{subject}`"),
        };
        return Err(Trouble::usage(&message, Some(&hint)));
    }
    Ok(subjects)
}

/// An image with a policy in the words of a marker. It is listed as the documents say, with their
/// secrets, where they describe it, and else as the flags say.
async fn ruled(
    connection: &ConnectionArguments,
    scope: &Scope<'_>,
    vault: &DocumentVault<'_>,
    rule: &str,
    image: &ImageReference,
) -> Result<Subject, Trouble> {
    let usage = |message: String| Trouble::usage(&format!("`--rule {rule}`: {message}"), None);
    let parsed = InlineRule::parse(rule).map_err(usage)?;
    let policy = pipeline::inline_policy(&parsed).map_err(usage)?;
    let described = pipeline::described(scope, image.repository());
    let mirror = described.and_then(|described| described.mirror.as_ref());
    let listed = mirror.unwrap_or(image.repository()).clone();
    let access = match described {
        Some(described) => access::registry(vault, described, &listed)
            .await
            .map_err(|error| Trouble::new(&error, error.class(), error.hint()))?,
        None => connection.access(&listed).await?,
    };
    Ok(Subject {
        name: parsed.to_string(),
        listed,
        policy,
        access,
        keys: None,
        current: image.tag().cloned(),
        suspended: false,
    })
}

/// The policies that a subject means: by full name, by name alone, or all about an image.
fn named(
    subject: &str,
    image: Option<&ImageReference>,
    global: &Global,
    config: &Config,
) -> Vec<PolicyName> {
    let names = config.policies.keys();
    let full = |it: &&PolicyName| {
        let PolicyName { namespace, name } = it;
        subject == format!("{namespace}:{name}") || subject == format!("{namespace}/{name}")
    };
    let by_full_name = names.clone().filter(full).cloned().collect::<Vec<_>>();
    if !by_full_name.is_empty() {
        return by_full_name;
    }
    let by_name = names
        .filter(|it| it.name == subject)
        .cloned()
        .collect::<Vec<_>>();
    match by_name.iter().find(|it| it.namespace == global.namespace) {
        Some(own) => return vec![own.clone()],
        None if !by_name.is_empty() => return by_name,
        None => {}
    }
    let about = config.policies.values().filter(|policy| {
        let source = config.images.get(&policy.image);
        source.is_some_and(|it| image.is_some_and(|image| *image.repository() == it.image))
    });
    about.map(|policy| policy.name.clone()).collect()
}
