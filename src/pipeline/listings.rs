//! One listing for all policies of the same image and the same rights.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::OnceCell;

use crate::{
    config::Connection,
    image::Repository,
    policy::Policy,
    scan::{Access, Registry, Scan, ScanError, Sieve},
    update::PolicyKey,
};

/// What a listing is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The image.
    pub repository: &'a Repository,
    /// With which rights and by which way it is configured to be listed.
    pub connection: &'a Connection,
    /// The same, opened.
    pub access: &'a Access,
    /// The policies that will look at it. Of a very long listing, only the tags are kept that one of
    /// them considers.
    pub company: &'a [(PolicyKey, Policy)],
}

/// What a listing is shared by: never by anything less than the same image and the same rights.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    connection: Connection,
    repository: Repository,
    /// For whom it was sifted; nothing where that was not needed to tell listings apart.
    sifted_for: Option<BTreeSet<PolicyKey>>,
}

/// What a listing came to.
pub type Listing = Result<Arc<Scan>, Arc<ScanError>>;

#[derive(Clone, Debug)]
struct Shared {
    result: Listing,
    /// For whom it was sifted, if it was.
    sifted_for: BTreeSet<PolicyKey>,
}

/// The listings of one run.
#[derive(Debug, Default)]
pub struct Listings {
    cells: Mutex<HashMap<Key, Arc<OnceCell<Shared>>>>,
}

impl Listings {
    /// Takes over the whole listing that somebody made before this run, who asked with the same rights.
    pub fn know(&self, repository: &Repository, connection: &Connection, listing: Listing) {
        let key = Key {
            connection: connection.clone(),
            repository: repository.clone(),
            sifted_for: None,
        };
        let shared = Shared {
            result: listing,
            sifted_for: BTreeSet::new(),
        };
        let cell = Arc::new(OnceCell::new_with(Some(shared)));
        self.locked().insert(key, cell);
    }

    /// The cells; a panic while the lock is held leaves a complete map, so a poisoned lock is usable.
    fn locked(&self) -> MutexGuard<'_, HashMap<Key, Arc<OnceCell<Shared>>>> {
        self.cells
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Lists a repository, or gives what an earlier caller got in this run.
    ///
    /// # Errors
    ///
    /// What the registry's answer was; it is not asked again in this run.
    pub async fn scan<R: Registry>(
        &self,
        registry: &R,
        asked: &Asked<'_>,
    ) -> Result<Arc<Scan>, Arc<ScanError>> {
        let company = asked.company.iter().map(|(key, _)| key.clone());
        let company = company.collect::<BTreeSet<_>>();
        let first = self.listing(registry, asked, None, &company).await;
        let is_whole = first.result.as_ref().map_or(true, |scan| scan.sifted == 0);
        if is_whole || company.is_subset(&first.sifted_for) {
            return first.result;
        }
        // It was sifted for others; that is rare, since it takes a very long listing, and policies
        // that do not meet in one automation.
        let key = Some(company.clone());
        let second = self.listing(registry, asked, key, &company).await;
        second.result
    }

    async fn listing<R: Registry>(
        &self,
        registry: &R,
        asked: &Asked<'_>,
        sifted_for: Option<BTreeSet<PolicyKey>>,
        company: &BTreeSet<PolicyKey>,
    ) -> Shared {
        let key = Key {
            connection: asked.connection.clone(),
            repository: asked.repository.clone(),
            sifted_for,
        };
        let cell = Arc::clone(self.locked().entry(key).or_default());
        let listing = cell.get_or_init(|| async {
            let is_considered = |tag: &str| {
                asked
                    .company
                    .iter()
                    .any(|(_, policy)| policy.considers(tag))
            };
            let sieve = if asked.company.is_empty() {
                Sieve::open()
            } else {
                Sieve::new(&is_considered)
            };
            let repository = asked.repository;
            let listing = registry.sift(repository, asked.access, &sieve).await;
            match &listing {
                Ok(scan) => tracing::info!(
                    repository = %repository, tags = scan.tags.len() + scan.sifted,
                    took = ?scan.took, "scanned"
                ),
                Err(error) => tracing::debug!(repository = %repository, %error, "scan failed"),
            }
            Shared {
                result: listing.map(Arc::new).map_err(Arc::new),
                sifted_for: company.clone(),
            }
        });
        listing.await.clone()
    }
}
