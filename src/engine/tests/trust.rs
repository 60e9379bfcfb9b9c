//! Who is believed, who is blamed, what a lie costs.

use std::sync::Arc;
use std::time::Duration;

use peer_proto::digest::Digest;
use peer_proto::peer::PeerId;

use super::world::*;
use crate::engine::event::{Failure, JobView};
use crate::engine::io::*;
use crate::engine::piece_set::PieceSet;
use crate::job::{JobId, JobSpec, JobState, PeerFlags};

const MINUTE: Duration = Duration::from_secs(60);
const FAST: u64 = 40_000_000;

fn is_banned(world: &World, peer: PeerId) -> bool {
    world.engine.peer_views().iter().any(|view| view.peer == peer && view.banned_for_s.is_some())
}

#[test]
fn trust_8_wrong_bytes_under_a_trusted_root_ban_their_sender_at_a_megabyte_at_most() {
    let truth = file(64 * MIB, 1);
    for false_pieces in [vec![0], vec![1_023], (0..1_024).collect::<Vec<u32>>()] {
        let mut world = World::new(&truth);
        let liar = world.peer(2, &truth, root_digest(&truth), FAST);
        world.model(liar).sends = altered(64 * MIB, 1, &false_pieces);
        world.submit(spec(&[root_digest(&truth)]));
        world.run(MINUTE);
        let view = world.view();
        assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
        assert!(view.bytes.discarded <= MIB, "{:?}", view.bytes);
        assert!(is_banned(&world, liar) && world.disconnected.contains(&liar));
        assert_eq!(world.engine.totals().banned_peers, 1);
    }
}

#[test]
fn trust_8_a_ban_lasts_ten_minutes_and_doubles() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let liar = world.peer(2, &truth, root_digest(&truth), FAST);
    world.model(liar).sends = altered(4 * MIB, 1, &[0]);
    world.submit(spec(&[root_digest(&truth)]));
    world.run(MINUTE);
    let banned_for = |world: &World| {
        world.engine.peer_views().iter().find(|view| view.peer == liar).and_then(|view| view.banned_for_s)
    };
    assert!(banned_for(&world).is_some_and(|seconds| (590..=601).contains(&seconds)));
    let before = world.disconnected.len();
    world.tell(Input::PeerConnected {
        peer: liar,
        address: "10.0.0.2".into(),
        near: true,
        link: None,
        nonce: [1; 16],
    });
    assert_eq!(world.disconnected.len(), before + 1, "refused while it is banned");
}

#[test]
fn trust_6_and_8_a_false_list_of_another_root_is_never_taken() {
    let truth = file(8 * MIB, 1);
    let mut world = World::new(&truth);
    let other = file(8 * MIB, 9);
    let honest_of_another = world.peer(2, &other, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.peers), (JobState::Acknowledged, 0));
    assert!(!is_banned(&world, honest_of_another), "TRUST-7: another version is no lie");
}

#[test]
fn trust_5_a_stated_length_that_is_wrong_costs_its_author_only() {
    let truth = file(8 * MIB - 7, 1);
    let mut world = World::new(&truth);
    world.origin.fault = Some(transient("connection refused", None));
    // The same values fold for any length with as many pieces: only the last piece tells.
    let values = truth.values().to_vec();
    let long = peer_proto::verify::HashList::from_values(8 * MIB - 6, values).expect("as many pieces");
    assert_eq!(long.content().root, truth.content().root);
    let long = std::sync::Arc::new(long);
    let liar = world.peer(2, &long, root_digest(&truth), FAST);
    world.model(liar).sends = altered(8 * MIB - 6, 1, &[127]);
    world.peer(3, &truth, root_digest(&truth), FAST);
    world.submit(spec(&[root_digest(&truth)]));
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert_eq!(world.view().len, Some(8 * MIB - 7));
    assert!(world.view().bytes.discarded <= 2 * 65_536 && is_banned(&world, liar));
}

#[test]
fn an_origin_that_answers_after_a_list_came_is_asked_for_no_byte_twice() {
    let truth = file(8 * MIB, 1);
    for pieces_before in [0, 40] {
        let mut world = World::new(&truth);
        world.origin.silent = true;
        let peer = world.peer(2, &truth, root_digest(&truth), FAST);
        world.submit(spec(&[root_digest(&truth)]));
        world.run_until(5_000, |world| world.resets == 1 && world.view().stored >= pieces_before * 65_536);
        world.model(peer).sends = altered(8 * MIB, 1, &(0..128).collect::<Vec<_>>());
        world.origin_speaks();
        world.run(MINUTE);
        let view = world.view();
        assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
        assert_eq!((world.resets, world.pins, view.restarts), (1, 1, 0));
        assert_eq!(view.bytes.origin, 8 * MIB - view.bytes.peers + view.bytes.discarded);
        assert!(view.bytes.discarded <= MIB, "{:?}", view.bytes);
        assert!(is_banned(&world, peer));
    }
}

