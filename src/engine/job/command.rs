//! What the owner does with a job.
//!
//! Knows: when a command holds, and what follows from it. Does not know: who may give one (`control`).

use super::{Files, Job, Stage};
use crate::engine::core::Core;
use crate::engine::event::Event;
use crate::engine::file::{Aim, JobFile, Stage as FileStage};
use crate::engine::io::{Effect, FilePhase, JobCommand, StoredFile, Validation};
use crate::engine::step::Trigger;
use crate::engine::stored::Verdict;
use crate::job::{
    Caller, Cause, Code, FileId, Headers, JobChange, JobSpec, JobState, Moment, Refusal, SpecError, Wish,
};

const NOT_YOURS: &str = "the job belongs to another user: ask its owner or an administrator";

/// Why a command is not carried out.
pub(super) struct Refused(pub(super) Code, pub(super) String);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Final | Refusal::OutOfPlace => Code::InvalidState,
            Refusal::Empty => Code::Empty,
        };
        Self(code, refusal.to_string())
    }
}

impl From<SpecError> for Refused {
    fn from(error: SpecError) -> Self {
        Self(error.code(), error.to_string())
    }
}

impl Job {
    /// A command of the owner, or of an administrator.
    pub(in crate::engine) fn command(
        &mut self,
        command: JobCommand,
        by: Caller,
        files: &mut Files,
        core: &mut Core,
    ) {
        let busy = |words: &str| Err(Refused(Code::InvalidState, words.to_owned()));
        let outcome = match self.stage {
            _ if !by.may_manage(self.owner) => Err(Refused(Code::AccessDenied, NOT_YOURS.to_owned())),
            Stage::Accepting => busy("the job is not durable yet; try again"),
            Stage::Taking | Stage::Clearing | Stage::Recording => busy("its files are being delivered"),
            Stage::Leaving | Stage::Over => Err(Refusal::Final.into()),
            Stage::Open => self.carry_out(command, by, files, core),
        };
        self.is_commanded = true;
        if let Err(Refused(code, reason)) = outcome {
            core.effect(Effect::Tell(Event::CommandRefused { job: self.id, reason, code }));
        }
    }

    /// Whether a change is looked at, at least.
    pub(in crate::engine) fn takes_changes_of(&self, by: Caller) -> bool {
        self.stage == Stage::Open && by.may_manage(self.owner)
    }

    /// Whether it may be shown no more.
    pub(in crate::engine) fn is_forgettable_by(&self, by: Caller) -> bool {
        self.stage == Stage::Over && by.may_manage(self.owner)
    }

    /// What every command but `Forget` gets for an answer once it is over.
    pub(in crate::engine) fn refuse_when_over(&self, by: Caller) -> (Code, String) {
        if by.may_manage(self.owner) {
            let Refused(code, reason) = Refusal::Final.into();
            return (code, reason);
        }
        (Code::AccessDenied, NOT_YOURS.to_owned())
    }

    fn carry_out(
        &mut self,
        command: JobCommand,
        by: Caller,
        files: &mut Files,
        core: &mut Core,
    ) -> Result<(), Refused> {
        match command {
            JobCommand::Suspend => self.suspend(files, core),
            JobCommand::Resume => self.resume(files, core),
            JobCommand::Complete => self.complete(files, core),
            JobCommand::Cancel => {
                self.request(Cause::Cancel, core)?;
                self.note = String::new();
                self.leave(files, core);
                Ok(())
            }
            JobCommand::Change(change) => self.change(&change, by, files, core),
            JobCommand::Take if !by.is_administrator => {
                Err(Refused(Code::AccessDenied, "only an administrator can take a job over".into()))
            }
            // Already his: nothing changes.
            JobCommand::Take if by.uid == self.owner => Ok(()),
            JobCommand::Take => {
                // What the owner before sent along was a secret of that user (SEC-6).
                self.owner = by.uid;
                self.spec.headers = Headers::default();
                self.rows.iter_mut().for_each(|row| row.memory.probe = None);
                self.touch(core);
                self.renew_wishes(files, core);
                Ok(())
            }
            JobCommand::Forget => {
                let words = "only a job that is over can be forgotten: complete or cancel it first";
                Err(Refused(Code::InvalidState, words.to_owned()))
            }
            JobCommand::Validate { file, valid } => self.validate(file, valid, files, core),
            JobCommand::RequestRanges { file, ranges } => self.request_ranges(file, &ranges, by, files, core),
            JobCommand::SetPosition { file, offset } => self.set_position(file, offset, files, core),
        }
    }

    /// A cause that somebody asked for: it is refused in words.
    fn request(&mut self, cause: Cause, core: &mut Core) -> Result<(), Refused> {
        self.state.after(cause)?;
        self.cause(cause, core);
        self.touch(core);
        Ok(())
    }

