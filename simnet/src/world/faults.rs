//! What goes wrong, and what follows from it.
//!
//! Knows: cuts, crashes, sleep, moves, lines and origins that change. Does not know: when (whoever schedules them).

use super::{Event, Notice, Power, Trouble, World, place};
use crate::flow::FlowEnd;
use crate::host::{Crash, Host, HostId};
use crate::link::Link;
use crate::net::{SiteId, Wan};
use crate::origin::{OriginId, OriginSpec};

/// What may be done to a world at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Both directions between two hosts carry nothing.
    Cut(HostId, HostId),
    /// Nothing passes from the first to the second; the other way stays whole.
    CutOneWay(HostId, HostId),
    /// Both directions carry again.
    Heal(HostId, HostId),
    /// The stream breaks now: both ends are told, and nothing is sent until [`Fault::Connect`].
    Break(HostId, HostId),
    /// A new stream on a line that has none; both ends are told. Nothing happens while the line is cut.
    Connect(HostId, HostId),
    /// A host starts, for the first time or after a crash.
    Start(HostId),
    /// A host crashes.
    Crash(HostId, Crash),
    /// A host does nothing from now on, and remembers everything.
    Sleep(HostId),
    /// A host that slept goes on.
    Wake(HostId),
    /// A host gets another address: its streams break, and it is discovered anew.
    Move(HostId),
    /// Nothing passes between a site and everything outside.
    LineDown(SiteId),
    /// A site's line works again.
    LineUp(SiteId),
    /// A site's line is another one from now on. Streams that are open keep the delay they had.
    Line(SiteId, Wan),
    /// An origin is another one from now on. Flows under way keep the version they began with.
    Origin(OriginId, OriginSpec),
}

impl<H: Host> World<H> {
    pub(super) fn apply(&mut self, fault: Fault) -> Result<(), Trouble> {
        match fault {
            Fault::Cut(one, other) => {
                self.cut(one, other);
                self.cut(other, one);
            }
            Fault::CutOneWay(from, to) => self.cut(from, to),
            Fault::Heal(one, other) => {
                self.cuts.remove(&(one, other));
                self.cuts.remove(&(other, one));
                self.look_at_pair(one, other);
            }
            Fault::Break(one, other) => self.close(one, other),
            Fault::Connect(one, other) => {
                let cut = [(one, other), (other, one)];
                let cut = cut.iter().any(|way| self.links.get(way).is_none_or(Link::is_cut));
                if !cut && !self.is_connected(one, other) {
                    self.open(one, other);
                }
            }
            Fault::Start(id) => self.start(id),
            Fault::Crash(id, crash) => self.crash(id, crash),
            Fault::Sleep(id) => self.sleep(id),
            Fault::Wake(id) => self.wake_up(id),
            Fault::Move(id) => self.change_address(id),
            Fault::LineDown(site) => {
                self.dark.insert(site);
                self.look_at_site(site);
            }
            Fault::LineUp(site) => {
                self.dark.remove(&site);
                self.look_at_site(site);
            }
            Fault::Line(site, wan) => self.change_line(site, wan),
            Fault::Origin(origin, spec) => self.change_origin(origin, spec),
        }
        Ok(())
    }

    fn cut(&mut self, from: HostId, to: HostId) {
        self.cuts.insert((from, to));
        self.look_at_pair(from, to);
    }

    /// Brings the links and flows between two hosts to what they should be now.
    fn look_at_pair(&mut self, one: HostId, other: HostId) {
        self.look_at_links(one, other);
        if self.is_connected(one, other) {
            self.look_at_flows_of(one);
        }
    }

    pub(super) fn look_at_links(&mut self, one: HostId, other: HostId) {
        for (from, to) in [(one, other), (other, one)] {
            let open = self.way_is_open(from, to);
            let now = self.now;
            let Some(link) = self.links.get_mut(&(from, to)) else { continue };
            match (open, link.is_cut()) {
                (false, false) => {
                    let patience = link.cut(now);
                    self.note(3, u64::from(from.0), u64::from(to.0));
                    self.queue.push(patience, Event::Patience(from, to));
                }
                (true, true) => {
                    let arrivals = link.heal(now, &mut self.dice);
                    self.note(4, u64::from(from.0), u64::from(to.0));
                    for arrival in arrivals {
                        self.queue.push(arrival, Event::Arrival(from, to));
                    }
                }
                (true, false) | (false, true) => {}
            }
        }
    }

