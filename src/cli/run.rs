//! `plan` and `run`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use super::{
    DiscoverArguments, Exit, Global, Trouble, comment, docker_config, load, output::Output,
    progress::Watched, registry,
};
use crate::{
    config::{
        Automation, Config, GitProviderName, ObjectKey, PullRequestSettings, RemoteSettings,
        SecretSource, SecretValue,
    },
    egress::Egress,
    error::Class,
    once::{self, DocumentVault},
    pipeline::{self, End, Failure, Intent, Listings, Observed, Outcome, Plan, Ports, Scope},
    policy::PolicyName,
    report::{
        RunReport,
        text::{self, Detail},
    },
    scan::OciRegistry,
    secret::Authority,
    update::{
        git::{self, Author, Branch, Checkout, GitRemote, PushSettings, SourceFile, UpdatePath},
        local::{self, LocalTree},
        message::{self, Trailer},
        plan::ChangeSet,
        targets::{SETTINGS, Targets},
    },
};

const DEFAULT_AUTHOR: &str = "tagwright <tagwright@users.noreply.invalid>";

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Work on a folder (or one file) of this machine, without Git
    #[arg(long, value_name = "DIR", conflicts_with = "remote")]
    in_place: Option<PathBuf>,
    /// Work on a Git remote that no document describes (https://…, http://… or file://…)
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
    #[command(flatten)]
    ad_hoc: AdHoc,
    #[command(flatten)]
    discover: DiscoverArguments,
    /// Exit with 3 when something changed or would change
    #[arg(long)]
    detailed_exitcode: bool,
    /// Keep fetched Git objects, and what is known of images, in this folder; it may be deleted at
    /// any time, but then every tag is seen for the first time again
    #[arg(long, value_name = "DIR", env = "TAGWRIGHT_CACHE")]
    cache: Option<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    #[command(flatten)]
    run: RunArguments,
    /// Write the plan into one comment on the pull request with this address, again and again; on the
    /// one that the CI job belongs to where none is given (token: `TAGWRIGHT_FORGE_TOKEN`)
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    comment: Option<String>,
}

/// What an automation would say, for `--remote`.
#[derive(Debug, Args)]
struct AdHoc {
    /// The branch to read
    #[arg(long, value_name = "NAME", default_value = "main", requires = "remote")]
    branch: String,
    /// The branch to push to, if not the same
    #[arg(long, value_name = "NAME", requires = "remote")]
    push_branch: Option<String>,
    /// Open a pull request from the push branch, with the fields of `pullRequest` in documents:
    /// '{labels: [images], draft: true}'
    #[arg(
        long,
        value_name = "FIELDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "{}",
        requires = "push_branch"
    )]
    pull_request: Option<String>,
    /// The folder or file below which values are updated
    #[arg(
        long,
        value_name = "PATH",
        default_value = "",
        hide_default_value = true,
        requires = "remote"
    )]
    path: String,
    /// Who commits
    #[arg(long, value_name = "NAME <EMAIL>", default_value = DEFAULT_AUTHOR, requires = "remote")]
    author: String,
    /// Who is named beside the author, in `Co-authored-by`; may be repeated
    #[arg(long, value_name = "NAME <EMAIL>", requires = "remote")]
    co_author: Vec<String>,
    /// End the message in the author's `Signed-off-by`
    #[arg(long, requires = "remote")]
    sign_off: bool,
}

pub(super) async fn plan(
    arguments: PlanArguments,
    global: &Global,
    output: &mut Output,
) -> Result<Exit, Trouble> {
    let request = arguments.comment.as_deref().map(comment::Request::find);
    let request = request.transpose()?;
    let (report, exit) = execute(arguments.run, global, output, Intent::Plan).await?;
    if let Some(request) = request {
        request.tell(&report).await?;
    }
    Ok(exit)
}

pub(super) async fn run(
    arguments: RunArguments,
    global: &Global,
    output: &mut Output,
) -> Result<Exit, Trouble> {
    let (_, exit) = execute(arguments, global, output, Intent::Apply).await?;
    Ok(exit)
}

