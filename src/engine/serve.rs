//! Answering peers: who may learn what we hold, and serving it.
//!
//! Knows: the conditions of LOOKUP-3 and -4, what is served from where, caps. Does not know: bytes (`transfer`), what
//! this node fetches (`lookup`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::{ByteRange, ContentId, Hash};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::group::GroupId;
use peer_proto::home::swarm_id;
use peer_proto::limits::{IDS_PER_SECOND_TOTAL_MAX, MISSES_PER_HOUR_MAX};
use peer_proto::lookup::{LookupId, lookup_id, verify_know_proof};
use peer_proto::peer::PeerId;
use peer_proto::session::{Answer, RefuseReason, RequestId};
use peer_proto::time::Instant;
use peer_proto::verify::HashList;
use peer_proto::wire::{HaveSet, ListPart};

use super::chance::mixed;
use super::core::{Asker, Core};
use super::file::{JobFile, Stage};
use super::io::{Effect, Serve, ServeFrom, ServeId, ServeOutcome, Yields};
use super::mutant::Mutant;
use super::piece_set::PieceSet;
use super::slots::{self, BUSY_RETRY, Guest, Slots};
use crate::job::FileId;
use crate::record::{Holding, RecordId, RecordSummary, Scope};

/// How often peers are told what a growing part has.
pub const HAVE_TICK: Duration = Duration::from_millis(50);
/// A delivered file is in the cache within this, if it is kept at all.
const KEPT_WITHIN: Duration = Duration::from_secs(5);
/// Members of a swarm that are told what the part has, while it grows.
const TOLD_MAX: usize = 12;
const HOUR: Duration = Duration::from_secs(60 * 60);
const ADDRESSES_MAX: usize = 4_096;
/// Files fetched under a URL's name whose contents are remembered for those who still fetch them.
const BY_URL_MAX: usize = 64;

/// What is being served, and how often who asked in vain.
#[derive(Debug, Default)]
pub(super) struct Serving {
    pub(super) open: Slots,
    /// Records by what they are asked for.
    index: BTreeSet<(LookupId, RecordId)>,
    /// Records by the swarms of their digests.
    swarms: BTreeMap<ContentId, RecordId>,
    /// What files that were fetched under a URL's name became: contents by swarms, oldest first.
    by_url: VecDeque<(ContentId, ContentId)>,
    misses: BTreeMap<String, (Instant, BTreeSet<LookupId>)>,
    second: Option<Instant>,
    ids_this_second: u32,
    /// Jobs whose parts some peer was told of, and how many pieces were told.
    pub(super) shared: BTreeMap<FileId, u32>,
    /// Jobs with members in their swarm, and how many pieces those were told.
    pub(super) swarm_told: BTreeMap<FileId, u32>,
    told_at: Option<Instant>,
}

/// What of one content this node may serve.
pub(super) struct Offer {
    pub(super) content: ContentId,
    pub(super) have: PieceSet,
    pub(super) whole: bool,
    pub(super) sealed: bool,
    pub(super) from: ServeFrom,
    pub(super) list: Option<Arc<HashList>>,
}

impl Offer {
    /// What is served, as it travels.
    pub(super) fn have_set(&self) -> Option<HaveSet> {
        let cut = peer_proto::content::Geometry::of(self.content.len).ok()?;
        Some(HaveSet::from_words(cut.piece_count(), self.have.words()))
    }
}

impl Serving {
    /// Whether some peer was told of this job's part.
    pub(super) fn is_shared(&self, job: FileId) -> bool {
        self.shared.contains_key(&job)
    }

    /// A file that was fetched under a URL's name has this content.
    pub(super) fn note_by_url(&mut self, swarm: ContentId, content: ContentId) {
        self.by_url.retain(|(known, _)| *known != swarm);
        self.by_url.push_back((swarm, content));
        if self.by_url.len() > BY_URL_MAX {
            self.by_url.pop_front();
        }
    }

