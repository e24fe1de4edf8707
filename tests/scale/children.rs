//! The processes that are measured.

use std::{
    cell::RefCell,
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    process::{ChildStdout, Command, Stdio},
};

/// A process that prints lines, and ends with this value.
pub(crate) struct Child {
    process: std::process::Child,
    output: RefCell<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts this program with other arguments.
    pub(crate) fn of_this_program(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        Self::of(program, arguments).expect("this program runs")
    }

    /// Starts a program; nothing where it is missing.
    pub(crate) fn of(program: impl AsRef<OsStr>, arguments: &[&str]) -> Option<Self> {
        let mut process = clean(&mut Command::new(program))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let output = process.stdout.take().expect("it was asked for");
        Some(Self {
            process,
            output: RefCell::new(BufReader::new(output)),
        })
    }

    /// Waits for the next line.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        let read = self.output.borrow_mut().read_line(&mut line);
        read.expect("a line");
        line.trim_end().to_owned()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a program; says whether it is there and was content.
pub(crate) fn run(program: &str, arguments: &[&str]) -> bool {
    let status = clean(&mut Command::new(program))
        .args(arguments)
        .stdout(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Runs a program, and gives what it prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = clean(&mut Command::new(program)).args(arguments).output();
    let output = output.ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// An environment that no setting of this machine reaches into.
fn clean(command: &mut Command) -> &mut Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path)
}
