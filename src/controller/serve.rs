//! `/metrics`, `/healthz` and `/readyz`.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, routing::get};
use tokio::{net::TcpListener, task::JoinSet, time::Instant};

use super::{Context, ControllerError, object::Kind};

/// How long a loop may show no life before the process is taken for dead.
const PATIENCE: Duration = Duration::from_mins(1);

/// When each loop last showed that it is alive.
#[derive(Debug, Default)]
pub(super) struct Health {
    beats: Mutex<HashMap<Kind, Instant>>,
}

impl Health {
    /// A loop is alive.
    pub(super) fn beat(&self, kind: Kind) {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.insert(kind, Instant::now());
    }

    /// The loops that have stopped; a loop that never began waits for the lease.
    fn stopped(&self) -> Vec<Kind> {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let stopped = beats.iter().filter(|(_, at)| at.elapsed() > PATIENCE);
        stopped.map(|(kind, _)| *kind).collect()
    }

    /// Whether any loop has begun.
    fn is_working(&self) -> bool {
        !self
            .beats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }
}

/// Starts to serve; dropping the set ends it.
pub(super) async fn start(context: &Arc<Context>) -> Result<JoinSet<()>, ControllerError> {
    let metrics = Router::new()
        .route("/metrics", get(metrics))
        .with_state(Arc::clone(context));
    let health = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Arc::clone(context));
    let mut servers = JoinSet::new();
    let options = &context.options;
    serve("metrics", options.metrics_address, metrics, &mut servers).await?;
    serve("health", options.health_address, health, &mut servers).await?;
    Ok(servers)
}

async fn serve(
    what: &'static str,
    address: SocketAddr,
    router: Router,
    servers: &mut JoinSet<()>,
) -> Result<(), ControllerError> {
    let failed = |source| ControllerError::Listen {
        what,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(what, %address, "serving");
    servers.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(what, %error, "stopped serving");
        }
    });
    Ok(())
}

/// The metrics of the process, and what can be read off at this moment.
async fn metrics(
    State(context): State<Arc<Context>>,
) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    let now = Instant::now().into_std();
    let mut gauges = Vec::new();
    for kind in Kind::OURS {
        if let Some(line) = context.queues.get(&kind) {
            let labels = || format!(r#"kind="{kind}""#);
            let queue = line.lock();
            gauges.push(("tagwright_queue_waiting", labels(), queue.backlog(now)));
        }
    }
    for kind in Kind::OURS {
        if let Some(line) = context.queues.get(&kind) {
            let labels = format!(r#"kind="{kind}""#);
            gauges.push(("tagwright_queue_at_work", labels, line.lock().at_work()));
        }
    }
    for kind in Kind::ALL {
        let labels = format!(r#"kind="{kind}""#);
        gauges.push(("tagwright_objects", labels, context.world().count(kind)));
    }
    for allowance in context.ports.registry.allowances() {
        let labels = || format!(r#"registry="{}""#, allowance.registry);
        gauges.extend([
            (
                "tagwright_registry_requests_at_once",
                labels(),
                allowance.at_once,
            ),
            ("tagwright_registry_requests_free", labels(), allowance.free),
        ]);
        let seconds = usize::try_from(allowance.closed_for.as_secs()).unwrap_or(usize::MAX);
        gauges.push(("tagwright_registry_closed_seconds", labels(), seconds));
    }
    gauges.sort_by_key(|(name, ..)| *name);
    let form = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, form)], context.metrics.text(&gauges))
}

async fn healthz(State(context): State<Arc<Context>>) -> (StatusCode, String) {
    let stopped = context.health.stopped();
    if stopped.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let names = stopped.iter().map(ToString::to_string).collect::<Vec<_>>();
    let text = format!("no progress: {}\n", names.join(", "));
    (StatusCode::INTERNAL_SERVER_ERROR, text)
}

/// A replica that waits for the lease is ready to take over; one that works is ready when it has
/// seen every object once.
async fn readyz(State(context): State<Arc<Context>>) -> (StatusCode, &'static str) {
    if context.health.is_working() && !context.world().is_listed() {
        return (StatusCode::SERVICE_UNAVAILABLE, "listing objects\n");
    }
    (StatusCode::OK, "ok\n")
}
