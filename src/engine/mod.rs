//! The brain: facts in, effects out.
//!
//! Knows: jobs, peers, sources, what to ask of whom and why. Does not know: time but as a value, bytes, sockets, files.
//!
//! The contract of its caller (the driver, or a simulated host): *one* [`Engine::handle_input`] or
//! [`Engine::handle_timeout`], then [`Engine::poll_output`] until it says [`io::Output::WaitUntil`], then wait for that
//! moment or the next fact. Every effect with an id gets exactly one answer; late and repeated ones are harmless.

mod among;
mod announce;
mod asks;
pub mod attest;
pub mod chance;
mod claims;
mod core;
mod doubts;
mod ending;
pub mod event;
pub mod explain;
mod fallen;
pub mod fetch;
mod file;
pub mod flood;
pub mod fuse;
pub mod grid;
pub mod group;
mod groups;
mod handing;
pub mod home;
mod inquiry;
pub mod io;
mod job;
mod jobs;
mod lag;
pub mod lease;
mod look;
pub mod lookup;
mod meet;
mod members;
pub(crate) mod mutant;
mod offered;
mod ondemand;
mod over;
pub mod pace;
pub mod peers;
pub mod piece_set;
mod pieces;
pub mod plan;
pub mod planner;
pub mod queue;
mod recall;
pub mod renew;
mod repair;
mod rivals;
mod scene;
pub mod serve;
mod sessions;
pub mod slots;
pub mod stated;
mod step;
mod stored;
pub mod stream;
pub mod streamed;
mod sums;
mod swarm;
mod ticket;
mod trial;
mod trouble;
mod trust;
mod views;
pub mod void;
pub mod vouched;
mod walk;
pub mod why;
pub mod width;
mod withheld;
mod yielding;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use peer_proto::attest::AttestFault;
use peer_proto::content::ContentId;
use peer_proto::group::GroupId;
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use peer_proto::void::Void;

pub use self::core::{EngineConfig, Totals};
pub use group::GroupConfig;
pub use groups::{Attestor, Groups};
pub use meet::SiteConfig;
pub use peers::PeerView;

use self::core::{Asker, Core};
use event::{AttestationView, FileRanges, FileView, JobView};
use explain::Decision;
use file::{JobFile, Stage};
use fuse::BlownLink;
use io::{EffectId, Input, KeptBan, KeptFuse, Now, Output, StoredJob};
use job::Job;
use look::Heed;
use mutant::Mutant;
use over::Over;
use serve::Shelf;

use crate::job::{Effective, FileId, JobId, JobState, PeerFlags};

/// Delivered files whose swarms still get answers; what older ones were is the cache's to know.
const ENDED_FILES_MAX: usize = 256;

/// The deciding part of a node.
#[derive(Debug)]
pub struct Engine {
    core: Core,
    jobs: BTreeMap<JobId, Job>,
    /// Files that are on their way, of all jobs, and those that were delivered last.
    files: BTreeMap<FileId, JobFile>,
    /// Jobs to be looked at, beside those with dirty files.
    touched: BTreeSet<JobId>,
    /// When turns are to be given anew.
    turns_at: Instant,
    next_place: u64,
    /// Jobs that are over: the last of them are in `jobs` still.
    over: Over,
    /// Files that are delivered, oldest first.
    ended_files: VecDeque<FileId>,
}

impl Engine {
    /// An engine that knows nothing yet.
    #[must_use]
    pub fn new(config: EngineConfig, now: Now) -> Self {
        Self {
            core: Core::new(config, now),
            jobs: BTreeMap::new(),
            files: BTreeMap::new(),
            touched: BTreeSet::new(),
            turns_at: Instant::NEVER,
            next_place: 1,
            over: Over::default(),
            ended_files: VecDeque::new(),
        }
    }

