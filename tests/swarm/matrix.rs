//! The matrix: {SHA-256, BLAKE3, no digest} x {at once, staggered} x {a holder, none} x what goes wrong.
//!
//! Knows: what each cell means, and how large its worlds are. Does not know: what must hold of them (`judge`).

use std::time::Duration;

use nearbits::sim::{Malice, Swarm};
use peer_proto::digest::Algorithm;
use peer_proto::time::Instant;
use simnet::{Churn, Crash, Dice, Fault, HostId, OriginId, OriginSpec, Reach, Scenario, SiteSpec, Wan, mbit};

const MIB: u64 = 1024 * 1024;

/// What goes wrong in a world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    Nothing,
    Crashes,
    PowerCuts,
    Sleep,
    Moves,
    Partition,
    Loss,
    OriginGone,
    OriginSilent,
    OriginSlow,
    Connections,
    FalseBytes,
    FalseList,
    Silent,
    Drips,
    Wireless,
    Offices,
}

pub(crate) const TROUBLES: [Trouble; 17] = [
    Trouble::Nothing,
    Trouble::Crashes,
    Trouble::PowerCuts,
    Trouble::Sleep,
    Trouble::Moves,
    Trouble::Partition,
    Trouble::Loss,
    Trouble::OriginGone,
    Trouble::OriginSilent,
    Trouble::OriginSlow,
    Trouble::Connections,
    Trouble::FalseBytes,
    Trouble::FalseList,
    Trouble::Silent,
    Trouble::Drips,
    Trouble::Wireless,
    Trouble::Offices,
];

/// How machines come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrivals {
    AtOnce,
    OneByOne,
}

/// How large worlds are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// Up to 16 machines and 16 MiB.
    Small,
    /// Up to 60 machines and 128 MiB.
    Large,
}

/// One cell of a row of the matrix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cell {
    pub(crate) names: Option<Algorithm>,
    pub(crate) arrivals: Arrivals,
    pub(crate) holders: u32,
    pub(crate) machines: u32,
    pub(crate) mib: u64,
    pub(crate) mbit: u64,
}

/// Cells of a row.
pub(crate) const CELLS: u64 = 12;

impl Cell {
    /// The cell of a number; how large it is follows from the dice.
    fn of(trouble: Trouble, number: u64, form: Form, dice: &mut Dice) -> Self {
        let names = [Some(Algorithm::Sha256), Some(Algorithm::Blake3), None];
        let (machines_max, mib_max) = match (form, trouble) {
            (Form::Small, _) => (12, 16),
            // Whoever shares a cell takes long, in virtual time and ours.
            (Form::Large, Trouble::Wireless) => (28, 32),
            (Form::Large, _) => (56, 128),
        };
        Self {
            names: names[usize::try_from(number % 3).unwrap()],
            arrivals: if (number / 3).is_multiple_of(2) { Arrivals::AtOnce } else { Arrivals::OneByOne },
            holders: u32::try_from(number / 6 % 2).unwrap(),
            machines: 4 + u32::try_from(dice.below(machines_max + 1)).unwrap(),
            mib: 1 + dice.below(mib_max),
            mbit: 20 + dice.below(180),
        }
    }

    /// How long the line takes for one copy, in milliseconds.
    fn copy_ms(&self) -> u64 {
        self.mib * 8_389 / self.mbit
    }
}

/// The world of a trouble, a cell's number and a seed.
pub(crate) fn world(trouble: Trouble, number: u64, form: Form, seed: u64) -> (Cell, Swarm) {
    let mut dice = Dice::new(seed ^ 0xce11);
    let cell = Cell::of(trouble, number, form, &mut dice);
    let every = match cell.arrivals {
        Arrivals::AtOnce => 0,
        Arrivals::OneByOne => 50 + dice.below(cell.copy_ms() / 4 + 500),
    };
    let offices = if trouble == Trouble::Offices { 2 + u32::try_from(dice.below(2)).unwrap() } else { 1 };
    let scenario = Scenario::offices(offices, cell.machines.div_ceil(offices), Wan::mbit(cell.mbit));
    let scenario = scenario.staggered(Duration::from_millis(every));
    let last = every * u64::from(cell.machines);
    // Faults come while somebody still fetches.
    let busy = last + cell.copy_ms();
    let scenario = shaped(scenario, trouble, cell, busy);
    let swarm = Swarm::of(scenario, cell.mib * MIB).unwrap();
    let swarm = swarm.holders(cell.holders).named(cell.names).quiet_from(ms(last));
    let swarm = hostile(swarm, trouble, cell, &mut dice);
    let swarm = harmed(swarm, trouble, cell, busy, &mut dice);
    let swarm = if matches!(trouble, Trouble::Crashes | Trouble::PowerCuts) {
        swarm.quiet_from(ms(busy + 1_000))
    } else {
        swarm
    };
    (cell, swarm.limit(Duration::from_secs(20_000)))
}

