//! The Git engine against repositories on disk and behind HTTP, with `git` as the witness.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at files, start `git` with a made environment, and ask where it is"
)]

#[path = "support/git_server.rs"]
pub(crate) mod git_server;

mod checkout;
mod history;
mod hostile;
mod http;
mod kills;
mod local;
pub(crate) mod logins;
mod memory;
mod partial;
mod races;
mod refspec;
mod remove;
mod ssh;
mod together;
pub(crate) mod world;
