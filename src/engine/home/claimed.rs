//! What members say they fetch, and for how long that is left to them (HOME-3).
//!
//! Knows: claims of segments, how they end. Does not know: who is the home of what (`order`), what this node fetches.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use peer_proto::wire::SegmentClaim;

use super::super::grid::UNIT_LEN;
use super::super::mutant::Mutant;
use super::super::piece_set::PieceSet;
use super::{CLAIM_AGE_MAX, Home, Member, SUSPENDED_FOR, lasting, overlap};

/// What was claimed before is here within this, or free.
const ENDS_WITHIN: Duration = Duration::from_secs(1);
/// Claims of one member that are remembered until something comes of them.
const OWED_MAX: usize = 32;

/// What a member says it fetches.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) number: u32,
    pub(super) pieces: Range<u32>,
    pub(super) from_back: bool,
    /// Bytes per second its author told; zero if it told none.
    pub(super) rate: u64,
    since: Instant,
    /// When something came of it last; if nothing did, when it was made.
    moved: Instant,
    /// What its author claimed before, and when, as long as nothing comes of it or of what it claimed later: the oldest first.
    /// In a large site what was read arrives when its reader is at the next segments already.
    owed: VecDeque<(Range<u32>, Instant)>,
    /// What it claimed before this and when that was over: it claims the next pieces while the last ones are on their way.
    ending: Option<(Range<u32>, Instant)>,
}

impl Claim {
    /// Since when nothing came of this or of what was claimed before it: who claims one after the other and brings nothing
    /// has one claim, and that is as old as the first.
    fn quiet_since(&self) -> Instant {
        self.owed.front().map_or(self.moved, |(_, at)| *at)
    }

    /// When it was made, or the first of those before it of which nothing came.
    fn made(&self) -> Instant {
        self.owed.front().map_or(self.since, |(_, at)| *at)
    }

    /// Pieces its author read are here: what it claimed up to these was no empty word.
    pub(super) fn came(&mut self, pieces: &Range<u32>, now: Instant) {
        if overlap(&self.pieces, pieces) {
            self.moved = now;
            self.owed.clear();
        } else if let Some(last) = self.owed.iter().rposition(|(owed, _)| overlap(owed, pieces)) {
            self.owed.drain(..=last);
        }
    }

    /// What is owed when its author makes the next claim.
    fn owed_then(&self) -> VecDeque<(Range<u32>, Instant)> {
        let mut owed = self.owed.clone();
        if self.moved == self.since && owed.len() < OWED_MAX {
            owed.push_back((self.pieces.clone(), self.since));
        }
        owed
    }
}

impl Home {
    /// A member says what it fetches now; of what it fetched before only what
    /// is on its way is left to it. A claim counts if its author may fetch and
    /// it is of one segment: nobody keeps the others from the rest of the file by a word.
    pub fn claimed(&mut self, peer: PeerId, claim: &SegmentClaim, now: Instant) {
        let before = self.claims.get(&peer);
        let is_old = before.is_some_and(|open| open.number >= claim.number);
        let pieces = claim.pieces.clone();
        let is_one = pieces.end <= self.grid.segment_of(pieces.start).end;
        if is_old || !is_one || !self.may_claim(peer, now) {
            return;
        }
        let owed = before.map(Claim::owed_then).unwrap_or_default();
        let at_front = |claim: &Claim| !claim.from_back && overlap(&claim.pieces, &pieces);
        let is_taken = self.claims.iter().any(|(other, claim)| *other != peer && at_front(claim));
        if let Some(own) = &mut self.own
            && own.from_back == claim.from_back
            && overlap(&own.pieces, &pieces)
            && !(own.from_back && is_taken)
        {
            // Both began at the same end: the lighter one goes on from the other.
            let segment = own.pieces.start / self.grid.segment();
            let is_lighter = self.key.weight(self.me, segment) < self.key.weight(peer, segment);
            own.from_back ^= is_lighter;
        }
        let ending = before.map(|open| (open.pieces.clone(), now));
        let (number, from_back) = (claim.number, claim.from_back);
        let rate = u64::from(claim.rate_kib).saturating_mul(1_024);
        let claim = Claim { number, pieces, from_back, rate, since: now, moved: now, owed, ending };
        self.claims.insert(peer, claim);
    }

    /// Whether what a member says it fetches is left to it: not if it said that it cannot fetch, if two of its claims
    /// brought nothing or one took far too long, or if it is a stranger where members of this node's group are.
    fn may_claim(&self, peer: PeerId, now: Instant) -> bool {
        let is_able = |member: &Member| member.fetches && member.barred_until <= now;
        self.is_member(peer) && self.counts(peer) && self.members.get(&peer).is_some_and(is_able)
    }

    pub(super) fn void_claims(&mut self, open: &PieceSet, now: Instant) {
        let mut void: Vec<(PeerId, bool)> = Vec::new();
        let stalls_after = self.stalls_after(now);
        self.claims
            .retain(|_, claim| open.next_at(claim.pieces.start).is_some_and(|next| next < claim.pieces.end));
        for claim in self.claims.values_mut() {
            claim.ending.take_if(|(_, at)| now.since(*at) >= ENDS_WITHIN);
        }
        for (peer, claim) in &self.claims {
            let rate = self.rate(*peer, now);
            let unit = lasting(UNIT_LEN, rate);
            let stalls = now.since(claim.quiet_since()) >= stalls_after.max(unit * 4);
            let expected = lasting(self.grid.len_of(&claim.pieces), rate);
            let is_old = now.since(claim.made()) >= CLAIM_AGE_MAX.max(expected * 8);
            if (stalls || is_old) && !Mutant::ClaimsNeverEnd.lives() {
                void.push((*peer, is_old));
            }
        }
        for (peer, is_old) in void {
            self.claims.remove(&peer);
            self.failed.insert(peer);
            if let Some(member) = self.members.get_mut(&peer) {
                member.voided += 1;
                if is_old || member.voided >= 2 {
                    member.suspended_until = now.after(SUSPENDED_FOR);
                    member.barred_until = member.suspended_until;
                } else {
                    member.suspended_until = Instant::NEVER;
                }
            }
        }
    }

    /// Whether somebody else is at these pieces, by what he says.
    pub(super) fn is_claimed(&self, pieces: &Range<u32>) -> bool {
        let ends = |claim: &Claim| claim.ending.as_ref().is_some_and(|(ending, _)| overlap(ending, pieces));
        self.claims.values().any(|claim| overlap(&claim.pieces, pieces) || ends(claim))
    }
}
