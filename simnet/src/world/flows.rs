//! Bulk in the world: flows begin, get their rates, are told of, and end.
//!
//! Knows: the table of flows, what each host and origin gave and got. Does not know: fair rates (`fair`), how far one
//! flow is (`flow`).

use std::collections::BTreeMap;

use peer_proto::time::Instant;

use super::{Event, Notice, Power, World, place};
use crate::flow::{Flow, FlowEnd, FlowEvent, FlowId, FlowSpec, Giver};
use crate::host::{Host, HostId};
use crate::net::{PATIENCE, goodput_max};
use crate::origin::{OriginId, Reach};

/// Faster than anything, and small enough to be added up.
const NO_LIMIT: u64 = 1 << 40;

/// All flows that are not over.
#[derive(Debug)]
pub(super) struct Table<M> {
    slots: Vec<(u32, Option<Flow<M>>)>,
    free: Vec<u32>,
    by_id: BTreeMap<FlowId, u32>,
    changed: Vec<u32>,
}

impl<M> Default for Table<M> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), by_id: BTreeMap::new(), changed: Vec::new() }
    }
}

impl<M> Table<M> {
    fn insert(&mut self, flow: Flow<M>) -> (u32, u32) {
        let id = flow.id;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.by_id.insert(id, slot);
        let Some((generation, held)) = self.slots.get_mut(place(slot)) else { return (slot, 0) };
        *held = Some(flow);
        (slot, *generation)
    }

