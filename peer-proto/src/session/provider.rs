//! The provider half: what this peer asked us for, and what we told it we hold.
//!
//! Knows: the limits of one asker, the ticks at which answers leave (LOOKUP-4). Does not know: what is held, or who
//! may have it; it asks by events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::content::{ContentId, Hash};
use crate::limits::{
    ANSWER_TICK, BUSY_RETRY, CONTENTS_PER_PEER_MAX, HAVE_FRAMES_PER_TICK_MAX, HAVE_PAGES_MAX, HAVE_TICK,
    IDS_PER_FIND_MAX, IDS_PER_SECOND_MAX, LIST_PARTS_IN_FLIGHT_MAX, OPEN_REQUESTS_PER_PEER_MAX,
    PARKED_REQUEST_WAIT, PARKED_REQUESTS_MAX, QUESTIONS_UNANSWERED_MAX,
};
use crate::lookup::LookupId;
use crate::time::Instant;
use crate::wire::{
    Answer, Find, Found, Frame, Have, HavePage, HaveSet, Interest, ListPart, ListRefuse, ListValues,
    ListWant, NumberedAnswer, Refuse, RefuseReason, Want,
};

use super::pace::Pace;
use super::timer::{Timer, Timers};
use super::{Outbox, ProtocolError, RequestId, SessionEvent};

#[derive(Debug)]
pub(super) struct Provider {
    /// Questions the caller has not answered yet.
    asked: BTreeSet<u32>,
    next_number: u32,
    pace: Pace,
    /// Answers that leave at the next tick.
    answers: BTreeMap<u32, Answer>,
    answers_due: Instant,
    lists: BTreeSet<(ContentId, ListPart)>,
    open: BTreeSet<RequestId>,
    parked: VecDeque<(Want, Instant)>,
    last_request: RequestId,
    told: BTreeMap<ContentId, Told>,
    /// The keys of `told`, oldest first.
    order: VecDeque<ContentId>,
    have_due: Instant,
}

/// What the peer knows of our have-set of one content, and what it should know.
#[derive(Debug)]
struct Told {
    now: HaveSet,
    told: HaveSet,
    /// Pages before this one were told at least once.
    pages: u32,
}

