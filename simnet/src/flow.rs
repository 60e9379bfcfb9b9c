//! Bulk transfers: so many bytes from one place to another, at a rate that the lines in between allow.
//!
//! Bytes are counted, never moved. A flow costs an event for each mark and for each change of its rate, not for each
//! packet. Knows: how far a flow is at a moment, when it will be where. Does not know: what its rate should be
//! (`fair`).

use std::time::Duration;

use peer_proto::time::Instant;

use crate::fair::Path;
use crate::host::HostId;
use crate::origin::OriginId;

/// Names a flow for ever: who started it, and that host's own number for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FlowId {
    /// Who started it.
    pub starter: HostId,
    /// The number it gave.
    pub number: u64,
}

/// How much a flow carries and when its receiver is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowSpec {
    /// Bytes.
    pub len: u64,
    /// The receiver is told each time so many bytes have come ...
    pub mark_every: u64,
    /// ... and after so much time, if any have.
    pub tell_every: Duration,
    /// Bytes per second at most; the lines may give less.
    pub rate_max: u64,
}

impl FlowSpec {
    /// A flow of so many bytes, told every 256 KiB or 100 ms, as fast as the lines allow.
    #[must_use]
    pub const fn of(len: u64) -> Self {
        Self { len, mark_every: 256 * 1024, tell_every: Duration::from_millis(100), rate_max: u64::MAX }
    }
}

/// How a flow ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowEnd {
    /// All its bytes arrived.
    Complete,
    /// One of its ends cancelled it.
    Cancelled,
    /// The stream or the connection broke.
    Broken,
    /// It never began: the origin is busy.
    Busy,
    /// It never began: the other end refused or is not there.
    Refused,
}

/// Something that happened to a flow.
#[derive(Clone, Debug)]
pub enum FlowEvent<M> {
    /// A host began to send; told to the receiver.
    Opened {
        /// Which flow.
        flow: FlowId,
        /// Who sends.
        from: HostId,
        /// Bytes it will have.
        len: u64,
        /// What the sender said of it.
        label: M,
    },
    /// An origin began to send; told to the receiver.
    Answered {
        /// Which flow.
        flow: FlowId,
        /// The version the origin says.
        says: u32,
        /// The version the bytes really are. Only the model of the content may look at it.
        serves: u32,
    },
    /// More bytes came; told to the receiver.
    Moved {
        /// Which flow.
        flow: FlowId,
        /// Bytes since its start.
        total: u64,
    },
    /// The flow is over; told to both ends.
    Ended {
        /// Which flow.
        flow: FlowId,
        /// Bytes since its start.
        total: u64,
        /// How it ended.
        end: FlowEnd,
    },
}

/// Where a flow comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Giver {
    Host(HostId),
    Origin(OriginId),
}

/// One flow in the world's table.
#[derive(Debug)]
pub(crate) struct Flow<M> {
    pub(crate) id: FlowId,
    pub(crate) from: Giver,
    pub(crate) to: HostId,
    pub(crate) path: Path,
    pub(crate) limit: u64,
    pub(crate) len: u64,
    /// Bytes after which its origin cuts it off.
    pub(crate) cut_at: u64,
    pub(crate) spec: FlowSpec,
    pub(crate) label: Option<M>,
    /// Whether it has begun; before that it only waits for its first byte.
    pub(crate) is_open: bool,
    /// Since when it stands still although it has begun: something is cut.
    pub(crate) blocked_since: Option<Instant>,
    pub(crate) rate: u64,
    /// Bytes times a million that passed before `since`.
    pub(crate) position: u64,
    since: Instant,
    /// Bytes the giver was charged with.
    pub(crate) charged: u64,
    /// Bytes the receiver was told of, and when.
    pub(crate) told: u64,
    told_at: Instant,
    extra_mark: u64,
    /// The event that is in the queue for it.
    pub(crate) event_at: Instant,
}

/// Bytes are counted in millionths, so that a rate per second times microseconds is exact.
pub(crate) const FINE: u64 = 1_000_000;

impl<M> Flow<M> {
    pub(crate) fn new(
        id: FlowId,
        from: Giver,
        to: HostId,
        path: Path,
        spec: FlowSpec,
        label: Option<M>,
    ) -> Self {
        Self {
            id,
            from,
            to,
            path,
            limit: spec.rate_max,
            len: spec.len,
            cut_at: u64::MAX,
            spec,
            label,
            is_open: false,
            blocked_since: None,
            rate: 0,
            position: 0,
            since: Instant::ZERO,
            charged: 0,
            told: 0,
            told_at: Instant::ZERO,
            extra_mark: u64::MAX,
            event_at: Instant::NEVER,
        }
    }

    pub(crate) const fn open(&mut self, now: Instant) {
        self.is_open = true;
        self.since = now;
        self.told_at = now;
    }

    /// Whole bytes that have passed.
    pub(crate) const fn passed(&self) -> u64 {
        self.position / FINE
    }

    /// The last byte it will carry.
    pub(crate) fn end(&self) -> u64 {
        self.len.min(self.cut_at)
    }

    /// Lets the time until now pass at the present rate.
    pub(crate) fn settle(&mut self, now: Instant) {
        let micros = now.as_micros().saturating_sub(self.since.as_micros());
        let moved = self.rate.saturating_mul(micros);
        self.position = self.position.saturating_add(moved).min(self.end().saturating_mul(FINE));
        self.since = now;
    }

    pub(crate) const fn mark(&mut self, at: u64) {
        self.extra_mark = at;
    }

    /// Whether the receiver should be told now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let passed = self.passed();
        passed > self.told
            && (passed >= self.next_mark()
                || now.since(self.told_at) >= self.spec.tell_every
                || passed >= self.end())
    }

    /// Notes that the receiver is told; returns how many bytes are new to it.
    pub(crate) fn tell(&mut self, now: Instant) -> u64 {
        let more = self.passed().saturating_sub(self.told);
        self.told = self.passed();
        self.told_at = now;
        more
    }

    /// When something happens if the rate stays as it is.
    pub(crate) fn next_event(&self) -> Instant {
        if self.rate == 0 {
            return Instant::NEVER;
        }
        let target = self.end().min(self.next_mark());
        let at_target = self.reaches(target);
        let at_byte = self.reaches(self.told.saturating_add(1));
        let told_next = self.told_at.after(self.spec.tell_every).max(at_byte);
        at_target.min(told_next)
    }

    fn next_mark(&self) -> u64 {
        let every = self.spec.mark_every.max(1);
        let regular = (self.told / every).saturating_add(1).saturating_mul(every);
        let extra = if self.extra_mark > self.told { self.extra_mark } else { u64::MAX };
        regular.min(extra)
    }

    fn reaches(&self, target: u64) -> Instant {
        let left = target.saturating_mul(FINE).saturating_sub(self.position);
        let micros = left.div_ceil(self.rate.max(1));
        Instant::from_micros(self.since.as_micros().saturating_add(micros))
    }
}
