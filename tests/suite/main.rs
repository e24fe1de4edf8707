//! The simulated rim: adapters against servers inside this process, in one binary.

mod git;
mod registry;
mod support;
