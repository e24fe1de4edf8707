//! The Action on a simulated runner: real Git over HTTP, a simulated GitHub, a registry on loopback, and
//! the one step of `action.yml` as a runner would start it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use tagwright::{
    fixture::{Fixture, RegistryServer, repository},
    update::git::Author,
};
use yaml_rust2::YamlLoader;

use crate::{
    forge::fake::{Fuse, Product, Pull, Server, Trouble},
    git::git_server::{GitServer, Running, git},
};

/// A runner, and everything that it reaches.
struct Runner {
    folder: tempfile::TempDir,
    git: Running,
    forge: Server,
    _registry: RegistryServer,
}

/// What a step left behind.
struct Step {
    code: i32,
    out: String,
    outputs: BTreeMap<String, String>,
    summary: String,
}

impl Step {
    fn names(&self) -> Vec<&str> {
        self.outputs.keys().map(String::as_str).collect()
    }
}

impl Runner {
    async fn new() -> Self {
        let fixture = Fixture::embedded("demo").expect("the demo's fixture");
        Self::beside(fixture, "acme/web:1.4.2").await
    }

    /// A runner beside a registry, for a repository with one image of it.
    async fn beside(fixture: Fixture, image: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let registry = RegistryServer::start(fixture).await.expect("loopback");
        let author = Author {
            name: "Ada".to_owned(),
            email: "ada@example.com".to_owned(),
        };
        let text = format!(
            "web: {}/{image} # tagwright: semver=1.x\n",
            registry.address()
        );
        let files = BTreeMap::from([("web.yaml".to_owned(), text.clone().into_bytes())]);
        let bare = folder.path().join("git/acme/fleet");
        fs::create_dir_all(bare.parent().expect("it has one")).expect("a folder");
        let time = "2026-01-02T03:04:05Z".parse().expect("a time");
        repository::create(&bare, &files, &author, time).expect("a repository");
        let settings = fs::read_to_string(bare.join("config")).expect("settings");
        let settings = format!("{settings}[http]\n\treceivepack = true\n");
        fs::write(bare.join("config"), settings).expect("settings");
        let checkout = folder.path().join("checkout");
        fs::create_dir(&checkout).expect("a folder");
        fs::write(checkout.join("web.yaml"), text).expect("a file");
        // `x-access-token:canary-1`
        let git = GitServer::of(&folder.path().join("git"))
            .asking_for("Basic eC1hY2Nlc3MtdG9rZW46Y2FuYXJ5LTE=")
            .start()
            .await;
        let fuse = Arc::new(Fuse::default());
        let forge = Server::start(Product::Github, &bare, "Bearer canary-1", fuse).await;
        Self {
            folder,
            git,
            forge,
            _registry: registry,
        }
    }

    /// What a runner sets for a step.
    fn variables(&self, event: &str) -> BTreeMap<String, String> {
        let file = |name: &str| {
            let path = self.folder.path().join(name);
            fs::write(&path, if name == "event" { "{}" } else { "" }).expect("a file");
            path.display().to_string()
        };
        let server = self.git.url("").to_string();
        let known = [
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_EVENT_NAME", event.to_owned()),
            ("GITHUB_EVENT_PATH", file("event")),
            ("GITHUB_OUTPUT", file("output")),
            ("GITHUB_STEP_SUMMARY", file("summary")),
            ("GITHUB_REF", "refs/heads/main".to_owned()),
            ("GITHUB_REPOSITORY", "acme/fleet".to_owned()),
            ("GITHUB_SERVER_URL", server.trim_end_matches('/').to_owned()),
            (
                "GITHUB_API_URL",
                format!("http://{}/api/v3", self.forge.address),
            ),
            ("HOME", self.folder.path().display().to_string()),
            ("RUNNER_TEMP", self.folder.path().display().to_string()),
        ];
        known.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Runs the program as the step does.
    async fn step(&self, inputs: &[(&str, &str)], event: &str) -> Step {
        self.step_on(inputs, event, "{}").await
    }

    /// Runs it for an event with a payload.
    async fn step_on(&self, inputs: &[(&str, &str)], event: &str, payload: &str) -> Step {
        let mut variables = self.variables(event);
        fs::write(self.folder.path().join("event"), payload).expect("a file");
        let inputs = [("token", "canary-1")].iter().chain(inputs);
        variables.extend(inputs.map(|(name, value)| {
            let name = name.to_ascii_uppercase().replace('-', "_");
            (format!("INPUT_{name}"), (*value).to_owned())
        }));
        let mut program = Command::new(env!("CARGO_BIN_EXE_tagwright"));
        program.arg("action");
        self.finish(program, variables).await
    }

    async fn finish(&self, mut program: Command, variables: BTreeMap<String, String>) -> Step {
        program
            .env_clear()
            .envs(variables)
            .current_dir(self.folder.path().join("checkout"));
        let output = tokio::task::spawn_blocking(move || program.output().expect("it starts"));
        let output = output.await.expect("no panic");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let read = |name: &str| fs::read_to_string(self.folder.path().join(name)).expect("a file");
        let out = format!("{}{}", text(&output.stdout), text(&output.stderr));
        let shown = out.replace("::add-mask::canary-1\n", "");
        assert!(!shown.contains("canary"), "a secret was shown:\n{shown}");
        Step {
            code: output.status.code().unwrap_or(-1),
            out,
            outputs: parsed(&read("output")),
            summary: read("summary"),
        }
    }
}

/// Outputs in both of their forms, as a runner reads them.
fn parsed(text: &str) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some((name, frame)) = line.split_once("<<") {
            let value = lines.by_ref().take_while(|it| *it != frame);
            outputs.insert(name.to_owned(), value.collect::<Vec<_>>().join("\n"));
        } else if let Some((name, value)) = line.split_once('=') {
            outputs.insert(name.to_owned(), value.to_owned());
        }
    }
    outputs
}

