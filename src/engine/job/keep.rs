//! What is kept of a job: on disk while it lives, in memory once it is over.
//!
//! Knows: how much of its decisions and ranges is worth it. Does not know: when it is written down (`job`), where
//! (`store`).

use super::{Job, Stage};
use crate::engine::core::{Asker, Core};
use crate::engine::io::{Effect, StoredFile, StoredJob};
use crate::engine::stored::Memory;
use crate::job::JobState;

/// Decisions of all files of a job that are written down with it; each takes a few hundred bytes of the 8 MiB a job may
/// have on disk.
const DECISIONS_KEPT: usize = 8_000;

impl Job {
    /// The job as it is kept.
    pub(in crate::engine) fn stored(&self) -> StoredJob {
        StoredJob {
            id: self.id,
            spec: self.spec.clone(),
            owner: self.owner,
            state: if self.stage == Stage::Recording { JobState::Acknowledged } else { self.state },
            embedded: self.embedded,
            has_run: self.has_run,
            ranges_done: self.ranges_done,
            error: self.error.clone(),
            error_count: self.error_count,
            times: self.times,
            idle_s: self.clocks.idle.as_secs(),
            worked_s: self.clocks.worked.as_secs(),
            unused_s: self.clocks.unused.as_secs(),
            files: self.rows.iter().map(|row| self.kept_row(row)).collect(),
        }
    }

    /// A file's row as it is kept: with as many of its decisions as leave the job small enough to be written.
    fn kept_row(&self, row: &StoredFile) -> StoredFile {
        let most = DECISIONS_KEPT / self.rows.len().max(1);
        let (decisions, filled) = (row.decisions.last(most), self.kept_ranges(row));
        StoredFile { decisions, filled, memory: Memory::default(), ..row.clone() }
    }

    pub(super) fn persist(&mut self, core: &mut Core) {
        self.kept_bytes = self.stored_bytes();
        let stored = self.stored();
        let ask = |id| Effect::PersistJob { id, job: Box::new(stored) };
        let id = core.ask_for(Asker::Job(self.id), ask);
        self.waiting = Some(id);
    }

    /// Drops what only tells how it came to its end.
    pub(in crate::engine) fn shrink(&mut self) {
        for row in &mut self.rows {
            (row.decisions, row.requested, row.filled) = Default::default();
            row.memory = Memory::default();
        }
    }

    /// What there is of it in memory, counted in files and sources.
    pub(in crate::engine) fn row_count(&self) -> usize {
        self.rows.len() + self.shares.len()
    }

    /// What is on disk of its files.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.rows.iter().map(|row| row.stored).sum()
    }
}
