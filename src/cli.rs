//! The command line: arguments in, exit code out.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the edge to the environment and the clock"
)]

mod action;
mod comment;
#[cfg(feature = "controller")]
mod controller;
mod crds;
mod demo;
mod explain;
mod init;
mod lint;
mod output;
mod progress;
mod run;
mod scan;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tracing_subscriber::EnvFilter;

use self::output::Output;
#[cfg(feature = "clouds")]
use crate::{
    access::cloud_keychain,
    cloud::{Caller, Cloud},
};
use crate::{
    config::{Config, ConfigError, Fault},
    egress::{Egress, PlainHttp, Route},
    error::Class,
    image::Repository,
    once::{self, LoadError},
    policy::PolicyName,
    report::{self, ErrorReport},
    scan::{Access, Keychain, OciRegistry, Store},
    update::{
        discovery::{Discovery, Missing, Search, Strategy},
        targets::Targets,
    },
};

/// Keeps container image references in Git current.
///
/// Scans registries for tags, lets policies choose, edits the marked values byte by byte, and
/// pushes commits. Start with `tagwright demo`, then try `tagwright plan --in-place .` in a folder
/// with manifests.
#[derive(Debug, Parser)]
#[command(name = "tagwright", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// How large a file with certificates may be.
const MAX_CERTIFICATES: u64 = 4 * 1024 * 1024;

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do
  1  an error, or findings of `lint`
  2  wrong usage or configuration; nothing was run
  3  something changed or would change (with --detailed-exitcode)";

#[derive(Debug, Args)]
struct Global {
    /// A file or folder with documents (Flux's image kinds, GitRepository, Secret)
    #[arg(
        short,
        long,
        value_name = "PATH",
        global = true,
        env = "TAGWRIGHT_CONFIG"
    )]
    config: Vec<OsString>,
    /// Where documents without a namespace belong
    #[arg(
        short,
        long,
        value_name = "NAME",
        global = true,
        default_value = "default"
    )]
    namespace: String,
    /// How results are written to standard output
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    color: Colour,
    /// What is logged to standard error: error, warn, info, debug, trace
    #[arg(
        long,
        value_name = "FILTER",
        global = true,
        env = "TAGWRIGHT_LOG",
        default_value = "warn"
    )]
    log: String,
    /// How logs are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Plain words
    Text,
    /// JSON with the schemas of docs/schema
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Colour {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object for each line
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole job on an embedded registry and a Git repository in a temporary folder
    Demo(demo::DemoArguments),
    /// Show the diff and the commit message that `run` would make; writes nothing anywhere
    Plan(run::PlanArguments),
    /// Update every automation once
    Run(run::RunArguments),
    /// Tell stage by stage why a policy chooses what it chooses
    Explain(explain::ExplainArguments),
    /// List the tags of a repository
    Scan(scan::ScanArguments),
    /// Propose policies for the images of a folder, and markers; writes nothing without --write
    Init(init::InitArguments),
    /// Insert markers for given policies; writes nothing without --write
    Annotate(init::AnnotateArguments),
    /// Check every marker of a folder; exit code 1 on findings
    Lint(lint::LintArguments),
    /// Watch the objects of a cluster and keep Git current, until asked to stop
    #[cfg(feature = "controller")]
    Controller(Box<controller::ControllerArguments>),
    /// Print the definitions of the three image kinds, for `kubectl apply -f -`
    Crds,
    /// One step of a GitHub workflow: inputs and outputs by the runner's variables (see action.yml)
    Action,
    /// Print a completion script
    Completion {
        /// The shell
        shell: Shell,
    },
}

/// What ended a command early.
#[derive(Debug)]
struct Trouble {
    report: ErrorReport,
    /// What is wrong with the configuration.
    faults: Vec<Fault>,
    exit: Exit,
}

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Error = 1,
    Usage = 2,
    Changed = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Trouble {
    fn new(error: &dyn std::error::Error, class: Class, hint: Option<String>) -> Self {
        let exit = Exit::Error;
        Self {
            report: ErrorReport::of(error, class, hint),
            faults: Vec::new(),
            exit,
        }
    }

    fn usage(message: &str, hint: Option<&str>) -> Self {
        let report = ErrorReport {
            class: "config",
            message: message.to_owned(),
            causes: Vec::new(),
            hint: hint.map(str::to_owned),
        };
        Self {
            report,
            faults: Vec::new(),
            exit: Exit::Usage,
        }
    }
}

