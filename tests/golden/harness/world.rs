//! A registry from a fixture and a Git repository from a folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use gix::objs::{
    Tree,
    tree::{Entry, EntryKind},
};
use tagwright::{
    access::{Vault, VaultError},
    config::{Config, ObjectKey},
    egress::Egress,
    fixture::{Fixture, FixtureRegistry, repository},
    image::{Digest, Repository, Tag},
    once::{self, DocumentVault},
    pipeline::{Intent, Listings, Outcome, Ports},
    scan::{Access, Depth, Keychain, Registry, Scan, ScanError, Signature, TagFacts, TrustedKeys},
    secret::SecretRecord,
    update::git::{
        Author, Branch, Chain, CommitId, GitRemote, Login, OwnCommit, Pushed, Remote, RemoteError,
        Request, Snapshot, Source,
    },
};
use url::Url;

pub(crate) struct World {
    registry: Listed,
    folder: tempfile::TempDir,
    remote: Url,
    pub(crate) base: String,
}

/// In which order tags are handed to the policy.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    Served,
    Reversed,
    Shuffled,
}

impl World {
    pub(crate) fn new(
        registry: &str,
        files: &BTreeMap<String, Vec<u8>>,
        links: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/registries");
        let fixture = Fixture::open(&fixtures.join(registry)).map_err(|error| error.to_string())?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let author = Author {
            name: "Ada".to_owned(),
            email: "ada@example.com".to_owned(),
        };
        let time = DateTime::<Utc>::from_timestamp(1_767_323_045, 0).unwrap_or_default();
        let remote = repository::create(&folder.path().join("fleet.git"), files, &author, time);
        let remote = remote.map_err(|error| error.to_string())?;
        if !links.is_empty() {
            add_links(&folder.path().join("fleet.git"), links)?;
        }
        let registry = Listed {
            registry: FixtureRegistry::new(fixture),
            order: Order::Served,
        };
        let mut world = Self {
            registry,
            folder,
            remote,
            base: String::new(),
        };
        world.base = world.tip();
        Ok(world)
    }

    pub(crate) fn listing(mut self, order: Order) -> Self {
        self.registry.order = order;
        self
    }

    pub(crate) async fn run(&self, config: &Config, intent: Intent) -> Vec<Outcome> {
        let ports = Ports {
            registry: &self.registry,
            remote: Redirected {
                remote: GitRemote::new(Egress::new(), self.folder.path().join("store")),
                url: self.remote.clone(),
            },
            vault: Documents(DocumentVault {
                config,
                docker_config: None,
                named_remote: None,
            }),
        };
        once::run(config, &ports, &Listings::default(), intent).await
    }

    /// The commit that `main`, or a branch that was pushed, points to.
    pub(crate) fn tip(&self) -> String {
        self.first_tip_after_base()
    }

    /// The newest commit over all branches, told by its distance from the base.
    pub(crate) fn first_tip_after_base(&self) -> String {
        let repository = self.open();
        let mut tips = Vec::new();
        for reference in repository
            .references()
            .expect("references can be read")
            .all()
            .expect("and iterated")
        {
            let id = reference.expect("each of them").id().detach();
            tips.push(id.to_string());
        }
        tips.sort();
        tips.dedup();
        tips.into_iter()
            .find(|tip| *tip != self.base)
            .unwrap_or_else(|| self.base.clone())
    }

    /// The files of the newest commit; of a link, what it points to.
    pub(crate) fn tree(&self) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let repository = self.open();
        let id = self
            .tip()
            .parse::<gix::ObjectId>()
            .map_err(|error| error.to_string())?;
        let commit = repository
            .find_commit(id)
            .map_err(|error| error.to_string())?;
        let mut files = BTreeMap::new();
        let tree = commit.tree().map_err(|error| error.to_string())?;
        collect(&repository, tree.id, "", &mut files)?;
        Ok(files)
    }

    fn open(&self) -> gix::Repository {
        gix::open(self.folder.path().join("fleet.git")).expect("the repository was made above")
    }
}

/// Puts symbolic links into the root of the one commit.
fn add_links(folder: &Path, links: &BTreeMap<String, String>) -> Result<(), String> {
    let told = |error: &dyn std::error::Error| error.to_string();
    let repository = gix::open(folder).map_err(|error| told(&error))?;
    let commit = repository.head_commit().map_err(|error| told(&error))?;
    let tree = commit.tree().map_err(|error| told(&error))?;
    let tree = tree.decode().map_err(|error| told(&error))?;
    let mut entries = tree
        .entries
        .into_iter()
        .map(Entry::from)
        .collect::<Vec<_>>();
    for (name, target) in links {
        let target = repository
            .write_blob(target)
            .map_err(|error| told(&error))?;
        entries.push(Entry {
            mode: EntryKind::Link.into(),
            filename: name.as_str().into(),
            oid: target.detach(),
        });
    }
    entries.sort();
    let tree = repository.write_object(&Tree { entries });
    let tree = tree.map_err(|error| told(&error))?.detach();
    let commit = commit.decode().map_err(|error| told(&error))?;
    let mut commit = gix::objs::Commit::try_from(commit).map_err(|error| told(&error))?;
    commit.tree = tree;
    let id = repository.write_object(&commit);
    let id = id.map_err(|error| told(&error))?.detach();
    std::fs::write(folder.join("refs/heads/main"), format!("{id}\n")).map_err(|error| told(&error))
}

