//! Bytes of a lease from a peer.
//!
//! Knows: that blocks come in the order of the request, and never more than was asked. Does not know: whether they
//! are right (`sink`), how they travel (`swarm`).

use bytes::Bytes;

use crate::engine::io::LeaseFault;
use crate::swarm::BlockReceiver;

/// The blocks of one open request.
pub(super) struct PeerSource {
    blocks: BlockReceiver,
    /// Offset in the request at which the next block starts.
    next: u64,
    len: u64,
}

impl PeerSource {
    pub(super) const fn new(blocks: BlockReceiver, len: u64) -> Self {
        Self { blocks, next: 0, len }
    }

    /// The next bytes in order; `None` once all that was asked for came.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, LeaseFault> {
        if self.next >= self.len {
            return Ok(None);
        }
        let block = self.blocks.next().await.ok_or(LeaseFault::PeerLost)?;
        let len = u64::try_from(block.bytes.len()).unwrap_or(u64::MAX);
        if block.offset != self.next || len == 0 || len > self.len - self.next {
            // A request stays on one stream, so this peer does not keep to the protocol.
            return Err(LeaseFault::PeerLost);
        }
        self.next += len;
        Ok(Some(block.bytes))
    }
}
