//! Peers and origin together: who is asked, who is late, who takes over.

use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::wire::Frame;

use super::world::*;
use crate::engine::io::*;
use crate::engine::piece_set::PieceSet;
use crate::job::{JobState, PeerFlags, Priority};

const MINUTE: Duration = Duration::from_secs(60);
const FAST: u64 = 40_000_000;

fn bytes_of(world: &World, peer: PeerId) -> u64 {
    let view = world.view();
    view.sources.iter().find(|share| share.source == peer.to_string()).map_or(0, |share| share.bytes)
}

#[test]
fn trust_level_0_takes_no_byte_from_peers_and_asks_nobody() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let holder = world.peer(2, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[]));
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.peers), (JobState::Acknowledged, 0));
    assert_eq!(world.model(holder).asked, 0, "no Find leaves");
    assert!(world.view().trust.contains("no digest is known"), "{}", world.view().trust);
}

#[test]
fn trust_11_a_digest_the_origin_states_opens_the_gate() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), FAST);
    world.origin.digests = vec![root_digest(&truth)];
    world.submit(spec(&[]));
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Acknowledged, 0));
}

#[test]
fn a_peer_that_holds_all_leaves_the_origin_nothing_to_do() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    let ms = world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert_eq!((view.bytes.origin, view.bytes.peers, view.bytes.discarded), (0, 64 * MIB, 0));
    assert!(ms < 2_000, "{ms} ms for what takes 1680");
}

#[test]
fn file_17_three_thirds_come_from_three_peers_and_nothing_from_the_origin() {
    let truth = file(63 * MIB, 1);
    let mut world = World::new(&truth);
    let third = 21 * 16;
    for (number, start) in [(2, 0), (3, third), (4, 2 * third)] {
        let peer = world.peer(number, &truth, root_digest(&truth), FAST);
        world.model(peer).have = PieceSet::of(start..start + third);
    }
    world.submit(spec(&[root_digest(&truth)]));
    let ms = world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Acknowledged, 0));
    for number in [2, 3, 4] {
        assert_eq!(bytes_of(&world, peer_id(number)), 21 * MIB);
    }
    assert!(world.engine.file_views(JOB).expect("known")[0].from_peer);
    assert!(ms < 1_000, "{ms} ms: all three at once");
}

#[test]
fn gaps_nobody_holds_come_from_the_origin_at_once() {
    let truth = file(32 * MIB, 1);
    let mut world = World::new(&truth);
    let half = world.peer(2, &truth, root_digest(&truth), FAST);
    world.model(half).have = PieceSet::of(0..256);
    world.submit(spec(&[root_digest(&truth)]));
    let ms = world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Acknowledged, 16 * MIB));
    assert!(ms < 2_300, "{ms} ms");
}

#[test]
fn a_small_file_somebody_waits_for_does_not_wait_for_peers() {
    let truth = file(MIB, 1);
    let mut world = World::new(&truth);
    let other = file(MIB, 9);
    world.peer(2, &other, root_digest(&other), FAST);
    let mut wish = spec(&[root_digest(&truth)]);
    wish.priority = Priority::Foreground;
    world.submit(wish);
    let ms = world.run(MINUTE);
    assert!(world.state() == JobState::Acknowledged && ms <= 150, "{ms} ms for what takes 105");
}

#[test]
fn a_lost_peer_costs_nothing_but_its_open_leases() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    let first = world.peer(2, &truth, root_digest(&truth), FAST);
    let second = world.peer(3, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(400);
    world.lose(first);
    let ms = world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    let view = world.view();
    assert!(view.bytes.peers + view.bytes.origin - 64 * MIB <= 4 * MIB, "{:?}", view.bytes);
    assert!(bytes_of(&world, second) > 40 * MIB && ms < 2_000, "{ms} ms");
}

