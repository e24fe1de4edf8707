//! A registry whose tags can be changed, a bare repository, one of the forges, and people.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};
use gix::ObjectId;
use tagwright::{
    access::forge_with_token,
    config::{Config, ConfigFile, Origin},
    egress::Egress,
    fixture::{Fixture, FixtureRegistry, repository},
    once::DocumentVault,
    pipeline::{self, Doors, End, Intent, Listings, Outcome, Ports},
    secret::Secret,
    update::{
        forge::{AnyForge, Place},
        git::{
            Author, Branch, Chain, CommitId, GitRemote, OwnCommit, Pushed, Remote, RemoteError,
            Request, Snapshot, Source,
        },
    },
};
use url::Url;

use super::fake::{Forge, Fuse, Product, Pull, Server, Stage};

pub(crate) const BRANCH: &str = "bot/images";
/// A key that protects nothing.
const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
    b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABD1phlku5\n\
    A2G7Q9iP+DcOc9AAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIHeLC1lWiCYrXsf/\n\
    85O/pkbUFZ6OGIt49PX3nw8iRoXEAAAAkKRF0st5ZI7xxo9g6A4m4l6NarkQre3mycqNXQ\n\
    dP3jryYgvsCIBAA5jMWSjrmnOTXhidqcOy4xYCrAttzSnZ/cUadfBenL+DQq6neffw7j8r\n\
    0tbCxVGp6yCQlKrgSZf6c0Hy7dNEIU2bJFGxLe6/kWChcUAt/5Ll5rI7DVQPJdLgehLzvv\n\
    sJWR7W+cGvJ/vLsw==\n-----END OPENSSH PRIVATE KEY-----";
const FILES: [(&str, &str); 2] = [
    (
        "apps/web.yaml",
        "image: registry.test/web:1.0.0 # {\"$imagepolicy\": \"apps:web\"}\n",
    ),
    (
        "apps/api.yaml",
        "image: registry.test/api:1.0.0 # {\"$imagepolicy\": \"apps:api\"}\n",
    ),
];

pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) product: Product,
    pub(crate) server: Server,
    pub(crate) fuse: Arc<Fuse>,
    url: Url,
    api: String,
    words: String,
    signing: &'static str,
    constraints: &'static str,
    secret: String,
    pub(crate) now: DateTime<Utc>,
}

