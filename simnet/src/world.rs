//! The order of everything: hosts, streams and flows between them, faults, and the moment each thing happens.
//!
//! Knows: one queue of events by time, and by the order they were made within one moment. Does not know: what hosts
//! are or say.

mod faults;
mod flows;
mod meet;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use peer_proto::time::Instant;

pub use self::faults::Fault;
use self::flows::Table;
use self::meet::Question;
pub use self::watch::{Oracle, Traffic};
use crate::dice::Dice;
use crate::fair::{EXACT_MAX, LaneId, Pipes, place};
use crate::flow::FlowEvent;
use crate::host::{Discovery, Host, HostId, HostOutput, Neighbour};
use crate::link::{Link, LinkCounts, LinkSpec};
use crate::net::{Attached, CellId, Net, Seat, SiteId, SiteSpec};
use crate::origin::{Answer, OriginCounts, OriginId, OriginSpec};
use crate::queue::{Event, Queue};

/// Why a world cannot go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// A host does not come to rest: it asks for more and more without time moving on.
    Spinning {
        /// Which host.
        host: HostId,
        /// When.
        at: Instant,
    },
    /// An oracle found what must not be.
    Broken {
        /// Which oracle.
        oracle: &'static str,
        /// What it found.
        what: String,
        /// When.
        at: Instant,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spinning { host, at } => write!(f, "host {} does not come to rest at {at:?}", host.0),
            Self::Broken { oracle, what, at } => write!(f, "oracle {oracle} at {at:?}: {what}"),
        }
    }
}

impl std::error::Error for Trouble {}

/// Hosts, sites, origins, and virtual time.
pub struct World<H: Host> {
    now: Instant,
    dice: Dice,
    hosts: Vec<Place<H>>,
    links: BTreeMap<(HostId, HostId), Link<H::Message>>,
    /// Ways that carry nothing, one direction each.
    cuts: BTreeSet<(HostId, HostId)>,
    /// Sites whose line is down.
    dark: BTreeSet<SiteId>,
    net: Net,
    pipes: Pipes,
    flows: Table<H::Message>,
    origins: Vec<Source>,
    questions: BTreeMap<u32, Question>,
    next_question: u32,
    faults: BTreeMap<u32, Fault>,
    discovery: Discovery,
    residents: BTreeMap<SiteId, Vec<HostId>>,
    queue: Queue,
    notices: VecDeque<(HostId, Notice<H::Message>)>,
    oracles: Vec<Oracle<H>>,
    steps: u64,
    /// After how many steps everything is looked at again.
    look_at: u64,
    fingerprint: u64,
}

/// An origin in the world.
#[derive(Debug)]
struct Source {
    spec: OriginSpec,
    lane: LaneId,
    counts: OriginCounts,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Power {
    /// It runs.
    On,
    /// It does nothing and remembers everything.
    Asleep,
    /// It does not run.
    Off,
}

struct Place<H: Host> {
    host: H,
    power: Power,
    attached: Option<Attached>,
    address: u32,
    streams: BTreeSet<HostId>,
    dialling: BTreeSet<HostId>,
    flows: Vec<u32>,
    traffic: Traffic,
    /// What it was told while it slept.
    missed: Vec<Notice<H::Message>>,
    /// When the host wants to be woken, and the earliest wake event in the queue.
    wake: Instant,
    wake_queued: Instant,
    /// Steps in the present moment.
    steps: (Instant, u32),
}

/// Something a host is told once the present one has come to rest.
enum Notice<M> {
    Start,
    Connected(HostId),
    Lost(HostId),
    Answer(u64, Answer),
    Flow(FlowEvent<M>),
}

const STEPS_PER_MOMENT_MAX: u32 = 100_000;

impl<H: Host> World<H> {
    /// An empty world. Everything that will happen in it follows from its seed and what is done to it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::sharing(seed, EXACT_MAX)
    }

