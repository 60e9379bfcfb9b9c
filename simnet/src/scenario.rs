//! Worlds that come up again and again: a LAN, a branch office, several offices, arrivals one by one, churn.
//!
//! Knows: how many machines sit where, when they start and stop. Does not know: what they do.

use std::ops::Range;
use std::time::Duration;

use peer_proto::time::Instant;

use crate::dice::Dice;
use crate::host::{Crash, Discovery, Host, HostId};
use crate::net::{Seat, SiteId, SiteSpec, Wan, mbit};
use crate::origin::{OriginId, OriginSpec};
use crate::world::{Fault, World};

/// Machines that crash, and perhaps come back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Churn {
    /// How many of a million machines crash.
    pub per_million: u32,
    /// How they crash.
    pub crash: Crash,
    /// When, drawn evenly.
    pub during: Range<Instant>,
    /// After how long they start again; never if absent.
    pub back_after: Option<Duration>,
}

/// Machines of some sites and their lines, with one origin. Nothing exists until [`build`](Self::build).
///
/// ```
/// use std::time::Duration;
/// use simnet::{Scenario, Wan};
///
/// let office = Scenario::branch_office(50, Wan::mbit(100)).staggered(Duration::from_secs(1));
/// assert_eq!(office.machine_count(), 50);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    sites: Vec<(SiteSpec, u32)>,
    port_bytes_per_s: u64,
    every: Duration,
    spread: Duration,
    churn: Option<Churn>,
    radio: Option<(u32, u64)>,
    origin: OriginSpec,
    discovery: Discovery,
    exact_max: usize,
}

/// A built scenario.
#[derive(Debug)]
pub struct Stage<H: Host> {
    /// The world, at its first moment.
    pub world: World<H>,
    /// Its sites.
    pub sites: Vec<SiteId>,
    /// Its machines, site by site.
    pub hosts: Vec<HostId>,
    /// When each of them starts first, in the same order.
    pub starts: Vec<Instant>,
    /// Where files come from.
    pub origin: OriginId,
    /// Machines that will crash and not come back.
    pub lost: Vec<HostId>,
}

impl Scenario {
    /// So many machines on one switch with 1 Gbit/s ports, behind a line as fast as a port.
    #[must_use]
    pub fn lan(machines: u32) -> Self {
        Self::branch_office(machines, Wan::mbit(1_000))
    }

    /// So many machines on one switch with 1 Gbit/s ports, behind a line.
    #[must_use]
    pub fn branch_office(machines: u32, wan: Wan) -> Self {
        Self::offices(1, machines, wan)
    }

    /// Several branch offices alike.
    #[must_use]
    pub fn offices(offices: u32, machines: u32, wan: Wan) -> Self {
        Self::sites((0..offices).map(|_| (SiteSpec::behind(wan), machines)).collect())
    }

    /// Sites that differ, each with its machines.
    #[must_use]
    pub fn sites(sites: Vec<(SiteSpec, u32)>) -> Self {
        Self {
            sites,
            port_bytes_per_s: mbit(1_000),
            every: Duration::ZERO,
            spread: Duration::ZERO,
            churn: None,
            radio: None,
            origin: OriginSpec::default(),
            discovery: Discovery::default(),
            exact_max: crate::fair::EXACT_MAX,
        }
    }

    /// Machines start one after the other, so far apart, instead of all at once.
    #[must_use]
    pub const fn staggered(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Each machine starts up to so much later than it would, drawn evenly.
    #[must_use]
    pub const fn spread(mut self, over: Duration) -> Self {
        self.spread = over;
        self
    }

    /// Some machines crash.
    #[must_use]
    pub fn churn(mut self, churn: Churn) -> Self {
        self.churn = Some(churn);
        self
    }

    /// No machine crashes.
    #[must_use]
    pub fn without_churn(mut self) -> Self {
        self.churn = None;
        self
    }

    /// So many of a million machines of each site share one radio cell of so many bytes per second.
    #[must_use]
    pub const fn wireless(mut self, per_million: u32, cell_bytes_per_s: u64) -> Self {
        self.radio = Some((per_million, cell_bytes_per_s));
        self
    }

    /// Another origin.
    #[must_use]
    pub const fn origin(mut self, origin: OriginSpec) -> Self {
        self.origin = origin;
        self
    }

    /// Other ports.
    #[must_use]
    pub const fn port(mut self, bytes_per_s: u64) -> Self {
        self.port_bytes_per_s = bytes_per_s;
        self
    }

    /// Other sites: what lies between their machines and before them.
    #[must_use]
    pub fn site(mut self, spec: SiteSpec) -> Self {
        self.sites.iter_mut().for_each(|(known, _)| *known = spec);
        self
    }

    /// Another way to learn of each other.
    #[must_use]
    pub const fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// Rates are exactly fair where at most so many flows depend on each other.
    #[must_use]
    pub const fn exact_up_to(mut self, flows: usize) -> Self {
        self.exact_max = flows;
        self
    }

    /// Machines of all sites.
    #[must_use]
    pub fn machine_count(&self) -> u32 {
        self.sites.iter().map(|(_, machines)| machines).sum()
    }

    /// Lines of all sites, in their order.
    pub fn lines(&self) -> impl Iterator<Item = Wan> {
        self.sites.iter().map(|(spec, _)| spec.wan)
    }

    /// Makes the world: `machine` makes each host, from its number and with chance of its own.
    pub fn build<H: Host>(self, seed: u64, mut machine: impl FnMut(HostId, &mut Dice) -> H) -> Stage<H> {
        let mut world = World::sharing(seed, self.exact_max);
        world.set_discovery(self.discovery);
        let origin = world.add_origin(self.origin);
        let (mut sites, mut hosts, mut lost) = (Vec::new(), Vec::new(), Vec::new());
        let (mut at, mut starts) = (Instant::ZERO, Vec::new());
        for (spec, machines) in &self.sites {
            let site = world.add_site(*spec);
            let cell = self.radio.map(|(_, rate)| world.add_cell(rate));
            sites.push(site);
            for _ in 0..*machines {
                let mut dice = Dice::new(world.dice().roll());
                let host = machine(HostId(world.host_count()), &mut dice);
                let wireless = self.radio.is_some_and(|(share, _)| dice.chance(share));
                let seat = Seat {
                    site,
                    port_bytes_per_s: self.port_bytes_per_s,
                    cell: if wireless { cell } else { None },
                };
                let id = world.seat(host, seat);
                let start = at.after(drawn(self.spread, &mut dice));
                world.schedule(start, Fault::Start(id));
                starts.push(start);
                at = at.after(self.every);
                if let Some(churn) = &self.churn
                    && dice.chance(churn.per_million)
                {
                    crash(&mut world, id, churn, &mut dice);
                    lost.extend(churn.back_after.is_none().then_some(id));
                }
                hosts.push(id);
            }
        }
        Stage { world, sites, hosts, starts, origin, lost }
    }
}

/// A moment within a span; the first one of none.
fn drawn(span: Duration, dice: &mut Dice) -> Duration {
    match u64::try_from(span.as_micros()).unwrap_or(u64::MAX) {
        0 => Duration::ZERO,
        micros => Duration::from_micros(dice.below(micros)),
    }
}

fn crash<H: Host>(world: &mut World<H>, id: HostId, churn: &Churn, dice: &mut Dice) {
    let at = churn.during.start.after(drawn(churn.during.end.since(churn.during.start), dice));
    world.schedule(at, Fault::Crash(id, churn.crash));
    if let Some(pause) = churn.back_after {
        world.schedule(at.after(pause), Fault::Start(id));
    }
}
