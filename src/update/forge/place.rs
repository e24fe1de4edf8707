//! Where a repository's requests live: which forge, at which address, under which name.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::Authority;

/// A product whose requests we can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// `github.com`, and GitHub Enterprise.
    Github,
    /// `gitlab.com`, and GitLab of one's own.
    Gitlab,
    /// Gitea and Forgejo.
    Gitea,
    /// `bitbucket.org`.
    BitbucketCloud,
    /// Bitbucket Data Center and Server.
    BitbucketDataCenter,
    /// `dev.azure.com`, and Azure DevOps Server.
    AzureDevops,
}

/// Where a repository's requests live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The product.
    pub kind: Kind,
    /// Where its API begins.
    pub api: Url,
    /// What the API calls the repository: owner and name, or what the product has instead.
    pub project: Vec<String>,
}

/// Why no place can be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The host is not known to be any forge's.
    #[error("it cannot be told from `{0}` which forge this is")]
    Unknown(String),
    /// The address has no API of its own.
    #[error("it cannot be told from `{0}` where the forge's API is")]
    NoApi(String),
    /// The text is no repository's name on this forge.
    #[error("`{text}` is no repository of this forge: it is called like `{example}`")]
    Project {
        /// The text, escaped.
        text: String,
        /// What it looks like.
        example: &'static str,
    },
}

impl PlaceError {
    /// What the reader can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unknown(_) => {
                "set `forge` to github, gitlab, gitea, bitbucketCloud, bitbucketDataCenter or azureDevops"
            }
            Self::NoApi(_) => "set `api`, such as https://github.example.com/api/v3",
            Self::Project { .. } => "set `project`",
        }
    }
}

impl Kind {
    /// The forge that answers at a host, as far as its name says so.
    pub fn of_host(host: &str) -> Option<Self> {
        Some(match host {
            "github.com" => Self::Github,
            "bitbucket.org" => Self::BitbucketCloud,
            "codeberg.org" => Self::Gitea,
            "dev.azure.com" => Self::AzureDevops,
            _ => match host.split_once('.')?.0 {
                "github" => Self::Github,
                "gitlab" => Self::Gitlab,
                "gitea" | "forgejo" => Self::Gitea,
                "bitbucket" => Self::BitbucketDataCenter,
                _ => return None,
            },
        })
    }

    /// How many bytes a body may have.
    pub fn body_limit(self) -> usize {
        match self {
            // The note takes up to 2,000 of them.
            Self::AzureDevops => 1_900,
            Self::BitbucketDataCenter => 28_000,
            Self::Github | Self::Gitlab | Self::Gitea | Self::BitbucketCloud => 60_000,
        }
    }

    /// How many bytes a comment may have.
    pub fn comment_limit(self) -> usize {
        match self {
            Self::BitbucketDataCenter => 28_000,
            _ => 60_000,
        }
    }

    /// Whether the forge merges by itself when asked to.
    pub fn merges(self) -> bool {
        self != Self::BitbucketCloud
    }

    /// Whether the forge makes commits for programs, and signs them.
    pub fn signs(self) -> bool {
        matches!(self, Self::Github | Self::Gitlab)
    }

    fn example(self) -> &'static str {
        match self {
            Self::Gitlab => "group/subgroup/name",
            Self::BitbucketDataCenter => "PROJECT/name",
            Self::AzureDevops => "project/name",
            Self::Github | Self::Gitea | Self::BitbucketCloud => "owner/name",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Github => "GitHub",
            Self::Gitlab => "GitLab",
            Self::Gitea => "Gitea",
            Self::BitbucketCloud => "Bitbucket Cloud",
            Self::BitbucketDataCenter => "Bitbucket Data Center",
            Self::AzureDevops => "Azure DevOps",
        })
    }
}

impl Place {
    /// The place that belongs to a Git remote, with what a document says about it.
    pub fn new(
        remote: &Url,
        kind: Option<Kind>,
        api: Option<&Url>,
        project: Option<&str>,
    ) -> Result<Self, PlaceError> {
        let host = remote.host_str().unwrap_or_default();
        let shown = || crate::egress::shown(remote);
        let kind = kind
            .or_else(|| Kind::of_host(host))
            .ok_or_else(|| PlaceError::Unknown(shown()))?;
        let path = match project {
            Some(project) => project.to_owned(),
            None => path_of(kind, remote),
        };
        let api = match api {
            Some(api) => api.clone(),
            None => api_of(kind, remote).ok_or_else(|| PlaceError::NoApi(shown()))?,
        };
        Ok(Self {
            kind,
            api,
            project: segments(kind, &path)?,
        })
    }

