//! The `tagwright` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    tagwright::cli::main(std::env::args_os())
}
