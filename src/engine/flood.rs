//! What members say of one file, and how it reaches all of them: each passes on what is new to it.
//!
//! A record counts as if its author had said it in a session of its own; `swarm` does not know the difference. Knows: what
//! was heard of whom, what a newcomer must be told, which neighbours still lack what. Does not know: what follows from
//! a claim (`home`, `stated`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use peer_proto::content::{ContentId, Hash};
use peer_proto::group::{GroupId, Roles, Seen};
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use peer_proto::wire::{PieceClaim, Record, RecordHead, Said};

use super::chance::mixed;
use super::core::Core;
use super::file::JobFile;
use super::home::OwnClaim;
use super::look::Heed;
use super::piece_set::{PieceSet, place};
use super::swarm::Swarm;

/// Members of one swarm that count (HOME-1).
pub const AUTHORS_MAX: usize = 4_096;
/// A member counts for so long after it was heard of last ...
pub const INTEREST_LIFE: Duration = Duration::from_secs(30);
/// ... and says so again after this.
pub const INTEREST_AGAIN: Duration = Duration::from_secs(10);
/// What was said is passed on once in so long, but for claims of segments to those who fetch, which are at once.
pub const FLOOD_TICK: Duration = Duration::from_millis(50);
/// What a member read counts as there for so long, though no neighbour has it yet.
const SPREADS_WITHIN: Duration = Duration::from_secs(4);
/// Neighbours that records are passed on to.
const NEIGHBOURS_MAX: usize = 16;
/// Bytes of claims of pieces that are kept for newcomers, for one file; and of one author.
const KEPT_MAX: usize = 4 * 1024 * 1024;
const KEPT_OF_ONE_MAX: usize = KEPT_MAX / 8;
/// Pieces that are on their way: runs of them.
const FRESH_MAX: usize = 4_096;
/// Bytes of records that leave for one neighbour at a time: a newcomer hears of a long file in several ticks.
pub const TICK_LEN_MAX: usize = 128 * 1024;
/// A newcomer is told of members that were heard of so short a time ago; of others it may hear from themselves.
const TOLD_OF_FOR: Duration = Duration::from_secs(15);
/// Records that wait for one neighbour.
const QUEUED_MAX: usize = 16_384;
/// Statements that one neighbour shows and that are looked at: in a second, on average, and at once.
const SHOWN: Pace = Pace { per_second: 2_048, at_once: 16_384 };
/// The same of one author, whoever shows them: what is beyond is not passed on either.
const SAID: Pace = Pace { per_second: 128, at_once: 1_024 };

/// What is heard and said of one file.
#[derive(Clone, Debug)]
pub(super) struct Circle {
    me: PeerId,
    /// Members with a session that want the file too, in an order of this node's own.
    near: BTreeSet<(u64, PeerId)>,
    seen: BTreeMap<PeerId, Seen>,
    /// Members near and far, when they were heard of last, and what they said then.
    heard: BTreeMap<PeerId, (Instant, Record)>,
    /// The last claim of a segment of each.
    segments: BTreeMap<PeerId, Record>,
    /// Claims of pieces, for newcomers, by author and number.
    pieces: BTreeMap<(PeerId, u64), Record>,
    kept: BTreeMap<PeerId, usize>,
    /// What may still be looked at of each author.
    budgets: BTreeMap<PeerId, Budget>,
    /// Pieces that were read a moment ago, when, and by whom.
    fresh: VecDeque<(Instant, PeerId, Range<u32>)>,
    /// Pieces this node read and has not said yet.
    unsaid: VecDeque<(u32, Vec<Hash>)>,
    /// When this node said last that it is there, and whether it fetches.
    said: Option<(Instant, bool)>,
    /// Whoever was heard of counts until then at least.
    expires_at: Instant,
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// It was heard before, or is of no use here.
    Old,
    /// It is new and true: act on it and pass it on.
    New,
    /// Nobody signed it, and the neighbour passed it on.
    Forged,
}