    /// The place and the number of the request that has a page at an address: each product has such
    /// pages below an address of its own kind.
    pub fn of_request(page: &Url) -> Option<(Self, u64)> {
        let parts = page.path_segments()?.filter(|it| !it.is_empty());
        let parts = parts.collect::<Vec<_>>();
        let (kind, length) = match parts.as_slice() {
            [.., "-", "merge_requests", _] => (Kind::Gitlab, 3),
            [.., "_git", _, "pullrequest", _] => (Kind::AzureDevops, 2),
            ["projects", _, "repos", _, "pull-requests", _] => (Kind::BitbucketDataCenter, 2),
            [_, _, "pull-requests", _] => (Kind::BitbucketCloud, 2),
            [.., "pull", _] => (Kind::Github, 2),
            [.., "pulls", _] => (Kind::Gitea, 2),
            _ => return None,
        };
        let number = parts.last()?.parse().ok()?;
        let before = parts.get(..parts.len() - length)?;
        let project = match (kind, before) {
            (Kind::BitbucketDataCenter, [_, project, _, name]) => Some(format!("{project}/{name}")),
            _ => None,
        };
        let mut remote = page.clone();
        remote.set_path(&before.join("/"));
        remote.set_query(None);
        remote.set_fragment(None);
        let place = Self::new(&remote, Some(kind), None, project.as_deref()).ok()?;
        Some((place, number))
    }

    /// Whether a credential for `remote` may be shown to this API: it is the same server, or the one
    /// that the product's documentation names for that host.
    pub fn shares_credentials_with(&self, remote: &Url) -> bool {
        let own = api_of(self.kind, remote).and_then(|it| Authority::of(&it));
        let api = Authority::of(&self.api);
        api.is_some() && (api == own || api == Authority::of(remote))
    }
}

/// The path of a Git remote, as the API would call it.
fn path_of(kind: Kind, remote: &Url) -> String {
    let path = remote.path().trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    match kind {
        // Served below `/scm/`, whatever comes before.
        Kind::BitbucketDataCenter => match path.split_once("scm/") {
            Some((_, rest)) => rest.to_owned(),
            None => path.to_owned(),
        },
        // `organisation/project/_git/name`; the organisation is a part of the API's address.
        Kind::AzureDevops => {
            let path = path.split_once('/').map_or("", |(_, rest)| rest);
            path.replacen("/_git/", "/", 1)
        }
        _ => path.to_owned(),
    }
}

fn api_of(kind: Kind, remote: &Url) -> Option<Url> {
    let host = remote.host_str()?;
    let origin = remote.origin().ascii_serialization();
    let text = match (kind, host) {
        (Kind::Github, "github.com") => "https://api.github.com".to_owned(),
        (Kind::Github, _) => format!("{origin}/api/v3"),
        (Kind::Gitlab, _) => format!("{origin}/api/v4"),
        (Kind::Gitea, _) => format!("{origin}/api/v1"),
        (Kind::BitbucketCloud, _) => "https://api.bitbucket.org/2.0".to_owned(),
        (Kind::BitbucketDataCenter, _) => {
            let before = remote
                .path()
                .split_once("/scm/")
                .map_or("", |(before, _)| before);
            format!("{origin}{before}/rest/api/1.0")
        }
        (Kind::AzureDevops, _) => {
            let organisation = remote.path().trim_start_matches('/').split('/').next()?;
            format!("{origin}/{organisation}")
        }
    };
    Url::parse(&text).ok()
}

fn segments(kind: Kind, path: &str) -> Result<Vec<String>, PlaceError> {
    let refused = || PlaceError::Project {
        text: path.escape_debug().to_string(),
        example: kind.example(),
    };
    let segments = path
        .split('/')
        .map(|it| percent_decoded(it).ok_or_else(refused))
        .collect::<Result<Vec<_>, _>>()?;
    let is_plain = |it: &String| {
        !it.is_empty()
            && it != "."
            && it != ".."
            && !it.contains(|it: char| it.is_control() || it == '/')
    };
    let fits = segments.len() == 2 || kind == Kind::Gitlab && segments.len() > 2;
    if fits && segments.iter().all(is_plain) {
        Ok(segments)
    } else {
        Err(refused())
    }
}

