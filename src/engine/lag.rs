//! Whether what others have comes too slowly, and what of it might as well not be there.
//!
//! Knows: which sources give what they say, how fast all of them give, what the origin would (HOME-4, CLAIM-13), which late
//! leases others may bring too. Does not know: what is asked of the origin then (`swarm`, `plan`).

use std::time::Duration;

use peer_proto::content::Geometry;
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

use super::core::Core;
use super::file::JobFile;
use super::io::LeaseId;
use super::lease::{OpenLease, PeerSource, Purpose};
use super::pace::bytes_in;
use super::piece_set::PieceSet;
use super::planner::{LEASE_LEN_MIN, pieces_in};
use crate::job::Priority;

/// What a member has and does not give for so long counts as not there.
const MEMBER_GONE: Duration = Duration::from_millis(2_500);
/// What a source gives might as well not be there if it is less than so much of what the origin gives ...
const TRICKLE_SHARE: u64 = 8;
/// ... and less than this, in bytes per second: among many a member gives a small part of what the line does ...
const TRICKLE_MAX: u64 = 256 * 1024;
/// ... while it owes some for so long ...
pub(super) const TRICKLES_FROM: Duration = Duration::from_millis(1_500);
/// ... or for so long if not one piece of it ever came.
const NEVER_GAVE: Duration = Duration::from_millis(500);
/// What others have and this node lacks should be here within this.
const LAG_MAX: Duration = Duration::from_secs(2);
/// Others are judged by what they give when they have owed something for so long.
const JUDGED_FROM: Duration = Duration::from_millis(1_500);
/// What the site gives may be behind what the origin alone would by one part in so many ...
const BEHIND_SHARE: u64 = 20;
/// ... and by what it gives in so long.
const BEHIND_MAX: Duration = Duration::from_secs(1);
/// Nothing was fetched if it was not even looked at for so long.
const LOOKED_WITHIN: Duration = Duration::from_secs(2);

/// Since when a file is fetched with others, as far as it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began {
    at: Instant,
    /// What was there of it then.
    held: u64,
    /// When it was looked at last, which is ten times a second while it is fetched.
    looked_at: Instant,
}

impl OpenLease {
    /// Whether somebody else may bring its pieces too while its giver is late. What the origin is to decide nobody else can, and
    /// an origin that is slow to answer would be asked again and again.
    pub(super) fn may_have_a_second(&self) -> bool {
        !(self.is_from_origin() && matches!(self.purpose, Purpose::Check | Purpose::Repair))
    }
}

impl JobFile {
    /// Bytes per second that are too few to wait for, because the origin gives far more; zero if it gives none.
    pub(super) fn trickle(&self, now: Instant) -> u64 {
        // A job with a limit of its own is not slow because of its sources.
        let limit = self.wish.limit.map_or(u64::MAX, |limit| limit.get() / 2);
        let few = (self.origin_rate(now) / TRICKLE_SHARE).min(TRICKLE_MAX).min(limit);
        if self.origin.is_usable(now) { few } else { 0 }
    }

    /// Whether the origin is asked rather than waited for a trickle: with others, where somebody waits, and where what peers
    /// give rests on words (CLAIM-13).
    pub(super) fn is_in_a_hurry(&self, core: &Core) -> bool {
        let is_waited_for = self.wish.priority == Priority::Foreground;
        is_waited_for || self.claims.trusted.is_none() || self.fetches_together(core)
    }

    /// Whether what a source says it has counts as there: not if it is silent, gives a trickle, or failed last.
    fn gives(&self, source: &PeerSource, now: Instant) -> bool {
        let patience = if source.proven == 0 { NEVER_GAVE } else { TRICKLES_FROM };
        let is_slow = source.speed.trickles(patience, self.trickle(now), now);
        !is_slow && !source.speed.is_silent(MEMBER_GONE, now) && source.breaker.failures() == 0
    }

