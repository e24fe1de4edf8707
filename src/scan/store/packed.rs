//! A listing in few bytes: each tag as its difference to the one before, and all of it compressed.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};

use super::{Saved, SavedPage};
use crate::image::Tag;

/// The most that a listing is unpacked to.
const MAX_UNPACKED: u64 = 512 * 1024 * 1024;

/// Packs a listing: its pages, how many entries were refused, and the tags in order.
pub(super) fn pack(listing: &Saved) -> Vec<u8> {
    let mut plain = Vec::new();
    plain.extend((listing.pages.len() as u64).to_be_bytes());
    for page in &listing.pages {
        put(&mut plain, page.target.as_bytes());
        put(&mut plain, page.etag.as_bytes());
        plain.extend((page.tags as u64).to_be_bytes());
    }
    plain.extend((listing.refused as u64).to_be_bytes());
    let mut before: &[u8] = &[];
    for tag in &listing.tags {
        let tag = tag.as_str().as_bytes();
        let pairs = before.iter().zip(tag);
        let shared = pairs.take_while(|(left, right)| left == right).count();
        plain.extend(u8::try_from(shared));
        plain.extend(u8::try_from(tag.len() - shared));
        plain.extend(&tag[shared..]);
        before = tag;
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(&plain).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// Unpacks a listing, or gives nothing where the bytes are not one.
pub(super) fn unpack(packed: &[u8]) -> Option<Saved> {
    let mut plain = Vec::new();
    let read = ZlibDecoder::new(packed)
        .take(MAX_UNPACKED)
        .read_to_end(&mut plain);
    read.ok()?;
    let mut rest = plain.as_slice();
    let mut pages = Vec::new();
    for _ in 0..take_number(&mut rest)? {
        pages.push(SavedPage {
            target: take_text(&mut rest)?,
            etag: take_text(&mut rest)?,
            tags: take_number(&mut rest)?,
        });
    }
    let refused = take_number(&mut rest)?;
    let mut tags: Vec<Tag> = Vec::new();
    while !rest.is_empty() {
        let [shared, length]: [u8; 2] = take(&mut rest, 2)?.try_into().ok()?;
        let before = tags.last().map_or("", Tag::as_str);
        let shared = before.get(..usize::from(shared))?;
        let fresh = std::str::from_utf8(take(&mut rest, usize::from(length))?).ok()?;
        tags.push(format!("{shared}{fresh}").parse().ok()?);
    }
    Some(Saved {
        pages,
        tags,
        refused,
        sifted: 0,
    })
}

fn put(plain: &mut Vec<u8>, text: &[u8]) {
    plain.extend((text.len() as u64).to_be_bytes());
    plain.extend(text);
}

fn take<'r>(rest: &mut &'r [u8], count: usize) -> Option<&'r [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let number = u64::from_be_bytes(take(rest, 8)?.try_into().ok()?);
    usize::try_from(number).ok()
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let length = take_number(rest)?;
    String::from_utf8(take(rest, length)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            tags in proptest::collection::btree_set("[a-c0-9._-]{0,9}[a-z]", 0..60),
            pages in proptest::collection::vec(("\\PC{0,20}", "\\PC{0,20}", 0_usize..9), 0..4),
            refused in 0_usize..9,
        ) {
            let tags = tags.iter().map(|it| it.parse().expect("a tag")).collect();
            let pages = pages.into_iter();
            let pages = pages.map(|(target, etag, tags)| SavedPage { target, etag, tags });
            let saved = Saved { pages: pages.collect(), tags, refused, sifted: 0 };
            prop_assert_eq!(unpack(&pack(&saved)), Some(saved));
        }

        #[test]
        fn damage_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            unpack(&bytes);
        }
    }

    #[test]
    fn ten_thousand_versions_are_small() {
        let tags = (0..10_000).map(|number| format!("1.{number:04}.0"));
        let tags = tags.map(|it| it.parse().expect("a tag")).collect();
        let saved = Saved {
            pages: Vec::new(),
            tags,
            refused: 0,
            sifted: 0,
        };
        let packed = pack(&saved).len();
        assert!(packed < 40_000, "{packed} bytes");
    }
}
