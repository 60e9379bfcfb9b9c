//! The way from one value up to the root: what proves a single value without the rest of the list.
//!
//! Knows: which values stand beside it on the way. Does not know: whether the root is to be trusted.

use super::list::HashList;
use super::subtree::{Form, fold, parent};
use crate::content::{ContentId, Geometry, Hash, PieceIndex};

impl HashList {
    /// The values beside the way from the root down to that of a piece, as [`is_value_of`] wants them: at most as many as a
    /// number of pieces has binary digits. `None` if the file has no such piece.
    #[must_use]
    pub fn path(&self, piece: PieceIndex) -> Option<Vec<Hash>> {
        self.value(piece)?;
        let (mut values, mut at) = (self.values(), usize::try_from(piece.0).ok()?);
        let mut path = Vec::new();
        while values.len() > 1 {
            let (left, right) = values.split_at(values.len().div_ceil(2).next_power_of_two());
            let (below, beside) = if at < left.len() { (left, right) } else { (right, left) };
            path.push(fold(beside, Form::Inner)?);
            at -= if at < left.len() { 0 } else { left.len() };
            values = below;
        }
        Some(path)
    }
}

/// Whether a piece of this content has this value and no other: whether the value and the path fold to the root.
#[must_use]
pub fn is_value_of(content: ContentId, piece: PieceIndex, value: Hash, path: &[Hash]) -> bool {
    let Ok(cut) = Geometry::of(content.len) else { return false };
    let is_there = piece.0 < cut.piece_count();
    is_there && climb(cut.piece_count(), piece.0, value, path, Form::Root) == Some(content.root)
}

/// The value over `count` pieces of which that at `piece` has this value; `None` if the path is too short or too long.
fn climb(count: u32, piece: u32, value: Hash, path: &[Hash], form: Form) -> Option<Hash> {
    if count <= 1 {
        return path.is_empty().then_some(value);
    }
    let (beside, below) = path.split_first()?;
    let left = count.div_ceil(2).next_power_of_two();
    if piece < left {
        return Some(parent(&climb(left, piece, value, below, Form::Inner)?, beside, form));
    }
    Some(parent(beside, &climb(count - left, piece - left, value, below, Form::Inner)?, form))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PIECE_LEN_MIN;

    #[test]
    fn trust_4_a_path_proves_one_value_of_one_piece_and_nothing_else() {
        for count in [1_u32, 2, 3, 4, 5, 7, 8, 9, 16, 17, 1_000] {
            let values: Vec<Hash> =
                (0..count).map(|n| Hash(*blake3::hash(&n.to_be_bytes()).as_bytes())).collect();
            let list = HashList::from_values(u64::from(count) * PIECE_LEN_MIN, values).unwrap();
            for at in 0..count {
                let (piece, path) = (PieceIndex(at), list.path(PieceIndex(at)).unwrap());
                let value = list.value(piece).unwrap();
                let proves = |piece, value, path: &[Hash]| is_value_of(list.content(), piece, value, path);
                assert!(proves(piece, value, &path), "{at} of {count}");
                assert!(path.len() <= 10, "{count}");
                assert!(!proves(piece, Hash([1; 32]), &path));
                assert!(!proves(piece, value, &[path.clone(), vec![value]].concat()), "too long");
                assert!(
                    count < 2
                        || !proves(piece, value, &path[1..])
                            && !proves(piece, value, &path[..path.len() - 1])
                );
                assert!(count < 2 || !proves(PieceIndex(at ^ 1), value, &path), "another piece");
            }
            assert_eq!(list.path(PieceIndex(count)), None);
            assert!(!is_value_of(list.content(), PieceIndex(count), list.values()[0], &[]));
        }
    }
}
