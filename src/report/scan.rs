//! What `scan` tells.

use std::{cmp::Reverse, collections::BTreeMap, fmt::Write as _};

use schemars::JsonSchema;
use serde::Serialize;

use super::VERSION;
use crate::{
    image::{Digest, Repository, Tag},
    printable::printable,
    scan::{Referrer, Scan},
};

/// What `scan` found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScanReport {
    /// The version of this form: `tagwright.dev/v1`.
    pub version: &'static str,
    /// The repository as it was given.
    pub image: String,
    /// The one name of the place.
    pub canonical: String,
    /// How many tags there are.
    pub count: usize,
    /// How many entries of the listing were no tags by the grammar.
    pub refused: usize,
    /// How long the listing took, in milliseconds.
    pub milliseconds: u64,
    /// The tags, versions first and newest first, then the others by bytes; cut by `--limit`.
    pub tags: Vec<String>,
}

impl ScanReport {
    /// Tells what was listed, at most `limit` tags of it.
    pub fn new(scan: &Scan, limit: Option<usize>) -> Self {
        let mut tags = scan.tags.iter().collect::<Vec<_>>();
        tags.sort_by_cached_key(|tag| Reverse(rank(tag)));
        Self {
            version: VERSION,
            image: scan.repository.to_string(),
            canonical: scan.repository.canonical(),
            count: scan.tags.len(),
            refused: scan.refused,
            milliseconds: u64::try_from(scan.took.as_millis()).unwrap_or(u64::MAX),
            tags: tags
                .into_iter()
                .take(limit.unwrap_or(usize::MAX))
                .map(Tag::to_string)
                .collect(),
        }
    }

    /// The tags, one a line, and a last line with the count.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for tag in &self.tags {
            let _ = writeln!(text, "{tag}");
        }
        let cut = self.count - self.tags.len();
        let cut = if cut > 0 {
            format!(", {cut} of them not shown")
        } else {
            String::new()
        };
        let refused = match self.refused {
            0 => String::new(),
            count => format!(", {count} entries that are no tags"),
        };
        let Self {
            image,
            count,
            milliseconds,
            ..
        } = self;
        let _ = writeln!(
            text,
            "{image}: {count} tags in {milliseconds} ms{cut}{refused}"
        );
        text
    }
}

/// What `scan --referrers` found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferrersReport {
    /// The version of this form: `tagwright.dev/v1`.
    pub version: &'static str,
    /// The repository as it was given.
    pub image: String,
    /// What the tag names, and is referred to.
    pub digest: String,
    /// What refers to it, in the registry's order.
    pub referrers: Vec<ReferrerReport>,
}

/// One manifest that refers to another.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferrerReport {
    /// Its digest.
    pub digest: String,
    /// What it is; empty where it does not say.
    pub artifact_type: String,
    /// Its bytes, without what it names.
    pub size: u64,
    /// What it says of itself.
    pub annotations: BTreeMap<String, String>,
}

impl ReferrersReport {
    /// Tells what refers to `digest`.
    pub fn new(image: &Repository, digest: &Digest, referrers: Vec<Referrer>) -> Self {
        let referrers = referrers.into_iter().map(|it| ReferrerReport {
            digest: it.digest.to_string(),
            artifact_type: it.artifact_type,
            size: it.size,
            annotations: it.annotations,
        });
        Self {
            version: VERSION,
            image: image.to_string(),
            digest: digest.to_string(),
            referrers: referrers.collect(),
        }
    }

    /// One line each, and a last line with the count.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for it in &self.referrers {
            let kind = Some(it.artifact_type.as_str()).filter(|it| !it.is_empty());
            let kind = printable(kind.unwrap_or("unknown"));
            let _ = writeln!(text, "{} {kind} ({} bytes)", it.digest, it.size);
        }
        let count = self.referrers.len();
        let _ = writeln!(text, "{}@{}: {count} referrers", self.image, self.digest);
        text
    }
}

/// Versions stand before other tags, in their own order; everything else by bytes.
fn rank(tag: &Tag) -> (Option<semver::Version>, Tag) {
    let text = tag.as_str();
    (
        semver::Version::parse(text.strip_prefix('v').unwrap_or(text)).ok(),
        tag.clone(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_stand_first_and_newest_first() {
        let mut tags = ["latest", "1.9.0", "v1.10.0", "1.10.0-rc.1", "edge"]
            .map(|it| it.parse::<Tag>().unwrap());
        tags.sort_by_cached_key(|tag| Reverse(rank(tag)));
        assert_eq!(
            tags.map(|tag| tag.to_string()),
            ["v1.10.0", "1.10.0-rc.1", "1.9.0", "latest", "edge"]
        );
    }
}
