//! One file of a job and its stages, from wish to delivery.
//!
//! Knows: the order of steps, what each answer means. Does not know: the job's other files and what its owner wants
//! (`job`), how gaps are filled (`fetch`, `plan`, `lease`), who may be believed (`claims`).

use std::collections::{BTreeMap, VecDeque};

use peer_proto::content::Geometry;
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::group::GroupId;
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use peer_proto::version::Version;

use super::claims::Claims;
use super::core::Core;
use super::event::{BytesBySource, Failure};
use super::fetch::OriginSide;
use super::io::{
    Effect, EffectId, FilePhase, LeaseId, LocalFault, LocalFaultKind, PartFound, SealedFile, StoredFile,
    Validation,
};
use super::lease::{Giver, OpenLease, PeerSource, Share};
use super::look::Looks;
use super::mutant::Mutant;
use super::ondemand::Asked;
use super::pace::{Breaker, Speed};
use super::pieces::Pieces;
use super::recall::Recall;
use super::repair::Repair;
use super::step::{self, Trigger};
use super::stored::Verdict;
use super::streamed::Streaming;
use super::swarm::Swarm;
use super::trouble::{Trouble, local_failure, place_of, source_of};
use super::vouched::{Seeking, Vouched};
use super::why::Why;
use crate::job::{Code, Context, FileId, JobError, JobState, PeerFlags, Redirects, Wish};
use crate::record::Voucher;

/// How far a file has come. Each stage but `New`, `Fetching` and `Sealed` waits for one answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Nothing is open yet.
    New,
    /// The part is being opened.
    Opening,
    /// Bytes are wanted.
    Fetching,
    /// The whole file is being validated.
    Sealing,
    /// Exact and synced; waits to be taken.
    Sealed,
    /// It is being renamed.
    Delivering,
    /// Its part is being let go of after delivery, or removed.
    Dropping,
    /// Nothing is left to do.
    Over,
}

/// What is to become of a file, beside being fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Aim {
    /// To be whole.
    #[default]
    Whole,
    /// To get its final name as soon as it is whole.
    Delivery,
    /// To get its final name as it is: no byte is fetched for it any more.
    DeliveryAsIs,
    /// To be let go of until its job has its turn again.
    Park,
    /// To be removed.
    Removal,
}

/// A file on its way.
#[derive(Debug)]
pub(super) struct JobFile {
    pub(super) id: FileId,
    /// Whose its job is: a user's number.
    pub(super) owner: u32,
    pub(super) wish: Wish,
    /// How many of its other URLs were tried.
    pub(super) mirror: usize,
    pub(super) state: JobState,
    pub(super) stage: Stage,
    pub(super) reason: String,
    pub(super) failure: Option<Failure>,
    /// What is to become of it.
    pub(super) aim: Aim,
    /// Whether something changed that the job writes down.
    pub(super) unsaved: bool,
    /// Whether an application found peers' bytes of it wrong (VAL-4).
    pub(super) origin_only: bool,
    /// What an application says of it.
    pub(super) verdict: Verdict,
    /// What went wrong last, under BITS' name, and where.
    pub(super) trouble: Option<(Code, Context)>,
    /// The origin's status with it, if there was one.
    pub(super) status: Option<u16>,
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
    /// What attestors say of the version at hand, if they are believed or checked.
    pub(super) vouched: Option<Vouched>,
    /// The group of those who are known to want it too.
    pub(super) together_in: Option<GroupId>,
    /// What the list of checksums names, once it answered.
    pub(super) listed: Option<Vec<Digest>>,
    pub(super) seeking: Seeking,
    pub(super) streaming: Streaming,
    pub(super) asked: Asked,
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
    /// Attestors on whose word alone it was sealed.
    pub(super) vouched_by: Vec<Voucher>,
    pub(super) blake3: Option<String>,
    pub(super) sha256: Option<String>,
    /// The effective permission when it was last planned (PEER-9).
    pub(super) permission: PeerFlags,
    pub(super) changed: bool,
    pub(super) announce: bool,
    /// Why something of its part is still on the disk, though it was to be removed.
    pub(super) left_over: Option<String>,
    /// Whether it was whole when it was put on its way, or has been sealed since; its bytes were not found missing.
    pub(super) is_whole_once: bool,
    /// Whether it was to be delivered as it is: a failure leaves it as whole as it was (JOB-14).
    is_taken: bool,
    /// Whether the engine counts it among those that are over.
    pub(super) is_listed: bool,
    /// When the file got its final name.
    pub(super) delivered_at: Option<Instant>,
    pub(super) wake: Instant,
    pub(super) looks: Looks,
    /// When a peer should be asked next, as far as is known.
    pub(super) ask_at: Instant,
}

