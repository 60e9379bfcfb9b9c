//! Fetching a file together with others that want it: joining, claims, relaying, what is asked of the origin.
//!
//! Knows: who is a member, whose word still counts, when this node asks the origin for the others. Does not know: what
//! is taken from whom (`members`), the order of homes (`home`), what is kept of claims (`stated`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use peer_proto::content::{ContentId, Geometry, Hash};
use peer_proto::digest::Digest;
use peer_proto::group::GroupId;
use peer_proto::home::swarm_id;
use peer_proto::peer::PeerId;
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::time::Instant;
use peer_proto::wire::{PieceClaim, SegmentClaim};

use super::announce::told;
use super::chance::Chance;
use super::claims::AUDITED_FROM;
use super::core::Core;
use super::fetch::{Reach, SMALL_FILE};
use super::file::{JobFile, Stage};
use super::flood::Circle;
use super::grid::ahead;
use super::home::{Home, Patience};
use super::io::LeaseId;
use super::lag::Began;
use super::lease::{Giver, OpenLease, PeerSource, Purpose};
use super::look::Heed;
use super::pace::{Breaker, Speed};
use super::piece_set::PieceSet;
use super::stated::Stated;
use super::why::Chosen;
use super::width::WidthChange;
use crate::job::Priority;

/// A member that owes bytes and gives none for so long is late: what it was asked for is asked elsewhere.
pub(super) const MEMBER_SILENCE: Duration = Duration::from_millis(1_000);
/// Whoever is alone after this fetches like nobody else existed.
const ALONE_AFTER: Duration = Duration::from_secs(1);
/// Progress is told so often: what is left of a request is known that late.
const PROGRESS_TICK: Duration = Duration::from_millis(150);
/// How often stalled claims are looked for.
const JUDGE_EVERY: Duration = Duration::from_millis(250);
/// Connections are tried while more than one piece in so many is to be fetched.
const LAST_SHARE: u32 = 7;
/// An author that gives more than one piece in so many of the file is audited once.
const AUDITED_SHARE: u32 = 4;

/// One file's swarm, as this node sees it.
#[derive(Clone, Debug)]
pub(super) struct Swarm {
    pub(super) id: ContentId,
    pub(super) digest: Digest,
    pub(super) home: Home,
    pub(super) stated: Stated,
    /// The group in which it is fetched: members of others are strangers in it.
    pub(super) group: Option<GroupId>,
    /// What members of that say.
    pub(super) circle: Option<Circle>,
    /// Whether a URL's version names it and no digest: members of the group only, who follow an attestor that reads it.
    pub(super) by_url: bool,
    /// What the others were told of this node's origin.
    pub(super) fetches: bool,
    judged_at: Instant,
    /// When this node began to fetch with the others.
    pub(super) began: Option<Began>,
    /// Pieces drawn to check what an author states, and whose.
    pub(super) audits: BTreeMap<u32, PeerId>,
    cleared: BTreeSet<PeerId>,
}

impl Swarm {
    /// The file is whole: what others state of it is of no use any more.
    pub(super) fn forget_claims(&mut self) {
        (self.stated, self.circle) = (Stated::default(), None);
        self.audits.clear();
    }

    /// The value a member's piece is taken under, and its standing then.
    pub(super) fn accept(&self, piece: u32) -> Option<(Hash, Standing)> {
        self.stated.value(piece).map(|(value, author)| (value, Standing::Provisional { author }))
    }

    /// Whether an author is relied on for much of a file of so many pieces, and none of them was checked yet (CLAIM-5).
    pub(super) fn owes_audit(&self, author: PeerId, count: u32) -> bool {
        // Fewer than four share the file: each gives more than a quarter.
        let few = self.home.fetchers().len() < usize::try_from(AUDITED_SHARE).unwrap_or(usize::MAX);
        let gives_much = |pieces: &PieceSet| few || pieces.count() > count / AUDITED_SHARE;
        let is_much = self.stated.pieces_of(author).is_some_and(gives_much);
        count >= AUDITED_FROM && is_much && !self.cleared.contains(&author)
    }

