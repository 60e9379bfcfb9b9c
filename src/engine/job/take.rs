//! Completion and cancellation: final names for what is whole, removal of the rest (JOB-12..18).
//!
//! Knows: the order deliver, then clear, then write it down; what a failed rename means. Does not know: renames
//! (`file`, and the hands).

use std::collections::BTreeSet;

use super::{Files, Job, Stage};
use crate::engine::core::Core;
use crate::engine::event::Event;
use crate::engine::file::{Aim, JobFile, Stage as FileStage};
use crate::engine::io::{Effect, FilePhase, StoredFile, Validation};
use crate::engine::job::Turn;
use crate::job::{Cause, Code, Context, JobError, JobState};

/// Files of a job that are renamed or removed at once.
const AT_ONCE: usize = 8;

/// A completion or cancellation on its way.
#[derive(Debug, Default)]
pub(super) struct Taking {
    /// Whether somebody waits for the outcome.
    is_asked: bool,
    /// Whether files were left out because they were not whole.
    is_partial: bool,
    /// What kept a file from its final name.
    failed: Option<JobError>,
    /// Why something of a removed file is still on the disk (JOB-15).
    pub(super) left_over: Option<String>,
    /// Files that are removed.
    pub(super) cleared: BTreeSet<u16>,
}

impl Job {
    /// Delivers what is whole; the rest is given up after that.
    pub(super) fn take(&mut self, files: &mut Files, core: &mut Core) {
        // What failed once it was whole is looked at again.
        let was_whole = |row: &&mut StoredFile| row.phase == FilePhase::Failed && row.blake3.is_some();
        self.rows.iter_mut().filter(was_whole).for_each(|row| row.phase = FilePhase::Whole);
        self.taking = Taking { is_asked: true, ..Taking::default() };
        self.stage = Stage::Taking;
        self.note = String::new();
        self.turn = Turn::None;
        core.requeue = true;
        for file in self.live_mut(files) {
            match file.stage {
                FileStage::Sealed => file.aim_at(Aim::DeliveryAsIs, core),
                FileStage::Delivering | FileStage::Dropping | FileStage::Over => {}
                _ => file.park(core),
            }
        }
    }

    /// Gives everything up.
    pub(super) fn leave(&mut self, files: &mut Files, core: &mut Core) {
        self.taking = Taking::default();
        self.stage = Stage::Leaving;
        self.turn = Turn::None;
        core.requeue = true;
        self.clear_on(files, core);
    }

    /// The next files on their way to their final names.
    pub(super) fn take_on(&mut self, files: &mut Files, core: &mut Core) {
        let mut working = 0;
        for file in self.live(files) {
            match file.stage {
                FileStage::Over => {}
                FileStage::Sealed if file.aim == Aim::Whole && file.failure.is_some() => {
                    self.taking.failed = Some(file.error(core));
                }
                _ if matches!(file.state, JobState::Error | JobState::TransientError) => {
                    self.taking.failed = Some(file.error(core));
                }
                _ => working += 1,
            }
        }
        if self.taking.failed.is_none() {
            let due = self.places(|row| row.phase == FilePhase::Whole);
            let due = due.into_iter().filter(|place| !files.contains_key(&self.file_id(*place)));
            for place in due.take(AT_ONCE.saturating_sub(working)).collect::<Vec<_>>() {
                self.open_file(place, Some(Aim::DeliveryAsIs), files, core);
                working += 1;
            }
        }
        if working > 0 {
            return;
        }
        self.taking.is_partial = self.rows.iter().any(|row| row.phase != FilePhase::Delivered);
        match self.taking.failed.clone() {
            Some(error) => self.delivery_failed(error, files, core),
            None if self.taking.is_partial => {
                self.stage = Stage::Clearing;
                self.clear_on(files, core);
            }
            None => self.acknowledge(core),
        }
    }

