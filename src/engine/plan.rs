//! Which source works on which gap now: peers first, the origin for what nobody holds, checks before trust.
//!
//! Knows: leases in flight, sources and their pace, when the origin runs beside peers, when a lease is late. Does not
//! know: how a choice among pieces is made (`planner`), what a lease costs (`pace`).

use std::ops::Range;
use std::time::Duration;

use peer_proto::content::{ContentId, Geometry};
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

use super::core::Core;
use super::fetch::{Reach, SMALL_FILE};
use super::file::JobFile;
use super::grid::UNIT_LEN;
use super::home::Patience;
use super::io::LeaseId;
use super::lag::TRICKLES_FROM;
use super::lease::{Giver, OpenLease, Purpose};
use super::mutant::Mutant;
use super::pace::{LaneChange, SILENCE, bytes_in};
use super::piece_set::PieceSet;
use super::planner::{OUTSTANDING, cut, lease_pieces, leases_max, orphans, pick, pieces_in};
use super::scene::Scene;
use super::swarm::MEMBER_SILENCE;
use super::why::Chosen;
use crate::job::Priority;

/// Bytes per second below which a peer is not worth its place, over ten seconds.
pub const RATE_MIN: u64 = 16 * 1024;
/// What an origin is taken to give before it was measured.
pub const ORIGIN_RATE_ASSUMED: u64 = 4 * 1024 * 1024;
const LANE_LEN_MIN: u64 = 8 * 1024 * 1024;
const CHECKS_AT_ONCE: usize = 2;

impl JobFile {
    /// One look at everything: ends what is late, checks, leases.
    pub(super) fn plan(&mut self, core: &mut Core) {
        self.judge(core);
        self.stop_orphans(core);
        let Some(geometry) = self.geometry else {
            self.plan_to_end(core);
            return;
        };
        // What is whole goes to be sealed: a check begun now would only be stopped, and begun again.
        if self.check_is_due(core) || (self.is_whole() && !self.is_in_doubt()) {
            return;
        }
        if self.plan_recall(core) {
            return;
        }
        if self.plan_length(core) {
            let mut scene = self.scene(core);
            self.plan_origin(&geometry, &mut scene, core);
            return;
        }
        if self.may_take_from_peers() {
            self.plan_checks(core);
        }
        self.yield_to_asked(&geometry, core);
        let mut scene = self.scene(core);
        self.looks.crowd = scene.crowd;
        self.plan_peers(&geometry, &mut scene, core);
        self.plan_members(&geometry, None, &mut scene, core);
        if self.waits_for_stream(core) {
            return;
        }
        if self.fetches_together(core) {
            let late = self.lagging(&geometry, core);
            let patience = match (self.is_behind(&geometry, core.time()), &late) {
                (true, _) => Patience::Lost,
                (false, Some(_)) => Patience::Over,
                (false, None) => Patience::Kept,
            };
            let is_at_work = self.plan_home(patience, &geometry, core);
            let Some(late) = late.filter(|_| !is_at_work) else { return };
            // Others are at all that nobody has.
            scene.gaps.intersect_with(&late);
        }
        if self.yield_to_peers(&geometry, &scene, core) {
            scene.gaps = self.scene(core).gaps;
            self.plan_peers(&geometry, &mut scene, core);
        }
        self.plan_origin(&geometry, &mut scene, core);
        self.race_for_small(&scene, core);
        if self.share_out(&geometry, &scene, core) {
            let mut scene = self.scene(core);
            self.plan_peers(&geometry, &mut scene, core);
            self.plan_origin(&geometry, &mut scene, core);
        }
    }

