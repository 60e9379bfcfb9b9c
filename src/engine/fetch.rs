//! Getting a file's bytes: the origin's version, when to start again, when all is here, when nothing helps.
//!
//! Knows: the order probe, version, plan, seal, and what a job waits for. Does not know: which range goes where.

use std::sync::Arc;
use std::time::Duration;

use peer_proto::digest::Algorithm;
use peer_proto::time::Instant;
use peer_proto::version::Version;

use super::core::Core;
use super::event::Failure;
use super::file::{JobFile, Stage};
use super::io::{
    Effect, EffectId, LocalFault, OriginFault, Probe, SealFault, SealedFile, Severity, Standing,
};
use super::mutant::Mutant;
use super::pace::{Breaker, Lanes, Speed};
use super::piece_set::PieceSet;
use super::step::Trigger;
use super::trouble::{QUICK_RETRIES, Trouble};
use super::why::Chosen;
use crate::job::Priority;

/// Origin bytes wait this long after our interest went out.
pub const HEAD_START: Duration = Duration::from_millis(200);
/// Where an earlier run met fewer machines, and some, it does not: they are no crowd that starts in one moment.
pub const SMALL_SITE: usize = 32;
/// Questions that are open hold the origin back this long at most.
pub const ANSWER_WAIT: Duration = Duration::from_millis(500);
/// While peers may turn up and nobody is connected yet, the origin waits this long.
pub const NOBODY_WAIT: Duration = Duration::from_millis(400);
/// However many peers turn up one after the other, the origin waits no longer than this.
pub const HEAD_START_MAX: Duration = Duration::from_millis(500);
/// What a peer holds of a part follows its answer within this.
pub const HAVE_WAIT: Duration = Duration::from_millis(300);
/// A list that is on its way makes its holders count for this long.
pub const LIST_WAIT: Duration = Duration::from_secs(2);
/// Files up to this length do not wait for peers when somebody waits for them.
pub const SMALL_FILE: u64 = 1024 * 1024;
/// Restarts in an hour before the content counts as changing all the time (T15).
pub const RESTARTS_PER_HOUR_MAX: usize = 5;
/// How long a job whose origin said no looks for peers.
pub const LOOK_FOR: Duration = Duration::from_secs(2);

/// How the origin stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Reach {
    /// Not asked yet, or to be asked again.
    #[default]
    Unknown,
    /// It answered; the version is known.
    Up,
    /// It failed in a way that may pass.
    Away,
    /// It said no.
    Dead,
}

/// What is known of the origin.
#[derive(Clone, Debug, Default)]
pub(super) struct OriginSide {
    pub(super) reach: Reach,
    pub(super) probe: Option<Probe>,
    /// When it said so.
    pub(super) probed_at: Option<Instant>,
    pub(super) asking: Option<EffectId>,
    pub(super) breaker: Breaker,
    pub(super) speed: Speed,
    pub(super) lanes: Lanes,
    pub(super) fault: Trouble,
    pub(super) failure: Option<Failure>,
    /// It was found not to give ranges.
    pub(super) no_ranges: bool,
    /// It contradicted a digest under a version that cannot be joined: the file was fetched in one piece once.
    pub(super) in_one: bool,
    /// A lease was refused because the version is another now; the probe that follows has not said so yet.
    pub(super) said_changed: bool,
}

impl OriginSide {
    /// The owner wants it tried again now.
    pub(super) fn forgive(&mut self) {
        self.breaker.succeed();
        if matches!(self.reach, Reach::Away | Reach::Dead) {
            self.reach = Reach::Unknown;
        }
    }

    pub(super) fn gives_ranges(&self) -> bool {
        !self.no_ranges && self.probe.as_ref().is_none_or(|probe| probe.ranges)
    }

    /// Whether it may be asked for bytes now.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        self.reach == Reach::Up && self.breaker.is_closed(now)
    }
}

