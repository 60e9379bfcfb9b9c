//! What two members of one group say to each other: who they are, and what members and attestors say (GROUP-2).
//!
//! Knows: tags, when a token may be shown, how records are put into frames, the pace of questions for attestations. Does
//! not know: whether a token, a record or an attestation is good (the node's engine checks them).

use std::sync::Arc;

use super::enrolling::Enrolling;
use super::handing::Handing;
use super::pace::Pace;
use super::{ProtocolError, Session, SessionConfig, SessionEvent, State};
use crate::attest::Attestation;
use crate::batch::Batch;
use crate::evidence::Against;
use crate::group::{Badge, Token};
use crate::limits::{
    ATTESTATIONS_ASKED_PER_SECOND_MAX, ATTESTATIONS_PER_FRAME_MAX, BATCHES_PER_FRAME_MAX,
    RECORDS_PER_FRAME_MAX,
};
use crate::time::Instant;
use crate::wire::{AttestWant, Attestations, Batches, Frame, Hello, Record, Versions};

/// Bytes of packed records in one frame: what is left of its body beside the field's own header.
const PACKED_MAX: usize = 16 * 1024 - 16;
/// The same of a page frame.
const PAGE_PACKED_MAX: usize = 36 * 1024 - 32;

/// Questions for attestations, both ways.
#[derive(Debug)]
pub(super) struct Kin {
    /// The number of our last question.
    asked: u32,
    /// The number of the peer's last question.
    heard: u32,
    pace: Pace,
    pub(super) handing: Handing,
    pub(super) enrolling: Enrolling,
}

impl Kin {
    pub(super) fn new(now: Instant) -> Self {
        let burst = ATTESTATIONS_ASKED_PER_SECOND_MAX;
        Self {
            asked: 0,
            heard: 0,
            pace: Pace::new(burst, burst, now),
            handing: Handing::new(now),
            enrolling: Enrolling::new(now),
        }
    }
}

impl SessionConfig {
    /// The tags of our Hello: those of our group among random bytes.
    pub(super) fn tags(&self) -> [u8; 128] {
        let mut tags = self.filler;
        if let Some(badge) = &self.badge {
            badge.put_tags(&self.me, &self.peer, &self.my_nonce, &mut tags);
        }
        tags
    }

    /// Whether the other side knows a secret of our group.
    pub(super) fn is_kin(&self, hello: &Hello) -> bool {
        let badge = self.badge.as_ref();
        badge.is_some_and(|badge| badge.knows(&self.peer, &self.me, &hello.nonce, &hello.tags))
    }
}

impl Session {
    /// Whether the peer knows a secret of our group. It is a member once its token was checked, too.
    #[must_use]
    pub const fn is_kin(&self) -> bool {
        matches!(self.state, State::Open { kin: true, .. })
    }

    /// Shows our token, to kin only.
    pub(super) fn show_token(&mut self) {
        if self.is_kin()
            && let Some(badge) = &self.config.badge
            && self.reads(&badge.token)
        {
            self.out.frame(Frame::Token(badge.token.clone()));
        }
    }

    /// Whether the peer can read a token: those of enrollers came with version 6, and older nodes would close over one.
    fn reads(&self, token: &Token) -> bool {
        !token.is_delegated() || self.hands_on()
    }

    /// Shows another token of our group from now on; to kin also in this session.
    pub fn renew(&mut self, badge: Arc<Badge>) {
        self.config.badge = Some(badge);
        self.show_token();
    }

    /// Passes statements of members on, or our own; to kin only.
    pub fn show_records(&mut self, records: Vec<Record>) {
        if !self.is_kin() {
            return;
        }
        let (mut packed, mut len) = (Vec::new(), 0);
        for record in records {
            if record.said().token().is_some_and(|token| !self.reads(token)) {
                continue;
            }
            let more = record.bytes().len() + 2;
            if len + more > PACKED_MAX || packed.len() == RECORDS_PER_FRAME_MAX {
                self.out.frame(Frame::Records(std::mem::take(&mut packed)));
                len = 0;
            }
            len += more;
            packed.push(record);
        }
        if !packed.is_empty() {
            self.out.frame(Frame::Records(packed));
        }
    }

