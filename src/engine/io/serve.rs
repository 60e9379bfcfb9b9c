//! What peers are given, and how fast.
//!
//! Knows: values. Does not know: who may ask (`engine::serve`), whose turn it is (`transfer`).

use std::num::NonZeroU64;

use peer_proto::content::{ByteRange, Hash};
use peer_proto::peer::PeerId;
use peer_proto::session::RequestId;

use super::ServeId;
use crate::job::{FileId, ServeRates};
use crate::record::RecordId;

/// A request of so many bytes or fewer is small: however many larger ones are served, it finds a place, and every second
/// turn is for such.
pub const SMALL_REQUEST: u64 = 256 * 1024;

/// One request of a peer that is to be answered with bytes.
#[derive(Clone, Debug)]
pub struct Serve {
    /// Its name.
    pub id: ServeId,
    /// To whom.
    pub peer: PeerId,
    /// Under which of its requests.
    pub request: RequestId,
    /// From where.
    pub from: ServeFrom,
    /// What, in this order.
    pub ranges: Vec<ByteRange>,
    /// Inside a swarm, the value each piece must have: bytes of another are not sent. Empty otherwise.
    pub values: Vec<Hash>,
    /// Whether it is slowed for the sake of others.
    pub yields: Yields,
}

/// From where a peer is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServeFrom {
    /// A record of the cache.
    Record(RecordId),
    /// The part of a file that is still coming in: certain and proved pieces, and others only by their value.
    Part(FileId),
}

/// Whether an answer is slowed while foreground jobs of this machine move bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Yields {
    /// No: it brings such a job forward.
    Never,
    /// Yes.
    ToForeground,
}

/// How fast peers are served together, and each of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ServePace {
    /// What holds always.
    pub rates: ServeRates,
    /// Bytes per second of all that yields together; `None` while there is nothing to yield to.
    pub beside: Option<NonZeroU64>,
}

/// How serving a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServeOutcome {
    /// All of it was sent.
    Sent,
    /// The record no longer holds (or no longer proves) what was asked.
    NotHeld,
    /// The peer went, read too slowly, or cancelled.
    PeerGone,
}
