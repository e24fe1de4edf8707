//! Git over SSH: which program is started, and where one answer of it ends (gitprotocol-pack(5)).
//!
//! One connection serves a whole read or push. In protocol version 2 one program answers all
//! questions, each answer ending in a flush; before that, a program answers once and is started
//! again for the next question.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use url::Url;

use crate::{
    egress::{
        EgressError, one_line,
        ssh::{Connection, Program, SshError},
    },
    secret::Authority,
};

use super::{
    RemoteError,
    advertisement::{Advertisement, Version},
    http::{MAX_ANSWER, Service, Session},
    login::Login,
    packet::{self, Malformed},
};

/// A program on the other side that has introduced itself.
pub(super) struct Shell {
    service: Service,
    version: Version,
    /// Nothing while it answers, and after it has ended.
    program: Arc<Mutex<Option<Program>>>,
}

/// Logs in.
pub(super) async fn connect(session: &Session<'_>) -> Result<Connection, RemoteError> {
    let source = session.source;
    let Login::Ssh(login) = &source.login else {
        return Err(RemoteError::Unsupported {
            remote: session.remote.clone(),
            reason: "ssh needs a private key and `known_hosts`, and there are none".to_owned(),
        });
    };
    let to = Authority::of(&source.url).ok_or_else(|| RemoteError::Unsupported {
        remote: session.remote.clone(),
        reason: "its address names no host".to_owned(),
    })?;
    let opened = Connection::open(&source.route, login, &to, session.deadline).await;
    opened.map_err(|error| failed(session, error))
}

/// Starts a program and reads what it says first.
pub(super) async fn discover(
    session: &Session<'_>,
    service: Service,
) -> Result<(Shell, Advertisement), RemoteError> {
    let (program, advertisement) = start(session, service).await?;
    let shell = Shell {
        service,
        version: advertisement.version,
        program: Arc::new(Mutex::new(Some(program))),
    };
    Ok((shell, advertisement))
}

async fn start(
    session: &Session<'_>,
    service: Service,
) -> Result<(Program, Advertisement), RemoteError> {
    let failed = |error| failed(session, error);
    let command = command(service, &session.source.url);
    let command = command.map_err(|reason| RemoteError::Unsupported {
        remote: session.remote.clone(),
        reason: reason.to_owned(),
    })?;
    let environment: &[_] = match service {
        Service::UploadPack => &[("GIT_PROTOCOL", "version=2")],
        Service::ReceivePack => &[],
    };
    let connection = session.connection().await?;
    let mut program = connection
        .start(&command, environment)
        .await
        .map_err(failed)?;
    let (mut said, mut frames) = (Vec::new(), Frames::default());
    loop {
        let Some(bytes) = program.chunk().await.map_err(failed)? else {
            // What is the matter is told to a person only; a missing right is the usual one.
            return Err(RemoteError::Denied {
                remote: session.remote.clone(),
                reason: match program.complaint() {
                    words if words.is_empty() => "it says nothing and hangs up".to_owned(),
                    words => words,
                },
            });
        };
        said.extend_from_slice(&bytes);
        if said.len() > MAX_ANSWER {
            return Err(session.unreachable(EgressError::TooLarge {
                url: session.remote.clone(),
                limit: MAX_ANSWER,
            }));
        }
        if frames
            .end(&bytes)
            .map_err(|it| session.malformed(it))?
            .is_some()
        {
            break;
        }
        // A server that gives up says so in one line, and sends no end.
        if let Some(words) = said.get(4..).and_then(packet::complaint) {
            return Err(RemoteError::Denied {
                remote: session.remote.clone(),
                reason: one_line(words),
            });
        }
    }
    let advertisement = Advertisement::parse(&said, service.name());
    Ok((program, advertisement.map_err(|it| session.malformed(it))?))
}

impl Shell {
    /// Sends a request and gives the answer.
    pub(super) async fn post(
        &self,
        session: &Session<'_>,
        body: Vec<u8>,
    ) -> Result<Reply, RemoteError> {
        let kept = self.keep(None);
        let mut program = match kept {
            Some(program) => program,
            None => start(session, self.service).await?.0,
        };
        program
            .write(body)
            .await
            .map_err(|error| failed(session, error))?;
        let frames = match self.version {
            Version::Two => Some(Frames::default()),
            Version::Zero => None,
        };
        Ok(Reply {
            program: Some(program),
            home: Arc::clone(&self.program),
            frames,
            is_silent: true,
        })
    }

    fn keep(&self, program: Option<Program>) -> Option<Program> {
        exchange(&self.program, program)
    }
}

fn exchange(place: &Mutex<Option<Program>>, program: Option<Program>) -> Option<Program> {
    // Whatever stands there is whole, even after a panic.
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut place, program)
}

/// One answer of a program.
pub(super) struct Reply {
    program: Option<Program>,
    /// Where the program goes once the answer is read.
    home: Arc<Mutex<Option<Program>>>,
    /// Finds the end of the answer; nothing where it is that of the program.
    frames: Option<Frames>,
    is_silent: bool,
}

