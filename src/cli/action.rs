//! `action`: one step of a GitHub workflow. Inputs and event from the runner's environment; outputs,
//! summary, annotations and exit code back to it.
//!
//! Inputs become a document, and that is checked like any other: there is one way to say what an
//! automation does, and one place that says what is wrong with it. No input goes through a shell.

use std::{collections::BTreeMap, fs, io::Write as _, path::PathBuf};

use serde_json::{Value, json};

use super::{
    Exit, Global, Trouble, comment, docker_config,
    output::Output,
    registry,
    run::{Store, in_place},
};
use crate::{
    config::{Config, ConfigFile, Origin},
    egress::Egress,
    error::Class,
    once::{self, DocumentVault},
    pipeline::{self, Intent, Listings, Ports, Scope},
    report::{
        RunReport,
        action::{
            command, frame, lint_annotations, lint_summary, output_file, outputs, run_annotations,
            run_summary,
        },
        lint::LintReport,
        text::{self, Detail},
    },
    update::{git::GitRemote, local, targets::Targets},
};

/// The automation that the inputs describe.
const NAME: &str = "github-action";
/// The branch of requests, where no input names one.
const PUSH_BRANCH: &str = "tagwright/images";
const AUTHOR: &str = "github-actions[bot] <41898282+github-actions[bot]@users.noreply.github.com>";

/// What the step is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Push a commit to the branch.
    Commit,
    /// Open, update or close requests.
    PullRequest,
    /// Say what would change in the checkout.
    Plan,
    /// Check the markers of the checkout.
    Lint,
}

/// What the runner says.
struct Runner {
    variables: BTreeMap<String, String>,
}

impl Runner {
    fn new() -> Self {
        let is_ours = |name: &str| {
            ["INPUT_", "GITHUB_", "GITEA_"]
                .iter()
                .any(|it| name.starts_with(it))
        };
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            is_ours(&name).then_some((name, value))
        });
        Self {
            variables: variables.collect(),
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?;
        Some(value.trim()).filter(|it| !it.is_empty())
    }

    /// An input, by the name that `action.yml` gives it: a runner keeps its hyphens, a composite
    /// action cannot.
    fn input(&self, name: &str) -> Option<&str> {
        let kept = format!("INPUT_{}", name.to_ascii_uppercase());
        self.variable(&kept)
            .or_else(|| self.variable(&kept.replace('-', "_")))
    }

    /// An input that is a list, divided by commas and line breaks.
    fn list(&self, name: &str) -> Vec<&str> {
        let parts = self.input(name).unwrap_or_default().split([',', '\n']);
        parts.map(str::trim).filter(|it| !it.is_empty()).collect()
    }

    fn switch(&self, name: &str) -> Result<bool, Trouble> {
        match self.input(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(refused(name, other, "true or false")),
        }
    }

    fn number(&self, name: &str) -> Result<Option<u32>, Trouble> {
        let number = self
            .input(name)
            .map(|text| text.parse().map_err(|_| refused(name, text, "a number")));
        number.transpose()
    }

    fn mode(&self) -> Result<Mode, Trouble> {
        match self.input("mode") {
            None | Some("pull-request") => Ok(Mode::PullRequest),
            Some("commit") => Ok(Mode::Commit),
            Some("plan") => Ok(Mode::Plan),
            Some("lint") => Ok(Mode::Lint),
            Some(other) => Err(refused("mode", other, "pull-request, commit, plan or lint")),
        }
    }

    /// Refuses to write for an event that somebody without write access can cause: what is checked
    /// out then, configuration included, is theirs.
    fn check_event(&self, mode: Mode) -> Result<(), Trouble> {
        if matches!(mode, Mode::Plan | Mode::Lint) {
            return Ok(());
        }
        let event = self.variable("GITHUB_EVENT_NAME").unwrap_or_default();
        let is_foreign = self
            .event()?
            .pointer("/workflow_run/head_repository/full_name")
            .is_some_and(|it| it.as_str() != self.variable("GITHUB_REPOSITORY"));
        if event.starts_with("pull_request") || event == "issue_comment" || is_foreign {
            let message = format!("refused to write for the event `{}`", event.escape_debug());
            let hint = "whoever opens a pull request could choose what is written; use the modes plan \
                        and lint there, and write on schedule, push, workflow_dispatch or \
                        repository_dispatch";
            return Err(Trouble::usage(&message, Some(hint)));
        }
        Ok(())
    }

    fn event(&self) -> Result<Value, Trouble> {
        match self.variable("GITHUB_EVENT_PATH") {
            Some(path) => comment::event(path),
            None => Ok(Value::Null),
        }
    }

    /// The request that the event is about, where the plan is to be a comment on it.
    fn comment(&self, mode: Mode) -> Result<Option<comment::Request>, Trouble> {
        if !self.switch("comment")? {
            return Ok(None);
        }
        if mode != Mode::Plan {
            let hint = "set `mode: plan`; a pull request that we open tells its own story";
            return Err(Trouble::usage("`comment` is for the mode plan", Some(hint)));
        }
        let page = comment::of_event(&self.event()?).ok_or_else(|| {
            let hint = "run the step on: pull_request";
            Trouble::usage("the event is not about a pull request", Some(hint))
        })?;
        let token = self.input("token").unwrap_or_default().to_owned();
        comment::Request::at(&page, token).map(Some)
    }

    /// Adds text to a file of the runner, if there is one.
    fn add(&self, variable: &str, text: &str) -> Result<(), Trouble> {
        let Some(path) = self.variable(variable) else {
            return Ok(());
        };
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| {
            Trouble::usage(
                &format!("cannot write to {variable} `{path}`: {error}"),
                None,
            )
        })
    }
}