    fn suspend(&mut self, files: &mut Files, core: &mut Core) -> Result<(), Refused> {
        self.request(Cause::Suspend, core)?;
        (self.note, self.ranges_done) = (String::new(), false);
        self.turn = super::Turn::None;
        self.park_all(files, core);
        Ok(())
    }

    fn resume(&mut self, files: &mut Files, core: &mut Core) -> Result<(), Refused> {
        // What delivers itself has something left to do.
        let is_whole = self.is_whole() && !self.spec.auto_complete;
        self.request(Cause::Resume { has_files: !self.rows.is_empty(), is_whole }, core)?;
        self.clocks.resumed();
        (self.note, self.ranges_done) = (String::new(), false);
        self.has_run = true;
        self.rows.iter_mut().for_each(|row| row.memory.not_before = None);
        for row in self.rows.iter_mut().filter(|row| row.phase == FilePhase::Failed) {
            // One that could not get its name is whole all the same.
            row.phase = if row.blake3.is_some() { FilePhase::Whole } else { FilePhase::Waiting };
            (row.reason, row.failure, row.status) = (String::new(), None, None);
        }
        // Those that failed begin anew; those that wait for a retry do not wait any longer (JOB-T15).
        for file in self.live_mut(files) {
            match file.state {
                JobState::Error => {
                    file.trigger(Trigger::Resume);
                    file.park(core);
                }
                // It begins with its own URL again; what is on disk stays.
                JobState::TransientError if file.mirror > 0 => file.park(core),
                JobState::TransientError => file.forgive(core),
                _ => {}
            }
        }
        Ok(())
    }

    fn complete(&mut self, files: &mut Files, core: &mut Core) -> Result<(), Refused> {
        self.state.after(Cause::Complete)?;
        self.touch(core);
        self.take(files, core);
        Ok(())
    }

    fn change(
        &mut self,
        change: &JobChange,
        by: Caller,
        files: &mut Files,
        core: &mut Core,
    ) -> Result<(), Refused> {
        let moment = Moment { has_run: self.has_run, is_over: false, is_owner: by.uid == self.owner };
        let spec = self.spec.apply(change, &moment, &core.config.policy.limits(by.maker()))?;
        if let Some((place, _)) = &change.digests {
            self.may_have_digests(*place)?;
        }
        if let Some((place, _)) = &change.url {
            self.may_have_url(*place)?;
        }
        if self.state == JobState::Transferred && spec.trust > self.spec.trust {
            let words = "all its files are transferred: a floor of trust is for what is still to be fetched";
            return Err(Refused(Code::InvalidState, words.to_owned()));
        }
        let before = std::mem::replace(&mut self.spec, spec);
        self.keep_urls_of_whole_files(&before);
        self.rows.resize(self.spec.files.len(), StoredFile::default());
        self.touch(core);
        core.requeue = true;
        if before.rates != self.spec.rates {
            core.effect(Effect::SetRates { job: Some(self.id), rates: self.spec.rates });
        }
        if before.on_demand != self.spec.on_demand {
            self.wake_resting();
        }
        if before.flags != self.spec.flags {
            self.cause(Cause::FlagsToggled, core);
        }
        if self.spec.auto_complete && !before.auto_complete && self.state == JobState::Transferred {
            // What delivers itself has something left to do.
            self.cause(Cause::Resume { has_files: true, is_whole: false }, core);
        }
        self.renew_wishes(files, core);
        Ok(())
    }

    /// What was fetched under other digests must not be taken for what they name.
    fn may_have_digests(&self, place: u16) -> Result<(), Refused> {
        let row = self.rows.get(usize::from(place));
        let is_free = row.is_none_or(|row| match row.phase {
            FilePhase::Failed => true,
            FilePhase::Waiting => row.stored == 0,
            FilePhase::Whole | FilePhase::Delivered => false,
        });
        let words = format!(
            "file {place} is on its way under its digests: they change only while it is in error or not begun"
        );
        if is_free { Ok(()) } else { Err(Refused(Code::InvalidState, words)) }
    }

    /// What is whole is not fetched again (FILE-14), so it is not what another URL names.
    fn may_have_url(&self, place: u16) -> Result<(), Refused> {
        match self.rows.get(usize::from(place)).map(|row| row.phase) {
            Some(FilePhase::Whole | FilePhase::Delivered) => {
                let words =
                    format!("file {place} is transferred: its bytes are those of its URL, which stays");
                Err(Refused(Code::InvalidState, words))
            }
            Some(FilePhase::Waiting | FilePhase::Failed) | None => Ok(()),
        }
    }

