//! `demo`: the whole job on an embedded registry and a Git repository in a temporary folder.
//!
//! Nothing is played: the registry is served over HTTP on loopback, the repository is a real one,
//! and the same code scans, decides, edits, commits and pushes as everywhere else.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use anstyle::Style;
use chrono::Utc;
use clap::Args;

use super::{Exit, Trouble, output::Output, registry};
use crate::{
    config::{Config, ConfigFile, Origin},
    egress::Egress,
    error::Class,
    fixture::{Fixture, RegistryServer, repository},
    once::{self, DocumentVault},
    pipeline::{Intent, Listings, Ports},
    report::{
        RunReport,
        text::{self, Detail},
    },
    update::git::{Author, GitRemote},
};

const CONFIG: &str = include_str!("demo/config.yaml");
const FILES: [(&str, &str); 3] = [
    ("apps/web.yaml", include_str!("demo/web.yaml")),
    ("apps/api.yaml", include_str!("demo/api.yaml")),
    (
        "apps/worker-values.yaml",
        include_str!("demo/worker-values.yaml"),
    ),
];
/// What stands in the files where the registry's address belongs.
const REGISTRY: &str = "REGISTRY";
/// What stands in the configuration where the repository's address belongs.
const REMOTE: &str = "REMOTE";

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Keep the repository and the configuration in this (new) folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(super) async fn execute(
    arguments: DemoArguments,
    output: &mut Output,
) -> Result<Exit, Trouble> {
    let bug = |error: &dyn std::error::Error| Trouble::new(error, Class::Bug, None);
    let folder = tempfile::Builder::new().prefix("tagwright-demo-").tempdir();
    let mut folder = folder.map_err(|error| bug(&error))?;
    let mut place = folder.path().to_owned();
    if let Some(keep) = &arguments.keep {
        std::fs::create_dir(keep).map_err(|error| {
            let message = format!("cannot make folder `{}`: {error}", keep.display());
            Trouble::usage(&message, Some("name a folder that does not exist yet"))
        })?;
        folder.disable_cleanup(false);
        place.clone_from(keep);
    }

    let fixture = Fixture::embedded("demo").map_err(|error| bug(&error))?;
    let server = RegistryServer::start(fixture)
        .await
        .map_err(|error| bug(&error))?;
    let address = server.address().to_string();
    let files = FILES.map(|(path, text)| {
        (
            path.to_owned(),
            text.replace(REGISTRY, &address).into_bytes(),
        )
    });
    let author = Author {
        name: "Ada".to_owned(),
        email: "ada@example.com".to_owned(),
    };
    let remote = repository::create(
        &place.join("fleet.git"),
        &BTreeMap::from(files),
        &author,
        Utc::now(),
    );
    let remote = remote.map_err(|error| bug(&error))?;
    let text = CONFIG
        .replace(REGISTRY, &address)
        .replace(REMOTE, remote.as_str());
    if arguments.keep.is_some() {
        std::fs::write(place.join("config.yaml"), &text).map_err(|error| bug(&error))?;
    }
    let file = ConfigFile {
        name: "config.yaml".to_owned(),
        text,
        origin: Origin::Given,
    };
    let config = Config::read(&[file], "default")
        .map_err(|error| Trouble::from(once::LoadError::from(error)))?;

    let ports = Ports {
        registry: registry(None),
        remote: GitRemote::new(Egress::new(), folder.path().join("store")),
        vault: DocumentVault {
            config: &config,
            docker_config: None,
            named_remote: None,
        },
    };
    let outcomes = once::run(&config, &ports, &Listings::default(), Intent::Apply).await;
    let report = RunReport::new(&outcomes);
    output.result(&report, || story(&report, &address, &arguments));
    Ok(if report.summary.failed > 0 {
        Exit::Error
    } else {
        Exit::Done
    })
}

fn story(report: &RunReport, address: &str, arguments: &DemoArguments) -> String {
    const BOLD: Style = Style::new().bold();
    let mut words = String::new();
    let _ = writeln!(
        words,
        "A registry is served on {address}, a bare Git repository stands in a temporary folder.\n\
         tagwright scans the one, decides, and pushes a commit to the other.\n"
    );
    let images = report
        .automations
        .iter()
        .flat_map(|it| &it.images)
        .collect::<Vec<_>>();
    let width = |of: fn(&crate::report::ImageReport) -> &str| {
        images
            .iter()
            .map(|it| of(it).chars().count())
            .max()
            .unwrap_or(0)
    };
    let (image, old, new) = (
        width(|it| &it.image),
        width(|it| &it.old),
        width(|it| &it.new),
    );
    let _ = writeln!(
        words,
        "{BOLD}{:image$}  {:old$}    {:new$}  WHY{BOLD:#}",
        "IMAGE", "CURRENT", "CHOSEN"
    );
    for it in images {
        let _ = writeln!(
            words,
            "{:image$}  {:old$}  → {:new$}  {}",
            it.image, it.old, it.new, it.why
        );
    }
    words.push('\n');
    words.push_str(&text::run(report, Detail::Plan));
    match &arguments.keep {
        Some(folder) => {
            let folder = folder.display();
            let _ = writeln!(words, "\nLook at it: git -C {folder}/fleet.git log -p main");
        }
        None => words.push_str(
            "\nNow with your own manifests: tagwright plan --in-place DIR (it writes nothing)\n",
        ),
    }
    words
}