fn refused(name: &str, value: &str, known: &str) -> Trouble {
    let message = format!("the input `{name}` is `{}`", value.escape_debug());
    Trouble::usage(&message, Some(&format!("it is {known}")))
}

pub(super) async fn execute(global: &Global, output: &mut Output) -> Result<Exit, Trouble> {
    let runner = Runner::new();
    // Before anything else is said: a runner, and nobody else, keeps out of its log what it is told here.
    let is_runner = runner.variable("GITHUB_ACTIONS") == Some("true");
    if let Some(token) = runner.input("token").filter(|_| is_runner) {
        output.print(&command("add-mask", &[], token));
    }
    let mode = runner.mode()?;
    runner.check_event(mode)?;
    let changed_is_three = runner.switch("detailed-exitcode")?;
    let request = runner.comment(mode)?;
    let mut files = once::documents(&configuration(&runner, global))?;
    if matches!(mode, Mode::Commit | Mode::PullRequest) {
        files.extend(documents(&runner, mode)?);
    }
    let mut config = Config::read(&files, &global.namespace).map_err(once::LoadError::from)?;
    config.automations.retain(|it| it.key.name == NAME);
    match mode {
        Mode::Lint => lint(&runner, &config, global, output).await,
        Mode::Plan | Mode::Commit | Mode::PullRequest => {
            let report = run(&runner, mode, &config, global).await?;
            tell(&runner, &report, output)?;
            if let Some(request) = request {
                match request.tell(&report).await {
                    // What a fork's pull request is given may read and not write.
                    Err(error) if error.class() == Class::Denied => {
                        let words = format!("the plan is not commented: {error}");
                        output.print(&command("warning", &[], &words));
                    }
                    result => drop(result?),
                }
            }
            Ok(match () {
                () if report.summary.failed > 0 => Exit::Error,
                () if changed_is_three && report.has_changes() => Exit::Changed,
                () => Exit::Done,
            })
        }
    }
}

fn configuration(runner: &Runner, global: &Global) -> Vec<PathBuf> {
    let given = global
        .config
        .iter()
        .filter(|it| !it.is_empty())
        .map(PathBuf::from);
    let inputs = runner.list("config").into_iter().map(PathBuf::from);
    given.chain(inputs).collect()
}

/// The inputs as the documents that they stand for. JSON is YAML in which nothing can hide.
fn documents(runner: &Runner, mode: Mode) -> Result<Vec<ConfigFile>, Trouble> {
    let needed = |name: &'static str| {
        let hint = "the step runs on a runner, which sets it";
        let found = runner.variable(name);
        found.ok_or_else(|| Trouble::usage(&format!("{name} is not set"), Some(hint)))
    };
    let (server, repository) = (needed("GITHUB_SERVER_URL")?, needed("GITHUB_REPOSITORY")?);
    if runner.input("token").is_none() {
        let hint = "write `token: ${{ github.token }}`";
        return Err(Trouble::usage("the input `token` is missing", Some(hint)));
    }
    let branch = match (runner.input("branch"), runner.variable("GITHUB_REF")) {
        (Some(branch), _) => branch,
        (None, Some(reference)) => reference.strip_prefix("refs/heads/").unwrap_or_default(),
        (None, None) => "",
    };
    if branch.is_empty() {
        let hint = "name the branch that is to be changed: `branch: main`";
        return Err(Trouble::usage(
            "the workflow does not run on a branch",
            Some(hint),
        ));
    }
    let author = runner.input("author").unwrap_or(AUTHOR);
    let author = super::run::parse_author(author)?;
    let push = match mode {
        Mode::PullRequest => json!({
            "branch": runner.input("push-branch").unwrap_or(PUSH_BRANCH),
            "pullRequest": pull_request(runner)?,
        }),
        Mode::Commit | Mode::Plan | Mode::Lint => json!({"branch": branch}),
    };
    let mut git = json!({
        "commit": {"author": {"name": author.name, "email": author.email}},
        "push": push,
    });
    if let Some(message) = runner.input("commit-message") {
        git["commit"]["messageTemplate"] = json!(message);
    }
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME},
        "stringData": {"username": "x-access-token", "password": "${env:INPUT_TOKEN}"},
    });
    let source = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": NAME},
        "spec": {
            "url": format!("{}/{repository}", server.trim_end_matches('/')),
            "ref": {"branch": branch}, "secretRef": {"name": NAME},
        },
    });
    let automation = json!({
        "apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageUpdateAutomation",
        "metadata": {"name": NAME},
        "spec": {
            "interval": "1h", "sourceRef": {"kind": "GitRepository", "name": NAME}, "git": git,
            "update": {"path": runner.input("path").unwrap_or_default()},
        },
    });
    let files = [secret, source, automation].map(|document| ConfigFile {
        name: "the inputs".to_owned(),
        text: document.to_string(),
        origin: Origin::Given,
    });
    Ok(files.into())
}

