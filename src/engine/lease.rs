//! Leases: the promise that one source works on one range, how it starts, what it brought.
//!
//! Knows: what is open, what each source gave. Does not know: how it ends (`ending`), which lease should be next.

use std::ops::Range;
use std::sync::Arc;

use peer_proto::content::{ByteRange, ContentId, Hash, PieceIndex};
use peer_proto::peer::PeerId;
use peer_proto::session::RequestId;
use peer_proto::time::Instant;
use peer_proto::verify::HashList;

use super::core::Core;
use super::file::JobFile;
use super::io::{Accept, Effect, Lease, LeaseId, LeaseSource, PieceRun, Span, Standing};
use super::look::Heed;
use super::pace::{Breaker, Speed};
use super::piece_set::PieceSet;
use crate::record::RecordId;

/// What a lease is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// It fills a gap.
    Gap,
    /// It checks what an untrusted peer stated, or settles what two of them differ on.
    Check,
    /// It proves the file's length (TRUST-5).
    Length,
    /// It fetches again what is provisional, after a mismatch (CLAIM-10).
    Repair,
}

/// Who gives the bytes of a lease.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Giver {
    Origin,
    Cache,
    Peer(PeerId),
}

impl Giver {
    pub(super) const fn peer(self) -> Option<PeerId> {
        match self {
            Self::Peer(peer) => Some(peer),
            Self::Origin | Self::Cache => None,
        }
    }
}

impl std::fmt::Display for Giver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Origin => f.write_str("origin"),
            Self::Cache => f.write_str("cache"),
            Self::Peer(peer) => peer.fmt(f),
        }
    }
}

/// One open lease.
#[derive(Clone, Debug)]
pub(super) struct OpenLease {
    pub(super) giver: Giver,
    /// What a peer was asked under.
    pub(super) request: Option<RequestId>,
    pub(super) content: Option<ContentId>,
    /// On whose word its pieces are taken, inside a swarm.
    pub(super) author: Option<PeerId>,
    pub(super) pieces: Range<u32>,
    pub(super) to_end: bool,
    pub(super) purpose: Purpose,
    pub(super) received: u64,
    pub(super) stored: u64,
    pub(super) started: Instant,
    /// When bytes of it came last.
    pub(super) moved: Instant,
    /// Others may have its pieces as well: it is late.
    pub(super) released: bool,
    /// Others may have its pieces as well: its source failed last, and is only tried.
    pub(super) beside: bool,
    /// It was told to end.
    pub(super) stopped: bool,
    /// It was cut: its request is longer than its range.
    pub(super) trimmed: bool,
    /// Its peer went then; what came before is still on its way to the disk.
    pub(super) orphaned: Option<Instant>,
}

impl OpenLease {
    pub(super) const fn peer(&self) -> Option<PeerId> {
        self.giver.peer()
    }

    pub(super) fn is_from_origin(&self) -> bool {
        self.giver == Giver::Origin
    }

    pub(super) fn is_from_cache(&self) -> bool {
        self.giver == Giver::Cache
    }

    const fn new(giver: Giver, pieces: Range<u32>, purpose: Purpose, now: Instant) -> Self {
        Self {
            giver,
            request: None,
            content: None,
            author: None,
            pieces,
            to_end: false,
            purpose,
            received: 0,
            stored: 0,
            started: now,
            moved: now,
            released: false,
            beside: false,
            stopped: false,
            trimmed: false,
            orphaned: None,
        }
    }

    /// Whether its pieces are left to it.
    pub(super) const fn has_for_itself(&self) -> bool {
        !self.released && !self.beside
    }

    /// The first piece that is not through yet, by the bytes received.
    pub(super) fn position(&self, piece_len: u64) -> u32 {
        let through = u32::try_from(self.received / piece_len.max(1)).unwrap_or(u32::MAX);
        self.pieces.start.saturating_add(through).min(self.pieces.end)
    }

