//! How leases end: what came of them, who is to blame, what a lost peer leaves behind.
//!
//! Knows: the one answer to each lease, refusals, peers that go. Does not know: how leases start (`lease`), which one
//! should be next (`plan`).

use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::session::RefuseReason;
use peer_proto::time::Instant;

use super::core::Core;
use super::event::Failure;
use super::fetch::Reach;
use super::file::JobFile;
use super::io::{LeaseFault, LeaseId, Severity};
use super::lease::{Giver, OpenLease, Purpose};
use super::look::Heed;
use super::trouble::Trouble;
use super::why::Chosen;

/// How long what a lost peer sent may take to the disk.
const ORPHAN_MAX: Duration = Duration::from_secs(2);

impl JobFile {
    /// The one answer to a lease.
    pub(super) fn lease_ended(
        &mut self,
        id: LeaseId,
        received: u64,
        len: Option<u64>,
        outcome: Result<(), LeaseFault>,
        core: &mut Core,
    ) -> Heed {
        let now = core.time();
        self.progress(id, received, core);
        let Some(lease) = self.leases.remove(&id) else { return Heed::Later };
        let heed = lease.frees(outcome.is_ok());
        let wasted = lease.received.saturating_sub(lease.stored);
        self.bytes.discarded += wasted;
        core.totals.discarded_bytes += wasted;
        if let Some(share) = self.shares.get_mut(&lease.giver) {
            share.leases += 1;
        }
        let words = outcome.as_ref().err().map(ToString::to_string);
        self.why.ended(id, lease.stored, words, now);
        self.note_owing(lease.giver, now);
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
                        self.fail(Failure::Fatal, Trouble::response(reason), core);
                    }
                }
                if !lease.stopped && matches!(outcome, Err(LeaseFault::Stopped | LeaseFault::Differs { .. }))
                {
                    // Its bytes met others on the disk. Not at once again, if that is how it goes.
                    let jitter = core.chance.below(256);
                    self.origin.breaker.fail(jitter, now);
                }
                self.origin_lease_ended(outcome, core);
            }
        }
        heed
    }

    /// A source whose lease ended may owe nothing any more.
    fn note_owing(&mut self, giver: Giver, now: Instant) {
        let mut open = self.leases.values().filter(|lease| !lease.stopped);
        let owes = open.clone().any(|lease| lease.giver == giver);
        match giver {
            Giver::Origin => self.origin.speed.owes(owes, now),
            Giver::Cache => {}
            Giver::Peer(peer) => {
                self.peers_speed.owes(open.any(|lease| lease.peer().is_some()), now);
                if let Some(source) = self.sources.get_mut(&peer) {
                    source.speed.owes(owes, now);
                }
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
                self.drop_source(peer);
                let reason = format!("it sent wrong bytes for piece {} it stated itself", piece.0);
                self.why.note(Chosen::Peer(peer), format!("banned: {reason}"), String::new(), now);
                core.ban(peer, &reason);
            }
            Err(LeaseFault::Local(fault)) => self.local_trouble(fault, core),
            Err(LeaseFault::Stopped | LeaseFault::Differs { .. }) => {}
            Err(LeaseFault::PeerLost | LeaseFault::NotHeld | LeaseFault::Origin(_)) => {
                if let Some(source) = self.sources.get_mut(&peer)
                    && !lease.stopped
                    && lease.orphaned.is_none()
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
                let text = format!("piece {} from the origin is not what the digest names", piece.0);
                self.origin.fault = Trouble::integrity(text);
            }
            Err(LeaseFault::Local(fault)) => self.local_trouble(fault, core),
            Err(LeaseFault::Differs { piece, value }) => self.origin_differs(piece, value, core),
            Err(LeaseFault::Stopped | LeaseFault::PeerLost | LeaseFault::NotHeld) => {}
        }
    }

    /// A peer refused a request in words.
    pub(super) fn refused(
        &mut self,
        id: LeaseId,
        peer: PeerId,
        reason: RefuseReason,
        core: &mut Core,
    ) -> Heed {
        let now = core.time();
        let Some(lease) = self.leases.get(&id) else { return Heed::Later };
        let pieces = lease.pieces.clone();
        let jitter = core.chance.below(256);
        if reason == RefuseReason::NotHeld {
            core.peers.lacked(peer, now);
        }
        if let Some(source) = self.sources.get_mut(&peer) {
            match reason {
                RefuseReason::Busy { retry } => source.breaker.wait_until(now.after(retry)),
                RefuseReason::NotHeld => {
                    source.have.remove(pieces);
                    source.breaker.fail(jitter, now);
                }
                RefuseReason::Other => {
                    self.drop_source(peer);
                }
            }
        }
        self.stop(id, core);
        match reason {
            // Where many ask, many are refused: what they asked for is looked for elsewhere together.
            RefuseReason::Busy { .. } => Heed::Soon,
            RefuseReason::NotHeld | RefuseReason::Other => Heed::Now,
        }
    }

    /// A peer is not to be used any more: its leases end now.
    pub(super) fn leave_peer(&mut self, peer: PeerId, core: &mut Core) {
        self.member_left(peer, core.time());
        if self.drop_source(peer) {
            self.changed = true;
        }
        self.stop_where(core, |lease| lease.peer() == Some(peer));
    }

    /// A peer went. Its leases end by themselves, once what came is stored: it need not be fetched twice.
    pub(super) fn peer_lost(&mut self, peer: PeerId, now: Instant) {
        self.member_left(peer, now);
        if self.drop_source(peer) {
            self.changed = true;
        }
        for lease in self.leases.values_mut().filter(|lease| lease.peer() == Some(peer)) {
            lease.orphaned = Some(now);
            // The peer may be back before they end; its new session has requests of the same numbers.
            lease.request = None;
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
