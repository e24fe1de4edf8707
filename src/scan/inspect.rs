//! One look at a tag: its digest, and the manifests and configurations behind it.

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap},
};

use super::{
    ScanError,
    caller::Content,
    hash::{sha256, sha512},
    limits::Limits,
    manifest::{ImageConfig, Manifest},
    metadata::Objects,
    session::{Ask, Session},
};
use crate::{
    egress::one_line,
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

/// The longest media type that is looked at.
const MAX_MEDIA_TYPE: usize = 256;

/// A conversation about one tag.
#[derive(Debug)]
pub(super) struct Inspection<'a> {
    pub(super) session: Session<'a>,
    pub(super) repository: &'a Repository,
    /// What errors name: the repository with the tag.
    pub(super) image: String,
    pub(super) limits: Limits,
}

impl Inspection<'_> {
    /// The digest that `tag` names.
    pub(super) async fn digest(&mut self, tag: &Tag) -> Result<Digest, ScanError> {
        let target = self.manifest_target(tag.as_str());
        // A HEAD counts as no pull where pulls are counted, as on Docker Hub.
        let ask = self.ask(Method::HEAD, &target, Content::Believed);
        let announced = match self.session.fetch(&ask).await {
            Ok(reply) => self.announced(&reply.headers)?,
            Err(ScanError::Failed {
                status: 405 | 501, ..
            }) => None,
            Err(error) => return Err(error),
        };
        match announced {
            Some(digest) => Ok(digest),
            None => self.digest_of_body(&target).await,
        }
    }

    /// Reads the manifest itself, for registries whose HEAD does not tell its digest.
    async fn digest_of_body(&mut self, target: &str) -> Result<Digest, ScanError> {
        let ask = self.ask(Method::GET, target, Content::Believed);
        let reply = self.session.fetch(&ask).await?;
        let announced = self.announced(&reply.headers)?;
        match announced {
            Some(announced) => {
                self.verify(&reply.body, &announced)?;
                Ok(announced)
            }
            None => Ok(sha256(&reply.body)),
        }
    }

    pub(super) fn manifest_target(&self, reference: &str) -> String {
        format!("/v2/{}/manifests/{reference}", self.repository.path())
    }

    pub(super) fn ask<'t>(&self, method: Method, target: &'t str, content: Content) -> Ask<'t> {
        Ask {
            method,
            target,
            accept: MANIFESTS,
            limit: self.limits.manifest_bytes,
            known: None,
            content,
        }
    }

    pub(super) fn announced(&self, headers: &HeaderMap) -> Result<Option<Digest>, ScanError> {
        let Some(value) = headers.get(DIGEST) else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(value.as_bytes());
        text.parse()
            .map(Some)
            .map_err(|_| self.malformed(format!("its digest is `{}`", one_line(text.as_bytes()))))
    }

    /// Refuses a body that is not the one its digest names.
    pub(super) fn verify(&self, body: &[u8], announced: &Digest) -> Result<(), ScanError> {
        let found = if announced.as_str().starts_with("sha512:") {
            sha512(body)
        } else {
            sha256(body)
        };
        if found == *announced {
            return Ok(());
        }
        Err(ScanError::DigestMismatch {
            image: self.image.clone(),
            announced: announced.clone(),
            found,
        })
    }

    pub(super) fn malformed(&self, reason: String) -> ScanError {
        ScanError::Malformed {
            image: self.image.clone(),
            host: self.session.host().to_owned(),
            reason,
        }
    }
}

impl Objects for Inspection<'_> {
    type Error = ScanError;

    async fn manifest(&mut self, digest: &Digest) -> Result<Manifest, ScanError> {
        let target = self.manifest_target(digest.as_str());
        let ask = self.ask(Method::GET, &target, Content::Verified);
        let reply = self.session.fetch(&ask).await?;
        self.verify(&reply.body, digest)?;
        let media_type = reply
            .headers
            .get(CONTENT_TYPE)
            .and_then(|it| it.to_str().ok());
        let media_type = media_type.filter(|it| it.len() <= MAX_MEDIA_TYPE);
        let manifest = Manifest::read(&reply.body, media_type);
        manifest.map_err(|reason| self.malformed(reason.to_owned()))
    }

    async fn config(&mut self, digest: &Digest) -> Result<ImageConfig, ScanError> {
        let target = format!("/v2/{}/blobs/{digest}", self.repository.path());
        let ask = Ask {
            accept: "*/*",
            ..self.ask(Method::GET, &target, Content::Verified)
        };
        let reply = self.session.fetch(&ask).await?;
        self.verify(&reply.body, digest)?;
        Ok(ImageConfig::read(&reply.body))
    }

    fn too_deep(&self) -> ScanError {
        self.malformed("its indexes lie in each other without end".to_owned())
    }
}
