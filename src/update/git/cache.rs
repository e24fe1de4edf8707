//! A small memory of inflated pack entries, so that a chain of deltas is not inflated from its
//! bottom for every object on it.

use gix::objs::Kind;
use gix_pack::cache::DecodeEntry;

/// How many entries are remembered at most.
const SLOTS: usize = 4096;
/// How large a remembered entry is at most.
const MAX_ENTRY: usize = 16 * 1024;
/// How large all of them are together, for each thread that reads.
const MAX_SIZE: usize = 2 * 1024 * 1024;

/// A table in which each place in a pack has one slot, and the newest entry takes it. When it is full,
/// it starts over: what is read in the order of a pack needs its neighbours alone.
pub(super) struct PackCache {
    slots: Vec<Option<Slot>>,
    /// How many bytes the entries take.
    size: usize,
}

struct Slot {
    pack: u32,
    offset: u64,
    kind: Kind,
    compressed_size: usize,
    bytes: Vec<u8>,
}

impl PackCache {
    pub(super) fn new() -> Self {
        let mut slots = Vec::new();
        slots.resize_with(SLOTS, || None);
        Self { slots, size: 0 }
    }

    fn slot(&mut self, pack: u32, offset: u64) -> Option<&mut Option<Slot>> {
        // Neighbours in a pack are some hundred bytes apart: a multiplication spreads them.
        let mixed = (offset ^ u64::from(pack) << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let index = usize::try_from(mixed >> 52).ok()?;
        self.slots.get_mut(index)
    }
}

impl DecodeEntry for PackCache {
    fn put(&mut self, pack: u32, offset: u64, data: &[u8], kind: Kind, compressed_size: usize) {
        if data.len() > MAX_ENTRY {
            return;
        }
        if self.size + data.len() > MAX_SIZE {
            *self = Self::new();
        }
        let Some(slot) = self.slot(pack, offset) else {
            return;
        };
        // The old entry's memory is taken over.
        let mut bytes = slot.take().map(|old| old.bytes).unwrap_or_default();
        let before = bytes.capacity();
        if before < data.len() {
            bytes = data.to_vec();
        } else {
            bytes.clear();
            bytes.extend_from_slice(data);
        }
        let after = bytes.capacity();
        *slot = Some(Slot {
            pack,
            offset,
            kind,
            compressed_size,
            bytes,
        });
        self.size = self.size + after - before;
    }

    fn get(&mut self, pack: u32, offset: u64, out: &mut Vec<u8>) -> Option<(Kind, usize)> {
        let slot = self.slot(pack, offset)?.as_ref()?;
        if (slot.pack, slot.offset) != (pack, offset) {
            return None;
        }
        out.clear();
        out.extend_from_slice(&slot.bytes);
        Some((slot.kind, slot.compressed_size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_given_back_for_its_own_place_only() {
        let mut cache = PackCache::new();
        let mut out = b"old".to_vec();
        cache.put(1, 12, b"bytes", Kind::Blob, 5);
        assert_eq!(cache.get(1, 12, &mut out), Some((Kind::Blob, 5)));
        assert_eq!(out, b"bytes");
        assert_eq!(cache.get(2, 12, &mut out), None);
        assert_eq!(cache.get(1, 13, &mut out), None);
        cache.put(1, 12, &vec![0; MAX_ENTRY + 1], Kind::Blob, 5);
        cache.get(1, 12, &mut out);
        assert_eq!(out, b"bytes", "a large entry displaces nothing");
    }

    #[test]
    fn it_is_bounded() {
        let mut cache = PackCache::new();
        let entry = vec![0; MAX_ENTRY];
        let kept = |cache: &PackCache| -> usize {
            let slots = cache.slots.iter().flatten();
            slots.map(|slot| slot.bytes.capacity()).sum()
        };
        for number in 0..10_000 {
            cache.put(1, number * 1000, &entry, Kind::Blob, 5);
            assert_eq!(kept(&cache), cache.size);
            assert!(cache.size <= MAX_SIZE, "{number}");
        }
    }
}