    fn may_look(&mut self, now: Instant) -> bool {
        if self.second.is_none_or(|second| now.since(second) >= Duration::from_secs(1)) {
            self.second = Some(now);
            self.ids_this_second = 0;
        }
        self.ids_this_second += 1;
        self.ids_this_second <= IDS_PER_SECOND_TOTAL_MAX
    }

    /// Whether this address asked for too much that is not here (LOOKUP-4).
    pub(super) fn missed_too_often(&self, address: &str, now: Instant) -> bool {
        let misses = self.misses.get(address);
        misses.is_some_and(|(since, ids)| now.since(*since) < HOUR && ids.len() > MISSES_PER_HOUR_MAX)
    }

    fn note_miss(&mut self, address: &str, id: LookupId, now: Instant) {
        if self.misses.len() >= ADDRESSES_MAX {
            self.misses.retain(|_, (since, _)| now.since(*since) < HOUR);
        }
        if self.misses.len() < ADDRESSES_MAX || self.misses.contains_key(address) {
            let (since, ids) = self.misses.entry(address.to_owned()).or_insert((now, BTreeSet::new()));
            if now.since(*since) >= HOUR {
                (*since, *ids) = (now, BTreeSet::new());
            }
            if ids.len() <= MISSES_PER_HOUR_MAX {
                ids.insert(id);
            }
        }
    }
}

impl Core {
    pub(super) fn record_held(&mut self, record: RecordSummary) {
        self.record_gone(record.id);
        if self.are_gone(&record.vouched) {
            self.effect(Effect::DropRecord { record: record.id });
            return;
        }
        for digest in names_of(&record) {
            self.serving.swarms.insert(swarm_id(&digest, record.content.len), record.id);
            self.serving.index.insert((lookup_id(&digest), record.id));
        }
        self.records.insert(record.id, record.clone());
        let Some(offer) = self.record_offer(&record) else { return };
        self.send_have_to_all(&offer);
        for digest in names_of(&record) {
            let swarm = swarm_id(&digest, record.content.len);
            let Some(have) = offer.have_set() else { return };
            for id in self.granted_to(swarm) {
                self.send_have(id, swarm, have.clone());
            }
        }
    }

    pub(super) fn record_gone(&mut self, id: RecordId) {
        let Some(record) = self.records.remove(&id) else { return };
        for digest in names_of(&record) {
            let swarm = swarm_id(&digest, record.content.len);
            if self.serving.swarms.get(&swarm) == Some(&id) {
                self.serving.swarms.remove(&swarm);
            }
            self.serving.index.remove(&(lookup_id(&digest), id));
        }
    }

    /// Lets go of what the cache keeps of a content: nobody is given it from now on (VAL-4).
    pub(super) fn drop_records(&mut self, root: &str, len: u64) {
        let is_it =
            |record: &&RecordSummary| record.content.len == len && record.content.root.to_string() == root;
        let records: Vec<RecordId> = self.records.values().filter(is_it).map(|record| record.id).collect();
        for record in records {
            self.record_gone(record);
            self.effect(Effect::DropRecord { record });
        }
    }

    /// Tells a member what the record has that its file became.
    pub(super) fn offer_record_to(&mut self, id: PeerId, swarm: ContentId) {
        let record = self.serving.swarms.get(&swarm).and_then(|record| self.records.get(record));
        let offer = record.and_then(|record| self.record_offer(record));
        if let Some(have) = offer.and_then(|offer| offer.have_set()) {
            self.send_have(id, swarm, have);
        }
    }

    pub(super) fn granted_to(&self, content: ContentId) -> Vec<PeerId> {
        self.peers.iter().filter(|(_, peer)| peer.granted.contains(&content)).map(|(id, _)| id).collect()
    }

    /// What may be served of a record, if anything (LOOKUP-3; the age is checked where a stranger asks).
    fn record_offer(&self, record: &RecordSummary) -> Option<Offer> {
        if !self.is_served(record) {
            return None;
        }
        let count = peer_proto::content::Geometry::of(record.content.len).ok()?.piece_count();
        let have = pieces_of(record);
        let whole = have.contains_all(0..count);
        let from = ServeFrom::Record(record.id);
        Some(Offer { content: record.content, have, whole, sealed: true, from, list: None })
    }

