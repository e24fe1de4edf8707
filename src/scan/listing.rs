//! One listing as it grows page by page, and the decision where it goes on.
//!
//! Synchronous and without I/O: pages go in, the next address or the finished listing comes out.

use std::collections::HashSet;

use url::{Position, Url};

use super::{
    ScanError, Sieve,
    collect::Collected,
    limits::Limits,
    page::{self, Entries, PageError},
};
use crate::{
    egress::one_line,
    image::{Repository, Tag},
};

/// How many tags are asked for at once, as Flux does, and how many where that is refused.
const PAGE_SIZES: [usize; 3] = [1000, 100, 50];

/// How many pages are taken in before the next one is asked for ahead of its turn.
const PAGES_BEFORE_AHEAD: usize = 2;

/// A listing that is not finished yet.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    repository: &'a Repository,
    limits: Limits,
    page_size: usize,
    /// The tag after which the listing begins.
    begins_after: Option<Tag>,
    tags: Collected<'a>,
    /// How many fresh tags each page had.
    pages: Vec<usize>,
    asked: HashSet<String>,
    paging: Paging,
}

/// What is known about how the registry pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paging {
    /// Nothing: no page was read.
    Unknown,
    /// It says where the next page is, and that there is none.
    Linked,
    /// It sent no link, though its page looked like a full one: we ask for what comes after.
    Probed { first: usize },
    /// It sent the same page again: we ask whether it counts at all.
    Counted,
}

/// Where a listing goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nowhere; it is complete.
    Done,
    /// At this path and query of the same registry.
    Page(String),
}

/// A listing that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// The tags in descending byte order.
    pub(super) tags: Vec<Tag>,
    /// How many entries were none.
    pub(super) refused: usize,
    /// How many tags the sieve let go.
    pub(super) sifted: usize,
    /// How many tags each page brought that were on none before; nothing where the pages did not
    /// come one after another, each by the link of the one before, in the order of the tags' bytes.
    pub(super) pages: Option<Vec<usize>>,
}

/// Where a link leads.
struct Target {
    next: String,
    /// The tag after which the next page begins, where the link says so.
    after: Option<Tag>,
}

impl<'a> Listing<'a> {
    /// An empty listing that asks for pages of at most `page_size` tags, where that is given.
    pub(super) fn new(
        repository: &'a Repository,
        limits: Limits,
        page_size: Option<usize>,
        sieve: &'a Sieve<'a>,
    ) -> Self {
        Self {
            repository,
            limits,
            page_size: page_size.unwrap_or(PAGE_SIZES[0]),
            begins_after: None,
            tags: Collected::new(sieve),
            pages: Vec::new(),
            asked: HashSet::new(),
            paging: Paging::Unknown,
        }
    }

    /// The same, of the tags after `tag` alone.
    pub(super) fn after_tag(self, tag: Tag) -> Self {
        Self {
            begins_after: Some(tag),
            ..self
        }
    }

    /// The path and query of the first page.
    pub(super) fn first(&self) -> String {
        let size = self.page_size.to_string();
        match &self.begins_after {
            None => self.address(&[("n", &size)]),
            Some(tag) => self.address(&[("n", &size), ("last", tag.as_str())]),
        }
    }

    /// The first page again, and how many tags it asks for, after a registry refused to send so
    /// many; nothing where a page was read already, or none is small enough.
    pub(super) fn smaller(&mut self) -> Option<(String, usize)> {
        let mut smaller = PAGE_SIZES.iter().filter(|size| **size < self.page_size);
        self.page_size = *smaller.next().filter(|_| self.pages.is_empty())?;
        Some((self.first(), self.page_size))
    }

