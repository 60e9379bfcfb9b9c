//! The brain: facts in, effects out.
//!
//! Knows: jobs, peers, sources, what to ask of whom and why. Does not know: time but as a value, bytes, sockets, files.
//!
//! The contract of its caller (the driver, or a simulated host): *one* [`Engine::handle_input`] or
//! [`Engine::handle_timeout`], then [`Engine::poll_output`] until it says [`io::Output::WaitUntil`], then wait for that
//! moment or the next fact. Every effect with an id gets exactly one answer; late and repeated ones are harmless.

mod announce;
pub mod chance;
mod claims;
mod core;
mod ending;
pub mod event;
pub mod explain;
pub mod fetch;
mod file;
pub mod flood;
pub mod grid;
pub mod group;
pub mod home;
pub mod io;
pub mod lease;
mod look;
pub mod lookup;
mod members;
pub(crate) mod mutant;
pub mod pace;
pub mod peers;
pub mod piece_set;
mod pieces;
pub mod plan;
pub mod planner;
mod recall;
mod repair;
mod scene;
pub mod serve;
pub mod slots;
pub mod stated;
mod swarm;
mod views;
pub mod why;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use peer_proto::content::ContentId;
use peer_proto::limits::CONTENTS_PER_PEER_MAX;
use peer_proto::peer::PeerId;
use peer_proto::session::SessionEvent;
use peer_proto::time::Instant;
use peer_proto::wire::{Record, RecordHead};

pub use self::core::{EngineConfig, Totals};
pub use group::GroupConfig;
pub use peers::PeerView;

use self::core::{Asker, Core};
use event::JobView;
use explain::Decision;
use file::{JobFile, Stage};
use io::{Effect, EffectId, Input, JobCommand, Now, Output, StoredJob};
use look::Heed;
use mutant::Mutant;
use serve::Shelf;

use crate::job::{FileId, JobId, JobSpec, PeerFlags};
use crate::record::RecordSummary;

/// Jobs that are over and still shown, with their decisions; older ones are forgotten.
pub const ENDED_JOBS_MAX: usize = 64;

/// The deciding part of a node.
#[derive(Debug)]
pub struct Engine {
    core: Core,
    files: BTreeMap<FileId, JobFile>,
    /// Jobs that are over, oldest first.
    ended: Vec<JobId>,
}

impl Engine {
    /// An engine that knows nothing yet.
    #[must_use]
    pub fn new(config: EngineConfig, now: Now) -> Self {
        Self { core: Core::new(config, now), files: BTreeMap::new(), ended: Vec::new() }
    }

    /// Takes a fact in.
    pub fn handle_input(&mut self, input: Input, now: Now) {
        self.core.now = now;
        match input {
            Input::Submit { job, spec } => self.submit(job, spec),
            Input::JobFound(stored) => self.job_found(stored),
            Input::Command { job, command } => self.command(job, command),
            Input::FlagsChanged(flags) => self.flags_changed(flags),
            Input::JobPersisted { .. }
            | Input::PartOpened { .. }
            | Input::PartReset { .. }
            | Input::Probed { .. }
            | Input::Sealed { .. }
            | Input::Delivered { .. }
            | Input::PartDropped { .. }
            | Input::ListRecalled { .. }
            | Input::ListRead { .. } => self.answer(input),
            Input::Progress { lease, received } => {
                self.with_lease(lease, |file, core| {
                    file.progress(lease, received, core);
                    Heed::Later
                });
            }
            Input::PiecesStored { lease, run } => {
                self.with_lease(lease, |file, core| file.pieces_stored(lease, &run, core));
            }
            Input::LeaseEnded { lease, received, len, outcome } => {
                self.with_lease(lease, |file, core| file.lease_ended(lease, received, len, outcome, core));
                self.core.leases.remove(&lease);
            }
            Input::PeerConnected { peer, address, near, nonce } => {
                self.leave_peer(peer);
                self.core.peer_connected(peer, address, near, nonce);
            }
            Input::PeerLost { peer } => self.peer_lost(peer),
            Input::FrameReceived { peer, frame } => self.core.frame(peer, frame),
            Input::BadFrame { peer, message } => self.core.back_off(peer, &message),
            Input::RecordHeld(record) => self.core.record_held(record),
            Input::RecordGone(record) => self.core.record_gone(record),
            Input::ServeEnded { id, sent, outcome } => self.core.serve_ended(id, sent, outcome),
        }
        self.turn();
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Now) {
        self.core.now = now;
        self.core.wake_sessions();
        let time = self.core.time();
        let due = self.files.iter().filter(|(_, job)| job.wakes_at() <= time).map(|(id, _)| *id);
        self.core.dirty.extend(due);
        self.turn();
    }

