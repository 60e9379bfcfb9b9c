//! Several connections of one fetcher, where one of them gets little.
//!
//! Knows: how a segment is shared out among them, what the site reads in all and what each who fetches has of it. Does not
//! know: how many are worth having (`width`).

use std::ops::Range;
use std::time::Duration;

use peer_proto::time::Instant;

use super::super::width::MEASURED_OVER_MOST;
use super::Home;

/// What is shared is measured over the one of these in which it was more: all of the longer one need not have passed yet.
const SHARED_OVER: [Duration; 2] = [Duration::from_secs(2), MEASURED_OVER_MOST];

impl Home {
    /// This node has so many connections with the origin.
    pub const fn set_connections(&mut self, count: u32) {
        self.connections = count;
    }

    /// This node read pieces from the origin.
    pub fn read(&mut self, pieces: &Range<u32>, now: Instant) {
        let len = self.grid.len_of(pieces);
        if let Some(me) = self.members.get_mut(&self.me) {
            me.meter.add(len, now);
        }
    }

    /// Bytes per second that all members together read from the origin over the last `over`.
    #[must_use]
    pub fn sum(&self, over: Duration, now: Instant) -> u64 {
        self.members.values().map(|member| member.meter.rate(over, now)).sum()
    }

    /// Bytes per second of each who says that it fetches, if all of them get the same of what is read; `None` if nothing is.
    pub(super) fn share(&self, now: Instant) -> Option<u64> {
        let at_work = self.claims.len() + usize::from(self.own.is_some());
        let sum = SHARED_OVER.into_iter().map(|over| self.sum(over, now)).max()?;
        (sum > 0).then(|| (sum / u64::try_from(at_work.max(1)).unwrap_or(u64::MAX)).max(1))
    }

    /// How many members read from the origin while the sum may have been measured, one at least.
    #[must_use]
    pub fn readers(&self, now: Instant) -> u64 {
        self.members
            .values()
            .map(|member| u64::from(member.meter.bytes(MEASURED_OVER_MOST, now) > 0))
            .sum::<u64>()
            .max(1)
    }

    /// How many pieces of a segment one connection is asked for: whole units.
    pub(super) fn share_of(&self, left: &Range<u32>) -> u32 {
        let unit = self.grid.unit_of(0).end.max(1);
        let share = self.grid.segment().div_ceil(self.connections.max(1)).next_multiple_of(unit);
        if self.connections > 1 { share.min(left.end - left.start) } else { left.end - left.start }
    }
}
