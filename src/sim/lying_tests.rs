//! Strangers that swear to false lists: what they cost a site, what they cost one machine, how long it takes.

use std::collections::BTreeSet;
use std::time::Duration;

use peer_proto::time::Instant;
use simnet::{Dice, Scenario, Wan};

use super::*;

const MIB: u64 = 1024 * 1024;
/// What may be on its way when a request ends early: it counts for the origin, and comes again.
const CUT_SHORT: u64 = 4 * 65_536;

/// How many machines want the file, how many others lie, in how many of a thousand pieces each (one piece if none), how
/// long the file is and how fast the line.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    honest: u32,
    liars: u32,
    false_permille: u32,
    mib: u64,
    mbit: u64,
    stagger_ms: u64,
}

/// Each liar's false pieces are its own, drawn.
fn crowd(crowd: Crowd, dice: &mut Dice) -> Swarm {
    let machines = crowd.honest + crowd.liars;
    let office = Scenario::branch_office(machines, Wan::mbit(crowd.mbit))
        .spread(Duration::from_millis(500))
        .staggered(Duration::from_millis(crowd.stagger_ms));
    let arrived_ms = 500 + crowd.stagger_ms * u64::from(machines);
    let wish = Swarm::of(office, crowd.mib * MIB).unwrap();
    let mut wish = wish.quiet_from(Instant::from_micros(arrived_ms * 1_000));
    let count = wish.library().list(content::TRUTH).geometry().piece_count();
    let lies = usize::try_from((count * crowd.false_permille / 1_000).max(1)).unwrap();
    for _ in 0..crowd.liars {
        let mut pieces = BTreeSet::new();
        while pieces.len() < lies {
            pieces.insert(u32::try_from(dice.below(count.into())).unwrap());
        }
        let states = wish.library().add_altered(&pieces.into_iter().collect::<Vec<u32>>());
        wish = wish.rogue(Malice::FalseList { states });
    }
    wish
}

/// Everybody has the exact file, nobody read more than it from the origin, and nobody waited longer than promised.
fn judged(wish: &Swarm, seed: u64, what: Crowd) -> Outcome {
    let outcome = wish.run(seed).unwrap_or_else(|trouble| panic!("seed {seed}, {what:?}: {trouble}"));
    assert_eq!(outcome.unfinished(), 0, "seed {seed}, {what:?}: {:?}", outcome.shares);
    for share in &outcome.shares {
        let read = share.from_origin;
        assert!(read <= outcome.len + CUT_SHORT, "seed {seed}, {what:?}: {:?} read {read}", share.host);
    }
    let plain = wish.origin_only().run(seed).unwrap();
    let worse = outcome.worse_than(&plain, Limit::LYING_HINT);
    assert!(worse.is_empty(), "seed {seed}, {what:?}: {worse:?}");
    outcome
}

#[test]
fn claim_10_eight_machines_beside_one_false_piece_read_the_file_three_times_at_most() {
    let what = Crowd { honest: 8, liars: 1, false_permille: 0, mib: 64, mbit: 100, stagger_ms: 0 };
    for seed in 1..5 {
        let outcome = judged(&crowd(what, &mut Dice::new(seed)), seed, what);
        assert!(outcome.origin_permille() <= 1_500, "seed {seed}: {}", outcome.origin_permille());
    }
}

#[test]
fn claim_10_several_liars_cost_a_site_no_more_than_one() {
    for (seed, false_permille) in (1..).zip([0, 20, 100, 500]) {
        let what = Crowd { honest: 9, liars: 3, false_permille, mib: 32, mbit: 100, stagger_ms: 0 };
        let outcome = judged(&crowd(what, &mut Dice::new(seed)), seed, what);
        assert!(outcome.origin_permille() <= 1_300, "{what:?}: {}", outcome.origin_permille());
    }
}

#[test]
fn claim_10_a_lone_victim_reads_one_file_at_most() {
    for (seed, false_permille) in (1..).zip([0, 5, 100]) {
        let what = Crowd { honest: 1, liars: 1, false_permille, mib: 32, mbit: 100, stagger_ms: 0 };
        judged(&crowd(what, &mut Dice::new(seed)), seed, what);
    }
}

#[test]
fn claim_10_and_claim_13_in_every_world_nobody_reads_more_than_the_file_or_waits_twice_as_long() {
    for seed in 1..25 {
        let mut dice = Dice::new(seed);
        let mut one_of = |some: &[u64]| some[usize::try_from(dice.below(some.len() as u64)).unwrap()];
        let what = Crowd {
            honest: u32::try_from(one_of(&[1, 2, 3, 5, 8, 12])).unwrap(),
            liars: u32::try_from(one_of(&[1, 2, 4])).unwrap(),
            false_permille: u32::try_from(one_of(&[0, 0, 5, 20, 100, 500])).unwrap(),
            mib: one_of(&[4, 8, 16, 32]),
            mbit: one_of(&[10, 20, 100]),
            stagger_ms: one_of(&[0, 0, 300, 2_000]),
        };
        judged(&crowd(what, &mut dice), seed, what);
    }
}
