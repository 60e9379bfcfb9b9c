//! The dialogue of two peers.
//!
//! Knows: which frame may follow which, and when an answer is overdue. Does not know: sockets, files, which peer is
//! worth asking.

/// Names a request in one session: chosen by the requester, ascending; the blocks that answer it carry it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);