    /// Releases the leases of late sources, so that a second one may work beside them; drops peers that only drip.
    fn judge(&mut self, core: &mut Core) {
        let now = core.time();
        if Mutant::WaitsForEver.lives() {
            return;
        }
        let mut late: Vec<Giver> = Vec::new();
        let mut dripping: Vec<PeerId> = Vec::new();
        let trickle = if self.is_in_a_hurry(core) { self.trickle(now) } else { 0 };
        for (id, source) in &self.sources {
            // Many take from a member at once, so its pace says little; its silence does.
            let is_late = match self.is_swarm(source.content) {
                true => source.speed.is_silent(MEMBER_SILENCE, now),
                false => source.speed.is_late(now),
            };
            if is_late || source.speed.trickles(TRICKLES_FROM, trickle, now) {
                late.push(Giver::Peer(*id));
            }
            let owing = source.speed.owing(now) >= Duration::from_secs(10);
            if owing && source.speed.over_ten_seconds(now) < RATE_MIN {
                dripping.push(*id);
            }
        }
        let together = self.fetches_together(core);
        // The more fetch together, the less the line gives each of them: its pace says nothing then.
        let is_late = match together {
            true => self.origin.speed.is_silent(SILENCE, now),
            false => self.origin.speed.is_late(now) && !self.scene(core).usable.is_empty(),
        };
        if is_late {
            late.push(Giver::Origin);
        }
        for giver in late {
            let is_its = |lease: &OpenLease| {
                lease.giver == giver && !lease.released && !lease.to_end && lease.may_have_a_second()
            };
            let open: Vec<LeaseId> =
                self.leases.iter().filter(|(_, lease)| is_its(lease)).map(|(id, _)| *id).collect();
            let has_open = !open.is_empty();
            open.into_iter().for_each(|id| self.release(id, core));
            let jitter = core.chance.below(256);
            if let (true, Some(source)) =
                (has_open, giver.peer().and_then(|peer| self.sources.get_mut(&peer)))
            {
                source.breaker.fail(jitter, now);
                source.speed.humble(now);
            }
        }
        for id in dripping {
            let jitter = core.chance.below(256);
            if let Some(source) = self.sources.get_mut(&id) {
                source.breaker.fail(jitter, now);
            }
            self.stop_where(core, |lease| lease.peer() == Some(id));
        }
    }

    /// The last piece proves the length before anything else is asked of peers (TRUST-5), unless the origin says the
    /// length by now. `true` while that is open.
    fn plan_length(&mut self, core: &mut Core) -> bool {
        let Some(list) = self.claims.candidate.clone() else { return false };
        let is_stated = self.sources.values().any(|source| source.content == list.content());
        let is_asked = self.leases.values().any(|lease| lease.purpose == Purpose::Length);
        if self.claims.trusted.is_some() || !(is_stated || is_asked) {
            self.claims.candidate = None;
            return false;
        }
        if self.origin_says_len() {
            if self.len == Some(list.content().len) {
                self.trust(list, core);
            } else {
                self.claims.drop_content(list.content());
            }
            return false;
        }
        if self.len != Some(list.content().len) {
            return true;
        }
        if self.leases.values().any(|lease| lease.purpose == Purpose::Length && !lease.stopped) {
            return true;
        }
        let Some(last) = Self::last_piece(&list) else { return false };
        let why = "the last piece proves the length";
        for id in self.holders(core) {
            let has = self.sources.get(&id).is_some_and(|source| source.have.contains(last));
            if has && self.lease_from_peer(id, last..last + 1, Purpose::Length, why, core) {
                return true;
            }
        }
        true
    }

