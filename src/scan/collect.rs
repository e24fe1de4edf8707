//! The tags of a listing that is under way: all of them as long as they are few, and of many those
//! that somebody asked for.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, BuildHasherDefault, Hasher},
};

use foldhash::quality::RandomState;

use super::Sieve;
use crate::image::Tag;

/// How many tags are kept whatever the sieve says, so that nearly every listing is a whole one.
const KEPT_ANYWAY: usize = 100_000;

/// The tags so far.
#[derive(Debug)]
pub(super) struct Collected<'s> {
    sieve: &'s Sieve<'s>,
    kept_anyway: usize,
    is_sifting: bool,
    hasher: RandomState,
    tags: Tags,
    /// The text of the tag that was added last; empty before the first one.
    last: String,
    pub(super) refused: usize,
    pub(super) bytes: usize,
}

/// The tags that were kept, and the hashes of those that were let go: two tags that share one are
/// counted as one.
#[derive(Debug)]
enum Tags {
    /// Each came after the one before by its bytes, as nearly all registries serve them: the next
    /// one that does so is new.
    InOrder { kept: Vec<Tag>, sifted: Vec<u64> },
    /// One did not, so each is looked up.
    Mixed {
        kept: HashSet<Tag>,
        sifted: HashSet<u64, BuildHasherDefault<AsItIs>>,
    },
}

/// The hasher of what is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl<'s> Collected<'s> {
    pub(super) fn new(sieve: &'s Sieve<'s>) -> Self {
        Self {
            sieve,
            kept_anyway: KEPT_ANYWAY,
            is_sifting: false,
            hasher: RandomState::default(),
            tags: Tags::InOrder {
                kept: Vec::new(),
                sifted: Vec::new(),
            },
            last: String::new(),
            refused: 0,
            bytes: 0,
        }
    }

    /// Adds the tag that `text` is, and says whether it is new.
    pub(super) fn add(&mut self, text: &str) -> bool {
        if self.are_in_order() && text <= self.last.as_str() {
            self.tags.mix();
        }
        text.clone_into(&mut self.last);
        let is_new = if self.is_sifting && !self.sieve.keeps(text) {
            self.tags.count(self.hasher.hash_one(text))
        } else {
            self.tags.keep(Tag::known(text))
        };
        if is_new {
            self.bytes += text.len();
            if !self.is_sifting && self.tags.kept() > self.kept_anyway {
                self.begin_sifting();
            }
        }
        is_new
    }

    pub(super) fn contains(&self, tag: &Tag) -> bool {
        let hash = || self.hasher.hash_one(tag.as_str());
        match &self.tags {
            Tags::InOrder { kept, sifted } => {
                kept.binary_search(tag).is_ok() || !sifted.is_empty() && sifted.contains(&hash())
            }
            Tags::Mixed { kept, sifted } => {
                kept.contains(tag) || !sifted.is_empty() && sifted.contains(&hash())
            }
        }
    }

    /// How many different tags there were.
    pub(super) fn len(&self) -> usize {
        self.tags.kept() + self.tags.sifted()
    }

    /// The text of the tag that was added last; empty before the first one.
    pub(super) fn last(&self) -> &str {
        &self.last
    }

    /// Whether each tag came after the one before by its bytes.
    pub(super) const fn are_in_order(&self) -> bool {
        matches!(self.tags, Tags::InOrder { .. })
    }

    /// The tags that were kept, in descending byte order, and how many were let go.
    pub(super) fn finish(self) -> (Vec<Tag>, usize) {
        let sifted = self.tags.sifted();
        let tags = match self.tags {
            Tags::InOrder { mut kept, .. } => {
                kept.reverse();
                kept
            }
            Tags::Mixed { kept, .. } => {
                let mut tags: Vec<_> = kept.into_iter().collect();
                tags.sort_unstable_by(|left, right| right.cmp(left));
                tags
            }
        };
        (tags, sifted)
    }

    fn begin_sifting(&mut self) {
        self.is_sifting = true;
        if self.sieve.is_open() {
            return;
        }
        let (sieve, hasher) = (self.sieve, &self.hasher);
        match &mut self.tags {
            Tags::InOrder { kept, sifted } => {
                kept.retain(|tag| {
                    let is_kept = sieve.keeps(tag.as_str());
                    if !is_kept {
                        sifted.push(hasher.hash_one(tag.as_str()));
                    }
                    is_kept
                });
                kept.shrink_to_fit();
            }
            Tags::Mixed { kept, sifted } => {
                kept.retain(|tag| {
                    let is_kept = sieve.keeps(tag.as_str());
                    if !is_kept {
                        sifted.insert(hasher.hash_one(tag.as_str()));
                    }
                    is_kept
                });
                kept.shrink_to_fit();
            }
        }
    }
}

impl Tags {
    fn kept(&self) -> usize {
        match self {
            Self::InOrder { kept, .. } => kept.len(),
            Self::Mixed { kept, .. } => kept.len(),
        }
    }

    fn sifted(&self) -> usize {
        match self {
            Self::InOrder { sifted, .. } => sifted.len(),
            Self::Mixed { sifted, .. } => sifted.len(),
        }
    }

    /// Keeps a tag, and says whether it is new.
    fn keep(&mut self, tag: Tag) -> bool {
        match self {
            Self::InOrder { kept, .. } => {
                kept.push(tag);
                true
            }
            Self::Mixed { kept, .. } => kept.insert(tag),
        }
    }

    /// Counts the tag with this hash, which is let go, and says whether it is new.
    fn count(&mut self, hash: u64) -> bool {
        match self {
            Self::InOrder { sifted, .. } => {
                sifted.push(hash);
                true
            }
            Self::Mixed { sifted, .. } => sifted.insert(hash),
        }
    }

    fn mix(&mut self) {
        if let Self::InOrder { kept, sifted } = self {
            *self = Self::Mixed {
                kept: std::mem::take(kept).into_iter().collect(),
                sifted: std::mem::take(sifted).into_iter().collect(),
            };
        }
    }
}

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds the tags `1.0.0` to `1.9.0`, each twice, of which `kept_anyway` are kept anyway, in one
    /// order and in the other.
    fn check(kept_anyway: usize, sieve: &Sieve<'_>, kept: usize, sifted: usize) {
        let numbers = (0..10).collect::<Vec<_>>();
        check_in(&numbers, kept_anyway, sieve, kept, sifted);
        let numbers = (0..10).rev().collect::<Vec<_>>();
        check_in(&numbers, kept_anyway, sieve, kept, sifted);
    }

    fn check_in(
        numbers: &[u32],
        kept_anyway: usize,
        sieve: &Sieve<'_>,
        kept: usize,
        sifted: usize,
    ) {
        let mut collected = Collected::new(sieve);
        collected.kept_anyway = kept_anyway;
        let tags = numbers.iter().map(|number| format!("1.{number}.0"));
        for round in 0..2 {
            for tag in tags.clone() {
                let is_new = collected.add(&tag);
                assert_eq!(collected.last(), tag);
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
