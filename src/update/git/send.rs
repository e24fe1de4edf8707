//! Sending a commit to a server: one reference, compare-and-swap, and the report on it.

use gix::{ObjectId, hash::Kind as Hash};

use super::{
    RemoteError,
    commit::Made,
    http::{AGENT, Service, Session},
    pack::pack,
    packet::{self, Malformed},
    report::Report,
};

/// What became of a push.
pub(super) enum Sent {
    /// The branch was at our commit before we did anything.
    Already,
    /// The server answered; what it says is only believed after reading the branch back.
    Reported(Report),
}

/// Asks the server to move the push branch from `expected` to the commit.
///
/// Nothing is sent unless the server's own list says that the branch is where we expect it; the
/// real old id goes along, so that the server checks it again under its lock.
pub(super) async fn send(
    session: &Session<'_>,
    expected: Option<ObjectId>,
    made: &Made,
    hash: Hash,
) -> Result<Sent, RemoteError> {
    let server = session.discover(Service::ReceivePack).await?;
    let offer = &server.advertisement;
    let branch = &session.source.push_branch;
    let reference = branch.reference();
    let current = offer.branches.get(&reference).copied();
    if current == Some(made.commit) {
        return Ok(Sent::Already);
    }
    if current != expected {
        return Err(RemoteError::Moved {
            remote: session.remote.clone(),
            branch: branch.to_string(),
        });
    }
    let unsupported = |reason: &str| RemoteError::Unsupported {
        remote: session.remote.clone(),
        reason: reason.to_owned(),
    };
    if !offer.has("report-status") {
        return Err(unsupported("it does not report whether a push succeeded"));
    }
    if offer.hash() != Ok(hash) {
        return Err(unsupported(
            "it takes objects of another format than it gives",
        ));
    }
    let format = format!("object-format={hash}");
    let wishes = [
        "report-status",
        "side-band-64k",
        "atomic",
        "object-format",
        "agent",
    ];
    let capabilities: Vec<&str> = wishes
        .into_iter()
        .filter(|wish| offer.has(wish))
        .map(|wish| match wish {
            "object-format" => format.as_str(),
            "agent" => AGENT,
            wish => wish,
        })
        .collect();
    let old = expected.unwrap_or_else(|| hash.null());
    let command = format!(
        "{old} {} {reference}\0 {}",
        made.commit,
        capabilities.join(" ")
    );
    let mut body = Vec::new();
    packet::put(&mut body, command.as_bytes());
    packet::put_flush(&mut body);
    let packed = pack(&made.objects, hash).map_err(|error| RemoteError::Store {
        remote: session.remote.clone(),
        attempt: "pack the new objects",
        source: std::io::Error::other(error),
    })?;
    body.extend_from_slice(&packed);
    let answer = session.post(&server, body).await?;
    let body = session.bytes(answer).await?;
    Report::parse(&body, offer.has("side-band-64k"), &reference)
        .map(Sent::Reported)
        .map_err(|Malformed(detail)| session.malformed(Malformed(detail)))
}
