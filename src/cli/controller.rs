//! `controller`: the flags of Flux's two image controllers, and what they mean here.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{Exit, Global, LogFormat, Trouble, parse_duration};
use crate::{
    controller::{self, CrossNamespace, Election, Identity, Options},
    crd::LabelSelector,
};

/// The feature gates of both controllers. None of them changes what is done here: pushes never
/// overwrite, every fetch is shallow and sparse, and Secrets are never cached.
const GATES: [&str; 7] = [
    "CacheSecretsAndConfigMaps",
    "FluxStorage",
    "GitAllBranchReferences",
    "GitForcePushBranch",
    "GitShallowClone",
    "GitSparseCheckout",
    "ObjectLevelWorkloadIdentity",
];

/// Runs the controller until it is asked to stop.
#[derive(Debug, Args)]
pub(super) struct ControllerArguments {
    /// Where /metrics is served
    #[arg(long, value_name = "ADDRESS", default_value = ":8080", value_parser = parse_address)]
    metrics_addr: SocketAddr,
    /// Where /healthz and /readyz are served
    #[arg(long, value_name = "ADDRESS", default_value = ":9440", value_parser = parse_address)]
    health_addr: SocketAddr,
    /// The notification-controller that events are sent to; empty for none
    #[arg(long, value_name = "URL", default_value = "")]
    events_addr: String,
    /// How many objects of one kind are worked on at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    concurrent: usize,
    /// Watch every namespace, or only the one that the pod runs in (`RUNTIME_NAMESPACE`)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    watch_all_namespaces: bool,
    /// Work only on objects with these labels, so that several installations share the work
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    watch_label_selector: String,
    /// Refuse references that leave their namespace
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    no_cross_namespace_refs: bool,
    /// The ServiceAccount whose identity is shown to a cloud where an object names none
    #[arg(long, value_name = "NAME")]
    default_service_account: Option<String>,
    /// The shortest pause after a failure
    #[arg(long, value_name = "DURATION", default_value = "750ms", value_parser = parse_duration)]
    min_retry_delay: Duration,
    /// The longest pause after a failure
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = parse_duration)]
    max_retry_delay: Duration,
    /// How long a policy waits for tags, where nothing wakes it
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    requeue_dependency: Duration,
    /// Keep fetched Git objects in this folder; it may be deleted at any time
    #[arg(long, value_name = "DIR", env = "TAGWRIGHT_CACHE")]
    cache: Option<PathBuf>,
    #[command(flatten)]
    election: ElectionArguments,
    #[command(flatten)]
    log: LogArguments,
    #[command(flatten)]
    accepted: AcceptedArguments,
}

#[derive(Debug, Args)]
struct ElectionArguments {
    /// Let one of several replicas work, which holds a Lease
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    enable_leader_election: bool,
    /// Give the lease back at the end
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    leader_election_release_on_cancel: bool,
    /// How long others wait after the last sign of life
    #[arg(long, value_name = "DURATION", default_value = "35s", value_parser = parse_duration)]
    leader_election_lease_duration: Duration,
    /// How long the leader goes on without having renewed
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    leader_election_renew_deadline: Duration,
    /// The time between two looks
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    leader_election_retry_period: Duration,
    /// The namespace that the controller runs in
    #[arg(long, value_name = "NAME", env = "RUNTIME_NAMESPACE", hide = true)]
    runtime_namespace: Option<String>,
    /// What this replica is called
    #[arg(long, value_name = "NAME", env = "HOSTNAME", hide = true)]
    instance: Option<String>,
}

#[derive(Debug, Args)]
struct LogArguments {
    /// What is logged: trace, debug, info, error
    #[arg(long, value_name = "LEVEL", default_value = "info",
        value_parser = ["trace", "debug", "info", "error"])]
    log_level: String,
    /// How logs are written: json, console
    #[arg(long, value_name = "FORM", default_value = "json", value_parser = ["json", "console"])]
    log_encoding: String,
}

/// Flags of Flux that mean nothing here: accepted, so that a Deployment can be taken over as it is.
#[derive(Debug, Args)]
struct AcceptedArguments {
    #[arg(long, hide = true)]
    kube_api_qps: Option<f32>,
    #[arg(long, hide = true)]
    kube_api_burst: Option<i64>,
    #[arg(long, hide = true)]
    watch_configs_label_selector: Option<String>,
    #[arg(long, hide = true)]
    token_cache_max_size: Option<i64>,
    #[arg(long, hide = true)]
    token_cache_max_duration: Option<String>,
    #[arg(long, hide = true)]
    storage_path: Option<String>,
    #[arg(long, hide = true)]
    storage_value_log_file_size: Option<i64>,
    #[arg(long, hide = true)]
    storage_compression_threshold: Option<i64>,
    #[arg(long, hide = true)]
    gc_interval: Option<u16>,
    #[arg(long, hide = true)]
    ssh_kex_algos: Vec<String>,
    #[arg(long, hide = true)]
    ssh_hostkey_algos: Vec<String>,
    #[arg(long, hide = true)]
    feature_gates: Vec<String>,
}

