//! How a node asks an enroller for a token, and is answered (GROUP-4, 5).
//!
//! Knows: numbers, the pace of questions, who may ask without a ticket. Does not know: what is given to whom (`group::enrol`),
//! tickets.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::pace::Pace;
use super::{EnrolBy, HandedOn, ProtocolError, Session, SessionEvent};
use crate::group::{GrantFault, Membership, TicketSecret};
use crate::limits::{GRANTS_ASKED_PER_SECOND_MAX, GROUPS_MAX};
use crate::time::Instant;
use crate::wire::{Enrol, Enrolled, Frame, Versions};

/// Both sides of it.
#[derive(Debug)]
pub(super) struct Enrolling {
    /// The number of our last question.
    asked: u32,
    /// Those that are not answered yet: one in each group, and one by a ticket.
    open: BTreeSet<u32>,
    /// The number of the peer's last question.
    heard: u32,
    pace: Pace,
}

impl Enrolling {
    pub(super) fn new(now: Instant) -> Self {
        let burst = GRANTS_ASKED_PER_SECOND_MAX;
        Self { asked: 0, open: BTreeSet::new(), heard: 0, pace: Pace::new(burst, burst, now) }
    }
}

impl Session {
    /// Asks the peer for a token: by a ticket, or as a member that renews its own. The number of the question, which one
    /// [`HandedOn::Enrolled`] answers at most: silence is an answer too. `None` if the peer cannot be asked.
    pub fn ask_enroller(&mut self, by: EnrolBy) -> Option<u32> {
        let speaks = self.version().is_some_and(|version| version >= Versions::HANDS_ON);
        let (ticket, group) = match by {
            EnrolBy::Ticket(secret) => (Some(secret.0), None),
            EnrolBy::Member(group) => (None, Some(group)),
        };
        if !speaks || group.is_some_and(|group| !self.is_kin_of(group)) {
            return None;
        }
        let enrolling = &mut self.kin.enrolling;
        enrolling.asked = enrolling.asked.checked_add(1)?;
        let number = enrolling.asked;
        enrolling.open.insert(number);
        while enrolling.open.len() > GROUPS_MAX + 1 {
            enrolling.open.pop_first();
        }
        self.out.frame(Frame::Enrol(Enrol { number, ticket, group }));
        Some(number)
    }

    /// Answers [`HandedOn::EnrolAsked`].
    pub fn show_enrolled(&mut self, number: u32, given: Result<Bytes, GrantFault>) {
        let Some(version) = self.version() else { return };
        let unnamed = |bytes: Bytes| {
            let given = Membership::invited(&bytes).map(|given| Membership { name: None, ..given });
            given.and_then(|given| given.invitation()).unwrap_or(bytes)
        };
        let given = if version < Versions::NAMES { given.map(unnamed) } else { given };
        self.out.frame(Frame::Enrolled(Enrolled { number, given }));
    }

    pub(super) fn enrol_asked(&mut self, ask: &Enrol, now: Instant) -> Result<(), ProtocolError> {
        let enrolling = &mut self.kin.enrolling;
        if ask.number <= enrolling.heard {
            return Err(ProtocolError::NumberGoesBack { number: u64::from(ask.number) });
        }
        enrolling.heard = ask.number;
        let may_ask = enrolling.pace.take(now);
        let by = match ask.ticket {
            Some(secret) => EnrolBy::Ticket(TicketSecret(secret)),
            None => match self.meant(ask.group) {
                Some(group) => EnrolBy::Member(group),
                // What only members say is not listened to.
                None => return Ok(()),
            },
        };
        if may_ask {
            self.out.event(SessionEvent::HandedOn(HandedOn::EnrolAsked { number: ask.number, by }));
        } else {
            self.show_enrolled(ask.number, Err(GrantFault::Busy));
        }
        Ok(())
    }

    pub(super) fn enrolled(&mut self, answer: &Enrolled) -> Result<(), ProtocolError> {
        let (enrolling, number) = (&mut self.kin.enrolling, answer.number);
        if number == 0 || number > enrolling.asked {
            return Err(ProtocolError::UnaskedAnswer { number });
        }
        if !enrolling.open.remove(&number) {
            return Ok(());
        }
        let given = match &answer.given {
            Ok(bytes) => Ok(Membership::invited(bytes).map(Box::new).ok_or(ProtocolError::NoInvitation)?),
            Err(fault) => Err(*fault),
        };
        self.out.event(SessionEvent::HandedOn(HandedOn::Enrolled { number, given }));
        Ok(())
    }
}
