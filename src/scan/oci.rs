//! The client of registries that speak the OCI distribution protocol, which is Docker's version 2.

#![expect(
    clippy::disallowed_methods,
    reason = "an edge file: a scan says when it was finished"
)]

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{
    Method, StatusCode,
    header::{ETAG, HeaderMap},
};
use tokio::{task::yield_now, time::Instant};

use super::{
    Access, Depth, Registry, Scan, ScanError, Sieve, Signature, Store, TagFacts, TrustedKeys,
    budget::{Allowance, Budgets},
    caller::{Content, Reply},
    header,
    inspect::Inspection,
    limits::Limits,
    listing::{Listing, Next},
    metadata::gather,
    reader::{self, Key},
    session::{Ask, Commons, Session},
    signed,
    store::{Known, Saved, SavedPage},
    token::Tokens,
    wire::PlainWires,
};
use crate::{
    egress::Egress,
    image::{Digest, Repository, Tag},
};

/// The longest name of a listing's state that is remembered.
const MAX_ETAG: usize = 256;

/// The registries of the world; one for the process, cheap to clone.
///
/// It remembers tokens, what registries said about being asked, and what is in its [`Store`].
#[derive(Clone, Debug)]
pub struct OciRegistry {
    egress: Egress,
    tokens: Arc<Tokens>,
    plain: Arc<PlainWires>,
    budgets: Arc<Budgets>,
    store: Arc<Store>,
    tenant: Arc<str>,
    limits: Limits,
}

impl OciRegistry {
    /// A client without any token yet, which remembers until it is dropped.
    pub fn new(egress: Egress) -> Self {
        Self::with_limits(egress, Limits::default())
    }

    /// A client with the operator's own bounds.
    pub fn with_limits(egress: Egress, limits: Limits) -> Self {
        Self {
            egress,
            tokens: Arc::default(),
            plain: Arc::default(),
            budgets: Arc::default(),
            store: Arc::default(),
            tenant: Arc::from(""),
            limits,
        }
    }

    /// The same client, which remembers in `store`.
    #[must_use]
    pub fn remembering(self, store: Store) -> Self {
        Self {
            store: Arc::new(store),
            ..self
        }
    }

    /// The same client for one tenant, who shares neither tokens nor memories with any other.
    ///
    /// How much a registry is asked stays one number for all of them.
    #[must_use]
    pub fn of_tenant(&self, tenant: &str) -> Self {
        Self {
            tenant: Arc::from(tenant),
            ..self.clone()
        }
    }

    /// How much each registry that was asked may be asked at this moment.
    pub fn allowances(&self) -> Vec<Allowance> {
        self.budgets.allowances()
    }

