//! Names that come from documents and command lines: branches, paths, commits and addresses.

use std::fmt;

use serde::Serialize;
use url::Url;

use crate::error::Class;

/// How long a reference name may be, `refs/heads/` included.
const MAX_REFERENCE: usize = 1024;
/// How long a path may be.
const MAX_PATH: usize = 4096;

/// A branch name without `refs/heads/`, valid by the rules of `git check-ref-format`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Branch(String);

/// A path below the root of the repository: relative, `/`-separated, without `.` and `..`; empty for
/// the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct UpdatePath(String);

/// The id of a commit, in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CommitId(String);

/// A text that is no branch, path, commit or address that we accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is no branch name.
    #[error("`{text}` is not a branch name: {reason}")]
    Branch {
        /// The text, escaped.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The text is no path that may be updated.
    #[error("`{text}` is not a path below the root: {reason}")]
    Path {
        /// The text, escaped.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The text is no full reference name.
    #[error("`{text}` is not the name of a reference: {reason}")]
    Reference {
        /// The text, escaped.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The text is no refspec that we push.
    #[error("`{text}` is not a refspec that can be pushed: {reason}")]
    Refspec {
        /// The text, escaped.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The pair is no push option.
    #[error("`{key}` is not a push option: {reason}")]
    PushOption {
        /// The option's name, escaped.
        key: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The text is no commit id.
    #[error("`{0}` is not a commit id of 40 or 64 hex digits")]
    Commit(String),
    /// The text is no address of a Git remote. It is not repeated here: it may hold a password.
    #[error("refused the address of a Git remote: {reason}")]
    Address {
        /// The rule that it breaks.
        reason: &'static str,
        /// What to write instead.
        hint: &'static str,
    },
}

impl NameError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        Class::Config
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Address { hint, .. } => Some((*hint).to_owned()),
            Self::Branch { text, .. } => text
                .strip_prefix("refs/heads/")
                .map(|name| format!("write `{name}`")),
            Self::Path { .. }
            | Self::Reference { .. }
            | Self::Refspec { .. }
            | Self::PushOption { .. }
            | Self::Commit(_) => None,
        }
    }
}

impl Branch {
    /// Reads a branch name.
    ///
    /// ```
    /// use tagwright::update::git::Branch;
    ///
    /// assert!(Branch::new("release/1.x").is_ok());
    /// assert!(Branch::new("refs/heads/main").is_err());
    /// assert!(Branch::new("--upload-pack=x").is_err());
    /// ```
    pub fn new(text: &str) -> Result<Self, NameError> {
        match branch_fault(text) {
            None => Ok(Self(text.to_owned())),
            Some(reason) => Err(NameError::Branch {
                text: text.escape_debug().to_string(),
                reason,
            }),
        }
    }

    /// The name without `refs/heads/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with `refs/heads/`.
    pub(super) fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

pub(super) fn escaped(text: &str) -> String {
    text.escape_debug().to_string()
}

/// Which rule of `git check-ref-format` a name breaks.
pub(super) fn branch_fault(text: &str) -> Option<&'static str> {
    let forbidden =
        |character: char| character.is_ascii_control() || " ~^:?*[\\".contains(character);
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() + "refs/heads/".len() > MAX_REFERENCE {
        return Some("it is longer than 1,024 bytes");
    }
    if text.starts_with("refs/") {
        return Some("a branch is named without `refs/heads/`");
    }
    if text.starts_with('-') {
        return Some("it begins with `-`");
    }
    if text == "HEAD" || text == "@" {
        return Some("that name stands for the current commit");
    }
    if text.contains(forbidden) {
        return Some("it holds a space, a control character or one of `~^:?*[\\`");
    }
    if text.contains("..") || text.contains("@{") {
        return Some("it holds `..` or `@{`");
    }
    if text.ends_with('.') {
        return Some("it ends with `.`");
    }
    text.split('/').find_map(|part| {
        if part.is_empty() {
            Some("it begins or ends with `/`, or holds `//`")
        } else if part.starts_with('.') {
            Some("a part of it begins with `.`")
        } else if part.strip_suffix(".lock").is_some() {
            Some("a part of it ends with `.lock`")
        } else {
            None
        }
    })
}

impl UpdatePath {
    /// Reads a path; `./a//b/` and `a/b` are the same one, and `.` is the root.
    ///
    /// ```
    /// use tagwright::update::git::UpdatePath;
    ///
    /// assert_eq!(UpdatePath::new("./clusters/prod/").unwrap().as_str(), "clusters/prod");
    /// assert!(UpdatePath::new("../other").is_err());
    /// ```
    pub fn new(text: &str) -> Result<Self, NameError> {
        let refused = |reason| NameError::Path {
            text: text.escape_debug().to_string(),
            reason,
        };
        if text.starts_with('/') {
            return Err(refused("it begins with `/`"));
        }
        if text.contains('\0') {
            return Err(refused("it holds a NUL"));
        }
        if text.len() > MAX_PATH {
            return Err(refused("it is longer than 4,096 bytes"));
        }
        let parts: Vec<&str> = text
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        if parts.contains(&"..") {
            return Err(refused("it holds `..`"));
        }
        Ok(Self(parts.join("/")))
    }

    /// The path; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `path` is this file, or lies below this folder.
    pub fn covers(&self, path: &str) -> bool {
        match path.strip_prefix(self.0.as_str()) {
            Some(rest) => self.0.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// `path` as it is called from here; itself where it does not lie below this folder.
    pub fn relative<'a>(&self, path: &'a str) -> &'a str {
        let rest = path
            .strip_prefix(self.0.as_str())
            .filter(|_| self.covers(path));
        match rest.map(|rest| rest.trim_start_matches('/')) {
            Some("") | None => path,
            Some(rest) => rest,
        }
    }

    /// The names on the way down from the root.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }
}

impl CommitId {
    /// Reads a full id.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || !matches!(text.len(), 40 | 64) {
            return Err(NameError::Commit(text.escape_debug().to_string()));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The id, in lower-case hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn object(&self) -> gix::ObjectId {
        gix::ObjectId::from_hex(self.0.as_bytes())
            .expect("40 or 64 hex digits are an object id: the constructor checked them")
    }
}

impl From<gix::ObjectId> for CommitId {
    fn from(id: gix::ObjectId) -> Self {
        Self(id.to_string())
    }
}

/// Reads the address of a Git remote: `https://`, `http://`, `ssh://` or `file://`.
///
/// User information is refused, because a password in an address ends up in messages; only ssh has
/// its user there. So is everything that other programs would take for an option or a command.
///
/// ```
/// use tagwright::update::git::remote_url;
///
/// assert!(remote_url("https://git.example.com/team/fleet.git").is_ok());
/// assert!(remote_url("https://user:token@git.example.com/fleet.git").is_err());
/// assert!(remote_url("ssh://git@git.example.com/team/fleet.git").is_ok());
/// assert!(remote_url("git@git.example.com:team/fleet.git").is_err());
/// ```
pub fn remote_url(text: &str) -> Result<Url, NameError> {
    if let Some((reason, hint)) = address_fault(text) {
        return Err(NameError::Address { reason, hint });
    }
    let refused = |reason| NameError::Address {
        reason,
        hint: "write it like `https://host/path`",
    };
    let url = Url::parse(text).map_err(|_| refused("it cannot be parsed"))?;
    match url.scheme() {
        "file" if url.to_file_path().is_err() => Err(refused("it names a host for a local file")),
        "file" => Ok(url),
        _ if url.host_str().is_none_or(str::is_empty) => Err(refused("it names no host")),
        _ => Ok(url),
    }
}

/// What is wrong with an address, told from its text: the parser repairs too much to be asked.
fn address_fault(text: &str) -> Option<(&'static str, &'static str)> {
    const LIKE: &str = "write it like `https://host/path`";
    if text.is_empty() {
        return Some(("it is empty", LIKE));
    }
    if text.starts_with('-') {
        return Some(("it begins with `-`", LIKE));
    }
    if text.contains(|character: char| character.is_control() || character.is_whitespace())
        || escapes_control(text)
    {
        return Some(("it holds a space or a control character", LIKE));
    }
    if text.contains(['\\', '?', '#']) {
        return Some(("it holds `\\`, `?` or `#`", LIKE));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Some(without_scheme(text));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" | "http" => {}
        "file" => return None,
        "ssh" => return ssh_fault(rest),
        _ => {
            return Some((
                "its scheme is not https, http, ssh or file",
                "use https with an access token, or ssh with a key",
            ));
        }
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() {
        return Some(("it names no host", LIKE));
    }
    authority.contains('@').then_some((
        "it holds a user name or a password",
        "put them into the credential, not into the address",
    ))
}

/// What is wrong with an address of ssh, behind its scheme.
fn ssh_fault(rest: &str) -> Option<(&'static str, &'static str)> {
    const LIKE: &str = "write it like `ssh://git@host/path`";
    let is_name = |text: &str| {
        let is_plain = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
        !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain)
    };
    let is_address = |text: &str| {
        let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        inner.is_some_and(|it| it.parse::<std::net::Ipv6Addr>().is_ok())
    };
    let Some((authority, path)) = rest.split_once('/') else {
        return Some(("it has no path", LIKE));
    };
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (user, place),
        None => ("git", authority),
    };
    if user.contains(':') {
        return Some((
            "it holds a password",
            "ssh logs in with a private key, from a Secret with `identity`",
        ));
    }
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    let (host, has_good_port) = match place.rsplit_once(':') {
        Some((host, port)) if !place.ends_with(']') => (host, is_port(port)),
        _ => (place, true),
    };
    if !is_name(user) || !has_good_port || !(is_name(host) || is_address(host)) {
        return Some(("its user, host or port is none", LIKE));
    }
    path.is_empty().then_some(("it has no path", LIKE))
}

