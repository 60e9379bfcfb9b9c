//! One pass over a file of any length that gives its piece values and its root.
//!
//! Knows: that pieces grow with the file, so values at the smallest piece length are merged upward. Does not know:
//! the length before it ends.

use super::subtree::{Form, SubtreeHasher, parent};
use super::{HashList, VerifyError, count_of};
use crate::content::{Hash, TooLong};
use crate::limits::{FILE_LEN_MAX, PIECE_LEN_MAX, PIECE_LEN_MIN, PIECES_WANTED_MAX};

/// Hashes a file from its first byte to its last, whatever its length turns out to be.
///
/// Holds one value of 32 bytes for each piece so far: at most 512 KiB up to 64 GiB.
#[derive(Clone)]
pub struct StreamHasher {
    growth: Growth,
    len: u64,
    /// The leaf at the end. It is closed only when a byte after it comes: alone, it would be the root.
    leaf: SubtreeHasher,
    /// Leaves that were closed.
    leaf_count: u64,
    /// Values of whole pieces, at the piece length of the file so far.
    values: Vec<Hash>,
    /// Leaves of the piece at the end, folded to ever smaller powers of two.
    folded: Vec<Hash>,
    piece_len: u64,
}

impl StreamHasher {
    /// A hasher before the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::growing(SHARED)
    }

    fn growing(growth: Growth) -> Self {
        Self {
            growth,
            len: 0,
            leaf: leaf_at(0, growth.piece_len_min),
            leaf_count: 0,
            values: Vec::new(),
            folded: Vec::new(),
            piece_len: growth.piece_len_min,
        }
    }

    /// Takes the next bytes of the file. Slices of 16 KiB and more are hashed fastest.
    pub fn update(&mut self, bytes: &[u8]) {
        self.len = self.len.saturating_add(count_of(bytes));
        if self.len > FILE_LEN_MAX {
            self.values = Vec::new();
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.leaf.missing() == 0 {
                self.close_leaf();
            }
            let missing = usize::try_from(self.leaf.missing()).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(missing.min(rest.len()));
            self.leaf.update(now);
            rest = later;
        }
    }

    /// Bytes taken so far.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether no byte was taken yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hash list of the file, which ends here.
    ///
    /// # Errors
    /// [`VerifyError::TooLong`] beyond 4 TiB.
    pub fn finish(self) -> Result<HashList, VerifyError> {
        let len = self.len;
        if len > FILE_LEN_MAX {
            return Err(TooLong { len }.into());
        }
        HashList::from_values(len, self.into_values())
    }

    fn into_values(mut self) -> Vec<Hash> {
        if self.leaf_count == 0 {
            return if self.len == 0 {
                Vec::new()
            } else {
                self.leaf.finish_short(Form::Root).into_iter().collect()
            };
        }
        if let Some(last) = self.leaf.finish_short(Form::Inner) {
            let folded = self.folded.iter().rev();
            self.values.push(folded.fold(last, |right, left| parent(left, &right, Form::Inner)));
        }
        self.values
    }

    /// Folds the full leaf into what came before and starts the next one.
    fn close_leaf(&mut self) {
        let Some(mut value) = self.leaf.finish() else { return };
        self.leaf_count += 1;
        let leaf_len = self.growth.piece_len_min;
        let levels_in_piece = (self.piece_len / leaf_len).ilog2();
        let levels = self.leaf_count.trailing_zeros().min(levels_in_piece);
        for _ in 0..levels {
            if let Some(left) = self.folded.pop() {
                value = parent(&left, &value, Form::Inner);
            }
        }
        if levels == levels_in_piece {
            self.values.push(value);
            self.grow_pieces();
        } else {
            self.folded.push(value);
        }
        self.leaf = leaf_at(self.leaf_count, leaf_len);
    }

    /// Doubles the piece length if one more byte needs it. Called between two pieces, and a byte will follow.
    fn grow_pieces(&mut self) {
        if self.piece_len < self.growth.piece_len_max
            && count_of(&self.values) == self.growth.pieces_wanted_max
        {
            let (pairs, _) = self.values.as_chunks::<2>();
            self.values = pairs.iter().map(|[left, right]| parent(left, right, Form::Inner)).collect();
            self.piece_len *= 2;
        }
    }
}