    fn session<'s>(
        &'s self,
        repository: &'s Repository,
        image: String,
        access: &Access,
    ) -> Result<Session<'s>, ScanError> {
        let commons = Commons {
            egress: &self.egress,
            tokens: &self.tokens,
            plain: &self.plain,
            budgets: &self.budgets,
            tenant: &self.tenant,
            limits: self.limits,
        };
        Session::new(commons, repository, image, access)
    }

    fn inspection<'s>(
        &'s self,
        repository: &'s Repository,
        tag: &Tag,
        access: &Access,
    ) -> Result<Inspection<'s>, ScanError> {
        let image = repository.with_tag(tag.clone()).to_string();
        self.inspection_of(repository, image, access)
    }

    /// A conversation about what errors call `image`.
    pub(super) fn inspection_of<'s>(
        &'s self,
        repository: &'s Repository,
        image: String,
        access: &Access,
    ) -> Result<Inspection<'s>, ScanError> {
        Ok(Inspection {
            session: self.session(repository, image.clone(), access)?,
            repository,
            image,
            limits: self.limits,
        })
    }

    /// Reads page after page, each while the next one is on its way; one that is as it was `saved` is not sent again, where the registry
    /// has names for states.
    async fn list(
        &self,
        session: &mut Session<'_>,
        mut listing: Listing<'_>,
        saved: Option<&Saved>,
    ) -> Result<Answer, ScanError> {
        let mut asked: Vec<SavedPage> = Vec::new();
        let mut is_same = true;
        let mut early = None;
        let mut next = Next::Page(listing.first());
        while let Next::Page(target) = next {
            let known = saved.and_then(|saved| saved.page(asked.len(), &target));
            let reply = match early.take() {
                Some(reply) => reply,
                None => session.fetch(&self.ask(&target, known)).await,
            };
            let reply = match reply {
                Err(error) if refuses_size(&error) => match listing.smaller() {
                    Some((target, size)) => {
                        session.keep_page_size(size);
                        next = Next::Page(target);
                        continue;
                    }
                    None => return Err(error),
                },
                reply => reply?,
            };
            let Reply {
                status,
                headers,
                url,
                body,
            } = reply;
            let etag = match known {
                Some(known) if status == StatusCode::NOT_MODIFIED => {
                    next = listing.take_again(&target, known.tags, known.next)?;
                    known.etag.to_owned()
                }
                None if status == StatusCode::NOT_MODIFIED => {
                    return Err(session.nothing_to_be_same());
                }
                _ => {
                    is_same = false;
                    let link = header::next_page(&headers);
                    let link = link.as_deref();
                    next = if let Some(target) = listing.ahead(&url, link) {
                        let known = saved.and_then(|saved| saved.page(asked.len() + 1, &target));
                        let ask = self.ask(&target, known);
                        let mut fetching = Box::pin(session.fetch(&ask));
                        let begun = begin(fetching.as_mut()).await;
                        let next = listing.take(&url, link, &body)?;
                        early = Some(match begun {
                            Poll::Ready(reply) => reply,
                            Poll::Pending => fetching.await,
                        });
                        next
                    } else {
                        listing.take(&url, link, &body)?
                    };
                    etag_of(&headers).unwrap_or_default()
                }
            };
            asked.push(SavedPage {
                target,
                etag,
                tags: 0,
            });
        }
        if is_same {
            return Ok(Answer::Same);
        }
        let listed = listing.finish();
        let sizes = listed.pages.iter().flatten();
        let pages = asked.into_iter().zip(sizes);
        Ok(Answer::Listed {
            pages: pages
                .map(|(page, tags)| SavedPage {
                    tags: *tags,
                    ..page
                })
                .collect(),
            listed,
        })
    }

    /// What is asked of a page, of which a state may be known.
    fn ask<'t>(&self, target: &'t str, known: Option<Known<'t>>) -> Ask<'t> {
        Ask {
            method: Method::GET,
            target,
            accept: "application/json",
            limit: self.limits.page_bytes,
            known: known.map(|known| known.etag),
            content: Content::Believed,
        }
    }

    async fn listed(
        &self,
        repository: &Repository,
        access: &Access,
        sieve: &Sieve<'_>,
        key: Key,
    ) -> Result<Saved, ScanError> {
        let mut session = self.session(repository, repository.to_string(), access)?;
        let saved = self.store.listing(key);
        let is_recent = access.whole_every.is_some_and(|every| {
            let at = self.store.whole_at(key);
            at.is_some_and(|at| is_within(every, at, Utc::now()))
        });
        if let Some(saved) = saved.as_ref().filter(|_| is_recent)
            && let Some(grown) = self.grown(&mut session, repository, saved, sieve).await?
        {
            self.store.keep_listing(key, &grown);
            return Ok(grown);
        }
        let size = session.page_size();
        let listing = Listing::new(repository, self.limits, size, sieve);
        let answer = self.list(&mut session, listing, saved.as_ref()).await?;
        match (answer, saved) {
            (Answer::Same, Some(saved)) => Ok(saved),
            (Answer::Same, None) => Err(session.nothing_to_be_same()),
            (Answer::Listed { listed, pages }, _) => {
                let fresh = Saved {
                    pages,
                    tags: listed.tags,
                    refused: listed.refused,
                    sifted: listed.sifted,
                };
                let has_name = fresh.pages.iter().any(|page| !page.etag.is_empty());
                let is_wanted = has_name || access.whole_every.is_some();
                if is_wanted && fresh.sifted == 0 {
                    self.store.keep_listing(key, &fresh);
                    if access.whole_every.is_some() {
                        self.store.keep_whole_at(key, Utc::now());
                    }
                }
                Ok(fresh)
            }
        }
    }
}

