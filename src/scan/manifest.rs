//! Manifests, indexes and image configurations, as far as they say when an image was built, from
//! what, and what it runs on.
//!
//! Pure: bytes that were verified by their digest go in.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::image::Digest;

/// The most entries of one index.
const MAX_CHILDREN: usize = 1000;
/// The longest text that is taken over from an annotation or a label.
const MAX_TEXT: usize = 512;
/// What an index names beside its images: provenance and signatures.
const UNKNOWN: &str = "unknown";

const CREATED: &str = "org.opencontainers.image.created";
const SOURCE: &str = "org.opencontainers.image.source";
const REVISION: &str = "org.opencontainers.image.revision";
const VERSION: &str = "org.opencontainers.image.version";

/// What is behind a digest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Manifest {
    /// One image, or something else that is kept like one.
    Image(ImageManifest),
    /// Images for several platforms.
    Index(Index),
    /// The first form of a manifest, which names no configuration.
    Legacy,
}

/// The manifest of one image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ImageManifest {
    /// Where its configuration is.
    pub(crate) config: Digest,
    /// The bytes of its configuration and layers, as they are sent.
    pub(crate) size: u64,
    pub(crate) labels: Labels,
}

/// The manifests for several platforms.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) children: Vec<Child>,
    pub(crate) labels: Labels,
}

/// One entry of an index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) digest: Digest,
    /// What it runs on, where the index says so.
    pub(crate) platform: Option<String>,
    /// What it is beside an image: an attestation, a signature.
    pub(crate) is_image: bool,
}

/// The configuration of an image.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ImageConfig {
    pub(crate) created: Option<DateTime<Utc>>,
    pub(crate) platform: Option<String>,
    pub(crate) labels: Labels,
}

/// What annotations and labels say of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Labels {
    pub(crate) created: Option<DateTime<Utc>>,
    pub(crate) source: Option<String>,
    pub(crate) revision: Option<String>,
    pub(crate) version: Option<String>,
}

type Annotations = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    schema_version: u32,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: String,
    #[serde(default)]
    size: u64,
    platform: Option<WirePlatform>,
}

#[derive(Deserialize)]
struct WirePlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

#[derive(Deserialize)]
struct WireConfig {
    created: Option<String>,
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
    config: Option<WireSettings>,
}

#[derive(Deserialize)]
struct WireSettings {
    #[serde(rename = "Labels")]
    labels: Option<Annotations>,
}

impl Manifest {
    /// Reads a manifest that was announced as `media_type`; says what is wrong with it.
    pub(crate) fn read(bytes: &[u8], media_type: Option<&str>) -> Result<Self, &'static str> {
        let wire: Wire = serde_json::from_slice(bytes).map_err(|_| "it is no manifest")?;
        // Two readers must not see two images in the same bytes.
        if wire.layers.is_some() && wire.manifests.is_some() {
            return Err("it is an image and an index at once");
        }
        if let (Some(announced), Some(own)) = (media_type, &wire.media_type) {
            let announced = announced.split(';').next().unwrap_or_default().trim();
            if announced.contains("manifest") && announced != own {
                return Err("it is announced as another kind than it is");
            }
        }
        let labels = Labels::read(&wire.annotations.unwrap_or_default());
        if let Some(children) = wire.manifests {
            if children.len() > MAX_CHILDREN {
                return Err("its index has too many entries");
            }
            let children = children.into_iter().map(Child::read);
            let children = children.collect::<Result<_, _>>()?;
            return Ok(Self::Index(Index { children, labels }));
        }
        let Some(config) = wire.config else {
            return if wire.schema_version == 1 {
                Ok(Self::Legacy)
            } else {
                Err("it names no configuration")
            };
        };
        let layers = wire.layers.unwrap_or_default();
        let sizes = layers.iter().map(|layer| layer.size);
        let size = sizes.fold(config.size, u64::saturating_add);
        Ok(Self::Image(ImageManifest {
            config: config.digest()?,
            size,
            labels,
        }))
    }
}

