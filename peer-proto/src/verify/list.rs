//! The hash list: the values of a file's pieces, which fold to its root (TRUST-2..4).
//!
//! Knows: how many values a length has, how they fold, how they are cut into head and pages. Does not know: how a
//! list travels, or whether the root is to be trusted. A list that folds does not prove the length (TRUST-5).

use std::fmt;
use std::ops::Range;

use super::subtree::{Form, fold, root_of_nothing};
use super::{VerifyError, count_of, piece_value};
use crate::content::{ContentId, Geometry, Hash, PieceIndex};
use crate::limits::LIST_PAGE_VALUES;

/// A part of a hash list as it travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ListPart {
    /// One value for each page; only lists of more than one page have it.
    Head,
    /// The values of up to 1 024 pieces, counted from zero.
    Page(u32),
}

/// The values of all pieces of one content, known to fold to its root.
///
/// A one-piece file has its root as the only value; the empty file has none. Neither needs a list on the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct HashList {
    content: ContentId,
    geometry: Geometry,
    values: Vec<Hash>,
}

impl HashList {
    /// The list of a file of `len` bytes from the values of its pieces; computes the root.
    ///
    /// The values must come from bytes that were read: whatever they are, they fold to *some* root.
    ///
    /// # Errors
    /// [`VerifyError::TooLong`], or [`VerifyError::WrongCount`] unless there is one value for each piece.
    pub fn from_values(len: u64, values: Vec<Hash>) -> Result<Self, VerifyError> {
        let geometry = Geometry::of(len)?;
        expect_count(&values, u64::from(geometry.piece_count()))?;
        let root = fold(&values, Form::Root).unwrap_or_else(root_of_nothing);
        Ok(Self { content: ContentId { root, len }, geometry, values })
    }

    /// The list of `content`, if the values fold to its root.
    ///
    /// For files of one piece `values` may be empty, as it is on the wire.
    ///
    /// # Errors
    /// As [`from_values`](Self::from_values), and [`VerifyError::WrongRoot`].
    pub fn proved(content: ContentId, values: Vec<Hash>) -> Result<Self, VerifyError> {
        let only_piece = values.is_empty() && Geometry::of(content.len)?.piece_count() == 1;
        let list = Self::from_values(content.len, if only_piece { vec![content.root] } else { values })?;
        if list.content.root == content.root { Ok(list) } else { Err(VerifyError::WrongRoot) }
    }

    /// A list whose parts were proved one by one.
    pub(super) const fn assembled(content: ContentId, geometry: Geometry, values: Vec<Hash>) -> Self {
        Self { content, geometry, values }
    }

    /// What the list is of.
    #[must_use]
    pub const fn content(&self) -> ContentId {
        self.content
    }

    /// How the file is cut.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The value of a piece, or `None` if the file has no such piece.
    #[must_use]
    pub fn value(&self, piece: PieceIndex) -> Option<Hash> {
        self.values.get(usize::try_from(piece.0).ok()?).copied()
    }

    /// All values, in the order of the pieces.
    #[must_use]
    pub fn values(&self) -> &[Hash] {
        &self.values
    }

    /// The values of some pieces, or `None` unless the file has all of them.
    #[must_use]
    pub fn values_range(&self, pieces: Range<u32>) -> Option<&[Hash]> {
        self.values.get(usize::try_from(pieces.start).ok()?..usize::try_from(pieces.end).ok()?)
    }

    /// Proves one piece: whether `bytes` are all of it.
    ///
    /// # Errors
    /// [`VerifyError::WrongHash`] if they have another value; as [`piece_value`] if they are too many or too few.
    pub fn check(&self, piece: PieceIndex, bytes: &[u8]) -> Result<(), VerifyError> {
        let found = piece_value(&self.geometry, piece, bytes)?;
        if self.value(piece) == Some(found) { Ok(()) } else { Err(VerifyError::WrongHash { piece }) }
    }

    /// Pages the list travels in: none for files of at most one piece.
    #[must_use]
    pub const fn page_count(&self) -> u32 {
        page_count(&self.geometry)
    }

    /// The values of one page, or `None` if there is no such page.
    #[must_use]
    pub fn page(&self, page: u32) -> Option<Vec<Hash>> {
        self.values_range(page_pieces(&self.geometry, page)?).map(<[Hash]>::to_vec)
    }

    /// One value for each page; empty for lists of one page, which prove themselves.
    #[must_use]
    pub fn head(&self) -> Vec<Hash> {
        if self.page_count() <= 1 {
            return Vec::new();
        }
        let page_len = usize::try_from(LIST_PAGE_VALUES).unwrap_or(usize::MAX);
        self.values.chunks(page_len).filter_map(|page| fold(page, Form::Inner)).collect()
    }

    /// The values of a part as it travels, or `None` if the list has no such part.
    #[must_use]
    pub fn part(&self, part: ListPart) -> Option<Vec<Hash>> {
        match part {
            ListPart::Head => Some(self.head()).filter(|head| !head.is_empty()),
            ListPart::Page(page) => self.page(page),
        }
    }
}

impl fmt::Debug for HashList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashList({}, {} values)", self.content, self.values.len())
    }
}

/// Refuses values that are not as many as the length asks for.
pub(super) fn expect_count(values: &[Hash], expected: u64) -> Result<(), VerifyError> {
    let found = count_of(values);
    if found == expected { Ok(()) } else { Err(VerifyError::WrongCount { expected, found }) }
}

/// Pages a list of this geometry travels in.
pub(super) const fn page_count(geometry: &Geometry) -> u32 {
    match geometry.piece_count() {
        0 | 1 => 0,
        count => count.div_ceil(LIST_PAGE_VALUES),
    }
}

/// The pieces of one page, or `None` if there is no such page.
pub(super) fn page_pieces(geometry: &Geometry, page: u32) -> Option<Range<u32>> {
    if page >= page_count(geometry) {
        return None;
    }
    let first = page * LIST_PAGE_VALUES;
    Some(first..(first + LIST_PAGE_VALUES).min(geometry.piece_count()))
}
