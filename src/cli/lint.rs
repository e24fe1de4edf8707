//! `lint`: every marker of a folder, and every policy that nothing uses.

use std::path::PathBuf;

use clap::Args;

use super::{
    DiscoverArguments, Exit, Global, Trouble, docker_config, load, output::Output,
    progress::Watched, registry,
};
use crate::{
    once::DocumentVault,
    pipeline::{self, Listings, Ports, Scope},
    report::lint::LintReport,
    update::{
        local::{self, LocalError},
        targets::SETTINGS,
    },
};

#[derive(Debug, Args)]
pub(super) struct LintArguments {
    /// The folder, or one file
    folder: PathBuf,
    /// Ask no registry: check the markers alone
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    discover: DiscoverArguments,
}

pub(super) async fn execute(
    arguments: LintArguments,
    global: &Global,
    output: &mut Output,
) -> Result<Exit, Trouble> {
    let config = load(global, output)?;
    let failed = |error: LocalError| Trouble::new(&error, error.class(), None);
    let settings = local::settings(&arguments.folder, SETTINGS).map_err(failed)?;
    let targets = arguments.discover.targets(&config, |_| true);
    let targets = pipeline::with_settings(&targets, settings.as_deref(), &global.namespace);
    let tree = local::read(&arguments.folder, &targets).map_err(failed)?;
    let ports = Ports {
        registry: Watched::new(registry(None), output.is_text()),
        remote: (),
        vault: DocumentVault {
            config: &config,
            docker_config: docker_config(),
            named_remote: None,
        },
    };
    let scope = Scope {
        config: &config,
        policies: None,
        targets: &targets,
        namespace: &global.namespace,
    };
    let changes = if arguments.offline {
        pipeline::check_files(&scope, tree.files)
    } else {
        pipeline::decide_files(&scope, &ports, &Listings::default(), tree.files).await
    };
    ports.registry.finish();
    let folder = arguments.folder.display().to_string();
    let mut report = LintReport::new(&folder, &changes, config.policies.keys());
    report.add_tree(tree.looked_at, tree.skipped);
    output.result(&report, || report.text());
    Ok(if report.problems > 0 {
        Exit::Error
    } else {
        Exit::Done
    })
}
