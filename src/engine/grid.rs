//! How a file is cut for those who fetch it together: units and segments, the same for all who know its length.
//!
//! Knows: pieces in each. Does not know: who fetches them (`home`).

use std::ops::Range;
use std::time::Duration;

use peer_proto::content::Geometry;

use super::pace::bytes_in;

/// What is fetched, announced and never fetched twice.
pub const UNIT_LEN: u64 = 256 * 1024;

const SEGMENTS_WANTED: u64 = 256;
const SEGMENT_LEN_MIN: u64 = 1024 * 1024;
const SEGMENT_LEN_MAX: u64 = 4 * 1024 * 1024;
/// Segments at most, about: those of longer files are longer.
const SEGMENTS_MAX: u64 = 4_096;

/// How a file is cut for fetching: pieces in a unit, pieces in a segment. The same for all who know its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grid {
    count: u32,
    piece_len: u64,
    unit: u32,
    segment: u32,
}

impl Grid {
    /// The grid of a file.
    #[must_use]
    pub fn of(geometry: &Geometry) -> Self {
        let piece_len = geometry.piece_len();
        let pieces = |len: u64| u32::try_from(len / piece_len).unwrap_or(u32::MAX).max(1);
        let wanted = (geometry.len() / SEGMENTS_WANTED).max(1).next_power_of_two();
        // Every change of fetchers looks at every segment, so their number is bounded too.
        let few = (geometry.len() / SEGMENTS_MAX).max(1).next_power_of_two();
        let segment = wanted.clamp(SEGMENT_LEN_MIN, SEGMENT_LEN_MAX).max(few);
        Self { count: geometry.piece_count(), piece_len, unit: pieces(UNIT_LEN), segment: pieces(segment) }
    }

    /// Pieces of the file.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Pieces of a segment.
    #[must_use]
    pub const fn segment(self) -> u32 {
        self.segment
    }

    /// Segments of the file.
    #[must_use]
    pub const fn segments(self) -> u32 {
        self.count.div_ceil(self.segment)
    }

    /// The pieces of a segment.
    #[must_use]
    pub fn pieces_of(self, segment: u32) -> Range<u32> {
        let start = segment.saturating_mul(self.segment).min(self.count);
        start..start.saturating_add(self.segment).min(self.count)
    }

    /// The unit a piece is in.
    #[must_use]
    pub const fn unit_of(self, piece: u32) -> Range<u32> {
        let start = piece - piece % self.unit;
        let end = start.saturating_add(self.unit);
        start..if end > self.count { self.count } else { end }
    }

    /// The segment a piece is in.
    #[must_use]
    pub fn segment_of(self, piece: u32) -> Range<u32> {
        self.pieces_of(piece / self.segment)
    }

    /// Bytes of these pieces, as if all were full.
    #[must_use]
    pub fn len_of(self, pieces: &Range<u32>) -> u64 {
        u64::from(pieces.end.saturating_sub(pieces.start)).saturating_mul(self.piece_len)
    }
}

/// How many bytes come in a round trip, as whole pieces: a request is repeated so early that the connection never idles.
#[must_use]
pub fn ahead(geometry: &Geometry, rate: u64, round_trip: Duration) -> u32 {
    u32::try_from(bytes_in(rate, round_trip).div_ceil(geometry.piece_len())).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(len: u64) -> Grid {
        Grid::of(&Geometry::of(len).expect("short"))
    }

    #[test]
    fn a_segment_is_one_to_four_mebibytes_until_there_are_too_many() {
        for (len, segment, count) in [
            (1, 16, 1),
            (64 << 20, 16, 64),
            (256 << 20, 16, 256),
            (512 << 20, 32, 256),
            (1 << 30, 64, 256),
            (16 << 30, 4, 4_096),
            (64 << 30, 4, 4_096),
            (4 << 40, 256, 4_096),
            (512 << 20 | 1, 32, 257),
        ] {
            let grid = grid(len);
            assert_eq!((grid.segment(), grid.segments()), (segment, count), "length {len}");
        }
    }

    #[test]
    fn units_and_segments_end_with_the_file() {
        let grid = grid((64 << 20) + 1);
        assert_eq!(grid.unit_of(1_024), 1_024..1_025);
        assert_eq!(grid.unit_of(5), 4..8);
        assert_eq!(grid.segment_of(1_024), 1_024..1_025);
        assert_eq!(grid.len_of(&(0..2)), 131_072);
    }

    #[test]
    fn a_request_is_repeated_as_many_pieces_early_as_come_in_a_round_trip() {
        let geometry = Geometry::of(64 << 20).expect("short");
        let pieces = |rate, ms| ahead(&geometry, rate, Duration::from_millis(ms));
        assert_eq!((pieces(65_536, 1_000), pieces(655_361, 1_000), pieces(655_360, 2_000)), (1, 11, 20));
        assert_eq!(pieces(0, 1_000), 1, "never none");
    }
}
