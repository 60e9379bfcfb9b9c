//! A file that is wrong beside others who want it: lists on trial, what others read, how long it may take.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::{Hash, PieceIndex};
use peer_proto::home::swarm_id;
use peer_proto::peer::PeerId;
use peer_proto::standing::Standing;
use peer_proto::verify::HashList;

use super::world::*;
use crate::engine::fetch::Reach;
use crate::engine::file::JobFile;
use crate::job::JobState;

const MINUTE: Duration = Duration::from_secs(60);
const FAST: u64 = 40_000_000;
const LEN: u64 = 64 * MIB;
const PIECE: u64 = 65_536;

/// A node beside a liar and others that want the file too and were there before it was found wrong, just after that. The
/// origin gives nothing any more.
fn found_wrong(false_pieces: &[u32], others: &[u8]) -> World {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    world.peer(2, &altered(LEN, 1, false_pieces), sha256(), FAST);
    for number in others {
        let id = world.peer(*number, &truth, sha256(), FAST);
        world.model(id).digest = None;
    }
    world.submit(spec(&[sha256()]));
    world.run_for(50);
    others.iter().for_each(|number| join(&mut world, peer_id(*number)));
    world.run_until(20_000, is_found_wrong);
    assert!(is_found_wrong(&world), "{}", world.view().reason);
    world.origin.pace = Pace::steady(0);
    world
}

fn is_found_wrong(world: &World) -> bool {
    says(world, "the whole file is not what was asked for")
}

fn says(world: &World, words: &str) -> bool {
    world.engine.decisions(JOB).expect("known").iter().any(|decision| decision.why.contains(words))
}

fn join(world: &mut World, id: PeerId) {
    world.model(id).session.join(&sha256(), LEN, true);
    world.pump_and_tell(id);
}

/// A member says that it read these pieces from the origin, and that they are what `list` has.
fn state(world: &mut World, id: PeerId, list: &HashList, pieces: Range<u32>) {
    let values: Vec<Hash> = pieces.clone().filter_map(|piece| list.value(PieceIndex(piece))).collect();
    for (at, some) in (pieces.start..).step_by(64).zip(values.chunks(64)) {
        world.model(id).session.claim_pieces(swarm_id(&sha256(), LEN), at, some);
    }
    world.pump_and_tell(id);
}

/// Single pieces that the origin was asked for from this question on.
fn pieces_asked(world: &World, from: usize) -> Vec<u32> {
    let single = |(start, end): &(u64, Option<u64>)| {
        (*end == Some(start + PIECE)).then(|| u32::try_from(start / PIECE).expect("few"))
    };
    world.origin_spans[from..].iter().filter_map(single).collect()
}

#[test]
fn claim_10_step_3_a_list_is_right_in_three_pieces_before_the_rest_is_taken_under_it() {
    let false_pieces: Vec<u32> = (100..120).collect();
    let mut world = found_wrong(&false_pieces, &[]);
    let (asked, before) = (world.origin_spans.len(), world.view().bytes.origin);
    let truth = Arc::clone(&world.truth);
    let honest = world.peer(9, &truth, sha256(), FAST);
    world.run_for(800);
    assert_eq!(world.peers[&honest].pace.given, 0, "nothing is taken before the origin has spoken");
    world.origin.pace = Pace::steady(1_000_000);
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    let tried: Vec<u32> =
        pieces_asked(&world, asked).into_iter().filter(|piece| false_pieces.contains(piece)).collect();
    assert_eq!(tried.len(), 3, "{tried:?}");
    let given = world.peers[&honest].pace.given;
    assert!(
        (10 * PIECE..=4 * MIB).contains(&given),
        "what differs, and what the origin was asked for before: {given}"
    );
    assert!(view.bytes.origin - before <= 12 * MIB, "{:?}", view.bytes);
}

#[test]
fn claim_10_step_3_a_second_false_list_falls_at_its_trial() {
    let mut world = found_wrong(&(100..120).collect::<Vec<u32>>(), &[]);
    let other_lie: Vec<u32> = (500..900).collect();
    let liar = world.peer(9, &altered(LEN, 1, &other_lie), sha256(), FAST);
    world.run_for(1_000);
    world.origin.pace = Pace::steady(10_000_000);
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert_eq!(world.peers[&liar].pace.given, 0, "not one byte of it was taken");
    assert!(view.bytes.origin <= LEN, "{:?}", view.bytes);
}