    /// Where the page after this one is, before this one is taken in: so that it is on its way
    /// meanwhile. Nothing for the first pages, which show what kind of registry it is, nor where
    /// taking it in is going to fail.
    pub(super) fn ahead(&mut self, url: &Url, link: Option<&str>) -> Option<String> {
        if self.pages.len() < PAGES_BEFORE_AHEAD || self.pages.len() + 1 >= self.limits.pages {
            return None;
        }
        self.asked.insert(url[Position::BeforePath..].to_owned());
        let target = self.resolve(url, link?).ok()?;
        Some(target.next)
    }

    /// Takes in one page, which came from `url` with `link` to the next one.
    pub(super) fn take(
        &mut self,
        url: &Url,
        link: Option<&str>,
        body: &[u8],
    ) -> Result<Next, ScanError> {
        self.asked.insert(url[Position::BeforePath..].to_owned());
        self.begin_page()?;
        let target = link.map(|link| self.resolve(url, link)).transpose()?;
        let after = target.as_ref().and_then(|target| target.after.as_ref());
        let page = self.read(url, body, after)?;
        let size = page.size;
        self.pages.push(page.fresh);
        if let Some(Target { next, after }) = target {
            // An opaque link says nothing about the order; one after a tag goes on from this page.
            let is_backwards =
                !page.holds_after && after.is_some_and(|after| self.tags.contains(&after));
            if is_backwards || size > 0 && page.fresh == 0 && self.pages.len() > 1 {
                return Err(self.goes_in_circles(&next));
            }
            self.paging = Paging::Linked;
            return Ok(Next::Page(next));
        }
        let full = self.page_size;
        Ok(match self.paging {
            Paging::Unknown if page.has_tags && self.may_be_full(size) => {
                self.paging = Paging::Probed { first: size };
                self.after_last()
            }
            Paging::Probed { .. } if page.fresh > 0 => self.after_last(),
            Paging::Probed { first } if page.has_tags && first == full => {
                self.paging = Paging::Counted;
                Next::Page(self.address(&[("n", &(full - 1).to_string())]))
            }
            Paging::Counted if size == full - 1 => {
                return Err(ScanError::Truncated {
                    repository: self.repository.clone(),
                    reason: "the registry sends as many tags as it is asked for, and no link \
                             to the rest"
                        .to_owned(),
                });
            }
            _ => Next::Done,
        })
    }

    /// Takes in a page that was asked for at `target` and is what it was: `tags`, of which the last
    /// one served comes first, and where the next page was then.
    pub(super) fn take_again(
        &mut self,
        target: &str,
        tags: &[Tag],
        next: Option<&str>,
    ) -> Result<Next, ScanError> {
        self.asked.insert(target.to_owned());
        self.begin_page()?;
        let fresh = tags.iter().rev().filter(|tag| self.tags.add(tag.as_str()));
        let fresh = fresh.count();
        self.pages.push(fresh);
        self.within_limits()?;
        self.paging = Paging::Linked;
        match next {
            None => Ok(Next::Done),
            Some(next) if self.asked.contains(next) => Err(self.goes_in_circles(next)),
            Some(next) => Ok(Next::Page(next.to_owned())),
        }
    }

    /// The complete listing.
    pub(super) fn finish(self) -> Listed {
        let refused = self.tags.refused;
        let is_one = self.pages.len() == 1;
        let is_line = self.tags.are_in_order() && refused == 0 && self.paging == Paging::Linked;
        let (tags, sifted) = self.tags.finish();
        Listed {
            tags,
            refused,
            sifted,
            pages: (is_one || is_line).then_some(self.pages),
        }
    }

    fn begin_page(&self) -> Result<(), ScanError> {
        if self.pages.len() < self.limits.pages {
            Ok(())
        } else {
            Err(self.limit_passed(self.limits.pages, "pages"))
        }
    }

    fn within_limits(&self) -> Result<(), ScanError> {
        if self.tags.bytes > self.limits.tag_bytes {
            return Err(self.limit_passed(self.limits.tag_bytes, "bytes of tags"));
        }
        if self.tags.len() > self.limits.tags {
            return Err(self.limit_passed(self.limits.tags, "tags"));
        }
        Ok(())
    }

