//! Data frames: the fixed header before each block, and the gate a receiver lets blocks through.
//!
//! Knows: WIRE-5: a block belongs to an open request and lies inside it, or to one cancelled a moment ago. Does not
//! know: whether the bytes are right (`verify`).

use std::collections::BTreeMap;

use crate::limits::{BLOCK_LEN_MAX, CANCELLED_BYTES_MAX, CANCELLED_REQUEST_GRACE, CANCELLED_REQUESTS_MAX};
use crate::session::RequestId;
use crate::time::Instant;

/// Bytes of a block's header.
pub const BLOCK_HEADER_LEN: usize = 20;

/// What stands before the bytes of a block: request (8 bytes), offset (8), length (4), big-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockHeader {
    /// The request it answers.
    pub request: RequestId,
    /// Offset of its first byte in the request, whose ranges are thought of as laid end to end.
    pub offset: u64,
    /// Bytes that follow: 1 to 262 144.
    pub len: u32,
}

/// A block that must not come in (or go out). A protocol error of the sender: close, and back off (WIRE-9).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BlockFault {
    /// Empty or longer than a block may be.
    #[error("a block of {len} bytes: between 1 and {BLOCK_LEN_MAX} are allowed")]
    Len {
        /// The length it announced.
        len: u32,
    },
    /// Nobody asked for this, or all of it came already.
    #[error("a block for request {}, which is not open", .request.0)]
    UnknownRequest {
        /// The request it names.
        request: RequestId,
    },
    /// Beyond the end of the request, or more bytes than it has.
    #[error("a block of request {} at {offset} is more than was asked", .request.0)]
    MoreThanAsked {
        /// The request.
        request: RequestId,
        /// Where the block starts.
        offset: u64,
    },
    /// A cancelled request that goes on and on.
    #[error("request {} was cancelled, and still its blocks come", .request.0)]
    Cancelled {
        /// The request.
        request: RequestId,
    },
}

impl BlockHeader {
    /// The bytes of the header.
    #[must_use]
    pub fn encode(&self) -> [u8; BLOCK_HEADER_LEN] {
        let mut bytes = [0; BLOCK_HEADER_LEN];
        bytes[..8].copy_from_slice(&self.request.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_be_bytes());
        bytes[16..].copy_from_slice(&self.len.to_be_bytes());
        bytes
    }

    /// Reads a header; its length is within bounds then, so that a buffer may be made.
    ///
    /// # Errors
    /// [`BlockFault::Len`], and [`BlockFault::MoreThanAsked`] for an offset no request has.
    pub fn decode(bytes: &[u8; BLOCK_HEADER_LEN]) -> Result<Self, BlockFault> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = *bytes;
        let header = Self {
            request: RequestId(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
            offset: u64::from_be_bytes([i, j, k, l, m, n, o, p]),
            len: u32::from_be_bytes([q, r, s, t]),
        };
        if header.len == 0 || header.len > BLOCK_LEN_MAX {
            return Err(BlockFault::Len { len: header.len });
        }
        if header.offset.checked_add(u64::from(header.len)).is_none() {
            return Err(BlockFault::MoreThanAsked { request: header.request, offset: header.offset });
        }
        Ok(header)
    }
}

/// What to do with a block whose header came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// Hand it to whoever works on the request.
    Deliver {
        /// Whether every byte asked for has come now; the request is closed then.
        last: bool,
    },
    /// Read and drop it, and count its bytes as discarded.
    Discard,
}

/// Lets the blocks of one peer through (WIRE-5). Ask it with each header, before a buffer is made.
///
/// Bytes are counted here, not their places (the reader of a stream sees whether offsets ascend): a peer that repeats
/// itself ends up with a request that never completes, never with more than it was asked for.
#[derive(Clone, Debug, Default)]
pub struct BlockGate {
    open: BTreeMap<RequestId, Asked>,
    cancelled: BTreeMap<RequestId, Grace>,
    discarded: u64,
}

/// Bytes asked for, and those still missing.
#[derive(Clone, Copy, Debug)]
struct Asked {
    len: u64,
    missing: u64,
}

#[derive(Clone, Copy, Debug)]
struct Grace {
    until: Instant,
    bytes: u64,
}

impl BlockGate {
    /// Opens a request of `len` bytes. To be called before the `Want` leaves.
    pub fn expect(&mut self, request: RequestId, len: u64) {
        if len > 0 {
            self.open.insert(request, Asked { len, missing: len });
        }
    }

    /// Closes a request whose blocks may still be under way: they are discarded for 10 s, up to what was missing
    /// and [`CANCELLED_BYTES_MAX`]. Of more than 64 such requests the oldest is forgotten.
    pub fn cancel(&mut self, request: RequestId, now: Instant) {
        let Some(open) = self.open.remove(&request) else { return };
        self.cancelled.retain(|_, grace| grace.until > now);
        while self.cancelled.len() >= CANCELLED_REQUESTS_MAX {
            self.cancelled.pop_first();
        }
        let grace =
            Grace { until: now.after(CANCELLED_REQUEST_GRACE), bytes: open.missing.min(CANCELLED_BYTES_MAX) };
        self.cancelled.insert(request, grace);
    }

