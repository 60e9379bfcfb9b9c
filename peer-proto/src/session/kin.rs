//! What two members of the same groups say to each other: who they are, and what members and attestors say (GROUP-2).
//!
//! Knows: tags, which groups both are in, when a token may be shown, how records are put into frames, the pace of questions for attestations. Does
//! not know: whether a token, a record or an attestation is good (the node's engine checks them).

use std::collections::BTreeSet;

use super::enrolling::Enrolling;
use super::handing::Handing;
use super::pace::Pace;
use super::{ProtocolError, Session, SessionConfig, SessionEvent, State};
use crate::attest::Attestation;
use crate::batch::Batch;
use crate::evidence::Against;
use crate::group::{Badges, GroupId, Token};
use crate::limits::{
    ATTESTATIONS_ASKED_PER_SECOND_MAX, ATTESTATIONS_PER_FRAME_MAX, BATCHES_PER_FRAME_MAX, GROUPS_MAX,
    RECORDS_PER_FRAME_MAX, TAGS_AT_ONCE_MAX,
};
use crate::time::Instant;
use crate::wire::{AttestWant, Attestations, Batches, Frame, Hello, Record, Tags, Versions};

/// Bytes of packed records in one frame: what is left of its body beside the field's own header.
const PACKED_MAX: usize = 16 * 1024 - 16;
/// The same of a page frame.
const PAGE_PACKED_MAX: usize = 36 * 1024 - 32;

/// Which groups both are in, and questions for attestations, both ways.
#[derive(Debug)]
pub(super) struct Kin {
    /// Groups of ours of which the peer knows a secret.
    pub(super) groups: BTreeSet<GroupId>,
    /// The tags that the peer showed last.
    pub(super) shown: Option<Tags>,
    /// How often it may show others.
    tags_pace: Pace,
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
            groups: BTreeSet::new(),
            shown: None,
            tags_pace: Pace::new(TAGS_AT_ONCE_MAX, 1, now),
            asked: 0,
            heard: 0,
            pace: Pace::new(burst, burst, now),
            handing: Handing::new(now),
            enrolling: Enrolling::new(now),
        }
    }
}

impl SessionConfig {
    /// The tags of our Hello: those of our groups among random bytes.
    pub(super) fn tags(&self) -> [u8; 128] {
        let mut tags = self.filler;
        self.badges.put_tags(&self.me, &self.peer, &self.my_nonce, &mut tags);
        tags
    }

    /// The groups of ours of which the other side knows a secret. A version that knew one group only, and has a secret of
    /// several, is taken for a member of the first of them.
    pub(super) fn common_groups(&self, version: u32, hello: &Hello) -> BTreeSet<GroupId> {
        if version < Versions::GROUP {
            return BTreeSet::new();
        }
        let known = self.badges.known(&self.peer, &self.me, &hello.nonce, &hello.tags);
        let count = if version < Versions::GROUPS { 1 } else { GROUPS_MAX };
        known.into_iter().take(count).collect()
    }
}

impl Session {
    /// Whether the peer knows a secret of a group of ours. It is a member of that once its token was checked, too.
    #[must_use]
    pub fn is_kin(&self) -> bool {
        !self.groups().is_empty()
    }

    /// Whether the peer knows a secret of this group of ours.
    #[must_use]
    pub fn is_kin_of(&self, group: GroupId) -> bool {
        self.groups().contains(&group)
    }

    /// The groups of ours of which the peer knows a secret: none before its Hello is here, and none once the session is over.
    #[must_use]
    pub const fn groups(&self) -> &BTreeSet<GroupId> {
        static NONE: BTreeSet<GroupId> = BTreeSet::new();
        match self.state {
            State::Open { .. } => &self.kin.groups,
            State::Greeting | State::Over => &NONE,
        }
    }

    /// Which group kin mean that name this one, or none, as versions do that knew one only: if it is one that both are in.
    pub(super) fn meant(&self, named: Option<GroupId>) -> Option<GroupId> {
        let groups = self.groups();
        match named {
            Some(group) => Some(group).filter(|group| groups.contains(group)),
            None => groups.first().copied().filter(|_| groups.len() == 1),
        }
    }

    /// The group in which the peer fetches a file, of those that both are in: versions that knew one group only did so in
    /// that one.
    pub(super) fn swarm_group(&self, named: Option<GroupId>) -> Option<GroupId> {
        let names = self.version().is_some_and(|version| version >= Versions::GROUPS);
        if names && named.is_none() { None } else { self.meant(named) }
    }

    /// A group, if the peer is kin in it: nobody else is told of it.
    pub(super) fn only_to_kin(&self, group: Option<GroupId>) -> Option<GroupId> {
        group.filter(|group| self.is_kin_of(*group))
    }

    /// Shows our tokens, each to kin of its group only.
    pub(super) fn show_tokens(&mut self) {
        self.show_tokens_in(&self.groups().clone());
    }

    fn show_tokens_in(&mut self, groups: &BTreeSet<GroupId>) {
        for group in groups.iter().copied() {
            if let Some(badge) = self.config.badges.of(group)
                && self.reads(&badge.token)
            {
                self.out.frame(Frame::Token(badge.token.clone()));
            }
        }
    }

