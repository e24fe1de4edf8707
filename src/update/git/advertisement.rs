//! What a server says first: its protocol version, its capabilities and, before version 2, its
//! references (gitprotocol-pack(5), gitprotocol-v2(5)).

use std::collections::BTreeMap;

use bstr::ByteSlice as _;
use gix::{ObjectId, hash::Kind as Hash};

use crate::egress::one_line;

use super::packet::{self, Malformed, Packet};

/// How many references a server may list.
const MAX_REFERENCES: usize = 200_000;
/// How long one reference name may be.
const MAX_NAME: usize = 1024;

/// What a server offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Advertisement {
    pub(super) version: Version,
    capabilities: Vec<String>,
    /// Where references point to, by full name; always empty in version 2, which is asked for them.
    pub(super) references: BTreeMap<String, ObjectId>,
}

/// How a server speaks; version 1 is version 0 with an announcement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Version {
    #[default]
    Zero,
    Two,
}

impl Advertisement {
    /// Reads the answer to `info/refs?service=…`.
    pub(super) fn parse(body: &[u8], service: &str) -> Result<Self, Malformed> {
        let mut packets = packet::all(body)?.into_iter().peekable();
        let announced = format!("# service={service}");
        if packets.peek().and_then(line) == Some(announced.as_bytes()) {
            packets.next();
            if packets.next() != Some(Packet::Flush) {
                return Err(Malformed("no flush follows the service's name".to_owned()));
            }
        }
        match packets.peek().and_then(line) {
            Some(b"version 2") => Self::version_two(packets.skip(1)),
            Some(b"version 1") => Self::version_zero(packets.skip(1)),
            _ => Self::version_zero(packets),
        }
    }

    fn version_two(packets: impl Iterator<Item = Packet>) -> Result<Self, Malformed> {
        let mut capabilities = Vec::new();
        for packet in packets {
            match packet {
                Packet::Data(data) => capabilities.push(printable(packet::chomp(&data))?),
                Packet::Flush => {
                    return Ok(Self {
                        version: Version::Two,
                        capabilities,
                        references: BTreeMap::new(),
                    });
                }
                Packet::Delimiter | Packet::ResponseEnd => break,
            }
        }
        Err(Malformed("the list of capabilities has no end".to_owned()))
    }

    fn version_zero(packets: impl Iterator<Item = Packet>) -> Result<Self, Malformed> {
        let mut advertisement = Self::default();
        for (index, packet) in packets.enumerate() {
            let data = match packet {
                Packet::Data(data) => data,
                Packet::Flush if index > 0 => return Ok(advertisement),
                // A server without references and without capabilities has nothing but the end.
                Packet::Flush => return Ok(advertisement),
                Packet::Delimiter | Packet::ResponseEnd => break,
            };
            if let Some(words) = packet::complaint(&data) {
                return Err(Malformed(format!("the server says: {}", one_line(words))));
            }
            if index >= MAX_REFERENCES {
                return Err(Malformed("more than 200,000 references".to_owned()));
            }
            let mut parts = packet::chomp(&data).splitn(2, |byte| *byte == 0);
            let reference = parts.next().unwrap_or_default();
            if let (0, Some(capabilities)) = (index, parts.next()) {
                advertisement.capabilities = printable(capabilities)?
                    .split_ascii_whitespace()
                    .map(str::to_owned)
                    .collect();
            }
            if !reference.starts_with(b"shallow ") {
                let (name, id) = parse_reference(reference)?;
                advertisement.add(name, id)?;
            }
        }
        Err(Malformed("the list of references has no end".to_owned()))
    }

    /// Keeps a reference; names that Git would not accept cannot be equal to any that we ask for.
    fn add(&mut self, name: &[u8], id: ObjectId) -> Result<(), Malformed> {
        if name.len() > MAX_NAME {
            return Err(Malformed(
                "a reference name is longer than 1 KiB".to_owned(),
            ));
        }
        if let Ok(name) = name.to_str()
            && name.starts_with("refs/")
            && self.references.insert(name.to_owned(), id).is_some()
        {
            return Err(Malformed("a reference is listed twice".to_owned()));
        }
        Ok(())
    }

