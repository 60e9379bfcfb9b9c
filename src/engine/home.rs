//! Origin once per site: which member of a swarm fetches what from the origin, without a coordinator.
//!
//! Everybody computes the same order from the digest and the ids of those who are there; claims settle the rest. Pure:
//! it is told who is there, who claims and what came of it, and says what this node should fetch next. Knows: ranks,
//! homes, segment claims, who stalls (HOME-1..4). Does not know: leases, sessions, who is believed.

mod claimed;
mod order;
mod patience;
mod strands;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use peer_proto::content::Geometry;
use peer_proto::home::HomeKey;
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

use super::chance::Chance;
use super::grid::{Grid, UNIT_LEN};
use super::mutant::Mutant;
use super::pace::{Meter, per_second};
use super::piece_set::PieceSet;

use self::claimed::Claim;
pub use self::patience::Patience;

/// Members that may fetch from the origin at a time: so many flows fill a line as well as a thousand.
pub const FETCHERS: usize = 8;
/// Members of one swarm that count, strangers with a session each (HOME-1).
pub const MEMBERS_MAX: usize = 64;
/// A claim of which nothing comes for so long is void.
pub const CLAIM_STALLS: Duration = Duration::from_secs(3);
/// A claim is void at this age, or at eight times what it should take, whatever comes of it.
pub const CLAIM_AGE_MAX: Duration = Duration::from_secs(8);
/// How long a member is left out that was slow or held a claim too long.
pub const SUSPENDED_FOR: Duration = Duration::from_secs(30);
/// A home that would need longer than this for what it has left is helped, whatever the line.
pub const BACKLOG_MAX: Duration = Duration::from_secs(2);
/// On a fast line it is helped sooner: from here on, if it is so many units. At the end of a file few fetch, and their ports
/// are full of what they take from others.
const HELPED_FROM: Duration = Duration::from_millis(250);
const HELPED_FROM_UNITS: u32 = 8;
const IDLE: Duration = Duration::from_millis(50);
const RATE_WINDOW: Duration = Duration::from_secs(3);
/// A rate for members that were not measured yet.
const RATE_ASSUMED: u64 = 1024 * 1024;

/// Somebody of the swarm.
#[derive(Clone, Debug)]
struct Member {
    rank: u64,
    fetches: bool,
    /// Not a fetcher before then.
    suspended_until: Instant,
    /// Nothing is left to it before then, whatever it claims.
    barred_until: Instant,
    /// When it became a fetcher, if it is one.
    fetcher_since: Option<Instant>,
    /// When pieces it read from the origin were stated last.
    moved: Option<Instant>,
    meter: Meter,
    voided: u32,
}

/// What this node is at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnClaim {
    /// Its number, as it is told.
    pub number: u32,
    /// The pieces of the segment.
    pub pieces: Range<u32>,
    /// Whether they are fetched from the end.
    pub from_back: bool,
}

/// What this node should fetch now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Work {
    /// The pieces of one request.
    pub pieces: Range<u32>,
    /// A claim to tell the others first, if it is a new one.
    pub claim: Option<OwnClaim>,
    /// Why, for people.
    pub why: &'static str,
}

/// One file's homes, as this node sees them.
#[derive(Clone, Debug)]
pub struct Home {
    key: HomeKey,
    me: PeerId,
    grid: Grid,
    members: BTreeMap<PeerId, Member>,
    /// Those of them that are in this node's group. If there are any, nobody else holds a home (HOME-2).
    kin: BTreeSet<PeerId>,
    /// When the next suspension ends, as of the last ranking.
    back_at: Instant,
    claims: BTreeMap<PeerId, Claim>,
    own: Option<OwnClaim>,
    /// What it was at before; the last pieces of it may be on their way.
    own_before: Option<OwnClaim>,
    own_rate: u64,
    next_number: u32,
    idle_until: Instant,
    patience: Patience,
    /// Connections this node has with the origin.
    connections: u32,
    /// Members that claimed or should have fetched, and did not.
    failed: BTreeSet<PeerId>,
    fetchers: Vec<PeerId>,
    /// For each fetcher, its segments in the order in which it takes them.
    orders: BTreeMap<PeerId, Vec<u32>>,
}

