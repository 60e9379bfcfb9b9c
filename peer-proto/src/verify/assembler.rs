//! A hash list as it comes in: head and pages, each proved alone (TRUST-4).
//!
//! Knows: which parts are missing and what each must fold to. Does not know: who was asked for them.

use super::list::{HashList, ListPart, expect_count, page_count, page_pieces};
use super::subtree::{Form, fold, root_of_nothing};
use super::{VerifyError, count_of};
use crate::content::{ContentId, Geometry, Hash, PieceIndex};
use crate::limits::LIST_PAGE_VALUES;

/// Puts a hash list together. A wrong part is refused and forgotten at once, so it is pinned to its sender and costs
/// no memory.
///
/// Lists of more than one page need their head first; pages may then come in any order.
#[derive(Clone)]
pub struct ListAssembler {
    content: ContentId,
    geometry: Geometry,
    /// What each page must fold to; for a list of one page that is the root, in root form.
    head: Option<Vec<Hash>>,
    pages: Vec<Option<Box<[Hash]>>>,
    missing_pages: u32,
}

impl ListAssembler {
    /// An assembler for the list of `content`. Complete at once for files of at most one piece.
    ///
    /// # Errors
    /// [`VerifyError::TooLong`] for files that are not shared, [`VerifyError::WrongRoot`] for an empty file with
    /// another root than the empty file has.
    pub fn new(content: ContentId) -> Result<Self, VerifyError> {
        let geometry = Geometry::of(content.len)?;
        if content.len == 0 && content.root != root_of_nothing() {
            return Err(VerifyError::WrongRoot);
        }
        let missing_pages = page_count(&geometry);
        let pages = (0..missing_pages).map(|_| None).collect();
        let head = (missing_pages <= 1).then(|| vec![content.root]);
        Ok(Self { content, geometry, head, pages, missing_pages })
    }

    /// What the list is of.
    #[must_use]
    pub const fn content(&self) -> ContentId {
        self.content
    }

    /// The parts that are missing and can be proved now, in ascending order: the head alone until it is here.
    #[must_use]
    pub fn wants(&self) -> Vec<ListPart> {
        if self.head.is_none() {
            return vec![ListPart::Head];
        }
        let missing = (0..).zip(&self.pages).filter(|(_, values)| values.is_none());
        missing.map(|(page, _)| ListPart::Page(page)).collect()
    }

    /// Takes a head or page.
    ///
    /// # Errors
    /// As [`take_head`](Self::take_head) and [`take_page`](Self::take_page).
    pub fn take(&mut self, part: ListPart, values: &[Hash]) -> Result<(), VerifyError> {
        match part {
            ListPart::Head => self.take_head(values),
            ListPart::Page(page) => self.take_page(page, values),
        }
    }

    /// Takes the head, if it folds to the root.
    ///
    /// # Errors
    /// [`VerifyError::NoHead`] if this list has none, [`VerifyError::WrongCount`], [`VerifyError::WrongRoot`].
    pub fn take_head(&mut self, values: &[Hash]) -> Result<(), VerifyError> {
        let pages = page_count(&self.geometry);
        if pages <= 1 {
            return Err(VerifyError::NoHead { pages });
        }
        expect_count(values, u64::from(pages))?;
        if fold(values, Form::Root) != Some(self.content.root) {
            return Err(VerifyError::WrongRoot);
        }
        self.head.get_or_insert_with(|| values.to_vec());
        Ok(())
    }

    /// Takes a page, if it folds to its value in the head, or to the root if it is the only one.
    ///
    /// # Errors
    /// [`VerifyError::NoSuchPage`], [`VerifyError::HeadMissing`], [`VerifyError::WrongCount`],
    /// [`VerifyError::WrongPage`].
    pub fn take_page(&mut self, page: u32, values: &[Hash]) -> Result<(), VerifyError> {
        let count = page_count(&self.geometry);
        let no_such_page = VerifyError::NoSuchPage { page, count };
        let pieces = page_pieces(&self.geometry, page).ok_or(no_such_page.clone())?;
        let index = usize::try_from(page).map_err(|_| no_such_page)?;
        let head = self.head.as_ref().ok_or(VerifyError::HeadMissing { page })?;
        expect_count(values, u64::from(pieces.end - pieces.start))?;
        let form = if count == 1 { Form::Root } else { Form::Inner };
        if fold(values, form).as_ref() != head.get(index) {
            return Err(VerifyError::WrongPage { page });
        }
        if let Some(place) = self.pages.get_mut(index)
            && place.replace(values.into()).is_none()
        {
            self.missing_pages -= 1;
        }
        Ok(())
    }

    /// The values of a page that is here.
    #[must_use]
    pub fn page_values(&self, page: u32) -> Option<&[Hash]> {
        self.pages.get(usize::try_from(page).ok()?)?.as_deref()
    }

    /// The value of a piece, if it is known: usable before the list is complete.
    #[must_use]
    pub fn value(&self, piece: PieceIndex) -> Option<Hash> {
        if self.geometry.piece_count() == 1 && piece.0 == 0 {
            return Some(self.content.root);
        }
        let place = usize::try_from(piece.0 % LIST_PAGE_VALUES).ok()?;
        self.page_values(piece.0 / LIST_PAGE_VALUES)?.get(place).copied()
    }

    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.missing_pages == 0
    }

    /// The whole list, or `None` if parts are missing.
    #[must_use]
    pub fn finish(self) -> Option<HashList> {
        if !self.is_complete() {
            return None;
        }
        let values = if self.geometry.piece_count() == 1 {
            vec![self.content.root]
        } else {
            self.pages.iter().flatten().flat_map(|page| page.iter().copied()).collect()
        };
        debug_assert_eq!(count_of(&values), u64::from(self.geometry.piece_count()), "a value for each piece");
        Some(HashList::assembled(self.content, self.geometry, values))
    }
}

impl std::fmt::Debug for ListAssembler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ListAssembler({}, {} pages missing)", self.content, self.missing_pages)
    }
}
