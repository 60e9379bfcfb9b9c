//! Sets of pieces as bitmaps: what the planner intersects thousands of times a second.
//!
//! Knows: pieces by number, in words of 64. Does not know: bytes, files, who holds what.

use std::ops::Range;

use peer_proto::content::ByteRange;
use peer_proto::range_set::RangeSet;

const BITS: u32 = 64;

/// A set of piece numbers. Grows with the highest number in it: one bit for each piece.
#[derive(Clone, Default, Debug)]
pub struct PieceSet {
    words: Vec<u64>,
}

impl PartialEq for PieceSet {
    fn eq(&self, other: &Self) -> bool {
        let len = self.words.len().max(other.words.len());
        (0..len).all(|at| self.word(at) == other.word(at))
    }
}

impl Eq for PieceSet {}

impl PieceSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { words: Vec::new() }
    }

    /// Every piece of a range.
    #[must_use]
    pub fn of(pieces: Range<u32>) -> Self {
        let mut set = Self::new();
        set.insert(pieces);
        set
    }

    /// Adds a range of pieces.
    pub fn insert(&mut self, pieces: Range<u32>) {
        if pieces.start >= pieces.end {
            return;
        }
        let words = place(pieces.end.div_ceil(BITS));
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        for (at, mask) in masks(pieces) {
            self.words[at] |= mask;
        }
    }

    /// Takes a range of pieces out.
    pub fn remove(&mut self, pieces: Range<u32>) {
        let end = u32::try_from(self.words.len()).unwrap_or(u32::MAX / BITS).saturating_mul(BITS);
        for (at, mask) in masks(pieces.start.min(end)..pieces.end.min(end)) {
            self.words[at] &= !mask;
        }
    }

    /// Whether the piece is in the set.
    #[must_use]
    pub fn contains(&self, piece: u32) -> bool {
        self.word(place(piece / BITS)) >> (piece % BITS) & 1 == 1
    }

    /// Whether all pieces of the range are in the set.
    #[must_use]
    pub fn contains_all(&self, pieces: Range<u32>) -> bool {
        masks(pieces).all(|(at, mask)| self.word(at) & mask == mask)
    }

    /// How many pieces are in the set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// How many pieces of a range are in the set.
    #[must_use]
    pub fn count_in(&self, within: Range<u32>) -> u32 {
        masks(within).map(|(at, mask)| (self.word(at) & mask).count_ones()).sum()
    }

    /// The last piece of a range that is in the set.
    #[must_use]
    pub fn last_in(&self, within: Range<u32>) -> Option<u32> {
        within.rev().find(|piece| self.contains(*piece))
    }

    /// Whether no piece is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Adds every piece of another set.
    pub fn union_with(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Takes every piece of another set out.
    pub fn subtract(&mut self, other: &Self) {
        for (word, less) in self.words.iter_mut().zip(&other.words) {
            *word &= !less;
        }
    }

    /// Keeps only the pieces that are in the other set too.
    pub fn intersect_with(&mut self, other: &Self) {
        for (at, word) in self.words.iter_mut().enumerate() {
            *word &= other.words.get(at).copied().unwrap_or(0);
        }
    }

    /// Whether the two sets share a piece.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// The first piece at or after `from` that is in the set.
    #[must_use]
    pub fn next_at(&self, from: u32) -> Option<u32> {
        let mut at = place(from / BITS);
        let mut word = self.word(at) & (u64::MAX << (from % BITS));
        while word == 0 {
            at += 1;
            word = *self.words.get(at)?;
        }
        Some(u32::try_from(at).ok()?.saturating_mul(BITS) + word.trailing_zeros())
    }

    /// The first run of consecutive pieces at or after `from`, at most `count_max` long.
    #[must_use]
    pub fn run_at(&self, from: u32, count_max: u32) -> Option<Range<u32>> {
        let start = self.next_at(from)?;
        let mut end = start + 1;
        while end - start < count_max {
            let word = self.word(place(end / BITS)) >> (end % BITS);
            let ones = word.trailing_ones();
            end += ones;
            if ones == 0 || end % BITS != 0 {
                break;
            }
        }
        Some(start..end.min(start.saturating_add(count_max)))
    }

    /// The first run at or after `from` that is in both sets, at most `count_max` long.
    #[must_use]
    pub fn common_run_at(&self, other: &Self, from: u32, count_max: u32) -> Option<Range<u32>> {
        let common = |at: usize| self.word(at) & other.word(at);
        let words = self.words.len().min(other.words.len());
        let mut at = place(from / BITS);
        let mut word = if at < words { common(at) & (u64::MAX << (from % BITS)) } else { 0 };
        while word == 0 {
            at += 1;
            if at >= words {
                return None;
            }
            word = common(at);
        }
        let start = u32::try_from(at).ok()?.saturating_mul(BITS) + word.trailing_zeros();
        let mut end = start + 1;
        while end - start < count_max && common(place(end / BITS)) >> (end % BITS) & 1 == 1 {
            end += 1;
        }
        Some(start..end)
    }

    /// All runs, ascending.
    pub fn runs(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            let run = self.run_at(from, u32::MAX)?;
            from = run.end;
            Some(run)
        })
    }

    /// The `nth` piece of the set in ascending order.
    #[must_use]
    pub fn nth(&self, mut nth: u32) -> Option<u32> {
        for (at, word) in self.words.iter().enumerate() {
            let ones = word.count_ones();
            if nth >= ones {
                nth -= ones;
                continue;
            }
            let mut word = *word;
            for _ in 0..nth {
                word &= word - 1;
            }
            return Some(u32::try_from(at).ok()?.saturating_mul(BITS) + word.trailing_zeros());
        }
        None
    }

    /// The same set as ranges, the shape in which it travels.
    #[must_use]
    pub fn to_ranges(&self) -> RangeSet {
        self.runs().filter_map(|run| ByteRange::new(u64::from(run.start)..u64::from(run.end))).collect()
    }

    /// The pieces below `count` of a set of ranges.
    #[must_use]
    pub fn from_ranges(ranges: &RangeSet, count: u32) -> Self {
        let mut set = Self::new();
        for range in ranges.iter() {
            let end = u32::try_from(range.end()).unwrap_or(u32::MAX).min(count);
            set.insert(u32::try_from(range.start()).unwrap_or(u32::MAX).min(count)..end);
        }
        set
    }

    /// Lets the words of the set be written, the lowest bit of the first one first.
    pub fn set_words(&mut self, write: impl FnOnce(&mut Vec<u64>)) {
        write(&mut self.words);
    }

    /// The words of the set, the lowest bit of the first one first.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }
}

