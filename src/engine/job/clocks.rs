//! How long a job has been idle, at work, and unused.
//!
//! Knows: elapsed time by state, as the node's monotonic clock tells it (LIM-25): what a wall clock does plays no role
//! (D47). Does not know: what follows when a time is over.

use std::time::Duration;

use peer_proto::time::Instant;

use crate::job::JobState;

/// Elapsed times of one job. What is kept of them over a restart is what had passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Clocks {
    at: Instant,
    /// Since bytes were stored last, while it wanted some (LIM-2).
    pub(super) idle: Duration,
    /// Connecting and transferring since it was resumed last (LIM-3).
    pub(super) worked: Duration,
    /// Since anything happened to it, while a node ran (JOB-34).
    pub(super) unused: Duration,
}

impl Clocks {
    pub(super) const fn new(now: Instant) -> Self {
        Self { at: now, idle: Duration::ZERO, worked: Duration::ZERO, unused: Duration::ZERO }
    }

    pub(super) const fn kept(idle_s: u64, worked_s: u64, unused_s: u64, now: Instant) -> Self {
        Self {
            at: now,
            idle: Duration::from_secs(idle_s),
            worked: Duration::from_secs(worked_s),
            unused: Duration::from_secs(unused_s),
        }
    }

    /// Lets time pass in a state.
    pub(super) fn tick(&mut self, state: JobState, now: Instant) {
        let passed = now.since(self.at);
        self.at = now;
        self.unused = self.unused.saturating_add(passed);
        if state.is_active() {
            self.worked = self.worked.saturating_add(passed);
        }
        if state.is_active() || state == JobState::TransientError {
            self.idle = self.idle.saturating_add(passed);
        }
    }

    /// Bytes were stored (JOB-28).
    pub(super) const fn progressed(&mut self) {
        self.idle = Duration::ZERO;
        self.unused = Duration::ZERO;
    }

    /// Somebody or something changed it.
    pub(super) const fn used(&mut self) {
        self.unused = Duration::ZERO;
    }

    /// It was resumed (LIM-3).
    pub(super) const fn resumed(&mut self) {
        self.idle = Duration::ZERO;
        self.worked = Duration::ZERO;
        self.unused = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lim_2_and_lim_3_count_only_where_they_should() {
        let at = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
        let mut clocks = Clocks::new(at(0));
        clocks.tick(JobState::Queued, at(10));
        assert_eq!((clocks.idle, clocks.worked), (Duration::ZERO, Duration::ZERO));
        clocks.tick(JobState::Transferring, at(15));
        clocks.tick(JobState::TransientError, at(30));
        assert_eq!((clocks.idle.as_secs(), clocks.worked.as_secs()), (20, 5));
        assert_eq!(clocks.unused.as_secs(), 30);
        clocks.progressed();
        assert_eq!((clocks.idle.as_secs(), clocks.worked.as_secs()), (0, 5));
        clocks.resumed();
        assert_eq!(clocks.worked, Duration::ZERO);
    }
}
