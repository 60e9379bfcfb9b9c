//! Where pieces for peers are read: a record of the cache, or the part of a file that is still coming in.
//!
//! Knows: that both prove a piece in the buffer it was read into. Does not know: blocks, peers.

use std::ops::Range;
use std::sync::Arc;

use peer_proto::content::Geometry;

use super::part_table::NodePart;
use super::serve::{NotHeld, PieceReader};
use crate::cache::Cache;
use crate::disk::RealFiles;
use crate::record::RecordId;

/// Reads certain and proved pieces of a part.
pub(super) struct PartReader {
    part: Arc<NodePart>,
}

impl PartReader {
    pub(super) const fn new(part: Arc<NodePart>) -> Self {
        Self { part }
    }
}

impl PieceReader for PartReader {
    fn geometry(&self) -> Option<Geometry> {
        Geometry::of(self.part.len()?).ok()
    }

    fn append(&mut self, pieces: Range<u32>, buffer: &mut Vec<u8>) -> Result<(), NotHeld> {
        self.part.append_pieces(pieces, buffer).map_err(|error| {
            tracing::debug!(%error, "piece not served");
            NotHeld
        })
    }
}

/// Reads pieces of a record.
pub(super) struct RecordReader {
    cache: Cache<RealFiles>,
    record: RecordId,
}

impl RecordReader {
    pub(super) const fn new(cache: Cache<RealFiles>, record: RecordId) -> Self {
        Self { cache, record }
    }
}

impl PieceReader for RecordReader {
    fn geometry(&self) -> Option<Geometry> {
        Geometry::of(self.cache.record(self.record)?.content.len).ok()
    }

    fn append(&mut self, pieces: Range<u32>, buffer: &mut Vec<u8>) -> Result<(), NotHeld> {
        self.cache.append_pieces(self.record, pieces, buffer).map_err(|error| {
            tracing::debug!(record = %self.record, %error, "piece not served");
            NotHeld
        })
    }
}
