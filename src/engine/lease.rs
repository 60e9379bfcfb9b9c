//! Leases: the promise that one source works on one range, how it starts, what it brought, how it ends.
//!
//! Knows: what is open, what each source gave, who is to blame for an end. Does not know: which lease should be next.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::{ByteRange, ContentId};
use peer_proto::peer::PeerId;
use peer_proto::session::{RefuseReason, RequestId};
use peer_proto::time::Instant;
use peer_proto::verify::HashList;

use super::core::Core;
use super::event::Failure;
use super::fetch::Reach;
use super::io::{
    Accept, Effect, Lease, LeaseFault, LeaseId, LeaseSource, PieceRun, Severity, Span, Standing,
};
use super::job::Job;
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
    request: Option<RequestId>,
    pub(super) content: Option<ContentId>,
    pub(super) pieces: Range<u32>,
    pub(super) to_end: bool,
    pub(super) purpose: Purpose,
    pub(super) received: u64,
    pub(super) stored: u64,
    pub(super) started: Instant,
    /// Others may have its pieces as well: it is late.
    pub(super) released: bool,
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
            pieces,
            to_end: false,
            purpose,
            received: 0,
            stored: 0,
            started: now,
            released: false,
            stopped: false,
            trimmed: false,
            orphaned: None,
        }
    }

    /// The first piece that is not through yet, by the bytes received.
    pub(super) fn position(&self, piece_len: u64) -> u32 {
        let through = u32::try_from(self.received / piece_len.max(1)).unwrap_or(u32::MAX);
        self.pieces.start.saturating_add(through).min(self.pieces.end)
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
    pub(super) address: Option<String>,
    pub(super) bytes: u64,
    pub(super) leases: u32,
}

const SHARES_MAX: usize = 256;
/// How long what a lost peer sent may take to the disk.
const ORPHAN_MAX: Duration = Duration::from_secs(2);

impl Job {
    /// Starts a lease at a peer; `false` if it has no place for one.
    pub(super) fn lease_from_peer(
        &mut self,
        peer: PeerId,
        pieces: Range<u32>,
        purpose: Purpose,
        why: &str,
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
        why: &str,
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
            source: LeaseSource::Origin { url: self.spec.url.clone(), pinned },
            accept: Accept::Certain { check: self.claims.trusted.clone() },
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

    fn note_why(&mut self, id: LeaseId, range: Option<ByteRange>, giver: Giver, why: &str, core: &Core) {
        let mut records = std::mem::take(&mut self.why);
        records.lease(id, range, &giver.to_string(), why, || self.passed_over(giver, core), core.time());
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
        let giver = lease.giver;
        self.note_bytes(giver, more, core);
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
            let address = giver.peer().and_then(|peer| core.peers.get(peer)).map(|peer| peer.address.clone());
            let share = self.shares.entry(giver).or_default();
            share.bytes += more;
            share.address = address.or(share.address.take());
        }
    }

    /// Pieces of a lease are on disk and agree.
    pub(super) fn pieces_stored(&mut self, id: LeaseId, run: &PieceRun, core: &mut Core) {
        let count = u32::try_from(run.values.len()).unwrap_or(u32::MAX);
        let end = run.first.0.saturating_add(count);
        let known = self.leases.contains_key(&id);
        if !known || self.geometry.is_some_and(|cut| end > cut.piece_count()) {
            return;
        }
        let had = self.pieces.held().clone();
        let content = self.leases.get(&id).and_then(|lease| lease.content);
        let rests_on_word = matches!(run.standing, Standing::Provisional { .. });
        if rests_on_word && content.is_none_or(|content| self.claims.accept(content).is_none()) {
            // Its author was refuted while this was on its way.
            let standing = Standing::Suspect;
            self.pieces.store(&PieceRun { standing, ..run.clone() });
            let first = run.first;
            core.effect(Effect::Restand { file: self.file(), first, count, standing });
            return;
        }
        let changed = self.pieces.store(run);
        self.changed = true;
        for piece in run.first.0..end {
            let len = self.piece_len(piece);
            let Some(lease) = self.leases.get_mut(&id) else { return };
            let purpose = lease.purpose;
            if !had.contains(piece) || purpose == Purpose::Repair {
                lease.stored = lease.stored.saturating_add(len);
                if let Some(source) = lease.peer().and_then(|peer| self.sources.get_mut(&peer)) {
                    source.proven = source.proven.saturating_add(len);
                }
            }
        }
        if run.standing == Standing::Certain {
            self.certain_arrived(run, &changed, core);
        }
        if self.leases.get(&id).is_some_and(|lease| lease.purpose == Purpose::Length) {
            self.length_proved(core);
        }
        self.stop_where_done(core);
    }

