//! Two sessions of `peer-proto` in a simulated world: loss, cuts, healing, broken streams (D49, D50).
//!
//! Knows: what a holder and a seeker do with a session. Does not know: real bytes; blocks are modelled by headers.

#![expect(clippy::unwrap_used, reason = "tests may")]

mod node;

use std::time::Duration;

use node::{Happening, Node, list};
use peer_proto::time::Instant;
use simnet::{Fault, HostId, LinkSpec, World};

fn ms(count: u64) -> Instant {
    Instant::from_micros(count * 1_000)
}

/// 100 Mbit/s, 5 ms.
fn line(loss_per_million: u32) -> LinkSpec {
    LinkSpec {
        rate_bytes_per_s: 12_500_000,
        delay: Duration::from_millis(5),
        loss_per_million,
        patience: Duration::from_secs(20),
    }
}

/// A seeker and a holder of 1 500 pieces (94 MiB) on one line.
fn world(seed: u64, spec: LinkSpec) -> (World<Node>, HostId, HostId) {
    let mut world = World::new(seed);
    let seeker = world.add(Node::seeker(1)).unwrap();
    let holder = world.add(Node::holder(2, list(1_500))).unwrap();
    world.connect(seeker, holder, spec).unwrap();
    (world, seeker, holder)
}

fn finish(world: &mut World<Node>, seeker: HostId, by: Instant) -> Instant {
    let done = |world: &World<Node>| world.host(seeker).unwrap().is_complete();
    assert!(world.run_until_done(by, done).unwrap(), "{:?}", world.host(seeker).unwrap().story());
    world.now()
}

fn assert_clean(world: &World<Node>, hosts: &[HostId]) {
    for id in hosts {
        let story = world.host(*id).unwrap().story();
        let broken = story.iter().find(|(_, happening)| matches!(happening, Happening::Broken(_)));
        assert_eq!(broken, None, "nobody breaks the protocol");
    }
}

fn times_of(world: &World<Node>, id: HostId, what: &Happening) -> Vec<Instant> {
    let story = world.host(id).unwrap().story();
    story.iter().filter(|(_, happening)| happening == what).map(|(at, _)| *at).collect()
}

#[test]
fn a_quiet_line_carries_the_file_at_its_rate() {
    let (mut world, seeker, holder) = world(1, line(0));
    let at = finish(&mut world, seeker, ms(60_000));
    // 98 304 000 bytes at 12.5 MB/s are 7.87 s.
    assert!((ms(7_864)..ms(8_100)).contains(&at), "{at:?}");
    assert_clean(&world, &[seeker, holder]);
    let counts = world.counts(holder, seeker);
    assert_eq!((counts.sent, counts.dropped, counts.packets_lost), (counts.arrived, 0, 0));
}

#[test]
fn d49_loss_makes_a_session_late_and_never_wrong() {
    for (loss, limit) in [(1_000, 12_000), (10_000, 14_000), (100_000, 40_000)] {
        for seed in 0..10 {
            let (mut world, seeker, holder) = world(seed, line(loss));
            finish(&mut world, seeker, ms(limit));
            assert_clean(&world, &[seeker, holder]);
            assert!(world.counts(holder, seeker).packets_lost > 0);
            let story = world.host(seeker).unwrap().story();
            assert!(!story.iter().any(|(_, what)| *what == Happening::Lost), "the stream holds");
        }
    }
}

#[test]
fn d50_a_cut_at_any_moment_heals() {
    for seed in 0..60 {
        let (mut world, seeker, holder) = world(seed, line(1_000));
        let start = world.dice().below(8_000);
        let span = 1 + world.dice().below(9_000);
        world.schedule(ms(start), Fault::Cut(seeker, holder));
        world.schedule(ms(start + span), Fault::Heal(seeker, holder));
        let at = finish(&mut world, seeker, ms(60_000));
        assert!(at < ms(start + span + 30_000), "recovers within 30 s of healing, not at {at:?}");
        assert_clean(&world, &[seeker, holder]);
    }
}

#[test]
fn d50_a_cut_before_the_answer_is_reported_and_the_late_answer_is_harmless() {
    let (mut world, seeker, holder) = world(3, line(0));
    // The question leaves at 5 ms, when the Hello is here; its answer would come at 20 ms.
    world.schedule(ms(12), Fault::Cut(seeker, holder));
    world.schedule(ms(6_000), Fault::Heal(seeker, holder));
    world.run_until(ms(5_500)).unwrap();
    let times = times_of(&world, seeker, &Happening::NotHere);
    assert!(times.len() == 1 && (ms(5_005)..ms(5_006)).contains(&times[0]), "silence for 5 s: {times:?}");
    finish(&mut world, seeker, ms(60_000));
    assert_clean(&world, &[seeker, holder]);
}