/// A node whose one peer went while it sent, and came back before its leases had ended.
fn back_before_its_leases_ended() -> (World, PeerId, Vec<LeaseId>) {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(100_000);
    let only = world.peer(2, &truth, root_digest(&truth), 20_000_000);
    world.submit(spec(&[root_digest(&truth)]));
    // Its first requests: those of its next session have the same numbers.
    world.run_until(5_000, |world| !world.peers[&only].wanted.is_empty());
    let open = world.cut_off(only);
    assert!(!open.is_empty(), "it was sending");
    world.connect_again(only, true);
    world.run_until(world.ms + 1_500, |world| !world.peers[&only].wanted.is_empty());
    assert!(!world.peers[&only].wanted.is_empty(), "it is asked again");
    (world, only, open)
}

#[test]
fn the_late_end_of_a_lost_peers_lease_takes_nothing_back_of_its_next_session() {
    let (mut world, peer, open) = back_before_its_leases_ended();
    open.into_iter().for_each(|lease| world.end_late(lease));
    let taken_back = world.peers[&peer].frames.iter().any(|frame| matches!(frame, Frame::Cancel(_)));
    assert!(!taken_back, "the requests of the new session have the numbers of the old one");
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
}

#[test]
fn leases_of_a_lost_peer_that_do_not_end_are_stopped_after_two_seconds() {
    let (mut world, _, open) = back_before_its_leases_ended();
    let ms = world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{} leases, {}", open.len(), world.view().reason);
    assert!(ms < 10_000, "{ms} ms");
}

#[test]
fn a_job_that_is_over_leaves_nothing_in_the_tables_of_its_peers() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let peers =
        [world.peer(2, &truth, root_digest(&truth), FAST), world.peer(3, &file(4 * MIB, 9), sha256(), FAST)];
    world.submit(spec(&[root_digest(&truth)]));
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    for peer in peers {
        let known = world.engine.core.peers.get(peer).expect("connected");
        assert_eq!((known.asked.len(), known.asks.len(), known.requests.len()), (0, 0, 0));
    }
}

#[test]
fn peer_35_the_origin_takes_over_when_the_last_peer_goes() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    let only = world.peer(2, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(800);
    let held = world.view().stored;
    world.lose(only);
    let ms = world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    assert!(world.view().bytes.origin <= 64 * MIB - held, "what was held is not fetched again");
    assert!(ms < 5_500, "{ms} ms");
}

#[test]
fn an_origin_that_goes_is_replaced_by_peers() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(1_000);
    world.origin.fault = Some(transient("connection refused", None));
    world.origin.cuts_after = Some(0);
    for (number, pieces) in [(2, 0..600), (3, 500..1_024)] {
        let peer = world.peer(number, &truth, root_digest(&truth), FAST);
        world.model(peer).have = PieceSet::of(pieces);
    }
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert!(world.view().bytes.discarded < MIB);
}