fn collect(
    repository: &gix::Repository,
    tree: gix::ObjectId,
    prefix: &str,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), String> {
    let tree = repository
        .find_tree(tree)
        .map_err(|error| error.to_string())?;
    for entry in tree.iter() {
        let entry = entry.map_err(|error| error.to_string())?;
        let path = format!("{prefix}{}", entry.filename());
        if entry.mode().is_tree() {
            collect(repository, entry.object_id(), &format!("{path}/"), files)?;
        } else {
            let blob = repository
                .find_blob(entry.object_id())
                .map_err(|error| error.to_string())?;
            files.insert(path, blob.data.clone());
        }
    }
    Ok(())
}

/// A registry that hands its tags out in some order.
struct Listed {
    registry: FixtureRegistry,
    order: Order,
}

impl Registry for &Listed {
    async fn scan(&self, repository: &Repository, access: &Access) -> Result<Scan, ScanError> {
        let mut scan = self.registry.scan(repository, access).await?;
        match self.order {
            Order::Served => {}
            Order::Reversed => scan.tags.reverse(),
            Order::Shuffled => {
                // The same on every run: failures must be repeatable.
                let mut state = 0x2545_f491_4f6c_dd1d_u64;
                scan.tags.sort_by_cached_key(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state
                });
            }
        }
        Ok(scan)
    }

    async fn facts(
        &self,
        repository: &Repository,
        tag: &Tag,
        depth: Depth,
        access: &Access,
    ) -> Result<TagFacts, ScanError> {
        self.registry.facts(repository, tag, depth, access).await
    }

    async fn digest(
        &self,
        repository: &Repository,
        tag: &Tag,
        access: &Access,
    ) -> Result<Digest, ScanError> {
        self.registry.digest(repository, tag, access).await
    }

    async fn signature(
        &self,
        repository: &Repository,
        digest: &Digest,
        keys: &TrustedKeys,
        access: &Access,
    ) -> Result<Signature, ScanError> {
        let signature = self.registry.signature(repository, digest, keys, access);
        signature.await
    }
}

/// A remote that finds the repository of the case behind every address.
struct Redirected {
    remote: GitRemote,
    url: Url,
}

impl Redirected {
    fn of(&self, source: &Source) -> Source {
        Source {
            url: self.url.clone(),
            ..source.clone()
        }
    }
}

impl Remote for Redirected {
    async fn read_all(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Result<Snapshot, RemoteError>>, RemoteError> {
        let requests = requests.iter().map(|request| Request {
            source: self.of(&request.source),
            screen: Arc::clone(&request.screen),
        });
        self.remote.read_all(&requests.collect::<Vec<_>>()).await
    }

    async fn history(
        &self,
        source: &Source,
        snapshot: &Snapshot,
        paths: &BTreeSet<String>,
    ) -> Result<Vec<OwnCommit>, RemoteError> {
        self.remote.history(&self.of(source), snapshot, paths).await
    }

    async fn push_all(
        &self,
        chains: &[Chain<'_>],
    ) -> Result<Vec<Result<Vec<Pushed>, RemoteError>>, RemoteError> {
        let sources = chains.iter().map(|it| self.of(it.source));
        let sources = sources.collect::<Vec<_>>();
        let chains = chains.iter().zip(&sources);
        let chains = chains.map(|(chain, source)| Chain { source, ..*chain });
        self.remote.push_all(&chains.collect::<Vec<_>>()).await
    }

    async fn branches(&self, source: &Source) -> Result<BTreeSet<Branch>, RemoteError> {
        let source = Source {
            url: self.url.clone(),
            ..source.clone()
        };
        self.remote.branches(&source).await
    }

    async fn tree(&self, chain: &Chain<'_>) -> Result<String, RemoteError> {
        let source = self.of(chain.source);
        let chain = Chain {
            source: &source,
            ..*chain
        };
        self.remote.tree(&chain).await
    }

    async fn point(
        &self,
        source: &Source,
        expected: Option<&CommitId>,
        commit: &CommitId,
    ) -> Result<(), RemoteError> {
        self.remote.point(&self.of(source), expected, commit).await
    }

    async fn remove(&self, source: &Source, tip: &CommitId) -> Result<(), RemoteError> {
        self.remote.remove(&self.of(source), tip).await
    }
}

/// The documents' secrets, and nothing of the machine's.
struct Documents<'a>(DocumentVault<'a>);

impl Vault for Documents<'_> {
    async fn open(&self, key: &ObjectKey) -> Result<SecretRecord, VaultError> {
        self.0.open(key).await
    }

    async fn pull_secrets(&self, account: &ObjectKey) -> Result<Vec<ObjectKey>, VaultError> {
        Err(VaultError::NoAccount(account.clone()))
    }

    fn ambient_keychain(&self, _: &Repository) -> Result<Keychain, VaultError> {
        Ok(Keychain::default())
    }

    async fn ambient_git_login(&self, _: &Url) -> Result<Login, VaultError> {
        Ok(Login::Anonymous)
    }
}
