//! Origin once per site: many cold machines of one office, as strangers who know the digest.

use std::time::Duration;

use peer_proto::digest::Algorithm;
use peer_proto::time::Instant;
use simnet::{Churn, Crash, Fault, HostId, OriginId, OriginSpec, Reach, Scenario, SiteId, Wan, mbit};

use super::*;

const MIB: u64 = 1024 * 1024;

fn office(machines: u32, mbit: u64) -> Swarm {
    Swarm::of(Scenario::branch_office(machines, Wan::mbit(mbit)), 64 * MIB).unwrap()
}

fn run(swarm: &Swarm, seed: u64) -> Outcome {
    let outcome = swarm.run(seed).unwrap_or_else(|trouble| panic!("seed {seed}: {trouble}"));
    assert_eq!(outcome.unfinished(), 0, "seed {seed}: {:?}", outcome.shares);
    outcome
}

const fn ms(count: u64) -> Instant {
    Instant::from_micros(count * 1_000)
}

/// 64 MiB at 100 Mbit/s.
const IDEAL_MS: u64 = 5_500;

#[test]
fn machines_that_may_take_and_not_give_do_not_wait_for_each_other() {
    let outcome = run(&office(3, 100).flags_off(0, 1_000_000), 1);
    assert_eq!(outcome.origin_permille(), 3_000, "nobody gives anything");
    assert!(outcome.last() < ms(3 * IDEAL_MS + 1_500), "{:?}", outcome.last());
}

#[test]
fn a_holder_that_drips_costs_three_seconds_beside_the_origin() {
    let drips = Malice::Drips { bytes_per_s: 20_000 };
    for names in [Algorithm::Sha256, Algorithm::Blake3] {
        let outcome = run(&office(4, 100).named(Some(names)).rogue(drips), 1);
        assert!(outcome.last() < ms(IDEAL_MS + 3_200), "{names}: {:?}", outcome.last());
    }
}

#[test]
fn cold_machines_that_start_together_fetch_from_the_origin_once() {
    for names in [Algorithm::Sha256, Algorithm::Blake3] {
        for (machines, seed) in [(2, 1), (8, 2), (20, 3)] {
            let outcome = run(&office(machines, 100).named(Some(names)), seed);
            assert!(outcome.origin_permille() <= 1_020, "{names} {machines}: {}", outcome.origin_bytes);
            assert!(outcome.last() < ms(IDEAL_MS + 1_200), "{names} {machines}: {:?}", outcome.last());
        }
    }
}

#[test]
fn machines_that_start_one_after_the_other_fetch_from_the_origin_once() {
    let office = Scenario::branch_office(10, Wan::mbit(100)).staggered(Duration::from_secs(1));
    let outcome = run(&Swarm::of(office, 64 * MIB).unwrap().quiet_from(ms(10_000)), 1);
    assert!(outcome.origin_permille() <= 1_060, "{}", outcome.origin_bytes);
}

#[test]
fn an_origin_that_gives_little_to_each_connection_is_asked_over_as_many_as_fill_the_line() {
    let each = OriginSpec { flow_rate_bytes_per_s: mbit(5), ..OriginSpec::default() };
    for machines in [4, 12] {
        let office = Scenario::branch_office(machines, Wan::mbit(100)).origin(each);
        let outcome = run(&Swarm::of(office, 64 * MIB).unwrap(), 1);
        // Four machines would need 27 s with a connection each, eight of twelve 13.4 s.
        assert!(outcome.last() < ms(2 * IDEAL_MS), "{machines}: {:?}", outcome.last());
        assert!(outcome.origin_permille() <= 1_020, "{machines}: {}", outcome.origin_bytes);
    }
}