#[test]
fn trust_5_with_the_origin_away_the_last_piece_proves_the_length() {
    let truth = file(20 * MIB + 5, 1);
    let mut world = World::new(&truth);
    world.origin.fault = Some(transient("connection refused", None));
    world.peer(2, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert_eq!((world.view().bytes.origin, world.view().len), (0, Some(20 * MIB + 5)));
}

#[test]
fn d20_after_a_fatal_answer_peers_may_finish_under_a_digest() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.fault = Some(fatal("410 Gone"));
    world.peer(2, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
}

#[test]
fn d20_a_fatal_answer_without_holders_is_an_error_soon() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.fault = Some(fatal("404 Not Found"));
    let other = file(MIB, 9);
    world.peer(2, &other, root_digest(&other), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    let ms = world.run(MINUTE);
    assert_eq!((world.state(), world.view().reason.as_str()), (JobState::Error, "404 Not Found"));
    assert!(ms <= 3_000, "{ms} ms");
}

/// Two peers and an origin of 10 MB/s; what a fault of the first costs against the same without it.
fn cost_of(then: Option<(u64, u64)>) -> (u64, u64) {
    let truth = file(64 * MIB, 1);
    let run = |then| {
        let mut world = World::new(&truth);
        let first = world.peer(2, &truth, root_digest(&truth), 20_000_000);
        world.peer(3, &truth, root_digest(&truth), 20_000_000);
        world.model(first).pace.then = then;
        world.submit(spec(&[root_digest(&truth)]));
        let ms = world.run(MINUTE);
        assert_eq!(world.state(), JobState::Acknowledged);
        (ms, world.view().bytes.discarded)
    };
    let healthy = run(None);
    let faulty = run(then);
    let rest = 64 * MIB - then.map_or(0, |(at, _)| 2 * at);
    // Without the faulty peer the rest takes twice as long: that is not the engine's cost.
    (faulty.0.saturating_sub(healthy.0 + rest / 40_000), faulty.1)
}

#[test]
fn t5_a_source_that_slows_to_a_twentieth_costs_at_most_two_seconds() {
    for at in [2 * MIB, 16 * MIB, 30 * MIB] {
        let (cost, wasted) = cost_of(Some((at, 1_000_000)));
        assert!(cost <= 2_000, "slow from {at} on costs {cost} ms");
        assert!(wasted <= 8 * MIB, "{wasted} bytes twice");
    }
}

#[test]
fn d26_a_source_that_stops_after_nine_tenths_of_a_lease_costs_at_most_two_seconds() {
    for at in [950_000, 16 * MIB + 3_700_000, 31 * MIB] {
        let (cost, wasted) = cost_of(Some((at, 0)));
        assert!(cost <= 2_000, "silent from {at} on costs {cost} ms");
        assert!(wasted <= 8 * MIB, "{wasted} bytes twice");
    }
}

#[test]
fn d26_a_peer_that_says_it_has_all_and_never_answers_is_passed_by() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), 0);
    world.submit(spec(&[root_digest(&truth)]));
    let ms = world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    let why = world.engine.decisions(JOB);
    assert!(ms <= 2_100 + 2_050, "{ms} ms against 2100 from the origin alone: {why:#?}");
}

#[test]
fn d27_a_peer_at_a_trickle_does_not_hold_a_job_up() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), 1_000);
    let mut wish = spec(&[root_digest(&truth)]);
    wish.priority = Priority::Foreground;
    world.submit(wish);
    let ms = world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    assert!(ms <= 2_100 + 2_050, "{ms} ms");
}

#[test]
fn claim_13_the_origin_runs_beside_slow_provisional_sources() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, sha256(), 300_000);
    world.submit(spec(&[sha256()]));
    let ms = world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    assert!(ms <= 6_700 + 2_500, "{ms} ms against 6700 over plain HTTP");
}

#[test]
fn a_foreground_job_is_not_slower_than_plain_http_because_of_slow_neighbours() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), 500_000);
    let mut wish = spec(&[root_digest(&truth)]);
    wish.priority = Priority::Foreground;
    world.submit(wish);
    let ms = world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    assert!(ms <= 6_700 * 105 / 100 + 2_000, "{ms} ms");
}

#[test]
fn the_origin_yields_its_tail_to_peers_that_turn_up() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(1_000);
    world.peer(2, &truth, root_digest(&truth), FAST);
    let ms = world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged);
    assert!(view.bytes.origin < 15 * MIB, "{:?}", view.bytes);
    assert!(view.bytes.discarded <= MIB && ms < 3_000, "{:?} in {ms} ms", view.bytes);
}

#[test]
fn d52_toggling_the_permission_switches_the_source_at_the_same_offset() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    let peer = world.peer(2, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(500);
    let stored = world.view().stored;
    world.tell(Input::FlagsChanged(PeerFlags { client: false, server: true }));
    let given = world.model(peer).pace.given;
    world.run_for(1_000);
    assert_eq!(world.model(peer).pace.given, given, "no byte from peers while it is off");
    assert!(world.view().stored >= stored, "progress never goes back");
    world.tell(Input::FlagsChanged(PeerFlags::BOTH));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged);
    assert!(bytes_of(&world, peer) > given);
    assert!(view.bytes.origin + view.bytes.peers - 64 * MIB <= 4 * MIB, "{:?}", view.bytes);
}

