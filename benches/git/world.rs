//! A repository, the ways to it, and what is done with it.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use tagwright::fixture::{Fixture, RegistryServer};

use crate::{
    certificates::Certificates,
    git_http,
    git_ssh::{self, Setup, SshServer},
    measure::{Run, measure},
    programs::command,
};

/// One file in so many holds a marker.
const MARKED: usize = 1000;
/// The folder of the scoped runs: 50 files, one of them marked.
pub(crate) const SCOPE: &str = "team-000/app-000";
const FILES_IN_FOLDER: usize = 50;
const PASSWORD: &str = "4711";

/// A bare repository, and a registry with a newer image than its files.
pub(crate) struct World {
    pub(crate) folder: PathBuf,
    base: String,
    registry: RegistryServer,
}

/// A server that runs, and how one logs in.
pub(crate) struct Transport {
    _server: Server,
    /// The address as documents have it, and as `git` has it.
    url: String,
    git_url: String,
    /// A Secret, from `stringData` on.
    secret: String,
    /// What `git` is told.
    environment: Vec<(&'static str, String)>,
}

#[expect(dead_code, reason = "they run until they are dropped")]
enum Server {
    Http(git_http::GitServer),
    Ssh(SshServer),
}

impl Transport {
    pub(crate) fn https(world: &World) -> Option<Self> {
        let certificates = Certificates::make(&world.folder);
        let server = git_http::GitServer::start(&world.folder, &certificates, PASSWORD)?;
        let url = server.url("fleet");
        let authority = certificates.authority.display().to_string();
        Some(Self {
            _server: Server::Http(server),
            git_url: url.replace("https://", &format!("https://bot:{PASSWORD}@")),
            url,
            secret: format!(
                "username: bot, password: '{PASSWORD}', ca.crt: '${{file:{authority}}}'"
            ),
            environment: vec![("GIT_SSL_CAINFO", authority)],
        })
    }

    pub(crate) fn ssh(world: &World) -> Option<Self> {
        let folder = world.folder.join("ssh");
        let server = SshServer::start(&folder, &Setup::default())?;
        let key = git_ssh::make_key(&folder, "id", &["-t", "ed25519"], "");
        server.authorize(&key);
        let known_hosts = folder.join("known_hosts");
        let line = format!("{} {}\n", server.host(), server.host_key("ed25519"));
        fs::write(&known_hosts, line).expect("a new file");
        let url = server.url(&world.repository());
        let (key, hosts) = (key.display(), known_hosts.display());
        Some(Self {
            git_url: url.clone(),
            url,
            secret: format!("identity: '${{file:{key}}}', known_hosts: '${{file:{hosts}}}'"),
            environment: vec![(
                "GIT_SSH_COMMAND",
                format!("ssh -F none -i {key} -o UserKnownHostsFile={hosts}"),
            )],
            _server: Server::Ssh(server),
        })
    }

    fn git(&self, world: &World) -> Command {
        let mut git = command("git", &world.folder);
        git.args(["-c", "user.name=Bot", "-c", "user.email=bot@example.com"]);
        git.envs(self.environment.iter().map(|(name, value)| (name, value)));
        git
    }
}

impl World {
    /// Writes one commit with so many files by `git fast-import`.
    pub(crate) fn make(folder: &Path, files: usize, runtime: &tokio::runtime::Runtime) -> Self {
        let fixture = Fixture::embedded("demo").expect("the demo's fixture");
        let registry = runtime.block_on(RegistryServer::start(fixture));
        let mut world = Self {
            folder: folder.to_owned(),
            base: String::new(),
            registry: registry.expect("loopback"),
        };
        fs::create_dir_all(world.repository()).expect("a new folder");
        world.git(&["init", "-q", "--bare", "-b", "main"]);
        for setting in ["http.receivepack", "uploadpack.allowFilter"] {
            world.git(&["config", setting, "true"]);
        }
        world.git(&["config", "receive.autogc", "false"]);
        let mut import = command("git", folder);
        import.arg("-C").arg(world.repository());
        import
            .args(["fast-import", "--quiet"])
            .stdin(Stdio::piped());
        let mut child = import.spawn().expect("git is on the path");
        let mut input = std::io::BufWriter::new(child.stdin.take().expect("it is piped"));
        let head =
            b"commit refs/heads/main\ncommitter Human <human@example.com> 1700000000 +0000\n\
                     data 5\nfirst\n";
        input.write_all(head).expect("git reads");
        for index in 0..files {
            let (path, text) = world.file(index);
            let length = text.len();
            write!(input, "M 100644 inline {path}\ndata {length}\n{text}\n").expect("git reads");
        }
        drop(input);
        assert!(child.wait().expect("our own child").success());
        world.git(&["repack", "-adq"]);
        world.base = world.tip();
        world
    }

