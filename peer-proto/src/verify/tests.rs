//! Proof against its oracles: plain `blake3`, `bao-tree`, and everybody who would like to be believed.
//!
//! Knows: payloads as functions of their offset. Does not know: files.

mod lengths;
mod lists;
mod pieces;

use super::*;
use crate::content::{ContentId, Geometry, Hash, PieceIndex};
use crate::limits::PIECE_LEN_MIN;

/// Length of a piece of a small file.
const PIECE: u64 = PIECE_LEN_MIN;

/// Lengths around everything that changes with the length.
const TELLING_LENS: [u64; 14] = [
    0,
    1,
    1_023,
    1_024,
    1_025,
    PIECE - 1,
    PIECE,
    PIECE + 1,
    2 * PIECE - 1,
    2 * PIECE,
    3 * PIECE,
    5 * PIECE + 7,
    8 * PIECE,
    11 * PIECE + 40_000,
];

/// The `len` bytes from `offset` on of the one infinite payload: every word of eight tells where it stands.
pub(super) fn bytes_at(offset: u64, len: u64) -> Vec<u8> {
    let end = offset + len;
    let words = (offset / 8..end.div_ceil(8)).flat_map(|word| {
        let mixed = (word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).to_le_bytes()
    });
    words.skip(usize::try_from(offset % 8).unwrap()).take(usize::try_from(len).unwrap()).collect()
}

fn root_of(bytes: &[u8]) -> Hash {
    Hash(*blake3::hash(bytes).as_bytes())
}

fn list_of(file: &[u8]) -> HashList {
    let geometry = Geometry::of(count_of(file)).unwrap();
    HashList::from_values(count_of(file), piece_values(&geometry, PieceIndex(0), file).unwrap()).unwrap()
}

/// A list of as many values as one likes, of bytes nobody has.
fn invented_list(pieces: u64) -> HashList {
    let values = (0..pieces).map(|piece| root_of(&piece.to_le_bytes())).collect();
    HashList::from_values(pieces * PIECE, values).unwrap()
}

fn flip(hash: &mut Hash, bit: usize) {
    hash.0[bit / 8 % 32] ^= 1 << (bit % 8);
}
