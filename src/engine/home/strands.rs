//! Several connections of one fetcher, where one of them gets little.
//!
//! Knows: how a segment is shared out among them, what the site reads in all. Does not know: how many are worth having
//! (`width`).

use std::ops::Range;

use peer_proto::time::Instant;

use super::super::width::MEASURED_OVER;
use super::Home;

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

    /// Bytes per second that all members together read from the origin of late.
    #[must_use]
    pub fn sum(&self, now: Instant) -> u64 {
        self.members.values().map(|member| member.meter.rate(MEASURED_OVER, now)).sum()
    }

    /// How many pieces of a segment one connection is asked for: whole units.
    pub(super) fn share_of(&self, left: &Range<u32>) -> u32 {
        let unit = self.grid.unit_of(0).end.max(1);
        let share = self.grid.segment().div_ceil(self.connections.max(1)).next_multiple_of(unit);
        if self.connections > 1 { share.min(left.end - left.start) } else { left.end - left.start }
    }
}
