//! One job and the stages of its one file, from wish to delivery.
//!
//! Knows: the order of steps, what each answer means, when the owner's commands hold. Does not know: how gaps are
//! filled (`fetch`, `plan`, `lease`), who may be believed (`claims`).

use std::collections::{BTreeMap, VecDeque};

use peer_proto::content::Geometry;
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use peer_proto::version::Version;

use super::claims::Claims;
use super::core::Core;
use super::event::{BytesBySource, Event, Failure};
use super::fetch::OriginSide;
use super::io::{
    Effect, EffectId, JobCommand, LeaseId, LocalFault, LocalFaultKind, PartFound, SealedFile, StoredJob,
};
use super::lease::{Giver, OpenLease, PeerSource, Share};
use super::look::Looks;
use super::mutant::Mutant;
use super::pace::{Breaker, Speed};
use super::pieces::Pieces;
use super::recall::Recall;
use super::repair::Repair;
use super::swarm::Swarm;
use super::why::{Chosen, Decisions, Why};
use crate::job::{FileId, JobSpec, JobState, PeerFlags, Trigger};
use crate::record::Scope;

/// How far a file has come. Each stage but `New`, `Fetching` and `Sealed` waits for one answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// The job is being made durable.
    Accepting,
    /// Nothing is open yet.
    New,
    /// The part is being opened.
    Opening,
    /// Bytes are wanted.
    Fetching,
    /// The whole file is being validated.
    Sealing,
    /// Exact and synced; waits to be completed.
    Sealed,
    /// It is being renamed.
    Delivering,
    /// Its part is being removed after delivery.
    Dropping,
    /// The last state is being made durable.
    Recording,
    /// Given up: its leases end, then its part goes.
    Cancelling,
    /// Nothing is left to do.
    Over,
}

/// A job and its one file.
#[derive(Debug)]
pub(super) struct JobFile {
    pub(super) id: FileId,
    pub(super) spec: JobSpec,
    pub(super) state: JobState,
    pub(super) stage: Stage,
    pub(super) reason: String,
    pub(super) failure: Option<Failure>,
    /// Whether it was handed to an embedded node.
    embedded: bool,
    /// Whether somebody said that the content is not for others; never forgotten (LOCAL-1).
    private: bool,
    pub(super) restarts: u32,
    pub(super) restarted: VecDeque<Instant>,
    /// The one answer this file waits for, if any.
    pub(super) waiting: Option<EffectId>,
    pub(super) why: Why,
    pub(super) origin: OriginSide,
    pub(super) claims: Claims,
    pub(super) recall: Recall,
    pub(super) swarm: Option<Swarm>,
    pub(super) pieces: Pieces,
    pub(super) len: Option<u64>,
    pub(super) geometry: Option<Geometry>,
    /// The version the part on disk is pinned to.
    pub(super) pinned: Option<Version>,
    /// The part is to be emptied and pinned to this version, once all leases have ended.
    pub(super) reset_to: Option<Version>,
    pub(super) sources: BTreeMap<PeerId, PeerSource>,
    pub(super) leases: BTreeMap<LeaseId, OpenLease>,
    pub(super) shares: BTreeMap<Giver, Share>,
    pub(super) peers_speed: Speed,
    /// Whether the origin runs beside peers that hold everything.
    pub(super) beside: bool,
    pub(super) bytes: BytesBySource,
    pub(super) fetching_since: Option<Instant>,
    pub(super) interest_at: Option<Instant>,
    pub(super) repair: Option<Repair>,
    /// This machine's own trouble: no space.
    pub(super) local: Breaker,
    pub(super) sealed: Option<SealedFile>,
    pub(super) blake3: Option<String>,
    pub(super) sha256: Option<String>,
    /// The effective permission when it was last planned (PEER-9).
    pub(super) permission: PeerFlags,
    pub(super) changed: bool,
    pub(super) announce: bool,
    pub(super) told_at: Option<Instant>,
    /// When the file got its final name.
    pub(super) delivered_at: Option<Instant>,
    pub(super) wake: Instant,
    pub(super) looks: Looks,
    /// When a peer should be asked next, as far as is known.
    pub(super) ask_at: Instant,
}