impl Home {
    /// A swarm in which this node is alone.
    #[must_use]
    pub fn new(key: HomeKey, me: PeerId, geometry: &Geometry, fetches: bool, now: Instant) -> Self {
        let mut home = Self {
            key,
            me,
            grid: Grid::of(geometry),
            members: BTreeMap::new(),
            kin: BTreeSet::new(),
            back_at: Instant::NEVER,
            claims: BTreeMap::new(),
            own: None,
            own_before: None,
            own_rate: 0,
            next_number: 1,
            idle_until: Instant::ZERO,
            patience: Patience::Kept,
            connections: 1,
            failed: BTreeSet::new(),
            fetchers: Vec::new(),
            orders: BTreeMap::new(),
        };
        home.members.insert(me, home.member(me, fetches));
        home.rank(now);
        home
    }

    /// How the file is cut.
    #[must_use]
    pub const fn grid(&self) -> Grid {
        self.grid
    }

    /// Whether somebody else is there.
    #[must_use]
    pub fn has_company(&self) -> bool {
        self.members.len() > 1
    }

    /// How many others are there.
    #[must_use]
    pub fn company(&self) -> usize {
        self.members.len().saturating_sub(1)
    }

    /// Whether a peer is a member.
    #[must_use]
    pub fn is_member(&self, peer: PeerId) -> bool {
        peer != self.me && self.members.contains_key(&peer)
    }

    /// Everybody else.
    pub fn others(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.members.keys().copied().filter(|member| *member != self.me)
    }

    /// Those who may ask the origin now.
    #[must_use]
    pub fn fetchers(&self) -> &[PeerId] {
        &self.fetchers
    }

    fn member(&self, peer: PeerId, fetches: bool) -> Member {
        Member {
            rank: self.key.rank(peer),
            fetches,
            suspended_until: Instant::ZERO,
            barred_until: Instant::ZERO,
            fetcher_since: None,
            moved: None,
            meter: Meter::default(),
            voided: 0,
        }
    }

    /// Somebody is there, or says anew whether it can fetch. `true` if it was not there before.
    pub fn joined(&mut self, peer: PeerId, fetches: bool, now: Instant) -> bool {
        let is_new = !self.members.contains_key(&peer);
        if is_new && self.members.len() - self.kin.len() > MEMBERS_MAX {
            return false;
        }
        let fresh = self.member(peer, fetches);
        self.members.entry(peer).or_insert(fresh).fetches = fetches;
        if !fetches {
            self.claims.remove(&peer);
        }
        self.rank(now);
        is_new
    }

    /// Somebody went.
    pub fn left(&mut self, peer: PeerId, now: Instant) {
        if peer != self.me && self.members.remove(&peer).is_some() {
            self.claims.remove(&peer);
            self.kin.remove(&peer);
            self.rank(now);
        }
    }

    /// A member stated pieces it read from the origin.
    pub fn progressed(&mut self, peer: PeerId, pieces: &Range<u32>, now: Instant) {
        let len = self.grid.len_of(pieces);
        let Some(member) = self.members.get_mut(&peer) else { return };
        member.moved = Some(now);
        member.voided = 0;
        member.meter.add(len, now);
        let was_silent = member.suspended_until == Instant::NEVER;
        if was_silent {
            member.suspended_until = Instant::ZERO;
        }
        self.failed.remove(&peer);
        if let Some(claim) = self.claims.get_mut(&peer) {
            claim.came(pieces, now);
        }
        if was_silent {
            self.rank(now);
        }
    }

    /// This node can fetch from the origin, or cannot.
    pub fn set_fetches(&mut self, fetches: bool, now: Instant) {
        if let Some(me) = self.members.get_mut(&self.me) {
            me.fetches = fetches;
        }
        self.rank(now);
    }

    /// What this node's origin gives it now, in bytes per second.
    pub const fn set_own_rate(&mut self, rate: u64) {
        self.own_rate = rate;
    }

    /// This node is in the middle of this segment already, for which nobody was there to be told.
    pub fn take_over(&mut self, pieces: Range<u32>) {
        self.own = Some(OwnClaim { number: self.next_number, pieces, from_back: false });
        self.next_number += 1;
    }

    /// What this node fetches by its own claim.
    #[must_use]
    pub const fn own(&self) -> Option<&OwnClaim> {
        self.own.as_ref()
    }