    fn address(&self, query: &[(&str, &str)]) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        format!("/v2/{}/tags/list?{query}", self.repository.path())
    }

    fn after_last(&self) -> Next {
        let size = self.page_size.to_string();
        Next::Page(self.address(&[("n", &size), ("last", self.tags.last())]))
    }

    fn resolve(&self, url: &Url, link: &str) -> Result<Target, ScanError> {
        let left = |next: &str| ScanError::PagingLeft {
            repository: self.repository.clone(),
            next: one_line(next.as_bytes()),
        };
        let target = url.join(link).map_err(|_| left(link))?;
        let same_place = target[..Position::BeforePath] == url[..Position::BeforePath];
        if !same_place || target.path() != url.path() {
            let place = &target[Position::BeforeHost..Position::AfterPath];
            return Err(left(&format!("{}://{place}", target.scheme())));
        }
        let next = target[Position::BeforePath..Position::AfterQuery].to_owned();
        if self.asked.contains(&next) {
            return Err(self.goes_in_circles(&next));
        }
        let last = target.query_pairs().find(|(key, _)| key == "last");
        let after = last.and_then(|(_, value)| value.parse().ok());
        Ok(Target { next, after })
    }

    fn read(&mut self, url: &Url, body: &[u8], after: Option<&Tag>) -> Result<Page, ScanError> {
        let mut reading = Reading {
            tags: &mut self.tags,
            most: self.limits.tags,
            after: after.map(Tag::as_str),
            page: Page::default(),
        };
        let read = page::read(body, &mut reading);
        let page = reading.page;
        read.map_err(|error| match error {
            PageError::TooMany => self.limit_passed(self.limits.tags, "tags"),
            PageError::Ends => ScanError::Truncated {
                repository: self.repository.clone(),
                reason: format!("page {} ends in the middle", self.pages.len() + 1),
            },
            PageError::NoPage(reason) => ScanError::Malformed {
                image: self.repository.to_string(),
                host: url.authority().to_owned(),
                reason: format!("it is no list of tags ({reason})"),
            },
        })?;
        self.within_limits()?;
        Ok(page)
    }

    /// Whether a page of this many entries may be one that the registry cut off.
    ///
    /// Registries cut at round numbers. More than what was asked for is a registry that does not
    /// page.
    fn may_be_full(&self, size: usize) -> bool {
        size > 0 && size <= self.page_size && size.is_multiple_of(50)
    }

    fn goes_in_circles(&self, next: &str) -> ScanError {
        ScanError::PagingLoop {
            repository: self.repository.clone(),
            next: one_line(next.as_bytes()),
        }
    }

    fn limit_passed(&self, limit: usize, unit: &'static str) -> ScanError {
        ScanError::LimitPassed {
            image: self.repository.to_string(),
            limit,
            unit,
        }
    }
}

/// What is known of a page after it was read.
#[derive(Debug, Default)]
struct Page {
    /// How many entries it has.
    size: usize,
    /// How many of its tags were on no page before.
    fresh: usize,
    /// Whether one of them is a tag.
    has_tags: bool,
    /// Whether the tag is on it after which the next page begins.
    holds_after: bool,
}

/// A page that is being read into a listing.
struct Reading<'r, 's> {
    tags: &'r mut Collected<'s>,
    most: usize,
    after: Option<&'r str>,
    page: Page,
}

impl Entries for Reading<'_, '_> {
    fn take(&mut self, entry: &str) -> bool {
        self.page.size += 1;
        if Tag::is_one(entry) {
            self.page.has_tags = true;
            self.page.holds_after |= self.after == Some(entry);
            self.page.fresh += usize::from(self.tags.add(entry));
        } else {
            self.tags.refused += 1;
        }
        self.page.size.max(self.tags.len() + self.tags.refused) <= self.most
    }
}

#[cfg(test)]
mod tests;