impl JobFile {
    pub(super) fn new(id: FileId, spec: JobSpec, core: &Core) -> Self {
        let now = core.time();
        let permission = core.flags.and(spec.flags);
        Self {
            id,
            claims: Claims::new(&spec.digests),
            recall: Recall::default(),
            swarm: None,
            spec,
            state: JobState::Queued,
            stage: Stage::Accepting,
            reason: String::new(),
            failure: None,
            embedded: core.config.embedded,
            private: false,
            restarts: 0,
            restarted: VecDeque::new(),
            waiting: None,
            why: Why::new(Decisions::default(), now),
            origin: OriginSide::default(),
            pieces: Pieces::default(),
            len: None,
            geometry: None,
            pinned: None,
            reset_to: None,
            sources: BTreeMap::new(),
            leases: BTreeMap::new(),
            shares: BTreeMap::new(),
            peers_speed: Speed::default(),
            beside: false,
            bytes: BytesBySource::default(),
            fetching_since: None,
            interest_at: None,
            repair: None,
            local: Breaker::default(),
            sealed: None,
            blake3: None,
            sha256: None,
            permission,
            changed: false,
            announce: false,
            told_at: None,
            delivered_at: None,
            wake: Instant::NEVER,
            looks: Looks::default(),
            ask_at: Instant::ZERO,
        }
    }

    /// A job found on disk: goes on from where it was.
    pub(super) fn found(stored: StoredJob, core: &Core) -> Self {
        let mut job = Self::new(FileId { job: stored.id, index: 0 }, stored.spec, core);
        job.reason = stored.reason;
        job.restarts = stored.restarts;
        job.why = Why::new(stored.decisions, core.time());
        (job.state, job.stage) = match stored.state {
            JobState::Acknowledged => (JobState::Acknowledged, Stage::Over),
            JobState::Cancelled => (JobState::Cancelled, Stage::Cancelling),
            JobState::Suspended => (JobState::Suspended, Stage::New),
            JobState::Error => (JobState::Error, Stage::New),
            JobState::Queued
            | JobState::Connecting
            | JobState::Transferring
            | JobState::TransientError
            | JobState::Transferred => (JobState::Queued, Stage::New),
        };
        match job.state {
            JobState::Error => job.failure = Some(Failure::Fatal),
            JobState::Queued if stored.embedded && !core.config.embedded => {
                // Nobody of this daemon's users asked it for this (design: adoption).
                job.state = JobState::Suspended;
                job.reason = "left by a command that was interrupted; `nearbits job resume` goes on".into();
            }
            JobState::Queued => job.reason = String::new(),
            _ => {}
        }
        // What a daemon has taken over stays its own; what an embedded node finds of a daemon's is not embedded.
        job.embedded = stored.embedded && core.config.embedded;
        job.private = stored.private;
        job
    }

    pub(super) const fn file(&self) -> FileId {
        self.id
    }

    pub(super) fn stored(&self) -> StoredJob {
        StoredJob {
            id: self.id.job,
            spec: self.spec.clone(),
            state: self.state,
            reason: self.reason.clone(),
            restarts: self.restarts,
            embedded: self.embedded,
            private: self.private,
            decisions: self.why.log().clone(),
        }
    }

    /// Whether it may work.
    pub(super) const fn runs(&self) -> bool {
        matches!(
            self.state,
            JobState::Queued | JobState::Connecting | JobState::Transferring | JobState::TransientError
        )
    }

    /// Every digest the file must have: those of the wish, and those the origin stated.
    pub(super) fn digests(&self) -> Vec<Digest> {
        let mut digests = self.spec.digests.clone();
        for digest in self.origin.probe.iter().flat_map(|probe| &probe.digests) {
            if !digests.contains(digest) {
                digests.push(digest.clone());
            }
        }
        digests
    }

    /// Whether some digest names the bytes.
    pub(super) fn is_named(&self) -> bool {
        !self.spec.digests.is_empty() || self.origin.probe.iter().any(|probe| !probe.digests.is_empty())
    }

    /// Makes a trigger's row of the table hold; `false` if there is none.
    pub(super) fn trigger(&mut self, trigger: Trigger) -> bool {
        let Ok(next) = self.state.after(trigger) else { return false };
        if next != self.state {
            self.state = next;
            self.announce = true;
        }
        true
    }

    /// Writes the job down; nobody waits for it.
    pub(super) fn persist(&self, core: &mut Core) {
        let stored = self.stored();
        let id = core.ask(self.id, |id| Effect::PersistJob { id, job: stored });
        core.askers.remove(&id);
    }

    /// The next step, as far as no answer is awaited.
    pub(super) fn advance(&mut self, core: &mut Core) {
        self.wake = Instant::NEVER;
        match self.stage {
            Stage::New if self.runs() => self.open(core),
            Stage::Fetching if self.runs() => self.fetch(core),
            Stage::Sealed => self.sealed_step(core),
            Stage::Cancelling if self.waiting.is_none() && self.leases.is_empty() => {
                let file = self.file();
                self.waiting = Some(core.ask(self.id, |id| Effect::DropPart { id, file }));
                self.stage = Stage::Cancelling;
            }
            Stage::Accepting
            | Stage::New
            | Stage::Opening
            | Stage::Fetching
            | Stage::Sealing
            | Stage::Delivering
            | Stage::Dropping
            | Stage::Recording
            | Stage::Cancelling
            | Stage::Over => {}
        }
    }

