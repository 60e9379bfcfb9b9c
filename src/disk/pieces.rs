//! What is known of every piece of one part.
//!
//! Knows: values and standings by piece, the stored prefix, what a power cut could still take. Does not know: files.

use peer_proto::content::{Geometry, Hash, PieceIndex};
use peer_proto::standing::{PieceRun, Standing};

/// One stored piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) value: Hash,
    pub(super) standing: Standing,
    /// Whether a sync after its last write succeeded.
    pub(super) durable: bool,
}

/// The pieces of a file of known length; none while the length is unknown.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    geometry: Option<Geometry>,
    stored: Vec<Option<Piece>>,
    /// So many pieces from the first on are stored and not suspect.
    prefix: u32,
}

impl Pieces {
    pub(super) fn of(geometry: Geometry) -> Self {
        let count = usize::try_from(geometry.piece_count()).unwrap_or(usize::MAX);
        Self { geometry: Some(geometry), stored: vec![None; count], prefix: 0 }
    }

    pub(super) const fn geometry(&self) -> Option<&Geometry> {
        self.geometry.as_ref()
    }

    pub(super) fn at(&self, piece: PieceIndex) -> Option<&Piece> {
        self.stored.get(usize::try_from(piece.0).ok()?)?.as_ref()
    }

    fn slot(&mut self, piece: u32) -> Option<&mut Option<Piece>> {
        self.stored.get_mut(usize::try_from(piece).ok()?)
    }

    /// Whether the file has all of these pieces.
    pub(super) fn has(&self, first: PieceIndex, count: usize) -> bool {
        usize::try_from(first.0)
            .ok()
            .and_then(|first| first.checked_add(count))
            .is_some_and(|end| end <= self.stored.len())
    }

    /// Stores a run. What is certain or proved does not become less because somebody merely states it, too.
    pub(super) fn put(&mut self, run: &PieceRun) {
        let is_firm = |standing| matches!(standing, Standing::Certain | Standing::Proved);
        for (piece, value) in (run.first.0..).zip(&run.values) {
            if let Some(slot) = self.slot(piece) {
                let stays = slot.is_some_and(|stored| is_firm(stored.standing) && stored.value == *value);
                if stays && !is_firm(run.standing) {
                    continue;
                }
                *slot = Some(Piece { value: *value, standing: run.standing, durable: false });
            }
        }
        self.extend_prefix();
    }

    pub(super) fn restand(&mut self, first: PieceIndex, count: u32, standing: Standing) {
        for piece in first.0..first.0.saturating_add(count).min(self.count()) {
            if let Some(Some(stored)) = self.slot(piece) {
                stored.standing = standing;
            }
        }
        if standing == Standing::Suspect {
            self.prefix = self.prefix.min(first.0);
        }
        self.extend_prefix();
    }

    pub(super) fn forget(&mut self, first: PieceIndex, count: u32) {
        for piece in first.0..first.0.saturating_add(count).min(self.count()) {
            if let Some(slot) = self.slot(piece) {
                *slot = None;
            }
        }
        self.prefix = self.prefix.min(first.0);
    }

    pub(super) fn mark_durable(&mut self, pieces: &[(PieceIndex, Hash)]) {
        for (piece, value) in pieces {
            if let Some(Some(stored)) = self.slot(piece.0)
                && stored.value == *value
            {
                stored.durable = true;
            }
        }
    }

    /// Stored pieces no sync has covered yet, with their values.
    pub(super) fn not_durable(&self) -> Vec<(PieceIndex, Hash)> {
        self.each().filter(|(_, piece)| !piece.durable).map(|(index, piece)| (index, piece.value)).collect()
    }

    /// Bytes from the start that are stored without a gap.
    pub(super) fn prefix_len(&self) -> u64 {
        self.geometry.map_or(0, |cut| (u64::from(self.prefix) * cut.piece_len()).min(cut.len()))
    }

    /// Pieces that are missing or suspect.
    pub(super) fn gaps(&self) -> Vec<PieceIndex> {
        (0..self.count()).map(PieceIndex).filter(|piece| !self.is_good(*piece)).collect()
    }

    /// Pieces that are not there at all. Suspect ones are: the whole file's digest decides over them too.
    pub(super) fn missing(&self) -> Vec<PieceIndex> {
        (0..self.count()).map(PieceIndex).filter(|piece| self.at(*piece).is_none()).collect()
    }

    /// Every value, if no piece is missing.
    pub(super) fn values(&self) -> Option<Vec<Hash>> {
        self.stored.iter().map(|slot| slot.map(|piece| piece.value)).collect()
    }

    /// What is stored, as runs of one standing each.
    pub(super) fn runs(&self) -> Vec<PieceRun> {
        let mut runs: Vec<PieceRun> = Vec::new();
        let mut next = None;
        for (index, piece) in self.each() {
            match runs.last_mut() {
                Some(run) if next == Some(index.0) && run.standing == piece.standing => {
                    run.values.push(piece.value);
                }
                _ => {
                    runs.push(PieceRun { first: index, values: vec![piece.value], standing: piece.standing })
                }
            }
            next = index.0.checked_add(1);
        }
        runs
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (PieceIndex, &Piece)> {
        (0..).zip(&self.stored).filter_map(|(index, slot)| Some((PieceIndex(index), slot.as_ref()?)))
    }

    fn count(&self) -> u32 {
        self.geometry.map_or(0, |cut| cut.piece_count())
    }

    fn is_good(&self, piece: PieceIndex) -> bool {
        self.at(piece).is_some_and(|stored| stored.standing != Standing::Suspect)
    }

    fn extend_prefix(&mut self) {
        while self.is_good(PieceIndex(self.prefix)) {
            self.prefix += 1;
        }
    }
}