    /// Draws one piece of each author that owes an audit. It is drawn after the author stated its values.
    fn draw_audits(&mut self, certain: &PieceSet, count: u32, chance: &mut Chance) {
        let mut drawn: Vec<(u32, PeerId)> = Vec::new();
        for (author, pieces) in self.stated.standing() {
            if !self.owes_audit(author, count) || self.audits.values().any(|peer| *peer == author) {
                continue;
            }
            let mut unread = pieces.clone();
            unread.subtract(certain);
            if let Some(piece) = unread.nth(chance.below(unread.count())) {
                drawn.push((piece, author));
            }
        }
        self.audits.extend(drawn);
    }
}

impl JobFile {
    /// Whether the origin is asked in turns with others now. Whoever is alone does so too for a moment: others may be
    /// about to turn up, and each begins elsewhere.
    pub(super) fn fetches_together(&self, core: &Core) -> bool {
        let alone_for = self.fetching_since.map_or(Duration::ZERO, |since| core.time().since(since));
        if self.wish.on_demand || (self.has_wishes() && !self.next_gaps_are_all()) {
            // What was asked for does not wait for its turn among the others.
            return false;
        }
        let expects = core.config.expects_peers && alone_for < ALONE_AFTER && self.sources.is_empty();
        let is_small = self.len.is_some_and(|len| len <= SMALL_FILE);
        self.swarm.as_ref().is_some_and(|swarm| !swarm.by_url && (swarm.home.has_company() || expects))
            && !(is_small && self.wish.priority == Priority::Foreground)
            && self.origin.gives_ranges()
            && self.is_joinable()
    }

    /// The swarm this job is in has this id.
    pub(super) fn is_swarm(&self, content: ContentId) -> bool {
        self.swarm.as_ref().is_some_and(|swarm| swarm.id == content)
    }

    /// Joins the swarm of its file once the length is known, tells new peers, and says what changed.
    pub(super) fn tend_swarm(&mut self, core: &mut Core) {
        let by_url = self.gives_stream() || self.follows_stream();
        let said_in = self.streamed_in();
        let is_stale = |swarm: &Swarm| {
            Some(swarm.id.len) != self.len || swarm.by_url != by_url || (by_url && swarm.group != said_in)
        };
        let stale = self.swarm.as_ref().is_some_and(is_stale);
        let wants = self.wants_peers(core) || self.gives_stream();
        // Who vouches for all of a URL's bytes has them.
        let has_holders = self.rests_on_attestors() && !by_url;
        if stale || !wants || has_holders {
            self.leave_swarm(core);
        }
        if has_holders {
            return;
        }
        let Some(geometry) = self.geometry.filter(|cut| cut.piece_count() > 0) else { return };
        if !wants || !self.origin_says_len() || self.is_whole() {
            return;
        }
        let now = core.time();
        let able = self.origin.reach == Reach::Up && self.origin.breaker.failures() < 3;
        let fetches = able
            && !by_url
            && !self.wish.on_demand
            && self.origin.gives_ranges()
            && self.is_joinable()
            && self.may_serve(core);
        if self.swarm.is_none() {
            let group = if by_url { said_in } else { self.fetched_in(core) };
            let named = if by_url { self.stand_in(core) } else { self.questions().into_iter().next() };
            let Some(digest) = named else { return };
            self.swarm = Some(Swarm {
                id: swarm_id(&digest, geometry.len()),
                home: Home::new(core.home_key(&digest, group), core.config.me, &geometry, fetches, now),
                digest,
                stated: Stated::default(),
                group,
                circle: group.filter(|_| !by_url).map(|_| Circle::new(core.config.me)),
                by_url,
                fetches,
                judged_at: now,
                began: None,
                audits: BTreeMap::new(),
                cleared: BTreeSet::new(),
            });
        }
        let members_only = self.asks_members_only();
        let by_words = self.rests_on_strangers();
        let may_know =
            |id: &PeerId| (!members_only || self.may_ask(*id, core)) && (!by_words || core.hears(*id));
        let ready: Vec<PeerId> = core.peers.ready().into_iter().filter(may_know).collect();
        let Some(swarm) = &mut self.swarm else { return };
        let changed = swarm.fetches != fetches;
        if changed {
            swarm.fetches = fetches;
            swarm.home.set_fetches(fetches, now);
        }
        let mut told = false;
        let is_kin = |id, core: &Core| swarm.group.is_some_and(|group| core.is_member_of(id, group));
        for id in ready {
            told |= (!by_url || is_kin(id, core)) && core.join(id, swarm, changed);
        }
        if told {
            self.interest_at.get_or_insert(now);
        }
        self.tend_circle(core);
    }

