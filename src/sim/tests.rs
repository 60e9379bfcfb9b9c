//! Worlds of shipping engines.

use std::time::Duration;

use peer_proto::digest::Algorithm;
use peer_proto::time::Instant;
use simnet::{Churn, Crash, Fault, HostId, OriginId, OriginSpec, Reach, Scenario, SiteId, Wan};

use super::*;

const MIB: u64 = 1024 * 1024;

fn ms(count: u64) -> Instant {
    Instant::from_micros(count * 1_000)
}

fn swarm(scenario: Scenario, len: u64) -> Swarm {
    Swarm::of(scenario, len).unwrap()
}

fn run(swarm: &Swarm, seed: u64) -> Outcome {
    let outcome = swarm.run(seed).unwrap_or_else(|trouble| panic!("seed {seed}: {trouble}"));
    assert_eq!(outcome.unfinished(), 0, "seed {seed}: {:?}", outcome.shares);
    outcome
}

#[test]
fn one_node_alone_takes_the_file_from_the_origin() {
    let outcome = run(&swarm(Scenario::branch_office(1, Wan::mbit(100)), 16 * MIB), 1);
    assert_eq!(outcome.origin_bytes, 16 * MIB);
    assert!(outcome.last() < ms(1_343 + 700), "{:?}", outcome.last());
}

#[test]
fn a_late_comer_takes_the_file_from_whoever_holds_it() {
    for names in [Algorithm::Sha256, Algorithm::Blake3] {
        let wish = swarm(Scenario::branch_office(2, Wan::mbit(100)), 64 * MIB).holders(1).named(Some(names));
        let outcome = run(&wish, 1);
        assert!(outcome.origin_bytes <= 2 * MIB, "{}", outcome.origin_bytes);
        assert!(outcome.last() < ms(2_000), "64 MiB at 1 Gbit/s are 0.54 s: {:?}", outcome.last());
    }
}

#[test]
fn fifty_machines_take_the_file_from_one_holder_which_serves_as_many_at_a_time_as_it_may() {
    let office = Scenario::branch_office(51, Wan::mbit(100));
    let outcome = run(&swarm(office, 16 * MIB).holders(1).named(Some(Algorithm::Blake3)), 1);
    assert_eq!(outcome.origin_bytes, 0);
    assert!(outcome.last() < ms(3_000), "16 MiB at 1 Gbit/s are 0.13 s: {:?}", outcome.last());
}

#[test]
fn home_1_all_strangers_of_a_site_of_sixty_four_meet_each_other() {
    let mut stage = swarm(Scenario::branch_office(64, Wan::mbit(8)), 16 * MIB).stage(1);
    stage.world.run_until(ms(1_500)).unwrap();
    let met: Vec<usize> = stage.world.hosts().filter_map(|(_, one)| Some(one.node()?.peer_count())).collect();
    assert_eq!(met, [63; 64]);
}

#[test]
fn arrivals_one_after_the_other_take_the_file_from_those_before_them() {
    let office = Scenario::branch_office(6, Wan::mbit(100)).staggered(Duration::from_secs(5));
    let outcome = run(&swarm(office, 32 * MIB).quiet_from(ms(30_000)), 1);
    // The first one needs 2.9 s.
    assert!(outcome.origin_bytes <= 35 * MIB, "{}", outcome.origin_bytes);
    assert!(outcome.percentile(80) < Duration::from_millis(1_500), "{:?}", outcome.shares);
}

#[test]
fn a_holder_that_dies_in_any_way_costs_only_time() {
    for (seed, crash) in (0..).zip([Crash::Program, Crash::Power, Crash::Disk]) {
        let wish = swarm(Scenario::branch_office(3, Wan::mbit(100)), 128 * MIB).holders(1);
        let outcome = run(&wish.fault(ms(1_200), Fault::Crash(HostId(0), crash)), seed);
        assert!(outcome.shares.iter().all(|share| share.from_peers > MIB), "{:?}", outcome.shares);
        assert!(outcome.last() < ms(60_000), "{crash:?}: {:?}", outcome.last());
    }
}

#[test]
fn the_origin_may_vanish_once_a_copy_is_in_the_site() {
    for reach in [Reach::Refuses, Reach::Silent] {
        let gone = Fault::Origin(OriginId(0), OriginSpec { reach, ..OriginSpec::default() });
        let wish = swarm(Scenario::branch_office(5, Wan::mbit(100)), 64 * MIB).holders(1);
        let outcome = run(&wish.fault(ms(1_000), gone), 3);
        assert!(outcome.last() < ms(30_000), "{reach:?}: {:?}", outcome.last());
    }
}