impl JobFile {
    pub(super) fn fetch(&mut self, core: &mut Core) {
        let now = core.time();
        if let Some(at) = self.local.opens_at(now) {
            self.wake = at;
            return;
        }
        self.retry_due(now);
        if self.recall(core) {
            return;
        }
        if !self.recalls_all() {
            self.ask_origin(core);
            self.seek_attestors(core);
            self.tend_stream(core);
            self.follow_stream(core);
            self.tend_swarm(core);
            self.ask_peers(core);
            self.want_lists(core);
        }
        self.drop_hint_without_ranges(core);
        if self.waiting.is_some() || !self.settle(core) || !self.can_pick(core) {
            return;
        }
        self.plan(core);
        self.conclude(core);
    }

    /// Wakes no later than then.
    pub(super) fn wake_at(&mut self, at: Instant) {
        self.wake = self.wake.min(at);
    }

    fn retry_due(&mut self, now: Instant) {
        let origin_may = self.origin.reach != Reach::Dead && self.origin.breaker.is_closed(now);
        if self.state == crate::job::JobState::TransientError && origin_may {
            self.trigger(Trigger::RetryDue);
        }
        if self.state == crate::job::JobState::Queued {
            self.trigger(Trigger::Picked);
        }
    }

    fn ask_origin(&mut self, core: &mut Core) {
        let now = core.time();
        let due = matches!(self.origin.reach, Reach::Unknown | Reach::Away);
        if !due || self.origin.asking.is_some() || self.claims.alone.is_some() {
            return;
        }
        if let Some(at) = self.origin.breaker.opens_at(now) {
            self.wake_at(at);
            return;
        }
        let (file, remote) = (self.file(), self.wish.remote.clone());
        self.origin.asking = Some(core.ask(self.id, |id| Effect::Probe { id, file, remote }));
    }

    pub(super) fn probed(&mut self, id: EffectId, outcome: Result<Probe, OriginFault>, core: &mut Core) {
        if self.origin.asking != Some(id) {
            return;
        }
        self.origin.asking = None;
        match outcome {
            Ok(probe) => {
                self.origin.probed_at = Some(core.time());
                self.note_probe(probe);
            }
            Err(fault) => self.origin_fault(fault, core),
        }
    }

    fn note_probe(&mut self, mut probe: Probe) {
        let before = self.origin.probe.take();
        if let Some(before) = before.filter(|before| before.version.is_same(&probe.version)) {
            // What it stated of this version stays stated, though not every answer repeats it.
            let stated = before.digests.into_iter().filter(|digest| !probe.digests.contains(digest));
            probe.digests.extend(stated.collect::<Vec<_>>());
        }
        self.origin.reach = Reach::Up;
        self.origin.breaker.succeed();
        self.claims.add_digests(&probe.digests);
        if !probe.public {
            self.keep_private();
        }
        self.origin.probe = Some(probe);
    }

    /// The origin failed a probe or a lease.
    pub(super) fn origin_fault(&mut self, fault: OriginFault, core: &mut Core) {
        let now = core.time();
        let jitter = core.chance.below(256);
        match fault.severity {
            Severity::Transient { retry_after } => {
                self.origin.breaker.fail(jitter, now);
                if let Some(wait) = retry_after {
                    self.origin.breaker.wait_until(now.after(wait.min(Duration::from_secs(60 * 60))));
                }
                if retry_after.is_some() || matches!(fault.status, Some(429 | 503)) {
                    self.origin.lanes.limit();
                    let why = "the origin asked for less: one connection from now on".to_owned();
                    self.why.note(Chosen::Origin, why, fault.message.clone(), now);
                }
                if self.origin.reach == Reach::Unknown {
                    self.origin.reach = Reach::Away;
                }
                self.origin.failure = Some(Failure::Transient);
                if self.origin.breaker.failures() > QUICK_RETRIES && self.next_mirror(&fault, core) {
                    return;
                }
            }
            Severity::Fatal => {
                if self.next_mirror(&fault, core) {
                    return;
                }
                self.origin.reach = Reach::Dead;
                self.origin.failure = Some(Failure::Fatal);
            }
            Severity::VersionChanged => {
                self.origin.reach = Reach::Unknown;
                self.origin.failure = Some(Failure::Transient);
                self.origin.said_changed = true;
            }
            Severity::NoRanges => {
                if self.origin.no_ranges {
                    self.origin.breaker.fail(jitter, now);
                }
                self.origin.no_ranges = true;
                let why = "the origin gives no ranges: one stream from zero".to_owned();
                self.why.note(Chosen::Origin, why, fault.message.clone(), now);
            }
        }
        self.origin.fault = fault.into();
    }

