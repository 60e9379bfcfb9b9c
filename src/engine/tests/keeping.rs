//! What enters the cache, when, and what a changed permission does to it.

use std::time::Duration;

use peer_proto::digest::Digest;
use peer_proto::session::Answer;

use super::world::*;
use crate::engine::io::{Input, JobCommand};
use crate::job::{JobChange, JobSpec, JobState, PeerFlags};
use crate::record::Scope;

const MINUTE: Duration = Duration::from_secs(60);
const FAST: u64 = 100_000_000;
const CLIENT: PeerFlags = PeerFlags { client: true, server: false };
const SERVER: PeerFlags = PeerFlags { client: false, server: true };

fn dropped(world: &World) -> usize {
    world.effects.iter().filter(|effect| *effect == "DropRecord").count()
}

#[test]
fn cache_3_a_finished_file_is_kept_where_computer_and_job_may_serve_whoever_gave_it() {
    let truth = file(4 * MIB, 1);
    for (computer, job) in [
        (PeerFlags::BOTH, PeerFlags::BOTH),
        (CLIENT, PeerFlags::BOTH),
        (PeerFlags::BOTH, CLIENT),
        (CLIENT, CLIENT),
    ] {
        for has_peer in [true, false] {
            let mut world = World::with_flags(&truth, computer);
            if has_peer {
                world.peer(2, &truth, root_digest(&truth), FAST);
            }
            world.submit(JobSpec { flags: job, ..spec(&[root_digest(&truth)]) });
            world.run(MINUTE);
            let view = world.view();
            assert_eq!((view.state, view.bytes.peers > 0), (JobState::Acknowledged, has_peer));
            assert_eq!(world.kept == 1, computer.server && job.server, "{computer:?} {job:?}");
        }
    }
}

/// A job that waits to be completed, without a digest: nothing but Complete validates its file.
fn transferred() -> World {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(JobSpec { auto_complete: false, ..spec(&[]) });
    world.run_until(20_000, |world| world.state() == JobState::Transferred);
    world
}

fn completed(mut world: World) -> World {
    world.command(JobCommand::Complete);
    world.run(MINUTE);
    assert_eq!((world.state(), world.delivered), (JobState::Acknowledged, 1));
    world
}

#[test]
fn val_5_complete_validates_what_nobody_judged_and_it_is_kept() {
    let world = transferred();
    assert_eq!(world.kept, 0);
    assert_eq!(completed(world).kept, 1);
}

/// What a peer on the link hears that asks for the file of a job that waits to be completed.
fn told(world: &mut World, number: u8, digest: &Digest) -> Answer {
    let truth = world.truth.clone();
    let asker = world.peer(number, &truth, digest.clone(), FAST);
    let now = world.now().monotonic;
    world.model(asker).session.find(&[(1, digest.clone())], now);
    world.pump_and_tell(asker);
    world.run_for(50);
    *world.model(asker).answers.first().expect("every question is answered")
}

#[test]
fn val_5_and_cache_4_that_pieces_are_the_whole_file_is_said_only_once_it_was_validated() {
    let mut world = transferred();
    let (content, root) = (world.truth.content(), root_digest(&world.truth));
    let pieces = Answer::Here { content, whole: false, sealed: false };
    let file = Answer::Here { content, whole: true, sealed: true };
    assert_eq!(told(&mut world, 2, &root), pieces, "nobody judged it, its pieces are what they are");
    assert_eq!(told(&mut world, 3, &sha256()), Answer::NotHere, "nobody says what file has this digest");
    world.command(JobCommand::Validate { file: 0, valid: true });
    assert_eq!(told(&mut world, 4, &root), file, "an application judged it");
    assert_eq!(told(&mut world, 5, &sha256()), file);

    let mut named = World::new(&world.truth);
    named.submit(JobSpec { auto_complete: false, ..spec(std::slice::from_ref(&root)) });
    named.run_until(20_000, |world| world.state() == JobState::Transferred);
    assert_eq!(told(&mut named, 2, &root), file, "its digest says what it is");
}

#[test]
fn val_6_what_is_switched_off_before_a_file_is_validated_leaves_it_out_of_the_cache() {
    let mut world = transferred();
    world.tell(Input::FlagsChanged(CLIENT));
    assert_eq!(completed(world).kept, 0, "of the computer");
    let mut world = transferred();
    world.command(without_the_servers_flag());
    assert_eq!(completed(world).kept, 0, "of the job");
}

/// As [`transferred`], and an application called the file valid.
fn judged() -> World {
    let mut world = transferred();
    world.command(JobCommand::Validate { file: 0, valid: true });
    world
}

fn without_the_servers_flag() -> JobCommand {
    JobCommand::Change(Box::new(JobChange { flags: Some(CLIENT), ..JobChange::default() }))
}

#[test]
fn val_6_what_is_switched_off_between_the_verdict_and_complete_leaves_the_file_in_the_cache() {
    let mut world = judged();
    world.tell(Input::FlagsChanged(CLIENT));
    let world = completed(world);
    assert_eq!((world.kept, world.kept_scope), (1, Some(Scope::Shareable)), "of the computer");
    let mut world = judged();
    world.command(without_the_servers_flag());
    let world = completed(world);
    assert_eq!((world.kept, world.kept_scope), (1, Some(Scope::Machine)), "of the job: no peer is given it");
}

#[test]
fn val_6_a_verdict_without_the_permission_keeps_nothing_even_if_it_is_repeated() {
    let mut world = transferred();
    world.tell(Input::FlagsChanged(CLIENT));
    world.command(JobCommand::Validate { file: 0, valid: true });
    assert_eq!(completed(world).kept, 0);
    let mut world = judged();
    world.tell(Input::FlagsChanged(CLIENT));
    world.command(JobCommand::Validate { file: 0, valid: true });
    assert_eq!(completed(world).kept, 1, "the first verdict was enough");
}

#[test]
fn val_6_a_file_that_was_called_valid_and_then_invalid_is_not_kept_without_a_permission() {
    let mut world = judged();
    world.tell(Input::FlagsChanged(CLIENT));
    world.command(JobCommand::Validate { file: 0, valid: false });
    world.command(JobCommand::Resume);
    world.run_until(20_000, |world| world.state() == JobState::Transferred);
    assert_eq!(completed(world).kept, 0, "other bytes, and nobody judged them");
}

#[test]
fn val_6_what_is_switched_off_afterwards_leaves_the_file_in_the_cache() {
    let mut world = completed(transferred());
    world.tell(Input::FlagsChanged(PeerFlags::NONE));
    world.run_for(1_000);
    assert_eq!((world.kept, dropped(&world)), (1, 0));
}

#[test]
fn cache_16_without_the_servers_permission_peers_give_and_nothing_is_kept() {
    let truth = file(4 * MIB, 1);
    let mut world = World::with_flags(&truth, CLIENT);
    world.peer(2, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run(MINUTE);
    assert_eq!((world.view().bytes.peers, world.view().bytes.origin, world.kept), (4 * MIB, 0, 0));
}

#[test]
fn cache_16_without_the_clients_permission_the_origin_gives_and_all_is_kept() {
    let truth = file(4 * MIB, 1);
    let mut world = World::with_flags(&truth, SERVER);
    let peer = world.peer(2, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run(MINUTE);
    assert_eq!((world.view().bytes.peers, world.view().bytes.origin, world.kept), (0, 4 * MIB, 1));
    assert_eq!(world.model(peer).asked, 0);
}
