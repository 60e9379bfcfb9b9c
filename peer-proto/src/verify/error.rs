//! What can be wrong with a proof, and whether its sender lied.
//!
//! Knows: the place of each fault. Does not know: who sent it, or what follows.

use crate::content::{PieceIndex, TooLong};

/// Bytes, values or lengths that prove nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VerifyError {
    /// The file is longer than what is shared.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The file has no such piece.
    #[error("there is no piece {} in a file of {count}", .piece.0)]
    NoSuchPiece {
        /// The index asked for.
        piece: PieceIndex,
        /// Pieces in the file.
        count: u32,
    },
    /// More bytes than the piece has.
    #[error("piece {} has {expected} bytes, more were given", .piece.0)]
    PieceTooLong {
        /// Which piece.
        piece: PieceIndex,
        /// Its length.
        expected: u64,
    },
    /// Fewer bytes than the piece has.
    #[error("piece {} has {expected} bytes, only {found} were given", .piece.0)]
    PieceTooShort {
        /// Which piece.
        piece: PieceIndex,
        /// Its length.
        expected: u64,
        /// Bytes given.
        found: u64,
    },
    /// The bytes do not have the value they must have.
    #[error("piece {} is not what the content id promises", .piece.0)]
    WrongHash {
        /// Which piece.
        piece: PieceIndex,
    },
    /// A list, head or page with a number of values that does not follow from the length.
    #[error("expected {expected} values, got {found}")]
    WrongCount {
        /// Values that follow from the length.
        expected: u64,
        /// Values given.
        found: u64,
    },
    /// The list has no such page.
    #[error("there is no page {page} in a list of {count}")]
    NoSuchPage {
        /// The page asked for.
        page: u32,
        /// Pages in the list.
        count: u32,
    },
    /// A head for a list that has none: it fits on one page.
    #[error("a list of {pages} pages has no head")]
    NoHead {
        /// Pages in the list.
        pages: u32,
    },
    /// A page came before the head that proves it.
    #[error("page {page} cannot be proved before the head is here")]
    HeadMissing {
        /// Which page.
        page: u32,
    },
    /// The list or its head does not fold to the root.
    #[error("the hash list does not fold to the root")]
    WrongRoot,
    /// The page does not fold to its value in the head, or to the root if it is the only one.
    #[error("page {page} of the hash list does not fold to the root")]
    WrongPage {
        /// Which page.
        page: u32,
    },
    /// A subtree that cannot stand where it was put: a fault of this program, not of a peer.
    #[error("no subtree of {len} bytes can stand at offset {offset}")]
    Misplaced {
        /// Where.
        offset: u64,
        /// Its length.
        len: u64,
    },
}

impl VerifyError {
    /// Whether this is a lie of a sender that stated, or accepted, what it was checked against (TRUST-8).
    ///
    /// A wrong count is one as well: it follows from the length, which the sender named in the same breath.
    #[must_use]
    pub const fn is_lie(&self) -> bool {
        match self {
            Self::WrongHash { .. }
            | Self::WrongRoot
            | Self::WrongPage { .. }
            | Self::WrongCount { .. }
            | Self::PieceTooLong { .. } => true,
            Self::TooLong(_)
            | Self::NoSuchPiece { .. }
            | Self::PieceTooShort { .. }
            | Self::NoSuchPage { .. }
            | Self::NoHead { .. }
            | Self::HeadMissing { .. }
            | Self::Misplaced { .. } => false,
        }
    }
}
