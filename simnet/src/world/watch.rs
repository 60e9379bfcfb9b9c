//! What must always hold in a world, whatever its hosts do; and what of theirs must hold.
//!
//! Knows: bytes that are received were sent; no line carries more than it can; what may move moves and is looked at
//! again; nothing grows without bound. Does not know: what hosts promise (oracles are handed in for that).

use peer_proto::time::Instant;

use super::{Power, Trouble, World, place};
use crate::flow::Giver;
use crate::host::{Host, HostId};
use crate::origin::{OriginCounts, OriginId};

/// Flows of one host at a time; a host beyond it is broken.
const FLOWS_PER_HOST_MAX: usize = 4_096;
/// Streams of one host at a time.
const STREAMS_PER_HOST_MAX: usize = 1_024;
/// A world with up to so many flows is looked at after every step; a larger one after so many steps, and after more in
/// one with many hosts and flows, so that looking costs no more than living.
const FLOWS_LOOKED_AT_EACH_STEP: usize = 32;
const LOOK_EVERY: u64 = 4_096;
const STEPS_FOR_EACH_LOOKED_AT: u64 = 8;

/// Bulk bytes of one host.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// To other hosts.
    pub sent: u64,
    /// From other hosts.
    pub from_hosts: u64,
    /// From origins.
    pub from_origins: u64,
}

/// Something that must hold of the hosts of a world.
pub struct Oracle<H: Host> {
    /// Its name, for the report.
    pub name: &'static str,
    /// Says what is wrong, if anything is.
    #[expect(clippy::type_complexity, reason = "a boxed question about the world is what it is")]
    pub check: Box<dyn FnMut(&World<H>) -> Result<(), String>>,
}

impl<H: Host> World<H> {
    /// Lets an oracle look after every step (in a world with many flows: now and then, and at the end of every run).
    pub fn add_oracle(&mut self, oracle: Oracle<H>) {
        self.oracles.push(oracle);
    }

    /// What a host gave and got so far.
    #[must_use]
    pub fn traffic(&self, id: HostId) -> Traffic {
        self.place(id).map(|place| place.traffic).unwrap_or_default()
    }

    /// What an origin gave so far.
    #[must_use]
    pub fn origin_counts(&self, id: OriginId) -> OriginCounts {
        self.origins.get(place(id.0)).map(|source| source.counts).unwrap_or_default()
    }

    /// Bulk bytes that came over a site's line into it, and went out of it.
    #[must_use]
    pub fn wan_bytes(&self, site: crate::net::SiteId) -> (u64, u64) {
        let lanes = self.net.wan_lanes(site);
        lanes.map_or((0, 0), |(down, up)| {
            (self.pipes.carried(down, self.now), self.pipes.carried(up, self.now))
        })
    }

    pub(super) fn watch(&mut self) -> Result<(), Trouble> {
        if self.flows.len() <= FLOWS_LOOKED_AT_EACH_STEP || self.steps >= self.look_at {
            let all = u64::try_from(self.hosts.len() + self.flows.len()).unwrap_or(u64::MAX);
            let pause = LOOK_EVERY.max(all.saturating_mul(STEPS_FOR_EACH_LOOKED_AT));
            self.look_at = self.steps.saturating_add(pause);
            self.check()?;
        }
        Ok(())
    }

    /// Lets every oracle look now.
    ///
    /// # Errors
    /// [`Trouble::Broken`] with what the first of them found.
    pub fn check(&mut self) -> Result<(), Trouble> {
        let at = self.now;
        let broken = |oracle: &'static str| move |what: String| Trouble::Broken { oracle, what, at };
        self.pipes.check().map_err(broken("bottlenecks"))?;
        self.check_bytes().map_err(broken("conservation"))?;
        self.check_liveness().map_err(broken("liveness"))?;
        self.check_bounds().map_err(broken("bounds"))?;
        let mut oracles = std::mem::take(&mut self.oracles);
        let outcome =
            oracles.iter_mut().try_for_each(|oracle| (oracle.check)(self).map_err(broken(oracle.name)));
        oracles.append(&mut self.oracles);
        self.oracles = oracles;
        outcome
    }

    fn check_bytes(&self) -> Result<(), String> {
        let mut flying = 0;
        for flow in self.flows.iter() {
            if flow.told > flow.charged || flow.charged > flow.len {
                let (told, charged, len) = (flow.told, flow.charged, flow.len);
                return Err(format!("{:?}: told {told} of {charged} sent of {len}", flow.id));
            }
            flying += flow.charged - flow.told;
        }
        let sent: u64 = self.hosts.iter().map(|place| place.traffic.sent).sum();
        let given: u64 = self.origins.iter().map(|source| source.counts.bytes).sum();
        let traffics = self.hosts.iter().map(|place| place.traffic);
        let received: u64 = traffics.map(|traffic| traffic.from_hosts + traffic.from_origins).sum();
        if sent + given != received + flying {
            return Err(format!("{sent} and {given} were sent, {received} received, {flying} are under way"));
        }
        Ok(())
    }

    fn check_liveness(&self) -> Result<(), String> {
        for flow in self.flows.iter() {
            let waits = flow.is_open && flow.blocked_since.is_some();
            let between_hosts = matches!(flow.from, Giver::Host(_));
            if flow.event_at == Instant::NEVER && !waits && !(between_hosts && flow.rate == 0) {
                return Err(format!("{:?} will never be looked at again", flow.id));
            }
        }
        for (id, place) in (0_u32..).zip(&self.hosts) {
            if place.power == Power::On
                && place.wake != Instant::NEVER
                && place.wake_queued > place.wake.max(self.now)
            {
                return Err(format!("host {id} waits for {:?} and will not be woken", place.wake));
            }
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), String> {
        for (id, place) in (0_u32..).zip(&self.hosts) {
            let (flows, streams) = (place.flows.len(), place.streams.len());
            if flows > FLOWS_PER_HOST_MAX || streams > STREAMS_PER_HOST_MAX {
                return Err(format!("host {id} has {flows} flows and {streams} streams"));
            }
        }
        Ok(())
    }
}