/// `My%20Project` as `My Project`, as remotes of Azure DevOps have it.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail.get(2..)?;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_tells_its_forge_where_it_can() {
        let check = |remote: &str, kind: Option<Kind>, expected: Result<(&str, &str), &str>| {
            let place = Place::new(&Url::parse(remote).expect("a url"), kind, None, None);
            match (place, expected) {
                (Ok(place), Ok((api, project))) => {
                    let found = (
                        place.api.as_str().trim_end_matches('/'),
                        place.project.join("|"),
                    );
                    assert_eq!(found, (api, project.to_owned()), "{remote}");
                }
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (place, expected) => panic!("{remote}: {place:?} is not {expected:?}"),
            }
        };
        check(
            "https://github.com/acme/fleet.git",
            None,
            Ok(("https://api.github.com", "acme|fleet")),
        );
        check(
            "https://github.acme.test/a/b",
            None,
            Ok(("https://github.acme.test/api/v3", "a|b")),
        );
        check(
            "https://gitlab.com/acme/apps/fleet.git",
            None,
            Ok(("https://gitlab.com/api/v4", "acme|apps|fleet")),
        );
        check(
            "https://codeberg.org/acme/fleet",
            None,
            Ok(("https://codeberg.org/api/v1", "acme|fleet")),
        );
        check(
            "https://bitbucket.org/acme/fleet.git",
            None,
            Ok(("https://api.bitbucket.org/2.0", "acme|fleet")),
        );
        check(
            "https://bitbucket.acme.test/base/scm/ops/fleet.git",
            None,
            Ok(("https://bitbucket.acme.test/base/rest/api/1.0", "ops|fleet")),
        );
        check(
            "https://dev.azure.com/acme/My%20Project/_git/fleet",
            None,
            Ok(("https://dev.azure.com/acme", "My Project|fleet")),
        );
        check("https://git.acme.test/a/b", None, Err("which forge"));
        check(
            "https://git.acme.test/a/b",
            Some(Kind::Gitea),
            Ok(("https://git.acme.test/api/v1", "a|b")),
        );
        check(
            "https://github.com/acme",
            None,
            Err("no repository of this forge"),
        );
        check(
            "https://github.com/a/%2e%2e",
            None,
            Err("no repository of this forge"),
        );
        check(
            "https://github.com/a/b%2fc",
            None,
            Err("no repository of this forge"),
        );
        check(
            "file:///srv/fleet.git",
            Some(Kind::Github),
            Err("where the forge's API is"),
        );
    }

    #[test]
    fn a_request_is_told_by_the_address_of_its_page() {
        let check = |page: &str, expected: Option<(&str, &str, u64)>| {
            let found = Place::of_request(&Url::parse(page).expect("a url"));
            let found = found.map(|(place, number)| {
                let api = place.api.to_string();
                (
                    api.trim_end_matches('/').to_owned(),
                    place.project.join("/"),
                    number,
                )
            });
            let expected =
                expected.map(|(api, project, number)| (api.to_owned(), project.to_owned(), number));
            assert_eq!(found, expected, "{page}");
        };
        check(
            "https://github.com/acme/fleet/pull/12",
            Some(("https://api.github.com", "acme/fleet", 12)),
        );
        check(
            "https://ghe.test/acme/fleet/pull/12?x#y",
            Some(("https://ghe.test/api/v3", "acme/fleet", 12)),
        );
        check(
            "https://gitlab.com/acme/team/fleet/-/merge_requests/7",
            Some(("https://gitlab.com/api/v4", "acme/team/fleet", 7)),
        );
        check(
            "https://git.test/acme/fleet/pulls/3",
            Some(("https://git.test/api/v1", "acme/fleet", 3)),
        );
        check(
            "https://bitbucket.org/acme/fleet/pull-requests/4",
            Some(("https://api.bitbucket.org/2.0", "acme/fleet", 4)),
        );
        check(
            "https://git.test/projects/OPS/repos/fleet/pull-requests/5",
            Some(("https://git.test/rest/api/1.0", "OPS/fleet", 5)),
        );
        check(
            "https://dev.azure.com/acme/ops/_git/fleet/pullrequest/6",
            Some(("https://dev.azure.com/acme", "ops/fleet", 6)),
        );
        check("https://github.com/acme/fleet", None);
        check("https://github.com/acme/fleet/pull/new", None);
        check("https://github.com/pull/1", None);
    }

    #[test]
    fn credentials_are_shared_with_the_forges_own_api_alone() {
        let check = |remote: &str, api: Option<&str>, expected: bool| {
            let remote = Url::parse(remote).expect("a url");
            let api = api.map(|it| Url::parse(it).expect("a url"));
            let place = Place::new(&remote, None, api.as_ref(), None).expect("a place");
            assert_eq!(place.shares_credentials_with(&remote), expected, "{remote}");
        };
        check("https://github.com/a/b", None, true);
        check(
            "https://github.com/a/b",
            Some("https://api.evil.test"),
            false,
        );
        check("https://gitlab.acme.test/a/b", None, true);
        check(
            "https://gitlab.acme.test/a/b",
            Some("https://gitlab.acme.test:8443/api/v4"),
            false,
        );
    }
}
