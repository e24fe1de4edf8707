//! Where the signatures of an image are kept: under a tag that is made of its digest, or as manifests
//! that refer to it.

use std::future::Future;

use reqwest::Method;

use super::{
    Referrer, ScanError,
    caller::Content,
    inspect::Inspection,
    session::Ask,
    signature::{BUNDLE, Layer, SIGNING, Signature, TrustedKeys, layers},
};
use crate::{error::Class, image::Digest};

/// The most signatures of one image that are looked at.
const MAX_SIGNATURES: usize = 32;
/// The most bytes of what one signature says.
const MAX_BYTES: usize = 64 * 1024;
/// The artifact type of a signature of the older form.
const ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// Where a bundle says beside its manifest what it is about.
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";

/// Where the signatures of one repository are.
pub(crate) trait Signatures {
    /// The manifest under a tag; nothing where there is none.
    fn tagged(
        &mut self,
        tag: &str,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, ScanError>> + Send;

    /// What refers to the manifest `digest`.
    fn referring(
        &mut self,
        digest: &Digest,
    ) -> impl Future<Output = Result<Vec<Referrer>, ScanError>> + Send;

    /// The manifest that has this digest.
    fn manifest(
        &mut self,
        digest: &Digest,
    ) -> impl Future<Output = Result<Vec<u8>, ScanError>> + Send;

    /// The content that has this digest, of so many bytes at most.
    fn content(
        &mut self,
        digest: &Digest,
        most: usize,
    ) -> impl Future<Output = Result<Vec<u8>, ScanError>> + Send;
}

/// Looks for a signature of the manifest `digest` by one of `keys`; of others, the one that tells
/// the most.
pub(crate) async fn look<S: Signatures + Send>(
    kept: &mut S,
    digest: &Digest,
    keys: &TrustedKeys,
) -> Result<Signature, ScanError> {
    let mut search = Search {
        digest,
        keys,
        found: Signature::Missing,
        left: MAX_SIGNATURES,
    };
    let tag = format!("{}.sig", digest.as_str().replacen(':', "-", 1));
    match kept.tagged(&tag).await {
        Ok(Some(manifest)) => search.look_into(kept, &manifest).await?,
        Ok(None) => {}
        Err(error) => search.meet(unreadable(error)?),
    }
    if !search.is_over() {
        let referrers = match kept.referring(digest).await {
            Ok(referrers) => referrers,
            Err(error) => {
                search.meet(unreadable(error)?);
                Vec::new()
            }
        };
        let signatures = referrers.iter().filter(|it| is_signature(it));
        for (position, referrer) in signatures.enumerate() {
            if search.is_over() {
                break;
            }
            if position == MAX_SIGNATURES {
                search.meet(too_many());
                break;
            }
            match kept.manifest(&referrer.digest).await {
                Ok(manifest) => search.look_into(kept, &manifest).await?,
                Err(error) => search.meet(unreadable(error)?),
            }
        }
    }
    Ok(search.found)
}

/// Some registries list bundles without their type, but with what they say beside it.
fn is_signature(referrer: &Referrer) -> bool {
    let about = referrer.annotations.get(PREDICATE);
    let is_bundle = referrer.artifact_type.starts_with(BUNDLE) || about.is_some();
    referrer.artifact_type == ARTIFACT || is_bundle && about.is_none_or(|about| about == SIGNING)
}

/// A search that ends with the first good signature.
struct Search<'a> {
    digest: &'a Digest,
    keys: &'a TrustedKeys,
    found: Signature,
    left: usize,
}

impl Search<'_> {
    fn is_over(&self) -> bool {
        matches!(self.found, Signature::By(_))
    }

    /// The kinds of signatures stand in the order of what they tell.
    fn meet(&mut self, signature: Signature) {
        if signature > self.found {
            self.found = signature;
        }
    }

    async fn look_into<S: Signatures>(
        &mut self,
        kept: &mut S,
        manifest: &[u8],
    ) -> Result<(), ScanError> {
        let layers = match layers(manifest) {
            Ok(layers) => layers,
            Err(why) => {
                self.meet(Signature::Unreadable(why.to_owned()));
                return Ok(());
            }
        };
        for layer in layers {
            if self.is_over() {
                break;
            }
            if self.left == 0 {
                self.meet(too_many());
                break;
            }
            self.left -= 1;
            let signature = self.judge(kept, &layer).await?;
            self.meet(signature);
        }
        Ok(())
    }

    async fn judge<S: Signatures>(
        &self,
        kept: &mut S,
        layer: &Layer,
    ) -> Result<Signature, ScanError> {
        if layer.size > MAX_BYTES as u64 {
            let why = format!("it has {} bytes, and {MAX_BYTES} is the limit", layer.size);
            return Ok(Signature::Unreadable(why));
        }
        let place = match layer.digest() {
            Ok(place) => place,
            Err(why) => return Ok(Signature::Unreadable(why.to_owned())),
        };
        match kept.content(&place, MAX_BYTES).await {
            Ok(content) => Ok(layer.judge(&content, self.digest, self.keys)),
            Err(error) => unreadable(error),
        }
    }
}

fn too_many() -> Signature {
    Signature::Unreadable(format!("there are more than {MAX_SIGNATURES}"))
}

/// What is wrong with one signature hides no other; what says nothing of it is no answer.
fn unreadable(error: ScanError) -> Result<Signature, ScanError> {
    let is_its_own = error.class() == Class::Bug
        || matches!(
            error,
            ScanError::NotFound { .. } | ScanError::LimitPassed { .. }
        );
    if is_its_own {
        Ok(Signature::Unreadable(error.to_string()))
    } else {
        Err(error)
    }
}

impl Signatures for Inspection<'_> {
    async fn tagged(&mut self, tag: &str) -> Result<Option<Vec<u8>>, ScanError> {
        let target = self.manifest_target(tag);
        let ask = self.ask(Method::GET, &target, Content::Believed);
        match self.session.fetch(&ask).await {
            Ok(reply) => {
                if let Some(announced) = self.announced(&reply.headers)? {
                    self.verify(&reply.body, &announced)?;
                }
                Ok(Some(reply.body))
            }
            Err(ScanError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn referring(&mut self, digest: &Digest) -> Result<Vec<Referrer>, ScanError> {
        Inspection::referring(self, digest).await
    }

    async fn manifest(&mut self, digest: &Digest) -> Result<Vec<u8>, ScanError> {
        let target = self.manifest_target(digest.as_str());
        let ask = self.ask(Method::GET, &target, Content::Verified);
        let reply = self.session.fetch(&ask).await?;
        self.verify(&reply.body, digest)?;
        Ok(reply.body)
    }

    async fn content(&mut self, digest: &Digest, most: usize) -> Result<Vec<u8>, ScanError> {
        let target = format!("/v2/{}/blobs/{digest}", self.repository.path());
        let ask = Ask {
            accept: "*/*",
            limit: most,
            ..self.ask(Method::GET, &target, Content::Verified)
        };
        let reply = self.session.fetch(&ask).await?;
        self.verify(&reply.body, digest)?;
        Ok(reply.body)
    }
}