impl Circle {
    pub(super) const fn new(me: PeerId) -> Self {
        Self {
            me,
            near: BTreeSet::new(),
            seen: BTreeMap::new(),
            heard: BTreeMap::new(),
            segments: BTreeMap::new(),
            pieces: BTreeMap::new(),
            kept: BTreeMap::new(),
            budgets: BTreeMap::new(),
            fresh: VecDeque::new(),
            unsaid: VecDeque::new(),
            said: None,
            expires_at: Instant::ZERO,
        }
    }

    /// A peer has no session any more, or wants the file no more. `true` if it is known through others still.
    pub(super) fn went(&mut self, peer: PeerId) -> bool {
        self.near.remove(&(mixed(self.me, peer), peer));
        self.heard.contains_key(&peer)
    }

    pub(super) fn has_neighbours(&self) -> bool {
        !self.near.is_empty()
    }

    fn neighbours(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.near.iter().take(NEIGHBOURS_MAX).map(|(_, peer)| *peer)
    }

    fn keep(&mut self, record: &Record, now: Instant) {
        let author = record.head().author;
        match record.said() {
            Said::Interest { .. } => drop(self.heard.insert(author, (now, record.clone()))),
            Said::Leave => {
                self.heard.remove(&author);
                self.segments.remove(&author);
            }
            Said::Segment { .. } => drop(self.segments.insert(author, record.clone())),
            Said::Pieces { .. } => {
                if self.has_room_for(record) {
                    *self.kept.entry(author).or_default() += record.bytes().len();
                    self.pieces.insert((author, record.head().number), record.clone());
                }
            }
        }
    }

    /// Whether a claim of pieces is not kept yet and can be.
    fn has_room_for(&self, record: &Record) -> bool {
        let (author, more) = (record.head().author, record.bytes().len());
        if self.pieces.contains_key(&(author, record.head().number)) {
            return false;
        }
        let of_one = self.kept.get(&author).copied().unwrap_or(0);
        of_one + more <= KEPT_OF_ONE_MAX && self.kept.values().sum::<usize>() + more <= KEPT_MAX
    }

    /// Whether a record was not heard before, and nothing newer that takes its place. What others read long ago is
    /// news to a newcomer.
    fn is_news(&self, record: &Record) -> bool {
        let RecordHead { author, number, .. } = *record.head();
        let newest = match record.said() {
            Said::Interest { .. } | Said::Leave => self.heard.get(&author).map(|(_, record)| record),
            Said::Segment { .. } => self.segments.get(&author),
            Said::Pieces { .. } => None,
        };
        if newest.is_some_and(|newest| newest.head().number >= number) {
            return false;
        }
        match self.seen.get(&author) {
            None => self.seen.len() < AUTHORS_MAX,
            Some(seen) if seen.is_past(number) => {
                matches!(record.said(), Said::Pieces { .. }) && self.has_room_for(record)
            }
            Some(seen) => seen.is_new(number),
        }
    }

    /// Everything a newcomer must be told: who is there, what they read, what they fetch.
    fn all(&self, now: Instant) -> Vec<Record> {
        let is_here = |at: Instant| now.since(at) < TOLD_OF_FOR;
        let heard = self.heard.values().filter(|(at, _)| is_here(*at)).map(|(_, record)| record);
        heard.chain(self.pieces.values()).chain(self.segments.values()).cloned().collect()
    }

    /// Forgets those who were not heard of for too long, and says who they are.
    fn expire(&mut self, now: Instant) -> Vec<PeerId> {
        // There may be thousands: nobody is looked at before somebody may be gone.
        if now < self.expires_at {
            return Vec::new();
        }
        let gone = self.forget(|at, _| now.since(at) >= INTEREST_LIFE);
        let first = self.heard.values().map(|(at, _)| *at).min();
        self.expires_at = first.unwrap_or(now).after(INTEREST_LIFE);
        gone
    }

    /// Forgets members, by when they were heard of last and what they said then, and says who they are.
    fn forget(&mut self, is_gone: impl Fn(Instant, &Said) -> bool) -> Vec<PeerId> {
        let gone = self.heard.iter().filter(|(_, (at, record))| is_gone(*at, record.said()));
        let gone: Vec<PeerId> = gone.map(|(peer, _)| *peer).collect();
        for peer in &gone {
            self.heard.remove(peer);
            self.segments.remove(peer);
        }
        gone
    }
}