/// A piece number as a place in a vector.
pub(super) fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn masks(pieces: Range<u32>) -> impl Iterator<Item = (usize, u64)> {
    let (start, end) = (pieces.start, pieces.end.max(pieces.start));
    let words = if start == end { 0..0 } else { start / BITS..end.div_ceil(BITS) };
    words.map(move |word| {
        let first = word.saturating_mul(BITS);
        let low = start.saturating_sub(first);
        let high = (end - first).min(BITS);
        let mask = (u64::MAX << low) & (u64::MAX >> (BITS - high));
        (place(word), mask)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_a_vec_of_bools() {
        let mut seed = 7_u64;
        let mut next = |bound: u32| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u32::try_from((seed >> 33) % u64::from(bound)).expect("below a u32")
        };
        let (mut set, mut twin) = (PieceSet::new(), vec![false; 400]);
        for step in 0..2_000 {
            let (a, b) = (next(300), next(300));
            let (start, end) = (a.min(b), a.max(b));
            if step % 2 == 0 {
                set.insert(start..end)
            } else {
                set.remove(start..end)
            }
            for at in start..end {
                twin[place(at)] = step % 2 == 0;
            }
            assert_eq!(place(set.count()), twin.iter().filter(|held| **held).count());
            let from = next(320);
            let inside = twin[place(from.min(350))..place(start + 1).max(place(from.min(350)))].iter();
            let within = from.min(350)..(start + 1).max(from.min(350));
            assert_eq!(place(set.count_in(within.clone())), inside.filter(|held| **held).count());
            let last = within.clone().rev().find(|piece| twin[place(*piece)]);
            assert_eq!(set.last_in(within), last);
            let expected = (from..400).find(|at| twin[place(*at)]);
            assert_eq!(set.next_at(from), expected);
            assert_eq!(set.run_at(from, 9).map(|run| run.start), expected);
            let is_held =
                |range: Range<u32>| twin[place(range.start)..place(range.end)].iter().all(|held| *held);
            for range in [start..end, from..from + 5, start..start] {
                assert_eq!(set.contains_all(range.clone()), is_held(range));
            }
            if let Some(run) = set.run_at(from, 9) {
                assert!(run.clone().all(|at| twin[place(at)]) && run.len() <= 9);
                assert!(run.len() == 9 || !twin[place(run.end)], "a run ends at a hole or at its limit");
                assert!(set.contains_all(run));
            }
            let other = PieceSet::of(next(200)..350);
            let mut both = set.clone();
            both.intersect_with(&other);
            assert_eq!(set.common_run_at(&other, from, 7), both.run_at(from, 7));
            assert_eq!(set.intersects(&other), !both.is_empty());
            let (mut all, mut rest) = (set.clone(), set.clone());
            all.union_with(&other);
            rest.subtract(&other);
            for at in 0..400 {
                let held = (set.contains(at), other.contains(at));
                assert_eq!(set.contains(at), twin[place(at)]);
                assert_eq!((all.contains(at), rest.contains(at)), (held.0 || held.1, held.0 && !held.1));
            }
            let runs: u32 = set.runs().map(|run| run.end - run.start).sum();
            assert_eq!(runs, set.count());
            assert_eq!(PieceSet::from_ranges(&set.to_ranges(), 400), set);
            if set.count() > 0 {
                let nth = next(set.count());
                let expected = (0..400).filter(|at| twin[place(*at)]).nth(place(nth));
                assert_eq!(set.nth(nth), expected);
            }
            assert_eq!(set.nth(set.count()), None);
        }
    }

    #[test]
    fn set_algebra_ignores_lengths() {
        let (mut a, b) = (PieceSet::of(0..200), PieceSet::of(64..70));
        a.intersect_with(&b);
        assert_eq!(a, b);
        a.subtract(&b);
        assert!(a.is_empty() && !a.intersects(&b));
        a.union_with(&b);
        assert!(a.intersects(&b));
        assert_eq!(a.run_at(0, u32::MAX), Some(64..70));
    }

    #[test]
    fn words_are_64_pieces_each() {
        let mut set = PieceSet::of(3..5);
        assert_eq!(set.words(), [0b11000]);
        set.set_words(|words| {
            words.clear();
            words.extend([0, 1 << 63]);
        });
        assert_eq!(set, PieceSet::of(127..128));
        assert_ne!(set, PieceSet::of(126..128));
    }
}
