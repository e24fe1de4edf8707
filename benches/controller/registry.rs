//! A registry that costs nothing: one tag for every repository that anybody asks for, and those that
//! were pushed.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};

/// A registry that runs as long as the process.
pub(crate) struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    pushed: Mutex<BTreeMap<String, Vec<String>>>,
    listings: AtomicUsize,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::<Shared>::default();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Pushes a tag.
    pub(crate) fn tag(&self, repository: &str, tag: &str) {
        let mut pushed = self.shared.pushed.lock().expect("no handler panicked");
        let tags = pushed.entry(repository.to_owned()).or_default();
        tags.push(tag.to_owned());
    }

    /// How many listings were asked for.
    pub(crate) fn listings(&self) -> usize {
        self.shared.listings.load(Ordering::Relaxed)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path();
    let name = path
        .strip_prefix("/v2/")
        .and_then(|it| it.strip_suffix("/tags/list"));
    let Some(name) = name else {
        return StatusCode::OK.into_response();
    };
    shared.listings.fetch_add(1, Ordering::Relaxed);
    let mut tags = vec!["\"1.0.0\"".to_owned()];
    let pushed = shared.pushed.lock().expect("no handler panicked");
    tags.extend(
        pushed
            .get(name)
            .into_iter()
            .flatten()
            .map(|it| format!("{it:?}")),
    );
    let body = format!(r#"{{"name":"{name}","tags":[{}]}}"#, tags.join(","));
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