    /// Goes on from another URL of the same bytes, if there is one that was not tried since this one was put on its
    /// way.
    fn next_mirror(&mut self, fault: &OriginFault, core: &mut Core) -> bool {
        let Some(url) = self.wish.mirrors.get(self.mirror).cloned() else { return false };
        self.mirror += 1;
        self.stop_where(core, super::lease::OpenLease::is_from_origin);
        let why = format!("another URL of the file is asked, mirror {}", self.mirror);
        self.why.note(Chosen::Origin, why, fault.message.clone(), core.time());
        Arc::make_mut(&mut self.wish.remote).url = url;
        self.origin = OriginSide::default();
        self.wake_at(core.time());
        true
    }

    /// Whether bytes of several answers of the origin may be put together: only then is an interrupted body continued.
    pub(super) fn is_joinable(&self) -> bool {
        let strong = self.origin.probe.as_ref().is_none_or(|probe| probe.version.can_resume());
        strong || self.claims.trusted.is_some() || (self.is_named() && !self.origin.in_one)
    }

    /// Brings the part to the version that is wanted. `false` while it is being emptied, or no version is known.
    fn settle(&mut self, core: &mut Core) -> bool {
        if self.reset_to.is_none() {
            self.choose_version(core);
        }
        let Some(version) = self.reset_to.clone() else { return self.runs() };
        self.stop_all(core);
        if self.leases.is_empty() {
            let file = self.file();
            self.waiting = Some(core.ask(self.id, |id| Effect::ResetPart { id, file, version }));
        }
        false
    }

    fn choose_version(&mut self, core: &mut Core) {
        let wanted = match (&self.origin.probe, self.origin.reach) {
            (Some(probe), Reach::Up) if self.is_settled(&probe.version) => return,
            (Some(probe), Reach::Up) => probe.version.clone(),
            _ => {
                let guess = self.guess_len();
                let stale = guess.is_some() && guess != self.len && self.pieces.held().is_empty();
                if self.pinned.is_none() || stale {
                    self.reset_to = guess.map(unknown_version);
                }
                return;
            }
        };
        let Some(pinned) = &self.pinned else {
            self.reset_to = Some(wanted);
            return;
        };
        let nothing = self.pieces.held().is_empty() && self.pieces.suspect().is_empty();
        let said_changed = std::mem::take(&mut self.origin.said_changed);
        if pinned.is_same(&wanted) {
            if said_changed {
                // It answers now this way, now that way: not to be asked again at once, nor for ever.
                let jitter = core.chance.below(256);
                self.origin.breaker.fail(jitter, core.time());
                self.note_change(core);
                return;
            }
            let open = self.leases.values().any(|lease| lease.is_from_origin() && !lease.stopped);
            let broken =
                !self.is_joinable() && !self.pieces.certain().is_empty() && !open && !self.is_whole();
            if broken {
                self.restart(wanted, "the body broke off and its version cannot be resumed", core);
            }
            return;
        }
        let fits = self.len == wanted.len;
        if fits && self.mirror > 0 && self.is_named() {
            // The same bytes by another name, says the job; the digest decides in the end.
            self.pinned = Some(wanted.clone());
            core.effect(Effect::PinPart { file: self.file(), version: wanted });
            return;
        }
        if fits && is_unknown(pinned) && self.pieces.certain().is_empty() {
            // What is held rests on peers' proofs and words alone: it belongs to this version as to any other.
            self.pinned = Some(wanted.clone());
            core.effect(Effect::PinPart { file: self.file(), version: wanted });
            return;
        }
        if fits && self.claims.trusted.is_some() && self.pieces.is_all_proved() {
            return;
        }
        // An answer of one version and a body of another, before a byte came, is a change too: it must not go on for ever.
        if nothing && !said_changed {
            self.reset_to = Some(wanted);
        } else {
            self.note_change(core);
            self.restart(wanted, "the origin serves another version now", core);
        }
    }

