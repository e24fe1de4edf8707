//! `scan`: the tags of one repository.

use clap::Args;

use super::{ConnectionArguments, Exit, Trouble, output::Output, progress::Watched, registry};
use crate::{
    image::{Repository, Tag},
    report::scan::{ReferrersReport, ScanReport},
    scan::{Access, Registry as _, ScanError},
};

#[derive(Debug, Args)]
pub(super) struct ScanArguments {
    /// The repository, such as ghcr.io/acme/web
    image: Repository,
    /// Show no more than this many tags
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Show what refers to this tag in its stead: signatures, bills of materials, attestations
    #[arg(long, value_name = "TAG", conflicts_with = "limit")]
    referrers: Option<Tag>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(super) async fn execute(
    arguments: ScanArguments,
    output: &mut Output,
) -> Result<Exit, Trouble> {
    let access = arguments.connection.access(&arguments.image).await?;
    if let Some(tag) = &arguments.referrers {
        let report = referrers(&arguments.image, tag, &access).await;
        let report = report.map_err(|error| Trouble::new(&error, error.class(), error.hint()))?;
        output.result(&report, || report.text());
        return Ok(Exit::Done);
    }
    let registry = Watched::new(registry(None), output.is_text());
    let scan = registry.scan(&arguments.image, &access).await;
    registry.finish();
    let scan = scan.map_err(|error| Trouble::new(&error, error.class(), error.hint()))?;
    let report = ScanReport::new(&scan, arguments.limit);
    output.result(&report, || report.text());
    Ok(Exit::Done)
}

async fn referrers(
    image: &Repository,
    tag: &Tag,
    access: &Access,
) -> Result<ReferrersReport, ScanError> {
    let registry = registry(None);
    let digest = registry.digest(image, tag, access).await?;
    let referrers = registry.referrers(image, &digest, access).await?;
    Ok(ReferrersReport::new(image, &digest, referrers))
}
