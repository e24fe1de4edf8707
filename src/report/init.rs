//! What `init` and `annotate` tell.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::{FindingReport, VERSION};
use crate::printable::printable;

/// What `init` or `annotate` found, proposes and wrote.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InitReport {
    /// The version of this form: `tagwright.dev/v1`.
    pub version: &'static str,
    /// The folder.
    pub folder: String,
    /// How many files were looked at.
    pub files: usize,
    /// How many values had a marker before.
    pub marked: usize,
    /// The images that get markers, by policy.
    pub images: Vec<MarkedImageReport>,
    /// The images that were left, and why.
    pub left: Vec<LeftImageReport>,
    /// Files that could not be searched.
    pub findings: Vec<FindingReport>,
    /// The documents of the policies that are new, in YAML.
    pub documents: String,
    /// The markers, as a unified diff.
    pub diff: String,
    /// The files that were written, new ones included.
    pub written: Vec<String>,
}

/// An image that gets markers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarkedImageReport {
    /// The image.
    pub image: String,
    /// The policy, as `namespace:name`.
    pub policy: String,
    /// Why the policy is what it is; nothing where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What it would choose for each tag in Git; nothing where it was given.
    pub choices: Vec<ChoiceReport>,
    /// Where the image stands, as `file:line`.
    pub places: Vec<String>,
}

/// A tag in Git and what becomes of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChoiceReport {
    /// The tag in Git.
    pub current: String,
    /// The tag that the policy chooses.
    pub chosen: String,
}

/// An image that was left.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftImageReport {
    /// The image.
    pub image: String,
    /// Why it was left.
    pub reason: String,
    /// Where it stands, as `file:line`.
    pub places: Vec<String>,
}

impl InitReport {
    /// A report about `folder` with nothing in it.
    pub fn new(folder: &str) -> Self {
        Self {
            version: VERSION,
            folder: folder.to_owned(),
            files: 0,
            marked: 0,
            images: Vec::new(),
            left: Vec::new(),
            findings: Vec::new(),
            documents: String::new(),
            diff: String::new(),
            written: Vec::new(),
        }
    }

    /// Each image with its policy, what was left, and then the documents and the diff, or what was
    /// written.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for image in &self.images {
            let (name, policy) = (printable(&image.image), printable(&image.policy));
            let _ = writeln!(text, "✔ {name} follows {policy}  {}", places(&image.places));
            if let Some(why) = &image.why {
                let _ = writeln!(text, "    {}", printable(why));
            }
            for ChoiceReport { current, chosen } in &image.choices {
                if current == chosen {
                    let _ = writeln!(text, "    {current} is the newest of them");
                } else {
                    let _ = writeln!(text, "    {current} would become {chosen}");
                }
            }
        }
        for left in &self.left {
            let (name, reason) = (printable(&left.image), printable(&left.reason));
            let _ = writeln!(
                text,
                "- {name} was left: {reason}  {}",
                places(&left.places)
            );
        }
        for finding in &self.findings {
            let FindingReport {
                file,
                line,
                column,
                message,
            } = finding;
            let line = format!("! {file}:{line}:{column}: {message}");
            let _ = writeln!(text, "{}", printable(&line));
        }
        if self.written.is_empty() {
            for part in [&self.documents, &self.diff] {
                if !part.is_empty() {
                    let _ = write!(text, "\n{part}");
                }
            }
        }
        for file in &self.written {
            let _ = writeln!(text, "wrote {}", printable(file));
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "{}", self.conclusion());
        text
    }

    fn conclusion(&self) -> String {
        let count = |count: usize, noun: &str| match count {
            1 => format!("1 {noun}"),
            count => format!("{count} {noun}s"),
        };
        let files = count(self.files, "file");
        let images = self.images.iter().map(|image| image.places.len()).sum();
        match (images, self.written.is_empty()) {
            (0, _) if self.left.is_empty() && self.marked > 0 => {
                format!("{files}: every image that is known has a marker")
            }
            (0, _) => format!("{files}: nothing to mark"),
            (images, true) => format!(
                "{files}: {} would get markers; --write inserts them",
                count(images, "image")
            ),
            (images, false) => format!("{files}: {} got markers", count(images, "image")),
        }
    }
}

fn places(places: &[String]) -> String {
    match places {
        [] => String::new(),
        [only] => printable(only).into_owned(),
        [first, ..] => format!("{} places, first {}", places.len(), printable(first)),
    }
}
