//! Content that this machine has already.

use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::ContentId;
use peer_proto::digest::Digest;
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::verify::HashList;

use super::world::*;
use crate::engine::event::Failure;
use crate::engine::io::Input;
use crate::job::{Caller, JobState, RemoteRange};
use crate::record::{Holding, RecordId, RecordSummary, Scope};

const MINUTE: Duration = Duration::from_secs(60);
const FAST: u64 = 100_000_000;

/// Puts a record into the own cache that gives so many bytes before it fails.
fn keep(world: &mut World, list: &Arc<HashList>, digest: Digest, scope: Scope, gives: u64) {
    keep_holding(world, list, digest, scope, gives, Holding::Whole);
}

fn keep_holding(
    world: &mut World,
    list: &Arc<HashList>,
    digest: Digest,
    scope: Scope,
    gives: u64,
    holding: Holding,
) {
    let content: ContentId = list.content();
    world.cache = Some((Arc::clone(list), gives));
    world.tell(Input::RecordHeld(RecordSummary {
        id: RecordId([7; 16]),
        content,
        digests: vec![digest],
        holding,
        scope,
        served: true,
        last_used_unix_s: 1_800_000_000,
        vouched: Vec::new(),
    }));
}

#[test]
fn rng_4_a_digest_of_other_content_than_the_ranges_make_is_not_answered_from_the_cache() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    keep(&mut world, &truth, sha256(), Scope::Shareable, u64::MAX);
    let mut wish = spec(&[sha256()]);
    let len = std::num::NonZeroU64::new(10);
    wish.files[0].ranges = vec![RemoteRange { offset: 0, len }, RemoteRange { offset: 100, len }];
    world.submit(wish);
    world.run_for(2_000);
    assert_eq!((world.view().bytes.cache, world.delivered), (0, 0));
    assert!(world.origin.probes > 0, "the origin is asked what the ranges are");
}

#[test]
fn what_the_cache_holds_is_copied_and_nobody_is_asked() {
    let truth = file(20 * MIB + 5, 1);
    for digest in [sha256(), root_digest(&truth)] {
        let mut world = World::new(&truth);
        let peer = world.peer(2, &truth, digest.clone(), FAST);
        keep(&mut world, &truth, digest.clone(), Scope::Shareable, u64::MAX);
        world.submit(spec(&[digest]));
        world.run(MINUTE);
        let view = world.view();
        assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
        assert_eq!((view.bytes.cache, view.bytes.origin, view.bytes.peers), (20 * MIB + 5, 0, 0));
        assert_eq!((world.origin.probes, world.model(peer).asked, world.resets), (0, 0, 1));
        assert_eq!(view.sources[0].source, "cache");
    }
}

#[test]
fn local_1_another_users_private_record_gives_nothing_and_the_owners_own_gives_all() {
    let truth = file(4 * MIB, 1);
    let mut reasons = Vec::new();
    for (scope, from_cache) in [
        (Some(Scope::Private { uid: ME.uid }), true),
        (Some(Scope::Private { uid: ME.uid + 1 }), false),
        (Some(Scope::Machine), false),
        (None, false),
    ] {
        let mut world = World::new(&truth);
        if let Some(scope) = scope {
            keep(&mut world, &truth, sha256(), scope, u64::MAX);
        }
        // A URL that leads nowhere: all that is known is the digest.
        world.origin.fault = Some(fatal("there is no such file"));
        world.submit(spec(&[sha256()]));
        world.run(MINUTE);
        assert_eq!(world.view().bytes.cache > 0, from_cache, "{scope:?}");
        if !from_cache {
            let states = world.states.clone();
            reasons.push((world.ms, states, world.view().reason, world.effects.clone()));
        }
    }
    assert_eq!(reasons[0], reasons[1]);
    assert_eq!(reasons[0], reasons[2], "not held and not yours look and last the same, to the very effects");
}

#[test]
fn a_job_without_a_digest_asks_the_origin_whatever_the_cache_holds() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    keep(&mut world, &truth, sha256(), Scope::Shareable, u64::MAX);
    world.submit(spec(&[]));
    world.run(MINUTE);
    assert_eq!((world.view().bytes.cache, world.view().bytes.origin), (0, 4 * MIB));
}

