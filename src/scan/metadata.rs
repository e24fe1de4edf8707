//! What is known of an image by its digest: read once, and true for ever.

use std::future::Future;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    TagFacts,
    manifest::{ImageConfig, Labels, Manifest},
};
use crate::image::Digest;

/// How many indexes may lie in each other.
const MAX_LEVELS: usize = 4;
/// How far ahead a builder's clock may be.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// What a manifest, its configuration and its annotations say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    created: Option<DateTime<Utc>>,
    labels: Labels,
    platforms: Vec<String>,
    size: Option<u64>,
}

/// Where manifests and configurations come from, verified by their digests.
pub(crate) trait Objects {
    /// Why there is none.
    type Error;

    /// The manifest or index behind `digest`.
    fn manifest(
        &mut self,
        digest: &Digest,
    ) -> impl Future<Output = Result<Manifest, Self::Error>> + Send;

    /// The configuration behind `digest`.
    fn config(
        &mut self,
        digest: &Digest,
    ) -> impl Future<Output = Result<ImageConfig, Self::Error>> + Send;

    /// The error of an index that lies too deep.
    fn too_deep(&self) -> Self::Error;
}

/// Reads everything that is known behind `digest`.
///
/// Of an index, the platforms are those of all its images; the time, the labels and the size are
/// those of its first image, as far as the index's own annotations do not say them.
pub(crate) async fn gather<O: Objects + Send>(
    objects: &mut O,
    digest: &Digest,
) -> Result<Metadata, O::Error> {
    let mut labels = Labels::default();
    let mut platforms = Vec::new();
    let mut target = digest.clone();
    for _ in 0..MAX_LEVELS {
        match objects.manifest(&target).await? {
            Manifest::Index(index) => {
                labels = labels.or(index.labels);
                let mut images = index.children.into_iter().filter(|child| child.is_image);
                let Some(first) = images.next() else {
                    return Ok(Metadata {
                        labels,
                        platforms,
                        ..Metadata::default()
                    });
                };
                platforms.extend(first.platform);
                platforms.extend(images.filter_map(|child| child.platform));
                target = first.digest;
            }
            Manifest::Image(image) => {
                let config = objects.config(&image.config).await?;
                platforms.extend(config.platform);
                platforms.sort();
                platforms.dedup();
                return Ok(Metadata {
                    created: config.created,
                    labels: labels.or(image.labels).or(config.labels),
                    platforms,
                    size: Some(image.size),
                });
            }
            Manifest::Legacy => {
                return Ok(Metadata {
                    labels,
                    platforms,
                    ..Metadata::default()
                });
            }
        }
    }
    Err(objects.too_deep())
}

impl Metadata {
    /// The facts of a tag that names `digest`, as they are to be believed at `now`.
    ///
    /// A builder's clock that is a little ahead is set back to `now`; a time further in the future
    /// is none.
    pub(crate) fn facts(&self, digest: Digest, now: DateTime<Utc>) -> TagFacts {
        let believed = |time: Option<DateTime<Utc>>| {
            let time = time.filter(|time| *time <= now + SKEW)?;
            Some(time.min(now))
        };
        TagFacts {
            created: believed(self.created),
            annotated: believed(self.labels.created),
            first_seen: None,
            platforms: (!self.platforms.is_empty()).then(|| self.platforms.clone()),
            digest: Some(digest),
            source: self.labels.source.clone(),
            revision: self.labels.revision.clone(),
            version: self.labels.version.clone(),
            size: self.size,
            signature: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::scan::hash::sha256;

    /// Objects in memory, by their digests.
    #[derive(Default)]
    struct Shelf(BTreeMap<Digest, Vec<u8>>);

    impl Shelf {
        fn put(&mut self, text: &str) -> Digest {
            let digest = sha256(text.as_bytes());
            self.0.insert(digest.clone(), text.as_bytes().to_vec());
            digest
        }

        fn image(&mut self, config: &str, annotations: &str) -> Digest {
            let config = self.put(config);
            self.put(&format!(
                r#"{{"schemaVersion":2,"config":{{"digest":"{config}","size":5}},"layers":[],
                   "annotations":{annotations}}}"#
            ))
        }

        fn index(&mut self, children: &[(&Digest, &str, &str)], annotations: &str) -> Digest {
            let children = children.iter().map(|(digest, os, architecture)| {
                format!(
                    r#"{{"digest":"{digest}","platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#
                )
            });
            let children = children.collect::<Vec<_>>().join(",");
            self.put(&format!(
                r#"{{"schemaVersion":2,"manifests":[{children}],"annotations":{annotations}}}"#
            ))
        }
    }

