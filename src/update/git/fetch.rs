//! Asking where branches point to, and fetching commits without their history.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool},
};

use bytes::Bytes;
use gix::{ObjectId, hash::Kind as Hash};
use tokio::{sync::mpsc, task};

use crate::egress::one_line;

use super::{
    RemoteError,
    advertisement::{Version, parse_listing},
    http::{AGENT, Packets, Server, Service, Session},
    packet::{self, Band, Malformed, Packet},
    store::{Feed, Store},
    work::joined,
};

/// How large a pack may be.
const MAX_PACK: usize = 1024 * 1024 * 1024;
/// How many commits the history goes back.
pub(super) const HISTORY: usize = 50;
/// How many objects a pack may hold.
const MAX_OBJECTS: u32 = 1_500_000;

/// The half of a server that gives.
pub(super) struct Upload<'a> {
    session: &'a Session<'a>,
    server: Server,
    pub(super) hash: Hash,
}

/// What is to be fetched, and what is here already.
pub(super) struct Wish {
    pub(super) wants: Vec<ObjectId>,
    /// Commits of which everything is here.
    pub(super) haves: Vec<ObjectId>,
    /// Commits whose parents are not here.
    pub(super) shallow: Vec<ObjectId>,
    pub(super) extent: Extent,
}

impl Wish {
    /// A wish of somebody who has nothing, or does not say.
    pub(super) fn anew(wants: BTreeSet<ObjectId>, extent: Extent) -> Self {
        Self {
            wants: wants.into_iter().collect(),
            haves: Vec::new(),
            shallow: Vec::new(),
            extent,
        }
    }
}

/// How much comes with what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// Commits with all of their files, and without their history.
    Commits,
    /// Commits alone.
    BareCommits,
    /// Commits with all of their files, and their history as far as we look.
    History,
    /// The same, commits alone.
    BareHistory,
    /// The objects alone (`tree:0`).
    Bare,
    /// Trees with all trees below them (`blob:none`).
    Trees,
    /// Everything below.
    All,
}

impl Extent {
    fn filter(self) -> Option<&'static [u8]> {
        match self {
            Self::Commits | Self::History | Self::All => None,
            Self::BareCommits | Self::BareHistory | Self::Bare => Some(b"filter tree:0\n"),
            Self::Trees => Some(b"filter blob:none\n"),
        }
    }

    /// How many commits of a branch are wanted; nothing where no commits are.
    fn depth(self) -> Option<usize> {
        match self {
            Self::Commits | Self::BareCommits => Some(1),
            Self::History | Self::BareHistory => Some(HISTORY),
            Self::Bare | Self::Trees | Self::All => None,
        }
    }
}

impl<'a> Upload<'a> {
    pub(super) async fn open(session: &'a Session<'a>) -> Result<Self, RemoteError> {
        let server = session.discover(Service::UploadPack).await?;
        let hash = server.advertisement.hash();
        let hash = hash.map_err(|Malformed(reason)| RemoteError::Unsupported {
            remote: session.remote.clone(),
            reason,
        })?;
        Ok(Self {
            session,
            server,
            hash,
        })
    }

    /// Whether single objects can be asked for, and left out.
    pub(super) fn is_partial(&self) -> bool {
        let advertisement = &self.server.advertisement;
        advertisement.version == Version::Two
            && ["shallow", "filter"]
                .iter()
                .all(|feature| advertisement.lists("fetch", feature))
    }