impl ControllerArguments {
    /// The log settings, which have names of their own here.
    pub(super) fn set_log(&self, global: &mut Global) {
        global.log.clone_from(&self.log.log_level);
        global.log_format = match self.log.log_encoding.as_str() {
            "console" => LogFormat::Text,
            _ => LogFormat::Json,
        };
    }
}

impl AcceptedArguments {
    /// Says what was given without effect; an unknown gate is refused, as Flux does.
    fn note(&self) -> Result<(), Trouble> {
        let gates = self.feature_gates.iter().flat_map(|it| it.split(','));
        for gate in gates.filter(|it| !it.is_empty()) {
            let (name, value) = gate.split_once('=').unwrap_or((gate, ""));
            if !GATES.contains(&name) || value.parse::<bool>().is_err() {
                let known = format!("known are, each with =true or =false: {}", GATES.join(", "));
                let message = format!("`{gate}` is no feature gate");
                return Err(Trouble::usage(&message, Some(&known)));
            }
        }
        let given = [
            ("kube-api-qps", self.kube_api_qps.is_some()),
            ("kube-api-burst", self.kube_api_burst.is_some()),
            (
                "watch-configs-label-selector",
                self.watch_configs_label_selector.is_some(),
            ),
            ("token-cache-max-size", self.token_cache_max_size.is_some()),
            (
                "token-cache-max-duration",
                self.token_cache_max_duration.is_some(),
            ),
            ("storage-path", self.storage_path.is_some()),
            (
                "storage-value-log-file-size",
                self.storage_value_log_file_size.is_some(),
            ),
            (
                "storage-compression-threshold",
                self.storage_compression_threshold.is_some(),
            ),
            ("gc-interval", self.gc_interval.is_some()),
            ("ssh-kex-algos", !self.ssh_kex_algos.is_empty()),
            ("ssh-hostkey-algos", !self.ssh_hostkey_algos.is_empty()),
            ("feature-gates", !self.feature_gates.is_empty()),
        ];
        for (flag, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            tracing::debug!(flag, "accepted without effect");
        }
        Ok(())
    }
}

pub(super) async fn execute(arguments: ControllerArguments) -> Result<Exit, Trouble> {
    let stop = asked_to_stop()?;
    arguments.accepted.note()?;
    let mut folder = None;
    if arguments.cache.is_none() {
        let made = tempfile::Builder::new().prefix("tagwright-").tempdir();
        folder = Some(made.map_err(|error| {
            let message = format!("cannot make a folder for Git objects: {error}");
            Trouble::usage(&message, None)
        })?);
    }
    let kept = folder.as_ref().map(|it| it.path().to_owned());
    let options = options(arguments, kept)?;
    let ended = controller::run(options, stop).await;
    ended.map_err(|error| Trouble::new(&error, error.class(), None))?;
    Ok(Exit::Done)
}

