//! The program as a person or a cron job calls it: arguments, output, exit codes.

mod explain;
mod init;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use chrono::DateTime;
use tagwright::{
    fixture::{Fixture, RegistryServer, repository},
    update::git::Author,
};

use crate::schema::assert_valid;

/// A registry on loopback and a folder to work in.
struct World {
    folder: tempfile::TempDir,
    registry: RegistryServer,
}

/// What a call left behind.
struct Called {
    code: i32,
    out: String,
    err: String,
}

impl World {
    async fn new() -> Self {
        Self::of(Fixture::embedded("demo").expect("the demo's fixture")).await
    }

    async fn of(fixture: Fixture) -> Self {
        let registry = RegistryServer::start(fixture).await.expect("loopback");
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            registry,
        }
    }

    /// `text` with `REGISTRY` replaced, in a file of the world.
    fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it is inside")).expect("a folder");
        fs::write(
            &path,
            text.replace("REGISTRY", &self.registry.address().to_string()),
        )
        .expect("a file");
        path
    }

    fn read(&self, path: &str) -> String {
        let text = fs::read_to_string(self.folder.path().join(path)).expect("a file");
        text.replace(&self.registry.address().to_string(), "REGISTRY")
    }

    async fn call(&self, arguments: &[&str]) -> Called {
        let folder = self.folder.path().to_owned();
        let address = self.registry.address().to_string();
        let arguments = arguments
            .iter()
            .map(|it| it.replace("REGISTRY", &address))
            .collect::<Vec<_>>();
        // The registry answers on this runtime while the program runs.
        tokio::task::spawn_blocking(move || call(&folder, &arguments))
            .await
            .expect("no panic")
    }
}

fn call(folder: &Path, arguments: &[String]) -> Called {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tagwright"));
    program
        .env_clear()
        .env("HOME", folder)
        .env("SECRET", "canary-1")
        .current_dir(folder);
    let Output {
        status,
        stdout,
        stderr,
    } = program.args(arguments).output().expect("it was built");
    let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
    let called = Called {
        code: status.code().unwrap_or(-1),
        out: text(stdout),
        err: text(stderr),
    };
    assert!(
        !called.out.contains("canary") && !called.err.contains("canary"),
        "a secret was shown"
    );
    assert!(
        !called.out.contains('\u{1b}'),
        "no colours where nobody looks"
    );
    called
}

impl Called {
    #[track_caller]
    fn expect(&self, code: i32, words: &[&str]) -> &Self {
        let Self { out, err, .. } = self;
        assert_eq!(self.code, code, "exit code; it said:\n{out}\n{err}");
        for word in words {
            assert!(
                out.contains(word) || err.contains(word),
                "no `{word}` in:\n{out}\n{err}"
            );
        }
        self
    }
}

const MARKED: &str = "\
# a comment
web: \"REGISTRY/acme/web:1.4.2\"  # tagwright: semver=1.x