    /// Whether a block may come in.
    ///
    /// # Errors
    /// [`BlockFault`]: close the connection.
    pub fn pass(&mut self, header: BlockHeader, now: Instant) -> Result<Passage, BlockFault> {
        let BlockHeader { request, offset, len } = header;
        let len = u64::from(len);
        if let Some(open) = self.open.get_mut(&request) {
            let inside = offset.checked_add(len).is_some_and(|end| end <= open.len);
            if !inside || len > open.missing {
                return Err(BlockFault::MoreThanAsked { request, offset });
            }
            open.missing -= len;
            let last = open.missing == 0;
            if last {
                self.open.remove(&request);
            }
            return Ok(Passage::Deliver { last });
        }
        match self.cancelled.get_mut(&request) {
            Some(grace) if grace.until <= now || len > grace.bytes => Err(BlockFault::Cancelled { request }),
            Some(grace) => {
                grace.bytes -= len;
                self.discarded = self.discarded.saturating_add(len);
                Ok(Passage::Discard)
            }
            None => Err(BlockFault::UnknownRequest { request }),
        }
    }

    /// Bytes that came for cancelled requests.
    #[must_use]
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Requests that are open.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn header(request: u64, offset: u64, len: u32) -> BlockHeader {
        BlockHeader { request: RequestId(request), offset, len }
    }

    const NOW: Instant = Instant::ZERO;

    #[test]
    fn wire_5_the_header_has_golden_bytes() {
        let golden = [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 4, 0, 0];
        let header = header(7, (1 << 32) + 2, BLOCK_LEN_MAX);
        assert_eq!(header.encode(), golden);
        assert_eq!(BlockHeader::decode(&golden), Ok(header));
    }

    #[test]
    fn wire_5_a_block_is_at_most_256_kib_and_never_empty() {
        for len in [0, BLOCK_LEN_MAX + 1, u32::MAX] {
            assert_eq!(BlockHeader::decode(&header(1, 0, len).encode()), Err(BlockFault::Len { len }));
        }
        let overflow = header(1, u64::MAX, 1);
        assert!(matches!(BlockHeader::decode(&overflow.encode()), Err(BlockFault::MoreThanAsked { .. })));
    }

    #[test]
    fn wire_5_never_more_than_asked() {
        let mut gate = BlockGate::default();
        gate.expect(RequestId(1), 100);
        assert_eq!(gate.pass(header(1, 60, 40), NOW), Ok(Passage::Deliver { last: false }));
        for (offset, len) in [(61, 40), (100, 1), (0, 61), (u64::MAX, 1)] {
            let refused = Err(BlockFault::MoreThanAsked { request: RequestId(1), offset });
            assert_eq!(gate.pass(header(1, offset, len), NOW), refused);
        }
        assert_eq!(gate.pass(header(1, 0, 60), NOW), Ok(Passage::Deliver { last: true }));
        let unknown = Err(BlockFault::UnknownRequest { request: RequestId(1) });
        assert_eq!(gate.pass(header(1, 0, 1), NOW), unknown, "all of it came");
    }

    #[test]
    fn wire_5_an_unknown_request_is_an_error() {
        let unknown = Err(BlockFault::UnknownRequest { request: RequestId(9) });
        assert_eq!(BlockGate::default().pass(header(9, 0, 1), NOW), unknown);
    }

    #[test]
    fn wire_5_a_cancelled_request_is_let_through_for_10_s_and_counted() {
        let mut gate = BlockGate::default();
        gate.expect(RequestId(1), 1_000);
        gate.cancel(RequestId(1), NOW);
        let soon = NOW.after(Duration::from_secs(9));
        assert_eq!(gate.pass(header(1, 0, 600), soon), Ok(Passage::Discard));
        assert_eq!(gate.discarded(), 600);
        let cancelled = Err(BlockFault::Cancelled { request: RequestId(1) });
        assert_eq!(gate.pass(header(1, 0, 401), soon), cancelled, "more than was missing");
        assert_eq!(gate.pass(header(1, 0, 400), NOW.after(CANCELLED_REQUEST_GRACE)), cancelled, "too late");
    }

    #[test]
    fn wire_5_a_cancelled_request_may_not_go_on_for_ever() {
        let mut gate = BlockGate::default();
        gate.expect(RequestId(1), u64::MAX);
        gate.cancel(RequestId(1), NOW);
        let blocks = CANCELLED_BYTES_MAX / u64::from(BLOCK_LEN_MAX);
        for _ in 0..blocks {
            assert_eq!(gate.pass(header(1, 0, BLOCK_LEN_MAX), NOW), Ok(Passage::Discard));
        }
        assert_eq!(
            gate.pass(header(1, 0, BLOCK_LEN_MAX), NOW),
            Err(BlockFault::Cancelled { request: RequestId(1) })
        );
    }

    #[test]
    fn wire_5_at_most_64_cancelled_requests_are_remembered() {
        let mut gate = BlockGate::default();
        for request in 0..1_000 {
            gate.expect(RequestId(request), 10);
            gate.cancel(RequestId(request), NOW);
            assert!(gate.cancelled.len() <= CANCELLED_REQUESTS_MAX);
        }
        assert_eq!(gate.pass(header(999, 0, 1), NOW), Ok(Passage::Discard));
        let unknown = Err(BlockFault::UnknownRequest { request: RequestId(935) });
        assert_eq!(gate.pass(header(935, 0, 1), NOW), unknown);
    }
}
