//! Sets of byte ranges: what is held, what is missing, what was asked for.
//!
//! Knows: the arithmetic of ordered, disjoint, half-open ranges of `u64`. Does not know: files or pieces, although
//! a set of pieces is one too, with indexes for offsets.

use std::collections::BTreeMap;
use std::fmt;
use std::iter;

use crate::content::ByteRange;

/// A set of offsets, kept as ordered ranges that neither overlap nor touch.
///
/// Adding and removing cost the logarithm of [`range_count`](Self::range_count), wherever they hit, so a peer that
/// states a set full of holes does not make it slow.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// End of each range by its start.
    ends: BTreeMap<u64, u64>,
    /// Bytes in all ranges.
    len: u64,
}

impl RangeSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { ends: BTreeMap::new(), len: 0 }
    }

    /// Adds all of `range`, merging it with what it overlaps or touches.
    pub fn insert(&mut self, range: ByteRange) {
        let (mut start, mut end) = (range.start(), range.end());
        if let Some((&before, &before_end)) = self.ends.range(..=start).next_back() {
            if before_end >= end {
                return;
            }
            if before_end >= start {
                start = before;
            }
        }
        while let Some((&next, &next_end)) = self.ends.range(start..=end).next() {
            self.ends.remove(&next);
            self.len -= next_end - next;
            end = end.max(next_end);
        }
        self.ends.insert(start, end);
        self.len += end - start;
    }

    /// Takes all of `range` out, splitting what it lies inside of.
    pub fn remove(&mut self, range: ByteRange) {
        while let Some((start, end)) =
            self.last_starting_before(range.end()).filter(|(_, e)| *e > range.start())
        {
            self.ends.remove(&start);
            self.len -= end - start;
            let left = ByteRange::new(start..range.start());
            let right = ByteRange::new(range.end()..end);
            for rest in [left, right].into_iter().flatten() {
                self.ends.insert(rest.start(), rest.end());
                self.len += rest.len();
            }
        }
    }

    /// Adds every range of `other`.
    pub fn insert_all(&mut self, other: &Self) {
        self.extend(other.iter());
    }

    /// Takes every range of `other` out.
    pub fn remove_all(&mut self, other: &Self) {
        for range in other.iter() {
            self.remove(range);
        }
    }

    /// Whether all of `range` is in the set.
    #[must_use]
    pub fn contains(&self, range: ByteRange) -> bool {
        self.ends.range(..=range.start()).next_back().is_some_and(|(_, end)| *end >= range.end())
    }

    /// Whether the byte at `offset` is in the set.
    #[must_use]
    pub fn contains_offset(&self, offset: u64) -> bool {
        self.ends.range(..=offset).next_back().is_some_and(|(_, end)| *end > offset)
    }

    /// Whether any byte of `range` is in the set.
    #[must_use]
    pub fn intersects(&self, range: ByteRange) -> bool {
        self.last_starting_before(range.end()).is_some_and(|(_, end)| end > range.start())
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes in the set.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Number of separate ranges.
    #[must_use]
    pub fn range_count(&self) -> usize {
        self.ends.len()
    }

    /// The ranges in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = ByteRange> + '_ {
        self.ends.iter().filter_map(|(start, end)| ByteRange::new(*start..*end))
    }

    /// What lies inside `within`, cut to it, in ascending order.
    pub fn iter_within(&self, within: ByteRange) -> impl Iterator<Item = ByteRange> + '_ {
        let before = self.ends.range(..=within.start()).next_back();
        let first = before.map_or(within.start(), |(start, _)| *start);
        self.ends
            .range(first..within.end())
            .filter_map(move |(start, end)| ByteRange::new(*start..*end)?.intersection(within))
    }

    /// What is missing inside `within`, in ascending order.
    pub fn gaps(&self, within: ByteRange) -> impl Iterator<Item = ByteRange> + '_ {
        let mut at = within.start();
        self.iter_within(within).map(Some).chain(iter::once(None)).filter_map(move |held| {
            let gap = ByteRange::new(at..held.map_or(within.end(), ByteRange::start));
            at = held.map_or(within.end(), ByteRange::end);
            gap
        })
    }

    /// The first missing range at or after `offset`, cut at `end`; `None` if nothing is missing before `end`.
    #[must_use]
    pub fn first_gap_at(&self, offset: u64, end: u64) -> Option<ByteRange> {
        self.gaps(ByteRange::new(offset..end)?).next()
    }

    /// What is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (large, small) =
            if self.range_count() >= other.range_count() { (self, other) } else { (other, self) };
        let mut all = large.clone();
        all.insert_all(small);
        all
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (large, small) =
            if self.range_count() >= other.range_count() { (self, other) } else { (other, self) };
        if small.range_count() < large.range_count() / 8 {
            return Self::from_separate(small.iter().flat_map(|range| large.iter_within(range)));
        }
        let (mut left, mut right) = (large.iter().peekable(), small.iter().peekable());
        Self::from_separate(iter::from_fn(|| {
            loop {
                let (a, b) = (*left.peek()?, *right.peek()?);
                if a.end() <= b.end() {
                    left.next()
                } else {
                    right.next()
                };
                if let Some(both) = a.intersection(b) {
                    return Some(both);
                }
            }
        }))
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self::from_separate(self.iter().flat_map(|range| other.gaps(range)))
    }

    /// A set from ascending ranges that neither overlap nor touch.
    fn from_separate(ranges: impl Iterator<Item = ByteRange>) -> Self {
        let ends: BTreeMap<u64, u64> = ranges.map(|range| (range.start(), range.end())).collect();
        let len = ends.iter().map(|(start, end)| end - start).sum();
        Self { ends, len }
    }

    fn last_starting_before(&self, end: u64) -> Option<(u64, u64)> {
        self.ends.range(..end).next_back().map(|(start, end)| (*start, *end))
    }
}

impl From<ByteRange> for RangeSet {
    fn from(range: ByteRange) -> Self {
        iter::once(range).collect()
    }
}

impl Extend<ByteRange> for RangeSet {
    fn extend<T: IntoIterator<Item = ByteRange>>(&mut self, ranges: T) {
        for range in ranges {
            self.insert(range);
        }
    }
}

impl FromIterator<ByteRange> for RangeSet {
    fn from_iter<T: IntoIterator<Item = ByteRange>>(ranges: T) -> Self {
        let mut set = Self::new();
        set.extend(ranges);
        set
    }
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
