//! All jobs together: taken in, commanded, given their turns, forgotten.
//!
//! Knows: limits on how many there are, who is looked at when. Does not know: what a job does (`job`), whose turn it is
//! (`queue`).

use peer_proto::time::Instant;

use super::Engine;
use super::event::{Event, Failure};
use super::io::{Effect, EffectId, JobCommand, LocalFault, StoredJob};
use super::job::{Job, Stage, Turn};
use super::look::Heed;
use super::queue::{self, Contender, Verdict};
use crate::job::{Caller, Code, Effective, JobCounts, JobId, JobSpec, JobState};

/// Jobs that wait for a retry with their files open; the files of more are let go of meanwhile.
const WATCHING_JOBS_MAX: usize = 16;

impl Engine {
    /// Takes a job in, if there may be one more.
    pub(super) fn submit(&mut self, id: JobId, spec: JobSpec, by: Caller, start: bool) {
        if self.job(id).is_some() {
            return;
        }
        let taken = self.may_take(&spec, by);
        let taken = taken.and_then(|()| {
            self.refuse_rivals(&spec.files, None, by).map_err(|reason| (Code::FileExists, reason))
        });
        if let Err((code, reason)) = taken {
            let event = Event::JobRefused { job: id, reason, failure: Failure::Denied, code };
            self.core.effect(Effect::Tell(event));
            return;
        }
        let mut job = Job::new(id, spec, by.uid, start, &self.core);
        job.begin(&mut self.core);
        self.jobs.insert(id, job);
    }

    /// LIM-7, 8, and what a job itself may be made of. Jobs that nobody completes count as well (LIM-27).
    fn may_take(&self, spec: &JobSpec, by: Caller) -> Result<(), (Code, String)> {
        let policy = &self.core.config.policy;
        spec.check(&policy.limits(by.maker())).map_err(|error| (error.code(), error.to_string()))?;
        let open = || self.jobs.values().filter(|job| !job.state.is_final());
        let counts = JobCounts {
            of_user: open().filter(|job| job.owner == by.uid).count(),
            of_machine: open().count(),
        };
        policy.admit(by.maker(), counts).map_err(|error| (error.code(), error.to_string()))
    }

    pub(super) fn job_found(&mut self, stored: StoredJob) {
        let id = stored.id;
        if self.job(id).is_none() {
            self.core.attests.fallen.is_news |= stored.files.iter().any(|file| !file.vouched_by.is_empty());
            let mut job = Job::found(stored, &self.core);
            job.set_rates(&mut self.core);
            job.draw_start(&mut self.core);
            self.jobs.insert(id, job);
            self.touched.insert(id);
            self.core.requeue = true;
        }
    }

    pub(super) fn command(&mut self, id: JobId, command: JobCommand, by: Caller) {
        if let JobCommand::Change(change) = &command
            && self.jobs.get(&id).is_some_and(|job| job.takes_changes_of(by))
            && let Err(reason) = self.refuse_rivals(&change.add_files, Some(id), by)
        {
            let event = Event::CommandRefused { job: id, reason, code: Code::FileExists };
            return self.core.effect(Effect::Tell(event));
        }
        if command == JobCommand::Forget && self.job(id).is_some_and(|job| job.is_forgettable_by(by)) {
            return self.forget(id);
        }
        if let Some((code, reason)) = self.over.get(id).map(|job| job.refuse_when_over(by)) {
            return self.core.effect(Effect::Tell(Event::CommandRefused { job: id, reason, code }));
        }
        match self.jobs.get_mut(&id) {
            Some(job) => {
                job.command(command, by, &mut self.files, &mut self.core);
                self.touched.insert(id);
            }
            None => {
                let (reason, code) = ("there is no such job".to_owned(), Code::NotFound);
                self.core.effect(Effect::Tell(Event::CommandRefused { job: id, reason, code }));
            }
        }
    }

    /// The administrator allows other things now.
    pub(super) fn policy_changed(&mut self, policy: Effective) {
        self.core.config.policy = policy;
        self.permissions_changed();
        for peer in self.core.turn_away() {
            self.with_all(Heed::Soon, |file, core| file.member_left(peer, core.time()));
        }
        self.with_all(Heed::Now, super::file::JobFile::floor_changed);
        self.touched.extend(self.jobs.keys());
    }

    /// The network came up or went (JOB-T13, T18).
    pub(super) fn network_changed(&mut self, up: bool) {
        for job in self.jobs.values_mut() {
            job.network_changed(up, &mut self.files, &mut self.core);
            self.touched.insert(job.id);
        }
    }

    pub(super) fn persisted(&mut self, id: JobId, effect: EffectId, outcome: Result<(), LocalFault>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.persisted(effect, outcome, &mut self.core) {
            self.touched.insert(id);
        } else {
            self.jobs.remove(&id);
        }
    }

    /// A job's next steps; one that is over is shown for a while.
    pub(super) fn step(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.step(&mut self.files, &mut self.core);
        if job.stage != Stage::Over || self.over.is_fresh(id) {
            return;
        }
        if let Some(oldest) = self.over.end(id) {
            self.list(oldest);
        }
    }

    /// A job is over for so long that only how it ended is kept.
    fn list(&mut self, id: JobId) {
        let Some(mut job) = self.jobs.remove(&id) else { return };
        self.files.values().filter(|file| file.id.job == id).for_each(|file| job.absorb(file));
        self.files.retain(|file, _| file.job != id);
        for gone in self.over.list(job) {
            self.forgotten(gone.id, gone.state);
        }
    }

    /// Nobody sees a job any more that is over.
    fn forget(&mut self, id: JobId) {
        let past = self.over.forget(id);
        self.files.retain(|file, _| file.job != id);
        if let Some(job) = past.or_else(|| self.jobs.remove(&id)) {
            self.forgotten(id, job.state);
        }
    }

    fn forgotten(&mut self, job: JobId, state: JobState) {
        // A cancelled one that is still written down has something left to remove at the next start.
        if state == JobState::Acknowledged {
            self.core.effect(Effect::ForgetJob { job });
        }
    }

    /// Looks whose turn it is, and tells those for whom that changed.
    pub(super) fn give_turns(&mut self) {
        let now = self.core.time();
        let mut contenders: Vec<Contender> = Vec::new();
        let mut next_start = Instant::NEVER;
        for job in self.jobs.values_mut() {
            if job.place == 0 {
                job.place = self.next_place;
                self.next_place += 1;
            }
            contenders.extend(job.contends(now));
            next_start = next_start.min(job.waits_for_start(now).unwrap_or(Instant::NEVER));
        }
        let (verdicts, again) = queue::turns(&contenders, &self.core.config.queue, now);
        self.turns_at = again.min(next_start);
        let mut watching = self.jobs.values().filter(|job| job.turn == Turn::Watch).count();
        for job in self.jobs.values_mut() {
            let verdict = verdicts.get(&job.id).copied();
            if verdict == Some(Verdict::SliceEnded) {
                job.place = 0;
            }
            let may_watch = watching < WATCHING_JOBS_MAX || job.turn == Turn::Watch;
            let before = job.turn;
            job.heed_verdict(verdict, may_watch, &mut self.files, &mut self.core);
            if job.turn != before {
                watching += usize::from(job.turn == Turn::Watch);
                self.touched.insert(job.id);
            }
        }
        // Whoever gave up its slice goes to the end.
        for job in self.jobs.values_mut().filter(|job| job.place == 0) {
            job.place = self.next_place;
            self.next_place += 1;
        }
    }
}
