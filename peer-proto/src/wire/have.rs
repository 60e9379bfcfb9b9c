//! Have-sets: which pieces of a content a peer serves.
//!
//! Knows: pages of 1 024 pieces as they travel (WIRE-4), runs of pieces as a planner wants them. Memory is at most
//! one bit per piece, whatever the pattern: a peer cannot make it larger. Does not know: who told what to whom.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::content::{ByteRange, PieceIndex};
use crate::limits::{LIST_PAGE_VALUES, LIST_PAGES_MAX};
use crate::range_set::RangeSet;

use super::frame::{HavePage, PageBits};

/// A set of pieces of one content. A copy costs nothing until one of the two changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HaveSet {
    piece_count: u32,
    /// Pages with any piece; a page that holds all of its pieces is always `Full`.
    pages: Arc<BTreeMap<u16, Page>>,
}

const WORDS_PER_PAGE: usize = 16;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Page {
    Full,
    Some(Box<[u8; 128]>),
}

impl HaveSet {
    /// No piece of a content that has `piece_count` of them.
    #[must_use]
    pub fn new(piece_count: u32) -> Self {
        Self { piece_count, pages: Arc::default() }
    }

    /// Every piece.
    #[must_use]
    pub fn whole(piece_count: u32) -> Self {
        let mut set = Self::new(piece_count);
        set.insert(0..piece_count);
        set
    }

    /// The pieces whose indexes are in `pieces`; indexes beyond the end are left out.
    #[must_use]
    pub fn from_pieces(piece_count: u32, pieces: &RangeSet) -> Self {
        let mut set = Self::new(piece_count);
        for run in pieces.iter() {
            let start = u32::try_from(run.start()).unwrap_or(u32::MAX);
            set.insert(start..u32::try_from(run.end()).unwrap_or(u32::MAX));
        }
        set
    }

    /// The pieces whose bits are set, the lowest bit of the first word first; bits beyond the end are left out.
    #[must_use]
    pub fn from_words(piece_count: u32, words: &[u64]) -> Self {
        let mut set = Self::new(piece_count);
        let pages = Arc::make_mut(&mut set.pages);
        for (index, words) in (0..).zip(words.chunks(WORDS_PER_PAGE)) {
            let count = pieces_of_page(piece_count, index);
            let mut bits = [0; 128];
            for ((bytes, word), first) in
                bits.as_chunks_mut::<8>().0.iter_mut().zip(words).zip((0..).step_by(64))
            {
                let within = count.saturating_sub(first).min(64);
                let mask = u64::MAX.checked_shr(64 - within).unwrap_or(0);
                *bytes = (word & mask).to_le_bytes();
            }
            if let Some(page) = page_of(&bits, count) {
                pages.insert(index, page);
            }
        }
        set
    }

    /// Writes the same as words of 64 bits, the lowest bit of the first word first; as many as the pieces need.
    pub fn write_words(&self, words: &mut Vec<u64>) {
        let count = self.piece_count.min(LIST_PAGES_MAX * LIST_PAGE_VALUES).div_ceil(64);
        words.clear();
        words.resize(usize::try_from(count).unwrap_or_default(), 0);
        for (index, page) in self.pages.iter() {
            let place = usize::from(*index) * WORDS_PER_PAGE;
            let full = || full_bits(self.pieces_in(*index));
            let bits = match page {
                Page::Full => &full(),
                Page::Some(bits) => bits,
            };
            for (word, bytes) in words.iter_mut().skip(place).zip(bits.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
        }
    }

    /// The same as a set of piece indexes. Up to half as many ranges as pieces: for small or local sets.
    #[must_use]
    pub fn to_pieces(&self) -> RangeSet {
        self.runs().filter_map(|run| ByteRange::new(u64::from(run.start)..u64::from(run.end))).collect()
    }

    /// Pieces the content has.
    #[must_use]
    pub const fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// Adds pieces; those beyond the end are left out.
    pub fn insert(&mut self, pieces: Range<u32>) {
        self.change(pieces, |byte, mask| byte | mask);
    }

    /// Takes pieces out.
    pub fn remove(&mut self, pieces: Range<u32>) {
        self.change(pieces, |byte, mask| byte & !mask);
    }

    /// Whether the piece is in the set.
    #[must_use]
    pub fn contains(&self, piece: PieceIndex) -> bool {
        self.runs_within(piece.0..piece.0.saturating_add(1)).next().is_some()
    }

    /// Whether no piece is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Whether every piece is in the set. True for the empty file.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.count() == self.piece_count
    }

