//! What two members of one group say to each other: who they are, and what members say (GROUP-2).
//!
//! Knows: tags, when a token may be shown, how records are put into frames. Does not know: whether a token or a record is
//! good (the node's engine checks both).

use super::{Session, SessionConfig, SessionEvent, State};
use crate::limits::RECORDS_PER_FRAME_MAX;
use crate::wire::{Frame, Hello, Record};

/// Bytes of packed records in one frame: what is left of its body beside the field's own header.
const PACKED_MAX: usize = 16 * 1024 - 16;

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
        {
            self.out.frame(Frame::Token(badge.token.clone()));
        }
    }

    /// Passes statements of members on, or our own; to kin only.
    pub fn show_records(&mut self, records: Vec<Record>) {
        if !self.is_kin() {
            return;
        }
        let (mut packed, mut len) = (Vec::new(), 0);
        for record in records {
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

    /// What only kin says; of anybody else it is not listened to.
    pub(super) fn kin_said(&mut self, frame: Frame) {
        match frame {
            Frame::Token(token) if self.is_kin() => self.out.event(SessionEvent::TokenShown(token)),
            Frame::Records(records) if self.is_kin() => self.out.event(SessionEvent::RecordsShown(records)),
            _ => {}
        }
    }
}
