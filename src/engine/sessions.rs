//! What sessions with peers have to say, and whom it concerns.
//!
//! Knows: which event belongs to which files. Does not know: how sessions work (`peer_proto::session`), what files make
//! of it.

use peer_proto::batch::Batch;
use peer_proto::content::ContentId;
use peer_proto::group::Token;
use peer_proto::limits::CONTENTS_PER_PEER_MAX;
use peer_proto::peer::PeerId;
use peer_proto::session::SessionEvent;
use peer_proto::time::Instant;
use peer_proto::wire::{Record, RecordHead};

use super::Engine;
use super::core::Core;
use super::look::Heed;
use crate::job::FileId;

impl Engine {
    pub(super) fn session_event(&mut self, peer: PeerId, event: SessionEvent) {
        match event {
            SessionEvent::Ready => self.peer_is_ready(peer),
            SessionEvent::Found { key, answer } => {
                let asked = self.core.peers.get_mut(peer).and_then(|peer| peer.asks.remove(&key));
                self.with_file(asked, |file, core| file.answered_by(peer, answer, core));
            }
            SessionEvent::HaveChanged { content } => {
                self.core.peers.bound_haves(peer);
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
            SessionEvent::Interested { id, proof, len, fetches, group } => {
                if let Some(peer) = self.core.peers.get_mut(peer) {
                    peer.turned_away |= !peer.near;
                }
                let job = self.shelf().swarm_of(peer, id, &proof);
                self.with_file(job, |file, core| file.member_joined(peer, len, fetches, group, core));
            }
            SessionEvent::Withdrew { swarm } => self.withdrew(peer, swarm),
            SessionEvent::PiecesClaimed(claim) => {
                self.with_swarm(claim.swarm, |file, core| file.pieces_claimed(peer, &claim, core));
            }
            SessionEvent::SegmentClaimed(claim) => {
                self.with_swarm(claim.swarm, |file, core| file.segment_claimed(peer, &claim, core.time()));
            }
            SessionEvent::TokenShown(token) => self.token_shown(peer, &token),
            SessionEvent::RecordsShown(records) => self.records_shown(peer, &records),
            SessionEvent::AttestWanted { number, id } => self.attest_wanted(peer, number, id),
            SessionEvent::BatchesShown(list) => self.batches_shown(peer, &list),
            SessionEvent::AttestationsShown { number, list } => {
                let file = self.core.attests.answered(peer, number);
                self.with_file(file, |file, core| file.attestations_shown(peer, &list, core));
            }
            SessionEvent::AgainstShown(against) => self.core.against_shown(peer, against),
            SessionEvent::HandedOn(said) => self.core.handed_on(peer, said),
            SessionEvent::Registered { port } => self.core.registered(peer, port),
            SessionEvent::PeersNamed(named) => self.core.peers_named(peer, &named),
            SessionEvent::Cancelled { request } => self.core.cancelled(peer, request),
            SessionEvent::Left { .. } => self.leave_peer(peer),
            SessionEvent::Failed(error) => self.core.back_off(peer, &error.to_string()),
        }
    }

    /// A peer wants a file no more, or has it.
    fn withdrew(&mut self, peer: PeerId, swarm: ContentId) {
        if let Some(peer) = self.core.peers.get_mut(peer) {
            peer.granted.remove(&swarm);
        }
        self.with_swarm(swarm, |file, core| {
            file.member_left(peer, core.time());
            Heed::Soon
        });
    }

    /// A peer shows that it is a member: whoever was not asked as a stranger may be asked now.
    fn token_shown(&mut self, peer: PeerId, token: &Token) {
        self.core.token_shown(peer, token);
        self.with_all(Heed::Soon, |file, _| file.ask_at = Instant::ZERO);
    }

    /// A member asks for what attestors say: first of what they read now, so that it need not ask its origin meanwhile.
    fn attest_wanted(&mut self, peer: PeerId, number: u32, id: [u8; 32]) {
        self.core.stream_wanted(peer, number, id);
        let reads = self.files.values().find(|file| file.would_stream(&id, &self.core));
        let reads = reads.map(|file| file.id);
        self.with_file(reads, |file, core| {
            file.tend_stream(core);
            Heed::Now
        });
        self.core.attest_wanted(peer, number, id);
    }

    /// A member shows what attestors read now: of what files here want it is looked at.
    fn batches_shown(&mut self, peer: PeerId, list: &[Batch]) {
        for batch in list {
            let said = batch.said();
            let files = self.files.values().filter(|file| file.is_about(&said.url, &said.version));
            let about: Vec<FileId> = files.map(|file| file.id).collect();
            let is_members = self.core.is_member_of(peer, said.group);
            if about.is_empty() || !is_members || !self.core.batch_shown(peer, batch) {
                continue;
            }
            about.into_iter().for_each(|file| self.with_file(Some(file), |_, _| Heed::Soon));
        }
    }

    fn peer_is_ready(&mut self, peer: PeerId) {
        if let Some(peer) = self.core.peers.get_mut(peer) {
            peer.ready = true;
        }
        self.core.show_ticket(peer);
        self.core.register(peer);
        self.with_all(Heed::Soon, |file, _| file.ask_at = Instant::ZERO);
    }

    /// A neighbour that is a member passes on what members say.
    fn records_shown(&mut self, peer: PeerId, records: &[Record]) {
        for record in records {
            let RecordHead { author, swarm, group, .. } = *record.head();
            if !self.core.is_member_of(peer, group) {
                continue;
            }
            if !self.core.may_look_at(peer) {
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
    pub(super) fn tell_records(&mut self) {
        if self.core.flood_wake() <= self.core.time() {
            self.files.values_mut().for_each(|job| job.say_unsaid(&mut self.core));
            self.core.flush_records();
        }
    }
}
