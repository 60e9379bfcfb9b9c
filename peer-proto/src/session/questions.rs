//! The asking half of lookups: which peer holds what this digest names?
//!
//! Knows: the pace, the numbers, the patience. Does not know: what follows from an answer.

use std::collections::{BTreeMap, VecDeque};

use crate::digest::Digest;
use crate::limits::{
    IDS_PER_FIND_MAX, IDS_PER_SECOND_MAX, QUESTIONS_PER_SECOND, QUESTIONS_WAITING_MAX, REPLY_TIMEOUT,
};
use crate::lookup::{know_proof, lookup_id};
use crate::peer::PeerId;
use crate::time::Instant;
use crate::wire::{Answer, Find, Frame, NumberedAnswer, Question};

use super::pace::Pace;
use super::timer::{Timer, Timers};
use super::{Outbox, ProtocolError, SessionEvent};

/// Whom a proof of knowledge binds (LOOKUP-2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding {
    pub(super) asker: PeerId,
    pub(super) answerer: PeerId,
    /// The answerer's, from its Hello.
    pub(super) nonce: [u8; 16],
}

/// Questions of ours.
#[derive(Debug)]
pub(super) struct Questions {
    waiting: VecDeque<(u32, Digest)>,
    /// By number, so by age.
    open: BTreeMap<u32, Asked>,
    next: u32,
    pace: Pace,
}

#[derive(Debug)]
struct Asked {
    key: u32,
    due: Instant,
}

impl Questions {
    pub(super) fn new(now: Instant) -> Self {
        let pace = Pace::new(IDS_PER_SECOND_MAX, QUESTIONS_PER_SECOND, now);
        Self { waiting: VecDeque::new(), open: BTreeMap::new(), next: 0, pace }
    }

    pub(super) fn add(&mut self, questions: &[(u32, Digest)], out: &mut Outbox) {
        for (key, digest) in questions {
            if self.waiting.len() < QUESTIONS_WAITING_MAX {
                self.waiting.push_back((*key, digest.clone()));
            } else {
                out.event(SessionEvent::Found { key: *key, answer: Answer::NotHere });
            }
        }
    }

    /// Asks as much as the pace allows.
    pub(super) fn pump(&mut self, binding: Binding, now: Instant, out: &mut Outbox, timers: &mut Timers) {
        let mut find = Find { first: self.next, questions: Vec::new() };
        while !self.waiting.is_empty() && self.next < u32::MAX && self.pace.take(now) {
            let Some((key, digest)) = self.waiting.pop_front() else { break };
            find.questions.push(Question {
                id: lookup_id(&digest).0,
                proof: know_proof(&digest, &binding.asker, &binding.answerer, &binding.nonce),
            });
            self.open.insert(self.next, Asked { key, due: now.after(REPLY_TIMEOUT) });
            self.next += 1;
            if find.questions.len() == IDS_PER_FIND_MAX {
                let next = Find { first: self.next, questions: Vec::new() };
                out.frame(Frame::Find(std::mem::replace(&mut find, next)));
            }
        }
        if !find.questions.is_empty() {
            out.frame(Frame::Find(find));
        }
        if !self.waiting.is_empty() && self.next < u32::MAX {
            timers.set(Timer::Ask, self.pace.ready_at());
        }
        self.set_timer(timers);
    }

    /// The key of an answered question; `None` for an answer that came too late to count.
    pub(super) fn answered(
        &mut self,
        numbered: NumberedAnswer,
        timers: &mut Timers,
    ) -> Result<Option<u32>, ProtocolError> {
        if numbered.number >= self.next {
            return Err(ProtocolError::UnaskedAnswer { number: numbered.number });
        }
        let asked = self.open.remove(&numbered.number);
        self.set_timer(timers);
        Ok(asked.map(|asked| asked.key))
    }

    /// Gives up on questions that are overdue.
    pub(super) fn expire(&mut self, now: Instant, out: &mut Outbox, timers: &mut Timers) {
        while let Some(oldest) = self.open.first_entry()
            && oldest.get().due <= now
        {
            out.event(SessionEvent::Found { key: oldest.remove().key, answer: Answer::NotHere });
        }
        self.set_timer(timers);
    }

    pub(super) fn kept(&self) -> usize {
        self.waiting.len().max(self.open.len())
    }

    fn set_timer(&self, timers: &mut Timers) {
        timers.set(Timer::Reply, self.open.first_key_value().map_or(Instant::NEVER, |(_, asked)| asked.due));
    }
}