#[test]
fn liars_silent_ones_and_drips_cost_little_and_never_an_exact_byte() {
    for (seed, names) in (0..).zip([Algorithm::Sha256, Algorithm::Blake3]) {
        for kind in 0..4 {
            let mut wish =
                swarm(Scenario::branch_office(4, Wan::mbit(100)), 32 * MIB).holders(1).named(Some(names));
            let lie = wish.library().add_altered(&(0..512).collect::<Vec<u32>>());
            let malice = match kind {
                0 => Malice::FalseBytes { sends: lie },
                1 => Malice::FalseList { states: lie },
                2 => Malice::Silent,
                _ => Malice::Drips { bytes_per_s: 20_000 },
            };
            let outcome = run(&wish.rogue(malice), seed);
            assert!(outcome.last() < ms(15_000), "{names} {malice:?}: {:?}", outcome.last());
            assert!(outcome.origin_bytes <= 2 * 40 * MIB, "{names} {malice:?}: {}", outcome.origin_bytes);
        }
    }
}

#[test]
fn a_partition_is_borne_and_progress_resumes_after_it() {
    for one_way in [false, true] {
        let mut wish = swarm(Scenario::branch_office(4, Wan::mbit(20)), 64 * MIB).holders(1);
        for seeker in 1..4 {
            let (holder, seeker) = (HostId(0), HostId(seeker));
            let cut = if one_way { Fault::CutOneWay(seeker, holder) } else { Fault::Cut(holder, seeker) };
            wish = wish.fault(ms(800), cut).fault(ms(12_000), Fault::Heal(holder, seeker));
        }
        let outcome = run(&wish, 5);
        assert!(outcome.last() < ms(12_000 + 30_000), "{:?}", outcome.last());
    }
}

#[test]
fn a_dark_line_is_waited_out() {
    let wish = swarm(Scenario::branch_office(2, Wan::mbit(100)), 64 * MIB);
    let wish = wish.fault(ms(2_000), Fault::LineDown(SiteId(0))).fault(ms(40_000), Fault::LineUp(SiteId(0)));
    let outcome = run(&wish, 1);
    assert!(outcome.last() < ms(40_000 + 30_000), "{:?}", outcome.last());
}

#[test]
fn machines_that_come_and_go_all_finish() {
    for crash in [Crash::Program, Crash::Power, Crash::Disk] {
        let churn = Churn {
            per_million: 400_000,
            crash,
            during: ms(500)..ms(8_000),
            back_after: Some(Duration::from_secs(3)),
        };
        let office =
            Scenario::branch_office(8, Wan::mbit(100)).staggered(Duration::from_secs(1)).churn(churn);
        run(&swarm(office, 16 * MIB).quiet_from(ms(11_000)), 9);
    }
}

#[test]
fn a_power_cut_costs_what_was_not_synced() {
    let wish = swarm(Scenario::branch_office(1, Wan::mbit(100)), 64 * MIB);
    let crash = Fault::Crash(HostId(0), Crash::Power);
    let outcome = run(&wish.fault(ms(4_000), crash).fault(ms(5_000), Fault::Start(HostId(0))), 2);
    // A second's worth, and what was on its way.
    assert!(outcome.origin_bytes > 64 * MIB, "something was lost");
    assert!(outcome.origin_bytes < (64 + 14) * MIB, "{}", outcome.origin_bytes);
}

#[test]
fn a_sleeper_and_a_mover_go_on_where_they_were() {
    let wish = swarm(Scenario::branch_office(3, Wan::mbit(20)), 64 * MIB).holders(1);
    let wish = wish.fault(ms(700), Fault::Sleep(HostId(1))).fault(ms(60_000), Fault::Wake(HostId(1)));
    let outcome = run(&wish.fault(ms(900), Fault::Move(HostId(2))), 4);
    assert!(outcome.last() < ms(60_000 + 30_000), "{:?}", outcome.last());
}

#[test]
fn an_origin_that_lies_is_never_believed_against_the_digest() {
    let mut wish = swarm(Scenario::branch_office(2, Wan::mbit(100)), 8 * MIB);
    let lie = u32::from(wish.library().add_altered(&[3, 77]));
    let origin = OriginSpec { serves: lie, ..OriginSpec::default() };
    let outcome = wish.fault(ms(0), Fault::Origin(OriginId(0), origin)).limit(Duration::from_secs(60)).run(1);
    let outcome = outcome.unwrap_or_else(|trouble| panic!("{trouble}"));
    assert_eq!(outcome.unfinished(), 2, "it is not what was asked for");
}

