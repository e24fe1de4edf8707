//! Which registries were found to speak no TLS, where that is acceptable at all.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{egress::Route, secret::Authority};

/// How long it is remembered that a registry spoke no TLS: after that it is asked again.
const KNOWN_FOR: Duration = Duration::from_mins(5);
/// How many registries are remembered.
const MAX_WIRES: usize = 4096;

/// The registries that spoke no TLS; forgetting one costs one connection that nothing is sent by.
#[derive(Debug, Default)]
pub(super) struct PlainWires {
    found: Mutex<HashMap<Wire, Instant>>,
}

/// A registry as a tenant reaches it: another proxy may lead to another server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wire {
    pub(super) tenant: Box<str>,
    pub(super) registry: Authority,
    pub(super) route: Route,
}

impl PlainWires {
    /// Whether the registry spoke no TLS a short while ago.
    pub(super) fn contains(&self, wire: &Wire) -> bool {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match found.get(wire) {
            Some(at) if at.elapsed() < KNOWN_FOR => true,
            Some(_) => {
                found.remove(wire);
                false
            }
            None => false,
        }
    }

    /// Remembers that the registry was offered TLS just now, and answered without.
    pub(super) fn keep(&self, wire: Wire) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MAX_WIRES {
            found.clear();
        }
        found.insert(wire, Instant::now());
    }

    /// Forgets what was known, because it no longer holds.
    pub(super) fn forget(&self, wire: &Wire) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.remove(wire);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tls_is_offered_again_after_a_while_and_by_every_other_way() {
        let wire = |tenant: &str, registry: &str| Wire {
            tenant: tenant.into(),
            registry: registry.parse().expect("an authority"),
            route: Route::default(),
        };
        let wires = PlainWires::default();
        let ours = wire("a", "r.test:5000");
        wires.keep(ours.clone());
        assert!(wires.contains(&ours));
        assert!(!wires.contains(&wire("b", "r.test:5000")), "another tenant");
        assert!(!wires.contains(&wire("a", "r.test:5001")), "another port");
        tokio::time::advance(KNOWN_FOR).await;
        assert!(!wires.contains(&ours), "its time is over");

        wires.keep(ours.clone());
        wires.forget(&ours);
        assert!(!wires.contains(&ours), "it was forgotten");
    }
}
