//! What a job does with its turn: opens files, lets go of them, ends when its time is over.
//!
//! Knows: how many files of a job are on their way, its timers. Does not know: whose turn it is (`queue`).

use std::time::Duration;

use peer_proto::time::Instant;

use super::{Files, Job, Stage};
use crate::engine::core::Core;
use crate::engine::file::{Aim, JobFile, Stage as FileStage};
use crate::engine::io::{Effect, StoredFile};
use crate::engine::queue::{Contender, Verdict};
use crate::job::{Cause, Code, Context, JobError, JobState, Priority, Rates};

/// Files of one job that wait for a retry beside those on their way.
const WAITING_FILES_MAX: usize = 4;
/// A job's times are written down at least this often.
const KEEP_TIMES_EVERY: Duration = Duration::from_secs(60 * 60);

/// Files on their way, of all jobs; more wait until some are done or let go of.
const OPEN_FILES_MAX: usize = 256;
/// A job that found no room looks again after this.
const ROOM_EVERY: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a job may do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::engine) enum Turn {
    /// Nothing: none of its files is on its way.
    #[default]
    None,
    /// Its files wait for their next try, or for a neighbour; it takes nobody's place.
    Watch,
    /// Work.
    Full {
        /// Since when.
        since: Instant,
    },
}

impl Job {
    /// What it wants of the queue, if anything.
    pub(in crate::engine) fn contends(&self, now: Instant) -> Option<Contender> {
        let wants = matches!(self.state, JobState::Queued | JobState::Connecting | JobState::Transferring);
        if !wants
            || self.stage != Stage::Open
            || self.waits_for_foreground()
            || self.waits_for_start(now).is_some()
        {
            return None;
        }
        let since = match self.turn {
            Turn::Full { since } => Some(since),
            Turn::None | Turn::Watch => None,
        };
        let rates = self.spec.rates;
        let is_limited = rates.total.or(rates.wan).is_some();
        Some(Contender { job: self.id, priority: self.spec.priority, is_limited, place: self.place, since })
    }

    /// Dynamic jobs cannot be held back, so they run at no other priority (SCHED-8).
    pub(super) fn waits_for_foreground(&self) -> bool {
        self.spec.dynamic && self.spec.priority != Priority::Foreground
    }

    /// When it may begin, if that is later: many machines may have been told to fetch at this moment (SCHED-11). Nobody
    /// waits for a background job that was not on its way yet.
    pub(in crate::engine) fn waits_for_start(&self, now: Instant) -> Option<Instant> {
        let waits = self.state == JobState::Queued
            && self.turn == Turn::None
            && self.spec.priority != Priority::Foreground
            && self.starts_at > now;
        waits.then_some(self.starts_at)
    }

    /// Chooses when it may begin.
    pub(in crate::engine) fn draw_start(&mut self, core: &mut Core) {
        let spread_ms = u32::from(core.config.queue.start_spread_s) * 1_000;
        if spread_ms > 0 {
            let wait_ms = core.chance.below(spread_ms + 1);
            self.starts_at = core.time().after(Duration::from_millis(wait_ms.into()));
        }
    }

    /// What the queue said.
    pub(in crate::engine) fn heed_verdict(
        &mut self,
        verdict: Option<Verdict>,
        may_watch: bool,
        files: &mut Files,
        core: &mut Core,
    ) {
        match (verdict, self.turn) {
            (Some(Verdict::Waits), Turn::None) => {}
            // A changed permission or a file called invalid may have queued it.
            (Some(Verdict::Runs), Turn::Full { .. }) => drop(self.cause(Cause::Picked, core)),
            (Some(Verdict::Runs), Turn::None | Turn::Watch) => {
                self.turn = Turn::Full { since: core.time() };
                self.cause(Cause::Picked, core);
            }
            (Some(Verdict::Preempted), _) => self.lose_turn(Cause::Preempted, files, core),
            (Some(Verdict::SliceEnded), _) => self.lose_turn(Cause::SliceEnded, files, core),
            (Some(Verdict::Waits), _) => self.lose_turn(Cause::Preempted, files, core),
            (None, Turn::Full { .. }) if self.state == JobState::TransientError && may_watch => {
                self.turn = Turn::Watch;
            }
            (None, Turn::Watch) if self.state == JobState::TransientError && may_watch => {}
            (None, Turn::None) => {}
            (None, Turn::Full { .. } | Turn::Watch) if self.waits_for_foreground() => {
                self.lose_turn(Cause::Preempted, files, core);
            }
            (None, Turn::Full { .. } | Turn::Watch) => {
                self.turn = Turn::None;
                self.park_all(files, core);
            }
        }
    }

