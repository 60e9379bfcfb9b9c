//! One outcome beside another of the same world: what sharing cost or saved, what faults cost.
//!
//! Knows: which machine waited how long in both, how evenly machines gave. Does not know: how a world is made.

use std::time::Duration;

use peer_proto::time::Instant;
use simnet::HostId;

use super::swarm::{Outcome, Swarm};

/// How much worse one may be than the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// So many hundredths of the other's time ...
    pub percent: u32,
    /// ... and so much more.
    pub plus: Duration,
}

impl Limit {
    /// What is promised beside plain HTTP, whatever fails: 1.05 times as long and 2 s.
    pub const NEVER_WORSE: Self = Self { percent: 105, plus: Duration::from_secs(2) };
    /// What is promised where a stranger swears to what is false: twice as long and 2 s.
    pub const LYING_HINT: Self = Self { percent: 200, plus: Duration::from_secs(2) };

    /// The longest time beside this one.
    #[must_use]
    pub fn beside(&self, other: Duration) -> Duration {
        other.saturating_mul(self.percent) / 100 + self.plus
    }
}

impl Swarm {
    /// What is promised beside plain HTTP in this world.
    #[must_use]
    pub fn promise(&self) -> Limit {
        if self.has_lying_hints() { Limit::LYING_HINT } else { Limit::NEVER_WORSE }
    }
}

/// A machine that is worse off than it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Worse {
    /// Which machine.
    pub host: HostId,
    /// How long it waited; `None` if it never got the file.
    pub took: Option<Duration>,
    /// How long it would have waited.
    pub other: Duration,
}

impl Outcome {
    /// Machines that waited longer here than the limit beside the other run allows.
    #[must_use]
    pub fn worse_than(&self, other: &Self, limit: Limit) -> Vec<Worse> {
        let pairs = self.shares.iter().filter_map(|share| Some((share, other.share(share.host)?.took?)));
        pairs
            .filter(|(share, other)| share.took.is_none_or(|took| took > limit.beside(*other)))
            .map(|(share, other)| Worse { host: share.host, took: share.took, other })
            .collect()
    }

    /// When the last of all the machines had the file; `None` if one never got it.
    #[must_use]
    pub fn all_done(&self) -> Option<Instant> {
        (self.unfinished() == 0).then(|| self.last())
    }

    /// How long the machines that got the file waited on average.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let took = self.shares.iter().filter_map(|share| share.took);
        let count = u32::try_from(took.clone().count()).unwrap_or(u32::MAX);
        took.sum::<Duration>().checked_div(count).unwrap_or_default()
    }

    /// Bytes that came over all lines into offices.
    #[must_use]
    pub fn wan_bytes(&self) -> u64 {
        self.lines.iter().map(|(down, _)| down).sum()
    }

    /// Those bytes for each thousand bytes of the file.
    #[must_use]
    pub fn wan_permille(&self) -> u64 {
        self.wan_bytes().saturating_mul(1_000).checked_div(self.len).unwrap_or(0)
    }

    /// Jain's fairness index of what machines gave to each other, in thousandths: 1 000 if all that may give gave
    /// alike, 1 000 / n if one of n gave everything. `None` if nobody gave anything.
    ///
    /// # Source
    /// R. Jain, D. Chiu, W. Hawe: *A Quantitative Measure of Fairness and Discrimination for Resource Allocation in
    /// Shared Computer Systems*, DEC Research Report TR-301, 1984: (Σx)² / (n Σx²).
    #[must_use]
    pub fn fairness_permille(&self) -> Option<u64> {
        let sharing = self.shares.iter().filter(|share| share.may_serve || share.sent > 0);
        let holding = self.givers.iter().filter(|giver| giver.holds);
        // In KiB, so that ten thousand machines that gave a terabyte each can be added up.
        let gave = sharing.map(|share| share.sent).chain(holding.map(|giver| giver.sent));
        let gave: Vec<u128> = gave.map(|bytes| u128::from(bytes >> 10)).collect();
        let sum: u128 = gave.iter().sum();
        let squares: u128 = gave.iter().map(|bytes| bytes * bytes).sum();
        let count = u128::try_from(gave.len()).unwrap_or(u128::MAX);
        let index = (sum * sum * 1_000).checked_div(squares.saturating_mul(count))?;
        u64::try_from(index).ok()
    }
}

