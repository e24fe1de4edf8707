//! The Git engine against repositories on disk and behind HTTP, with `git` as the witness.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at files, start `git` with a made environment, and ask where it is"
)]

#[path = "support/git_server.rs"]
mod git_server;

mod checkout;
mod http;
mod local;
mod logins;
mod memory;
mod partial;
mod refspec;
mod together;
mod world;
