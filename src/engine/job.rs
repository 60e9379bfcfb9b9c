//! A job: its files, where it stands by BITS' table, how long it has.
//!
//! Knows: what a job's state follows from, which of its files are on their way, what is written down and when. Does not
//! know: how a file is fetched (`file`), whose turn it is (`queue`).

mod clocks;
mod command;
mod keep;
mod ondemand;
mod take;
mod turn;
mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use peer_proto::time::Instant;

use self::clocks::Clocks;
pub(super) use self::turn::Turn;
use super::core::Core;
use super::event::{Event, Failure, SourceShare};
use super::explain::Decision;
use super::file::{Aim, JobFile, Stage as FileStage};
use super::io::{Effect, EffectId, FilePhase, LocalFault, StoredFile, StoredJob, Times};
use super::lease::Share;
use super::trouble::{Trouble, local_failure, source_of};
use crate::job::{Cause, Code, Context, FileId, JobError, JobId, JobSpec, JobState, Wish};

/// How often the last state of a job is written again after a failure.
const SAVES_TRIED: u8 = 3;

/// The files that are on their way, of all jobs.
pub(super) type Files = BTreeMap<FileId, JobFile>;

/// What a job is about, beside its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// It is being made durable.
    Accepting,
    /// It is worked on, or waits.
    Open,
    /// Its whole files get their final names (JOB-12).
    Taking,
    /// What is not whole is removed after that (JOB-13).
    Clearing,
    /// Everything is removed (JOB-18).
    Leaving,
    /// Its last state is being made durable.
    Recording,
    /// Nothing is left to do.
    Over,
}

/// A job and what is known of its files.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) owner: u32,
    pub(super) spec: JobSpec,
    pub(super) state: JobState,
    pub(super) stage: Stage,
    pub(super) turn: Turn,
    pub(super) rows: Vec<StoredFile>,
    /// Why it stands where it stands, if no file says it.
    note: String,
    embedded: bool,
    has_run: bool,
    /// Whether it stands still because all that was asked for is there.
    ranges_done: bool,
    error: Option<JobError>,
    error_count: u32,
    times: Times,
    clocks: Clocks,
    /// Bytes of its files as they were written down last.
    kept_bytes: u64,
    /// When its times were written down last.
    kept_times_at: Option<Instant>,
    /// When a job is tried again of which no file is on its way; from its retry delay on if absent.
    retry_at: Option<Instant>,
    /// Not to have its first turn before this, unless somebody waits for it.
    starts_at: Instant,
    /// Its place in the queue of its priority.
    pub(super) place: u64,
    /// Who gave bytes to files that are not on their way now.
    shares: BTreeMap<String, SourceShare>,
    /// Whether something of it is still on the disk though it is over (JOB-15).
    is_left_over: bool,
    /// A completion that is partial or failed, until it is told.
    taking: take::Taking,
    waiting: Option<EffectId>,
    unsaved: bool,
    /// Whether somebody waits until it is written down.
    is_commanded: bool,
    /// Tries to write the last state down that failed.
    failed_saves: u8,
    changed: bool,
    announce: bool,
    told_at: Option<Instant>,
    wake: Instant,
}

impl Job {
    /// A job that was just handed in.
    pub(super) fn new(id: JobId, mut spec: JobSpec, owner: u32, start: bool, core: &Core) -> Self {
        let now = core.now;
        spec.files.shrink_to_fit();
        let rows = vec![StoredFile::default(); spec.files.len()];
        let starts = start && !rows.is_empty();
        Self {
            id,
            owner,
            spec,
            state: if starts { JobState::Queued } else { JobState::Suspended },
            stage: Stage::Accepting,
            turn: Turn::default(),
            rows,
            note: String::new(),
            embedded: core.config.embedded,
            has_run: starts,
            ranges_done: false,
            error: None,
            error_count: 0,
            times: Times {
                created_unix_ms: now.wall_unix_ms,
                modified_unix_ms: now.wall_unix_ms,
                transferred_unix_ms: None,
            },
            clocks: Clocks::new(now.monotonic),
            kept_bytes: 0,
            kept_times_at: None,
            retry_at: None,
            starts_at: Instant::ZERO,
            place: 0,
            shares: BTreeMap::new(),
            is_left_over: false,
            taking: take::Taking::default(),
            waiting: None,
            unsaved: false,
            is_commanded: false,
            failed_saves: 0,
            changed: false,
            announce: false,
            told_at: None,
            wake: Instant::NEVER,
        }
    }

