//! The vocabulary of the house: image [`Repository`], [`Tag`], [`Digest`] and [`ImageReference`].
//!
//! Everything here is text that was checked once, at the door. The rules are those of Flux's
//! reference parser (go-containerregistry's *weak* validation), because an address that Flux
//! accepts must mean the same here.

use std::{cmp::Ordering, fmt, hash, str::FromStr};

use compact_str::CompactString;

/// The registry that an image without a host is pulled from.
const DOCKER_HUB: &str = "index.docker.io";

/// The address of an image without tag or digest, such as `ghcr.io/acme/web`.
///
/// Two repositories are equal when they name the same place: `nginx`,
/// `docker.io/library/nginx` and `index.docker.io/library/nginx` are one. [`fmt::Display`]
/// gives the text as it was written, [`Repository::canonical`] the one name of the place.
///
/// ```
/// use tagwright::image::Repository;
///
/// let web: Repository = "nginx".parse().unwrap();
/// assert_eq!(web.to_string(), "nginx");
/// assert_eq!(web.canonical(), "index.docker.io/library/nginx");
/// assert_eq!(web, "docker.io/library/nginx".parse().unwrap());
/// ```
#[derive(Clone, Debug)]
pub struct Repository {
    written: Box<str>,
    host: Box<str>,
    path: Box<str>,
}

/// The name of one image in a repository: 1 to 128 characters of `A-Z a-z 0-9 _ . -`.
///
/// Ordered by bytes, as the alphabetical policy orders.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(CompactString);

/// The content address of a manifest: `sha256:` and 64 lower-case hex digits, or `sha512:` and 128.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Box<str>);

/// A repository with a tag, a digest, both or neither, as it stands in a manifest.
///
/// [`fmt::Display`] gives the text as it was written.
///
/// ```
/// use tagwright::image::ImageReference;
///
/// let image: ImageReference = "registry.test:5000/acme/web:1.4.2".parse().unwrap();
/// assert_eq!(image.repository().to_string(), "registry.test:5000/acme/web");
/// assert_eq!(image.tag().unwrap().as_str(), "1.4.2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageReference {
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// Why a text is no image address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// A scheme such as `https://` stands in front.
    #[error("image `{image}` should not include a URL scheme; remove `{scheme}://`")]
    Scheme {
        /// The text that was refused.
        image: String,
        /// The scheme found.
        scheme: String,
    },
    /// A tag or digest follows where only a repository may stand.
    #[error("image `{image}` should not include a tag; remove `{suffix}`")]
    Suffix {
        /// The text that was refused.
        image: String,
        /// The tag or digest found, with its separator.
        suffix: String,
    },
    /// The registry part is no `host` or `host:port`.
    #[error("`{0}` is not a registry host with an optional port")]
    Host(String),
    /// The repository part breaks the grammar.
    #[error("`{0}` is not a repository: 2 to 255 characters of a-z 0-9 _ - . /")]
    Path(String),
    /// The tag breaks the grammar.
    #[error("`{0}` is not a tag: 1 to 128 characters of A-Z a-z 0-9 _ . -")]
    Tag(String),
    /// The digest breaks the grammar.
    #[error("`{0}` is not a digest such as `sha256:` with 64 lower-case hex digits")]
    Digest(String),
}

impl Repository {
    /// The registry's host, with its port where one was written; Docker Hub is `index.docker.io`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path within the registry, `library/` included for Docker Hub's official images.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The one name of this place: host and path with every default made explicit.
    pub fn canonical(&self) -> String {
        format!("{}/{}", self.host, self.path)
    }

    /// The reference that names `tag` in this repository, written as the repository was written.
    #[must_use]
    pub fn with_tag(&self, tag: Tag) -> ImageReference {
        ImageReference {
            repository: self.clone(),
            tag: Some(tag),
            digest: None,
        }
    }

    fn parse_written(text: &str) -> Result<Self, ImageError> {
        let (host, path) = match text.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) => (first, rest),
            _ => (DOCKER_HUB, text),
        };
        let host = if host == "docker.io" {
            DOCKER_HUB
        } else {
            host
        };
        if !is_host(host) {
            return Err(ImageError::Host(shown(host)));
        }
        let in_path = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-./".contains(&byte)
        };
        if !(2..=255).contains(&path.len()) || !path.bytes().all(in_path) {
            return Err(ImageError::Path(shown(path)));
        }
        let official = host == DOCKER_HUB && !path.contains('/');
        let path = if official {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        Ok(Self {
            written: text.into(),
            host: host.into(),
            path: path.into(),
        })
    }
}

impl FromStr for Repository {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(ImageError::Scheme {
                image: shown(text),
                scheme: shown(scheme),
            });
        }
        let path_start = text.find('/').map_or(0, |slash| slash + 1);
        if let Some(at) = text[path_start..].find([':', '@']) {
            let suffix = shown(&text[path_start + at..]);
            return Err(ImageError::Suffix {
                image: shown(text),
                suffix,
            });
        }
        Self::parse_written(text)
    }
}

impl PartialEq for Repository {
    fn eq(&self, other: &Self) -> bool {
        self.host == other.host && self.path == other.path
    }
}

impl Eq for Repository {}

impl hash::Hash for Repository {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.host.hash(state);
        self.path.hash(state);
    }
}

impl PartialOrd for Repository {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Repository {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.host, &self.path).cmp(&(&other.host, &other.path))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

impl Tag {
    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is a tag by the grammar.
    pub(crate) fn is_one(text: &str) -> bool {
        let in_tag = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        (1..=128).contains(&text.len()) && text.bytes().all(in_tag)
    }