    /// A world whose flows get exactly max-min fair rates where at most so many of them depend on each other.
    #[must_use]
    pub fn sharing(seed: u64, exact_max: usize) -> Self {
        Self {
            now: Instant::ZERO,
            dice: Dice::new(seed),
            hosts: Vec::new(),
            links: BTreeMap::new(),
            cuts: BTreeSet::new(),
            dark: BTreeSet::new(),
            net: Net::default(),
            pipes: Pipes::new(exact_max),
            flows: Table::default(),
            origins: Vec::new(),
            questions: BTreeMap::new(),
            next_question: 0,
            faults: BTreeMap::new(),
            discovery: Discovery::default(),
            residents: BTreeMap::new(),
            queue: Queue::default(),
            notices: VecDeque::new(),
            oracles: Vec::new(),
            steps: 0,
            look_at: 0,
            fingerprint: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// The present moment.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Chance for whoever builds the world.
    pub const fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// A site with its line.
    pub fn add_site(&mut self, spec: SiteSpec) -> SiteId {
        self.net.add_site(spec, &mut self.pipes)
    }

    /// A radio cell: all machines in it share so many bytes per second, both directions together.
    pub fn add_cell(&mut self, bytes_per_s: u64) -> CellId {
        self.net.add_cell(bytes_per_s, &mut self.pipes)
    }

    /// An origin.
    pub fn add_origin(&mut self, spec: OriginSpec) -> OriginId {
        let id = u32::try_from(self.origins.len()).unwrap_or(u32::MAX);
        let lane = self.pipes.add_lane(spec.rate_bytes_per_s);
        self.origins.push(Source { spec, lane, counts: OriginCounts::default() });
        OriginId(id)
    }

    /// How hosts that start from now on learn of each other.
    pub const fn set_discovery(&mut self, discovery: Discovery) {
        self.discovery = discovery;
    }

    /// Adds a host that starts at once, without a place: its lines are made with [`connect`](Self::connect).
    ///
    /// # Errors
    /// [`Trouble`] if it does not come to rest.
    pub fn add(&mut self, host: H) -> Result<HostId, Trouble> {
        let id = self.push_host(host, None);
        self.start(id);
        self.come_to_rest()?;
        Ok(id)
    }

    /// Adds a host with a place. It is off until [`Fault::Start`].
    pub fn seat(&mut self, host: H, seat: Seat) -> HostId {
        let attached = self.net.attach(seat, &mut self.pipes);
        self.push_host(host, Some(attached))
    }

    fn push_host(&mut self, host: H, attached: Option<Attached>) -> HostId {
        let id = HostId(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX));
        self.hosts.push(Place {
            host,
            power: Power::Off,
            attached,
            address: id.0,
            streams: BTreeSet::new(),
            dialling: BTreeSet::new(),
            flows: Vec::new(),
            traffic: Traffic::default(),
            missed: Vec::new(),
            wake: Instant::NEVER,
            wake_queued: Instant::NEVER,
            steps: (self.now, 0),
        });
        id
    }

    /// A line between two hosts, alike in both directions, with a stream on it. Both ends are told.
    ///
    /// # Errors
    /// [`Trouble`] if one of them does not come to rest.
    pub fn connect(&mut self, one: HostId, other: HostId, spec: LinkSpec) -> Result<(), Trouble> {
        for (from, to) in [(one, other), (other, one)] {
            self.links.entry((from, to)).or_insert_with(|| Link::new(spec));
        }
        self.open(one, other);
        self.come_to_rest()
    }

    /// Lets something happen at a moment; at once if that has passed.
    pub fn schedule(&mut self, at: Instant, fault: Fault) {
        let number = u32::try_from(self.faults.len()).unwrap_or(u32::MAX);
        let number = self.faults.last_key_value().map_or(number, |(last, _)| last + 1);
        self.faults.insert(number, fault);
        self.queue.push(at.max(self.now), Event::Fault(number));
    }

    /// Cuts every line between the two groups at a moment.
    pub fn schedule_partition(&mut self, at: Instant, some: &[HostId], others: &[HostId]) {
        for (one, other) in some.iter().flat_map(|one| others.iter().map(move |other| (*one, *other))) {
            self.schedule(at, Fault::Cut(one, other));
        }
    }

    /// Heals every line between the two groups at a moment.
    pub fn schedule_healing(&mut self, at: Instant, some: &[HostId], others: &[HostId]) {
        for (one, other) in some.iter().flat_map(|one| others.iter().map(move |other| (*one, *other))) {
            self.schedule(at, Fault::Heal(one, other));
        }
    }

    /// Runs until a moment, which is the present one then.
    ///
    /// # Errors
    /// [`Trouble`] if a host does not come to rest or an oracle finds something.
    pub fn run_until(&mut self, end: Instant) -> Result<(), Trouble> {
        while self.step(end)? {}
        self.now = self.now.max(end);
        self.check()
    }

    /// Runs until `done` holds, looking after every event; false if it does not before `end`.
    ///
    /// # Errors
    /// [`Trouble`] if a host does not come to rest or an oracle finds something.
    pub fn run_until_done(&mut self, end: Instant, done: impl Fn(&Self) -> bool) -> Result<bool, Trouble> {
        while !done(self) {
            if !self.step(end)? {
                self.now = self.now.max(end);
                self.check()?;
                return Ok(done(self));
            }
        }
        self.check()?;
        Ok(true)
    }

    /// How many hosts there are.
    #[must_use]
    pub fn host_count(&self) -> u32 {
        u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)
    }