#[test]
fn peer_9_and_10_a_toggle_visits_queued_only_and_counts_no_error() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(500);
    world.states.clear();
    world.tell(Input::FlagsChanged(PeerFlags::NONE));
    world.run_for(100);
    let passing = [JobState::Queued, JobState::Connecting, JobState::Transferring];
    assert!(world.states.iter().all(|state| passing.contains(state)), "{:?}", world.states);
    assert_eq!(world.view().failure, None);
}

#[test]
fn peer_2_one_flag_alone_allows_nothing() {
    let truth = file(4 * MIB, 1);
    for (computer, job) in [(PeerFlags::BOTH, PeerFlags::NONE), (PeerFlags::NONE, PeerFlags::BOTH)] {
        let mut world = World::with_flags(&truth, computer);
        let peer = world.peer(2, &truth, root_digest(&truth), FAST);
        let mut wish = spec(&[root_digest(&truth)]);
        wish.flags = job;
        world.submit(wish);
        world.run(MINUTE);
        assert_eq!((world.state(), world.view().bytes.peers), (JobState::Acknowledged, 0));
        assert_eq!((world.model(peer).asked, world.kept), (0, 0));
        assert!(world.view().trust.contains("flag is off"), "{}", world.view().trust);
    }
}

#[test]
fn peers_that_lacked_it_are_asked_again_while_it_is_wanted() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(2_000_000);
    let late = world.peer(2, &truth, root_digest(&truth), FAST);
    world.model(late).digest = None;
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(1_000);
    assert_eq!(world.model(late).asked, 1);
    world.model(late).digest = Some(root_digest(&truth));
    let ms = world.run(MINUTE);
    assert!(world.state() == JobState::Acknowledged && ms < 6_000, "{ms} ms");
}

#[test]
fn a_peer_that_said_it_holds_the_file_is_not_asked_for_it_again() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    let peer = world.peer(2, &truth, root_digest(&truth), 2_000_000);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(20_000);
    assert!(bytes_of(&world, peer) > 0);
    assert_eq!(world.model(peer).asked, 1);
}

#[test]
fn peers_are_asked_while_the_part_is_still_being_emptied_on_a_slow_disk() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.slow_resets = true;
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(1_000);
    assert_eq!((world.resets, world.origin.leases), (1, 0));
    let peer = world.peer(2, &truth, root_digest(&truth), FAST);
    world.run_for(300);
    assert_eq!(world.model(peer).asked, 1);
    world.slow_resets = false;
    world.drop_now();
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.peers), (JobState::Acknowledged, 4 * MIB));
}

#[test]
fn every_range_has_a_decision_that_names_source_and_reason() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    let peer = world.peer(2, &truth, root_digest(&truth), FAST);
    world.model(peer).have = PieceSet::of(0..512);
    let other = file(MIB, 9);
    let without = world.peer(3, &other, root_digest(&other), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run(MINUTE);
    let decisions = world.engine.decisions(JOB).expect("known");
    let mut covered = 0;
    for decision in decisions.iter().filter(|decision| decision.range.is_some()) {
        assert!(!decision.why.is_empty() && !decision.outcome.is_empty(), "{decision:?}");
        covered += decision.range.map_or(0, |range| range.len());
    }
    assert!(covered >= 64 * MIB && decisions.len() < 200, "{covered} in {} decisions", decisions.len());
    let named = |text: &str| decisions.iter().any(|one| one.others.iter().any(|other| other.contains(text)));
    assert!(named(&without.to_string()) && named("says it does not have it"));
}

#[test]
fn the_origin_waits_for_peers_that_turn_up_one_after_the_other() {
    let truth = file(63 * MIB, 1);
    let mut world = World::expecting_peers(&truth);
    world.submit(spec(&[root_digest(&truth)]));
    let third = 21 * 16;
    for (number, start) in [(2, 0), (3, third), (4, 2 * third)] {
        world.run_for(180);
        let peer = world.peer(number, &truth, root_digest(&truth), FAST);
        world.model(peer).have = PieceSet::of(start..start + third);
    }
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Acknowledged, 0));
}