    /// Where the references whose full names begin with one of `prefixes` point to.
    pub(super) async fn references(
        &self,
        prefixes: &[String],
    ) -> Result<BTreeMap<String, ObjectId>, RemoteError> {
        let advertisement = &self.server.advertisement;
        let mut references = match advertisement.version {
            Version::Zero => advertisement.references.clone(),
            Version::Two => {
                let mut body = self.command("ls-refs");
                packet::put_delimiter(&mut body);
                packet::put(&mut body, b"peel\n");
                for prefix in prefixes {
                    packet::put(&mut body, format!("ref-prefix {prefix}\n").as_bytes());
                }
                packet::put_flush(&mut body);
                let answer = self.session.post(&self.server, body).await?;
                let listing = parse_listing(&self.session.bytes(answer).await?);
                listing.map_err(|it| self.session.malformed(it))?
            }
        };
        // A prefix is only a wish: servers may answer with more.
        references.retain(|name, _| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        if references.values().any(|id| id.kind() != self.hash) {
            let detail = "an id has another length than its object format says".to_owned();
            return Err(self.session.malformed(Malformed(detail)));
        }
        Ok(references)
    }

    /// Fetches those of some commits and tags that are not here, with as little of what they lead to as
    /// the server can leave out.
    pub(super) async fn fetch_bare(
        &self,
        ids: BTreeSet<ObjectId>,
        store: &Store,
        cancelled: &Arc<AtomicBool>,
    ) -> Result<(), RemoteError> {
        let opened = store.clone();
        let looking = task::spawn_blocking(move || {
            let objects = opened.open()?;
            let missing = ids.into_iter().filter(|id| !objects.contains(id));
            Ok(missing.collect::<BTreeSet<_>>())
        });
        let missing = joined(looking.await, &self.session.remote)?;
        if missing.is_empty() {
            return Ok(());
        }
        let extent = if self.is_partial() {
            Extent::BareCommits
        } else {
            Extent::Commits
        };
        self.fetch(&Wish::anew(missing, extent), store, cancelled)
            .await
    }

    /// Fetches commits into the store.
    pub(super) async fn fetch(
        &self,
        wish: &Wish,
        store: &Store,
        cancelled: &Arc<AtomicBool>,
    ) -> Result<(), RemoteError> {
        let body = match self.server.advertisement.version {
            Version::Two => self.request_two(wish),
            Version::Zero => self.request_zero(wish),
        };
        let answer = self.session.post(&self.server, body).await?;
        let mut packets = Packets::new(self.session, answer);
        let framing = self.skip_to_pack(&mut packets).await?;
        let (sender, receiver) = mpsc::channel(16);
        let writer = task::spawn_blocking({
            let (store, cancelled) = (store.clone(), Arc::clone(cancelled));
            move || store.write_pack(Feed::new(receiver), &cancelled)
        });
        // Whatever ends the feed also drops its sender, and with that ends the writer.
        let fed = self.feed(&mut packets, framing, sender).await;
        let written = joined(writer.await, &self.session.remote);
        fed.and(written)
    }

    fn command(&self, name: &str) -> Vec<u8> {
        let mut body = Vec::new();
        packet::put(&mut body, format!("command={name}\n").as_bytes());
        packet::put(&mut body, format!("{AGENT}\n").as_bytes());
        if self.server.advertisement.has("object-format") {
            let line = format!("object-format={}\n", self.hash);
            packet::put(&mut body, line.as_bytes());
        }
        body
    }

    fn request_two(&self, wish: &Wish) -> Vec<u8> {
        let mut body = self.command("fetch");
        packet::put_delimiter(&mut body);
        packet::put(&mut body, b"ofs-delta\n");
        packet::put(&mut body, b"no-progress\n");
        for want in &wish.wants {
            packet::put(&mut body, format!("want {want}\n").as_bytes());
        }
        if self.server.advertisement.lists("fetch", "shallow") {
            put_shallow(&mut body, wish);
        }
        if let Some(filter) = wish.extent.filter() {
            packet::put(&mut body, filter);
        }
        for have in &wish.haves {
            packet::put(&mut body, format!("have {have}\n").as_bytes());
        }
        packet::put(&mut body, b"done\n");
        packet::put_flush(&mut body);
        body
    }

    fn request_zero(&self, wish: &Wish) -> Vec<u8> {
        let offered = |capability: &&str| self.server.advertisement.has(capability);
        let mut capabilities: Vec<&str> = ["side-band-64k", "ofs-delta", "no-progress", "shallow"]
            .into_iter()
            .filter(offered)
            .collect();
        let format = format!("object-format={}", self.hash);
        capabilities.extend(offered(&"object-format").then_some(format.as_str()));
        capabilities.extend(offered(&"agent").then_some(AGENT));
        let mut body = Vec::new();
        for (index, want) in wish.wants.iter().enumerate() {
            let line = match index {
                0 => format!("want {want} {}\n", capabilities.join(" ")),
                _ => format!("want {want}\n"),
            };
            packet::put(&mut body, line.as_bytes());
        }
        if offered(&"shallow") {
            put_shallow(&mut body, wish);
        }
        packet::put_flush(&mut body);
        // One alone, the newest: of several, a server acknowledges as many as it likes before the pack.
        if let Some(have) = wish.haves.last() {
            packet::put(&mut body, format!("have {have}\n").as_bytes());
        }
        packet::put(&mut body, b"done\n");
        body
    }

    /// Reads what comes before the pack, and tells how the pack is framed.
    async fn skip_to_pack(&self, packets: &mut Packets<'_>) -> Result<Framing, RemoteError> {
        let advertisement = &self.server.advertisement;
        while let Some(packet) = packets.next().await? {
            let Packet::Data(data) = packet else {
                continue;
            };
            let line = packet::chomp(&data);
            if let Some(words) = packet::complaint(line) {
                return Err(self.gave_up(words));
            }
            match advertisement.version {
                Version::Two if line == b"packfile" => return Ok(Framing::SideBand),
                Version::Zero if line == b"NAK" || line.starts_with(b"ACK ") => {
                    return Ok(if advertisement.has("side-band-64k") {
                        Framing::SideBand
                    } else {
                        Framing::Raw
                    });
                }
                // Boundaries and acknowledgements; what is here is told from the objects.
                Version::Zero | Version::Two => {}
            }
        }
        let detail = "its answer holds no pack".to_owned();
        Err(self.session.malformed(Malformed(detail)))
    }

    async fn feed(
        &self,
        packets: &mut Packets<'_>,
        framing: Framing,
        sender: mpsc::Sender<Bytes>,
    ) -> Result<(), RemoteError> {
        let mut meter = Meter::default();
        loop {
            let bytes = match framing {
                Framing::Raw => match packets.raw().await? {
                    Some(bytes) => bytes,
                    None => return Ok(()),
                },
                Framing::SideBand => match packets.next().await? {
                    Some(Packet::Data(data)) => {
                        match packet::band(data).map_err(|it| self.session.malformed(it))? {
                            Band::Data(bytes) => bytes,
                            Band::Remark(_) => continue,
                            Band::Fatal(words) => return Err(self.gave_up(&words)),
                        }
                    }
                    Some(_) => return Ok(()),
                    None => {
                        let detail = "its pack ends too early".to_owned();
                        return Err(self.session.malformed(Malformed(detail)));
                    }
                },
            };
            meter.count(&bytes).map_err(|limit| RemoteError::Limit {
                remote: self.session.remote.clone(),
                limit,
            })?;
            if !bytes.is_empty() && sender.send(bytes).await.is_err() {
                // The writer has given up, and knows better than we why.
                return Ok(());
            }
        }
    }

    fn gave_up(&self, words: &[u8]) -> RemoteError {
        RemoteError::Unavailable {
            remote: self.session.remote.clone(),
            reason: one_line(words),
        }
    }
}

#[derive(Clone, Copy)]
enum Framing {
    SideBand,
    Raw,
}

fn put_shallow(body: &mut Vec<u8>, wish: &Wish) {
    let Some(depth) = wish.extent.depth() else {
        return;
    };
    for id in &wish.shallow {
        packet::put(body, format!("shallow {id}\n").as_bytes());
    }
    packet::put(body, format!("deepen {depth}\n").as_bytes());
}

/// Counts what a pack says and sends against our limits.
#[derive(Default)]
struct Meter {
    received: usize,
    header: Vec<u8>,
}

impl Meter {
    fn count(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.received += bytes.len();
        if self.received > MAX_PACK {
            return Err("a pack larger than 1 GiB");
        }
        let missing = 12_usize.saturating_sub(self.header.len());
        self.header.extend(bytes.iter().take(missing));
        // `PACK`, a version and the number of objects, each of four bytes.
        match self
            .header
            .last_chunk()
            .map(|count| u32::from_be_bytes(*count))
        {
            Some(count) if self.header.len() == 12 && count > MAX_OBJECTS => {
                Err("a pack of more than 1,500,000 objects")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_that_announces_too_many_objects_is_refused_at_its_header() {
        let check = |count: u32, accepted: bool| {
            let mut meter = Meter::default();
            let header = [b"PACK\0\0\0\x02".as_slice(), &count.to_be_bytes()].concat();
            let (first, second) = header.split_at(5);
            assert_eq!(meter.count(first), Ok(()));
            assert_eq!(meter.count(second).is_ok(), accepted, "{count}");
        };
        check(0, true);
        check(MAX_OBJECTS, true);
        check(MAX_OBJECTS + 1, false);
        check(u32::MAX, false);
    }

    #[test]
    fn a_pack_may_be_one_gibibyte() {
        let mut meter = Meter {
            received: MAX_PACK - 1,
            header: vec![0; 12],
        };
        assert_eq!(meter.count(b"x"), Ok(()));
        assert!(meter.count(b"x").is_err());
    }
}
