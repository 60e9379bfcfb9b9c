//! Jobs that are over and still listed.
//!
//! Knows: how many there are, which of them goes next. Does not know: how a job ends (`job`).

use std::collections::{BTreeMap, VecDeque};

use super::job::Job;
use crate::job::JobId;

/// Jobs that are over and kept whole, with their decisions.
pub(super) const FRESH_MAX: usize = 64;
/// Jobs that are over and listed, those that are kept whole among them.
pub(super) const LISTED_MAX: usize = 1_024;
/// Files and sources of those that are only listed: each takes more than half a KiB.
const ROWS_MAX: usize = 4_096;

/// Jobs that are over, in the order in which they ended.
#[derive(Debug, Default)]
pub(super) struct Over {
    /// The last of them; the engine's own table has them.
    fresh: VecDeque<JobId>,
    /// Those before, oldest first.
    order: VecDeque<JobId>,
    /// What they were; of their files it is known how they came out, and no more why.
    past: BTreeMap<JobId, Job>,
    /// Files and sources of all of them.
    rows: usize,
}

impl Over {
    pub(super) fn get(&self, id: JobId) -> Option<&Job> {
        self.past.get(&id)
    }

    /// Those that are only listed.
    pub(super) fn past(&self) -> impl Iterator<Item = (&JobId, &Job)> {
        self.past.iter()
    }

    pub(super) fn is_fresh(&self, id: JobId) -> bool {
        self.fresh.contains(&id)
    }

    /// A job has ended. Gives the one that is to be [listed](Self::list) only, if there are too many.
    #[must_use]
    pub(super) fn end(&mut self, id: JobId) -> Option<JobId> {
        self.fresh.push_back(id);
        if self.fresh.len() > FRESH_MAX { self.fresh.pop_front() } else { None }
    }

    /// Keeps what is listed of a job. Gives those that are forgotten for it.
    #[must_use]
    pub(super) fn list(&mut self, mut job: Job) -> Vec<Job> {
        job.shrink();
        self.rows += job.row_count();
        self.order.push_back(job.id);
        self.past.insert(job.id, job);
        let mut gone = Vec::new();
        while self.past.len() > LISTED_MAX - FRESH_MAX || (self.rows > ROWS_MAX && self.past.len() > 1) {
            let Some(oldest) = self.order.front().copied() else { break };
            gone.extend(self.forget(oldest));
        }
        gone
    }

    /// A job is listed no more; gives what was known of it, if it was one of those that are only listed.
    pub(super) fn forget(&mut self, id: JobId) -> Option<Job> {
        self.fresh.retain(|other| *other != id);
        let job = self.past.remove(&id)?;
        self.rows -= job.row_count();
        self.order.retain(|other| *other != id);
        Some(job)
    }
}
