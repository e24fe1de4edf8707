//! tagwright keeps image references in Git current: it **scans** registries, lets **policies** select
//! the image, and **updates** the marked fields in Git.
//!
//! This page is the plan of the house, kept true by the commit that changes it.
//!
//! # One direction: observe → decide → act
//!
//! ```text
//!           OBSERVE                        DECIDE                          ACT
//!  Registry::scan → Scan ───▶ policy::select → Verdict
//!                             plan::plan     → ChangeSet ───▶ Remote::push → Pushed
//!  Remote::read → Snapshot ─▶ message::message → text
//!       async, I/O in            sync, pure, no ports              async, I/O out
//! ```
//!
//! [`config`] enters on the left; one [`pipeline::Outcome`] for each automation leaves on the right,
//! to [`report`]. [`pipeline::run`] is the only place that calls the three in order. Deciding has no
//! clock, no network, no environment and no async. What was decided names the commit it was decided
//! on; when the branch has moved, the pipeline observes and decides again, and nothing is rebased.
//!
//! # One run, followed through the code
//!
//! 1. [`once::load`] reads files, [`config::Config::read`] checks every document against the schema of
//!    its kind ([`crd`]), follows every reference, and gives a [`config::Config`] or every fault at once.
//! 2. [`pipeline::run`] takes the automations of one remote together ([`pipeline::groups`]), opens its
//!    secrets ([`access`]) and reads the tip of its branch: [`update::git`] fetches one commit into a
//!    bare store and hands each blob of a known name to [`update::marker::screen`], which most of them
//!    do not pass.
//! 3. [`update::formats::read`] binds markers to values. Each policy that they name is asked once:
//!    [`scan`] lists the repository (shared by all policies with the same rights,
//!    [`pipeline::Listings`]), [`policy::select`] chooses.
//! 4. [`update::plan::plan`] compares each value with the choice, holds what would go backwards,
//!    splices the rest and proves it ([`update::formats::splice`]). [`update::message`] words the commit.
//! 5. [`update::git`] writes blobs, trees and one commit for each automation, and moves the branches by
//!    compare-and-swap.
//! 6. Where requests are asked for, [`pipeline::propose`] does 5. for each group of changes, and asks
//!    [`update::forge::life`] for the next step of its request until there is none.
//! 7. [`report`] tells what happened, in words and in JSON; `controller` tells it in conditions.
//!
//! # The rooms
//!
//! | Place | Owns | Must not know |
//! |---|---|---|
//! | [`image`], [`error`], [`nearest`], [`parallel`], [`printable`] | the vocabulary | everything else |
//! | [`secret`] | secrets that cannot be shown, credentials bound to a place | who uses them |
//! | [`egress`] | the only way out: TLS, proxies, redirects, limits, credentials | what the bytes mean |
//! | [`cloud`] | which registries and Git remotes are a cloud's; log-ins by the identity that it gives (feature `clouds`) | registries' protocol, Git's, Kubernetes |
//! | [`scan`] | complete listings, digests, signatures, registry log-ins | policies, YAML, Git |
//! | [`policy`] | filters, orders, verdicts, explanations; pure | input and output, clock, async |
//! | [`update`] | pure half: markers, edits, proof, plan, message; effect half: [`update::git`], [`update::forge`], [`update::local`] | scans, configuration |
//! | [`config`], [`crd`] | documents → checked configuration | input and output |
//! | [`access`] | secret formats → what opens a door; the `Vault` port | policies, YAML |
//! | [`init`] | a tree without markers: its images, a policy for each | input and output |
//! | [`pipeline`] | the order; retry on a lost race | environment, stdout |
//! | [`report`] | outcomes → text, JSON | how it is delivered |
//! | [`once`], [`cli`] | where configuration comes from, clock, environment, exit code | – |
//! | `controller` (feature) | watches, queues, conditions, events, leases | environment, stdout |
//! | [`fixture`] | simulated registries and repositories, for `demo` and the tests | – |
//!
//! Four ports, as generics: [`scan::Registry`], [`update::git::Remote`], [`access::Vault`], and
//! [`update::forge::Forge`]. `tests/tidy.rs` and `clippy.toml` keep the walls up.
//!
//! # What is nowhere in this house
//!
//! No git work tree and no child process (credential helpers of the user's own docker and git
//! configuration are the one exception, on the command line only). No document is printed back as YAML into a user's
//! file. No partial listing is ever handed on. No float in a policy. No status or cache is an input:
//! Git is the truth.

pub mod error;
pub mod image;
pub mod nearest;
pub mod parallel;
pub mod printable;
pub mod secret;

pub mod policy;
pub mod scan;
pub mod update;

pub mod config;
pub mod crd;

pub mod access;
pub mod cloud;
pub mod egress;

pub mod init;
pub mod pipeline;
pub mod report;

pub mod cli;
#[cfg(feature = "controller")]
pub mod controller;
pub mod once;

pub mod fixture;