    fn open(&mut self, core: &mut Core) {
        let now = core.time();
        if let Some(at) = self.local.opens_at(now) {
            self.wake = at;
            return;
        }
        if self.state == JobState::TransientError {
            self.trigger(Trigger::RetryDue);
        }
        self.trigger(Trigger::Picked);
        let (file, spec) = (self.file(), self.spec.clone());
        self.waiting = Some(core.ask(self.id, |id| Effect::OpenPart { id, file, spec }));
        self.stage = Stage::Opening;
    }

    fn sealed_step(&mut self, core: &mut Core) {
        if self.runs() {
            self.trigger(Trigger::Sealed);
            (self.reason, self.failure) = (String::new(), None);
            self.persist(core);
            if self.spec.auto_complete {
                self.deliver(core);
            }
        }
    }

    fn deliver(&mut self, core: &mut Core) {
        let file = self.file();
        self.waiting = Some(core.ask(self.id, |id| Effect::Deliver { id, file }));
        self.stage = Stage::Delivering;
    }

    /// Whether an answer is the one that is awaited; then it is awaited no more.
    pub(super) fn answered(&mut self, id: EffectId) -> bool {
        let awaited = self.waiting == Some(id);
        if awaited {
            self.waiting = None;
        }
        awaited
    }

    /// The answer to the first and the last `PersistJob`. `false` if the job is refused and must go.
    pub(super) fn persisted(&mut self, outcome: Result<(), LocalFault>, core: &mut Core) -> bool {
        match (self.stage, outcome) {
            (Stage::Accepting, Ok(())) => {
                self.stage = Stage::New;
                core.effect(Effect::Tell(Event::JobAccepted { job: self.id.job }));
            }
            (Stage::Accepting, Err(fault)) => {
                let failure = local_failure(fault.kind);
                let event = Event::JobRefused { job: self.id.job, reason: fault.message, failure };
                core.effect(Effect::Tell(event));
                return false;
            }
            (Stage::Recording, _) => {
                self.trigger(Trigger::Delivered);
                self.stage = Stage::Over;
                self.sealed = None;
                self.delivered_at = Some(core.time());
                self.say_unsaid(core);
                self.swarm.iter_mut().for_each(Swarm::forget_claims);
                self.pieces = Pieces::default();
                self.claims = Claims::default();
            }
            (_, _) => {}
        }
        true
    }

    pub(super) fn opened(&mut self, outcome: Result<PartFound, LocalFault>, core: &mut Core) {
        if self.stage != Stage::Opening {
            return;
        }
        self.stage = Stage::New;
        match outcome {
            Ok(found) => {
                self.stage = Stage::Fetching;
                self.fetching_since = Some(core.time());
                self.set_len(found.version.as_ref().and_then(|version| version.len));
                if found.version.is_some() {
                    found.runs.iter().for_each(|run| drop(self.pieces.store(run)));
                }
                self.pinned = found.version;
                self.changed = true;
            }
            Err(fault) => self.local_trouble(fault, core),
        }
    }

    pub(super) fn set_len(&mut self, len: Option<u64>) {
        self.len = len;
        self.geometry = len.and_then(|len| Geometry::of(len).ok());
    }

    /// The file has its final name, or could not get it.
    pub(super) fn delivered(&mut self, outcome: Result<(), LocalFault>, core: &mut Core) {
        if self.stage != Stage::Delivering {
            return;
        }
        match outcome {
            Ok(()) => {
                self.keep(core);
                let file = self.file();
                self.waiting = Some(core.ask(self.id, |id| Effect::DropPart { id, file }));
                self.stage = Stage::Dropping;
            }
            Err(fault) => {
                // JOB-14: it stays transferred, whole and safe; an automatic completion has nobody to repeat it.
                self.stage = Stage::Sealed;
                self.reason = fault.message.clone();
                self.failure = Some(local_failure(fault.kind));
                if self.spec.auto_complete {
                    self.trigger(Trigger::Failed);
                }
                core.effect(Effect::Tell(Event::CommandRefused { job: self.id.job, reason: fault.message }));
                self.announce = true;
                self.persist(core);
            }
        }
    }

    /// Whether what this job brings may be kept and served.
    pub(super) fn may_serve(&self, core: &Core) -> bool {
        (core.flags.and(self.spec.flags).server || Mutant::GivesUnasked.lives()) && self.is_public()
    }

    /// Whether the origin let others have it, today or when the cache got it; unknown while it did not answer.
    pub(super) fn is_public(&self) -> bool {
        !self.private
    }

    /// What this job brings is not for others, whatever is said of it later.
    pub(super) fn keep_private(&mut self, core: &mut Core) {
        if !self.private {
            self.private = true;
            self.persist(core);
        }
    }