    /// Whether a record may be given to others at all.
    pub(super) fn is_served(&self, record: &RecordSummary) -> bool {
        self.flags.server && record.served && record.scope == Scope::Shareable
    }

    /// Records whose whole content has this digest.
    pub(super) fn records_of<'a>(&'a self, digest: &'a Digest) -> impl Iterator<Item = &'a RecordSummary> {
        let asked = self.asked_for(lookup_id(digest));
        asked.filter(move |record| names_of(record).any(|name| name == *digest))
    }

    /// Records that are asked for by this id.
    fn asked_for(&self, lookup: LookupId) -> impl Iterator<Item = &RecordSummary> {
        self.asked_for_by(lookup..=lookup)
    }

    /// Records that are asked for by one of these ids.
    pub(super) fn asked_for_by(&self, ids: RangeInclusive<LookupId>) -> impl Iterator<Item = &RecordSummary> {
        let all = (*ids.start(), RecordId([0; 16]))..=(*ids.end(), RecordId([u8::MAX; 16]));
        self.serving.index.range(all).filter_map(|(_, record)| self.records.get(record))
    }

    /// Tells everybody who may know what we serve of a content.
    fn send_have_to_all(&mut self, offer: &Offer) {
        let Some(have) = offer.have_set() else { return };
        for id in self.granted_to(offer.content) {
            self.send_have(id, offer.content, have.clone());
        }
    }

    /// Tells a peer what we serve of a content.
    pub(super) fn send_have(&mut self, id: PeerId, content: ContentId, have: HaveSet) {
        let now = self.time();
        if let Some(peer) = self.peers.get_mut(id) {
            peer.session.send_have(content, have, now);
        }
        self.pump(id);
    }

    pub(super) fn serve_ended(&mut self, id: ServeId, sent: u64, outcome: ServeOutcome) {
        let now = self.time();
        self.totals.served_bytes += if Mutant::MiscountsServed.lives() { 0 } else { sent };
        let Some((peer_id, request)) = self.serving.open.remove(id) else { return };
        let Some(peer) = self.peers.get_mut(peer_id) else { return };
        peer.bytes_out += sent;
        if peer.serving.get(&request) != Some(&id) {
            return;
        }
        peer.serving.remove(&request);
        match outcome {
            ServeOutcome::NotHeld => peer.session.refuse(request, RefuseReason::NotHeld, now),
            // Cut short, here or by the line: whoever still waits for it is told to look elsewhere.
            ServeOutcome::PeerGone => {
                peer.session.refuse(request, RefuseReason::Busy { retry: BUSY_RETRY }, now);
            }
            ServeOutcome::Sent => peer.session.finish(request),
        }
        self.pump(peer_id);
    }

    /// A peer took its request back.
    pub(super) fn cancelled(&mut self, id: PeerId, request: RequestId) {
        let serve = self.peers.get_mut(id).and_then(|peer| peer.serving.remove(&request));
        if let Some(id) = serve {
            self.effect(Effect::StopServe { id });
        }
    }

    pub(super) fn list_read(
        &mut self,
        id: PeerId,
        content: ContentId,
        part: ListPart,
        values: Option<Vec<peer_proto::content::Hash>>,
    ) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.session.send_list(content, part, values);
        }
        self.pump(id);
    }

    /// When peers should be told again what growing parts have.
    pub(super) fn have_wake(&self) -> Instant {
        match self.serving.told_at {
            _ if self.serving.shared.is_empty() && self.serving.swarm_told.is_empty() => Instant::NEVER,
            Some(told) => told.after(HAVE_TICK),
            None => Instant::ZERO,
        }
    }
}

/// Everything that may be served, as the answering half sees it.
pub(super) struct Shelf<'a> {
    pub(super) core: &'a mut Core,
    pub(super) files: &'a BTreeMap<FileId, JobFile>,
}