    fn peers_of(&self, id: HostId) -> Vec<HostId> {
        self.place(id).map(|place| place.streams.iter().copied().collect()).unwrap_or_default()
    }

    /// A host and everything that depends on whether it runs.
    fn look_at_host(&mut self, id: HostId) {
        for peer in self.peers_of(id) {
            self.look_at_links(id, peer);
        }
        self.look_at_flows_of(id);
    }

    fn look_at_site(&mut self, site: SiteId) {
        for index in 0..self.host_count() {
            let at_site = self.place(HostId(index)).and_then(|place| place.attached);
            if at_site.is_some_and(|attached| attached.seat.site == site) {
                self.look_at_host(HostId(index));
            }
        }
    }

    pub(super) fn start(&mut self, id: HostId) {
        let Some(place) = self.place_mut(id).filter(|place| place.power == Power::Off) else { return };
        place.power = Power::On;
        self.note(10, u64::from(id.0), 0);
        // Whoever still waits for the one that was here before learns that it is gone.
        for peer in self.peers_of(id) {
            self.look_at_links(id, peer);
            self.close(id, peer);
        }
        self.notices.retain(|(to, notice)| *to != id || !matches!(notice, Notice::Lost(_)));
        self.notices.push_back((id, Notice::Start));
        self.announce(id);
    }

    fn crash(&mut self, id: HostId, crash: Crash) {
        let now = self.now;
        let Some(place) = self.place_mut(id).filter(|place| place.power != Power::Off) else { return };
        place.power = Power::Off;
        place.wake = peer_proto::time::Instant::NEVER;
        place.dialling.clear();
        place.host.handle_crash(crash, now);
        self.note(11, u64::from(id.0), 0);
        self.forget_questions(id);
        // Nobody is there to receive; what it sends to others ends with their streams.
        self.end_where(id, FlowEnd::Broken, |flow| flow.to == id);
        for peer in self.peers_of(id) {
            self.look_at_links(id, peer);
            if crash == Crash::Program {
                self.close(id, peer);
            }
        }
        self.look_at_flows_of(id);
        self.leave_site(id);
    }

    fn leave_site(&mut self, id: HostId) {
        for residents in self.residents.values_mut() {
            residents.retain(|other| *other != id);
        }
    }

    fn sleep(&mut self, id: HostId) {
        let Some(place) = self.place_mut(id).filter(|place| place.power == Power::On) else { return };
        place.power = Power::Asleep;
        self.note(12, u64::from(id.0), 0);
        self.look_at_host(id);
        self.leave_site(id);
    }

    fn wake_up(&mut self, id: HostId) {
        let Some(place) = self.place_mut(id).filter(|place| place.power == Power::Asleep) else { return };
        place.power = Power::On;
        place.wake_queued = peer_proto::time::Instant::NEVER;
        let slept_through = std::mem::take(&mut place.missed);
        self.note(13, u64::from(id.0), 0);
        self.queue_wake(id);
        for notice in slept_through {
            self.notices.push_back((id, notice));
        }
        self.look_at_host(id);
        self.announce(id);
    }

    fn change_address(&mut self, id: HostId) {
        let count = self.host_count();
        let Some(place) = self.place_mut(id).filter(|place| place.power == Power::On) else { return };
        place.address = place.address.wrapping_add(count.max(1));
        self.note(14, u64::from(id.0), 0);
        for peer in self.peers_of(id) {
            self.close(id, peer);
        }
        self.end_where(id, FlowEnd::Broken, |_| true);
        self.announce(id);
    }

    fn change_line(&mut self, site: SiteId, wan: Wan) {
        self.net.set_wan(site, wan);
        if let Some((down, up)) = self.net.wan_lanes(site) {
            self.pipes.set_capacity(down, wan.down_bytes_per_s, self.now);
            self.pipes.set_capacity(up, wan.up_bytes_per_s, self.now);
            self.share();
        }
    }

    fn change_origin(&mut self, origin: OriginId, spec: OriginSpec) {
        let Some(source) = self.origins.get_mut(place(origin.0)) else { return };
        source.spec = spec;
        let lane = source.lane;
        self.note(15, u64::from(origin.0), u64::from(spec.serves));
        self.pipes.set_capacity(lane, spec.rate_bytes_per_s, self.now);
        self.share();
        self.look_at_origin(origin, spec.reach);
    }
}
