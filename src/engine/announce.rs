//! What members of a swarm are told: that this node is there, what it read from the origin, what it fetches now.
//!
//! Knows: who was told what. Does not know: what follows from it (`swarm`).

use std::collections::BTreeMap;

use peer_proto::content::{ContentId, Hash};
use peer_proto::peer::PeerId;
use peer_proto::wire::SegmentClaim;

use super::core::Core;
use super::file::JobFile;
use super::home::OwnClaim;
use super::mutant::Mutant;
use super::swarm::Swarm;
use crate::job::FileId;

/// A claim as it is told, with what the origin gives this node, in bytes per second.
pub(super) fn told(swarm: &Swarm, claim: &OwnClaim, rate: u64) -> SegmentClaim {
    SegmentClaim {
        swarm: swarm.id,
        number: claim.number,
        pieces: claim.pieces.clone(),
        from_back: claim.from_back,
        rate_kib: u32::try_from(rate / 1_024).unwrap_or(u32::MAX),
    }
}

impl Core {
    /// Tells a peer that this node wants the file, once, or again if something changed. `true` if it was told.
    pub(super) fn join(&mut self, id: PeerId, swarm: &Swarm, again: bool) -> bool {
        // Where members are present strangers hold no home (HOME-2), nor do members for strangers.
        let is_member = swarm.group.is_some_and(|group| self.is_member_of(id, group));
        let fetches = swarm.fetches && (is_member || !swarm.home.has_kin());
        let Some(peer) = self.peers.get_mut(id) else { return false };
        if !peer.ready || Mutant::TellsNobody.lives() || (!peer.joined.insert(swarm.id) && !again) {
            return false;
        }
        // Its token may be on its way: kin is told in which group.
        peer.session.join_in(swarm.group, &swarm.digest, swarm.id.len, fetches);
        self.pump(id);
        true
    }

    /// Those in a swarm who are told each by itself: members of its group tell it to one another.
    pub(super) fn strangers_of(swarm: &Swarm) -> Vec<PeerId> {
        let is_told = |peer: &PeerId| swarm.circle.is_none() || !swarm.home.is_kin(*peer);
        swarm.home.others().filter(is_told).collect()
    }

    pub(super) fn leave(&mut self, swarm: ContentId) {
        for id in self.peers.ready() {
            let Some(peer) = self.peers.get_mut(id) else { continue };
            peer.granted.remove(&swarm);
            if peer.joined.remove(&swarm) {
                peer.session.leave(swarm);
                self.pump(id);
            }
        }
    }

    pub(super) fn grant(&mut self, id: PeerId, swarm: ContentId) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.granted.insert(swarm);
        }
    }

    pub(super) fn claim_pieces(&mut self, id: PeerId, swarm: ContentId, first: u32, values: &[Hash]) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.session.claim_pieces(swarm, first, values);
        }
        self.pump(id);
    }

    pub(super) fn claim_segment(&mut self, id: PeerId, claim: SegmentClaim) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.session.claim_segment(claim);
        }
        self.pump(id);
    }

    /// The job in whose swarm this content stands for the file.
    pub(super) fn swarm_job(jobs: &BTreeMap<FileId, JobFile>, content: ContentId) -> Option<&JobFile> {
        jobs.values().find(|job| job.is_swarm(content))
    }
}

impl JobFile {
    /// Tells a new member what this node fetches right now, and what it did before: the end of that may be to come.
    pub(super) fn tell_own_claim(&self, peer: PeerId, core: &mut Core) {
        let Some(swarm) = &self.swarm else { return };
        for own in swarm.home.own_claims() {
            core.claim_segment(peer, told(swarm, own, self.origin.speed.usual()));
        }
    }
}
