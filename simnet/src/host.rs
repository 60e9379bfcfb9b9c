//! What a world can drive.
//!
//! Knows: the shape of a sans-IO program (facts in, outputs until it waits). Does not know: any such program.

use std::time::Duration;

use peer_proto::time::Instant;

use crate::flow::{FlowEvent, FlowId, FlowSpec};
use crate::origin::{Answer, OriginId};

/// Names a host in its world: in the order they were added, from zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HostId(pub u32);

/// A host as another one sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// Which host.
    pub id: HostId,
    /// Its address: another one after it came back elsewhere.
    pub address: u32,
    /// Whether both sit at the same site.
    pub is_near: bool,
}

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
    /// Open a stream to a host; both ends are told when it is open. Nothing comes of it while the host is away.
    Connect(HostId),
    /// Close the stream to a host. Both ends are told.
    Disconnect(HostId),
    /// Ask an origin what it serves. Answered by one [`Host::handle_answer`] with the same number.
    Ask {
        /// Which origin.
        origin: OriginId,
        /// A number of the host's own.
        number: u64,
    },
    /// Start a bulk transfer from an origin to this host.
    Pull {
        /// From where.
        origin: OriginId,
        /// A number the host has not used for a flow before.
        number: u64,
        /// How much, and when to tell.
        spec: FlowSpec,
    },
    /// Start a bulk transfer from this host to another one, on an open stream.
    Push {
        /// To whom.
        to: HostId,
        /// A number the host has not used for a flow before.
        number: u64,
        /// What the receiver is told when it opens.
        label: M,
        /// How much, and when to tell.
        spec: FlowSpec,
    },
    /// Tell the receiver of a flow once so many bytes of it have come, besides the usual marks.
    Mark {
        /// Which flow.
        flow: FlowId,
        /// Bytes from its start.
        at: u64,
    },
    /// Let a flow end, complete, after so many bytes; at once if more have come.
    Trim {
        /// Which flow.
        flow: FlowId,
        /// Bytes from its start.
        len: u64,
    },
    /// End a flow now. Both ends are told.
    Cancel(FlowId),
    /// Nothing until this moment, or the next fact.
    WaitUntil(Instant),
}

/// How a host stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// The program dies, the machine stays: what was written is there, streams break at once.
    Program,
    /// The power goes: what was not synced is lost, nobody is told.
    Power,
    /// The power goes and the disk is empty when it returns.
    Disk,
}

/// A program without IO that a [`World`](crate::World) can run.
///
/// After each fact the world polls until [`HostOutput::WaitUntil`].
pub trait Host {
    /// What hosts send to each other.
    type Message;

    /// The host starts, for the first time or after a crash.
    fn handle_start(&mut self, now: Instant) {
        let _ = now;
    }

    /// The host crashed: it forgets what it must forget. It is not polled until it starts again.
    fn handle_crash(&mut self, crash: Crash, now: Instant) {
        let _ = (crash, now);
    }

    /// Discovery: another host of this site is there.
    fn handle_discovered(&mut self, neighbour: Neighbour, now: Instant) {
        let _ = (neighbour, now);
    }

    /// The stream to a host is open; both ends are told.
    fn handle_connected(&mut self, peer: Neighbour, now: Instant);

    /// A message arrived.
    fn handle_message(&mut self, from: HostId, message: Self::Message, now: Instant);

    /// The stream to a host broke, or could not be opened: what was under way is lost. Both ends are told.
    fn handle_lost(&mut self, peer: HostId, now: Instant);

    /// An origin answered a question.
    fn handle_answer(&mut self, number: u64, answer: Answer, now: Instant) {
        let _ = (number, answer, now);
    }

    /// A flow from or to this host opened, moved or ended.
    fn handle_flow(&mut self, event: FlowEvent<Self::Message>, now: Instant) {
        let _ = (event, now);
    }

    /// The moment the host waited for has come.
    fn handle_timeout(&mut self, now: Instant);

    /// What to do next.
    fn poll_output(&mut self) -> HostOutput<Self::Message>;
}

/// How hosts of a site learn of each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Discovery {
    /// Each is told of each other one within this time, drawn evenly.
    pub delay_max: Duration,
    /// A newcomer and so many of those that are there are told of each other.
    pub told_max: usize,
}

impl Default for Discovery {
    /// Up to 64 others, within half a second.
    fn default() -> Self {
        Self { delay_max: Duration::from_millis(500), told_max: 64 }
    }
}