    /// Another prefix is for what is still to be fetched.
    fn keep_urls_of_whole_files(&mut self, before: &JobSpec) {
        let is_whole = |row: &StoredFile| matches!(row.phase, FilePhase::Whole | FilePhase::Delivered);
        let files = self.spec.files.iter_mut().zip(&before.files).zip(&self.rows);
        for ((file, before), _) in files.filter(|(_, row)| is_whole(row)) {
            file.url.clone_from(&before.url);
        }
    }

    /// Lets its files go on under what the job says now.
    fn renew_wishes(&mut self, files: &mut Files, core: &mut Core) {
        let owner = self.owner;
        for file in self.live_mut(files) {
            file.owner = owner;
            let index = usize::from(file.id.index);
            let Some(wish) = self.spec.files.get(index).map(|spec| Wish::of(&self.spec, spec)) else {
                continue;
            };
            if file.wish.is_elsewhere(&wish) {
                // It goes on from what is on disk, under what was said now (FILE-14).
                file.park(core);
            } else {
                file.wish = wish;
                file.flags_changed(core);
                file.floor_changed(core);
            }
        }
        if self.state == JobState::TransientError {
            // What was changed may be what was wrong.
            self.retry_at = Some(core.time());
        }
    }

    fn validate(
        &mut self,
        place: u16,
        valid: bool,
        files: &mut Files,
        core: &mut Core,
    ) -> Result<(), Refused> {
        let count = self.rows.len();
        let row = self.rows.get_mut(usize::from(place)).ok_or_else(|| {
            let words = format!("there is no file {place}: the job has {count}, counted from 0");
            Refused(Code::FileNotAvailable, words)
        })?;
        match row.phase {
            FilePhase::Whole => {}
            FilePhase::Delivered => {
                return Err(Refused(Code::InvalidState, format!("file {place} is delivered already")));
            }
            FilePhase::Waiting | FilePhase::Failed => {
                let words = format!("file {place} is not whole yet: nothing can be said of it");
                return Err(Refused(Code::Pending, words));
            }
        }
        let is_leaving = |file: &JobFile| !matches!(file.stage, FileStage::Sealed) && file.aim != Aim::Park;
        if files.get(&FileId { job: self.id, index: place }).is_some_and(is_leaving) {
            return Err(Refused(Code::InvalidState, format!("file {place} is being delivered")));
        }
        if valid {
            row.validation = Validation::Valid;
            row.valid_for_cache |= core.flags.and(self.spec.flags).server;
            let verdict = Verdict::of(row);
            if let Some(file) = files.get_mut(&self.file_id(place)) {
                file.verdict = verdict;
            }
            self.touch(core);
            return Ok(());
        }
        let from_peer = row.bytes.has_a_peers(self.spec.flags.client);
        let content = from_peer.then(|| row.blake3.clone().zip(row.len)).flatten();
        self.refuse_file(place, from_peer, files, core);
        if let Some((root, len)) = content {
            core.drop_records(&root, len);
        }
        if !from_peer {
            let error = self.invalid_file(place, core);
            self.note = format!("file {place}: {}", error.message);
            self.error_count += 1;
            self.note_error(error);
        }
        self.request(Cause::FileInvalid { from_peer }, core)
    }

    /// A whole file is not what it should be: it goes, and is fetched again.
    fn refuse_file(&mut self, place: u16, origin_only: bool, files: &mut Files, core: &mut Core) {
        let Some(row) = self.rows.get_mut(usize::from(place)) else { return };
        *row = StoredFile { validation: Validation::Invalid, ..row.emptied(origin_only) };
        match files.get_mut(&self.file_id(place)) {
            Some(file) => file.refuse(core),
            None => self.open_file(place, Some(Aim::Removal), files, core),
        }
    }

    /// Fewer attestors than the floor asks for vouch by now for some of its files that were sealed on their words alone, and
    /// are not delivered: they go, and are fetched again.
    pub(in crate::engine) fn refuse_unvouched(&mut self, files: &mut Files, core: &mut Core) {
        let wanted = self.spec.trust.max(core.config.policy.trust.floor).attestors().unwrap_or(1);
        for place in 0..u16::try_from(self.rows.len()).unwrap_or(u16::MAX) {
            let Some(row) = self.rows.get(usize::from(place)) else { return };
            let is_leaving = |file: &JobFile| {
                !matches!(file.stage, FileStage::Sealed) && !matches!(file.aim, Aim::Park | Aim::Whole)
            };
            let leaves = files.get(&self.file_id(place)).is_some_and(is_leaving);
            if row.phase != FilePhase::Whole || leaves || !core.are_fewer_than(wanted, &row.vouched_by) {
                continue;
            }
            self.refuse_file(place, false, files, core);
            self.note =
                format!("file {place}: an attestor whose word it was sealed on is not believed any more");
            if self.state != JobState::Suspended {
                // A job that may not go on keeps what it has lost in mind.
                drop(self.request(Cause::FileInvalid { from_peer: true }, core));
            }
        }
    }
}
