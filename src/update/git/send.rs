//! Sending a commit to a server: one reference at a time, compare-and-swap, and the report on it.

use gix::{ObjectId, hash::Kind as Hash};

use super::{
    PushOption, RemoteError,
    commit::Made,
    http::{AGENT, Server, Service, Session},
    pack::pack,
    packet::{self, Malformed},
    report::Report,
};

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
        if !session.source.push.options.is_empty() && !offer.has("push-options") {
            return unsupported("it does not take push options");
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

    /// Asks the server to move `reference` from `expected` to the commit.
    ///
    /// The real old id goes along, so that the server checks it under its lock. What it reports is
    /// only believed after reading the reference back.
    pub(super) async fn push(
        &self,
        reference: &str,
        expected: Option<ObjectId>,
        made: &Made,
    ) -> Result<Report, RemoteError> {
        let (session, offer) = (self.session, &self.server.advertisement);
        let options = &session.source.push.options;
        let capabilities = self.capabilities(options).join(" ");
        let old = expected.unwrap_or_else(|| self.hash.null());
        let command = format!("{old} {} {reference}\0 {capabilities}", made.commit);
        let mut body = Vec::new();
        packet::put(&mut body, command.as_bytes());
        packet::put_flush(&mut body);
        if !options.is_empty() {
            for option in options {
                packet::put(&mut body, option.as_str().as_bytes());
            }
            packet::put_flush(&mut body);
        }
        let packed = pack(&made.objects, self.hash).map_err(|error| RemoteError::Store {
            remote: session.remote.clone(),
            attempt: "pack the new objects",
            source: std::io::Error::other(error),
        })?;
        body.extend_from_slice(&packed);
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