    /// How many pieces are in the set.
    #[must_use]
    pub fn count(&self) -> u32 {
        let of = |(index, page): (&u16, &Page)| match page {
            Page::Full => self.pieces_in(*index),
            Page::Some(bits) => bits.iter().map(|byte| byte.count_ones()).sum(),
        };
        self.pages.iter().map(of).sum()
    }

    /// Consecutive pieces in the set, ascending and apart from each other.
    pub fn runs(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        self.runs_within(0..self.piece_count)
    }

    /// The same, cut to a window. Costs a look at each page of the window, and a step per run.
    pub fn runs_within(&self, window: Range<u32>) -> impl Iterator<Item = Range<u32>> + '_ {
        let end = window.end.min(self.piece_count);
        let mut from = window.start;
        std::iter::from_fn(move || {
            let start = self.next(from, end, true)?;
            let stop = self.next(start, end, false).unwrap_or(end);
            from = stop;
            Some(start..stop)
        })
    }

    /// Takes in the pages of a checked [`Have`](super::Have) about this content; says whether anything changed.
    pub fn apply(&mut self, pages: &[HavePage]) -> bool {
        let mut changed = false;
        for page in pages {
            if u32::from(page.page) >= self.page_count() {
                continue;
            }
            let new = match &page.bits {
                PageBits::None => None,
                PageBits::All => Some(Page::Full),
                PageBits::Bits(bits) => page_of(bits, self.pieces_in(page.page)),
            };
            if self.pages.get(&page.page) != new.as_ref() {
                changed = true;
                self.set_page(page.page, new);
            }
        }
        changed
    }

    /// Every page as it travels, those without a piece too.
    pub fn pages(&self) -> impl Iterator<Item = HavePage> + '_ {
        (0..self.page_count()).filter_map(|index| self.page(u16::try_from(index).ok()?))
    }

    /// The pages that differ from those in `told`, and all from page `unknown` on.
    pub fn pages_unlike<'a>(&'a self, told: &'a Self, unknown: u32) -> impl Iterator<Item = HavePage> + 'a {
        let indices = (0..self.page_count()).filter_map(|index| u16::try_from(index).ok());
        let unlike = indices.filter(move |index| {
            u32::from(*index) >= unknown || self.pages.get(index) != told.pages.get(index)
        });
        unlike.filter_map(|index| self.page(index))
    }

    /// Bytes this set keeps in memory, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let of = |page: &Page| match page {
            Page::Full => 0,
            Page::Some(bits) => bits.len(),
        };
        self.pages.values().map(|page| size_of::<(u16, Page)>() + of(page)).sum()
    }

    fn page(&self, index: u16) -> Option<HavePage> {
        let bits = match self.pages.get(&index) {
            None => PageBits::None,
            Some(Page::Full) => PageBits::All,
            Some(Page::Some(bits)) => PageBits::Bits(bits.clone()),
        };
        Some(HavePage { page: index, bits })
    }

    /// Pages the content has.
    #[must_use]
    pub fn page_count(&self) -> u32 {
        self.piece_count.div_ceil(LIST_PAGE_VALUES).min(LIST_PAGES_MAX)
    }

    /// Pieces a page has: 1 024, fewer on the last one.
    fn pieces_in(&self, index: u16) -> u32 {
        pieces_of_page(self.piece_count, index)
    }

    fn set_page(&mut self, index: u16, page: Option<Page>) {
        let pages = Arc::make_mut(&mut self.pages);
        match page {
            None => pages.remove(&index),
            Some(page) => pages.insert(index, page),
        };
    }

    fn change(&mut self, pieces: Range<u32>, rule: impl Fn(u8, u8) -> u8) {
        let end = pieces.end.min(self.piece_count).min(LIST_PAGES_MAX * LIST_PAGE_VALUES);
        let mut at = pieces.start;
        while at < end {
            let index = at / LIST_PAGE_VALUES;
            let first = index * LIST_PAGE_VALUES;
            let stop = end.min(first + LIST_PAGE_VALUES);
            let Ok(index) = u16::try_from(index) else { return };
            let mut bits = match self.pages.get(&index) {
                None => [0; 128],
                Some(Page::Some(bits)) => **bits,
                Some(Page::Full) => full_bits(self.pieces_in(index)),
            };
            change_bits(&mut bits, at - first..stop - first, &rule);
            let page = page_of(&bits, self.pieces_in(index));
            self.set_page(index, page);
            at = stop;
        }
    }

    /// The first piece at or after `from` and before `end` that is in the set (or is not, if `held` is false).
    fn next(&self, mut from: u32, end: u32, held: bool) -> Option<u32> {
        while from < end {
            let index = from / LIST_PAGE_VALUES;
            let page_end = (index + 1) * LIST_PAGE_VALUES;
            match self.pages.get(&u16::try_from(index).ok()?) {
                Some(Page::Full) if held => return Some(from),
                None if !held => return Some(from),
                Some(Page::Full) | None => from = page_end,
                Some(Page::Some(bits)) => {
                    let first = index * LIST_PAGE_VALUES;
                    match next_bit(bits, from - first, held) {
                        Some(bit) if first + bit < end => return Some(first + bit),
                        Some(_) => return None,
                        None => from = page_end,
                    }
                }
            }
        }
        None
    }
}