    /// Leaves the swarm of its file, if it is in one.
    pub(super) fn leave_swarm(&mut self, core: &mut Core) {
        self.say_goodbye(core);
        let Some(swarm) = self.swarm.take() else { return };
        core.leave(swarm.id);
        self.sources.retain(|_, source| source.content != swarm.id);
        self.stop_where(core, |lease| lease.content == Some(swarm.id));
    }

    /// A peer that knows the digest wants the file too.
    pub(super) fn member_joined(
        &mut self,
        peer: PeerId,
        len: u64,
        fetches: bool,
        group: Option<GroupId>,
        core: &mut Core,
    ) -> Heed {
        let now = core.time();
        if !self.may_ask(peer, core) || !self.is_of_len(len) || !self.listens_to(peer, core) {
            return Heed::Later;
        }
        let group = group.filter(|group| core.is_member_of(peer, *group));
        self.go_over_to(peer, group, core);
        let Some(swarm) = self.swarm.as_mut() else { return Heed::Later };
        let (id, is_kin) = (swarm.id, swarm.circle.is_some() && group == swarm.group);
        let by_url = swarm.by_url;
        self.changed = true;
        // What a member of the group says of itself counts by its record, which reaches everybody.
        let is_new = if is_kin { self.welcome(peer, core) } else { swarm.home.joined(peer, fetches, now) };
        let Some(swarm) = self.swarm.as_ref().filter(|_| is_new) else { return Heed::Soon };
        // It may have wanted nothing yet when it was told first.
        core.join(peer, swarm, true);
        if self.may_serve(core) {
            core.grant(peer, id);
            // The new one knows nothing yet.
            core.serving.swarm_told.insert(self.id, u32::MAX);
            core.offer_record_to(peer, id);
            let runs: Vec<_> = self.pieces.certain().runs().filter(|_| !is_kin && !by_url).collect();
            for run in runs {
                let values: Vec<Hash> = run.clone().filter_map(|piece| self.pieces.value(piece)).collect();
                core.claim_pieces(peer, id, run.start, &values);
            }
        }
        let mut have = PieceSet::new();
        core.peers.write_have(peer, id, &mut have);
        let source = PeerSource {
            content: id,
            sealed: false,
            have,
            since: now,
            speed: Speed::default(),
            breaker: Breaker::default(),
            proven: 0,
        };
        if self.stage != Stage::Over {
            self.sources.entry(peer).or_insert(source);
        }
        if !is_kin && !by_url {
            self.end_lone_leases(core);
            self.tell_own_claim(peer, core);
        }
        Heed::Soon
    }

    /// Somebody is there now: requests that cover the rest of the file end with the segment they are at, which is
    /// claimed from now on. `true` if there was one.
    pub(super) fn end_lone_leases(&mut self, core: &mut Core) -> bool {
        let (Some(geometry), Some(swarm)) = (self.geometry, &mut self.swarm) else { return false };
        let grid = swarm.home.grid();
        let mut cuts: Vec<(LeaseId, u32)> = Vec::new();
        for (id, lease) in self.leases.iter().filter(|(_, lease)| is_for_all(lease)) {
            let segment = grid.segment_of(lease.position(geometry.piece_len()));
            if segment.end < lease.pieces.end {
                swarm.home.take_over(segment.clone());
                cuts.push((*id, segment.end));
            }
        }
        let is_cut = !cuts.is_empty();
        cuts.into_iter().for_each(|(id, end)| self.trim(id, end, core));
        is_cut
    }

    /// A peer wants the file no more, or went.
    pub(super) fn member_left(&mut self, peer: PeerId, now: Instant) {
        if let Some(swarm) = &mut self.swarm {
            if !swarm.circle.as_mut().is_some_and(|circle| circle.went(peer)) {
                swarm.home.left(peer, now);
            }
            let id = swarm.id;
            if self.sources.get(&peer).is_some_and(|source| source.content == id) {
                self.sources.remove(&peer);
            }
            self.changed = true;
        }
    }

