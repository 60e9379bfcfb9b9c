//! A file that is not what the digest names: what is tried, in which order, and what is kept of it.

use std::time::Duration;

use peer_proto::content::PieceIndex;
use peer_proto::standing::{PieceRun, Standing};

use super::world::*;
use crate::job::JobState;

const MINUTE: Duration = Duration::from_secs(60);
const FAST: u64 = 40_000_000;

/// A node whose origin is away, with two neighbours that state and send the same false list.
fn between_two_liars(len: u64, rate: u64) -> World {
    let mut world = World::new(&file(len, 1));
    world.origin.fault = Some(transient("connection refused", None));
    let lie = altered(len, 1, &[9]);
    world.peer(2, &lie, sha256(), rate);
    world.peer(3, &lie, sha256(), rate);
    world.submit(spec(&[sha256()]));
    world
}

fn count(world: &World, effect: &str) -> usize {
    world.effects.iter().filter(|known| *known == effect).count()
}

#[test]
fn a_whole_part_from_before_that_is_wrong_waits_for_the_origin_and_starts_anew() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let lie = file(4 * MIB, 9);
    world.found.version = Some(world.origin.version.clone());
    world.disk = (0..64).zip(lie.values().iter().copied()).collect();
    let (first, values) = (PieceIndex(0), lie.values().to_vec());
    world.found.runs = vec![PieceRun { first, values, standing: Standing::Certain }];
    world.origin.fault = Some(transient("connection refused", None));
    world.submit(spec(&[sha256()]));
    world.run_for(20_000);
    let view = world.view();
    assert_eq!((view.state, world.delivered), (JobState::TransientError, 0), "{}", view.reason);
    assert!(world.resets > 0 && world.disk.is_empty(), "nothing of it is kept");
    world.origin.fault = None;
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Acknowledged, 4 * MIB));
}

#[test]
fn claim_10_step_5_a_list_that_was_followed_alone_in_vain_is_not_believed_again() {
    let mut world = between_two_liars(32 * MIB, FAST);
    world.run_for(20_000);
    let view = world.view();
    assert_eq!((view.state, world.delivered), (JobState::TransientError, 0), "{}", view.reason);
    assert!(view.bytes.peers <= 33 * MIB, "it is taken once: {:?}", view.bytes);
    let truth = std::sync::Arc::clone(&world.truth);
    world.peer(4, &truth, sha256(), FAST);
    world.run(MINUTE);
    let view = world.view();
    assert_eq!((view.state, view.bytes.origin), (JobState::Acknowledged, 0), "{}", view.reason);
    assert!(view.bytes.peers <= 66 * MIB, "{:?}", view.bytes);
}

#[test]
fn claim_10_step_5_the_next_list_costs_the_pieces_in_which_it_differs() {
    let mut world = between_two_liars(32 * MIB, 8_000_000);
    world.run_for(300);
    let truth = std::sync::Arc::clone(&world.truth);
    world.peer(4, &truth, sha256(), 8_000_000);
    world.run(MINUTE);
    let view = world.view();
    assert_eq!((view.state, view.bytes.origin), (JobState::Acknowledged, 0), "{}", view.reason);
    assert!(view.bytes.peers <= 32 * MIB + 4 * 65_536, "{:?}", view.bytes);
}

#[test]
fn claim_10_step_5_a_list_whose_holders_are_gone_is_kept_for_when_they_are_back() {
    let mut world = between_two_liars(32 * MIB, 8_000_000);
    world.run_for(300);
    let truth = std::sync::Arc::clone(&world.truth);
    let honest = world.peer(4, &truth, sha256(), 0);
    world.run_for(600);
    world.lose(honest);
    world.run_for(20_000);
    assert_eq!((world.state(), world.delivered), (JobState::TransientError, 0));
    world.peer(4, &truth, sha256(), 8_000_000);
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Acknowledged, 0));
}

#[test]
fn trust_1_what_the_digest_agreed_with_is_proved_for_the_next_process_too() {
    let truth = file(32 * MIB, 1);
    for has_peer in [true, false] {
        let mut world = World::new(&truth);
        if has_peer {
            world.peer(2, &truth, sha256(), FAST);
        }
        world.submit(crate::job::JobSpec { auto_complete: false, ..spec(&[sha256()]) });
        world.run_until(20_000, |world| world.state() == JobState::Transferred);
        assert_eq!(world.state(), JobState::Transferred, "{}", world.view().reason);
        let is_proved = world.standings.values().all(|standing| *standing == Standing::Proved);
        // What the origin gave is certain, and stays that.
        assert_eq!((is_proved, count(&world, "Restand") > 0), (has_peer, has_peer));
    }
}
