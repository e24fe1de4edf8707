//! In a cluster: objects → configuration → pipeline → conditions.
//!
//! Four kinds are watched into `world`; what a change concerns is put into the `queue` of its
//! kind, and `work` takes it from there to `reconcile`, which is the same for all kinds but for
//! one step: `repository` scans, `policy` decides, `automation` runs the pipeline. What came
//! of it is written as conditions, where it differs from what stands there, and told as an
//! `event`. Status is an output: no decision reads it.
#![expect(
    clippy::disallowed_methods,
    reason = "a run mode: this is its edge to the clock"
)]

mod acl;
mod object;
mod world;

mod queue;
mod work;

mod automation;
mod condition;
mod crew;
mod outcome;
mod policy;
mod reconcile;
mod repository;
mod status;
mod told;

mod event;
mod lease;
mod mend;
mod metrics;
mod serve;
mod vault;
mod watch;

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use kube::{Client, core::DynamicObject};
use tokio::{sync::Notify, time::Instant};
use url::Url;

pub use self::{
    acl::CrossNamespace,
    lease::{Election, LeaseError},
    vault::Identity,
};
use self::{
    event::Events,
    metrics::Metrics,
    object::{Kind, Object},
    queue::{Pauses, Queue},
    repository::Known,
    vault::ClusterVault,
    world::{Trigger, World},
};
use crate::{
    config::ObjectKey,
    crd::{ImageRef, LabelSelector},
    egress::Egress,
    pipeline::Ports,
    scan::OciRegistry,
    update::git::{GitRemote, Pushed},
};

/// How long an automation waits for more policies to choose, so that they share one commit.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// How long work that was begun may take to end when the process is asked to stop.
const GRACE: Duration = Duration::from_secs(20);

/// How the controller runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The one namespace that is watched; all of them where nothing is given.
    pub namespace: Option<String>,
    /// The labels of the objects that this process works on.
    pub shard: LabelSelector,
    /// Whether references may leave their namespace.
    pub cross_namespace: CrossNamespace,
    /// Whose identity is shown to a cloud where an object names no ServiceAccount.
    pub identity: Identity,
    /// How many objects of one kind are worked on at the same time.
    pub concurrent: usize,
    /// The shortest pause after a failure.
    pub min_retry_delay: Duration,
    /// The longest pause after a failure.
    pub max_retry_delay: Duration,
    /// How long a policy waits for tags, where nothing wakes it.
    pub requeue_dependency: Duration,
    /// Where notifications are sent to.
    pub events_address: Option<Url>,
    /// Where `/metrics` is served.
    pub metrics_address: SocketAddr,
    /// Where `/healthz` and `/readyz` are served.
    pub health_address: SocketAddr,
    /// Where fetched Git objects are kept; it may be lost at any time.
    pub cache: PathBuf,
    /// What this replica is called.
    pub instance: String,
    /// How the replica that works is chosen; nothing where there is only one.
    pub election: Option<Election>,
}