    /// Takes a fact in.
    pub fn handle_input(&mut self, input: Input, now: Now) {
        self.core.now = now;
        match input {
            Input::Submit { job, spec, by, start } => self.submit(job, *spec, by, start),
            Input::JobFound(stored) => self.job_found(*stored),
            Input::Command { job, command, by } => self.command(job, command, by),
            Input::PolicyChanged(policy) => self.policy_changed(*policy),
            Input::GroupsChanged(groups) => self.groups_changed(groups),
            Input::PeersForgotten => self.core.inquiries.lift(now.monotonic),
            Input::NetworkChanged { up } => self.network_changed(up),
            Input::FlagsChanged(flags) => self.flags_changed(flags),
            Input::JobPersisted { .. }
            | Input::DigestsFetched { .. }
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
            Input::LeaseHeld { lease } => {
                self.with_lease(lease, |job, core| {
                    job.held(lease, core);
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
            Input::PeerConnected { peer, address, near, link, nonce } => {
                self.leave_peer(peer);
                self.core.peer_connected(peer, address, near, nonce);
                self.core.peers.get_mut(peer).into_iter().for_each(|peer| peer.link = link);
            }
            Input::BanFound(ban) => self.core.ban_found(ban),
            Input::FuseFound(kept) => self.core.fuse.found(&kept, now.monotonic),
            Input::RendezvousMet { peer } => self.core.rendezvous_met(peer),
            Input::Listening { at } => self.core.listens(at),
            Input::PeerLost { peer } => self.peer_lost(peer),
            Input::LinkAsked { from, question } => self.shelf().link_asked(from, &question),
            Input::FrameReceived { peer, frame } => self.core.frame(peer, frame),
            Input::BadFrame { peer, message } => self.core.back_off(peer, &message),
            Input::RecordHeld(record) => self.core.record_held(record),
            Input::RecordGone(record) => self.core.record_gone(record),
            Input::Ticket(fact) => self.core.ticket_fact(fact),
            Input::AttestationFound(one) => self.core.attestation_found(one),
            Input::DistrustFound { group, holder, proof } => self.core.distrust_found(group, holder, proof),
            Input::TakeBack { statements, reason } => self.core.take_back_all(&statements, &reason),
            Input::VoidMade(void) => drop(self.core.take_void(void, None)),
            Input::VoidFound(void) => self.core.void_found(void),
            Input::ServeEnded { id, sent, outcome } => self.core.serve_ended(id, sent, outcome),
        }
        self.turn();
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Now) {
        self.core.now = now;
        self.core.wake_sessions();
        self.core.hurry_denied();
        self.core.renew_all();
        self.core.renew_registrations();
        let time = self.core.time();
        let due = self.files.iter().filter(|(_, file)| file.wakes_at() <= time).map(|(id, _)| *id);
        self.core.dirty.extend(due);
        let due = self.jobs.iter().filter(|(_, job)| job.wakes_at() <= time).map(|(id, _)| *id);
        self.touched.extend(due);
        self.core.requeue |= self.turns_at <= time;
        self.turn();
    }

    /// What to do next; after [`Output::WaitUntil`] nothing until something is handled.
    pub fn poll_output(&mut self) -> Output {
        if let Some(effect) = self.core.effects.pop_front() {
            return Output::Effect(Box::new(effect));
        }
        let files = self.files.values().map(JobFile::wakes_at).min().unwrap_or(Instant::NEVER);
        let jobs = self.jobs.values().map(Job::wakes_at).min().unwrap_or(Instant::NEVER);
        let jobs = jobs.min(files).min(self.turns_at);
        let core = self.core.peers.wake().min(self.core.have_wake()).min(self.core.flood_wake());
        let core =
            core.min(self.core.yield_wake()).min(self.core.inquiries.wake()).min(self.core.handing_wake());
        let core = core.min(self.core.renewal_wake());
        let core = core.min(self.core.meeting.wake());
        let at = if Mutant::NeverRests.lives() { self.core.time() } else { jobs.min(core) };
        Output::WaitUntil(at)
    }

    /// A job as it stands.
    #[must_use]
    pub fn job_view(&self, job: JobId) -> Option<JobView> {
        self.job(job).map(|job| job.view(&self.files, &self.core))
    }

    /// All jobs that are known, those that are over included, in the order of their ids.
    #[must_use]
    pub fn job_views(&self) -> Vec<JobView> {
        let jobs: BTreeMap<JobId, &Job> =
            self.jobs.iter().chain(self.over.past()).map(|(id, job)| (*id, job)).collect();
        jobs.values().map(|job| job.view(&self.files, &self.core)).collect()
    }

    /// The files of a job, in their order.
    #[must_use]
    pub fn file_views(&self, job: JobId) -> Option<Vec<FileView>> {
        self.job(job).map(|job| job.file_views(&self.files))
    }

    /// What is there of a file and what is asked for; `None` if there is no such job or file.
    #[must_use]
    pub fn file_ranges(&self, job: JobId, file: u16) -> Option<FileRanges> {
        self.job(job)?.ranges(file, &self.files)
    }

    /// Why every range of a job's files came from where it came, file by file.
    #[must_use]
    pub fn decisions(&self, job: JobId) -> Option<Vec<Decision>> {
        self.job(job).map(|job| job.decisions(&self.files))
    }

    /// A job as it is kept across restarts.
    #[must_use]
    pub fn stored_job(&self, job: JobId) -> Option<StoredJob> {
        self.job(job).map(Job::stored)
    }

    fn job(&self, job: JobId) -> Option<&Job> {
        self.jobs.get(&job).or_else(|| self.over.get(job))
    }

    /// The peers that are connected or banned.
    #[must_use]
    pub fn peer_views(&self) -> Vec<PeerView> {
        let mut views = self.core.peers.views(self.core.time());
        for view in &mut views {
            view.groups = self.core.common_groups(view.peer).map(|group| group.to_string()).collect();
            view.member = !view.groups.is_empty();
            let holding = self.files.values().filter(|job| job.sources.contains_key(&view.peer)).count();
            view.held = u32::try_from(holding).unwrap_or(u32::MAX);
        }
        views
    }

    /// What attestors of the group signed, as far as this node knows.
    #[must_use]
    pub fn attestations(&self) -> Vec<AttestationView> {
        self.core.attestation_views()
    }

    /// Whether a void that is handed in would count.
    ///
    /// # Errors
    /// Why it would not.
    pub fn check_void(&self, void: &Void) -> Result<(), AttestFault> {
        self.core.check_void(void)
    }

    /// Who is refused, and who was: to be kept for the next run.
    #[must_use]
    pub fn bans(&self) -> Vec<KeptBan> {
        self.core.peers.kept_bans(self.core.time())
    }

    /// Links whose strangers are not listened to, and until when (CLAIM-12).
    #[must_use]
    pub fn blown_links(&self) -> Vec<BlownLink> {
        self.core.blown_links()
    }

    /// What is held against strangers on links: to be kept for the next run.
    #[must_use]
    pub fn fuses(&self) -> Vec<KeptFuse> {
        self.core.fuse.kept(self.core.time())
    }

    /// The computer's permissions that hold, whoever said so (PEER-5).
    #[must_use]
    pub const fn flags(&self) -> PeerFlags {
        self.core.flags
    }

    /// Why this node's token in a group was not renewed though it is time, as far as is known.
    #[must_use]
    pub fn renewal_fault(&self, group: GroupId) -> Option<renew::RenewalFault> {
        self.core.renewal_fault(group)
    }

    /// What the computer prefers; it holds where no policy says otherwise (PEER-4).
    #[must_use]
    pub const fn preferred_flags(&self) -> PeerFlags {
        self.core.config.flags
    }

    /// What holds for jobs.
    #[must_use]
    pub const fn policy(&self) -> &Effective {
        &self.core.config.policy
    }

    /// Bytes since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let banned_peers = self.core.peers.banned_count(self.core.time());
        Totals { banned_peers, ..self.core.totals }
    }

    fn flags_changed(&mut self, preference: PeerFlags) {
        self.core.config.flags = preference;
        self.permissions_changed();
    }

    /// Preference or policy is another one; jobs are affected if what holds is (PEER-9).
    fn permissions_changed(&mut self) {
        let flags = self.core.config.policy.peers.flags(self.core.config.flags);
        let before = std::mem::replace(&mut self.core.flags, flags);
        if before == flags {
            return;
        }
        if before.server && !flags.server {
            self.core.stop_serving();
        }
        if flags.server && !before.server {
            self.shelf().serve_again();
        }
        self.with_all(Heed::Now, JobFile::flags_changed);
        let toggled = before.client != flags.client;
        for job in self.jobs.values_mut().filter(|job| toggled && job.spec.flags.client) {
            job.flags_toggled(&mut self.core);
            self.touched.insert(job.id);
        }
    }

    /// The answer to an effect with an id.
    fn answer(&mut self, input: Input) {
        let Some(id) = effect_of(&input) else { return };
        let owner = match self.core.askers.remove(&id) {
            Some(Asker::File(owner)) => owner,
            Some(Asker::Job(job)) => {
                if let Input::JobPersisted { outcome, .. } = input {
                    self.persisted(job, id, outcome);
                }
                return;
            }
            Some(Asker::List { peer, content, part }) => {
                if let Input::ListRead { values, .. } = input {
                    self.core.list_read(peer, content, part, values);
                }
                return;
            }
            None => return,
        };
        let core = &mut self.core;
        let Some(file) = self.files.get_mut(&owner) else { return };
        file.heed(Heed::Now, core);
        if let Input::Probed { outcome, .. } = input {
            file.probed(id, outcome, core);
            return;
        }
        if !file.answered(id) {
            return;
        }
        match input {
            Input::DigestsFetched { outcome, .. } => file.digests_fetched(outcome, core),
            Input::PartOpened { outcome, .. } => file.opened(outcome, core),
            Input::PartReset { outcome, .. } => file.part_reset(outcome, core),
            Input::Sealed { outcome, .. } => file.seal_ended(outcome, core),
            Input::Delivered { outcome, .. } => file.delivered(outcome, core),
            Input::PartDropped { outcome, .. } => file.dropped(outcome, core),
            Input::ListRecalled { list, .. } => file.list_recalled(list),
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
            } else if let Some(id) = self.touched.pop_first() {
                self.step(id);
            } else if std::mem::take(&mut self.core.attests.fallen.is_news) {
                self.look_at_vouched();
            } else if std::mem::take(&mut self.core.requeue) {
                self.give_turns();
            } else {
                break;
            }
        }
        self.shelf().tell_haves();
        self.core.tell_serve_pace();
        self.tell_records();
        self.tend_inquiries();
    }

    fn advance(&mut self, id: FileId) {
        let Some(file) = self.files.get_mut(&id) else { return };
        file.look(&mut self.core);
        self.touched.insert(id.job);
        let is_delivered = |file: &JobFile| file.stage == Stage::Over && file.state == JobState::Acknowledged;
        if is_delivered(file) && !std::mem::replace(&mut file.is_listed, true) {
            self.core.peers.forget_file(id);
            self.core.sealed_open.remove(&id);
            self.ended_files.push_back(id);
        }
        while self.ended_files.len() > ENDED_FILES_MAX {
            let oldest =
                self.ended_files.pop_front().filter(|id| self.files.get(id).is_some_and(is_delivered));
            if let Some(file) = oldest.and_then(|id| self.files.remove(&id))
                && let Some(job) = self.jobs.get_mut(&file.id.job)
            {
                job.absorb(&file);
            }
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
        | Input::DigestsFetched { id, .. }
        | Input::PartOpened { id, .. }
        | Input::PartReset { id, .. }
        | Input::Probed { id, .. }
        | Input::Sealed { id, .. }
        | Input::Delivered { id, .. }
        | Input::PartDropped { id, .. }
        | Input::ListRecalled { id, .. }
        | Input::ListRead { id, .. } => Some(*id),
        _ => None,
    }
}