    fn lose_turn(&mut self, cause: Cause, files: &mut Files, core: &mut Core) {
        self.turn = Turn::None;
        self.cause(cause, core);
        self.park_all(files, core);
    }

    /// Lets go of its files; those that are whole may stay as long as there are few.
    pub(super) fn park_all(&mut self, files: &mut Files, core: &mut Core) {
        let keeps_whole = self.state == JobState::Transferred;
        for file in self.live_mut(files) {
            let is_over = matches!(file.stage, FileStage::Delivering | FileStage::Dropping | FileStage::Over);
            let stays = keeps_whole && file.stage == FileStage::Sealed;
            if !is_over && !stays && file.aim != Aim::Removal {
                file.park(core);
            }
        }
    }

    /// The next files to open: as many as are on their way at once.
    pub(super) fn to_open(&self, files: &Files, core: &Core) -> Vec<u16> {
        if !matches!(self.turn, Turn::Full { .. }) || !self.is_at_work() {
            return Vec::new();
        }
        let (mut working, mut waiting) = (0_usize, 0_usize);
        for file in self.live(files) {
            match file.state {
                JobState::TransientError => waiting += 1,
                JobState::Transferred | JobState::Acknowledged | JobState::Error => {}
                _ => working += 1,
            }
        }
        let now = core.time();
        let idle = || {
            let is_ready = move |row: &StoredFile| row.memory.not_before.is_none_or(|at| at <= now);
            let due = (0_u16..).zip(&self.rows).filter(move |(_, row)| self.is_due(row) && is_ready(row));
            let due = due.map(|(place, _)| place);
            due.filter(|place| !files.contains_key(&self.file_id(*place)))
        };
        if idle().next().is_none() {
            return Vec::new();
        }
        let open = files.values().filter(|file| file.stage != FileStage::Over).count();
        let room = usize::from(core.config.queue.files_at_once)
            .saturating_sub(working)
            .min(WAITING_FILES_MAX.saturating_sub(waiting))
            .min(OPEN_FILES_MAX.saturating_sub(open));
        idle().take(room).collect()
    }

    const fn is_at_work(&self) -> bool {
        matches!(
            self.state,
            JobState::Queued | JobState::Connecting | JobState::Transferring | JobState::TransientError
        )
    }

    /// Opens files, as far as the job has its turn.
    pub(super) fn staff(&mut self, files: &mut Files, core: &mut Core) {
        self.make_room(files, core);
        for place in self.to_open(files, core) {
            self.open_file(place, None, files, core);
        }
        let waits = self.rows.iter().filter_map(|row| row.memory.not_before).min();
        self.wake = self.wake.min(waits.filter(|at| *at > core.time()).unwrap_or(Instant::NEVER));
        if matches!(self.turn, Turn::Full { .. }) && self.live(files).next().is_none() {
            self.wake = self.wake.min(core.time().after(ROOM_EVERY));
        }
    }

    /// Too many of its files wait for a retry while others could be on their way: one is let go of until it is due.
    fn make_room(&mut self, files: &mut Files, core: &mut Core) {
        let waits = |file: &JobFile| file.state == JobState::TransientError && file.aim != Aim::Park;
        let waiting = self.live(files).filter(|file| waits(file)).count();
        if waiting < WAITING_FILES_MAX || !matches!(self.turn, Turn::Full { .. }) {
            return;
        }
        let delay = Duration::from_secs(self.spec.retry_delay_s);
        let is_idle = |(place, row): (u16, &StoredFile)| {
            self.is_due(row) && row.memory.not_before.is_none() && !files.contains_key(&self.file_id(place))
        };
        if !(0_u16..).zip(&self.rows).any(is_idle) {
            return;
        }
        if let Some(file) = self.live_mut(files).find(|file| waits(file)) {
            file.park(core);
            if let Some(row) = self.rows.get_mut(usize::from(file.id.index)) {
                row.memory.not_before = Some(core.time().after(delay));
            }
        }
    }