/// One past the last bit that is set.
pub(super) fn bits_end(bits: &[u8; 128]) -> u32 {
    let byte_end = |(index, byte): (usize, &u8)| {
        u32::try_from(index).map_or(u32::MAX, |index| index * 8 + 8 - byte.leading_zeros())
    };
    bits.iter().enumerate().rev().find(|(_, byte)| **byte != 0).map_or(0, byte_end)
}

fn pieces_of_page(piece_count: u32, index: u16) -> u32 {
    piece_count.saturating_sub(u32::from(index) * LIST_PAGE_VALUES).min(LIST_PAGE_VALUES)
}

/// What is kept of a page of so many pieces.
fn page_of(bits: &[u8; 128], count: u32) -> Option<Page> {
    let (words, _) = bits.as_chunks::<8>();
    match words.iter().map(|word| u64::from_le_bytes(*word).count_ones()).sum::<u32>() {
        0 => None,
        all if all == count => Some(Page::Full),
        _ => Some(Page::Some(Box::new(*bits))),
    }
}

fn full_bits(count: u32) -> [u8; 128] {
    let mut bits = [0; 128];
    change_bits(&mut bits, 0..count, &|byte, mask| byte | mask);
    bits
}

fn change_bits(bits: &mut [u8; 128], range: Range<u32>, rule: &impl Fn(u8, u8) -> u8) {
    for (byte, first) in bits.iter_mut().zip((0..LIST_PAGE_VALUES).step_by(8)) {
        let from = range.start.clamp(first, first + 8) - first;
        let to = range.end.clamp(first, first + 8) - first;
        if from < to {
            let mask = (0xff_u8 >> (8 - (to - from))) << from;
            *byte = rule(*byte, mask);
        }
    }
}