#[test]
fn claim_1_a_sealed_list_and_sha256_give_the_whole_file_with_audits_of_half_a_percent() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert!(view.bytes.origin > 0 && view.bytes.origin <= 64 * MIB / 100, "{:?}", view.bytes);
    assert_eq!(view.bytes.discarded, 0, "audited pieces are not fetched twice");
}

#[test]
fn claim_1_lists_of_peers_that_did_not_check_the_whole_file_are_not_taken() {
    let truth = file(16 * MIB, 1);
    let mut world = World::new(&truth);
    let peer = world.peer(2, &truth, sha256(), FAST);
    world.model(peer).sealed = false;
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.peers), (JobState::Acknowledged, 0));
}

#[test]
fn claim_5_a_fabricated_list_costs_one_megabyte_and_one_piece() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    let liar = world.peer(2, &file(64 * MIB, 9), sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert!(view.bytes.peers <= MIB + 65_536, "{:?}", view.bytes);
    assert_eq!(view.bytes.origin, 64 * MIB);
    assert!(!is_banned(&world, liar), "CLAIM-4: refuted, not banned");
}

#[test]
fn claim_3_a_list_that_contradicts_what_i_read_is_refuted_at_intake() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[sha256()]));
    world.run_for(1_000);
    world.peer(2, &altered(64 * MIB, 1, &[3]), sha256(), FAST);
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.peers), (JobState::Acknowledged, 0));
}

/// A later job of the same machine, and what peers gave it.
fn fetch_later(world: &mut World, number: u8, digest: Digest) -> JobView {
    let job = JobId([number; 16]);
    let file = JobSpec::for_file("https://example.org/later", format!("/tmp/later-{number}"));
    let later = JobSpec { flags: PeerFlags::BOTH, auto_complete: true, ..file.named_by(vec![digest]) };
    world.tell(Input::Submit { job, spec: Box::new(later), by: ME, start: true });
    let end = world.ms + 60_000;
    world.run_until(end, |world| world.engine.job_view(job).is_some_and(|view| view.state.is_final()));
    let view = world.engine.job_view(job).expect("known");
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    view
}

#[test]
fn claim_4_who_was_refuted_gives_a_later_job_what_a_root_proves_and_is_not_believed_meanwhile() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    // It read the file behind a stale mirror: all of its list is of another version.
    let stale = world.peer(2, &file(64 * MIB, 9), sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    let is_refuted = |world: &World| world.engine.core.peers.is_refuted(stale, world.now().monotonic);
    assert!(is_refuted(&world) && !is_banned(&world, stale), "refuted, not banned");
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    // It has the right one by now. Its word for it counts for nothing yet.
    let model = world.model(stale);
    (model.list, model.sends) = (Arc::clone(&truth), Arc::clone(&truth));
    let view = fetch_later(&mut world, 8, sha256());
    assert!(is_refuted(&world));
    assert_eq!(view.bytes.peers, 0, "{:?}", view.bytes);
    // What a root proves needs nobody's word.
    world.model(stale).digest = Some(root_digest(&truth));
    let view = fetch_later(&mut world, 9, root_digest(&truth));
    assert!(is_refuted(&world));
    assert!(view.bytes.peers > 60 * MIB, "{:?}", view.bytes);
}

#[test]
fn claim_6_two_lists_that_differ_cost_one_piece_of_the_origin() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &altered(64 * MIB, 1, &[700]), sha256(), FAST);
    let honest = world.peer(3, &truth, sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert!(view.bytes.origin <= 64 * MIB / 100 + 65_536, "{:?}", view.bytes);
    assert!(!is_banned(&world, honest));
}

#[test]
fn trust_8_a_false_hint_beside_three_honest_holders_bans_no_honest_peer() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    let liar = world.peer(2, &altered(64 * MIB, 1, &[5, 900]), sha256(), FAST);
    let honest: Vec<PeerId> = (3..6).map(|number| world.peer(number, &truth, sha256(), FAST)).collect();
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert!(honest.iter().all(|peer| !is_banned(&world, *peer)));
    assert!(world.view().bytes.origin <= 64 * MIB / 50, "{:?}", world.view().bytes);
    let _ = liar;
}

#[test]
fn claim_8_a_small_file_is_not_audited_and_a_wrong_one_names_its_liar() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let liar = world.peer(2, &altered(4 * MIB, 1, &[17]), sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert!(view.bytes.origin <= 4 * MIB, "{:?}", view.bytes);
    assert!(is_banned(&world, liar), "it said it had checked the whole file");
}