impl From<LoadError> for Trouble {
    fn from(error: LoadError) -> Self {
        let faults = match &error {
            LoadError::Config(ConfigError { faults }) => faults.clone(),
            LoadError::Read { .. } => Vec::new(),
        };
        Self {
            report: ErrorReport::of(&error, Class::Config, None),
            faults,
            exit: Exit::Usage,
        }
    }
}

/// Runs the program with `arguments` (the program's name first).
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to tell where standard error is closed.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Done.into()
            };
        }
    };
    match arguments.global.color {
        Colour::Auto => {}
        Colour::Always => anstream::ColorChoice::Always.write_global(),
        Colour::Never => anstream::ColorChoice::Never.write_global(),
    }
    let mut output = Output::new(arguments.global.output);
    #[cfg(feature = "controller")]
    let arguments = with_own_log(arguments);
    let result = start_log(&arguments.global).and_then(|()| execute(arguments, &mut output));
    let exit = result.unwrap_or_else(|trouble| {
        output.trouble(&trouble);
        trouble.exit
    });
    if output.is_broken() {
        Exit::Error.into()
    } else {
        exit.into()
    }
}

fn execute(arguments: Arguments, output: &mut Output) -> Result<Exit, Trouble> {
    let Arguments { command, global } = arguments;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Trouble::new(&error, Class::Bug, None))?;
    runtime.block_on(async {
        match command {
            Command::Demo(arguments) => demo::execute(arguments, output).await,
            Command::Plan(arguments) => run::plan(arguments, &global, output).await,
            Command::Run(arguments) => run::run(arguments, &global, output).await,
            Command::Explain(arguments) => explain::execute(arguments, &global, output).await,
            Command::Scan(arguments) => scan::execute(arguments, output).await,
            Command::Init(arguments) => init::init(arguments, &global, output).await,
            Command::Annotate(arguments) => init::annotate(&arguments, &global, output),
            Command::Action => action::execute(&global, output).await,
            Command::Lint(arguments) => lint::execute(arguments, &global, output).await,
            #[cfg(feature = "controller")]
            Command::Controller(arguments) => controller::execute(*arguments).await,
            Command::Crds => Ok(crds::execute(output)),
            Command::Completion { shell } => {
                let mut script = Vec::new();
                let mut command = Arguments::command();
                clap_complete::generate(shell, &mut command, "tagwright", &mut script);
                output.print(&String::from_utf8_lossy(&script));
                Ok(Exit::Done)
            }
        }
    })
}

/// The controller's log has the flags of Flux's.
#[cfg(feature = "controller")]
fn with_own_log(mut arguments: Arguments) -> Arguments {
    if let Command::Controller(own) = &arguments.command {
        own.set_log(&mut arguments.global);
    }
    arguments
}

