//! Blocks on their way: which request they belong to, who takes them, who gives them.
//!
//! Knows: routes by (peer, request), WIRE-5, the bounded queues that make a slow taker slow down its own stream.
//! Does not know: whether bytes are right, where they go.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use peer_proto::limits::BLOCK_LEN_MAX;
use peer_proto::session::RequestId;
use peer_proto::time::Instant;
use peer_proto::wire::BlockHeader;
use peer_proto::wire::block::{BlockFault, BlockGate, Passage};
use tokio::sync::mpsc;

use super::limits::{LANES, REQUEST_QUEUE_BLOCKS, ROUTES_PER_PEER_MAX};
use super::link::Link;
use super::outgoing::OutgoingBuffer;

/// A block of a request, not yet proved.
#[derive(Clone, Debug)]
pub struct Block {
    /// Where it lies in the request: bytes since the start of its first range.
    pub offset: u64,
    /// Its bytes, 1 to 256 KiB.
    pub bytes: Bytes,
}

/// The blocks of one request, in order and without holes.
///
/// At most four blocks (1 MiB) wait here; then the peer's stream waits, and with it the other requests on that
/// stream: whoever holds a receiver keeps taking, or drops it. Dropping it lets late blocks pass for ten seconds
/// (WIRE-5), as [`Swarm::cancel_blocks`](super::Swarm::cancel_blocks) does.
#[derive(Debug)]
pub struct BlockReceiver {
    blocks: mpsc::Receiver<Block>,
    route: Option<(Arc<Link>, RequestId)>,
}

/// Gives blocks to one peer.
///
/// Cheap to clone. Blocks of one request travel on one stream and arrive in the order they were sent; requests are
/// spread over the streams by their ids.
#[derive(Clone, Debug)]
pub struct BlockSender {
    link: Arc<Link>,
}

/// The peer is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the peer is gone")]
pub struct Gone;

impl BlockReceiver {
    pub(super) const fn new(blocks: mpsc::Receiver<Block>, route: Option<(Arc<Link>, RequestId)>) -> Self {
        Self { blocks, route }
    }

    /// Blocks that come from no link.
    #[cfg(test)]
    pub(crate) const fn of(blocks: mpsc::Receiver<Block>) -> Self {
        Self::new(blocks, None)
    }

    /// The next block; `None` when the peer is gone, or all that was asked for came.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Block> {
        self.blocks.recv().await
    }
}

impl Drop for BlockReceiver {
    fn drop(&mut self) {
        if let Some((link, request)) = self.route.take() {
            link.cancel_blocks(request);
        }
    }
}

impl BlockSender {
    pub(super) const fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// An empty buffer for `len` bytes that are to be sent. Waits while 2 MiB, or two longer pieces, are held for this
    /// peer already.
    ///
    /// # Errors
    /// [`Gone`] when the connection is lost.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn room(&self, len: usize) -> Result<OutgoingBuffer, Gone> {
        tokio::select! {
            biased;
            () = self.link.stop.cancelled() => Err(Gone),
            room = self.link.outgoing().take(len) => room,
        }
    }

    /// Hands bytes of a request to the transport, in blocks of 256 KiB at most; waits while the peer reads slowly.
    /// Bytes are on their way, not arrived, when this returns.
    ///
    /// # Errors
    /// [`Gone`] when the connection is lost, also because the peer did not read for ten seconds.
    ///
    /// # Cancel safety
    /// Dropping the future may lose bytes that were not handed over yet; the stream stays whole.
    pub async fn send(&self, request: RequestId, offset: u64, mut bytes: Bytes) -> Result<(), Gone> {
        let mut offset = offset;
        while !bytes.is_empty() {
            let block = bytes.split_to(bytes.len().min(BLOCK_MAX));
            let len = u32::try_from(block.len()).map_err(|_| Gone)?;
            let header = BlockHeader { request, offset, len };
            self.link.send_block(lane_of(request), header, block).await?;
            offset = offset.saturating_add(len.into());
        }
        Ok(())
    }
}

/// Bytes in one block at most.
pub(super) const BLOCK_MAX: usize = BLOCK_LEN_MAX as usize;

/// The data stream a request's blocks travel on.
pub(super) fn lane_of(request: RequestId) -> usize {
    usize::try_from(request.0 % LANES as u64).unwrap_or(0)
}

/// Where a received block goes.
#[derive(Debug)]
pub(super) enum Way {
    /// To whoever holds the receiver.
    Deliver(mpsc::Sender<Block>),
    /// Nowhere: it belongs to a request that was cancelled a moment ago.
    Discard,
}

/// Why a block ends the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Misplaced {
    #[error(transparent)]
    Gate(#[from] BlockFault),
    #[error("a block of request {} at {offset} instead of {expected}", .request.0)]
    OutOfOrder { request: RequestId, offset: u64, expected: u64 },
}

/// The requests one peer is expected to answer.
#[derive(Debug, Default)]
pub(super) struct Routes {
    gate: BlockGate,
    open: BTreeMap<RequestId, Route>,
    discarded: u64,
}

