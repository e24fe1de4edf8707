//! `init` and `annotate`: markers for a tree that has none.
use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use futures_util::{StreamExt as _, stream};

use super::{
    ConnectionArguments, Exit, Global, Trouble, load, output::Output, progress::Watched, registry,
};
use crate::{
    config::Config,
    egress::PlainHttp,
    image::Repository,
    init::{self, Current, Draft, Subject, Surveyed, documents::Names},
    policy::{DigestReflection, PolicyName},
    report::{
        FindingReport, diff,
        init::{ChoiceReport, InitReport, LeftImageReport, MarkedImageReport},
    },
    scan::{Registry as _, Scan},
    update::{
        annotate::{Annotated, Mark, annotate as write_markers},
        discovery::{Assignment, Discovery, FoundImage, Search},
        git::SourceFile,
        local::{self, LocalTree},
        targets::Targets,
    },
};

/// How many registries are asked at the same time.
const CONCURRENT_SCANS: usize = 8;
/// The file that the new documents are written to, where no other is named.
const DOCUMENTS: &str = "image-policies.yaml";

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The folder, or one file
    folder: PathBuf,
    /// Insert the markers, and write the documents into a new file
    #[arg(long)]
    write: bool,
    /// The new file for the documents [default: image-policies.yaml in the folder]
    #[arg(long, value_name = "FILE", requires = "write")]
    documents: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

#[derive(Debug, Args)]
pub(super) struct AnnotateArguments {
    /// The folder, or one file
    folder: PathBuf,
    /// Insert the markers
    #[arg(long)]
    write: bool,
}

/// Proposes policies for the images of a folder, and marks their values.
pub(super) async fn init(
    arguments: InitArguments,
    global: &Global,
    output: &mut Output,
) -> Result<Exit, Trouble> {
    let config = load(global, output)?;
    let mut work = Work::start(&arguments.folder)?;
    let wanted = work.unassigned(&config);
    let scans = list(&wanted, &arguments.connection, output).await?;
    let plain_http = if arguments.connection.insecure {
        PlainHttp::Allow
    } else {
        PlainHttp::Refuse
    };
    let mut names = Names::new(&config, &global.namespace);
    let mut drafts = Drafts::new();
    for (subject, current) in wanted {
        let scan = scans.get(&subject.0);
        let draft = match scan {
            Some(Ok(scan)) => init::draft(&subject, &current, scan, plain_http, &mut names),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err("it was not listed".to_owned()),
        };
        drafts.insert(subject, draft);
    }
    work.mark(&config, &drafts);
    let used = drafts.values().flatten();
    let used = used.filter(|draft| work.uses(draft));
    let documents = used.map(|draft| draft.documents.as_str());
    work.report.documents = documents.collect();
    if arguments.write {
        let folder = work.tree.root.clone();
        let file = arguments.documents.unwrap_or_else(|| free(&folder));
        work.write(Some(&file))?;
    }
    output.result(&work.report, || work.report.text());
    Ok(Exit::Done)
}

/// Marks the values of the images that the given policies are about.
pub(super) fn annotate(
    arguments: &AnnotateArguments,
    global: &Global,
    output: &mut Output,
) -> Result<Exit, Trouble> {
    let config = load(global, output)?;
    if config.policies.is_empty() {
        return Err(Trouble::usage(
            "there is no policy to mark values for",
            Some("give documents with --config, or let `tagwright init` propose some"),
        ));
    }
    let mut work = Work::start(&arguments.folder)?;
    work.mark(&config, &Drafts::new());
    if arguments.write {
        work.write(None)?;
    }
    output.result(&work.report, || work.report.text());
    Ok(Exit::Done)
}

/// The policies that were drafted, and why some were not.
type Drafts = BTreeMap<Subject, Result<Draft, String>>;

/// A folder on its way to its markers.
struct Work {
    tree: LocalTree,
    surveyed: Vec<Surveyed>,
    changed: Vec<SourceFile>,
    report: InitReport,
}

