//! What clouds gave, kept for a while: a thousand scans that need the same token ask once.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::CloudError;

/// How long a token is used at most, so that a right that was taken back does not outlive it for long.
const LONGEST_USE: Duration = Duration::from_mins(15);
/// How many are kept.
const MAX_KEPT: usize = 4096;

/// Something that a cloud gave, and how long it is good for; what has ended already is used once.
#[derive(Debug)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) life: Duration,
}

/// What is kept, by what it was asked for with.
#[derive(Debug)]
pub(super) struct Kept<K, T>(Mutex<HashMap<K, Arc<Cell<T>>>>);

/// One thing that is kept; whoever needs it while it is asked for waits.
type Cell<T> = tokio::sync::Mutex<Option<(T, Instant)>>;

impl<K, T> Default for Kept<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Given<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Given<U> {
        Given {
            value: change(self.value),
            life: self.life,
        }
    }
}

impl<K: Eq + Hash, T: Clone> Kept<K, T> {
    /// What is kept by `key`, or else what `ask` gives.
    pub(super) async fn get(
        &self,
        key: K,
        ask: impl Future<Output = Result<Given<T>, CloudError>>,
    ) -> Result<T, CloudError> {
        let cell = self.cell(key);
        let mut kept = cell.lock().await;
        if let Some((value, until)) = &*kept
            && *until > Instant::now()
        {
            return Ok(value.clone());
        }
        *kept = None;
        let Given { value, life } = ask.await?;
        let use_for = (life * 4 / 5).min(LONGEST_USE);
        if !use_for.is_zero() {
            *kept = Some((value.clone(), Instant::now() + use_for));
        }
        Ok(value)
    }

    fn cell(&self, key: K) -> Arc<Cell<T>> {
        // The map is whole whenever the lock is free, even after a panic.
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Losing one costs one request; those that are in use are not forgotten.
        if cells.len() >= MAX_KEPT && !cells.contains_key(&key) {
            cells.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        Arc::clone(cells.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Asks a hundred times at once, then again after so many seconds; gives how often it was asked.
    async fn asked(life: u64, wait: u64) -> (usize, usize) {
        let (kept, count) = (Kept::default(), AtomicUsize::new(0));
        let ask = async || {
            let asking = async {
                tokio::task::yield_now().await;
                count.fetch_add(1, Ordering::Relaxed);
                let life = Duration::from_secs(life);
                Ok(Given { value: (), life })
            };
            kept.get("key", asking).await.expect("it is given");
        };
        futures_util::future::join_all((0..100).map(|_| ask())).await;
        let first = count.load(Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(wait)).await;
        ask().await;
        (first, count.load(Ordering::Relaxed) - first)
    }

    #[tokio::test(start_paused = true)]
    async fn c11_c12_a_token_is_asked_for_once_and_used_for_a_while() {
        assert_eq!(asked(600, 479).await, (1, 0), "before 80 % of its life");
        assert_eq!(asked(600, 481).await, (1, 1), "after 80 % of its life");
        assert_eq!(
            asked(43_200, 899).await,
            (1, 0),
            "before a quarter of an hour"
        );
        assert_eq!(
            asked(43_200, 901).await,
            (1, 1),
            "after a quarter of an hour"
        );
        assert_eq!(asked(0, 0).await, (100, 1), "what has ended is used once");
    }
}
