//! The controller against a real kube-apiserver and etcd, as the ServiceAccount that `deploy/`
//! ships, with a real registry and a real Git behind HTTP.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    dead_code,
    reason = "tests start programs, read their files and look at the clock; the servers of the other \
              binaries are shared, and not every part of them is used here"
)]

#[path = "../servers/certificates.rs"]
mod certificates;
#[path = "../servers/docker_registry.rs"]
mod docker_registry;
#[path = "../suite/support/git_server.rs"]
mod git_server;
#[path = "../servers/programs.rs"]
mod programs;
#[path = "../servers/token_service.rs"]
mod token_service;

mod apiserver;
mod apply;
mod audit;
mod bot;
mod crew;
mod flux;
mod forge;
mod hostile;
#[cfg(feature = "clouds")]
mod identities;
mod life;
mod manifests;
mod outage;
mod replicas;
mod requests;
mod scopes;
mod world;
