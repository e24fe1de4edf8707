//! The settings that a repository brings along: more targets, and no more rights.

use std::{borrow::Cow, sync::Arc};

use crate::{
    config::{self, Fault},
    update::{
        Finding, Problem,
        git::{Interest, Screen, SourceFile},
        plan::FileFinding,
        targets::{SETTINGS, Targets},
    },
};

/// The screen of an automation: its own targets, until the repository's are known too.
#[derive(Debug)]
pub(super) struct Sought {
    pub(super) targets: Arc<Targets>,
    pub(super) namespace: String,
}

impl Screen for Sought {
    fn interest(&self, path: &str) -> Interest {
        self.targets.interest(path)
    }

    fn keeps(&self, path: &str, bytes: &[u8]) -> bool {
        self.targets.keeps(path, bytes)
    }

    fn version(&self) -> Cow<'_, str> {
        self.targets.version()
    }

    fn settings(&self) -> Option<&'static str> {
        Some(SETTINGS)
    }

    fn with_settings(&self, settings: &SourceFile) -> Option<Arc<dyn Screen>> {
        let targets = with_settings(&self.targets, Some(&settings.bytes), &self.namespace);
        Some(Arc::new(targets))
    }
}

/// Adds what the repository's own file says to `targets`; a faulty one adds its faults only.
///
/// Its rules come after the automation's, and reach the same policies as a marker does.
pub fn with_settings(targets: &Targets, settings: Option<&[u8]>, namespace: &str) -> Targets {
    let mut targets = targets.clone();
    match settings.map(|bytes| config::repository_rules(bytes, namespace)) {
        None => {}
        Some(Ok(rules)) => targets.rules.extend(rules),
        Some(Err(faults)) => targets.findings.extend(faults.into_iter().map(finding)),
    }
    targets
}

fn finding(fault: Fault) -> FileFinding {
    let hint = fault.hint.map(|hint| format!("; {hint}"));
    // An excerpt follows the message on lines of its own.
    let (message, excerpt) = match fault.message.split_once('\n') {
        Some((message, excerpt)) => (message, format!("\n{excerpt}")),
        None => (fault.message.as_str(), String::new()),
    };
    let detail = format!("{message}{}{excerpt}", hint.unwrap_or_default());
    FileFinding {
        file: fault.file,
        finding: Finding {
            line: fault.line,
            column: fault.column,
            problem: Problem::Rule(detail),
        },
    }
}
