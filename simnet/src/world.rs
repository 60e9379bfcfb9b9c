//! The order of everything: hosts, links between them, faults, and the moment each thing happens.
//!
//! Knows: one queue of events by time, and by the order they were made within one moment. Does not know: what hosts
//! are or say.

use std::collections::{BTreeMap, BTreeSet};

use peer_proto::time::Instant;

use crate::dice::Dice;
use crate::host::{Host, HostId, HostOutput};
use crate::link::{Link, LinkCounts, LinkSpec};

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
}

/// A host that does not come to rest: it asked for more and more without time moving on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spinning {
    /// Which host.
    pub host: HostId,
    /// When.
    pub at: Instant,
}

/// Hosts, links, and virtual time.
#[derive(Debug)]
pub struct World<H: Host> {
    now: Instant,
    dice: Dice,
    hosts: Vec<Place<H>>,
    links: BTreeMap<(HostId, HostId), Link<H::Message>>,
    /// Pairs with a stream, lower id first.
    streams: BTreeSet<(HostId, HostId)>,
    queue: BTreeMap<(Instant, u64), Event>,
    next_event: u64,
    fingerprint: u64,
}

#[derive(Debug)]
struct Place<H> {
    host: H,
    wake: Instant,
    /// Steps in the present moment.
    steps: (Instant, u32),
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Wake(HostId),
    Arrival(HostId, HostId),
    Patience(HostId, HostId),
    Fault(Fault),
}

const STEPS_PER_MOMENT_MAX: u32 = 100_000;

impl<H: Host> World<H> {
    /// An empty world. Everything that will happen in it follows from its seed and what is done to it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            dice: Dice::new(seed),
            hosts: Vec::new(),
            links: BTreeMap::new(),
            streams: BTreeSet::new(),
            queue: BTreeMap::new(),
            next_event: 0,
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