    /// A host, to look at; `None` if there is no such host.
    #[must_use]
    pub fn host(&self, id: HostId) -> Option<&H> {
        Some(&self.place(id)?.host)
    }

    /// All hosts, in their order.
    pub fn hosts(&self) -> impl Iterator<Item = (HostId, &H)> {
        (0..).zip(&self.hosts).map(|(id, place)| (HostId(id), &place.host))
    }

    /// Whether a host runs now.
    #[must_use]
    pub fn is_on(&self, id: HostId) -> bool {
        self.place(id).is_some_and(|place| place.power == Power::On)
    }

    /// Gives a host a command, and does what it asks for then.
    ///
    /// # Errors
    /// [`Trouble`] if it does not come to rest.
    pub fn act<T>(
        &mut self,
        id: HostId,
        command: impl FnOnce(&mut H, Instant) -> T,
    ) -> Result<Option<T>, Trouble> {
        let now = self.now;
        let Some(place) = self.place_mut(id) else { return Ok(None) };
        let answer = command(&mut place.host, now);
        self.settle(id)?;
        self.come_to_rest()?;
        Ok(Some(answer))
    }

    /// What happened on the way from one host to another; all zero if there is no line.
    #[must_use]
    pub fn counts(&self, from: HostId, to: HostId) -> LinkCounts {
        self.links.get(&(from, to)).map(Link::counts).unwrap_or_default()
    }

    /// Messages on the way from one host to another.
    #[must_use]
    pub fn under_way(&self, from: HostId, to: HostId) -> usize {
        self.links.get(&(from, to)).map_or(0, Link::under_way)
    }

    /// A number made from every event so far: equal for equal runs.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Events that happened so far.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Does the next thing that happens by `end`; false if there is none.
    fn step(&mut self, end: Instant) -> Result<bool, Trouble> {
        let Some((at, event)) = self.queue.pop_by(end) else { return Ok(false) };
        self.now = self.now.max(at);
        self.steps += 1;
        match event {
            Event::Wake(id) => self.wake(id)?,
            Event::Arrival(from, to) => self.deliver(from, to)?,
            Event::Patience(from, to) => {
                if self.links.get(&(from, to)).is_some_and(|link| link.is_broken(self.now)) {
                    self.close(from, to);
                }
            }
            Event::Flow { slot, generation } => self.flow_due(slot, generation),
            Event::FlowPatience { slot, generation } => self.flow_patience(slot, generation),
            Event::Answer(number) => self.answer(number),
            Event::Dialled(from, to) => self.dialled(from, to),
            Event::Sight(to, of) => self.sight(to, of)?,
            Event::Fault(number) => {
                if let Some(fault) = self.faults.remove(&number) {
                    self.apply(fault)?;
                }
            }
        }
        self.come_to_rest()?;
        self.watch()?;
        Ok(true)
    }

    fn wake(&mut self, id: HostId) -> Result<(), Trouble> {
        let now = self.now;
        let Some(place) = self.place_mut(id) else { return Ok(()) };
        if place.wake_queued <= now {
            place.wake_queued = Instant::NEVER;
        }
        if place.power != Power::On {
            return Ok(());
        }
        if place.wake > now {
            self.queue_wake(id);
            return Ok(());
        }
        place.wake = Instant::NEVER;
        place.host.handle_timeout(now);
        self.note(1, u64::from(id.0), 0);
        self.settle(id)
    }

    fn queue_wake(&mut self, id: HostId) {
        let Some(place) = self.place_mut(id) else { return };
        if place.wake < place.wake_queued {
            place.wake_queued = place.wake;
            let at = place.wake.max(self.now);
            self.queue.push(at, Event::Wake(id));
        }
    }