    fn remove(&mut self, slot: u32) -> Option<Flow<M>> {
        let (generation, held) = self.slots.get_mut(place(slot))?;
        let flow = held.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(slot);
        self.by_id.remove(&flow.id);
        Some(flow)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Flow<M>> {
        self.slots.get(place(slot))?.1.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Flow<M>> {
        self.slots.get_mut(place(slot))?.1.as_mut()
    }

    fn generation(&self, slot: u32) -> u32 {
        self.slots.get(place(slot)).map_or(0, |(generation, _)| *generation)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Flow<M>> {
        self.slots.iter().filter_map(|(_, flow)| flow.as_ref())
    }
}

impl<H: Host> World<H> {
    pub(super) fn pull(&mut self, host: HostId, origin: OriginId, number: u64, spec: FlowSpec) {
        let id = FlowId { starter: host, number };
        let attached = self.place(host).and_then(|place| place.attached);
        let (Some(source), Some(attached)) = (self.origins.get(place(origin.0)), attached) else {
            self.refuse(id);
            return;
        };
        let (delay, loss) = self.net.way_to_origin(&source.spec, &attached);
        let path = self.net.path_from_origin(source.lane, &attached);
        let mut flow = Flow::new(id, Giver::Origin(origin), host, path, spec, None);
        flow.limit = flow.limit.min(goodput_max(delay, loss)).min(NO_LIMIT);
        // The question goes there, the first byte comes back.
        self.admit(flow, self.now.after(delay.saturating_mul(2)));
    }

    pub(super) fn push(&mut self, host: HostId, to: HostId, number: u64, label: H::Message, spec: FlowSpec) {
        let id = FlowId { starter: host, number };
        let ends = [host, to].map(|id| self.place(id).and_then(|place| place.attached));
        let [Some(one), Some(other)] = ends else {
            self.refuse(id);
            return;
        };
        let line = self.net.line(&one, &other);
        let path = self.net.path(&one, &other);
        let mut flow = Flow::new(id, Giver::Host(host), to, path, spec, Some(label));
        flow.limit = flow.limit.min(goodput_max(line.delay, line.loss_per_million)).min(NO_LIMIT);
        self.admit(flow, self.now.after(line.delay));
    }

    fn refuse(&mut self, flow: FlowId) {
        let end = FlowEnd::Refused;
        self.notices.push_back((flow.starter, Notice::Flow(FlowEvent::Ended { flow, total: 0, end })));
    }

    fn admit(&mut self, mut flow: Flow<H::Message>, opens: Instant) {
        if self.flows.by_id.contains_key(&flow.id) {
            return;
        }
        flow.event_at = opens;
        let ends = [Some(flow.to), giver_host(&flow)];
        let (slot, generation) = self.flows.insert(flow);
        for id in ends.into_iter().flatten() {
            if let Some(place) = self.place_mut(id) {
                place.flows.push(slot);
            }
        }
        self.queue.push(opens, Event::Flow { slot, generation });
    }

    /// The queue came to a flow's event.
    pub(super) fn flow_due(&mut self, slot: u32, generation: u32) {
        if self.flows.generation(slot) != generation {
            return;
        }
        let now = self.now;
        let Some(flow) = self.flows.get_mut(slot).filter(|flow| flow.event_at == now) else { return };
        flow.event_at = Instant::NEVER;
        if !flow.is_open {
            self.open_flow(slot);
            return;
        }
        self.settle_flow(slot);
        let Some(flow) = self.flows.get_mut(slot) else { return };
        if flow.passed() >= flow.end() {
            let end = if flow.passed() >= flow.len { FlowEnd::Complete } else { FlowEnd::Broken };
            self.end_flow(slot, end);
            return;
        }
        if flow.is_due(now) {
            let (to, id) = (flow.to, flow.id);
            let more = flow.tell(now);
            let total = flow.told;
            self.receive(slot, more);
            self.notices.push_back((to, Notice::Flow(FlowEvent::Moved { flow: id, total })));
        }
        self.queue_flow(slot);
    }

    fn open_flow(&mut self, slot: u32) {
        let now = self.now;
        let Some(flow) = self.flows.get(slot) else { return };
        let (id, to, len, from) = (flow.id, flow.to, flow.len, flow.from);
        let mut cut_at = u64::MAX;
        let mut limit = flow.limit;
        let answered = match from {
            Giver::Host(host) if self.is_connected(host, to) => None,
            Giver::Host(_) => return self.end_flow(slot, FlowEnd::Refused),
            Giver::Origin(origin) => {
                let dark = self.is_dark(to);
                let Some(source) = self.origins.get_mut(place(origin.0)) else { return };
                let spec = source.spec;
                match spec.reach {
                    Reach::Refuses => return self.end_flow(slot, FlowEnd::Refused),
                    _ if source.counts.open >= spec.flows_max => return self.end_flow(slot, FlowEnd::Busy),
                    Reach::Silent | Reach::Up if dark || spec.reach == Reach::Silent => None,
                    Reach::Silent | Reach::Up => {
                        source.counts.open += 1;
                        source.counts.flows += 1;
                        cut_at = spec.cuts_after.unwrap_or(u64::MAX);
                        limit = limit.min(spec.flow_rate_bytes_per_s);
                        Some((spec.says, spec.serves))
                    }
                }
            }
        };
        if matches!(from, Giver::Origin(_)) && answered.is_none() {
            // The question was not heard: it is repeated until somebody hears it, or patience is over.
            return self.wait_to_open(slot);
        }
        let Some(flow) = self.flows.get_mut(slot) else { return };
        flow.open(now);
        flow.cut_at = cut_at;
        flow.limit = limit;
        flow.blocked_since = None;
        let event = match (answered, flow.label.take()) {
            (Some((says, serves)), _) => Some(FlowEvent::Answered { flow: id, says, serves }),
            (None, Some(label)) => match from {
                Giver::Host(from) => Some(FlowEvent::Opened { flow: id, from, len, label }),
                Giver::Origin(_) => None,
            },
            (None, None) => None,
        };
        self.note(8, u64::from(to.0), id.number);
        self.notices.extend(event.map(|event| (to, Notice::Flow(event))));
        if len == 0 {
            return self.end_flow(slot, FlowEnd::Complete);
        }
        self.let_move(slot);
    }

    fn wait_to_open(&mut self, slot: u32) {
        let now = self.now;
        let generation = self.flows.generation(slot);
        let Some(flow) = self.flows.get_mut(slot) else { return };
        let since = *flow.blocked_since.get_or_insert(now);
        if now.since(since) >= PATIENCE {
            return self.end_flow(slot, FlowEnd::Broken);
        }
        let at = now.after(std::time::Duration::from_secs(1));
        flow.event_at = at;
        self.queue.push(at, Event::Flow { slot, generation });
    }

    /// Lets a flow go on if nothing is cut, or stand still.
    fn let_move(&mut self, slot: u32) {
        let now = self.now;
        let Some(flow) = self.flows.get(slot).filter(|flow| flow.is_open) else { return };
        let free = match flow.from {
            Giver::Host(from) => self.way_is_open(from, flow.to) && self.way_is_open(flow.to, from),
            Giver::Origin(origin) => {
                let up =
                    self.origins.get(place(origin.0)).is_some_and(|source| source.spec.reach == Reach::Up);
                let on = self.place(flow.to).is_some_and(|place| place.power == Power::On);
                up && on && !self.is_dark(flow.to)
            }
        };
        let (path, limit, was_moving) =
            (flow.path, flow.limit, flow.blocked_since.is_none() && flow.rate > 0);
        let generation = self.flows.generation(slot);
        let Some(flow) = self.flows.get_mut(slot) else { return };
        if free {
            flow.blocked_since = None;
            if !was_moving {
                self.pipes.enter(slot, path, limit, now);
            }
        } else if flow.blocked_since.is_none() {
            flow.blocked_since = Some(now);
            self.pipes.leave(slot, now);
            self.queue.push(now.after(PATIENCE), Event::FlowPatience { slot, generation });
        }
        self.share();
    }

    /// A flow from an origin that stood still for too long breaks. Those between hosts break with their stream.
    pub(super) fn flow_patience(&mut self, slot: u32, generation: u32) {
        if self.flows.generation(slot) != generation {
            return;
        }
        let Some(flow) = self.flows.get(slot).filter(|flow| flow.is_open) else { return };
        let over = flow.blocked_since.is_some_and(|since| self.now.since(since) >= PATIENCE);
        if over && matches!(flow.from, Giver::Origin(_)) {
            self.end_flow(slot, FlowEnd::Broken);
        }
    }

    /// Gives every flow the rate it should have now.
    pub(super) fn share(&mut self) {
        let mut changed = std::mem::take(&mut self.flows.changed);
        self.pipes.take_changed(&mut changed);
        for slot in &changed {
            let rate = self.pipes.rate(*slot);
            if self.flows.get(*slot).is_none_or(|flow| flow.rate == rate) {
                continue;
            }
            self.settle_flow(*slot);
            if let Some(flow) = self.flows.get_mut(*slot) {
                flow.rate = rate;
            }
            self.queue_flow(*slot);
        }
        self.flows.changed = changed;
    }

    fn queue_flow(&mut self, slot: u32) {
        let generation = self.flows.generation(slot);
        let Some(flow) = self.flows.get_mut(slot) else { return };
        let at = flow.next_event().max(self.now);
        if at < flow.event_at {
            flow.event_at = at;
            self.queue.push(at, Event::Flow { slot, generation });
        }
    }

    /// Lets the time until now pass for one flow, and charges its giver.
    fn settle_flow(&mut self, slot: u32) {
        let now = self.now;
        let Some(flow) = self.flows.get_mut(slot).filter(|flow| flow.is_open) else { return };
        flow.settle(now);
        let more = flow.passed() - flow.charged;
        flow.charged = flow.passed();
        match flow.from {
            Giver::Host(host) => {
                if let Some(place) = self.place_mut(host) {
                    place.traffic.sent += more;
                }
            }
            Giver::Origin(origin) => {
                if let Some(source) = self.origins.get_mut(place(origin.0)) {
                    source.counts.bytes += more;
                }
            }
        }
    }

    fn receive(&mut self, slot: u32, more: u64) {
        let Some(flow) = self.flows.get(slot) else { return };
        let (to, from) = (flow.to, flow.from);
        if let Some(place) = self.place_mut(to) {
            match from {
                Giver::Host(_) => place.traffic.from_hosts += more,
                Giver::Origin(_) => place.traffic.from_origins += more,
            }
        }
    }

    fn end_flow(&mut self, slot: u32, end: FlowEnd) {
        let now = self.now;
        self.settle_flow(slot);
        let Some(flow) = self.flows.get_mut(slot) else { return };
        let more = flow.tell(now);
        self.receive(slot, more);
        self.pipes.leave(slot, now);
        let Some(flow) = self.flows.remove(slot) else { return };
        let (id, total) = (flow.id, flow.told);
        self.note(9, u64::from(id.starter.0) << 32 | (id.number & 0xffff_ffff), total);
        if let (Giver::Origin(origin), true) = (flow.from, flow.is_open)
            && let Some(source) = self.origins.get_mut(place(origin.0))
        {
            source.counts.open = source.counts.open.saturating_sub(1);
        }
        for host in [Some(flow.to), giver_host(&flow)].into_iter().flatten() {
            if let Some(place) = self.place_mut(host)
                && let Some(at) = place.flows.iter().position(|other| *other == slot)
            {
                place.flows.swap_remove(at);
            }
            self.notices.push_back((host, Notice::Flow(FlowEvent::Ended { flow: id, total, end })));
        }
        self.share();
    }

    pub(super) fn mark_flow(&mut self, flow: FlowId, at: u64) {
        let Some(slot) = self.flows.by_id.get(&flow).copied() else { return };
        if let Some(flow) = self.flows.get_mut(slot) {
            flow.mark(at);
            if flow.is_open {
                self.queue_flow(slot);
            }
        }
    }

    pub(super) fn trim_flow(&mut self, flow: FlowId, len: u64) {
        let Some(slot) = self.flows.by_id.get(&flow).copied() else { return };
        self.settle_flow(slot);
        let Some(flow) = self.flows.get_mut(slot) else { return };
        flow.len = flow.len.min(len.max(flow.passed()));
        if flow.is_open && flow.passed() >= flow.len {
            self.end_flow(slot, FlowEnd::Complete);
        } else if flow.is_open {
            self.queue_flow(slot);
        }
    }

    pub(super) fn cancel_flow(&mut self, flow: FlowId) {
        if let Some(slot) = self.flows.by_id.get(&flow).copied() {
            self.end_flow(slot, FlowEnd::Cancelled);
        }
    }

    pub(super) fn break_flows_between(&mut self, one: HostId, other: HostId) {
        let between = |flow: &Flow<H::Message>| match flow.from {
            Giver::Host(from) => (from == one && flow.to == other) || (from == other && flow.to == one),
            Giver::Origin(_) => false,
        };
        self.end_where(one, FlowEnd::Broken, between);
    }

    /// Ends the flows of a host that are meant.
    pub(super) fn end_where(
        &mut self,
        host: HostId,
        end: FlowEnd,
        meant: impl Fn(&Flow<H::Message>) -> bool,
    ) {
        let Some(place) = self.place(host) else { return };
        let slots = place.flows.iter().filter(|slot| self.flows.get(**slot).is_some_and(&meant));
        let slots: Vec<u32> = slots.copied().collect();
        slots.into_iter().for_each(|slot| self.end_flow(slot, end));
    }

    /// Looks again whether the flows of a host may move.
    pub(super) fn look_at_flows_of(&mut self, host: HostId) {
        let slots = self.place(host).map(|place| place.flows.clone()).unwrap_or_default();
        slots.into_iter().for_each(|slot| self.let_move(slot));
    }

    /// Looks again whether the flows of an origin may move; ends them if it refuses now.
    pub(super) fn look_at_origin(&mut self, origin: OriginId, reach: Reach) {
        let mut slots = Vec::new();
        for (slot, (_, flow)) in (0..).zip(&self.flows.slots) {
            if flow.as_ref().is_some_and(|flow| flow.from == Giver::Origin(origin) && flow.is_open) {
                slots.push(slot);
            }
        }
        for slot in slots {
            match reach {
                Reach::Refuses => self.end_flow(slot, FlowEnd::Broken),
                Reach::Up | Reach::Silent => self.let_move(slot),
            }
        }
    }
}

fn giver_host<M>(flow: &Flow<M>) -> Option<HostId> {
    match flow.from {
        Giver::Host(host) => Some(host),
        Giver::Origin(_) => None,
    }
}
