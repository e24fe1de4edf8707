//! The formats of files, told apart by name.
//!
//! YAML is read by [`yaml`]. Of the others ([`Format`]) only strings and comments matter: a scanner
//! for each gives a `Page`, and markers are bound and values replaced on pages in one
//! way. A marker at the end of a line governs the one string of that line; a marker on a line of
//! its own governs the one string of the line below.

mod code;
mod dockerfile;
mod dotenv;
mod page;
mod toml;

mod hcl;
mod json;
mod part;
mod views;

pub(super) use self::page::Lines;
use super::{
    Edit, Finding, Style,
    targets::{Pattern, Targets},
    view::View,
    yaml::{self, Reading, SpliceError},
};

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `*.yaml`, `*.yml`, `Kustomization`.
    Yaml,
    /// `Dockerfile`, `Containerfile`, `Dockerfile.*`, `*.dockerfile`.
    Dockerfile,
    /// `.env`, `.env.*`, `*.env`.
    Dotenv,
    /// `*.toml`.
    Toml,
    /// `*.tf`, `*.tfvars`, `*.hcl`.
    Hcl,
    /// JSON with comments: `*.jsonc`, `*.json5`, `devcontainer.json`.
    Jsonc,
    /// JSON: `*.json`. It has no comments, and so no markers.
    Json,
}

impl Format {
    /// Returns the format of the file `path`, if markers are read in it.
    ///
    /// ```
    /// use tagwright::update::formats::Format;
    ///
    /// assert_eq!(Format::of("build/Dockerfile"), Some(Format::Dockerfile));
    /// assert_eq!(Format::of("main.rs"), None);
    /// ```
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let Some((stem, ending)) = name.rsplit_once('.') else {
            return match name {
                "Kustomization" => Some(Self::Yaml),
                "Dockerfile" | "Containerfile" => Some(Self::Dockerfile),
                _ => None,
            };
        };
        Some(match ending {
            "yaml" | "yml" => Self::Yaml,
            "toml" => Self::Toml,
            "tf" | "tfvars" | "hcl" => Self::Hcl,
            "jsonc" | "json5" => Self::Jsonc,
            "json" if stem == "devcontainer" || stem == ".devcontainer" => Self::Jsonc,
            "json" => Self::Json,
            "env" => Self::Dotenv,
            "Dockerfile" | "dockerfile" | "Containerfile" => Self::Dockerfile,
            _ if name.starts_with(".env.") => Self::Dotenv,
            _ if name.starts_with("Dockerfile.") || name.starts_with("Containerfile.") => {
                Self::Dockerfile
            }
            _ => return None,
        })
    }

    /// Whether files of this format can hold markers.
    pub fn has_comments(self) -> bool {
        self != Self::Json
    }
}

/// Finds the values of the file `path` that follow a policy: by a marker, or as `targets` say.
///
/// ```
/// use tagwright::update::{formats, targets::Targets};
///
/// let file = b"# {\"$imagepolicy\": \"apps:web\"}\nFROM acme/web:1.4.2 AS web\n";
/// let reading = formats::read("Dockerfile", file, &Targets::default());
/// assert_eq!(reading.setters[0].value, "acme/web:1.4.2");
/// ```
pub fn read(path: &str, bytes: &[u8], targets: &Targets) -> Reading {
    let mut reading = match Format::of(path) {
        Some(Format::Yaml) => yaml::read(bytes),
        Some(format) if format.has_comments() => page::read(format, bytes),
        Some(_) | None => Reading::default(),
    };
    targets.add(path, bytes, &mut reading);
    reading
}

/// The file `path` as a tree of keys and values; nothing where its format has none.
///
/// # Errors
///
/// What keeps the file from being parsed.
pub fn view(path: &str, bytes: &[u8]) -> Result<Option<View>, Finding> {
    match Format::of(path) {
        Some(Format::Yaml) => yaml::view(bytes).map(Some),
        Some(format) => views::read(format, bytes).map(Some),
        None => Ok(None),
    }
}

/// Whether a code of SOPS covers the values of `text`, in whatever format.
pub(super) fn is_sealed(text: &str) -> bool {
    text.contains("ENC[AES256_GCM,") && text.contains("sops")
}

/// Replaces the values at the edits' spans in the file `path`, and proves the result; see
/// [`yaml::splice`]. Where parts of a text are replaced, `patterns` are those that found them: they
/// must find the new ones.
pub fn splice(
    path: &str,
    bytes: &[u8],
    edits: &[Edit],
    patterns: &[Pattern],
) -> Result<Vec<u8>, SpliceError> {
    let is_part = |edit: &Edit| edit.style == Style::Part;
    let (parts, whole): (Vec<_>, Vec<_>) = edits.iter().cloned().partition(is_part);
    if parts.is_empty() {
        return splice_whole(path, bytes, edits);
    }
    let (bytes, whole) = part::splice(path, bytes, (parts, whole), patterns)?;
    splice_whole(path, &bytes, &whole)
}

fn splice_whole(path: &str, bytes: &[u8], edits: &[Edit]) -> Result<Vec<u8>, SpliceError> {
    match Format::of(path) {
        Some(Format::Yaml) | None => yaml::splice(bytes, edits),
        Some(format) => page::splice(format, bytes, edits),
    }
}

#[cfg(test)]
mod tests;