#[test]
fn claim_10_step_4_what_somebody_read_need_not_come_again_if_it_is_what_is_here() {
    let mut world = found_wrong(&[900], &[3]);
    let (truth, before) = (Arc::clone(&world.truth), world.view().bytes);
    world.run_for(100);
    let is_suspect = |world: &World, piece: u32| world.standings[&piece] == Standing::Suspect;
    assert!((0..512).filter(|piece| is_suspect(&world, *piece)).count() > 500, "nobody's word is left");
    state(&mut world, peer_id(3), &truth, 0..512);
    world.run_for(500);
    assert_eq!((0..512).filter(|piece| is_suspect(&world, *piece)).count(), 0);
    let after = world.view().bytes;
    assert_eq!(after.peers, before.peers, "no byte of it came again");
    // The false piece itself comes from whoever read it, once a piece of his was checked, and the file is looked at again.
    state(&mut world, peer_id(3), &truth, 900..901);
    world.origin.pace = Pace::steady(400_000);
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert_eq!(view.bytes.peers, before.peers + PIECE);
    assert!(view.bytes.origin <= before.origin + 2 * MIB, "the others read for this node: {:?}", view.bytes);
}

#[test]
fn claim_10_step_2_who_comes_when_the_file_was_found_wrong_is_one_of_64_whose_word_counts() {
    let mut world = found_wrong(&[900], &[]);
    let truth = Arc::clone(&world.truth);
    let id = world.peer(3, &truth, sha256(), FAST);
    world.model(id).digest = None;
    world.run_for(50);
    join(&mut world, id);
    state(&mut world, id, &truth, 0..1_024);
    world.origin.pace = Pace::steady(400_000);
    world.run_for(6_000);
    assert_eq!(world.state(), JobState::Acknowledged, "{:?}", world.view().bytes);
    assert!(world.view().bytes.origin < 8 * MIB, "it read for this node: {:?}", world.view().bytes);
}

#[test]
fn claim_9_and_claim_10_the_file_is_looked_at_again_only_when_nobody_is_asked_who_is_right() {
    let mut world = found_wrong(&[900, 950], &[3, 4]);
    let truth = Arc::clone(&world.truth);
    let seals = |world: &World| world.effects.iter().filter(|effect| *effect == "Seal").count();
    let before = seals(&world);
    // Two members differ in another piece, and the origin is silent.
    state(&mut world, peer_id(3), &altered(LEN, 1, &[5]), 0..10);
    state(&mut world, peer_id(4), &truth, 0..10);
    state(&mut world, peer_id(4), &truth, 900..901);
    world.run_for(2_000);
    assert_eq!(
        (seals(&world), world.disk[&900]),
        (before, truth.values()[900]),
        "it changed, and is not looked at yet"
    );
    world.origin.pace = Pace::steady(10_000_000);
    world.run_until(20_000, |world| seals(world) > before);
    assert_eq!(world.disk[&5], truth.values()[5], "the origin said who is right");
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
}

#[test]
fn claim_10_step_4_a_liar_that_vouches_for_its_own_piece_is_met_by_chance() {
    // Everything was read by somebody, and one of them is the liar under another name.
    for piece in [0, 511, 1_023] {
        let lie = altered(LEN, 1, &[piece]);
        let mut world = found_wrong(&[piece], &[3]);
        let before = world.view().bytes.origin;
        state(&mut world, peer_id(3), &lie, 0..1_024);
        world.run_for(1_000);
        assert!(
            world.standings.values().all(|standing| *standing != Standing::Suspect),
            "all rests on its word"
        );
        world.origin.pace = Pace::steady(20_000_000);
        world.run(MINUTE);
        let view = world.view();
        assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
        assert!(view.bytes.origin <= LEN && view.bytes.origin > before, "{:?}", view.bytes);
    }
}

/// How long a file of 64 MiB takes from an origin that gives so many bytes a second, beside a liar that gives so many times
/// as much and falsifies one piece; and the bytes.
fn beside_a_liar(origin: u64, liar: Option<u64>, piece: u32) -> (u64, crate::engine::event::BytesBySource) {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(origin);
    if let Some(rate) = liar {
        world.peer(2, &altered(LEN, 1, &[piece]), sha256(), rate);
    }
    world.submit(spec(&[sha256()]));
    let took = world.run(MINUTE * 5);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    (took, world.view().bytes)
}