    /// A job found on disk: goes on from where it was.
    pub(super) fn found(stored: StoredJob, core: &Core) -> Self {
        let mut job = Self::new(stored.id, stored.spec, stored.owner, false, core);
        job.stage = Stage::Open;
        job.state = stored.state;
        job.rows = stored.files;
        job.rows.resize(job.spec.files.len(), StoredFile::default());
        job.rows.shrink_to_fit();
        job.kept_bytes = job.stored_bytes();
        (job.has_run, job.error, job.error_count) = (stored.has_run, stored.error, stored.error_count);
        job.times = stored.times;
        job.ranges_done = stored.ranges_done;
        job.note_rest();
        job.clocks = Clocks::kept(stored.idle_s, stored.worked_s, stored.unused_s, core.time());
        match job.state {
            JobState::Acknowledged => job.stage = Stage::Over,
            JobState::Cancelled => job.stage = Stage::Leaving,
            state => job.state = as_found(state),
        }
        // A completion that was cut short by the end of the process goes on.
        if job.state == JobState::Transferred && job.spec.auto_complete {
            job.state = JobState::Queued;
        }
        if job.state == JobState::Queued && stored.embedded && !core.config.embedded {
            // Nobody of this daemon's users asked it for this (design: adoption).
            job.state = JobState::Suspended;
            job.note = "left by a command that was interrupted; `nearbits job resume` goes on".into();
        }
        // What a daemon has taken over stays its own; what an embedded node finds of a daemon's is not embedded.
        job.embedded = stored.embedded && core.config.embedded;
        job
    }

    /// Makes a new job durable.
    pub(super) fn begin(&mut self, core: &mut Core) {
        self.set_rates(core);
        self.draw_start(core);
        self.persist(core);
    }

    /// Why every range of its files came from where it came.
    pub(super) fn decisions(&self, files: &Files) -> Vec<Decision> {
        let mut all = Vec::new();
        for (place, row) in (0_u16..).zip(&self.rows) {
            let live = files.get(&self.file_id(place)).map(|file| file.why.log());
            let mut of_file = live.unwrap_or(&row.decisions).to_vec();
            if self.rows.len() > 1 {
                of_file.iter_mut().for_each(|decision| decision.file = Some(place));
            }
            all.append(&mut of_file);
        }
        all
    }

    /// Whether it was handed to an embedded node, and no daemon has taken it over.
    pub(super) const fn is_embedded(&self) -> bool {
        self.embedded
    }

    pub(super) const fn wakes_at(&self) -> Instant {
        self.wake
    }

    /// The place of a file, and back.
    const fn file_id(&self, index: u16) -> FileId {
        FileId { job: self.id, index }
    }

    fn wish(&self, index: u16) -> Option<Wish> {
        Some(Wish::of(&self.spec, self.spec.files.get(usize::from(index))?))
    }