    /// The claim before that one, and that one: what a new member is told.
    pub fn own_claims(&self) -> impl Iterator<Item = &OwnClaim> {
        self.own_before.iter().filter(|_| self.own.is_some()).chain(&self.own)
    }

    /// Ends claims that stall or are too old, and leaves out members that give nothing or far less than others. `open`
    /// are the pieces that nobody has.
    pub fn judge(&mut self, open: &PieceSet, now: Instant) {
        self.void_claims(open, now);
        self.suspend_slow(open, now);
        self.rank(now);
    }

    fn suspend_slow(&mut self, open: &PieceSet, now: Instant) {
        let others: Vec<PeerId> = self.fetchers.iter().copied().filter(|peer| *peer != self.me).collect();
        let mut rates: Vec<u64> = others.iter().map(|peer| self.rate(*peer, now)).collect();
        rates.sort_unstable();
        let median = rates.get(rates.len() / 2).copied().unwrap_or(0);
        let stalls_after = self.stalls_after(now);
        for peer in others {
            let works = self.claims.contains_key(&peer)
                || self
                    .orders
                    .get(&peer)
                    .is_some_and(|own| own.iter().any(|segment| self.has_open(*segment, open)));
            let rate = self.rate(peer, now);
            let Some(member) = self.members.get_mut(&peer) else { continue };
            let Some(since) = member.fetcher_since else { continue };
            let at_work = now.since(member.moved.unwrap_or(since).max(since));
            if works && at_work >= stalls_after {
                member.suspended_until = Instant::NEVER;
                self.failed.insert(peer);
            } else if works && now.since(since) >= CLAIM_STALLS * 2 && rate < median / 5 && rates.len() >= 2 {
                member.suspended_until = now.after(SUSPENDED_FOR);
            }
        }
    }

    /// How long nothing may come of a claim: on a line so narrow that a piece takes longer than a second, three pieces. Who
    /// reads nothing himself takes the others to share alike what comes of all of them.
    pub(super) fn stalls_after(&self, now: Instant) -> Duration {
        let piece = self.grid.len_of(&(0..1));
        let shared = self.share(now).map_or(Duration::ZERO, |share| lasting(piece, share));
        (self.takes_itself(piece).max(shared) * 3).clamp(CLAIM_STALLS, SUSPENDED_FOR)
    }

    fn has_open(&self, segment: u32, open: &PieceSet) -> bool {
        let pieces = self.grid.pieces_of(segment);
        open.next_at(pieces.start).is_some_and(|piece| piece < pieces.end)
    }

    /// When something may be due though nothing happens.
    #[must_use]
    pub fn wake(&self, now: Instant) -> Instant {
        let later = |at: Instant| if at > now { at } else { Instant::NEVER };
        later(self.idle_until).min(later(self.back_at)).min(now.after(CLAIM_STALLS / 4))
    }

    /// Bytes per second a member reads from the origin, as far as it is known.
    fn rate(&self, peer: PeerId, now: Instant) -> u64 {
        if peer == self.me {
            return self.own_rate.max(1);
        }
        let measured = self.members.get(&peer).map_or(0, |member| {
            let since = member.fetcher_since.unwrap_or(now);
            let window = now.since(since).clamp(Duration::from_millis(500), RATE_WINDOW);
            per_second(member.meter.bytes(window, now), window)
        });
        let told = self.claims.get(&peer).map_or(0, |claim| claim.rate);
        let known = [measured, told, self.own_rate].into_iter().find(|rate| *rate > 0);
        known.or_else(|| self.share(now)).unwrap_or(RATE_ASSUMED)
    }

