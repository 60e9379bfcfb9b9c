//! Which source gets what, and how much at a time.

use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::session::RefuseReason;
use peer_proto::wire::Frame;

use super::world::*;
use crate::engine::fetch::Reach;
use crate::engine::file::JobFile;
use crate::engine::io::*;
use crate::engine::piece_set::PieceSet;
use crate::job::{JobState, Priority};

const MINUTE: Duration = Duration::from_secs(60);
const FAST: u64 = 40_000_000;

/// How many requests a peer has open, and how many bytes of them are still to come, at most, while it gives the file.
fn in_hand(rate: u64, ms: u64) -> (usize, u64) {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(0);
    let peer = world.peer(2, &truth, root_digest(&truth), rate);
    world.submit(spec(&[root_digest(&truth)]));
    let (mut count, mut bytes) = (0, 0);
    for _ in 0..ms / 10 {
        world.run_for(10);
        let Some(file) = world.engine.files.values().next() else { break };
        let open = || file.leases.values().filter(|lease| lease.peer() == Some(peer) && !lease.stopped);
        count = open().count().max(count);
        bytes = bytes.max(open().map(|lease| u64::from(lease.left(65_536)) * 65_536).sum());
    }
    (count, bytes)
}

#[test]
fn trust_8_a_peer_has_one_request_of_a_megabyte_until_its_bytes_are_proved_and_four_then() {
    assert_eq!(in_hand(0, 1_000), (1, MIB));
    let (count, bytes) = in_hand(FAST, 1_500);
    assert_eq!(count, 4);
    assert!((12 * MIB..=16 * MIB).contains(&bytes), "half a second each, four megabytes at most: {bytes}");
}

#[test]
fn a_slow_peer_is_asked_for_no_more_than_it_gives_in_two_seconds_beside_two_requests() {
    let (count, bytes) = in_hand(100_000, 14_000);
    assert!(count == 2 && bytes <= MIB + MIB / 4, "{count} requests, {bytes} bytes");
}

/// Bytes an origin gave in six seconds beside a peer that has all of it and gives so many a second.
fn origin_beside(rate: u64, change: impl Fn(&mut crate::job::JobSpec)) -> u64 {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), rate);
    let mut wish = spec(&[root_digest(&truth)]);
    change(&mut wish);
    world.submit(wish);
    world.run_for(6_000);
    world.view().bytes.origin
}

#[test]
fn an_origin_runs_beside_peers_of_a_job_nobody_waits_for_only_if_they_drip() {
    assert_eq!(origin_beside(18_000, |wish| wish.priority = Priority::Normal), 0);
    assert!(origin_beside(14_000, |wish| wish.priority = Priority::Normal) > 10 * MIB);
}

#[test]
fn an_origin_runs_beside_peers_of_a_job_somebody_waits_for_if_they_are_slower_than_it() {
    assert!(origin_beside(3_900_000, |wish| wish.priority = Priority::Foreground) > 10 * MIB);
    assert_eq!(origin_beside(6_000_000, |wish| wish.priority = Priority::Foreground), 0);
}

#[test]
fn a_peer_that_holds_the_tail_takes_it_over_and_the_origin_ends_before_it() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(500);
    let peer = world.peer(2, &truth, root_digest(&truth), FAST);
    world.model(peer).have = PieceSet::of(768..1_024);
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(
        (view.state, view.bytes.origin, view.bytes.peers),
        (JobState::Acknowledged, 48 * MIB, 16 * MIB)
    );
}

#[test]
fn a_peer_that_holds_the_beginning_takes_nothing_from_an_origin_that_is_past_it() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(2_000);
    let peer = world.peer(2, &truth, root_digest(&truth), FAST);
    world.model(peer).have = PieceSet::of(0..100);
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Acknowledged, 64 * MIB));
}

