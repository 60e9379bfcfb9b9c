//! Bytes of a lease from this machine's own cache.
//!
//! Knows: reading pieces ahead in one go, each proved where it was read. Does not know: which record is meant, what
//! becomes of the bytes (`sink`).

use std::ops::Range;

use bytes::Bytes;
use peer_proto::content::Geometry;

use super::fault;
use crate::cache::{Cache, CacheError, Hold};
use crate::disk::RealFiles;
use crate::engine::io::{LeaseFault, Span};
use crate::record::RecordId;

/// Bytes read at a time, but at least one piece.
const READ_LEN: u64 = 1024 * 1024;

/// The pieces of one range of a record.
pub(super) struct CacheSource {
    cache: Cache<RealFiles>,
    record: RecordId,
    /// What is read here is not removed meanwhile.
    _hold: Hold<RealFiles>,
    pieces: Range<u32>,
    pieces_per_read: u32,
}

impl CacheSource {
    pub(super) fn open(cache: Cache<RealFiles>, record: RecordId, span: Span) -> Result<Self, LeaseFault> {
        let hold = cache.hold(record).ok_or(LeaseFault::NotHeld)?;
        let len = cache.record(record).ok_or(LeaseFault::NotHeld)?.content.len;
        let geometry = Geometry::of(len).map_err(|_| LeaseFault::NotHeld)?;
        let Span::Range(range) = span else {
            return Err(fault::broken_rule("a record is asked for a range"));
        };
        let pieces_per_read = u32::try_from(READ_LEN / geometry.piece_len()).unwrap_or(1).max(1);
        Ok(Self { cache, record, _hold: hold, pieces: geometry.touched_pieces(range), pieces_per_read })
    }

    /// The next bytes in order; `None` once the whole range was read.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, LeaseFault> {
        if self.pieces.is_empty() {
            return Ok(None);
        }
        let end = self.pieces.start.saturating_add(self.pieces_per_read).min(self.pieces.end);
        let pieces = self.pieces.start..end;
        self.pieces.start = end;
        let (cache, record) = (self.cache.clone(), self.record);
        let reading = tokio::task::spawn_blocking(move || {
            let mut buffer = Vec::new();
            cache.append_pieces(record, pieces, &mut buffer).map(|()| buffer)
        });
        match reading.await {
            Ok(Ok(buffer)) => Ok(Some(buffer.into())),
            Ok(Err(error @ (CacheError::NotHeld { .. } | CacheError::NoRecord(_)))) => {
                tracing::info!(%error, "the cache cannot give what it was thought to hold");
                Err(LeaseFault::NotHeld)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the cache cannot be read");
                Err(LeaseFault::NotHeld)
            }
            Err(_) => Err(fault::broken_rule("reading the cache ends")),
        }
    }
}
