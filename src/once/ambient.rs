//! How the user who runs tagwright logs in to Git: variables, credential helpers of their own
//! configuration, and their ssh keys and agent. Never a part of the controller.

#![expect(
    clippy::disallowed_methods,
    reason = "the edge to the user's environment, files and, alone, credential helpers"
)]

use std::{
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use url::Url;

use super::read_bounded;
use crate::{
    egress::ssh::{KnownHosts, SshIdentity, SshLogin},
    secret::{Authority, Credential, Proof, Secret, SshKey},
    update::git::Login,
};

/// The variables that open a Git remote which no Secret describes.
pub const GIT_USERNAME: &str = "TAGWRIGHT_GIT_USERNAME";
/// The password or token that goes with [`GIT_USERNAME`].
pub const GIT_PASSWORD: &str = "TAGWRIGHT_GIT_PASSWORD";

/// How long a credential helper may think.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);
/// How much a credential helper may say.
const MAX_HELPER: u64 = 64 * 1024;
/// How large a key or `known_hosts` may be.
const MAX_FILE: u64 = 1024 * 1024;
/// The private keys that ssh looks for.
const KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// A boxed cause.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How the user logs in to a remote; `named` is the one that stands on the command line.
pub(super) fn login(url: &Url, named: Option<&Authority>) -> Result<Login, Cause> {
    let Some(authority) = Authority::of(url) else {
        return Ok(Login::Anonymous);
    };
    if url.scheme() == "ssh" {
        return ssh_login(url, authority);
    }
    if url.scheme() != "https" && url.scheme() != "http" {
        return Ok(Login::Anonymous);
    }
    let proof = own_variables(named == Some(&authority))
        .or_else(|| github_token(url))
        .or_else(|| helper(url));
    Ok(match proof {
        Some(proof) => Login::Fixed(Credential::new(proof, authority)),
        None => Login::Anonymous,
    })
}

fn own_variables(is_named: bool) -> Option<Proof> {
    let password = variable(GIT_PASSWORD).filter(|_| is_named)?;
    // Every large forge takes a token as password of any user but an empty one.
    let username = variable(GIT_USERNAME).unwrap_or_else(|| "git".to_owned());
    Some(basic(username, password))
}

/// `GITHUB_TOKEN`, for the server that the workflow runs on, or github.com.
fn github_token(url: &Url) -> Option<Proof> {
    let server = variable("GITHUB_SERVER_URL");
    let server = Url::parse(server.as_deref().unwrap_or("https://github.com")).ok()?;
    let is_there = server.scheme() == url.scheme() && Authority::of(&server) == Authority::of(url);
    let token = variable("GITHUB_TOKEN").filter(|_| is_there)?;
    Some(basic("x-access-token".to_owned(), token))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|it| !it.is_empty())
}

fn basic(username: String, password: String) -> Proof {
    Proof::Basic {
        username: Secret::new(username),
        password: Secret::new(password),
    }
}

/// Asks the helpers that the user configured for git (gitcredentials(7)), through git itself.
///
/// Somebody who has no git, or no helper, has nothing to say; nobody is asked to type.
fn helper(url: &Url) -> Option<Proof> {
    let mut question = format!("protocol={}\nhost={}", url.scheme(), url.host_str()?);
    if let Some(port) = url.port() {
        question.push_str(&format!(":{port}"));
    }
    question.push_str(&format!(
        "\npath={}\n\n",
        url.path().trim_start_matches('/')
    ));
    let mut child = Command::new("git")
        .args(["-c", "core.askPass=", "credential", "fill"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "")
        .env("SSH_ASKPASS", "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let asked = child
        .stdin
        .take()
        .map(|mut input| input.write_all(question.as_bytes()));
    let output = child.stdout.take()?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        output
            .take(MAX_HELPER)
            .read_to_string(&mut text)
            .map(|_| text)
    });
    let start = Instant::now();
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if start.elapsed() < HELPER_TIMEOUT => {
                thread::sleep(Duration::from_millis(10));
            }
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
        }
    };
    if !ended || !matches!(asked, Some(Ok(()))) {
        return None;
    }
    answer(&Secret::new(reader.join().ok()?.ok()?))
}

fn answer(text: &Secret<String>) -> Option<Proof> {
    let value = |name: &str| {
        let mut lines = text.expose().lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(str::to_owned)
    };
    Some(basic(value("username")?, value("password")?))
}

/// The user's agent and keys, and the hosts that they know.
fn ssh_login(url: &Url, authority: Authority) -> Result<Login, Cause> {
    let Some(home) = std::env::home_dir() else {
        return Ok(Login::Anonymous);
    };
    let folder = home.join(".ssh");
    let files = [
        folder.join("known_hosts"),
        PathBuf::from("/etc/ssh/ssh_known_hosts"),
    ];
    let mut known_hosts = String::new();
    for file in files {
        match read_text(&file) {
            Ok(text) => known_hosts.push_str(&format!("{text}\n")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("cannot read `{}`: {error}", file.display()).into()),
        }
    }
    let agent = variable("SSH_AUTH_SOCK").map(|it| SshIdentity::Agent(it.into()));
    // A key with a passphrase is for the agent, and one that cannot be read is not ours to mend.
    let keys = KEYS.iter().filter_map(|name| {
        let text = read_text(&folder.join(name)).ok()?;
        SshKey::parse(&text, None).ok().map(SshIdentity::Key)
    });
    let user = Some(url.username())
        .filter(|it| !it.is_empty())
        .unwrap_or("git");
    Ok(Login::Ssh(SshLogin {
        authority,
        user: user.to_owned(),
        identities: agent.into_iter().chain(keys).collect(),
        known_hosts: KnownHosts::parse(&known_hosts)?,
    }))
}

fn read_text(path: &Path) -> io::Result<String> {
    let bytes = read_bounded(path, MAX_FILE)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_a_helper_needs_both_halves() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = answer(&Secret::new(text.to_owned()));
            let expected = expected.map(|(name, word)| basic(name.to_owned(), word.to_owned()));
            assert_eq!(found, expected, "{text:?}");
        };
        let whole = "protocol=https\nhost=git.test\nusername=ada\npassword=a=b\n";
        check(whole, Some(("ada", "a=b")));
        check("protocol=https\nusername=ada\n", None);
        check("password=x\n", None);
        check("", None);
    }
}