#[test]
fn further_connections_take_half_of_the_longest_and_none_is_cut_below_two_megabytes() {
    let truth = file(120 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[]));
    world.run_until(10_000, |world| world.origin_spans.len() > 1);
    // Two connections give more than one.
    world.origin.pace.rate = 16_000_000;
    let at = world.view().stored;
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    let spans = &world.origin_spans;
    let (start, end) = spans[1];
    assert_eq!(end, Some(120 * MIB));
    assert!(start.abs_diff(u64::midpoint(at, 120 * MIB)) <= MIB, "{start} when {at} were there");
    let shortest = spans.iter().filter_map(|(start, end)| Some((*end)? - start)).min();
    assert!(shortest >= Some(MIB), "{spans:?}");
    assert!(spans.len() > 3, "who is done takes a share of what is left: {spans:?}");
    assert!(world.view().bytes.origin <= 120 * MIB + 8 * 65_536, "{:?}", world.view().bytes);
}

#[test]
fn an_origin_that_asks_for_less_gets_one_connection_for_good() {
    let retry = |seconds| Some(Duration::from_secs(seconds));
    let limited = |retry_after, status| {
        let truth = file(120 * MIB, 1);
        let mut world = World::new(&truth);
        world.origin.fault = Some(OriginFault::new(Severity::Transient { retry_after }, "no", Some(status)));
        world.submit(spec(&[]));
        world.run_for(100);
        world.origin.fault = None;
        world.run_for(12_000);
        world.origin_spans.len() == 1
    };
    assert!(limited(retry(1), 502) && limited(None, 429) && limited(None, 503));
    assert!(!limited(None, 502), "that one did not ask for anything");
}

/// A job whose only source is held back by a rate of this node's own, and one that is beside it.
fn held_back(is_told: bool) -> (u64, PeerId, World) {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    let peer = world.peer(2, &truth, root_digest(&truth), FAST);
    world.model(peer).pace.then = Some((16 * MIB, 0));
    world.submit(spec(&[root_digest(&truth)]));
    for _ in 0..100 {
        world.run_for(50);
        let leases: Vec<LeaseId> =
            world.engine.files.values().flat_map(|file| file.leases.keys().copied()).collect();
        if is_told {
            leases.into_iter().for_each(|lease| world.tell(Input::LeaseHeld { lease }));
        }
    }
    (world.view().bytes.origin, peer, world)
}

#[test]
fn a_peer_that_this_nodes_own_rate_holds_back_is_not_taken_for_a_silent_one() {
    let (bytes, peer, mut world) = held_back(true);
    assert_eq!(bytes, 0);
    world.model(peer).pace.then = None;
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.discarded), (JobState::Acknowledged, 0));
    assert!(held_back(false).0 > 16 * MIB, "one that is silent by itself is");
}

#[test]
fn claim_5_two_pieces_are_checked_at_a_time_and_none_twice() {
    let truth = file(256 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(10_000);
    world.peer(2, &truth, sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run_until(5_000, |world| world.origin_spans.len() == 2);
    world.run_for(300);
    let [first, second] = world.origin_spans[..] else { panic!("{:?}", world.origin_spans) };
    let is_piece = |(start, end): (u64, Option<u64>)| end == Some(start + 65_536);
    assert!(first != second && is_piece(first) && is_piece(second), "{first:?} {second:?}");
}

#[test]
fn claim_10_with_the_origin_away_and_every_list_false_a_job_waits_for_another_word() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.fault = Some(transient("connection refused", None));
    let lie = file(4 * MIB, 9);
    world.peer(2, &lie, sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run_for(20_000);
    assert_eq!(world.state(), JobState::TransientError, "{}", world.view().reason);
    assert_eq!(world.delivered, 0);
    world.origin.fault = None;
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert!(view.bytes.origin >= 4 * MIB, "nothing of the lie is in it: {:?}", view.bytes);
}

#[test]
fn peer_35_a_peer_that_only_drips_is_let_go_and_its_requests_end() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.fault = Some(transient("connection refused", None));
    let peer = world.peer(2, &truth, root_digest(&truth), 8_000);
    world.submit(spec(&[root_digest(&truth)]));
    let stops = |world: &World| world.effects.iter().filter(|effect| *effect == "StopLease").count();
    world.run_for(10_000);
    assert_eq!(stops(&world), 0, "ten seconds are given to it");
    world.run_for(3_000);
    assert!(stops(&world) > 0);
    let other = world.peer(3, &truth, root_digest(&truth), FAST);
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert!(world.model(other).pace.given > 60 * MIB && world.model(peer).pace.given < MIB);
}

#[test]
fn a_busy_peer_is_asked_again_when_it_said_and_not_before() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(10_000);
    let peer = world.peer(2, &truth, root_digest(&truth), 0);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_until(2_000, |world| !world.peers[&peer].wanted.is_empty());
    let (now, retry) = (world.now().monotonic, Duration::from_secs(5));
    for request in std::mem::take(&mut world.model(peer).wanted) {
        world.model(peer).session.refuse(request, RefuseReason::Busy { retry }, now);
    }
    world.pump_and_tell(peer);
    let asked =
        |world: &World| world.peers[&peer].frames.iter().filter(|it| matches!(it, Frame::Want(_))).count();
    let before = asked(&world);
    world.run_for(4_900);
    assert_eq!(asked(&world), before);
    world.run_for(300);
    assert!(asked(&world) > before);
}