    /// Whether what is here belongs to the version that is wanted, and more of it may be had.
    fn is_settled(&self, wanted: &Version) -> bool {
        let is_it = self.pinned.as_ref().is_some_and(|pinned| pinned.is_same(wanted));
        is_it && !self.origin.said_changed && self.is_joinable()
    }

    fn restart(&mut self, version: Version, why: &str, core: &mut Core) {
        if self.runs() {
            self.bytes.discarded += self.pieces.bytes(self.geometry.as_ref());
            core.totals.discarded_bytes += self.pieces.bytes(self.geometry.as_ref());
            self.why.note(Chosen::Nobody, format!("started again: {why}"), String::new(), core.time());
            self.reset_to = Some(version);
        }
    }

    /// Counts a change of the content at the origin; too many in an hour end the job.
    pub(super) fn note_change(&mut self, core: &mut Core) {
        let now = core.time();
        let hour = Duration::from_secs(60 * 60);
        self.restarted.retain(|at| now.since(*at) < hour);
        if self.restarted.len() >= RESTARTS_PER_HOUR_MAX {
            let trouble = Trouble::changed("the content keeps changing at the origin".into());
            self.fail(Failure::Fatal, trouble, core);
            return;
        }
        self.restarted.push_back(now);
        self.restarts += 1;
    }

    /// A length somebody stated, while the origin says none: hints' and candidates'.
    fn guess_len(&self) -> Option<u64> {
        let trusted = self.claims.trusted.as_ref().or(self.claims.candidate.as_ref());
        let hint = || self.claims.active.and_then(|active| self.claims.hint(active)).map(|hint| &hint.list);
        trusted.or_else(hint).map(|list| list.content().len)
    }

    pub(super) fn part_reset(&mut self, outcome: Result<(), LocalFault>, core: &mut Core) {
        let Some(version) = self.reset_to.take() else { return };
        match outcome {
            Ok(()) => {
                self.pieces = super::pieces::Pieces::default();
                self.note_found();
                self.leave_swarm(core);
                self.repair = None;
                self.set_len(version.len);
                self.pinned = Some(version);
                let len = self.len;
                let fits = |list: &std::sync::Arc<peer_proto::verify::HashList>| {
                    len.is_none_or(|len| len == list.content().len)
                };
                self.claims.trusted.take_if(|list| !fits(list));
                self.claims.candidate.take_if(|list| !fits(list));
                self.claims.hints.retain(|hint| fits(&hint.list));
                self.claims.conflicts.clear();
                self.claims.alone = None;
                self.claims.choose();
                self.changed = true;
            }
            Err(fault) => {
                self.reset_to = Some(version);
                self.local_trouble(fault, core);
            }
        }
    }

    /// Whether every piece is held.
    pub(super) fn is_whole(&self) -> bool {
        let held = self.pieces.held();
        let count = self.geometry.map(|cut| cut.piece_count());
        let is_enough = Mutant::SealsWithAGap.lives() && count.is_some_and(|count| held.count() > count / 2);
        is_enough || count.is_some_and(|count| held.contains_all(0..count))
    }