#[test]
fn local_2_what_one_user_left_serves_another_ones_job_by_its_digest_and_by_nothing_else() {
    let truth = file(4 * MIB, 1);
    let other = Caller { uid: ME.uid + 1, ..ME };
    for by in [ME, other] {
        for (digests, scope, is_served) in [
            (vec![sha256()], Scope::Shareable, true),
            (Vec::new(), Scope::Shareable, false),
            (vec![sha256()], Scope::Machine, false),
        ] {
            let mut world = World::new(&truth);
            keep(&mut world, &truth, sha256(), scope, u64::MAX);
            world.tell(Input::Submit { job: JOB, spec: Box::new(spec(&digests)), by, start: true });
            world.run(MINUTE);
            let (view, len) = (world.view(), 4 * MIB);
            assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
            let expected = if is_served { (len, 0) } else { (0, len) };
            assert_eq!((view.bytes.cache, view.bytes.origin), expected, "{by:?} {digests:?} {scope:?}");
        }
    }
}

#[test]
fn what_the_cache_cannot_give_comes_from_elsewhere() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    keep(&mut world, &truth, sha256(), Scope::Shareable, 8 * MIB);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert_eq!((view.bytes.cache, view.bytes.origin), (8 * MIB, 12 * MIB));
    assert_eq!((world.resets, world.pins), (1, 1));
}

#[test]
fn local_1_what_was_not_for_others_is_not_shared_after_a_copy_either() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    keep(&mut world, &truth, sha256(), Scope::Private { uid: ME.uid }, u64::MAX);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    assert_eq!((world.view().bytes.cache, world.kept_scope), (4 * MIB, Some(Scope::Private { uid: ME.uid })));
    let mut world = World::new(&truth);
    keep(&mut world, &truth, sha256(), Scope::Private { uid: 1 }, u64::MAX);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    assert_eq!(world.view().bytes.cache, 0, "another user's");
}

#[test]
fn local_1_what_is_not_for_others_is_remembered_over_a_restart() {
    let truth = file(4 * MIB, 1);
    let mut first = World::new(&truth);
    first.origin.public = false;
    first.submit(spec(&[sha256()]));
    first.run_until(5_000, |world| world.view().stored > 0);
    let stored = first.engine.stored_job(JOB).expect("known");
    assert!(stored.files[0].private);
    let mut world = World::new(&truth);
    world.tell(Input::JobFound(Box::new(stored)));
    world.run(MINUTE);
    assert_eq!(
        (world.state(), world.kept_scope),
        (JobState::Acknowledged, Some(Scope::Private { uid: ME.uid }))
    );
}

#[test]
fn a_part_of_the_same_length_goes_on_from_the_cache_and_one_of_another_is_emptied() {
    let truth = file(4 * MIB, 1);
    for (len, copied) in [(4 * MIB, 3 * MIB), (5 * MIB, 4 * MIB)] {
        let mut world = World::new(&truth);
        keep(&mut world, &truth, sha256(), Scope::Shareable, u64::MAX);
        world.found.version = Some(version("a", Some(len)));
        let values = truth.values()[..16].to_vec();
        world.disk = (0..16).zip(values.iter().copied()).collect();
        let (first, standing) = (peer_proto::content::PieceIndex(0), Standing::Proved);
        world.found.runs = vec![PieceRun { first, values, standing }];
        world.submit(spec(&[sha256()]));
        world.run(MINUTE);
        let view = world.view();
        assert_eq!((view.state, view.bytes.cache), (JobState::Acknowledged, copied), "{}", view.reason);
        assert_eq!((world.resets, view.bytes.origin), (u32::from(len != 4 * MIB), 0));
    }
}

#[test]
fn a_part_that_could_not_be_emptied_for_a_copy_is_tried_again() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    keep(&mut world, &truth, sha256(), Scope::Shareable, u64::MAX);
    let kind = crate::engine::io::LocalFaultKind::NoSpace;
    world.reset_fault = Some(crate::engine::io::LocalFault { kind, message: "no space".into() });
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.cache), (JobState::Acknowledged, 4 * MIB));
}

