//! The simulated rim: adapters and the command line against servers inside this process, in one
//! binary.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the program, read its files and look at the clock"
)]

mod action;
mod canary;
mod cases;
mod cli;
#[cfg(feature = "clouds")]
mod cloud;
mod crds;
mod forge;
mod git;
mod registry;
mod schema;
mod support;