#[cfg(test)]
mod tests {
    use simnet::{Fault, OriginId, OriginSpec, Reach, Scenario, Wan};

    use super::*;
    use crate::sim::{Malice, Swarm};

    const MIB: u64 = 1 << 20;

    fn ms(count: u64) -> Instant {
        Instant::from_micros(count * 1_000)
    }

    fn office(machines: u32) -> Swarm {
        Swarm::of(Scenario::branch_office(machines, Wan::mbit(100)), 8 * MIB).unwrap()
    }

    #[test]
    fn without_others_the_same_machines_take_everything_from_the_origin() {
        let wish = office(4);
        let (outcome, plain) = (wish.run(1).unwrap(), wish.origin_only().run(1).unwrap());
        assert_eq!(plain.origin_bytes, 4 * 8 * MIB);
        // A line carries in whole microseconds: a transfer's last few bytes may be more.
        assert!(
            (plain.origin_bytes..plain.origin_bytes + 400).contains(&plain.wan_bytes()),
            "{:?}",
            plain.lines
        );
        assert!(plain.shares.iter().all(|share| share.from_peers == 0), "{:?}", plain.shares);
        assert!(outcome.last() < plain.last() && outcome.mean() < plain.mean());
        assert_eq!(outcome.worse_than(&plain, Limit::NEVER_WORSE), []);
        // The other way round it is worse, for everybody.
        let none = Limit { percent: 100, plus: Duration::ZERO };
        assert_eq!(plain.worse_than(&outcome, none).len(), 4);
    }

    #[test]
    fn a_machine_that_never_gets_the_file_is_worse_off() {
        let wish = office(2);
        let (mut outcome, plain) = (wish.run(1).unwrap(), wish.origin_only().run(1).unwrap());
        outcome.shares[1].took = None;
        let worse = outcome.worse_than(&plain, Limit::NEVER_WORSE);
        assert_eq!(
            worse.iter().map(|worse| (worse.host, worse.took)).collect::<Vec<_>>(),
            [(HostId(1), None)]
        );
        assert_eq!(
            plain.worse_than(&outcome, Limit::NEVER_WORSE),
            [],
            "who gets nothing there is no measure"
        );
    }

    #[test]
    fn the_calm_world_has_the_same_machines_and_no_harm() {
        assert!(office(3).calm().is_none(), "nothing goes wrong in it");
        let gone = OriginSpec { reach: Reach::Refuses, ..OriginSpec::default() };
        let wish = office(3).rogue(Malice::Silent).fault(ms(100), Fault::Origin(OriginId(0), gone));
        let wish = wish.fault(ms(3_000), Fault::Origin(OriginId(0), OriginSpec::default()));
        let (outcome, calm) = (wish.run(1).unwrap(), wish.calm().unwrap().run(1).unwrap());
        let hosts = |outcome: &Outcome| outcome.shares.iter().map(|share| share.host).collect::<Vec<_>>();
        assert_eq!((hosts(&outcome), hosts(&calm)), (vec![HostId(1), HostId(2)], vec![HostId(1), HostId(2)]));
        assert!(outcome.last() > ms(3_000) && calm.last() < ms(2_000), "{:?}", calm.last());
    }

    #[test]
    fn fairness_is_jains_index() {
        let mut outcome = office(4).run(1).unwrap();
        let mut of = |gave: [u64; 4]| {
            outcome.shares.iter_mut().zip(gave).for_each(|(share, gave)| share.sent = gave * MIB);
            outcome.fairness_permille()
        };
        assert_eq!(of([0; 4]), None);
        assert_eq!(of([3; 4]), Some(1_000));
        assert_eq!(of([8, 0, 0, 0]), Some(250));
        // The example of the report: 10² / (4 · 30).
        assert_eq!(of([1, 2, 3, 4]), Some(833));
    }
}
