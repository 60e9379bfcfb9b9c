//! Whatever may stand in a simulated world: honest nodes and rogues.
//!
//! Knows: what travels between them. Does not know: what either does.

use peer_proto::session::RequestId;
use peer_proto::time::Instant;
use peer_proto::wire::Frame;
use peer_proto::wire::codec::encode;
use simnet::{Answer, Crash, FlowEvent, Host, HostId, HostOutput, Neighbour};

use super::node::Node;
use super::rogue::Rogue;

/// What travels.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// A control or list frame.
    Frame(Box<Frame>),
    /// What a bulk transfer carries.
    Bulk {
        /// Which request of the receiver it answers.
        request: RequestId,
        /// For each piece that was asked for, in order, the content it was read from.
        pieces: Vec<u16>,
    },
}

/// Bytes of a frame on the wire; `None` if it cannot be sent at all.
pub(super) fn wire_len(frame: &Frame) -> Option<u32> {
    match frame {
        Frame::ListValues(list) => u32::try_from(list.values.len() * 32 + 64).ok(),
        _ => encode(frame).ok().and_then(|bytes| u32::try_from(bytes.len()).ok()),
    }
}

/// One machine.
#[derive(Debug)]
pub enum Machine {
    /// The engine that ships.
    Node(Box<Node>),
    /// Somebody who breaks promises.
    Rogue(Box<Rogue>),
}

impl Machine {
    /// The honest node, if it is one.
    #[must_use]
    pub fn node(&self) -> Option<&Node> {
        match self {
            Self::Node(node) => Some(node),
            Self::Rogue(_) => None,
        }
    }
}

macro_rules! either {
    ($self:ident, $machine:ident => $what:expr) => {
        match $self {
            Machine::Node($machine) => $what,
            Machine::Rogue($machine) => $what,
        }
    };
}

impl Host for Machine {
    type Message = Parcel;

    fn handle_start(&mut self, now: Instant) {
        either!(self, machine => machine.handle_start(now));
    }

    fn handle_crash(&mut self, crash: Crash, now: Instant) {
        either!(self, machine => machine.handle_crash(crash, now));
    }

    fn handle_discovered(&mut self, neighbour: Neighbour, now: Instant) {
        either!(self, machine => machine.handle_discovered(neighbour, now));
    }

    fn handle_connected(&mut self, peer: Neighbour, now: Instant) {
        either!(self, machine => machine.handle_connected(peer, now));
    }

    fn handle_message(&mut self, from: HostId, message: Parcel, now: Instant) {
        either!(self, machine => machine.handle_message(from, message, now));
    }

    fn handle_lost(&mut self, peer: HostId, now: Instant) {
        either!(self, machine => machine.handle_lost(peer, now));
    }

    fn handle_answer(&mut self, number: u64, answer: Answer, now: Instant) {
        either!(self, machine => machine.handle_answer(number, answer, now));
    }

    fn handle_flow(&mut self, event: FlowEvent<Parcel>, now: Instant) {
        either!(self, machine => machine.handle_flow(event, now));
    }

    fn handle_timeout(&mut self, now: Instant) {
        either!(self, machine => machine.handle_timeout(now));
    }

    fn poll_output(&mut self) -> HostOutput<Parcel> {
        either!(self, machine => machine.poll_output())
    }
}
