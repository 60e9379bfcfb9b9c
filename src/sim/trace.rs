//! How far everything was at many moments of a run.
//!
//! Knows: what is written down at each moment, and that there are never too many of them. Does not know: how it is
//! drawn.

use std::ops::ControlFlow;
use std::time::Duration;

use peer_proto::content::Geometry;
use peer_proto::time::Instant;
use simnet::{HostId, Stage};

use super::content::TRUTH;
use super::life::Watch;
use super::machine::Machine;
use super::node::Node;

/// How far everything is at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Bytes that came over the line of each office so far.
    pub wan: Vec<u64>,
    /// Bytes that honest machines got from the origin so far ...
    pub from_origin: u64,
    /// ... and from others.
    pub from_peers: u64,
    /// How much of the file each machine of the trace has, in ten-thousandths.
    pub held: Vec<u16>,
}

/// Samples of a run at equal steps of virtual time, 512 at most: where there would be more, every second one goes and
/// the steps are twice as long. The last one is of the run's last moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    step: Duration,
    next: Instant,
    machines: Vec<HostId>,
    samples: Vec<Sample>,
}

/// Samples kept at most, but for the last one.
const SAMPLES_MAX: usize = 512;
const FIRST_STEP: Duration = Duration::from_millis(5);
/// All of the file, in ten-thousandths.
pub(super) const ALL: u16 = 10_000;

impl Trace {
    /// A trace of a run that has not begun.
    #[must_use]
    pub const fn new() -> Self {
        Self { step: FIRST_STEP, next: Instant::ZERO, machines: Vec::new(), samples: Vec::new() }
    }

    /// The machines it follows: each honest one that wants the file.
    #[must_use]
    pub fn machines(&self) -> &[HostId] {
        &self.machines
    }

    /// What was written down.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    fn sample(&self, stage: &Stage<Machine>) -> Sample {
        let world = &stage.world;
        let nodes = world.hosts().filter(|(_, machine)| machine.node().is_some());
        let traffic: Vec<_> = nodes.map(|(host, _)| world.traffic(host)).collect();
        Sample {
            at: world.now(),
            wan: stage.sites.iter().map(|site| world.wan_bytes(*site).0).collect(),
            from_origin: traffic.iter().map(|traffic| traffic.from_origins).sum(),
            from_peers: traffic.iter().map(|traffic| traffic.from_hosts).sum(),
            held: self
                .machines
                .iter()
                .map(|host| world.host(*host).and_then(Machine::node).map_or(0, held))
                .collect(),
        }
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch for Trace {
    fn next(&self) -> Instant {
        self.next
    }

    fn look(&mut self, stage: &Stage<Machine>) -> ControlFlow<()> {
        if self.samples.is_empty() {
            let wants =
                |machine: &Machine| machine.node().is_some_and(|node| node.spec.wants_after.is_some());
            let wanting = stage.world.hosts().filter(|(_, machine)| wants(machine));
            self.machines = wanting.map(|(host, _)| host).collect();
        }
        if self.samples.len() == SAMPLES_MAX {
            let mut is_kept = false;
            self.samples.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.step *= 2;
        }
        self.samples.push(self.sample(stage));
        self.next = stage.world.now().after(self.step);
        ControlFlow::Continue(())
    }

    fn end(&mut self, stage: &Stage<Machine>) {
        if self.samples.last().is_none_or(|last| last.at < stage.world.now()) {
            self.samples.push(self.sample(stage));
        }
    }
}

/// How much of the file a node has.
fn held(node: &Node) -> u16 {
    // Between its delivery and the word that it is done a file has no part any more.
    let is_in = || node.job().is_some_and(|job| job.files_transferred > 0);
    if node.tally.done.is_some() || (node.parts.is_empty() && is_in()) {
        return ALL;
    }
    let len = node.spec.library.list(TRUTH).content().len;
    let count = Geometry::of(len).map_or(0, |cut| cut.piece_count());
    let held = node.parts.values().map(|part| part.disk.held()).max().unwrap_or(0);
    let parts = u64::from(held.min(count)) * u64::from(ALL);
    parts.checked_div(u64::from(count)).and_then(|parts| u16::try_from(parts).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use simnet::{Scenario, Wan};

    use super::*;
    use crate::sim::Swarm;

    fn traced(machines: u32, mib: u64) -> (Trace, crate::sim::Outcome) {
        let wish = Swarm::of(Scenario::branch_office(machines, Wan::mbit(20)), mib << 20).unwrap();
        let mut trace = Trace::new();
        let outcome = wish.run_watched(1, &mut trace).unwrap();
        assert_eq!(outcome, wish.run(1).unwrap(), "who looks on changes nothing");
        (trace, outcome)
    }

    #[test]
    fn a_trace_ends_with_what_came_of_it() {
        let (trace, outcome) = traced(3, 4);
        let (first, last) = (trace.samples().first().unwrap(), trace.samples().last().unwrap());
        assert_eq!((first.at, first.from_origin, &first.held[..]), (Instant::ZERO, 0, &[0, 0, 0][..]));
        assert_eq!((last.at, &last.wan[..]), (outcome.ended, &[outcome.lines[0].0][..]));
        assert_eq!(last.from_origin, outcome.origin_bytes);
        assert_eq!(last.held, [ALL; 3]);
        assert!(
            trace.samples().is_sorted_by(|one, next| one
                .held
                .iter()
                .zip(&next.held)
                .all(|(one, next)| one <= next))
        );
        assert!(
            trace.samples().is_sorted_by(|one, next| one.at < next.at && one.from_peers <= next.from_peers)
        );
    }

    #[test]
    fn however_long_a_run_is_its_samples_are_few_and_far_enough() {
        let (trace, outcome) = traced(1, 64);
        assert!(
            outcome.ended > Instant::from_micros(20_000_000),
            "long enough for many more: {:?}",
            outcome.ended
        );
        let samples = trace.samples();
        assert!((SAMPLES_MAX / 2..=SAMPLES_MAX + 1).contains(&samples.len()), "{}", samples.len());
        let steps: Vec<Duration> = samples.windows(2).map(|two| two[1].at.since(two[0].at)).collect();
        assert!(steps[..steps.len() - 1].iter().all(|step| *step == steps[0]), "{steps:?}");
    }
}