impl Work {
    fn start(folder: &Path) -> Result<Self, Trouble> {
        let everywhere = Targets {
            discovery: Discovery {
                search: Search::everywhere(),
                ..Discovery::default()
            },
            ..Targets::default()
        };
        let tree = local::read(folder, &everywhere)
            .map_err(|error| Trouble::new(&error, error.class(), None))?;
        let surveyed = init::survey(tree.files.clone());
        let mut report = InitReport::new(&folder.display().to_string());
        report.files = tree.looked_at;
        report.marked = surveyed.iter().map(|it| it.marked).sum();
        let findings = surveyed.iter().flat_map(|it| &it.findings);
        report.findings = findings.map(FindingReport::new).collect();
        Ok(Self {
            tree,
            surveyed,
            changed: Vec::new(),
            report,
        })
    }

    /// The images that no policy of the configuration is about.
    fn unassigned(&self, config: &Config) -> BTreeMap<Subject, Current> {
        let assignments = config.assignments(|_| true);
        let images = self.surveyed.iter().flat_map(|it| &it.images);
        let is_free =
            |image: &&FoundImage| matches!(assignments.of(&image.repository), Assignment::None);
        init::currents(images.filter(is_free))
    }

    /// Marks every image that a policy, given or drafted, is about; says why the others are left.
    fn mark(&mut self, config: &Config, drafts: &Drafts) {
        let assignments = config.assignments(|_| true);
        let mut left = Places::<(String, String)>::default();
        let mut marked = Places::<(String, String)>::default();
        for Surveyed { file, images, .. } in &mut self.surveyed {
            let mut marks = Vec::new();
            for image in std::mem::take(images) {
                let policy = match assignments.of(&image.repository) {
                    Assignment::Policy(name) => {
                        let digest = config.policies.get(name).map(|it| it.policy.digest);
                        Ok((name.clone(), digest.unwrap_or_default()))
                    }
                    Assignment::Ambiguous(names) => {
                        let names = names.iter().map(ToString::to_string);
                        let names = names.collect::<Vec<_>>().join(", ");
                        Err(format!("{names} are about it; mark it by hand"))
                    }
                    Assignment::None if drafts.is_empty() => {
                        Err("no policy is about it".to_owned())
                    }
                    Assignment::None => drafted(drafts, &image),
                };
                match policy {
                    Ok((policy, digest)) => marks.push(Mark {
                        image,
                        policy,
                        digest,
                    }),
                    Err(reason) => left.add((shown(&image), reason), file, &image),
                }
            }
            if marks.is_empty() {
                continue;
            }
            let annotated = write_markers(&file.path, &file.bytes, marks);
            let Annotated {
                bytes,
                marked: done,
                left: undone,
            } = annotated;
            for mark in done {
                let key = (shown(&mark.image), mark.policy.to_string());
                marked.add(key, file, &mark.image);
            }
            for (image, reason) in undone {
                left.add((shown(&image), reason), file, &image);
            }
            if bytes != file.bytes {
                let path = file.path.clone();
                self.changed.push(SourceFile { path, bytes });
            }
        }
        self.report.diff = diff::unified(&self.tree.files, &self.changed);
        let drafts = drafts.values().flatten();
        let drafts = drafts.map(|draft| (draft.policy.to_string(), draft));
        let drafts = drafts.collect::<BTreeMap<_, _>>();
        let marked = marked.0.into_iter().map(|((image, policy), places)| {
            let draft = drafts.get(&policy);
            MarkedImageReport {
                why: draft.map(|draft| draft.why.clone()),
                choices: draft.map(|draft| choices(draft)).unwrap_or_default(),
                image,
                policy,
                places,
            }
        });
        self.report.images = marked.collect();
        let left = left.0.into_iter();
        let left = left.map(|((image, reason), places)| LeftImageReport {
            image,
            reason,
            places,
        });
        self.report.left = left.collect();
    }

    /// Whether a drafted policy governs anything.
    fn uses(&self, draft: &Draft) -> bool {
        let policy = draft.policy.to_string();
        self.report.images.iter().any(|it| it.policy == policy)
    }