impl Descriptor {
    fn digest(&self) -> Result<Digest, &'static str> {
        self.digest
            .parse()
            .map_err(|_| "it names a digest that is none")
    }
}

impl Child {
    fn read(descriptor: Descriptor) -> Result<Self, &'static str> {
        let digest = descriptor.digest()?;
        let platform = descriptor.platform.map(|platform| {
            let WirePlatform {
                os,
                architecture,
                variant,
            } = platform;
            let name = named(&os, &architecture, variant.as_deref());
            (name, os == UNKNOWN)
        });
        let is_manifest = |kind: &str| kind.contains("manifest") || kind.contains("index");
        let is_unknown = platform.as_ref().is_some_and(|(_, unknown)| *unknown);
        Ok(Self {
            digest,
            is_image: !is_unknown && descriptor.media_type.as_deref().is_none_or(is_manifest),
            platform: platform.and_then(|(name, _)| name),
        })
    }
}

impl ImageConfig {
    /// Reads a configuration; what is no image's, such as a chart's, says nothing.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let Ok(wire) = serde_json::from_slice::<WireConfig>(bytes) else {
            return Self::default();
        };
        let labels = wire.config.and_then(|it| it.labels).unwrap_or_default();
        Self {
            created: wire.created.as_deref().and_then(time),
            platform: named(&wire.os, &wire.architecture, wire.variant.as_deref()),
            labels: Labels::read(&labels),
        }
    }
}

impl Labels {
    fn read(annotations: &Annotations) -> Self {
        let text = |key: &str| {
            let text = annotations.get(key)?;
            let is_fit =
                !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
            is_fit.then(|| text.clone())
        };
        Self {
            created: annotations.get(CREATED).and_then(|it| time(it)),
            source: text(SOURCE),
            revision: text(REVISION),
            version: text(VERSION),
        }
    }

    /// What is said here, and in `other` where nothing is.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            created: self.created.or(other.created),
            source: self.source.or(other.source),
            revision: self.revision.or(other.revision),
            version: self.version.or(other.version),
        }
    }
}

/// A time that somebody meant. Builds that are made to be reproducible write the beginning of 1970
/// or of 1980, which say nothing.
fn time(text: &str) -> Option<DateTime<Utc>> {
    const MEANT_FROM: i64 = 347_155_200;
    let time = DateTime::parse_from_rfc3339(text.trim()).ok()?.to_utc();
    (time.timestamp() >= MEANT_FROM).then_some(time)
}