    /// What its end calls for: one that brought what it was to bring only frees a place at its peer, and whoever
    /// stopped one has seen to what follows.
    pub(super) fn frees(&self, is_ok: bool) -> Heed {
        match self.giver {
            Giver::Peer(_) if self.stopped && !is_ok => Heed::Soon,
            Giver::Peer(peer)
                if is_ok && self.purpose == Purpose::Gap && !self.released && self.orphaned.is_none() =>
            {
                Heed::Peer(peer)
            }
            Giver::Peer(_) | Giver::Origin | Giver::Cache => Heed::Now,
        }
    }

    /// Pieces still to come.
    pub(super) fn left(&self, piece_len: u64) -> u32 {
        self.pieces.end - self.position(piece_len)
    }
}

/// A peer that said it holds the job's content.
#[derive(Clone, Debug)]
pub(super) struct PeerSource {
    pub(super) content: ContentId,
    pub(super) sealed: bool,
    pub(super) have: PieceSet,
    pub(super) since: Instant,
    pub(super) speed: Speed,
    pub(super) breaker: Breaker,
    /// Bytes of it that were stored.
    pub(super) proven: u64,
}

/// What one source gave, for people.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    /// The source's name as it is shown.
    pub(super) name: String,
    pub(super) address: Option<String>,
    pub(super) bytes: u64,
    pub(super) leases: u32,
}

const SHARES_MAX: usize = 256;

impl JobFile {
    /// Starts a lease at a peer; `false` if it has no place for one.
    pub(super) fn lease_from_peer(
        &mut self,
        peer: PeerId,
        pieces: Range<u32>,
        purpose: Purpose,
        why: &'static str,
        core: &mut Core,
    ) -> bool {
        let Some(content) = self.sources.get(&peer).map(|source| source.content) else { return false };
        let Some((list, standing)) = self.claims.accept(content) else { return false };
        let Some(range) = list.geometry().pieces_range(pieces.clone()) else { return false };
        let id = core.lease_id(self.id);
        let Some(request) = core.request(peer, content, range, (self.id, id)) else {
            core.leases.remove(&id);
            return false;
        };
        core.effect(Effect::StartLease(Lease {
            id,
            file: self.file(),
            span: Span::Range(range),
            source: LeaseSource::Peer { peer, request },
            accept: Accept::Listed { list, standing },
        }));
        core.pump(peer);
        let now = core.time();
        let lease = OpenLease {
            request: Some(request),
            content: Some(content),
            beside: purpose == Purpose::Gap && self.is_only_tried(peer),
            ..OpenLease::new(Giver::Peer(peer), pieces, purpose, now)
        };
        self.note_lease(id, lease);
        if let Some(source) = self.sources.get_mut(&peer) {
            source.speed.owes(true, now);
        }
        self.peers_speed.owes(true, now);
        self.note_why(id, Some(range), Giver::Peer(peer), why, core);
        true
    }

    /// Starts a lease at a member of the swarm; `false` if it has no place for one.
    pub(super) fn lease_from_member(
        &mut self,
        peer: PeerId,
        pieces: Range<u32>,
        values: Vec<Hash>,
        standing: Standing,
        why: &'static str,
        core: &mut Core,
    ) -> bool {
        let (Some(cut), Some(swarm)) = (self.geometry, self.swarm.as_ref().map(|swarm| swarm.id)) else {
            return false;
        };
        let Some(range) = cut.pieces_range(pieces.clone()) else { return false };
        let accept = Accept::Stated {
            len: cut.len(),
            first: PieceIndex(pieces.start),
            values: values.clone().into(),
            standing,
        };
        let id = core.lease_id(self.id);
        let Some(request) = core.request_values(peer, swarm, range, values, (self.id, id)) else {
            core.leases.remove(&id);
            return false;
        };
        core.effect(Effect::StartLease(Lease {
            id,
            file: self.file(),
            span: Span::Range(range),
            source: LeaseSource::Peer { peer, request },
            accept,
        }));
        core.pump(peer);
        let now = core.time();
        let author = match standing {
            Standing::Provisional { author } => Some(author),
            Standing::Certain | Standing::Proved | Standing::Suspect => None,
        };
        let lease = OpenLease {
            request: Some(request),
            content: Some(swarm),
            author,
            beside: self.is_only_tried(peer),
            ..OpenLease::new(Giver::Peer(peer), pieces, Purpose::Gap, now)
        };
        self.note_lease(id, lease);
        if let Some(source) = self.sources.get_mut(&peer) {
            source.speed.owes(true, now);
        }
        self.peers_speed.owes(true, now);
        self.note_why(id, Some(range), Giver::Peer(peer), why, core);
        true
    }