    fn piece_len(&self, piece: u32) -> u64 {
        let range = self.geometry.and_then(|cut| cut.piece_range(peer_proto::content::PieceIndex(piece)));
        range.map_or(peer_proto::limits::PIECE_LEN_MIN, ByteRange::len)
    }

    /// The first proof won: leases whose pieces others brought end.
    fn stop_where_done(&mut self, core: &mut Core) {
        let held = self.pieces.held();
        let is_done = |lease: &OpenLease| {
            lease.released
                && !lease.stopped
                && lease.purpose != Purpose::Repair
                && lease.pieces.end != u32::MAX
                && held.contains_all(lease.pieces.clone())
        };
        let done: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| is_done(lease)).map(|(id, _)| *id).collect();
        done.into_iter().for_each(|id| self.stop(id, core));
    }

    /// The one answer to a lease.
    pub(super) fn lease_ended(
        &mut self,
        id: LeaseId,
        received: u64,
        len: Option<u64>,
        outcome: Result<(), LeaseFault>,
        core: &mut Core,
    ) {
        let now = core.time();
        self.progress(id, received, core);
        let Some(lease) = self.leases.remove(&id) else { return };
        let wasted = lease.received.saturating_sub(lease.stored);
        self.bytes.discarded += wasted;
        core.totals.discarded_bytes += wasted;
        if let Some(share) = self.shares.get_mut(&lease.giver) {
            share.leases += 1;
        }
        let words = outcome.as_ref().err().map(ToString::to_string);
        self.why.ended(id, lease.stored, words, now);
        self.note_owing(now);
        match lease.giver {
            Giver::Peer(peer) => {
                if let Some(request) = lease.request {
                    core.end_request(peer, request, outcome.is_ok() && !lease.trimmed);
                }
                self.peer_lease_ended(peer, &lease, outcome, core);
            }
            Giver::Cache => {
                if let Some(fault) = self.cache_lease_ended(outcome) {
                    self.local_trouble(fault, core);
                }
            }
            Giver::Origin => {
                if lease.stored > 0 {
                    // It gave something: a later failure is a first one again.
                    self.origin.breaker.succeed();
                }
                if lease.to_end && outcome.is_ok() && self.geometry.is_none() {
                    self.set_len(len);
                    if self.geometry.is_none() {
                        let reason = "the file is too long, or its length was not learned".to_owned();
                        self.fail(Failure::Fatal, reason, core);
                    }
                }
                self.origin_lease_ended(outcome, core);
            }
        }
    }

    fn note_owing(&mut self, now: Instant) {
        let owes = |giver: Giver| self.leases.values().any(|lease| lease.giver == giver && !lease.stopped);
        let origin = owes(Giver::Origin);
        let any_peer = self.leases.values().any(|lease| lease.peer().is_some() && !lease.stopped);
        let peers: Vec<(PeerId, bool)> =
            self.sources.keys().map(|peer| (*peer, owes(Giver::Peer(*peer)))).collect();
        self.origin.speed.owes(origin, now);
        self.peers_speed.owes(any_peer, now);
        for (peer, owing) in peers {
            if let Some(source) = self.sources.get_mut(&peer) {
                source.speed.owes(owing, now);
            }
        }
    }

    fn peer_lease_ended(
        &mut self,
        peer: PeerId,
        lease: &OpenLease,
        outcome: Result<(), LeaseFault>,
        core: &mut Core,
    ) {
        let now = core.time();
        let jitter = core.chance.below(256);
        match outcome {
            Ok(()) => {
                if let Some(source) = self.sources.get_mut(&peer)
                    && !lease.released
                {
                    source.breaker.succeed();
                }
            }
            Err(LeaseFault::WrongBytes { piece }) => {
                if lease.purpose == Purpose::Length
                    && let Some(content) = lease.content
                {
                    self.claims.drop_content(content);
                }
                self.sources.remove(&peer);
                let reason = format!("it sent wrong bytes for piece {} it stated itself", piece.0);
                self.why.note(&peer.to_string(), format!("banned: {reason}"), String::new(), now);
                core.ban(peer, &reason);
            }
            Err(LeaseFault::Local(fault)) => self.local_trouble(fault, core),
            Err(LeaseFault::Stopped) => {}
            Err(LeaseFault::PeerLost | LeaseFault::NotHeld | LeaseFault::Origin(_)) => {
                if let Some(source) = self.sources.get_mut(&peer)
                    && !lease.stopped
                {
                    source.breaker.fail(jitter, now);
                }
            }
        }
    }

    fn origin_lease_ended(&mut self, outcome: Result<(), LeaseFault>, core: &mut Core) {
        match outcome {
            Ok(()) => self.origin.breaker.succeed(),
            Err(LeaseFault::Origin(fault)) => {
                if fault.severity == Severity::VersionChanged && self.origin.reach == Reach::Up {
                    // Every open body is of the old version now.
                    self.stop_where(core, OpenLease::is_from_origin);
                }
                if self.origin.reach == Reach::Up || fault.severity != Severity::VersionChanged {
                    self.origin_fault(fault, core);
                }
            }
            Err(LeaseFault::WrongBytes { piece }) => {
                self.origin.reach = Reach::Dead;
                self.origin.failure = Some(Failure::Integrity);
                self.origin.fault = format!("piece {} from the origin is not what the digest names", piece.0);
            }
            Err(LeaseFault::Local(fault)) => self.local_trouble(fault, core),
            Err(LeaseFault::Stopped | LeaseFault::PeerLost | LeaseFault::NotHeld) => {}
        }
    }

    /// A peer refused a request in words.
    pub(super) fn refused(&mut self, id: LeaseId, peer: PeerId, reason: RefuseReason, core: &mut Core) {
        let now = core.time();
        let Some(lease) = self.leases.get(&id) else { return };
        let pieces = lease.pieces.clone();
        let jitter = core.chance.below(256);
        if let Some(source) = self.sources.get_mut(&peer) {
            match reason {
                RefuseReason::Busy { retry } => source.breaker.wait_until(now.after(retry)),
                RefuseReason::NotHeld => {
                    source.have.remove(pieces);
                    source.breaker.fail(jitter, now);
                }
                RefuseReason::Other => {
                    self.sources.remove(&peer);
                }
            }
        }
        self.stop(id, core);
    }

    /// A peer is not to be used any more: its leases end now.
    pub(super) fn leave_peer(&mut self, peer: PeerId, core: &mut Core) {
        if self.sources.remove(&peer).is_some() {
            self.changed = true;
        }
        self.stop_where(core, |lease| lease.peer() == Some(peer));
    }

    /// A peer went. Its leases end by themselves, once what came is stored: it need not be fetched twice.
    pub(super) fn peer_lost(&mut self, peer: PeerId, now: Instant) {
        if self.sources.remove(&peer).is_some() {
            self.changed = true;
        }
        for lease in self.leases.values_mut().filter(|lease| lease.peer() == Some(peer)) {
            lease.orphaned = Some(now);
        }
    }

    /// Stops leases whose peer went and that do not come to their end.
    pub(super) fn stop_orphans(&mut self, core: &mut Core) {
        let now = core.time();
        let due = self.leases.values().filter(|lease| !lease.stopped);
        let due = due.filter_map(|lease| lease.orphaned).min().map(|since| since.after(ORPHAN_MAX));
        match due {
            Some(due) if due <= now => {
                let is_late =
                    |lease: &OpenLease| lease.orphaned.is_some_and(|since| since.after(ORPHAN_MAX) <= now);
                self.stop_where(core, is_late);
            }
            Some(due) => self.wake_at(due),
            None => {}
        }
    }
}
