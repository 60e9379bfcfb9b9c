//! What will happen, in the order of its moments.
//!
//! Knows: a heap of small events, by time and then by the order they were made. Does not know: what they mean.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use peer_proto::time::Instant;

use crate::host::HostId;

/// Something that will happen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Event {
    /// A host wanted to be woken.
    Wake(HostId),
    /// A message may have arrived.
    Arrival(HostId, HostId),
    /// A stream may have borne a cut for too long.
    Patience(HostId, HostId),
    /// A flow opens, or reached something worth telling.
    Flow { slot: u32, generation: u32 },
    /// A flow that stood still may have done so for too long.
    FlowPatience { slot: u32, generation: u32 },
    /// The answer to a question to an origin is due.
    Answer(u32),
    /// A dialled stream opens.
    Dialled(HostId, HostId),
    /// The first host learns that the second is there.
    Sight(HostId, HostId),
    /// A fault from the table.
    Fault(u32),
}

/// Events by moment; those of one moment in the order they were pushed.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    pushed: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Instant, event: Event) {
        self.heap.push(Reverse((at, self.pushed, event)));
        self.pushed += 1;
    }

    /// The next event, if it happens by `end`.
    pub(crate) fn pop_by(&mut self, end: Instant) -> Option<(Instant, Event)> {
        let Reverse((at, ..)) = self.heap.peek()?;
        if *at > end {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_moment_and_then_in_the_order_they_were_made() {
        let mut queue = Queue::default();
        for (at, host) in [(5, 0), (3, 1), (5, 2), (3, 3), (9, 4)] {
            queue.push(Instant::from_micros(at), Event::Wake(HostId(host)));
        }
        let mut order = Vec::new();
        while let Some((_, Event::Wake(host))) = queue.pop_by(Instant::from_micros(5)) {
            order.push(host.0);
        }
        assert_eq!(order, [1, 3, 0, 2]);
    }
}