    /// What to fetch next; `open` are the pieces nobody has and this node does not fetch already.
    pub fn next(&mut self, open: &PieceSet, now: Instant, chance: &mut Chance) -> Option<Work> {
        if let Some(work) = self.go_on(open, now) {
            return Some(work);
        }
        self.own_before = self.own.take().or(self.own_before.take());
        if !self.may_fetch() {
            return None;
        }
        if let Some(segment) = self.own_segment(open) {
            return self.begin(segment, false, open, "origin once per site: this node is its home", now);
        }
        if (!self.fetchers.contains(&self.me) || self.patience != Patience::Kept)
            && let Some(segment) = self.any_segment(open, chance)
        {
            let why = match self.patience {
                Patience::Kept => "origin once per site: those who should fetch it do not",
                Patience::Over => "origin once per site: what the others have comes too slowly",
                Patience::Lost => "origin once per site: the origin alone would have given more by now",
            };
            return self.begin(segment, false, open, why, now);
        }
        if self.idle_until > now {
            return None;
        }
        let fifth = u32::try_from(IDLE.as_micros() / 5).unwrap_or(1);
        self.idle_until = now.after(IDLE * 4 / 5 + Duration::from_micros(u64::from(chance.below(2 * fifth))));
        if chance.below(10) < 3
            && let Some(segment) = self.late_segment(open, now, chance)
        {
            return self.begin(segment, true, open, "origin once per site: its home is late", now);
        }
        if chance.below(10) < 1
            && let Some((pieces, from_back)) = self.last_claim(open, now)
        {
            return self.begin(pieces, from_back, open, "origin once per site: the last ones are late", now);
        }
        None
    }

    /// The next pieces of the own claim.
    fn go_on(&self, open: &PieceSet, now: Instant) -> Option<Work> {
        let own = self.own.as_ref()?;
        let pieces = self.request(own, open, now)?;
        Some(Work { pieces, claim: None, why: "origin once per site: its segment goes on" })
    }

    fn begin(
        &mut self,
        pieces: Range<u32>,
        from_back: bool,
        open: &PieceSet,
        why: &'static str,
        now: Instant,
    ) -> Option<Work> {
        let own = OwnClaim { number: self.next_number, pieces, from_back };
        let pieces = self.request(&own, open, now)?;
        self.next_number += 1;
        self.own = Some(own.clone());
        Some(Work { pieces, claim: Some(own), why })
    }

    /// One request inside a claim: from the front, a run up to where another claimant is; from the back, a unit.
    fn request(&self, own: &OwnClaim, open: &PieceSet, now: Instant) -> Option<Range<u32>> {
        let mut left = own.pieces.clone();
        if let Some((theirs, needed)) = self.other_unit(&own.pieces, own.from_back, open, now)
            && !self.is_worth_twice(needed)
        {
            if own.from_back {
                left.start = left.start.max(theirs.end);
            } else {
                left.end = left.end.min(theirs.start);
            }
        }
        if left.start >= left.end {
            return None;
        }
        if !own.from_back {
            let run = open.run_at(left.start, self.share_of(&left))?;
            return (run.start < left.end).then(|| run.start..run.end.min(left.end));
        }
        let last = open.last_in(left.clone())?;
        let unit = self.grid.unit_of(last);
        let start = unit.start.max(left.start);
        // What is open of the unit, in one run up to its last open piece.
        let first = (start..=last).rev().take_while(|piece| open.contains(*piece)).last()?;
        Some(first..last + 1)
    }

    /// The unit another claimant of these pieces is on, and how long it needs for it.
    fn other_unit(
        &self,
        pieces: &Range<u32>,
        from_back: bool,
        open: &PieceSet,
        now: Instant,
    ) -> Option<(Range<u32>, Duration)> {
        let theirs = |claim: &&Claim| claim.from_back != from_back && overlap(&claim.pieces, pieces);
        let (peer, claim) = self.claims.iter().find(|(_, claim)| theirs(claim))?;
        let at = if claim.from_back {
            open.last_in(claim.pieces.clone())?
        } else {
            open.next_at(claim.pieces.start).filter(|piece| *piece < claim.pieces.end)?
        };
        Some((self.grid.unit_of(at), lasting(UNIT_LEN, self.rate(*peer, now))))
    }

    /// Whether a unit that another claimant needs so long for is fetched a second time: on a narrow line every unit takes
    /// long, and a second copy of it longer still.
    fn is_worth_twice(&self, needed: Duration) -> bool {
        needed > BACKLOG_MAX.max(self.takes_itself(UNIT_LEN) * 2)
    }

    /// How long the origin takes to give this node so many bytes; no time while that is not known.
    fn takes_itself(&self, len: u64) -> Duration {
        if self.own_rate > 0 { lasting(len, self.own_rate) } else { Duration::ZERO }
    }

