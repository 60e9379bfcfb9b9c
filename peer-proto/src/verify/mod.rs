//! Proof: piece values, the hash list that folds to a root, and what may be believed of a length.
//!
//! Knows: the arithmetic of BLAKE3 trees over pieces (TRUST-2..6). Does not know: where bytes or lists come from,
//! or which root is trusted.

mod assembler;
mod error;
mod length;
mod list;
mod path;
mod piece;
mod stream;
mod subtree;
#[cfg(test)]
mod tests;

pub use assembler::ListAssembler;
pub use error::VerifyError;
pub use length::{LENGTH_CANDIDATES_MAX, LengthError, LengthProof};
pub use list::{HashList, ListPart};
pub use path::is_value_of;
pub use piece::{PieceHasher, piece_value, piece_values};
pub use stream::StreamHasher;

/// How many there are, as the `u64` that lengths and counts are kept in.
fn count_of<T>(things: &[T]) -> u64 {
    u64::try_from(things.len()).unwrap_or(u64::MAX)
}