#[test]
fn a_record_that_is_kept_under_a_wrong_digest_costs_time_only() {
    let truth = file(4 * MIB, 1);
    let other = file(3 * MIB, 9);
    let mut world = World::new(&truth);
    keep(&mut world, &other, sha256(), Scope::Shareable, u64::MAX);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!((view.state, view.failure), (JobState::Acknowledged, None::<Failure>), "{}", view.reason);
    assert_eq!(view.blake3, Some(truth.content().root.to_string()));
    assert_eq!(view.bytes.origin, 4 * MIB);
}

#[test]
fn a_copy_from_a_disk_that_does_not_answer_ends_after_ten_seconds() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    keep(&mut world, &truth, sha256(), Scope::Shareable, 8 * MIB);
    world.cache_hangs = true;
    world.submit(spec(&[sha256()]));
    world.run_for(9_500);
    assert_eq!((world.view().stored, world.origin.leases), (8 * MIB, 0), "a slow disk has its time");
    let ms = world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert_eq!((view.bytes.cache, view.bytes.origin), (8 * MIB, 12 * MIB));
    assert!(ms < 13_000, "{ms} ms");
}

#[test]
fn a_copy_that_is_told_of_again_and_again_and_does_not_move_is_stuck_all_the_same() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    keep(&mut world, &truth, sha256(), Scope::Shareable, 8 * MIB);
    world.cache_hangs = true;
    world.submit(spec(&[sha256()]));
    for _ in 0..20 {
        world.run_for(1_000);
        let open: Vec<_> = world.engine.files.values().flat_map(|file| file.leases.keys().copied()).collect();
        open.into_iter().for_each(|lease| world.tell(Input::Progress { lease, received: 8 * MIB }));
    }
    assert!(world.origin.leases > 0);
}

#[test]
fn a_copy_that_keeps_to_a_rate_is_not_taken_for_a_stuck_one() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    keep(&mut world, &truth, sha256(), Scope::Shareable, 8 * MIB);
    world.cache_hangs = true;
    world.submit(crate::job::JobSpec {
        rates: crate::job::Rates { total: std::num::NonZeroU64::new(1_000), ..Default::default() },
        ..spec(&[sha256()])
    });
    world.run_for(30_000);
    world.cache = Some((Arc::clone(&truth), u64::MAX));
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.cache), (JobState::Acknowledged, 20 * MIB));
}

#[test]
fn a_record_of_another_length_than_the_part_gives_nothing_to_it() {
    let truth = file(4 * MIB, 1);
    for len in [3 * MIB, 5 * MIB + 7] {
        let other = file(len, 1);
        let mut world = World::new(&truth);
        // It holds a part, so the origin is asked for the rest: and has something else.
        let some = Holding::Runs(vec![(0, 20)]);
        keep_holding(&mut world, &other, sha256(), Scope::Shareable, u64::MAX, some);
        world.submit(spec(&[sha256()]));
        world.run(MINUTE);
        let view = world.view();
        assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
        assert_eq!(view.blake3, Some(truth.content().root.to_string()));
        assert_eq!(view.len, Some(4 * MIB));
    }
}

#[test]
fn attest_9_what_nobody_vouches_for_any_more_is_copied_no_further() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    keep(&mut world, &truth, sha256(), Scope::Shareable, u64::MAX);
    world.cache_hangs = true;
    world.cache = Some((Arc::clone(&truth), MIB));
    world.submit(spec(&[sha256()]));
    world.run_for(50);
    let before = world.effects.iter().filter(|name| *name == "StopLease").count();
    let file = world.engine.files.values_mut().next().expect("on its way");
    assert!(file.recall.scope().is_some(), "it is being copied");
    file.recall_no_more(&mut world.engine.core);
    assert_eq!(file.recall.scope(), None);
    world.run_for(10);
    assert!(world.effects.iter().filter(|name| *name == "StopLease").count() > before);
}