    /// Asks kin for what attestors say under an id. The number of the question, which one
    /// [`SessionEvent::AttestationsShown`] answers at most: silence is an answer too. `None` if the peer cannot be asked.
    pub fn want_attestations(&mut self, id: [u8; 32]) -> Option<u32> {
        if !self.is_kin() || self.version().is_none_or(|version| version < Versions::ATTEST) {
            return None;
        }
        self.kin.asked = self.kin.asked.checked_add(1)?;
        let number = self.kin.asked;
        self.out.frame(Frame::AttestWant(AttestWant { number, id }));
        Some(number)
    }

    /// Answers [`SessionEvent::AttestWanted`] with the first eight of these.
    pub fn show_attestations(&mut self, number: u32, mut list: Vec<Attestation>) {
        if self.is_kin() {
            list.retain(|one| self.reads(one.token()));
            list.truncate(ATTESTATIONS_PER_FRAME_MAX);
            self.out.frame(Frame::Attestations(Attestations { number, list }));
        }
    }

    /// Tells kin what attestors read of what its question of this number asked for; whoever knows no such frame is not
    /// told. `false` then.
    pub fn show_batches(&mut self, number: u32, list: Vec<Batch>) -> bool {
        if !self.is_kin() || self.version().is_none_or(|version| version < Versions::EVIDENCE) {
            return false;
        }
        let (mut packed, mut len) = (Vec::new(), 0);
        for batch in list {
            let more = batch.bytes().len() + 2;
            if !packed.is_empty() && (len + more > PAGE_PACKED_MAX || packed.len() == BATCHES_PER_FRAME_MAX) {
                self.out.frame(Frame::Batches(Batches { number, list: std::mem::take(&mut packed) }));
                len = 0;
            }
            len += more;
            packed.push(batch);
        }
        if !packed.is_empty() {
            self.out.frame(Frame::Batches(Batches { number, list: packed }));
        }
        true
    }

    /// Tells kin what tells against an attestor; whoever knows no such frame is not told.
    pub fn show_against(&mut self, against: Against) {
        if self.is_kin() && self.version().is_some_and(|version| version >= Versions::EVIDENCE) {
            self.out.frame(Frame::Against(against));
        }
    }

    /// What only kin says; of anybody else it is not listened to.
    pub(super) fn kin_said(&mut self, frame: Frame, now: Instant) -> Result<(), ProtocolError> {
        if !self.is_kin() {
            return Ok(());
        }
        match frame {
            Frame::Token(token) => self.out.event(SessionEvent::TokenShown(token)),
            Frame::Records(records) => self.out.event(SessionEvent::RecordsShown(records)),
            Frame::AttestWant(AttestWant { number, id }) => {
                if number <= self.kin.heard {
                    return Err(ProtocolError::NumberGoesBack { number: u64::from(number) });
                }
                self.kin.heard = number;
                if self.kin.pace.take(now) {
                    self.out.event(SessionEvent::AttestWanted { number, id });
                } else {
                    self.show_attestations(number, Vec::new());
                }
            }
            Frame::Attestations(Attestations { number, list }) => {
                if number == 0 || number > self.kin.asked {
                    return Err(ProtocolError::UnaskedAnswer { number });
                }
                self.out.event(SessionEvent::AttestationsShown { number, list });
            }
            Frame::Batches(Batches { number, list }) => {
                if number == 0 || number > self.kin.asked {
                    return Err(ProtocolError::UnaskedAnswer { number });
                }
                self.out.event(SessionEvent::BatchesShown(list));
            }
            Frame::Against(against) => self.out.event(SessionEvent::AgainstShown(against)),
            other => self.handed(other, now)?,
        }
        Ok(())
    }
}