    /// Starts a copy from this machine's cache; `false` if the pieces are not of this list.
    pub(super) fn lease_from_cache(
        &mut self,
        record: RecordId,
        list: Arc<HashList>,
        pieces: Range<u32>,
        core: &mut Core,
    ) -> bool {
        let Some(range) = list.geometry().pieces_range(pieces.clone()) else { return false };
        let id = core.lease_id(self.id);
        core.effect(Effect::StartLease(Lease {
            id,
            file: self.file(),
            span: Span::Range(range),
            source: LeaseSource::Record(record),
            accept: Accept::Listed { list, standing: Standing::Proved },
        }));
        self.note_lease(id, OpenLease::new(Giver::Cache, pieces, Purpose::Gap, core.time()));
        let why = "this machine's cache has it, and the digest proves it";
        self.note_why(id, Some(range), Giver::Cache, why, core);
        true
    }

    /// Starts a lease at the origin; without pieces, from zero to the end.
    pub(super) fn lease_from_origin(
        &mut self,
        pieces: Option<Range<u32>>,
        purpose: Purpose,
        why: &'static str,
        core: &mut Core,
    ) -> bool {
        let Some(pinned) = self.origin.probe.as_ref().map(|probe| probe.version.clone()) else {
            return false;
        };
        let cut = self.geometry;
        let range = match (&pieces, cut) {
            (Some(pieces), Some(cut)) => cut.pieces_range(pieces.clone()),
            _ => None,
        };
        let span = match (&pieces, range) {
            (Some(_), Some(range)) => Span::Range(range),
            (Some(_), None) => return false,
            (None, _) => Span::ToEnd,
        };
        let now = core.time();
        let id = core.lease_id(self.id);
        core.effect(Effect::StartLease(Lease {
            id,
            file: self.file(),
            span,
            source: LeaseSource::Origin { remote: self.wish.remote.clone(), pinned },
            // What attestors vouch for is checked against the origin, not the other way round.
            accept: Accept::Certain {
                check: self.claims.trusted.clone().filter(|_| !self.rests_on_attestors()),
            },
        }));
        let to_end = pieces.is_none();
        let all = 0..cut.map_or(u32::MAX, |cut| cut.piece_count());
        let lease =
            OpenLease { to_end, ..OpenLease::new(Giver::Origin, pieces.unwrap_or(all), purpose, now) };
        self.note_lease(id, lease);
        self.origin.speed.owes(true, now);
        self.note_why(id, range, Giver::Origin, why, core);
        true
    }

    fn note_why(
        &mut self,
        id: LeaseId,
        range: Option<ByteRange>,
        giver: Giver,
        why: &'static str,
        core: &Core,
    ) {
        let mut records = std::mem::take(&mut self.why);
        records.lease(id, range, giver.into(), why, || self.scenery(core), core.time());
        self.why = records;
    }

    fn note_lease(&mut self, id: LeaseId, lease: OpenLease) {
        self.leases.insert(id, lease);
        self.changed = true;
    }

