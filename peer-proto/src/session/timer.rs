//! The timers of a session, each with a name.
//!
//! Knows: when each is due. Does not know: what follows; the comments say it.

use crate::time::Instant;

/// What a session may be waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// The other side's Hello. When it fires the session fails.
    Hello,
    /// The answer to our oldest open question. When it fires the answer is taken to be "not here".
    Reply,
    /// Our turn to ask more questions. When it fires they are asked.
    Ask,
    /// A part of a hash list. When it fires the list has failed: the peer is silent.
    List,
    /// The next tick for answers to questions. When it fires they leave. Due before `Have`, so that what is told of
    /// a content never overtakes the answer that names it.
    Answer,
    /// The next tick for have-sets. When it fires what changed is told.
    Have,
    /// A ninth request that waits for a place. When it fires it is refused as busy.
    Parked,
}

impl Timer {
    const ALL: [Self; 7] =
        [Self::Hello, Self::Reply, Self::Ask, Self::List, Self::Answer, Self::Have, Self::Parked];
}

/// When each timer is due.
#[derive(Clone, Debug)]
pub(super) struct Timers {
    due: [Instant; 7],
}

impl Default for Timers {
    fn default() -> Self {
        Self { due: [Instant::NEVER; 7] }
    }
}

impl Timers {
    /// Sets a timer, or stops it with [`Instant::NEVER`].
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        for (name, due) in Timer::ALL.into_iter().zip(&mut self.due) {
            if name == timer {
                *due = at;
            }
        }
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.set(timer, Instant::NEVER);
    }

    pub(super) fn stop_all(&mut self) {
        *self = Self::default();
    }

    /// The earliest moment any timer is due.
    pub(super) fn next(&self) -> Instant {
        self.due.into_iter().min().unwrap_or(Instant::NEVER)
    }

    /// A timer that is due, in the order of their names; it is off then.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let (timer, _) = Timer::ALL.into_iter().zip(self.due).find(|(_, due)| *due <= now)?;
        self.stop(timer);
        Some(timer)
    }
}
