//! The client of registries that speak the OCI distribution protocol, which is Docker's version 2.

#![expect(
    clippy::disallowed_methods,
    reason = "an edge file: a scan says when it was finished"
)]

use std::sync::Arc;

use chrono::Utc;
use reqwest::{Method, header::HeaderMap};
use tokio::time::Instant;

use super::{
    Access, Registry, Scan, ScanError,
    caller::Reply,
    hash::{sha256, sha512},
    header,
    limits::Limits,
    listing::{Listing, Next},
    session::{Ask, Session},
    token::Tokens,
};
use crate::{
    egress::{Egress, one_line},
    image::{Digest, Repository, Tag},
};

/// Every form of manifest, so that a registry answers with the one that it has: for an image of
/// many platforms, that is the index.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.v1+prettyjws, \
    application/vnd.docker.distribution.manifest.v1+json";

/// Where a registry names the digest of what it answers.
const DIGEST: &str = "docker-content-digest";

/// The registries of the world; one for the process, cheap to clone.
///
/// It remembers tokens and nothing else.
#[derive(Clone, Debug)]
pub struct OciRegistry {
    egress: Egress,
    tokens: Arc<Tokens>,
    limits: Limits,
}

impl OciRegistry {
    /// A client without any token yet.
    pub fn new(egress: Egress) -> Self {
        Self::with_limits(egress, Limits::default())
    }

    /// A client with the operator's own bounds.
    pub fn with_limits(egress: Egress, limits: Limits) -> Self {
        Self {
            egress,
            tokens: Arc::default(),
            limits,
        }
    }

    fn session<'s>(
        &'s self,
        repository: &'s Repository,
        image: String,
        access: &Access,
    ) -> Result<Session<'s>, ScanError> {
        let (egress, tokens) = (&self.egress, &*self.tokens);
        Session::new(egress, tokens, self.limits, repository, image, access)
    }

    /// Reads the manifest itself, for registries whose HEAD does not tell its digest.
    async fn digest_of_body(
        &self,
        session: &mut Session<'_>,
        target: &str,
        image: &str,
    ) -> Result<Digest, ScanError> {
        let ask = Ask {
            method: Method::GET,
            target,
            accept: MANIFESTS,
            limit: self.limits.manifest_bytes,
        };
        let Reply { headers, body, .. } = session.fetch(&ask).await?;
        let announced = announced(&headers, session, image)?;
        let is_sha512 = announced
            .as_ref()
            .is_some_and(|it| it.as_str().starts_with("sha512:"));
        let found = if is_sha512 {
            sha512(&body)
        } else {
            sha256(&body)
        };
        match announced {
            Some(announced) if announced != found => Err(ScanError::DigestMismatch {
                image: image.to_owned(),
                announced,
                found,
            }),
            _ => Ok(found),
        }
    }
}

impl Registry for OciRegistry {
    async fn scan(&self, repository: &Repository, access: &Access) -> Result<Scan, ScanError> {
        let began = Instant::now();
        let mut session = self.session(repository, repository.to_string(), access)?;
        let mut listing = Listing::new(repository, self.limits);
        let mut next = Next::Page(listing.first());
        while let Next::Page(target) = next {
            let ask = Ask {
                method: Method::GET,
                target: &target,
                accept: "application/json",
                limit: self.limits.page_bytes,
            };
            let reply = session.fetch(&ask).await?;
            let link = header::next_page(&reply.headers);
            next = listing.take(&reply.url, link.as_deref(), &reply.body)?;
        }
        let (tags, refused) = listing.finish();
        Ok(Scan {
            repository: repository.clone(),
            tags,
            refused,
            finished: Utc::now(),
            took: began.elapsed(),
            facts: std::collections::BTreeMap::new(),
        })
    }

    async fn digest(
        &self,
        repository: &Repository,
        tag: &Tag,
        access: &Access,
    ) -> Result<Digest, ScanError> {
        let image = repository.with_tag(tag.clone()).to_string();
        let mut session = self.session(repository, image.clone(), access)?;
        let target = format!("/v2/{}/manifests/{tag}", repository.path());
        // A HEAD counts as no pull where pulls are counted, as on Docker Hub.
        let ask = Ask {
            method: Method::HEAD,
            target: &target,
            accept: MANIFESTS,
            limit: self.limits.manifest_bytes,
        };
        let announced = match session.fetch(&ask).await {
            Ok(reply) => announced(&reply.headers, &session, &image)?,
            Err(ScanError::Failed {
                status: 405 | 501, ..
            }) => None,
            Err(error) => return Err(error),
        };
        match announced {
            Some(digest) => Ok(digest),
            None => self.digest_of_body(&mut session, &target, &image).await,
        }
    }
}

fn announced(
    headers: &HeaderMap,
    session: &Session<'_>,
    image: &str,
) -> Result<Option<Digest>, ScanError> {
    let Some(value) = headers.get(DIGEST) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    text.parse().map(Some).map_err(|_| ScanError::Malformed {
        image: image.to_owned(),
        host: session.host().to_owned(),
        reason: format!("its digest is `{}`", one_line(text.as_bytes())),
    })
}