    /// Whether the server has `capability`, with whatever value.
    pub(super) fn has(&self, capability: &str) -> bool {
        self.values(capability).next().is_some()
    }

    /// Whether the value of `capability` lists `feature`, as in `fetch=shallow filter`.
    pub(super) fn lists(&self, capability: &str, feature: &str) -> bool {
        self.values(capability)
            .any(|value| value.split_ascii_whitespace().any(|it| it == feature))
    }

    fn values(&self, capability: &str) -> impl Iterator<Item = &str> {
        self.capabilities.iter().filter_map(move |offered| {
            let rest = offered.strip_prefix(capability)?;
            if rest.is_empty() {
                Some(rest)
            } else {
                rest.strip_prefix('=')
            }
        })
    }

    /// The hash of the repository's objects; SHA-1 where the server says nothing.
    pub(super) fn hash(&self) -> Result<Hash, Malformed> {
        match self.values("object-format").next() {
            None | Some("sha1") => Ok(Hash::Sha1),
            Some("sha256") => Ok(Hash::Sha256),
            Some(other) => Err(Malformed(format!("`{other}` is no object format we know"))),
        }
    }
}

/// Reads the answer to `ls-refs`; what a tag leads to stands under its name and `^{}`, as in version 0.
pub(super) fn parse_listing(body: &[u8]) -> Result<BTreeMap<String, ObjectId>, Malformed> {
    let mut listing = Advertisement::default();
    for (index, packet) in packet::all(body)?.into_iter().enumerate() {
        let data = match packet {
            Packet::Data(data) => data,
            Packet::Flush => return Ok(listing.references),
            Packet::Delimiter | Packet::ResponseEnd => break,
        };
        if let Some(words) = packet::complaint(&data) {
            return Err(Malformed(format!("the server says: {}", one_line(words))));
        }
        if index >= MAX_REFERENCES {
            return Err(Malformed("more than 200,000 references".to_owned()));
        }
        if !data.starts_with(b"unborn ") {
            let line = packet::chomp(&data);
            let (name, id) = parse_reference(line)?;
            listing.add(name, id)?;
            let attributes = line.splitn(3, |byte| *byte == b' ').nth(2);
            let mut attributes = attributes.unwrap_or_default().split_str(" ");
            if let Some(id) = attributes.find_map(|it| it.strip_prefix(b"peeled:")) {
                let (name, id) = parse_reference(&[id, b" ", name, b"^{}"].concat())
                    .map(|(name, id)| (name.to_vec(), id))?;
                listing.add(&name, id)?;
            }
        }
    }
    Err(Malformed("the list of references has no end".to_owned()))
}

/// Reads `id SP name`, and ignores attributes after the name.
fn parse_reference(line: &[u8]) -> Result<(&[u8], ObjectId), Malformed> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let id = words.next().and_then(|id| ObjectId::from_hex(id).ok());
    match (id, words.next()) {
        (Some(id), Some(name)) if !name.is_empty() => Ok((name, id)),
        _ => Err(Malformed(format!("`{}` is no reference", one_line(line)))),
    }
}

fn line(packet: &Packet) -> Option<&[u8]> {
    match packet {
        Packet::Data(data) => Some(packet::chomp(data)),
        Packet::Flush | Packet::Delimiter | Packet::ResponseEnd => None,
    }
}

