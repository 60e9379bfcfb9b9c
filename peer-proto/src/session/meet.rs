//! What a node and its rendezvous say to each other.
//!
//! Knows: that names come only to who registered, and how often one may. Does not know: who is a rendezvous, what
//! becomes of a name (the node's engine decides).

use super::pace::Pace;
use super::{ProtocolError, Session, SessionEvent};
use crate::limits::{PEERS_NAMED_MAX, REGISTRATIONS_AT_ONCE_MAX};
use crate::time::Instant;
use crate::wire::{Frame, NamedPeer, Register, Versions};

/// Registrations, both ways.
#[derive(Debug)]
pub(super) struct Meeting {
    /// Whether we registered with the peer in this session.
    registered: bool,
    pace: Pace,
}

impl Meeting {
    pub(super) fn new(now: Instant) -> Self {
        Self { registered: false, pace: Pace::new(REGISTRATIONS_AT_ONCE_MAX, 1, now) }
    }
}

impl Session {
    /// Registers with the peer, or says again that we are there. It may then name others at any time. `false` if the
    /// peer does not know of this.
    pub fn register(&mut self, port: u16) -> bool {
        let may = port != 0 && self.version().is_some_and(|version| version >= Versions::MEET);
        if may {
            self.meeting.registered = true;
            self.out.frame(Frame::Register(Register { port }));
        }
        may
    }

    /// Names peers to one that registered; any number.
    pub fn name_peers(&mut self, named: &[NamedPeer]) {
        if self.version().is_some_and(|version| version >= Versions::MEET) {
            for named in named.chunks(PEERS_NAMED_MAX) {
                self.out.frame(Frame::Named(named.to_vec()));
            }
        }
    }

    /// More than a few registrations a second are not looked at.
    pub(super) fn registers(&mut self, register: Register, now: Instant) {
        if self.meeting.pace.take(now) {
            self.out.event(SessionEvent::Registered { port: register.port });
        }
    }

    pub(super) fn named(&mut self, named: Vec<NamedPeer>) -> Result<(), ProtocolError> {
        if !self.meeting.registered {
            return Err(ProtocolError::NotRegistered);
        }
        self.out.event(SessionEvent::PeersNamed(named));
        Ok(())
    }
}
