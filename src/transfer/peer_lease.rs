//! Bytes of a lease from a peer.
//!
//! Knows: that blocks come in the order of the request, never more than was asked, and that none is taken while a piece
//! before it waits for its proof. Does not know: whether they are right (`sink`), how they travel (`swarm`).

use bytes::Bytes;
use peer_proto::content::{ByteRange, Geometry};
use tokio::sync::watch;

use crate::engine::io::LeaseFault;
use crate::swarm::BlockReceiver;

/// The blocks of one open request.
pub(super) struct PeerSource {
    blocks: BlockReceiver,
    /// Offset in the request at which the next block starts.
    next: u64,
    len: u64,
    proofs: Proofs,
}

/// How far what was taken is proved. A peer may turn liar at any moment: what it wastes then is what waits for its
/// proof, a piece or a block for each lease.
struct Proofs {
    /// Offset in the file at which the request starts.
    start: u64,
    geometry: Geometry,
    /// Everything before this offset in the file is proved.
    proved: watch::Receiver<u64>,
}

impl PeerSource {
    /// The blocks of a request for `range`. None is taken while a piece before it waits for its proof.
    pub(super) const fn new(
        blocks: BlockReceiver,
        range: ByteRange,
        geometry: Geometry,
        proved: watch::Receiver<u64>,
    ) -> Self {
        let proofs = Proofs { start: range.start(), geometry, proved };
        Self { blocks, next: 0, len: range.len(), proofs }
    }

    /// The next bytes in order; `None` once all that was asked for came.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, LeaseFault> {
        if self.next >= self.len {
            return Ok(None);
        }
        if !self.proofs.reach(self.next).await {
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

impl Proofs {
    /// Waits until all pieces before this offset in the request are proved; false if nobody proves any more.
    async fn reach(&mut self, offset: u64) -> bool {
        let at = self.start.saturating_add(offset);
        let Some(piece) = self.geometry.piece_at(at) else { return true };
        let begun = u64::from(piece.0) * self.geometry.piece_len();
        self.proved.wait_for(|proved| *proved >= begun).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const PIECE: u64 = 64 * 1024;

    #[test]
    fn t1_a_block_is_taken_when_all_pieces_in_front_of_it_are_proved() {
        let proved = watch::Sender::new(PIECE);
        let geometry = Geometry::of(8 * PIECE + 1).unwrap();
        let mut proofs = Proofs { start: PIECE, geometry, proved: proved.subscribe() };
        let mut reach = |offset| proofs.reach(offset).now_or_never();
        // Nothing of a piece that is under way can be proved: what is missing of it is taken.
        assert_eq!(
            [reach(0), reach(PIECE - 1), reach(PIECE), reach(2 * PIECE)],
            [Some(true), Some(true), None, None]
        );
        proved.send_replace(2 * PIECE);
        assert_eq!([reach(PIECE), reach(2 * PIECE - 1), reach(2 * PIECE)], [Some(true), Some(true), None]);
        drop(proved);
        assert_eq!([reach(PIECE), reach(2 * PIECE)], [Some(true), Some(false)]);
    }
}
