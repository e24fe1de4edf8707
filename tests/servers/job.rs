//! The program, from documents to the pushed commit, between a real registry and a real Git server.

use std::{fs, path::Path, process::Output};

use crate::{
    certificates::Certificates,
    docker_registry::{DockerRegistry, Login},
    git_http::{GitServer, Repository},
    programs::command,
    token_service::TokenService,
};

const PASSWORD: &str = "canary-s3cret";

/// A registry and a Git server with TLS and a password, and documents that open both.
struct World {
    folder: tempfile::TempDir,
    registry: DockerRegistry,
    git: GitServer,
    certificates: Certificates,
}

impl World {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        for name in ["registry", "git"] {
            fs::create_dir(root.join(name)).expect("a new folder");
        }
        let certificates = Certificates::make(root);
        let login = Login::Password(&certificates, "bot", PASSWORD);
        let registry = DockerRegistry::start(&root.join("registry"), &login)?;
        // What runs today is listed too, or the guard against shrunken lists would hold it.
        registry.tag("acme/web", "1.0.0");
        let git = GitServer::start(&root.join("git"), &certificates, PASSWORD)?;
        Some(Self {
            folder,
            registry,
            git,
            certificates,
        })
    }

    fn host(&self) -> String {
        self.registry.host()
    }

    /// A repository `fleet` with one Deployment of `web` at `tag`.
    fn fleet(&self, tag: &str) -> Repository {
        let text = deployment(&self.host(), tag);
        self.git.repository(
            "fleet",
            &[("apps/web.yaml", text.as_str()), ("README.md", "fleet\n")],
        )
    }

    /// Writes the documents; `push` and `policy` are further lines of their specs.
    fn configure(&self, push: &str, policy: &str) {
        let host = self.host();
        let url = self.git.url("fleet");
        let authority = fs::read_to_string(&self.certificates.authority).expect("a certificate");
        let authority = authority.trim_end().replace('\n', "\n    ");
        let docker = format!(
            "{{\"auths\":{{\"{host}\":{{\"username\":\"bot\",\"password\":\"{PASSWORD}\"}}}}}}"
        );
        fs::write(self.folder.path().join("docker.json"), docker).expect("a new file");
        let text = format!(
            r#"apiVersion: v1
kind: Secret
metadata: {{name: registry}}
type: kubernetes.io/dockerconfigjson
stringData: {{.dockerconfigjson: "${{file:docker.json}}"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: authority}}
stringData:
  ca.crt: |
    {authority}
---
apiVersion: v1
kind: Secret
metadata: {{name: git}}
stringData:
  username: bot
  password: ${{env:FLEET_PASSWORD}}
  ca.crt: |
    {authority}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {{name: fleet}}
spec: {{url: "{url}", interval: 5m, ref: {{branch: main}}, secretRef: {{name: git}}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {{name: web}}
spec:
  image: {host}/acme/web
  interval: 5m
  timeout: 30s
  secretRef: {{name: registry}}
  certSecretRef: {{name: authority}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {{name: web}}
spec:
  imageRepositoryRef: {{name: web}}
  policy: {{semver: {{range: 1.x}}}}
{policy}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata: {{name: fleet}}
spec:
  interval: 30m
  sourceRef: {{kind: GitRepository, name: fleet}}
  git:
    commit: {{author: {{name: tagwright, email: bot@example.com}}}}
{push}
  update: {{path: ./apps}}
"#
        );
        fs::write(self.folder.path().join("config.yaml"), text).expect("a new file");
    }

    /// Runs the program on the documents.
    fn run(&self, arguments: &[&str]) -> Ran {
        let config = self.folder.path().join("config.yaml").display().to_string();
        let mut arguments = arguments.to_vec();
        arguments.extend(["--config", &config]);
        run(self.folder.path(), &arguments, Some(PASSWORD))
    }
}

/// What a run of the program left behind.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(folder: &Path, arguments: &[&str], password: Option<&str>) -> Ran {
    let mut program = command(env!("CARGO_BIN_EXE_tagwright"), folder);
    program.args(arguments).args(["--log", "debug"]);
    if let Some(password) = password {
        program.env("FLEET_PASSWORD", password);
    }
    let Output {
        status,
        stdout,
        stderr,
    } = program.output().expect("the program was built");
    let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
    let ran = Ran {
        code: status.code().unwrap_or(-1),
        out: text(stdout),
        err: text(stderr),
    };
    assert!(
        !ran.out.contains("canary"),
        "a secret in the output: {}",
        ran.out
    );
    assert!(
        !ran.err.contains("canary"),
        "a secret in the log: {}",
        ran.err
    );
    ran
}

impl Ran {
    fn expect(&self, code: i32, words: &str) {
        let Self { out, err, .. } = self;
        assert_eq!(self.code, code, "exit code; it said:\n{out}\n{err}");
        assert!(
            out.contains(words) || err.contains(words),
            "no `{words}` in:\n{out}\n{err}"
        );
    }
}

fn deployment(host: &str, tag: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  template:\n    \
         spec:\n      containers:\n      - name: web\n        image: '{host}/acme/web:{tag}' \
         # {{\"$imagepolicy\": \"default:web\"}}\n"
    )
}

