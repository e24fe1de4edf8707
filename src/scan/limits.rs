//! How much of a registry's answers is read: every bound of this room, in one place.

use std::time::Duration;

/// The longest that a scan or a digest look-up may take, whatever its timeout says.
pub const LONGEST_SCAN: Duration = Duration::from_mins(10);

/// The bounds of one scan.
///
/// They belong to the operator, not to a tenant. What passes a bound is an error
/// ([`ScanError::LimitPassed`](super::ScanError::LimitPassed)), never a short list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one page of tags, after decompression.
    pub page_bytes: usize,
    /// Entries of one listing, those that are no tags included.
    pub tags: usize,
    /// Bytes of all tags of one listing.
    pub tag_bytes: usize,
    /// Pages of one listing.
    pub pages: usize,
    /// Bytes of one reply of a token service.
    pub token_bytes: usize,
    /// Bytes of one manifest or index.
    pub manifest_bytes: usize,
    /// How long one request may take, a page for instance; it is tried again while there is time.
    pub request_time: Duration,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

impl Default for Limits {
    fn default() -> Self {
        Self {
            page_bytes: 32 * MIB,
            tags: 2_000_000,
            tag_bytes: 128 * MIB,
            pages: 20_000,
            token_bytes: 64 * KIB,
            manifest_bytes: 4 * MIB,
            request_time: Duration::from_mins(1),
        }
    }
}
