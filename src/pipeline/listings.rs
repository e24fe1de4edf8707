//! One listing for all policies of the same image and the same rights.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::OnceCell;

use crate::{
    config::Connection,
    image::Repository,
    scan::{Access, Registry, Scan, ScanError},
};

/// What a listing is shared by: never by anything less than the same image and the same rights.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    connection: Connection,
    repository: Repository,
}

type Listing = Result<Arc<Scan>, Arc<ScanError>>;

/// The listings of one run.
#[derive(Debug, Default)]
pub struct Listings {
    cells: Mutex<HashMap<Key, Arc<OnceCell<Listing>>>>,
}

impl Listings {
    /// Lists `repository`, or gives what an earlier caller got in this run.
    ///
    /// # Errors
    ///
    /// What the registry's answer was; it is not asked again in this run.
    pub async fn scan<R: Registry>(
        &self,
        registry: &R,
        repository: &Repository,
        connection: &Connection,
        access: &Access,
    ) -> Listing {
        let key = Key {
            connection: connection.clone(),
            repository: repository.clone(),
        };
        let cell = {
            // A panic while the lock is held leaves a complete map: a poisoned lock is usable.
            let mut cells = self
                .cells
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            Arc::clone(cells.entry(key).or_default())
        };
        let listing = cell.get_or_init(|| async {
            let listing = registry.scan(repository, access).await;
            match &listing {
                Ok(scan) => tracing::info!(
                    repository = %repository, tags = scan.tags.len(), took = ?scan.took, "scanned"
                ),
                Err(error) => tracing::debug!(repository = %repository, %error, "scan failed"),
            }
            listing.map(Arc::new).map_err(Arc::new)
        });
        listing.await.clone()
    }
}