/// The first bit at or after `from` that is set (or is not).
fn next_bit(bits: &[u8; 128], from: u32, held: bool) -> Option<u32> {
    let (words, _) = bits.as_chunks::<8>();
    let mut skip = from % 64;
    for (word, first) in
        words.iter().zip((0..LIST_PAGE_VALUES).step_by(64)).skip(usize::try_from(from / 64).ok()?)
    {
        let word = u64::from_le_bytes(*word);
        let looked = if held { word } else { !word } & (u64::MAX << skip);
        if looked != 0 {
            return Some(first + looked.trailing_zeros());
        }
        skip = 0;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_set_keeps_its_last_piece() {
        let count = LIST_PAGES_MAX * LIST_PAGE_VALUES;
        let mut set = HaveSet::new(count);
        set.insert(count - 2..count);
        let mut words = Vec::new();
        set.write_words(&mut words);
        assert_eq!((words.len(), words.last()), (16_384, Some(&(3 << 62))));
        assert_eq!(HaveSet::from_words(count, &words), set);
    }

    fn naive_runs(held: &[bool]) -> Vec<Range<u32>> {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for (index, _) in held.iter().enumerate().filter(|(_, held)| **held) {
            let index = u32::try_from(index).unwrap();
            match runs.last_mut() {
                Some(run) if run.end == index => run.end += 1,
                _ => runs.push(index..index + 1),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn wire_4_a_have_set_is_a_vec_of_bools(
            count in 0_u32..2_600,
            changes in proptest::collection::vec((any::<bool>(), 0_u32..2_700, 0_u32..1_500), 0..20),
            window in (0_u32..2_700, 0_u32..2_700),
        ) {
            let mut set = HaveSet::new(count);
            let mut twin = vec![false; usize::try_from(count).unwrap()];
            for (add, start, len) in changes {
                let range = start..start + len;
                if add { set.insert(range.clone()) } else { set.remove(range.clone()) }
                for index in range.filter(|index| *index < count) {
                    twin[usize::try_from(index).unwrap()] = add;
                }
            }
            prop_assert_eq!(set.runs().collect::<Vec<_>>(), naive_runs(&twin));
            prop_assert_eq!(usize::try_from(set.count()).unwrap(), twin.iter().filter(|held| **held).count());
            let inside: Vec<bool> = twin
                .iter()
                .zip(0..)
                .map(|(held, index)| *held && (window.0..window.1).contains(&index))
                .collect();
            prop_assert_eq!(set.runs_within(window.0..window.1).collect::<Vec<_>>(), naive_runs(&inside));
            for (index, held) in (0..).zip(&twin) {
                prop_assert_eq!(set.contains(PieceIndex(index)), *held);
            }

            let mut told = HaveSet::new(count);
            told.apply(&set.pages().collect::<Vec<_>>());
            prop_assert_eq!(&told, &set);
            let mut words = vec![7];
            set.write_words(&mut words);
            prop_assert_eq!(&HaveSet::from_words(count, &words), &set);
            let bit = |index: u32| words[usize::try_from(index / 64).unwrap()] >> (index % 64) & 1 == 1;
            prop_assert!((0..).zip(&twin).all(|(index, held)| bit(index) == *held));
            words.iter_mut().for_each(|word| *word = u64::MAX);
            prop_assert_eq!(HaveSet::from_words(count, &words), HaveSet::whole(count));
            prop_assert_eq!(set.pages_unlike(&told, u32::MAX).count(), 0);
            prop_assert_eq!(&HaveSet::from_pieces(count, &set.to_pieces()), &set);
        }
    }

    #[test]
    fn wire_4_memory_is_one_bit_per_piece_whatever_the_pattern() {
        let count = 1 << 20;
        let mut set = HaveSet::new(count);
        (0..count).step_by(2).for_each(|piece| set.insert(piece..piece + 1));
        assert_eq!(set.count(), count / 2);
        let bits = usize::try_from(count / 8).unwrap();
        assert!((bits..bits + bits / 2).contains(&set.memory()), "{}", set.memory());
        set.insert(0..u32::MAX);
        assert!(set.is_whole());
        assert!(set.memory() < bits / 2, "full pages keep no bits: {}", set.memory());
    }
}