#[derive(Debug)]
struct Route {
    next: u64,
    blocks: mpsc::Sender<Block>,
}

impl Routes {
    /// Opens a route; `None` if too many are open.
    pub(super) fn expect(&mut self, request: RequestId, len: u64) -> Option<mpsc::Receiver<Block>> {
        if self.open.len() >= ROUTES_PER_PEER_MAX || len == 0 {
            return None;
        }
        let (sender, receiver) = mpsc::channel(REQUEST_QUEUE_BLOCKS);
        self.gate.expect(request, len);
        self.open.insert(request, Route { next: 0, blocks: sender });
        Some(receiver)
    }

    /// Late blocks of this request are discarded from now on, and after a while refused.
    pub(super) fn cancel(&mut self, request: RequestId, now: Instant) {
        self.open.remove(&request);
        self.gate.cancel(request, now);
    }

    /// Where the block with this header goes.
    pub(super) fn pass(&mut self, header: BlockHeader, now: Instant) -> Result<Way, Misplaced> {
        let passage = self.gate.pass(header, now)?;
        let Some(route) = self.open.get_mut(&header.request) else {
            self.discarded = self.discarded.saturating_add(header.len.into());
            return Ok(Way::Discard);
        };
        if header.offset != route.next {
            let BlockHeader { request, offset, .. } = header;
            return Err(Misplaced::OutOfOrder { request, offset, expected: route.next });
        }
        route.next += u64::from(header.len);
        let blocks = route.blocks.clone();
        if passage == (Passage::Deliver { last: true }) {
            self.open.remove(&header.request);
        }
        Ok(Way::Deliver(blocks))
    }

    /// Ends every route: the peer is gone.
    pub(super) fn close(&mut self) {
        self.open.clear();
    }

    /// Bytes that came for cancelled requests since this was asked last.
    pub(super) fn take_discarded(&mut self) -> u64 {
        std::mem::take(&mut self.discarded)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peer_proto::limits::CANCELLED_BYTES_MAX;

    use super::*;

    fn header(request: u64, offset: u64, len: u32) -> BlockHeader {
        BlockHeader { request: RequestId(request), offset, len }
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn wire_5_blocks_come_in_order_and_never_more_than_asked() {
        let mut routes = Routes::default();
        let _receiver = routes.expect(RequestId(1), 300).unwrap();
        assert!(matches!(routes.pass(header(1, 0, 100), at(0)), Ok(Way::Deliver(_))));
        for offset in [0, 101, 50] {
            assert!(routes.pass(header(1, offset, 100), at(0)).is_err(), "{offset}");
        }
        assert!(routes.pass(header(1, 100, 201), at(0)).is_err());
    }

    #[test]
    fn the_receiver_ends_once_all_came() {
        let mut routes = Routes::default();
        let mut receiver = routes.expect(RequestId(1), 100).unwrap();
        assert!(matches!(routes.pass(header(1, 0, 100), at(0)), Ok(Way::Deliver(_))));
        assert!(receiver.try_recv().is_err_and(|error| error == mpsc::error::TryRecvError::Disconnected));
        assert!(routes.pass(header(1, 100, 1), at(0)).is_err(), "it is unknown now");
    }

    #[test]
    fn wire_5_late_blocks_of_a_cancelled_request_are_discarded_and_counted_and_have_an_end() {
        let mut routes = Routes::default();
        let _receiver = routes.expect(RequestId(1), 64 << 20).unwrap();
        assert!(matches!(routes.pass(header(1, 0, 1_000), at(0)), Ok(Way::Deliver(_))));
        routes.cancel(RequestId(1), at(0));
        let late = |index: u64| header(1, 1_000 + index * 262_144, 262_144);
        let passed = (0..256).take_while(|index| routes.pass(late(*index), at(100)).is_ok()).count();
        assert_eq!(passed as u64, CANCELLED_BYTES_MAX / u64::from(BLOCK_LEN_MAX));
        assert_eq!((routes.take_discarded(), routes.take_discarded()), (CANCELLED_BYTES_MAX, 0));
    }

    #[test]
    fn wire_5_ten_seconds_after_a_cancel_the_request_is_unknown() {
        let mut routes = Routes::default();
        let _receiver = routes.expect(RequestId(1), 1 << 20).unwrap();
        routes.cancel(RequestId(1), at(0));
        assert!(matches!(routes.pass(header(1, 0, 1), at(9_000)), Ok(Way::Discard)));
        assert!(routes.pass(header(1, 1, 1), at(11_000)).is_err());
    }

    #[test]
    fn no_more_than_64_requests_are_expected_of_one_peer() {
        let mut routes = Routes::default();
        let receivers: Vec<_> = (0..1_000).map_while(|id| routes.expect(RequestId(id), 1)).collect();
        assert_eq!(receivers.len(), ROUTES_PER_PEER_MAX);
    }
}