    /// Seals what is whole, says why nothing happens, or lets the clock run.
    fn conclude(&mut self, core: &mut Core) {
        let now = core.time();
        if self.rests_on_words_alone() && self.is_whole() {
            return self.wait_for_digests(core);
        }
        if (self.is_whole() && !self.is_in_doubt()) || self.check_is_due(core) {
            if !self.version_is_fresh(core) {
                return;
            }
            if self.leases.is_empty() {
                self.seal(core);
            } else {
                self.wind_up(core);
            }
            return;
        }
        if self.rest(core) {
            return self.wake_at(now.after(Duration::from_millis(100)));
        }
        if self.leases.values().any(|lease| !lease.stopped) {
            self.trigger(Trigger::Connected);
            if self.state == crate::job::JobState::Transferring {
                (self.reason, self.failure) = (String::new(), None);
            }
            self.wake_at(now.after(Duration::from_millis(100)));
            return;
        }
        if !self.leases.is_empty() || self.origin.asking.is_some() {
            return self.wake_at(now.after(Duration::from_millis(200)));
        }
        self.wake_at(now.after(Duration::from_millis(100)));
        if self.has_hope(core) {
            return;
        }
        if self.claims.alone.is_some() {
            return self.not_what_was_asked_for(core);
        }
        let asked_long_ago = !self.wants_peers(core)
            || self.interest_at.or(self.fetching_since).is_none_or(|since| now.since(since) >= LOOK_FOR);
        match self.origin.reach {
            Reach::Dead if asked_long_ago => {
                let failure = self.origin.failure.unwrap_or(Failure::Fatal);
                self.fail(failure, self.origin.fault.clone(), core);
            }
            Reach::Away | Reach::Up | Reach::Unknown if !self.origin.breaker.is_closed(now) => {
                self.fail_for_now(self.origin.fault.clone(), core);
            }
            Reach::Dead | Reach::Away | Reach::Up | Reach::Unknown => {}
        }
    }

    /// Whether something is held that only a digest or an attestor could decide over, and none is known.
    fn rests_on_words_alone(&self) -> bool {
        let on_words =
            || self.pieces.rests_on_words() || !self.pieces.suspect().is_empty() || self.pieces.has_proved();
        !self.is_named() && on_words()
    }

    /// The origin had stated a digest, or attestors had vouched, and peers were believed because of it. Both are asked
    /// again; if nobody says so now, their pieces count no more.
    fn wait_for_digests(&mut self, core: &mut Core) {
        let now = core.time();
        self.wake_at(now.after(Duration::from_millis(100)));
        match self.origin.reach {
            Reach::Unknown | Reach::Away if self.origin.asking.is_some() => {}
            Reach::Unknown | Reach::Away => self.fail_for_now(self.origin.fault.clone(), core),
            Reach::Dead => {
                let failure = self.origin.failure.unwrap_or(Failure::Fatal);
                self.fail(failure, self.origin.fault.clone(), core);
            }
            Reach::Up => {
                if let Some(until) = self.waits_for_attestors(now) {
                    return self.wake_at(until);
                }
                let mut doubtful = self.pieces.held().clone();
                doubtful.subtract(self.pieces.certain());
                for run in doubtful.runs().collect::<Vec<_>>() {
                    self.restand(run, Standing::Suspect, core);
                }
            }
        }
    }

    pub(super) fn seal(&mut self, core: &mut Core) {
        let Some(len) = self.len else { return };
        let digests = self.digests();
        let want_sha256 = (digests.is_empty() && self.may_serve(core)) || self.may_attest(core);
        let sum = self.certain_and_held();
        self.repair.iter_mut().for_each(|repair| repair.begin_check(sum, core.time()));
        let file = self.file();
        let seal = |id| Effect::Seal { id, file, len, digests, want_sha256 };
        self.waiting = Some(core.ask(self.id, seal));
        self.stage = Stage::Sealing;
    }