    /// The first of the own segments with something to fetch that nobody else claims.
    fn own_segment(&self, open: &PieceSet) -> Option<Range<u32>> {
        let order = self.orders.get(&self.me)?;
        let free = |segment: &&u32| {
            self.has_open(**segment, open) && !self.is_claimed(&self.grid.pieces_of(**segment))
        };
        order.iter().find(free).map(|segment| self.grid.pieces_of(*segment))
    }

    /// Any segment with something to fetch that nobody claims; any at all once nothing is left to others' words.
    fn any_segment(&self, open: &PieceSet, chance: &mut Chance) -> Option<Range<u32>> {
        let from = chance.below(self.grid.segments());
        let segments = (from..self.grid.segments()).chain(0..from);
        let mut wanted = segments.filter(|segment| self.has_open(*segment, open)).peekable();
        let is_lost = self.patience == Patience::Lost && !Mutant::ClaimsNeverEnd.lives();
        let first = wanted.peek().copied().filter(|_| is_lost);
        let free = wanted.find(|segment| !self.is_claimed(&self.grid.pieces_of(*segment)));
        free.or(first).map(|segment| self.grid.pieces_of(segment))
    }

    /// The last segment of the home with the longest backlog, if that is too long.
    fn late_segment(&self, open: &PieceSet, now: Instant, chance: &mut Chance) -> Option<Range<u32>> {
        let mut latest: Option<(Duration, Range<u32>)> = None;
        for (home, order) in self.orders.iter().filter(|(home, _)| **home != self.me) {
            let free = |segment: &&u32| {
                self.has_open(**segment, open) && !self.is_claimed(&self.grid.pieces_of(**segment))
            };
            let left: Vec<u32> = order.iter().filter(free).copied().collect();
            let Some(last) = left.last() else { continue };
            let len: u64 = left.iter().map(|segment| self.grid.len_of(&self.grid.pieces_of(*segment))).sum();
            let rate = self.rate(*home, now);
            let backlog = lasting(len, rate);
            let most = (lasting(UNIT_LEN, rate) * HELPED_FROM_UNITS).clamp(HELPED_FROM, BACKLOG_MAX);
            let noisy = backlog * (70 + chance.below(61)) / 100;
            if backlog > most && latest.as_ref().is_none_or(|(longest, _)| noisy > *longest) {
                latest = Some((noisy, self.grid.pieces_of(*last)));
            }
        }
        latest.map(|(_, pieces)| pieces)
    }

    /// A claim that will last, where nothing unclaimed is left: it gets a second claimant, from its other end.
    fn last_claim(&self, open: &PieceSet, now: Instant) -> Option<(Range<u32>, bool)> {
        let lasts = |(peer, claim): &(&PeerId, &Claim)| {
            let left = self.grid.len_of(&(0..open.count_in(claim.pieces.clone())));
            let claimants =
                self.claims.values().filter(|other| overlap(&other.pieces, &claim.pieces)).count();
            claimants < 2 && lasting(left, self.rate(**peer, now)) > BACKLOG_MAX
        };
        self.claims.iter().find(lasts).map(|(_, claim)| (claim.pieces.clone(), !claim.from_back))
    }

    /// Where a request of this node that has come to `position` should end, if not at `end`: before what others have by
    /// now (`site`), and before the unit another claimant is on. Never inside the unit it is at.
    #[must_use]
    pub fn cut(
        &self,
        position: u32,
        end: u32,
        site: &PieceSet,
        open: &PieceSet,
        now: Instant,
    ) -> Option<u32> {
        let unit = self.grid.unit_of(position);
        let mut cut = site.next_at(unit.end).unwrap_or(end).min(end);
        if let Some(own) = &self.own {
            if own.from_back && own.pieces.contains(&position) {
                cut = cut.min(unit.end);
            }
            if let Some((theirs, needed)) = self.other_unit(&own.pieces, false, open, now)
                && !self.is_worth_twice(needed)
            {
                cut = cut.min(theirs.start.max(unit.end));
            }
        }
        (cut < end).then_some(cut)
    }
}

fn overlap(one: &Range<u32>, other: &Range<u32>) -> bool {
    one.start < other.end && other.start < one.end
}

fn lasting(len: u64, rate: u64) -> Duration {
    let millis = len.saturating_mul(1_000) / rate.max(1);
    Duration::from_millis(millis.min(3_600_000))
}

#[cfg(test)]
#[path = "home_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "home_late_tests.rs"]
mod late_tests;
