//! What refers to an image: signatures, bills of materials, attestations.
//!
//! By the referrers API of OCI 1.1, or where a registry has none, by the tag that clients write in its
//! stead (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema>).

use std::collections::{BTreeMap, HashSet};

use reqwest::Method;
use serde::Deserialize;

use super::{
    Access, OciRegistry, ScanError, caller::Content, header, inspect::Inspection, session::Ask,
};
use crate::{
    egress::one_line,
    image::{Digest, Repository},
};

/// The only form of the answer, by the specification.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The most entries of all pages.
const MAX_REFERRERS: usize = 10_000;
/// The most pages.
const MAX_PAGES: usize = 100;
/// The longest text that is taken over.
const MAX_TEXT: usize = 512;

/// A manifest that refers to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// Its digest.
    pub digest: Digest,
    /// What it is, such as `application/vnd.dev.cosign.artifact.sig.v1+json`; empty where it does not
    /// say.
    pub artifact_type: String,
    /// Its bytes, without what it names.
    pub size: u64,
    /// What it says of itself.
    pub annotations: BTreeMap<String, String>,
}

/// What an index says of its entries, as far as referrers are told apart by it.
#[derive(Deserialize)]
struct Wire {
    manifests: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    digest: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    artifact_type: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl OciRegistry {
    /// Everything that refers to the manifest `digest`, in the order of the registry, each once.
    ///
    /// # Errors
    ///
    /// When the registry cannot be asked, or what it says cannot be read to its end.
    pub async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
    ) -> Result<Vec<Referrer>, ScanError> {
        let image = format!("{repository}@{digest}");
        let mut inspection = self.inspection_of(repository, image, access)?;
        inspection.referring(digest).await
    }
}

impl Inspection<'_> {
    /// Everything that refers to the manifest `digest`, in the order of the registry, each once.
    pub(super) async fn referring(&mut self, digest: &Digest) -> Result<Vec<Referrer>, ScanError> {
        let path = format!("/v2/{}/referrers/{digest}", self.repository.path());
        match self.referrers(path).await {
            // A registry that knows nothing of referrers keeps them under a tag.
            Err(
                ScanError::NotFound { .. }
                | ScanError::Failed {
                    status: 405 | 501, ..
                },
            ) => {
                let tag = digest.as_str().replacen(':', "-", 1);
                let path = self.manifest_target(&tag);
                match self.referrers(path).await {
                    Err(ScanError::NotFound { .. }) => Ok(Vec::new()),
                    found => found,
                }
            }
            found => found,
        }
    }

    async fn referrers(&mut self, first: String) -> Result<Vec<Referrer>, ScanError> {
        let mut referrers = Vec::new();
        let (mut known, mut asked) = (HashSet::new(), HashSet::new());
        let mut next = Some(first);
        while let Some(target) = next.take() {
            let is_new = asked.insert(target.clone());
            if !is_new || asked.len() > MAX_PAGES {
                return Err(ScanError::PagingLoop {
                    repository: self.repository.clone(),
                    next: one_line(target.as_bytes()),
                });
            }
            let ask = Ask {
                method: Method::GET,
                target: &target,
                accept: INDEX,
                limit: self.limits.manifest_bytes,
                known: None,
                content: Content::Believed,
            };
            let reply = self.session.fetch(&ask).await?;
            let page = read(&reply.body).map_err(|reason| self.malformed(reason.to_owned()))?;
            for referrer in page {
                if known.insert(referrer.digest.clone()) {
                    referrers.push(referrer);
                }
            }
            if referrers.len() > MAX_REFERRERS {
                return Err(ScanError::LimitPassed {
                    image: self.image.clone(),
                    limit: MAX_REFERRERS,
                    unit: "referrers",
                });
            }
            let Some(link) = header::next_page(&reply.headers) else {
                continue;
            };
            let left = || ScanError::PagingLeft {
                repository: self.repository.clone(),
                next: one_line(link.as_bytes()),
            };
            let url = reply.url.join(&link).map_err(|_| left())?;
            if url.origin() != reply.url.origin() || url.path() != reply.url.path() {
                return Err(left());
            }
            next = Some(url[url::Position::BeforePath..url::Position::AfterQuery].to_owned());
        }
        Ok(referrers)
    }
}

fn read(body: &[u8]) -> Result<Vec<Referrer>, &'static str> {
    let wire: Wire = serde_json::from_slice(body).map_err(|_| "it is no list of referrers")?;
    let entries = wire.manifests.unwrap_or_default().into_iter();
    let referrers = entries.map(|entry| {
        let annotations = entry.annotations.unwrap_or_default().into_iter();
        Ok(Referrer {
            digest: entry
                .digest
                .parse()
                .map_err(|_| "a referrer has a digest that is none")?,
            artifact_type: short(&entry.artifact_type),
            size: entry.size,
            annotations: annotations
                .map(|(name, value)| (short(&name), short(&value)))
                .collect(),
        })
    });
    referrers.collect()
}

fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