    /// Its files that are on their way.
    fn live<'a>(&self, files: &'a Files) -> impl Iterator<Item = &'a JobFile> + use<'a> {
        files.range(self.file_id(0)..=self.file_id(u16::MAX)).map(|(_, file)| file)
    }

    fn live_mut<'a>(&self, files: &'a mut Files) -> impl Iterator<Item = &'a mut JobFile> + use<'a> {
        files.range_mut(self.file_id(0)..=self.file_id(u16::MAX)).map(|(_, file)| file)
    }

    /// Files in a phase, by their places.
    fn places(&self, is_wanted: impl Fn(&StoredFile) -> bool) -> Vec<u16> {
        let places = (0_u16..).zip(&self.rows);
        places.filter(|(_, row)| is_wanted(row)).map(|(place, _)| place).collect()
    }

    /// Whether there is something to do for a file while the job has its turn.
    fn is_due(&self, row: &StoredFile) -> bool {
        match row.phase {
            FilePhase::Waiting => !row.memory.rests,
            FilePhase::Whole => self.spec.auto_complete,
            FilePhase::Failed | FilePhase::Delivered => false,
        }
    }

    fn is_whole(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.phase.is_whole())
    }

    /// Makes a row of BITS' table hold; `false` if there is none.
    fn cause(&mut self, cause: Cause, core: &mut Core) -> bool {
        let Ok(next) = self.state.after(cause) else { return false };
        if next != self.state {
            self.clocks.tick(self.state, core.time());
            // What a restart makes the same of need not be written down anew.
            let is_kept = as_found(next) == as_found(self.state);
            self.state = next;
            if next == JobState::Transferred {
                self.times.transferred_unix_ms = Some(core.now.wall_unix_ms);
            }
            let unsaved = self.unsaved;
            self.touch(core);
            self.unsaved = unsaved || !is_kept;
            core.requeue = true;
        }
        true
    }

    /// Something happened to it: it is written down, and watchers are told.
    fn touch(&mut self, core: &Core) {
        self.times.modified_unix_ms = core.now.wall_unix_ms;
        self.clocks.used();
        (self.unsaved, self.announce) = (true, true);
    }

    /// Keeps the last error for the life of the job (JOB-29 Δ).
    fn note_error(&mut self, error: JobError) {
        self.unsaved = true;
        self.error = Some(error.following(self.error.as_ref()));
    }

    /// The next steps, after one of its files, a command or time changed something.
    pub(super) fn step(&mut self, files: &mut Files, core: &mut Core) {
        self.wake = Instant::NEVER;
        self.gather(files, core);
        match self.stage {
            Stage::Open => {
                self.keep_to_size(files, core);
                self.follow_files(files, core);
                self.retry(files, core);
                self.keep_time(files, core);
                self.staff(files, core);
            }
            Stage::Taking => self.take_on(files, core),
            Stage::Clearing | Stage::Leaving => self.clear_on(files, core),
            Stage::Accepting | Stage::Recording | Stage::Over => {}
        }
        self.save(files, core);
        self.tell(files, core);
    }

    /// Notes what became of its files, and lets go of those that are over.
    fn gather(&mut self, files: &mut Files, core: &mut Core) {
        let (mut over, mut whole) = (Vec::new(), Vec::new());
        for file in self.live_mut(files) {
            let Some(row) = self.rows.get_mut(usize::from(file.id.index)) else { continue };
            let (before, was_whole) = (row.stored, row.phase.is_whole());
            file.write_to(row);
            if let Some(url) = file.reported_url()
                && let Some(spec) = self.spec.files.get_mut(usize::from(file.id.index))
                && spec.url != url
            {
                spec.url = url;
                self.unsaved = true;
            }
            if row.phase.is_whole() && !was_whole {
                whole.push(file.id.index);
            }
            if row.stored > before {
                self.clocks.progressed();
                self.changed = true;
            }
            if row.phase == FilePhase::Delivered {
                // What its origin said of it is of no use any more.
                row.memory.probe = None;
            }
            self.unsaved |= std::mem::take(&mut file.unsaved);
            if file.stage == FileStage::Over && file.state != JobState::Acknowledged {
                over.push(file.id);
                (row.filled, row.memory.rests) = (file.filled().or(row.filled.take()), file.asked.rests);
                if file.aim == Aim::Removal {
                    self.taking.cleared.insert(file.id.index);
                    self.taking.left_over = self.taking.left_over.take().or_else(|| file.left_over.take());
                    let validation = row.validation;
                    *row = StoredFile { validation, ..row.emptied(row.origin_only) };
                }
            }
        }
        let told = whole.iter().copied().chain(over.iter().map(|id| id.index)).collect();
        self.tell_ranges(Some(&told), files, core);
        for mut file in whole.into_iter().filter_map(|index| self.file_view(index)) {
            // Events go to whoever may manage the job; the header block is its owner's alone.
            file.headers = Vec::new();
            core.effect(Effect::Tell(Event::FileTransferred { job: self.id, file: Box::new(file) }));
        }
        // What leases brought while they ended is said after a restart as well.
        let is_let_go = self.stage == Stage::Open && !over.is_empty();
        self.unsaved |= is_let_go && self.kept_bytes != self.stored_bytes();
        for id in over {
            core.peers.forget_file(id);
            core.sealed_open.remove(&id);
            if let Some(file) = files.remove(&id) {
                self.absorb(&file);
            }
        }
    }

    /// Remembers who gave bytes to a file that is let go of.
    pub(super) fn absorb(&mut self, file: &JobFile) {
        for share in file.shares.values() {
            add_share(&mut self.shares, share);
        }
    }

    /// FILE-24: no more bytes than were allowed, as far as lengths tell and what came.
    fn keep_to_size(&mut self, files: &mut Files, core: &mut Core) {
        let Some(most) = self.spec.max_size.filter(|_| self.state.is_active()) else { return };
        let known = |row: &StoredFile| row.len.unwrap_or(0).max(row.stored);
        let sum: u64 = self.rows.iter().map(known).fold(0, u64::saturating_add);
        if sum > most {
            let message = format!("its files have {sum} bytes, and its limit of size is {most}");
            let (code, now) = (Code::MaxDownloadSizeLimitReached, core.now.wall_unix_ms);
            self.note_error(JobError::new(code, Context::RemoteFile, message.clone(), now));
            self.note = message;
            self.error_count += 1;
            self.cause(Cause::Failed, core);
            self.turn = Turn::None;
            self.park_all(files, core);
        }
    }

    /// A job that waits and has no file on its way that could try again by itself is tried by the clock (JOB-T12).
    fn retry(&mut self, files: &Files, core: &mut Core) {
        let waits = |error: &JobError| error.code == Code::NetworkDisconnected;
        let by_clock = self.state == JobState::TransientError
            && self.live(files).all(|file| file.stage == FileStage::Over || file.aim == Aim::Park)
            && !self.error.as_ref().is_some_and(waits);
        if !by_clock {
            self.retry_at = None;
            return;
        }
        let now = core.time();
        let delay = Duration::from_secs(self.spec.retry_delay_s);
        let at = *self.retry_at.get_or_insert_with(|| now.after(delay));
        if at <= now {
            self.retry_at = None;
            self.cause(Cause::RetryDue, core);
        } else {
            self.wake = self.wake.min(at);
        }
    }

    /// The state that follows from those of its files.
    fn follow_files(&mut self, files: &mut Files, core: &mut Core) {
        if self.turn == Turn::None || self.rows.is_empty() {
            return;
        }
        if !self.rows.iter().any(|row| self.is_due(row)) {
            return self.all_done(files, core);
        }
        let states = || self.live(files).map(|file| file.state);
        let is = |wanted: JobState| states().any(|state| state == wanted);
        let busy = is(JobState::Transferring);
        if busy || is(JobState::Connecting) || is(JobState::Queued) {
            if self.state == JobState::TransientError {
                self.cause(Cause::RetryDue, core);
            } else if busy {
                self.cause(Cause::Connected, core);
            }
            return;
        }
        let stuck = self.live(files).find(|file| file.state == JobState::TransientError);
        // Others of its files may have better luck.
        let is_staffed = self.to_open(files, core).is_empty();
        if let Some(stuck) = stuck.filter(|_| is_staffed && self.state.is_active()) {
            let error = stuck.error(core);
            self.fail_for_now(error, core);
        }
    }

    fn fail_for_now(&mut self, error: JobError, core: &mut Core) {
        self.error_count += u32::from(error.code.is_counted());
        self.note_error(error);
        self.cause(Cause::FailedForNow, core);
        let timeout = self.spec.no_progress_s;
        // JOB-24, 25: no retries at all.
        if timeout == 0 || self.spec.retry_delay_s > timeout {
            self.cause(Cause::NoProgress, core);
        }
    }

    /// Every file is whole, delivered or failed, or all of it is there that was asked for.
    fn all_done(&mut self, files: &mut Files, core: &mut Core) {
        let failed = self.places(|row| row.phase == FilePhase::Failed);
        if let Some(place) = failed.first() {
            if self.state != JobState::Error {
                self.error_count += 1;
                let error = self.row_error(*place, core);
                self.note_error(error);
            }
            self.cause(Cause::Failed, core);
            return;
        }
        if self.rows.iter().any(|row| row.memory.rests) {
            return self.rest(files, core);
        }
        self.cause(Cause::AllDone, core);
        if self.spec.auto_complete {
            self.acknowledge(core);
        }
    }

    /// All is delivered: that is written down before the last traces of it go.
    fn acknowledge(&mut self, core: &mut Core) {
        self.stage = Stage::Recording;
        (self.turn, self.unsaved) = (Turn::None, true);
        self.touch(core);
    }

    /// What a failed file's row says, as the job's error.
    fn row_error(&self, place: u16, core: &Core) -> JobError {
        let index = usize::from(place);
        let row = self.rows.get(index);
        let code = row.and_then(|row| row.code).unwrap_or(Code::InvalidServerResponse);
        let context = row.and_then(|row| row.context).unwrap_or(Context::Unknown);
        let message = row.map(|row| row.reason.clone()).unwrap_or_default();
        let mut error = JobError::new(code, context, message, core.now.wall_unix_ms);
        (error.file, error.status) = (Some(place), row.and_then(|row| row.status));
        error.source = self.spec.files.get(index).and_then(|file| source_of(context, &file.url));
        error
    }

    /// Writes it down, if anything changed.
    fn save(&mut self, files: &Files, core: &mut Core) {
        let is_busy = self.waiting.is_some() && !self.is_commanded && self.stage != Stage::Recording;
        // One copy at a time is on its way to the disk, but for what somebody waits for.
        if !self.unsaved || is_busy || self.stage == Stage::Accepting || self.stage == Stage::Over {
            return;
        }
        (self.unsaved, self.is_commanded) = (false, false);
        for file in self.live(files) {
            if let Some(row) = self.rows.get_mut(usize::from(file.id.index)) {
                file.write_why_to(row);
            }
        }
        self.persist(core);
    }

    /// The answer to a `PersistJob`. `false` if the job is refused and must go.
    pub(super) fn persisted(
        &mut self,
        id: EffectId,
        outcome: Result<(), LocalFault>,
        core: &mut Core,
    ) -> bool {
        if self.waiting != Some(id) {
            return true;
        }
        self.waiting = None;
        match (self.stage, outcome) {
            (Stage::Accepting, Ok(())) => {
                self.stage = Stage::Open;
                self.announce = true;
                core.requeue = true;
                // None of its files is on its way yet.
                let view = self.view(&Files::new(), core);
                core.effect(Effect::Tell(Event::JobAccepted(Box::new(view))));
            }
            (Stage::Accepting, Err(fault)) => {
                let failure = local_failure(fault.kind);
                let code = Trouble::from(fault.clone()).code;
                let event = Event::JobRefused { job: self.id, reason: fault.message, failure, code };
                core.effect(Effect::Tell(event));
                return false;
            }
            (Stage::Recording, Err(fault)) if self.failed_saves < SAVES_TRIED => {
                self.failed_saves += 1;
                (self.unsaved, self.note) = (true, format!("not written down: {}", fault.message));
            }
            (Stage::Recording, _) => {
                self.cause(Cause::Complete, core);
                self.stage = Stage::Over;
                self.tell_taken(core);
            }
            (_, Ok(())) => {}
            // It goes on all the same, and says so.
            (_, Err(fault)) => self.note = format!("not written down: {}", fault.message),
        }
        true
    }

    /// What kind of failure it stands in, for exit codes.
    pub(super) fn failure(&self) -> Option<Failure> {
        match self.state {
            JobState::Error => {
                let failed = self.rows.iter().find(|row| row.phase == FilePhase::Failed);
                Some(failed.and_then(|row| row.failure).unwrap_or(Failure::Fatal))
            }
            JobState::TransientError => Some(Failure::Transient),
            _ => None,
        }
    }
}

/// What a restart makes of a state: what was waited for may have ended while nobody looked (JOB-T12, T13).
const fn as_found(state: JobState) -> JobState {
    match state {
        JobState::Connecting | JobState::Transferring | JobState::TransientError => JobState::Queued,
        _ => state,
    }
}

fn add_share(shares: &mut BTreeMap<String, SourceShare>, share: &Share) {
    let sum = shares.entry(share.name.clone()).or_insert_with(|| SourceShare {
        source: share.name.clone(),
        address: share.address.clone(),
        bytes: 0,
        leases: 0,
    });
    sum.bytes += share.bytes;
    sum.leases += share.leases;
}
