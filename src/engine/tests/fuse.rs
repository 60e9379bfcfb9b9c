//! The fuse of a link: what strangers can cost there in all, and who is not held to account for them.

use std::time::Duration;

use peer_proto::digest::Digest;
use peer_proto::peer::PeerId;
use peer_proto::subnet::Subnet;

use super::groups;
use super::world::*;
use crate::engine::io::{Input, KeptFuse};
use crate::engine::piece_set::PieceSet;
use crate::job::{JobId, JobSpec, JobState};

const LEN: u64 = 16 * MIB;
const FAST: u64 = 40_000_000;
const MINUTE_MS: u64 = 60_000;

fn link() -> Subnet {
    "10.0.0.0/24".parse().expect("a subnet")
}

fn job(number: u8) -> JobId {
    JobId([number; 16])
}

/// Wants the file once more, under a name of its own, and waits until it is there. Gives bytes from the origin, from peers,
/// and the milliseconds it took.
fn once_more(world: &mut World, number: u8) -> (u64, u64, u64) {
    let spec = JobSpec {
        flags: crate::job::PeerFlags::BOTH,
        auto_complete: true,
        ..JobSpec::for_file("https://example.org/file", format!("/tmp/file-{number}"))
            .named_by(vec![sha256()])
    };
    let id = job(number);
    let began = world.ms;
    world.tell(Input::Submit { job: id, spec: Box::new(spec), by: ME, start: true });
    let is_over =
        |world: &World| world.engine.job_view(id).is_some_and(|view| view.state == JobState::Acknowledged);
    world.run_until(began + MINUTE_MS, is_over);
    let view = world.engine.job_view(id).expect("known");
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    (view.bytes.origin, view.bytes.peers, world.ms - began)
}

fn says(world: &World, number: u8, words: &str) -> bool {
    let decisions = world.engine.decisions(job(number)).expect("known");
    decisions.iter().any(|decision| decision.why.contains(words))
}

/// A node that took this file ten times from the origin alone needed so long, at the most.
fn plain_ms() -> u64 {
    let mut world = World::new(&file(LEN, 1));
    world.submit(spec(&[sha256()]));
    world.run(Duration::from_secs(60))
}

/// A node to which strangers on its link lied twice.
fn lied_to_twice(world: &mut World) {
    let now = world.now().monotonic;
    assert_eq!(world.engine.core.fuse.note(link(), now), None);
    assert!(world.engine.core.fuse.note(link(), now).is_some());
}

#[test]
fn claim_12_fresh_ids_on_each_of_ten_files_cost_two_repairs_and_then_it_is_plain_http() {
    let truth = file(LEN, 1);
    // Of a long file one piece is false, which audits seldom find; of a short one nothing is audited.
    let mut world = World::new(&truth);
    world.submit(spec(&[sha256()]));
    world.run(Duration::from_secs(60));
    for number in 10..20 {
        let liar = world.peer(number, &altered(LEN, 1, &[200]), sha256(), FAST);
        let (origin, peers, took_ms) = once_more(&mut world, number);
        assert!(origin <= LEN, "file {number}: {origin}");
        if number < 12 {
            assert!(peers >= LEN / 2, "file {number}: it was believed: {peers}");
            assert!(says(&world, number, "not what was asked for"), "and found out");
        } else {
            assert_eq!((origin, peers), (LEN, 0), "file {number}");
            assert!(took_ms <= plain_ms() * 21 / 20 + 2_000, "file {number}: {took_ms} ms");
            assert!(
                says(&world, number, "strangers at 10.0.0.0/24 are not listened to for"),
                "file {number}"
            );
        }
        world.lose(liar);
    }
    assert!(says(&world, 11, "the second file within a day"));
    let blown = world.engine.blown_links();
    let left_ms = blown[0].until_unix_ms - world.now().wall_unix_ms;
    assert_eq!((blown.len(), blown[0].link), (1, link()));
    assert!((3_500_000..3_600_000).contains(&left_ms), "{left_ms} ms are left of an hour");
}