#[test]
fn an_origin_that_changes_while_it_is_read_is_read_again() {
    let mut wish = swarm(Scenario::branch_office(2, Wan::mbit(100)), 32 * MIB).named(None);
    let other = u32::from(wish.library().add_version(32 * MIB));
    let origin =
        OriginSpec { serves: other, says: other, cuts_after: Some(6 * MIB), ..OriginSpec::default() };
    let first = OriginSpec { cuts_after: Some(6 * MIB), ..OriginSpec::default() };
    let wish = wish.fault(ms(0), Fault::Origin(OriginId(0), first));
    run(&wish.fault(ms(1_500), Fault::Origin(OriginId(0), origin)), 1);
}

#[test]
fn a_busy_origin_is_asked_for_less_and_everybody_finishes() {
    let origin = OriginSpec { flows_max: 1, ..OriginSpec::default() };
    let outcome = run(&swarm(Scenario::branch_office(3, Wan::mbit(100)).origin(origin), 8 * MIB), 6);
    assert!(outcome.last() < ms(60_000), "{:?}", outcome.last());
}

#[test]
fn a_full_disk_pauses_the_job_and_nothing_else() {
    let wish = swarm(Scenario::branch_office(2, Wan::mbit(100)), 16 * MIB).holders(1).room(50);
    let wish = wish.limit(Duration::from_secs(20)).quiet_from(ms(20_000));
    let outcome = wish.run(1).unwrap_or_else(|trouble| panic!("{trouble}"));
    assert_eq!(outcome.unfinished(), 1);
}

#[test]
fn the_same_seed_gives_the_same_run_of_engines() {
    let churn = Churn {
        per_million: 300_000,
        crash: Crash::Power,
        during: ms(500)..ms(4_000),
        back_after: Some(Duration::from_secs(1)),
    };
    let office = Scenario::branch_office(6, Wan::mbit(50)).staggered(Duration::from_millis(700)).churn(churn);
    let wish = swarm(office, 8 * MIB).quiet_from(ms(6_000));
    let first = run(&wish, 1);
    assert_eq!(first, run(&wish, 1));
    assert_ne!(first.fingerprint, run(&wish, 2).fingerprint);
}

/// A small world in the middle of its transfer, to be broken.
fn halfway() -> simnet::World<Machine> {
    let mut stage = swarm(Scenario::branch_office(2, Wan::mbit(100)), 64 * MIB).holders(1).stage(1);
    stage.world.run_until(ms(600)).unwrap();
    stage.world
}

fn broken(break_it: impl FnOnce(&mut Node)) -> String {
    let mut world = halfway();
    let act = |machine: &mut Machine, _| {
        if let Machine::Node(node) = machine {
            break_it(node);
        }
    };
    world.act(HostId(1), act).unwrap();
    world.check().unwrap_err().to_string()
}

#[test]
fn the_oracles_of_the_engine_can_fail() {
    let lost = |node: &mut Node| drop(node.leases.pop_first());
    assert!(broken(lost).contains("some lost"));
    assert!(broken(|node| node.tally.told.1 = 0).contains("was told"));
    assert!(broken(|node| node.broke("a job goes astray".into())).contains("astray"));
    let false_piece = |node: &mut Node| {
        let file = *node.parts.keys().next().unwrap();
        let author = node.spec.library.peer_of(HostId(0));
        let standing = crate::engine::io::Standing::Provisional { author };
        node.parts.get_mut(&file).unwrap().restand(0..900, standing, &node.spec.library);
        let from = crate::engine::io::ServeFrom::Part(file);
        let range = peer_proto::content::ByteRange::new(0..64 * MIB).unwrap();
        node.serve(
            crate::engine::io::ServeId(1),
            HostId(0),
            peer_proto::session::RequestId(1),
            from,
            &[range],
            &[],
        );
    };
    assert!(broken(false_piece).contains("neither certain nor proved"));
}

#[test]
fn a_job_that_stands_still_is_found() {
    let gone = Fault::Origin(OriginId(0), OriginSpec { reach: Reach::Refuses, ..OriginSpec::default() });
    let wish = swarm(Scenario::branch_office(1, Wan::mbit(100)), 64 * MIB).fault(ms(1_000), gone);
    let trouble = wish.run(1).unwrap_err().to_string();
    assert!(trouble.contains("oracle progress") && trouble.contains("has got nothing"), "{trouble}");
}