impl Default for StreamHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for StreamHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamHasher({} bytes, {} values)", self.len, self.values.len())
    }
}

/// How pieces grow with the file; all powers of two.
#[derive(Clone, Copy)]
struct Growth {
    piece_len_min: u64,
    piece_len_max: u64,
    pieces_wanted_max: u64,
}

/// The growth of [`Geometry::of`](crate::content::Geometry::of).
const SHARED: Growth = Growth {
    piece_len_min: PIECE_LEN_MIN,
    piece_len_max: PIECE_LEN_MAX,
    pieces_wanted_max: PIECES_WANTED_MAX,
};

fn leaf_at(index: u64, len: u64) -> SubtreeHasher {
    SubtreeHasher::new(index * len, len, Form::Inner)
        .expect("a leaf's index times its length is a leaf's place")
}

#[cfg(test)]
mod tests {
    use super::super::subtree::fold;
    use super::super::tests::bytes_at;
    use super::*;

    const LEAF: u64 = 1_024;
    const SMALL: Growth = Growth { piece_len_min: LEAF, piece_len_max: 8 * LEAF, pieces_wanted_max: 4 };

    /// The values of the pieces, each hashed alone at the piece length of the whole length.
    fn plain_values(growth: Growth, file: &[u8]) -> (u64, Vec<Hash>) {
        let len = count_of(file);
        let mut piece_len = growth.piece_len_min;
        while piece_len < growth.piece_len_max && len.div_ceil(piece_len) > growth.pieces_wanted_max {
            piece_len *= 2;
        }
        let form = if len <= piece_len { Form::Root } else { Form::Inner };
        let pieces = file.chunks(usize::try_from(piece_len).unwrap());
        let values = (0..).zip(pieces).map(|(index, piece)| {
            let mut hasher = SubtreeHasher::new(index * piece_len, count_of(piece), form).unwrap();
            assert!(hasher.update(piece));
            hasher.finish().unwrap()
        });
        (piece_len, values.collect())
    }

    fn one_pass_matches_pieces_hashed_alone_impl(len: u64, slice: usize) {
        let file = bytes_at(0, len);
        let mut hasher = StreamHasher::growing(SMALL);
        for slice in file.chunks(slice) {
            hasher.update(slice);
            assert!(count_of(&hasher.values) <= SMALL.pieces_wanted_max || hasher.piece_len == 8 * LEAF);
        }
        assert_eq!(hasher.len(), len);
        let piece_len = hasher.piece_len;
        let values = hasher.into_values();
        assert_eq!(
            (piece_len, &values),
            (plain_values(SMALL, &file).0, &plain_values(SMALL, &file).1),
            "{len}"
        );
        let root = Hash(*blake3::hash(&file).as_bytes());
        assert_eq!(fold(&values, Form::Root), (len > 0).then_some(root), "length {len}");
    }

    #[test]
    fn values_merge_upward_each_time_the_pieces_grow_cases() {
        let lens = (0..70).flat_map(|leaf| [leaf * LEAF, leaf * LEAF + 1, leaf * LEAF + LEAF - 1]);
        for len in lens.chain([200 * LEAF + 77]) {
            for slice in [1_000, 64 * 1_024] {
                one_pass_matches_pieces_hashed_alone_impl(len, slice);
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn values_merge_upward_each_time_the_pieces_grow_proptest(len in 0..80 * LEAF, slice in 1..5_000_usize) {
            one_pass_matches_pieces_hashed_alone_impl(len, slice);
        }
    }

    #[test]
    fn a_file_too_long_to_share_is_counted_but_not_remembered() {
        let mut hasher = StreamHasher::new();
        hasher.update(&bytes_at(0, 3 * PIECE_LEN_MIN));
        hasher.len = FILE_LEN_MAX;
        hasher.update(b"x");
        hasher.update(b"y");
        assert_eq!((hasher.len(), hasher.values.len()), (FILE_LEN_MAX + 2, 0));
        assert_eq!(hasher.finish().err(), Some(VerifyError::TooLong(TooLong { len: FILE_LEN_MAX + 2 })));
    }
}
