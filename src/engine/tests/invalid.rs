//! Files that an application calls invalid, where a byte of them came from a peer (VAL-4).

use std::sync::Arc;

use peer_proto::digest::Digest;
use peer_proto::verify::HashList;

use super::world::*;
use crate::engine::event::Event;
use crate::engine::io::*;
use crate::job::{JobSpec, JobState, PeerFlags};
use crate::record::{Holding, RecordId, RecordSummary, Scope};

const MINUTE: u64 = 60_000;
const FAST: u64 = 100_000_000;
const LEN: u64 = 4 * MIB;

fn untaken(digests: &[Digest]) -> JobSpec {
    JobSpec { auto_complete: false, ..spec(digests) }
}

fn record(list: &Arc<HashList>) -> RecordSummary {
    RecordSummary {
        id: RecordId([7; 16]),
        content: list.content(),
        digests: vec![root_digest(list)],
        holding: Holding::Whole,
        scope: Scope::Shareable,
        served: true,
        last_used_unix_s: 1_800_000_000,
        vouched: Vec::new(),
    }
}

/// A world whose job has its file, from a peer that holds all of it.
fn transferred_from_a_peer(truth: &Arc<HashList>) -> World {
    let mut world = World::new(truth);
    world.peer(2, truth, root_digest(truth), FAST);
    world.submit(untaken(&[root_digest(truth)]));
    transferred(&mut world);
    assert_eq!((world.view().bytes.peers, world.view().bytes.origin), (LEN, 0));
    world
}

fn transferred(world: &mut World) {
    world.run_until(world.ms + MINUTE, |world| world.state() == JobState::Transferred);
    assert_eq!(world.state(), JobState::Transferred, "{}", world.view().reason);
}

fn call_invalid(world: &mut World) {
    world.command(JobCommand::Validate { file: 0, valid: false });
}

/// How often it was said that the file is whole.
fn times_said(world: &World) -> usize {
    world.events.iter().filter(|event| matches!(event, Event::FileTransferred { .. })).count()
}

#[test]
fn val_4_an_invalid_file_of_a_peer_comes_again_from_the_origin_alone_and_is_told_again() {
    let truth = file(LEN, 1);
    let mut world = transferred_from_a_peer(&truth);
    assert_eq!(times_said(&world), 1);
    call_invalid(&mut world);
    assert_eq!((world.view().stored, world.view().files_transferred), (0, 0));
    transferred(&mut world);
    let bytes = world.view().bytes;
    assert_eq!((bytes.origin, bytes.peers, bytes.cache, bytes.earlier), (LEN, 0, 0, 0));
    assert_eq!(times_said(&world), 2);
}

#[test]
fn val_4_a_file_that_takes_its_time_to_go_is_not_taken_for_whole_meanwhile() {
    let truth = file(LEN, 1);
    let mut world = transferred_from_a_peer(&truth);
    world.slow_drops = true;
    call_invalid(&mut world);
    world.run_for(2_000);
    assert_ne!(world.state(), JobState::Transferred);
    assert_eq!(times_said(&world), 1);
    world.slow_drops = false;
    world.drop_now();
    transferred(&mut world);
    assert_eq!((world.view().bytes.origin, times_said(&world)), (LEN, 2));
}

#[test]
fn val_4_the_record_leaves_the_cache_and_is_not_copied() {
    let truth = file(LEN, 1);
    let mut world = transferred_from_a_peer(&truth);
    world.cache = Some((Arc::clone(&truth), u64::MAX));
    world.tell(Input::RecordHeld(record(&truth)));
    call_invalid(&mut world);
    assert!(world.cache.is_none(), "the record is gone");
    transferred(&mut world);
    assert_eq!((world.view().bytes.origin, world.view().bytes.cache), (LEN, 0));
}

#[test]
fn val_4_what_the_own_cache_gave_may_be_a_peers_and_comes_from_the_origin_too() {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    world.cache = Some((Arc::clone(&truth), u64::MAX));
    world.tell(Input::RecordHeld(record(&truth)));
    world.submit(untaken(&[root_digest(&truth)]));
    transferred(&mut world);
    assert_eq!((world.view().bytes.cache, world.origin.probes), (LEN, 0));
    call_invalid(&mut world);
    transferred(&mut world);
    let bytes = world.view().bytes;
    assert_eq!((bytes.origin, bytes.cache, world.cache.is_none()), (LEN, 0, true));
}

#[test]
fn val_4_records_of_other_contents_stay() {
    let truth = file(LEN, 1);
    let other = file(LEN, 2);
    let mut world = transferred_from_a_peer(&truth);
    world.cache = Some((Arc::clone(&other), u64::MAX));
    world.tell(Input::RecordHeld(record(&other)));
    call_invalid(&mut world);
    transferred(&mut world);
    assert!(world.cache.is_some());
}

#[test]
fn val_4_a_part_that_outlived_its_verdict_does_not_count() {
    // The node was killed after the verdict was written down, and before the part was gone.
    let truth = file(LEN, 1);
    let mut first = transferred_from_a_peer(&truth);
    let pieces = first.disk.clone();
    first.slow_drops = true;
    call_invalid(&mut first);
    let stored = first.engine.stored_job(JOB).expect("known");
    let values = pieces.into_values().collect();
    let mut world = World::with_flags(&truth, PeerFlags::BOTH);
    let run = PieceRun { first: peer_proto::content::PieceIndex(0), values, standing: Standing::Proved };
    world.found = PartFound { version: Some(version("a", Some(LEN))), runs: vec![run] };
    world.peer(2, &truth, root_digest(&truth), FAST);
    world.tell(Input::JobFound(Box::new(stored)));
    transferred(&mut world);
    let bytes = world.view().bytes;
    assert_eq!((bytes.origin, bytes.peers, bytes.earlier, world.resets), (LEN, 0, 0, 1));
}

#[test]
fn val_8_peers_are_not_blamed_for_bytes_the_digest_proved_nor_asked_again() {
    let truth = file(LEN, 1);
    let mut world = transferred_from_a_peer(&truth);
    let holder = peer_id(2);
    let asked = world.model(holder).asked;
    call_invalid(&mut world);
    transferred(&mut world);
    assert_eq!((world.model(holder).asked, world.disconnected.len()), (asked, 0));
}