    /// Adds a host.
    ///
    /// # Errors
    /// [`Spinning`] if it does not come to rest.
    pub fn add(&mut self, host: H) -> Result<HostId, Spinning> {
        let id = HostId(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX));
        self.hosts.push(Place { host, wake: Instant::NEVER, steps: (self.now, 0) });
        self.settle(id)?;
        Ok(id)
    }

    /// A line between two hosts, alike in both directions, with a stream on it. Both ends are told.
    ///
    /// # Errors
    /// [`Spinning`] if one of them does not come to rest.
    pub fn connect(&mut self, one: HostId, other: HostId, spec: LinkSpec) -> Result<(), Spinning> {
        for (from, to) in [(one, other), (other, one)] {
            self.links.entry((from, to)).or_insert_with(|| Link::new(spec));
        }
        self.open(one, other)
    }

    /// Lets something happen at a moment; at once if that has passed.
    pub fn schedule(&mut self, at: Instant, fault: Fault) {
        self.push(at, Event::Fault(fault));
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
    /// [`Spinning`] if a host does not come to rest.
    pub fn run_until(&mut self, end: Instant) -> Result<(), Spinning> {
        while self.step(end)? {}
        self.now = self.now.max(end);
        Ok(())
    }

    /// Runs until `done` holds, looking after every event; false if it does not before `end`.
    ///
    /// # Errors
    /// [`Spinning`] if a host does not come to rest.
    pub fn run_until_done(&mut self, end: Instant, done: impl Fn(&Self) -> bool) -> Result<bool, Spinning> {
        while !done(self) {
            if !self.step(end)? {
                self.now = self.now.max(end);
                return Ok(done(self));
            }
        }
        Ok(true)
    }

    /// A host, to look at; `None` if there is no such host.
    #[must_use]
    pub fn host(&self, id: HostId) -> Option<&H> {
        Some(&self.place(id)?.host)
    }

    /// Gives a host a command, and does what it asks for then.
    ///
    /// # Errors
    /// [`Spinning`] if it does not come to rest.
    pub fn act<T>(
        &mut self,
        id: HostId,
        command: impl FnOnce(&mut H, Instant) -> T,
    ) -> Result<Option<T>, Spinning> {
        let now = self.now;
        let Some(place) = self.place_mut(id) else { return Ok(None) };
        let answer = command(&mut place.host, now);
        self.settle(id)?;
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

    /// Does the next thing that happens by `end`; false if there is none.
    fn step(&mut self, end: Instant) -> Result<bool, Spinning> {
        let Some(next) = self.queue.first_entry() else { return Ok(false) };
        let (at, _) = *next.key();
        if at > end {
            return Ok(false);
        }
        let event = next.remove();
        self.now = self.now.max(at);
        match event {
            Event::Wake(id) => self.wake(id)?,
            Event::Arrival(from, to) => self.deliver(from, to)?,
            Event::Patience(from, to) => {
                if self.links.get(&(from, to)).is_some_and(|link| link.is_broken(self.now)) {
                    self.close(from, to)?;
                }
            }
            Event::Fault(fault) => self.apply(fault)?,
        }
        Ok(true)
    }

    fn wake(&mut self, id: HostId) -> Result<(), Spinning> {
        let now = self.now;
        let Some(place) = self.place_mut(id).filter(|place| place.wake <= now) else { return Ok(()) };
        place.wake = Instant::NEVER;
        place.host.handle_timeout(now);
        self.note(1, id, id);
        self.settle(id)
    }

    fn deliver(&mut self, from: HostId, to: HostId) -> Result<(), Spinning> {
        let now = self.now;
        while let Some(message) = self.links.get_mut(&(from, to)).and_then(|link| link.pop_arrived(now)) {
            self.note(2, from, to);
            let Some(place) = self.place_mut(to) else { return Ok(()) };
            place.host.handle_message(from, message, now);
            self.settle(to)?;
        }
        Ok(())
    }

    fn apply(&mut self, fault: Fault) -> Result<(), Spinning> {
        match fault {
            Fault::Cut(one, other) => {
                self.cut(one, other);
                self.cut(other, one);
            }
            Fault::CutOneWay(from, to) => self.cut(from, to),
            Fault::Heal(one, other) => {
                self.heal(one, other);
                self.heal(other, one);
            }
            Fault::Break(one, other) => self.close(one, other)?,
            Fault::Connect(one, other) => {
                let cut = [(one, other), (other, one)]
                    .iter()
                    .any(|way| self.links.get(way).is_none_or(Link::is_cut));
                if !cut && !self.streams.contains(&in_order(one, other)) {
                    self.open(one, other)?;
                }
            }
        }
        Ok(())
    }

    fn cut(&mut self, from: HostId, to: HostId) {
        let now = self.now;
        if let Some(link) = self.links.get_mut(&(from, to)) {
            let patience = link.cut(now);
            self.note(3, from, to);
            self.push(patience, Event::Patience(from, to));
        }
    }

    fn heal(&mut self, from: HostId, to: HostId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&(from, to)) else { return };
        let arrivals = link.heal(now, &mut self.dice);
        self.note(4, from, to);
        for arrival in arrivals {
            self.push(arrival, Event::Arrival(from, to));
        }
    }

    fn open(&mut self, one: HostId, other: HostId) -> Result<(), Spinning> {
        self.streams.insert(in_order(one, other));
        self.tell(one, other, 5, |host, peer, now| host.handle_connected(peer, now))
    }

    fn close(&mut self, one: HostId, other: HostId) -> Result<(), Spinning> {
        if !self.streams.remove(&in_order(one, other)) {
            return Ok(());
        }
        for way in [(one, other), (other, one)] {
            if let Some(link) = self.links.get_mut(&way) {
                link.reset(self.now);
            }
        }
        self.tell(one, other, 6, |host, peer, now| host.handle_lost(peer, now))
    }

    fn tell(
        &mut self,
        one: HostId,
        other: HostId,
        what: u64,
        fact: impl Fn(&mut H, HostId, Instant),
    ) -> Result<(), Spinning> {
        for (id, peer) in [(one, other), (other, one)] {
            self.note(what, id, peer);
            let now = self.now;
            if let Some(place) = self.place_mut(id) {
                fact(&mut place.host, peer, now);
                self.settle(id)?;
            }
        }
        Ok(())
    }

    /// Polls a host until it waits.
    fn settle(&mut self, id: HostId) -> Result<(), Spinning> {
        loop {
            let now = self.now;
            let Some(place) = self.place_mut(id) else { return Ok(()) };
            let steps = if place.steps.0 == now { place.steps.1 + 1 } else { 1 };
            place.steps = (now, steps);
            if steps > STEPS_PER_MOMENT_MAX {
                return Err(Spinning { host: id, at: now });
            }
            match place.host.poll_output() {
                HostOutput::Send { to, message, len } => self.send(id, to, message, len),
                HostOutput::WaitUntil(at) => {
                    place.wake = at;
                    if at != Instant::NEVER {
                        self.push(at, Event::Wake(id));
                    }
                    return Ok(());
                }
            }
        }
    }

    /// What is sent where no stream is gets lost: its sender was told, or will be.
    fn send(&mut self, from: HostId, to: HostId, message: H::Message, len: u32) {
        if !self.streams.contains(&in_order(from, to)) {
            return;
        }
        let Some(link) = self.links.get_mut(&(from, to)) else { return };
        let arrival = link.send(message, len, self.now, &mut self.dice);
        self.push(arrival, Event::Arrival(from, to));
    }

    fn push(&mut self, at: Instant, event: Event) {
        self.queue.insert((at.max(self.now), self.next_event), event);
        self.next_event += 1;
    }

    /// FNV-1a over what happens.
    fn note(&mut self, what: u64, one: HostId, other: HostId) {
        for word in [self.now.as_micros(), what, u64::from(one.0), u64::from(other.0)] {
            for byte in word.to_le_bytes() {
                self.fingerprint = (self.fingerprint ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }

    fn place(&self, id: HostId) -> Option<&Place<H>> {
        self.hosts.get(usize::try_from(id.0).ok()?)
    }

    fn place_mut(&mut self, id: HostId) -> Option<&mut Place<H>> {
        self.hosts.get_mut(usize::try_from(id.0).ok()?)
    }
}

fn in_order(one: HostId, other: HostId) -> (HostId, HostId) {
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Says "ping" back as often as it is told, or never stops talking.
    struct Echo {
        left: u32,
        out: Vec<HostId>,
        wake: Instant,
        heard: Vec<Instant>,
    }

    fn echo(left: u32) -> Echo {
        Echo { left, out: Vec::new(), wake: Instant::NEVER, heard: Vec::new() }
    }

    impl Host for Echo {
        type Message = ();

        fn handle_connected(&mut self, peer: HostId, _now: Instant) {
            if self.left > 0 {
                self.out.push(peer);
            }
        }

        fn handle_message(&mut self, from: HostId, (): (), now: Instant) {
            self.heard.push(now);
            if self.left > 0 {
                self.left -= 1;
                self.out.push(from);
            }
        }

        fn handle_lost(&mut self, _peer: HostId, _now: Instant) {}

        fn handle_timeout(&mut self, _now: Instant) {}

        fn poll_output(&mut self) -> HostOutput<()> {
            match self.out.pop() {
                Some(to) => HostOutput::Send { to, message: (), len: 100 },
                None => HostOutput::WaitUntil(self.wake),
            }
        }
    }

    fn no_limit() -> LinkSpec {
        LinkSpec { rate_bytes_per_s: 0, delay: Duration::from_millis(1), ..LinkSpec::default() }
    }

    #[test]
    fn messages_take_the_time_of_their_line() {
        let mut world = World::new(1);
        let one = world.add(echo(3)).unwrap();
        let other = world.add(echo(0)).unwrap();
        world.connect(one, other, no_limit()).unwrap();
        world.run_until(Instant::from_micros(10_000)).unwrap();
        assert_eq!(world.host(other).unwrap().heard, [Instant::from_micros(1_000)]);
        assert_eq!(world.counts(one, other).arrived, 1);
        assert_eq!(world.now(), Instant::from_micros(10_000));
        assert_eq!(world.act(one, |host, _| host.heard.len()), Ok(Some(0)));
    }

    #[test]
    fn a_host_that_never_rests_is_found() {
        let mut world = World::new(1);
        let mut busy = echo(0);
        busy.wake = Instant::ZERO;
        assert!(world.add(busy).is_ok());
        let spinning = world.run_until(Instant::from_micros(1));
        assert_eq!(spinning, Err(Spinning { host: HostId(0), at: Instant::ZERO }));
    }

    #[test]
    fn what_is_sent_where_no_stream_is_gets_lost() {
        let mut world = World::new(1);
        let one = world.add(echo(9)).unwrap();
        let other = world.add(echo(9)).unwrap();
        world.schedule(Instant::ZERO, Fault::Break(one, other));
        world.connect(one, other, no_limit()).unwrap();
        world.act(one, |host, _| host.out.push(HostId(7))).unwrap();
        world.run_until(Instant::from_micros(5_000)).unwrap();
        assert_eq!(world.host(other).unwrap().heard, []);
        assert_eq!((world.under_way(one, other), world.counts(one, other).dropped), (0, 1));
        assert!(world.host(HostId(7)).is_none());
    }
}