    fn deliver(&mut self, from: HostId, to: HostId) -> Result<(), Trouble> {
        let now = self.now;
        while let Some(message) = self.links.get_mut(&(from, to)).and_then(|link| link.pop_arrived(now)) {
            self.note(2, u64::from(from.0), u64::from(to.0));
            let Some(place) = self.place_mut(to).filter(|place| place.power == Power::On) else {
                return Ok(());
            };
            place.host.handle_message(from, message, now);
            self.settle(to)?;
        }
        Ok(())
    }

    /// Tells hosts what concerns them until nothing is left to tell.
    fn come_to_rest(&mut self) -> Result<(), Trouble> {
        while let Some((id, notice)) = self.notices.pop_front() {
            let now = self.now;
            match self.place_mut(id) {
                Some(place) if place.power == Power::On => {}
                Some(place) if place.power == Power::Asleep => {
                    place.missed.push(notice);
                    continue;
                }
                Some(_) | None => continue,
            }
            let neighbour = match &notice {
                Notice::Connected(peer) => Some(self.neighbour(id, *peer)),
                _ => None,
            };
            let Some(place) = self.place_mut(id) else { continue };
            match (notice, neighbour) {
                (Notice::Connected(_), Some(neighbour)) => place.host.handle_connected(neighbour, now),
                (Notice::Start, _) => place.host.handle_start(now),
                (Notice::Lost(peer), _) => place.host.handle_lost(peer, now),
                (Notice::Answer(number, answer), _) => place.host.handle_answer(number, answer, now),
                (Notice::Flow(event), _) => place.host.handle_flow(event, now),
                (Notice::Connected(_), None) => {}
            }
            self.settle(id)?;
        }
        Ok(())
    }

    fn neighbour(&self, of: HostId, id: HostId) -> Neighbour {
        let site = |id| self.place(id).and_then(|place| place.attached).map(|attached| attached.seat.site);
        let address = self.place(id).map_or(id.0, |place| place.address);
        Neighbour { id, address, is_near: site(of) == site(id) }
    }

    /// Polls a host until it waits.
    fn settle(&mut self, id: HostId) -> Result<(), Trouble> {
        loop {
            let now = self.now;
            let Some(place) = self.place_mut(id).filter(|place| place.power == Power::On) else {
                return Ok(());
            };
            let steps = if place.steps.0 == now { place.steps.1 + 1 } else { 1 };
            place.steps = (now, steps);
            if steps > STEPS_PER_MOMENT_MAX {
                return Err(Trouble::Spinning { host: id, at: now });
            }
            match place.host.poll_output() {
                HostOutput::Send { to, message, len } => self.send(id, to, message, len),
                HostOutput::Connect(to) => self.dial(id, to),
                HostOutput::Disconnect(peer) => self.close(id, peer),
                HostOutput::Ask { origin, number } => self.ask(id, origin, number),
                HostOutput::Pull { origin, number, spec } => self.pull(id, origin, number, spec),
                HostOutput::Push { to, number, label, spec } => self.push(id, to, number, label, spec),
                HostOutput::Mark { flow, at } => self.mark_flow(flow, at),
                HostOutput::Trim { flow, len } => self.trim_flow(flow, len),
                HostOutput::Cancel(flow) => self.cancel_flow(flow),
                HostOutput::WaitUntil(at) => {
                    place.wake = at;
                    self.queue_wake(id);
                    return Ok(());
                }
            }
        }
    }

    /// What is sent where no stream is gets lost: its sender was told, or will be.
    fn send(&mut self, from: HostId, to: HostId, message: H::Message, len: u32) {
        if !self.is_connected(from, to) {
            return;
        }
        let Some(link) = self.links.get_mut(&(from, to)) else { return };
        let arrival = link.send(message, len, self.now, &mut self.dice);
        self.queue.push(arrival, Event::Arrival(from, to));
    }

    /// Mixes something that happens into the fingerprint (FNV-1a, by words).
    fn note(&mut self, what: u64, one: u64, other: u64) {
        for word in [self.now.as_micros(), what << 56 | one, other] {
            self.fingerprint = (self.fingerprint ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
    }

    fn place(&self, id: HostId) -> Option<&Place<H>> {
        self.hosts.get(place(id.0))
    }

    fn place_mut(&mut self, id: HostId) -> Option<&mut Place<H>> {
        self.hosts.get_mut(place(id.0))
    }
}

impl<H: Host> fmt::Debug for World<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut world = f.debug_struct("World");
        world.field("now", &self.now).field("hosts", &self.hosts.len()).field("steps", &self.steps);
        world.finish_non_exhaustive()
    }
}
