//! What the next lease should be: pure choices over sets of pieces.
//!
//! Knows: gaps, holdings, sizes. Does not know: sessions, leases in flight, trust: whoever calls has sorted that out.

use std::ops::Range;
use std::time::Duration;

use peer_proto::content::Geometry;
use peer_proto::limits::UNVERIFIED_BYTES_PER_PEER;

use super::pace::bytes_in;
use super::piece_set::PieceSet;

/// Bytes of the smallest lease of a source that gives as many in a second.
pub const LEASE_LEN_MIN: u64 = 1024 * 1024;
/// Bytes of the largest lease a peer gets.
pub const LEASE_LEN_MAX: u64 = 4 * 1024 * 1024;
/// Leases a peer may have open for one job, so that its pipe never drains.
pub const LEASES_PER_PEER_MAX: usize = 4;
/// Seconds of a peer's rate that may be asked for and not yet here.
pub const OUTSTANDING: Duration = Duration::from_secs(2);

const SPLIT_LEN_MIN: u64 = 256 * 1024;

/// How many pieces the next lease of a peer may have.
///
/// A peer none of whose bytes were proved yet gets what one peer may have unverified (TRUST-8's bound on waste); a
/// proved one about half a second of its rate, four of which are in flight. Towards the end the gaps are shared out
/// among the `sources` that could take them.
#[must_use]
pub fn lease_pieces(geometry: &Geometry, rate: u64, proven: bool, gaps: u32, sources: u32) -> u32 {
    let len = if proven {
        let len_min = if rate < LEASE_LEN_MIN { SPLIT_LEN_MIN } else { LEASE_LEN_MIN };
        bytes_in(rate, OUTSTANDING / 4).clamp(len_min, LEASE_LEN_MAX)
    } else {
        UNVERIFIED_BYTES_PER_PEER
    };
    let share = gaps.div_ceil(sources.max(1)).max(pieces_in(geometry, SPLIT_LEN_MIN));
    pieces_in(geometry, len).min(share)
}

/// Leases a peer may have open: each has one piece under way that is not proved, and of those two, or 1 MiB, may be.
#[must_use]
pub fn leases_max(geometry: &Geometry) -> usize {
    let count = usize::try_from(UNVERIFIED_BYTES_PER_PEER / geometry.piece_len()).unwrap_or(usize::MAX);
    count.clamp(2, LEASES_PER_PEER_MAX)
}

/// Whole pieces in `len` bytes; at least one.
#[must_use]
pub fn pieces_in(geometry: &Geometry, len: u64) -> u32 {
    u32::try_from(len / geometry.piece_len()).unwrap_or(u32::MAX).max(1)
}

/// The next pieces to ask of a holder: the first run at or after `from` that is missing and held, wrapping round.
#[must_use]
pub fn pick(gaps: &PieceSet, have: &PieceSet, from: u32, count_max: u32) -> Option<Range<u32>> {
    gaps.common_run_at(have, from, count_max).or_else(|| gaps.common_run_at(have, 0, count_max))
}

/// Gaps that none of the holders can fill.
#[must_use]
pub fn orphans<'a>(gaps: &PieceSet, holders: impl Iterator<Item = &'a PieceSet>) -> PieceSet {
    let mut left = gaps.clone();
    for have in holders {
        left.subtract(have);
    }
    left
}

/// The longest run of a set; the first one of several.
#[must_use]
pub fn longest_run(set: &PieceSet) -> Option<Range<u32>> {
    set.runs().fold(None, |best: Option<Range<u32>>, run| match best {
        Some(best) if best.end - best.start >= run.end - run.start => Some(best),
        Some(_) | None => Some(run),
    })
}

/// Where to cut a lease so that two sources end together: its first source goes on from `position` at `rate`, the
/// other takes the tail at `other_rate`. `None` if what is left is not worth cutting.
#[must_use]
pub fn cut(geometry: &Geometry, left: Range<u32>, rate: u64, other_rate: u64) -> Option<u32> {
    let count = left.end.saturating_sub(left.start);
    let keep_min = pieces_in(geometry, SPLIT_LEN_MIN);
    if count < keep_min.saturating_mul(2) {
        return None;
    }
    let both = u128::from(rate) + u128::from(other_rate);
    let share = (u128::from(count) * u128::from(rate)).checked_div(both).unwrap_or(u128::from(count / 2));
    let keep = u32::try_from(share).unwrap_or(count).clamp(keep_min, count - keep_min);
    Some(left.start + keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(len: u64) -> Geometry {
        Geometry::of(len).expect("short")
    }

    #[test]
    fn trust_8_an_unproven_peer_gets_a_megabyte_or_one_piece() {
        assert_eq!(lease_pieces(&geometry(64 << 20), 0, false, 1_024, 1), 16);
        assert_eq!(lease_pieces(&geometry(64 << 30), 0, false, 16_384, 1), 1);
        assert_eq!(lease_pieces(&geometry(64 << 20), u64::MAX, true, 1_024, 1), 64);
        assert_eq!(lease_pieces(&geometry(64 << 20), 1 << 20, true, 1_024, 1), 16);
    }

    #[test]
    fn wire_6_long_pieces_allow_fewer_leases() {
        for (len, expected) in [(64 << 20, 4), (4 << 30, 4), (8 << 30, 2), (1 << 40, 2)] {
            assert_eq!(leases_max(&geometry(len)), expected, "length {len}");
        }
    }

    #[test]
    fn the_last_gaps_are_shared_out() {
        assert_eq!(lease_pieces(&geometry(64 << 20), u64::MAX, true, 24, 4), 6);
        assert_eq!(lease_pieces(&geometry(64 << 20), u64::MAX, true, 3, 4), 4);
    }

    #[test]
    fn picks_only_what_is_missing_and_held() {
        let mut gaps = PieceSet::of(0..100);
        gaps.remove(10..20);
        let have = PieceSet::of(15..30);
        assert_eq!(pick(&gaps, &have, 0, 4), Some(20..24));
        assert_eq!(pick(&gaps, &have, 28, 4), Some(28..30));
        assert_eq!(pick(&gaps, &have, 40, 4), Some(20..24));
        assert_eq!(pick(&PieceSet::of(0..15), &have, 0, 4), None);
        let left = orphans(&gaps, [&have, &PieceSet::of(40..100)].into_iter());
        assert_eq!(left.runs().collect::<Vec<_>>(), [0..10, 30..40]);
        assert_eq!(longest_run(&left), Some(0..10));
    }

    #[test]
    fn the_longest_run_is_the_one_of_most_pieces_and_the_first_of_several() {
        let longest = |runs: &[Range<u32>]| {
            let mut set = PieceSet::new();
            runs.iter().for_each(|run| set.insert(run.clone()));
            longest_run(&set)
        };
        assert_eq!(longest(&[]), None);
        assert_eq!(longest(&[1..3, 10..13]), Some(10..13));
        assert_eq!(longest(&[10..13, 20..22]), Some(10..13));
        assert_eq!(longest(&[1..4, 10..13]), Some(1..4));
    }

    #[test]
    fn cuts_by_rates_and_never_too_small() {
        let file = geometry(64 << 20);
        assert_eq!(cut(&file, 0..100, 1, 3), Some(25));
        assert_eq!(cut(&file, 0..100, 0, 9), Some(4));
        assert_eq!(cut(&file, 90..97, 1, 1), None);
        assert_eq!(cut(&file, 0..8, 0, 0), Some(4));
    }
}