/// What is so from the beginning.
fn shaped(scenario: Scenario, trouble: Trouble, cell: Cell, busy: u64) -> Scenario {
    let churn = |crash| Churn {
        per_million: 400_000,
        crash,
        during: ms(300)..ms(busy),
        back_after: Some(Duration::from_secs(1)),
    };
    match trouble {
        Trouble::Crashes => scenario.churn(churn(Crash::Program)),
        Trouble::PowerCuts => scenario.churn(churn(Crash::Power)),
        Trouble::Loss => {
            let wan = Wan { loss_per_million: 10_000, ..Wan::mbit(cell.mbit) };
            scenario.site(SiteSpec { loss_per_million: 1_000, ..SiteSpec::behind(wan) })
        }
        Trouble::Connections => {
            let each = OriginSpec { flow_rate_bytes_per_s: mbit(10), ..OriginSpec::default() };
            scenario.origin(each)
        }
        Trouble::Wireless => scenario.wireless(800_000, mbit(100)),
        _ => scenario,
    }
}

/// Who is hostile.
fn hostile(mut swarm: Swarm, trouble: Trouble, cell: Cell, dice: &mut Dice) -> Swarm {
    let pieces = u32::try_from(cell.mib * 16).unwrap();
    let malice = match trouble {
        Trouble::FalseBytes => {
            let sends = swarm.library().add_altered(&(0..pieces).collect::<Vec<u32>>());
            Malice::FalseBytes { sends }
        }
        Trouble::FalseList => {
            let piece = u32::try_from(dice.below(pieces.into())).unwrap();
            Malice::FalseList { states: swarm.library().add_altered(&[piece]) }
        }
        Trouble::Silent => Malice::Silent,
        Trouble::Drips => Malice::Drips { bytes_per_s: 1_000 + dice.below(100_000) },
        _ => return swarm,
    };
    (0..=dice.below(2)).fold(swarm, |swarm, _| swarm.rogue(malice))
}

/// What happens at some moment, and is over at another.
fn harmed(swarm: Swarm, trouble: Trouble, cell: Cell, busy: u64, dice: &mut Dice) -> Swarm {
    let from = 300 + dice.below(busy);
    let to = from + 500 + dice.below(8_000);
    let origin = |spec| Fault::Origin(OriginId(0), spec);
    let seeker = |dice: &mut Dice| {
        HostId(cell.holders + u32::try_from(dice.below((cell.machines - cell.holders).into())).unwrap())
    };
    match trouble {
        Trouble::Sleep => {
            let (one, other) = (seeker(dice), seeker(dice));
            let swarm = swarm.fault(ms(from), Fault::Sleep(one)).fault(ms(to), Fault::Wake(one));
            swarm.fault(ms(from / 2), Fault::Sleep(other)).fault(ms(to), Fault::Wake(other))
        }
        Trouble::Moves => {
            let swarm = swarm.fault(ms(from), Fault::Move(seeker(dice)));
            swarm.fault(ms(from / 2), Fault::Move(seeker(dice))).fault(ms(from / 2), Fault::Move(HostId(0)))
        }
        Trouble::Partition => {
            let middle = 1 + u32::try_from(dice.below((cell.machines - 1).into())).unwrap();
            let pairs = (0..middle).flat_map(|one| (middle..cell.machines).map(move |other| (one, other)));
            pairs.fold(swarm, |swarm, (one, other)| {
                let (one, other) = (HostId(one), HostId(other));
                swarm.fault(ms(from), Fault::Cut(one, other)).fault(ms(to), Fault::Heal(one, other))
            })
        }
        Trouble::OriginGone | Trouble::OriginSilent => {
            let reach = if trouble == Trouble::OriginGone { Reach::Refuses } else { Reach::Silent };
            let gone = OriginSpec { reach, ..OriginSpec::default() };
            swarm.fault(ms(from), origin(gone)).fault(ms(to), origin(OriginSpec::default()))
        }
        Trouble::OriginSlow => {
            let slow = OriginSpec { rate_bytes_per_s: mbit(10), ..OriginSpec::default() };
            swarm.fault(ms(from), origin(slow))
        }
        _ => swarm,
    }
}

fn ms(count: u64) -> Instant {
    Instant::from_micros(count * 1_000)
}
