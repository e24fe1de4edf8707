//! The whole job against real servers on loopback: Debian's docker-registry in three forms, and Git
//! behind nginx and `git http-backend`.
//!
//! `.ci/servers` installs them. Where one is missing, its tests say so and are left out; where `CI`
//! is set they fail.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "it starts servers, and says which are missing"
)]

#[cfg(feature = "clouds")]
mod aws;
mod certificates;
mod docker_registry;
mod git_http;
mod git_ssh;
mod git_tls;
mod job;
mod programs;
mod races;
mod registry;
mod signing;
mod ssh;
mod token_service;
mod user;