impl OciRegistry {
    /// What is known, and the tags that come after it; nothing where the registry lists in another
    /// order than by bytes, or takes no notice of where to begin.
    async fn grown(
        &self,
        session: &mut Session<'_>,
        repository: &Repository,
        saved: &Saved,
        sieve: &Sieve<'_>,
    ) -> Result<Option<Saved>, ScanError> {
        let Some(last) = saved.tags.first() else {
            return Ok(None);
        };
        let size = session.page_size();
        let listing = Listing::new(repository, self.limits, size, sieve);
        let answer = self.list(session, listing.after_tag(last.clone()), None);
        let Answer::Listed { listed, .. } = answer.await? else {
            return Err(session.nothing_to_be_same());
        };
        let comes_after = listed.tags.iter().all(|tag| tag > last);
        Ok((comes_after && listed.sifted == 0).then(|| Saved {
            // The states that had these names are over.
            pages: if listed.tags.is_empty() {
                saved.pages.clone()
            } else {
                Vec::new()
            },
            tags: listed
                .tags
                .into_iter()
                .chain(saved.tags.iter().cloned())
                .collect(),
            refused: saved.refused + listed.refused,
            sifted: 0,
        }))
    }
}

fn is_within(every: Duration, at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    // A clock that was set back since says nothing of how long it has been.
    let since = (now - at).to_std();
    since.is_ok_and(|since| since < every)
}

/// What a registry says when it is asked for a listing.
enum Answer {
    /// It is the one that we know.
    Same,
    Listed {
        listed: super::listing::Listed,
        /// What the states of its pages are called.
        pages: Vec<SavedPage>,
    },
}

impl Registry for OciRegistry {
    async fn scan(&self, repository: &Repository, access: &Access) -> Result<Scan, ScanError> {
        self.sift(repository, access, &Sieve::open()).await
    }

    async fn sift(
        &self,
        repository: &Repository,
        access: &Access,
        sieve: &Sieve<'_>,
    ) -> Result<Scan, ScanError> {
        let began = Instant::now();
        let key = reader::listing(&self.tenant, repository, access);
        let Saved {
            tags,
            refused,
            sifted,
            ..
        } = self.listed(repository, access, sieve, key).await?;
        Ok(Scan {
            repository: repository.clone(),
            tags,
            refused,
            sifted,
            finished: Utc::now(),
            took: began.elapsed(),
            facts: std::collections::BTreeMap::new(),
        })
    }

    async fn facts(
        &self,
        repository: &Repository,
        tag: &Tag,
        depth: Depth,
        access: &Access,
    ) -> Result<TagFacts, ScanError> {
        let mut inspection = self.inspection(repository, tag, access)?;
        let digest = inspection.digest(tag).await?;
        let now = Utc::now();
        let sight = reader::sight(&self.tenant, repository, tag, &digest);
        let first_seen = Some(self.store.first_sight(sight, now));
        if depth == Depth::Digest {
            return Ok(TagFacts {
                first_seen,
                digest: Some(digest),
                ..TagFacts::default()
            });
        }
        // Who knows a digest has asked the registry for the tag just now, so nothing is shown that
        // the registry did not show.
        let metadata = if let Some(metadata) = self.store.metadata(&digest) {
            metadata
        } else {
            let metadata = gather(&mut inspection, &digest).await?;
            self.store.keep_metadata(&digest, &metadata);
            metadata
        };
        Ok(TagFacts {
            first_seen,
            ..metadata.facts(digest, now)
        })
    }

    async fn digest(
        &self,
        repository: &Repository,
        tag: &Tag,
        access: &Access,
    ) -> Result<Digest, ScanError> {
        self.inspection(repository, tag, access)?.digest(tag).await
    }

    async fn signature(
        &self,
        repository: &Repository,
        digest: &Digest,
        keys: &TrustedKeys,
        access: &Access,
    ) -> Result<Signature, ScanError> {
        let image = format!("{repository}@{digest}");
        let mut inspection = self.inspection_of(repository, image, access)?;
        signed::look(&mut inspection, digest, keys).await
    }
}

/// Begins `future` and lets the connection's own task send what it handed over; gives the output where
/// it is there already.
async fn begin<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    let begun = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    yield_now().await;
    begun
}

/// Whether a registry may have refused a listing because too many tags were asked for at once.
fn refuses_size(error: &ScanError) -> bool {
    matches!(
        error,
        ScanError::Failed {
            status: 400 | 413 | 414 | 416 | 422,
            ..
        }
    )
}

/// What the registry calls the state of what it answered; a weak name is one too.
fn etag_of(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(ETAG)?.to_str().ok()?;
    (!text.is_empty() && text.len() <= MAX_ETAG).then(|| text.to_owned())
}