impl World {
    /// A world in which both images are at 1.0.0, in Git and in the registry.
    pub(crate) async fn new(product: Product) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let now = "2026-01-05T12:00:00Z".parse().expect("a time");
        let author = Author {
            name: "Ada".to_owned(),
            email: "ada@example.com".to_owned(),
        };
        let files = FILES.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        let repository = folder.path().join("fleet.git");
        let url = repository::create(&repository, &files.into(), &author, now);
        let fuse = Arc::new(Fuse::default());
        let proof = product.authorization();
        let server = Server::start(product, &repository, proof, Arc::clone(&fuse)).await;
        let api = format!("http://{}{}", server.address, product.words().1);
        let world = Self {
            folder,
            product,
            server,
            fuse,
            url: url.expect("a repository"),
            api,
            words:
                "labels: [images], reviewers: [ada], teams: [ops], assignees: [bo], milestone: Q1"
                    .to_owned(),
            signing: "",
            constraints: "",
            secret: "token: canary-1".to_owned(),
            now,
        };
        world.tags("web", &["1.0.0"]);
        world.tags("api", &["1.0.0"]);
        world
    }

    /// Says what `pullRequest` says besides where the forge is.
    pub(crate) fn saying(mut self, words: &str) -> Self {
        words.clone_into(&mut self.words);
        self
    }

    /// Lets the API begin at another address.
    pub(crate) fn through(mut self, api: &str) -> Self {
        api.clone_into(&mut self.api);
        self
    }

    /// Gives the Secret of the forge other data.
    pub(crate) fn with_secret(mut self, data: String) -> Self {
        self.secret = data;
        self
    }

    /// Gives the automation a key of its own to sign with.
    pub(crate) fn signing(mut self) -> Self {
        self.signing = ", signingKey: {type: ssh, secretRef: {name: key}}";
        self
    }

    /// Gives both policies constraints.
    pub(crate) fn constrained(mut self, constraints: &'static str) -> Self {
        self.constraints = constraints;
        self
    }

    /// Lets the registry list these tags.
    pub(crate) fn tags(&self, image: &str, tags: &[&str]) {
        let folder = self.folder.path().join("registry");
        fs::create_dir_all(folder.join(image)).expect("a folder");
        let settings = "why = \"Tags that change.\"\nhost = \"registry.test\"\n";
        fs::write(folder.join("registry.toml"), settings).expect("a file");
        let file = folder.join(image).join("tags.txt");
        fs::write(file, format!("{}\n", tags.join("\n"))).expect("a file");
    }

    /// Lets an image have a configuration.
    pub(crate) fn image(&self, name: &str, tag: &str, config: &str) {
        let folder = self
            .folder
            .path()
            .join("registry")
            .join(name)
            .join("configs");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("{tag}.json")), config).expect("a file");
    }

    /// Lets the registry forget an image, so that its policy cannot be asked.
    pub(crate) fn forget(&self, image: &str) {
        fs::remove_dir_all(self.folder.path().join("registry").join(image)).expect("it was there");
    }

    /// The forge, as one who has nothing but its address and a token.
    pub(crate) fn door(&self) -> AnyForge {
        let kind = serde_json::from_value(self.product.words().0.into()).expect("a kind");
        let api = Url::parse(&self.api).expect("an address");
        let place = Place::new(&api, Some(kind), Some(&api), Some("acme/fleet"));
        let token = Secret::new("canary-1".to_owned());
        let access = forge_with_token(place.expect("a place"), token);
        AnyForge::new(Egress::new(), access)
    }

    fn config(&self) -> Config {
        let (forge, _) = self.product.words();
        let documents = format!(
            "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
             metadata: {{name: fleet}}\nspec:\n  interval: 5m\n  \
             sourceRef: {{kind: GitRepository, name: fleet}}\n  git:\n    \
             commit: {{author: {{name: Bot, email: bot@example.com}}{}}}\n    push:\n      \
             branch: {BRANCH}\n      \
             pullRequest: {{forge: {forge}, api: '{}', project: acme/fleet, \
             secretRef: {{name: forge}}, {}}}\n---\n\
             apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: fleet}}\n\
             spec: {{url: '{}', ref: {{branch: main}}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: forge}}\nstringData: {{{}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: key}}\n\
             stringData: {{identity: {KEY:?}, password: test}}\n{}{}",
            self.signing,
            self.api,
            self.words,
            self.url,
            self.secret,
            image("web", self.constraints),
            image("api", self.constraints),
        );
        let file = ConfigFile {
            name: "config.yaml".to_owned(),
            text: documents,
            origin: Origin::Given,
        };
        match Config::read(&[file], "apps") {
            Ok(config) => config,
            Err(error) => panic!("{:?}", error.faults),
        }
    }

    /// Runs once, from nothing but what Git, the registry and the forge say.
    pub(crate) async fn run(&self) -> Vec<Outcome> {
        self.run_with(Intent::Apply).await
    }

    pub(crate) async fn run_with(&self, intent: Intent) -> Vec<Outcome> {
        let config = self.config();
        let fixture = Fixture::open(&self.folder.path().join("registry")).expect("a fixture");
        let egress = Egress::new();
        let ports = Ports {
            registry: FixtureRegistry::new(fixture),
            remote: Fused {
                remote: GitRemote::new(egress.clone(), self.folder.path().join("store")),
                fuse: Arc::clone(&self.fuse),
            },
            vault: DocumentVault {
                config: &config,
                docker_config: None,
                named_remote: None,
            },
        };
        let automation = &config.automations[0];
        let doors = Doors {
            settings: automation.pull_request.as_ref().expect("it is said"),
            open: |access| AnyForge::new(egress.clone(), access),
            now: self.now,
        };
        let listings = Listings::default();
        let proposed = pipeline::propose(&config, automation, &ports, &doors, &listings, intent);
        Box::pin(proposed).await
    }

    /// Runs once, and the run must be about one request.
    pub(crate) async fn run_one(&self) -> Outcome {
        let mut outcomes = self.run().await;
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes.remove(0)
    }

    pub(crate) fn forge<T>(&self, look: impl FnOnce(&mut Forge) -> T) -> T {
        self.server.with(look)
    }

    /// The request with a number, as people see it.
    pub(crate) fn pull(&self, number: u64) -> Pull {
        self.forge(|forge| forge.pull(&number.to_string()).cloned())
            .unwrap_or_else(|| panic!("{:?}: there is no request {number}", self.product))
    }

    pub(crate) fn tip(&self, branch: &str) -> Option<String> {
        self.forge(|forge| forge.tip(branch))
    }

    /// The text of a file at the tip of a branch.
    pub(crate) fn file(&self, branch: &str, path: &str) -> String {
        let repository = self.open();
        let tip = self.tip(branch).expect("the branch is there");
        let commit = repository.find_commit(tip.parse::<ObjectId>().expect("an id"));
        let tree = commit.expect("a commit").tree().expect("a tree");
        let entry = tree
            .lookup_entry_by_path(path)
            .expect("a tree")
            .expect("a file");
        String::from_utf8(entry.object().expect("a blob").data.clone()).expect("text")
    }

    /// The commit at the tip of a branch, as Git keeps it.
    pub(crate) fn commit_text(&self, branch: &str) -> String {
        let tip = self.tip(branch).expect("the branch is there");
        let repository = self.open();
        let commit = repository.find_commit(tip.parse::<ObjectId>().expect("an id"));
        String::from_utf8(commit.expect("a commit").data.clone()).expect("text")
    }

    fn open(&self) -> gix::Repository {
        gix::open_opts(self.repository(), gix::open::Options::isolated()).expect("a repository")
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.folder.path().join("fleet.git")
    }

    /// A person commits to a branch, on top of what is there, and changes nothing.
    pub(crate) fn commit_by_hand(&self, branch: &str) -> String {
        let repository = self.open();
        let tip = self
            .tip(branch)
            .expect("the branch is there")
            .parse::<ObjectId>();
        let tip = tip.expect("an id");
        let signature = gix::actor::Signature {
            name: "Human".into(),
            email: "human@example.com".into(),
            time: gix::date::Time::new(1_767_700_000, 0),
        };
        let commit = gix::objs::Commit {
            tree: repository
                .find_commit(tip)
                .expect("a commit")
                .tree_id()
                .expect("a tree")
                .detach(),
            parents: [tip].into_iter().collect(),
            author: signature.clone(),
            committer: signature,
            encoding: None,
            message: "by hand\n".into(),
            extra_headers: Vec::new(),
        };
        let id = repository
            .write_object(&commit)
            .expect("a commit")
            .to_string();
        self.set(branch, &id);
        id
    }

    fn set(&self, branch: &str, id: &str) {
        let file = self.repository().join("refs/heads").join(branch);
        fs::write(file, format!("{id}\n")).expect("a reference");
    }

    /// A person merges a request by fast-forward, and leaves its branch.
    pub(crate) fn merge_by_hand(&self, number: u64) {
        self.forge(|forge| forge.merge(number));
    }

    /// Removes every request, and the branch: the forge is as it was at first.
    pub(crate) fn forget_requests(&self) {
        self.forge(|forge| forge.pulls.clear());
        // Where a request was taken back, the branch is gone already.
        let _ = fs::remove_file(self.repository().join("refs/heads").join(BRANCH));
    }

    pub(crate) fn close_by_hand(&self, number: u64) {
        self.forge(|forge| {
            forge.pull(&number.to_string()).expect("it is there").state = Stage::Closed;
        });
    }

    /// What must hold at any time: every body fitted its schema, and no secret went into a request.
    pub(crate) fn assert_sound(&self) {
        self.forge(|forge| {
            assert!(
                forge.violations.is_empty(),
                "{:?}: {:#?}",
                forge.product,
                forge.violations
            );
            for pull in &forge.pulls {
                let shown = format!("{pull:?}");
                assert!(!shown.contains("canary"), "a secret was shown: {shown}");
            }
        });
    }
}