impl JobFile {
    /// A file of a job that has its turn: goes on from where it was.
    pub(super) fn new(id: FileId, owner: u32, wish: Wish, kept: &StoredFile, core: &Core) -> Self {
        let now = core.time();
        let permission = core.flags.and(wish.flags);
        let aim = if wish.auto_complete { Aim::Delivery } else { Aim::Whole };
        Self {
            id,
            owner,
            claims: Claims::new(&wish.digests),
            recall: Recall::default(),
            vouched: None,
            together_in: None,
            listed: None,
            seeking: Seeking::default(),
            streaming: Streaming::default(),
            asked: Asked::of(kept),
            swarm: None,
            mirror: 0,
            state: JobState::Queued,
            stage: Stage::New,
            reason: String::new(),
            failure: None,
            aim,
            unsaved: false,
            origin_only: kept.origin_only,
            verdict: Verdict::of(kept),
            trouble: None,
            status: None,
            // What a job's own header lines open is not for others (PEER-39).
            private: kept.private || !wish.remote.headers.0.is_empty(),
            restarts: kept.restarts,
            restarted: VecDeque::new(),
            waiting: None,
            wish,
            why: Why::new(kept.decisions.clone(), kept.memory.began.unwrap_or(now)),
            origin: OriginSide { probe: kept.memory.probe.as_deref().cloned(), ..OriginSide::default() },
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
            bytes: kept.bytes,
            fetching_since: None,
            interest_at: None,
            repair: None,
            local: Breaker::default(),
            sealed: None,
            vouched_by: kept.vouched_by.clone(),
            blake3: None,
            sha256: None,
            permission,
            changed: false,
            announce: false,
            left_over: None,
            is_whole_once: kept.phase == FilePhase::Whole,
            is_taken: false,
            is_listed: false,
            delivered_at: None,
            wake: Instant::NEVER,
            looks: Looks::default(),
            ask_at: Instant::ZERO,
        }
    }

    pub(super) const fn file(&self) -> FileId {
        self.id
    }

    /// What the job keeps of it.
    pub(super) fn write_to(&self, row: &mut StoredFile) {
        row.phase = match self.state {
            JobState::Acknowledged => FilePhase::Delivered,
            JobState::Error if !(self.is_whole_once && self.is_taken) => FilePhase::Failed,
            _ if self.is_whole_once => FilePhase::Whole,
            _ => FilePhase::Waiting,
        };
        if self.stage != Stage::New && self.stage != Stage::Opening {
            row.len = self.sure_len().or(row.len);
            let is_let_go = self.stage == Stage::Over && self.aim == Aim::Park;
            if self.changed && (is_let_go || !matches!(self.stage, Stage::Dropping | Stage::Over)) {
                row.stored = self.stored_bytes();
            }
            (row.bytes, row.restarts, row.private) = (self.bytes, self.restarts, self.private);
        }
        if self.announce || self.unsaved || self.stage == Stage::Over {
            self.write_words_to(row);
        }
    }