const NAMES: [&str; 6] = [
    "changed",
    "commit",
    "images",
    "plan",
    "pull-request-number",
    "pull-request-url",
];

/// Whether Git's server half can be run; where it cannot, the test says so, and fails in CI.
#[expect(
    clippy::print_stdout,
    reason = "what was left out stands in the test's output"
)]
fn has_git() -> bool {
    if git().arg("--version").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "`git` is not on the path");
    println!("left out: `git` is not on the path");
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_opens_a_pull_request_and_tells_the_workflow() {
    if !has_git() {
        return;
    }
    let runner = Runner::new().await;
    let step = runner
        .step(&[("labels", "images, bot\nmore")], "schedule")
        .await;
    assert_eq!(step.code, 0, "{}", step.out);
    assert!(
        step.out.starts_with("::add-mask::canary-1\n"),
        "{}",
        step.out
    );
    assert_eq!(step.names(), NAMES);
    assert_eq!(step.outputs["changed"], "true");
    assert_eq!(step.outputs["pull-request-number"], "1");
    assert_eq!(
        step.outputs["pull-request-url"],
        "https://github.test/acme/fleet/pull/1"
    );
    assert_eq!(step.outputs["commit"].len(), 40);
    crate::schema::assert_valid("run", &step.outputs["plan"]);
    assert!(
        step.summary.contains("| `1.4.2` | `1.5.0` |"),
        "{}",
        step.summary
    );
    assert!(
        step.summary.contains("[Pull request 1]"),
        "{}",
        step.summary
    );
    runner.forge.with(|forge| {
        assert!(forge.violations.is_empty(), "{:?}", forge.violations);
        let pull = forge.pull("1").expect("it is open");
        assert_eq!(pull.labels, ["images", "bot", "more"]);
        assert_eq!(
            (pull.head.as_str(), pull.base.as_str()),
            ("tagwright/images", "main")
        );
    });
    let again = runner.step(&[], "workflow_dispatch").await;
    assert_eq!(
        (again.code, again.outputs["changed"].as_str()),
        (0, "false"),
        "{}",
        again.out
    );
    assert_eq!(again.outputs["pull-request-number"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_commits_and_its_exit_code_is_the_command_lines() {
    if !has_git() {
        return;
    }
    let runner = Runner::new().await;
    let inputs = [
        ("mode", "commit"),
        ("author", "Bot <bot@example.com>"),
        ("detailed-exitcode", "true"),
    ];
    let step = runner.step(&inputs, "repository_dispatch").await;
    assert_eq!(step.code, 3, "{}", step.out);
    let tip = runner.forge.with(|forge| forge.tip("main"));
    assert_eq!(tip.as_deref(), Some(step.outputs["commit"].as_str()));
    assert_eq!(runner.step(&inputs, "schedule").await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_and_linting_write_nothing_and_need_no_token() {
    let runner = Runner::new().await;
    let tip = runner.forge.with(|forge| forge.tip("main"));
    let plan = runner
        .step(&[("mode", "plan"), ("token", "")], "pull_request")
        .await;
    assert_eq!(
        (plan.code, plan.outputs["changed"].as_str()),
        (0, "true"),
        "{}",
        plan.out
    );
    assert!(plan.summary.contains("+web: "), "{}", plan.summary);
    let lint = runner
        .step(&[("mode", "lint"), ("token", "")], "pull_request")
        .await;
    assert_eq!(lint.code, 0, "{}", lint.out);
    fs::write(
        runner.folder.path().join("checkout/a,b.yaml"),
        "x: y # tagwright: semvr=1\n",
    )
    .expect("a file");
    let lint = runner
        .step(&[("mode", "lint"), ("token", "")], "pull_request")
        .await;
    assert_eq!(lint.code, 1, "{}", lint.out);
    assert!(
        lint.out.contains("::warning file=a%2Cb.yaml,line=1,col="),
        "{}",
        lint.out
    );
    assert_eq!(runner.forge.with(|forge| forge.tip("main")), tip);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_becomes_a_comment_on_the_events_pull_request() {
    let runner = Runner::new().await;
    let page = format!("http://{}/acme/fleet/pull/1", runner.forge.address);
    let event = format!(r#"{{"number": 1, "pull_request": {{"html_url": "{page}"}}}}"#);
    runner.forge.with(|forge| {
        forge.pulls.push(Pull {
            number: 1,
            title: "Policies".to_owned(),
            ..Pull::default()
        });
    });
    let inputs = [("mode", "plan"), ("comment", "true")];
    for _ in 0..2 {
        let step = runner.step_on(&inputs, "pull_request", &event).await;
        assert_eq!(step.code, 0, "{}", step.out);
    }
    runner.forge.with(|forge| {
        assert!(forge.violations.is_empty(), "{:?}", forge.violations);
        let comments = &forge.pull("1").expect("it is open").comments;
        assert_eq!(comments.len(), 1, "{comments:?}");
        assert!(
            comments[0].contains("| `1.4.2` | `1.5.0` |"),
            "{comments:?}"
        );
        forge.set(Some(Trouble::Forbidden));
        forge.pull("1").expect("it is open").comments.clear();
    });
    // What a fork's pull request is given may read and not write.
    let step = runner.step_on(&inputs, "pull_request", &event).await;
    assert_eq!(step.code, 0, "{}", step.out);
    assert!(
        step.out.contains("::warning::the plan is not commented"),
        "{}",
        step.out
    );

    let step = runner.step_on(&inputs, "push", "{}").await;
    assert_eq!(step.code, 2, "{}", step.out);
    let inputs = [("mode", "commit"), ("comment", "true")];
    assert_eq!(runner.step(&inputs, "schedule").await.code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_lets_the_forge_make_the_commit() {
    if !has_git() {
        return;
    }
    let runner = Runner::new().await;
    for changed in ["true", "false"] {
        let step = runner.step(&[("commit-by", "forge")], "schedule").await;
        assert_eq!(step.code, 0, "{}", step.out);
        assert_eq!(step.outputs["changed"], changed, "{}", step.out);
        let (tip, staging) = runner.forge.with(|forge| {
            assert!(forge.violations.is_empty(), "{:?}", forge.violations);
            let log = forge.log.iter().filter(|it| *it == "POST /graphql").count();
            assert_eq!(log, 1, "one commit: {:?}", forge.log);
            let staging = forge.tip("tagwright/images.staging");
            (forge.tip("tagwright/images"), staging)
        });
        assert!(tip.is_some() && staging.is_none(), "{tip:?} {staging:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_event_writes_nothing() {
    let runner = Runner::new().await;
    for event in ["pull_request", "pull_request_target", "issue_comment"] {
        for mode in ["commit", "pull-request"] {
            let step = runner.step(&[("mode", mode)], event).await;
            assert_eq!(step.code, 2, "{}", step.out);
            assert!(step.out.contains("refused to write"), "{}", step.out);
        }
    }
    assert_eq!(runner.git.count(""), 0, "nobody was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_inputs_stay_text() {
    if !has_git() {
        return;
    }
    let runner = Runner::new().await;
    // A title is a template, whose own braces are written like this.
    let title =
        "${{\"{{\"}} github.token }} `id` $(touch pwned)\n::set-output name=changed::no\n@everyone";
    let inputs = [
        ("title", title),
        (
            "body",
            "{{ range .Changed.Changes }}{{ .NewValue }}{{ end }}\n::stop-commands::x",
        ),
        ("labels", "$(touch pwned),`touch pwned`,${{ x }}"),
        ("commit-message", "::add-mask::1\n\nchanged<<EOF\nno\nEOF\n"),
        ("push-branch", "bot/$(touch${IFS}pwned)`id`"),
    ];
    let step = runner.step(&inputs, "schedule").await;
    assert_eq!(step.code, 0, "{}", step.out);
    assert_eq!(step.names(), NAMES);
    assert_eq!(step.outputs["changed"], "true");
    let (labels, shown) = runner.forge.with(|forge| {
        let pull = forge.pull("1").expect("it is open");
        (pull.labels.clone(), pull.title.clone())
    });
    assert_eq!(labels, ["$(touch pwned)", "`touch pwned`", "${{ x }}"]);
    assert_eq!(shown, "${{ github.token }} `id` $(touch pwned)");
    // Commands in words of others stand where the runner obeys none.
    let obeyed = step
        .out
        .split("::stop-commands::tagwright-")
        .next()
        .expect("a beginning");
    assert_eq!(obeyed, "::add-mask::canary-1\n", "{}", step.out);
    assert!(!runner.folder.path().join("checkout/pwned").exists());

    for (input, value, words) in [
        ("mode", "lint; id", "`mode` is `lint; id`"),
        ("draft", "yes", "true or false"),
        ("branch", "a..b", "is not a branch name"),
        ("author", "nobody", "is no author"),
        ("max-open", "-1", "a number"),
        ("title", "{{", "`title`"),
    ] {
        let step = runner.step(&[(input, value)], "schedule").await;
        assert_eq!(step.code, 2, "{input}: {}", step.out);
        assert!(step.out.contains(words), "{input}: {}", step.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_strangers_chose_stay_text() {
    if !has_git() {
        return;
    }
    // Its list has `${{ secrets.TOKEN }}`, line breaks, escape sequences and more among the tags.
    let tags = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/registries/odd-tags");
    let tags = Fixture::open(&tags).expect("a fixture");
    let runner = Runner::beside(tags, "web:1.0.0-rc.1").await;
    let branch = "m`id`${{x}}$(touch${IFS}pwned)";
    let heads = runner.folder.path().join("git/acme/fleet/refs/heads");
    fs::copy(heads.join("main"), heads.join(branch)).expect("a reference");
    let mut variables = runner.variables("schedule");
    variables.insert("GITHUB_REF".to_owned(), format!("refs/heads/{branch}"));
    variables.insert("INPUT_TOKEN".to_owned(), "canary-1".to_owned());
    let mut program = Command::new(env!("CARGO_BIN_EXE_tagwright"));
    program.arg("action");
    let step = runner.finish(program, variables).await;
    assert_eq!(step.code, 0, "{}", step.out);
    assert_eq!(step.names(), NAMES);
    let pull = runner.forge.with(|forge| forge.pulls[0].clone());
    assert_eq!(pull.base, branch);
    for text in [&step.summary, &pull.body, &pull.title] {
        assert!(!text.contains("secrets.TOKEN"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    let (obeyed, _) = step
        .out
        .split_once("::stop-commands::tagwright-")
        .expect("words of others are announced");
    assert_eq!(obeyed, "::add-mask::canary-1\n", "{}", step.out);
    assert!(!runner.folder.path().join("checkout/pwned").exists());

    let event = r#"{"pull_request": {"html_url": "https://x.test/`id`\n::set-output name=changed::no/pull/1"}}"#;
    let step = runner
        .step_on(
            &[("mode", "plan"), ("comment", "true")],
            "pull_request",
            event,
        )
        .await;
    let is_obeyed = |it: &str| it.starts_with("::set-output");
    assert!(!step.out.lines().any(is_obeyed), "{}", step.out);
}

/// The workflow of a page's first code block that uses the Action: its lines, and its step's inputs.
fn workflow(page: &str) -> (usize, Vec<(String, String)>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(path).expect("it is there");
    let mut blocks = text.split("```yaml\n").skip(1);
    let block = blocks.find(|it| it.contains("uses: you/tagwright@"));
    let block = block.expect("there is one").split("```").next();
    let block = block.expect("it has an end");
    let document = YamlLoader::load_from_str(block).expect("it is YAML");
    let step = &document[0]["jobs"]["images"]["steps"][0];
    let inputs = step["with"].as_hash().expect("inputs").iter();
    let inputs = inputs.map(|(name, value)| {
        let text = |it: &yaml_rust2::Yaml| it.as_str().expect("text").to_owned();
        (text(name), text(value))
    });
    (block.lines().count(), inputs.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workflow_of_the_readme_opens_a_pull_request() {
    if !has_git() {
        return;
    }
    let (lines, inputs) = workflow("README.md");
    assert!(lines < 20, "{lines} lines");
    let runner = Runner::new().await;
    let inputs = inputs.iter().map(|(name, value)| {
        // The program of these tests is on the path; an example's address leads nowhere.
        let is_program = name.starts_with("binary-");
        (name.as_str(), if is_program { "" } else { value.as_str() })
    });
    let inputs = [("token", "canary-1")].into_iter().chain(inputs);
    let (script, inputs) = composite(&inputs.collect::<Vec<_>>());
    let mut variables = runner.variables("schedule");
    variables.extend(inputs);
    let program = PathBuf::from(env!("CARGO_BIN_EXE_tagwright"));
    let folder = program.parent().expect("a folder").display();
    variables.insert("PATH".to_owned(), format!("{folder}:/usr/bin:/bin"));
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script]);
    let step = runner.finish(bash, variables).await;
    assert_eq!(step.code, 0, "{}", step.out);
    assert_eq!(step.outputs["pull-request-number"], "1", "{}", step.out);
    let labels = runner.forge.with(|it| it.pulls[0].labels.clone());
    assert_eq!(labels, ["images"]);
}

/// The one step of `action.yml`: its script, and its variables with the inputs put in.
fn composite(inputs: &[(&str, &str)]) -> (String, BTreeMap<String, String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml");
    let text = fs::read_to_string(path).expect("it is there");
    let document = YamlLoader::load_from_str(&text)
        .expect("it is YAML")
        .remove(0);
    let step = &document["runs"]["steps"][0];
    let script = step["run"].as_str().expect("a script").to_owned();
    assert!(!script.contains("${{"), "nothing is put into the script");
    let variables = step["env"]
        .as_hash()
        .expect("variables")
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().expect("text");
            let input = value
                .trim_start_matches("${{ inputs.")
                .trim_end_matches(" }}");
            let default = document["inputs"][input]["default"].as_str();
            let default = default.unwrap_or_else(|| panic!("`{input}` is an input with a default"));
            let given = inputs
                .iter()
                .find(|(name, _)| *name == input)
                .map(|(_, value)| *value);
            let value = given.unwrap_or(default).to_owned();
            (name.as_str().expect("text").to_owned(), value)
        });
    (script, variables.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_composite_action_hands_every_input_on() {
    if !has_git() {
        return;
    }
    let runner = Runner::new().await;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_tagwright"));
    let path = format!(
        "{}:/usr/bin:/bin",
        program.parent().expect("a folder").display()
    );
    let start = async |inputs: &[(&str, &str)]| {
        let (script, inputs) = composite(inputs);
        let mut variables = runner.variables("schedule");
        variables.extend(inputs);
        variables.insert("PATH".to_owned(), path.clone());
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script]);
        runner.finish(bash, variables).await
    };
    let hostile = "$(touch pwned) `touch pwned` $x\"; touch pwned #";
    let step = start(&[
        ("token", "canary-1"),
        ("title", hostile),
        ("labels", "images"),
    ])
    .await;
    assert_eq!(step.code, 0, "{}", step.out);
    assert_eq!(step.outputs["pull-request-number"], "1");
    assert!(!runner.folder.path().join("checkout/pwned").exists());
    assert_eq!(
        runner
            .forge
            .with(|it| it.pull("1").expect("it is open").title.clone()),
        hostile
    );

    // A program is not even downloaded by an address that is not encrypted.
    let step = start(&[
        ("token", "canary-1"),
        ("binary-url", "http://127.0.0.1:9/x"),
        ("binary-sha256", "00"),
    ])
    .await;
    assert_ne!(step.code, 0, "{}", step.out);
}