    /// What to do next; after [`Output::WaitUntil`] nothing until something is handled.
    pub fn poll_output(&mut self) -> Output {
        if let Some(effect) = self.core.effects.pop_front() {
            return Output::Effect(Box::new(effect));
        }
        let jobs = self.files.values().map(JobFile::wakes_at).min().unwrap_or(Instant::NEVER);
        let core = self.core.peers.wake().min(self.core.have_wake()).min(self.core.flood_wake());
        let at = if Mutant::NeverRests.lives() { self.core.time() } else { jobs.min(core) };
        Output::WaitUntil(at)
    }

    /// A job as it stands.
    #[must_use]
    pub fn job_view(&self, job: JobId) -> Option<JobView> {
        self.files.get(&FileId::first(job)).map(|job| job.view(&self.core))
    }

    /// All jobs that are known, those that are over included, in the order of their ids.
    #[must_use]
    pub fn job_views(&self) -> Vec<JobView> {
        self.files.values().map(|job| job.view(&self.core)).collect()
    }

    /// Why every range of a job came from where it came.
    #[must_use]
    pub fn decisions(&self, job: JobId) -> Option<Vec<Decision>> {
        self.files.get(&FileId::first(job)).map(|job| job.why.log().to_vec())
    }

    /// A job as it is kept across restarts.
    #[must_use]
    pub fn stored_job(&self, job: JobId) -> Option<StoredJob> {
        self.files.get(&FileId::first(job)).map(JobFile::stored)
    }

    /// The peers that are connected or banned.
    #[must_use]
    pub fn peer_views(&self) -> Vec<PeerView> {
        let mut views = self.core.peers.views(self.core.time());
        for view in &mut views {
            let holding = self.files.values().filter(|job| job.sources.contains_key(&view.peer)).count();
            view.held = u32::try_from(holding).unwrap_or(u32::MAX);
        }
        views
    }

    /// The records of the cache.
    #[must_use]
    pub fn record_views(&self) -> Vec<RecordSummary> {
        self.core.records.values().cloned().collect()
    }

    /// The computer's permissions.
    #[must_use]
    pub const fn flags(&self) -> PeerFlags {
        self.core.flags
    }