async fn execute(
    arguments: RunArguments,
    global: &Global,
    output: &mut Output,
    intent: Intent,
) -> Result<(RunReport, Exit), Trouble> {
    let mut config = load(global, output)?;
    if let Some(url) = &arguments.remote {
        config.automations = vec![ad_hoc(url, &arguments, &mut config, &global.namespace)?];
    }
    if arguments.in_place.is_none() && config.automations.is_empty() {
        return Err(Trouble::usage(
            "there is nothing to work on",
            Some(
                "give documents with --config, a Git remote with --remote, or a folder with --in-place",
            ),
        ));
    }
    let is_described = arguments.in_place.is_none() && arguments.remote.is_none();
    if is_described && !arguments.discover.discover.is_empty() {
        return Err(Trouble::usage(
            "`--discover` is for --in-place and --remote",
            Some("say it in the document: spec.update.discover.strategies"),
        ));
    }
    let named_remote = config
        .automations
        .first()
        .filter(|_| arguments.remote.is_some());
    let named_remote = named_remote.and_then(|it| Authority::of(&it.remote.url));
    // The folder goes with the process; a cache is kept only where one was asked for.
    let cache = arguments.cache.as_deref();
    let store = Store::open(cache)?;
    let ports = ports(&config, &store, cache, named_remote, output).await?;
    let listings = Listings::default();
    let outcomes = match &arguments.in_place {
        Some(folder) => vec![
            in_place(
                &config,
                &global.namespace,
                &ports,
                &listings,
                folder,
                &arguments.discover.targets(&config, |_| true),
                intent,
            )
            .await,
        ],
        None => once::run(&config, &ports, &listings, intent).await,
    };
    ports.registry.finish();
    let report = RunReport::new(&outcomes);
    let detail = if intent == Intent::Plan {
        Detail::Plan
    } else {
        Detail::Brief
    };
    output.result(&report, || text::run(&report, detail));
    let exit = match () {
        () if report.summary.failed > 0 => Exit::Error,
        () if arguments.detailed_exitcode && report.has_changes() => Exit::Changed,
        () => Exit::Done,
    };
    Ok((report, exit))
}

/// What a run of the documents would do, which is not told here.
pub(super) async fn planned(
    config: &Config,
    cache: Option<&OsStr>,
    output: &Output,
) -> Result<RunReport, Trouble> {
    let store = Store::open(cache)?;
    let ports = ports(config, &store, cache, None, output).await?;
    let outcomes = once::run(config, &ports, &Listings::default(), Intent::Plan).await;
    ports.registry.finish();
    Ok(RunReport::new(&outcomes))
}

/// The ways out, where every secret of the documents can be read.
async fn ports<'c>(
    config: &'c Config,
    store: &Store,
    cache: Option<&OsStr>,
    named_remote: Option<Authority>,
    output: &Output,
) -> Result<Ports<Watched<OciRegistry>, GitRemote, DocumentVault<'c>>, Trouble> {
    let vault = DocumentVault {
        config,
        docker_config: docker_config(),
        named_remote,
    };
    let checked = once::check_secrets(config, &vault).await;
    checked.map_err(|error| {
        let mut trouble = Trouble::new(&error, Class::Config, None);
        trouble.exit = Exit::Usage;
        trouble
    })?;
    Ok(Ports {
        registry: Watched::new(registry(cache), output.is_text()),
        remote: GitRemote::new(Egress::new(), store.path().to_owned()),
        vault,
    })
}