    /// Audits, conflicts and the walk: pieces the origin is asked for to check what peers state.
    fn plan_checks(&mut self, core: &mut Core) {
        let now = core.time();
        self.first_audit_until(now).into_iter().for_each(|until| self.wake_at(until));
        if !self.origin.is_usable(now) || !self.origin.gives_ranges() || self.claims.alone.is_some() {
            return;
        }
        // In a group not all have sessions with each other.
        let members = self.swarm.as_ref().map_or(0, |swarm| swarm.home.company());
        let others = members.max(self.sources.len().saturating_sub(1));
        let others = u32::try_from(others).unwrap_or(u32::MAX / 2);
        if self.claims.audit_is_due(now) && !self.is_in_doubt() {
            let gaps = self.gaps();
            self.claims.draw_audit(gaps, others, &mut core.chance, now);
        }
        let mut wanted: Vec<(u32, &'static str)> = Vec::new();
        let conflicts = self.claims.conflicts.iter();
        wanted.extend(conflicts.map(|piece| (*piece, "two lists differ here; the origin decides")));
        let active = self.claims.active.and_then(|active| self.claims.hint(active));
        let audits = active.into_iter().flat_map(|hint| &hint.audit.pieces);
        wanted.extend(audits.map(|piece| (*piece, "audit of an untrusted list")));
        wanted.extend(self.swarm_checks(core));
        let vouched = self.audited().into_iter().flat_map(PieceSet::runs).flatten();
        wanted.extend(vouched.map(|piece| (piece, "audit of what attestors vouch for")));
        for (piece, why) in wanted {
            let at_work = |lease: &&OpenLease| lease.purpose == Purpose::Check && !lease.stopped;
            let leased = |lease: &OpenLease| !lease.released && lease.pieces.contains(&piece);
            if self.leases.values().filter(at_work).count() >= CHECKS_AT_ONCE {
                break;
            }
            if !self.pieces.certain().contains(piece) && !self.leases.values().any(leased) {
                self.lease_from_origin(Some(piece..piece + 1), Purpose::Check, why, core);
            }
        }
        self.plan_walk(core);
    }

    /// A small file that somebody waits for does not wait for peers; but a peer that turns out to have it is asked beside
    /// the origin. The first to bring it wins, and the other is stopped: a megabyte at most comes twice.
    fn race_for_small(&mut self, scene: &Scene, core: &mut Core) {
        let is_small = self.len.is_some_and(|len| len <= SMALL_FILE);
        if !is_small || self.wish.priority != Priority::Foreground {
            return;
        }
        let runs = |(_, lease): &(&LeaseId, &OpenLease)| is_long(lease);
        let alone: Vec<(LeaseId, Range<u32>)> =
            self.leases.iter().filter(runs).map(|(id, lease)| (*id, lease.pieces.clone())).collect();
        for (id, pieces) in alone {
            let free = |peer: &&PeerId| !self.leases.values().any(|lease| lease.peer() == Some(**peer));
            let holder = scene.usable.iter().filter(free).copied();
            let has = |peer: &PeerId| {
                self.sources.get(peer).is_some_and(|source| source.have.contains_all(pieces.clone()))
            };
            let Some(peer) = holder.into_iter().find(has) else { return };
            let why = "the file is small: whoever is first";
            if self.lease_from_peer(peer, pieces, Purpose::Gap, why, core) {
                self.leases.get_mut(&id).into_iter().for_each(|lease| lease.released = true);
            }
        }
    }

    pub(super) fn plan_peers(&mut self, geometry: &Geometry, scene: &mut Scene, core: &mut Core) {
        if !self.may_take_from_peers() {
            return;
        }
        let scattered = self.is_scattered(&scene.usable, core) && !self.has_wishes();
        let usable = std::mem::take(&mut scene.usable);
        loop {
            let mut opened = false;
            for id in &usable {
                if scene.gaps.is_empty() {
                    break;
                }
                let Some(pieces) = self.next_for(*id, scene, geometry, scattered, core) else {
                    continue;
                };
                let why = match self.claims.trusted {
                    Some(_) if self.rests_on_attestors() => {
                        "it holds the pieces, and the attested root proves them"
                    }
                    Some(_) => "it holds the pieces, and the digest proves them",
                    None => "it holds the pieces; the file's digest will decide",
                };
                if self.lease_from_peer(*id, pieces.clone(), Purpose::Gap, why, core) {
                    scene.gaps.remove(pieces.clone());
                    scene.opened(*id, pieces);
                    opened = true;
                }
            }
            if !opened {
                break;
            }
        }
        scene.usable = usable;
    }

    /// Whether pieces are taken in scattered order, so that nodes that start together have different ones to give.
    fn is_scattered(&self, usable: &[PeerId], core: &Core) -> bool {
        let count = self.geometry.map_or(0, |cut| cut.piece_count());
        let partial =
            |id: &PeerId| self.sources.get(id).is_some_and(|source| !source.have.contains_all(0..count));
        core.serving.is_shared(self.id) || usable.iter().any(partial)
    }

    fn next_for(
        &self,
        id: PeerId,
        scene: &Scene,
        geometry: &Geometry,
        scattered: bool,
        core: &mut Core,
    ) -> Option<Range<u32>> {
        let source = self.sources.get(&id).filter(|source| source.have.intersects(&scene.gaps))?;
        let now = core.time();
        let load = scene.load(id);
        let outstanding = u64::from(load.left) * geometry.piece_len();
        let proven = source.proven > 0;
        let is_tried = source.breaker.failures() > 0;
        if load.open >= leases_max(geometry) || (load.open >= 1 && (!proven || is_tried)) {
            return None;
        }
        let rate = source.speed.recent(now).max(source.speed.usual());
        if load.open >= 2 && outstanding >= bytes_in(rate, OUTSTANDING) {
            return None;
        }
        let room =
            if self.audit_is_possible() { self.unaudited_room(source.content, geometry) } else { u32::MAX };
        let room = room.min(self.room_before_audit(geometry, now));
        let room = if is_tried { room.min(pieces_in(geometry, UNIT_LEN)) } else { room };
        let count = lease_pieces(geometry, rate, proven, scene.gaps.count(), scene.crowd).min(room);
        if count == 0 {
            return None;
        }
        let from = match (scattered, load.next) {
            (false, _) => 0,
            (true, 0) => core.chance.below(geometry.piece_count()),
            (true, next) => next,
        };
        pick(&scene.gaps, &source.have, from, count)
    }

    /// Pieces that may still be taken under a content's list before it is audited.
    fn unaudited_room(&self, content: ContentId, geometry: &Geometry) -> u32 {
        if self.claims.hint(content).is_none_or(|hint| hint.cleared) {
            return u32::MAX;
        }
        let open = self.leases.values().filter(|lease| !lease.stopped && lease.content == Some(content));
        let coming: u32 = open.map(|lease| lease.left(geometry.piece_len())).sum();
        self.claims.unaudited_room(content, self.pieces.provisional().count().saturating_add(coming))
    }

    /// Whether an audit may still be answered: the origin is there, or has not said that it is not.
    pub(super) fn audit_is_possible(&self) -> bool {
        let there =
            matches!(self.origin.reach, Reach::Up | Reach::Unknown) && self.origin.breaker.failures() < 3;
        there && self.origin.gives_ranges() && self.claims.trusted.is_none()
    }

    /// What the origin gives, in bytes per second; one that gave none may give some, so it is never zero.
    pub(super) fn origin_rate(&self, now: Instant) -> u64 {
        self.origin.speed.measured(now).map_or(ORIGIN_RATE_ASSUMED, |rate| rate.max(RATE_MIN))
    }

    /// Whether the origin may take gaps although peers hold them all: they are too slow.
    pub(super) fn runs_beside(&mut self, core: &Core) -> bool {
        let now = core.time();
        let (measured, origin) = (self.origin.speed.measured(now).is_some(), self.origin_rate(now));
        let provisional = self.claims.trusted.is_none();
        let threshold = match (provisional, self.wish.priority) {
            // CLAIM-13: what rests on words must not be slower than plain HTTP.
            (true, _) => origin,
            (false, Priority::Foreground) if measured => origin / 2,
            (false, Priority::Foreground) => origin,
            (false, Priority::High | Priority::Normal | Priority::Low) => RATE_MIN,
        };
        // A job with a limit of its own is not slow because of its sources.
        let limit = self.wish.limit.map_or(u64::MAX, |limit| limit.get() / 2);
        let threshold = threshold.min(limit);
        if self.peers_speed.owing(now) >= Duration::from_millis(1_500) {
            let rate = self.peers_speed.recent(now);
            self.beside = if self.beside { rate < threshold.saturating_mul(5) / 4 } else { rate < threshold };
        }
        self.beside
    }

    /// The origin's long leases end where peers can take over, unless it runs beside them. `true` if pieces became
    /// free.
    fn yield_to_peers(&mut self, geometry: &Geometry, scene: &Scene, core: &mut Core) -> bool {
        let now = core.time();
        if scene.usable.is_empty() || self.runs_beside(core) || !self.leases.values().any(is_long) {
            return false;
        }
        let able = || {
            let usable = scene.usable.iter().filter_map(|id| self.sources.get(id));
            usable.filter(|source| source.breaker.failures() == 0)
        };
        let ends = |lease: &OpenLease| able().any(|source| source.have.contains(lease.pieces.end - 1));
        if !self.leases.values().filter(|lease| is_long(lease)).any(ends) {
            return false;
        }
        let mut held = PieceSet::new();
        able().for_each(|source| held.union_with(&source.have));
        let margin = pieces_in(geometry, bytes_in(self.origin.speed.recent(now), Duration::from_millis(100)));
        let mut cuts: Vec<(LeaseId, u32)> = Vec::new();
        for (id, lease) in self.leases.iter().filter(|(_, lease)| is_long(lease)) {
            let earliest = lease.position(geometry.piece_len()).saturating_add(margin);
            let mut end = lease.pieces.end;
            while end > earliest && held.contains(end - 1) {
                end -= 1;
            }
            if end < lease.pieces.end {
                cuts.push((*id, end));
            }
        }
        let is_cut = !cuts.is_empty();
        for (id, end) in cuts {
            self.trim(id, end, core);
        }
        is_cut
    }

    fn plan_origin(&mut self, geometry: &Geometry, scene: &mut Scene, core: &mut Core) {
        let now = core.time();
        if !self.origin.is_usable(now) || self.claims.alone.is_some() || !self.head_start_is_over(core) {
            return;
        }
        let held = self.is_held(scene, core);
        let beside = !held || self.runs_beside(core);
        let mut targets = scene.gaps.clone();
        if !beside && !targets.is_empty() {
            targets = orphans(&scene.gaps, self.holdings(scene, core));
        }
        let why = match (!held, beside) {
            (true, _) => self.why_alone(core),
            (false, true) => "the peers that hold it are slower",
            (false, false) => "no peer that may be asked holds it",
        };
        if !self.origin.gives_ranges() || !self.is_joinable() {
            if self.plan_one_stream(&targets, geometry, why, core) {
                scene.gaps = PieceSet::new();
            }
            return;
        }
        self.look_at_lanes(beside, geometry, core);
        let lanes = usize::try_from(self.origin.lanes.count()).unwrap_or(1);
        while self.leases.values().filter(|lease| is_at_origin(lease)).count() < lanes {
            let pieces = match self.next_run(&targets) {
                Some(pieces) => pieces,
                None if beside => match self.split_origin_lease(geometry, core) {
                    Some(pieces) => pieces,
                    None => break,
                },
                None => break,
            };
            if !self.lease_from_origin(Some(pieces.clone()), Purpose::Gap, why, core) {
                break;
            }
            targets.remove(pieces.clone());
            scene.gaps.remove(pieces);
        }
    }

    /// An origin without ranges, or whose answers cannot be joined, gives the whole file in one stream or nothing.
    /// `true` if it was asked for.
    fn plan_one_stream(
        &mut self,
        targets: &PieceSet,
        geometry: &Geometry,
        why: &'static str,
        core: &mut Core,
    ) -> bool {
        let at_work = self.leases.values().any(OpenLease::is_from_origin);
        if at_work || targets.is_empty() {
            return false;
        }
        let whole = 0..geometry.piece_count();
        let pieces = if self.origin.gives_ranges() { Some(whole) } else { None };
        self.lease_from_origin(pieces, Purpose::Gap, why, core)
    }

    /// A file of unknown length comes in one stream.
    fn plan_to_end(&mut self, core: &mut Core) {
        let busy = self.leases.values().any(|lease| !lease.stopped);
        let usable = self.origin.is_usable(core.time()) && self.pinned.is_some();
        if usable && !busy && self.len.is_none() && self.head_start_is_over(core) {
            let why = self.why_alone(core);
            self.lease_from_origin(None, Purpose::Gap, why, core);
        }
    }

    fn look_at_lanes(&mut self, beside: bool, geometry: &Geometry, core: &Core) {
        let now = core.time();
        let open: Vec<&OpenLease> = self.leases.values().filter(|lease| is_at_origin(lease)).collect();
        let busy = open.len() >= usize::try_from(self.origin.lanes.count()).unwrap_or(1);
        let left = open.iter().map(|lease| u64::from(lease.left(geometry.piece_len()))).max().unwrap_or(0);
        let can_split = beside && left.saturating_mul(geometry.piece_len()) >= LANE_LEN_MIN;
        if !busy || self.origin.speed.owing(now) < Duration::from_secs(1) {
            return;
        }
        let rate = self.origin.speed.recent(now);
        let kilobytes = rate / 1_000;
        let note = match self.origin.lanes.look(rate, can_split, now) {
            LaneChange::Same => return,
            LaneChange::Tried(from, to, _) => {
                format!("{from} connections give {kilobytes} kB/s: trying {to}")
            }
            LaneChange::Back(to) => {
                format!("more connections gave {kilobytes} kB/s, no tenth more: back to {to}")
            }
            LaneChange::Kept(count) => format!("{count} connections give {kilobytes} kB/s: kept"),
        };
        self.why.note(Chosen::Origin, note, String::new(), now);
    }

    /// Cuts the longest origin lease in two and hands out its tail.
    fn split_origin_lease(&mut self, geometry: &Geometry, core: &mut Core) -> Option<Range<u32>> {
        let longest = self.leases.iter().filter(|(_, lease)| is_long(lease));
        let (id, lease) = longest.max_by_key(|(_, lease)| lease.left(geometry.piece_len()))?;
        let (id, left) = (*id, lease.position(geometry.piece_len())..lease.pieces.end);
        if u64::from(left.end - left.start) * geometry.piece_len() < LANE_LEN_MIN / 4 {
            return None;
        }
        let at = cut(geometry, left.clone(), 1, 1)?;
        self.trim(id, at, core);
        Some(at..left.end)
    }

    /// Towards the end, an idle source takes a share of the lease that would last longest, or all of it beside its
    /// source if that is hopelessly slower. `true` if pieces became free.
    fn share_out(&mut self, geometry: &Geometry, scene: &Scene, core: &mut Core) -> bool {
        if !scene.gaps.is_empty() {
            return false;
        }
        let Some((idle, other_rate)) = self.idle_source(scene, core) else { return false };
        let now = core.time();
        let mut longest: Option<(Duration, LeaseId, Range<u32>, u64)> = None;
        for (id, lease) in self.leases.iter().filter(|(_, lease)| lease.purpose == Purpose::Gap) {
            let speed = match lease.giver {
                Giver::Peer(peer) => self.sources.get(&peer).map(|source| &source.speed),
                Giver::Origin => Some(&self.origin.speed),
                Giver::Cache => None,
            };
            let young = now.since(lease.started) < Duration::from_millis(500);
            let Some(speed) = speed.filter(|_| !lease.released && !lease.to_end && !young) else { continue };
            let left = lease.position(geometry.piece_len())..lease.pieces.end;
            let rate = speed.recent(now).max(1);
            let lasts = lasting(&left, geometry, rate);
            let fits = idle.peer().is_none_or(|id| {
                self.sources.get(&id).is_some_and(|source| source.have.contains_all(left.clone()))
            });
            let best = longest.as_ref().is_none_or(|(most, ..)| lasts > *most);
            if fits && best && lease.giver != idle && lasts >= Duration::from_millis(500) {
                longest = Some((lasts, *id, left, rate));
            }
        }
        let Some((lasts, id, left, rate)) = longest else { return false };
        if lasts > lasting(&left, geometry, other_rate) * 4 + Duration::from_millis(500) {
            self.release(id, core);
            return true;
        }
        let at = cut(geometry, left, rate, other_rate);
        at.into_iter().for_each(|at| self.trim(id, at, core));
        at.is_some()
    }

    /// A source with nothing to do and its usual rate: a peer, or the origin where it runs beside peers.
    fn idle_source(&mut self, scene: &Scene, core: &Core) -> Option<(Giver, u64)> {
        let idle = scene.usable.iter().copied().find(|id| !scene.load(*id).busy);
        if let Some(id) = idle {
            let rate = self.sources.get(&id).map_or(0, |source| source.speed.usual());
            return Some((Giver::Peer(id), rate.max(1)));
        }
        let usable = self.origin.is_usable(core.time()) && self.origin.gives_ranges() && self.is_joinable();
        let busy = self.leases.values().any(|lease| lease.is_from_origin() && !lease.stopped);
        let is_idle = usable && self.claims.alone.is_none() && !busy;
        let rate =
            if self.origin.speed.usual() > 0 { self.origin.speed.usual() } else { ORIGIN_RATE_ASSUMED };
        (is_idle && self.runs_beside(core)).then_some((Giver::Origin, rate))
    }
}

/// How long these pieces take at a rate.
fn lasting(pieces: &Range<u32>, geometry: &Geometry, rate: u64) -> Duration {
    let bytes = u64::from(pieces.end.saturating_sub(pieces.start)) * geometry.piece_len();
    Duration::from_millis(bytes.saturating_mul(1_000) / rate.max(1))
}

fn is_at_origin(lease: &OpenLease) -> bool {
    lease.is_from_origin() && !lease.stopped && matches!(lease.purpose, Purpose::Gap)
}

fn is_long(lease: &OpenLease) -> bool {
    is_at_origin(lease) && !lease.to_end && !lease.released
}