#[test]
fn scans_decides_commits_and_pushes_once() {
    let Some(world) = World::start() else { return };
    let fleet = world.fleet("1.0.0");
    for tag in ["1.0.0", "1.2.0", "1.10.0", "2.0.0", "latest", "1.11.0.sig"] {
        world.registry.tag("acme/web", tag);
    }
    world.configure("", "");
    let base = fleet.tip("main");

    world.run(&["plan"]).expect(0, "would change main");
    assert_eq!(fleet.tip("main"), base, "a plan writes nothing");
    world
        .run(&["plan", "--detailed-exitcode"])
        .expect(3, "+        image: '");

    world
        .run(&["run", "--detailed-exitcode"])
        .expect(3, "1.0.0 → 1.10.0");
    let commit = fleet.tip("main");
    assert_eq!(
        fleet.file("main", "apps/web.yaml"),
        deployment(&world.host(), "1.10.0")
    );
    assert_eq!(
        fleet.git(&["rev-parse", "main^"]).trim(),
        base,
        "one commit on the base"
    );
    assert_eq!(
        fleet
            .git(&["show", "-s", "--format=%an <%ae>", "main"])
            .trim(),
        "tagwright <bot@example.com>"
    );
    assert_eq!(
        fleet.git(&["diff", "--name-only", "main^", "main"]).trim(),
        "apps/web.yaml"
    );
    fleet.assert_sound();

    world
        .run(&["run", "--detailed-exitcode"])
        .expect(0, "nothing to do");
    assert_eq!(fleet.tip("main"), commit, "no change, no commit");

    world.registry.tag("acme/web", "1.11.0");
    world.run(&["run"]).expect(0, "1.10.0 → 1.11.0");
    assert_eq!(
        fleet.file("main", "apps/web.yaml"),
        deployment(&world.host(), "1.11.0")
    );
    fleet.assert_sound();
}

#[test]
fn a_value_in_git_is_never_lowered() {
    let Some(world) = World::start() else { return };
    let fleet = world.fleet("1.5.0");
    world.registry.tag("acme/web", "1.4.0");
    world.configure("", "");
    let base = fleet.tip("main");
    world.run(&["run"]).expect(0, "1.4.0 is older than 1.5.0");
    assert_eq!(fleet.tip("main"), base);
    world.configure("", "  allowDowngrade: true");
    world.run(&["run"]).expect(0, "1.5.0 → 1.4.0");
}

#[test]
fn a_push_branch_is_created_rebuilt_and_never_taken_from_a_person() {
    let Some(world) = World::start() else { return };
    let fleet = world.fleet("1.0.0");
    world.registry.tag("acme/web", "1.1.0");
    world.configure("    push: {branch: bot/updates}", "");
    let base = fleet.tip("main");
    world.run(&["run"]).expect(0, "to bot/updates");
    assert_eq!(fleet.tip("main"), base, "the checkout branch stays");
    assert_eq!(
        fleet.file("bot/updates", "apps/web.yaml"),
        deployment(&world.host(), "1.1.0")
    );
    let first = fleet.tip("bot/updates");

    world
        .run(&["run", "--detailed-exitcode"])
        .expect(0, "bot/updates holds this commit already");
    assert_eq!(fleet.tip("bot/updates"), first);

    // main moves on: the branch is rebuilt on its new tip, so that a pull request never goes stale.
    let work = world.folder.path().join("git/checkouts/fleet");
    fs::write(work.join("README.md"), "more\n").expect("a file");
    fleet.commit_from(&work, "main", "More");
    world.run(&["run"]).expect(0, "to bot/updates");
    assert_eq!(
        fleet.git(&["rev-parse", "bot/updates^"]).trim(),
        fleet.tip("main")
    );
    fleet.assert_sound();

    fs::write(work.join("README.md"), "a person was here\n").expect("a file");
    fleet.commit_from(&work, "bot/updates", "By hand");
    let by_hand = fleet.tip("bot/updates");
    world.registry.tag("acme/web", "1.2.0");
    world
        .run(&["run"])
        .expect(1, "ends in a commit by ada@example.com");
    assert_eq!(fleet.tip("bot/updates"), by_hand, "human work is kept");
}