    /// Puts a file on its way, to the usual aim or another one.
    pub(super) fn open_file(&mut self, place: u16, aim: Option<Aim>, files: &mut Files, core: &mut Core) {
        let Some(wish) = self.wish(place) else { return };
        let (id, owner) = (self.file_id(place), self.owner);
        let Some(row) = self.rows.get_mut(usize::from(place)) else { return };
        row.memory.began.get_or_insert(core.time());
        row.memory.not_before = None;
        let mut file = JobFile::new(id, owner, wish, row, core);
        match aim {
            Some(aim) => file.aim_at(aim, core),
            None => {
                file.wake = core.time();
                core.dirty.insert(id);
            }
        }
        files.insert(id, file);
    }

    /// Times that are over.
    pub(super) fn keep_time(&mut self, files: &mut Files, core: &mut Core) {
        let now = core.time();
        self.clocks.tick(self.state, now);
        let policy = &core.config.policy;
        let max_download = Duration::from_secs(policy.max_time_s(self.spec.max_time_s).value);
        let inactivity = DAY * u32::from(policy.inactivity_days.value);
        let timeout = Duration::from_secs(self.spec.no_progress_s);
        if self.state == JobState::TransientError && self.clocks.idle >= timeout {
            self.time_is_over(
                Cause::NoProgress,
                Code::NoProgress,
                "no byte came for its no-progress timeout",
                core,
            );
        } else if self.state.is_active() && self.clocks.worked >= max_download {
            self.time_is_over(
                Cause::TimeOver,
                Code::MaxDownloadTimeout,
                "its maximum download time is over",
                core,
            );
        } else if self.clocks.unused >= inactivity && self.cause(Cause::Inactive, core) {
            self.note = "cancelled: nothing happened to it for the inactivity timeout".into();
            self.leave(files, core);
        }
        let left = match self.state {
            JobState::TransientError => timeout.saturating_sub(self.clocks.idle),
            state if state.is_active() => max_download.saturating_sub(self.clocks.worked),
            _ => Duration::MAX,
        };
        let left = left.min(inactivity.saturating_sub(self.clocks.unused)).min(KEEP_TIMES_EVERY);
        if self.kept_times_at.is_none_or(|kept| now.since(kept) >= KEEP_TIMES_EVERY) {
            self.unsaved |= self.kept_times_at.replace(now).is_some();
        }
        self.wake = self.wake.min(now.after(left.max(Duration::from_millis(100))));
    }

    fn time_is_over(&mut self, cause: Cause, code: Code, words: &str, core: &mut Core) {
        let before =
            self.error.as_ref().map(|error| format!("; last: {}", error.message)).unwrap_or_default();
        let message = format!("{words}{before}; `nearbits job resume` tries again");
        let error = JobError::new(code, Context::QueueManager, message.clone(), core.now.wall_unix_ms);
        self.error_count += 1;
        self.error = Some(error);
        self.note = message;
        self.cause(cause, core);
    }

    /// A permission to use peers changed: it goes on at the same offset from whoever is allowed now (PEER-9).
    pub(in crate::engine) fn flags_toggled(&mut self, core: &mut Core) {
        if matches!(self.turn, Turn::Full { .. }) && self.cause(Cause::FlagsToggled, core) {
            self.cause(Cause::Picked, core);
        }
    }

    /// The network came up or went (JOB-T13, T18, JOB-26).
    pub(in crate::engine) fn network_changed(&mut self, up: bool, files: &mut Files, core: &mut Core) {
        if self.stage != Stage::Open {
            return;
        }
        if up && self.cause(Cause::NetworkUp, core) {
            self.rows.iter_mut().for_each(|row| row.memory.not_before = None);
            self.live_mut(files).filter(|file| file.state == JobState::TransientError).for_each(|file| {
                file.forgive(core);
            });
        }
        if !up && self.cause(Cause::NetworkLost, core) {
            let message = "the network is gone; the job goes on when it is back".to_owned();
            let now = core.now.wall_unix_ms;
            let error = JobError::new(Code::NetworkDisconnected, Context::Transport, message, now);
            self.note_error(error);
            self.park_all(files, core);
        }
    }

    /// Tells the hands how fast it may be.
    pub(in crate::engine) fn set_rates(&self, core: &mut Core) {
        if self.spec.rates != Rates::default() {
            core.effect(Effect::SetRates { job: Some(self.id), rates: self.spec.rates });
        }
    }
}