impl Shelf<'_> {
    /// A peer asks who holds something: one answer for not held, not allowed and over a limit (LOOKUP-4).
    pub(super) fn asked(&mut self, id: PeerId, key: u32, lookup: LookupId, proof: &[u8; 32]) {
        let now = self.core.time();
        let offer = self.answer_to(id, lookup, proof);
        let Some(peer) = self.core.peers.get_mut(id) else { return };
        let answer = match &offer {
            Some(offer) => {
                peer.granted.insert(offer.content);
                let (content, whole, sealed) = (offer.content, offer.whole, offer.sealed);
                Answer::Here { content, whole, sealed }
            }
            None => Answer::NotHere,
        };
        peer.session.answer(key, answer, now);
        self.core.pump(id);
        if let Some(offer) = offer.filter(|offer| !offer.whole) {
            if let ServeFrom::Part(file) = offer.from {
                self.core.serving.shared.insert(file, offer.have.count());
            }
            if let Some(have) = offer.have_set() {
                self.core.send_have(id, offer.content, have);
            }
        }
    }

    fn answer_to(&mut self, id: PeerId, lookup: LookupId, proof: &[u8; 32]) -> Option<Offer> {
        let core = &mut *self.core;
        let now = core.time();
        let asks = core.asks_as(id)?;
        let peer = core.peers.get(id)?;
        let (address, nonce) = (peer.address.clone(), *peer.session.my_nonce());
        if !core.flags.server || !core.is_told(asks) || !core.serving.may_look(now) {
            return None;
        }
        if core.serving.missed_too_often(&address, now) {
            return None;
        }
        let me = core.config.me;
        let knows = |digest: &Digest| verify_know_proof(digest, &id, &me, &nonce, proof);
        let is_known = |record: &&RecordSummary| {
            names_of(record).any(|digest| lookup_id(&digest) == lookup && knows(&digest))
        };
        let records = core
            .asked_for(lookup)
            .filter(is_known)
            .filter(|record| core.is_for(record, asks))
            .filter_map(|record| core.record_offer(record));
        let from_record = records.max_by_key(|offer| offer.have.count());
        let found = match from_record {
            Some(offer) if offer.whole => Some(offer),
            partial => self.part_for(lookup, knows).or(partial),
        };
        if found.is_none() {
            self.core.serving.note_miss(&address, lookup, now);
        }
        found
    }

    /// The job whose swarm a peer on the link joins, if it proves that it knows the digest (LOOKUP-2).
    pub(super) fn swarm_of(&self, id: PeerId, lookup: LookupId, proof: &[u8; 32]) -> Option<FileId> {
        // Those of another site have an origin line of their own; strangers learn nothing of what is fetched here (LOOKUP-3).
        let peer = self.core.peers.get(id).filter(|peer| peer.near)?;
        if !self.core.is_told(self.core.asks_as(id)?) {
            return None;
        }
        let nonce = *peer.session.my_nonce();
        let me = self.core.config.me;
        let is_member = |group: Option<GroupId>| group.is_some_and(|group| self.core.is_member_of(id, group));
        let is_it = |job: &&JobFile| {
            let swarm = job.swarm.as_ref().filter(|swarm| !swarm.by_url || is_member(swarm.group));
            let digest = swarm.map(|swarm| &swarm.digest);
            let digest = digest.filter(|digest| lookup_id(digest) == lookup);
            digest.is_some_and(|digest| verify_know_proof(digest, &id, &me, &nonce, proof))
        };
        self.files.values().find(is_it).map(|job| job.id)
    }

    /// A part that is still coming in, or sealed and not kept yet, whose digest was asked for.
    fn part_for(&self, lookup: LookupId, knows: impl Fn(&Digest) -> bool) -> Option<Offer> {
        self.files.values().find_map(|job| {
            let offer = job.offer(self.core)?;
            let digests = root_digest(offer.content).into_iter().chain(job.checked_digests());
            let mut named = digests.filter(|digest| lookup_id(digest) == lookup);
            named.any(|digest| knows(&digest)).then_some(offer)
        })
    }

    /// What may be served of a content now: a record's before a part's.
    pub(super) fn offer_of(&self, content: ContentId, needed: &PieceSet) -> Option<Offer> {
        let covers = |offer: &Offer| needed.runs().all(|run| offer.have.contains_all(run));
        let root = root_digest(content);
        let records = root.iter().flat_map(|root| self.core.records_of(root));
        let offers = records.filter_map(|record| self.core.record_offer(record)).filter(covers);
        // What lost a piece may have rotted in others, too, that nobody read yet: whoever lacks least gives.
        offers.max_by_key(|offer| offer.have.count()).or_else(|| {
            let parts = self.files.values().filter_map(|job| job.offer(self.core));
            parts.filter(|offer| offer.content == content).find(covers)
        })
    }

    /// A peer asks for bytes.
    pub(super) fn wanted(
        &mut self,
        id: PeerId,
        request: RequestId,
        content: ContentId,
        ranges: Vec<ByteRange>,
        values: Vec<Hash>,
    ) {
        let now = self.core.time();
        let mut needed = PieceSet::new();
        if let Ok(cut) = peer_proto::content::Geometry::of(content.len) {
            ranges.iter().for_each(|range| needed.insert(cut.touched_pieces(*range)));
        }
        let granted = self.core.peers.get(id).is_some_and(|peer| peer.granted.contains(&content));
        let from = if !granted {
            None
        } else if values.is_empty() {
            self.offer_of(content, &needed).map(|offer| offer.from)
        } else {
            self.member_offer(content, &needed, &values)
        };
        let guest = if values.is_empty() { Guest::Other } else { Guest::Member };
        let yields = from.map_or(Yields::Never, |from| self.yields(id, from));
        let refused = match from {
            Some(_) => {
                let len = ranges.iter().map(|range| range.len()).sum();
                let caller = slots::Caller { peer: id, guest, len, rate: self.core.serve_rate(yields) };
                let retry = self.core.serving.open.busy(&caller, now);
                retry.map(|retry| RefuseReason::Busy { retry })
            }
            None if granted && self.is_being_delivered(content) => {
                Some(RefuseReason::Busy { retry: BUSY_RETRY })
            }
            None => Some(RefuseReason::NotHeld),
        };
        let serve = self.core.serve_id();
        let Some(peer) = self.core.peers.get_mut(id) else { return };
        match (refused, from) {
            (None, Some(from)) => {
                peer.serving.insert(request, serve);
                let held = slots::Serve { peer: id, request, guest, yields, since: now };
                self.core.serving.open.add(serve, held);
                let serve = Serve { id: serve, peer: id, request, from, ranges, values, yields };
                self.core.effect(Effect::Serve(serve));
            }
            (refused, _) => {
                peer.session.refuse(request, refused.unwrap_or(RefuseReason::NotHeld), now);
            }
        }
        self.core.pump(id);
    }

    /// Where pieces with these values are, inside a swarm: the part, whatever they rest on, or the record it became.
    fn member_offer(&self, swarm: ContentId, needed: &PieceSet, values: &[Hash]) -> Option<ServeFrom> {
        if let Some(job) = Core::swarm_job(self.files, swarm)
            && let Some((_, have)) = job.swarm_have(self.core)
        {
            let held = needed.runs().all(|run| have.contains_all(run));
            return (held && job.has_values(needed, values)).then_some(ServeFrom::Part(job.file()));
        }
        let serving = &self.core.serving;
        let record = match serving.swarms.get(&swarm) {
            Some(record) => self.core.records.get(record)?,
            None => {
                let content = serving.by_url.iter().find(|(known, _)| *known == swarm)?.1;
                let root = root_digest(content)?;
                self.core.asked_for(lookup_id(&root)).find(|record| record.content == content)?
            }
        };
        let offer = self.core.record_offer(record)?;
        needed.runs().all(|run| offer.have.contains_all(run)).then_some(offer.from)
    }

    fn is_being_delivered(&self, content: ContentId) -> bool {
        self.files.values().any(|job| {
            let is_it =
                job.is_swarm(content) || job.sealed.as_ref().is_some_and(|sealed| sealed.content == content);
            let on_its_way = match job.delivered_at {
                // The cache takes it in by itself.
                Some(at) => self.core.time().since(at) < KEPT_WITHIN,
                None => matches!(job.stage, Stage::Delivering | Stage::Dropping),
            };
            is_it && on_its_way
        })
    }

    /// A peer asks for a part of a list.
    pub(super) fn list_asked(&mut self, id: PeerId, content: ContentId, part: ListPart) {
        let granted = self.core.peers.get(id).is_some_and(|peer| peer.granted.contains(&content));
        let offer = if granted { self.offer_of(content, &PieceSet::new()) } else { None };
        let values = match offer.map(|offer| (offer.from, offer.list)) {
            Some((ServeFrom::Record(record), _)) => {
                let asker = Asker::List { peer: id, content, part };
                self.core.ask_for(asker, |id| Effect::ReadList { id, record, part });
                return;
            }
            Some((ServeFrom::Part(_), Some(list))) => list.part(part),
            Some((ServeFrom::Part(_), None)) | None => None,
        };
        if let Some(peer) = self.core.peers.get_mut(id) {
            peer.session.send_list(content, part, values);
        }
        self.core.pump(id);
    }

    /// Tells peers what growing parts have by now.
    pub(super) fn tell_haves(&mut self) {
        let now = self.core.time();
        if self.core.have_wake() > now {
            return;
        }
        self.core.serving.told_at = Some(now);
        let shared: Vec<(FileId, u32)> =
            self.core.serving.shared.iter().map(|(job, count)| (*job, *count)).collect();
        for (job, told) in shared {
            let Some(offer) = self.files.get(&job).and_then(|job| job.offer(self.core)) else {
                self.core.serving.shared.remove(&job);
                continue;
            };
            if offer.have.count() != told {
                self.core.serving.shared.insert(job, offer.have.count());
                self.core.send_have_to_all(&offer);
            }
        }
        self.tell_members();
    }

    /// Tells members of swarms what can be had here by now.
    fn tell_members(&mut self) {
        let swarms: Vec<(FileId, u32)> =
            self.core.serving.swarm_told.iter().map(|(job, count)| (*job, *count)).collect();
        for (job, told) in swarms {
            let Some((content, have)) = self.files.get(&job).and_then(|job| job.swarm_have(self.core)) else {
                self.core.serving.swarm_told.remove(&job);
                continue;
            };
            if have.count() == told {
                continue;
            }
            self.core.serving.swarm_told.insert(job, have.count());
            let mut members = self.core.granted_to(content);
            // A random graph of that degree spreads everything; those who read from the origin are asked directly.
            let me = self.core.config.me;
            members.sort_by_cached_key(|member| mixed(me, *member));
            let Ok(cut) = peer_proto::content::Geometry::of(content.len) else { continue };
            let have = HaveSet::from_words(cut.piece_count(), have.words());
            for id in members.into_iter().take(TOLD_MAX) {
                self.core.send_have(id, content, have.clone());
            }
        }
    }
}

/// The pieces a record holds.
pub(super) fn pieces_of(record: &RecordSummary) -> PieceSet {
    let count = peer_proto::content::Geometry::of(record.content.len).map_or(0, |cut| cut.piece_count());
    match &record.holding {
        Holding::Whole => PieceSet::of(0..count),
        Holding::Runs(runs) => {
            let mut pieces = PieceSet::new();
            runs.iter().for_each(|(start, end)| pieces.insert((*start).min(count)..(*end).min(count)));
            pieces
        }
    }
}

/// All digests under which a record's whole file is known.
pub(super) fn names_of(record: &RecordSummary) -> impl Iterator<Item = Digest> + use<> {
    record.digests.clone().into_iter().chain(root_digest(record.content))
}

pub(super) fn root_digest(content: ContentId) -> Option<Digest> {
    Digest::new(Algorithm::Blake3, content.root.0.to_vec()).ok()
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