    /// A member states values of pieces it read from the origin.
    pub(super) fn pieces_claimed(&mut self, peer: PeerId, claim: &PieceClaim, core: &mut Core) -> Heed {
        let now = core.time();
        let is_it = |swarm: &&mut Swarm| swarm.id == claim.swarm && !swarm.by_url;
        let Some(swarm) = self.swarm.as_mut().filter(is_it) else {
            return Heed::Later;
        };
        if !swarm.home.is_member(peer) || core.peers.is_refuted(peer, now) {
            return Heed::Later;
        }
        let pieces = claim.pieces();
        swarm.stated.state(peer, claim.first, &claim.values);
        if !swarm.home.is_kin(peer) {
            swarm.home.progressed(peer, &pieces, now);
        }
        if let Some(source) = self.sources.get_mut(&peer).filter(|source| source.content == claim.swarm) {
            source.have.insert(pieces.clone());
        }
        let certain = self.pieces.certain();
        let differs = |(piece, value): (u32, &Hash)| {
            certain.contains(piece) && self.pieces.value(piece) != Some(*value)
        };
        if pieces.clone().zip(&claim.values).any(differs) {
            self.refute_author(peer, core);
        } else {
            self.claims.note_claimed(pieces.clone(), &claim.values, self.pieces.certain());
            self.revive(&PieceSet::of(pieces), core);
        }
        self.changed = true;
        Heed::PeerSoon(peer)
    }

    /// A member says what it fetches now.
    pub(super) fn segment_claimed(&mut self, peer: PeerId, claim: &SegmentClaim, now: Instant) -> Heed {
        if let Some(swarm) = self.swarm.as_mut().filter(|swarm| swarm.id == claim.swarm) {
            swarm.home.claimed(peer, claim, now);
        }
        Heed::Later
    }

    /// Pieces came from the origin: the others are told, and those who stated something else are refuted (CLAIM-3, 11).
    pub(super) fn tell_certain(&mut self, run: &PieceRun, core: &mut Core) {
        let may_serve = self.may_serve(core);
        let Some(swarm) = self.swarm.as_mut().filter(|swarm| !swarm.by_url) else { return };
        let count = u32::try_from(run.values.len()).unwrap_or(u32::MAX);
        swarm.home.read(&(run.first.0..run.first.0.saturating_add(count)), core.time());
        let mut wrong: BTreeSet<PeerId> = BTreeSet::new();
        for (piece, value) in (run.first.0..).zip(&run.values) {
            wrong.extend(swarm.stated.contradicting(piece, *value));
            if let Some(author) = swarm.audits.remove(&piece) {
                swarm.cleared.insert(author);
            }
        }
        if may_serve {
            let (id, others) = (swarm.id, Core::strangers_of(swarm));
            for peer in others {
                core.claim_pieces(peer, id, run.first.0, &run.values);
            }
            self.say_pieces(run.first.0, &run.values, core);
        }
        wrong.into_iter().for_each(|peer| self.refute_author(peer, core));
    }

    /// What a member states is not what the origin says (CLAIM-4).
    fn refute_author(&mut self, peer: PeerId, core: &mut Core) {
        let now = core.time();
        let Some(swarm) = &mut self.swarm else { return };
        if !swarm.stated.refute(peer) {
            return;
        }
        swarm.audits.retain(|_, author| *author != peer);
        core.peers.refute(peer, now);
        self.note_refuted(peer, core);
        let why =
            "what it states of this file is not what the origin says; nothing more is taken on its word";
        self.why.note(Chosen::Peer(peer), why, String::new(), now);
        self.stop_where(core, |lease| lease.author == Some(peer));
        for piece in self.pieces.provisional_of(peer).runs().flatten().collect::<Vec<u32>>() {
            self.doubt(piece, core);
        }
    }

    /// Whether what rests on this author's word still counts.
    pub(super) fn believes(&self, author: PeerId) -> bool {
        self.swarm.as_ref().is_some_and(|swarm| swarm.stated.pieces_of(author).is_some())
            || self.claims.standing_hints().any(|hint| hint.author == author)
    }