#[test]
fn claim_13_one_false_piece_takes_twice_as_long_as_plain_http_at_most() {
    const ORIGIN: u64 = 4_000_000;
    let (plain_ms, _) = beside_a_liar(ORIGIN, None, 0);
    for rate in [ORIGIN / 2, ORIGIN, ORIGIN * 10] {
        for piece in [0, 700, 1_023] {
            let (took_ms, bytes) = beside_a_liar(ORIGIN, Some(rate), piece);
            assert!(took_ms <= 2 * plain_ms + 2_000, "{rate} B/s, piece {piece}: {took_ms} of {plain_ms} ms");
            assert!(bytes.origin <= LEN, "{rate} B/s, piece {piece}: {bytes:?}");
        }
    }
}

/// A node whose origin gives 2 MB/s, beside 63 liars that state another file each, and an honest member that has it all;
/// gives the pieces the origin was asked for one by one.
fn beside_63_liars(is_honest_first: bool) -> (World, Vec<u32>) {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(2_000_000);
    for number in 2..=65 {
        let id = world.peer(number, &truth, sha256(), FAST);
        world.model(id).digest = None;
    }
    world.submit(spec(&[sha256()]));
    world.run_for(50);
    (2..=65).for_each(|number| join(&mut world, peer_id(number)));
    let honest = peer_id(65);
    if is_honest_first {
        state(&mut world, honest, &truth, 0..1_024);
    }
    for number in 2..=64 {
        let lie = file(LEN, number + 100);
        world.model(peer_id(number)).sends = Arc::clone(&lie);
        state(&mut world, peer_id(number), &lie, 0..1_024);
    }
    if !is_honest_first {
        state(&mut world, honest, &truth, 0..1_024);
    }
    world.run(MINUTE * 2);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    let asked = pieces_asked(&world, 0);
    (world, asked)
}

#[test]
fn claim_6_and_claim_2_sixty_three_liars_cost_a_piece_each_at_most_and_the_file_is_exact() {
    for is_honest_first in [true, false] {
        let (world, asked) = beside_63_liars(is_honest_first);
        assert!(asked.len() <= 64 + 16, "{asked:?}");
        let bytes = world.view().bytes;
        assert!(bytes.origin <= LEN, "{bytes:?}");
        if is_honest_first {
            assert!(bytes.peers > LEN / 2, "the honest one is asked on: {bytes:?}");
        }
    }
}

/// What is made of a file, to see what follows from that alone.
type Change = fn(&mut JobFile);

#[test]
fn claim_10_a_file_that_was_wrong_is_looked_at_again_when_something_changed_and_nobody_is_asked_about_it() {
    let due = |change: fn(&mut JobFile)| {
        let mut world = found_wrong(&[900], &[]);
        let file = world.engine.files.values_mut().next().expect("on its way");
        file.repair.as_mut().expect("it was found wrong").changed = true;
        change(file);
        file.check_is_due(&world.engine.core)
    };
    assert!(due(|_| {}));
    let not_due: [(&str, Change); 6] = [
        ("nothing changed", |file| file.repair.as_mut().expect("there").changed = false),
        ("it was not wrong", |file| file.repair = None),
        ("its length is not known", |file| file.geometry = None),
        ("pieces are missing", |file| file.pieces = Default::default()),
        ("the origin is asked which of two lists is right", |file| {
            file.claims.conflicts.insert(5);
        }),
        ("too little more is known, and more may be asked for", |file| {
            let (sum, now) = (file.certain_and_held(), peer_proto::time::Instant::ZERO);
            file.repair.as_mut().expect("there").begin_check(sum + 10, now);
            file.repair.as_mut().expect("there").changed = true;
        }),
    ];
    for (why, change) in not_due {
        assert!(!due(change), "{why}");
    }
    assert!(
        due(|file| {
            file.claims.conflicts.insert(5);
            file.origin.reach = Reach::Away;
        }),
        "nobody can be asked which of two lists is right"
    );
    assert!(
        due(|file| {
            file.claims.conflicts.insert(5);
            file.origin.no_ranges = true;
        }),
        "nor for one piece of it"
    );
}

#[test]
fn claim_10_what_is_certain_counts_twice_of_what_is_known() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(1_000_000);
    world.submit(spec(&[sha256()]));
    world.run_for(2_000);
    let file = world.engine.files.values().next().expect("on its way");
    let certain = file.pieces.certain().count();
    assert!(certain > 4);
    assert_eq!(file.certain_and_held(), 2 * certain);
}