/// Records on their way out.
#[derive(Debug, Default)]
pub(super) struct Queues {
    last_number: u64,
    waiting: BTreeMap<PeerId, BTreeMap<Place, Record>>,
    /// When they leave; not at all while none waits.
    due: Option<Instant>,
    /// What may still be looked at of each neighbour.
    looks: BTreeMap<PeerId, Budget>,
}

/// The order in which records leave: of one author who it is, what it read, what it fetches, that it goes.
type Place = (PeerId, u8, u64);

fn place_of(record: &Record) -> Place {
    let RecordHead { author, number, .. } = *record.head();
    let kind = match record.said() {
        Said::Interest { .. } => 0,
        Said::Pieces { .. } => 1,
        Said::Segment { .. } => 2,
        Said::Leave => 3,
    };
    (author, kind, number)
}

/// The first record that does not leave in this tick any more.
fn too_much(queue: &BTreeMap<Place, Record>) -> Option<Place> {
    let mut len = 0;
    let mut is_beyond = |record: &Record| {
        len += record.bytes().len();
        len > TICK_LEN_MAX
    };
    queue.iter().find(|(_, record)| is_beyond(record)).map(|(place, _)| *place)
}

/// How often something may happen.
#[derive(Clone, Copy, Debug)]
struct Pace {
    per_second: u64,
    at_once: u64,
}

/// How often it may still happen: a signature costs more to check than to pass on.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: u64,
    since: Instant,
}

impl Budget {
    const fn full(pace: Pace, now: Instant) -> Self {
        Self { left: pace.at_once, since: now }
    }

    /// Takes one, if one is left.
    fn take(&mut self, pace: Pace, now: Instant) -> bool {
        let millis = u64::try_from(now.since(self.since).as_millis()).unwrap_or(u64::MAX);
        let more = millis.saturating_mul(pace.per_second) / 1_000;
        if more > 0 {
            *self = Self { left: self.left.saturating_add(more).min(pace.at_once), since: now };
        }
        let has_one = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has_one
    }
}

impl Core {
    /// When records leave next.
    pub(super) fn flood_wake(&self) -> Instant {
        self.queues.due.unwrap_or(Instant::NEVER)
    }

    /// Something will be said within a tick.
    fn flood_soon(&mut self) {
        let soon = self.time().after(FLOOD_TICK);
        self.queues.due = Some(self.queues.due.map_or(soon, |due| due.min(soon)));
    }

    fn flood_now(&mut self) {
        self.queues.due = Some(self.time());
    }

    /// Leaves a record for a neighbour.
    fn queue(&mut self, peer: PeerId, record: Record) {
        let queue = self.queues.waiting.entry(peer).or_default();
        if queue.len() < QUEUED_MAX {
            queue.insert(place_of(&record), record);
        }
        self.flood_soon();
    }

    /// A neighbour has a record already.
    fn unqueue(&mut self, peer: PeerId, record: &Record) {
        if let Some(queue) = self.queues.waiting.get_mut(&peer) {
            queue.remove(&place_of(record));
        }
    }

    /// Sends what waits, if its time has come.
    pub(super) fn flush_records(&mut self) {
        self.queues.due = None;
        let waiting: Vec<PeerId> = self.queues.waiting.keys().copied().collect();
        waiting.into_iter().for_each(|peer| self.flush_to(peer));
    }

    /// Sends what waits for one neighbour, if anything does.
    fn flush_to(&mut self, peer: PeerId) {
        let Some(mut queue) = self.queues.waiting.remove(&peer) else { return };
        let Some(known) = self.peers.get_mut(peer) else { return };
        let rest = too_much(&queue).map(|place| queue.split_off(&place));
        known.session.show_records(queue.into_values().collect());
        self.pump(peer);
        if let Some(rest) = rest {
            self.queues.waiting.insert(peer, rest);
            self.flood_soon();
        }
    }

