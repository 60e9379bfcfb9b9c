//! Shares against what they must be.

use super::*;
use crate::dice::Dice;

fn path(lanes: &[LaneId]) -> Path {
    let mut path = Path::default();
    lanes.iter().for_each(|lane| path.push(*lane));
    path
}

fn at(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

#[test]
fn a_course_that_cannot_use_its_share_leaves_it_to_the_others() {
    let mut pipes = Pipes::new(EXACT_MAX);
    let (wide, narrow) = (pipes.add_lane(100_000), pipes.add_lane(10_000));
    pipes.enter(0, path(&[wide]), u64::MAX, at(0));
    pipes.enter(1, path(&[wide, narrow]), u64::MAX, at(0));
    pipes.enter(2, path(&[wide]), 30_000, at(0));
    assert_eq!([0, 1, 2].map(|slot| pipes.rate(slot)), [60_000, 10_000, 30_000]);
    pipes.leave(1, at(1_000_000));
    assert_eq!([0, 1, 2].map(|slot| pipes.rate(slot)), [70_000, 0, 30_000]);
    pipes.set_capacity(wide, 40_000, at(2_000_000));
    assert_eq!([0, 2].map(|slot| pipes.rate(slot)), [20_000, 20_000]);
    assert_eq!(pipes.carried(wide, at(3_000_000)), 240_000);
    assert_eq!(pipes.carried(narrow, at(3_000_000)), 10_000);
}

#[test]
fn a_cell_is_used_twice_by_two_of_its_own() {
    let mut pipes = Pipes::new(EXACT_MAX);
    let cell = pipes.add_lane(30_000);
    pipes.enter(0, path(&[cell, cell]), u64::MAX, at(0));
    assert_eq!(pipes.rate(0), 15_000);
    pipes.enter(1, path(&[cell]), u64::MAX, at(0));
    assert_eq!([pipes.rate(0), pipes.rate(1)], [10_000, 10_000]);
    assert_eq!(pipes.check(), Ok(()));
}

/// Whether no course could have more without taking from one that has no more than it: the very definition.
fn is_max_min(pipes: &Pipes, slots: &[u32]) -> bool {
    slots.iter().all(|slot| {
        let rate = pipes.rate(*slot);
        let course = &pipes.courses[place(*slot)];
        let is_bottleneck = |lane: &u32| {
            let known = &pipes.lanes[place(*lane)];
            let top = known.courses.iter().map(|other| pipes.rate(*other)).max().unwrap_or(0);
            let rounding = u64::try_from(known.courses.len()).unwrap();
            known.used + rounding >= known.capacity && rate + rounding >= top
        };
        rate == course.limit || course.path.lanes().iter().any(is_bottleneck)
    })
}

#[test]
fn exact_shares_are_max_min_fair() {
    for seed in 0..200 {
        let mut dice = Dice::new(seed);
        let mut pipes = Pipes::new(EXACT_MAX);
        let lanes: Vec<LaneId> = (0..8).map(|_| pipes.add_lane(1_000_000 + dice.below(9_000_000))).collect();
        let mut open = Vec::new();
        for slot in 0..40 {
            let picked: Vec<LaneId> =
                (0..1 + dice.below(3)).map(|_| lanes[usize::try_from(dice.below(8)).unwrap()]).collect();
            let limit = if dice.chance(300_000) { 1_000 + dice.below(900_000) } else { u64::MAX };
            pipes.enter(slot, path(&picked), limit, at(0));
            open.push(slot);
            if dice.chance(300_000) {
                let gone = open
                    .swap_remove(usize::try_from(dice.below(u64::try_from(open.len()).unwrap())).unwrap());
                pipes.leave(gone, at(0));
            }
            assert_eq!(pipes.check(), Ok(()), "seed {seed}");
            assert!(is_max_min(&pipes, &open), "seed {seed}: {open:?}");
        }
    }
}

/// Fifty hosts pass pieces on to each other, four at a time; what all of them get in total, and the worst of them.
fn fifty(exact_max: usize, seed: u64) -> (u64, u64) {
    let mut dice = Dice::new(seed);
    let mut pipes = Pipes::new(exact_max);
    let ports: Vec<(LaneId, LaneId)> =
        (0..50).map(|_| (pipes.add_lane(125_000_000), pipes.add_lane(125_000_000))).collect();
    let port = |dice: &mut Dice| ports[usize::try_from(dice.below(50)).unwrap()];
    for step in 0..4_000_u64 {
        let slot = u32::try_from(step % 200).unwrap();
        let receiver = ports[usize::try_from(step % 50).unwrap()].1;
        pipes.enter(slot, path(&[port(&mut dice).0, receiver]), u64::MAX, at(step * 1_000));
        assert_eq!(pipes.check(), Ok(()), "seed {seed}");
    }
    let carried: Vec<u64> = ports.iter().map(|(_, down)| pipes.carried(*down, at(4_000_000))).collect();
    (carried.iter().sum(), carried.into_iter().min().unwrap_or(0))
}

#[test]
fn sharing_among_neighbours_is_within_a_tenth_of_the_exact_shares_on_fifty_hosts() {
    for seed in 0..3 {
        let (exact, local) = (fifty(EXACT_MAX, seed), fifty(0, seed));
        for (exact, local) in [(exact.0, local.0), (exact.1, local.1)] {
            assert!(local * 10 >= exact * 9 && local * 9 <= exact * 10, "{local} for {exact}, seed {seed}");
        }
    }
}

#[test]
fn a_lane_that_carries_more_than_it_can_is_found() {
    let mut pipes = Pipes::new(EXACT_MAX);
    let lane = pipes.add_lane(1_000_000);
    pipes.enter(0, path(&[lane]), u64::MAX, at(0));
    pipes.force_rate(0, 1_000_001, at(0));
    assert!(pipes.check().is_err_and(|text| text.contains("of 1000000")));
    pipes.force_rate(0, 0, at(0));
    assert!(pipes.check().is_err_and(|text| text.contains("stands still")));
}