    /// Another member that states the same value of a piece.
    pub(super) fn other_member(&self, piece: u32, value: Hash) -> Option<PeerId> {
        let (stated, author) = self.swarm.as_ref()?.stated.value(piece)?;
        (stated == value).then_some(author)
    }

    /// Pieces the origin has to decide on: where two members differ, and audits.
    pub(super) fn swarm_checks(&mut self, core: &mut Core) -> Vec<(u32, &'static str)> {
        let count = self.geometry.map_or(0, |cut| cut.piece_count());
        let trusted = self.claims.trusted.is_some();
        // Before, it is not known yet how many share the file; and what a list says rests on nobody else's word.
        let is_due = self.head_start_is_over(core) && !self.follows_list();
        let Some(swarm) = self.swarm.as_mut().filter(|swarm| !trusted && !swarm.by_url) else {
            return Vec::new();
        };
        if is_due {
            swarm.draw_audits(self.pieces.certain(), count, &mut core.chance);
        }
        let is_open = |piece: u32| {
            let checks =
                self.leases.values().filter(|lease| lease.purpose == Purpose::Check && !lease.stopped);
            checks.into_iter().any(|lease| lease.pieces.contains(&piece))
        };
        let differing = swarm.stated.to_settle(is_open).into_iter();
        let differing = differing.map(|piece| (piece, "two members differ here; the origin decides"));
        let audits = swarm.audits.keys().map(|piece| (*piece, "audit of what a member states"));
        differing.chain(audits).collect()
    }

    /// Asks the origin for what this node should fetch for all. `false` if there is nothing it may ask for.
    pub(super) fn plan_home(&mut self, patience: Patience, geometry: &Geometry, core: &mut Core) -> bool {
        let now = core.time();
        let usable = self.origin.is_usable(now) && self.claims.alone.is_none();
        if !usable || !self.head_start_is_over(core) {
            return true;
        }
        let mut wanted = PieceSet::of(0..geometry.piece_count());
        wanted.subtract(self.pieces.held());
        let given = self.in_site(core);
        let said = self.with_fresh(given.clone(), now);
        let site = match patience {
            Patience::Kept | Patience::Over => said,
            Patience::Lost => given,
        };
        wanted.subtract(&site);
        self.cut_own_leases(geometry, &site, &wanted, core);
        let mut open = wanted;
        for lease in self.leases.values().filter(|lease| lease.has_for_itself()) {
            open.remove(lease.pieces.clone());
        }
        let rate = self.origin.speed.recent(now);
        let Some(swarm) = &mut self.swarm else { return false };
        swarm.home.set_patience(patience);
        swarm.home.set_own_rate(rate.max(self.origin.speed.usual()));
        if now.since(swarm.judged_at) >= JUDGE_EVERY {
            swarm.judged_at = now;
            swarm.home.judge(&open, now);
        }
        self.look_at_width(geometry, &open, core);
        self.ask_for_all(geometry, open, rate, core);
        if let Some(swarm) = &self.swarm {
            let wake = swarm.home.wake(now);
            self.wake_at(wake);
        }
        self.leases.values().any(is_for_all)
    }

    /// Sees whether more connections bring the site more.
    fn look_at_width(&mut self, geometry: &Geometry, open: &PieceSet, core: &Core) {
        let now = core.time();
        let is_at_work = self.leases.values().any(is_for_all);
        let Some(swarm) = self.swarm.as_mut().filter(|swarm| is_at_work && swarm.home.has_company()) else {
            return;
        };
        // Nothing is tried for the last seventh.
        let grid = swarm.home.grid();
        let is_enough = open.count().saturating_mul(LAST_SHARE) >= grid.count();
        let left = is_enough.then(|| grid.len_of(&(0..open.count())));
        let width = &mut self.origin.lanes.together;
        let grain = geometry.piece_len().saturating_mul(swarm.home.readers(now));
        let change = width.look(|over| swarm.home.sum(over, now), grain, left, now);
        swarm.home.set_connections(width.count());
        let note = match change {
            WidthChange::Same => return,
            WidthChange::Tried(count) => format!("{count} connections are tried beside those of the others"),
            WidthChange::Back(count) => {
                format!("more connections bring no tenth more to all: back to {count}")
            }
        };
        self.why.note(Chosen::Origin, note, String::new(), now);
    }