    /// The tag of a text that [is one](Self::is_one).
    pub(crate) fn known(text: &str) -> Self {
        debug_assert!(Self::is_one(text), "`{text}` is a tag");
        Self(text.into())
    }
}

impl FromStr for Tag {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        if Self::is_one(text) {
            Ok(Self(text.into()))
        } else {
            Err(ImageError::Tag(shown(text)))
        }
    }
}

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Digest {
    /// The digest's text, algorithm included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let length = match text.split_once(':') {
            Some(("sha256", _)) => 64,
            Some(("sha512", _)) => 128,
            _ => return Err(ImageError::Digest(shown(text))),
        };
        let hex = &text["sha256:".len()..];
        if hex.len() == length
            && hex
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            Ok(Self(text.into()))
        } else {
            Err(ImageError::Digest(shown(text)))
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl ImageReference {
    /// The repository, without tag and digest.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag, where one is written.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, where one is written.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same reference pinned to `digest`.
    #[must_use]
    pub fn with_digest(self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self
        }
    }
}

impl FromStr for ImageReference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(ImageError::Scheme {
                image: shown(text),
                scheme: shown(scheme),
            });
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match rest[name_start..].split_once(':') {
            Some((name, tag)) => (&rest[..name_start + name.len()], Some(tag.parse()?)),
            None => (rest, None),
        };
        Ok(Self {
            repository: Repository::parse_written(repository)?,
            tag,
            digest,
        })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

macro_rules! serialize_as_text {
    ($($text:ty),+) => {$(
        impl serde::Serialize for $text {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}

serialize_as_text!(Repository, Tag, Digest, ImageReference);

/// Whether `text` is `host`, `host:port` or `[ipv6]:port`, in lower or upper case ASCII.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, port)) if port.starts_with(':') => (address, Some(&port[1..])),
            _ => return false,
        },
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let bracketed = text.starts_with('[');
    let name_is_good = if bracketed {
        name.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        !name.is_empty() && name.len() <= 253 && name.bytes().all(in_host)
    };
    name_is_good && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Outside text fit for a message: control characters escaped, cut at 80 characters.
fn shown(text: &str) -> String {
    let escaped = text.escape_debug().collect::<String>();
    match escaped.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &escaped[..end]),
        None => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_repository(text: &str, canonical: Option<&str>) {
        let parsed = text
            .parse::<Repository>()
            .ok()
            .map(|repository| repository.canonical());
        assert_eq!(parsed.as_deref(), canonical, "{text}");
    }

    #[test]
    fn repositories_are_canonical_as_flux_makes_them() {
        check_repository("alpine", Some("index.docker.io/library/alpine"));
        check_repository(
            "docker.io/library/alpine",
            Some("index.docker.io/library/alpine"),
        );
        check_repository(
            "registry-1.docker.io/library/alpine",
            Some("registry-1.docker.io/library/alpine"),
        );
        check_repository("docker.io:443/foo/bar", Some("docker.io:443/foo/bar"));
        check_repository("localhost/foo", Some("index.docker.io/localhost/foo"));
        check_repository("example.com:9999/foo/bar", Some("example.com:9999/foo/bar"));
        check_repository("ghcr.io//foo", Some("ghcr.io//foo"));
        check_repository("ghcr.io/a--b..c", Some("ghcr.io/a--b..c"));
        check_repository("[::1]:5000/app", Some("[::1]:5000/app"));
        check_repository("https://example.com/foo/bar", None);
        check_repository("example.com/foo/bar:baz", None);
        check_repository("ghcr.io/x/y/foo:bar:zzz:qqq/aaa", None);
        check_repository("example.com/Foo", None);
        check_repository("example.com/f", None);
        check_repository("user@evil.test/foo", None);
        check_repository("example.com:0/foo", None);
        check_repository("", None);
    }

    fn check_reference(text: &str, parts: Option<(&str, Option<&str>, bool)>) {
        let parsed = text.parse::<ImageReference>().ok();
        let found = parsed.as_ref().map(|image| {
            (
                image.repository().to_string(),
                image.tag().map(Tag::to_string),
                image.digest().is_some(),
            )
        });
        let expected = parts.map(|(repository, tag, pinned)| {
            (repository.to_owned(), tag.map(str::to_owned), pinned)
        });
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn references_split_at_the_tag_and_the_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        check_reference("nginx", Some(("nginx", None, false)));
        check_reference("nginx:1.27", Some(("nginx", Some("1.27"), false)));
        check_reference("reg:5000/a/b:1", Some(("reg:5000/a/b", Some("1"), false)));
        check_reference(
            &format!("reg:5000/a/b:1@{digest}"),
            Some(("reg:5000/a/b", Some("1"), true)),
        );
        check_reference(
            &format!("reg.test/ab@{digest}"),
            Some(("reg.test/ab", None, true)),
        );
        check_reference("nginx:", None);
        check_reference("nginx:a b", None);
        check_reference("nginx@sha256:ABC", None);
        check_reference("https://nginx:1", None);
    }

    proptest! {
        #[test]
        fn printing_keeps_the_text_as_written(
            text in "([a-z]{2,8}\\.test(:[1-9][0-9]{0,3})?/)?[a-z][a-z0-9/._-]{1,20}(:[A-Za-z0-9_.-]{1,20})?",
        ) {
            if let Ok(image) = text.parse::<ImageReference>() {
                prop_assert_eq!(image.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = text.parse::<Repository>();
            let _ = text.parse::<ImageReference>();
            let _ = text.parse::<Digest>();
        }
    }
}
