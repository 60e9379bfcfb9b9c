//! Machines that break promises: they speak the protocol well and lie in it.
//!
//! Knows: sessions, and one way to be hostile. Does not know: engines.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use peer_proto::group::Badges;
use peer_proto::session::{Answer as Found, Output, RequestId, Session, SessionConfig, SessionEvent};
use peer_proto::time::Instant;
use peer_proto::wire::ListPart;
use simnet::{Crash, Dice, FlowEvent, FlowId, FlowSpec, Host, HostId, HostOutput, Neighbour};

use super::content::{Library, TRUTH};
use super::machine::{Parcel, wire_len};

/// A way to be hostile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malice {
    /// States the true list and sends the bytes of another content.
    FalseBytes {
        /// Which.
        sends: u16,
    },
    /// States another content, and sends exactly that.
    FalseList {
        /// Which.
        states: u16,
    },
    /// States everything and never sends a byte.
    Silent,
    /// States everything and sends so many bytes a second.
    Drips {
        /// How many.
        bytes_per_s: u64,
    },
}

/// A hostile machine.
#[derive(Debug)]
pub struct Rogue {
    host: HostId,
    library: Arc<Library>,
    malice: Malice,
    dice: Dice,
    talks: BTreeMap<HostId, (Session, Instant)>,
    requests: BTreeMap<FlowId, (HostId, RequestId)>,
    numbers: u64,
    out: VecDeque<HostOutput<Parcel>>,
}

impl Rogue {
    /// A rogue that is not started yet.
    #[must_use]
    pub fn new(host: HostId, library: Arc<Library>, malice: Malice, dice: &mut Dice) -> Self {
        Self {
            host,
            library,
            malice,
            dice: Dice::new(dice.roll()),
            talks: BTreeMap::new(),
            requests: BTreeMap::new(),
            numbers: 0,
            out: VecDeque::new(),
        }
    }

    const fn stated(&self) -> u16 {
        match self.malice {
            Malice::FalseList { states } => states,
            Malice::FalseBytes { .. } | Malice::Silent | Malice::Drips { .. } => TRUTH,
        }
    }

    fn talk(&mut self, peer: HostId, now: Instant) {
        loop {
            let Some((session, wake)) = self.talks.get_mut(&peer) else { return };
            match session.poll_output() {
                Output::Transmit(frame) => {
                    let len = wire_len(&frame).unwrap_or(0);
                    self.out.push_back(HostOutput::Send {
                        to: peer,
                        message: Parcel::Frame(Box::new(frame)),
                        len,
                    });
                }
                Output::Event(event) => self.react(peer, event, now),
                Output::WaitUntil(at) => {
                    *wake = at;
                    return;
                }
            }
        }
    }

    fn react(&mut self, peer: HostId, event: SessionEvent, now: Instant) {
        let list = Arc::clone(self.library.list(self.stated()));
        let Some((session, _)) = self.talks.get_mut(&peer) else { return };
        match event {
            SessionEvent::Asked { key, .. } => {
                session.answer(key, Found::Here { content: list.content(), whole: true, sealed: true }, now);
            }
            SessionEvent::ListAsked { content, part } => {
                let values = match part {
                    ListPart::Head => Some(list.head()).filter(|head| !head.is_empty()),
                    ListPart::Page(page) => list.page(page),
                };
                session.send_list(content, part, values);
            }
            SessionEvent::Wanted { request, ranges, .. } => {
                let (sends, rate_max) = match self.malice {
                    Malice::FalseBytes { sends } => (sends, u64::MAX),
                    Malice::FalseList { states } => (states, u64::MAX),
                    Malice::Drips { bytes_per_s } => (TRUTH, bytes_per_s),
                    Malice::Silent => return,
                };
                self.numbers += 1;
                let flow = FlowId { starter: self.host, number: self.numbers };
                self.requests.insert(flow, (peer, request));
                let len = ranges.iter().map(|range| range.len()).sum();
                let tell_every = Duration::from_millis(100);
                let spec = FlowSpec { rate_max, tell_every, ..FlowSpec::of(len) };
                let label = Parcel::Bulk { request, pieces: vec![sends] };
                self.out.push_back(HostOutput::Push { to: peer, number: flow.number, label, spec });
            }
            SessionEvent::Cancelled { request } => {
                let flow =
                    self.requests.iter().find(|(_, open)| **open == (peer, request)).map(|(flow, _)| *flow);
                self.out.extend(flow.map(HostOutput::Cancel));
            }
            SessionEvent::Left { .. } | SessionEvent::Failed(_) => {
                self.out.push_back(HostOutput::Disconnect(peer))
            }
            _ => {}
        }
    }
}

impl Host for Rogue {
    type Message = Parcel;

    fn handle_crash(&mut self, _crash: Crash, _now: Instant) {
        self.talks.clear();
        self.requests.clear();
        self.out.clear();
    }

    fn handle_discovered(&mut self, neighbour: Neighbour, _now: Instant) {
        self.out.push_back(HostOutput::Connect(neighbour.id));
    }

    fn handle_connected(&mut self, peer: Neighbour, now: Instant) {
        let (my_nonce, filler) = (self.dice.bytes(), self.dice.bytes());
        let (me, peer_id) = (self.library.peer_of(self.host), self.library.peer_of(peer.id));
        let config = SessionConfig { me, peer: peer_id, my_nonce, filler, badges: Badges::default() };
        self.talks.insert(peer.id, (Session::new(config, now), Instant::NEVER));
        self.talk(peer.id, now);
    }

    fn handle_message(&mut self, from: HostId, message: Parcel, now: Instant) {
        if let (Parcel::Frame(frame), Some((session, _))) = (message, self.talks.get_mut(&from)) {
            if session.handle_frame(*frame, now).is_err() {
                self.out.push_back(HostOutput::Disconnect(from));
            }
            self.talk(from, now);
        }
    }

    fn handle_lost(&mut self, peer: HostId, _now: Instant) {
        self.talks.remove(&peer);
    }

    fn handle_flow(&mut self, event: FlowEvent<Parcel>, now: Instant) {
        if let FlowEvent::Ended { flow, .. } = event
            && let Some((peer, request)) = self.requests.remove(&flow)
            && let Some((session, _)) = self.talks.get_mut(&peer)
        {
            session.finish(request);
            self.talk(peer, now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<HostId> =
            self.talks.iter().filter(|(_, (_, wake))| *wake <= now).map(|(peer, _)| *peer).collect();
        for peer in due {
            if let Some((session, _)) = self.talks.get_mut(&peer) {
                session.handle_timeout(now);
            }
            self.talk(peer, now);
        }
    }

    fn poll_output(&mut self) -> HostOutput<Parcel> {
        self.out.pop_front().unwrap_or_else(|| {
            let wake = self.talks.values().map(|(_, wake)| *wake).min();
            HostOutput::WaitUntil(wake.unwrap_or(Instant::NEVER))
        })
    }
}
