//! Leases and serving: how bulk gets from one place to another, and what becomes of it.
//!
//! Knows: what has arrived of each lease, which pieces agree, what is told when. Does not know: who should be asked.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::{ByteRange, Geometry, Hash, PieceIndex};
use peer_proto::session::RequestId;
use peer_proto::standing::PieceRun;
use peer_proto::time::Instant;
use simnet::{DiskFault, FlowEnd, FlowEvent, FlowId, FlowSpec, HostId, HostOutput, OriginId};

use super::content::TRUTH;
use super::hands::local;
use super::machine::Parcel;
use super::node::Node;
use crate::engine::io::{
    Accept, Input, Lease, LeaseFault, LeaseId, LeaseSource, LocalFaultKind, OriginFault, ServeFrom, ServeId,
    ServeOutcome, Severity, Span,
};

/// What a flow is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    Lease(LeaseId),
    Serve(ServeId),
    /// Its lease is over; what still comes is thrown away.
    Discard,
}

/// A lease at work.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) lease: Lease,
    range: Range<u64>,
    geometry: Geometry,
    flow: Option<FlowId>,
    /// For each piece, the content it is read from; one for all if the origin sends them.
    pieces: Vec<u16>,
    received: u64,
    /// Received bytes that were told.
    told: u64,
    told_at: Instant,
    /// The next piece to store.
    next: u32,
}

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);
/// The longest time bytes that came are not told to the node: what the real pipe's tick does.
const TELL_EVERY: Duration = Duration::from_millis(100);

impl Node {
    pub(super) fn start_lease(&mut self, lease: Lease) {
        let id = lease.id;
        if id.0 <= self.last_lease {
            self.broke(format!("{id:?} was used before"));
        }
        self.last_lease = self.last_lease.max(id.0);
        self.tally.leases.0 += 1;
        let len = match &lease.source {
            LeaseSource::Origin { pinned, .. } => pinned.len,
            _ => None,
        };
        let len = match &lease.accept {
            Accept::Certain { .. } => len,
            accept => accept.file_len(),
        };
        let len = len.unwrap_or_else(|| self.spec.library.list(TRUTH).content().len);
        let range = match lease.span {
            Span::Range(range) => range.as_range(),
            Span::ToEnd => 0..len,
        };
        let Ok(geometry) = Geometry::of(len) else { return self.broke(format!("a lease of {len} bytes")) };
        let next = geometry.piece_at(range.start).map_or(0, |piece| piece.0);
        let mut running = Running {
            lease,
            range,
            geometry,
            flow: None,
            pieces: Vec::new(),
            received: 0,
            told: 0,
            told_at: self.now,
            next,
        };
        let outcome = match &running.lease.source {
            LeaseSource::Origin { .. } => {
                let flow = FlowId { starter: self.host, number: self.number() };
                let spec = self.flow_spec(running.range.end - running.range.start);
                self.out.push_back(HostOutput::Pull { origin: OriginId(0), number: flow.number, spec });
                self.uses.insert(flow, Use::Lease(id));
                running.flow = Some(flow);
                None
            }
            LeaseSource::Peer { peer, request } => {
                if !self.spec.flags.and(self.spec.job_flags).client {
                    self.broke("it takes from a peer without permission".into());
                }
                let host = self.host_of(*peer);
                self.awaited.insert((host, *request), id);
                (!self.is_connected(host)).then_some(LeaseFault::PeerLost)
            }
            LeaseSource::Record(record) => {
                let content = self.records.get(record).map(|(_, content)| *content);
                self.leases.insert(id, running);
                self.copy_from_cache(id, content);
                return;
            }
        };
        self.leases.insert(id, running);
        if let Some(fault) = outcome {
            self.end_lease(id, Err(fault));
        }
    }

    const fn flow_spec(&self, len: u64) -> FlowSpec {
        FlowSpec { len, mark_every: self.spec.mark_every, tell_every: TELL_EVERY, rate_max: u64::MAX }
    }