#[test]
fn machines_that_crash_cost_little() {
    let churn =
        Churn { per_million: 200_000, crash: Crash::Disk, during: ms(500)..ms(5_000), back_after: None };
    let office = Scenario::branch_office(16, Wan::mbit(100)).churn(churn);
    for seed in 1..4 {
        let outcome = run(&Swarm::of(office.clone(), 64 * MIB).unwrap().quiet_from(ms(5_000)), seed);
        assert!(outcome.origin_permille() <= 1_060, "seed {seed}: {}", outcome.origin_bytes);
        assert!(outcome.last() < ms(IDEAL_MS + 4_000), "seed {seed}: {:?}", outcome.last());
    }
}

#[test]
fn all_finish_when_the_origin_is_gone_once_one_copy_is_in() {
    let gone = Fault::Origin(OriginId(0), OriginSpec { reach: Reach::Refuses, ..OriginSpec::default() });
    let office = Scenario::branch_office(10, Wan::mbit(100)).staggered(Duration::from_secs(1));
    let wish = Swarm::of(office, 64 * MIB).unwrap().fault(ms(IDEAL_MS + 800), gone).quiet_from(ms(10_000));
    let outcome = run(&wish, 1);
    assert!(outcome.origin_bytes >= 64 * MIB, "one copy is in: {}", outcome.origin_bytes);
    let later = outcome.shares.iter().filter(|share| share.done.is_some_and(|at| at > ms(IDEAL_MS + 900)));
    assert!(later.count() >= 3, "some came when it was gone: {:?}", outcome.shares);
    assert!(outcome.last() < ms(12_000), "{:?}", outcome.last());
}

#[test]
fn two_halves_that_cannot_see_each_other_fetch_once_each_at_most() {
    let mut wish = office(6, 100);
    for one in 0..3 {
        for other in 3..6 {
            wish = wish.fault(ms(1_500), Fault::Cut(HostId(one), HostId(other)));
        }
    }
    let outcome = run(&wish, 1);
    assert!(outcome.origin_permille() <= 2_030, "{}", outcome.origin_bytes);
}

#[test]
fn a_dark_line_is_waited_out_together() {
    let wish = office(6, 100);
    let wish = wish.fault(ms(2_000), Fault::LineDown(SiteId(0))).fault(ms(12_000), Fault::LineUp(SiteId(0)));
    let outcome = run(&wish, 1);
    assert!(outcome.last() < ms(12_000 + 30_000), "{:?}", outcome.last());
    assert!(outcome.origin_permille() <= 1_500, "{}", outcome.origin_bytes);
}

#[test]
fn strangers_that_take_and_give_nothing_or_next_to_nothing_cost_no_copy_and_a_second() {
    for malice in [Malice::Silent, Malice::Drips { bytes_per_s: 20_000 }] {
        for seed in 1..4 {
            let outcome = run(&office(9, 100).rogue(malice), seed);
            assert!(outcome.origin_permille() <= 1_020, "{malice:?} {seed}: {}", outcome.origin_bytes);
            assert!(outcome.last() < ms(IDEAL_MS + 1_200), "{malice:?} {seed}: {:?}", outcome.last());
        }
    }
}

#[test]
fn a_line_as_fast_as_the_port_is_no_harm() {
    let outcome = run(&office(8, 1_000), 1);
    assert!(outcome.origin_permille() <= 1_300, "{}", outcome.origin_bytes);
    assert!(outcome.last() < ms(2_500), "{:?}", outcome.last());
}

#[test]
fn home_4_machines_that_begin_one_after_the_other_do_not_crowd_a_narrow_line() {
    let scenario = Scenario::branch_office(16, Wan::mbit(1)).staggered(Duration::from_millis(60));
    let outcome = run(&Swarm::of(scenario, 4 * MIB).unwrap(), 1);
    assert!(outcome.origin_permille() <= 1_100, "{}", outcome.origin_bytes);
}

#[test]
fn more_strangers_than_have_sessions_with_each_other_all_finish() {
    let outcome = run(&office(90, 100), 1);
    assert!(outcome.origin_permille() <= 4_000, "{}", outcome.origin_bytes);
}