#[test]
fn where_few_neighbours_were_met_before_the_origin_does_not_wait_once_all_of_them_have_answered() {
    let began = |neighbours_known| {
        let truth = file(20 * MIB, 1);
        let mut world = World::new(&truth);
        let config = crate::engine::EngineConfig { neighbours_known, ..config(PeerFlags::BOTH) };
        world.engine = crate::engine::Engine::new(config, world.now());
        let peer = world.peer(2, &truth, sha256(), FAST);
        world.model(peer).digest = None;
        world.submit(spec(&[root_digest(&truth)]));
        while world.view().bytes.origin == 0 {
            world.run_for(10);
        }
        world.ms
    };
    let (unknown, few, many) = (began(0), began(5), began(32));
    assert!(few + 150 <= unknown && unknown == many, "{unknown} ms, {few} ms, {many} ms");
}

#[test]
fn peers_that_never_turn_up_cost_less_than_half_a_second() {
    let truth = file(20 * MIB, 1);
    let mut world = World::expecting_peers(&truth);
    world.submit(spec(&[root_digest(&truth)]));
    let ms = world.run(MINUTE);
    assert!(world.state() == JobState::Acknowledged && ms <= 2_600, "{ms} ms for what takes 2100");
}

#[test]
fn a_limit_of_the_job_does_not_make_its_peers_slow() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), 1_000_000);
    let mut wish = spec(&[root_digest(&truth)]);
    wish.rates.total = std::num::NonZeroU64::new(1_000_000);
    wish.priority = Priority::Foreground;
    world.submit(wish);
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Acknowledged, 0));
}

#[test]
fn claim_5_no_more_than_a_megabyte_is_taken_while_the_origin_has_not_answered() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.silent = true;
    let liar = world.peer(2, &file(64 * MIB, 9), sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.found.version = Some(world.origin.version.clone());
    world.run_for(3_000);
    assert!(world.model(liar).pace.given <= MIB);
}

#[test]
fn trust_5_an_origin_that_comes_back_says_the_length_itself() {
    let truth = file(20 * MIB + 5, 1);
    let mut world = World::new(&truth);
    world.origin.fault = Some(transient("connection refused", None));
    let half = world.peer(2, &truth, root_digest(&truth), FAST);
    world.model(half).have = PieceSet::of(0..160);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(2_500);
    let (stored, len) = (world.view().stored, world.view().len);
    assert_eq!((stored, len), (0, None), "nobody has the last piece, so nothing proves the length");
    world.origin.fault = None;
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert!((10 * MIB..11 * MIB).contains(&view.bytes.peers), "{:?}", view.bytes);
}

#[test]
fn a_part_that_was_begun_goes_on_from_peers_while_the_origin_is_away() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    world.found.version = Some(world.origin.version.clone());
    let values = truth.values()[..100].to_vec();
    world.disk = (0..100).zip(values.iter().copied()).collect();
    let first = peer_proto::content::PieceIndex(0);
    let run = peer_proto::standing::PieceRun { first, values, standing: Standing::Certain };
    world.found.runs = vec![run];
    world.origin.fault = Some(transient("connection refused", None));
    world.peer(2, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!((view.state, view.bytes.peers), (JobState::Acknowledged, 220 * 65_536), "{}", view.reason);
    assert_eq!(world.resets, 0);
}

#[test]
fn a_small_file_comes_from_whoever_is_first() {
    let truth = file(200_000, 1);
    let ms_with = |origin_rate, peer_rate| {
        let mut world = World::new(&truth);
        world.origin.pace.rate = origin_rate;
        world.peer(2, &truth, root_digest(&truth), peer_rate);
        let mut wish = spec(&[root_digest(&truth)]);
        wish.priority = Priority::Foreground;
        world.submit(wish);
        let ms = world.run(MINUTE);
        assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
        (ms, world.view().bytes)
    };
    let (ms, bytes) = ms_with(25_600, FAST);
    assert!(ms <= 100, "{ms} ms from a peer beside an origin that takes eight seconds: {bytes:?}");
    assert!(bytes.origin <= 4_000 && bytes.peers == 200_000, "{bytes:?}");
    let (ms, bytes) = ms_with(100_000_000, 25_600);
    assert!(ms <= 50, "{ms} ms from the origin beside a slow peer: {bytes:?}");
}
