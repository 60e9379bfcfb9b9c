//! What bytes are called and how a file is cut: content ids, byte ranges, pieces.
//!
//! Knows: the arithmetic of lengths, ranges and pieces, with named rounding. Does not know: where bytes are.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::limits::{FILE_LEN_MAX, PIECE_LEN_MAX, PIECE_LEN_MIN, PIECES_WANTED_MAX};

/// A BLAKE3 value of 32 bytes: the root of a file, or the subtree value of one piece.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Reads 64 hexadecimal digits of either case.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = crate::digest::bytes_from_hex(text)?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("expected 64 hexadecimal digits"))
    }
}

/// Names bytes, wherever they are. Root and length are always compared as a pair: a hash list that folds to the
/// root does not prove the length (TRUST-5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ContentId {
    /// BLAKE3 root of the whole file.
    pub root: Hash,
    /// Bytes in the file.
    pub len: u64,
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.root, self.len)
    }
}

/// Half-open bytes `start..end` of one file; never empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ByteRange {
    start: u64,
    end: u64,
}

impl ByteRange {
    /// The range, or `None` if it is empty or backwards.
    #[must_use]
    pub const fn new(range: Range<u64>) -> Option<Self> {
        if range.start < range.end { Some(Self { start: range.start, end: range.end }) } else { None }
    }

    /// First byte.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// One past the last byte.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.end
    }

    /// Bytes in the range; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// The bytes in both, if any.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start)..self.end.min(other.end))
    }

    /// Whether every byte of `other` lies in this range.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The same as a standard range.
    #[must_use]
    pub const fn as_range(self) -> Range<u64> {
        self.start..self.end
    }
}

impl fmt::Debug for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Zero-based number of a piece in its file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PieceIndex(pub u32);

/// How a file of a known length is cut into pieces (TRUST-2): derived from the length, never read from the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    len: u64,
    piece_len: u64,
    piece_count: u32,
}

/// A length beyond 4 TiB: such a file is downloaded, not shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{len} bytes are more than the 4 TiB a shared file may have")]
pub struct TooLong {
    /// The length that was asked for.
    pub len: u64,
}

impl Geometry {
    /// The cut of a file of `len` bytes: the smallest power of two from 64 KiB to 4 MiB that gives at most 16 384
    /// pieces, and 4 MiB beyond that.
    ///
    /// # Errors
    /// [`TooLong`] beyond 4 TiB.
    pub fn of(len: u64) -> Result<Self, TooLong> {
        if len > FILE_LEN_MAX {
            return Err(TooLong { len });
        }
        let mut piece_len = PIECE_LEN_MIN;
        while piece_len < PIECE_LEN_MAX && len.div_ceil(piece_len) > PIECES_WANTED_MAX {
            piece_len *= 2;
        }
        let piece_count = u32::try_from(len.div_ceil(piece_len)).map_err(|_| TooLong { len })?;
        Ok(Self { len, piece_len, piece_count })
    }

    /// Bytes in the file.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the length of the file, not of a collection")]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Bytes in every piece but the last, which may be shorter.
    #[must_use]
    pub const fn piece_len(&self) -> u64 {
        self.piece_len
    }

    /// Number of pieces; zero for the empty file.
    #[must_use]
    pub const fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// The bytes of a piece, or `None` if the file has no such piece.
    #[must_use]
    pub fn piece_range(&self, piece: PieceIndex) -> Option<ByteRange> {
        if piece.0 >= self.piece_count {
            return None;
        }
        let start = u64::from(piece.0) * self.piece_len;
        ByteRange::new(start..(start + self.piece_len).min(self.len))
    }

    /// The bytes of several consecutive pieces, cut at the end of the file; `None` if that leaves nothing.
    #[must_use]
    pub fn pieces_range(&self, pieces: Range<u32>) -> Option<ByteRange> {
        let end = u64::from(pieces.end).saturating_mul(self.piece_len).min(self.len);
        ByteRange::new(u64::from(pieces.start) * self.piece_len..end)
    }

    /// The piece that holds the byte at `offset`, or `None` beyond the end.
    #[must_use]
    pub fn piece_at(&self, offset: u64) -> Option<PieceIndex> {
        if offset >= self.len {
            return None;
        }
        u32::try_from(offset / self.piece_len).ok().map(PieceIndex)
    }

    /// Pieces that hold any byte of `range`: what must be fetched to prove it. Rounds out.
    #[must_use]
    pub fn touched_pieces(&self, range: ByteRange) -> Range<u32> {
        let first = u32::try_from(range.start() / self.piece_len).unwrap_or(u32::MAX);
        let end = u32::try_from(range.end().div_ceil(self.piece_len)).unwrap_or(u32::MAX);
        first.min(self.piece_count)..end.min(self.piece_count)
    }

    /// Pieces all of whose bytes lie in `range`: what can be served. Rounds in; the last piece is short.
    #[must_use]
    pub fn whole_pieces(&self, range: ByteRange) -> Range<u32> {
        let first =
            u32::try_from(range.start().div_ceil(self.piece_len)).unwrap_or(u32::MAX).min(self.piece_count);
        let end = if range.end() >= self.len {
            self.piece_count
        } else {
            u32::try_from(range.end() / self.piece_len).unwrap_or(u32::MAX)
        };
        first..end.max(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u64 = PIECE_LEN_MIN;

    #[test]
    fn trust_2_geometry_follows_from_the_length_alone() {
        for (len, piece_len, count) in [
            (0, PIECE, 0),
            (1, PIECE, 1),
            (1_024, PIECE, 1),
            (PIECE - 1, PIECE, 1),
            (PIECE, PIECE, 1),
            (PIECE + 1, PIECE, 2),
            (2 * PIECE, PIECE, 2),
            (5 * PIECE + 7, PIECE, 6),
            (1 << 30, PIECE, 16_384),
            ((1 << 30) + 1, 2 * PIECE, 8_193),
            (32 << 30, 2 << 20, 16_384),
            ((32 << 30) + 1, 4 << 20, 8_193),
            (4 << 40, 4 << 20, 1 << 20),
        ] {
            let cut = Geometry::of(len).expect("within the limit");
            assert_eq!((cut.piece_len(), cut.piece_count()), (piece_len, count), "length {len}");
        }
        for len in [(4 << 40) + 1, 1 << 63, u64::MAX] {
            assert_eq!(Geometry::of(len), Err(TooLong { len }));
        }
    }

    #[test]
    fn rounding_out_covers_and_rounding_in_is_covered() {
        let cut = Geometry::of(5 * PIECE + 7).expect("small");
        let range = ByteRange::new(PIECE - 1..3 * PIECE + 1).expect("not empty");
        assert_eq!(cut.touched_pieces(range), 0..4);
        assert_eq!(cut.whole_pieces(range), 1..3);
        let tail = ByteRange::new(5 * PIECE..5 * PIECE + 7).expect("not empty");
        assert_eq!(cut.whole_pieces(tail), 5..6);
        assert_eq!(cut.piece_range(PieceIndex(5)).map(ByteRange::len), Some(7));
        assert_eq!(cut.piece_range(PieceIndex(6)), None);
        assert_eq!(cut.piece_at(5 * PIECE + 7), None);
    }
}
