//! What a world can drive.
//!
//! Knows: the shape of a sans-IO program (facts in, outputs until it waits). Does not know: any such program.

use peer_proto::time::Instant;

/// Names a host in its world: in the order they were added, from zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HostId(pub u32);

/// What a host wants next.
#[derive(Clone, Debug)]
pub enum HostOutput<M> {
    /// Send a message on the stream to a host. Messages of one stream arrive in order.
    Send {
        /// To whom.
        to: HostId,
        /// What.
        message: M,
        /// Bytes it has on the wire.
        len: u32,
    },
    /// Nothing until this moment, or the next fact.
    WaitUntil(Instant),
}

/// A program without IO that a [`World`](crate::World) can run.
///
/// After each fact the world polls until [`HostOutput::WaitUntil`].
pub trait Host {
    /// What hosts send to each other.
    type Message;

    /// The stream to a host is open; both ends are told.
    fn handle_connected(&mut self, peer: HostId, now: Instant);

    /// A message arrived.
    fn handle_message(&mut self, from: HostId, message: Self::Message, now: Instant);

    /// The stream to a host broke: what was under way is lost. Both ends are told.
    fn handle_lost(&mut self, peer: HostId, now: Instant);

    /// The moment the host waited for has come.
    fn handle_timeout(&mut self, now: Instant);

    /// What to do next.
    fn poll_output(&mut self) -> HostOutput<Self::Message>;
}