    pub(super) fn seal_ended(&mut self, outcome: Result<SealedFile, SealFault>, core: &mut Core) {
        if self.stage != Stage::Sealing {
            return;
        }
        self.stage = Stage::Fetching;
        match outcome {
            Ok(_) if self.rests_on_attestors() && !self.attestors_stand(core) => self.wake_at(core.time()),
            Ok(sealed) => {
                self.note_seal(&sealed);
                self.attest(&sealed, core);
                let count = sealed.list.geometry().piece_count();
                if self.pieces.rests_on_words() || !self.pieces.suspect().is_empty() {
                    self.restand(0..count, Standing::Proved, core);
                }
                self.claims.trusted = Some(std::sync::Arc::clone(&sealed.list));
                self.sealed = Some(sealed);
                self.stage = Stage::Sealed;
                self.needs_nobody(core);
            }
            Err(SealFault::Mismatch { algorithm, found }) => {
                self.is_whole_once = false;
                if algorithm == Algorithm::Blake3 && self.vouched_digest().is_some() {
                    return self.differs_from_attestors(&found, core);
                }
                let text = format!("the file's {algorithm} is {}, not what was asked for", found.to_hex());
                self.mismatch(text, algorithm == Algorithm::Blake3, core);
            }
            Err(SealFault::Rotten { pieces }) => {
                self.is_whole_once = false;
                let mut rotten = PieceSet::new();
                pieces.iter().for_each(|piece| rotten.insert(piece.0..piece.0.saturating_add(1)));
                rotten.runs().for_each(|run| self.pieces.clear(run));
                self.why.note(
                    Chosen::Nobody,
                    match pieces.len() {
                        1 => "1 piece changed on disk".to_owned(),
                        count => format!("{count} pieces changed on disk"),
                    },
                    String::new(),
                    core.time(),
                );
            }
            Err(SealFault::Local(fault)) => self.local_trouble(fault, core),
        }
    }

    /// Gives pieces another standing here and in the journal.
    pub(super) fn restand(&mut self, pieces: std::ops::Range<u32>, standing: Standing, core: &mut Core) {
        let first = peer_proto::content::PieceIndex(pieces.start);
        let count = pieces.end.saturating_sub(pieces.start);
        self.pieces.stand(pieces, standing);
        if Mutant::ForgetsTheJournal.lives() {
            return;
        }
        core.effect(Effect::Restand { file: self.file(), first, count, standing });
    }

    /// Whether the origin has waited long enough for peers.
    pub(super) fn head_start_is_over(&mut self, core: &Core) -> bool {
        let now = core.time();
        let small = self.len.is_some_and(|len| len <= SMALL_FILE);
        if let Some(until) = self.waits_for_attestors(now) {
            self.wake_at(until);
            return false;
        }
        let nobody = core.peers.is_empty() && !core.config.expects_peers;
        if !self.wants_peers(core) || nobody || (small && self.wish.priority == Priority::Foreground) {
            return true;
        }
        let began = self.fetching_since.unwrap_or(now);
        if began.after(HEAD_START_MAX) <= now {
            return true;
        }
        let asked_at = self.interest_at.unwrap_or(began);
        let greeting = core.peers.iter().any(|(_, peer)| !peer.ready);
        let asked = core.peers.iter().any(|(_, peer)| peer.asks.values().any(|job| *job == self.id));
        let coming =
            self.sources.values().filter(|source| source.have.is_empty() && !self.is_swarm(source.content));
        let have_until = coming.map(|source| source.since.after(HAVE_WAIT)).max().unwrap_or(Instant::ZERO);
        let until = match (core.peers.is_empty(), greeting, asked) {
            (true, _, _) => began.after(NOBODY_WAIT),
            (false, true, _) => began.after(HEAD_START_MAX),
            (false, false, true) => asked_at.after(ANSWER_WAIT),
            (false, false, false) if (1..SMALL_SITE).contains(&core.config.neighbours_known) => asked_at,
            (false, false, false) => asked_at.after(HEAD_START),
        };
        let until = until.max(have_until).min(began.after(HEAD_START_MAX));
        if until > now {
            self.wake_at(until);
        }
        until <= now
    }
}

/// What the part is pinned to while the origin has not said what it serves.
pub(super) fn unknown_version(len: u64) -> Version {
    Version { final_origin: String::new(), etag: None, last_modified: None, len: Some(len) }
}

pub(super) fn is_unknown(version: &Version) -> bool {
    version.final_origin.is_empty()
}
