//! Holders that say they have all and give nothing, or next to nothing, beside those who fetch the file too.

use std::num::NonZeroU64;
use std::time::Duration;

use peer_proto::content::PieceIndex;
use peer_proto::peer::PeerId;
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::time::Instant;

use super::world::*;
use crate::engine::pace::Speed;
use crate::job::{JobState, Priority};

const MINUTE: Duration = Duration::from_secs(60);
const LEN: u64 = 64 * MIB;

/// A node beside a member of its swarm that has nothing yet, and a holder that gives so many bytes a second.
fn beside_a_holder(holder_rate: u64, origin_rate: u64) -> (World, PeerId) {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(origin_rate);
    let member = world.peer(2, &truth, sha256(), 40_000_000);
    world.model(member).digest = None;
    let holder = world.peer(3, &truth, sha256(), holder_rate);
    world.submit(spec(&[sha256()]));
    world.run_for(50);
    world.model(member).session.join(&sha256(), LEN, true);
    world.pump_and_tell(member);
    (world, holder)
}

/// How long it takes until something but the audit of the holder's list is asked of the origin, in milliseconds.
fn waits(holder_rate: u64) -> u64 {
    let (mut world, _) = beside_a_holder(holder_rate, 10_000_000);
    let is_long = |world: &World| {
        world.origin_spans.iter().any(|(start, end)| end.is_none_or(|end| end - start > 65_536))
    };
    (0..40).find(|_| (is_long(&world), world.run_for(50)).0).expect("within two seconds") * 50
}

#[test]
fn home_4_a_holder_that_never_gave_a_piece_keeps_nobody_from_the_origin_for_longer_than_half_a_second() {
    for rate in [0, 10_000] {
        let waited = waits(rate);
        assert!((400..1_000).contains(&waited), "{rate} bytes a second: {waited} ms");
    }
}

#[test]
fn a_holder_that_failed_is_only_tried_and_what_it_was_asked_for_comes_from_others_meanwhile() {
    let (mut world, holder) = beside_a_holder(0, 10_000_000);
    let ms = world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert!(ms < 6_700 + 1_000, "{ms} ms of 6700 from the origin alone");
    let name = holder.to_string();
    let asked = world.engine.decisions(JOB).expect("known").into_iter().filter(|asked| asked.chosen == name);
    let wanted: Vec<u64> = asked.filter_map(|asked| Some(asked.range?.len())).collect();
    assert!(
        wanted.len() > 1 && wanted.iter().skip(1).all(|len| *len <= 256 * 1_024),
        "a unit at most: {wanted:?}"
    );
}

#[test]
fn claim_13_a_small_file_does_not_wait_for_a_holder_that_drips() {
    for priority in [Priority::Foreground, Priority::Normal] {
        let truth = file(MIB, 1);
        let mut world = World::new(&truth);
        for number in [2, 3] {
            world.peer(number, &truth, sha256(), 10_000);
        }
        world.submit(crate::job::JobSpec { priority, ..spec(&[sha256()]) });
        let ms = world.run(MINUTE);
        assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
        assert!(ms < 4_000, "{priority:?}: {ms} ms for a tenth of a second from the origin alone");
    }
}

#[test]
fn an_origin_far_slower_than_a_slow_holder_takes_nothing_from_it() {
    for origin in [0, 1_000, 20_000] {
        let truth = file(LEN, 1);
        let mut world = World::new(&truth);
        world.origin.pace = Pace::steady(origin);
        world.peer(2, &truth, root_digest(&truth), 116_000);
        world.submit(crate::job::JobSpec { priority: Priority::Foreground, ..spec(&[root_digest(&truth)]) });
        world.run_for(60_000);
        let bytes = world.view().bytes;
        assert!(bytes.peers > 116_000 * 57, "it gives all the time beside {origin} bytes/s: {bytes:?}");
    }
}

#[test]
fn home_4_a_file_is_behind_by_a_twentieth_and_a_second_of_what_the_origin_alone_would_have_given() {
    let (mut world, _) = beside_a_holder(0, 0);
    let truth = std::sync::Arc::clone(&world.truth);
    let file = world.engine.files.values_mut().next().expect("it is on its way");
    file.swarm.as_mut().expect("a member is there").began = None;
    let at = |ms: u64| Instant::from_micros(1_000 * ms);
    let behind = |file: &mut crate::engine::file::JobFile, ms| file.is_behind(truth.geometry(), at(ms));
    file.origin.speed = Speed::default();
    assert_eq!([10_000, 60_000].map(|ms| behind(file, ms)), [false; 2], "its pace is not known");
    file.swarm.as_mut().expect("a member is there").began = None;
    // Ten megabytes a second, as far as is known.
    file.origin.speed.owes(true, at(60_000));
    file.origin.speed.add(2_000_000, at(60_200));
    assert_eq!([60_200, 61_200, 61_201].map(|ms| behind(file, ms)), [false, false, true], "nothing came");
    let values = truth.values()[..16].to_vec();
    file.pieces.store(&PieceRun { first: PieceIndex(0), values, standing: Standing::Certain });
    assert_eq!(
        [61_310, 61_311].map(|ms| behind(file, ms)),
        [false, true],
        "a mebibyte and a twentieth of it"
    );
    file.wish.limit = NonZeroU64::new(1_000_000);
    assert_eq!([62_301, 62_302].map(|ms| behind(file, ms)), [false, true], "the job's limit is its pace");
    file.peers_speed.excuse(at(70_000));
    assert_eq!([70_001, 71_001, 71_002].map(|ms| behind(file, ms)), [false, false, true], "measured anew");
    assert_eq!([73_002, 74_002, 74_003].map(|ms| behind(file, ms)), [false, false, true], "it slept");
}