fn start_log(global: &Global) -> Result<(), Trouble> {
    // Libraries below log what they please; only what is asked for by name is shown of them.
    let filter = if global.log.contains(['=', ',']) {
        global.log.clone()
    } else {
        format!("off,tagwright={}", global.log)
    };
    let filter = EnvFilter::try_new(&filter).map_err(|_| {
        Trouble::usage(
            &format!("`{}` is no log filter", global.log),
            Some("write one of: error, warn, info, debug, trace"),
        )
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match global.log_format {
        LogFormat::Text => log
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// Reads the configuration and tells its warnings.
fn load(global: &Global, output: &mut Output) -> Result<Config, Trouble> {
    // CI systems set variables to nothing where they mean none.
    let paths = global
        .config
        .iter()
        .filter(|it| !it.is_empty())
        .map(PathBuf::from);
    let config = once::load(&paths.collect::<Vec<_>>(), &global.namespace)?;
    for warning in &config.warnings {
        output.note(&format!("warning: {warning}"));
    }
    Ok(config)
}

/// Where the docker configuration of the user who runs this is.
fn docker_config() -> Option<PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    folder.or(home).map(|folder| folder.join("config.json"))
}

/// How a registry is reached that no document describes.
#[derive(Debug, Args)]
struct ConnectionArguments {
    /// Accept a registry that speaks plain http
    #[arg(long)]
    insecure: bool,
    /// A PEM file with certificates that are trusted in addition to the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How long one scan may take, such as 30s or 5m
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    timeout: std::time::Duration,
    /// Log in by the identity that a cloud gives, instead of the docker configuration
    #[cfg(feature = "clouds")]
    #[arg(long, value_name = "CLOUD")]
    provider: Option<Provider>,
}

/// A cloud that gives identities.
#[cfg(feature = "clouds")]
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Provider {
    /// Amazon Web Services
    Aws,
    /// Microsoft Azure
    Azure,
    /// Google Cloud
    Gcp,
}

#[cfg(feature = "clouds")]
impl From<Provider> for Cloud {
    fn from(provider: Provider) -> Self {
        match provider {
            Provider::Aws => Self::Aws,
            Provider::Azure => Self::Azure,
            Provider::Gcp => Self::Gcp,
        }
    }
}

fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    crate::config::duration::parse(text).ok_or_else(|| "write it like 30s, 5m or 1h30m".to_owned())
}

impl ConnectionArguments {
    /// What opens a registry for a command that names an image itself.
    async fn access(&self, image: &Repository) -> Result<Access, Trouble> {
        let mut route = Route::default();
        if self.insecure {
            route.plain_http = PlainHttp::Allow;
        }
        if let Some(path) = &self.ca_file {
            let pem = once::read_bounded(path, MAX_CERTIFICATES).map_err(|error| {
                let message = format!("cannot read `{}`: {error}", path.display());
                Trouble::usage(&message, None)
            })?;
            route.certificate_authority = Some(pem);
        }
        Ok(Access {
            keychain: self.keychain(image, &route).await?,
            route,
            timeout: self.timeout,
            whole_every: None,
        })
    }

    #[cfg_attr(
        not(feature = "clouds"),
        expect(clippy::unused_async, reason = "only a cloud has to be asked")
    )]
    async fn keychain(&self, image: &Repository, route: &Route) -> Result<Keychain, Trouble> {
        let _ = route;
        #[cfg(feature = "clouds")]
        if let Some(provider) = self.provider {
            let (cloud, caller) = (provider.into(), Caller::Ambient);
            let keychain = cloud_keychain(cloud, image, &caller, route, self.timeout).await;
            return keychain.map_err(|error| Trouble::new(&error, error.class(), error.hint()));
        }
        let keychain = once::ambient_keychain(docker_config().as_deref(), image);
        keychain.map_err(|error| Trouble::new(&error, error.class(), None))
    }
}

/// Which images are updated without markers.
#[derive(Debug, Args)]
struct DiscoverArguments {
    /// Update images without markers too, where exactly one policy is about the image: all, or
    /// some of kubernetes, kustomize, helmvalues, compose
    #[arg(long, value_name = "STRATEGY", value_delimiter = ',', num_args = 0..=1, default_missing_value = "all", require_equals = true)]
    discover: Vec<DiscoverChoice>,
    /// Add the `newTag`, and the `digest` where the policy gives one, that an entry of a
    /// kustomization's `images` does not have
    #[arg(long, requires = "discover")]
    add_missing: bool,
}

/// Every strategy, or one.
#[derive(Clone, Copy, Debug)]
enum DiscoverChoice {
    All,
    One(Strategy),
}

impl std::str::FromStr for DiscoverChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::One)
    }
}

impl DiscoverArguments {
    /// What governs values besides markers, of the policies that take part.
    fn targets(&self, config: &Config, takes_part: impl Fn(&PolicyName) -> bool) -> Targets {
        let strategies = self.discover.iter().flat_map(|choice| match choice {
            DiscoverChoice::All => Strategy::ALL.to_vec(),
            DiscoverChoice::One(strategy) => vec![*strategy],
        });
        Targets {
            discovery: Discovery {
                search: Search {
                    strategies: strategies.collect(),
                    resources: Vec::new(),
                    missing: if self.add_missing {
                        Missing::Add
                    } else {
                        Missing::Leave
                    },
                },
                policies: config.assignments(takes_part),
            },
            ..Targets::default()
        }
    }
}

/// The registry client, which remembers in the folder `cache` where there is one.
fn registry(cache: Option<&OsStr>) -> OciRegistry {
    let registry = OciRegistry::new(Egress::new());
    // CI systems set variables to nothing where they mean none.
    match cache.filter(|it| !it.is_empty()) {
        Some(folder) => registry.remembering(Store::open(Path::new(folder))),
        None => registry,
    }
}

fn error_text(trouble: &Trouble) -> String {
    let mut text = report::text::error(&trouble.report);
    for fault in &trouble.faults {
        text.push_str(&format!("{fault}\n"));
    }
    text
}