#[test]
fn claim_8_an_honest_small_file_costs_the_origin_nothing() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Acknowledged, 0));
}

#[test]
fn claim_10_one_false_piece_costs_the_origin_at_most_one_file_and_nothing_wrong_is_delivered() {
    let truth = file(64 * MIB, 1);
    for false_piece in [0, 511, 1_023] {
        let mut world = World::new(&truth);
        world.peer(2, &altered(64 * MIB, 1, &[false_piece]), sha256(), FAST);
        world.submit(spec(&[sha256()]));
        world.run(MINUTE);
        let view = world.view();
        assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
        assert!(view.bytes.origin <= 64 * MIB, "{:?}", view.bytes);
        assert_eq!(
            view.bytes.kept(),
            64 * MIB,
            "what was fetched again counts as thrown away: {:?}",
            view.bytes
        );
        assert_eq!(view.blake3, Some(truth.content().root.to_string()));
    }
}

#[test]
fn claim_10_step_1_an_origin_that_contradicts_the_digest_is_replaced_by_a_list_alone() {
    let truth = file(32 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.serves = altered(32 * MIB, 1, &[40]);
    world.peer(2, &truth, sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert_eq!(view.blake3, Some(truth.content().root.to_string()));
}

#[test]
fn claim_10_step_5_with_the_origin_away_the_lists_are_tried_one_after_the_other() {
    let truth = file(32 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.fault = Some(transient("connection refused", None));
    world.peer(2, &altered(32 * MIB, 1, &[9]), sha256(), FAST);
    world.peer(3, &truth, sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert_eq!(world.view().bytes.origin, 0);
}

#[test]
fn d08_and_val_1_a_wrong_digest_is_an_integrity_error_and_nothing_is_delivered() {
    let truth = file(8 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.serves = altered(8 * MIB, 1, &[3]);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!((view.state, view.failure), (JobState::Error, Some(Failure::Integrity)));
    assert!(view.reason.contains("not what was asked for"), "{}", view.reason);
    assert_eq!(world.delivered, 0);
}

#[test]
fn a_trusted_list_shows_that_the_origin_lies_and_peers_finish() {
    let truth = file(8 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.serves = altered(8 * MIB, 1, &[3]);
    let half = world.peer(2, &truth, root_digest(&truth), FAST);
    world.model(half).have = PieceSet::of(0..4);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(700);
    world.peer(3, &truth, root_digest(&truth), FAST);
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
}

#[test]
fn restarted_with_provisional_pieces_the_digest_still_decides() {
    let truth = file(16 * MIB, 1);
    let lie = altered(16 * MIB, 1, &[7]);
    let mut world = World::new(&truth);
    world.found.version = Some(world.origin.version.clone());
    let author = peer_id(2);
    let values = lie.values()[..100].to_vec();
    world.disk = (0..100).zip(values.iter().copied()).collect();
    let run = peer_proto::standing::PieceRun {
        first: peer_proto::content::PieceIndex(0),
        values,
        standing: Standing::Provisional { author },
    };
    world.found.runs = vec![run];
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert!(world.view().bytes.origin <= 16 * MIB);
}

#[test]
fn trust_11_pieces_believed_for_a_digest_nobody_states_any_more_are_fetched_again() {
    let truth = file(6 * MIB, 1);
    let lie = altered(6 * MIB, 1, &[7]);
    for states_it_again in [false, true] {
        let mut world = World::new(&truth);
        world.found.version = Some(world.origin.version.clone());
        world.disk = (0..96).zip(lie.values().iter().copied()).collect();
        let standing = Standing::Provisional { author: peer_id(2) };
        let values = lie.values().to_vec();
        world.found.runs = vec![PieceRun { first: peer_proto::content::PieceIndex(0), values, standing }];
        if states_it_again {
            world.origin.digests = vec![sha256()];
        }
        world.submit(spec(&[]));
        world.run(MINUTE);
        let view = world.view();
        assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
        assert_eq!(view.blake3, Some(truth.content().root.to_string()), "stated again: {states_it_again}");
    }
}

#[test]
fn an_origin_without_ranges_and_a_false_list_cost_two_files_and_end() {
    let truth = file(32 * MIB, 1);
    let lie = altered(32 * MIB, 1, &[300]);
    let mut world = World::new(&truth);
    world.origin.ranges = false;
    world.peer(2, &lie, sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert_eq!(view.blake3, Some(truth.content().root.to_string()));
    assert!(view.bytes.origin <= 64 * MIB, "{:?}", view.bytes);
}

#[test]
fn trust_5_a_second_list_of_another_length_does_not_block_the_proved_one() {
    let truth = file(8 * MIB - 7, 1);
    let values = truth.values().to_vec();
    let long = peer_proto::verify::HashList::from_values(8 * MIB - 6, values).expect("as many pieces");
    let mut world = World::new(&truth);
    world.origin.fault = Some(transient("connection refused", None));
    // Both lists are asked for; the false one comes when the other one is proved.
    let liar = world.peer(2, &std::sync::Arc::new(long), root_digest(&truth), FAST);
    world.model(liar).lists_held = Some(Vec::new());
    world.peer(3, &truth, root_digest(&truth), 4_000_000);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_until(5_000, |world| world.view().stored >= 2 * MIB);
    assert!(world.model(liar).lists_held.as_ref().is_some_and(|held| !held.is_empty()), "it was asked");
    let now = world.now().monotonic;
    world.model(liar).give_lists(now);
    world.pump_and_tell(liar);
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
}

#[test]
fn trust_5_a_length_that_nobody_can_prove_is_no_hope() {
    let truth = file(8 * MIB - 7, 1);
    let mut world = World::new(&truth);
    world.origin.fault = Some(fatal("404 Not Found"));
    // It has all but the last piece, which alone proves how long the file is.
    let peer = world.peer(2, &truth, root_digest(&truth), FAST);
    world.model(peer).have = PieceSet::of(0..truth.geometry().piece_count() - 1);
    world.submit(spec(&[root_digest(&truth)]));
    world.run(2 * MINUTE);
    assert_eq!((world.state(), world.view().failure), (JobState::Error, Some(Failure::Fatal)));
}

#[test]
fn trust_11_what_an_origin_stated_of_a_version_stays_stated() {
    let truth = file(32 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.digests = vec![sha256()];
    world.origin.cuts_after = Some(4 * MIB);
    let peer = world.peer(2, &truth, sha256(), 20_000_000);
    world.model(peer).have = PieceSet::of(0..256);
    world.submit(spec(&[]));
    world.run_until(5_000, |world| world.view().bytes.peers >= MIB);
    // It fails, and when somebody tries it again it says less.
    world.origin.digests = Vec::new();
    world.origin.fault = Some(fatal("403 Forbidden"));
    world.run(MINUTE);
    assert_eq!((world.state(), world.origin.probes), (JobState::Error, 1));
    (world.origin.fault, world.origin.cuts_after) = (None, None);
    world.command(JobCommand::Resume);
    world.run(MINUTE);
    let view = world.view();
    assert_eq!((view.state, world.origin.probes), (JobState::Acknowledged, 2), "{}", view.reason);
    assert!(view.bytes.peers >= 12 * MIB && view.bytes.origin <= 20 * MIB, "{:?}", view.bytes);
}

#[test]
fn an_origin_that_contradicts_a_list_trusted_meanwhile_gives_nothing_more() {
    let truth = file(16 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[root_digest(&truth)]));
    // Its lease is of the whole file, and began before anybody could contradict it.
    world.run_until(5_000, |world| world.view().stored >= MIB);
    world.peer(3, &truth, root_digest(&truth), 1_000_000);
    world.run_until(5_000, |world| {
        world.engine.files[&crate::job::FileId::first(JOB)].claims.trusted.is_some()
    });
    world.origin.serves = altered(16 * MIB, 1, &(0..256).collect::<Vec<_>>());
    let before = world.view().bytes.origin;
    world.run(2 * MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert_eq!(view.blake3, Some(truth.content().root.to_string()));
    assert!(view.bytes.origin <= before + MIB, "{:?}", view.bytes);
}

#[test]
fn trust_5_and_peer_36_a_length_that_a_peer_states_is_not_shown_and_ends_no_job_that_may_not_be_so_long() {
    let truth = file(20 * MIB + 5, 1);
    let len = truth.content().len;
    for stated in [len - 1, len + 1] {
        let mut world = World::new(&truth);
        world.origin.fault = Some(transient("connection refused", None));
        // As many pieces with the same values: its list folds to the root.
        let liar = world.peer(2, &file(stated, 1), root_digest(&truth), 10_000_000);
        world.model(liar).sends = altered(stated, 1, &[320]);
        world.submit(JobSpec { max_size: Some(len), ..spec(&[root_digest(&truth)]) });
        world.run_for(1_000);
        let (view, given) = (world.view(), world.disconnected.as_slice());
        assert_eq!((view.len, view.stored, given), (None, 0, [liar].as_slice()), "{stated}: {view:?}");
        world.peer(3, &truth, root_digest(&truth), 10_000_000);
        world.run(MINUTE);
        let view = world.view();
        assert_eq!((view.state, view.len), (JobState::Acknowledged, Some(len)), "{stated}: {}", view.reason);
    }
}