impl Reply {
    pub(super) async fn chunk(
        &mut self,
        session: &Session<'_>,
    ) -> Result<Option<Bytes>, RemoteError> {
        let Some(program) = &mut self.program else {
            return Ok(None);
        };
        let Some(mut bytes) = program
            .chunk()
            .await
            .map_err(|error| failed(session, error))?
        else {
            let words = program.complaint();
            self.program = None;
            if self.is_silent && !words.is_empty() {
                return Err(RemoteError::Unavailable {
                    remote: session.remote.clone(),
                    reason: words,
                });
            }
            return Ok(None);
        };
        self.is_silent = false;
        if let Some(frames) = &mut self.frames {
            let end = frames.end(&bytes).map_err(|it| session.malformed(it))?;
            if let Some(end) = end {
                // A program that goes on talking is not asked again.
                let program = self.program.take().filter(|_| end == bytes.len());
                exchange(&self.home, program);
                bytes.truncate(end);
            }
        }
        Ok(Some(bytes))
    }
}

/// Finds the flush in a stream of packet lines.
#[derive(Default)]
struct Frames {
    header: Vec<u8>,
    left: usize,
}

impl Frames {
    /// How many of these bytes come before the end of the flush, where it is among them.
    fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.left > 0 {
                let taken = self.left.min(rest.len());
                self.left -= taken;
                at += taken;
                continue;
            }
            self.header.push(rest[0]);
            at += 1;
            if self.header.len() < 4 {
                continue;
            }
            let digits = std::mem::take(&mut self.header);
            let length = std::str::from_utf8(&digits).ok();
            let length = length.and_then(|digits| usize::from_str_radix(digits, 16).ok());
            match length {
                Some(0) => return Ok(Some(at)),
                Some(1 | 2) => {}
                Some(length) if length >= 4 => self.left = length - 4,
                _ => {
                    let detail = format!("`{}` is no packet line", one_line(&digits));
                    return Err(Malformed(detail));
                }
            }
        }
        Ok(None)
    }
}

fn failed(session: &Session<'_>, source: SshError) -> RemoteError {
    let remote = session.remote.clone();
    match source {
        SshError::Timeout(_) => RemoteError::Timeout { remote },
        source => RemoteError::Ssh {
            remote,
            source: Box::new(source),
        },
    }
}

/// The command line for a service, quoted for the shell that the server may hand it to.
fn command(service: Service, url: &Url) -> Result<String, &'static str> {
    let path = decoded(url.path()).ok_or("its path is not UTF-8")?;
    if path.contains(char::is_control) {
        return Err("its path holds a control character");
    }
    // `/~user/…` is below a home folder, as for git.
    let path = match path.strip_prefix('/') {
        Some(home) if home.starts_with('~') => home,
        _ => &path,
    };
    let quoted = path.replace('\'', r"'\''").replace('!', r"'\!'");
    Ok(format!("{} '{quoted}'", service.name()))
}

fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.first_chunk::<2>().filter(|_| *first == b'%');
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_command_is_the_service_and_one_quoted_path() {
        let check = |url: &str, expected: Option<&str>| {
            let url = Url::parse(url).expect("an address");
            let found = command(Service::UploadPack, &url).ok();
            let expected = expected.map(|path| format!("git-upload-pack {path}"));
            assert_eq!(found, expected, "{url}");
        };
        check(
            "ssh://git@git.test/team/fleet.git",
            Some("'/team/fleet.git'"),
        );
        check(
            "ssh://git@git.test/~ada/fleet.git",
            Some("'~ada/fleet.git'"),
        );
        check("ssh://git@git.test/a%20b", Some("'/a b'"));
        check("ssh://git@git.test/a';id;'", Some(r"'/a'\'';id;'\'''"));
        check(
            "ssh://git@git.test/a%27$(id)`id`",
            Some(r"'/a'\''$(id)`id`'"),
        );
        check("ssh://git@git.test/a!b", Some(r"'/a'\!'b'"));
        check("ssh://git@git.test/100%", Some("'/100%'"));
        check("ssh://git@git.test/%ff", None);
        check("ssh://git@git.test/a%0ab", None);
    }

    #[test]
    fn an_answer_ends_at_its_flush() {
        let check = |text: &str, expected: Result<Option<usize>, ()>| {
            let whole = Frames::default().end(text.as_bytes()).map_err(|_| ());
            assert_eq!(whole, expected, "{text}");
            let mut frames = Frames::default();
            let mut found = Ok(None);
            for (index, byte) in text.bytes().enumerate() {
                match frames.end(&[byte]) {
                    Ok(None) => continue,
                    Ok(Some(_)) => found = Ok(Some(index + 1)),
                    Err(_) => found = Err(()),
                }
                break;
            }
            assert_eq!(found, expected, "byte by byte: {text}");
        };
        check("0000", Ok(Some(4)));
        check("0006ab0000", Ok(Some(10)));
        check("0006ab00010006cd0000next", Ok(Some(20)));
        check("00080000", Ok(None));
        check("000", Ok(None));
        check("0003", Err(()));
        check("zzzz", Err(()));
        check("ssh: banner", Err(()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_search_panic(parts in proptest::collection::vec(any::<Vec<u8>>(), 0..8)) {
            let mut frames = Frames::default();
            for part in parts {
                if frames.end(&part).is_err() {
                    break;
                }
            }
        }
    }
}