    fn copy_from_cache(&mut self, id: LeaseId, content: Option<u16>) {
        let Some(running) = self.leases.get_mut(&id) else { return };
        let all = running.range.end - running.range.start;
        match content {
            Some(content) => {
                running.pieces = vec![content];
                self.advance(id, all);
                self.end_lease(id, Ok(()));
            }
            None => self.end_lease(id, Err(LeaseFault::PeerLost)),
        }
    }

    pub(super) fn trim_lease(&mut self, id: LeaseId, end: u64) {
        let Some(running) = self.leases.get_mut(&id) else { return };
        running.range.end = running.range.end.min(end.max(running.range.start));
        let len = running.range.end - running.range.start;
        let is_all = running.received >= len;
        let from_origin = matches!(running.lease.source, LeaseSource::Origin { .. });
        let flow = running.flow;
        match flow {
            _ if is_all => self.finish_lease(id),
            Some(flow) if from_origin => self.out.push_back(HostOutput::Trim { flow, len }),
            Some(flow) => self.out.push_back(HostOutput::Mark { flow, at: len }),
            None => {}
        }
    }

    pub(super) fn stop_lease(&mut self, id: LeaseId) {
        self.end_lease(id, Err(LeaseFault::Stopped));
    }

    fn finish_lease(&mut self, id: LeaseId) {
        self.end_lease(id, Ok(()));
    }

    /// The one answer to a lease. What its flow still brings is thrown away.
    fn end_lease(&mut self, id: LeaseId, outcome: Result<(), LeaseFault>) {
        let Some(running) = self.leases.remove(&id) else { return };
        self.tally.leases.1 += 1;
        if let LeaseSource::Peer { peer, request } = &running.lease.source {
            self.awaited.remove(&(self.host_of(*peer), *request));
        }
        if let Some(flow) = running.flow {
            self.uses.get_mut(&flow).into_iter().for_each(|use_of| *use_of = Use::Discard);
            if matches!(running.lease.source, LeaseSource::Origin { .. }) {
                self.out.push_back(HostOutput::Cancel(flow));
            }
        }
        self.note_told(&running.lease.source, running.received - running.told);
        let len = (running.lease.span == Span::ToEnd && outcome.is_ok()).then_some(running.range.end);
        self.inbox.push_back(Input::LeaseEnded { lease: id, received: running.received, len, outcome });
    }

    fn note_told(&mut self, source: &LeaseSource, more: u64) {
        match source {
            LeaseSource::Origin { .. } => self.tally.told.0 += more,
            LeaseSource::Peer { .. } => self.tally.told.1 += more,
            LeaseSource::Record(_) => {}
        }
    }

    pub(super) fn lose_leases_of(&mut self, peer: HostId) {
        let of_peer = |running: &Running| match &running.lease.source {
            LeaseSource::Peer { peer: at, .. } => self.host_of(*at) == peer,
            LeaseSource::Origin { .. } | LeaseSource::Record(_) => false,
        };
        let lost: Vec<LeaseId> =
            self.leases.iter().filter(|(_, running)| of_peer(running)).map(|(id, _)| *id).collect();
        lost.into_iter().for_each(|id| self.end_lease(id, Err(LeaseFault::PeerLost)));
    }

    pub(super) fn flow(&mut self, event: FlowEvent<Parcel>) {
        match event {
            FlowEvent::Opened { flow, from, label, .. } => self.opened(flow, from, label),
            FlowEvent::Answered { flow, says, serves } => self.answered(flow, says, serves),
            FlowEvent::Moved { flow, total } => {
                if let Some(Use::Lease(id)) = self.uses.get(&flow).copied() {
                    self.advance(id, total);
                    self.finish_if_all(id);
                }
            }
            FlowEvent::Ended { flow, total, end } => match self.uses.remove(&flow) {
                Some(Use::Lease(id)) => {
                    self.advance(id, total);
                    self.finish_if_all(id);
                    self.end_lease(id, Err(fault_of(self.leases.get(&id), end)));
                }
                Some(Use::Serve(id)) => self.served(id, total, end),
                Some(Use::Discard) | None => {}
            },
        }
    }