    /// Whether the peer can read a token: those of enrollers came with version 6, and older nodes would close over one.
    fn reads(&self, token: &Token) -> bool {
        !token.is_delegated() || self.hands_on()
    }

    /// Shows other tokens of our groups from now on; to kin also in this session. What is said in a group that is not among
    /// them any more is neither told nor heard.
    pub fn renew(&mut self, badges: Badges) {
        self.kin.groups.retain(|group| badges.of(*group).is_some());
        self.config.badges = badges;
        self.show_tokens();
    }

    /// Whether the peer can be told in this session that our groups, or their epochs, are others.
    #[must_use]
    pub fn meets_anew(&self) -> bool {
        self.version().is_some_and(|version| version >= Versions::TAGS)
    }

    /// The same as [`renew`](Self::renew) where a group was joined, or is in another epoch: the peer is shown tags of all our
    /// groups, made with fresh random bytes like a Hello's, and both see in which they are kin now. Nothing happens
    /// unless it [`meets_anew`](Self::meets_anew).
    pub fn renew_tags(&mut self, badges: Badges, nonce: [u8; 16], filler: [u8; 128]) {
        if !self.meets_anew() {
            return;
        }
        self.kin.groups.retain(|group| badges.of(*group).is_some());
        self.config.badges = badges;
        let mut tags = filler;
        self.config.badges.put_tags(&self.config.me, &self.config.peer, &nonce, &mut tags);
        self.out.frame(Frame::Tags(Tags { nonce, tags }));
        self.know_kin();
        self.show_tokens();
    }

    /// The peer's groups are others, or in another epoch. More than a few in a row are not looked at.
    pub(super) fn tags_shown(&mut self, tags: Tags, now: Instant) {
        if self.meets_anew() && self.kin.tags_pace.take(now) {
            self.kin.shown = Some(tags);
            let new = self.know_kin();
            self.show_tokens_in(&new);
        }
    }

    /// Looks in which groups the tags that were shown last make the peer kin, beside those in which it is. Which are new.
    fn know_kin(&mut self) -> BTreeSet<GroupId> {
        let Some(Tags { nonce, tags }) = &self.kin.shown else { return BTreeSet::new() };
        let known = self.config.badges.known(&self.config.peer, &self.config.me, nonce, tags);
        let new = known.difference(&self.kin.groups).copied().collect();
        self.kin.groups.extend(&new);
        new
    }

    /// Passes statements of members on, or our own; to kin of their group only.
    pub fn show_records(&mut self, records: Vec<Record>) {
        let (mut packed, mut len) = (Vec::new(), 0);
        for record in records {
            let is_unread = record.said().token().is_some_and(|token| !self.reads(token));
            if is_unread || !self.is_kin_of(record.head().group) {
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

    /// Answers [`SessionEvent::AttestWanted`] with the first eight of these that are of a group of the peer's.
    pub fn show_attestations(&mut self, number: u32, mut list: Vec<Attestation>) {
        if self.is_kin() {
            list.retain(|one| self.is_kin_of(one.said().group) && self.reads(one.token()));
            list.truncate(ATTESTATIONS_PER_FRAME_MAX);
            self.out.frame(Frame::Attestations(Attestations { number, list }));
        }
    }

    /// Tells kin what attestors of their group read of what its question of this number asked for; whoever knows no such
    /// frame is not told. `false` then.
    pub fn show_batches(&mut self, number: u32, list: Vec<Batch>) -> bool {
        let is_theirs = list.iter().all(|batch| self.is_kin_of(batch.said().group));
        if !is_theirs || !self.is_kin() || self.version().is_none_or(|version| version < Versions::EVIDENCE) {
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

    /// Tells kin what tells against an attestor of their group; whoever knows no such frame is not told.
    pub fn show_against(&mut self, against: Against) {
        let speaks = self.version().is_some_and(|version| version >= against.since());
        if speaks && self.is_kin_of(against.group()) {
            self.out.frame(Frame::Against(against));
        }
    }

    /// What only kin of a group says; of anybody else it is not listened to.
    pub(super) fn kin_said(&mut self, frame: Frame, now: Instant) -> Result<(), ProtocolError> {
        if !self.is_kin() {
            return Ok(());
        }
        match frame {
            Frame::Token(token) => {
                if self.is_kin_of(token.group()) {
                    self.out.event(SessionEvent::TokenShown(token));
                }
            }
            Frame::Records(mut records) => {
                records.retain(|record| self.is_kin_of(record.head().group));
                self.out.event(SessionEvent::RecordsShown(records));
            }
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
            Frame::Attestations(Attestations { number, mut list }) => {
                if number == 0 || number > self.kin.asked {
                    return Err(ProtocolError::UnaskedAnswer { number });
                }
                list.retain(|one| self.is_kin_of(one.said().group));
                self.out.event(SessionEvent::AttestationsShown { number, list });
            }
            Frame::Batches(Batches { number, mut list }) => {
                if number == 0 || number > self.kin.asked {
                    return Err(ProtocolError::UnaskedAnswer { number });
                }
                list.retain(|one| self.is_kin_of(one.said().group));
                self.out.event(SessionEvent::BatchesShown(list));
            }
            Frame::Against(against) => {
                if self.is_kin_of(against.group()) {
                    self.out.event(SessionEvent::AgainstShown(against));
                }
            }
            other => self.handed(other, now)?,
        }
        Ok(())
    }
}