    fn repository(&self) -> PathBuf {
        self.folder.join("repos/fleet.git")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = command("git", &self.folder);
        let output = git.arg("-C").arg(self.repository()).args(arguments);
        let output = output.output().expect("git is on the path");
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn tip(&self) -> String {
        self.git(&["rev-parse", "main"])
    }

    fn file(&self, index: usize) -> (String, String) {
        let folder = index / FILES_IN_FOLDER;
        let (team, app) = (folder / 20, folder % 20);
        let path = format!("team-{team:03}/app-{app:03}/file-{index}.yaml");
        let marker = if index.is_multiple_of(MARKED) {
            " # {\"$imagepolicy\": \"default:web\"}"
        } else {
            ""
        };
        let mut text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{index}\nspec:\n  \
             template:\n    spec:\n      containers:\n        - name: app\n          \
             image: {}/acme/web:1.0.0{marker}\n          env:\n",
            self.registry.address()
        );
        for variable in 0..6 {
            let value = index.wrapping_mul(2_654_435_761) ^ variable;
            let _ = writeln!(
                text,
                "            - name: SETTING_{variable}\n              value: \"{value:x}\""
            );
        }
        (path, text)
    }

    /// Measures `act` as often as needed, each time with the branch at the first commit.
    pub(crate) fn repeat(&self, runs: usize, act: impl Fn() -> Run) -> Vec<Run> {
        let runs = (0..runs).map(|_| {
            self.git(&["update-ref", "refs/heads/main", &self.base]);
            let run = act();
            assert_ne!(self.tip(), self.base, "it was pushed");
            run
        });
        runs.collect()
    }

    pub(crate) fn clone_edit_push(&self, transport: &Transport) -> Run {
        let clone = self.folder.join("clone");
        let _ = fs::remove_dir_all(&clone);
        let start = Instant::now();
        let mut fetch = transport.git(self);
        fetch.args(["clone", "-q", "--depth", "1", &transport.git_url]);
        let mut run = measure(fetch.arg(&clone));
        let file = clone.join(SCOPE).join("file-0.yaml");
        let text = fs::read_to_string(&file).expect("it was cloned");
        fs::write(&file, text.replace(":1.0.0", ":1.1.0")).expect("it is ours");
        let git = |arguments: &[&str]| {
            let mut git = transport.git(self);
            measure(git.arg("-C").arg(&clone).args(arguments)).peak_kib
        };
        let commit = git(&["commit", "-q", "-a", "-m", "Update images"]);
        let push = git(&["push", "-q", "origin", "HEAD"]);
        run.wall = start.elapsed();
        run.peak_kib = run.peak_kib.max(commit).max(push);
        run
    }

    /// The least that any program has to ask.
    pub(crate) fn ls_remote(&self, transport: &Transport) -> Run {
        let mut git = transport.git(self);
        measure(git.args(["ls-remote", &transport.git_url, "refs/heads/main"]))
    }

    pub(crate) fn documents(&self, transport: &Transport, path: &str) -> PathBuf {
        let file = self.folder.join("config.yaml");
        let text = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: git}}\nstringData: {{{secret}}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: web}}\n\
             spec: {{image: {registry}/acme/web, interval: 5m, insecure: true}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: web}}\n\
             spec: {{imageRepositoryRef: {{name: web}}, policy: {{semver: {{range: 1.x}}}}}}\n---\n\
             apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: fleet}}\n\
             spec: {{url: '{url}', interval: 5m, timeout: 10m, ref: {{branch: main}}, \
             secretRef: {{name: git}}}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
             metadata: {{name: fleet}}\nspec:\n  interval: 5m\n  \
             sourceRef: {{kind: GitRepository, name: fleet}}\n  \
             git: {{commit: {{author: {{email: bot@example.com}}}}}}\n  \
             update: {{strategy: Setters, path: \"./{path}\"}}\n",
            secret = transport.secret,
            registry = self.registry.address(),
            url = transport.url,
        );
        fs::write(&file, text).expect("a new file");
        file
    }
}

/// The program, once, with a cache.
pub(crate) fn tagwright(config: &Path, cache: &Path) -> Run {
    let mut run = Command::new(env!("CARGO_BIN_EXE_tagwright"));
    run.env_clear().arg("run").arg("--config").arg(config);
    measure(run.arg("--cache").arg(cache))
}
