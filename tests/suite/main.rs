//! Command line, run modes and adapters, against servers inside this process.

mod git;