#[test]
fn d50_a_cut_before_the_list_is_reported_and_the_late_page_is_harmless() {
    let (mut world, seeker, holder) = world(3, line(0));
    world.schedule(ms(22), Fault::Cut(seeker, holder));
    world.schedule(ms(7_000), Fault::Heal(seeker, holder));
    world.run_until(ms(6_500)).unwrap();
    assert_eq!(times_of(&world, seeker, &Happening::NotHere), []);
    let silent = times_of(&world, seeker, &Happening::ListSilent);
    assert!(silent.len() == 1 && (ms(5_015)..ms(5_030)).contains(&silent[0]), "{silent:?}");
    finish(&mut world, seeker, ms(60_000));
    assert_clean(&world, &[seeker, holder]);
    assert_eq!(times_of(&world, seeker, &Happening::List).len(), 1);
}

#[test]
fn d50_one_way_cuts_heal_too() {
    for seed in 0..20 {
        let (mut world, seeker, holder) = world(seed, line(0));
        let (from, to) = if seed % 2 == 0 { (seeker, holder) } else { (holder, seeker) };
        let start = world.dice().below(5_000);
        world.schedule(ms(start), Fault::CutOneWay(from, to));
        world.schedule(ms(start + 7_000), Fault::Heal(seeker, holder));
        finish(&mut world, seeker, ms(60_000));
        assert_clean(&world, &[seeker, holder]);
    }
}

#[test]
fn d50_a_broken_stream_is_told_and_a_new_session_goes_on_where_the_old_one_was() {
    let (mut world, seeker, holder) = world(5, line(0));
    world.schedule(ms(3_000), Fault::Cut(seeker, holder));
    world.schedule(ms(30_000), Fault::Connect(seeker, holder));
    world.schedule(ms(31_000), Fault::Heal(seeker, holder));
    world.schedule(ms(32_000), Fault::Connect(seeker, holder));
    world.run_until(ms(31_500)).unwrap();
    for id in [seeker, holder] {
        assert_eq!(times_of(&world, id, &Happening::Lost), [ms(23_000)], "after 20 s of patience");
        assert_eq!(times_of(&world, id, &Happening::Connected).len(), 1, "not while the line is cut");
    }
    let before = world.counts(holder, seeker);
    assert!(before.dropped > 0);
    let at = finish(&mut world, seeker, ms(60_000));
    assert!(at < ms(32_000 + 6_000), "only what was missing is fetched: {at:?}");
    assert_clean(&world, &[seeker, holder]);
    let total = world.counts(holder, seeker).bytes;
    assert!(total < 98_304_000 + 9 * 4_300_000, "at most the open requests are fetched twice: {total}");
}

#[test]
fn d50_a_partition_leaves_the_other_half_working() {
    let mut world = World::new(9);
    let seekers = [1, 2].map(|number| world.add(Node::seeker(number)).unwrap());
    let holders = [3, 4].map(|number| world.add(Node::holder(number, list(100))).unwrap());
    for (seeker, holder) in seekers.iter().zip(holders) {
        world.connect(*seeker, holder, line(0)).unwrap();
    }
    world.schedule_partition(ms(30), &seekers[..1], &holders);
    world.schedule_healing(ms(15_000), &seekers[..1], &holders);
    let at = finish(&mut world, seekers[1], ms(10_000));
    assert!(at < ms(1_000), "{at:?}");
    assert!(!world.host(seekers[0]).unwrap().is_complete());
    finish(&mut world, seekers[0], ms(30_000));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed: u64| {
        let (mut world, seeker, holder) = world(seed, line(20_000));
        let start = world.dice().below(4_000);
        world.schedule(ms(start), Fault::Cut(seeker, holder));
        world.schedule(ms(start + 1_500), Fault::Heal(seeker, holder));
        finish(&mut world, seeker, ms(60_000));
        (world.now(), world.fingerprint(), world.host(seeker).unwrap().story().to_vec())
    };
    let mut fingerprints = Vec::new();
    for seed in 0..8 {
        let first = run(seed);
        assert_eq!(first, run(seed));
        fingerprints.push(first.1);
    }
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 8, "other seeds, other runs");
}
