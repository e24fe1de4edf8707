//! Sending commits to a server: compare-and-swap for each reference, and the report on it.

use std::collections::BTreeSet;

use gix::{ObjectId, hash::Kind as Hash};

use super::{
    PushOption, RemoteError,
    commit::Made,
    http::{AGENT, Server, Service, Session},
    pack::pack,
    packet::{self, Malformed},
    report::Report,
};

/// One reference on its way.
pub(super) struct Move<'a> {
    reference: &'a str,
    expected: Option<ObjectId>,
    made: &'a Made,
}

impl<'a> Move<'a> {
    /// From where the reference must be to the last commit.
    pub(super) fn new(reference: &'a str, expected: Option<ObjectId>, made: &'a Made) -> Self {
        Self {
            reference,
            expected,
            made,
        }
    }
}

/// The half of a server that takes.
pub(super) struct Receive<'a> {
    session: &'a Session<'a>,
    server: Server,
    hash: Hash,
}

impl<'a> Receive<'a> {
    /// Asks the server where its references point to and whether it can take what we have.
    pub(super) async fn open(session: &'a Session<'a>, hash: Hash) -> Result<Self, RemoteError> {
        let server = session.discover(Service::ReceivePack).await?;
        let offer = &server.advertisement;
        let unsupported = |reason: &str| {
            Err(RemoteError::Unsupported {
                remote: session.remote.clone(),
                reason: reason.to_owned(),
            })
        };
        if !offer.has("report-status") {
            return unsupported("it does not report whether a push succeeded");
        }
        if offer.hash() != Ok(hash) {
            return unsupported("it takes objects of another format than it gives");
        }
        Ok(Self {
            session,
            server,
            hash,
        })
    }

    /// Where a reference points to, by the server's own list.
    pub(super) fn tip(&self, reference: &str) -> Option<ObjectId> {
        self.server.advertisement.references.get(reference).copied()
    }

    /// Refuses options that the server would not hear of.
    pub(super) fn takes(&self, options: &[PushOption]) -> Result<(), RemoteError> {
        if options.is_empty() || self.server.advertisement.has("push-options") {
            return Ok(());
        }
        Err(RemoteError::Unsupported {
            remote: self.session.remote.clone(),
            reason: "it does not take push options".to_owned(),
        })
    }

    /// Asks the server to move references, all of them or none where it can promise that.
    ///
    /// The real old ids go along, so that the server checks them under its locks. What it reports on
    /// each is only believed after reading the reference back.
    pub(super) async fn push(
        &self,
        moves: &[Move<'_>],
        options: &[PushOption],
    ) -> Result<Vec<Report>, RemoteError> {
        let (session, offer) = (self.session, &self.server.advertisement);
        let mut capabilities = format!("\0 {}", self.capabilities(options).join(" "));
        let mut body = Vec::new();
        for only in moves {
            let old = only.expected.unwrap_or_else(|| self.hash.null());
            let (new, reference) = (only.made.tip, only.reference);
            let command = format!("{old} {new} {reference}{capabilities}");
            packet::put(&mut body, command.as_bytes());
            // They stand behind the first command alone.
            capabilities.clear();
        }
        packet::put_flush(&mut body);
        if !options.is_empty() {
            for option in options {
                packet::put(&mut body, option.as_str().as_bytes());
            }
            packet::put_flush(&mut body);
        }
        let mut known = BTreeSet::new();
        let objects = moves.iter().flat_map(|only| &only.made.objects);
        let objects: Vec<_> = objects.filter(|it| known.insert(it.id)).collect();
        let packed = pack(&objects, self.hash).map_err(|error| RemoteError::Store {
            remote: session.remote.clone(),
            attempt: "pack the new objects",
            source: std::io::Error::other(error),
        })?;
        body.extend_from_slice(&packed);
        let answer = session.post(&self.server, body).await?;
        let body = session.bytes(answer).await?;
        let reports = moves
            .iter()
            .map(|only| Report::parse(&body, offer.has("side-band-64k"), only.reference));
        let reports: Result<Vec<_>, _> = reports.collect();
        reports.map_err(|Malformed(detail)| session.malformed(Malformed(detail)))
    }

    /// Asks the server to remove `reference`, which ends in `expected`.
    pub(super) async fn remove(
        &self,
        reference: &str,
        expected: ObjectId,
    ) -> Result<Report, RemoteError> {
        let (session, offer) = (self.session, &self.server.advertisement);
        if !offer.has("delete-refs") {
            return Err(RemoteError::Unsupported {
                remote: session.remote.clone(),
                reason: "it does not let references be removed".to_owned(),
            });
        }
        let capabilities = self.capabilities(&[]).join(" ");
        let command = format!(
            "{expected} {} {reference}\0 {capabilities}",
            self.hash.null()
        );
        let mut body = Vec::new();
        packet::put(&mut body, command.as_bytes());
        packet::put_flush(&mut body);
        let answer = session.post(&self.server, body).await?;
        let body = session.bytes(answer).await?;
        Report::parse(&body, offer.has("side-band-64k"), reference)
            .map_err(|Malformed(detail)| session.malformed(Malformed(detail)))
    }

    fn capabilities(&self, options: &[PushOption]) -> Vec<String> {
        let offer = &self.server.advertisement;
        let wishes = [
            ("report-status", "report-status".to_owned()),
            ("side-band-64k", "side-band-64k".to_owned()),
            ("atomic", "atomic".to_owned()),
            ("object-format", format!("object-format={}", self.hash)),
            ("agent", AGENT.to_owned()),
        ];
        let offered = wishes.into_iter().filter(|(name, _)| offer.has(name));
        let mut capabilities: Vec<_> = offered.map(|(_, wish)| wish).collect();
        if !options.is_empty() {
            capabilities.push("push-options".to_owned());
        }
        capabilities
    }
}