    /// Nothing more waits for a peer that went.
    pub(super) fn forget_queue(&mut self, peer: PeerId) {
        self.queues.waiting.remove(&peer);
        self.queues.looks.remove(&peer);
    }

    /// Whether one more statement that a neighbour shows may be looked at.
    pub(super) fn may_look_at(&mut self, peer: PeerId) -> bool {
        let now = self.time();
        self.queues.looks.entry(peer).or_insert(Budget::full(SHOWN, now)).take(SHOWN, now)
    }

    /// Signs a statement of this node. Numbers ascend over restarts too, as far as the wall clock does.
    fn sign(&mut self, swarm: ContentId, group: GroupId, said: Said) -> Option<Record> {
        let wall_ms = u64::try_from(self.now.wall_unix_ms).unwrap_or(0);
        let signer = &self.config.groups.get(group)?.signer;
        let number = if self.queues.last_number == 0 { wall_ms << 16 } else { self.queues.last_number };
        let number = number.saturating_add(1);
        let head = RecordHead { group, author: self.config.me, number, swarm };
        let record = Record::sign(signer, head, said)?;
        self.queues.last_number = number;
        Some(record)
    }
}

impl JobFile {
    /// What this node read before there was anybody to tell.
    pub(super) fn say_certain(&mut self, core: &mut Core) {
        for run in self.pieces.certain().runs().collect::<Vec<_>>() {
            let values: Vec<Hash> = run.clone().filter_map(|piece| self.pieces.value(piece)).collect();
            self.say_pieces(run.start, &values, core);
        }
    }

    fn circle(&mut self) -> Option<&mut Circle> {
        self.swarm.as_mut()?.circle.as_mut()
    }

    /// Whether this job's swarm knows an author already.
    pub(super) fn knows_author(&self, author: PeerId) -> bool {
        let circle = self.swarm.as_ref().and_then(|swarm| swarm.circle.as_ref());
        circle.is_some_and(|circle| circle.seen.contains_key(&author))
    }

    /// A neighbour shows a record: what is new and true is acted on and passed on. `None` if nobody signed it.
    pub(super) fn hear(&mut self, from: PeerId, record: &Record, core: &mut Core) -> Option<Heed> {
        let now = core.time();
        match self.judge_record(record, core) {
            Verdict::Forged => return None,
            Verdict::Old => {
                core.unqueue(from, record);
                return Some(Heed::Later);
            }
            Verdict::New => {}
        }
        let author = record.head().author;
        let Some(circle) = self.circle() else { return Some(Heed::Later) };
        circle.seen.entry(author).or_default().note(record.head().number);
        circle.keep(record, now);
        let neighbours: Vec<PeerId> =
            circle.neighbours().filter(|peer| *peer != from && *peer != author).collect();
        neighbours.into_iter().for_each(|peer| core.queue(peer, record.clone()));
        Some(self.act_on(record, core))
    }

    fn judge_record(&mut self, record: &Record, core: &Core) -> Verdict {
        let (head, now) = (record.head(), core.time());
        // What is said in another group is none of this circle's business.
        let swarm = self.swarm.as_mut().filter(|swarm| swarm.group == Some(head.group));
        let circle = swarm.and_then(|swarm| swarm.circle.as_mut());
        let (Some(circle), Some(group)) = (circle, core.config.groups.get(head.group)) else {
            return Verdict::Old;
        };
        if head.author == core.config.me || !circle.is_news(record) {
            return Verdict::Old;
        }
        // Of somebody new nothing is kept before his token was checked; neighbours' budgets bound how often that is.
        let budget = || Budget::full(SAID, now);
        let is_known = circle.seen.contains_key(&head.author);
        if is_known && !circle.budgets.entry(head.author).or_insert_with(budget).take(SAID, now) {
            return Verdict::Old;
        }
        let known = circle.heard.get(&head.author).map(|(_, record)| record.said());
        let shown = [Some(record.said()), known].into_iter().flatten().find_map(Said::token);
        let is_denied = shown.is_some_and(|token| group.denies(token));
        let is_member = match record.said() {
            _ if is_denied => false,
            Said::Interest { token, .. } => {
                // The same token need not be checked twice.
                let is_same = matches!(known, Some(Said::Interest { token: before, .. }) if before == token);
                let counts = is_same && token.wish().not_after >= core.wall_s();
                token.wish().roles.has(Roles::FETCH)
                    && (counts || group.admits(head.author, token, core.wall_s()).is_ok())
            }
            Said::Leave | Said::Segment { .. } | Said::Pieces { .. } => known.is_some(),
        };
        match (is_member, is_member && record.is_signed()) {
            (false, _) => Verdict::Old,
            (true, true) => Verdict::New,
            (true, false) => Verdict::Forged,
        }
    }