worker: REGISTRY/acme/worker:2025-12-30 # tagwright: alphabetical=asc filter=^[0-9-]{10}$
";

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_help_that_names_its_usage() {
    let world = World::new().await;
    for command in [
        "demo",
        "plan",
        "run",
        "explain",
        "scan",
        "lint",
        "completion",
    ] {
        world
            .call(&[command, "--help"])
            .await
            .expect(0, &["Usage: tagwright", command]);
    }
    world
        .call(&["--help"])
        .await
        .expect(0, &["Exit codes:", "findings of `lint`"]);
    world
        .call(&["--version"])
        .await
        .expect(0, &[env!("CARGO_PKG_VERSION")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_is_two_and_runs_nothing() {
    let world = World::new().await;
    world
        .call(&["frobnicate"])
        .await
        .expect(2, &["unrecognized subcommand"]);
    world
        .call(&["run"])
        .await
        .expect(2, &["there is nothing to work on", "--in-place"]);
    world
        .call(&["run", "--in-place", ".", "--remote", "https://x.test/y"])
        .await
        .expect(2, &[]);
    world
        .call(&["run", "--remote", "git@x.test:y.git"])
        .await
        .expect(2, &["hint"]);
    world
        .call(&["run", "--config", "missing.yaml"])
        .await
        .expect(2, &["missing.yaml"]);
    world
        .call(&["scan", "https://x.test/y"])
        .await
        .expect(2, &["URL scheme"]);
    let json = world.call(&["run", "-o", "json"]).await;
    assert!(json.out.contains("\"class\": \"config\""), "{}", json.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_does_the_whole_job_and_keeps_it_on_request() {
    let world = World::new().await;
    let demo = world.call(&["demo", "--keep", "kept"]).await;
    demo.expect(
        0,
        &["1.4.2", "1.5.0", "pushed commit", "semver=1.x: best of"],
    );
    assert!(world.folder.path().join("kept/fleet.git/HEAD").is_file());
    world
        .call(&["demo", "--keep", "kept"])
        .await
        .expect(2, &["does not exist yet"]);
    let json = world.call(&["demo", "-o", "json"]).await;
    let report = assert_valid("run", &json.expect(0, &[]).out);
    assert_eq!(report["summary"]["images"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_planned_and_then_changed_by_the_value_alone() {
    let world = World::new().await;
    world.file("apps/values.yaml", MARKED);
    let plan = world
        .call(&["plan", "--in-place", "apps", "--detailed-exitcode"])
        .await;
    plan.expect(
        3,
        &[
            "1.4.2 → 1.5.0",
            "-web: \"",
            "would change the folder",
            "2 images would be updated",
        ],
    );
    assert_eq!(
        world.read("apps/values.yaml"),
        MARKED,
        "a plan writes nothing"
    );

    let run = world
        .call(&[
            "run",
            "--in-place",
            "apps",
            "--detailed-exitcode",
            "-o",
            "json",
        ])
        .await;
    assert_valid("run", &run.expect(3, &[]).out);
    let expected = MARKED
        .replace("1.4.2", "1.5.0")
        .replace("worker:2025-12-30", "worker:2026-01-02");
    assert_eq!(world.read("apps/values.yaml"), expected);
    world
        .call(&["run", "--in-place", "apps", "--detailed-exitcode"])
        .await
        .expect(0, &["nothing to do"]);
    world
        .call(&["plan", "--in-place", "nowhere"])
        .await
        .expect(1, &["nowhere"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_needs_no_document() {
    let world = World::new().await;
    let files = BTreeMap::from([
        (
            "apps/values.yaml".to_owned(),
            fs::read(world.file("v", MARKED)).expect("a file"),
        ),
        (
            "other/values.yaml".to_owned(),
            fs::read(world.file("v", MARKED)).expect("a file"),
        ),
    ]);
    let author = Author {
        name: "Ada".into(),
        email: "ada@example.com".into(),
    };
    let remote = repository::create(
        &world.folder.path().join("fleet.git"),
        &files,
        &author,
        DateTime::UNIX_EPOCH,
    );
    let remote = remote.expect("a repository").to_string();
    let arguments = [
        "run",
        "--remote",
        &remote,
        "--path",
        "apps",
        "--author",
        "Bot <bot@example.com>",
    ];
    world
        .call(&arguments)
        .await
        .expect(0, &["pushed commit", "2 images updated in 2 places"]);
    world.call(&arguments).await.expect(0, &["nothing to do"]);
    let repository = gix::open(world.folder.path().join("fleet.git")).expect("a repository");
    let commit = repository.head_commit().expect("a commit");
    assert_eq!(commit.author().expect("an author").email, "bot@example.com");
    assert_eq!(
        commit.message_raw_sloppy().to_string().lines().next(),
        Some("Update 2 images")
    );

    world
        .call(&["run", "--remote", &remote, "--branch", "gone"])
        .await
        .expect(1, &["gone"]);
    world
        .call(&["run", "--remote", &remote, "--path", "../x"])
        .await
        .expect(2, &[".."]);
    world
        .call(&["run", "--remote", &remote, "--author", "nobody"])
        .await
        .expect(2, &["no author"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn scan_shows_versions_first_with_count_and_duration() {
    let world = World::new().await;
    let scan = world.call(&["scan", "REGISTRY/acme/web"]).await;
    scan.expect(0, &["16 tags in "]);
    assert!(
        scan.out.starts_with("2.0.0-rc.1\n2.0.0-alpha.1\n1.5.0\n"),
        "{}",
        scan.out
    );
    let json = world
        .call(&["scan", "REGISTRY/acme/web", "--limit", "2", "-o", "json"])
        .await;
    let report = assert_valid("scan", &json.expect(0, &[]).out);
    assert_eq!(
        (
            report["count"].as_u64(),
            report["tags"].as_array().map(Vec::len)
        ),
        (Some(16), Some(2))
    );
    world
        .call(&["scan", "REGISTRY/acme/none"])
        .await
        .expect(1, &["was not found", "hint:"]);
    world
        .call(&["scan", "127.0.0.1:1/acme/web", "--timeout", "2s"])
        .await
        .expect(1, &["error:", "cause:"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_counts_every_stage_and_names_every_rule() {
    let world = World::new().await;
    let subject = "REGISTRY/acme/web:1.6.0";
    let explain = world
        .call(&["explain", subject, "--rule", "semver=1.x", "--all"])
        .await;
    explain.expect(
        0,
        &[
            "16  listed",
            "1  excluded by the exclusion list",
            "2  cannot be read by the order",
            "chosen: 1.5.0",
            "held:   1.5.0 is older than 1.6.0",
            "best candidates:",
            "latest",
            "is outside `1.x`",
        ],
    );
    let json = world
        .call(&["explain", subject, "--rule", "semver=1.x", "-o", "json"])
        .await;
    let report = assert_valid("explain", &json.expect(0, &[]).out);
    assert_eq!(report["policies"][0]["stages"]["listed"], 16);
    let rejected = report["policies"][0]["rejections"]
        .as_array()
        .map_or(0, Vec::len);
    let candidates = report["policies"][0]["stages"]["inRange"].as_u64();
    assert_eq!(
        candidates.map(|it| it + rejected as u64),
        Some(16),
        "every tag is told"
    );
    world
        .call(&["explain", subject, "--rule", "semver=1.x.y.z"])
        .await
        .expect(2, &["semver.range"]);
    world
        .call(&["explain", "web"])
        .await
        .expect(2, &["there is no policy `web`", "--config"]);
}

const DOCUMENTS: &str = r"
apiVersion: v1
kind: Secret
metadata: {name: unused}
stringData: {password: '${env:SECRET}'}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: web}
spec: {image: REGISTRY/acme/web, interval: 5m}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: web}
spec: {imageRepositoryRef: {name: web}, policy: {semver: {range: 1.x}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: next}
spec: {imageRepositoryRef: {name: web}, policy: {semver: {range: '>=2.0.0-0'}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: passed-over}
";

#[tokio::test(flavor = "multi_thread")]
async fn lint_names_every_marker_and_every_unused_policy() {
    let world = World::new().await;
    world.file("config.yaml", DOCUMENTS);
    world.file(
        "apps/good.yaml",
        "a: REGISTRY/acme/web:1.5.0 # {\"$imagepolicy\": \"default:web\"}\n",
    );
    let lint = ["lint", "apps", "--config", "config.yaml"];
    world.call(&lint).await.expect(
        1,
        &[
            "current",
            "policy default:next: no marker uses it",
            "1 problem",
        ],
    );
    world.file(
        "apps/bad.yaml",
        "a: REGISTRY/acme/web:1.4.0 # {\"$imagepolicy\": \"default:web\"}\n\
         b: REGISTRY/acme/web:2.0.0-alpha.1 # {\"$imagepolicy\": \"default:next\"}\n\
         c: x # {\"$imagepolicy\": \"default:wep\"}\n\
         d: x # {\"$imagePolicy\": \"default:web\"}\n",
    );
    world.file(
        "apps/broken.yaml",
        "{{ if }}\nx: y # {\"$imagepolicy\": \"default:web\"}\n  z: [\n",
    );
    let found = world.call(&lint).await;
    found.expect(
        1,
        &[
            "bad.yaml:1:4",
            "would be updated to",
            "did you mean `default:web`?",
            "misspelt",
            "broken.yaml",
        ],
    );
    let json = world
        .call(&[
            "lint",
            "apps",
            "--config",
            "config.yaml",
            "--offline",
            "-o",
            "json",
        ])
        .await;
    let report = assert_valid("lint", &json.expect(1, &[]).out);
    assert_eq!(report["values"][0]["fate"], "unchecked");
    fs::remove_file(world.folder.path().join("apps/bad.yaml")).expect("it is there");
    fs::remove_file(world.folder.path().join("apps/broken.yaml")).expect("it is there");
    world.file(
        "apps/next.yaml",
        "b: REGISTRY/acme/web:2.0.0-rc.1 # {\"$imagepolicy\": \"default:next\"}\n",
    );
    world.call(&lint).await.expect(0, &["0 problems"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_policies_are_explained_by_any_of_their_names() {
    let world = World::new().await;
    world.file("config.yaml", DOCUMENTS);
    for subject in ["default:web", "default/web", "web"] {
        world
            .call(&["explain", subject, "--config", "config.yaml"])
            .await
            .expect(0, &["chosen: 1.5.0"]);
    }
    let both = world
        .call(&["explain", "REGISTRY/acme/web", "--config", "config.yaml"])
        .await;
    both.expect(0, &["chosen: 1.5.0", "chosen: 2.0.0-rc.1"]);
    world
        .call(&["explain", "default:wbe", "--config", "config.yaml"])
        .await
        .expect(2, &["did you mean `default:web`?"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_is_an_error_and_writes_nothing() {
    let world = World::new().await;
    let text = "a: 127.0.0.1:1/acme/web:1.0.0 # tagwright: semver=1.x\nb: REGISTRY/acme/web:1.4.0 # tagwright: semver=1.x\n";
    world.file("apps/a.yaml", text);
    let run = world.call(&["run", "--in-place", "apps"]).await;
    run.expect(1, &["cannot decide", "1.4.0 → 1.5.0", "1 failed"]);
    assert_eq!(
        world.read("apps/a.yaml"),
        text.replace("web:1.4.0", "web:1.5.0"),
        "the others are updated"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn completion_scripts_are_printed_for_every_shell() {
    let world = World::new().await;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        world
            .call(&["completion", shell])
            .await
            .expect(0, &["tagwright"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_are_valid_and_every_marker_in_them_has_its_policy() {
    let world = World::new().await;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let examples = examples.display().to_string();
    let lint = world
        .call(&[
            "lint",
            &examples,
            "--config",
            &examples,
            "--offline",
            "--discover",
        ])
        .await;
    lint.expect(0, &["0 problems"]);
}