impl Provider {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            asked: BTreeSet::new(),
            next_number: 0,
            pace: Pace::new(IDS_PER_SECOND_MAX, IDS_PER_SECOND_MAX, now),
            answers: BTreeMap::new(),
            answers_due: Instant::NEVER,
            lists: BTreeSet::new(),
            open: BTreeSet::new(),
            parked: VecDeque::new(),
            last_request: RequestId(0),
            told: BTreeMap::new(),
            order: VecDeque::new(),
            have_due: now,
        }
    }

    pub(super) fn find(
        &mut self,
        find: Find,
        now: Instant,
        out: &mut Outbox,
        timers: &mut Timers,
    ) -> Result<(), ProtocolError> {
        if find.first < self.next_number {
            return Err(ProtocolError::NumberGoesBack { number: u64::from(find.first) });
        }
        if self.asked.len() + self.answers.len() + find.questions.len() > QUESTIONS_UNANSWERED_MAX {
            return Err(ProtocolError::TooManyQuestions);
        }
        for (question, number) in find.questions.into_iter().zip(find.first..) {
            self.next_number = number.saturating_add(1);
            if self.pace.take(now) {
                self.asked.insert(number);
                out.event(SessionEvent::Asked {
                    key: number,
                    id: LookupId(question.id),
                    proof: question.proof,
                });
            } else {
                self.queue_answer(number, Answer::NotHere, now, timers);
            }
        }
        Ok(())
    }

    /// Takes in that the peer joins a swarm; more often than questions may come, nothing.
    pub(super) fn interested(&mut self, interest: Interest, now: Instant, out: &mut Outbox) {
        if self.pace.take(now) {
            let Interest { question, len, fetches, group } = interest;
            let id = LookupId(question.id);
            out.event(SessionEvent::Interested { id, proof: question.proof, len, fetches, group });
        }
    }

    pub(super) fn answer(&mut self, key: u32, answer: Answer, now: Instant, timers: &mut Timers) {
        if self.asked.remove(&key) {
            self.queue_answer(key, answer, now, timers);
        }
    }

    /// Hit, miss and refusal alike leave at the next tick: time tells nothing.
    fn queue_answer(&mut self, number: u32, answer: Answer, now: Instant, timers: &mut Timers) {
        if self.answers.is_empty() {
            let tick = u64::try_from(ANSWER_TICK.as_micros()).unwrap_or(1);
            let next = (now.as_micros() / tick).saturating_add(1).saturating_mul(tick);
            self.answers_due = Instant::from_micros(next);
            timers.set(Timer::Answer, self.answers_due);
        }
        self.answers.insert(number, answer);
    }

    pub(super) fn send_answers(&mut self, out: &mut Outbox) {
        let mut answers: VecDeque<NumberedAnswer> = std::mem::take(&mut self.answers)
            .into_iter()
            .map(|(number, answer)| NumberedAnswer { number, answer })
            .collect();
        while !answers.is_empty() {
            let rest = answers.split_off(answers.len().min(IDS_PER_FIND_MAX));
            out.frame(Frame::Found(Found { answers: answers.into() }));
            answers = rest;
        }
        self.answers_due = Instant::NEVER;
    }

    pub(super) fn list_want(&mut self, want: ListWant, out: &mut Outbox) -> Result<(), ProtocolError> {
        if self.lists.len() >= LIST_PARTS_IN_FLIGHT_MAX || !self.lists.insert((want.content, want.part)) {
            return Err(ProtocolError::TooManyLists);
        }
        out.event(SessionEvent::ListAsked { content: want.content, part: want.part });
        Ok(())
    }

    pub(super) fn send_list(
        &mut self,
        content: ContentId,
        part: ListPart,
        values: Option<Vec<Hash>>,
        out: &mut Outbox,
    ) {
        if !self.lists.remove(&(content, part)) {
            return;
        }
        let fits = |values: &Vec<Hash>| part.values_in(content).ok() == u32::try_from(values.len()).ok();
        out.frame(match values.filter(fits) {
            Some(values) => Frame::ListValues(ListValues { content, part, values }),
            None => Frame::ListRefuse(ListRefuse { content, part }),
        });
    }

    pub(super) fn want(
        &mut self,
        want: Want,
        now: Instant,
        out: &mut Outbox,
        timers: &mut Timers,
    ) -> Result<(), ProtocolError> {
        if want.request <= self.last_request {
            return Err(ProtocolError::NumberGoesBack { number: want.request.0 });
        }
        self.last_request = want.request;
        if self.open.len() < OPEN_REQUESTS_PER_PEER_MAX {
            self.begin(want, out);
        } else if self.parked.len() < PARKED_REQUESTS_MAX {
            self.parked.push_back((want, now.after(PARKED_REQUEST_WAIT)));
            self.set_parked_timer(timers);
        } else {
            refuse_busy(want.request, out);
        }
        Ok(())
    }

    pub(super) fn cancelled(
        &mut self,
        request: RequestId,
        out: &mut Outbox,
        timers: &mut Timers,
    ) -> Result<(), ProtocolError> {
        if request > self.last_request {
            return Err(ProtocolError::UnknownRequest { request });
        }
        self.parked.retain(|(want, _)| want.request != request);
        if self.open.remove(&request) {
            out.event(SessionEvent::Cancelled { request });
        }
        self.admit(out, timers);
        Ok(())
    }

    pub(super) fn refuse(
        &mut self,
        request: RequestId,
        reason: RefuseReason,
        out: &mut Outbox,
        timers: &mut Timers,
    ) {
        if self.open.remove(&request) {
            out.frame(Frame::Refuse(Refuse { request, reason }));
        }
        self.admit(out, timers);
    }

    pub(super) fn finish(&mut self, request: RequestId, out: &mut Outbox, timers: &mut Timers) {
        self.open.remove(&request);
        self.admit(out, timers);
    }

    /// Refuses parked requests that waited long enough.
    pub(super) fn refuse_parked(&mut self, now: Instant, out: &mut Outbox, timers: &mut Timers) {
        while let Some((want, _)) = self.parked.pop_front_if(|(_, until)| *until <= now) {
            refuse_busy(want.request, out);
        }
        self.set_parked_timer(timers);
    }

    pub(super) fn set_have(&mut self, content: ContentId, have: HaveSet, now: Instant, timers: &mut Timers) {
        if let Some(told) = self.told.get_mut(&content) {
            told.now = have;
        } else {
            if self.order.len() >= CONTENTS_PER_PEER_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.told.remove(&oldest);
            }
            self.order.push_back(content);
            let told = HaveSet::new(have.piece_count());
            self.told.insert(content, Told { now: have, told, pages: 0 });
        }
        // Never before the answer that names the content.
        let answers = if self.answers.is_empty() { now } else { self.answers_due };
        timers.set(Timer::Have, self.have_due.max(answers).max(now));
    }

    /// Tells what changed, a few frames at a time.
    pub(super) fn send_have(&mut self, now: Instant, out: &mut Outbox, timers: &mut Timers) {
        let mut frames = 0;
        for (content, told) in &mut self.told {
            while frames < HAVE_FRAMES_PER_TICK_MAX
                && let Some(pages) = told.next_pages()
            {
                frames += 1;
                out.frame(Frame::Have(Have { content: *content, pages }));
            }
        }
        if self.told.values().any(|told| !told.is_known()) {
            timers.set(Timer::Have, now.after(HAVE_TICK));
        }
        if frames > 0 {
            self.have_due = now.after(HAVE_TICK);
        }
        let known_empty = |told: &Told| told.now.is_empty() && told.is_known();
        self.order.retain(|content| !self.told.get(content).is_some_and(known_empty));
        self.told.retain(|_, told| !known_empty(told));
    }

    pub(super) fn kept(&self) -> [usize; 5] {
        [
            self.asked.len() + self.answers.len(),
            self.lists.len(),
            self.open.len(),
            self.parked.len(),
            self.told.len(),
        ]
    }

    fn begin(&mut self, want: Want, out: &mut Outbox) {
        self.open.insert(want.request);
        let Want { request, content, ranges, values } = want;
        out.event(SessionEvent::Wanted { request, content, ranges, values });
    }

    fn admit(&mut self, out: &mut Outbox, timers: &mut Timers) {
        while self.open.len() < OPEN_REQUESTS_PER_PEER_MAX
            && let Some((want, _)) = self.parked.pop_front()
        {
            self.begin(want, out);
        }
        self.set_parked_timer(timers);
    }

    fn set_parked_timer(&self, timers: &mut Timers) {
        timers.set(Timer::Parked, self.parked.front().map_or(Instant::NEVER, |(_, until)| *until));
    }
}

impl Told {
    fn is_known(&self) -> bool {
        self.pages >= self.now.page_count() && self.now == self.told
    }

    /// Up to 64 pages the peer does not know, which it is taken to know then.
    fn next_pages(&mut self) -> Option<Vec<HavePage>> {
        if self.is_known() {
            return None;
        }
        let unknown = self.pages;
        let pages: Vec<HavePage> = self.now.pages_unlike(&self.told, unknown).take(HAVE_PAGES_MAX).collect();
        if pages.len() < HAVE_PAGES_MAX {
            // All of it: the two are one then, and so is what every other peer is told of.
            self.told = self.now.clone();
        } else {
            self.told.apply(&pages);
        }
        self.pages = match pages.last() {
            Some(last) if pages.len() == HAVE_PAGES_MAX => unknown.max(u32::from(last.page) + 1),
            Some(_) | None => self.now.page_count(),
        };
        if pages.is_empty() { None } else { Some(pages) }
    }
}

fn refuse_busy(request: RequestId, out: &mut Outbox) {
    out.frame(Frame::Refuse(Refuse { request, reason: RefuseReason::Busy { retry: BUSY_RETRY } }));
}