    /// What changes seldom and costs more.
    fn write_words_to(&self, row: &mut StoredFile) {
        if !self.is_whole_once {
            (row.blake3, row.sha256, row.vouched_by) = (None, None, Vec::new());
        }
        row.reason.clone_from(&self.reason);
        (row.failure, row.status) = (self.failure, self.status);
        (row.code, row.context) = self.trouble.unzip();
        if self.stage == Stage::New || self.stage == Stage::Opening {
            // Nothing is known yet of what is on disk.
            return;
        }
        if self.blake3.is_some() {
            row.blake3.clone_from(&self.blake3);
            row.sha256.clone_from(&self.sha256);
            row.vouched_by.clone_from(&self.vouched_by);
        }
        if row.phase != FilePhase::Delivered {
            row.memory.probe = self.origin.probe.clone().map(Box::new);
        }
        if self.stage == Stage::Over {
            self.write_why_to(row);
        }
    }

    /// Its decisions so far. While the row shares them each new one costs a copy of all: only when they are kept.
    pub(super) fn write_why_to(&self, row: &mut StoredFile) {
        row.decisions = self.why.log().clone();
    }

    /// The URL that redirects led to, where it becomes the file's remote name (HTTP-17).
    pub(super) fn reported_url(&self) -> Option<String> {
        let reports = self.wish.remote.redirects == Redirects::Report && self.mirror == 0;
        let url = &self.origin.probe.as_ref().filter(|_| reports)?.final_url;
        // Header lines are for the host they were given for (T19).
        let is_theirs =
            self.wish.remote.headers.0.is_empty() || place_of(url) == place_of(&self.wish.remote.url);
        (!url.is_empty() && is_theirs).then(|| url.clone())
    }

    /// What went wrong, as the job's error.
    pub(super) fn error(&self, core: &Core) -> JobError {
        let (code, context) = self.trouble.unwrap_or((Code::ConnectFailure, Context::Unknown));
        let mut error = JobError::new(code, context, self.reason.clone(), core.now.wall_unix_ms);
        (error.file, error.status) = (Some(self.id.index), self.status);
        error.source = source_of(context, &self.wish.remote.url);
        if let Some(at) = self.origin.breaker.opens_at(core.time()) {
            let wait = i64::try_from(at.since(core.time()).as_millis()).unwrap_or(i64::MAX);
            error.retry_at_unix_ms = Some(core.now.wall_unix_ms.saturating_add(wait));
        }
        error
    }

    /// Whether it may work.
    pub(super) const fn runs(&self) -> bool {
        matches!(
            self.state,
            JobState::Queued | JobState::Connecting | JobState::Transferring | JobState::TransientError
        )
    }

    /// Whether bytes of it are asked for or looked at now.
    pub(super) fn is_moving(&self) -> bool {
        matches!(self.state, JobState::Connecting | JobState::Transferring) && self.aim != Aim::Park
    }

    /// Makes a trigger's row of the table hold; `false` if there is none.
    pub(super) fn trigger(&mut self, trigger: Trigger) -> bool {
        let Some(next) = step::after(self.state, trigger) else { return false };
        if next != self.state {
            self.state = next;
            self.announce = true;
        }
        true
    }

    /// The next step, as far as no answer is awaited.
    pub(super) fn advance(&mut self, core: &mut Core) {
        self.wake = Instant::NEVER;
        match (self.stage, self.aim) {
            (Stage::Over | Stage::Delivering | Stage::Dropping, _) => {}
            (_, Aim::Removal) => self.remove(core),
            (_, Aim::Park) => self.park_now(core),
            (Stage::New, _) if self.runs() => self.open(core),
            (Stage::Fetching, Aim::DeliveryAsIs) if self.runs() => self.seal_as_is(core),
            (Stage::Fetching, _) if self.runs() => self.fetch(core),
            (Stage::Sealed, _) => self.sealed_step(core),
            (Stage::New | Stage::Opening | Stage::Fetching | Stage::Sealing, _) => {}
        }
    }

