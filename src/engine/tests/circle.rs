//! What a member of a group says of itself to the others, and how soon.

use peer_proto::peer::PeerId;
use peer_proto::wire::{Frame, Record, Said};

use super::groups::{interest, member, pieces, record, show, told, world};
use super::world::*;
use crate::engine::io::JobCommand;

/// What the node said of itself, as this neighbour was told.
fn said(world: &World, neighbour: PeerId) -> Vec<Record> {
    let records = world.peers[&neighbour].frames.iter().filter_map(|frame| match frame {
        Frame::Records(records) => Some(records.iter()),
        _ => None,
    });
    records.flatten().filter(|record| record.head().author == peer_id(1)).cloned().collect()
}

fn fetchers(world: &World) -> &[PeerId] {
    let swarm = world.engine.files.values().next().and_then(|file| file.swarm.as_ref());
    swarm.expect("one").home.fetchers()
}

#[test]
fn home_2_members_are_told_what_this_node_fetches_and_how_fast_its_origin_is() {
    let mut world = world();
    let one = member(&mut world, 2);
    show(&mut world, one, &[interest(2, 1)]);
    world.run_for(8_000);
    let rates: Vec<u32> = said(&world, one)
        .iter()
        .filter_map(|record| match record.said() {
            Said::Segment { rate_kib, .. } => Some(*rate_kib),
            _ => None,
        })
        .collect();
    let last = *rates.last().expect("it fetches something");
    assert!((60..=140).contains(&last), "{last} KiB/s of an origin that gives 98");
}

#[test]
fn home_2_who_fetches_hears_of_a_claim_of_a_segment_at_once_and_of_other_words_within_a_tick() {
    let mut world = world();
    let [one, other] = [2, 3].map(|number| member(&mut world, number));
    world.run_for(200);
    show(&mut world, other, &[interest(3, 1)]);
    show(&mut world, one, &[interest(8, 1)]);
    world.run_for(400);
    assert!(fetchers(&world).contains(&other));
    let mut is_told = |said: &Record, ms| {
        show(&mut world, one, std::slice::from_ref(said));
        world.run_for(ms);
        told(&mut world, other).contains_key(&(said.head().author, said.head().number))
    };
    assert!(!is_told(&pieces(8, 2), 10), "that may wait for what else there is to say");
    assert!(is_told(&pieces(8, 2), 50));
    let fetches = Said::Segment { number: 1, pieces: 0..16, from_back: false, rate_kib: 5 };
    assert!(is_told(&record(8, 3, fetches), 10));
}

#[test]
fn home_2_who_does_not_fetch_hears_of_a_claim_of_a_segment_within_a_tick() {
    let mut world = world();
    let [one, other] = [2, 3].map(|number| member(&mut world, number));
    world.run_for(200);
    let site: Vec<Record> = (8..40).map(|number| interest(number, 1)).collect();
    show(&mut world, one, &site);
    world.run_for(400);
    assert!(!fetchers(&world).contains(&other), "eight of the others come first");
    let fetches = Said::Segment { number: 1, pieces: 0..16, from_back: false, rate_kib: 5 };
    let said = record(8, 2, fetches);
    let mut is_told = |ms| {
        show(&mut world, one, std::slice::from_ref(&said));
        world.run_for(ms);
        told(&mut world, other).contains_key(&(said.head().author, said.head().number))
    };
    assert!(!is_told(10) && is_told(50));
}

#[test]
fn home_1_who_wants_the_file_no_more_says_so_before_it_goes() {
    let mut world = world();
    let one = member(&mut world, 2);
    world.run_for(200);
    let has_left = |world: &World| said(world, one).iter().any(|record| matches!(record.said(), Said::Leave));
    assert!(!has_left(&world));
    world.command(JobCommand::Cancel);
    world.run_for(10);
    assert!(has_left(&world));
}

#[test]
fn home_1_numbers_of_what_is_said_ascend_over_restarts_by_the_clock() {
    let mut world = world();
    let one = member(&mut world, 2);
    world.run_for(200);
    let first = said(&world, one).first().expect("it says that it is there").head().number;
    let restarted_ms = u64::try_from(world.now().wall_unix_ms).expect("after 1970");
    assert!((restarted_ms - 1_000) << 16 < first && first < restarted_ms << 16, "{first}");
}

#[test]
fn wire_4_one_neighbour_shows_16384_statements_at_once_and_as_many_again_when_it_comes_back() {
    let mut world = world();
    let one = member(&mut world, 2);
    let core = &mut world.engine.core;
    let looked_at =
        |core: &mut crate::engine::core::Core| (0..20_000).filter(|_| core.may_look_at(one)).count();
    core.forget_queue(one);
    assert_eq!((looked_at(core), looked_at(core)), (16_384, 0));
    core.forget_queue(one);
    assert_eq!(looked_at(core), 16_384);
}
