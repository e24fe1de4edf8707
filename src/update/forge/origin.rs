//! Where an image comes from, by its annotations: its source, and the pages that say what is new.

use url::Url;

use super::Kind;

/// The repository of an image's source code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The web address, without a slash at its end.
    root: String,
    /// The forge that it is on, as far as the host's name says so.
    kind: Option<Kind>,
}

impl Origin {
    /// Reads `org.opencontainers.image.source`, which people write in every form that Git takes.
    ///
    /// ```
    /// use tagwright::update::forge::origin::Origin;
    ///
    /// let origin = Origin::read("git@github.com:acme/web.git").expect("an address");
    /// assert_eq!(origin.root(), "https://github.com/acme/web");
    /// assert_eq!(Origin::read("javascript:alert(1)"), None);
    /// ```
    pub fn read(source: &str) -> Option<Self> {
        let source = source.trim();
        let source = source.strip_prefix("git+").unwrap_or(source);
        let url = match source.split_once("://") {
            Some(("https" | "http", _)) => Url::parse(source).ok()?,
            Some(("ssh" | "git", rest)) => web(rest.split_once('/')?)?,
            Some(_) => return None,
            None => web(source.strip_prefix("git@")?.split_once(':')?)?,
        };
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let host = url.host_str()?;
        let kind = Kind::of_host(host);
        let path = url.path().trim_matches('/');
        let path = match kind {
            Some(Kind::Gitlab) => path.split("/-/").next().unwrap_or_default().to_owned(),
            Some(Kind::Github | Kind::Gitea | Kind::BitbucketCloud) => {
                path.split('/').take(2).collect::<Vec<_>>().join("/")
            }
            _ => path.to_owned(),
        };
        let path = path.trim_end_matches('/').trim_end_matches(".git");
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"-._~/".contains(&it);
        if path.is_empty() || !path.bytes().all(is_plain) {
            return None;
        }
        let origin = url.origin().ascii_serialization();
        Some(Self {
            root: format!("{origin}/{path}"),
            kind,
        })
    }

    /// The repository's own page.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The page with everything between two revisions; nothing where no such page is known.
    pub fn changes(&self, old: &str, new: &str) -> Option<String> {
        if old == new || !is_revision(old) || !is_revision(new) {
            return None;
        }
        let root = &self.root;
        Some(match self.kind? {
            Kind::Github | Kind::Gitea => format!("{root}/compare/{old}...{new}"),
            Kind::Gitlab => format!("{root}/-/compare/{old}...{new}"),
            Kind::BitbucketCloud => format!("{root}/branches/compare/{new}%0D{old}"),
            Kind::AzureDevops => {
                format!("{root}/branchCompare?baseVersion=GC{old}&targetVersion=GC{new}")
            }
            Kind::BitbucketDataCenter => return None,
        })
    }

    /// The page with the notes of all releases.
    pub fn releases(&self) -> Option<String> {
        match self.kind? {
            Kind::Github | Kind::Gitea => Some(format!("{}/releases", self.root)),
            Kind::Gitlab => Some(format!("{}/-/releases", self.root)),
            Kind::BitbucketCloud | Kind::BitbucketDataCenter | Kind::AzureDevops => None,
        }
    }
}

/// The web address of `user@host:port` and a path.
fn web((place, path): (&str, &str)) -> Option<Url> {
    let host = place.rsplit('@').next()?.split(':').next()?;
    Url::parse(&format!("https://{host}/{path}")).ok()
}

/// A commit's id, in full or cut; a version, a branch, or `…-dirty` leads nowhere.
fn is_revision(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_in_every_form_that_people_write() {
        let check = |source: &str, expected: Option<&str>| {
            let origin = Origin::read(source);
            assert_eq!(origin.as_ref().map(Origin::root), expected, "{source}");
        };
        let web = Some("https://github.com/acme/web");
        check("https://github.com/acme/web", web);
        check("https://github.com/acme/web.git", web);
        check("https://github.com/acme/web/tree/main/images/web?x#y", web);
        check("git+https://github.com/acme/web.git", web);
        check("git@github.com:acme/web.git", web);
        check("ssh://git@github.com:22/acme/web.git", web);
        check("git://github.com/acme/web", web);
        check(
            "https://gitlab.com/acme/team/web/-/tree/main",
            Some("https://gitlab.com/acme/team/web"),
        );
        check("https://git.test/a/b/c", Some("https://git.test/a/b/c"));
        check("javascript:alert(1)", None);
        check("javascript://github.com/%0aalert(1)", None);
        check("https://user:word@github.com/acme/web", None);
        check("https://github.com/@team/web", None);
        check("https://github.com/acme/web](https://evil.test)", None);
        check("https://github.com/", None);
        check("acme/web", None);
        check("", None);
    }

    #[test]
    fn only_forges_that_are_known_have_pages_that_are_guessed() {
        let (old, new) = ("0a1b2c3", "4d5e6f7");
        let check = |source: &str, changes: Option<&str>, releases: Option<&str>| {
            let origin = Origin::read(source).expect("an address");
            assert_eq!(origin.changes(old, new).as_deref(), changes, "{source}");
            assert_eq!(origin.releases().as_deref(), releases, "{source}");
        };
        check(
            "https://github.com/acme/web",
            Some("https://github.com/acme/web/compare/0a1b2c3...4d5e6f7"),
            Some("https://github.com/acme/web/releases"),
        );
        check(
            "https://gitlab.example.com/acme/web",
            Some("https://gitlab.example.com/acme/web/-/compare/0a1b2c3...4d5e6f7"),
            Some("https://gitlab.example.com/acme/web/-/releases"),
        );
        check(
            "https://codeberg.org/acme/web",
            Some("https://codeberg.org/acme/web/compare/0a1b2c3...4d5e6f7"),
            Some("https://codeberg.org/acme/web/releases"),
        );
        check(
            "https://bitbucket.org/acme/web",
            Some("https://bitbucket.org/acme/web/branches/compare/4d5e6f7%0D0a1b2c3"),
            None,
        );
        check("https://git.test/acme/web", None, None);
    }

    #[test]
    fn a_range_is_between_two_commits() {
        let origin = Origin::read("https://github.com/acme/web").expect("an address");
        let check = |old: &str, new: &str, expected: bool| {
            assert_eq!(origin.changes(old, new).is_some(), expected, "{old} {new}");
        };
        check("0a1b2c3", "4d5e6f7", true);
        check("0a1b2c3", "0a1b2c3", false);
        check("0a1b2c3", "4d5e6f7-dirty", false);
        check("0a1b2c3", "main", false);
        check("0a1b2c3", "../../settings", false);
        check("", "4d5e6f7", false);
    }
}
