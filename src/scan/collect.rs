//! The tags of a listing that is under way: all of them as long as they are few, and of many those
//! that somebody asked for.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher as _,
};

use super::Sieve;
use crate::image::Tag;

/// How many tags are kept whatever the sieve says, so that nearly every listing is a whole one.
const KEPT_ANYWAY: usize = 100_000;

/// The tags so far.
#[derive(Debug)]
pub(super) struct Collected<'s> {
    sieve: &'s Sieve<'s>,
    kept_anyway: usize,
    kept: HashSet<Tag>,
    /// The hashes of the tags that were let go: two that share one are counted as one.
    sifted: HashSet<u64>,
    hasher: RandomState,
    is_sifting: bool,
    pub(super) refused: usize,
    pub(super) bytes: usize,
}

impl<'s> Collected<'s> {
    pub(super) fn new(sieve: &'s Sieve<'s>) -> Self {
        Self {
            sieve,
            kept_anyway: KEPT_ANYWAY,
            kept: HashSet::new(),
            sifted: HashSet::new(),
            hasher: RandomState::new(),
            is_sifting: false,
            refused: 0,
            bytes: 0,
        }
    }

    /// Adds a tag, and says whether it is new.
    pub(super) fn add(&mut self, tag: Tag) -> bool {
        let length = tag.as_str().len();
        let is_new = if self.is_sifting && !self.sieve.keeps(tag.as_str()) {
            self.sifted.insert(self.hasher.hash_one(&tag))
        } else {
            self.kept.insert(tag)
        };
        if is_new {
            self.bytes += length;
            if !self.is_sifting && self.kept.len() > self.kept_anyway {
                self.begin_sifting();
            }
        }
        is_new
    }

    pub(super) fn contains(&self, tag: &Tag) -> bool {
        self.kept.contains(tag)
            || !self.sifted.is_empty() && self.sifted.contains(&self.hasher.hash_one(tag))
    }

    /// How many different tags there were.
    pub(super) fn len(&self) -> usize {
        self.kept.len() + self.sifted.len()
    }

    /// The tags that were kept, in descending byte order, and how many were let go.
    pub(super) fn finish(self) -> (Vec<Tag>, usize) {
        let mut tags: Vec<_> = self.kept.into_iter().collect();
        tags.sort_unstable_by(|left, right| right.cmp(left));
        (tags, self.sifted.len())
    }

    fn begin_sifting(&mut self) {
        self.is_sifting = true;
        if self.sieve.is_open() {
            return;
        }
        let (sieve, hasher, sifted) = (self.sieve, &self.hasher, &mut self.sifted);
        self.kept.retain(|tag| {
            let is_kept = sieve.keeps(tag.as_str());
            if !is_kept {
                sifted.insert(hasher.hash_one(tag));
            }
            is_kept
        });
        self.kept.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds the tags `1.0.0` to `1.9.0`, each twice, of which `kept_anyway` are kept anyway.
    fn check(kept_anyway: usize, sieve: &Sieve<'_>, kept: usize, sifted: usize) {
        let mut collected = Collected::new(sieve);
        collected.kept_anyway = kept_anyway;
        let tags = (0..10).map(|number| format!("1.{number}.0"));
        for round in 0..2 {
            for tag in tags.clone() {
                let is_new = collected.add(tag.parse().expect("a tag"));
                assert_eq!(is_new, round == 0, "{tag}");
                assert!(collected.contains(&tag.parse().expect("a tag")));
            }
        }
        assert!(!collected.contains(&"2.0.0".parse().expect("a tag")));
        assert_eq!((collected.len(), collected.bytes), (10, 50));
        let (tags, gone) = collected.finish();
        assert_eq!((tags.len(), gone), (kept, sifted));
        assert!(tags.is_sorted_by(|left, right| left > right));
    }

    #[test]
    fn many_tags_are_sifted_and_every_one_is_counted() {
        let even = |tag: &str| matches!(tag, "1.0.0" | "1.2.0" | "1.4.0" | "1.6.0" | "1.8.0");
        let even = Sieve::new(&even);
        check(10, &even, 10, 0);
        check(9, &even, 5, 5);
        check(3, &even, 5, 5);
        check(0, &even, 5, 5);
        check(0, &Sieve::open(), 10, 0);
    }
}