pub(super) enum Store {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Store {
    pub(super) fn open(cache: Option<&OsStr>) -> Result<Self, Trouble> {
        match cache.filter(|it| !it.is_empty()) {
            Some(path) => Ok(Self::Kept(path.into())),
            None => tempfile::Builder::new()
                .prefix("tagwright-")
                .tempdir()
                .map(Self::Temporary)
                .map_err(|error| Trouble::new(&error, Class::Config, None)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

/// The automation that the command line describes: all policies of the namespace take part.
fn ad_hoc(
    url: &str,
    arguments: &RunArguments,
    config: &mut Config,
    namespace: &str,
) -> Result<Automation, Trouble> {
    let is_own = |name: &PolicyName| name.namespace == namespace;
    let targets = arguments.discover.targets(config, is_own);
    let arguments = &arguments.ad_hoc;
    let refused = |error: git::NameError| {
        let mut trouble = Trouble::new(&error, error.class(), error.hint());
        trouble.exit = Exit::Usage;
        trouble
    };
    let author = parse_author(&arguments.author)?;
    let mut trailers = Vec::new();
    for co_author in &arguments.co_author {
        trailers.push(Trailer::co_author(&parse_author(co_author)?));
    }
    trailers.extend(arguments.sign_off.then(|| Trailer::sign_off(&author)));
    let branch = Branch::new(&arguments.branch).map_err(refused)?;
    let push_branch = match &arguments.push_branch {
        Some(name) => Branch::new(name).map_err(refused)?,
        None => branch.clone(),
    };
    let remote = RemoteSettings {
        url: git::remote_url(url).map_err(refused)?,
        checkout: Checkout::Branch(branch),
        push_branch,
        push: PushSettings::default(),
        path: UpdatePath::new(&arguments.path).map_err(refused)?,
        provider: GitProviderName::Generic,
        credentials: None,
        proxy: None,
        signing_key: None,
        verify: None,
        timeout: std::time::Duration::from_mins(5),
    };
    let pull_request = match &arguments.pull_request {
        Some(fields) => {
            let credentials = forge_token(config, namespace);
            let settings = PullRequestSettings::read(fields, namespace, &remote, credentials);
            Some(settings.map_err(once::LoadError::from)?)
        }
        None => None,
    };
    Ok(Automation {
        key: ObjectKey {
            namespace: namespace.to_owned(),
            name: "command-line".to_owned(),
        },
        remote,
        trailers,
        author,
        message: None,
        message_values: std::collections::BTreeMap::new(),
        policies: config
            .policies
            .keys()
            .filter(|it| is_own(it))
            .cloned()
            .collect(),
        targets: Arc::new(targets),
        pull_request,
        suspended: false,
    })
}

/// The Secret that stands for the token of the environment, if there is one.
fn forge_token(config: &mut Config, namespace: &str) -> Option<ObjectKey> {
    std::env::var_os(comment::TOKEN).filter(|it| !it.is_empty())?;
    let key = ObjectKey {
        namespace: namespace.to_owned(),
        name: "the token of the environment".to_owned(),
    };
    let token = SecretValue::Environment(comment::TOKEN.to_owned());
    let source = SecretSource {
        kind: "Opaque".to_owned(),
        values: BTreeMap::from([("token".to_owned(), token)]),
        file: String::new(),
    };
    config.secrets.insert(key.clone(), source);
    Some(key)
}

pub(super) fn parse_author(text: &str) -> Result<Author, Trouble> {
    let author = text.strip_suffix('>').and_then(|text| text.split_once('<'));
    match author {
        Some((name, email)) if email.contains('@') => Ok(Author {
            name: name.trim().to_owned(),
            email: email.trim().to_owned(),
        }),
        _ => Err(Trouble::usage(
            &format!("`{text}` is no author"),
            Some("write it like `Jane Doe <jane@example.com>`"),
        )),
    }
}

/// Takes a folder through the pipeline: read, decide, write.
pub(super) async fn in_place<R: crate::scan::Registry, G, V: crate::access::Vault>(
    config: &Config,
    namespace: &str,
    ports: &Ports<R, G, V>,
    listings: &Listings,
    folder: &Path,
    targets: &Targets,
    intent: Intent,
) -> Outcome {
    let mut outcome = Outcome {
        automation: ObjectKey {
            namespace: "local".to_owned(),
            name: "folder".to_owned(),
        },
        remote: folder.display().to_string(),
        branch: None,
        observed: None,
        plan: None,
        proposal: None,
        end: End::Unchanged,
    };
    let read = local::settings(folder, SETTINGS).and_then(|settings| {
        let targets = pipeline::with_settings(targets, settings.as_deref(), namespace);
        Ok((local::read(folder, &targets)?, targets))
    });
    let (tree, targets) = match read {
        Ok(read) => read,
        Err(error) => {
            outcome.end = End::Failed(Failure::Local(error));
            return outcome;
        }
    };
    outcome.observed = Some(Observed {
        checkout: None,
        base: None,
        files: tree.looked_at,
        marked_files: tree.files.len(),
        skipped: tree.skipped.clone(),
    });
    let scope = Scope {
        config,
        policies: None,
        targets: &targets,
        namespace,
    };
    let changes = pipeline::decide_files(&scope, ports, listings, tree.files.clone()).await;
    outcome.end = match intent {
        _ if changes.is_empty() => pipeline::end_without_change(&changes),
        Intent::Plan => End::Planned,
        Intent::Apply => match write(&tree, &changes) {
            Ok(()) => End::Written,
            Err(failure) => End::Failed(failure),
        },
    };
    outcome.plan = Some(folder_plan(&tree, changes));
    outcome
}

fn folder_plan(tree: &LocalTree, changes: ChangeSet) -> Plan {
    let replaced = changes.files.iter().map(|file| &file.path);
    let replaced = replaced.collect::<BTreeSet<_>>();
    let is_replaced = |file: &&SourceFile| replaced.contains(&file.path);
    let before = tree.files.iter().filter(is_replaced).cloned().collect();
    Plan {
        steps: message::steps(&changes),
        before,
        commit: None,
        changes,
    }
}

fn write(tree: &LocalTree, changes: &ChangeSet) -> Result<(), Failure> {
    let old = tree
        .files
        .iter()
        .map(|file| (&file.path, file))
        .collect::<BTreeMap<_, _>>();
    let files = changes
        .files
        .iter()
        .filter_map(|new| Some((*old.get(&new.path)?, new.bytes.as_slice())));
    Ok(local::replace(&tree.root, &files.collect::<Vec<_>>())?)
}