    /// Takes a record as if its author had said it here.
    fn act_on(&mut self, record: &Record, core: &mut Core) -> Heed {
        let now = core.time();
        let head = record.head();
        let Some(swarm) = &mut self.swarm else { return Heed::Later };
        match record.said() {
            Said::Interest { fetches, token } => {
                let fetches = *fetches && token.wish().roles.has(Roles::SERVE);
                if !swarm.home.joined_kin(head.author, fetches, now) {
                    return Heed::Later;
                }
                self.changed = true;
                if self.end_lone_leases(core)
                    && let Some(own) = self.swarm.as_ref().and_then(|swarm| swarm.home.own()).cloned()
                {
                    self.say_segment(&own, self.origin.speed.usual(), core);
                }
                Heed::Soon
            }
            Said::Leave => {
                swarm.home.left(head.author, now);
                Heed::Later
            }
            Said::Segment { .. } => {
                // Those who fetch hear of it at once, and of what came before.
                swarm.home.fetchers().iter().for_each(|fetcher| core.flush_to(*fetcher));
                record.segment().map_or(Heed::Later, |claim| self.segment_claimed(head.author, &claim, now))
            }
            Said::Pieces { first, values } => {
                let claim = PieceClaim { swarm: head.swarm, first: *first, values: values.clone() };
                // Once: whoever says it again and again, and gives nothing, holds nobody up.
                let has_said = |swarm: &Swarm| {
                    let said = swarm.stated.pieces_of(head.author);
                    said.is_some_and(|said| said.contains_all(claim.pieces()))
                };
                let before = has_said(swarm);
                // Nor does it count as progress to say so of what is here already: it came from elsewhere.
                let was_here = !self.follows_list() && self.pieces.held().contains_all(claim.pieces());
                let heed = self.pieces_claimed(head.author, &claim, core);
                let is_first = !before && !was_here && self.swarm.as_ref().is_some_and(has_said);
                if let Some(circle) =
                    self.circle().filter(|circle| is_first && circle.fresh.len() < FRESH_MAX)
                {
                    circle.fresh.push_back((now, head.author, claim.pieces()));
                }
                heed
            }
        }
    }

    /// What is to be had in the site, if `here` is what neighbours have: that, and what members read a moment ago. That it
    /// arrived is what counts as their progress; that they said so is not (HOME-3).
    pub(super) fn with_fresh(&mut self, here: PieceSet, now: Instant) -> PieceSet {
        let Some(swarm) = &mut self.swarm else { return here };
        let Some(circle) = &mut swarm.circle else { return here };
        let mut arrived = here.clone();
        arrived.union_with(self.pieces.held());
        let mut site = here;
        let mut waiting = VecDeque::new();
        for (at, author, pieces) in std::mem::take(&mut circle.fresh) {
            if arrived.contains_all(pieces.clone()) {
                swarm.home.progressed(author, &pieces, now);
            } else if now.since(at) < SPREADS_WITHIN {
                site.insert(pieces.clone());
                waiting.push_back((at, author, pieces));
            }
        }
        circle.fresh = waiting;
        site
    }

    /// A neighbour that is a member joined: it is told all there is to know. `true` if it was not a neighbour before.
    pub(super) fn welcome(&mut self, peer: PeerId, core: &mut Core) -> bool {
        let now = core.time();
        let Some(circle) = self.circle() else { return false };
        if !circle.near.insert((mixed(circle.me, peer), peer)) {
            return false;
        }
        circle.all(now).into_iter().for_each(|record| core.queue(peer, record));
        true
    }