    /// Ends a lease now; its pieces are free at once.
    pub(super) fn stop(&mut self, id: LeaseId, core: &mut Core) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        lease.released = true;
        if !lease.stopped {
            lease.stopped = true;
            core.effect(Effect::StopLease { lease: id });
        }
    }

    pub(super) fn stop_all(&mut self, core: &mut Core) {
        self.stop_where(core, |_| true);
    }

    pub(super) fn stop_where(&mut self, core: &mut Core, is_meant: impl Fn(&OpenLease) -> bool) {
        let ids: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| is_meant(lease)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.stop(id, core));
    }

    /// Lets a lease end at an earlier piece.
    pub(super) fn trim(&mut self, id: LeaseId, end: u32, core: &mut Core) {
        let Some(cut) = self.geometry else { return };
        let Some(lease) = self.leases.get_mut(&id) else { return };
        if end <= lease.pieces.start || end >= lease.pieces.end || lease.to_end {
            return;
        }
        lease.pieces.end = end;
        lease.trimmed = true;
        core.effect(Effect::TrimLease { lease: id, end: u64::from(end).saturating_mul(cut.piece_len()) });
    }

    pub(super) fn progress(&mut self, id: LeaseId, received: u64, core: &mut Core) {
        let now = core.time();
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let more = received.saturating_sub(lease.received);
        lease.received = lease.received.max(received);
        if more > 0 {
            lease.moved = now;
        }
        let giver = lease.giver;
        self.note_bytes(giver, more, core);
        if giver != Giver::Cache {
            self.note_moved(more, core);
        }
        match giver {
            Giver::Peer(peer) => {
                self.peers_speed.add(more, now);
                if let Some(source) = self.sources.get_mut(&peer) {
                    source.speed.add(more, now);
                }
            }
            Giver::Origin => self.origin.speed.add(more, now),
            Giver::Cache => {}
        }
        self.changed = true;
    }

    /// A rate of ours holds back what a source has given: it is not the source that is slow.
    pub(super) fn held(&mut self, id: LeaseId, core: &Core) {
        let now = core.time();
        let Some(lease) = self.leases.get_mut(&id) else { return };
        lease.moved = now;
        match lease.giver {
            Giver::Peer(peer) => {
                self.peers_speed.excuse(now);
                self.beside = false;
                if let Some(source) = self.sources.get_mut(&peer) {
                    source.speed.excuse(now);
                }
            }
            Giver::Origin => self.origin.speed.excuse(now),
            Giver::Cache => {}
        }
    }

    fn note_bytes(&mut self, giver: Giver, more: u64, core: &mut Core) {
        match giver {
            Giver::Peer(peer) => {
                self.bytes.peers += more;
                core.totals.peer_bytes += more;
                if let Some(peer) = core.peers.get_mut(peer) {
                    peer.bytes_in += more;
                }
            }
            Giver::Origin => {
                self.bytes.origin += more;
                core.totals.origin_bytes += more;
            }
            Giver::Cache => self.bytes.cache += more,
        }
        if self.shares.len() < SHARES_MAX || self.shares.contains_key(&giver) {
            let known = giver.peer().and_then(|peer| core.peers.get(peer));
            let named = || Share { name: giver.to_string(), ..Share::default() };
            let share = self.shares.entry(giver).or_insert_with(named);
            share.bytes += more;
            if let Some(peer) = known.filter(|peer| share.address.as_ref() != Some(&peer.address)) {
                share.address = Some(peer.address.clone());
            }
        }
    }

    /// Pieces of a lease are on disk and agree.
    pub(super) fn pieces_stored(&mut self, id: LeaseId, run: &PieceRun, core: &mut Core) -> Heed {
        let count = u32::try_from(run.values.len()).unwrap_or(u32::MAX);
        let end = run.first.0.saturating_add(count);
        let Some(lease) = self.leases.get(&id) else { return Heed::Later };
        if self.geometry.is_some_and(|cut| end > cut.piece_count()) {
            return Heed::Later;
        }
        let (content, purpose, giver) = (lease.content, lease.purpose, lease.giver);
        let is_believed = match run.standing {
            Standing::Provisional { author } if content.is_some_and(|content| self.is_swarm(content)) => {
                self.believes(author)
            }
            Standing::Provisional { .. } => {
                content.is_some_and(|content| self.claims.accept(content).is_some())
            }
            // The list that proved it may be believed no more.
            Standing::Proved if giver.peer().is_some() => {
                content.is_some_and(|content| self.is_swarm(content) || self.claims.is_accepted(content))
            }
            Standing::Certain | Standing::Proved | Standing::Suspect => true,
        };
        let stored = self.note_stored(id, run.first.0..end, core);
        if !is_believed {
            // Its author was refuted while this was on its way.
            let standing = Standing::Suspect;
            self.pieces.store(&PieceRun { standing, ..run.clone() });
            // Those that are certain or proved stay so.
            let mut suspect = self.pieces.suspect().clone();
            suspect.intersect_with(&PieceSet::of(run.first.0..end));
            for run in suspect.runs().collect::<Vec<_>>() {
                self.restand(run, standing, core);
            }
            return Heed::Now;
        }
        let changed = self.pieces.store(run);
        if let Some(repair) = &mut self.repair {
            repair.changed |= !changed.is_empty();
        }
        self.changed = true;
        let source = giver.peer().and_then(|peer| Some((peer, self.sources.get_mut(&peer)?)));
        let heed = match source {
            Some((peer, source)) => {
                let was_proven = source.proven > 0;
                source.proven = source.proven.saturating_add(stored);
                if was_proven { Heed::Later } else { Heed::PeerSoon(peer) }
            }
            None if self.claims.hints.is_empty() && self.repair.is_none() => Heed::Later,
            None => Heed::Soon,
        };
        if run.standing == Standing::Certain {
            self.certain_arrived(run, core);
            self.compare_with_trusted(run, core);
            self.compare_with_stream(run, core);
            self.tell_certain(run, core);
        }
        if purpose == Purpose::Length {
            self.length_proved(core);
        }
        self.stop_where_done(core);
        if purpose == Purpose::Length || self.is_whole() { Heed::Now } else { heed }
    }

    /// Counts what a lease adds. What it fetched once more, because it was in doubt or is compared, makes what was on disk
    /// before count as thrown away. Returns the bytes it added.
    fn note_stored(&mut self, id: LeaseId, pieces: std::ops::Range<u32>, core: &mut Core) -> u64 {
        let Some(lease) = self.leases.get(&id) else { return 0 };
        let is_repair = lease.purpose == Purpose::Repair;
        let (mut stored, mut again) = (0, 0);
        for piece in pieces.filter(|piece| is_repair || !self.pieces.held().contains(*piece)) {
            stored += self.piece_len(piece);
            if self.pieces.value(piece).is_some() {
                again += self.piece_len(piece);
            }
        }
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.stored = lease.stored.saturating_add(stored);
        }
        self.bytes.discarded += again;
        core.totals.discarded_bytes += again;
        stored
    }

    fn piece_len(&self, piece: u32) -> u64 {
        let range = self.geometry.and_then(|cut| cut.piece_range(peer_proto::content::PieceIndex(piece)));
        range.map_or(peer_proto::limits::PIECE_LEN_MIN, ByteRange::len)
    }

    /// The first proof won: leases whose pieces others brought end.
    fn stop_where_done(&mut self, core: &mut Core) {
        let held = self.pieces.held();
        let is_done = |lease: &OpenLease| {
            !lease.has_for_itself()
                && !lease.stopped
                && lease.purpose != Purpose::Repair
                && lease.pieces.end != u32::MAX
                && held.contains_all(lease.pieces.clone())
        };
        let done: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| is_done(lease)).map(|(id, _)| *id).collect();
        done.into_iter().for_each(|id| self.stop(id, core));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId::from_public_key([2; 32]);

    fn lease(giver: Giver) -> OpenLease {
        OpenLease::new(giver, 0..4, Purpose::Gap, Instant::ZERO)
    }

    #[test]
    fn only_a_plain_lease_that_went_well_frees_no_more_than_a_place_at_its_peer() {
        let plain = lease(Giver::Peer(PEER));
        assert_eq!((plain.frees(true), plain.frees(false)), (Heed::Peer(PEER), Heed::Now));
        for other in [
            OpenLease { purpose: Purpose::Check, ..plain.clone() },
            OpenLease { released: true, ..plain.clone() },
            OpenLease { orphaned: Some(Instant::ZERO), ..plain.clone() },
            lease(Giver::Origin),
            lease(Giver::Cache),
        ] {
            assert_eq!((other.frees(true), other.frees(false)), (Heed::Now, Heed::Now), "{other:?}");
        }
    }

    #[test]
    fn whoever_stopped_a_peers_lease_has_seen_to_what_follows() {
        let stopped = OpenLease { stopped: true, ..lease(Giver::Peer(PEER)) };
        assert_eq!((stopped.frees(false), stopped.frees(true)), (Heed::Soon, Heed::Peer(PEER)));
        let at_origin = OpenLease { stopped: true, ..lease(Giver::Origin) };
        assert_eq!(at_origin.frees(false), Heed::Now);
    }
}
