//! `scan`: the tags of one repository.

use clap::Args;

use super::{ConnectionArguments, Exit, Trouble, output::Output, progress::Watched, registry};
use crate::{image::Repository, report::scan::ScanReport, scan::Registry as _};

#[derive(Debug, Args)]
pub(super) struct ScanArguments {
    /// The repository, such as ghcr.io/acme/web
    image: Repository,
    /// Show no more than this many tags
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(super) async fn execute(
    arguments: ScanArguments,
    output: &mut Output,
) -> Result<Exit, Trouble> {
    let access = arguments.connection.access(&arguments.image).await?;
    let registry = Watched::new(registry(None), output.is_text());
    let scan = registry.scan(&arguments.image, &access).await;
    registry.finish();
    let scan = scan.map_err(|error| Trouble::new(&error, error.class(), error.hint()))?;
    let report = ScanReport::new(&scan, arguments.limit);
    output.result(&report, || report.text());
    Ok(Exit::Done)
}