#[test]
fn what_a_person_took_back_stays_until_something_newer_is_there() {
    let Some(world) = World::start() else { return };
    let fleet = world.fleet("1.0.0");
    world.registry.tag("acme/web", "1.1.0");
    world.configure("", "");
    world.run(&["run"]).expect(0, "1.0.0 → 1.1.0");

    let work = world.folder.path().join("git/checkouts/fleet");
    fs::write(
        work.join("apps/web.yaml"),
        deployment(&world.host(), "1.0.0"),
    )
    .expect("a file");
    fleet.commit_from(&work, "main", "Back to 1.0.0");
    let by_hand = fleet.tip("main");
    for _ in 0..2 {
        world.run(&["run"]).expect(0, "somebody took 1.1.0 back");
        assert_eq!(fleet.tip("main"), by_hand);
    }
    world.run(&["plan"]).expect(0, "and nothing newer is there");
    let explained = world.run(&["explain", "web", "--git"]);
    explained.expect(0, "held: somebody took 1.1.0 back after commit");
    world.configure("", "  guardsOff: [takenBack]");
    world.run(&["plan"]).expect(0, "1.0.0 → 1.1.0");

    world.configure("", "");
    world.registry.tag("acme/web", "1.2.0");
    world.run(&["run"]).expect(0, "1.0.0 → 1.2.0");
    fleet.assert_sound();
}

#[test]
fn two_automations_share_a_push_branch() {
    let Some(world) = World::start() else { return };
    let fleet = world.fleet("1.0.0");
    world.registry.tag("acme/web", "1.1.0");
    world.configure("    push: {branch: bot}", "");
    let config = world.folder.path().join("config.yaml");
    let text = fs::read_to_string(&config).expect("the documents");
    let (_, automation) = text.rsplit_once("---\n").expect("the last document");
    let second = automation.replace("{name: fleet}\nspec", "{name: another}\nspec");
    fs::write(&config, format!("{text}---\n{second}")).expect("a file");
    world.run(&["run"]).expect(0, "2 automations");
    let first = fleet.tip("bot");
    assert_eq!(fleet.git(&["rev-list", "--count", "main..bot"]).trim(), "1");
    world
        .run(&["run"])
        .expect(0, "bot holds this commit already");
    assert_eq!(fleet.tip("bot"), first);
    fleet.assert_sound();
}

#[test]
fn a_branch_that_only_looks_like_ours_is_not_replaced() {
    let Some(world) = World::start() else { return };
    let fleet = world.fleet("1.0.0");
    world.registry.tag("acme/web", "1.1.0");
    world.configure("    push: {branch: release}", "");
    // People's commits, and on top of them one by somebody with the automation's address.
    let work = world.folder.path().join("git/checkouts/fleet");
    fleet.git(&["branch", "release", "main"]);
    fs::write(work.join("README.md"), "human\n").expect("a file");
    fleet.commit_from(&work, "release", "By hand");
    let tree = fleet.git(&["rev-parse", "release^{tree}"]);
    let commit = fleet.git(&[
        "-c",
        "user.email=bot@example.com",
        "commit-tree",
        tree.trim(),
        "-p",
        "release",
        "-m",
        "Update",
    ]);
    fleet.git(&["update-ref", "refs/heads/release", commit.trim()]);
    world
        .run(&["run"])
        .expect(1, "ends in a commit by bot@example.com");
    assert_eq!(fleet.tip("release"), commit.trim(), "nothing is lost");
}

#[test]
fn a_lost_race_is_observed_and_decided_again() {
    let Some(world) = World::start() else { return };
    let fleet = world.fleet("1.0.0");
    world.registry.tag("acme/web", "1.1.0");
    world.configure("", "");
    // The first push meets another one that was faster.
    fleet.hook(
        "pre-receive",
        "[ -e raced ] && exit 0\ntouch raced\nunset GIT_QUARANTINE_PATH\n\
         tree=$(git rev-parse 'main^{tree}')\n\
         new=$(GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@x \
         git commit-tree $tree -p main -m Faster)\n\
         mkdir -p objects/${new%??????????????????????????????????????}\n\
         cp $GIT_OBJECT_DIRECTORY/${new%??????????????????????????????????????}/${new#??} \
         objects/${new%??????????????????????????????????????}/\n\
         echo $new > refs/heads/main\nexit 1",
    );
    world.run(&["run"]).expect(0, "pushed commit");
    let log = fleet.git(&["log", "--format=%s", "main"]);
    let subjects = log.lines().collect::<Vec<_>>();
    assert_eq!(subjects.len(), 3, "{subjects:?}");
    assert_eq!(
        subjects[1..],
        ["Faster", "Deploy"],
        "the other commit is kept"
    );
    fleet.assert_sound();
}