/// A holder of the file with this digest; gives how many bytes come from it.
fn from_a_holder(world: &mut World, id: PeerId, digest: Digest) -> u64 {
    let truth = std::sync::Arc::clone(&world.truth);
    let model = world.model(id);
    (model.digest, model.sealed) = (Some(digest.clone()), true);
    (model.have, model.list, model.sends) = (PieceSet::of(0..1_024), std::sync::Arc::clone(&truth), truth);
    model.pace = Pace::steady(FAST);
    world.run(Duration::from_secs(60));
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    world.view().bytes.peers
}

#[test]
fn claim_12_a_member_is_believed_where_strangers_are_not() {
    let mut world = groups::world();
    lied_to_twice(&mut world);
    let member = groups::member(&mut world, 2);
    assert!(from_a_holder(&mut world, member, sha256()) > 32 * MIB);
    let mut world = groups::world();
    lied_to_twice(&mut world);
    world.origin.pace = Pace::steady(40_000_000);
    let truth = std::sync::Arc::clone(&world.truth);
    let stranger = world.peer(9, &truth, sha256(), FAST);
    assert_eq!(from_a_holder(&mut world, stranger, sha256()), 0);
}

#[test]
fn claim_12_a_file_that_is_named_by_its_root_needs_nobodys_word() {
    let truth = file(64 * MIB, 1);
    for (digest, is_taken) in [(root_digest(&truth), true), (sha256(), false)] {
        let mut world = World::new(&truth);
        lied_to_twice(&mut world);
        let holder = world.peer(2, &truth, digest.clone(), FAST);
        world.submit(spec(std::slice::from_ref(&digest)));
        assert_eq!(from_a_holder(&mut world, holder, digest) > 0, is_taken);
    }
}

#[test]
fn claim_12_strangers_who_want_the_file_too_are_not_joined_where_they_are_not_listened_to() {
    let truth = file(64 * MIB, 1);
    for is_blown in [false, true] {
        let mut world = World::new(&truth);
        if is_blown {
            lied_to_twice(&mut world);
        }
        let other = world.peer(2, &truth, sha256(), FAST);
        world.model(other).digest = None;
        world.submit(spec(&[sha256()]));
        world.run_for(50);
        world.model(other).session.join(&sha256(), 64 * MIB, true);
        world.pump_and_tell(other);
        world.run_for(2_000);
        let told = world.peers[&other]
            .frames
            .iter()
            .any(|frame| matches!(frame, peer_proto::wire::Frame::Interest(_)));
        assert_eq!(told, !is_blown);
        let first = world.origin_spans[0];
        assert_eq!(
            first.0 == 0 && first.1 == Some(64 * MIB),
            is_blown,
            "alone: all in one request: {first:?}"
        );
    }
}

#[test]
fn claim_12_when_the_time_is_over_strangers_are_listened_to_again() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    let kept = KeptFuse { link: link(), times: 1, left_s: 3, files_s: vec![4_000] };
    world.tell(Input::FuseFound(kept));
    assert_eq!(world.engine.fuses()[0].left_s, 3);
    world.origin.pace = Pace::steady(4_000_000);
    let holder = world.peer(2, &truth, sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run_for(2_500);
    assert_eq!(world.view().bytes.peers, 0);
    assert!(from_a_holder(&mut world, holder, sha256()) > 8 * MIB, "it is asked again within seconds");
}

#[test]
fn claim_12_a_stranger_that_is_refuted_before_the_file_is_found_wrong_does_not_count() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[sha256()]));
    world.run_for(1_000);
    for number in 2..6 {
        world.peer(number, &altered(64 * MIB, 1, &[3]), sha256(), FAST);
    }
    world.run(Duration::from_secs(60));
    assert_eq!(world.state(), JobState::Acknowledged);
    assert!(world.engine.fuses().is_empty(), "an honest node behind a stale mirror says the same");
}
