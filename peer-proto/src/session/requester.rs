//! The requester half: what we asked this peer for, and what it says it holds.
//!
//! Knows: open requests, the peer's have-sets. Does not know: blocks (they pass the session by), leases.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::content::{ByteRange, ContentId, Geometry, Hash};
use crate::limits::{CONTENTS_PER_PEER_MAX, OPEN_REQUESTS_PER_PEER_MAX};
use crate::time::Instant;
use crate::wire::{Answer, Cancel, Found, Frame, FrameFault, Have, HaveSet, Refuse, Want};

use super::lists::Lists;
use super::questions::Questions;
use super::timer::Timers;
use super::{Outbox, ProtocolError, RequestId, SessionEvent};

/// Why a request could not be made. A fault of the caller, or of the moment; never of the peer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// The peer's Hello is not here, or the session is over.
    #[error("the session is not open")]
    NotOpen,
    /// Eight requests are open already.
    #[error("{OPEN_REQUESTS_PER_PEER_MAX} requests are open already")]
    TooManyOpen,
    /// Ranges no `Want` may hold.
    #[error(transparent)]
    Ranges(#[from] FrameFault),
}

#[derive(Debug)]
pub(super) struct Requester {
    pub(super) questions: Questions,
    pub(super) lists: Lists,
    open: BTreeSet<RequestId>,
    next: u64,
    held: BTreeMap<ContentId, HaveSet>,
    /// The keys of `held`, oldest first.
    order: VecDeque<ContentId>,
}

impl Requester {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            questions: Questions::new(now),
            lists: Lists::default(),
            open: BTreeSet::new(),
            next: 1,
            held: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn request(
        &mut self,
        content: ContentId,
        ranges: Vec<ByteRange>,
        values: Vec<Hash>,
        out: &mut Outbox,
    ) -> Result<RequestId, RequestError> {
        if self.open.len() >= OPEN_REQUESTS_PER_PEER_MAX {
            return Err(RequestError::TooManyOpen);
        }
        let request = RequestId(self.next);
        let want = Want { request, content, ranges, values };
        want.check()?;
        self.next = self.next.checked_add(1).ok_or(RequestError::NotOpen)?;
        self.open.insert(request);
        out.frame(Frame::Want(want));
        Ok(request)
    }

    pub(super) fn close_request(&mut self, request: RequestId) {
        self.open.remove(&request);
    }

    pub(super) fn cancel(&mut self, request: RequestId, out: &mut Outbox) {
        if self.open.remove(&request) {
            out.frame(Frame::Cancel(Cancel { request }));
        }
    }

    pub(super) fn refused(&mut self, refuse: Refuse, out: &mut Outbox) -> Result<(), ProtocolError> {
        if refuse.request.0 == 0 || refuse.request.0 >= self.next {
            return Err(ProtocolError::UnknownRequest { request: refuse.request });
        }
        if self.open.remove(&refuse.request) {
            out.event(SessionEvent::Refused { request: refuse.request, reason: refuse.reason });
        }
        Ok(())
    }

    pub(super) fn found(
        &mut self,
        found: Found,
        out: &mut Outbox,
        timers: &mut Timers,
    ) -> Result<(), ProtocolError> {
        for numbered in found.answers {
            let Some(key) = self.questions.answered(numbered, timers)? else { continue };
            let changed = match numbered.answer {
                Answer::Here { content, whole, .. } => self.holds(content, whole).then_some(content),
                Answer::NotHere => None,
            };
            out.event(SessionEvent::Found { key, answer: numbered.answer });
            if let Some(content) = changed {
                out.event(SessionEvent::HaveChanged { content });
            }
        }
        Ok(())
    }

    /// Takes in what the peer serves of a content it named in an answer to us; of any other, nothing (WIRE-4).
    pub(super) fn have(&mut self, have: &Have, out: &mut Outbox) {
        if let Some(set) = self.held.get_mut(&have.content)
            && set.apply(&have.pages)
        {
            out.event(SessionEvent::HaveChanged { content: have.content });
        }
    }

    /// Keeps what the peer will say it serves of a swarm we joined.
    pub(super) fn expect_have(&mut self, swarm: ContentId) {
        self.holds(swarm, false);
    }

    pub(super) fn have_set(&self, content: ContentId) -> Option<&HaveSet> {
        self.held.get(&content)
    }

    pub(super) fn have_memory(&self) -> usize {
        self.held.values().map(HaveSet::memory).sum()
    }

    pub(super) fn forget_oldest_have(&mut self) -> Option<ContentId> {
        let takes_room = |content: &&ContentId| self.held.get(content).is_some_and(|set| set.memory() > 0);
        let oldest = *self.order.iter().find(takes_room)?;
        let set = self.held.get_mut(&oldest)?;
        *set = HaveSet::new(set.piece_count());
        Some(oldest)
    }

    pub(super) fn forget(&mut self, content: ContentId) {
        self.lists.forget(content);
        self.held.remove(&content);
        self.order.retain(|kept| *kept != content);
    }

    pub(super) fn open_count(&self) -> usize {
        self.open.len()
    }

    pub(super) fn held_count(&self) -> usize {
        self.held.len()
    }

    /// Notes that the peer named this content; of more than 64 the oldest is forgotten. Says whether a whole file
    /// became known.
    fn holds(&mut self, content: ContentId, whole: bool) -> bool {
        let Ok(geometry) = Geometry::of(content.len) else { return false };
        if !self.held.contains_key(&content) {
            if self.order.len() >= CONTENTS_PER_PEER_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.held.remove(&oldest);
            }
            self.order.push_back(content);
            self.held.insert(content, HaveSet::new(geometry.piece_count()));
        }
        if whole {
            self.held.insert(content, HaveSet::whole(geometry.piece_count()));
        }
        whole
    }
}