fn without_scheme(text: &str) -> (&'static str, &'static str) {
    if text.contains("::") {
        return (
            "it would start a program",
            "only https, http, ssh and file are spoken",
        );
    }
    if text.contains(':') && !text.starts_with(['/', '.']) {
        return (
            "it has no scheme",
            "write it like `https://host/path` or `ssh://git@host/path`",
        );
    }
    (
        "it has no scheme",
        "for a repository on this machine, write `file:///path`",
    )
}

fn escapes_control(text: &str) -> bool {
    text.as_bytes().windows(3).any(|window| {
        let [b'%', high, low] = *window else {
            return false;
        };
        matches!(high, b'0' | b'1') && low.is_ascii_hexdigit()
            || high == b'7' && low.eq_ignore_ascii_case(&b'f')
    })
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for UpdatePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_follow_the_rules_of_git() {
        let check = |text: &str, valid: bool| {
            assert_eq!(Branch::new(text).is_ok(), valid, "{text:?}");
        };
        check("main", true);
        check("release/1.x", true);
        check("bot/überall", true);
        check("a@b", true);
        check("", false);
        check("@", false);
        check("HEAD", false);
        check("refs/heads/main", false);
        check("--upload-pack=x", false);
        check("a..b", false);
        check("a@{0}", false);
        check("a//b", false);
        check("/a", false);
        check("a/", false);
        check(".a", false);
        check("a/.b", false);
        check("a.lock/b", false);
        check("a.", false);
        check("a b", false);
        check("a\nb", false);
        check("a\x7fb", false);
        check("+refs/*:refs/*", false);
        check(":main", false);
        check(&"a".repeat(1013), true);
        check(&"a".repeat(1014), false);
    }

    #[test]
    fn paths_are_relative_and_stay_below_the_root() {
        let check = |text: &str, expected: Option<&str>| {
            let path = UpdatePath::new(text).ok();
            assert_eq!(path.as_ref().map(UpdatePath::as_str), expected, "{text:?}");
        };
        check("", Some(""));
        check(".", Some(""));
        check("./", Some(""));
        check("./a/b/", Some("a/b"));
        check("a//b", Some("a/b"));
        check("a/./b", Some("a/b"));
        check("a..b.yaml", Some("a..b.yaml"));
        check("-a", Some("-a"));
        check("..", None);
        check("a/../b", None);
        check("/a", None);
        check("a\0b", None);
        check(&"a".repeat(4097), None);
    }

    #[test]
    fn a_path_covers_what_lies_below_it_and_no_namesake() {
        let check = |path: &str, file: &str, covered: bool| {
            let path = UpdatePath::new(path).expect("a path");
            assert_eq!(path.covers(file), covered, "{path:?} {file}");
        };
        check("", "a.yaml", true);
        check("a", "a/b.yaml", true);
        check("a/b.yaml", "a/b.yaml", true);
        check("a", "ab/c.yaml", false);
        check("a/b", "a/c", false);
    }

    #[test]
    fn commits_are_full_ids() {
        let check = |text: &str, valid: bool| {
            assert_eq!(CommitId::new(text).is_ok(), valid, "{text}");
        };
        check(&"0a".repeat(20), true);
        check(&"0A".repeat(32), true);
        check(&"0a".repeat(19), false);
        check(&"0g".repeat(20), false);
    }

    #[test]
    fn addresses_are_plain_and_hold_no_credential() {
        let check = |text: &str, valid: bool| {
            assert_eq!(remote_url(text).is_ok(), valid, "{text:?}");
        };
        check("https://git.test/team/fleet.git", true);
        check("https://git.test:8443/fleet", true);
        check("http://127.0.0.1:8080/fleet.git", true);
        check("file:///srv/fleet.git", true);
        check("file:///srv/at@home.git", true);
        check("", false);
        check("https://", false);
        check("https:///fleet.git", false);
        check("https:git.test/fleet.git", false);
        check("https://user@git.test/fleet", false);
        check("https://user:secret@git.test/fleet", false);
        check("https://good?@evil.test/", false);
        check("https://good#@evil.test/", false);
        check("https://good\\@evil.test/", false);
        check("https://good:443@evil.test/", false);
        check("https://git.test%2fevil/", false);
        check("https://git.test/a%0ab", false);
        check("https://git.test/a%0Db", false);
        check("https://git.test/a%00b", false);
        check("https://git.test/a%7Fb", false);
        check("https://git.test/a\nb", false);
        check("https://git.test/a\tb", false);
        check(" https://git.test/a", false);
        check("file://host/srv/fleet.git", false);
        check("ssh://git@git.test/fleet.git", true);
        check("ssh://git.test:2222/fleet.git", true);
        check("ssh://git@[::1]:2222/~ada/fleet.git", true);
        check("ssh://-oProxyCommand=x/", false);
        check("ssh://-oProxyCommand=x/fleet.git", false);
        check("ssh://-l@git.test/fleet.git", false);
        check("ssh://git:secret@git.test/fleet.git", false);
        check("ssh://git@good@git.test/fleet.git", false);
        check("ssh://git@git.test:22:22/fleet.git", false);
        check("ssh://git@git.test:0/fleet.git", false);
        check("ssh://git@git.test:team/fleet.git", false);
        check("ssh://git@git.test", false);
        check("ssh://git@git.test/", false);
        check("ssh://git@/fleet.git", false);
        check("ssh://git@git.test%2fx/fleet.git", false);
        check("ssh://git@git.test/a%0ab", false);
        check("ssh://git@git.test/a\\b", false);
        check("git+ssh://git@git.test/fleet.git", false);
        check("git://git.test/fleet.git", false);
        check("git@git.test:team/fleet.git", false);
        check("ext::sh -c x", false);
        check("ext::sh", false);
        check("fd::17", false);
        check("http+unix://x/y", false);
        check("/srv/fleet.git", false);
        check("./fleet.git", false);
        check("--upload-pack=x", false);
    }

    #[test]
    fn a_refused_address_is_not_repeated() {
        let error = remote_url("https://me:canary-4711@git.test/x").expect_err("user information");
        assert!(!format!("{error} {error:?}").contains("canary"));
        assert!(error.hint().is_some());
    }

    proptest::proptest! {
        #[test]
        fn an_accepted_branch_is_accepted_by_the_reference_rules(text in "[ -~]{0,12}") {
            if let Ok(branch) = Branch::new(&text) {
                let name: Result<gix::refs::FullName, _> = branch.reference().try_into();
                proptest::prop_assert!(name.is_ok(), "{text:?}");
            }
        }
    }
}