/// `pullRequest`, with everything that an input says about it.
fn pull_request(runner: &Runner) -> Result<Value, Trouble> {
    let is_gitea = runner.variable("GITEA_ACTIONS") == Some("true");
    let mut spec = json!({
        "forge": if is_gitea { "gitea" } else { "github" },
        "project": runner.variable("GITHUB_REPOSITORY"),
        "secretRef": {"name": NAME},
        "labels": runner.list("labels"),
        "reviewers": runner.list("reviewers"),
        "teams": runner.list("team-reviewers"),
        "assignees": runner.list("assignees"),
        "draft": runner.switch("draft")?,
    });
    let texts = [
        ("api", runner.variable("GITHUB_API_URL")),
        ("title", runner.input("title")),
        ("body", runner.input("body")),
        ("milestone", runner.input("milestone")),
        ("merge", runner.input("merge")),
        ("mergeMethod", runner.input("merge-method")),
        ("groupBy", runner.input("group-by")),
        ("commitBy", runner.input("commit-by")),
    ];
    for (field, value) in texts {
        if let Some(value) = value {
            spec[field] = json!(value);
        }
    }
    if let Some(number) = runner.number("max-open")? {
        spec["maxOpen"] = json!(number);
    }
    Ok(spec)
}

async fn run(
    runner: &Runner,
    mode: Mode,
    config: &Config,
    global: &Global,
) -> Result<RunReport, Trouble> {
    let store = Store::open(None)?;
    let ports = Ports {
        registry: registry(None),
        remote: GitRemote::new(Egress::new(), store.path().to_owned()),
        vault: DocumentVault {
            config,
            docker_config: docker_config(),
            named_remote: None,
        },
    };
    let listings = Listings::default();
    let outcomes = if mode == Mode::Plan {
        let folder = PathBuf::from(runner.input("path").unwrap_or("."));
        let namespace = &global.namespace;
        let targets = Targets::default();
        vec![
            in_place(
                config,
                namespace,
                &ports,
                &listings,
                &folder,
                &targets,
                Intent::Plan,
            )
            .await,
        ]
    } else {
        once::run(config, &ports, &listings, Intent::Apply).await
    };
    Ok(RunReport::new(&outcomes))
}

/// Gives the runner what it asked for, and people the same words as everywhere.
fn tell(runner: &Runner, report: &RunReport, output: &mut Output) -> Result<(), Trouble> {
    let outputs = outputs(report);
    let frame = frame(&outputs, || fastrand::u64(..));
    runner.add("GITHUB_OUTPUT", &output_file(&outputs, &frame))?;
    runner.add("GITHUB_STEP_SUMMARY", &run_summary(report))?;
    output.print(&run_annotations(report));
    say(output, &text::run(report, Detail::Plan));
    Ok(())
}

/// Prints words that may hold anything: the runner obeys no command among them.
fn say(output: &mut Output, words: &str) {
    let stop = format!(
        "tagwright-{:016x}{:016x}",
        fastrand::u64(..),
        fastrand::u64(..)
    );
    output.print(&format!("::stop-commands::{stop}\n{words}\n::{stop}::\n"));
}

async fn lint(
    runner: &Runner,
    config: &Config,
    global: &Global,
    output: &mut Output,
) -> Result<Exit, Trouble> {
    let folder = PathBuf::from(runner.input("path").unwrap_or("."));
    let targets = Targets::default();
    let tree = local::read(&folder, &targets)
        .map_err(|error| Trouble::new(&error, error.class(), None))?;
    let ports = Ports {
        registry: registry(None),
        remote: (),
        vault: DocumentVault {
            config,
            docker_config: docker_config(),
            named_remote: None,
        },
    };
    let scope = Scope {
        config,
        policies: None,
        targets: &targets,
        namespace: &global.namespace,
    };
    let changes = if runner.switch("offline")? {
        pipeline::check_files(&scope, tree.files)
    } else {
        pipeline::decide_files(&scope, &ports, &Listings::default(), tree.files).await
    };
    let name = folder.display().to_string();
    let mut report = LintReport::new(&name, &changes, config.policies.keys());
    report.add_tree(tree.looked_at, tree.skipped);
    runner.add("GITHUB_STEP_SUMMARY", &lint_summary(&report))?;
    output.print(&lint_annotations(&report));
    say(output, &report.text());
    Ok(if report.problems > 0 {
        Exit::Error
    } else {
        Exit::Done
    })
}
