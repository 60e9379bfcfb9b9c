//! Values of single pieces (TRUST-3).
//!
//! Knows: where a piece stands in its file's tree, and its exact length. Does not know: what its value should be.

use super::VerifyError;
use super::subtree::{Form, SubtreeHasher};
use crate::content::{Geometry, Hash, PieceIndex};

/// The value of one piece from all of its bytes; the root if it is the only one.
///
/// # Errors
/// [`VerifyError::NoSuchPiece`], [`VerifyError::PieceTooLong`] or [`VerifyError::PieceTooShort`].
pub fn piece_value(geometry: &Geometry, piece: PieceIndex, bytes: &[u8]) -> Result<Hash, VerifyError> {
    let mut hasher = PieceHasher::new(geometry, piece)?;
    hasher.update(bytes)?;
    hasher.finish()
}

/// The values of consecutive whole pieces, the first of which is `first`, from their bytes in a row.
///
/// The last of them may be short only if it is the file's last.
///
/// # Errors
/// As [`piece_value`], for the first piece that is wrong.
pub fn piece_values(geometry: &Geometry, first: PieceIndex, bytes: &[u8]) -> Result<Vec<Hash>, VerifyError> {
    let piece_len = usize::try_from(geometry.piece_len()).unwrap_or(usize::MAX);
    let indexes = (first.0..=u32::MAX).map(PieceIndex);
    indexes.zip(bytes.chunks(piece_len)).map(|(piece, bytes)| piece_value(geometry, piece, bytes)).collect()
}

/// Computes the value of one piece while its bytes come in.
#[derive(Clone)]
pub struct PieceHasher {
    piece: PieceIndex,
    len: u64,
    hasher: SubtreeHasher,
}

impl PieceHasher {
    /// A hasher for this piece of a file so cut.
    ///
    /// # Errors
    /// [`VerifyError::NoSuchPiece`].
    pub fn new(geometry: &Geometry, piece: PieceIndex) -> Result<Self, VerifyError> {
        let count = geometry.piece_count();
        let range = geometry.piece_range(piece).ok_or(VerifyError::NoSuchPiece { piece, count })?;
        let form = if count == 1 { Form::Root } else { Form::Inner };
        Ok(Self { piece, len: range.len(), hasher: SubtreeHasher::new(range.start(), range.len(), form)? })
    }

    /// Which piece.
    #[must_use]
    pub const fn piece(&self) -> PieceIndex {
        self.piece
    }

    /// Bytes still to come.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.hasher.missing()
    }

    /// Feeds the next bytes. Slices of 16 KiB and more are hashed fastest.
    ///
    /// # Errors
    /// [`VerifyError::PieceTooLong`], and nothing was fed, if the piece has fewer.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        if self.hasher.update(bytes) {
            return Ok(());
        }
        Err(VerifyError::PieceTooLong { piece: self.piece, expected: self.len })
    }

    /// The value of the piece.
    ///
    /// # Errors
    /// [`VerifyError::PieceTooShort`] if bytes are missing.
    pub fn finish(&self) -> Result<Hash, VerifyError> {
        let found = self.hasher.fed();
        self.hasher.finish().ok_or(VerifyError::PieceTooShort {
            piece: self.piece,
            expected: self.len,
            found,
        })
    }
}

impl std::fmt::Debug for PieceHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PieceHasher({}, {} bytes missing)", self.piece.0, self.missing())
    }
}