    fn open(&mut self, core: &mut Core) {
        let now = core.time();
        if let Some(at) = self
            .local
            .opens_at(now)
            .or_else(|| self.list_opens_at(now).filter(|_| self.aim != Aim::DeliveryAsIs))
        {
            self.wake = at;
            return;
        }
        if self.state == JobState::TransientError {
            self.trigger(Trigger::RetryDue);
        }
        self.trigger(Trigger::Picked);
        // What is whole already was held to the list when it came.
        if self.aim != Aim::DeliveryAsIs && self.asks_for_digests(core) {
            return;
        }
        let (file, mut wish) = (self.file(), Box::new(self.wish.clone()));
        wish.digests = self.named_digests().cloned().collect();
        self.waiting = Some(core.ask(self.id, |id| Effect::OpenPart { id, file, wish }));
        self.stage = Stage::Opening;
    }

    fn sealed_step(&mut self, core: &mut Core) {
        if self.runs() {
            self.trigger(Trigger::Sealed);
            self.is_whole_once = true;
            (self.reason, self.failure, self.status) = (String::new(), None, None);
            self.unsaved = !self.delivers();
            if !self.delivers() && !core.keep_open(self.id) {
                self.aim_at(Aim::Park, core);
            }
        }
        if self.state == JobState::Transferred && self.delivers() {
            self.deliver(core);
        }
    }

    const fn delivers(&self) -> bool {
        matches!(self.aim, Aim::Delivery | Aim::DeliveryAsIs)
    }

    /// A file that was whole is opened again to be delivered: its bytes are looked at once more.
    fn seal_as_is(&mut self, core: &mut Core) {
        if let Some(at) = self.local.opens_at(core.time()) {
            return self.wake_at(at);
        }
        if self.is_whole() {
            return self.seal(core);
        }
        self.is_whole_once = false;
        let reason = "it is not what it was when it was sealed: resume the job to fetch what is missing";
        self.fail(Failure::Integrity, Trouble::integrity(reason.to_owned()), core);
    }

    /// Lets go of the part, once nobody writes to it.
    fn park_now(&mut self, core: &mut Core) {
        if self.leases.is_empty() && self.waiting.is_none() {
            if self.stage != Stage::New {
                core.effect(Effect::ClosePart { file: self.file() });
            }

            self.stage = Stage::Over;
        }
    }

    /// Removes the part, once nobody writes to it.
    fn remove(&mut self, core: &mut Core) {
        if self.leases.is_empty() && self.waiting.is_none() {
            self.drop_part(core);
        }
    }