    impl Objects for Shelf {
        type Error = &'static str;

        async fn manifest(&mut self, digest: &Digest) -> Result<Manifest, &'static str> {
            Manifest::read(self.0.get(digest).ok_or("not found")?, None)
        }

        async fn config(&mut self, digest: &Digest) -> Result<ImageConfig, &'static str> {
            Ok(ImageConfig::read(self.0.get(digest).ok_or("not found")?))
        }

        fn too_deep(&self) -> &'static str {
            "too deep"
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    const CONFIG: &str = r#"{"os":"linux","architecture":"amd64","created":"2026-01-02T03:04:05Z",
        "config":{"Labels":{"org.opencontainers.image.version":"1.2.3",
                            "org.opencontainers.image.revision":"of-the-config"}}}"#;

    #[tokio::test]
    async fn an_index_speaks_before_its_first_image() {
        let mut shelf = Shelf::default();
        let amd64 = shelf.image(CONFIG, "{}");
        let arm64 = shelf.image("{}", "{}");
        let proof = shelf.put("an attestation");
        let annotations = r#"{"org.opencontainers.image.revision":"of-the-index",
                              "org.opencontainers.image.created":"2026-01-02T00:00:00Z"}"#;
        let children = [
            (&proof, "unknown", "unknown"),
            (&amd64, "linux", "amd64"),
            (&arm64, "linux", "arm64"),
        ];
        let index = shelf.index(&children, annotations);
        let metadata = gather(&mut shelf, &index).await.expect("it is complete");

        let now = at("2026-02-01T00:00:00Z");
        let facts = metadata.facts(index.clone(), now);
        assert_eq!(facts.created, Some(at("2026-01-02T03:04:05Z")));
        assert_eq!(facts.annotated, Some(at("2026-01-02T00:00:00Z")));
        assert_eq!(facts.version.as_deref(), Some("1.2.3"));
        assert_eq!(facts.revision.as_deref(), Some("of-the-index"));
        let platforms = facts.platforms.expect("they are known");
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
        assert_eq!(facts.digest, Some(index));
    }

    #[tokio::test]
    async fn r29_indexes_in_each_other_end() {
        let mut shelf = Shelf::default();
        let mut target = shelf.image(CONFIG, "{}");
        for level in 0..MAX_LEVELS {
            let found = gather(&mut shelf, &target).await;
            assert!(found.is_ok(), "{level}");
            target = shelf.index(&[(&target.clone(), "linux", "amd64")], "{}");
        }
        assert_eq!(gather(&mut shelf, &target).await, Err("too deep"));
    }

    #[tokio::test]
    async fn r33_a_time_in_the_future_is_no_time() {
        let mut shelf = Shelf::default();
        let image = shelf.image(CONFIG, "{}");
        let metadata = gather(&mut shelf, &image).await.expect("it is complete");
        let check = |now: &str, expected: Option<&str>| {
            let facts = metadata.facts(image.clone(), at(now));
            assert_eq!(facts.created, expected.map(at), "{now}");
        };
        check("2026-01-03T00:00:00Z", Some("2026-01-02T03:04:05Z"));
        check("2026-01-02T03:00:00Z", Some("2026-01-02T03:00:00Z"));
        check("2026-01-02T02:00:00Z", None);
    }
}