    /// Others may have the pieces of a late lease as well, and the first to bring one wins. A long request to the origin
    /// ends soon: if it is not late any more, it would bring all the rest a second time.
    pub(super) fn release(&mut self, id: LeaseId, core: &mut Core) {
        let can_go_on = self.origin.gives_ranges() && self.is_joinable();
        let Some(lease) = self.leases.get_mut(&id) else { return };
        lease.released = true;
        if let Some(cut) = self.geometry
            && lease.is_from_origin()
            && can_go_on
        {
            let end = lease.position(cut.piece_len()).saturating_add(pieces_in(&cut, LEASE_LEN_MIN));
            self.trim(id, end, core);
        }
    }

    /// Whether a list says what the pieces are, trusted or not.
    pub(super) fn follows_list(&self) -> bool {
        self.claims.trusted.is_some()
            || self.claims.active.is_some_and(|active| self.claims.is_accepted(active))
    }

    /// Whether a peer failed last: it is asked for little at a time, and others may be asked for the same.
    pub(super) fn is_only_tried(&self, peer: PeerId) -> bool {
        self.sources.get(&peer).is_some_and(|source| source.breaker.failures() > 0)
    }

    /// Pieces that some usable peer has, by what it says, and that may be taken: under a list, or by a value that
    /// reached this node.
    pub(super) fn in_site(&self, core: &Core) -> PieceSet {
        let now = core.time();
        let (mut site, mut stated) = (PieceSet::new(), PieceSet::new());
        for (id, source) in &self.sources {
            let is_member = self.is_swarm(source.content);
            let is_ours = is_member || self.claims.is_accepted(source.content);
            // What comes from it at a trickle, or not at all, had better be fetched again.
            if is_ours && self.gives(source, now) && core.peers.get(*id).is_some_and(|peer| peer.ready) {
                let pieces = if is_member { &mut stated } else { &mut site };
                pieces.union_with(&source.have);
            }
        }
        if let Some(swarm) = self.swarm.as_ref().filter(|_| !self.follows_list()) {
            stated.intersect_with(&swarm.stated.known());
        }
        site.union_with(&stated);
        site
    }

    /// What is to be had in the site and lacks here, if it is much and comes slower than the origin would give it
    /// (CLAIM-13, HOME-4).
    pub(super) fn lagging(&mut self, geometry: &Geometry, core: &Core) -> Option<PieceSet> {
        let now = core.time();
        let is_beside = self.runs_beside(core) && self.peers_speed.owing(now) >= JUDGED_FROM;
        let mut waiting = self.in_site(core);
        waiting.subtract(self.pieces.held());
        let soon = bytes_in(self.peers_speed.recent(now), LAG_MAX);
        let is_much = u64::from(waiting.count()).saturating_mul(geometry.piece_len()) > soon;
        (is_beside && is_much).then_some(waiting)
    }

    /// Whether less came of the file since it is fetched with others than the origin alone would have given this node
    /// (HOME-4). What is held back on this side is no fault of theirs, nor is a time in which nothing was fetched, because the
    /// origin was gone or this machine slept: they are measured anew then.
    pub(super) fn is_behind(&mut self, geometry: &Geometry, now: Instant) -> bool {
        let held = self.pieces.bytes(Some(geometry));
        let limit = self.wish.limit.map_or(u64::MAX, |limit| limit.get());
        let rate = self.origin.speed.known(now).min(limit);
        let held_back = self.peers_speed.excused().max(self.origin.speed.excused());
        let Some(swarm) = &mut self.swarm else { return false };
        let counts = |began: &Began| {
            held_back.is_none_or(|at| at < began.at) && now.since(began.looked_at) < LOOKED_WITHIN
        };
        let began = swarm.began.filter(counts).unwrap_or(Began { at: now, held, looked_at: now });
        swarm.began = Some(Began { looked_at: now, ..began });
        let came = held.saturating_sub(began.held);
        let alone = bytes_in(rate, now.since(began.at).saturating_sub(BEHIND_MAX));
        came.saturating_add(came / BEHIND_SHARE) < alone
    }
}