fn printable(bytes: &[u8]) -> Result<String, Malformed> {
    let text = bytes.to_str().ok();
    text.filter(|text| !text.contains(char::is_control))
        .map(str::to_owned)
        .ok_or_else(|| Malformed("a capability is not printable".to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    const ID: &str = "0123456789012345678901234567890123456789";

    fn body(lines: &[&str]) -> Vec<u8> {
        let mut body = Vec::new();
        for line in lines {
            match *line {
                "0000" => packet::put_flush(&mut body),
                line => packet::put(&mut body, line.as_bytes()),
            }
        }
        body
    }

    fn parse(lines: &[&str]) -> Result<Advertisement, Malformed> {
        Advertisement::parse(&body(lines), "git-upload-pack")
    }

    #[test]
    fn both_versions_are_told_apart() {
        let two = parse(&[
            "# service=git-upload-pack\n",
            "0000",
            "version 2\n",
            "fetch=shallow filter\n",
            "object-format=sha256\n",
            "0000",
        ])
        .expect("version 2");
        assert_eq!(two.version, Version::Two);
        assert!(two.lists("fetch", "shallow") && !two.lists("fetch", "sideband-all"));
        assert_eq!(two.hash(), Ok(Hash::Sha256));

        let head = format!("{ID} HEAD\0side-band-64k shallow object-format=sha1\n");
        let main = format!("{ID} refs/heads/main\n");
        let tag = format!("{ID} refs/tags/v1\n");
        for announcement in [
            &["# service=git-upload-pack\n", "0000"][..],
            &["version 1\n"],
        ] {
            let lines = [announcement, &[&head, &main, &tag, "0000"]].concat();
            let zero = parse(&lines).expect("version 0");
            assert_eq!(zero.version, Version::Zero);
            assert!(zero.has("shallow") && !zero.has("side-band"));
            let names: Vec<_> = zero.references.keys().collect();
            assert_eq!(names, ["refs/heads/main", "refs/tags/v1"]);
        }
    }

    #[test]
    fn an_empty_repository_still_has_capabilities() {
        let zeros = "0".repeat(40);
        let empty = parse(&[
            &format!("{zeros} capabilities^{{}}\0report-status\n"),
            "0000",
        ]);
        let empty = empty.expect("an empty repository");
        assert!(empty.references.is_empty() && empty.has("report-status"));
        assert_eq!(parse(&["0000"]), Ok(Advertisement::default()));
    }

    #[test]
    fn broken_advertisements_are_refused() {
        let check = |lines: &[&str]| {
            assert!(parse(lines).is_err(), "{lines:?}");
        };
        check(&[]);
        check(&["# service=git-upload-pack\n", "version 2\n", "0000"]);
        check(&["version 2\n", "ls-refs\n"]);
        check(&["version 2\n", "ls-refs\x1b[31m\n", "0000"]);
        check(&[&format!("{ID} refs/heads/main\n")]);
        check(&["refs/heads/main\n", "0000"]);
        check(&[&format!("{ID}\n"), "0000"]);
        check(&["ERR access denied\x1b[0m\n", "0000"]);
        check(&[&format!("{ID} refs/heads/{}\n", "a".repeat(1024)), "0000"]);
        let twice = format!("{ID} refs/heads/main\n");
        check(&[&twice, &twice, "0000"]);
    }

    #[test]
    fn a_complaint_is_repeated_without_escapes() {
        let Err(Malformed(text)) = parse(&["ERR no\x1b[31m\rway\n", "0000"]) else {
            panic!("a complaint is no advertisement");
        };
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.contains("no") && text.contains("way"));
    }

    #[test]
    fn listings_hold_branches_and_an_end() {
        let main = format!("{ID} refs/heads/main symref-target:x\n");
        let listing = parse_listing(&body(&[&main, "unborn HEAD\n", "0000"])).expect("a listing");
        assert_eq!(listing.len(), 1);
        let tag = format!("{ID} refs/tags/v1 peeled:{}\n", "7".repeat(40));
        let listing = parse_listing(&body(&[&tag, "0000"])).expect("a listing");
        let names: Vec<_> = listing.keys().collect();
        assert_eq!(names, ["refs/tags/v1", "refs/tags/v1^{}"]);
        let bad = format!("{ID} refs/tags/v1 peeled:x\n");
        assert!(parse_listing(&body(&[&bad, "0000"])).is_err());
        assert!(parse_listing(&body(&[&main])).is_err());
        assert!(parse_listing(&body(&["0000"])).is_ok_and(|listing| listing.is_empty()));
    }

    proptest! {
        #[test]
        fn no_lines_make_the_reader_panic(
            lines in collection::vec(collection::vec(any::<u8>(), 1..80), 0..6),
        ) {
            let mut body = Vec::new();
            for line in &lines {
                packet::put(&mut body, line);
            }
            packet::put_flush(&mut body);
            let _ = Advertisement::parse(&body, "git-upload-pack");
            let _ = parse_listing(&body);
        }
    }
}
