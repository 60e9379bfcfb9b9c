//! Tickets: redeemed for this node at an enroller, and by this node as one (GROUP-4).
//!
//! Knows: which session is asked, who waits for an answer. Does not know: which tickets there are, how often they were used
//! (`store`), what is given for one (`peer_proto::group::enrol`).

use std::collections::BTreeMap;

use bytes::Bytes;
use peer_proto::group::{GrantFault, Membership, TicketSecret};
use peer_proto::peer::PeerId;
use peer_proto::session::EnrolBy;
use peer_proto::time::Instant;

use super::core::Core;
use super::io::{Effect, TicketFact, TicketFault, TicketWork};

/// This node's own ticket.
#[derive(Debug)]
struct Own {
    enroller: PeerId,
    secret: TicketSecret,
    until: Instant,
    /// The number under which it was shown, if it was.
    number: Option<u32>,
}

/// Both sides.
#[derive(Debug, Default)]
pub(super) struct Redeeming {
    own: Option<Own>,
    /// Who showed this node a ticket and waits for the answer, and under which number.
    waiting: BTreeMap<PeerId, u32>,
}

impl Redeeming {
    /// A new session may ask again: the enroller gives the same node another token for the same ticket.
    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        self.waiting.remove(&peer);
        if let Some(own) = self.own.as_mut().filter(|own| own.enroller == peer) {
            own.number = None;
        }
    }
}

impl Core {
    pub(super) fn ticket_fact(&mut self, fact: TicketFact) {
        match fact {
            TicketFact::Redeem { enroller, secret, until } => {
                self.redeeming.own = Some(Own { enroller, secret, until, number: None });
                self.show_ticket(enroller);
            }
            TicketFact::Spent { peer, number, given } => {
                // It may have gone, and come back with other questions.
                if self.redeeming.waiting.get(&peer) == Some(&number) {
                    self.redeeming.waiting.remove(&peer);
                    self.answer_ticket(peer, number, given);
                }
            }
        }
    }

    /// Shows this node's ticket if this is the enroller that made it.
    pub(super) fn show_ticket(&mut self, id: PeerId) {
        let now = self.time();
        let Some(own) = self.redeeming.own.as_mut().filter(|own| own.enroller == id && own.number.is_none())
        else {
            return;
        };
        if own.until <= now {
            self.redeeming.own = None;
            return;
        }
        let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.ready) else { return };
        own.number = peer.session.ask_enroller(EnrolBy::Ticket(own.secret));
        if own.number.is_none() {
            self.redeeming.own = None;
            self.effect(Effect::Ticket(TicketWork::Answered(Err(TicketFault::Older))));
        }
        self.pump(id);
    }

    /// An enroller answers the question of this number; `true` if it was about this node's ticket.
    pub(super) fn ticket_answered(
        &mut self,
        id: PeerId,
        number: u32,
        given: &Result<Box<Membership>, GrantFault>,
    ) -> bool {
        let is_it = |own: &mut Own| own.enroller == id && own.number == Some(number);
        if self.redeeming.own.take_if(is_it).is_none() {
            return false;
        }
        let answer = given.clone().map_err(TicketFault::Refused);
        self.effect(Effect::Ticket(TicketWork::Answered(answer)));
        true
    }

    /// A node shows this one a ticket.
    pub(super) fn ticket_shown(&mut self, peer: PeerId, number: u32, secret: TicketSecret) {
        let is_enroller = self.config.groups.iter().any(|(_, group)| group.enroller.is_some());
        if !is_enroller {
            return self.answer_ticket(peer, number, Err(GrantFault::NoTicket));
        }
        if self.redeeming.waiting.contains_key(&peer) {
            return self.answer_ticket(peer, number, Err(GrantFault::Busy));
        }
        self.redeeming.waiting.insert(peer, number);
        self.effect(Effect::Ticket(TicketWork::Spend { peer, number, secret }));
    }

    fn answer_ticket(&mut self, id: PeerId, number: u32, given: Result<Bytes, GrantFault>) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.session.show_enrolled(number, given);
        }
        self.pump(id);
    }
}