    fn drop_part(&mut self, core: &mut Core) {
        let (file, destination) = (self.file(), self.wish.destination.clone());
        self.waiting = Some(core.ask(self.id, |id| Effect::DropPart { id, file, destination }));
        self.stage = Stage::Dropping;
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

    pub(super) fn opened(&mut self, outcome: Result<PartFound, LocalFault>, core: &mut Core) {
        if self.stage != Stage::Opening {
            return;
        }
        self.stage = Stage::New;
        match outcome {
            Ok(found) => {
                self.stage = Stage::Fetching;
                self.fetching_since = Some(core.time());
                let version = found.version.filter(|_| self.verdict.is != Validation::Invalid);
                self.set_len(version.as_ref().and_then(|version| version.len));
                if version.is_some() {
                    found.runs.iter().for_each(|run| drop(self.pieces.store(run)));
                }
                self.pinned = version;
                self.note_found();
                self.know_filled();
                self.changed = true;
            }
            Err(fault) => self.local_trouble(fault, core),
        }
    }

    /// Makes the sources add up to what is on disk: a run that was killed wrote neither all of the one nor of the other.
    pub(super) fn note_found(&mut self) {
        let in_pieces = || self.pieces.bytes_on_disk(self.geometry.as_ref());
        let found = if self.blake3.is_some() { self.stored_bytes() } else { in_pieces() };
        let known = self.bytes.kept();
        self.bytes.earlier += found.saturating_sub(known);
        self.bytes.discarded += known.saturating_sub(found);
        self.unsaved |= found != known;
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
                self.drop_part(core);
            }
            // Its part lies beside its name: nothing is there any more of what was whole.
            Err(fault) if fault.kind == LocalFaultKind::NotFound && self.aim == Aim::DeliveryAsIs => {
                self.lose(fault, core);
            }
            Err(fault) => {
                // JOB-14: it stays whole and safe; an automatic completion has nobody to repeat it.
                self.stage = Stage::Sealed;
                self.note_trouble(local_failure(fault.kind), fault.into());
                if self.wish.auto_complete {
                    self.trigger(Trigger::Failed);
                }
                self.aim = Aim::Whole;
                self.announce = true;
                self.unsaved = true;
            }
        }
    }

    /// Whether what this job brings may be kept and served.
    pub(super) fn may_serve(&self, core: &Core) -> bool {
        (core.flags.and(self.wish.flags).server || Mutant::GivesUnasked.lives()) && self.is_public()
    }

    /// Whether the origin let others have it, today or when the cache got it; unknown while it did not answer.
    pub(super) fn is_public(&self) -> bool {
        !self.private
    }

    /// What this job brings is not for others, whatever is said of it later.
    pub(super) fn keep_private(&mut self) {
        if !self.private {
            self.private = true;
            self.unsaved = true;
        }
    }

    /// Part and journal are gone, or what is left of them cannot be removed.
    pub(super) fn dropped(&mut self, outcome: Result<(), LocalFault>, core: &mut Core) {
        if self.stage != Stage::Dropping {
            return;
        }
        self.left_over = outcome.err().map(|fault| fault.message);
        self.stage = Stage::Over;
        if self.aim != Aim::Removal && self.trigger(Trigger::Delivered) {
            self.unsaved = true;
            self.sealed = None;
            self.delivered_at = Some(core.time());
            self.say_unsaid(core);
            self.swarm.iter_mut().for_each(Swarm::forget_claims);
        }
        self.pieces = Pieces::default();
        self.claims = Claims::default();
        self.announce = true;
    }

    /// Its job has lost its turn: what was fetched stays on disk.
    pub(super) fn park(&mut self, core: &mut Core) {
        self.aim_at(Aim::Park, core);
    }

    /// An application called it invalid: it is not whole any more, and goes.
    pub(super) fn refuse(&mut self, core: &mut Core) {
        (self.is_whole_once, self.sealed) = (false, None);
        self.bytes = BytesBySource::default();
        self.aim_at(Aim::Removal, core);
    }

    /// Gives it another aim than being fetched; a running answer is waited for.
    pub(super) fn aim_at(&mut self, aim: Aim, core: &mut Core) {
        self.aim = aim;
        self.is_taken |= aim == Aim::DeliveryAsIs;
        if matches!(aim, Aim::Park | Aim::Removal) {
            // What failed stays failed.
            if self.state != JobState::Error {
                self.trigger(Trigger::Suspend);
            }
            self.leave_swarm(core);
            self.stop_all(core);
        }
        self.wake = core.time();
        core.dirty.insert(self.id);
    }

    /// Its job was resumed: old failures count no more.
    pub(super) fn forgive(&mut self, core: &mut Core) {
        self.trigger(Trigger::Resume);
        (self.reason, self.failure, self.status) = (String::new(), None, None);
        self.origin.forgive();
        self.local.succeed();
        self.fetching_since = Some(core.time());
        self.wake = core.time();
        core.dirty.insert(self.id);
    }

    /// The digests a seal found, in words for people.
    pub(super) fn note_seal(&mut self, sealed: &SealedFile) {
        self.blake3 = Some(sealed.content.root.to_string());
        if self.aim != Aim::DeliveryAsIs {
            self.vouched_by = self.vouchers();
        }
        let sha256 = sealed.digests.iter().find(|digest| digest.algorithm() == Algorithm::Sha256);
        self.sha256 = sha256.map(Digest::to_hex);
    }
}
