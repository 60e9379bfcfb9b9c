//! Reading what is held, all of it, only to see whether it still is.
//!
//! Knows: that a read proves what it finds and drops what does not prove. Does not know: who wants to know.

use peer_proto::content::PieceIndex;

use super::{Cache, CacheError, lock};
use crate::disk::Files;
use crate::record::RecordId;

/// What a look at a record found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// Pieces that are what they were.
    pub good: u32,
    /// Pieces that were not, and are held no longer.
    pub lost: u32,
    /// Whether it was told to stop before the end.
    pub is_stopped: bool,
}

impl<F: Files> Cache<F> {
    /// Reads every piece of a record and drops those that do not prove; which are lost shows in
    /// [`take_changes`](Self::take_changes) too. Blocks as long as reading takes, or until `goes_on` says no, which it is
    /// asked at every piece.
    ///
    /// # Errors
    /// [`CacheError::NoRecord`]; [`CacheError::Io`] if this machine is at its end, which says nothing of the record.
    pub fn verify(&self, id: RecordId, goes_on: impl Fn() -> bool) -> Result<Verified, CacheError> {
        let holding = {
            let records = lock(&self.shared.records);
            records.get(&id).ok_or(CacheError::NoRecord(id))?.summary.clone()
        };
        let mut found = Verified::default();
        let Ok(cut) = peer_proto::content::Geometry::of(holding.content.len) else { return Ok(found) };
        let mut buffer = Vec::new();
        for piece in (0..cut.piece_count()).filter(|piece| super::meta::holds(&holding.holding, *piece)) {
            if !goes_on() {
                return Ok(Verified { is_stopped: true, ..found });
            }
            match self.read_piece(id, PieceIndex(piece), &mut buffer) {
                Ok(()) => found.good += 1,
                Err(CacheError::NotHeld { .. } | CacheError::NoRecord(_)) => found.lost += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}