    /// Bytes since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let banned_peers = self.core.peers.banned_count(self.core.time());
        Totals { banned_peers, ..self.core.totals }
    }

    fn submit(&mut self, id: JobId, spec: JobSpec) {
        let id = FileId::first(id);
        if self.files.contains_key(&id) {
            return;
        }
        let mut job = JobFile::new(id, spec, &self.core);
        let stored = job.stored();
        job.waiting = Some(self.core.ask(id, |id| Effect::PersistJob { id, job: stored }));
        self.files.insert(id, job);
    }

    fn job_found(&mut self, stored: StoredJob) {
        let id = FileId::first(stored.id);
        if !self.files.contains_key(&id) {
            let mut job = JobFile::found(stored, &self.core);
            job.heed(Heed::Now, &mut self.core);
            self.files.insert(id, job);
        }
    }

    fn command(&mut self, id: JobId, command: JobCommand) {
        match self.files.get_mut(&FileId::first(id)) {
            Some(job) => {
                job.command(command, &mut self.core);
                job.heed(Heed::Now, &mut self.core);
            }
            None => {
                let reason = "there is no such job".to_owned();
                self.core.effect(Effect::Tell(event::Event::CommandRefused { job: id, reason }));
            }
        }
    }

    fn flags_changed(&mut self, flags: PeerFlags) {
        let before = std::mem::replace(&mut self.core.flags, flags);
        if before.server && !flags.server {
            self.core.stop_serving();
        }
        self.with_all(Heed::Now, JobFile::flags_changed);
    }

    /// The answer to an effect with an id.
    fn answer(&mut self, input: Input) {
        let Some(id) = effect_of(&input) else { return };
        let owner = match self.core.askers.remove(&id) {
            Some(Asker::File(owner)) => owner,
            Some(asker) => {
                if let Input::ListRead { values, .. } = input {
                    self.core.list_read(asker, values);
                }
                return;
            }
            None => return,
        };
        let core = &mut self.core;
        let Some(job) = self.files.get_mut(&owner) else { return };
        job.heed(Heed::Now, core);
        if let Input::Probed { outcome, .. } = input {
            job.probed(id, outcome, core);
            return;
        }
        if !job.answered(id) {
            return;
        }
        match input {
            Input::JobPersisted { outcome, .. } => {
                let is_refused = !job.persisted(outcome, core);
                self.files.retain(|id, _| *id != owner || !is_refused);
            }
            Input::PartOpened { outcome, .. } => job.opened(outcome, core),
            Input::PartReset { outcome, .. } => job.part_reset(outcome, core),
            Input::Sealed { outcome, .. } => job.seal_ended(outcome, core),
            Input::Delivered { outcome, .. } => job.delivered(outcome, core),
            Input::PartDropped { .. } => job.dropped(core),
            Input::ListRecalled { list, .. } => job.list_recalled(list, core),
            _ => {}
        }
    }

    fn with_lease(&mut self, lease: io::LeaseId, act: impl FnOnce(&mut JobFile, &mut Core) -> Heed) {
        let job = self.core.leases.get(&lease).copied();
        self.with_file(job, act);
    }

    fn leave_peer(&mut self, peer: PeerId) {
        if self.core.peer_gone(peer).is_some() {
            self.with_all(Heed::Now, |file, core| file.leave_peer(peer, core));
        }
    }

    fn peer_lost(&mut self, peer: PeerId) {
        if self.core.peer_gone(peer).is_some() {
            self.with_all(Heed::Now, |file, core| file.peer_lost(peer, core.time()));
        }
    }

    /// Events of sessions, then the next steps of the jobs they touch, until nothing is left to do.
    fn turn(&mut self) {
        loop {
            if let Some((peer, event)) = self.core.events.pop_front() {
                self.session_event(peer, event);
            } else if let Some(id) = self.core.dirty.pop_first() {
                self.advance(id);
            } else {
                break;
            }
        }
        self.shelf().tell_haves();
        self.tell_records();
    }

    fn advance(&mut self, id: FileId) {
        let Some(job) = self.files.get_mut(&id) else { return };
        let was_over = job.stage == Stage::Over && self.ended.contains(&id.job);
        job.look(&mut self.core);
        job.tell(&mut self.core);
        if job.stage == Stage::Over && !was_over {
            self.core.peers.forget_job(id);
            self.ended.push(id.job);
            if self.ended.len() > ENDED_JOBS_MAX {
                let oldest = self.ended.remove(0);
                self.files.remove(&FileId::first(oldest));
                self.core.effect(Effect::ForgetJob { job: oldest });
            }
        }
    }

    fn session_event(&mut self, peer: PeerId, event: SessionEvent) {
        match event {
            SessionEvent::Ready => {
                if let Some(peer) = self.core.peers.get_mut(peer) {
                    peer.ready = true;
                }
                self.with_all(Heed::Soon, |file, _| file.ask_at = Instant::ZERO);
            }
            SessionEvent::Found { key, answer } => {
                let asked = self.core.peers.get_mut(peer).and_then(|peer| peer.asks.remove(&key));
                self.with_file(asked, |file, core| file.answered_by(peer, answer, core));
            }
            SessionEvent::HaveChanged { content } => {
                self.with_files_of(peer, |file, core| file.have_changed(peer, content, core));
            }
            SessionEvent::ListComplete { content: _, list } => {
                self.with_all(Heed::Now, |file, core| file.list_arrived(peer, &list, core));
            }
            SessionEvent::ListFailed { content, reason } => {
                self.with_files_of(peer, |file, core| {
                    file.list_failed(peer, content, &reason, core);
                    Heed::Now
                });
            }
            SessionEvent::Refused { request, reason } => {
                let lease = self.core.peers.get_mut(peer).and_then(|peer| peer.requests.remove(&request));
                if let Some((job, lease)) = lease {
                    self.with_file(Some(job), |file, core| file.refused(lease, peer, reason, core));
                }
            }
            SessionEvent::Asked { key, id, proof } => self.shelf().asked(peer, key, id, &proof),
            SessionEvent::ListAsked { content, part } => self.shelf().list_asked(peer, content, part),
            SessionEvent::Wanted { request, content, ranges, values } => {
                self.shelf().wanted(peer, request, content, ranges, values);
            }
            SessionEvent::Interested { id, proof, len, fetches } => {
                let job = self.shelf().swarm_of(peer, id, &proof);
                self.with_file(job, |file, core| file.member_joined(peer, len, fetches, core));
            }
            SessionEvent::Withdrew { swarm } => {
                if let Some(peer) = self.core.peers.get_mut(peer) {
                    peer.granted.remove(&swarm);
                }
                self.with_swarm(swarm, |file, core| {
                    file.member_left(peer, core.time());
                    Heed::Soon
                });
            }
            SessionEvent::PiecesClaimed(claim) => {
                self.with_swarm(claim.swarm, |file, core| file.pieces_claimed(peer, &claim, core));
            }
            SessionEvent::SegmentClaimed(claim) => {
                self.with_swarm(claim.swarm, |file, core| file.segment_claimed(peer, &claim, core.time()));
            }
            SessionEvent::TokenShown(token) => self.core.token_shown(peer, &token),
            SessionEvent::RecordsShown(records) => self.records_shown(peer, &records),
            SessionEvent::Cancelled { request } => self.core.cancelled(peer, request),
            SessionEvent::Left { .. } => self.leave_peer(peer),
            SessionEvent::Failed(error) => self.core.back_off(peer, &error.to_string()),
        }
    }

    /// A neighbour that is a member passes on what members say.
    fn records_shown(&mut self, peer: PeerId, records: &[Record]) {
        let group = self.core.config.group.as_ref().map(GroupConfig::id);
        for record in records.iter().filter(|record| Some(record.head().group) == group) {
            let RecordHead { author, swarm, .. } = *record.head();
            if !self.core.is_member(peer) || !self.core.may_look_at(peer) {
                return;
            }
            let Some(id) = Core::swarm_job(&self.files, swarm).map(|job| job.id) else { continue };
            let Some(job) = self.files.get(&id) else { continue };
            let contents = || self.files.values().filter(|job| job.knows_author(author)).count();
            if !job.knows_author(author) && contents() >= CONTENTS_PER_PEER_MAX {
                continue;
            }
            let Some(job) = self.files.get_mut(&id) else { continue };
            match job.hear(peer, record, &mut self.core) {
                Some(heed) => job.heed(heed, &mut self.core),
                None => return self.core.back_off(peer, "it passed on what nobody had signed"),
            }
        }
    }

    /// Says what there is to say to members, and passes on what was heard, when its time has come.
    fn tell_records(&mut self) {
        if self.core.flood_wake() <= self.core.time() {
            self.files.values_mut().for_each(|job| job.say_unsaid(&mut self.core));
            self.core.flush_records();
        }
    }

    fn shelf(&mut self) -> Shelf<'_> {
        Shelf { core: &mut self.core, files: &self.files }
    }

    fn with_file(&mut self, id: Option<FileId>, act: impl FnOnce(&mut JobFile, &mut Core) -> Heed) {
        if let Some(job) = id.and_then(|id| self.files.get_mut(&id)) {
            let heed = act(job, &mut self.core);
            job.heed(heed, &mut self.core);
        }
    }

    fn with_swarm(&mut self, swarm: ContentId, act: impl FnOnce(&mut JobFile, &mut Core) -> Heed) {
        let job = Core::swarm_job(&self.files, swarm).map(|job| job.id);
        self.with_file(job, act);
    }

    fn with_files_of(&mut self, peer: PeerId, mut act: impl FnMut(&mut JobFile, &mut Core) -> Heed) {
        for job in self.files.values_mut().filter(|job| job.sources.contains_key(&peer)) {
            let heed = act(job, &mut self.core);
            job.heed(heed, &mut self.core);
        }
    }

    fn with_all(&mut self, heed: Heed, mut act: impl FnMut(&mut JobFile, &mut Core)) {
        for job in self.files.values_mut() {
            act(job, &mut self.core);
            job.heed(heed, &mut self.core);
        }
    }
}

fn effect_of(input: &Input) -> Option<EffectId> {
    match input {
        Input::JobPersisted { id, .. }
        | Input::PartOpened { id, .. }
        | Input::PartReset { id, .. }
        | Input::Probed { id, .. }
        | Input::Sealed { id, .. }
        | Input::Delivered { id, .. }
        | Input::PartDropped { id }
        | Input::ListRecalled { id, .. }
        | Input::ListRead { id, .. } => Some(*id),
        _ => None,
    }
}