    /// Writes the documents into a new file, and then the markers.
    fn write(&mut self, documents: Option<&Path>) -> Result<(), Trouble> {
        let text = &self.report.documents;
        if let Some(path) = documents.filter(|_| !text.is_empty()) {
            let written = std::fs::File::create_new(path)
                .and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|error| {
                let message = format!("cannot write `{}`: {error}", path.display());
                Trouble::usage(&message, Some("name another file with --documents"))
            })?;
            self.report.written.push(path.display().to_string());
        }
        let old = self.tree.files.iter().map(|file| (&file.path, file));
        let old = old.collect::<BTreeMap<_, _>>();
        let files = self.changed.iter();
        let files = files.filter_map(|new| Some((*old.get(&new.path)?, new.bytes.as_slice())));
        local::replace(&self.tree.root, &files.collect::<Vec<_>>())
            .map_err(|error| Trouble::new(&error, error.class(), None))?;
        let changed = self.changed.iter().map(|file| file.path.clone());
        self.report.written.extend(changed);
        Ok(())
    }
}

/// The policy that was drafted for an image, or why there is none.
fn drafted(drafts: &Drafts, image: &FoundImage) -> Result<(PolicyName, DigestReflection), String> {
    let subject = init::subject(image)?;
    match drafts.get(&subject) {
        Some(Ok(draft)) => Ok((draft.policy.clone(), draft.digest)),
        Some(Err(reason)) => Err(reason.clone()),
        None => Err("no policy is about it".to_owned()),
    }
}

/// Lists every image that needs a policy; a registry that fails leaves its images out.
async fn list(
    wanted: &BTreeMap<Subject, Current>,
    connection: &ConnectionArguments,
    output: &Output,
) -> Result<BTreeMap<Repository, Result<Scan, String>>, Trouble> {
    let registry = Watched::new(registry(None), output.is_text());
    let mut questions = BTreeMap::new();
    for (repository, _) in wanted.keys() {
        questions.insert(repository.clone(), connection.access(repository).await?);
    }
    let scans = stream::iter(questions)
        .map(async |(repository, access)| {
            let scan = registry.scan(&repository, &access).await;
            let scan = scan.map_err(|error| {
                let hint = error
                    .hint()
                    .map_or_else(String::new, |it| format!("; {it}"));
                let cause = std::error::Error::source(&error);
                let cause = cause.map_or_else(String::new, |it| format!(": {it}"));
                format!("{error}{cause}{hint}")
            });
            (repository, scan)
        })
        .buffer_unordered(CONCURRENT_SCANS)
        .collect()
        .await;
    registry.finish();
    Ok(scans)
}

/// A name for the documents that no file has.
fn free(folder: &Path) -> PathBuf {
    let (stem, ending) = DOCUMENTS.split_once('.').unwrap_or((DOCUMENTS, "yaml"));
    let counted = (2..1000).map(|count| folder.join(format!("{stem}-{count}.{ending}")));
    let mut names = std::iter::once(folder.join(DOCUMENTS)).chain(counted);
    // Where a thousand are taken, the last is not overwritten either.
    let free = names.find(|path| !path.exists());
    free.unwrap_or_else(|| folder.join(DOCUMENTS))
}

/// Where the images of one row stand.
#[derive(Default)]
struct Places<K: Ord>(BTreeMap<K, Vec<String>>);

impl<K: Ord> Places<K> {
    fn add(&mut self, key: K, file: &SourceFile, image: &FoundImage) {
        let line = image.fields.first().map_or(1, |field| field.line);
        let place = format!("{}:{line}", file.path);
        self.0.entry(key).or_default().push(place);
    }
}

fn shown(image: &FoundImage) -> String {
    image.repository.to_string()
}

fn choices(draft: &Draft) -> Vec<ChoiceReport> {
    let choices = draft.choices.iter().map(|(current, chosen)| ChoiceReport {
        current: current.to_string(),
        chosen: chosen.to_string(),
    });
    choices.collect()
}
