//! A line that moves while registries are asked, on a terminal only.

use std::{
    io::IsTerminal as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    image::{Digest, Repository, Tag},
    scan::{Access, Depth, Registry, Scan, ScanError, Sieve, Signature, TagFacts, TrustedKeys},
};

/// A registry that shows what it is asked.
pub(super) struct Watched<R> {
    registry: R,
    bar: ProgressBar,
    done: AtomicU64,
}

impl<R> Watched<R> {
    /// Shows progress where standard error is a terminal and `is_wanted`.
    pub(super) fn new(registry: R, is_wanted: bool) -> Self {
        let bar = if is_wanted && std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        } else {
            ProgressBar::hidden()
        };
        bar.set_message("reading");
        Self {
            registry,
            bar,
            done: AtomicU64::new(0),
        }
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl<R: Registry> Registry for Watched<R> {
    async fn scan(&self, repository: &Repository, access: &Access) -> Result<Scan, ScanError> {
        self.sift(repository, access, &Sieve::open()).await
    }

    async fn sift(
        &self,
        repository: &Repository,
        access: &Access,
        sieve: &Sieve<'_>,
    ) -> Result<Scan, ScanError> {
        self.bar.set_message(format!("scanning {repository}"));
        let scan = self.registry.sift(repository, access, sieve).await;
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        self.bar.set_message(format!("{done} repositories scanned"));
        scan
    }

    async fn facts(
        &self,
        repository: &Repository,
        tag: &Tag,
        depth: Depth,
        access: &Access,
    ) -> Result<TagFacts, ScanError> {
        self.bar
            .set_message(format!("looking into {repository}:{tag}"));
        self.registry.facts(repository, tag, depth, access).await
    }

    async fn digest(
        &self,
        repository: &Repository,
        tag: &Tag,
        access: &Access,
    ) -> Result<Digest, ScanError> {
        self.bar
            .set_message(format!("resolving {repository}:{tag}"));
        self.registry.digest(repository, tag, access).await
    }

    async fn signature(
        &self,
        repository: &Repository,
        digest: &Digest,
        keys: &TrustedKeys,
        access: &Access,
    ) -> Result<Signature, ScanError> {
        self.bar
            .set_message(format!("looking who signed {repository}"));
        let signature = self.registry.signature(repository, digest, keys, access);
        signature.await
    }
}