    /// JOB-14: it stays, with those files delivered that are.
    fn delivery_failed(&mut self, error: JobError, files: &mut Files, core: &mut Core) {
        let (reason, code) = (error.message.clone(), error.code);
        self.stage = Stage::Open;
        self.error_count += 1;
        self.note_error(error);
        self.note = reason.clone();
        self.cause(Cause::DeliveryFailed, core);
        if self.is_whole() {
            self.cause(Cause::Resume { has_files: true, is_whole: true }, core);
        }
        self.touch(core);
        self.park_all(files, core);
        self.taking = Taking::default();
        core.effect(Effect::Tell(Event::CommandRefused { job: self.id, reason, code }));
    }

    /// The next files to be removed.
    pub(super) fn clear_on(&mut self, files: &mut Files, core: &mut Core) {
        let mut working = 0;
        let mut due = Vec::new();
        for place in self.places(|row| row.phase != FilePhase::Delivered) {
            if self.taking.cleared.contains(&place) {
                continue;
            }
            match files.get_mut(&self.file_id(place)) {
                Some(file) => {
                    working += 1;
                    remove(file, core);
                }
                None => due.push(place),
            }
        }
        for place in due.into_iter().take(AT_ONCE.saturating_sub(working)) {
            self.open_file(place, Some(Aim::Removal), files, core);
            working += 1;
        }
        if working > 0 {
            return;
        }
        if self.stage == Stage::Leaving {
            self.stage = Stage::Over;
            self.announce = true;
            match self.taking.left_over.take() {
                // It stays written down as cancelled: the next start tries again.
                Some(why) => self.is_still_there("cancelled", &why),
                None => core.effect(Effect::ForgetJob { job: self.id }),
            }
            core.effect(Effect::Tell(Event::JobTaken { job: self.id, is_partial: false }));
        } else {
            self.acknowledge(core);
        }
    }

    /// It is over, and something of it is not gone (JOB-15).
    fn is_still_there(&mut self, over: &str, why: &str) {
        self.is_left_over = true;
        self.note = format!("{over}; something of it is still on the disk: {why}");
    }

    /// What the success of a job that is over has to say under BITS' names.
    pub(super) fn outcome(&self) -> Option<Code> {
        let is_partial = self.rows.iter().any(|row| row.phase != FilePhase::Delivered);
        match self.state {
            JobState::Acknowledged | JobState::Cancelled if self.is_left_over => {
                Some(Code::UnableToDeleteFiles)
            }
            JobState::Acknowledged if is_partial => Some(Code::PartialComplete),
            _ => None,
        }
    }

    /// Says how a completion came out, to whoever asked for it. What nobody said anything against is valid now (JOB-17).
    pub(super) fn tell_taken(&mut self, core: &mut Core) {
        let is_taken = |row: &&mut StoredFile| row.phase == FilePhase::Delivered;
        self.rows.iter_mut().filter(is_taken).for_each(|row| row.validation = Validation::Valid);
        let taking = std::mem::take(&mut self.taking);
        if taking.is_asked {
            if let Some(why) = taking.left_over {
                self.is_still_there("completed", &why);
            }
            let event = Event::JobTaken { job: self.id, is_partial: taking.is_partial };
            core.effect(Effect::Tell(event));
        }
    }

    /// What the owner learns of a file that is not what it should be.
    pub(super) fn invalid_file(&self, place: u16, core: &Core) -> JobError {
        let message = "an application called it invalid; `nearbits job resume` fetches it again".to_owned();
        let mut error =
            JobError::new(Code::ValidationFailed, Context::LocalFile, message, core.now.wall_unix_ms);
        error.file = Some(place);
        error
    }
}

/// Gives a file up, wherever it stands.
fn remove(file: &mut JobFile, core: &mut Core) {
    match file.stage {
        // It has its name already, or is about to.
        FileStage::Delivering | FileStage::Dropping | FileStage::Over => {}
        _ if file.aim == Aim::Removal => {}
        _ => file.aim_at(Aim::Removal, core),
    }
}
