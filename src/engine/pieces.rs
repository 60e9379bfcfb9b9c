//! What is held of a file that is coming in: standings and values by piece.
//!
//! Knows: which pieces are certain, proved, provisional or suspect, and their values. Does not know: where they came
//! from, or what follows.

use std::collections::BTreeMap;
use std::ops::Range;

use peer_proto::content::{Geometry, Hash, PieceIndex};
use peer_proto::peer::PeerId;
use peer_proto::standing::{PieceRun, Standing};

use super::piece_set::{PieceSet, place};

/// The pieces of one file.
#[derive(Clone, Default, Debug)]
pub(super) struct Pieces {
    certain: PieceSet,
    proved: PieceSet,
    suspect: PieceSet,
    provisional: BTreeMap<PeerId, PieceSet>,
    /// Certain, proved and provisional ones.
    held: PieceSet,
    values: Vec<Hash>,
}

impl Pieces {
    /// Everything that is no gap.
    pub(super) const fn held(&self) -> &PieceSet {
        &self.held
    }

    pub(super) const fn certain(&self) -> &PieceSet {
        &self.certain
    }

    pub(super) const fn proved(&self) -> &PieceSet {
        &self.proved
    }

    pub(super) const fn suspect(&self) -> &PieceSet {
        &self.suspect
    }

    /// Provisional pieces of all authors.
    pub(super) fn provisional(&self) -> PieceSet {
        let mut all = PieceSet::new();
        for pieces in self.provisional.values() {
            all.union_with(pieces);
        }
        all
    }

    /// Whether a piece is provisional.
    pub(super) fn rests_on_words(&self) -> bool {
        self.provisional.values().any(|pieces| !pieces.is_empty())
    }

    /// Whether a piece is proved.
    pub(super) fn has_proved(&self) -> bool {
        !self.proved.is_empty()
    }

    /// Provisional pieces of one author.
    pub(super) fn provisional_of(&self, author: PeerId) -> PieceSet {
        self.provisional.get(&author).cloned().unwrap_or_default()
    }

    /// What may be served: certain and proved pieces (TRUST-1).
    pub(super) fn servable(&self) -> PieceSet {
        let mut all = self.certain.clone();
        all.union_with(&self.proved);
        all
    }

    /// Whether nothing is held but what agrees with a trusted root.
    pub(super) fn is_all_proved(&self) -> bool {
        self.held == self.proved && self.suspect.is_empty()
    }

    /// The value of a piece whose bytes are on disk, gap or not.
    pub(super) fn value(&self, piece: u32) -> Option<Hash> {
        let known = self.held.contains(piece) || self.suspect.contains(piece);
        if known { self.values.get(place(piece)).copied() } else { None }
    }

    /// Takes in a run that was written. Returns the pieces whose bytes are other than those held before.
    pub(super) fn store(&mut self, run: &PieceRun) -> Vec<u32> {
        let mut changed = Vec::new();
        for (piece, value) in (run.first.0..).zip(&run.values) {
            let firm = self.certain.contains(piece) || self.proved.contains(piece);
            if self.value(piece).is_some_and(|before| before != *value) {
                changed.push(piece);
            }
            if firm && !matches!(run.standing, Standing::Certain | Standing::Proved) {
                continue;
            }
            if self.values.len() <= place(piece) {
                self.values.resize(place(piece) + 1, Hash([0; 32]));
            }
            self.values[place(piece)] = *value;
            self.stand(piece..piece + 1, run.standing);
        }
        changed
    }

    /// Gives pieces another standing.
    pub(super) fn stand(&mut self, pieces: Range<u32>, standing: Standing) {
        self.clear(pieces.clone());
        match standing {
            Standing::Certain => self.certain.insert(pieces.clone()),
            Standing::Proved => self.proved.insert(pieces.clone()),
            Standing::Provisional { author } => {
                self.provisional.entry(author).or_default().insert(pieces.clone());
            }
            Standing::Suspect => return self.suspect.insert(pieces),
        }
        self.held.insert(pieces);
    }

    /// Makes pieces gaps.
    pub(super) fn clear(&mut self, pieces: Range<u32>) {
        let has_some = |set: &PieceSet| set.next_at(pieces.start).is_some_and(|next| next < pieces.end);
        if !has_some(&self.held) && !has_some(&self.suspect) {
            return;
        }
        self.held.remove(pieces.clone());
        self.certain.remove(pieces.clone());
        self.proved.remove(pieces.clone());
        self.suspect.remove(pieces.clone());
        for set in self.provisional.values_mut() {
            set.remove(pieces.clone());
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self, geometry: Option<&Geometry>) -> u64 {
        bytes_of(&self.held, geometry)
    }

    /// Bytes on disk: those held, and those in doubt.
    pub(super) fn bytes_on_disk(&self, geometry: Option<&Geometry>) -> u64 {
        bytes_of(&self.held, geometry) + bytes_of(&self.suspect, geometry)
    }
}

fn bytes_of(pieces: &PieceSet, geometry: Option<&Geometry>) -> u64 {
    let Some(geometry) = geometry else { return 0 };
    let full = u64::from(pieces.count()).saturating_mul(geometry.piece_len());
    let last = geometry.piece_count().checked_sub(1);
    let short = last
        .filter(|last| pieces.contains(*last))
        .and_then(|last| Some(geometry.piece_len() - geometry.piece_range(PieceIndex(last))?.len()));
    full - short.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u32, count: u8, standing: Standing, mark: u8) -> PieceRun {
        PieceRun {
            first: PieceIndex(first),
            values: (0..count).map(|_| Hash([mark; 32])).collect(),
            standing,
        }
    }

    #[test]
    fn a_piece_has_one_standing_and_firm_ones_stay_firm() {
        let author = PeerId::from_public_key([1; 32]);
        let mut pieces = Pieces::default();
        pieces.store(&run(0, 4, Standing::Provisional { author }, 7));
        assert!(pieces.store(&run(1, 1, Standing::Certain, 7)).is_empty());
        assert_eq!(pieces.store(&run(2, 1, Standing::Certain, 8)), [2]);
        assert_eq!(pieces.store(&run(2, 1, Standing::Provisional { author }, 7)), [2]);
        assert_eq!(pieces.value(2), Some(Hash([8; 32])));
        assert_eq!(pieces.certain(), &PieceSet::of(1..3));
        assert_eq!(pieces.provisional().count(), 2);
        pieces.stand(0..1, Standing::Suspect);
        assert!(!pieces.held().contains(0));
        assert_eq!(pieces.value(0), Some(Hash([7; 32])));
        assert_eq!(pieces.servable(), PieceSet::of(1..3));
        pieces.clear(0..4);
        assert_eq!(pieces.value(0), None);
    }

    #[test]
    fn what_is_certain_or_suspect_is_not_all_proved() {
        for (standing, all) in
            [(Standing::Proved, true), (Standing::Certain, false), (Standing::Suspect, false)]
        {
            let mut pieces = Pieces::default();
            pieces.store(&run(0, 2, Standing::Proved, 1));
            pieces.store(&run(2, 1, standing, 1));
            assert_eq!(pieces.is_all_proved(), all, "{standing:?}");
        }
    }

    #[test]
    fn counts_the_short_last_piece_as_it_is() {
        let geometry = Geometry::of(3 * 65_536 + 5).expect("short");
        let mut pieces = Pieces::default();
        pieces.store(&run(2, 2, Standing::Proved, 1));
        assert_eq!(pieces.bytes(Some(&geometry)), 65_536 + 5);
        assert!(pieces.is_all_proved());
    }
}
