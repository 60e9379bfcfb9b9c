//! Worlds that go wrong in several ways at once, drawn from their seed.
//!
//! Knows: what may come together. Does not know: what must hold (`judge`).

use std::time::Duration;

use nearbits::sim::{Malice, Swarm};
use peer_proto::digest::Algorithm;
use peer_proto::time::Instant;
use simnet::{Crash, Dice, Fault, HostId, OriginId, OriginSpec, Reach, Scenario, SiteId, Wan};

use crate::wished;

const MIB: u64 = 1024 * 1024;
const SEEDS: u64 = 40;

fn ms(count: u64) -> Instant {
    Instant::from_micros(count * 1_000)
}

fn world(seed: u64) -> Swarm {
    let mut dice = Dice::new(seed ^ 0x5eed);
    let machines = 2 + u32::try_from(dice.below(5)).unwrap();
    let names = [Some(Algorithm::Sha256), Some(Algorithm::Blake3)][usize::try_from(dice.below(2)).unwrap()];
    let office = Scenario::branch_office(machines, Wan::mbit(20 + dice.below(200)));
    let office = office.staggered(Duration::from_millis(dice.below(1_500)));
    let mut wish = Swarm::of(office, dice.below(24 * MIB)).unwrap().named(names);
    if dice.chance(500_000) {
        wish = wish.holders(1);
    }
    let lie = wish.library().add_altered(&[u32::try_from(dice.below(100)).unwrap()]);
    for _ in 0..dice.below(3).min(u64::from(machines - 2)) {
        let malice = [
            Malice::FalseBytes { sends: lie },
            Malice::FalseList { states: lie },
            Malice::Silent,
            Malice::Drips { bytes_per_s: 1 + dice.below(100_000) },
        ];
        wish = wish.rogue(malice[usize::try_from(dice.below(4)).unwrap()]);
    }
    for _ in 0..dice.below(5) {
        let at = dice.below(6_000);
        let (one, other) = (0, 1 + u32::try_from(dice.below(u64::from(machines - 1))).unwrap());
        let (one, other) = (HostId(one), HostId(other));
        let (bad, good) = match dice.below(7) {
            0 => (Fault::Cut(one, other), Fault::Heal(one, other)),
            1 => (Fault::CutOneWay(other, one), Fault::Heal(one, other)),
            2 => (Fault::Crash(other, Crash::Power), Fault::Start(other)),
            3 => (Fault::Crash(one, Crash::Program), Fault::Start(one)),
            4 => (Fault::Sleep(other), Fault::Wake(other)),
            5 => (Fault::LineDown(SiteId(0)), Fault::LineUp(SiteId(0))),
            _ => {
                let reach = if dice.chance(500_000) { Reach::Silent } else { Reach::Refuses };
                let gone = OriginSpec { reach, ..OriginSpec::default() };
                (Fault::Origin(OriginId(0), gone), Fault::Origin(OriginId(0), OriginSpec::default()))
            }
        };
        wish = wish.fault(ms(at), bad).fault(ms(at + dice.below(15_000)), good);
    }
    wish.limit(Duration::from_secs(400))
}

#[test]
fn all_get_the_file_whatever_comes_together() {
    let seeds = wished("NEARBITS_SEEDS").unwrap_or(SEEDS);
    let seeds = wished("NEARBITS_SEED").map_or(0..seeds, |seed| seed..seed + 1);
    let wrong: Vec<String> = seeds
        .filter_map(|seed| {
            let outcome = match world(seed).run(seed) {
                Ok(outcome) => outcome,
                Err(trouble) => return Some(format!("seed {seed}: {trouble}")),
            };
            let without = outcome.shares.iter().find(|share| share.done.is_none())?;
            Some(format!("seed {seed}: machine {} never got the file: {}", without.host.0, without.why))
        })
        .collect();
    assert!(wrong.is_empty(), "{} worlds go wrong:\n{}", wrong.len(), wrong.join("\n"));
}
