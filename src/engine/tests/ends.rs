//! How leases end, what is left to hope for then, and what is made of a part that lies there.

use std::time::Duration;

use peer_proto::content::PieceIndex;
use peer_proto::peer::PeerId;
use peer_proto::session::RefuseReason;
use peer_proto::standing::{PieceRun, Standing};

use super::desk::{Desk, Manner, job, url, wish};
use super::world::*;
use crate::engine::io::{Input, JobCommand, PartFound};
use crate::job::JobState;

const MINUTE: Duration = Duration::from_secs(60);
const FAST: u64 = 100_000_000;

#[test]
fn job_27_one_connection_that_breaks_off_leaves_the_others_to_the_origin_alone() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_until(10_000, |world| world.open_at_origin().len() > 1);
    let [first, others @ ..] = &world.open_at_origin()[..] else { panic!("it has several connections") };
    assert!(!others.is_empty(), "it has several connections");
    world.break_off(*first);
    let open = world.open_at_origin();
    assert!(others.iter().all(|lease| open.contains(lease)), "{others:?} {open:?}");
}

#[test]
fn file_23_an_answer_without_a_length_that_breaks_off_is_asked_for_again_and_is_no_end() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    (world.origin.ranges, world.origin.version) = (false, version("a", None));
    world.origin.cuts_after = Some(MIB);
    world.submit(spec(&[]));
    world.run_until(2_000, |world| world.origin.leases >= 2);
    let view = world.view();
    assert!(world.origin.leases >= 2 && view.state != JobState::Error, "{:?}: {}", view.state, view.reason);
    world.origin.cuts_after = None;
    world.run(MINUTE);
    let view = world.view();
    assert_eq!((view.state, view.len), (JobState::Acknowledged, Some(4 * MIB)), "{}", view.reason);
}

#[test]
fn job_32_what_lies_there_of_a_run_that_nobody_wrote_down_counts_as_of_an_earlier_one() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let run =
        PieceRun { first: PieceIndex(0), values: truth.values()[..16].to_vec(), standing: Standing::Certain };
    world.disk.extend((0..).zip(run.values.iter().copied()));
    world.found = PartFound { version: Some(world.origin.version.clone()), runs: vec![run] };
    world.submit(spec(&[root_digest(&truth)]));
    world.run(MINUTE);
    let bytes = world.view().bytes;
    assert_eq!(
        (world.state(), bytes.earlier, bytes.origin, bytes.discarded),
        (JobState::Acknowledged, MIB, 3 * MIB, 0)
    );
}

#[test]
fn claim_2_a_list_is_asked_for_once_the_origin_says_how_long_the_file_is() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.silent = true;
    let peer = world.peer(2, &truth, sha256(), FAST);
    world.model(peer).lists_held = Some(Vec::new());
    world.submit(spec(&[sha256()]));
    let asked = |world: &World| world.peers[&peer].lists_held.as_ref().map_or(0, Vec::len);
    world.run_for(500);
    assert_eq!((world.peers[&peer].asked > 0, asked(&world)), (true, 0), "the origin may say something else");
    world.origin.pace = Pace::steady(100_000);
    world.origin_speaks();
    world.run_for(500);
    assert!(asked(&world) > 0);
}

/// A job in the middle of what only a peer has.
fn fed_by_a_peer_alone() -> (World, PeerId) {
    let truth = file(16 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.fault = Some(fatal("404 Not Found"));
    let peer = world.peer(2, &truth, root_digest(&truth), 2_000_000);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_until(10_000, |world| world.view().bytes.peers > MIB);
    (world, peer)
}

/// The peer refuses all it was asked for.
fn refuse_all(world: &mut World, peer: PeerId, reason: RefuseReason) {
    let now = world.now().monotonic;
    for request in std::mem::take(&mut world.model(peer).wanted) {
        world.model(peer).session.refuse(request, reason, now);
    }
    world.pump_and_tell(peer);
}

#[test]
fn peer_34_a_busy_peer_is_hope_enough_where_the_origin_has_nothing() {
    let (mut world, peer) = fed_by_a_peer_alone();
    refuse_all(&mut world, peer, RefuseReason::Busy { retry: Duration::from_secs(9) });
    let before = world.view().bytes.peers;
    world.run_for(8_000);
    let view = world.view();
    assert!(view.state != JobState::Error && view.bytes.peers - before < MIB, "{}", view.reason);
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Acknowledged, 0));
}