/// Why the controller ended.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// No API server was found, or it cannot be talked to.
    #[error("cannot find the API server")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An address cannot be listened on.
    #[error("cannot serve {what} on {address}")]
    Listen {
        /// What was to be served.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// Another replica has taken over.
    #[error(transparent)]
    Lease(#[from] LeaseError),
}

impl ControllerError {
    /// What kind of trouble this is.
    pub fn class(&self) -> crate::error::Class {
        match self {
            Self::Connect(_) | Self::Listen { .. } => crate::error::Class::Config,
            Self::Lease(_) => crate::error::Class::Conflict,
        }
    }
}

/// Works until `stop` is told, or until another replica takes over.
///
/// # Errors
///
/// When there is no API server, when an address is taken, or when the lease was lost.
pub async fn run(
    options: Options,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ControllerError> {
    let config = kube::Config::infer().await;
    let config = config.map_err(|error| ControllerError::Connect(error.into()))?;
    let client =
        Client::try_from(config).map_err(|error| ControllerError::Connect(error.into()))?;
    let metrics = Arc::new(Metrics::default());
    let (events, telling) = Events::start(
        client.clone(),
        options.events_address.clone(),
        options.instance.clone(),
        Arc::clone(&metrics),
    );
    let context = Arc::new(Context::new(client, options, events, metrics));
    let served = serve::start(&context).await?;

    let (stopping, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        stop.await;
        tracing::info!("stopping");
        stopping.send_replace(true);
    });
    let result = lease::while_leading(&context, stopped.clone(), || {
        work::run(Arc::clone(&context), stopped.clone())
    })
    .await;
    drop(served);
    drop(context);
    // What was told last is still on its way.
    let _ = tokio::time::timeout(Duration::from_secs(3), telling).await;
    result.map_err(Into::into)
}

fn now() -> DateTime<Utc> {
    Utc::now()
}

/// What the process knows and works with.
struct Context {
    client: Client,
    options: Options,
    ports: Ports<OciRegistry, GitRemote, ClusterVault>,
    /// The way to forges; registries and Git have their own in the ports.
    egress: Egress,
    events: Events,
    metrics: Arc<Metrics>,
    health: serve::Health,
    world: Mutex<World>,
    queues: HashMap<Kind, Line>,
    memory: Mutex<Memory>,
}

/// A queue, and the bell that is rung when something was put into it.
struct Line {
    queue: Mutex<Queue>,
    bell: Notify,
}

/// What was found out since the process started, and may be lost at any time.
#[derive(Default)]
struct Memory {
    scans: HashMap<ObjectKey, Known>,
    /// The repositories that were tried, whatever came of it.
    tried: HashSet<ObjectKey>,
    choices: HashMap<ObjectKey, (ImageRef, Instant)>,
    /// What was pushed for automations that do not know of it yet.
    pushed: HashMap<ObjectKey, Pushed>,
    denied: mend::Denied,
}

impl Context {
    fn new(client: Client, options: Options, events: Events, metrics: Arc<Metrics>) -> Self {
        let ports = Ports {
            registry: OciRegistry::new(Egress::new()),
            remote: GitRemote::new(Egress::new(), options.cache.clone()),
            vault: ClusterVault::new(client.clone(), options.identity.clone()),
        };
        let queues = Kind::OURS.map(|kind| {
            let queue = Mutex::new(Queue::new(options.concurrent));
            let bell = Notify::new();
            (kind, Line { queue, bell })
        });
        Self {
            client,
            ports,
            egress: Egress::new(),
            events,
            metrics,
            health: serve::Health::default(),
            world: Mutex::default(),
            queues: queues.into_iter().collect(),
            memory: Mutex::default(),
            options,
        }
    }

    fn pauses(&self) -> Pauses {
        Pauses {
            min: self.options.min_retry_delay,
            max: self.options.max_retry_delay,
        }
    }

    /// The watched objects; each change leaves them complete, so a poisoned lock is usable.
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, kind: Kind, key: &ObjectKey) -> Option<Arc<Object>> {
        self.world().get(kind, key)
    }

    /// Whether this process works on an object, or one of another shard.
    fn is_ours(&self, object: &Object) -> bool {
        self.options.shard.matches(&object.labels())
    }

    fn policies_within(&self, namespace: &str) -> Vec<Arc<Object>> {
        let world = self.world();
        world.within(Kind::Policy, namespace).collect()
    }

    /// Takes over what the server answered to a write of ours.
    fn take_over(&self, kind: Kind, object: DynamicObject) {
        if let Some(object) = Object::new(kind, object) {
            let triggers = self.world().take_over(object);
            self.wake(triggers);
        }
    }

    /// Puts objects into their queues.
    fn wake(&self, triggers: impl IntoIterator<Item = Trigger>) {
        for (kind, key) in triggers {
            let wait = match kind {
                Kind::Automation => DEBOUNCE,
                _ => Duration::ZERO,
            };
            if let Some(line) = self.queues.get(&kind) {
                line.lock().push(key, Instant::now().into_std() + wait);
                line.bell.notify_one();
            }
        }
    }

    fn wake_policies_of(&self, repository: &ObjectKey) {
        let policies = self.world().policies_of(repository);
        self.wake(policies.into_iter().map(|key| (Kind::Policy, key)));
    }

    fn wake_automations_of(&self, policy: &Object) {
        let automations = self.world().automations_of(policy);
        self.wake(automations);
    }

    fn known(&self, repository: &ObjectKey) -> Option<Known> {
        self.memory().scans.get(repository).cloned()
    }

    /// Remembers a scan, and gives the one before.
    fn remember(&self, repository: &ObjectKey, known: Known) -> Option<Known> {
        self.memory().scans.insert(repository.clone(), known)
    }

    fn forget_scan(&self, repository: &ObjectKey) {
        self.memory().scans.remove(repository);
    }

    /// Notes that an object was looked at, whatever came of it.
    fn mark_tried(&self, kind: Kind, key: &ObjectKey) {
        if kind == Kind::Repository {
            self.memory().tried.insert(key.clone());
        }
    }

    /// Whether a repository was scanned, or could not be, or is another process's.
    fn was_tried(&self, repository: &ObjectKey) -> bool {
        if self.memory().tried.contains(repository) {
            return true;
        }
        let object = self.get(Kind::Repository, repository);
        object.is_none_or(|object| !self.is_ours(&object))
    }

    fn choice(&self, policy: &ObjectKey) -> Option<ImageRef> {
        let memory = self.memory();
        memory.choices.get(policy).map(|(chosen, _)| chosen.clone())
    }

    /// Notes what a policy chose, and gives what it had chosen before.
    fn remember_choice(&self, policy: &ObjectKey, chosen: &ImageRef) -> Option<ImageRef> {
        let mut memory = self.memory();
        let before = memory.choices.get(policy).map(|(before, _)| before.clone());
        if before.as_ref() != Some(chosen) {
            let choice = (chosen.clone(), Instant::now());
            memory.choices.insert(policy.clone(), choice);
        }
        before
    }

    fn since_choice(&self, policy: &ObjectKey) -> Option<Duration> {
        let memory = self.memory();
        memory.choices.get(policy).map(|(_, at)| at.elapsed())
    }

    /// An object is gone, and everything about it.
    fn forget(&self, kind: Kind, key: &ObjectKey) {
        self.metrics.forget(kind, key);
        let mut memory = self.memory();
        memory.denied.remove(&(kind, key.clone()));
        match kind {
            Kind::Repository => {
                memory.scans.remove(key);
                memory.tried.remove(key);
            }
            Kind::Policy => {
                memory.choices.remove(key);
            }
            Kind::Automation => {
                memory.pushed.remove(key);
            }
            Kind::Source => {}
        }
    }
}

impl Line {
    /// The queue; each of its operations leaves it complete, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