    /// Says something to all members.
    fn say(&mut self, said: Said, core: &mut Core) {
        let now = core.time();
        let Some(swarm) = self.swarm.as_mut().filter(|swarm| swarm.circle.is_some()) else { return };
        let record = swarm.group.and_then(|group| core.sign(swarm.id, group, said));
        let Some(record) = record else { return };
        let Some(circle) = &mut swarm.circle else { return };
        circle.keep(&record, now);
        circle.neighbours().collect::<Vec<_>>().into_iter().for_each(|peer| core.queue(peer, record.clone()));
    }

    /// Says that this node is there, at first, when something changed, and again from time to time; forgets who does not.
    pub(super) fn tend_circle(&mut self, core: &mut Core) {
        let now = core.time();
        let Some(swarm) = &mut self.swarm else { return };
        let Some(circle) = &mut swarm.circle else { return };
        for gone in circle.expire(now).into_iter().filter(|peer| *peer != core.config.me) {
            swarm.home.left(gone, now);
        }
        let fetches = swarm.fetches;
        let is_first = circle.said.is_none();
        let due = circle.said.is_none_or(|(at, told)| now.since(at) >= INTEREST_AGAIN || told != fetches);
        let group = swarm.group.filter(|group| due && core.belongs_to(*group));
        if let Some(group) = group.and_then(|group| core.config.groups.get(group)) {
            circle.said = Some((now, fetches));
            let token = group.badge.token.clone();
            self.say(Said::Interest { fetches, token }, core);
        }
        if is_first {
            self.say_certain(core);
        }
    }

    /// Members that are denied by now are none any more, whoever passed on what they said.
    pub(super) fn forget_denied(&mut self, core: &mut Core) {
        let now = core.time();
        let Some(swarm) = &mut self.swarm else { return };
        let Some(group) = swarm.group.and_then(|group| core.config.groups.get(group)) else { return };
        let Some(circle) = &mut swarm.circle else { return };
        let is_denied = |_, said: &Said| said.token().is_some_and(|token| group.denies(token));
        for gone in circle.forget(is_denied).into_iter().filter(|peer| *peer != core.config.me) {
            swarm.home.left(gone, now);
        }
    }

    /// Tells members what this node fetches now, at once.
    pub(super) fn say_segment(&mut self, claim: &OwnClaim, rate: u64, core: &mut Core) {
        let rate_kib = u32::try_from(rate / 1_024).unwrap_or(u32::MAX);
        let (number, pieces, from_back) = (claim.number, claim.pieces.clone(), claim.from_back);
        self.say(Said::Segment { number, pieces, from_back, rate_kib }, core);
        core.flood_now();
    }

    /// Pieces came from the origin: members are told within a tick.
    pub(super) fn say_pieces(&mut self, first: u32, values: &[Hash], core: &mut Core) {
        let Some(circle) = self.circle() else { return };
        match circle.unsaid.back_mut() {
            Some((start, last)) if place(first - (*start).min(first)) == last.len() => {
                last.extend_from_slice(values);
            }
            _ => circle.unsaid.push_back((first, values.to_vec())),
        }
        core.flood_soon();
    }

    /// Says what came since the last tick.
    pub(super) fn say_unsaid(&mut self, core: &mut Core) {
        let unsaid = self.circle().map(|circle| std::mem::take(&mut circle.unsaid)).unwrap_or_default();
        for (first, values) in unsaid {
            let step = peer_proto::limits::VALUES_PER_CLAIM_MAX;
            for (values, first) in values.chunks(step).zip((first..).step_by(step)) {
                self.say(Said::Pieces { first, values: values.to_vec() }, core);
            }
        }
    }

    /// Says that this node wants the file no more.
    pub(super) fn say_goodbye(&mut self, core: &mut Core) {
        self.say_unsaid(core);
        self.say(Said::Leave, core);
        core.flood_now();
    }
}

#[cfg(test)]
#[path = "flood_tests.rs"]
mod tests;
