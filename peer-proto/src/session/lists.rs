//! The asking half of hash lists: one list at a time, page by page, each page proved alone (TRUST-4, WIRE-3).
//!
//! Knows: which parts are asked for and not answered. Does not know: why the list is wanted.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::content::{ContentId, Hash};
use crate::limits::{LIST_PARTS_IN_FLIGHT_MAX, LISTS_WAITING_MAX, REPLY_TIMEOUT};
use crate::time::Instant;
use crate::verify::{HashList, ListAssembler, VerifyError};
use crate::wire::{Frame, ListPart, ListWant};

use super::timer::{Timer, Timers};
use super::{ListFault, Outbox, ProtocolError, SessionEvent};

/// Hash lists we want from the peer.
#[derive(Debug, Default)]
pub(super) struct Lists {
    waiting: VecDeque<ContentId>,
    current: Option<Assembly>,
    /// At most four. A slot stays taken until its answer comes, also when nobody wants the answer any more: the peer
    /// counts in the same way.
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Assembly {
    content: ContentId,
    assembler: ListAssembler,
    next: Next,
}

/// What to ask for next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Head,
    /// Asked for; pages are proved by it.
    HeadUnderWay,
    Page(u32),
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    content: ContentId,
    part: ListPart,
    due: Instant,
    wanted: bool,
}

/// Whether there was room for one more part under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Taken,
    Full,
    /// Every place is taken by parts the peer was asked for long ago.
    Silent,
}

impl Lists {
    pub(super) fn add(&mut self, content: ContentId, out: &mut Outbox) {
        if self.is_wanted(content) {
            return;
        }
        if self.waiting.len() >= LISTS_WAITING_MAX {
            out.event(SessionEvent::ListFailed { content, reason: ListFault::TooMany });
            return;
        }
        self.waiting.push_back(content);
    }

    /// Asks for as much as may be under way.
    pub(super) fn pump(&mut self, now: Instant, out: &mut Outbox, timers: &mut Timers) {
        loop {
            if self.current.is_none() && !self.begin_next(out) {
                break;
            }
            let Some(assembly) = &self.current else { break };
            if assembly.assembler.is_complete() {
                self.finish(out);
                continue;
            }
            let Some(part) = assembly.upcoming() else { break };
            let content = assembly.content;
            match self.ask(content, part, now, out) {
                Place::Taken => {}
                Place::Full => break,
                Place::Silent => {
                    self.fail(ListFault::Silent, out);
                    continue;
                }
            }
            if let Some(assembly) = &mut self.current {
                assembly.advance(part);
            }
        }
        let due = self.slots.iter().filter(|slot| slot.wanted).map(|slot| slot.due).min();
        timers.set(Timer::List, due.unwrap_or(Instant::NEVER));
    }

    /// Takes in a part; a part nobody asked for is an error (WIRE-3).
    pub(super) fn take(
        &mut self,
        content: ContentId,
        part: ListPart,
        values: Option<&[Hash]>,
        out: &mut Outbox,
    ) -> Result<(), ProtocolError> {
        let slot = self.slots.iter().position(|slot| slot.content == content && slot.part == part);
        let Some(index) = slot else { return Err(ProtocolError::UnaskedList { part }) };
        let slot = self.slots.swap_remove(index);
        let Some(assembly) =
            self.current.as_mut().filter(|current| slot.wanted && current.content == content)
        else {
            return Ok(());
        };
        match values.map(|values| assembly.take(part, values)) {
            Some(Ok(())) => {}
            Some(Err(source)) => self.fail(ListFault::Wrong(source), out),
            None => self.fail(ListFault::NotHeld, out),
        }
        Ok(())
    }

    /// Gives up on a peer that leaves a part unanswered.
    pub(super) fn expire(&mut self, now: Instant, out: &mut Outbox) {
        if self.slots.iter().any(|slot| slot.wanted && slot.due <= now) {
            self.fail(ListFault::Silent, out);
        }
    }