#[test]
fn claim_5_an_audit_is_possible_while_the_origin_may_answer_for_single_pieces_and_no_list_is_trusted() {
    let truth = file(16 * MIB, 1);
    let possible = |change: fn(&mut JobFile)| {
        let mut world = World::new(&truth);
        world.origin.pace = Pace::steady(100_000);
        world.submit(spec(&[sha256()]));
        world.run_for(300);
        let file = world.engine.files.values_mut().next().expect("on its way");
        change(file);
        file.audit_is_possible()
    };
    let fail = |file: &mut JobFile, times: usize| {
        (0..times).for_each(|_| file.origin.breaker.fail(0, peer_proto::time::Instant::ZERO));
    };
    assert!(possible(|_| {}));
    assert!(possible(|file| file.origin.reach = Reach::Unknown), "it has not said no");
    assert!(!possible(|file| file.origin.reach = Reach::Away));
    assert!(!possible(|file| file.origin.no_ranges = true));
    assert!(!possible(|file| file.claims.trusted = Some(self::file(16 * MIB, 1))), "nothing is in doubt");
    let mut world = World::new(&truth);
    world.submit(spec(&[sha256()]));
    world.run_for(300);
    let file = world.engine.files.values_mut().next().expect("on its way");
    fail(file, 2);
    assert!(file.audit_is_possible());
    fail(file, 1);
    assert!(!file.audit_is_possible(), "it failed three times in a row");
}

/// A job that somebody waits for, whose origin runs beside a peer of this rate because that is slower.
fn run_beside(origin: u64, rate: u64) -> (World, PeerId) {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(origin);
    let peer = world.peer(2, &truth, root_digest(&truth), rate);
    let mut wish = spec(&[root_digest(&truth)]);
    wish.priority = Priority::Foreground;
    world.submit(wish);
    world.run_until(6_000, |world| world.origin.pace.given > 2 * MIB);
    assert!(world.model(peer).pace.given > MIB);
    (world, peer)
}

#[test]
fn an_origin_that_was_late_and_goes_on_brings_little_of_what_a_peer_took_over() {
    let (mut world, _) = run_beside(10_000_000, 3_900_000);
    world.origin.pace.then = Some((0, 0));
    world.run_for(1_500);
    world.origin.pace.then = None;
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    let twice = view.bytes.origin + view.bytes.peers - 64 * MIB;
    assert!(twice <= 2 * MIB, "{twice} bytes came twice: {:?}", view.bytes);
    assert!(view.bytes.origin > 32 * MIB, "it is asked again: {:?}", view.bytes);
}

#[test]
fn an_origin_leaves_a_job_to_peers_that_give_more_than_a_rate_of_this_node_lets_pass() {
    let (mut world, peer) = run_beside(2_000_000, 600_000);
    let mut held = |is_told: bool| {
        for _ in 0..10 {
            world.run_for(100);
            let open = world.engine.files.values().flat_map(|file| &file.leases);
            let its = open.filter(|(_, lease)| lease.peer() == Some(peer)).map(|(id, _)| *id);
            let its: Vec<LeaseId> = its.filter(|_| is_told).collect();
            its.into_iter().for_each(|lease| world.tell(Input::LeaseHeld { lease }));
        }
        world.view().bytes.origin
    };
    assert!(held(false) > 3 * MIB, "the peer is slow by itself");
    let given = held(true);
    assert_eq!(held(true), given, "it would be no faster with the origin");
}