    fn keep(&self, core: &mut Core) {
        let Some(sealed) = self.sealed.clone() else { return };
        if !core.flags.and(self.spec.flags).server {
            return;
        }
        let scope = if self.is_public() { Scope::Shareable } else { Scope::Machine };
        core.effect(Effect::Keep {
            file: self.file(),
            destination: self.spec.destination.clone(),
            sealed,
            url: self.spec.url.clone(),
            version: self.origin.probe.as_ref().map(|probe| probe.version.clone()),
            scope,
        });
    }

    /// Part and journal are gone.
    pub(super) fn dropped(&mut self, core: &mut Core) {
        match self.stage {
            Stage::Dropping => {
                let mut stored = self.stored();
                stored.state = JobState::Acknowledged;
                stored.reason = String::new();
                self.waiting = Some(core.ask(self.id, |id| Effect::PersistJob { id, job: stored }));
                self.stage = Stage::Recording;
            }
            Stage::Cancelling => {
                self.stage = Stage::Over;
                self.pieces = Pieces::default();
                self.claims = Claims::default();
                self.announce = true;
                core.effect(Effect::ForgetJob { job: self.id.job });
            }
            _ => {}
        }
    }

    /// A command of the owner.
    pub(super) fn command(&mut self, command: JobCommand, core: &mut Core) {
        let trigger = match command {
            JobCommand::Suspend => Trigger::Suspend,
            JobCommand::Resume => Trigger::Resume,
            JobCommand::Complete => Trigger::Complete,
            JobCommand::Cancel => Trigger::Cancel,
        };
        let busy = match self.stage {
            Stage::Accepting => Some("the job is not durable yet; try again"),
            Stage::Delivering | Stage::Dropping | Stage::Recording => Some("the file is being delivered"),
            _ => None,
        };
        let refused = match (busy, self.state.after(trigger)) {
            (Some(busy), _) => Some(busy.to_owned()),
            (None, Err(not_allowed)) => Some(not_allowed.to_string()),
            (None, Ok(_)) => None,
        };
        if let Some(reason) = refused {
            core.effect(Effect::Tell(Event::CommandRefused { job: self.id.job, reason }));
            return;
        }
        self.trigger(trigger);
        match command {
            JobCommand::Suspend => {
                self.leave_swarm(core);
                self.stop_all(core);
                self.reason = String::new();
            }
            JobCommand::Resume => {
                (self.reason, self.failure) = (String::new(), None);
                self.origin.forgive();
                self.local.succeed();
                self.fetching_since = Some(core.time());
            }
            JobCommand::Complete => self.deliver(core),
            JobCommand::Cancel => {
                self.leave_swarm(core);
                self.stop_all(core);
                self.stage = Stage::Cancelling;
            }
        }
        self.persist(core);
    }

    /// Something of this machine failed.
    pub(super) fn local_trouble(&mut self, fault: LocalFault, core: &mut Core) {
        if fault.kind == LocalFaultKind::NoSpace {
            let jitter = core.chance.below(256);
            self.local.fail(jitter, core.time());
            self.stop_all(core);
            self.fail_for_now(fault.message, core);
        } else {
            self.fail(local_failure(fault.kind), fault.message, core);
        }
    }

    /// Waits to try again.
    pub(super) fn fail_for_now(&mut self, reason: String, core: &mut Core) {
        if self.runs() {
            if self.reason != reason {
                self.announce = true;
            }
            (self.reason, self.failure) = (reason, Some(Failure::Transient));
            if self.state != JobState::TransientError {
                self.trigger(Trigger::FailedForNow);
                self.persist(core);
            }
        }
    }

    /// Stops for good, until somebody resumes it.
    pub(super) fn fail(&mut self, failure: Failure, reason: String, core: &mut Core) {
        if self.trigger(Trigger::Failed) {
            self.why.note(Chosen::Nobody, reason.clone(), String::new(), core.time());
            (self.reason, self.failure) = (reason, Some(failure));
            self.leave_swarm(core);
            self.stop_all(core);
            self.persist(core);
        }
    }

    /// The digests a seal found, in words for people.
    pub(super) fn note_seal(&mut self, sealed: &SealedFile) {
        self.blake3 = Some(sealed.content.root.to_string());
        let sha256 = sealed.digests.iter().find(|digest| digest.algorithm() == Algorithm::Sha256);
        self.sha256 = sha256.map(Digest::to_hex);
    }
}

/// What kind of failure a local fault is to the owner.
pub(super) const fn local_failure(kind: LocalFaultKind) -> Failure {
    match kind {
        LocalFaultKind::NoSpace => Failure::Transient,
        LocalFaultKind::Denied | LocalFaultKind::NotFound => Failure::Denied,
        LocalFaultKind::Io => Failure::Fatal,
    }
}