    fn opened(&mut self, flow: FlowId, from: HostId, label: Parcel) {
        let Parcel::Bulk { request, pieces } = label else { return };
        let lease = self.awaited.get(&(from, request)).copied();
        let Some(running) = lease.and_then(|id| self.leases.get_mut(&id)) else {
            self.uses.insert(flow, Use::Discard);
            return;
        };
        running.flow = Some(flow);
        running.pieces = pieces;
        let len = running.range.end - running.range.start;
        self.uses.insert(flow, Use::Lease(running.lease.id));
        self.out.push_back(HostOutput::Mark { flow, at: len });
    }

    fn answered(&mut self, flow: FlowId, says: u32, serves: u32) {
        let Some(Use::Lease(id)) = self.uses.get(&flow).copied() else { return };
        let says = self.spec.library.version(says);
        let Some(running) = self.leases.get_mut(&id) else { return };
        running.pieces = vec![u16::try_from(serves).unwrap_or(u16::MAX)];
        let LeaseSource::Origin { pinned, .. } = &running.lease.source else { return };
        if !pinned.is_same(&says) {
            let message = "the origin serves another version";
            let fault = OriginFault::new(Severity::VersionChanged, message, Some(200));
            self.end_lease(id, Err(LeaseFault::Origin(fault)));
        }
    }

    fn finish_if_all(&mut self, id: LeaseId) {
        let all = self
            .leases
            .get(&id)
            .is_some_and(|running| running.received >= running.range.end - running.range.start);
        if all {
            self.finish_lease(id);
        }
    }

    /// So many bytes of a lease have come: whole pieces are checked and stored.
    fn advance(&mut self, id: LeaseId, total: u64) {
        let library = Arc::clone(&self.spec.library);
        let now = self.now;
        let Some(running) = self.leases.get_mut(&id) else { return };
        running.received = running.received.max(total);
        let reach = running.range.start.saturating_add(running.received).min(running.range.end);
        let whole = match reach {
            reach if reach >= running.geometry.len() => running.geometry.piece_count(),
            reach => u32::try_from(reach / running.geometry.piece_len()).unwrap_or(u32::MAX),
        };
        let first_of_all = running.geometry.piece_at(running.range.start).map_or(0, |piece| piece.0);
        let (first, mut values, mut wrong, mut full) = (running.next, Vec::new(), None, None);
        let standing = running.lease.accept.standing();
        let Some(part) = self.parts.get_mut(&running.lease.file) else { return };
        while running.next < whole {
            let piece = running.next;
            let place = usize::try_from(piece - first_of_all).unwrap_or(usize::MAX);
            let content = running.pieces.get(place).or(running.pieces.last()).copied().unwrap_or(TRUTH);
            let value = library.value(content, piece).unwrap_or(Hash([0; 32]));
            if running.lease.accept.value(PieceIndex(piece)).is_some_and(|expected| expected != value) {
                wrong = Some(PieceIndex(piece));
                break;
            }
            full = part.write(piece, content, (standing, &library), now).err();
            if full.is_some() {
                break;
            }
            values.push(value);
            running.next += 1;
        }
        let (received, due) = (running.received, now.since(running.told_at) >= TICK);
        let more = if due { received - running.told } else { 0 };
        if due {
            (running.told, running.told_at) = (received, now);
        }
        let source = running.lease.source.clone();
        if !values.is_empty() {
            self.tally.stored_at = now;
            let run = PieceRun { first: PieceIndex(first), values, standing };
            self.inbox.push_back(Input::PiecesStored { lease: id, run });
        }
        if due {
            self.note_told(&source, more);
            self.inbox.push_back(Input::Progress { lease: id, received });
        }
        if let Some(piece) = wrong {
            self.end_lease(id, Err(LeaseFault::WrongBytes { piece }));
        } else if let Some(fault) = full {
            let kind = match fault {
                DiskFault::Full => LocalFaultKind::NoSpace,
                DiskFault::Failed => LocalFaultKind::Io,
            };
            self.end_lease(id, Err(LeaseFault::Local(local(kind, "the disk refused"))));
        }
    }

