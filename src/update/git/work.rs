//! Work on other threads: what comes of it, and how it is told to stop.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::task::JoinError;

use super::RemoteError;

/// The result of work on another thread; a panic there goes on here.
pub(super) fn joined<T>(
    result: Result<Result<T, RemoteError>, JoinError>,
    remote: &str,
) -> Result<T, RemoteError> {
    match result {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(RemoteError::Store {
                remote: remote.to_owned(),
                attempt: "finish the work on the objects",
                source: io::Error::other(error),
            }),
        },
    }
}

/// Tells work on other threads to stop once nobody waits for it.
#[derive(Default)]
pub(super) struct Cancel(pub(super) Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
