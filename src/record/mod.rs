//! What the cache knows of one content or a part of one.
//!
//! Knows: the values of a record and who may use it. Does not know: files (`cache`), indexes (`store`).

mod limits;
pub mod url;

use std::fmt;

use peer_proto::content::{ByteRange, ContentId, Geometry, Hash};
use peer_proto::digest::Digest;
use serde::{Deserialize, Serialize};

pub use limits::{AGE_DAYS_MAX, CacheLimits, CacheSize, CacheWish, KeepAs, LimitError, parse_age_days};

/// Names a record: 16 random bytes, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::job::JobId", into = "crate::job::JobId")]
pub struct RecordId(pub [u8; 16]);

impl From<crate::job::JobId> for RecordId {
    fn from(id: crate::job::JobId) -> Self {
        Self(id.0)
    }
}

impl From<RecordId> for crate::job::JobId {
    fn from(id: RecordId) -> Self {
        Self(id.0)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::job::JobId(self.0).fmt(f)
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who may use a record (LOCAL-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Jobs of this user only; never announced.
    Private {
        /// The user's number.
        uid: u32,
    },
    /// Every job of this machine; never announced.
    Machine,
    /// Peers too, where the flags allow it.
    Shareable,
}

/// Which pieces of the content a record holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holding {
    /// Every piece.
    Whole,
    /// These runs of pieces, ascending and apart, each `[first, end)`.
    Runs(Vec<(u32, u32)>),
}

/// An attestor on whose word alone something is what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Voucher {
    /// In which group; absent in what was written when a node was in one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<[u8; 16]>,
    /// Its holder id.
    pub holder: [u8; 16],
    /// The id of what it signed.
    pub statement: Hash,
}

/// What the brain needs to know of a record to answer a lookup and to serve from it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecordSummary {
    /// Its name.
    pub id: RecordId,
    /// Root and length: the hash list it keeps folds to the root.
    pub content: ContentId,
    /// Digests of the whole file that were checked (never merely claimed), the BLAKE3 root not repeated here.
    pub digests: Vec<Digest>,
    /// What is held of it.
    pub holding: Holding,
    /// Who may use it.
    pub scope: Scope,
    /// Whether the job that brought it allowed serving (its server flag).
    pub served: bool,
    /// Wall-clock seconds since 1970 at which it was sealed or last served: strangers are answered for 24 h
    /// after that (LOOKUP-3).
    pub last_used_unix_s: i64,
    /// Attestors on whose word alone the bytes are believed; none if a digest or this node's own origin proved them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vouched: Vec<Voucher>,
}

impl RecordSummary {
    /// Bytes of the content that are held.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.held_ranges().into_iter().map(ByteRange::len).sum()
    }

    /// Which bytes of the content are held: by offset, neighbours as one. None of the empty content; at most half as many
    /// as a content may have pieces (CACHE-2).
    #[must_use]
    pub fn held_ranges(&self) -> Vec<ByteRange> {
        let Ok(geometry) = Geometry::of(self.content.len) else { return Vec::new() };
        let all = [(0, geometry.piece_count())];
        let runs = match &self.holding {
            Holding::Whole => &all[..],
            Holding::Runs(runs) => runs,
        };
        let mut held: Vec<ByteRange> = Vec::new();
        for range in runs.iter().filter_map(|(first, end)| geometry.pieces_range(*first..*end)) {
            let before = held.pop_if(|before| before.end() >= range.start());
            let start = before.map_or(range.start(), ByteRange::start);
            held.extend(ByteRange::new(start..range.end()));
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(len: u64, holding: Holding) -> RecordSummary {
        RecordSummary {
            id: RecordId([1; 16]),
            content: ContentId { root: Hash([1; 32]), len },
            digests: Vec::new(),
            holding,
            scope: Scope::Shareable,
            served: true,
            last_used_unix_s: 0,
            vouched: Vec::new(),
        }
    }

    #[test]
    fn cache_2_the_bytes_of_a_record_are_those_of_its_pieces_and_the_last_one_is_short() {
        let (piece, len) = (65_536, 3 * 65_536 + 5);
        for (holding, ranges) in [
            (Holding::Whole, vec![(0, len)]),
            (Holding::Runs(vec![(0, 1), (2, 4)]), vec![(0, piece), (2 * piece, len)]),
            (Holding::Runs(vec![(0, 1), (1, 2), (3, 4)]), vec![(0, 2 * piece), (3 * piece, len)]),
            (Holding::Runs(Vec::new()), Vec::new()),
        ] {
            let record = record(len, holding);
            let held: Vec<(u64, u64)> =
                record.held_ranges().into_iter().map(|range| (range.start(), range.end())).collect();
            assert_eq!(held, ranges, "{:?}", record.holding);
            assert_eq!(record.held_bytes(), ranges.iter().map(|(start, end)| end - start).sum::<u64>());
        }
    }

    #[test]
    fn cache_2_the_empty_content_is_held_without_a_byte() {
        let record = record(0, Holding::Whole);
        assert_eq!((record.held_ranges(), record.held_bytes()), (Vec::new(), 0));
    }
}