    /// Keeps this node's connections busy with what it should fetch for all.
    fn ask_for_all(&mut self, geometry: &Geometry, mut open: PieceSet, rate: u64, core: &mut Core) {
        let connections = self.origin.lanes.together.count();
        let round_trip = self.origin.probe.as_ref().map_or(Duration::ZERO, |probe| probe.round_trip);
        let soon = ahead(geometry, rate / u64::from(connections), round_trip + PROGRESS_TICK);
        for _ in 0..connections {
            let ours = self.leases.values().filter(|lease| is_for_all(lease));
            let at_work = ours.clone().filter(|lease| lease.left(geometry.piece_len()) > soon).count();
            let most = usize::try_from(connections).unwrap_or(1);
            if at_work >= most || ours.count() > most {
                return;
            }
            let Some(asked) = self.fetch_for_all(&open, core) else { return };
            open.remove(asked);
        }
    }

    /// Asks the origin for the next pieces; which.
    fn fetch_for_all(&mut self, open: &PieceSet, core: &mut Core) -> Option<Range<u32>> {
        let now = core.time();
        let is_first = self.origin.speed.total() == 0;
        let swarm = self.swarm.as_mut()?;
        let work = swarm.home.next(open, now, &mut core.chance)?;
        let mut pieces = work.pieces;
        if !swarm.home.has_company() {
            // Nobody to leave anything to: all that follows, in one request.
            pieces = open.run_at(pieces.start, u32::MAX).unwrap_or(pieces);
        } else if is_first {
            // Others may be about to turn up: a mistake costs a unit.
            pieces.end = pieces.end.min(swarm.home.grid().unit_of(pieces.start).end);
        }
        if let Some(claim) = &work.claim {
            let rate = self.origin.speed.usual();
            let told = told(swarm, claim, rate);
            Core::strangers_of(swarm).into_iter().for_each(|peer| core.claim_segment(peer, told.clone()));
            self.say_segment(claim, rate, core);
        }
        self.lease_from_origin(Some(pieces.clone()), Purpose::Gap, work.why, core).then_some(pieces)
    }

    /// Own requests end before what others have by now.
    fn cut_own_leases(&mut self, geometry: &Geometry, site: &PieceSet, wanted: &PieceSet, core: &mut Core) {
        let now = core.time();
        let Some(swarm) = &self.swarm else { return };
        let ours = self.leases.iter().filter(|(_, lease)| is_for_all(lease) && !lease.released);
        let cut = |(id, lease): (&LeaseId, &OpenLease)| {
            let told = lease.position(geometry.piece_len());
            let at = (told..lease.pieces.end).find(|piece| !self.pieces.held().contains(*piece))?;
            Some((*id, swarm.home.cut(at, lease.pieces.end, site, wanted, now)?))
        };
        let cuts: Vec<(LeaseId, u32)> = ours.filter_map(cut).collect();
        cuts.into_iter().for_each(|(id, end)| self.trim(id, end, core));
    }

    /// What of this job's part may be served inside its swarm: all that stands, by its value (TRUST-1).
    pub(super) fn swarm_have(&self, core: &Core) -> Option<(ContentId, PieceSet)> {
        let swarm = self.swarm.as_ref()?;
        let on_disk = matches!(self.stage, Stage::Fetching | Stage::Sealing | Stage::Sealed);
        let may = on_disk && self.may_serve(core) && self.reset_to.is_none();
        may.then(|| (swarm.id, self.pieces.held().clone()))
    }

    /// Whether this job's part has these pieces with these values.
    pub(super) fn has_values(&self, pieces: &PieceSet, values: &[Hash]) -> bool {
        let mine = pieces
            .runs()
            .flatten()
            .map(|piece| self.pieces.value(piece).filter(|_| self.pieces.held().contains(piece)));
        mine.eq(values.iter().map(|value| Some(*value)))
    }
}

fn is_for_all(lease: &OpenLease) -> bool {
    lease.giver == Giver::Origin && !lease.stopped && !lease.to_end && lease.purpose == Purpose::Gap
}