#[test]
fn a_protected_branch_is_told_in_the_servers_words() {
    let Some(world) = World::start() else { return };
    let fleet = world.fleet("1.0.0");
    world.registry.tag("acme/web", "1.1.0");
    world.configure("", "");
    fleet.hook(
        "pre-receive",
        "echo 'GH006: Protected branch update failed' >&2; exit 1",
    );
    let base = fleet.tip("main");
    world
        .run(&["run"])
        .expect(1, "Protected branch update failed");
    assert_eq!(fleet.tip("main"), base);
}

#[test]
fn digests_are_written_as_the_policy_says() {
    let Some(world) = World::start() else { return };
    let fleet = world.fleet("1.0.0");
    let first = world.registry.tag("acme/web", "1.1.0");
    world.configure("", "  digestReflectionPolicy: IfNotPresent");
    world.run(&["run"]).expect(0, "pushed commit");
    let pinned = |digest: &str| deployment(&world.host(), &format!("1.1.0@{digest}"));
    assert_eq!(fleet.file("main", "apps/web.yaml"), pinned(&first));

    // The tag moves; `IfNotPresent` keeps what stands there, `Always` follows.
    let moved = world.registry.manifest(
        "acme/web",
        "1.1.0",
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
    );
    world
        .run(&["run", "--detailed-exitcode"])
        .expect(0, "nothing to do");
    world.configure("", "  digestReflectionPolicy: Always\n  interval: 10m");
    world
        .run(&["run", "--detailed-exitcode"])
        .expect(3, "pushed commit");
    assert_eq!(fleet.file("main", "apps/web.yaml"), pinned(&moved));
}

#[test]
fn wrong_credentials_are_told_with_their_host_and_nothing_else() {
    let Some(world) = World::start() else { return };
    let fleet = world.fleet("1.0.0");
    world.registry.tag("acme/web", "1.1.0");
    world.configure("", "");
    let base = fleet.tip("main");
    let config = world
        .folder
        .path()
        .join("config.yaml")
        .display()
        .to_string();
    let ran = run(
        world.folder.path(),
        &["run", "--config", &config],
        Some("wrong"),
    );
    ran.expect(1, "refused us");
    let ran = run(world.folder.path(), &["run", "--config", &config], None);
    ran.expect(2, "environment variable `FLEET_PASSWORD`");

    let docker = format!(
        "{{\"auths\":{{\"{}\":{{\"username\":\"bot\",\"password\":\"no\"}}}}}}",
        world.host()
    );
    fs::write(world.folder.path().join("docker.json"), docker).expect("a file");
    world.run(&["run"]).expect(1, &world.host());
    assert_eq!(fleet.tip("main"), base);
}

#[test]
fn an_unknown_authority_is_not_trusted() {
    let Some(world) = World::start() else { return };
    world.fleet("1.0.0");
    world.registry.tag("acme/web", "1.1.0");
    world.configure("", "");
    let image = format!("{}/acme/web", world.host());
    run(world.folder.path(), &["scan", &image], None).expect(1, "certificate");
    let authority = world.certificates.authority.display().to_string();
    let anonymous = run(
        world.folder.path(),
        &["scan", &image, "--ca-file", &authority],
        None,
    );
    anonymous.expect(1, "does not let us read");
}

#[tokio::test(flavor = "multi_thread")]
async fn bearer_tokens_are_fetched_where_the_user_allows_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tokens = TokenService::start(PASSWORD).await;
    let Some(registry) = DockerRegistry::start(folder.path(), &Login::Token(&tokens)) else {
        return;
    };
    registry.tag("acme/web", "1.1.0");
    let host = registry.host();
    let config = |annotations: &str| {
        let text = format!(
            r#"apiVersion: v1
kind: Secret
metadata: {{name: registry}}
type: kubernetes.io/dockerconfigjson
stringData: {{.dockerconfigjson: '{{"auths":{{"{host}":{{"username":"bot","password":"{PASSWORD}"}}}}}}'}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {{name: web{annotations}}}
spec: {{image: {host}/acme/web, interval: 5m, timeout: 20s, insecure: true, secretRef: {{name: registry}}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {{name: web}}
spec: {{imageRepositoryRef: {{name: web}}, policy: {{semver: {{range: 1.x}}}}}}
"#
        );
        let path = folder.path().join("config.yaml");
        fs::write(&path, text).expect("a new file");
        path.display().to_string()
    };

    let strict = config("");
    let ran = run(
        folder.path(),
        &["explain", "default:web", "--config", &strict],
        None,
    );
    ran.expect(1, "tagwright.dev/token-realms");
    assert_eq!(tokens.issued(), 0, "the credential went nowhere");

    let open = config(&format!(
        ", annotations: {{tagwright.dev/token-realms: '{}'}}",
        tokens.address()
    ));
    let ran = run(
        folder.path(),
        &["explain", "default:web", "--config", &open],
        None,
    );
    ran.expect(0, "1.1.0");
    assert_eq!(tokens.issued(), 1);
}