/// Completes when the process is asked to stop; from this call on, and not only when it is awaited,
/// a signal is heard.
fn asked_to_stop() -> Result<impl Future<Output = ()> + Send, Trouble> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| {
        signal(kind)
            .map_err(|error| Trouble::usage(&format!("cannot listen for signals: {error}"), None))
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn options(arguments: ControllerArguments, folder: Option<PathBuf>) -> Result<Options, Trouble> {
    let own = arguments.election.runtime_namespace.clone();
    let own = own.filter(|it| !it.is_empty());
    let needed = |why: &str| {
        let hint = "set it from the pod's metadata.namespace";
        Trouble::usage(
            &format!("{why} needs the variable RUNTIME_NAMESPACE"),
            Some(hint),
        )
    };
    let namespace = match (arguments.watch_all_namespaces, &own) {
        (true, _) => None,
        (false, Some(own)) => Some(own.clone()),
        (false, None) => return Err(needed("--watch-all-namespaces=false")),
    };
    let selector = &arguments.watch_label_selector;
    let shard = selector.parse::<LabelSelector>().map_err(|reason| {
        let message = format!("`{selector}` is no label selector: {reason}");
        Trouble::usage(
            &message,
            Some("write it like `sharding.fluxcd.io/key=a,!b`"),
        )
    })?;
    let election = match (arguments.election.enable_leader_election, own) {
        (false, _) => None,
        (true, None) => return Err(needed("--enable-leader-election")),
        (true, Some(own)) => Some(election(&arguments, own)),
    };
    let events_address = match arguments.events_addr.as_str() {
        "" => None,
        text => Some(Url::parse(text).map_err(|error| {
            let message = format!("--events-addr: `{text}` is no address: {error}");
            Trouble::usage(
                &message,
                Some("write it like `http://notification-controller/`"),
            )
        })?),
    };
    // Two processes of one name would take each other's lease for their own.
    let instance = arguments.election.instance.unwrap_or_default();
    let instance = format!("{instance}_{:08x}", fastrand::u32(..));
    let identity = match (
        arguments.default_service_account,
        arguments.no_cross_namespace_refs,
    ) {
        (Some(name), _) if !name.is_empty() => Identity::Account(name),
        (_, true) => Identity::Nobody,
        (_, false) => Identity::Process,
    };
    Ok(Options {
        namespace,
        shard,
        identity,
        cross_namespace: if arguments.no_cross_namespace_refs {
            CrossNamespace::Refuse
        } else {
            CrossNamespace::Allow
        },
        concurrent: arguments.concurrent,
        min_retry_delay: arguments.min_retry_delay,
        max_retry_delay: arguments.max_retry_delay,
        requeue_dependency: arguments.requeue_dependency,
        events_address,
        metrics_address: arguments.metrics_addr,
        health_address: arguments.health_addr,
        cache: arguments.cache.or(folder).unwrap_or_default(),
        instance,
        election,
    })
}

fn election(arguments: &ControllerArguments, namespace: String) -> Election {
    let selector = &arguments.watch_label_selector;
    let mut name = "tagwright-leader-election".to_owned();
    if !selector.is_empty() {
        // Each shard has a leader of its own.
        for byte in Sha256::digest(selector.as_bytes()).iter().take(4) {
            let lead = if name.ends_with("election") { "-" } else { "" };
            name.push_str(&format!("{lead}{byte:02x}"));
        }
    }
    let election = &arguments.election;
    Election {
        namespace,
        name,
        duration: election.leader_election_lease_duration,
        renew_deadline: election.leader_election_renew_deadline,
        retry_period: election.leader_election_retry_period,
        release: election.leader_election_release_on_cancel,
    }
}

/// `:8080` is every address of the machine, as in Go.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let full = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.to_owned(),
    };
    full.parse()
        .map_err(|_| "write it like `:8080` or `127.0.0.1:8080`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        arguments: ControllerArguments,
    }

    fn read(arguments: &str) -> Result<Options, String> {
        let words = std::iter::once("tagwright").chain(arguments.split_whitespace());
        let alone = Alone::try_parse_from(words).map_err(|error| error.to_string())?;
        let told = |trouble: Trouble| trouble.report.message;
        alone.arguments.accepted.note().map_err(told)?;
        options(alone.arguments, Some("/tmp".into())).map_err(told)
    }

    #[test]
    fn a_deployment_of_flux_can_be_taken_over_as_it_is() {
        let reflector = "--events-addr=http://notification-controller.flux-system.svc.cluster.local./ \
            --watch-all-namespaces=true --log-level=info --log-encoding=json \
            --enable-leader-election --runtime-namespace flux-system";
        let options = read(reflector).expect("these are the flags of Flux's manifests");
        assert!(options.election.is_some() && options.namespace.is_none());
        let everything = "--metrics-addr :8080 --health-addr=:9440 --concurrent 8 --kube-api-qps=50 \
            --kube-api-burst 300 --leader-election-release-on-cancel=false \
            --leader-election-lease-duration 35s --leader-election-renew-deadline=30s \
            --leader-election-retry-period 5s --no-cross-namespace-refs --min-retry-delay 750ms \
            --max-retry-delay=15m --feature-gates=GitForcePushBranch=false,FluxStorage=true \
            --watch-label-selector sharding.fluxcd.io/key=a --token-cache-max-size 100 \
            --watch-configs-label-selector=reconcile.fluxcd.io/watch=Enabled \
            --token-cache-max-duration=1h --default-service-account x --storage-path /data \
            --storage-value-log-file-size=268435456 --storage-compression-threshold 64 \
            --gc-interval=10 --requeue-dependency 30s --ssh-kex-algos=curve25519-sha256 \
            --ssh-hostkey-algos rsa-sha2-512";
        let options = read(everything).expect("these are all flags of both controllers");
        assert_eq!(options.concurrent, 8);
        assert_eq!(options.cross_namespace, CrossNamespace::Refuse);
        assert_eq!(options.identity, Identity::Account("x".to_owned()));
    }

    #[test]
    fn c13_the_identity_of_the_process_is_not_a_tenants() {
        let identity = |flags: &str| read(flags).expect("it is well").identity;
        assert_eq!(identity(""), Identity::Process);
        assert_eq!(identity("--no-cross-namespace-refs"), Identity::Nobody);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let check = |arguments: &str, expected: &str| {
            let message = read(arguments).expect_err("it is refused");
            assert!(message.contains(expected), "{arguments}: {message}");
        };
        check("--feature-gates=Nope=true", "no feature gate");
        check("--watch-all-namespaces=false", "RUNTIME_NAMESPACE");
        check("--enable-leader-election", "RUNTIME_NAMESPACE");
        check("--watch-label-selector a=(", "no label selector");
        check("--events-addr nowhere", "no address");
        check("--metrics-addr 8080", "write it like");
    }

    #[test]
    fn every_shard_has_a_leader_of_its_own() {
        let name = |selector: &str| {
            let flags = format!("--enable-leader-election --runtime-namespace x {selector}");
            read(&flags)
                .expect("it is well")
                .election
                .expect("it is on")
                .name
        };
        assert_eq!(name(""), "tagwright-leader-election");
        assert_ne!(
            name("--watch-label-selector a=b"),
            name("--watch-label-selector a=c")
        );
    }
}