/// The documents of an image and its policy.
fn image(name: &str, constraints: &str) -> String {
    format!(
        "---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: {name}}}\n\
         spec: {{image: registry.test/{name}, interval: 5m}}\n---\n\
         apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\n\
         metadata: {{name: {name}, labels: {{team: {name}-team}}}}\n\
         spec: {{imageRepositoryRef: {{name: {name}}}, policy: {{semver: {{range: 1.x}}}}{constraints}}}\n"
    )
}

#[track_caller]
pub(crate) fn assert_applied(outcome: &Outcome, number: u64) {
    assert!(matches!(outcome.end, End::Applied(_)), "{outcome:#?}");
    let request = outcome.proposal.as_ref().and_then(|it| it.request.as_ref());
    assert_eq!(request.map(|it| it.number), Some(number), "{outcome:#?}");
}

#[track_caller]
pub(crate) fn assert_waiting(outcome: &Outcome, words: &str) {
    match &outcome.end {
        End::Waiting(reason) => assert!(reason.contains(words), "{reason}"),
        _ => panic!("{outcome:#?}"),
    }
}

/// A remote every call of which may be the last thing that happens.
struct Fused {
    remote: GitRemote,
    fuse: Arc<Fuse>,
}

impl Remote for Fused {
    async fn read_all(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Result<Snapshot, RemoteError>>, RemoteError> {
        let result = self.remote.read_all(requests).await;
        self.fuse.burn("git read").await;
        result
    }

    async fn push_all(
        &self,
        chains: &[Chain<'_>],
    ) -> Result<Vec<Result<Vec<Pushed>, RemoteError>>, RemoteError> {
        let result = self.remote.push_all(chains).await;
        self.fuse.burn("git push").await;
        result
    }

    async fn history(
        &self,
        source: &Source,
        snapshot: &Snapshot,
        paths: &BTreeSet<String>,
    ) -> Result<Vec<OwnCommit>, RemoteError> {
        let result = self.remote.history(source, snapshot, paths).await;
        self.fuse.burn("git history").await;
        result
    }

    async fn branches(&self, source: &Source) -> Result<BTreeSet<Branch>, RemoteError> {
        let result = self.remote.branches(source).await;
        self.fuse.burn("git branches").await;
        result
    }

    async fn tree(&self, chain: &Chain<'_>) -> Result<String, RemoteError> {
        let result = self.remote.tree(chain).await;
        self.fuse.burn("git tree").await;
        result
    }

    async fn point(
        &self,
        source: &Source,
        expected: Option<&CommitId>,
        commit: &CommitId,
    ) -> Result<(), RemoteError> {
        let result = self.remote.point(source, expected, commit).await;
        self.fuse.burn("git point").await;
        result
    }

    async fn remove(&self, source: &Source, tip: &CommitId) -> Result<(), RemoteError> {
        let result = self.remote.remove(source, tip).await;
        self.fuse.burn("git remove").await;
        result
    }
}