    pub(super) fn serve(
        &mut self,
        id: ServeId,
        to: HostId,
        request: RequestId,
        from: ServeFrom,
        ranges: &[ByteRange],
        values: &[Hash],
    ) {
        let library = Arc::clone(&self.spec.library);
        if !self.spec.flags.server {
            self.broke("it gives to a peer without permission".into());
        }
        let mut pieces = Vec::new();
        let mut held = true;
        let geometry = match from {
            ServeFrom::Record(record) => self.records.get(&record).map(|(record, _)| record.content.len),
            ServeFrom::Part(file) => {
                self.parts.get(&file).and_then(|part| part.version.as_ref()).and_then(|version| version.len)
            }
        };
        let geometry = geometry.and_then(|len| Geometry::of(len).ok());
        let asked =
            geometry.iter().flat_map(|cut| ranges.iter().flat_map(|range| cut.touched_pieces(*range)));
        let mut named = values.iter();
        for piece in asked.collect::<Vec<_>>() {
            let content = match from {
                ServeFrom::Record(record) => self.records.get(&record).map(|(_, content)| *content),
                ServeFrom::Part(file) => {
                    let part = self.parts.get(&file);
                    let is_there = part.is_some_and(|part| part.disk.read(piece).is_some());
                    if is_there && values.is_empty() && !part.is_some_and(|part| part.is_servable(piece)) {
                        self.broke(format!("piece {piece} is served, which is neither certain nor proved"));
                    }
                    let part = self.parts.get(&file);
                    part.and_then(|part| part.disk.read(piece)).map(|piece| piece.content)
                }
            };
            let value = content.and_then(|content| library.value(content, piece));
            if values.is_empty() {
                let is_true = value == library.value(TRUTH, piece);
                if content.is_some() && !is_true && self.spec.names.is_some() {
                    self.broke(format!("piece {piece} is served and false"));
                }
            } else {
                // Whoever names a value gets bytes of that value, or none.
                held &= value.as_ref() == named.next();
            }
            held &= content.is_some();
            pieces.extend(content);
        }
        if !held || geometry.is_none() || !self.is_connected(to) {
            let outcome = if held { ServeOutcome::PeerGone } else { ServeOutcome::NotHeld };
            self.inbox.push_back(Input::ServeEnded { id, sent: 0, outcome });
            return;
        }
        let flow = FlowId { starter: self.host, number: self.number() };
        let spec = self.flow_spec(ranges.iter().map(|range| range.len()).sum());
        self.uses.insert(flow, Use::Serve(id));
        self.serves.insert(id, flow);
        let label = Parcel::Bulk { request, pieces };
        self.out.push_back(HostOutput::Push { to, number: flow.number, label, spec });
    }

    fn served(&mut self, id: ServeId, sent: u64, end: FlowEnd) {
        if self.serves.remove(&id).is_none() {
            return;
        }
        let outcome = if end == FlowEnd::Complete { ServeOutcome::Sent } else { ServeOutcome::PeerGone };
        self.tally.served += sent;
        self.inbox.push_back(Input::ServeEnded { id, sent, outcome });
    }
}

/// What the end of a flow is to a lease that wanted more.
fn fault_of(running: Option<&Running>, end: FlowEnd) -> LeaseFault {
    let from_peer = running.is_none_or(|running| matches!(running.lease.source, LeaseSource::Peer { .. }));
    if from_peer {
        return LeaseFault::PeerLost;
    }
    let (retry_after, message, status) = match end {
        FlowEnd::Busy => (Some(Duration::from_secs(1)), "too many requests", Some(429)),
        FlowEnd::Refused => (None, "connection refused", None),
        FlowEnd::Broken | FlowEnd::Cancelled | FlowEnd::Complete => (None, "the body broke off", None),
    };
    let severity = Severity::Transient { retry_after };
    LeaseFault::Origin(OriginFault::new(severity, message, status))
}