    /// Wants this list no more; what is under way is let in and dropped.
    pub(super) fn forget(&mut self, content: ContentId) {
        self.waiting.retain(|waiting| *waiting != content);
        if self.current.as_ref().is_some_and(|current| current.content == content) {
            self.current = None;
            self.abandon(content);
        }
    }

    pub(super) fn kept(&self) -> (usize, usize) {
        (self.waiting.len(), self.slots.len())
    }

    fn ask(&mut self, content: ContentId, part: ListPart, now: Instant, out: &mut Outbox) -> Place {
        let due = now.after(REPLY_TIMEOUT);
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.content == content && slot.part == part) {
            // Asked for before, given up, and wanted again: its answer is still to come.
            *slot = Slot { wanted: true, due, ..*slot };
            return Place::Taken;
        }
        if self.slots.len() >= LIST_PARTS_IN_FLIGHT_MAX {
            return if self.slots.iter().any(|slot| slot.wanted) { Place::Full } else { Place::Silent };
        }
        self.slots.push(Slot { content, part, due, wanted: true });
        out.frame(Frame::ListWant(ListWant { content, part }));
        Place::Taken
    }

    fn is_wanted(&self, content: ContentId) -> bool {
        self.waiting.contains(&content)
            || self.current.as_ref().is_some_and(|current| current.content == content)
    }

    /// Begins the next list that waits; false if none does.
    fn begin_next(&mut self, out: &mut Outbox) -> bool {
        let Some(content) = self.waiting.pop_front() else { return false };
        match Assembly::new(content) {
            Ok(assembly) => self.current = Some(assembly),
            Err(source) => {
                out.event(SessionEvent::ListFailed { content, reason: ListFault::Wrong(source) });
            }
        }
        true
    }

    fn finish(&mut self, out: &mut Outbox) {
        let Some(assembly) = self.current.take() else { return };
        let content = assembly.content;
        out.event(match assembly.assembler.finish() {
            Some(list) => SessionEvent::ListComplete { content, list: Arc::<HashList>::new(list) },
            None => SessionEvent::ListFailed { content, reason: ListFault::Wrong(VerifyError::WrongRoot) },
        });
    }

    fn fail(&mut self, reason: ListFault, out: &mut Outbox) {
        let Some(assembly) = self.current.take() else { return };
        self.abandon(assembly.content);
        out.event(SessionEvent::ListFailed { content: assembly.content, reason });
    }

    fn abandon(&mut self, content: ContentId) {
        self.slots.iter_mut().filter(|slot| slot.content == content).for_each(|slot| slot.wanted = false);
    }
}

impl Assembly {
    fn new(content: ContentId) -> Result<Self, VerifyError> {
        let assembler = ListAssembler::new(content)?;
        let next = if ListPart::Head.values_in(content).is_ok() { Next::Head } else { Next::Page(0) };
        Ok(Self { content, assembler, next })
    }

    /// The part to ask for now; `None` while the head is under way, or if all were asked for.
    fn upcoming(&self) -> Option<ListPart> {
        match self.next {
            Next::Head => Some(ListPart::Head),
            Next::HeadUnderWay => None,
            Next::Page(page) => {
                let part = ListPart::Page(page);
                part.values_in(self.content).ok().map(|_| part)
            }
        }
    }

    fn advance(&mut self, asked: ListPart) {
        self.next = match asked {
            ListPart::Head => Next::HeadUnderWay,
            ListPart::Page(page) => Next::Page(page.saturating_add(1)),
        };
    }

    fn take(&mut self, part: ListPart, values: &[Hash]) -> Result<(), VerifyError> {
        match part {
            ListPart::Head => {
                self.assembler.take_head(values)?;
                self.next = Next::Page(0);
                Ok(())
            }
            ListPart::Page(page) => self.assembler.take_page(page, values),
        }
    }
}
