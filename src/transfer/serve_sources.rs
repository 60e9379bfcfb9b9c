//! Where pieces for peers are read: a record of the cache, or the part of a file that is still coming in.
//!
//! Knows: that both prove a piece in the buffer it was read into, and that whoever names a value gets bytes of that
//! value or none. Does not know: blocks, peers.

use std::ops::Range;
use std::sync::Arc;

use peer_proto::content::{Geometry, Hash, PieceIndex};

use super::part_table::NodePart;
use super::serve::{NotHeld, PieceReader};
use crate::cache::Cache;
use crate::disk::RealFiles;
use crate::record::RecordId;

/// The values a request names, taken off its front as its pieces are read in order; none outside a swarm.
pub(super) struct Asked {
    values: Option<std::vec::IntoIter<Hash>>,
}

impl Asked {
    pub(super) fn new(values: Vec<Hash>) -> Self {
        Self { values: (!values.is_empty()).then(|| values.into_iter()) }
    }

    /// The values of the next pieces, if any were named.
    fn next(&mut self, pieces: &Range<u32>) -> Option<Vec<Hash>> {
        Some(self.values.as_mut()?.by_ref().take(pieces.len()).collect())
    }
}

/// Reads certain and proved pieces of a part, and others by their value.
pub(super) struct PartReader {
    part: Arc<NodePart>,
    asked: Asked,
}

impl PartReader {
    pub(super) const fn new(part: Arc<NodePart>, asked: Asked) -> Self {
        Self { part, asked }
    }
}

impl PieceReader for PartReader {
    fn geometry(&self) -> Option<Geometry> {
        Geometry::of(self.part.len()?).ok()
    }

    fn append(&mut self, pieces: Range<u32>, buffer: &mut Vec<u8>) -> Result<(), NotHeld> {
        let appended = match self.asked.next(&pieces) {
            None => self.part.append_pieces(pieces, buffer),
            Some(values) => self.part.append_by_value(pieces, &values, buffer),
        };
        appended.map_err(|error| {
            tracing::debug!(%error, "piece not served");
            NotHeld
        })
    }
}

/// Reads pieces of a record.
pub(super) struct RecordReader {
    cache: Cache<RealFiles>,
    record: RecordId,
    asked: Asked,
}

impl RecordReader {
    pub(super) const fn new(cache: Cache<RealFiles>, record: RecordId, asked: Asked) -> Self {
        Self { cache, record, asked }
    }

    /// Whether the record's pieces have the values that were asked for.
    fn has(&self, pieces: &Range<u32>, values: &[Hash]) -> bool {
        let Some(list) = self.cache.list(self.record) else { return false };
        pieces.clone().map(|piece| list.value(PieceIndex(piece))).eq(values.iter().map(|value| Some(*value)))
    }
}

impl PieceReader for RecordReader {
    fn geometry(&self) -> Option<Geometry> {
        Geometry::of(self.cache.record(self.record)?.content.len).ok()
    }

    fn append(&mut self, pieces: Range<u32>, buffer: &mut Vec<u8>) -> Result<(), NotHeld> {
        if let Some(values) = self.asked.next(&pieces)
            && !self.has(&pieces, &values)
        {
            return Err(NotHeld);
        }
        self.cache.append_pieces(self.record, pieces, buffer).map_err(|error| {
            tracing::debug!(record = %self.record, %error, "piece not served");
            NotHeld
        })
    }
}