#[test]
fn job_32_what_was_written_down_and_is_not_there_any_more_counts_as_thrown_away() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Gives(100_000));
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(Duration::from_secs(5));
    desk.command(job(1), JobCommand::Suspend);
    desk.run_for(Duration::from_secs(1));
    let before = desk.view(job(1)).bytes;
    let lost = 3 * 65_536;
    desk.stored.get_mut(&job(1)).expect("it is written down").files[0].bytes.origin += lost;
    let mut desk = desk.restarted();
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(Duration::from_secs(30));
    let view = desk.view(job(1));
    assert_eq!(view.state, JobState::Transferred, "{}", view.reason);
    assert_eq!((view.bytes.discarded, view.bytes.earlier), (before.discarded + lost, 0));
}

#[test]
fn peer_34_a_peer_that_fails_again_and_again_is_no_hope() {
    let (mut world, peer) = fed_by_a_peer_alone();
    // It says that it has everything, and gives nothing of it.
    for _ in 0..6_000 {
        refuse_all(&mut world, peer, RefuseReason::NotHeld);
        world.run_for(10);
        if world.state() == JobState::Error {
            break;
        }
    }
    assert_eq!(world.state(), JobState::Error, "{}", world.view().reason);
    assert!(world.view().reason.contains("404"), "{}", world.view().reason);
}

#[test]
fn job_32_the_node_counts_what_its_jobs_count_by_source_and_what_was_thrown_away() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.cuts_after = Some(6 * MIB + 1_000);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(900);
    let peer = world.peer(2, &truth, root_digest(&truth), 4_000_000);
    world.run(MINUTE);
    let (bytes, totals) = (world.view().bytes, world.engine.totals());
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert!(bytes.peers > 0 && bytes.origin > 0 && bytes.discarded > 0, "{bytes:?}");
    assert_eq!(
        (totals.peer_bytes, totals.origin_bytes, totals.discarded_bytes),
        (bytes.peers, bytes.origin, bytes.discarded)
    );
    let view = world.engine.peer_views().into_iter().find(|view| view.peer == peer).expect("connected");
    assert_eq!(view.bytes_in, bytes.peers);
}

#[test]
fn peer_35_an_origin_that_gives_something_each_time_is_asked_again_as_soon_as_after_the_first_cut() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.cuts_after = Some(MIB + 1_000);
    world.submit(spec(&[]));
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{} of 20 MiB", world.view().stored);
}

#[test]
fn an_answer_whose_bytes_met_others_on_the_disk_is_not_asked_for_again_at_once() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[]));
    world.run_for(500);
    let asked = world.origin.leases;
    world.open_at_origin().into_iter().for_each(|lease| world.meet_others(lease));
    world.run_for(30);
    assert_eq!(world.origin.leases, asked);
    world.run_for(3_000);
    assert!(world.origin.leases > asked);
    // Nor is the origin to blame for what this node stopped itself.
    world.command(JobCommand::Suspend);
    world.run_for(50);
    let asked = world.origin.leases;
    world.command(JobCommand::Resume);
    world.run_for(50);
    assert!(world.origin.leases > asked, "{}", world.view().reason);
}

#[test]
fn wire_9_the_leases_of_a_peer_that_is_sent_away_end_before_it_has_gone() {
    let (mut world, peer) = fed_by_a_peer_alone();
    let before = world.effects.len();
    world.tell(Input::BadFrame { peer, message: "garbage".into() });
    let told: Vec<&str> = world.effects[before..].iter().map(String::as_str).collect();
    assert!(told.contains(&"StopLease") && told.contains(&"Disconnect"), "{told:?}");
}
