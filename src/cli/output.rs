//! Data to standard output, everything else to standard error.

use std::{
    borrow::Cow,
    io::{ErrorKind, Write as _},
};

use anstream::{ColorChoice, adapter::strip_str};
use serde::Serialize;

use super::{Format, Trouble, error_text};
use crate::{
    config::Fault,
    report::{ErrorReport, VERSION},
};

/// Where a command writes to.
pub(super) struct Output {
    format: Format,
    data: anstream::AutoStream<std::io::Stdout>,
    notes: anstream::AutoStream<std::io::Stderr>,
    is_broken: bool,
}

/// What is printed in JSON when a command ends early.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TroubleReport<'a> {
    version: &'static str,
    error: &'a ErrorReport,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    faults: &'a [Fault],
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        let (data, notes) = (anstream::stdout(), anstream::stderr());
        Self {
            format,
            data,
            notes,
            is_broken: false,
        }
    }

    /// Whether something could not be written to standard output.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether a person reads along.
    pub(super) fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    /// Writes the result of a command: its words, or its facts in JSON.
    pub(super) fn result(&mut self, facts: &impl Serialize, words: impl FnOnce() -> String) {
        match self.format {
            Format::Text => self.print(&words()),
            Format::Json => {
                let json = serde_json::to_string_pretty(facts)
                    .expect("reports have text keys and no failing serializers");
                self.print(&format!("{json}\n"));
            }
        }
    }

    /// Writes data as it is.
    pub(super) fn print(&mut self, text: &str) {
        // Standard output is flushed at line ends, and a text with colours taken out on the way
        // arrives there piece by piece: a long diff would be a system call for each line.
        let plain = match self.data.current_choice() {
            ColorChoice::Never => Cow::from(strip_str(text).to_string()),
            _ => Cow::from(text),
        };
        let written = self
            .data
            .write_all(plain.as_bytes())
            .and_then(|()| self.data.flush());
        // A reader that has gone away (`| head`) is not an error; a full disk is.
        self.is_broken |= written.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe);
    }

    /// Writes a line to standard error.
    pub(super) fn note(&mut self, line: &str) {
        let _ = writeln!(self.notes, "{line}");
    }

    /// Tells why a command ended early.
    pub(super) fn trouble(&mut self, trouble: &Trouble) {
        let _ = self.notes.write_all(error_text(trouble).as_bytes());
        if self.format == Format::Json {
            let report = TroubleReport {
                version: VERSION,
                error: &trouble.report,
                faults: &trouble.faults,
            };
            self.result(&report, String::new);
        }
    }
}