/// `linux/arm64`, `linux/arm/v7`; `arm64` has one variant, which nobody writes.
fn named(os: &str, architecture: &str, variant: Option<&str>) -> Option<String> {
    let is_word = |text: &str| {
        let in_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=32).contains(&text.len()) && text.bytes().all(in_word)
    };
    if !is_word(os) || !is_word(architecture) || os == UNKNOWN {
        return None;
    }
    let variant = variant.filter(|it| is_word(it) && !(architecture == "arm64" && *it == "v8"));
    Some(variant.map_or_else(
        || format!("{os}/{architecture}"),
        |variant| format!("{os}/{architecture}/{variant}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn digest(of: char) -> String {
        format!("sha256:{}", of.to_string().repeat(64))
    }

    #[test]
    fn an_image_names_its_configuration_and_its_size() {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI}","config":{{"digest":"{}","size":7}},
               "layers":[{{"digest":"{}","size":20}},{{"digest":"{}","size":3}}],
               "annotations":{{"org.opencontainers.image.source":"https://git.test/web"}}}}"#,
            digest('a'),
            digest('b'),
            digest('c'),
        );
        let Ok(Manifest::Image(image)) = Manifest::read(text.as_bytes(), Some(OCI)) else {
            panic!("it is an image");
        };
        assert_eq!(image.config.as_str(), digest('a'));
        assert_eq!(image.size, 30);
        assert_eq!(image.labels.source.as_deref(), Some("https://git.test/web"));
    }

    #[test]
    fn an_index_names_platforms_and_attestations_are_none() {
        let child = |of: char, platform: &str| {
            format!(
                r#"{{"mediaType":"{OCI}","digest":"{}","platform":{platform}}}"#,
                digest(of)
            )
        };
        let children = [
            child('a', r#"{"os":"linux","architecture":"amd64"}"#),
            child(
                'b',
                r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#,
            ),
            child('c', r#"{"os":"linux","architecture":"arm","variant":"v7"}"#),
            child('d', r#"{"os":"unknown","architecture":"unknown"}"#),
        ];
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
            children.join(",")
        );
        let Ok(Manifest::Index(index)) = Manifest::read(text.as_bytes(), None) else {
            panic!("it is an index");
        };
        let found = index
            .children
            .iter()
            .map(|it| (it.platform.as_deref(), it.is_image));
        let expected = [
            (Some("linux/amd64"), true),
            (Some("linux/arm64"), true),
            (Some("linux/arm/v7"), true),
            (None, false),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn r29_r30_a_manifest_is_one_thing_and_bounded() {
        let check = |text: &str, media_type: Option<&str>, fault: &str| {
            let found = Manifest::read(text.as_bytes(), media_type);
            assert_eq!(found, Err(fault), "{text:.60}");
        };
        let both = r#"{"config":{"digest":"x"},"layers":[],"manifests":[]}"#;
        check(both, None, "it is an image and an index at once");
        let other = "it is announced as another kind than it is";
        check(
            &format!(r#"{{"mediaType":"{INDEX}","manifests":[]}}"#),
            Some(OCI),
            other,
        );
        check("<html>", None, "it is no manifest");
        check("{}", None, "it names no configuration");
        check(
            r#"{"config":{"digest":"sha256:../../x"}}"#,
            None,
            "it names a digest that is none",
        );
        let child = format!(r#"{{"digest":"{}"}},"#, digest('a')).repeat(MAX_CHILDREN + 1);
        let many = format!(r#"{{"manifests":[{}]}}"#, child.trim_end_matches(','));
        check(&many, None, "its index has too many entries");
        let nested = format!("{{\"manifests\":{}", "[".repeat(100_000));
        check(&nested, None, "it is no manifest");
        assert_eq!(
            Manifest::read(br#"{"schemaVersion":1}"#, None),
            Ok(Manifest::Legacy)
        );
    }

    #[test]
    fn r33_a_time_that_nobody_meant_is_none() {
        let check = |text: &str, known: bool| {
            let config = ImageConfig::read(format!(r#"{{"created":"{text}"}}"#).as_bytes());
            assert_eq!(config.created.is_some(), known, "{text}");
        };
        check("2026-01-02T03:04:05.678901234Z", true);
        check("2026-01-02T03:04:05+02:00", true);
        check("1970-01-01T00:00:00Z", false);
        check("1980-01-01T00:00:01Z", false);
        check("0001-01-01T00:00:00Z", false);
        check("yesterday", false);
        check("", false);
    }

    #[test]
    fn labels_are_one_line_of_text() {
        let config = r#"{"os":"linux","architecture":"amd64","config":{"Labels":{
            "org.opencontainers.image.version":"1.2.3",
            "org.opencontainers.image.revision":"a\nb",
            "org.opencontainers.image.source":""}}}"#;
        let config = ImageConfig::read(config.as_bytes());
        assert_eq!(config.labels.version.as_deref(), Some("1.2.3"));
        assert_eq!(config.labels.revision, None);
        assert_eq!(config.labels.source, None);
        assert_eq!(config.platform.as_deref(), Some("linux/amd64"));
        assert_eq!(ImageConfig::read(b"chart"), ImageConfig::default());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,200}") {
            let _ = Manifest::read(text.as_bytes(), Some(&text));
            ImageConfig::read(text.as_bytes());
        }
    }
}
