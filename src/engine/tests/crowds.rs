//! Crowds of neighbours that want the file too, give nothing and say what is not so.
//!
//! Knows: how long a job beside them takes, what is kept of what they say. Does not know: why.

use std::sync::Arc;

use peer_proto::content::{Hash, PieceIndex};
use peer_proto::home::swarm_id;
use peer_proto::peer::PeerId;
use peer_proto::session::Session;
use peer_proto::verify::HashList;
use peer_proto::wire::Said;

use super::groups::{LEN, interest, member, record, show, world as member_world};
use super::models::session_config;
use super::world::*;
use crate::engine::grid::Grid;
use crate::job::JobState;

const ORIGIN_RATE: u64 = 10_000_000;

fn exact(world: &World) {
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert_eq!(world.disk.values().copied().collect::<Vec<_>>(), world.truth.values());
}

/// What a member says of a segment that it gives nobody.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Reads,
    HasRead,
    Both,
}

/// How long a member takes for 64 MiB beside so many others, each of which says so of another segment so often, and gives
/// nothing.
fn beside_stallers(count: u8, every_ms: u64, lie: Lie) -> u64 {
    let mut world = member_world();
    world.origin.pace = Pace::steady(ORIGIN_RATE);
    let stallers: Vec<(u8, PeerId)> =
        (2..2 + count).map(|number| (number, member(&mut world, number))).collect();
    let grid = Grid::of(world.truth.geometry());
    for turn in 1..=u32::try_from(60_000 / every_ms).expect("few") {
        for (number, id) in &stallers {
            let pieces = grid.pieces_of((turn * 7 + u32::from(*number)) % grid.segments());
            let values = pieces.clone().filter_map(|piece| world.truth.value(PieceIndex(piece)));
            let has_read = match lie {
                Lie::Reads => false,
                Lie::HasRead => true,
                Lie::Both => (turn / 8 + u32::from(*number)).is_multiple_of(2),
            };
            let says = match has_read {
                true => Said::Pieces { first: pieces.start, values: values.collect() },
                false => Said::Segment { number: turn, pieces, from_back: false, rate_kib: 10_000 },
            };
            let sequence = u64::from(turn) * 2;
            let said = [interest(*number, sequence), record(*number, sequence + 1, says)];
            world.model(*id).pace.rate = 0;
            show(&mut world, *id, &said);
        }
        world.run_until(world.ms + every_ms, |world| world.state() == JobState::Acknowledged);
    }
    exact(&world);
    world.ms
}

#[test]
fn home_4_members_that_say_what_they_read_and_give_nothing_cost_a_twentieth_and_two_seconds_at_most() {
    let alone = beside_stallers(0, 250, Lie::Reads);
    for lie in [Lie::Reads, Lie::HasRead, Lie::Both] {
        for (count, every_ms) in [(1, 1_000), (7, 250), (7, 1_000), (7, 3_500), (15, 250)] {
            let beside = beside_stallers(count, every_ms, lie);
            let most = alone + alone / 20 + 2_000;
            assert!(
                beside <= most,
                "{lie:?}, {count} of them every {every_ms} ms: {beside} ms, and {alone} ms alone"
            );
        }
    }
}

/// A stranger of the link who says that the second half of the file is another one.
fn claimant(world: &mut World, number: u16, lie: &Arc<HashList>) {
    let mut key = [0xcc; 32];
    key[..2].copy_from_slice(&number.to_le_bytes());
    let id = PeerId::from_public_key(key);
    let session = Session::new(session_config(id, None), world.now().monotonic);
    world.admit(id, PeerModel::new(session, lie, ORIGIN_RATE));
    world.model(id).session.join(&sha256(), LEN, true);
    world.pump_and_tell(id);
    world.run_for(10);
    // Of what is here by now each would be refuted at once.
    let values: Vec<Hash> = lie.values()[512..].to_vec();
    for (first, some) in (512..).step_by(64).zip(values.chunks(64)) {
        world.model(id).session.claim_pieces(swarm_id(&sha256(), LEN), first, some);
    }
    world.pump_and_tell(id);
}

#[test]
fn claim_2_of_five_hundred_who_claim_half_of_a_file_sixty_four_are_heard_and_the_job_is_unharmed() {
    let truth = file(LEN, 1);
    let lies: Vec<_> = (2..200).map(|mark| file(LEN, mark)).collect();
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(ORIGIN_RATE / 5);
    world.submit(spec(&[sha256()]));
    world.run_for(50);
    let heard = |world: &World| {
        let file = world.engine.files.values().next();
        file.and_then(|file| file.swarm.as_ref()).map_or(0, |swarm| swarm.stated.author_count())
    };
    // While it gives nothing, nobody is refuted.
    world.origin.pace = Pace::steady(0);
    for number in 0..500 {
        claimant(&mut world, number, &lies[usize::from(number) % lies.len()]);
    }
    assert_eq!(heard(&world), 64);
    world.origin.pace = Pace::steady(ORIGIN_RATE / 5);
    let (began, plain) = (world.ms, LEN * 1_000 / (ORIGIN_RATE / 5));
    world.run_until(began + 4 * plain, |world| world.state() == JobState::Acknowledged);
    let took = world.ms - began;
    assert!(took <= 2 * plain + 2_000, "{took} ms, {plain} alone");
    exact(&world);
    let bytes = world.view().bytes;
    assert!(bytes.origin <= LEN + 4 * 65_536, "{bytes:?}");
}
